//! Refusals: one stable code for every rule a statement or a request can break, with what it means,
//! whose fault it usually is and the next step. `docs/problems.md` is written from this table.

use escrow_core::{Digest, Kind};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Whose fault a problem usually is: who can do something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Blame {
    /// Whoever signed the statement.
    Signer,
    /// Whoever asks for a release.
    Requestor,
    /// Whoever deposits.
    Depositor,
    /// Whoever writes the charter and its policies.
    Administrator,
    /// Whoever runs the answering node.
    Operator,
    /// The answering node itself.
    Node,
    /// Other nodes.
    Peer,
    /// The calling program, whoever signed what it sends.
    Caller,
    /// Nobody: it is meant to be so.
    Nobody,
}

impl Blame {
    /// The word in the documentation.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Signer => "signer",
            Self::Requestor => "requestor",
            Self::Depositor => "depositor",
            Self::Administrator => "administrator",
            Self::Operator => "operator",
            Self::Node => "node",
            Self::Peer => "peer",
            Self::Caller => "caller",
            Self::Nobody => "nobody",
        }
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $name:ident = $code:literal, $blame:ident => $next:literal,)*) => {
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

            /// What it means, in one sentence: the words that stand here as documentation.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),*).trim_ascii(),)* }
            }

            /// Whose fault it usually is.
            pub const fn blame(self) -> Blame {
                match self { $(Self::$name => Blame::$blame,)* }
            }

            /// What that party does next.
            pub const fn next_step(self) -> &'static str {
                match self { $(Self::$name => $next,)* }
            }

            /// The rule with this code.
            pub fn of_code(code: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|r| r.code() == code)
            }
        }
    };
}

codes! {
    /// The envelope or payload is malformed.
    Malformed = "malformed",
        Signer => "make the statement again with a current client; docs/protocol.md has its members and bounds",
    /// Another organisation's statement.
    WrongOrg = "wrong-org",
        Signer => "send it to the nodes of the organisation that it names",
    /// A signature is missing, unknown or bad.
    BadSignature = "bad-signature",
        Signer => "sign with a key that the charter lists or that is enrolled, and send exactly the bytes that were signed",
    /// The signer is not who the payload says.
    WrongSigner = "wrong-signer",
        Signer => "have the person or device that the payload names sign it",
    /// The signer does not hold the office this needs.
    NotEntitled = "not-entitled",
        Signer => "have somebody sign who holds that office in the charter now, or ask the administrators for a charter that grants it",
    /// Too few distinct people with the needed role signed.
    QuorumMissing = "quorum-missing",
        Signer => "collect signatures of more people with that role on the same payload, then submit it again",
    /// The signer's key was revoked.
    KeyRevoked = "key-revoked",
        Signer => "use another key; a revocation is for ever, so enrol a new device or list a new key in the charter",
    /// The signer's key is not valid at this time.
    KeyNotValid = "key-not-valid",
        Signer => "sign with a key whose validity covers now, or have the validity renewed",
    /// The statement names a charter older than the one in force.
    CharterStale = "charter-stale",
        Signer => "take over the newer charters in `charters`, then make and sign the statement again",
    /// The statement names a charter this node does not know.
    CharterUnknown = "charter-unknown",
        Signer => "fetch /v1/charters; if you know a newer version than this node, its operator has to accept it",
    /// A charter breaks a rule of section 4.1.
    CharterInvalid = "charter-invalid",
        Administrator => "correct the draft as the words say and collect the signatures again",
    /// The node knows a valid newer charter that its operator has not accepted.
    CharterUnaccepted = "charter-unaccepted",
        Operator => "the operator compares the digest with the administrators and accepts or refuses the newer version",
    /// Two valid successors of one charter are known; the node is frozen.
    CharterFork = "charter-fork",
        Administrator => "administrators sign a later version that voids one branch, and operators accept it",
    /// The device is not enrolled, or its enrolment is not live.
    NotEnrolled = "not-enrolled",
        Signer => "have registrars enrol the device, or use one whose enrolment is live",
    /// The device key is enrolled for another subject already.
    DeviceTaken = "device-taken",
        Signer => "make a new device key; one key never stands for two subjects",
    /// The statement's own time is too far from the node's clock.
    ClockSkew = "clock-skew",
        Signer => "set the clock of the signing machine and sign again; if it is right, tell the operator",
    /// No such consent is known here.
    ConsentUnknown = "consent-unknown",
        Signer => "submit the consent to this node first",
    /// The consent was withdrawn.
    ConsentWithdrawn = "consent-withdrawn",
        Nobody => "respect it; only a new consent of the subject allows more",
    /// The consent has expired.
    ConsentExpired = "consent-expired",
        Nobody => "ask the subject for a new consent",
    /// The consent does not cover this.
    ConsentScope = "consent-scope",
        Signer => "stay within the threads, times, epochs and purposes agreed to, or ask for a wider consent",
    /// The node set is smaller than the consent's floor.
    ConsentFloor = "consent-floor",
        Depositor => "ask for a consent whose floor the node set meets",
    /// A policy id or digest that no accepted charter lists.
    PolicyUnknown = "policy-unknown",
        Signer => "name policies by the ids and digests of the charter in force",
    /// The deal's generation, t, n or seats are not the current ones.
    Generation = "generation",
        Depositor => "take over the charter in force and deal again to its current generation",
    /// The deal breaks a structural or sharing rule.
    DealInvalid = "deal-invalid",
        Depositor => "deal and seal again with a correct client; nothing of this deal was stored",
    /// The same deal was deposited under another payload.
    DealReplayed = "deal-replayed",
        Depositor => "submit the first payload again, or make a new deal",
    /// The matter is not known here.
    MatterUnknown = "matter-unknown",
        Signer => "open the matter first, or submit the statement that opened it to this node",
    /// The matter exists already, or the predecessor is not its head.
    MatterChain = "matter-chain",
        Signer => "ask for the matter's head and follow that, or choose another matter id",
    /// The matter is closed.
    MatterClosed = "matter-closed",
        Signer => "reopen the matter if the inquiry goes on",
    /// The request is not known here.
    RequestUnknown = "request-unknown",
        Signer => "submit the request to this node first",
    /// The request has expired.
    RequestExpired = "request-expired",
        Nobody => "make a new request; silence until expiry is denial",
    /// The request was cancelled by its requestor.
    RequestCancelled = "request-cancelled",
        Requestor => "make a new request",
    /// The request is larger or longer than the charter allows.
    RequestLimits = "request-limits",
        Requestor => "ask for less or for a shorter life, within the limits of the charter",
    /// The requestor has asked for as much in 30 days as the charter allows.
    RequestorLimits = "requestor-limits",
        Requestor => "wait until older requests are 30 days old, or have the administrators raise the charter's limit",
    /// The subject has withdrawn too many consents that this node does not know.
    EarlyWithdrawals = "early-withdrawals",
        Signer => "submit the consents to this node first, then withdraw them",
    /// An item is not known here.
    ItemUnknown = "item-unknown",
        Requestor => "ask the nodes again which items they hold; if only this node lacks the item, its deposit is still on the way",
    /// The items are not exactly those of the scope.
    ItemScope = "item-scope",
        Requestor => "list exactly the items that the nodes hold for the scope",
    /// The items are of more than one generation.
    MixedGenerations = "mixed-generations",
        Requestor => "make one request for each generation",
    /// The request's policy was not agreed for every item.
    PolicyNotAgreed = "policy-not-agreed",
        Requestor => "choose a policy that every item was deposited under, or split the request",
    /// The policy denies whatever is added.
    PolicyDenies = "policy-denies",
        Requestor => "read which policy decided; only another request can fare otherwise",
    /// A policy evaluation ended in an error, which never counts as fulfilled.
    PolicyError = "policy-error",
        Administrator => "correct the policy text in a new charter version",
    /// An approver denied the request.
    Denied = "denied",
        Nobody => "ask the person who denied; only a new request can be made",
    /// The approver is the requestor.
    ApproverIsRequestor = "approver-is-requestor",
        Signer => "have another approver decide",
    /// The approver is the recipient.
    ApproverIsRecipient = "approver-is-recipient",
        Signer => "have another approver decide",
    /// The approver is a subject in scope.
    ApproverInScope = "approver-in-scope",
        Signer => "have an approver decide whose own messages are not asked for",
    /// The requestor is a subject in scope.
    RequestorInScope = "requestor-in-scope",
        Requestor => "have somebody else ask",
    /// The recipient is a subject in scope.
    RecipientInScope = "recipient-in-scope",
        Requestor => "name another recipient",
    /// The requestor operates a seat.
    RequestorOperatesSeat = "requestor-operates-seat",
        Requestor => "have somebody ask who operates no seat",
    /// The recipient is the requestor and the policy does not say that this is allowed.
    RecipientIsRequestor = "recipient-is-requestor",
        Requestor => "name another recipient",
    /// The filter team's member is elsewhere on the case, or somebody on the case was its filter team.
    FilterTeamOnCase = "filter-team-on-case",
        Requestor => "choose people who have had no other part in the matter",
    /// A self-recovery names an item that its subject did not deposit.
    RecoveryNotOwn = "recovery-not-own",
        Signer => "ask the nodes again for your own items; what others deposited needs a request",
    /// The device was enrolled too short a time ago to recover anything.
    RecoveryDelay = "recovery-delay",
        Nobody => "come back when the delay is over; it is there so that other devices can notice",
    /// Another device of the subject, or the subject-rights role, vetoed the self-recovery.
    RecoveryVetoed = "recovery-vetoed",
        Nobody => "if the veto was a mistake, ask anew",
    /// The recipient or its sealing key is not the listed one.
    RecipientKey = "recipient-key",
        Requestor => "make a new request with the sealing key that is listed now",
    /// The notice delay is longer than the charter allows.
    NoticeDelay = "notice-delay",
        Requestor => "end the delay within the limit of the charter",
    /// Fewer fresh permits of other seats than t-1.
    PermitsMissing = "permits-missing",
        Requestor => "collect fresh verdicts of t-1 other seats and call again within their life",
    /// A presented permit is stale, of another charter, request or seat, or no permit.
    PermitInvalid = "permit-invalid",
        Requestor => "collect fresh verdicts and call again",
    /// Approvals or waiting time are still missing.
    Pending = "pending",
        Nobody => "wait, or have approvers decide; the words say what is lacking",
    /// The authorisation is not countersigned by enough other nodes.
    CosignaturesMissing = "cosignatures-missing",
        Peer => "try again when more nodes are up",
    /// A peer's answer is not bound to this question.
    AnswerInvalid = "answer-invalid",
        Peer => "try again; tell the operator of the peer if it stays",
    /// This kind of statement is not submitted to nodes.
    NotSubmittable = "not-submittable",
        Caller => "send deposits, queries and release-calls to their own addresses; what nodes sign is submitted by nobody",
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
