//! Which log of a seat a later one goes on from, what of a lost log is excused, and which of two
//! charters stands.

use crate::common::forge::expect;
use crate::common::moved::THREE;
use crate::common::{Cluster, seat_index};
use escrow_audit::checkpoint::Checkpoint;
use escrow_audit::entry::{Chain, leaf_hash};
use escrow_audit::finding::{Class, Finding, Report};
use escrow_audit::misbehaviour::check;
use escrow_audit::note::NoteSigner;
use escrow_audit::tree::{EMPTY_ROOT, Tree};
use escrow_audit::verify::{Options, examine, verify};
use escrow_core::charter::Charter;
use escrow_core::decision::Choice;
use escrow_core::verdict::Verdict;
use escrow_core::{Digest, Envelope, Kind, Nonce, PublicKey, Timestamp};
use escrow_policy::{Event, Facts};
use std::collections::BTreeSet;

/// What is left of seat 3's log after a loss.
pub(super) struct Backup {
    size: u64,
    root: Digest,
    facts: Facts,
}

pub(super) fn backup(c: &Cluster) -> Backup {
    let node = &c.nodes[THREE];
    Backup { size: node.tree.size(), root: Digest(node.tree.root()), facts: node.facts.clone() }
}

pub(super) fn nothing() -> Backup {
    Backup { size: 0, root: Digest(EMPTY_ROOT), facts: Facts::new() }
}

pub(super) fn continued(log: &str, size: u64, root: Digest) -> Event {
    Event::Continued { seat: seat_index(3), log: log.into(), size, root }
}

/// How a new log begins, and what the bundle has of the one before.
pub(super) struct Told {
    pub(super) first: Event,
    /// The old log's last head, as the charter names it.
    pub(super) head: u64,
    /// How many entries of the old log are in the bundle.
    pub(super) shown: Option<u64>,
}

/// Seat 3 goes on from a backup under a new log, which all accept.
pub(super) fn renewed(c: &mut Cluster, from: Backup, bend: impl FnOnce(&mut Told)) {
    let version = c.charter.version + 1;
    let node = &mut c.nodes[THREE];
    let mut told = Told {
        first: continued(node.chain.origin(), from.size, from.root),
        head: node.tree.size(),
        shown: Some(from.size),
    };
    bend(&mut told);
    let named = Digest::of(node.head(told.head).note().text().as_bytes());
    if let Some(shown) = told.shown {
        let entries = node.entries[..usize::try_from(shown).unwrap()].to_vec();
        node.closed.push((entries, node.head(shown).to_bytes()));
    }
    node.base += from.size;
    (node.facts, node.entries, node.tree) = (from.facts, vec![], Tree::new());
    node.chain = Chain::new(&format!("acme/3/log/{version}"));
    node.log_key = ed25519_dalek::SigningKey::generate(&mut escrow_core::random::rng());
    node.held.clear();

    let seat = &mut c.charter.seats[THREE];
    seat.log_origin = node.chain.origin().into();
    seat.log_key = PublicKey::Ed25519(node.log_key.verifying_key());
    seat.previous_log_head = Some(named);
    let fresh = node.facts.genesis().is_none();
    let next = successor(c, |_| {});
    c.tick(1);
    c.log(THREE, &told.first, None);
    if fresh {
        let genesis = c.statements[0].clone();
        c.log(THREE, &Event::Genesis { seat: seat_index(3) }, Some(&genesis));
    }
    accepted(c, &next);
}

/// The charter as it now is, as the version after the one in force.
pub(super) fn successor(c: &Cluster, bend: impl FnOnce(&mut Charter)) -> Envelope {
    let mut next = c.charter.clone();
    (next.version, next.previous, next.nonce, next.issued) =
        (next.version + 1, Some(c.genesis), Nonce::random(), c.now);
    bend(&mut next);
    c.signed(&next, &["ann", "bob"])
}

/// All nodes log and accept it and are ready; what is signed from now on names it.
pub(super) fn accepted(c: &mut Cluster, next: &Envelope) {
    for n in 0..3 {
        c.log(n, &Event::Statement {}, Some(next));
        c.log(n, &Event::CharterAccepted { charter: next.digest() }, None);
        ready(c, n);
    }
    (c.charter, c.genesis) = (next.decode().unwrap(), next.digest());
}

pub(super) fn ready(c: &mut Cluster, n: usize) {
    let peers = (1..=3).map(seat_index).filter(|s| *s != c.nodes[n].index).collect();
    c.log(n, &Event::Ready { peers }, None);
}

fn judged(c: &Cluster) -> Report {
    verify(&c.full(), &c.statements[0].digest())
}

pub(super) fn of<'r>(report: &'r Report, rule: &str) -> Vec<&'r Finding> {
    report.findings.iter().filter(|f| f.rule == rule).collect()
}

/// Seat 3 under its second log, with an entry after what a next loss would leave.
fn second() -> (Cluster, Backup) {
    let mut c = Cluster::new();
    let from = backup(&c);
    ready(&mut c, THREE);
    c.settle();
    renewed(&mut c, from, |_| {});
    let from = backup(&c);
    ready(&mut c, THREE);
    c.settle();
    (c, from)
}

#[test]
fn a_third_log_goes_on_from_the_second_and_from_the_first_only_if_there_was_no_second() {
    let (mut c, from) = second();
    renewed(&mut c, from, |_| {});
    c.settle();
    expect(&judged(&c), Class::Ok, &[]);

    // From what the second went on from, though that one is here.
    let (mut c, from) = second();
    let first: Tree = c.nodes[THREE].closed[0].0.iter().map(|e| leaf_hash(e)).collect();
    renewed(&mut c, from, |t| t.first = continued("acme/3/log", first.size(), Digest(first.root())));
    c.settle();
    expect(&judged(&c), Class::Violation, &["continued", "previous-head"]);

    // A second log that never began has no last head: the third goes on from the first.
    let mut c = Cluster::new();
    let next = successor(&c, |next| {
        let seat = &mut next.seats[THREE];
        seat.log_origin = "acme/3/log/unused".into();
        seat.log_key = PublicKey::Ed25519(ed25519_dalek::SigningKey::from_bytes(&[7; 32]).verifying_key());
        seat.previous_log_head = Some(Digest([7; 32]));
    });
    accepted(&mut c, &next);
    c.settle();
    let from = backup(&c);
    renewed(&mut c, from, |_| {});
    c.settle();
    expect(&judged(&c), Class::Ok, &[]);
}

#[test]
fn only_the_log_that_a_seat_goes_on_from_may_be_shorter_than_a_signed_head() {
    // Log 1, and the new log of seat 3: each is shorter than a head that its own key signed.
    let short = |told: &dyn Fn(&Cluster, &mut Event), verdict, broken: &[&str]| {
        let mut c = Cluster::new();
        c.settle();
        let from = backup(&c);
        let mut first = continued("acme/3/log", from.size, from.root);
        told(&c, &mut first);
        renewed(&mut c, from, |t| t.first = first);
        c.settle();
        for (n, viewer) in [(0, 2), (THREE, 1)] {
            let node = &mut c.nodes[n];
            let signer = NoteSigner::new(node.chain.origin(), &node.log_key).unwrap();
            let beyond = Checkpoint::new(node.chain.origin(), node.tree.size() + 5, [1; 32]).unwrap();
            node.held.insert(seat_index(viewer), beyond.sign(&signer).unwrap());
        }
        let report = judged(&c);
        expect(&report, verdict, broken);
        let seats: Vec<_> = of(&report, "log-short").iter().map(|f| (f.seat, f.class)).collect();
        assert_eq!(seats, [1, 3].map(|n| (Some(seat_index(n)), Class::Incomplete)), "{:#?}", report.findings);
    };
    short(&|_, _| {}, Class::Incomplete, &["log-short"]);
    // The old log as if another seat's; another seat's log; its own log, which only begins here.
    let to_seat_2 = |_: &Cluster, first: &mut Event| {
        let Event::Continued { seat, .. } = first else { panic!("{first:?}") };
        *seat = seat_index(2);
    };
    short(&to_seat_2, Class::Violation, &["continued", "log-short"]);
    let broken = &["continued", "log-short", "previous-head"];
    let root = |c: &Cluster| Digest(c.nodes[0].tree.root_at(2).unwrap());
    short(&|c, first| *first = continued("acme/1/log", 2, root(c)), Class::Violation, broken);
    short(&|_, first| *first = continued("acme/3/log/2", 0, Digest(EMPTY_ROOT)), Class::Violation, broken);
}

#[test]
fn a_seat_that_lost_all_of_its_first_log_says_so_and_begins_anew() {
    let begun = |size, root| {
        let mut c = Cluster::new();
        c.settle();
        let all = backup(&c).size;
        renewed(&mut c, nothing(), |t| (t.first, t.shown) = (continued("acme/3/log", size, root), None));
        c.settle();
        (judged(&c), all)
    };
    let (report, all) = begun(0, Digest(EMPTY_ROOT));
    expect(&report, Class::Ok, &[]);
    assert!(of(&report, "log-lost")[0].detail.contains(&format!("entries 0 to {}", all - 1)), "{:#?}", report.findings);
    for (size, root) in [(0, Digest([7; 32])), (1, Digest(EMPTY_ROOT)), (1, Digest([7; 32]))] {
        expect(&begun(size, root).0, Class::Incomplete, &["log-missing"]);
    }
    // Nothing of a second log is not nothing: the first went before it.
    let (mut c, _) = second();
    renewed(&mut c, nothing(), |t| t.shown = None);
    c.settle();
    expect(&judged(&c), Class::Incomplete, &["log-missing"]);
}

#[test]
fn what_is_missing_before_the_cut_stops_the_next_log_too_and_what_is_missing_after_it_does_not() {
    for (before, files) in [(true, &["data/logs/3/1", "data/logs/3/2"][..]), (false, &["data/logs/3/1"])] {
        let mut c = Cluster::new();
        c.ask();
        if before {
            c.withdraw(&[THREE]);
        }
        let from = backup(&c);
        c.withdraw(&[THREE]);
        renewed(&mut c, from, |t| t.shown = Some(t.head));
        c.settle();
        expect(&judged(&c), Class::Ok, &[]);
        let gone = c.statements.iter().position(|e| e.kind() == Kind::Withdrawal).unwrap();
        c.statements.remove(gone);
        let report = judged(&c);
        expect(&report, Class::Incomplete, &["unresolved"]);
        let found: BTreeSet<_> =
            of(&report, "unresolved").iter().map(|f| f.file.trim_end_matches("/entries.jsonl")).collect();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), files, "{:#?}", report.findings);
    }
}

#[test]
fn the_last_head_of_a_lost_log_is_known_from_that_log_alone_and_tells_what_is_lost() {
    for (more, whole, verdict, broken) in
        [(0, false, Class::Ok, &[][..]), (1, true, Class::Ok, &[]), (1, false, Class::Incomplete, &["previous-head"])]
    {
        let mut c = Cluster::new();
        let from = backup(&c);
        let size = from.size;
        ready(&mut c, THREE);
        renewed(&mut c, from, |t| {
            t.shown = Some(if whole { t.head } else { size });
            t.head = size + more;
        });
        c.settle();
        let report = judged(&c);
        expect(&report, verdict, broken);
        let lost: Vec<_> = of(&report, "log-lost").iter().map(|f| f.detail.clone()).collect();
        let wanted = format!("of acme/3/log the entries {size} to {size} were lost at this seat");
        assert_eq!(lost, if whole { vec![wanted] } else { vec![] });
    }
}

/// Seat 1 relies on a permit that seat 3 signed as of some time and that none of its logs has.
fn relied(c: &mut Cluster, decided: Timestamp) {
    let mut permit: Verdict = c.verdict(1, |_| {}).decode().unwrap();
    (permit.seat, permit.nonce, permit.charter) = (seat_index(3), Nonce::random(), c.genesis);
    (permit.decided, permit.valid_until) = (decided, decided.plus_seconds(60));
    let permit = Envelope::sign(&permit, &[&c.nodes[THREE].statement]).unwrap();
    c.statements.push(permit.clone());
    let call = c.call();
    c.release(0, 1, &call, &permit);
}

#[test]
fn a_permit_is_excused_from_the_last_entry_kept_to_the_first_of_the_next_log() {
    // Seconds from the last entry kept, or from the beginning of the next log. With three logs, what is
    // lost after the second excuses nothing within it.
    for (logs, begins, seconds, excused) in
        [(2, false, -1, false), (2, false, 0, true), (2, true, 0, true), (2, true, 1, false), (3, false, -1, false)]
    {
        let mut c = Cluster::new();
        c.ask();
        c.decide("leg", "legal", Choice::Approve);
        c.decide("dpo", "dpo", Choice::Approve);
        if logs == 3 {
            let from = backup(&c);
            c.tick(5);
            renewed(&mut c, from, |_| {});
            c.tick(5);
            ready(&mut c, THREE);
        }
        let (kept, from) = (c.now, backup(&c));
        c.tick(5);
        renewed(&mut c, from, |_| {});
        let begun = c.now;
        c.tick(5);
        relied(&mut c, if begins { begun } else { kept }.plus_seconds(seconds));
        c.settle();
        let (verdict, broken) =
            if excused { (Class::Ok, &[][..]) } else { (Class::Violation, &["verdict-unlogged"][..]) };
        expect(&judged(&c), verdict, broken);
    }
}

#[test]
fn a_first_log_that_says_it_goes_on_is_asked_for_no_last_head() {
    let mut c = Cluster::bent(|charter| charter.seats[THREE].previous_log_head = Some(Digest([7; 32])));
    let genesis = c.statements[0].clone();
    let node = &mut c.nodes[THREE];
    (node.facts, node.entries, node.tree) = (Facts::new(), vec![], Tree::new());
    node.chain = Chain::new("acme/3/log");
    c.log(THREE, &continued("acme/3/log", 0, Digest(EMPTY_ROOT)), None);
    c.log(THREE, &Event::Genesis { seat: seat_index(3) }, Some(&genesis));
    c.settle();
    expect(&judged(&c), Class::Violation, &["genesis"]);
}

/// Successors of the genesis charter in the order of their digests.
fn rivals(c: &mut Cluster, n: usize) -> Vec<Envelope> {
    let mut all: Vec<_> = (0..n).map(|_| successor(c, |_| {})).collect();
    all.sort_by_key(Envelope::digest);
    all.iter().for_each(|e| c.submit(e));
    all
}

#[test]
fn two_successors_of_one_charter_are_a_remark_once_a_later_version_voids_either() {
    for voided in [None, Some(0), Some(1)] {
        let mut c = Cluster::new();
        let rivals = rivals(&mut c, 2);
        if let Some(voided) = voided {
            (c.charter, c.genesis) = (rivals[1 - voided].decode().unwrap(), rivals[1 - voided].digest());
            let next = successor(&c, |next| next.voided = vec![rivals[voided].digest()]);
            accepted(&mut c, &next);
        }
        c.settle();
        let report = judged(&c);
        let fork = of(&report, "charter-fork");
        let class = if voided.is_some() { Class::Ok } else { Class::Misbehaviour };
        // The file is that of the second, by digest.
        assert_eq!(
            fork.iter().map(|f| (f.class, f.file.as_str())).collect::<Vec<_>>(),
            [(class, "data/charters/0003.json")]
        );
        expect(&report, class, if voided.is_some() { &[] } else { &["charter-fork"] });
    }
}

#[test]
fn a_proof_against_a_log_carries_the_charters_up_to_the_last_that_lists_it() {
    // Seat 3 signed another head of its first log, or of its second; seat 1 shows both.
    for (origin, versions) in [("acme/3/log", 1), ("acme/3/log/2", 2)] {
        let mut c = Cluster::new();
        let (head, key) = (c.nodes[THREE].head(2), c.nodes[THREE].log_key.clone());
        let from = backup(&c);
        renewed(&mut c, from, |_| {});
        let node = &c.nodes[THREE];
        let (head, key) = if versions == 1 { (head, key) } else { (node.head(2), node.log_key.clone()) };
        let forged = Checkpoint::new(origin, 2, [1; 32]).unwrap();
        let forged = forged.sign(&NoteSigner::new(origin, &key).unwrap()).unwrap();
        let notes = [head.to_bytes(), forged.to_bytes()];
        let [first, second] = [0, 1].map(|n| Digest::of(&notes[n]));
        c.attachments.extend(notes);
        c.log(0, &Event::Misbehaviour { origin: origin.into(), first, second }, None);
        c.settle();
        let genesis = c.statements[0].digest();
        let found = examine(&c.full(), &genesis, Options::default(), &[]);
        expect(&found.report, Class::Misbehaviour, &["fork"]);
        assert_eq!(found.proofs.len(), 1);
        assert_eq!(check(&found.proofs[0], &genesis).unwrap().seat, Some(seat_index(3)));
        let proof: serde_json::Value = serde_json::from_slice(&found.proofs[0]).unwrap();
        assert_eq!(proof["charters"].as_array().unwrap().len(), versions);
    }
}

#[test]
fn one_void_successor_of_three_does_not_settle_the_other_two() {
    for voided in 0..3 {
        let mut c = Cluster::new();
        let rivals = rivals(&mut c, 3);
        let stands = usize::from(voided == 0);
        (c.charter, c.genesis) = (rivals[stands].decode().unwrap(), rivals[stands].digest());
        let next = successor(&c, |next| next.voided = vec![rivals[voided].digest()]);
        accepted(&mut c, &next);
        c.settle();
        let report = judged(&c);
        expect(&report, Class::Misbehaviour, &["charter-fork"]);
        let forks = of(&report, "charter-fork");
        assert_eq!(forks.iter().filter(|f| f.class == Class::Misbehaviour).count(), 1, "{voided}: {forks:?}");
    }
}

#[test]
fn a_witness_goes_forward_over_its_logs_up_to_what_the_later_one_goes_on_from() {
    for (lost, broken) in [(false, &["cosigned-backwards"][..]), (true, &[])] {
        let mut c = Cluster::new();
        let claim = |size| Event::Cosigned { origin: "acme/9/log".into(), size, root: Digest([1; 32]) };
        let before = backup(&c);
        c.log(THREE, &claim(100), None);
        c.settle();
        let from = if lost { before } else { backup(&c) };
        renewed(&mut c, from, |_| {});
        c.log(THREE, &claim(50), None);
        c.settle();
        let class = if broken.is_empty() { Class::Ok } else { Class::Violation };
        expect(&judged(&c), class, broken);
    }
}
