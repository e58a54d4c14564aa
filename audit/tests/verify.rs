//! The verifier on real histories: each class of finding, by the rule that must catch it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{Cluster, Files, seat_index};
use escrow_audit::bagit;
use escrow_audit::bundle::{Bundle, BundleBuilder, BundleError, Index, Meta};
use escrow_audit::checkpoint::Checkpoint;
use escrow_audit::entry::{Chain, Entry};
use escrow_audit::finding::{Class, Report};
use escrow_audit::note::NoteSigner;
use escrow_audit::verify::{Options, verify, verify_with};
use escrow_core::decision::Choice;
use escrow_core::request::Request;
use escrow_core::verdict::Outcome;
use escrow_core::{Digest, Envelope, Kind, Nonce};
use escrow_policy::Event;
use std::collections::BTreeSet;
use std::path::PathBuf;

fn settled() -> Cluster {
    let mut c = Cluster::honest();
    c.settle();
    c
}

fn all(_: usize, _: usize) -> bool {
    true
}

/// Asserts the verdict and that exactly these rules were broken.
fn expect(report: &Report, verdict: Class, rules: &[&str]) {
    let mut found: Vec<&str> =
        report.findings.iter().filter(|f| f.class > Class::Ok).map(|f| f.rule.as_str()).collect();
    found.sort_unstable();
    found.dedup();
    let mut rules = rules.to_vec();
    rules.sort_unstable();
    assert_eq!((report.verdict, found), (verdict, rules), "{:#?}", report.findings);
}

/// The package again around a changed payload, as an attacker without keys would make it.
fn repack(mut files: Files) -> Files {
    let info = files[bagit::INFO].clone();
    files.retain(|p, _| p.starts_with(bagit::PAYLOAD));
    let octets: usize = files.values().map(Vec::len).sum();
    let text = String::from_utf8(info).unwrap();
    let head = text.split("Payload-Oxum").next().unwrap();
    let info = format!("{head}Payload-Oxum: {octets}.{}\n", files.len());
    bagit::pack(files, info.as_bytes())
}

fn folder(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("verify-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    path
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

    let record = verify_with(&c.full(), &c.genesis, Options { policy_replay: false });
    assert_eq!((record.verdict, record.engine, record.policy_replayed()), (Class::Ok, None, false));
    assert_eq!(record.layers[5].why, "not asked for");
}

#[test]
fn an_authorisation_without_an_outcome_is_a_remark() {
    let mut c = Cluster::honest();
    let permit = c.verdict(1, |_| {});
    let (call, answer) = (c.call(), c.answer(1, 2));
    c.authorise(2, &call, &[&permit], &[&answer]);
    c.settle();
    let report = verify(&c.full(), &c.genesis);
    assert_eq!(report.verdict, Class::Ok, "{:#?}", report.findings);
    assert_eq!(report.findings.iter().map(|f| f.rule.as_str()).collect::<Vec<_>>(), ["dangling"]);
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

#[test]
fn a_folder_is_read_as_it_was_written_and_never_followed_out() {
    let c = settled();
    let bundle = Bundle { files: c.full() };
    let at = folder("round");
    bundle.write_dir(&at).unwrap();
    assert_eq!(Bundle::read_dir(&at).unwrap(), bundle);
    assert!(matches!(bundle.write_dir(&at), Err(BundleError::Io(..))), "overwritten");
    let outside = Bundle { files: [("../x".to_owned(), vec![])].into() };
    assert!(matches!(outside.write_dir(&folder("out")), Err(BundleError::Path(_))));

    let link = at.join("data/statements/link.json");
    std::os::unix::fs::symlink("/etc/hostname", &link).unwrap();
    let error = Bundle::read_dir(&at).unwrap_err();
    assert!(matches!(&error, BundleError::NotPlain(p) if *p == link), "{error}");
    assert_eq!(Report::unreadable(&c.genesis, error.to_string()).exit_code(), 2);
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("/etc", at.join("data/more")).unwrap();
    assert!(matches!(Bundle::read_dir(&at), Err(BundleError::NotPlain(_))));
    std::fs::remove_dir_all(&at).unwrap();
}

#[test]
fn malformed() {
    let c = settled();
    let run = |change: &dyn Fn(&mut Files)| {
        let mut files = c.full();
        change(&mut files);
        verify(&files, &c.genesis)
    };
    expect(&run(&|f| drop(f.remove("bagit.txt"))), Class::Malformed, &["not-a-bag"]);
    expect(&run(&|f| f.clear()), Class::Malformed, &["not-a-bag"]);
    expect(&run(&|f| drop(f.insert("data/../../x".into(), vec![]))), Class::Malformed, &["path"]);
    expect(&run(&|f| drop(f.remove("tagmanifest-sha256.txt"))), Class::Malformed, &["manifest"]);
    let report = run(&|f| {
        f.insert("data/bundle.json".into(), b"{}".to_vec());
        *f = repack(f.clone());
    });
    expect(&report, Class::Malformed, &["index"]);
    assert_eq!(report.exit_code(), 2);
    let not_done: Vec<_> = report.layers.iter().filter(|l| !l.done).map(|l| l.name).collect();
    assert_eq!(not_done, ["acts", "views", "record", "policy-replay"]);
}

#[test]
fn tampered_by_somebody_who_recomputes_every_manifest() {
    let c = settled();
    let good = c.full();
    let run = |change: &dyn Fn(&mut Files)| {
        let mut files = good.clone();
        change(&mut files);
        verify(&repack(files), &c.genesis)
    };
    let extra = format!("data/attachments/{}", Digest::of(b"x"));
    expect(&run(&|f| drop(f.insert(extra.clone(), b"x".to_vec()))), Class::Tampered, &["unreferenced"]);
    expect(&run(&|f| drop(f.insert("data/notes.txt".into(), vec![]))), Class::Tampered, &["unreferenced"]);
    expect(&run(&|f| drop(f.remove("data/logs/2/1/checkpoint.txt"))), Class::Tampered, &["missing"]);
    expect(&run(&|f| drop(f.remove("data/README.txt"))), Class::Tampered, &["missing"]);

    // The charter's file under another number, which would follow from nothing.
    let renumbered = run(&|f| {
        let charter = f.remove("data/charters/0001.json").unwrap();
        f.insert("data/charters/0007.json".into(), charter);
    });
    expect(&renumbered, Class::Tampered, &["name"]);

    // Free text beside data/, in the tag manifest too.
    let mut files = good.clone();
    files.insert("notes.txt".into(), b"guilty".to_vec());
    let line = format!("{}  notes.txt\n", Digest::of(b"guilty"));
    files.get_mut(bagit::TAG_MANIFEST).unwrap().extend(line.into_bytes());
    expect(&verify(&files, &c.genesis), Class::Malformed, &["manifest", "unlisted"]);

    // A genuine statement that no log names.
    let stray = c.call();
    let stray_path = format!("data/statements/{}.json", stray.envelope_digest());
    expect(&run(&|f| drop(f.insert(stray_path.clone(), stray.bytes().to_vec()))), Class::Tampered, &["unreferenced"]);

    // The index made to name another export, and the text that follows from it.
    let export = run(&|f| {
        let mut index = Index::decode(&f["data/bundle.json"]).unwrap();
        index.export = Nonce::random();
        f.insert("data/README.txt".into(), index.readme().into_bytes());
        f.insert("data/bundle.json".into(), index.encode());
    });
    expect(&export, Class::Tampered, &["export"]);

    // The tail of a log cut off, the index told so, the node's own note kept.
    let cut = run(&|f| {
        let lines = f.get_mut("data/logs/1/1/entries.jsonl").unwrap();
        lines.pop();
        let end = lines.iter().rposition(|b| *b == b'\n').unwrap();
        lines.truncate(end + 1);
        let mut index = Index::decode(&f["data/bundle.json"]).unwrap();
        index.logs[0].size -= 1;
        f.insert("data/README.txt".into(), index.readme().into_bytes());
        f.insert("data/bundle.json".into(), index.encode());
    });
    expect(&cut, Class::Tampered, &["root"]);

    // One entry changed and the chain after it made to fit, the node's own note kept: no node is blamed.
    let rechained = run(&|f| {
        let lines = rewritten(&c.nodes[0].entries, 3).1.iter().flat_map(|e| [e.as_slice(), b"\n"].concat()).collect();
        f.insert("data/logs/1/1/entries.jsonl".into(), lines);
    });
    expect(&rechained, Class::Tampered, &["root"]);

    // Everything genuine, and of an organisation that nobody here trusts.
    let report = verify(&good, &Digest::of(b"another charter"));
    expect(&report, Class::Tampered, &["charter-pinned"]);
}

/// Whoever removes a file makes the evidence incomplete; no node is blamed for what is not there.
#[test]
fn incomplete_what_the_logs_name_was_taken_out() {
    let c = settled();
    let good = c.full();
    let without = |path: &str| {
        let mut files = good.clone();
        files.remove(path).unwrap();
        verify(&repack(files), &c.genesis)
    };
    for kind in
        [Kind::Enrolment, Kind::Consent, Kind::Deposit, Kind::Decision, Kind::ReleaseCall, Kind::RestrictionAnswer]
    {
        let e = c.statements.iter().find(|e| e.kind() == kind).unwrap();
        let report = without(&format!("data/statements/{}.json", e.envelope_digest()));
        expect(&report, Class::Incomplete, &["unresolved"]);
    }
    // A verdict takes its context along: nothing else names that.
    for note in c.attachments.iter().rev().take(2) {
        expect(&without(&format!("data/attachments/{}", Digest::of(note))), Class::Incomplete, &["unresolved"]);
    }
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

#[test]
fn violation_delivered_after_a_withdrawal() {
    let (mut c, permits, call) = permitted();
    let answer = c.answer(1, 0);
    let authorized = c.authorise(0, &call, &[&permits[1]], &[&answer]);
    let note = c.cosigned(0, &[1]);
    c.withdraw(&[0]);
    let seq = c.deliver(0, authorized, &note, |_| {});
    let report = judged(c);
    expect(&report, Class::Violation, &["consent-withdrawn"]);
    let f = &report.findings[0];
    assert_eq!((f.file.as_str(), f.entry, f.seat), ("data/logs/1/1/entries.jsonl", Some(seq), Some(seat_index(1))));
    assert_eq!(report.exit_code(), 6);
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
        let report = verify_with(&c.full(), &c.genesis, Options { policy_replay: replay });
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
fn violation_authorised_without_enough_approvals() {
    let mut c = Cluster::new();
    c.ask();
    c.decide("leg", "legal", Choice::Approve);
    let (call, answer) = (c.call(), c.answer(1, 0));
    c.authorise(0, &call, &[], &[&answer]);
    expect(&judged(c), Class::Violation, &["pending"]);
}

#[test]
fn violation_authorised_without_permits_or_answers() {
    let (mut c, _, call) = permitted();
    let answer = c.answer(1, 0);
    c.authorise(0, &call, &[], &[&answer]);
    expect(&judged(c), Class::Violation, &["permits-missing"]);

    let (mut c, permits, call) = permitted();
    c.authorise(0, &call, &[&permits[1]], &[]);
    expect(&judged(c), Class::Violation, &["answer-invalid"]);

    let (mut c, permits, _) = permitted();
    c.tick(100);
    let (call, answer) = (c.call(), c.answer(1, 0));
    c.authorise(0, &call, &[&permits[1]], &[&answer]);
    expect(&judged(c), Class::Violation, &["permit-invalid"]);
}

#[test]
fn violation_a_verdict_that_the_policies_do_not_give() {
    let mut c = Cluster::new();
    c.ask();
    c.decide("leg", "legal", Choice::Approve);
    c.decide("dpo", "dpo", Choice::Approve);
    c.verdict(0, |v| {
        v.outcome = Outcome::Refuse;
        v.reasons = vec!["policy-denies".parse().unwrap()];
        v.valid_until = v.decided;
    });
    c.settle();
    let files = c.full();
    expect(&verify(&files, &c.genesis), Class::Violation, &["verdict-replay"]);
    // What only the engine can tell goes unnoticed without it, and the report says that.
    let record = verify_with(&files, &c.genesis, Options { policy_replay: false });
    assert_eq!((record.verdict, record.policy_replayed()), (Class::Ok, false));
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
    let record = verify_with(&c.full(), &c.genesis, Options { policy_replay: false });
    expect(&record, Class::Violation, &["verdict-approvers"]);
}

#[test]
fn violation_delivered_under_a_note_that_too_few_cosigned() {
    let (mut c, permits, call) = permitted();
    let answer = c.answer(1, 0);
    let authorized = c.authorise(0, &call, &[&permits[1]], &[&answer]);
    let alone = c.nodes[0].head(c.nodes[0].tree.size());
    c.deliver(0, authorized, &alone, |_| {});
    expect(&judged(c), Class::Violation, &["cosignatures"]);
}

#[test]
fn violation_each_rule_of_a_delivery() {
    type Bend = fn(&mut Cluster, &[Envelope], &Envelope);
    let cases: [(&str, Bend); 9] = [
        ("authorization-age", |c, p, call| {
            let answer = c.answer(1, 0);
            let a = c.authorise(0, call, &[&p[1]], &[&answer]);
            let note = c.cosigned(0, &[1]);
            c.tick(60);
            c.deliver(0, a, &note, |_| {});
        }),
        ("authorization", |c, p, call| {
            let answer = c.answer(1, 0);
            let a = c.authorise(0, call, &[&p[1]], &[&answer]);
            let note = c.cosigned(0, &[1]);
            c.deliver(0, a, &note, |_| {});
            c.deliver(0, a, &note, |_| {});
        }),
        ("authorization-restart", |c, p, call| {
            let answer = c.answer(1, 0);
            let a = c.authorise(0, call, &[&p[1]], &[&answer]);
            let note = c.cosigned(0, &[1]);
            c.log(0, &Event::Ready { peers: vec![seat_index(2), seat_index(3)] }, None);
            c.deliver(0, a, &note, |_| {});
        }),
        ("note-size", |c, p, call| {
            let note = c.cosigned(0, &[1]);
            let answer = c.answer(1, 0);
            let a = c.authorise(0, call, &[&p[1]], &[&answer]);
            c.deliver(0, a, &note, |_| {});
        }),
        ("cosignatures", |c, p, call| {
            // Cosigned by itself only: the log's own seat is no peer.
            let answer = c.answer(1, 0);
            let a = c.authorise(0, call, &[&p[1]], &[&answer]);
            let note = c.cosigned(0, &[0]);
            c.deliver(0, a, &note, |_| {});
        }),
        ("release-scope", |c, p, call| {
            let answer = c.answer(1, 0);
            let a = c.authorise(0, call, &[&p[1]], &[&answer]);
            let note = c.cosigned(0, &[1]);
            c.deliver(0, a, &note, |r| r.recipient = Digest::of(b"another key"));
        }),
        ("release-scope", |c, p, call| {
            let answer = c.answer(1, 0);
            let a = c.authorise(0, call, &[&p[1]], &[&answer]);
            let note = c.cosigned(0, &[1]);
            c.deliver(0, a, &note, |r| r.items.truncate(1));
        }),
        ("release-statement", |c, p, call| {
            let answer = c.answer(1, 0);
            let a = c.authorise(0, call, &[&p[1]], &[&answer]);
            let note = c.cosigned(0, &[1]);
            c.deliver(0, a, &note, |r| r.reply = Digest::of(b"another reply"));
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
fn violation_a_permit_that_its_own_log_does_not_have() {
    let (mut c, _, call) = permitted();
    // Seat 2 signs a second permit and leaves it out of its log.
    let before =
        (c.nodes[1].entries.clone(), c.nodes[1].chain.clone(), c.nodes[1].tree.clone(), c.nodes[1].facts.clone());
    let hidden = c.verdict(1, |_| {});
    let n = &mut c.nodes[1];
    (n.entries, n.chain, n.tree, n.facts) = before;
    c.tick(1);
    let answer = c.answer(1, 0);
    c.authorise(0, &call, &[&hidden], &[&answer]);
    expect(&judged(c), Class::Violation, &["verdict-unlogged"]);
}

/// The entries of a log with one time changed and the chain recomputed.
fn rewritten(entries: &[Vec<u8>], at: usize) -> (Chain, Vec<Vec<u8>>) {
    let first = Entry::decode(&entries[0]).unwrap();
    let mut chain = Chain::new(&first.log);
    let mut out = Vec::new();
    for (i, bytes) in entries.iter().enumerate() {
        let mut e = Entry::decode(bytes).unwrap();
        e.prev = chain.head();
        e.ts += u64::from(i == at);
        let bytes = e.encode().unwrap();
        chain.push(&bytes).unwrap();
        out.push(bytes);
    }
    (chain, out)
}

#[test]
fn misbehaviour_a_log_rewritten_and_signed_again_with_its_real_key() {
    let mut c = settled();
    let (chain, entries) = rewritten(&c.nodes[0].entries, 1);
    let n = &mut c.nodes[0];
    n.tree = entries.iter().map(|e| escrow_audit::entry::leaf_hash(e)).collect();
    (n.chain, n.entries) = (chain, entries);
    let report = verify(&c.full(), &c.genesis);
    expect(&report, Class::Misbehaviour, &["fork", "cosigned-elsewhere"]);
    let key = escrow_audit::seat::log_verifier(&c.charter.seats[0]).unwrap().to_string();
    let forks: Vec<_> = report.findings.iter().filter(|f| f.rule == "fork").collect();
    assert!(forks.iter().all(|f| f.detail.contains(&key) && f.detail.contains("data/logs/1/1/checkpoint.txt")));
    // Both peers' views and the note of the delivery show the other history.
    let files: Vec<_> = forks.iter().map(|f| f.file.as_str()).collect();
    assert!(files.contains(&"data/views/2-1.json") && files.contains(&"data/views/3-1.json"), "{files:?}");
    assert!(files.iter().any(|f| f.starts_with("data/attachments/")));
    assert_eq!(report.exit_code(), 6);
}

#[test]
fn misbehaviour_two_heads_of_one_size() {
    // Peers 2 and 3 hold different heads of log 1, of a size that the export does not reach.
    for (size, rules) in [(0, &["fork"][..]), (7, &["fork", "log-short"])] {
        let mut c = settled();
        let node = &c.nodes[0];
        let signer = NoteSigner::new(node.chain.origin(), &node.log_key).unwrap();
        let head = |root: u8| {
            let size = node.tree.size() + size;
            Checkpoint::new(node.chain.origin(), size, [root; 32]).unwrap().sign(&signer).unwrap()
        };
        let (a, b) = (head(1), head(2));
        c.nodes[0].held.insert(seat_index(2), a);
        c.nodes[0].held.insert(seat_index(3), b);
        expect(&verify(&c.full(), &c.genesis), Class::Misbehaviour, rules);
        // Also if that log itself was left out.
        let report = verify(&c.bundle(&[1, 2], all), &c.genesis);
        expect(&report, Class::Misbehaviour, &["fork", "log-missing"]);
    }
}

#[test]
fn misbehaviour_administrators_who_sign_two_successors() {
    let mut c = Cluster::new();
    let next = |c: &Cluster| {
        let mut next = c.charter.clone();
        (next.version, next.previous, next.nonce) = (2, Some(c.genesis), Nonce::random());
        c.signed(&next, &["ann", "bob"])
    };
    let (a, b) = (next(&c), next(&c));
    c.submit(&a);
    c.submit(&b);
    let report = judged(c);
    expect(&report, Class::Misbehaviour, &["charter-fork"]);
    assert_eq!(report.counts.charters, 3);
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

    // Views from before the last release say nothing about it.
    let mut c = Cluster::new();
    c.ask();
    c.settle();
    let held: Vec<_> = c.nodes.iter().map(|n| n.held.clone()).collect();
    c.decide("leg", "legal", Choice::Approve);
    c.decide("dpo", "dpo", Choice::Approve);
    let permits: Vec<_> = (0..2).map(|n| c.verdict(n, |_| {})).collect();
    let call = c.call();
    c.release(0, 1, &call, &permits[1]);
    for (n, held) in c.nodes.iter_mut().zip(held) {
        n.held = held;
    }
    let report = verify(&c.full(), &c.genesis);
    expect(&report, Class::Incomplete, &["views-missing"]);
    assert!(report.findings.iter().all(|f| f.rule == "view-old" || f.seat == Some(seat_index(1))));
}

#[test]
fn incomplete_a_log_cut_under_an_older_genuine_head() {
    let mut c = settled();
    let keep = 8;
    let old = c.nodes[2].head(keep);
    let n = &mut c.nodes[2];
    n.entries.truncate(usize::try_from(keep).unwrap());
    n.tree = n.entries.iter().map(|e| escrow_audit::entry::leaf_hash(e)).collect();
    assert_eq!(n.tree.root(), *old.root());
    let verdict = c.statements.iter().rposition(|e| e.kind() == Kind::Verdict).unwrap();
    let gone = c.statements.remove(verdict);
    c.attachments.retain(|a| Some(Digest::of(a)) != gone.decode::<escrow_core::verdict::Verdict>().unwrap().context);
    let report = verify(&c.full(), &c.genesis);
    expect(&report, Class::Incomplete, &["log-short"]);
    assert!(
        report.findings.iter().any(|f| f.detail.contains("log shorter than cosigned size 13")),
        "{:#?}",
        report.findings
    );
}
