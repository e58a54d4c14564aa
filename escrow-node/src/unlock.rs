//! The storage key: what opens the seat's keys and deposit keys at rest.

use aes_gcm::aead::{Aead as _, Payload};
use aes_gcm::{Aes256Gcm, KeyInit as _};
use escrow_core::label::{Labelled, labels};
use escrow_core::random;
use std::fmt;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Why something at rest cannot be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum UnlockError {
    /// A file cannot be read or written.
    #[error("{0}: {1}")]
    File(PathBuf, std::io::Error),
    /// The passphrase file can be read by others.
    #[error("{0} can be read by other users; run: chmod 600 {0}")]
    Permissions(PathBuf),
    /// Too short to be worth anything.
    #[error("the passphrase in {0} has fewer than 16 characters")]
    Weak(PathBuf),
    /// Argon2 refused.
    #[error("the passphrase could not be stretched: {0}")]
    Stretch(String),
    /// Wrong passphrase, or the file was altered.
    #[error("{0} does not open: wrong passphrase, or the file was altered")]
    DoesNotOpen(PathBuf),
}

/// Where the storage key comes from. Passphrase file now; PKCS#11, TPM, KMS later.
pub trait UnlockProvider {
    /// The storage key for this salt.
    ///
    /// # Errors
    /// [`UnlockError`].
    fn unlock(&self, salt: &[u8; 16]) -> Result<StorageKey, UnlockError>;
}

/// Reads the first line of a 0600 file and stretches it with Argon2id (RFC 9106, 64 MiB, 3 passes).
#[derive(Debug)]
pub struct PassphraseFile(pub PathBuf);

impl UnlockProvider for PassphraseFile {
    fn unlock(&self, salt: &[u8; 16]) -> Result<StorageKey, UnlockError> {
        let fail = |e| UnlockError::File(self.0.clone(), e);
        if exposed(&std::fs::metadata(&self.0).map_err(fail)?) {
            return Err(UnlockError::Permissions(self.0.clone()));
        }
        let text = Zeroizing::new(std::fs::read_to_string(&self.0).map_err(fail)?);
        let phrase = text.lines().next().unwrap_or_default();
        if phrase.chars().count() < 16 {
            return Err(UnlockError::Weak(self.0.clone()));
        }
        let stretch = |e: argon2::Error| UnlockError::Stretch(e.to_string());
        let params = argon2::Params::new(64 * 1024, 3, 1, Some(32)).map_err(stretch)?;
        let mut key = Zeroizing::new([0u8; 32]);
        argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params)
            .hash_password_into(phrase.as_bytes(), salt, key.as_mut_slice())
            .map_err(stretch)?;
        Ok(StorageKey(key))
    }
}

/// True if others than its owner may read the file. A credential of systemd is root's file with mode
/// 0440: its group bits are the mask of an access list that names the service's user alone
/// (systemd.exec(5), `LoadCredential=`), so group bits of root's group do not count.
fn exposed(file: &std::fs::Metadata) -> bool {
    let others = if file.uid() == 0 && file.gid() == 0 { 0o037 } else { 0o077 };
    file.mode() & others != 0
}

/// Seals small files. Wiped on drop, never printed.
pub struct StorageKey(Zeroizing<[u8; 32]>);

impl fmt::Debug for StorageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StorageKey(redacted)")
    }
}

impl StorageKey {
    /// A fresh one that no passphrase gives, for tests of what is sealed under it.
    pub fn random() -> Self {
        Self(Zeroizing::new(random::bytes()))
    }

    /// 12 bytes nonce, ciphertext, tag; bound to a label and a name.
    pub fn seal(&self, label: &str, name: &[u8], clear: &[u8]) -> Vec<u8> {
        aead_seal(&self.0, &Labelled::new(label).bytes(name).finish(), clear)
    }

    /// Opens what [`StorageKey::seal`] made.
    pub fn open(&self, label: &str, name: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        aead_open(&self.0, &Labelled::new(label).bytes(name).finish(), sealed)
    }
}

/// AES-256-GCM with a random nonce in front.
pub(crate) fn aead_seal(key: &[u8; 32], aad: &[u8], clear: &[u8]) -> Vec<u8> {
    let nonce: [u8; 12] = random::bytes();
    let mut out = nonce.to_vec();
    // Fails only above 2^36 bytes (NIST SP 800-38D section 5.2.1.1).
    out.extend(Aes256Gcm::new(key.into()).encrypt((&nonce).into(), Payload { msg: clear, aad }).unwrap_or_default());
    out
}

/// Opens what [`aead_seal`] made.
pub(crate) fn aead_open(key: &[u8; 32], aad: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, ct) = sealed.split_at_checked(12)?;
    let nonce: &[u8; 12] = nonce.try_into().ok()?;
    Aes256Gcm::new(key.into()).decrypt(nonce.into(), Payload { msg: ct, aad }).ok().map(Zeroizing::new)
}

/// Writes a file that must survive a power cut, mode 0600, never over an existing one.
///
/// # Errors
/// [`UnlockError::File`].
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<(), UnlockError> {
    let fail = |e| UnlockError::File(path.into(), e);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(fail)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(fail)?;
    sync_dir(path)
}

/// Writes a file that must survive a power cut, mode 0600, in the place of one that may exist: after a crash it
/// is the one or the other.
///
/// # Errors
/// [`UnlockError::File`].
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), UnlockError> {
    let fail = |e| UnlockError::File(path.into(), e);
    let dir = path.parent().unwrap_or_else(|| Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(dir).map_err(fail)?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(fail)?;
    file.persist(path).map_err(|e| fail(e.error))?;
    sync_dir(path)
}

/// Makes the name of a file survive a power cut.
///
/// # Errors
/// [`UnlockError::File`].
pub fn sync_dir(path: &Path) -> Result<(), UnlockError> {
    let dir = path.parent().unwrap_or_else(|| Path::new("."));
    std::fs::File::open(dir).and_then(|d| d.sync_all()).map_err(|e| UnlockError::File(path.into(), e))
}

/// Label of the seat's key file.
pub(crate) const SEALED_FILE: &str = labels::SEALED_FILE;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_passphrase_that_others_may_read_is_refused_and_a_credential_of_systemd_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("passphrase");
        std::fs::write(&path, "sixteen characters or more\n").unwrap();
        let with = |mode| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            PassphraseFile(path.clone()).unlock(&[1; 16])
        };
        assert!(with(0o400).is_ok() && with(0o600).is_ok());
        for mode in [0o404, 0o460, 0o410, 0o644] {
            assert!(matches!(with(mode), Err(UnlockError::Permissions(_))), "{mode:o}");
        }
        let meta = std::fs::metadata(&path).unwrap();
        // Whose file it is decides about the group's bit; a test run as root can be both.
        if meta.uid() == 0 && meta.gid() == 0 {
            assert!(with(0o440).is_ok(), "a credential of systemd");
            std::os::unix::fs::chown(&path, None, Some(1)).unwrap();
        }
        assert!(matches!(with(0o440), Err(UnlockError::Permissions(_))), "a group that has members");
    }
}
