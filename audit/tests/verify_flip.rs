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

/// The attacker's copy of the bundle, with what an honest one looks like.
struct Attacker<'a> {
    good: &'a Files,
    digests: BTreeMap<String, Digest>,
    matters: BTreeSet<MatterId>,
    files: Files,
    changed: Vec<String>,
    /// Where each log names a digest: path and offset.
    named: HashMap<Digest, Vec<(String, usize)>>,
}

impl<'a> Attacker<'a> {
    fn new(good: &'a Files) -> Self {
        let digests = good.iter().map(|(p, b)| (p.clone(), Digest::of(b))).collect();
        let statements = good.iter().filter(|(p, _)| p.starts_with("data/statements/"));
        let envelopes = statements.map(|(_, b)| Envelope::parse(b).unwrap()).filter(|e| e.kind() == Kind::Request);
        let matters = envelopes.map(|e| e.decode::<Request>().unwrap().matter).collect();
        Self { good, digests, matters, files: good.clone(), changed: vec![], named: HashMap::new() }
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

    /// Makes everything anew that follows from the changed file; answers its new name.
    fn recompute(&mut self, path: &str) -> String {
        let bytes = self.files[path].clone();
        let mut name = path.to_owned();
        if path.starts_with("data/statements/") || path.starts_with("data/charters/") {
            let (old, new) = (Envelope::parse(&self.good[path]).unwrap(), Envelope::parse(&bytes));
            let mut names = vec![(old.envelope_digest(), Digest::of(&bytes))];
            names.extend(new.ok().map(|new| (old.digest(), new.digest())));
            if path.starts_with("data/statements/") {
                name = self.rename(path, &format!("data/statements/{}.json", Digest::of(&bytes)));
            }
            self.replace(&names);
        } else if path.starts_with("data/attachments/") {
            name = self.rename(path, &format!("data/attachments/{}", Digest::of(&bytes)));
            self.replace(&[(self.digests[path], Digest::of(&bytes))]);
        } else if path.ends_with("entries.jsonl") {
            self.rechain(path, &bytes);
        } else if path == INDEX
            && let Ok(index) = Index::decode(&bytes)
        {
            self.put(README, index.readme().into_bytes());
            let payload =
                self.files.iter().filter(|(p, _)| p.starts_with("data/")).map(|(p, b)| (p.clone(), b.clone()));
            let info = index.bag_info(&self.matters, &payload.collect());
            self.put(bagit::INFO, info.into_bytes());
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
        let mut logs: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for (old, new) in names {
            let places = self.named.entry(*old).or_insert_with(|| places(self.good, old));
            for (path, at) in places {
                let bytes = logs.entry(path.clone()).or_insert_with(|| self.good[path].clone());
                bytes[*at..*at + 64].copy_from_slice(new.to_string().as_bytes());
            }
        }
        for (path, bytes) in logs {
            self.rechain(&path, &bytes);
        }
    }

    /// Every entry after the first changed one gets the digest of the one before.
    fn rechain(&mut self, path: &str, bytes: &[u8]) {
        let old: Vec<&[u8]> = self.good[path].split(|b| *b == b'\n').collect();
        let mut lines: Vec<Vec<u8>> = bytes.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
        let first = lines.iter().zip(&old).position(|(a, b)| a != b).unwrap_or(0);
        for i in first.max(1)..lines.len() {
            let head = hex::encode(leaf_hash(&lines[i - 1]));
            let prev = String::from_utf8_lossy(&lines[i]).find("\"prev\":\"");
            if let Some(at) = prev.filter(|at| lines[i].len() >= at + 72) {
                lines[i][at + 8..at + 72].copy_from_slice(head.as_bytes());
            }
        }
        self.put(path, lines.join(&b'\n'));
    }

    fn manifests(&mut self) {
        let digest =
            |p: &str, b: &[u8]| if self.changed.iter().any(|c| c == p) { Digest::of(b) } else { self.digests[p] };
        let payload = self.files.iter().filter(|(p, _)| p.starts_with("data/"));
        let listed = bagit::manifest(payload.map(|(p, b)| (p.as_str(), digest(p, b))));
        self.put(bagit::MANIFEST, listed);
        let tags = [bagit::DECLARATION, bagit::INFO, bagit::MANIFEST];
        let tags = bagit::manifest(tags.map(|t| (t, Digest::of(&self.files[t]))));
        self.put(bagit::TAG_MANIFEST, tags);
    }
}

fn places(good: &Files, digest: &Digest) -> Vec<(String, usize)> {
    let logs = good.iter().filter(|(p, _)| p.ends_with("/entries.jsonl"));
    let at = |(p, b): (&String, &Vec<u8>)| {
        let found: Vec<_> =
            std::str::from_utf8(b).unwrap().match_indices(&digest.to_string()).map(|(at, _)| (p.clone(), at)).collect();
        found
    };
    logs.flat_map(at).collect()
}

/// The class must be that of an altered package, and nothing may be blamed on anybody.
fn judge(report: &Report, file: &str, name: &str, offset: usize, how: &str) {
    let at = format!("{file} offset {offset} {how}: {:#?}", report.findings);
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
        && report
            .findings
            .iter()
            .any(|f| [bagit::INFO, README].contains(&f.file.as_str()) || f.detail.contains(INDEX) || f.rule == "view");
    assert!(names || follows, "{at}");
}

/// Flips every offset that falls to this thread, both ways; answers how many of each.
fn flip(good: &Files, pinned: &Digest, thread: usize, threads: usize) -> (usize, usize, usize) {
    let mut attacker = Attacker::new(good);
    let (mut plain, mut anew, mut restored) = (0, 0, 0);
    let mut position = 0;
    for (path, bytes) in good {
        for offset in 0..bytes.len() {
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
            let name = attacker.recompute(path);
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
    let size: usize = good.values().map(Vec::len).sum();
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
