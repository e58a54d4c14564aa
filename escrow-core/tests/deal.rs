//! Deals: from thread keys to sealed blobs, to verified shares, and back to thread keys, with
//! every way in which depositor, node or stranger can cheat and the name it gets.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test that panics has failed

mod common;

use common::{about, at, d, header, seat, thread_key, w};
use escrow_core::charter::SealingKey;
use escrow_core::consent::PolicyRef;
use escrow_core::deal::{About, Deal, DealError, Dealer, Dealt, Item, OpenedDeal, Participant, item_id};
use escrow_core::open::{OpenError, open_item};
use escrow_core::reply::{ReplyContext, ReplyError, open_reply, seal_reply};
use escrow_core::sealing::{self, SealError, SealingSecret, Suite};
use escrow_core::sharing::{POINT_BYTES, Secret, Share, SharingError};
use escrow_core::strict::StrictError;
use escrow_core::wrap::{UnwrapError, wrap};
use escrow_core::{Blob, Digest, SeatIndex, ThreadKey, Token};
use serde_json::{Value, json};

/// n seats with sealing keys, both suites in turn.
struct Nodes {
    secrets: Vec<SealingSecret>,
    public: Vec<(SeatIndex, SealingKey)>,
}

fn nodes(n: u8) -> Nodes {
    let suite = |i: u8| if i.is_multiple_of(2) { Suite::MlKem768P256 } else { Suite::XWing };
    let secrets: Vec<SealingSecret> = (1..=n).map(|i| SealingSecret::generate(suite(i))).collect();
    let public = (1..=n).zip(&secrets).map(|(i, s)| (seat(i), s.public().clone())).collect();
    Nodes { secrets, public }
}

fn keys(count: u8) -> Vec<(About, ThreadKey)> {
    (0..count).map(|i| (about(u64::from(i)), thread_key(0x40 + i))).collect()
}

/// A deal of `items` keys, opened again, with each node's verified shares.
struct Escrowed {
    nodes: Nodes,
    dealt: Dealt,
    deal: OpenedDeal,
    /// By node, then by item.
    shares: Vec<Vec<Share>>,
}

fn escrow(t: u8, n: u8, items: u8) -> Escrowed {
    let nodes = nodes(n);
    let dealt = Dealer { header: header(t, n), seats: &nodes.public }.deal(&keys(items)).unwrap();
    let deal = OpenedDeal::parse(&dealt.deal).unwrap();
    let shares = dealt
        .blobs
        .iter()
        .zip(&nodes.secrets)
        .map(|((seat, blob), key)| deal.verify_blob(*seat, key, blob).unwrap())
        .collect();
    Escrowed { nodes, dealt, deal, shares }
}

fn altered(s: &Share) -> Share {
    let mut bytes = *s.to_bytes();
    bytes[31] ^= 1;
    Share::from_bytes(s.seat(), &bytes).unwrap()
}

#[test]
fn dealt_verified_and_opened_again_for_each_node_set() {
    for (t, n) in [(2u8, 3u8), (3, 5), (4, 7)] {
        let e = escrow(t, n, 3);
        assert_eq!(e.dealt.blobs.len(), usize::from(n));
        assert_eq!(e.deal.deal.items.len(), 3);
        assert_eq!(e.deal.digest, Digest::of(&e.dealt.deal));
        for item in 0..3 {
            // The first t, then the last t.
            for offset in [0, usize::from(n - t)] {
                let quorum: Vec<&Share> = e.shares[offset..offset + usize::from(t)].iter().map(|s| &s[item]).collect();
                let opened = open_item(&e.deal, item, &quorum).unwrap();
                assert_eq!(*opened.key.expose(), [0x40 + u8::try_from(item).unwrap(); 32], "({t},{n}) item {item}");
                assert_eq!(opened.culprits, []);
            }
        }
        let nobody = open_item(&e.deal, 3, &[]).map(drop);
        assert_eq!(nobody, Err(OpenError::NoItem(3)));
    }
}

#[test]
fn a_blob_opens_only_for_its_seat_and_its_deal() {
    let e = escrow(2, 3, 2);
    let other = Dealer { header: header(2, 3), seats: &e.nodes.public }.deal(&keys(2)).unwrap();
    let blob = |i: usize| &e.dealt.blobs[i].1;
    let does_not_open = Err(DealError::Blob(SealError::DoesNotOpen));
    let verify = |s: u8, key: usize, blob: &[u8]| {
        e.deal.verify_blob(seat(s), &e.nodes.secrets[key], blob).map(|shares| shares.len())
    };
    assert_eq!(verify(1, 0, blob(0)), Ok(2));
    let table: Vec<(&str, u8, usize, Vec<u8>)> = vec![
        ("the blob of seat 2, with the key of seat 1", 1, 0, blob(1).clone()),
        ("the blob of seat 2, with its key, taken for seat 1", 1, 1, blob(1).clone()),
        ("the blob of seat 1, with its key, taken for seat 3", 3, 0, blob(0).clone()),
        ("the blob of seat 3 of the same suite", 1, 0, blob(2).clone()),
        ("the same seat's blob of another deal", 1, 0, other.blobs[0].1.clone()),
        ("cut by one byte", 1, 0, blob(0)[..blob(0).len() - 1].to_vec()),
        ("empty", 1, 0, Vec::new()),
        ("one byte more", 1, 0, [&blob(0)[..], &[0]].concat()),
    ];
    for (name, s, key, bytes) in table {
        assert_eq!(verify(s, key, &bytes), does_not_open, "{name}");
    }
    for at in [0, 700, blob(0).len() - 1] {
        let mut bad = blob(0).clone();
        bad[at] ^= 1;
        assert_eq!(verify(1, 0, &bad), does_not_open, "byte {at} flipped");
    }
}

/// What a hostile depositor can do: seal any bytes to a seat, bound to this deal.
fn seal_by_hand(deal: &OpenedDeal, to: &(SeatIndex, SealingKey), clear: &[u8]) -> Vec<u8> {
    let label = b"escrow/v1/shares";
    let fields: [&[u8]; 3] = [label, &deal.digest.0, &u64::from(to.0.get()).to_be_bytes()];
    let aad: Vec<u8> = fields.iter().flat_map(|f| [&(f.len() as u64).to_be_bytes()[..], f].concat()).collect();
    sealing::seal(&to.1, &aad, clear).unwrap()
}

#[test]
fn a_node_acknowledges_only_shares_that_all_fit() {
    let e = escrow(2, 3, 2);
    let (first, second) = (e.shares[0][0].to_bytes(), e.shares[0][1].to_bytes());
    let foreign = e.shares[1][0].to_bytes();
    let mut too_large = *first;
    too_large[..32].fill(0xff);
    let sharing = |position, error| DealError::Sharing { position, error };
    let table: Vec<(&str, Vec<u8>, Result<usize, DealError>)> = vec![
        ("as dealt", [&first[..], &second[..]].concat(), Ok(2)),
        ("items exchanged", [&second[..], &first[..]].concat(), Err(sharing(0, SharingError::Mismatch))),
        (
            "second altered",
            [&first[..], &altered(&e.shares[0][1]).to_bytes()[..]].concat(),
            Err(sharing(1, SharingError::Mismatch)),
        ),
        ("another seat's share", [&foreign[..], &second[..]].concat(), Err(sharing(0, SharingError::Mismatch))),
        ("not canonical", [&too_large[..], &second[..]].concat(), Err(sharing(0, SharingError::NonCanonicalScalar))),
        ("one share short", first.to_vec(), Err(DealError::BlobLength { found: 64, expected: 128 })),
        (
            "one share more",
            [&first[..], &second[..], &first[..]].concat(),
            Err(DealError::BlobLength { found: 192, expected: 128 }),
        ),
        (
            "one byte short",
            [&first[..], &second[..63]].concat(),
            Err(DealError::BlobLength { found: 127, expected: 128 }),
        ),
        ("empty", Vec::new(), Err(DealError::BlobLength { found: 0, expected: 128 })),
    ];
    for (name, clear, expected) in table {
        let blob = seal_by_hand(&e.deal, &e.nodes.public[0], &clear);
        let verdict = e.deal.verify_blob(seat(1), &e.nodes.secrets[0], &blob).map(|s| s.len());
        assert_eq!(verdict, expected, "{name}");
    }
}

#[test]
fn bad_shares_name_their_seat_and_a_quorum_of_good_ones_still_opens() {
    let e = escrow(3, 5, 2);
    let s: Vec<&Share> = e.shares.iter().map(|s| &s[1]).collect();
    let bad: Vec<Share> = s.iter().map(|s| altered(s)).collect();
    let wrong_item = &e.shares[0][0];
    let seats = |list: &[u8]| list.iter().map(|i| seat(*i)).collect::<Vec<_>>();
    let below = |have, culprits: &[u8]| Err(OpenError::BelowThreshold { have, need: 3, culprits: seats(culprits) });
    type Case<'a> = (&'a str, Vec<&'a Share>, Result<Vec<SeatIndex>, OpenError>);
    let table: Vec<Case<'_>> = vec![
        ("t good ones", vec![s[0], s[1], s[2]], Ok(vec![])),
        ("all n good ones", s.clone(), Ok(vec![])),
        ("one bad among t + 1", vec![s[0], &bad[1], s[2], s[3]], Ok(seats(&[2]))),
        ("the bad one first", vec![&bad[4], s[0], s[1], s[2]], Ok(seats(&[5]))),
        ("n - t bad ones", vec![&bad[4], &bad[0], s[1], s[2], s[3]], Ok(seats(&[1, 5]))),
        ("a share of another item", vec![wrong_item, s[1], s[2], s[3]], Ok(seats(&[1]))),
        ("a good and a bad one of one seat", vec![&bad[0], s[0], s[1], s[2]], Ok(seats(&[1]))),
        ("nobody", vec![], below(0, &[])),
        ("t - 1", vec![s[0], s[1]], below(2, &[])),
        ("one seat three times", vec![s[0], s[0], s[0]], below(1, &[])),
        ("t - 1, one of them twice", vec![s[0], s[1], s[1]], below(2, &[])),
        ("t, one of them bad", vec![s[0], &bad[1], s[2]], below(2, &[2])),
        ("one bad share twice", vec![s[0], &bad[1], &bad[1]], below(1, &[2])),
        ("all bad", bad.iter().collect(), below(0, &[1, 2, 3, 4, 5])),
    ];
    for (name, shares, expected) in table {
        let opened = open_item(&e.deal, 1, &shares);
        if let Ok(item) = &opened {
            assert_eq!(*item.key.expose(), [0x41; 32], "{name}");
        }
        assert_eq!(opened.map(|o| o.culprits), expected, "{name}");
    }
}

#[test]
fn valid_shares_that_open_nothing_are_the_depositors_fault() {
    let e = escrow(2, 3, 1);
    let all: Vec<&Share> = e.shares.iter().map(|s| &s[0]).collect();
    let other = Secret::random();
    let context = e.deal.deal.item_context(0, &e.deal.deal.items[0].about);
    let (foreign, foreign_check) = wrap(&other, &e.deal.deal.nonce, &context, &thread_key(1));
    type Case = (&'static str, Box<dyn Fn(&mut Item)>, UnwrapError);
    let table: Vec<Case> = vec![
        ("key check flipped", Box::new(|i| i.key_check.0[0] ^= 1), UnwrapError::KeyCheck),
        ("key check of zeros", Box::new(|i| i.key_check = d(0)), UnwrapError::KeyCheck),
        ("key check of another secret", Box::new(move |i| i.key_check = foreign_check), UnwrapError::KeyCheck),
        ("epoch changed after the wrap", Box::new(|i| i.about.epoch += 1), UnwrapError::KeyCheck),
        ("wrapped under another secret", Box::new(move |i| i.wrapped = Blob(foreign.clone())), UnwrapError::Ciphertext),
        ("wrapped key flipped", Box::new(|i| i.wrapped.0[20] ^= 1), UnwrapError::Ciphertext),
    ];
    for (name, change, expected) in table {
        // The commitments are untouched, so the same shares verify under the changed deal.
        let mut deal = e.deal.deal.clone();
        change(&mut deal.items[0]);
        let changed = OpenedDeal::parse(&serde_json::to_vec(&deal).unwrap()).unwrap();
        assert_eq!(open_item(&changed, 0, &all).map(drop), Err(OpenError::Depositor(expected)), "{name}");
    }
    assert_eq!(*open_item(&e.deal, 0, &all).unwrap().key.expose(), [0x40; 32]);
}

#[test]
fn replies_are_bound_to_request_seat_generation_recipient_and_charter() {
    let e = escrow(2, 3, 2);
    for suite in [Suite::XWing, Suite::MlKem768P256] {
        let recipient = SealingSecret::generate(suite);
        let context = ReplyContext {
            genesis: d(1),
            request: d(2),
            seat: seat(1),
            generation: 1,
            recipient: recipient.public().digest(),
        };
        let reply = seal_reply(&context, recipient.public(), &e.shares[0]).unwrap();
        let opened = open_reply(&context, &recipient, &reply, 2).unwrap();
        for (mine, theirs) in opened.iter().zip(&e.shares[0]) {
            assert_eq!(mine.to_bytes(), theirs.to_bytes());
            assert_eq!(mine.seat(), seat(1));
        }
        let does_not_open = Err(ReplyError::Seal(SealError::DoesNotOpen));
        let table = [
            ("genesis", ReplyContext { genesis: d(9), ..context.clone() }),
            ("request", ReplyContext { request: d(9), ..context.clone() }),
            ("seat", ReplyContext { seat: seat(2), ..context.clone() }),
            ("generation", ReplyContext { generation: 2, ..context.clone() }),
            ("recipient", ReplyContext { recipient: d(9), ..context.clone() }),
        ];
        for (name, other) in table {
            assert_eq!(open_reply(&other, &recipient, &reply, 2).map(drop), does_not_open, "{name}");
        }
        let stranger = SealingSecret::generate(suite);
        assert_eq!(open_reply(&context, &stranger, &reply, 2).map(drop), does_not_open);
        for items in [0, 1, 3] {
            assert_eq!(
                open_reply(&context, &recipient, &reply, items).map(drop),
                Err(ReplyError::Length(128)),
                "{items} items"
            );
        }
        let garbage = sealing::seal(recipient.public(), &context.aad(), &[0xff; 128]).unwrap();
        let refused = open_reply(&context, &recipient, &garbage, 2).map(drop);
        assert_eq!(refused, Err(ReplyError::Share(SharingError::NonCanonicalScalar)));
        let no_key = SealingKey { suite, public: Blob(vec![1, 2, 3]) };
        assert_eq!(seal_reply(&context, &no_key, &e.shares[0]), Err(ReplyError::Seal(SealError::BadKey)));
    }
}

#[test]
fn item_ids_differ_by_position_and_by_deal() {
    let e = escrow(2, 3, 3);
    let ids = e.deal.item_ids();
    assert_eq!(ids.len(), 3);
    for (position, id) in (0u32..).zip(&ids) {
        assert_eq!(*id, item_id(&e.deal.digest, position));
    }
    // The same header and keys dealt again: other secrets, other bytes, other ids.
    let again = Dealer { header: header(2, 3), seats: &e.nodes.public }.deal(&keys(3)).unwrap();
    let mut all = [ids, OpenedDeal::parse(&again.deal).unwrap().item_ids()].concat();
    // One changed space of the bytes is another deal.
    let spaced = [b" ", &e.dealt.deal[..]].concat();
    all.extend(OpenedDeal::parse(&spaced).unwrap().item_ids());
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 9);
}

fn token(n: u16) -> Token {
    let mut mac = [0u8; 32];
    mac[..2].copy_from_slice(&n.to_be_bytes());
    Token { version: 1, mac }
}

fn participants(count: u16) -> Vec<Participant> {
    (0..count).map(|n| Participant { token: token(n), inside: true }).collect()
}

fn policies(count: usize) -> Vec<PolicyRef> {
    (0..count).map(|n| PolicyRef { id: w(&format!("p{n:02}")), digest: d(1) }).collect()
}

fn parse(deal: &Deal) -> Result<(), DealError> {
    OpenedDeal::parse(&serde_json::to_vec(deal).unwrap()).map(drop)
}

type Change = Box<dyn Fn(&mut Deal)>;

#[test]
fn a_deal_that_breaks_a_rule_is_refused_by_its_name() {
    let good = escrow(2, 3, 1).deal.deal;
    assert_eq!(parse(&good), Ok(()));
    let set = |f: fn(&mut Deal)| -> Change { Box::new(f) };
    let about = |f: fn(&mut About)| -> Change { Box::new(move |deal| f(&mut deal.items[0].about)) };
    let invalid = DealError::Invalid;
    let sharing = |error| DealError::Sharing { position: 0, error };
    let table: Vec<(&str, Change, DealError)> = vec![
        ("t = 0", set(|x| x.t = 0), invalid("2 <= t <= n")),
        ("t = 1", set(|x| x.t = 1), invalid("2 <= t <= n")),
        ("n below t", set(|x| x.n = 1), invalid("2 <= t <= n")),
        ("n = 0", set(|x| x.n = 0), invalid("2 <= t <= n")),
        ("no item", set(|x| x.items.clear()), invalid("1 to 256 items")),
        ("257 items", set(|x| x.items = vec![x.items[0].clone(); 257]), invalid("1 to 256 items")),
        ("no policy", set(|x| x.policies.clear()), invalid("1 to 16 policies")),
        ("17 policies", set(|x| x.policies = policies(17)), invalid("1 to 16 policies")),
        ("policies out of order", set(|x| x.policies.reverse()), invalid("policies sorted by id")),
        ("one policy twice", set(|x| x.policies = vec![x.policies[0].clone(); 2]), invalid("policies sorted by id")),
        ("an item of no time", about(|a| a.to = a.from), invalid("an item covers no time")),
        ("an item that ends first", about(|a| a.to = at(-1)), invalid("an item covers no time")),
        (
            "authenticator of 65 bytes",
            about(|a| a.authenticator = Blob(vec![0; 65])),
            invalid("an authenticator is at most 64 bytes"),
        ),
        ("no participant", about(|a| a.participants.clear()), invalid("1 to 1000 participants")),
        ("1001 participants", about(|a| a.participants = participants(1001)), invalid("1 to 1000 participants")),
        ("participants out of order", about(|a| a.participants.reverse()), invalid("participants sorted by token")),
        (
            "one participant on both sides",
            about(|a| a.participants = [true, false].map(|inside| Participant { token: token(1), inside }).to_vec()),
            invalid("participants sorted by token"),
        ),
        ("wrapped key of 59 bytes", set(|x| x.items[0].wrapped.0.truncate(59)), invalid("a wrapped key is 60 bytes")),
        ("wrapped key of 61 bytes", set(|x| x.items[0].wrapped.0.push(0)), invalid("a wrapped key is 60 bytes")),
        ("no wrapped key", set(|x| x.items[0].wrapped = Blob::default()), invalid("a wrapped key is 60 bytes")),
        (
            "t - 1 commitments",
            set(|x| x.items[0].commitments.0.truncate(POINT_BYTES)),
            sharing(SharingError::CommitmentCount),
        ),
        ("t raised beyond the commitments", set(|x| x.t = 3), sharing(SharingError::CommitmentCount)),
        ("no commitment", set(|x| x.items[0].commitments = Blob::default()), sharing(SharingError::CommitmentCount)),
        ("an identity", set(|x| x.items[0].commitments.0[POINT_BYTES..].fill(0)), sharing(SharingError::Identity)),
        ("off the curve", set(|x| x.items[0].commitments.0[64] ^= 1), sharing(SharingError::NotOnCurve)),
        ("hybrid form", set(|x| x.items[0].commitments.0[0] = 6), sharing(SharingError::NotUncompressed)),
    ];
    for (name, change, expected) in table {
        let mut deal = good.clone();
        change(&mut deal);
        assert_eq!(parse(&deal), Err(expected), "{name}");
    }
}

#[test]
fn a_deal_at_the_edge_of_a_rule_is_accepted() {
    let good = escrow(2, 3, 1).deal.deal;
    let table: [(&str, Change); 6] = [
        ("256 items", Box::new(|x| x.items = vec![x.items[0].clone(); 256])),
        ("16 policies", Box::new(|x| x.policies = policies(16))),
        ("1000 participants", Box::new(|x| x.items[0].about.participants = participants(1000))),
        ("authenticator of 64 bytes", Box::new(|x| x.items[0].about.authenticator = Blob(vec![0; 64]))),
        (
            "no authenticator and no archive",
            Box::new(|x| {
                x.items[0].about.authenticator = Blob::default();
                x.items[0].about.archive = None;
            }),
        ),
        ("t = n", Box::new(|x| x.n = 2)),
    ];
    for (name, change) in table {
        let mut deal = good.clone();
        change(&mut deal);
        assert_eq!(parse(&deal), Ok(()), "{name}");
    }
}

#[test]
fn the_second_of_two_bad_items_is_named_by_its_position() {
    let mut deal = escrow(2, 3, 3).deal.deal;
    deal.items[2].commitments.0[0] = 2;
    assert_eq!(parse(&deal), Err(DealError::Sharing { position: 2, error: SharingError::NotUncompressed }));
}

#[test]
fn deal_bytes_outside_the_strict_profile_are_refused() {
    let e = escrow(2, 3, 1);
    let text = String::from_utf8(e.dealt.deal.clone()).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    assert!(OpenedDeal::parse(value.to_string().as_bytes()).is_ok(), "written again unchanged, it is taken");
    let with = |pointer: &str, new: Value| {
        let mut v = value.clone();
        *v.pointer_mut(pointer).unwrap() = new;
        v.to_string()
    };
    let without = |parent: &str, member: &str| {
        let mut v = value.clone();
        v.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(member).unwrap();
        v.to_string()
    };
    let more = |parent: &str| {
        let mut v = value.clone();
        v.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert("extra".to_owned(), json!(1));
        v.to_string()
    };
    let mut refused = vec![
        ("empty", String::new()),
        ("not an object", "[]".to_owned()),
        ("two values", format!("{text}{text}")),
        ("t as a float", text.replace("\"t\":2", "\"t\":2.0")),
        ("t as text", with("/t", json!("2"))),
        ("t above 255", with("/t", json!(258))),
        ("negative epoch", with("/items/0/about/epoch", json!(-1))),
        ("a member twice", text.replacen("\"t\":2", "\"t\":2,\"t\":2", 1)),
        ("upper-case digest", with("/consent", json!(e.deal.deal.consent.to_string().to_uppercase()))),
        ("base64 without padding", with("/items/0/key_check", json!("AAAA"))),
        ("nonce of 15 bytes", with("/nonce", json!(common::b64(&[1; 15])))),
        ("time without milliseconds", with("/items/0/about/from", json!("2026-11-21T09:30:00Z"))),
        ("unknown source", with("/items/0/about/source", json!("mls11"))),
        ("positional array instead of an item", {
            let item = value.pointer("/items/0").unwrap().as_object().unwrap();
            let order = ["about", "commitments", "key_check", "wrapped"];
            with("/items/0", order.iter().map(|m| item[*m].clone()).collect())
        }),
    ];
    let parents = ["", "/items/0", "/items/0/about", "/items/0/about/participants/0", "/policies/0"];
    for parent in parents {
        refused.push(("an unknown member", more(parent)));
        for member in value.pointer(parent).unwrap().as_object().unwrap().keys() {
            refused.push(("a member missing", without(parent, member)));
            if member != "archive" {
                refused.push(("a member null", with(&format!("{parent}/{member}"), Value::Null)));
            }
        }
    }
    assert!(refused.len() > 50, "{} cases", refused.len());
    for (name, bytes) in refused {
        assert_ne!(bytes, text, "{name}: nothing was changed");
        let error = OpenedDeal::parse(bytes.as_bytes()).map(drop);
        assert!(matches!(error, Err(DealError::Malformed(StrictError::Profile(_)))), "{name}: {error:?}\n{bytes}");
    }
    let long = vec![b' '; escrow_core::limits::PAYLOAD_LARGE + 1];
    let too_long = StrictError::TooLong { size: long.len(), max: long.len() - 1 };
    assert_eq!(OpenedDeal::parse(&long).map(drop), Err(DealError::Malformed(too_long)));
}

#[test]
fn a_dealer_makes_nothing_that_a_node_would_refuse() {
    let nodes = nodes(3);
    let try_with = |header: Deal, seats: &[(SeatIndex, SealingKey)], keys: &[(About, ThreadKey)]| {
        Dealer { header, seats }.deal(keys).map(drop)
    };
    let seats = &nodes.public[..];
    assert_eq!(try_with(header(2, 3), seats, &keys(1)), Ok(()));
    let sharing = |error| Err(DealError::Sharing { position: 0, error });
    assert_eq!(try_with(header(1, 3), seats, &keys(1)), sharing(SharingError::Threshold), "t = 1");
    assert_eq!(try_with(header(2, 3), seats, &[]), Err(DealError::Invalid("1 to 256 items")), "no key");

    let no_time = About { to: at(0), ..about(1) };
    let refused = try_with(header(2, 3), seats, &[(no_time, thread_key(1))]);
    assert_eq!(refused, Err(DealError::Invalid("an item covers no time")));

    let twice = [seats[0].clone(), seats[1].clone(), seats[0].clone()];
    assert_eq!(
        try_with(header(2, 3), &twice, &keys(1)),
        Err(DealError::Invalid("seats ascending, no duplicates")),
        "one seat twice"
    );

    let no_key =
        [seats[0].clone(), (seat(2), SealingKey { suite: Suite::XWing, public: Blob(vec![0; 10]) }), seats[2].clone()];
    assert_eq!(try_with(header(2, 3), &no_key, &keys(1)), Err(DealError::Blob(SealError::BadKey)), "not a sealing key");
    let wrong_suite =
        [seats[0].clone(), (seat(2), SealingKey { suite: Suite::XWing, ..seats[1].1.clone() }), seats[2].clone()];
    assert_eq!(
        try_with(header(2, 3), &wrong_suite, &keys(1)),
        Err(DealError::Blob(SealError::BadKey)),
        "key of another suite"
    );

    // What no node of the generation would accept although it parses.
    for n in [2, 4, 5] {
        assert_eq!(try_with(header(2, n), seats, &keys(1)), Err(DealError::Invalid("n seats")), "n = {n} for 3 seats");
    }
    let descending = [seats[2].clone(), seats[1].clone(), seats[0].clone()];
    assert_eq!(
        try_with(header(2, 3), &descending, &keys(1)),
        Err(DealError::Invalid("seats ascending, no duplicates")),
        "descending"
    );
    let mut not_empty = header(2, 3);
    not_empty.items = escrow(2, 3, 1).deal.deal.items;
    assert_eq!(
        try_with(not_empty, seats, &keys(1)),
        Err(DealError::Invalid("a header without items")),
        "a header with items"
    );
}

#[test]
fn every_deal_has_its_own_secrets_and_prints_none() {
    let e = escrow(2, 3, 2);
    let [a, b] = &e.deal.deal.items[..] else { panic!("two items") };
    assert_ne!(a.commitments, b.commitments);
    assert_ne!(a.key_check, b.key_check);
    assert_ne!(a.wrapped, b.wrapped);
    let printed = format!("{:?} {:?} {:?}", e.dealt, e.shares, e.deal);
    for shares in &e.shares {
        for share in shares {
            assert!(!printed.contains(&hex::encode(&share.to_bytes()[..32])));
        }
    }
    assert!(printed.contains("Share(seat 1, redacted)"));
}
