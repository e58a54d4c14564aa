//! `archive.json`: what lies in an archive's folder.

use super::private::{self, FileError, fault};
use super::seal::SealedSegment;
use escrow_core::deal::Participant;
use escrow_core::{Digest, Org, Timestamp, Token, UtcDay};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The index file, in the archive's folder.
pub(super) const INDEX: &str = "archive.json";
/// Folder of the segments, in the archive's.
pub(super) const SEGMENTS: &str = "segments";

const INDEX_MAX: u64 = 1024 * 1024 * 1024;
const SCHEMA_MAX: u32 = 2;

/// `archive.json`: what lies in the folder. No id, no name, no key.
///
/// It helps people and programs find their way; nothing that is opened is believed because of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchiveIndex {
    /// 1, or 2 if there are attachments.
    pub schema: u32,
    /// The organisation.
    pub org: Org,
    /// Version of the token key that made the tokens.
    pub token_version: u32,
    /// The segments, by thread token and day.
    pub segments: Vec<IndexEntry>,
    /// The attachments, by file name, which tells nobody to which segment they belong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<IndexAttachment>,
}

/// One sealed attachment of an [`ArchiveIndex`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexAttachment {
    /// The file, relative to the folder, with `/`.
    pub file: String,
    /// SHA-256 of the sealed file.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
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
    /// Everybody who sent to the thread in that input or is named as in it, sorted by token.
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
    #[error("{}/archive.json is not an index that this program knows: {why}; ask its keeper for the file again", dir.display())]
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
    /// The index of what was just sealed, without attachments.
    pub(super) fn new(org: &Org, token_version: u32, segments: &[SealedSegment]) -> Self {
        let segments = segments.iter().filter_map(entry).collect();
        Self { schema: 1, org: org.clone(), token_version, segments, attachments: Vec::new() }
    }

    /// Adds sealed attachments and puts all in order.
    pub(super) fn extend(&mut self, sealed: Vec<IndexAttachment>) {
        self.attachments.extend(sealed);
        self.attachments.sort_by(|a, b| a.file.cmp(&b.file));
        self.schema = if self.attachments.is_empty() { 1 } else { SCHEMA_MAX };
    }

    /// Writes `archive.json`.
    pub(super) fn save(&self, dir: &Path) -> Result<(), FileError> {
        let path = dir.join(INDEX);
        let mut json = serde_json::to_vec_pretty(self).map_err(|e| fault("write", &path)(e.into()))?;
        json.push(b'\n');
        private::replace(&path, &json)
    }

    /// Reads the index of an archive's folder.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn load(dir: &Path) -> Result<Self, IndexError> {
        let bytes = private::read(&dir.join(INDEX), INDEX_MAX)?;
        let bytes = bytes.ok_or_else(|| IndexError::Missing(dir.to_owned()))?;
        let malformed = |why| IndexError::Malformed { dir: dir.to_owned(), why };
        let index: Self = serde_json::from_slice(&bytes).map_err(|e| malformed(e.to_string()))?;
        if (1..=SCHEMA_MAX).contains(&index.schema) {
            Ok(index)
        } else {
            Err(malformed(format!("schema {}", index.schema)))
        }
    }

    /// How many messages each segment holds, by SHA-256 of its file, as the index says.
    pub fn messages(&self) -> BTreeMap<Digest, u64> {
        self.segments.iter().map(|s| (s.digest, s.messages)).collect()
    }
}

/// Where the segment of a thread and day lies: tokens only, so the path tells nobody anything.
pub(super) fn segment_file(thread: &Token, day: UtcDay) -> PathBuf {
    let mac: String = hex::encode(thread.mac).chars().take(32).collect();
    Path::new(SEGMENTS).join(format!("{mac}-{day}.seg"))
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
