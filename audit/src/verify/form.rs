//! A log of a bundle without content: whether it is in order in form. Who asked and approved is not
//! here, so nothing that depends on it is judged.

use super::Options;
use super::acts::{Authorised, Story};
use super::bytes::Evidence;
use super::continued::Before;
use super::log::Log;
use super::release;
use crate::bundle::INDEX;
use crate::entry::Entry;
use crate::finding::{Class, Finding, Report};
use crate::record;
use escrow_core::charter::Generation;
use escrow_core::verdict::{Outcome, Verdict};
use escrow_core::{Digest, Envelope, Kind, SeatIndex, Timestamp};
use escrow_policy::Event;
use escrow_policy::floor::APPROVERS;
use std::collections::BTreeSet;

/// What a log says that needs no statement of a person.
struct Form<'e> {
    story: Story<'e>,
}

/// Walks a log entry by entry. Without what came before, nothing is judged.
pub(super) fn walk<'e>(
    evidence: &'e Evidence<'e>,
    log: &'e Log,
    options: Options,
    before: Option<Before>,
) -> Story<'e> {
    let story = Story::new(evidence, log, options, before);
    let mut form = Form { story };
    // Its roots are needed whether or not its entries can be judged.
    let passed = log.pass(evidence.files, |entry| !form.story.stopped && form.entry(entry));
    let mut story = form.story;
    if let Err(fault) = passed {
        story.findings.push(fault);
        return story;
    }
    if story.stopped {
        return story;
    }
    story.carry_at(log.end());
    let open: Vec<_> = story.authorised.iter().filter(|(_, a)| !a.used).map(|(seq, a)| (*seq, a.request)).collect();
    for (seq, request) in open {
        let detail = format!("a release of request {request} was authorised and neither delivered nor aborted");
        story.findings.push(log.finding(Class::Ok, seq, "dangling", detail));
    }
    story
}

/// Distinct requests and self-recoveries; and the one finding that all such bundles have.
pub(super) fn count(stories: &[Story<'_>], report: &mut Report) {
    let asked: BTreeSet<_> = stories.iter().flat_map(|s| &s.asked).collect();
    let distinct = |kind: Kind| asked.iter().filter(|(k, _)| *k == kind).count() as u64;
    report.counts.requests = distinct(Kind::Request);
    report.counts.recoveries = distinct(Kind::SelfRecovery);
    for outcome in [Outcome::Permit, Outcome::Pending, Outcome::Refuse] {
        report.counts.verdicts.entry(outcome.name()).or_default();
    }
    let detail = "this bundle holds no content: that logs and releases are in order in form can be seen, and not who asked, \
                  for what, and who approved";
    report.add([Finding::new(Class::Incomplete, INDEX, "no-content", detail)]);
}

impl Form<'_> {
    /// Takes the next entry; false if what it refers to should be here and is not.
    fn entry(&mut self, entry: &Entry) -> bool {
        let story = &mut self.story;
        story.carry_at(entry.seq);
        let Some(event) = story.event(entry) else {
            story.took(entry);
            return true;
        };
        let envelope = entry.statement.as_ref().and_then(|s| story.evidence.pool.envelope(&Digest(s.env)));
        let missing = entry.statement.is_some() && envelope.is_none();
        if missing && ["genesis", "charter", "verdict"].contains(&entry.kind.as_str()) {
            let detail = format!("the {} is not in the bundle: this log is not judged from here on", entry.kind);
            story.unresolved(entry.seq, detail);
            story.stopped = true;
            return false;
        }
        story.took(entry);
        self.step(entry, &event, envelope.as_deref());
        true
    }

    fn step(&mut self, entry: &Entry, event: &Event, envelope: Option<&Envelope>) {
        let seq = entry.seq;
        let at = Timestamp::from_millis(i64::try_from(entry.ts).unwrap_or(i64::MAX));
        let evidence = self.story.evidence;
        if let (Some(s), Some(e)) = (&entry.statement, envelope)
            && e.digest() != Digest(s.stmt)
        {
            let detail = "stmt is not the digest of the statement that env names";
            return self.story.violation(seq, "statement-digest", detail);
        }
        let stray = match event {
            Event::Authorized { .. } => envelope.is_some_and(|e| e.kind() != Kind::ReleaseCall),
            Event::Delivered { .. } => envelope.is_some_and(|e| e.kind() != Kind::Release),
            _ => false,
        };
        if stray {
            return self.story.violation(seq, "record", "names a statement of another kind than its type calls for");
        }
        match (event, &entry.statement) {
            (Event::Genesis { seat }, Some(_)) => {
                let ours = envelope.is_some_and(|e| e.digest() == evidence.pinned) && *seat == self.story.log.seat;
                let detail = || "the genesis entry is of another seat or charter".into();
                if self.story.hold(ours, seq, "genesis", detail) {
                    self.fold(entry, envelope);
                }
            }
            (Event::Statement {}, Some(named)) => self.statement(seq, at, entry, Digest(named.stmt), envelope),
            (Event::CharterAccepted { .. }, None) => self.fold(entry, None),
            (Event::Authorized { request, decisions, permits, answers }, Some(_)) => {
                self.authorised(seq, at, request, [decisions, permits, answers]);
            }
            (Event::Delivered { authorized, note, request, reply, attempt }, Some(_)) => {
                let said = release::Said { authorized: *authorized, note, request, reply, attempt: *attempt };
                release::in_time(&mut self.story, seq, at, &said);
                let before = self.story.replies.entry(*request).or_default();
                let expected = before.saturating_add(1);
                *before = expected;
                let detail = || format!("attempt {attempt}, {expected} expected");
                self.story.hold(*attempt == expected, seq, "attempt", detail);
                if let Some(head) = release::noted(&mut self.story, seq, &said) {
                    let (mine, need) = (self.generations(), self.need());
                    let peers = (!mine.is_empty()).then(|| release::peers(&self.story, mine.iter(), need));
                    release::cosigned(&mut self.story, seq, at, &head, peers);
                }
                self.story.delivered += 1;
                self.story.relied_on = Some(seq);
            }
            (Event::Aborted { authorized, request, .. }, None) => {
                release::outcome(&mut self.story, seq, *authorized, request);
                self.story.aborted += 1;
                self.story.relied_on = Some(seq);
            }
            (Event::Cosigned { origin, size, root }, None) => self.story.cosigned(seq, origin, *size, root),
            (Event::Ready { peers }, None) => self.ready(seq, peers),
            (Event::Misbehaviour { origin, first, second }, None) => {
                self.story.accusation(seq, origin, [first, second])
            }
            (Event::Clock { by_ms }, None) => {
                let detail = || "a clock that moved by nothing is no anomaly".into();
                self.story.hold(*by_ms != 0, seq, "clock", detail);
            }
            // Refusals, and where a log goes on. Whether a statement goes with the type was seen before.
            _ => {}
        }
    }

    /// As in a full bundle, where the facts know what is open.
    fn ready(&mut self, seq: u64, peers: &[SeatIndex]) {
        let open = self.story.authorised.iter().filter(|(_, a)| !a.used).map(|(at, _)| *at);
        for authorized in open.collect::<Vec<_>>() {
            let detail = format!("the node restarted and did not abort entry {authorized}");
            self.story.violation(seq, "authorization-open", detail);
        }
        self.story.ready(seq, peers);
    }

    /// Charters are judged as in a full bundle: everything that they rest on is here.
    fn fold(&mut self, entry: &Entry, envelope: Option<&Envelope>) {
        match record::read(entry, self.story.base, envelope) {
            Ok(record) => {
                if let Err(refusal) = self.story.facts.fold(&record) {
                    self.story.refused(entry.seq, &refusal);
                }
            }
            Err(e) => self.story.violation(entry.seq, "record", e.to_string()),
        }
    }

    fn statement(&mut self, seq: u64, at: Timestamp, entry: &Entry, named: Digest, envelope: Option<&Envelope>) {
        let first = self.story.seen.insert(named);
        self.story.hold(first, seq, "logged-twice", || "a statement is logged once, when it is first seen".into());
        let asked = [Kind::Request, Kind::SelfRecovery].into_iter().find(|k| k.name() == entry.kind);
        self.story.asked.extend(asked.map(|kind| (kind, named)));
        let Some(envelope) = envelope else { return };
        if envelope.kind().name() != entry.kind {
            let detail = format!("says {}, the statement is a {}", entry.kind, envelope.kind());
            return self.story.violation(seq, "record", detail);
        }
        match envelope.decode::<Verdict>() {
            Ok(v) => self.verdict(seq, at, envelope, &v),
            // A charter; anything else does not fold.
            Err(_) => self.fold(entry, Some(envelope)),
        }
    }

    fn verdict(&mut self, seq: u64, at: Timestamp, envelope: &Envelope, v: &Verdict) {
        let story = &mut self.story;
        *story.verdicts.entry(v.outcome.name()).or_default() += 1;
        let seat = story.log.seat;
        let in_force = story.facts.charter().map(|c| c.digest());
        let signed = in_force.is_some_and(|c| story.evidence.charters.signed_under(envelope, &c, seat));
        story.hold(v.seat == seat && signed, seq, "wrong-signer", || {
            "a verdict that this log's seat did not sign".into()
        });
        let same = Some(v.charter) == in_force;
        story.hold(same, seq, "verdict-charter", || "names another charter than the one in force".into());
        story.hold(v.decided == at, seq, "verdict-time", || format!("decided {}, logged {at}", v.decided));
    }

    /// The generation of the items is not told: it is one of those that this seat is in.
    fn generations(&self) -> Vec<Generation> {
        let all = self.story.charter().map(|c| c.generations.as_slice()).unwrap_or_default();
        all.iter().filter(|g| g.members.contains(&self.story.log.seat)).cloned().collect()
    }

    /// Of them the least demanding counts.
    fn need(&self) -> usize {
        self.generations().iter().map(Generation::w).min().unwrap_or(1)
    }

    /// Enough permits of distinct other seats, valid at that moment; enough decisions and answers named.
    fn authorised(&mut self, seq: u64, at: Timestamp, request: &Digest, named: [&Vec<Digest>; 3]) {
        let [decisions, permits, answers] = named;
        let need = self.need();
        let story = &mut self.story;
        let sorted = named.iter().all(|l| l.is_sorted_by(|a, b| a < b));
        story.hold(sorted, seq, "record", || "decisions, permits and answers are sorted, none twice".into());
        let evidence = story.evidence;
        let (mut seats, mut missing) = (BTreeSet::new(), 0);
        for digest in permits {
            let envelopes = evidence.pool.named(digest).iter().filter_map(|d| evidence.pool.envelope(d));
            let signed = envelopes.filter_map(|e| {
                let v = e.decode::<Verdict>().ok()?;
                evidence.charters.signed_under(&e, &v.charter, v.seat).then_some(v)
            });
            let Some(v) = signed.into_iter().next() else {
                missing += 1;
                let detail = format!("permit {digest}, signed by its seat, is not in the bundle");
                story.unresolved(seq, detail);
                continue;
            };
            story.permits.push((seq, *digest, v.seat, v.decided));
            let holds = v.outcome == Outcome::Permit
                && v.request == *request
                && v.seat != story.log.seat
                && at <= v.valid_until;
            if story.hold(holds, seq, "permit-invalid", || {
                format!("{digest} is no permit of another seat for this request now")
            }) {
                seats.insert(v.seat);
            }
        }
        // A permit that is merely not here was reported.
        let enough = seats.len() + missing >= need;
        story.hold(enough, seq, "permits-missing", || {
            format!("permits of {} other seats, {need} are needed", seats.len())
        });
        story.hold(answers.len() >= need, seq, "peers-missing", || {
            format!("{} answers, {need} are needed", answers.len())
        });
        let approvers = decisions.len() as u64 >= APPROVERS;
        story.hold(approvers, seq, "pending", || format!("{} decisions, {APPROVERS} are the floor", decisions.len()));
        story.authorised.insert(seq, Authorised { request: *request, at, used: false });
        story.relied_on = Some(seq);
    }
}
