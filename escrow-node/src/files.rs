//! The files under the database: one process writes them, and they stay the files that it opened.
//!
//! A process goes on writing happily into a file that was deleted or replaced under it (HashiCorp
//! Vault #3935): what it then acknowledges is gone at the next start.

use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The exclusive lock on a data folder. Held until it is dropped or the process ends.
#[derive(Debug)]
pub struct DataLock {
    _file: File,
}

/// Why the data folder cannot be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("{dir} is in use by another escrow-node (process {pid}); stop that one first, one folder has one writer")]
    Taken {
        /// The folder.
        dir: PathBuf,
        /// What the lock file says; `unknown` if it says nothing.
        pid: String,
    },
    /// The lock file cannot be made.
    #[error("cannot lock {0}: {1}")]
    File(PathBuf, io::Error),
}

impl DataLock {
    /// Locks a data folder for the life of the value.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn take(dir: &Path) -> Result<Self, LockError> {
        let path = dir.join("node.lock");
        let fail = |e| LockError::File(path.clone(), e);
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let mut file = open.map_err(fail)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let read = file.take(20).read_to_string(&mut pid).map(|_| pid.trim().to_owned());
                let pid = read.ok().filter(|p| !p.is_empty()).unwrap_or_else(|| "unknown".into());
                return Err(LockError::Taken { dir: dir.into(), pid });
            }
            Err(TryLockError::Error(e)) => return Err(fail(e)),
        }
        let own = format!("{}\n", std::process::id());
        file.set_len(0).and_then(|()| file.write_all(own.as_bytes())).map_err(fail)?;
        Ok(Self { _file: file })
    }
}

/// Device, inode and least length of one file.
#[derive(Debug)]
struct Known {
    path: PathBuf,
    device: u64,
    inode: u64,
    length: u64,
}

impl Known {
    fn new(path: PathBuf) -> io::Result<Self> {
        let m = std::fs::metadata(&path)?;
        Ok(Self { device: m.dev(), inode: m.ino(), length: m.len(), path })
    }

    fn check(&mut self) -> Result<(), String> {
        let m: Metadata =
            std::fs::metadata(&self.path).map_err(|e| format!("{} is not there any more: {e}", self.path.display()))?;
        if (m.dev(), m.ino()) != (self.device, self.inode) {
            return Err(format!("{} was replaced by another file", self.path.display()));
        }
        if m.len() < self.length {
            return Err(format!("{} was cut from {} bytes to {}", self.path.display(), self.length, m.len()));
        }
        self.length = m.len();
        Ok(())
    }
}

/// Database and write-ahead log as they were opened. While the writer runs both only grow.
#[derive(Debug)]
pub struct Files(Vec<Known>);

impl Files {
    /// Remembers the files of the database at `path`, which must be open in WAL mode.
    ///
    /// # Errors
    /// If one of them is not there.
    pub fn remember(path: &Path) -> io::Result<Self> {
        let mut wal = path.as_os_str().to_owned();
        wal.push("-wal");
        Ok(Self(vec![Known::new(path.into())?, Known::new(wal.into())?]))
    }

    /// # Errors
    /// In words, if one of them was removed, replaced or cut.
    pub fn check(&mut self) -> Result<(), String> {
        self.0.iter_mut().try_for_each(Known::check)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_75_a_data_folder_has_one_holder_and_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let held = DataLock::take(dir.path()).unwrap();
        let refused = DataLock::take(dir.path()).unwrap_err().to_string();
        assert!(refused.contains(&std::process::id().to_string()), "{refused}");
        drop(held);
        DataLock::take(dir.path()).unwrap();
    }

    #[test]
    fn files_may_grow_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let (db, wal) = (dir.path().join("db"), dir.path().join("db-wal"));
        std::fs::write(&db, [1; 10]).unwrap();
        assert!(Files::remember(&db).is_err(), "no WAL");
        std::fs::write(&wal, []).unwrap();
        let mut files = Files::remember(&db).unwrap();
        std::fs::write(&wal, [1; 5]).unwrap();
        std::fs::write(&db, [2; 12]).unwrap();
        files.check().unwrap();
        std::fs::write(&db, [2; 11]).unwrap();
        assert!(files.check().unwrap_err().contains("from 12 bytes to 11"));
        std::fs::write(&db, [2; 12]).unwrap();
        files.check().unwrap();
        let copy = dir.path().join("copy");
        std::fs::copy(&wal, &copy).unwrap();
        std::fs::rename(&copy, &wal).unwrap();
        assert!(files.check().unwrap_err().contains("replaced"));
        std::fs::remove_file(&wal).unwrap();
        assert!(files.check().unwrap_err().contains("not there"));
    }
}
