//! What only a holder of keys can do wrong: nodes that log, sign, deliver or forget what they may not, officers
//! without the office, administrators who fork.

use super::common::{Cluster, seat_index};
use super::story::{
    append_entry, append_raw, approved, asked, bent, bent_by, digest, envelope_of, permitted, recovering, succeed,
    successor, verdicts,
};
use super::valid::{again, cancellation, code, matter, query, revocation};
use super::{Story, Told};
use escrow_audit::bagit;
use escrow_audit::bundle::{Index, REPORTS, checkpoint_path, entries_path};
use escrow_audit::checkpoint::Checkpoint;
use escrow_audit::entry::{Chain, Entry, leaf_hash};
use escrow_audit::note::NoteSigner;
use escrow_core::consent::Consent;
use escrow_core::decision::{Choice, Decision};
use escrow_core::deposit::Deposit;
use escrow_core::enrolment::{Enrolment, Revoked};
use escrow_core::matter::MatterAction;
use escrow_core::query::Question;
use escrow_core::recovery::{SelfRecovery, Veto};
use escrow_core::release::{Caller, Release, ReleaseCall};
use escrow_core::request::Request;
use escrow_core::restriction::RestrictionAnswer;
use escrow_core::verdict::{Outcome, Verdict};
use escrow_core::{Digest, Envelope, Kind, Nonce, SigningKey};
use escrow_policy::Event;
use serde_json::json;

pub(super) const STORIES: &[Story] = &[
    // Releases
    ("deliver-after-withdrawal", || delivered(|c| c.withdraw(&[0]), |_| {})),
    ("deliver-after-denial", || {
        delivered(
            |c| {
                let denial = bent::<Decision>(c, &["leg"], |d| (d.nonce, d.choice) = (Nonce::random(), Choice::Deny));
                c.submit_to(&[0], &denial);
            },
            |_| {},
        )
    }),
    ("deliver-after-close", || {
        delivered(
            |c| {
                let close = matter(c, MatterAction::Close, Some(envelope_of(c, Kind::Matter).digest()));
                c.submit_to(&[0], &close);
            },
            |_| {},
        )
    }),
    ("deliver-too-late", || delivered(|c| c.tick(60), |_| {})),
    ("deliver-to-another-key", || delivered(|_| {}, |r| r.recipient = digest("another key"))),
    ("deliver-fewer-items", || delivered(|_| {}, |r| r.items.truncate(1))),
    ("deliver-other-reply", || delivered(|_| {}, |r| r.reply = digest("another reply"))),
    ("deliver-as-another-seat", || delivered(|_| {}, |r| r.seat = seat_index(2))),
    ("deliver-other-generation", || delivered(|_| {}, |r| r.generation = 7)),
    ("deliver-attempt-skipped", || delivered(|_| {}, |r| r.attempt = 2)),
    ("deliver-after-restart", || {
        let restart = Event::Ready { peers: vec![seat_index(2), seat_index(3)] };
        delivered(|c| assert!(c.log(0, &restart, None) > 0), |_| {})
    }),
    ("deliver-twice", || {
        let (mut c, a) = authorised();
        let note = c.cosigned(0, &[1]);
        c.deliver(0, a, &note, |_| {});
        c.deliver(0, a, &note, |_| {});
        c.into()
    }),
    ("deliver-uncosigned", || {
        let (mut c, a) = authorised();
        let alone = c.nodes[0].head(c.nodes[0].tree.size());
        c.deliver(0, a, &alone, |_| {});
        c.into()
    }),
    ("deliver-cosigned-by-itself", || {
        let (mut c, a) = authorised();
        let note = c.cosigned(0, &[0]);
        c.deliver(0, a, &note, |_| {});
        c.into()
    }),
    ("deliver-under-an-older-note", || {
        let (mut c, permits, call) = permitted();
        let note = c.cosigned(0, &[1]);
        let answer = c.answer(1, 0);
        let a = c.authorise(0, &call, &[&permits[1]], &[&answer]);
        c.deliver(0, a, &note, |_| {});
        c.into()
    }),
    ("deliver-after-abort", || {
        let (mut c, a) = authorised();
        let note = c.cosigned(0, &[1]);
        let request = c.request_digest();
        c.log(0, &Event::Aborted { authorized: a, request, reason: code("restart") }, None);
        c.deliver(0, a, &note, |_| {});
        c.into()
    }),
    ("abort-what-was-not-open", || {
        let mut c = asked();
        let request = c.request_digest();
        c.log(0, &Event::Aborted { authorized: 1, request, reason: code("restart") }, None);
        c.into()
    }),
    // Authorisations
    ("authorise-without-approvals", || {
        let mut c = asked();
        c.decide("leg", "legal", Choice::Approve);
        let (call, answer) = (c.call(), c.answer(1, 0));
        c.authorise(0, &call, &[], &[&answer]);
        c.into()
    }),
    ("authorise-without-permits", || {
        let (mut c, _, call) = permitted();
        let answer = c.answer(1, 0);
        c.authorise(0, &call, &[], &[&answer]);
        c.into()
    }),
    ("authorise-with-its-own-permit", || {
        let (mut c, permits, call) = permitted();
        let answer = c.answer(1, 0);
        c.authorise(0, &call, &[&permits[0]], &[&answer]);
        c.into()
    }),
    ("authorise-without-answers", || {
        let (mut c, permits, call) = permitted();
        c.authorise(0, &call, &[&permits[1]], &[]);
        c.into()
    }),
    ("authorise-on-an-expired-permit", || {
        let (mut c, permits, _) = permitted();
        c.tick(100);
        let (call, answer) = (c.call(), c.answer(1, 0));
        c.authorise(0, &call, &[&permits[1]], &[&answer]);
        c.into()
    }),
    ("authorise-on-an-old-answer", || {
        let (mut c, _, _) = permitted();
        let answer = c.answer(1, 0);
        c.tick(150);
        let (call, permit) = (c.call(), c.verdict(1, |_| {}));
        c.authorise(0, &call, &[&permit], &[&answer]);
        c.into()
    }),
    ("authorise-on-an-old-call", || {
        let (mut c, _, call) = permitted();
        c.tick(100);
        let (permit, answer) = (c.verdict(1, |_| {}), c.answer(1, 0));
        c.authorise(0, &call, &[&permit], &[&answer]);
        c.into()
    }),
    ("authorise-on-one-call-twice", || {
        let (mut c, permits, call) = permitted();
        let answer = c.answer(1, 0);
        c.authorise(0, &call, &[&permits[1]], &[&answer]);
        c.authorise(0, &call, &[&permits[1]], &[&answer]);
        c.into()
    }),
    ("authorise-for-a-stranger", || {
        let (mut c, permits, _) = permitted();
        let mut call: ReleaseCall = c.call().decode().unwrap();
        (call.nonce, call.by) = (Nonce::random(), Caller::Person("leg".parse().unwrap()));
        let (call, answer) = (c.signed(&call, &["leg"]), c.answer(1, 0));
        c.authorise(0, &call, &[&permits[1]], &[&answer]);
        c.into()
    }),
    ("authorise-on-a-refusal", || {
        let mut c = approved(asked());
        let refusal = c.verdict(1, |v| {
            (v.outcome, v.reasons, v.valid_until) = (Outcome::Refuse, vec![code("policy-denies")], v.decided);
        });
        let (call, answer) = (c.call(), c.answer(1, 0));
        c.authorise(0, &call, &[&refusal], &[&answer]);
        c.into()
    }),
    ("answer-without-matter", || answered(|a| a.matter = None)),
    ("answer-of-another-matter", || answered(|a| a.matter = Some("MAT-2".parse().unwrap()))),
    ("answer-without-consents", || answered(|a| a.consents.clear())),
    ("answer-without-a-key", || answered(|a| drop(a.revocable.pop()))),
    ("answer-to-another-seat", || answered(|a| a.asker = seat_index(3))),
    ("answer-about-another-request", || answered(|a| a.request = Some(digest("another")))),
    ("answer-names-what-was-not-logged", || answered(|a| a.restrictions = vec![digest("a veto")])),
    ("recovery-delivered-too-early", || {
        let (mut c, _, call) = recovering(86_000);
        let mut permit = c.verdict(1, |_| {}).decode::<Verdict>().unwrap();
        (permit.outcome, permit.reasons, permit.nonce) = (Outcome::Permit, vec![], Nonce::random());
        permit.valid_until = permit.decided.plus_seconds(60);
        let permit = Envelope::sign(&permit, &[&c.nodes[1].statement]).unwrap();
        c.log(1, &Event::Statement {}, Some(&permit));
        let answer = c.answer(1, 0);
        let a = c.authorise(0, &call, &[&permit], &[&answer]);
        let note = c.cosigned(0, &[1]);
        c.deliver(0, a, &note, |_| {});
        c.into()
    }),
    ("recovery-delivered-after-veto", || {
        let (mut c, permits, call) = recovering(86_400);
        let answer = c.answer(1, 0);
        let a = c.authorise(0, &call, &[&permits[1]], &[&answer]);
        let note = c.cosigned(0, &[1]);
        c.veto(&[0]);
        c.deliver(0, a, &note, |_| {});
        c.into()
    }),
    ("recovery-authorised-over-a-veto-elsewhere", || {
        let (mut c, permits, call) = recovering(86_400);
        c.veto(&[1]);
        let answer = c.answer(1, 0);
        c.authorise(0, &call, &[&permits[1]], &[&answer]);
        c.into()
    }),
    ("permit-left-out-of-its-own-log", || {
        let (mut c, _, call) = permitted();
        let n = &c.nodes[1];
        let before = (n.entries.clone(), n.chain.clone(), n.tree.clone(), n.facts.clone());
        let hidden = c.verdict(1, |_| {});
        let n = &mut c.nodes[1];
        (n.entries, n.chain, n.tree, n.facts) = before;
        c.tick(1);
        let answer = c.answer(1, 0);
        c.authorise(0, &call, &[&hidden], &[&answer]);
        c.into()
    }),
    // Verdicts
    ("verdict-hides-a-decision", || verdict(|v| v.decisions.truncate(1))),
    ("verdict-back-dated", || verdict(|v| v.decided = v.decided.plus_seconds(-1))),
    ("verdict-lives-too-long", || verdict(|v| v.valid_until = v.valid_until.plus_seconds(60))),
    ("verdict-of-another-charter", || verdict(|v| v.charter = digest("x"))),
    ("verdict-by-another-seat", || verdict(|v| v.seat = seat_index(2))),
    ("verdict-refuses-what-the-floor-does-not", || {
        verdict(|v| {
            (v.outcome, v.reasons, v.valid_until) = (Outcome::Refuse, vec![code("denied")], v.decided);
        })
    }),
    ("verdict-permits-on-one-approval", || {
        let mut c = asked();
        c.decide("leg", "legal", Choice::Approve);
        c.verdict(0, |v| {
            v.outcome = Outcome::Permit;
            v.lacking.clear();
            v.valid_until = v.decided.plus_seconds(60);
        });
        c.into()
    }),
    ("verdict-permits-what-was-denied", || {
        let mut c = approved(asked());
        c.decide("leg", "legal", Choice::Deny);
        c.verdict(0, |v| {
            (v.outcome, v.reasons) = (Outcome::Permit, vec![]);
            v.valid_until = v.decided.plus_seconds(60);
        });
        c.into()
    }),
    ("verdict-other-reason-than-the-floor", || {
        let mut c = approved(asked());
        c.withdraw(&[0]);
        c.verdict(0, |v| v.reasons = vec![code("policy-denies")]);
        c.into()
    }),
    ("verdict-on-another-context", || {
        let mut c = approved(asked());
        let context = br#"{"approvals":{"dpo":9,"legal":9}}"#.to_vec();
        c.verdict(0, |v| v.context = Some(Digest::of(&context)));
        c.attachments = vec![context];
        c.into()
    }),
    // Statements that a node should not have logged
    ("request-without-the-office", || {
        let mut c = asked();
        let r = bent::<Request>(&c, &["leg"], |r| (r.by, r.nonce) = ("leg".parse().unwrap(), Nonce::random()));
        logged(&mut c, 1, &r)
    }),
    ("request-signed-by-another", || {
        let mut c = asked();
        let r = bent::<Request>(&c, &["leg"], |r| r.nonce = Nonce::random());
        logged(&mut c, 1, &r)
    }),
    ("request-by-a-stranger", || {
        let mut c = asked();
        let r = bent_by::<Request>(&c, &SigningKey::generate_ed25519(), |r| r.nonce = Nonce::random());
        logged(&mut c, 1, &r)
    }),
    ("request-signed-twice-over", || {
        let mut c = asked();
        let r = bent::<Request>(&c, &["req", "leg"], |r| r.nonce = Nonce::random());
        logged(&mut c, 1, &r)
    }),
    ("request-that-lives-too-long", || {
        let mut c = asked();
        let r = bent::<Request>(&c, &["req"], |r| {
            (r.nonce, r.expires) = (Nonce::random(), r.created.plus_seconds(86_401));
        });
        logged(&mut c, 1, &r)
    }),
    ("request-logged-after-its-end", || {
        let mut c = asked();
        let r = bent::<Request>(&c, &["req"], |r| r.nonce = Nonce::random());
        c.tick(4_000);
        logged(&mut c, 1, &r)
    }),
    ("request-from-the-future", || {
        let mut c = asked();
        let r = bent::<Request>(&c, &["req"], |r| {
            (r.nonce, r.created) = (Nonce::random(), r.created.plus_seconds(600));
        });
        logged(&mut c, 1, &r)
    }),
    ("request-of-another-organisation", || {
        let mut c = asked();
        let r = bent::<Request>(&c, &["req"], |r| (r.nonce, r.org) = (Nonce::random(), "other".parse().unwrap()));
        logged(&mut c, 1, &r)
    }),
    ("request-under-a-stale-charter", || {
        let mut c = asked();
        let r = bent::<Request>(&c, &["req"], |r| r.nonce = Nonce::random());
        let genesis = c.genesis;
        succeed(&mut c, |_| {});
        c.submit_to(&[1], &r);
        Told::settled(c, genesis)
    }),
    ("request-logged-twice", || {
        let mut c = asked();
        let r = c.request.clone().unwrap();
        logged(&mut c, 1, &r)
    }),
    ("requests-above-the-limit", || {
        let mut c = asked();
        let genesis = c.genesis;
        succeed(&mut c, |n| n.limits.requests_per_requestor_month = 2);
        for _ in 0..2 {
            again(&mut c, |_| {});
        }
        Told::settled(c, genesis)
    }),
    ("approval-by-the-requestor", || {
        let mut c = asked();
        let genesis = c.genesis;
        succeed(&mut c, |n| n.people[2].roles.push("legal".parse().unwrap()));
        again(&mut c, |_| {});
        c.decide("req", "legal", Choice::Approve);
        Told::settled(c, genesis)
    }),
    ("approval-without-the-role", || {
        let mut c = asked();
        c.decide("leg", "dpo", Choice::Approve);
        c.into()
    }),
    ("approval-after-revocation", || {
        let mut c = asked();
        let revoked = revocation(&c, Revoked::Key(c.people["leg"].public()));
        c.submit(&c.signed(&revoked, &["ann", "bob"]));
        c.decide("leg", "legal", Choice::Approve);
        c.into()
    }),
    ("approval-with-a-key-not-yet-valid", || {
        let mut c = asked();
        let genesis = c.genesis;
        let later = c.now.plus_seconds(80_000);
        succeed(&mut c, |n| n.people[3].keys[0].from = later);
        c.decide("leg", "legal", Choice::Approve);
        Told::settled(c, genesis)
    }),
    ("enrolment-by-one-registrar", || {
        let mut c = asked();
        let e = bent::<Enrolment>(&c, &["ann"], |e| e.nonce = Nonce::random());
        logged(&mut c, 1, &e)
    }),
    ("enrolment-of-a-taken-device", || {
        let mut c = asked();
        let other = c.tokens.subject("eve");
        let e = bent::<Enrolment>(&c, &["ann", "bob"], |e| {
            (e.nonce, e.devices[0].subject) = (Nonce::random(), other);
        });
        logged(&mut c, 1, &e)
    }),
    ("enrolment-of-an-officers-key", || {
        let mut c = asked();
        let key = c.people["leg"].public();
        let e = bent::<Enrolment>(&c, &["ann", "bob"], |e| (e.nonce, e.devices[0].key) = (Nonce::random(), key));
        logged(&mut c, 1, &e)
    }),
    ("revocation-by-one-registrar", || {
        let mut c = asked();
        let r = revocation(&c, Revoked::Key(c.people["leg"].public()));
        let r = c.signed(&r, &["ann"]);
        logged(&mut c, 1, &r)
    }),
    ("consent-by-a-strange-device", || {
        let mut c = asked();
        let s = bent_by::<Consent>(&c, &c.tablet, |s| s.nonce = Nonce::random());
        logged(&mut c, 1, &s)
    }),
    ("consent-to-an-unknown-policy", || {
        let mut c = asked();
        let s = bent_by::<Consent>(&c, &c.device, |s| {
            (s.nonce, s.policies[0].digest) = (Nonce::random(), digest("a policy"));
        });
        logged(&mut c, 1, &s)
    }),
    ("consent-to-unknown-controllers", || {
        let mut c = asked();
        let s = bent_by::<Consent>(&c, &c.device, |s| {
            (s.nonce, s.record.controllers[0].name) = (Nonce::random(), code("Other Ltd"));
        });
        logged(&mut c, 1, &s)
    }),
    ("consent-logged-after-its-end", || {
        let mut c = asked();
        let now = c.now;
        let s = bent_by::<Consent>(&c, &c.device, |s| (s.nonce, s.expires) = (Nonce::random(), now));
        logged(&mut c, 1, &s)
    }),
    ("deposit-twice", || {
        let mut c = asked();
        let d = bent_by::<Deposit>(&c, &c.device, |d| d.nonce = Nonce::random());
        logged(&mut c, 1, &d)
    }),
    ("deposit-by-a-strange-device", || {
        let mut c = asked();
        let strange = envelope_of(&asked(), Kind::Deposit);
        logged(&mut c, 1, &strange)
    }),
    ("deposit-to-other-seats", || {
        let mut c = asked();
        let d = bent_by::<Deposit>(&c, &c.device, |d| {
            d.nonce = Nonce::random();
            d.blobs.pop();
        });
        logged(&mut c, 1, &d)
    }),
    ("matter-opened-twice", || {
        let mut c = asked();
        let m = matter(&c, MatterAction::Open, None);
        logged(&mut c, 1, &m)
    }),
    ("matter-reopened-while-open", || {
        let mut c = asked();
        let m = matter(&c, MatterAction::Reopen, Some(envelope_of(&c, Kind::Matter).digest()));
        logged(&mut c, 1, &m)
    }),
    ("cancellation-by-another", || {
        let mut c = asked();
        let genesis = c.genesis;
        succeed(&mut c, |n| n.people[4].roles.push("requestor".parse().unwrap()));
        let x = cancellation(&c, "dpo");
        let x = c.signed(&x, &["dpo"]);
        c.submit_to(&[1], &x);
        Told::settled(c, genesis)
    }),
    ("veto-without-the-office", || {
        let mut c = recovering(86_400).0;
        c.veto(&[0]);
        let v = bent::<Veto>(&c, &["leg"], |v| {
            (v.nonce, v.by) = (Nonce::random(), Caller::Person("leg".parse().unwrap()));
        });
        logged(&mut c, 1, &v)
    }),
    ("recovery-signed-by-another-device", || {
        let mut c = recovering(86_400).0;
        let r = bent_by::<SelfRecovery>(&c, &c.device, |r| r.nonce = Nonce::random());
        logged(&mut c, 1, &r)
    }),
    ("query-for-another-seat", || {
        let mut c = asked();
        let q = query(&c, 0, Caller::Person("req".parse().unwrap()), Question::Matters);
        let q = c.signed(&q, &["req"]);
        logged(&mut c, 1, &q)
    }),
    ("query-own-by-a-person", || {
        let mut c = asked();
        let q = query(&c, 1, Caller::Person("req".parse().unwrap()), Question::Own);
        let q = c.signed(&q, &["req"]);
        logged(&mut c, 1, &q)
    }),
    ("query-of-yesterday", || {
        let mut c = asked();
        let q = query(&c, 1, Caller::Person("req".parse().unwrap()), Question::Matters);
        let q = c.signed(&q, &["req"]);
        c.tick(600);
        logged(&mut c, 1, &q)
    }),
    // Payloads that nobody may take for a statement, however well signed
    ("payload-member-twice", || spelled(|p| p.replacen('{', "{\"org\":\"acme\",", 1))),
    ("payload-member-twice-by-escape", || spelled(|p| p.replacen('{', "{\"\\u006frg\":\"acme\",", 1))),
    ("payload-member-unknown", || spelled(|p| p.replacen('{', "{\"more\":1,", 1))),
    ("payload-member-missing", || spelled(|p| p.replacen("\"authority\":null,", "", 1))),
    ("payload-null-where-none-may-be", || spelled(|p| p.replacen("\"purpose\":\"inquiry\"", "\"purpose\":null", 1))),
    ("payload-float", || spelled(|p| p.replacen("\"threads\":1", "\"threads\":1.0", 1))),
    ("payload-exponent", || spelled(|p| p.replacen("\"threads\":1", "\"threads\":1e0", 1))),
    ("payload-other-count", || spelled(|p| p.replacen("\"threads\":1", "\"threads\":2", 1))),
    ("payload-list-for-object", || spelled(|p| p.replacen("{\"items\":2,\"threads\":1}", "[2,1]", 1))),
    ("payload-word-as-object", || spelled(|p| p.replacen("\"immediate\"", "{\"immediate\":null}", 1))),
    ("payload-time-without-milliseconds", || spelled(|p| p.replacen(".000Z", "Z", 1))),
    ("payload-time-with-offset", || spelled(|p| p.replacen(".000Z", ".000+00:00", 1))),
    ("payload-digest-in-upper-case", || {
        spelled(|p| {
            let (head, tail) = p.split_once("\"charter\":\"").unwrap();
            format!("{head}\"charter\":\"{}{}", tail[..64].to_uppercase(), &tail[64..])
        })
    }),
    ("payload-base64-not-canonical", || {
        spelled(|p| {
            let (head, tail) = p.split_once("==\"").unwrap();
            format!("{}{}==\"{tail}", &head[..head.len() - 1], if head.ends_with('A') { 'B' } else { 'R' })
        })
    }),
    ("payload-byte-order-mark", || spelled(|p| format!("\u{feff}{p}"))),
    ("payload-two-values", || spelled(|p| format!("{p}{p}"))),
    ("payload-too-deep", || spelled(|p| p.replacen('{', &format!("{{\"x\":{}{},", "[".repeat(20), "]".repeat(20)), 1))),
    ("payload-surrogate-alone", || spelled(|p| p.replacen("inquiry", "\\ud800", 1))),
    ("payload-other-kind", || spelled(|p| p.replacen("\"kind\":\"request\"", "\"kind\":\"consent\"", 1))),
    ("payload-empty-word", || spelled(|p| p.replacen("\"inquiry\"", "\"\"", 1))),
    // Spelled otherwise, and yet the same value under the signature
    ("valid-payload-with-white-space", || spelled(|p| p.replacen("\"org\":", "\n\t\"org\" : ", 1))),
    ("valid-payload-with-escapes", || spelled(|p| p.replacen("\"inquiry\"", "\"\\u0069nquiry\"", 1))),
    // The log itself
    ("ready-on-one-peer", || {
        let mut c = Cluster::honest();
        c.log(0, &Event::Ready { peers: vec![seat_index(2), seat_index(2), seat_index(1)] }, None);
        c.into()
    }),
    ("cosigned-backwards", || {
        let mut c = Cluster::honest();
        c.settle();
        let old = c.nodes[0].head(3);
        let event = Event::Cosigned { origin: old.origin().into(), size: 3, root: Digest(*old.root()) };
        c.log(2, &event, None);
        let pinned = c.genesis;
        Told { files: c.full(), bare: None, pinned: pinned.to_string() }
    }),
    ("cosigned-its-own-log", || {
        let mut c = Cluster::honest();
        let old = c.nodes[2].head(3);
        let event = Event::Cosigned { origin: old.origin().into(), size: 3, root: Digest(*old.root()) };
        c.log(2, &event, None);
        c.into()
    }),
    ("genesis-again", || {
        let mut c = asked();
        let genesis = envelope_of(&c, Kind::Charter);
        c.log(1, &Event::Genesis { seat: seat_index(2) }, Some(&genesis));
        c.into()
    }),
    ("genesis-of-another-seat", || {
        let mut c = Cluster::new();
        c.ask();
        let log = c.nodes[1].entries.clone();
        let mut chain = Chain::new(c.nodes[1].chain.origin());
        let mut entries = vec![];
        for (i, bytes) in log.iter().enumerate() {
            let mut e = Entry::decode(bytes).unwrap();
            e.prev = chain.head();
            if i == 0 {
                e.body.insert("seat".into(), 3.into());
            }
            let bytes = e.encode().unwrap();
            chain.push(&bytes).unwrap();
            entries.push(bytes);
        }
        rewrite(&mut c, 1, chain, entries);
        c.into()
    }),
    ("entry-of-an-unknown-type", || {
        let mut c = asked();
        append_entry(&mut c, 2, "release.forgotten", &json!({"event": "forgotten"}));
        c.into()
    }),
    ("entry-with-another-body", || {
        let mut c = asked();
        append_entry(&mut c, 2, "node.ready", &json!({"event": "ready", "peers": [1, 2], "more": 1}));
        c.into()
    }),
    ("entry-without-its-statement", || {
        let mut c = asked();
        append_entry(&mut c, 2, "request", &json!({"event": "statement"}));
        c.into()
    }),
    ("entry-of-a-verdict-without-one", || {
        let mut c = asked();
        append_entry(&mut c, 2, "verdict", &json!({"event": "statement"}));
        append_entry(&mut c, 2, "clock.anomaly", &json!({"event": "clock", "by_ms": 0}));
        c.into()
    }),
    ("entry-of-another-type", || {
        let mut c = asked();
        append_entry(&mut c, 2, "node.ready", &json!({"event": "clock", "by_ms": 1}));
        c.into()
    }),
    ("entry-of-a-kind-without-its-own", || {
        let mut c = asked();
        append_entry(&mut c, 2, "release-call", &json!({"event": "statement"}));
        c.into()
    }),
    ("entry-that-is-none", || {
        let mut c = asked();
        c.settle();
        spoiled(c, b"{}".to_vec())
    }),
    ("entry-not-canonical", || {
        let mut c = asked();
        c.settle();
        let last = next_entry(&c, |_| {});
        let spaced = String::from_utf8(last).unwrap().replace("\"v\":1", "\"v\": 1");
        spoiled(c, spaced.into_bytes())
    }),
    ("entry-back-in-time", || {
        let mut c = asked();
        c.settle();
        let last = next_entry(&c, |e| e.ts -= 600_000);
        spoiled(c, last)
    }),
    ("entry-that-skips-a-position", || {
        let mut c = asked();
        c.settle();
        let last = next_entry(&c, |e| e.seq += 1);
        spoiled(c, last)
    }),
    ("entry-after-another", || {
        let mut c = asked();
        c.settle();
        let last = next_entry(&c, |e| e.prev = [7; 32]);
        spoiled(c, last)
    }),
    // Two stories
    ("fork-log-rewritten", || {
        let mut c = Cluster::honest();
        c.settle();
        let mut chain = Chain::new(c.nodes[0].chain.origin());
        let mut entries = vec![];
        for (i, bytes) in c.nodes[0].entries.iter().enumerate() {
            let mut e = Entry::decode(bytes).unwrap();
            e.prev = chain.head();
            e.ts += u64::from(i == 1);
            let bytes = e.encode().unwrap();
            chain.push(&bytes).unwrap();
            entries.push(bytes);
        }
        rewrite(&mut c, 0, chain, entries);
        let pinned = c.genesis;
        Told { files: c.full(), bare: None, pinned: pinned.to_string() }
    }),
    ("fork-two-heads-of-one-size", || two_heads(0, &[0, 1, 2])),
    ("fork-two-heads-beyond-the-log", || two_heads(7, &[0, 1, 2])),
    ("fork-two-heads-of-a-log-left-out", || two_heads(7, &[1, 2])),
    ("fork-accused-by-a-witness", || accused([1; 32], [2; 32])),
    ("accusation-of-nothing", || accused([1; 32], [1; 32])),
    ("clock-anomaly-of-nothing", || {
        let mut c = Cluster::honest();
        c.log(1, &Event::Clock { by_ms: 0 }, None);
        c.into()
    }),
    ("fork-of-the-charter", || {
        let mut c = Cluster::new();
        for _ in 0..2 {
            let (_, next) = successor(&c, |_| {});
            c.submit(&next);
        }
        c.into()
    }),
    ("fork-of-the-charter-in-two-logs", || {
        let mut c = Cluster::new();
        for n in 0..2 {
            let (_, next) = successor(&c, |_| {});
            c.submit_to(&[n], &next);
        }
        c.into()
    }),
    ("charter-that-drops-a-rule", || {
        let mut c = asked();
        let (_, next) = successor(&c, |n| n.registrar_quorum = 1);
        logged(&mut c, 1, &next)
    }),
    ("charter-by-one-administrator", || {
        let mut c = asked();
        let (next, _) = successor(&c, |_| {});
        let next = c.signed(&next, &["ann"]);
        logged(&mut c, 1, &next)
    }),
    ("charter-that-skips-a-version", || {
        let mut c = asked();
        let (_, next) = successor(&c, |n| n.version += 1);
        logged(&mut c, 1, &next)
    }),
    ("charter-accepted-and-unknown", || {
        let mut c = asked();
        c.log(1, &Event::CharterAccepted { charter: digest("x") }, None);
        c.into()
    }),
    ("charter-with-one-key-twice", || {
        let mut c = asked();
        let (_, next) = successor(&c, |n| {
            let key = n.people[3].keys[0].clone();
            n.people[4].keys.push(key);
        });
        logged(&mut c, 1, &next)
    }),
    // What is not there
    ("lacks-all-views", || {
        let mut c = Cluster::honest();
        c.settle();
        Told { files: c.bundle(&[0, 1, 2], |_, _| false), bare: None, pinned: c.genesis.to_string() }
    }),
    ("lacks-half-the-views", || {
        let mut c = Cluster::honest();
        c.settle();
        Told {
            files: c.bundle(&[0, 1, 2], |viewer, viewed| viewer == (viewed + 1) % 3),
            bare: None,
            pinned: c.genesis.to_string(),
        }
    }),
    ("lacks-a-log", || {
        let mut c = Cluster::honest();
        c.settle();
        Told { files: c.bundle(&[0, 1], |_, _| true), bare: None, pinned: c.genesis.to_string() }
    }),
    ("lacks-the-log-of-a-permit", || {
        let mut c = Cluster::honest();
        c.settle();
        Told { files: c.bundle(&[0, 2], |_, _| true), bare: None, pinned: c.genesis.to_string() }
    }),
    ("lacks-fresh-cosignatures", || {
        let mut c = Cluster::honest();
        c.settle();
        c.tick(1_300);
        c.log(0, &Event::Clock { by_ms: 1_300_000 }, None);
        Told { files: c.full(), bare: None, pinned: c.genesis.to_string() }
    }),
    ("lacks-the-end-of-a-log", || {
        let mut c = Cluster::honest();
        c.settle();
        let n = &mut c.nodes[2];
        n.entries.truncate(8);
        n.tree = n.entries.iter().map(|e| leaf_hash(e)).collect();
        let at = c.statements.iter().rposition(|e| e.kind() == Kind::Verdict).unwrap();
        let gone = c.statements.remove(at).decode::<Verdict>().unwrap();
        c.attachments.retain(|a| Some(Digest::of(a)) != gone.context);
        Told { files: c.full(), bare: None, pinned: c.genesis.to_string() }
    }),
    ("lacks-views-after-the-release", || {
        let mut c = asked();
        c.settle();
        let held: Vec<_> = c.nodes.iter().map(|n| n.held.clone()).collect();
        let (mut c, permits, call) = verdicts(c);
        c.release(0, 1, &call, &permits[1]);
        for (n, held) in c.nodes.iter_mut().zip(held) {
            n.held = held;
        }
        Told { files: c.full(), bare: None, pinned: c.genesis.to_string() }
    }),
];

fn logged(c: &mut Cluster, n: usize, envelope: &Envelope) -> Told {
    c.submit_to(&[n], envelope);
    c.settle();
    Told { files: c.full(), bare: None, pinned: c.genesis.to_string() }
}

/// The request once more with another nonce and its payload spelled otherwise, signed as it stands there.
fn spelled(how: impl FnOnce(String) -> String) -> Told {
    use base64::Engine;
    let base64 = base64::engine::general_purpose::STANDARD;
    let mut c = asked();
    let plain = bent::<Request>(&c, &["req"], |r| r.nonce = Nonce::random());
    let before = String::from_utf8(plain.payload().to_vec()).unwrap();
    let payload = how(before.clone());
    assert_ne!(payload, before, "nothing was spelled otherwise");
    let kind = Kind::Request.payload_type();
    let key = &c.people["req"];
    let sig = key.sign(&escrow_core::envelope::pae(&kind, payload.as_bytes()));
    let signatures = json!([{"keyid": key.public().id(), "sig": base64.encode(sig)}]);
    let envelope = json!({"payload": base64.encode(&payload), "payloadType": kind, "signatures": signatures});
    let envelope = Envelope::parse(envelope.to_string().as_bytes()).unwrap();
    logged(&mut c, 1, &envelope)
}

/// An authorisation at the first node with all that it needs.
fn authorised() -> (Cluster, u64) {
    let (mut c, permits, call) = permitted();
    let answer = c.answer(1, 0);
    let authorized = c.authorise(0, &call, &[&permits[1]], &[&answer]);
    (c, authorized)
}

/// A release in which something happens before the delivery, or the release says something else.
fn delivered(before: impl FnOnce(&mut Cluster), bend: impl FnOnce(&mut Release)) -> Told {
    let (mut c, authorized) = authorised();
    let note = c.cosigned(0, &[1]);
    before(&mut c);
    c.deliver(0, authorized, &note, bend);
    c.into()
}

/// An authorisation on an answer that says something else.
fn answered(bend: impl FnOnce(&mut RestrictionAnswer)) -> Told {
    let (mut c, permits, call) = permitted();
    let mut answer = c.answer(1, 0).decode::<RestrictionAnswer>().unwrap();
    answer.nonce = Nonce::random();
    bend(&mut answer);
    let answer = Envelope::sign(&answer, &[&c.nodes[1].statement]).unwrap();
    c.statements.push(answer.clone());
    c.authorise(0, &call, &[&permits[1]], &[&answer]);
    c.into()
}

/// A verdict of the first node that says something else.
fn verdict(bend: impl FnOnce(&mut Verdict)) -> Told {
    let mut c = approved(asked());
    c.verdict(0, bend);
    c.into()
}

/// What the third node would log next once its peers have cosigned, changed.
fn next_entry(c: &Cluster, bend: impl FnOnce(&mut Entry)) -> Vec<u8> {
    let event = json!({"event": "ready", "peers": [1, 2]});
    let now = u64::try_from(c.now.millis()).unwrap() + 60_000;
    let mut entry = c.nodes[2].chain.draft(now, "node.ready", None, event.as_object().unwrap().clone());
    bend(&mut entry);
    entry.encode().unwrap()
}

fn rewrite(c: &mut Cluster, n: usize, chain: Chain, entries: Vec<Vec<u8>>) {
    let node = &mut c.nodes[n];
    node.tree = entries.iter().map(|e| leaf_hash(e)).collect();
    (node.chain, node.entries) = (chain, entries);
}

/// The third node's log goes on with bytes that no builder takes for an entry, under a head that it signs.
fn spoiled(mut c: Cluster, last: Vec<u8>) -> Told {
    let mut files = c.full();
    let seat = seat_index(3);
    append_raw(&mut c, 2, last);
    let node = &c.nodes[2];
    let mut lines = node.entries.join(&b'\n');
    lines.push(b'\n');
    files.insert(entries_path(seat, 1), lines);
    files.insert(checkpoint_path(seat, 1), node.head(node.tree.size()).to_bytes());
    let mut index = Index::decode(&files["data/bundle.json"]).unwrap();
    index.logs[2].size += 1;
    files.insert("data/README.txt".into(), index.readme().into_bytes());
    files.insert("data/bundle.json".into(), index.encode());
    files.retain(|p, _| p.starts_with("data/") && !p.starts_with(REPORTS));
    files.extend(escrow_audit::report::files(&files, &index));
    let info = index.bag_info(&["MAT-1".parse().unwrap()].into(), &files);
    Told { files: bagit::pack(files, info.as_bytes()), bare: None, pinned: c.genesis.to_string() }
}

/// The second node says that it was shown two heads of the first log, of one size and these roots.
fn accused(first: [u8; 32], second: [u8; 32]) -> Told {
    let mut c = Cluster::honest();
    let node = &c.nodes[0];
    let signer = NoteSigner::new(node.chain.origin(), &node.log_key).unwrap();
    let origin = node.chain.origin().to_owned();
    let head = |root| Checkpoint::new(&origin, 500, root).unwrap().sign(&signer).unwrap().to_bytes();
    let notes = [head(first), head(second)];
    let [first, second] = [Digest::of(&notes[0]), Digest::of(&notes[1])];
    c.attachments.extend(notes);
    c.log(1, &Event::Misbehaviour { origin, first, second }, None);
    c.into()
}

/// Peers hold two heads of the first log, so much larger than it is.
fn two_heads(beyond: u64, logs: &[usize]) -> Told {
    let mut c = Cluster::honest();
    c.settle();
    let node = &c.nodes[0];
    let signer = NoteSigner::new(node.chain.origin(), &node.log_key).unwrap();
    let size = node.tree.size() + beyond;
    let head = |root| Checkpoint::new(node.chain.origin(), size, [root; 32]).unwrap().sign(&signer).unwrap();
    let (a, b) = (head(1), head(2));
    c.nodes[0].held.insert(seat_index(2), a);
    c.nodes[0].held.insert(seat_index(3), b);
    Told { files: c.bundle(logs, |_, _| true), bare: None, pinned: c.genesis.to_string() }
}
