//! A log followed entry by entry.

use super::{Entry, EntryError, NO_PREV, Scanned, StatementRef, leaf_hash};
use crate::note;
use crate::tree::{CompactRange, Hash};
use serde_json::{Map, Value};

/// A rule of the chain that an entry broke.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainRule {
    /// The bytes are not an entry.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// The entry names another log.
    #[error("entry belongs to the log {0}")]
    Log(String),
    /// The entry's own number is not its position.
    #[error("entry numbers itself {0}")]
    Seq(u64),
    /// `prev` is not the leaf hash of the entry before.
    #[error("entry does not follow the one before")]
    Prev,
    /// The time is before that of the entry before.
    #[error("time runs backwards")]
    Time,
}

/// Where and how a chain breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("entry {seq}: {rule}")]
pub struct ChainError {
    /// Position of the offending entry.
    pub seq: u64,
    /// The rule it broke.
    #[source]
    pub rule: ChainRule,
}

/// Checks a log entry by entry, in O(log n) memory, and yields its root.
///
/// The chain is never a substitute for a tree proof: compare [`Chain::size`] and
/// [`Chain::root`] with a verified checkpoint.
#[derive(Debug, Clone)]
pub struct Chain {
    log: String,
    /// The origin if JSON writes it as it is, else nothing.
    plain: String,
    head: Hash,
    head_hex: [u8; 64],
    ts: u64,
    range: CompactRange,
}

impl Chain {
    /// The empty log `origin`.
    #[must_use]
    pub fn new(origin: &str) -> Self {
        let range = CompactRange::new();
        let plain = note::check_key_name(origin).is_ok() && !origin.contains(['"', '\\']);
        let plain = if plain { origin.to_owned() } else { String::new() };
        Self { log: origin.to_owned(), plain, head: NO_PREV, head_hex: [b'0'; 64], ts: 0, range }
    }

    /// Takes the next entry's bytes; on error the chain stays as it was.
    ///
    /// # Errors
    /// [`ChainError`] with the position and the first rule broken, in the order of
    /// [`ChainRule`].
    pub fn push<'b>(&mut self, bytes: &'b [u8]) -> Result<Scanned<'b>, ChainError> {
        let entry = self.check(bytes).map_err(|rule| ChainError { seq: self.size(), rule })?;
        self.head = leaf_hash(bytes);
        for (digits, byte) in self.head_hex.chunks_exact_mut(2).zip(&self.head) {
            digits.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
        self.ts = entry.ts;
        self.range.push(self.head);
        Ok(entry)
    }

    fn check<'b>(&self, bytes: &'b [u8]) -> Result<Scanned<'b>, ChainRule> {
        let entry = Scanned::read_in(bytes, &self.plain)?;
        if entry.log_json() != self.plain.as_bytes() && entry.log() != self.log {
            return Err(ChainRule::Log(entry.log().into_owned()));
        }
        if entry.seq != self.size() {
            return Err(ChainRule::Seq(entry.seq));
        }
        if *entry.prev_hex() != self.head_hex {
            return Err(ChainRule::Prev);
        }
        if entry.ts < self.ts {
            return Err(ChainRule::Time);
        }
        Ok(entry)
    }

    /// The entry that comes next: its number, `prev` and log filled in, its time `now` (in
    /// milliseconds) or that of the entry before, if that is later.
    #[must_use]
    pub fn draft(&self, now: u64, kind: &str, statement: Option<StatementRef>, body: Map<String, Value>) -> Entry {
        let (log, kind) = (self.log.clone(), kind.to_owned());
        let (seq, ts, prev) = (self.size(), now.max(self.ts), self.head);
        Entry { log, seq, ts, prev, kind, statement, body }
    }

    /// The origin of the log.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.log
    }

    /// Number of entries so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.range.size()
    }

    /// RFC 6962 root over them.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.range.root()
    }

    /// The tree so far.
    pub(crate) fn range(&self) -> &CompactRange {
        &self.range
    }

    /// Leaf hash of the newest entry, or [`NO_PREV`].
    #[must_use]
    pub fn head(&self) -> Hash {
        self.head
    }

    /// Time of the newest entry in milliseconds since 1970, 0 if there is none.
    #[must_use]
    pub fn ts(&self) -> u64 {
        self.ts
    }
}

/// A lower-case hex digit; arithmetic, because a table is slower by the million.
fn digit(nibble: u8) -> u8 {
    nibble + if nibble < 10 { b'0' } else { b'a' - 10 }
}
