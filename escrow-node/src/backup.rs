//! `escrow-node backup`: a consistent copy of a running node, in two folders that belong on two media. The
//! database alone opens nothing; the sealed key files alone say nothing.

use crate::config::Config;
use crate::logs;
use crate::node::{NodeError, clock};
use crate::start::Accepted;
use crate::store::Store;
use crate::unlock::{UnlockError, sync_dir, write_new};
use crate::vault::key_file_name;
use escrow_core::charter::Seat;
use escrow_core::{Digest, Timestamp};
use serde::{Deserialize, Serialize};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// What `backup.json` says of the copy beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    /// [`SCHEMA`].
    pub schema: String,
    /// Origin of the seat's newest log in it.
    pub log: String,
    /// Entries of that log.
    pub size: u64,
    /// RFC 6962 root over them.
    pub root: Digest,
    /// The newest charter that the operator had accepted.
    pub charter: Digest,
    /// When it was made.
    pub at: Timestamp,
    /// Version of the program that made it.
    pub version: String,
}

/// Name of its form.
pub const SCHEMA: &str = "escrow.backup.v1";

/// The files of a backup.
pub(crate) const DATABASE: &str = "node.db";
pub(crate) const DESCRIPTOR: &str = "seat.json";
pub(crate) const INDEX: &str = "backup.json";
pub(crate) const KEYS: &str = "seat.keys";
pub(crate) const DEPOSIT_KEYS: &str = "deposit-keys";

/// Why there is no backup, or none that can be used.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file.
    #[error("{0}: {1}")]
    File(PathBuf, std::io::Error),
    /// A folder that must be new.
    #[error("{0} exists; a backup is never written over another: name a new folder")]
    Exists(PathBuf),
    /// Another file of that name.
    #[error("{0} is there with other content, and is not overwritten; use another folder for the keys of this backup")]
    Differs(PathBuf),
    /// A data folder that is in use.
    #[error("{0} is there: this data folder holds a node already, or an unfinished restore; nothing was changed")]
    Occupied(PathBuf),
    /// What was copied is not what a node can start from.
    #[error("this backup cannot be used: {0}")]
    Bad(String),
}

/// Copies database, descriptor and sealed key files. Reads only, and may run while the node runs: what is copied
/// is the state after one of its commits. Nothing that exists is overwritten.
///
/// # Errors
/// [`NodeError`]; a folder `out` that was begun is then removed.
pub fn backup(config: &Config, out: &Path, keys_out: &Path) -> Result<Backup, NodeError> {
    if out.exists() {
        return Err(BackupError::Exists(out.into()).into());
    }
    let source = Store::open_reader(&config.database())?;
    private_dir(keys_out)?;
    private_dir(&keys_out.join(DEPOSIT_KEYS))?;
    DirBuilder::new().mode(0o700).create(out).map_err(|e| BackupError::File(out.into(), e))?;
    let made = copy(config, &source, out, keys_out);
    if made.is_err() {
        // Only what this call made.
        let _ = std::fs::remove_dir_all(out);
    }
    made
}

fn copy(config: &Config, source: &Store, out: &Path, keys_out: &Path) -> Result<Backup, NodeError> {
    let database = out.join(DATABASE);
    source.copy_to(&database)?;
    let descriptor = std::fs::read(config.descriptor()).map_err(|e| BackupError::File(config.descriptor(), e))?;
    write_new(&out.join(DESCRIPTOR), &descriptor)?;

    let copy = Store::open_reader(&database)?;
    let accepted = Accepted::load(&copy)?;
    let seat: Seat = serde_json::from_slice(&descriptor).map_err(|e| BackupError::Bad(e.to_string()))?;
    let begun = accepted.listed(seat.index, |_| true).map(|s| s.log_origin.clone()).unwrap_or_default();
    let head = logs::head(&copy, &begun)?;
    // Key files are written before the commit that names them, and are there until that is undone.
    add(&config.key_file(), &keys_out.join(KEYS))?;
    for name in copy.deposit_keys()? {
        let name = key_file_name(&name);
        add(&config.deposit_keys().join(&name), &keys_out.join(DEPOSIT_KEYS).join(&name))?;
    }
    let backup = Backup {
        schema: SCHEMA.into(),
        log: head.origin,
        size: head.size,
        root: Digest(head.root),
        charter: accepted.digest(),
        at: clock(),
        version: env!("CARGO_PKG_VERSION").into(),
    };
    let json = serde_json::to_vec_pretty(&backup).map_err(|e| BackupError::Bad(e.to_string()))?;
    // Last: a folder without it is no backup.
    write_new(&out.join(INDEX), &json)?;
    sync_dir(out)?;
    Ok(backup)
}

/// Makes a folder for this user alone; one that is there stays as it is.
pub(crate) fn private_dir(path: &Path) -> Result<(), BackupError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|e| BackupError::File(path.into(), e))
}

/// Copies one small file, durably. The same file again is left alone.
pub(crate) fn add(from: &Path, to: &Path) -> Result<(), NodeError> {
    let bytes = std::fs::read(from).map_err(|e| BackupError::File(from.into(), e))?;
    match std::fs::read(to) {
        Ok(there) if there == bytes => Ok(()),
        Ok(_) => Err(BackupError::Differs(to.into()).into()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => write_new(to, &bytes).map_err(NodeError::Keys),
        Err(e) => Err(NodeError::Keys(UnlockError::File(to.into(), e))),
    }
}
