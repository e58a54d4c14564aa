//! The one writer: a thread that owns the engine and the database.
//!
//! Group commit: whatever is queued runs against the engine, then one transaction makes it
//! durable, then the batch is read back and recomputed with the verifier's own code, then the
//! checkpoint is signed, and only then do answers leave, as [`Committed`] values that nothing else
//! can make. It never waits for the network.
//!
//! Any error on this path, and any sign that the files are not those that were opened, poisons the
//! node: nothing is appended or signed any more, whoever waits is told, and nothing is tried again (a
//! flush that failed may not be repeated). The process ends; a restart recovers what was committed.

use crate::engine::Engine;
use crate::files::DataLock;
use crate::metrics;
use crate::space::Space;
use crate::state::{Standing, Trouble, frozen};
use crate::store::Store;
use crate::timing::Clocks;
use escrow_audit::checkpoint::VerifiedCheckpoint;
use escrow_audit::entry::Chain;
use escrow_core::Timestamp;
use escrow_policy::Event;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

/// Jobs that may wait; callers beyond it wait for room, without a thread each.
const QUEUE: usize = 1_024;
/// Jobs in one transaction.
const GROUP: usize = 256;
/// An idle writer looks at clock, disk and files this often.
const TICK: Duration = Duration::from_secs(1);

type Done = Box<dyn FnOnce() + Send>;

/// A job with its place in the queue.
struct Job {
    work: Box<dyn FnOnce(&mut Engine) -> Done + Send>,
    _place: OwnedSemaphorePermit,
}

/// A value whose log entries, if it made any, are durable and recomputed. Only the writer makes one.
#[derive(Debug)]
pub struct Committed<T>(T);

impl<T> Committed<T> {
    /// The value.
    pub fn into_inner(self) -> T {
        self.0
    }

    pub(crate) fn get(&self) -> &T {
        &self.0
    }

    /// As if it had been made durable, for tests of the engine alone.
    #[cfg(test)]
    pub(crate) fn assumed(value: T) -> Self {
        Self(value)
    }
}

impl<T, E> Committed<Result<T, E>> {
    /// Turns a committed result around: an error was committed as well (its refusal may be logged).
    ///
    /// # Errors
    /// The error inside.
    pub fn transpose(self) -> Result<Committed<T>, E> {
        self.0.map(Committed)
    }
}

/// The writer has stopped: the node is poisoned or shutting down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the node's writer has stopped")]
pub struct Stopped;

/// What the writer looks at besides its queue. All of it comes in as values.
pub struct Surroundings {
    /// The wall clock.
    pub clock: fn() -> Timestamp,
    /// Time since any moment, which nobody sets.
    pub monotonic: Box<dyn Fn() -> Duration + Send>,
    /// Disk space; none is not watched.
    pub space: Option<Space>,
    /// Where the node stands; told what the writer finds.
    pub standing: Arc<Standing>,
    /// Held until the writer has closed its database.
    pub lock: Option<DataLock>,
}

impl std::fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Surroundings({:?})", self.space)
    }
}

impl Surroundings {
    /// This wall clock, the machine's monotonic one, disk space unwatched, the folder not locked.
    pub fn new(clock: fn() -> Timestamp, standing: Arc<Standing>) -> Self {
        let start = Instant::now();
        Self { clock, monotonic: Box::new(move || start.elapsed()), space: None, standing, lock: None }
    }
}

/// Handle to the writer thread.
#[derive(Clone)]
pub struct Writer {
    jobs: Sender<Job>,
    room: Arc<Semaphore>,
    head: Arc<RwLock<Option<Arc<VerifiedCheckpoint>>>>,
    grown: watch::Receiver<u64>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Writer")
    }
}

impl Writer {
    /// Starts the thread. `poisoned` is told once, with the reason, when it stops on an error.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub fn start(
        engine: Engine,
        store: Store,
        reader: Store,
        chain: Chain,
        surroundings: Surroundings,
        poisoned: impl FnOnce(String) + Send + 'static,
    ) -> std::io::Result<(Self, std::thread::JoinHandle<()>)> {
        let (jobs, queue) = channel();
        let head = Arc::new(RwLock::new(None));
        let (grow, grown) = watch::channel(engine.significant());
        let clocks = Clocks::new((surroundings.clock)(), (surroundings.monotonic)());
        let mut worker = Worker {
            engine,
            store,
            reader,
            verified: chain,
            head: Arc::clone(&head),
            grow,
            clocks,
            around: surroundings,
        };
        let thread = std::thread::Builder::new().name("writer".into()).spawn(move || {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| worker.run(&queue)));
            let reason = match outcome {
                Ok(Ok(())) => return,
                Ok(Err(reason)) => reason,
                Err(_) => "the writer panicked".into(),
            };
            worker.store.abandon();
            poisoned(reason);
        })?;
        Ok((Self { jobs, room: Arc::new(Semaphore::new(QUEUE)), head, grown }, thread))
    }

    /// Runs a job and returns its value once everything it appended is durable.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn run<T, F>(&self, job: F) -> Result<Committed<T>, Stopped>
    where
        T: Send + 'static,
        F: FnOnce(&mut Engine) -> T + Send + 'static,
    {
        let (tx, rx) = oneshot::channel();
        let work: Box<dyn FnOnce(&mut Engine) -> Done + Send> = Box::new(move |engine| {
            let value = job(engine);
            Box::new(move || {
                // The caller may have gone; what it asked for is logged all the same.
                let _ = tx.send(Committed(value));
            })
        });
        let place = Arc::clone(&self.room).acquire_owned().await.map_err(|_| Stopped)?;
        self.jobs.send(Job { work, _place: place }).map_err(|_| Stopped)?;
        rx.await.map_err(|_| Stopped)
    }

    /// The newest signed checkpoint of this node's log.
    pub fn head(&self) -> Option<Arc<VerifiedCheckpoint>> {
        self.head.read().ok().and_then(|h| h.clone())
    }

    /// Told the size that peers should cosign, whenever it grows.
    pub fn grown(&self) -> watch::Receiver<u64> {
        self.grown.clone()
    }
}

struct Worker {
    engine: Engine,
    // Before the store, which must close last: see `Node`.
    reader: Store,
    store: Store,
    /// Second chain, fed only with what was read back from disk.
    verified: Chain,
    head: Arc<RwLock<Option<Arc<VerifiedCheckpoint>>>>,
    grow: watch::Sender<u64>,
    clocks: Clocks,
    // Last: it holds the folder's lock.
    around: Surroundings,
}

impl Worker {
    fn run(&mut self, queue: &Receiver<Job>) -> Result<(), String> {
        loop {
            let first = match queue.recv_timeout(TICK) {
                Ok(job) => Some(job),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            self.look()?;
            let jobs = first.into_iter().chain(queue.try_iter().take(GROUP - 1));
            let done: Vec<Done> = jobs.map(|job| (job.work)(&mut self.engine)).collect();
            self.commit()?;
            for answer in done {
                answer();
            }
        }
    }

    /// Before each batch, and once a second: the time of the batch, files, disk space, an anomaly of
    /// the clock.
    fn look(&mut self) -> Result<(), String> {
        self.store.check_files().map_err(|e| e.to_string())?;
        let (wall, monotonic) = ((self.around.clock)(), (self.around.monotonic)());
        self.engine.begin(wall);
        let disk = match &mut self.around.space {
            Some(space) => space.look().map_err(|e| format!("disk space cannot be measured: {e}"))?,
            None => None,
        };
        self.around.standing.set_found(frozen(self.engine.facts()), disk, self.behind(wall));
        // An unproven log must not grow; what its clock did is logged when it is proven.
        if let Some(by_ms) = self.clocks.anomaly(wall, monotonic).filter(|_| self.around.standing.works()) {
            tracing::warn!(by_ms, "the wall clock jumped; it is on the log as clock.anomaly");
            metrics::clock_anomaly();
            self.engine.append(&Event::Clock { by_ms }, None).map_err(|r| r.to_string())?;
            self.clocks.logged(wall, monotonic);
        }
        Ok(())
    }

    /// Entries bear the last entry's time while the clock is behind it: more than the charter's
    /// tolerance is a trouble.
    fn behind(&self, wall: Timestamp) -> Option<Trouble> {
        let skew = i64::try_from(self.engine.charter().ok()?.limits.clock_skew_s).unwrap_or(i64::MAX);
        let behind_s = self.engine.now().millis().saturating_sub(wall.millis()) / 1_000;
        (behind_s > skew).then_some(Trouble::Clock { behind_s })
    }

    fn commit(&mut self) -> Result<(), String> {
        let batch = self.engine.take_batch();
        if batch.is_empty() {
            return Ok(());
        }
        self.store.commit(&batch).map_err(|e| e.to_string())?;
        self.reader.read_back(&batch).map_err(|e| e.to_string())?;
        if batch.entries.is_empty() {
            return Ok(());
        }
        let from = self.engine.base().saturating_add(self.verified.size());
        let read = self.reader.entries(from, batch.entries.len() as u64).map_err(|e| e.to_string())?;
        for bytes in &read {
            self.verified.push(bytes).map_err(|e| format!("read back from disk: {e}"))?;
        }
        if self.verified.size() != self.engine.size() || self.verified.root() != self.engine.tree().root() {
            return Err("what was read back from disk is not what was written".into());
        }
        // Committed into files that nobody will find again is not durable.
        self.store.check_files().map_err(|e| e.to_string())?;
        self.publish()
    }

    fn publish(&self) -> Result<(), String> {
        let checkpoint = self.engine.checkpoint().map_err(|e| e.to_string())?;
        *self.head.write().map_err(|e| e.to_string())? = Some(Arc::new(checkpoint));
        self.grow.send_if_modified(|size| {
            let grew = self.engine.significant() > *size;
            *size = self.engine.significant();
            grew
        });
        metrics::log_entries(self.engine.size());
        Ok(())
    }
}

#[cfg(test)]
mod tests;
