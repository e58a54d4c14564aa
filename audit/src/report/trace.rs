//! Reads a payload for its custody report: once for what is asked, once for all that concerns it.

use super::charters;
use super::custody::*;
use super::who::Who;
use super::{acts, each_line, small};
use crate::bundle::{Index, LogRef, checkpoint_path, entries_path, statement_path};
use crate::checkpoint::Checkpoint;
use crate::entry::{Entry, Scanned, leaf_hash};
use crate::files::Files;
use crate::note::Note;
use escrow_core::deal::{Deal, item_id};
use escrow_core::deposit::Deposit;
use escrow_core::enrolment::{Enrolment, Revoked};
use escrow_core::recovery::SelfRecovery;
use escrow_core::release::Caller;
use escrow_core::request::{Notice, Recipient, Request};
use escrow_core::{Digest, Envelope, ItemId, Kind, MatterId, Nonce, SeatIndex, Timestamp, limits, strict};
use escrow_policy::Event as Logged;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// One entry that was read.
pub(super) struct Line<'l> {
    pub(super) entry: &'l Entry,
    pub(super) position: Position,
}

/// Everything known so far.
pub(super) struct Trace<'s> {
    pub(super) source: &'s dyn Files,
    pub(super) index: &'s Index,
    pub(super) who: Who,
    pub(super) out: Custody,
    /// What each case hangs on, beside the case itself.
    pub(super) hooks: Vec<Hooks>,
    /// Events by statement envelope, with the cases that each concerns.
    pub(super) acts: BTreeMap<Digest, (Event, BTreeSet<usize>)>,
    /// By log, who asks and what.
    pub(super) reads: BTreeMap<(SeatIndex, u32, Actor, &'static str), Reads>,
    pub(super) exports: BTreeMap<(Nonce, Option<Digest>, Actor), ExportOnRecord>,
    /// What revocations among them end; whom that concerns shows only at the end.
    pub(super) revoked: BTreeMap<Digest, Revoked>,
    /// Envelopes that concern nothing.
    pub(super) ignored: BTreeSet<Digest>,
    /// Cases by request, by consent and by deposit.
    pub(super) by_request: BTreeMap<Digest, usize>,
    pub(super) by_consent: BTreeMap<Digest, BTreeSet<usize>>,
    pub(super) by_deposit: BTreeMap<Digest, BTreeSet<usize>>,
    /// True once the log that is read has named a case.
    pub(super) asked: bool,
    /// Positions of this log that may still be shown.
    left: u64,
}

/// What concerns a case.
pub(super) struct Hooks {
    pub(super) asked: Option<Request>,
    pub(super) enrolment: Option<Digest>,
    items: Vec<ItemId>,
    /// Whose keys matter: requestor, recipient, and everybody who decided.
    pub(super) callers: Vec<Caller>,
}

pub(super) fn trace(source: &dyn Files, index: &Index) -> Custody {
    let charters = charters::verified(source, index);
    let mut out = Custody::empty(index);
    out.charters = charters
        .iter()
        .map(|(c, envelope)| CharterVersion {
            version: c.charter().version,
            digest: c.digest(),
            issued: c.charter().issued,
            keys: envelope.key_ids().cloned().collect(),
            accepted: vec![],
        })
        .collect();
    let who = Who::new(charters.into_iter().map(|(c, _)| c).collect());
    let mut this = Trace {
        source,
        index,
        who,
        out,
        hooks: Vec::new(),
        acts: BTreeMap::new(),
        reads: BTreeMap::new(),
        exports: BTreeMap::new(),
        revoked: BTreeMap::new(),
        ignored: BTreeSet::new(),
        by_request: BTreeMap::new(),
        by_consent: BTreeMap::new(),
        by_deposit: BTreeMap::new(),
        asked: false,
        left: 0,
    };
    this.cases();
    for log in &index.logs {
        this.log(log);
    }
    this.finish()
}

impl Trace<'_> {
    pub(super) fn statement(&self, envelope: &Digest) -> Option<Envelope> {
        Envelope::parse(&small(self.source, &statement_path(envelope))?).ok()
    }

    /// First reading: the requests, the devices, and the deposits of the items asked for.
    fn cases(&mut self) {
        let wanted: BTreeSet<Digest> = self.index.requests.iter().take(REQUESTS_MAX).copied().collect();
        self.out.cases_left_out = (self.index.requests.len().saturating_sub(REQUESTS_MAX)) as u64;
        let mut asked: BTreeMap<Digest, Digest> = BTreeMap::new();
        let (mut enrolments, mut deposits) = (BTreeSet::new(), BTreeSet::new());
        for log in &self.index.logs {
            each_line(self.source, &entries_path(log.seat, log.number), |line| {
                let Ok(entry) = Scanned::read(line) else { return };
                let Some(s) = entry.statement() else { return };
                let (payload, envelope) = (Digest(s.stmt), Digest(s.env));
                match entry.kind {
                    "request" | "self-recovery" if wanted.contains(&payload) => {
                        asked.entry(payload).or_insert(envelope);
                    }
                    "enrolment" => drop(enrolments.insert(envelope)),
                    "deposit" => drop(deposits.insert(envelope)),
                    _ => {}
                }
            });
        }
        for digest in enrolments {
            if let Some(enrolment) = self.statement(&digest).and_then(|e| e.decode::<Enrolment>().ok()) {
                self.who.enrol(enrolment);
            }
        }
        for digest in asked.values() {
            if let Some(envelope) = self.statement(digest) {
                self.case(&envelope);
            }
        }
        let mut about: BTreeMap<ItemId, Option<ItemAbout>> =
            self.hooks.iter().flat_map(|h| &h.items).map(|i| (*i, None)).collect();
        for digest in deposits {
            self.deposit(&digest, &mut about);
        }
        for (at, (case, hooks)) in self.out.cases.iter_mut().zip(&self.hooks).enumerate() {
            self.by_request.insert(case.request, at);
            for item in &mut case.items {
                item.about = about.get(&item.item).cloned().flatten();
            }
            for found in hooks.items.iter().filter_map(|i| about.get(i)?.as_ref()) {
                self.by_consent.entry(found.consent).or_default().insert(at);
                self.by_deposit.entry(found.deposit).or_default().insert(at);
            }
        }
    }

    fn case(&mut self, envelope: &Envelope) {
        let digest = envelope.digest();
        let (case, hooks) = if let Ok(r) = envelope.decode::<Request>() {
            let notice = match &r.notice {
                Notice::Immediate => "immediate".to_owned(),
                Notice::Delayed(d) => format!("delayed until {} by order {}", d.until, d.order),
            };
            let recipient = match &r.recipient {
                Recipient::Person(p) | Recipient::FilterTeam(p) => Caller::Person(p.id.clone()),
                Recipient::Device(d) => Caller::Device(d.key.clone()),
            };
            let case = Case {
                request: digest,
                kind: Kind::Request,
                matter: Some(r.matter.clone()),
                by: self.who.person(&r.by),
                basis: Some(r.basis),
                authority: r.authority.clone(),
                purpose: Some(r.purpose.clone()),
                policy: r.policy.clone(),
                threads: r.scope.threads.clone(),
                from: Some(r.scope.from),
                to: Some(r.scope.to),
                recipient: self.who.caller(&recipient),
                recipient_as: r.recipient.name(),
                sealed_to: *r.recipient.sealing(),
                notice: Some(notice),
                created: r.created,
                expires: r.expires,
                ..self.bare(digest, &r.items, &r.policy, self.who.person(&r.by))
            };
            let enrolment = match &r.recipient {
                Recipient::Device(d) => Some(d.enrolment),
                Recipient::Person(_) | Recipient::FilterTeam(_) => None,
            };
            let callers = vec![Caller::Person(r.by.clone()), recipient];
            let items = r.items.clone();
            (case, Hooks { asked: Some(r), enrolment, items, callers })
        } else if let Ok(r) = envelope.decode::<SelfRecovery>() {
            let device = Caller::Device(r.key.clone());
            let case = Case {
                sealed_to: r.sealing,
                created: r.created,
                expires: r.expires,
                ..self.bare(digest, &r.items, &r.policy, self.who.caller(&device))
            };
            (case, Hooks { asked: None, enrolment: Some(r.enrolment), items: r.items, callers: vec![device] })
        } else {
            return;
        };
        self.out.cases.push(case);
        self.hooks.push(hooks);
    }

    /// A case of which only this much is known; a self-recovery goes to whoever asks.
    fn bare(&self, request: Digest, items: &[ItemId], policy: &escrow_core::Code, by: Actor) -> Case {
        let numbered: usize = self.out.cases.iter().map(|c| c.items.len()).sum();
        let room = ITEMS_MAX.saturating_sub(numbered);
        let first = (numbered as u64).saturating_add(1);
        let shown = (first..).zip(items.iter().take(room)).map(|(no, item)| Item { no, item: *item, about: None });
        Case {
            request,
            kind: Kind::SelfRecovery,
            matter: None,
            recipient: by.clone(),
            by,
            basis: None,
            authority: None,
            purpose: None,
            policy: policy.clone(),
            threads: vec![],
            from: None,
            to: None,
            recipient_as: "device",
            sealed_to: request,
            notice: None,
            created: Timestamp::EPOCH,
            expires: Timestamp::EPOCH,
            items_asked: items.len() as u64,
            items: shown.collect(),
            items_left_out: items.len().saturating_sub(room) as u64,
            released: vec![],
            events: vec![],
        }
    }

    /// Takes from a deposit what it says of the items asked for.
    fn deposit(&self, digest: &Digest, about: &mut BTreeMap<ItemId, Option<ItemAbout>>) {
        let Some(envelope) = self.statement(digest) else { return };
        let Ok(deposit) = envelope.decode::<Deposit>() else { return };
        let Ok(deal) = strict::decode::<Deal>(&deposit.deal.0, limits::PAYLOAD_LARGE) else { return };
        let bytes = Digest::of(&deposit.deal.0);
        for (position, item) in (0u32..).zip(deal.items) {
            let Some(slot) = about.get_mut(&item_id(&bytes, position)) else { continue };
            let a = item.about;
            *slot = Some(ItemAbout {
                thread: a.thread,
                from: a.from,
                to: a.to,
                era: a.era,
                epoch: a.epoch,
                custodian: deal.depositor,
                consent: deal.consent,
                deposit: envelope.digest(),
                archive: a.archive,
            });
        }
    }

    /// Second reading, log by log.
    fn log(&mut self, log: &LogRef) {
        let (source, mut hash, mut next) = (self.source, Sha256::new(), 0u64);
        let (mut first, mut last) = (None, None);
        self.left = (ROWS_MAX.checked_div(self.index.logs.len()).unwrap_or(ROWS_MAX)).max(1) as u64;
        let mut left_out = 0u64;
        self.asked = false;
        each_line(source, &entries_path(log.seat, log.number), |line| {
            hash.update(line);
            hash.update(b"\n");
            let seq = next;
            next = next.saturating_add(1);
            let Ok(entry) = Scanned::read(line) else { return };
            let at = Timestamp::from_millis(i64::try_from(entry.ts).unwrap_or(i64::MAX));
            first = first.or(Some(at));
            last = Some(at);
            // Heads that a node cosigned concern nobody's case, and there are many.
            if ["witness.cosigned", "node.ready", "refused"].contains(&entry.kind) {
                return;
            }
            let Ok(entry) = entry.entry() else { return };
            let position = Position { at, seat: log.seat, log: log.number, seq, leaf: Digest(leaf_hash(line)) };
            if !acts::entry(self, &Line { entry: &entry, position }) {
                left_out = left_out.saturating_add(1);
            }
        });
        let note = small(source, &checkpoint_path(log.seat, log.number));
        let root = note.and_then(|n| Checkpoint::parse(Note::parse(&n).ok()?.text()).ok()).map(|c| Digest(*c.root()));
        self.out.logs.push(LogExtent {
            node: self.who.node(log.seat),
            seat: log.seat,
            log: log.number,
            origin: log.origin.clone(),
            jurisdiction: self.who.seat(log.seat).map(|s| s.jurisdiction.clone()),
            size: next,
            root,
            sha256: Digest(hash.finalize().into()),
            first,
            last,
            left_out,
        });
    }

    /// Counts one position against this log's part; false if there is no room left.
    pub(super) fn room(&mut self) -> bool {
        let room = self.left > 0;
        self.left = self.left.saturating_sub(1);
        room
    }

    /// The event of an entry without a foreign statement.
    pub(super) fn own(line: &Line<'_>) -> Option<Logged> {
        serde_json::from_value(Value::Object(line.entry.body.clone())).ok()
    }

    pub(super) fn matters<'t>(&'t self, matter: &'t MatterId) -> impl Iterator<Item = usize> + 't {
        let of = move |c: &Case| c.matter.as_ref() == Some(matter);
        self.out.cases.iter().enumerate().filter(move |(_, c)| of(c)).map(|(at, _)| at)
    }

    /// Cases of which the requestor, the recipient or somebody who decided loses a key or an enrolment.
    fn concerned(&self, revoked: &Revoked) -> BTreeSet<usize> {
        let is = |h: &Hooks| match revoked {
            Revoked::Enrolment(digest) => h.enrolment == Some(*digest),
            Revoked::Key(key) => h.callers.iter().any(|c| self.who.keys(c).iter().any(|k| k.raw() == key.raw())),
        };
        self.hooks.iter().enumerate().filter(|(_, h)| is(h)).map(|(at, _)| at).collect()
    }

    fn finish(mut self) -> Custody {
        for (envelope, (event, mut cases)) in std::mem::take(&mut self.acts) {
            if let Some(revoked) = self.revoked.get(&envelope) {
                cases = self.concerned(revoked);
            }
            for at in cases {
                if let Some(case) = self.out.cases.get_mut(at) {
                    case.events.push(event.clone());
                }
            }
        }
        for case in &mut self.out.cases {
            for event in &mut case.events {
                event.positions.sort_unstable();
            }
            case.events.sort_by_cached_key(|e| (e.positions.first().copied(), e.statement, e.act.clone()));
            case.released.sort_by_key(|r| r.position);
        }
        self.out.reads = std::mem::take(&mut self.reads).into_values().collect();
        self.out.exports = std::mem::take(&mut self.exports).into_values().collect();
        for export in &mut self.out.exports {
            export.positions.sort_unstable();
        }
        for charter in &mut self.out.charters {
            charter.accepted.sort_unstable();
        }
        self.out.exports.sort_by_key(|e| e.positions.first().copied());
        self.out.reads.sort_by_key(|r| (r.first, r.last));
        self.out.incidents.sort_by_key(|i| i.position);
        self.out
    }
}
