//! Signature keys and their methods: `ed25519`, `es256`, and `sshsig` for keys that another program holds.
//!
//! A public key has exactly one accepted encoding in its method. [`PublicKey::raw`] is the bare
//! key: the same under every method, so that nobody counts twice with one private key.

use crate::Digest;
use crate::label::{Labelled, labels};
use crate::sshsig::SshKey;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::Signer as _;
use p256::ecdsa::signature::Verifier as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

/// A public signature key.
///
/// In JSON and files: `ed25519:<base64 of 32 bytes>` (RFC 8032), `es256:<base64 of 65 bytes>`
/// (P-256, SEC 1 uncompressed) or `sshsig:<base64 of the SSH wire format>`. Non-canonical,
/// small-order and off-curve encodings do not parse.
///
/// Two values are equal if method and bytes are. Whether two keys are one private key is asked
/// with [`PublicKey::raw`].
#[derive(Clone, PartialEq, Eq)]
pub enum PublicKey {
    /// Ed25519, verified with `verify_strict` (S < L, no small-order A or R).
    Ed25519(ed25519_dalek::VerifyingKey),
    /// ECDSA P-256 with SHA-256; signatures are 64 bytes r || s with low S only.
    Es256(p256::ecdsa::VerifyingKey),
    /// A key of SSH; signatures are SSHSIG blobs ([`crate::sshsig`]).
    SshSig(SshKey),
}

/// What is wrong with a key text.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// The method before the colon is not one of ours.
    #[error("unknown signature method; ed25519, es256 and sshsig are known")]
    UnknownMethod,
    /// The bytes are not the one canonical encoding of a usable key.
    #[error("not a usable public key of its method")]
    BadKey,
    /// A key file that is not one.
    #[error("not a private key file of this program")]
    BadKeyFile,
}

/// A short name for a key inside envelopes: the first 8 bytes, in hex, of the key's digest.
/// A hint that selects candidates; equality of keys is decided on raw bytes.
pub type KeyId = String;

impl PublicKey {
    /// Name of the method: `ed25519`, `es256` or `sshsig`.
    pub const fn method(&self) -> &'static str {
        match self {
            Self::Ed25519(_) => "ed25519",
            Self::Es256(_) => "es256",
            Self::SshSig(_) => "sshsig",
        }
    }

    /// The bare key, 32 bytes of Ed25519 or 65 of P-256, whatever the method. Uniqueness and
    /// revocation compare these: under two methods or two applications, one private key stays one.
    pub fn raw(&self) -> Vec<u8> {
        match self {
            Self::Ed25519(k) => k.to_bytes().to_vec(),
            Self::Es256(k) => k.to_sec1_point(false).as_bytes().to_vec(),
            Self::SshSig(k) => k.raw(),
        }
    }

    /// The one encoding in its method: [`PublicKey::raw`], or for `sshsig` the SSH wire format.
    pub fn encoded(&self) -> Vec<u8> {
        match self {
            Self::Ed25519(_) | Self::Es256(_) => self.raw(),
            Self::SshSig(k) => k.wire(),
        }
    }

    /// Digest over label, method and encoding.
    pub fn digest(&self) -> Digest {
        Labelled::new(labels::KEY).bytes(self.method().as_bytes()).bytes(&self.encoded()).hash()
    }

    /// The hint that envelopes carry for this key.
    pub fn id(&self) -> KeyId {
        hex::encode(self.digest().0).chars().take(16).collect()
    }

    /// True if `signature` is this key's over `message`, under the strict rules of the method.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Ed25519(k) => {
                ed25519_dalek::Signature::from_slice(signature).is_ok_and(|s| k.verify_strict(message, &s).is_ok())
            }
            Self::Es256(k) => p256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|s| s.normalize_s() == s && k.verify(message, &s).is_ok()),
            Self::SshSig(k) => k.verifies(message, signature),
        }
    }

    fn decode(method: &str, bytes: &[u8]) -> Result<Self, KeyError> {
        match method {
            "ed25519" => ed25519_point(bytes).map(Self::Ed25519),
            "es256" => p256_point(bytes).map(Self::Es256),
            "sshsig" => SshKey::from_wire(bytes).map(Self::SshSig),
            _ => Err(KeyError::UnknownMethod),
        }
    }
}

/// A canonical Ed25519 key that is not of small order.
pub(crate) fn ed25519_point(bytes: &[u8]) -> Result<ed25519_dalek::VerifyingKey, KeyError> {
    let bytes: [u8; 32] = bytes.try_into().map_err(|_| KeyError::BadKey)?;
    let key = ed25519_dalek::VerifyingKey::from_bytes(&bytes).map_err(|_| KeyError::BadKey)?;
    if key.is_weak() || key.to_edwards().compress().to_bytes() != bytes {
        return Err(KeyError::BadKey);
    }
    Ok(key)
}

/// An uncompressed point of P-256.
pub(crate) fn p256_point(bytes: &[u8]) -> Result<p256::ecdsa::VerifyingKey, KeyError> {
    if bytes.len() != 65 {
        return Err(KeyError::BadKey);
    }
    p256::ecdsa::VerifyingKey::from_sec1_bytes(bytes).map_err(|_| KeyError::BadKey)
}

impl FromStr for PublicKey {
    type Err = KeyError;
    fn from_str(s: &str) -> Result<Self, KeyError> {
        let (method, b64) = s.split_once(':').ok_or(KeyError::UnknownMethod)?;
        let bytes = STANDARD.decode(b64).map_err(|_| KeyError::BadKey)?;
        Self::decode(method, &bytes)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.method(), STANDARD.encode(self.encoded()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.method(), self.id())
    }
}

impl std::hash::Hash for PublicKey {
    fn hash<H: std::hash::Hasher>(&self, h: &mut H) {
        (self.method(), self.encoded()).hash(h);
    }
}

impl PartialOrd for PublicKey {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PublicKey {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let place = |k: &Self| (k.raw(), k.method(), k.encoded());
        place(self).cmp(&place(other))
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(de::Error::custom)
    }
}

/// A private signature key. Wiped on drop, never printed, no serde.
pub enum SigningKey {
    /// Ed25519 (RFC 8032).
    Ed25519(ed25519_dalek::SigningKey),
    /// ECDSA P-256 with SHA-256, deterministic nonces (RFC 6979), S normalised to low.
    Es256(p256::ecdsa::SigningKey),
}

impl SigningKey {
    /// A fresh Ed25519 key.
    pub fn generate_ed25519() -> Self {
        Self::Ed25519(ed25519_dalek::SigningKey::generate(&mut crate::random::rng()))
    }

    /// A fresh P-256 key.
    pub fn generate_es256() -> Self {
        use p256::elliptic_curve::Generate as _;
        Self::Es256(p256::ecdsa::SigningKey::generate_from_rng(&mut crate::random::rng()))
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        match self {
            Self::Ed25519(k) => PublicKey::Ed25519(k.verifying_key()),
            Self::Es256(k) => PublicKey::Es256(*k.verifying_key()),
        }
    }

    /// Signs; 64 bytes for both methods.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Ed25519(k) => k.sign(message).to_bytes().to_vec(),
            Self::Es256(k) => {
                let s: p256::ecdsa::Signature = k.sign(message);
                s.normalize_s().to_bytes().to_vec()
            }
        }
    }

    /// One line for a key file with mode 0600: `<method>-private:<base64 of 32 bytes>`.
    pub fn expose(&self) -> Zeroizing<String> {
        let (method, bytes) = match self {
            Self::Ed25519(k) => ("ed25519", Zeroizing::new(k.to_bytes())),
            Self::Es256(k) => ("es256", Zeroizing::new(k.to_bytes().into())),
        };
        let b64 = Zeroizing::new(STANDARD.encode(bytes.as_slice()));
        Zeroizing::new(format!("{method}-private:{}", *b64))
    }

    /// Reads the line that [`SigningKey::expose`] wrote.
    ///
    /// # Errors
    /// [`KeyError::BadKeyFile`].
    pub fn from_line(line: &str) -> Result<Self, KeyError> {
        let (method, b64) = line.trim().split_once("-private:").ok_or(KeyError::BadKeyFile)?;
        let raw = Zeroizing::new(STANDARD.decode(b64).map_err(|_| KeyError::BadKeyFile)?);
        let bytes: Zeroizing<[u8; 32]> = Zeroizing::new(raw.as_slice().try_into().map_err(|_| KeyError::BadKeyFile)?);
        match method {
            "ed25519" => Ok(Self::Ed25519(ed25519_dalek::SigningKey::from_bytes(&bytes))),
            "es256" => {
                p256::ecdsa::SigningKey::from_slice(bytes.as_slice()).map(Self::Es256).map_err(|_| KeyError::BadKeyFile)
            }
            _ => Err(KeyError::BadKeyFile),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, redacted)", self.public().id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_methods_sign_and_verify_and_print_nothing_secret() {
        for key in [SigningKey::generate_ed25519(), SigningKey::generate_es256()] {
            let sig = key.sign(b"m");
            assert_eq!(sig.len(), 64);
            assert!(key.public().verifies(b"m", &sig));
            assert!(!key.public().verifies(b"n", &sig));
            assert!(!key.public().verifies(b"m", &sig[..63]));
            let line = key.expose();
            let again = SigningKey::from_line(&line).unwrap();
            assert_eq!(again.public(), key.public());
            assert!(!format!("{key:?}").contains(line.rsplit(':').next().unwrap()));
            let text = key.public().to_string();
            assert_eq!(text.parse(), Ok(key.public()));
        }
    }

    #[test]
    fn es256_high_s_is_refused() {
        let SigningKey::Es256(k) = SigningKey::generate_es256() else { unreachable!() };
        let low: p256::ecdsa::Signature = k.sign(b"m");
        let low = low.normalize_s();
        let high = p256::ecdsa::Signature::from_scalars(low.r(), -*low.s()).unwrap();
        let public = PublicKey::Es256(*k.verifying_key());
        assert!(public.verifies(b"m", &low.to_bytes()));
        assert!(!public.verifies(b"m", &high.to_bytes()));
    }

    #[test]
    fn one_key_has_one_encoding() {
        // y = 1 (the identity, small order) and its non-canonical twin y = p + 1.
        let mut identity = [0u8; 32];
        identity[0] = 1;
        let mut twin = [0xff; 32];
        twin[0] = 0xee;
        twin[31] = 0x7f;
        for bad in [identity, twin] {
            assert_eq!(PublicKey::decode("ed25519", &bad), Err(KeyError::BadKey));
        }
        let PublicKey::Es256(k) = SigningKey::generate_es256().public() else { unreachable!() };
        assert_eq!(PublicKey::decode("es256", k.to_sec1_point(true).as_bytes()), Err(KeyError::BadKey));
        assert_eq!("rsa:AAAA".parse::<PublicKey>(), Err(KeyError::UnknownMethod));
    }
}
