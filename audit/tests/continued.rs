//! A seat that lost entries and goes on under a new log: one story over two logs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[allow(dead_code, reason = "this story needs less of it")]
mod common;

use common::{Cluster, seat_index};
use escrow_audit::checkpoint::Checkpoint;
use escrow_audit::entry::{Chain, Entry, leaf_hash};
use escrow_audit::finding::{Class, Report};
use escrow_audit::note::NoteSigner;
use escrow_audit::record;
use escrow_audit::tree::Tree;
use escrow_audit::verify::verify;
use escrow_core::decision::Choice;
use escrow_core::{Digest, Envelope, Nonce, PublicKey};
use escrow_policy::{Event, Facts};

/// Seat 3, which loses entries.
const THREE: usize = 2;

fn expect(report: &Report, verdict: Class, rules: &[&str]) {
    let mut found: Vec<&str> =
        report.findings.iter().filter(|f| f.class > Class::Ok).map(|f| f.rule.as_str()).collect();
    found.sort_unstable();
    found.dedup();
    assert_eq!((report.verdict, found), (verdict, rules.to_vec()), "{:#?}", report.findings);
}

/// A cluster in which seat 3 goes on under a new log.
struct Moved {
    c: Cluster,
    genesis: Digest,
    /// What the old log had in truth, and its note.
    whole: (Vec<Vec<u8>>, Vec<u8>),
    kept: u64,
    old_key: ed25519_dalek::SigningKey,
}

/// How the new log may lie about the old one.
#[derive(Default)]
struct Lies {
    root: Option<Digest>,
    head: Option<Digest>,
    silent: bool,
}

/// Up to the decisions everything is kept; verdict, cosignature and a withdrawal are lost.
fn moved(lies: &Lies) -> Moved {
    let mut c = Cluster::new();
    c.ask();
    c.decide("leg", "legal", Choice::Approve);
    c.decide("dpo", "dpo", Choice::Approve);
    let kept = c.nodes[THREE].tree.size();
    let permits: Vec<Envelope> = (0..3).map(|n| c.verdict(n, |_| {})).collect();
    let call = c.call();
    c.release(0, THREE, &call, &permits[THREE]);
    // Only seat 3 hears of it; its own next facts must not know it either.
    c.withdraw(&[THREE]);
    let all = c.nodes[THREE].tree.size();
    let newest = c.cosigned(THREE, &[0, 1]);
    assert_eq!((newest.size(), &c.refusals), (all, &vec![]));

    let node = &mut c.nodes[THREE];
    let whole = (node.entries.clone(), node.head(all).to_bytes());
    let root = Digest(node.tree.root_at(kept).unwrap());
    let cut = usize::try_from(kept).unwrap();
    node.closed = vec![(node.entries[..cut].to_vec(), node.head(kept).to_bytes())];
    node.facts = Facts::new();
    for bytes in &node.entries[..cut] {
        let entry = Entry::decode(bytes).unwrap();
        let of = entry.statement.as_ref().map(|s| Digest(s.env));
        let statement = of.and_then(|env| c.statements.iter().find(|e| e.envelope_digest() == env));
        node.facts.fold(&record::read(&entry, 0, statement).unwrap()).unwrap();
    }
    (node.base, node.entries, node.tree) = (kept, vec![], Tree::new());
    node.chain = Chain::new("acme/3/log/2");
    let old_key = node.log_key.clone();
    node.log_key = ed25519_dalek::SigningKey::generate(&mut escrow_core::random::rng());
    node.held.clear();

    let genesis = c.genesis;
    c.charter.version = 2;
    c.charter.previous = Some(genesis);
    c.charter.nonce = Nonce::random();
    c.charter.issued = c.now;
    let seat = &mut c.charter.seats[THREE];
    seat.log_origin = "acme/3/log/2".into();
    seat.log_key = PublicKey::Ed25519(c.nodes[THREE].log_key.verifying_key());
    seat.previous_log_head = Some(lies.head.unwrap_or_else(|| Digest::of(newest.note().text().as_bytes())));
    let next = c.signed(&c.charter, &["ann", "bob"]);
    c.tick(1);
    if !lies.silent {
        let root = lies.root.unwrap_or(root);
        let event = Event::Continued { seat: seat_index(3), log: "acme/3/log".into(), size: kept, root };
        c.log(THREE, &event, None);
    }
    for n in 0..3 {
        c.log(n, &Event::Statement {}, Some(&next));
        c.log(n, &Event::CharterAccepted { charter: next.digest() }, None);
        let peers = (1..=3).map(seat_index).filter(|s| *s != c.nodes[n].index).collect();
        c.log(n, &Event::Ready { peers }, None);
    }
    c.genesis = next.digest();
    Moved { c, genesis, whole, kept, old_key }
}

/// Seat 3 takes part in a release under its new log.
fn released(mut m: Moved) -> Moved {
    let permit = m.c.verdict(0, |_| {});
    let _own = m.c.verdict(THREE, |_| {});
    let call = m.c.call();
    m.c.release(THREE, 0, &call, &permit);
    m.c.settle();
    assert_eq!(m.c.refusals, Vec::<String>::new());
    m
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
    // From nothing at all, under a second log.
    m = moved(&Lies { silent: true, ..Lies::default() });
    m.c.settle();
    expect(&verify(&m.c.full(), &m.genesis), Class::Violation, &["continued"]);
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
