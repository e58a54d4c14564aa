//! The way to a share, tried from every wrong side against real nodes: what a release-call must
//! bring, what stops it, and that no other address leads there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)] // a test that panics has failed

use ed25519_dalek::SigningKey as LogKey;
use escrow_audit::checkpoint::Checkpoint;
use escrow_audit::entry::Entry;
use escrow_audit::note::NoteSigner;
use escrow_client::{Identity, KnownRequest, NodeError, Officer, Wanted, now};
use escrow_core::decision::Choice;
use escrow_core::limits::HTTP_BODY_MAX;
use escrow_core::receipt::Receipt;
use escrow_core::release::Release;
use escrow_core::reply::{ReplyContext, open_reply};
use escrow_core::request::{Recipient, Request};
use escrow_core::sealing::{SealingSecret, Suite};
use escrow_core::verdict::{Outcome, Verdict};
use escrow_core::wire::{ReleaseBody, Released, RestrictionAsk};
use escrow_core::{Blob, Digest, Envelope, Nonce, ThreadKey};
use escrow_node::http::{Route, routes};
use escrow_node::keys::SeatKeys;
use escrow_node::peers::{CosignAnswer, PeerError, Peers};
use escrow_node::store::Store;
use escrow_tests::canary::Canaries;
use escrow_tests::cluster::{body, call, call_at, permits};
use escrow_tests::raw::Raw;
use escrow_tests::{Escrow, Subject, code_of, seat};

/// A running escrow with one custodian, whose keys of some threads are deposited, one a day.
async fn escrow(threads: &[&str]) -> (Escrow, Subject) {
    let escrow = Escrow::start().await;
    let subject = escrow.subject("maria").await;
    let items = threads.iter().flat_map(|t| (0..2).map(|day| (escrow.about(&subject, t, day), ThreadKey::generate())));
    escrow.deposit(&subject, items.collect()).await;
    escrow.open_matter().await;
    (escrow, subject)
}

async fn release(escrow: &Escrow, n: u8, body: &ReleaseBody) -> Result<Released, NodeError> {
    escrow.node(n).release(body).await
}

/// A node's clear shares in a reply, as only the recipient can see them.
fn shares(escrow: &Escrow, n: u8, request: &KnownRequest, released: &Released) -> Vec<Vec<u8>> {
    let erik = escrow.cast.get("erik").unwrap();
    let key = erik.sealing().unwrap();
    let context = ReplyContext {
        genesis: escrow.charters().genesis(),
        request: request.digest,
        seat: seat(n),
        generation: 1,
        recipient: key.public().digest(),
    };
    let list = open_reply(&context, key, &released.reply.0, request.request.items.len()).unwrap();
    list.iter().map(|s| s.to_bytes().to_vec()).collect()
}

/// A permit with other words in it, signed by the seat's own key, as its operator could.
fn rewritten(permit: &Envelope, keys: &SeatKeys, change: impl Fn(&mut Verdict)) -> Envelope {
    let mut verdict: Verdict = permit.decode().unwrap();
    change(&mut verdict);
    verdict.nonce = Nonce::random();
    Envelope::sign(&verdict, &[&keys.statement]).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_call_must_bring_everything_and_be_called_by_the_right_person() {
    let (escrow, _) = escrow(&["a", "b", "c"]).await;
    let request = escrow.approved(escrow.ask(&["a"], 0, 2)).await;
    let other = escrow.approved(escrow.ask(&["b"], 0, 2)).await;
    let quinn = escrow.officer("quinn");

    // One approval too few: pending, at every node, whatever is presented.
    let half = escrow.file(escrow.ask(&["c"], 0, 2)).await;
    escrow.decide("lena", "legal", &half.digest, Choice::Approve).await;
    let half = escrow.known(&half.digest).await;
    let pending = escrow.verdicts(&half.digest).await;
    assert!(pending.good().all(|(_, v)| v.verdict.outcome == Outcome::Pending), "{pending}");
    let pending = permits(&pending, &[2, 3]);

    let verdicts = escrow.verdicts(&request.digest).await;
    let of = |seats: &[u8]| permits(&verdicts, seats);
    let others = permits(&escrow.verdicts(&other.digest).await, &[2, 3]);
    let (two, three) = (escrow.seat_keys(2).0, escrow.seat_keys(3).0);
    let both = |change: fn(&mut Verdict)| {
        let good = of(&[2, 3]);
        vec![rewritten(&good[0], &two, change), rewritten(&good[1], &three, change)]
    };
    let stale = both(|v| {
        v.decided = now().plus_seconds(-120);
        v.valid_until = now().plus_seconds(-60);
    });
    let everlasting = both(|v| {
        v.decided = now().plus_seconds(-120);
        v.valid_until = now().plus_seconds(3_600);
    });
    let early = both(|v| {
        v.decided = now().plus_seconds(3_000);
        v.valid_until = now().plus_seconds(3_030);
    });
    let other_charter = both(|v| v.charter = Digest([9; 32]));
    let borrowed = vec![of(&[2])[0].clone(), rewritten(&of(&[4])[0], &three, |_| {})];

    let cases: Vec<(&str, Vec<Envelope>, &str)> = vec![
        ("no permit", vec![], "permits-missing"),
        ("one permit", of(&[2]), "permits-missing"),
        ("one permit twice", [of(&[2]), of(&[2])].concat(), "permits-missing"),
        ("its own permit twice", of(&[1, 1]), "permits-missing"),
        ("its own permit and one other", of(&[1, 2]), "permits-missing"),
        ("permits of another request", others.clone(), "permits-missing"),
        ("one permit of another request", vec![of(&[2])[0].clone(), others[1].clone()], "permits-missing"),
        ("verdicts that do not permit", pending.clone(), "permits-missing"),
        ("stale permits", stale, "permits-missing"),
        ("permits that live too long", everlasting, "permits-missing"),
        ("permits from the future", early, "permits-missing"),
        ("permits under another charter", other_charter, "permits-missing"),
        ("a permit signed by another seat", borrowed, "permits-missing"),
    ];
    for (what, permits, code) in &cases {
        let outcome = release(&escrow, 1, &body(&call(&quinn, &request.digest), &request, permits)).await;
        assert_eq!(code_of(&outcome), *code, "{what}: {outcome:?}");
    }
    let outcome = release(&escrow, 1, &body(&call(&quinn, &half.digest), &half, &of(&[2, 3]))).await;
    assert_eq!(code_of(&outcome), "pending", "{outcome:?}");

    // Who calls, and when.
    let stranger = Identity::Officer(Officer::generate("quinn".parse().unwrap(), None));
    let stranger = escrow.client.acting_as(stranger);
    let nobody = Identity::Officer(Officer::generate("nobody".parse().unwrap(), None));
    let nobody = escrow.client.acting_as(nobody);
    let calls: Vec<(&str, Envelope, &str)> = vec![
        ("a stranger in the requestor's name", call(&stranger, &request.digest), "bad-signature"),
        ("somebody whom the charter does not know", call(&nobody, &request.digest), "bad-signature"),
        ("an approver", call(&escrow.officer("lena"), &request.digest), "not-entitled"),
        ("a registrar", call(&escrow.officer("rita"), &request.digest), "not-entitled"),
        ("the requestor, an hour ago", call_at(&quinn, &request.digest, now().plus_seconds(-3_600)), "clock-skew"),
        ("for a request that nobody knows", call(&quinn, &Digest([3; 32])), "request-unknown"),
    ];
    for (what, call, code) in &calls {
        let outcome = release(&escrow, 1, &body(call, &request, &of(&[2, 3]))).await;
        assert_eq!(code_of(&outcome), *code, "{what}: {outcome:?}");
    }
    let mut garbled = body(&call(&quinn, &request.digest), &request, &of(&[2, 3]));
    garbled.permits[1] = Blob(b"{}".to_vec());
    assert_eq!(code_of(&release(&escrow, 1, &garbled).await), "malformed");
    for n in 1..=5 {
        assert_eq!(escrow.deliveries(n).await, 0, "node {n} delivered on a wrong call");
    }

    // What was lacking everywhere above is there; a retry is the whole gate again, sealed anew.
    // What cannot be used besides spoils nothing.
    let fresh = permits(&escrow.verdicts(&request.digest).await, &[2, 3]);
    let good = [fresh, others, pending].concat();
    let first = release(&escrow, 1, &body(&call(&quinn, &request.digest), &request, &good)).await.unwrap();
    let second =
        release(&escrow, 1, &body(&call(&escrow.officer("erik"), &request.digest), &request, &good)).await.unwrap();
    let attempt = |r: &Released| Envelope::parse(&r.release.0).unwrap().decode::<Release>().unwrap().attempt;
    assert_eq!((attempt(&first), attempt(&second)), (1, 2));
    assert_ne!(first.reply, second.reply, "the same bytes twice");
    assert_eq!(shares(&escrow, 1, &request, &first), shares(&escrow, 1, &request, &second));
    assert_eq!(escrow.deliveries(1).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_can_turn_a_release_to_another_key() {
    let (escrow, _) = escrow(&["a"]).await;
    let request = escrow.approved(escrow.ask(&["a"], 0, 2)).await;
    let verdicts = escrow.verdicts(&request.digest).await;
    let good = permits(&verdicts, &[2, 3]);
    let mallory = SealingSecret::generate(Suite::XWing);
    let swap = |request: &Request| {
        let mut swapped = request.clone();
        let Recipient::Person(p) = &mut swapped.recipient else { panic!("{request:?}") };
        p.sealing = mallory.public().digest();
        swapped
    };

    // The approvers' own signature does not help: they are not the requestor.
    let forged = escrow.officer("lena").sign(&swap(&request.request)).unwrap();
    let outcome = escrow.node(1).statement(&forged).await;
    assert_eq!(code_of(&outcome), "wrong-signer", "{outcome:?}");
    let as_known =
        |envelope: &Envelope| KnownRequest { envelope: envelope.clone(), digest: envelope.digest(), ..request.clone() };
    let erik = escrow.officer("erik");
    let outcome = release(&escrow, 1, &body(&call(&erik, &forged.digest()), &as_known(&forged), &good)).await;
    assert_eq!(code_of(&outcome), "request-unknown", "{outcome:?}");

    // The requestor can sign it: another request, with approvals of its own, and a key that the
    // charter does not list is refused by every node even then.
    let mut own = swap(&request.request);
    own.nonce = Nonce::random();
    let own = escrow.client.sign(&own).unwrap();
    let outcome = release(&escrow, 1, &body(&call(&escrow.client, &own.digest()), &as_known(&own), &good)).await;
    assert_eq!(code_of(&outcome), "recipient-key", "{outcome:?}");
    let submitted = escrow.client.submit_to_all(&own).await;
    for who in [("lena", "legal"), ("dora", "dpo")] {
        let decision = escrow.decision(who.0, who.1, &own.digest(), Choice::Approve);
        let _logged = escrow.client.submit_to_all(&decision).await;
    }
    let refused = escrow.verdicts(&own.digest()).await;
    assert_eq!(refused.count(), 5, "{submitted} {refused}");
    for (n, v) in refused.good() {
        assert_eq!(v.verdict.outcome, Outcome::Refuse, "node {n}");
        assert_eq!(
            v.verdict.reasons.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["recipient-key"],
            "node {n}"
        );
    }
    for n in 1..=5 {
        assert_eq!(escrow.deliveries(n).await, 0, "node {n}");
    }
}

/// The statement that decided, as the refusing node names it.
fn decided_by(outcome: &Result<Released, NodeError>) -> Option<Digest> {
    match outcome {
        Err(NodeError::Problem(p)) => p.statement,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restriction_travels_and_dead_nodes_stop_what_they_should() {
    let (mut escrow, subject) = escrow(&["a", "b", "c", "d", "e"]).await;
    let quinn = escrow.officer("quinn");
    let mut requests = Vec::new();
    for thread in ["a", "b", "c", "d", "e"] {
        requests.push(escrow.approved(escrow.ask(&[thread], 0, 2)).await);
    }
    let [denied_by_three, denied_by_one, cancelled, unreachable, withdrawn] = requests.try_into().unwrap();
    let try_at = async |escrow: &Escrow, n: u8, request: &KnownRequest, permits: &[Envelope]| {
        release(escrow, n, &body(&call(&quinn, &request.digest), request, permits)).await
    };

    // A denial at n-t+1 nodes stops every node: any two peers that answer include one that knows.
    let permitted = escrow.verdicts(&denied_by_three.digest).await;
    let denial = escrow.decision("sven", "subject-rights", &denied_by_three.digest, Choice::Deny);
    assert_eq!(code_of(&escrow.node(3).statement(&denial).await), "not-entitled", "only approvers deny");
    let denial = escrow.decision("dora", "dpo", &denied_by_three.digest, Choice::Deny);
    for n in [3, 4, 5] {
        escrow.node(n).statement(&denial).await.unwrap();
    }
    for n in 1..=5 {
        let outcome = try_at(&escrow, n, &denied_by_three, &permits(&permitted, &[1, 2, 3, 4, 5])).await;
        assert_eq!((code_of(&outcome), decided_by(&outcome)), ("denied".into(), Some(denial.digest())), "node {n}");
    }

    // So does a cancellation.
    let permitted = escrow.verdicts(&cancelled.digest).await;
    let cancellation = quinn.cancellation(cancelled.digest).unwrap();
    for n in [3, 4, 5] {
        escrow.node(n).statement(&cancellation).await.unwrap();
    }
    for n in 1..=5 {
        let outcome = try_at(&escrow, n, &cancelled, &permits(&permitted, &[1, 2, 3, 4, 5])).await;
        assert_eq!(
            (code_of(&outcome), decided_by(&outcome)),
            ("request-cancelled".into(), Some(cancellation.digest())),
            "node {n}"
        );
    }

    // Two nodes are down, so Collect of nodes 1 and 2 reaches node 5, the only one that knows of
    // the denial: it travels, and they keep it.
    let permitted = escrow.verdicts(&denied_by_one.digest).await;
    escrow.kill(&[3, 4]);
    let denial = escrow.decision("lena", "legal", &denied_by_one.digest, Choice::Deny);
    escrow.node(5).statement(&denial).await.unwrap();
    for n in [1, 2] {
        let outcome = try_at(&escrow, n, &denied_by_one, &permits(&permitted, &[1, 2, 3, 4])).await;
        assert_eq!((code_of(&outcome), decided_by(&outcome)), ("denied".into(), Some(denial.digest())), "node {n}");
        let own = escrow.client.verdict(escrow.node(n), &denied_by_one.digest).await.unwrap();
        assert_eq!(own.verdict.outcome, Outcome::Refuse);
    }
    // Nodes that were down learn it when they start.
    escrow.cluster.start_all().unwrap();
    escrow.ready().await;
    for n in [3, 4] {
        let own = escrow.client.verdict(escrow.node(n), &denied_by_one.digest).await.unwrap();
        assert_eq!(own.verdict.outcome, Outcome::Refuse, "node {n} was down when it was denied");
    }

    // Three nodes down: nothing is delivered, and it is said why.
    let permitted = escrow.verdicts(&unreachable.digest).await;
    escrow.kill(&[3, 4, 5]);
    for n in [1, 2] {
        let outcome = try_at(&escrow, n, &unreachable, &permits(&permitted, &[1, 2, 3, 4, 5])).await;
        let Err(NodeError::Problem(p)) = &outcome else { panic!("{outcome:?}") };
        assert_eq!((p.code.as_str(), p.status, p.seat), ("peers-missing", 503, Some(seat(n))));
    }
    for n in [1, 2] {
        assert_eq!(escrow.deliveries(n).await, 0);
    }
    escrow.cluster.start_all().unwrap();
    escrow.ready().await;
    let again = escrow.known(&unreachable.digest).await;
    let collected = escrow.officer("erik").collect(&again, Wanted::Enough).await.unwrap();
    assert_eq!(collected.outcomes.count(), 3, "{}", collected.outcomes);

    // Consent is withdrawn while two nodes are down. They come back, hold fresh-looking permits of
    // before in front of them, and refuse.
    let permitted = escrow.verdicts(&withdrawn.digest).await;
    escrow.kill(&[4, 5]);
    let withdrawal = subject.client.withdrawal(subject.consent.0, subject.consent.1.subject).unwrap();
    let submitted = subject.client.submit(&withdrawal).await.unwrap();
    assert_eq!((submitted.accepted(), submitted.stops_releases_against()), (3, Some(0)));
    escrow.cluster.start_all().unwrap();
    escrow.ready().await;
    for n in 1..=5 {
        let outcome = try_at(&escrow, n, &withdrawn, &permits(&permitted, &[1, 2, 3, 4, 5])).await;
        assert_eq!(
            (code_of(&outcome), decided_by(&outcome)),
            ("consent-withdrawn".into(), Some(withdrawal.digest())),
            "node {n}"
        );
    }
    // Forward effect: no new deposit under it either, and what was released before stays released.
    let item = vec![(escrow.about(&subject, "f", 0), ThreadKey::generate())];
    let sealed = subject.client.seal_deposits((&subject.consent.0, &subject.consent.1), item).unwrap();
    for (n, blob) in &sealed[0].blobs {
        let body =
            escrow_core::wire::DepositBody { deposit: Blob(sealed[0].envelope.clone()), blob: Blob(blob.clone()) };
        assert_eq!(code_of(&escrow.node(n.get()).deposit(&body).await), "consent-withdrawn", "node {n}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r5_no_other_address_leads_to_a_share() {
    let (escrow, _) = escrow(&["a"]).await;
    let request = escrow.approved(escrow.ask(&["a"], 0, 2)).await;
    let quinn = escrow.officer("quinn");
    let mut canaries = Canaries::default();
    let mut called = None;
    for n in 1..=5u8 {
        let verdicts = escrow.verdicts(&request.digest).await;
        let rest: Vec<u8> = (1..=5).filter(|m| *m != n).collect();
        let sent = body(&call(&quinn, &request.digest), &request, &permits(&verdicts, &rest));
        let released = release(&escrow, n, &sent).await.unwrap();
        for (i, share) in shares(&escrow, n, &request, &released).iter().enumerate() {
            canaries.add(format!("share {i} of node {n}, f"), &share[..32]);
            canaries.add(format!("share {i} of node {n}, r"), &share[32..]);
        }
        called.get_or_insert(sent);
    }
    let deliveries = |n: u8| escrow.deliveries(n);
    let before: Vec<u64> = vec![deliveries(1).await, deliveries(2).await];

    let query = escrow.client.query(seat(1), escrow_core::query::Question::Requests).unwrap();
    let _answered: serde_json::Value = escrow.node(1).query(&query).await.unwrap();
    let receipt = escrow.node(1).statement(&request.envelope).await.unwrap();
    let receipt: Receipt = Envelope::parse(&receipt.receipt.0).unwrap().decode().unwrap();
    assert_eq!(receipt.statement, request.digest);
    let mut unsigned: serde_json::Value = serde_json::from_slice(request.envelope.bytes()).unwrap();
    unsigned["signatures"] = serde_json::json!([]);
    let mut bare = called.unwrap();
    bare.call = Blob(serde_json::to_vec(&unsigned).unwrap());
    // What somebody without any key could send: nothing, rubbish, and what they overheard.
    let bodies: Vec<(&str, Vec<u8>)> = vec![
        ("application/json", vec![]),
        ("application/json", b"{}".to_vec()),
        ("text/plain", vec![0xff; 64]),
        ("application/json", serde_json::to_vec(&about(&request)).unwrap()),
        ("application/vnd.dsse+json", serde_json::to_vec(&unsigned).unwrap()),
        ("application/vnd.dsse+json", query.bytes().to_vec()),
        ("application/json", serde_json::to_vec(&bare).unwrap()),
    ];
    let listed = escrow.listed(1);
    let raw = Raw::new(listed);
    let routes = routes();
    assert!(routes.len() >= 13, "{routes:?}");
    for Route { method, path, authenticated_by } in &routes {
        let path = &filled(path);
        for tried in ["GET", "POST", "PUT", "DELETE"] {
            for (content_type, body) in &bodies {
                let r = raw.send(tried, path, content_type, body.clone()).await;
                let what = format!("{tried} {path} with {content_type}: {} {}", r.status, r.text());
                assert!(canaries.find(&r.body).is_empty(), "a share leaks: {what}");
                let open = authenticated_by == "nobody" && tried == *method;
                assert_eq!(r.status == 200, open, "{what}");
                let cosigning = path.ends_with("add-checkpoint"); // speaks C2SP tlog-witness
                assert!(open || cosigning || r.problem().is_some(), "no problem document: {what}");
            }
        }
    }
    // Whoever overhears a release-call and repeats it gets nothing.
    let fresh = permits(&escrow.verdicts(&request.digest).await, &[2, 3]);
    let overheard = body(&call(&quinn, &request.digest), &request, &fresh);
    release(&escrow, 1, &overheard).await.unwrap();
    let replayed = raw.send("POST", "/v1/releases", "application/json", serde_json::to_vec(&overheard).unwrap()).await;
    assert_eq!(replayed.problem().map(|p| p.code), Some("clock-skew".into()), "{}", replayed.text());

    for path in [
        "/",
        "/v1",
        "/v1/shares",
        "/v1/releases/1",
        "/v1/peer",
        "/v1/peer/shares",
        "/admin",
        "/debug/pprof",
        "/v1/../metrics/x",
    ] {
        let r = raw.get(path).await;
        let p = r.problem().unwrap_or_else(|| panic!("{path}: {} {} {}", r.status, r.content_type, r.text()));
        assert_eq!((r.status, p.code.as_str()), (404, "not-found"), "{path}");
    }
    for path in ["/v1/statements", "/v1/deposits", "/v1/queries", "/v1/releases", "/v1/peer/restrictions"] {
        // Not a byte of it is parsed: the limit comes first.
        let r = Raw::with_key(listed, &escrow.seat_keys(2).0)
            .send("POST", path, "application/json", vec![b'['; HTTP_BODY_MAX + 1])
            .await;
        let p = r.problem().unwrap_or_else(|| panic!("{path}: {} {} {}", r.status, r.content_type, r.text()));
        assert_eq!((r.status, p.code.as_str()), (413, "too-large"), "{path}");
    }
    let after = vec![deliveries(1).await, deliveries(2).await];
    assert_eq!(after, [before[0] + 1, before[1]], "something else was delivered");

    peers_only(&escrow, &request).await;
}

fn about(request: &KnownRequest) -> RestrictionAsk {
    let matter = Some(request.request.matter.clone());
    let request = Some(request.digest);
    RestrictionAsk { nonce: Nonce::random(), request, matter, consents: vec![], revocable: vec![], after: 0 }
}

/// Addresses for seats ask for a seat's TLS key; a checkpoint must be signed by the log it is of.
async fn peers_only(escrow: &Escrow, request: &KnownRequest) {
    let listed = escrow.listed(1);
    let origin = &escrow.listed(2).log_origin;
    let body = serde_json::to_vec(&about(request)).unwrap();
    let strange = SeatKeys::generate().unwrap();
    let own = escrow.seat_keys(1).0;
    for raw in [Raw::new(listed), Raw::with_key(listed, &strange), Raw::with_key(listed, &own)] {
        for r in [
            raw.get(&format!("/v1/peer/witnessed?origin={origin}")).await,
            raw.send("POST", "/v1/peer/restrictions", "application/json", body.clone()).await,
        ] {
            assert_eq!(r.problem().map(|p| (p.status, p.code)), Some((403, "not-a-peer".into())), "{}", r.text());
        }
    }
    let (two, _) = escrow.seat_keys(2);
    let peer = Peers::new(&two).unwrap();
    let witnessed = peer.witnessed(listed, origin).await.unwrap();
    let known = witnessed.note.expect("node 1 has cosigned node 2's log by now");
    assert!(peer.restrictions(listed, &about(request)).await.unwrap().answer.is_some());

    // Anybody may carry a checkpoint, and only the log's own key makes one.
    let head =
        Checkpoint::verify(known.as_bytes(), origin, &escrow_audit::seat::log_verifier(escrow.listed(2)).unwrap())
            .unwrap();
    let sign = |origin: &str, key: &LogKey, size: u64, root: [u8; 32]| {
        let signer = NoteSigner::new(origin, key).unwrap();
        Checkpoint::new(origin, size, root).unwrap().sign(&signer).unwrap()
    };
    let stranger = Peers::new(&strange).unwrap();
    let offer = async |checkpoint, old| match stranger.cosign(listed, &checkpoint, old, vec![]).await {
        Ok(CosignAnswer::Cosigned(line)) => panic!("{}", String::from_utf8_lossy(&line)),
        Ok(CosignAnswer::Has(size)) => format!("has {size}"),
        Err(PeerError::Status(_, status)) => status.to_string(),
        Err(e) => panic!("{e}"),
    };
    assert_eq!(offer(sign("nobody.example/log", &strange.log, 1, [1; 32]), 0).await, "404");
    assert_eq!(offer(sign(origin, &strange.log, head.size() + 1, [1; 32]), head.size()).await, "403");
    assert_eq!(offer(sign(&escrow.listed(1).log_origin, &own.log, 1, [1; 32]), 0).await, "404", "its own log");
    // Node 2's own key cannot make it cosign what does not follow; two roots of one size are kept
    // as evidence. Its honest self goes on meanwhile, so the size it is at is asked for each time.
    let mut at = head.size();
    let refused = loop {
        let answer = offer(sign(origin, &two.log, at + 1_000, [1; 32]), at).await;
        let Some(size) = answer.strip_prefix("has ") else { break answer };
        at = size.parse().unwrap();
    };
    assert_eq!(refused, "422");
    let evidence = || {
        let store = Store::open_reader(&escrow.config(1).database()).unwrap();
        let note = |digest: &serde_json::Value| {
            let digest: Digest = digest.as_str().unwrap().parse().unwrap();
            String::from_utf8(store.attachment(&digest).unwrap().unwrap()).unwrap()
        };
        let entries: Vec<Entry> =
            store.entries(0, 100_000).unwrap().iter().map(|b| Entry::decode(b).unwrap()).collect();
        let of = entries.iter().filter(|e| e.kind == "misbehaviour" && e.body["origin"] == *origin);
        of.map(|e| (note(&e.body["first"]), note(&e.body["second"]))).collect::<Vec<_>>()
    };
    for _ in 0..20 {
        let answer = offer(sign(origin, &two.log, at, [1; 32]), at).await;
        at = answer.strip_prefix("has ").unwrap_or_else(|| panic!("{answer}")).parse().unwrap();
        if !evidence().is_empty() {
            break;
        }
    }
    let (a, b) = evidence().pop().expect("both heads are kept");
    assert!(a.starts_with(origin.as_str()) && b.starts_with(origin.as_str()) && a != b);
}

/// The path of a route with parameters that a log of few entries answers.
fn filled(path: &str) -> String {
    let mut out = path.to_owned();
    let tile = if path.contains("/entries/") { "000.p/1" } else { "0/000.p/1" };
    for (parameter, value) in [("{number}", "1"), ("{tile}", tile), ("{seq}", "0")] {
        out = out.replace(parameter, value);
    }
    assert!(!out.contains('{'), "{path}: a parameter without a value here");
    out
}
