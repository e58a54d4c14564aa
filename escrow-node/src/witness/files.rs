//! A witness's folder: its keys, the head of each log, and evidence.
//!
//! ```text
//! witness.key    private key, one line, 0600; locked while the witness runs
//! witness.vkey   verifier key
//! tls.pem        its own TLS certificate, tls.key the private key, 0600
//! heads/H        newest note cosigned of the log whose origin has SHA-256 H
//! evidence/      H-fork-SIZE-first.txt and -second.txt; H-inconsistent-SIZE-ROOT.txt
//! ```

use super::verifier;
use crate::unlock::{UnlockError, write_new};
use ed25519_dalek::SigningKey as Ed25519;
use escrow_audit::note::{NoteError, VerifierKey};
use escrow_audit::witness::AddCheckpoint;
use escrow_core::pin::spki_pin;
use escrow_core::{Digest, SigningKey, random};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Requests with a proof that does not hold which are kept of one log: whoever has one signed checkpoint can make them.
const INCONSISTENT_MAX: usize = 16;

/// Why a witness cannot be made, opened or go on.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// The disk.
    #[error("{0}: {1}")]
    Io(PathBuf, std::io::Error),
    /// Keys cannot be written.
    #[error(transparent)]
    Keys(#[from] UnlockError),
    /// There is a witness in that folder.
    #[error("{0} has a witness already; its key is never overwritten")]
    Exists(PathBuf),
    /// Another process has the folder.
    #[error("{0} is in use by a witness that runs")]
    Running(PathBuf),
    /// A file that is not what this program wrote.
    #[error("{0} is not what this witness wrote; restore the folder from where it was copied, or make a new witness")]
    Damaged(PathBuf),
    /// A key file that others may read.
    #[error("{0} may be read by others; make it readable by its owner alone (chmod 600)")]
    Mode(PathBuf),
    /// The name or a note.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// A log key of the charter, or the charter itself.
    #[error("charter: {0}")]
    Charter(String),
    /// TLS or the socket.
    #[error("{0}")]
    Net(String),
    /// A note that was accepted and does not verify: a fault of this program.
    #[error("an accepted checkpoint does not verify")]
    Unsigned,
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> WitnessError {
    move |e| WitnessError::Io(path.to_owned(), e)
}

/// What a new witness tells the world.
#[derive(Debug, Clone)]
pub struct Made {
    /// The verifier key of its cosignatures.
    pub key: VerifierKey,
    /// Pin of its TLS key.
    pub tls_pin: Digest,
}

/// Makes a witness's folder and keys.
///
/// # Errors
/// [`WitnessError`]; nothing existing is overwritten.
pub fn init(dir: &Path, name: &str) -> Result<Made, WitnessError> {
    let files = KeyFiles::of(dir);
    if files.secret.exists() {
        return Err(WitnessError::Exists(dir.to_owned()));
    }
    let secret = Ed25519::generate(&mut random::rng());
    let key = verifier(name, &secret)?;
    for path in [dir.to_owned(), dir.join("heads"), dir.join("evidence")] {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(io(&path))?;
    }
    let tls = rcgen::generate_simple_self_signed(vec!["escrow-witness.invalid".to_owned()]);
    let tls = tls.map_err(|e| WitnessError::Net(e.to_string()))?;
    let tls_pin = spki_pin(tls.cert.der()).ok_or_else(|| WitnessError::Net("unreadable certificate".into()))?;
    write_new(&files.certificate, tls.cert.pem().as_bytes())?;
    write_new(&files.tls_key, Zeroizing::new(tls.signing_key.serialize_pem()).as_bytes())?;
    write_new(&files.verifier, format!("{key}\n").as_bytes())?;
    write_new(&files.secret, SigningKey::Ed25519(secret).expose().as_bytes())?;
    Ok(Made { key, tls_pin })
}

/// Where a witness's keys are.
#[derive(Debug, Clone)]
pub struct KeyFiles {
    pub(super) secret: PathBuf,
    pub(super) verifier: PathBuf,
    pub(super) certificate: PathBuf,
    pub(super) tls_key: PathBuf,
}

impl KeyFiles {
    /// In a witness's folder.
    pub fn of(dir: &Path) -> Self {
        Self {
            secret: dir.join("witness.key"),
            verifier: dir.join("witness.vkey"),
            certificate: dir.join("tls.pem"),
            tls_key: dir.join("tls.key"),
        }
    }

    /// Pin of the TLS key.
    ///
    /// # Errors
    /// [`WitnessError`].
    pub fn tls_pin(&self) -> Result<Digest, WitnessError> {
        let damaged = || WitnessError::Damaged(self.certificate.clone());
        let certificate = CertificateDer::from_pem_file(&self.certificate).map_err(|_| damaged())?;
        spki_pin(&certificate).ok_or_else(damaged)
    }
}

/// Hexadecimal SHA-256 of a log's origin, which names it in paths.
pub(super) fn origin_hash(origin: &str) -> String {
    Digest::of(origin.as_bytes()).to_string()
}

/// The open folder of a running witness.
pub(super) struct Folder {
    dir: PathBuf,
    /// Locked until it is dropped.
    _lock: File,
}

impl Folder {
    pub(super) fn open(dir: &Path) -> Result<(Self, VerifierKey, Ed25519), WitnessError> {
        let files = KeyFiles::of(dir);
        let damaged = || WitnessError::Damaged(files.secret.clone());
        let lock = File::open(&files.secret).map_err(io(&files.secret))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(WitnessError::Running(dir.to_owned())),
            Err(fs::TryLockError::Error(e)) => return Err(io(&files.secret)(e)),
        }
        let mode = lock.metadata().map_err(io(&files.secret))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(WitnessError::Mode(files.secret));
        }
        let line = Zeroizing::new(fs::read_to_string(&files.secret).map_err(io(&files.secret))?);
        let Ok(SigningKey::Ed25519(secret)) = SigningKey::from_line(line.trim_end()) else { return Err(damaged()) };
        let listed = fs::read_to_string(&files.verifier).map_err(io(&files.verifier))?;
        let key: VerifierKey = listed.trim_end().parse().map_err(|_| WitnessError::Damaged(files.verifier.clone()))?;
        if verifier(key.name(), &secret)? != key {
            return Err(damaged());
        }
        Ok((Self { dir: dir.to_owned(), _lock: lock }, key, secret))
    }

    pub(super) fn head_path(&self, origin: &str) -> PathBuf {
        self.dir.join("heads").join(origin_hash(origin))
    }

    pub(super) fn head(&self, origin: &str) -> Result<Option<Vec<u8>>, WitnessError> {
        let path = self.head_path(origin);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(io(&path)(e)),
        }
    }

    /// Durable when it returns.
    pub(super) fn replace_head(&self, origin: &str, note: &[u8]) -> Result<(), WitnessError> {
        durable(&self.head_path(origin), note)
    }

    pub(super) fn has_fork(&self, origin: &str) -> Result<bool, WitnessError> {
        Ok(self.evidence(&format!("{}-fork-", origin_hash(origin)))? > 0)
    }

    /// The note that was cosigned, and the one that contradicts it.
    pub(super) fn keep_fork(&self, origin: &str, size: u64, first: &[u8], second: &[u8]) -> Result<(), WitnessError> {
        let stem = format!("{}-fork-{size}", origin_hash(origin));
        let at = |name: &str| self.dir.join("evidence").join(format!("{stem}-{name}.txt"));
        durable(&at("first"), first)?;
        durable(&at("second"), second)
    }

    /// It may be evidence, and it may be somebody who sends an honest note with a wrong proof.
    pub(super) fn keep_inconsistent(&self, origin: &str, request: &AddCheckpoint) -> Result<(), WitnessError> {
        let stem = format!("{}-inconsistent-", origin_hash(origin));
        let name = format!("{stem}{}.txt", Digest::of(request.note().text().as_bytes()).short());
        let path = self.dir.join("evidence").join(name);
        if path.exists() || self.evidence(&stem)? >= INCONSISTENT_MAX {
            return Ok(());
        }
        durable(&path, &request.to_bytes())
    }

    fn evidence(&self, stem: &str) -> Result<usize, WitnessError> {
        let dir = self.dir.join("evidence");
        let mut found = 0;
        for entry in fs::read_dir(&dir).map_err(io(&dir))? {
            let name = entry.map_err(io(&dir))?.file_name();
            found += usize::from(name.to_string_lossy().starts_with(stem));
        }
        Ok(found)
    }
}

fn durable(path: &Path, bytes: &[u8]) -> Result<(), WitnessError> {
    let dir = path.parent().unwrap_or_else(|| Path::new("."));
    let write = || {
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|e| e.error)?;
        File::open(dir)?.sync_all()
    };
    write().map_err(io(path))
}
