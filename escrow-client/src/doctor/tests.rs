use super::nodes::{Answered, judged};
use super::*;
use crate::clock::now;
use crate::fixture::{World, seat};
use crate::outbox::Outbox;
use crate::outcome::{NodeError, Outcomes};
use crate::seat::verify_receipt;
use crate::transport::Node;
use escrow_core::deal::Deal;
use escrow_core::deposit::Deposit;
use escrow_core::wire::{EntriesAnswer, Status};
use escrow_core::{Blob, Envelope, Timestamp};

fn answered(world: &World, n: u8, state: &str, off_ms: i64) -> Answered {
    let sent = Timestamp::from_millis(1_800_000_000_000);
    let status = Status {
        seat: seat(n),
        state: state.into(),
        reason: String::new(),
        way_out: "mend it".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        charter: world.charters.digest(),
        charter_version: 1,
        log: format!("log.example/{n}"),
        size: 5,
        at: Timestamp::from_millis(sent.millis() + 100 + off_ms),
    };
    Answered { status, sent, received: Timestamp::from_millis(sent.millis() + 200) }
}

fn all_ready(world: &World) -> Outcomes<Answered> {
    Outcomes((1..=5).map(|n| (seat(n), Ok(answered(world, n, "READY", 0)))).collect())
}

fn states(checks: &[Check], name: &str) -> Vec<State> {
    checks.iter().filter(|c| c.name == name).map(|c| c.state).collect()
}

#[test]
fn five_nodes_in_order_are_in_order() {
    let world = World::new();
    let checks = judged(&world.charters, &all_ready(&world));
    assert_eq!(checks.len(), 5 * 5 + 1);
    for c in &checks {
        assert_eq!((c.state, c.next.as_str()), (State::Ok, ""), "{c:?}");
    }
}

#[test]
fn enough_nodes_must_be_ready_and_each_must_show_its_own_key() {
    let world = World::new();
    let mut asked = all_ready(&world);
    asked.0.insert(seat(1), Err(NodeError::Unreachable("refused".into())));
    asked.0.insert(seat(2), Ok(answered(&world, 2, "DEGRADED", 0)));
    let checks = judged(&world.charters, &asked);
    assert_eq!(states(&checks, "quorum"), [State::Warn]);
    assert_eq!(states(&checks, "tls")[..2], [State::Warn, State::Ok]);
    asked.0.insert(seat(3), Err(NodeError::WrongKey));
    let checks = judged(&world.charters, &asked);
    assert_eq!(states(&checks, "quorum"), [State::Fail(Fault::BelowThreshold)]);
    assert_eq!(states(&checks, "tls")[2], State::Fail(Fault::Verification));
    asked.0.insert(seat(4), Ok(answered(&world, 4, "POISONED", 0)));
    let checks = judged(&world.charters, &asked);
    let poisoned = checks.iter().find(|c| c.name == "state" && c.of == "node 4").unwrap();
    assert_eq!((poisoned.state, poisoned.next.as_str()), (State::Fail(Fault::Verification), "mend it"));
}

#[test]
fn a_clock_is_judged_by_the_charter_and_not_blamed_for_a_slow_way() {
    let world = World::new();
    let limit = i64::try_from(world.charter.limits.clock_skew_s).unwrap() * 1_000;
    let state = |off| {
        let asked = Outcomes([(seat(1), Ok(answered(&world, 1, "READY", off)))].into());
        states(&judged(&world.charters, &asked), "clock")[0]
    };
    for off in [0, limit / 2, -limit / 2] {
        assert_eq!(state(off), State::Ok, "{off}");
    }
    for off in [limit / 2 + 101, limit + 100, -limit - 100] {
        assert_eq!(state(off), State::Warn, "{off}");
    }
    for off in [limit + 101, -limit - 101] {
        assert_eq!(state(off), State::Fail(Fault::Machine), "{off}");
    }
}

#[test]
fn another_version_or_charter_is_said_and_a_charter_from_the_future_too() {
    let world = World::new();
    let mut other = answered(&world, 1, "READY", 0);
    other.status.version = "99.0.0".into();
    other.status.charter = escrow_core::Digest([9; 32]);
    let checks = judged(&world.charters, &Outcomes([(seat(1), Ok(other))].into()));
    assert_eq!((states(&checks, "version"), states(&checks, "in force")), (vec![State::Warn], vec![State::Warn]));
    let issued = world.charter.issued;
    assert_eq!(charter(&world.charters, issued.plus_seconds(86_400)).state, State::Ok);
    assert_eq!(charter(&world.charters, issued.plus_seconds(-86_400)).state, State::Warn);
    assert_eq!(charter(&world.charters, issued.plus_seconds(500 * 86_400)).state, State::Warn);
}

struct Deposited {
    world: World,
    outbox: Outbox,
    envelope: Envelope,
    _dir: tempfile::TempDir,
}

fn deposited() -> Deposited {
    let (world, dir) = (World::new(), tempfile::tempdir().unwrap());
    let (digest, consent) = world.consent();
    let sealed = world.client(&world.device).seal_deposits((&digest, &consent), world.items(2)).unwrap();
    let outbox = Outbox::open(&dir.path().join("outbox.db")).unwrap();
    outbox.put(&sealed).unwrap();
    let envelope = Envelope::parse(&sealed[0].envelope).unwrap();
    Deposited { world, outbox, envelope, _dir: dir }
}

#[test]
fn kept_receipts_are_verified_again() {
    let d = deposited();
    let charters = &d.world.charters;
    assert_eq!(receipts(charters, &d.outbox, 10).unwrap().state, State::Skipped);
    let waiting = pending(charters, &d.outbox, 10).unwrap();
    assert_eq!(waiting.iter().map(|c| c.state).collect::<Vec<_>>(), [State::Warn, State::Ok]);
    let receipt = |n| verify_receipt(charters, seat(n), &d.world.receipt(n, &d.envelope), &d.envelope).unwrap();
    for n in 1..=4 {
        d.outbox.acknowledge(&receipt(n)).unwrap();
    }
    let good = receipts(charters, &d.outbox, 10).unwrap();
    assert!(good.state == State::Ok && good.what.starts_with("4 receipts of 1 deposits"), "{good:?}");
    // A proof out of another node's log.
    let mut false_one = receipt(5);
    false_one.proof = receipt(1).proof;
    d.outbox.acknowledge(&false_one).unwrap();
    let bad = receipts(charters, &d.outbox, 10).unwrap();
    assert_eq!((bad.state, bad.of.as_str()), (State::Fail(Fault::Verification), "node 5"));
    assert_eq!(pending(charters, &d.outbox, 10).unwrap().len(), 1, "nothing waits any more");
}

fn sample(world: &World, deposit: &Envelope) -> Check {
    let answer = EntriesAnswer {
        size: 3,
        checkpoint: String::new(),
        entries: vec![Blob(world.entry(1, deposit))],
        statements: vec![Blob(deposit.bytes().to_vec())],
        attachments: vec![],
    };
    super::sample::judged(&world.charters, &Node::new(&world.charter.seats[0]).unwrap(), &answer)
}

/// The deposit with a changed deal, signed again: as a node could be handed it by its own depositor.
fn changed(d: &Deposited, change: impl FnOnce(&mut Deal)) -> Envelope {
    let mut deposit: Deposit = d.envelope.decode().unwrap();
    let mut deal: Deal = serde_json::from_slice(&deposit.deal.0).unwrap();
    change(&mut deal);
    deposit.deal = Blob(serde_json::to_vec(&deal).unwrap());
    d.world.client(&d.world.device).sign(&deposit).unwrap()
}

#[test]
fn a_sampled_deposit_must_fit_its_generation() {
    let d = deposited();
    let good = sample(&d.world, &d.envelope);
    assert!(good.state == State::Ok && good.what.contains("2 items"), "{good:?}");
    assert!(good.what.contains("Not checked"), "it says what it is worth");
    let fewer_commitments = |deal: &mut Deal| deal.items[1].commitments.0.truncate(130);
    let two_of_five = |deal: &mut Deal| {
        deal.t = 2;
        deal.items.iter_mut().for_each(|item| item.commitments.0.truncate(130));
    };
    for (bad, words) in [
        (changed(&d, fewer_commitments), "item 1"),
        (changed(&d, two_of_five), "dealt 2 of 5"),
        (changed(&d, |deal| deal.n = 4), "dealt 3 of 4"),
    ] {
        let check = sample(&d.world, &bad);
        assert_eq!(check.state, State::Fail(Fault::Verification), "{check:?}");
        assert!(check.what.contains(words), "{check:?}");
    }
    // What the log does not name is nobody's deposit.
    let (digest, consent) = d.world.consent();
    let other = d.world.client(&d.world.device).seal_deposits((&digest, &consent), d.world.items(1)).unwrap();
    let other = Envelope::parse(&other[0].envelope).unwrap();
    let answer = EntriesAnswer {
        size: 3,
        checkpoint: String::new(),
        entries: vec![Blob(d.world.entry(1, &d.envelope))],
        statements: vec![Blob(other.bytes().to_vec())],
        attachments: vec![],
    };
    let check = super::sample::judged(&d.world.charters, &Node::new(&d.world.charter.seats[0]).unwrap(), &answer);
    assert_eq!(check.state, State::Skipped);
    assert!(charter(&d.world.charters, now()).what.contains("verifies from the pinned genesis"));
}
