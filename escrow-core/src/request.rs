//! Requests to release, and their cancellation.

use crate::ItemId;
use crate::charter::Basis;
use crate::consent::{Authority, Epochs};
use crate::digest::{Digest, Nonce};
use crate::key::PublicKey;
use crate::limits;
use crate::statement::{Kind, rule, statement, strictly_sorted};
use crate::strict::nullable;
use crate::time::Timestamp;
use crate::token::Token;
use crate::words::{Code, MatterId, Org, PersonId, ZoneName};
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
    /// How the items were chosen within the scope; null if they are simply those of its threads and time.
    #[serde(deserialize_with = "nullable")]
    pub selection: Option<Selection>,
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
    rule((r.basis == Basis::Consent) || r.authority.is_some(), "an authority reference is needed on this basis")?;
    r.selection.as_ref().map_or(Ok(()), |s| check_selection(s, &r.scope))
});

fn check_selection(s: &Selection, scope: &Scope) -> Result<(), String> {
    rule(strictly_sorted(&s.custodians), "custodians: sorted, no duplicates")?;
    rule(s.custodians.len() <= limits::CUSTODIANS_MAX, "at most 1000 custodians")?;
    rule(s.epochs.is_none_or(|e| e.first <= e.last), "covers no epoch")?;
    rule(s.from < s.to, "asks for no time")?;
    rule(scope.from <= s.from && s.to <= scope.to, "asks for messages outside the scope's time")?;
    rule(s.context.hours <= limits::CONTEXT_HOURS_MAX, "context: at most 8784 hours")?;
    rule(s.context.messages <= limits::CONTEXT_MESSAGES_MAX, "context: at most 10000 messages")
}

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

/// How the items of a request were chosen within its scope. Nodes hold the items to it, but for the
/// context, whose messages they cannot count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// Whose items, sorted: of each item one of them is depositor or participant, and none of them is
    /// without an item. Empty for anybody's.
    pub custodians: Vec<Token>,
    /// Epochs of the messenger's keys; null for any.
    #[serde(deserialize_with = "nullable")]
    pub epochs: Option<Epochs>,
    /// First instant of messages asked for, without context. Of each thread some item reaches into the
    /// time asked for: nobody is asked for context alone.
    pub from: Timestamp,
    /// First instant after them.
    pub to: Timestamp,
    /// What is asked for around them; the scope's time covers it.
    pub context: ContextAsked,
    /// In whose days the time was meant, and is shown.
    pub zone: ZoneName,
}

/// Messages around those asked for, on each side and in each thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContextAsked {
    /// Those of so many hours, at most 8,784.
    pub hours: u32,
    /// So many messages, at most 10,000.
    pub messages: u32,
}

impl Request {
    /// The time asked for, without context: first instant and first instant after.
    pub fn asked(&self) -> (Timestamp, Timestamp) {
        self.selection.as_ref().map_or((self.scope.from, self.scope.to), |s| (s.from, s.to))
    }
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
