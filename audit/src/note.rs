//! C2SP signed notes: text under signature lines, verifier keys, Ed25519 and cosignature/v1.
//!
//! Formats: c2sp.org/signed-note and c2sp.org/tlog-cosignature. Stricter than the first in
//! what it leaves open: base64 must be canonical, a failing signature of a known key rejects
//! the note, and Ed25519 is verified strictly (canonical encodings, S below the group order,
//! neither key nor R of small order).

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};

/// Longest note accepted, in bytes.
pub const MAX_NOTE_LEN: usize = 65_536;
/// Most signature lines accepted in one note.
pub const MAX_SIGNATURES: usize = 100;

/// Why a note, a signature line or a verifier key is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Longer than [`MAX_NOTE_LEN`].
    #[error("note is longer than {MAX_NOTE_LEN} bytes")]
    TooLong,
    /// Not UTF-8, or a control character below U+0020 other than newline.
    #[error("note holds bytes that no note may hold")]
    Characters,
    /// No blank line before the signatures, or no newline at the end.
    #[error("note is not a text, a blank line and signature lines")]
    Layout,
    /// A line that is not `— <key name> <canonical base64 of key id and signature>`.
    #[error("signature line {0} is malformed")]
    SignatureLine(usize),
    /// More than [`MAX_SIGNATURES`] signature lines.
    #[error("note has more than {MAX_SIGNATURES} signatures")]
    TooManySignatures,
    /// Empty key name, or one with white space, a plus sign or a control character.
    #[error("key name is not allowed")]
    KeyName,
    /// A verifier key that is malformed, of an unknown type, not canonical or of small order,
    /// or whose key id does not belong to it.
    #[error("verifier key is malformed")]
    VerifierKey,
    /// A known key's signature does not verify: the whole note is refused.
    #[error("signature by {0} does not verify")]
    BadSignature(String),
    /// No signature by any of the known keys.
    #[error("note is not signed by a known key")]
    Unsigned,
    /// A cosignature time above 2^63 - 1 seconds.
    #[error("cosignature time is out of range")]
    Time,
}

/// What a key signs and how: the signature type byte of c2sp.org/signed-note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum KeyKind {
    /// Plain Ed25519 over the note text: a log's own key.
    Log = 0x01,
    /// cosignature/v1, Ed25519 over time and note text: a witness key.
    Cosigner = 0x04,
}

/// A named public key that notes are verified against.
///
/// Text form: `name+<key id, 8 hex digits>+<base64 of type byte and public key>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    kind: KeyKind,
    id: [u8; 4],
    key: VerifyingKey,
}

impl VerifierKey {
    /// Names a public key.
    ///
    /// # Errors
    /// [`NoteError::KeyName`]; [`NoteError::VerifierKey`] if the key is of small order or
    /// not canonically encoded, so that one key has exactly one encoding.
    pub fn new(name: &str, kind: KeyKind, key: &VerifyingKey) -> Result<Self, NoteError> {
        check_key_name(name)?;
        if key.is_weak() || key.to_edwards().compress().as_bytes() != key.as_bytes() {
            return Err(NoteError::VerifierKey);
        }
        let hash = Sha256::new().chain_update(name).chain_update([b'\n', kind as u8]).chain_update(key.as_bytes());
        let [a, b, c, d, ..] = <[u8; 32]>::from(hash.finalize());
        Ok(Self { name: name.to_owned(), kind, id: [a, b, c, d], key: *key })
    }

    /// The key name; for a log, its origin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the key signs.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// First four bytes of SHA-256(name || 0x0A || type || public key).
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        self.id
    }

    /// The raw public key; the only thing by which two keys may be told apart.
    #[must_use]
    pub fn public_key(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// Whether a line bears this key's name and id. Says nothing of its signature.
    #[must_use]
    pub fn made(&self, line: &SignatureLine) -> bool {
        line.name == self.name && line.key_id == self.id
    }

    /// Verifies one line and returns the time of a cosignature, 0 for a log signature.
    fn verify(&self, text: &str, line: &SignatureLine) -> Result<u64, NoteError> {
        match self.kind {
            KeyKind::Log => self.check(text.as_bytes(), &line.signature).map(|()| 0),
            KeyKind::Cosigner => {
                let parts = line.signature.split_first_chunk();
                let (time, signature) = parts.ok_or_else(|| self.bad_signature())?;
                let time = u64::from_be_bytes(*time);
                self.check(cosigned_message(time, text)?.as_bytes(), signature).map(|()| time)
            }
        }
    }

    fn check(&self, message: &[u8], signature: &[u8]) -> Result<(), NoteError> {
        let signature = Signature::from_slice(signature).map_err(|_| self.bad_signature())?;
        self.key.verify_strict(message, &signature).map_err(|_| self.bad_signature())
    }

    fn bad_signature(&self) -> NoteError {
        NoteError::BadSignature(self.name.clone())
    }
}

impl FromStr for VerifierKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let malformed = NoteError::VerifierKey;
        let (name, rest) = text.split_once('+').ok_or(malformed.clone())?;
        let (_, encoded) = rest.split_once('+').ok_or(malformed.clone())?;
        let bytes = BASE64.decode(encoded).map_err(|_| malformed.clone())?;
        let (kind, key) = match bytes.split_first() {
            Some((0x01, key)) => (KeyKind::Log, key),
            Some((0x04, key)) => (KeyKind::Cosigner, key),
            _ => return Err(malformed),
        };
        let key = VerifyingKey::try_from(key).map_err(|_| malformed.clone())?;
        let key = Self::new(name, kind, &key)?;
        if key.to_string() == text { Ok(key) } else { Err(malformed) }
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&[self.kind as u8][..], self.key.as_bytes()].concat();
        write!(f, "{}+{}+{}", self.name, hex::encode(self.id), BASE64.encode(bytes))
    }
}

/// One signature line: who claims to have signed, and the bytes. Proves nothing by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureLine {
    name: String,
    key_id: [u8; 4],
    signature: Vec<u8>,
}

impl SignatureLine {
    /// Parses signature lines alone, as a witness answers them: one or more, each with its
    /// newline, at most [`MAX_SIGNATURES`].
    ///
    /// # Errors
    /// [`NoteError`] for anything else, with the limits of [`Note::parse`].
    pub fn parse_all(bytes: &[u8]) -> Result<Vec<Self>, NoteError> {
        let lines = checked_text(bytes)?.strip_suffix('\n').ok_or(NoteError::Layout)?;
        if lines.split('\n').count() > MAX_SIGNATURES {
            return Err(NoteError::TooManySignatures);
        }
        let parse = |(at, line)| Self::parse(line).ok_or(NoteError::SignatureLine(at + 1));
        lines.split('\n').enumerate().map(parse).collect()
    }

    fn parse(line: &str) -> Option<Self> {
        let (name, encoded) = line.strip_prefix("— ")?.split_once(' ')?;
        if !is_key_name(name) {
            return None;
        }
        let bytes = BASE64.decode(encoded).ok()?;
        let (key_id, signature) = bytes.split_first_chunk()?;
        (!signature.is_empty()).then(|| Self { name: name.to_owned(), key_id: *key_id, signature: signature.to_vec() })
    }

    /// The name of the key that claims to have signed.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for SignatureLine {
    /// The line without its newline.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&self.key_id[..], &self.signature].concat();
        write!(f, "— {} {}", self.name, BASE64.encode(bytes))
    }
}

/// A known key that signed a note, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signed<'k> {
    /// The key, as it stands in the caller's list.
    pub key: &'k VerifierKey,
    /// Newest time of a cosignature in seconds since 1970; 0 for a log key.
    pub time: u64,
}

/// A well-formed note. Its text means nothing until [`Note::verify`] has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<SignatureLine>,
}

impl Note {
    /// Parses a note of at most [`MAX_NOTE_LEN`] bytes and 1 to [`MAX_SIGNATURES`] lines.
    ///
    /// # Errors
    /// [`NoteError`] for everything that c2sp.org/signed-note does not allow.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        let note = checked_text(bytes)?;
        let blank = note.rfind("\n\n").ok_or(NoteError::Layout)?;
        let (text, signatures) = note.split_at_checked(blank + 1).ok_or(NoteError::Layout)?;
        let signatures = signatures.strip_prefix('\n').ok_or(NoteError::Layout)?;
        let signatures = SignatureLine::parse_all(signatures.as_bytes())?;
        Ok(Self { text: text.to_owned(), signatures })
    }

    /// Puts signatures under a text.
    ///
    /// # Errors
    /// [`NoteError`] if the result would not parse.
    pub fn new(text: &str, signatures: Vec<SignatureLine>) -> Result<Self, NoteError> {
        let note = Self { text: text.to_owned(), signatures };
        match Self::parse(&note.to_bytes())? {
            parsed if parsed == note => Ok(note),
            _ => Err(NoteError::Layout),
        }
    }

    /// The text that is signed, with its final newline.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// All signature lines, known and unknown, in the order of the note.
    #[must_use]
    pub fn signatures(&self) -> &[SignatureLine] {
        &self.signatures
    }

    /// The note's bytes: exactly those that [`Note::parse`] read.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut note = format!("{}\n", self.text);
        for line in &self.signatures {
            note.push_str(&format!("{line}\n"));
        }
        note.into_bytes()
    }

    /// Which of `keys` signed; each distinct public key once, in the order of `keys`.
    ///
    /// Lines of unknown keys are ignored, even under a known name or key id.
    ///
    /// # Errors
    /// [`NoteError::BadSignature`] if any line of a known key does not verify,
    /// [`NoteError::Unsigned`] if no known key signed.
    pub fn verify<'k>(&self, keys: &'k [VerifierKey]) -> Result<Vec<Signed<'k>>, NoteError> {
        match self.signers(keys)? {
            signers if signers.is_empty() => Err(NoteError::Unsigned),
            signers => Ok(signers),
        }
    }

    /// Like [`Note::verify`], but nobody having signed is an answer too.
    pub(crate) fn signers<'k>(
        &self,
        keys: impl IntoIterator<Item = &'k VerifierKey>,
    ) -> Result<Vec<Signed<'k>>, NoteError> {
        let mut signers: Vec<Signed<'k>> = Vec::new();
        for key in keys {
            for line in self.signatures.iter().filter(|line| key.made(line)) {
                let time = key.verify(&self.text, line)?;
                match signers.iter_mut().find(|s| s.key.public_key() == key.public_key()) {
                    Some(signed) => signed.time = signed.time.max(time),
                    None => signers.push(Signed { key, time }),
                }
            }
        }
        Ok(signers)
    }

    #[cfg(test)]
    pub(crate) fn signatures_mut(&mut self) -> &mut Vec<SignatureLine> {
        &mut self.signatures
    }

    /// Adds a line that `key` made for this text; the key's earlier lines give way to it.
    pub(crate) fn replace(&mut self, key: &VerifierKey, line: SignatureLine) {
        self.signatures.retain(|old| !key.made(old));
        self.signatures.push(line);
    }
}

/// Signs notes with a log's key (type 0x01).
pub struct NoteSigner<'s> {
    verifier: VerifierKey,
    secret: &'s SigningKey,
}

impl<'s> NoteSigner<'s> {
    /// # Errors
    /// [`NoteError::KeyName`] if the name cannot be a key name.
    pub fn new(name: &str, secret: &'s SigningKey) -> Result<Self, NoteError> {
        let verifier = VerifierKey::new(name, KeyKind::Log, &secret.verifying_key())?;
        Ok(Self { verifier, secret })
    }

    /// The key that verifies what this signer signs.
    #[must_use]
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// A note with this one signature. The text must be valid note text: at least one line,
    /// ending in a newline.
    ///
    /// # Errors
    /// [`NoteError`] if the result would not parse.
    pub fn sign(&self, text: &str) -> Result<Note, NoteError> {
        let signature = self.secret.sign(text.as_bytes()).to_bytes().to_vec();
        Note::new(text, vec![line(&self.verifier, signature)])
    }
}

impl fmt::Debug for NoteSigner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NoteSigner({})", self.verifier)
    }
}

/// Makes a cosignature/v1 line (type 0x04) over a checkpoint's text at `time`, in seconds
/// since 1970 (c2sp.org/tlog-cosignature). It says: this is the largest consistent tree that
/// I have seen of this log. Verify the checkpoint and persist it before calling.
///
/// # Errors
/// [`NoteError::KeyName`]; [`NoteError::Time`] above 2^63 - 1.
pub fn cosign(name: &str, secret: &SigningKey, time: u64, text: &str) -> Result<SignatureLine, NoteError> {
    let verifier = VerifierKey::new(name, KeyKind::Cosigner, &secret.verifying_key())?;
    let signature = secret.sign(cosigned_message(time, text)?.as_bytes()).to_bytes();
    Ok(line(&verifier, [&time.to_be_bytes()[..], &signature].concat()))
}

fn line(key: &VerifierKey, signature: Vec<u8>) -> SignatureLine {
    SignatureLine { name: key.name.clone(), key_id: key.id, signature }
}

fn cosigned_message(time: u64, text: &str) -> Result<String, NoteError> {
    i64::try_from(time).map_err(|_| NoteError::Time)?;
    Ok(format!("cosignature/v1\ntime {time}\n{text}"))
}

/// What c2sp.org/signed-note allows as the name on anybody's signature line.
fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c == '+')
}

/// The name of a key or log that we know: no control characters either, since it is printed.
pub(crate) fn check_key_name(name: &str) -> Result<(), NoteError> {
    if is_key_name(name) && !name.contains(char::is_control) { Ok(()) } else { Err(NoteError::KeyName) }
}

fn checked_text(bytes: &[u8]) -> Result<&str, NoteError> {
    if bytes.len() > MAX_NOTE_LEN {
        return Err(NoteError::TooLong);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| NoteError::Characters)?;
    let allowed = |c: char| c >= ' ' || c == '\n';
    if text.chars().all(allowed) { Ok(text) } else { Err(NoteError::Characters) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    const TEXT: &str = "log.example/1\n1\ntext\n";

    fn secret(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn key(name: &str, kind: KeyKind, seed: u8) -> VerifierKey {
        VerifierKey::new(name, kind, &secret(seed).verifying_key()).unwrap()
    }

    fn signed() -> Note {
        NoteSigner::new("log", &secret(1)).unwrap().sign(TEXT).unwrap()
    }

    #[test]
    fn layout_is_strict() {
        let good = String::from_utf8(signed().to_bytes()).unwrap();
        let signature = good.split_once("\n\n").unwrap().1.to_owned();
        assert_eq!(Note::parse(good.as_bytes()), Ok(signed()));
        let cases = [
            (good.replace('\n', "\r\n"), NoteError::Characters),
            (good.replace("text", "te\txt"), NoteError::Characters),
            (good.replace("text", "te\0xt"), NoteError::Characters),
            (good.trim_end().to_owned(), NoteError::Layout),
            (format!("{good}\n"), NoteError::Layout),
            (TEXT.to_owned(), NoteError::Layout),
            (format!("{TEXT}\n"), NoteError::Layout),
            (format!("{TEXT}{signature}"), NoteError::Layout),
            (good.replace("— log", "- log"), NoteError::SignatureLine(1)),
            (good.replace("— log", "—  log"), NoteError::SignatureLine(1)),
            (good.replace("— log", "— lo+g"), NoteError::SignatureLine(1)),
            (good.replace("— log", "— lo\u{a0}g"), NoteError::SignatureLine(1)),
            (good.replace("— log", "—"), NoteError::SignatureLine(1)),
            (good.replace("=\n", "==\n"), NoteError::SignatureLine(1)),
            (good.replace("=\n", "\n"), NoteError::SignatureLine(1)),
            (format!("{good}— x AAAAAA==\n"), NoteError::SignatureLine(2)),
            (format!("{good}— x AAAA\n"), NoteError::SignatureLine(2)),
        ];
        for (bytes, error) in cases {
            assert_eq!(Note::parse(bytes.as_bytes()), Err(error), "{bytes}");
        }
        assert_eq!(Note::parse(b"\xff\n\n"), Err(NoteError::Characters));
    }

    #[test]
    fn a_strangers_name_may_hold_what_ours_may_not() {
        let good = String::from_utf8(signed().to_bytes()).unwrap();
        let note = Note::parse(format!("{good}— \u{7f}x\u{9b} AAAAAAE=\n").as_bytes()).unwrap();
        assert_eq!(note.verify(&[key("log", KeyKind::Log, 1)]).unwrap().len(), 1);
        for name in ["\u{7f}x", "x\u{9b}", "", "a+b", "a b"] {
            let ours = VerifierKey::new(name, KeyKind::Log, &secret(1).verifying_key());
            assert_eq!(ours, Err(NoteError::KeyName), "{name:?}");
        }
    }

    #[test]
    fn only_canonical_base64_is_read() {
        let line = "— x AAAAAAE=\n";
        assert!(SignatureLine::parse_all(line.as_bytes()).is_ok());
        // The same five bytes, with a stray bit in the padding.
        for stray in ["— x AAAAAAF=\n", "— x AAAAAAE\n", "— x AAAAAAE==\n", "— x AAAA AAE=\n"] {
            assert!(SignatureLine::parse_all(stray.as_bytes()).is_err(), "{stray}");
        }
    }

    #[test]
    fn limits_are_exact() {
        let with = |lines: usize| format!("{TEXT}\n{}", "— x AAAAAAE=\n".repeat(lines));
        assert_eq!(Note::parse(with(MAX_SIGNATURES).as_bytes()).unwrap().signatures().len(), 100);
        let many = Note::parse(with(MAX_SIGNATURES + 1).as_bytes());
        assert_eq!(many, Err(NoteError::TooManySignatures));
        let tail = "\n\n— x AAAAAAE=\n";
        let long = format!("{}{tail}", "a".repeat(MAX_NOTE_LEN - tail.len()));
        assert!(Note::parse(long.as_bytes()).is_ok());
        assert_eq!(Note::parse(format!("a{long}").as_bytes()), Err(NoteError::TooLong));
    }

    #[test]
    fn text_may_hold_blank_lines_but_must_end_a_line() {
        let signer = secret(1);
        let signer = NoteSigner::new("log", &signer).unwrap();
        assert_eq!(signer.sign("a\n\nb\n\n").unwrap().text(), "a\n\nb\n\n");
        for text in ["", "a", "a\n\n— x AAAAAAE=", "a\rb\n"] {
            assert!(signer.sign(text).is_err(), "{text:?}");
        }
        assert!(Note::new(TEXT, vec![]).is_err());
    }

    #[test]
    fn unknown_keys_are_ignored_and_known_ones_must_verify() {
        let note = signed();
        let log = [key("log", KeyKind::Log, 1)];
        assert_eq!(note.verify(&log).unwrap(), [Signed { key: &log[0], time: 0 }]);
        // Same name and other id, other name and (by construction) other id: unknown.
        for unknown in [key("log", KeyKind::Log, 2), key("gol", KeyKind::Log, 1)] {
            assert_eq!(note.verify(&[unknown]), Err(NoteError::Unsigned));
        }
        let mut bent = note.clone();
        bent.signatures[0].signature[7] ^= 1;
        let bad = Err(NoteError::BadSignature("log".into()));
        assert_eq!(bent.verify(&log), bad);
        // A good line does not excuse a bad one of the same key, in either order.
        let mut both = note.clone();
        both.signatures.push(bent.signatures[0].clone());
        assert_eq!(both.verify(&log), bad);
        both.signatures.reverse();
        assert_eq!(both.verify(&log), bad);
        let mut other_text = note.clone();
        other_text.text.insert(0, 'x');
        assert_eq!(other_text.verify(&log), bad);
    }

    #[test]
    fn one_public_key_counts_once() {
        let names = ["w1", "w2"].map(|name| key(name, KeyKind::Cosigner, 3));
        let lines =
            [("w1", 30), ("w2", 10), ("w1", 20)].map(|(name, time)| cosign(name, &secret(3), time, TEXT).unwrap());
        let note = Note::new(TEXT, lines.to_vec()).unwrap();
        assert_eq!(note.verify(&names).unwrap(), [Signed { key: &names[0], time: 30 }]);
        let twice = [names[0].clone(), names[0].clone()];
        assert_eq!(note.verify(&twice).unwrap().len(), 1);
    }

    #[test]
    fn signature_types_do_not_stand_in_for_each_other() {
        let (log, witness) = (key("n", KeyKind::Log, 1), key("n", KeyKind::Cosigner, 1));
        assert_ne!(log.id(), witness.id());
        let mut as_log = cosign("n", &secret(1), 7, TEXT).unwrap();
        as_log.key_id = log.id();
        let mut as_cosigner = signed().signatures[0].clone();
        as_cosigner.name = "n".into();
        as_cosigner.key_id = witness.id();
        let mut padded = as_cosigner.clone();
        padded.signature.splice(0..0, [0; 8]);
        for line in [as_log, as_cosigner, padded] {
            let note = Note::new(TEXT, vec![line]).unwrap();
            let keys = [log.clone(), witness.clone()];
            assert_eq!(note.verify(&keys), Err(NoteError::BadSignature("n".into())));
        }
    }

    #[test]
    fn cosignature_covers_time_and_time_is_bounded() {
        let witness = key("w", KeyKind::Cosigner, 1);
        let line = cosign("w", &secret(1), i64::MAX as u64, TEXT).unwrap();
        let mut note = Note::new(TEXT, vec![line]).unwrap();
        let keys = [witness];
        assert_eq!(note.verify(&keys).unwrap()[0].time, i64::MAX as u64);
        note.signatures[0].signature[7] ^= 1;
        assert_eq!(note.verify(&keys), Err(NoteError::BadSignature("w".into())));
        note.signatures[0].signature[0] ^= 0x80;
        assert_eq!(note.verify(&keys), Err(NoteError::Time));
        assert_eq!(cosign("w", &secret(1), 1 << 63, TEXT), Err(NoteError::Time));
    }

    #[test]
    fn ed25519_is_strict() {
        // The group order L, little-endian: S + L passes a verifier that does not reduce.
        let order = hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").unwrap();
        let mut note = signed();
        let mut carry = 0;
        for (byte, add) in note.signatures[0].signature[32..].iter_mut().zip(order) {
            let sum = u16::from(*byte) + u16::from(add) + carry;
            (*byte, carry) = (sum as u8, sum >> 8);
        }
        let bad = Err(NoteError::BadSignature("log".into()));
        assert_eq!(note.verify(&[key("log", KeyKind::Log, 1)]), bad);
        // "Taming the many EdDSAs" (ePrint 2020/1244), case 2: R of small order; lax Ed25519
        // takes it.
        let unhex = |text: &str| hex::decode(text).unwrap();
        let point = unhex("f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43");
        let message = unhex("aebf3f2601a0c8c5d39cc7d8911642f740b78168218da8471772b35f9d35b9ab");
        let signature = unhex(
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa\
             8c4bd45aecaca5b24fb97bc10ac27ac8751a7dfe1baff8b953ec9f5833ca260e",
        );
        let point = VerifyingKey::try_from(&point[..]).unwrap();
        let lax = Signature::from_slice(&signature).unwrap();
        assert!(ed25519_dalek::Verifier::verify(&point, &message, &lax).is_ok());
        let strict = VerifierKey::new("log", KeyKind::Log, &point).unwrap();
        assert!(strict.check(&message, &signature).is_err());
        // Small-order keys: the identity (canonical and not) and a point of order 8.
        let mut points = vec![[0; 32], [0xff; 32]];
        points[0][0] = 1;
        points[1][0] = 0xee;
        points[1][31] = 0x7f;
        let order_8 = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05";
        points.push(hex::decode(order_8).unwrap().try_into().unwrap());
        for point in points {
            let weak = VerifyingKey::from_bytes(&point).unwrap();
            let verdict = VerifierKey::new("log", KeyKind::Log, &weak);
            assert_eq!(verdict, Err(NoteError::VerifierKey));
        }
        // A second encoding, y + p, of keys that are not weak.
        let mut sound = 0;
        for low in 0xed..=0xff {
            let mut point = [0xff; 32];
            (point[0], point[31]) = (low, 0x7f);
            let Ok(twin) = VerifyingKey::from_bytes(&point) else {
                continue;
            };
            sound += u32::from(!twin.is_weak());
            let verdict = VerifierKey::new("log", KeyKind::Log, &twin);
            assert_eq!(verdict, Err(NoteError::VerifierKey));
        }
        assert!(sound > 0);
    }

    #[test]
    fn verifier_keys_have_one_text() {
        let good = key("witness.example/w1", KeyKind::Cosigner, 9);
        let text = good.to_string();
        assert_eq!(text.parse(), Ok(good));
        let (head, encoded) = text.rsplit_once('+').unwrap();
        let (name, id) = head.split_once('+').unwrap();
        let cases = [
            String::new(),
            name.to_owned(),
            head.to_owned(),
            format!("{name}+{}+{encoded}", id.to_uppercase()),
            format!("{name}+00000000+{encoded}"),
            format!("{name}x+{id}+{encoded}"),
            format!("{name}+{id}+{encoded}A"),
            format!("{name}+{id}+{}", &encoded[..encoded.len() - 4]),
            format!("{name}+{id}+Ag{}", &encoded[2..]),
            format!(" {text}"),
            format!("{text}\n"),
        ];
        for case in cases {
            assert!(case.parse::<VerifierKey>().is_err(), "{case}");
        }
        for name in ["", "a b", "a+b", "a\u{2003}b", "a\nb", "a\u{1}"] {
            let key = VerifierKey::new(name, KeyKind::Log, &secret(1).verifying_key());
            assert_eq!(key, Err(NoteError::KeyName), "{name:?}");
        }
    }
}
