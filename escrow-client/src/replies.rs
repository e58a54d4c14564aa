//! What `release collect` writes: sealed replies and what is needed to open them. No key.

use crate::archive::FileError;
use crate::files;
use escrow_core::{Blob, Digest, Envelope, SeatIndex};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Schema of the file.
pub(crate) const SCHEMA: &str = "escrow.replies.v1";
const FILE_MAX: u64 = 1024 * 1024 * 1024;

/// One node's reply.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    /// The node.
    pub seat: SeatIndex,
    /// Its shares, sealed to the recipient.
    pub reply: Blob,
    /// Envelope of its release statement.
    pub release: Blob,
    /// tlog-proof of its `release.delivered` entry.
    pub proof: String,
}

/// The file: readable by anybody, openable by the recipient only.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replies {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Digest of the genesis charter.
    pub genesis: Digest,
    /// Envelope of the request.
    pub request: Blob,
    /// The replies, ascending by seat.
    pub replies: Vec<Reply>,
    /// Envelopes of the deposits that the items belong to.
    pub deposits: Vec<Blob>,
}

/// Why a replies file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepliesError {
    /// Not such a file.
    #[error("not a file of `release collect`: {0}")]
    Malformed(String),
    /// The disk.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Replies {
    pub(crate) fn new(genesis: Digest, request: &Envelope, mut replies: Vec<Reply>, deposits: Vec<Envelope>) -> Self {
        replies.sort_by_key(|r| r.seat);
        let blob = |e: &Envelope| Blob(e.bytes().to_vec());
        let deposits = deposits.iter().map(blob).collect();
        Self { schema: SCHEMA.into(), genesis, request: blob(request), replies, deposits }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`RepliesError`].
    pub fn load(path: &Path) -> Result<Self, RepliesError> {
        let bytes = files::read(path, FILE_MAX)?;
        let file: Self = serde_json::from_slice(&bytes).map_err(|e| RepliesError::Malformed(e.to_string()))?;
        if file.schema != SCHEMA {
            return Err(RepliesError::Malformed(format!("schema {:?}", file.schema)));
        }
        Ok(file)
    }

    /// Writes the file, mode 0600, replacing an older one as a whole.
    ///
    /// # Errors
    /// [`RepliesError::File`].
    pub fn save(&self, path: &Path) -> Result<(), RepliesError> {
        Ok(files::replace_json(path, self)?)
    }
}
