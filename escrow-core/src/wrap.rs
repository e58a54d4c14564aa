//! Wrapping a thread key under a key that only the shared secret gives.
//!
//! `PRK = HKDF-Extract(salt = deal nonce, ikm = s)`, then two Expands: the KEK and the published
//! key check, both bound to the item context (RFC 5869). The key check binds the ciphertext to
//! one KEK, which AES-GCM alone does not; it is compared before anything is decrypted.

use crate::digest::{Digest, Nonce};
use crate::label::{Labelled, labels};
use crate::random;
use crate::sharing::Secret;
use aes_gcm::aead::{Aead as _, Payload};
use aes_gcm::{Aes256Gcm, KeyInit as _};
use hkdf::Hkdf;
use sha2::Sha256;
use std::fmt;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// Bytes of a wrapped thread key: 12 of nonce, 32 of ciphertext, 16 of tag.
pub const WRAPPED_BYTES: usize = 60;

/// A thread key, 32 bytes. Wiped on drop, never printed, no Clone, no serde.
pub struct ThreadKey(Zeroizing<[u8; 32]>);

impl ThreadKey {
    /// A fresh random key.
    pub fn generate() -> Self {
        Self(Zeroizing::new(random::bytes()))
    }

    /// From the messenger's exporter or the archive.
    pub fn from_bytes(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// The raw key, for deriving what it opens.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for ThreadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ThreadKey(redacted)")
    }
}

/// Why a wrapped key does not open.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
pub enum UnwrapError {
    /// The secret is not the one that the deal's key check names.
    #[error("the secret does not match the deal's key check")]
    KeyCheck,
    /// The key check matched, and the ciphertext does not open.
    #[error("the wrapped key does not open under its own key-encryption key")]
    Ciphertext,
}

/// Wraps `key`; returns the 60 wrapped bytes and the key check to publish.
pub fn wrap(secret: &Secret, deal: &Nonce, context: &[u8], key: &ThreadKey) -> (Vec<u8>, Digest) {
    let (kek, check) = derive(secret, deal, context);
    let nonce: [u8; 12] = random::bytes();
    let mut wrapped = nonce.to_vec();
    // AES-GCM fails only above 2^36 bytes (NIST SP 800-38D section 5.2.1.1).
    let sealed = cipher(&kek).encrypt((&nonce).into(), Payload { msg: key.expose(), aad: context }).unwrap_or_default();
    wrapped.extend_from_slice(&sealed);
    (wrapped, check)
}

/// Opens what [`wrap`] made.
///
/// # Errors
/// [`UnwrapError`]; both mean that the depositor dealt something that opens nothing.
pub fn unwrap(
    secret: &Secret,
    deal: &Nonce,
    context: &[u8],
    key_check: &Digest,
    wrapped: &[u8],
) -> Result<ThreadKey, UnwrapError> {
    let (kek, check) = derive(secret, deal, context);
    if !bool::from(check.0.ct_eq(&key_check.0)) {
        return Err(UnwrapError::KeyCheck);
    }
    let (nonce, sealed) = wrapped.split_at_checked(12).ok_or(UnwrapError::Ciphertext)?;
    let nonce: &[u8; 12] = nonce.try_into().map_err(|_| UnwrapError::Ciphertext)?;
    let clear = cipher(&kek).decrypt(nonce.into(), Payload { msg: sealed, aad: context });
    let clear = Zeroizing::new(clear.map_err(|_| UnwrapError::Ciphertext)?);
    let key: [u8; 32] = clear.as_slice().try_into().map_err(|_| UnwrapError::Ciphertext)?;
    Ok(ThreadKey::from_bytes(Zeroizing::new(key)))
}

fn derive(secret: &Secret, deal: &Nonce, context: &[u8]) -> (Zeroizing<[u8; 32]>, Digest) {
    let ikm = secret.to_bytes();
    let prk = Hkdf::<Sha256>::new(Some(&deal.0), ikm.as_slice());
    let mut kek = Zeroizing::new([0u8; 32]);
    let mut check = [0u8; 32];
    // Expand fails only above 255 * 32 bytes of output (RFC 5869 section 2.3).
    let _ = prk.expand(&Labelled::new(labels::KEK).bytes(context).finish(), kek.as_mut_slice());
    let _ = prk.expand(&Labelled::new(labels::KEY_CHECK).bytes(context).finish(), &mut check);
    (kek, Digest(check))
}

fn cipher(kek: &Zeroizing<[u8; 32]>) -> Aes256Gcm {
    let key: &[u8; 32] = kek;
    Aes256Gcm::new(key.into())
}
