//! A small real cluster in memory: three seats (two of three), every signature genuine. Honest by
//! default; a test bends what it wants bent.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub(crate) mod forge;
pub(crate) mod moved;

use escrow_audit::bundle::{BundleBuilder, Meta, Variant};
use escrow_audit::checkpoint::{Checkpoint, VerifiedCheckpoint};
use escrow_audit::entry::{Chain, StatementRef};
use escrow_audit::note::{NoteSigner, cosign};
use escrow_audit::tree::{Tree, leaf_hash};
use escrow_audit::{record, seat};
use escrow_core::charter::*;
use escrow_core::consent::*;
use escrow_core::deal::{About, Deal, Dealer, KeySource, Participant};
use escrow_core::decision::{Choice, Decision};
use escrow_core::deposit::{Deposit, SeatBlob};
use escrow_core::enrolment::{Device, Enrolment};
use escrow_core::matter::{Matter, MatterAction};
use escrow_core::recovery::{SelfRecovery, Veto};
use escrow_core::release::{Caller, Release, ReleaseCall};
use escrow_core::request::*;
use escrow_core::restriction::RestrictionAnswer;
use escrow_core::sealing::{SealingSecret, Suite};
use escrow_core::verdict::{Outcome, Verdict};
use escrow_core::view::View;
use escrow_core::{
    Blob, Digest, Envelope, Kind, Nonce, PublicKey, SeatIndex, SigningKey, Statement, ThreadKey, Timestamp, TokenKey,
};
use escrow_policy::{Event, Facts, gate};
use std::collections::BTreeMap;

pub(crate) type Files = BTreeMap<String, Vec<u8>>;

pub(crate) fn seat_index(n: u8) -> SeatIndex {
    SeatIndex::new(n).unwrap()
}

fn w<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().unwrap()
}

pub(crate) const POLICY: &str = "@id(\"both\")\npermit(principal, action, resource) when {\n  context.approvals.legal >= 1 && context.approvals.dpo >= 1\n};";

/// One node: its keys, its log, and the facts that it folded.
pub(crate) struct Node {
    pub(crate) index: SeatIndex,
    pub(crate) statement: SigningKey,
    pub(crate) log_key: ed25519_dalek::SigningKey,
    pub(crate) witness: ed25519_dalek::SigningKey,
    pub(crate) sealing: SealingSecret,
    pub(crate) chain: Chain,
    pub(crate) tree: Tree,
    pub(crate) entries: Vec<Vec<u8>>,
    pub(crate) facts: Facts,
    /// Entries of its earlier logs that its facts go on from.
    pub(crate) base: u64,
    /// Its earlier logs: entries, and the note for them.
    pub(crate) closed: Vec<(Vec<Vec<u8>>, Vec<u8>)>,
    /// The newest note each node holds of this log: index of the holder.
    pub(crate) held: BTreeMap<SeatIndex, VerifiedCheckpoint>,
}

impl Node {
    fn new(n: u8) -> Self {
        let key = || ed25519_dalek::SigningKey::generate(&mut escrow_core::random::rng());
        Self {
            index: seat_index(n),
            statement: SigningKey::generate_ed25519(),
            log_key: key(),
            witness: key(),
            sealing: SealingSecret::generate(Suite::XWing),
            chain: Chain::new(&format!("acme/{n}/log")),
            tree: Tree::new(),
            entries: Vec::new(),
            facts: Facts::new(),
            base: 0,
            closed: vec![],
            held: BTreeMap::new(),
        }
    }

    /// Signs the head of this log's present size, or of an earlier one.
    pub(crate) fn head(&self, size: u64) -> VerifiedCheckpoint {
        let root = self.tree.root_at(size).unwrap();
        let signer = NoteSigner::new(self.chain.origin(), &self.log_key).unwrap();
        Checkpoint::new(self.chain.origin(), size, root).unwrap().sign(&signer).unwrap()
    }
}

/// The cluster and everything that was ever signed in it.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    pub(crate) people: BTreeMap<&'static str, SigningKey>,
    pub(crate) officer: SealingSecret,
    pub(crate) device: SigningKey,
    pub(crate) device_sealing: SealingSecret,
    /// The same subject's second device, to which a self-recovery goes.
    pub(crate) tablet: SigningKey,
    pub(crate) tablet_sealing: SealingSecret,
    pub(crate) tokens: TokenKey,
    pub(crate) charter: Charter,
    pub(crate) genesis: Digest,
    pub(crate) now: Timestamp,
    pub(crate) statements: Vec<Envelope>,
    pub(crate) attachments: Vec<Vec<u8>>,
    pub(crate) consent: Option<Envelope>,
    pub(crate) items: Vec<Digest>,
    pub(crate) request: Option<Envelope>,
    /// What the fold refused although the node logged it.
    pub(crate) refusals: Vec<String>,
}

fn person(id: &str, roles: &[&str], key: &SigningKey, sealing: Option<SealingKey>) -> Person {
    Person {
        id: w(id),
        name: id.to_uppercase(),
        roles: roles.iter().map(|r| w(r)).collect(),
        keys: vec![PersonKey { key: key.public(), from: Timestamp::EPOCH, until: Timestamp::MAX }],
        sealing,
        subject: Subject::NoSubject,
    }
}

impl Cluster {
    /// Three seats with their genesis entries.
    pub(crate) fn new() -> Self {
        Self::bent(|_| {})
    }

    /// The same under another charter.
    pub(crate) fn bent(bend: impl FnOnce(&mut Charter)) -> Self {
        let nodes: Vec<Node> = (1..=3).map(Node::new).collect();
        let names = ["ann", "bob", "req", "leg", "dpo", "off"];
        let people: BTreeMap<&str, SigningKey> =
            names.into_iter().map(|n| (n, SigningKey::generate_ed25519())).collect();
        let officer = SealingSecret::generate(Suite::XWing);
        let roles: [&[&str]; 6] =
            [&["admin", "registrar"], &["admin", "registrar"], &["requestor"], &["legal"], &["dpo"], &["officer"]];
        let sealing = |n: &str| (n == "off").then(|| officer.public().clone());
        let listed = names.iter().zip(roles).map(|(n, r)| person(n, r, &people[n], sealing(n))).collect();
        let seats = nodes.iter().zip(["ann", "bob", "dpo"]).map(|(n, operator)| Seat {
            index: n.index,
            name: w(&format!("s{}", n.index)),
            operators: vec![w(operator)],
            operator: w(&format!("party {}", n.index)),
            jurisdiction: w("DE"),
            url: format!("https://s{}:1", n.index),
            tls_pin: Digest::of(&[n.index.get()]),
            statement_key: n.statement.public(),
            log_origin: n.chain.origin().to_owned(),
            log_key: PublicKey::Ed25519(n.log_key.verifying_key()),
            witness_key: PublicKey::Ed25519(n.witness.verifying_key()),
            sealing: n.sealing.public().clone(),
            previous_log_head: None,
        });
        let now: Timestamp = w("2026-11-21T09:00:00.000Z");
        let mut charter = Charter {
            kind: Kind::Charter,
            org: w("acme"),
            nonce: Nonce::random(),
            demo: false,
            version: 1,
            previous: None,
            voided: vec![],
            issued: now,
            seats: seats.collect(),
            generations: vec![Generation {
                number: 1,
                t: 2,
                members: vec![seat_index(1), seat_index(2), seat_index(3)],
            }],
            people: listed,
            policies: vec![Policy { id: w("std"), schema: 1, text: POLICY.into() }],
            admin_quorum: 2,
            registrar_quorum: 2,
            approver_roles: vec![w("legal"), w("dpo")],
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
                requests_per_requestor_month: 1_000,
                items_per_requestor_month: 100_000,
                permit_life_s: 60,
                notice_delay_days: 30,
                recovery_delay_s: 86_400,
                clock_skew_s: 60,
                charter_grace_s: 3_600,
                sealing_key_days: 365,
            },
        };
        bend(&mut charter);
        let mut this = Self {
            nodes,
            people,
            officer,
            device: SigningKey::generate_ed25519(),
            device_sealing: SealingSecret::generate(Suite::XWing),
            tablet: SigningKey::generate_ed25519(),
            tablet_sealing: SealingSecret::generate(Suite::XWing),
            tokens: TokenKey::generate(1),
            charter,
            genesis: Digest([0; 32]),
            now,
            statements: vec![],
            attachments: vec![],
            consent: None,
            items: vec![],
            request: None,
            refusals: vec![],
        };
        let envelope = this.signed(&this.charter, &["ann", "bob"]);
        this.genesis = envelope.digest();
        for n in 0..3 {
            let seat = this.nodes[n].index;
            this.log(n, &Event::Genesis { seat }, Some(&envelope));
            let peers = (1..=3).map(seat_index).filter(|s| *s != seat).collect();
            this.log(n, &Event::Ready { peers }, None);
        }
        this
    }

    pub(crate) fn tick(&mut self, seconds: i64) {
        self.now = self.now.plus_seconds(seconds);
    }

    pub(crate) fn signed<T: Statement>(&self, statement: &T, who: &[&str]) -> Envelope {
        let keys: Vec<&SigningKey> = who.iter().map(|n| &self.people[n]).collect();
        Envelope::sign(statement, &keys).unwrap()
    }

    /// Appends an entry at a node, whatever the fold says about it.
    pub(crate) fn log(&mut self, n: usize, event: &Event, envelope: Option<&Envelope>) -> u64 {
        let node = &mut self.nodes[n];
        let statement = envelope.map(|e| StatementRef { stmt: e.digest().0, env: e.envelope_digest().0 });
        let kind = record::entry_type(event, envelope.map(Envelope::kind));
        let now = u64::try_from(self.now.millis()).unwrap();
        let entry = node.chain.draft(now, kind, statement, record::body(event));
        let bytes = entry.encode().unwrap();
        node.chain.push(&bytes).unwrap();
        node.tree.append(leaf_hash(&bytes));
        node.entries.push(bytes);
        let record = record::read(&entry, node.base, envelope).unwrap();
        if let Err(e) = node.facts.fold(&record) {
            self.refusals.push(format!("seat {} entry {}: {e}", node.index, entry.seq));
        }
        if let Some(e) = envelope
            && !self.statements.contains(e)
        {
            self.statements.push(e.clone());
        }
        entry.seq
    }

    /// Submits a statement to some nodes.
    pub(crate) fn submit_to(&mut self, nodes: &[usize], envelope: &Envelope) {
        self.tick(1);
        for n in nodes {
            self.log(*n, &Event::Statement {}, Some(envelope));
        }
    }

    pub(crate) fn submit(&mut self, envelope: &Envelope) {
        self.submit_to(&[0, 1, 2], envelope);
    }

    /// Enrolment, consent, deposit of two items, matter, request.
    pub(crate) fn ask(&mut self) {
        let (org, charter) = (self.charter.org.clone(), self.genesis);
        let subject = self.tokens.subject("sam");
        let thread = self.tokens.thread("t");
        let policies = vec![PolicyRef { id: w("std"), digest: self.charter.policies[0].digest() }];
        let enrolment = Enrolment {
            kind: Kind::Enrolment,
            org: org.clone(),
            nonce: Nonce::random(),
            charter,
            devices: vec![Device { subject, key: self.device.public(), sealing: self.device_sealing.public().clone() }],
            from: Timestamp::EPOCH,
            until: Timestamp::MAX,
        };
        self.submit(&self.signed(&enrolment, &["ann", "bob"]));
        let (from, to): (Timestamp, Timestamp) = (w("2026-01-01T00:00:00.000Z"), w("2027-01-01T00:00:00.000Z"));
        let code = w("x");
        let consent = Consent {
            kind: Kind::Consent,
            org: org.clone(),
            nonce: Nonce::random(),
            charter,
            subject,
            coverage: Coverage::Workspace,
            from,
            to,
            epochs: None,
            purposes: vec![w("inquiry")],
            basis: Basis::Consent,
            authority: None,
            policies: policies.clone(),
            floor: Floor { t: 2, n: 3 },
            retention_days: 30,
            notice: NoticeText { digest: Digest::of(b"notice"), language: w("de"), terms: w("immediate") },
            expires: to,
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
                withdrawal_method: code,
                event_time: self.now,
                event_type: w("explicit"),
                event_state: w("given"),
                entity_id: w("subject"),
            },
        };
        let consent = Envelope::sign(&consent, &[&self.device]).unwrap();
        self.submit(&consent);
        self.deposit(&consent, policies, from);
        self.consent = Some(consent);
        let matter = Matter {
            kind: Kind::Matter,
            org: org.clone(),
            nonce: Nonce::random(),
            charter,
            matter: w("MAT-1"),
            action: MatterAction::Open,
            previous: None,
            by: w("req"),
            title: Digest::of(b"title"),
            at: self.now,
        };
        self.submit(&self.signed(&matter, &["req"]));
        let request = Request {
            kind: Kind::Request,
            org,
            nonce: Nonce::random(),
            charter,
            matter: w("MAT-1"),
            by: w("req"),
            basis: Basis::Consent,
            authority: None,
            purpose: w("inquiry"),
            scope: Scope { threads: vec![thread], from, to },
            selection: None,
            items: self.items.clone(),
            counts: Counts { items: 2, threads: 1 },
            recipient: Recipient::Person(RecipientPerson { id: w("off"), sealing: self.officer.public().digest() }),
            policy: w("std"),
            notice: Notice::Immediate,
            created: self.now,
            expires: self.now.plus_seconds(3_600),
        };
        let request = self.signed(&request, &["req"]);
        self.submit(&request);
        self.request = Some(request);
    }

    fn deposit(&mut self, consent: &Envelope, policies: Vec<PolicyRef>, from: Timestamp) {
        let depositor = self.tokens.subject("sam");
        let header = Deal {
            org: self.charter.org.clone(),
            nonce: Nonce::random(),
            generation: 1,
            t: 2,
            n: 3,
            consent: consent.digest(),
            policies,
            depositor,
            items: vec![],
        };
        let seats: Vec<_> = self.nodes.iter().map(|n| (n.index, n.sealing.public().clone())).collect();
        let about = |epoch| About {
            source: KeySource::Mls10,
            thread: self.tokens.thread("t"),
            era: 0,
            epoch,
            authenticator: Blob(vec![]),
            from,
            to: from.plus_seconds(60),
            archive: None,
            participants: vec![Participant { token: depositor, inside: true }],
        };
        let keys = [(about(1), ThreadKey::generate()), (about(2), ThreadKey::generate())];
        let dealt = Dealer { header, seats: &seats }.deal(&keys).unwrap();
        let mut ids = escrow_core::deal::OpenedDeal::parse(&dealt.deal).unwrap().item_ids();
        ids.sort();
        self.items = ids;
        let deposit = Deposit {
            kind: Kind::Deposit,
            org: self.charter.org.clone(),
            nonce: Nonce::random(),
            charter: self.genesis,
            depositor,
            deal: Blob(dealt.deal),
            blobs: dealt.blobs.iter().map(|(seat, b)| SeatBlob { seat: *seat, sha256: Digest::of(b) }).collect(),
            at: self.now,
        };
        let deposit = Envelope::sign(&deposit, &[&self.device]).unwrap();
        self.submit(&deposit);
    }

    pub(crate) fn request_digest(&self) -> Digest {
        self.request.as_ref().unwrap().digest()
    }

    pub(crate) fn decide(&mut self, who: &'static str, role: &str, choice: Choice) {
        let decision = Decision {
            kind: Kind::Decision,
            org: self.charter.org.clone(),
            nonce: Nonce::random(),
            charter: self.genesis,
            request: self.request_digest(),
            by: w(who),
            role: w(role),
            choice,
            reason: w("ok"),
            at: self.now,
        };
        self.submit(&self.signed(&decision, &[who]));
    }

    pub(crate) fn withdraw(&mut self, nodes: &[usize]) {
        let withdrawal = Withdrawal {
            kind: Kind::Withdrawal,
            org: self.charter.org.clone(),
            nonce: Nonce::random(),
            charter: self.genesis,
            consent: self.consent.as_ref().unwrap().digest(),
            subject: self.tokens.subject("sam"),
            at: self.now,
        };
        let withdrawal = Envelope::sign(&withdrawal, &[&self.device]).unwrap();
        self.submit_to(nodes, &withdrawal);
    }

    /// The node evaluates now; `bend` may lie before it signs and logs.
    pub(crate) fn verdict(&mut self, n: usize, bend: impl FnOnce(&mut Verdict)) -> Envelope {
        self.tick(1);
        let (request, now) = (self.request_digest(), self.now);
        let node = &self.nodes[n];
        let e = gate::evaluate(&node.facts, &request, now);
        let life = if e.outcome == Outcome::Permit { 60 } else { 0 };
        let mut verdict = Verdict {
            kind: Kind::Verdict,
            org: self.charter.org.clone(),
            nonce: Nonce::random(),
            charter: self.genesis,
            seat: node.index,
            request,
            outcome: e.outcome,
            lacking: e.lacking.clone(),
            reasons: e.reasons(),
            policies: e.policies.clone(),
            decisions: e.decisions.clone(),
            context: e.context.as_deref().map(Digest::of),
            decided: now,
            valid_until: now.plus_seconds(life),
        };
        bend(&mut verdict);
        let envelope = Envelope::sign(&verdict, &[&node.statement]).unwrap();
        if let Some(context) = e.context.filter(|c| !self.attachments.contains(c)) {
            self.attachments.push(context);
        }
        self.log(n, &Event::Statement {}, Some(&envelope));
        envelope
    }

    /// A peer's signed answer about restrictions.
    pub(crate) fn answer(&mut self, n: usize, asker: usize) -> Envelope {
        let request = self.request_digest();
        let facts = &self.nodes[n].facts;
        let concerns = facts.concerns(&request);
        let answer = RestrictionAnswer {
            kind: Kind::RestrictionAnswer,
            org: self.charter.org.clone(),
            nonce: Nonce::random(),
            charter: self.genesis,
            seat: self.nodes[n].index,
            asker: self.nodes[asker].index,
            asked: Nonce::random(),
            request: Some(request),
            restrictions: facts.restrictions_on(&request, &concerns),
            matter: concerns.matter,
            consents: concerns.consents.into_iter().collect(),
            revocable: concerns.revocable.into_iter().collect(),
            after: 0,
            upto: facts.size(),
            at: self.now,
        };
        let envelope = Envelope::sign(&answer, &[&self.nodes[n].statement]).unwrap();
        self.statements.push(envelope.clone());
        envelope
    }

    pub(crate) fn call(&self) -> Envelope {
        let recovers = self.recovers();
        let call = ReleaseCall {
            kind: Kind::ReleaseCall,
            org: self.charter.org.clone(),
            nonce: Nonce::random(),
            charter: self.genesis,
            request: self.request_digest(),
            by: if recovers { Caller::Device(self.tablet.public()) } else { Caller::Person(w("req")) },
            at: self.now,
        };
        if recovers { Envelope::sign(&call, &[&self.tablet]).unwrap() } else { self.signed(&call, &["req"]) }
    }

    /// True if what is asked is a self-recovery.
    fn recovers(&self) -> bool {
        self.request.as_ref().is_some_and(|r| r.kind() == Kind::SelfRecovery)
    }

    /// The subject's second device is enrolled, and after some time asks for what the first deposited.
    pub(crate) fn recover(&mut self, after_s: i64) {
        self.ask();
        let (org, charter) = (self.charter.org.clone(), self.genesis);
        let subject = self.tokens.subject("sam");
        let device = Device { subject, key: self.tablet.public(), sealing: self.tablet_sealing.public().clone() };
        let enrolment = Enrolment {
            kind: Kind::Enrolment,
            org: org.clone(),
            nonce: Nonce::random(),
            charter,
            devices: vec![device],
            from: Timestamp::EPOCH,
            until: Timestamp::MAX,
        };
        let enrolment = self.signed(&enrolment, &["ann", "bob"]);
        self.submit(&enrolment);
        self.tick(after_s);
        let recovery = SelfRecovery {
            kind: Kind::SelfRecovery,
            org,
            nonce: Nonce::random(),
            charter,
            subject,
            enrolment: enrolment.digest(),
            key: self.tablet.public(),
            sealing: self.tablet_sealing.public().digest(),
            items: self.items.clone(),
            policy: w("std"),
            created: self.now,
            expires: self.now.plus_seconds(3_600),
        };
        let recovery = Envelope::sign(&recovery, &[&self.tablet]).unwrap();
        self.submit(&recovery);
        self.request = Some(recovery);
        self.decide("leg", "legal", Choice::Approve);
        self.decide("dpo", "dpo", Choice::Approve);
    }

    /// A veto by the subject's first device.
    pub(crate) fn veto(&mut self, nodes: &[usize]) {
        let veto = Veto {
            kind: Kind::Veto,
            org: self.charter.org.clone(),
            nonce: Nonce::random(),
            charter: self.genesis,
            recovery: self.request_digest(),
            by: Caller::Device(self.device.public()),
            reason: w("not-me"),
            at: self.now,
        };
        let veto = Envelope::sign(&veto, &[&self.device]).unwrap();
        self.submit_to(nodes, &veto);
    }

    /// Logs an authorisation, whether or not it may stand.
    pub(crate) fn authorise(&mut self, n: usize, call: &Envelope, permits: &[&Envelope], answers: &[&Envelope]) -> u64 {
        self.tick(1);
        let request = self.request_digest();
        let sorted = |list: &[&Envelope]| {
            let mut d: Vec<Digest> = list.iter().map(|e| e.digest()).collect();
            d.sort();
            d
        };
        let decisions = gate::count(&self.nodes[n].facts, &request, self.now).map(|c| c.decisions).unwrap_or_default();
        let event = Event::Authorized { request, decisions, permits: sorted(permits), answers: sorted(answers) };
        self.log(n, &event, Some(call))
    }

    /// Signs the present head of a node and has peers cosign it, each in its own log too.
    pub(crate) fn cosigned(&mut self, n: usize, peers: &[usize]) -> VerifiedCheckpoint {
        self.tick(1);
        let mut head = self.nodes[n].head(self.nodes[n].tree.size());
        let org = self.charter.org.clone();
        for p in peers {
            let node = &self.nodes[*p];
            let name = seat::witness_name(&org, node.index);
            let time = u64::try_from(self.now.millis() / 1000).unwrap();
            let line = cosign(&name, &node.witness, time, head.note().text()).unwrap();
            let key = seat::witness_verifier(&org, &self.charter.seats[*p]).unwrap();
            assert_eq!(head.add_cosignatures(format!("{line}\n").as_bytes(), &[key]), Ok(1));
            let holder = node.index;
            let event = Event::Cosigned { origin: head.origin().into(), size: head.size(), root: Digest(*head.root()) };
            self.log(*p, &event, None);
            self.nodes[n].held.insert(holder, head.clone());
        }
        head
    }

    /// Logs a delivery under a cosigned note.
    pub(crate) fn deliver(
        &mut self,
        n: usize,
        authorized: u64,
        note: &VerifiedCheckpoint,
        bend: impl FnOnce(&mut Release),
    ) -> u64 {
        self.tick(1);
        let request = self.request_digest();
        let reply = Digest::of(b"reply");
        let attempt = self.nodes[n].facts.request(&request).map_or(0, |r| r.delivered.len() as u64) + 1;
        let mut release = Release {
            kind: Kind::Release,
            org: self.charter.org.clone(),
            nonce: Nonce::random(),
            charter: self.genesis,
            seat: self.nodes[n].index,
            generation: 1,
            request,
            items: self.items.clone(),
            recipient: if self.recovers() { self.tablet_sealing.public() } else { self.officer.public() }.digest(),
            reply,
            attempt,
        };
        bend(&mut release);
        let envelope = Envelope::sign(&release, &[&self.nodes[n].statement]).unwrap();
        self.attachments.push(note.to_bytes());
        let event = Event::Delivered { authorized, note: Digest::of(&note.to_bytes()), request, reply, attempt };
        self.log(n, &event, Some(&envelope))
    }

    /// One whole honest release at a node: peer `p` answers and cosigns.
    pub(crate) fn release(&mut self, n: usize, p: usize, call: &Envelope, permit: &Envelope) {
        let answer = self.answer(p, n);
        let authorized = self.authorise(n, call, &[permit], &[&answer]);
        let note = self.cosigned(n, &[p]);
        self.deliver(n, authorized, &note, |_| {});
    }

    /// The standard story: two approvals, three permits, replies of seats 1 and 2.
    pub(crate) fn honest() -> Self {
        let mut c = Self::new();
        c.ask();
        c.decide("leg", "legal", Choice::Approve);
        c.decide("dpo", "dpo", Choice::Approve);
        let permits: Vec<Envelope> = (0..3).map(|n| c.verdict(n, |_| {})).collect();
        let call = c.call();
        c.release(0, 1, &call, &permits[1]);
        c.release(1, 2, &call, &permits[0]);
        assert_eq!(c.refusals, Vec::<String>::new());
        c
    }

    /// Every peer cosigns every log's present head, so that views can tell.
    pub(crate) fn settle(&mut self) {
        for n in 0..3 {
            let peers: Vec<usize> = (0..3).filter(|p| *p != n).collect();
            self.cosigned(n, &peers);
        }
    }

    /// Signs the view that node `p` has of log `n`.
    pub(crate) fn view(&self, p: usize, n: usize, export: Nonce, note: Option<String>) -> Envelope {
        let view = View {
            kind: Kind::View,
            org: self.charter.org.clone(),
            nonce: Nonce::random(),
            charter: self.genesis,
            seat: self.nodes[p].index,
            log: self.nodes[n].chain.origin().to_owned(),
            note,
            export,
            at: self.now,
        };
        Envelope::sign(&view, &[&self.nodes[p].statement]).unwrap()
    }

    /// Builds a bundle; `wanted` chooses the views (viewer, viewed) and `logs` the logs.
    pub(crate) fn bundle(&self, logs: &[usize], wanted: impl Fn(usize, usize) -> bool) -> Files {
        self.bundle_as(Variant::Full, logs, wanted)
    }

    /// The same of either variant.
    pub(crate) fn bundle_as(&self, variant: Variant, logs: &[usize], wanted: impl Fn(usize, usize) -> bool) -> Files {
        let export = Nonce::random();
        let mut b = BundleBuilder::new().variant(variant);
        for n in logs {
            let node = &self.nodes[*n];
            let current = (node.entries.clone(), node.head(node.tree.size()).to_bytes());
            for (entries, checkpoint) in node.closed.iter().cloned().chain([current]) {
                b.add_log(node.index, entries, checkpoint).unwrap();
            }
        }
        for e in &self.statements {
            b.add_statement(e.bytes()).unwrap();
        }
        for a in &self.attachments {
            b.add_attachment(a.clone());
        }
        for p in 0..3 {
            for n in (0..3).filter(|n| *n != p && wanted(p, *n)) {
                let note =
                    self.nodes[n].held.get(&self.nodes[p].index).map(|h| String::from_utf8(h.to_bytes()).unwrap());
                b.add_view(self.view(p, n, export, note).bytes()).unwrap();
            }
        }
        let requests = self.request.iter().map(Envelope::digest).collect();
        b.finish(&Meta { export, requests }).unwrap()
    }

    /// All logs, all views.
    pub(crate) fn full(&self) -> Files {
        self.bundle(&[0, 1, 2], |_, _| true)
    }
}
