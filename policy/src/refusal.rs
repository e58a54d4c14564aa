//! Refusals: one stable code for every rule a statement or a request can break.

use escrow_core::{Digest, Kind};
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $name:ident = $code:literal,)*) => {
        /// Every refusal there is. The code is stable: it stands in problem documents, verdicts and the log.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Rule {
            $($(#[doc = $doc])* #[serde(rename = $code)] $name,)*
        }

        impl Rule {
            /// All rules, in table order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The stable code.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }
        }
    };
}

codes! {
    /// The envelope or payload is malformed.
    Malformed = "malformed",
    /// Another organisation's statement.
    WrongOrg = "wrong-org",
    /// A signature is missing, unknown or bad.
    BadSignature = "bad-signature",
    /// The signer is not who the payload says.
    WrongSigner = "wrong-signer",
    /// The signer does not hold the office this needs.
    NotEntitled = "not-entitled",
    /// Too few distinct people with the needed role signed.
    QuorumMissing = "quorum-missing",
    /// The signer's key was revoked.
    KeyRevoked = "key-revoked",
    /// The signer's key is not valid at this time.
    KeyNotValid = "key-not-valid",
    /// The statement names a charter older than the one in force.
    CharterStale = "charter-stale",
    /// The statement names a charter this node does not know.
    CharterUnknown = "charter-unknown",
    /// A charter breaks a rule of section 4.1.
    CharterInvalid = "charter-invalid",
    /// The node knows a valid newer charter that its operator has not accepted.
    CharterUnaccepted = "charter-unaccepted",
    /// Two valid successors of one charter are known; the node is frozen.
    CharterFork = "charter-fork",
    /// The device is not enrolled, or its enrolment is not live.
    NotEnrolled = "not-enrolled",
    /// The device key is enrolled for another subject already.
    DeviceTaken = "device-taken",
    /// The statement's own time is too far from the node's clock.
    ClockSkew = "clock-skew",
    /// No such consent is known here.
    ConsentUnknown = "consent-unknown",
    /// The consent was withdrawn.
    ConsentWithdrawn = "consent-withdrawn",
    /// The consent has expired.
    ConsentExpired = "consent-expired",
    /// The consent does not cover this.
    ConsentScope = "consent-scope",
    /// The node set is smaller than the consent's floor.
    ConsentFloor = "consent-floor",
    /// A policy id or digest that no accepted charter lists.
    PolicyUnknown = "policy-unknown",
    /// The deal's generation, t, n or seats are not the current ones.
    Generation = "generation",
    /// The deal breaks a structural or sharing rule.
    DealInvalid = "deal-invalid",
    /// The same deal was deposited under another payload.
    DealReplayed = "deal-replayed",
    /// The matter is not known here.
    MatterUnknown = "matter-unknown",
    /// The matter exists already, or the predecessor is not its head.
    MatterChain = "matter-chain",
    /// The matter is closed.
    MatterClosed = "matter-closed",
    /// The request is not known here.
    RequestUnknown = "request-unknown",
    /// The request has expired.
    RequestExpired = "request-expired",
    /// The request was cancelled by its requestor.
    RequestCancelled = "request-cancelled",
    /// The request is larger or longer than the charter allows.
    RequestLimits = "request-limits",
    /// The requestor has asked for as much in 30 days as the charter allows.
    RequestorLimits = "requestor-limits",
    /// The subject has withdrawn too many consents that this node does not know.
    EarlyWithdrawals = "early-withdrawals",
    /// An item is not known here.
    ItemUnknown = "item-unknown",
    /// The items are not exactly those of the scope.
    ItemScope = "item-scope",
    /// The items are of more than one generation.
    MixedGenerations = "mixed-generations",
    /// The request's policy was not agreed for every item.
    PolicyNotAgreed = "policy-not-agreed",
    /// The policy denies whatever is added.
    PolicyDenies = "policy-denies",
    /// A policy evaluation ended in an error, which never counts as fulfilled.
    PolicyError = "policy-error",
    /// An approver denied the request.
    Denied = "denied",
    /// The approver is the requestor.
    ApproverIsRequestor = "approver-is-requestor",
    /// The approver is the recipient.
    ApproverIsRecipient = "approver-is-recipient",
    /// The approver is a subject in scope.
    ApproverInScope = "approver-in-scope",
    /// The requestor is a subject in scope.
    RequestorInScope = "requestor-in-scope",
    /// The recipient is a subject in scope.
    RecipientInScope = "recipient-in-scope",
    /// The requestor operates a seat.
    RequestorOperatesSeat = "requestor-operates-seat",
    /// The recipient is the requestor and the policy does not say that this is allowed.
    RecipientIsRequestor = "recipient-is-requestor",
    /// The filter team's member is elsewhere on the case, or somebody on the case was its filter team.
    FilterTeamOnCase = "filter-team-on-case",
    /// A self-recovery names an item that its subject did not deposit.
    RecoveryNotOwn = "recovery-not-own",
    /// The device was enrolled too short a time ago to recover anything.
    RecoveryDelay = "recovery-delay",
    /// Another device of the subject, or the subject-rights role, vetoed the self-recovery.
    RecoveryVetoed = "recovery-vetoed",
    /// The recipient or its sealing key is not the listed one.
    RecipientKey = "recipient-key",
    /// The notice delay is longer than the charter allows.
    NoticeDelay = "notice-delay",
    /// Fewer fresh permits of other seats than t-1.
    PermitsMissing = "permits-missing",
    /// A presented permit is stale, of another charter, request or seat, or no permit.
    PermitInvalid = "permit-invalid",
    /// Approvals or waiting time are still missing.
    Pending = "pending",
    /// The authorisation is not countersigned by enough other nodes.
    CosignaturesMissing = "cosignatures-missing",
    /// A peer's answer is not bound to this question.
    AnswerInvalid = "answer-invalid",
    /// This kind of statement is not submitted to nodes.
    NotSubmittable = "not-submittable",
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

/// A refusal: the rule, the words for a person, and the statement that decided, if one did.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rule}: {detail}")]
pub struct Refusal {
    /// The rule.
    pub rule: Rule,
    /// What happened, whose fault it is, and the next step.
    pub detail: String,
    /// The statement that decided (a withdrawal, a denial ...).
    pub decided_by: Option<(Kind, Digest)>,
}

impl Refusal {
    /// A refusal by a rule.
    pub fn new(rule: Rule, detail: impl Into<String>) -> Self {
        Self { rule, detail: detail.into(), decided_by: None }
    }

    /// Names the statement that decided.
    #[must_use]
    pub fn by(mut self, kind: Kind, digest: Digest) -> Self {
        self.decided_by = Some((kind, digest));
        self
    }
}

/// `Err(Refusal)` unless `ok`: keeps gate functions to one rule a line.
pub(crate) fn require(ok: bool, rule: Rule, detail: impl FnOnce() -> String) -> Result<(), Refusal> {
    if ok { Ok(()) } else { Err(Refusal::new(rule, detail())) }
}
