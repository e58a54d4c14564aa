//! Golden files: `vectors/*.json` hold, for fixed inputs, every byte string that two parties must
//! agree on. The test makes them again from the inputs, partly by hand, and compares. They are
//! language-neutral: a second implementation reads them, and `docs/protocol.md` quotes them.
//!
//! `ESCROW_BLESS=1 cargo test -p escrow-core --test golden` rewrites the files.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test that panics has failed

mod common;

use aes_gcm::aead::{Aead as _, Payload};
use aes_gcm::{Aes256Gcm, KeyInit as _};
use common::*;
use escrow_core::charter::SealingKey;
use escrow_core::deal::{Deal, Item, OpenedDeal, item_id};
use escrow_core::envelope::pae;
use escrow_core::label::Labelled;
use escrow_core::open::open_item;
use escrow_core::reply::ReplyContext;
use escrow_core::sealing::{SealingSecret, Suite};
use escrow_core::sharing::{self, Secret, Share};
use escrow_core::wrap::unwrap;
use escrow_core::{Blob, Digest, Envelope, Kind, SigningKey};
use hmac::{Hmac, Mac as _};
use hpke::Serializable as _;
use p256::elliptic_curve::ff::PrimeField as _;
use p256::elliptic_curve::sec1::ToSec1Point as _;
use p256::{ProjectivePoint, Scalar};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::convert::Infallible;
use std::path::PathBuf;

// ---- by hand: what docs/protocol.md says, without the code under test ----

/// Each field with its length as 8 bytes big-endian, the label first.
fn labelled(label: &str, fields: &[&[u8]]) -> Vec<u8> {
    [&[label.as_bytes()], fields]
        .concat()
        .iter()
        .flat_map(|f| [&(f.len() as u64).to_be_bytes()[..], f].concat())
        .collect()
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(message).finalize().into_bytes().into()
}

/// HKDF (RFC 5869) with one block of output.
fn hkdf_32(salt: &[u8], ikm: &[u8], info: &[u8]) -> [u8; 32] {
    hmac_sha256(&hmac_sha256(salt, ikm), &[info, &[1]].concat())
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn be(n: u64) -> [u8; 8] {
    n.to_be_bytes()
}

/// A fixed scalar: SHA-256 of its name, which must be below the order.
fn fixed_scalar(name: &str) -> Scalar {
    Scalar::from_repr(sha256(name.as_bytes()).into()).unwrap()
}

fn scalar_bytes(s: &Scalar) -> [u8; 32] {
    s.to_repr().into()
}

fn uncompressed(p: ProjectivePoint) -> Vec<u8> {
    p.to_affine().to_sec1_point(false).as_bytes().to_vec()
}

fn compressed(p: ProjectivePoint) -> Vec<u8> {
    p.to_affine().to_sec1_point(true).as_bytes().to_vec()
}

// ---- the files ----

fn labels() -> Value {
    let cases: [(&str, Vec<Vec<u8>>); 4] = [
        ("x", vec![]),
        ("x", vec![b"ab".to_vec(), b"c".to_vec()]),
        ("x", vec![b"a".to_vec(), b"bc".to_vec()]),
        ("escrow/v1/item-id", vec![vec![0xd1; 32], be(5).to_vec()]),
    ];
    let cases: Vec<Value> = cases
        .iter()
        .map(|(label, fields)| {
            let by_hand = labelled(label, &fields.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let ours = fields.iter().fold(Labelled::new(label), |l, f| l.bytes(f));
            assert_eq!(ours.clone().finish(), by_hand);
            assert_eq!(ours.hash().0, sha256(&by_hand));
            json!({
                "label": label,
                "fields": fields.iter().map(hex::encode).collect::<Vec<_>>(),
                "bytes": hex::encode(&by_hand),
                "sha256": hex::encode(sha256(&by_hand)),
            })
        })
        .collect();
    json!({
        "about": "Labelled byte strings: label, then each field, each preceded by its length as 8 bytes big-endian.",
        "cases": cases,
    })
}

fn generators() -> Value {
    json!({
        "about": "G is the generator of P-256. H is hash_to_curve of RFC 9380, suite P256_XMD:SHA-256_SSWU_RO_, of message under dst.",
        "message": text(sharing::H_MESSAGE),
        "dst": text(sharing::H_DST),
        "g_uncompressed": hex::encode(uncompressed(ProjectivePoint::GENERATOR)),
        "h_uncompressed": hex::encode(uncompressed(sharing::h())),
        "h_compressed": hex::encode(compressed(sharing::h())),
    })
}

fn keys() -> Value {
    let message = b"escrow golden message";
    let signature_keys: Vec<Value> = [ed25519(1), es256(2)]
        .iter()
        .map(|key| {
            let public = key.public();
            let digest = sha256(&labelled("escrow/v1/key", &[public.method().as_bytes(), &public.raw()]));
            assert_eq!(public.digest().0, digest);
            let id = hex::encode(&digest[..8]);
            assert_eq!(public.id(), id);
            let signature = key.sign(message);
            assert!(public.verifies(message, &signature));
            json!({
                "method": public.method(),
                "key_file_line": *key.expose(),
                "public": public,
                "raw": hex::encode(public.raw()),
                "digest": hex::encode(digest),
                "keyid": id,
                "message": text(message),
                "signature": hex::encode(signature),
            })
        })
        .collect();
    let sealing_keys: Vec<Value> = suites()
        .map(|suite| {
            let secret = sealing(suite, 7);
            let public = secret.public();
            let digest = sha256(&labelled("escrow/v1/key", &[suite.name().as_bytes(), &public.public.0]));
            assert_eq!(public.digest().0, digest);
            json!({ "key_file_line": *secret.expose(), "sealing_key": public, "digest": hex::encode(digest) })
        })
        .collect();
    json!({
        "about": "Keys from private bytes all alike. digest = SHA-256 of labelled {escrow/v1/key, method or suite, raw public bytes}; keyid = its first 8 bytes. es256 nonces follow RFC 6979 and S is low.",
        "signature_keys": signature_keys,
        "sealing_keys": sealing_keys,
    })
}

fn tokens() -> Value {
    let key = token_key();
    let id = "+49 30 1234567";
    let by_hand = |label: &str| {
        let mac = hmac_sha256(key.expose(), &labelled(label, &[id.as_bytes()]));
        format!("v1:{}", hex::encode(mac))
    };
    assert_eq!(key.subject(id).to_string(), by_hand("escrow/v1/token/subject"));
    assert_eq!(key.thread(id).to_string(), by_hand("escrow/v1/token/thread"));
    json!({
        "about": "Token = HMAC-SHA256(token key, labelled {label, id}); written v<key version>:<hex>. Labels escrow/v1/token/subject and escrow/v1/token/thread.",
        "token_key": hex::encode(key.expose()),
        "version": key.version(),
        "id": id,
        "subject": key.subject(id),
        "thread": key.thread(id),
    })
}

fn policy_digest() -> Value {
    let policy = policy();
    let digest = sha256(&labelled("escrow/v1/policy", &[&be(policy.schema.into()), policy.text.as_bytes()]));
    assert_eq!(policy.digest().0, digest);
    json!({
        "about": "Policy digest = SHA-256 of labelled {escrow/v1/policy, schema version, text}.",
        "policy": policy,
        "digest": hex::encode(digest),
    })
}

const SEATS: [u8; 5] = [1, 2, 3, 5, 9];
const T: u8 = 3;

struct Polynomials {
    f: Vec<Scalar>,
    r: Vec<Scalar>,
}

impl Polynomials {
    fn of_item(item: usize) -> Self {
        let named = |p: &str| (0..T).map(|j| fixed_scalar(&format!("escrow golden item {item} {p}{j}"))).collect();
        Self { f: named("f"), r: named("r") }
    }

    fn at(p: &[Scalar], x: u8) -> Scalar {
        p.iter().rev().fold(Scalar::ZERO, |acc, c| acc * Scalar::from(u64::from(x)) + c)
    }

    fn commitments(&self) -> Vec<u8> {
        let commit = |(f, r)| uncompressed(ProjectivePoint::GENERATOR * f + sharing::h() * r);
        self.f.iter().zip(&self.r).flat_map(commit).collect()
    }

    fn share(&self, x: u8) -> Vec<u8> {
        [scalar_bytes(&Self::at(&self.f, x)), scalar_bytes(&Self::at(&self.r, x))].concat()
    }
}

/// The item context by hand, from the JSON of the deal: what `docs/protocol.md` lays out.
fn item_context(deal: &Value, position: u64, about: &Value) -> Vec<u8> {
    use base64::Engine as _;
    let s = |v: &Value| v.as_str().unwrap().as_bytes().to_vec();
    let n = |v: &Value| be(v.as_u64().unwrap()).to_vec();
    let base64 = |v: &Value| base64::engine::general_purpose::STANDARD.decode(v.as_str().unwrap()).unwrap();
    let digest = |v: &Value| v.as_str().map_or(Vec::new(), |h| hex::decode(h).unwrap());
    let list = |v: &Value| v.as_array().unwrap().clone();
    let mut fields = vec![
        s(&deal["org"]),
        base64(&deal["nonce"]),
        be(position).to_vec(),
        n(&deal["generation"]),
        n(&deal["t"]),
        n(&deal["n"]),
        digest(&deal["consent"]),
        be(list(&deal["policies"]).len() as u64).to_vec(),
    ];
    fields.extend(list(&deal["policies"]).iter().flat_map(|p| [s(&p["id"]), digest(&p["digest"])]));
    fields.push(s(&deal["depositor"]));
    fields.extend([s(&about["source"]), s(&about["thread"]), n(&about["era"]), n(&about["epoch"])]);
    fields.extend([base64(&about["authenticator"]), s(&about["from"]), s(&about["to"]), digest(&about["archive"])]);
    fields.push(be(list(&about["participants"]).len() as u64).to_vec());
    for p in list(&about["participants"]) {
        fields.extend([s(&p["token"]), be(u64::from(p["inside"].as_bool().unwrap())).to_vec()]);
    }
    labelled("escrow/v1/item", &fields.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

fn deal() -> Value {
    let mut deal: Deal = header(T, u8::try_from(SEATS.len()).unwrap());
    let mut items = Vec::new();
    for position in 0..2usize {
        let mut about = about(7 + position as u64);
        if position == 1 {
            about.archive = None;
            about.authenticator = Blob::default();
        }
        let p = Polynomials::of_item(position);
        let at = u64::try_from(position).unwrap();
        let context = item_context(&serde_json::to_value(&deal).unwrap(), at, &serde_json::to_value(&about).unwrap());
        assert_eq!(deal.item_context(u32::try_from(position).unwrap(), &about), context);

        let (salt, ikm) = (deal.nonce.0, scalar_bytes(&p.f[0]));
        let kek = hkdf_32(&salt, &ikm, &labelled("escrow/v1/kek", &[&context]));
        let key_check = hkdf_32(&salt, &ikm, &labelled("escrow/v1/key-check", &[&context]));
        let nonce = [0x90 + u8::try_from(position).unwrap(); 12];
        let thread_key = [0x40 + u8::try_from(position).unwrap(); 32];
        let sealed = Aes256Gcm::new((&kek).into())
            .encrypt((&nonce).into(), Payload { msg: &thread_key, aad: &context })
            .unwrap();
        let wrapped = [&nonce[..], &sealed].concat();
        let secret = Secret::from_bytes(&ikm).unwrap();
        let opened = unwrap(&secret, &deal.nonce, &context, &Digest(key_check), &wrapped).unwrap();
        assert_eq!(*opened.expose(), thread_key);

        let shares: Vec<Value> =
            SEATS.iter().map(|i| json!({ "seat": i, "share": hex::encode(p.share(*i)) })).collect();
        items.push(json!({
            "position": position,
            "secret": hex::encode(ikm),
            "f": p.f.iter().map(|c| hex::encode(scalar_bytes(c))).collect::<Vec<_>>(),
            "r": p.r.iter().map(|c| hex::encode(scalar_bytes(c))).collect::<Vec<_>>(),
            "commitments": hex::encode(p.commitments()),
            "shares": shares,
            "context": hex::encode(&context),
            "kek": hex::encode(kek),
            "key_check": hex::encode(key_check),
            "wrap_nonce": hex::encode(nonce),
            "thread_key": hex::encode(thread_key),
            "wrapped": hex::encode(&wrapped),
        }));
        deal.items.push(Item {
            about,
            commitments: Blob(p.commitments()),
            key_check: Digest(key_check),
            wrapped: Blob(wrapped),
        });
    }

    let bytes = serde_json::to_vec(&deal).unwrap();
    let opened = OpenedDeal::parse(&bytes).unwrap();
    let digest = sha256(&bytes);
    assert_eq!(opened.digest.0, digest);
    for (position, item) in items.iter_mut().enumerate() {
        let id = sha256(&labelled("escrow/v1/item-id", &[&digest, &be(position as u64)]));
        assert_eq!(item_id(&opened.digest, u32::try_from(position).unwrap()).0, id);
        assert_eq!(opened.item_ids()[position].0, id);
        item["item_id"] = json!(hex::encode(id));
        // Every seat's share fits, and the last three seats open the item.
        let p = Polynomials::of_item(position);
        let shares: Vec<Share> = SEATS.iter().map(|i| Share::from_bytes(seat(*i), &p.share(*i)).unwrap()).collect();
        for s in &shares {
            assert_eq!(opened.commitments(position).unwrap().verify(s), Ok(()));
        }
        let last: Vec<&Share> = shares[2..].iter().collect();
        let key = open_item(&opened, position, &last).unwrap().key;
        assert_eq!(json!(hex::encode(key.expose())), item["thread_key"]);
    }
    let blobs: Vec<Value> = SEATS
        .iter()
        .map(|i| {
            let clear: Vec<u8> = (0..2).flat_map(|item| Polynomials::of_item(item).share(*i)).collect();
            let aad = labelled("escrow/v1/shares", &[&digest, &be(u64::from(*i))]);
            // The node's own function opens exactly what was sealed to these bytes.
            let key = sealing(Suite::XWing, 7);
            let blob = escrow_core::sealing::seal(key.public(), &aad, &clear).unwrap();
            assert_eq!(opened.verify_blob(seat(*i), &key, &blob).unwrap().len(), 2);
            json!({ "seat": i, "aad": hex::encode(aad), "plaintext": hex::encode(clear) })
        })
        .collect();
    json!({
        "about": "A deal with fixed polynomials. share = f(seat) || r(seat); commitments f_j*G + r_j*H, uncompressed; PRK = HKDF-Extract(deal nonce, secret); KEK and key_check by HKDF-Expand with info labelled {escrow/v1/kek or escrow/v1/key-check, context}; wrapped = nonce || AES-256-GCM(KEK, nonce, thread key, aad = context); item id = SHA-256 of labelled {escrow/v1/item-id, SHA-256(deal), position}; aad of a seat's blob = labelled {escrow/v1/shares, SHA-256(deal), seat}.",
        "deal": text(&bytes),
        "deal_sha256": hex::encode(digest),
        "items": items,
        "blobs": blobs,
    })
}

fn reply() -> Value {
    let recipient = sealing(Suite::XWing, 7).public().digest();
    let context = ReplyContext { genesis: d(1), request: d(2), seat: seat(3), generation: 4, recipient };
    let aad = labelled("escrow/v1/reply", &[&[1; 32], &[2; 32], &be(3), &be(4), &recipient.0]);
    assert_eq!(context.aad(), aad);
    json!({
        "about": "aad of a reply = labelled {escrow/v1/reply, genesis digest, request digest, seat, generation, recipient key digest}.",
        "genesis": d(1),
        "request": d(2),
        "seat": 3,
        "generation": 4,
        "recipient": recipient,
        "aad": hex::encode(aad),
    })
}

/// SHA-256 in counter mode: the same bytes on every run, for sealing only in these files.
struct Counter {
    seed: [u8; 32],
    block: u64,
    left: Vec<u8>,
}

impl rand_core::TryRng for Counter {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut b = [0u8; 4];
        self.try_fill_bytes(&mut b)?;
        Ok(u32::from_le_bytes(b))
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut b = [0u8; 8];
        self.try_fill_bytes(&mut b)?;
        Ok(u64::from_le_bytes(b))
    }
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        while self.left.len() < out.len() {
            self.left.extend(sha256(&[&self.seed[..], &be(self.block)].concat()));
            self.block += 1;
        }
        let rest = self.left.split_off(out.len());
        out.copy_from_slice(&self.left);
        self.left = rest;
        Ok(())
    }
}
impl rand_core::TryCryptoRng for Counter {}

fn suites() -> impl Iterator<Item = Suite> {
    [Suite::XWing, Suite::MlKem768P256].into_iter()
}

/// What `sealing::seal` does, with fixed randomness.
fn seal_by_hand<K: hpke::Kem>(to: &SealingKey, aad: &[u8], clear: &[u8]) -> Vec<u8> {
    let mut rng = Counter { seed: sha256(to.suite.name().as_bytes()), block: 0, left: Vec::new() };
    let key = <K::PublicKey as hpke::Deserializable>::from_bytes(&to.public.0).unwrap();
    let (enc, sealed) = hpke::single_shot_seal_with_rng::<hpke::aead::AesGcm256, hpke::kdf::HkdfSha256, K>(
        &hpke::OpModeS::Base,
        &key,
        b"escrow/v1/hpke",
        clear,
        aad,
        &mut rng,
    )
    .unwrap();
    [&enc.to_bytes()[..], &sealed].concat()
}

fn sealed() -> Value {
    let (aad, clear) = (labelled("escrow/v1/shares", &[&[0xd1; 32], &be(1)]), [0x53u8; 64]);
    let cases: Vec<Value> = suites()
        .map(|suite| {
            let secret: SealingSecret = sealing(suite, 7);
            let bytes = match suite {
                Suite::XWing => seal_by_hand::<hpke::kem::XWing>(secret.public(), &aad, &clear),
                Suite::MlKem768P256 => seal_by_hand::<hpke::kem::MlKem768P256>(secret.public(), &aad, &clear),
            };
            assert_eq!(secret.open(&aad, &bytes).unwrap().as_slice(), clear);
            json!({
                "suite": suite,
                "kem_id": match suite { Suite::XWing => "0x647a", Suite::MlKem768P256 => "0x0050" },
                "key_file_line": *secret.expose(),
                "aad": hex::encode(&aad),
                "plaintext": hex::encode(clear),
                "sealed": hex::encode(bytes),
            })
        })
        .collect();
    json!({
        "about": "HPKE (RFC 9180) base mode, HKDF-SHA256 (0x0001), AES-256-GCM (0x0002), single shot: sealed = enc || ciphertext.",
        "info": "escrow/v1/hpke",
        "cases": cases,
    })
}

fn statements() -> Value {
    let (a, b): (SigningKey, SigningKey) = (ed25519(1), es256(2));
    let cases: Vec<Value> = examples()
        .iter()
        .map(|e| {
            let envelope: Envelope = (e.sign)(&[&a, &b]);
            assert_eq!((e.decode)(&Envelope::parse(envelope.bytes()).unwrap()), Ok(()));
            json!({
                "name": e.name,
                "kind": e.kind,
                "payload_type": e.kind.payload_type(),
                "payload": text(&e.payload),
                "digest": hex::encode(sha256(&e.payload)),
                "envelope": text(envelope.bytes()),
                "envelope_sha256": hex::encode(sha256(envelope.bytes())),
            })
        })
        .collect();
    json!({
        "about": "One valid statement of every kind, then variants; each signed by the two keys of keys.json. digest = SHA-256(payload) is the statement's name.",
        "keys": [a.public(), b.public()],
        "cases": cases,
    })
}

fn envelope() -> Value {
    let key = ed25519(1);
    let payload = serde_json::to_vec(&decision()).unwrap();
    let kind = "application/vnd.escrow.decision.v1+json";
    let by_hand = [format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).as_bytes(), &payload].concat();
    assert_eq!(pae(kind, &payload), by_hand);
    assert_eq!(Kind::Decision.payload_type(), kind);
    let envelope = Envelope::sign(&decision(), &[&key]).unwrap();
    let parsed: Value = serde_json::from_slice(envelope.bytes()).unwrap();
    assert_eq!(parsed["signatures"][0]["sig"], json!(b64(&key.sign(&by_hand))));
    json!({
        "about": "DSSE v1: the signature covers the pre-authentication encoding of payload type and payload bytes.",
        "payload_type": kind,
        "payload": text(&payload),
        "pae": hex::encode(&by_hand),
        "public": key.public(),
        "keyid": key.public().id(),
        "signature": hex::encode(key.sign(&by_hand)),
        "envelope": text(envelope.bytes()),
    })
}

/// File name and the function that makes its content.
type File = (&'static str, fn() -> Value);

const FILES: [File; 10] = [
    ("labels", labels),
    ("generators", generators),
    ("keys", keys),
    ("tokens", tokens),
    ("policy", policy_digest),
    ("deal", deal),
    ("reply", reply),
    ("sealed", sealed),
    ("envelope", envelope),
    ("statements", statements),
];

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors"))
}

/// Members in alphabetical order, whatever order this build of serde_json keeps.
fn sorted(v: &Value) -> Value {
    match v {
        Value::Object(map) => {
            let ordered: std::collections::BTreeMap<_, _> = map.iter().collect();
            Value::Object(ordered.into_iter().map(|(k, v)| (k.clone(), sorted(v))).collect())
        }
        Value::Array(list) => Value::Array(list.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

#[test]
fn golden_files_are_what_the_fixed_inputs_give() {
    let bless = std::env::var_os("ESCROW_BLESS").is_some();
    for (name, make) in FILES {
        let made = format!("{}\n", serde_json::to_string_pretty(&sorted(&make())).unwrap());
        let path = folder().join(format!("{name}.json"));
        if bless {
            std::fs::write(&path, &made).unwrap();
        }
        let stored = std::fs::read_to_string(&path).unwrap_or_default();
        if let Some((line, (was, is))) = (1..).zip(stored.lines().zip(made.lines())).find(|(_, (was, is))| was != is) {
            panic!(
                "vectors/{name}.json line {line}\n was {was}\n is  {is}\nA change here is a change of the protocol."
            );
        }
        assert_eq!(stored.len(), made.len(), "vectors/{name}.json: lines missing or more");
    }
}

#[test]
fn constants_that_other_documents_repeat() {
    // Typed in, so that blessing the files cannot move them.
    assert_eq!(
        generators()["h_compressed"],
        json!("0221027a5c10dc6dfafffaa5b62f314ea7b19154ccb295139841c990e298e55ea4")
    );
    assert_eq!(
        hex::encode(uncompressed(ProjectivePoint::GENERATOR)),
        "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
    );
    assert_eq!(labels()["cases"][0]["bytes"], json!("000000000000000178"));
    let deal = deal();
    let pinned = [
        (deal["deal_sha256"].clone(), "99589583cdfcdeb63bc02a8bc112f3085c6fb89aa29773a9815c05b6a075d8bc"),
        (deal["items"][0]["item_id"].clone(), "b6c22a7e5ecf4fc64a4f0234d16179b48b8c69f9d34b6000b3b8fe3494a1bcfc"),
        (deal["items"][1]["key_check"].clone(), "07a5768a0570096ef733c899def5744d189148a8a260cf8c13f4be36a4a7ce92"),
        (policy_digest()["digest"].clone(), "ea2d7c52f5c656b97951ebb811fae7adabe5d4324ea41485282c1267909f87bf"),
        (tokens()["subject"].clone(), "v1:f85e5b36fb8028a60c2e144199fd2b7642c3fd870f0c58ff72c7ba4f31799e2e"),
        (keys()["signature_keys"][0]["keyid"].clone(), "8461cd240de5f382"),
        (keys()["signature_keys"][1]["keyid"].clone(), "3dde00534adeee8c"),
    ];
    for (made, typed) in pinned {
        assert_eq!(made, json!(typed));
    }
}
