//! How systems like ours have failed: each failure of rules R1, R2, R5 and R6 that sharing, keys,
//! labels and envelopes can meet, with its test. Every test first shows that the unmodified thing
//! is accepted. What needs the gate is in `policy/tests/failures.rs`, what needs a node in
//! `escrow-node/tests/failures.rs`.
//!
//! | failure | seen in | tests |
//! |---|---|---|
//! | zero, omitted or empty counts as enough | openbao#3666, mpcsec (empty vector) | `r1_*` |
//! | one key or seat counted twice; malleable signature | qos#779, openbao#3815, #3841, CVE-2025-54998 | `r2_*` |
//! | an id that binds nothing | MemWal#369 | `r5_*` |
//! | one field left out of a binding | cggmp21 2024-0393, zama#2379, seal#555, juicebox 866d9ba | `r6_*`, one for each field |
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test that panics has failed

mod common;

use common::{about, at, b64, d, ed25519, es256, examples, header, knows, nonce, raw_envelope, seat, thread_key, w};
use escrow_core::consent::PolicyRef;
use escrow_core::deal::{About, Deal, DealError, Dealer, Dealt, OpenedDeal, item_id};
use escrow_core::envelope::{EnvelopeError, pae};
use escrow_core::open::{OpenError, open_item};
use escrow_core::reply::{ReplyContext, ReplyError, open_reply, seal_reply};
use escrow_core::sealing::{self, SealError, SealingSecret, Suite};
use escrow_core::sharing::{Commitments, Secret, Share, SharingError, deal};
use escrow_core::wrap::{UnwrapError, unwrap, wrap};
use escrow_core::{Digest, Envelope, Kind, Statement, ThreadKey, Timestamp, Token};
use serde_json::{Value, json};
use std::collections::BTreeSet;

// ---- One of each binding --------------------------------------------------------------------

/// A deal of two items for 2 of 3 seats, and seat 1's reply about it.
struct World {
    keys: Vec<SealingSecret>,
    dealt: Dealt,
    deal: OpenedDeal,
    /// By seat, then by item.
    shares: Vec<Vec<Share>>,
    recipient: SealingSecret,
    context: ReplyContext,
    reply: Vec<u8>,
}

fn world() -> World {
    let keys: Vec<SealingSecret> = (0..3).map(|_| SealingSecret::generate(Suite::XWing)).collect();
    let seats: Vec<_> = (1..=3u8).zip(&keys).map(|(i, k)| (seat(i), k.public().clone())).collect();
    let items = [(about(7), thread_key(0x40)), (about(8), thread_key(0x41))];
    let dealt = Dealer { header: header(2, 3), seats: &seats }.deal(&items).unwrap();
    let deal = OpenedDeal::parse(&dealt.deal).unwrap();
    let opened = |((seat, blob), key): (&(_, Vec<u8>), &SealingSecret)| deal.verify_blob(*seat, key, blob).unwrap();
    let shares: Vec<Vec<Share>> = dealt.blobs.iter().zip(&keys).map(opened).collect();
    let recipient = SealingSecret::generate(Suite::XWing);
    let context = ReplyContext {
        genesis: d(1),
        request: d(2),
        seat: seat(1),
        generation: 1,
        recipient: recipient.public().digest(),
    };
    let reply = seal_reply(&context, recipient.public(), &shares[0]).unwrap();
    World { keys, dealt, deal, shares, recipient, context, reply }
}

impl World {
    fn open_reply(&self, context: &ReplyContext) -> Result<usize, ReplyError> {
        open_reply(context, &self.recipient, &self.reply, 2).map(|s| s.len())
    }

    /// Opens seat 1's blob as that of `seat` in `deal`.
    fn open_blob(&self, deal: &OpenedDeal, as_seat: u8) -> Result<usize, DealError> {
        deal.verify_blob(seat(as_seat), &self.keys[0], &self.dealt.blobs[0].1).map(|s| s.len())
    }
}

const NO_REPLY: Result<usize, ReplyError> = Err(ReplyError::Seal(SealError::DoesNotOpen));
const NO_BLOB: Result<usize, DealError> = Err(DealError::Blob(SealError::DoesNotOpen));

/// The reply opens in its context, and not with this one field of another.
#[track_caller]
fn bound_in_the_reply(change: impl Fn(&mut ReplyContext)) {
    let w = world();
    assert_eq!(w.open_reply(&w.context), Ok(2));
    let mut other = w.context.clone();
    change(&mut other);
    assert_ne!(other, w.context);
    assert_eq!(w.open_reply(&other), NO_REPLY);
}

/// A key that was wrapped in its context unwraps there, and not where this one field is another.
#[track_caller]
fn bound_in_the_wrap(change: impl Fn(&mut Deal, &mut About)) {
    let (secret, deal, about) = (Secret::random(), header(3, 5), about(7));
    let context = deal.item_context(2, &about);
    let (wrapped, check) = wrap(&secret, &deal.nonce, &context, &thread_key(0x4b));
    let open = |deal: &Deal, about: &About| {
        let context = deal.item_context(2, about);
        unwrap(&secret, &header(3, 5).nonce, &context, &check, &wrapped).map(|k| *k.expose())
    };
    assert_eq!(open(&deal, &about), Ok([0x4b; 32]));
    let (mut other, mut of) = (deal, about);
    change(&mut other, &mut of);
    assert_eq!(open(&other, &of), Err(UnwrapError::KeyCheck));
}

/// The deal's digest names share blobs and items: another word in the header, another deal.
#[track_caller]
fn bound_in_the_deal(change: impl Fn(&mut Deal)) {
    let w = world();
    let parse = |deal: &Deal| OpenedDeal::parse(&serde_json::to_vec(deal).unwrap()).unwrap();
    let same = parse(&w.deal.deal);
    assert_eq!((same.digest, w.open_blob(&same, 1)), (w.deal.digest, Ok(2)));
    let mut other = w.deal.deal.clone();
    change(&mut other);
    let other = parse(&other);
    assert_eq!(w.open_blob(&other, 1), NO_BLOB);
    assert!(other.item_ids().iter().all(|id| !w.deal.item_ids().contains(id)), "one id for two stories");
    let quorum: Vec<&Share> = w.shares.iter().take(2).map(|s| &s[0]).collect();
    assert!(open_item(&w.deal, 0, &quorum).is_ok());
    assert_eq!(open_item(&other, 0, &quorum).map(drop), Err(OpenError::Depositor(UnwrapError::KeyCheck)));
}

/// Every leaf below `v` with its JSON pointer.
fn leaves(v: &Value) -> Vec<(String, Value)> {
    let below: Vec<(String, &Value)> = match v {
        Value::Object(map) => map.iter().map(|(k, v)| (k.clone(), v)).collect(),
        Value::Array(list) => list.iter().enumerate().map(|(i, v)| (i.to_string(), v)).collect(),
        _ => return vec![(String::new(), v.clone())],
    };
    below
        .into_iter()
        .flat_map(|(name, v)| leaves(v).into_iter().map(move |(at, v)| (format!("/{name}{at}"), v)))
        .collect()
}

/// Another value of the same shape.
fn another(v: &Value) -> Value {
    match v {
        Value::Number(n) => json!(n.as_u64().unwrap() + 1),
        Value::String(s) if s.parse::<Timestamp>().is_ok() => json!(s.parse::<Timestamp>().unwrap().plus_seconds(1)),
        Value::String(s) if s.parse::<Digest>().is_ok() || s.parse::<Token>().is_ok() => {
            json!(format!("{}{}", &s[..s.len() - 1], if s.ends_with('0') { "1" } else { "0" }))
        }
        Value::String(s) => json!(format!("{s}x")),
        other => panic!("no other value for {other}"),
    }
}

/// In every kind that has the member, both methods' signatures break with it and the statement has
/// another name. `kinds` must be among those found, so that a member cannot vanish from a binding.
#[track_caller]
fn bound_in_the_statements(member: &str, kinds: &[Kind]) {
    let (a, b) = (ed25519(1), es256(2));
    let mut found = BTreeSet::new();
    for e in examples() {
        let signed = (e.sign)(&[&a, &b]);
        let json: Value = serde_json::from_slice(signed.bytes()).unwrap();
        for (at, value) in leaves(&e.value()) {
            let named = at.split('/').any(|s| s == member);
            if !named || value.is_null() || value.is_boolean() {
                continue;
            }
            let with = |value: Value| {
                let (mut payload, mut envelope) = (e.value(), json.clone());
                *payload.pointer_mut(&at).unwrap() = value;
                envelope["payload"] = json!(b64(payload.to_string().as_bytes()));
                for (i, key) in [&a, &b].into_iter().enumerate() {
                    let message = pae(&e.kind.payload_type(), e.value().to_string().as_bytes());
                    envelope["signatures"][i]["sig"] = json!(b64(&key.sign(&message)));
                }
                Envelope::parse(envelope.to_string().as_bytes()).unwrap()
            };
            let (good, other) = (with(value.clone()), with(another(&value)));
            assert_eq!(good.signers(knows(&[&a, &b])), Ok(vec![a.public(), b.public()]), "{} {at}", e.name);
            assert_ne!(good.digest(), other.digest(), "{} {at}", e.name);
            for key in [&a, &b] {
                let mut alone: Value = serde_json::from_slice(other.bytes()).unwrap();
                alone["signatures"].as_array_mut().unwrap().retain(|s| s["keyid"] == json!(key.public().id()));
                let alone = Envelope::parse(alone.to_string().as_bytes()).unwrap();
                let refused = Err(EnvelopeError::BadSignature(key.public().id()));
                assert_eq!(alone.signers(knows(&[key])), refused, "{} {at}", e.name);
            }
            found.insert(e.kind);
        }
    }
    for kind in kinds {
        assert!(found.contains(kind), "{kind} has no {member}");
    }
}

/// A labelled byte string, put together as `docs/protocol.md` says and without `label.rs`.
fn labelled(label: &str, fields: &[&[u8]]) -> Vec<u8> {
    let all = std::iter::once(label.as_bytes()).chain(fields.iter().copied());
    all.flat_map(|f| [&(f.len() as u64).to_be_bytes()[..], f].concat()).collect()
}

// ---- R1: nothing counts as enough -----------------------------------------------------------

#[test]
fn r1_no_share_no_commitment_and_no_seat_is_not_enough() {
    let w = world();
    let shares: Vec<&Share> = w.shares.iter().map(|s| &s[0]).collect();
    let commitments = w.deal.commitments(0).unwrap();
    assert!(commitments.combine(&shares[..2]).is_ok());
    for few in [0, 1] {
        assert_eq!(commitments.combine(&shares[..few]).map(drop), Err(SharingError::ShareCount), "{few}");
        let below = OpenError::BelowThreshold { have: few, need: 2, culprits: vec![] };
        assert_eq!(open_item(&w.deal, 0, &shares[..few]).map(drop), Err(below), "{few}");
    }
    assert!(Commitments::parse(&commitments.to_bytes(), 2).is_ok());
    assert_eq!(Commitments::parse(&[], 0), Err(SharingError::Threshold));
    assert_eq!(Commitments::parse(&[], 2), Err(SharingError::CommitmentCount));
    assert_eq!(Commitments::parse(&commitments.to_bytes()[..65], 1), Err(SharingError::Threshold));
    let secret = Secret::random();
    assert!(deal(&secret, 2, &[seat(1), seat(2)]).is_ok());
    for (t, seats) in [(0, vec![]), (0, vec![seat(1)]), (1, vec![seat(1)]), (2, vec![]), (2, vec![seat(1)])] {
        assert_eq!(deal(&secret, t, &seats).map(drop), Err(SharingError::Threshold), "{t} of {}", seats.len());
    }
    // An empty reply, and a reply to a request of nothing.
    let none = seal_reply(&w.context, w.recipient.public(), &[]).unwrap();
    assert_eq!(open_reply(&w.context, &w.recipient, &none, 2).map(drop), Err(ReplyError::Length(0)));
    assert_eq!(open_reply(&w.context, &w.recipient, &w.reply, 0).map(drop), Err(ReplyError::Length(128)));
}

#[test]
fn r1_an_envelope_without_signatures_has_no_signer() {
    let key = ed25519(1);
    let payload = serde_json::to_vec(&common::decision()).unwrap();
    let sig = key.sign(&pae(&Kind::Decision.payload_type(), &payload));
    let with =
        |list: &[(String, Vec<u8>)]| Envelope::parse(&raw_envelope(&Kind::Decision.payload_type(), &payload, list));
    let good = with(&[(key.public().id(), sig)]).unwrap();
    assert_eq!(good.signers(knows(&[&key])), Ok(vec![key.public()]));
    assert_eq!(with(&[]), Err(EnvelopeError::SignatureCount));
    assert_eq!(Envelope::sign(&common::decision(), &[]), Err(EnvelopeError::SignatureCount));
    // A lookup that knows nobody lets nobody through.
    assert_eq!(good.signers(|_| vec![]), Err(EnvelopeError::UnknownSigner(key.public().id())));
    let empty = with(&[(key.public().id(), vec![])]).unwrap();
    assert_eq!(empty.signers(knows(&[&key])), Err(EnvelopeError::BadSignature(key.public().id())));
}

// ---- R2: nobody counts twice ----------------------------------------------------------------

#[test]
fn r2_one_seat_counts_once_among_shares() {
    let w = world();
    let (one, two) = (&w.shares[0][0], &w.shares[1][0]);
    let commitments = w.deal.commitments(0).unwrap();
    assert!(commitments.combine(&[one, two]).is_ok() && open_item(&w.deal, 0, &[one, two]).is_ok());
    assert_eq!(commitments.combine(&[one, one]).map(drop), Err(SharingError::DuplicateSeat));
    // A copy of its own, and a share that calls itself another seat's.
    let copy = Share::from_bytes(seat(1), one.to_bytes().as_slice()).unwrap();
    assert_eq!(commitments.combine(&[one, &copy]).map(drop), Err(SharingError::DuplicateSeat));
    let below = OpenError::BelowThreshold { have: 1, need: 2, culprits: vec![] };
    assert_eq!(open_item(&w.deal, 0, &[one, &copy]).map(drop), Err(below));
    let renamed = Share::from_bytes(seat(2), one.to_bytes().as_slice()).unwrap();
    assert_eq!(commitments.combine(&[one, &renamed]).map(drop), Err(SharingError::Mismatch));
    assert_eq!(deal(&Secret::random(), 2, &[seat(1), seat(1)]).map(drop), Err(SharingError::DuplicateSeat));
}

#[test]
fn r2_one_key_counts_once_among_signatures() {
    for (key, other) in [(ed25519(1), es256(2)), (es256(2), ed25519(1))] {
        let payload = serde_json::to_vec(&common::decision()).unwrap();
        let by =
            |k: &escrow_core::SigningKey| (k.public().id(), k.sign(&pae(&Kind::Decision.payload_type(), &payload)));
        let signers = |list: &[(String, Vec<u8>)]| {
            let e = Envelope::parse(&raw_envelope(&Kind::Decision.payload_type(), &payload, list)).unwrap();
            e.signers(knows(&[&key, &other])).map(|s| s.len())
        };
        assert_eq!(signers(&[by(&key), by(&other)]), Ok(2));
        assert_eq!(signers(&[by(&key), by(&key)]), Err(EnvelopeError::SignedTwice(key.public().id())));
        // The same signature under the other's hint is not the other's.
        let borrowed = (other.public().id(), by(&key).1);
        assert_eq!(signers(&[by(&key), borrowed]), Err(EnvelopeError::BadSignature(other.public().id())));
        // Two hints that lead to one key.
        let e = raw_envelope(&Kind::Decision.payload_type(), &payload, &[by(&key), ("alias".to_owned(), by(&key).1)]);
        let found = Envelope::parse(&e).unwrap().signers(|_| vec![key.public()]);
        assert_eq!(found, Err(EnvelopeError::SignedTwice("alias".to_owned())));
    }
}

#[test]
fn r2_a_statement_is_named_by_its_payload_and_not_by_its_signatures() {
    let (a, b) = (ed25519(1), es256(2));
    for e in examples() {
        let one = (e.sign)(&[&a]);
        let (two, both) = ((e.sign)(&[&b]), one.countersign(&b).unwrap());
        assert_eq!((one.digest(), one.digest()), (two.digest(), both.digest()), "{}", e.name);
        assert_eq!(BTreeSet::from([one.envelope_digest(), two.envelope_digest(), both.envelope_digest()]).len(), 3);
    }
}

// ---- R5: an id that binds -------------------------------------------------------------------

#[test]
fn r5_an_item_id_binds_deal_and_position_and_a_share_opens_its_own_item_alone() {
    let w = world();
    let ids = w.deal.item_ids();
    assert_eq!(ids, [item_id(&w.deal.digest, 0), item_id(&w.deal.digest, 1)]);
    assert_ne!(ids[0], ids[1]);
    assert!(!ids.contains(&item_id(&d(9), 0)));
    let of = |item: usize| [&w.shares[0][item], &w.shares[1][item]];
    for item in [0, 1] {
        assert_eq!(open_item(&w.deal, item, &of(item)).unwrap().key.expose()[0], 0x40 + u8::try_from(item).unwrap());
        let culprits = vec![seat(1), seat(2)];
        let wrong = OpenError::BelowThreshold { have: 0, need: 2, culprits };
        assert_eq!(open_item(&w.deal, item, &of(1 - item)).map(drop), Err(wrong), "the other item's shares");
    }
    // Two items exchanged within the deal: the same words, the same shares, another position.
    let mut swapped = w.deal.deal.clone();
    swapped.items.swap(0, 1);
    let swapped = OpenedDeal::parse(&serde_json::to_vec(&swapped).unwrap()).unwrap();
    let opened = open_item(&swapped, 0, &of(1)).map(drop);
    assert_eq!(opened, Err(OpenError::Depositor(UnwrapError::KeyCheck)));
}

// ---- R6: one test for each field ------------------------------------------------------------

#[test]
fn r6_labels_are_distinct_and_of_this_version() {
    let source = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/label.rs")).unwrap();
    let labels: Vec<&str> =
        source.lines().filter(|l| l.trim().starts_with("pub const")).filter_map(|l| l.split('"').nth(1)).collect();
    assert!(labels.len() >= 16, "{labels:?}");
    assert!(labels.iter().all(|l| l.starts_with("escrow/v1/")), "{labels:?}");
    assert_eq!(labels.iter().collect::<BTreeSet<_>>().len(), labels.len());
    // With the same fields behind it, no label gives what another gives.
    let made: BTreeSet<Vec<u8>> = labels.iter().map(|l| escrow_core::label::Labelled::new(l).u64(1).finish()).collect();
    assert_eq!(made.len(), labels.len());
}

#[test]
fn r6_protocol_version_is_bound() {
    let x = world();
    // Share blob and reply: sealed by hand under this version's label, and under another's.
    let shares: Vec<u8> = x.shares[0].iter().flat_map(|s| s.to_bytes().to_vec()).collect();
    let one = 1u64.to_be_bytes();
    for (version, blob, reply) in [("v1", Ok(2), Ok(2)), ("v2", NO_BLOB, NO_REPLY), ("v0", NO_BLOB, NO_REPLY)] {
        let aad = labelled(&format!("escrow/{version}/shares"), &[&x.deal.digest.0, &one]);
        let sealed = sealing::seal(x.keys[0].public(), &aad, &shares).unwrap();
        let opened = x.deal.verify_blob(seat(1), &x.keys[0], &sealed).map(|s| s.len());
        assert_eq!(opened, blob, "{version}");
        let c = &x.context;
        let fields: [&[u8]; 5] = [&c.genesis.0, &c.request.0, &one, &one, &c.recipient.0];
        let aad = labelled(&format!("escrow/{version}/reply"), &fields);
        let sealed = sealing::seal(x.recipient.public(), &aad, &shares).unwrap();
        assert_eq!(open_reply(c, &x.recipient, &sealed, 2).map(|s| s.len()), reply, "{version}");
    }
    // Wrap: the context of another version.
    let (secret, head) = (Secret::random(), header(3, 5));
    let context = head.item_context(0, &about(7));
    let (wrapped, check) = wrap(&secret, &head.nonce, &context, &thread_key(1));
    let open = |context: &[u8]| unwrap(&secret, &head.nonce, context, &check, &wrapped).map(drop);
    let at = context.windows(2).position(|w| w == b"v1").unwrap();
    let mut other = context.clone();
    other[at + 1] = b'2';
    assert_eq!((open(&context), open(&other)), (Ok(()), Err(UnwrapError::KeyCheck)));
    // Statements: signed under another version's type, or called so.
    let key = ed25519(1);
    for e in examples() {
        let (v1, v2) = (e.kind.payload_type(), e.kind.payload_type().replace(".v1+", ".v2+"));
        let with = |said: &str, signed: &str| {
            let sig = key.sign(&pae(signed, &e.payload));
            Envelope::parse(&raw_envelope(said, &e.payload, &[(key.public().id(), sig)]))
        };
        assert!(with(&v1, &v1).unwrap().signers(knows(&[&key])).is_ok(), "{}", e.name);
        let refused = Err(EnvelopeError::BadSignature(key.public().id()));
        assert_eq!(with(&v1, &v2).unwrap().signers(knows(&[&key])), refused, "{}", e.name);
        assert_eq!(with(&v2, &v2), Err(EnvelopeError::UnknownType(v2.clone())), "{}", e.name);
    }
}

#[test]
fn r6_kind_is_bound() {
    let key = ed25519(1);
    for e in examples() {
        for kind in Kind::ALL {
            // The signature of one kind under another, and a payload correctly signed as another.
            let sig = key.sign(&pae(&e.kind.payload_type(), &e.payload));
            let moved = Envelope::parse(&raw_envelope(&kind.payload_type(), &e.payload, &[(key.public().id(), sig)]));
            let moved = moved.unwrap().signers(knows(&[&key])).is_ok();
            let signed = common::signed_by_hand(kind, &e.payload, &key);
            assert_eq!((moved, (e.decode)(&signed).is_ok()), (kind == e.kind, kind == e.kind), "{} as {kind}", e.name);
        }
        let mut renamed = e.value();
        renamed["kind"] = json!(if e.kind == Kind::View { "query" } else { "view" });
        let signed = common::signed_by_hand(e.kind, renamed.to_string().as_bytes(), &key);
        assert_eq!((e.decode)(&signed), Err(EnvelopeError::KindMismatch(e.kind)), "{}", e.name);
    }
    // A share blob is no reply, though both are shares sealed to a key.
    let x = world();
    let key = SealingSecret::generate(Suite::XWing);
    let aad = labelled("escrow/v1/shares", &[&x.deal.digest.0, &1u64.to_be_bytes()]);
    let sealed = sealing::seal(key.public(), &aad, &[0; 128]).unwrap();
    assert!(key.open(&aad, &sealed).is_ok());
    assert_eq!(open_reply(&x.context, &key, &sealed, 2).map(|s| s.len()), NO_REPLY);
}

#[test]
fn r6_the_boundary_between_two_fields_is_bound() {
    bound_in_the_wrap(|h, a| std::mem::swap(&mut h.nonce.0[0], &mut a.authenticator.0[0]));
    bound_in_the_wrap(|_, a| std::mem::swap(&mut a.era, &mut a.epoch));
    bound_in_the_wrap(|_, a| std::mem::swap(&mut a.from, &mut a.to));
    // A byte that goes over from one field into the next.
    bound_in_the_wrap(|h, _| (h.org, h.policies[0].id) = (w("acme.exampl"), w("einternal-investigation")));
    let genesis_and_request = |c: &mut ReplyContext| std::mem::swap(&mut c.genesis, &mut c.request);
    bound_in_the_reply(genesis_and_request);
    bound_in_the_reply(|c| (c.seat, c.generation) = (seat(2), 1));
    assert_ne!(labelled("escrow/v1/item-id", &[b"a", b"bc"]), labelled("escrow/v1/item-id", &[b"ab", b"c"]));
}

#[test]
fn r6_organisation_is_bound() {
    bound_in_the_wrap(|h, _| h.org = w("acme.examplf"));
    bound_in_the_deal(|h| h.org = w("acme.examplf"));
    bound_in_the_statements("org", &Kind::ALL[..10]);
    let named: Vec<Kind> =
        examples().iter().filter(|e| e.value()["org"] == json!("acme.example")).map(|e| e.kind).collect();
    assert_eq!(named.len(), examples().len(), "every kind names its organisation");
    assert_eq!(common::decision().org().as_str(), "acme.example");
}

#[test]
fn r6_item_id_is_bound() {
    let (secret, head) = (Secret::random(), header(3, 5));
    let (wrapped, check) = wrap(&secret, &head.nonce, &head.item_context(2, &about(7)), &thread_key(1));
    let open =
        |position| unwrap(&secret, &head.nonce, &head.item_context(position, &about(7)), &check, &wrapped).map(drop);
    assert_eq!((open(2), open(1), open(3)), (Ok(()), Err(UnwrapError::KeyCheck), Err(UnwrapError::KeyCheck)));
    bound_in_the_wrap(|_, a| a.thread = common::thread("random"));
    bound_in_the_wrap(|_, a| a.epoch += 1);
    bound_in_the_deal(|h| h.items[0].about.epoch += 1);
    bound_in_the_statements("items", &[Kind::Request, Kind::Release]);
}

#[test]
fn r6_deal_is_bound() {
    // Only white space differs: the same words, another deal, other ids, and no blob opens.
    let x = world();
    let spaced = OpenedDeal::parse(&[b" ", &x.dealt.deal[..]].concat()).unwrap();
    assert_eq!(spaced.deal, x.deal.deal);
    assert_eq!((x.open_blob(&x.deal, 1), x.open_blob(&spaced, 1)), (Ok(2), NO_BLOB));
    assert!(spaced.item_ids().iter().all(|i| !x.deal.item_ids().contains(i)));
    bound_in_the_statements("deal", &[Kind::Deposit]);
    bound_in_the_statements("sha256", &[Kind::Deposit]);
}

#[test]
fn r6_generation_is_bound() {
    bound_in_the_wrap(|h, _| h.generation += 1);
    bound_in_the_deal(|h| h.generation += 1);
    bound_in_the_reply(|c| c.generation += 1);
    bound_in_the_statements("generation", &[Kind::Release]);
    bound_in_the_statements("generations", &[Kind::Charter]);
}

#[test]
fn r6_node_set_is_bound() {
    bound_in_the_wrap(|h, _| h.t -= 1);
    bound_in_the_wrap(|h, _| h.n += 1);
    bound_in_the_deal(|h| h.n += 1);
    bound_in_the_statements("floor", &[Kind::Consent]);
    bound_in_the_statements("seats", &[Kind::Charter]);
}

#[test]
fn r6_genesis_is_bound() {
    bound_in_the_reply(|c| c.genesis = d(9));
    bound_in_the_statements("previous", &[Kind::Charter]);
}

#[test]
fn r6_charter_is_bound() {
    // Every kind but the charter itself names the charter its signer saw.
    let with: Vec<Kind> = examples().iter().map(|e| e.kind).filter(|k| *k != Kind::Charter).collect();
    bound_in_the_statements("charter", &with);
}

#[test]
fn r6_policy_digest_is_bound() {
    bound_in_the_wrap(|h, _| h.policies[1].digest = d(0x22));
    bound_in_the_wrap(|h, _| h.policies[1].id = w("lost-devicf"));
    bound_in_the_wrap(|h, _| h.policies.truncate(1));
    bound_in_the_wrap(|h, _| h.policies.push(PolicyRef { id: w("zeta"), digest: d(0x23) }));
    bound_in_the_deal(|h| h.policies[1].digest = d(0x22));
    bound_in_the_statements("policies", &[Kind::Charter, Kind::Consent, Kind::Verdict]);
    bound_in_the_statements("policy", &[Kind::Request, Kind::Verdict]);
}

#[test]
fn r6_consent_is_bound() {
    bound_in_the_wrap(|h, _| h.consent = d(0xc1));
    bound_in_the_deal(|h| h.consent = d(0xc1));
    bound_in_the_statements("consent", &[Kind::Withdrawal]);
    bound_in_the_statements("consents", &[Kind::RestrictionAnswer]);
}

#[test]
fn r6_owner_is_bound() {
    bound_in_the_wrap(|h, _| h.depositor = common::subject("bob"));
    bound_in_the_wrap(|_, a| a.participants[1].inside = !a.participants[1].inside);
    bound_in_the_deal(|h| h.depositor = common::subject("bob"));
    bound_in_the_statements("depositor", &[Kind::Deposit]);
    bound_in_the_statements("subject", &[Kind::Consent, Kind::Withdrawal, Kind::Enrolment]);
}

#[test]
fn r6_request_id_is_bound() {
    bound_in_the_reply(|c| c.request = d(9));
    let of =
        [Kind::Cancellation, Kind::Decision, Kind::ReleaseCall, Kind::Verdict, Kind::Release, Kind::RestrictionAnswer];
    bound_in_the_statements("request", &of);
}

#[test]
fn r6_nonce_is_bound() {
    bound_in_the_wrap(|h, _| h.nonce = nonce(0xd2));
    bound_in_the_deal(|h| h.nonce = nonce(0xd2));
    bound_in_the_statements("nonce", &examples().iter().map(|e| e.kind).collect::<Vec<_>>());
    bound_in_the_statements("asked", &[Kind::RestrictionAnswer]);
    bound_in_the_statements("export", &[Kind::View]);
    // As the salt of the wrap, alone.
    let (secret, head) = (Secret::random(), header(3, 5));
    let context = head.item_context(0, &about(7));
    let (wrapped, check) = wrap(&secret, &head.nonce, &context, &thread_key(1));
    let open = |n| unwrap(&secret, &nonce(n), &context, &check, &wrapped).map(drop);
    assert_eq!((open(0xd1), open(0xd2)), (Ok(()), Err(UnwrapError::KeyCheck)));
}

#[test]
fn r6_expiry_is_bound() {
    bound_in_the_wrap(|_, a| a.from = at(1));
    bound_in_the_wrap(|_, a| a.to = at(3_601));
    bound_in_the_deal(|h| h.items[0].about.to = at(3_601));
    bound_in_the_statements("expires", &[Kind::Consent, Kind::Request]);
    bound_in_the_statements("valid_until", &[Kind::Verdict]);
    bound_in_the_statements("until", &[Kind::Charter, Kind::Enrolment]);
    bound_in_the_statements("at", &[Kind::Decision, Kind::ReleaseCall, Kind::RestrictionAnswer, Kind::Withdrawal]);
    bound_in_the_statements("decided", &[Kind::Verdict]);
}

#[test]
fn r6_recipient_key_is_bound() {
    bound_in_the_reply(|c| c.recipient = d(9));
    let x = world();
    assert_eq!(x.open_reply(&x.context), Ok(2));
    for suite in [Suite::XWing, Suite::MlKem768P256] {
        let stranger = SealingSecret::generate(suite);
        assert_eq!(open_reply(&x.context, &stranger, &x.reply, 2).map(|s| s.len()), NO_REPLY);
        // Sealed to another key in the name of this recipient.
        let turned = seal_reply(&x.context, stranger.public(), &x.shares[0]).unwrap();
        assert_eq!(open_reply(&x.context, &x.recipient, &turned, 2).map(|s| s.len()), NO_REPLY);
    }
    bound_in_the_statements("recipient", &[Kind::Request, Kind::Release]);
    bound_in_the_statements("sealing", &[Kind::Request, Kind::Enrolment, Kind::Charter]);
}

#[test]
fn r6_seat_is_bound() {
    bound_in_the_reply(|c| c.seat = seat(2));
    let x = world();
    assert_eq!((x.open_blob(&x.deal, 1), x.open_blob(&x.deal, 2)), (Ok(2), NO_BLOB));
    let of =
        [Kind::Receipt, Kind::Verdict, Kind::Release, Kind::RestrictionAnswer, Kind::View, Kind::Query, Kind::Deposit];
    bound_in_the_statements("seat", &of);
    bound_in_the_statements("asker", &[Kind::RestrictionAnswer]);
}

#[test]
fn r6_reply_is_bound_to_the_release_that_names_it() {
    bound_in_the_statements("reply", &[Kind::Release]);
    bound_in_the_statements("attempt", &[Kind::Release]);
    // The same shares sealed again are another reply, which the same statement does not name.
    let x = world();
    let again = seal_reply(&x.context, x.recipient.public(), &x.shares[0]).unwrap();
    assert_ne!(Digest::of(&again), Digest::of(&x.reply));
}

#[test]
fn r6_a_receipt_is_bound_to_statement_envelope_and_place_in_the_log() {
    for member in ["statement", "envelope", "log", "seq", "leaf"] {
        bound_in_the_statements(member, &[Kind::Receipt]);
    }
}

#[test]
fn r6_wrapped_key_is_bound_to_one_secret() {
    let (secret, head) = (Secret::random(), header(3, 5));
    let context = head.item_context(0, &about(7));
    let (wrapped, check) = wrap(&secret, &head.nonce, &context, &ThreadKey::generate());
    assert!(unwrap(&secret, &head.nonce, &context, &check, &wrapped).is_ok());
    let other = Secret::random();
    assert_eq!(unwrap(&other, &head.nonce, &context, &check, &wrapped).map(drop), Err(UnwrapError::KeyCheck));
    // With a key check of its own, a ciphertext of another secret does not open.
    let (_, own) = wrap(&other, &head.nonce, &context, &thread_key(1));
    assert_eq!(unwrap(&other, &head.nonce, &context, &own, &wrapped).map(drop), Err(UnwrapError::Ciphertext));
}
