//! What both measurements need: facts of the machine, a folder on its disk, raw SQLite, medians.

use rusqlite::{Connection, params};
use std::path::Path;
use std::time::{Duration, Instant};

/// Prints what the numbers depend on.
pub(crate) fn facts() {
    let read = |path: &str, key: &str| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find_map(|l| l.strip_prefix(key).map(|v| v.trim_matches([' ', '\t', ':']).to_owned()));
        line.unwrap_or_else(|| "unknown".into())
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!(
        "machine cpu=\"{}\" cores={cores} memory=\"{}\" load=\"{}\" sqlite={}",
        read("/proc/cpuinfo", "model name"),
        read("/proc/meminfo", "MemTotal"),
        std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim(),
        rusqlite::version(),
    );
}

/// A folder beside the build, not on a file system in memory.
pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder for measurements")
}

/// Sorts, and gives the middle.
pub(crate) fn median(of: &mut [f64]) -> f64 {
    of.sort_by(f64::total_cmp);
    of.get(of.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Commits rows (bytes, leaf) batch by batch, as little as a log on SQLite can do.
pub(crate) fn raw(file: &Path, batches: &[Vec<(Vec<u8>, [u8; 32])>]) -> Duration {
    let mut c = open(file);
    let start = Instant::now();
    let mut seq = 0i64;
    for batch in batches {
        let tx = c.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
        for (bytes, leaf) in batch {
            tx.prepare_cached("INSERT INTO entry (seq, bytes, leaf) VALUES (?1, ?2, ?3)")
                .unwrap()
                .execute(params![seq, bytes, leaf.as_slice()])
                .unwrap();
            seq += 1;
        }
        tx.prepare_cached("INSERT INTO root (size, root) VALUES (?1, ?2)")
            .unwrap()
            .execute(params![seq, [0u8; 32].as_slice()])
            .unwrap();
        tx.commit().unwrap();
    }
    start.elapsed()
}

fn open(file: &Path) -> Connection {
    let c = Connection::open(file).unwrap();
    c.pragma_update(None, "journal_mode", "WAL").unwrap();
    c.pragma_update(None, "synchronous", "FULL").unwrap();
    c.execute_batch(
        "CREATE TABLE entry (seq INTEGER PRIMARY KEY, bytes BLOB NOT NULL, leaf BLOB NOT NULL) STRICT;
         CREATE TABLE root (size INTEGER PRIMARY KEY, root BLOB NOT NULL) STRICT;",
    )
    .unwrap();
    c
}
