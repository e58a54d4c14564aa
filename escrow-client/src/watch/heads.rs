//! What each log showed last, on disk: one note a log, and evidence.

use crate::archive::FileError;
use crate::charters::ChartersError;
use crate::files;
use crate::outcome::NodeError;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use escrow_audit::checkpoint::{Checkpoint, VerifiedCheckpoint};
use escrow_audit::note::{MAX_NOTE_LEN, VerifierKey};
use escrow_audit::tile::TwoRoots;
use escrow_core::Digest;
use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// Why nodes cannot be watched from this machine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WatchError {
    /// The disk.
    #[error(transparent)]
    File(#[from] FileError),
    /// A charter that is not to be acted under.
    #[error(transparent)]
    Charters(#[from] ChartersError),
    /// This machine cannot make a TLS client, or a log key of the charter is none.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// Another process has the folder.
    #[error("{} is in use by another watch", .0.display())]
    Running(PathBuf),
    /// A remembered head that the log did not sign.
    #[error("{} is not the head that was written there; without it a fork or a rollback would not be seen", .0.display())]
    Damaged(PathBuf),
}

/// Remembered heads in a folder, which one process at a time may use.
#[derive(Debug)]
pub struct Heads {
    dir: PathBuf,
    _lock: File,
}

impl Heads {
    /// Opens the folder, or makes it.
    ///
    /// # Errors
    /// [`WatchError`].
    pub fn open(dir: &Path) -> Result<Self, WatchError> {
        let fault = |source| FileError { verb: "open", path: dir.to_owned(), source };
        let mut folder = DirBuilder::new();
        folder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut folder, 0o700);
        folder.create(dir).map_err(fault)?;
        let lock = File::create(dir.join("lock")).map_err(fault)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { dir: dir.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(WatchError::Running(dir.to_owned())),
            Err(TryLockError::Error(e)) => Err(fault(e).into()),
        }
    }

    /// Where the head of a log is remembered: a log is its origin and its key.
    pub fn path(&self, log: &VerifierKey) -> PathBuf {
        self.dir.join(format!("{}.txt", name_of(log)))
    }

    /// The head remembered of a log, if there is one.
    ///
    /// # Errors
    /// [`WatchError::Damaged`] if the log's key did not sign it; it is then left as it is.
    pub fn load(&self, log: &VerifierKey) -> Result<Option<VerifiedCheckpoint>, WatchError> {
        let path = self.path(log);
        let bytes = match files::read(&path, MAX_NOTE_LEN as u64) {
            Ok(bytes) => bytes,
            Err(e) if e.source.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        let head = Checkpoint::verify(&bytes, log.name(), log);
        head.map(Some).map_err(|_| WatchError::Damaged(path))
    }

    /// Remembers a head in the place of the one before; durable when it returns.
    ///
    /// # Errors
    /// [`WatchError::File`].
    pub fn save(&self, log: &VerifierKey, head: &VerifiedCheckpoint) -> Result<(), WatchError> {
        Ok(files::replace(&self.path(log), &head.to_bytes())?)
    }

    /// Keeps files in a folder of their own, named by the log and by what is in them; the same again is the same
    /// folder.
    ///
    /// # Errors
    /// [`WatchError::File`].
    pub(super) fn keep(&self, log: &VerifierKey, evidence: &[(&str, Vec<u8>)]) -> Result<PathBuf, WatchError> {
        // Cosignatures under a note change from look to look; what the log signed does not.
        let said = |bytes: &Vec<u8>| {
            let text = String::from_utf8_lossy(bytes);
            text.split_once("\n\n").map_or_else(|| text.to_string(), |(said, _)| said.to_owned())
        };
        let all: Vec<String> = evidence.iter().map(|(_, bytes)| said(bytes)).collect();
        let name = format!("{}-{}", name_of(log), Digest::of(all.join("\n\n").as_bytes()).short());
        let dir = self.dir.join("evidence").join(name);
        let fault = |source| FileError { verb: "make", path: dir.clone(), source };
        std::fs::create_dir_all(&dir).map_err(fault)?;
        for (name, bytes) in evidence {
            let path = dir.join(name);
            if !path.exists() {
                files::replace(&path, bytes)?;
            }
        }
        Ok(dir)
    }
}

fn name_of(log: &VerifierKey) -> String {
    Digest::of(log.to_string().as_bytes()).to_string().chars().take(32).collect()
}

/// The subtrees from which both roots follow: one a line, height, number among those of its height, hash.
pub(super) fn subtrees(both: &TwoRoots) -> Vec<u8> {
    let nodes = both.subtrees().unwrap_or_default();
    let lines = nodes.iter().map(|(height, index, hash)| format!("{height} {index} {}\n", STANDARD.encode(hash)));
    lines.collect::<String>().into_bytes()
}
