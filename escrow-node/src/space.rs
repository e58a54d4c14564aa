//! Disk space: below a mark, new work is refused while what protects people is still logged.
//!
//! A reserve file holds some space back. Below the mark it is removed, so that restrictions, other
//! nodes' heads and the reason of a stop still find room; it is made again when space is back.

use crate::state::Trouble;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Measures the bytes that are free to this process.
pub type Free = Box<dyn Fn() -> io::Result<u64> + Send>;

/// Watches the space of one folder.
pub struct Space {
    free: Free,
    mark: u64,
    reserve: PathBuf,
    low: bool,
}

impl std::fmt::Debug for Space {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Space(mark {}, low {})", self.mark, self.low)
    }
}

/// Free bytes on the file system of a folder, as an unprivileged process may use them.
///
/// # Errors
/// Of the system call.
pub fn free_at(dir: &Path) -> io::Result<u64> {
    let s = rustix::fs::statvfs(dir)?;
    Ok(s.f_bavail.saturating_mul(s.f_frsize))
}

impl Space {
    /// The space that `free` measures. Work is refused below `mark` bytes; 0 refuses nothing. The
    /// reserve, a sixteenth of the mark, lies in `dir`.
    pub fn new(dir: &Path, mark: u64, free: Free) -> Self {
        Self { free, mark, reserve: dir.join("reserve"), low: false }
    }

    fn held_back(&self) -> u64 {
        self.mark / 16
    }

    /// Measures. A trouble while space is below the mark; it ends when the reserve fits in again beside.
    ///
    /// # Errors
    /// If the space cannot be measured, or the reserve not removed.
    pub fn look(&mut self) -> io::Result<Option<Trouble>> {
        if self.mark == 0 {
            return Ok(None);
        }
        let free = (self.free)()?;
        crate::metrics::disk_free(free);
        let held = self.reserve.exists();
        let need = self.mark.saturating_add(if held { 0 } else { self.held_back() });
        let was_low = self.low;
        self.low = free < need || (!held && !self.hold_back());
        if self.low && held {
            std::fs::remove_file(&self.reserve)?;
        }
        if self.low && !was_low {
            tracing::warn!(free, mark = self.mark, "disk space is low: new deposits, requests and queries are refused");
        }
        Ok(self.low.then_some(Trouble::Disk { free, need: self.mark.saturating_add(self.held_back()) }))
    }

    /// Makes the reserve; false if it does not fit.
    fn hold_back(&self) -> bool {
        let make = || -> io::Result<()> {
            let mut options = std::fs::OpenOptions::new();
            let file = options.write(true).create(true).truncate(true).mode(0o600).open(&self.reserve)?;
            let flags = rustix::fs::FallocateFlags::empty();
            match rustix::fs::fallocate(&file, flags, 0, self.held_back().max(1)) {
                // A file system that cannot set space aside: a sparse file would hold nothing back.
                Err(rustix::io::Errno::OPNOTSUPP) => {
                    io::copy(&mut io::Read::take(io::repeat(0), self.held_back()), &mut &file)?;
                    file.sync_all()
                }
                other => Ok(other?),
            }
        };
        match make() {
            Ok(()) => true,
            Err(e) => {
                tracing::warn!(error = %e, "the reserve of disk space does not fit");
                // What was made of it, if anything, holds nothing back.
                let _ = std::fs::remove_file(&self.reserve);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn the_reserve_is_released_below_the_mark_and_made_again_above_it() {
        let dir = tempfile::tempdir().unwrap();
        let free = Arc::new(AtomicU64::new(2_000));
        let measured = Arc::clone(&free);
        let mut space = Space::new(dir.path(), 1_600, Box::new(move || Ok(measured.load(Ordering::Relaxed))));
        let reserve = dir.path().join("reserve");
        assert_eq!(space.look().unwrap(), None);
        assert_eq!(reserve.metadata().unwrap().len(), 100);
        free.store(1_599, Ordering::Relaxed);
        assert_eq!(space.look().unwrap(), Some(Trouble::Disk { free: 1_599, need: 1_700 }));
        assert!(!reserve.exists());
        // What the reserve itself gave back does not end it.
        free.store(1_699, Ordering::Relaxed);
        assert!(space.look().unwrap().is_some());
        free.store(1_700, Ordering::Relaxed);
        assert_eq!(space.look().unwrap(), None);
        assert!(reserve.exists());
        let mut off = Space::new(dir.path(), 0, Box::new(|| Ok(0)));
        assert_eq!(off.look().unwrap(), None);
        let mut broken = Space::new(dir.path(), 1, Box::new(|| Err(io::Error::other("EIO"))));
        assert!(broken.look().is_err());
    }

    #[test]
    fn a_real_file_system_is_measured() {
        let dir = tempfile::tempdir().unwrap();
        let free = free_at(dir.path()).unwrap();
        assert!(free > 0);
        let mut space = Space::new(dir.path(), u64::MAX, Box::new(move || Ok(free)));
        assert!(space.look().unwrap().is_some(), "more than any disk has");
    }
}
