//! The release round's statements: the call for it, and the node's statement about its reply.

use crate::ItemId;
use crate::digest::{Digest, Nonce};
use crate::key::PublicKey;
use crate::limits;
use crate::statement::{Kind, rule, statement, strictly_sorted};
use crate::time::Timestamp;
use crate::words::{Org, PersonId, SeatIndex};
use serde::{Deserialize, Serialize};

/// Asks nodes for their replies. Signed by the requestor or the recipient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseCall {
    /// Always [`Kind::ReleaseCall`].
    pub kind: Kind,
    /// The organisation.
    pub org: Org,
    /// Fresh random bytes.
    pub nonce: Nonce,
    /// The charter that the caller saw.
    pub charter: Digest,
    /// The request.
    pub request: Digest,
    /// Who calls.
    pub by: Caller,
    /// When it was signed.
    pub at: Timestamp,
}

/// Who calls for a release or asks a question: a person of the charter or an enrolled device.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Caller {
    /// A person of the charter.
    Person(PersonId),
    /// An enrolled device, by its signature key.
    Device(PublicKey),
}

statement!(ReleaseCall, ReleaseCall, limits::PAYLOAD_SMALL, |_c| { Ok(()) });

/// One node's statement about its one reply: whose key it is sealed to and what it hashes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Always [`Kind::Release`].
    pub kind: Kind,
    /// The organisation.
    pub org: Org,
    /// Fresh random bytes.
    pub nonce: Nonce,
    /// The charter in force at the node.
    pub charter: Digest,
    /// The node.
    pub seat: SeatIndex,
    /// Generation of the items.
    pub generation: u32,
    /// The request.
    pub request: Digest,
    /// The items replied for, in request order.
    pub items: Vec<ItemId>,
    /// Digest of the recipient's sealing key.
    pub recipient: Digest,
    /// SHA-256 of the reply bytes.
    pub reply: Digest,
    /// 1 for this node's first reply to the request, then one more each time.
    pub attempt: u64,
}

statement!(Release, Release, limits::PAYLOAD_LARGE, |r| {
    rule(!r.items.is_empty() && strictly_sorted(&r.items), "items: at least one, sorted, no duplicates")?;
    rule(r.attempt >= 1, "attempts start at 1")
});
