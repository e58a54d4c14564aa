//! Files that only their owner may read (mode 0600), replaced as a whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// A local file or folder that does not do what it should: the machine's fault or its owner's.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} {}: {source}; check that the path exists, is yours, and has room", path.display())]
pub struct FileError {
    /// What was tried.
    pub verb: &'static str,
    /// On what.
    pub path: PathBuf,
    /// What the system says.
    pub source: io::Error,
}

/// Turns an I/O error into one that names the file.
pub(super) fn fault(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    move |source| FileError { verb, path: path.to_owned(), source }
}

/// The folder a path lies in; `.` for a bare name.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes a new file with mode 0600 and renames it over `path`; after a crash one of the two is there.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let dir = parent(path);
    let write = || {
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        sync_dir(dir)
    };
    write().map_err(fault("write", path))
}

/// Appends to a file of mode 0600; it must not exist yet when `new`.
pub(super) fn append(path: &Path, bytes: &[u8], new: bool, last: bool) -> Result<(), FileError> {
    let mut options = OpenOptions::new();
    options.append(true).create_new(new);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let write = || {
        let mut file = options.open(path)?;
        file.write_all(bytes)?;
        if last { file.sync_all() } else { Ok(()) }
    };
    write().map_err(fault("write", path))
}

/// Makes renames in a folder durable.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
}

/// Reads a file of at most `max` bytes; none if it does not exist.
pub(super) fn read(path: &Path, max: u64) -> Result<Option<Vec<u8>>, FileError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(fault("open", path)(e)),
    };
    let mut bytes = Vec::new();
    file.take(max.saturating_add(1)).read_to_end(&mut bytes).map_err(fault("read", path))?;
    if bytes.len() as u64 > max {
        return Err(fault("read", path)(io::Error::new(io::ErrorKind::FileTooLarge, format!("above {max} bytes"))));
    }
    Ok(Some(bytes))
}

/// Holds `<path>.lock` until dropped, so that two processes do not undo each other's changes.
pub(super) fn lock(path: &Path) -> Result<File, FileError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let path = PathBuf::from(name);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&path).map_err(fault("open", &path))?;
    file.lock().map_err(fault("lock", &path))?;
    Ok(file)
}

/// True if nothing is there, or an empty folder.
pub(super) fn vacant(dir: &Path) -> Result<bool, FileError> {
    match fs::read_dir(dir) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(e) => Err(fault("look into", dir)(e)),
    }
}
