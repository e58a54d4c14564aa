//! Verdicts and the two decisions of a release. Every share leaves through [`Engine::deliver`].

use super::{Engine, Logged, unsigned};
use crate::writer::Committed;
use escrow_audit::checkpoint::VerifiedCheckpoint;
use escrow_audit::seat::witness_verifier;
use escrow_core::release::Release;
use escrow_core::reply::{ReplyContext, seal_reply};
use escrow_core::sharing::Share;
use escrow_core::verdict::{Outcome, Verdict};
use escrow_core::{Code, Digest, Envelope, Kind, Nonce, Timestamp};
use escrow_policy::admit::verify_call;
use escrow_policy::facts::RequestFact;
use escrow_policy::gate::{self, Gathered};
use escrow_policy::{Evaluation, Event, Permit, Refusal, Rule};
use std::time::Instant;

/// An authorised release, still without a reply. Only [`Engine::authorise`] makes one; once its
/// `release.authorized` entry is durable, it is used up by [`Engine::deliver`] or [`Engine::abort`].
#[derive(Debug)]
pub struct Authorised {
    seq: u64,
    request: Digest,
    /// When collecting began, on the monotonic clock.
    since: Instant,
}

impl Committed<Logged<Authorised>> {
    /// Position of the durable `release.authorized` entry in the current log, which peers must cosign.
    pub fn seq(&self) -> u64 {
        self.get().what().seq
    }
}

/// A reply that may not leave before its entry is durable: the bytes come out of
/// [`Committed`] only.
#[derive(Debug)]
pub struct SealedReply {
    reply: Vec<u8>,
    release: Envelope,
}

/// What a delivered release sends.
#[derive(Debug)]
pub struct Delivered {
    /// The sealed reply.
    pub reply: Vec<u8>,
    /// The node's statement about it.
    pub release: Envelope,
    /// Position of the `release.delivered` entry, counted over all logs of the seat.
    pub position: u64,
}

impl Committed<Logged<SealedReply>> {
    /// Opens the lock: the entry is durable.
    pub fn send(self) -> Delivered {
        let (position, SealedReply { reply, release }) = self.spend();
        Delivered { reply, release, position }
    }
}

impl Engine {
    /// Evaluates a request now and logs the verdict; an unchanged pending verdict is not logged twice.
    ///
    /// # Errors
    /// [`Refusal`] if the request is not known here.
    pub fn verdict(&mut self, request: &Digest, last: Option<(Verdict, Envelope)>) -> Result<(Envelope, u64), Refusal> {
        let known = self.facts.request(request).is_some_and(RequestFact::known);
        if !known {
            return Err(Refusal::new(Rule::RequestUnknown, "the request is not known at this node; submit it first"));
        }
        let e = gate::evaluate(&self.facts, request, self.now);
        let life = i64::try_from(self.charter()?.limits.permit_life_s).unwrap_or(0);
        let valid_until = if e.outcome == Outcome::Permit { self.now.plus_seconds(life) } else { self.now };
        let verdict = self.make_verdict(request, &e, valid_until)?;
        if let Some((old, envelope)) = last
            && old.outcome == Outcome::Pending
            && same_pending(&old, &verdict)
            && let Some(logged) = self.facts.seen(&envelope.digest())
        {
            return Ok((envelope, logged.seq));
        }
        let envelope = Envelope::sign(&verdict, &[&self.keys.statement]).map_err(unsigned)?;
        let logged = self.append(&Event::Statement {}, Some(&envelope))?;
        self.batch.attachments.extend(e.context);
        Ok((envelope, logged.position()))
    }

    fn make_verdict(&self, request: &Digest, e: &Evaluation, valid_until: Timestamp) -> Result<Verdict, Refusal> {
        Ok(Verdict {
            kind: Kind::Verdict,
            org: self.charter()?.org.clone(),
            nonce: Nonce::random(),
            charter: self.charter_digest(),
            seat: self.seat,
            request: *request,
            outcome: e.outcome,
            lacking: e.lacking.clone(),
            reasons: e.reasons(),
            policies: e.policies.clone(),
            decisions: e.decisions.clone(),
            context: e.context.as_deref().map(Digest::of),
            decided: self.now,
            valid_until,
        })
    }

    /// Authorise: the release-call, fresh permits of other seats, and answers about restrictions,
    /// under the gate as it stands now.
    ///
    /// # Errors
    /// [`Refusal`], which is logged.
    pub fn authorise(
        &mut self,
        call: &Envelope,
        gathered: &Gathered<'_>,
        since: Instant,
    ) -> Result<Logged<Authorised>, Refusal> {
        self.try_authorise(call, gathered, since).inspect_err(|refusal| self.log_refusal(call, refusal))
    }

    fn try_authorise(
        &mut self,
        call: &Envelope,
        gathered: &Gathered<'_>,
        since: Instant,
    ) -> Result<Logged<Authorised>, Refusal> {
        let verified = verify_call(&self.facts, call, self.now)?;
        let (permits, answers) = gathered.usable(&self.facts, &verified.statement().request, self.now);
        let usable = Gathered { permits: &permits, answers: &answers };
        let permit = gate::authorise(&self.facts, &verified, &usable, self.now)?;
        let digests = |list: &[Envelope]| {
            let mut out: Vec<Digest> = list.iter().map(Envelope::digest).collect();
            out.sort();
            out.dedup();
            out
        };
        let event = Event::Authorized {
            request: permit.request,
            decisions: permit.decisions.clone(),
            permits: digests(&permits),
            answers: digests(&answers),
        };
        let logged = self.append(&event, Some(call))?;
        let seq = logged.position().saturating_sub(self.base);
        for e in permits.iter().chain(&answers) {
            self.keep(e);
        }
        Ok(logged.of(Authorised { seq, request: permit.request, since }))
    }

    /// Deliver: evaluates everything afresh; still permit, the authorisation young enough and its
    /// cosigned note at hand: logs `release.delivered` and returns the locked reply. Otherwise
    /// logs `release.aborted`.
    ///
    /// `open` opens this node's shares of the permitted items; it runs only after the permit.
    ///
    /// # Errors
    /// [`Refusal`], which is logged.
    pub fn deliver(
        &mut self,
        authorised: Committed<Logged<Authorised>>,
        note: &VerifiedCheckpoint,
        open: impl FnOnce(&Permit) -> Result<Vec<Share>, Refusal>,
    ) -> Result<Logged<SealedReply>, Refusal> {
        let (_, authorised) = authorised.spend();
        let outcome = self.try_deliver(&authorised, note, open);
        outcome.inspect_err(|refusal| self.abort_entry(authorised.seq, authorised.request, refusal.rule.code()))
    }

    fn try_deliver(
        &mut self,
        authorised: &Authorised,
        note: &VerifiedCheckpoint,
        open: impl FnOnce(&Permit) -> Result<Vec<Share>, Refusal>,
    ) -> Result<Logged<SealedReply>, Refusal> {
        if authorised.since.elapsed().as_secs() >= escrow_core::limits::AUTHORISATION_LIFE_S {
            return Err(Refusal::new(Rule::PermitInvalid, "the authorisation is 60 seconds old; call again"));
        }
        let permit = gate::deliver(&self.facts, &authorised.request, self.now)?;
        self.check_cosigned(authorised.seq, note, permit.generation)?;
        let shares = open(&permit)?;
        let genesis = self.facts.genesis().ok_or_else(|| Refusal::new(Rule::CharterUnknown, "no genesis"))?;
        let context = ReplyContext {
            genesis,
            request: permit.request,
            seat: self.seat,
            generation: permit.generation,
            recipient: permit.recipient.digest(),
        };
        let reply = seal_reply(&context, &permit.recipient, &shares)
            .map_err(|e| Refusal::new(Rule::RecipientKey, e.to_string()))?;
        let delivered = self.facts.request(&permit.request).map_or(0, |r| r.delivered.len()) as u64;
        let release = Release {
            kind: Kind::Release,
            org: self.charter()?.org.clone(),
            nonce: Nonce::random(),
            charter: self.charter_digest(),
            seat: self.seat,
            generation: permit.generation,
            request: permit.request,
            items: permit.items,
            recipient: context.recipient,
            reply: Digest::of(&reply),
            attempt: delivered.saturating_add(1),
        };
        let envelope = Envelope::sign(&release, &[&self.keys.statement]).map_err(unsigned)?;
        let event = Event::Delivered {
            authorized: authorised.seq,
            note: Digest::of(&note.to_bytes()),
            request: release.request,
            reply: release.reply,
            attempt: release.attempt,
        };
        let logged = self.append(&event, Some(&envelope))?;
        self.attach(note.to_bytes());
        Ok(logged.of(SealedReply { reply, release: envelope }))
    }

    /// No log, no share: the note must be a checkpoint of this log on this tree, cover the
    /// authorisation, and bear cosignatures of w other member seats from within its life.
    fn check_cosigned(&self, seq: u64, note: &VerifiedCheckpoint, generation: u32) -> Result<(), Refusal> {
        let missing = |why: String| Refusal::new(Rule::CosignaturesMissing, why);
        let charter = self.charter()?;
        let generation =
            charter.generation(generation).ok_or_else(|| missing("the items' generation is retired".into()))?;
        let covers =
            note.size() > seq && note.origin() == self.origin && self.tree.root_at(note.size()) == Some(*note.root());
        if !covers {
            return Err(missing(format!(
                "the checkpoint of size {} does not cover entry {seq} of this log",
                note.size()
            )));
        }
        let peers = generation.members.iter().filter(|m| **m != self.seat).filter_map(|m| charter.seat(*m));
        let keys: Vec<_> = peers.filter_map(|s| witness_verifier(&charter.org, s).ok()).collect();
        let skew = charter.limits.clock_skew_s;
        let have = note.timely_cosigners(&keys, self.now, skew).map_err(|e| missing(e.to_string()))?.len();
        if have < generation.w() {
            return Err(missing(format!("{have} of {} other nodes have cosigned the authorisation", generation.w())));
        }
        Ok(())
    }

    /// Logs that an authorised release was not delivered.
    pub fn abort(&mut self, authorised: Committed<Logged<Authorised>>, reason: &str) {
        let (_, authorised) = authorised.spend();
        self.abort_entry(authorised.seq, authorised.request, reason);
    }

    /// An authorisation never survives a restart.
    pub(crate) fn abort_leftovers(&mut self) {
        let open: Vec<_> = self.facts.open_authorisations().collect();
        for (position, request) in open {
            self.abort_entry(position.saturating_sub(self.base), request, "restart");
        }
    }

    fn abort_entry(&mut self, authorized: u64, request: Digest, reason: &str) {
        let Ok(reason) = reason.parse::<Code>() else { return };
        if let Err(e) = self.append(&Event::Aborted { authorized, request, reason }, None) {
            tracing::error!(rule = %e.rule, "an abort could not be logged");
        }
    }
}

fn same_pending(a: &Verdict, b: &Verdict) -> bool {
    // Waiting time grows by itself and is no news.
    let needs = |v: &Verdict| v.lacking.iter().map(|l| (l.what.clone(), l.need)).collect::<Vec<_>>();
    a.outcome == b.outcome && a.charter == b.charter && a.decisions == b.decisions && needs(a) == needs(b)
}
