//! Layer 3: every act in a log was allowed when it was done, by the same fold as the node's.

use super::bytes::Evidence;
use super::continued::{self, Before};
use super::log::Log;
use super::{Options, release, verdict};
use crate::bundle::attachment_path;
use crate::checkpoint::{Checkpoint, VerifiedCheckpoint};
use crate::entry::Entry;
use crate::finding::{Class, Finding, ReleaseSummary, Report};
use crate::record;
use escrow_core::charter::Charter;
use escrow_core::verdict::{Outcome, Verdict};
use escrow_core::{Digest, Envelope, Kind, SeatIndex, Timestamp};
use escrow_policy::facts::RequestFact;
use escrow_policy::{Event, Facts, Record, Refusal};
use std::collections::{BTreeMap, BTreeSet};

/// Most findings about one log: the first ones tell the story.
const FINDINGS_MAX: usize = 1_000;

/// An authorisation in a log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Authorised {
    pub(super) request: Digest,
    pub(super) at: Timestamp,
    pub(super) used: bool,
}

/// What one log says, walked from its first entry on.
pub(super) struct Story<'e> {
    pub(super) evidence: &'e Evidence<'e>,
    pub(super) log: &'e Log,
    pub(super) options: Options,
    pub(super) facts: Facts,
    /// Entries of the seat's logs before this one; positions in facts count from there, all others here
    /// from this log's first entry.
    pub(super) base: u64,
    /// What is known where a later log goes on.
    pub(super) carry: Option<Before>,
    /// Position of the genesis entry, if this log has one.
    pub(super) genesis: Option<u64>,
    pub(super) authorised: BTreeMap<u64, Authorised>,
    /// Times of the first and last entry that was judged, milliseconds.
    pub(super) span: Option<(u64, u64)>,
    /// Position of the last `node.ready`: an authorisation never survives a restart.
    pub(super) ready: Option<u64>,
    /// Position of the last `release.*` entry, which views must reach.
    pub(super) relied_on: Option<u64>,
    /// Cosigned notes of deliveries that this log's key signed, and notes that convict another log, with
    /// their file.
    pub(super) notes: Vec<(String, VerifiedCheckpoint)>,
    /// The newest head of each other log that this seat says it cosigned: size, root.
    cosigned: BTreeMap<String, (u64, Digest)>,
    /// Statements logged, by payload, where facts do not hold them.
    pub(super) seen: BTreeSet<Digest>,
    /// Replies to each request so far, where facts do not hold them.
    pub(super) replies: BTreeMap<Digest, u64>,
    /// How many entries were judged: all, or up to what is missing or broken.
    pub(super) judged: u64,
    /// How many entries of this log a later one goes on from.
    pub(super) cut: Option<u64>,
    /// Something before is missing.
    pub(super) stopped: bool,
    /// Permits of other seats that authorisations relied on: position, digest, seat, time.
    pub(super) permits: Vec<(u64, Digest, SeatIndex, Timestamp)>,
    pub(super) verdicts: BTreeMap<&'static str, u64>,
    pub(super) releases: Vec<ReleaseSummary>,
    /// Requests and self-recoveries, by kind, where facts do not hold them.
    pub(super) asked: BTreeSet<(Kind, Digest)>,
    pub(super) delivered: u64,
    pub(super) aborted: u64,
    pub(super) findings: Vec<Finding>,
    /// How many of them are charges, and how many say what is missing: neither leaves less room for the other.
    charges: usize,
    missing: usize,
}

/// Folds a log entry by entry, each judged by the facts before it. Without what came before, nothing
/// is judged.
pub(super) fn walk<'e>(
    evidence: &'e Evidence<'e>,
    log: &'e Log,
    options: Options,
    before: Option<Before>,
) -> Story<'e> {
    let mut story = Story::new(evidence, log, options, before);
    // Its roots are needed whether or not its acts can be judged.
    if let Err(fault) = log.pass(evidence.files, |entry| !story.stopped && story.entry(entry)) {
        story.findings.push(fault);
        return story;
    }
    if story.stopped {
        return story;
    }
    story.carry_at(log.end());
    for (seq, request) in story.facts.open_authorisations().collect::<Vec<_>>() {
        let detail = format!("a release of request {request} was authorised and neither delivered nor aborted");
        story.findings.push(log.finding(Class::Ok, seq.saturating_sub(story.base), "dangling", detail));
    }
    story
}

impl<'e> Story<'e> {
    /// Nothing walked yet; without what came before, nothing will be judged.
    pub(super) fn new(evidence: &'e Evidence<'e>, log: &'e Log, options: Options, before: Option<Before>) -> Self {
        let stopped = before.is_none();
        let Before { facts, base, cosigned, seen, replies } = before.unwrap_or_default();
        let genesis = facts.genesis().is_none().then_some(u64::from(log.number > 1));
        Self {
            evidence,
            log,
            options,
            facts,
            base,
            carry: None,
            genesis,
            authorised: BTreeMap::new(),
            span: None,
            ready: None,
            relied_on: None,
            notes: Vec::new(),
            cosigned,
            seen,
            replies,
            judged: 0,
            cut: log.expected.cut,
            stopped,
            permits: Vec::new(),
            verdicts: BTreeMap::new(),
            releases: Vec::new(),
            asked: BTreeSet::new(),
            delivered: 0,
            aborted: 0,
            findings: Vec::new(),
            charges: 0,
            missing: 0,
        }
    }

    /// Keeps what is known for the later log that goes on from here, if one does.
    pub(super) fn carry_at(&mut self, size: u64) {
        if self.cut == Some(size) {
            self.carry = Some(Before {
                facts: self.facts.clone(),
                base: self.base.saturating_add(size),
                cosigned: self.cosigned.clone(),
                seen: self.seen.clone(),
                replies: self.replies.clone(),
            });
        }
    }

    /// The event of an entry that is in form and in its place. What the entry alone shows wrong is no less wrong
    /// if the statement that it names is missing.
    pub(super) fn event(&mut self, entry: &Entry) -> Option<Event> {
        let seq = entry.seq;
        let event = match record::event(entry) {
            Ok(event) => event,
            Err(e) => {
                self.violation(seq, "record", e.to_string());
                return None;
            }
        };
        if matches!(event, Event::Genesis { .. }) != (Some(seq) == self.genesis) {
            self.violation(seq, "genesis", "a seat's first log begins with its genesis entry, and has one");
            return None;
        }
        if matches!(event, Event::Continued { .. }) && seq > 0 {
            self.violation(seq, "continued", "only the first entry of a later log says what it goes on from");
            return None;
        }
        Some(event)
    }

    /// An entry was judged.
    pub(super) fn took(&mut self, entry: &Entry) {
        self.judged = entry.seq + 1;
        self.span = Some((self.span.map_or(entry.ts, |(first, _)| first), entry.ts));
    }

    /// Takes the next entry; false if what it refers to is missing.
    fn entry(&mut self, entry: &Entry) -> bool {
        self.carry_at(entry.seq);
        let Some(event) = self.event(entry) else {
            self.took(entry);
            return true;
        };
        let envelope = entry.statement.as_ref().map(|s| self.evidence.pool.envelope(&Digest(s.env)));
        if let Some(None) = envelope {
            // Who may do what from here on would depend on what is missing; layer 2 named it.
            self.stopped = true;
            return false;
        }
        self.took(entry);
        let envelope = envelope.flatten();
        if let (Some(s), Some(e)) = (&entry.statement, &envelope)
            && e.digest() != Digest(s.stmt)
        {
            self.violation(entry.seq, "statement-digest", "stmt is not the digest of the statement that env names");
            return true;
        }
        match record::of(entry, event, self.base, envelope.as_deref()) {
            Ok(record) => self.step(&record),
            Err(e) => self.violation(entry.seq, "record", e.to_string()),
        }
        true
    }

    pub(super) fn violation(&mut self, seq: u64, rule: impl Into<String>, detail: impl Into<String>) {
        self.charges += 1;
        if self.charges <= FINDINGS_MAX {
            self.findings.push(self.log.finding(Class::Violation, seq, rule, detail));
        }
    }

    /// Something that an entry names is not in the bundle.
    pub(super) fn unresolved(&mut self, seq: u64, detail: impl Into<String>) {
        self.missing += 1;
        if self.missing <= FINDINGS_MAX {
            self.findings.push(self.log.finding(Class::Incomplete, seq, "unresolved", detail));
        }
    }

    pub(super) fn refused(&mut self, seq: u64, refusal: &Refusal) {
        self.violation(seq, refusal.rule.code(), refusal.detail.clone());
    }

    /// `true` if `ok`, else a VIOLATION.
    pub(super) fn hold(&mut self, ok: bool, seq: u64, rule: &str, detail: impl FnOnce() -> String) -> bool {
        if !ok {
            self.violation(seq, rule, detail());
        }
        ok
    }

    /// The charter in force.
    pub(super) fn charter(&self) -> Option<&Charter> {
        self.facts.charter().map(|c| c.charter())
    }

    fn step(&mut self, record: &Record<'_>) {
        let (seq, at) = (record.seq.saturating_sub(self.base), record.at);
        let mut outcome = false;
        match (&record.event, record.statement) {
            (Event::Genesis { seat }, Some(envelope)) => {
                let ours = envelope.digest() == self.evidence.pinned && *seat == self.log.seat;
                if !self.hold(ours, seq, "genesis", || "the genesis entry is of another seat or charter".into()) {
                    return;
                }
            }
            (Event::Statement {}, Some(envelope)) => {
                let first = self.facts.seen(&envelope.digest()).is_none();
                let detail = "a statement is logged once, when it is first seen";
                if !self.hold(first, seq, "logged-twice", || detail.into()) {
                    return;
                }
                self.statement(seq, at, envelope);
            }
            (Event::Authorized { request, decisions, permits, answers }, Some(call)) => {
                let named = release::Named { request, decisions, permits, answers };
                release::authorised(self, seq, at, call, &named);
                self.authorised.insert(seq, Authorised { request: *request, at, used: false });
                self.relied_on = Some(seq);
            }
            (Event::Delivered { authorized, note, request, reply, attempt }, Some(envelope)) => {
                let said = release::Said {
                    authorized: authorized.saturating_sub(self.base),
                    note,
                    request,
                    reply,
                    attempt: *attempt,
                };
                release::delivered(self, seq, at, envelope, &said);
                self.delivered += 1;
                (outcome, self.relied_on) = (true, Some(seq));
            }
            (Event::Aborted { authorized, request, .. }, None) => {
                release::outcome(self, seq, authorized.saturating_sub(self.base), request);
                (outcome, self.relied_on) = (true, Some(seq));
                self.aborted += 1;
            }
            (Event::Cosigned { origin, size, root }, None) => self.cosigned(seq, origin, *size, root),
            (Event::Ready { peers }, None) => self.ready(seq, peers),
            (Event::Misbehaviour { origin, first, second }, None) => self.accusation(seq, origin, [first, second]),
            (Event::Clock { by_ms }, None) => {
                self.hold(*by_ms != 0, seq, "clock", || "a clock that moved by nothing is no anomaly".into());
            }
            _ => {}
        }
        // What a delivery or abortion refers to was judged above, with better words.
        if let Err(refusal) = self.facts.fold(record)
            && !outcome
        {
            self.refused(seq, &refusal);
        }
    }

    fn statement(&mut self, seq: u64, at: Timestamp, envelope: &Envelope) {
        if envelope.kind() == Kind::Verdict
            && let Ok(v) = envelope.decode::<Verdict>()
        {
            *self.verdicts.entry(v.outcome.name()).or_default() += 1;
            verdict::check(self, seq, at, &v);
        }
    }

    /// A witness follows each log forward and never holds two roots for one size.
    pub(super) fn cosigned(&mut self, seq: u64, origin: &str, size: u64, root: &Digest) {
        let last = self.cosigned.get(origin);
        let forward = last.is_none_or(|(s, r)| *s < size || (*s == size && r == root));
        let detail = || format!("cosigned size {size} of {origin} after a larger size or another root");
        if self.hold(forward, seq, "cosigned-backwards", detail) {
            self.cosigned.insert(origin.to_owned(), (size, *root));
        }
        self.hold(origin != self.log.origin, seq, "cosigned-own", || "a log does not witness itself".into());
    }

    /// Whoever accuses a log shows two heads of one size and two roots, signed by its key; with the other
    /// heads these are then found to convict it. An accusation that shows less is the accuser's own fault.
    pub(super) fn accusation(&mut self, seq: u64, origin: &str, notes: [&Digest; 2]) {
        if notes.iter().any(|n| !self.evidence.attachments.contains(*n)) {
            return; // layer 2 said that it is missing
        }
        let charters = &self.evidence.charters;
        let key = charters.owner(origin).and_then(|seat| charters.log_key(seat, origin));
        let head = |digest: &Digest| {
            let key = key.as_ref().ok_or_else(|| format!("no charter lists the log {origin}"))?;
            let note = self.evidence.note(digest)?;
            Checkpoint::verify(&note, origin, key).map_err(|e| e.to_string())
        };
        let [first, second] = notes;
        match (head(first), head(second)) {
            (Ok(a), Ok(b)) if a.contradicts(&b) => {
                self.notes.extend([(attachment_path(first), a), (attachment_path(second), b)]);
            }
            (Ok(_), Ok(_)) => self.violation(seq, "misbehaviour", "the two heads do not contradict each other"),
            (Err(why), _) | (_, Err(why)) => {
                self.violation(seq, "misbehaviour", format!("accuses {origin} with a note that is none: {why}"));
            }
        }
    }

    /// READY needs n-t+1 distinct peers of the current generation.
    pub(super) fn ready(&mut self, seq: u64, peers: &[SeatIndex]) {
        self.ready = Some(seq);
        // A start aborts what the stop before it left open, in the same transaction.
        let open: Vec<_> = self.facts.open_authorisations().collect();
        for (authorized, _) in open {
            let authorized = authorized.saturating_sub(self.base);
            self.violation(
                seq,
                "authorization-open",
                format!("the node restarted and did not abort entry {authorized}"),
            );
        }
        let Some(generation) = self.charter().and_then(Charter::current_generation) else { return };
        let need = generation.start_quorum();
        let distinct: BTreeSet<_> =
            peers.iter().filter(|p| **p != self.log.seat && generation.members.contains(p)).collect();
        let have = distinct.len();
        self.hold(have >= need, seq, "ready-quorum", || format!("{have} peers proved the log, {need} are needed"));
    }

    /// Adds this log's findings, counts and releases.
    pub(super) fn report(&self, report: &mut Report) {
        report.add(self.findings.iter().cloned());
        let counts = &mut report.counts;
        counts.entries += self.log.size;
        for (outcome, n) in &self.verdicts {
            *counts.verdicts.entry(outcome).or_default() += n;
        }
        counts.authorized += self.authorised.len() as u64;
        counts.delivered += self.delivered;
        counts.aborted += self.aborted;
        report.releases.extend(self.releases.iter().cloned());
    }
}

/// What only several logs together can show.
pub(super) fn across(evidence: &Evidence<'_>, stories: &[Story<'_>]) -> Vec<Finding> {
    let mut out = Vec::new();
    for story in stories {
        for (seq, digest, seat, decided) in &story.permits {
            let logs = || stories.iter().filter(|s| s.log.seat == *seat);
            let Some(other) = logs().next_back() else { continue };
            // Entries carry non-decreasing times, so a later last entry shows that this one is missing
            // and not just younger than the export.
            let last = Timestamp::from_millis(i64::try_from(other.log.newest).unwrap_or(i64::MAX));
            let logged = logs().any(|s| s.log.named.verdicts.contains(digest));
            if !logged && *decided < last && !continued::lost(stories, *seat, *decided) {
                let detail = format!(
                    "signed the permit {digest} that seat {} relied on in entry {seq}, and its own log does not have it",
                    story.log.seat
                );
                out.push(Finding::new(Class::Violation, &other.log.path, "verdict-unlogged", detail).seat(*seat));
            }
        }
    }
    if evidence.logs.is_empty() {
        out.push(Finding::new(Class::Incomplete, crate::bundle::INDEX, "no-log", "the bundle has no log at all"));
    }
    out
}

/// Distinct requests, self-recoveries and restrictions over all logs.
pub(super) fn count(stories: &[Story<'_>], report: &mut Report) {
    let cases = || stories.iter().flat_map(|s| s.facts.requests());
    let distinct = |wanted: &dyn Fn(&RequestFact) -> bool| {
        cases().filter(|(_, f)| wanted(f)).map(|(d, _)| *d).collect::<BTreeSet<Digest>>().len() as u64
    };
    report.counts.requests = distinct(&|f| f.request.is_some());
    report.counts.recoveries = distinct(&|f| f.recovery.is_some());
    let restrictions = stories.iter().flat_map(|s| s.facts.restrictions());
    report.counts.restrictions = restrictions.collect::<BTreeSet<_>>().len() as u64;
    for outcome in [Outcome::Permit, Outcome::Pending, Outcome::Refuse] {
        report.counts.verdicts.entry(outcome.name()).or_default();
    }
}
