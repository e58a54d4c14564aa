//! `archive verify`: what a keeper of the files can see without any key.
//!
//! Held against the index are names, digests, headers and counts; framing is held against the
//! format. That records open, and say what they should, only who has the key can see.

use super::attachment::{FOLDER, HEADER, is_framed};
use super::frame::{Framing, scan};
use super::index::{ArchiveIndex, INDEX, IndexAttachment, IndexEntry, IndexError, segment_file};
use super::segment::{SEGMENT_MAX, SegmentError, SegmentHeader};
use escrow_core::{Digest, Org};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use walkdir::WalkDir;

/// What is wrong with one file or entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FindingKind {
    /// Not the bytes that the index names.
    Altered,
    /// It breaks the format, or contradicts the index.
    Malformed,
    /// The index has the same thread and day, the same file or the same digest twice.
    Duplicate,
    /// Nothing in the index names it.
    Stray,
    /// The index names it, and it is not there or cannot be read.
    Missing,
}

impl FindingKind {
    /// One word for tables and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Altered => "altered",
            Self::Malformed => "malformed",
            Self::Duplicate => "duplicate",
            Self::Stray => "stray",
            Self::Missing => "missing",
        }
    }
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file, relative to the folder, as the index or the folder spells it: not to be trusted.
    pub file: String,
    /// What kind of thing.
    pub kind: FindingKind,
    /// The rule that it breaks, in words.
    pub rule: String,
}

/// What was looked at and found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// Segments that the index names.
    pub segments: u64,
    /// Attachments that the index names.
    pub attachments: u64,
    /// Messages in the segments, by the index.
    pub messages: u64,
    /// Bytes of all files that were read.
    pub bytes: u64,
    /// What is wrong, by file.
    pub findings: Vec<Finding>,
}

impl Verification {
    /// True if all is there and as it was sealed, as far as can be seen without keys.
    pub fn holds(&self) -> bool {
        self.findings.is_empty()
    }

    /// True if something is there that should not be so: anything but missing files.
    pub fn altered(&self) -> bool {
        self.findings.iter().any(|f| f.kind != FindingKind::Missing)
    }
}

/// Verifies the folder of an archive, reading each file once as a stream.
///
/// `progress` hears bytes read and bytes to read.
///
/// # Errors
/// [`IndexError`] about `archive.json` or the folder; what is wrong with other files is a finding.
pub fn verify(dir: &Path, progress: &dyn Fn(u64, u64)) -> Result<Verification, IndexError> {
    let index = ArchiveIndex::load(dir)?;
    let mut check = Check { dir, progress, total: 0, files: BTreeMap::new(), out: Verification::default() };
    check.list();
    let (mut days, mut digests) = (HashSet::new(), HashSet::new());
    for entry in &index.segments {
        check.out.segments += 1;
        check.out.messages = check.out.messages.saturating_add(entry.messages);
        let new = days.insert((entry.thread, entry.from.day()));
        check.rule(&entry.file, new, FindingKind::Duplicate, "the index has this thread and day twice");
        let new = digests.insert(entry.digest);
        check.rule(&entry.file, new, FindingKind::Duplicate, "the index has this digest twice");
        check.segment(&index.org, entry);
    }
    let mut files = HashSet::new();
    for entry in &index.attachments {
        check.out.attachments += 1;
        let new = files.insert(&entry.file) && digests.insert(entry.digest);
        check.rule(&entry.file, new, FindingKind::Duplicate, "the index has this file or digest twice");
        check.attachment(entry);
    }
    let named = index.segments.iter().map(|e| &e.file).chain(index.attachments.iter().map(|e| &e.file));
    let named: HashSet<&str> = named.map(String::as_str).chain([INDEX]).collect();
    let strays: Vec<String> = check.files.keys().filter(|f| !named.contains(f.as_str())).cloned().collect();
    for file in strays {
        check.find(&file, FindingKind::Stray, "the index does not name it");
    }
    check.out.findings.sort_by(|a, b| (&a.file, a.kind, &a.rule).cmp(&(&b.file, b.kind, &b.rule)));
    (check.progress)(check.total, check.total);
    Ok(check.out)
}

struct Check<'a> {
    dir: &'a Path,
    progress: &'a dyn Fn(u64, u64),
    total: u64,
    /// Length of each regular file, none for links and other things; folders do not count.
    files: BTreeMap<String, Option<u64>>,
    out: Verification,
}

impl Check<'_> {
    fn find(&mut self, file: &str, kind: FindingKind, rule: impl Into<String>) {
        self.out.findings.push(Finding { file: file.to_owned(), kind, rule: rule.into() });
    }

    fn rule(&mut self, file: &str, holds: bool, kind: FindingKind, rule: &str) {
        if !holds {
            self.find(file, kind, rule);
        }
    }

    fn list(&mut self) {
        for entry in WalkDir::new(self.dir).min_depth(1) {
            match entry {
                Ok(entry) if entry.file_type().is_dir() => {}
                Ok(entry) => {
                    let name = entry.path().strip_prefix(self.dir).unwrap_or(entry.path());
                    let name = name.to_string_lossy().replace('\\', "/");
                    let length = entry.metadata().ok().filter(std::fs::Metadata::is_file).map(|m| m.len());
                    self.total += length.unwrap_or(0);
                    self.files.insert(name, length);
                }
                Err(e) => {
                    let name = e.path().unwrap_or(self.dir).to_string_lossy().into_owned();
                    self.find(&name, FindingKind::Missing, format!("cannot be read: {}", io::Error::from(e)));
                }
            }
        }
    }

    /// The length of a regular file of the folder, or a finding.
    fn there(&mut self, file: &str) -> Option<u64> {
        match self.files.get(file).copied() {
            None => self.find(file, FindingKind::Missing, "the index names it and it is not there"),
            Some(None) => self.find(file, FindingKind::Malformed, "not a regular file"),
            Some(length) => return length,
        }
        None
    }

    fn segment(&mut self, org: &Org, entry: &IndexEntry) {
        let file = &entry.file;
        // No other name is opened: the index of a stranger may name any file of this machine.
        if *file != segment_file(&entry.thread, entry.from.day()).to_string_lossy().replace('\\', "/")
            || entry.day != entry.from.day().to_string()
        {
            return self.find(file, FindingKind::Malformed, "its name in the index is not that of its thread and day");
        }
        let Some(length) = self.there(file) else { return };
        self.rule(file, length <= SEGMENT_MAX, FindingKind::Malformed, "larger than any segment");
        let Some((digest, (header, framing))) = self.read(file, |input| scan(input)) else { return };
        self.rule(file, digest == entry.digest, FindingKind::Altered, "its SHA-256 is not the one in the index");
        let rule = match framing {
            Framing::Header(SegmentError::Version(n)) => Some(format!("format version {n} is not known here")),
            Framing::Header(_) => Some("does not begin with the header of a segment".into()),
            Framing::Cut(n) => Some(format!("ends in or before record {n}, without its final record")),
            Framing::Record(n) => Some(format!("record {n} has an impossible kind or length")),
            Framing::Trailing => Some("bytes after the final record".into()),
            Framing::Whole(n) if n != entry.messages => Some(format!("{n} messages, {} by the index", entry.messages)),
            Framing::Whole(_) => None,
        };
        if let Some(rule) = rule {
            self.find(file, FindingKind::Malformed, rule);
        }
        let (thread, era, epoch, from, to) = (entry.thread, entry.era, entry.epoch, entry.from, entry.to);
        let expected = SegmentHeader { org: org.clone(), thread, era, epoch, from, to };
        if let Some(Err(SegmentError::About(what))) = header.map(|h| h.compare(&expected)) {
            self.find(file, FindingKind::Malformed, format!("its header names another {what} than the index"));
        }
    }

    fn attachment(&mut self, entry: &IndexAttachment) {
        let file = &entry.file;
        let name = file.strip_prefix(FOLDER).and_then(|f| f.strip_prefix('/')).and_then(|f| f.strip_suffix(".att"));
        if name.is_none_or(|n| n.parse::<Digest>().is_err()) {
            return self.find(file, FindingKind::Malformed, "its name in the index is not that of an attachment");
        }
        let Some(length) = self.there(file) else { return };
        let start = |input: &mut BufReader<Watched<'_>>| {
            let mut start = Vec::new();
            input.take(HEADER as u64).read_to_end(&mut start).map(|_| start)
        };
        let Some((digest, start)) = self.read(file, start) else { return };
        let same = digest == entry.digest && length == entry.size;
        self.rule(file, same, FindingKind::Altered, "its SHA-256 or length is not the one in the index");
        let framed = is_framed(&start, length);
        self.rule(file, framed, FindingKind::Malformed, "not framed as an attachment of a version known here");
    }

    /// Reads a file to its end: its digest, and what `look` makes of its beginning.
    fn read<T>(
        &mut self,
        file: &str,
        look: impl FnOnce(&mut BufReader<Watched<'_>>) -> io::Result<T>,
    ) -> Option<(Digest, T)> {
        let (progress, total, before) = (self.progress, self.total, self.out.bytes);
        let tell = move |read: u64| progress(before.saturating_add(read).min(total), total);
        let read = || {
            let file = File::open(self.dir.join(file))?;
            let mut input = BufReader::new(Watched { file, hash: Sha256::new(), read: 0, tell: &tell });
            let seen = look(&mut input)?;
            io::copy(&mut input, &mut io::sink())?;
            let Watched { hash, read, .. } = input.into_inner();
            Ok::<_, io::Error>((Digest(hash.finalize().into()), read, seen))
        };
        match read() {
            Ok((digest, read, seen)) => {
                self.out.bytes = self.out.bytes.saturating_add(read);
                Some((digest, seen))
            }
            Err(e) => {
                self.find(file, FindingKind::Missing, format!("cannot be read: {e}"));
                None
            }
        }
    }
}

/// Hashes what goes by.
struct Watched<'a> {
    file: File,
    hash: Sha256,
    read: u64,
    tell: &'a dyn Fn(u64),
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buffer)?;
        self.hash.update(buffer.get(..n).unwrap_or_default());
        self.read += n as u64;
        (self.tell)(self.read);
        Ok(n)
    }
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
