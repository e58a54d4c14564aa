//! Self-recovery: a subject asks for their own items back on a device of theirs; and the veto that
//! ends it.
//!
//! A kind of its own with a gate function of its own, never a purpose of a request: whoever takes
//! over a phone number gets a device enrolled sooner than they get an officer to ask for them.

use crate::ItemId;
use crate::digest::{Digest, Nonce};
use crate::key::PublicKey;
use crate::limits;
use crate::release::Caller;
use crate::statement::{Kind, rule, statement, strictly_sorted};
use crate::time::Timestamp;
use crate::token::Token;
use crate::words::{Code, Org};
use serde::{Deserialize, Serialize};

/// Asks that items which the subject deposited become readable to one of the subject's devices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelfRecovery {
    /// Always [`Kind::SelfRecovery`].
    pub kind: Kind,
    /// The organisation.
    pub org: Org,
    /// Fresh random bytes.
    pub nonce: Nonce,
    /// The charter that the signer saw.
    pub charter: Digest,
    /// Whose items; must be the depositor of every one.
    pub subject: Token,
    /// The enrolment that lists the device.
    pub enrolment: Digest,
    /// The device's signature key, which signs this statement.
    pub key: PublicKey,
    /// Digest of the device's sealing key, to which replies are sealed.
    pub sealing: Digest,
    /// Exactly what is asked: item ids, sorted.
    pub items: Vec<ItemId>,
    /// The one policy it is evaluated under; its text must permit the action `recover`.
    pub policy: Code,
    /// When it was signed.
    pub created: Timestamp,
    /// No verdict after this; silence until then is denial.
    pub expires: Timestamp,
}

statement!(SelfRecovery, SelfRecovery, limits::PAYLOAD_LARGE, |r| {
    rule(!r.items.is_empty() && strictly_sorted(&r.items), "items: at least one, sorted, no duplicates")?;
    rule(r.items.len() <= limits::ITEMS_PER_REQUEST, "too many items")?;
    rule(r.created < r.expires, "expires before it is created")
});

/// Ends a self-recovery. Any live device of the same subject can say it, and the subject-rights role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Veto {
    /// Always [`Kind::Veto`].
    pub kind: Kind,
    /// The organisation.
    pub org: Org,
    /// Fresh random bytes.
    pub nonce: Nonce,
    /// The charter that the signer saw.
    pub charter: Digest,
    /// The self-recovery that ends.
    pub recovery: Digest,
    /// Who says so.
    pub by: Caller,
    /// An opaque reason code.
    pub reason: Code,
    /// When it was signed.
    pub at: Timestamp,
}

statement!(Veto, Veto, limits::PAYLOAD_SMALL, |_v| { Ok(()) });
