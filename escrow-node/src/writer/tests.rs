//! The writer over a real database that other hands meddle with, as in the attack cases of the log.

use super::*;
use crate::keys::SeatKeys;
use crate::state::State;
use escrow_core::{Digest, SeatIndex};
use rusqlite::Connection;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

const ORIGIN: &str = "acme/1/log";

fn clock() -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000)
}

/// Both clocks stand still, so that none of them is an anomaly.
fn around(clock: fn() -> Timestamp, state: State) -> Surroundings {
    Surroundings { monotonic: Box::new(|| Duration::ZERO), ..Surroundings::new(clock, Arc::new(Standing::new(state))) }
}

/// A database, and a writer over it that may be started again and again.
struct Bench {
    dir: tempfile::TempDir,
    keys: Arc<SeatKeys>,
}

struct Running {
    writer: Writer,
    thread: std::thread::JoinHandle<()>,
    standing: Arc<Standing>,
}

impl Bench {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), keys: Arc::new(SeatKeys::generate().unwrap()) }
    }

    fn file(&self, suffix: &str) -> PathBuf {
        self.dir.path().join(format!("node.db{suffix}"))
    }

    /// Another connection, as a meddler has it.
    fn meddler(&self) -> Connection {
        Connection::open(self.file("")).unwrap()
    }

    fn start(&self) -> Running {
        self.start_in(around(clock, State::Ready), |_| {})
    }

    fn start_in(&self, around: Surroundings, prepare: impl FnOnce(&Store)) -> Running {
        let store = Store::open(&self.file("")).unwrap();
        prepare(&store);
        let reader = Store::open_reader(&self.file("")).unwrap();
        let mut engine = Engine::new(SeatIndex::new(1).unwrap(), ORIGIN.into(), Arc::clone(&self.keys));
        let mut chain = Chain::new(ORIGIN);
        for bytes in reader.entries(0, 10_000).unwrap() {
            engine.load(&bytes, |_| None).unwrap();
            chain.push(&bytes).unwrap();
        }
        let standing = Arc::clone(&around.standing);
        let poison = Arc::clone(&standing);
        let poisoned = move |reason| poison.prove(State::Poisoned(reason));
        let (writer, thread) = Writer::start(engine, store, reader, chain, around, poisoned).unwrap();
        Running { writer, thread, standing }
    }

    fn entries(&self) -> Vec<Vec<u8>> {
        Store::open_reader(&self.file("")).unwrap().entries(0, 10_000).unwrap()
    }
}

impl Running {
    async fn log(&self, n: u64) -> Result<u64, Stopped> {
        let event = Event::Cosigned { origin: "acme/2/log".into(), size: n, root: Digest([7; 32]) };
        let logged = self.writer.run(move |e| e.append(&event, None)).await?;
        Ok(logged.transpose().unwrap().into_inner().position())
    }

    /// The reason for which it stopped; waits for it.
    async fn poisoned(self) -> String {
        let mut states = self.standing.subscribe();
        let reason = states.wait_for(|s| matches!(s, State::Poisoned(_))).await.unwrap().reason();
        let head = self.writer.head().map(|h| h.size());
        // Whoever asks afterwards is told, and nothing is appended or signed any more.
        assert_eq!(self.log(99).await, Err(Stopped));
        assert_eq!(self.writer.head().map(|h| h.size()), head);
        self.thread.join().unwrap();
        reason
    }

    fn stop(self) {
        drop(self.writer);
        self.thread.join().unwrap();
        assert_eq!(self.standing.state(), State::Ready);
    }
}

#[tokio::test]
async fn what_is_acknowledged_is_there_after_a_restart() {
    let bench = Bench::new();
    for n in 0..3 {
        let running = bench.start();
        assert_eq!(running.log(n).await, Ok(n));
        assert_eq!(running.writer.head().unwrap().size(), n + 1);
        running.stop();
    }
    assert_eq!(bench.entries().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_73_nothing_is_appended_after_a_batch_that_failed() {
    let bench = Bench::new();
    let running = bench.start();
    running.log(0).await.unwrap();
    bench
        .meddler()
        .execute_batch("CREATE TRIGGER full BEFORE INSERT ON entry BEGIN SELECT RAISE(FAIL, 'no'); END")
        .unwrap();
    // Many wait at once: every one of them hears that it was not logged.
    let waiting = (1..50).map(|n| {
        let writer = running.writer.clone();
        tokio::spawn(async move {
            let event = Event::Cosigned { origin: "o".into(), size: n, root: Digest([7; 32]) };
            writer.run(move |e| e.append(&event, None)).await.map(|_| ())
        })
    });
    for caller in waiting.collect::<Vec<_>>() {
        assert_eq!(caller.await.unwrap(), Err(Stopped));
    }
    // The cause goes away; a poisoned node does not come back by itself.
    bench.meddler().execute_batch("DROP TRIGGER full").unwrap();
    assert!(running.poisoned().await.contains("no"));
    assert_eq!(bench.entries().len(), 1, "nothing of it is there");
    let again = bench.start();
    assert_eq!(again.log(1).await, Ok(1));
    again.stop();
}

#[tokio::test]
async fn case_72_a_full_disk_poisons_and_what_was_acknowledged_stays() {
    let bench = Bench::new();
    let running = bench.start_in(around(clock, State::Ready), |store| store.limit_pages(60));
    let mut acknowledged = 0;
    while running.log(acknowledged).await.is_ok() {
        acknowledged += 1;
        assert!(acknowledged < 5_000, "the disk never fills");
    }
    assert!(acknowledged > 0);
    assert!(running.poisoned().await.contains("full"));
    let entries = bench.entries();
    assert_eq!(entries.len() as u64, acknowledged, "no more, no less");
    let again = bench.start();
    assert_eq!(again.log(7).await, Ok(acknowledged));
    again.stop();
}

#[tokio::test]
async fn case_76_what_is_not_read_back_as_written_is_not_signed() {
    let attacks = [
        ("entry", "DROP TRIGGER entry_stays; CREATE TRIGGER x AFTER INSERT ON entry BEGIN
            UPDATE entry SET bytes = CAST(replace(CAST(bytes AS TEXT), '\"size\":1', '\"size\":2') AS BLOB) WHERE seq = new.seq; END"),
        ("gone", "DROP TRIGGER entry_keeps; CREATE TRIGGER x AFTER INSERT ON entry BEGIN
            DELETE FROM entry WHERE seq = new.seq; END"),
        ("root", "DROP TRIGGER root_stays; CREATE TRIGGER x AFTER INSERT ON root BEGIN
            UPDATE root SET root = zeroblob(32) WHERE size = new.size; END"),
        ("rootless", "DROP TRIGGER root_keeps; CREATE TRIGGER x AFTER INSERT ON root BEGIN
            DELETE FROM root WHERE size = new.size; END"),
        ("attachment", "CREATE TRIGGER x AFTER INSERT ON attachment BEGIN
            UPDATE attachment SET bytes = x'00' WHERE digest = new.digest; END"),
        ("statement", "CREATE TRIGGER x AFTER INSERT ON statement BEGIN
            UPDATE statement SET bytes = x'00' WHERE envelope = new.envelope; END"),
    ];
    for (what, attack) in attacks {
        let bench = Bench::new();
        let running = bench.start();
        running.log(0).await.unwrap();
        bench.meddler().execute_batch(attack).unwrap();
        let outcome = running
            .writer
            .run(|e| {
                let event = Event::Cosigned { origin: "o".into(), size: 1, root: Digest([7; 32]) };
                let logged = e.append(&event, None).unwrap();
                e.attach(b"note".to_vec());
                let digest = Digest::of(b"statement");
                e.batch.statements.push((digest, digest, b"statement".to_vec()));
                logged.position()
            })
            .await;
        assert_eq!(outcome.err(), Some(Stopped), "{what}");
        assert_eq!(running.writer.head().unwrap().size(), 1, "{what}: signed");
        assert!(running.poisoned().await.contains("read back"), "{what}");
    }
}

#[tokio::test]
async fn case_74_files_that_are_not_those_that_were_opened_stop_the_node() {
    type Deed = fn(&Bench);
    let deeds: [(&str, Deed); 6] = [
        ("database removed", |b| std::fs::remove_file(b.file("")).unwrap()),
        ("database replaced by its copy", |b| {
            std::fs::copy(b.file(""), b.file(".copy")).unwrap();
            std::fs::rename(b.file(".copy"), b.file("")).unwrap();
        }),
        ("database cut", |b| {
            let file = std::fs::OpenOptions::new().write(true).open(b.file("")).unwrap();
            file.set_len(file.metadata().unwrap().len() - 4_096).unwrap();
        }),
        ("WAL removed", |b| std::fs::remove_file(b.file("-wal")).unwrap()),
        ("WAL replaced by its copy", |b| {
            std::fs::copy(b.file("-wal"), b.file(".copy")).unwrap();
            std::fs::rename(b.file(".copy"), b.file("-wal")).unwrap();
        }),
        ("WAL emptied", |b| drop(std::fs::File::create(b.file("-wal")).unwrap())),
    ];
    for (what, deed) in deeds {
        for busy in [true, false] {
            let bench = Bench::new();
            let running = bench.start();
            running.log(0).await.unwrap();
            deed(&bench);
            if busy {
                assert_eq!(running.log(1).await, Err(Stopped), "{what}");
            }
            // An idle node notices by itself.
            let reason = running.poisoned().await;
            assert!(reason.contains("node.db"), "{what}: {reason}");
        }
    }
}

#[tokio::test]
async fn a_job_that_panics_poisons_and_tells_whoever_waits() {
    let bench = Bench::new();
    let running = bench.start();
    let outcome = running.writer.run(|e| if e.size() == 0 { panic!("a test") } else { 1 }).await;
    assert_eq!(outcome.map(|c| c.0).unwrap_err(), Stopped);
    assert!(running.poisoned().await.contains("panicked"));
}

#[tokio::test]
async fn low_disk_space_is_shown_and_ends_by_itself() {
    let bench = Bench::new();
    let free = Arc::new(AtomicU64::new(10));
    let measured = Arc::clone(&free);
    let space = Space::new(bench.dir.path(), 1_600, Box::new(move || Ok(measured.load(Ordering::Relaxed))));
    let around = Surroundings { space: Some(space), ..around(clock, State::Ready) };
    let running = bench.start_in(around, |_| {});
    let standing = Arc::clone(&running.standing);
    let mut states = standing.subscribe();
    let low = states.wait_for(|s| matches!(s, State::Degraded(_))).await.unwrap().clone();
    assert!(low.reason().contains("10 bytes") && low.way_out().contains("free space"), "{low:?}");
    assert!(standing.disk_is_low());
    running.log(0).await.unwrap();
    free.store(2_000, Ordering::Relaxed);
    states.wait_for(|s| *s == State::Ready).await.unwrap();
    running.stop();
}

#[tokio::test]
async fn a_jump_of_the_clock_is_logged_once_even_when_idle() {
    static WALL: AtomicI64 = AtomicI64::new(1_800_000_000_000);
    fn wall() -> Timestamp {
        Timestamp::from_millis(WALL.load(Ordering::Relaxed))
    }
    let bench = Bench::new();
    let running = bench.start_in(around(wall, State::Unproven("a test".into())), |_| {});
    let standing = Arc::clone(&running.standing);
    // Nothing is appended to a log that is not proven.
    WALL.fetch_add(-5_000, Ordering::Relaxed);
    running.writer.run(|_| ()).await.unwrap();
    assert_eq!(bench.entries().len(), 0);
    let mut grown = running.writer.grown();
    standing.prove(State::Ready);
    grown.changed().await.unwrap();
    // A minute has not passed on the monotonic clock: the next one waits.
    WALL.fetch_add(9_000, Ordering::Relaxed);
    running.log(1).await.unwrap();
    let entries = bench.entries();
    let kinds: Vec<_> = entries.iter().map(|b| escrow_audit::entry::Entry::decode(b).unwrap()).collect();
    assert_eq!(kinds.iter().map(|e| e.kind.as_str()).collect::<Vec<_>>(), ["clock.anomaly", "witness.cosigned"]);
    assert_eq!(kinds[0].body["by_ms"], -5_000);
    running.stop();
}
