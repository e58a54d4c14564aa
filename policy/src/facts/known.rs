//! What is known: one record for each device, item, request and matter, and the shape of log entries.

use crate::refusal::Rule;
use escrow_core::charter::SealingKey;
use escrow_core::consent::PolicyRef;
use escrow_core::deal::About;
use escrow_core::decision::{Choice, Decision};
use escrow_core::enrolment::Revoked;
use escrow_core::matter::{Matter, MatterAction};
use escrow_core::recovery::{SelfRecovery, Veto};
use escrow_core::request::Request;
use escrow_core::{Code, Digest, Envelope, ItemId, Kind, MatterId, PersonId, PublicKey, SeatIndex, Timestamp, Token};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Where and when this node first logged something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Logged {
    /// Log position, as in [`Record::seq`].
    pub seq: u64,
    /// Time of the entry.
    pub at: Timestamp,
}

/// A statement together with where it was logged.
#[derive(Clone, Debug)]
pub struct Fact<T> {
    /// The statement.
    pub statement: T,
    /// Its digest.
    pub digest: Digest,
    /// Where it was logged first.
    pub logged: Logged,
}

/// One enrolled device.
#[derive(Clone, Debug)]
pub struct DeviceFact {
    /// The enrolment statement.
    pub enrolment: Digest,
    /// Whose device it is.
    pub subject: Token,
    /// Its signature key.
    pub key: PublicKey,
    /// Its sealing key.
    pub sealing: SealingKey,
    /// First instant of validity.
    pub from: Timestamp,
    /// First instant after validity.
    pub until: Timestamp,
    /// The people who signed the enrolment.
    pub enrolled_by: BTreeSet<PersonId>,
    /// Where it was logged.
    pub logged: Logged,
}

/// One escrowed item, without its share.
#[derive(Clone, Debug)]
pub struct ItemFact {
    /// Deposit statement that brought it.
    pub deposit: Digest,
    /// Position in its deal.
    pub position: u32,
    /// Generation of its shares.
    pub generation: u32,
    /// The consent it came under.
    pub consent: Digest,
    /// Policies agreed to.
    pub policies: Vec<PolicyRef>,
    /// Who deposited it.
    pub depositor: Token,
    /// What the key is.
    pub about: About,
}

/// A decision with the key that signed it.
#[derive(Clone, Debug)]
pub struct DecisionFact {
    /// The decision.
    pub fact: Fact<Decision>,
    /// The key that signed.
    pub key: PublicKey,
}

/// All that happened to one request or self-recovery at this node.
#[derive(Clone, Debug, Default)]
pub struct RequestFact {
    /// The request and the key that signed it; none while only decisions are known, or if it is a
    /// self-recovery.
    pub request: Option<(Fact<Request>, PublicKey)>,
    /// The self-recovery, if it is one.
    pub recovery: Option<Fact<SelfRecovery>>,
    /// Vetoes against it; by a device with the subject that it was enrolled for.
    pub vetoes: Vec<(Fact<Veto>, Option<Token>)>,
    /// Decisions, strongest of each person first seen.
    pub decisions: Vec<DecisionFact>,
    /// Cancellations by whom.
    pub cancelled: Vec<(PersonId, Digest)>,
    /// Positions of this node's own `release.authorized` entries.
    pub authorised: Vec<u64>,
    /// This node's own `release.delivered` entries.
    pub delivered: Vec<Logged>,
    /// This node's newest verdict.
    pub verdict: Option<Digest>,
}

impl RequestFact {
    /// The strongest choice each person ever signed, and the decision that said it.
    pub fn strongest(&self) -> BTreeMap<&PersonId, &DecisionFact> {
        let mut out: BTreeMap<&PersonId, &DecisionFact> = BTreeMap::new();
        for d in &self.decisions {
            let slot = out.entry(&d.fact.statement.by).or_insert(d);
            if d.fact.statement.choice > slot.fact.statement.choice {
                *slot = d;
            }
        }
        out
    }

    /// The denial that ended it, if any.
    pub fn denial(&self) -> Option<&DecisionFact> {
        self.decisions.iter().find(|d| d.fact.statement.choice == Choice::Deny)
    }

    /// The veto that ended a self-recovery, if any: by the subject-rights role, or by a device of the
    /// same subject.
    pub fn veto(&self) -> Option<&Fact<Veto>> {
        self.standing_vetoes().next()
    }

    /// The vetoes that count; none while the self-recovery is not known.
    pub fn standing_vetoes(&self) -> impl Iterator<Item = &Fact<Veto>> {
        let subject = self.recovery.as_ref().map(|r| r.statement.subject);
        let counts = move |by: &Option<Token>| subject.is_some_and(|s| by.is_none_or(|t| t == s));
        self.vetoes.iter().filter(move |(_, by)| counts(by)).map(|(v, _)| v)
    }

    /// The items asked for; none while only decisions are known.
    pub fn items(&self) -> &[ItemId] {
        let of_request = self.request.as_ref().map(|(r, _)| r.statement.items.as_slice());
        of_request.or(self.recovery.as_ref().map(|r| r.statement.items.as_slice())).unwrap_or_default()
    }

    /// True if it was authorised here, or two officers have approved it: then it may have been released
    /// by nodes that this one does not hear of.
    pub(crate) fn may_be_read(&self) -> bool {
        let approvers = self.strongest().values().filter(|d| d.fact.statement.choice == Choice::Approve).count();
        !self.authorised.is_empty() || approvers as u64 >= crate::floor::APPROVERS
    }

    /// True once the request or self-recovery itself is known.
    pub fn known(&self) -> bool {
        self.request.is_some() || self.recovery.is_some()
    }
}

/// A matter: its statements and where they lead.
#[derive(Clone, Debug, Default)]
pub struct MatterFact {
    pub(super) statements: BTreeMap<Digest, Fact<Matter>>,
    pub(super) opening: Option<Digest>,
}

impl MatterFact {
    /// The head of the chain. Every `close` counts, wherever it hangs and whatever came first, until
    /// a statement follows that very one. `None` while nothing is closed and the opening is not known.
    pub fn head(&self) -> Option<&Fact<Matter>> {
        let followed: BTreeSet<Digest> = self.statements.values().filter_map(|f| f.statement.previous).collect();
        let standing = self
            .statements
            .values()
            .find(|f| f.statement.action == MatterAction::Close && !followed.contains(&f.digest));
        if standing.is_some() {
            return standing;
        }
        let mut head = self.statements.get(&self.opening?)?;
        // A chain cannot be longer than its statements; the bound also ends a cycle, which
        // SHA-256 makes impossible.
        for _ in 0..self.statements.len() {
            let next = self
                .statements
                .values()
                .filter(|f| f.statement.previous == Some(head.digest))
                .min_by_key(|f| (f.statement.action != MatterAction::Close, f.digest));
            let Some(next) = next else { break };
            head = next;
        }
        Some(head)
    }

    /// The statement that opened it, if it is known here.
    pub(crate) fn opening(&self) -> Option<Digest> {
        self.opening
    }

    /// All statements, for peers that missed some.
    pub fn statements(&self) -> impl Iterator<Item = &Fact<Matter>> {
        self.statements.values()
    }
}

/// Entries of the log that carry no foreign statement, or more than one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Event {
    /// The body of an entry that only carries a statement.
    Statement {},
    /// First entry of a log: which seat, and the genesis charter as its statement.
    Genesis {
        /// The seat whose log this is.
        seat: SeatIndex,
    },
    /// The operator accepted a charter version, and with it the chain up to it.
    CharterAccepted {
        /// Its digest.
        charter: Digest,
    },
    /// A release was authorised; the statement is the release-call.
    Authorized {
        /// The request.
        request: Digest,
        /// Decisions counted, sorted.
        decisions: Vec<Digest>,
        /// Permits of other seats, sorted.
        permits: Vec<Digest>,
        /// Restriction answers of peers, sorted.
        answers: Vec<Digest>,
    },
    /// A reply was delivered; the statement is this node's release.
    Delivered {
        /// Position of the authorisation.
        authorized: u64,
        /// SHA-256 of the cosigned note that covers it.
        note: Digest,
        /// The request.
        request: Digest,
        /// SHA-256 of the reply.
        reply: Digest,
        /// 1 for the first.
        attempt: u64,
    },
    /// An authorised release was not delivered.
    Aborted {
        /// Position of the authorisation.
        authorized: u64,
        /// The request.
        request: Digest,
        /// The rule, or `restart`.
        reason: Code,
    },
    /// This node cosigned another log's checkpoint.
    Cosigned {
        /// The log.
        origin: String,
        /// Its size.
        size: u64,
        /// Its root.
        root: Digest,
    },
    /// A correctly signed statement was refused.
    Refused {
        /// Its kind.
        kind: Kind,
        /// Its digest.
        statement: Digest,
        /// Why.
        rule: Rule,
    },
    /// The node became READY, proven by these peers.
    Ready {
        /// Peers that answered.
        peers: Vec<SeatIndex>,
    },
    /// First entry of a later log of this seat: all that the old log says up to here goes on.
    Continued {
        /// The seat whose log this is.
        seat: SeatIndex,
        /// Origin of the log that it goes on from.
        log: String,
        /// Entries of it that this node still has.
        size: u64,
        /// Root over them.
        root: Digest,
    },
    /// The wall clock moved by this much more (or, if negative, less) than the monotonic clock since the
    /// entry before.
    Clock {
        /// Milliseconds.
        by_ms: i64,
    },
    /// Another log's key signed two heads that cannot both be true.
    Misbehaviour {
        /// The log.
        origin: String,
        /// SHA-256 of the signed note that was known first.
        first: Digest,
        /// SHA-256 of the one that contradicts it.
        second: Digest,
    },
}

/// One log entry as the fold sees it.
#[derive(Debug)]
pub struct Record<'a> {
    /// Position, counted over all logs of the seat: a later log goes on where the one before ends.
    pub seq: u64,
    /// Time.
    pub at: Timestamp,
    /// Entry type: a statement kind, or one of the event types of [`Event`].
    pub entry_type: &'a str,
    /// The statement it names, if it names one.
    pub statement: Option<&'a Envelope>,
    /// Its body.
    pub event: Event,
}

/// On whose word a consent was withdrawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    /// A device of the subject: ends what rests on the subject's consent.
    Device,
    /// The subject-rights role, or the roles that signed: ends a record on any basis.
    Office,
}

/// What a request or self-recovery hangs on, beside itself: peers are asked about all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Concerns {
    /// Its matter; none for a self-recovery.
    pub matter: Option<MatterId>,
    /// Consents of its items.
    pub consents: BTreeSet<Digest>,
    /// Keys and enrolments of whoever asks, decides and receives.
    pub revocable: BTreeSet<Revoked>,
}

/// Who asks for releases.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Asker {
    Person(PersonId),
    Device(PublicKey),
}
