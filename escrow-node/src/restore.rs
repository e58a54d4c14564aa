//! `escrow-node restore`: a backup becomes a data folder, after everything in it was checked as the node itself
//! would check it and every share was opened. A *drill* does the same in a temporary folder and leaves nothing.

use crate::backup::{Backup, BackupError, DATABASE, DEPOSIT_KEYS, DESCRIPTOR, INDEX, KEYS, SCHEMA, add, private_dir};
use crate::config::Config;
use crate::engine::Engine;
use crate::files::DataLock;
use crate::keys::SeatKeys;
use crate::logs::read;
use crate::node::NodeError;
use crate::start::Accepted;
use crate::store::Store;
use crate::unlock::{PassphraseFile, StorageKey, sync_dir};
use crate::vault::{Vault, key_file_name};
use escrow_core::charter::Seat;
use escrow_core::{Digest, SeatIndex, Timestamp};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Largest `backup.json` and `seat.json` that are read.
const SMALL_FILE: u64 = 1024 * 1024;

/// What to restore.
#[derive(Clone, Debug)]
pub struct Source {
    /// Folder with database, descriptor and `backup.json`.
    pub from: PathBuf,
    /// Folder with the sealed key files.
    pub keys: PathBuf,
    /// Entries that the newest log must have, if the operator knows.
    pub expect_size: Option<u64>,
}

/// What was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// `escrow.restore.v1`.
    pub schema: &'static str,
    /// True if nothing was changed.
    pub drill: bool,
    /// The seat.
    pub seat: SeatIndex,
    /// Its newest log in the backup.
    pub log: String,
    /// Entries of that log.
    pub size: u64,
    /// Root over them.
    pub root: Digest,
    /// The newest charter accepted.
    pub charter: Digest,
    /// When the backup was made.
    pub made: Timestamp,
    /// Entries of all logs of the seat, each checked and folded.
    pub entries: u64,
    /// Shares, each opened with its key file.
    pub shares: u64,
    /// What happens at the next start.
    pub next: &'static str,
}

const NEXT: &str = "At its next start the node asks the other nodes for the newest head of its log that they hold. If they \
    hold nothing newer than this backup, it goes on as before. If they do, it goes to ROLLBACK and signs nothing; \
    `escrow-node new-log` then prepares the descriptor for the administrators' next charter. Deposits that were \
    acknowledged after the backup are lost at this seat.";

/// Verifies a backup and moves it into the data folder, which must hold no node. `progress` hears how many shares
/// of how many are checked.
///
/// # Errors
/// [`NodeError`]; the data folder is then as it was.
pub fn restore(config: &Config, source: &Source, progress: &dyn Fn(u64, u64)) -> Result<Restored, NodeError> {
    let staging = config.data_dir.join(".restoring");
    let targets = [config.database(), config.key_file(), config.descriptor(), config.next_key_file(), staging.clone()];
    if let Some(there) = targets.into_iter().find(|p| p.exists()) {
        return Err(BackupError::Occupied(there).into());
    }
    let empty = |dir: &Path| std::fs::read_dir(dir).map_or(true, |mut entries| entries.next().is_none());
    if !empty(&config.deposit_keys()) {
        return Err(BackupError::Occupied(config.deposit_keys()).into());
    }
    private_dir(&config.data_dir)?;
    let _lock = DataLock::take(&config.data_dir)?;
    let done = stage(config, source, &staging, progress).and_then(|report| install(config, &staging).map(|()| report));
    if done.is_err() {
        // Nothing in it is the only copy of anything.
        let _ = std::fs::remove_dir_all(&staging);
    }
    done
}

/// Verifies a backup in a temporary folder, which is then removed.
///
/// # Errors
/// [`NodeError`]: this backup would not bring the node back.
pub fn drill(config: &Config, source: &Source, progress: &dyn Fn(u64, u64)) -> Result<Restored, NodeError> {
    let temporary = tempfile::Builder::new().prefix("escrow-restore-drill-").tempdir();
    let temporary = temporary.map_err(|e| BackupError::File(std::env::temp_dir(), e))?;
    let report = stage(config, source, &temporary.path().join("data"), progress);
    let path = temporary.path().to_owned();
    temporary.close().map_err(|e| BackupError::File(path, e))?;
    Ok(Restored { drill: true, ..report? })
}

/// Moves what was checked into place, the database last: without it there is no node.
fn install(config: &Config, staging: &Path) -> Result<(), NodeError> {
    let moves = [
        (DEPOSIT_KEYS, config.deposit_keys()),
        (KEYS, config.key_file()),
        (DESCRIPTOR, config.descriptor()),
        (DATABASE, config.database()),
    ];
    for (name, to) in &moves {
        std::fs::rename(staging.join(name), to).map_err(|e| BackupError::File(to.clone(), e))?;
    }
    std::fs::remove_dir(staging).map_err(|e| BackupError::File(staging.into(), e))?;
    Ok(sync_dir(&config.database())?)
}

/// Copies everything and checks the copy.
fn stage(config: &Config, source: &Source, into: &Path, progress: &dyn Fn(u64, u64)) -> Result<Restored, NodeError> {
    let bad = |why: String| NodeError::from(BackupError::Bad(why));
    let said: Backup = small_json(&source.from.join(INDEX))?;
    if said.schema != SCHEMA {
        return Err(bad(format!("its form is {:?}; this program reads {SCHEMA}", said.schema)));
    }
    if source.expect_size.is_some_and(|wanted| wanted != said.size) {
        let wanted = source.expect_size.unwrap_or_default();
        return Err(bad(format!("it has {} entries of {}, {wanted} were expected", said.size, said.log)));
    }
    private_dir(&into.join(DEPOSIT_KEYS))?;
    let descriptor: Seat = small_json(&source.from.join(DESCRIPTOR))?;
    add(&source.from.join(DESCRIPTOR), &into.join(DESCRIPTOR))?;
    add(&source.keys.join(KEYS), &into.join(KEYS))?;
    let database = into.join(DATABASE);
    copy_large(&source.from.join(DATABASE), &database)?;
    let store = Store::open(&database)?;
    store.check_integrity()?;
    for name in store.deposit_keys()? {
        let name = key_file_name(&name);
        add(&source.keys.join(DEPOSIT_KEYS).join(&name), &into.join(DEPOSIT_KEYS).join(&name))?;
    }
    sync_dir(&into.join(DEPOSIT_KEYS).join(KEYS))?;

    let accepted = Accepted::load(&store)?;
    if accepted.digest() != said.charter {
        return Err(bad(format!("its newest charter is {}, backup.json says {}", accepted.digest(), said.charter)));
    }
    let (keys, storage) = SeatKeys::load(&into.join(KEYS), &PassphraseFile(config.passphrase_file.clone()))?;
    let own = keys.statement.public();
    let seat = accepted.listed(descriptor.index, |s| s.statement_key == own && s.log_origin == said.log);
    let seat = seat.ok_or_else(|| bad(format!("seat.keys is not of seat {} of its charter", descriptor.index)))?;
    if seat.log_key != keys.log_public() {
        return Err(bad(format!("seat.keys has another key than that of the log {}", said.log)));
    }
    let (engine, _) = read(&store, &accepted, seat.index, &said.log, &Arc::new(keys))?;
    let root = Digest(engine.tree().root());
    if (engine.size(), root) != (said.size, said.root) {
        let detail =
            format!("{} entries with root {root}, backup.json says {} and {}", engine.size(), said.size, said.root);
        return Err(bad(detail));
    }
    let shares = open_shares(&store, &engine, &into.join(DEPOSIT_KEYS), storage, progress)?;
    Ok(Restored {
        schema: "escrow.restore.v1",
        drill: false,
        seat: seat.index,
        log: said.log,
        size: said.size,
        root,
        charter: said.charter,
        made: said.at,
        entries: engine.base().saturating_add(engine.size()),
        shares,
        next: NEXT,
    })
}

/// Opens every share that the log says is here.
fn open_shares(
    store: &Store,
    engine: &Engine,
    keys: &Path,
    storage: StorageKey,
    progress: &dyn Fn(u64, u64),
) -> Result<u64, NodeError> {
    let vault = Vault::new(keys.to_owned(), storage, engine.seat);
    let total = engine.facts().items().count() as u64;
    let mut done = 0;
    progress(done, total);
    for (item, fact) in engine.facts().items() {
        let lost = || BackupError::Bad(format!("the share of item {item} is not in its database"));
        let (key, row) = store.share(item)?.ok_or_else(lost)?;
        vault.open(&key, fact.generation, &row)?;
        done += 1;
        progress(done, total);
    }
    Ok(done)
}

fn small_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, BackupError> {
    let file = |e| BackupError::File(path.into(), e);
    if std::fs::metadata(path).map_err(file)?.len() > SMALL_FILE {
        return Err(BackupError::Bad(format!("{} is larger than any that this program writes", path.display())));
    }
    let bytes = std::fs::read(path).map_err(file)?;
    serde_json::from_slice(&bytes).map_err(|e| BackupError::Bad(format!("{}: {e}", path.display())))
}

fn copy_large(from: &Path, to: &Path) -> Result<(), BackupError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut source = std::fs::File::open(from).map_err(|e| BackupError::File(from.into(), e))?;
    let target = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(to);
    let copied = target.and_then(|mut t| std::io::copy(&mut source, &mut t).and_then(|_| t.sync_all()));
    copied.map_err(|e| BackupError::File(to.into(), e))
}
