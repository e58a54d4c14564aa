//! SQLite on disk: log entries, statements, attachments, share rows, peers' heads.
//!
//! WAL with `synchronous=FULL`: what was committed survives a power cut. Nothing in here decides
//! anything; triggers that refuse UPDATE and DELETE of entries guard against accidents, not
//! against an operator.

use crate::files::Files;
use crate::metrics;
use crate::vault::KeyName;
use escrow_audit::tree::Hash;
use escrow_core::{Digest, ItemId, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, params};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// One log entry as written.
#[derive(Debug, Clone)]
pub struct EntryRow {
    /// Position, counted over all logs of the seat.
    pub position: u64,
    /// Bytes.
    pub bytes: Vec<u8>,
    /// Leaf hash.
    pub leaf: Hash,
}

/// One sealed share.
#[derive(Debug, Clone)]
pub struct ShareRow {
    /// The item.
    pub item: ItemId,
    /// Nonce, ciphertext, tag.
    pub sealed: Vec<u8>,
}

/// The shares of one deposit with the name of its key file. Not cloned: whoever holds it knows that it
/// was not stored.
#[derive(Debug)]
pub struct DepositRow {
    /// Deposit statement.
    pub deposit: Digest,
    /// Key file.
    pub key: KeyName,
    /// Shares.
    pub shares: Vec<ShareRow>,
}

/// The newest head of another log that this node cosigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerHead {
    /// Size.
    pub size: u64,
    /// Root.
    pub root: Hash,
    /// The note as it came, log signature included.
    pub note: String,
}

/// A log of this seat that is closed: another has taken its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedLog {
    /// Its origin.
    pub origin: String,
    /// Entries that it has here.
    pub size: u64,
    /// Its last own head, for exactly that size.
    pub note: String,
}

/// A notification on its way to one webhook.
#[derive(Debug, Clone)]
pub struct WebhookNew {
    /// The receiver.
    pub url: String,
    /// The notification's digest.
    pub digest: Digest,
    /// Its envelope.
    pub body: Vec<u8>,
    /// When it is given up.
    pub expires: Timestamp,
    /// When it is tried.
    pub due: Timestamp,
}

/// A stored one.
#[derive(Debug, Clone)]
pub struct WebhookRow {
    /// Which.
    pub id: i64,
    /// What.
    pub what: WebhookNew,
    /// How often it was tried.
    pub attempts: u32,
}

/// A change to the outbox of webhooks.
#[derive(Debug, Clone)]
pub enum WebhookChange {
    /// Something new waits.
    Add(WebhookNew),
    /// Tried in vain; again at this time.
    Later(i64, Timestamp),
    /// Delivered or given up.
    Done(i64),
    /// Only these receivers are configured; what is for others goes.
    Keep(Vec<String>),
}

/// Notifications kept for one receiver; the oldest goes when one more comes.
pub const WEBHOOK_ROWS: u32 = 1_000;

/// Everything that one commit writes.
#[derive(Debug, Default)]
pub struct Batch {
    /// Entries, in order.
    pub entries: Vec<EntryRow>,
    /// Envelope digest, payload digest, bytes.
    pub statements: Vec<(Digest, Digest, Vec<u8>)>,
    /// Contexts, cosigned notes, notes that contradict each other.
    pub attachments: Vec<Vec<u8>>,
    /// Share rows.
    pub deposits: Vec<DepositRow>,
    /// Heads of other logs.
    pub peers: Vec<(String, PeerHead)>,
    /// Notifications for webhooks.
    pub webhooks: Vec<WebhookChange>,
    /// Root after the batch, and the size it is the root of.
    pub root: Option<(u64, Hash)>,
}

impl Batch {
    /// True if there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
            && self.statements.is_empty()
            && self.attachments.is_empty()
            && self.deposits.is_empty()
            && self.peers.is_empty()
            && self.webhooks.is_empty()
    }
}

/// A database error. The writer never goes on after one.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite's words.
    #[error("database: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The file cannot be made.
    #[error("{0}: {1}")]
    File(std::path::PathBuf, std::io::Error),
    /// A row that this program did not write.
    #[error("database holds a row this program did not write: {0}")]
    Row(&'static str),
    /// Written by a later version of this program.
    #[error(
        "the database has schema {found}, this program knows up to {known}: it was written by a newer escrow-node; run \
         that version again, or restore the backup that was made before the upgrade"
    )]
    Newer {
        /// Of the database.
        found: u32,
        /// Of the program.
        known: u32,
    },
    /// Written by an earlier version, and a node may be running on it.
    #[error("the database has schema {0}, which the running escrow-node wrote; stop it and start this version first")]
    Older(u32),
    /// The files under an open database are not those that were opened.
    #[error("{0}; the node stops, because what it writes would be lost")]
    Replaced(String),
    /// What was read back is not what was written.
    #[error("what was read back from disk is not what was written: {0}")]
    ReadBack(String),
}

/// The database, opened for the one writer or for reading.
#[derive(Debug)]
pub struct Store(Connection, Option<Files>);

/// Schema changes, oldest first. The number of them that a database has is its `user_version`; each is
/// a step that never changes once it was released.
const STEPS: &[&str] = &[FIRST];

/// Databases from before versions were counted have these tables too.
const FIRST: &str = "
CREATE TABLE IF NOT EXISTS entry (seq INTEGER PRIMARY KEY CHECK (seq >= 0), bytes BLOB NOT NULL, leaf BLOB NOT NULL CHECK (length(leaf) = 32)) STRICT;
CREATE TABLE IF NOT EXISTS root (size INTEGER PRIMARY KEY, root BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS closed_log (position INTEGER PRIMARY KEY AUTOINCREMENT, origin TEXT NOT NULL UNIQUE, size INTEGER NOT NULL, note TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS statement (envelope BLOB PRIMARY KEY, payload BLOB NOT NULL, bytes BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS statement_payload ON statement (payload);
CREATE TABLE IF NOT EXISTS attachment (digest BLOB PRIMARY KEY, bytes BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS deposit_key (deposit BLOB PRIMARY KEY, name BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS share (item BLOB PRIMARY KEY, deposit BLOB NOT NULL REFERENCES deposit_key, sealed BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS peer (origin TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL, note TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS accepted_charter (position INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS webhook (id INTEGER PRIMARY KEY AUTOINCREMENT, url TEXT NOT NULL, digest BLOB NOT NULL, body BLOB NOT NULL, expires INTEGER NOT NULL, due INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE INDEX IF NOT EXISTS webhook_due ON webhook (url, due);
CREATE TRIGGER IF NOT EXISTS entry_stays BEFORE UPDATE ON entry BEGIN SELECT RAISE(ABORT, 'log entries are never changed'); END;
CREATE TRIGGER IF NOT EXISTS entry_keeps BEFORE DELETE ON entry BEGIN SELECT RAISE(ABORT, 'log entries are never deleted'); END;
CREATE TRIGGER IF NOT EXISTS root_stays BEFORE UPDATE ON root BEGIN SELECT RAISE(ABORT, 'one root for one size'); END;
CREATE TRIGGER IF NOT EXISTS root_keeps BEFORE DELETE ON root BEGIN SELECT RAISE(ABORT, 'one root for one size'); END;
";

impl Store {
    /// Opens or creates the database for the one writer, which holds the folder's
    /// [`DataLock`](crate::files::DataLock), and brings an older one up to date in one transaction.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        // SQLite would make the file readable by others; WAL and shared memory take its mode.
        let private = std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path);
        private.map_err(|e| StoreError::File(path.into(), e))?;
        let mut c = writable(path)?;
        migrate(&mut c)?;
        // After a flush that failed, what the system still shows may not be on disk: all of it is written
        // and flushed once more before anything is built on it.
        c.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        let files = Files::remember(path).map_err(|e| StoreError::File(path.into(), e))?;
        Ok(Self(c, Some(files)))
    }

    /// Opens it for a change beside a node that may be running on it: nothing is migrated.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Older`] if the running node has another schema.
    pub fn open_beside(path: &Path) -> Result<Self, StoreError> {
        let c = writable(path)?;
        let found = version(&c)?;
        if known()? != found { Err(StoreError::Older(found)) } else { Ok(Self(c, None)) }
    }

    /// Checks that the files are still those that were opened, and never shorter than before.
    ///
    /// # Errors
    /// [`StoreError::Replaced`]; the caller must then stop.
    pub fn check_files(&mut self) -> Result<(), StoreError> {
        self.1.as_mut().map_or(Ok(()), Files::check).map_err(StoreError::Replaced)
    }

    /// As if the disk held no more pages than this.
    #[cfg(test)]
    pub(crate) fn limit_pages(&self, pages: u32) {
        self.0.pragma_update(None, "max_page_count", pages).unwrap();
    }

    /// Gives the database up after an error: closing it will not write to it any more.
    pub fn abandon(&self) {
        use rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE as NO_CHECKPOINT;
        if let Err(e) = self.0.set_db_config(NO_CHECKPOINT, true) {
            tracing::error!(error = %e, "the database may be written to when it closes");
        }
    }

    /// Opens it for reading only.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open_reader(path: &Path) -> Result<Self, StoreError> {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let c = Connection::open_with_flags(path, flags)?;
        c.busy_timeout(std::time::Duration::from_secs(2))?;
        Ok(Self(c, None))
    }

    /// Writes a batch in one transaction, durably.
    ///
    /// # Errors
    /// [`StoreError`]; the caller must then stop.
    pub fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let tx = self.0.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let mut insert = tx.prepare_cached("INSERT INTO entry (seq, bytes, leaf) VALUES (?1, ?2, ?3)")?;
        for e in &batch.entries {
            insert.execute(params![int(e.position)?, e.bytes, e.leaf.as_slice()])?;
        }
        drop(insert);
        for (envelope, payload, bytes) in &batch.statements {
            tx.prepare_cached("INSERT OR IGNORE INTO statement (envelope, payload, bytes) VALUES (?1, ?2, ?3)")?
                .execute(params![envelope.as_bytes(), payload.as_bytes(), bytes])?;
        }
        for bytes in &batch.attachments {
            tx.prepare_cached("INSERT OR IGNORE INTO attachment (digest, bytes) VALUES (?1, ?2)")?
                .execute(params![Digest::of(bytes).as_bytes(), bytes])?;
        }
        for d in &batch.deposits {
            tx.execute(
                "INSERT INTO deposit_key (deposit, name) VALUES (?1, ?2)",
                params![d.deposit.as_bytes(), d.key.as_slice()],
            )?;
            for s in &d.shares {
                tx.prepare_cached("INSERT INTO share (item, deposit, sealed) VALUES (?1, ?2, ?3)")?
                    .execute(params![s.item.as_bytes(), d.deposit.as_bytes(), s.sealed])?;
            }
        }
        for (origin, head) in &batch.peers {
            tx.prepare_cached("INSERT OR REPLACE INTO peer (origin, size, root, note) VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![origin, int(head.size)?, head.root.as_slice(), head.note])?;
        }
        for change in &batch.webhooks {
            webhook(&tx, change)?;
        }
        if let Some((size, root)) = &batch.root {
            tx.prepare_cached("INSERT INTO root (size, root) VALUES (?1, ?2)")?
                .execute(params![int(*size)?, root.as_slice()])?;
        }
        tx.commit()?;
        Ok(())
    }

    /// The notification for a receiver that is due first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn next_webhook(&self, url: &str) -> Result<Option<WebhookRow>, StoreError> {
        let sql =
            "SELECT id, digest, body, expires, due, attempts FROM webhook WHERE url = ?1 ORDER BY due, id LIMIT 1";
        let mut q = self.0.prepare_cached(sql)?;
        let row = q.query_row([url], |r| {
            Ok((
                r.get::<_, i64>(0)?,
                r.get::<_, Vec<u8>>(1)?,
                r.get::<_, Vec<u8>>(2)?,
                r.get::<_, i64>(3)?,
                r.get::<_, i64>(4)?,
                r.get::<_, u32>(5)?,
            ))
        });
        let Some((id, digest, body, expires, due, attempts)) = row.optional()? else { return Ok(None) };
        let digest = Digest(digest.try_into().map_err(|_| StoreError::Row("notification digest"))?);
        let (expires, due) = (Timestamp::from_millis(expires), Timestamp::from_millis(due));
        Ok(Some(WebhookRow { id, what: WebhookNew { url: url.to_owned(), digest, body, expires, due }, attempts }))
    }

    /// Entry bytes from position `from` on, at most `count`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn entries(&self, from: u64, count: u64) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut q = self.0.prepare_cached("SELECT bytes FROM entry WHERE seq >= ?1 ORDER BY seq LIMIT ?2")?;
        let rows = q.query_map(params![int(from)?, int(count)?], |r| r.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Compares what was committed with what another connection reads: statements and attachments by
    /// their digests, the root by its row. Entries are for the verifier's chain to judge.
    ///
    /// # Errors
    /// [`StoreError::ReadBack`]; the caller must then stop.
    pub fn read_back(&self, batch: &Batch) -> Result<(), StoreError> {
        let other = |what: &str, d: &Digest| Err(StoreError::ReadBack(format!("{what} {d}")));
        for (envelope, ..) in &batch.statements {
            if self.envelope(envelope)?.is_none_or(|b| Digest::of(&b) != *envelope) {
                return other("statement", envelope);
            }
        }
        for bytes in &batch.attachments {
            let digest = Digest::of(bytes);
            if self.attachment(&digest)?.as_ref() != Some(bytes) {
                return other("attachment", &digest);
            }
        }
        match batch.root {
            Some((size, root)) if self.last_root()? != Some((size, root)) => other("root", &Digest(root)),
            _ => Ok(()),
        }
    }

    /// Recorded sizes above `after` up to `size`, with their roots.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn roots(&self, after: u64, size: u64) -> Result<Vec<(u64, Hash)>, StoreError> {
        let mut q = self.0.prepare_cached("SELECT size, root FROM root WHERE size > ?1 AND size <= ?2")?;
        let rows =
            q.query_map(params![int(after)?, int(size)?], |r| Ok((r.get::<_, i64>(0)?, r.get::<_, Vec<u8>>(1)?)))?;
        rows.map(|r| root_row(r?)).collect()
    }

    /// The newest recorded size and root.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn last_root(&self) -> Result<Option<(u64, Hash)>, StoreError> {
        let mut q = self.0.prepare_cached("SELECT size, root FROM root ORDER BY size DESC LIMIT 1")?;
        let row = q.query_row([], |r| Ok((r.get::<_, i64>(0)?, r.get::<_, Vec<u8>>(1)?)));
        row.optional()?.map(root_row).transpose()
    }

    /// The logs of this seat that are closed, oldest first. Their entries come before those of the current
    /// one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn closed_logs(&self) -> Result<Vec<ClosedLog>, StoreError> {
        let mut q = self.0.prepare("SELECT origin, size, note FROM closed_log ORDER BY position")?;
        let rows = q.query_map([], |r| Ok((r.get::<_, String>(0)?, r.get::<_, i64>(1)?, r.get::<_, String>(2)?)))?;
        rows.map(|r| {
            let (origin, size, note) = r?;
            Ok(ClosedLog { origin, size: u64::try_from(size).map_err(|_| StoreError::Row("log size"))?, note })
        })
        .collect()
    }

    /// Closes the current log: whatever is appended from now on belongs to the next.
    ///
    /// # Errors
    /// [`StoreError`], also if a log of this origin is closed already.
    pub fn close_log(&mut self, log: &ClosedLog) -> Result<(), StoreError> {
        let sql = "INSERT INTO closed_log (origin, size, note) VALUES (?1, ?2, ?3)";
        self.0.execute(sql, params![log.origin, int(log.size)?, log.note])?;
        Ok(())
    }

    /// An envelope by its own digest.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn envelope(&self, envelope: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let mut q = self.0.prepare_cached("SELECT bytes FROM statement WHERE envelope = ?1")?;
        Ok(q.query_row([envelope.as_bytes()], |r| r.get(0)).optional()?)
    }

    /// An envelope by its payload's digest.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn statement(&self, payload: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let mut q = self.0.prepare_cached("SELECT bytes FROM statement WHERE payload = ?1 LIMIT 1")?;
        Ok(q.query_row([payload.as_bytes()], |r| r.get(0)).optional()?)
    }

    /// An attachment.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn attachment(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let mut q = self.0.prepare_cached("SELECT bytes FROM attachment WHERE digest = ?1")?;
        Ok(q.query_row([digest.as_bytes()], |r| r.get(0)).optional()?)
    }

    /// A sealed share with the name of its deposit's key file.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn share(&self, item: &ItemId) -> Result<Option<(KeyName, ShareRow)>, StoreError> {
        let sql = "SELECT k.name, s.sealed FROM share s JOIN deposit_key k ON k.deposit = s.deposit WHERE s.item = ?1";
        let mut q = self.0.prepare_cached(sql)?;
        let row =
            q.query_row([item.as_bytes()], |r| Ok((r.get::<_, Vec<u8>>(0)?, r.get::<_, Vec<u8>>(1)?))).optional()?;
        let Some((name, sealed)) = row else { return Ok(None) };
        let name = name.try_into().map_err(|_| StoreError::Row("deposit key name"))?;
        Ok(Some((name, ShareRow { item: *item, sealed })))
    }

    /// Names of all key files of deposits.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn deposit_keys(&self) -> Result<Vec<KeyName>, StoreError> {
        let mut q = self.0.prepare("SELECT name FROM deposit_key ORDER BY name")?;
        let rows = q.query_map([], |r| r.get::<_, Vec<u8>>(0))?;
        rows.map(|r| r?.try_into().map_err(|_| StoreError::Row("deposit key name"))).collect()
    }

    /// Writes the state after the last commit into a new file, durably, without what was deleted; others may write
    /// meanwhile.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn copy_to(&self, path: &Path) -> Result<(), StoreError> {
        let file = |e| StoreError::File(path.into(), e);
        // SQLite fills an empty file, and keeps its mode.
        let target = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(file)?;
        self.0.execute("VACUUM INTO ?1", [path.to_str().ok_or(StoreError::Row("a path that is not UTF-8"))?])?;
        target.sync_all().map_err(file)
    }

    /// Checks pages, indices and references, and that every statement and attachment is what its digest says.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn check_integrity(&self) -> Result<(), StoreError> {
        let said: String = self.0.query_row("PRAGMA integrity_check(1)", [], |r| r.get(0))?;
        let broken = self.0.prepare("PRAGMA foreign_key_check")?.exists([])?;
        if said != "ok" || broken {
            return Err(StoreError::Row("the database is damaged"));
        }
        for (table, name) in [("statement", "envelope"), ("attachment", "digest")] {
            let mut q = self.0.prepare(&format!("SELECT {name}, bytes FROM {table}"))?;
            let mut rows = q.query([])?;
            while let Some(row) = rows.next()? {
                let (digest, bytes): (Vec<u8>, Vec<u8>) = (row.get(0)?, row.get(1)?);
                if *Digest::of(&bytes).as_bytes() != digest[..] {
                    return Err(StoreError::Row("bytes under another digest than their own"));
                }
            }
        }
        Ok(())
    }

    /// All items with a share here.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn share_items(&self) -> Result<Vec<ItemId>, StoreError> {
        let mut q = self.0.prepare("SELECT item FROM share")?;
        let rows = q.query_map([], |r| r.get::<_, Vec<u8>>(0))?;
        rows.map(|r| r?.try_into().map(Digest).map_err(|_| StoreError::Row("item id"))).collect()
    }

    /// Replaces a sealed share row, as an operator with the key files can.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn replace_share(&mut self, row: &ShareRow) -> Result<(), StoreError> {
        self.0.execute("UPDATE share SET sealed = ?2 WHERE item = ?1", params![row.item.as_bytes(), row.sealed])?;
        Ok(())
    }

    /// Heads of other logs that this node cosigned.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn peers(&self) -> Result<Vec<(String, PeerHead)>, StoreError> {
        let mut q = self.0.prepare("SELECT origin, size, root, note FROM peer")?;
        let rows = q.query_map([], |r| {
            Ok((r.get::<_, String>(0)?, r.get::<_, i64>(1)?, r.get::<_, Vec<u8>>(2)?, r.get::<_, String>(3)?))
        })?;
        rows.map(|r| {
            let (origin, size, root, note) = r?;
            let size = u64::try_from(size).map_err(|_| StoreError::Row("peer size"))?;
            let root = root.try_into().map_err(|_| StoreError::Row("peer root"))?;
            Ok((origin, PeerHead { size, root, note }))
        })
        .collect()
    }

    /// The chain that the operator accepted, genesis first: envelope bytes.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn accepted_charters(&self) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut q = self.0.prepare("SELECT bytes FROM accepted_charter ORDER BY position")?;
        let rows = q.query_map([], |r| r.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Records the chain that the operator accepts; taken over when the node is READY.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn accept_charters(&mut self, chain: &[Vec<u8>]) -> Result<(), StoreError> {
        let tx = self.0.transaction()?;
        tx.execute("DELETE FROM accepted_charter", [])?;
        for (position, bytes) in (0i64..).zip(chain) {
            tx.execute("INSERT INTO accepted_charter (position, bytes) VALUES (?1, ?2)", params![position, bytes])?;
        }
        tx.commit()?;
        Ok(())
    }
}

fn writable(path: &Path) -> Result<Connection, StoreError> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let c = Connection::open_with_flags(path, flags)?;
    c.busy_timeout(std::time::Duration::from_secs(2))?;
    c.pragma_update(None, "journal_mode", "WAL")?;
    c.pragma_update(None, "synchronous", "FULL")?;
    c.pragma_update(None, "secure_delete", "ON")?;
    c.pragma_update(None, "trusted_schema", "OFF")?;
    c.pragma_update(None, "foreign_keys", "ON")?;
    Ok(c)
}

/// The schema that this program writes.
fn known() -> Result<u32, StoreError> {
    u32::try_from(STEPS.len()).map_err(|_| StoreError::Row("schema"))
}

fn version(c: &Connection) -> Result<u32, StoreError> {
    let (found, known) = (c.pragma_query_value(None, "user_version", |r| r.get(0))?, known()?);
    if found > known { Err(StoreError::Newer { found, known }) } else { Ok(found) }
}

/// Takes the steps that the database has not seen: all of them, or none.
fn migrate(c: &mut Connection) -> Result<(), StoreError> {
    let tx = c.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let found = version(&tx)?;
    for step in STEPS.iter().skip(usize::try_from(found).unwrap_or(usize::MAX)) {
        tx.execute_batch(step)?;
    }
    if found != known()? {
        tx.pragma_update(None, "user_version", known()?)?;
    }
    tx.commit()?;
    Ok(())
}

fn root_row((size, root): (i64, Vec<u8>)) -> Result<(u64, Hash), StoreError> {
    let root = root.try_into().map_err(|_| StoreError::Row("root"))?;
    Ok((u64::try_from(size).map_err(|_| StoreError::Row("root size"))?, root))
}

fn webhook(tx: &rusqlite::Transaction<'_>, change: &WebhookChange) -> Result<(), StoreError> {
    match change {
        WebhookChange::Add(w) => {
            tx.prepare_cached("INSERT INTO webhook (url, digest, body, expires, due) VALUES (?1, ?2, ?3, ?4, ?5)")?
                .execute(params![w.url, w.digest.as_bytes(), w.body, w.expires.millis(), w.due.millis()])?;
            let old = "SELECT id FROM webhook WHERE url = ?1 ORDER BY id DESC LIMIT -1 OFFSET ?2";
            let dropped = tx
                .prepare_cached(&format!("DELETE FROM webhook WHERE id IN ({old})"))?
                .execute(params![w.url, WEBHOOK_ROWS])?;
            if dropped > 0 {
                metrics::webhook("dropped");
                tracing::warn!(dropped, "a webhook takes nothing for long; its oldest notifications are dropped");
            }
        }
        WebhookChange::Later(id, due) => {
            tx.prepare_cached("UPDATE webhook SET due = ?2, attempts = attempts + 1 WHERE id = ?1")?
                .execute(params![id, due.millis()])?;
        }
        WebhookChange::Done(id) => {
            tx.prepare_cached("DELETE FROM webhook WHERE id = ?1")?.execute([id])?;
        }
        WebhookChange::Keep(urls) => {
            let mut known = tx.prepare("SELECT DISTINCT url FROM webhook")?;
            let known = known.query_map([], |r| r.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
            for gone in known.iter().filter(|k| !urls.contains(k)) {
                tx.execute("DELETE FROM webhook WHERE url = ?1", [gone])?;
            }
        }
    }
    Ok(())
}

fn int(n: u64) -> Result<i64, StoreError> {
    i64::try_from(n).map_err(|_| StoreError::Row("number above 2^63"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A database as it was before schemas had a number: no version, no `root_keeps`, one table more.
    fn old(path: &Path) -> Connection {
        let c = Connection::open(path).unwrap();
        let first = FIRST.lines().filter(|l| !l.contains("root_keeps")).collect::<Vec<_>>().join("\n");
        c.execute_batch(&first).unwrap();
        c.execute_batch("CREATE TABLE misbehaviour (id INTEGER PRIMARY KEY, origin TEXT); INSERT INTO root VALUES (1, zeroblob(32))")
            .unwrap();
        c
    }

    fn version_of(path: &Path) -> u32 {
        Connection::open(path).unwrap().pragma_query_value(None, "user_version", |r| r.get(0)).unwrap()
    }

    #[test]
    fn a_database_of_an_older_program_is_brought_up_to_date_and_keeps_its_rows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        drop(old(&path));
        assert!(matches!(Store::open_beside(&path), Err(StoreError::Older(0))), "not beside a running node");
        let store = Store::open(&path).unwrap();
        assert_eq!((version_of(&path), store.last_root().unwrap()), (known().unwrap(), Some((1, [0; 32]))));
        assert!(store.0.execute("DELETE FROM root", []).is_err(), "the step was taken");
        assert!(Store::open_beside(&path).is_ok());
    }

    #[test]
    fn steps_that_do_not_all_work_change_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        let c = old(&path);
        c.execute_batch(
            "DROP INDEX webhook_due; DROP TABLE webhook; CREATE VIEW webhook AS SELECT 1 AS x; DROP TABLE peer",
        )
        .unwrap();
        drop(c);
        assert!(Store::open(&path).is_err());
        assert_eq!(version_of(&path), 0);
        let peer = "SELECT count(*) FROM sqlite_schema WHERE name = 'peer'";
        let there: u32 = Connection::open(&path).unwrap().query_row(peer, [], |r| r.get(0)).unwrap();
        assert_eq!(there, 0, "half a step");
    }

    #[test]
    fn a_database_of_a_newer_program_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        drop(Store::open(&path).unwrap());
        let newer = known().unwrap() + 1;
        Connection::open(&path).unwrap().pragma_update(None, "user_version", newer).unwrap();
        for opened in [Store::open(&path), Store::open_beside(&path)] {
            let refused = opened.unwrap_err().to_string();
            assert!(refused.contains("newer escrow-node"), "{refused}");
        }
        assert_eq!(version_of(&path), newer);
    }
}
