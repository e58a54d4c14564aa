//! Two nodes under test, each beside the model of its log, and a third seat of which only the key
//! exists. Every operation runs against both and must come out the same.

use super::super::{AddAnswer, Authorised, Logged};
use super::cast::{CAST, genesis, hours, seat, t0, w};
use super::model::Act;
use super::node::{Node, Same, ended, same};
use super::ops::{CLOCKS, Op, Say, Seen, To};
use super::round::Presented;
use super::speech::{Made, Speech, device, newest, own};
use crate::writer::Committed;
use escrow_audit::checkpoint::VerifiedCheckpoint;
use escrow_audit::seat::witness_verifier;
use escrow_audit::witness::AddCheckpoint;
use escrow_core::enrolment::{Device, Enrolment};
use escrow_core::release::{Caller, Release, ReleaseCall};
use escrow_core::request::Recipient;
use escrow_core::restriction::RestrictionAnswer;
use escrow_core::sharing::Share;
use escrow_core::verdict::{Outcome, Verdict};
use escrow_core::wire::RestrictionAsk;
use escrow_core::{Digest, Envelope, Kind, PublicKey, Timestamp};
use escrow_policy::Rule;
use escrow_policy::gate::Gathered;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

pub(super) struct World {
    /// The node under test and its peer, seats 1 and 2.
    nodes: [Node; 2],
    speech: Speech,
    clock: Timestamp,
    /// Verdicts and answers seen so far, with who signed them.
    verdicts: Vec<(Envelope, PublicKey)>,
    answers: Vec<(Envelope, PublicKey)>,
    calls: Vec<Made>,
    /// Authorisations by position in the model's log; those of before a restart too.
    authorised: Vec<(Committed<Logged<Authorised>>, usize)>,
    /// Those whose Collect began too long ago.
    late: Vec<usize>,
    note: Option<VerifiedCheckpoint>,
    /// How often what happened.
    pub counts: BTreeMap<String, u64>,
}

impl World {
    /// Devices enrolled a day and an hour ago, consents, deposits of several sorts, two matters.
    pub(super) fn new() -> Same<Self> {
        let mut speech = Speech::default();
        let charter = speech.sign(Act::Charter(genesis()), vec![own("ann"), own("bob")]);
        let mut world = Self {
            nodes: [Node::new(1, &charter), Node::new(2, &charter)],
            speech,
            clock: t0(),
            verdicts: vec![],
            answers: vec![],
            calls: vec![],
            authorised: vec![],
            late: vec![],
            note: None,
            counts: BTreeMap::new(),
        };
        // Device 1, the second of its subject, is left for later.
        let entry = |n: u8| {
            let sealing = CAST.spare[usize::from(n)].clone();
            Device { subject: device(n).1, key: device(n).0.public(), sealing }
        };
        let enrolment = Enrolment {
            kind: Kind::Enrolment,
            org: w("acme"),
            nonce: world.speech.nonce(),
            charter: charter.said.digest,
            devices: [0, 2, 3, 4, 5].map(entry).to_vec(),
            from: Timestamp::EPOCH,
            until: Timestamp::MAX,
        };
        world.speech.made.push(charter);
        let enrolment = world.speech.sign(Act::Enrolment(enrolment), vec![own("ann"), own("bob")]);
        world.speech.made.push(enrolment);
        world.apply(Op::Again { to: To::Both, back: 0 })?;
        world.clock = hours(25);
        let says = [
            Say::Consent { device: 0, subject: 0, flavour: 1 },
            Say::Deposit { device: 0, back: 0, shape: 7 },
            Say::Consent { device: 2, subject: 0, flavour: 0 },
            Say::Deposit { device: 2, back: 0, shape: 3 },
            Say::Deposit { device: 2, back: 0, shape: 5 },
            Say::Consent { device: 0, subject: 0, flavour: 0 },
            Say::Deposit { device: 0, back: 0, shape: 2 },
            Say::Deposit { device: 0, back: 0, shape: 0 },
            Say::Deposit { device: 0, back: 0, shape: 1 },
            Say::Matter { matter: 0, action: 0, by: 0 },
            Say::Matter { matter: 1, action: 0, by: 1 },
        ];
        for say in says {
            world.clock = world.clock.plus_seconds(1);
            world.apply(Op::Say { to: To::Both, seen: Seen::InForce, say })?;
        }
        if world.nodes[0].model.log.len() != says.len() + 2 {
            return Err("a statement that everything else is built on was refused".into());
        }
        world.counts.clear();
        Ok(world)
    }

    fn count(&mut self, what: impl Into<String>) {
        *self.counts.entry(what.into()).or_default() += 1;
    }

    /// What nodes and model say must be the same.
    pub(super) fn apply(&mut self, op: Op) -> Same {
        self.clock = self.clock.plus_seconds(1);
        match op {
            Op::Say { to, seen, say } => {
                let model = &self.nodes[0].model;
                let charter = match seen {
                    Seen::InForce => model.in_force().0,
                    Seen::Genesis => model.reigned()[0],
                    Seen::Newest => model.newest(),
                };
                let Some(made) = self.speech.say(say, model, charter, self.clock) else { return Ok(()) };
                self.hear(to, made)
            }
            Op::Again { to, back } => {
                let made = newest(self.speech.made.iter().collect(), back).cloned();
                made.map_or(Ok(()), |m| self.tell(to, &m))
            }
            Op::Copy { to, back } => {
                let made = newest(self.speech.made.iter().collect(), back).cloned();
                let copy = made.and_then(|m| self.speech.like(&m, None));
                copy.map_or(Ok(()), |m| self.hear(to, m))
            }
            Op::Rename { to, back, by } => {
                let made = newest(self.speech.made.iter().collect(), back).cloned();
                let name = super::cast::PEOPLE[usize::from(by) % super::cast::PEOPLE.len()].0;
                let renamed = made.and_then(|m| self.speech.like(&m, Some(name)));
                renamed.map_or(Ok(()), |m| self.hear(to, m))
            }
            Op::Accept { to, back } => {
                let charters = self.speech.of(|a| matches!(a, Act::Charter(_)).then_some(()));
                let digest = match back {
                    0 => self.nodes[0].model.newest(),
                    _ => newest(charters, back).unwrap().0,
                };
                for n in Self::hearers(to) {
                    if self.nodes[n].accept(self.clock, digest)? {
                        self.count("charter accepted");
                    }
                }
                Ok(())
            }
            Op::Clock(n) => {
                self.clock = self.clock.plus_seconds(CLOCKS[usize::from(n) % CLOCKS.len()]);
                Ok(())
            }
            Op::Evaluate { peer, back } => {
                let Some((case, _)) = newest(self.speech.cases(), back) else { return Ok(()) };
                self.evaluate(usize::from(peer), &case).map(|_| ())
            }
            Op::Authorise { back, caller, permit, answer, late } => self.authorise(back, caller, permit, answer, late),
            Op::Deliver { back, note } => self.deliver(back, note),
            Op::Restart { peer } => {
                self.count("restart");
                self.nodes[usize::from(peer)].restart(self.clock)
            }
        }
    }

    fn hearers(to: To) -> Vec<usize> {
        match to {
            To::Both => vec![0, 1],
            To::Main => vec![0],
            To::Peer => vec![1],
            To::Nobody => vec![],
        }
    }

    fn hear(&mut self, to: To, made: Made) -> Same {
        self.speech.made.push(made.clone());
        self.tell(to, &made)
    }

    fn tell(&mut self, to: To, made: &Made) -> Same {
        for n in Self::hearers(to) {
            let kind = made.envelope.kind();
            match self.nodes[n].submit(self.clock, made).map_err(|e| format!("{kind}: {e}"))? {
                Ok(true) => self.count(format!("logged {kind}")),
                Ok(false) => self.count("logged before"),
                Err(rule) => self.count(format!("not admitted: {rule}")),
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, n: usize, case: &Digest) -> Same<Option<Envelope>> {
        let Some((envelope, verdict, broken)) = self.nodes[n].evaluate(self.clock, case)? else { return Ok(None) };
        let kind = match self.nodes[n].model.request(case) {
            Some(_) => "release",
            None => "recovery",
        };
        self.count(format!("{kind} {}", verdict.outcome.name()));
        broken.into_iter().for_each(|b| self.count(format!("{kind} refused: {b}")));
        self.verdicts.push((envelope.clone(), CAST.seats[n].statement.public()));
        Ok(Some(envelope))
    }

    fn authorise(&mut self, back: u8, caller: u8, permit: u8, answer: u8, late: bool) -> Same {
        let Some((case, act)) = newest(self.speech.cases(), back).map(|(d, a)| (d, a.clone())) else { return Ok(()) };
        let call = match caller {
            3 if !self.calls.is_empty() => self.calls.last().unwrap().clone(),
            _ => self.call(&case, &act, caller),
        };
        self.calls.push(call.clone());
        let permits: Vec<(Envelope, PublicKey)> = self.permit(&case, permit)?.into_iter().collect();
        let answers: Vec<(Envelope, PublicKey)> = self.answer(&case, &act, answer)?.into_iter().collect();
        let Act::Call(words) = &call.said.act else { unreachable!() };
        let (p, a): (Vec<_>, Vec<_>) =
            (permits.iter().map(|p| p.0.clone()).collect(), answers.iter().map(|a| a.0.clone()).collect());
        let since = if late { Instant::now().checked_sub(Duration::from_secs(61)).unwrap() } else { Instant::now() };
        let outcome = self.nodes[0].at(self.clock, |engine, model| {
            let expected = match model.case(&words.request) {
                None => Err(Rule::RequestUnknown),
                Some(_) => model.authorise(words, &call.said.signers[0], &presented(&permits), &presented(&answers)),
            };
            let got = engine.authorise(&call.envelope, &Gathered { permits: &p, answers: &a }, since);
            let why = format!("authorisation (engine {:?}, model {expected:?})", got.as_ref().err());
            same(&why, got.is_ok(), expected.is_ok())?;
            Ok(got.map_err(|r| r.rule).map(|authorised| {
                model.write(Rc::clone(&call.said));
                (Committed::assumed(authorised), model.log.len() - 1)
            }))
        })?;
        match outcome {
            Ok((authorised, position)) => {
                self.authorised.push((authorised, position));
                self.late.extend(late.then_some(position));
                self.count("authorised");
            }
            Err(rule) => self.count(format!("not authorised: {rule}")),
        }
        Ok(())
    }

    fn call(&mut self, case: &Digest, act: &Act, caller: u8) -> Made {
        let (by, key) = match (act, caller) {
            (Act::Recovery(r), 0 | 1 | 3) => {
                let n = (0..6).find(|n| device(*n).0.public() == r.key).unwrap();
                (Caller::Device(r.key.clone()), device(n).0)
            }
            (Act::Request(r), 1) => match &r.recipient {
                Recipient::Device(d) => {
                    let n = (0..6).find(|n| device(*n).0.public() == d.key).unwrap();
                    (Caller::Device(d.key.clone()), device(n).0)
                }
                Recipient::Person(p) | Recipient::FilterTeam(p) => (Caller::Person(p.id.clone()), own(p.id.as_str())),
            },
            (Act::Request(r), 0 | 3) => (Caller::Person(r.by.clone()), own(r.by.as_str())),
            (_, 2) => (Caller::Person(w("lou")), own("lou")),
            (Act::Request(r), _) => (Caller::Person(r.by.clone()), own("lou")),
            _ => (Caller::Device(device(5).0.public()), device(5).0),
        };
        let (nonce, charter) = (self.speech.nonce(), self.nodes[0].model.in_force().0);
        let (kind, org, at) = (Kind::ReleaseCall, w("acme"), self.clock);
        let call = ReleaseCall { kind, org, nonce, charter, request: *case, by, at };
        self.speech.sign(Act::Call(call), vec![key])
    }

    fn permit(&mut self, case: &Digest, how: u8) -> Same<Option<(Envelope, PublicKey)>> {
        let third = &CAST.seats[2].statement;
        let peer = CAST.seats[1].statement.public();
        let mut made = Verdict {
            kind: Kind::Verdict,
            org: w("acme"),
            nonce: self.speech.nonce(),
            charter: self.nodes[0].model.in_force().0,
            seat: seat(3),
            request: *case,
            outcome: Outcome::Permit,
            lacking: vec![],
            reasons: vec![],
            policies: vec![],
            decisions: vec![],
            context: Some(Digest([6; 32])),
            decided: self.clock,
            valid_until: self.clock.plus_seconds(60),
        };
        let mut key = third;
        match how % 10 {
            0 => return Ok(self.evaluate(1, case)?.map(|e| (e, peer))),
            1 => return Ok(newest(self.verdicts.clone(), 0)),
            2 => return Ok(newest(self.verdicts.clone(), 2)),
            3 => return Ok(None),
            4 => return Ok(self.evaluate(0, case)?.map(|e| (e, CAST.seats[0].statement.public()))),
            5 => key = own("lea"),
            // An honest third seat.
            6 => {}
            7 => made.valid_until = self.clock.plus_seconds(3_600),
            8 => (made.seat, key) = (seat(4), &CAST.seats[3].statement),
            // Fresh when it was made.
            _ => (made.decided, made.valid_until) = (self.clock.plus_seconds(-61), self.clock.plus_seconds(-1)),
        }
        Ok(Some((Envelope::sign(&made, &[key]).unwrap(), key.public())))
    }

    /// Asks the peer for restrictions, takes over what it hands out, and returns an answer.
    fn answer(&mut self, case: &Digest, act: &Act, how: u8) -> Same<Option<(Envelope, PublicKey)>> {
        let (matter, items) = match act {
            Act::Request(r) => (Some(r.matter.clone()), &r.items),
            Act::Recovery(r) => (None, &r.items),
            _ => unreachable!("neither request nor self-recovery"),
        };
        let concerns = self.nodes[0].engine.facts().concerns(case);
        let consents = if how == 5 { vec![] } else { self.nodes[0].model.consents_of(items) };
        let revocable = if how == 7 { vec![] } else { concerns.revocable.into_iter().collect() };
        let (nonce, request) = (self.speech.nonce(), Some(*case));
        let ask = RestrictionAsk { nonce, request, matter, consents, revocable, after: 0 };
        let asker = if how == 3 { seat(3) } else { seat(1) };
        let from = usize::from(how != 6);
        let told = self.nodes[from].at(self.clock, |e, _| Ok(e.restrictions(asker, &ask, true).unwrap()))?;
        if how == 1 {
            return Ok(None);
        }
        let answer = told.answer.unwrap();
        let named = answer.decode::<RestrictionAnswer>().unwrap().restrictions;
        let handed = told.statements.iter().filter_map(|d| self.speech.made.iter().find(|m| m.said.digest == *d));
        let handed: Vec<Made> = handed.cloned().collect();
        self.nodes[0].take_over(self.clock, &handed, &named)?;
        let key = &CAST.seats[from].statement;
        let signed = match how {
            2 => return Ok(newest(self.answers.clone(), 0)),
            4 => (
                Envelope::sign(&answer.decode::<RestrictionAnswer>().unwrap(), &[own("lea")]).unwrap(),
                own("lea").public(),
            ),
            _ => (answer, key.public()),
        };
        self.answers.push(signed.clone());
        Ok(Some(signed))
    }

    /// The newest head of the node under test, cosigned by its peer.
    fn cosigned(&mut self) -> Same<VerifiedCheckpoint> {
        let main = &self.nodes[0].engine;
        let mut head = main.checkpoint().unwrap();
        let old = self.nodes[1].engine.witnessed(main.origin()).map_or(0, |h| h.size);
        let proof = if old == 0 { vec![] } else { main.tree().consistency_proof(old, head.size()).unwrap() };
        let ask = AddCheckpoint::new(old, proof, &head).unwrap();
        let answer = self.nodes[1].at(self.clock, |e, _| Ok(e.add_checkpoint(&ask).unwrap()))?;
        let AddAnswer::Cosigned(line) = answer else { return Err(format!("not cosigned: {answer:?}")) };
        let key = witness_verifier(&w("acme"), &genesis().seats[1]).unwrap();
        head.add_cosignatures(line.as_bytes(), &[key]).unwrap();
        Ok(head)
    }

    fn deliver(&mut self, back: u8, note: u8) -> Same {
        if self.authorised.is_empty() {
            return Ok(());
        }
        let at = self.authorised.len() - 1 - usize::from(back) % self.authorised.len();
        let before = self.note.clone();
        let note = match note {
            1 => self.nodes[0].engine.checkpoint().unwrap(),
            2 if before.is_some() => before.unwrap(),
            _ => self.cosigned()?,
        };
        self.note = Some(note.clone());
        let (authorised, position) = self.authorised.remove(at);
        let by_peer = witness_verifier(&w("acme"), &genesis().seats[1]).unwrap();
        let cosigned = note.size() > authorised.seq() && note.cosigners(&[by_peer]).unwrap().len() == 1;
        let young = !self.late.contains(&position);
        let delivered = self.nodes[0].at(self.clock, |engine, model| {
            let expected = model.deliver(position, cosigned, young);
            let share = || Share::from_bytes(seat(1), CAST.share.as_slice()).unwrap();
            let got = engine.deliver(authorised, &note, |p| Ok(p.items.iter().map(|_| share()).collect()));
            let why = format!("delivery (engine {:?})", got.as_ref().err());
            same(&why, got.is_ok(), expected)?;
            if got.is_ok() {
                // The reply itself is locked until the writer has stored its entry.
                let (_, _, bytes) = engine.batch.statements.last().unwrap();
                let Act::Call(call) = &model.log[position].said.act else { unreachable!() };
                let release: Release = Envelope::parse(bytes).unwrap().decode().unwrap();
                same("attempt", release.attempt, model.delivered(&call.request) as u64 + 1)?;
            }
            if model.open().contains(&position) {
                model.write(ended(position, expected));
            }
            Ok(got.map(|_| ()).map_err(|r| r.rule))
        })?;
        self.count(delivered.map_or_else(|rule| format!("not delivered: {rule}"), |()| "delivered".into()));
        Ok(())
    }
}

fn presented<T: escrow_core::Statement>(list: &[(Envelope, PublicKey)]) -> Vec<Presented<T>> {
    list.iter().filter_map(|(e, k)| Some(Presented { statement: e.decode().ok()?, signer: k.clone() })).collect()
}
