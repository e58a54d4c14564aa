//! Which log of its seat a node keeps, with which keys, and what is on disk of all of them.
//!
//! A seat keeps one log until a charter gives it another: after a restore that lost entries. The old
//! log then ends with a last head over what is left of it, signed by its own key, and that key is
//! replaced by the new log's: nothing can be added to the old log any more.

use crate::config::Config;
use crate::engine::{Engine, LoadError};
use crate::keys::SeatKeys;
use crate::node::NodeError;
use crate::start::Accepted;
use crate::store::{ClosedLog, Store};
use crate::unlock::{PassphraseFile, StorageKey, UnlockError, sync_dir};
use escrow_audit::checkpoint::Checkpoint;
use escrow_audit::entry::{Chain, Entry};
use escrow_audit::seat::{log_number, log_verifier};
use escrow_audit::tree::Hash;
use escrow_core::SeatIndex;
use escrow_core::charter::Seat;
use std::sync::Arc;

/// Entries read at once.
const PAGE: u64 = 1_000;

/// The seat as the newest accepted charter lists it, and its keys.
#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) seat: Seat,
    pub(crate) keys: Arc<SeatKeys>,
    pub(crate) storage: StorageKey,
}

impl Own {
    /// Opens the key file. If the charter gives this seat a new log, the old one is closed and the new
    /// key takes the old one's place; whatever stops that in the middle, the next start ends it.
    ///
    /// # Errors
    /// [`NodeError`].
    pub(crate) fn open(config: &Config, store: &mut Store, accepted: &Accepted) -> Result<Self, NodeError> {
        let own = Self::as_listed(config, accepted)?;
        if own.keys.log_public() == own.seat.log_key {
            return Ok(own);
        }
        let Self { seat, keys, .. } = own;
        let origin = &seat.log_origin;
        let path = config.next_key_file();
        if !path.exists() {
            return Err(NodeError::Charter(format!(
                "the accepted charter gives this seat the log {origin}, and neither {} nor {} has its key; if this is a \
                 restored backup, it is from before that log: use one that was made later",
                config.key_file().display(),
                path.display()
            )));
        }
        let (next, storage) = SeatKeys::load(&path, &PassphraseFile(config.passphrase_file.clone()))?;
        if next.log_public() != seat.log_key {
            return Err(NodeError::Charter(format!(
                "the accepted charter gives this seat the log {origin} with another key than {} has; the descriptor \
                 in {} is what the administrators need",
                path.display(),
                config.descriptor().display()
            )));
        }
        let old = accepted.listed(seat.index, |s| s.log_key == keys.log_public());
        let old = old.ok_or_else(|| NodeError::Charter("no accepted charter lists the log of this key file".into()))?;
        let closed = store.closed_logs()?;
        if closed.last().is_none_or(|c| c.origin != old.log_origin) {
            let (engine, _) = read(store, accepted, seat.index, &old.log_origin, &keys)?;
            let head = engine.checkpoint().map_err(|e| NodeError::Charter(e.to_string()))?;
            let note = String::from_utf8_lossy(&head.to_bytes()).into_owned();
            store.close_log(&ClosedLog { origin: old.log_origin.clone(), size: head.size(), note })?;
            tracing::warn!(old = old.log_origin, new = origin, size = head.size(), "this seat goes on under a new log");
        }
        let swapped = std::fs::rename(&path, config.key_file());
        swapped.map_err(|e| NodeError::Keys(UnlockError::File(path, e)))?;
        sync_dir(&config.key_file())?;
        Ok(Self { seat, keys: Arc::new(next), storage })
    }

    /// Opens the key file and finds the seat; its log key may not be the charter's.
    ///
    /// # Errors
    /// [`NodeError`].
    pub(crate) fn as_listed(config: &Config, accepted: &Accepted) -> Result<Self, NodeError> {
        let (keys, storage) = SeatKeys::load(&config.key_file(), &PassphraseFile(config.passphrase_file.clone()))?;
        let own = keys.statement.public();
        let seat = accepted.newest()?.seats.iter().find(|s| s.statement_key == own);
        let seat =
            seat.ok_or_else(|| NodeError::Charter("the accepted charter has no seat with this node's keys".into()))?;
        Ok(Self { seat: seat.clone(), keys: Arc::new(keys), storage })
    }
}

/// Takes up all logs of the seat, entry by entry; `origin` is the current one's. Answers with a second
/// chain over the current log, for the writer.
///
/// # Errors
/// [`NodeError`], also if a root is not the one recorded at the last commit.
pub(crate) fn read(
    store: &Store,
    accepted: &Accepted,
    seat: SeatIndex,
    origin: &str,
    keys: &Arc<SeatKeys>,
) -> Result<(Engine, Chain), NodeError> {
    let number = |origin: &str| {
        let none = || NodeError::Charter(format!("no accepted charter gives this seat the log {origin}"));
        log_number(accepted.charters(), seat, origin).ok_or_else(none)
    };
    let closed = store.closed_logs()?;
    let first = closed.first().map_or(origin, |c| c.origin.as_str());
    let mut engine = Engine::new(seat, first.to_owned(), Arc::clone(keys));
    engine.set_number(number(first)?);
    let mut newest = None;
    let nexts = closed.iter().skip(1).map(|c| c.origin.as_str()).chain([origin]);
    for (log, next) in closed.iter().zip(nexts) {
        feed(store, &mut engine, log.size)?;
        let damaged = |why: &str| LoadError::Chain(format!("the closed log {}: {why}", log.origin));
        let listed = accepted.listed(seat, |s| s.log_origin == log.origin).and_then(|s| log_verifier(s).ok());
        let key = listed.ok_or_else(|| damaged("no accepted charter has its key"))?;
        let head = Checkpoint::verify(log.note.as_bytes(), &log.origin, &key).map_err(|e| damaged(&e.to_string()))?;
        if head.size() != engine.size() || *head.root() != engine.tree().root() {
            return Err(damaged("its entries do not lead to its last head").into());
        }
        newest = Some(*head.root()).filter(|_| head.size() > 0).or(newest);
        engine.close(head, number(next)?, next);
    }
    let verified = feed(store, &mut engine, u64::MAX)?;
    if engine.size() > 0 {
        newest = Some(engine.tree().root());
    }
    let here = newest.map(|root| (engine.base().saturating_add(engine.size()), root));
    if store.last_root()? != here {
        return Err(LoadError::Chain("its root is not the one recorded at the last commit".into()).into());
    }
    Ok((engine, verified))
}

/// Feeds the engine's current log from the database, up to so many entries.
fn feed(store: &Store, engine: &mut Engine, most: u64) -> Result<Chain, NodeError> {
    let mut verified = Chain::new(engine.origin());
    loop {
        let from = engine.base().saturating_add(verified.size());
        let page = store.entries(from, PAGE.min(most.saturating_sub(verified.size())))?;
        for bytes in &page {
            engine.load(bytes, |d| store.envelope(d).ok().flatten())?;
            verified.push(bytes).map_err(|e| LoadError::Chain(e.to_string()))?;
        }
        let upto = from.saturating_add(page.len() as u64);
        for (position, root) in store.roots(from, upto)? {
            let size = position.saturating_sub(engine.base());
            if engine.tree().root_at(size) != Some(root) {
                return Err(LoadError::Root { size }.into());
            }
        }
        if page.is_empty() {
            return Ok(verified);
        }
    }
}

/// Head of a log as its entries give it, unsigned.
pub(crate) struct Head {
    pub(crate) origin: String,
    pub(crate) size: u64,
    pub(crate) root: Hash,
}

/// Head of the seat's newest log, from its entries alone, chain checked; `unbegun` is its origin if it has none.
///
/// # Errors
/// [`NodeError`].
pub(crate) fn head(store: &Store, unbegun: &str) -> Result<Head, NodeError> {
    let chain_error = |e: &dyn std::fmt::Display| NodeError::from(LoadError::Chain(e.to_string()));
    let base: u64 = store.closed_logs()?.iter().map(|c| c.size).sum();
    let mut chain = Chain::new(unbegun);
    loop {
        let page = store.entries(base.saturating_add(chain.size()), PAGE)?;
        for bytes in &page {
            if chain.size() == 0 {
                chain = Chain::new(&Entry::decode(bytes).map_err(|e| chain_error(&e))?.log);
            }
            chain.push(bytes).map_err(|e| chain_error(&e))?;
        }
        if page.is_empty() {
            let (origin, size, root) = (chain.origin().to_owned(), chain.size(), chain.root());
            return Ok(Head { origin, size, root });
        }
    }
}
