//! How systems like ours have failed: each failure of rules R1 to R6 that the gate and admission
//! can meet, with its test. Every test first shows that the unmodified thing is accepted, so that
//! none passes for the wrong reason. What only cryptography or a node can meet is in
//! `escrow-core/tests/failures.rs` and `escrow-node/tests/failures.rs`.
//!
//! | failure | seen in | tests |
//! |---|---|---|
//! | approval arithmetic fails open on zero, omitted, empty | openbao#3666, mpcsec (empty vector) | `r1_*` |
//! | one principal counted twice by alias, key, domain, signature | qos#779, openbao#3815, #3841, CVE-2025-54998 | `r2_*` |
//! | requestor, approver, owner, operator are one person | vault#19214, Crypt `APPROVE_OWN`, bitwarden#7165 | `r3_*` |
//! | any role does, no veto, no expiry, decided too early | teleport#36854, jit-groups#56, openbao#3609 | `r4_*` |
//! | another way to a share; id not bound | opentdf#766, MemWal#369 | `r5_*` |
//! | a statement of one context accepted in another | cggmp21 2024-0393, zama#2379, seal#555, juicebox 866d9ba | `r6_*` |
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::type_complexity)]

mod common;

use common::*;
use escrow_core::charter::{Basis, Charter, Subject};
use escrow_core::consent::Authority;
use escrow_core::decision::Choice::{Approve, Deny, Recuse};
use escrow_core::enrolment::Device;
use escrow_core::matter::MatterAction::Close;
use escrow_core::query::Question;
use escrow_core::receipt::Receipt;
use escrow_core::release::{Release, ReleaseCall};
use escrow_core::request::{Recipient, RecipientPerson, Request};
use escrow_core::restriction::RestrictionAnswer;
use escrow_core::verdict::{Outcome, Verdict};
use escrow_core::{Blob, Digest, Envelope, ItemId, Kind, Nonce};
use escrow_policy::admit::{verify_call, verify_query};
use escrow_policy::charter::verify_genesis;
use escrow_policy::gate::{self, Gathered};
use escrow_policy::{Event, Facts, Rule};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::LazyLock;

const ADMINS: &[&str] = &["ada", "abe"];
const REGISTRARS: &[&str] = &["rita", "rolf"];
const MARIA: &[&str] = &["device of maria"];

// ---- What all tests use ---------------------------------------------------------------------

/// Every value below `v` with its JSON pointer.
fn walk(v: &Value) -> Vec<(String, Value)> {
    let below: Vec<(String, &Value)> = match v {
        Value::Object(map) => map.iter().map(|(k, v)| (k.clone(), v)).collect(),
        Value::Array(list) => list.iter().enumerate().map(|(i, v)| (i.to_string(), v)).collect(),
        _ => vec![],
    };
    let mut out = vec![(String::new(), v.clone())];
    for (name, v) in below {
        out.extend(walk(v).into_iter().map(|(at, v)| (format!("/{name}{at}"), v)));
    }
    out
}

/// The pointer with `*` for every position in a list.
fn general(at: &str) -> String {
    at.split('/').map(|s| if s.parse::<usize>().is_ok() { "*" } else { s }).collect::<Vec<_>>().join("/")
}

fn payload(e: &Envelope) -> Value {
    serde_json::from_slice(e.payload()).unwrap()
}

/// Zero, null, nothing, a text and a fraction for every number; empty, null and nothing for every
/// list. Gives the places where `accepts` takes one of them.
fn taken_when_emptied(good: &Envelope, by: &[&str], accepts: impl Fn(&Envelope) -> bool) -> (usize, BTreeSet<String>) {
    assert!(accepts(&resign(good, by, |_| {})), "a {} is refused unchanged", good.kind());
    let mut tried = 0;
    let mut taken = BTreeSet::new();
    for (at, value) in walk(&payload(good)) {
        let instead: &[Value] = match &value {
            Value::Number(_) => &[json!(0), Value::Null, json!(""), json!(0.0), json!(-1)],
            Value::Array(list) if !list.is_empty() => &[json!([]), Value::Null, json!({})],
            _ => continue,
        };
        for empty in instead {
            tried += 1;
            if accepts(&resign(good, by, |j| *j.pointer_mut(&at).unwrap() = empty.clone())) {
                taken.insert(format!("{} = {empty}", general(&at)));
            }
        }
        let (parent, member) = at.rsplit_once('/').unwrap();
        let omitted = resign(good, by, |j| {
            if let Some(o) = j.pointer_mut(parent).unwrap().as_object_mut() {
                o.remove(member).unwrap();
            }
        });
        if payload(&omitted) != payload(good) {
            tried += 1;
            assert!(!accepts(&omitted), "a {} without {at}", good.kind());
        }
    }
    (tried, taken)
}

/// The code under which a charter is refused, or nothing.
fn charter_refused(change: impl FnOnce(&mut Charter)) -> Option<String> {
    let mut c = charter();
    change(&mut c);
    let e = sign(&c, ADMINS);
    verify_genesis(&e, &e.digest()).err().map(|e| e.to_string())
}

#[track_caller]
fn all_refused(rows: &[(&str, fn(&mut Charter), &str)]) {
    assert_eq!(charter_refused(|_| {}), None);
    for (name, change, words) in rows {
        let refused = charter_refused(change).unwrap_or_else(|| panic!("{name}: accepted"));
        assert!(refused.contains(words), "{name}: {refused}");
    }
}

fn permits(c: &Case, seats: &[u8], change: impl Fn(&mut Verdict)) -> Vec<Envelope> {
    let one = |n: &u8| {
        let mut v = c.node.verdict(*n, c.request);
        change(&mut v);
        sign(&v, &[&seat_key(*n)])
    };
    seats.iter().map(one).collect()
}

fn answers(c: &Case, seats: &[u8], change: impl Fn(&mut RestrictionAnswer)) -> Vec<Envelope> {
    let one = |n: &u8| {
        let mut a = c.node.answer(*n, c.request);
        change(&mut a);
        sign(&a, &[&seat_key(*n)])
    };
    seats.iter().map(one).collect()
}

fn call(c: &Case) -> Envelope {
    sign(&c.node.call(c.request, by_person("ida")), &["ida"])
}

fn authorise(c: &Case, permits: &[Envelope], answers: &[Envelope]) -> Result<(), Rule> {
    let call = verify_call(&c.node.facts, &call(c), c.node.now).map_err(|r| r.rule)?;
    gate::authorise(&c.node.facts, &call, &Gathered { permits, answers }, c.node.now).map(drop).map_err(|r| r.rule)
}

/// With everything that other seats could give.
fn authorise_with_all(c: &Case) -> Result<(), Rule> {
    let others: Vec<u8> = (1..=5).filter(|n| Some(seat_index(*n)) != c.node.facts.seat()).collect();
    let asker = c.node.facts.seat().unwrap();
    authorise(c, &permits(c, &others, |_| {}), &answers(c, &others, |a| a.asker = asker))
}

fn deliver(c: &Case) -> Result<(), Rule> {
    gate::deliver(&c.node.facts, &c.request, c.node.now).map(drop).map_err(|r| r.rule)
}

/// The same log at every seat.
fn at_each_seat(c: &Case) -> impl Iterator<Item = Case> + '_ {
    (1..=5).map(|n| {
        let mut node = Node { facts: Facts::new(), now: t0(), history: vec![] };
        node.record(Some(&c.genesis), Event::Genesis { seat: seat_index(n) }).unwrap();
        for e in &c.node.history {
            // The operator of each seat accepts every charter version as it comes.
            node.log(e);
            if e.kind() == Kind::Charter {
                node.accept(e.digest()).unwrap();
            }
        }
        node.now = c.node.now;
        Case { node, ..c.clone() }
    })
}

fn under(text: &str) -> Case {
    let text = text.to_owned();
    Case::with(move |c| c.policies[0].text = text)
}

fn to_person(id: &str) -> Recipient {
    Recipient::Person(RecipientPerson { id: w(id), sealing: sealing(id).digest() })
}

const LACKS_LEGAL: &str = "pending: approvals.legal 0/1, approvers 1/2";

// ---- R1: approval arithmetic cannot fail open -----------------------------------------------

#[test]
fn r1_no_number_or_list_of_the_charter_is_zero_omitted_or_empty() {
    let (tried, taken) =
        taken_when_emptied(&sign(&charter(), ADMINS), ADMINS, |e| verify_genesis(e, &e.digest()).is_ok());
    assert!(tried > 300, "{tried}");
    // These give nobody anything: fewer people with an office or a key, fewer bases.
    assert_eq!(
        taken.iter().map(String::as_str).collect::<Vec<_>>(),
        ["/basis_signers = []", "/people/*/keys = []", "/people/*/roles = []"]
    );
}

#[test]
fn r1_what_may_be_empty_in_the_charter_permits_nothing() {
    // No basis signers: nobody can record a consent on another basis.
    let agreement = |c: &Case| {
        let mut x = c.node.consent("maria");
        x.basis = Basis::WorksAgreement;
        x.authority = Some(Authority { reference: w("WA-1"), document: Digest::of(b"a") });
        sign(&x, &["leo", "wim"])
    };
    let mut c = Case::new();
    c.node.log(&agreement(&c));
    let mut c = Case::with(|c| c.basis_signers.clear());
    assert_eq!(refused(c.node.fold(&agreement(&c))), Some(Rule::NotEntitled));
    // Nobody in an office: it has not approved, and nobody can.
    let mut c = Case::with(|c| of(c, "dora").roles.clear());
    c.approve("lena", "legal");
    c.approve("leo", "legal");
    let e = c.node.decide(c.request, "dora", "dpo", Approve);
    assert_eq!(refused(c.node.fold(&e)), Some(Rule::NotEntitled));
    assert_eq!(c.says(), "refuse: policy-denies");
}

#[test]
fn r1_a_threshold_above_the_distinct_eligible_is_refused() {
    assert_eq!(charter_refused(|c| c.generations[0].t = 5), None, "t may be n");
    all_refused(&[
        ("t above n", |c| c.generations[0].t = 6, "fewer members than t"),
        ("one seat three times", |c| c.generations[0] = generation(1, 3, &[1, 1, 1]), "none twice"),
        ("a seat that is not there", |c| c.generations[0] = generation(1, 3, &[1, 2, 9]), "still serve"),
        ("t so small that two quorums are apart", |c| c.generations[0].t = 2, "two disjoint quorums"),
        ("more administrators than there are", |c| c.admin_quorum = 3, "2 people hold that role"),
        ("more registrars than there are", |c| c.registrar_quorum = 3, "2 people hold that role"),
        (
            "two keys are no two administrators",
            |c| {
                c.admin_quorum = 3;
                of(c, "ada").keys.push(person_key("ada 2"))
            },
            "2 people hold that role",
        ),
        (
            "an office listed twice is no second holder",
            |c| {
                c.admin_quorum = 3;
                of(c, "ada").roles.push(w("admin"))
            },
            "a role appears twice",
        ),
    ]);
    // A policy that asks for more people than there are is a no, not a wait.
    let mut c = under("permit (principal, action, resource) when { context.approvals.dpo >= 2 };");
    c.approve("dora", "dpo");
    c.approve("lena", "legal");
    assert_eq!(c.says(), "refuse: policy-denies");
}

#[test]
fn r1_a_threshold_of_one_lets_nobody_act_alone() {
    all_refused(&[
        ("one node", |c| c.generations[0] = generation(1, 1, &[1]), "t below 2"),
        ("one administrator", |c| c.admin_quorum = 1, "one person decide alone"),
        ("one registrar", |c| c.registrar_quorum = 1, "one person decide alone"),
    ]);
    for text in ["permit (principal, action, resource);", "permit (principal, action, resource) when { true };"] {
        let mut c = under(text);
        assert_eq!(c.says(), "pending: approvers 0/2", "{text}");
        c.approve("lena", "legal");
        assert_eq!(c.says(), "pending: approvers 1/2", "{text}");
        assert_eq!(authorise_with_all(&c), Err(Rule::Pending), "{text}");
        c.approve("dora", "dpo");
        assert_eq!((c.says().as_str(), authorise_with_all(&c)), ("permit", Ok(())), "{text}");
    }
}

#[test]
fn r1_a_deal_with_zero_omitted_or_empty_is_refused() {
    let c = Case::new();
    let mut header = c.node.deal("maria", c.consent);
    header.nonce = Nonce::random();
    let dealt = c.node.dealt(header, &[about("t1")]);
    let deal: Value = serde_json::from_slice(&dealt.deal).unwrap();
    let deposit = |deal: &Value| {
        let mut d = c.node.deposit("maria", &dealt);
        d.deal = Blob(serde_json::to_vec(deal).unwrap());
        refused(c.node.clone().fold(&sign(&d, MARIA)))
    };
    assert_eq!(deposit(&deal), None);
    for (at, value) in [
        ("/t", json!(0)),
        ("/t", json!(1)),
        ("/t", Value::Null),
        ("/n", json!(0)),
        ("/n", Value::Null),
        ("/generation", Value::Null),
        ("/items", json!([])),
        ("/policies", json!([])),
        ("/items/0/about/participants", json!([])),
        ("/items/0/commitments", json!("")),
        ("/items/0/wrapped", json!("")),
    ] {
        let mut changed = deal.clone();
        *changed.pointer_mut(at).unwrap() = value.clone();
        assert_eq!(deposit(&changed), Some(Rule::DealInvalid), "{at} = {value}");
    }
    let mut none = deal.clone();
    *none.pointer_mut("/generation").unwrap() = json!(0);
    assert_eq!(deposit(&none), Some(Rule::Generation));
    // No blob for anybody, or for one seat only.
    for n in [0, 1] {
        let e = resign(&sign(&c.node.deposit("maria", &dealt), MARIA), MARIA, |j| {
            j["blobs"].as_array_mut().unwrap().truncate(n);
        });
        assert_eq!(refused(c.node.clone().fold(&e)), Some(Rule::Malformed), "{n} blobs");
    }
}

#[test]
fn r1_a_consent_or_request_with_zero_omitted_or_empty_is_refused() {
    let c = Case::new();
    let accepts = |e: &Envelope| c.node.clone().fold(e).is_ok();
    let (tried, taken) = taken_when_emptied(&sign(&c.node.consent("maria"), MARIA), MARIA, accepts);
    assert!(tried > 30, "{tried}");
    // Epochs are the messenger's, and begin at 0.
    assert_eq!(taken.iter().map(String::as_str).collect::<Vec<_>>(), ["/epochs/first = 0"]);
    let (tried, taken) = taken_when_emptied(&sign(&c.node.request(&c.items), &["ida"]), &["ida"], accepts);
    assert!(tried > 12, "{tried}");
    assert_eq!(taken, BTreeSet::new());
    let (tried, taken) = taken_when_emptied(&sign(&c.node.enrolment(&["new"]), REGISTRARS), REGISTRARS, accepts);
    assert!(tried > 2, "{tried}");
    assert_eq!(taken, BTreeSet::new());
}

#[test]
fn r1_no_signature_is_no_signer() {
    let mut c = Case::new();
    let good = c.node.decide(c.request, "lena", "legal", Approve);
    let mut json: Value = serde_json::from_slice(good.bytes()).unwrap();
    assert!(Envelope::parse(&serde_json::to_vec(&json).unwrap()).is_ok());
    json["signatures"] = json!([]);
    assert!(Envelope::parse(&serde_json::to_vec(&json).unwrap()).is_err());
    json.as_object_mut().unwrap().remove("signatures");
    assert!(Envelope::parse(&serde_json::to_vec(&json).unwrap()).is_err());
    // Empty signature bytes, and an empty hint.
    let id = public("lena").id();
    for (id, sig) in [(id.as_str(), Blob(vec![])), (id.as_str(), Blob(vec![0; 64])), ("", Blob(vec![]))] {
        let e = assemble(Kind::Decision, good.payload(), &[(id.to_owned(), sig)]);
        assert_eq!(refused(c.node.fold(&e)), Some(Rule::BadSignature), "{id:?}");
    }
    c.node.log(&good);
}

#[test]
fn r1_an_empty_policy_or_one_with_an_error_denies() {
    let overflow = "context.items + 9223372036854775807 > 0";
    let rows = [
        (String::new(), "refuse: policy-denies"),
        ("// nothing".to_owned(), "refuse: policy-denies"),
        ("forbid (principal, action, resource);".to_owned(), "refuse: policy-denies"),
        (format!("permit (principal, action, resource) when {{ {overflow} }};"), "refuse: policy-error"),
        (format!("permit (principal, action, resource) unless {{ {overflow} }};"), "refuse: policy-error"),
        (STANDARD.to_owned(), "permit"),
    ];
    for (text, expected) in rows {
        let mut c = under(&text);
        c.approve("lena", "legal");
        c.approve("dora", "dpo");
        assert_eq!(c.says(), expected, "{text:?}");
        assert_eq!(authorise_with_all(&c).is_ok(), expected == "permit", "{text:?}");
    }
}

/// Everybody who could say something, and what they said, made once.
struct Said {
    case: Case,
    decisions: Vec<(&'static str, &'static str, Envelope)>,
    permits: Vec<Envelope>,
    answers: Vec<Envelope>,
}

static SAID: LazyLock<Said> = LazyLock::new(|| {
    let case = Case::new();
    let by = |(who, role)| (who, role, case.node.decide(case.request, who, role, Approve));
    let people = [("lena", "legal"), ("leo", "legal"), ("dora", "dpo"), ("sam", "security")];
    let decisions: Vec<_> = people.into_iter().map(by).collect();
    // Asked about everybody's keys, an answer serves whoever has approved.
    let mut all = case.clone();
    for (_, _, e) in &decisions {
        all.node.log(e);
    }
    Said {
        decisions,
        permits: permits(&case, &[1, 2, 3, 4, 5], |_| {}),
        answers: answers(&all, &[2, 3, 4, 5], |_| {}),
        case,
    }
});

fn some<T: Clone>(all: &[T], which: u8) -> Vec<T> {
    all.iter().enumerate().filter(|(i, _)| which & (1 << i) != 0).map(|(_, x)| x.clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whoever is left out: released exactly if every role, two people, t-1 other seats' permits and
    /// t-1 peers' answers are there. The empty sets are among them.
    #[test]
    fn r1_nothing_short_of_every_quorum_is_released(people in 0u8..16, seats in 0u8..32, peers in 0u8..16) {
        let decisions = some(&SAID.decisions, people);
        let mut c = SAID.case.clone();
        decisions.iter().for_each(|(_, _, e)| { c.node.log(e); });
        let given = some(&SAID.permits, seats);
        let answered = some(&SAID.answers, peers);
        let role = |r: &str| decisions.iter().any(|(_, role, _)| *role == r);
        // Seat 1 is this node: its own permit does not count.
        let expected = role("legal") && role("dpo") && (seats >> 1).count_ones() >= 2 && peers.count_ones() >= 2;
        prop_assert_eq!(authorise(&c, &given, &answered).is_ok(), expected);
        prop_assert_eq!(deliver(&c).is_ok(), role("legal") && role("dpo"));
    }
}

#[test]
fn r1_the_empty_sets_are_refused_each_by_its_rule() {
    let c = Case::approved();
    let (p, a) = (permits(&c, &[2, 3], |_| {}), answers(&c, &[2, 3], |_| {}));
    assert_eq!(authorise(&c, &p, &a), Ok(()));
    assert_eq!(authorise(&c, &[], &a), Err(Rule::PermitsMissing));
    assert_eq!(authorise(&c, &p, &[]), Err(Rule::AnswerInvalid));
    let nobody = Case::new();
    assert_eq!(authorise_with_all(&nobody), Err(Rule::Pending));
}

// ---- R2: distinct principals, after canonicalisation ----------------------------------------

#[test]
fn r2_one_alias_for_two_people_is_refused() {
    assert_eq!(charter_refused(|c| of(c, "leo").name = "Officer lena 2".into()), None, "another name");
    all_refused(&[
        ("one id", |c| of(c, "leo").id = w("lena"), "a person id appears twice"),
        ("one name", |c| of(c, "leo").name = "Officer lena".into(), "a person's name appears twice"),
        ("in other letters", |c| of(c, "leo").name = "OFFICER Lena".into(), "a person's name appears twice"),
        ("with a space behind", |c| of(c, "leo").name = "Officer lena ".into(), "a person's name appears twice"),
        ("with one more space within", |c| of(c, "leo").name = "Officer  lena".into(), "a person's name appears twice"),
        ("with a tab within", |c| of(c, "leo").name = "Officer\tlena".into(), "a person's name appears twice"),
        (
            "one subject",
            |c| of(c, "leo").subject = Subject::Tokens(vec![subject("lena")]),
            "the same subject as another person",
        ),
    ]);
}

#[test]
fn r2_one_signing_key_for_two_is_refused() {
    assert_eq!(charter_refused(|c| of(c, "leo").keys = vec![person_key("leo 2")]), None, "another key");
    all_refused(&[
        ("two people", |c| of(c, "leo").keys[0].key = public("lena"), "a raw public key appears twice"),
        ("two people, P-256", |c| of(c, "leo").keys[0].key = public("dora"), "a raw public key appears twice"),
        ("one person twice", |c| of(c, "leo").keys.push(person_key("leo")), "a raw public key appears twice"),
        ("a person and a seat", |c| of(c, "leo").keys[0].key = public("seat1"), "a raw public key appears twice"),
        ("two people, one over SSH", |c| of(c, "leo").keys[0].key = over_ssh("lena"), "a raw public key appears twice"),
        ("a seat's over SSH", |c| of(c, "leo").keys[0].key = over_ssh("seat1 log"), "a raw public key appears twice"),
        ("two seats", |c| c.seats[1].statement_key = public("seat1"), "a raw public key appears twice"),
        ("two seats' logs", |c| c.seats[1].log_key = public("seat1 log"), "a raw public key appears twice"),
        (
            "two seats' witnesses",
            |c| c.seats[1].witness_key = public("seat1 witness"),
            "a raw public key appears twice",
        ),
        (
            "a seat's log and witness",
            |c| c.seats[1].witness_key = public("seat2 log"),
            "a raw public key appears twice",
        ),
    ]);
    let c = Case::new();
    let enrolled = |change: fn(&mut Device)| {
        let mut e = c.node.enrolment(&["new"]);
        change(&mut e.devices[0]);
        refused(c.node.clone().fold(&sign(&e, REGISTRARS)))
    };
    assert_eq!(enrolled(|_| {}), None);
    assert_eq!(enrolled(|d| d.key = public("device of maria")), Some(Rule::DeviceTaken), "another subject's");
    assert_eq!(enrolled(|d| d.key = public("lena")), Some(Rule::DeviceTaken), "an officer's");
    assert_eq!(enrolled(|d| d.key = public("seat1 witness")), Some(Rule::DeviceTaken), "a seat's");
}

#[test]
fn r2_one_encryption_key_for_two_is_refused() {
    assert_eq!(charter_refused(|c| of(c, "otto").sealing = Some(sealing("otto 2"))), None, "another key");
    all_refused(&[
        ("two seats", |c| c.seats[1].sealing = sealing("seat1"), "a sealing key appears twice"),
        ("two people", |c| of(c, "otto").sealing = Some(sealing("lena")), "a sealing key appears twice"),
        ("a person and a seat", |c| of(c, "otto").sealing = Some(sealing("seat1")), "a sealing key appears twice"),
    ]);
    // A device to which a release goes must not be read by somebody else, the requestor above all.
    let c = Case::new();
    let enrolled = |change: fn(&mut Vec<Device>)| {
        let mut e = c.node.enrolment(&["new", "newer"]);
        change(&mut e.devices);
        refused(c.node.clone().fold(&sign(&e, REGISTRARS)))
    };
    assert_eq!(enrolled(|_| {}), None);
    assert_eq!(enrolled(|d| d[0].sealing = sealing("ida")), Some(Rule::DeviceTaken), "an officer's");
    assert_eq!(enrolled(|d| d[0].sealing = sealing("seat1")), Some(Rule::DeviceTaken), "a seat's");
    assert_eq!(enrolled(|d| d[0].sealing = sealing(&device("maria"))), Some(Rule::DeviceTaken), "another subject's");
    assert_eq!(enrolled(|d| d[1].sealing = d[0].sealing.clone()), Some(Rule::DeviceTaken), "two in one statement");
    // One subject's devices may share theirs, and a device is enrolled again as it is.
    assert_eq!(enrolled(|d| (d[1].subject, d[1].sealing) = (d[0].subject, d[0].sealing.clone())), None);
    assert_eq!(refused(c.node.clone().fold(&sign(&c.node.enrolment(&["maria"]), REGISTRARS))), None);
}

#[test]
fn r2_one_trust_domain_for_two_seats_is_refused() {
    assert_eq!(charter_refused(|c| c.seats[1].operator = w("Operator 1b")), None, "another party");
    all_refused(&[
        ("one operator", |c| c.seats[1].operator = w("Operator 1"), "an operator appears twice"),
        ("in other letters", |c| c.seats[1].operator = w("OPERATOR 1"), "an operator appears twice"),
        ("with a space behind", |c| c.seats[1].operator = w("Operator 1 "), "an operator appears twice"),
        ("with a space before", |c| c.seats[1].operator = w(" Operator 1"), "an operator appears twice"),
        ("with one more space within", |c| c.seats[1].operator = w("Operator  1"), "an operator appears twice"),
        ("one person operates", |c| c.seats[1].operators.push(w("op1")), "a person operating a seat appears twice"),
        ("one address", |c| c.seats[1].url = c.seats[0].url.clone(), "a seat URL appears twice"),
        ("with a slash behind", |c| c.seats[1].url = format!("{}/", c.seats[0].url), "a seat URL appears twice"),
        ("in other letters", |c| c.seats[1].url = c.seats[0].url.replace("seat", "SEAT"), "a seat URL appears twice"),
        (
            "with the port that goes without saying",
            |c| {
                c.seats[0].url = "https://seat1.example".into();
                c.seats[1].url = "https://seat1.example:443".into()
            },
            "a seat URL appears twice",
        ),
        ("one TLS key", |c| c.seats[1].tls_pin = c.seats[0].tls_pin, "a TLS key pin appears twice"),
        ("one log", |c| c.seats[1].log_origin = c.seats[0].log_origin.clone(), "a log origin appears twice"),
        ("one index", |c| c.seats[1].index = c.seats[0].index, "a seat index appears twice"),
    ]);
}

#[test]
fn r2_two_keys_of_one_person_are_one_approver() {
    let mut c = under("permit (principal, action, resource);");
    let v2 = successor(&c.genesis, |x| of(x, "lena").keys.push(person_key("lena 2")));
    c.node.follow(&v2);
    c.request = c.ask(|_| {});
    for key in ["lena", "lena 2"] {
        let d = c.node.decision(c.request, "lena", "legal", Approve);
        c.node.log(&sign(&d, &[key]));
        assert_eq!(c.says(), "pending: approvers 1/2", "{key}");
    }
    c.approve("leo", "legal");
    assert_eq!(c.says(), "permit");
}

#[test]
fn r2_two_offices_of_one_person_are_one_approver() {
    let mut c = Case::with(|c| of(c, "lena").roles.push(w("dpo")));
    c.approve("lena", "legal");
    c.approve("lena", "dpo");
    let alone = c.says();
    assert!(alone.ends_with("approvers 1/2") && alone.starts_with("pending"), "{alone}");
    let (other, role) = if alone.contains("approvals.dpo") { ("dora", "dpo") } else { ("leo", "legal") };
    c.approve(other, role);
    assert_eq!(c.says(), "permit");
}

#[test]
fn r2_one_approval_in_two_envelopes_counts_once() {
    let mut c = under("permit (principal, action, resource);");
    let first = c.node.decide(c.request, "lena", "legal", Approve);
    c.node.log(&first);
    // The same payload with other bytes around it, and with another signature that is as good.
    let json: Value = serde_json::from_slice(first.bytes()).unwrap();
    let spaced = Envelope::parse(&serde_json::to_vec_pretty(&json).unwrap()).unwrap();
    assert_ne!(spaced.envelope_digest(), first.envelope_digest());
    assert_eq!(spaced.digest(), first.digest(), "the name ignores signatures and what is around");
    assert_eq!(refused(c.node.fold(&spaced)), Some(Rule::Malformed), "in the log already");
    assert_eq!(c.says(), "pending: approvers 1/2");
    c.approve("leo", "legal");
    assert_eq!(c.says(), "permit");
}

#[test]
fn r2_one_approval_written_anew_counts_once() {
    let mut c = under("permit (principal, action, resource);");
    let first = c.node.decide(c.request, "lena", "legal", Approve);
    c.node.log(&first);
    let json = payload(&first);
    let spaced = serde_json::to_vec_pretty(&json).unwrap();
    let members: Vec<_> = json.as_object().unwrap().iter().rev().map(|(k, v)| format!("{}:{v}", json!(k))).collect();
    let backwards = format!("{{{}}}", members.join(","));
    let escaped = String::from_utf8(first.payload().to_vec()).unwrap().replacen("acme", "\\u0061cme", 1).into_bytes();
    let fresh = c.node.decide(c.request, "lena", "legal", Approve);
    for (name, e) in [
        ("with spaces", sign_bytes(Kind::Decision, &spaced, &["lena"])),
        ("in another order", sign_bytes(Kind::Decision, backwards.as_bytes(), &["lena"])),
        ("with an escape", sign_bytes(Kind::Decision, &escaped, &["lena"])),
        ("with another nonce", fresh),
    ] {
        assert_ne!(e.digest(), first.digest(), "{name}");
        c.node.log(&e);
        assert_eq!(c.says(), "pending: approvers 1/2", "{name}");
        assert_eq!(c.evaluate().decisions.len(), 1, "{name}");
    }
    c.approve("leo", "legal");
    assert_eq!(c.says(), "permit");
}

/// n - s for the order n of P-256: the other signature that ECDSA itself would take.
fn other_s(signature: &[u8]) -> Vec<u8> {
    let n = hex_bytes("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
    let mut out = signature.to_vec();
    let mut borrow = 0i16;
    for i in (0..32).rev() {
        let d = i16::from(n[i]) - i16::from(signature[32 + i]) - borrow;
        borrow = i16::from(d < 0);
        out[32 + i] = u8::try_from(d.rem_euclid(256)).unwrap();
    }
    out
}

fn hex_bytes(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

#[test]
fn r2_a_malleable_copy_of_an_approval_is_refused() {
    let mut c = under("permit (principal, action, resource);");
    let first = c.node.decide(c.request, "dora", "dpo", Approve);
    let json: Value = serde_json::from_slice(first.bytes()).unwrap();
    let low: Blob = serde_json::from_value(json["signatures"][0]["sig"].clone()).unwrap();
    let high = other_s(&low.0);
    assert_eq!(other_s(&high), low.0);
    let with = |sigs: &[&[u8]]| {
        let list: Vec<_> = sigs.iter().map(|s| (public("dora").id(), Blob(s.to_vec()))).collect();
        assemble(Kind::Decision, first.payload(), &list)
    };
    assert_eq!(refused(c.node.clone().fold(&with(&[&low.0]))), None, "put together again, it is good");
    assert_eq!(refused(c.node.fold(&with(&[&high]))), Some(Rule::BadSignature), "high S alone");
    assert_eq!(refused(c.node.fold(&with(&[&low.0, &high]))), Some(Rule::BadSignature), "both");
    assert_eq!(refused(c.node.fold(&with(&[&low.0, &low.0]))), Some(Rule::BadSignature), "one twice");
    assert_eq!(c.says(), "pending: approvers 0/2");
    c.node.log(&first);
    assert_eq!(refused(c.node.fold(&with(&[&high]))), Some(Rule::Malformed), "known by its payload, not its signature");
    assert_eq!(c.says(), "pending: approvers 1/2");
    // Ed25519: S + L is the same S to who reduces it.
    let e = c.node.decide(c.request, "lena", "legal", Approve);
    let json: Value = serde_json::from_slice(e.bytes()).unwrap();
    let mut sig: Blob = serde_json::from_value(json["signatures"][0]["sig"].clone()).unwrap();
    let l = hex_bytes("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let mut carry = 0u16;
    for (byte, add) in sig.0[32..].iter_mut().zip(&l) {
        carry += u16::from(*byte) + u16::from(*add);
        *byte = carry.to_le_bytes()[0];
        carry >>= 8;
    }
    let again = assemble(Kind::Decision, e.payload(), &[(public("lena").id(), sig)]);
    assert_eq!(refused(c.node.fold(&again)), Some(Rule::BadSignature));
    c.node.log(&e);
    assert_eq!(c.says(), "permit");
}

#[test]
fn r2_one_registrar_or_administrator_twice_is_no_quorum() {
    let c = Case::with(|c| {
        of(c, "rita").keys.push(person_key("rita 2"));
        of(c, "ada").keys.push(person_key("ada 2"))
    });
    let enrolled = |by: &[&str]| refused(c.node.clone().fold(&sign(&c.node.enrolment(&["new"]), by)));
    assert_eq!(enrolled(REGISTRARS), None);
    assert_eq!(enrolled(&["rita", "rita 2"]), Some(Rule::QuorumMissing));
    assert_eq!(enrolled(&["rita", "rita"]), Some(Rule::BadSignature));
    assert_eq!(enrolled(&["rita", "ada"]), Some(Rule::QuorumMissing), "another office");
    let next = next(&c.genesis, |_| {});
    let follows = |by: &[&str]| refused(c.node.clone().fold(&sign(&next, by)));
    assert_eq!(follows(ADMINS), None);
    assert_eq!(follows(&["ada", "ada 2"]), Some(Rule::CharterInvalid));
    assert_eq!(follows(&["ada", "ada"]), Some(Rule::CharterInvalid));
    assert_eq!(follows(&["ada", "rita"]), Some(Rule::CharterInvalid));
}

#[test]
fn r2_a_key_id_is_a_hint_and_nobody_is_counted_by_it() {
    let mut c = Case::new();
    let (lena, dora) =
        (c.node.decide(c.request, "lena", "legal", Approve), c.node.decision(c.request, "dora", "dpo", Approve));
    c.node.log(&lena);
    // lena signs dora's approval under dora's hint, under her own, and under both.
    let bytes = serde_json::to_vec(&dora).unwrap();
    let by_lena = Blob(key("lena").sign(&escrow_core::envelope::pae(&Kind::Decision.payload_type(), &bytes)));
    let hint = |id: &str, rule| ((public(id).id(), by_lena.clone()), rule);
    for (signature, rule) in [hint("dora", Rule::BadSignature), hint("lena", Rule::WrongSigner)] {
        let e = assemble(Kind::Decision, &bytes, &[signature]);
        assert_eq!(refused(c.node.fold(&e)), Some(rule));
    }
    assert_eq!(c.says(), "pending: approvals.dpo 0/1, approvers 1/2");
    c.node.log(&sign_bytes(Kind::Decision, &bytes, &["dora"]));
    assert_eq!(c.says(), "permit");
}

#[test]
fn r2_one_seat_counts_once() {
    let c = Case::approved();
    let (p, a) = (permits(&c, &[2, 3], |_| {}), answers(&c, &[2, 3], |_| {}));
    assert_eq!(authorise(&c, &p, &a), Ok(()));
    let twice = permits(&c, &[2, 2], |v| v.nonce = Nonce::random());
    assert_ne!(twice[0].digest(), twice[1].digest());
    assert_eq!(authorise(&c, &twice, &a), Err(Rule::PermitsMissing), "two permits of one seat");
    assert_eq!(authorise(&c, &[p[0].clone(), p[0].clone()], &a), Err(Rule::PermitsMissing), "one permit twice");
    let twice = answers(&c, &[2, 2], |a| a.nonce = Nonce::random());
    assert_eq!(authorise(&c, &p, &twice), Err(Rule::AnswerInvalid), "two answers of one seat");
    assert_eq!(authorise(&c, &permits(&c, &[1, 2], |_| {}), &a), Err(Rule::PermitsMissing), "its own");
}

// ---- R3: requestor, approver, owner, operator -----------------------------------------------

/// A forbidden approver beside a good one: told at once, and not counted at any seat, though the
/// statement came before the request there and nobody could be told.
#[track_caller]
fn does_not_approve(mut c: Case, who: &str, role: &str, rule: Rule) {
    let forbidden = c.node.decide(c.request, who, role, Approve);
    assert_eq!(refused(c.node.clone().fold(&forbidden)), Some(rule));
    c.approve("dora", "dpo");
    for mut at in at_each_seat(&c) {
        let mut early = Node { facts: Facts::new(), now: t0(), history: vec![] };
        early.record(Some(&c.genesis), Event::Genesis { seat: at.node.facts.seat().unwrap() }).unwrap();
        early.log(&forbidden);
        c.node.history.iter().for_each(|e| {
            early.log(e);
        });
        early.now = c.node.now;
        at.node = early;
        assert_eq!(at.says(), LACKS_LEGAL, "seat {:?}", at.node.facts.seat());
        assert_eq!(authorise_with_all(&at), Err(Rule::Pending), "though all others permit");
        // Somebody else can, so it was the person that was wrong.
        at.approve("leo", "legal");
        assert_eq!((at.says().as_str(), authorise_with_all(&at)), ("permit", Ok(())));
    }
}

#[test]
fn r3_the_requestor_does_not_approve() {
    does_not_approve(Case::with(|c| of(c, "ida").roles.push(w("legal"))), "ida", "legal", Rule::ApproverIsRequestor);
}

#[test]
fn r3_the_recipient_does_not_approve() {
    let to_lena = Case::of(|_| {}, |_| {}, |r| r.recipient = to_person("lena"));
    does_not_approve(to_lena, "lena", "legal", Rule::ApproverIsRecipient);
}

#[test]
fn r3_the_owner_does_not_approve() {
    let participant = Case::of(|_| {}, |a| a.participants = participants(&[("maria", true), ("lena", true)]), |_| {});
    does_not_approve(participant, "lena", "legal", Rule::ApproverInScope);
    let depositor = Case::with(|c| of(c, "lena").subject = Subject::Tokens(vec![subject("maria")]));
    does_not_approve(depositor, "lena", "legal", Rule::ApproverInScope);
    // Called an outsider by the depositor.
    let outsider = Case::of(|_| {}, |a| a.participants = participants(&[("maria", true), ("lena", false)]), |_| {});
    does_not_approve(outsider, "lena", "legal", Rule::ApproverInScope);
}

/// Approved by lena and dora; what each of the five seats says, whatever the others permit.
#[track_caller]
fn everywhere(mut c: Case, expected: Result<(), Rule>) {
    for (who, role) in [("lena", "legal"), ("dora", "dpo")] {
        c.approve(who, role);
    }
    for at in at_each_seat(&c) {
        assert_eq!(authorise_with_all(&at), expected, "seat {:?}", at.node.facts.seat());
        assert_eq!(deliver(&at), expected, "seat {:?}", at.node.facts.seat());
    }
}

#[test]
fn r3_the_owner_does_not_request() {
    let with = |who: &'static str, inside: bool| {
        Case::of(|_| {}, move |a| a.participants = participants(&[("maria", true), (who, inside)]), |_| {})
    };
    everywhere(with("max", true), Ok(()));
    everywhere(with("ida", true), Err(Rule::RequestorInScope));
    everywhere(with("ida", false), Err(Rule::RequestorInScope));
    let depositor = Case::with(|c| of(c, "ida").subject = Subject::Tokens(vec![subject("maria")]));
    everywhere(depositor, Err(Rule::RequestorInScope));
}

#[test]
fn r3_the_owner_does_not_receive() {
    let with = |who: &'static str| {
        Case::of(|_| {}, move |a| a.participants = participants(&[("maria", true), (who, true)]), |_| {})
    };
    everywhere(with("max"), Ok(()));
    everywhere(with("otto"), Err(Rule::RecipientInScope));
    let depositor = Case::with(|c| of(c, "otto").subject = Subject::Tokens(vec![subject("maria")]));
    everywhere(depositor, Err(Rule::RecipientInScope));
}

#[test]
fn r3_the_requestor_does_not_receive_unless_the_policy_says_so() {
    let to_ida = |text: &str| {
        let text = text.to_owned();
        Case::of(move |c| c.policies[0].text = text, |_| {}, |r| r.recipient = to_person("ida"))
    };
    everywhere(to_ida(&format!("@recipient_is_requestor(\"allowed\") {STANDARD}")), Ok(()));
    everywhere(to_ida(STANDARD), Err(Rule::RecipientIsRequestor));
}

#[test]
fn r3_the_requestor_operates_no_seat() {
    everywhere(Case::with(|c| c.seats[4].operators.push(w("ivan"))), Ok(()));
    // By the design an approver or a recipient may operate a seat: neither can start anything.
    everywhere(Case::with(|c| c.seats[4].operators.push(w("lena"))), Ok(()));
    everywhere(Case::with(|c| c.seats[4].operators.push(w("ida"))), Err(Rule::RequestorOperatesSeat));
    // Also of a seat that is no member of the generation.
    let apart = Case::with(|c| {
        let mut s = seat(6);
        s.operators.push(w("ida"));
        c.seats.push(s);
        c.people.push(person("op6", &[]))
    });
    everywhere(apart, Err(Rule::RequestorOperatesSeat));
}

#[test]
fn r3_the_filter_team_has_no_other_part_in_the_case() {
    let filter = |id: &'static str| {
        Case::of(
            move |c| of(c, id).roles.push(w("filter-team")),
            |_| {},
            move |r| r.recipient = Recipient::FilterTeam(RecipientPerson { id: w(id), sealing: sealing(id).digest() }),
        )
    };
    everywhere(filter("otto"), Ok(()));
    everywhere(filter("ida"), Err(Rule::FilterTeamOnCase));
    let not_held = Case::of(
        |_| {},
        |_| {},
        |r| r.recipient = Recipient::FilterTeam(RecipientPerson { id: w("otto"), sealing: sealing("otto").digest() }),
    );
    everywhere(not_held, Err(Rule::NotEntitled));
}

#[test]
fn r3_who_enrolled_a_device_does_not_approve_its_recovery() {
    let mut c = Case::with(|c| {
        c.policies.insert(0, policy("lost-device", RECOVER));
        of(c, "rita").roles.push(w("legal"))
    });
    let enrolment = c.node.log(&sign(&c.node.further_device("maria", "tablet"), REGISTRARS));
    c.node.wait(2 * DAY);
    let mut asked = c.node.self_recovery("maria", "tablet", enrolment, &c.items);
    asked.policy = w("lost-device");
    c.request = c.node.log(&sign(&asked, &["device of tablet"]));
    let e = c.node.decide(c.request, "rita", "legal", Approve);
    assert_eq!(refused(c.node.fold(&e)), Some(Rule::ApproverInScope));
    c.approve("dora", "dpo");
    assert_eq!(c.says(), LACKS_LEGAL);
    c.approve("leo", "legal");
    assert_eq!(deliver(&c), Ok(()));
}

const RECOVER: &str = r#"@id("lost-device")
permit (principal, action == Escrow::Action::"recover", resource)
when { context.approvals.legal >= 1 && context.approvals.dpo >= 1 };"#;

#[test]
fn r4_a_veto_ends_a_recovery_whatever_was_approved() {
    let mut c = Case::with(|c| c.policies.insert(0, policy("lost-device", RECOVER)));
    let enrolment = c.node.log(&sign(&c.node.further_device("maria", "tablet"), REGISTRARS));
    c.node.wait(2 * DAY);
    let mut asked = c.node.self_recovery("maria", "tablet", enrolment, &c.items);
    asked.policy = w("lost-device");
    c.request = c.node.log(&sign(&asked, &["device of tablet"]));
    c.approve("lena", "legal");
    c.approve("dora", "dpo");
    assert_eq!(deliver(&c), Ok(()));
    for (by, key) in [(by_device("maria"), device("maria")), (by_person("sara"), "sara".to_owned())] {
        let mut c = c.clone();
        c.node.log(&sign(&c.node.veto(c.request, by), &[&key]));
        assert_eq!(deliver(&c), Err(Rule::RecoveryVetoed), "{key}");
    }
}

#[test]
fn r3_nobody_acts_in_anothers_name() {
    let c = Case::new();
    let one = |e: Envelope| refused(c.node.clone().fold(&e));
    let d = c.node.decision(c.request, "lena", "legal", Approve);
    assert_eq!((one(sign(&d, &["lena"])), one(sign(&d, &["leo"]))), (None, Some(Rule::WrongSigner)));
    let mut r = c.node.request(&c.items);
    r.nonce = Nonce::random();
    assert_eq!((one(sign(&r, &["ida"])), one(sign(&r, &["ivan"]))), (None, Some(Rule::WrongSigner)));
    // Nor in an office that they do not hold.
    assert_eq!(one(c.node.decide(c.request, "leo", "dpo", Approve)), Some(Rule::NotEntitled));
    assert_eq!(one(c.node.decide(c.request, "ada", "admin", Approve)), Some(Rule::NotEntitled));
}

// ---- R4: all roles, veto, expiry, use count -------------------------------------------------

#[test]
fn r4_every_role_is_needed_and_none_stands_in_for_another() {
    let all = [("lena", "legal"), ("leo", "legal"), ("sam", "security"), ("sue", "security"), ("dora", "dpo")];
    for which in 0u8..32 {
        let mut c = Case::new();
        let some = some(&all, which);
        some.iter().for_each(|(who, role)| {
            c.approve(who, role);
        });
        let has = |role: &str| some.iter().any(|(_, r)| *r == role);
        let expected = if has("legal") && has("dpo") { Ok(()) } else { Err(Rule::Pending) };
        assert_eq!(deliver(&c), expected, "{some:?}");
    }
}

#[test]
fn r4_one_denial_ends_it_whatever_else_was_approved() {
    for (who, role) in [("lena", "legal"), ("leo", "legal"), ("dora", "dpo"), ("sue", "security")] {
        let mut c = Case::approved();
        c.approve("sam", "security");
        assert_eq!(authorise_with_all(&c), Ok(()));
        c.decide(who, role, Deny);
        assert_eq!(c.says(), "refuse: denied", "{who}");
        let e = c.node.decide(c.request, who, role, Approve);
        let _ = c.node.fold(&e);
        assert_eq!(authorise_with_all(&c), Err(Rule::Denied), "{who}: no way back");
    }
}

#[test]
fn r4_who_steps_aside_counts_no_more() {
    let mut c = Case::approved();
    assert_eq!(authorise_with_all(&c), Ok(()));
    c.decide("lena", "legal", Recuse);
    assert_eq!(c.says(), LACKS_LEGAL);
    assert_eq!(authorise_with_all(&c), Err(Rule::Pending));
    let e = c.node.decide(c.request, "lena", "legal", Approve);
    c.node.log(&e);
    assert_eq!(c.says(), LACKS_LEGAL, "no way back");
    c.approve("leo", "legal");
    assert_eq!(authorise_with_all(&c), Ok(()));
}

#[test]
fn r4_an_expired_request_is_denied_though_the_quorum_was_met() {
    let mut c = Case::approved();
    c.node.now = c.asked.expires.plus_seconds(-1);
    assert_eq!((authorise_with_all(&c), deliver(&c)), (Ok(()), Ok(())), "its last second");
    c.node.wait(1);
    assert_eq!((authorise_with_all(&c), deliver(&c)), (Err(Rule::RequestExpired), Err(Rule::RequestExpired)));
    // An approval after that changes nothing.
    let e = c.node.decide(c.request, "leo", "legal", Approve);
    let _ = c.node.fold(&e);
    assert_eq!(deliver(&c), Err(Rule::RequestExpired));
}

#[test]
fn r4_an_expired_consent_is_denied_though_the_quorum_was_met() {
    let mut c = Case::new();
    c.node.now = days(199);
    c.request = c.ask(|_| {});
    c.approve("lena", "legal");
    c.approve("dora", "dpo");
    assert_eq!(deliver(&c), Ok(()));
    c.node.now = days(200);
    assert_eq!(deliver(&c), Err(Rule::ConsentExpired));
}

/// What can happen after the quorum was met and after a node authorised, and what it means then.
type Later = (&'static str, Rule, fn(&mut Case));

const LATER: &[Later] = &[
    ("denied", Rule::Denied, |c| {
        c.decide("sue", "security", Deny);
    }),
    ("consent withdrawn by the subject", Rule::ConsentWithdrawn, |c| {
        let e = sign(&c.node.withdrawal(c.consent, "maria"), MARIA);
        c.node.log(&e);
    }),
    ("consent withdrawn by the office for it", Rule::ConsentWithdrawn, |c| {
        let e = sign(&c.node.withdrawal(c.consent, "maria"), &["sara"]);
        c.node.log(&e);
    }),
    ("cancelled", Rule::RequestCancelled, |c| {
        let e = c.node.cancellation(c.request, "ida");
        c.node.log(&e);
    }),
    ("matter closed", Rule::MatterClosed, |c| {
        let e = c.node.matter_act(Close, Some(c.opening));
        c.node.log(&e);
    }),
    ("the requestor's key revoked", Rule::KeyRevoked, |c| {
        c.node.revoke("ida");
    }),
    ("an approver's key revoked", Rule::Pending, |c| {
        c.node.revoke("lena");
    }),
    ("an approver dismissed", Rule::Pending, |c| {
        let v2 = successor(&c.genesis, |x| x.people.retain(|p| p.id.as_str() != "lena"));
        c.node.follow(&v2);
    }),
    ("the requestor dismissed", Rule::NotEntitled, |c| {
        let v2 = successor(&c.genesis, |x| x.people.retain(|p| p.id.as_str() != "ida"));
        c.node.follow(&v2);
    }),
    ("the policy gone", Rule::PolicyUnknown, |c| {
        let v2 = successor(&c.genesis, |x| x.policies[0].id = w("renamed"));
        c.node.follow(&v2);
    }),
    ("the policy forbids now", Rule::PolicyDenies, |c| {
        let v2 = successor(&c.genesis, |x| x.policies[0].text = "forbid (principal, action, resource);".into());
        c.node.follow(&v2);
    }),
    ("the recipient's key changed", Rule::RecipientKey, |c| {
        let v2 = successor(&c.genesis, |x| of(x, "otto").sealing = Some(sealing("otto 2")));
        c.node.follow(&v2);
    }),
    ("expired", Rule::RequestExpired, |c| c.node.now = c.asked.expires),
];

#[test]
fn r4_what_happens_after_the_quorum_is_decided_again_at_release_on_every_node() {
    let before = Case::approved();
    for at in at_each_seat(&before) {
        assert_eq!((authorise_with_all(&at), deliver(&at)), (Ok(()), Ok(())));
    }
    for (name, rule, happen) in LATER {
        let mut c = before.clone();
        happen(&mut c);
        for at in at_each_seat(&c) {
            assert_eq!(deliver(&at), Err(*rule), "{name}: at seat {:?}", at.node.facts.seat());
        }
    }
}

#[test]
fn r4_a_use_count_counts_releases_of_other_requests_and_not_a_retry() {
    let mut c = under("permit (principal, action, resource) when { context.earlier_releases == 0 };");
    let other = c.ask(|_| {});
    for request in [c.request, other] {
        for (who, role) in [("lena", "legal"), ("dora", "dpo")] {
            let e = c.node.decide(request, who, role, Approve);
            c.node.log(&e);
        }
    }
    let first = c.request;
    let gate = |c: &Case, r: &Digest| gate::deliver(&c.node.facts, r, c.node.now).map(drop).map_err(|r| r.rule);
    assert_eq!((gate(&c, &first), gate(&c, &other)), (Ok(()), Ok(())));
    released(&mut c, first, 1);
    assert_eq!(gate(&c, &first), Ok(()), "a retry is the same use");
    assert_eq!(gate(&c, &other), Err(Rule::PolicyDenies), "another request is another use");
    released(&mut c, first, 2);
    assert_eq!((gate(&c, &first), gate(&c, &other)), (Ok(()), Err(Rule::PolicyDenies)));
    // An authorisation that ends without a reply uses nothing up.
    let mut c = under("permit (principal, action, resource) when { context.earlier_releases == 0 };");
    c.approve("lena", "legal");
    c.approve("dora", "dpo");
    let other = c.ask(|_| {});
    let seq = authorised(&mut c, other);
    c.node.record(None, Event::Aborted { authorized: seq, request: other, reason: w("restart") }).unwrap();
    assert_eq!(deliver(&c), Ok(()));
}

fn authorised(c: &mut Case, request: Digest) -> u64 {
    let seq = c.node.facts.size();
    let call = sign(&c.node.call(request, by_person("ida")), &["ida"]);
    let event = Event::Authorized { request, decisions: vec![], permits: vec![], answers: vec![] };
    c.node.record(Some(&call), event).unwrap();
    seq
}

fn released(c: &mut Case, request: Digest, attempt: u64) {
    let authorized = authorised(c, request);
    let reply = Digest::of(&attempt.to_be_bytes());
    let release = Release { request, reply, attempt, ..release(c) };
    let event = Event::Delivered { authorized, note: Digest::of(b"note"), request, reply, attempt };
    c.node.record(Some(&sign(&release, &["seat1"])), event).unwrap();
}

fn release(c: &Case) -> Release {
    Release {
        kind: Kind::Release,
        org: w("acme.example"),
        nonce: Nonce::random(),
        charter: c.node.charter(),
        seat: seat_index(1),
        generation: 1,
        request: c.request,
        items: c.asked.items.clone(),
        recipient: sealing("otto").digest(),
        reply: Digest::of(b"reply"),
        attempt: 1,
    }
}

#[test]
fn r4_default_is_denial() {
    let mut c = Case::approved();
    assert_eq!(deliver(&c), Ok(()));
    // Nobody asked, nobody knows, another policy: no rule says yes.
    let unknown = gate::deliver(&c.node.facts, &Digest::of(b"x"), c.node.now);
    assert_eq!(refused(unknown), Some(Rule::RequestUnknown));
    c.request = c.ask(|r| r.policy = w("lenient"));
    c.approve("lena", "legal");
    c.approve("dora", "dpo");
    assert_eq!(deliver(&c), Err(Rule::PolicyNotAgreed));
    // A policy for another action says nothing about this one.
    let mut c = under("permit (principal, action == Escrow::Action::\"recover\", resource);");
    c.approve("lena", "legal");
    c.approve("dora", "dpo");
    assert_eq!(deliver(&c), Err(Rule::PolicyDenies));
}

#[test]
fn r4_permits_given_before_are_worth_nothing_once_stale() {
    let c = Case::approved();
    let a = answers(&c, &[2, 3], |_| {});
    assert_eq!(authorise(&c, &permits(&c, &[2, 3], |_| {}), &a), Ok(()));
    let old = permits(&c, &[2, 3], |v| {
        v.decided = v.decided.plus_seconds(-61);
        v.valid_until = v.decided.plus_seconds(60);
    });
    assert_eq!(authorise(&c, &old, &a), Err(Rule::PermitInvalid));
    let old = answers(&c, &[2, 3], |a| a.at = a.at.plus_seconds(-361));
    assert_eq!(authorise(&c, &permits(&c, &[2, 3], |_| {}), &old), Err(Rule::AnswerInvalid));
}

// ---- R5: one way to a share, and the id is bound --------------------------------------------

#[test]
fn r5_the_gate_permits_exactly_the_items_that_the_request_names() {
    let mut c = Case::approved();
    let p = gate::deliver(&c.node.facts, &c.request, c.node.now).unwrap();
    assert_eq!((p.request, &p.items, &p.recipient), (c.request, &c.asked.items, &sealing("otto")));
    // Half of it is another request, with approvals of its own.
    let half: Vec<ItemId> = c.asked.items[..1].to_vec();
    let fewer = |r: &mut Request| {
        let thread = Case::new().node.facts.item(&half[0]).unwrap().about.thread;
        (r.items, r.scope.threads) = (half.clone(), vec![thread]);
        (r.counts.items, r.counts.threads) = (1, 1);
    };
    c.request = c.ask(fewer);
    assert_eq!(deliver(&c), Err(Rule::Pending));
    c.approve("lena", "legal");
    c.approve("dora", "dpo");
    assert_eq!(gate::deliver(&c.node.facts, &c.request, c.node.now).unwrap().items, half);
    // An item that nobody deposited, and one outside what was approved in people's terms.
    for (change, rule) in [
        ((|r| r.items = sorted(vec![r.items[0], Digest::of(b"x")])) as fn(&mut Request), Rule::ItemUnknown),
        (|r| (r.scope.threads, r.counts.threads) = (vec![thread("t1")], 1), Rule::ItemScope),
    ] {
        c.request = c.ask(change);
        c.approve("lena", "legal");
        c.approve("dora", "dpo");
        assert_eq!(deliver(&c), Err(rule));
    }
}

#[test]
fn r5_what_leads_to_a_share_is_never_admitted_as_an_ordinary_statement() {
    let mut c = Case::approved();
    assert_eq!(authorise_with_all(&c), Ok(()));
    let receipt = Receipt {
        kind: Kind::Receipt,
        org: w("acme.example"),
        nonce: Nonce::random(),
        charter: c.node.charter(),
        seat: seat_index(1),
        statement: c.request,
        envelope: c.request,
        log: "seat1.example/log".to_owned(),
        seq: 1,
        leaf: Digest::of(b"leaf"),
        at: c.node.now,
    };
    for e in [
        call(&c),
        sign(&release(&c), &["seat1"]),
        sign(&receipt, &["seat1"]),
        sign(&c.node.answer(1, c.request), &["seat1"]),
    ] {
        assert_eq!(refused(c.node.fold(&e)), Some(Rule::NotSubmittable), "{}", e.kind());
    }
}

// ---- R6: a statement for one context fails in every other -----------------------------------

/// Each member of a seat's statement with a change that its own key signs, as a lying node could.
/// What is not in the table must be in `free`, so that a new member cannot be forgotten.
#[track_caller]
fn members<T: serde::Serialize>(good: &T, bound: &[&str], free: &[&str]) {
    let all: BTreeSet<String> = serde_json::to_value(good).unwrap().as_object().unwrap().keys().cloned().collect();
    let named: BTreeSet<String> = bound.iter().chain(free).map(|s| (*s).to_owned()).collect();
    assert_eq!(all, named);
}

#[test]
fn r6_a_permit_of_another_context_is_refused() {
    let c = Case::approved();
    let enough = answers(&c, &[2, 3], |_| {});
    assert_eq!(authorise(&c, &permits(&c, &[2, 3], |_| {}), &enough), Ok(()));
    let rows: &[(&str, fn(&mut Verdict), Rule)] = &[
        ("org", |v| v.org = w("other.example"), Rule::WrongOrg),
        ("charter", |v| v.charter = Digest::of(b"x"), Rule::PermitInvalid),
        ("seat", |v| v.seat = seat_index(if v.seat.get() == 2 { 3 } else { 2 }), Rule::BadSignature),
        ("seat", |v| v.seat = seat_index(9), Rule::WrongSigner),
        ("request", |v| v.request = Digest::of(b"x"), Rule::PermitInvalid),
        ("outcome", |v| (v.outcome, v.reasons) = (Outcome::Refuse, vec![w("denied")]), Rule::PermitInvalid),
        ("decided", |v| v.decided = v.decided.plus_seconds(-60), Rule::PermitInvalid),
        (
            "decided",
            |v| {
                v.decided = v.decided.plus_seconds(301);
                v.valid_until = v.decided.plus_seconds(60)
            },
            Rule::PermitInvalid,
        ),
        ("valid_until", |v| v.valid_until = v.valid_until.plus_seconds(1), Rule::PermitInvalid),
    ];
    for (member, change, rule) in rows {
        assert_eq!(authorise(&c, &permits(&c, &[2, 3], change), &enough), Err(*rule), "{member}");
    }
    let bound = ["org", "charter", "seat", "request", "outcome", "decided", "valid_until"];
    // What a permit explains is for the record; its kind has a test of its own, its nonce makes it one.
    let free = ["kind", "nonce", "lacking", "reasons", "policies", "decisions", "context"];
    members(&c.node.verdict(2, c.request), &bound, &free);
}

#[test]
fn r6_a_restriction_answer_of_another_context_is_refused() {
    let c = Case::approved();
    let enough = permits(&c, &[2, 3], |_| {});
    assert_eq!(authorise(&c, &enough, &answers(&c, &[2, 3], |_| {})), Ok(()));
    let rows: &[(&str, fn(&mut RestrictionAnswer), Rule)] = &[
        ("org", |a| a.org = w("other.example"), Rule::WrongOrg),
        ("seat", |a| a.seat = seat_index(if a.seat.get() == 2 { 3 } else { 2 }), Rule::BadSignature),
        ("asker", |a| a.asker = seat_index(4), Rule::AnswerInvalid),
        ("request", |a| a.request = Some(Digest::of(b"x")), Rule::AnswerInvalid),
        ("request", |a| a.request = None, Rule::AnswerInvalid),
        ("matter", |a| a.matter = Some(w("MAT-2")), Rule::AnswerInvalid),
        ("matter", |a| a.matter = None, Rule::AnswerInvalid),
        ("consents", |a| a.consents = vec![], Rule::AnswerInvalid),
        ("consents", |a| a.consents = vec![Digest::of(b"x")], Rule::AnswerInvalid),
        ("revocable", |a| a.revocable = vec![], Rule::AnswerInvalid),
        ("restrictions", |a| a.restrictions = vec![Digest::of(b"x")], Rule::AnswerInvalid),
        ("at", |a| a.at = a.at.plus_seconds(301), Rule::AnswerInvalid),
        ("at", |a| a.at = a.at.plus_seconds(-361), Rule::AnswerInvalid),
    ];
    for (member, change, rule) in rows {
        assert_eq!(authorise(&c, &enough, &answers(&c, &[2, 3], change)), Err(*rule), "{member}");
    }
    let bound = ["org", "seat", "asker", "request", "matter", "consents", "revocable", "restrictions", "at"];
    // The asking node itself compares `asked` with the nonce of this round (escrow-node). An answer
    // under an older charter still tells of restrictions; positions are for those who ask for all.
    let free = ["kind", "nonce", "asked", "charter", "after", "upto"];
    members(&c.node.answer(2, c.request), &bound, &free);
}

#[test]
fn r6_a_release_call_of_another_context_is_refused() {
    let c = Case::approved();
    let check = |change: fn(&mut ReleaseCall), by: &str| {
        let mut call = c.node.call(c.request, by_person("ida"));
        change(&mut call);
        refused(verify_call(&c.node.facts, &sign(&call, &[by]), c.node.now))
    };
    assert_eq!(check(|_| {}, "ida"), None);
    assert_eq!(check(|x| x.by = by_person("otto"), "otto"), None, "the recipient");
    assert_eq!(check(|x| x.org = w("other.example"), "ida"), Some(Rule::WrongOrg));
    assert_eq!(check(|x| x.charter = Digest::of(b"x"), "ida"), Some(Rule::CharterUnknown));
    assert_eq!(check(|x| x.request = Digest::of(b"x"), "ida"), Some(Rule::RequestUnknown));
    assert_eq!(check(|x| x.by = by_person("otto"), "ida"), Some(Rule::WrongSigner));
    assert_eq!(check(|x| x.by = by_person("lena"), "lena"), Some(Rule::NotEntitled));
    assert_eq!(check(|x| x.at = x.at.plus_seconds(-301), "ida"), Some(Rule::ClockSkew));
    assert_eq!(check(|x| x.at = x.at.plus_seconds(301), "ida"), Some(Rule::ClockSkew));
    members(&c.node.call(c.request, by_person("ida")), &["org", "charter", "request", "by", "at", "nonce"], &["kind"]);
    // The nonce: the same call serves once.
    let mut c = c;
    let call = call(&c);
    let event = Event::Authorized { request: c.request, decisions: vec![], permits: vec![], answers: vec![] };
    assert!(verify_call(&c.node.facts, &call, c.node.now).is_ok());
    c.node.record(Some(&call), event).unwrap();
    assert_eq!(refused(verify_call(&c.node.facts, &call, c.node.now)), Some(Rule::ClockSkew));
}

#[test]
fn r6_a_query_of_another_context_is_refused() {
    let mut c = Case::approved();
    let check = |c: &Case, change: fn(&mut escrow_core::query::Query), by: &str| {
        let mut q = c.node.query(by_person("leo"), Question::Requests);
        change(&mut q);
        refused(verify_query(&c.node.facts, &sign(&q, &[by]), c.node.now))
    };
    assert_eq!(check(&c, |_| {}, "leo"), None);
    assert_eq!(check(&c, |q| q.org = w("other.example"), "leo"), Some(Rule::WrongOrg));
    assert_eq!(check(&c, |q| q.charter = Digest::of(b"x"), "leo"), Some(Rule::CharterUnknown));
    assert_eq!(check(&c, |q| q.seat = seat_index(2), "leo"), Some(Rule::WrongSigner));
    assert_eq!(check(&c, |q| q.by = by_person("lena"), "leo"), Some(Rule::WrongSigner));
    assert_eq!(check(&c, |q| q.at = q.at.plus_seconds(-301), "leo"), Some(Rule::ClockSkew));
    let q = sign(&c.node.query(by_person("leo"), Question::Requests), &["leo"]);
    c.node.log(&q);
    assert_eq!(refused(verify_query(&c.node.facts, &q, c.node.now)), Some(Rule::ClockSkew), "nonce: answered before");
}

#[test]
fn r6_a_decision_counts_for_its_request_alone() {
    let mut c = Case::new();
    // Word for word the same request but for its nonce.
    let twin = c.ask(|r| r.nonce = Nonce::random());
    c.approve("lena", "legal");
    c.approve("dora", "dpo");
    assert_eq!(c.says(), "permit");
    assert_eq!(says(&c.node.evaluate(&twin)), "pending: approvals.dpo 0/1, approvals.legal 0/1, approvers 0/2");
    let rows: &[(&str, fn(&mut escrow_core::decision::Decision), Rule)] = &[
        ("org", |d| d.org = w("other.example"), Rule::WrongOrg),
        ("charter", |d| d.charter = Digest::of(b"x"), Rule::CharterUnknown),
        ("by", |d| d.by = w("lena"), Rule::WrongSigner),
        ("role", |d| d.role = w("dpo"), Rule::NotEntitled),
        ("at", |d| d.at = d.at.plus_seconds(302), Rule::ClockSkew),
    ];
    for (member, change, rule) in rows {
        let mut d = c.node.decision(c.request, "leo", "legal", Approve);
        change(&mut d);
        assert_eq!(refused(c.node.clone().fold(&sign(&d, &["leo"]))), Some(*rule), "{member}");
    }
    let mut d = c.node.decision(c.request, "leo", "legal", Approve);
    d.request = Digest::of(b"x");
    c.node.log(&sign(&d, &["leo"]));
    assert_eq!(c.evaluate().decisions.len(), 2, "one for another request does not count here");
}

#[test]
fn r6_an_approval_under_an_older_charter_is_refused() {
    let mut c = Case::new();
    let old = c.node.decide(c.request, "lena", "legal", Approve);
    assert_eq!(refused(c.node.clone().fold(&old)), None);
    let v2 = successor(&c.genesis, |_| {});
    c.node.follow(&v2);
    assert_eq!(refused(c.node.clone().fold(&old)), Some(Rule::CharterStale));
    // As a permit decided under it.
    c.approve("lena", "legal");
    c.approve("dora", "dpo");
    let a = answers(&c, &[2, 3], |_| {});
    assert_eq!(authorise(&c, &permits(&c, &[2, 3], |_| {}), &a), Ok(()));
    let genesis = c.genesis.digest();
    assert_eq!(authorise(&c, &permits(&c, &[2, 3], |v| v.charter = genesis), &a), Err(Rule::PermitInvalid));
}

#[test]
fn r6_a_request_is_refused_once_recipient_key_policy_or_items_are_others() {
    let rows: &[(&str, fn(&mut Request), Rule)] = &[
        (
            "recipient key",
            |r| r.recipient = Recipient::Person(RecipientPerson { id: w("otto"), sealing: sealing("lena").digest() }),
            Rule::RecipientKey,
        ),
        ("policy", |r| r.policy = w("lenient"), Rule::PolicyNotAgreed),
        ("item", |r| r.items = sorted(vec![r.items[0], Digest::of(b"x")]), Rule::ItemUnknown),
        ("thread", |r| (r.scope.threads, r.counts.threads) = (vec![thread("t1")], 1), Rule::ItemScope),
        ("time", |r| r.scope.to = days(-10), Rule::ItemScope),
        ("purpose", |r| r.purpose = w("curiosity"), Rule::ConsentScope),
        ("matter", |r| r.matter = w("MAT-2"), Rule::MatterUnknown),
    ];
    everywhere(Case::new(), Ok(()));
    for (name, change, rule) in rows {
        let mut c = Case::of(|_| {}, |_| {}, change);
        c.approve("lena", "legal");
        c.approve("dora", "dpo");
        assert_eq!(deliver(&c), Err(*rule), "{name}");
    }
}

#[test]
fn r6_a_deposit_of_another_context_is_refused() {
    let c = Case::new();
    let check = |header: fn(&mut escrow_core::deal::Deal), deposit: fn(&mut escrow_core::deposit::Deposit)| {
        let mut h = c.node.deal("maria", c.consent);
        header(&mut h);
        let mut d = c.node.deposit("maria", &c.node.dealt(h, &[about("t1")]));
        deposit(&mut d);
        refused(c.node.clone().fold(&sign(&d, MARIA)))
    };
    assert_eq!(check(|_| {}, |_| {}), None);
    assert_eq!(check(|h| h.org = w("other.example"), |_| {}), Some(Rule::WrongOrg));
    assert_eq!(check(|h| h.generation = 2, |_| {}), Some(Rule::Generation));
    assert_eq!(check(|h| h.t = 4, |_| {}), Some(Rule::Generation));
    assert_eq!(check(|h| h.consent = Digest::of(b"x"), |_| {}), Some(Rule::ConsentUnknown));
    assert_eq!(check(|h| h.policies[0].digest = Digest::of(b"x"), |_| {}), Some(Rule::PolicyNotAgreed));
    assert_eq!(check(|h| h.depositor = subject("max"), |_| {}), Some(Rule::WrongSigner));
    assert_eq!(check(|_| {}, |d| d.org = w("other.example")), Some(Rule::WrongOrg));
    assert_eq!(check(|_| {}, |d| d.charter = Digest::of(b"x")), Some(Rule::CharterUnknown));
    assert_eq!(check(|_| {}, |d| d.blobs[4].seat = seat_index(6)), Some(Rule::Generation));
    assert_eq!(check(|_| {}, |d| d.blobs.truncate(4)), Some(Rule::Generation), "a seat without a blob");
    // The same deal under another payload: two stories under one id.
    let mut c = c.clone();
    let dealt = c.node.dealt(c.node.deal("maria", c.consent), &[about("t1")]);
    let first = sign(&c.node.deposit("maria", &dealt), MARIA);
    c.node.log(&first);
    let again = sign(&c.node.deposit("maria", &dealt), MARIA);
    assert_eq!(refused(c.node.fold(&again)), Some(Rule::DealReplayed));
}

#[test]
fn r6_no_statement_passes_as_another_kind() {
    let c = Case::approved();
    let (p, a) = (permits(&c, &[2, 3], |_| {}), answers(&c, &[2, 3], |_| {}));
    assert_eq!(authorise(&c, &p, &a), Ok(()));
    assert_eq!(authorise(&c, &a, &a), Err(Rule::PermitInvalid), "answers as permits");
    assert_eq!(authorise(&c, &p, &p), Err(Rule::AnswerInvalid), "permits as answers");
    // The right payload under another payload type, correctly signed.
    let good = c.node.decide(c.request, "leo", "legal", Approve);
    assert_eq!(refused(c.node.clone().fold(&good)), None);
    for kind in Kind::ALL.into_iter().filter(|k| *k != Kind::Decision) {
        let e = sign_bytes(kind, good.payload(), &["leo"]);
        let rule = refused(c.node.clone().fold(&e));
        assert!(matches!(rule, Some(Rule::Malformed | Rule::NotSubmittable)), "{kind}: {rule:?}");
    }
    // The right signature moved under another payload type.
    let json: Value = serde_json::from_slice(good.bytes()).unwrap();
    let sig: Blob = serde_json::from_value(json["signatures"][0]["sig"].clone()).unwrap();
    let moved = assemble(Kind::Cancellation, good.payload(), &[(public("leo").id(), sig.clone())]);
    assert_eq!(refused(c.node.clone().fold(&moved)), Some(Rule::Malformed));
    let back = assemble(Kind::Decision, good.payload(), &[(public("leo").id(), sig)]);
    assert_eq!(refused(c.node.clone().fold(&back)), None);
}

#[test]
fn r6_another_organisations_statement_is_refused_of_every_kind() {
    let c = Case::approved();
    let kinds: Vec<(Envelope, &[&str])> = vec![
        (sign(&c.node.enrolment(&["new"]), REGISTRARS), REGISTRARS),
        (sign(&c.node.consent("maria"), MARIA), MARIA),
        (sign(&c.node.withdrawal(c.consent, "maria"), MARIA), MARIA),
        (c.node.matter_act(Close, Some(c.opening)), &["ida"]),
        (sign(&c.node.request(&c.items), &["ida"]), &["ida"]),
        (c.node.cancellation(c.request, "ida"), &["ida"]),
        (c.node.decide(c.request, "leo", "legal", Deny), &["leo"]),
        (sign(&c.node.query(by_person("leo"), Question::Requests), &["leo"]), &["leo"]),
        (sign(&next(&c.genesis, |_| {}), ADMINS), ADMINS),
        (sign(&c.node.verdict(1, c.request), &["seat1"]), &["seat1"]),
    ];
    for (good, by) in kinds {
        assert_eq!(refused(c.node.clone().fold(&good)), None, "{}", good.kind());
        let other = resign(&good, by, |j| j["org"] = json!("other.example"));
        assert_eq!(refused(c.node.clone().fold(&other)), Some(Rule::WrongOrg), "{}", good.kind());
    }
}
