//! A production without a fault, made by code of its own: nothing here is shared with the exporters.

use crate::zipped::{Member, archive};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256, Sha512};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Files by path.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// An RSMF file in parts.
pub(crate) struct Rsmf {
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) text: String,
    pub(crate) manifest: Value,
    /// The manifest's bytes, if they are not those of `manifest`.
    pub(crate) raw: Option<Vec<u8>>,
    pub(crate) members: Vec<Member>,
    pub(crate) attachment: String,
    /// What the base64 is put through.
    pub(crate) encoded: fn(String) -> String,
    pub(crate) zip: fn(Vec<u8>) -> Vec<u8>,
    pub(crate) count: Option<u16>,
    pub(crate) further: String,
    pub(crate) ending: &'static str,
}

pub(crate) fn message(id: &str, conversation: &str, participant: &str, at: &str) -> Value {
    let (kind, body) = ("message", "words 🙂");
    json!({"type": kind, "id": id, "conversation": conversation, "participant": participant, "timestamp": at, "body": body})
}

fn with(mut event: Value, more: Value) -> Value {
    event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    event
}

pub(crate) fn manifest() -> Value {
    let custom = json!([{"name": "mls_epoch", "value": "7"}]);
    let event = |kind: &str, id: &str, more: Value| with(json!({"type": kind, "id": id, "conversation": "c2"}), more);
    json!({
        "version": "2.0.0",
        "eventcollectionid": "thread-7",
        "participants": [
            {"id": "p1", "display": "Alice Example", "email": "alice@example.org", "avatar": "alice.png", "account_id": "+15550100", "custom": custom},
            {"id": "p2", "display": "Bob, Jr."},
            {"id": "p3", "display": "Chloë"},
        ],
        "conversations": [
            {"id": "c1", "platform": "RCS", "participants": ["p1", "p2"], "display": "Alice and Bob", "type": "direct", "custodian": "p1"},
            {"id": "c2", "platform": "RCS", "participants": ["p1", "p2"], "type": "channel", "custodian": "p1", "icon": "team.png", "custom": custom},
        ],
        "events": [
            with(message("e1", "c1", "p1", "2026-03-01T09:30:00.000Z"), json!({
                "direction": "outgoing", "importance": "high", "custom": custom,
                "reactions": [{"value": "👍", "count": 1, "participants": ["p2"]}, {"value": "🙂", "count": 3}],
                "read_receipts": [{"participant": "p2", "timestamp": "2026-03-01T09:31:00Z", "action": "read"}],
            })),
            with(message("e2", "c1", "p2", "2026-03-01T09:32:00.5Z"), json!({
                "parent": "e1", "direction": "incoming", "attachments": [{"id": "pic.bin", "display": "picture.png", "size": 5}],
            })),
            event("join", "e3", json!({"participant": "p3", "timestamp": "2026-03-01T10:00:00Z"})),
            // The latest text of all, and not the latest time.
            with(message("e4", "c2", "p3", "2026-03-01T13:00:00.250+01:00"), json!({
                "edits": [{"participant": "p3", "timestamp": "2026-03-01T12:00:01Z", "previous": "word", "new": "words 🙂"}],
            })),
            event("disclaimer", "e5", json!({"body": "this conversation is archived", "timestamp": "2026-03-01T12:01:00Z"})),
            event("unknown", "e6", json!({"participant": "p2", "body": "cannot be decrypted: no key", "timestamp": "2026-03-01T12:02:00Z"})),
            event("history", "e7", json!({"participant": "p1", "body": "renamed", "timestamp": "2026-03-01T12:03:00Z"})),
            event("leave", "e8", json!({"participant": "p3", "timestamp": "2026-03-01T12:04:00Z"})),
            with(message("e9", "c2", "p1", "2026-03-01T12:30:00Z"), json!({"deleted": true})),
        ],
    })
}

impl Rsmf {
    pub(crate) fn new() -> Self {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Self {
            headers: vec![
                header("X-RSMF-Version", "2.0.0"),
                header("X-RSMF-Generator", "a test"),
                header("X-RSMF-Application", "RCS"),
                header("X-RSMF-BeginDate", "2026-03-01T09:30:00.000Z"),
                header("X-RSMF-EndDate", "2026-03-01T12:30:00Z"),
                header("X-RSMF-EventCount", "9"),
                header("X-RSMF-AttachmentCount", "1"),
                header("X-RSMF-Custodian", "Alice Example"),
                header("X-RSMF-Participants", "Alice Example,\r\n Bob, Jr., =?utf-8?B?Q2hsb8Or?="),
                header("X-RSMF-EventCollectionID", "thread-7"),
                header("X-Escrow-Release-ID", "any"),
                header("From", "Alice Example <alice@example.org>"),
                header("Subject", "a conversation"),
                header("MIME-Version", "1.0"),
                header("Content-Type", "multipart/mixed; boundary=\"the=boundary\""),
            ],
            text: "Alice: words\r\n".into(),
            manifest: manifest(),
            raw: None,
            members: vec![Member::new("alice.png", "a"), Member::new("team.png", "t"), Member::new("pic.bin", "12345")],
            attachment: "Content-Type: application/zip; name=\"rsmf.zip\"\r\nContent-Transfer-Encoding: base64\r\n\
                         Content-Disposition: attachment; filename=\"rsmf.zip\"\r\n"
                .into(),
            encoded: |text| text,
            zip: |bytes| bytes,
            count: None,
            further: String::new(),
            ending: "--the=boundary--\r\n",
        }
    }

    /// The value of a header that is there.
    pub(crate) fn header(&mut self, name: &str) -> &mut String {
        &mut self.headers.iter_mut().find(|(n, _)| n == name).unwrap().1
    }

    pub(crate) fn without(&mut self, name: &str) {
        let before = self.headers.len();
        self.headers.retain(|(n, _)| n != name);
        assert_eq!(self.headers.len() + 1, before);
    }

    /// What the manifest has at a JSON pointer.
    pub(crate) fn at(&mut self, pointer: &str) -> &mut Value {
        self.manifest.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}"))
    }

    /// Adds an event at the end, and to the headers.
    pub(crate) fn event(&mut self, event: Value) {
        self.at("/events").as_array_mut().unwrap().push(event);
        let count = self.at("/events").as_array().unwrap().len();
        *self.header("X-RSMF-EventCount") = count.to_string();
    }

    pub(crate) fn build(&self) -> Vec<u8> {
        let manifest = self.raw.clone().unwrap_or_else(|| self.manifest.to_string().into_bytes());
        let mut members = self.members.clone();
        if !members.iter().any(|m| m.name.contains("rsmf_manifest")) {
            members.insert(0, Member::new("rsmf_manifest.json", manifest));
        }
        let zip = STANDARD.encode((self.zip)(archive(&members, self.count)));
        let lines: String =
            zip.as_bytes().chunks(76).map(|l| format!("{}\r\n", std::str::from_utf8(l).unwrap())).collect();
        let headers: String = self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        format!(
            "{headers}\r\n--the=boundary\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{}\r\n--the=boundary\r\n{}\r\n{}\r\n{}{}",
            self.text, self.attachment, (self.encoded)(lines), self.further, self.ending
        )
        .into_bytes()
    }
}

/// A production in parts. In its tables `{md5}`, `{sha256}` and `{size}` are those of the RSMF file, with `2` behind
/// the name those of the attachment.
pub(crate) struct Production {
    pub(crate) rsmf: Rsmf,
    pub(crate) dat: String,
    pub(crate) counts: String,
    pub(crate) errors: String,
    pub(crate) more: Files,
}

pub(crate) const RSMF: &str = "data/threads/t7.rsmf";

/// A row of a load file.
pub(crate) fn row(values: &[&str]) -> String {
    values.iter().map(|v| format!("þ{v}þ")).collect::<Vec<_>>().join("\u{14}") + "\r\n"
}

impl Production {
    pub(crate) fn new() -> Self {
        let dat = [
            row(&[
                "DOCID",
                "BEGATTACH",
                "ENDATTACH",
                "PARENTID",
                "BEGINDATE",
                "ENDDATE",
                "EVENTCOUNT",
                "ATTACHCOUNT",
                "FILESIZE",
                "MD5HASH",
                "SHA256HASH",
                "NATIVEPATH",
                "TEXTPATH",
            ]),
            row(&[
                "A1",
                "A1",
                "A2",
                "",
                "2026-03-01T09:30:00Z",
                "2026-03-01T12:30:00Z",
                "9",
                "1",
                "{size}",
                "{md5}",
                "{sha256}",
                "threads\\t7.rsmf",
                "data/threads/t7.txt",
            ]),
            row(&[
                "A2",
                "A1",
                "A2",
                "A1",
                "03/01/2026",
                "",
                "",
                "",
                "{size2}",
                "{md52}",
                "{sha2562}",
                ".\\files\\pic.bin",
                "",
            ]),
        ];
        Self {
            rsmf: Rsmf::new(),
            dat: format!("\u{feff}{}", dat.concat()),
            counts: "file,conversation,begin,end,events,messages,attachments,undecryptable,bytes,md5,sha256\r\n\
                     threads/t7.rsmf,\"Alice, Bob\",2026-03-01T10:30:00+01:00,2026-03-01T12:30:00Z,9,4,1,1,{size},{md5},{sha256}\r\n"
                .into(),
            errors: "file,event,rule,what\r\n".into(),
            more: Files::new(),
        }
    }

    /// The payload, whose tables fit its files.
    pub(crate) fn payload(&self) -> Files {
        let mut files = Files::from([
            (RSMF.into(), self.rsmf.build()),
            ("data/threads/t7.txt".into(), b"words".to_vec()),
            ("data/files/pic.bin".into(), b"12345".to_vec()),
        ]);
        let fill = |text: &str| {
            let mut text = text.to_owned();
            for (path, tag) in [(RSMF, ""), ("data/files/pic.bin", "2")] {
                let bytes = &files[path];
                text = text.replace(&format!("{{size{tag}}}"), &bytes.len().to_string());
                text = text.replace(&format!("{{md5{tag}}}"), &hex::encode(Md5::digest(bytes)));
                text = text.replace(&format!("{{sha256{tag}}}"), &hex::encode(Sha256::digest(bytes)));
            }
            text.into_bytes()
        };
        let tables = [("loadfile.dat", &self.dat), ("counts.csv", &self.counts), ("errors.csv", &self.errors)];
        let tables = tables.map(|(name, text)| (format!("data/{name}"), fill(text)));
        files.extend(tables);
        files.extend(self.more.clone());
        files
    }
}

/// Lines of a manifest.
pub(crate) fn manifest_of<'a>(
    files: &Files,
    paths: impl Iterator<Item = &'a str>,
    digest: fn(&[u8]) -> String,
) -> Vec<u8> {
    paths.map(|p| format!("{}  {p}\n", digest(&files[p]))).collect::<String>().into_bytes()
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

pub(crate) fn sha512(bytes: &[u8]) -> String {
    hex::encode(Sha512::digest(bytes))
}

pub(crate) fn md5(bytes: &[u8]) -> String {
    hex::encode(Md5::digest(bytes))
}

/// The payload in a bag.
pub(crate) fn bag(payload: Files) -> Files {
    let listed: Vec<&str> = payload.keys().map(String::as_str).collect();
    let octets: usize = payload.values().map(Vec::len).sum();
    let tops = [
        ("bagit.txt", b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n".to_vec()),
        ("bag-info.txt", format!("Contact-Name: me\nPayload-Oxum: {octets}.{}\n", listed.len()).into_bytes()),
        ("manifest-sha256.txt", manifest_of(&payload, listed.iter().copied(), sha256)),
        ("manifest-sha512.txt", manifest_of(&payload, listed.iter().copied(), sha512)),
    ];
    let mut files = payload;
    files.extend(tops.map(|(name, bytes)| (name.to_owned(), bytes)));
    retag(&mut files);
    files
}

/// Makes the tag manifest anew.
pub(crate) fn retag(files: &mut Files) {
    files.remove("tagmanifest-sha256.txt");
    let tops: Vec<String> = files.keys().filter(|p| !p.contains('/')).cloned().collect();
    let tags = manifest_of(files, tops.iter().map(String::as_str), sha256);
    files.insert("tagmanifest-sha256.txt".into(), tags);
}

pub(crate) fn write(files: &Files, dir: &Path) {
    for (path, bytes) in files {
        let at = dir.join(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(at, bytes).unwrap();
    }
}
