//! Archives for these tests, and their productions read back.

use escrow_client::archive::{Directory, SealOptions, SealedArchive, prepare};
use escrow_client::production::verify::verify;
use escrow_client::production::{About, Evidence, Format, Order, Produced, Selection, Source, produce};
use escrow_client::{ReleasedItem, Zone};
use escrow_core::{Digest, Org, ThreadKey, Timestamp, TokenKey};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Cursor, Read as _};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use zeroize::Zeroizing;

/// A sealed archive with the keys of all its segments.
pub(crate) struct Sealed {
    pub(crate) dir: TempDir,
    pub(crate) archive: SealedArchive,
    pub(crate) directory: Directory,
    org: Org,
    tokens: TokenKey,
    /// Segments whose key is withheld, by position.
    pub(crate) closed: Vec<usize>,
    pub(crate) selection: Selection,
}

/// A message of version 2 in thread `t`.
pub(crate) fn line(id: &str, sender: &str, at: &str, more: Value) -> Value {
    let mut line = json!({"v": 2, "thread": "t", "message_id": id, "sender": sender, "sent_at": at, "text": ""});
    line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    line
}

pub(crate) fn at(text: &str) -> Timestamp {
    Timestamp::from_rfc3339(text).unwrap()
}

impl Sealed {
    pub(crate) fn of(lines: &[Value]) -> Self {
        Self::of_files(lines, None)
    }

    pub(crate) fn of_files(lines: &[Value], attachments: Option<&Path>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let org: Org = "acme.example".parse().unwrap();
        let tokens = TokenKey::from_bytes(1, Zeroizing::new([7; 32]));
        let text: String = lines.iter().map(|l| format!("{l}\n")).collect();
        let target = dir.path().join("archive");
        let inside = |_: &str| true;
        let options = SealOptions { dir: &target, org: &org, tokens: &tokens, era: 0, inside: &inside };
        let mut prepared = prepare(text.as_bytes(), &options).unwrap();
        if let Some(attachments) = attachments {
            let _missing = prepared.attach(attachments, &|_, _| {}).unwrap();
        }
        let archive = prepared.publish().unwrap();
        let mut directory = Directory::new(org.clone());
        directory.add_archive(&archive).unwrap();
        let zone = Zone::utc();
        let (from, to) = (Timestamp::EPOCH, Timestamp::MAX);
        let selection = Selection { from, to, context_messages: 0, context_hours: 0, zone };
        Self { dir, archive, directory, org, tokens, closed: vec![], selection }
    }

    pub(crate) fn name(&mut self, id: &str, name: &str) {
        self.directory.add_subject(id, Some(name), self.tokens.subject(id)).unwrap();
    }

    fn source(&self) -> Source<'_> {
        let about = About {
            archive: &self.archive.dir,
            org: &self.org,
            tokens: Some(&self.tokens),
            directory: &self.directory,
            release: Digest([3; 32]),
            matter: "MAT-1".parse().unwrap(),
            recipient: Some("erik".parse().unwrap()),
            selection: self.selection.clone(),
        };
        let items = self.archive.segments.iter().enumerate().map(|(n, s)| {
            let item = Digest::of(&n.to_be_bytes());
            let item = ReleasedItem { item, about: s.about.clone(), depositor: self.tokens.subject("ann") };
            let key = ThreadKey::from_bytes(Zeroizing::new(*s.key.expose()));
            (item, if self.closed.contains(&n) { Err("the key is another".to_owned()) } else { Ok(key) })
        });
        Source::new(about, items.collect())
    }

    /// Produces into a folder of that name.
    pub(crate) fn produce(&self, format: Format, name: &str) -> (PathBuf, Produced) {
        let evidence = Evidence {
            digest: Digest([4; 32]),
            verdict: "OK",
            entries: vec![(1, 57), (2, 60)],
            html: b"<!DOCTYPE html><title>custody</title>".to_vec(),
            json: b"{}".to_vec(),
        };
        let out = self.dir.path().join(name);
        let source = self.source();
        let order = Order { source: &source, selection: &self.selection, evidence: &evidence, format, out: &out };
        let produced = produce(&order, &|_, _| {}).unwrap();
        (out, produced)
    }

    /// An RSMF production in which the validator finds nothing.
    pub(crate) fn rsmf(&self) -> (Vec<Value>, Produced) {
        let (out, produced) = self.produce(Format::Rsmf, "production");
        assert_passes(&out);
        (manifests(&out), produced)
    }
}

pub(crate) fn assert_passes(out: &Path) {
    let report = verify(out, &|_, _| {});
    assert!(report.findings.is_empty(), "{:#?}", report.findings);
}

/// Files of a folder by relative path.
pub(crate) fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                found.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// The manifests of all RSMF files in order of their names.
pub(crate) fn manifests(out: &Path) -> Vec<Value> {
    let rsmf = files(out).into_iter().filter(|(path, _)| path.ends_with(".rsmf"));
    rsmf.map(|(_, bytes)| manifest(&bytes)).collect()
}

fn manifest(file: &[u8]) -> Value {
    let text = std::str::from_utf8(file).unwrap();
    let encoded = text.split_once("filename=\"rsmf.zip\"\r\n\r\n").unwrap().1;
    let encoded: String = encoded.lines().take_while(|l| !l.starts_with("--")).collect();
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, encoded).unwrap();
    let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut json = String::new();
    zip.by_name("rsmf_manifest.json").unwrap().read_to_string(&mut json).unwrap();
    serde_json::from_str(&json).unwrap()
}

/// All events of all manifests.
pub(crate) fn events(manifests: &[Value]) -> Vec<&Value> {
    manifests.iter().flat_map(|m| m["events"].as_array().unwrap()).collect()
}

/// The event of that id.
pub(crate) fn event<'a>(manifests: &'a [Value], id: &str) -> &'a Value {
    let found: Vec<_> = events(manifests).into_iter().filter(|e| e["id"] == id).collect();
    assert_eq!(found.len(), 1, "{id}");
    found[0]
}

/// The custom value of that name.
pub(crate) fn custom<'a>(of: &'a Value, name: &str) -> Option<&'a str> {
    of["custom"].as_array()?.iter().find(|c| c["name"] == name)?["value"].as_str()
}

/// How often each rule stands in the problems.
pub(crate) fn rules(produced: &Produced) -> BTreeMap<&'static str, usize> {
    let mut out = BTreeMap::new();
    for p in &produced.problems {
        *out.entry(p.rule).or_insert(0) += 1;
    }
    out
}
