//! Matters: the cases that requests belong to.

use crate::digest::{Digest, Nonce};
use crate::limits;
use crate::statement::{Kind, rule, statement};
use crate::strict::nullable;
use crate::time::Timestamp;
use crate::words::{MatterId, Org, PersonId};
use serde::{Deserialize, Serialize};

/// Opens, closes or reopens a matter. Statements of one matter form a chain; of two successors
/// of one statement, `close` wins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matter {
    /// Always [`Kind::Matter`].
    pub kind: Kind,
    /// The organisation.
    pub org: Org,
    /// Fresh random bytes.
    pub nonce: Nonce,
    /// The charter that the signer saw.
    pub charter: Digest,
    /// Name of the matter.
    pub matter: MatterId,
    /// What happens to it.
    pub action: MatterAction,
    /// Digest of the matter's previous statement; null for the opening one.
    #[serde(deserialize_with = "nullable")]
    pub previous: Option<Digest>,
    /// Who signs, a person with role `requestor`.
    pub by: PersonId,
    /// Salted commitment to the matter's title; the title itself never reaches a node.
    pub title: Digest,
    /// When it was signed.
    pub at: Timestamp,
}

/// The acts on a matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum MatterAction {
    /// Requests may be made.
    Open,
    /// No request of this matter releases any more.
    Close,
    /// Open again.
    Reopen,
}

statement!(Matter, Matter, limits::PAYLOAD_SMALL, |m| {
    rule((m.action == MatterAction::Open) == m.previous.is_none(), "only the opening statement has no predecessor")
});
