use super::*;
use crate::fixture::{World, seat};
use escrow_core::Blob;
use escrow_core::receipt::Receipt;

fn refused(world: &World, change: impl FnOnce(&mut Receipt, &mut String), signer: u8) -> String {
    let (_, consent) = world.consent();
    let statement = world.client(&world.device).sign(&consent).unwrap();
    let (mut receipt, mut proof) = world.receipt_parts(1, &statement);
    change(&mut receipt, &mut proof);
    let envelope = Envelope::sign(&receipt, &[&world.keys(signer).statement]).unwrap();
    let answer = Receipted { receipt: Blob(envelope.bytes().to_vec()), proof };
    match verify_receipt(&world.charters, seat(1), &answer, &statement) {
        Err(NodeError::Protocol(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_receipt_is_bound_to_seat_statement_log_and_entry() {
    let world = World::new();
    let (_, consent) = world.consent();
    let statement = world.client(&world.device).sign(&consent).unwrap();
    let good = verify_receipt(&world.charters, seat(1), &world.receipt(1, &statement), &statement).unwrap();
    assert!(good.same_envelope);

    assert!(refused(&world, |_, _| {}, 2).contains("unknown key"), "another seat's signature");
    assert!(refused(&world, |r, _| r.seat = seat(2), 2).contains("seat 2's"));
    assert!(refused(&world, |r, _| r.org = "other".parse().unwrap(), 1).contains("organisation"));
    assert!(refused(&world, |r, _| r.charter = Digest([9; 32]), 1).contains("does not know"));
    assert!(refused(&world, |r, _| r.statement = Digest([9; 32]), 1).contains("another statement"));
    assert!(refused(&world, |r, _| r.log = "log.example/2".into(), 1).contains("names log"));
    assert!(refused(&world, |r, _| r.seq = 3, 1).contains("another entry"));
    assert!(refused(&world, |r, _| r.leaf = Digest([9; 32]), 1).contains("does not hold"));
    assert!(refused(&world, |_, p| *p = p.replace("index 2", "index 3"), 1).contains("another entry"));
    assert!(refused(&world, |_, p| *p = p.replace("\n5\n", "\n6\n"), 1).contains("does not hold"));
    assert!(refused(&world, |_, p| p.clear(), 1).contains("unreadable"));
    let other_log = world.receipt(2, &statement).proof;
    assert!(refused(&world, |_, p| *p = other_log, 1).contains("does not hold"));
}

#[test]
fn the_same_payload_under_other_signatures_is_told() {
    let world = World::new();
    let client = world.client(&world.admin);
    let statement = client
        .revocation(escrow_core::enrolment::Revoked::Enrolment(Digest([1; 32])), "lost".parse().unwrap())
        .unwrap();
    let both = world.client(&world.requestor).countersign(&statement).unwrap();
    let receipt = verify_receipt(&world.charters, seat(1), &world.receipt(1, &statement), &both).unwrap();
    assert!(!receipt.same_envelope);
}

#[test]
fn an_entry_must_name_the_statement_and_lie_in_a_signed_tree() {
    let world = World::new();
    let (_, consent) = world.consent();
    let statement = world.client(&world.device).sign(&consent).unwrap();
    let (_, proof) = world.receipt_parts(1, &statement);
    let entry = world.entry(1, &statement);
    let (charter, digest) = (world.charters.digest(), statement.digest());
    let verify =
        |n, digest, entry: &[u8], proof: &str| verify_entry(&world.charters, &charter, seat(n), digest, entry, proof);
    assert_eq!(verify(1, &digest, &entry, &proof).unwrap().size(), 5);
    assert!(verify(2, &digest, &entry, &proof).is_err(), "another seat's log");
    assert!(verify(1, &Digest([9; 32]), &entry, &proof).is_err(), "another statement");
    assert!(verify(1, &digest, &world.entry(2, &statement), &proof).is_err(), "another log's entry");
    assert!(verify(1, &digest, &entry, &proof.replace("index 2", "index 3")).is_err(), "another place");
    let other = String::from_utf8(entry.clone()).unwrap().replace("\"ts\":1", "\"ts\":2").into_bytes();
    assert!(verify(1, &digest, &other, &proof).is_err(), "an entry that the tree does not hold");
}

#[test]
fn a_notification_is_believed_from_the_seat_that_it_names() {
    let world = World::new();
    let notification = Notification {
        kind: escrow_core::Kind::Notification,
        org: world.charter.org.clone(),
        nonce: escrow_core::Nonce::random(),
        charter: world.charters.digest(),
        seat: seat(2),
        event: escrow_core::notification::NotificationEvent::RequestWaits,
        about: Digest([1; 32]),
        matter: Some("MAT-1".parse().unwrap()),
        at: crate::clock::now(),
    };
    let body =
        |n: &Notification, signer: u8| Envelope::sign(n, &[&world.keys(signer).statement]).unwrap().bytes().to_vec();
    let verify = |bytes: &[u8]| verify_notification(&world.charters, bytes);
    assert_eq!(verify(&body(&notification, 2)).unwrap(), notification);
    assert!(verify(&body(&notification, 1)).is_err(), "another seat's signature");
    assert!(verify(&body(&Notification { org: "other".parse().unwrap(), ..notification.clone() }, 2)).is_err());
    assert!(verify(&body(&Notification { charter: Digest([9; 32]), ..notification }, 2)).is_err());
    let (_, consent) = world.consent();
    assert!(verify(world.client(&world.device).sign(&consent).unwrap().bytes()).is_err(), "another kind");
    assert!(verify(b"{}").is_err());
}
