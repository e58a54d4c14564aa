//! Decisions of approvers.

use crate::digest::{Digest, Nonce};
use crate::limits;
use crate::statement::{Kind, statement};
use crate::time::Timestamp;
use crate::words::{Code, Org, PersonId, Role};
use serde::{Deserialize, Serialize};

/// One approver's decision on one request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Always [`Kind::Decision`].
    pub kind: Kind,
    /// The organisation.
    pub org: Org,
    /// Fresh random bytes.
    pub nonce: Nonce,
    /// The charter that the approver saw.
    pub charter: Digest,
    /// The request.
    pub request: Digest,
    /// Who decides; the signature must be this person's.
    pub by: PersonId,
    /// The office in which they decide.
    pub role: Role,
    /// What they decide.
    pub choice: Choice,
    /// An opaque reason code.
    pub reason: Code,
    /// When it was signed.
    pub at: Timestamp,
}

/// The ladder: the strongest a person ever signed for a request counts, in whatever order it arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Choice {
    /// Counts towards the approval quorum.
    Approve,
    /// Steps aside; does not count.
    Recuse,
    /// Ends the request.
    Deny,
}

impl Choice {
    /// The word as it stands in payloads.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Recuse => "recuse",
            Self::Deny => "deny",
        }
    }
}

statement!(Decision, Decision, limits::PAYLOAD_SMALL, |_d| { Ok(()) });
