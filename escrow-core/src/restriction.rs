//! Restrictions: statements that take permission away, and how peers tell each other.

use crate::decision::{Choice, Decision};
use crate::digest::{Digest, Nonce};
use crate::envelope::Envelope;
use crate::limits;
use crate::matter::{Matter, MatterAction};
use crate::statement::{Kind, statement};
use crate::strict::nullable;
use crate::time::Timestamp;
use crate::words::{Org, SeatIndex};
use serde::{Deserialize, Serialize};

/// A node's signed list of the restrictions it knows, bound to who asked and their nonce.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestrictionAnswer {
    /// Always [`Kind::RestrictionAnswer`].
    pub kind: Kind,
    /// The organisation.
    pub org: Org,
    /// Fresh random bytes.
    pub nonce: Nonce,
    /// The charter in force at the answering node.
    pub charter: Digest,
    /// The answering node.
    pub seat: SeatIndex,
    /// The asking node.
    pub asker: SeatIndex,
    /// The nonce it asked with.
    pub asked: Nonce,
    /// The request it asked about; null at start-up, when it asks for all.
    #[serde(deserialize_with = "nullable")]
    pub request: Option<Digest>,
    /// Digests of every restriction statement that bears on it, sorted.
    pub restrictions: Vec<Digest>,
    /// When it answered.
    pub at: Timestamp,
}

statement!(RestrictionAnswer, RestrictionAnswer, limits::PAYLOAD_LARGE, |_a| { Ok(()) });

/// True for statements that take permission away: they count at any node, from the first on.
pub fn is_restriction(statement: &Envelope) -> bool {
    match statement.kind() {
        Kind::Revocation | Kind::Withdrawal | Kind::Cancellation => true,
        Kind::Decision => statement.decode::<Decision>().is_ok_and(|d| d.choice != Choice::Approve),
        Kind::Matter => statement.decode::<Matter>().is_ok_and(|m| m.action == MatterAction::Close),
        _ => false,
    }
}
