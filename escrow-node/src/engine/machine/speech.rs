//! Turns the numbers of [`super::ops::Say`] into signed statements.

use super::cast::{CAST, NAMES, OWNERS, PEOPLE, about, controller, hours, number, person, t0, text, w};
use super::model::{Act, DAY, Model, Said};
use super::ops::{POLICIES, Say};
use escrow_core::charter::*;
use escrow_core::consent::*;
use escrow_core::deal::{Deal, Item, OpenedDeal, Participant};
use escrow_core::decision::{Choice, Decision};
use escrow_core::deposit::{Deposit, SeatBlob};
use escrow_core::enrolment::{Device, Enrolment, Revocation, Revoked};
use escrow_core::matter::{Matter, MatterAction};
use escrow_core::recovery::{SelfRecovery, Veto};
use escrow_core::release::Caller;
use escrow_core::request::*;
use escrow_core::{Blob, Digest, Envelope, ItemId, Kind, MatterId, Nonce, PublicKey, SigningKey, Timestamp, Token};
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

    fn deposits(&self) -> Vec<(Digest, (&Deal, &Vec<ItemId>))> {
        self.of(|a| if let Act::Deposit(_, deal, ids) = a { Some((deal, ids)) } else { None })
    }

    pub(super) fn requests(&self) -> Vec<(Digest, &Request)> {
        self.of(|a| if let Act::Request(r) = a { Some(r) } else { None })
    }

    pub(super) fn cases(&self) -> Vec<(Digest, &Act)> {
        self.of(|a| matches!(a, Act::Request(_) | Act::Recovery(_)).then_some(a))
    }

    fn enrolment_of(&self, key: &PublicKey) -> Option<(Digest, Device)> {
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
                    sealing: CAST.spare[usize::from(n % 2)].clone(),
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
                    subject: if own { token } else { CAST.tokens.subject(NAMES[usize::from(subject) % 3]) },
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

    #[allow(clippy::too_many_arguments)] // the numbers of one operation
    fn consent(
        &self,
        nonce: Nonce,
        charter: Digest,
        at: Timestamp,
        n: u8,
        subject: u8,
        flavour: u8,
        model: &Model,
    ) -> (Act, Vec<&'static SigningKey>) {
        let (key, token) = device(n);
        let works = flavour == 1 || flavour == 8;
        let subject = if subject == 0 { token } else { device(2 * (subject - 1)).1 };
        let mut policies: Vec<PolicyRef> =
            model.in_force().1.policies.iter().map(|p| PolicyRef { id: p.id.clone(), digest: p.digest() }).collect();
        policies.sort();
        if flavour == 2 {
            policies.truncate(3);
        }
        if flavour == 3 {
            policies[0].digest = Digest([3; 32]);
        }
        let a = CAST.tokens.thread("a");
        let consent = Consent {
            kind: Kind::Consent,
            org: w("acme"),
            nonce,
            charter,
            subject,
            coverage: if flavour == 4 { Coverage::Threads(vec![a]) } else { Coverage::Workspace },
            from: t0(),
            to: t0().plus_seconds(400 * DAY),
            epochs: None,
            purposes: vec![w("inquiry")],
            basis: if works { Basis::WorksAgreement } else { Basis::Consent },
            authority: works.then(authority),
            policies,
            floor: if flavour == 5 { Floor { t: 3, n: 4 } } else { Floor { t: 2, n: 3 } },
            retention_days: 30,
            notice: NoticeText { digest: Digest([4; 32]), language: w("de"), terms: w("immediate") },
            expires: if flavour == 6 { at.plus_seconds(7_200) } else { at.plus_seconds(60 * DAY) },
            record: Record {
                schema_version: w("1"),
                record_id: w("r1"),
                jurisdiction: w("DE"),
                pii_types: vec![w("message-content")],
                controllers: vec![controller()],
                storage_locations: vec![w("DE")],
                recipients: vec![w("by-request")],
                withdrawal_method: w("app"),
                event_time: at,
                event_type: w("explicit"),
                event_state: w("given"),
                entity_id: w("subject"),
            },
        };
        let keys = match flavour {
            1 => vec![own("cou"), own("dpo")],
            7 => vec![own("rig")],
            8 => vec![own("dee")],
            _ => vec![key],
        };
        (Act::Consent(consent), keys)
    }

    fn deposit(
        &self,
        nonce: Nonce,
        charter: Digest,
        at: Timestamp,
        n: u8,
        back: u8,
        shape: u8,
    ) -> Option<(Act, Vec<&'static SigningKey>)> {
        let (key, depositor) = device(n);
        let consents = self.of(|a| if let Act::Consent(c) = a { Some(c) } else { None });
        let (consent, agreed) = newest(consents, back)?;
        let (a, b) = (CAST.tokens.thread("a"), CAST.tokens.thread("b"));
        let who = |id: &str, inside| Participant { token: CAST.tokens.subject(id), inside };
        let me = Participant { token: depositor, inside: true };
        let abouts = match shape % 8 {
            0 => vec![about(a, 1, vec![me])],
            1 => vec![about(a, 1, vec![me]), about(a, 2, vec![me])],
            2 => vec![about(b, 1, vec![me, who("don", true)])],
            3 => vec![about(b, 1, vec![me, who("don", false), who("ext", false)])],
            4 => {
                let other = who(if depositor == who("tia", true).token { "sam" } else { "tia" }, true);
                vec![about(a, 1, vec![me, other]), about(b, 1, vec![me, other, who("ext", false)])]
            }
            5 => vec![about(a, 1, vec![me, who("rex", true)])],
            6 => vec![about(a, 1, vec![me, who("off", true)])],
            _ => vec![about(b, 7, vec![me])],
        };
        let deal = Deal {
            org: w("acme"),
            nonce,
            generation: 1,
            t: 2,
            n: 3,
            consent,
            policies: agreed.policies.clone(),
            depositor,
            items: abouts.into_iter().map(|about| Item { about, ..CAST.item.clone() }).collect(),
        };
        let bytes = serde_json::to_vec(&deal).unwrap();
        let ids = OpenedDeal::parse(&bytes).unwrap().item_ids();
        let blob = |n| SeatBlob { seat: super::cast::seat(n), sha256: Digest([n; 32]) };
        let blobs = (1..=3).map(blob).collect();
        let deposit =
            Deposit { kind: Kind::Deposit, org: w("acme"), nonce, charter, depositor, deal: Blob(bytes), blobs, at };
        Some((Act::Deposit(deposit, deal, ids), vec![key]))
    }

    #[allow(clippy::too_many_arguments)] // the numbers of one operation
    fn request(
        &self,
        nonce: Nonce,
        charter: Digest,
        at: Timestamp,
        by: u8,
        deposits: u8,
        more: bool,
        recipient: u8,
        policy: u8,
        flavour: u8,
    ) -> Option<(Act, Vec<&'static SigningKey>)> {
        let by = ["req", "rex", "ops", "lea", "off", "fit", "don", "ann"][usize::from(by % 8)];
        let mut chosen = vec![newest(self.deposits(), deposits)?.1];
        if more {
            chosen.extend(newest(self.deposits(), deposits + 1).map(|d| d.1));
        }
        let mut items: Vec<ItemId> = chosen.iter().flat_map(|(_, ids)| (*ids).clone()).collect();
        items.sort();
        items.dedup();
        let mut threads: Vec<Token> = chosen.iter().flat_map(|(d, _)| d.items.iter().map(|i| i.about.thread)).collect();
        if flavour == 7 {
            threads = vec![CAST.tokens.thread("c")];
        }
        threads.sort();
        threads.dedup();
        let to = |id: &str, key: &SealingKey| RecipientPerson { id: w(id), sealing: key.digest() };
        let listed = |id: &str| to(id, &CAST.sealing[number(id)]);
        let recipient = match recipient % 12 {
            0 | 10 => Recipient::Person(listed("off")),
            1 => Recipient::FilterTeam(listed("fil")),
            n @ (2 | 8) => {
                let key = device(if n == 2 { 0 } else { 5 }).0.public();
                let (enrolment, d) = self.enrolment_of(&key)?;
                Recipient::Device(RecipientDevice { enrolment, key, sealing: d.sealing.digest() })
            }
            3 => Recipient::Person(listed("lea")),
            4 => Recipient::Person(listed("req")),
            5 => Recipient::Person(to("off", &CAST.spare[2])),
            6 => Recipient::FilterTeam(listed("fit")),
            7 => Recipient::FilterTeam(listed("off")),
            9 => Recipient::Person(listed("fil")),
            _ => Recipient::Person(listed("fit")),
        };
        let created = if flavour == 1 { at.plus_seconds(-7_200) } else { at };
        let notice = match flavour {
            5 | 6 => Notice::Delayed(DelayedNotice {
                order: w("o"),
                until: created.plus_seconds(if flavour == 5 { 10 } else { 40 } * DAY),
            }),
            _ => Notice::Immediate,
        };
        let from = if flavour == 9 { hours(100) } else { t0() };
        let request = Request {
            kind: Kind::Request,
            org: w("acme"),
            nonce,
            charter,
            matter: matter_id(u8::from(by == "rex")),
            by: w(by),
            basis: if flavour == 2 { Basis::Order } else { Basis::Consent },
            authority: (flavour == 2).then(authority),
            purpose: w(if flavour == 3 { "curiosity" } else { "inquiry" }),
            counts: Counts { items: items.len() as u64, threads: threads.len() as u64 },
            scope: Scope { threads, from, to: from.plus_seconds(90_000) },
            items,
            recipient,
            policy: w(POLICIES[usize::from(policy) % POLICIES.len()]),
            notice,
            created,
            expires: created.plus_seconds(match flavour {
                4 => 2 * DAY,
                8 => 3_600,
                _ => 40_000,
            }),
        };
        Some((Act::Request(request), vec![own(by)]))
    }
}

fn authority() -> Authority {
    Authority { reference: w("ref"), document: Digest([5; 32]) }
}

fn matter_id(n: u8) -> MatterId {
    w(["MAT-0", "MAT-1"][usize::from(n % 2)])
}

fn revocation(nonce: Nonce, charter: Digest, revokes: Revoked, at: Timestamp) -> Act {
    let (kind, org, reason) = (Kind::Revocation, w("acme"), w("lost"));
    Act::Revocation(Revocation { kind, org, nonce, charter, revokes, reason, at })
}

/// A version after the newest; or a second one after that before the one in force.
fn successor(model: &Model, change: u8, fork: bool, settle: bool, nonce: Nonce, at: Timestamp) -> Charter {
    let force = model.in_force();
    let parent = if fork { force.1.previous.unwrap_or(force.0) } else { model.newest() };
    let mut c = model.charter(&parent).unwrap().clone();
    (c.nonce, c.version, c.previous, c.issued) = (nonce, c.version + 1, Some(parent), at.max(c.issued));
    c.voided = if settle && !fork { model.beside(&parent) } else { vec![] };
    let find = |c: &Charter, id: &str| c.people.iter().position(|p| p.id == w(id));
    let policy = |c: &mut Charter, id: &str, new: &str| {
        if let Some(p) = c.policies.iter_mut().find(|p| p.id == w(id)) {
            p.text = text(new).into();
        }
    };
    let drop_role = |c: &mut Charter, id: &str, role: &str| {
        if let Some(p) = find(c, id) {
            c.people[p].roles.retain(|r| r.as_str() != role);
        }
    };
    match change % 14 {
        0 => c.people.retain(|p| !["lea", "don"].map(w).contains(&p.id)),
        1 | 13 => {
            c.people = (0..PEOPLE.len()).map(person).collect();
            c.policies = super::cast::genesis().policies;
            c.limits.items_per_request = 4;
        }
        2 => drop_role(&mut c, "lea", "legal"),
        3 => {
            if let Some(p) = find(&c, "dpo") {
                // It turns out to have ended before what it signed today.
                c.people[p].keys[0].until = at.plus_seconds(-600);
            }
        }
        4 => policy(&mut c, "std", "strict"),
        5 => policy(&mut c, "std", "weak"),
        6 => c.policies.retain(|p| p.id != w("any")),
        7 => {
            if let Some(p) = find(&c, "off") {
                c.people[p].sealing = Some(CAST.spare[2].clone());
            }
        }
        8 => drop_role(&mut c, "req", "requestor"),
        9 => c.limits.items_per_request = 1,
        10 => policy(&mut c, "any", "weak"),
        11 => {
            if let Some(p) = find(&c, "lou") {
                c.people[p].keys[0].from = at.plus_seconds(3_600);
            }
        }
        _ => {}
    }
    c
}
