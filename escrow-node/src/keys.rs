//! The seat's private keys, one for each role, sealed at rest by the storage key.

use crate::unlock::{SEALED_FILE, StorageKey, UnlockError, UnlockProvider, write_new};
use escrow_core::sealing::{SealingSecret, Suite};
use escrow_core::{PublicKey, SigningKey, random};
use std::fmt;
use std::path::Path;
use zeroize::Zeroizing;

/// All private keys of a seat. Wiped on drop, never printed.
pub struct SeatKeys {
    /// Signs receipts, verdicts, releases, answers, views.
    pub statement: SigningKey,
    /// Signs checkpoints of the seat's own log.
    pub log: ed25519_dalek::SigningKey,
    /// Cosigns other logs' checkpoints.
    pub witness: ed25519_dalek::SigningKey,
    /// Opens share blobs.
    pub sealing: SealingSecret,
    /// TLS certificate, PEM.
    pub tls_certificate: String,
    /// TLS private key, PEM.
    pub tls_key: Zeroizing<String>,
}

impl fmt::Debug for SeatKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SeatKeys({}, redacted)", self.statement.public().id())
    }
}

const NAME: &[u8] = b"seat.keys";
const SALT: usize = 16;

impl SeatKeys {
    /// Fresh keys, and a self-signed certificate whose key the charter will pin.
    ///
    /// # Errors
    /// The certificate library's words.
    pub fn generate() -> Result<Self, String> {
        let tls =
            rcgen::generate_simple_self_signed(vec!["escrow-node.invalid".to_owned()]).map_err(|e| e.to_string())?;
        let ed25519 = || ed25519_dalek::SigningKey::generate(&mut random::rng());
        Ok(Self {
            statement: SigningKey::generate_ed25519(),
            log: ed25519(),
            witness: ed25519(),
            sealing: SealingSecret::generate(Suite::XWing),
            tls_certificate: tls.cert.pem(),
            tls_key: Zeroizing::new(tls.signing_key.serialize_pem()),
        })
    }

    /// Public half of the log key.
    pub fn log_public(&self) -> PublicKey {
        PublicKey::Ed25519(self.log.verifying_key())
    }

    /// Public half of the witness key.
    pub fn witness_public(&self) -> PublicKey {
        PublicKey::Ed25519(self.witness.verifying_key())
    }

    /// Seals the keys into a new file: 16 bytes of salt, then the sealed text.
    ///
    /// # Errors
    /// [`UnlockError`]; an existing file is never overwritten.
    pub fn save(&self, path: &Path, unlock: &dyn UnlockProvider) -> Result<StorageKey, UnlockError> {
        let salt: [u8; SALT] = random::bytes();
        let storage = unlock.unlock(&salt)?;
        self.write(path, &salt, &storage)?;
        Ok(storage)
    }

    /// Seals the keys into a new file under the storage key of another, whose deposit keys stay as they are.
    ///
    /// # Errors
    /// [`UnlockError`]; an existing file is never overwritten.
    pub fn save_beside(&self, path: &Path, other: &Path, storage: &StorageKey) -> Result<(), UnlockError> {
        let file = std::fs::read(other).map_err(|e| UnlockError::File(other.into(), e))?;
        let salt = file.first_chunk::<SALT>().ok_or_else(|| UnlockError::DoesNotOpen(other.into()))?;
        self.write(path, salt, storage)
    }

    /// The same keys with a fresh one for a new log.
    #[must_use]
    pub fn with_new_log_key(self) -> Self {
        Self { log: ed25519_dalek::SigningKey::generate(&mut random::rng()), ..self }
    }

    fn write(&self, path: &Path, salt: &[u8; SALT], storage: &StorageKey) -> Result<(), UnlockError> {
        let line = |k: &ed25519_dalek::SigningKey| SigningKey::Ed25519(k.clone()).expose();
        let text = Zeroizing::new(
            [
                self.statement.expose().as_str(),
                line(&self.log).as_str(),
                line(&self.witness).as_str(),
                self.sealing.expose().as_str(),
                self.tls_certificate.as_str(),
                self.tls_key.as_str(),
            ]
            .join("\n\n"),
        );
        let mut file = salt.to_vec();
        file.extend(storage.seal(SEALED_FILE, NAME, text.as_bytes()));
        write_new(path, &file)
    }

    /// Opens the file that [`SeatKeys::save`] wrote.
    ///
    /// # Errors
    /// [`UnlockError`].
    pub fn load(path: &Path, unlock: &dyn UnlockProvider) -> Result<(Self, StorageKey), UnlockError> {
        let file = std::fs::read(path).map_err(|e| UnlockError::File(path.into(), e))?;
        let bad = || UnlockError::DoesNotOpen(path.into());
        let (salt, sealed) = file.split_at_checked(SALT).ok_or_else(bad)?;
        let salt: &[u8; SALT] = salt.try_into().map_err(|_| bad())?;
        let storage = unlock.unlock(salt)?;
        let clear = storage.open(SEALED_FILE, NAME, sealed).ok_or_else(bad)?;
        let text = std::str::from_utf8(&clear).map_err(|_| bad())?;
        let mut parts = text.split("\n\n");
        let mut next = || parts.next().ok_or_else(bad);
        let signing = |line: &str| SigningKey::from_line(line).map_err(|_| bad());
        let ed25519 = |line: &str| match signing(line)? {
            SigningKey::Ed25519(k) => Ok(k),
            SigningKey::Es256(_) => Err(bad()),
        };
        let keys = Self {
            statement: signing(next()?)?,
            log: ed25519(next()?)?,
            witness: ed25519(next()?)?,
            sealing: SealingSecret::from_line(next()?).map_err(|_| bad())?,
            tls_certificate: next()?.to_owned(),
            tls_key: Zeroizing::new(next()?.to_owned()),
        };
        Ok((keys, storage))
    }
}
