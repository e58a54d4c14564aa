//! One whole run with secrets that would be recognised, and then a look into every file: none of
//! them is where it must not be (promise P6).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)] // a test that panics has failed

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use escrow_client::archive::{self, Directory, KeyRing, OpenOptions, SealOptions};
use escrow_client::{KnownRequest, Replies, open_replies, save_token_key, title_commitment};
use escrow_core::deal::About;
use escrow_core::label::labels;
use escrow_core::matter::MatterAction;
use escrow_core::reply::{ReplyContext, open_reply};
use escrow_core::sharing::Share;
use escrow_core::{SigningKey, ThreadKey};
use escrow_tests::canary::{Canaries, Found};
use escrow_tests::cluster::{copy_dir, files};
use escrow_tests::raw::Raw;
use escrow_tests::{Escrow, Options, Subject};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use zeroize::Zeroizing;

const PATTERNED: u8 = 3;
const TITLE: &str = "canary-title: Operation Nightingale, hints to a bidder";
const PEOPLE: [&str; 2] = ["canary-subject-anna.nightingale", "canary-subject-bert.wagtail"];
const OUTSIDER: &str = "canary-outsider-carl.kestrel";
const THREAD: &str = "canary-thread-5b1c7f2e-harbour";

/// A thread key that is easily seen: no random bytes look like it, and no other key.
fn patterned(n: u8) -> [u8; 32] {
    let mut key = [0xC5; 32];
    for i in (0..32).step_by(2) {
        key[i] = n.wrapping_mul(64).wrapping_add(i as u8);
    }
    key
}

/// Three days of one thread.
fn messages() -> Vec<String> {
    let one = |day: u8, n: u8, who: &str| {
        serde_json::json!({
            "thread": THREAD,
            "message_id": format!("canary-message-id-{day}-{n}-0123456789"),
            "sender": who,
            "sent_at": format!("2026-03-0{day}T08:{n:02}:00Z"),
            "text": format!("canary-text-{day}-{n}: the price of the lowest bidder is {day}{n} million"),
        })
        .to_string()
    };
    (1..=3).flat_map(|day| [one(day, 1, PEOPLE[0]), one(day, 2, PEOPLE[1]), one(day, 3, OUTSIDER)]).collect()
}

struct Run {
    escrow: Escrow,
    canaries: Canaries,
    /// Must not be in logs and metrics, and may be in databases.
    tokens: Canaries,
}

impl Run {
    /// What an officer or device keeps for itself, by design: key files of mode 0600, and the
    /// directory that says which token is who.
    fn private(&self) -> PathBuf {
        self.escrow.dir().join("private")
    }

    /// What leaves a machine or lies on it unprotected: sealed archive, key ring, outbox, replies,
    /// bundles, output of commands.
    fn open(&self) -> PathBuf {
        self.escrow.dir().join("open")
    }
}

/// Runs the `escrow` command; its output is kept to be looked at.
fn command(run: &Run, who: &str, name: &str, args: &[&str]) -> String {
    let out = Command::new(escrow_tests::program("escrow"))
        .args(["--config", run.private().join("config").to_str().unwrap(), "--context", who])
        .args(args)
        .env("ESCROW_LOG", "debug")
        .env("TMPDIR", run.open().join("tmp"))
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "escrow {args:?}: {}\n{stdout}\n{stderr}", out.status);
    std::fs::write(run.open().join("output").join(name), format!("{stdout}\n{stderr}")).unwrap();
    stdout.into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_anywhere_but_where_the_design_puts_it() {
    let escrow = Escrow::start_with(Options { log_filter: "debug", ..Options::default() }).await;
    let mut run = Run { escrow, canaries: Canaries::default(), tokens: Canaries::default() };
    for dir in [run.private(), run.open(), run.open().join("tmp"), run.open().join("output")] {
        std::fs::create_dir(dir).unwrap();
    }
    known_from_the_start(&mut run);
    let request = main_job(&mut run).await;
    let replies = release(&mut run, &request);
    opened(&mut run, &request, &replies);
    evidence(&run);
    metrics(&run).await;

    // While the nodes run: with SQLite's logs and shared memory; and after they ended.
    look_everywhere(&run);
    for n in 1..=5 {
        run.escrow.cluster.stop(n).unwrap();
    }
    look_everywhere(&run);
    would_have_been_found(&run);
}

/// Secrets that exist before anything happens.
fn known_from_the_start(run: &mut Run) {
    let secret = run.escrow.tokens.expose().to_vec();
    run.canaries.add("token key", &secret);
    for n in 0..PATTERNED {
        run.canaries.add(format!("thread key {n}"), &patterned(n));
    }
    run.canaries.add("matter title", TITLE.as_bytes());
    run.canaries.add("thread id", THREAD.as_bytes());
    for who in PEOPLE.iter().chain([&OUTSIDER]) {
        run.canaries.add(*who, who.as_bytes());
    }
    for line in messages() {
        let message: serde_json::Value = serde_json::from_str(&line).unwrap();
        let id = message["message_id"].as_str().unwrap();
        run.canaries.add(format!("text of {id}"), message["text"].as_str().unwrap().as_bytes());
    }
    for n in 1..=5 {
        let (keys, _) = run.escrow.seat_keys(n);
        let phrase = std::fs::read_to_string(run.escrow.config(n).passphrase_file).unwrap();
        run.canaries.add(format!("passphrase of node {n}"), phrase.trim().as_bytes());
        let SigningKey::Ed25519(statement) = &keys.statement else { panic!("another kind of statement key") };
        for (name, key) in [("statement", statement), ("log", &keys.log), ("witness", &keys.witness)] {
            run.canaries.add(format!("{name} key of node {n}"), &key.to_bytes());
        }
        run.canaries.add(format!("sealing key of node {n}"), &private_part(&keys.sealing.expose()));
        // PKCS#8 of a P-256 key (RFC 5208, RFC 5915): 36 bytes, the scalar, the public key.
        let pem: String = keys.tls_key.lines().filter(|l| !l.starts_with('-')).collect();
        let der = STANDARD.decode(pem).unwrap();
        assert_eq!(der[34..36], [0x04, 0x20], "another kind of TLS key");
        run.canaries.add(format!("TLS key of node {n}"), &der[36..68]);
    }
    for (id, officer) in run.escrow.cast.officers() {
        run.canaries.add(format!("signature key of {id}"), &private_part(&officer.signing().unwrap().expose()));
    }
    let erik = run.escrow.cast.get("erik").unwrap();
    run.canaries.add("sealing key of erik", &private_part(&erik.sealing().unwrap().expose()));
}

fn private_part(line: &str) -> Vec<u8> {
    STANDARD.decode(line.split_once("-private:").unwrap().1).unwrap()
}

/// Keys and tokens to disk, archive sealed, people enrolled, keys deposited, request approved.
async fn main_job(run: &mut Run) -> KnownRequest {
    let e = &run.escrow;
    let keys = run.private();
    for (id, officer) in e.cast.officers() {
        officer.save_new(&keys.join(format!("{id}.key"))).unwrap();
    }
    save_token_key(&e.tokens, &keys.join("token.key"), None).unwrap();

    let archive = run.open().join("archive");
    let inside = |who: &str| who != OUTSIDER;
    let options = SealOptions { dir: &archive, org: e.org(), tokens: &e.tokens, era: 1, inside: &inside };
    let input = messages().join("\n");
    let sealed = archive::seal(input.as_bytes(), &options).unwrap();
    Directory::update(&keys.join("directory.json"), e.org(), |d| d.add_archive(&sealed)).unwrap();
    let mut subjects: Vec<Subject> = Vec::new();
    for id in PEOPLE {
        subjects.push(e.subject(id).await);
    }
    for token in PEOPLE.iter().chain([&OUTSIDER]).map(|id| e.tokens.subject(id)).chain([e.tokens.thread(THREAD)]) {
        run.tokens.add(format!("token {token}"), &token.mac);
    }
    let device = subjects[0].client.identity();
    device.save_new(&keys.join("device.key")).unwrap();
    run.canaries.add("signature key of the device", &private_part(&device.signing().unwrap().expose()));
    run.canaries.add("sealing key of the device", &private_part(&device.sealing().unwrap().expose()));
    let mut items: Vec<(About, ThreadKey)> = Vec::new();
    for (n, segment) in sealed.segments.into_iter().enumerate() {
        run.canaries.add(format!("thread key of segment {n}"), segment.key.expose());
        items.push((segment.about, segment.key));
    }
    for n in 0..PATTERNED {
        items.push((e.about(&subjects[0], "canary-patterned", u64::from(n)), key(n)));
    }
    // Between sealing and depositing the keys lie in a ring, sealed to the device.
    let ring_path = run.open().join("key-ring");
    let copy =
        |(about, key): &(About, ThreadKey)| (about.clone(), ThreadKey::from_bytes(Zeroizing::new(*key.expose())));
    let mut ring = KeyRing::new(e.org().clone());
    ring.extend(items.iter().map(copy));
    ring.save(&ring_path, device.sealing().unwrap().public()).unwrap();
    assert_eq!(KeyRing::load(&ring_path, e.org(), device.sealing().unwrap()).unwrap().entries().len(), items.len());
    e.deposit(&subjects[0], items).await;

    let title = title_commitment(&escrow_core::random::bytes(), TITLE);
    let matter = e.client.matter(e.matter.clone(), MatterAction::Open, None, title).unwrap();
    assert_eq!(e.client.submit(&matter).await.unwrap().accepted(), 5);
    let mut ask = e.ask(&[THREAD, "canary-patterned"], 0, 90);
    ask.purpose = "internal-investigation".parse().unwrap();
    e.approved(ask).await
}

fn key(n: u8) -> ThreadKey {
    ThreadKey::from_bytes(Zeroizing::new(patterned(n)))
}

/// The release, as people do it: with the command.
fn release(run: &mut Run, request: &KnownRequest) -> Replies {
    let file = run.escrow.dir().join("charter.json");
    let genesis = run.escrow.charters().genesis().to_string();
    let keys = run.private();
    for who in ["quinn", "erik"] {
        let key = keys.join(format!("{who}.key"));
        let (tokens, directory) = (keys.join("token.key"), keys.join("directory.json"));
        let paths = [&file, &key, &tokens, &directory].map(|p| p.to_str().unwrap().to_owned());
        let args = [
            "context",
            "add",
            who,
            "--charter",
            &paths[0],
            "--genesis",
            &genesis,
            "--key",
            &paths[1],
            "--token-key",
            &paths[2],
            "--directory",
            &paths[3],
        ];
        command(run, who, &format!("context-{who}"), &args);
    }
    let out = run.open().join("replies.json");
    let digest = request.digest.to_string();
    command(run, "erik", "collect", &["release", "collect", &digest, "--all", "--out", out.to_str().unwrap()]);
    Replies::load(&out).unwrap()
}

/// As the recipient: what the nodes sealed is taken out, and becomes something to look for.
fn opened(run: &mut Run, request: &KnownRequest, replies: &Replies) {
    let erik = run.escrow.cast.get("erik").unwrap();
    let sealing = erik.sealing().unwrap();
    assert_eq!(replies.replies.len(), 5, "every node was asked");
    let items = request.request.items.len();
    assert_eq!(items, 3 + usize::from(PATTERNED));
    let mut shares: Vec<Vec<Share>> = Vec::new();
    for reply in &replies.replies {
        let context = ReplyContext {
            genesis: run.escrow.charters().genesis(),
            request: request.digest,
            seat: reply.seat,
            generation: 1,
            recipient: sealing.public().digest(),
        };
        let list = open_reply(&context, sealing, &reply.reply.0, items).unwrap();
        for (i, share) in list.iter().enumerate() {
            let bytes = share.to_bytes();
            run.canaries.add(format!("share {i} of node {}, f", reply.seat), &bytes[..32]);
            run.canaries.add(format!("share {i} of node {}, r", reply.seat), &bytes[32..]);
        }
        shares.push(list);
    }
    for deposit in &replies.deposits {
        let deposit: escrow_core::deposit::Deposit =
            escrow_core::Envelope::parse(&deposit.0).unwrap().decode().unwrap();
        let deal = escrow_core::deal::OpenedDeal::parse(&deposit.deal.0).unwrap();
        for (position, id) in deal.item_ids().iter().enumerate() {
            let Some(i) = request.request.items.iter().position(|x| x == id) else { continue };
            let three: Vec<&Share> = shares.iter().take(3).map(|list| &list[i]).collect();
            let secret = deal.commitments(position).unwrap().combine(&three).unwrap();
            run.canaries.add(format!("wrapping secret of item {i}"), secret.to_bytes().as_slice());
        }
    }
    for n in 1..=5 {
        // Deposit keys, as the operator could unseal them.
        let (_, storage) = run.escrow.seat_keys(n);
        for (i, path) in files(&run.escrow.config(n).deposit_keys()).iter().enumerate() {
            let name = hex::decode(path.file_stem().unwrap().to_str().unwrap()).unwrap();
            let clear = storage.open(labels::DEPOSIT_KEY, &name, &std::fs::read(path).unwrap()).unwrap();
            run.canaries.add(format!("deposit key {i} of node {n}"), &clear);
        }
    }

    // It was a real run: the messages come back, in memory.
    let opened = open_replies(run.escrow.charters(), replies, sealing).unwrap();
    assert_eq!(opened.keys.len(), items);
    for n in 0..PATTERNED {
        assert!(opened.keys.iter().any(|k| *k.key.expose() == patterned(n)), "patterned key {n} did not come back");
    }
    let archive = run.open().join("archive");
    let options = OpenOptions { dir: &archive, org: run.escrow.org(), tokens: Some(&run.escrow.tokens) };
    let mut lines = Vec::new();
    let segments = opened.keys.iter().filter(|k| k.about.archive.is_some()).map(|k| (&k.about, &k.key));
    archive::open_segments(&options, segments, &mut lines).unwrap();
    assert_eq!(String::from_utf8(lines).unwrap(), messages().join("\n") + "\n");
}

fn evidence(run: &Run) {
    let bundle = run.open().join("bundle");
    let path = bundle.to_str().unwrap();
    let matter = run.escrow.matter.to_string();
    command(run, "quinn", "export", &["audit", "export", "--matter", &matter, "--out", path]);
    let genesis = run.escrow.charters().genesis().to_string();
    command(run, "quinn", "verify", &["verify", path, "--charter-digest", &genesis, "--output", "json"]);
    command(run, "quinn", "requests", &["request", "list", "--output", "json"]);
    command(run, "quinn", "entries", &["audit", "show", "--node", "1", "--output", "json"]);
}

async fn metrics(run: &Run) {
    for n in 1..=5 {
        let raw = Raw::new(run.escrow.listed(n));
        for path in ["/metrics", "/readyz", "/v1/status", "/v1/charters"] {
            let r = raw.get(path).await;
            assert_eq!(r.status, 200, "{path}");
            assert!(path != "/metrics" || r.text().contains("escrow_"), "no metrics: {}", r.text());
            std::fs::write(run.open().join("output").join(format!("node{n}{}", path.replace('/', "-"))), r.body)
                .unwrap();
        }
    }
}

/// Everything of every node, and everything open.
fn look_everywhere(run: &Run) {
    let mut looked_at = 0;
    for n in 1..=5 {
        let dir = run.escrow.dir().join(format!("node{n}"));
        let phrase = run.escrow.config(n).passphrase_file;
        for path in files(&dir) {
            let mut found = run.canaries.find_in_file(&path);
            if path == phrase {
                // The one file with the node's passphrase, mode 0600: where the operator put it.
                found.retain(|f| f.secret != format!("passphrase of node {n}"));
            }
            nothing(&path, &found);
            looked_at += 1;
            if path.file_name().unwrap() == "node.log" {
                assert!(
                    std::fs::read_to_string(&path).unwrap().contains("DEBUG"),
                    "node {n} does not log at debug level"
                );
                nothing(&path, &run.tokens.find_in_file(&path));
            }
        }
        let database = run.escrow.config(n).database();
        nothing(&database, &run.canaries.find_in_database(&database));
        let tokens = run.tokens.find_in_database(&database);
        assert!(!tokens.is_empty(), "the search does not even find the tokens that are in the database");
    }
    for path in files(&run.open()) {
        nothing(&path, &run.canaries.find_in_file(&path));
        if path.to_str().unwrap().contains("-metrics") {
            nothing(&path, &run.tokens.find_in_file(&path));
        }
        looked_at += 1;
    }
    // The outbox keeps receipts, and had the sealed blobs.
    let outbox = run.escrow.dir().join("outbox.db");
    for path in ["outbox.db", "outbox.db-wal", "outbox.db-shm", "charter.json"].map(|f| run.escrow.dir().join(f)) {
        if path.exists() {
            nothing(&path, &run.canaries.find_in_file(&path));
            looked_at += 1;
        }
    }
    nothing(&outbox, &run.canaries.find_in_database(&outbox));
    assert!(looked_at > 60, "only {looked_at} files were looked at");
}

fn nothing(path: &Path, found: &BTreeSet<Found>) {
    assert!(found.is_empty(), "{} holds {found:?}", path.display());
}

/// The same search finds each secret where it does lie by design, and wherever one is planted.
fn would_have_been_found(run: &Run) {
    assert!(run.canaries.len() > 100, "{:?}", run.canaries.names());
    let mut found: BTreeSet<String> = BTreeSet::new();
    for path in files(&run.private()) {
        found.extend(run.canaries.find_in_file(&path).into_iter().map(|f| f.secret));
    }
    for secret in
        ["token key", "thread id", PEOPLE[0], PEOPLE[1], OUTSIDER, "signature key of quinn", "sealing key of erik"]
    {
        assert!(found.contains(secret), "{secret} lies in the private folder and was not found");
    }

    // A scratch copy of a node, with one secret put where a slip would put it.
    let scratch = run.escrow.dir().join("scratch");
    copy_dir(&run.escrow.config(1).data_dir, &scratch);
    let database = scratch.join("node.db");
    let clean = |name: &str| run.canaries.find_in_file(&scratch.join(name)).is_empty();
    assert!(clean("node.db") && clean("seat.keys"));
    let statement =
        serde_json::json!({"payload": STANDARD.encode(format!("{{\"key\":\"{}\"}}", STANDARD.encode(patterned(1))))});
    let db = rusqlite::Connection::open(&database).unwrap();
    db.execute(
        "INSERT INTO attachment (digest, bytes) VALUES (?1, ?2)",
        rusqlite::params![[1u8; 32].as_slice(), statement.to_string().as_bytes()],
    )
    .unwrap();
    drop(db);
    let names = |found: BTreeSet<Found>| {
        found.into_iter().map(|f| f.secret).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>()
    };
    assert_eq!(names(run.canaries.find_in_database(&database)), ["thread key 1"]);
    assert_eq!(names(run.canaries.find_in_file(&database)), ["thread key 1"]);
    let log = scratch.join("node.log");
    std::fs::write(&log, format!("DEBUG share={:?}\n", patterned(2))).unwrap();
    assert_eq!(names(run.canaries.find_in_file(&log)), ["thread key 2"]);
    std::fs::write(&log, format!("DEBUG body={}\n", hex::encode(messages()[4].as_bytes()))).unwrap();
    let found = names(run.canaries.find_in_file(&log));
    assert!(found.contains(&"text of canary-message-id-2-2-0123456789".to_owned()), "{found:?}");
}
