//! Judged by others: random trees, proofs and notes, honest and bent, against crates that we
//! did not write (`tlog_tiles`, `signed_note`, `ct-merkle`).
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use ct_merkle::{ConsistencyProof, InclusionProof, RootHash, mem_backed_tree::MemoryBackedTree};
use ed25519_dalek::SigningKey;
use escrow_audit::{
    checkpoint::Checkpoint,
    note::{KeyKind, Note, NoteSigner, SignatureLine, VerifierKey, cosign},
    proof::TlogProof,
    tree::{self, CompactRange, EMPTY_ROOT, Hash, Tree, leaf_hash},
    witness::AddCheckpoint,
};
use proptest::{prelude::*, sample::Index};
use sha2::Sha256;
use tlog_tiles::tlog;

// ---- Trees and proofs --------------------------------------------------------------------

/// `tlog_tiles` asks for stored hashes by index.
struct Stored(Vec<tlog::Hash>);

impl tlog::HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog::Hash>, tlog::Error> {
        Ok(indexes.iter().map(|index| self.0[*index as usize]).collect())
    }
}

struct Oracles {
    ours: Tree,
    range: CompactRange,
    stored: Stored,
    merkle: MemoryBackedTree<Sha256, Vec<u8>>,
    leaves: Vec<Vec<u8>>,
}

fn grow(leaves: Vec<Vec<u8>>) -> Oracles {
    let (mut stored, mut merkle) = (Stored(Vec::new()), MemoryBackedTree::new());
    let (mut ours, mut range) = (Tree::new(), CompactRange::new());
    for (index, leaf) in leaves.iter().enumerate() {
        assert_eq!(ours.append(leaf_hash(leaf)), index as u64);
        range.push(leaf_hash(leaf));
        let new = tlog::stored_hashes(index as u64, leaf, &stored).unwrap();
        stored.0.extend(new);
        merkle.push(leaf.clone());
    }
    Oracles { ours, range, stored, merkle, leaves }
}

fn trees() -> impl Strategy<Value = Oracles> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..140).prop_map(grow).no_shrink()
}

impl std::fmt::Debug for Oracles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "tree of {} leaves", self.leaves.len())
    }
}

fn theirs(proof: &[Hash]) -> Vec<tlog::Hash> {
    proof.iter().copied().map(tlog::Hash).collect()
}

fn ct_root(root: Hash, size: u64) -> RootHash<Sha256> {
    RootHash::new(root.into(), size)
}

/// What a liar may do to a proof.
#[derive(Debug, Clone)]
enum Bend {
    Nothing,
    Drop(Index),
    Repeat(Index),
    Swap(Index, Index),
    Flip(Index, Index),
    Append(Hash),
}

fn bends() -> impl Strategy<Value = Bend> {
    prop_oneof![
        Just(Bend::Nothing),
        any::<Index>().prop_map(Bend::Drop),
        any::<Index>().prop_map(Bend::Repeat),
        any::<(Index, Index)>().prop_map(|(a, b)| Bend::Swap(a, b)),
        any::<(Index, Index)>().prop_map(|(a, b)| Bend::Flip(a, b)),
        any::<Hash>().prop_map(Bend::Append),
    ]
}

fn bend(mut proof: Vec<Hash>, how: &Bend) -> Vec<Hash> {
    let len = proof.len();
    match how {
        Bend::Append(hash) => proof.push(*hash),
        _ if len == 0 => {}
        Bend::Nothing => {}
        Bend::Drop(at) => drop(proof.remove(at.index(len))),
        Bend::Repeat(at) => proof.insert(at.index(len), proof[at.index(len)]),
        Bend::Swap(a, b) => proof.swap(a.index(len), b.index(len)),
        Bend::Flip(at, bit) => proof[at.index(len)][bit.index(256) / 8] ^= 1 << (bit.index(256) % 8),
    }
    proof
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn roots_and_proofs_are_those_of_the_oracles(all in trees(), a: Index, b: Index) {
        let size = all.leaves.len() as u64;
        prop_assert_eq!(all.ours.root(), tlog::tree_hash(size, &all.stored).unwrap().0);
        prop_assert_eq!(all.ours.root(), <Hash>::from(*all.merkle.root().as_bytes()));
        prop_assert_eq!(all.ours.root(), all.range.root());
        let (low, high) = (a.index(all.leaves.len()) as u64, b.index(all.leaves.len()) as u64 + 1);
        let (old, new) = (low.min(high), low.max(high));
        prop_assert_eq!(all.ours.root_at(new), Some(tlog::tree_hash(new, &all.stored).unwrap().0));

        if old < new {
            let ours = theirs(&all.ours.inclusion_proof(old, new).unwrap());
            prop_assert_eq!(ours, tlog::prove_record(new, old, &all.stored).unwrap());
        }
        if old > 0 {
            let ours = theirs(&all.ours.consistency_proof(old, new).unwrap());
            prop_assert_eq!(ours, tlog::prove_tree(new, old, &all.stored).unwrap());
            let ours = all.ours.consistency_proof(old, size).unwrap().concat();
            let ct = all.merkle.prove_consistency((size - old) as usize);
            prop_assert_eq!(&ours[..], ct.as_bytes());
        }
        let ours = all.ours.inclusion_proof(low, size).unwrap().concat();
        let ct = all.merkle.prove_inclusion(low as usize);
        prop_assert_eq!(&ours[..], ct.as_bytes());
    }

    /// Bent proofs, other indexes and other sizes: three verifiers, one verdict.
    #[test]
    fn inclusion_verdicts_agree(
        all in trees(), at: Index, how in bends(), shift in -2i64..=2, grown in -2i64..=2,
    ) {
        let size = all.leaves.len() as u64;
        let index = at.index(all.leaves.len()) as u64;
        let proof = bend(all.ours.inclusion_proof(index, size).unwrap(), &how);
        let leaf = &all.leaves[index as usize];
        let index = index.saturating_add_signed(shift);
        let size = size.saturating_add_signed(grown);
        let root = all.ours.root();

        let ours = tree::verify_inclusion(&leaf_hash(leaf), index, size, &proof, &root).is_ok();
        let (hash, th) = (tlog::Hash(leaf_hash(leaf)), tlog::Hash(root));
        let tlog = tlog::check_record(&theirs(&proof), size, th, index, hash).is_ok();
        let ct = InclusionProof::from_digests(&proof.iter().map(|h| (*h).into()).collect::<Vec<_>>());
        let ct = ct_root(root, size).verify_inclusion(leaf, index, &ct).is_ok();
        prop_assert_eq!((ours, ours), (tlog, ct));
        if shift == 0 && grown == 0 && matches!(how, Bend::Nothing) {
            prop_assert!(ours);
        }
    }

    #[test]
    fn consistency_verdicts_agree(
        all in trees(), at: Index, how in bends(), shift in -2i64..=2, grown in -2i64..=2,
    ) {
        let new = all.leaves.len() as u64;
        let old = at.index(all.leaves.len()) as u64 + 1;
        let proof = bend(all.ours.consistency_proof(old, new).unwrap(), &how);
        let (a, b) = (all.ours.root_at(old).unwrap(), all.ours.root());
        let honest = shift == 0 && grown == 0 && matches!(how, Bend::Nothing);
        let old = old.saturating_add_signed(shift).max(1);
        let new = new.saturating_add_signed(grown).max(1);

        let ours = tree::verify_consistency(old, &a, new, &b, &proof).is_ok();
        let (ha, hb) = (tlog::Hash(a), tlog::Hash(b));
        let tlog = tlog::check_tree(&theirs(&proof), new, hb, old, ha).is_ok();
        let ct = ConsistencyProof::from_digests(&proof.iter().map(|h| (*h).into()).collect::<Vec<_>>());
        let ct = ct_root(b, new).verify_consistency(&ct_root(a, old), &ct).is_ok();
        prop_assert_eq!((ours, ours), (tlog, ct));
        if honest {
            prop_assert!(ours);
        }
    }

    #[test]
    fn verifiers_take_any_numbers(
        index: u64, size: u64, proof in prop::collection::vec(any::<Hash>(), 0..70), root: Hash,
    ) {
        let verdict = tree::verify_inclusion(&root, index, size, &proof, &root);
        prop_assert!(verdict.is_err() || (index, size, proof.len()) == (0, 1, 0));
        let verdict = tree::verify_consistency(index, &EMPTY_ROOT, size, &root, &proof);
        prop_assert!(verdict.is_err() || index == 0);
    }
}

// ---- Notes -------------------------------------------------------------------------------

fn secret(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec("[ -~é—]{0,20}", 1..6).prop_map(|lines| lines.join("\n") + "\n")
}

fn checkpoint_note(root: Hash, size: u64) -> Vec<u8> {
    let secret = secret(1);
    let signer = NoteSigner::new("log.example/1", &secret).unwrap();
    let head = Checkpoint::new("log.example/1", size, root).unwrap().sign(&signer).unwrap();
    let line = cosign("witness.example/w", &self::secret(2), 1_700_000_000, head.note().text());
    [head.to_bytes(), format!("{}\n", line.unwrap()).into_bytes()].concat()
}

/// What signed_note, which knows type 0x01 only, says: who signed, or nothing.
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

fn change(bytes: &mut Vec<u8>, at: &Index, byte: u8, how: u8) {
    let at = at.index(bytes.len());
    match how {
        0 => bytes[at] = byte,
        1 => bytes[at] ^= 1 << (byte % 8),
        2 => bytes.insert(at, byte),
        3 => bytes.truncate(at),
        _ => drop(bytes.remove(at)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn notes_verify_as_in_signed_note(
        text in text(),
        signers in prop::collection::vec((1u8..5, "[a-z.é/]{1,8}"), 1..4),
        known in 0usize..4,
        at: Index, byte: u8, how in 0u8..8,
    ) {
        let mut lines: Vec<SignatureLine> = Vec::new();
        let mut keys: Vec<VerifierKey> = Vec::new();
        for (seed, name) in &signers {
            let secret = secret(*seed);
            let signer = NoteSigner::new(name, &secret).unwrap();
            // Theirs counts names, ours public keys: keep both apart here.
            let taken = |key: &VerifierKey| {
                key.name() == name || key.public_key() == signer.verifier().public_key()
            };
            if !keys.iter().any(taken) {
                keys.push(signer.verifier().clone());
                lines.push(signer.sign(&text).unwrap().signatures()[0].clone());
            }
        }
        keys.truncate(known.max(1));
        let mut bytes = Note::new(&text, lines).unwrap().to_bytes();
        prop_assert_eq!(our_signers(&bytes, &keys).map(|names| names.len()), Some(keys.len()));
        if how < 5 {
            change(&mut bytes, &at, byte, how);
        }
        prop_assert_eq!(our_signers(&bytes, &keys), their_signers(&bytes, &keys));
        if let Ok(note) = Note::parse(&bytes) {
            prop_assert_eq!(&note.to_bytes(), &bytes);
            prop_assert_eq!(signed_note::Note::from_bytes(&bytes).unwrap().to_bytes(), bytes);
        }
    }

    /// One byte changed anywhere in a cosigned checkpoint: refused, or the change sits in a
    /// line that now belongs to nobody known.
    #[test]
    fn no_byte_of_a_cosigned_checkpoint_is_free(root: Hash, size in 1u64.., at: Index, bit in 0u8..8) {
        let log = VerifierKey::new("log.example/1", KeyKind::Log, &secret(1).verifying_key()).unwrap();
        let name = "witness.example/w";
        let witness = [VerifierKey::new(name, KeyKind::Cosigner, &secret(2).verifying_key()).unwrap()];
        let verdict = |bytes: &[u8]| {
            let head = Checkpoint::verify(bytes, "log.example/1", &log).ok()?;
            assert_eq!((head.size(), head.root()), (size, &root));
            Some(head.cosigners(&witness).ok()?.len())
        };
        let mut bytes = checkpoint_note(root, size);
        prop_assert_eq!(verdict(&bytes), Some(1));
        change(&mut bytes, &at, bit, 1);
        prop_assert!(verdict(&bytes).unwrap_or(0) == 0);
    }

    #[test]
    fn checkpoint_texts_parse_as_in_tlog_tiles(
        origin in "[a-z/é]{1,8}", size: u64, root: Hash,
        at: Index, byte in prop_oneof![any::<u8>(), Just(b'\n'), Just(b'0'), Just(b' ')], how in 0u8..8,
    ) {
        let head = Checkpoint::new(&origin, size.max(1), root).unwrap();
        let mut bytes = head.text().into_bytes();
        if how < 5 {
            change(&mut bytes, &at, byte, how);
        }
        let ours = std::str::from_utf8(&bytes).ok().and_then(|text| Checkpoint::parse(text).ok());
        let theirs = tlog_tiles::Checkpoint::from_bytes(&bytes).ok();
        if let Some(ours) = &ours {
            let theirs = theirs.as_ref().unwrap();
            prop_assert_eq!(ours.origin(), theirs.origin());
            prop_assert_eq!((ours.size(), ours.root()), (theirs.size(), &theirs.hash().0));
            prop_assert_eq!(ours.text().into_bytes(), bytes);
        } else if let Some(theirs) = theirs {
            // What ours refuses and theirs takes must be one of the rules we added.
            let odd_origin = |c: char| c.is_whitespace() || c.is_control() || c == '+';
            prop_assert!(
                theirs.origin().contains(odd_origin)
                    || !theirs.extension().is_empty()
                    || theirs.size() == 0
            );
        }
    }

    /// Whatever a parser accepts, it writes back byte for byte.
    #[test]
    fn accepted_bytes_come_back_unchanged(size in 1u64..40, which: Index, at: Index, byte: u8, how in 0u8..8) {
        let tree: Tree = (0..size).map(|i| leaf_hash(&i.to_be_bytes())).collect();
        let (note, log) = (checkpoint_note(tree.root(), size), secret(1).verifying_key());
        let log = VerifierKey::new("log.example/1", KeyKind::Log, &log).unwrap();
        let index = which.index(size as usize) as u64;
        let hashes = tree.inclusion_proof(index, size).unwrap();
        let checkpoint = Note::parse(&note).unwrap();
        let proof = TlogProof { extra: None, index, hashes, checkpoint };
        let leaf = leaf_hash(&index.to_be_bytes());
        prop_assert_eq!(proof.verify(&leaf, "log.example/1", &log).unwrap().size(), size);
        let head = Checkpoint::verify(&note, "log.example/1", &log).unwrap();
        let steps = tree.consistency_proof(index, size).unwrap();
        let request = AddCheckpoint::new(index, steps, &head).unwrap();

        let (mut proof_bytes, mut request_bytes) = (proof.to_bytes(), request.to_bytes());
        if how < 5 {
            change(&mut proof_bytes, &at, byte, how);
            change(&mut request_bytes, &at, byte, how);
        }
        if let Ok(parsed) = TlogProof::parse(&proof_bytes) {
            prop_assert_eq!(parsed.to_bytes(), proof_bytes.clone());
            // The leaf is in the log however the rest was bent, or the proof is refused.
            if let Ok(head) = parsed.verify(&leaf, "log.example/1", &log) {
                prop_assert_eq!((parsed.index, head.size()), (index, size));
            }
        }
        if let Ok(parsed) = AddCheckpoint::parse(&request_bytes) {
            prop_assert_eq!(parsed.to_bytes(), request_bytes);
        }
    }
}
