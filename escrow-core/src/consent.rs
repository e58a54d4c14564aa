//! Consent records (ISO/IEC TS 27560) and withdrawals.

use crate::charter::Basis;
use crate::digest::{Digest, Nonce};
use crate::limits;
use crate::statement::{Kind, rule, statement, strictly_sorted};
use crate::strict::nullable;
use crate::time::Timestamp;
use crate::token::Token;
use crate::words::{Code, Org};
use serde::{Deserialize, Serialize};

/// A subject's consent, or a record on another basis signed by the roles that the charter demands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consent {
    /// Always [`Kind::Consent`].
    pub kind: Kind,
    /// The organisation.
    pub org: Org,
    /// Fresh random bytes.
    pub nonce: Nonce,
    /// The charter that the signer saw.
    pub charter: Digest,
    /// Whose keys may be escrowed.
    pub subject: Token,
    /// Which threads.
    pub coverage: Coverage,
    /// First instant of messages covered.
    pub from: Timestamp,
    /// First instant after the messages covered.
    pub to: Timestamp,
    /// Epochs covered; null for all epochs in the time range.
    #[serde(deserialize_with = "nullable")]
    pub epochs: Option<Epochs>,
    /// Purposes a request may have, sorted.
    pub purposes: Vec<Code>,
    /// On what ground.
    pub basis: Basis,
    /// For a basis other than consent: reference and digest of the document. Null for consent.
    #[serde(deserialize_with = "nullable")]
    pub authority: Option<Authority>,
    /// Policies agreed to, sorted by id.
    pub policies: Vec<PolicyRef>,
    /// Smallest node set the subject accepts.
    pub floor: Floor,
    /// Days that shares are kept after deposit.
    pub retention_days: u32,
    /// The text that was shown.
    pub notice: NoticeText,
    /// When the consent itself ends: no deposit and no release after it.
    pub expires: Timestamp,
    /// The remaining mandatory fields of ISO/IEC TS 27560.
    pub record: Record,
}

statement!(Consent, Consent, limits::PAYLOAD_SMALL, |c| {
    rule(c.from < c.to, "covers no time")?;
    rule(c.epochs.is_none_or(|e| e.first <= e.last), "covers no epoch")?;
    rule(!c.purposes.is_empty() && strictly_sorted(&c.purposes), "purposes: at least one, sorted, no duplicates")?;
    rule(!c.policies.is_empty() && c.policies.len() <= limits::POLICIES_PER_CONSENT, "policies: 1 to 16")?;
    rule(
        strictly_sorted(&c.policies.iter().map(|p| &p.id).collect::<Vec<_>>()),
        "policies sorted by id, no duplicates",
    )?;
    rule(c.floor.t >= 2 && c.floor.n >= c.floor.t, "node-set floor: 2 <= t <= n")?;
    rule(c.retention_days >= 1, "retention of zero days")?;
    rule((c.basis == Basis::Consent) == c.authority.is_none(), "an authority goes with every basis but consent")?;
    let r = &c.record;
    let listed = |l: &[Code]| !l.is_empty() && strictly_sorted(l);
    rule(listed(&r.pii_types), "record.pii_types: at least one, sorted, no duplicates")?;
    rule(listed(&r.storage_locations), "record.storage_locations: at least one, sorted, no duplicates")?;
    rule(listed(&r.recipients), "record.recipients: at least one, sorted, no duplicates")?;
    rule(!r.controllers.is_empty(), "record.controllers: at least one")?;
    rule(r.event_state.as_str() == GIVEN, "record.event_state is given; a withdrawal is a statement of its own")?;
    match &c.coverage {
        Coverage::Workspace => Ok(()),
        Coverage::Threads(t) => {
            rule(!t.is_empty() && strictly_sorted(t), "threads: at least one, sorted, no duplicates")
        }
    }
});

/// The one event state of a consent statement: refusing leaves no record, ending one is a withdrawal.
pub const GIVEN: &str = "given";

/// Which threads a consent covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Coverage {
    /// Every thread of the subject in the organisation's workspace.
    Workspace,
    /// These threads only, sorted.
    Threads(Vec<Token>),
}

/// A closed range of messenger epochs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Epochs {
    /// First epoch covered.
    pub first: u64,
    /// Last epoch covered.
    pub last: u64,
}

/// A policy id with the digest of the text that was agreed to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyRef {
    /// Policy id.
    pub id: Code,
    /// [`crate::charter::Policy::digest`] of its text.
    pub digest: Digest,
}

/// The smallest node set a subject accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Floor {
    /// Least threshold.
    pub t: u8,
    /// Least number of nodes.
    pub n: u8,
}

/// The notice text the subject saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoticeText {
    /// SHA-256 of the text.
    pub digest: Digest,
    /// BCP 47 language tag.
    pub language: Code,
    /// Whether notice of releases may be delayed, as a code of the notice text.
    pub terms: Code,
}

/// A reference to the authority behind a basis or request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Authority {
    /// Case number, agreement number, statute.
    pub reference: Code,
    /// SHA-256 of the document.
    pub document: Digest,
}

/// Members that ISO/IEC TS 27560:2023 makes mandatory and that are not already above.
///
/// Above stand `pii_principal_id` (subject), `privacy_notice` and `language` (notice), `purpose`,
/// `lawful_basis`, `retention_period` and `validity_duration` (until `expires`). Codes, not prose:
/// the words behind them are in the notice text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Version of the record schema.
    pub schema_version: Code,
    /// Id of this record.
    pub record_id: Code,
    /// Law that applies, e.g. `DE`.
    pub jurisdiction: Code,
    /// Categories of data, e.g. `message-content`.
    pub pii_types: Vec<Code>,
    /// Who decides on the processing, as the charter lists them; each with the mandatory party fields.
    pub controllers: Vec<Party>,
    /// Where shares are stored.
    pub storage_locations: Vec<Code>,
    /// Who may receive a release, as roles.
    pub recipients: Vec<Code>,
    /// How to withdraw.
    pub withdrawal_method: Code,
    /// When the subject acted.
    pub event_time: Timestamp,
    /// `explicit`, `expressed`, `recorded` ...
    pub event_type: Code,
    /// Always [`GIVEN`].
    pub event_state: Code,
    /// Who acted: `subject`, or the roles that signed, joined by `/`.
    pub entity_id: Code,
}

/// A party of a consent record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Party {
    /// Id of the party.
    pub id: Code,
    /// Its name.
    pub name: Code,
    /// `controller`, `processor` ...
    pub kind: Code,
    /// Where it can be reached.
    pub contact: Code,
    /// Its address.
    pub address: Code,
}

/// Ends a consent. Forward only: what was lawfully released stays released.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Withdrawal {
    /// Always [`Kind::Withdrawal`].
    pub kind: Kind,
    /// The organisation.
    pub org: Org,
    /// Fresh random bytes.
    pub nonce: Nonce,
    /// The charter that the signer saw.
    pub charter: Digest,
    /// The consent that ends.
    pub consent: Digest,
    /// Its subject.
    pub subject: Token,
    /// When it was signed.
    pub at: Timestamp,
}

statement!(Withdrawal, Withdrawal, limits::PAYLOAD_SMALL, |_w| { Ok(()) });
