//! Cases 1 to 15: the bytes of a log and their order.

use super::common::forge::{
    chained, claim, entries_path, expect, expect_among, follow, four_ways, lines, note_path, put_lines, repack,
    tampered_or_forked, with_entry,
};
use super::common::{Cluster, seat_index};
use super::{judged, settled};
use escrow_audit::entry::{Entry, leaf_hash};
use escrow_audit::finding::Class;
use escrow_audit::note::NoteSigner;
use escrow_audit::tree::{self, ProofError, Tree, node_hash};
use escrow_audit::verify::verify;
use escrow_core::decision::Choice;
use escrow_core::decision::Decision;
use escrow_core::envelope::pae;
use escrow_core::{Blob, Digest, Envelope, Kind, Nonce};
use escrow_policy::Event;

#[test]
fn case_01_one_byte_of_an_entry_or_of_a_hash_flipped() {
    let c = settled();
    let good = c.full();
    let honest = lines(&good, 0);
    // A digit of the time, and one of the hash that names the entry before.
    let digit = |line: &[u8], member: &str| {
        let text = std::str::from_utf8(line).unwrap();
        text.find(member).unwrap() + member.len()
    };
    for (member, to) in [("\"ts\":", b'3'), ("\"prev\":\"", b'x')] {
        let mut changed = honest.clone();
        let at = digit(&changed[4], member);
        assert_ne!(changed[4][at], to);
        changed[4][at] = to;
        let mut files = good.clone();
        put_lines(&mut files, 0, &changed);
        expect(&verify(&files, &c.genesis), Class::Tampered, &["digest"]);
        let report = verify(&repack(files), &c.genesis);
        expect(&report, Class::Tampered, &["root"]);
        // The place where the chain breaks is named: the entry itself, or the next, whose `prev` no longer fits.
        let broken = if member == "\"ts\":" { 5 } else { 4 };
        assert_eq!(report.findings[0].entry, Some(broken));
    }
}

#[test]
fn case_02_entry_replaced_and_every_unkeyed_hash_recomputed() {
    let c = settled();
    let honest = lines(&c.full(), 0);
    let changed = chained(&with_entry(&honest, 3, |e| e.ts += 1));
    let ways = four_ways(&c, &c.full(), 0, &changed);
    let report = verify(&ways.anew, &c.genesis);
    expect(&report, Class::Tampered, &["root"]);
    assert_eq!(report.findings[0].entry, None, "the chain was made to fit: no place to name");
    assert!(report.findings[0].detail.contains(&note_path(0)));
    expect(&verify(&ways.note_too, &c.genesis), Class::Tampered, &["checkpoint"]);
    // Nobody is blamed for what no key signed.
    assert!(report.findings.iter().all(|f| f.class == Class::Tampered));
}

#[test]
fn case_03_entry_replaced_and_signed_again_under_a_cosigned_head() {
    let c = settled();
    let changed = chained(&with_entry(&lines(&c.full(), 0), 1, |e| e.ts += 1));
    let report = tampered_or_forked(&c, &changed);
    // Both peers' views and the note of the delivery show the other history, each beside the new head.
    let files: Vec<_> = report.findings.iter().filter(|f| f.rule == "fork").map(|f| f.file.as_str()).collect();
    assert!(files.contains(&"data/views/2-1.json") && files.contains(&"data/views/3-1.json"), "{files:?}");
    assert!(files.iter().any(|f| f.starts_with("data/attachments/")), "{files:?}");
    assert_eq!(report.exit_code(), 6);
}

/// What peers have not yet cosigned can be rewritten by who holds the key, unseen; what matters never
/// stands there.
#[test]
fn case_04_entries_after_the_last_cosignature_rewritten() {
    let mut c = settled();
    let cosigned = c.nodes[0].tree.size();
    let consent = c.consent.clone().unwrap();
    c.withdraw(&[0]);
    // The client keeps the receipt's proof: the signed head of that moment.
    let receipt = c.nodes[0].head(c.nodes[0].tree.size());
    assert_eq!((receipt.size(), lines(&c.full(), 0).len() as u64), (cosigned + 1, cosigned + 1));
    let honest = verify(&c.full(), &c.genesis);
    expect(&honest, Class::Ok, &[]);

    // Another entry in its place, signed: nothing in the bundle contradicts it. The receipt does.
    let last = lines(&c.full(), 0).len() - 1;
    let changed = with_entry(&lines(&c.full(), 0), last, |e| {
        let event = Event::Refused {
            kind: Kind::Withdrawal,
            statement: consent.digest(),
            rule: escrow_policy::Rule::Malformed,
        };
        (e.kind, e.statement, e.body) = ("refused".into(), None, escrow_audit::record::body(&event));
    });
    let ways = four_ways(&c, &c.full(), 0, &changed);
    expect(&verify(&ways.bare, &c.genesis), Class::Tampered, &["digest"]);
    expect(&verify(&ways.anew, &c.genesis), Class::Tampered, &["root"]);
    expect(&verify(&ways.note_too, &c.genesis), Class::Tampered, &["checkpoint"]);
    expect(&verify(&ways.signed, &c.genesis), Class::Ok, &[]);
    let node = &c.nodes[0];
    let signer = NoteSigner::new(node.chain.origin(), &node.log_key).unwrap();
    let rewritten = claim(node.chain.origin(), &changed).sign(&signer).unwrap();
    assert!(receipt.contradicts(&rewritten) && rewritten.contradicts(&receipt));

    // The window never holds a release: without a view behind it the evidence is incomplete.
    for outcome in ["authorised", "aborted", "delivered"] {
        let (mut c, permits, call) = super::permitted();
        c.settle();
        let held: Vec<_> = c.nodes.iter().map(|n| n.held.clone()).collect();
        let answer = c.answer(1, 0);
        let authorized = c.authorise(0, &call, &[&permits[1]], &[&answer]);
        if outcome == "aborted" {
            let request = c.request_digest();
            c.log(0, &Event::Aborted { authorized, request, reason: "peers-missing".parse().unwrap() }, None);
        }
        if outcome == "delivered" {
            let note = c.cosigned(0, &[1]);
            c.deliver(0, authorized, &note, |_| {});
        }
        for (n, held) in c.nodes.iter_mut().zip(held) {
            n.held = held;
        }
        let report = verify(&c.full(), &c.genesis);
        expect(&report, Class::Incomplete, &["views-missing"]);
        let blind = report.findings.iter().find(|f| f.rule == "views-missing").unwrap();
        assert_eq!(blind.seat, Some(seat_index(1)), "{outcome}");
    }
}

#[test]
fn case_05_entry_removed_and_the_rest_renumbered() {
    let c = settled();
    let mut changed = lines(&c.full(), 0);
    changed.remove(5);
    tampered_or_forked(&c, &chained(&changed));
}

#[test]
fn case_06_backdated_entry_inserted() {
    let c = settled();
    let honest = lines(&c.full(), 0);
    let mut changed = honest.clone();
    let mut entry = Entry::decode(&honest[1]).unwrap();
    let event = Event::Ready { peers: vec![seat_index(2), seat_index(3)] };
    entry.body = escrow_audit::record::body(&event);
    changed.insert(4, entry.encode().unwrap());
    // Its time is that of the entry it is put behind: nothing but the head tells.
    let before = Entry::decode(&honest[3]).unwrap().ts;
    tampered_or_forked(&c, &chained(&with_entry(&changed, 4, |e| e.ts = before)));
}

#[test]
fn case_07_two_neighbours_swapped() {
    let c = settled();
    let honest = lines(&c.full(), 0);
    let mut changed = honest.clone();
    changed.swap(4, 5);
    let times = [4, 5].map(|at| Entry::decode(&honest[at]).unwrap().ts);
    let changed = with_entry(&changed, 4, |e| e.ts = times[0]);
    let changed = with_entry(&changed, 5, |e| e.ts = times[1]);
    tampered_or_forked(&c, &chained(&changed));
}

/// Chains entries as they number themselves.
fn chained_only(lines: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut prev = escrow_audit::entry::NO_PREV;
    let mut out = Vec::new();
    for line in lines {
        let mut entry = Entry::decode(line).unwrap();
        entry.prev = prev;
        let bytes = entry.encode().unwrap();
        prev = leaf_hash(&bytes);
        out.push(bytes);
    }
    out
}

/// The same fault, signed by the node from the start and cosigned by peers, who are content-blind:
/// the node's own doing, and its log is judged up to there.
fn own_doing(changed: &[Vec<u8>], c: &mut Cluster, at: u64) {
    let n = &mut c.nodes[0];
    n.entries = changed.to_vec();
    n.tree = changed.iter().map(|l| leaf_hash(l)).collect();
    n.held.clear();
    c.settle();
    let report = verify(&c.full(), &c.genesis);
    expect_among(&report, Class::Violation, "chain");
    let chain: Vec<_> = report.findings.iter().filter(|f| f.rule == "chain").collect();
    assert_eq!((chain.len(), chain[0].entry, chain[0].seat), (1, Some(at), Some(seat_index(1))));
}

/// A story that nobody has cosigned or released in yet.
fn asked() -> Cluster {
    let mut c = Cluster::new();
    c.ask();
    c
}

#[test]
fn case_08_duplicate_seq() {
    let change = |honest: Vec<Vec<u8>>| chained_only(&with_entry(&honest, 5, |e| e.seq = 4));
    let c = settled();
    let report = tampered_or_forked(&c, &change(lines(&c.full(), 0)));
    assert!(report.findings.iter().any(|f| f.rule == "chain" && f.entry == Some(5)));
    let mut c = asked();
    own_doing(&change(c.nodes[0].entries.clone()), &mut c, 5);
}

#[test]
fn case_09_gap_in_seq() {
    let change = |mut honest: Vec<Vec<u8>>| {
        honest.remove(5);
        chained_only(&honest)
    };
    let c = settled();
    let report = tampered_or_forked(&c, &change(lines(&c.full(), 0)));
    assert!(report.findings.iter().any(|f| f.rule == "chain" && f.entry == Some(5)));
    let mut c = asked();
    own_doing(&change(c.nodes[0].entries.clone()), &mut c, 5);
}

#[test]
fn case_10_first_seq_is_not_zero() {
    let change = |mut honest: Vec<Vec<u8>>| {
        honest.remove(0);
        chained_only(&honest)
    };
    let c = settled();
    let report = tampered_or_forked(&c, &change(lines(&c.full(), 0)));
    assert!(report.findings.iter().any(|f| f.rule == "chain" && f.entry == Some(0)));
    let mut c = asked();
    own_doing(&change(c.nodes[0].entries.clone()), &mut c, 0);
}

#[test]
fn case_11_another_genesis_than_the_configured_one() {
    // Everything genuine, and of an organisation that nobody here trusts.
    let c = settled();
    expect(&verify(&c.full(), &Digest::of(b"another charter")), Class::Tampered, &["charter-pinned"]);

    // A genesis entry for another seat, or none at all.
    let change = |honest: Vec<Vec<u8>>| {
        let event = Event::Genesis { seat: seat_index(2) };
        chained(&with_entry(&honest, 0, |e| e.body = escrow_audit::record::body(&event)))
    };
    let report = tampered_or_forked(&c, &change(lines(&c.full(), 0)));
    assert!(report.findings.iter().any(|f| f.rule == "genesis" && f.entry == Some(0)));
    let mut c = asked();
    let event = Event::Genesis { seat: seat_index(1) };
    let charter = c.statements.iter().find(|e| e.kind() == Kind::Charter).unwrap().clone();
    c.log(0, &event, Some(&charter));
    expect_among(&judged(c), Class::Violation, "genesis");
}

#[test]
fn case_12_entry_or_log_of_another_node_transplanted() {
    let c = settled();
    let good = c.full();
    // One entry of log 2, in log 1: renumbered and chained, still naming its own log.
    let mut changed = lines(&good, 0);
    changed.insert(5, lines(&good, 1)[3].clone());
    let report = tampered_or_forked(&c, &chained(&changed));
    assert!(report.findings.iter().any(|f| f.rule == "chain" && f.entry == Some(5) && f.seat == Some(seat_index(1))));

    // The whole of log 2, with its own genuine note, in the place of log 1.
    let mut files = good.clone();
    files.insert(entries_path(0), good[&entries_path(1)].clone());
    expect(&verify(&files, &c.genesis), Class::Tampered, &["digest"]);
    files.insert(note_path(0), good[&note_path(1)].clone());
    follow(&mut files);
    expect(&verify(&files, &c.genesis), Class::Tampered, &["checkpoint"]);
}

#[test]
fn case_13_time_runs_backwards() {
    let change = |honest: Vec<Vec<u8>>| {
        let ts = Entry::decode(&honest[4]).unwrap().ts;
        chained(&with_entry(&honest, 5, |e| e.ts = ts - 1))
    };
    let c = settled();
    let report = tampered_or_forked(&c, &change(lines(&c.full(), 0)));
    assert!(report.findings.iter().any(|f| f.rule == "chain" && f.entry == Some(5)));
    let mut c = asked();
    own_doing(&change(c.nodes[0].entries.clone()), &mut c, 5);
}

#[test]
fn case_14_leaf_presented_as_inner_node_and_the_other_way() {
    // Two entries taken for one leaf of their two hashes.
    let c = settled();
    let good = c.full();
    let honest = lines(&good, 0);
    let pair = [leaf_hash(&honest[0]), leaf_hash(&honest[1])].concat();
    let mut changed = honest.clone();
    changed.splice(0..2, [pair.clone()]);
    let text: Vec<&[u8]> = changed.iter().map(Vec::as_slice).collect();
    let mut files = good.clone();
    let mut bytes = text.join(&b'\n');
    bytes.push(b'\n');
    files.insert(entries_path(0), bytes);
    let report = verify(&repack(files), &c.genesis);
    assert_eq!(report.verdict, Class::Tampered, "{:#?}", report.findings);

    // The same in proofs: neither stands in for the other.
    let tree: Tree = honest.iter().map(|l| leaf_hash(l)).collect();
    let inner = node_hash(&leaf_hash(&honest[0]), &leaf_hash(&honest[1]));
    assert_ne!(leaf_hash(&pair), inner);
    let (size, root) = (tree.size(), tree.root());
    let proof = tree.inclusion_proof(0, size).unwrap();
    assert_eq!(tree::verify_inclusion(&leaf_hash(&honest[0]), 0, size, &proof, &root), Ok(()));
    for leaf in [inner, leaf_hash(&pair)] {
        assert_eq!(tree::verify_inclusion(&leaf, 0, size, &proof[1..], &root), Err(ProofError::WrongLength));
        assert_eq!(tree::verify_inclusion(&leaf, 0, size, &proof, &root), Err(ProofError::WrongRoot));
        // With a size to fit the shorter path: the root alone does not bind a size, the note does.
        let halved = size.div_ceil(2);
        let verdict = tree::verify_inclusion(&leaf, 0, halved, &proof[1..], &root);
        assert_eq!(verdict.is_ok(), leaf == inner);
    }
}

#[test]
fn case_15_odd_white_space_and_order_under_the_signature_are_fine() {
    let mut c = Cluster::new();
    c.ask();
    // A decision as another JSON writer would spell it, in an envelope with white space of its own.
    let decision = Decision {
        kind: Kind::Decision,
        org: c.charter.org.clone(),
        nonce: Nonce::random(),
        charter: c.genesis,
        request: c.request_digest(),
        by: "leg".parse().unwrap(),
        role: "legal".parse().unwrap(),
        choice: Choice::Approve,
        reason: "ok".parse().unwrap(),
        at: c.now,
    };
    let value = serde_json::to_value(&decision).unwrap();
    let members: Vec<String> =
        value.as_object().unwrap().iter().rev().map(|(k, v)| format!("  \"{k}\" :\t{v}")).collect();
    let payload = format!("{{\r\n{}\n}} \n", members.join(" ,\n")).into_bytes();
    let key = &c.people["leg"];
    let kind = Kind::Decision.payload_type();
    let (id, sig) = (key.public().id(), Blob(key.sign(&pae(&kind, &payload))));
    let json =
        serde_json::json!({"signatures": [{"sig": sig, "keyid": id}], "payloadType": kind, "payload": Blob(payload)});
    let envelope = Envelope::parse(&serde_json::to_vec_pretty(&json).unwrap()).unwrap();
    assert_ne!(envelope, c.signed(&decision, &["leg"]));
    c.submit(&envelope);
    c.decide("dpo", "dpo", Choice::Approve);
    let permits: Vec<Envelope> = (0..2).map(|n| c.verdict(n, |_| {})).collect();
    let call = c.call();
    c.release(0, 1, &call, &permits[1]);
    assert_eq!(c.refusals, Vec::<String>::new());
    c.settle();
    let files = c.full();
    let path = format!("data/statements/{}.json", envelope.envelope_digest());
    assert_eq!(files[&path], envelope.bytes(), "the very bytes that were signed");
    expect(&verify(&files, &c.genesis), Class::Ok, &[]);

    // A log entry has one spelling: the same content in other bytes is none.
    let c = asked();
    let mut changed = c.nodes[0].entries.clone();
    let last = changed.last_mut().unwrap();
    *last = String::from_utf8(last.clone()).unwrap().replacen(",\"log\"", ", \"log\"", 1).into_bytes();
    let ways = four_ways(&c, &c.full(), 0, &changed);
    expect(&verify(&ways.bare, &c.genesis), Class::Tampered, &["digest"]);
    expect_among(&verify(&ways.anew, &c.genesis), Class::Tampered, "root");
    let report = verify(&ways.signed, &c.genesis);
    expect(&report, Class::Violation, &["chain", "views-missing"]);
    assert!(report.findings[0].entry == Some(changed.len() as u64 - 1) && report.findings[0].rule == "chain");
}
