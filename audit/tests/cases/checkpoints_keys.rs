//! Cases 32 to 51: checkpoints, proofs, cosignatures and the keys behind them.

use super::common::forge::{entries_path, expect, expect_among, follow, glued, note_path, repack};
use super::common::{Cluster, Files, seat_index};
use super::{authorised, judged, permitted, settled};
use escrow_audit::checkpoint::{Checkpoint, CheckpointError, VerifiedCheckpoint};
use escrow_audit::entry::leaf_hash;
use escrow_audit::finding::{Class, Report};
use escrow_audit::note::{
    KeyKind, MAX_NOTE_LEN, MAX_SIGNATURES, Note, NoteError, NoteSigner, SignatureLine, VerifierKey, cosign,
};
use escrow_audit::seat::{self, witness_name};
use escrow_audit::tree::{self, EMPTY_ROOT, Hash, ProofError, Tree};
use escrow_audit::verify::verify;
use escrow_core::{Digest, Kind, Nonce, PublicKey};

/// The bundle with another own note of log 1: as it is, and with every unkeyed hash made anew.
fn with_note(c: &Cluster, note: &[u8]) -> [Report; 2] {
    let mut files = c.full();
    assert_ne!(files[&note_path(0)], note);
    files.insert(note_path(0), note.to_vec());
    [verify(&files, &c.genesis), verify(&repack(files), &c.genesis)]
}

/// Neither way is such a note taken, and nobody is blamed for it.
fn refused(c: &Cluster, note: &[u8], rule: &str) {
    let [bare, anew] = with_note(c, note);
    expect(&bare, Class::Tampered, &["digest"]);
    expect(&anew, Class::Tampered, &[rule]);
    let file = if rule == "root" { entries_path(0) } else { note_path(0) };
    assert_eq!(anew.findings[0].file, file);
}

/// A note of any text, signed by the real key of log 1 under any name.
fn signed(c: &Cluster, name: &str, text: &str) -> Vec<u8> {
    NoteSigner::new(name, &c.nodes[0].log_key).unwrap().sign(text).unwrap().to_bytes()
}

fn origin(c: &Cluster) -> String {
    c.nodes[0].chain.origin().to_owned()
}

fn log_key(c: &Cluster) -> VerifierKey {
    seat::log_verifier(&c.charter.seats[0]).unwrap()
}

/// The text of log 1's head with one line replaced.
fn text(c: &Cluster, line: usize, with: &str) -> String {
    let node = &c.nodes[0];
    let text = Checkpoint::new(node.chain.origin(), node.tree.size(), node.tree.root()).unwrap().text();
    let mut lines: Vec<&str> = text.lines().collect();
    lines[line] = with;
    lines.join("\n") + "\n"
}

#[test]
fn case_32_checkpoint_of_another_origin() {
    let c = settled();
    let other = c.nodes[1].head(c.nodes[1].tree.size());
    refused(&c, &other.to_bytes(), "checkpoint");
    // Also signed by the log's own key.
    let mut foreign = signed(&c, "acme/2/log", &text(&c, 0, "acme/2/log"));
    refused(&c, &foreign, "checkpoint");
    foreign = signed(&c, &origin(&c), &text(&c, 0, "acme/2/log"));
    refused(&c, &foreign, "checkpoint");
    assert_eq!(Checkpoint::verify(&foreign, &origin(&c), &log_key(&c)), Err(CheckpointError::Origin));
}

#[test]
fn case_33_key_name_is_not_the_origin() {
    let c = settled();
    let note = signed(&c, "acme/1/another", &text(&c, 0, &origin(&c)));
    refused(&c, &note, "checkpoint");
    let key = VerifierKey::new("acme/1/another", KeyKind::Log, &c.nodes[0].log_key.verifying_key()).unwrap();
    assert_eq!(Checkpoint::verify(&note, &origin(&c), &key), Err(CheckpointError::Origin));
}

#[test]
fn case_34_origin_that_only_looks_the_same() {
    let c = settled();
    // Slash at the end, case, digit for letter, Cyrillic a, white space that is not seen.
    for look in ["acme/1/log/", "Acme/1/log", "acme/l/log", "\u{430}cme/1/log", "acme/1/log\u{200b}"] {
        let note = signed(&c, look, &text(&c, 0, look));
        refused(&c, &note, "checkpoint");
        let key = VerifierKey::new(look, KeyKind::Log, &c.nodes[0].log_key.verifying_key()).unwrap();
        assert!(Checkpoint::verify(&note, look, &key).is_ok(), "{look}: another log, not a malformed one");
        assert_eq!(Checkpoint::verify(&note, &origin(&c), &log_key(&c)), Err(CheckpointError::Origin));
    }
    for never in ["acme/1/log ", "acme/1/\u{a0}log", "acme+1/log"] {
        assert!(VerifierKey::new(never, KeyKind::Log, &c.nodes[0].log_key.verifying_key()).is_err());
    }
}

#[test]
fn case_35_right_size_and_wrong_root() {
    let c = settled();
    let root = Checkpoint::new("x", 1, [7; 32]).unwrap().text().lines().nth(2).unwrap().to_owned();
    let wrong = text(&c, 2, &root);
    let old = c.nodes[0].head(c.nodes[0].tree.size());
    refused(&c, &glued(&wrong, old.note().signatures()), "root");
    // The log's own key under it makes it no head of these entries either.
    refused(&c, &signed(&c, &origin(&c), &wrong), "root");
}

#[test]
fn case_36_next_size_with_the_old_proof() {
    let c = settled();
    let size = c.nodes[0].tree.size();
    let larger = text(&c, 1, &(size + 1).to_string());
    let old = c.nodes[0].head(size);
    refused(&c, &glued(&larger, old.note().signatures()), "root");
    refused(&c, &signed(&c, &origin(&c), &larger), "root");
    // Proofs: the hashes of size n under n + 1 are refused for every n and index.
    let tree: Tree = (0..33u8).map(|i| leaf_hash(&[i])).collect();
    for size in 1..33 {
        let (now, next) = (tree.root_at(size).unwrap(), tree.root_at(size + 1).unwrap());
        for index in 0..size {
            let (leaf, proof) = (tree.leaf(index).unwrap(), tree.inclusion_proof(index, size).unwrap());
            assert!(tree::verify_inclusion(&leaf, index, size + 1, &proof, &next).is_err());
            // A right-hand root does not bind the size: that stands in the signed note.
            let grown = tree::verify_inclusion(&leaf, index, size + 1, &proof, &now);
            let same_path = tree.inclusion_proof(index, size + 1).unwrap().len() == proof.len();
            assert_eq!(grown.is_ok(), grown.is_ok() && same_path);
        }
        for old in 1..size {
            let (before, proof) = (tree.root_at(old).unwrap(), tree.consistency_proof(old, size).unwrap());
            assert!(tree::verify_consistency(old, &before, size + 1, &next, &proof).is_err());
        }
    }
}

#[test]
fn case_37_size_zero_with_a_root() {
    let c = settled();
    let zero = text(&c, 1, "0");
    let old = c.nodes[0].head(c.nodes[0].tree.size());
    refused(&c, &glued(&zero, old.note().signatures()), "checkpoint");
    refused(&c, &signed(&c, &origin(&c), &zero), "checkpoint");
    assert_eq!(Checkpoint::parse(&zero), Err(CheckpointError::EmptyRoot));
    // A true empty head is well formed, and no head of a log that has entries.
    let empty = Checkpoint::new(&origin(&c), 0, EMPTY_ROOT).unwrap().text();
    refused(&c, &signed(&c, &origin(&c), &empty), "root");
}

#[test]
fn case_38_note_syntax() {
    let c = settled();
    let size = c.nodes[0].tree.size();
    let good = String::from_utf8(c.nodes[0].head(size).to_bytes()).unwrap();
    let line = good.lines().last().unwrap();
    let key = log_key(&c);
    let sized = |with: &str| good.replacen(&format!("\n{size}\n"), &format!("\n{with}\n"), 1);
    let mut bad = vec![
        sized(&format!("0{size}")),
        sized(&format!("+{size}")),
        sized(&format!("{size} ")),
        sized(""),
        sized("0x10"),
        good.replace('\n', "\r\n"),
        good.trim_end().to_owned(),
        good.replacen("acme", "ac\u{7}me", 1),
        good.replacen("acme", "ac\tme", 1),
        format!("{good}{}", "— x AAAAAAE=\n".repeat(MAX_SIGNATURES)),
        format!("{}{good}", "x\n".repeat(1 << 19)),
        good.replacen("\n\n", "\n", 1),
        good.replacen("— ", "- ", 1),
        good.replace(line, &line.replace('=', "")),
        good.replacen(&format!("\n{size}\n"), &format!("\n{size}\nextension\n"), 0),
    ];
    // The last base64 digit before the padding with a stray bit: the same bytes in other text.
    let (head, _) = line.split_at(line.len() - 2);
    let last = line.as_bytes()[line.len() - 2];
    let stray = char::from(last + 1);
    assert!(stray.is_ascii_alphanumeric(), "{stray}");
    bad.push(good.replace(line, &format!("{head}{stray}=")));
    bad.retain(|b| *b != good);
    assert_eq!(bad.len(), 15);
    for note in &bad {
        assert!(Checkpoint::verify(note.as_bytes(), &origin(&c), &key).is_err(), "{note:.200}");
        refused(&c, note.as_bytes(), "checkpoint");
    }
    assert!(bad.iter().any(|b| b.len() > MAX_NOTE_LEN));
}

#[test]
fn case_39_proofs_of_any_length_and_numbers() {
    let tree: Tree = (0..40u8).map(|i| leaf_hash(&[i])).collect();
    let (size, root) = (tree.size(), tree.root());
    let filler: Vec<Hash> = vec![[0; 32]; 64];
    for index in 0..size {
        let leaf = tree.leaf(index).unwrap();
        let proof = tree.inclusion_proof(index, size).unwrap();
        for short in 0..proof.len() {
            let verdict = tree::verify_inclusion(&leaf, index, size, &proof[..short], &root);
            assert_eq!(verdict, Err(ProofError::WrongLength));
        }
        for more in [1, 2, 64 - proof.len(), 64] {
            let long = [&proof[..], &filler[..more]].concat();
            assert_eq!(tree::verify_inclusion(&leaf, index, size, &long, &root), Err(ProofError::WrongLength));
        }
        for other in (0..size).filter(|o| *o != index) {
            assert!(tree::verify_inclusion(&leaf, other, size, &proof, &root).is_err());
        }
        let old = index + 1;
        let before = tree.root_at(old).unwrap();
        let proof = tree.consistency_proof(old, size).unwrap();
        for short in 0..proof.len() {
            assert!(tree::verify_consistency(old, &before, size, &root, &proof[..short]).is_err());
        }
        let long = [&proof[..], &filler[..1]].concat();
        assert_eq!(tree::verify_consistency(old, &before, size, &root, &long), Err(ProofError::WrongLength));
    }
    // A proof where none is expected.
    assert_eq!(tree::verify_inclusion(&root, 0, 1, &filler[..1], &root), Err(ProofError::WrongLength));
    assert_eq!(tree::verify_consistency(0, &EMPTY_ROOT, size, &root, &filler[..1]), Err(ProofError::WrongLength));
    assert_eq!(tree::verify_consistency(size, &root, size, &root, &filler[..1]), Err(ProofError::WrongLength));
    // The ends of the numbers: an answer, whatever it is asked.
    let ends = [0, 1, 2, 63, 64, 1 << 32, (1 << 63) - 1, 1 << 63, u64::MAX - 1, u64::MAX];
    for a in ends {
        for b in ends {
            for len in [0, 1, 63, 64] {
                let verdict = tree::verify_inclusion(&root, a, b, &filler[..len], &root);
                assert!(verdict.is_err() || (a, b, len) == (0, 1, 0), "{a} {b} {len}");
                let verdict = tree::verify_consistency(a, &root, b, &root, &filler[..len]);
                assert!(verdict.is_err() || (a == b && a != 0 && len == 0), "{a} {b} {len}");
            }
        }
    }
}

/// A delivery under the note that `bend` makes of an honestly cosigned one.
fn delivered_under(bend: impl FnOnce(&Cluster, VerifiedCheckpoint) -> Vec<u8>) -> Report {
    let (mut c, authorized, note) = authorised();
    let bytes = bend(&c, note.clone());
    let kept = c.attachments.len();
    c.deliver(0, authorized, &note, |_| {});
    if bytes != note.to_bytes() {
        // The entry names another note: logged again, honestly in all but that.
        let last = c.nodes[0].entries.pop().unwrap();
        let mut entry = escrow_audit::entry::Entry::decode(&last).unwrap();
        let digest = Digest::of(&bytes).to_string();
        entry.body.insert("note".into(), digest.into());
        let again = entry.encode().unwrap();
        let node = &mut c.nodes[0];
        node.tree = node.entries.iter().map(|l| leaf_hash(l)).collect();
        node.tree.append(leaf_hash(&again));
        node.entries.push(again);
        let mut chain = escrow_audit::entry::Chain::new(node.chain.origin());
        for bytes in &node.entries {
            chain.push(bytes).unwrap();
        }
        node.chain = chain;
        c.attachments.truncate(kept);
        c.attachments.push(bytes);
    }
    judged(c)
}

/// A cosignature line of a seat's witness key under any name, at any time.
fn line(c: &Cluster, name: usize, seat: usize, time: u64, text: &str) -> SignatureLine {
    let name = witness_name(&c.charter.org, seat_index(name as u8 + 1));
    cosign(&name, &c.nodes[seat].witness, time, text).unwrap()
}

fn seconds(c: &Cluster) -> u64 {
    u64::try_from(c.now.millis() / 1000).unwrap()
}

/// The note of a cosigned head with other lines than its log's own.
fn with_lines(note: &VerifiedCheckpoint, lines: Vec<SignatureLine>) -> Vec<u8> {
    let own = note.note().signatures()[0].clone();
    glued(note.note().text(), &[&[own][..], &lines].concat())
}

#[test]
fn case_40_one_witness_twice_counts_once() {
    expect(&delivered_under(|_, note| note.to_bytes()), Class::Ok, &[]);
    // One public key under another seat's name is an unknown key: nobody of w = 1 has signed.
    let report = delivered_under(|c, note| {
        let (now, text) = (seconds(c), note.note().text().to_owned());
        with_lines(&note, vec![line(c, 2, 1, now, &text), line(c, 2, 1, now + 1, &text)])
    });
    expect(&report, Class::Violation, &["cosignatures"]);
    // One key under two names, both of them listed: counted once. A charter that lists it is refused.
    let (c, _, note) = authorised();
    let text = note.note().text().to_owned();
    let names = ["acme/2/witness", "acme/3/witness"];
    let keys = names.map(|n| VerifierKey::new(n, KeyKind::Cosigner, &c.nodes[1].witness.verifying_key()).unwrap());
    let lines = vec![line(&c, 1, 1, 5, &text), line(&c, 2, 1, 6, &text), line(&c, 1, 1, 7, &text)];
    let both = Checkpoint::verify(&with_lines(&note, lines), &origin(&c), &log_key(&c)).unwrap();
    assert_eq!(both.cosigners(&keys).unwrap().len(), 1);
    let mut charter = c.charter.clone();
    charter.seats[2].witness_key = charter.seats[1].witness_key.clone();
    assert!(
        escrow_policy::charter::check(&charter).unwrap_err().to_string().contains("a raw public key appears twice")
    );
}

#[test]
fn case_41_unknown_signature_is_ignored_or_left_out() {
    let stranger = ed25519_dalek::SigningKey::from_bytes(&[9; 32]);
    // Under a delivery's note: one more line changes nothing.
    let report = delivered_under(|c, note| {
        let text = note.note().text().to_owned();
        let extra = cosign("stranger.example/w", &stranger, seconds(c), &text).unwrap();
        let lines = [note.note().signatures()[1..].to_vec(), vec![extra]].concat();
        with_lines(&note, lines)
    });
    expect(&report, Class::Ok, &[]);
    // The same name and another key: unknown too, and no cosignature.
    let report = delivered_under(|c, note| {
        let text = note.note().text().to_owned();
        with_lines(&note, vec![cosign("acme/2/witness", &stranger, seconds(c), &text).unwrap()])
    });
    expect(&report, Class::Violation, &["cosignatures"]);
    // Under a log's own note nothing binds such a line: builders leave it out, so here it is an alteration.
    let c = settled();
    let head = c.nodes[0].head(c.nodes[0].tree.size());
    let extra = cosign("stranger.example/w", &stranger, 5, head.note().text()).unwrap();
    refused(&c, &with_lines(&head, vec![extra]), "checkpoint");
}

#[test]
fn case_42_bad_signature_of_a_known_key_refuses_the_note() {
    let bend = |line: &SignatureLine| -> SignatureLine {
        let text = line.to_string();
        let (head, tail) = text.split_at(text.len() - 10);
        let other = if tail.starts_with('A') { "B" } else { "A" };
        let bent = format!("{head}{other}{}\n", &tail[1..]);
        SignatureLine::parse_all(bent.as_bytes()).unwrap().remove(0)
    };
    let c = settled();
    let head = c.nodes[0].head(c.nodes[0].tree.size());
    let own = bend(&head.note().signatures()[0]);
    refused(&c, &glued(head.note().text(), &[own]), "checkpoint");
    // A bad cosignature beside a good signature of the log.
    let good = line(&c, 1, 1, seconds(&c), head.note().text());
    refused(&c, &with_lines(&head, vec![bend(&good)]), "checkpoint");
    refused(&c, &with_lines(&head, vec![good.clone(), bend(&good)]), "checkpoint");
    // Under a delivery: the node relied on a note that is not to be used.
    let report = delivered_under(|_, note| {
        let lines = vec![bend(&note.note().signatures()[1])];
        with_lines(&note, lines)
    });
    expect(&report, Class::Violation, &["note"]);
}

#[test]
fn case_43_log_key_as_witness_key_and_the_other_way() {
    // A charter that gives one raw key two roles is refused.
    let c = settled();
    for (seat, other) in [(0, 0), (0, 1)] {
        let mut charter = c.charter.clone();
        charter.seats[seat].witness_key = charter.seats[other].log_key.clone();
        let refused = escrow_policy::charter::check(&charter).unwrap_err().to_string();
        assert!(refused.contains("a raw public key appears twice"), "{refused}");
    }
    // Seat 2's log key signs in the name of its witness: of another type, so of another id, and unknown.
    let report = delivered_under(|c, note| {
        let text = note.note().text().to_owned();
        with_lines(&note, vec![cosign("acme/2/witness", &c.nodes[1].log_key, seconds(c), &text).unwrap()])
    });
    expect(&report, Class::Violation, &["cosignatures"]);
    // The witness key signs as the log.
    let node = &c.nodes[0];
    let text = node.head(node.tree.size()).note().text().to_owned();
    let signer = NoteSigner::new(node.chain.origin(), &node.witness).unwrap();
    refused(&c, &signer.sign(&text).unwrap().to_bytes(), "checkpoint");
    // A signature of type 0x01 told to be one of type 0x04, with and without a time in front.
    let key = VerifierKey::new("n", KeyKind::Cosigner, &node.log_key.verifying_key()).unwrap();
    let plain = NoteSigner::new("n", &node.log_key).unwrap().sign(&text).unwrap();
    let encoded = plain.signatures()[0].to_string();
    let bytes = base64(encoded.rsplit(' ').next().unwrap());
    for time in [&[][..], &[0; 8], &5u64.to_be_bytes()] {
        let replayed = [&key.id()[..], time, &bytes[4..]].concat();
        let note = format!("{text}\n— n {}\n", to_base64(&replayed));
        let verdict = Note::parse(note.as_bytes()).unwrap().verify(std::slice::from_ref(&key)).map(|s| s.len());
        // Without a time, the first bytes of the signature are taken for one.
        assert!(matches!(verdict, Err(NoteError::BadSignature(_) | NoteError::Time)), "{verdict:?}");
    }
}

fn base64(text: &str) -> Vec<u8> {
    serde_json::from_value::<escrow_core::Blob>(text.into()).unwrap().0
}

fn to_base64(bytes: &[u8]) -> String {
    serde_json::to_value(escrow_core::Blob(bytes.to_vec())).unwrap().as_str().unwrap().to_owned()
}

#[test]
fn case_44_cosignatures_of_an_older_checkpoint_glued_to_a_newer() {
    let c = settled();
    let node = &c.nodes[0];
    let older = node.held[&seat_index(2)].clone();
    let newer = node.head(node.tree.size());
    let older = if older.size() < newer.size() { older } else { node.head(newer.size() - 1) };
    let cosignature = line(&c, 1, 1, seconds(&c), older.note().text());
    refused(&c, &with_lines(&newer, vec![cosignature.clone()]), "checkpoint");
    // As an older head cosigned before the authorisation, under a newer one that covers it.
    let report = delivered_under(|c, note| {
        let before = c.nodes[0].head(note.size() - 1);
        with_lines(&note, vec![line(c, 1, 1, seconds(c), before.note().text())])
    });
    expect(&report, Class::Violation, &["note"]);
}

#[test]
fn case_45_cosignature_time_altered_or_impossible() {
    // Altered by somebody without the key.
    let c = settled();
    let head = c.nodes[0].head(c.nodes[0].tree.size());
    let good = line(&c, 1, 1, seconds(&c), head.note().text()).to_string();
    let mut bytes = base64(good.rsplit(' ').next().unwrap());
    bytes[11] ^= 1;
    let bent = format!("— acme/2/witness {}\n", to_base64(&bytes));
    let bent = SignatureLine::parse_all(bent.as_bytes()).unwrap();
    refused(&c, &with_lines(&head, bent), "checkpoint");
    // Signed at a time that cannot be: before any authorisation that still lives, after the delivery, past 2^63.
    let skew = c.charter.limits.clock_skew_s;
    let at = |shift: i64| {
        delivered_under(move |c, note| {
            let time = seconds(c).saturating_add_signed(shift);
            with_lines(&note, vec![line(c, 1, 1, time, note.note().text())])
        })
    };
    // The delivery is one second younger than the cosignature; an authorisation lives for 60.
    let skew = i64::try_from(skew).unwrap();
    for fine in [0, skew + 1, -skew - 59] {
        expect(&at(fine), Class::Ok, &[]);
    }
    for off in [skew + 2, -skew - 60, -86_400] {
        expect(&at(off), Class::Violation, &["cosignatures"]);
    }
    expect(&at(86_400), Class::Violation, &["cosignatures", "cosigned-future"]);
    assert_eq!(cosign("w", &c.nodes[1].witness, 1 << 63, "x\n"), Err(NoteError::Time));
}

#[test]
fn case_46_cosignatures_older_than_what_they_should_cover() {
    // Views from before the last release say nothing about it.
    let mut c = Cluster::new();
    c.ask();
    c.settle();
    let held: Vec<_> = c.nodes.iter().map(|n| n.held.clone()).collect();
    c.decide("leg", "legal", escrow_core::decision::Choice::Approve);
    c.decide("dpo", "dpo", escrow_core::decision::Choice::Approve);
    let permits: Vec<_> = (0..2).map(|n| c.verdict(n, |_| {})).collect();
    let call = c.call();
    c.release(0, 1, &call, &permits[1]);
    for (n, held) in c.nodes.iter_mut().zip(held) {
        n.held = held;
    }
    let report = verify(&c.full(), &c.genesis);
    expect(&report, Class::Incomplete, &["views-missing"]);
    assert!(report.findings.iter().all(|f| f.rule == "view-old" || f.seat == Some(seat_index(1))));
    assert_eq!(report.findings.iter().filter(|f| f.rule == "view-old").count(), 2);

    // A quorum under a head from before the authorisation, or an authorisation older than 60 s.
    let (mut c, permits, call) = permitted();
    let note = c.cosigned(0, &[1]);
    let answer = c.answer(1, 0);
    let authorized = c.authorise(0, &call, &[&permits[1]], &[&answer]);
    c.deliver(0, authorized, &note, |_| {});
    expect(&judged(c), Class::Violation, &["note-size"]);
    let (mut c, authorized, note) = authorised();
    c.tick(60);
    c.deliver(0, authorized, &note, |_| {});
    expect_among(&judged(c), Class::Violation, "authorization-age");
}

/// A successor of the genesis charter, bent and signed by these people.
fn successor(
    c: &Cluster,
    who: &[&str],
    bend: impl FnOnce(&mut escrow_core::charter::Charter),
) -> escrow_core::Envelope {
    let mut next = c.charter.clone();
    (next.version, next.previous, next.nonce) = (2, Some(c.genesis), Nonce::random());
    (next.issued, next.voided) = (c.now, vec![]);
    bend(&mut next);
    c.signed(&next, who)
}

#[test]
fn case_47_signature_by_a_key_after_its_end_or_its_revocation() {
    // A person's key has a time of validity: an approval after it counts at no node.
    let mut c = Cluster::bent(|charter| {
        let end = charter.issued.plus_seconds(60);
        charter.people.iter_mut().filter(|p| p.id.as_str() == "leg").for_each(|p| p.keys[0].until = end);
    });
    c.ask();
    c.tick(60);
    c.decide("leg", "legal", escrow_core::decision::Choice::Approve);
    assert_eq!(c.refusals.len(), 3, "{:?}", c.refusals);
    expect(&judged(c), Class::Violation, &["key-not-valid"]);
}

#[test]
fn case_48_log_key_changed_without_a_new_log() {
    // A seat's log key never changes in place: the administrators' own quorum cannot do it.
    let mut c = settled();
    let fresh = ed25519_dalek::SigningKey::from_bytes(&[5; 32]);
    let next = successor(&c, &["ann", "bob"], |charter| {
        charter.seats[0].log_key = PublicKey::Ed25519(fresh.verifying_key());
    });
    c.submit(&next);
    assert_eq!(c.refusals.len(), 3, "{:?}", c.refusals);
    let report = judged(c);
    expect_among(&report, Class::Violation, "charter-invalid");
    assert!(report.findings.iter().any(|f| f.detail.contains("a new log key is a new log origin")));
}

#[test]
fn case_49_rotation_to_an_attackers_key_without_a_quorum() {
    let fresh = ed25519_dalek::SigningKey::from_bytes(&[5; 32]);
    let to_attacker = |charter: &mut escrow_core::charter::Charter| {
        charter.seats[0].log_key = PublicKey::Ed25519(fresh.verifying_key());
        charter.seats[0].log_origin = "acme/1/log/2".into();
        charter.seats[0].previous_log_head = Some(Digest::of(b"head"));
    };
    // One administrator of two, logged by the nodes.
    let mut c = settled();
    let next = successor(&c, &["ann"], to_attacker);
    c.submit(&next);
    expect_among(&judged(c), Class::Violation, "charter-invalid");
    // Put into the bundle by somebody: no log names it, and its key is nobody's.
    let c = settled();
    let next = successor(&c, &["ann"], to_attacker);
    let mut files = c.full();
    files.insert("data/charters/0002.json".into(), next.bytes().to_vec());
    expect(&verify(&files, &c.genesis), Class::Tampered, &["unlisted"]);
    expect(&verify(&repack(files.clone()), &c.genesis), Class::Tampered, &["unreferenced"]);
    let head = Checkpoint::new(&origin(&c), c.nodes[0].tree.size(), c.nodes[0].tree.root()).unwrap();
    let signer = NoteSigner::new(head.origin(), &fresh).unwrap();
    files.insert(note_path(0), head.sign(&signer).unwrap().to_bytes());
    follow(&mut files);
    expect(&verify(&files, &c.genesis), Class::Tampered, &["checkpoint", "unreferenced"]);
}

#[test]
fn case_50_signatures_that_only_lax_verifiers_take() {
    let c = settled();
    let head = c.nodes[0].head(c.nodes[0].tree.size());
    let encoded = head.note().signatures()[0].to_string();
    let good = base64(encoded.rsplit(' ').next().unwrap());
    let with = |signature: &[u8]| {
        let text =
            format!("{}\n— {} {}\n", head.note().text(), origin(&c), to_base64(&[&good[..4], signature].concat()));
        text.into_bytes()
    };
    assert_eq!(with(&good[4..]), head.to_bytes());
    // S plus the group order: the same value modulo the order, another encoding.
    let order = hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").unwrap();
    let mut malleated = good[4..].to_vec();
    let mut carry = 0;
    for (byte, add) in malleated[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        (*byte, carry) = (sum as u8, sum >> 8);
    }
    refused(&c, &with(&malleated), "checkpoint");
    // R of small order with S = 0, R not canonical, and nothing at all.
    let mut identity = vec![0; 64];
    identity[0] = 1;
    refused(&c, &with(&identity), "checkpoint");
    let mut twin = [vec![0xff; 32], good[36..].to_vec()].concat();
    twin[31] = 0x7f;
    refused(&c, &with(&twin), "checkpoint");
    refused(&c, &with(&[0; 64]), "checkpoint");
    // A charter with a key of small order is none: every message would have a signature.
    for weak in [[0; 32], {
        let mut one = [0; 32];
        one[0] = 1;
        one
    }] {
        let bytes = to_base64(&weak);
        let json = serde_json::to_value(&c.charter).unwrap().to_string();
        let key = c.charter.seats[0].log_key.to_string();
        let bent = json.replace(&key, &format!("ed25519:{bytes}"));
        assert_ne!(bent, json);
        assert!(serde_json::from_str::<escrow_core::charter::Charter>(&bent).is_err());
    }
}

#[test]
fn case_51_a_bundle_that_brings_its_own_keys_and_policy() {
    let c = settled();
    // Another organisation's whole story, flawless in itself: trust comes from the pin alone.
    let theirs = settled();
    expect(&verify(&theirs.full(), &theirs.genesis), Class::Ok, &[]);
    expect(&verify(&theirs.full(), &c.genesis), Class::Tampered, &["charter-pinned"]);
    // Its charter beside ours, and its log, note and all, in the place of ours.
    let charter = theirs.statements.iter().find(|e| e.kind() == Kind::Charter).unwrap();
    let mut files: Files = c.full();
    files.insert("data/charters/0002.json".into(), charter.bytes().to_vec());
    for path in [entries_path(0), note_path(0)] {
        files.insert(path.clone(), theirs.full()[&path].clone());
    }
    follow(&mut files);
    expect_among(&verify(&files, &c.genesis), Class::Tampered, "checkpoint");
    // A policy text is the charter's: another one is another charter.
    let path = "data/charters/0001.json";
    let mut files = c.full();
    let ours = escrow_core::Envelope::parse(&files[path]).unwrap();
    let mut charter: escrow_core::charter::Charter = ours.decode().unwrap();
    charter.policies[0].text = "@id(\"all\")\npermit(principal, action, resource);".into();
    files.insert(path.into(), c.signed(&charter, &["ann", "bob"]).bytes().to_vec());
    follow(&mut files);
    expect(&verify(&files, &c.genesis), Class::Tampered, &["charter-pinned"]);
}
