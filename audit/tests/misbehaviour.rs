//! Files that prove misbehaviour alone: made from bundles, checked with nothing but the pinned digest,
//! and worth nothing as soon as anything in them is another.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "common/mod.rs"]
mod common;

use common::forge::{expect, expect_among, rules};
use common::{Cluster, seat_index};
use escrow_audit::checkpoint::{Checkpoint, VerifiedCheckpoint};
use escrow_audit::entry::{Chain, Entry, leaf_hash};
use escrow_audit::finding::Class;
use escrow_audit::misbehaviour::{Contradiction, Guilt, NotProven, check, is_one, prove};
use escrow_audit::note::{NoteSigner, cosign};
use escrow_audit::proof::TlogProof;
use escrow_audit::seat;
use escrow_audit::tree::Tree;
use escrow_audit::verify::{Examined, Options, ReceiptFile, examine};
use escrow_core::limits::HTTP_BODY_MAX;
use escrow_core::receipt::Receipt;
use escrow_core::{Blob, Digest, Envelope, Kind, Nonce, SigningKey};
use escrow_policy::Event;
use serde_json::Value;

fn settled() -> Cluster {
    let mut c = Cluster::honest();
    c.settle();
    c
}

fn run(c: &Cluster, receipts: &[ReceiptFile<'_>]) -> Examined {
    examine(&c.full(), &c.genesis, Options::default(), receipts)
}

/// Seat 1 writes its log anew from entry `at` on and signs the new head with its real key.
fn rewrite(c: &mut Cluster, at: usize) {
    let node = &mut c.nodes[0];
    let mut chain = Chain::new(node.chain.origin());
    let mut entries = Vec::new();
    for (i, bytes) in node.entries.iter().enumerate() {
        let mut entry = Entry::decode(bytes).unwrap();
        entry.prev = chain.head();
        entry.ts += u64::from(i >= at);
        let bytes = entry.encode().unwrap();
        chain.push(&bytes).unwrap();
        entries.push(bytes);
    }
    node.tree = entries.iter().map(|e| leaf_hash(e)).collect();
    (node.chain, node.entries) = (chain, entries);
}

fn log_key(c: &Cluster, n: usize) -> String {
    seat::log_verifier(&c.charter.seats[n]).unwrap().to_string()
}

/// Bytes of the file made others, one at a time: none may still prove anything against anybody.
fn nothing_else_proves(c: &Cluster, proof: &[u8], guilt: &Guilt) {
    assert_eq!(&check(proof, &c.genesis).unwrap(), guilt);
    assert!(is_one(proof) && !is_one(b"{}") && !is_one(b""));
    let other = check(proof, &Digest([9; 32])).unwrap_err();
    assert!(matches!(other, NotProven::Charter(_)), "{other}");
    for cut in [0, 1, proof.len() / 2, proof.len() - 2] {
        assert!(check(&proof[..cut], &c.genesis).is_err());
    }
    let text = std::str::from_utf8(proof).unwrap();
    let (evidence, mut tried) = (text.find("\"evidence\"").unwrap(), 0);
    // All of the evidence, and samples of the charters before it, which are long.
    let places = proof.iter().enumerate().filter(|(at, _)| *at > evidence || at % 17 == 0);
    for (at, byte) in places.filter(|(_, b)| b.is_ascii_alphanumeric()) {
        let mut bent = proof.to_vec();
        bent[at] = if *byte == b'a' { b'b' } else { b'a' };
        if let Ok(found) = check(&bent, &c.genesis) {
            panic!("offset {at}: {found:?} in {}", &text[at.saturating_sub(60)..at]);
        }
        tried += 1;
    }
    assert!(tried > 500, "{tried}");
    let mut json: Value = serde_json::from_slice(proof).unwrap();
    json["more"] = 1.into();
    assert!(matches!(check(json.to_string().as_bytes(), &c.genesis), Err(NotProven::Format(_))));
}

#[test]
fn a_log_written_anew_is_convicted_by_two_heads_of_different_size() {
    let mut c = settled();
    rewrite(&mut c, 5);
    let found = run(&c, &[]);
    expect_among(&found.report, Class::Misbehaviour, "fork");
    assert!(!found.proofs.is_empty());
    let key = log_key(&c, 0);
    for proof in &found.proofs {
        let guilt = check(proof, &c.genesis).unwrap();
        assert_eq!((guilt.seat, guilt.keys.as_slice()), (Some(seat_index(1)), &[key.clone()][..]));
        assert!(guilt.witnesses.is_empty());
    }
    // The note of the delivery is of an earlier size: the file carries the tree's own word for it.
    let larger = |p: &&Vec<u8>| {
        let json: Value = serde_json::from_slice(p).unwrap();
        json["evidence"]["consistency"].as_array().is_some_and(|a| !a.is_empty())
    };
    let proof = found.proofs.iter().find(larger).expect("one with a consistency proof");
    nothing_else_proves(&c, proof, &check(proof, &c.genesis).unwrap());
}

#[test]
fn an_honest_cluster_gives_no_file() {
    let c = settled();
    let found = run(&c, &[]);
    expect(&found.report, Class::Ok, &[]);
    assert_eq!(found.proofs, Vec::<Vec<u8>>::new());
}

fn head(c: &Cluster, n: usize, size: u64, root: [u8; 32]) -> VerifiedCheckpoint {
    let node = &c.nodes[n];
    let signer = NoteSigner::new(node.chain.origin(), &node.log_key).unwrap();
    Checkpoint::new(node.chain.origin(), size, root).unwrap().sign(&signer).unwrap()
}

fn with_line(c: &Cluster, mut head: VerifiedCheckpoint, witness: usize) -> VerifiedCheckpoint {
    let node = &c.nodes[witness];
    let name = seat::witness_name(&c.charter.org, node.index);
    let time = u64::try_from(c.now.millis() / 1000).unwrap();
    let line = cosign(&name, &node.witness, time, head.note().text()).unwrap();
    let key = seat::witness_verifier(&c.charter.org, &c.charter.seats[witness]).unwrap();
    assert_eq!(head.add_cosignatures(format!("{line}\n").as_bytes(), &[key]), Ok(1));
    head
}

#[test]
fn two_roots_for_one_size_convict_the_log_and_whoever_cosigned_both() {
    let mut c = settled();
    let size = c.nodes[0].tree.size() + 9;
    let (a, b) = (head(&c, 0, size, [1; 32]), head(&c, 0, size, [2; 32]));
    let (a, b) = (with_line(&c, a, 2), with_line(&c, b, 2));
    c.nodes[0].held.insert(seat_index(2), a);
    c.nodes[0].held.insert(seat_index(3), b);
    let found = run(&c, &[]);
    expect_among(&found.report, Class::Misbehaviour, "cosigned-fork");
    // Fork and witness point at the same two notes: one file.
    assert_eq!(found.proofs.len(), 1);
    let guilt = check(&found.proofs[0], &c.genesis).unwrap();
    let witness = seat::witness_verifier(&c.charter.org, &c.charter.seats[2]).unwrap().to_string();
    assert_eq!(guilt.witnesses, [(seat_index(3), witness)]);
    assert_eq!(guilt.keys, [log_key(&c, 0)]);
    let charters = charters(&c);
    let text = |h: &VerifiedCheckpoint| String::from_utf8(h.to_bytes()).unwrap();
    let heads = |first: &VerifiedCheckpoint, second: &VerifiedCheckpoint, root, consistency| {
        let (first, second) = (text(first), text(second));
        prove(&charters, Contradiction::Heads { first, second, root, consistency }, &c.genesis)
    };
    let node = &c.nodes[0];
    let (small, large) = (node.head(6), node.head(9));
    let honest: Vec<Digest> = node.tree.consistency_proof(6, 9).unwrap().into_iter().map(Digest).collect();
    let refused = |r: Result<Vec<u8>, NotProven>| assert!(r.is_err(), "{}", String::from_utf8(r.unwrap()).unwrap());
    // Honest heads convict nobody, whatever is written beside them.
    refused(heads(&small, &small, None, vec![]));
    refused(heads(&small, &large, None, vec![]));
    refused(heads(&small, &large, Some(Digest(*small.root())), honest.clone()));
    refused(heads(&small, &large, Some(Digest([3; 32])), honest.clone()));
    refused(heads(&small, &large, Some(Digest([3; 32])), vec![]));
    refused(heads(&large, &small, Some(Digest([3; 32])), honest.clone()));
    refused(heads(&small, &c.nodes[1].head(6), None, vec![]));
    // A size-0 tree has one root, and extends to everything.
    refused(heads(&node.head(0), &large, Some(Digest([3; 32])), vec![]));
    // A forged signature, or a key that no charter lists.
    let stranger = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let signer = NoteSigner::new(node.chain.origin(), &stranger).unwrap();
    let forged = Checkpoint::new(node.chain.origin(), 6, [5; 32]).unwrap().sign(&signer).unwrap();
    refused(heads(&small, &forged, None, vec![]));
    refused(heads(&forged, &small, None, vec![]));
}

fn charters(c: &Cluster) -> Vec<Envelope> {
    c.statements.iter().filter(|e| e.kind() == Kind::Charter).take(1).cloned().collect()
}

#[test]
fn administrators_are_convicted_by_two_successors() {
    let mut c = Cluster::new();
    let next = |c: &Cluster| {
        let mut next = c.charter.clone();
        (next.version, next.previous, next.nonce) = (2, Some(c.genesis), Nonce::random());
        c.signed(&next, &["ann", "bob"])
    };
    let (a, b) = (next(&c), next(&c));
    c.submit(&a);
    c.submit(&b);
    c.settle();
    let found = run(&c, &[]);
    expect_among(&found.report, Class::Misbehaviour, "charter-fork");
    assert_eq!(found.proofs.len(), 1);
    let guilt = check(&found.proofs[0], &c.genesis).unwrap();
    let mut ids: Vec<String> = ["ann", "bob"].iter().map(|n| c.people[n].public().id()).collect();
    let mut keys = guilt.keys.clone();
    ids.sort();
    keys.sort();
    assert_eq!((guilt.seat, keys), (None, ids));
    let charters = &charters(&c);
    let blob = |e: &Envelope| Blob(e.bytes().to_vec());
    let prove = |first: &Envelope, second: &Envelope| {
        prove(charters, Contradiction::Charters { first: blob(first), second: blob(second) }, &c.genesis)
    };
    assert!(prove(&a, &b).is_ok() && prove(&a, &a).is_err());
    let mut lone = c.charter.clone();
    (lone.version, lone.previous, lone.nonce) = (2, Some(c.genesis), Nonce::random());
    assert!(prove(&a, &c.signed(&lone, &["ann"])).is_err(), "one administrator alone signs no successor");
    assert!(prove(&a, &charters[0]).is_err());
}

/// A node's answer to whoever submitted the entry at `at`.
fn receipt(c: &Cluster, n: usize, at: u64, key: &SigningKey) -> Vec<u8> {
    let node = &c.nodes[n];
    let size = node.tree.size();
    let entry = Entry::decode(&node.entries[usize::try_from(at).unwrap()]).unwrap();
    let statement = entry.statement.expect("an entry with a statement");
    let receipt = Receipt {
        kind: Kind::Receipt,
        org: c.charter.org.clone(),
        nonce: Nonce::random(),
        charter: c.genesis,
        seat: node.index,
        statement: Digest(statement.stmt),
        envelope: Digest(statement.env),
        log: node.chain.origin().to_owned(),
        seq: at,
        leaf: Digest(leaf_hash(&node.entries[usize::try_from(at).unwrap()])),
        at: c.now,
    };
    let envelope = Envelope::sign(&receipt, &[key]).unwrap();
    let hashes = node.tree.inclusion_proof(at, size).unwrap();
    let proof = TlogProof { extra: None, index: at, hashes, checkpoint: node.head(size).note().clone() };
    let proof = String::from_utf8(proof.to_bytes()).unwrap();
    serde_json::to_vec(&serde_json::json!({"receipt": Blob(envelope.bytes().to_vec()), "proof": proof})).unwrap()
}

fn signing_key(c: &Cluster, n: usize) -> &SigningKey {
    &c.nodes[n].statement
}

#[test]
fn a_receipt_convicts_a_log_that_lost_its_entry() {
    let mut c = Cluster::honest();
    c.withdraw(&[0]);
    let at = c.nodes[0].tree.size() - 1;
    let held = receipt(&c, 0, at, signing_key(&c, 0));
    let file = [ReceiptFile { name: "receipt.json", bytes: &held }];
    c.settle();
    // All there: nothing to say.
    let found = run(&c, &file);
    assert_eq!((rules(&found.report).contains(&"receipt"), found.proofs.len()), (false, 0));

    // The entry is another now. No peer holds a head from before, so that only the receipt tells.
    rewrite(&mut c, usize::try_from(at).unwrap());
    let shown = c.nodes[0].head(c.nodes[0].tree.size());
    c.nodes[0].held.values_mut().for_each(|h| *h = shown.clone());
    let silent = run(&c, &[]);
    assert_eq!(silent.proofs.len(), 0, "{:#?}", silent.report.findings);
    let found = run(&c, &file);
    expect_among(&found.report, Class::Misbehaviour, "receipt");
    expect_among(&found.report, Class::Misbehaviour, "fork");
    let by_receipt = |p: &&Vec<u8>| {
        let json: Value = serde_json::from_slice(p).unwrap();
        json["evidence"]["kind"] == "receipt"
    };
    let proof = found.proofs.iter().find(by_receipt).expect("a receipt's file");
    let guilt = check(proof, &c.genesis).unwrap();
    assert_eq!((guilt.seat, guilt.keys.as_slice()), (Some(seat_index(1)), &[log_key(&c, 0)][..]));
    nothing_else_proves(&c, proof, &guilt);
    // The receipt's checkpoint alone convicts too: two files.
    assert_eq!(found.proofs.len(), 2);
}

#[test]
fn a_receipt_that_proves_nothing_says_why_and_blames_nobody() {
    let mut c = settled();
    let at = 3;
    let good = receipt(&c, 0, at, signing_key(&c, 0));
    let stranger = SigningKey::generate_ed25519();
    let forged = receipt(&c, 0, at, &stranger);
    let mut mixed: Value = serde_json::from_slice(&good).unwrap();
    let other: Value = serde_json::from_slice(&receipt(&c, 1, at, signing_key(&c, 1))).unwrap();
    mixed["proof"] = other["proof"].clone();
    let mixed = serde_json::to_vec(&mixed).unwrap();
    for (bytes, why) in [
        (&b"{}"[..], "not a node's answer"),
        (&forged, "not signed by the statement key"),
        (&mixed, "not a tlog-proof"),
    ] {
        let found = run(&c, &[ReceiptFile { name: "r", bytes }]);
        expect(&found.report, Class::Incomplete, &["receipt"]);
        let detail = &found.report.findings[0].detail;
        assert!(detail.contains(why) || why.contains("tlog") && detail.contains("another log"), "{detail}");
    }
    // As long as a node's answer may be, and one longer.
    for (length, too_long) in [(HTTP_BODY_MAX, false), (HTTP_BODY_MAX + 1, true), (HTTP_BODY_MAX + 2, true)] {
        let mut padded = good.clone();
        padded.resize(length, b' ');
        let found = run(&c, &[ReceiptFile { name: "r", bytes: &padded }]);
        let told: Vec<_> = found.report.findings.iter().map(|f| f.detail.contains("longer than")).collect();
        assert_eq!(told, vec![true; usize::from(too_long)], "{:#?}", found.report.findings);
    }
    // A log that is not here, and an entry that this export does not reach.
    let files = c.bundle(&[1, 2], |_, _| true);
    let found = examine(&files, &c.genesis, Options::default(), &[ReceiptFile { name: "r", bytes: &good }]);
    expect(&found.report, Class::Incomplete, &["log-missing", "receipt"]);
    let before = c.full();
    c.withdraw(&[0]);
    let later = receipt(&c, 0, c.nodes[0].tree.size() - 1, signing_key(&c, 0));
    let found = examine(&before, &c.genesis, Options::default(), &[ReceiptFile { name: "r", bytes: &later }]);
    expect(&found.report, Class::Incomplete, &["log-short", "receipt"]);
    assert_eq!(found.proofs.len(), 0);
}

/// Seat 2 logs that it has two notes of seat 1's log that contradict each other.
fn accused(c: &mut Cluster, first: &VerifiedCheckpoint, second: &VerifiedCheckpoint) -> Examined {
    c.attachments.extend([first.to_bytes(), second.to_bytes()]);
    let [first, second] = [first, second].map(|h| Digest::of(&h.to_bytes()));
    let origin = c.nodes[0].chain.origin().to_owned();
    c.log(1, &Event::Misbehaviour { origin, first, second }, None);
    c.settle();
    run(c, &[])
}

#[test]
fn an_accusation_in_a_log_convicts_whom_its_notes_convict() {
    let mut c = Cluster::honest();
    let size = c.nodes[0].tree.size();
    let (told, other) = (c.nodes[0].head(size), head(&c, 0, size, [7; 32]));
    let found = accused(&mut c, &told, &other);
    expect(&found.report, Class::Misbehaviour, &["fork"]);
    assert!(found.report.findings.iter().all(|f| f.seat == Some(seat_index(1)) && f.detail.contains(&log_key(&c, 0))));
    assert_eq!(check(&found.proofs[0], &c.genesis).unwrap().keys, [log_key(&c, 0)]);

    // Two heads that go together, or a note of another key: whoever accuses so is at fault.
    let mut c = Cluster::honest();
    let (a, b) = (c.nodes[0].head(size), c.nodes[0].head(size - 1));
    let found = accused(&mut c, &a, &b);
    expect(&found.report, Class::Violation, &["misbehaviour"]);
    assert_eq!(found.report.findings[0].seat, Some(seat_index(2)));
    let mut c = Cluster::honest();
    let (a, b) = (c.nodes[0].head(size), c.nodes[2].head(5));
    let found = accused(&mut c, &a, &b);
    expect(&found.report, Class::Violation, &["misbehaviour"]);

    // Without its notes it says nothing.
    let mut c = Cluster::honest();
    let origin = c.nodes[0].chain.origin().to_owned();
    c.log(1, &Event::Misbehaviour { origin, first: Digest([1; 32]), second: Digest([2; 32]) }, None);
    c.settle();
    expect(&run(&c, &[]).report, Class::Incomplete, &["unresolved"]);
}

#[test]
fn a_tree_is_proved_alike_whether_kept_or_streamed() {
    use escrow_audit::tree::{RangeHashes, consistency_ranges, inclusion_ranges};
    let leaves: Vec<_> = (0..70u8).map(|i| leaf_hash(&[i])).collect();
    let tree: Tree = leaves.iter().copied().collect();
    let stream = |ranges: Option<Vec<(u64, u64)>>| {
        let mut hashes = RangeHashes::new(ranges?);
        leaves.iter().for_each(|l| hashes.push(*l));
        hashes.finish()
    };
    for new in 0..=70 {
        for old in 0..=71 {
            assert_eq!(stream(consistency_ranges(old, new)), tree.consistency_proof(old, new), "{old} {new}");
            assert_eq!(stream(inclusion_ranges(old, new)), tree.inclusion_proof(old, new), "{old} {new}");
        }
    }
    let mut short = RangeHashes::new(consistency_ranges(3, 70).unwrap());
    leaves.iter().take(69).for_each(|l| short.push(*l));
    assert_eq!(short.finish(), None);
}
