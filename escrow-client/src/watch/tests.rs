//! What a watch remembers, and how it judges time; whole nodes are in the cluster's tests.

use super::*;
use crate::fixture::World;
use escrow_audit::checkpoint::Checkpoint;
use escrow_audit::note::NoteSigner;
use escrow_audit::tree::leaf_hash;
use escrow_core::SigningKey;

fn head(world: &World, n: usize, size: u64) -> VerifiedCheckpoint {
    let SigningKey::Ed25519(key) = &world.seats[n].log else { panic!("an Ed25519 key") };
    let origin = &world.charter.seats[n].log_origin;
    let signer = NoteSigner::new(origin, key).unwrap();
    Checkpoint::new(origin, size, leaf_hash(&size.to_be_bytes())).unwrap().sign(&signer).unwrap()
}

#[test]
fn a_cosignature_from_the_future_is_not_fresh() {
    let (world, dir) = (World::new(), tempfile::tempdir().unwrap());
    let heads = Heads::open(dir.path()).unwrap();
    let watch = Watch::new(world.charters.clone(), heads, Duration::from_secs(600));
    let skew = i64::try_from(world.charter.limits.clock_skew_s).unwrap();
    let now = Timestamp::from_millis(1_800_000_000_000);
    let at = |s: i64| u64::try_from(now.plus_seconds(s).millis() / 1_000).unwrap();
    assert_eq!(watch.newest(&[], now), None);
    assert_eq!(watch.newest(&[at(-90), at(-30), at(-60)], now), Some(now.plus_seconds(-30)));
    assert_eq!(watch.newest(&[at(-90), at(skew)], now), Some(now.plus_seconds(skew)), "clocks differ a little");
    assert_eq!(watch.newest(&[at(-90), at(skew + 1)], now), Some(now.plus_seconds(-90)));
    assert_eq!(watch.newest(&[at(skew + 1), u64::MAX, u64::MAX / 1_000], now), None);
}

#[test]
fn the_witnesses_of_a_log_are_the_other_members() {
    let (world, dir) = (World::new(), tempfile::tempdir().unwrap());
    let watch = Watch::new(world.charters.clone(), Heads::open(dir.path()).unwrap(), Duration::from_secs(600));
    for seat in &world.charter.seats {
        let peers = watch.peers(seat);
        let own = witness_verifier(&world.charter.org, seat).unwrap();
        assert_eq!(peers.len(), 4);
        assert!(!peers.contains(&own));
        assert_eq!(watch.number(seat), 1);
    }
}

#[test]
fn heads_are_remembered_by_log_and_believed_only_from_its_key() {
    let (world, dir) = (World::new(), tempfile::tempdir().unwrap());
    let folder = dir.path().join("a/heads");
    let heads = Heads::open(&folder).unwrap();
    assert!(matches!(Heads::open(&folder), Err(WatchError::Running(_))));
    let logs = [0, 1].map(|n| log_key(&world.charter.seats[n]).unwrap());
    assert_eq!(heads.load(&logs[0]).unwrap(), None);
    for size in [5, 7] {
        heads.save(&logs[0], &head(&world, 0, size)).unwrap();
        assert_eq!(heads.load(&logs[0]).unwrap().unwrap().size(), size);
    }
    assert_eq!(heads.load(&logs[1]).unwrap(), None);
    drop(heads);
    let heads = Heads::open(&folder).unwrap();
    assert_eq!(heads.load(&logs[0]).unwrap(), Some(head(&world, 0, 7)));
    for bad in [head(&world, 1, 5).to_bytes(), vec![], vec![b'x'; 70_000]] {
        std::fs::write(heads.path(&logs[0]), &bad).unwrap();
        assert!(heads.load(&logs[0]).is_err(), "another log's head, nothing, too much");
        assert_eq!(std::fs::read(heads.path(&logs[0])).unwrap(), bad, "left as it is");
    }
}

#[test]
fn evidence_is_kept_once_whatever_cosignatures_come_with_it() {
    let (world, dir) = (World::new(), tempfile::tempdir().unwrap());
    let heads = Heads::open(dir.path()).unwrap();
    let log = log_key(&world.charter.seats[0]).unwrap();
    let two = |second: Vec<u8>| vec![("first.txt", head(&world, 0, 5).to_bytes()), ("second.txt", second)];
    let honest = head(&world, 0, 6).to_bytes();
    let kept = heads.keep(&log, &two(honest.clone())).unwrap();
    let more_lines = [&honest[..], "— stranger AAAAAAA=\n".as_bytes()].concat();
    assert_eq!(heads.keep(&log, &two(more_lines)).unwrap(), kept);
    assert_eq!(std::fs::read(kept.join("second.txt")).unwrap(), honest, "the first copy stays");
    assert_ne!(heads.keep(&log, &two(head(&world, 0, 7).to_bytes())).unwrap(), kept);
    assert!(heads.keep(&log, &[("shown.txt", vec![0xff; 9])]).unwrap().join("shown.txt").exists());
}
