//! Causality of a release: authorised, covered by a countersigned head, then delivered once.

use super::acts::Story;
use crate::bundle::attachment_path;
use crate::checkpoint::{Checkpoint, VerifiedCheckpoint};
use crate::finding::ReleaseSummary;
use crate::note::VerifierKey;
use crate::seat;
use escrow_core::charter::Generation;
use escrow_core::limits::AUTHORISATION_LIFE_S;
use escrow_core::release::Release;
use escrow_core::verdict::Verdict;
use escrow_core::{Digest, Envelope, Timestamp};
use escrow_policy::floor::APPROVERS;
use escrow_policy::{Refusal, Rule, admit, gate};
use std::collections::BTreeSet;

/// What a `release.authorized` entry names.
pub(super) struct Named<'r> {
    pub(super) request: &'r Digest,
    pub(super) decisions: &'r [Digest],
    pub(super) permits: &'r [Digest],
    pub(super) answers: &'r [Digest],
}

/// What a `release.delivered` entry says.
pub(super) struct Said<'r> {
    pub(super) authorized: u64,
    pub(super) note: &'r Digest,
    pub(super) request: &'r Digest,
    pub(super) reply: &'r Digest,
    pub(super) attempt: u64,
}

/// Judges an authorisation by the facts before it.
pub(super) fn authorised(story: &mut Story<'_>, seq: u64, at: Timestamp, call: &Envelope, named: &Named<'_>) {
    let sorted = [named.decisions, named.permits, named.answers].iter().all(|l| l.is_sorted_by(|a, b| a < b));
    story.hold(sorted, seq, "record", || "decisions, permits and answers are sorted, none twice".into());
    let call = match admit::verify_call(&story.facts, call, at) {
        Ok(call) => call,
        Err(refusal) => return story.refused(seq, &refusal),
    };
    let same = call.statement().request == *named.request;
    if !story.hold(same, seq, "release-call", || "the release-call is for another request".into()) {
        return;
    }
    let permits: Vec<Envelope> = envelopes(story, named.permits);
    let answers: Vec<Envelope> = envelopes(story, named.answers);
    for envelope in &permits {
        // Only what the seat itself signed can be missed in its log.
        if let Ok(v) = envelope.decode::<Verdict>()
            && story.evidence.charters.signed_under(envelope, &v.charter, v.seat)
        {
            story.permits.push((seq, envelope.digest(), v.seat, v.decided));
        }
    }
    // What is missing was reported: what is there cannot be counted without it, and is judged all the same.
    let complete = permits.len() == named.permits.len() && answers.len() == named.answers.len();
    let gathered = gate::Gathered { permits: &permits, answers: &answers };
    let passed = floor(story, named.request, at).and_then(|counted| {
        let peers = gate::check_gathered(&story.facts, named.request, counted.generation, &gathered, at)?;
        if complete {
            peers.enough()?;
        }
        Ok(counted)
    });
    let counted = match passed {
        Ok(counted) => counted,
        Err(refusal) => return story.refused(seq, &refusal),
    };
    story.hold(counted.decisions == named.decisions, seq, "decisions", || {
        format!("names {} decisions, this log's facts count {}", named.decisions.len(), counted.decisions.len())
    });
    replay(story, seq, named.request, at);
}

/// Every text of the policy permits, at an authorisation and again at its delivery.
fn replay(story: &mut Story<'_>, seq: u64, request: &Digest, at: Timestamp) {
    if story.options.policy_replay
        && let Err(refusal) = gate::deliver(&story.facts, request, at)
    {
        story.refused(seq, &refusal);
    }
}

/// The floor with its number of approvers, which holds whatever the policy says.
fn floor(story: &Story<'_>, request: &Digest, at: Timestamp) -> Result<gate::Counted, Refusal> {
    let counted = gate::count(&story.facts, request, at)?;
    if counted.approvers < APPROVERS {
        let detail = format!("{} distinct approvers, {APPROVERS} are the floor", counted.approvers);
        return Err(Refusal::new(Rule::Pending, detail));
    }
    Ok(counted)
}

/// One envelope a digest: one that its seat signed, if there are several around one payload.
fn envelopes(story: &Story<'_>, digests: &[Digest]) -> Vec<Envelope> {
    let pool = &story.evidence.pool;
    let signed = |e: &Envelope| {
        let seat = e
            .decode::<Verdict>()
            .map(|v| v.seat)
            .or_else(|_| e.decode().map(|a: escrow_core::restriction::RestrictionAnswer| a.seat));
        seat.is_ok_and(|s| story.evidence.charters.signed_by_seat(e, s))
    };
    let pick = |d: &Digest| {
        let envelopes = || pool.named(d).iter().filter_map(|e| pool.envelope(e));
        envelopes().find(|e| signed(e)).or_else(|| envelopes().next())
    };
    digests.iter().filter_map(pick).map(|e| (*e).clone()).collect()
}

/// Takes the authorisation that an outcome refers to; each has one. Answers when it was made.
pub(super) fn outcome(story: &mut Story<'_>, seq: u64, authorized: u64, request: &Digest) -> Option<Timestamp> {
    let open = story.authorised.get_mut(&authorized).filter(|a| a.request == *request && !a.used);
    let found = open.map(|a| {
        a.used = true;
        a.at
    });
    story.hold(found.is_some(), seq, "authorization", || {
        format!("entry {authorized} is no authorisation of this request that is still open")
    });
    found
}

/// A delivery closes one authorisation that is young and from before no restart.
pub(super) fn in_time(story: &mut Story<'_>, seq: u64, at: Timestamp, said: &Said<'_>) {
    if let Some(since) = outcome(story, seq, said.authorized, said.request) {
        let age = at.millis().saturating_sub(since.millis());
        let young = age <= i64::try_from(AUTHORISATION_LIFE_S.saturating_mul(1000)).unwrap_or(0);
        story.hold(young, seq, "authorization-age", || format!("the authorisation is {age} ms old, 60 s are allowed"));
        let restarted = story.ready.is_some_and(|ready| (said.authorized..seq).contains(&ready));
        story.hold(!restarted, seq, "authorization-restart", || "the node restarted in between".into());
    }
}

/// Judges a delivery by the facts before it.
pub(super) fn delivered(story: &mut Story<'_>, seq: u64, at: Timestamp, envelope: &Envelope, said: &Said<'_>) {
    in_time(story, seq, at, said);
    let note = noted(story, seq, said);
    let release = match admit::verify_seat_statement::<Release>(&story.facts, envelope, story.log.seat) {
        Ok(release) => release.into_statement(),
        Err(refusal) => return story.refused(seq, &refusal),
    };
    story.releases.push(ReleaseSummary {
        request: *said.request,
        seat: story.log.seat,
        attempt: said.attempt,
        seq,
        at,
        recipient: release.recipient,
    });
    let before = story.facts.request(said.request).map_or(0, |r| r.delivered.len() as u64);
    let in_force = story.facts.charter().map(|c| c.digest());
    let same = release.request == *said.request
        && release.reply == *said.reply
        && release.attempt == said.attempt
        && Some(release.charter) == in_force;
    story.hold(same, seq, "release-statement", || {
        "entry and release statement differ in request, reply, attempt or charter".into()
    });
    story.hold(said.attempt == before.saturating_add(1), seq, "attempt", || {
        format!("attempt {}, {} expected", said.attempt, before.saturating_add(1))
    });
    let counted = match floor(story, said.request, at) {
        Ok(counted) => counted,
        Err(refusal) => return story.refused(seq, &refusal),
    };
    let fits = release.items == counted.items
        && release.generation == counted.generation
        && release.recipient == counted.recipient.digest();
    story.hold(fits, seq, "release-scope", || "released other items or to another key than the request names".into());
    replay(story, seq, said.request, at);
    if let Some(note) = note {
        let generation = story.charter().and_then(|c| c.generation(counted.generation)).cloned();
        let peers = generation.map(|g| peers(story, [&g], g.w()));
        cosigned(story, seq, at, &note, peers);
    }
}

/// The note of a delivery, whatever else is wrong with that: a head that covers the authorisation.
pub(super) fn noted(story: &mut Story<'_>, seq: u64, said: &Said<'_>) -> Option<VerifiedCheckpoint> {
    let path = attachment_path(said.note);
    if !story.evidence.attachments.contains(said.note) {
        return None; // layer 2 said that it is missing
    }
    let head = match head(story, said) {
        Ok(head) => head,
        Err(why) => {
            story.violation(seq, "note", format!("{path}: {why}"));
            return None;
        }
    };
    let covers = head.size() > said.authorized && head.size() <= seq;
    story.hold(covers, seq, "note-size", || {
        format!("{path} is of size {}; it must cover entry {} and come before this one", head.size(), said.authorized)
    });
    story.notes.push((path, head.clone()));
    Some(head)
}

/// Witness keys, and how many of them must have cosigned.
pub(super) struct Peers {
    keys: Vec<VerifierKey>,
    need: usize,
}

/// No log, no share: the head is countersigned by w peers in the time that an authorisation lives. Without
/// peers, the items' generation is none of the charter's.
pub(super) fn cosigned(
    story: &mut Story<'_>,
    seq: u64,
    at: Timestamp,
    head: &VerifiedCheckpoint,
    peers: Option<Peers>,
) {
    let Some(Peers { keys, need }) = peers else {
        return story.violation(seq, "note", "the items' generation is not in the charter");
    };
    let skew = story.charter().map_or(0, |c| c.limits.clock_skew_s);
    match head.timely_cosigners(&keys, at, skew) {
        Ok(who) => {
            let have = who.len();
            story.hold(have >= need, seq, "cosignatures", || {
                format!(
                    "the note of size {} has {have} peers' cosignatures of that time, {need} are needed",
                    head.size()
                )
            });
        }
        Err(e) => story.violation(seq, "note", format!("the note of size {}: {e}", head.size())),
    }
}

fn head(story: &Story<'_>, said: &Said<'_>) -> Result<VerifiedCheckpoint, String> {
    let note = story.evidence.note(said.note)?;
    let key = story.evidence.charters.log_key(story.log.seat, &story.log.origin).ok_or("no log key")?;
    Checkpoint::verify(&note, &story.log.origin, &key).map_err(|e| e.to_string())
}

/// Witness keys of the other members of generations, each once.
pub(super) fn peers<'g>(story: &Story<'_>, of: impl IntoIterator<Item = &'g Generation>, need: usize) -> Peers {
    let members: BTreeSet<_> = of.into_iter().flat_map(|g| &g.members).filter(|m| **m != story.log.seat).collect();
    let keys = story.charter().into_iter().flat_map(|charter| {
        let seats = members.iter().filter_map(|m| charter.seat(**m));
        seats.filter_map(|s| seat::witness_verifier(&charter.org, s).ok())
    });
    Peers { keys: keys.collect(), need }
}
