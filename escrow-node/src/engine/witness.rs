//! What this seat does for the others: cosigning their checkpoints, answering about restrictions,
//! telling what it holds of their logs.

use super::submit::submittable;
use super::{Engine, unsigned};
use crate::metrics;
use crate::store::PeerHead;
use escrow_audit::note;
use escrow_audit::seat::{log_verifier, witness_name};
use escrow_audit::witness::{AddCheckpoint, Refuse, decide};
use escrow_core::limits::{CONSENTS_PER_ASK, RESTRICTION_PAGE_BYTES, RESTRICTIONS_PER_ANSWER};
use escrow_core::restriction::RestrictionAnswer;
use escrow_core::view::View;
use escrow_core::wire::RestrictionAsk;
use escrow_core::{Digest, Envelope, Kind, Nonce, SeatIndex};
use escrow_policy::facts::Concerns;
use escrow_policy::{Event, Refusal, Rule};
use std::collections::BTreeSet;

/// Answer to add-checkpoint: the cosignature line, or the refusal with its HTTP status and body.
#[derive(Debug)]
pub enum AddAnswer {
    /// One signature line, to be sent after commit.
    Cosigned(String),
    /// The witness protocol's refusal.
    Refused(Refuse),
    /// This log was caught before: its key has signed heads that contradict each other.
    Distrusted,
}

/// Signed notes of another log that are remembered beside the one that was cosigned.
const SHOWN_KEPT: usize = 8;

/// Refusals of named restrictions that one answer can put into the log.
const REFUSED_PER_ANSWER: usize = 64;

/// Restrictions for a peer: the signed answer, and digests of the statements to send with it.
#[derive(Debug)]
pub struct RestrictionAnswers {
    /// Envelope of the answer; none from a node that is not READY.
    pub answer: Option<Envelope>,
    /// Statements in the order in which the peer can log them.
    pub statements: Vec<Digest>,
    /// Log position to ask on from.
    pub upto: u64,
    /// True if nothing is behind it.
    pub complete: bool,
}

impl Engine {
    /// Decides on another log's checkpoint. Compare-and-swap on the old size; the new head and
    /// the `witness.cosigned` entry are durable before the cosignature leaves.
    ///
    /// # Errors
    /// [`Refusal`] only for a fault of this node itself.
    pub fn add_checkpoint(&mut self, request: &AddCheckpoint) -> Result<AddAnswer, Refusal> {
        let origin = request.claimed_origin().to_owned();
        let charter = self.charter()?;
        let own = witness_name(&charter.org, self.seat);
        let log = charter.seats.iter().find(|s| s.log_origin == origin && s.index != self.seat);
        let Some(log) = log.and_then(|s| log_verifier(s).ok()) else {
            return Ok(AddAnswer::Refused(Refuse::UnknownOrigin));
        };
        if self.liars.contains(&origin) {
            return Ok(AddAnswer::Distrusted);
        }
        let stored = self.peers.get(&origin).cloned();
        let decision = decide(request, stored.as_ref().map(|h| (h.size, h.root)), &log);
        let signed = !matches!(decision, Err(Refuse::NotSigned | Refuse::UnknownOrigin | Refuse::Malformed(_)));
        if signed && self.caught(&origin, request)? {
            return Ok(AddAnswer::Refused(Refuse::Conflict { stored: stored.map_or(0, |h| h.size) }));
        }
        let accept = match decision {
            Ok(accept) => accept,
            Err(refuse) => return Ok(AddAnswer::Refused(refuse)),
        };
        let note = String::from_utf8(accept.checkpoint().to_bytes())
            .map_err(|_| Refusal::new(Rule::Malformed, "a checkpoint that is not UTF-8"))?;
        let head = PeerHead { size: accept.size(), root: *accept.root(), note };
        if stored.as_ref().is_none_or(|s| s.size != head.size) {
            let event = Event::Cosigned { origin: origin.clone(), size: head.size, root: Digest(head.root) };
            self.append(&event, None)?;
            self.peers.insert(origin.clone(), head.clone());
            self.batch.peers.push((origin, head));
        }
        let seconds = u64::try_from(self.now.millis() / 1000).unwrap_or(0);
        let line = note::cosign(&own, &self.keys.witness, seconds, accept.checkpoint().note().text())
            .map_err(|e| Refusal::new(Rule::Malformed, e.to_string()))?;
        Ok(AddAnswer::Cosigned(format!("{line}\n")))
    }

    /// Compares a note that a log's key signed with those that it signed before, cosigned or not. Two of
    /// one size and different roots cannot both be true, whatever proofs came with them: both are kept
    /// as attachments of a `misbehaviour` entry, and the log is never cosigned again. That is all that
    /// notes alone prove; a proof that does not verify may be anybody's mistake.
    ///
    /// # Errors
    /// [`Refusal`] only for a fault of this node itself.
    fn caught(&mut self, origin: &str, request: &AddCheckpoint) -> Result<bool, Refusal> {
        let note = String::from_utf8(request.note().to_bytes())
            .map_err(|_| Refusal::new(Rule::Malformed, "a checkpoint that is not UTF-8"))?;
        let new = PeerHead { size: request.claim().size(), root: *request.claim().root(), note };
        let shown = self.shown.get(origin).into_iter().flatten();
        let known = self.peers.get(origin).into_iter().chain(shown);
        let first = known.into_iter().find(|h| h.size == new.size && h.root != new.root).cloned();
        let Some(first) = first else {
            let shown = self.shown.entry(origin.to_owned()).or_default();
            if shown.iter().all(|h| h.size != new.size) {
                shown.push_back(new);
                if shown.len() > SHOWN_KEPT {
                    shown.pop_front();
                }
            }
            return Ok(false);
        };
        let notes = [first.note.into_bytes(), new.note.into_bytes()];
        let [first, second] = notes.each_ref().map(|n| Digest::of(n));
        self.append(&Event::Misbehaviour { origin: origin.to_owned(), first, second }, None)?;
        self.batch.attachments.extend(notes);
        metrics::misbehaviour();
        tracing::error!(%origin, %first, %second, "a log's key signed two heads that contradict each other");
        Ok(true)
    }

    /// The newest note of a log that this node cosigned.
    pub fn witnessed(&self, origin: &str) -> Option<&PeerHead> {
        self.peers.get(origin)
    }

    /// Restrictions that bear on what a peer asks about. Only a READY node signs.
    ///
    /// # Errors
    /// [`Refusal`] if signing fails.
    pub fn restrictions(
        &self,
        asker: SeatIndex,
        ask: &RestrictionAsk,
        ready: bool,
    ) -> Result<RestrictionAnswers, Refusal> {
        let sorted = ask.consents.is_sorted_by(|a, b| a < b) && ask.revocable.is_sorted_by(|a, b| a < b);
        if !sorted || ask.consents.len().max(ask.revocable.len()) > CONSENTS_PER_ASK {
            let why = format!("at most {CONSENTS_PER_ASK} consents and as many keys, sorted, none twice");
            return Err(Refusal::new(Rule::Malformed, why));
        }
        let (mut restrictions, upto, complete) = match &ask.request {
            Some(request) => {
                let besides = Concerns {
                    matter: ask.matter.clone(),
                    consents: ask.consents.iter().copied().collect(),
                    revocable: ask.revocable.iter().cloned().collect(),
                };
                (self.facts.restrictions_on(request, &besides), self.facts.size(), true)
            }
            None => self.page(ask.after),
        };
        let after = if ask.request.is_some() { 0 } else { ask.after.min(upto) };
        let statements: BTreeSet<Digest> = restrictions.iter().flat_map(|r| self.facts.with_predecessors(r)).collect();
        let mut statements: Vec<Digest> = statements.into_iter().collect();
        restrictions.sort();
        // In the order in which they were logged here, predecessors come first.
        statements.sort_by_key(|d| self.facts.seen(d).map(|l| l.seq));
        if !ready {
            return Ok(RestrictionAnswers { answer: None, statements, upto, complete });
        }
        let answer = RestrictionAnswer {
            kind: Kind::RestrictionAnswer,
            org: self.charter()?.org.clone(),
            nonce: Nonce::random(),
            charter: self.charter_digest(),
            seat: self.seat,
            asker,
            asked: ask.nonce,
            request: ask.request,
            matter: ask.matter.clone(),
            consents: ask.consents.clone(),
            revocable: ask.revocable.clone(),
            after,
            upto,
            restrictions,
            at: self.now,
        };
        let answer = Envelope::sign(&answer, &[&self.keys.statement]).map_err(unsigned)?;
        Ok(RestrictionAnswers { answer: Some(answer), statements, upto, complete })
    }

    /// Restrictions from a log position on, as many as fit into one answer in number and in bytes, one
    /// at least; the position to ask on from; and true if nothing is behind it.
    fn page(&self, after: u64) -> (Vec<Digest>, u64, bool) {
        let (mut page, upto, complete) = self.facts.restrictions_since(after, RESTRICTIONS_PER_ANSWER);
        let size = |d: &Digest| self.envelopes.get(d).map_or(0, |s| s.bytes);
        let mut sent: BTreeSet<Digest> = BTreeSet::new();
        let mut bytes = 0;
        let fits = page.iter().take_while(|r| {
            let new: Vec<Digest> = self.facts.with_predecessors(r).into_iter().filter(|d| !sent.contains(d)).collect();
            bytes += new.iter().map(size).sum::<usize>();
            let first = sent.is_empty();
            sent.extend(new);
            first || bytes <= RESTRICTION_PAGE_BYTES
        });
        let fits = fits.count();
        if fits == page.len() {
            return (page, upto, complete);
        }
        page.truncate(fits);
        let last = page.last().and_then(|d| self.facts.seen(d)).map_or(after, |l| l.seq.saturating_add(1));
        (page, last, false)
    }

    /// Signed views of every other log in the charter.
    ///
    /// # Errors
    /// [`Refusal`] if signing fails.
    pub fn views(&self, export: Nonce) -> Result<Vec<Envelope>, Refusal> {
        let charter = self.charter()?;
        let others = charter.seats.iter().filter(|s| s.index != self.seat);
        others
            .map(|s| {
                let view = View {
                    kind: Kind::View,
                    org: charter.org.clone(),
                    nonce: Nonce::random(),
                    charter: self.charter_digest(),
                    seat: self.seat,
                    log: s.log_origin.clone(),
                    note: self.peers.get(&s.log_origin).map(|h| h.note.clone()),
                    export,
                    at: self.now,
                };
                Envelope::sign(&view, &[&self.keys.statement]).map_err(unsigned)
            })
            .collect()
    }

    /// Takes in statements that a peer handed over: what can be logged is logged, the rest is given
    /// back (a lying peer must not stop a release by sending rubbish).
    pub fn take_over(&mut self, statements: &[Envelope]) -> Vec<Envelope> {
        let mut refused = Vec::new();
        for e in statements {
            let known = !submittable(e.kind()) || self.facts.seen(&e.digest()).is_some();
            if !known && self.append(&Event::Statement {}, Some(e)).is_err() {
                refused.push(e.clone());
            }
        }
        refused
    }

    /// The same for a signed answer. A restriction that it names, hands over and that this node's own
    /// rules refuse (its signer's key has run out here, say) is put into the log as refused: the
    /// answer is then complete, and what stops a release stops it at the nodes that could log it.
    ///
    /// That holds whoever signed it (a device whose enrolment never came here), as a seat vouches for
    /// having logged it; how many are logged for one answer is bounded, so that a lying seat cannot
    /// make this log grow at will, but only its own answer unusable.
    pub fn take_over_answer(&mut self, statements: &[Envelope], named: &[Digest]) {
        let mut left = REFUSED_PER_ANSWER;
        for e in self.take_over(statements) {
            let new = named.contains(&e.digest()) && !self.facts.was_refused(&e.digest());
            if new
                && left > 0
                && let Err(refusal) = escrow_policy::admit::admit(&self.facts, &e, self.now)
            {
                self.log_refused(&e, &refusal);
                left -= 1;
            }
        }
    }
}
