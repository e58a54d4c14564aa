//! Consent and withdrawal, and which consents are known.

use crate::client::Client;
use crate::clock::now;
use crate::identity::SignError;
use crate::outcome::{NodeError, Outcomes};
use escrow_core::charter::Basis;
use escrow_core::consent::{
    Authority, Consent, Coverage, Epochs, Floor, GIVEN, NoticeText, PolicyRef, Record, Withdrawal,
};
use escrow_core::query::Question;
use escrow_core::wire::ConsentInfo;
use escrow_core::{Code, Digest, Envelope, Kind, Nonce, Timestamp, Token};
use std::collections::{BTreeMap, BTreeSet};

/// What a consent says, short of what the charter and the clock give.
#[derive(Clone, Debug)]
pub struct ConsentTerms {
    /// Whose keys may be escrowed.
    pub subject: Token,
    /// Which threads.
    pub coverage: Coverage,
    /// First instant of messages covered.
    pub from: Timestamp,
    /// First instant after them.
    pub to: Timestamp,
    /// Epochs covered; none for all.
    pub epochs: Option<Epochs>,
    /// Purposes; sorted here.
    pub purposes: Vec<Code>,
    /// On what ground.
    pub basis: Basis,
    /// For a basis other than consent.
    pub authority: Option<Authority>,
    /// Policies agreed to, by id; their texts are today's of the charter.
    pub policies: Vec<Code>,
    /// Smallest node set accepted.
    pub floor: Floor,
    /// Days that shares are kept.
    pub retention_days: u32,
    /// The text that was shown.
    pub notice: NoticeText,
    /// When the consent ends.
    pub expires: Timestamp,
    /// Law that applies.
    pub jurisdiction: Code,
    /// Categories of data.
    pub pii_types: Vec<Code>,
    /// Who may receive a release, as roles.
    pub recipients: Vec<Code>,
    /// How to withdraw.
    pub withdrawal_method: Code,
}

/// Why a consent cannot be drafted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConsentError {
    /// A policy that the charter does not have.
    #[error("the charter has no policy {0}; `escrow charter show` lists them")]
    UnknownPolicy(Code),
    /// A code that cannot be made from this charter.
    #[error("{0}")]
    Word(#[from] escrow_core::WordError),
    /// A rule of consents is broken.
    #[error(transparent)]
    Statement(#[from] SignError),
}

/// One consent that nodes know.
#[derive(Clone, Debug)]
pub struct KnownConsent {
    /// Its digest.
    pub digest: Digest,
    /// The consent.
    pub consent: Consent,
    /// As it was signed.
    pub envelope: Envelope,
    /// Nodes that know it.
    pub nodes: usize,
    /// First time any node logged it.
    pub logged: Timestamp,
    /// First time any node logged its withdrawal.
    pub withdrawn: Option<Timestamp>,
}

impl KnownConsent {
    /// `live`, `withdrawn` or `expired` at a time.
    pub fn state(&self, at: Timestamp) -> &'static str {
        match self.withdrawn {
            Some(_) => "withdrawn",
            None if self.consent.expires <= at => "expired",
            None => "live",
        }
    }
}

impl Client {
    /// Signs a consent: for basis consent as the subject's device, else as one of the roles that
    /// the charter demands, to be countersigned by the others.
    ///
    /// # Errors
    /// [`ConsentError`].
    pub fn consent(&self, terms: ConsentTerms) -> Result<Envelope, ConsentError> {
        let charter = self.charters().current();
        let mut policies = terms
            .policies
            .iter()
            .map(|id| {
                let policy = charter.policy(id).ok_or_else(|| ConsentError::UnknownPolicy(id.clone()))?;
                Ok(PolicyRef { id: id.clone(), digest: policy.digest() })
            })
            .collect::<Result<Vec<_>, ConsentError>>()?;
        policies.sort();
        policies.dedup();
        let mut purposes = terms.purposes;
        purposes.sort();
        purposes.dedup();
        let nonce = Nonce::random();
        let members = &self.charters().generation().members;
        let storage: BTreeSet<Code> =
            members.iter().filter_map(|m| charter.seat(*m)).map(|s| s.jurisdiction.clone()).collect();
        let signers = charter.basis_signers.iter().find(|b| b.basis == terms.basis);
        let entity = match signers {
            Some(b) => b.roles.iter().map(|r| r.as_str()).collect::<Vec<_>>().join("/"),
            None => "subject".to_owned(),
        };
        let sorted = |codes: Vec<Code>| codes.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        let record = Record {
            schema_version: "27560-2023/1".parse()?,
            record_id: format!("consent:{}", Digest::of(&nonce.0).short()).parse()?,
            jurisdiction: terms.jurisdiction,
            pii_types: sorted(terms.pii_types),
            controllers: charter.controllers.clone(),
            storage_locations: storage.into_iter().collect(),
            recipients: sorted(terms.recipients),
            withdrawal_method: terms.withdrawal_method,
            event_time: now(),
            event_type: if terms.basis == Basis::Consent { "explicit".parse()? } else { "recorded".parse()? },
            event_state: GIVEN.parse()?,
            entity_id: entity.parse()?,
        };
        Ok(self.sign(&Consent {
            kind: Kind::Consent,
            org: charter.org.clone(),
            nonce,
            charter: self.charters().digest(),
            subject: terms.subject,
            coverage: terms.coverage,
            from: terms.from,
            to: terms.to,
            epochs: terms.epochs,
            purposes,
            basis: terms.basis,
            authority: terms.authority,
            policies,
            floor: terms.floor,
            retention_days: terms.retention_days,
            notice: terms.notice,
            expires: terms.expires,
            record,
        })?)
    }

    /// Signs a withdrawal.
    ///
    /// # Errors
    /// [`SignError`].
    pub fn withdrawal(&self, consent: Digest, subject: Token) -> Result<Envelope, SignError> {
        self.sign(&Withdrawal {
            kind: Kind::Withdrawal,
            org: self.charters().current().org.clone(),
            nonce: Nonce::random(),
            charter: self.charters().digest(),
            consent,
            subject,
            at: now(),
        })
    }

    /// The consents that nodes know: a device's own, for an officer all. A withdrawal known to
    /// one node counts.
    pub async fn consents(&self) -> Outcomed<Vec<KnownConsent>> {
        let answers: Outcomes<Vec<ConsentInfo>> = self.ask_all(Question::Consents).await;
        let mut known: BTreeMap<Digest, KnownConsent> = BTreeMap::new();
        let outcomes = answers.and_then(|_, list| {
            let mut seen = 0;
            for info in list {
                let envelope = crate::transport::envelope(&info.consent, "consent")?;
                let consent: Consent = envelope.decode().map_err(|e| NodeError::Protocol(e.to_string()))?;
                let digest = envelope.digest();
                let k = known.entry(digest).or_insert_with(|| KnownConsent {
                    digest,
                    consent,
                    envelope,
                    nodes: 0,
                    logged: info.logged,
                    withdrawn: None,
                });
                k.nodes += 1;
                k.logged = k.logged.min(info.logged);
                k.withdrawn = k.withdrawn.into_iter().chain(info.withdrawn).min();
                seen += 1;
            }
            Ok(seen)
        });
        let mut list: Vec<_> = known.into_values().collect();
        list.sort_by_key(|k| (k.logged, k.digest));
        Outcomed { value: list, outcomes }
    }
}

/// A value put together from several nodes' answers, with how many entries each gave.
#[derive(Clone, Debug)]
pub struct Outcomed<T> {
    /// What they say together.
    pub value: T,
    /// Entries in each node's answer, or why there was none.
    pub outcomes: Outcomes<usize>,
}
