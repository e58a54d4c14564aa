//! Durable appends through the real writer against raw SQLite: WAL, FULL, the same bytes in the same
//! batches, on the same disk, in turns. `make bench`.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)] // a measurement that fails has nothing to say

mod machine;

use escrow_audit::entry::{Chain, leaf_hash};
use escrow_core::{Digest, SeatIndex, Timestamp};
use escrow_node::engine::Engine;
use escrow_node::keys::SeatKeys;
use escrow_node::state::{Standing, State};
use escrow_node::store::Store;
use escrow_node::writer::{Surroundings, Writer};
use escrow_policy::Event;
use machine::{facts, folder, median, raw};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const ORIGIN: &str = "acme/1/log";
const ROUNDS: usize = 9;

fn clock() -> Timestamp {
    escrow_node::node::clock()
}

/// An event whose entry has about 500 bytes.
fn event(n: u64) -> Event {
    Event::Cosigned { origin: "o".repeat(190), size: n, root: Digest([7; 32]) }
}

/// Appends through the writer; how long until the last of them was acknowledged.
fn through_the_writer(file: &Path, keys: &Arc<SeatKeys>, callers: u64, each: u64) -> Duration {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (store, reader) = (Store::open(file).unwrap(), Store::open_reader(file).unwrap());
    let engine = Engine::new(SeatIndex::new(1).unwrap(), ORIGIN.into(), Arc::clone(keys));
    let around = Surroundings::new(clock, Arc::new(Standing::new(State::Ready)));
    let (writer, thread) =
        Writer::start(engine, store, reader, Chain::new(ORIGIN), around, |why| eprintln!("poisoned: {why}")).unwrap();
    let start = Instant::now();
    runtime.block_on(async {
        let work = (0..callers).map(|c| {
            let writer = writer.clone();
            tokio::spawn(async move {
                for n in 0..each {
                    let logged = writer.run(move |e| e.append(&event(c * each + n), None)).await.unwrap();
                    logged.transpose().unwrap();
                }
            })
        });
        for caller in work.collect::<Vec<_>>() {
            caller.await.unwrap();
        }
    });
    let took = start.elapsed();
    drop(writer);
    thread.join().unwrap();
    took
}

/// The batches that the writer made: for each, its entries.
fn batches(file: &Path) -> Vec<Vec<Vec<u8>>> {
    let store = Store::open_reader(file).unwrap();
    let mut from = 0;
    let roots = store.roots(0, u64::from(u32::MAX)).unwrap();
    let batch = |(size, _)| {
        let start = std::mem::replace(&mut from, size);
        store.entries(start, size - start).unwrap()
    };
    roots.into_iter().map(batch).collect()
}

fn main() {
    // `cargo test --all-targets` runs this too; nothing is measured then.
    if !std::env::args().any(|a| a == "--bench") {
        return;
    }
    facts();
    let keys = Arc::new(SeatKeys::generate().unwrap());
    for (callers, each) in [(1, 300), (32, 100), (128, 100)] {
        let (mut ours, mut theirs, mut ratios, mut per_batch, mut bytes) = (vec![], vec![], vec![], vec![], 0);
        for _ in 0..ROUNDS {
            let dir = folder();
            let took = through_the_writer(&dir.path().join("ours.db"), &keys, callers, each);
            let batches = batches(&dir.path().join("ours.db"));
            let rows = batches.iter().map(|b| b.iter().map(|bytes| (bytes.clone(), leaf_hash(bytes))).collect());
            let rows: Vec<Vec<_>> = rows.collect();
            let raw = raw(&dir.path().join("raw.db"), &rows);
            let n = (callers * each) as f64;
            bytes = batches.iter().flatten().map(Vec::len).sum::<usize>() / (callers * each) as usize;
            ours.push(n / took.as_secs_f64());
            theirs.push(n / raw.as_secs_f64());
            ratios.push(raw.as_secs_f64() / took.as_secs_f64());
            per_batch.push(n / batches.len() as f64);
        }
        println!(
            "append callers={callers} entries={} bytes_each={bytes} batch={:.1} ours={:.0}/s raw={:.0}/s ratio={:.2} (median of {ROUNDS}; {:.2} to {:.2})",
            callers * each,
            median(&mut per_batch),
            median(&mut ours),
            median(&mut theirs),
            median(&mut ratios),
            ratios.first().unwrap(),
            ratios.last().unwrap(),
        );
    }
}
