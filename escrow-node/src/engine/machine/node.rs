//! One node under test beside the model of its log. Whatever is asked of both must come out the
//! same.

use super::super::Engine;
use super::cast::{CAST, seat, t0};
use super::model::{Act, Model, Said};
use super::speech::Made;
use crate::store::{DepositRow, PeerHead};
use escrow_core::verdict::Verdict;
use escrow_core::{Digest, Envelope, Timestamp};
use escrow_policy::{Event, Rule};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

pub(super) type Same<T = ()> = Result<T, String>;

pub(super) struct Node {
    pub engine: Engine,
    pub model: Model,
    entries: Vec<Vec<u8>>,
    statements: HashMap<Digest, Vec<u8>>,
    heads: Vec<(String, PeerHead)>,
}

pub(super) fn same<T: PartialEq + std::fmt::Debug>(what: &str, engine: T, model: T) -> Same {
    if engine == model { Ok(()) } else { Err(format!("{what}: the engine says {engine:?}, the model {model:?}")) }
}

impl Node {
    pub(super) fn new(n: u8, charter: &Made) -> Self {
        let keys = Arc::clone(&CAST.seats[usize::from(n) - 1]);
        let mut engine = Engine::new(seat(n), format!("acme/{n}/log"), keys);
        engine.begin(t0());
        engine.append(&Event::Genesis { seat: seat(n) }, Some(&charter.envelope)).unwrap();
        let model = Model::new(n, Rc::clone(&charter.said), t0());
        Self { engine, model, entries: vec![], statements: HashMap::new(), heads: vec![] }
    }

    /// Runs `job` at this time, and keeps what it wrote as a store would.
    pub(super) fn at<T>(&mut self, clock: Timestamp, job: impl FnOnce(&mut Engine, &mut Model) -> Same<T>) -> Same<T> {
        self.engine.begin(clock);
        self.model.begin(clock);
        same("time", self.engine.now(), self.model.now)?;
        let out = job(&mut self.engine, &mut self.model);
        let batch = self.engine.take_batch();
        if !batch.entries.is_empty() {
            self.model.last = self.model.now;
        }
        self.entries.extend(batch.entries.into_iter().map(|e| e.bytes));
        self.statements.extend(batch.statements.into_iter().map(|(digest, _, bytes)| (digest, bytes)));
        self.heads.extend(batch.peers);
        out
    }

    pub(super) fn submit(&mut self, clock: Timestamp, made: &Made) -> Same<Result<bool, Rule>> {
        self.at(clock, |engine, model| {
            let expected =
                if model.knows(&made.said.digest) { Ok(false) } else { model.admit(&made.said).map(|()| true) };
            let got = if let Act::Deposit(..) = made.said.act {
                engine.deposit(
                    &made.envelope,
                    &mut Some(DepositRow { deposit: made.said.digest, key: [0; 16], shares: vec![] }),
                )
            } else {
                engine.submit(&made.envelope)
            };
            let got = got.map(|s| s.new).map_err(|r| r.rule);
            if got.is_ok() != expected.is_ok() || got.is_ok() && got != expected {
                return Err(format!("seat {}: the engine says {got:?}, the model {expected:?}", model.seat));
            }
            match got {
                Ok(true) => model.write(Rc::clone(&made.said)),
                Ok(false) => {}
                Err(_) => model.refuse(&made.said),
            }
            Ok(got)
        })
    }

    /// Takes over what a peer has handed out with an answer that names these restrictions.
    pub(super) fn take_over(&mut self, clock: Timestamp, handed: &[Made], named: &[Digest]) -> Same {
        self.at(clock, |engine, model| {
            let envelopes: Vec<Envelope> = handed.iter().map(|m| m.envelope.clone()).collect();
            engine.take_over_answer(&envelopes, named);
            let mut refused = vec![];
            for m in handed.iter().filter(|m| !matches!(m.said.act, Act::Deposit(..))) {
                if !model.knows(&m.said.digest) {
                    match model.admit(&m.said) {
                        Ok(()) => model.write(Rc::clone(&m.said)),
                        Err(_) => refused.push(m),
                    }
                }
            }
            for m in refused {
                let digest = &m.said.digest;
                let new = named.contains(digest) && !model.refused.contains(digest);
                if new && model.admit(&m.said).is_err() {
                    model.refuse(&m.said);
                }
            }
            for m in handed {
                let (kind, digest) = (m.envelope.kind(), &m.said.digest);
                let logged = engine.facts().seen(digest).is_some();
                same(&format!("a {kind} was taken over"), logged, model.knows(digest))?;
                let refused = engine.facts().was_refused(digest);
                same(&format!("a {kind} was refused"), refused, model.refused.contains(digest))?;
            }
            Ok(())
        })
    }

    pub(super) fn evaluate(&mut self, clock: Timestamp, case: &Digest) -> Same<Option<(Envelope, Verdict, Vec<Rule>)>> {
        self.at(clock, |engine, model| {
            let got = engine.verdict(case, None).map_err(|r| r.rule).ok();
            same("the case is known", got.is_some(), model.case(case).is_some())?;
            let Some((envelope, _)) = got else { return Ok(None) };
            let verdict: Verdict = envelope.decode().unwrap();
            let expected = model.judge(case);
            let reasons = &verdict.reasons;
            let why = format!("engine {reasons:?} lacking {:?}, model {:?}", verdict.lacking, expected.broken);
            same(&format!("seat {} outcome ({why})", model.seat), verdict.outcome, expected.outcome)?;
            let true_ones = reasons.iter().all(|r| expected.broken.iter().any(|b| b.code() == r.as_str()));
            same(&format!("reasons are true ({why})"), true_ones, true)?;
            same("texts were judged", verdict.context.is_some(), expected.context.is_some())?;
            let Some(context) = expected.context else { return Ok(Some((envelope, verdict, expected.broken))) };
            let text = String::from_utf8_lossy(&context).into_owned();
            same(&format!("context {text}"), verdict.context, Some(Digest::of(&context)))?;
            same("decisions counted", &verdict.decisions, &expected.decisions)?;
            let texts: Vec<_> = verdict.policies.iter().map(|p| (p.policy, p.current, p.allowed)).collect();
            same("texts", texts, expected.policies)?;
            Ok(Some((envelope, verdict, expected.broken)))
        })
    }

    pub(super) fn accept(&mut self, clock: Timestamp, charter: Digest) -> Same<bool> {
        self.at(clock, |engine, model| {
            let got = engine.append(&Event::CharterAccepted { charter }, None);
            let what = format!("acceptance ({:?})", got.as_ref().err().map(|r| &r.detail));
            same(&what, got.is_ok(), model.may_accept(&charter))?;
            if got.is_ok() {
                let act = Act::Accepted(charter);
                model.write(Rc::new(Said { digest: Digest([0; 32]), signers: vec![], act }));
            }
            Ok(got.is_ok())
        })
    }

    /// The process ends and starts over its log.
    pub(super) fn restart(&mut self, clock: Timestamp) -> Same {
        let mut engine = Engine::new(self.engine.seat, self.engine.origin().to_owned(), Arc::clone(&self.engine.keys));
        for bytes in &self.entries {
            engine.load(bytes, |d| self.statements.get(d).cloned()).map_err(|e| format!("restart: {e}"))?;
        }
        engine.load_peers(self.heads.clone());
        self.engine = engine;
        self.at(clock, |engine, model| {
            engine.abort_leftovers();
            for position in model.open() {
                model.write(ended(position, false));
            }
            Ok(())
        })
    }
}

pub(super) fn ended(position: usize, delivered: bool) -> Rc<Said> {
    Rc::new(Said { digest: Digest([0; 32]), signers: vec![], act: Act::Ended(position, delivered) })
}
