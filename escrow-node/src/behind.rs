//! A log that is behind what its own key once signed: the database was restored from a backup, or a copy
//! of the node ran elsewhere. The newest such head is kept on disk, so that the node knows of it at its next
//! start without asking, and so that `new-log` can name it.

use crate::node::{Node, NodeError};
use crate::state::State;
use crate::unlock::{UnlockError, replace};
use escrow_audit::checkpoint::{Checkpoint, VerifiedCheckpoint};
use escrow_audit::seat::log_verifier;
use escrow_core::SeatIndex;
use escrow_core::charter::Seat;
use std::path::Path;
use std::sync::Arc;

/// The head that was kept, if it is one of this log.
///
/// # Errors
/// [`NodeError::Keys`] if the file is there and cannot be read.
pub(crate) fn kept(path: &Path, own: &Seat) -> Result<Option<VerifiedCheckpoint>, NodeError> {
    match std::fs::read_to_string(path) {
        Ok(note) => Ok(signed(own, &note)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(UnlockError::File(path.into(), e).into()),
    }
}

/// A note as a head of this seat's log; `None` if the log's key did not sign it.
pub(crate) fn signed(own: &Seat, note: &str) -> Option<VerifiedCheckpoint> {
    Checkpoint::verify(note.as_bytes(), &own.log_origin, &log_verifier(own).ok()?).ok()
}

/// Why the node stops.
pub(crate) fn reason(who: Option<SeatIndex>, head: &VerifiedCheckpoint, size: u64) -> String {
    let who = who.map_or_else(|| "another node".to_owned(), |seat| format!("seat {seat}"));
    let what = if head.size() > size {
        "this database was restored from a backup, or another copy of this node ran meanwhile"
    } else {
        "another copy of this node ran on, or this database is from a backup that went another way"
    };
    format!(
        "{who} holds a head of size {} that this log's own key signed and that is not on this log of {size} entries: \
         {what}. Nothing is signed here any more",
        head.size()
    )
}

impl Node {
    /// True if the head lies on this log's tree.
    pub(crate) async fn has(&self, head: &VerifiedCheckpoint) -> bool {
        let (size, root) = (head.size(), *head.root());
        let own = self.writer.run(move |e| e.tree().root_at(size)).await;
        // A writer that has stopped says nothing about the head.
        own.is_ok_and(|r| r.into_inner() == Some(root)) || matches!(self.state(), State::Poisoned(_))
    }

    /// Stops at a head of this log that is not on it, and keeps the head if it is the newest such.
    pub(crate) async fn fall_behind(&self, who: SeatIndex, head: &VerifiedCheckpoint) {
        let Ok(size) = self.writer.run(|e| e.size()).await else { return };
        self.set_state(State::Rollback(reason(Some(who), head, size.into_inner())));
        let charter = self.charter();
        let Some(own) = charter.seat(self.seat) else { return };
        let known = kept(&self.newest_head, own).ok().flatten();
        if known.is_none_or(|k| k.size() < head.size())
            && let Err(e) = replace(&self.newest_head, &head.to_bytes())
        {
            tracing::error!(error = %e, "the newest head of this log cannot be kept; new-log will need it");
        }
    }

    /// Looks whether a peer that did not cosign holds a head of this log that is not on it.
    pub(crate) async fn compare(self: &Arc<Self>, peer: &Seat) {
        let charter = self.charter();
        let Some(own) = charter.seat(self.seat) else { return };
        let Ok(witnessed) = self.peers.witnessed(peer, &own.log_origin).await else { return };
        if let Some(head) = witnessed.note.and_then(|note| signed(own, &note))
            && !self.has(&head).await
        {
            tracing::error!(peer = %peer.index, size = head.size(), "a peer holds another head of this log");
            self.fall_behind(peer.index, &head).await;
        }
    }
}
