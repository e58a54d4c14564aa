//! Self-recovery: a subject's own items, back on a device of theirs; and the veto against it.

use crate::charters::Charters;
use crate::client::Client;
use crate::clock::now;
use crate::consent::Outcomed;
use crate::identity::SignError;
use crate::key_file::KeyFileError;
use crate::outcome::{NodeError, Outcomes};
use crate::request::strongest;
use crate::shown;
use escrow_core::decision::{Choice, Decision};
use escrow_core::query::Question;
use escrow_core::recovery::{SelfRecovery, Veto};
use escrow_core::wire::{ItemInfo, OwnAnswer, RecoveryInfo};
use escrow_core::{Code, Digest, Envelope, ItemId, Kind, Nonce, PersonId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// Why no self-recovery can be drafted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoveryError {
    /// The key in use is not a device's.
    #[error(transparent)]
    Identity(#[from] KeyFileError),
    /// Too few nodes answered to know what is escrowed.
    #[error("{answered} nodes answered, {need} are needed to know what can be recovered:\n{outcomes}")]
    BelowThreshold {
        /// Nodes that answered.
        answered: usize,
        /// Nodes needed.
        need: usize,
        /// What each said.
        outcomes: Outcomes<usize>,
    },
    /// Nothing of it is escrowed.
    #[error("nothing that this subject deposited can be recovered under policy {0}; the consent must name that policy")]
    NothingThere(Code),
    /// Nodes name no live enrolment of this device alike.
    #[error("too few nodes know a live enrolment of this device; ask a registrar to enrol it at all nodes")]
    NotEnrolled,
    /// The device was enrolled too short a time ago.
    #[error("this device has been enrolled for {age} s, the charter asks for {delay} s; {deposited} keys are escrowed")]
    TooYoung {
        /// Seconds at the nodes that count.
        age: i64,
        /// Seconds needed.
        delay: i64,
        /// Items that the subject has deposited.
        deposited: u64,
    },
    /// The items are of several node sets.
    #[error("the items belong to generations {0:?}; a self-recovery names items of one: narrow the time")]
    MixedGenerations(BTreeSet<u32>),
    /// A rule of self-recoveries is broken.
    #[error(transparent)]
    Statement(#[from] SignError),
}

/// A self-recovery that is ready to be shown and signed.
#[derive(Debug)]
pub struct RecoveryDraft {
    /// The statement.
    pub recovery: SelfRecovery,
    /// What its items are.
    pub items: Vec<ItemInfo>,
    /// When the last of the nodes that count first logged the device's enrolment.
    pub enrolled: Timestamp,
    /// The most other live devices that any node knows: each can veto.
    pub other_devices: u64,
    /// Items in each node's answer.
    pub outcomes: Outcomes<usize>,
}

/// One self-recovery as the nodes know it.
#[derive(Clone, Debug)]
pub struct KnownRecovery {
    /// Its digest.
    pub digest: Digest,
    /// The statement.
    pub recovery: SelfRecovery,
    /// As it was signed.
    pub envelope: Envelope,
    /// Nodes that know it.
    pub nodes: usize,
    /// First time any node logged it.
    pub logged: Timestamp,
    /// Decisions of all nodes, each once.
    pub decisions: Vec<(Decision, Envelope)>,
    /// Vetoes of all nodes, each once.
    pub vetoes: Vec<(Veto, Envelope)>,
    /// Replies delivered by all nodes together.
    pub deliveries: u64,
}

impl KnownRecovery {
    /// The strongest choice of each person.
    pub fn choices(&self) -> BTreeMap<&PersonId, (Choice, &Decision)> {
        strongest(&self.decisions)
    }

    /// `open`, `vetoed`, `denied` or `expired`; what the policy says, only verdicts tell.
    pub fn state(&self, at: Timestamp) -> &'static str {
        if !self.vetoes.is_empty() {
            "vetoed"
        } else if self.choices().values().any(|(c, _)| *c == Choice::Deny) {
            "denied"
        } else if self.recovery.expires <= at {
            "expired"
        } else {
            "open"
        }
    }
}

impl Client {
    /// Drafts a self-recovery of everything that this device's subject deposited under the policy and
    /// that at least t nodes hold alike, narrowed by `wanted`.
    ///
    /// # Errors
    /// [`RecoveryError`].
    pub async fn draft_recovery(
        &self,
        policy: Code,
        life_s: i64,
        wanted: impl Fn(&ItemInfo) -> bool,
    ) -> Result<RecoveryDraft, RecoveryError> {
        let device = self.identity().device()?;
        let answers: Outcomes<OwnAnswer> = self.ask_all(Question::Own).await;
        let mut held: BTreeMap<(ItemId, String), (usize, ItemInfo)> = BTreeMap::new();
        let mut enrolments: BTreeMap<Digest, Vec<Timestamp>> = BTreeMap::new();
        let (mut other_devices, mut deposited) = (0, 0);
        let outcomes = answers.and_then(|_, answer| {
            other_devices = answer.other_devices.max(other_devices);
            for e in answer.enrolments {
                enrolments.entry(e.enrolment).or_default().push(e.since);
            }
            let seen = answer.items.len();
            deposited = answer.count.max(deposited);
            for info in answer.items {
                let text = serde_json::to_string(&info).map_err(|e| NodeError::Protocol(e.to_string()))?;
                held.entry((info.item, text)).or_insert((0, info)).0 += 1;
            }
            Ok(seen)
        });
        let (answered, need) = (outcomes.count(), self.t());
        if answered < need {
            return Err(RecoveryError::BelowThreshold { answered, need, outcomes });
        }
        // Of several enrolments the one that t nodes have known longest.
        let oldest = enrolments.into_iter().filter_map(|(digest, mut logged)| {
            logged.sort();
            Some((*logged.get(need.saturating_sub(1))?, digest))
        });
        let (enrolled, enrolment) = oldest.min().ok_or(RecoveryError::NotEnrolled)?;
        let mine = |i: &ItemInfo| i.depositor == device.subject && i.policies.contains(&policy) && wanted(i);
        let delay = i64::try_from(self.charters().current().limits.recovery_delay_s).unwrap_or(i64::MAX);
        let age = now().seconds_since(enrolled);
        if age < delay {
            return Err(RecoveryError::TooYoung { age, delay, deposited });
        }
        let items: Vec<ItemInfo> =
            held.into_values().filter(|(n, i)| *n >= need && mine(i)).map(|(_, info)| info).collect();
        if items.is_empty() {
            return Err(RecoveryError::NothingThere(policy));
        }
        let generations: BTreeSet<u32> = items.iter().map(|i| i.generation).collect();
        if generations.len() > 1 {
            return Err(RecoveryError::MixedGenerations(generations));
        }
        let created = now();
        let recovery = SelfRecovery {
            kind: Kind::SelfRecovery,
            org: self.charters().current().org.clone(),
            nonce: Nonce::random(),
            charter: self.charters().digest(),
            subject: device.subject,
            enrolment,
            key: device.signing.public(),
            sealing: device.sealing.public().digest(),
            items: items.iter().map(|i| i.item).collect(),
            policy,
            created,
            expires: created.plus_seconds(life_s),
        };
        Ok(RecoveryDraft { recovery, items, enrolled, other_devices, outcomes })
    }

    /// Signs a veto: as a device of the same subject, or as the subject-rights role.
    ///
    /// # Errors
    /// [`SignError`].
    pub fn veto(&self, recovery: Digest, reason: Code) -> Result<Envelope, SignError> {
        self.sign(&Veto {
            kind: Kind::Veto,
            org: self.charters().current().org.clone(),
            nonce: Nonce::random(),
            charter: self.charters().digest(),
            recovery,
            by: self.identity().caller(),
            reason,
            at: now(),
        })
    }

    /// All self-recoveries that any node knows, oldest first: for a device those of its own subject.
    pub async fn recoveries(&self) -> Outcomed<Vec<KnownRecovery>> {
        let answers: Outcomes<Vec<RecoveryInfo>> = self.ask_all(Question::Recoveries).await;
        let mut known: BTreeMap<Digest, KnownRecovery> = BTreeMap::new();
        let outcomes = answers.and_then(|_, list| {
            let seen = list.len();
            for info in list {
                merge(self.charters(), &mut known, info)?;
            }
            Ok(seen)
        });
        let mut list: Vec<_> = known.into_values().collect();
        list.sort_by_key(|r| (r.logged, r.digest));
        Outcomed { value: list, outcomes }
    }

    /// Self-recoveries that still wait for this officer's decision.
    pub fn recovery_waits_for_me(&self, r: &KnownRecovery) -> bool {
        let Ok(me) = self.identity().officer().map(|o| &o.person) else { return false };
        r.state(now()) == "open" && !r.choices().contains_key(me) && self.approves(me)
    }
}

fn merge(
    charters: &Charters,
    known: &mut BTreeMap<Digest, KnownRecovery>,
    info: RecoveryInfo,
) -> Result<(), NodeError> {
    let envelope = crate::transport::envelope(&info.recovery, "self-recovery")?;
    let recovery: SelfRecovery = envelope.decode().map_err(|e| NodeError::Protocol(e.to_string()))?;
    if !shown::signed_with(&envelope, &recovery.key) {
        return Err(NodeError::Protocol("it shows a self-recovery that its device did not sign".into()));
    }
    let digest = envelope.digest();
    let k = known.entry(digest).or_insert_with(|| KnownRecovery {
        digest,
        recovery,
        envelope,
        nodes: 0,
        logged: info.logged,
        decisions: vec![],
        vetoes: vec![],
        deliveries: 0,
    });
    k.nodes += 1;
    k.logged = k.logged.min(info.logged);
    k.deliveries += info.deliveries;
    shown::add(&mut k.decisions, &info.decisions, |d: &Decision, e| {
        d.request == digest && charters.signed_by(e, &d.by)
    })?;
    shown::add(&mut k.vetoes, &info.vetoes, |v: &Veto, e| v.recovery == digest && shown::signed_by(charters, e, &v.by))
}
