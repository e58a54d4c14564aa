//! A seat with several logs: a later one begins with what it goes on from, and its facts with the
//! facts of that. What the old log had beyond that was lost with a restored database; it is judged
//! where it is, and carried no further.

use super::acts::Story;
use super::bytes::Evidence;
use super::log::{GoesOn, Log, head_text};
use crate::bundle::INDEX;
use crate::finding::{Class, Finding};
use crate::tree::EMPTY_ROOT;
use escrow_core::{Digest, SeatIndex, Timestamp};
use escrow_policy::Facts;
use std::collections::{BTreeMap, BTreeSet};

/// What a log begins with.
#[derive(Clone, Debug, Default)]
pub(super) struct Before {
    pub(super) facts: Facts,
    /// Entries of the logs before that are carried on.
    pub(super) base: u64,
    /// The newest head of each other log that the seat says it cosigned.
    pub(super) cosigned: BTreeMap<String, (u64, Digest)>,
    /// Statements logged, and replies to each request, where facts do not hold them.
    pub(super) seen: BTreeSet<Digest>,
    pub(super) replies: BTreeMap<Digest, u64>,
}

/// Later logs of the same seat that say they go on from this one, and how.
pub(super) fn after<'l>(logs: &'l [Log], log: &'l Log) -> impl Iterator<Item = (&'l Log, &'l GoesOn)> {
    let later = logs.iter().filter(|l| l.seat == log.seat && l.number > log.number);
    later.filter_map(|l| Some((l, l.goes_on.as_ref()?))).filter(|(_, g)| g.origin == log.origin)
}

/// What a log begins with; without, its entries cannot be judged, and a finding says why.
pub(super) fn before(
    evidence: &Evidence<'_>,
    stories: &[Story<'_>],
    log: &Log,
    out: &mut Vec<Finding>,
) -> Option<Before> {
    if log.number == 1 {
        return Some(Before::default());
    }
    let mut report = |class, rule: &str, detail: String| out.push(log.finding(class, 0, rule, detail));
    let Some(GoesOn { seat, origin, size, root }) = &log.goes_on else {
        let detail = format!("log {} of this seat does not begin by saying what it goes on from", log.number);
        report(Class::Violation, "continued", detail);
        return None;
    };
    let number = evidence.charters.log_number(log.seat, origin).filter(|n| *n < log.number);
    let between = |n: u32| evidence.logs.iter().any(|l| l.seat == log.seat && l.number > n && l.number < log.number);
    let Some(number) = number.filter(|n| *seat == log.seat && !between(*n)) else {
        report(Class::Violation, "continued", format!("goes on from {origin}, which is not this seat's log before it"));
        return None;
    };
    let Some(old) = stories.iter().find(|s| s.log.seat == log.seat && s.log.origin == *origin) else {
        if *size == 0 && number == 1 && root.0 == EMPTY_ROOT {
            return Some(Before::default());
        }
        let detail =
            format!("the log {origin}, whose first {size} entries this one goes on from, is not in the bundle");
        report(Class::Incomplete, "log-missing", detail);
        return None;
    };
    match old.log.root_at(*size) {
        None => {
            let detail = format!("goes on from {size} entries of {origin}, of which {} are here", old.log.size);
            report(Class::Incomplete, "log-short", detail);
            None
        }
        Some(ours) if Digest(ours) != *root => {
            let detail =
                format!("goes on from root {root} at size {size} of {origin}, which has root {}", Digest(ours));
            report(Class::Violation, "continued", detail);
            None
        }
        Some(_) if old.carry.is_none() => {
            let detail = format!("{origin} could not be judged up to {size}, so this log cannot be");
            report(Class::Incomplete, "unresolved", detail);
            None
        }
        Some(_) => old.carry.clone(),
    }
}

/// True if what a seat did then is not in its log because it was lost: after the last entry that was
/// carried on, and before the log that goes on from there.
pub(super) fn lost(stories: &[Story<'_>], seat: SeatIndex, at: Timestamp) -> bool {
    let time = |ts: u64| Timestamp::from_millis(i64::try_from(ts).unwrap_or(i64::MAX));
    stories.iter().filter(|s| s.log.seat == seat).any(|new| {
        let Some(told) = &new.log.goes_on else { return false };
        let old = stories.iter().find(|s| s.log.seat == seat && s.log.origin == told.origin);
        let kept = old.and_then(|o| o.log.kept()).map(time);
        kept.is_none_or(|k| k <= at) && new.log.begun.map(time).is_some_and(|b| at <= b)
    })
}

/// The administrators name the last head of a log that a charter replaces: somebody must have seen it.
/// Says what of it is lost.
pub(super) fn heads(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut out = Vec::new();
    for log in evidence.logs.iter().filter(|l| l.number > 1) {
        let Some(GoesOn { origin, size: kept, .. }) = &log.goes_on else { continue };
        let Some(named) = evidence.charters.previous_head(log.seat, &log.origin) else { continue };
        let own = evidence.logs.iter().find(|l| l.origin == *origin).and_then(|old| old.head_of(&named));
        let claimed = || {
            let mut claims = evidence.claimed(origin);
            claims.find(|(size, root)| head_text(origin, *size, *root) == Some(named)).map(|(size, _)| size)
        };
        match own.or_else(claimed) {
            None => {
                let detail =
                    format!("no node here has seen the last head of {origin} that the charter names ({named})");
                out.push(Finding::new(Class::Incomplete, INDEX, "previous-head", detail).seat(log.seat));
            }
            Some(size) if size > *kept => {
                let detail = format!("of {origin} the entries {kept} to {} were lost at this seat", size - 1);
                out.push(log.finding(Class::Ok, 0, "log-lost", detail));
            }
            Some(_) => {}
        }
    }
    out
}
