//! The rules of admission once more, written from `docs/protocol.md` and from nothing else, to be
//! obviously right rather than fast: a plain list of what was logged and when, searched from its
//! beginning for every question. Nothing is remembered between two questions, no function of the
//! gate is called. What the gate says about a request is in [`super::judge`].

use escrow_core::charter::{Basis, Charter, Person};
use escrow_core::consent::{Consent, Withdrawal};
use escrow_core::deal::Deal;
use escrow_core::decision::Decision;
use escrow_core::deposit::Deposit;
use escrow_core::enrolment::{Device, Enrolment, Revocation, Revoked};
use escrow_core::matter::{Matter, MatterAction};
use escrow_core::recovery::{SelfRecovery, Veto};
use escrow_core::release::ReleaseCall;
use escrow_core::request::{Cancellation, Request};
use escrow_core::{Digest, ItemId, MatterId, PersonId, PublicKey, Timestamp, Token};
use escrow_policy::Rule;
use std::rc::Rc;

pub(super) const DAY: i64 = 86_400;

/// What one statement or event says.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Charter(Charter),
    Accepted(Digest),
    Enrolment(Enrolment),
    Revocation(Revocation),
    Consent(Consent),
    Withdrawal(Withdrawal),
    Deposit(Deposit, Deal, Vec<ItemId>),
    Matter(Matter),
    Request(Request),
    Cancellation(Cancellation),
    Decision(Decision),
    Recovery(SelfRecovery),
    Veto(Veto),
    /// A release-call that authorised a release of this case.
    Call(ReleaseCall),
    /// An authorisation of the position given has ended; true if a reply was delivered.
    Ended(usize, bool),
}

/// A statement with its name and the keys whose good signatures it bears.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub digest: Digest,
    pub signers: Vec<PublicKey>,
    pub act: Act,
}

pub(super) struct Logged {
    pub at: Timestamp,
    pub said: Rc<Said>,
}

/// One node's log.
pub(super) struct Model {
    pub seat: u8,
    pub log: Vec<Logged>,
    pub now: Timestamp,
    /// Statements that this node was given and refused, as its log says.
    pub refused: Vec<Digest>,
    /// Time of the last entry of any sort.
    pub last: Timestamp,
}

pub(super) type Ruled<T = ()> = Result<T, Rule>;

pub(super) fn must(ok: bool, rule: Rule) -> Ruled {
    if ok { Ok(()) } else { Err(rule) }
}

/// All entries of one kind, with the entry.
macro_rules! all {
    ($model:expr, $kind:ident) => {
        $model.log.iter().filter_map(|l| {
            if let $crate::engine::machine::model::Act::$kind(x) = &l.said.act { Some((l, x)) } else { None }
        })
    };
}
pub(super) use all;

impl Model {
    pub(super) fn new(seat: u8, genesis: Rc<Said>, now: Timestamp) -> Self {
        Self { seat, log: vec![Logged { at: now, said: genesis }], now, refused: vec![], last: now }
    }

    pub(super) fn write(&mut self, said: Rc<Said>) {
        self.log.push(Logged { at: self.now, said });
        self.last = self.now;
    }

    /// Time never runs backwards in a log.
    pub(super) fn begin(&mut self, clock: Timestamp) {
        self.now = clock.max(self.last);
    }

    /// Refusals are logged unless a stranger has signed.
    pub(super) fn refuse(&mut self, said: &Said) {
        let officer = |k: &PublicKey| all!(self, Charter).any(|(_, c)| c.holder(k).is_some());
        let device = |k: &PublicKey| self.devices().iter().any(|(_, _, d)| d.key == *k);
        if said.signers.iter().all(|k| officer(k) || device(k)) {
            self.refused.push(said.digest);
        }
    }

    pub(super) fn knows(&self, digest: &Digest) -> bool {
        self.log.iter().any(|l| l.said.digest == *digest)
    }

    // Charters.

    pub(super) fn charter(&self, digest: &Digest) -> Option<&Charter> {
        all!(self, Charter).find(|(l, _)| l.said.digest == *digest).map(|(_, c)| c)
    }

    /// Every version that was in force, oldest first.
    pub(super) fn reigned(&self) -> Vec<Digest> {
        let mut out = vec![self.log[0].said.digest];
        out.extend(all!(self, Accepted).map(|(_, d)| *d));
        out.dedup();
        out
    }

    pub(super) fn in_force(&self) -> (Digest, &Charter) {
        let digest = *self.reigned().last().unwrap();
        (digest, self.charter(&digest).unwrap())
    }

    /// A version and those before it, newest first.
    pub(super) fn ancestry(&self, digest: Digest) -> Vec<Digest> {
        let mut out = vec![digest];
        while let Some(previous) = self.charter(out.last().unwrap()).and_then(|c| c.previous) {
            out.push(previous);
        }
        out
    }

    /// In force now or before, or skipped on the way to one that was.
    pub(super) fn taken_over(&self, digest: &Digest) -> bool {
        self.reigned().into_iter().any(|d| self.ancestry(d).contains(digest))
    }

    /// The newest descendant of the version in force, or itself: what the next version follows.
    pub(super) fn newest(&self) -> Digest {
        let (mut best, mut version) = (self.in_force().0, self.in_force().1.version);
        for (l, c) in all!(self, Charter) {
            if c.version > version && self.ancestry(l.said.digest).contains(&self.in_force().0) {
                (best, version) = (l.said.digest, c.version);
            }
        }
        best
    }

    /// Other successors of the version before this one, or before any it follows.
    pub(super) fn beside(&self, digest: &Digest) -> Vec<Digest> {
        let line = self.ancestry(*digest);
        let twin = |l: &Logged, c: &Charter| {
            !line.contains(&l.said.digest) && line.iter().any(|d| self.charter(d).unwrap().previous == c.previous)
        };
        all!(self, Charter).filter(|(l, c)| twin(l, c)).map(|(l, _)| l.said.digest).collect()
    }

    /// The operator's acceptance: of a version known here that follows the one in force, or of that one
    /// again, which changes nothing.
    pub(super) fn may_accept(&self, digest: &Digest) -> bool {
        let force = self.in_force().0;
        *digest != force && self.charter(digest).is_some() && self.ancestry(*digest).contains(&force)
    }

    /// Two valid successors of one version, and no version in force ever declared one void; or a
    /// newer version that the operator has not accepted.
    pub(super) fn unsettled(&self) -> Option<Rule> {
        for (a, ca) in all!(self, Charter) {
            for (b, cb) in all!(self, Charter) {
                let void = |d: &Digest| self.reigned().iter().any(|r| self.charter(r).unwrap().voided.contains(d));
                let (da, db) = (a.said.digest, b.said.digest);
                if da != db && ca.previous == cb.previous && !void(&da) && !void(&db) {
                    return Some(Rule::CharterFork);
                }
            }
        }
        let newer = all!(self, Charter).any(|(_, c)| c.version > self.in_force().1.version);
        newer.then_some(Rule::CharterUnaccepted)
    }

    // Keys.

    pub(super) fn revoked(&self, key: &PublicKey) -> bool {
        all!(self, Revocation).any(|(_, r)| r.revokes == Revoked::Key(key.clone()))
    }

    pub(super) fn valid(person: &Person, key: &PublicKey, at: Timestamp) -> bool {
        person.keys.iter().any(|k| k.key == *key && k.from <= at && at < k.until)
    }

    /// Distinct people with the role under one of the charters, with a good key at `at`.
    pub(super) fn quorum(
        &self,
        role: &str,
        signers: &[PublicKey],
        charters: &[&Charter],
        at: Timestamp,
    ) -> Vec<PersonId> {
        let mut out: Vec<PersonId> = vec![];
        for key in signers {
            for charter in charters {
                for p in &charter.people {
                    let good = p.roles.iter().any(|r| r.as_str() == role) && Self::valid(p, key, at);
                    if good && !self.revoked(key) && !out.contains(&p.id) {
                        out.push(p.id.clone());
                    }
                }
            }
        }
        out
    }

    /// Each role by a person of their own.
    pub(super) fn each_role(
        &self,
        roles: &[&str],
        signers: &[PublicKey],
        charters: &[&Charter],
        used: &[PersonId],
    ) -> bool {
        let Some((first, rest)) = roles.split_first() else { return true };
        self.quorum(first, signers, charters, self.now).into_iter().any(|p| {
            let taken = used.contains(&p);
            !taken && self.each_role(rest, signers, charters, &[used, &[p]].concat())
        })
    }

    /// One signature, by a key of the person named, good now, of somebody with one of the roles,
    /// all under one of the charters.
    pub(super) fn person(&self, s: &Said, by: &PersonId, role: Option<&str>, charters: &[&Charter]) -> Ruled {
        let [key] = s.signers.as_slice() else { return Err(Rule::BadSignature) };
        let people = || charters.iter().flat_map(|c| &c.people);
        must(people().any(|p| p.keys.iter().any(|k| k.key == *key)), Rule::BadSignature)?;
        must(people().any(|p| p.id == *by && p.keys.iter().any(|k| k.key == *key)), Rule::WrongSigner)?;
        must(!self.revoked(key), Rule::KeyRevoked)?;
        must(people().any(|p| p.id == *by && Self::valid(p, key, self.now)), Rule::KeyNotValid)?;
        let office = |p: &Person| role.is_none_or(|r| p.roles.iter().any(|have| have.as_str() == r));
        let entitled = people().any(|p| p.id == *by && Self::valid(p, key, self.now) && office(p));
        must(entitled, Rule::NotEntitled)
    }

    // Devices.

    /// Enrolled devices with this key: the enrolment's entry, the enrolment, the device.
    pub(super) fn devices(&self) -> Vec<(&Logged, &Enrolment, &Device)> {
        all!(self, Enrolment).flat_map(|(l, e)| e.devices.iter().map(move |d| (l, e, d))).collect()
    }

    pub(super) fn live(&self, l: &Logged, e: &Enrolment, d: &Device, at: Timestamp) -> bool {
        let ended = all!(self, Revocation).any(|(_, r)| r.revokes == Revoked::Enrolment(l.said.digest));
        e.from <= at && at < e.until && !ended && !self.revoked(&d.key)
    }

    /// True if the key is that of a live device of the subject.
    pub(super) fn device_of(&self, key: &PublicKey, subject: &Token) -> bool {
        self.devices()
            .into_iter()
            .any(|(l, e, d)| d.key == *key && d.subject == *subject && self.live(l, e, d, self.now))
    }

    pub(super) fn by_device(&self, s: &Said, subject: &Token) -> Ruled {
        let [key] = s.signers.as_slice() else { return Err(Rule::BadSignature) };
        let live = self.devices().into_iter().any(|(l, e, d)| d.key == *key && self.live(l, e, d, self.now));
        must(live, Rule::NotEnrolled)?;
        must(self.device_of(key, subject), Rule::WrongSigner)
    }

    // Consents, items, matters.

    pub(super) fn consent(&self, digest: &Digest) -> Option<&Consent> {
        all!(self, Consent).find(|(l, _)| l.said.digest == *digest).map(|(_, c)| c)
    }

    pub(super) fn live_consent(&self, digest: &Digest) -> Ruled<&Consent> {
        let consent = self.consent(digest).ok_or(Rule::ConsentUnknown)?;
        // A device may have spoken before it was known that this is not its subject's to end.
        let device = |key: &PublicKey| self.devices().iter().any(|(_, _, d)| d.key == *key);
        let entitled = |l: &Logged| consent.basis == Basis::Consent || !l.said.signers.iter().any(device);
        let ended = |l, w: &Withdrawal| w.consent == *digest && w.subject == consent.subject && entitled(l);
        must(!all!(self, Withdrawal).any(|(l, w)| ended(l, w)), Rule::ConsentWithdrawn)?;
        must(self.now < consent.expires, Rule::ConsentExpired)?;
        Ok(consent)
    }

    /// The deal and position that an item stands at.
    pub(super) fn item(&self, id: &ItemId) -> Option<(&Deal, usize)> {
        for l in &self.log {
            if let Act::Deposit(_, deal, ids) = &l.said.act
                && let Some(position) = ids.iter().position(|i| i == id)
            {
                return Some((deal, position));
            }
        }
        None
    }

    /// The statement that a matter stands at.
    pub(super) fn head(&self, id: &MatterId) -> Option<(Digest, &Matter)> {
        let of: Vec<(Digest, &Matter)> =
            all!(self, Matter).filter(|(_, m)| m.matter == *id).map(|(l, m)| (l.said.digest, m)).collect();
        let next = |d: &Digest| {
            let after = of.iter().filter(|(_, m)| m.previous == Some(*d));
            after.min_by_key(|(d, m)| (m.action != MatterAction::Close, *d)).copied()
        };
        // A close that nothing follows ends the matter, wherever it hangs.
        if let Some(close) = of.iter().find(|(d, m)| m.action == MatterAction::Close && next(d).is_none()) {
            return Some(*close);
        }
        let mut head = *of.iter().find(|(_, m)| m.action == MatterAction::Open)?;
        while let Some(after) = next(&head.0) {
            head = after;
        }
        Some(head)
    }

    /// A request or self-recovery.
    pub(super) fn case(&self, digest: &Digest) -> Option<&Logged> {
        let kinds = |a: &Act| matches!(a, Act::Request(_) | Act::Recovery(_));
        self.log.iter().find(|l| l.said.digest == *digest && kinds(&l.said.act))
    }

    pub(super) fn request(&self, digest: &Digest) -> Option<&Request> {
        self.case(digest).and_then(|l| if let Act::Request(r) = &l.said.act { Some(r) } else { None })
    }
}
