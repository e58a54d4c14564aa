//! The log as whoever follows it meets it: tiles for a stock client, `escrow audit watch` over honest nodes and
//! over one that lies with its real keys, and a witness on an auditor's machine.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)] // a test that panics has failed

use escrow_audit::checkpoint::{Checkpoint, VerifiedCheckpoint};
use escrow_audit::note::VerifierKey;
use escrow_audit::proof::TlogProof;
use escrow_audit::seat::{log_verifier, witness_verifier};
use escrow_audit::tree::{Hash, Tree, leaf_hash, node_hash};
use escrow_audit::verify::{Options as VerifyOptions, verify_with};
use escrow_client::export::Scope;
use escrow_client::now;
use escrow_client::watch::{Alarm, Heads, Look, Watch};
use escrow_core::Digest;
use escrow_core::charter::Seat;
use escrow_core::query::Question;
use escrow_core::wire::MatterInfo;
use escrow_node::store::Store;
use escrow_tests::cluster::{Escrow, PATIENCE, seat};
use escrow_tests::log_liar::{Lie, LogLiar, signed};
use escrow_tests::program;
use escrow_tests::raw::Raw;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tlog_tiles::tile::{Tile as StockTile, TileHashReader, TileReader};
use tlog_tiles::tlog;

const HEARTBEAT: Duration = Duration::from_secs(600);

fn watch(escrow: &Escrow, folder: &str) -> Watch {
    let heads = Heads::open(&escrow.dir().join(folder)).unwrap();
    Watch::new(escrow.charters().clone(), heads, HEARTBEAT)
}

fn codes(look: &Look) -> Vec<&'static str> {
    look.alarms.iter().map(Alarm::code).collect()
}

async fn look_at(watch: &mut Watch, n: u8) -> Look {
    watch.look(now()).await.unwrap().into_iter().find(|l| l.seat == seat(n)).unwrap()
}

/// Looks until nothing is wrong at any node.
async fn quiet(watch: &mut Watch) -> Vec<Look> {
    let until = Instant::now() + PATIENCE;
    loop {
        let looks = watch.look(now()).await.unwrap();
        if looks.iter().all(|l| l.alarms.is_empty()) {
            return looks;
        }
        assert!(Instant::now() < until, "{looks:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The checkpoint that a node shows, once it has so many entries and this key's line under it.
async fn shown(raw: &Raw, seat: &Seat, size: u64, by: &VerifierKey) -> VerifiedCheckpoint {
    let until = Instant::now() + PATIENCE;
    loop {
        let reply = raw.get("/v1/log/1/checkpoint").await;
        if reply.status == 200 {
            assert_eq!(
                (reply.content_type.as_str(), reply.cache_control.as_str()),
                ("text/plain; charset=utf-8", "no-store")
            );
            let note = Checkpoint::verify(&reply.body, &seat.log_origin, &log_verifier(seat).unwrap()).unwrap();
            if note.size() >= size && note.cosigners(std::slice::from_ref(by)).unwrap().len() == 1 {
                return note;
            }
        }
        assert!(Instant::now() < until, "{}", reply.text());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Makes a node log so many entries.
async fn busy(escrow: &Escrow, n: u8, entries: u64) {
    for _ in 0..entries {
        let _answer: Vec<MatterInfo> = escrow.client.ask(escrow.node(n), Question::Matters).await.unwrap();
    }
}

fn tree_of(escrow: &Escrow, n: u8) -> Vec<Hash> {
    let store = Store::open_reader(&escrow.config(n).database()).unwrap();
    store.entries(0, 100_000).unwrap().iter().map(|e| leaf_hash(e)).collect()
}

// ---- A client that we did not write ----------------------------------------------------------

/// `tlog_tiles` reads tiles by our addresses; what it had to read is remembered.
struct Tiles<'a> {
    raw: &'a Raw,
    runtime: tokio::runtime::Handle,
}

impl TileReader for Tiles<'_> {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[StockTile]) -> Result<Vec<Vec<u8>>, tlog::Error> {
        let read = tiles.iter().map(|tile| {
            // The crate names the height in its paths, as the Go checksum database does.
            let path = tile.path().replace("tile/8/", "/v1/log/1/tile/");
            let reply = tokio::task::block_in_place(|| self.runtime.block_on(self.raw.get(&path)));
            assert_eq!((reply.status, reply.content_type.as_str()), (200, "application/octet-stream"), "{path}");
            assert!(reply.cache_control.contains("immutable"), "{path}: {}", reply.cache_control);
            reply.body
        });
        Ok(read.collect())
    }

    fn save_tiles(&self, _: &[StockTile], _: &[Vec<u8>]) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stock_client_recomputes_root_and_proofs_from_our_tiles() {
    let escrow = Escrow::start().await;
    busy(&escrow, 1, 260).await;
    let (listed, raw) = (escrow.listed(1), Raw::new(escrow.listed(1)));
    let peer = witness_verifier(escrow.org(), escrow.listed(2)).unwrap();
    let head = shown(&raw, listed, 260, &peer).await;
    let size = head.size();

    // The note and its lines, by a parser that is not ours.
    let log = signed_note::StandardVerifier::new(&log_verifier(listed).unwrap().to_string()).unwrap();
    let theirs = signed_note::Note::from_bytes(&head.to_bytes()).unwrap();
    let lines = theirs.verify(&signed_note::VerifierList::new(vec![Box::new(log)])).unwrap();
    assert_eq!((lines.0.len(), lines.1.len()), (1, head.note().signatures().len() - 1));
    let theirs = tlog_tiles::Checkpoint::from_bytes(theirs.text()).unwrap();
    assert_eq!((theirs.origin(), theirs.size(), theirs.hash().0), (listed.log_origin.as_str(), size, *head.root()));

    // It authenticates every tile against the root before it gives a hash out.
    let tiles = Tiles { raw: &raw, runtime: tokio::runtime::Handle::current() };
    let reader = TileHashReader::new(size, tlog::Hash(*head.root()), &tiles);
    assert_eq!(tlog::tree_hash(size, &reader).unwrap().0, *head.root());
    let bundles = Raw::with_key(listed, &escrow.seat_keys(2).0);
    let full = bundles.get("/v1/log/1/tile/entries/000").await;
    assert_eq!((full.status, full.cache_control.contains("immutable")), (200, true));
    assert!(full.cache_control.contains("private"), "entries are no public matter: {}", full.cache_control);
    let rest = bundles.get(&format!("/v1/log/1/tile/entries/001.p/{}", size - 256)).await;
    let entries = [unbundled(&full.body), unbundled(&rest.body)].concat();
    assert_eq!(entries.len() as u64, size);
    for at in [0, 1, 100, 255, 256, size - 1] {
        let entry = &entries[usize::try_from(at).unwrap()];
        let proof = tlog::prove_record(size, at, &reader).unwrap();
        tlog::check_record(&proof, size, tlog::Hash(*head.root()), at, tlog::record_hash(entry)).unwrap();
        // Whoever has a receipt asks for the proof as one text.
        let reply = raw.get(&format!("/v1/log/1/proof/{at}")).await;
        let proof = TlogProof::parse(&reply.body).unwrap();
        assert_eq!((reply.status, proof.index), (200, at));
        let under = proof.verify(&leaf_hash(entry), &listed.log_origin, &log_verifier(listed).unwrap()).unwrap();
        assert!(under.size() >= size && !under.cosigners(std::slice::from_ref(&peer)).unwrap().is_empty());
    }
    for old in [1, 200, 256, 257] {
        let (old_root, proof) = (tlog::tree_hash(old, &reader).unwrap(), tlog::prove_tree(size, old, &reader).unwrap());
        tlog::check_tree(&proof, size, tlog::Hash(*head.root()), old, old_root).unwrap();
    }

    // Entries go to seats by their key, and to nobody else.
    for stranger in [Raw::new(listed), Raw::with_key(listed, &escrow_node::keys::SeatKeys::generate().unwrap())] {
        let reply = stranger.get("/v1/log/1/tile/entries/000").await;
        assert_eq!(reply.problem().map(|p| p.code), Some("not-a-peer".into()), "{}", reply.text());
    }
    for missing in ["tile/entries/001", "tile/entries/002.p/1", "tile/entries/x", "tile/0/001"] {
        let reply = bundles.get(&format!("/v1/log/1/{missing}")).await;
        assert_eq!(reply.problem().map(|p| p.code), Some("not-found".into()), "{missing}: {}", reply.text());
    }
    // No public answer holds a word of an entry.
    for path in ["checkpoint", "tile/0/000", "proof/3"] {
        let text = raw.get(&format!("/v1/log/1/{path}")).await.text();
        assert!(!text.contains("\"stmt\"") && !text.contains("quinn"), "{path}");
    }
}

fn unbundled(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut out = vec![];
    while let Some((length, rest)) = bytes.split_first_chunk::<2>() {
        let (entry, rest) = rest.split_at(usize::from(u16::from_be_bytes(*length)));
        out.push(entry.to_vec());
        bytes = rest;
    }
    out
}

// ---- Watching --------------------------------------------------------------------------------

/// Roots at the old size and the new one out of `subtrees.txt`, by other means than the code that wrote it.
fn roots_of(subtrees: &str, old: u64) -> (Hash, Hash) {
    let mut peaks: Vec<(u32, u64, Hash)> = vec![];
    let (mut covered, mut at_old) = (0, None);
    let bag = |peaks: &[(u32, u64, Hash)]| {
        let (last, rest) = peaks.split_last().unwrap();
        rest.iter().rev().fold(last.2, |right, left| node_hash(&left.2, &right))
    };
    for line in subtrees.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let hash = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, words[2]).unwrap();
        let mut node = (words[0].parse().unwrap(), words[1].parse().unwrap(), hash.try_into().unwrap());
        assert_eq!(covered, node.1 << node.0, "subtrees stand side by side");
        covered += 1u64 << node.0;
        while let Some(left) = peaks.last().copied().filter(|l| l.0 == node.0 && node.1 % 2 == 1) {
            peaks.pop();
            node = (node.0 + 1, node.1 / 2, node_hash(&left.2, &node.2));
        }
        peaks.push(node);
        if covered == old {
            at_old = Some(bag(&peaks));
        }
    }
    (at_old.unwrap(), bag(&peaks))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_follows_honest_nodes_and_sees_every_lie_of_one() {
    let mut escrow = Escrow::start().await;
    let mut watch = watch(&escrow, "heads");
    let first = quiet(&mut watch).await;
    assert_eq!(first.len(), 5);
    busy(&escrow, 1, 5).await;
    let listed = escrow.listed(1).clone();
    let key = log_verifier(&listed).unwrap();
    let grown = loop {
        let looks = quiet(&mut watch).await;
        let look = looks.into_iter().find(|l| l.seat == seat(1)).unwrap();
        if look.head.as_ref().unwrap().size() > first[0].head.as_ref().unwrap().size() + 4 {
            break look;
        }
    };
    assert!(!grown.first && grown.cosigners >= grown.need && grown.need == 2, "{grown:?}");
    let head = grown.head.unwrap();

    // The same heads two hours later, and nobody has cosigned since.
    let later = watch.look(now().plus_seconds(7_200)).await.unwrap();
    assert!(later.iter().all(|l| codes(l) == ["silent"]), "{later:?}");
    assert!(watch.look(now().plus_seconds(1_100)).await.unwrap().iter().all(|l| l.alarms.is_empty()), "two heartbeats");
    // A cosignature from the future is not fresh.
    let earlier = watch.look(now().plus_seconds(-7_200)).await.unwrap();
    assert!(earlier.iter().all(|l| codes(l) == ["silent"] && l.cosigned.is_none()), "{earlier:?}");

    let (keys, _) = escrow.seat_keys(1);
    escrow.kill(&[1]);
    assert_eq!(codes(&look_at(&mut watch, 1).await), ["unreachable"]);
    let leaves = tree_of(&escrow, 1);
    let size = usize::try_from(head.size()).unwrap();
    assert!(leaves.len() >= size);
    let honest: Tree = leaves[..size].iter().copied().collect();
    assert_eq!(honest.root(), *head.root());
    let forked = |size: usize| -> Tree {
        (0..size)
            .map(|n| if n == 3 { leaf_hash(b"another past") } else { leaves.get(n).copied().unwrap_or([7; 32]) })
            .collect()
    };
    let longer: Tree = (0..size + 9).map(|n| leaves[..size].get(n).copied().unwrap_or([7; 32])).collect();
    let sign = |tree: &Tree| signed(&listed.log_origin, &keys.log, tree);
    let remembered = || Checkpoint::verify(&std::fs::read(head_file(&escrow, &key)).unwrap(), &listed.log_origin, &key);

    let liar = LogLiar::start(&listed, &keys).await;
    let others = ["cosignatures", "silent"];
    let with = |code: &'static str| [&[code][..], &others].concat();

    // Another history of the same size: two notes are the whole proof.
    liar.show(Lie { note: sign(&forked(size)), tree: Some(forked(size)) });
    let look = look_at(&mut watch, 1).await;
    assert_eq!(codes(&look), with("fork"));
    let evidence = look.alarms[0].evidence().unwrap();
    let note = |name: &str| {
        Checkpoint::verify(&std::fs::read(evidence.join(name)).unwrap(), &listed.log_origin, &key).unwrap()
    };
    assert!(note("first.txt").contradicts(&note("second.txt")) && !evidence.join("subtrees.txt").exists());
    // The same again is the same evidence.
    assert_eq!(look_at(&mut watch, 1).await.alarms[0].evidence(), Some(evidence));

    // Another history, longer: the tiles that it shows convict it.
    let fork = forked(size + 9);
    liar.show(Lie { note: sign(&fork), tree: Some(fork.clone()) });
    let look = look_at(&mut watch, 1).await;
    assert_eq!(codes(&look), with("fork"));
    let evidence = look.alarms[0].evidence().unwrap();
    let text = std::fs::read_to_string(evidence.join("subtrees.txt")).unwrap();
    assert_eq!(roots_of(&text, head.size()), (fork.root_at(head.size()).unwrap(), fork.root()));
    assert_ne!(fork.root_at(head.size()), Some(*head.root()));
    assert_eq!(std::fs::read(evidence.join("second.txt")).unwrap(), sign(&fork));

    // An older head, honest in itself.
    let older: Tree = leaves[..size - 3].iter().copied().collect();
    liar.show(Lie { note: sign(&older), tree: Some(older.clone()) });
    let look = look_at(&mut watch, 1).await;
    assert_eq!(codes(&look), with("rollback"));
    assert_eq!(std::fs::read(look.alarms[0].evidence().unwrap().join("second.txt")).unwrap(), sign(&older));

    // A larger head with the tiles of another tree, with tiles cut short, with none at all.
    liar.show(Lie { note: sign(&longer), tree: Some(fork.clone()) });
    assert_eq!(codes(&look_at(&mut watch, 1).await), with("tiles"));
    liar.show(Lie { note: sign(&longer), tree: None });
    assert_eq!(codes(&look_at(&mut watch, 1).await), with("unproven"));

    // A head that the log did not sign, and no note at all.
    let stranger = ed25519_dalek::SigningKey::from_bytes(&[9; 32]);
    for note in
        [signed(&listed.log_origin, &stranger, &longer), signed("other/log", &keys.log, &longer), b"hello".to_vec()]
    {
        liar.show(Lie { note: note.clone(), tree: Some(longer.clone()) });
        let look = look_at(&mut watch, 1).await;
        assert_eq!(codes(&look), ["unverified"]);
        assert_eq!(std::fs::read(look.alarms[0].evidence().unwrap().join("shown.txt")).unwrap(), note);
    }
    // Nothing of all that took the place of what was remembered.
    assert_eq!(remembered().unwrap().note().text(), head.note().text());

    // For cron: one look, its exit code, and the same words for machines.
    drop(watch);
    liar.show(Lie { note: sign(&older), tree: None });
    let (exit, json) = once(&escrow, &["--once", "--output", "json"]);
    assert_eq!((exit, json["schema"].as_str()), (6, Some("escrow.audit.watch.v1")), "{json}");
    assert_eq!(json["nodes"][0]["alarms"][0]["code"], "rollback");
    assert_eq!(json["nodes"][1]["alarms"].as_array().unwrap().len(), 0);
    drop(liar);
    let (exit, json) = once(&escrow, &["--once", "--output", "json"]);
    assert_eq!((exit, json["nodes"][0]["alarms"][0]["code"].as_str()), (8, Some("unreachable")), "{json}");

    // The node itself comes back, and follows from what was remembered.
    escrow.cluster.start(1).unwrap();
    escrow.ready().await;
    let until = Instant::now() + PATIENCE;
    loop {
        let (exit, json) = once(&escrow, &["--once", "--output", "json"]);
        if exit == 0 {
            assert_eq!(
                (json["alarms"].as_u64(), json["nodes"][0]["first"].as_bool()),
                (Some(0), Some(false)),
                "{json}"
            );
            break;
        }
        assert!(exit == 8 && Instant::now() < until, "{json}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // A remembered head that is not the one that was written is never overwritten.
    let file = head_file(&escrow, &key);
    let good = std::fs::read(&file).unwrap();
    std::fs::write(&file, sign(&older).split_at(40).0).unwrap();
    let (exit, json) = once(&escrow, &["--once", "--output", "json"]);
    assert_eq!((exit, json["rule"].as_str()), (1, Some("head-damaged")), "{json}");
    std::fs::write(&file, good).unwrap();
    assert_eq!(once(&escrow, &["--once", "--output", "json"]).0, 0);
}

/// Where the watch of this test, and the context of [`once`], remember a log's head.
fn head_file(escrow: &Escrow, log: &VerifierKey) -> std::path::PathBuf {
    let name: String = Digest::of(log.to_string().as_bytes()).to_string().chars().take(32).collect();
    escrow.dir().join("heads").join(format!("{name}.txt"))
}

/// `escrow audit watch` with a context without any key; it shares the heads with the watch in this process.
fn once(escrow: &Escrow, args: &[&str]) -> (i32, serde_json::Value) {
    let config = escrow.dir().join("auditor");
    let escrow_with = |args: &[&str]| {
        let mut command = Command::new(program("escrow"));
        command.arg("--config").arg(&config).args(args).output().unwrap()
    };
    if !config.exists() {
        let charter = escrow.dir().join("charter.json");
        let genesis = escrow.charters().genesis().to_string();
        let added =
            escrow_with(&["context", "add", "acme", "--charter", charter.to_str().unwrap(), "--genesis", &genesis]);
        assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
        std::os::unix::fs::symlink(escrow.dir().join("heads"), config.join("contexts/acme/heads")).unwrap();
    }
    let out = escrow_with(&[&["audit", "watch"][..], args].concat());
    let json = serde_json::from_slice(&out.stdout);
    (out.status.code().unwrap(), json.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&out.stderr))))
}

// ---- A witness outside the charter ---------------------------------------------------------

/// cosignature/v1 as its specification says, under a verifier that knows only plain Ed25519 itself.
struct Cosigner {
    name: String,
    id: u32,
    key: ed25519_dalek::VerifyingKey,
}

impl Cosigner {
    fn new(vkey: &VerifierKey) -> Self {
        let key = ed25519_dalek::VerifyingKey::from_bytes(vkey.public_key()).unwrap();
        Self { name: vkey.name().into(), id: u32::from_be_bytes(vkey.id()), key }
    }
}

impl signed_note::Verifier for Cosigner {
    fn name(&self) -> &str {
        &self.name
    }

    fn key_id(&self) -> u32 {
        self.id
    }

    fn verify(&self, msg: &[u8], sig: &[u8]) -> bool {
        let Some((time, sig)) = sig.split_first_chunk() else { return false };
        let signed = [format!("cosignature/v1\ntime {}\n", u64::from_be_bytes(*time)).as_bytes(), msg].concat();
        ed25519_dalek::Signature::from_slice(sig).is_ok_and(|s| self.key.verify_strict(&signed, &s).is_ok())
    }
}

/// The process, ended when dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run_witness(escrow: &Escrow, dir: &Path, port: u16) -> Process {
    let mut command = Command::new(program("escrow-node"));
    command.args(["witness", "run", "--listen", &format!("127.0.0.1:{port}"), "--dir"]).arg(dir);
    command.arg("--charter").arg(escrow.dir().join("charter.json"));
    command.args(["--charter-digest", &escrow.charters().genesis().to_string()]);
    let log = std::fs::File::create(escrow.dir().join("witness.log")).unwrap();
    Process(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auditors_witness_adds_its_line_and_nothing_waits_for_it() {
    let mut escrow = Escrow::start().await;
    let dir = escrow.dir().join("auditor-witness");
    let made = Command::new(program("escrow-node"))
        .args(["witness", "init", "--name", "auditor.example", "--dir"])
        .arg(&dir)
        .output()
        .unwrap();
    let said = String::from_utf8(made.stdout).unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let quoted = |name: &str| said.split(&format!("{name} = \"")).nth(1).unwrap().split('"').next().unwrap().to_owned();
    let vkey: VerifierKey = quoted("vkey").parse().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let block = format!(
        "[[witnesses]]\nurl = \"https://127.0.0.1:{port}\"\nvkey = \"{vkey}\"\ntls_pin = \"{}\"\n",
        quoted("tls_pin")
    );
    let path = escrow.dir().join("node1").join("escrow-node.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{config}{block}")).unwrap();
    let process = run_witness(&escrow, &dir, port);
    escrow.cluster.stop(1).unwrap();
    escrow.cluster.start(1).unwrap();
    escrow.ready().await;

    let (listed, raw) = (escrow.listed(1).clone(), Raw::new(escrow.listed(1)));
    let note = shown(&raw, &listed, 1, &vkey).await;
    // A stock verifier takes the line for what it is.
    let stock = signed_note::Note::from_bytes(&note.to_bytes()).unwrap();
    let lines = stock.verify(&signed_note::VerifierList::new(vec![Box::new(Cosigner::new(&vkey))])).unwrap();
    assert_eq!(lines.0.iter().map(|l| l.name()).collect::<Vec<_>>(), ["auditor.example"]);
    // The peers' own lines are there as well.
    let peers: Vec<VerifierKey> = (2..=5).map(|n| witness_verifier(escrow.org(), escrow.listed(n)).unwrap()).collect();
    assert!(note.cosigners(&peers).unwrap().len() >= 2);

    // Monitors read the newest head from the witness itself.
    let mut at_witness = listed.clone();
    at_witness.url = format!("https://127.0.0.1:{port}");
    at_witness.tls_pin = quoted("tls_pin").parse().unwrap();
    let monitor = Raw::new(&at_witness);
    let hash = Digest::of(listed.log_origin.as_bytes());
    let reply = monitor.get(&format!("/{hash}/checkpoint")).await;
    let held = Checkpoint::verify(&reply.body, &listed.log_origin, &log_verifier(&listed).unwrap()).unwrap();
    assert!(held.size() >= note.size() && held.cosigners(std::slice::from_ref(&vkey)).unwrap().len() == 1);
    let other = Digest::of(escrow.listed(2).log_origin.as_bytes());
    assert_eq!(monitor.get(&format!("/{other}/checkpoint")).await.status, 404, "node 2 never asked it");
    assert_eq!(monitor.get("/add-checkpoint").await.status, 404);
    assert_eq!(monitor.send("POST", "/add-checkpoint", "text/plain", b"x".to_vec()).await.status, 400);
    assert_eq!(monitor.send("POST", "/add-checkpoint", "text/plain", vec![b'x'; 70_000]).await.status, 413);

    // Evidence holds no line that the charter cannot check, and verifies.
    let auditor = escrow.officer("rita");
    let exported = auditor.export(&Scope::Everything).await.unwrap();
    let report = verify_with(&exported.bundle.files, &escrow.charters().genesis(), VerifyOptions::default());
    assert!(report.findings.iter().all(|f| f.file.is_empty() || !f.detail.contains("auditor")), "{report:?}");
    for (name, bytes) in &exported.bundle.files {
        assert!(!String::from_utf8_lossy(bytes).contains("auditor.example"), "{name}");
    }

    // The witness goes; nothing else changes.
    drop(process);
    let seen = escrow.node(1).status().await.unwrap().size;
    busy(&escrow, 1, 3).await;
    let more = shown(&raw, &listed, seen + 1, &peers[0]).await;
    assert!(more.cosigners(std::slice::from_ref(&vkey)).unwrap().is_empty());
    assert_eq!(escrow.node(1).status().await.unwrap().state, "READY");
    // It comes back with what it had, and goes on from there.
    let _process = run_witness(&escrow, &dir, port);
    busy(&escrow, 1, 1).await;
    let again = shown(&raw, &listed, more.size() + 1, &vkey).await;
    assert!(again.size() > more.size());
    let mut watch = watch(&escrow, "heads");
    assert!(quiet(&mut watch).await.iter().all(|l| l.cosigners <= 4), "an extra witness is nobody of the charter");
}
