//! The one writer: a thread that owns the engine and the database.
//!
//! Group commit: whatever is queued runs against the engine, then one transaction makes it
//! durable, then the batch is read back and recomputed with the verifier's own code, then the
//! checkpoint is signed, and only then do answers leave, as [`Committed`] values that nothing else
//! can make. Any I/O error poisons the node: it stops, and a restart recovers what was committed.

use crate::engine::Engine;
use crate::store::Store;
use escrow_audit::checkpoint::VerifiedCheckpoint;
use escrow_audit::entry::Chain;
use escrow_core::Timestamp;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, RwLock};
use tokio::sync::{oneshot, watch};

/// Jobs that may wait; a full queue pushes back on callers.
const QUEUE: usize = 1_024;
/// Jobs in one transaction.
const GROUP: usize = 256;

type Done = Box<dyn FnOnce() + Send>;
type Job = Box<dyn FnOnce(&mut Engine) -> Done + Send>;

/// A value whose log entries, if it made any, are durable and recomputed. Only the writer makes one.
#[derive(Debug)]
pub struct Committed<T>(T);

impl<T> Committed<T> {
    /// The value.
    pub fn into_inner(self) -> T {
        self.0
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

/// Handle to the writer thread.
#[derive(Clone)]
pub struct Writer {
    jobs: SyncSender<Job>,
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
    pub fn start(
        engine: Engine,
        store: Store,
        reader: Store,
        chain: Chain,
        clock: fn() -> Timestamp,
        poisoned: impl FnOnce(String) + Send + 'static,
    ) -> std::io::Result<(Self, std::thread::JoinHandle<()>)> {
        let (jobs, queue) = sync_channel(QUEUE);
        let head = Arc::new(RwLock::new(None));
        let (grow, grown) = watch::channel(engine.significant());
        let shared = Arc::clone(&head);
        let thread = std::thread::Builder::new().name("writer".into()).spawn(move || {
            let mut worker = Worker { engine, store, reader, verified: chain, head: shared, grow, clock };
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| worker.run(&queue)));
            match outcome {
                Ok(Ok(())) => {}
                Ok(Err(reason)) => poisoned(reason),
                Err(_) => poisoned("the writer panicked".into()),
            }
        })?;
        Ok((Self { jobs, head, grown }, thread))
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
        let job: Job = Box::new(move |engine| {
            let value = job(engine);
            Box::new(move || {
                // The caller may have gone; what it asked for is logged all the same.
                let _ = tx.send(Committed(value));
            })
        });
        let jobs = self.jobs.clone();
        tokio::task::spawn_blocking(move || jobs.send(job)).await.map_err(|_| Stopped)?.map_err(|_| Stopped)?;
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
    clock: fn() -> Timestamp,
}

impl Worker {
    fn run(&mut self, queue: &Receiver<Job>) -> Result<(), String> {
        while let Ok(first) = queue.recv() {
            self.engine.begin((self.clock)());
            let jobs = std::iter::once(first).chain(queue.try_iter().take(GROUP - 1));
            let done: Vec<Done> = jobs.map(|job| job(&mut self.engine)).collect();
            self.commit()?;
            for answer in done {
                answer();
            }
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), String> {
        let batch = self.engine.take_batch();
        if batch.is_empty() {
            return Ok(());
        }
        self.store.commit(&batch).map_err(|e| e.to_string())?;
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
        ::metrics::gauge!("escrow_log_entries").set(self.engine.size() as f64);
        Ok(())
    }
}
