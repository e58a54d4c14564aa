//! Restrictions travel: whoever asks only the nodes that missed one gains nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)] // a test that panics has failed

use escrow_client::{KnownRequest, NodeError};
use escrow_core::charter::Charter;
use escrow_core::decision::Choice;
use escrow_core::enrolment::Revoked;
use escrow_core::verdict::Outcome;
use escrow_core::{Digest, Envelope, ThreadKey};
use escrow_tests::cluster::{Options, PATIENCE, body, call, permits};
use escrow_tests::{Escrow, code_of};
use std::time::{Duration, Instant};

/// A second requestor, whose key is revoked.
fn two_requestors(charter: &mut Charter) {
    let sven = charter.people.iter_mut().find(|p| p.id.as_str() == "sven").unwrap();
    sven.roles = vec!["requestor".parse().unwrap()];
}

async fn refused_by_name(escrow: &Escrow, n: u8, request: &KnownRequest, held: &[Envelope], rule: &str, by: Digest) {
    let caller = escrow.officer(request.request.by.as_str());
    let outcome = escrow.node(n).release(&body(&call(&caller, &request.digest), request, held)).await;
    let code = code_of(&outcome);
    let Err(NodeError::Problem(p)) = outcome else { panic!("node {n}, {rule}: {code}") };
    assert_eq!((code.as_str(), p.statement), (rule, Some(by)), "node {n}: {}", p.detail);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn placed_while_two_of_five_are_down_and_then_those_two_are_asked() {
    let mut escrow = Escrow::start_with(Options { charter: Some(two_requestors), ..Options::default() }).await;
    let (maria, max) = (escrow.subject("maria").await, escrow.subject("max").await);
    for (subject, thread) in [(&maria, "a"), (&max, "b"), (&max, "c"), (&max, "d")] {
        escrow.deposit(subject, vec![(escrow.about(subject, thread, 0), ThreadKey::generate())]).await;
    }
    escrow.open_matter().await;
    let withdrawn = escrow.approved(escrow.ask(&["a"], 0, 1)).await;
    let denied = escrow.approved(escrow.ask(&["b"], 0, 1)).await;
    let sven = escrow.officer("sven");
    let draft = sven.draft_request(escrow.ask(&["c"], 0, 1)).await.unwrap();
    let signed = sven.sign(&draft.request).unwrap();
    let _logged = sven.submit(&signed).await.unwrap();
    for (who, role) in [("lena", "legal"), ("dora", "dpo")] {
        escrow.decide(who, role, &signed.digest(), Choice::Approve).await;
    }
    let revoked = escrow.known(&signed.digest()).await;
    let spared = escrow.approved(escrow.ask(&["d"], 0, 1)).await;

    let held = |v| permits(&v, &[1, 4, 5]);
    let permits = [
        held(escrow.verdicts(&withdrawn.digest).await),
        held(escrow.verdicts(&denied.digest).await),
        held(escrow.verdicts(&revoked.digest).await),
    ];
    escrow.kill(&[4, 5]);
    let withdrawal = maria.client.withdrawal(maria.consent.0, maria.consent.1.subject).unwrap();
    let denial = escrow.decision("dora", "dpo", &denied.digest, Choice::Deny);
    let key = escrow.cast.get("sven").unwrap().public();
    let revocation = escrow.officer("rita").revocation(Revoked::Key(key), "stolen".parse().unwrap()).unwrap();
    let revocation = escrow.officer("rolf").countersign(&revocation).unwrap();
    for (client, statement) in [(&maria.client, &withdrawal), (&escrow.client, &denial), (&escrow.client, &revocation)]
    {
        let submitted = client.submit(statement).await.unwrap();
        assert_eq!((submitted.accepted(), submitted.stops_releases_against()), (3, Some(0)));
    }
    escrow.cluster.start_all().unwrap();
    escrow.ready().await;
    // The two, and the fewest others there can be.
    escrow.kill(&[2, 3]);
    for n in [4, 5, 1] {
        refused_by_name(&escrow, n, &withdrawn, &permits[0], "consent-withdrawn", withdrawal.digest()).await;
        refused_by_name(&escrow, n, &denied, &permits[1], "denied", denial.digest()).await;
        // Whose key was revoked cannot even call; so the recipient calls, and hears why.
        let erik = escrow.officer("erik");
        let outcome = escrow.node(n).release(&body(&call(&erik, &revoked.digest), &revoked, &permits[2])).await;
        let Err(NodeError::Problem(p)) = outcome else { panic!("node {n} released") };
        assert_eq!((p.code.as_str(), p.statement), ("key-revoked", Some(revocation.digest())), "node {n}");
        assert_eq!(escrow.deliveries(n).await, 0, "node {n}");
    }

    // One node alone hears a denial. Nobody calls for a release, and still all know it soon.
    escrow.cluster.start_all().unwrap();
    escrow.ready().await;
    let denial = escrow.decision("dora", "dpo", &spared.digest, Choice::Deny);
    escrow.node(5).statement(&denial).await.unwrap();
    let until = Instant::now() + PATIENCE;
    for n in 1..=4 {
        loop {
            let verdict = escrow.client.verdict(escrow.node(n), &spared.digest).await.unwrap().verdict;
            if verdict.outcome == Outcome::Refuse {
                assert_eq!(verdict.reasons, ["denied".parse().unwrap()]);
                break;
            }
            assert!(Instant::now() < until, "node {n} never heard of the denial: {verdict:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}
