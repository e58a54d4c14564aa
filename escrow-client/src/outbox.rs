//! The outbox: deposits that some node has not acknowledged yet, on disk, mode 0600.
//!
//! A row holds the signed deposit and one sealed blob for each seat that still lacks it: nothing
//! that this machine could open. There is never a secret, a share or a thread key in here. What a
//! node has acknowledged is deleted; its receipt stays as evidence. After the consent's end what
//! is left is deleted and never sent.

use crate::key_file::{KeyFileError, refuse_exposed, write_private};
use crate::seat::VerifiedReceipt;
use escrow_core::deal::About;
use escrow_core::{Digest, SeatIndex, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};
use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const SCHEMA: i64 = 1;

/// Why the outbox cannot be used: the machine's fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutboxError {
    /// The database.
    #[error("outbox: {0}; check that the disk has room and that no other program holds the file")]
    Database(#[from] rusqlite::Error),
    /// The file.
    #[error("outbox: {0}")]
    File(#[from] KeyFileError),
    /// Written by another version of this program.
    #[error("outbox: schema {0} is not known here; use the version of the program that wrote it")]
    Schema(i64),
    /// A row that this program did not write.
    #[error("outbox: a damaged row ({0}); what is left can be deposited again from the key ring")]
    Damaged(&'static str),
}

/// One signed deposit with a blob for each seat, ready to be sent.
#[derive(Debug)]
pub struct SealedDeposit {
    /// Digest of the deposit statement.
    pub digest: Digest,
    /// The signed envelope.
    pub envelope: Vec<u8>,
    /// One sealed blob a member seat.
    pub blobs: Vec<(SeatIndex, Vec<u8>)>,
    /// What its items are about.
    pub items: Vec<About>,
    /// Receipts needed to open it again.
    pub t: u8,
    /// When the consent ends; never sent after it.
    pub expires: Timestamp,
}

/// A blob that one seat still lacks.
#[derive(Debug)]
pub struct Pending {
    /// The deposit.
    pub deposit: Digest,
    /// Its envelope.
    pub envelope: Vec<u8>,
    /// The seat.
    pub seat: SeatIndex,
    /// The sealed blob for it.
    pub blob: Vec<u8>,
}

/// How far one deposit has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The deposit.
    pub deposit: Digest,
    /// Its items.
    pub items: u64,
    /// Receipts needed to open it again.
    pub t: u8,
    /// Seats it was dealt to.
    pub n: u8,
    /// Seats that acknowledged.
    pub receipts: BTreeSet<SeatIndex>,
    /// True if the consent ended before every seat had it; the rest was deleted.
    pub expired: bool,
}

/// The outbox file.
#[derive(Debug)]
pub struct Outbox {
    db: Mutex<Connection>,
}

impl Outbox {
    /// Opens the outbox, or makes it with mode 0600.
    ///
    /// # Errors
    /// [`OutboxError`]; a file that others may read is refused.
    pub fn open(path: &Path) -> Result<Self, OutboxError> {
        match write_private(path, &[]) {
            Ok(()) => {}
            Err(KeyFileError::File { source, .. }) if source.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e.into()),
        }
        let file =
            File::open(path).map_err(|source| KeyFileError::File { verb: "open", path: path.to_owned(), source })?;
        refuse_exposed(&file, path)?;
        let mut db = Connection::open(path)?;
        db.busy_timeout(Duration::from_secs(30))?;
        // WAL and shared-memory files take over the mode of the database file.
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", "FULL")?;
        db.pragma_update(None, "secure_delete", "ON")?;
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        match tx.query_row("PRAGMA user_version", [], |r| r.get::<_, i64>(0))? {
            0 => tx.execute_batch(TABLES)?,
            SCHEMA => {}
            other => return Err(OutboxError::Schema(other)),
        }
        tx.commit()?;
        Ok(Self { db: Mutex::new(db) })
    }

    /// A panic elsewhere does not damage a database, so a poisoned lock is taken all the same.
    fn db(&self) -> MutexGuard<'_, Connection> {
        self.db.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes deposits in, all or none; durable when it returns.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub fn put(&self, deposits: &[SealedDeposit]) -> Result<(), OutboxError> {
        let mut db = self.db();
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for d in deposits {
            let (digest, n) = (d.digest.as_bytes().as_slice(), d.blobs.len() as i64);
            tx.execute(
                "INSERT INTO deposits (digest, envelope, items, t, n, expires) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![digest, d.envelope, d.items.len() as i64, d.t, n, d.expires.millis()],
            )?;
            for (seat, blob) in &d.blobs {
                tx.execute(
                    "INSERT INTO blobs (deposit, seat, blob) VALUES (?1, ?2, ?3)",
                    params![digest, seat.get(), blob],
                )?;
            }
            for about in &d.items {
                tx.execute(
                    "INSERT OR IGNORE INTO items (about, deposit) VALUES (?1, ?2)",
                    params![name(about)?.as_bytes(), digest],
                )?;
            }
        }
        tx.commit()?;
        Ok(())
    }

    /// The deposit that an item is in already, if any: so that a crash between outbox and key
    /// ring does not escrow a key twice.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub fn deposit_of(&self, about: &About) -> Result<Option<Digest>, OutboxError> {
        let found: Option<[u8; 32]> = self
            .db()
            .query_row("SELECT deposit FROM items WHERE about = ?1", [name(about)?.as_bytes()], |r| r.get(0))
            .optional()?;
        Ok(found.map(Digest))
    }

    /// Deletes what may no longer be sent; how many deposits were cut short.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub fn expire(&self, now: Timestamp) -> Result<usize, OutboxError> {
        let mut db = self.db();
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let over = tx.execute(
            "UPDATE deposits SET envelope = NULL, expired = 1 WHERE envelope IS NOT NULL AND expires <= ?1",
            [now.millis()],
        )?;
        tx.execute("DELETE FROM blobs WHERE deposit IN (SELECT digest FROM deposits WHERE expired = 1)", [])?;
        tx.commit()?;
        Ok(over)
    }

    /// Which seats lack which deposits, oldest first.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub fn pending(&self) -> Result<Vec<(Digest, SeatIndex)>, OutboxError> {
        let db = self.db();
        let mut query = db.prepare(
            "SELECT b.deposit, b.seat FROM blobs b JOIN deposits d ON d.digest = b.deposit ORDER BY d.id, b.seat",
        )?;
        let rows = query.query_map([], |r| Ok((r.get::<_, [u8; 32]>(0)?, r.get::<_, u8>(1)?)))?;
        rows.map(|row| {
            let (deposit, seat) = row?;
            Ok((Digest(deposit), SeatIndex::new(seat).ok_or(OutboxError::Damaged("seat 0"))?))
        })
        .collect()
    }

    /// What to send to one seat; none if it was acknowledged or deleted meanwhile.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub fn load(&self, deposit: &Digest, seat: SeatIndex) -> Result<Option<Pending>, OutboxError> {
        let row = self.db().query_row(
            "SELECT d.envelope, b.blob FROM blobs b JOIN deposits d ON d.digest = b.deposit
             WHERE b.deposit = ?1 AND b.seat = ?2 AND d.envelope IS NOT NULL",
            params![deposit.as_bytes(), seat.get()],
            |r| Ok(Pending { deposit: *deposit, envelope: r.get(0)?, seat, blob: r.get(1)? }),
        );
        Ok(row.optional()?)
    }

    /// Notes a verified receipt and deletes what is no longer needed, in one transaction.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub fn acknowledge(&self, receipt: &VerifiedReceipt) -> Result<(), OutboxError> {
        let (deposit, seat) = (receipt.receipt.statement.0, receipt.receipt.seat.get());
        let mut db = self.db();
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        tx.execute(
            "INSERT OR IGNORE INTO receipts (deposit, seat, receipt, proof) VALUES (?1, ?2, ?3, ?4)",
            params![deposit, seat, receipt.envelope.bytes(), receipt.proof],
        )?;
        tx.execute("DELETE FROM blobs WHERE deposit = ?1 AND seat = ?2", params![deposit, seat])?;
        tx.execute(
            "UPDATE deposits SET envelope = NULL
             WHERE digest = ?1 AND NOT EXISTS (SELECT 1 FROM blobs WHERE deposit = ?1)",
            [deposit],
        )?;
        tx.commit()?;
        Ok(())
    }

    /// How far every deposit has come, oldest first.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub fn progress(&self) -> Result<Vec<Progress>, OutboxError> {
        let db = self.db();
        let mut query = db.prepare("SELECT digest, items, t, n, expired FROM deposits ORDER BY id")?;
        let mut seats = db.prepare("SELECT seat FROM receipts WHERE deposit = ?1")?;
        let rows = query.query_map([], |r| {
            let (digest, items): ([u8; 32], i64) = (r.get(0)?, r.get(1)?);
            let receipts = BTreeSet::new();
            let (t, n, expired) = (r.get(2)?, r.get(3)?, r.get::<_, i64>(4)? != 0);
            Ok(Progress { deposit: Digest(digest), items: items.unsigned_abs(), t, n, receipts, expired })
        })?;
        rows.map(|row| {
            let mut p = row?;
            for seat in seats.query_map([p.deposit.as_bytes()], |r| r.get::<_, u8>(0))? {
                p.receipts.extend(SeatIndex::new(seat?));
            }
            Ok(p)
        })
        .collect()
    }

    /// The receipts held for a deposit, as evidence: seat, envelope, proof.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub fn receipts(&self, deposit: &Digest) -> Result<Vec<(SeatIndex, Vec<u8>, String)>, OutboxError> {
        let db = self.db();
        let mut query = db.prepare("SELECT seat, receipt, proof FROM receipts WHERE deposit = ?1 ORDER BY seat")?;
        let rows = query.query_map([deposit.as_bytes()], |r| Ok((r.get::<_, u8>(0)?, r.get(1)?, r.get(2)?)))?;
        rows.map(|row| {
            let (seat, receipt, proof) = row?;
            Ok((SeatIndex::new(seat).ok_or(OutboxError::Damaged("seat 0"))?, receipt, proof))
        })
        .collect()
    }
}

fn name(about: &About) -> Result<Digest, OutboxError> {
    serde_json::to_vec(about)
        .map(|j| Digest::of(&j))
        .map_err(|_| OutboxError::Damaged("an item that cannot be encoded"))
}

const TABLES: &str = "
CREATE TABLE deposits (
  id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, envelope BLOB,
  items INTEGER NOT NULL, t INTEGER NOT NULL, n INTEGER NOT NULL,
  expires INTEGER NOT NULL, expired INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE blobs (
  deposit BLOB NOT NULL REFERENCES deposits (digest), seat INTEGER NOT NULL, blob BLOB NOT NULL,
  PRIMARY KEY (deposit, seat)
) STRICT;
CREATE TABLE receipts (
  deposit BLOB NOT NULL REFERENCES deposits (digest), seat INTEGER NOT NULL,
  receipt BLOB NOT NULL, proof TEXT NOT NULL, PRIMARY KEY (deposit, seat)
) STRICT;
CREATE TABLE items (about BLOB PRIMARY KEY, deposit BLOB NOT NULL) STRICT;
PRAGMA user_version = 1;
";

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
