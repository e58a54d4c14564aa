//! HPKE sealing (RFC 9180, base mode) to seats and recipients, post-quantum only.
//!
//! Two suites, both with HKDF-SHA256 and AES-256-GCM: X-Wing (KEM 0x647a,
//! draft-connolly-cfrg-xwing-kem) and MLKEM768-P256 (KEM 0x0050, draft-ietf-hpke-pq). Suites
//! without ML-KEM do not exist here: perfect hiding would be wasted on a recorded share.
//! A sealed message is one single-shot: encapsulation, then ciphertext.

use crate::charter::SealingKey;
use crate::digest::Blob;
use crate::random;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::{MlKem768P256, XWing};
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::Zeroizing;

const INFO: &[u8] = b"escrow/v1/hpke";

/// The HPKE suites of protocol v1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Suite {
    /// X25519 with ML-KEM-768, the default.
    #[default]
    #[serde(rename = "xwing")]
    XWing,
    /// P-256 with ML-KEM-768.
    #[serde(rename = "mlkem768-p256")]
    MlKem768P256,
}

impl Suite {
    /// The word as it stands in payloads.
    pub const fn name(self) -> &'static str {
        match self {
            Self::XWing => "xwing",
            Self::MlKem768P256 => "mlkem768-p256",
        }
    }
}

/// Why something does not seal or open. Says nothing about which byte, on purpose.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
pub enum SealError {
    /// Not a public key of the suite.
    #[error("not a public sealing key of its suite")]
    BadKey,
    /// Not a private sealing key file of this program.
    #[error("not a private sealing key file of this program")]
    BadKeyFile,
    /// Sealed to another key, bound to other data, or altered.
    #[error("does not open: sealed to another key, bound to other data, or altered")]
    DoesNotOpen,
}

/// A private sealing key. Wiped on drop, never printed, no Clone, no serde.
pub struct SealingSecret {
    suite: Suite,
    private: Zeroizing<Vec<u8>>,
    public: SealingKey,
}

impl SealingSecret {
    /// A fresh key pair.
    pub fn generate(suite: Suite) -> Self {
        match suite {
            Suite::XWing => generate::<XWing>(suite),
            Suite::MlKem768P256 => generate::<MlKem768P256>(suite),
        }
    }

    /// The public half.
    pub fn public(&self) -> &SealingKey {
        &self.public
    }

    /// One line for a key file with mode 0600: `<suite>-private:<base64>`.
    pub fn expose(&self) -> Zeroizing<String> {
        let b64 = Zeroizing::new(STANDARD.encode(self.private.as_slice()));
        Zeroizing::new(format!("{}-private:{}", self.suite.name(), *b64))
    }

    /// Reads the line that [`SealingSecret::expose`] wrote.
    ///
    /// # Errors
    /// [`SealError::BadKeyFile`].
    pub fn from_line(line: &str) -> Result<Self, SealError> {
        let (suite, b64) = line.trim().split_once("-private:").ok_or(SealError::BadKeyFile)?;
        let private = Zeroizing::new(STANDARD.decode(b64).map_err(|_| SealError::BadKeyFile)?);
        match suite {
            "xwing" => load::<XWing>(Suite::XWing, private),
            "mlkem768-p256" => load::<MlKem768P256>(Suite::MlKem768P256, private),
            _ => Err(SealError::BadKeyFile),
        }
    }

    /// Opens a sealed message bound to `aad`.
    ///
    /// # Errors
    /// [`SealError::DoesNotOpen`].
    pub fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        match self.suite {
            Suite::XWing => open::<XWing>(&self.private, aad, sealed),
            Suite::MlKem768P256 => open::<MlKem768P256>(&self.private, aad, sealed),
        }
    }
}

impl fmt::Debug for SealingSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingSecret({}, redacted)", self.suite.name())
    }
}

/// True if the bytes are a public key of the suite.
///
/// # Errors
/// [`SealError::BadKey`].
pub fn check_key(key: &SealingKey) -> Result<(), SealError> {
    match key.suite {
        Suite::XWing => <XWing as Kem>::PublicKey::from_bytes(&key.public.0).map(drop),
        Suite::MlKem768P256 => <MlKem768P256 as Kem>::PublicKey::from_bytes(&key.public.0).map(drop),
    }
    .map_err(|_| SealError::BadKey)
}

/// Seals `clear` to one key, bound to `aad`.
///
/// # Errors
/// [`SealError::BadKey`].
pub fn seal(key: &SealingKey, aad: &[u8], clear: &[u8]) -> Result<Vec<u8>, SealError> {
    match key.suite {
        Suite::XWing => seal_with::<XWing>(&key.public.0, aad, clear),
        Suite::MlKem768P256 => seal_with::<MlKem768P256>(&key.public.0, aad, clear),
    }
}

fn generate<K: Kem>(suite: Suite) -> SealingSecret {
    let (private, public) = K::gen_keypair_with_rng(&mut random::rng());
    SealingSecret {
        suite,
        private: Zeroizing::new(private.to_bytes().to_vec()),
        public: SealingKey { suite, public: Blob(public.to_bytes().to_vec()) },
    }
}

fn load<K: Kem>(suite: Suite, private: Zeroizing<Vec<u8>>) -> Result<SealingSecret, SealError> {
    let key = K::PrivateKey::from_bytes(&private).map_err(|_| SealError::BadKeyFile)?;
    let public = SealingKey { suite, public: Blob(K::sk_to_pk(&key).to_bytes().to_vec()) };
    Ok(SealingSecret { suite, private, public })
}

fn seal_with<K: Kem>(public: &[u8], aad: &[u8], clear: &[u8]) -> Result<Vec<u8>, SealError> {
    let key = K::PublicKey::from_bytes(public).map_err(|_| SealError::BadKey)?;
    let (enc, ct) = hpke::single_shot_seal_with_rng::<AesGcm256, HkdfSha256, K>(
        &OpModeS::Base,
        &key,
        INFO,
        clear,
        aad,
        &mut random::rng(),
    )
    .map_err(|_| SealError::BadKey)?;
    let mut out = enc.to_bytes().to_vec();
    out.extend_from_slice(&ct);
    Ok(out)
}

fn open<K: Kem>(private: &[u8], aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let key = K::PrivateKey::from_bytes(private).map_err(|_| SealError::BadKeyFile)?;
    let (enc, ct) = sealed.split_at_checked(K::EncappedKey::size()).ok_or(SealError::DoesNotOpen)?;
    let enc = K::EncappedKey::from_bytes(enc).map_err(|_| SealError::DoesNotOpen)?;
    hpke::single_shot_open::<AesGcm256, HkdfSha256, K>(&OpModeR::Base, &key, &enc, INFO, ct, aad)
        .map(Zeroizing::new)
        .map_err(|_| SealError::DoesNotOpen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_suites_seal_bind_and_reload() {
        for suite in [Suite::XWing, Suite::MlKem768P256] {
            let key = SealingSecret::generate(suite);
            let sealed = seal(key.public(), b"aad", b"clear").unwrap();
            assert_eq!(key.open(b"aad", &sealed).unwrap().as_slice(), b"clear");
            assert_eq!(key.open(b"other", &sealed), Err(SealError::DoesNotOpen));
            assert_eq!(SealingSecret::generate(suite).open(b"aad", &sealed), Err(SealError::DoesNotOpen));
            for at in [0, sealed.len() / 2, sealed.len() - 1] {
                let mut bad = sealed.clone();
                bad[at] ^= 1;
                assert_eq!(key.open(b"aad", &bad), Err(SealError::DoesNotOpen), "byte {at}");
            }
            assert_eq!(key.open(b"aad", &sealed[..10]), Err(SealError::DoesNotOpen));
            let again = SealingSecret::from_line(&key.expose()).unwrap();
            assert_eq!(again.public(), key.public());
            assert_eq!(again.open(b"aad", &sealed).unwrap().as_slice(), b"clear");
            assert_eq!(check_key(key.public()), Ok(()));
            assert_eq!(format!("{key:?}"), format!("SealingSecret({}, redacted)", suite.name()));
        }
    }
}
