//! Restrictions: statements that take permission away, and how peers tell each other.

use crate::decision::{Choice, Decision};
use crate::digest::{Digest, Nonce};
use crate::enrolment::Revoked;
use crate::envelope::Envelope;
use crate::limits;
use crate::matter::{Matter, MatterAction};
use crate::statement::{Kind, rule, statement, strictly_sorted};
use crate::strict::nullable;
use crate::time::Timestamp;
use crate::words::{MatterId, Org, SeatIndex};
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
    /// The request or self-recovery it asked about; null when it asks for all.
    #[serde(deserialize_with = "nullable")]
    pub request: Option<Digest>,
    /// The matter it asked about besides; null when it asks for all, or about a self-recovery.
    #[serde(deserialize_with = "nullable")]
    pub matter: Option<MatterId>,
    /// The consents it asked about besides, sorted.
    pub consents: Vec<Digest>,
    /// The keys and enrolments whose revocation it asked about besides, sorted.
    pub revocable: Vec<Revoked>,
    /// The log positions of the answering node that this answer covers, from the first ...
    pub after: u64,
    /// ... up to, and not including, this one.
    pub upto: u64,
    /// Digests of every restriction statement logged there that bears on what was asked, sorted.
    pub restrictions: Vec<Digest>,
    /// When it answered.
    pub at: Timestamp,
}

statement!(RestrictionAnswer, RestrictionAnswer, limits::PAYLOAD_LARGE, |a| {
    rule(strictly_sorted(&a.consents), "consents sorted, no duplicates")?;
    rule(strictly_sorted(&a.revocable), "revocable sorted, no duplicates")?;
    rule(strictly_sorted(&a.restrictions), "restrictions sorted, no duplicates")?;
    rule(a.after <= a.upto, "covers positions that end before they begin")?;
    rule(a.request.is_none() || a.after == 0, "about a request the whole log counts")
});

/// True for statements that take permission away: they count at any node, from the first on.
pub fn is_restriction(statement: &Envelope) -> bool {
    match statement.kind() {
        Kind::Revocation | Kind::Withdrawal | Kind::Cancellation | Kind::Veto => true,
        Kind::Decision => statement.decode::<Decision>().is_ok_and(|d| d.choice != Choice::Approve),
        Kind::Matter => statement.decode::<Matter>().is_ok_and(|m| m.action == MatterAction::Close),
        _ => false,
    }
}
