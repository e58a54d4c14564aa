//! A seat that lost entries, with real processes, TLS and disk: found out, silent, and back under a new log by
//! charter. Backups made under load, restored and tried out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)] // a test that panics has failed

use escrow_audit::entry::Entry;
use escrow_client::export::Scope as ExportScope;
use escrow_client::watch::{Alarm, Heads, Look, Watch};
use escrow_client::{Charters, Client, KnownRequest, Outcomes, SealedDeposit, Wanted, now, open_replies};
use escrow_core::charter::Seat;
use escrow_core::query::Question;
use escrow_core::wire::{ConsentInfo, DepositBody};
use escrow_core::{Blob, Digest, Envelope, Nonce, ThreadKey};
use escrow_node::store::Store;
use escrow_tests::cluster::{copy_dir, files};
use escrow_tests::raw::Raw;
use escrow_tests::recorder::Recorder;
use escrow_tests::{Escrow, Subject, code_of, program, seat};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

const OTHERS: [u8; 4] = [1, 2, 4, 5];
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a node's own program with its configuration.
fn operator(escrow: &Escrow, n: u8, args: &[&str]) -> Output {
    let config = escrow.dir().join(format!("node{n}")).join("escrow-node.toml");
    Command::new(program("escrow-node")).arg("--config").arg(config).args(args).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned()
}

fn backed_up(escrow: &Escrow, n: u8, name: &str) -> (PathBuf, PathBuf) {
    let (out, keys) = (escrow.dir().join(name), escrow.dir().join(format!("{name}-keys")));
    let made = operator(escrow, n, &["backup", "--out", out.to_str().unwrap(), "--keys-out", keys.to_str().unwrap()]);
    assert!(made.status.success(), "{}", said(&made));
    (out, keys)
}

fn entries(escrow: &Escrow, n: u8) -> Vec<Entry> {
    let store = Store::open_reader(&escrow.config(n).database()).unwrap();
    store.entries(0, 1_000_000).unwrap().iter().map(|b| Entry::decode(b).unwrap()).collect()
}

/// Files of a data folder that a backup has to bring back: not the lock, spare room, and what SQLite makes anew.
fn kept(data: &Path) -> Vec<PathBuf> {
    let anew = ["node.lock", "reserve", "node.db-wal", "node.db-shm"];
    files(data).into_iter().filter(|p| p.file_name().is_some_and(|n| !anew.contains(&n.to_str().unwrap()))).collect()
}

/// Size up to which the others countersign a log: cosignatures alone start no round.
fn significant(escrow: &Escrow, n: u8) -> u64 {
    let last = entries(escrow, n).iter().rposition(|e| e.kind != "witness.cosigned").unwrap();
    last as u64 + 1
}

/// Puts the database of a backup under a stopped node, as somebody does who does not know better.
fn put_back(escrow: &Escrow, n: u8, backup: &Path) {
    let database = escrow.config(n).database();
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{end}", database.display()));
    }
    std::fs::copy(backup.join("node.db"), &database).unwrap();
}

async fn eventually(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !done().await {
        assert!(Instant::now() < until, "not within a minute: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What somebody who follows all logs sees of node 3's: its log, how much of it, and what is wrong.
async fn followed(watch: &mut Watch) -> (String, u32, Option<u64>, Vec<&'static str>) {
    let looks = watch.look(now()).await.unwrap();
    let Look { log, number, head, alarms, .. } = looks.into_iter().find(|l| l.seat == seat(3)).unwrap();
    (log, number, head.map(|h| h.size()), alarms.iter().map(Alarm::code).collect())
}

/// The administrators' next charter: one seat as its operator describes it now.
fn next_charter(escrow: &Escrow, described: Seat) -> Charters {
    let mut draft = escrow.charters().current().clone();
    draft.version += 1;
    draft.previous = Some(escrow.charters().digest());
    draft.nonce = Nonce::random();
    draft.issued = now();
    let at = draft.seats.iter().position(|s| s.index == described.index).unwrap();
    draft.seats[at] = described;
    let admins = ["ada", "ben"].map(|a| escrow.cast.get(a).unwrap());
    let signed = Envelope::sign(&draft, &[admins[0].signing().unwrap(), admins[1].signing().unwrap()]).unwrap();
    escrow.charters().extended(&[signed]).unwrap()
}

/// Every operator accepts, and restarts.
async fn take_over(escrow: &mut Escrow, charters: Charters) {
    let file = escrow.dir().join("charters.json");
    charters.save(&file).unwrap();
    escrow.cluster.accept(&file, &charters.digest()).unwrap();
    for n in OTHERS {
        escrow.cluster.stop(n).unwrap();
        escrow.cluster.start(n).unwrap();
    }
    escrow.cluster.start_all().unwrap();
    escrow.client = Client::new(charters, escrow.cast.get("quinn").unwrap()).unwrap();
    escrow.ready().await;
}

async fn sealed(escrow: &Escrow, subject: &Subject, thread: &str) -> SealedDeposit {
    let item = vec![(escrow.about(subject, thread, 0), ThreadKey::generate())];
    let sealed = subject.client.seal_deposits((&subject.consent.0, &subject.consent.1), item).unwrap();
    sealed.into_iter().next().unwrap()
}

fn body_for(deposit: &SealedDeposit, n: u8) -> DepositBody {
    let blob = deposit.blobs.iter().find(|(s, _)| *s == seat(n)).unwrap().1.clone();
    DepositBody { deposit: Blob(deposit.envelope.clone()), blob: Blob(blob) }
}

async fn collected(escrow: &Escrow, request: &KnownRequest) -> Outcomes<escrow_client::Reply> {
    let erik = escrow.officer("erik");
    let collected = erik.collect(request, Wanted::All).await.unwrap();
    let opened = open_replies(escrow.charters(), &collected.replies, erik.identity().sealing().unwrap()).unwrap();
    assert_eq!((opened.keys.len(), opened.failed.len()), (request.request.items.len(), 0), "{:?}", opened.failed);
    collected.outcomes
}

/// The whole way: found out, silent, and back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_24_yesterdays_database_signs_nothing_and_the_seat_comes_back_under_a_new_log() {
    let mut escrow = Escrow::start().await;
    let subject = escrow.subject("maria").await;
    escrow.deposit(&subject, vec![(escrow.about(&subject, "kept", 0), ThreadKey::generate())]).await;
    escrow.open_matter().await;
    let (yesterday, _) = backed_up(&escrow, 3, "yesterday");
    let old = escrow.listed(3).clone();
    let old_keys = escrow.seat_keys(3).0.log_public();

    // Today goes on: a deposit, and a release in which node 3 takes part. The others countersign its log.
    let lost = sealed(&escrow, &subject, "lost").await;
    for n in [1, 2, 3, 4, 5] {
        let _receipted = escrow.node(n).deposit(&body_for(&lost, n)).await.unwrap();
    }
    let today = escrow.approved(escrow.ask(&["kept"], 0, 1)).await;
    assert_eq!(collected(&escrow, &today).await.count(), 5);
    let newest = significant(&escrow, 3);
    let witnessed = |n: u8| {
        let store = Store::open_reader(&escrow.config(n).database()).unwrap();
        store.peers().unwrap().into_iter().find(|(o, _)| *o == old.log_origin).map(|(_, head)| head)
    };
    eventually("node 5 countersigns", async || witnessed(5).is_some_and(|h| h.size >= newest)).await;
    let heads = Heads::open(&escrow.dir().join("watch")).unwrap();
    let mut watch = Watch::new(escrow.charters().clone(), heads, Duration::from_secs(600));
    let seen = followed(&mut watch).await;
    assert!(seen.0 == old.log_origin && seen.1 == 1 && seen.2 >= Some(newest) && seen.3.is_empty(), "{seen:?}");

    // Node 5 becomes one that only listens, and node 3 gets yesterday's database.
    escrow.kill(&[3, 5]);
    let notes: BTreeMap<String, String> = Store::open_reader(&escrow.config(5).database())
        .unwrap()
        .peers()
        .unwrap()
        .into_iter()
        .map(|(o, h)| (o, h.note))
        .collect();
    let address = escrow.listed(5).url.trim_start_matches("https://").parse().unwrap();
    let recorder = Recorder::start(address, &escrow.seat_keys(5).0, notes);
    put_back(&escrow, 3, &yesterday);
    let before: Vec<usize> = [1, 2, 4].map(|n| entries(&escrow, n).len()).to_vec();
    let stored = entries(&escrow, 3).len();
    escrow.cluster.start(3).unwrap();
    let reason = escrow.state(3, "ROLLBACK").await;
    let way_out = escrow.node(3).status().await.unwrap().way_out;
    for (word, text) in [("backup", &reason), ("own key", &reason), ("new-log", &way_out), ("log origin", &way_out)] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let readyz = Raw::new(&old).get("/readyz").await;
    assert_eq!(readyz.status, 503);
    assert!(readyz.text().starts_with("ROLLBACK ") && readyz.text().contains(&reason), "{}", readyz.text());
    let status = said(&operator(&escrow, 3, &["status"]));
    assert!(status.contains("ROLLBACK") && status.contains("new-log"), "{status}");

    // Whoever follows its log hears nothing from it, which is an alarm.
    let seen = followed(&mut watch).await;
    assert_eq!(seen, (old.log_origin.clone(), 1, None, vec!["unreachable"]));

    // On the wire: it goes on asking what the others hold, and says nothing else to anybody.
    eventually("it looks again", async || recorder.requests(&old).len() >= 3).await;
    let statement = escrow.decision("lena", "legal", &today.digest, escrow_core::decision::Choice::Deny);
    assert_eq!(code_of(&escrow.node(3).statement(&statement).await), "not-ready");
    assert_eq!(code_of(&escrow.node(3).statement(&today.envelope).await), "not-ready");
    assert_eq!(code_of(&escrow.client.verdict(escrow.node(3), &today.digest).await), "not-ready");
    for r in recorder.requests(&old) {
        assert!(r.line.starts_with("GET /v1/peer/witnessed?origin=") && r.body.is_empty(), "node 3 sent {}", r.line);
    }
    for (n, before) in [1, 2, 4].into_iter().zip(before) {
        for e in &entries(&escrow, n)[before..] {
            let ours = e.body.get("origin").is_some_and(|o| *o == Value::String(old.log_origin.clone()));
            assert!(!ours, "node {n} countersigned node 3's log: {e:?}");
        }
    }
    assert_eq!(entries(&escrow, 3).len(), stored, "it appended");
    drop(recorder);
    escrow.cluster.start(5).unwrap();
    eventually("node 5 is back", async || escrow.node(5).status().await.is_ok_and(|s| s.state == "READY")).await;

    // A restart is no way out, and needs no peer to know it.
    escrow.cluster.stop(3).unwrap();
    escrow.kill(&OTHERS);
    escrow.cluster.start(3).unwrap();
    escrow.state(3, "ROLLBACK").await;
    escrow.cluster.start_all().unwrap();
    for n in OTHERS {
        escrow.state(n, "READY").await;
    }

    // The documented way out. Preparing it changes nothing, and the same again gives the same.
    escrow.cluster.stop(3).unwrap();
    let prepared = operator(&escrow, 3, &["new-log"]);
    assert!(prepared.status.success(), "{}", said(&prepared));
    let descriptor =
        || -> Seat { serde_json::from_slice(&std::fs::read(escrow.config(3).descriptor()).unwrap()).unwrap() };
    let described = descriptor();
    assert!(operator(&escrow, 3, &["new-log"]).status.success());
    assert_eq!(descriptor(), described);
    assert_eq!(described.log_origin, old.log_origin.replace("/log/1", "/log/2"));
    assert!(described.previous_log_head.is_some() && described.log_key != old.log_key);
    let same = Seat {
        log_origin: old.log_origin.clone(),
        log_key: old.log_key.clone(),
        previous_log_head: None,
        ..described.clone()
    };
    assert_eq!(same, old, "it changes nothing else");
    escrow.cluster.start(3).unwrap();
    escrow.state(3, "ROLLBACK").await;
    escrow.cluster.stop(3).unwrap();

    let charters = next_charter(&escrow, described.clone());
    take_over(&mut escrow, charters).await;
    let status = escrow.node(3).status().await.unwrap();
    assert_eq!((status.log.as_str(), status.charter_version), (described.log_origin.as_str(), 2));
    let all = entries(&escrow, 3);
    assert_eq!(all[stored].kind, "log.continued");
    assert_eq!((all[stored].seq, all[stored].body["size"].as_u64()), (0, Some(stored as u64)));
    assert_eq!(escrow.seat_keys(3).0.log_public(), described.log_key);
    assert_ne!(escrow.seat_keys(3).0.log_public(), old_keys, "the old log's key is still there");
    assert!(!escrow.config(3).next_key_file().exists());
    // Who followed the old log follows the new one, by the charter and without being told.
    let mut seen = followed(&mut watch).await;
    eventually("the new log is countersigned", async || {
        seen = followed(&mut watch).await;
        seen.3.is_empty()
    })
    .await;
    assert!(seen.0 == described.log_origin && seen.1 == 2 && seen.2.is_some_and(|size| size >= 4), "{seen:?}");

    // Receipts of before stand, under the old log's last head.
    let consents: Vec<ConsentInfo> = escrow.client.ask(escrow.node(3), Question::Consents).await.unwrap();
    let given = Envelope::parse(&consents[0].consent.0).unwrap();
    let receipts = escrow.client.submit_to_all(&given).await;
    assert_eq!(receipts.count(), 5, "{receipts}");
    let of_three = receipts.good().find(|(s, _)| *s == seat(3)).unwrap().1;
    assert_eq!(of_three.receipt.log, old.log_origin);

    // Node 3 takes part again. What it lost it says plainly, and takes when it is sent again.
    let kept = escrow.approved(escrow.ask(&["kept"], 0, 1)).await;
    assert_eq!(collected(&escrow, &kept).await.count(), 5);
    assert_eq!(escrow.deliveries(3).await, 1);
    let gone = escrow.approved(escrow.ask(&["lost"], 0, 1)).await;
    let outcomes = collected(&escrow, &gone).await;
    assert_eq!(outcomes.count(), 4, "{outcomes}");
    let verdict = escrow.client.verdict(escrow.node(3), &gone.digest).await.unwrap();
    let reasons: Vec<&str> = verdict.verdict.reasons.iter().map(|r| r.as_str()).collect();
    assert_eq!(reasons, ["item-unknown"]);
    let _receipted = escrow.node(3).deposit(&body_for(&lost, 3)).await.unwrap();
    let again = escrow.approved(escrow.ask(&["lost"], 0, 1)).await;
    assert_eq!(collected(&escrow, &again).await.count(), 5);

    // A stranger can follow it offline, from the old log into the new one.
    let exported = escrow.client.export(&ExportScope::Everything).await.unwrap();
    assert!(exported.left_out.is_empty(), "{:?}", exported.left_out);
    assert!(exported.bundle.files.contains_key("data/logs/3/1/entries.jsonl"));
    assert!(exported.bundle.files.contains_key("data/logs/3/2/entries.jsonl"));
    let report = escrow_audit::verify::verify(&exported.bundle.files, &escrow.charters().genesis());
    assert_eq!(report.exit_code(), 0, "{:?}", report.findings);
    let told: Vec<_> = report.findings.iter().filter(|f| f.rule == "log-lost" && f.seat == Some(seat(3))).collect();
    assert_eq!(told.len(), 1, "{:?}", report.findings);
}

/// Until peers have spoken, a restored node is as silent as one that is behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_26_restored_while_the_peers_are_gone_it_stays_unproven() {
    let mut escrow = Escrow::start().await;
    let (yesterday, _) = backed_up(&escrow, 3, "yesterday");
    escrow.open_matter().await;
    let countersigned = |n: u8| Store::open_reader(&escrow.config(n).database()).unwrap().peers().unwrap();
    let size = significant(&escrow, 3);
    let origin = escrow.listed(3).log_origin.clone();
    eventually("node 4 countersigns", async || countersigned(4).iter().any(|(o, h)| *o == origin && h.size >= size))
        .await;
    escrow.kill(&[1, 2, 3, 4, 5]);
    put_back(&escrow, 3, &yesterday);
    let stored = entries(&escrow, 3).len();
    escrow.cluster.start(3).unwrap();
    eventually("it has asked", async || {
        escrow.node(3).status().await.is_ok_and(|s| s.state == "UNPROVEN" && s.reason.starts_with("0 of 3"))
    })
    .await;
    let request =
        Envelope::sign(escrow.charters().current(), &[escrow.cast.get("ada").unwrap().signing().unwrap()]).unwrap();
    assert_eq!(code_of(&escrow.node(3).statement(&request).await), "not-ready");
    assert_eq!(entries(&escrow, 3).len(), stored);
    // One peer that knows better is enough to stop it for good.
    escrow.cluster.start(4).unwrap();
    escrow.state(3, "ROLLBACK").await;
    assert_eq!(entries(&escrow, 3).len(), stored);
}

/// Two copies of one node at the same time: whichever the peers have not countersigned stops, and says why.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_28_a_clone_that_runs_beside_the_node_is_stopped() {
    let mut escrow = Escrow::start().await;
    escrow.cluster.stop(3).unwrap();
    let (original, clone) = (escrow.dir().join("node3"), escrow.dir().join("clone"));
    copy_dir(&original, &clone);
    let config = clone.join("escrow-node.toml");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text = std::fs::read_to_string(&config).unwrap();
    let listen = text.lines().next().unwrap().to_owned();
    std::fs::write(&config, text.replace(&listen, &format!("listen = \"127.0.0.1:{port}\""))).unwrap();

    // Both prove the same log at the same moment; then each goes its own way.
    escrow.cluster.start(3).unwrap();
    let log = std::fs::File::create(clone.join("node.log")).unwrap();
    let mut second =
        Command::new(program("escrow-node")).arg("--config").arg(&config).arg("run").stderr(log).spawn().unwrap();
    let mut beside = escrow.listed(3).clone();
    beside.url = format!("https://127.0.0.1:{port}");
    let beside = escrow_client::Node::new(&beside).unwrap();
    let mut states = Vec::new();
    eventually("one of the two stops", async || {
        states.clear();
        for node in [escrow.node(3), &beside] {
            states.extend(node.status().await.map(|s| (s.state, s.reason)));
        }
        states.iter().any(|(state, _)| state == "ROLLBACK")
    })
    .await;
    second.kill().unwrap();
    second.wait().unwrap();
    let (_, reason) = states.iter().find(|(state, _)| state == "ROLLBACK").unwrap();
    assert!(reason.contains("copy of this node"), "{reason}");
}

/// Deposits come in while the copy is made; the copy is whole, and so is what is restored from it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_made_under_load_can_be_restored_and_a_damaged_one_changes_nothing() {
    let mut escrow = Escrow::start().await;
    let subject = escrow.subject("maria").await;
    let mut waiting = Vec::new();
    for i in 0..40 {
        waiting.push(sealed(&escrow, &subject, &format!("thread-{i}")).await);
    }
    let node = escrow.node(3).clone();
    let load = tokio::spawn(async move {
        for d in &waiting {
            let _receipted = node.deposit(&body_for(d, 3)).await.unwrap();
        }
    });
    let mut copies = Vec::new();
    while !load.is_finished() {
        copies.push(backed_up(&escrow, 3, &format!("copy-{}", copies.len())));
    }
    load.await.unwrap();
    assert!(!copies.is_empty());
    copies.push(backed_up(&escrow, 3, "last"));
    let mut shares = Vec::new();
    for (out, keys) in &copies {
        let tried = operator(
            &escrow,
            3,
            &[
                "restore",
                "--drill",
                "--from",
                out.to_str().unwrap(),
                "--keys",
                keys.to_str().unwrap(),
                "--output",
                "json",
            ],
        );
        assert!(tried.status.success(), "{}", said(&tried));
        let report: Value = serde_json::from_slice(&tried.stdout).unwrap();
        assert_eq!((report["schema"].as_str(), report["drill"].as_bool()), (Some("escrow.restore.v1"), Some(true)));
        shares.push(report["shares"].as_u64().unwrap());
    }
    assert!(shares.is_sorted() && shares.last() == Some(&40), "{shares:?}");
    let (out, keys) = copies.last().unwrap();
    let index: Value = serde_json::from_slice(&std::fs::read(out.join("backup.json")).unwrap()).unwrap();
    assert_eq!(index["schema"], "escrow.backup.v1");
    for path in files(out).iter().chain(&files(keys)) {
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions());
        assert_eq!(mode & 0o077, 0, "{} can be read by others", path.display());
    }

    // Nothing is overwritten: neither a backup nor a node.
    let twice = operator(&escrow, 3, &["backup", "--out", out.to_str().unwrap(), "--keys-out", keys.to_str().unwrap()]);
    assert!(!twice.status.success() && said(&twice).contains("exists"), "{}", said(&twice));
    let args = |out: &Path, keys: &Path| -> Vec<String> {
        ["restore", "--from", out.to_str().unwrap(), "--keys", keys.to_str().unwrap()].map(str::to_owned).to_vec()
    };
    let restore = |out: &Path, keys: &Path, more: &[&str]| {
        let args = args(out, keys);
        let args: Vec<&str> = args.iter().map(String::as_str).chain(more.iter().copied()).collect();
        operator(&escrow, 3, &args)
    };
    let refused = restore(out, keys, &[]);
    assert!(!refused.status.success() && said(&refused).contains("holds a node already"), "{}", said(&refused));

    // A damaged backup is refused, and leaves nothing.
    let ended = escrow.cluster.stop(3).unwrap().unwrap();
    assert!(ended.success());
    let (whole, whole_keys) = backed_up(&escrow, 3, "whole");
    let restore = |out: &Path, keys: &Path, more: &[&str]| {
        let args = args(out, keys);
        let args: Vec<&str> = args.iter().map(String::as_str).chain(more.iter().copied()).collect();
        operator(&escrow, 3, &args)
    };
    let data = escrow.config(3).data_dir;
    let moved = escrow.dir().join("moved-away");
    std::fs::rename(&data, &moved).unwrap();
    let damage = |name: &str, how: &dyn Fn(&Path, &Path)| {
        let (a, b) = (escrow.dir().join(format!("{name}-out")), escrow.dir().join(format!("{name}-keys")));
        copy_dir(&whole, &a);
        copy_dir(&whole_keys, &b);
        how(&a, &b);
        let refused = restore(&a, &b, &[]);
        assert!(!refused.status.success(), "{name} was taken: {}", said(&refused));
        let left = if data.exists() { kept(&data) } else { vec![] };
        assert!(left.is_empty(), "{name} left {left:?}");
        said(&refused)
    };
    // Whoever can write the file can take its triggers away first.
    let sql = |out: &Path, change: &str| {
        let db = rusqlite::Connection::open(out.join("node.db")).unwrap();
        let mut names = db.prepare("SELECT name FROM sqlite_master WHERE type = 'trigger'").unwrap();
        let names: Vec<String> = names.query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect();
        names.iter().for_each(|n| db.execute_batch(&format!("DROP TRIGGER {n}")).unwrap());
        assert!(db.execute(change, []).unwrap() > 0, "{change} changes nothing");
    };
    damage("entry", &|out, _| {
        sql(out, "UPDATE entry SET bytes = CAST(replace(CAST(bytes AS TEXT), 'node.ready', 'node.reedy') AS BLOB)");
    });
    damage("shorter", &|out, _| {
        sql(out, "DELETE FROM entry WHERE seq = (SELECT max(seq) FROM entry)");
    });
    damage("share", &|out, _| {
        sql(out, "UPDATE share SET sealed = zeroblob(length(sealed)) WHERE item = (SELECT min(item) FROM share);")
    });
    damage("no-share", &|out, _| sql(out, "DELETE FROM share WHERE item = (SELECT min(item) FROM share);"));
    damage("statement", &|out, _| {
        sql(
            out,
            "UPDATE statement SET bytes = CAST('{}' AS BLOB) WHERE payload = (SELECT max(payload) FROM statement);",
        )
    });
    damage("key-file", &|_, keys| {
        let key = files(&keys.join("deposit-keys")).into_iter().next().unwrap();
        std::fs::write(&key, [0; 60]).unwrap();
    });
    damage("no-key-file", &|_, keys| std::fs::remove_file(&files(&keys.join("deposit-keys"))[0]).unwrap());
    let why = damage("index", &|out, _| {
        let path = out.join("backup.json");
        let mut index: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        index["root"] = Value::String(Digest([7; 32]).to_string());
        std::fs::write(&path, serde_json::to_vec(&index).unwrap()).unwrap();
    });
    assert!(why.contains("backup.json"), "{why}");
    let wrong = restore(&whole, &whole_keys, &["--expect-size", "1"]);
    assert!(!wrong.status.success() && said(&wrong).contains("1 were expected"), "{}", said(&wrong));

    // The whole one comes back, and as nothing happened since, the node simply goes on.
    let index: Value = serde_json::from_slice(&std::fs::read(whole.join("backup.json")).unwrap()).unwrap();
    let done = restore(&whole, &whole_keys, &["--expect-size", &index["size"].to_string()]);
    assert!(done.status.success(), "{}", said(&done));
    assert!(said(&done).contains("ROLLBACK"), "it does not say what happens next: {}", said(&done));
    let names = |dir: &Path| kept(dir).iter().map(|p| p.strip_prefix(dir).unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&data), names(&moved));
    escrow.cluster.start(3).unwrap();
    escrow.ready().await;
}
