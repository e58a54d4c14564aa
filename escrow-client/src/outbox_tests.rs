use super::*;
use crate::deposit::Standing;
use crate::fixture::{World, seat};
use crate::seat::verify_receipt;
use escrow_core::Envelope;

fn sealed(world: &World, items: u8) -> Vec<SealedDeposit> {
    let (digest, consent) = world.consent();
    world.client(&world.device).seal_deposits((&digest, &consent), world.items(items)).unwrap()
}

fn receipt(world: &World, n: u8, deposit: &[u8]) -> VerifiedReceipt {
    let envelope = Envelope::parse(deposit).unwrap();
    verify_receipt(&world.charters, seat(n), &world.receipt(n, &envelope), &envelope).unwrap()
}

#[test]
fn what_is_put_survives_and_what_is_acknowledged_goes() {
    let world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("outbox.db");
    let deposits = sealed(&world, 70);
    assert_eq!(deposits.iter().map(|d| d.items.len()).collect::<Vec<_>>(), [64, 6]);
    {
        let outbox = Outbox::open(&path).unwrap();
        outbox.put(&deposits).unwrap();
        // No orderly end: what a kill leaves is what the next process finds.
        std::mem::forget(outbox);
    }
    let outbox = Outbox::open(&path).unwrap();
    assert_eq!(outbox.pending().unwrap().len(), 10);
    let first = &deposits[0];
    for n in 1..=5 {
        let row = outbox.load(&first.digest, seat(n)).unwrap().unwrap();
        assert_eq!((&row.envelope, &row.blob), (&first.envelope, &first.blobs[usize::from(n) - 1].1));
        let standing = outbox.progress().unwrap()[0].standing();
        match n {
            1 => assert_eq!(standing, Standing::NotRecoverable(3)),
            4 => assert_eq!(standing, Standing::Recoverable(0)),
            5 => assert_eq!(standing, Standing::Recoverable(1)),
            _ => {}
        }
        let receipt = receipt(&world, n, &first.envelope);
        outbox.acknowledge(&receipt).unwrap();
        outbox.acknowledge(&receipt).unwrap();
        assert!(outbox.load(&first.digest, seat(n)).unwrap().is_none());
    }
    assert_eq!(outbox.progress().unwrap()[0].standing(), Standing::Escrowed(2));
    assert_eq!(outbox.pending().unwrap().len(), 5);
    assert_eq!(outbox.receipts(&first.digest).unwrap().len(), 5);
    assert_eq!(outbox.deposit_of(&world.about(3)).unwrap(), Some(first.digest));
    assert_eq!(outbox.deposit_of(&world.about(200)).unwrap(), None);
    // The acknowledged deposit's own bytes are gone from the file, not only from the tables.
    drop(outbox);
    let file = std::fs::read(&path).unwrap();
    let blob = &first.blobs[0].1[..64];
    assert!(!file.windows(64).any(|w| w == blob));
}

#[test]
fn nothing_in_the_file_opens_anything() {
    let world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("outbox.db");
    Outbox::open(&path).unwrap().put(&sealed(&world, 2)).unwrap();
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        let bytes = std::fs::read(entry.path()).unwrap();
        assert!(!bytes.windows(16).any(|w| w == [1u8; 16]), "a thread key of ones");
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&entry.metadata().unwrap().permissions()) & 0o777, 0o600);
    }
}

#[test]
fn after_the_consent_nothing_is_sent() {
    let world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(&dir.path().join("o")).unwrap();
    let deposits = sealed(&world, 1);
    outbox.put(&deposits).unwrap();
    outbox.acknowledge(&receipt(&world, 1, &deposits[0].envelope)).unwrap();
    let end = deposits[0].expires;
    assert_eq!(outbox.expire(end.plus_seconds(-1)).unwrap(), 0);
    assert_eq!(outbox.pending().unwrap().len(), 4);
    assert_eq!(outbox.expire(end).unwrap(), 1);
    assert!(outbox.pending().unwrap().is_empty());
    assert!(outbox.load(&deposits[0].digest, seat(2)).unwrap().is_none());
    let progress = outbox.progress().unwrap();
    assert!(progress[0].expired && progress[0].receipts.len() == 1);
}

#[test]
#[cfg(unix)]
fn a_file_that_others_may_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("o");
    drop(Outbox::open(&path).unwrap());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(Outbox::open(&path), Err(OutboxError::File(KeyFileError::Exposed(_)))));
}
