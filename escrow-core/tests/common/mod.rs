//! Fixed keys, tokens and one valid statement of every kind, shared by the test files.

#![allow(dead_code)] // every test file uses a part of this one

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use escrow_core::charter::{
    Basis, BasisSigners, Charter, Generation, Limits, Person, PersonKey, Policy, SealingKey, Seat, Subject,
};
use escrow_core::consent::{
    Authority, Consent, Coverage, Epochs, Floor, NoticeText, Party, PolicyRef, Record, Withdrawal,
};
use escrow_core::deal::{About, Deal, KeySource, Participant};
use escrow_core::decision::{Choice, Decision};
use escrow_core::deposit::{Deposit, SeatBlob};
use escrow_core::enrolment::{Device, Enrolment, Revocation, Revoked};
use escrow_core::envelope::{EnvelopeError, pae};
use escrow_core::matter::{Matter, MatterAction};
use escrow_core::notification::{Notification, NotificationEvent};
use escrow_core::query::{CustodianScope, EntryRange, Exported, Query, Question};
use escrow_core::receipt::Receipt;
use escrow_core::recovery::{SelfRecovery, Veto};
use escrow_core::release::{Caller, Release, ReleaseCall};
use escrow_core::request::{
    Cancellation, ContextAsked, Counts, DelayedNotice, Notice, Recipient, RecipientDevice, RecipientPerson, Request,
    Scope, Selection,
};
use escrow_core::restriction::RestrictionAnswer;
use escrow_core::sealing::{SealingSecret, Suite};
use escrow_core::verdict::{Lacking, Outcome, PolicyResult, Verdict};
use escrow_core::view::View;
use escrow_core::{
    Blob, Code, Digest, Envelope, Kind, Nonce, Org, PublicKey, SeatIndex, SigningKey, Statement, ThreadKey, Timestamp,
    Token, TokenKey,
};
use serde_json::{Value, json};
use std::fmt::Debug;
use std::str::FromStr;
use zeroize::Zeroizing;

pub(crate) fn b64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// A word, time, key or token from text.
pub(crate) fn w<T: FromStr<Err: Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

/// A signature key whose 32 private bytes are all `n`.
pub(crate) fn ed25519(n: u8) -> SigningKey {
    SigningKey::from_line(&format!("ed25519-private:{}", b64(&[n; 32]))).unwrap()
}

/// A P-256 key whose 32 private bytes are all `n`.
pub(crate) fn es256(n: u8) -> SigningKey {
    SigningKey::from_line(&format!("es256-private:{}", b64(&[n; 32]))).unwrap()
}

/// A sealing key whose 32-byte private seed is all `n`.
pub(crate) fn sealing(suite: Suite, n: u8) -> SealingSecret {
    SealingSecret::from_line(&format!("{}-private:{}", suite.name(), b64(&[n; 32]))).unwrap()
}

pub(crate) fn sealing_key(n: u8) -> SealingKey {
    sealing(Suite::XWing, n).public().clone()
}

pub(crate) fn d(n: u8) -> Digest {
    Digest([n; 32])
}

pub(crate) fn nonce(n: u8) -> Nonce {
    Nonce([n; 16])
}

/// Seconds after 2026-11-21T09:30:00Z.
pub(crate) fn at(seconds: i64) -> Timestamp {
    w::<Timestamp>("2026-11-21T09:30:00.000Z").plus_seconds(seconds)
}

pub(crate) fn seat(n: u8) -> SeatIndex {
    SeatIndex::new(n).unwrap()
}

pub(crate) fn org() -> Org {
    w("acme.example")
}

pub(crate) fn token_key() -> TokenKey {
    TokenKey::from_bytes(1, Zeroizing::new([0x54; 32]))
}

pub(crate) fn subject(id: &str) -> Token {
    token_key().subject(id)
}

pub(crate) fn thread(id: &str) -> Token {
    token_key().thread(id)
}

pub(crate) fn thread_key(n: u8) -> ThreadKey {
    ThreadKey::from_bytes(Zeroizing::new([n; 32]))
}

fn sorted<T: Ord>(mut list: Vec<T>) -> Vec<T> {
    list.sort();
    list
}

pub(crate) fn two_policies() -> Vec<PolicyRef> {
    vec![
        PolicyRef { id: w("internal-investigation"), digest: policy().digest() },
        PolicyRef { id: w("lost-device"), digest: d(0x21) },
    ]
}

pub(crate) fn policy() -> Policy {
    Policy {
        id: w("internal-investigation"),
        schema: 1,
        text: "permit (principal, action, resource)\nwhen { context.approvals.legal >= 1 && context.approvals.dpo >= 1 };\n"
            .to_owned(),
    }
}

// ---- deals ----

/// A deal without items for t of n seats.
pub(crate) fn header(t: u8, n: u8) -> Deal {
    Deal {
        org: org(),
        nonce: nonce(0xd1),
        generation: 1,
        t,
        n,
        consent: d(0xc0),
        policies: two_policies(),
        depositor: subject("alice"),
        items: Vec::new(),
    }
}

pub(crate) fn about(epoch: u64) -> About {
    About {
        source: KeySource::Mls10,
        thread: thread("general"),
        era: 3,
        epoch,
        authenticator: Blob(vec![0xea; 32]),
        from: at(0),
        to: at(3600),
        archive: Some(d(0xa7)),
        participants: sorted(vec![
            Participant { token: subject("alice"), inside: true },
            Participant { token: subject("bob"), inside: false },
        ]),
    }
}

// ---- one statement of every kind ----

pub(crate) fn charter() -> Charter {
    let person = |id: &str, n: u8, roles: &[&str], subject: Subject| Person {
        id: w(id),
        name: format!("Officer {id}"),
        roles: roles.iter().map(|r| w(r)).collect(),
        keys: vec![PersonKey { key: ed25519(n).public(), from: at(0), until: at(86_400) }],
        sealing: Some(sealing_key(n)),
        subject,
    };
    let one = |index: u8| Seat {
        index: seat(index),
        name: w(&format!("seat-{index}")),
        operators: vec![w("op-one")],
        operator: w("Operator One"),
        jurisdiction: w("DE"),
        url: format!("https://seat{index}.example:8443"),
        tls_pin: d(0x70 + index),
        statement_key: es256(0x10 + index).public(),
        log_origin: format!("seat{index}.example/log"),
        log_key: ed25519(0x20 + index).public(),
        witness_key: ed25519(0x30 + index).public(),
        sealing: sealing_key(0x40 + index),
        previous_log_head: Some(d(0x60 + index)),
    };
    Charter {
        kind: Kind::Charter,
        org: org(),
        nonce: nonce(0x01),
        demo: false,
        version: 2,
        previous: Some(d(0x11)),
        voided: vec![d(0x12)],
        issued: at(0),
        seats: vec![one(1), one(2), one(3)],
        generations: vec![Generation { number: 1, t: 2, members: vec![seat(1), seat(2), seat(3)] }],
        people: vec![
            person("adm-one", 0x51, &["admin", "registrar"], Subject::Tokens(vec![subject("adm-one")])),
            person("leg-one", 0x52, &["legal"], Subject::NoSubject),
        ],
        policies: vec![policy()],
        admin_quorum: 2,
        registrar_quorum: 2,
        approver_roles: vec![w("legal"), w("dpo")],
        basis_signers: vec![BasisSigners { basis: Basis::Order, roles: vec![w("legal")] }],
        token_versions: vec![1],
        controllers: vec![Party {
            id: "acme.example".parse().unwrap(),
            name: "ACME GmbH".parse().unwrap(),
            kind: "controller".parse().unwrap(),
            contact: "dpo at acme.example".parse().unwrap(),
            address: "Example Street 1".parse().unwrap(),
        }],
        limits: Limits {
            request_life_s: 604_800,
            items_per_request: 500,
            requests_per_requestor_month: 1_000,
            items_per_requestor_month: 100_000,
            permit_life_s: 60,
            notice_delay_days: 90,
            recovery_delay_s: 86_400,
            clock_skew_s: 120,
            charter_grace_s: 3_600,
            sealing_key_days: 180,
        },
    }
}

pub(crate) fn enrolment() -> Enrolment {
    let device = |id: &str, n: u8| Device { subject: subject(id), key: ed25519(n).public(), sealing: sealing_key(n) };
    Enrolment {
        kind: Kind::Enrolment,
        org: org(),
        nonce: nonce(0x02),
        charter: d(0x11),
        devices: vec![device("alice", 0x61), device("bob", 0x62)],
        from: at(0),
        until: at(86_400),
    }
}

pub(crate) fn revocation() -> Revocation {
    Revocation {
        kind: Kind::Revocation,
        org: org(),
        nonce: nonce(0x03),
        charter: d(0x11),
        revokes: Revoked::Key(ed25519(0x61).public()),
        reason: w("lost-device"),
        at: at(10),
    }
}

pub(crate) fn consent() -> Consent {
    Consent {
        kind: Kind::Consent,
        org: org(),
        nonce: nonce(0x04),
        charter: d(0x11),
        subject: subject("alice"),
        coverage: Coverage::Threads(sorted(vec![thread("general"), thread("random")])),
        from: at(0),
        to: at(86_400),
        epochs: Some(Epochs { first: 4, last: 9 }),
        purposes: vec![w("investigation"), w("recovery")],
        basis: Basis::Order,
        authority: Some(Authority { reference: w("Case 24-cv-123"), document: d(0x41) }),
        policies: two_policies(),
        floor: Floor { t: 2, n: 5 },
        retention_days: 365,
        notice: NoticeText { digest: d(0x42), language: w("de"), terms: w("immediate") },
        expires: at(864_000),
        record: Record {
            schema_version: w("27560-2023"),
            record_id: w("rec-1"),
            jurisdiction: w("DE"),
            pii_types: vec![w("message-content")],
            controllers: vec![Party {
                id: w("acme"),
                name: w("Acme"),
                kind: w("controller"),
                contact: w("dpo-desk"),
                address: w("Berlin"),
            }],
            storage_locations: vec![w("DE")],
            recipients: vec![w("legal")],
            withdrawal_method: w("app"),
            event_time: at(0),
            event_type: w("recorded"),
            event_state: w("given"),
            entity_id: w("subject"),
        },
    }
}

/// The same by the subject's own consent, for the whole workspace, in every epoch.
pub(crate) fn own_consent() -> Consent {
    Consent { basis: Basis::Consent, authority: None, coverage: Coverage::Workspace, epochs: None, ..consent() }
}

pub(crate) fn withdrawal() -> Withdrawal {
    Withdrawal {
        kind: Kind::Withdrawal,
        org: org(),
        nonce: nonce(0x05),
        charter: d(0x11),
        consent: d(0x51),
        subject: subject("alice"),
        at: at(20),
    }
}

pub(crate) fn deposit() -> Deposit {
    Deposit {
        kind: Kind::Deposit,
        org: org(),
        nonce: nonce(0x06),
        charter: d(0x11),
        depositor: subject("alice"),
        deal: Blob(br#"{"not":"parsed here"}"#.to_vec()),
        blobs: [1, 3, 5].map(|i| SeatBlob { seat: seat(i), sha256: d(i) }).to_vec(),
        at: at(30),
    }
}

pub(crate) fn matter() -> Matter {
    Matter {
        kind: Kind::Matter,
        org: org(),
        nonce: nonce(0x07),
        charter: d(0x11),
        matter: w("MAT-2026-0017"),
        action: MatterAction::Close,
        previous: Some(d(0x71)),
        by: w("inv-one"),
        title: d(0x72),
        at: at(40),
    }
}

pub(crate) fn request() -> Request {
    Request {
        kind: Kind::Request,
        org: org(),
        nonce: nonce(0x08),
        charter: d(0x11),
        matter: w("MAT-2026-0017"),
        by: w("inv-one"),
        basis: Basis::Order,
        authority: Some(Authority { reference: w("Case 24-cv-123"), document: d(0x41) }),
        purpose: w("investigation"),
        scope: Scope { threads: sorted(vec![thread("general"), thread("random")]), from: at(0), to: at(3_600) },
        selection: None,
        items: vec![d(0x80), d(0x81), d(0x82)],
        counts: Counts { items: 3, threads: 2 },
        recipient: Recipient::Person(RecipientPerson { id: w("rev-one"), sealing: d(0x83) }),
        policy: w("internal-investigation"),
        notice: Notice::Delayed(DelayedNotice { order: w("Order 7"), until: at(86_400) }),
        created: at(50),
        expires: at(86_450),
    }
}

/// The same on the subject's consent, to the subject's device, with notice at once.
pub(crate) fn device_request() -> Request {
    Request {
        basis: Basis::Consent,
        authority: None,
        recipient: Recipient::Device(RecipientDevice {
            enrolment: d(0x84),
            key: ed25519(0x61).public(),
            sealing: d(0x85),
        }),
        notice: Notice::Immediate,
        ..request()
    }
}

/// The same, chosen by custodians, epochs and context.
pub(crate) fn selected_request() -> Request {
    let selection = Selection {
        custodians: sorted(vec![subject("maria"), subject("max")]),
        epochs: Some(Epochs { first: 4, last: 9 }),
        from: at(600),
        to: at(3_000),
        context: ContextAsked { hours: 1, messages: 10 },
        zone: w("Europe/Berlin"),
    };
    Request { selection: Some(selection), ..request() }
}

/// The same to the filter team, before anybody on the case reads.
pub(crate) fn filter_request() -> Request {
    Request { recipient: Recipient::FilterTeam(RecipientPerson { id: w("filter-one"), sealing: d(0x86) }), ..request() }
}

pub(crate) fn self_recovery() -> SelfRecovery {
    SelfRecovery {
        kind: Kind::SelfRecovery,
        org: org(),
        nonce: nonce(0x12),
        charter: d(0x11),
        subject: subject("alice"),
        enrolment: d(0x84),
        key: ed25519(0x61).public(),
        sealing: d(0x85),
        items: vec![d(0x80), d(0x81)],
        policy: w("lost-device"),
        created: at(50),
        expires: at(86_450),
    }
}

pub(crate) fn veto() -> Veto {
    Veto {
        kind: Kind::Veto,
        org: org(),
        nonce: nonce(0x13),
        charter: d(0x11),
        recovery: d(0x92),
        by: Caller::Device(ed25519(0x62).public()),
        reason: w("not-me"),
        at: at(65),
    }
}

pub(crate) fn cancellation() -> Cancellation {
    Cancellation {
        kind: Kind::Cancellation,
        org: org(),
        nonce: nonce(0x09),
        charter: d(0x11),
        request: d(0x91),
        by: w("inv-one"),
        at: at(60),
    }
}

pub(crate) fn decision() -> Decision {
    Decision {
        kind: Kind::Decision,
        org: org(),
        nonce: nonce(0x0a),
        charter: d(0x11),
        request: d(0x91),
        by: w("leg-one"),
        role: w("legal"),
        choice: Choice::Approve,
        reason: w("proportionate"),
        at: at(70),
    }
}

pub(crate) fn release_call() -> ReleaseCall {
    ReleaseCall {
        kind: Kind::ReleaseCall,
        org: org(),
        nonce: nonce(0x0b),
        charter: d(0x11),
        request: d(0x91),
        by: Caller::Person(w("rev-one")),
        at: at(80),
    }
}

pub(crate) fn receipt() -> Receipt {
    Receipt {
        kind: Kind::Receipt,
        org: org(),
        nonce: nonce(0x0c),
        charter: d(0x11),
        seat: seat(1),
        statement: d(0x91),
        envelope: d(0x92),
        log: "seat1.example/log".to_owned(),
        seq: 17,
        leaf: d(0x93),
        at: at(90),
    }
}

pub(crate) fn permit() -> Verdict {
    Verdict {
        kind: Kind::Verdict,
        org: org(),
        nonce: nonce(0x0d),
        charter: d(0x11),
        seat: seat(1),
        request: d(0x91),
        outcome: Outcome::Permit,
        lacking: Vec::new(),
        reasons: Vec::new(),
        policies: vec![PolicyResult { policy: d(0x94), current: true, allowed: true, determining: vec![w("policy0")] }],
        decisions: vec![d(0x95), d(0x96)],
        context: Some(d(0x97)),
        decided: at(100),
        valid_until: at(160),
    }
}

pub(crate) fn pending() -> Verdict {
    let lacking = vec![Lacking { what: w("approvals.legal"), have: 0, need: 1 }];
    Verdict { outcome: Outcome::Pending, lacking, ..permit() }
}

pub(crate) fn refusal() -> Verdict {
    Verdict { outcome: Outcome::Refuse, reasons: vec![w("consent.withdrawn")], context: None, ..permit() }
}

pub(crate) fn release() -> Release {
    Release {
        kind: Kind::Release,
        org: org(),
        nonce: nonce(0x0e),
        charter: d(0x11),
        seat: seat(2),
        generation: 1,
        request: d(0x91),
        items: vec![d(0x80), d(0x81)],
        recipient: d(0x83),
        reply: d(0x98),
        attempt: 1,
    }
}

pub(crate) fn restriction_answer() -> RestrictionAnswer {
    RestrictionAnswer {
        kind: Kind::RestrictionAnswer,
        org: org(),
        nonce: nonce(0x0f),
        charter: d(0x11),
        seat: seat(2),
        asker: seat(1),
        asked: nonce(0x1f),
        request: Some(d(0x91)),
        matter: Some(w("MAT-2026-0017")),
        consents: vec![d(0x71), d(0x72)],
        revocable: vec![Revoked::Enrolment(d(0x73)), Revoked::Key(ed25519(0x74).public())],
        after: 0,
        upto: 40,
        restrictions: vec![d(0x99), d(0x9a)],
        at: at(110),
    }
}

/// A page of all restrictions, from a log position on.
pub(crate) fn answer_about_all() -> RestrictionAnswer {
    RestrictionAnswer {
        request: None,
        matter: None,
        consents: vec![],
        revocable: vec![],
        after: 7,
        ..restriction_answer()
    }
}

pub(crate) fn view() -> View {
    View {
        kind: Kind::View,
        org: org(),
        nonce: nonce(0x10),
        charter: d(0x11),
        seat: seat(3),
        log: "seat1.example/log".to_owned(),
        note: Some("seat1.example/log\n18\nAAAA\n\n".to_owned()),
        export: nonce(0x20),
        at: at(120),
    }
}

pub(crate) fn notification() -> Notification {
    Notification {
        kind: Kind::Notification,
        org: org(),
        nonce: nonce(0x12),
        charter: d(0x11),
        seat: seat(1),
        event: NotificationEvent::RequestWaits,
        about: d(0x91),
        matter: Some(w("MAT-2026-0017")),
        at: at(140),
    }
}

pub(crate) fn query(what: Question) -> Query {
    Query {
        kind: Kind::Query,
        org: org(),
        nonce: nonce(0x11),
        charter: d(0x11),
        by: Caller::Person(w("leg-one")),
        seat: seat(1),
        what,
        at: at(130),
    }
}

pub(crate) fn entries_query() -> Query {
    query(Question::Entries(EntryRange { log: 1, from: 5, count: 100 }))
}

/// Signs one statement with the keys given.
type Sign = Box<dyn Fn(&[&SigningKey]) -> Envelope>;

/// A valid statement with its kind forgotten, so that one loop treats all of them.
pub(crate) struct Example {
    /// Kind, and which variant of it.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// The exact payload bytes.
    pub(crate) payload: Vec<u8>,
    /// Largest payload of the kind.
    pub(crate) max: usize,
    /// Decodes an envelope as this kind.
    pub(crate) decode: fn(&Envelope) -> Result<(), EnvelopeError>,
    /// Signs it with the crate's own function.
    pub(crate) sign: Sign,
}

impl Example {
    fn of<T: Statement + Clone + 'static>(name: &'static str, statement: T) -> Self {
        Self {
            name,
            kind: T::KIND,
            payload: serde_json::to_vec(&statement).unwrap(),
            max: T::MAX_BYTES,
            decode: |e| e.decode::<T>().map(drop),
            sign: Box::new(move |keys| Envelope::sign(&statement, keys).unwrap()),
        }
    }

    pub(crate) fn value(&self) -> Value {
        serde_json::from_slice(&self.payload).unwrap()
    }
}

/// One example of every kind first, in the order of `Kind::ALL`, then the variants of some.
pub(crate) fn custodian_query() -> Query {
    let custodians = sorted(vec![subject("maria"), subject("max")]);
    query(Question::ItemsOf(CustodianScope { custodians, from: at(0), to: at(3_600) }))
}

pub(crate) fn examples() -> Vec<Example> {
    vec![
        Example::of("charter", charter()),
        Example::of("enrolment", enrolment()),
        Example::of("revocation", revocation()),
        Example::of("consent", consent()),
        Example::of("withdrawal", withdrawal()),
        Example::of("deposit", deposit()),
        Example::of("matter", matter()),
        Example::of("request", request()),
        Example::of("cancellation", cancellation()),
        Example::of("decision", decision()),
        Example::of("self-recovery", self_recovery()),
        Example::of("veto", veto()),
        Example::of("release-call", release_call()),
        Example::of("receipt", receipt()),
        Example::of("verdict", permit()),
        Example::of("release", release()),
        Example::of("restriction-answer", restriction_answer()),
        Example::of("view", view()),
        Example::of("query", entries_query()),
        Example::of("notification", notification()),
        Example::of("consent of the subject", own_consent()),
        Example::of("request to a device", device_request()),
        Example::of("request to the filter team", filter_request()),
        Example::of("request by custodians with context", selected_request()),
        Example::of("veto by a person", Veto { by: Caller::Person(w("rights-one")), ..veto() }),
        Example::of("pending verdict", pending()),
        Example::of("refusing verdict", refusal()),
        Example::of(
            "release call by a device",
            ReleaseCall { by: Caller::Device(es256(0x61).public()), ..release_call() },
        ),
        Example::of("revocation of an enrolment", Revocation { revokes: Revoked::Enrolment(d(0x22)), ..revocation() }),
        Example::of("query for a verdict", query(Question::Evaluate(d(0x91)))),
        Example::of("query for items", query(Question::Items(request().scope))),
        Example::of("query for items of custodians", custodian_query()),
        Example::of("query for views", query(Question::Views(nonce(0x33)))),
        Example::of(
            "query that records an export",
            query(Question::Exported(Exported { bundle: d(0x66), export: nonce(0x33), requests: vec![d(0x91)] })),
        ),
        Example::of("query for matters", query(Question::Matters)),
        Example::of("query for a preview", query(Question::Preview(Box::new(request())))),
        Example::of(
            "query for recoveries by a device",
            Query { by: Caller::Device(ed25519(0x61).public()), ..query(Question::Recoveries) },
        ),
        Example::of(
            "query for a device's own",
            Query { by: Caller::Device(ed25519(0x61).public()), ..query(Question::Own) },
        ),
        Example::of("answer about all restrictions", answer_about_all()),
    ]
}

/// An envelope put together by hand: nothing of it is checked here.
pub(crate) fn raw_envelope(payload_type: &str, payload: &[u8], signatures: &[(String, Vec<u8>)]) -> Vec<u8> {
    let signatures: Vec<Value> = signatures.iter().map(|(id, sig)| json!({"keyid": id, "sig": b64(sig)})).collect();
    serde_json::to_vec(&json!({
        "payload": b64(payload),
        "payloadType": payload_type,
        "signatures": signatures,
    }))
    .unwrap()
}

/// Any bytes as a payload of `kind`, correctly signed: what a hostile signer can send.
pub(crate) fn signed_by_hand(kind: Kind, payload: &[u8], key: &SigningKey) -> Envelope {
    let sig = key.sign(&pae(&kind.payload_type(), payload));
    Envelope::parse(&raw_envelope(&kind.payload_type(), payload, &[(key.public().id(), sig)])).unwrap()
}

/// A lookup that knows these keys by their hints.
pub(crate) fn knows<'a>(keys: &'a [&'a SigningKey]) -> impl Fn(&String) -> Vec<PublicKey> + 'a {
    move |id| keys.iter().map(|k| k.public()).filter(|k| &k.id() == id).collect()
}

/// The words of a code list.
pub(crate) fn codes(list: &[&str]) -> Vec<Code> {
    list.iter().map(|c| w(c)).collect()
}
