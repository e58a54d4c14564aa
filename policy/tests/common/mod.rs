//! A small world: one organisation, five seats, its officers, two subjects with a device each.
//!
//! Everybody is known by a short name. `key("lena")` is the signature key of that name, made once
//! and then the same; so are `sealing("otto")`, the token `subject("maria")` and `thread("t1")`.
//! A [`Node`] folds statements; its draft methods give a valid statement of each kind, which a
//! test changes in one place. A [`Case`] is a node at which a request waits for decisions.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use escrow_core::charter::*;
use escrow_core::consent::*;
use escrow_core::deal::{About, Deal, Dealer, Dealt, KeySource, OpenedDeal, Participant};
use escrow_core::decision::{Choice, Decision};
use escrow_core::deposit::{Deposit, SeatBlob};
use escrow_core::enrolment::{Device, Enrolment, Revocation, Revoked};
use escrow_core::envelope::pae;
use escrow_core::matter::{Matter, MatterAction};
use escrow_core::query::{Query, Question};
use escrow_core::recovery::{SelfRecovery, Veto};
use escrow_core::release::{Caller, Release, ReleaseCall};
use escrow_core::request::*;
use escrow_core::restriction::RestrictionAnswer;
use escrow_core::sealing::{SealingSecret, Suite};
use escrow_core::sshsig::{self, SshKey};
use escrow_core::verdict::{Outcome, Verdict};
use escrow_core::{
    Blob, Digest, Envelope, ItemId, Kind, Nonce, PublicKey, SeatIndex, SigningKey, Statement, ThreadKey, Timestamp,
    Token, TokenKey,
};
use escrow_policy::facts::Concerns;
use escrow_policy::gate::{self, Evaluation};
use escrow_policy::{Event, Facts, Record, Refusal, Rule};
use std::collections::HashMap;
use std::str::FromStr;
use std::sync::{LazyLock, Mutex};

/// Demands one approval of each kind, as the design's own example does.
pub const STANDARD: &str = r#"@id("standard")
permit (principal, action, resource)
when { context.approvals.legal >= 1 && context.approvals.dpo >= 1 };"#;

/// Any checked word: an id, a role, a code ...
pub fn w<T: FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().unwrap()
}

pub fn seat_index(n: u8) -> SeatIndex {
    SeatIndex::new(n).unwrap()
}

/// When the genesis is issued; every time below is relative to it.
pub fn t0() -> Timestamp {
    w("2026-11-21T09:00:00.000Z")
}

pub const DAY: i64 = 86_400;

pub fn days(n: i64) -> Timestamp {
    t0().plus_seconds(n * DAY)
}

// ---- Keys and tokens by name ----------------------------------------------------------------

type Named<T> = LazyLock<Mutex<HashMap<String, &'static T>>>;

fn named<T>(all: &Named<T>, name: &str, make: impl FnOnce() -> T) -> &'static T {
    all.lock().unwrap().entry(name.to_owned()).or_insert_with(|| Box::leak(Box::new(make())))
}

/// The signature key of this name. The data protection officer signs with P-256, all others with
/// Ed25519.
pub fn key(name: &str) -> &'static SigningKey {
    static KEYS: Named<SigningKey> = LazyLock::new(Default::default);
    let es256 = name.starts_with("dora");
    named(&KEYS, name, || if es256 { SigningKey::generate_es256() } else { SigningKey::generate_ed25519() })
}

pub fn public(name: &str) -> PublicKey {
    key(name).public()
}

/// The same key as a key of SSH.
pub fn over_ssh(name: &str) -> PublicKey {
    let raw = public(name).raw();
    let words: &[&[u8]] = match public(name) {
        PublicKey::Ed25519(_) => &[b"ssh-ed25519", &raw],
        _ => &[b"ecdsa-sha2-nistp256", b"nistp256", &raw],
    };
    let mut wire = Vec::new();
    words.iter().for_each(|w| sshsig::put(&mut wire, w));
    PublicKey::SshSig(SshKey::from_wire(&wire).unwrap())
}

pub fn sealing(name: &str) -> SealingKey {
    static KEYS: Named<SealingSecret> = LazyLock::new(Default::default);
    named(&KEYS, name, || SealingSecret::generate(Suite::XWing)).public().clone()
}

/// The token of a subject under a version of the organisation's token key.
pub fn subject_v(version: u32, name: &str) -> Token {
    static KEYS: Named<TokenKey> = LazyLock::new(Default::default);
    named(&KEYS, &version.to_string(), || TokenKey::generate(version)).subject(name)
}

pub fn subject(name: &str) -> Token {
    subject_v(1, name)
}

pub fn thread(name: &str) -> Token {
    Token { version: 1, ..subject_v(1, &format!("thread {name}")) }
}

// ---- The charter ----------------------------------------------------------------------------

pub fn seat(n: u8) -> Seat {
    Seat {
        index: seat_index(n),
        name: w(&format!("seat-{n}")),
        operators: vec![w(&format!("op{n}"))],
        operator: w(&format!("Operator {n}")),
        jurisdiction: w("DE"),
        url: format!("https://seat{n}.example:8443"),
        tls_pin: Digest::of(format!("tls {n}").as_bytes()),
        statement_key: public(&format!("seat{n}")),
        log_origin: format!("seat{n}.example/log"),
        log_key: public(&format!("seat{n} log")),
        witness_key: public(&format!("seat{n} witness")),
        sealing: sealing(&format!("seat{n}")),
        previous_log_head: None,
    }
}

/// A person under a name that is also their key's, and the subject's that they are.
pub fn person(id: &str, roles: &[&str]) -> Person {
    Person {
        id: w(id),
        name: format!("Officer {id}"),
        roles: roles.iter().map(|r| w(r)).collect(),
        keys: vec![person_key(id)],
        sealing: None,
        subject: Subject::Tokens(vec![subject(id)]),
    }
}

pub fn person_key(name: &str) -> PersonKey {
    PersonKey { key: public(name), from: days(-30), until: days(365) }
}

pub fn policy(id: &str, text: &str) -> Policy {
    Policy { id: w(id), schema: 1, text: text.to_owned() }
}

/// The valid charter that every test starts from: 3 of 5, quorums of two.
pub fn charter() -> Charter {
    let mut people = vec![
        person("ada", &["admin"]),
        person("abe", &["admin"]),
        person("rita", &["registrar"]),
        person("rolf", &["registrar"]),
        person("ida", &["requestor"]),
        person("ivan", &["requestor"]),
        person("lena", &["legal"]),
        person("leo", &["legal"]),
        person("dora", &["dpo"]),
        person("sam", &["security"]),
        person("sue", &["security"]),
        person("sara", &["subject-rights"]),
        person("wim", &["works-council"]),
        person("otto", &["recipient"]),
    ];
    people.extend((1..=5).map(|n| person(&format!("op{n}"), &[])));
    for p in &mut people {
        let id = p.id.as_str();
        if ["otto", "ida", "lena"].contains(&id) {
            p.sealing = Some(sealing(id));
        }
        if id == "ada" {
            p.subject = Subject::NoSubject;
        }
    }
    Charter {
        kind: Kind::Charter,
        org: w("acme.example"),
        nonce: Nonce::random(),
        demo: false,
        version: 1,
        previous: None,
        voided: vec![],
        issued: t0(),
        seats: (1..=5).map(seat).collect(),
        generations: vec![generation(1, 3, &[1, 2, 3, 4, 5])],
        people,
        policies: vec![policy("standard", STANDARD)],
        admin_quorum: 2,
        registrar_quorum: 2,
        approver_roles: ["dpo", "legal", "security"].map(w).to_vec(),
        basis_signers: vec![BasisSigners { basis: Basis::WorksAgreement, roles: vec![w("legal"), w("works-council")] }],
        token_versions: vec![1],
        controllers: vec![controller()],
        limits: Limits {
            request_life_s: 14 * 86_400,
            items_per_request: 3,
            requests_per_requestor_month: 1_000,
            items_per_requestor_month: 100_000,
            permit_life_s: 60,
            notice_delay_days: 90,
            recovery_delay_s: 86_400,
            clock_skew_s: 300,
            charter_grace_s: 3_600,
            sealing_key_days: 365,
        },
    }
}

pub fn generation(number: u32, t: u8, members: &[u8]) -> Generation {
    Generation { number, t, members: members.iter().copied().map(seat_index).collect() }
}

pub fn of<'a>(c: &'a mut Charter, id: &str) -> &'a mut Person {
    c.people.iter_mut().find(|p| p.id.as_str() == id).unwrap()
}

/// The draft of the version after `previous`, with one change.
pub fn next(previous: &Envelope, change: impl FnOnce(&mut Charter)) -> Charter {
    let mut c: Charter = previous.decode().unwrap();
    c.version += 1;
    c.previous = Some(previous.digest());
    c.voided = vec![];
    c.nonce = Nonce::random();
    change(&mut c);
    c
}

/// [`next`], signed by both administrators.
pub fn successor(previous: &Envelope, change: impl FnOnce(&mut Charter)) -> Envelope {
    sign(&next(previous, change), &["ada", "abe"])
}

// ---- Signing --------------------------------------------------------------------------------

pub fn sign<T: Statement>(statement: &T, by: &[&str]) -> Envelope {
    let keys: Vec<&SigningKey> = by.iter().map(|name| key(name)).collect();
    Envelope::sign(statement, &keys).unwrap()
}

/// Signs payload bytes that no honest program would sign.
pub fn sign_bytes(kind: Kind, payload: &[u8], by: &[&str]) -> Envelope {
    let message = pae(&kind.payload_type(), payload);
    let signatures: Vec<_> = by.iter().map(|n| (public(n).id(), Blob(key(n).sign(&message)))).collect();
    assemble(kind, payload, &signatures)
}

pub fn assemble(kind: Kind, payload: &[u8], signatures: &[(String, Blob)]) -> Envelope {
    let signatures: Vec<_> = signatures.iter().map(|(k, s)| serde_json::json!({ "keyid": k, "sig": s })).collect();
    let json = serde_json::json!({
        "payload": Blob(payload.to_vec()), "payloadType": kind.payload_type(), "signatures": signatures,
    });
    Envelope::parse(&serde_json::to_vec(&json).unwrap()).unwrap()
}

/// The payload as JSON, changed, and signed again.
pub fn resign(e: &Envelope, by: &[&str], change: impl FnOnce(&mut serde_json::Value)) -> Envelope {
    let mut json = serde_json::from_slice(e.payload()).unwrap();
    change(&mut json);
    sign_bytes(e.kind(), &serde_json::to_vec(&json).unwrap(), by)
}

// ---- A node ---------------------------------------------------------------------------------

#[derive(Clone)]
pub struct Node {
    pub facts: Facts,
    pub now: Timestamp,
    /// Statements admitted, in order, without the genesis.
    pub history: Vec<Envelope>,
}

impl Node {
    /// The log of seat 1.
    pub fn new(genesis: &Envelope) -> Self {
        let mut node = Self { facts: Facts::new(), now: t0(), history: vec![] };
        node.record(Some(genesis), Event::Genesis { seat: seat_index(1) }).unwrap();
        node
    }

    /// A node under [`charter`] with one change.
    pub fn with(change: impl FnOnce(&mut Charter)) -> (Self, Envelope) {
        let mut c = charter();
        change(&mut c);
        let genesis = sign(&c, &["ada", "abe"]);
        (Self::new(&genesis), genesis)
    }

    /// Appends an entry one second after the last.
    pub fn record(&mut self, statement: Option<&Envelope>, event: Event) -> Result<(), Refusal> {
        self.now = self.now.plus_seconds(1);
        let entry_type = statement.map_or("event", |e| e.kind().name());
        self.facts.fold(&Record { seq: self.facts.size(), at: self.now, entry_type, statement, event })
    }

    pub fn fold(&mut self, statement: &Envelope) -> Result<(), Refusal> {
        self.record(Some(statement), Event::Statement {})?;
        self.history.push(statement.clone());
        Ok(())
    }

    /// Folds a statement that must be admitted.
    #[track_caller]
    pub fn log(&mut self, statement: &Envelope) -> Digest {
        if let Err(e) = self.fold(statement) {
            panic!("a {} was refused: {e}", statement.kind());
        }
        statement.digest()
    }

    pub fn accept(&mut self, charter: Digest) -> Result<(), Refusal> {
        self.record(None, Event::CharterAccepted { charter })
    }

    /// Logs and accepts the next charter version.
    #[track_caller]
    pub fn follow(&mut self, charter: &Envelope) -> Digest {
        self.log(charter);
        self.accept(charter.digest()).unwrap();
        charter.digest()
    }

    pub fn charter(&self) -> Digest {
        self.facts.charter().unwrap().digest()
    }

    pub fn in_force(&self) -> &Charter {
        self.facts.charter().unwrap().charter()
    }

    pub fn evaluate(&self, request: &Digest) -> Evaluation {
        gate::evaluate(&self.facts, request, self.now)
    }

    pub fn wait(&mut self, seconds: i64) {
        self.now = self.now.plus_seconds(seconds);
    }

    // Drafts: valid statements of each kind, dated now.

    /// The device of that name for the subject of that name.
    pub fn enrolment(&self, names: &[&str]) -> Enrolment {
        let device = |n: &&str| Device { subject: subject(n), key: public(&device(n)), sealing: sealing(&device(n)) };
        Enrolment {
            kind: Kind::Enrolment,
            org: w("acme.example"),
            nonce: Nonce::random(),
            charter: self.charter(),
            devices: names.iter().map(device).collect(),
            from: t0(),
            until: days(300),
        }
    }

    pub fn enrol(&mut self, names: &[&str]) -> Digest {
        let e = sign(&self.enrolment(names), &["rita", "rolf"]);
        self.log(&e)
    }

    pub fn revocation(&self, revokes: Revoked) -> Revocation {
        Revocation {
            kind: Kind::Revocation,
            org: w("acme.example"),
            nonce: Nonce::random(),
            charter: self.charter(),
            revokes,
            reason: w("lost"),
            at: self.now,
        }
    }

    /// Revokes the key of this name, signed by both registrars.
    pub fn revoke(&mut self, name: &str) -> Digest {
        let r = sign(&self.revocation(Revoked::Key(public(name))), &["rita", "rolf"]);
        self.log(&r)
    }

    /// References to every policy of the charter in force.
    pub fn policies(&self) -> Vec<PolicyRef> {
        let mut refs: Vec<_> =
            self.in_force().policies.iter().map(|p| PolicyRef { id: p.id.clone(), digest: p.digest() }).collect();
        refs.sort();
        refs
    }

    pub fn consent(&self, who: &str) -> Consent {
        Consent {
            kind: Kind::Consent,
            org: w("acme.example"),
            nonce: Nonce::random(),
            charter: self.charter(),
            subject: subject(who),
            coverage: Coverage::Threads(sorted(vec![thread("t1"), thread("t2")])),
            from: days(-100),
            to: days(100),
            epochs: Some(Epochs { first: 5, last: 9 }),
            purposes: vec![w("investigation")],
            basis: Basis::Consent,
            authority: None,
            policies: self.policies(),
            floor: Floor { t: 3, n: 5 },
            retention_days: 30,
            notice: NoticeText { digest: Digest::of(b"notice"), language: w("de"), terms: w("delay-possible") },
            expires: days(200),
            record: escrow_core::consent::Record {
                schema_version: w("27560:2023"),
                record_id: w("rec-1"),
                jurisdiction: w("DE"),
                pii_types: vec![w("message-content")],
                controllers: vec![controller()],
                storage_locations: vec![w("DE")],
                recipients: vec![w("recipient")],
                withdrawal_method: w("app"),
                event_time: self.now,
                event_type: w("explicit"),
                event_state: w("given"),
                entity_id: w("subject"),
            },
        }
    }

    pub fn withdrawal(&self, consent: Digest, who: &str) -> Withdrawal {
        Withdrawal {
            kind: Kind::Withdrawal,
            org: w("acme.example"),
            nonce: Nonce::random(),
            charter: self.charter(),
            consent,
            subject: subject(who),
            at: self.now,
        }
    }

    /// The header of a deal under the newest generation.
    pub fn deal(&self, who: &str, consent: Digest) -> Deal {
        let g = self.in_force().current_generation().unwrap();
        Deal {
            org: w("acme.example"),
            nonce: Nonce::random(),
            generation: g.number,
            t: g.t,
            n: g.n(),
            consent,
            policies: self.policies(),
            depositor: subject(who),
            items: vec![],
        }
    }

    /// Deals fresh keys to the seats of the newest generation.
    pub fn dealt(&self, header: Deal, items: &[About]) -> Dealt {
        let c = self.in_force();
        let members = &c.current_generation().unwrap().members;
        let seats: Vec<_> = members.iter().map(|m| (*m, c.seat(*m).unwrap().sealing.clone())).collect();
        let keys: Vec<_> = items.iter().map(|a| (a.clone(), ThreadKey::generate())).collect();
        Dealer { header, seats: &seats }.deal(&keys).unwrap()
    }

    pub fn deposit(&self, who: &str, dealt: &Dealt) -> Deposit {
        Deposit {
            kind: Kind::Deposit,
            org: w("acme.example"),
            nonce: Nonce::random(),
            charter: self.charter(),
            depositor: subject(who),
            deal: Blob(dealt.deal.clone()),
            blobs: dealt.blobs.iter().map(|(seat, b)| SeatBlob { seat: *seat, sha256: Digest::of(b) }).collect(),
            at: self.now,
        }
    }

    /// Deposits and gives the item ids, in position order.
    #[track_caller]
    pub fn deposit_items(&mut self, who: &str, consent: Digest, items: &[About]) -> Vec<ItemId> {
        let dealt = self.dealt(self.deal(who, consent), items);
        let e = sign(&self.deposit(who, &dealt), &[&device(who)]);
        self.log(&e);
        OpenedDeal::parse(&dealt.deal).unwrap().item_ids()
    }

    pub fn matter(&self, action: MatterAction, previous: Option<Digest>) -> Matter {
        Matter {
            kind: Kind::Matter,
            org: w("acme.example"),
            nonce: Nonce::random(),
            charter: self.charter(),
            matter: w("MAT-1"),
            action,
            previous,
            by: w("ida"),
            title: Digest::of(b"title"),
            at: self.now,
        }
    }

    pub fn matter_act(&self, action: MatterAction, previous: Option<Digest>) -> Envelope {
        sign(&self.matter(action, previous), &["ida"])
    }

    /// A request of ida for otto: these items of threads t1 and t2.
    pub fn request(&self, items: &[ItemId]) -> Request {
        let threads: Vec<Token> = items.iter().filter_map(|i| self.facts.item(i)).map(|i| i.about.thread).collect();
        let threads = sorted(if threads.is_empty() { vec![thread("t1")] } else { threads });
        Request {
            kind: Kind::Request,
            org: w("acme.example"),
            nonce: Nonce::random(),
            charter: self.charter(),
            matter: w("MAT-1"),
            by: w("ida"),
            basis: Basis::Consent,
            authority: None,
            purpose: w("investigation"),
            counts: Counts { items: items.len() as u64, threads: threads.len() as u64 },
            scope: Scope { threads, from: days(-30), to: days(0) },
            selection: None,
            items: sorted(items.to_vec()),
            recipient: Recipient::Person(RecipientPerson { id: w("otto"), sealing: sealing("otto").digest() }),
            policy: w("standard"),
            notice: Notice::Immediate,
            created: self.now,
            expires: self.now.plus_seconds(7 * DAY),
        }
    }

    pub fn cancellation(&self, request: Digest, by: &str) -> Envelope {
        let c = Cancellation {
            kind: Kind::Cancellation,
            org: w("acme.example"),
            nonce: Nonce::random(),
            charter: self.charter(),
            request,
            by: w(by),
            at: self.now,
        };
        sign(&c, &[by])
    }

    pub fn decision(&self, request: Digest, by: &str, role: &str, choice: Choice) -> Decision {
        Decision {
            kind: Kind::Decision,
            org: w("acme.example"),
            nonce: Nonce::random(),
            charter: self.charter(),
            request,
            by: w(by),
            role: w(role),
            choice,
            reason: w("R1"),
            at: self.now,
        }
    }

    pub fn decide(&self, request: Digest, by: &str, role: &str, choice: Choice) -> Envelope {
        sign(&self.decision(request, by, role, choice), &[by])
    }

    pub fn call(&self, request: Digest, by: Caller) -> ReleaseCall {
        ReleaseCall {
            kind: Kind::ReleaseCall,
            org: w("acme.example"),
            nonce: Nonce::random(),
            charter: self.charter(),
            request,
            by,
            at: self.now,
        }
    }

    /// A reply to the request goes out: an authorisation and its delivery.
    pub fn delivered(&mut self, request: Digest) {
        let call = sign(&self.call(request, by_person("ida")), &["ida"]);
        let release = Release {
            kind: Kind::Release,
            org: w("acme.example"),
            nonce: Nonce::random(),
            charter: self.charter(),
            seat: seat_index(1),
            generation: 1,
            request,
            items: vec![Digest::of(b"item")],
            recipient: Digest::of(b"recipient"),
            reply: Digest::of(b"reply"),
            attempt: 1,
        };
        let release = sign(&release, &[&seat_key(1)]);
        let authorized = self.facts.size();
        let authorise = Event::Authorized { request, decisions: vec![], permits: vec![], answers: vec![] };
        self.record(Some(&call), authorise).unwrap();
        let reply = Digest::of(b"reply");
        let event = Event::Delivered { authorized, note: Digest::of(b"note"), request, reply, attempt: 1 };
        self.record(Some(&release), event).unwrap();
    }

    /// Digests of the restrictions that bear on a request or self-recovery.
    pub fn restrictions_on(&self, request: &Digest) -> Vec<Digest> {
        self.facts.restrictions_on(request, &Concerns::default())
    }

    /// A self-recovery of a subject's items to one of their devices.
    pub fn self_recovery(&self, who: &str, device: &str, enrolment: Digest, items: &[ItemId]) -> SelfRecovery {
        let name = self::device(device);
        SelfRecovery {
            kind: Kind::SelfRecovery,
            org: w("acme.example"),
            nonce: Nonce::random(),
            charter: self.charter(),
            subject: subject(who),
            enrolment,
            key: public(&name),
            sealing: sealing(&name).digest(),
            items: sorted(items.to_vec()),
            policy: w("standard"),
            created: self.now,
            expires: self.now.plus_seconds(7 * DAY),
        }
    }

    pub fn veto(&self, recovery: Digest, by: Caller) -> Veto {
        Veto {
            kind: Kind::Veto,
            org: w("acme.example"),
            nonce: Nonce::random(),
            charter: self.charter(),
            recovery,
            by,
            reason: w("not-me"),
            at: self.now,
        }
    }

    /// The enrolment of a further device of a subject.
    pub fn further_device(&self, who: &str, name: &str) -> Enrolment {
        let mut e = self.enrolment(&[name]);
        e.devices[0].subject = subject(who);
        e
    }

    pub fn query(&self, by: Caller, what: Question) -> Query {
        Query {
            kind: Kind::Query,
            org: w("acme.example"),
            nonce: Nonce::random(),
            charter: self.charter(),
            by,
            seat: seat_index(1),
            what,
            at: self.now,
        }
    }

    /// The permit of another seat, decided now.
    pub fn verdict(&self, seat: u8, request: Digest) -> Verdict {
        Verdict {
            kind: Kind::Verdict,
            org: w("acme.example"),
            nonce: Nonce::random(),
            charter: self.charter(),
            seat: seat_index(seat),
            request,
            outcome: Outcome::Permit,
            lacking: vec![],
            reasons: vec![],
            policies: vec![],
            decisions: vec![],
            context: Some(Digest::of(b"context")),
            decided: self.now,
            valid_until: self.now.plus_seconds(60),
        }
    }

    /// The answer of another seat to seat 1, knowing no restriction.
    pub fn answer(&self, seat: u8, request: Digest) -> RestrictionAnswer {
        let concerns = self.facts.concerns(&request);
        RestrictionAnswer {
            kind: Kind::RestrictionAnswer,
            org: w("acme.example"),
            nonce: Nonce::random(),
            charter: self.charter(),
            seat: seat_index(seat),
            asker: seat_index(1),
            asked: Nonce::random(),
            request: Some(request),
            matter: concerns.matter,
            consents: concerns.consents.into_iter().collect(),
            revocable: concerns.revocable.into_iter().collect(),
            after: 0,
            upto: self.facts.size(),
            restrictions: vec![],
            at: self.now,
        }
    }
}

/// A person as the filter team.
pub fn to_filter(id: &str) -> Recipient {
    Recipient::FilterTeam(RecipientPerson { id: w(id), sealing: sealing(id).digest() })
}

/// Who decides on the processing.
pub fn controller() -> Party {
    Party { id: w("acme"), name: w("Acme"), kind: w("controller"), contact: w("privacy desk"), address: w("Street 1") }
}

/// The name of a subject's device key.
pub fn device(who: &str) -> String {
    format!("device of {who}")
}

pub fn by_person(id: &str) -> Caller {
    Caller::Person(w(id))
}

pub fn by_device(who: &str) -> Caller {
    Caller::Device(public(&device(who)))
}

pub fn seat_key(n: u8) -> String {
    format!("seat{n}")
}

pub fn sorted<T: Ord>(mut list: Vec<T>) -> Vec<T> {
    list.sort();
    list.dedup();
    list
}

/// An item of a thread, one day long, ten days ago, with maria, max and somebody outside in it.
pub fn about(name: &str) -> About {
    About {
        source: KeySource::ContentKey,
        thread: thread(name),
        era: 1,
        epoch: 7,
        authenticator: Blob(vec![]),
        from: days(-10),
        to: days(-9),
        archive: None,
        participants: participants(&[("maria", true), ("max", true), ("customer", false)]),
    }
}

pub fn participants(list: &[(&str, bool)]) -> Vec<Participant> {
    sorted(list.iter().map(|(n, inside)| Participant { token: subject(n), inside: *inside }).collect())
}

/// A node at which ida's request for maria's two items waits for decisions.
#[derive(Clone)]
pub struct Case {
    pub node: Node,
    pub genesis: Envelope,
    pub enrolment: Digest,
    pub consent: Digest,
    pub items: Vec<ItemId>,
    pub opening: Digest,
    pub asked: Request,
    pub request: Digest,
}

impl Case {
    /// The standard case, made once.
    pub fn new() -> Self {
        static CASE: LazyLock<Case> = LazyLock::new(|| Case::with(|_| {}));
        CASE.clone()
    }

    /// Under a charter with one change.
    pub fn with(change: impl FnOnce(&mut Charter)) -> Self {
        Self::of(change, |_| {}, |_| {})
    }

    /// Under a charter, with items and with a request that each have one change.
    pub fn of(
        charter: impl FnOnce(&mut Charter),
        items: impl Fn(&mut About),
        request: impl FnOnce(&mut Request),
    ) -> Self {
        let (mut node, genesis) = Node::with(charter);
        let enrolment = node.enrol(&["maria", "max"]);
        let consent = sign(&node.consent("maria"), &[&device("maria")]);
        let consent = node.log(&consent);
        let mut list = [about("t1"), about("t2")];
        list.iter_mut().for_each(items);
        let items = node.deposit_items("maria", consent, &list);
        let opening = node.matter_act(MatterAction::Open, None);
        let opening = node.log(&opening);
        let mut asked = node.request(&items);
        request(&mut asked);
        let e = sign(&asked, &[asked.by.as_str()]);
        let request = node.log(&e);
        Self { node, genesis, enrolment, consent, items, opening, asked, request }
    }

    pub fn decide(&mut self, by: &str, role: &str, choice: Choice) -> Digest {
        let e = self.node.decide(self.request, by, role, choice);
        self.node.log(&e)
    }

    pub fn approve(&mut self, by: &str, role: &str) -> Digest {
        self.decide(by, role, Choice::Approve)
    }

    /// Approved by legal and dpo: the standard policy permits.
    pub fn approved() -> Self {
        let mut case = Self::new();
        case.approve("lena", "legal");
        case.approve("dora", "dpo");
        case
    }

    /// Logs another request for the same items, with one change.
    pub fn ask(&mut self, change: impl FnOnce(&mut Request)) -> Digest {
        let mut r = self.node.request(&self.items);
        change(&mut r);
        let e = sign(&r, &[r.by.as_str()]);
        self.node.log(&e)
    }

    pub fn evaluate(&self) -> Evaluation {
        self.node.evaluate(&self.request)
    }

    /// `permit`, `pending: <what> <have>/<need>, ...` or `refuse: <code>`.
    pub fn says(&self) -> String {
        says(&self.evaluate())
    }
}

pub fn says(e: &Evaluation) -> String {
    match e.outcome {
        Outcome::Permit => "permit".to_owned(),
        Outcome::Pending => {
            let one = |l: &escrow_core::verdict::Lacking| format!("{} {}/{}", l.what, l.have, l.need);
            format!("pending: {}", e.lacking.iter().map(one).collect::<Vec<_>>().join(", "))
        }
        Outcome::Refuse => {
            let codes: Vec<_> = e.refusals.iter().map(|r| r.rule.code()).collect();
            format!("refuse: {}", codes.join(", "))
        }
    }
}

pub fn refused<T>(result: Result<T, Refusal>) -> Option<Rule> {
    result.err().map(|r| r.rule)
}
