//! The engine's rules of release, take-over and witnessing, on engines in memory: three seats, two
//! of three, and a fourth seat that is in the charter but holds no share.
//!
//! That an [`Authorised`] is used for another request needs no test: it carries its request, has
//! no public field, and only [`Engine::authorise`] makes one.

use super::*;
use crate::state::{Standing, State};
use crate::writer::{Committed, Surroundings, Writer};
use escrow_audit::note::{KeyKind, VerifierKey, cosign};
use escrow_audit::seat::{witness_name, witness_verifier};
use escrow_audit::witness::{AddCheckpoint, Refuse};
use escrow_core::charter::*;
use escrow_core::consent::*;
use escrow_core::deal::{About, Deal, Dealer, Dealt, KeySource, OpenedDeal, Participant};
use escrow_core::decision::{Choice, Decision};
use escrow_core::deposit::{Deposit, SeatBlob};
use escrow_core::enrolment::{Device, Enrolment, Revocation, Revoked};
use escrow_core::limits::{CONSENTS_PER_ASK, RESTRICTION_PAGE_BYTES, RESTRICTIONS_PER_ANSWER};
use escrow_core::matter::{Matter, MatterAction};
use escrow_core::open::open_item;
use escrow_core::query::{Query, Question};
use escrow_core::recovery::{SelfRecovery, Veto};
use escrow_core::release::{Caller, Release, ReleaseCall};
use escrow_core::reply::{ReplyContext, open_reply};
use escrow_core::request::*;
use escrow_core::restriction::RestrictionAnswer;
use escrow_core::sealing::{SealingSecret, Suite};
use escrow_core::sharing::Share;
use escrow_core::verdict::{Outcome, Verdict};
use escrow_core::wire::RestrictionAsk;
use escrow_core::{Blob, ItemId, Kind, Nonce, PublicKey, SigningKey, Statement, ThreadKey, TokenKey};
use escrow_policy::Permit;
use escrow_policy::gate::Gathered;
use std::time::{Duration, Instant};

#[path = "race.rs"]
mod race;

const POLICY: &str = "permit(principal, action, resource)
when { context.approvals.legal >= 1 && context.approvals.dpo >= 1 };";

fn w<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

fn t0() -> Timestamp {
    w("2026-11-21T09:00:00.000Z")
}

fn seat_index(n: usize) -> SeatIndex {
    SeatIndex::new(u8::try_from(n).unwrap()).unwrap()
}

/// Engine `n` is seat `n + 1`.
struct World {
    engines: Vec<Engine>,
    keys: Vec<Arc<SeatKeys>>,
    people: BTreeMap<&'static str, SigningKey>,
    officer: SealingSecret,
    device: SigningKey,
    /// The same subject's second device, enrolled when it recovers.
    tablet: SigningKey,
    tablet_sealing: SealingSecret,
    tokens: TokenKey,
    charter: Charter,
    genesis: Digest,
    now: Timestamp,
    consent: Digest,
    opened: OpenedDeal,
    blobs: Vec<(SeatIndex, Vec<u8>)>,
    threads: [ThreadKey; 2],
    request: Digest,
}

fn charter(keys: &[Arc<SeatKeys>], people: &BTreeMap<&'static str, SigningKey>, officer: &SealingSecret) -> Charter {
    let seat = |(i, k): (usize, &Arc<SeatKeys>)| Seat {
        index: seat_index(i + 1),
        name: w(&format!("s{i}")),
        operators: vec![w(&format!("op{i}"))],
        operator: w(&format!("party {i}")),
        jurisdiction: w("DE"),
        url: format!("https://s{i}:1"),
        tls_pin: Digest::of(&[i as u8]),
        statement_key: k.statement.public(),
        log_origin: format!("acme/{i}/log"),
        log_key: k.log_public(),
        witness_key: k.witness_public(),
        sealing: k.sealing.public().clone(),
        previous_log_head: None,
    };
    let person = |(id, key): (&&str, &SigningKey)| Person {
        id: w(id),
        name: id.to_uppercase(),
        roles: match *id {
            "ann" | "bob" => vec![w("admin"), w("registrar")],
            "req" => vec![w("requestor")],
            "leg" => vec![w("legal")],
            "dpo" => vec![w("dpo")],
            _ => vec![],
        },
        keys: vec![PersonKey { key: key.public(), from: Timestamp::EPOCH, until: Timestamp::MAX }],
        sealing: (*id == "off").then(|| officer.public().clone()),
        subject: Subject::NoSubject,
    };
    Charter {
        kind: Kind::Charter,
        org: w("acme"),
        nonce: Nonce::random(),
        demo: false,
        version: 1,
        previous: None,
        voided: vec![],
        issued: t0(),
        seats: keys.iter().enumerate().map(seat).collect(),
        generations: vec![Generation { number: 1, t: 2, members: (1..=3).map(seat_index).collect() }],
        people: people.iter().map(person).collect(),
        policies: vec![Policy { id: w("std"), schema: 1, text: POLICY.into() }],
        admin_quorum: 2,
        registrar_quorum: 2,
        approver_roles: vec![w("dpo"), w("legal")],
        basis_signers: vec![],
        token_versions: vec![1],
        controllers: vec![Party {
            id: "acme.example".parse().unwrap(),
            name: "ACME GmbH".parse().unwrap(),
            kind: "controller".parse().unwrap(),
            contact: "dpo at acme.example".parse().unwrap(),
            address: "Example Street 1".parse().unwrap(),
        }],
        limits: Limits {
            request_life_s: 86_400,
            items_per_request: 100,
            requests_per_requestor_month: 10_000,
            items_per_requestor_month: 100_000,
            permit_life_s: 60,
            notice_delay_days: 30,
            recovery_delay_s: 86_400,
            clock_skew_s: 300,
            charter_grace_s: 3_600,
            sealing_key_days: 365,
        },
    }
}

impl World {
    /// Everything up to a request for two items, at all three seats.
    fn asked() -> Self {
        let keys: Vec<_> = (0..4).map(|_| Arc::new(SeatKeys::generate().unwrap())).collect();
        let names = ["ann", "bob", "dpo", "leg", "off", "op0", "op1", "op2", "op3", "req"];
        let people = names.into_iter().map(|n| (n, SigningKey::generate_ed25519())).collect();
        let officer = SealingSecret::generate(Suite::XWing);
        let charter = charter(&keys, &people, &officer);
        let genesis = Envelope::sign(&charter, &[&people["ann"], &people["bob"]]).unwrap();
        let engine = |n: usize| {
            let mut e = Engine::new(seat_index(n + 1), format!("acme/{n}/log"), Arc::clone(&keys[n]));
            e.begin(t0());
            e.append(&Event::Genesis { seat: e.seat }, Some(&genesis)).unwrap();
            e
        };
        let engines = (0..3).map(engine).collect();
        let (device, tokens) = (SigningKey::generate_ed25519(), TokenKey::generate(1));
        let threads = [ThreadKey::generate(), ThreadKey::generate()];
        let (subject, policy) = (tokens.subject("sam"), charter.policies[0].digest());
        let enrolment = Enrolment {
            kind: Kind::Enrolment,
            org: w("acme"),
            nonce: Nonce::random(),
            charter: genesis.digest(),
            devices: vec![Device {
                subject,
                key: device.public(),
                sealing: SealingSecret::generate(Suite::XWing).public().clone(),
            }],
            from: Timestamp::EPOCH,
            until: Timestamp::MAX,
        };
        let consent = Consent {
            kind: Kind::Consent,
            org: w("acme"),
            nonce: Nonce::random(),
            charter: genesis.digest(),
            subject,
            coverage: Coverage::Workspace,
            from: t0(),
            to: t0().plus_seconds(86_400),
            epochs: None,
            purposes: vec![w("inquiry")],
            basis: Basis::Consent,
            authority: None,
            policies: vec![PolicyRef { id: w("std"), digest: policy }],
            floor: Floor { t: 2, n: 3 },
            retention_days: 30,
            notice: NoticeText { digest: Digest::of(b"notice"), language: w("de"), terms: w("immediate") },
            expires: t0().plus_seconds(30 * 86_400),
            record: Record {
                schema_version: w("1"),
                record_id: w("r1"),
                jurisdiction: w("DE"),
                pii_types: vec!["message-content".parse().unwrap()],
                controllers: vec![Party {
                    id: "acme.example".parse().unwrap(),
                    name: "ACME GmbH".parse().unwrap(),
                    kind: "controller".parse().unwrap(),
                    contact: "dpo at acme.example".parse().unwrap(),
                    address: "Example Street 1".parse().unwrap(),
                }],
                storage_locations: vec!["DE".parse().unwrap()],
                recipients: vec!["by-request".parse().unwrap()],
                withdrawal_method: w("app"),
                event_time: t0(),
                event_type: w("explicit"),
                event_state: w("given"),
                entity_id: w("subject"),
            },
        };
        let consent = Envelope::sign(&consent, &[&device]).unwrap();
        let (deposit, dealt) =
            deal(&charter, &device, genesis.digest(), consent.digest(), subject, tokens.thread("t"), &threads);
        let opened = OpenedDeal::parse(&dealt.deal).unwrap();
        let mut world = Self {
            engines,
            keys,
            people,
            officer,
            device,
            tablet: SigningKey::generate_ed25519(),
            tablet_sealing: SealingSecret::generate(Suite::XWing),
            tokens,
            charter,
            genesis: genesis.digest(),
            now: t0(),
            consent: consent.digest(),
            opened,
            blobs: dealt.blobs,
            threads,
            request: Digest([0; 32]),
        };
        world.submit(&world.signed(&enrolment, &["ann", "bob"]));
        world.submit(&consent);
        world.tick(1);
        for n in 0..3 {
            assert_eq!(world.shares(n, &world.opened.item_ids()).len(), 2);
            let row = crate::store::DepositRow { deposit: deposit.digest(), key: [n as u8; 16], shares: vec![] };
            assert!(world.engines[n].deposit(&deposit, &mut Some(row)).unwrap().new);
        }
        let matter = Matter {
            kind: Kind::Matter,
            org: w("acme"),
            nonce: Nonce::random(),
            charter: world.genesis,
            matter: w("MAT-1"),
            action: MatterAction::Open,
            previous: None,
            by: w("req"),
            title: Digest::of(b"title"),
            at: world.now,
        };
        world.submit(&world.signed(&matter, &["req"]));
        let request = world.request("req");
        world.request = request.digest();
        world.submit(&request);
        world
    }

    /// [`World::asked`] and both approvals: every gate permits.
    fn approved() -> Self {
        let mut world = Self::asked();
        world.submit(&world.decision("leg", "legal", Choice::Approve));
        world.submit(&world.decision("dpo", "dpo", Choice::Approve));
        world
    }

    /// The subject's second device, enrolled just now, asks for what the first deposited, and both
    /// approve. It takes a day until anything comes of it.
    fn recovering() -> Self {
        let mut world = Self::asked();
        let subject = world.tokens.subject("sam");
        let device = Device { subject, key: world.tablet.public(), sealing: world.tablet_sealing.public().clone() };
        let enrolment = Enrolment {
            kind: Kind::Enrolment,
            org: w("acme"),
            nonce: Nonce::random(),
            charter: world.genesis,
            devices: vec![device],
            from: Timestamp::EPOCH,
            until: Timestamp::MAX,
        };
        let enrolment = world.signed(&enrolment, &["ann", "bob"]);
        world.submit(&enrolment);
        world.tick(100);
        let mut items = world.opened.item_ids();
        items.sort();
        let recovery = SelfRecovery {
            kind: Kind::SelfRecovery,
            org: w("acme"),
            nonce: Nonce::random(),
            charter: world.genesis,
            subject,
            enrolment: enrolment.digest(),
            key: world.tablet.public(),
            sealing: world.tablet_sealing.public().digest(),
            items,
            policy: w("std"),
            created: world.now,
            expires: world.now.plus_seconds(86_400),
        };
        let recovery = Envelope::sign(&recovery, &[&world.tablet]).unwrap();
        world.request = recovery.digest();
        world.submit(&recovery);
        world.submit(&world.decision("leg", "legal", Choice::Approve));
        world.submit(&world.decision("dpo", "dpo", Choice::Approve));
        world
    }

    fn veto(&self, recovery: Digest) -> Envelope {
        let veto = Veto {
            kind: Kind::Veto,
            org: w("acme"),
            nonce: Nonce::random(),
            charter: self.genesis,
            recovery,
            by: Caller::Device(self.device.public()),
            reason: w("not-me"),
            at: self.now,
        };
        Envelope::sign(&veto, &[&self.device]).unwrap()
    }

    fn tick(&mut self, seconds: i64) {
        self.now = self.now.plus_seconds(seconds);
        self.engines.iter_mut().for_each(|e| e.begin(self.now));
    }

    fn submit(&mut self, envelope: &Envelope) {
        self.tick(1);
        for e in &mut self.engines {
            assert!(e.submit(envelope).unwrap().new);
        }
    }

    fn signed<T: Statement>(&self, statement: &T, who: &[&str]) -> Envelope {
        let keys: Vec<_> = who.iter().map(|n| &self.people[n]).collect();
        Envelope::sign(statement, &keys).unwrap()
    }

    fn request(&self, by: &str) -> Envelope {
        let mut items = self.opened.item_ids();
        items.sort();
        let request = Request {
            kind: Kind::Request,
            org: w("acme"),
            nonce: Nonce::random(),
            charter: self.genesis,
            matter: w("MAT-1"),
            by: w(by),
            basis: Basis::Consent,
            authority: None,
            purpose: w("inquiry"),
            scope: Scope { threads: vec![self.tokens.thread("t")], from: t0(), to: t0().plus_seconds(60) },
            selection: None,
            items,
            counts: Counts { items: 2, threads: 1 },
            recipient: Recipient::Person(RecipientPerson { id: w("off"), sealing: self.officer.public().digest() }),
            policy: w("std"),
            notice: Notice::Immediate,
            created: self.now,
            expires: self.now.plus_seconds(3_600),
        };
        self.signed(&request, &[by])
    }

    fn decision(&self, by: &str, role: &str, choice: Choice) -> Envelope {
        let decision = Decision {
            kind: Kind::Decision,
            org: w("acme"),
            nonce: Nonce::random(),
            charter: self.genesis,
            request: self.request,
            by: w(by),
            role: w(role),
            choice,
            reason: w("r"),
            at: self.now,
        };
        self.signed(&decision, &[by])
    }

    fn revocation(&self, key: PublicKey) -> Envelope {
        let revocation = Revocation {
            kind: Kind::Revocation,
            org: w("acme"),
            nonce: Nonce::random(),
            charter: self.genesis,
            revokes: Revoked::Key(key),
            reason: w("lost"),
            at: self.now,
        };
        self.signed(&revocation, &["ann", "bob"])
    }

    /// Seat `n + 1`'s shares, opened from its blob again, in the order asked for.
    fn shares(&self, n: usize, items: &[ItemId]) -> Vec<Share> {
        let (seat, blob) = &self.blobs[n];
        let mut shares = self.opened.verify_blob(*seat, &self.keys[n].sealing, blob).unwrap();
        let order = |item| self.opened.item_ids().iter().position(|i| i == item).unwrap();
        if items.iter().map(order).eq([1, 0]) {
            shares.reverse();
        }
        shares
    }

    /// A call of the requestor, a permit of `p`, and its answer to `n` about restrictions.
    fn gathered(&mut self, n: usize, p: usize) -> (Envelope, Envelope, Envelope) {
        let recovers = self.engines[n].facts().request(&self.request).is_some_and(|r| r.recovery.is_some());
        let call = ReleaseCall {
            kind: Kind::ReleaseCall,
            org: w("acme"),
            nonce: Nonce::random(),
            charter: self.genesis,
            request: self.request,
            by: if recovers { Caller::Device(self.tablet.public()) } else { Caller::Person(w("req")) },
            at: self.now,
        };
        let call = match recovers {
            true => Envelope::sign(&call, &[&self.tablet]).unwrap(),
            false => self.signed(&call, &["req"]),
        };
        let (permit, _) = self.engines[p].verdict(&self.request, None).unwrap();
        let concerns = self.engines[n].facts().concerns(&self.request);
        let ask = RestrictionAsk {
            nonce: Nonce::random(),
            request: Some(self.request),
            matter: concerns.matter,
            consents: concerns.consents.into_iter().collect(),
            revocable: concerns.revocable.into_iter().collect(),
            after: 0,
        };
        let answer = self.engines[p].restrictions(seat_index(n + 1), &ask, true).unwrap().answer.unwrap();
        (call, permit, answer)
    }

    /// Authorises at `n` with the permit and the answer of `p`, collected since `since`.
    fn authorise(&mut self, n: usize, p: usize, since: Instant) -> Committed<Logged<Authorised>> {
        let (call, permit, answer) = self.gathered(n, p);
        let gathered = Gathered { permits: &[permit], answers: &[answer] };
        Committed::assumed(self.engines[n].authorise(&call, &gathered, since).unwrap())
    }

    /// Asks `p` to cosign the head of `n`, told that it holds size `old`.
    fn ask_to_cosign(&mut self, n: usize, p: usize, old: u64) -> (VerifiedCheckpoint, AddAnswer) {
        let head = self.engines[n].checkpoint().unwrap();
        let proof = self.engines[n].tree().consistency_proof(old, head.size()).unwrap();
        let proof = if old == 0 { vec![] } else { proof };
        let request = AddCheckpoint::new(old, proof, &head).unwrap();
        let answer = self.engines[p].add_checkpoint(&request).unwrap();
        (head, answer)
    }

    /// The head of `n`, cosigned by `p`.
    fn cosigned(&mut self, n: usize, p: usize) -> VerifiedCheckpoint {
        let old = self.engines[p].witnessed(self.engines[n].origin()).map_or(0, |h| h.size);
        let (mut head, answer) = self.ask_to_cosign(n, p, old);
        let AddAnswer::Cosigned(line) = answer else { panic!("{answer:?}") };
        let key = witness_verifier(&self.charter.org, &self.charter.seats[p]).unwrap();
        assert_eq!(head.add_cosignatures(line.as_bytes(), &[key]), Ok(1));
        head
    }

    /// Delivers at seat 1 and says why not, having checked what must follow from a refusal: the
    /// shares were never asked for, and the log's last word is that nothing was delivered.
    fn refused(mut self, authorised: Committed<Logged<Authorised>>, note: &VerifiedCheckpoint) -> Rule {
        let (seq, before) = (authorised.seq(), self.engines[0].size());
        let mut asked_for = false;
        let outcome = self.engines[0].deliver(authorised, note, |_| {
            asked_for = true;
            Ok(vec![])
        });
        let rule = outcome.unwrap_err().rule;
        assert!(!asked_for, "{rule}: the shares were opened");
        let e = &self.engines[0];
        assert_eq!(e.size(), before + 1, "{rule}");
        let last = last_entry(e);
        assert_eq!((last.kind.as_str(), &last.body["authorized"]), ("release.aborted", &seq.into()), "{rule}");
        assert_eq!(last.body["reason"], rule.code());
        assert_eq!(e.facts().open_authorisations().count(), 0, "{rule}");
        rule
    }
}

fn deal(
    charter: &Charter,
    device: &SigningKey,
    genesis: Digest,
    consent: Digest,
    depositor: escrow_core::Token,
    thread: escrow_core::Token,
    keys: &[ThreadKey; 2],
) -> (Envelope, Dealt) {
    let header = Deal {
        org: w("acme"),
        nonce: Nonce::random(),
        generation: 1,
        t: 2,
        n: 3,
        consent,
        policies: vec![PolicyRef { id: w("std"), digest: charter.policies[0].digest() }],
        depositor,
        items: vec![],
    };
    let about = |epoch| About {
        source: KeySource::Mls10,
        thread,
        era: 0,
        epoch,
        authenticator: Blob(vec![]),
        from: t0(),
        to: t0().plus_seconds(60),
        archive: None,
        participants: vec![Participant { token: depositor, inside: true }],
    };
    let copy = |k: &ThreadKey| ThreadKey::from_bytes(zeroize::Zeroizing::new(*k.expose()));
    let seats: Vec<_> = charter.seats.iter().take(3).map(|s| (s.index, s.sealing.clone())).collect();
    let items = [(about(1), copy(&keys[0])), (about(2), copy(&keys[1]))];
    let dealt = Dealer { header, seats: &seats }.deal(&items).unwrap();
    let deposit = Deposit {
        kind: Kind::Deposit,
        org: w("acme"),
        nonce: Nonce::random(),
        charter: genesis,
        depositor,
        deal: Blob(dealt.deal.clone()),
        blobs: dealt.blobs.iter().map(|(seat, b)| SeatBlob { seat: *seat, sha256: Digest::of(b) }).collect(),
        at: t0(),
    };
    (Envelope::sign(&deposit, &[device]).unwrap(), dealt)
}

fn last_entry(e: &Engine) -> Entry {
    Entry::decode(&e.batch.entries.last().unwrap().bytes).unwrap()
}

fn surroundings(clock: fn() -> Timestamp) -> Surroundings {
    let standing = Arc::new(Standing::new(State::Ready));
    // Both clocks stand still: none of them is an anomaly.
    Surroundings { monotonic: Box::new(|| Duration::ZERO), ..Surroundings::new(clock, standing) }
}

/// Runs a job in a real writer, the only one who can open what the engine locks, over the log so far.
async fn durable<T: Send + 'static>(
    engine: Engine,
    clock: fn() -> Timestamp,
    job: impl FnOnce(&mut Engine) -> T + Send + 'static,
) -> Committed<T> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("db");
    let (store, reader) = (crate::store::Store::open(&file).unwrap(), crate::store::Store::open_reader(&file).unwrap());
    let chain = Chain::new(engine.origin());
    let (writer, _) = Writer::start(engine, store, reader, chain, surroundings(clock), |why| panic!("{why}")).unwrap();
    writer.run(job).await.unwrap()
}

/// Authorises, cosigns and delivers at two seats; what the holder of the key then opens is what was deposited.
async fn round(mut world: World, holder: SealingSecret, clock: fn() -> Timestamp) {
    let mut rounds = vec![];
    for (n, p, witness) in [(0, 1, 1), (1, 0, 2)] {
        let authorised = world.authorise(n, p, Instant::now());
        let note = world.cosigned(n, witness);
        rounds.push((n, authorised, note));
    }
    let recipient = holder.public().digest();
    let mut shares: Vec<Vec<Share>> = vec![];
    for (n, authorised, note) in rounds.into_iter().rev() {
        let items = world.engines[n].facts().request(&world.request).unwrap().items().to_vec();
        let own = world.shares(n, &items);
        let engine = world.engines.remove(n);
        let asked = items.clone();
        let open = move |p: &Permit| if p.items == asked { Ok(own) } else { panic!("other items: {p:?}") };
        let job = move |e: &mut Engine| e.deliver(authorised, &note, open);
        let delivered = durable(engine, clock, job).await.transpose().unwrap().send();
        let release: Release = delivered.release.decode().unwrap();
        let key = world.keys[n].statement.public();
        assert!(delivered.release.signers(|_| vec![key.clone()]).unwrap().iter().eq([&key]));
        assert_eq!((release.reply, release.attempt, &release.items), (Digest::of(&delivered.reply), 1, &items));
        assert_eq!(release.recipient, recipient);
        let context = ReplyContext {
            genesis: world.genesis,
            request: world.request,
            seat: seat_index(n + 1),
            generation: 1,
            recipient,
        };
        shares.push(open_reply(&context, &holder, &delivered.reply, 2).unwrap());
        // What came is in request order.
        if world.opened.item_ids() != items {
            shares.last_mut().unwrap().reverse();
        }
    }
    for (position, thread) in world.threads.iter().enumerate() {
        let pair: Vec<&Share> = shares.iter().map(|s| &s[position]).collect();
        let item = open_item(&world.opened, position, &pair).unwrap();
        assert_eq!((item.key.expose(), item.culprits), (thread.expose(), vec![]));
    }
}

#[tokio::test]
async fn a_whole_round_gives_the_recipient_what_was_deposited() {
    let mut world = World::approved();
    let holder = std::mem::replace(&mut world.officer, SealingSecret::generate(Suite::XWing));
    round(world, holder, || t0().plus_seconds(120)).await;
}

#[tokio::test]
async fn a_whole_self_recovery_gives_the_device_what_its_subject_deposited() {
    let mut world = World::recovering();
    let outcome = |world: &mut World, n: usize| {
        let verdict = world.engines[n].verdict(&world.request, None).unwrap().0;
        verdict.decode::<Verdict>().unwrap()
    };
    // A day has to pass first, time in which the other device can veto.
    let early = outcome(&mut world, 0);
    assert_eq!((early.outcome, early.reasons), (Outcome::Refuse, vec![w("recovery-delay")]));
    let (call, ..) = world.gathered(0, 1);
    let none = Gathered { permits: &[], answers: &[] };
    assert_eq!(world.engines[0].authorise(&call, &none, Instant::now()).unwrap_err().rule, Rule::RecoveryDelay);
    world.tick(86_290);
    assert_eq!(outcome(&mut world, 0).outcome, Outcome::Refuse);
    world.tick(10);
    let permit = outcome(&mut world, 0);
    assert_eq!((permit.outcome, permit.decisions.len()), (Outcome::Permit, 2));
    let holder = std::mem::replace(&mut world.tablet_sealing, SealingSecret::generate(Suite::XWing));
    round(world, holder, || t0().plus_seconds(86_420)).await;
}

#[test]
fn a_veto_between_authorisation_and_delivery_stops_it() {
    let mut world = World::recovering();
    world.tick(86_300);
    let authorised = world.authorise(0, 1, Instant::now());
    let note = world.cosigned(0, 1);
    let veto = world.veto(world.request);
    world.engines[0].submit(&veto).unwrap();
    assert_eq!(world.refused(authorised, &note), Rule::RecoveryVetoed);
}

#[test]
fn a_veto_that_a_peer_alone_has_seen_stops_it_by_its_answer() {
    let mut world = World::recovering();
    world.tick(86_300);
    let veto = world.veto(world.request);
    world.engines[1].submit(&veto).unwrap();
    // The permit is another seat's, the answer is the one of the seat that knows.
    let (call, permit, _) = world.gathered(0, 2);
    let (_, _, answer) = world.gathered(0, 1);
    let gathered = Gathered { permits: &[permit], answers: &[answer] };
    let refused = |world: &mut World| world.engines[0].authorise(&call, &gathered, Instant::now()).unwrap_err().rule;
    assert_eq!(refused(&mut world), Rule::AnswerInvalid, "named and not handed over");
    assert_eq!(world.engines[0].take_over(std::slice::from_ref(&veto)), []);
    assert_eq!(refused(&mut world), Rule::RecoveryVetoed);
}

#[test]
fn a_restriction_refused_here_makes_an_answer_usable_once_that_is_logged() {
    let mut world = World::recovering();
    world.tick(86_300);
    let veto = world.veto(world.request);
    world.engines[1].submit(&veto).unwrap();
    let (call, permit, _) = world.gathered(0, 2);
    let (_, _, answer) = world.gathered(0, 1);
    // Here the vetoing device was revoked before its veto came.
    let revocation = world.revocation(world.device.public());
    world.engines[0].submit(&revocation).unwrap();
    let gathered = Gathered { permits: &[permit], answers: std::slice::from_ref(&answer) };
    let e = &mut world.engines[0];
    assert_eq!(e.take_over(std::slice::from_ref(&veto)), std::slice::from_ref(&veto));
    assert_eq!(e.authorise(&call, &gathered, Instant::now()).unwrap_err().rule, Rule::AnswerInvalid);
    // What is not named is not logged.
    let size = e.size();
    e.take_over_answer(std::slice::from_ref(&veto), &[]);
    assert_eq!(e.size(), size);
    for _ in 0..2 {
        e.take_over_answer(std::slice::from_ref(&veto), &[veto.digest()]);
        assert_eq!((e.size(), last_entry(e).kind.as_str()), (size + 1, "refused"), "logged once");
    }
    assert!(e.facts().was_refused(&veto.digest()));
    assert!(e.authorise(&call, &gathered, Instant::now()).is_ok());
}

#[test]
fn a_page_ends_by_bytes_and_has_one_restriction_at_least() {
    let mut world = World::asked();
    let before = world.engines[0].size();
    let all: Vec<Envelope> = (0u8..3).map(|n| world.veto(Digest::of(&[n]))).collect();
    for e in &all {
        world.engines[0].submit(e).unwrap();
    }
    let e = &mut world.engines[0];
    // As if each were half a page and a little more, and the last more than a page.
    for (restriction, bytes) in all.iter().zip([1, 1, 3]) {
        e.envelopes.get_mut(&restriction.digest()).unwrap().bytes = RESTRICTION_PAGE_BYTES / 2 * bytes + 1;
    }
    for (n, restriction) in all.iter().enumerate() {
        let page = e.restrictions(seat_index(2), &ask_all(before + n as u64), true).unwrap();
        assert_eq!(page.statements, [restriction.digest()]);
        assert_eq!((page.upto, page.complete), (before + n as u64 + 1, n == 2));
    }
}

fn ask_all(after: u64) -> RestrictionAsk {
    RestrictionAsk { nonce: Nonce::random(), request: None, matter: None, consents: vec![], revocable: vec![], after }
}

#[test]
fn all_restrictions_come_in_pages_and_a_peer_that_takes_them_over_knows_as_much() {
    let mut world = World::asked();
    let close = Matter {
        kind: Kind::Matter,
        org: w("acme"),
        nonce: Nonce::random(),
        charter: world.genesis,
        matter: w("MAT-1"),
        action: MatterAction::Close,
        previous: None,
        by: w("req"),
        title: Digest::of(b"title"),
        at: world.now,
    };
    let opening = world.engines[0].facts().matter(&w("MAT-1")).unwrap().head().unwrap().digest;
    let mut all = vec![world.signed(&Matter { previous: Some(opening), ..close }, &["req"])];
    all.extend((0..RESTRICTIONS_PER_ANSWER + 30).map(|n| world.veto(Digest::of(&n.to_be_bytes()))));
    for e in &all {
        world.engines[0].submit(e).unwrap();
    }
    let expected: Vec<Digest> = all.iter().map(Envelope::digest).collect();
    let [zero, one, _] = world.engines.as_mut_slice() else { panic!("three engines") };
    let (mut after, mut named, mut pages) = (0, vec![], 0);
    loop {
        let ask = ask_all(after);
        let page = zero.restrictions(seat_index(2), &ask, true).unwrap();
        let answer: RestrictionAnswer = page.answer.unwrap().decode().unwrap();
        assert_eq!((answer.asked, answer.asker, answer.request), (ask.nonce, seat_index(2), None));
        assert_eq!((answer.after, answer.upto), (after, page.upto));
        assert!(answer.restrictions.len() <= RESTRICTIONS_PER_ANSWER);
        assert!(answer.restrictions.iter().all(|d| page.statements.contains(d)), "each is handed over");
        // In the order of the log; the opening comes along, before the closing that needs it.
        let statements = page.statements.iter().filter(|d| **d != opening);
        named.extend(statements.copied());
        if pages == 0 {
            assert_eq!(page.statements[..2], [opening, expected[0]]);
        }
        pages += 1;
        after = page.upto;
        if page.complete {
            break;
        }
    }
    assert_eq!((pages, after), (2, zero.size()));
    assert_eq!(named, expected);
    let again = zero.restrictions(seat_index(2), &ask_all(after), true).unwrap();
    assert_eq!((again.statements, again.upto, again.complete), (vec![], after, true));
    // From a position that the log does not have yet, and a log that is shorter than once asked.
    let beyond = zero.restrictions(seat_index(2), &ask_all(after + 7), true).unwrap();
    assert_eq!((beyond.statements, beyond.upto, beyond.complete), (vec![], after + 7, true));

    assert_eq!(one.take_over(&all), []);
    assert!(one.facts().restrictions().eq(expected.iter().copied()));
    let size = one.size();
    assert_eq!((one.take_over(&all), one.size()), (vec![], size));
}

#[test]
fn a_question_about_a_request_is_answered_also_by_who_missed_it() {
    let mut world = World::asked();
    let withdrawal = Withdrawal {
        kind: Kind::Withdrawal,
        org: w("acme"),
        nonce: Nonce::random(),
        charter: world.genesis,
        consent: world.consent,
        subject: world.tokens.subject("sam"),
        at: world.now,
    };
    let withdrawal = Envelope::sign(&withdrawal, &[&world.device]).unwrap();
    world.engines[1].submit(&withdrawal).unwrap();
    let ask = RestrictionAsk {
        nonce: Nonce::random(),
        request: Some(Digest::of(b"never came here")),
        matter: Some(w("MAT-1")),
        consents: vec![world.consent],
        revocable: vec![],
        after: 17,
    };
    let e = &mut world.engines[1];
    let said = e.restrictions(seat_index(1), &ask, true).unwrap();
    let answer: RestrictionAnswer = said.answer.unwrap().decode().unwrap();
    assert_eq!(answer.restrictions, [withdrawal.digest()]);
    assert_eq!((answer.matter, answer.consents), (ask.matter.clone(), ask.consents.clone()));
    assert_eq!((answer.after, answer.upto, said.complete), (0, e.size(), true), "about a request the whole log counts");
    assert_eq!(said.statements, [world.consent, withdrawal.digest()], "with the consent that it ends");
    // Nothing is signed by a node that is not READY; what it knows it hands over all the same.
    let unproven = e.restrictions(seat_index(1), &ask, false).unwrap();
    assert_eq!((unproven.answer, unproven.statements.len()), (None, 2));
    // Too much asked, out of order, or twice.
    let many = (0..=CONSENTS_PER_ASK).map(|n| Digest::of(&n.to_be_bytes())).collect::<std::collections::BTreeSet<_>>();
    let two = [Digest([1; 32]), Digest([2; 32])];
    for consents in [many.into_iter().collect(), vec![two[1], two[0]], vec![two[0], two[0]]] {
        let ask = RestrictionAsk { consents, ..ask.clone() };
        assert_eq!(e.restrictions(seat_index(1), &ask, true).err().map(|r| r.rule), Some(Rule::Malformed));
    }
}

#[test]
fn one_call_authorises_once_and_one_seats_rubbish_stops_nobody() {
    let mut world = World::approved();
    let (call, permit, answer) = world.gathered(0, 1);
    let (_, others, to_another) = world.gathered(1, 0);
    let approval = world.decision("leg", "legal", Choice::Approve);
    let e = &mut world.engines[0];
    let none = Gathered { permits: std::slice::from_ref(&others), answers: std::slice::from_ref(&answer) };
    let refusal = e.authorise(&call, &none, Instant::now()).unwrap_err();
    assert_eq!((refusal.rule, last_entry(e).kind.as_str()), (Rule::PermitsMissing, "refused"), "its own permit");
    // A receipt is no permit, an answer to another seat no answer; neither is named in the log.
    let receipt = e.submit(&approval).unwrap().receipt;
    let gathered = Gathered { permits: &[receipt, permit.clone()], answers: &[to_another, answer.clone()] };
    let authorised = Committed::assumed(e.authorise(&call, &gathered, Instant::now()).unwrap());
    let entry = last_entry(e);
    assert_eq!((entry.seq, entry.kind.as_str()), (authorised.seq(), "release.authorized"));
    assert_eq!(entry.body["permits"], serde_json::json!([permit.digest()]));
    assert_eq!(entry.body["answers"], serde_json::json!([answer.digest()]));
    assert_eq!(e.authorise(&call, &gathered, Instant::now()).unwrap_err().rule, Rule::ClockSkew, "used before");
    assert_eq!(e.facts().open_authorisations().count(), 1);
}

#[test]
fn nothing_leaves_without_a_note_that_enough_other_members_cosigned() {
    type Note = fn(&mut World, VerifiedCheckpoint) -> VerifiedCheckpoint;
    /// Adds a cosignature of the key in `seat`, under the name of `name`.
    fn by(w: &World, mut note: VerifiedCheckpoint, name: usize, seat: usize) -> VerifiedCheckpoint {
        let (name, key) = (witness_name(&w.charter.org, seat_index(name)), &w.keys[seat].witness);
        let line = cosign(&name, key, 1_800_000_000, note.note().text()).unwrap();
        let key = VerifierKey::new(&name, KeyKind::Cosigner, &key.verifying_key()).unwrap();
        assert_eq!(note.add_cosignatures(format!("{line}\n").as_bytes(), &[key]), Ok(1));
        note
    }
    let cases: [(&str, Note); 7] = [
        ("nobody cosigned", |w, _| w.engines[0].checkpoint().unwrap()),
        ("older than the authorisation", |_, before| before),
        ("its own witness key", |w, _| by(w, w.engines[0].checkpoint().unwrap(), 1, 0)),
        ("its own witness key under a peer's name", |w, _| by(w, w.engines[0].checkpoint().unwrap(), 2, 0)),
        ("a seat that is no member", |w, _| by(w, w.engines[0].checkpoint().unwrap(), 4, 3)),
        ("another log's note", |w, _| {
            // Longer than seat 1's log, and cosigned.
            let more = [w.decision("leg", "legal", Choice::Approve), w.decision("dpo", "dpo", Choice::Approve)];
            more.iter().for_each(|d| assert!(w.engines[2].submit(d).is_ok()));
            w.cosigned(2, 1)
        }),
        ("another tree under its own key", |w, _| {
            let signer = NoteSigner::new(&w.engines[0].origin, &w.keys[0].log).unwrap();
            let other = Checkpoint::new(&w.engines[0].origin, w.engines[0].size(), [7; 32]).unwrap();
            by(w, other.sign(&signer).unwrap(), 2, 1)
        }),
    ];
    for (name, note) in cases {
        let mut world = World::approved();
        let before = world.cosigned(0, 1);
        let authorised = world.authorise(0, 1, Instant::now());
        let note = note(&mut world, before);
        assert_eq!(world.refused(authorised, &note), Rule::CosignaturesMissing, "{name}");
    }
}

#[test]
fn a_restriction_between_authorisation_and_delivery_stops_it() {
    type Restriction = fn(&World) -> Envelope;
    let cases: [(Rule, Restriction); 4] = [
        (Rule::Denied, |w| w.decision("leg", "legal", Choice::Deny)),
        (Rule::ConsentWithdrawn, |w| {
            let withdrawal = Withdrawal {
                kind: Kind::Withdrawal,
                org: w.charter.org.clone(),
                nonce: Nonce::random(),
                charter: w.genesis,
                consent: w.consent,
                subject: w.tokens.subject("sam"),
                at: w.now,
            };
            Envelope::sign(&withdrawal, &[&w.device]).unwrap()
        }),
        (Rule::RequestCancelled, |w| {
            let cancellation = Cancellation {
                kind: Kind::Cancellation,
                org: w.charter.org.clone(),
                nonce: Nonce::random(),
                charter: w.genesis,
                request: w.request,
                by: "req".parse().unwrap(),
                at: w.now,
            };
            w.signed(&cancellation, &["req"])
        }),
        (Rule::KeyRevoked, |w| w.revocation(w.people["req"].public())),
    ];
    for (rule, restriction) in cases {
        let mut world = World::approved();
        let authorised = world.authorise(0, 1, Instant::now());
        let note = world.cosigned(0, 1);
        let restriction = restriction(&world);
        world.engines[0].submit(&restriction).unwrap();
        assert_eq!(world.refused(authorised, &note), rule);
    }
    // An approval that counts no more, and nobody else of that office: no waiting would help.
    let mut world = World::approved();
    let authorised = world.authorise(0, 1, Instant::now());
    let note = world.cosigned(0, 1);
    let revocation = world.revocation(world.people["dpo"].public());
    world.engines[0].submit(&revocation).unwrap();
    assert_eq!(world.refused(authorised, &note), Rule::PolicyDenies);
}

#[test]
fn an_authorisation_lasts_less_than_60_seconds() {
    let ago = |seconds| Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
    let mut world = World::approved();
    let authorised = world.authorise(0, 1, ago(60));
    let note = world.cosigned(0, 1);
    assert_eq!(world.refused(authorised, &note), Rule::PermitInvalid);

    let mut world = World::approved();
    let authorised = world.authorise(0, 1, ago(30));
    let note = world.cosigned(0, 1);
    let shares = world.shares(0, &world.opened.item_ids());
    assert!(world.engines[0].deliver(authorised, &note, |_| Ok(shares)).is_ok());
    assert_eq!(last_entry(&world.engines[0]).kind, "release.delivered");
}

#[test]
fn shares_that_do_not_open_end_in_an_abort() {
    let mut world = World::approved();
    let authorised = world.authorise(0, 1, Instant::now());
    let note = world.cosigned(0, 1);
    let lost = Refusal::new(Rule::ItemUnknown, "lost");
    assert_eq!(world.engines[0].deliver(authorised, &note, |_| Err(lost)).unwrap_err().rule, Rule::ItemUnknown);
    assert_eq!(last_entry(&world.engines[0]).kind, "release.aborted");
}

#[test]
fn no_authorisation_survives_a_restart() {
    let mut world = World::approved();
    let open = [world.authorise(0, 1, Instant::now()), world.authorise(0, 2, Instant::now())];
    assert_eq!(world.engines[0].facts().open_authorisations().count(), 2);
    let e = &mut world.engines[0];
    let before = e.size();
    e.abort_leftovers();
    assert_eq!((e.size(), e.facts().open_authorisations().count()), (before + 2, 0));
    let last = last_entry(e);
    assert_eq!((last.kind.as_str(), &last.body["reason"]), ("release.aborted", &"restart".into()));
    assert_eq!(last.body["authorized"], open[1].seq());
    e.abort_leftovers();
    assert_eq!(e.size(), before + 2);
}

#[test]
fn what_only_its_owner_may_bring_is_not_taken_over_from_a_peer() {
    let mut world = World::asked();
    let (subject, thread) = (world.tokens.subject("sam"), world.tokens.thread("t"));
    let (deposit, dealt) =
        deal(&world.charter, &world.device, world.genesis, world.consent, subject, thread, &world.threads);
    let verdict = Verdict {
        kind: Kind::Verdict,
        org: w("acme"),
        nonce: Nonce::random(),
        charter: world.genesis,
        seat: seat_index(1),
        request: world.request,
        outcome: Outcome::Permit,
        lacking: vec![],
        reasons: vec![],
        policies: vec![],
        decisions: vec![],
        context: Some(Digest::of(b"context")),
        decided: world.now,
        valid_until: world.now.plus_seconds(60),
    };
    let query = Query {
        kind: Kind::Query,
        org: w("acme"),
        nonce: Nonce::random(),
        charter: world.genesis,
        by: Caller::Person(w("req")),
        seat: seat_index(1),
        what: Question::Matters,
        at: world.now,
    };
    // Each would be admitted if it came the right way.
    let verdict = Envelope::sign(&verdict, &[&world.keys[0].statement]).unwrap();
    let kept = [deposit, verdict, world.signed(&query, &["req"])];
    let denial = world.decision("leg", "legal", Choice::Deny);
    let e = &mut world.engines[0];
    let before = e.size();
    assert_eq!(e.take_over(&kept), []);
    for statement in &kept {
        assert!(escrow_policy::admit::admit(e.facts(), statement, e.now()).is_ok());
        assert_eq!(e.submit(statement).unwrap_err().rule, Rule::NotSubmittable);
    }
    assert_eq!(e.size(), before);
    let item = OpenedDeal::parse(&dealt.deal).unwrap().item_ids()[0];
    assert!(e.facts().item(&item).is_none());
    // A restriction is; and rubbish beside it does not stop it.
    assert_eq!(e.take_over(&[kept[0].clone(), denial.clone(), denial]), []);
    assert_eq!(e.size(), before + 1);
    assert_eq!(last_entry(e).kind, "decision");
}

#[test]
fn strangers_cannot_grow_the_log_and_officers_refused_are_on_it() {
    let mut world = World::asked();
    let before = world.engines[0].size();
    world.people.insert("eve", SigningKey::generate_ed25519());
    let by_eve = world.request("eve");
    assert_eq!(world.engines[0].submit(&by_eve).unwrap_err().rule, Rule::BadSignature);
    world.people.insert("req", SigningKey::generate_ed25519());
    let as_req = world.request("req");
    assert_eq!(world.engines[0].submit(&as_req).unwrap_err().rule, Rule::BadSignature);
    assert_eq!(world.engines[0].size(), before);

    let by_dpo = world.request("dpo");
    assert_eq!(world.engines[0].submit(&by_dpo).unwrap_err().rule, Rule::NotEntitled);
    assert_eq!(world.engines[0].size(), before + 1);
    let last = last_entry(&world.engines[0]);
    assert_eq!((last.kind.as_str(), last.statement), ("refused", None));
    assert_eq!(last.body["statement"], by_dpo.digest().to_string());
    assert_eq!(last.body["rule"], Rule::NotEntitled.code());
}

impl World {
    /// A head of seat 2's log that its key signed, and that is not on its tree.
    fn lie(&self, size: u64, root: u8) -> VerifiedCheckpoint {
        let signer = NoteSigner::new(&self.engines[1].origin, &self.keys[1].log).unwrap();
        Checkpoint::new(&self.engines[1].origin, size, [root; 32]).unwrap().sign(&signer).unwrap()
    }

    /// Shows it to seat 1 with an empty proof.
    fn show(&mut self, old: u64, head: &VerifiedCheckpoint) -> AddAnswer {
        self.engines[0].add_checkpoint(&AddCheckpoint::new(old, vec![], head).unwrap()).unwrap()
    }
}

#[test]
fn two_signed_heads_that_contradict_are_logged_once_and_the_log_is_never_cosigned_again() {
    let mut world = World::asked();
    let first = world.ask_to_cosign(1, 0, 0).0;
    let before = world.engines[0].size();
    let fork = world.lie(first.size(), 7);
    let AddAnswer::Refused(refuse) = world.show(first.size(), &fork) else { panic!("cosigned a fork") };
    assert_eq!((&refuse, refuse.status()), (&Refuse::Conflict { stored: first.size() }, 409));
    let e = &world.engines[0];
    assert_eq!((e.size(), e.witnessed("acme/1/log").unwrap().root), (before + 1, *first.root()));
    let entry = last_entry(e);
    assert_eq!((entry.kind.as_str(), &entry.body["origin"]), ("misbehaviour", &"acme/1/log".into()));
    let notes = [first.to_bytes(), fork.to_bytes()];
    assert!(e.batch.attachments.ends_with(&notes), "both notes are kept");
    assert_eq!([&entry.body["first"], &entry.body["second"]], notes.map(|n| Digest::of(&n).to_string()).each_ref());

    // Neither that pair again, nor another lie, nor the truth changes anything any more.
    for head in [fork, world.lie(first.size(), 8), world.lie(first.size() + 1, 9)] {
        assert!(matches!(world.show(first.size(), &head), AddAnswer::Distrusted));
    }
    world.submit(&world.request("req"));
    assert!(matches!(world.ask_to_cosign(1, 0, first.size()).1, AddAnswer::Distrusted));
    let kinds =
        |e: &Engine| e.batch.entries.iter().filter(|r| r.bytes.windows(14).any(|w| w == b"\"misbehaviour\"")).count();
    assert_eq!(kinds(&world.engines[0]), 1);

    // Not after a restart either: the log itself says so.
    let own = &world.engines[0];
    let mut again = Engine::new(own.seat, own.origin.clone(), Arc::clone(&world.keys[0]));
    let statements: HashMap<Digest, Vec<u8>> =
        own.batch.statements.iter().map(|(envelope, _, bytes)| (*envelope, bytes.clone())).collect();
    for row in &own.batch.entries {
        again.load(&row.bytes, |d| statements.get(d).cloned()).unwrap();
    }
    again.begin(world.now);
    world.engines[0] = again;
    assert!(matches!(world.ask_to_cosign(1, 0, 0).1, AddAnswer::Distrusted));
    // Others are cosigned as before.
    assert!(matches!(world.ask_to_cosign(2, 0, 0).1, AddAnswer::Cosigned(_)));
}

#[test]
fn a_head_that_was_refused_convicts_a_later_one_and_a_bad_proof_alone_nobody() {
    let mut world = World::asked();
    let first = world.ask_to_cosign(1, 0, 0).0;
    let before = world.engines[0].size();
    // A larger head without a proof that holds: refused, and no misbehaviour.
    let larger = world.lie(first.size() + 5, 7);
    for _ in 0..3 {
        let AddAnswer::Refused(refuse) = world.show(first.size(), &larger) else { panic!("cosigned") };
        assert_eq!(refuse.status(), 422);
    }
    // Nor is a smaller one, or one that somebody else signed.
    for smaller in 0..20 {
        let AddAnswer::Refused(refuse) = world.show(0, &world.lie(1 + smaller % (first.size() - 1), 7)) else {
            panic!("cosigned")
        };
        assert_eq!(refuse.status(), 409);
    }
    let forged = {
        let signer = NoteSigner::new("acme/1/log", &world.keys[2].log).unwrap();
        Checkpoint::new("acme/1/log", first.size(), [9; 32]).unwrap().sign(&signer).unwrap()
    };
    let AddAnswer::Refused(refuse) = world.show(first.size(), &forged) else { panic!("cosigned") };
    assert_eq!(refuse.status(), 403);
    assert_eq!(world.engines[0].size(), before, "none of it is on the log");
    // The log's own later head of that size contradicts what its key signed before.
    world.show(first.size(), &larger);
    let statements: Vec<Envelope> = (0..5).map(|_| world.request("req")).collect();
    statements.iter().for_each(|s| drop(world.engines[1].submit(s).unwrap()));
    assert_eq!(world.engines[1].size(), larger.size());
    let answer = world.ask_to_cosign(1, 0, first.size()).1;
    assert!(matches!(answer, AddAnswer::Refused(Refuse::Conflict { .. })), "{answer:?}");
    assert_eq!(last_entry(&world.engines[0]).kind, "misbehaviour");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_78_of_two_heads_that_race_one_is_cosigned_and_the_other_convicts() {
    let mut world = World::asked();
    let size = world.engines[1].size();
    let honest = world.engines[1].checkpoint().unwrap();
    let heads = [honest, world.lie(size, 7)];
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("db");
    let (store, reader) = (crate::store::Store::open(&file).unwrap(), crate::store::Store::open_reader(&file).unwrap());
    let engine = world.engines.remove(0);
    let chain = Chain::new(engine.origin());
    let (writer, _) = Writer::start(engine, store, reader, chain, surroundings(t0), |why| panic!("{why}")).unwrap();
    let start = Arc::new(tokio::sync::Barrier::new(16));
    let asks = (0..16).map(|n: usize| {
        let (writer, start) = (writer.clone(), Arc::clone(&start));
        let ask = AddCheckpoint::new(0, vec![], &heads[n % 2]).unwrap();
        tokio::spawn(async move {
            start.wait().await;
            writer.run(move |e| e.add_checkpoint(&ask)).await.unwrap().into_inner().unwrap()
        })
    });
    let mut answers: Vec<(usize, AddAnswer)> = vec![];
    for (n, ask) in asks.collect::<Vec<_>>().into_iter().enumerate() {
        answers.push((n % 2, ask.await.unwrap()));
    }
    let of = |which: usize, f: fn(&AddAnswer) -> bool| answers.iter().filter(|(n, a)| *n == which && f(a)).count();
    let cosigned = [0, 1].map(|n| of(n, |a| matches!(a, AddAnswer::Cosigned(_))));
    assert!(cosigned.contains(&0) && cosigned != [0, 0], "both, or none: {cosigned:?}");
    let convicted = [0, 1].map(|n| of(n, |a| matches!(a, AddAnswer::Refused(Refuse::Conflict { .. }))));
    assert_eq!(convicted.iter().sum::<usize>(), 1, "one pair, one entry");
    let log = crate::store::Store::open_reader(&file).unwrap().entries(0, 10_000).unwrap();
    let kinds: Vec<String> = log.iter().map(|b| Entry::decode(b).unwrap().kind).collect();
    assert_eq!(kinds.iter().filter(|k| *k == "misbehaviour").count(), 1);
    assert_eq!(kinds.iter().filter(|k| *k == "witness.cosigned").count(), 1);
}

#[test]
fn a_head_is_cosigned_from_the_size_it_is_known_at_and_logged_once() {
    let mut world = World::asked();
    let size = world.engines[1].size();
    assert!(matches!(world.ask_to_cosign(1, 0, 0).1, AddAnswer::Cosigned(_)));
    let before = world.engines[0].size();
    assert_eq!(last_entry(&world.engines[0]).kind, "witness.cosigned");
    let AddAnswer::Refused(refuse) = world.ask_to_cosign(1, 0, 0).1 else { panic!("a wrong old size") };
    assert_eq!((refuse.status(), refuse.body()), (409, Some(format!("{size}\n"))));
    // The same head again: the same answer and no entry.
    assert!(matches!(world.ask_to_cosign(1, 0, size).1, AddAnswer::Cosigned(_)));
    assert_eq!(world.engines[0].size(), before);
    // Its own log, under its own key.
    let own = world.ask_to_cosign(0, 0, 0).1;
    assert!(matches!(own, AddAnswer::Refused(Refuse::UnknownOrigin)), "{own:?}");
    assert_eq!(world.engines[0].size(), before);
}

#[test]
fn a_pending_verdict_is_logged_when_it_says_something_new() {
    let mut world = World::asked();
    let request = world.request;
    let (first, seq) = world.engines[0].verdict(&request, None).unwrap();
    let last = |e: &Envelope| Some((e.decode::<Verdict>().unwrap(), e.clone()));
    assert_eq!(last(&first).unwrap().0.outcome, Outcome::Pending);
    world.tick(30);
    let again = world.engines[0].verdict(&request, last(&first)).unwrap();
    assert_eq!((again.0.digest(), again.1), (first.digest(), seq));
    assert_eq!(world.engines[0].size(), seq + 1);
    world.submit(&world.decision("leg", "legal", Choice::Approve));
    let (second, later) = world.engines[0].verdict(&request, last(&first)).unwrap();
    assert_ne!(second.digest(), first.digest());
    assert_eq!((later, world.engines[0].size()), (seq + 2, seq + 3));
    // A permit is always new: it is fresh for a minute only.
    world.submit(&world.decision("dpo", "dpo", Choice::Approve));
    let (permit, _) = world.engines[0].verdict(&request, last(&second)).unwrap();
    let size = world.engines[0].size();
    world.engines[0].verdict(&request, last(&permit)).unwrap();
    assert_eq!(world.engines[0].size(), size + 1);
}
