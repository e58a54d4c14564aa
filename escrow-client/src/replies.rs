//! What `release collect` writes: sealed replies and what is needed to open them. No key.

use crate::archive::FileError;
use crate::case::Case;
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
    /// It holds the replies to something else.
    #[error("the file holds replies to request {}, and this is {}; nothing was written over it", .found.short(), .wanted.short())]
    OtherRequest {
        /// Digest of the request in the file.
        found: Digest,
        /// Digest of the one that is collected for.
        wanted: Digest,
    },
    /// It is of another escrow.
    #[error("the file belongs to the escrow with genesis {}; nothing was written over it", .0.short())]
    OtherEscrow(Digest),
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

    /// Reads a file; none if there is none.
    ///
    /// # Errors
    /// [`RepliesError`].
    pub fn load_if_there(path: &Path) -> Result<Option<Self>, RepliesError> {
        match Self::load(path) {
            Ok(file) => Ok(Some(file)),
            Err(RepliesError::File(e)) if e.source.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Says whether the file may be continued for a request; nothing about what is in it.
    ///
    /// # Errors
    /// [`RepliesError`] if it holds something else.
    pub fn belongs_to(&self, genesis: Digest, case: &Case) -> Result<(), RepliesError> {
        if self.genesis != genesis {
            return Err(RepliesError::OtherEscrow(self.genesis));
        }
        let request = Envelope::parse(&self.request.0).map_err(|e| RepliesError::Malformed(e.to_string()))?;
        if request.digest() == case.digest {
            return Ok(());
        }
        Err(RepliesError::OtherRequest { found: request.digest(), wanted: case.digest })
    }

    /// Writes the file, mode 0600, replacing an older one as a whole.
    ///
    /// # Errors
    /// [`RepliesError::File`].
    pub fn save(&self, path: &Path) -> Result<(), RepliesError> {
        Ok(files::replace_json(path, self)?)
    }
}
