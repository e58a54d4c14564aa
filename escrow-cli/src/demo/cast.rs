//! The people of the demo, their keys, and the charter they live under.

use super::cluster::Operator;
use escrow_client::{Charters, ChartersError, Identity, Officer, now};
use escrow_core::charter::{
    Basis, BasisSigners, Charter, Generation, Limits, Person, PersonKey, Policy, Seat, Subject,
};
use escrow_core::consent::Party;
use escrow_core::envelope::EnvelopeError;
use escrow_core::sealing::Suite;
use escrow_core::{Envelope, Kind, Nonce, Timestamp, WordError};
use escrow_policy::context::SCHEMA_VERSION;
use escrow_policy::ready::READY;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The organisation.
pub const ORG: &str = "acme.example";

/// Five parties, one node each; any three release together, two can do nothing.
pub const OPERATORS: [Operator; 5] = [
    Operator { name: "company-it", party: "ACME IT", person: "op-ines", jurisdiction: "DE" },
    Operator { name: "counsel", party: "Outside counsel LLP", person: "op-carl", jurisdiction: "DE" },
    Operator { name: "works-council", party: "ACME works council", person: "op-wanda", jurisdiction: "DE" },
    Operator { name: "trustee", party: "Trustee GmbH", person: "op-tom", jurisdiction: "AT" },
    Operator { name: "vendor", party: "Messenger vendor Inc", person: "op-vera", jurisdiction: "NL" },
];

/// Threshold of the demo.
pub(super) const T: u8 = 3;

/// The demo's policy: what a lawyer reads.
pub(super) const POLICY: &str = r#"// Internal investigation: one person of Legal and one data protection officer, both.
@id("internal-investigation")
permit (principal, action == Escrow::Action::"release", resource)
when {
    context.approvals.legal >= 1 &&
    context.approvals.dpo >= 1
};
"#;

/// Id of that policy.
pub const POLICY_ID: &str = "internal-investigation";

/// Id of the policy under which subjects get their own messages back.
pub(super) const RECOVERY_ID: &str = "self-recovery";

/// Officers: id, name, roles, and whether releases can be sealed to them.
const OFFICERS: [(&str, &str, &[&str], bool); 9] = [
    ("ada", "Ada Adler", &["admin"], false),
    ("ben", "Ben Brandt", &["admin"], false),
    ("rita", "Rita Roth", &["registrar"], false),
    ("rolf", "Rolf Reuter", &["registrar"], false),
    ("quinn", "Quinn Quast", &["requestor", "legal"], false),
    ("lena", "Lena Lang", &["legal"], false),
    ("dora", "Dora Diehl", &["dpo"], false),
    ("erik", "Erik Ebert", &["recipient"], true),
    ("sven", "Sven Stahl", &["subject-rights"], false),
];

/// Everybody with a key.
#[derive(Debug)]
pub struct Cast {
    officers: BTreeMap<&'static str, Arc<Identity>>,
}

impl Cast {
    /// Fresh keys for everybody.
    ///
    /// # Errors
    /// [`WordError`] never, for the names above.
    pub fn new() -> Result<Self, WordError> {
        let mut officers = BTreeMap::new();
        for (id, _, _, recipient) in OFFICERS {
            let officer = Officer::generate(id.parse()?, recipient.then_some(Suite::XWing));
            officers.insert(id, Arc::new(Identity::Officer(officer)));
        }
        Ok(Self { officers })
    }

    /// One officer.
    pub fn get(&self, id: &str) -> Option<Arc<Identity>> {
        self.officers.get(id).cloned()
    }

    /// All officers.
    pub fn officers(&self) -> impl Iterator<Item = (&'static str, &Arc<Identity>)> {
        self.officers.iter().map(|(id, o)| (*id, o))
    }

    /// Drafts the charter from the seat descriptors, and has both administrators sign it.
    ///
    /// # Errors
    /// [`CastError`].
    pub fn charter(&self, seats: Vec<Seat>) -> Result<Charters, CastError> {
        let draft = self.draft(seats)?;
        let admins: Vec<_> = ["ada", "ben"].iter().filter_map(|a| self.get(a)).collect();
        let keys: Vec<_> = admins.iter().filter_map(|a| a.signing()).collect();
        let envelope = Envelope::sign(&draft, &keys)?;
        Ok(Charters::verify(envelope.digest(), vec![envelope])?)
    }

    /// The charter, unsigned.
    ///
    /// # Errors
    /// [`WordError`] never, for the names above.
    pub fn draft(&self, seats: Vec<Seat>) -> Result<Charter, WordError> {
        let mut people = Vec::new();
        for (id, name, roles, _) in OFFICERS {
            let identity = self.officers.get(id);
            let key = identity.map(|i| PersonKey { key: i.public(), from: Timestamp::EPOCH, until: Timestamp::MAX });
            people.push(Person {
                id: id.parse()?,
                name: name.into(),
                roles: roles.iter().map(|r| r.parse()).collect::<Result<_, _>>()?,
                keys: key.into_iter().collect(),
                sealing: identity.and_then(|i| i.sealing()).map(|s| s.public().clone()),
                subject: Subject::NoSubject,
            });
        }
        for o in OPERATORS {
            people.push(Person {
                id: o.person.parse()?,
                name: format!("Operator of {}", o.party),
                roles: vec![],
                keys: vec![],
                sealing: None,
                subject: Subject::NoSubject,
            });
        }
        Ok(Charter {
            kind: Kind::Charter,
            org: ORG.parse()?,
            nonce: Nonce::random(),
            demo: true,
            version: 1,
            previous: None,
            voided: vec![],
            issued: now(),
            generations: vec![Generation { number: 1, t: T, members: seats.iter().map(|s| s.index).collect() }],
            seats,
            people,
            policies: policies()?,
            admin_quorum: 2,
            registrar_quorum: 2,
            approver_roles: vec!["legal".parse()?, "dpo".parse()?],
            basis_signers: vec![BasisSigners {
                basis: Basis::WorksAgreement,
                roles: vec!["dpo".parse()?, "subject-rights".parse()?],
            }],
            token_versions: vec![1],
            controllers: vec![Party {
                id: ORG.parse()?,
                name: "ACME GmbH".parse()?,
                kind: "controller".parse()?,
                contact: "dpo at acme.example".parse()?,
                address: "Example Street 1 - Berlin - DE".parse()?,
            }],
            limits: Limits {
                request_life_s: 7 * 86_400,
                items_per_request: 1_000,
                requests_per_requestor_month: 1_000,
                items_per_requestor_month: 10_000,
                permit_life_s: 60,
                notice_delay_days: 90,
                recovery_delay_s: 3 * 86_400,
                clock_skew_s: 120,
                charter_grace_s: 86_400,
                sealing_key_days: 365,
            },
        })
    }
}

/// The demo's own policy, and the ready one for self-recovery.
fn policies() -> Result<Vec<Policy>, WordError> {
    let own = Policy { id: POLICY_ID.parse()?, schema: SCHEMA_VERSION, text: POLICY.into() };
    let recovery = READY.iter().filter(|r| r.id == RECOVERY_ID).map(|r| Ok(r.policy_as(r.id.parse()?)));
    std::iter::once(Ok(own)).chain(recovery).collect()
}

/// Why there is no charter.
#[derive(Debug, thiserror::Error)]
pub enum CastError {
    /// A word.
    #[error(transparent)]
    Word(#[from] WordError),
    /// Signing.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// The charter's own rules.
    #[error(transparent)]
    Charters(#[from] ChartersError),
}
