//! A seat that is behind, and its next log, on a real data folder.

use crate::behind::kept;
use crate::engine::Engine;
use crate::fixture::Fixture;
use crate::keys::SeatKeys;
use crate::new_log::new_log;
use crate::node::{NodeError, Opened, open};
use crate::start;
use crate::state::State;
use crate::store::Store;
use crate::unlock::{PassphraseFile, replace};
use escrow_audit::checkpoint::Checkpoint;
use escrow_audit::entry::Entry;
use escrow_audit::note::NoteSigner;
use escrow_audit::proof::TlogProof;
use escrow_audit::seat::log_verifier;
use escrow_core::charter::{Charter, Seat};
use escrow_core::decision::Choice;
use escrow_core::receipt::Receipt;
use escrow_core::{Digest, Envelope, Nonce};

/// Ends a node as a process would.
fn close(opened: Opened) {
    let Opened { node, writer, .. } = opened;
    drop(node);
    writer.join().unwrap();
}

fn stored(f: &Fixture) -> Vec<Entry> {
    let store = Store::open_reader(&f.config().database()).unwrap();
    store.entries(0, 10_000).unwrap().iter().map(|b| Entry::decode(b).unwrap()).collect()
}

fn keys(f: &Fixture) -> SeatKeys {
    SeatKeys::load(&f.config().key_file(), &PassphraseFile(f.config().passphrase_file.clone())).unwrap().0
}

/// What a peer holds of a log that went on: a head that its key signed and that is not here.
fn seen_elsewhere(f: &Fixture, seat: &Seat, size: u64) -> String {
    let keys = keys(f);
    let signer = NoteSigner::new(&seat.log_origin, &keys.log).unwrap();
    let head = Checkpoint::new(&seat.log_origin, size, [7; 32]).unwrap().sign(&signer).unwrap();
    replace(&f.config().newest_head(), &head.to_bytes()).unwrap();
    head.note().text().to_owned()
}

/// Has the next charter, with one seat changed, accepted here.
fn accept_next(f: &Fixture, before: &Envelope, seat: &Seat) -> Result<Envelope, NodeError> {
    let mut next: Charter = before.decode().unwrap();
    (next.version, next.previous, next.nonce) = (next.version + 1, Some(before.digest()), Nonce::random());
    let at = next.seats.iter().position(|s| s.index == seat.index).unwrap();
    next.seats[at] = seat.clone();
    let next = Envelope::sign(&next, &[&f.people["ann"], &f.people["bob"]]).unwrap();
    let mut store = Store::open(&f.config().database()).unwrap();
    start::accept(&mut store, &next.digest(), vec![next.clone()]).map(|_| next)
}

fn next_charter(f: &Fixture, before: &Envelope, seat: &Seat) -> Envelope {
    accept_next(f, before, seat).unwrap()
}

async fn submitted(opened: &Opened, e: &Envelope) -> (Receipt, TlogProof) {
    let e = e.clone();
    let s = opened.node.writer.run(move |engine| engine.submit(&e)).await.unwrap().into_inner().unwrap();
    let proof = opened.node.proof(s.position).await.unwrap();
    (s.receipt.decode().unwrap(), TlogProof::parse(proof.as_bytes()).unwrap())
}

fn holds((receipt, proof): &(Receipt, TlogProof), seat: &Seat) {
    assert_eq!((&receipt.log, receipt.seq), (&seat.log_origin, proof.index));
    proof.verify(&receipt.leaf.0, &seat.log_origin, &log_verifier(seat).unwrap()).unwrap();
}

#[tokio::test]
async fn a_seat_that_is_behind_says_so_at_once_signs_nothing_and_prepares_one_log() {
    let f = Fixture::new("");
    close(f.open().await);
    let (own, entries) = (f.charter.seats[0].clone(), stored(&f).len());
    let none = new_log(&f.config()).unwrap_err().to_string();
    assert!(none.contains("not in ROLLBACK"), "{none}");

    let text = seen_elsewhere(&f, &own, 50);
    let opened = open(&f.config()).unwrap();
    let State::Rollback(reason) = opened.node.state() else { panic!("{:?}", opened.node.state()) };
    assert!(reason.contains("size 50") && reason.contains("own key"), "{reason}");
    opened.node.set_state(State::Ready);
    assert!(matches!(opened.node.state(), State::Rollback(_)), "nothing leads out of it");
    // The writer has taken up work, and has signed no head.
    let size = opened.node.writer.run(|e: &mut Engine| e.size()).await.unwrap().into_inner();
    assert_eq!((size, opened.node.writer.head()), (entries as u64, None));
    close(opened);
    assert_eq!(stored(&f).len(), entries);

    let keys_before = std::fs::read(f.config().key_file()).unwrap();
    let first = new_log(&f.config()).unwrap();
    assert_eq!((first.kept, first.newest), (entries as u64, 50));
    assert_eq!(first.seat.previous_log_head, Some(Digest::of(text.as_bytes())));
    let (origin, key) = (first.seat.log_origin.clone(), first.seat.log_key.clone());
    assert_eq!(origin, own.log_origin.replace("log/1", "log/2"));
    assert_ne!(key, own.log_key);
    let restored = Seat {
        log_origin: own.log_origin.clone(),
        log_key: own.log_key.clone(),
        previous_log_head: None,
        ..first.seat.clone()
    };
    assert_eq!(restored, own, "all other keys go on");
    assert_eq!(new_log(&f.config()).unwrap().seat, first.seat, "the same again is the same");
    assert_eq!(std::fs::read(f.config().key_file()).unwrap(), keys_before, "nothing changes before the charter");

    // A head of another log, or one that lies on this one, is no reason.
    let elsewhere = Seat { log_origin: "acme/other".into(), ..own.clone() };
    seen_elsewhere(&f, &elsewhere, 50);
    assert_eq!(kept(&f.config().newest_head(), &own).unwrap(), None);
    let opened = open(&f.config()).unwrap();
    assert!(matches!(opened.node.state(), State::Unproven(_)), "{:?}", opened.node.state());
    close(opened);
}

#[tokio::test]
async fn by_charter_the_seat_goes_on_under_its_new_log_and_only_there() {
    let f = Fixture::new("");
    let (old_statement, old_keys) = (f.decision("dpo", "dpo", Choice::Deny), keys(&f));
    let opened = f.open().await;
    let own = f.charter.seats[0].clone();
    let before = submitted(&opened, &old_statement).await;
    holds(&before, &own);
    close(opened);
    let entries = stored(&f).len() as u64;
    seen_elsewhere(&f, &own, entries + 20);
    let prepared = new_log(&f.config()).unwrap();
    let key_file = std::fs::read(f.config().key_file()).unwrap();
    let next_file = std::fs::read(f.config().next_key_file()).unwrap();

    // A charter with another key than the prepared one changes nothing.
    let other = Seat { log_key: SeatKeys::generate().unwrap().log_public(), ..prepared.seat.clone() };
    next_charter(&f, &f.genesis, &other);
    let refused = open(&f.config()).unwrap_err().to_string();
    assert!(refused.contains("another key"), "{refused}");
    assert_eq!(std::fs::read(f.config().key_file()).unwrap(), key_file);
    assert!(Store::open(&f.config().database()).unwrap().closed_logs().unwrap().is_empty());
    let mut store = Store::open(&f.config().database()).unwrap();
    start::accept(&mut store, &f.genesis.digest(), vec![f.genesis.clone()]).unwrap();
    drop(store);

    let v2 = next_charter(&f, &f.genesis, &prepared.seat);
    let opened = f.open().await;
    assert_eq!(opened.node.state(), State::Ready);
    assert_eq!(opened.node.keys.log_public(), prepared.seat.log_key);
    assert!(!f.config().next_key_file().exists());
    let all = stored(&f);
    let new = &all[usize::try_from(entries).unwrap()..];
    let kinds: Vec<&str> = new.iter().map(|e| e.kind.as_str()).collect();
    assert_eq!(kinds, ["log.continued", "charter", "charter.accepted", "node.ready"]);
    assert!(new.iter().zip(0..).all(|(e, seq)| (e.seq, &e.log) == (seq, &prepared.seat.log_origin)));
    assert_eq!(new[0].body["log"], own.log_origin);
    assert_eq!(new[0].body["size"], entries);

    // What was logged before is not logged again: its receipt names the old log, under that log's last head.
    let again = submitted(&opened, &old_statement).await;
    holds(&again, &own);
    assert_eq!((again.0.seq, again.0.leaf), (before.0.seq, before.0.leaf));
    assert_eq!(again.1.checkpoint.text().lines().nth(1), Some(entries.to_string().as_str()));
    let new_statement = f.decision("leg", "legal", Choice::Deny);
    let fresh = submitted(&opened, &new_statement).await;
    holds(&fresh, &prepared.seat);
    assert_eq!(fresh.0.seq, 4);
    let position = opened.node.writer.run(|e: &mut Engine| (e.base(), e.size(), e.facts().size())).await.unwrap();
    assert_eq!(position.into_inner(), (entries, 5, entries + 5));
    assert_eq!(opened.node.writer.head().unwrap().origin(), prepared.seat.log_origin);
    close(opened);

    // Cut off before the key files were swapped: the next start ends it, and closes nothing twice.
    std::fs::write(f.config().key_file(), &key_file).unwrap();
    std::fs::write(f.config().next_key_file(), &next_file).unwrap();
    close(f.open().await);
    assert_eq!(keys(&f).log_public(), prepared.seat.log_key);
    assert_ne!(keys(&f).log.to_bytes(), old_keys.log.to_bytes());
    let closed = Store::open(&f.config().database()).unwrap().closed_logs().unwrap();
    assert_eq!(
        closed.iter().map(|c| (c.origin.as_str(), c.size)).collect::<Vec<_>>(),
        [(own.log_origin.as_str(), entries)]
    );

    // A second loss leads to a third log, which counts what is left of the second.
    let kept_of_two = stored(&f).len() as u64 - entries;
    seen_elsewhere(&f, &prepared.seat, kept_of_two + 9);
    let third = new_log(&f.config()).unwrap();
    assert_eq!((third.kept, third.seat.log_origin.as_str()), (kept_of_two, "acme/seat-1/log/3"));
    let v3 = next_charter(&f, &v2, &third.seat);
    let opened = f.open().await;
    for (statement, seat) in [(&old_statement, &own), (&new_statement, &prepared.seat)] {
        holds(&submitted(&opened, statement).await, seat);
    }
    close(opened);
    let last = stored(&f).into_iter().rfind(|e| e.kind == "log.continued").unwrap();
    assert_eq!(
        (&last.body["log"], &last.body["size"]),
        (&prepared.seat.log_origin.clone().into(), &kept_of_two.into())
    );

    // No charter gives a closed log back.
    let back = Seat { previous_log_head: Some(Digest([3; 32])), ..own.clone() };
    let refused = accept_next(&f, &v3, &back).unwrap_err().to_string();
    assert!(refused.contains("was there before"), "{refused}");
}

#[tokio::test]
async fn a_closed_log_that_was_altered_is_found_at_the_start() {
    let f = Fixture::new("");
    close(f.open().await);
    let own = f.charter.seats[0].clone();
    seen_elsewhere(&f, &own, 90);
    let prepared = new_log(&f.config()).unwrap();
    next_charter(&f, &f.genesis, &prepared.seat);
    close(f.open().await);
    let c = rusqlite::Connection::open(f.config().database()).unwrap();
    c.execute_batch("UPDATE closed_log SET size = size - 1").unwrap();
    drop(c);
    let damaged = open(&f.config()).unwrap_err().to_string();
    assert!(damaged.contains("closed log"), "{damaged}");
}
