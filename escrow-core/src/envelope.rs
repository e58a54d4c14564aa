//! DSSE v1 envelopes: what every signed act travels in.
//!
//! The signature covers the pre-authentication encoding `DSSEv1 SP len(type) SP type SP
//! len(payload) SP payload` of the exact payload bytes. Whoever verifies, verifies the bytes that
//! arrived; nothing is re-serialised. Source: secure-systems-lab/dsse, `protocol.md` v1.

use crate::digest::{Blob, Digest};
use crate::key::{KeyId, PublicKey, SigningKey};
use crate::limits::{ENVELOPE_MAX, ENVELOPE_SLACK, SIGNATURES_MAX};
use crate::statement::{Kind, Statement};
use crate::strict::{self, StrictError};
use serde::{Deserialize, Serialize};

/// One signature of an envelope.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// Which key, as a hint ([`PublicKey::id`]).
    pub keyid: KeyId,
    /// The signature bytes of the key's method.
    pub sig: Blob,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Json {
    payload: Blob,
    #[serde(rename = "payloadType")]
    payload_type: String,
    signatures: Vec<Signature>,
}

/// A parsed envelope that still holds the bytes it was parsed from. Nothing in it is trusted
/// until [`Envelope::signers`] says who signed and the policy crate says that they may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    bytes: Vec<u8>,
    kind: Kind,
    payload: Vec<u8>,
    signatures: Vec<Signature>,
}

/// Why an envelope or its payload is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EnvelopeError {
    /// The envelope's JSON is outside the strict profile.
    #[error("malformed envelope: {0}")]
    Envelope(StrictError),
    /// `payloadType` names no statement kind of this protocol version.
    #[error("unknown payload type {0:?}")]
    UnknownType(String),
    /// Another kind was expected here.
    #[error("a {expected} statement is expected here, this is a {found}")]
    WrongKind {
        /// What the place takes.
        expected: Kind,
        /// What the envelope holds.
        found: Kind,
    },
    /// The payload is outside the strict profile or not of its kind's shape.
    #[error("malformed {kind} payload: {error}")]
    Payload {
        /// The kind the envelope claims.
        kind: Kind,
        /// The broken rule.
        error: StrictError,
    },
    /// The payload's `kind` member contradicts the envelope's type.
    #[error("the payload calls itself something other than {0}")]
    KindMismatch(Kind),
    /// A rule of the kind is broken (empty list, bad bound).
    #[error("invalid {kind}: {rule}")]
    Invalid {
        /// The kind.
        kind: Kind,
        /// The rule in words.
        rule: String,
    },
    /// More white space than any JSON writer needs.
    #[error("an envelope with {0} bytes of white space; at most {ENVELOPE_SLACK} are taken")]
    Padded(usize),
    /// No signatures, or more than [`SIGNATURES_MAX`].
    #[error("1 to {SIGNATURES_MAX} signatures expected")]
    SignatureCount,
    /// A signature whose key nobody here knows.
    #[error("signed by unknown key {0}")]
    UnknownSigner(KeyId),
    /// A known key, and the signature does not verify.
    #[error("bad signature by key {0}")]
    BadSignature(KeyId),
    /// One key signed twice.
    #[error("key {0} signed twice")]
    SignedTwice(KeyId),
}

/// The DSSE v1 pre-authentication encoding.
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut out = format!("DSSEv1 {} {} {} ", payload_type.len(), payload_type, payload.len()).into_bytes();
    out.extend_from_slice(payload);
    out
}

impl Envelope {
    /// Signs a statement with every key given, in order.
    ///
    /// # Errors
    /// [`EnvelopeError`] if the statement breaks a rule of its own kind or cannot be encoded:
    /// nothing invalid is ever signed.
    pub fn sign<T: Statement>(statement: &T, keys: &[&SigningKey]) -> Result<Self, EnvelopeError> {
        let payload = encode(statement)?;
        let signatures = keys.iter().map(|k| signature(T::KIND, &payload, k)).collect();
        Self::assemble(T::KIND, payload, signatures)
    }

    /// Signs a statement with a key that another program holds: `sign` is given the bytes to sign
    /// and returns the signature of `key`'s method.
    ///
    /// # Errors
    /// Those of `sign`; as [`Envelope::sign`]; and [`EnvelopeError::BadSignature`] if what came
    /// back is not a signature by `key`: what others made is verified before it is used.
    pub fn sign_with<T: Statement, E: From<EnvelopeError>>(
        statement: &T,
        key: &PublicKey,
        sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
    ) -> Result<Self, E> {
        let payload = encode(statement)?;
        let signature = signature_with(T::KIND, &payload, key, sign)?;
        Ok(Self::assemble(T::KIND, payload, vec![signature])?)
    }

    /// Adds a signature by a key that another program holds, as [`Envelope::sign_with`] makes it.
    ///
    /// # Errors
    /// As [`Envelope::countersign`] and [`Envelope::sign_with`].
    pub fn countersign_with<E: From<EnvelopeError>>(
        &self,
        key: &PublicKey,
        sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
    ) -> Result<Self, E> {
        self.not_signed_by(key)?;
        Ok(self.with_signature(signature_with(self.kind, &self.payload, key, sign)?)?)
    }

    /// Adds one more signature to the same payload bytes, as quorum statements need.
    ///
    /// # Errors
    /// [`EnvelopeError::SignedTwice`] if the key has signed already.
    pub fn countersign(&self, key: &SigningKey) -> Result<Self, EnvelopeError> {
        self.not_signed_by(&key.public())?;
        self.with_signature(signature(self.kind, &self.payload, key))
    }

    fn not_signed_by(&self, key: &PublicKey) -> Result<(), EnvelopeError> {
        let id = key.id();
        if self.signatures.iter().any(|s| s.keyid == id) { Err(EnvelopeError::SignedTwice(id)) } else { Ok(()) }
    }

    fn with_signature(&self, signature: Signature) -> Result<Self, EnvelopeError> {
        let mut signatures = self.signatures.clone();
        signatures.push(signature);
        Self::assemble(self.kind, self.payload.clone(), signatures)
    }

    fn assemble(kind: Kind, payload: Vec<u8>, signatures: Vec<Signature>) -> Result<Self, EnvelopeError> {
        let json = Json { payload: Blob(payload), payload_type: kind.payload_type(), signatures };
        let bytes =
            serde_json::to_vec(&json).map_err(|e| EnvelopeError::Envelope(StrictError::Profile(e.to_string())))?;
        Self::parse(&bytes)
    }

    /// Parses an envelope and keeps its bytes. Says nothing about who signed.
    ///
    /// # Errors
    /// [`EnvelopeError`], for anything outside the strict profile.
    pub fn parse(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        let json: Json = strict::decode(bytes, ENVELOPE_MAX).map_err(EnvelopeError::Envelope)?;
        let kind = Kind::from_payload_type(&json.payload_type)
            .ok_or_else(|| EnvelopeError::UnknownType(json.payload_type.chars().take(80).collect()))?;
        if json.signatures.is_empty() || json.signatures.len() > SIGNATURES_MAX {
            return Err(EnvelopeError::SignatureCount);
        }
        // Nothing signs the envelope's own white space: whoever hands it on could blow it up.
        let tight = serde_json::to_vec(&json).map_or(0, |v| v.len());
        if bytes.len() > tight.saturating_add(ENVELOPE_SLACK) {
            return Err(EnvelopeError::Padded(bytes.len().saturating_sub(tight)));
        }
        Ok(Self { bytes: bytes.to_vec(), kind, payload: json.payload.0, signatures: json.signatures })
    }

    /// The kind that the payload type names.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The envelope as it arrived.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The payload as it was signed.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The statement's name everywhere: SHA-256 of the payload bytes.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.payload)
    }

    /// SHA-256 of the envelope bytes, which log entries carry beside [`Envelope::digest`].
    pub fn envelope_digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }

    /// The key hints of the signatures, in order.
    pub fn key_ids(&self) -> impl Iterator<Item = &KeyId> {
        self.signatures.iter().map(|s| &s.keyid)
    }

    /// Decodes the payload as `T`, strictly. Still untrusted.
    ///
    /// # Errors
    /// [`EnvelopeError`] naming the rule.
    pub fn decode<T: Statement>(&self) -> Result<T, EnvelopeError> {
        if self.kind != T::KIND {
            return Err(EnvelopeError::WrongKind { expected: T::KIND, found: self.kind });
        }
        decode(&self.payload)
    }

    /// The keys that signed, their raw bytes distinct. Every signature must be by a key that
    /// `lookup` finds for its hint, must verify, and no key may sign twice, under no two methods.
    ///
    /// # Errors
    /// [`EnvelopeError::UnknownSigner`], [`EnvelopeError::BadSignature`] or
    /// [`EnvelopeError::SignedTwice`], naming the key.
    pub fn signers(&self, lookup: impl Fn(&KeyId) -> Vec<PublicKey>) -> Result<Vec<PublicKey>, EnvelopeError> {
        let message = pae(&self.kind.payload_type(), &self.payload);
        let mut signers: Vec<PublicKey> = Vec::new();
        for s in &self.signatures {
            let candidates = lookup(&s.keyid);
            if candidates.is_empty() {
                return Err(EnvelopeError::UnknownSigner(s.keyid.clone()));
            }
            let key = candidates
                .into_iter()
                .find(|k| k.verifies(&message, &s.sig.0))
                .ok_or_else(|| EnvelopeError::BadSignature(s.keyid.clone()))?;
            if signers.iter().any(|k| k.raw() == key.raw()) {
                return Err(EnvelopeError::SignedTwice(s.keyid.clone()));
            }
            signers.push(key);
        }
        Ok(signers)
    }
}

fn signature(kind: Kind, payload: &[u8], key: &SigningKey) -> Signature {
    Signature { keyid: key.public().id(), sig: Blob(key.sign(&pae(&kind.payload_type(), payload))) }
}

fn signature_with<E: From<EnvelopeError>>(
    kind: Kind,
    payload: &[u8],
    key: &PublicKey,
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
) -> Result<Signature, E> {
    let message = pae(&kind.payload_type(), payload);
    let sig = sign(&message)?;
    if !key.verifies(&message, &sig) {
        return Err(EnvelopeError::BadSignature(key.id()).into());
    }
    Ok(Signature { keyid: key.id(), sig: Blob(sig) })
}

/// The payload bytes of a statement that keeps the rules of its kind.
fn encode<T: Statement>(statement: &T) -> Result<Vec<u8>, EnvelopeError> {
    let payload = serde_json::to_vec(statement)
        .map_err(|e| EnvelopeError::Payload { kind: T::KIND, error: StrictError::Profile(e.to_string()) })?;
    decode::<T>(&payload)?;
    Ok(payload)
}

fn decode<T: Statement>(payload: &[u8]) -> Result<T, EnvelopeError> {
    let value: T =
        strict::decode(payload, T::MAX_BYTES).map_err(|error| EnvelopeError::Payload { kind: T::KIND, error })?;
    if value.kind() != T::KIND {
        return Err(EnvelopeError::KindMismatch(T::KIND));
    }
    value.check().map_err(|rule| EnvelopeError::Invalid { kind: T::KIND, rule })?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pae_is_the_published_one() {
        // The example of the DSSE specification.
        assert_eq!(
            pae("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }
}
