//! The charter: who exists and what the rules are.
//!
//! This module holds the shape; what makes a charter acceptable (section 4.1 of the design) is
//! decided in `escrow-policy`.

use crate::consent::Party;
use crate::digest::{Blob, Digest, Nonce};
use crate::envelope::{Envelope, EnvelopeError};
use crate::key::PublicKey;
use crate::limits;
use crate::sealing::Suite;
use crate::statement::{Kind, rule, statement};
use crate::strict::nullable;
use crate::time::Timestamp;
use crate::token::Token;
use crate::words::{Code, Org, PersonId, Role, SeatIndex};
use serde::{Deserialize, Serialize};

/// One version of the charter. Its digest is the root of all trust.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Charter {
    /// Always [`Kind::Charter`].
    pub kind: Kind,
    /// The organisation.
    pub org: Org,
    /// Fresh random bytes.
    pub nonce: Nonce,
    /// Relaxes only "quorum of 1" and "one operator for all"; every command then says so.
    pub demo: bool,
    /// 1 for the genesis, then one more each time.
    pub version: u64,
    /// Digest of the previous version; null only in the genesis.
    #[serde(deserialize_with = "nullable")]
    pub previous: Option<Digest>,
    /// Digests of conflicting versions that this one declares void.
    pub voided: Vec<Digest>,
    /// When it was drafted.
    pub issued: Timestamp,
    /// The nodes.
    pub seats: Vec<Seat>,
    /// The sets of seats over which shares are or were dealt, ascending; the last is current.
    pub generations: Vec<Generation>,
    /// Everybody with an office.
    pub people: Vec<Person>,
    /// The rules for release.
    pub policies: Vec<Policy>,
    /// How many people with role `admin` must sign a charter.
    pub admin_quorum: u32,
    /// How many people with role `registrar` must sign an enrolment.
    pub registrar_quorum: u32,
    /// Roles whose holders may decide on requests.
    pub approver_roles: Vec<Role>,
    /// For each basis other than consent: who must sign a consent record on that basis.
    pub basis_signers: Vec<BasisSigners>,
    /// Versions of the organisation's token key in use, ascending; the last is current.
    pub token_versions: Vec<u32>,
    /// Who decides on the processing: the parties that consent records name.
    pub controllers: Vec<Party>,
    /// Bounds.
    pub limits: Limits,
}

statement!(Charter, Charter, limits::PAYLOAD_LARGE, |c| {
    rule(c.version >= 1, "version starts at 1")?;
    rule((c.version == 1) == c.previous.is_none(), "only version 1 has no previous version")
});

/// One escrow node's public side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seat {
    /// x coordinate of its shares, unique for ever.
    pub index: SeatIndex,
    /// Short name.
    pub name: Code,
    /// People who operate it.
    pub operators: Vec<PersonId>,
    /// The party that runs it.
    pub operator: Code,
    /// Where it is run, e.g. `DE`.
    pub jurisdiction: Code,
    /// Base URL, `https://host:port`.
    pub url: String,
    /// SHA-256 of its TLS certificate's SubjectPublicKeyInfo.
    pub tls_pin: Digest,
    /// Signs receipts, verdicts, releases, answers and views.
    pub statement_key: PublicKey,
    /// Origin of its current log.
    pub log_origin: String,
    /// Ed25519 key of that log's checkpoints.
    pub log_key: PublicKey,
    /// Ed25519 key of its cosignatures on others' checkpoints.
    pub witness_key: PublicKey,
    /// Where shares for this seat are sealed to.
    pub sealing: SealingKey,
    /// Digest of the last head of this seat's previous log; null for its first.
    #[serde(deserialize_with = "nullable")]
    pub previous_log_head: Option<Digest>,
}

/// An HPKE public key with its suite.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealingKey {
    /// HPKE suite.
    pub suite: Suite,
    /// Serialised public key of the suite's KEM.
    pub public: Blob,
}

impl SealingKey {
    /// SHA-256 over label, suite name and key bytes: the digest by which requests name it.
    pub fn digest(&self) -> Digest {
        crate::label::Labelled::new(crate::label::labels::KEY)
            .bytes(self.suite.name().as_bytes())
            .bytes(&self.public.0)
            .hash()
    }
}

/// A node set and its threshold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generation {
    /// Ascending from 1.
    pub number: u32,
    /// Shares needed.
    pub t: u8,
    /// Seats holding one share each, ascending; their count is n.
    pub members: Vec<SeatIndex>,
}

impl Generation {
    /// The number of members.
    pub fn n(&self) -> u8 {
        u8::try_from(self.members.len()).unwrap_or(u8::MAX)
    }

    /// Peers that must cosign and answer before a share leaves: t - 1.
    pub const fn w(&self) -> usize {
        (self.t as usize).saturating_sub(1)
    }

    /// Members that must prove a restarting node: n - t + 1.
    pub fn start_quorum(&self) -> usize {
        self.members.len().saturating_sub(usize::from(self.t)).saturating_add(1)
    }
}

/// A person of the charter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// Unique id.
    pub id: PersonId,
    /// Name of the officer, as colleagues know it.
    pub name: String,
    /// Offices held.
    pub roles: Vec<Role>,
    /// Signature keys with their validity.
    pub keys: Vec<PersonKey>,
    /// Where a release for this person is sealed to; null if never a recipient.
    #[serde(deserialize_with = "nullable")]
    pub sealing: Option<SealingKey>,
    /// Who this person is as a data subject.
    pub subject: Subject,
}

/// A person's signature key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonKey {
    /// The key.
    pub key: PublicKey,
    /// First instant of validity.
    pub from: Timestamp,
    /// First instant after validity.
    pub until: Timestamp,
}

/// Who an officer is as a data subject, so that nobody decides about their own messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Subject {
    /// Not a subject of this escrow at all.
    NoSubject,
    /// Their tokens, one for every token-key version in use.
    Tokens(Vec<Token>),
}

/// A policy text under its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Id by which consents, items and requests name it.
    pub id: Code,
    /// Version of the context schema it is written for.
    pub schema: u32,
    /// The Cedar text.
    pub text: String,
}

impl Policy {
    /// Digest that consents and deals agree to: label, schema version and text.
    pub fn digest(&self) -> Digest {
        crate::label::Labelled::new(crate::label::labels::POLICY)
            .u64(u64::from(self.schema))
            .bytes(self.text.as_bytes())
            .hash()
    }
}

/// Why a release may lawfully happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// The data subject's own consent.
    Consent,
    /// A collective agreement with the works council.
    WorksAgreement,
    /// A duty in law.
    LegalObligation,
    /// The order of a court or authority. Never called consent.
    Order,
    /// A contract with the subject.
    Contract,
}

impl Basis {
    /// The word as it stands in payloads and in policy context.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Consent => "consent",
            Self::WorksAgreement => "works-agreement",
            Self::LegalObligation => "legal-obligation",
            Self::Order => "order",
            Self::Contract => "contract",
        }
    }
}

/// Roles that must sign a consent record made on a basis other than the subject's consent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BasisSigners {
    /// The basis.
    pub basis: Basis,
    /// One distinct person for each role listed.
    pub roles: Vec<Role>,
}

/// Bounds set by the organisation. All are required; zero is refused by the charter check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Longest life of a request, seconds.
    pub request_life_s: u64,
    /// Most items one request may name.
    pub items_per_request: u64,
    /// Most requests one requestor may make in 30 days.
    pub requests_per_requestor_month: u64,
    /// Most items one requestor may ask for in 30 days, over all their requests.
    pub items_per_requestor_month: u64,
    /// Life of a permit, seconds, at most 60.
    pub permit_life_s: u64,
    /// Longest notice delay, days.
    pub notice_delay_days: u64,
    /// Least delay between enrolment and self-recovery, seconds, at least 86400.
    pub recovery_delay_s: u64,
    /// Largest difference between a statement's own time and the node's clock, seconds.
    pub clock_skew_s: u64,
    /// How long deposits under an older charter of the same generation are taken, seconds.
    pub charter_grace_s: u64,
    /// Life of a seat's sealing key, days.
    pub sealing_key_days: u64,
}

impl Charter {
    /// The generation that new deals use.
    pub fn current_generation(&self) -> Option<&Generation> {
        self.generations.last()
    }

    /// A generation by number.
    pub fn generation(&self, number: u32) -> Option<&Generation> {
        self.generations.iter().find(|g| g.number == number)
    }

    /// A seat by index.
    pub fn seat(&self, index: SeatIndex) -> Option<&Seat> {
        self.seats.iter().find(|s| s.index == index)
    }

    /// A person by id.
    pub fn person(&self, id: &PersonId) -> Option<&Person> {
        self.people.iter().find(|p| &p.id == id)
    }

    /// The person who holds a raw key, whatever its validity.
    pub fn holder(&self, key: &PublicKey) -> Option<&Person> {
        self.people.iter().find(|p| p.keys.iter().any(|k| &k.key == key))
    }

    /// A policy by id.
    pub fn policy(&self, id: &Code) -> Option<&Policy> {
        self.policies.iter().find(|p| &p.id == id)
    }
}

impl Person {
    /// True if the person holds the role.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|r| r.as_str() == role)
    }

    /// True if `key` is this person's and valid at `at`.
    pub fn key_valid(&self, key: &PublicKey, at: Timestamp) -> bool {
        self.keys.iter().any(|k| &k.key == key && k.from <= at && at < k.until)
    }
}

/// Reads a charter file: one envelope, or a JSON array of base64 envelopes, genesis first.
/// Nothing in it is believed by this.
///
/// # Errors
/// [`EnvelopeError`] of the first thing that is no envelope.
pub fn read_file(bytes: &[u8]) -> Result<Vec<Envelope>, EnvelopeError> {
    if let Ok(blobs) = serde_json::from_slice::<Vec<Blob>>(bytes) {
        return blobs.iter().map(|b| Envelope::parse(&b.0)).collect();
    }
    Ok(vec![Envelope::parse(bytes)?])
}
