//! Bodies of the HTTP interface, shared by node and client. Envelopes travel as base64 of their
//! exact bytes, so that what is verified is what was signed.

use crate::ItemId;
use crate::deal::About;
use crate::digest::{Blob, Digest, Nonce};
use crate::enrolment::Revoked;
use crate::matter::MatterAction;
use crate::statement::Kind;
use crate::time::Timestamp;
use crate::token::Token;
use crate::verdict::{Lacking, Outcome, PolicyResult};
use crate::words::{Code, MatterId, PersonId, SeatIndex};
use serde::{Deserialize, Serialize};

/// Answer to an accepted statement: the node's signed receipt and its inclusion proof.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Receipted {
    /// Envelope of a [`crate::receipt::Receipt`].
    pub receipt: Blob,
    /// C2SP tlog-proof of the entry against the node's own checkpoint.
    pub proof: String,
}

/// `POST /v1/deposits`: a deposit envelope with the asked seat's own blob.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct DepositBody {
    /// Envelope of a [`crate::deposit::Deposit`].
    pub deposit: Blob,
    /// The sealed shares for this seat.
    pub blob: Blob,
}

/// `POST /v1/releases`: everything a node needs to decide on its reply.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ReleaseBody {
    /// Envelope of a [`crate::release::ReleaseCall`].
    pub call: Blob,
    /// Envelope of the request, for a node that missed it.
    pub request: Blob,
    /// Envelopes of decisions, for a node that missed them.
    pub decisions: Vec<Blob>,
    /// Envelopes of fresh permits of other seats.
    pub permits: Vec<Blob>,
}

/// Answer to a release call.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Released {
    /// The sealed reply.
    pub reply: Blob,
    /// Envelope of the [`crate::release::Release`] about it.
    pub release: Blob,
    /// Bytes of the `release.delivered` entry.
    pub entry: Blob,
    /// tlog-proof of the entry.
    pub proof: String,
    /// Envelopes of the deposits that the items belong to.
    pub deposits: Vec<Blob>,
}

/// Answer to [`crate::query::Question::Evaluate`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VerdictAnswer {
    /// Envelope of a [`crate::verdict::Verdict`].
    pub verdict: Blob,
    /// Bytes of its log entry.
    pub entry: Blob,
    /// tlog-proof of the entry.
    pub proof: String,
    /// The context bytes whose digest the verdict names; null if the hard floor refused before.
    pub context: Option<Blob>,
}

/// Answer to [`crate::query::Question::Preview`]: what the node would say to the request now. Not
/// signed, not a verdict, presented to nobody.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PreviewAnswer {
    /// The outcome.
    pub outcome: Outcome,
    /// What would be lacking.
    pub lacking: Vec<Lacking>,
    /// What would refuse: rule code and words.
    pub refusals: Vec<PreviewRefusal>,
    /// Every policy text evaluated.
    pub policies: Vec<PolicyResult>,
    /// The context bytes that the policies saw.
    pub context: Option<Blob>,
}

/// One rule that refuses.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PreviewRefusal {
    /// Its stable code.
    pub rule: Code,
    /// What happened, and the next step.
    pub detail: String,
}

/// One self-recovery, in answers to [`crate::query::Question::Recoveries`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecoveryInfo {
    /// Envelope of the [`crate::recovery::SelfRecovery`].
    pub recovery: Blob,
    /// When the node first logged it.
    pub logged: Timestamp,
    /// Envelopes of decisions on it.
    pub decisions: Vec<Blob>,
    /// Envelopes of vetoes against it.
    pub vetoes: Vec<Blob>,
    /// Envelope of the node's last verdict on it, if any.
    pub verdict: Option<Blob>,
    /// Replies delivered by this node.
    pub deliveries: u64,
}

/// One matter, in answers to [`crate::query::Question::Matters`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MatterInfo {
    /// Its name.
    pub matter: MatterId,
    /// Its last act.
    pub state: MatterAction,
    /// Digest of that statement, which the next one names.
    pub head: Digest,
    /// Who signed it.
    pub by: PersonId,
    /// When the node logged it.
    pub logged: Timestamp,
    /// Commitment to the title.
    pub title: Digest,
}

/// One request, in answers to [`crate::query::Question::Requests`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RequestInfo {
    /// Envelope of the request.
    pub request: Blob,
    /// When the node first logged it.
    pub logged: Timestamp,
    /// Envelopes of decisions on it.
    pub decisions: Vec<Blob>,
    /// Envelope of its cancellation, if any.
    pub cancellation: Option<Blob>,
    /// Envelope of the node's last verdict on it, if any.
    pub verdict: Option<Blob>,
    /// Replies delivered by this node.
    pub deliveries: u64,
}

/// One escrowed item, in answers to [`crate::query::Question::Items`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ItemInfo {
    /// Its id.
    pub item: ItemId,
    /// Generation of its shares.
    pub generation: u32,
    /// Who deposited it.
    pub depositor: Token,
    /// The consent it was deposited under.
    pub consent: Digest,
    /// Ids of the policies agreed to.
    pub policies: Vec<Code>,
    /// What the key is.
    pub about: About,
}

/// Answer to [`crate::query::Question::Own`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OwnAnswer {
    /// Live enrolments of the asking device.
    pub enrolments: Vec<OwnEnrolment>,
    /// Other live devices of the subject; each of them can veto a recovery.
    pub other_devices: u64,
    /// How many items the subject has deposited.
    pub count: u64,
    /// Those items, as many as one self-recovery may name, without participants; none before the
    /// device is old enough to recover.
    pub items: Vec<ItemInfo>,
}

/// A live enrolment of the asking device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OwnEnrolment {
    /// Digest of the enrolment statement.
    pub enrolment: Digest,
    /// Since when it counts for a self-recovery: the node has logged it, and it is valid.
    pub since: Timestamp,
}

/// One consent, in answers to [`crate::query::Question::Consents`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConsentInfo {
    /// Envelope of the consent.
    pub consent: Blob,
    /// When the node first logged it.
    pub logged: Timestamp,
    /// When a withdrawal was logged, if any.
    pub withdrawn: Option<Timestamp>,
}

/// One event in a subject's own activity.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ActivityInfo {
    /// When it was logged.
    pub at: Timestamp,
    /// Log position.
    pub seq: u64,
    /// Entry type.
    pub what: String,
    /// The request concerned.
    pub request: Digest,
    /// Its matter; null for a self-recovery.
    pub matter: Option<MatterId>,
    /// On what ground; null for a self-recovery.
    pub basis: Option<crate::charter::Basis>,
    /// How many of the asker's items it names.
    pub items: u64,
}

/// Answer to [`crate::query::Question::Entries`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EntriesAnswer {
    /// Size of the log when it answered, the query's own entry included.
    pub size: u64,
    /// The node's own signed checkpoint of exactly that size.
    pub checkpoint: String,
    /// Entry bytes, in order.
    pub entries: Vec<Blob>,
    /// Envelopes of the statements they name.
    pub statements: Vec<Blob>,
    /// Policy contexts and cosigned notes they name, by digest of their bytes.
    pub attachments: Vec<Blob>,
}

/// Answer to [`crate::query::Question::Views`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ViewsAnswer {
    /// The node's newest checkpoint with the cosignatures it has.
    pub checkpoint: String,
    /// Envelopes of [`crate::view::View`], one for each other log.
    pub views: Vec<Blob>,
}

/// Answer to [`crate::query::Question::Exported`]: where the question is on record.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExportedAnswer {
    /// The bytes of the query's log entry.
    pub entry: Blob,
    /// C2SP tlog-proof of it against the node's own checkpoint.
    pub proof: String,
}

/// `POST /v1/peer/restrictions`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RestrictionAsk {
    /// Echoed in the signed answer.
    pub nonce: Nonce,
    /// The request or self-recovery concerned; null for all restrictions.
    pub request: Option<Digest>,
    /// Its matter, for a node that missed the request.
    pub matter: Option<MatterId>,
    /// Consents of its items, sorted, for a node that does not hold them.
    pub consents: Vec<Digest>,
    /// Keys and enrolments of whoever asks, decides and receives, sorted: only their revocation bears on it.
    pub revocable: Vec<Revoked>,
    /// When all are asked for: the first log position of the asked node that is not known yet.
    pub after: u64,
}

/// Its answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RestrictionReply {
    /// Envelope of a [`crate::restriction::RestrictionAnswer`]; null from a node that is not READY.
    pub answer: Option<Blob>,
    /// Where to ask on.
    pub upto: u64,
    /// True if there is nothing behind that.
    pub complete: bool,
    /// Envelopes of the restrictions, each after the statement it restricts.
    pub statements: Vec<Blob>,
}

/// `GET /v1/peer/witnessed?origin=...`: the newest note of that log which the node cosigned.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Witnessed {
    /// The note, or null if it never cosigned one.
    pub note: Option<String>,
}

/// `GET /v1/status`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Status {
    /// The seat.
    pub seat: SeatIndex,
    /// UNPROVEN, READY, DEGRADED, FROZEN, ROLLBACK or POISONED.
    pub state: String,
    /// Why, in words; empty if READY.
    pub reason: String,
    /// What its operator can do; empty if READY.
    #[serde(default)]
    pub way_out: String,
    /// Version of the node's software.
    pub version: String,
    /// Digest of the charter in force.
    pub charter: Digest,
    /// Its version.
    pub charter_version: u64,
    /// Origin of the log.
    pub log: String,
    /// Entries in it.
    pub size: u64,
    /// The node's clock.
    pub at: Timestamp,
}

/// RFC 9457 problem document, `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// `urn:escrow:problem:<code>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The code again, in words.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// What happened, whose fault it is, and the next step.
    pub detail: String,
    /// Stable machine-readable code.
    pub code: String,
    /// The seat that answers.
    pub seat: Option<SeatIndex>,
    /// The statement that decided, when one did (a withdrawal, a denial ...).
    pub statement: Option<Digest>,
    /// Its kind.
    pub statement_kind: Option<Kind>,
    /// For `charter-stale`: envelopes of the charters after the one the client named.
    pub charters: Vec<Blob>,
}
