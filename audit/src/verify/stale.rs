//! How old the newest head of a log is that enough peers vouch for with a time.

use super::bytes::Evidence;
use super::views::Heads;
use crate::bundle::INDEX;
use crate::finding::{Class, Finding};
use crate::seat;
use escrow_core::SeatIndex;
use escrow_core::charter::{Charter, Generation};
use escrow_core::limits::HEARTBEAT_S;
use std::collections::BTreeMap;

/// Beats of an idle log that may be missed.
const MISSED_MAX: u64 = 2;

/// Judges the times of cosignatures on the heads of each member's newest log against the newest time in
/// the bundle. A log whose heads here have no quorum of cosignatures at all is not judged: its views say
/// how fresh it is, and are asked for elsewhere.
pub(super) fn check(evidence: &Evidence<'_>, heads: &Heads<'_>, charter: &Charter, g: &Generation) -> Vec<Finding> {
    let mut out = Vec::new();
    let created = u64::try_from(evidence.index.created.millis().div_euclid(1000)).unwrap_or(0);
    let latest = created.saturating_add(charter.limits.clock_skew_s);
    // A key that was replaced vouches for nothing new.
    let witness = |m: &SeatIndex| Some((*m, seat::witness_verifier(&charter.org, charter.seat(*m)?).ok()?));
    let witnesses: Vec<_> = g.members.iter().filter_map(witness).collect();
    for seat in g.members.iter().filter_map(|m| charter.seat(*m)) {
        let Some(heads) = heads.get(&seat.log_origin) else { continue };
        // The newest time of each peer, on whatever head it gave it.
        let mut times: BTreeMap<SeatIndex, u64> = BTreeMap::new();
        let mut future: BTreeMap<_, u64> = BTreeMap::new();
        for head in heads {
            for (peer, key) in witnesses.iter().filter(|(p, _)| *p != seat.index) {
                let signed = head.head.cosigners(std::slice::from_ref(key)).unwrap_or_default();
                for time in signed.iter().map(|s| s.time) {
                    if is_future(time, latest) {
                        future.insert((*peer, head.file.as_str()), time);
                    } else {
                        let newest = times.entry(*peer).or_default();
                        *newest = time.max(*newest);
                    }
                }
            }
        }
        let mut times: Vec<u64> = times.into_values().collect();
        times.sort_unstable_by(|a, b| b.cmp(a));
        let quorum = g.w().checked_sub(1).and_then(|last| times.get(last)).copied();
        for ((peer, file), time) in future {
            let detail = format!("cosigned at {time} seconds, after everything else in the bundle: not counted");
            out.push(Finding::new(Class::Incomplete, file, "cosigned-future", detail).seat(peer));
        }
        if let Some(time) = quorum.filter(|t| is_stale(*t, created)) {
            let detail = format!(
                "the newest time at which {} peers had cosigned {} is {time} seconds, more than {MISSED_MAX} heartbeats of {HEARTBEAT_S} s before the newest time in the bundle",
                g.w(),
                seat.log_origin
            );
            out.push(Finding::new(Class::Incomplete, INDEX, "stale", detail).seat(seat.index));
        }
    }
    out
}

/// Whether a time, in seconds, lies after the latest that any clock can have shown.
const fn is_future(time: u64, latest: u64) -> bool {
    time > latest
}

/// Whether more than [`MISSED_MAX`] heartbeats lie between a time and the newest in the bundle, in seconds.
const fn is_stale(time: u64, created: u64) -> bool {
    time.saturating_add(MISSED_MAX.saturating_mul(HEARTBEAT_S)) < created
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test that panics has failed
mod tests {
    use super::*;

    #[test]
    fn borders_belong_to_what_is_in_order() {
        assert!(!is_future(100, 100) && is_future(101, 100) && !is_future(99, 100));
        let newest = 10_000;
        let oldest = newest - MISSED_MAX * HEARTBEAT_S;
        assert!(!is_stale(oldest, newest) && is_stale(oldest - 1, newest) && !is_stale(oldest + 1, newest));
        assert!(!is_stale(u64::MAX, newest));
    }
}
