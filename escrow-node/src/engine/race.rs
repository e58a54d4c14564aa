//! A release and a withdrawal, raced a thousand times through the real writer over a real
//! database: log order decides, and nothing is ever delivered after the restriction.

use super::*;
use escrow_audit::tree::Hash;
use tokio::sync::Barrier;

const RACES: usize = 1_000;

fn clock() -> Timestamp {
    t0().plus_seconds(120)
}

/// One consent, its deposit, and an approved request for its two items.
struct Racer {
    request: Digest,
    withdrawal: Envelope,
}

impl World {
    /// Logs it at seats 1 and 2.
    fn racer(&mut self) -> Racer {
        let base: Consent = self.engines[0].facts().consent(&self.consent).unwrap().statement.clone();
        let subject = base.subject;
        let consent = Envelope::sign(&Consent { nonce: Nonce::random(), ..base }, &[&self.device]).unwrap();
        let thread = self.tokens.thread("t");
        let (deposit, dealt) =
            deal(&self.charter, &self.device, self.genesis, consent.digest(), subject, thread, &self.threads);
        let mut items = OpenedDeal::parse(&dealt.deal).unwrap().item_ids();
        items.sort();
        let request: Request = self.request("req").decode().unwrap();
        let request = self.signed(&Request { items, ..request }, &["req"]);
        self.request = request.digest();
        let decisions = [("leg", "legal"), ("dpo", "dpo")].map(|(by, role)| self.decision(by, role, Choice::Approve));
        for e in self.engines.iter_mut().take(2) {
            e.submit(&consent).unwrap();
            let row = crate::store::DepositRow { deposit: deposit.digest(), key: [0; 16], shares: vec![] };
            e.deposit(&deposit, &mut Some(row)).unwrap();
            for statement in std::iter::once(&request).chain(&decisions) {
                e.submit(statement).unwrap();
            }
        }
        let withdrawal = Withdrawal {
            kind: Kind::Withdrawal,
            org: w("acme"),
            nonce: Nonce::random(),
            charter: self.genesis,
            consent: consent.digest(),
            subject,
            at: self.now,
        };
        Racer { request: request.digest(), withdrawal: Envelope::sign(&withdrawal, &[&self.device]).unwrap() }
    }

    /// The head of the writer's log, cosigned by seat 2.
    fn cosign(&mut self, writer: &Writer, proof: Vec<Hash>, old: u64) -> VerifiedCheckpoint {
        let mut head = VerifiedCheckpoint::clone(&writer.head().unwrap());
        let request = AddCheckpoint::new(old, proof, &head).unwrap();
        let AddAnswer::Cosigned(line) = self.engines[1].add_checkpoint(&request).unwrap() else { panic!("refused") };
        let key = witness_verifier(&self.charter.org, &self.charter.seats[1]).unwrap();
        assert_eq!(head.add_cosignatures(line.as_bytes(), &[key]), Ok(1));
        head
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_and_a_withdrawal_raced_a_thousand_times() {
    let mut world = World::asked();
    world.now = clock();
    world.engines.iter_mut().for_each(|e| e.begin(clock()));
    let shares = world.shares(0, &world.opened.item_ids());
    let racers: Vec<Racer> = (0..RACES).map(|_| world.racer()).collect();
    let gathered: Vec<_> = racers
        .iter()
        .map(|r| {
            world.request = r.request;
            world.gathered(0, 1)
        })
        .collect();

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("db");
    let (store, reader) = (crate::store::Store::open(&file).unwrap(), crate::store::Store::open_reader(&file).unwrap());
    let engine = world.engines.remove(0);
    world.engines.insert(0, Engine::new(seat_index(1), engine.origin().to_owned(), Arc::clone(&world.keys[0])));
    let chain = Chain::new(engine.origin());
    let (writer, _) = Writer::start(engine, store, reader, chain, surroundings(clock), |why| panic!("{why}")).unwrap();

    let mut old = 0;
    for (i, (racer, (call, permit, answer))) in racers.iter().zip(gathered).enumerate() {
        let authorise = writer
            .run(move |e| e.authorise(&call, &Gathered { permits: &[permit], answers: &[answer] }, Instant::now()));
        let authorised = authorise.await.unwrap().transpose().unwrap();
        let proof = writer.run(move |e| e.tree().consistency_proof(old, e.size()).unwrap_or_default()).await.unwrap();
        let note = world.cosign(&writer, if old == 0 { vec![] } else { proof.into_inner() }, old);
        old = note.size();

        let start = Arc::new(Barrier::new(2));
        let copies: Vec<Share> = shares.iter().map(|s| Share::from_bytes(s.seat(), &*s.to_bytes()).unwrap()).collect();
        // Whoever is let go first by the barrier often wins; a moment's delay evens it out.
        let delays = [i as u64 % 5, i as u64 / 5 % 5].map(|n| Duration::from_micros(40 * n));
        let deliver = {
            let (writer, start) = (writer.clone(), Arc::clone(&start));
            tokio::spawn(async move {
                start.wait().await;
                std::thread::sleep(delays[0]);
                let locked = writer.run(move |e| e.deliver(authorised, &note, |_| Ok(copies))).await.unwrap();
                locked.transpose().map(|d| d.send()).map_err(|r| r.rule)
            })
        };
        let withdraw = {
            let (writer, withdrawal) = (writer.clone(), racer.withdrawal.clone());
            tokio::spawn(async move {
                start.wait().await;
                std::thread::sleep(delays[1]);
                writer.run(move |e| e.submit(&withdrawal).map(|s| s.position)).await.unwrap().into_inner()
            })
        };
        let (delivered, withdrawn) = (deliver.await.unwrap(), withdraw.await.unwrap().unwrap());
        match delivered {
            Ok(d) => assert!(
                d.position < withdrawn,
                "race {i}: delivered at {} after the withdrawal at {withdrawn}",
                d.position
            ),
            Err(rule) => assert_eq!(rule, Rule::ConsentWithdrawn, "race {i}"),
        }
    }
    drop(writer);
    judge(&crate::store::Store::open_reader(&file).unwrap(), &racers);
}

/// What the log on disk says, read without the engine.
fn judge(log: &crate::store::Store, racers: &[Racer]) {
    let mut ends: HashMap<Digest, u64> = HashMap::new();
    let mut delivered: HashMap<String, u64> = HashMap::new();
    let mut aborted = 0;
    let mut at = 0;
    loop {
        let page = log.entries(at, 1_000).unwrap();
        if page.is_empty() {
            break;
        }
        for bytes in page {
            let entry = Entry::decode(&bytes).unwrap();
            match (entry.kind.as_str(), &entry.statement) {
                ("withdrawal", Some(s)) => {
                    ends.insert(Digest(s.stmt), entry.seq);
                }
                ("release.delivered", _) => {
                    delivered.insert(entry.body["request"].as_str().unwrap().to_owned(), entry.seq);
                }
                ("release.aborted", _) => aborted += 1,
                _ => {}
            }
            at = entry.seq + 1;
        }
    }
    for r in racers {
        let withdrawn = ends[&r.withdrawal.digest()];
        if let Some(seq) = delivered.get(&r.request.to_string()) {
            assert!(*seq < withdrawn, "delivered at {seq}, withdrawn at {withdrawn}");
        }
    }
    assert_eq!(delivered.len() + aborted, RACES, "every authorisation has one outcome");
    assert!(!delivered.is_empty() && aborted > 0, "{} to {aborted}: no race", delivered.len());
}
