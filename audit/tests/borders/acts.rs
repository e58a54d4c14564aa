//! What an act in a log may say, at its borders: who cosigned what, where a log goes on, how many acts
//! there were, and each part of a verdict against what the log makes of the request.

use crate::common::forge::{expect, repack};
use crate::common::moved::{Lies, THREE, moved, released};
use crate::common::{Cluster, POLICY, seat_index};
use escrow_audit::finding::{Class, Finding, Report};
use escrow_audit::verify::{Options, verify, verify_with};
use escrow_core::decision::Choice;
use escrow_core::request::{Recipient, RecipientPerson, Request};
use escrow_core::sealing::{SealingSecret, Suite};
use escrow_core::verdict::{Lacking, Outcome, PolicyResult, Verdict};
use escrow_core::{Code, Digest, Envelope, Nonce, Timestamp};
use escrow_policy::Event;

fn settled() -> Cluster {
    let mut c = Cluster::honest();
    c.settle();
    c
}

/// The verdict on acts that break these rules.
fn class(broken: &[&str]) -> Class {
    if broken.is_empty() { Class::Ok } else { Class::Violation }
}

fn cosigned(c: &mut Cluster, size: u64, root: [u8; 32]) {
    let origin = c.nodes[0].chain.origin().to_owned();
    c.log(2, &Event::Cosigned { origin, size, root: Digest(root) }, None);
}

#[test]
fn a_witness_may_repeat_its_newest_head_and_go_neither_back_nor_elsewhere() {
    // Steps back from the newest head, whether the root is that of the size said, what is broken.
    let cases: [(u64, bool, &[&str]); 4] = [
        (0, true, &[]),
        (0, false, &["cosigned-backwards", "cosigned-elsewhere"]),
        (1, true, &["cosigned-backwards"]),
        (1, false, &["cosigned-backwards", "cosigned-elsewhere"]),
    ];
    for (back, honest, broken) in cases {
        let mut c = settled();
        let tree = &c.nodes[0].tree;
        let newest = tree.size();
        let size = newest - back;
        // The other root is not made up: the one before for the newest size, the newest for the one before.
        let root_of = if honest { size } else { newest - 1 + back };
        let (first, root) = (tree.root(), tree.root_at(root_of).unwrap());
        cosigned(&mut c, newest, first);
        cosigned(&mut c, size, root);
        expect(&verify(&c.full(), &c.genesis), class(broken), broken);
    }
}

#[test]
fn who_went_back_once_is_still_behind_the_largest_head() {
    let mut c = settled();
    let seqs = [60, 40, 50, 60, 61].map(|size| {
        c.log(2, &Event::Cosigned { origin: "acme/9/log".into(), size, root: Digest([size as u8; 32]) }, None)
    });
    let report = verify(&c.full(), &c.genesis);
    expect(&report, Class::Violation, &["cosigned-backwards"]);
    let back = report.findings.iter().filter(|f| f.rule == "cosigned-backwards").filter_map(|f| f.entry);
    assert_eq!(back.collect::<Vec<_>>(), seqs[1..3]);
}

#[test]
fn a_later_log_says_what_it_goes_on_from_in_its_first_entry_only() {
    let m = released(moved(&Lies::default()));
    expect(&verify(&m.c.full(), &m.genesis), Class::Ok, &[]);
    // True in every word, and the fold has nothing against it.
    let mut m = released(moved(&Lies::default()));
    let tree = &m.c.nodes[THREE].tree;
    let (log, size, root) = ("acme/3/log/2".to_owned(), tree.size(), Digest(tree.root()));
    m.c.log(THREE, &Event::Continued { seat: seat_index(3), log, size, root }, None);
    assert_eq!(m.c.refusals, Vec::<String>::new());
    let report = verify(&m.c.full(), &m.genesis);
    expect(&report, Class::Violation, &["continued"]);
    assert_eq!(report.findings.iter().find(|f| f.rule == "continued").unwrap().entry, Some(size));
}

#[test]
fn what_a_log_says_is_weighed_to_its_last_judged_entry_and_not_beyond() {
    let lie = |c: &mut Cluster| {
        let size = c.nodes[0].tree.size();
        cosigned(c, size, [7; 32]);
    };
    let mut c = settled();
    lie(&mut c);
    let last = c.nodes[2].tree.size() - 1;
    let report = verify(&c.full(), &c.genesis);
    expect(&report, Class::Incomplete, &["cosigned-elsewhere"]);
    assert_eq!(report.findings[0].entry, Some(last));

    // Right behind a statement that is not in the bundle, nothing is judged any more.
    let mut c = settled();
    let mut request: Request = c.request.as_ref().unwrap().decode().unwrap();
    request.nonce = Nonce::random();
    let request = c.signed(&request, &["req"]);
    c.submit_to(&[2], &request);
    lie(&mut c);
    let mut files = c.full();
    files.remove(&format!("data/statements/{}.json", request.envelope_digest())).unwrap();
    expect(&verify(&repack(files), &c.genesis), Class::Incomplete, &["unresolved"]);
}

#[test]
fn a_report_counts_what_all_logs_together_have() {
    let mut c = settled();
    let request = c.request_digest();
    let permits: Vec<Envelope> = (0..2).map(|n| c.verdict(n, |_| {})).collect();
    for n in [0, 1, 0] {
        let (call, answer) = (c.call(), c.answer(1 - n, n));
        let authorized = c.authorise(n, &call, &[&permits[1 - n]], &[&answer]);
        let reason = "peers-missing".parse().unwrap();
        c.log(n, &Event::Aborted { authorized, request, reason }, None);
    }
    c.settle();
    let report = verify(&c.full(), &c.genesis);
    expect(&report, Class::Ok, &[]);
    let counts = &report.counts;
    assert_eq!((counts.authorized, counts.delivered, counts.aborted), (5, 2, 3));
    assert_eq!(counts.entries, c.nodes.iter().map(|n| n.entries.len() as u64).sum::<u64>());
}

#[test]
fn a_log_is_charged_with_a_thousand_findings_and_no_more() {
    for (wrong, told) in [(999, 999), (1_000, 1_000), (1_001, 1_000)] {
        let mut c = settled();
        for _ in 0..wrong {
            c.log(2, &Event::Clock { by_ms: 0 }, None);
        }
        let report = verify(&c.full(), &c.genesis);
        expect(&report, Class::Violation, &["clock"]);
        assert_eq!(report.findings.len(), told);
    }
}

#[test]
fn a_permit_is_missed_in_its_signers_log_once_that_has_a_later_entry() {
    let relied_on = || {
        let mut c = Cluster::new();
        c.ask();
        c.decide("leg", "legal", Choice::Approve);
        c.decide("dpo", "dpo", Choice::Approve);
        c.settle();
        let mut unlogged: Verdict = c.verdict(1, |_| {}).decode().unwrap();
        unlogged.nonce = Nonce::random();
        let unlogged = Envelope::sign(&unlogged, &[&c.nodes[1].statement]).unwrap();
        c.statements.push(unlogged.clone());
        let (call, answer) = (c.call(), c.answer(1, 0));
        // All in the instant of the permit.
        c.tick(-1);
        let authorized = c.authorise(0, &call, &[&unlogged], &[&answer]);
        c.tick(-1);
        c.cosigned(0, &[1, 2]);
        (c, authorized)
    };
    let (c, _) = relied_on();
    expect(&verify(&c.full(), &c.genesis), Class::Ok, &[]);
    let (mut c, authorized) = relied_on();
    c.now = Timestamp::from_millis(c.now.millis() + 1);
    c.log(1, &Event::Clock { by_ms: 1 }, None);
    let report = verify(&c.full(), &c.genesis);
    expect(&report, Class::Violation, &["verdict-unlogged"]);
    let found = report.findings.iter().find(|f| f.rule == "verdict-unlogged").unwrap();
    assert_eq!(found.seat, Some(seat_index(2)));
    assert!(found.detail.contains(&format!("entry {authorized},")), "{found}");
}

type Bend<'b> = &'b dyn Fn(&mut Verdict);

/// Findings about one verdict, without and with the policies asked again.
type Told = [Vec<Finding>; 2];

/// Seat 1 logs verdicts on one request, each bent in its own way; what is found about each. There is
/// nothing else to find.
fn judged(mut c: Cluster, bends: &[Bend<'_>]) -> Vec<Told> {
    let mut entries = vec![];
    for bend in bends {
        c.verdict(0, bend);
        entries.push(Some(c.nodes[0].tree.size() - 1));
    }
    c.settle();
    let files = c.full();
    let record = verify_with(&files, &c.genesis, Options { policy_replay: false, ..Options::default() });
    let reports = [record, verify(&files, &c.genesis)];
    for report in &reports {
        assert_eq!(report.verdict, if report.findings.is_empty() { Class::Ok } else { Class::Violation });
        let about = |f: &Finding| f.seat == Some(seat_index(1)) && entries.contains(&f.entry);
        assert!(report.findings.iter().all(about), "{:#?}", report.findings);
    }
    let about = |r: &Report, entry| r.findings.iter().filter(|f| f.entry == entry).cloned().collect();
    entries.into_iter().map(|entry| reports.each_ref().map(|r| about(r, entry))).collect()
}

/// Asserts which rule the verdict breaks, if any, without and with the policies asked again.
fn breaks(told: &Told, broken: [Option<&str>; 2]) {
    for (found, broken) in told.iter().zip(broken) {
        let rules: Vec<&str> = found.iter().map(|f| f.rule.as_str()).collect();
        assert_eq!(rules, broken.into_iter().collect::<Vec<_>>(), "{found:#?}");
    }
}

fn says(told: &Told, words: &str) {
    assert!(told.iter().flatten().all(|f| f.detail.starts_with(words)), "{words}: {told:#?}");
}

fn codes(reasons: &[&str]) -> Vec<Code> {
    reasons.iter().map(|r| r.parse().unwrap()).collect()
}

/// Makes a verdict one from before any policy was asked: refused for these reasons, or permitted without.
pub(super) fn before_context(v: &mut Verdict, reasons: &[&str]) {
    (v.lacking, v.reasons, v.policies, v.decisions, v.context) = (vec![], codes(reasons), vec![], vec![], None);
    let (outcome, life) = if reasons.is_empty() { (Outcome::Permit, 60) } else { (Outcome::Refuse, 0) };
    (v.outcome, v.valid_until) = (outcome, v.decided.plus_seconds(life));
}

fn asked(policy: &str, decisions: &[(&'static str, &str, Choice)]) -> Cluster {
    let mut c = Cluster::bent(|charter| charter.policies[0].text = policy.into());
    c.ask();
    for (who, role, choice) in decisions {
        c.decide(who, role, *choice);
    }
    c
}

const BOTH: [(&str, &str, Choice); 2] = [("leg", "legal", Choice::Approve), ("dpo", "dpo", Choice::Approve)];

#[test]
fn where_the_floor_refuses_a_verdict_says_just_that() {
    let mut c = asked(POLICY, &[BOTH[0], ("dpo", "dpo", Choice::Deny)]);
    c.attachments.push(b"x".to_vec());
    let lacking = Lacking { what: "approvals.dpo".parse().unwrap(), have: 0, need: 1 };
    let result = PolicyResult { policy: Digest::of(b"x"), current: true, allowed: false, determining: vec![] };
    let told = judged(
        c,
        &[
            &|v| assert_eq!((v.context, &v.reasons), (None, &codes(&["denied"]))),
            &|v| v.reasons = codes(&["request-expired"]),
            &|v| v.reasons = codes(&["denied", "request-expired"]),
            &|v| before_context(v, &[]),
            &|v| (v.outcome, v.reasons, v.lacking) = (Outcome::Pending, vec![], vec![lacking.clone()]),
            &|v| v.context = Some(Digest::of(b"x")),
            &|v| v.policies = vec![result.clone()],
            &|v| v.decisions = vec![Digest::of(b"x")],
        ],
    );
    breaks(&told[0], [None, None]);
    told[1..].iter().for_each(|t| breaks(t, [Some("verdict-floor"); 2]));
    says(&told[2], "says refuse denied request-expired; the hard floor refuses: ");
    says(&told[3], "says permit; the hard floor refuses: ");
}

#[test]
fn where_the_floor_passes_only_three_refusals_come_before_a_context() {
    let told = |reasons: &[&[&str]]| {
        let bends: Vec<_> = reasons.iter().map(|r| move |v: &mut Verdict| before_context(v, r)).collect();
        judged(asked(POLICY, &BOTH), &bends.iter().map(|b| b as Bend<'_>).collect::<Vec<_>>())
    };
    // What only the policy texts can tell goes unnoticed without them.
    let possible: [&[&str]; 3] = [&["policy-unknown"], &["policy-error"], &["recipient-is-requestor"]];
    told(&possible).iter().for_each(|t| breaks(t, [None, Some("verdict-replay")]));
    let impossible: [&[&str]; 4] = [&["policy-denies"], &["denied"], &["policy-error", "policy-unknown"], &[]];
    let told = told(&impossible);
    told.iter().for_each(|t| breaks(t, [Some("verdict-floor"); 2]));
    says(&told[2], "says refuse policy-error policy-unknown without a context; ");
    says(&told[3], "says permit without a context; ");

    // And a true one of them stands.
    let secret = SealingSecret::generate(Suite::XWing);
    let mut c = Cluster::bent(|charter| charter.people[2].sealing = Some(secret.public().clone()));
    c.ask();
    let mut request: Request = c.request.as_ref().unwrap().decode().unwrap();
    request.nonce = Nonce::random();
    let sealing = secret.public().digest();
    request.recipient = Recipient::Person(RecipientPerson { id: request.by.clone(), sealing });
    let request = c.signed(&request, &["req"]);
    c.submit(&request);
    c.request = Some(request);
    let reasons = codes(&["recipient-is-requestor"]);
    let told = judged(c, &[&|v| assert_eq!((v.context, &v.reasons), (None, &reasons))]);
    breaks(&told[0], [None, None]);
}

#[test]
fn of_a_verdict_whose_record_is_wrong_the_policies_are_not_asked() {
    let mut c = asked(POLICY, &BOTH);
    c.attachments.push(b"x".to_vec());
    let told = judged(c, &[&|v| v.context = Some(Digest::of(b"x")), &|v| v.decisions.truncate(1)]);
    breaks(&told[0], [Some("verdict-context"); 2]);
    breaks(&told[1], [Some("verdict-decisions"); 2]);
    let permit: Bend<'_> = &|v| {
        (v.outcome, v.lacking, v.valid_until) = (Outcome::Permit, vec![], v.decided.plus_seconds(60));
    };
    breaks(&judged(asked(POLICY, &BOTH[..1]), &[permit])[0], [Some("verdict-approvers"); 2]);
}

#[test]
fn asked_again_the_policies_must_say_the_same_in_every_part() {
    const NEVER: &str = "@id(\"never\")\npermit(principal, action, resource) when {\n  context.items > 100\n};";
    let denies = || codes(&["policy-denies"]);
    let cases: [(&str, usize, [Bend<'_>; 3]); 3] = [
        // Pending, permitted, refused; the first of each is true.
        (
            POLICY,
            1,
            [&|v| assert_eq!(v.outcome, Outcome::Pending), &|v| v.lacking[0].need += 1, &|v| v.policies.clear()],
        ),
        (
            POLICY,
            2,
            [&|v| assert_eq!(v.outcome, Outcome::Permit), &|v| v.policies[0].allowed = false, &|v| {
                (v.outcome, v.reasons, v.valid_until) = (Outcome::Refuse, denies(), v.decided);
            }],
        ),
        (
            NEVER,
            2,
            [&|v| assert_eq!(v.reasons, denies()), &|v| v.reasons = codes(&["policy-error"]), &|v| {
                v.reasons.extend(codes(&["policy-error"]));
            }],
        ),
    ];
    for (policy, approvals, bends) in cases {
        let told = judged(asked(policy, &BOTH[..approvals]), &bends);
        breaks(&told[0], [None, None]);
        told[1..].iter().for_each(|t| breaks(t, [None, Some("verdict-replay")]));
    }
}
