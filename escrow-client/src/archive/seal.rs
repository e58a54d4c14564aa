//! `archive seal`: message lines in, one sealed segment for each thread and UTC day out.
//!
//! Lines are sealed as they are read, so memory grows with the number of segments and not with the
//! input, and no message is ever written in clear. Everything is built in a hidden folder next to
//! the target and renamed at the end: a bad line on the last page leaves nothing behind.

use super::message::{Message, MessageError, Messages};
use super::private::{self, FileError, fault};
use super::segment::{SegmentError, SegmentHeader, SegmentWriter};
use escrow_core::deal::{About, KeySource, Participant};
use escrow_core::limits::PARTICIPANTS_PER_ITEM;
use escrow_core::{Blob, Digest, Org, ThreadKey, Timestamp, Token, TokenKey, UtcDay};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Most segments one sealing makes.
pub const SEGMENTS_MAX: usize = 1_000_000;

const INDEX_MAX: u64 = 1024 * 1024 * 1024;
const INDEX_SCHEMA: u32 = 1;
/// Sealed bytes held back for one segment, and for all of them, before they are written out.
const HELD_ONE: usize = 64 * 1024;
const HELD_ALL: usize = 64 * 1024 * 1024;

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
    /// More senders than an item may name.
    #[error(
        "nothing was sealed: by line {line} its thread has more than {PARTICIPANTS_PER_ITEM} senders, and no node accepts an item that names so many; take the thread out"
    )]
    TooManySenders {
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
    /// Whether a sender id is a member of the organisation.
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
    /// Ids of the senders with their tokens, for the [`super::Directory`].
    pub senders: Vec<(String, Token)>,
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
}

impl PreparedArchive {
    /// What was sealed.
    pub fn archive(&self) -> &SealedArchive {
        &self.archive
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

/// `archive.json`: what lies in the folder. No id, no name, no key.
///
/// It helps people and programs find their way; nothing that is opened is believed because of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchiveIndex {
    /// Always 1.
    pub schema: u32,
    /// The organisation.
    pub org: Org,
    /// Version of the token key that made the tokens.
    pub token_version: u32,
    /// The segments, by thread token and day.
    pub segments: Vec<IndexEntry>,
}

/// One segment of an [`ArchiveIndex`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexEntry {
    /// The file, relative to the folder, with `/`.
    pub file: String,
    /// The thread.
    pub thread: Token,
    /// UTC day, `YYYY-MM-DD`.
    pub day: String,
    /// SHA-256 of the file.
    pub digest: Digest,
    /// Messages in it.
    pub messages: u64,
    /// Everybody who ever sent to the thread in that input, sorted by token.
    pub participants: Vec<Participant>,
    /// First instant covered.
    pub from: Timestamp,
    /// First instant after.
    pub to: Timestamp,
    /// Era of the thread.
    pub era: u64,
    /// Days since 1970-01-01.
    pub epoch: u64,
}

/// Why a folder's index cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// Not there.
    #[error("{} has no archive.json; is it the folder that `archive seal` made?", .0.display())]
    Missing(PathBuf),
    /// Not what this program writes.
    #[error("{}/archive.json is not a version 1 index: {why}; seal the messages again", dir.display())]
    Malformed {
        /// The folder.
        dir: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The disk.
    #[error(transparent)]
    File(#[from] FileError),
}

impl ArchiveIndex {
    /// Reads the index of an archive's folder.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn load(dir: &Path) -> Result<Self, IndexError> {
        let bytes = private::read(&dir.join("archive.json"), INDEX_MAX)?;
        let bytes = bytes.ok_or_else(|| IndexError::Missing(dir.to_owned()))?;
        let malformed = |why| IndexError::Malformed { dir: dir.to_owned(), why };
        let index: Self = serde_json::from_slice(&bytes).map_err(|e| malformed(e.to_string()))?;
        if index.schema == INDEX_SCHEMA { Ok(index) } else { Err(malformed(format!("schema {}", index.schema))) }
    }

    /// How many messages each segment holds, by SHA-256 of its file, as the index says.
    pub fn messages(&self) -> BTreeMap<Digest, u64> {
        self.segments.iter().map(|s| (s.digest, s.messages)).collect()
    }
}

/// Where the segment of a thread and day lies: tokens only, so the path tells nobody anything.
pub(super) fn segment_file(thread: &Token, day: UtcDay) -> PathBuf {
    let mac: String = hex::encode(thread.mac).chars().take(32).collect();
    Path::new("segments").join(format!("{mac}-{day}.seg"))
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
    let dir = options.dir;
    if !private::vacant(dir)? {
        return Err(SealArchiveError::Occupied(dir.to_owned()));
    }
    let mut builder = tempfile::Builder::new();
    builder.prefix(".archive-");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
    let parent = private::parent(dir);
    let temp = builder.tempdir_in(parent).map_err(fault("make a folder in", parent))?;
    let segments = temp.path().join("segments");
    fs::create_dir(&segments).map_err(fault("make", &segments))?;

    let mut work = Work {
        options,
        root: temp.path(),
        threads: Vec::new(),
        by_id: HashMap::new(),
        senders: HashMap::new(),
        segments: Vec::new(),
        held: 0,
    };
    let mut messages = Messages::new(input)?;
    while let Some(message) = messages.next()? {
        work.add(&message)?;
    }
    let archive = work.finish()?;
    private::sync_dir(&segments).map_err(fault("make", &segments))?;
    private::sync_dir(temp.path()).map_err(fault("make", temp.path()))?;
    Ok(PreparedArchive { temp, archive })
}

struct Work<'a> {
    options: &'a SealOptions<'a>,
    root: &'a Path,
    threads: Vec<Thread>,
    by_id: HashMap<String, usize>,
    senders: HashMap<String, Participant>,
    segments: Vec<Segment>,
    held: usize,
}

struct Thread {
    token: Token,
    participants: BTreeMap<Token, bool>,
    days: BTreeMap<UtcDay, usize>,
}

struct Segment {
    writer: SegmentWriter,
    header: SegmentHeader,
    key: ThreadKey,
    file: PathBuf,
    held: Vec<u8>,
    begun: bool,
}

impl Segment {
    fn flush(&mut self, root: &Path, last: bool) -> Result<(), FileError> {
        private::append(&root.join(&self.file), &self.held, !self.begun, last)?;
        self.begun = true;
        self.held = Vec::new();
        Ok(())
    }
}

impl Work<'_> {
    fn add(&mut self, message: &Message<'_>) -> Result<(), SealArchiveError> {
        let line = message.line;
        let sender = self.sender(&message.sender);
        let next = self.threads.len();
        let at = *self.by_id.entry(message.thread.as_ref().to_owned()).or_insert(next);
        if at == next {
            let token = self.options.tokens.thread(&message.thread);
            self.threads.push(Thread { token, participants: BTreeMap::new(), days: BTreeMap::new() });
        }
        // `at` and the positions in `days` are positions in vectors that only grow.
        let Some(thread) = self.threads.get_mut(at) else { return Ok(()) };
        thread.participants.insert(sender.token, sender.inside);
        if thread.participants.len() > PARTICIPANTS_PER_ITEM {
            return Err(SealArchiveError::TooManySenders { line });
        }
        let next = self.segments.len();
        let day = message.sent_at.day();
        let at = *thread.days.entry(day).or_insert(next);
        if at == next {
            if next >= SEGMENTS_MAX {
                return Err(SealArchiveError::TooManySegments { line });
            }
            let segment = Self::begin(self.options, thread.token, day);
            self.held += segment.held.len();
            self.segments.push(segment);
        }
        let Some(segment) = self.segments.get_mut(at) else { return Ok(()) };
        let before = segment.held.len();
        segment.writer.append(message, &mut segment.held).map_err(|error| SealArchiveError::Segment { line, error })?;
        self.held += segment.held.len() - before;
        if segment.held.len() >= HELD_ONE {
            self.held -= segment.held.len();
            segment.flush(self.root, false)?;
        }
        if self.held >= HELD_ALL {
            for segment in self.segments.iter_mut().filter(|s| !s.held.is_empty()) {
                segment.flush(self.root, false)?;
            }
            self.held = 0;
        }
        Ok(())
    }

    fn sender(&mut self, id: &str) -> Participant {
        if let Some(known) = self.senders.get(id) {
            return *known;
        }
        let new = Participant { token: self.options.tokens.subject(id), inside: (self.options.inside)(id) };
        self.senders.insert(id.to_owned(), new);
        new
    }

    fn begin(options: &SealOptions<'_>, thread: Token, day: UtcDay) -> Segment {
        let header = SegmentHeader {
            org: options.org.clone(),
            thread,
            era: options.era,
            // An archive key has no epoch of the messenger; the day says as much. Times start in 1970.
            epoch: u64::try_from(day.0).unwrap_or_default(),
            from: day.start(),
            to: day.end(),
        };
        let key = ThreadKey::generate();
        let mut held = Vec::new();
        let writer = SegmentWriter::new(&header, &key, &mut held);
        Segment { writer, header, key, file: segment_file(&thread, day), held, begun: false }
    }

    fn finish(mut self) -> Result<SealedArchive, SealArchiveError> {
        if self.segments.is_empty() {
            return Err(SealArchiveError::Empty);
        }
        let mut sealed = Vec::with_capacity(self.segments.len());
        let mut all = 0;
        let participants: HashMap<Token, Vec<Participant>> = self
            .threads
            .iter()
            .map(|t| {
                (
                    t.token,
                    t.participants
                        .iter()
                        .map(|(token, inside)| Participant { token: *token, inside: *inside })
                        .collect(),
                )
            })
            .collect();
        for segment in std::mem::take(&mut self.segments) {
            let (about, messages, key, file) = self.close(segment, &participants)?;
            all += messages;
            sealed.push(SealedSegment { about, key, file, messages });
        }
        sealed.sort_by_key(|s| (s.about.thread, s.about.from));
        let index = ArchiveIndex {
            schema: INDEX_SCHEMA,
            org: self.options.org.clone(),
            token_version: self.options.tokens.version(),
            segments: sealed.iter().filter_map(entry).collect(),
        };
        let path = self.root.join("archive.json");
        let mut json = serde_json::to_vec_pretty(&index).map_err(|e| fault("write", &path)(e.into()))?;
        json.push(b'\n');
        private::append(&path, &json, true, true)?;
        let mut threads: Vec<_> = self.by_id.into_iter().collect();
        threads.sort_by_key(|(_, at)| *at);
        let threads = threads.into_iter().filter_map(|(id, at)| Some((id, self.threads.get(at)?.token))).collect();
        let mut senders: Vec<_> = self.senders.into_iter().map(|(id, p)| (id, p.token)).collect();
        senders.sort();
        Ok(SealedArchive { dir: self.options.dir.to_owned(), segments: sealed, messages: all, threads, senders })
    }

    fn close(
        &self,
        segment: Segment,
        participants: &HashMap<Token, Vec<Participant>>,
    ) -> Result<(About, u64, ThreadKey, PathBuf), SealArchiveError> {
        let Segment { writer, header, key, file, mut held, begun } = segment;
        let line = writer.line();
        let (digest, messages) = writer.finish(&mut held).map_err(|error| SealArchiveError::Segment { line, error })?;
        private::append(&self.root.join(&file), &held, !begun, true)?;
        let about = About {
            source: KeySource::ContentKey,
            thread: header.thread,
            era: header.era,
            epoch: header.epoch,
            authenticator: Blob::default(),
            from: header.from,
            to: header.to,
            archive: Some(digest),
            participants: participants.get(&header.thread).cloned().unwrap_or_default(),
        };
        Ok((about, messages, key, file))
    }
}

fn entry(s: &SealedSegment) -> Option<IndexEntry> {
    Some(IndexEntry {
        file: s.file.to_str()?.replace('\\', "/"),
        thread: s.about.thread,
        day: s.about.from.day().to_string(),
        digest: s.about.archive?,
        messages: s.messages,
        participants: s.about.participants.clone(),
        from: s.about.from,
        to: s.about.to,
        era: s.about.era,
        epoch: s.about.epoch,
    })
}
