//! Cases 52 to 61: statements, causality and policy.

use super::common::forge::{expect, raw_envelope, repack, with_statement};
use super::common::{Cluster, seat_index};
use super::{authorised, judged, permitted, settled};
use escrow_audit::finding::{Class, Report};
use escrow_audit::verify::{Options, verify, verify_with};
use escrow_core::charter::Charter;
use escrow_core::decision::{Choice, Decision};
use escrow_core::request::Request;
use escrow_core::verdict::Outcome;
use escrow_core::{Digest, Envelope, Kind, Nonce};
use escrow_policy::Event;

/// The first statement of a kind in a settled story.
fn first(c: &Cluster, kind: Kind) -> Envelope {
    c.statements.iter().find(|e| e.kind() == kind).unwrap().clone()
}

/// Somebody without keys puts other bytes in the place of a statement, with and without making all
/// digests anew; the rule found then.
fn replaced(c: &Cluster, old: &Envelope, bytes: &[u8], rule: &str) {
    let [bare, anew] = with_statement(&c.full(), old, bytes);
    expect(&verify(&bare, &c.genesis), Class::Tampered, &["digest"]);
    let report = verify(&anew, &c.genesis);
    expect(&report, Class::Tampered, &[rule]);
    // No node is blamed for it.
    assert!(report.findings.iter().all(|f| f.class == Class::Tampered));
}

/// A node logs what it should have refused.
fn logged_with(make: impl FnOnce(&Cluster) -> Vec<u8>) -> Report {
    let mut c = Cluster::new();
    c.ask();
    let envelope = Envelope::parse(&make(&c)).unwrap();
    c.submit_to(&[0], &envelope);
    assert_eq!(c.refusals.len(), 1, "{:?}", c.refusals);
    judged(c)
}

fn decision(c: &Cluster, who: &str, role: &str, request: Digest, choice: Choice) -> Decision {
    Decision {
        kind: Kind::Decision,
        org: c.charter.org.clone(),
        nonce: Nonce::random(),
        charter: c.genesis,
        request,
        by: who.parse().unwrap(),
        role: role.parse().unwrap(),
        choice,
        reason: "ok".parse().unwrap(),
        at: c.now,
    }
}

fn json(envelope: &Envelope) -> serde_json::Value {
    serde_json::from_slice(envelope.bytes()).unwrap()
}

#[test]
fn case_52_another_payload_type() {
    let c = settled();
    let old = first(&c, Kind::Decision);
    let typed = |t: &str| {
        let mut json = json(&old);
        json["payloadType"] = t.into();
        serde_json::to_vec(&json).unwrap()
    };
    for unknown in ["application/json", "application/vnd.escrow.decision.v2+json", ""] {
        replaced(&c, &old, &typed(unknown), "envelope");
    }
    replaced(&c, &old, &typed(&Kind::Veto.payload_type()), "root");
    // Logged by a node, the type is under the signature, and the payload is not of that kind.
    let report = logged_with(|c| {
        let decision = c.signed(&decision(c, "leg", "legal", c.request_digest(), Choice::Approve), &["leg"]);
        let mut json = json(&decision);
        json["payloadType"] = Kind::Veto.payload_type().into();
        serde_json::to_vec(&json).unwrap()
    });
    expect(&report, Class::Violation, &["malformed"]);
    let report = logged_with(|c| {
        let payload = serde_json::to_vec(&decision(c, "leg", "legal", c.request_digest(), Choice::Approve)).unwrap();
        raw_envelope(&Kind::Veto.payload_type(), &payload, &[&c.people["leg"]])
    });
    expect(&report, Class::Violation, &["malformed"]);
}

#[test]
fn case_53_payload_serialised_again() {
    let again = |e: &Envelope| {
        let mut out = json(e);
        let mut value: serde_json::Value = serde_json::from_slice(e.payload()).unwrap();
        value.sort_all_objects();
        let payload = serde_json::to_vec(&value).unwrap();
        assert_ne!(payload, e.payload());
        out["payload"] = serde_json::to_value(escrow_core::Blob(payload)).unwrap();
        serde_json::to_vec(&out).unwrap()
    };
    let c = settled();
    for kind in [Kind::Decision, Kind::Request, Kind::Consent, Kind::Verdict] {
        let old = first(&c, kind);
        replaced(&c, &old, &again(&old), "root");
    }
    let report =
        logged_with(|c| again(&c.signed(&decision(c, "leg", "legal", c.request_digest(), Choice::Approve), &["leg"])));
    expect(&report, Class::Violation, &["bad-signature"]);
}

#[test]
fn case_54_members_twice_unknown_or_out_of_range() {
    type Bend = fn(String) -> String;
    let bends: [Bend; 7] = [
        |p| p.replacen("\"reason\":", "\"reason\":\"ok\",\"reason\":", 1),
        |p| p.replacen("\"reason\":", "\"re\\u0061son\":\"ok\",\"reason\":", 1),
        |p| p.replacen("\"reason\":", "\"unknown\":\"ok\",\"reason\":", 1),
        |p| p.replacen("\"reason\":\"ok\"", "\"reason\":1.0", 1),
        |p| p.replacen("\"reason\":\"ok\"", "\"reason\":9007199254740992", 1),
        |p| p.replacen("\"choice\":\"approve\"", "\"choice\":{\"approve\":null}", 1),
        |p| format!("{p}{{}}"),
    ];
    let kind = Kind::Decision.payload_type();
    let c = settled();
    let old = first(&c, Kind::Decision);
    for bend in bends {
        // Even if whoever may decide signed exactly that.
        let bent = |e: &Envelope| {
            let text = String::from_utf8(e.payload().to_vec()).unwrap();
            let out = bend(text.clone());
            assert_ne!(out, text);
            out.into_bytes()
        };
        replaced(&c, &old, &raw_envelope(&kind, &bent(&old), &[&c.people["leg"]]), "root");
        let report = logged_with(|c| {
            let good = c.signed(&decision(c, "leg", "legal", c.request_digest(), Choice::Approve), &["leg"]);
            raw_envelope(&kind, &bent(&good), &[&c.people["leg"]])
        });
        expect(&report, Class::Violation, &["malformed"]);
    }
    // Members of the envelope itself.
    for (from, to) in [("{\"payload\"", "{\"x\":1,\"payload\""), ("{\"payload\"", "{\"payload\":\"\",\"payload\"")] {
        let text = String::from_utf8(old.bytes().to_vec()).unwrap();
        assert!(text.contains(from));
        replaced(&c, &old, text.replacen(from, to, 1).as_bytes(), "envelope");
    }
}

#[test]
fn case_55_no_signature_no_threshold_one_signature_five_times() {
    let c = settled();
    let old = first(&c, Kind::Decision);
    let with = |signatures: serde_json::Value| {
        let mut json = json(&old);
        json["signatures"] = signatures;
        serde_json::to_vec(&json).unwrap()
    };
    let one = json(&old)["signatures"][0].clone();
    replaced(&c, &old, &with(serde_json::json!([])), "envelope");
    replaced(&c, &old, &with(serde_json::Value::from(vec![one.clone(); 33])), "envelope");
    replaced(&c, &old, &with(serde_json::Value::from(vec![one; 5])), "root");
    let five = |c: &Cluster, who: &'static str, good: Envelope| {
        let key = &c.people[who];
        raw_envelope(&good.kind().payload_type(), good.payload(), &[key; 5])
    };
    let report = logged_with(|c| {
        let good = c.signed(&decision(c, "leg", "legal", c.request_digest(), Choice::Approve), &["leg"]);
        five(c, "leg", good)
    });
    expect(&report, Class::Violation, &["bad-signature"]);
    // A quorum of registrars is of people, not of signatures.
    let enrolment = |c: &Cluster, who: &[&str]| {
        let mut e: escrow_core::enrolment::Enrolment = first(c, Kind::Enrolment).decode().unwrap();
        e.nonce = Nonce::random();
        c.signed(&e, who)
    };
    let report = logged_with(|c| five(c, "ann", enrolment(c, &["ann"])));
    expect(&report, Class::Violation, &["bad-signature"]);
    let report = logged_with(|c| enrolment(c, &["ann"]).bytes().to_vec());
    expect(&report, Class::Violation, &["quorum-missing"]);
    // Thresholds of nothing are no charter: pinned or not, nothing in such a bundle counts.
    type Bend = fn(&mut Charter);
    let bends: [Bend; 5] = [
        |c| c.admin_quorum = 0,
        |c| c.registrar_quorum = 0,
        |c| c.generations[0].t = 0,
        |c| c.generations[0].t = 1,
        |c| c.approver_roles.clear(),
    ];
    for bend in bends {
        let mut charter = c.charter.clone();
        bend(&mut charter);
        let envelope = c.signed(&charter, &["ann", "bob"]);
        let mut files = c.full();
        files.insert("data/charters/0001.json".into(), envelope.bytes().to_vec());
        expect(&verify(&files, &envelope.digest()), Class::Tampered, &["digest"]);
        expect(&verify(&repack(files), &envelope.digest()), Class::Tampered, &["charter-pinned"]);
    }
}

/// Seat 1 authorises whatever its own log says: a call, an answer of seat 2, these permits.
fn authorised_anyway(c: &mut Cluster, permits: &[&Envelope]) {
    let (call, answer) = (c.call(), c.answer(1, 0));
    c.authorise(0, &call, permits, &[&answer]);
}

/// Another request, by the same requestor for the same items.
fn second_request(c: &Cluster) -> Envelope {
    let mut request: Request = c.request.as_ref().unwrap().decode().unwrap();
    request.nonce = Nonce::random();
    c.signed(&request, &["req"])
}

#[test]
fn case_56_approvals_that_do_not_count() {
    // One person, twice.
    let mut c = Cluster::new();
    c.ask();
    c.decide("leg", "legal", Choice::Approve);
    c.decide("leg", "legal", Choice::Approve);
    authorised_anyway(&mut c, &[]);
    expect(&judged(c), Class::Violation, &["pending"]);

    // One person in two offices, which satisfies the policy and not the floor of two people.
    let mut c = Cluster::bent(|charter| {
        let leg = charter.people.iter_mut().find(|p| p.id.as_str() == "leg").unwrap();
        leg.roles.push("dpo".parse().unwrap());
    });
    c.ask();
    c.decide("leg", "legal", Choice::Approve);
    c.decide("leg", "dpo", Choice::Approve);
    authorised_anyway(&mut c, &[]);
    assert_eq!(c.refusals, Vec::<String>::new());
    expect(&judged(c), Class::Violation, &["pending"]);

    // The requestor, who holds the office too.
    let mut c = Cluster::bent(|charter| {
        let req = charter.people.iter_mut().find(|p| p.id.as_str() == "req").unwrap();
        req.roles.push("legal".parse().unwrap());
    });
    c.ask();
    c.decide("req", "legal", Choice::Approve);
    c.decide("dpo", "dpo", Choice::Approve);
    authorised_anyway(&mut c, &[]);
    expect(&judged(c), Class::Violation, &["approver-is-requestor", "pending"]);

    // Somebody without the office, and somebody with it in another's name.
    let mut c = Cluster::new();
    c.ask();
    c.decide("off", "legal", Choice::Approve);
    expect(&judged(c), Class::Violation, &["not-entitled"]);
    let mut c = Cluster::new();
    c.ask();
    let borrowed = c.signed(&decision(&c, "leg", "legal", c.request_digest(), Choice::Approve), &["dpo"]);
    c.submit(&borrowed);
    expect(&judged(c), Class::Violation, &["wrong-signer"]);

    // For another request.
    let mut c = Cluster::new();
    c.ask();
    let other = second_request(&c);
    c.submit(&other);
    c.decide("leg", "legal", Choice::Approve);
    let misplaced = c.signed(&decision(&c, "dpo", "dpo", other.digest(), Choice::Approve), &["dpo"]);
    c.submit(&misplaced);
    authorised_anyway(&mut c, &[]);
    assert_eq!(c.refusals, Vec::<String>::new());
    expect(&judged(c), Class::Violation, &["pending"]);

    // Of a request that has expired.
    let (mut c, permits, _) = permitted();
    c.tick(3_600);
    authorised_anyway(&mut c, &[&permits[1]]);
    expect(&judged(c), Class::Violation, &["request-expired"]);

    // After the subject withdrew: before the authorisation, and between it and the delivery.
    let (mut c, permits, _) = permitted();
    c.withdraw(&[0, 1, 2]);
    authorised_anyway(&mut c, &[&permits[1]]);
    expect(&judged(c), Class::Violation, &["consent-withdrawn"]);
    let (mut c, authorized, note) = authorised();
    c.withdraw(&[0]);
    let seq = c.deliver(0, authorized, &note, |_| {});
    let report = judged(c);
    expect(&report, Class::Violation, &["consent-withdrawn"]);
    let f = &report.findings[0];
    let path = super::common::forge::entries_path(0);
    assert_eq!((&f.file, f.entry, f.seat), (&path, Some(seq), Some(seat_index(1))));
    assert_eq!(report.exit_code(), 6);
}

#[test]
fn case_56_approval_before_its_request_names_it_all_the_same() {
    // A node may see a decision first: it names the request by digest, so it was made after it.
    let mut c = Cluster::new();
    c.ask();
    let request = second_request(&c);
    c.request = Some(request.clone());
    c.decide("leg", "legal", Choice::Approve);
    c.decide("dpo", "dpo", Choice::Approve);
    c.submit(&request);
    let permits: Vec<Envelope> = (0..2).map(|n| c.verdict(n, |_| {})).collect();
    let call = c.call();
    c.release(0, 1, &call, &permits[1]);
    assert_eq!(c.refusals, Vec::<String>::new());
    expect(&judged(c), Class::Ok, &[]);
}

/// Version 2 of the charter, accepted everywhere; from now on statements name it.
fn succeeded(c: &mut Cluster, bend: impl FnOnce(&mut Charter)) -> Digest {
    let mut next = c.charter.clone();
    (next.version, next.previous, next.nonce, next.issued) = (2, Some(c.genesis), Nonce::random(), c.now);
    bend(&mut next);
    let next = c.signed(&next, &["ann", "bob"]);
    c.submit(&next);
    for n in 0..3 {
        c.log(n, &Event::CharterAccepted { charter: next.digest() }, None);
    }
    assert_eq!(c.refusals, Vec::<String>::new());
    std::mem::replace(&mut c.genesis, next.digest())
}

/// Verifies against the genesis that was pinned.
fn judged_since(mut c: Cluster, pinned: Digest) -> Report {
    c.settle();
    verify(&c.full(), &pinned)
}

#[test]
fn case_56_approver_removed_from_the_charter() {
    let remove = |charter: &mut Charter| {
        charter.people.retain(|p| p.id.as_str() != "leg");
    };
    let (mut c, ..) = permitted();
    let pinned = succeeded(&mut c, remove);
    authorised_anyway(&mut c, &[]);
    expect(&judged_since(c, pinned), Class::Violation, &["pending"]);
    // With the office still held, the same story goes on: the approvals count under both versions.
    let (mut c, ..) = permitted();
    let pinned = succeeded(&mut c, |_| {});
    let permits: Vec<Envelope> = (0..2).map(|n| c.verdict(n, |_| {})).collect();
    let call = c.call();
    c.release(0, 1, &call, &permits[1]);
    assert_eq!(c.refusals, Vec::<String>::new());
    expect(&judged_since(c, pinned), Class::Ok, &[]);
}

#[test]
fn case_57_authorised_without_a_passing_verdict_or_under_an_old_charter() {
    let (mut c, ..) = permitted();
    authorised_anyway(&mut c, &[]);
    expect(&judged(c), Class::Violation, &["permits-missing"]);
    // Without peers' answers, or with a permit that has run out.
    let (mut c, late, call) = permitted();
    c.authorise(0, &call, &[&late[1]], &[]);
    expect(&judged(c), Class::Violation, &["answer-invalid"]);
    let (mut c, late, _) = permitted();
    c.tick(100);
    authorised_anyway(&mut c, &[&late[1]]);
    expect(&judged(c), Class::Violation, &["permit-invalid"]);
    // On its own permit, or on a verdict that is none.
    let (mut c, own, _) = permitted();
    authorised_anyway(&mut c, &[&own[0]]);
    expect(&judged(c), Class::Violation, &["permits-missing"]);
    let mut c = Cluster::new();
    c.ask();
    c.decide("leg", "legal", Choice::Approve);
    let pending = c.verdict(1, |_| {});
    c.decide("dpo", "dpo", Choice::Approve);
    authorised_anyway(&mut c, &[&pending]);
    expect(&judged(c), Class::Violation, &["permit-invalid"]);

    // Checked under a charter that is no longer in force.
    let (mut c, old, _) = permitted();
    let pinned = succeeded(&mut c, |_| {});
    authorised_anyway(&mut c, &[&old[1]]);
    expect(&judged_since(c, pinned), Class::Violation, &["permit-invalid"]);
    let (mut c, ..) = permitted();
    let pinned = succeeded(&mut c, |charter| charter.policies[0].text.push('\n'));
    let first = pinned;
    c.verdict(1, |v| v.charter = first);
    expect(&judged_since(c, pinned), Class::Violation, &["verdict-charter"]);

    // A verdict that the rules do not give: recomputed from the log, whatever the node signed.
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
    expect(&verify(&c.full(), &c.genesis), Class::Violation, &["verdict-replay"]);
    // What only the engine can tell goes unnoticed without it, and the report says that.
    let record = verify_with(&c.full(), &c.genesis, Options { policy_replay: false, ..Options::default() });
    assert_eq!((record.verdict, record.policy_replayed()), (Class::Ok, false));
}

#[test]
fn case_58_delivered_without_an_authorisation_or_never_concluded() {
    // None at all, one of another request, one that was used, one that was aborted.
    let (mut c, _, note) = authorised();
    c.deliver(0, 1, &note, |_| {});
    expect(&judged(c), Class::Violation, &["authorization"]);
    let (mut c, authorized, note) = authorised();
    c.deliver(0, authorized, &note, |_| {});
    c.deliver(0, authorized, &note, |_| {});
    expect(&judged(c), Class::Violation, &["authorization"]);
    let (mut c, authorized, note) = authorised();
    let request = c.request_digest();
    c.log(0, &Event::Aborted { authorized, request, reason: "peers-missing".parse().unwrap() }, None);
    c.deliver(0, authorized, &note, |_| {});
    expect(&judged(c), Class::Violation, &["authorization"]);

    // Never concluded: a remark while the node may still be at it, as a log can end anywhere.
    let (c, authorized, _) = authorised();
    let report = judged(c);
    expect(&report, Class::Ok, &[]);
    let said: Vec<_> = report.findings.iter().map(|f| (f.rule.as_str(), f.entry)).collect();
    assert_eq!(said, [("dangling", Some(authorized))]);
    // Across a restart it is the node's fault, delivered or not: a start aborts what was left open.
    let restart = Event::Ready { peers: vec![seat_index(2), seat_index(3)] };
    let (mut c, ..) = authorised();
    c.log(0, &restart, None);
    expect(&judged(c), Class::Violation, &["authorization-open"]);
    let (mut c, authorized, note) = authorised();
    c.log(0, &restart, None);
    c.deliver(0, authorized, &note, |_| {});
    expect(&judged(c), Class::Violation, &["authorization-open", "authorization-restart"]);
    let (mut c, authorized, _) = authorised();
    let request = c.request_digest();
    c.log(0, &Event::Aborted { authorized, request, reason: "restart".parse().unwrap() }, None);
    c.log(0, &restart, None);
    expect(&judged(c), Class::Ok, &[]);
}

#[test]
fn case_59_denied_and_authorised_all_the_same() {
    let (mut c, permits, _) = permitted();
    c.decide("dpo", "dpo", Choice::Deny);
    authorised_anyway(&mut c, &[&permits[1]]);
    expect(&judged(c), Class::Violation, &["denied"]);
    // Approving again does not undo it: only another request does.
    let (mut c, permits, _) = permitted();
    c.decide("dpo", "dpo", Choice::Deny);
    c.decide("dpo", "dpo", Choice::Approve);
    authorised_anyway(&mut c, &[&permits[1]]);
    expect(&judged(c), Class::Violation, &["denied"]);
}

/// Removes what a node logged since, as if it never had.
fn forgetting(c: &mut Cluster, n: usize, act: impl FnOnce(&mut Cluster) -> Envelope) -> Envelope {
    let node = &c.nodes[n];
    let before = (node.entries.clone(), node.chain.clone(), node.tree.clone(), node.facts.clone());
    let hidden = act(c);
    let node = &mut c.nodes[n];
    (node.entries, node.chain, node.tree, node.facts) = before;
    hidden
}

/// The seats that findings above a remark name.
fn blamed(report: &Report) -> Vec<escrow_core::SeatIndex> {
    report.findings.iter().filter(|f| f.class > Class::Ok).filter_map(|f| f.seat).collect()
}

#[test]
fn case_60_one_node_relies_on_what_another_does_not_record() {
    // A permit that its own seat's log does not have.
    let (mut c, ..) = permitted();
    let hidden = forgetting(&mut c, 1, |c| c.verdict(1, |_| {}));
    c.tick(1);
    authorised_anyway(&mut c, &[&hidden]);
    let report = judged(c);
    expect(&report, Class::Violation, &["verdict-unlogged"]);
    assert_eq!(blamed(&report), [seat_index(2)]);
    // A cosignature that its own seat's log does not have.
    let (mut c, permits, call) = permitted();
    let answer = c.answer(1, 0);
    let authorized = c.authorise(0, &call, &[&permits[1]], &[&answer]);
    let node = &c.nodes[1];
    let before = (node.entries.clone(), node.chain.clone(), node.tree.clone(), node.facts.clone());
    let note = c.cosigned(0, &[1]);
    let node = &mut c.nodes[1];
    (node.entries, node.chain, node.tree, node.facts) = before;
    c.deliver(0, authorized, &note, |_| {});
    let report = judged(c);
    expect(&report, Class::Violation, &["cosignature-unlogged"]);
    assert_eq!(blamed(&report), [seat_index(2)]);
}

#[test]
fn case_61_one_person_says_different_things_to_two_nodes() {
    // Approved at seat 1, denied at seat 2, who says so when asked: seat 1 was told and went on.
    let (mut c, permits, _) = permitted();
    let denial = c.signed(&decision(&c, "dpo", "dpo", c.request_digest(), Choice::Deny), &["dpo"]);
    c.submit_to(&[1], &denial);
    authorised_anyway(&mut c, &[&permits[1]]);
    expect(&judged(c), Class::Violation, &["answer-invalid"]);
    // One act, one digest: the same request with other content is another request at every node.
    let mut c = Cluster::new();
    c.ask();
    let other = second_request(&c);
    assert_ne!(other.digest(), c.request_digest());
    c.submit_to(&[1], &other);
    expect(&judged(c), Class::Ok, &[]);
    // A release whose statement and entry differ in what they say.
    for (rule, bend) in [
        ("release-statement", (|r| r.reply = Digest::of(b"another reply")) as fn(&mut escrow_core::release::Release)),
        ("release-statement", |r| r.attempt += 1),
        ("release-statement", |r| r.request = Digest::of(b"another request")),
        ("release-scope", |r| r.recipient = Digest::of(b"another key")),
        ("release-scope", |r| r.items.truncate(1)),
    ] {
        let (mut c, authorized, note) = authorised();
        c.deliver(0, authorized, &note, bend);
        expect(&judged(c), Class::Violation, &[rule]);
    }
    // Administrators who sign two successors of one charter.
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
