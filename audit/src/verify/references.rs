//! What is named should be there, what is there must be named, and what follows must follow.

use super::bytes::{Evidence, tampered};
use super::charters::Charters;
use super::log::Log;
use crate::bundle::{self, INDEX, README, Variant};
use crate::finding::{Class, Finding};
use escrow_core::recovery::SelfRecovery;
use escrow_core::request::Request;
use escrow_core::restriction::RestrictionAnswer;
use escrow_core::verdict::Verdict;
use escrow_core::{Digest, Envelope, Kind, Timestamp};
use std::collections::{BTreeSet, HashSet};

/// Most findings about what one log names and lacks.
const UNRESOLVED_MAX: usize = 1_000;

/// What the logs name.
#[derive(Default)]
struct Named {
    envelopes: BTreeSet<Digest>,
    payloads: BTreeSet<Digest>,
    attached: BTreeSet<Digest>,
}

/// What is named should be there, and what is there must be named.
pub(super) fn check(evidence: &Evidence<'_>, out: &mut Vec<Finding>) {
    let mut named = Named::default();
    for log in &evidence.logs {
        let mut missing = Vec::new();
        resolve(evidence, log, &mut named, &mut missing);
        let more = missing.len().saturating_sub(UNRESOLVED_MAX);
        out.extend(missing.into_iter().take(UNRESOLVED_MAX));
        if more > 0 {
            let detail = format!("{more} more things that this log names are not in the bundle");
            out.push(Finding::new(Class::Incomplete, &log.path, "unresolved", detail).seat(log.seat));
        }
    }
    unnamed(evidence, named, out);
}

fn resolve(evidence: &Evidence<'_>, log: &Log, named: &mut Named, out: &mut Vec<Finding>) {
    let mut missing = |seq: u64, what: String| out.push(log.finding(Class::Incomplete, seq, "unresolved", what));
    let mut attachments = Vec::new();
    // Without content most of what is named is not there, which is one finding of its own; of what should
    // be there all the same, whoever walks the log says whether it is.
    let full = evidence.index.variant == Variant::Full;
    for (seq, digest) in &log.named.envelopes {
        named.envelopes.insert(*digest);
        match evidence.pool.get(digest) {
            Some(stored) => attachments.extend(stored.context.filter(|_| full).map(|context| (*seq, context))),
            None if !full => {}
            None => {
                let path = bundle::statement_path(digest);
                missing(*seq, format!("{path} is not in the bundle: this log is not judged from here on"));
            }
        }
    }
    for (seq, names) in &log.named.more {
        for digest in &names.statements {
            if full && evidence.pool.named(digest).is_empty() {
                missing(*seq, format!("statement {digest} is not in the bundle"));
            }
            named.payloads.insert(*digest);
        }
        attachments.extend(names.notes.iter().map(|n| (*seq, *n)));
    }
    attachments.sort_by_key(|(seq, _)| *seq);
    for (seq, digest) in attachments {
        if named.attached.insert(digest) && !evidence.attachments.contains(&digest) {
            missing(seq, format!("{} is not in the bundle", bundle::attachment_path(&digest)));
        }
    }
    out.sort_by_key(|f| f.entry);
}

fn unnamed(evidence: &Evidence<'_>, named: Named, out: &mut Vec<Finding>) {
    let Named { envelopes, payloads, mut attached } = named;
    let behind = behind(evidence, &envelopes, &attached, out);
    for (digest, stored) in evidence.pool.iter() {
        if envelopes.contains(digest) || evidence.charters.holds(&stored.path) {
            continue;
        }
        if behind.contains(digest) || behind.contains(&stored.payload) {
            attached.extend(stored.context);
        } else if !payloads.contains(&stored.payload) {
            out.push(tampered(&stored.path, "unreferenced", "no log names this statement"));
        } else if !evidence.pool.envelope(digest).is_some_and(|e| signed_by_its_seat(&evidence.charters, &e)) {
            out.push(tampered(&stored.path, "signature", "no log names this envelope, and its seat did not sign it"));
        } else {
            // The context of a permit whose own log is not here may come along.
            attached.extend(stored.context.filter(|_| evidence.index.variant == Variant::Full));
        }
    }
    for digest in evidence.attachments.iter().filter(|d| !attached.contains(*d) && !behind.contains(*d)) {
        out.push(tampered(&bundle::attachment_path(digest), "unreferenced", "no log names this attachment"));
    }
}

/// Entries behind a broken one still name what they name.
fn behind(
    evidence: &Evidence<'_>,
    envelopes: &BTreeSet<Digest>,
    attached: &BTreeSet<Digest>,
    out: &mut Vec<Finding>,
) -> BTreeSet<Digest> {
    let broken: Vec<&Log> = evidence.logs.iter().filter(|l| l.broken.is_some()).collect();
    if broken.is_empty() {
        return BTreeSet::new();
    }
    let text = |d: &Digest| <[u8; 64]>::try_from(d.to_string().as_bytes()).ok();
    let statements = evidence.pool.iter().filter(|(d, _)| !envelopes.contains(*d));
    let statements = statements.flat_map(|(d, s)| [*d, s.payload]);
    let attachments = evidence.attachments.iter().filter(|d| !attached.contains(*d)).copied();
    let wanted: HashSet<_> = statements.chain(attachments).filter_map(|d| text(&d)).collect();
    let mut found = BTreeSet::new();
    for log in broken {
        match log.named_behind(evidence.files, &wanted) {
            Ok(hits) => found.extend(hits.iter().filter_map(|h| std::str::from_utf8(h).ok()?.parse::<Digest>().ok())),
            Err(finding) => out.push(finding),
        }
    }
    found
}

/// Permits and answers that only their payload digest names: the signature binds the rest.
fn signed_by_its_seat(charters: &Charters, envelope: &Envelope) -> bool {
    let seat = match envelope.kind() {
        Kind::Verdict => envelope.decode::<Verdict>().ok().map(|v| v.seat),
        Kind::RestrictionAnswer => envelope.decode::<RestrictionAnswer>().ok().map(|a| a.seat),
        _ => None,
    };
    seat.is_some_and(|seat| charters.signed_by_seat(envelope, seat))
}

/// Index and bag-info say nothing but what follows from the evidence.
pub(super) fn follows(evidence: &Evidence<'_>, out: &mut Vec<Finding>) {
    let index = &evidence.index;
    let org = evidence.charters.get(&evidence.pinned).map(|c| &c.org);
    if index.charter != evidence.pinned || Some(&index.org) != org {
        out.push(tampered(INDEX, "index", "names another charter or organisation than the pinned one"));
    }
    if !evidence.views.is_empty() && evidence.views.iter().all(|v| v.view.export != index.export) {
        out.push(tampered(INDEX, "export", "names an export for which no view here was made"));
    }
    let entries = evidence.logs.iter().map(|l| i64::try_from(l.newest).unwrap_or(i64::MAX));
    let times = entries.map(Timestamp::from_millis).chain(evidence.views.iter().map(|v| v.view.at));
    let created = times.max().unwrap_or(Timestamp::EPOCH);
    if created != index.created {
        out.push(tampered(INDEX, "created", format!("the newest time in the evidence is {created}")));
    }
    let mut matters = BTreeSet::new();
    for digest in &index.requests {
        // A self-recovery belongs to no matter.
        let asks = |e: &Envelope| match e.kind() {
            Kind::SelfRecovery => e.decode::<SelfRecovery>().ok().map(|_| None),
            _ => e.decode::<Request>().ok().map(|r| Some(r.matter)),
        };
        let envelopes = evidence.pool.named(digest).iter().filter_map(|d| evidence.pool.envelope(d));
        match envelopes.filter_map(|e| asks(&e)).next() {
            Some(matter) => matters.extend(matter),
            None => out.push(tampered(INDEX, "request", format!("request {digest} is not in the bundle"))),
        }
    }
    let payload = evidence.files.list().filter(|(p, _)| p.starts_with(crate::bagit::PAYLOAD));
    let (octets, count) = payload.fold((0, 0), |(octets, count), (_, size)| (octets + size, count + 1));
    let info = index.bag_info_for(&matters, usize::try_from(octets).unwrap_or(usize::MAX), count);
    let there = evidence.files.read(crate::bagit::INFO, info.len() as u64);
    if !there.is_ok_and(|bytes| bytes.as_deref() == Some(info.as_bytes())) {
        out.push(tampered(crate::bagit::INFO, "bag-info", "not the text that follows from the evidence"));
    }
    if !evidence.files.contains(README) {
        out.push(tampered(README, "missing", "every bundle has one"));
    }
}
