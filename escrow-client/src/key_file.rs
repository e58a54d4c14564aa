//! Key files on disk: mode 0600, in clear or as age files under a passphrase.
//!
//! An encrypted key file is an armored age file (age-encryption.org/v1) with one scrypt recipient, so that
//! `age -d` opens it too. Where a passphrase comes from is the caller's business: loading takes a function that
//! is called only for a file that needs one.

use crate::files;
use age::armor::ArmoredReader;
use age::secrecy::{ExposeSecret as _, SecretString};
use age::{DecryptError, Decryptor, scrypt};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

const KEY_FILE_MAX: u64 = 64 * 1024;
const PASSPHRASE_MAX: u64 = 1024;
/// scrypt with N = 2^18, r = 8: 256 MiB and about a second. What age itself takes.
const WORK_FACTOR: u8 = if cfg!(test) { 4 } else { 18 };
/// More than that (1 GiB) is no key file that somebody made to use it.
const WORK_FACTOR_MAX: u8 = 20;
const ARMORED: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";
const BINARY: &[u8] = b"age-encryption.org/";

/// Gives the passphrase of a key file. Called only for a file that is encrypted.
///
/// # Errors
/// Why there is none, in words for people.
pub type AskPassphrase<'a> = dyn Fn(&Path) -> io::Result<Arc<Passphrase>> + 'a;

/// A passphrase. Wiped on drop, never printed.
pub struct Passphrase(SecretString);

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(redacted)")
    }
}

impl Passphrase {
    /// Fewest characters of a passphrase that a key file is encrypted under.
    pub const MIN: usize = 16;

    /// Whatever was typed or read.
    pub fn new(text: &Zeroizing<String>) -> Self {
        Self(SecretString::from(text.as_str()))
    }

    /// The first line of a file that only its owner may read, or of a pipe; at most 1024 bytes.
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::PermissionDenied`] if others may read it,
    /// [`io::ErrorKind::InvalidData`] if there is no such line.
    pub fn read(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        if exposed(&file)? {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "others than its owner can read it; chmod 600",
            ));
        }
        Self::from_reader(file)
    }

    /// The first line of what a reader gives; at most 1024 bytes.
    ///
    /// # Errors
    /// What the reader says; [`io::ErrorKind::InvalidData`] if there is no such line.
    pub fn from_reader(reader: impl io::Read) -> io::Result<Self> {
        // The whole size at once: a buffer that grew would leave copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(PASSPHRASE_MAX as usize + 1));
        reader.take(PASSPHRASE_MAX + 1).read_to_end(&mut bytes)?;
        let bad = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
        let text = std::str::from_utf8(&bytes).map_err(|_| bad("it holds no UTF-8 text"))?;
        let line = text.lines().next().unwrap_or_default();
        if line.is_empty() {
            return Err(bad("its first line is empty"));
        }
        if line.len() as u64 > PASSPHRASE_MAX {
            return Err(bad("its first line has more than 1024 bytes"));
        }
        Ok(Self(SecretString::from(line)))
    }

    /// True if both are the same.
    pub fn same(&self, other: &Self) -> bool {
        self.text().as_bytes().ct_eq(other.text().as_bytes()).into()
    }

    fn text(&self) -> &str {
        self.0.expose_secret()
    }
}

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// Not there, not readable, or there already.
    #[error("cannot {verb} {}: {source}", path.display())]
    File {
        /// What was tried.
        verb: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Others than the owner may read it.
    #[error("{} can be read by others than its owner; run `chmod 600` on it, and make new keys if anybody may have read it", .0.display())]
    Exposed(PathBuf),
    /// Not a key file of this program.
    #[error("{} is not {expected} of this program", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What should be there.
        expected: &'static str,
    },
    /// The person or device has no such key.
    #[error("{0}")]
    Missing(&'static str),
    /// It is encrypted, and there is no passphrase.
    #[error("{} is encrypted, and there is no passphrase for it: {source}", path.display())]
    NoPassphrase {
        /// The file.
        path: PathBuf,
        /// Why there is none.
        source: io::Error,
    },
    /// The passphrase is wrong, or somebody altered the file.
    #[error("{} does not open: another passphrase, or the file was altered", .0.display())]
    DoesNotOpen(PathBuf),
    /// An age file that no passphrase opens, or that would cost too much to try.
    #[error("{} is an age file that this program does not open: {why}", path.display())]
    OtherAge {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: &'static str,
    },
    /// Too short to be worth anything.
    #[error("the passphrase has fewer than {} characters", Passphrase::MIN)]
    Weak,
    /// Encrypted already.
    #[error("{} is encrypted already", .0.display())]
    Encrypted(PathBuf),
    /// In clear already.
    #[error("{} is not encrypted", .0.display())]
    Clear(PathBuf),
}

/// True if the file is an age file; its mode does not matter here.
///
/// # Errors
/// [`KeyFileError::File`].
pub fn is_encrypted(path: &Path) -> Result<bool, KeyFileError> {
    let fault = |source| KeyFileError::File { verb: "read", path: path.to_owned(), source };
    let mut head = Vec::new();
    File::open(path).map_err(fault)?.take(64).read_to_end(&mut head).map_err(fault)?;
    Ok(is_age(&head))
}

fn is_age(bytes: &[u8]) -> bool {
    let head = bytes.trim_ascii_start();
    head.starts_with(ARMORED) || head.starts_with(BINARY)
}

/// Encrypts a key file in clear under a passphrase, in its place and in one step. `check` says whether the text is
/// a key file at all.
///
/// # Errors
/// [`KeyFileError`]; the file is then as it was.
pub(crate) fn encrypt(
    path: &Path,
    passphrase: &Passphrase,
    check: impl FnOnce(&str) -> Result<(), KeyFileError>,
) -> Result<(), KeyFileError> {
    let bytes = raw(path)?;
    if is_age(&bytes) {
        return Err(KeyFileError::Encrypted(path.to_owned()));
    }
    let clear = text(path, bytes)?;
    check(&clear)?;
    replace(path, sealed(path, clear.as_bytes(), passphrase)?.as_bytes())
}

/// Puts an encrypted key file in clear, in its place and in one step.
///
/// # Errors
/// [`KeyFileError`]; the file is then as it was.
pub fn decrypt_key_file(path: &Path, ask: &AskPassphrase<'_>) -> Result<(), KeyFileError> {
    let bytes = raw(path)?;
    if !is_age(&bytes) {
        return Err(KeyFileError::Clear(path.to_owned()));
    }
    replace(path, opened(path, &bytes, ask)?.as_bytes())
}

/// Writes a new key file; encrypted if there is a passphrase.
pub(crate) fn write_key(path: &Path, clear: &str, passphrase: Option<&Passphrase>) -> Result<(), KeyFileError> {
    match passphrase {
        None => write_private(path, clear.as_bytes()),
        Some(p) => write_private(path, sealed(path, clear.as_bytes(), p)?.as_bytes()),
    }
}

/// The text of a key file, decrypted if need be.
pub(crate) fn read_key(path: &Path, ask: &AskPassphrase<'_>) -> Result<Zeroizing<String>, KeyFileError> {
    let bytes = raw(path)?;
    if is_age(&bytes) { opened(path, &bytes, ask) } else { text(path, bytes) }
}

/// What [`read_key`] is told where nobody can be asked.
pub(crate) fn nobody(_: &Path) -> io::Result<Arc<Passphrase>> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "nobody is asked here"))
}

fn sealed(path: &Path, clear: &[u8], passphrase: &Passphrase) -> Result<String, KeyFileError> {
    if passphrase.text().chars().count() < Passphrase::MIN {
        return Err(KeyFileError::Weak);
    }
    let fault = |e: age::EncryptError| KeyFileError::File {
        verb: "encrypt",
        path: path.to_owned(),
        source: io::Error::other(e.to_string()),
    };
    let mut recipient = scrypt::Recipient::new(SecretString::from(passphrase.text()));
    recipient.set_work_factor(WORK_FACTOR);
    age::encrypt_and_armor(&recipient, clear).map_err(fault)
}

fn opened(path: &Path, bytes: &[u8], ask: &AskPassphrase<'_>) -> Result<Zeroizing<String>, KeyFileError> {
    let other = |why| KeyFileError::OtherAge { path: path.to_owned(), why };
    let file = Decryptor::new_buffered(ArmoredReader::new(bytes)).map_err(|_| other("its header is damaged"))?;
    if !file.is_scrypt() {
        return Err(other("it is encrypted to keys and not under a passphrase"));
    }
    let passphrase = ask(path).map_err(|source| KeyFileError::NoPassphrase { path: path.to_owned(), source })?;
    let mut identity = scrypt::Identity::new(SecretString::from(passphrase.text()));
    identity.set_max_work_factor(WORK_FACTOR_MAX);
    let does_not_open = || KeyFileError::DoesNotOpen(path.to_owned());
    let clear = file.decrypt(std::iter::once(&identity as &dyn age::Identity)).map_err(|e| match e {
        DecryptError::ExcessiveWork { .. } => other("its passphrase would take too much memory to try"),
        _ => does_not_open(),
    })?;
    // A clear text is never longer than its age file, and a buffer that grew would leave copies behind.
    let mut out = Zeroizing::new(Vec::with_capacity(bytes.len()));
    clear.take(KEY_FILE_MAX).read_to_end(&mut out).map_err(|_| does_not_open())?;
    text(path, out)
}

fn text(path: &Path, bytes: Zeroizing<Vec<u8>>) -> Result<Zeroizing<String>, KeyFileError> {
    let malformed = |_| KeyFileError::Malformed { path: path.to_owned(), expected: "a key file" };
    let text = std::str::from_utf8(&bytes).map_err(malformed)?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn raw(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    let fault = |source| KeyFileError::File { verb: "read", path: path.to_owned(), source };
    let file = File::open(path).map_err(fault)?;
    refuse_exposed(&file, path)?;
    let size = file.metadata().map_err(fault)?.len().min(KEY_FILE_MAX);
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1));
    file.take(KEY_FILE_MAX).read_to_end(&mut bytes).map_err(fault)?;
    Ok(bytes)
}

fn replace(path: &Path, bytes: &[u8]) -> Result<(), KeyFileError> {
    files::replace(path, bytes).map_err(|e| KeyFileError::File { verb: e.verb, path: e.path, source: e.source })
}

/// Writes a new file that only its owner may read; fails if it exists.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), KeyFileError> {
    let fault = |source| KeyFileError::File { verb: "create", path: path.to_owned(), source };
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(fault)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(fault)
}

/// Refuses a file that others than its owner may read.
pub(crate) fn refuse_exposed(file: &File, path: &Path) -> Result<(), KeyFileError> {
    match exposed(file) {
        Ok(false) => Ok(()),
        Ok(true) => Err(KeyFileError::Exposed(path.to_owned())),
        Err(source) => Err(KeyFileError::File { verb: "look at", path: path.to_owned(), source }),
    }
}

fn exposed(file: &File) -> io::Result<bool> {
    #[cfg(unix)]
    return Ok(std::os::unix::fs::MetadataExt::mode(&file.metadata()?) & 0o077 != 0);
    #[cfg(not(unix))]
    file.metadata().map(|_| false)
}

#[cfg(test)]
#[path = "key_file_tests.rs"]
mod tests;
