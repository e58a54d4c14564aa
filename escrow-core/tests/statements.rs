//! Signed statements: one example of every kind, then everything that can be done to it. What
//! differs by kind (which members may be null, which members hang together) is pinned in tables;
//! all else is derived from the example's own JSON, so that a new member is tested on arrival.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test that panics has failed

mod common;

use common::*;
use escrow_core::charter::Basis;
use escrow_core::consent::{Coverage, Epochs, Floor};
use escrow_core::deposit::SeatBlob;
use escrow_core::enrolment::Device;
use escrow_core::envelope::{EnvelopeError, pae};
use escrow_core::limits;
use escrow_core::matter::MatterAction;
use escrow_core::notification::NotificationEvent;
use escrow_core::query::{CustodianScope, EntryRange, Exported, Query, Question};
use escrow_core::request::{ContextAsked, Counts, Request, Scope, Selection};
use escrow_core::strict::StrictError;
use escrow_core::verdict::{Lacking, Outcome};
use escrow_core::{Digest, Envelope, Kind, Nonce, PublicKey, SigningKey, Statement, Timestamp, Token};
use serde_json::{Value, json};
use std::collections::BTreeSet;

// ---- walking over JSON ----

/// Every value below `v` with its JSON pointer, parents first.
fn walk(v: &Value) -> Vec<(String, Value)> {
    fn go(at: String, v: &Value, out: &mut Vec<(String, Value)>) {
        out.push((at.clone(), v.clone()));
        match v {
            Value::Object(map) => map.iter().for_each(|(k, v)| go(format!("{at}/{k}"), v, out)),
            Value::Array(list) => list.iter().enumerate().for_each(|(i, v)| go(format!("{at}/{i}"), v, out)),
            _ => {}
        }
    }
    let mut out = Vec::new();
    go(String::new(), v, &mut out);
    out
}

fn objects(v: &Value) -> Vec<(String, Vec<String>)> {
    walk(v).into_iter().filter_map(|(at, v)| Some((at, v.as_object()?.keys().cloned().collect()))).collect()
}

fn with(v: &Value, at: &str, new: Value) -> Value {
    let mut v = v.clone();
    *v.pointer_mut(at).unwrap() = new;
    v
}

/// The JSON text of `v`, in which the value at `at` is replaced by `raw` as it stands.
fn with_text(v: &Value, at: &str, raw: &str) -> String {
    let marker = "\u{1}here\u{1}";
    with(v, at, json!(marker)).to_string().replace(&json!(marker).to_string(), raw)
}

/// The JSON text of `v`, in which member `member` of the object at `at` stands twice.
fn with_member_twice(v: &Value, at: &str, member: &str) -> String {
    let object = v.pointer(at).unwrap();
    let text = object.to_string();
    with_text(v, at, &format!("{{{}:{},{}", json!(member), object[member], &text[1..]))
}

fn last(at: &str) -> &str {
    at.rsplit('/').next().unwrap()
}

/// The pointer with `*` for every position in a list.
fn general(at: &str) -> String {
    at.split('/').map(|s| if s.parse::<usize>().is_ok() { "*" } else { s }).collect::<Vec<_>>().join("/")
}

/// What a node makes of hostile bytes as a correctly signed payload of the example's kind.
fn decoded(e: &Example, payload: &[u8]) -> Result<(), EnvelopeError> {
    (e.decode)(&signed_by_hand(e.kind, payload, &ed25519(1)))
}

fn assert_malformed(e: &Example, payload: &str, what: &str) {
    assert_ne!(payload.as_bytes(), e.payload, "{}: {what}: nothing was changed", e.name);
    match decoded(e, payload.as_bytes()) {
        Err(EnvelopeError::Payload { kind, error: StrictError::Profile(_) }) => assert_eq!(kind, e.kind),
        other => panic!("{}: {what}: {other:?}\n{payload}", e.name),
    }
}

// ---- the examples themselves ----

#[test]
fn there_is_an_example_of_every_kind() {
    let kinds: Vec<Kind> = examples().iter().take(Kind::ALL.len()).map(|e| e.kind).collect();
    assert_eq!(kinds, Kind::ALL);
    for kind in Kind::ALL {
        assert_eq!(Kind::from_payload_type(&kind.payload_type()), Some(kind));
        assert_eq!(serde_json::to_value(kind).unwrap(), json!(kind.name()));
    }
}

#[test]
fn the_order_of_members_and_escapes_are_free() {
    // The control of all tests below that change JSON: written again unchanged, it is taken.
    for e in examples() {
        let sorted = e.value().to_string();
        assert_eq!(decoded(&e, sorted.as_bytes()), Ok(()), "{}", e.name);
        let escaped = sorted.replacen("acme", "\\u0061cme", 1);
        assert_ne!(escaped, sorted);
        assert_eq!(decoded(&e, escaped.as_bytes()), Ok(()), "{}", e.name);
    }
}

/// The example written with sorted members and signed by both keys, as JSON.
fn signed_sorted(e: &Example, keys: &[&SigningKey]) -> Value {
    let payload = e.value().to_string().into_bytes();
    let message = pae(&e.kind.payload_type(), &payload);
    let signatures: Vec<_> = keys.iter().map(|k| (k.public().id(), k.sign(&message))).collect();
    let bytes = raw_envelope(&e.kind.payload_type(), &payload, &signatures);
    assert!(Envelope::parse(&bytes).unwrap().signers(knows(keys)).is_ok(), "{}: good before the change", e.name);
    serde_json::from_slice(&bytes).unwrap()
}

#[test]
fn every_example_is_signed_parsed_decoded_and_named_by_its_payload() {
    let (a, b) = (ed25519(1), es256(2));
    for e in examples() {
        let envelope = (e.sign)(&[&a, &b]);
        assert_eq!(envelope.payload(), e.payload, "{}", e.name);
        assert_eq!(envelope.kind(), e.kind);
        assert_eq!(envelope.digest(), Digest::of(&e.payload));
        assert_eq!(envelope.envelope_digest(), Digest::of(envelope.bytes()));
        let again = Envelope::parse(envelope.bytes()).unwrap();
        assert_eq!(again, envelope);
        assert_eq!((e.decode)(&again), Ok(()), "{}", e.name);
        assert_eq!(again.signers(knows(&[&b, &a])), Ok(vec![a.public(), b.public()]), "{}", e.name);
    }
}

// ---- shape ----

#[test]
fn every_member_is_needed() {
    let mut cases = 0;
    for e in examples() {
        let v = e.value();
        for (at, members) in objects(&v) {
            for member in members {
                let mut less = v.clone();
                less.pointer_mut(&at).unwrap().as_object_mut().unwrap().remove(&member);
                assert_malformed(&e, &less.to_string(), &format!("{at}/{member} missing"));
                cases += 1;
            }
        }
    }
    assert!(cases > 400, "{cases} cases");
}

#[test]
fn unknown_members_are_refused_at_every_depth() {
    for e in examples() {
        let v = e.value();
        for (at, _) in objects(&v) {
            for name in ["extra", "Kind", "kind ", ""] {
                let mut more = v.clone();
                more.pointer_mut(&at).unwrap().as_object_mut().unwrap().insert(name.to_owned(), Value::Null);
                assert_malformed(&e, &more.to_string(), &format!("{at} with member {name:?}"));
            }
        }
    }
}

#[test]
fn a_member_twice_is_refused_at_every_depth_even_with_equal_values() {
    for e in examples() {
        let v = e.value();
        for (at, members) in objects(&v) {
            for member in members {
                assert_malformed(&e, &with_member_twice(&v, &at, &member), &format!("{at}/{member} twice"));
            }
        }
    }
}

#[test]
fn null_stands_only_where_the_specification_says_so() {
    // The lists of positions at which null is a word of the shape, whatever the rules say then.
    let nullable = [
        ("charter", "/people/*/sealing"),
        ("charter", "/previous"),
        ("charter", "/seats/*/previous_log_head"),
        ("consent", "/authority"),
        ("consent", "/epochs"),
        ("matter", "/previous"),
        ("notification", "/matter"),
        ("query", "/what/preview/authority"),
        ("request", "/authority"),
        ("request", "/selection"),
        ("request", "/selection/epochs"),
        ("restriction-answer", "/matter"),
        ("restriction-answer", "/request"),
        ("verdict", "/context"),
        ("view", "/note"),
    ];
    let mut found = BTreeSet::new();
    for e in examples() {
        let v = e.value();
        for (at, value) in walk(&v) {
            if value.is_null() || at.is_empty() {
                continue;
            }
            match decoded(&e, with(&v, &at, Value::Null).to_string().as_bytes()) {
                Ok(()) | Err(EnvelopeError::Invalid { .. }) => {
                    found.insert((e.kind.name(), general(&at)));
                }
                Err(EnvelopeError::Payload { .. }) => {}
                Err(other) => panic!("{} {at}: {other:?}", e.name),
            }
        }
    }
    assert_eq!(found, nullable.map(|(k, at)| (k, at.to_owned())).into());
}

#[test]
fn numbers_are_plain_integers_and_texts_are_texts() {
    let mut numbers = 0;
    for e in examples() {
        let v = e.value();
        for (at, value) in walk(&v) {
            let raw = value.to_string();
            let wrong: Vec<String> = match &value {
                Value::Number(_) => {
                    numbers += 1;
                    vec![
                        format!("{raw}.0"),
                        format!("{raw}.5"),
                        format!("{raw}e0"),
                        format!("{raw}E1"),
                        format!("-{raw}.0"),
                        "-1".to_owned(),
                        "-0".to_owned(),
                        format!("\"{raw}\""),
                        "9007199254740992".to_owned(),
                        "18446744073709551616".to_owned(),
                        "-9223372036854775808".to_owned(),
                    ]
                }
                // A bare word is also read by serde from an object with a null, a thing no
                // specification mentions.
                Value::String(_) => vec!["7".to_owned(), format!("[{raw}]"), format!("{{{raw}:null}}")],
                Value::Bool(_) => vec!["0".to_owned(), "\"true\"".to_owned(), "null".to_owned()],
                Value::Array(_) => vec!["{}".to_owned(), "\"\"".to_owned()],
                // serde reads a struct from the list of its members as well.
                Value::Object(map) => {
                    vec![json!(map.values().collect::<Vec<_>>()).to_string(), "[]".to_owned(), "\"\"".to_owned()]
                }
                Value::Null => vec!["0".to_owned(), "[]".to_owned(), "{}".to_owned()],
            };
            for text in wrong {
                assert_malformed(&e, &with_text(&v, &at, &text), &format!("{at} = {text}"));
            }
        }
    }
    assert!(numbers > 30, "{numbers} numbers");
}

#[test]
fn positional_arrays_in_declaration_order_are_refused() {
    // What serde's derive would take for a decision: the members' values in the order of the struct.
    let e = examples().into_iter().find(|e| e.name == "decision").unwrap();
    let v = e.value();
    let order = ["kind", "org", "nonce", "charter", "request", "by", "role", "choice", "reason", "at"];
    let list: Value = order.iter().map(|m| v[*m].clone()).collect();
    assert_eq!(list.as_array().unwrap().len(), v.as_object().unwrap().len());
    assert_malformed(&e, &list.to_string(), "positional");

    let e = examples().into_iter().find(|e| e.name == "request").unwrap();
    let v = e.value();
    let counts = json!([v["counts"]["items"], v["counts"]["threads"]]);
    assert_malformed(&e, &with(&v, "/counts", counts).to_string(), "positional counts");

    let e = examples().into_iter().find(|e| e.name == "consent of the subject").unwrap();
    let coverage = with(&e.value(), "/coverage", json!({"workspace": null}));
    assert_malformed(&e, &coverage.to_string(), "a bare word as an object");
}

#[test]
fn bytes_around_and_instead_of_the_payload_are_refused() {
    for e in examples() {
        let text = String::from_utf8(e.payload.clone()).unwrap();
        let instead = [
            String::new(),
            "null".to_owned(),
            "[]".to_owned(),
            "{}".to_owned(),
            format!("{text}x"),
            format!("{text}{text}"),
            format!("{text}\0"),
            format!("\u{feff}{text}"),
            text[..text.len() - 1].to_owned(),
            format!("[{text}]"),
        ];
        for (i, payload) in instead.iter().enumerate() {
            assert_malformed(&e, payload, &format!("case {i}"));
        }
        let mut latin1 = e.payload.clone();
        let at = text.find("acme").unwrap();
        latin1[at] = 0xe4;
        assert!(matches!(decoded(&e, &latin1), Err(EnvelopeError::Payload { .. })), "{}: not UTF-8", e.name);
    }
}

#[test]
fn payloads_are_bounded_by_kind() {
    for e in examples() {
        let mut padded = e.payload.clone();
        padded.resize(e.max, b' ');
        assert_eq!(decoded(&e, &padded), Ok(()), "{} at its largest", e.name);
        padded.push(b' ');
        let too_long = StrictError::TooLong { size: e.max + 1, max: e.max };
        assert_eq!(decoded(&e, &padded), Err(EnvelopeError::Payload { kind: e.kind, error: too_long }), "{}", e.name);
    }
}

#[test]
fn nesting_is_bounded() {
    let e = examples().into_iter().find(|e| e.name == "view").unwrap();
    let deep = format!("{}1{}", "[".repeat(17), "]".repeat(17));
    let error = decoded(&e, with_text(&e.value(), "/log", &deep).as_bytes()).unwrap_err();
    assert!(error.to_string().contains("nested too deep"), "{error}");
}

// ---- every member counts ----

/// Another legal value in place of this one, by what it is and where it stands.
fn another(at: &str, value: &Value) -> Value {
    let flip_last = |s: &str| {
        let end = if s.ends_with('0') { "1" } else { "0" };
        json!(format!("{}{end}", &s[..s.len() - 1]))
    };
    match value {
        Value::Bool(b) => json!(!b),
        Value::Number(n) => json!(n.as_u64().unwrap() + 1),
        Value::Null => match last(at) {
            "authority" => json!({"reference": "Case 1", "document": d(1)}),
            "epochs" => json!({"first": 1, "last": 2}),
            "context" | "request" => json!(d(1)),
            "matter" => json!("MAT-1"),
            "selection" => json!({
                "custodians": [], "epochs": null, "from": at_text(0), "to": at_text(3_600),
                "context": {"hours": 0, "messages": 0}, "zone": "UTC",
            }),
            _ => panic!("no other value for null at {at}"),
        },
        Value::String(s) => match (last(at), s.as_str()) {
            ("kind", _) if at == "/kind" => json!(if s == "view" { "query" } else { "view" }),
            ("kind", "request") => json!("cancellation"),
            ("basis", "order") => json!("legal-obligation"),
            ("basis", "consent") => json!("order"),
            ("choice", "approve") => json!("deny"),
            ("action", "close") => json!("reopen"),
            ("event", "request-waits") => json!("recovery-waits"),
            ("outcome", "permit") => json!("pending"),
            ("outcome", _) => json!("permit"),
            ("suite", "xwing") => json!("mlkem768-p256"),
            ("coverage", "workspace") => json!({"threads": [thread("general")]}),
            ("subject", "no_subject") => json!({"tokens": [subject("alice")]}),
            ("notice", "immediate") => json!({"delayed": {"order": "Order 7", "until": at_text(1)}}),
            ("what", "matters") => json!("requests"),
            ("what", "recoveries" | "own") => json!("activity"),
            ("nonce" | "asked" | "export" | "views", _) => json!(nonce(0xee)),
            ("public" | "deal", _) => json!(b64(b"other")),
            _ if s.parse::<Timestamp>().is_ok() => json!(s.parse::<Timestamp>().unwrap().plus_seconds(1)),
            _ if s.parse::<Digest>().is_ok() || s.parse::<Token>().is_ok() => flip_last(s),
            _ if s.starts_with("ed25519:") => json!(ed25519(0xaa).public()),
            _ if s.starts_with("es256:") => json!(es256(0xaa).public()),
            _ => json!(format!("{s}x")),
        },
        Value::Array(list) if list.is_empty() => match last(at) {
            "consents" => json!([d(1)]),
            "revocable" => json!([{ "enrolment": d(1) }]),
            "lacking" => json!([{"what": "waited_seconds", "have": 0, "need": 1}]),
            "reasons" => json!(["x"]),
            _ => panic!("no other value for the empty list at {at}"),
        },
        Value::Array(_) | Value::Object(_) => panic!("{at} is not a leaf"),
    }
}

fn at_text(seconds: i64) -> String {
    at(seconds).to_string()
}

/// Members that cannot change alone, and the rule that says so.
fn tied(name: &str, at: &str) -> Option<&'static str> {
    Some(match (name, at) {
        (
            "request" | "request to a device" | "request to the filter team" | "request by custodians with context",
            "/counts/items",
        )
        | ("query for a preview", "/what/preview/counts/items") => "counts.items differs from the items listed",
        (
            "request" | "request to a device" | "request to the filter team" | "request by custodians with context",
            "/counts/threads",
        )
        | ("query for a preview", "/what/preview/counts/threads") => "counts.threads differs from the threads listed",
        ("query for a preview", "/what/preview/kind") => "what is tried out is a request",
        ("consent" | "consent of the subject", "/record/event_state") => {
            "record.event_state is given; a withdrawal is a statement of its own"
        }
        ("restriction-answer", "/after") | ("answer about all restrictions", "/request") => {
            "about a request the whole log counts"
        }
        ("consent of the subject", "/basis" | "/authority") => "an authority goes with every basis but consent",
        ("request to a device", "/basis") => "an authority reference is needed on this basis",
        ("verdict" | "pending verdict", "/outcome") => "what is lacking goes with pending",
        ("verdict" | "refusing verdict", "/lacking") => "what is lacking goes with pending",
        ("refusing verdict", "/outcome") => "reasons go with refusal",
        ("verdict" | "pending verdict", "/reasons") => "reasons go with refusal",
        ("notification", "/event") => "a matter goes with a request",
        _ => return None,
    })
}

#[test]
fn every_member_changes_the_digest_and_breaks_the_signature() {
    let (a, b) = (ed25519(1), es256(2));
    let (mut changed, mut ties) = (0, 0);
    for e in examples() {
        let v = e.value();
        let envelope = signed_sorted(&e, &[&b, &a]);
        let mut digests = BTreeSet::from([Digest::of(v.to_string().as_bytes())]);
        for (at, value) in walk(&v) {
            let leaf = match &value {
                Value::Object(_) => false,
                Value::Array(list) => list.is_empty(),
                _ => true,
            };
            if !leaf {
                continue;
            }
            let payload = with(&v, &at, another(&at, &value)).to_string();
            let forged = with(&envelope, "/payload", json!(b64(payload.as_bytes())));
            let forged = Envelope::parse(forged.to_string().as_bytes()).unwrap();
            assert!(digests.insert(forged.digest()), "{} {at}: a digest that was there before", e.name);
            assert_eq!(
                forged.signers(knows(&[&a, &b])),
                Err(EnvelopeError::BadSignature(b.public().id())),
                "{} {at}",
                e.name
            );
            let expected = match tied(e.name, &at) {
                _ if at == "/kind" => Err(EnvelopeError::KindMismatch(e.kind)),
                Some(rule) => Err(EnvelopeError::Invalid { kind: e.kind, rule: rule.to_owned() }),
                None => Ok(()),
            };
            ties += usize::from(expected.is_err());
            changed += 1;
            assert_eq!((e.decode)(&forged), expected, "{} {at}: is the other value legal?", e.name);
        }
    }
    assert!(changed > 400, "{changed} members changed");
    // Every /kind and every line of the table above was met.
    assert_eq!(ties, examples().len() + 26);
}

#[test]
fn order_and_number_of_list_members_count() {
    for e in examples() {
        let v = e.value();
        let key = ed25519(1);
        let envelope = signed_sorted(&e, &[&key]);
        for (at, value) in walk(&v) {
            let Value::Array(list) = value else { continue };
            if list.is_empty() {
                continue;
            }
            let mut variants = vec![json!(list[1..]), json!([&list[..], &list[..1]].concat())];
            if list.len() > 1 {
                variants.push(list.iter().rev().cloned().collect());
            }
            for variant in variants {
                assert_ne!(variant, json!(list), "{} {at}", e.name);
                let payload = with(&v, &at, variant).to_string();
                let forged = with(&envelope, "/payload", json!(b64(payload.as_bytes())));
                let forged = Envelope::parse(forged.to_string().as_bytes()).unwrap();
                assert_eq!(
                    forged.signers(knows(&[&key])),
                    Err(EnvelopeError::BadSignature(key.public().id())),
                    "{} {at}",
                    e.name
                );
            }
        }
    }
}

#[test]
fn a_padded_envelope_is_refused() {
    let e = &examples()[0];
    let envelope = signed_sorted(e, &[&ed25519(1)]);
    let tight = serde_json::to_vec(&envelope).unwrap();
    let padded = |n: usize| {
        let bytes = [&tight[..], " ".repeat(n).as_bytes()].concat();
        Envelope::parse(&bytes).map(drop)
    };
    assert_eq!(padded(limits::ENVELOPE_SLACK), Ok(()));
    assert_eq!(padded(limits::ENVELOPE_SLACK + 1), Err(EnvelopeError::Padded(limits::ENVELOPE_SLACK + 1)));
}

// ---- kind and payload type ----

#[test]
fn a_payload_counts_only_as_the_kind_that_envelope_and_payload_name() {
    for e in examples() {
        let v = e.value();
        for other in Kind::ALL.into_iter().filter(|k| *k != e.kind) {
            // The payload calls itself another kind.
            let renamed = with(&v, "/kind", json!(other.name())).to_string();
            assert_eq!(
                decoded(&e, renamed.as_bytes()),
                Err(EnvelopeError::KindMismatch(e.kind)),
                "{} as {other}",
                e.name
            );
            // The envelope calls it another kind, correctly signed.
            let envelope = signed_by_hand(other, &e.payload, &ed25519(1));
            let wrong = Err(EnvelopeError::WrongKind { expected: e.kind, found: other });
            assert_eq!((e.decode)(&envelope), wrong, "{} in an envelope of {other}", e.name);
        }
        assert_malformed(&e, &with(&v, "/kind", json!("master-key")).to_string(), "unknown kind");
        assert_malformed(&e, &with(&v, "/kind", json!(e.kind.name().to_uppercase())).to_string(), "upper-case kind");
    }
}

#[test]
fn no_kind_decodes_as_another_even_under_its_payload_type() {
    let all = examples();
    for e in &all[..Kind::ALL.len()] {
        for other in all[..Kind::ALL.len()].iter().filter(|o| o.kind != e.kind) {
            let envelope = signed_by_hand(other.kind, &e.payload, &ed25519(1));
            let refused = matches!(
                (other.decode)(&envelope),
                Err(EnvelopeError::Payload { .. } | EnvelopeError::KindMismatch(_))
            );
            assert!(refused, "{} decodes as {}", e.name, other.name);
        }
    }
}

#[test]
fn payload_types_other_than_ours_are_refused() {
    let e = decision();
    let payload = serde_json::to_vec(&e).unwrap();
    let types = [
        "",
        "application/json",
        "application/vnd.escrow.decision.v2+json",
        "application/vnd.escrow.decision.v1",
        "application/vnd.escrow.decision.v1+json ",
        " application/vnd.escrow.decision.v1+json",
        "application/vnd.escrow.Decision.v1+json",
        "Application/vnd.escrow.decision.v1+json",
        "application/vnd.escrow.decision.v1+json; charset=utf-8",
        "application/vnd.escrow..v1+json",
        "application/vnd.escrow.master-key.v1+json",
        "application/vnd.in-toto+json",
    ];
    for payload_type in types {
        let key = ed25519(1);
        let sig = key.sign(&pae(payload_type, &payload));
        let bytes = raw_envelope(payload_type, &payload, &[(key.public().id(), sig)]);
        assert_eq!(Envelope::parse(&bytes), Err(EnvelopeError::UnknownType(payload_type.to_owned())));
    }
}

#[test]
fn the_payload_type_is_under_the_signature() {
    let key = ed25519(1);
    let payload = serde_json::to_vec(&decision()).unwrap();
    let sig = key.sign(&pae(&Kind::Decision.payload_type(), &payload));
    for kind in Kind::ALL {
        let bytes = raw_envelope(&kind.payload_type(), &payload, &[(key.public().id(), sig.clone())]);
        let signers = Envelope::parse(&bytes).unwrap().signers(knows(&[&key]));
        if kind == Kind::Decision {
            assert_eq!(signers, Ok(vec![key.public()]));
        } else {
            assert_eq!(signers, Err(EnvelopeError::BadSignature(key.public().id())), "{kind}");
        }
    }
}

// ---- rules of the kinds ----

/// Breaks one rule of a valid statement: neither do we sign it, nor do we take it signed.
fn broken<T: Statement>(mut statement: T, change: impl FnOnce(&mut T), rule: &'static str) -> (Kind, &'static str) {
    change(&mut statement);
    let invalid = || EnvelopeError::Invalid { kind: T::KIND, rule: rule.to_owned() };
    assert_eq!(Envelope::sign(&statement, &[&ed25519(1)]), Err(invalid()), "{rule}");
    let hostile = signed_by_hand(T::KIND, &serde_json::to_vec(&statement).unwrap(), &ed25519(1));
    assert_eq!(hostile.decode::<T>().map(drop), Err(invalid()), "{rule}");
    (T::KIND, rule)
}

/// [`broken`] for the selection of a request.
fn unfit(change: impl FnOnce(&mut Selection), rule: &'static str) -> (Kind, &'static str) {
    broken(selected_request(), |r| change(r.selection.as_mut().unwrap()), rule)
}

/// [`broken`] for a question for items of custodians.
fn items_of(change: impl FnOnce(&mut CustodianScope), rule: &'static str) -> (Kind, &'static str) {
    broken(
        custodian_query(),
        |q| {
            let Question::ItemsOf(of) = &mut q.what else { panic!("{:?}", q.what) };
            change(of);
        },
        rule,
    )
}

fn many_tokens(count: u32) -> Vec<Token> {
    many_digests(count).into_iter().map(|d| Token { version: 1, mac: d.0 }).collect()
}

fn devices(count: u16) -> Vec<Device> {
    (0..count)
        .map(|i| {
            let mut seed = [1u8; 32];
            seed[..2].copy_from_slice(&i.to_be_bytes());
            let key = SigningKey::from_line(&format!("ed25519-private:{}", b64(&seed))).unwrap().public();
            Device { subject: subject("alice"), key, sealing: sealing_key(1) }
        })
        .collect()
}

fn many_digests(count: u32) -> Vec<Digest> {
    (0..count)
        .map(|i| {
            let mut bytes = [0u8; 32];
            bytes[..4].copy_from_slice(&i.to_be_bytes());
            Digest(bytes)
        })
        .collect()
}

fn exported(requests: Vec<Digest>) -> Question {
    Question::Exported(Exported { bundle: Digest([3; 32]), export: Nonce::random(), requests })
}

#[test]
fn a_statement_that_breaks_a_rule_of_its_kind_is_neither_signed_nor_taken() {
    let lacking = || vec![Lacking { what: w("waited_seconds"), have: 0, need: 1 }];
    let items = "items: at least one, sorted, no duplicates";
    let threads = "threads: at least one, sorted, no duplicates";
    let outside = "asks for messages outside the scope's time";
    let purposes = "purposes: at least one, sorted, no duplicates";
    let sorted_policies = "policies sorted by id, no duplicates";
    let floor = "node-set floor: 2 <= t <= n";
    let authority = "an authority goes with every basis but consent";
    let chain = "only the opening statement has no predecessor";
    let reasons = "reasons go with refusal";
    let waiting = "what is lacking goes with pending";
    let count = "1 to 1000 entries an answer";
    let types = "record.pii_types: at least one, sorted, no duplicates";
    let locations = "record.storage_locations: at least one, sorted, no duplicates";
    let recipients = "record.recipients: at least one, sorted, no duplicates";
    let whole = "about a request the whole log counts";
    let backwards = "covers positions that end before they begin";
    let table = [
        broken(charter(), |c| c.version = 0, "version starts at 1"),
        broken(charter(), |c| c.version = 1, "only version 1 has no previous version"),
        broken(charter(), |c| c.previous = None, "only version 1 has no previous version"),
        broken(enrolment(), |e| e.devices.clear(), "no device"),
        broken(enrolment(), |e| e.devices = devices(257), "too many devices in one statement"),
        broken(enrolment(), |e| e.until = e.from, "ends before it begins"),
        broken(enrolment(), |e| e.until = at(-1), "ends before it begins"),
        broken(enrolment(), |e| e.devices[1].key = e.devices[0].key.clone(), "one device key twice"),
        broken(
            enrolment(),
            |e| e.devices[0].key = w("sshsig:AAAAC3NzaC1lZDI1NTE5AAAAIFaBDWsjQ9WKWb7FQcr3L37t8F3PDlMZNk4Z4TPgXu0v"),
            "the method sshsig is for people, not for devices",
        ),
        broken(notification(), |n| n.matter = None, "a matter goes with a request"),
        broken(notification(), |n| n.event = NotificationEvent::RecoveryWaits, "a matter goes with a request"),
        broken(consent(), |c| c.to = c.from, "covers no time"),
        broken(consent(), |c| c.epochs = Some(Epochs { first: 5, last: 4 }), "covers no epoch"),
        broken(consent(), |c| c.purposes.clear(), purposes),
        broken(consent(), |c| c.purposes.reverse(), purposes),
        broken(consent(), |c| c.purposes = codes(&["a", "a"]), purposes),
        broken(consent(), |c| c.policies.clear(), "policies: 1 to 16"),
        broken(consent(), |c| c.policies = vec![c.policies[0].clone(); 17], "policies: 1 to 16"),
        broken(consent(), |c| c.policies.reverse(), sorted_policies),
        broken(consent(), |c| c.policies[1].id = c.policies[0].id.clone(), sorted_policies),
        broken(consent(), |c| c.floor = Floor { t: 1, n: 5 }, floor),
        broken(consent(), |c| c.floor = Floor { t: 0, n: 0 }, floor),
        broken(consent(), |c| c.floor = Floor { t: 3, n: 2 }, floor),
        broken(consent(), |c| c.retention_days = 0, "retention of zero days"),
        broken(consent(), |c| c.authority = None, authority),
        broken(consent(), |c| c.basis = Basis::Consent, authority),
        broken(consent(), |c| c.coverage = Coverage::Threads(Vec::new()), threads),
        broken(consent(), |c| c.coverage = Coverage::Threads(vec![thread("a"), thread("a")]), threads),
        broken(consent(), |c| c.record.pii_types.clear(), types),
        broken(consent(), |c| c.record.pii_types = codes(&["b", "a"]), types),
        broken(consent(), |c| c.record.pii_types = codes(&["a", "a"]), types),
        broken(consent(), |c| c.record.storage_locations.clear(), locations),
        broken(consent(), |c| c.record.storage_locations = codes(&["b", "a"]), locations),
        broken(consent(), |c| c.record.storage_locations = codes(&["a", "a"]), locations),
        broken(consent(), |c| c.record.recipients.clear(), recipients),
        broken(consent(), |c| c.record.recipients = codes(&["b", "a"]), recipients),
        broken(consent(), |c| c.record.recipients = codes(&["a", "a"]), recipients),
        broken(consent(), |c| c.record.controllers.clear(), "record.controllers: at least one"),
        broken(
            consent(),
            |c| c.record.event_state = w("withdrawn"),
            "record.event_state is given; a withdrawal is a statement of its own",
        ),
        broken(deposit(), |x| x.blobs.truncate(1), "at least two seats"),
        broken(deposit(), |x| x.blobs.clear(), "at least two seats"),
        broken(deposit(), |x| x.blobs.swap(0, 1), "seats ascending, no duplicates"),
        broken(deposit(), |x| x.blobs[1] = SeatBlob { seat: seat(1), sha256: d(9) }, "seats ascending, no duplicates"),
        broken(matter(), |m| m.previous = None, chain),
        broken(matter(), |m| m.action = MatterAction::Open, chain),
        broken(request(), |r| r.items.clear(), items),
        broken(request(), |r| r.items.reverse(), items),
        broken(request(), |r| r.items[1] = r.items[0], items),
        broken(
            request(),
            |r| {
                r.items = many_digests(10_001);
                r.counts.items = 10_001;
            },
            "too many items",
        ),
        broken(request(), |r| r.scope.threads.clear(), threads),
        broken(request(), |r| r.scope.threads.reverse(), threads),
        broken(request(), |r| r.scope.to = r.scope.from, "covers no time"),
        broken(request(), |r| r.counts = Counts { items: 2, ..r.counts }, "counts.items differs from the items listed"),
        broken(
            request(),
            |r| r.counts = Counts { threads: 1, ..r.counts },
            "counts.threads differs from the threads listed",
        ),
        broken(request(), |r| r.expires = r.created, "expires before it is created"),
        broken(request(), |r| r.authority = None, "an authority reference is needed on this basis"),
        unfit(|s| s.custodians.reverse(), "custodians: sorted, no duplicates"),
        unfit(|s| s.custodians = many_tokens(1_001), "at most 1000 custodians"),
        unfit(|s| s.epochs = Some(Epochs { first: 5, last: 4 }), "covers no epoch"),
        unfit(|s| s.to = s.from, "asks for no time"),
        unfit(|s| s.from = at(-1), outside),
        unfit(|s| s.to = at(3_601), outside),
        unfit(|s| s.context.hours = 8_785, "context: at most 8784 hours"),
        unfit(|s| s.context.messages = 10_001, "context: at most 10000 messages"),
        broken(self_recovery(), |r| r.items.clear(), items),
        broken(self_recovery(), |r| r.items.reverse(), items),
        broken(self_recovery(), |r| r.items[1] = r.items[0], items),
        broken(self_recovery(), |r| r.items = many_digests(10_001), "too many items"),
        broken(self_recovery(), |r| r.expires = r.created, "expires before it is created"),
        broken(permit(), |v| v.valid_until = at(99), "ends before it is decided"),
        broken(permit(), |v| v.reasons = codes(&["x"]), reasons),
        broken(refusal(), |v| v.reasons.clear(), reasons),
        broken(permit(), |v| v.lacking = lacking(), waiting),
        broken(pending(), |v| v.lacking.clear(), waiting),
        broken(refusal(), |v| v.outcome = Outcome::Permit, reasons),
        broken(release(), |r| r.items.clear(), items),
        broken(release(), |r| r.items.reverse(), items),
        broken(release(), |r| r.attempt = 0, "attempts start at 1"),
        broken(restriction_answer(), |a| a.consents.reverse(), "consents sorted, no duplicates"),
        broken(restriction_answer(), |a| a.consents[1] = a.consents[0], "consents sorted, no duplicates"),
        broken(restriction_answer(), |a| a.revocable.reverse(), "revocable sorted, no duplicates"),
        broken(restriction_answer(), |a| a.revocable[1] = a.revocable[0].clone(), "revocable sorted, no duplicates"),
        broken(restriction_answer(), |a| a.restrictions.reverse(), "restrictions sorted, no duplicates"),
        broken(restriction_answer(), |a| a.restrictions[1] = a.restrictions[0], "restrictions sorted, no duplicates"),
        broken(answer_about_all(), |a| a.upto = 6, backwards),
        broken(restriction_answer(), |a| a.after = 1, whole),
        broken(
            entries_query(),
            |q| q.what = Question::Preview(Box::new(Request { kind: Kind::Cancellation, ..request() })),
            "what is tried out is a request",
        ),
        broken(
            entries_query(),
            |q| q.what = Question::Entries(EntryRange { log: 0, from: 0, count: 1 }),
            "logs are numbered from 1",
        ),
        broken(
            entries_query(),
            |q| q.what = exported(vec![Digest([2; 32]), Digest([1; 32])]),
            "requests sorted, no duplicates",
        ),
        broken(entries_query(), |q| q.what = exported(vec![Digest([1; 32]); 2]), "requests sorted, no duplicates"),
        broken(
            entries_query(),
            |q| q.what = exported(many_digests(10_001)),
            "at most 10000 requests; none stands for all",
        ),
        broken(entries_query(), |q| q.what = Question::Entries(EntryRange { log: 1, from: 0, count: 0 }), count),
        broken(entries_query(), |q| q.what = Question::Entries(EntryRange { log: 1, from: 0, count: 1001 }), count),
        broken(
            entries_query(),
            |q| q.what = Question::Items(Scope { threads: vec![], from: at(1), to: at(2) }),
            "threads: at least one, sorted, no duplicates",
        ),
        broken(
            entries_query(),
            |q| q.what = Question::Items(Scope { to: request().scope.from, ..request().scope }),
            "covers no time",
        ),
        items_of(|o| o.to = o.from, "covers no time"),
        items_of(|o| o.custodians.clear(), "custodians: at least one, sorted, no duplicates"),
        items_of(|o| o.custodians.reverse(), "custodians: at least one, sorted, no duplicates"),
        items_of(|o| o.custodians = many_tokens(1_001), "at most 1000 custodians"),
    ];
    // The table is complete: the source has no rule that is not broken above.
    let tested: BTreeSet<(String, String)> =
        table.iter().map(|(k, r)| (k.name().to_owned(), (*r).to_owned())).collect();
    assert_eq!(tested, rules_in_the_source());
}

#[test]
fn a_request_that_breaks_a_rule_is_not_tried_out_either() {
    let whole = query(Question::Preview(Box::new(request())));
    assert!(Envelope::sign(&whole, &[&ed25519(1)]).unwrap().decode::<Query>().is_ok());
    let items = "items: at least one, sorted, no duplicates";
    let counts = Counts { items: 2, ..request().counts };
    for (request, rule) in [
        (Request { items: vec![], ..request() }, items),
        (Request { counts, ..request() }, "counts.items differs from the items listed"),
        (Request { expires: at(50), ..request() }, "expires before it is created"),
        (Request { authority: None, ..request() }, "an authority reference is needed on this basis"),
    ] {
        let bad = query(Question::Preview(Box::new(request)));
        let expected = || EnvelopeError::Invalid { kind: Kind::Query, rule: rule.to_owned() };
        assert_eq!(Envelope::sign(&bad, &[&ed25519(1)]), Err(expected()));
        let hostile = signed_by_hand(Kind::Query, &serde_json::to_vec(&bad).unwrap(), &ed25519(1));
        assert_eq!(hostile.decode::<Query>().map(drop), Err(expected()));
    }
}

/// Kind and text of every `rule(...)` in the sources of the statements. Conditions hold no text,
/// so the first literal after the word is the rule's.
fn rules_in_the_source() -> BTreeSet<(String, String)> {
    let mut rules = BTreeSet::new();
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        // One block for each `statement!(Type, Kind, ...)`, up to the next.
        for block in text.split("\nstatement!(").skip(1) {
            let variant = block.split(',').nth(1).unwrap().trim();
            let kind = Kind::ALL.into_iter().find(|k| format!("{k:?}") == variant).unwrap();
            for call in block.split("rule(").skip(1) {
                rules.insert((kind.name().to_owned(), call.split('"').nth(1).unwrap().to_owned()));
            }
        }
    }
    rules
}

#[test]
fn statements_at_the_edge_of_a_rule_are_taken() {
    fn taken<T: Statement>(mut statement: T, change: impl FnOnce(&mut T)) {
        change(&mut statement);
        let envelope = Envelope::sign(&statement, &[&ed25519(1)]).unwrap();
        assert!(envelope.decode::<T>().is_ok());
    }
    taken(charter(), |c| {
        c.version = 1;
        c.previous = None;
    });
    taken(enrolment(), |e| e.devices = devices(256));
    taken(consent(), |c| c.floor = Floor { t: 2, n: 2 });
    taken(consent(), |c| c.epochs = Some(Epochs { first: 4, last: 4 }));
    taken(matter(), |m| {
        m.action = MatterAction::Open;
        m.previous = None;
    });
    taken(request(), |r| {
        r.items = many_digests(10_000);
        r.counts.items = 10_000;
    });
    taken(request(), |r| r.basis = Basis::Consent);
    taken(selected_request(), |r| {
        let s = r.selection.as_mut().unwrap();
        (s.from, s.to, s.custodians) = (r.scope.from, r.scope.to, many_tokens(1_000));
        s.context = ContextAsked { hours: 8_784, messages: 10_000 };
    });
    taken(selected_request(), |r| {
        let s = r.selection.as_mut().unwrap();
        (s.epochs, s.custodians) = (None, vec![]);
    });
    taken(self_recovery(), |r| r.items = many_digests(10_000));
    taken(self_recovery(), |r| r.expires = r.created.plus_seconds(1));
    taken(answer_about_all(), |a| a.upto = a.after);
    taken(restriction_answer(), |a| a.restrictions.clear());
    taken(restriction_answer(), |a| a.consents.clear());
    taken(restriction_answer(), |a| a.revocable.clear());
    taken(permit(), |v| v.valid_until = v.decided);
    for count in [1, 1000] {
        taken(entries_query(), |q| q.what = Question::Entries(EntryRange { log: 1, from: 0, count }));
    }
}

// ---- envelopes ----

fn signed(payload: &[u8], keys: &[&SigningKey]) -> Vec<(String, Vec<u8>)> {
    let message = pae(&Kind::Decision.payload_type(), payload);
    keys.iter().map(|k| (k.public().id(), k.sign(&message))).collect()
}

fn envelope_of(payload: &[u8], signatures: &[(String, Vec<u8>)]) -> Result<Envelope, EnvelopeError> {
    Envelope::parse(&raw_envelope(&Kind::Decision.payload_type(), payload, signatures))
}

fn decision_payload() -> Vec<u8> {
    serde_json::to_vec(&decision()).unwrap()
}

#[test]
fn one_to_32_signatures() {
    let payload = decision_payload();
    let keys: Vec<SigningKey> = (1..=33).map(ed25519).collect();
    let keys: Vec<&SigningKey> = keys.iter().collect();
    assert_eq!(envelope_of(&payload, &[]), Err(EnvelopeError::SignatureCount));
    assert_eq!(envelope_of(&payload, &signed(&payload, &keys)), Err(EnvelopeError::SignatureCount));
    let full = envelope_of(&payload, &signed(&payload, &keys[..32])).unwrap();
    assert_eq!(full.signers(knows(&keys)).unwrap().len(), 32);
    assert_eq!(full.key_ids().count(), 32);
    assert_eq!(full.countersign(keys[32]), Err(EnvelopeError::SignatureCount));
    assert_eq!(Envelope::sign(&decision(), &[]), Err(EnvelopeError::SignatureCount));
}

#[test]
fn every_signature_must_be_of_a_known_key_good_and_the_only_one_of_its_key() {
    let payload = decision_payload();
    let message = pae(&Kind::Decision.payload_type(), &payload);
    let (a, b, c) = (ed25519(1), es256(2), ed25519(3));
    let (ida, idb, idc) = (a.public().id(), b.public().id(), c.public().id());
    let sig = |k: &SigningKey| k.sign(&message);
    let bad = |id: &String| Err(EnvelopeError::BadSignature(id.clone()));
    let unknown = |id: &String| Err(EnvelopeError::UnknownSigner(id.clone()));
    let twice = |id: &String| Err(EnvelopeError::SignedTwice(id.clone()));
    let of = |list: &[(&String, Vec<u8>)]| list.iter().map(|(id, s)| ((*id).clone(), s.clone())).collect::<Vec<_>>();
    type Case = (&'static str, Vec<(String, Vec<u8>)>, Result<Vec<PublicKey>, EnvelopeError>);
    let table: Vec<Case> = vec![
        ("one of each method", of(&[(&ida, sig(&a)), (&idb, sig(&b))]), Ok(vec![a.public(), b.public()])),
        ("an unknown key", of(&[(&idc, sig(&c))]), unknown(&idc)),
        ("an unknown key beside a known one", of(&[(&ida, sig(&a)), (&idc, sig(&c))]), unknown(&idc)),
        ("no hint", of(&[(&String::new(), sig(&a))]), unknown(&String::new())),
        ("upper-case hint", of(&[(&ida.to_uppercase(), sig(&a))]), unknown(&ida.to_uppercase())),
        ("another key's signature under a known hint", of(&[(&ida, sig(&c))]), bad(&ida)),
        ("hints exchanged", of(&[(&idb, sig(&a)), (&ida, sig(&b))]), bad(&idb)),
        ("one good and one bad", of(&[(&ida, sig(&a)), (&idb, sig(&a))]), bad(&idb)),
        ("no signature bytes", of(&[(&ida, Vec::new())]), bad(&ida)),
        ("over the payload alone", of(&[(&ida, a.sign(&payload))]), bad(&ida)),
        ("over its digest", of(&[(&ida, a.sign(&Digest::of(&payload).0))]), bad(&ida)),
        ("over another kind", of(&[(&ida, a.sign(&pae(&Kind::View.payload_type(), &payload)))]), bad(&ida)),
        ("one key twice", of(&[(&ida, sig(&a)), (&ida, sig(&a))]), twice(&ida)),
        ("one key twice, es256", of(&[(&idb, sig(&b)), (&ida, sig(&a)), (&idb, sig(&b))]), twice(&idb)),
    ];
    for (name, signatures, expected) in table {
        let envelope = envelope_of(&payload, &signatures).unwrap();
        assert_eq!(envelope.signers(knows(&[&a, &b])), expected, "{name}");
    }
    // Two hints that both lead to one key are still one key.
    let envelope = envelope_of(&payload, &of(&[(&ida, sig(&a)), (&idb, sig(&a))])).unwrap();
    let whatever_the_hint = |_: &String| vec![b.public(), a.public()];
    assert_eq!(envelope.signers(whatever_the_hint), twice(&idb));
    // A hint shared by two keys chooses nothing: the key that verifies counts.
    let envelope = envelope_of(&payload, &of(&[(&ida, sig(&a))])).unwrap();
    assert_eq!(envelope.signers(whatever_the_hint), Ok(vec![a.public()]));
}

#[test]
fn every_flipped_bit_of_a_signature_of_either_method_is_refused() {
    let payload = decision_payload();
    for key in [ed25519(1), es256(2)] {
        let id = key.public().id();
        let good = key.sign(&pae(&Kind::Decision.payload_type(), &payload));
        let signers = |sig: Vec<u8>| envelope_of(&payload, &[(id.clone(), sig)]).unwrap().signers(knows(&[&key]));
        assert_eq!(signers(good.clone()), Ok(vec![key.public()]));
        let bad = Err(EnvelopeError::BadSignature(id.clone()));
        for byte in 0..64 {
            for bit in [0x01u8, 0x80] {
                let mut sig = good.clone();
                sig[byte] ^= bit;
                assert_eq!(signers(sig), bad, "{id} byte {byte}");
            }
        }
        assert_eq!(signers(good[..63].to_vec()), bad, "{id} cut");
        assert_eq!(signers([&good[..], &[0]].concat()), bad, "{id} longer");
        assert_eq!(signers(vec![0; 64]), bad, "{id} zeros");
    }
}

#[test]
fn an_es256_signature_with_high_s_or_in_der_is_refused() {
    let payload = decision_payload();
    let message = pae(&Kind::Decision.payload_type(), &payload);
    let key = es256(2);
    let low = p256::ecdsa::Signature::from_slice(&key.sign(&message)).unwrap();
    let high = p256::ecdsa::Signature::from_scalars(low.r(), -*low.s()).unwrap();
    // The twin is a valid signature for everybody else.
    let SigningKey::Es256(inner) = &key else { panic!("es256") };
    p256::ecdsa::signature::Verifier::verify(inner.verifying_key(), &message, &high).unwrap();
    let id = key.public().id();
    for sig in [high.to_bytes().to_vec(), low.to_der().as_bytes().to_vec()] {
        let envelope = envelope_of(&payload, &[(id.clone(), sig)]).unwrap();
        assert_eq!(envelope.signers(knows(&[&key])), Err(EnvelopeError::BadSignature(id.clone())));
    }
}

#[test]
fn countersigning_keeps_the_payload_and_refuses_a_second_signature_of_one_key() {
    let (a, b) = (ed25519(1), es256(2));
    let first = Envelope::sign(&charter(), &[&a]).unwrap();
    let both = first.countersign(&b).unwrap();
    assert_eq!(both.payload(), first.payload());
    assert_eq!(both.digest(), first.digest());
    assert_ne!(both.envelope_digest(), first.envelope_digest());
    assert_eq!(both.signers(knows(&[&a, &b])), Ok(vec![a.public(), b.public()]));
    assert_eq!(both.countersign(&a), Err(EnvelopeError::SignedTwice(a.public().id())));
    assert_eq!(both.countersign(&b), Err(EnvelopeError::SignedTwice(b.public().id())));
}

#[test]
fn whitespace_may_change_around_the_payload_and_never_within() {
    let key = ed25519(1);
    let envelope = Envelope::sign(&decision(), &[&key]).unwrap();
    let value: Value = serde_json::from_slice(envelope.bytes()).unwrap();
    let compact = String::from_utf8(envelope.bytes().to_vec()).unwrap();
    let reordered = format!(
        "{{\"signatures\":{},\"payloadType\":{},\"payload\":{}}}",
        value["signatures"], value["payloadType"], value["payload"]
    );
    for text in [
        serde_json::to_string_pretty(&value).unwrap(),
        format!(" \t\r\n{compact}"),
        format!("{compact}\n"),
        compact.replace("\"payload\":", "\"payload\" : "),
        compact.replace("\"payload\":", "\"\\u0070ayload\":"),
        reordered,
    ] {
        let other = Envelope::parse(text.as_bytes()).unwrap();
        assert_eq!(other.digest(), envelope.digest());
        assert_ne!(other.envelope_digest(), envelope.envelope_digest(), "{text}");
        assert_eq!(other.bytes(), text.as_bytes());
        assert_eq!(other.signers(knows(&[&key])), Ok(vec![key.public()]));
    }
    // Within: the same statement in other bytes is another one, good only if those were signed.
    let payload: Value = serde_json::from_slice(envelope.payload()).unwrap();
    let inner = String::from_utf8(envelope.payload().to_vec()).unwrap();
    for text in [
        serde_json::to_string_pretty(&payload).unwrap(),
        format!("{inner}\n"),
        format!(" {inner}"),
        // Members in another order, whatever order this build of serde_json keeps.
        serde_json::to_string(&payload.as_object().unwrap().iter().collect::<std::collections::BTreeMap<_, _>>())
            .unwrap(),
    ] {
        assert_ne!(text, inner);
        let stolen = with(&value, "/payload", json!(b64(text.as_bytes())));
        let stolen = Envelope::parse(stolen.to_string().as_bytes()).unwrap();
        assert_eq!(stolen.signers(knows(&[&key])), Err(EnvelopeError::BadSignature(key.public().id())));
        assert_ne!(stolen.digest(), envelope.digest());

        let own = signed_by_hand(Kind::Decision, text.as_bytes(), &key);
        assert_eq!(own.signers(knows(&[&key])), Ok(vec![key.public()]));
        assert_eq!(own.decode(), Ok(decision()));
        assert_eq!(own.digest(), Digest::of(text.as_bytes()), "the bytes that were signed are the name");
    }
}

#[test]
fn malformed_envelopes_are_refused() {
    let envelope = Envelope::sign(&decision(), &[&ed25519(1)]).unwrap();
    let text = String::from_utf8(envelope.bytes().to_vec()).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    let payload = value["payload"].as_str().unwrap();
    let sig = value["signatures"][0]["sig"].as_str().unwrap();
    assert!(sig.ends_with("=="), "64 bytes end in two pads");
    let mut cases = vec![
        ("nothing", String::new()),
        ("trailing byte", format!("{text}x")),
        ("trailing NUL", format!("{text}\0")),
        ("two envelopes", format!("{text}{text}")),
        ("byte order mark", format!("\u{feff}{text}")),
        ("in a list", format!("[{text}]")),
        ("positional", json!([value["payload"], value["payloadType"], value["signatures"]]).to_string()),
        (
            "positional signature",
            with(&value, "/signatures/0", json!([value["signatures"][0]["keyid"], value["signatures"][0]["sig"]]))
                .to_string(),
        ),
        ("base64 without padding", with(&value, "/signatures/0/sig", json!(sig.trim_end_matches('='))).to_string()),
        ("base64 with a line break", with(&value, "/payload", json!(format!("{payload}\n"))).to_string()),
        ("base64 of the other alphabet", with(&value, "/payload", json!("_-__")).to_string()),
        ("base64 with loose bits", with(&value, "/signatures/0/sig", json!("AB==")).to_string()),
        ("signature not in a list", with(&value, "/signatures", value["signatures"][0].clone()).to_string()),
        ("payload as JSON", with_text(&value, "/payload", std::str::from_utf8(envelope.payload()).unwrap())),
    ];
    for (at, members) in objects(&value) {
        for member in members {
            let mut less = value.clone();
            less.pointer_mut(&at).unwrap().as_object_mut().unwrap().remove(&member);
            cases.push(("a member missing", less.to_string()));
            cases.push(("a member twice", with_member_twice(&value, &at, &member)));
            cases.push(("a member null", with(&value, &format!("{at}/{member}"), Value::Null).to_string()));
        }
        let mut more = value.clone();
        more.pointer_mut(&at).unwrap().as_object_mut().unwrap().insert("cert".to_owned(), json!(""));
        cases.push(("an unknown member", more.to_string()));
    }
    assert_eq!(cases.len(), 14 + 5 * 3 + 2);
    for (name, text) in cases {
        let parsed = Envelope::parse(text.as_bytes());
        assert!(matches!(parsed, Err(EnvelopeError::Envelope(StrictError::Profile(_)))), "{name}: {parsed:?}");
    }
    let long = vec![b' '; limits::ENVELOPE_MAX + 1];
    let too_long = StrictError::TooLong { size: long.len(), max: limits::ENVELOPE_MAX };
    assert_eq!(Envelope::parse(&long), Err(EnvelopeError::Envelope(too_long)));
}

#[test]
fn keys_of_both_methods_have_one_encoding() {
    let es = es256(2).public();
    let raw = es.raw();
    let compressed = p256::PublicKey::from_sec1_bytes(&raw).unwrap();
    let compressed = p256::elliptic_curve::sec1::ToSec1Point::to_sec1_point(&compressed, true);
    let mut hybrid = raw.clone();
    hybrid[0] = 6 + (raw[64] & 1);
    let mut off_curve = raw.clone();
    off_curve[64] ^= 1;
    let good = ed25519(1).public().to_string();
    let mut ed_twin = [0xff; 32]; // y = p + 1, a second spelling of y = 1
    ed_twin[0] = 0xee;
    ed_twin[31] = 0x7f;
    let mut not_a_point = [0u8; 32];
    not_a_point[0] = 2; // y = 2 has no x on the curve
    let table = [
        ("compressed", format!("es256:{}", b64(compressed.as_bytes()))),
        ("hybrid", format!("es256:{}", b64(&hybrid))),
        ("off the curve", format!("es256:{}", b64(&off_curve))),
        ("point at infinity", format!("es256:{}", b64(&[0]))),
        ("zeros", format!("es256:{}", b64(&[0; 65]))),
        ("x and y without a tag", format!("es256:{}", b64(&raw[1..]))),
        ("31 bytes", format!("ed25519:{}", b64(&[1; 31]))),
        ("small order", format!("ed25519:{}", b64(&[0; 32]))),
        ("not canonical", format!("ed25519:{}", b64(&ed_twin))),
        ("not a point", format!("ed25519:{}", b64(&not_a_point))),
        ("no padding", good.trim_end_matches('=').to_owned()),
        ("trailing space", format!("{good} ")),
        ("unknown method", good.replace("ed25519", "ed448")),
        ("upper-case method", good.replace("ed25519", "Ed25519")),
        ("no method", good.replace("ed25519:", "")),
        ("es256 bytes as ed25519", format!("ed25519:{}", b64(&raw))),
    ];
    for (name, text) in table {
        assert!(text.parse::<PublicKey>().is_err(), "{name}");
        assert!(serde_json::from_value::<PublicKey>(json!(text)).is_err(), "{name}");
    }
    assert_eq!(good.parse::<PublicKey>(), Ok(ed25519(1).public()));
    assert_eq!(es.to_string().parse::<PublicKey>(), Ok(es));
}
