//! `escrow-node new-log`: a seat that is behind what it once signed prepares its next log. Nothing comes of
//! it before the administrators' charter gives the seat that log and the operator accepts it.

use crate::behind;
use crate::config::Config;
use crate::files::DataLock;
use crate::keys::SeatKeys;
use crate::logs::{Own, read};
use crate::node::NodeError;
use crate::start::Accepted;
use crate::store::Store;
use crate::unlock::{PassphraseFile, replace};
use escrow_core::Digest;
use escrow_core::charter::Seat;
use std::collections::BTreeSet;

/// A prepared log.
#[derive(Debug)]
pub struct NewLog {
    /// The seat's descriptor for the next charter.
    pub seat: Seat,
    /// Entries of the old log that are still here.
    pub kept: u64,
    /// Size of the newest head of the old log that any peer showed.
    pub newest: u64,
}

/// Makes the next log's key, beside the seat's keys and under the same passphrase, and the descriptor for the
/// next charter. The same again gives the same key.
///
/// # Errors
/// [`NodeError`]; [`NodeError::Charter`] if the node is not behind.
pub fn new_log(config: &Config) -> Result<NewLog, NodeError> {
    let _lock = DataLock::take(&config.data_dir)?;
    let store = Store::open(&config.database())?;
    let accepted = Accepted::load(&store)?;
    let Own { seat, keys, storage } = Own::as_listed(config, &accepted)?;
    if keys.log_public() != seat.log_key {
        return Err(NodeError::Charter(
            "the accepted charter gives this seat a new log already; start the node".into(),
        ));
    }
    let newest = behind::kept(&config.newest_head(), &seat)?;
    let (engine, _) = read(&store, &accepted, seat.index, &seat.log_origin, &keys)?;
    let newest = newest.filter(|head| engine.tree().root_at(head.size()) != Some(*head.root()));
    let newest = newest.ok_or_else(|| {
        NodeError::Charter(
            "this node is not in ROLLBACK: no other node has shown it a head of its log that it lacks. A new log is for \
             a seat that lost entries; start the node and look at its state"
                .into(),
        )
    })?;

    let (kept, passphrase) = (engine.size(), PassphraseFile(config.passphrase_file.clone()));
    let path = config.next_key_file();
    let log_key = if path.exists() {
        SeatKeys::load(&path, &passphrase)?.0.log_public()
    } else {
        let next = SeatKeys::load(&config.key_file(), &passphrase)?.0.with_new_log_key();
        next.save_beside(&path, &config.key_file(), &storage)?;
        next.log_public()
    };
    let used: BTreeSet<&str> = accepted.charters().flat_map(|c| &c.seats).map(|s| s.log_origin.as_str()).collect();
    let next = Seat {
        log_origin: next_origin(&seat.log_origin, &used),
        log_key,
        previous_log_head: Some(Digest::of(newest.note().text().as_bytes())),
        ..seat
    };
    let json = serde_json::to_vec_pretty(&next).map_err(|e| NodeError::Charter(e.to_string()))?;
    replace(&config.descriptor(), &json)?;
    Ok(NewLog { seat: next, kept, newest: newest.size() })
}

/// The origin with its last part counted up to one that no charter gives to anybody.
fn next_origin(origin: &str, used: &BTreeSet<&str>) -> String {
    let counted = origin.rsplit_once('/').and_then(|(stem, n)| Some((stem, n.parse::<u32>().ok()?)));
    let (stem, from) = counted.unwrap_or((origin, 1));
    let free = (from.saturating_add(1)..).map(|n| format!("{stem}/{n}")).find(|o| !used.contains(o.as_str()));
    free.unwrap_or_else(|| format!("{origin}/2"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_count_up_and_none_comes_back() {
        let next = |origin: &str, used: &[&str]| next_origin(origin, &used.iter().copied().collect());
        assert_eq!(next("acme/seat-3/log/1", &[]), "acme/seat-3/log/2");
        assert_eq!(next("acme/seat-3/log/9", &["acme/seat-3/log/9"]), "acme/seat-3/log/10");
        assert_eq!(next("acme/seat-3/log/1", &["acme/seat-3/log/2"]), "acme/seat-3/log/3");
        assert_eq!(next("acme/3/log", &[]), "acme/3/log/2");
        assert_eq!(next("log", &["log/2"]), "log/3");
    }
}
