//! One escrow of five real nodes with its people: the cluster and the cast of `escrow demo`, and
//! what the tests need around them.

use crate::built::programs;
use escrow_cli::demo::{Cast, Cluster, OPERATORS, ORG, POLICY_ID};
use escrow_client::{
    Ask, Charters, Client, ConsentTerms, Device, FlushOptions, Identity, KnownRequest, NodeError, Outbox, Outcomes,
    VerifiedVerdict, now,
};
use escrow_core::charter::{Basis, Charter, Seat};
use escrow_core::consent::{Consent, Coverage, Floor, NoticeText};
use escrow_core::deal::{About, KeySource, OpenedDeal, Participant};
use escrow_core::decision::Choice;
use escrow_core::deposit::Deposit;
use escrow_core::matter::MatterAction;
use escrow_core::release::ReleaseCall;
use escrow_core::request::Notice;
use escrow_core::sealing::Suite;
use escrow_core::wire::{ReleaseBody, RequestInfo};
use escrow_core::{
    Blob, Digest, Envelope, ItemId, Kind, MatterId, Nonce, Org, SeatIndex, ThreadKey, Timestamp, TokenKey,
};
use escrow_node::Config;
use escrow_node::keys::SeatKeys;
use escrow_node::unlock::{PassphraseFile, StorageKey};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longest wait for nodes to become READY; only a broken node needs so long.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// How the cluster differs from that of the demo.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Filter of the nodes' log lines; `info` if empty.
    pub log_filter: &'static str,
    /// More lines of the nodes' configuration.
    pub config: &'static str,
    /// Changes the charter before it is signed.
    pub charter: Option<fn(&mut Charter)>,
}

/// Five running nodes, officers, a token key. Kills the nodes when dropped.
#[derive(Debug)]
pub struct Escrow {
    /// The processes.
    pub cluster: Cluster,
    /// The officers.
    pub cast: Cast,
    /// Quinn's client.
    pub client: Client,
    /// The organisation's token key.
    pub tokens: TokenKey,
    /// The one matter.
    pub matter: MatterId,
    folder: TempDir,
    _turn: File,
}

/// A custodian with an enrolled device and a consent that covers everything.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Id before it becomes a token.
    pub id: String,
    /// The device's client.
    pub client: Client,
    /// The consent, as it was given.
    pub consent: (Digest, Consent),
}

/// A seat's index.
pub fn seat(n: u8) -> SeatIndex {
    SeatIndex::new(n).unwrap()
}

/// The code of a refusal; `accepted` if there is none.
pub fn code_of<T>(outcome: &Result<T, NodeError>) -> String {
    outcome.as_ref().map_or_else(|e| e.code().to_owned(), |_| "accepted".into())
}

/// Clusters of all tests take turns, those of other test processes included: the machine is small.
pub fn turn() -> File {
    let file = File::create(programs().join("escrow-tests.lock")).unwrap();
    file.lock().unwrap();
    file
}

impl Escrow {
    /// Ceremony and start; all five are READY.
    pub async fn start() -> Self {
        Self::start_with(Options::default()).await
    }

    /// The same, with changes.
    pub async fn start_with(options: Options) -> Self {
        let turn = turn();
        let folder = tempfile::Builder::new().prefix("escrow-tests-").tempdir().unwrap();
        let mut cluster = Cluster::init(folder.path(), ORG, &OPERATORS).unwrap();
        if !options.log_filter.is_empty() {
            for m in cluster.members() {
                let path = m.dir.join("escrow-node.toml");
                let text = std::fs::read_to_string(&path).unwrap();
                let changed =
                    text.replace("log_filter = \"info\"", &format!("log_filter = \"{}\"", options.log_filter));
                assert_ne!(text, changed, "the cluster writes another configuration than this test knows");
                std::fs::write(&path, changed).unwrap();
            }
        }
        for m in cluster.members() {
            let path = m.dir.join("escrow-node.toml");
            let text = std::fs::read_to_string(&path).unwrap();
            std::fs::write(&path, text + options.config).unwrap();
        }
        let cast = Cast::new().unwrap();
        let mut draft = cast.draft(cluster.members().iter().map(|m| m.seat.clone()).collect()).unwrap();
        options.charter.unwrap_or(|_| {})(&mut draft);
        let admins = ["ada", "ben"].map(|a| cast.get(a).unwrap());
        let genesis = Envelope::sign(&draft, &[admins[0].signing().unwrap(), admins[1].signing().unwrap()]).unwrap();
        let charters = Charters::verify(genesis.digest(), vec![genesis]).unwrap();
        let file = folder.path().join("charter.json");
        charters.save(&file).unwrap();
        cluster.accept(&file, &charters.digest()).unwrap();
        cluster.start_all().unwrap();
        cluster.ready(&charters, PATIENCE).await.unwrap();
        let client = Client::new(charters, cast.get("quinn").unwrap()).unwrap();
        let matter = "MAT-1".parse().unwrap();
        Self { cluster, cast, client, tokens: TokenKey::generate(1), matter, folder, _turn: turn }
    }

    /// The folder of everything.
    pub fn dir(&self) -> &Path {
        self.folder.path()
    }

    /// The charter chain.
    pub fn charters(&self) -> &Charters {
        self.client.charters()
    }

    /// The organisation.
    pub fn org(&self) -> &Org {
        &self.charters().current().org
    }

    /// An officer's client.
    pub fn officer(&self, id: &str) -> Client {
        self.client.acting_as(self.cast.get(id).unwrap())
    }

    /// What the charter says of a seat.
    pub fn listed(&self, n: u8) -> &Seat {
        self.charters().seat(seat(n)).unwrap()
    }

    /// A connection to a seat.
    pub fn node(&self, n: u8) -> &escrow_client::Node {
        self.client.node(seat(n)).unwrap()
    }

    /// A node's configuration.
    pub fn config(&self, n: u8) -> Config {
        Config::load(&self.folder.path().join(format!("node{n}")).join("escrow-node.toml")).unwrap()
    }

    /// A node's private keys, as its operator can read them.
    pub fn seat_keys(&self, n: u8) -> (SeatKeys, StorageKey) {
        let config = self.config(n);
        SeatKeys::load(&config.key_file(), &PassphraseFile(config.passphrase_file.clone())).unwrap()
    }

    /// Waits until the running nodes are READY.
    pub async fn ready(&self) {
        self.cluster.ready(self.charters(), PATIENCE).await.unwrap();
    }

    /// Waits until a node says that it is in a state; gives its reason.
    pub async fn state(&self, n: u8, wanted: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let status = self.node(n).status().await;
            if let Ok(s) = &status
                && s.state == wanted
            {
                return s.reason.clone();
            }
            assert!(Instant::now() < until, "node {n} is not {wanted}: {status:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Kills nodes with -9.
    pub fn kill(&mut self, seats: &[u8]) {
        for n in seats {
            self.cluster.kill(*n).unwrap();
        }
    }

    /// Enrols a device and gives consent with it, at all five nodes.
    pub async fn subject(&self, id: &str) -> Subject {
        let token = self.tokens.subject(id);
        let device = Device::generate(token, Suite::XWing);
        let enrolment = self
            .officer("rita")
            .enrolment(vec![device.public()], now().plus_seconds(-60), now().plus_seconds(86_400))
            .unwrap();
        let enrolment = self.officer("rolf").countersign(&enrolment).unwrap();
        assert_eq!(self.client.submit(&enrolment).await.unwrap().accepted(), 5);
        let client = self.client.acting_as(Identity::Device(device));
        let envelope = client.consent(terms(token)).unwrap();
        assert_eq!(client.submit(&envelope).await.unwrap().accepted(), 5);
        let consent = (envelope.digest(), envelope.decode().unwrap());
        Subject { id: id.to_owned(), client, consent }
    }

    /// What a key of a thread on a day (days after 2026-01-01) is about.
    pub fn about(&self, subject: &Subject, thread: &str, day: u64) -> About {
        About {
            source: KeySource::ContentKey,
            thread: self.tokens.thread(thread),
            era: 1,
            epoch: day,
            authenticator: Blob::default(),
            from: at(day),
            to: at(day + 1),
            archive: None,
            participants: vec![Participant { token: self.tokens.subject(&subject.id), inside: true }],
        }
    }

    /// Deposits at all five nodes; the item ids, in order.
    pub async fn deposit(&self, subject: &Subject, items: Vec<(About, ThreadKey)>) -> Vec<ItemId> {
        let (digest, consent) = &subject.consent;
        let sealed = subject.client.seal_deposits((digest, consent), items).unwrap();
        let ids = sealed.iter().flat_map(|d| item_ids(&d.envelope)).collect();
        let outbox = Arc::new(Outbox::open(&self.dir().join("outbox.db")).unwrap());
        outbox.put(&sealed).unwrap();
        let flushed = subject.client.flush(outbox, FlushOptions::default(), Arc::new(|_, _| {})).await.unwrap();
        assert!(flushed.complete(), "{:?}", flushed.failures);
        ids
    }

    /// Opens the matter, at all five nodes.
    pub async fn open_matter(&self) {
        let statement = self.client.matter(self.matter.clone(), MatterAction::Open, None, Digest([7; 32])).unwrap();
        assert_eq!(self.client.submit(&statement).await.unwrap().accepted(), 5);
    }

    /// Quinn's question for some days of threads, to be read by Erik.
    pub fn ask(&self, threads: &[&str], from: u64, to: u64) -> Ask {
        Ask {
            matter: self.matter.clone(),
            basis: Basis::Consent,
            authority: None,
            purpose: "internal-investigation".parse().unwrap(),
            threads: threads.iter().map(|t| self.tokens.thread(t)).collect(),
            from: at(from),
            to: at(to),
            recipient: self.client.recipient(&"erik".parse().unwrap()).unwrap(),
            policy: POLICY_ID.parse().unwrap(),
            notice: Notice::Immediate,
            life_s: 86_400,
        }
    }

    /// Signs the request and submits it to all nodes.
    pub async fn file(&self, ask: Ask) -> KnownRequest {
        let draft = self.client.draft_request(ask).await.unwrap();
        let envelope = self.client.sign(&draft.request).unwrap();
        let _logged = self.client.submit(&envelope).await.unwrap();
        self.known(&envelope.digest()).await
    }

    /// A request that Legal and the DPO have approved at all nodes.
    pub async fn approved(&self, ask: Ask) -> KnownRequest {
        let request = self.file(ask).await;
        self.decide("lena", "legal", &request.digest, Choice::Approve).await;
        self.decide("dora", "dpo", &request.digest, Choice::Approve).await;
        self.known(&request.digest).await
    }

    /// The request as the nodes know it now.
    pub async fn known(&self, digest: &Digest) -> KnownRequest {
        self.client.requests().await.value.into_iter().find(|r| r.digest == *digest).unwrap()
    }

    /// Signs a decision.
    pub fn decision(&self, who: &str, role: &str, request: &Digest, choice: Choice) -> Envelope {
        let client = self.officer(who);
        client.decision(*request, choice, role.parse().unwrap(), "reviewed".parse().unwrap()).unwrap()
    }

    /// Signs a decision and submits it to all nodes.
    pub async fn decide(&self, who: &str, role: &str, request: &Digest, choice: Choice) {
        let decision = self.decision(who, role, request, choice);
        let _logged = self.client.submit(&decision).await.unwrap();
    }

    /// Fresh verdicts of all nodes.
    pub async fn verdicts(&self, request: &Digest) -> Outcomes<VerifiedVerdict> {
        self.client.verdicts(request).await
    }

    /// Replies that a node has delivered, to all requests together.
    pub async fn deliveries(&self, n: u8) -> u64 {
        let list: Vec<RequestInfo> =
            self.client.ask(self.node(n), escrow_core::query::Question::Requests).await.unwrap();
        list.iter().map(|r| r.deliveries).sum()
    }
}

/// A release-call by whoever the client acts as.
pub fn call(client: &Client, request: &Digest) -> Envelope {
    call_at(client, request, now())
}

/// The same, signed at another time.
pub fn call_at(client: &Client, request: &Digest, at: Timestamp) -> Envelope {
    client
        .sign(&ReleaseCall {
            kind: Kind::ReleaseCall,
            org: client.charters().current().org.clone(),
            nonce: Nonce::random(),
            charter: client.charters().digest(),
            request: *request,
            by: client.identity().caller(),
            at,
        })
        .unwrap()
}

/// A body for `POST /v1/releases`.
pub fn body(call: &Envelope, request: &KnownRequest, permits: &[Envelope]) -> ReleaseBody {
    let blob = |e: &Envelope| Blob(e.bytes().to_vec());
    ReleaseBody {
        call: blob(call),
        request: blob(&request.envelope),
        decisions: request.decisions.iter().map(|(_, e)| blob(e)).collect(),
        permits: permits.iter().map(blob).collect(),
    }
}

/// The permits of some seats.
pub fn permits(verdicts: &Outcomes<VerifiedVerdict>, seats: &[u8]) -> Vec<Envelope> {
    let of = |n: &u8| verdicts.good().find(|(s, _)| s.get() == *n).map(|(_, v)| v.envelope.clone());
    seats.iter().map(|n| of(n).unwrap_or_else(|| panic!("node {n} gave no verdict: {verdicts}"))).collect()
}

/// Ids of the items of a signed deposit.
pub fn item_ids(deposit: &[u8]) -> Vec<ItemId> {
    let deposit: Deposit = Envelope::parse(deposit).unwrap().decode().unwrap();
    OpenedDeal::parse(&deposit.deal.0).unwrap().item_ids()
}

/// Midnight, so many days after 2026-01-01.
pub fn at(day: u64) -> Timestamp {
    let start = Timestamp::from_rfc3339("2026-01-01T00:00:00Z").unwrap();
    start.plus_seconds(i64::try_from(day).unwrap() * 86_400)
}

/// Every file below a folder.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { out.extend(files(&path)) } else { out.push(path) }
    }
    out.sort();
    out
}

/// Copies a folder.
pub fn copy_dir(from: &Path, to: &Path) {
    for path in files(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(&path, &target).unwrap();
    }
}

fn terms(subject: escrow_core::Token) -> ConsentTerms {
    ConsentTerms {
        subject,
        coverage: Coverage::Workspace,
        from: at(0),
        to: at(365),
        epochs: None,
        purposes: vec!["internal-investigation".parse().unwrap()],
        basis: Basis::Consent,
        authority: None,
        policies: vec![POLICY_ID.parse().unwrap()],
        floor: Floor { t: 3, n: 5 },
        retention_days: 365,
        notice: NoticeText {
            digest: Digest::of(b"notice"),
            language: "en".parse().unwrap(),
            terms: "immediate".parse().unwrap(),
        },
        expires: now().plus_seconds(365 * 86_400),
        jurisdiction: "DE".parse().unwrap(),
        pii_types: vec!["message-content".parse().unwrap()],
        recipients: vec!["recipient".parse().unwrap()],
        withdrawal_method: "escrow consent withdraw".parse().unwrap(),
    }
}
