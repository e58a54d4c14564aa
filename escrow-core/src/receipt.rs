//! Receipts: a node has durably logged a statement.

use crate::digest::{Digest, Nonce};
use crate::limits;
use crate::statement::{Kind, statement};
use crate::time::Timestamp;
use crate::words::{Org, SeatIndex};
use serde::{Deserialize, Serialize};

/// Signed after commit. For a deposit it also says that every share fits its commitments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// Always [`Kind::Receipt`].
    pub kind: Kind,
    /// The organisation.
    pub org: Org,
    /// Fresh random bytes.
    pub nonce: Nonce,
    /// The charter in force at the node.
    pub charter: Digest,
    /// The node.
    pub seat: SeatIndex,
    /// The statement received.
    pub statement: Digest,
    /// The envelope that was accepted first.
    pub envelope: Digest,
    /// Origin of the node's log.
    pub log: String,
    /// Position of the entry.
    pub seq: u64,
    /// Leaf hash of the entry.
    pub leaf: Digest,
    /// When it was logged.
    pub at: Timestamp,
}

statement!(Receipt, Receipt, limits::PAYLOAD_SMALL, |_r| { Ok(()) });
