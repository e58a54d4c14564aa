//! The seat's logs before the current one. A seat that lost entries goes on under a new origin: its old
//! logs stay as they are, their facts go on, and receipts for them still name them.
//!
//! A *position* counts the entries of all logs of the seat together, as facts and database do; a *seq* counts
//! within one log, as entries, receipts and proofs do.

use super::Engine;
use escrow_audit::checkpoint::VerifiedCheckpoint;
use escrow_audit::entry::Chain;
use escrow_audit::proof::TlogProof;
use escrow_audit::tree::{Hash, Tree};
use escrow_core::Digest;
use escrow_policy::Event;

/// A log that is closed: its last own head stands.
pub(super) struct Past {
    number: u32,
    base: u64,
    tree: Tree,
    note: VerifiedCheckpoint,
}

/// Where an entry stands.
pub(super) struct Place<'e> {
    pub(super) origin: &'e str,
    pub(super) seq: u64,
    pub(super) leaf: Hash,
}

/// One log of this seat.
#[derive(Debug)]
pub struct Span {
    /// Position of its first entry.
    pub base: u64,
    /// Its last own head, if it is closed.
    pub closed: Option<VerifiedCheckpoint>,
}

impl Engine {
    /// Closes the current log with its last own head, and begins the next one, empty.
    pub(crate) fn close(&mut self, note: VerifiedCheckpoint, number: u32, origin: &str) {
        let tree = std::mem::take(&mut self.tree);
        self.floor = self.floor.max(self.chain.ts());
        let size = tree.size();
        self.past.push(Past { number: self.number, base: self.base, tree, note });
        self.base = self.base.saturating_add(size);
        self.number = number;
        self.chain = Chain::new(origin);
        self.origin = origin.to_owned();
        self.significant = 0;
    }

    /// Which of the seat's logs the current one is; see [`escrow_audit::seat::log_number`].
    pub(crate) fn set_number(&mut self, number: u32) {
        self.number = number;
    }

    /// The event with which the current log begins, if it goes on from another.
    pub(crate) fn continuation(&self) -> Option<Event> {
        let Past { note, .. } = self.past.last().filter(|_| self.tree.size() == 0)?;
        let (log, size, root) = (note.origin().to_owned(), note.size(), Digest(*note.root()));
        Some(Event::Continued { seat: self.seat, log, size, root })
    }

    /// Position of the current log's first entry.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// The log of this number; `None` if the seat never began one.
    pub fn span(&self, number: u32) -> Option<Span> {
        if number == self.number {
            return Some(Span { base: self.base, closed: None });
        }
        let past = self.past.iter().find(|p| p.number == number)?;
        Some(Span { base: past.base, closed: Some(past.note.clone()) })
    }

    /// The tree of the log of this number.
    pub fn tree_of(&self, number: u32) -> Option<&Tree> {
        if number == self.number {
            return Some(&self.tree);
        }
        self.past.iter().find(|p| p.number == number).map(|p| &p.tree)
    }

    pub(super) fn place(&self, position: u64) -> Option<Place<'_>> {
        let (base, origin, tree) = match self.past.iter().rfind(|p| p.base <= position && position < self.base) {
            Some(past) => (past.base, past.note.origin(), &past.tree),
            None => (self.base, self.origin.as_str(), &self.tree),
        };
        let seq = position.checked_sub(base)?;
        Some(Place { origin, seq, leaf: tree.leaf(seq)? })
    }

    /// The tlog-proof of the entry at a position: under this checkpoint if it is of the current log, under
    /// the last head of its own log otherwise.
    pub fn proof(&self, position: u64, current: &VerifiedCheckpoint) -> Option<String> {
        let past = self.past.iter().rfind(|p| p.base <= position && position < self.base);
        let (base, tree, head) = past.map_or((self.base, &self.tree, current), |p| (p.base, &p.tree, &p.note));
        let index = position.checked_sub(base)?;
        let hashes = tree.inclusion_proof(index, head.size())?;
        let proof = TlogProof { extra: None, index, hashes, checkpoint: head.note().clone() };
        String::from_utf8(proof.to_bytes()).ok()
    }
}
