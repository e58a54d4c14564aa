//! Enrolling and revoking: statements of the registrars, one signature each.

use crate::client::Client;
use crate::clock::now;
use crate::identity::SignError;
use escrow_core::enrolment::{Device, Enrolment, Revocation, Revoked};
use escrow_core::envelope::EnvelopeError;
use escrow_core::{Code, Envelope, Kind, Nonce, PersonId, Timestamp};
use std::collections::BTreeSet;

/// How far a statement that needs several signers has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quorum {
    /// People with the role who signed.
    pub signed: BTreeSet<PersonId>,
    /// How many are needed.
    pub need: u32,
    /// People with the role who have not signed.
    pub others: BTreeSet<PersonId>,
}

impl Quorum {
    /// True if enough have signed.
    pub fn met(&self) -> bool {
        self.signed.len() >= self.need as usize
    }
}

impl Client {
    /// Signs an enrolment of devices. Other registrars add theirs with [`Envelope::countersign`].
    ///
    /// # Errors
    /// [`SignError`], also if a rule of enrolments is broken.
    pub fn enrolment(&self, devices: Vec<Device>, from: Timestamp, until: Timestamp) -> Result<Envelope, SignError> {
        self.sign(&Enrolment {
            kind: Kind::Enrolment,
            org: self.charters().current().org.clone(),
            nonce: Nonce::random(),
            charter: self.charters().digest(),
            devices,
            from,
            until,
        })
    }

    /// Signs a revocation.
    ///
    /// # Errors
    /// [`SignError`], also if a rule of revocations is broken.
    pub fn revocation(&self, revokes: Revoked, reason: Code) -> Result<Envelope, SignError> {
        self.sign(&Revocation {
            kind: Kind::Revocation,
            org: self.charters().current().org.clone(),
            nonce: Nonce::random(),
            charter: self.charters().digest(),
            revokes,
            reason,
            at: now(),
        })
    }

    /// Adds this officer's signature to a statement that others began.
    ///
    /// # Errors
    /// [`EnvelopeError::SignedTwice`]; [`SignError`].
    pub fn countersign(&self, envelope: &Envelope) -> Result<Envelope, SignError> {
        self.identity().countersign(envelope)
    }

    /// Who of the people with `role` has signed, by the charter acted under.
    ///
    /// # Errors
    /// [`EnvelopeError`] if a signature does not verify.
    pub fn quorum(&self, envelope: &Envelope, role: &str, need: u32) -> Result<Quorum, EnvelopeError> {
        let charter = self.charters().current();
        let keys = charter.people.iter().flat_map(|p| &p.keys).map(|k| &k.key);
        let lookup = |id: &String| keys.clone().filter(|k| k.id() == *id).cloned().collect();
        let signers = envelope.signers(lookup)?;
        let holders = signers.iter().filter_map(|k| charter.holder(k)).filter(|p| p.has_role(role));
        let signed: BTreeSet<_> = holders.map(|p| p.id.clone()).collect();
        let others =
            charter.people.iter().filter(|p| p.has_role(role) && !signed.contains(&p.id)).map(|p| p.id.clone());
        Ok(Quorum { others: others.collect(), signed, need })
    }
}
