//! Nodes that are killed, stopped and restored from yesterday's copy, with real processes and a
//! real disk: what was acknowledged stays, no log ever tells two stories, and a node that is
//! behind what it once signed says so and stays silent.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)] // a test that panics has failed

use escrow_audit::checkpoint::{Checkpoint, VerifiedCheckpoint};
use escrow_audit::proof::TlogProof;
use escrow_audit::seat::log_verifier;
use escrow_audit::tree::{Tree, leaf_hash};
use escrow_client::export::Scope as ExportScope;
use escrow_client::{Client, FlushOptions, Flushed, Outbox, SealedDeposit, Wanted, open_replies};
use escrow_core::deal::About;
use escrow_core::query::Question;
use escrow_core::receipt::Receipt;
use escrow_core::request::Scope;
use escrow_core::view::View;
use escrow_core::wire::{DepositBody, ItemInfo, ViewsAnswer};
use escrow_core::{Blob, Digest, Envelope, ItemId, Nonce, ThreadKey};
use escrow_node::store::Store;
use escrow_node::vault::Vault;
use escrow_tests::cluster::{at, body, call, copy_dir, item_ids, permits};
use escrow_tests::raw::Raw;
use escrow_tests::{Escrow, Options, Subject, code_of, seat};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

const ALL: [u8; 5] = [1, 2, 3, 4, 5];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_five_killed_at_once_come_back_unaided() {
    let mut escrow = Escrow::start().await;
    let subject = escrow.subject("maria").await;
    escrow.deposit(&subject, (0..3).map(|d| (escrow.about(&subject, "t", d), ThreadKey::generate())).collect()).await;
    escrow.open_matter().await;
    let request = escrow.approved(escrow.ask(&["t"], 0, 3)).await;
    for round in 0..2 {
        let before = sizes(&escrow).await;
        escrow.kill(&ALL);
        for n in ALL {
            assert!(escrow.node(n).status().await.is_err(), "node {n} survived kill -9");
        }
        escrow.cluster.start_all().unwrap();
        escrow.ready().await;
        for (n, size) in sizes(&escrow).await {
            assert!(size > before[&n], "node {n} has {size} entries after restart {round}, {} before", before[&n]);
        }
    }
    let collected = escrow.officer("erik").collect(&request, Wanted::All).await.unwrap();
    assert_eq!(collected.outcomes.count(), 5, "{}", collected.outcomes);
}

async fn sizes(escrow: &Escrow) -> BTreeMap<u8, u64> {
    let mut out = BTreeMap::new();
    for n in ALL {
        out.insert(n, escrow.node(n).status().await.unwrap().size);
    }
    out
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_stops_cleanly_and_leaves_a_whole_database() {
    let mut escrow = Escrow::start().await;
    let subject = escrow.subject("maria").await;
    escrow.deposit(&subject, vec![(escrow.about(&subject, "t", 0), ThreadKey::generate())]).await;
    let running = sizes(&escrow).await;
    for n in ALL {
        let ended = escrow.cluster.stop(n).unwrap().unwrap();
        assert_eq!(ended.code(), Some(0), "node {n}: {ended}; {}", last_lines(&escrow, n));
        // The one file alone: no log of SQLite is needed to read what was acknowledged.
        let config = escrow.config(n);
        let copy = escrow.dir().join(format!("copy-{n}.db"));
        std::fs::copy(config.database(), &copy).unwrap();
        let size = Store::open(&copy).unwrap().last_root().unwrap().map_or(0, |(size, _)| size);
        assert!(
            size >= running[&n],
            "node {n}: {size} of {} entries are in the file; {}",
            running[&n],
            last_lines(&escrow, n)
        );
        for left in ["node.db-wal", "node.db-shm"] {
            let path: PathBuf = config.data_dir.join(left);
            assert!(!path.exists(), "node {n} leaves {left}, {} bytes", path.metadata().map_or(0, |m| m.len()));
        }
    }
    escrow.cluster.start_all().unwrap();
    escrow.ready().await;
    for (n, size) in sizes(&escrow).await {
        assert!(size > running[&n], "node {n}");
    }
}

fn last_lines(escrow: &Escrow, n: u8) -> String {
    let log = escrow.cluster.members().iter().find(|m| m.seat.index == seat(n)).unwrap().log();
    let text = std::fs::read_to_string(log).unwrap_or_default();
    text.lines().rev().take(5).collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_25_all_files_of_yesterday_restored_together_are_found_out_and_sign_nothing() {
    let mut escrow = Escrow::start().await;
    let subject = escrow.subject("maria").await;
    escrow.deposit(&subject, vec![(escrow.about(&subject, "t", 0), ThreadKey::generate())]).await;
    escrow.cluster.stop(3).unwrap();
    let data = escrow.config(3).data_dir;
    let yesterday = escrow.dir().join("yesterday");
    copy_dir(&data, &yesterday);
    escrow.cluster.start(3).unwrap();
    escrow.ready().await;

    // Today goes on, and the others countersign node 3's log.
    escrow.open_matter().await;
    let request = escrow.approved(escrow.ask(&["t"], 0, 1)).await;
    let before = escrow.verdicts(&request.digest).await;
    let views: ViewsAnswer = escrow.client.ask(escrow.node(3), Question::Views(Nonce::random())).await.unwrap();
    assert!(!views.views.is_empty());
    escrow.kill(&[3]);
    std::fs::remove_dir_all(&data).unwrap();
    copy_dir(&yesterday, &data);
    escrow.cluster.start(3).unwrap();

    let reason = escrow.state(3, "ROLLBACK").await;
    assert!(reason.contains("backup"), "it does not say why: {reason}");
    let way_out = escrow.node(3).status().await.unwrap().way_out;
    assert!(way_out.contains("escrow-node new-log"), "it does not say the way out: {way_out}");
    let raw = Raw::new(escrow.listed(3));
    let readyz = raw.get("/readyz").await;
    assert_eq!(readyz.status, 503);
    assert!(readyz.text().starts_with("ROLLBACK ") && readyz.text().contains(&reason), "{}", readyz.text());
    assert_eq!(raw.get("/healthz").await.status, 200, "it lives");

    // It signs nothing: no receipt, no verdict, no answer, no reply, no cosignature, no entry.
    let node = escrow.node(3);
    let size = node.status().await.unwrap().size;
    let statement = escrow.decision("lena", "legal", &request.digest, escrow_core::decision::Choice::Deny);
    assert_eq!(code_of(&node.statement(&statement).await), "not-ready");
    assert_eq!(code_of(&node.statement(&request.envelope).await), "not-ready", "not even a receipt of before");
    let item = vec![(escrow.about(&subject, "u", 0), ThreadKey::generate())];
    let sealed = subject.client.seal_deposits((&subject.consent.0, &subject.consent.1), item).unwrap();
    let blob = sealed[0].blobs.iter().find(|(s, _)| *s == seat(3)).unwrap().1.clone();
    let deposit = DepositBody { deposit: Blob(sealed[0].envelope.clone()), blob: Blob(blob) };
    assert_eq!(code_of(&node.deposit(&deposit).await), "not-ready");
    assert_eq!(code_of(&escrow.client.verdict(node, &request.digest).await), "not-ready");
    let views = escrow.client.ask::<ViewsAnswer>(node, Question::Views(Nonce::random())).await;
    assert_eq!(code_of(&views), "not-ready");
    let call = call(&escrow.client, &request.digest);
    let outcome = node.release(&body(&call, &request, &permits(&before, &[1, 2]))).await;
    assert_eq!(code_of(&outcome), "not-ready");
    let two = escrow_node::peers::Peers::new(&escrow.seat_keys(2).0).unwrap();
    let witnessed = two.witnessed(escrow.listed(3), &escrow.listed(2).log_origin).await;
    assert!(matches!(witnessed, Err(escrow_node::peers::PeerError::Status(_, 503))), "{witnessed:?}");
    let cosigned =
        Raw::new(escrow.listed(3)).send("POST", "/v1/peer/add-checkpoint", "text/plain", b"old 0\n".to_vec()).await;
    assert_eq!(cosigned.problem().map(|p| p.code), Some("not-ready".into()), "{}", cosigned.text());
    assert_eq!(node.status().await.unwrap().size, size, "it appended");

    // The others do not need it.
    let collected = escrow.officer("erik").collect(&request, Wanted::Enough).await.unwrap();
    assert!(collected.outcomes.good().count() >= 3, "{}", collected.outcomes);
    let erik = escrow.cast.get("erik").unwrap();
    let opened = open_replies(escrow.charters(), &collected.replies, erik.sealing().unwrap()).unwrap();
    assert_eq!(opened.keys.len(), 1);
    // A restart is no way out.
    escrow.kill(&[3]);
    escrow.cluster.start(3).unwrap();
    escrow.state(3, "ROLLBACK").await;
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        // Knuth's MMIX generator.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    async fn pause(&mut self, most: u64) {
        tokio::time::sleep(Duration::from_millis(self.below(most))).await;
    }
}

const ITEMS: u64 = 2_000;
const THREADS: u64 = 8;
const DEPOSITS: u64 = ITEMS.div_ceil(64);
const ROUNDS: usize = 5;
/// Deposits that go out in one round.
const WAVE: usize = 6;

/// Key number i, recognisable when it comes back.
fn key(i: u64) -> ThreadKey {
    ThreadKey::from_bytes(Zeroizing::new(Digest::of(&i.to_be_bytes()).0))
}

fn abouts(escrow: &Escrow, subject: &Subject) -> Vec<About> {
    (0..ITEMS).map(|i| escrow.about(subject, &format!("thread-{}", i % THREADS), i / THREADS)).collect()
}

/// Every head of a log that anybody has been shown, by origin.
type Heads = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// Asks every node for its views, and keeps the notes. Whoever is down is not heard.
async fn look_around(client: &Client, heads: &Heads) {
    let answers = client.ask_all::<ViewsAnswer>(Question::Views(Nonce::random())).await;
    let mut heads = heads.lock().unwrap();
    for (n, answer) in answers.good() {
        let listed = client.charters().seat(n).unwrap();
        heads.push((listed.log_origin.clone(), answer.checkpoint.clone().into_bytes()));
        for view in &answer.views {
            let view: View = Envelope::parse(&view.0).unwrap().decode().unwrap();
            heads.extend(view.note.map(|note| (view.log.clone(), note.into_bytes())));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_deposits_survive_nodes_that_are_killed_and_restarted() {
    // One year holds the 250 days of each thread.
    let mut escrow = Escrow::start_with(Options::default()).await;
    let subject = escrow.subject("maria").await;
    let consent = subject.consent.clone();
    let abouts = abouts(&escrow, &subject);
    let sealing = {
        let (client, abouts) = (subject.client.clone(), abouts.clone());
        move || {
            client
                .seal_deposits((&consent.0, &consent.1), (0..).zip(abouts).map(|(i, a)| (a, key(i))).collect())
                .unwrap()
        }
    };
    let sealed = tokio::task::spawn_blocking(sealing).await.unwrap();
    assert_eq!(sealed.len() as u64, DEPOSITS);
    let items: BTreeMap<Digest, Vec<ItemId>> = sealed.iter().map(|d| (d.digest, item_ids(&d.envelope))).collect();
    let keys: BTreeMap<ItemId, u64> = sealed.iter().flat_map(|d| item_ids(&d.envelope)).zip(0..).collect();
    let outbox = Arc::new(Outbox::open(&escrow.dir().join("outbox.db")).unwrap());

    let heads = Heads::default();
    let sender = Arc::new(Sender::default());
    let sending = tokio::spawn(send_all(subject.client.clone(), Arc::clone(&outbox), Arc::clone(&sender)));
    let (waves, rest) = sealed.split_at(ROUNDS * WAVE);
    kill_and_restart(&mut escrow, waves, &outbox, &sender, &heads).await;
    outbox.put(rest).unwrap();
    sender.everything_is_in.store(true, Ordering::Relaxed);
    escrow.ready().await;
    let flushed = sending.await.unwrap();
    assert!(flushed.complete(), "{:?}", flushed.failures);
    look_around(&escrow.client, &heads).await;

    releasable(&escrow, &keys).await;
    every_item_is_where_it_was_acknowledged(&escrow, &outbox, &items).await;

    let exported = escrow.client.export(&ExportScope::Everything).await.unwrap();
    assert!(exported.left_out.is_empty(), "{:?}", exported.left_out);
    let report = escrow_audit::verify::verify(&exported.bundle.files, &escrow.charters().genesis());
    assert_eq!(report.exit_code(), 0, "{:?}", report.findings);
    one_root_for_every_size(&mut escrow, &outbox, &items, &heads).await;
}

/// What the sender has done, and whether more is coming.
#[derive(Default)]
struct Sender {
    acknowledged: AtomicU64,
    everything_is_in: AtomicBool,
}

/// Sends until every node has everything. A node that is down is asked again later.
async fn send_all(client: Client, outbox: Arc<Outbox>, sender: Arc<Sender>) -> Flushed {
    let options = FlushOptions { attempts: 2, concurrency: 2, backoff: Duration::from_millis(200) };
    let until = Instant::now() + Duration::from_secs(300);
    loop {
        let last = sender.everything_is_in.load(Ordering::Relaxed);
        let counted = Arc::clone(&sender);
        let told = Arc::new(move |_, _| {
            counted.acknowledged.fetch_add(1, Ordering::Relaxed);
        });
        let flushed = client.flush(Arc::clone(&outbox), options, told).await.unwrap();
        if (last && flushed.complete()) || Instant::now() > until {
            return flushed;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// In each round a wave of deposits goes out, and nodes 2 and 4 are killed after some of its
/// receipts have come in: not more than the other three nodes can give.
async fn kill_and_restart(
    escrow: &mut Escrow,
    waves: &[SealedDeposit],
    outbox: &Outbox,
    sender: &Sender,
    heads: &Heads,
) {
    let mut dice = Dice(20_260_302);
    let mut cut_short = 0;
    for (round, wave) in waves.chunks(WAVE).enumerate() {
        let acknowledged = || sender.acknowledged.load(Ordering::Relaxed);
        let enough = acknowledged() + 1 + dice.below(3 * WAVE as u64 - 1);
        outbox.put(wave).unwrap();
        let until = Instant::now() + Duration::from_secs(120);
        while acknowledged() < enough {
            assert!(Instant::now() < until, "{} of {enough} receipts in round {round}", acknowledged());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let victims = if dice.below(2) == 0 { [2, 4] } else { [4, 2] };
        escrow.kill(&victims[..1]);
        cut_short += usize::from(!outbox.pending().unwrap().is_empty());
        dice.pause(300).await;
        escrow.kill(&victims[1..]);
        look_around(&escrow.client, heads).await;
        dice.pause(400).await;
        escrow.cluster.start_all().unwrap();
        // Sometimes the next blow comes while they still prove their logs.
        if dice.below(2) == 0 {
            escrow.ready().await;
            look_around(&escrow.client, heads).await;
        }
    }
    assert!(cut_short > 0, "no node was killed while deposits were under way");
}

/// All items of one thread, and one day of every other.
async fn releasable(escrow: &Escrow, keys: &BTreeMap<ItemId, u64>) {
    escrow.open_matter().await;
    let threads: Vec<String> = (1..THREADS).map(|t| format!("thread-{t}")).collect();
    let threads: Vec<&str> = threads.iter().map(String::as_str).collect();
    let day = 7 * ITEMS / THREADS / 10;
    for (ask, count) in
        [(escrow.ask(&["thread-0"], 0, 365), ITEMS / THREADS), (escrow.ask(&threads, day, day + 1), THREADS - 1)]
    {
        let request = escrow.approved(ask).await;
        assert_eq!(request.request.items.len() as u64, count);
        let erik = escrow.officer("erik");
        let collected = erik.collect(&request, Wanted::All).await.unwrap();
        assert_eq!((collected.outcomes.count(), collected.culprits.len()), (5, 0), "{}", collected.outcomes);
        let opened = open_replies(escrow.charters(), &collected.replies, erik.identity().sealing().unwrap()).unwrap();
        assert_eq!((opened.keys.len() as u64, opened.failed.len()), (count, 0), "{:?}", opened.failed);
        for k in &opened.keys {
            assert_eq!(k.key.expose(), key(keys[&k.item]).expose(), "item {} opens to another key", k.item);
        }
    }
}

/// Of every receipt in the outbox: the node lists the items, and its vault opens each share.
async fn every_item_is_where_it_was_acknowledged(
    escrow: &Escrow,
    outbox: &Outbox,
    items: &BTreeMap<Digest, Vec<ItemId>>,
) {
    let mut threads: Vec<_> = (0..THREADS).map(|t| escrow.tokens.thread(&format!("thread-{t}"))).collect();
    threads.sort();
    let scope = Scope { threads, from: at(0), to: at(365) };
    for n in ALL {
        let acknowledged: BTreeSet<ItemId> = outbox
            .progress()
            .unwrap()
            .iter()
            .filter(|p| p.receipts.contains(&seat(n)))
            .flat_map(|p| items[&p.deposit].iter().copied())
            .collect();
        assert_eq!(acknowledged.len() as u64, ITEMS, "the outbox is complete");
        let listed: Vec<ItemInfo> = escrow.client.ask(escrow.node(n), Question::Items(scope.clone())).await.unwrap();
        let listed: BTreeSet<ItemId> = listed.iter().map(|i| i.item).collect();
        assert_eq!(listed, acknowledged, "node {n}");

        let config = escrow.config(n);
        let vault = Vault::new(config.deposit_keys(), escrow.seat_keys(n).1, seat(n));
        let store = Store::open_reader(&config.database()).unwrap();
        for item in &acknowledged {
            let (name, row) = store.share(item).unwrap().unwrap_or_else(|| panic!("node {n} has lost item {item}"));
            vault.open(&name, 1, &row).unwrap_or_else(|e| panic!("node {n}, item {item}: {e}"));
        }
    }
}

/// Every checkpoint that anybody was ever shown lies on the one tree of its log: those under
/// receipts, those in views, those that the node itself and its witnesses have on disk.
async fn one_root_for_every_size(
    escrow: &mut Escrow,
    outbox: &Outbox,
    items: &BTreeMap<Digest, Vec<ItemId>>,
    heads: &Heads,
) {
    let mut trees: BTreeMap<String, Tree> = BTreeMap::new();
    for n in ALL {
        let ended = escrow.cluster.stop(n).unwrap().unwrap();
        assert_eq!(ended.code(), Some(0), "node {n}: {ended}");
    }
    for n in ALL {
        let store = Store::open_reader(&escrow.config(n).database()).unwrap();
        let entries = store.entries(0, 1_000_000).unwrap();
        trees.insert(escrow.listed(n).log_origin.clone(), entries.iter().map(|e| leaf_hash(e)).collect());
    }
    let mut seen: BTreeMap<(String, u64), [u8; 32]> = BTreeMap::new();
    let mut count = 0;
    let mut one = |escrow: &Escrow, origin: &str, note: &[u8], from: &str| {
        let listed = escrow.charters().current().seats.iter().find(|s| s.log_origin == origin).unwrap();
        let head: VerifiedCheckpoint = Checkpoint::verify(note, origin, &log_verifier(listed).unwrap())
            .unwrap_or_else(|e| panic!("{from}: {origin}: {e}"));
        let root = *head.root();
        assert_eq!(
            *seen.entry((origin.to_owned(), head.size())).or_insert(root),
            root,
            "two roots of {origin}, {}",
            head.size()
        );
        let tree = trees[origin].root_at(head.size());
        assert_eq!(tree, Some(root), "{from}: {origin} at {} is not on the tree", head.size());
        count += 1;
    };
    for deposit in items.keys() {
        for (n, receipt, proof) in outbox.receipts(deposit).unwrap() {
            let receipt: Receipt = Envelope::parse(&receipt).unwrap().decode().unwrap();
            let origin = escrow.listed(n.get()).log_origin.clone();
            assert_eq!(receipt.log, origin);
            let proof = TlogProof::parse(proof.as_bytes()).unwrap();
            one(escrow, &origin, &proof.checkpoint.to_bytes(), "receipt");
            assert_eq!(receipt.statement, *deposit);
        }
    }
    for (origin, note) in heads.lock().unwrap().iter() {
        one(escrow, origin, note, "view");
    }
    for n in ALL {
        let store = Store::open_reader(&escrow.config(n).database()).unwrap();
        for (origin, head) in store.peers().unwrap() {
            one(escrow, &origin, head.note.as_bytes(), "witness");
        }
    }
    assert!(count > 5 * DEPOSITS, "only {count} checkpoints were looked at");
    for deposit in items.keys() {
        for (n, receipt, _) in outbox.receipts(deposit).unwrap() {
            let receipt: Receipt = Envelope::parse(&receipt).unwrap().decode().unwrap();
            let tree = &trees[&escrow.listed(n.get()).log_origin];
            assert_eq!(
                tree.leaf(receipt.seq).map(Digest),
                Some(receipt.leaf),
                "node {n} has lost the entry of a receipt"
            );
        }
    }
    for n in ALL {
        let db = rusqlite::Connection::open(escrow.config(n).database()).unwrap();
        let accusing = r#"SELECT count(*) FROM entry WHERE instr(CAST(bytes AS TEXT), '"type":"misbehaviour"') > 0"#;
        let forks: i64 = db.query_row(accusing, [], |r| r.get(0)).unwrap();
        assert_eq!(forks, 0, "node {n} has seen a fork");
        let mut query = db.prepare("SELECT size, root FROM root").unwrap();
        let roots =
            query.query_map([], |r| Ok((r.get::<_, i64>(0)?.unsigned_abs(), r.get::<_, [u8; 32]>(1)?))).unwrap();
        let tree = &trees[&escrow.listed(n).log_origin];
        let mut compared = 0;
        for (size, root) in roots.map(Result::unwrap) {
            assert_eq!(tree.root_at(size), Some(root), "node {n} recorded another root for {size}");
            compared += 1;
        }
        assert!(compared > 10, "node {n} recorded {compared} roots");
    }
}
