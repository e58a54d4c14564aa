//! The verifier on real histories: each class of finding, by the rule that must catch it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::forge::{expect, repack};
use common::{Cluster, seat_index};
use escrow_audit::bundle::{BundleBuilder, Index, Meta};
use escrow_audit::finding::{Class, Report};
use escrow_audit::verify::{Options, verify, verify_with};
use escrow_core::decision::Choice;
use escrow_core::request::Request;
use escrow_core::verdict::Outcome;
use escrow_core::{Digest, Envelope, Kind, Nonce};
use escrow_policy::Event;
use std::collections::BTreeSet;

fn settled() -> Cluster {
    let mut c = Cluster::honest();
    c.settle();
    c
}

fn all(_: usize, _: usize) -> bool {
    true
}

#[test]
fn an_honest_story_is_ok() {
    let c = settled();
    let report = verify(&c.full(), &c.genesis);
    assert_eq!(report.findings, vec![]);
    assert_eq!((report.verdict, report.exit_code()), (Class::Ok, 0));
    assert!(report.policy_replayed() && report.engine.is_some());
    assert!(report.logs.iter().all(|l| l.views == 2 && l.fork_bound == 1));
    assert_eq!(report.counts.verdicts["permit"], 3);
    assert_eq!((report.counts.authorized, report.counts.delivered, report.counts.requests), (2, 2, 1));
    let replies: Vec<_> = report.releases.iter().map(|r| (r.seat.get(), r.attempt, r.recipient)).collect();
    let officer = c.officer.public().digest();
    assert_eq!(replies, [(1, 1, officer), (2, 1, officer)]);
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!((&json["schema"], &json["verdict"]), (&"escrow.report.v1".into(), &"OK".into()));

    let record = verify_with(&c.full(), &c.genesis, Options { policy_replay: false, ..Options::default() });
    assert_eq!((record.verdict, record.engine, record.policy_replayed()), (Class::Ok, None, false));
    assert_eq!(record.layers[5].why, "not asked for");
}

#[test]
fn the_same_parts_give_the_same_bundle() {
    let c = settled();
    let (export, requests) = (Nonce::random(), vec![c.request_digest()]);
    let view = c.view(0, 1, export, None);
    let build = |backwards: bool| {
        let mut b = BundleBuilder::new();
        let mut nodes: Vec<_> = c.nodes.iter().collect();
        let mut statements = c.statements.clone();
        let mut attachments = c.attachments.clone();
        if backwards {
            nodes.reverse();
            statements.reverse();
            attachments.reverse();
        }
        for n in nodes {
            b.add_log(n.index, n.entries.clone(), n.head(n.tree.size()).to_bytes()).unwrap();
        }
        for s in statements.iter().chain(&statements) {
            b.add_statement(s.bytes()).unwrap();
        }
        for a in attachments {
            b.add_attachment(a);
        }
        b.add_view(view.bytes()).unwrap();
        b.finish(&Meta { export, requests: requests.clone() }).unwrap()
    };
    assert_eq!(build(false), build(true));
}

/// A node that signs nonsense is blamed for it, and cannot keep the others from being judged.
#[test]
fn nonsense_with_a_signature_spoils_nothing_else() {
    // An entry that is none, under a head that the log's key signed.
    let mut c = settled();
    let whole = c.full();
    let n = &mut c.nodes[2];
    n.entries.push(b"{}".to_vec());
    n.tree.append(escrow_audit::entry::leaf_hash(b"{}"));
    let head = n.head(n.tree.size());
    let mut files = whole;
    let mut lines = c.nodes[2].entries.join(&b'\n');
    lines.push(b'\n');
    files.insert("data/logs/3/1/entries.jsonl".into(), lines);
    files.insert("data/logs/3/1/checkpoint.txt".into(), head.to_bytes());
    let mut index = Index::decode(&files["data/bundle.json"]).unwrap();
    index.logs[2].size += 1;
    files.insert("data/README.txt".into(), index.readme().into_bytes());
    files.insert("data/bundle.json".into(), index.encode());
    let report = verify(&repack(files), &c.genesis);
    expect(&report, Class::Violation, &["chain"]);
    assert_eq!((report.findings[0].seat, report.releases.len()), (Some(seat_index(3)), 2));

    // A view of another export, genuine and well named: it counts for nothing.
    let c = settled();
    let mut files = c.full();
    let other = c.view(0, 1, Nonce::random(), None);
    files.insert("data/views/1-2.json".into(), other.bytes().to_vec());
    expect(&verify(&repack(files), &c.genesis), Class::Incomplete, &["view-foreign", "views-missing"]);
}

#[test]
fn what_nodes_hand_over_too_much_is_left_out() {
    let mut c = settled();
    let answer = c.statements.iter().find(|e| e.kind() == Kind::RestrictionAnswer).unwrap();
    let forged = Envelope::parse(&broken_signature(answer)).unwrap();
    assert_eq!(forged.digest(), answer.digest());
    let stray = c.call();
    c.statements.extend([forged, stray]);
    c.attachments.push(b"stray".to_vec());
    expect(&verify(&c.full(), &c.genesis), Class::Ok, &[]);
}

fn broken_signature(envelope: &Envelope) -> Vec<u8> {
    let mut bytes = envelope.bytes().to_vec();
    let at = bytes.windows(7).position(|w| w == b"\"sig\":\"").unwrap() + 10;
    bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
    bytes
}

#[test]
fn a_flipped_signature_is_nobodys_misdeed() {
    let c = settled();
    let answer = c.statements.iter().find(|e| e.kind() == Kind::RestrictionAnswer).unwrap();
    let bytes = broken_signature(answer);
    let mut files = c.full();
    files.remove(&format!("data/statements/{}.json", answer.envelope_digest()));
    files.insert(format!("data/statements/{}.json", Digest::of(&bytes)), bytes);
    expect(&verify(&repack(files), &c.genesis), Class::Tampered, &["signature"]);
}

/// Verifies a bent history after its peers cosigned it.
fn judged(mut c: Cluster) -> Report {
    c.settle();
    verify(&c.full(), &c.genesis)
}

/// A story up to the three permits, one release-call and one answer of seat 2 to seat 1.
fn permitted() -> (Cluster, Vec<Envelope>, Envelope) {
    let mut c = Cluster::new();
    c.ask();
    c.decide("leg", "legal", Choice::Approve);
    c.decide("dpo", "dpo", Choice::Approve);
    let permits = (0..3).map(|n| c.verdict(n, |_| {})).collect();
    let call = c.call();
    (c, permits, call)
}

/// A self-recovery up to the permits, after the device was enrolled for this long.
fn recovering(after_s: i64) -> (Cluster, Vec<Envelope>, Envelope) {
    let mut c = Cluster::new();
    c.recover(after_s);
    let permits = (0..3).map(|n| c.verdict(n, |_| {})).collect();
    let call = c.call();
    (c, permits, call)
}

#[test]
fn a_self_recovery_is_judged_as_requests_are() {
    let (mut c, permits, call) = recovering(86_400);
    c.release(0, 1, &call, &permits[1]);
    c.release(1, 2, &call, &permits[0]);
    assert_eq!(c.refusals, Vec::<String>::new());
    c.settle();
    let files = c.full();
    let report = verify(&files, &c.genesis);
    assert_eq!((report.verdict, report.findings), (Class::Ok, vec![]));
    assert_eq!((report.counts.requests, report.counts.recoveries, report.counts.delivered), (1, 1, 2));
    assert_eq!(report.counts.verdicts["permit"], 3);
    let tablet = c.tablet_sealing.public().digest();
    assert!(report.releases.iter().all(|r| r.request == c.request_digest() && r.recipient == tablet));
    assert_eq!(report.releases.len(), 2);
    // It belongs to no matter, so the bag is named after the organisation.
    let info = String::from_utf8(files["bag-info.txt"].clone()).unwrap();
    assert!(info.contains("External-Identifier: acme\n"), "{info}");

    // Sealed to another key, or other items: as with a request.
    for bend in [(|r: &mut escrow_core::release::Release| r.recipient = Digest::of(b"x")) as fn(&mut _), |r| {
        r.items.truncate(1)
    }] {
        let (mut c, permits, call) = recovering(86_400);
        let answer = c.answer(1, 0);
        let authorized = c.authorise(0, &call, &[&permits[1]], &[&answer]);
        let note = c.cosigned(0, &[1]);
        c.deliver(0, authorized, &note, bend);
        expect(&judged(c), Class::Violation, &["release-scope"]);
    }
}

#[test]
fn violation_a_self_recovery_delivered_too_early() {
    // An honest node says so in its verdict, and nothing is wrong with that.
    let (c, ..) = recovering(86_000);
    assert_eq!(c.refusals, Vec::<String>::new());
    expect(&judged(c), Class::Ok, &[]);

    // The others are late enough; the first node delivers what its own log does not allow.
    let (mut c, _, call) = recovering(86_000);
    let mut permit = c.verdict(1, |_| {}).decode::<escrow_core::verdict::Verdict>().unwrap();
    assert_eq!(permit.outcome, Outcome::Refuse);
    assert_eq!(permit.reasons, ["recovery-delay".parse().unwrap()]);
    (permit.outcome, permit.reasons, permit.nonce) = (Outcome::Permit, vec![], Nonce::random());
    permit.valid_until = permit.decided.plus_seconds(60);
    let permit = Envelope::sign(&permit, &[&c.nodes[1].statement]).unwrap();
    c.log(1, &Event::Statement {}, Some(&permit));
    let answer = c.answer(1, 0);
    let authorized = c.authorise(0, &call, &[&permit], &[&answer]);
    let note = c.cosigned(0, &[1]);
    let seq = c.deliver(0, authorized, &note, |_| {});
    c.settle();
    for replay in [true, false] {
        let report = verify_with(&c.full(), &c.genesis, Options { policy_replay: replay, ..Options::default() });
        expect(&report, Class::Violation, &["recovery-delay", "verdict-floor"]);
        let first = report.findings.iter().filter(|f| f.rule == "recovery-delay" && f.seat == Some(seat_index(1)));
        assert_eq!(first.map(|f| f.entry).collect::<BTreeSet<_>>(), [Some(authorized), Some(seq)].into());
    }
}

#[test]
fn violation_delivered_after_a_veto() {
    let (mut c, permits, call) = recovering(86_400);
    let answer = c.answer(1, 0);
    let authorized = c.authorise(0, &call, &[&permits[1]], &[&answer]);
    let note = c.cosigned(0, &[1]);
    c.veto(&[0]);
    let seq = c.deliver(0, authorized, &note, |_| {});
    let report = judged(c);
    expect(&report, Class::Violation, &["recovery-vetoed"]);
    assert_eq!((report.findings[0].entry, report.findings[0].seat), (Some(seq), Some(seat_index(1))));
    assert_eq!(report.counts.restrictions, 1);

    // Named by an answer that the node relied on, and not in its own log: it never looked.
    let (mut c, permits, call) = recovering(86_400);
    c.veto(&[1]);
    let answer = c.answer(1, 0);
    c.authorise(0, &call, &[&permits[1]], &[&answer]);
    expect(&judged(c), Class::Violation, &["answer-invalid"]);
}

#[test]
fn violation_an_answer_that_leaves_out_matter_consent_or_key() {
    type Bend = fn(&mut escrow_core::restriction::RestrictionAnswer);
    let cases: [Bend; 5] = [
        |a| a.matter = None,
        |a| a.matter = Some("MAT-2".parse().unwrap()),
        |a| a.consents.clear(),
        |a| a.revocable.clear(),
        |a| drop(a.revocable.pop()),
    ];
    for bend in cases {
        let (mut c, permits, call) = permitted();
        let mut answer = c.answer(1, 0).decode::<escrow_core::restriction::RestrictionAnswer>().unwrap();
        bend(&mut answer);
        let answer = Envelope::sign(&answer, &[&c.nodes[1].statement]).unwrap();
        c.statements.push(answer.clone());
        c.authorise(0, &call, &[&permits[1]], &[&answer]);
        expect(&judged(c), Class::Violation, &["answer-invalid"]);
    }
}

#[test]
fn violation_a_verdict_whose_record_is_wrong() {
    type Bend = fn(&mut escrow_core::verdict::Verdict);
    let cases: [(&str, Bend); 5] = [
        ("verdict-decisions", |v| v.decisions.truncate(1)),
        ("verdict-time", |v| v.decided = v.decided.plus_seconds(-1)),
        ("verdict-life", |v| v.valid_until = v.valid_until.plus_seconds(60)),
        ("verdict-charter", |v| v.charter = Digest::of(b"x")),
        ("verdict-floor", |v| v.context = None),
    ];
    for (rule, bend) in cases {
        let mut c = Cluster::new();
        c.ask();
        c.decide("leg", "legal", Choice::Approve);
        c.decide("dpo", "dpo", Choice::Approve);
        c.verdict(0, bend);
        c.attachments.clear();
        let named = c.statements.last().unwrap().decode::<escrow_core::verdict::Verdict>().unwrap().context;
        let context = escrow_policy::gate::count(&c.nodes[1].facts, &c.request_digest(), c.now).unwrap().context;
        c.attachments.extend(named.map(|_| context));
        let report = judged(c);
        assert_eq!(report.verdict, Class::Violation, "{rule}: {:#?}", report.findings);
        assert!(report.findings.iter().any(|f| f.rule == rule), "{rule}: {:#?}", report.findings);
    }
    // Permits on one approval: the floor, whatever the policy.
    let mut c = Cluster::new();
    c.ask();
    c.decide("leg", "legal", Choice::Approve);
    c.verdict(0, |v| {
        v.outcome = Outcome::Permit;
        v.lacking.clear();
        v.valid_until = v.decided.plus_seconds(60);
    });
    c.settle();
    let record = verify_with(&c.full(), &c.genesis, Options { policy_replay: false, ..Options::default() });
    expect(&record, Class::Violation, &["verdict-approvers"]);
}

#[test]
fn violation_delivered_by_the_word_of_another_seat() {
    type Bend = fn(&mut Cluster, &[Envelope], &Envelope);
    let cases: [(&str, Bend); 2] = [
        ("cosignatures", |c, p, call| {
            // Cosigned by itself only: the log's own seat is no peer.
            let answer = c.answer(1, 0);
            let a = c.authorise(0, call, &[&p[1]], &[&answer]);
            let note = c.cosigned(0, &[0]);
            c.deliver(0, a, &note, |_| {});
        }),
        ("wrong-signer", |c, p, call| {
            let answer = c.answer(1, 0);
            let a = c.authorise(0, call, &[&p[1]], &[&answer]);
            let note = c.cosigned(0, &[1]);
            c.deliver(0, a, &note, |r| r.seat = seat_index(2));
        }),
    ];
    for (rule, bend) in cases {
        let (mut c, permits, call) = permitted();
        bend(&mut c, &permits, &call);
        let report = judged(c);
        assert_eq!(report.verdict, Class::Violation, "{rule}: {:#?}", report.findings);
        assert!(report.findings.iter().any(|f| f.rule == rule), "{rule}: {:#?}", report.findings);
    }
}

#[test]
fn violation_of_admission_order_and_office() {
    // A request by somebody without that office.
    let mut c = Cluster::new();
    c.ask();
    let mut r: Request = c.request.as_ref().unwrap().decode().unwrap();
    (r.by, r.nonce) = ("leg".parse().unwrap(), Nonce::random());
    c.submit_to(&[1], &c.signed(&r, &["leg"]));
    expect(&judged(c), Class::Violation, &["not-entitled"]);

    // One statement logged twice, which would move its first-logged time.
    let mut c = Cluster::new();
    c.ask();
    let request = c.request.clone().unwrap();
    c.submit_to(&[1], &request);
    expect(&judged(c), Class::Violation, &["logged-twice"]);

    // READY on the word of one peer.
    let mut c = Cluster::honest();
    c.log(0, &Event::Ready { peers: vec![seat_index(2), seat_index(2), seat_index(1)] }, None);
    expect(&judged(c), Class::Violation, &["ready-quorum"]);

    // A witness that went back.
    let mut c = settled();
    let old = c.nodes[0].head(3);
    let event = Event::Cosigned { origin: old.origin().into(), size: 3, root: Digest(*old.root()) };
    c.log(2, &event, None);
    expect(&verify(&c.full(), &c.genesis), Class::Violation, &["cosigned-backwards"]);
}

#[test]
fn incomplete() {
    let c = settled();
    // One view of two for each log: a node and one peer could have told another story.
    let report = verify(&c.bundle(&[0, 1, 2], |viewer, viewed| viewer == (viewed + 1) % 3), &c.genesis);
    expect(&report, Class::Incomplete, &["views-missing"]);
    assert_eq!((report.findings.len(), report.exit_code()), (3, 8));
    assert!(report.logs.iter().all(|l| l.fork_bound == 0));
    expect(&verify(&c.bundle(&[0, 1, 2], |_, _| false), &c.genesis), Class::Incomplete, &["views-missing"]);
    expect(&verify(&c.bundle(&[0, 1], all), &c.genesis), Class::Incomplete, &["log-missing"]);
}

/// What is bound by nothing would be free text in a folder that verifies.
#[test]
fn tampered_what_follows_from_nothing() {
    let c = settled();
    let mut files = c.full();
    let charter = files.remove("data/charters/0001.json").unwrap();
    files.insert("data/charters/0007.json".into(), charter);
    let report = verify(&repack(files), &c.genesis);
    expect(&report, Class::Tampered, &["name"]);
    assert_eq!(report.findings.len(), 1, "told once");

    // Beside data/, in the tag manifest too.
    let mut files = c.full();
    files.insert("notes.txt".into(), b"guilty".to_vec());
    expect(&verify(&files, &c.genesis), Class::Tampered, &["unlisted"]);
    let line = format!("{}  notes.txt\n", Digest::of(b"guilty"));
    files.get_mut("tagmanifest-sha256.txt").unwrap().extend(line.into_bytes());
    expect(&verify(&files, &c.genesis), Class::Malformed, &["manifest", "unlisted"]);
}
