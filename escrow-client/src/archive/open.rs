//! `archive open`: released keys and sealed segments in, the exact lines out.

use super::index::segment_file;
use super::private::{self, FileError};
use super::segment::{OpenedSegment, SEGMENT_MAX, SegmentError, SegmentHeader, open_segment};
use escrow_core::deal::About;
use escrow_core::{Digest, Org, ThreadKey, Timestamp, Token, TokenKey};
use std::collections::HashSet;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Where the archive lies and what it must be about.
#[derive(Debug)]
pub struct OpenOptions<'a> {
    /// The folder that `archive seal` made, or a copy of it.
    pub dir: &'a Path,
    /// The organisation whose items were released.
    pub org: &'a Org,
    /// If at hand: shows that the thread id in the lines is the one that the item's token stands
    /// for. Ignored when the token is of another version.
    pub tokens: Option<&'a TokenKey>,
}

/// Why one released item gave no line. Says nothing about the others.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its key opens something else than a sealed segment.
    #[error("the item names no archive segment; its key opens messages in the messenger itself")]
    NoArchive,
    /// The keeper does not have the file, or the folder is not complete.
    #[error("{} is not in the archive's folder; ask its keeper for the file with SHA-256 {digest}", file.display())]
    Missing {
        /// Relative to the folder.
        file: PathBuf,
        /// Its digest.
        digest: Digest,
    },
    /// Two items name the same segment, and the other one opened it.
    #[error("the same segment was opened with another released item; its lines are written once")]
    Repeated,
    /// The segment is refused.
    #[error("{0}")]
    Segment(#[from] SegmentError),
    /// The lines are of a thread that the item's token does not stand for.
    #[error("the lines are of another thread than the item's token stands for; the depositor escrowed it wrongly")]
    OtherThread,
    /// The disk.
    #[error("{0}")]
    File(#[from] FileError),
}

/// What became of one released item.
#[derive(Debug)]
pub struct OpenedItem {
    /// The thread it names.
    pub thread: Token,
    /// Start of the window it names.
    pub from: Timestamp,
    /// The number of its messages, or why there are none.
    pub outcome: Result<u64, OpenError>,
}

/// What was opened.
#[derive(Debug)]
pub struct Report {
    /// One for each released item, in the order given.
    pub items: Vec<OpenedItem>,
    /// Segments opened.
    pub segments: u64,
    /// Lines written.
    pub messages: u64,
}

impl Report {
    /// True if every item gave its lines, or another item gave them.
    pub fn complete(&self) -> bool {
        self.items.iter().all(|i| matches!(i.outcome, Ok(_) | Err(OpenError::Repeated)))
    }
}

/// Opens exactly the released segments and writes their lines, each with a line feed, in the order
/// of the input that was sealed.
///
/// Every segment is verified to its end before the first line of any is written. All opened lines
/// are held in memory meanwhile and wiped afterwards, so memory grows with what was released. An
/// item that does not open is reported and does not keep the others from opening.
///
/// # Errors
/// Only what `out` returns; a part of the lines may then be written.
pub fn open_segments<'k>(
    options: &OpenOptions<'_>,
    released: impl IntoIterator<Item = (&'k About, &'k ThreadKey)>,
    out: impl Write,
) -> io::Result<Report> {
    let mut report = Report { items: Vec::new(), segments: 0, messages: 0 };
    let mut seen = HashSet::new();
    let mut opened = Vec::new();
    for (about, key) in released {
        let outcome = open_one(options, about, key, &seen).map(|segment| {
            seen.extend(about.archive);
            let messages = segment.records.len() as u64;
            report.segments += 1;
            report.messages += messages;
            opened.push(segment);
            messages
        });
        report.items.push(OpenedItem { thread: about.thread, from: about.from, outcome });
    }
    let mut lines: Vec<_> = opened.iter().flat_map(|s| &s.records).collect();
    // Stable: in folders put together from several sealings a number can occur twice.
    lines.sort_by_key(|r| r.line);
    let mut out = BufWriter::new(out);
    for line in lines {
        out.write_all(line.bytes())?;
        out.write_all(b"\n")?;
    }
    out.flush()?;
    Ok(report)
}

fn open_one(
    options: &OpenOptions<'_>,
    about: &About,
    key: &ThreadKey,
    seen: &HashSet<Digest>,
) -> Result<OpenedSegment, OpenError> {
    if about.archive.is_some_and(|digest| seen.contains(&digest)) {
        return Err(OpenError::Repeated);
    }
    open_item(options, about, key)
}

/// Opens the segment of one released item, or nothing of it. Holds all of it in memory.
///
/// # Errors
/// [`OpenError`], but never [`OpenError::Repeated`].
pub fn open_item(options: &OpenOptions<'_>, about: &About, key: &ThreadKey) -> Result<OpenedSegment, OpenError> {
    let digest = about.archive.ok_or(OpenError::NoArchive)?;
    // The name follows from the item: an index that somebody else keeps decides nothing here.
    let file = segment_file(&about.thread, about.from.day());
    let bytes = private::read(&options.dir.join(&file), SEGMENT_MAX)?;
    let bytes = bytes.ok_or(OpenError::Missing { file, digest })?;
    let segment = open_segment(&bytes, &digest, &SegmentHeader::of(options.org, about), key)?;
    match options.tokens {
        Some(tokens) if tokens.version() == about.thread.version && tokens.thread(&segment.thread) != about.thread => {
            Err(OpenError::OtherThread)
        }
        _ => Ok(segment),
    }
}

#[cfg(test)]
#[path = "open_tests.rs"]
mod tests;
