//! C2SP checkpoints: the signed head of a log, and who has countersigned it.
//!
//! Format: c2sp.org/tlog-checkpoint, narrowed to what our own logs write: no extension
//! lines, the key's name equals the origin, and the empty tree has the empty root.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use escrow_core::{Timestamp, limits::AUTHORISATION_LIFE_S};

use crate::{
    note::{self, KeyKind, Note, NoteError, NoteSigner, SignatureLine, Signed, VerifierKey},
    tree::{EMPTY_ROOT, Hash},
};

/// Why a checkpoint is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The note around it is malformed, unsigned or wrongly signed.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The text is not origin, size and root, or has extension lines.
    #[error("checkpoint is not origin, size and root on three lines")]
    Layout,
    /// The origin is not the one asked for, or not the key's name.
    #[error("checkpoint is of another log")]
    Origin,
    /// The given key is a witness key.
    #[error("key is not a log key")]
    NotALogKey,
    /// Size 0 with another root than [`EMPTY_ROOT`].
    #[error("tree of size 0 must have the empty root")]
    EmptyRoot,
}

/// Head of a log: a claim, until it comes out of [`Checkpoint::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    size: u64,
    root: Hash,
}

impl Checkpoint {
    /// # Errors
    /// [`NoteError::KeyName`] if the origin cannot be a key name,
    /// [`CheckpointError::EmptyRoot`].
    pub fn new(origin: &str, size: u64, root: Hash) -> Result<Self, CheckpointError> {
        note::check_key_name(origin)?;
        if size == 0 && root != EMPTY_ROOT {
            return Err(CheckpointError::EmptyRoot);
        }
        Ok(Self { origin: origin.to_owned(), size, root })
    }

    /// Parses the text of a note: exactly three lines, size in decimal without leading
    /// zeros, root in canonical base64. Proves nothing about who wrote it.
    ///
    /// # Errors
    /// [`CheckpointError`] for anything else.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let lines = text.strip_suffix('\n').ok_or(CheckpointError::Layout)?;
        let mut lines = lines.split('\n');
        let (Some(origin), Some(size), Some(root), None) = (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(CheckpointError::Layout);
        };
        let size = parse_decimal(size).ok_or(CheckpointError::Layout)?;
        let root = parse_hash(root).ok_or(CheckpointError::Layout)?;
        Self::new(origin, size, root)
    }

    /// Signs with the log's key. A log must never sign two roots for one size; the caller
    /// commits the tree before it calls.
    ///
    /// # Errors
    /// [`CheckpointError::Origin`] if the signer's name is not the origin.
    pub fn sign(&self, signer: &NoteSigner<'_>) -> Result<VerifiedCheckpoint, CheckpointError> {
        let note = signer.sign(&self.text())?;
        Self::verify(&note.to_bytes(), &self.origin, signer.verifier())
    }

    /// Accepts a note as the head of the log `origin`, signed by `log`. The only way to a
    /// [`VerifiedCheckpoint`]. Other signatures in the note are neither needed nor judged.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn verify(note: &[u8], origin: &str, log: &VerifierKey) -> Result<VerifiedCheckpoint, CheckpointError> {
        Self::verify_note(Note::parse(note)?, origin, log)
    }

    pub(crate) fn verify_note(
        note: Note,
        origin: &str,
        log: &VerifierKey,
    ) -> Result<VerifiedCheckpoint, CheckpointError> {
        if log.kind() != KeyKind::Log {
            return Err(CheckpointError::NotALogKey);
        }
        let checkpoint = Self::parse(note.text())?;
        if checkpoint.origin != origin || log.name() != origin {
            return Err(CheckpointError::Origin);
        }
        note.verify(std::slice::from_ref(log))?;
        Ok(VerifiedCheckpoint { checkpoint, note, log: log.clone() })
    }

    /// The note text that is signed and cosigned.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, encode_hash(&self.root))
    }

    /// The log's identity line.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// RFC 6962 root over them.
    #[must_use]
    pub fn root(&self) -> &Hash {
        &self.root
    }
}

/// A head that its log really signed. Only [`Checkpoint::verify`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedCheckpoint {
    checkpoint: Checkpoint,
    note: Note,
    log: VerifierKey,
}

impl VerifiedCheckpoint {
    /// The log's identity line.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.checkpoint.origin()
    }

    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.checkpoint.size
    }

    /// RFC 6962 root over them.
    #[must_use]
    pub fn root(&self) -> &Hash {
        &self.checkpoint.root
    }

    /// The note: text, log signature and all other lines.
    #[must_use]
    pub fn note(&self) -> &Note {
        &self.note
    }

    /// The note's bytes, as they arrived or with cosignatures added since.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.note.to_bytes()
    }

    /// Which of `witnesses` have cosigned this head, and when at the latest.
    ///
    /// Counts public keys, not names or lines: one key counts once, and neither a log key
    /// nor the key of this very log counts as a witness.
    ///
    /// # Errors
    /// [`NoteError::BadSignature`] or [`NoteError::Time`] if a listed witness's line does not
    /// verify; the note is then not to be used.
    pub fn cosigners<'k>(&self, witnesses: &'k [VerifierKey]) -> Result<Vec<Signed<'k>>, NoteError> {
        self.note.signers(witnesses.iter().filter(|key| self.may_witness(key)))
    }

    /// Those of [`VerifiedCheckpoint::cosigners`] that a release delivered at `at` may count: made at most
    /// [`AUTHORISATION_LIFE_S`] seconds before and not after, by clocks that differ by at most `skew_s`
    /// seconds (docs/protocol.md section 17). A cosignature's time is in whole seconds.
    ///
    /// # Errors
    /// As [`VerifiedCheckpoint::cosigners`].
    pub fn timely_cosigners<'k>(
        &self,
        witnesses: &'k [VerifierKey],
        at: Timestamp,
        skew_s: u64,
    ) -> Result<Vec<Signed<'k>>, NoteError> {
        let at = u64::try_from(at.millis().div_euclid(1000)).unwrap_or(0);
        let oldest = at.saturating_sub(AUTHORISATION_LIFE_S).saturating_sub(skew_s);
        let timely = |s: &Signed<'_>| (oldest..=at.saturating_add(skew_s)).contains(&s.time);
        Ok(self.cosigners(witnesses)?.into_iter().filter(timely).collect())
    }

    /// Adds the cosignatures in a witness's answer (c2sp.org/tlog-witness: signature lines
    /// only) and says how many were added. Lines of keys not in `witnesses` are dropped; a
    /// newer line of a key takes the place of its older one, an older one is dropped.
    ///
    /// # Errors
    /// [`NoteError`]; the note then stays as it was.
    pub fn add_cosignatures(&mut self, answer: &[u8], witnesses: &[VerifierKey]) -> Result<usize, NoteError> {
        let mut note = self.note.clone();
        let mut added = 0;
        for line in SignatureLine::parse_all(answer)? {
            let alone = Note::new(note.text(), vec![line.clone()])?;
            for new in alone.signers(witnesses.iter().filter(|key| self.may_witness(key)))? {
                let before = note.signers([new.key])?;
                if before.iter().all(|old| old.time < new.time) {
                    note.replace(new.key, line.clone());
                    added += 1;
                }
            }
        }
        self.note = Note::parse(&note.to_bytes())?;
        Ok(added)
    }

    /// Whether the two heads together prove that the log's key signed two histories: one
    /// origin, one key, one size, two roots.
    #[must_use]
    pub fn contradicts(&self, other: &Self) -> bool {
        self.log == other.log && self.size() == other.size() && self.root() != other.root()
    }

    fn may_witness(&self, key: &VerifierKey) -> bool {
        key.kind() == KeyKind::Cosigner && key.public_key() != self.log.public_key()
    }
}

/// A decimal number with no leading zero, sign or space.
pub(crate) fn parse_decimal(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// A hash in canonical, padded base64.
pub(crate) fn parse_hash(text: &str) -> Option<Hash> {
    BASE64.decode(text).ok()?.try_into().ok()
}

pub(crate) fn encode_hash(hash: &Hash) -> String {
    BASE64.encode(hash)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;
    use crate::note::cosign;

    const ORIGIN: &str = "log.example/1";

    fn secret(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn key(name: &str, kind: KeyKind, seed: u8) -> VerifierKey {
        VerifierKey::new(name, kind, &secret(seed).verifying_key()).unwrap()
    }

    fn head(size: u64, root: Hash) -> VerifiedCheckpoint {
        let secret = secret(1);
        let signer = NoteSigner::new(ORIGIN, &secret).unwrap();
        Checkpoint::new(ORIGIN, size, root).unwrap().sign(&signer).unwrap()
    }

    fn signed_text(text: &str) -> Vec<u8> {
        NoteSigner::new(ORIGIN, &secret(1)).unwrap().sign(text).unwrap().to_bytes()
    }

    #[test]
    fn a_signed_head_verifies_for_its_own_log_only() {
        let log = key(ORIGIN, KeyKind::Log, 1);
        let note = head(5, [7; 32]).to_bytes();
        let verified = Checkpoint::verify(&note, ORIGIN, &log).unwrap();
        assert_eq!((verified.size(), verified.root()), (5, &[7; 32]));
        assert_eq!(verified.to_bytes(), note);
        for origin in ["log.example/1/", "log.example", "Log.example/1", "log.example/l"] {
            let verdict = Checkpoint::verify(&note, origin, &key(origin, KeyKind::Log, 1));
            assert_eq!(verdict, Err(CheckpointError::Origin));
        }
        // The right key under another name, and the right text by another key.
        let verdict = Checkpoint::verify(&note, ORIGIN, &key("other", KeyKind::Log, 1));
        assert_eq!(verdict, Err(CheckpointError::Origin));
        let verdict = Checkpoint::verify(&note, ORIGIN, &key(ORIGIN, KeyKind::Log, 2));
        assert_eq!(verdict, Err(NoteError::Unsigned.into()));
        let verdict = Checkpoint::verify(&note, ORIGIN, &key(ORIGIN, KeyKind::Cosigner, 1));
        assert_eq!(verdict, Err(CheckpointError::NotALogKey));
        let bent = String::from_utf8(note).unwrap().replace("\n5\n", "\n6\n");
        let verdict = Checkpoint::verify(bent.as_bytes(), ORIGIN, &log);
        assert_eq!(verdict, Err(NoteError::BadSignature(ORIGIN.into()).into()));
    }

    #[test]
    fn a_signer_of_another_name_is_refused() {
        let secret = secret(1);
        let signer = NoteSigner::new("other", &secret).unwrap();
        let verdict = Checkpoint::new(ORIGIN, 5, [7; 32]).unwrap().sign(&signer);
        assert_eq!(verdict, Err(CheckpointError::Origin));
    }

    #[test]
    fn text_is_exactly_three_lines() {
        let (root, empty) = (encode_hash(&[7; 32]), encode_hash(&EMPTY_ROOT));
        let log = key(ORIGIN, KeyKind::Log, 1);
        for good in [format!("{ORIGIN}\n0\n{empty}\n"), format!("{ORIGIN}\n{}\n{root}\n", u64::MAX)] {
            let head = Checkpoint::verify(&signed_text(&good), ORIGIN, &log).unwrap();
            assert_eq!(head.note().text(), good);
        }
        let bad = [
            format!("{ORIGIN}\n05\n{root}\n"),
            format!("{ORIGIN}\n+5\n{root}\n"),
            format!("{ORIGIN}\n-5\n{root}\n"),
            format!("{ORIGIN}\n5 \n{root}\n"),
            format!("{ORIGIN}\n\n{root}\n"),
            format!("{ORIGIN}\n18446744073709551616\n{root}\n"),
            format!("{ORIGIN}\n5\n{}\n", root.trim_end_matches('=')),
            format!("{ORIGIN}\n5\n{}\n", &root[4..]),
            format!("{ORIGIN}\n5\n{root}\nextension\n"),
            format!("{ORIGIN}\n5\n{root}\n\n"),
            format!("{ORIGIN}\n5\n"),
        ];
        for text in bad {
            let verdict = Checkpoint::verify(&signed_text(&text), ORIGIN, &log);
            assert_eq!(verdict, Err(CheckpointError::Layout), "{text}");
        }
        let text = format!("{ORIGIN}\n0\n{root}\n");
        let verdict = Checkpoint::verify(&signed_text(&text), ORIGIN, &log);
        assert_eq!(verdict, Err(CheckpointError::EmptyRoot));
        assert_eq!(Checkpoint::new("", 1, [0; 32]), Err(NoteError::KeyName.into()));
    }

    #[test]
    fn witnesses_are_counted_by_public_key() {
        let mut head = head(5, [7; 32]);
        let witnesses = [
            key("w2", KeyKind::Cosigner, 2),
            key("w3", KeyKind::Cosigner, 3),
            key("w2-again", KeyKind::Cosigner, 2),
            key("self", KeyKind::Cosigner, 1),
            key(ORIGIN, KeyKind::Log, 1),
            key("other.example/1", KeyKind::Log, 5),
        ];
        assert_eq!(head.cosigners(&witnesses), Ok(vec![]));
        let other_log = secret(5);
        let other_log = NoteSigner::new("other.example/1", &other_log).unwrap();
        let signed = other_log.sign(head.note.text()).unwrap();
        head.note.signatures_mut().push(signed.signatures()[0].clone());
        for (name, seed) in [("w2", 2), ("w2-again", 2), ("self", 1), ("stranger", 9)] {
            let line = cosign(name, &secret(seed), 100, head.note.text()).unwrap();
            head.note.signatures_mut().push(line);
        }
        assert_eq!(head.cosigners(&witnesses), Ok(vec![Signed { key: &witnesses[0], time: 100 }]));
    }

    #[test]
    fn a_release_counts_cosignatures_of_its_own_minute() {
        let mut head = head(5, [7; 32]);
        let witnesses = [key("w", KeyKind::Cosigner, 2)];
        let line = cosign("w", &secret(2), 1_000, head.note.text()).unwrap();
        head.note.signatures_mut().push(line);
        let counted = |seconds: i64, skew| {
            let at = Timestamp::from_millis(seconds * 1000 + 999);
            head.timely_cosigners(&witnesses, at, skew).unwrap().len()
        };
        for (at, skew, expected) in [
            (999, 0, 0),
            (1_000, 0, 1),
            (1_060, 0, 1),
            (1_061, 0, 0),
            (994, 5, 0),
            (995, 5, 1),
            (1_065, 5, 1),
            (1_066, 5, 0),
        ] {
            assert_eq!(counted(at, skew), expected, "{at} {skew}");
        }
        assert_eq!((counted(-5, 2), counted(0, u64::MAX)), (0, 1));
    }

    #[test]
    fn cosignatures_of_another_head_are_refused() {
        let older = head(4, [4; 32]);
        let mut newer = head(5, [5; 32]);
        let witnesses = [key("w", KeyKind::Cosigner, 2)];
        let line = cosign("w", &secret(2), 100, older.note.text()).unwrap();
        let bad = NoteError::BadSignature("w".into());
        let answer = format!("{line}\n");
        assert_eq!(newer.add_cosignatures(answer.as_bytes(), &witnesses), Err(bad.clone()));
        assert_eq!(newer, head(5, [5; 32]));
        newer.note.signatures_mut().push(line);
        assert_eq!(newer.cosigners(&witnesses), Err(bad));
    }

    #[test]
    fn answers_add_known_cosignatures_once_and_the_newest_stays() {
        let mut head = head(5, [5; 32]);
        let text = head.note.text().to_owned();
        let witnesses = ["w2", "w3"].map(|n| key(n, KeyKind::Cosigner, n.as_bytes()[1] - b'0'));
        let line = |name, seed, time| format!("{}\n", cosign(name, &secret(seed), time, &text).unwrap());
        let answer = [line("w2", 2, 50), line("stranger", 9, 50), line("w3", 3, 50)].concat();
        assert_eq!(head.add_cosignatures(answer.as_bytes(), &witnesses), Ok(2));
        assert_eq!(head.add_cosignatures(answer.as_bytes(), &witnesses), Ok(0));
        assert_eq!(head.add_cosignatures(line("w2", 2, 60).as_bytes(), &witnesses), Ok(1));
        assert_eq!(head.add_cosignatures(line("w2", 2, 40).as_bytes(), &witnesses), Ok(0));
        assert_eq!(head.note.signatures().len(), 3);
        let times: Vec<_> = head.cosigners(&witnesses).unwrap().iter().map(|s| s.time).collect();
        assert_eq!(times, [60, 50]);
        assert!(head.add_cosignatures(b"", &witnesses).is_err());
        let log = key(ORIGIN, KeyKind::Log, 1);
        assert_eq!(Checkpoint::verify(&head.to_bytes(), ORIGIN, &log), Ok(head));
    }

    #[test]
    fn two_roots_for_one_size_contradict() {
        assert!(head(5, [5; 32]).contradicts(&head(5, [6; 32])));
        assert!(!head(5, [5; 32]).contradicts(&head(5, [5; 32])));
        assert!(!head(5, [5; 32]).contradicts(&head(6, [6; 32])));
        let secret = secret(2);
        let signer = NoteSigner::new(ORIGIN, &secret).unwrap();
        let other_key = Checkpoint::new(ORIGIN, 5, [6; 32]).unwrap().sign(&signer).unwrap();
        assert!(!head(5, [5; 32]).contradicts(&other_key));
    }
}
