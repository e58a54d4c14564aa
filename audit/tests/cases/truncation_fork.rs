//! Cases 16 to 23 and 29: logs cut short, forked and rolled back.

use super::common::forge::{
    chained, expect, expect_among, follow, four_ways, lines, note_path, put_lines, rules, with_entry,
};
use super::common::{Cluster, Files, seat_index};
use super::settled;
use escrow_audit::checkpoint::{Checkpoint, VerifiedCheckpoint};
use escrow_audit::entry::{Chain, leaf_hash};
use escrow_audit::finding::Class;
use escrow_audit::note::NoteSigner;
use escrow_audit::proof::{TlogProof, TlogProofError};
use escrow_audit::seat;
use escrow_audit::tree::{ProofError, Tree};
use escrow_audit::verify::verify;
use escrow_core::Digest;
use escrow_policy::{Event, Facts};

fn all(_: usize, _: usize) -> bool {
    true
}

/// A head of log `n` that its key signed, whatever the log really is.
fn head(c: &Cluster, n: usize, size: u64, root: [u8; 32]) -> VerifiedCheckpoint {
    let node = &c.nodes[n];
    let signer = NoteSigner::new(node.chain.origin(), &node.log_key).unwrap();
    Checkpoint::new(node.chain.origin(), size, root).unwrap().sign(&signer).unwrap()
}

#[test]
fn case_16_tail_cut_and_the_newest_checkpoint_kept() {
    let c = settled();
    for gone in [1, 3] {
        let mut changed = lines(&c.full(), 2);
        changed.truncate(changed.len() - gone);
        let ways = four_ways(&c, &c.full(), 2, &changed);
        expect(&verify(&ways.bare, &c.genesis), Class::Tampered, &["digest"]);
        let report = verify(&ways.anew, &c.genesis);
        expect(&report, Class::Tampered, &["root"]);
        assert_eq!(report.findings[0].seat, Some(seat_index(3)));
        expect(&verify(&ways.note_too, &c.genesis), Class::Tampered, &["checkpoint"]);
    }
}

/// Log 3, which released nothing, cut to a size whose head somebody holds.
fn cut(c: &Cluster, size: u64) -> Files {
    let good = c.full();
    let mut changed = lines(&good, 2);
    changed.truncate(usize::try_from(size).unwrap());
    let mut files = good;
    put_lines(&mut files, 2, &changed);
    files.insert(note_path(2), c.nodes[2].head(size).to_bytes());
    follow(&mut files);
    files
}

#[test]
fn case_17_tail_cut_under_an_older_genuine_checkpoint() {
    let c = settled();
    let newest = c.nodes[2].held.values().map(VerifiedCheckpoint::size).max().unwrap();
    let report = verify(&cut(&c, 8), &c.genesis);
    expect(&report, Class::Incomplete, &["log-short"]);
    let said = format!("log shorter than cosigned size {newest}");
    assert!(report.findings.iter().any(|f| f.detail.contains(&said)), "{:#?}", report.findings);
    assert_eq!((report.logs[2].size, report.exit_code()), (8, 8));

    // Going on from there in another way and signing that: two heads of one key that contradict.
    let mut changed = lines(&c.full(), 2);
    changed.truncate(8);
    let ready = lines(&c.full(), 2)[1].clone();
    changed.extend(std::iter::repeat_n(ready, 12));
    let ts = escrow_audit::entry::Entry::decode(&changed[7]).unwrap().ts;
    for at in 8..changed.len() {
        changed = with_entry(&changed, at, |e| e.ts = ts);
    }
    let ways = four_ways(&c, &c.full(), 2, &chained(&changed));
    expect(&verify(&ways.anew, &c.genesis), Class::Tampered, &["root"]);
    expect_among(&verify(&ways.signed, &c.genesis), Class::Misbehaviour, "fork");
}

#[test]
fn case_18_tail_cut_and_no_view_tells() {
    let c = settled();
    for size in [2, 8, c.nodes[2].tree.size()] {
        let mut files = cut(&c, size);
        files.retain(|p, _| !p.starts_with("data/views/"));
        follow(&mut files);
        let report = verify(&files, &c.genesis);
        expect(&report, Class::Incomplete, &["views-missing"]);
        assert!(report.logs.iter().all(|l| l.fork_bound == 0));
    }
}

#[test]
fn case_19_one_size_with_two_signed_roots() {
    // A peer holds another head of the very size that the export has.
    let mut c = settled();
    let forged = head(&c, 0, c.nodes[0].tree.size(), [1; 32]);
    c.nodes[0].held.insert(seat_index(2), forged);
    let report = verify(&c.full(), &c.genesis);
    expect(&report, Class::Misbehaviour, &["fork"]);
    let key = seat::log_verifier(&c.charter.seats[0]).unwrap().to_string();
    let fork = &report.findings.iter().find(|f| f.rule == "fork").unwrap();
    assert_eq!((fork.file.as_str(), fork.seat), ("data/views/2-1.json", Some(seat_index(1))));
    assert!(fork.detail.contains(&key) && fork.detail.contains(&note_path(0)), "{fork}");
    // Also if that log was left out of the bundle: then two views must differ.
    let other = head(&c, 0, c.nodes[0].tree.size(), [2; 32]);
    c.nodes[0].held.insert(seat_index(3), other);
    expect(&verify(&c.bundle(&[1, 2], all), &c.genesis), Class::Misbehaviour, &["fork", "log-missing"]);
}

#[test]
fn case_20_two_sizes_that_are_not_consistent() {
    // The log rewritten, and longer than what peers hold.
    let mut c = settled();
    c.withdraw(&[0]);
    let good = c.full();
    let changed = chained(&with_entry(&lines(&good, 0), 2, |e| e.ts += 1));
    let ways = four_ways(&c, &good, 0, &changed);
    expect(&verify(&ways.anew, &c.genesis), Class::Tampered, &["root"]);
    expect(&verify(&ways.note_too, &c.genesis), Class::Tampered, &["checkpoint"]);
    let report = verify(&ways.signed, &c.genesis);
    expect_among(&report, Class::Misbehaviour, "fork");
    let views = report.findings.iter().filter(|f| f.rule == "fork" && f.file.starts_with("data/views/"));
    assert_eq!(views.map(|f| f.seat).collect::<Vec<_>>(), [Some(seat_index(1)); 2]);

    // A larger head alone contradicts nothing that is here: it says what is missing.
    let mut c = settled();
    let beyond = head(&c, 0, c.nodes[0].tree.size() + 5, [1; 32]);
    c.nodes[0].held.insert(seat_index(2), beyond);
    expect(&verify(&c.full(), &c.genesis), Class::Incomplete, &["log-short"]);
}

#[test]
fn case_21_two_peers_were_told_different_histories() {
    // Of a size that the export reaches, and of one that it does not.
    for (more, broken) in [(0, &["fork"][..]), (7, &["fork", "log-short"])] {
        let mut c = settled();
        let size = c.nodes[0].tree.size() + more;
        let (a, b) = (head(&c, 0, size, [1; 32]), head(&c, 0, size, [2; 32]));
        c.nodes[0].held.insert(seat_index(2), a);
        c.nodes[0].held.insert(seat_index(3), b);
        let report = verify(&c.full(), &c.genesis);
        expect(&report, Class::Misbehaviour, broken);
        // Both views are named, and the log's key is the culprit.
        let forks: Vec<_> = report.findings.iter().filter(|f| f.rule == "fork").collect();
        let text: String = forks.iter().map(|f| format!("{} {}", f.file, f.detail)).collect();
        assert!(text.contains("data/views/2-1.json") && text.contains("data/views/3-1.json"), "{text}");
        assert!(forks.iter().all(|f| f.seat == Some(seat_index(1))));
        expect_among(&verify(&c.bundle(&[1, 2], all), &c.genesis), Class::Misbehaviour, "fork");
    }
}

/// Cosigned by witness `p`, whatever it has cosigned before.
fn cosigned_anyway(c: &Cluster, mut head: VerifiedCheckpoint, p: usize) -> VerifiedCheckpoint {
    let org = c.charter.org.clone();
    let name = seat::witness_name(&org, c.nodes[p].index);
    let time = u64::try_from(c.now.millis() / 1000).unwrap();
    let line = escrow_audit::note::cosign(&name, &c.nodes[p].witness, time, head.note().text()).unwrap();
    let key = seat::witness_verifier(&org, &c.charter.seats[p]).unwrap();
    assert_eq!(head.add_cosignatures(format!("{line}\n").as_bytes(), &[key]), Ok(1));
    head
}

#[test]
fn case_22_a_witness_cosigned_both_histories() {
    let culprits = |c: &Cluster| {
        let report = verify(&c.full(), &c.genesis);
        expect_among(&report, Class::Misbehaviour, "fork");
        let found: Vec<_> = report.findings.into_iter().filter(|f| f.rule == "cosigned-fork").collect();
        found
    };
    // The other history has the size of this one; witness 2 cosigned both, witness 3 one each way.
    let mut c = settled();
    let size = c.nodes[0].tree.size();
    let held = c.nodes[0].held[&seat_index(3)].size();
    let forged = cosigned_anyway(&c, head(&c, 0, held, [1; 32]), 1);
    c.nodes[0].held.insert(seat_index(2), forged);
    let found = culprits(&c);
    assert_eq!(found.len(), 1, "{found:#?}");
    let key = seat::witness_verifier(&c.charter.org, &c.charter.seats[1]).unwrap().to_string();
    assert_eq!((found[0].class, found[0].seat), (Class::Misbehaviour, Some(seat_index(2))));
    assert!(found[0].detail.contains(&key) && found[0].file == "data/views/2-1.json", "{}", found[0]);

    // Beyond the export: two heads of one size, and one witness under both.
    let mut c = settled();
    for (root, p) in [(1, 1), (2, 2)] {
        let forged = cosigned_anyway(&c, head(&c, 0, size + 9, [root; 32]), 1);
        c.nodes[0].held.insert(seat_index(p + 1), forged);
    }
    let found = culprits(&c);
    assert_eq!(found.iter().map(|f| f.seat).collect::<Vec<_>>(), [Some(seat_index(2))]);

    // A witness that saw one history only did nothing wrong, however the log forked.
    let mut c = settled();
    for (root, p) in [(1, 1), (2, 2)] {
        let forged = cosigned_anyway(&c, head(&c, 0, size + 9, [root; 32]), usize::from(p));
        c.nodes[0].held.insert(seat_index(p + 1), forged);
    }
    assert_eq!(culprits(&c), vec![]);
    // Nor one that followed a log which forked later: the smaller head lies on both.
    let mut c = settled();
    let small = c.nodes[0].held[&seat_index(3)].size();
    let forged = cosigned_anyway(&c, head(&c, 0, size, [1; 32]), 2);
    assert!(small <= size);
    if small < size {
        c.nodes[0].held.insert(seat_index(3), forged);
        assert_eq!(culprits(&c), vec![]);
    }
}

#[test]
fn case_23_a_witness_restored_from_a_backup_cosigns_a_fork() {
    // Seat 2 comes back with yesterday's log, cosigns another head of log 1, and says so in its log.
    let mut c = settled();
    let full = c.full();
    let keep = 8;
    let n = &mut c.nodes[1];
    let (entries, rest) = n.entries.split_at(keep);
    assert!(rest.len() > 2);
    let entries = entries.to_vec();
    n.chain = Chain::new(n.chain.origin());
    for e in &entries {
        n.chain.push(e).unwrap();
    }
    n.tree = entries.iter().map(|e| leaf_hash(e)).collect();
    (n.entries, n.facts) = (entries, Facts::new());
    let forged = head(&c, 0, c.nodes[0].tree.size(), [1; 32]);
    let event = Event::Cosigned { origin: forged.origin().into(), size: forged.size(), root: Digest(*forged.root()) };
    c.log(1, &event, None);
    while c.nodes[1].tree.size() < lines(&full, 1).len() as u64 {
        c.log(1, &event, None);
    }
    let report = verify(&c.full(), &c.genesis);
    expect_among(&report, Class::Misbehaviour, "fork");
    // Its own log is what gives it away: others hold heads of what is gone.
    let forks: Vec<_> = report.findings.iter().filter(|f| f.rule == "fork").collect();
    assert!(forks.iter().all(|f| f.seat == Some(seat_index(2))), "{forks:#?}");
    assert!(rules(&report).contains(&"cosigned-elsewhere"), "{:#?}", report.findings);
    // And the cosignatures that it gave before the restore stand nowhere in its log any more.
    let unlogged = report.findings.iter().filter(|f| f.rule == "cosignature-unlogged");
    assert!(unlogged.into_iter().all(|f| f.seat == Some(seat_index(2))), "{:#?}", report.findings);
    assert!(rules(&report).contains(&"cosignature-unlogged"), "{:#?}", report.findings);
}

#[test]
fn case_29_a_receipt_for_an_entry_that_the_export_lacks() {
    let mut c = settled();
    c.withdraw(&[0]);
    let node = &c.nodes[0];
    let size = node.tree.size();
    let receipt = TlogProof {
        extra: None,
        index: size - 1,
        hashes: node.tree.inclusion_proof(size - 1, size).unwrap(),
        checkpoint: node.head(size).note().clone(),
    };
    let leaf = leaf_hash(node.entries.last().unwrap());
    let key = seat::log_verifier(&c.charter.seats[0]).unwrap();
    let told = receipt.verify(&leaf, node.chain.origin(), &key).unwrap();

    // The export has something else there, signed: the receipt's checkpoint and the log's contradict.
    let mut changed = node.entries.clone();
    changed.pop();
    let ready = with_entry(&changed, 1, |_| {})[1].clone();
    changed.push(ready);
    let ts = escrow_audit::entry::Entry::decode(&changed[changed.len() - 2]).unwrap().ts;
    let last = changed.len() - 1;
    let changed = chained(&with_entry(&changed, last, |e| e.ts = ts));
    let tree: Tree = changed.iter().map(|l| leaf_hash(l)).collect();
    let shown = head(&c, 0, tree.size(), tree.root());
    assert!(told.contradicts(&shown));
    // Merely cut, it is shorter than a head that its key signed.
    assert!(c.nodes[0].held.values().all(|h| h.size() < told.size()));
    c.nodes[0].held.insert(seat_index(2), told);
    let mut cut = c.full();
    let mut shorter = lines(&cut, 0);
    shorter.pop();
    put_lines(&mut cut, 0, &shorter);
    cut.insert(note_path(0), c.nodes[0].head(size - 1).to_bytes());
    follow(&mut cut);
    expect(&verify(&cut, &c.genesis), Class::Incomplete, &["log-short"]);
    // As a peer's view, the receipt's checkpoint convicts the log inside a bundle too.
    let ways = four_ways(&c, &c.full(), 0, &changed);
    expect_among(&verify(&ways.signed, &c.genesis), Class::Misbehaviour, "fork");

    // Nobody can make one up: for another entry, at another place, or under another log's name.
    let other = leaf_hash(b"another entry");
    let origin = c.nodes[0].chain.origin();
    assert_eq!(receipt.verify(&other, origin, &key), Err(TlogProofError::Inclusion(ProofError::WrongRoot)));
    let moved = TlogProof { index: receipt.index - 1, ..receipt.clone() };
    assert!(moved.verify(&leaf, origin, &key).is_err());
    assert!(receipt.verify(&leaf, c.nodes[1].chain.origin(), &key).is_err());
    let stranger = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let signer = NoteSigner::new(origin, &stranger).unwrap();
    let forged = Checkpoint::new(origin, size, c.nodes[0].tree.root()).unwrap().sign(&signer).unwrap();
    let forged = TlogProof { checkpoint: forged.note().clone(), ..receipt };
    assert!(forged.verify(&leaf, origin, &key).is_err());
}
