//! What a failing disk or a sudden death leaves behind: strace makes one system call of one running
//! node fail (EIO, ENOSPC) or kills the node in it, at each write and flush of a deposit and of a
//! release. Afterwards the node starts again, and everything that it ever acknowledged must be there.
//!
//! ```text
//! interop-faults [CASES]     at most so many cases, spread evenly; all without a number
//! ```
//!
//! Checked after every case: the node comes back READY by itself, so nothing that peers cosigned is
//! missing; its log is one chain; every root that it recorded, that a receipt or reply carries, or that a peer
//! has cosigned, is the root of that log at that size; the entry of every receipt and reply is
//! there, and every acknowledged share opens. At the end `verify` finds nothing in an export.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a check that panics has failed

use escrow_audit::checkpoint::{Checkpoint, VerifiedCheckpoint};
use escrow_audit::entry::{Chain, leaf_hash};
use escrow_audit::proof::TlogProof;
use escrow_audit::seat::log_verifier;
use escrow_audit::tree::{Hash, Tree};
use escrow_client::export::Scope;
use escrow_client::{KnownRequest, SealedDeposit, verify_receipt};
use escrow_core::wire::{DepositBody, Released};
use escrow_core::{Blob, Envelope, ItemId, ThreadKey};
use escrow_node::store::Store;
use escrow_node::vault::Vault;
use escrow_tests::cluster::{body, call, item_ids, permits};
use escrow_tests::{Escrow, Subject, seat};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The node that suffers.
const VICTIM: u8 = 3;
/// The calls by which SQLite and key files reach the disk. `write` is left out: the runtime uses it to wake
/// its own threads, and strace cannot tell those from a key file that does not exist yet.
const CALLS: [&str; 7] = ["pwrite64", "fdatasync", "fsync", "ftruncate", "rename", "renameat2", "unlink"];
/// SQLite takes either, as it was built; a full disk is not found out by these.
const FLUSHES: [&str; 2] = ["fdatasync", "fsync"];
const FAULTS: [&str; 3] = ["error=EIO", "error=ENOSPC", "signal=KILL"];
/// Longest wait for a node to end by itself after a fault.
const DEATH: Duration = Duration::from_secs(15);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Action {
    Append,
    Release,
}

#[derive(Clone, Debug)]
struct Case {
    action: Action,
    call: &'static str,
    fault: &'static str,
    nth: usize,
}

/// What the node has acknowledged so far.
#[derive(Default)]
struct Acknowledged {
    /// Position and leaf hash of entries.
    entries: Vec<(u64, Hash)>,
    items: Vec<ItemId>,
    heads: Vec<Vec<u8>>,
    receipts: usize,
    replies: usize,
}

struct World {
    escrow: Escrow,
    subject: Subject,
    request: KnownRequest,
    day: u64,
    acknowledged: Acknowledged,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let most: Option<usize> = std::env::args().nth(1).map(|n| n.parse().expect("usage: interop-faults [CASES]"));
    let mut world = World::start().await;
    let mut cases = Vec::new();
    for action in [Action::Append, Action::Release] {
        let counted = world.count(action).await;
        println!("   {action:?}: {}", shown(&counted));
        let some = |calls: &[&str]| calls.iter().any(|c| counted.get(c).is_some_and(|n| *n > 0));
        let worth = some(&["pwrite64"]) && some(&FLUSHES);
        assert!(worth, "an action without a write and a flush of the database was not caught by strace");
        for (call, count) in counted {
            let nths = (1..=count).flat_map(|nth| FAULTS.map(|fault| Case { action, call, fault, nth }));
            cases.extend(nths.filter(|c| !FLUSHES.contains(&c.call) || c.fault != "error=ENOSPC"));
        }
    }
    let all = cases.len();
    let cases = spread(cases, most.unwrap_or(usize::MAX));
    let mut seen: BTreeMap<(Action, &str, &str, &str), usize> = BTreeMap::new();
    for case in &cases {
        let outcome = world.suffer(case).await;
        *seen.entry((case.action, case.call, case.fault, outcome)).or_default() += 1;
    }
    for ((action, call, fault, outcome), count) in &seen {
        println!("   {action:?} {call} {fault}: {count} x {outcome}");
    }
    let hit: usize = seen.iter().filter(|((.., outcome), _)| *outcome != "not reached").map(|(_, n)| n).sum();
    assert!(hit * 2 > cases.len(), "only {hit} of {} faults were reached", cases.len());
    let exported = world.escrow.client.export(&Scope::Everything).await.unwrap();
    let report = escrow_audit::verify::verify(&exported.bundle.files, &world.escrow.charters().genesis());
    assert_eq!(report.exit_code(), 0, "{:?}", report.findings);
    println!(
        "   {} of {all} faults tried, {hit} reached; {} receipts and {} replies acknowledged, all of them there; the log verifies",
        cases.len(),
        world.acknowledged.receipts,
        world.acknowledged.replies
    );
}

fn shown(counted: &BTreeMap<&'static str, usize>) -> String {
    counted.iter().map(|(call, n)| format!("{n} {call}")).collect::<Vec<_>>().join(", ")
}

/// At most `most` of them, evenly over the list, and of each kind of fault in turn.
fn spread(cases: Vec<Case>, most: usize) -> Vec<Case> {
    let len = cases.len();
    let place = |i: usize| (i * len / most + i % FAULTS.len()).min(len - 1);
    let keep: BTreeSet<usize> = if most >= len { (0..len).collect() } else { (0..most).map(place).collect() };
    cases.into_iter().enumerate().filter(|(at, _)| keep.contains(at)).map(|(_, c)| c).collect()
}

/// strace on the victim, until it is dropped.
struct Strace {
    child: Child,
    out: PathBuf,
}

impl Strace {
    fn attach(pid: u32, out: &Path, inject: Option<&str>) -> Self {
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-e", &format!("trace={}", CALLS.join(","))]);
        if let Some(inject) = inject {
            command.args(["-e", &format!("inject={inject}")]);
        }
        command.args(["-e", "signal=none", "-o"]).arg(out).args(["-p", &pid.to_string()]);
        let _ = fs::remove_file(out);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut this = Self { child: child.expect("strace runs"), out: out.to_owned() };
        this.attached(pid);
        this
    }

    /// Waits until every thread is traced.
    fn attached(&mut self, pid: u32) {
        let until = Instant::now() + DEATH;
        let traced = |task: PathBuf| {
            let status = fs::read_to_string(task.join("status")).unwrap_or_default();
            status.lines().any(|l| l.strip_prefix("TracerPid:").is_some_and(|t| t.trim() != "0"))
        };
        loop {
            let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the node runs");
            if tasks.filter_map(Result::ok).all(|t| traced(t.path())) {
                return;
            }
            if let Ok(Some(_)) = self.child.try_wait() {
                let said = self.child.stderr.take().map(|e| BufReader::new(e).lines().map_while(Result::ok).collect());
                let said: Vec<String> = said.unwrap_or_default();
                panic!("strace cannot attach (is ptrace allowed here?): {}", said.join("; "));
            }
            assert!(Instant::now() < until, "strace does not attach");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn end(mut self) -> String {
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-INT", &pid]).status();
        // strace may wait for ever for a thread of a process that it killed.
        let until = Instant::now() + Duration::from_secs(2);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        fs::read_to_string(&self.out).unwrap_or_default()
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl World {
    async fn start() -> Self {
        let escrow = Escrow::start().await;
        let subject = escrow.subject("maria").await;
        escrow
            .deposit(&subject, (0..3).map(|d| (escrow.about(&subject, "t", d), ThreadKey::generate())).collect())
            .await;
        escrow.open_matter().await;
        let request = escrow.approved(escrow.ask(&["t"], 0, 3)).await;
        Self { escrow, subject, request, day: 10, acknowledged: Acknowledged::default() }
    }

    fn pid(&self) -> u32 {
        let members = self.escrow.cluster.members();
        members.iter().find(|m| m.seat.index == seat(VICTIM)).and_then(escrow_cli::demo::Member::pid).expect("it runs")
    }

    /// How often each call is made, by the thread that makes most of them: strace counts thread by thread.
    async fn count(&mut self, action: Action) -> BTreeMap<&'static str, usize> {
        let prepared = self.prepare(action).await;
        let out = self.escrow.dir().join("strace.out");
        let strace = Strace::attach(self.pid(), &out, None);
        assert!(self.act(prepared).await, "{action:?} does not work without any fault");
        let said = strace.end();
        let mut counts: BTreeMap<(&str, &'static str), usize> = BTreeMap::new();
        for line in said.lines() {
            let mut words = line.splitn(2, ' ');
            let (Some(thread), Some(rest)) = (words.next(), words.next()) else { continue };
            for call in CALLS {
                if rest.trim_start().starts_with(&format!("{call}(")) {
                    *counts.entry((thread, call)).or_default() += 1;
                }
            }
        }
        let mut most: BTreeMap<&'static str, usize> = BTreeMap::new();
        for ((_, call), n) in counts {
            let slot = most.entry(call).or_default();
            *slot = (*slot).max(n);
        }
        most
    }

    /// One case; how it ended.
    async fn suffer(&mut self, case: &Case) -> &'static str {
        // What was acknowledged just before must survive as well.
        let before = self.prepare(Action::Append).await;
        assert!(self.act(before).await, "{case:?}: the node that came back takes no deposit");
        let prepared = self.prepare(case.action).await;
        let pid = self.pid();
        let out = self.escrow.dir().join("strace.out");
        let inject = format!("{}:{}:when={}", case.call, case.fault, case.nth);
        let strace = Strace::attach(pid, &out, Some(&inject));
        let acknowledged = self.act(prepared).await;
        let killed = case.fault == "signal=KILL";
        let log = || fs::read_to_string(&out).unwrap_or_default();
        let hit = |said: &str| said.contains("(INJECTED)") || (killed && !alive(pid));
        // An error in the writer ends the process, once it has said so; one in a key file only the deposit.
        let (begin, moment) = (Instant::now(), Duration::from_secs(1));
        while !acknowledged && hit(&log()) && alive(pid) && begin.elapsed() < DEATH {
            if begin.elapsed() > moment && !poisoned(&self.escrow) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let said = strace.end();
        let (reached, lived) = (hit(&said), alive(pid));
        if lived {
            self.escrow.kill(&[VICTIM]);
        } else {
            let ended = self.escrow.cluster.stop(VICTIM).unwrap().unwrap();
            assert!(!ended.success(), "{case:?}: a node that could not write ended as if all were well");
        }
        self.escrow.cluster.start(VICTIM).unwrap();
        self.escrow.ready().await;
        self.check(case);
        match (reached, lived, acknowledged) {
            (false, ..) => "not reached",
            (true, false, false) => "the node ended, nothing acknowledged",
            (true, false, true) => "the node ended after acknowledging",
            (true, true, false) => "refused, the node lived",
            (true, true, true) => "acknowledged all the same",
        }
    }

    async fn prepare(&mut self, action: Action) -> Prepared {
        match action {
            Action::Append => {
                self.day += 1;
                let about = self.escrow.about(&self.subject, "u", self.day);
                let (digest, consent) = &self.subject.consent;
                let sealed = self.subject.client.seal_deposits((digest, consent), vec![(about, ThreadKey::generate())]);
                Prepared::Deposit(sealed.unwrap().remove(0))
            }
            Action::Release => {
                let verdicts = self.escrow.verdicts(&self.request.digest).await;
                Prepared::Release(permits(&verdicts, &[1, 2]))
            }
        }
    }

    /// Does it at the victim; true if the victim acknowledged it, which is then remembered.
    async fn act(&mut self, prepared: Prepared) -> bool {
        let node = self.escrow.node(VICTIM);
        match prepared {
            Prepared::Deposit(sealed) => {
                let (_, blob) = sealed.blobs.iter().find(|(s, _)| *s == seat(VICTIM)).unwrap();
                let body = DepositBody { deposit: Blob(sealed.envelope.clone()), blob: Blob(blob.clone()) };
                let Ok(answer) = node.deposit(&body).await else { return false };
                let envelope = Envelope::parse(&sealed.envelope).unwrap();
                let receipt = verify_receipt(self.escrow.charters(), seat(VICTIM), &answer, &envelope).unwrap();
                self.acknowledged.entries.push((receipt.receipt.seq, receipt.receipt.leaf.0));
                self.acknowledged.items.extend(item_ids(&sealed.envelope));
                self.acknowledged.head(&receipt.proof);
                self.acknowledged.receipts += 1;
            }
            Prepared::Release(permits) => {
                let call = call(&self.escrow.officer("erik"), &self.request.digest);
                let answer: Result<Released, _> = node.release(&body(&call, &self.request, &permits)).await;
                let Ok(answer) = answer else { return false };
                let seq = TlogProof::parse(answer.proof.as_bytes()).unwrap().index;
                self.acknowledged.entries.push((seq, leaf_hash(&answer.entry.0)));
                self.acknowledged.head(&answer.proof);
                self.acknowledged.replies += 1;
            }
        }
        true
    }

    /// What must hold whatever happened.
    fn check(&self, case: &Case) {
        let config = self.escrow.config(VICTIM);
        let listed = self.escrow.listed(VICTIM);
        let store = Store::open_reader(&config.database()).unwrap();
        // The node runs: what it recorded and what was countersigned is read before the log, which only grows.
        let db = rusqlite::Connection::open(config.database()).unwrap();
        let mut rows = db.prepare("SELECT size, root FROM root").unwrap();
        let rows = rows.query_map([], |r| Ok((r.get::<_, i64>(0)?.unsigned_abs(), r.get::<_, Hash>(1)?))).unwrap();
        let recorded: Vec<(u64, Hash)> = rows.map(Result::unwrap).collect();
        let heads = |peer| Store::open_reader(&self.escrow.config(peer).database()).unwrap().peers().unwrap();
        let of_victim = |(origin, _): &(String, _)| *origin == listed.log_origin;
        let witnessed: Vec<String> =
            [1, 2, 4, 5].into_iter().flat_map(heads).filter(of_victim).map(|(_, head)| head.note).collect();
        let mut chain = Chain::new(&listed.log_origin);
        let mut tree = Tree::new();
        for bytes in store.entries(0, 1_000_000).unwrap() {
            chain.push(&bytes).unwrap_or_else(|e| panic!("{case:?}: {e}"));
            tree.append(leaf_hash(&bytes));
        }
        for (seq, leaf) in &self.acknowledged.entries {
            assert_eq!(tree.leaf(*seq), Some(*leaf), "{case:?}: the acknowledged entry {seq} is not there");
        }
        let vault = Vault::new(config.deposit_keys(), self.escrow.seat_keys(VICTIM).1, seat(VICTIM));
        for item in &self.acknowledged.items {
            let (name, row) = store.share(item).unwrap().unwrap_or_else(|| panic!("{case:?}: item {item} is lost"));
            vault.open(&name, 1, &row).unwrap_or_else(|e| panic!("{case:?}: item {item}: {e}"));
        }
        let mut roots: BTreeMap<u64, Hash> = BTreeMap::new();
        let mut one = |size: u64, root: Hash, from: &str| {
            assert_eq!(*roots.entry(size).or_insert(root), root, "{case:?}: two roots for size {size}, {from}");
            assert_eq!(tree.root_at(size), Some(root), "{case:?}: size {size} of {from} is not on the log's tree");
        };
        recorded.into_iter().for_each(|(size, root)| one(size, root, "the node's own record"));
        let mut signed = |note: &[u8], from: &str| {
            let head: VerifiedCheckpoint =
                Checkpoint::verify(note, &listed.log_origin, &log_verifier(listed).unwrap()).unwrap();
            one(head.size(), *head.root(), from);
        };
        self.acknowledged.heads.iter().for_each(|note| signed(note, "an acknowledgement"));
        witnessed.iter().for_each(|note| signed(note.as_bytes(), "a witness"));
    }
}

enum Prepared {
    Deposit(SealedDeposit),
    Release(Vec<Envelope>),
}

impl Acknowledged {
    fn head(&mut self, proof: &str) {
        self.heads.push(TlogProof::parse(proof.as_bytes()).unwrap().checkpoint.to_bytes());
    }
}

/// True while the process has not ended (a zombie has).
fn alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z') && !rest.starts_with('X'))
}

/// True if the victim's own log says that it stops.
fn poisoned(escrow: &Escrow) -> bool {
    let member = escrow.cluster.members().iter().find(|m| m.seat.index == seat(VICTIM));
    let log = member.map(|m| fs::read_to_string(m.log()).unwrap_or_default()).unwrap_or_default();
    let last = log.rfind("listening; proving").map_or("", |at| &log[at..]);
    last.contains("poisoned")
}
