//! How fast and in how much memory messages become a production: sealed, then told as RSMF, in one process for
//! each size, so that the high-water marks can be compared.
//! `cargo bench -p escrow-client --bench production -- [MESSAGES] [THREADS]`, 100,000 in 50 unless said otherwise.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)] // a measurement that fails has nothing to say

use escrow_client::archive::{Directory, SealOptions, seal};
use escrow_client::production::{About, Evidence, Format, Order, Selection, Source, produce};
use escrow_client::{ReleasedItem, Zone};
use escrow_core::{Digest, Org, ThreadKey, Timestamp, TokenKey};
use std::fmt::Write as _;
use std::fs;
use std::time::Instant;
use zeroize::Zeroizing;

fn main() {
    // `cargo test --all-targets` runs this too; nothing is measured then.
    if !std::env::args().any(|a| a == "--bench") {
        return;
    }
    let mut numbers = std::env::args().skip(1).filter_map(|a| a.parse::<u64>().ok());
    let (messages, threads) = (numbers.next().unwrap_or(100_000), numbers.next().unwrap_or(50));
    let dir = tempfile::tempdir().unwrap();
    let org: Org = "acme.example".parse().unwrap();
    let tokens = TokenKey::from_bytes(1, Zeroizing::new([7; 32]));
    let input = dir.path().join("messages.jsonl");
    fs::write(&input, lines(messages, threads)).unwrap();
    let target = dir.path().join("archive");
    let options = SealOptions { dir: &target, org: &org, tokens: &tokens, era: 0, inside: &|_| true };
    let archive = seal(fs::File::open(&input).unwrap(), &options).unwrap();
    let mut directory = Directory::new(org.clone());
    directory.add_archive(&archive).unwrap();
    let (from, to, zone) = (Timestamp::EPOCH, Timestamp::MAX, Zone::utc());
    let selection = Selection { from, to, context_messages: 0, context_hours: 0, zone };
    let items = (0u64..).zip(&archive.segments).map(|(n, s)| {
        let item = Digest::of(&n.to_be_bytes());
        let key = ThreadKey::from_bytes(Zeroizing::new(*s.key.expose()));
        (ReleasedItem { item, about: s.about.clone(), depositor: tokens.subject("0-0") }, Ok(key))
    });
    let about = About {
        archive: &target,
        org: &org,
        tokens: Some(&tokens),
        directory: &directory,
        release: Digest([3; 32]),
        matter: "MAT-1".parse().unwrap(),
        recipient: None,
        selection: selection.clone(),
    };
    let source = Source::new(about, items.collect());
    let evidence =
        Evidence { digest: Digest([4; 32]), verdict: "OK", entries: vec![], html: b"-".to_vec(), json: b"{}".to_vec() };
    let out = dir.path().join("production");
    let order = Order { source: &source, selection: &selection, evidence: &evidence, format: Format::Rsmf, out: &out };
    let before = high_water();
    let start = Instant::now();
    let produced = produce(&order, &|_, _| {}).unwrap();
    let took = start.elapsed();
    println!(
        "{} messages of {threads} threads in {} segments: {} files in {took:?}, {:.0} messages a second; peak memory {:.1} MiB, of which {:.1} MiB before",
        produced.messages,
        archive.segments.len(),
        produced.files,
        produced.messages as f64 / took.as_secs_f64(),
        high_water() as f64 / 1024.0,
        before as f64 / 1024.0
    );
}

/// Threads side by side, a message a minute in each.
fn lines(messages: u64, threads: u64) -> String {
    let mut out = String::new();
    for n in 0..messages {
        let (thread, number) = (n % threads, n / threads);
        let at = Timestamp::from_millis(1_790_000_000_000).plus_seconds(60 * i64::try_from(number).unwrap());
        let _ = writeln!(
            out,
            r#"{{"thread":"thread-{thread}","message_id":"{thread}-{number}","sender":"{thread}-{}","sent_at":"{at}","text":"message {number} of a conversation of two people who have much to say to each other \ud83d\ude00"}}"#,
            number % 2
        );
    }
    out
}

/// Most memory this process ever had resident, KiB.
fn high_water() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0)
}
