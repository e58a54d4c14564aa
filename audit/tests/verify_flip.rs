//! Every byte of a real bundle flipped, once as a disk would and once as an attacker without keys
//! would: with every unkeyed hash, name and derived text made anew. Nothing passes, nothing is
//! blamed on a node, and the finding names the file or the one that lists it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{Cluster, Files};
use escrow_audit::bagit;
use escrow_audit::bundle::{Index, README};
use escrow_audit::entry::leaf_hash;
use escrow_audit::finding::{Class, Report};
use escrow_audit::verify::verify;
use escrow_core::request::Request;
use escrow_core::{Digest, Envelope, Kind, MatterId};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

const INDEX: &str = "data/bundle.json";

/// Where an entry stands in its file, and its `prev` digits.
struct Line {
    start: usize,
    end: usize,
    prev: usize,
}

/// The attacker's copy of the bundle, with what an honest one looks like.
struct Attacker<'a> {
    good: &'a Files,
    /// Payload and envelope digest of each statement file.
    statements: BTreeMap<&'a str, (Digest, Digest)>,
    matters: BTreeSet<MatterId>,
    lines: BTreeMap<&'a str, Vec<Line>>,
    listed: BTreeMap<&'a str, String>,
    /// Where each log names a digest.
    named: HashMap<Digest, Vec<(&'a str, usize)>>,
    files: Files,
    changed: Vec<String>,
}

fn list(path: &str, bytes: &[u8]) -> String {
    format!("{}  {path}\n", Digest::of(bytes))
}

impl<'a> Attacker<'a> {
    fn new(good: &'a Files) -> Self {
        let under = |folder: &'static str| good.iter().filter(move |(p, _)| p.starts_with(folder));
        let (mut statements, mut matters) = (BTreeMap::new(), BTreeSet::new());
        for (path, bytes) in under("data/statements/").chain(under("data/charters/")) {
            let e = Envelope::parse(bytes).unwrap();
            statements.insert(path.as_str(), (e.digest(), e.envelope_digest()));
            if e.kind() == Kind::Request {
                matters.insert(e.decode::<Request>().unwrap().matter);
            }
        }
        let mut lines = BTreeMap::new();
        for (path, bytes) in under("data/logs/").filter(|(p, _)| p.ends_with("/entries.jsonl")) {
            let (mut all, mut start) = (vec![], 0);
            for line in std::str::from_utf8(bytes).unwrap().lines() {
                let prev = start + line.find("\"prev\":\"").unwrap() + 8;
                all.push(Line { start, end: start + line.len(), prev });
                start += line.len() + 1;
            }
            lines.insert(path.as_str(), all);
        }
        let listed = under("data/").map(|(p, b)| (p.as_str(), list(p, b))).collect();
        let named = HashMap::new();
        Self { good, statements, matters, lines, listed, named, files: good.clone(), changed: vec![] }
    }

    fn put(&mut self, path: &str, bytes: Vec<u8>) {
        self.files.insert(path.to_owned(), bytes);
        self.changed.push(path.to_owned());
    }

    /// Undoes everything.
    fn reset(&mut self) {
        for path in std::mem::take(&mut self.changed) {
            match self.good.get(&path) {
                Some(bytes) => self.files.insert(path, bytes.clone()),
                None => self.files.remove(&path),
            };
        }
    }

    /// Makes everything anew that follows from the changed byte; answers the file's new name.
    fn recompute(&mut self, path: &str, offset: usize) -> String {
        let bytes = self.files[path].clone();
        let digest = Digest::of(&bytes);
        let mut name = path.to_owned();
        if path.starts_with("data/statements/") {
            name = self.rename(path, &format!("data/statements/{digest}.json"));
        }
        if let Some((payload, envelope)) = self.statements.get(path).copied() {
            // What is no envelope any more is found out before any log is looked at.
            if let Ok(new) = Envelope::parse(&bytes) {
                self.replace(&[(envelope, digest), (payload, new.digest())]);
            }
        } else if path.starts_with("data/attachments/") {
            name = self.rename(path, &format!("data/attachments/{digest}"));
            self.replace(&[(Digest::of(&self.good[path]), digest)]);
        } else if path.ends_with("entries.jsonl") {
            // Entries joined or torn apart are none; there is nothing to chain.
            if bytes[offset] != b'\n' && self.good[path][offset] != b'\n' {
                self.rechain(path, bytes, offset);
            }
        } else if path == INDEX
            && let Ok(index) = Index::decode(&bytes)
        {
            self.put(README, index.readme().into_bytes());
            let payload = self.files.iter().filter(|(p, _)| p.starts_with("data/"));
            let payload = payload.map(|(p, b)| (p.clone(), b.clone())).collect();
            self.put(bagit::INFO, index.bag_info(&self.matters, &payload).into_bytes());
        }
        self.manifests();
        name
    }

    fn rename(&mut self, from: &str, to: &str) -> String {
        let bytes = self.files.remove(from).unwrap();
        self.changed.push(from.to_owned());
        self.put(to, bytes);
        to.to_owned()
    }

    /// Writes new digests for old into every log, and chains the logs again.
    fn replace(&mut self, names: &[(Digest, Digest)]) {
        let mut logs: BTreeMap<&str, (Vec<u8>, usize)> = BTreeMap::new();
        for (old, new) in names.iter().filter(|(old, new)| old != new) {
            let new = new.to_string();
            for (path, at) in self.named.entry(*old).or_insert_with(|| places(self.good, old)) {
                let (bytes, first) = logs.entry(path).or_insert_with(|| (self.good[*path].clone(), *at));
                bytes[*at..*at + 64].copy_from_slice(new.as_bytes());
                *first = *at.min(first);
            }
        }
        for (path, (bytes, first)) in logs {
            self.rechain(path, bytes, first);
        }
    }

    /// From the entry at an offset on, each names the one before.
    fn rechain(&mut self, path: &str, mut bytes: Vec<u8>, offset: usize) {
        let lines = &self.lines[path];
        let first = lines.iter().position(|l| offset < l.end).unwrap();
        for pair in lines[first.saturating_sub(1)..].windows(2) {
            let head = hex::encode(leaf_hash(&bytes[pair[0].start..pair[0].end]));
            bytes[pair[1].prev..pair[1].prev + 64].copy_from_slice(head.as_bytes());
        }
        self.put(path, bytes);
    }

    fn manifests(&mut self) {
        let mut listed = String::new();
        for (path, bytes) in self.files.iter().filter(|(p, _)| p.starts_with("data/")) {
            match self.listed.get(path.as_str()) {
                Some(line) if !self.changed.contains(path) => listed.push_str(line),
                _ => listed.push_str(&list(path, bytes)),
            }
        }
        self.put(bagit::MANIFEST, listed.into_bytes());
        let tags = [bagit::INFO, bagit::DECLARATION, bagit::MANIFEST].map(|t| list(t, &self.files[t])).concat();
        self.put(bagit::TAG_MANIFEST, tags.into_bytes());
    }
}

fn places<'a>(good: &'a Files, digest: &Digest) -> Vec<(&'a str, usize)> {
    let logs = good.iter().filter(|(p, _)| p.ends_with("/entries.jsonl"));
    let hex = digest.to_string();
    let at = |(p, b): (&'a String, &'a Vec<u8>)| {
        let found = std::str::from_utf8(b).unwrap().match_indices(&hex).map(|(at, _)| at);
        found.map(|at| (p.as_str(), at)).collect::<Vec<_>>()
    };
    logs.flat_map(at).collect()
}

/// Reports are longer than all the rest, and one comparison of bytes finds whatever is wrong in them.
fn flipped(path: &str, offset: usize) -> bool {
    !path.starts_with("data/report/") || offset.is_multiple_of(499)
}

/// The class must be that of an altered package, and nothing may be blamed on anybody.
fn judge(report: &Report, file: &str, name: &str, offset: usize, how: &str) {
    let at = format!("{file} offset {offset} {how}: {:#?}", report.findings);
    if file == INDEX && report.findings.iter().any(|f| f.rule == "report-version") {
        // Reports of a version from elsewhere are not judged, and the answer says that.
        assert_eq!((report.verdict, report.findings.len()), (Class::Incomplete, 1), "{at}");
        return;
    }
    assert!(matches!(report.verdict, Class::Tampered | Class::Malformed), "{at}");
    let blames = |c: Class| matches!(c, Class::Violation | Class::Misbehaviour);
    assert!(!report.findings.iter().any(|f| blames(f.class)), "{at}");
    // Only what is no statement, log or key at all may be called malformed.
    let outer = [bagit::DECLARATION, bagit::TAG_MANIFEST, INDEX].contains(&file);
    assert!(report.verdict == Class::Tampered || outer, "{at}");
    let lists = |f: &str| match file.split('/').nth(1) {
        Some("statements" | "charters" | "attachments") => f.ends_with("/entries.jsonl"),
        _ => false,
    };
    let names =
        report.findings.iter().any(|f| f.file == file || f.file == name || f.detail.contains(file) || lists(&f.file));
    // Index and bag-info follow from each other and from what they list.
    let follows = file == INDEX
        && report.findings.iter().any(|f| {
            [bagit::INFO, README].contains(&f.file.as_str())
                || f.detail.contains(INDEX)
                || ["view", "unreferenced"].contains(&f.rule.as_str())
        });
    assert!(names || follows, "{at}");
}

/// Flips every offset that falls to this thread, both ways; answers how many of each.
fn flip(good: &Files, pinned: &Digest, thread: usize, threads: usize) -> (usize, usize, usize) {
    let mut attacker = Attacker::new(good);
    let (mut plain, mut anew, mut restored) = (0, 0, 0);
    let mut position = 0;
    for (path, bytes) in good {
        for offset in (0..bytes.len()).filter(|o| flipped(path, *o)) {
            position += 1;
            if position % threads != thread {
                continue;
            }
            // Each bit gets its turn; 0x20 is what turns hex digits into their other case.
            let mut bent = bytes.clone();
            bent[offset] ^= 1 << (offset % 8);
            attacker.put(path, bent);
            judge(&verify(&attacker.files, pinned), path, path, offset, "as it is");
            plain += 1;
            let name = attacker.recompute(path, offset);
            if attacker.files == *good {
                restored += 1; // a manifest made anew is the old one
            } else {
                judge(&verify(&attacker.files, pinned), path, &name, offset, "made anew");
                anew += 1;
            }
            attacker.reset();
        }
    }
    (plain, anew, restored)
}

#[test]
fn every_byte_counts() {
    let mut c = Cluster::honest();
    c.settle();
    let good = c.full();
    assert_eq!(verify(&good, &c.genesis).verdict, Class::Ok);
    let size: usize = good.iter().map(|(p, b)| (0..b.len()).filter(|o| flipped(p, *o)).count()).sum();
    assert!(size <= 64 * 1024, "{size} bytes: keep the story small");
    let (start, threads) = (Instant::now(), 2);
    let (pinned, good) = (c.genesis, &good);
    let sums = std::thread::scope(|s| {
        let handles: Vec<_> = (0..threads).map(|t| s.spawn(move || flip(good, &pinned, t, threads))).collect();
        handles.into_iter().map(|h| h.join().unwrap()).fold((0, 0, 0), |a, b| (a.0 + b.0, a.1 + b.1, a.2 + b.2))
    });
    let (plain, anew, restored) = sums;
    println!(
        "{size} bytes in {} files: {plain} flips as they are, {anew} made anew, in {:?}",
        good.len(),
        start.elapsed()
    );
    assert_eq!((plain, anew + restored), (size, size));
    // Manifests and the 64 digits of each `prev` are themselves unkeyed hashes.
    let entries: usize = c.nodes.iter().map(|n| n.entries.len() - 1).sum();
    assert_eq!(restored, good[bagit::MANIFEST].len() + good[bagit::TAG_MANIFEST].len() + 64 * entries);
}
