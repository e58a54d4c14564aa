//! A bundle is judged alike from memory and from disk, and whatever its size in little memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "common/mod.rs"]
mod common;

use common::forge::{entries_path, expect, repack};
use common::{Cluster, Files as Map, seat_index};
use escrow_audit::bundle::{Bundle, Folder};
use escrow_audit::entry::MAX_ENTRY_LEN;
use escrow_audit::files::{FILE_MAX, Files};
use escrow_audit::finding::Class;
use escrow_audit::verify::{Options, verify, verify_with};
use escrow_core::limits::ENVELOPE_MAX;
use escrow_core::{Digest, Kind};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::PathBuf;

fn settled() -> Cluster {
    let mut c = Cluster::honest();
    c.settle();
    c
}

fn folder(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("streaming-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    path
}

/// Files that count how much is read of each, and may change, vanish or seem larger later.
struct Watched {
    files: Map,
    read: RefCell<BTreeMap<String, u64>>,
    opened: RefCell<BTreeMap<String, u64>>,
    larger: BTreeMap<String, u64>,
    /// From this opening on, a file has other bytes, or fails.
    later: Option<(String, u64, Option<Vec<u8>>)>,
}

impl Watched {
    fn new(files: Map) -> Self {
        let (read, opened) = (RefCell::default(), RefCell::default());
        Self { files, read, opened, larger: BTreeMap::new(), later: None }
    }
}

struct Counted<'a> {
    from: Box<dyn Read + 'a>,
    path: String,
    to: &'a RefCell<BTreeMap<String, u64>>,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.from.read(buffer)?;
        *self.to.borrow_mut().entry(self.path.clone()).or_default() += n as u64;
        Ok(n)
    }
}

impl Files for Watched {
    fn list(&self) -> Box<dyn Iterator<Item = (&str, u64)> + '_> {
        Box::new(self.files.keys().map(|p| (p.as_str(), self.size(p).unwrap())))
    }

    fn size(&self, path: &str) -> Option<u64> {
        let larger = self.larger.get(path).copied();
        larger.or_else(|| self.files.get(path).map(|b| b.len() as u64))
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn Read + '_>> {
        let mut opened = self.opened.borrow_mut();
        let times = opened.entry(path.to_owned()).or_default();
        *times += 1;
        let from: Box<dyn Read + '_> = match (&self.later, self.larger.get(path)) {
            (Some((p, from, bytes)), _) if p == path && *times >= *from => match bytes {
                Some(bytes) => Box::new(bytes.as_slice()),
                None => return Err(io::Error::other("the disk is broken")),
            },
            (_, Some(size)) => Box::new(io::repeat(b'x').take(*size)),
            _ => self.files.open(path)?,
        };
        Ok(Box::new(Counted { from, path: path.to_owned(), to: &self.read }))
    }
}

#[test]
fn a_folder_is_judged_as_what_was_written_into_it() {
    let c = settled();
    let mut bent = c.full();
    bent.get_mut("data/bundle.json").unwrap()[30] ^= 1;
    let mut missing = c.full();
    let path = format!("data/statements/{}.json", c.consent.as_ref().unwrap().envelope_digest());
    missing.remove(&path);
    for (at, files) in [c.full(), bent.clone(), repack(bent), repack(missing)].into_iter().enumerate() {
        let root = folder(&format!("same-{at}"));
        Bundle { files: files.clone() }.write_dir(&root).unwrap();
        let streamed = verify(&Folder::open(&root).unwrap(), &c.genesis);
        assert_eq!(streamed, verify(&files, &c.genesis));
        std::fs::remove_dir_all(&root).unwrap();
    }
}

#[test]
fn a_file_beyond_its_bound_is_malformed_and_not_read() {
    let c = settled();
    let statement = format!("data/statements/{}.json", c.consent.as_ref().unwrap().envelope_digest());
    for path in [statement.as_str(), "data/README.txt", "manifest-sha256.txt", "bag-info.txt", "data/new"] {
        let mut files = Watched::new(c.full());
        files.files.entry(path.to_owned()).or_default();
        files.larger.insert(path.to_owned(), FILE_MAX + 1);
        expect(&verify(&files, &c.genesis), Class::Malformed, &["too-large"]);
        assert_eq!(files.read.borrow().get(path), None, "{path}");
    }
    // At the bound it is read, in pieces, and is simply another file.
    let mut files = Watched::new(c.full());
    files.larger.insert(statement.clone(), FILE_MAX);
    expect(&verify(&files, &c.genesis), Class::Tampered, &["digest"]);
}

#[test]
fn a_line_without_end_is_malformed_and_not_read_to_its_end() {
    let c = settled();
    let path = entries_path(0);
    let size = 1 << 30;
    // The manifest of an attacker who is thorough says what the file is.
    let mut files = Watched::new(c.full());
    files.larger.insert(path.clone(), size);
    let once = Cell::new(0);
    expect(&verify(&files, &c.genesis), Class::Tampered, &["digest"]);
    once.set(files.read.borrow()[&path]);
    assert_eq!(once.get(), size);
    let digest = {
        use sha2::Digest as _;
        let mut hash = sha2::Sha256::new();
        let chunk = vec![b'x'; 1 << 20];
        (0..1024).for_each(|_| hash.update(&chunk));
        Digest(hash.finalize().into())
    };
    let manifest = String::from_utf8(files.files["manifest-sha256.txt"].clone()).unwrap();
    let line = manifest.lines().find(|l| l.ends_with(&path)).unwrap();
    let manifest = manifest.replace(line, &format!("{digest}  {path}"));
    let tags = String::from_utf8(files.files["tagmanifest-sha256.txt"].clone()).unwrap();
    let line = tags.lines().find(|l| l.ends_with("manifest-sha256.txt")).unwrap();
    let tags = tags.replace(line, &format!("{}  manifest-sha256.txt", Digest::of(manifest.as_bytes())));
    files.files.insert("manifest-sha256.txt".into(), manifest.into_bytes());
    files.files.insert("tagmanifest-sha256.txt".into(), tags.into_bytes());
    files.read.borrow_mut().clear();
    let report = verify(&files, &c.genesis);
    expect(&report, Class::Malformed, &["line"]);
    assert_eq!((report.findings[0].file.as_str(), report.findings[0].seat), (path.as_str(), Some(seat_index(1))));
    // Once for the manifest, and then no further than one buffer behind the longest line.
    assert!(files.read.borrow()[&path] < size + 16 * MAX_ENTRY_LEN as u64);
}

#[test]
fn what_changes_between_two_readings_is_not_believed() {
    let c = settled();
    let full = c.full();
    let entries = entries_path(1);
    // Read for the manifest, for the chain, and for the acts.
    let mut other = full[&entries].clone();
    // Still an entry, so that only the root can tell.
    let digit = other.windows(8).rposition(|w| w == b"\"prev\":\"").unwrap() + 8;
    other[digit] = if other[digit] == b'0' { b'1' } else { b'0' };
    for (from, bytes, class, rule) in [
        (2, Some(other.clone()), Class::Tampered, "root"),
        (3, Some(other), Class::Malformed, "unreadable"),
        (3, Some(b"{}\n".to_vec()), Class::Malformed, "unreadable"),
        (1, None, Class::Malformed, "unreadable"),
        (2, None, Class::Malformed, "unreadable"),
        (3, None, Class::Malformed, "unreadable"),
    ] {
        let mut files = Watched::new(full.clone());
        files.later = Some((entries.clone(), from, bytes));
        let report = verify(&files, &c.genesis);
        assert_eq!(report.verdict, class, "{from}: {:#?}", report.findings);
        assert!(report.findings.iter().any(|f| f.rule == rule && f.file == entries), "{:#?}", report.findings);
    }
    let statement = c.statements.iter().find(|e| e.kind() == Kind::Deposit).unwrap();
    let path = format!("data/statements/{}.json", statement.envelope_digest());
    let other = c.consent.as_ref().unwrap().bytes().to_vec();
    for (bytes, class, rule) in [
        (Some(other), Class::Malformed, "unreadable"),
        (None, Class::Malformed, "unreadable"),
        (Some(vec![b'x'; ENVELOPE_MAX + 1]), Class::Tampered, "envelope"),
    ] {
        let mut files = Watched::new(full.clone());
        files.later = Some((path.clone(), 2, bytes));
        let report = verify(&files, &c.genesis);
        expect(&report, class, &[rule]);
        assert_eq!(report.findings[0].file, path);
    }
}

#[test]
fn a_log_is_read_three_times_and_a_statement_not_for_each_log() {
    let c = settled();
    // Reports read each log for who asks, for all that concerns it, and for its counts.
    for (reports, more) in [(false, 0), (true, 3)] {
        let files = Watched::new(c.full());
        let options = Options { reports, ..Options::default() };
        expect(&verify_with(&files, &c.genesis, options), Class::Ok, &[]);
        for (path, times) in files.opened.borrow().iter() {
            let most = if path.ends_with("entries.jsonl") { 3 } else { 2 };
            // Notes of deliveries are asked for their size first and for their meaning later.
            let most = if path.starts_with("data/attachments/") { 3 } else { most };
            assert!(*times <= most + more, "{path}: {times}");
        }
    }
}
