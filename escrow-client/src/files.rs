//! Local files, read with a limit and replaced as a whole.

use crate::archive::FileError;
use serde::Serialize;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

fn fault(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    move |source| FileError { verb, path: path.to_owned(), source }
}

/// Reads a file of at most `max` bytes.
pub(crate) fn read(path: &Path, max: u64) -> Result<Vec<u8>, FileError> {
    let file = File::open(path).map_err(fault("open", path))?;
    let mut bytes = Vec::new();
    file.take(max.saturating_add(1)).read_to_end(&mut bytes).map_err(fault("read", path))?;
    if bytes.len() as u64 > max {
        return Err(fault("read", path)(io::Error::new(io::ErrorKind::FileTooLarge, format!("above {max} bytes"))));
    }
    Ok(bytes)
}

/// Writes bytes to a new file with mode 0600 and renames it over `path`.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || {
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|e| e.error)?;
        if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
    };
    write().map_err(fault("write", path))
}

/// The same for a value as JSON.
pub(crate) fn replace_json<T: Serialize>(path: &Path, value: &T) -> Result<(), FileError> {
    let mut json = serde_json::to_vec_pretty(value).map_err(|e| fault("write", path)(e.into()))?;
    json.push(b'\n');
    replace(path, &json)
}
