//! What an authorisation may name, what of a bundle is missing, and what its index may say.

use crate::common::forge::{expect, follow, repack, rules};
use crate::common::{Cluster, POLICY, seat_index};
use escrow_audit::bundle::{INDEX, Index, README, Variant, statement_path};
use escrow_audit::checkpoint::Checkpoint;
use escrow_audit::entry::StatementRef;
use escrow_audit::finding::{Class, Report};
use escrow_audit::note::NoteSigner;
use escrow_audit::record;
use escrow_audit::tree::leaf_hash;
use escrow_audit::verify::verify;
use escrow_core::decision::Choice;
use escrow_core::verdict::{Outcome, Verdict};
use escrow_core::{Digest, Envelope, Nonce, Timestamp};
use escrow_policy::{Event, gate};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

fn settled() -> Cluster {
    let mut c = Cluster::honest();
    c.settle();
    c
}

/// An entry at a node as nobody honest writes it.
pub(super) fn raw(c: &mut Cluster, n: usize, kind: &str, statement: Option<StatementRef>, event: &Event) {
    spelled(c, n, kind, statement, record::body(event));
}

fn spelled(c: &mut Cluster, n: usize, kind: &str, statement: Option<StatementRef>, body: Map<String, Value>) {
    let now = u64::try_from(c.now.millis()).unwrap();
    let node = &mut c.nodes[n];
    let bytes = node.chain.draft(now, kind, statement, body).encode().unwrap();
    node.chain.push(&bytes).unwrap();
    node.tree.append(leaf_hash(&bytes));
    node.entries.push(bytes);
}

/// Entries at a node for statements that nobody has.
fn lost_statements(c: &mut Cluster, n: usize, count: u64) {
    for i in 0..count {
        let digest = |what: &str| Digest::of(format!("{what} {i}").as_bytes()).0;
        let statement = StatementRef { stmt: digest("statement"), env: digest("envelope") };
        raw(c, n, "decision", Some(statement), &Event::Statement {});
    }
}

#[test]
fn a_thousand_missing_things_of_a_log_are_named_and_more_are_counted() {
    for (missing, more) in [(1_000, None), (1_001, Some("1 more things")), (1_003, Some("3 more things"))] {
        let mut c = Cluster::new();
        lost_statements(&mut c, 0, missing);
        c.settle();
        let report = verify(&c.full(), &c.genesis);
        expect(&report, Class::Incomplete, &["unresolved"]);
        let (named, counted): (Vec<_>, Vec<_>) = report.findings.iter().partition(|f| f.entry.is_some());
        assert_eq!((named.len(), counted.len()), (1_000, usize::from(more.is_some())), "{missing}");
        assert!(counted.iter().all(|f| more.is_some_and(|m| f.detail.starts_with(m))), "{counted:?}");
    }
}

#[test]
fn the_index_names_the_pinned_charter_and_its_organisation() {
    let c = settled();
    type Bend = fn(&mut Index);
    let cases: [(Bend, Class, &[&str]); 3] = [
        (|_| {}, Class::Ok, &[]),
        (|i| i.charter = Digest::of(b"another"), Class::Tampered, &["index"]),
        (|i| i.org = "other".parse().unwrap(), Class::Tampered, &["index"]),
    ];
    for (bend, verdict, broken) in cases {
        let mut files = c.full();
        let mut index = Index::decode(&files[INDEX]).unwrap();
        bend(&mut index);
        files.insert(README.into(), index.readme().into_bytes());
        files.insert(INDEX.into(), index.encode());
        follow(&mut files);
        expect(&verify(&files, &c.genesis), verdict, broken);
    }
}

#[test]
fn an_authorisation_names_nothing_twice() {
    type Bend = fn(&mut [Vec<Digest>; 3]);
    let cases: [(&str, Bend, bool); 4] = [
        ("each once", |_| {}, true),
        ("a decision twice", |n| n[0].insert(0, n[0][0]), false),
        ("a permit twice", |n| n[1].insert(0, n[1][0]), false),
        ("an answer twice", |n| n[2].insert(0, n[2][0]), false),
    ];
    for (what, bend, good) in cases {
        let mut c = Cluster::new();
        c.ask();
        c.decide("leg", "legal", Choice::Approve);
        c.decide("dpo", "dpo", Choice::Approve);
        let permits: Vec<Envelope> = (0..3).map(|n| c.verdict(n, |_| {})).collect();
        let (call, answer, request) = (c.call(), c.answer(1, 0), c.request_digest());
        c.tick(1);
        let decisions = gate::count(&c.nodes[0].facts, &request, c.now).unwrap().decisions;
        let mut named = [decisions, vec![permits[1].digest()], vec![answer.digest()]];
        bend(&mut named);
        let [decisions, permits, answers] = named;
        c.log(0, &Event::Authorized { request, decisions, permits, answers }, Some(&call));
        c.settle();
        let report = verify(&c.full(), &c.genesis);
        assert_eq!(report.verdict, if good { Class::Ok } else { Class::Violation }, "{what}");
        assert_eq!(rules(&report).contains(&"record"), !good, "{what}: {:#?}", report.findings);
    }
}

#[test]
fn what_an_entry_shows_wrong_by_itself_is_wrong_though_its_statement_is_missing() {
    let nowhere = StatementRef { stmt: [1; 32], env: [2; 32] };
    let ready = Event::Ready { peers: vec![seat_index(2)] };
    let genesis = Event::Genesis { seat: seat_index(1) };
    for (kind, event, rule) in [
        ("genesis", &genesis, "genesis"),
        ("verdict", &ready, "record"),
        ("node.ready", &ready, "record"),
        ("foo.bar", &Event::Statement {}, "record"),
    ] {
        let mut c = settled();
        raw(&mut c, 0, kind, Some(nowhere), event);
        // Nor does it end the judgement of the rest.
        c.log(0, &Event::Clock { by_ms: 0 }, None);
        c.settle();
        expect(&verify(&c.full(), &c.genesis), Class::Violation, &[rule, "clock", "unresolved"]);
        let bare = c.bundle_as(Variant::NoContent, &[0, 1, 2], |_, _| true);
        let report = verify(&bare, &c.genesis);
        assert_eq!(report.verdict, Class::Violation, "{kind}: {:#?}", report.findings);
        assert!(rules(&report).contains(&rule) && rules(&report).contains(&"clock"), "{kind}: {:#?}", report.findings);
    }
}

#[test]
fn the_note_of_a_bad_release_still_convicts_and_a_forged_permit_blames_nobody_else() {
    let mut c = Cluster::new();
    c.ask();
    c.decide("leg", "legal", Choice::Approve);
    c.decide("dpo", "dpo", Choice::Approve);
    let (permit, call, answer) = (c.verdict(1, |_| {}), c.call(), c.answer(1, 0));
    let authorized = c.authorise(0, &call, &[&permit], &[&answer]);
    let node = &c.nodes[0];
    let signer = NoteSigner::new(node.chain.origin(), &node.log_key).unwrap();
    let forged = Checkpoint::new(node.chain.origin(), node.tree.size(), [1; 32]).unwrap().sign(&signer).unwrap();
    c.deliver(0, authorized, &forged, |r| r.seat = seat_index(2));
    c.settle();
    let report = verify(&c.full(), &c.genesis);
    assert!(report.verdict == Class::Misbehaviour && rules(&report).contains(&"fork"), "{:#?}", report.findings);

    // Seat 1 signs a permit in seat 2's name.
    let mut c = Cluster::new();
    c.ask();
    c.decide("leg", "legal", Choice::Approve);
    c.decide("dpo", "dpo", Choice::Approve);
    let mut permit: Verdict = c.verdict(0, |_| {}).decode().unwrap();
    (permit.seat, permit.nonce) = (seat_index(2), Nonce::random());
    let permit = Envelope::sign(&permit, &[&c.nodes[0].statement]).unwrap();
    c.log(0, &Event::Statement {}, Some(&permit));
    let (call, answer) = (c.call(), c.answer(1, 0));
    c.authorise(0, &call, &[&permit], &[&answer]);
    c.tick(5);
    c.log(1, &Event::Clock { by_ms: 1 }, None);
    c.settle();
    let report = verify(&c.full(), &c.genesis);
    let blamed: Vec<_> = report.findings.iter().filter(|f| f.class > Class::Ok).filter_map(|f| f.seat).collect();
    assert!(!blamed.is_empty() && blamed.iter().all(|s| *s == seat_index(1)), "{:#?}", report.findings);
}

#[test]
fn the_body_of_an_entry_has_one_spelling() {
    for (kind, broken) in [(json!("deposit"), &[][..]), (json!({"deposit": null}), &["record"])] {
        let mut c = settled();
        let body = json!({"event": "refused", "kind": kind, "rule": "malformed", "statement": Digest([1; 32])});
        let Value::Object(body) = body else { panic!("{body}") };
        spelled(&mut c, 0, "refused", None, body);
        c.settle();
        let class = if broken.is_empty() { Class::Ok } else { Class::Violation };
        expect(&verify(&c.full(), &c.genesis), class, broken);
    }
}

/// An authorisation that names these permits and answers, with a permit and an answer that nobody has.
fn with_gaps(c: &mut Cluster, permit: &Envelope, answer: &Envelope) -> Report {
    let (call, request) = (c.call(), c.request_digest());
    let decisions = gate::count(&c.nodes[0].facts, &request, c.now).unwrap().decisions;
    let named = |e: &Envelope, gone: &[u8]| BTreeSet::from([e.digest(), Digest::of(gone)]).into_iter().collect();
    let (permits, answers) = (named(permit, b"permit"), named(answer, b"answer"));
    c.log(0, &Event::Authorized { request, decisions, permits, answers }, Some(&call));
    c.settle();
    verify(&c.full(), &c.genesis)
}

#[test]
fn what_is_missing_hides_nothing_of_what_is_there() {
    let ready = |policy: &str| {
        let mut c = Cluster::bent(|charter| charter.policies[0].text = policy.into());
        c.ask();
        c.decide("leg", "legal", Choice::Approve);
        c.decide("dpo", "dpo", Choice::Approve);
        c
    };
    let waits = POLICY.replace("when {", "when { context.waited_seconds >= 3600 &&");
    // The policy, how old the permit and how much older the answer are, and what is wrong beside the gaps.
    for (policy, permit_s, answer_s, rule) in [
        (POLICY, 60, 0, None),
        (POLICY, 61, 0, Some("permit-invalid")),
        (POLICY, 60, 61, Some("answer-invalid")),
        (waits.as_str(), 60, 0, Some("policy-denies")),
    ] {
        let mut c = ready(policy);
        let answer = c.answer(1, 0);
        c.tick(answer_s);
        let permit = c.verdict(1, |v| {
            (v.outcome, v.lacking, v.reasons) = (Outcome::Permit, vec![], vec![]);
            v.valid_until = v.decided.plus_seconds(60);
        });
        c.tick(permit_s);
        let report = with_gaps(&mut c, &permit, &answer);
        let mine = report.findings.iter().filter(|f| f.seat == Some(seat_index(1)) && f.class > Class::Ok);
        let mine: BTreeSet<&str> = mine.map(|f| f.rule.as_str()).collect();
        assert_eq!(mine, ["unresolved"].into_iter().chain(rule).collect(), "{:#?}", report.findings);
    }
}

#[test]
fn what_a_bent_entry_names_is_there_for_its_sake() {
    for (kind, member, broken) in [
        ("release.authorized", "permits", "record"),
        ("release.aborted", "permits", "record"),
        ("release.x", "answers", "record"),
        ("witness.cosigned", "permits", "unreferenced"),
    ] {
        let mut c = settled();
        let answer = c.answer(1, 0);
        let body = json!({"event": "authorized", member: [answer.digest()], "more": 1});
        let Value::Object(body) = body else { panic!("{body}") };
        spelled(&mut c, 0, kind, None, body);
        c.settle();
        let mut files = c.full();
        files.insert(statement_path(&answer.envelope_digest()), answer.bytes().to_vec());
        let class = if broken == "record" { Class::Violation } else { Class::Tampered };
        expect(&verify(&repack(files), &c.genesis), class, &[broken]);
    }
}

#[test]
fn an_entry_is_of_a_time_that_can_be_said() {
    for (over, broken) in [(0, &[][..]), (1, &["record"])] {
        let mut c = settled();
        let last = u64::try_from(Timestamp::MAX.millis()).unwrap();
        let event = Event::Clock { by_ms: 1 };
        let node = &mut c.nodes[0];
        let bytes = node.chain.draft(last + over, "clock.anomaly", None, record::body(&event)).encode().unwrap();
        node.chain.push(&bytes).unwrap();
        node.tree.append(leaf_hash(&bytes));
        node.entries.push(bytes);
        for variant in [Variant::Full, Variant::NoContent] {
            let report = verify(&c.bundle_as(variant, &[0, 1, 2], |_, _| true), &c.genesis);
            let charged = report.findings.iter().filter(|f| f.class > Class::Incomplete).map(|f| f.rule.as_str());
            assert_eq!(charged.collect::<Vec<_>>(), broken, "{:#?}", report.findings);
        }
    }
}
