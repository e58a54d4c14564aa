//! Verdicts: what one node decided about one request, and why.

use crate::digest::{Digest, Nonce};
use crate::limits;
use crate::statement::{Kind, rule, statement};
use crate::strict::nullable;
use crate::time::Timestamp;
use crate::words::{Code, Org, SeatIndex};
use serde::{Deserialize, Serialize};

/// One node's signed verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// Always [`Kind::Verdict`].
    pub kind: Kind,
    /// The organisation.
    pub org: Org,
    /// Fresh random bytes.
    pub nonce: Nonce,
    /// The charter in force at the node.
    pub charter: Digest,
    /// The node.
    pub seat: SeatIndex,
    /// The request.
    pub request: Digest,
    /// What it decided.
    pub outcome: Outcome,
    /// What a pending request lacks; empty otherwise.
    pub lacking: Vec<Lacking>,
    /// Codes of the rules that refused; empty unless refused.
    pub reasons: Vec<Code>,
    /// Every policy text evaluated, in order.
    pub policies: Vec<PolicyResult>,
    /// Decisions counted, by digest, sorted.
    pub decisions: Vec<Digest>,
    /// Digest of the context bytes that the policies saw; null if the hard floor refused before.
    #[serde(deserialize_with = "nullable")]
    pub context: Option<Digest>,
    /// When it was decided.
    pub decided: Timestamp,
    /// A permit presented after this is stale.
    pub valid_until: Timestamp,
}

statement!(Verdict, Verdict, limits::PAYLOAD_LARGE, |v| {
    rule(v.decided <= v.valid_until, "ends before it is decided")?;
    rule((v.outcome == Outcome::Refuse) != v.reasons.is_empty(), "reasons go with refusal")?;
    rule((v.outcome == Outcome::Pending) != v.lacking.is_empty(), "what is lacking goes with pending")
});

/// The three answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Everything holds now.
    Permit,
    /// Not yet; more approvals or more waiting would help.
    Pending,
    /// No, and nothing that can still be added helps.
    Refuse,
}

impl Outcome {
    /// The word as it stands in payloads.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Permit => "permit",
            Self::Pending => "pending",
            Self::Refuse => "refuse",
        }
    }
}

/// One thing a pending request lacks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Lacking {
    /// A counter of the policy context, e.g. `approvals.legal` or `waited_seconds`.
    pub what: Code,
    /// Its value now.
    pub have: u64,
    /// The least value that would do, everything else being at its maximum.
    pub need: u64,
}

/// How one policy text came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PolicyResult {
    /// Digest of the text.
    pub policy: Digest,
    /// True for the charter's current text, false for one agreed at deposit.
    pub current: bool,
    /// True if it allowed without any evaluation error.
    pub allowed: bool,
    /// Cedar ids of the determining policies, sorted.
    pub determining: Vec<Code>,
}
