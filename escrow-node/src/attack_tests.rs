//! Attack cases of the log that a whole node meets at its start and at its interface. Those that a
//! running writer meets are in `writer/tests.rs`, those between nodes in `tests/tests/attacks.rs`.

use crate::engine::LoadError;
use crate::files::LockError;
use crate::fixture::Fixture;
use crate::node::{NodeError, open};
use crate::state::State;
use crate::store::{Store, StoreError};
use escrow_policy::Event;
use rusqlite::Connection;

fn meddler(fixture: &Fixture) -> Connection {
    Connection::open(fixture.config().database()).unwrap()
}

/// A log with a few entries, and nobody running on it.
async fn stopped() -> Fixture {
    let fixture = Fixture::new("");
    for _ in 0..2 {
        let opened = fixture.open().await;
        drop(opened.node);
        tokio::task::spawn_blocking(move || opened.writer.join().unwrap()).await.unwrap();
    }
    fixture
}

fn refused(fixture: &Fixture) -> NodeError {
    match open(&fixture.config()) {
        Ok(_) => panic!("it started"),
        Err(e) => e,
    }
}

#[tokio::test]
async fn case_75_a_second_writer_is_refused_and_a_charter_is_accepted_beside_the_first() {
    let fixture = Fixture::new("");
    let running = fixture.open().await;
    let second = refused(&fixture);
    let NodeError::Lock(LockError::Taken { pid, .. }) = &second else { panic!("{second}") };
    assert_eq!(*pid, std::process::id().to_string());
    // What the operator may do beside it still works, and the running node goes on.
    let mut beside = Store::open_beside(&fixture.config().database()).unwrap();
    crate::start::accept(&mut beside, &fixture.genesis.digest(), vec![fixture.genesis.clone()]).unwrap();
    drop(beside);
    let logged = running.node.writer.run(|e| e.append(&Event::Ready { peers: vec![] }, None).map(|_| ())).await;
    logged.unwrap().into_inner().unwrap();
    assert_eq!(running.node.state(), State::Ready);
    drop(running.node);
    tokio::task::spawn_blocking(move || running.writer.join().unwrap()).await.unwrap();
    open(&fixture.config()).unwrap();
}

#[tokio::test]
async fn no_size_gets_a_second_root_across_restarts() {
    let fixture = stopped().await;
    let roots = Store::open_reader(&fixture.config().database()).unwrap().roots(0, 100).unwrap();
    assert!(roots.len() > 1, "{}", roots.len());
    for (size, _) in &roots {
        let fixture = stopped().await;
        let c = meddler(&fixture);
        c.execute_batch("DROP TRIGGER root_stays").unwrap();
        c.execute("UPDATE root SET root = zeroblob(32) WHERE size = ?1", [i64::try_from(*size).unwrap()]).unwrap();
        drop(c);
        let e = refused(&fixture);
        assert!(matches!(&e, NodeError::Load(LoadError::Root { size: s }) if s == size), "{e}");
    }
    // Neither by an entry more than was committed, nor by one less.
    let fixture = stopped().await;
    let c = meddler(&fixture);
    c.execute_batch("DROP TRIGGER entry_keeps; DELETE FROM entry WHERE seq = (SELECT max(seq) FROM entry)").unwrap();
    drop(c);
    let e = refused(&fixture).to_string();
    assert!(e.contains("last commit"), "{e}");
}

#[tokio::test]
async fn a_statement_that_was_exchanged_on_disk_is_found_at_the_start() {
    let fixture = stopped().await;
    let other = fixture.decision("dpo", "dpo", escrow_core::decision::Choice::Deny);
    let sql = "UPDATE statement SET bytes = ?1 WHERE envelope = ?2";
    meddler(&fixture).execute(sql, (other.bytes(), fixture.genesis.envelope_digest().as_bytes())).unwrap();
    let e = refused(&fixture);
    assert!(matches!(e, NodeError::Load(LoadError::Altered(0))), "{e}");
}

#[tokio::test]
async fn a_newer_programs_database_is_refused() {
    let fixture = stopped().await;
    meddler(&fixture).pragma_update(None, "user_version", 1_000).unwrap();
    let e = refused(&fixture);
    assert!(matches!(e, NodeError::Store(StoreError::Newer { found: 1_000, .. })), "{e}");
}
