//! Requests to release, and their cancellation.

use crate::ItemId;
use crate::charter::Basis;
use crate::consent::Authority;
use crate::digest::{Digest, Nonce};
use crate::key::PublicKey;
use crate::limits;
use crate::statement::{Kind, rule, statement, strictly_sorted};
use crate::strict::nullable;
use crate::time::Timestamp;
use crate::token::Token;
use crate::words::{Code, MatterId, Org, PersonId};
use serde::{Deserialize, Serialize};

/// Asks that the named items become readable to one named recipient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Always [`Kind::Request`].
    pub kind: Kind,
    /// The organisation.
    pub org: Org,
    /// Fresh random bytes.
    pub nonce: Nonce,
    /// The charter that the requestor saw.
    pub charter: Digest,
    /// The matter it belongs to.
    pub matter: MatterId,
    /// Who asks; the signature must be this person's.
    pub by: PersonId,
    /// On what ground.
    pub basis: Basis,
    /// Reference and document behind the basis; null only for consent.
    #[serde(deserialize_with = "nullable")]
    pub authority: Option<Authority>,
    /// For what purpose; must be among those consented to.
    pub purpose: Code,
    /// What was asked in people's terms.
    pub scope: Scope,
    /// Exactly what is asked: item ids, sorted.
    pub items: Vec<ItemId>,
    /// The numbers that approvers see.
    pub counts: Counts,
    /// Whose key the result is sealed to.
    pub recipient: Recipient,
    /// The one policy it is evaluated under.
    pub policy: Code,
    /// When the subjects are told.
    pub notice: Notice,
    /// When it was signed.
    pub created: Timestamp,
    /// No verdict after this; silence until then is denial.
    pub expires: Timestamp,
}

statement!(Request, Request, limits::PAYLOAD_LARGE, |r| {
    rule(!r.items.is_empty() && strictly_sorted(&r.items), "items: at least one, sorted, no duplicates")?;
    rule(r.items.len() <= limits::ITEMS_PER_REQUEST, "too many items")?;
    rule(
        !r.scope.threads.is_empty() && strictly_sorted(&r.scope.threads),
        "threads: at least one, sorted, no duplicates",
    )?;
    rule(r.scope.from < r.scope.to, "covers no time")?;
    rule(r.counts.items == r.items.len() as u64, "counts.items differs from the items listed")?;
    rule(r.counts.threads == r.scope.threads.len() as u64, "counts.threads differs from the threads listed")?;
    rule(r.created < r.expires, "expires before it is created")?;
    rule((r.basis == Basis::Consent) || r.authority.is_some(), "an authority reference is needed on this basis")
});

/// Threads and time range of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// Threads, sorted.
    pub threads: Vec<Token>,
    /// First instant of messages asked for.
    pub from: Timestamp,
    /// First instant after the messages asked for.
    pub to: Timestamp,
}

/// Numbers of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Items asked for.
    pub items: u64,
    /// Threads asked for.
    pub threads: u64,
}

/// Who will be able to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[allow(clippy::large_enum_variant)] // one in each request, never in a list
pub enum Recipient {
    /// A person of the charter.
    Person(RecipientPerson),
    /// A person with role `filter-team` who is nowhere else on the case, to sort out what is
    /// privileged before anybody on the case reads.
    FilterTeam(RecipientPerson),
    /// An enrolled device.
    Device(RecipientDevice),
}

/// A recipient in the charter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecipientPerson {
    /// The person.
    pub id: PersonId,
    /// Digest of the person's sealing key.
    pub sealing: Digest,
}

/// A recipient that is a subject's device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecipientDevice {
    /// The enrolment that lists it.
    pub enrolment: Digest,
    /// Its signature key.
    pub key: PublicKey,
    /// Digest of its sealing key.
    pub sealing: Digest,
}

impl Recipient {
    /// The word that policies see.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Person(_) => "person",
            Self::FilterTeam(_) => "filter-team",
            Self::Device(_) => "device",
        }
    }

    /// The person, unless it is a device.
    pub const fn person(&self) -> Option<&PersonId> {
        match self {
            Self::Person(p) | Self::FilterTeam(p) => Some(&p.id),
            Self::Device(_) => None,
        }
    }

    /// Digest of the sealing key that replies are sealed to.
    pub const fn sealing(&self) -> &Digest {
        match self {
            Self::Person(p) | Self::FilterTeam(p) => &p.sealing,
            Self::Device(d) => &d.sealing,
        }
    }
}

/// When the subjects learn of the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Notice {
    /// At once.
    Immediate,
    /// Later, under an order that says so.
    Delayed(DelayedNotice),
}

/// The order behind a delayed notice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DelayedNotice {
    /// Reference of the order.
    pub order: Code,
    /// When the delay ends; within the charter's limit.
    pub until: Timestamp,
}

/// Ends a request. Only its own requestor can.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cancellation {
    /// Always [`Kind::Cancellation`].
    pub kind: Kind,
    /// The organisation.
    pub org: Org,
    /// Fresh random bytes.
    pub nonce: Nonce,
    /// The charter that the signer saw.
    pub charter: Digest,
    /// The request that ends.
    pub request: Digest,
    /// Its requestor.
    pub by: PersonId,
    /// When it was signed.
    pub at: Timestamp,
}

statement!(Cancellation, Cancellation, limits::PAYLOAD_SMALL, |_c| { Ok(()) });
