//! How old the cosignatures on a log may be, and whose clock counts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "common/mod.rs"]
mod common;

use common::forge::expect;
use common::{Cluster, seat_index};
use escrow_audit::checkpoint::VerifiedCheckpoint;
use escrow_audit::finding::Class;
use escrow_audit::note::cosign;
use escrow_audit::seat;
use escrow_audit::verify::verify;
use escrow_policy::Event;

const TWO_BEATS: i64 = 1_200;

/// Peer `p` cosigns a head at a time of its own choice.
fn cosigned(c: &Cluster, mut head: VerifiedCheckpoint, p: usize, seconds: i64) -> VerifiedCheckpoint {
    let (org, node) = (&c.charter.org, &c.nodes[p]);
    let time = u64::try_from(c.now.millis() / 1000 + seconds).unwrap();
    let line = cosign(&seat::witness_name(org, node.index), &node.witness, time, head.note().text()).unwrap();
    let key = seat::witness_verifier(org, &c.charter.seats[p]).unwrap();
    assert_eq!(head.add_cosignatures(format!("{line}\n").as_bytes(), &[key]), Ok(1));
    head
}

#[test]
fn case_31_a_log_that_nobody_cosigned_for_two_heartbeats() {
    // The first log was cosigned two seconds before the last one; views move the time on.
    let after = |seconds: i64| {
        let mut c = Cluster::honest();
        c.settle();
        c.tick(seconds);
        verify(&c.full(), &c.genesis)
    };
    expect(&after(TWO_BEATS - 2), Class::Ok, &[]);
    let report = after(TWO_BEATS - 1);
    expect(&report, Class::Incomplete, &["stale"]);
    let seats: Vec<_> = report.findings.iter().map(|f| f.seat).collect();
    assert_eq!((seats, report.exit_code()), (vec![Some(seat_index(1))], 8));
    assert_eq!(after(TWO_BEATS + 1).findings.len(), 3);
    // One round more, on the same size, and all is fresh again.
    let mut c = Cluster::honest();
    c.settle();
    c.tick(TWO_BEATS * 3);
    c.settle();
    expect(&verify(&c.full(), &c.genesis), Class::Ok, &[]);
}

#[test]
fn a_clock_ahead_of_everything_does_not_make_old_cosignatures_young() {
    let skew = i64::try_from(Cluster::new().charter.limits.clock_skew_s).unwrap();
    let shown = |ahead: i64| {
        let mut c = Cluster::honest();
        c.settle();
        c.tick(TWO_BEATS - 1);
        let head = cosigned(&c, c.nodes[0].held[&seat_index(2)].clone(), 1, ahead);
        c.nodes[0].held.insert(seat_index(2), head);
        verify(&c.full(), &c.genesis)
    };
    expect(&shown(skew), Class::Ok, &[]);
    let report = shown(skew + 1);
    expect(&report, Class::Incomplete, &["cosigned-future", "stale"]);
    let future = report.findings.iter().find(|f| f.rule == "cosigned-future").unwrap();
    assert_eq!((future.file.as_str(), future.seat), ("data/views/2-1.json", Some(seat_index(2))));
}

#[test]
fn a_clock_anomaly_is_one() {
    for (by_ms, class, rules) in [(-3_000, Class::Ok, &[][..]), (0, Class::Violation, &["clock"])] {
        let mut c = Cluster::honest();
        c.log(0, &Event::Clock { by_ms }, None);
        c.settle();
        expect(&verify(&c.full(), &c.genesis), class, rules);
    }
}
