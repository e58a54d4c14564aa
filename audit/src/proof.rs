//! C2SP tlog-proof: that one entry is in a log, provable offline.
//!
//! Format: c2sp.org/tlog-proof. This is the proof on receipts and verdicts.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};

use crate::{
    checkpoint::{self, Checkpoint, CheckpointError, VerifiedCheckpoint},
    note::{Note, NoteError, VerifierKey},
    tree::{self, Hash},
};

/// First line of every proof.
pub const HEADER: &str = "c2sp.org/tlog-proof@v1";
/// Most hashes in an inclusion proof: the height of a tree of 2^64 - 1 leaves.
pub const MAX_HASHES: usize = 64;
/// Most bytes of extra data, before base64.
pub const MAX_EXTRA: usize = 4096;

/// Why a proof is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlogProofError {
    /// Not the lines that c2sp.org/tlog-proof prescribes, or beyond a limit of this module.
    #[error("not a tlog-proof")]
    Layout,
    /// The note at the end is malformed.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The checkpoint is malformed, of another log or not signed by it.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The entry is not in the tree at that index.
    #[error(transparent)]
    Inclusion(#[from] tree::ProofError),
}

/// An inclusion proof with the checkpoint that it leads to; a claim, until verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogProof {
    /// Extra data; not authenticated by anything. Our logs write none.
    pub extra: Option<Vec<u8>>,
    /// Zero-based index of the entry.
    pub index: u64,
    /// Inclusion proof, the leaf's sibling first (RFC 6962 section 2.1.1).
    pub hashes: Vec<Hash>,
    /// The checkpoint, with whatever cosignatures it carries.
    pub checkpoint: Note,
}

impl TlogProof {
    /// Parses a proof: at most [`MAX_HASHES`] hashes, [`MAX_EXTRA`] bytes of extra data, and a note within the
    /// limits of [`Note::parse`].
    ///
    /// # Errors
    /// [`TlogProofError`], short of what only keys can tell; decimals and base64 must be
    /// canonical, and extra data, if announced, not empty.
    pub fn parse(bytes: &[u8]) -> Result<Self, TlogProofError> {
        let text = std::str::from_utf8(bytes).map_err(|_| TlogProofError::Layout)?;
        let (head, checkpoint) = text.split_once("\n\n").ok_or(TlogProofError::Layout)?;
        let (extra, index, hashes) = parse_head(head).ok_or(TlogProofError::Layout)?;
        let checkpoint = Note::parse(checkpoint.as_bytes())?;
        Checkpoint::parse(checkpoint.text())?;
        Ok(Self { extra, index, hashes, checkpoint })
    }

    /// The proof's bytes: exactly those that [`TlogProof::parse`] read.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = format!("{HEADER}\n");
        if let Some(extra) = &self.extra {
            text.push_str(&format!("extra {}\n", BASE64.encode(extra)));
        }
        text.push_str(&format!("index {}\n", self.index));
        for hash in &self.hashes {
            text.push_str(&checkpoint::encode_hash(hash));
            text.push('\n');
        }
        text.push('\n');
        [text.into_bytes(), self.checkpoint.to_bytes()].concat()
    }

    /// Checks that the leaf with hash `leaf` is entry [`TlogProof::index`] of the log
    /// `origin`, under a checkpoint signed by `log`, and returns that checkpoint. How many
    /// witnesses it needs is for the caller to say ([`VerifiedCheckpoint::cosigners`]).
    ///
    /// # Errors
    /// [`TlogProofError`].
    pub fn verify(&self, leaf: &Hash, origin: &str, log: &VerifierKey) -> Result<VerifiedCheckpoint, TlogProofError> {
        let head = Checkpoint::verify_note(self.checkpoint.clone(), origin, log)?;
        tree::verify_inclusion(leaf, self.index, head.size(), &self.hashes, head.root())?;
        Ok(head)
    }
}

type Head = (Option<Vec<u8>>, u64, Vec<Hash>);

fn parse_head(head: &str) -> Option<Head> {
    let mut lines = head.split('\n').peekable();
    lines.next_if_eq(&HEADER)?;
    let extra = match lines.peek()?.strip_prefix("extra ") {
        Some(encoded) => {
            lines.next();
            let extra = BASE64.decode(encoded).ok()?;
            Some(extra).filter(|extra| !extra.is_empty() && extra.len() <= MAX_EXTRA).map(Some)?
        }
        None => None,
    };
    let index = checkpoint::parse_decimal(lines.next()?.strip_prefix("index ")?)?;
    let hashes = lines.map(checkpoint::parse_hash).collect::<Option<Vec<_>>>()?;
    (hashes.len() <= MAX_HASHES).then_some((extra, index, hashes))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;
    use crate::{
        note::{KeyKind, NoteSigner},
        tree::{ProofError, Tree, leaf_hash},
    };

    const ORIGIN: &str = "log.example/1";

    fn sample(index: u64) -> (TlogProof, VerifierKey) {
        let tree: Tree = (0..7u8).map(|i| leaf_hash(&[i])).collect();
        let secret = SigningKey::from_bytes(&[1; 32]);
        let signer = NoteSigner::new(ORIGIN, &secret).unwrap();
        let head = Checkpoint::new(ORIGIN, 7, tree.root()).unwrap().sign(&signer).unwrap();
        let hashes = tree.inclusion_proof(index, 7).unwrap();
        let checkpoint = head.note().clone();
        (TlogProof { extra: None, index, hashes, checkpoint }, signer.verifier().clone())
    }

    #[test]
    fn layout_is_the_published_one() {
        let (mut proof, _) = sample(6);
        let note = String::from_utf8(proof.checkpoint.to_bytes()).unwrap();
        let hashes: String = proof.hashes.iter().map(|h| BASE64.encode(h) + "\n").collect();
        assert_eq!(hashes.lines().count(), 2);
        let plain = format!("c2sp.org/tlog-proof@v1\nindex 6\n{hashes}\n{note}");
        assert_eq!(String::from_utf8(proof.to_bytes()), Ok(plain.clone()));
        assert_eq!(TlogProof::parse(plain.as_bytes()), Ok(proof.clone()));
        let extra = plain.replacen("\nindex", "\nextra eHl6\nindex", 1);
        proof.extra = Some(b"xyz".to_vec());
        assert_eq!(TlogProof::parse(extra.as_bytes()), Ok(proof.clone()));
        assert_eq!(proof.to_bytes(), extra.as_bytes());
    }

    #[test]
    fn malformed_proofs_are_refused() {
        let (proof, _) = sample(6);
        let good = String::from_utf8(proof.to_bytes()).unwrap();
        let one_hash = format!("{}\n", BASE64.encode([0; 32]));
        let long_extra = BASE64.encode(vec![0; MAX_EXTRA + 1]);
        let bad = [
            String::new(),
            good.replace("@v1", "@v2"),
            good.replace("index 6", "index 06"),
            good.replace("index 6", "index +6"),
            good.replace("index 6", "index"),
            good.replace("index 6", "index 18446744073709551616"),
            good.replace("\nindex", "\nextra \nindex"),
            good.replace("\nindex", "\nextra eHl\nindex"),
            good.replace("\nindex", "\nextra eHl6\nextra eHl6\nindex"),
            good.replace("\nindex", &format!("\nextra {long_extra}\nindex")),
            good.replace("index 6\n", "index 6\n\n"),
            good.replace("index 6\n", "index 6\nAAAA\n"),
            good.replace("index 6\n", &format!("index 6\n{}", one_hash.repeat(63))),
            good.replace('\n', "\r\n"),
            good.trim_end().to_owned(),
        ];
        for bytes in bad {
            assert!(TlogProof::parse(bytes.as_bytes()).is_err(), "{bytes}");
        }
    }

    #[test]
    fn a_proof_is_about_one_leaf_index_and_log() {
        for index in 0..7u8 {
            let (proof, log) = sample(index.into());
            let leaf = leaf_hash(&[index]);
            assert_eq!(proof.verify(&leaf, ORIGIN, &log).unwrap().size(), 7);
            let wrong = proof.verify(&leaf_hash(b"x"), ORIGIN, &log);
            assert_eq!(wrong, Err(ProofError::WrongRoot.into()));
            let elsewhere = TlogProof { index: 7, ..proof.clone() };
            assert_eq!(elsewhere.verify(&leaf, ORIGIN, &log), Err(ProofError::OutOfRange.into()));
            let elsewhere = TlogProof { index: u64::from(index) ^ 1, ..proof.clone() };
            assert!(elsewhere.verify(&leaf, ORIGIN, &log).is_err());
            let verdict = proof.verify(&leaf, "log.example/2", &log);
            assert_eq!(verdict, Err(CheckpointError::Origin.into()));
            let stranger = SigningKey::from_bytes(&[2; 32]).verifying_key();
            let stranger = VerifierKey::new(ORIGIN, KeyKind::Log, &stranger).unwrap();
            assert!(proof.verify(&leaf, ORIGIN, &stranger).is_err());
        }
    }
}
