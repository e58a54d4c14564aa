//! Facts: what one node's log says, folded entry by entry.
//!
//! One pure function, [`Facts::fold`], serves the running node and the offline verifier. A
//! statement enters through [`crate::admit`], which checks who may say it; nothing else changes
//! facts. Every time in here is the time at which this node first logged something.

mod known;
mod restrictions;

pub(crate) use known::Asker;
pub use known::{
    By, Concerns, DecisionFact, DeviceFact, Event, Fact, ItemFact, Logged, MatterFact, Record, RequestFact,
};

use crate::admit::{Admitted, Verified};
use crate::charter::VerifiedCharter;
use crate::refusal::{Refusal, Rule};
use escrow_core::charter::{Basis, Charter, Policy};
use escrow_core::consent::{Consent, Withdrawal};
use escrow_core::decision::Choice;
use escrow_core::enrolment::Revoked;
use escrow_core::matter::MatterAction;
use escrow_core::{Digest, Envelope, ItemId, Kind, MatterId, PersonId, PublicKey, SeatIndex, Timestamp, Token};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// The folded state.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub(crate) seat: Option<SeatIndex>,
    pub(crate) charters: BTreeMap<Digest, VerifiedCharter>,
    /// Accepted versions, genesis first.
    pub(crate) accepted: Vec<Digest>,
    /// Those of them that were taken over on the way to a later one and were never in force.
    pub(crate) skipped: BTreeSet<Digest>,
    /// When each version was accepted here.
    pub(crate) accepted_at: BTreeMap<Digest, Timestamp>,
    pub(crate) seen: HashMap<Digest, (Kind, Logged)>,
    pub(crate) devices: BTreeMap<String, Vec<DeviceFact>>,
    /// Whose device has a sealing key, by the key's digest.
    pub(crate) sealed_to: HashMap<Digest, Token>,
    pub(crate) revoked: HashMap<Revoked, Digest>,
    /// By raw key: a revoked key has ended under every method.
    pub(crate) revoked_keys: HashMap<Vec<u8>, Digest>,
    pub(crate) consents: BTreeMap<Digest, Fact<Consent>>,
    /// By consent and subject: a stranger's withdrawal that arrives first takes nobody's place.
    pub(crate) withdrawals: BTreeMap<(Digest, Token, By), Fact<Withdrawal>>,
    pub(crate) items: BTreeMap<ItemId, ItemFact>,
    pub(crate) deals: HashMap<Digest, Digest>,
    pub(crate) matters: BTreeMap<MatterId, MatterFact>,
    pub(crate) requests: BTreeMap<Digest, RequestFact>,
    /// Every statement that takes permission away, by log position.
    pub(crate) restrictions: BTreeMap<u64, Digest>,
    /// What a restriction at a log position withdraws or closes.
    pub(crate) withdrawn: BTreeMap<u64, Digest>,
    pub(crate) closed: BTreeMap<u64, MatterId>,
    /// Withdrawals by each key whose consent was not known when they were logged.
    pub(crate) early_withdrawals: HashMap<PublicKey, usize>,
    /// Statements that this node was handed and refused, as its log says.
    pub(crate) refused: HashSet<Digest>,
    /// Consents of each subject.
    pub(crate) consents_of: BTreeMap<Token, Vec<Digest>>,
    /// When each asker asked, and for how many items.
    pub(crate) asked: BTreeMap<Asker, Vec<(Timestamp, u64)>>,
    /// Authorisations of this log that were neither delivered nor aborted yet.
    pub(crate) open: BTreeMap<u64, Digest>,
    pub(crate) size: u64,
    /// Position of the first entry of the log that is being folded.
    pub(crate) begun: u64,
}

impl Facts {
    /// Facts of an empty log.
    pub fn new() -> Self {
        Self::default()
    }

    /// Entries folded so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The seat whose log this is.
    pub fn seat(&self) -> Option<SeatIndex> {
        self.seat
    }

    /// Digest of the genesis charter.
    pub fn genesis(&self) -> Option<Digest> {
        self.accepted.first().copied()
    }

    /// The charter in force.
    pub fn charter(&self) -> Option<&VerifiedCharter> {
        self.accepted.last().and_then(|d| self.charters.get(d))
    }

    /// Any known charter by digest, accepted or not.
    pub fn known_charter(&self, digest: &Digest) -> Option<&Charter> {
        self.charters.get(digest).map(VerifiedCharter::charter)
    }

    /// The charter that a statement names: in force now or before. A version that the operator
    /// skipped never was.
    pub fn accepted_charter(&self, digest: &Digest) -> Option<&Charter> {
        let in_force = self.accepted.contains(digest) && !self.skipped.contains(digest);
        in_force.then(|| self.known_charter(digest)).flatten()
    }

    /// Accepted versions after `digest`, oldest first; what a stale client is told.
    pub fn charters_after(&self, digest: &Digest) -> Vec<Digest> {
        let at = self.accepted.iter().position(|d| d == digest).map_or(0, |i| i + 1);
        self.accepted.iter().skip(at).copied().collect()
    }

    /// Accepted charter digests, genesis first.
    pub fn accepted(&self) -> &[Digest] {
        &self.accepted
    }

    /// A valid version newer than the one in force, if one is known.
    pub fn charter_unaccepted(&self) -> Option<Digest> {
        let current = self.charter()?.charter().version;
        self.unaccepted().into_iter().find(|c| c.charter().version > current).map(VerifiedCharter::digest)
    }

    /// Known versions that are not in force and that no accepted version declares void, themselves
    /// or by a predecessor; oldest first.
    pub fn unaccepted(&self) -> Vec<&VerifiedCharter> {
        let accepted = self.accepted.iter().filter_map(|d| self.charters.get(d));
        let voided: BTreeSet<Digest> = accepted.flat_map(|c| c.charter().voided.clone()).collect();
        let void = |c: &VerifiedCharter| {
            let mut at = Some(c.digest());
            std::iter::from_fn(|| {
                let here = at?;
                at = self.charters.get(&here).and_then(|c| c.charter().previous);
                Some(here)
            })
            .any(|d| voided.contains(&d))
        };
        let mut out: Vec<_> =
            self.charters.values().filter(|c| !self.accepted.contains(&c.digest()) && !void(c)).collect();
        out.sort_by_key(|c| (c.charter().version, c.digest()));
        out
    }

    /// Two valid successors of one version that no accepted version has settled.
    pub fn charter_fork(&self) -> Option<(Digest, Digest)> {
        let voided: BTreeSet<Digest> = self
            .accepted
            .iter()
            .filter_map(|d| self.charters.get(d))
            .flat_map(|c| c.charter().voided.clone())
            .collect();
        let mut by_previous: BTreeMap<Digest, Digest> = BTreeMap::new();
        for c in self.charters.values().filter(|c| !voided.contains(&c.digest())) {
            let Some(previous) = c.charter().previous else { continue };
            if let Some(other) = by_previous.insert(previous, c.digest()) {
                return Some((other, c.digest()));
            }
        }
        None
    }

    /// Every policy text that any accepted charter ever listed, by digest.
    pub fn policy_text(&self, digest: &Digest) -> Option<&Policy> {
        let charters = self.accepted.iter().rev().filter_map(|d| self.charters.get(d));
        charters.flat_map(|c| &c.charter().policies).find(|p| p.digest() == *digest)
    }

    /// When the version after `digest` was accepted here; `None` while it is the one in force.
    pub fn superseded(&self, digest: &Digest) -> Option<Timestamp> {
        let next = self.accepted.iter().skip_while(|d| *d != digest).nth(1)?;
        self.accepted_at.get(next).copied()
    }

    /// Where a statement was logged first.
    pub fn seen(&self, digest: &Digest) -> Option<Logged> {
        self.seen.get(digest).map(|(_, l)| *l)
    }

    /// True if every signature verifies under a key that an accepted charter lists or a device was
    /// enrolled with: then somebody known said it, whatever it is worth.
    pub fn signed_by_known(&self, envelope: &Envelope) -> bool {
        self.known_signer(envelope).is_some()
    }

    /// The key that signed, the first if there are several; `None` unless every signature verifies
    /// under a known key.
    pub fn known_signer(&self, envelope: &Envelope) -> Option<PublicKey> {
        let people = || self.accepted.iter().filter_map(|d| self.charters.get(d)).flat_map(|c| &c.charter().people);
        let keys = |id: &String| {
            let listed = people().flat_map(|p| &p.keys).map(|k| &k.key).filter(|k| k.id() == *id);
            let enrolled = self.devices(id).iter().map(|d| &d.key);
            listed.chain(enrolled).cloned().collect::<BTreeSet<_>>().into_iter().collect()
        };
        envelope.signers(keys).ok()?.into_iter().next()
    }

    /// Devices whose key has this hint.
    pub fn devices(&self, key_id: &str) -> &[DeviceFact] {
        self.devices.get(key_id).map_or(&[], Vec::as_slice)
    }

    /// The live enrolment of a device key at a time.
    pub fn live_device(&self, key: &PublicKey, at: Timestamp) -> Option<&DeviceFact> {
        self.devices(&key.id()).iter().find(|d| &d.key == key && self.device_live(d, at))
    }

    /// True if the enrolment of the device is valid at `at` and not revoked.
    pub fn device_live(&self, d: &DeviceFact, at: Timestamp) -> bool {
        d.from <= at
            && at < d.until
            && self.revocation(&d.key).is_none()
            && self.revoked_enrolment(&d.enrolment).is_none()
    }

    /// Devices of a subject, live now or later, other than the one with this key.
    pub fn other_devices(&self, subject: &Token, key: &PublicKey, at: Timestamp) -> u64 {
        let others = self.devices.values().flatten().filter(|d| d.subject == *subject && d.key != *key);
        // One whose enrolment begins later counts: nobody should overlook it until then.
        let standing = others.filter(|d| self.device_live(d, at.max(d.from)) && at < d.until);
        standing.map(|d| &d.key).collect::<BTreeSet<_>>().len() as u64
    }

    /// The revocation of a key, if any, under whatever method it was named.
    pub fn revocation(&self, key: &PublicKey) -> Option<Digest> {
        self.revoked_keys.get(&key.raw()).copied()
    }

    fn revoked_enrolment(&self, enrolment: &Digest) -> Option<Digest> {
        self.revoked.get(&Revoked::Enrolment(*enrolment)).copied()
    }

    /// A consent.
    pub fn consent(&self, digest: &Digest) -> Option<&Fact<Consent>> {
        self.consents.get(digest)
    }

    /// Consents of one subject.
    pub fn consents_of(&self, subject: &Token) -> impl Iterator<Item = &Fact<Consent>> {
        self.consents_of.get(subject).into_iter().flatten().filter_map(|d| self.consents.get(d))
    }

    /// All consents.
    pub fn consents(&self) -> impl Iterator<Item = &Fact<Consent>> {
        self.consents.values()
    }

    /// The withdrawal that ended a consent, if any.
    pub fn withdrawal(&self, consent: &Digest) -> Option<&Fact<Withdrawal>> {
        let subject = self.consents.get(consent)?.statement.subject;
        let by = |by| self.withdrawals.get(&(*consent, subject, by));
        // A device ends only what rests on its subject's consent; it may have spoken before that was known.
        let own = self.consents.get(consent)?.statement.basis == Basis::Consent;
        by(By::Office).or_else(|| by(By::Device).filter(|_| own))
    }

    /// An item.
    pub fn item(&self, id: &ItemId) -> Option<&ItemFact> {
        self.items.get(id)
    }

    /// All items.
    pub fn items(&self) -> impl Iterator<Item = (&ItemId, &ItemFact)> {
        self.items.iter()
    }

    /// A matter.
    pub fn matter(&self, id: &MatterId) -> Option<&MatterFact> {
        self.matters.get(id)
    }

    /// All matters.
    pub fn matters(&self) -> impl Iterator<Item = (&MatterId, &MatterFact)> {
        self.matters.iter()
    }

    /// A request.
    pub fn request(&self, digest: &Digest) -> Option<&RequestFact> {
        self.requests.get(digest)
    }

    /// All requests, also those of which only decisions are known.
    pub fn requests(&self) -> impl Iterator<Item = (&Digest, &RequestFact)> {
        self.requests.iter()
    }

    /// Folds one log entry: checks the statement against everything before it, then applies it.
    ///
    /// # Errors
    /// [`Refusal`] if the statement may not stand here; the facts are then unchanged.
    pub fn fold(&mut self, record: &Record<'_>) -> Result<(), Refusal> {
        let logged = Logged { seq: record.seq, at: record.at };
        match (&record.event, record.statement) {
            (Event::Genesis { seat }, Some(envelope)) => self.apply_genesis(*seat, envelope, record.at)?,
            (Event::CharterAccepted { charter }, None) => self.accept_charter(charter, record.at)?,
            (Event::Statement {}, Some(envelope)) => {
                if self.seen.contains_key(&envelope.digest()) {
                    return Err(Refusal::new(Rule::Malformed, "this statement is in the log already"));
                }
                let admitted = crate::admit::admit(self, envelope, record.at)?;
                self.apply(admitted, logged);
            }
            (Event::Authorized { request, .. }, Some(_)) => {
                self.requests.entry(*request).or_default().authorised.push(record.seq);
                self.open.insert(record.seq, *request);
            }
            (Event::Delivered { request, authorized, .. }, Some(_)) => {
                self.close_authorisation(*authorized, request)?;
                self.requests.entry(*request).or_default().delivered.push(logged);
            }
            (Event::Aborted { request, authorized, .. }, None) => self.close_authorisation(*authorized, request)?,
            (Event::Refused { statement, .. }, None) => {
                self.refused.insert(*statement);
            }
            (Event::Continued { seat, size, .. }, None) => self.go_on(*seat, *size, record.seq)?,
            (Event::Cosigned { .. } | Event::Ready { .. } | Event::Clock { .. } | Event::Misbehaviour { .. }, None) => {
            }
            _ => return Err(Refusal::new(Rule::Malformed, "the entry's statement does not go with its type")),
        }
        if let Some(envelope) = record.statement {
            self.seen.entry(envelope.digest()).or_insert((envelope.kind(), logged));
        }
        self.size = record.seq.saturating_add(1);
        Ok(())
    }

    /// A later log of this seat begins where the one before ends; no authorisation survives that.
    /// Of a seat that lost everything nothing goes on: its genesis comes next.
    fn go_on(&mut self, seat: SeatIndex, size: u64, at: u64) -> Result<(), Refusal> {
        let ours = self.seat.map_or(at == 0, |own| own == seat);
        if !ours || at != self.size || size != self.size.saturating_sub(self.begun) {
            return Err(Refusal::new(
                Rule::Malformed,
                "a log that does not go on where this seat's log before it ends",
            ));
        }
        self.open.clear();
        self.begun = at;
        Ok(())
    }

    /// Each authorisation has one outcome: a reply, or none.
    fn close_authorisation(&mut self, seq: u64, request: &Digest) -> Result<(), Refusal> {
        match self.open.get(&seq) {
            Some(open) if open == request => {
                self.open.remove(&seq);
                Ok(())
            }
            _ => Err(Refusal::new(Rule::Malformed, format!("entry {seq} is no open authorisation of this request"))),
        }
    }

    /// Authorisations without an outcome yet: position and request.
    pub fn open_authorisations(&self) -> impl Iterator<Item = (u64, Digest)> + '_ {
        self.open.iter().map(|(seq, request)| (*seq, *request))
    }

    fn apply_genesis(&mut self, seat: SeatIndex, envelope: &Envelope, at: Timestamp) -> Result<(), Refusal> {
        if self.seat.is_some() {
            return Err(Refusal::new(Rule::CharterInvalid, "a second genesis entry"));
        }
        let genesis = crate::charter::verify_genesis(envelope, &envelope.digest())
            .map_err(|e| Refusal::new(Rule::CharterInvalid, e.to_string()))?;
        if genesis.charter().seat(seat).is_none() {
            return Err(Refusal::new(Rule::CharterInvalid, format!("the charter has no seat {seat}")));
        }
        self.seat = Some(seat);
        self.accepted.push(genesis.digest());
        self.accepted_at.insert(genesis.digest(), at);
        self.charters.insert(genesis.digest(), genesis);
        Ok(())
    }

    /// The operator's acceptance takes over the whole chain up to the digest at once.
    fn accept_charter(&mut self, digest: &Digest, at: Timestamp) -> Result<(), Refusal> {
        let fail =
            |why: &str| Refusal::new(Rule::CharterInvalid, format!("charter {digest} cannot be accepted: {why}"));
        if self.accepted.contains(digest) {
            return Err(fail("it was accepted here before"));
        }
        let mut chain = Vec::new();
        let mut base = *digest;
        while !self.accepted.contains(&base) {
            chain.push(base);
            let c = self.charters.get(&base).ok_or_else(|| fail("it is not known here"))?;
            base = c.charter().previous.ok_or_else(|| fail("another genesis"))?;
        }
        if self.accepted.last() != Some(&base) && !self.voids(digest, &base) {
            return Err(fail("it branches off before the version in force and does not void that one"));
        }
        if let Some(target) = self.charters.get(digest) {
            crate::admit::keeps_live_items(self, target.charter())?;
        }
        let keep = self.accepted.iter().position(|d| *d == base).map_or(0, |i| i + 1);
        self.accepted.truncate(keep);
        self.skipped.extend(chain.iter().skip(1));
        self.skipped.remove(digest);
        self.accepted_at.extend(chain.iter().map(|d| (*d, at)));
        self.accepted.extend(chain.into_iter().rev());
        Ok(())
    }

    fn voids(&self, digest: &Digest, branch_point: &Digest) -> bool {
        let next = self.accepted.iter().skip_while(|d| *d != branch_point).nth(1);
        let voided = self.charters.get(digest).map(|c| c.charter().voided.as_slice()).unwrap_or_default();
        next.is_some_and(|n| voided.contains(n))
    }

    fn apply(&mut self, admitted: Admitted, logged: Logged) {
        match admitted {
            Admitted::Charter(c) => {
                self.charters.insert(c.digest(), c);
            }
            Admitted::Enrolment(v, by) => self.apply_enrolment(&v, &by, logged),
            Admitted::Revocation(v) => {
                let of = v.statement().revokes.clone();
                if self.revoked.contains_key(&of) {
                    return;
                }
                self.restrictions.insert(logged.seq, v.digest());
                if let Revoked::Key(key) = &of {
                    self.revoked_keys.entry(key.raw()).or_insert(v.digest());
                }
                self.revoked.insert(of, v.digest());
            }
            Admitted::Consent(v) => {
                self.consents_of.entry(v.statement().subject).or_default().push(v.digest());
                self.consents.insert(v.digest(), fact(v, logged));
            }
            Admitted::Withdrawal(v, by) => {
                let of = (v.statement().consent, v.statement().subject, by);
                if !self.consents.contains_key(&of.0) {
                    *self.early_withdrawals.entry(v.key().clone()).or_default() += 1;
                }
                if self.withdrawals.contains_key(&of) {
                    return;
                }
                self.restrictions.insert(logged.seq, v.digest());
                self.withdrawn.insert(logged.seq, of.0);
                self.withdrawals.insert(of, fact(v, logged));
            }
            Admitted::Deposit(v, deal) => {
                self.deals.insert(deal.digest, v.digest());
                let ids = deal.item_ids();
                for ((position, id), item) in (0u32..).zip(ids).zip(deal.deal.items) {
                    let fact = ItemFact {
                        deposit: v.digest(),
                        position,
                        generation: deal.deal.generation,
                        consent: deal.deal.consent,
                        policies: deal.deal.policies.clone(),
                        depositor: deal.deal.depositor,
                        about: item.about,
                    };
                    self.items.insert(id, fact);
                }
            }
            Admitted::Matter(v) => {
                if v.statement().action == MatterAction::Close {
                    self.restrictions.insert(logged.seq, v.digest());
                    self.closed.insert(logged.seq, v.statement().matter.clone());
                }
                let m = self.matters.entry(v.statement().matter.clone()).or_default();
                if v.statement().action == MatterAction::Open && m.opening.is_none() {
                    m.opening = Some(v.digest());
                }
                m.statements.insert(v.digest(), fact(v, logged));
            }
            Admitted::Request(v) => {
                let key = v.key().clone();
                let r = v.statement();
                let count = (logged.at, r.items.len() as u64);
                self.asked.entry(Asker::Person(r.by.clone())).or_default().push(count);
                let slot = self.requests.entry(v.digest()).or_default();
                slot.request = Some((fact(v, logged), key));
            }
            Admitted::SelfRecovery(v) => {
                let r = v.statement();
                let count = (logged.at, r.items.len() as u64);
                self.asked.entry(Asker::Device(r.key.clone())).or_default().push(count);
                let slot = self.requests.entry(v.digest()).or_default();
                slot.recovery = Some(fact(v, logged));
            }
            Admitted::Veto(v, of) => {
                let slot = self.requests.entry(v.statement().recovery).or_default();
                if slot.vetoes.iter().all(|(known, _)| known.statement.by != v.statement().by) {
                    self.restrictions.insert(logged.seq, v.digest());
                    slot.vetoes.push((fact(v, logged), of));
                }
            }
            Admitted::Cancellation(v) => {
                let c = v.statement();
                let slot = self.requests.entry(c.request).or_default();
                if slot.cancelled.iter().all(|(who, _)| *who != c.by) {
                    self.restrictions.insert(logged.seq, v.digest());
                    slot.cancelled.push((c.by.clone(), v.digest()));
                }
            }
            Admitted::Decision(v) => {
                let d = v.statement();
                let slot = self.requests.entry(d.request).or_default();
                if d.choice != Choice::Approve {
                    // A person who has stepped up the ladder as far before says nothing new.
                    if slot.strongest().get(&d.by).is_some_and(|known| known.fact.statement.choice >= d.choice) {
                        return;
                    }
                    self.restrictions.insert(logged.seq, v.digest());
                }
                let key = v.key().clone();
                slot.decisions.push(DecisionFact { fact: fact(v, logged), key });
            }
            Admitted::OwnVerdict(v) => {
                self.requests.entry(v.statement().request).or_default().verdict = Some(v.digest());
            }
            Admitted::Query(_) => {}
        }
    }

    fn apply_enrolment(
        &mut self,
        v: &Verified<escrow_core::enrolment::Enrolment>,
        by: &BTreeSet<PersonId>,
        logged: Logged,
    ) {
        let e = v.statement();
        for d in &e.devices {
            self.sealed_to.insert(d.sealing.digest(), d.subject);
            self.devices.entry(d.key.id()).or_default().push(DeviceFact {
                enrolment: v.digest(),
                subject: d.subject,
                key: d.key.clone(),
                sealing: d.sealing.clone(),
                from: e.from,
                until: e.until,
                enrolled_by: by.clone(),
                logged,
            });
        }
    }
}

fn fact<T>(v: Verified<T>, logged: Logged) -> Fact<T> {
    let digest = v.digest();
    Fact { statement: v.into_statement(), digest, logged }
}
