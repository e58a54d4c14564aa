//! Views: what a node holds of another node's log, told for an export.

use crate::digest::{Digest, Nonce};
use crate::limits;
use crate::statement::{Kind, statement};
use crate::strict::nullable;
use crate::time::Timestamp;
use crate::words::{Org, SeatIndex};
use serde::{Deserialize, Serialize};

/// A peer's signed view of one log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct View {
    /// Always [`Kind::View`].
    pub kind: Kind,
    /// The organisation.
    pub org: Org,
    /// Fresh random bytes.
    pub nonce: Nonce,
    /// The charter in force at the node.
    pub charter: Digest,
    /// The node whose view it is.
    pub seat: SeatIndex,
    /// Origin of the log viewed.
    pub log: String,
    /// The newest note of that log which this node cosigned; null if none.
    #[serde(deserialize_with = "nullable")]
    pub note: Option<String>,
    /// The nonce of the export that asked.
    pub export: Nonce,
    /// When it was signed.
    pub at: Timestamp,
}

statement!(View, View, limits::PAYLOAD_LARGE, |_v| { Ok(()) });
