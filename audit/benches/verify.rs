//! How fast and in how much memory the bytes of a long log are verified: every entry canonical, chained,
//! in the tree, under a signed checkpoint. Next to it, in turn, plain SHA-256 of the same file read the
//! same way, both in processor time. `cargo bench -p escrow-audit --bench verify -- [ENTRIES]`, a million unless said otherwise.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use ed25519_dalek::SigningKey;
use escrow_audit::bundle::{Folder, LogRef, checkpoint_path, entries_path};
use escrow_audit::checkpoint::Checkpoint;
use escrow_audit::entry::{Chain, StatementRef, leaf_hash};
use escrow_audit::files::Files;
use escrow_audit::note::{NoteSigner, VerifierKey};
use escrow_audit::verify::log_bytes;
use escrow_core::SeatIndex;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::hint::black_box;
use std::io::{BufWriter, Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

const PAIRS: usize = 7;

fn main() {
    // `cargo test --all-targets` runs this too; nothing is measured then.
    if !std::env::args().any(|a| a == "--bench") {
        return;
    }
    let entries = std::env::args().skip(1).find_map(|a| a.parse().ok()).unwrap_or(1_000_000u64);
    let root = std::env::temp_dir().join(format!("escrow-bench-{}", std::process::id()));
    let (log, key, others, bytes) = write(&root, entries);
    let folder = Folder::open(&root).unwrap();
    let before = high_water();
    let (path, note) = (entries_path(log.seat, log.number), checkpoint_path(log.seat, log.number));

    let plain = || {
        let (mut hash, mut from, mut buffer) = (Sha256::new(), folder.open(&path).unwrap(), vec![0; 256 * 1024]);
        while let n @ 1.. = from.read(&mut buffer).unwrap() {
            hash.update(&buffer[..n]);
        }
        black_box(hash.finalize());
    };
    let others: Vec<&str> = others.iter().map(String::as_str).collect();
    let ours = || {
        let (size, root) = log_bytes(&folder, &log, &others).unwrap();
        let note = folder.read(&note, 65_536).unwrap().unwrap();
        let head = Checkpoint::verify(&note, &log.origin, &key).unwrap();
        assert_eq!((head.size(), *head.root()), (size, root));
    };
    let time = |run: &dyn Fn()| {
        let start = used();
        run();
        used().saturating_sub(start)
    };
    plain(); // the file into the cache
    let mut pairs: Vec<(f64, Duration, Duration)> = (0..PAIRS)
        .map(|_| {
            let (sha, verified) = (time(&plain), time(&ours));
            (sha.as_secs_f64() / verified.as_secs_f64(), sha, verified)
        })
        .collect();
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (ratio, sha, verified) = pairs[PAIRS / 2];
    let (low, high) = (pairs[0].0, pairs[PAIRS - 1].0);
    let mib = |kib: u64| kib as f64 / 1024.0;
    println!("{entries} entries, {} bytes on average, {PAIRS} pairs, one core", bytes / entries);
    println!("SHA-256 {sha:?}, verification {verified:?}: ratio {ratio:.2} (from {low:.2} to {high:.2})");
    println!("peak memory {:.1} MiB, of which {:.1} MiB before verifying", mib(high_water()), mib(before));
    fs::remove_dir_all(&root).unwrap();
}

/// A log as a node writes it: mostly cosigned heads and refusals, some statements, a few releases. Names
/// are long, so that an entry has about 500 bytes.
fn write(root: &Path, entries: u64) -> (LogRef, VerifierKey, Vec<String>, u64) {
    let seat = SeatIndex::new(1).unwrap();
    let org = format!("{}.example", ["department"; 7].join("-of-the-"));
    let origin = |seat: u64| format!("{org}/{seat}/log");
    let log = LogRef { seat, number: 1, origin: origin(1), size: entries };
    let at = |path: String| root.join(path);
    fs::create_dir_all(at(entries_path(seat, 1)).parent().unwrap()).unwrap();
    let mut out = BufWriter::new(fs::File::create(at(entries_path(seat, 1))).unwrap());
    let mut chain = Chain::new(&log.origin);
    let mut bytes = 0;
    for seq in 0..entries {
        let digest = |n: u64| leaf_hash(&(seq * 8 + n).to_be_bytes());
        let text = |n: u64| hex::encode(digest(n));
        let statement = Some(StatementRef { stmt: digest(0), env: digest(1) });
        let (kind, statement, body) = match seq % 100 {
            0 => {
                let permits = [text(2), text(3)];
                let body = json!({"answers": permits, "decisions": [text(4)], "event": "authorized",
                    "permits": permits, "request": text(5)});
                ("release.authorized", statement, body)
            }
            1..15 => ("request", statement, json!({"event": "statement"})),
            15..60 => {
                let body = json!({"event": "cosigned", "origin": origin(2 + seq % 4), "root": text(0), "size": seq});
                ("witness.cosigned", None, body)
            }
            _ => {
                let body = json!({"event": "refused", "kind": "request", "rule": "role", "statement": text(0)});
                ("refused", None, body)
            }
        };
        let Value::Object(body) = body else { continue };
        let body: Map<String, Value> = body;
        let line = chain.draft(1_795_253_400_000 + seq, kind, statement, body).encode().unwrap();
        chain.push(&line).unwrap();
        bytes += line.len() as u64;
        out.write_all(&line).and_then(|()| out.write_all(b"\n")).unwrap();
    }
    out.flush().unwrap();
    let secret = SigningKey::from_bytes(&[7; 32]);
    let signer = NoteSigner::new(&log.origin, &secret).unwrap();
    let head = Checkpoint::new(&log.origin, entries, chain.root()).unwrap().sign(&signer).unwrap();
    fs::write(at(checkpoint_path(seat, 1)), head.to_bytes()).unwrap();
    (log, signer.verifier().clone(), (2..6).map(origin).collect(), bytes)
}

/// Processor time of this thread, which a busy machine does not change much.
fn used() -> Duration {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split_whitespace().next().unwrap().parse().unwrap())
}

/// Most memory this process ever had resident, KiB.
fn high_water() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0)
}
