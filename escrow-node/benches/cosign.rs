//! A round of cosignatures by four real nodes over TLS on loopback, against one flush of the same disk,
//! in turns. `make bench`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)] // a measurement that fails has nothing to say

mod machine;

use escrow_audit::checkpoint::Checkpoint;
use escrow_audit::note::NoteSigner;
use escrow_audit::tree::{Tree, leaf_hash};
use escrow_core::charter::{Charter, Generation, Limits, Person, PersonKey, Policy, Seat, Subject};
use escrow_core::consent::Party;
use escrow_core::{Envelope, Kind, Nonce, SeatIndex, SigningKey, Timestamp};
use escrow_node::Config;
use escrow_node::init::{SeatPlan, init};
use escrow_node::keys::SeatKeys;
use escrow_node::peers::{CosignAnswer, Peers};
use escrow_node::store::Store;
use escrow_node::unlock::PassphraseFile;
use machine::{facts, folder, median, raw};
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const ROUNDS: usize = 101;

fn word<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

fn seat(dir: &Path, n: u8) -> (Config, Seat) {
    let dir = dir.join(format!("node{n}"));
    std::fs::create_dir(&dir).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut phrase =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(dir.join("phrase")).unwrap();
    std::io::Write::write_all(&mut phrase, b"a phrase of this measurement\n").unwrap();
    let file = dir.join("escrow-node.toml");
    let lines = format!("listen = \"127.0.0.1:{port}\"\ndata_dir = \"data\"\npassphrase_file = \"phrase\"\n");
    std::fs::write(&file, lines).unwrap();
    let config = Config::load(&file).unwrap();
    let plan = SeatPlan {
        org: word("acme"),
        index: SeatIndex::new(n).unwrap(),
        name: word(&format!("s{n}")),
        operator: word(&format!("party {n}")),
        operators: vec![word(&format!("op{n}"))],
        jurisdiction: word("DE"),
        url: format!("https://127.0.0.1:{port}"),
    };
    let seat = init(&config, &plan).unwrap();
    (config, seat)
}

/// Three of five, and nothing that a release would need.
fn charter(seats: Vec<Seat>) -> Envelope {
    let keys: Vec<(String, SigningKey)> = ["ann", "bob", "op1", "op2", "op3", "op4", "op5"]
        .map(|n| (n.to_owned(), SigningKey::generate_ed25519()))
        .into();
    let person = |(id, key): &(String, SigningKey)| Person {
        id: word(id),
        name: id.clone(),
        roles: if id.starts_with("op") { vec![] } else { vec![word("admin"), word("registrar")] },
        keys: vec![PersonKey { key: key.public(), from: Timestamp::EPOCH, until: Timestamp::MAX }],
        sealing: None,
        subject: Subject::NoSubject,
    };
    let charter = Charter {
        kind: Kind::Charter,
        org: word("acme"),
        nonce: Nonce::random(),
        demo: false,
        version: 1,
        previous: None,
        voided: vec![],
        issued: escrow_node::node::clock(),
        generations: vec![Generation { number: 1, t: 3, members: seats.iter().map(|s| s.index).collect() }],
        seats,
        people: keys.iter().map(person).collect(),
        policies: vec![Policy {
            id: word("std"),
            schema: 1,
            text: "permit(principal, action, resource) when { context.approvals.legal >= 1 };".into(),
        }],
        admin_quorum: 2,
        registrar_quorum: 2,
        approver_roles: vec![word("legal")],
        basis_signers: vec![],
        token_versions: vec![1],
        controllers: vec![Party {
            id: word("acme"),
            name: word("Acme"),
            kind: word("controller"),
            contact: word("desk"),
            address: word("Example Street 1"),
        }],
        limits: Limits {
            request_life_s: 86_400,
            items_per_request: 100,
            requests_per_requestor_month: 1_000,
            items_per_requestor_month: 100_000,
            permit_life_s: 60,
            notice_delay_days: 30,
            recovery_delay_s: 86_400,
            clock_skew_s: 300,
            charter_grace_s: 3_600,
            sealing_key_days: 365,
        },
    };
    Envelope::sign(&charter, &[&keys[0].1, &keys[1].1]).unwrap()
}

/// Seat 1's log, kept in memory: only the others are measured, and they are real.
struct Log {
    tree: Tree,
    keys: SeatKeys,
    origin: String,
    peers: Arc<Peers>,
    others: Vec<Seat>,
    cosigned: u64,
}

impl Log {
    /// One more entry; all four peers cosign the new head. None if a peer did not.
    async fn round(&mut self) -> Option<Duration> {
        self.tree.append(leaf_hash(&self.tree.size().to_be_bytes()));
        let signer = NoteSigner::new(&self.origin, &self.keys.log).unwrap();
        let start = Instant::now();
        let head = Checkpoint::new(&self.origin, self.tree.size(), self.tree.root()).unwrap().sign(&signer).unwrap();
        let old = self.cosigned;
        let proof = if old == 0 { vec![] } else { self.tree.consistency_proof(old, head.size()).unwrap() };
        let mut round = tokio::task::JoinSet::new();
        for seat in self.others.clone() {
            let (peers, head, proof) = (Arc::clone(&self.peers), head.clone(), proof.clone());
            round.spawn(async move {
                matches!(peers.cosign(&seat, &head, old, proof).await, Ok(CosignAnswer::Cosigned(_)))
            });
        }
        let all = round.join_all().await.into_iter().all(|good| good);
        self.cosigned = head.size();
        all.then(|| start.elapsed())
    }
}

async fn ready(others: &[Seat]) {
    let until = Instant::now() + Duration::from_secs(60);
    for seat in others {
        while !is_ready(seat).await {
            assert!(Instant::now() < until, "seat {} is not READY", seat.index);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

async fn is_ready(seat: &Seat) -> bool {
    let tls = rustls::ClientConfig::builder_with_provider(escrow_core::pin::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(escrow_core::pin::PinnedServer::new(seat.tls_pin))
        .with_no_client_auth();
    let client = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().unwrap();
    let answer = client.get(format!("{}/readyz", seat.url)).send().await;
    answer.is_ok_and(|a| a.status().is_success())
}

fn main() {
    // `cargo test --all-targets` runs this too; nothing is measured then.
    if !std::env::args().any(|a| a == "--bench") {
        return;
    }
    facts();
    let dir = folder();
    let (configs, seats): (Vec<Config>, Vec<Seat>) = (1..=5).map(|n| seat(dir.path(), n)).unzip();
    let genesis = charter(seats.clone());
    for config in &configs {
        let mut store = Store::open(&config.database()).unwrap();
        escrow_node::start::accept(&mut store, &genesis.digest(), vec![genesis.clone()]).unwrap();
    }
    let (keys, _) =
        SeatKeys::load(&configs[0].key_file(), &PassphraseFile(configs[0].passphrase_file.clone())).unwrap();
    let peers = Arc::new(Peers::new(&keys).unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let nodes: Vec<_> = configs.iter().skip(1).cloned().map(|c| tokio::spawn(escrow_node::run(c))).collect();
        let others: Vec<Seat> = seats.iter().skip(1).cloned().collect();
        let origin = seats[0].log_origin.clone();
        ready(&others).await;
        let mut log = Log { tree: Tree::new(), keys, origin, peers, others, cosigned: 0 };
        for _ in 0..10 {
            log.round().await.expect("a peer did not cosign");
        }
        let (mut rounds, mut flushes) = (vec![], vec![]);
        for n in 0..ROUNDS {
            rounds.push(log.round().await.expect("a peer did not cosign").as_secs_f64() * 1e3);
            let file = dir.path().join(format!("flush-{n}.db"));
            let one = [vec![(vec![7; 500], [7; 32])]];
            // The first commit makes the file; the rest of them are flushes.
            let batches: Vec<_> = one.iter().cycle().take(6).cloned().collect();
            flushes.push(raw(&file, &batches).as_secs_f64() * 1e3 / 6.0);
        }
        let (round, flush) = (median(&mut rounds), median(&mut flushes));
        println!(
            "cosign peers=4 round={round:.2} ms flush={flush:.2} ms ratio={:.2} flushes (median of {ROUNDS}; round {:.2} to {:.2} ms)",
            round / flush,
            rounds.first().unwrap(),
            rounds.last().unwrap(),
        );
        nodes.iter().for_each(tokio::task::JoinHandle::abort);
    });
    runtime.shutdown_timeout(Duration::from_secs(5));
}
