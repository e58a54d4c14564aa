//! Why a node ended, for whoever asks after it no longer answers: a poisoned node leaves its reason in the data
//! folder, and the next start takes it away.

use crate::state::State;
use std::io;
use std::path::{Path, PathBuf};

/// Longest reason that is kept, bytes.
const REASON_MAX: usize = 4096;

fn file(data: &Path) -> PathBuf {
    data.join("poisoned.txt")
}

/// Leaves the reason. The disk may be what failed, so nothing depends on it.
///
/// # Errors
/// What the disk says.
pub(crate) fn leave(data: &Path, reason: &str) -> io::Result<()> {
    let cut: String = reason.chars().take(REASON_MAX / 4).collect();
    std::fs::write(file(data), cut)
}

/// Takes the reason of an earlier end away.
pub(crate) fn forget(data: &Path) {
    if let Err(e) = std::fs::remove_file(file(data))
        && e.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(error = %e, "the note about an earlier end cannot be removed; `status` may name it again");
    }
}

/// The state in which the node of a data folder ended, if it ended POISONED and was not started since.
pub fn poisoned(data: &Path) -> Option<State> {
    let text = std::fs::read(file(data)).ok()?;
    let text = text.get(..text.len().min(REASON_MAX)).unwrap_or_default();
    Some(State::Poisoned(String::from_utf8_lossy(text).trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_left_until_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path();
        assert!(poisoned(data).is_none());
        leave(data, "EIO while appending").unwrap();
        assert!(matches!(poisoned(data), Some(State::Poisoned(r)) if r == "EIO while appending"));
        leave(data, &"x".repeat(100_000)).unwrap();
        assert_eq!(poisoned(data).unwrap().reason().len(), REASON_MAX / 4);
        forget(data);
        forget(data);
        assert!(poisoned(data).is_none());
    }
}
