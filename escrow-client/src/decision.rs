//! Decisions of approvers.

use crate::client::Client;
use crate::clock::now;
use crate::identity::SignError;
use crate::key_file::KeyFileError;
use escrow_core::decision::{Choice, Decision};
use escrow_core::{Code, Digest, Envelope, Kind, Nonce, PersonId, Role};

/// Why a decision cannot be signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecisionError {
    /// The key in use is not an officer's.
    #[error(transparent)]
    Identity(#[from] KeyFileError),
    /// The person is not in the charter.
    #[error("{0} is not in the charter; ask the administrators")]
    Unknown(PersonId),
    /// The person holds no approver role, or not this one.
    #[error("{person} holds no such approver role; the charter gives them: {held}")]
    NoRole {
        /// Who.
        person: PersonId,
        /// Approver roles that they do hold.
        held: String,
    },
    /// The person holds several approver roles.
    #[error("{person} holds several approver roles; say in which one with --role: {held}")]
    WhichRole {
        /// Who.
        person: PersonId,
        /// Approver roles that they hold.
        held: String,
    },
    /// A rule of decisions is broken.
    #[error(transparent)]
    Statement(#[from] SignError),
}

impl Client {
    /// The approver role in which this officer decides: the one asked for, or the only one held.
    ///
    /// # Errors
    /// [`DecisionError`].
    pub fn approver_role(&self, wanted: Option<&Role>) -> Result<Role, DecisionError> {
        let person = &self.identity().officer()?.person;
        let charter = self.charters().current();
        let listed = charter.person(person).ok_or_else(|| DecisionError::Unknown(person.clone()))?;
        let held: Vec<&Role> = listed.roles.iter().filter(|r| charter.approver_roles.contains(r)).collect();
        let names = || held.iter().map(|r| r.as_str()).collect::<Vec<_>>().join(", ");
        match (wanted, held.as_slice()) {
            (Some(role), _) if held.contains(&role) => Ok(role.clone()),
            (None, [only]) => Ok((*only).clone()),
            (None, [_, _, ..]) => Err(DecisionError::WhichRole { person: person.clone(), held: names() }),
            _ => Err(DecisionError::NoRole { person: person.clone(), held: names() }),
        }
    }

    /// Signs a decision.
    ///
    /// # Errors
    /// [`DecisionError`].
    pub fn decision(
        &self,
        request: Digest,
        choice: Choice,
        role: Role,
        reason: Code,
    ) -> Result<Envelope, DecisionError> {
        Ok(self.sign(&Decision {
            kind: Kind::Decision,
            org: self.charters().current().org.clone(),
            nonce: Nonce::random(),
            charter: self.charters().digest(),
            request,
            by: self.identity().officer()?.person.clone(),
            role,
            choice,
            reason,
            at: now(),
        })?)
    }
}
