//! What all signed statements have in common.

use crate::words::Org;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The kinds of statement. The payload type is `application/vnd.escrow.<kind>.v1+json`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Who exists and what the rules are.
    Charter,
    /// These device keys are these subjects'.
    Enrolment,
    /// Ends an enrolment or a person's key, at once. A restriction.
    Revocation,
    /// A subject (or the roles that the charter demands) allows escrow.
    Consent,
    /// Ends a consent, forward. A restriction.
    Withdrawal,
    /// A deal and the digests of its share blobs.
    Deposit,
    /// Opens, closes or reopens a matter. Closing is a restriction.
    Matter,
    /// Asks for a named slice to be made readable.
    Request,
    /// Ends a request. A restriction.
    Cancellation,
    /// Approve, recuse or deny. The latter two are restrictions.
    Decision,
    /// Asks that a subject's own items become readable to a device of theirs.
    SelfRecovery,
    /// Ends a self-recovery. A restriction.
    Veto,
    /// Asks a node for its reply.
    ReleaseCall,
    /// A node has logged a statement.
    Receipt,
    /// What one node decided about a request.
    Verdict,
    /// A node's statement about its one reply.
    Release,
    /// The restrictions that a node knows, told to a peer.
    RestrictionAnswer,
    /// What a node holds of another node's log.
    View,
    /// A person's authenticated question to one node.
    Query,
    /// A node tells a webhook that something waits.
    Notification,
}

impl Kind {
    /// All kinds, in the order of the specification's table.
    pub const ALL: [Self; 20] = [
        Self::Charter,
        Self::Enrolment,
        Self::Revocation,
        Self::Consent,
        Self::Withdrawal,
        Self::Deposit,
        Self::Matter,
        Self::Request,
        Self::Cancellation,
        Self::Decision,
        Self::SelfRecovery,
        Self::Veto,
        Self::ReleaseCall,
        Self::Receipt,
        Self::Verdict,
        Self::Release,
        Self::RestrictionAnswer,
        Self::View,
        Self::Query,
        Self::Notification,
    ];

    /// The name as it stands in payloads.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Charter => "charter",
            Self::Enrolment => "enrolment",
            Self::Revocation => "revocation",
            Self::Consent => "consent",
            Self::Withdrawal => "withdrawal",
            Self::Deposit => "deposit",
            Self::Matter => "matter",
            Self::Request => "request",
            Self::Cancellation => "cancellation",
            Self::Decision => "decision",
            Self::SelfRecovery => "self-recovery",
            Self::Veto => "veto",
            Self::ReleaseCall => "release-call",
            Self::Receipt => "receipt",
            Self::Verdict => "verdict",
            Self::Release => "release",
            Self::RestrictionAnswer => "restriction-answer",
            Self::View => "view",
            Self::Query => "query",
            Self::Notification => "notification",
        }
    }

    /// Whether a logged statement of this kind has an entry of its own, whose type is the kind's name.
    pub const fn has_own_entry(self) -> bool {
        match self {
            Self::Charter
            | Self::Enrolment
            | Self::Revocation
            | Self::Consent
            | Self::Withdrawal
            | Self::Deposit
            | Self::Matter
            | Self::Request
            | Self::Cancellation
            | Self::Decision
            | Self::SelfRecovery
            | Self::Veto
            | Self::Verdict
            | Self::Query => true,
            Self::ReleaseCall
            | Self::Receipt
            | Self::Release
            | Self::RestrictionAnswer
            | Self::View
            | Self::Notification => false,
        }
    }

    /// The DSSE payload type.
    pub fn payload_type(self) -> String {
        format!("application/vnd.escrow.{}.v1+json", self.name())
    }

    /// The kind of a payload type, if it is one of ours.
    pub fn from_payload_type(text: &str) -> Option<Self> {
        let name = text.strip_prefix("application/vnd.escrow.")?.strip_suffix(".v1+json")?;
        Self::ALL.into_iter().find(|k| k.name() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A payload type of the protocol. Implementations deny unknown members and have no optional ones.
pub trait Statement: Serialize + DeserializeOwned {
    /// Its kind.
    const KIND: Kind;
    /// Largest payload, bytes.
    const MAX_BYTES: usize;

    /// The `kind` member, compared with [`Statement::KIND`] after decoding.
    fn kind(&self) -> Kind;

    /// The organisation the statement belongs to.
    fn org(&self) -> &Org;

    /// Rules that hold for the payload alone, without knowing anything else.
    ///
    /// # Errors
    /// The broken rule, in words.
    fn check(&self) -> Result<(), String>;
}

/// Implements [`Statement`] for a struct with `kind` and `org` members; the block is `check`.
macro_rules! statement {
    ($type:ty, $kind:ident, $max:expr, |$s:ident| $check:block) => {
        impl crate::statement::Statement for $type {
            const KIND: crate::statement::Kind = crate::statement::Kind::$kind;
            const MAX_BYTES: usize = $max;
            fn kind(&self) -> crate::statement::Kind {
                self.kind
            }
            fn org(&self) -> &crate::words::Org {
                &self.org
            }
            fn check(&self) -> Result<(), String> {
                let $s = self;
                $check
            }
        }
    };
}
pub(crate) use statement;

/// `Err(rule)` unless `ok`; keeps `check` functions to one rule a line.
pub(crate) fn rule(ok: bool, text: &str) -> Result<(), String> {
    if ok { Ok(()) } else { Err(text.to_owned()) }
}

/// True if the slice is sorted and no two neighbours are equal.
pub(crate) fn strictly_sorted<T: Ord>(list: &[T]) -> bool {
    list.windows(2).all(|w| matches!(w, [a, b] if a < b))
}
