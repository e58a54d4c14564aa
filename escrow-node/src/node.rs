//! A running node: state, writer, peers, and the loops that keep its log countersigned.

use crate::backup::BackupError;
use crate::behind;
use crate::config::{Config, ConfigError};
use crate::ended;
use crate::engine::{LoadError, Logged};
use crate::extra_witnesses;
use crate::files::{DataLock, LockError};
use crate::http;
use crate::init::InitError;
use crate::keys::SeatKeys;
use crate::logs::{self, Own};
use crate::metrics;
use crate::peers::{CosignAnswer, PeerError, Peers, add_cosignature};
use crate::pull;
use crate::rates::Rates;
use crate::served::Served;
use crate::space::{Space, free_at};
use crate::start;
use crate::state::{Standing, State, Trouble, cosigners_needed};
use crate::store::{Store, StoreError};
use crate::unlock::UnlockError;
use crate::vault::Vault;
use crate::webhooks;
use crate::witness::WitnessError;
use crate::writer::{Committed, Stopped, Surroundings, Writer};
use escrow_audit::checkpoint::VerifiedCheckpoint;
use escrow_audit::seat::witness_verifier;
use escrow_core::charter::{Charter, Seat};
use escrow_core::{Digest, SeatIndex, Timestamp};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Why a node cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// Configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Keys.
    #[error(transparent)]
    Keys(#[from] UnlockError),
    /// Initialisation.
    #[error(transparent)]
    Init(#[from] InitError),
    /// Database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Data folder.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Stored log.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Charter.
    #[error("{0}")]
    Charter(String),
    /// A backup that cannot be made or used.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// TLS or socket.
    #[error("{0}")]
    Net(String),
    /// The witness on its own.
    #[error(transparent)]
    Witness(#[from] WitnessError),
    /// The running node does not answer.
    #[error("{0}")]
    Silent(String),
    /// The writer stopped.
    #[error("the node stopped: {0}")]
    Poisoned(String),
}

/// The parts that handlers share.
pub struct Node {
    /// Which seat this is.
    pub seat: SeatIndex,
    // Before the writer: fields are dropped in order, and SQLite folds its log into the database
    // only if the connection that closes last may write.
    reader: Mutex<Store>,
    pub(crate) writer: Writer,
    pub(crate) peers: Peers,
    pub(crate) vault: Arc<Vault>,
    pub(crate) keys: Arc<SeatKeys>,
    pub(crate) rates: Arc<Rates>,
    charter: RwLock<Arc<Charter>>,
    pub(crate) standing: Arc<Standing>,
    pub(crate) heartbeat: Duration,
    /// The checkpoint shown to others.
    pub(crate) served: Served,
    /// File with the newest head of this log that a peer holds and this node lacks.
    pub(crate) newest_head: PathBuf,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Node(seat {})", self.seat)
    }
}

/// The wall clock.
pub fn clock() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// An opened node that does not serve yet.
#[derive(Debug)]
pub struct Opened {
    /// The node.
    pub node: Arc<Node>,
    /// The charter chain that its operator accepted.
    pub accepted: start::Accepted,
    /// The writer's thread, which ends when nobody holds the node any more.
    pub writer: std::thread::JoinHandle<()>,
}

/// Opens data folder, keys and log; gives the node, the charter chain that its operator accepted,
/// and a receiver that hears when the writer is poisoned.
///
/// # Errors
/// [`NodeError`].
pub fn open(config: &Config) -> Result<Opened, NodeError> {
    let lock = DataLock::take(&config.data_dir)?;
    let mut store = Store::open(&config.database())?;
    let accepted = start::Accepted::load(&store)?;
    let newest = accepted.newest()?.clone();
    let Own { seat, keys, storage } = Own::open(config, &mut store, &accepted)?;
    let index = seat.index;
    let reader = Store::open_reader(&config.database())?;
    let (mut engine, verified) = logs::read(&reader, &accepted, index, &seat.log_origin, &keys)?;
    engine.load_peers(store.peers()?);
    engine.set_webhooks(config.webhooks.iter().map(|w| w.url.clone()).collect());

    let newer = behind::kept(&config.newest_head(), &seat)?;
    let newer = newer.filter(|head| engine.tree().root_at(head.size()) != Some(*head.root()));
    let standing = newer.map(|head| State::Rollback(behind::reason(None, &head, engine.size())));
    let standing = Arc::new(standing.map_or_else(Standing::default, Standing::new));
    let poison = Arc::clone(&standing);
    let (data_dir, left_in) = (config.data_dir.clone(), config.data_dir.clone());
    let space = Space::new(&config.data_dir, config.min_free_bytes, Box::new(move || free_at(&data_dir)));
    let around = Surroundings::new(clock, Arc::clone(&standing));
    let around = Surroundings { space: Some(space), lock: Some(lock), ..around };
    let second = Store::open_reader(&config.database())?;
    let (writer, thread) = Writer::start(engine, store, second, verified, around, move |reason| {
        tracing::error!(%reason, "poisoned: the node stops; fix the cause and start it again");
        // First, because from now on nobody gets a status out of this process.
        if let Err(e) = ended::leave(&left_in, &reason) {
            tracing::warn!(error = %e, "the reason cannot be left for `escrow-node status`");
        }
        poison.prove(State::Poisoned(reason));
    })
    .map_err(|e| NodeError::Net(e.to_string()))?;
    let peers = Peers::new(&keys).map_err(NodeError::Net)?;
    let node = Node {
        seat: index,
        writer,
        peers,
        vault: Arc::new(Vault::new(config.deposit_keys(), storage, index)),
        keys,
        rates: Arc::new(Rates::new(&config.rate_limits)),
        reader: Mutex::new(reader),
        charter: RwLock::new(Arc::new(newest)),
        standing,
        heartbeat: Duration::from_secs(config.heartbeat_s.get()),
        served: Served::new(),
        newest_head: config.newest_head(),
    };
    Ok(Opened { node: Arc::new(node), accepted, writer: thread })
}

/// Runs a node until SIGTERM, SIGINT or a poisoned writer.
///
/// # Errors
/// [`NodeError`].
pub async fn run(config: Config) -> Result<(), NodeError> {
    let Opened { node, accepted, writer } = open(&config)?;
    ended::forget(&config.data_dir);
    metrics::state(&node.state());
    let mut states = node.standing.subscribe();
    let mut webhooks = webhooks::start(&config.webhooks, &node).await?;
    let mut extra = extra_witnesses::start(&config.witnesses, &node)?;
    let server = http::serve(&config, Arc::clone(&node))?;
    tracing::info!(seat = %node.seat, listen = %config.listen, "listening; proving the log to the other nodes");
    let proof = tokio::spawn(start::prove(Arc::clone(&node), accepted));
    let follow = tokio::spawn(follow(Arc::clone(&node)));
    let pull = tokio::spawn(pull::all(Arc::clone(&node)));
    let tidy = tokio::spawn(tidy(Arc::clone(&node.rates)));
    let poisoned = async {
        let stopped = states.wait_for(|s| matches!(s, State::Poisoned(_))).await;
        stopped.map_or_else(|_| String::new(), |s| s.reason())
    };
    let outcome = tokio::select! {
        reason = poisoned => Err(NodeError::Poisoned(reason)),
        () = signalled() => Ok(()),
    };
    tracing::info!("stopping");
    proof.abort();
    follow.abort();
    pull.abort();
    tidy.abort();
    let _ = tokio::join!(proof, follow, pull, tidy, webhooks.shutdown(), extra.shutdown());
    server.stop().await;
    drop(node);
    // The database closes with the last holder of the node, so that no WAL is left behind.
    let closed = tokio::task::spawn_blocking(move || writer.join());
    if tokio::time::timeout(Duration::from_secs(5), closed).await.is_err() {
        tracing::warn!("a request still holds the database; it will be recovered at the next start");
    }
    outcome
}

/// Returns at SIGTERM or SIGINT.
pub async fn signalled() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        return std::future::pending().await;
    };
    tokio::select! { _ = term.recv() => (), _ = int.recv() => () }
}

/// Keeps the log countersigned: whenever something other than a cosignature was appended, all
/// peers are asked within a few seconds. Cosignatures alone never start a round.
///
/// A log that is idle is cosigned again once a heartbeat, at the very size that its peers know: fresh
/// times prove silence, and no log grows by it.
async fn follow(node: Arc<Node>) {
    let mut grown = node.writer.grown();
    let mut done = 0;
    let mut beat = Instant::now();
    loop {
        let wanted = *grown.borrow_and_update();
        if wanted > done && node.state().works() {
            let (note, peers) = node.cosign_round(wanted, usize::MAX, None).await;
            let all = node.members(None).map_or(0, |m| m.len());
            if peers == all {
                done = note.as_ref().map_or(done, VerifiedCheckpoint::size);
            }
            beat = Instant::now();
            node.judge_quorum(peers);
        } else if beat.elapsed() >= node.heartbeat && node.state().works() {
            if let Some(known) = node.known_to_peers() {
                let (_, peers) = node.cosign_head(known, usize::MAX, None).await;
                metrics::heartbeat(if node.judge_quorum(peers) { "cosigned" } else { "short" });
            }
            beat = Instant::now();
        }
        let pause = tokio::time::sleep(Duration::from_secs(2).min(node.heartbeat));
        tokio::select! { changed = grown.changed() => if changed.is_err() { return }, () = pause => () }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Buckets that are full again take no memory.
async fn tidy(rates: Arc<Rates>) {
    loop {
        tokio::time::sleep(Duration::from_secs(60)).await;
        rates.tidy();
    }
}

impl Node {
    /// Where the node stands.
    pub fn state(&self) -> State {
        self.standing.state()
    }

    /// What the proof of the log has come to: UNPROVEN, READY for proven, ROLLBACK.
    pub(crate) fn set_state(&self, proof: State) {
        self.standing.prove(proof);
    }

    /// True while disk space is below the mark.
    pub(crate) fn disk_is_low(&self) -> bool {
        self.standing.disk_is_low()
    }

    /// True if enough peers cosigned.
    fn judge_quorum(&self, have: usize) -> bool {
        let need = cosigners_needed(&self.charter());
        self.standing.set_peers((have < need).then_some(Trouble::Peers { have, need }));
        have >= need
    }

    /// The charter in force, or before the first start the one that will be.
    pub fn charter(&self) -> Arc<Charter> {
        self.charter.read().map_or_else(|e| Arc::clone(&e.into_inner()), |c| Arc::clone(&c))
    }

    /// Takes over a charter whose acceptance is durable on the log.
    pub fn set_charter(&self, accepted: Committed<Logged<Charter>>) {
        if let Ok(mut slot) = self.charter.write() {
            *slot = Arc::new(accepted.spend().1);
        }
    }

    /// The other member seats of a generation; without one, of the newest.
    pub(crate) fn members(&self, generation: Option<u32>) -> Option<Vec<Seat>> {
        let charter = self.charter();
        let of = generation.map_or_else(|| charter.current_generation(), |g| charter.generation(g));
        let members = &of?.members;
        let seats = members.iter().filter(|m| **m != self.seat).filter_map(|m| charter.seat(*m));
        Some(seats.cloned().collect())
    }

    /// Reads from the database, apart from the writer.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn read<T>(&self, f: impl FnOnce(&Store) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let reader = self.reader.lock().map_err(|_| StoreError::Row("reader poisoned"))?;
        f(&reader)
    }

    /// A statement's envelope by payload digest.
    pub(crate) fn statement(&self, payload: &Digest) -> Option<Vec<u8>> {
        self.read(|s| s.statement(payload)).ok().flatten()
    }

    /// The checkpoint that this node shows, with the cosignatures it has.
    pub(crate) fn cosigned(&self) -> Option<VerifiedCheckpoint> {
        self.served.note()
    }

    /// The same as this node signed it.
    fn known_to_peers(&self) -> Option<Arc<VerifiedCheckpoint>> {
        self.served.head()
    }

    /// Asks all peers to cosign the newest checkpoint, which covers at least `size`; returns when
    /// `enough` have, or all have answered. Gives the note and how many cosigned it.
    pub(crate) async fn cosign_round(
        self: &Arc<Self>,
        size: u64,
        enough: usize,
        generation: Option<u32>,
    ) -> (Option<VerifiedCheckpoint>, usize) {
        let Some(head) = self.writer.head().filter(|h| h.size() >= size) else { return (None, 0) };
        let (note, count) = self.cosign_head(head, enough, generation).await;
        (Some(note), count)
    }

    /// The same for one head of this log.
    pub(crate) async fn cosign_head(
        self: &Arc<Self>,
        head: Arc<VerifiedCheckpoint>,
        enough: usize,
        generation: Option<u32>,
    ) -> (VerifiedCheckpoint, usize) {
        let mut round = self
            .each_peer(generation, |node, seat| {
                let head = Arc::clone(&head);
                async move {
                    let lines = node.cosign_by(&seat, &head).await;
                    if matches!(lines, Err(PeerError::Protocol(..) | PeerError::Status(..))) {
                        node.compare(&seat).await;
                    }
                    lines.map(|lines| (seat, lines))
                }
            })
            .await;
        let org = self.charter().org.clone();
        let mut note = VerifiedCheckpoint::clone(&head);
        let mut count = 0;
        while count < enough {
            let Some(answer) = round.join_next().await else { break };
            match answer {
                Ok((_, Ok((seat, lines)))) if add_cosignature(&mut note, &lines, &org, &seat) => count += 1,
                Ok((seat, Ok(_))) => tracing::warn!(%seat, "a peer answered with something else than its cosignature"),
                Ok((_, Err(e))) => tracing::debug!(error = %e, "no cosignature"),
                Err(e) => tracing::debug!(error = %e, "no cosignature"),
            }
        }
        let charter = self.charter();
        let keys: Vec<_> = charter.seats.iter().filter_map(|s| witness_verifier(&charter.org, s).ok()).collect();
        self.served.offer(&head, &note, &keys);
        (note, count)
    }

    async fn cosign_by(&self, seat: &Seat, head: &VerifiedCheckpoint) -> Result<Vec<u8>, PeerError> {
        let odd = |e: &str| PeerError::Protocol(seat.index, e.to_owned());
        let size = head.size();
        let mut old = self.peers.cosigned(seat.index);
        // A 409 tells the size the witness has; other rounds of ours may move it meanwhile.
        for _ in 0..4 {
            if old > size {
                return Err(odd("has cosigned a newer checkpoint meanwhile"));
            }
            let proof = self.writer.run(move |e| e.tree().consistency_proof(old, size)).await;
            let proof = proof.ok().and_then(crate::writer::Committed::into_inner);
            let proof = proof.ok_or_else(|| odd("claims a size that this log never had"))?;
            match self.peers.cosign(seat, head, old, proof).await? {
                CosignAnswer::Cosigned(lines) => return Ok(lines),
                CosignAnswer::Has(other) => old = other,
            }
        }
        Err(odd("its size keeps changing"))
    }

    /// tlog-proof of an entry against the newest own checkpoint.
    ///
    /// # Errors
    /// [`Stopped`].
    pub(crate) async fn proof(&self, seq: u64) -> Result<String, Stopped> {
        let head = self.writer.head().ok_or(Stopped)?;
        let proof = self.writer.run(move |e| e.proof(seq, &head)).await?.into_inner();
        proof.ok_or(Stopped)
    }

    /// Peers in parallel, each with its own answer.
    pub(crate) async fn each_peer<T, F, Fut>(self: &Arc<Self>, generation: Option<u32>, f: F) -> JoinSet<(SeatIndex, T)>
    where
        T: Send + 'static,
        F: Fn(Arc<Self>, Seat) -> Fut,
        Fut: Future<Output = T> + Send + 'static,
    {
        let mut set = JoinSet::new();
        for seat in self.members(generation).unwrap_or_default() {
            let index = seat.index;
            let task = f(Arc::clone(self), seat);
            set.spawn(async move { (index, task.await) });
        }
        set
    }
}
