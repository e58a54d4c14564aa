//! `archive seal`: message lines in, one sealed segment for each thread and UTC day out.
//!
//! Lines are sealed as they are read: memory grows with the number of segments, and by some 50
//! bytes a line, and no message is ever written in clear. Everything is built in a hidden folder
//! next to the target and renamed at the end: a bad line on the last page leaves nothing behind.

use super::attach::{self, AttachmentReport, Wanted};
use super::index::{ArchiveIndex, SEGMENTS};
use super::message::{MessageError, Messages};
use super::private::{self, FileError, fault};
use super::reject::Rejected;
use super::segment::SegmentError;
use super::tally::Counts;
use super::work::Work;
use escrow_core::deal::About;
use escrow_core::limits::PARTICIPANTS_PER_ITEM;
use escrow_core::{Org, ThreadKey, Token, TokenKey};
use std::fmt;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Most segments one sealing makes.
pub const SEGMENTS_MAX: usize = 1_000_000;

/// Why nothing was sealed. After any of these the target folder is as it was.
#[derive(Debug, thiserror::Error)]
pub enum SealArchiveError {
    /// The input; says which line.
    #[error("nothing was sealed: {0}")]
    Message(#[from] MessageError),
    /// No line at all.
    #[error("nothing was sealed: the input holds no message")]
    Empty,
    /// Something is there already.
    #[error("nothing was sealed: {} exists and is not an empty folder; name another", .0.display())]
    Occupied(PathBuf),
    /// More than [`SEGMENTS_MAX`].
    #[error(
        "nothing was sealed: line {line} makes more than {SEGMENTS_MAX} segments; seal the input in parts, each into its own folder"
    )]
    TooManySegments {
        /// The line, from 1.
        line: u64,
    },
    /// More senders and members than an item may name.
    #[error(
        "nothing was sealed: by line {line} its thread has more than {PARTICIPANTS_PER_ITEM} people, and no node accepts an item that names so many; take the thread out"
    )]
    TooManyPeople {
        /// The line, from 1.
        line: u64,
    },
    /// A thread with too much on one day.
    #[error("nothing was sealed: line {line}: {error}")]
    Segment {
        /// The line, from 1.
        line: u64,
        /// The rule.
        error: SegmentError,
    },
    /// Where the lines go that are not sealed.
    #[error("nothing was sealed: cannot write the rejected lines: {0}; see that there is room")]
    Rejects(io::Error),
    /// The disk.
    #[error("nothing was sealed: {0}")]
    File(#[from] FileError),
}

/// Where and for whom to seal.
pub struct SealOptions<'a> {
    /// Folder to make; it may exist if it is empty.
    pub dir: &'a Path,
    /// The organisation.
    pub org: &'a Org,
    /// Makes the tokens.
    pub tokens: &'a TokenKey,
    /// Era of all threads in the input; 0 unless the messenger re-created them.
    pub era: u64,
    /// Whether the id of a sender or member is of the organisation.
    pub inside: &'a dyn Fn(&str) -> bool,
}

impl fmt::Debug for SealOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealOptions({}, {})", self.dir.display(), self.org)
    }
}

/// One sealed segment with the key that opens it.
#[derive(Debug)]
pub struct SealedSegment {
    /// What to deposit.
    pub about: About,
    /// What to escrow.
    pub key: ThreadKey,
    /// The file, relative to the archive's folder.
    pub file: PathBuf,
    /// Messages in it.
    pub messages: u64,
    pub(super) wanted: Vec<Wanted>,
}

/// What a sealing made. The keys exist only here until they are put into a [`super::KeyRing`].
pub struct SealedArchive {
    /// The folder.
    pub dir: PathBuf,
    /// The segments, by thread token and day.
    pub segments: Vec<SealedSegment>,
    /// Messages in all of them.
    pub messages: u64,
    /// Ids of the threads with their tokens, for the [`super::Directory`].
    pub threads: Vec<(String, Token)>,
    /// Ids of senders and members with their tokens, for the [`super::Directory`].
    pub people: Vec<(String, Token)>,
    /// Oddities of the input, none of which keeps it from being sealed.
    pub counts: Counts,
    /// Files that lines name, counted once for each segment; [`PreparedArchive::attach`] seals them.
    pub attachments: u64,
}

impl fmt::Debug for SealedArchive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedArchive({} segments, {} messages)", self.segments.len(), self.messages)
    }
}

/// A sealing that is complete but not yet in its place; dropped, it leaves nothing.
///
/// Save the keys first, then [`PreparedArchive::publish`]: an archive whose keys were lost to a
/// full disk is worth nothing.
#[derive(Debug)]
pub struct PreparedArchive {
    temp: TempDir,
    archive: SealedArchive,
    index: ArchiveIndex,
}

impl PreparedArchive {
    /// What was sealed.
    pub fn archive(&self) -> &SealedArchive {
        &self.archive
    }

    /// Seals each file that a line names, from wherever below `files` it lies: found by SHA-256.
    ///
    /// `progress` hears bytes read and bytes to read. What is missing is in the report and stops
    /// nothing. Call it once.
    ///
    /// # Errors
    /// [`SealArchiveError::File`] if `files` is no folder or the archive's disk fails.
    pub fn attach(&mut self, files: &Path, progress: &dyn Fn(u64, u64)) -> Result<AttachmentReport, SealArchiveError> {
        let (report, sealed) = attach::seal_all(self.temp.path(), &self.archive.segments, files, progress)?;
        self.index.extend(sealed);
        self.index.save(self.temp.path())?;
        Ok(report)
    }

    /// Renames the archive into its place.
    ///
    /// # Errors
    /// [`SealArchiveError::Occupied`] if something came there meanwhile, [`SealArchiveError::File`].
    pub fn publish(self) -> Result<SealedArchive, SealArchiveError> {
        let dir = &self.archive.dir;
        if !private::vacant(dir)? {
            return Err(SealArchiveError::Occupied(dir.clone()));
        }
        // Over an empty folder this is atomic, over any other it fails (POSIX rename).
        fs::rename(self.temp.path(), dir).map_err(fault("make", dir))?;
        let _ = self.temp.keep();
        private::sync_dir(private::parent(dir)).map_err(fault("make", dir))?;
        Ok(self.archive)
    }
}

/// [`prepare`] and [`PreparedArchive::publish`] in one.
///
/// # Errors
/// [`SealArchiveError`]; then the target folder is as it was.
pub fn seal(input: impl Read, options: &SealOptions<'_>) -> Result<SealedArchive, SealArchiveError> {
    prepare(input, options)?.publish()
}

/// Seals all messages of `input`, JSON Lines, plain or gzip, into a hidden folder next to the target.
///
/// # Errors
/// [`SealArchiveError`]; then nothing is left on disk.
pub fn prepare(input: impl Read, options: &SealOptions<'_>) -> Result<PreparedArchive, SealArchiveError> {
    let temp = begin(options.dir)?;
    let mut work = Work::new(options, temp.path());
    let mut messages = Messages::new(input)?;
    while let Some(message) = messages.next()? {
        work.add(&message)?;
    }
    finish(work.finish()?, temp)?.ok_or(SealArchiveError::Empty)
}

/// What [`import`] made.
#[derive(Debug)]
pub struct Imported {
    /// The sealed lines; none if not one could be sealed.
    pub prepared: Option<PreparedArchive>,
    /// The others, in the order of the input. Memory grows with their number.
    pub rejected: Vec<Rejected>,
}

/// As [`prepare`], for archives of other programs: a line that cannot be sealed goes to `rejects`,
/// byte for byte with its line feed, and the rest is sealed. Line numbers stay those of the input.
///
/// # Errors
/// [`SealArchiveError`] for an input that cannot be read or is empty, and for the disk; then nothing
/// of the archive is left on disk.
pub fn import(
    input: impl Read,
    options: &SealOptions<'_>,
    rejects: &mut impl Write,
) -> Result<Imported, SealArchiveError> {
    let temp = begin(options.dir)?;
    let mut work = Work::new(options, temp.path());
    let mut messages = Messages::new(input)?;
    let mut rejected = Vec::new();
    while messages.read_line()? {
        let Err(error) = messages.message().map_err(Into::into).and_then(|m| work.add(&m)) else { continue };
        rejected.push(Rejected::of(&error).ok_or(error)?);
        loop {
            rejects.write_all(messages.raw()).map_err(SealArchiveError::Rejects)?;
            if messages.at_line_end() {
                break;
            }
            messages.read_on()?;
        }
    }
    rejects.flush().map_err(SealArchiveError::Rejects)?;
    let prepared = finish(work.finish()?, temp)?;
    if prepared.is_none() && rejected.is_empty() {
        return Err(SealArchiveError::Empty);
    }
    Ok(Imported { prepared, rejected })
}

/// Makes the hidden folder.
fn begin(dir: &Path) -> Result<TempDir, SealArchiveError> {
    if !private::vacant(dir)? {
        return Err(SealArchiveError::Occupied(dir.to_owned()));
    }
    let mut builder = tempfile::Builder::new();
    builder.prefix(".archive-");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
    let parent = private::parent(dir);
    let temp = builder.tempdir_in(parent).map_err(fault("make a folder in", parent))?;
    let segments = temp.path().join(SEGMENTS);
    fs::create_dir(&segments).map_err(fault("make", &segments))?;
    Ok(temp)
}

/// Writes the index; nothing if there is no segment.
fn finish(
    made: Option<(SealedArchive, ArchiveIndex)>,
    temp: TempDir,
) -> Result<Option<PreparedArchive>, SealArchiveError> {
    let Some((archive, index)) = made else { return Ok(None) };
    index.save(temp.path())?;
    let segments = temp.path().join(SEGMENTS);
    private::sync_dir(&segments).map_err(fault("make", &segments))?;
    Ok(Some(PreparedArchive { temp, archive, index }))
}

#[cfg(test)]
#[path = "seal_tests.rs"]
mod tests;
