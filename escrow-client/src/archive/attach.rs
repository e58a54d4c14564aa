//! Sealing the files that lines name, wherever in a folder they lie and whatever they are called.

use super::attachment::{FOLDER, attachment_file, seal_attachment};
use super::index::IndexAttachment;
use super::private::{self, FileError, fault};
use super::seal::SealedSegment;
use escrow_core::Digest;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use walkdir::WalkDir;
use zeroize::Zeroizing;

/// Bytes of a clear file that are hashed at a time.
const READ: usize = 64 * 1024;

/// A file that a line names, and the first line of its segment that does.
pub(super) struct Wanted {
    pub(super) line: u64,
    pub(super) name: String,
    pub(super) sha256: Digest,
    pub(super) size: u64,
}

impl fmt::Debug for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wanted(by line {}, redacted)", self.line)
    }
}

/// What became of the files that lines name.
#[derive(Debug, Default)]
pub struct AttachmentReport {
    /// Files sealed, one for each segment that names it.
    pub sealed: u64,
    /// Clear bytes in them.
    pub bytes: u64,
    /// Those that were not sealed, by line.
    pub missing: Vec<MissingAttachment>,
    /// Files of the folder that could not be read; a missing one may be among them.
    pub unreadable: Vec<FileError>,
}

impl AttachmentReport {
    /// True if every file that a line names was sealed.
    pub fn complete(&self) -> bool {
        self.missing.is_empty()
    }
}

/// A file that was not sealed. Its name is not told, because errors end up in logs.
#[derive(Debug)]
pub struct MissingAttachment {
    /// The first line of its segment that names it, from 1.
    pub line: u64,
    /// The SHA-256 in that line.
    pub sha256: Digest,
    /// Why.
    pub fault: AttachmentFault,
}

/// Why a file was not sealed.
#[derive(Debug, thiserror::Error)]
pub enum AttachmentFault {
    /// No file of that content.
    #[error("no file in the folder has this SHA-256; put it there and seal again")]
    Missing,
    /// None of that content, but one of that name.
    #[error("the file of that name has another SHA-256 ({0}); find the one that was sent, and seal again")]
    OtherContent(Digest),
    /// The line and the file differ.
    #[error("the line says {stated} bytes and the file has {found}; correct the line and seal again")]
    Size {
        /// Bytes by the line.
        stated: u64,
        /// Bytes of the file.
        found: u64,
    },
    /// Read twice, and not the same.
    #[error("the file changed while it was sealed; seal again when nobody writes to it")]
    Changed,
    /// The disk.
    #[error("{0}")]
    File(FileError),
}

/// The regular files below a folder. Links are not followed.
#[derive(Default)]
struct Found {
    by_digest: HashMap<Digest, (PathBuf, u64)>,
    by_name: HashMap<String, Digest>,
    unreadable: Vec<FileError>,
}

/// Seals what `segments` want from the files below `files` into the archive being made in `root`.
pub(super) fn seal_all(
    root: &Path,
    segments: &[SealedSegment],
    files: &Path,
    progress: &dyn Fn(u64, u64),
) -> Result<(AttachmentReport, Vec<IndexAttachment>), FileError> {
    let mut found = find(files, segments, progress)?;
    let folder = root.join(FOLDER);
    let mut report = AttachmentReport { unreadable: std::mem::take(&mut found.unreadable), ..Default::default() };
    let mut sealed = Vec::new();
    let mut wanted: Vec<_> = segments
        .iter()
        .flat_map(|s| s.wanted.iter().map(move |w| (attachment_file(&s.key, &s.about, &w.sha256), s, w)))
        .collect();
    // By name: in the order of the segments, the times of the files would tell a keeper what belongs together.
    wanted.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, segment, wanted) in wanted {
        match seal_one(root, &name, segment, wanted, &found)? {
            Ok(entry) => {
                report.sealed += 1;
                report.bytes += wanted.size;
                sealed.push(entry);
            }
            Err(fault) => report.missing.push(MissingAttachment { line: wanted.line, sha256: wanted.sha256, fault }),
        }
    }
    report.missing.sort_by_key(|m| m.line);
    if !sealed.is_empty() {
        private::sync_dir(&folder).map_err(fault("make", &folder))?;
    }
    Ok((report, sealed))
}

/// Reads every file once. Only those that are wanted are remembered.
fn find(folder: &Path, segments: &[SealedSegment], progress: &dyn Fn(u64, u64)) -> Result<Found, FileError> {
    fs::read_dir(folder).map_err(fault("look into", folder))?;
    let wanted = || segments.iter().flat_map(|s| &s.wanted);
    let digests: HashSet<&Digest> = wanted().map(|w| &w.sha256).collect();
    let names: HashSet<&str> = wanted().map(|w| w.name.as_str()).collect();
    let mut found = Found::default();
    let mut files = BTreeMap::new();
    for entry in WalkDir::new(folder) {
        match entry.and_then(|e| e.metadata().map(|m| (e.into_path(), m))) {
            Ok((path, m)) if m.is_file() => drop(files.insert(path, m.len())),
            Ok(_) => {}
            Err(e) => {
                let path = e.path().unwrap_or(folder).to_owned();
                found.unreadable.push(fault("read", &path)(e.into()));
            }
        }
    }
    let total = files.values().sum();
    let mut done = 0;
    for (path, length) in files {
        match digest(&path) {
            Ok((digest, size)) => {
                if let Some(name) = path.file_name().and_then(|n| n.to_str()).filter(|n| names.contains(n)) {
                    found.by_name.insert(name.to_owned(), digest);
                }
                if digests.contains(&digest) {
                    found.by_digest.insert(digest, (path, size));
                }
            }
            Err(e) => found.unreadable.push(e),
        }
        done += length;
        progress(done, total);
    }
    Ok(found)
}

fn digest(path: &Path) -> Result<(Digest, u64), FileError> {
    let mut file = File::open(path).map_err(fault("open", path))?;
    let mut hash = Sha256::new();
    let mut buffer = Zeroizing::new(vec![0; READ]);
    let mut size = 0;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok((Digest(hash.finalize().into()), size)),
            Ok(n) => {
                hash.update(buffer.get(..n).unwrap_or_default());
                size += n as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(fault("read", path)(e)),
        }
    }
}

/// The outer error is the archive's disk and ends everything; the inner one is about this file.
fn seal_one(
    root: &Path,
    name: &Path,
    segment: &SealedSegment,
    wanted: &Wanted,
    found: &Found,
) -> Result<Result<IndexAttachment, AttachmentFault>, FileError> {
    let Some((path, size)) = found.by_digest.get(&wanted.sha256) else {
        let other = found.by_name.get(&wanted.name).copied();
        return Ok(Err(other.map_or(AttachmentFault::Missing, AttachmentFault::OtherContent)));
    };
    if *size != wanted.size {
        return Ok(Err(AttachmentFault::Size { stated: wanted.size, found: *size }));
    }
    let input = match File::open(path) {
        Ok(file) => file,
        Err(e) => return Ok(Err(AttachmentFault::File(fault("open", path)(e)))),
    };
    let target = root.join(name);
    let folder = private::parent(&target);
    fs::create_dir_all(folder).map_err(fault("make", folder))?;
    let mut input = Source { file: input, broken: None };
    let mut out = tempfile::NamedTempFile::new_in(folder).map_err(fault("make a file in", folder))?;
    let made = seal_attachment(&segment.key, &segment.about, &wanted.sha256, &mut input, out.as_file_mut());
    let made = match (made, input.broken) {
        (_, Some(e)) => return Ok(Err(AttachmentFault::File(fault("read", path)(e)))),
        (Err(e), None) => return Err(fault("write", &target)(e)),
        (Ok(made), None) => made,
    };
    if (made.clear, made.clear_size) != (wanted.sha256, wanted.size) {
        return Ok(Err(AttachmentFault::Changed));
    }
    out.as_file().sync_all().map_err(fault("write", &target))?;
    out.persist_noclobber(&target).map_err(|e| fault("write", &target)(e.error))?;
    let file = name.to_str().unwrap_or_default().replace('\\', "/");
    Ok(Ok(IndexAttachment { file, digest: made.sealed, size: made.sealed_size }))
}

/// Tells a clear file that cannot be read from an archive that cannot be written.
struct Source {
    file: File,
    broken: Option<io::Error>,
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer).inspect_err(|e| {
            // `read_to_end` tries again after this one.
            if e.kind() != io::ErrorKind::Interrupted {
                self.broken = Some(io::Error::from(e.kind()));
            }
        })
    }
}

#[cfg(test)]
#[path = "attach_tests.rs"]
mod tests;
