//! The worked examples of `docs/protocol.md` about log and bundle, made again from fixed inputs and
//! compared with the page. `ESCROW_BLESS=1 cargo test -p escrow-audit --test protocol_examples`
//! rewrites the blocks.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test that panics has failed

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use escrow_audit::bundle::{Index, LogRef, Variant};
use escrow_audit::checkpoint::Checkpoint;
use escrow_audit::entry::{Chain, StatementRef};
use escrow_audit::note::{NoteSigner, SignatureLine, VerifierKey, cosign};
use escrow_audit::proof::TlogProof;
use escrow_audit::record;
use escrow_audit::seat::witness_name;
use escrow_audit::tree::{Tree, leaf_hash};
use escrow_audit::witness::AddCheckpoint;
use escrow_core::charter::Basis;
use escrow_core::{Digest, Kind, Nonce, Role, SeatIndex};
use escrow_policy::context::{self, Circumstances, Counters, Participants, bytes};
use escrow_policy::{Event, Rule};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const ORIGIN: &str = "acme.example/1/log";
const WIDTH: usize = 96;

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    Sha256::digest(parts.concat()).into()
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn w<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn line(out: &mut String, name: &str, value: impl std::fmt::Display) {
    out.push_str(&format!("{name} = {value}\n"));
}

fn hex_lines(out: &mut String, name: &str, value: &[u8]) {
    let hex = hex::encode(value);
    if hex.len() <= WIDTH {
        return line(out, name, hex);
    }
    out.push_str(&format!("{name} =\n"));
    for part in hex.as_bytes().chunks(WIDTH) {
        out.push_str(&format!("  {}\n", text(part)));
    }
}

/// Two entries of one log: bytes, made by hand first.
struct Log {
    entries: [String; 2],
    leaves: [[u8; 32]; 2],
    root: [u8; 32],
}

impl Log {
    fn new() -> Self {
        let (stmt, env) = ([0x11; 32], [0x22; 32]);
        let (stmt_hex, env_hex, zeros) = ("11".repeat(32), "22".repeat(32), "00".repeat(32));
        let first = format!(
            r#"{{"v":1,"log":"{ORIGIN}","seq":0,"ts":1795253400000,"prev":"{zeros}","type":"genesis","stmt":"{stmt_hex}","env":"{env_hex}","body":{{"event":"genesis","seat":1}}}}"#
        );
        let leaf0 = sha256(&[&[0], first.as_bytes()]);
        let prev = hex::encode(leaf0);
        let second = format!(
            r#"{{"v":1,"log":"{ORIGIN}","seq":1,"ts":1795253401500,"prev":"{prev}","type":"node.ready","body":{{"event":"ready","peers":[2,3]}}}}"#
        );
        let leaf1 = sha256(&[&[0], second.as_bytes()]);
        let root = sha256(&[&[1], &leaf0, &leaf1]);

        let mut chain = Chain::new(ORIGIN);
        let mut tree = Tree::new();
        let seat = |n| SeatIndex::new(n).unwrap();
        let events = [
            (Event::Genesis { seat: seat(1) }, Some(StatementRef { stmt, env }), 1_795_253_400_000),
            (Event::Ready { peers: vec![seat(2), seat(3)] }, None, 1_795_253_401_500),
        ];
        for ((event, statement, ts), by_hand) in events.into_iter().zip([&first, &second]) {
            let kind = record::entry_type(&event, statement.map(|_| Kind::Charter));
            let made = chain.draft(ts, kind, statement, record::body(&event)).encode().unwrap();
            assert_eq!(text(&made), by_hand);
            chain.push(&made).unwrap();
            tree.append(leaf_hash(&made));
        }
        assert_eq!((chain.root(), tree.root()), (root, root));
        Self { entries: [first, second], leaves: [leaf0, leaf1], root }
    }

    fn tree(&self) -> Tree {
        self.leaves.into_iter().collect()
    }

    fn note_text(&self) -> String {
        format!("{ORIGIN}\n2\n{}\n", STANDARD.encode(self.root))
    }
}

/// First four bytes of SHA-256(name, newline, type, public key).
fn key_id(name: &str, kind: u8, key: &SigningKey) -> [u8; 4] {
    let hash = sha256(&[name.as_bytes(), b"\n", &[kind], key.verifying_key().as_bytes()]);
    [hash[0], hash[1], hash[2], hash[3]]
}

fn signature_line(name: &str, id: [u8; 4], rest: &[&[u8]]) -> String {
    format!("\u{2014} {name} {}\n", STANDARD.encode([&id[..], &rest.concat()].concat()))
}

/// The note of the log and its cosignature by seat 2, by hand and by the code.
fn note() -> (String, String, u64) {
    let log = Log::new();
    let (log_key, witness) = (key(1), key(2));
    let body = log.note_text();
    let signature = log_key.sign(body.as_bytes()).to_bytes();
    let note = format!("{body}\n{}", signature_line(ORIGIN, key_id(ORIGIN, 1, &log_key), &[&signature]));
    let signer = NoteSigner::new(ORIGIN, &log_key).unwrap();
    let checkpoint = Checkpoint::new(ORIGIN, 2, log.root).unwrap().sign(&signer).unwrap();
    assert_eq!(text(&checkpoint.to_bytes()), note);

    let time = 1_795_253_402u64;
    let name = witness_name(&w("acme.example"), SeatIndex::new(2).unwrap());
    let message = format!("cosignature/v1\ntime {time}\n{body}");
    let signature = witness.sign(message.as_bytes()).to_bytes();
    let line = signature_line(&name, key_id(&name, 4, &witness), &[&time.to_be_bytes(), &signature]);
    let ours: SignatureLine = cosign(&name, &witness, time, &body).unwrap();
    assert_eq!(format!("{ours}\n"), line);
    let verifier: VerifierKey = w(&verifier_text(&name, 4, &witness));
    let mut cosigned = checkpoint;
    assert_eq!(cosigned.add_cosignatures(line.as_bytes(), std::slice::from_ref(&verifier)), Ok(1));
    assert_eq!(text(&cosigned.to_bytes()), format!("{note}{line}"));
    (note, line, time)
}

fn verifier_text(name: &str, kind: u8, key: &SigningKey) -> String {
    let bytes = [&[kind][..], key.verifying_key().as_bytes()].concat();
    format!("{name}+{}+{}", hex::encode(key_id(name, kind, key)), STANDARD.encode(bytes))
}

fn entry_example() -> String {
    let log = Log::new();
    let mut out = String::new();
    for (seq, (entry, leaf)) in log.entries.iter().zip(log.leaves).enumerate() {
        line(&mut out, &format!("entry {seq}"), entry);
        line(&mut out, &format!("leaf hash {seq}"), hex::encode(leaf));
    }
    out
}

fn tree_example() -> String {
    let log = Log::new();
    let mut out = String::new();
    line(&mut out, "root = SHA-256(01 || leaf 0 || leaf 1)", hex::encode(log.root));
    line(&mut out, "inclusion proof of entry 1 in size 2", hex::encode(log.tree().inclusion_proof(1, 2).unwrap()[0]));
    line(&mut out, "consistency proof from 1 to 2", hex::encode(log.tree().consistency_proof(1, 2).unwrap()[0]));
    out
}

fn checkpoint_example() -> String {
    let mut out = String::new();
    line(&mut out, "log key seed", hex::encode([1; 32]));
    line(&mut out, "verifier key", verifier_text(ORIGIN, 1, &key(1)));
    format!("{out}note:\n{}", note().0)
}

fn cosignature_example() -> String {
    let (_, made, time) = note();
    let mut out = String::new();
    line(&mut out, "witness key seed", hex::encode([2; 32]));
    line(&mut out, "verifier key", verifier_text("acme.example/2/witness", 4, &key(2)));
    line(&mut out, "time", time);
    let message = format!("cosignature/v1\ntime {time}\n{}", Log::new().note_text());
    hex_lines(&mut out, "signed message", message.as_bytes());
    format!("{out}line:\n{made}")
}

fn proof_example() -> String {
    let log = Log::new();
    let by_hand = format!("c2sp.org/tlog-proof@v1\nindex 1\n{}\n\n{}", STANDARD.encode(log.leaves[0]), note().0);
    let parsed = TlogProof::parse(by_hand.as_bytes()).unwrap();
    let verifier: VerifierKey = w(&verifier_text(ORIGIN, 1, &key(1)));
    assert_eq!(parsed.verify(&log.leaves[1], ORIGIN, &verifier).unwrap().size(), 2);
    by_hand
}

fn add_checkpoint_example() -> String {
    let log = Log::new();
    let proof = STANDARD.encode(log.tree().consistency_proof(1, 2).unwrap()[0]);
    let by_hand = format!("old 1\n{proof}\n\n{}", note().0);
    assert_eq!(AddCheckpoint::parse(by_hand.as_bytes()).unwrap().to_bytes(), by_hand.as_bytes());
    by_hand
}

fn context_example() -> String {
    let by_hand = r#"{"approvals":{"dpo":1,"legal":1},"approvers":2,"authority":true,"basis":"order","consent_bases":["consent","works-agreement"],"consents":{"consented":1,"informed":0,"outside":2},"depositor_consent":"live","earlier_denials":0,"earlier_releases":1,"hold":false,"items":12,"matter":"MAT-2026-0017","notice":"immediate","notice_days":0,"purpose":"investigation","recipient":"person","recipient_is_requestor":false,"requestor":"inv-one","span_days":7,"threads":1,"waited_seconds":3600}"#;
    let circumstances = Circumstances::Release(context::Release {
        requestor: w("inv-one"),
        matter: w("MAT-2026-0017"),
        authority: true,
        basis: Basis::Order,
        consent_bases: vec![Basis::Consent, Basis::WorksAgreement],
        consents: Participants { consented: 1, informed: 0, outside: 2 },
        earlier_denials: 0,
        earlier_releases: 1,
        items: 12,
        notice: "immediate",
        notice_days: 0,
        purpose: w("investigation"),
        recipient: "person",
        recipient_is_requestor: false,
        span_days: 7,
        threads: 1,
    });
    let approvals: BTreeMap<Role, u64> = [(w("dpo"), 1), (w("legal"), 1)].into();
    let counters = Counters { approvals, approvers: 2, waited_seconds: 3_600 };
    assert_eq!(text(&bytes(&circumstances, &counters)), by_hand);
    let mut out = String::new();
    line(&mut out, "context", by_hand);
    line(&mut out, "context digest", hex::encode(sha256(&[by_hand.as_bytes()])));
    out
}

fn recover_context_example() -> String {
    let by_hand = r#"{"approvals":{"dpo":1,"legal":1},"approvers":2,"device_age_seconds":262800,"earlier_denials":0,"earlier_releases":1,"hold":false,"items":12,"other_devices":1,"threads":1,"waited_seconds":3600}"#;
    let circumstances = Circumstances::Recover(context::Recover {
        org: w("acme.example"),
        device: "8461cd240de5f382".to_owned(),
        device_age_before: 259_200,
        earlier_denials: 0,
        earlier_releases: 1,
        items: 12,
        other_devices: 1,
        threads: 1,
    });
    let approvals: BTreeMap<Role, u64> = [(w("dpo"), 1), (w("legal"), 1)].into();
    let counters = Counters { approvals, approvers: 2, waited_seconds: 3_600 };
    assert_eq!(text(&bytes(&circumstances, &counters)), by_hand);
    format!("context = {by_hand}\ncontext digest = {}\n", context::digest(by_hand.as_bytes()))
}

fn index() -> Index {
    Index {
        schema: escrow_audit::bundle::SCHEMA.into(),
        org: w("acme.example"),
        charter: Digest([0x11; 32]),
        export: Nonce([0x0e; 16]),
        created: w("2026-11-21T09:30:01.500Z"),
        logs: vec![LogRef { seat: SeatIndex::new(1).unwrap(), number: 1, origin: ORIGIN.into(), size: 2 }],
        variant: Variant::Full,
        report: escrow_audit::report::VERSION.into(),
        requests: vec![Digest([0x91; 32])],
    }
}

fn bag_info_example() -> String {
    let payload: BTreeMap<String, Vec<u8>> = [("data/x".to_owned(), vec![0; 7])].into();
    let info = index().bag_info(&BTreeSet::from([w("MAT-2026-0017")]), &payload);
    let group = "11".repeat(32);
    let by_hand = format!(
        "Bag-Software-Agent: escrow.bundle.v1\nBagging-Date: 2026-11-21\nExternal-Identifier: MAT-2026-0017\n\
         Bag-Group-Identifier: {group}\nPayload-Oxum: 7.1\n"
    );
    assert_eq!(info, by_hand);
    info
}

fn examples() -> Vec<(&'static str, String)> {
    vec![
        ("log-entry", entry_example()),
        ("log-tree", tree_example()),
        ("log-checkpoint", checkpoint_example()),
        ("log-cosignature", cosignature_example()),
        ("log-proof", proof_example()),
        ("log-add-checkpoint", add_checkpoint_example()),
        ("log-context", context_example()),
        ("log-context-recover", recover_context_example()),
        ("log-bundle-index", String::from_utf8(index().encode()).unwrap()),
        ("log-bundle-readme", index().readme()),
        ("log-bag-info", bag_info_example()),
    ]
}

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/protocol.md")
}

/// Where the block after a marker stands: its lines between the fences.
fn block(page: &str, name: &str) -> std::ops::Range<usize> {
    let marker = format!("<!-- example: {name} -->\n```text\n");
    let start = page.find(&marker).unwrap_or_else(|| panic!("no block {name} in docs/protocol.md")) + marker.len();
    let end = page[start..].find("```\n").unwrap_or_else(|| panic!("block {name} does not end"));
    start..start + end
}

#[test]
fn the_page_shows_what_the_code_does() {
    let mut text = std::fs::read_to_string(page()).unwrap();
    let bless = std::env::var_os("ESCROW_BLESS").is_some();
    for (name, made) in examples() {
        let at = block(&text, name);
        if bless {
            text.replace_range(at, &made);
        } else {
            assert_eq!(text[at], made, "example {name} of docs/protocol.md; a change here is a change of the protocol");
        }
    }
    if bless {
        std::fs::write(page(), text).unwrap();
    }
}

#[test]
fn every_log_block_of_the_page_is_checked_here() {
    let text = std::fs::read_to_string(page()).unwrap();
    let ours: Vec<&str> = examples().iter().map(|(n, _)| *n).collect();
    let log = text.split("<!-- example: ").skip(1).filter(|m| m.starts_with("log-"));
    for marker in log {
        let name = marker.split(" -->").next().unwrap();
        assert!(ours.contains(&name), "{name} is checked by nobody");
    }
}

#[test]
fn the_page_names_every_code_entry_type_and_finding() {
    let text = std::fs::read_to_string(page()).unwrap();
    for rule in Rule::ALL {
        // Families like `consent-*` are listed in full in the table of problems.
        assert!(text.contains(&format!("`{rule}`")), "docs/protocol.md does not name the code {rule}");
    }
    for kind in [
        "genesis",
        "charter.accepted",
        "release.authorized",
        "release.delivered",
        "release.aborted",
        "witness.cosigned",
        "refused",
        "node.ready",
    ] {
        assert!(text.contains(&format!("| `{kind}` |")), "docs/protocol.md does not name the entry type {kind}");
    }
}
