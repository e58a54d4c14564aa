//! Turns the numbers of [`super::ops::Say`] into signed statements.

use super::cast::{CAST, NAMES, OWNERS, PEOPLE, number, w};
use super::drafts::successor;
use super::model::{Act, DAY, Model, Said};
use super::ops::{POLICIES, SELF, Say};
use escrow_core::consent::*;
use escrow_core::deal::Deal;
use escrow_core::decision::{Choice, Decision};
use escrow_core::enrolment::{Device, Enrolment, Revocation, Revoked};
use escrow_core::matter::{Matter, MatterAction};
use escrow_core::recovery::{SelfRecovery, Veto};
use escrow_core::release::Caller;
use escrow_core::request::*;
use escrow_core::{Digest, Envelope, ItemId, Kind, MatterId, Nonce, PublicKey, SigningKey, Timestamp, Token};
use std::rc::Rc;

/// A statement with what it takes to sign another like it.
#[derive(Clone)]
pub(super) struct Made {
    pub said: Rc<Said>,
    pub envelope: Envelope,
    pub keys: Vec<&'static SigningKey>,
}

/// Everything said so far, by everybody, whether a node heard it or not.
#[derive(Default)]
pub(super) struct Speech {
    pub made: Vec<Made>,
    nonces: u64,
}

/// The `back`th newest, modulo how many there are.
pub(super) fn newest<T>(mut list: Vec<T>, back: u8) -> Option<T> {
    let n = list.len();
    (n > 0).then(|| list.swap_remove(n - 1 - usize::from(back) % n))
}

pub(super) fn device(n: u8) -> (&'static SigningKey, Token) {
    let n = usize::from(n) % CAST.devices.len();
    (&CAST.devices[n], CAST.tokens.subject(NAMES[OWNERS[n]]))
}

pub(super) fn own(id: &str) -> &'static SigningKey {
    &CAST.people[2 * number(id)]
}

fn registrars(by: u8) -> Vec<&'static SigningKey> {
    let ids: &[&str] = [&["ann", "bob"][..], &["bob", "cem"], &["ann"], &["ann", "rig"]][usize::from(by % 4)];
    ids.iter().map(|id| own(id)).collect()
}

impl Speech {
    pub(super) fn nonce(&mut self) -> Nonce {
        self.nonces += 1;
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&self.nonces.to_be_bytes());
        Nonce(nonce)
    }

    pub(super) fn sign(&mut self, act: Act, keys: Vec<&'static SigningKey>) -> Made {
        let envelope = match &act {
            Act::Charter(s) => Envelope::sign(s, &keys),
            Act::Enrolment(s) => Envelope::sign(s, &keys),
            Act::Revocation(s) => Envelope::sign(s, &keys),
            Act::Consent(s) => Envelope::sign(s, &keys),
            Act::Withdrawal(s) => Envelope::sign(s, &keys),
            Act::Deposit(s, _, _) => Envelope::sign(s, &keys),
            Act::Matter(s) => Envelope::sign(s, &keys),
            Act::Request(s) => Envelope::sign(s, &keys),
            Act::Cancellation(s) => Envelope::sign(s, &keys),
            Act::Decision(s) => Envelope::sign(s, &keys),
            Act::Recovery(s) => Envelope::sign(s, &keys),
            Act::Veto(s) => Envelope::sign(s, &keys),
            Act::Call(s) => Envelope::sign(s, &keys),
            Act::Accepted(_) | Act::Ended(..) => unreachable!("events are not signed"),
        }
        .unwrap();
        let signers = keys.iter().map(|k| k.public()).collect();
        Made { said: Rc::new(Said { digest: envelope.digest(), signers, act }), envelope, keys }
    }

    /// The same with another nonce, and with another name if one is given; none if it has no name.
    pub(super) fn like(&mut self, made: &Made, by: Option<&str>) -> Option<Made> {
        let mut act = made.said.act.clone();
        let fresh = self.nonce();
        match &mut act {
            Act::Matter(s) => (s.nonce, s.by) = (fresh, by.map_or(s.by.clone(), w)),
            Act::Request(s) => (s.nonce, s.by) = (fresh, by.map_or(s.by.clone(), w)),
            Act::Cancellation(s) => (s.nonce, s.by) = (fresh, by.map_or(s.by.clone(), w)),
            Act::Decision(s) => (s.nonce, s.by) = (fresh, by.map_or(s.by.clone(), w)),
            Act::Veto(s) => (s.nonce, s.by) = (fresh, by.map_or(s.by.clone(), |id| Caller::Person(w(id)))),
            _ if by.is_some() => return None,
            Act::Charter(s) => s.nonce = fresh,
            Act::Enrolment(s) => s.nonce = fresh,
            Act::Revocation(s) => s.nonce = fresh,
            Act::Consent(s) => s.nonce = fresh,
            Act::Withdrawal(s) => s.nonce = fresh,
            Act::Deposit(s, _, _) => s.nonce = fresh,
            Act::Recovery(s) => s.nonce = fresh,
            Act::Accepted(_) | Act::Call(_) | Act::Ended(..) => return None,
        }
        Some(self.sign(act, made.keys.clone()))
    }

    pub(super) fn of<'a, T: 'a>(&'a self, pick: impl Fn(&'a Act) -> Option<T>) -> Vec<(Digest, T)> {
        self.made.iter().filter_map(|m| pick(&m.said.act).map(|t| (m.said.digest, t))).collect()
    }

    pub(super) fn deposits(&self) -> Vec<(Digest, (&Deal, &Vec<ItemId>))> {
        self.of(|a| if let Act::Deposit(_, deal, ids) = a { Some((deal, ids)) } else { None })
    }

    pub(super) fn requests(&self) -> Vec<(Digest, &Request)> {
        self.of(|a| if let Act::Request(r) = a { Some(r) } else { None })
    }

    pub(super) fn cases(&self) -> Vec<(Digest, &Act)> {
        self.of(|a| matches!(a, Act::Request(_) | Act::Recovery(_)).then_some(a))
    }

    pub(super) fn enrolment_of(&self, key: &PublicKey) -> Option<(Digest, Device)> {
        let enrolments = self.of(|a| if let Act::Enrolment(e) = a { Some(e) } else { None });
        enrolments.into_iter().rev().find_map(|(l, e)| e.devices.iter().find(|d| d.key == *key).map(|d| (l, d.clone())))
    }

    /// Says it as of the time and charter given; none if there is nothing to say it about.
    pub(super) fn say(&mut self, say: Say, model: &Model, charter: Digest, at: Timestamp) -> Option<Made> {
        let nonce = self.nonce();
        let org = || w("acme");
        let (act, keys) = match say {
            Say::Enrol { device: n, subject, by, long } => {
                let (key, _) = device(n);
                let entry = Device {
                    subject: CAST.tokens.subject(NAMES[usize::from(subject) % 4]),
                    key: key.public(),
                    sealing: CAST.spare[usize::from(n) % 6].clone(),
                };
                let until = if long { Timestamp::MAX } else { at.plus_seconds(7_200) };
                let kind = Kind::Enrolment;
                let e =
                    Enrolment { kind, org: org(), nonce, charter, devices: vec![entry], from: Timestamp::EPOCH, until };
                (Act::Enrolment(e), registrars(by))
            }
            Say::RevokeKey { of, by } => {
                let n = usize::from(of) % (PEOPLE.len() + CAST.devices.len());
                let key = CAST.devices.get(n.wrapping_sub(PEOPLE.len())).unwrap_or_else(|| &CAST.people[2 * n]);
                (revocation(nonce, charter, Revoked::Key(key.public()), at), registrars(by))
            }
            Say::RevokeEnrolment { back, by } => {
                let of = newest(self.of(|a| matches!(a, Act::Enrolment(_)).then_some(())), back)?.0;
                (revocation(nonce, charter, Revoked::Enrolment(of), at), registrars(by))
            }
            Say::Consent { device: n, subject, flavour } => {
                self.consent(nonce, charter, at, n, subject, flavour, model)
            }
            Say::Withdraw { back, by } => {
                let consents = self.of(|a| if let Act::Consent(c) = a { Some(c) } else { None });
                let (consent, subject) = newest(consents, back).map(|(d, c)| (d, c.subject))?;
                let w = Withdrawal { kind: Kind::Withdrawal, org: org(), nonce, charter, consent, subject, at };
                let both = vec![own("cou"), own("dpo")];
                let keys = match by % 6 {
                    0 | 1 => vec![device((0..6).find(|n| device(*n).1 == subject).unwrap_or(0)).0],
                    2 => vec![own("rig")],
                    3 => both,
                    4 => vec![own("lea")],
                    _ => vec![device(4).0],
                };
                (Act::Withdrawal(w), keys)
            }
            Say::Deposit { device: n, back, shape } => self.deposit(nonce, charter, at, n, back, shape)?,
            Say::Matter { matter, action, by } => {
                let id = matter_id(matter);
                let (action, previous) = match action % 3 {
                    0 => (MatterAction::Open, None),
                    1 => (MatterAction::Close, Some(model.head(&id).map_or(Digest([1; 32]), |h| h.0))),
                    _ => (MatterAction::Reopen, Some(model.head(&id).map_or(Digest([1; 32]), |h| h.0))),
                };
                let by = ["req", "rex", "lea", "ops"][usize::from(by % 4)];
                let title = Digest([2; 32]);
                let m = Matter {
                    kind: Kind::Matter,
                    org: org(),
                    nonce,
                    charter,
                    matter: id,
                    action,
                    previous,
                    by: w(by),
                    title,
                    at,
                };
                (Act::Matter(m), vec![own(by)])
            }
            Say::Request { by, deposits, more, recipient, policy, flavour } => {
                self.request(nonce, charter, at, by, deposits, more, recipient, policy, flavour)?
            }
            Say::Cancel { back, by } => {
                let (request, r) = newest(self.requests(), back)?;
                let id = if by == 0 { r.by.to_string() } else { ["req", "rex", "ops"][usize::from(by % 3)].into() };
                let c = Cancellation { kind: Kind::Cancellation, org: org(), nonce, charter, request, by: w(&id), at };
                (Act::Cancellation(c), vec![own(&id)])
            }
            Say::Decide { back, by, role, choice, key } => {
                let (request, _) = newest(self.cases(), back)?;
                let n = usize::from(by) % PEOPLE.len();
                let (id, roles, _) = PEOPLE[n];
                let first = roles.iter().find(|r| ["legal", "dpo"].contains(r)).unwrap_or(&"legal");
                let role = [first, "legal", "dpo", "board"][usize::from(role % 4)];
                let choice = [Choice::Approve, Choice::Recuse, Choice::Deny][usize::from(choice % 3)];
                let key = match key % 4 {
                    0 | 1 => &CAST.people[2 * n + usize::from(key % 2)],
                    2 => &CAST.people[2 * n + 1],
                    _ => own("lou"),
                };
                let reason = w("r");
                let (kind, by, role) = (Kind::Decision, w(id), w(role));
                let d = Decision { kind, org: org(), nonce, charter, request, by, role, choice, reason, at };
                (Act::Decision(d), vec![key])
            }
            Say::Recover { device: n, subject, own, deposits, policy } => {
                let (key, token) = device(n);
                let mut of = self.deposits();
                of.retain(|(_, (deal, _))| !own || deal.depositor == token);
                let (_, (_, items)) = newest(of, deposits)?;
                let (enrolment, entry) = self.enrolment_of(&key.public())?;
                let mut items = items.clone();
                items.sort();
                let r = SelfRecovery {
                    kind: Kind::SelfRecovery,
                    org: org(),
                    nonce,
                    charter,
                    subject: if subject == SELF { token } else { CAST.tokens.subject(NAMES[usize::from(subject) % 3]) },
                    enrolment,
                    key: key.public(),
                    sealing: entry.sealing.digest(),
                    items,
                    policy: w(POLICIES[usize::from(policy) % POLICIES.len()]),
                    created: at,
                    expires: at.plus_seconds(DAY),
                };
                (Act::Recovery(r), vec![key])
            }
            Say::Veto { back, by } => {
                let (recovery, _) = newest(self.of(|a| matches!(a, Act::Recovery(_)).then_some(())), back)?;
                let (by, key) = match by % 9 {
                    n @ 0..=5 => (Caller::Device(device(n).0.public()), device(n).0),
                    6 | 7 => (Caller::Person(w("rig")), own("rig")),
                    _ => (Caller::Person(w("lea")), own("lea")),
                };
                let v = Veto { kind: Kind::Veto, org: org(), nonce, charter, recovery, by, reason: w("r"), at };
                (Act::Veto(v), vec![key])
            }
            Say::Charter { change, fork, settle, by } => {
                let next = successor(model, change, fork, settle, nonce, at);
                (Act::Charter(next), registrars(by))
            }
        };
        Some(self.sign(act, keys))
    }
}

pub(super) fn matter_id(n: u8) -> MatterId {
    w(["MAT-0", "MAT-1"][usize::from(n % 2)])
}

fn revocation(nonce: Nonce, charter: Digest, revokes: Revoked, at: Timestamp) -> Act {
    let (kind, org, reason) = (Kind::Revocation, w("acme"), w("lost"));
    Act::Revocation(Revocation { kind, org, nonce, charter, revokes, reason, at })
}
