//! A seat that lost entries and goes on under a new log: one story over two logs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::moved::{Lies, THREE, moved, released};
use common::{Cluster, seat_index};
use escrow_audit::checkpoint::Checkpoint;
use escrow_audit::entry::leaf_hash;
use escrow_audit::finding::{Class, Report};
use escrow_audit::note::NoteSigner;
use escrow_audit::tree::Tree;
use escrow_audit::verify::verify;
use escrow_core::Digest;
use escrow_policy::Event;

fn expect(report: &Report, verdict: Class, rules: &[&str]) {
    let mut found: Vec<&str> =
        report.findings.iter().filter(|f| f.class > Class::Ok).map(|f| f.rule.as_str()).collect();
    found.sort_unstable();
    found.dedup();
    assert_eq!((report.verdict, found), (verdict, rules.to_vec()), "{:#?}", report.findings);
}

#[test]
fn the_story_goes_on_from_the_old_log_into_the_new_one() {
    let m = released(moved(&Lies::default()));
    let report = verify(&m.c.full(), &m.genesis);
    expect(&report, Class::Ok, &[]);
    let lost: Vec<_> = report.findings.iter().filter(|f| f.rule == "log-lost").collect();
    assert_eq!(lost.len(), 1, "{:?}", report.findings);
    assert!(lost[0].detail.contains(&format!("entries {} to", m.kept)), "{}", lost[0].detail);
    assert_eq!((report.counts.delivered, report.logs.len()), (2, 4));
    assert!(report.logs.iter().all(|l| l.fork_bound >= 1), "{:?}", report.logs);
    let seat_3: Vec<u64> = report.releases.iter().filter(|r| r.seat == seat_index(3)).map(|r| r.seq).collect();
    assert!(seat_3[0] < m.c.nodes[THREE].tree.size(), "positions in a report count within the log");
}

#[test]
fn what_the_old_log_has_beyond_is_judged_there_and_not_carried_on() {
    let mut m = released(moved(&Lies::default()));
    // The withdrawal that was lost is in the bundle now: in the old log it stands, in the new one it does not count.
    m.c.nodes[THREE].closed = vec![m.whole.clone()];
    expect(&verify(&m.c.full(), &m.genesis), Class::Ok, &[]);
}

#[test]
fn a_log_that_goes_on_from_what_is_not_here_is_incomplete() {
    let mut m = released(moved(&Lies::default()));
    let (mut entries, _) = m.c.nodes[THREE].closed.pop().unwrap();
    expect(&verify(&m.c.full(), &m.genesis), Class::Incomplete, &["log-missing"]);

    // Or shorter than what it goes on from.
    entries.pop();
    let tree: Tree = entries.iter().map(|e| leaf_hash(e)).collect();
    let signer = NoteSigner::new("acme/3/log", &m.old_key).unwrap();
    let head = Checkpoint::new("acme/3/log", tree.size(), tree.root()).unwrap().sign(&signer).unwrap();
    m.c.nodes[THREE].closed = vec![(entries, head.to_bytes())];
    expect(&verify(&m.c.full(), &m.genesis), Class::Incomplete, &["log-short"]);
}

#[test]
fn violation_a_log_that_goes_on_from_another_history() {
    let m = moved(&Lies { root: Some(Digest([7; 32])), ..Lies::default() });
    let mut m = released(m);
    expect(&verify(&m.c.full(), &m.genesis), Class::Violation, &["continued"]);
    // From nothing at all: then nothing excuses the permit that seat 1 relied on and seat 3 does not have.
    m = moved(&Lies { silent: true, ..Lies::default() });
    m.c.settle();
    expect(&verify(&m.c.full(), &m.genesis), Class::Violation, &["continued", "verdict-unlogged"]);
}

#[test]
fn violation_a_first_log_that_says_it_goes_on() {
    let mut c = Cluster::honest();
    let root = Digest(c.nodes[0].tree.root());
    let event = Event::Continued { seat: seat_index(1), log: "acme/1/log".into(), size: c.nodes[0].tree.size(), root };
    c.log(0, &event, None);
    c.settle();
    expect(&verify(&c.full(), &c.genesis), Class::Violation, &["continued"]);
}

#[test]
fn a_last_head_that_nobody_has_seen_is_asked_for() {
    let m = released(moved(&Lies { head: Some(Digest([9; 32])), ..Lies::default() }));
    expect(&verify(&m.c.full(), &m.genesis), Class::Incomplete, &["previous-head"]);
}
