//! The worked examples of `docs/protocol.md`, made again from fixed inputs and compared with the page.
//!
//! Everything is computed by hand from the page's words and then held against the code, so that
//! page, code and example can only change together. `ESCROW_BLESS=1 cargo test -p escrow-core --test
//! protocol_examples` rewrites the blocks. Examples of the log are in `audit/tests/protocol_examples.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test that panics has failed

mod common;

use aes_gcm::aead::{Aead as _, Payload};
use aes_gcm::{Aes256Gcm, KeyInit as _};
use common::*;
use escrow_core::deal::{Deal, Item, OpenedDeal};
use escrow_core::envelope::pae;
use escrow_core::label::{Labelled, labels};
use escrow_core::open::open_item;
use escrow_core::reply::ReplyContext;
use escrow_core::sealing::Suite;
use escrow_core::sharing::{self, Share};
use escrow_core::{Blob, Digest, Envelope, PublicKey, SigningKey};
use hmac::{Hmac, Mac as _};
use p256::elliptic_curve::ff::PrimeField as _;
use p256::elliptic_curve::sec1::ToSec1Point as _;
use p256::{ProjectivePoint, Scalar};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256, Sha512};
use std::path::{Path, PathBuf};

// ---- by hand ----

fn labelled(label: &str, fields: &[&[u8]]) -> Vec<u8> {
    let all = std::iter::once(label.as_bytes()).chain(fields.iter().copied());
    all.flat_map(|f| [&(f.len() as u64).to_be_bytes()[..], f].concat()).collect()
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(message).finalize().into_bytes().into()
}

/// One block of HKDF-Expand (RFC 5869 section 2.3).
fn expand(prk: &[u8], info: &[u8]) -> [u8; 32] {
    hmac_sha256(prk, &[info, &[1]].concat())
}

fn be(n: u64) -> [u8; 8] {
    n.to_be_bytes()
}

fn scalar(name: &str) -> Scalar {
    Scalar::from_repr(sha256(name.as_bytes()).into()).unwrap()
}

fn bytes_of(s: &Scalar) -> [u8; 32] {
    s.to_repr().into()
}

fn point(p: ProjectivePoint) -> Vec<u8> {
    p.to_affine().to_sec1_point(false).as_bytes().to_vec()
}

// ---- one block ----

/// Lines `name = value`; hex longer than a line goes on, indented, on the next.
struct Block(String);

const WIDTH: usize = 96;

impl Block {
    fn new() -> Self {
        Self(String::new())
    }

    fn text(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.0.push_str(&format!("{name} = {value}\n"));
        self
    }

    fn hex(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let hex = hex::encode(value);
        if hex.len() <= WIDTH {
            return self.text(name, hex);
        }
        self.0.push_str(&format!("{name} =\n"));
        for line in hex.as_bytes().chunks(WIDTH) {
            self.0.push_str(&format!("  {}\n", std::str::from_utf8(line).unwrap()));
        }
        self
    }
}

// ---- the examples ----

fn labelled_bytes() -> Block {
    let by_hand = labelled("escrow/v1/item-id", &[&[0xd1; 32], &be(5)]);
    let ours = Labelled::new(labels::ITEM_ID).digest(&d(0xd1)).u64(5);
    assert_eq!(ours.clone().finish(), by_hand);
    Block::new()
        .text("label", "escrow/v1/item-id")
        .hex("field 1", [0xd1; 32])
        .hex("field 2", be(5))
        .hex("L(...)", &by_hand)
        .hex("SHA-256", sha256(&by_hand))
}

fn key(key: &SigningKey) -> Block {
    let public = key.public();
    let digest = sha256(&labelled("escrow/v1/key", &[public.method().as_bytes(), &public.raw()]));
    assert_eq!(public.digest().0, digest);
    assert_eq!(public.id(), hex::encode(&digest[..8]));
    let signature = key.sign(b"escrow");
    assert!(public.verifies(b"escrow", &signature));
    Block::new()
        .text("key file line", key.expose().as_str())
        .text("public", &public)
        .hex("raw", public.raw())
        .hex("digest", digest)
        .hex("key id", &digest[..8])
        .text("message", "escrow")
        .hex("signature", signature)
}

fn ssh_string(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

fn ssh_key() -> Block {
    let secret = ed25519(1);
    let (algorithm, application) = (&b"sk-ssh-ed25519@openssh.com"[..], &b"ssh:"[..]);
    let wire = [algorithm, &secret.public().raw(), application].map(ssh_string).concat();
    let public: PublicKey = w(&format!("sshsig:{}", b64(&wire)));
    let digest = sha256(&labelled("escrow/v1/key", &[b"sshsig", &wire]));
    assert_eq!((public.digest().0, public.raw()), (digest, secret.public().raw()));
    let fields: [&[u8]; 4] = [b"statement@escrow.v1", b"", b"sha512", &Sha512::digest(b"escrow")];
    let asked = [b"SSHSIG".to_vec(), fields.map(ssh_string).concat()].concat();
    let (flags, counter) = ([1], 7u32.to_be_bytes());
    let signed = [&sha256(application)[..], &flags, &counter, &sha256(&asked)].concat();
    let signature =
        [ssh_string(algorithm), ssh_string(&secret.sign(&signed)), flags.to_vec(), counter.to_vec()].concat();
    let fields: [&[u8]; 5] = [&wire, b"statement@escrow.v1", b"", b"sha512", &signature];
    let blob = [b"SSHSIG\0\0\0\x01".to_vec(), fields.map(ssh_string).concat()].concat();
    assert!(public.verifies(b"escrow", &blob));
    Block::new()
        .text("public", &public)
        .hex("raw", public.raw())
        .hex("digest", digest)
        .hex("key id", &digest[..8])
        .text("message", "escrow")
        .hex("asked of the agent", asked)
        .hex("signed by the device", signed)
        .hex("answer of the agent", signature)
        .hex("signature", blob)
}

fn signed_statement() -> Block {
    let key = ed25519(1);
    let payload = serde_json::to_vec(&decision()).unwrap();
    let kind = "application/vnd.escrow.decision.v1+json";
    let by_hand = [format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).as_bytes(), &payload].concat();
    assert_eq!(pae(kind, &payload), by_hand);
    let envelope = Envelope::sign(&decision(), &[&key]).unwrap();
    assert_eq!(envelope.payload(), payload);
    Block::new()
        .text("payload type", kind)
        .text("payload", std::str::from_utf8(&payload).unwrap())
        .hex("PAE", &by_hand)
        .text("public", key.public())
        .hex("signature", key.sign(&by_hand))
        .hex("statement digest", sha256(&payload))
        .text("envelope", std::str::from_utf8(envelope.bytes()).unwrap())
        .hex("envelope digest", sha256(envelope.bytes()))
}

fn tokens() -> Block {
    let key = token_key();
    let id = "+49 30 1234567";
    let message = labelled("escrow/v1/token/subject", &[id.as_bytes()]);
    let mac = |label: &str| hex::encode(hmac_sha256(key.expose(), &labelled(label, &[id.as_bytes()])));
    let (subject, thread) = (mac("escrow/v1/token/subject"), mac("escrow/v1/token/thread"));
    assert_eq!(key.subject(id).to_string(), format!("v1:{subject}"));
    assert_eq!(key.thread(id).to_string(), format!("v1:{thread}"));
    Block::new()
        .hex("token key, version 1", key.expose())
        .text("id", id)
        .hex("HMAC message (subject)", message)
        .text("subject token", key.subject(id))
        .text("thread token", key.thread(id))
}

fn policy_digest() -> Block {
    let p = policy();
    let digest = sha256(&labelled("escrow/v1/policy", &[&be(u64::from(p.schema)), p.text.as_bytes()]));
    assert_eq!(p.digest().0, digest);
    Block::new().text("schema", p.schema).text("text, as a JSON string", json!(p.text)).hex("digest", digest)
}

fn title_commitment() -> Block {
    let (salt, title) = ([0x5a; 16], "Procurement 2026");
    let by_hand = sha256(&labelled("escrow/v1/commitment", &[&salt, title.as_bytes()]));
    assert_eq!(Labelled::new(labels::COMMITMENT).bytes(&salt).bytes(title.as_bytes()).hash().0, by_hand);
    Block::new().hex("salt", salt).text("title", title).hex("commitment", by_hand)
}

fn generators() -> Block {
    let compressed = sharing::h().to_affine().to_sec1_point(true);
    // Typed in: no blessing moves this point.
    let typed = "0221027a5c10dc6dfafffaa5b62f314ea7b19154ccb295139841c990e298e55ea4";
    assert_eq!(hex::encode(compressed.as_bytes()), typed);
    Block::new()
        .text("message", std::str::from_utf8(sharing::H_MESSAGE).unwrap())
        .text("DST", std::str::from_utf8(sharing::H_DST).unwrap())
        .hex("H compressed", compressed.as_bytes())
        .hex("H uncompressed", point(sharing::h()))
}

/// t = 2, seats 1, 2 and 3, one item: f(x) = f0 + f1 x, r(x) = r0 + r1 x.
struct Example {
    f: [Scalar; 2],
    r: [Scalar; 2],
    deal: Deal,
    context: Vec<u8>,
    wrapped: Vec<u8>,
    key_check: [u8; 32],
    kek: [u8; 32],
    prk: [u8; 32],
}

const THREAD_KEY: [u8; 32] = [0x40; 32];

impl Example {
    fn new() -> Self {
        let [f0, f1, r0, r1] = ["f0", "f1", "r0", "r1"].map(|n| scalar(&format!("escrow example {n}")));
        let (f, r) = ([f0, f1], [r0, r1]);
        let mut deal = header(2, 3);
        let about = about(7);
        let context = item_context(&serde_json::to_value(&deal).unwrap(), 0, &serde_json::to_value(&about).unwrap());
        assert_eq!(deal.item_context(0, &about), context);
        let prk = hmac_sha256(&deal.nonce.0, &bytes_of(&f[0]));
        let kek = expand(&prk, &labelled("escrow/v1/kek", &[&context]));
        let key_check = expand(&prk, &labelled("escrow/v1/key-check", &[&context]));
        let nonce = [0x90; 12];
        let cipher = Aes256Gcm::new((&kek).into());
        let sealed = cipher.encrypt((&nonce).into(), Payload { msg: &THREAD_KEY, aad: &context }).unwrap();
        let wrapped = [&nonce[..], &sealed].concat();
        let commitments = [0, 1].map(|j| point(ProjectivePoint::GENERATOR * f[j] + sharing::h() * r[j])).concat();
        deal.items.push(Item {
            about,
            commitments: Blob(commitments),
            key_check: Digest(key_check),
            wrapped: Blob(wrapped.clone()),
        });
        Self { f, r, deal, context, wrapped, key_check, kek, prk }
    }

    fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(&self.deal).unwrap()
    }

    fn share(&self, x: u8) -> Vec<u8> {
        let at = |p: &[Scalar; 2]| bytes_of(&(p[0] + p[1] * Scalar::from(u64::from(x))));
        [at(&self.f), at(&self.r)].concat()
    }
}

/// The item context by hand, from the JSON of the deal.
fn item_context(deal: &Value, position: u64, about: &Value) -> Vec<u8> {
    use base64::Engine as _;
    let s = |v: &Value| v.as_str().unwrap().as_bytes().to_vec();
    let n = |v: &Value| be(v.as_u64().unwrap()).to_vec();
    let base64 = |v: &Value| base64::engine::general_purpose::STANDARD.decode(v.as_str().unwrap()).unwrap();
    let digest = |v: &Value| v.as_str().map_or(Vec::new(), |h| hex::decode(h).unwrap());
    let list = |v: &Value| v.as_array().unwrap().clone();
    let count = |v: &Value| be(list(v).len() as u64).to_vec();
    let mut fields = vec![s(&deal["org"]), base64(&deal["nonce"]), be(position).to_vec()];
    fields.extend([
        n(&deal["generation"]),
        n(&deal["t"]),
        n(&deal["n"]),
        digest(&deal["consent"]),
        count(&deal["policies"]),
    ]);
    fields.extend(list(&deal["policies"]).iter().flat_map(|p| [s(&p["id"]), digest(&p["digest"])]));
    fields.extend([
        s(&deal["depositor"]),
        s(&about["source"]),
        s(&about["thread"]),
        n(&about["era"]),
        n(&about["epoch"]),
    ]);
    fields.extend([base64(&about["authenticator"]), s(&about["from"]), s(&about["to"]), digest(&about["archive"])]);
    fields.push(count(&about["participants"]));
    for p in list(&about["participants"]) {
        fields.extend([s(&p["token"]), be(u64::from(p["inside"].as_bool().unwrap())).to_vec()]);
    }
    labelled("escrow/v1/item", &fields.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

fn share_check() -> Block {
    let e = Example::new();
    let share = e.share(2);
    let opened = OpenedDeal::parse(&e.bytes()).unwrap();
    let parsed = Share::from_bytes(seat(2), &share).unwrap();
    assert_eq!(opened.commitments(0).unwrap().verify(&parsed), Ok(()));
    let (value, blinding) = share.split_at(32);
    let [f2, r2] = [value, blinding].map(|b| Scalar::from_repr(<[u8; 32]>::try_from(b).unwrap().into()).unwrap());
    let left = ProjectivePoint::GENERATOR * f2 + sharing::h() * r2;
    let c = [0, 1].map(|j| ProjectivePoint::GENERATOR * e.f[j] + sharing::h() * e.r[j]);
    assert_eq!(left, c[0] + c[1] * Scalar::from(2u64));
    Block::new()
        .text("t", 2)
        .hex("f_0 = s", bytes_of(&e.f[0]))
        .hex("f_1", bytes_of(&e.f[1]))
        .hex("r_0", bytes_of(&e.r[0]))
        .hex("r_1", bytes_of(&e.r[1]))
        .hex("commitments C_0 || C_1", &e.deal.items[0].commitments.0)
        .text("seat i", 2)
        .hex("share f(2) || r(2)", &share)
        .hex("f(2)*G + r(2)*H", point(left))
        .hex("C_0 + 2*C_1", point(c[0] + c[1] * Scalar::from(2u64)))
}

fn context() -> Block {
    let e = Example::new();
    Block::new()
        .text("deal, its items left out", serde_json::to_string(&header(2, 3)).unwrap())
        .text("about", serde_json::to_string(&e.deal.items[0].about).unwrap())
        .text("position", 0)
        .hex("item context", &e.context)
        .hex("SHA-256", sha256(&e.context))
}

fn wrapping() -> Block {
    let e = Example::new();
    // Any two seats open it again, by the code's own path.
    let opened = OpenedDeal::parse(&e.bytes()).unwrap();
    let shares = [1, 3].map(|i| Share::from_bytes(seat(i), &e.share(i)).unwrap());
    let key = open_item(&opened, 0, &shares.iter().collect::<Vec<_>>()).unwrap().key;
    assert_eq!(*key.expose(), THREAD_KEY);
    Block::new()
        .hex("ikm = s", bytes_of(&e.f[0]))
        .hex("salt = deal nonce", e.deal.nonce.0)
        .hex("PRK", e.prk)
        .hex("KEK", e.kek)
        .hex("key_check", e.key_check)
        .hex("GCM nonce", [0x90; 12])
        .hex("thread key", THREAD_KEY)
        .hex("wrapped = nonce || ciphertext || tag", &e.wrapped)
}

fn item_id() -> Block {
    let e = Example::new();
    let digest = sha256(&e.bytes());
    let id = sha256(&labelled("escrow/v1/item-id", &[&digest, &be(0)]));
    assert_eq!(OpenedDeal::parse(&e.bytes()).unwrap().item_ids()[0].0, id);
    Block::new()
        .text("deal", std::str::from_utf8(&e.bytes()).unwrap())
        .hex("SHA-256(deal)", digest)
        .text("position", 0)
        .hex("item id", id)
}

fn shares_aad() -> Block {
    let e = Example::new();
    let digest = sha256(&e.bytes());
    let aad = labelled("escrow/v1/shares", &[&digest, &be(2)]);
    // The node's own function opens what was sealed to these bytes, and to no others.
    let (key, opened) = (sealing(Suite::XWing, 7), OpenedDeal::parse(&e.bytes()).unwrap());
    let blob = escrow_core::sealing::seal(key.public(), &aad, &e.share(2)).unwrap();
    assert_eq!(opened.verify_blob(seat(2), &key, &blob).unwrap().len(), 1);
    assert!(opened.verify_blob(seat(3), &key, &blob).is_err());
    Block::new().hex("SHA-256(deal)", digest).text("seat", 2).hex("aad", aad).hex("plaintext", e.share(2))
}

fn sealing_keys() -> Block {
    let mut block = Block::new();
    for suite in [Suite::XWing, Suite::MlKem768P256] {
        let secret = sealing(suite, 7);
        let public = secret.public();
        let digest = sha256(&labelled("escrow/v1/key", &[suite.name().as_bytes(), &public.public.0]));
        assert_eq!(public.digest().0, digest);
        block = block
            .text("suite", suite.name())
            .hex("private seed", [7; 32])
            .text("public key bytes", public.public.0.len())
            .hex("SHA-256(public key)", sha256(&public.public.0))
            .hex("sealing-key digest", digest);
    }
    block
}

fn reply_aad() -> Block {
    let recipient = sealing(Suite::XWing, 7).public().digest();
    let context = ReplyContext { genesis: d(1), request: d(2), seat: seat(3), generation: 4, recipient };
    let aad = labelled("escrow/v1/reply", &[&[1; 32], &[2; 32], &be(3), &be(4), &recipient.0]);
    assert_eq!(context.aad(), aad);
    Block::new()
        .hex("genesis", [1; 32])
        .hex("request", [2; 32])
        .text("seat", 3)
        .text("generation", 4)
        .hex("recipient's sealing-key digest", recipient.0)
        .hex("aad", aad)
}

/// The header of the segment that another program wrote and the client opens in its own tests.
fn archive_header() -> Block {
    let file = repository().join("escrow-client/src/archive/segment-v1.hex");
    let text: String = std::fs::read_to_string(file).unwrap().split_whitespace().collect();
    let segment = hex::decode(text).unwrap();
    let key = [1u8; 32];
    let thread = token_of(7, "t");
    let (from, to) = (1_525_478_400_000u64, 1_525_564_800_000u64);
    let fields =
        labelled("escrow/v1/archive", &[b"acme.example", thread.as_bytes(), &be(3), &be(17_656), &be(from), &be(to)]);
    let head = [b"ESCSEG\0\x01", &u32::try_from(fields.len()).unwrap().to_be_bytes()[..], &fields].concat();
    let prk = hmac_sha256(&[0; 32], &key);
    let commitment = expand(&prk, &labelled("escrow/v1/archive-key", &[&sha256(&head)]));
    let start = [&head[..], &commitment].concat();
    assert_eq!(segment[..start.len()], start, "the client's reference segment");
    let header = sha256(&start);
    let record_key = expand(&prk, &labelled("escrow/v1/archive", &[b"record-key", &header]));
    let aad = labelled("escrow/v1/archive", &[b"record", &header, &be(0), &header, &be(0)]);
    let record = &segment[start.len()..];
    let length = u32::from_be_bytes(record[1..5].try_into().unwrap()) as usize;
    let (nonce, sealed) = record[5..5 + length].split_at(12);
    let nonce: [u8; 12] = nonce.try_into().unwrap();
    let clear =
        Aes256Gcm::new((&record_key).into()).decrypt((&nonce).into(), Payload { msg: sealed, aad: &aad }).unwrap();
    assert_eq!(clear[..11], [&be(1)[..], &[0, 1], b"a"].concat());
    Block::new()
        .hex("thread key", key)
        .text("org, thread", format!("acme.example, {thread}"))
        .text("era, epoch, from, to", format!("3, 17656, {from}, {to}"))
        .hex("magic .. fields", &head)
        .hex("PRK", prk)
        .hex("commitment", commitment)
        .hex("header", header)
        .hex("record key", record_key)
        .hex("associated data of record 0", aad)
        .hex("record 0", &record[..5 + length])
        .hex("clear text of record 0", clear)
}

/// The attachment that another program sealed and the client opens in its own tests.
fn attachment() -> Block {
    let file = repository().join("escrow-client/src/archive/attachment-v1.hex");
    let text: String = std::fs::read_to_string(file).unwrap().split_whitespace().collect();
    let sealed = hex::decode(text).unwrap();
    let (thread, clear) = (token_of(7, "t"), b"words");
    let (from, to) = (be(1_525_478_400_000), be(1_525_564_800_000));
    let prk = hmac_sha256(&[0; 32], &[1; 32]);
    let info = |what: &[u8], salt: &[&[u8]]| {
        let (era, epoch, digest) = (be(3), be(17_656), sha256(clear));
        let fields: [&[u8]; 7] = [what, thread.as_bytes(), &era, &epoch, &from, &to, &digest];
        labelled(labels::ATTACHMENT, &[&fields[..], salt].concat())
    };
    let (head, salt) = sealed[..40].split_at(8);
    assert_eq!(head, b"ESCATT\0\x01");
    let key = expand(&prk, &info(b"key", &[salt]));
    let nonce = [[0; 7].as_slice(), &[0, 0, 0, 0, 1]].concat();
    let nonce: [u8; 12] = nonce.try_into().unwrap();
    let opened = Aes256Gcm::new((&key).into()).decrypt((&nonce).into(), &sealed[40..]).unwrap();
    assert_eq!(opened, clear);
    Block::new()
        .hex("thread key", [1; 32])
        .text("thread", &thread)
        .text("era, epoch, from, to", "3, 17656, 1525478400000, 1525564800000")
        .hex("clear text", clear)
        .hex("sha256", sha256(clear))
        .hex("PRK", prk)
        .hex("I(\"name\")", info(b"name", &[]))
        .hex("name", expand(&prk, &info(b"name", &[])))
        .hex("salt", salt)
        .hex("I(\"key\") with the salt", info(b"key", &[salt]))
        .hex("key", key)
        .hex("nonce of chunk 0", nonce)
        .hex("file", &sealed)
}

fn token_of(key: u8, id: &str) -> String {
    format!("v1:{}", hex::encode(hmac_sha256(&[key; 32], &labelled("escrow/v1/token/thread", &[id.as_bytes()]))))
}

fn blocks() -> Vec<(&'static str, Block)> {
    assert!(matches!(es256(2).public(), PublicKey::Es256(_)));
    vec![
        ("labelled", labelled_bytes()),
        ("key-ed25519", key(&ed25519(1))),
        ("key-es256", key(&es256(2))),
        ("key-sshsig", ssh_key()),
        ("statement", signed_statement()),
        ("token", tokens()),
        ("policy-digest", policy_digest()),
        ("title-commitment", title_commitment()),
        ("generators", generators()),
        ("item-context", context()),
        ("wrap", wrapping()),
        ("share-check", share_check()),
        ("item-id", item_id()),
        ("sealing-key", sealing_keys()),
        ("shares-aad", shares_aad()),
        ("reply-aad", reply_aad()),
        ("archive-header", archive_header()),
        ("attachment", attachment()),
    ]
}

// ---- the page ----

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn page() -> PathBuf {
    repository().join("docs/protocol.md")
}

/// Where the block after a marker stands: its lines between the fences.
fn block(page: &str, name: &str) -> std::ops::Range<usize> {
    let marker = format!("<!-- example: {name} -->\n```text\n");
    let start = page.find(&marker).unwrap_or_else(|| panic!("the page has no block {name}")) + marker.len();
    let end = page[start..].find("```\n").unwrap_or_else(|| panic!("block {name} does not end"));
    start..start + end
}

#[test]
fn the_page_shows_what_the_code_does() {
    let mut text = std::fs::read_to_string(page()).unwrap();
    let bless = std::env::var_os("ESCROW_BLESS").is_some();
    for (name, made) in blocks() {
        let at = block(&text, name);
        if bless {
            text.replace_range(at, &made.0);
        } else {
            assert_eq!(
                text[at], made.0,
                "example {name} of docs/protocol.md; a change here is a change of the protocol"
            );
        }
    }
    if bless {
        std::fs::write(page(), text).unwrap();
    }
}

#[test]
fn every_marked_block_of_the_page_is_checked_by_a_test() {
    let text = std::fs::read_to_string(page()).unwrap();
    let ours: Vec<&str> = blocks().iter().map(|(n, _)| *n).collect();
    for marker in text.split("<!-- example: ").skip(1) {
        let name = marker.split(" -->").next().unwrap();
        assert!(ours.contains(&name) || name.starts_with("log-"), "{name} is checked by nobody");
    }
}

#[test]
fn the_page_of_webhooks_shows_a_real_body() {
    let path = repository().join("docs/webhooks.md");
    let mut text = std::fs::read_to_string(&path).unwrap();
    let envelope = Envelope::sign(&notification(), &[&ed25519(1)]).unwrap();
    let made = format!(
        "POST /escrow HTTP/1.1\nhost: mail-gateway.acme.example\ncontent-type: application/json\nidempotency-key: {}\n\n{}\n\n\
        of which the payload is\n\n{}\n",
        envelope.digest(),
        std::str::from_utf8(envelope.bytes()).unwrap(),
        std::str::from_utf8(envelope.payload()).unwrap(),
    );
    let at = block(&text, "webhook");
    if std::env::var_os("ESCROW_BLESS").is_some() {
        text.replace_range(at, &made);
        std::fs::write(path, text).unwrap();
    } else {
        assert_eq!(text[at], made, "the example of docs/webhooks.md");
    }
}

/// Names of all members, at every depth.
fn members(value: &Value, out: &mut std::collections::BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            out.extend(map.keys().cloned());
            map.values().for_each(|v| members(v, out));
        }
        Value::Array(list) => list.iter().for_each(|v| members(v, out)),
        _ => {}
    }
}

#[test]
fn the_page_names_every_label_member_kind_and_route() {
    let text = std::fs::read_to_string(page()).unwrap();
    let read = |file: &str| std::fs::read_to_string(repository().join(file)).unwrap();
    let quoted = |source: &str, start: &str| -> Vec<String> {
        let found = source.split('"').filter(|s| s.starts_with(start) && !s.contains(' ')).map(str::to_owned);
        found.collect()
    };
    let sources =
        ["escrow-core/src/label.rs", "escrow-core/src/charter.rs", "escrow-core/src/sealing.rs"].map(read).join("\n");
    let labels = quoted(&sources, "escrow/v1/");
    assert!(labels.len() > 15, "{labels:?}");
    let openapi: Value = serde_json::from_str(&read("docs/openapi.json")).unwrap();
    let routes: Vec<String> = openapi["paths"].as_object().unwrap().keys().cloned().collect();
    assert!(routes.len() > 12, "{routes:?}");
    for word in labels.iter().chain(&routes) {
        assert!(text.contains(word), "docs/protocol.md does not name {word}");
    }
    let mut names = std::collections::BTreeSet::new();
    for e in examples() {
        members(&serde_json::from_slice(&e.payload).unwrap(), &mut names);
        let kind = format!("`{}`", e.kind);
        assert!(text.contains(&kind), "docs/protocol.md has no kind {kind}");
    }
    members(&serde_json::from_slice(&Example::new().bytes()).unwrap(), &mut names);
    for name in names {
        let stands = text.contains(&format!("`{name}`")) || text.contains(&format!("\"{name}\""));
        assert!(stands, "docs/protocol.md does not name the member {name}");
    }
}

/// `file::function` in a document names a test that is there.
#[test]
fn every_test_that_the_threat_model_cites_is_there() {
    let text = std::fs::read_to_string(repository().join("docs/threat-model.md")).unwrap();
    let cited: Vec<(&str, &str)> = text.split('`').skip(1).step_by(2).filter_map(|c| c.split_once(".rs::")).collect();
    assert!(cited.len() > 30, "{}", cited.len());
    for (file, name) in cited {
        let source = std::fs::read_to_string(repository().join(format!("{file}.rs")));
        let source = source.unwrap_or_else(|e| panic!("{file}.rs: {e}"));
        assert!(source.contains(&format!("fn {name}(")), "{file}.rs has no test {name}");
    }
}
