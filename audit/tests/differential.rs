//! Judged by others, wider than in `oracle.rs`: every proof of small trees bent in every way, the ends of
//! the numbers, notes of many lines and keys, and the examples of the C2SP documents.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use ed25519_dalek::SigningKey;
use escrow_audit::{
    checkpoint::Checkpoint,
    note::{KeyKind, Note, NoteError, NoteSigner, SignatureLine, VerifierKey, cosign},
    proof::TlogProof,
    tree::{self, Hash, Tree, leaf_hash},
    witness::AddCheckpoint,
};
use proptest::{prelude::*, sample::Index};
use sha2::Sha256;
use tlog_tiles::tlog;

// ---- Trees -------------------------------------------------------------------------------

fn leaf(i: u64) -> Vec<u8> {
    i.to_be_bytes().to_vec()
}

fn tree(size: u64) -> Tree {
    (0..size).map(|i| leaf_hash(&leaf(i))).collect()
}

fn theirs(proof: &[Hash]) -> Vec<tlog::Hash> {
    proof.iter().copied().map(tlog::Hash).collect()
}

fn digests(proof: &[Hash]) -> Vec<ct_merkle::digest::Output<Sha256>> {
    proof.iter().map(|h| (*h).into()).collect()
}

/// The verdict of all three on one inclusion claim, which must be one.
fn included(data: &[u8], index: u64, size: u64, proof: &[Hash], root: &Hash) -> bool {
    let hash = leaf_hash(data);
    let ours = tree::verify_inclusion(&hash, index, size, proof, root).is_ok();
    let tlog = tlog::check_record(&theirs(proof), size, tlog::Hash(*root), index, tlog::Hash(hash)).is_ok();
    let ct = InclusionProof::<Sha256>::from_digests(&digests(proof));
    let ct = RootHash::<Sha256>::new((*root).into(), size).verify_inclusion(&data.to_vec(), index, &ct).is_ok();
    assert_eq!((ours, ours), (tlog, ct), "index {index} size {size} hashes {}", proof.len());
    ours
}

/// The same for consistency, from a tree that is not empty: the oracles know no other.
fn consistent(old: u64, before: &Hash, new: u64, after: &Hash, proof: &[Hash]) -> bool {
    let ours = tree::verify_consistency(old, before, new, after, proof).is_ok();
    let tlog = tlog::check_tree(&theirs(proof), new, tlog::Hash(*after), old, tlog::Hash(*before)).is_ok();
    let ct = ConsistencyProof::<Sha256>::from_digests(&digests(proof));
    let before = RootHash::<Sha256>::new((*before).into(), old);
    let ct = RootHash::<Sha256>::new((*after).into(), new).verify_consistency(&before, &ct).is_ok();
    assert_eq!((ours, ours), (tlog, ct), "old {old} new {new} hashes {}", proof.len());
    ours
}

/// A proof cut to every length, extended, and with one bit of each hash flipped.
fn bent(proof: &[Hash]) -> Vec<Vec<Hash>> {
    let mut out: Vec<Vec<Hash>> = (0..proof.len()).map(|n| proof[..n].to_vec()).collect();
    for more in [1, 2, 64 - proof.len()] {
        out.push([proof, &vec![[7; 32]; more]].concat());
    }
    for at in 0..proof.len() {
        let mut flipped = proof.to_vec();
        flipped[at][at % 32] ^= 1 << (at % 8);
        out.push(flipped);
        let mut without = proof.to_vec();
        without.remove(at);
        out.push(without);
    }
    out
}

#[test]
fn every_inclusion_proof_of_small_trees_bent_in_every_way() {
    const MOST: u64 = 18;
    let whole = tree(MOST);
    for size in 1..=MOST {
        let root = whole.root_at(size).unwrap();
        for index in 0..size {
            let (data, proof) = (leaf(index), whole.inclusion_proof(index, size).unwrap());
            assert!(included(&data, index, size, &proof, &root));
            for wrong in bent(&proof) {
                assert!(!included(&data, index, size, &wrong, &root));
            }
            // Other numbers, the same proof. A root does not bind its size: some of these hold.
            for other in 0..=size + 1 {
                included(&data, other, size, &proof, &root);
                included(&data, index, other, &proof, &root);
            }
        }
    }
}

#[test]
fn every_consistency_proof_of_small_trees_bent_in_every_way() {
    const MOST: u64 = 18;
    let whole = tree(MOST);
    for new in 1..=MOST {
        let after = whole.root_at(new).unwrap();
        for old in 1..=new {
            let (before, proof) = (whole.root_at(old).unwrap(), whole.consistency_proof(old, new).unwrap());
            assert!(consistent(old, &before, new, &after, &proof));
            for wrong in bent(&proof) {
                assert!(!consistent(old, &before, new, &after, &wrong));
            }
            for other in 1..=new + 1 {
                consistent(other, &before, new, &after, &proof);
                consistent(old, &before, other, &after, &proof);
            }
            assert!(old == new || !consistent(old, &after, new, &before, &proof));
        }
    }
}

#[test]
fn the_ends_of_the_numbers() {
    let ends = [0, 1, 2, 3, 62, 63, 64, 65, 1 << 31, 1 << 32, (1 << 62) - 1, 1 << 62, (1 << 63) - 1, 1 << 63, u64::MAX];
    for a in ends {
        for b in ends {
            for len in [0usize, 1, 2, 61, 62, 63, 64, 65] {
                let proof = vec![[3; 32]; len];
                // The oracles index inner nodes by twice the number and may overflow above 2^62.
                if a.max(b) <= 1 << 62 {
                    assert!(!included(b"x", a, b, &proof, &[9; 32]));
                    if a > 0 && b > 0 {
                        assert!(!consistent(a, &[9; 32], b, &[8; 32], &proof));
                    }
                } else {
                    assert!(tree::verify_inclusion(&[9; 32], a, b, &proof, &[8; 32]).is_err());
                    assert!(tree::verify_consistency(a, &[9; 32], b, &[8; 32], &proof).is_err());
                }
            }
        }
    }
}

// ---- Notes -------------------------------------------------------------------------------

fn secret(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn key(name: &str, seed: u8) -> VerifierKey {
    VerifierKey::new(name, KeyKind::Log, &secret(seed).verifying_key()).unwrap()
}

fn their_signers(bytes: &[u8], keys: &[VerifierKey]) -> Option<Vec<String>> {
    let verifiers = keys.iter().map(|key| {
        let verifier = signed_note::StandardVerifier::new(&key.to_string()).unwrap();
        Box::new(verifier) as Box<dyn signed_note::Verifier>
    });
    let note = signed_note::Note::from_bytes(bytes).ok()?;
    let (verified, _) = note.verify(&signed_note::VerifierList::new(verifiers.collect())).ok()?;
    let mut names: Vec<_> = verified.iter().map(|line| line.name().to_owned()).collect();
    names.sort();
    Some(names)
}

fn our_signers(bytes: &[u8], keys: &[VerifierKey]) -> Option<Vec<String>> {
    let signed = Note::parse(bytes).ok()?.verify(keys).ok()?;
    let mut names: Vec<_> = signed.iter().map(|s| s.key.name().to_owned()).collect();
    names.sort();
    Some(names)
}

/// A line over the text, or one that went wrong.
fn line(text: &str, name: &str, seed: u8, how: u8) -> String {
    let other = format!("{text}x\n");
    let signer = secret(seed);
    let signer = NoteSigner::new(name, &signer).unwrap();
    let text = if how == 0 { other.as_str() } else { text };
    let line = signer.sign(text).unwrap().signatures()[0].to_string();
    match how {
        1 => line.replacen("— ", "—  ", 1),
        2 => line.trim_end_matches('=').to_owned(),
        3 => format!("{line} "),
        _ => line,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    /// Lines good, bad, repeated, by known and unknown keys, in any order.
    #[test]
    fn notes_of_many_lines_verify_as_in_signed_note(
        text in prop::collection::vec("[ -~é]{0,12}", 1..4).prop_map(|l| l.join("\n") + "\n"),
        lines in prop::collection::vec((0usize..4, prop_oneof![9 => Just(9u8), 1 => 0u8..4]), 1..6),
        known in prop::collection::vec(any::<bool>(), 4),
    ) {
        let who = [("a", 1), ("b", 2), ("a", 3), ("long.example/name", 4)];
        let text_of = |at: usize| format!("{} {}", who[at].0, who[at].1);
        let body: String = lines.iter().map(|(at, how)| line(&text, who[*at].0, who[*at].1, *how) + "\n").collect();
        let bytes = format!("{text}\n{body}").into_bytes();
        let keys: Vec<VerifierKey> =
            who.iter().zip(&known).filter(|(_, known)| **known).map(|((name, seed), _)| key(name, *seed)).collect();
        prop_assume!(!keys.is_empty());
        let (ours, theirs) = (our_signers(&bytes, &keys), their_signers(&bytes, &keys));
        // The one rule that we added: a bad line refuses the note, also behind a good line of that key.
        let hidden = lines.iter().enumerate().any(|(i, (at, how))| {
            known[*at] && *how == 0 && lines[..i].iter().any(|(before, how)| text_of(*before) == text_of(*at) && *how != 0)
        });
        if hidden {
            prop_assert_eq!(ours, None);
        } else {
            prop_assert_eq!(ours, theirs);
        }
    }

    /// Two bytes of a note changed, cut or put in.
    #[test]
    fn notes_changed_twice_verify_as_in_signed_note(
        changes in prop::collection::vec((any::<Index>(), any::<u8>(), 0u8..5), 2..4),
    ) {
        let text = "log.example/1\n7\nq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=\n";
        let mut bytes = format!("{text}\n{}\n{}\n", line(text, "a", 1, 9), line(text, "b", 2, 9)).into_bytes();
        for (at, byte, how) in changes {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes[at] ^= 1 << (byte % 8),
                2 => bytes.insert(at, byte),
                3 => bytes.truncate(at.max(1)),
                _ if bytes.len() > 1 => drop(bytes.remove(at)),
                _ => {}
            }
        }
        let keys = [key("a", 1), key("b", 2)];
        prop_assert_eq!(our_signers(&bytes, &keys), their_signers(&bytes, &keys));
    }

    /// Verifier keys: what ours takes theirs takes; what only theirs takes breaks a rule that we added.
    #[test]
    fn verifier_keys_parse_as_in_signed_note(seed: u8, at: Index, byte: u8, how in 0u8..6) {
        let good = key("log.example/1", seed).to_string();
        let mut bytes = good.clone().into_bytes();
        let at = at.index(bytes.len());
        match how {
            0 => bytes[at] = byte,
            1 => bytes[at] ^= 1 << (byte % 8),
            2 => bytes.insert(at, byte),
            3 => bytes.truncate(at),
            4 => bytes[at] = bytes[at].to_ascii_uppercase(),
            _ => {}
        }
        let Ok(text) = String::from_utf8(bytes) else { return Ok(()) };
        let (ours, theirs) = (text.parse::<VerifierKey>(), signed_note::StandardVerifier::new(&text));
        match (ours, theirs) {
            (Ok(key), theirs) => {
                prop_assert!(theirs.is_ok());
                prop_assert_eq!(key.to_string(), text);
            }
            // Hexadecimal digits in upper case, or a plus sign that a number may have.
            (Err(_), Ok(_)) => prop_assert!(text.to_lowercase() == good.to_lowercase() || text.matches('+').count() > 2),
            (Err(_), Err(_)) => {}
        }
    }

    /// Parsers of what arrives from others answer, whatever the bytes.
    #[test]
    fn parsers_take_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400), text in "\\PC{0,80}") {
        for input in [bytes.as_slice(), text.as_bytes()] {
            let _ = (Note::parse(input).is_ok(), TlogProof::parse(input).is_ok(), AddCheckpoint::parse(input).is_ok());
            let _ = (SignatureLine::parse_all(input).is_ok(), escrow_audit::entry::Entry::decode(input).is_ok());
            let _ = escrow_audit::bundle::Index::decode(input).is_ok();
        }
        prop_assert!(text.parse::<VerifierKey>().is_err() || text.contains('+'));
    }
}

// ---- Examples of the C2SP documents --------------------------------------------------------

/// c2sp.org/tlog-cosignature; without the last line, c2sp.org/tlog-checkpoint.
const COSIGNED: &str = "example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
";

/// c2sp.org/tlog-witness, request and answer.
const REQUEST: &str = "old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=
";
const ANSWER: &str = "— witness.example/w1 CMp+6LWBU0anHGH5aNDTJkH/gj79sG+T6+iP2ThYN5krrDJbR1HDnucjL39QsZTSvVjyQLrdk3DXDqI5G2HgLatVs0pWh6Up69HVOw==
— witness.example/w1 I7rEps0pvK2UqkS2gSpVUDhrhVtQV9lgF6pRrWAvjJHjyWpW7VcE3SiOlVlbQNt64vWhO+DlkL0+UfzuOBMh9ChdMkP1vi/lCAsmlw==
— witness.example/w2 AWui8Sk55XjYLOijihBjhqEH6nS1ndDymE0a+6idX7pLcnoB+dhnz0854aLZgrrKbYKA7nC3HNJhm/kWl7oJlqU3rXXvpysAdyP3wQ==
";

/// The head of the example in c2sp.org/tlog-proof; its checkpoint there has shortened signatures.
const PROOF: &str = "c2sp.org/tlog-proof@v1
index 73894
gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=
B95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=
EKNzoDWG8LGC0Yp9o+sv3qllpMP9uHQ9B20KNL+Q1zs=
RoopEkOdqkYqMB4MJXrbt/hMjOxsVn0IrWjpz1ZMMes=
AHCioX9nLjsrse6YhjRRmk1WUEirVOLLRoOQ6vfO5vk=

";

#[test]
fn examples_of_the_documents_are_read_and_written_back() {
    let checkpoint = Note::parse(COSIGNED.as_bytes()).unwrap();
    let claim = Checkpoint::parse(checkpoint.text()).unwrap();
    assert_eq!((claim.origin(), claim.size()), ("example.com/behind-the-sofa", 20_852_163));
    assert_eq!((claim.text().as_str(), checkpoint.signatures().len()), (checkpoint.text(), 2));
    assert_eq!(checkpoint.to_bytes(), COSIGNED.as_bytes());
    let theirs = tlog_tiles::Checkpoint::from_bytes(checkpoint.text().as_bytes()).unwrap();
    assert_eq!((claim.size(), claim.root()), (theirs.size(), &theirs.hash().0));
    // The documents give no public keys. Whoever signed, it was none of ours.
    let ours = VerifierKey::new(claim.origin(), KeyKind::Log, &secret(1).verifying_key()).unwrap();
    assert_eq!(checkpoint.verify(&[ours]), Err(NoteError::Unsigned));

    let request = AddCheckpoint::parse(REQUEST.as_bytes()).unwrap();
    assert_eq!((request.claimed_origin(), request.to_bytes()), (claim.origin(), REQUEST.as_bytes().to_vec()));
    let lines = SignatureLine::parse_all(ANSWER.as_bytes()).unwrap();
    let names: Vec<_> = lines.iter().map(SignatureLine::name).collect();
    assert_eq!(names, ["witness.example/w1", "witness.example/w1", "witness.example/w2"]);

    let proof = [PROOF, COSIGNED].concat();
    let parsed = TlogProof::parse(proof.as_bytes()).unwrap();
    assert_eq!((parsed.index, parsed.hashes.len(), parsed.to_bytes()), (73_894, 5, proof.into_bytes()));
}

/// The keys and signatures of golang.org/x/mod/sumdb/note, as signed_note's own tests have them.
#[test]
fn published_signatures_verify() {
    let text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
    let keys = [
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop",
    ];
    let keys = keys.map(|k| k.parse::<VerifierKey>().unwrap());
    let peter =
        "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    let enoch =
        "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";
    let signers = |lines: &str| our_signers(format!("{text}\n{lines}").as_bytes(), &keys);
    assert_eq!(signers(&[peter, enoch].concat()), Some(vec!["EnochRoot".to_owned(), "PeterNeumann".to_owned()]));
    assert_eq!(signers(peter), Some(vec!["PeterNeumann".to_owned()]));
    assert_eq!(signers(&peter.replace("x08go/Z", "x08go/a")), None);
    assert_eq!(our_signers(format!("{text}x\n\n{peter}").as_bytes(), &keys), None);
}

/// c2sp.org/tlog-cosignature's signed message, byte for byte.
#[test]
fn a_cosignature_signs_the_message_of_the_document() {
    let text = Note::parse(COSIGNED.as_bytes()).unwrap().text().to_owned();
    let secret = secret(3);
    let line = cosign("witness.example.com/w1", &secret, 1_679_315_147, &text).unwrap().to_string();
    let message = "cosignature/v1\ntime 1679315147\nexample.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
    let signature = ed25519_dalek::Signer::sign(&secret, message.as_bytes()).to_bytes();
    // The time of the example's own line is the one in its message.
    let theirs = COSIGNED.lines().last().unwrap();
    for (line, whole) in [(line.as_str(), Some(signature)), (theirs, None)] {
        let encoded: escrow_core::Blob = serde_json::from_value(line.rsplit(' ').next().unwrap().into()).unwrap();
        assert_eq!(encoded.0.len(), 4 + 8 + 64);
        assert_eq!(encoded.0[4..12], 1_679_315_147u64.to_be_bytes());
        assert!(whole.is_none_or(|whole| encoded.0[12..] == whole));
    }
}
