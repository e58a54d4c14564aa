//! A bundle as a folder: read with bounds, written without overwriting.

use crate::bagit;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// Most files in a bundle.
pub const FILES_MAX: usize = 200_000;
/// Largest file, bytes.
pub const FILE_MAX: u64 = 64 * 1024 * 1024;
/// Deepest folder below the bundle's own.
const DEPTH_MAX: usize = 4;

/// Why a folder cannot be read or written as a bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The operating system said no.
    #[error("{0}: {1}")]
    Io(PathBuf, #[source] io::Error),
    /// A symbolic link, device or socket: a bundle holds plain files only.
    #[error("{0}: not a plain file or folder")]
    NotPlain(PathBuf),
    /// A name that no bundle may have.
    #[error("{0}: not a path that a bundle may have")]
    Path(PathBuf),
    /// A file beyond [`FILE_MAX`].
    #[error("{0}: larger than {FILE_MAX} bytes")]
    TooLarge(PathBuf),
    /// More than [`FILES_MAX`] files.
    #[error("more than {FILES_MAX} files")]
    TooMany,
}

/// The files of a bundle by path, with `/` between parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bundle {
    /// The files.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Bundle {
    /// Reads a folder. Nothing outside it is ever opened: links are refused, not followed.
    ///
    /// # Errors
    /// [`BundleError`]; report it as MALFORMED ([`crate::finding::Report::unreadable`]).
    pub fn read_dir(root: &Path) -> Result<Self, BundleError> {
        let mut bundle = Self::default();
        let mut folders = vec![(root.to_owned(), String::new(), 0)];
        while let Some((folder, prefix, depth)) = folders.pop() {
            let io = |e| BundleError::Io(folder.clone(), e);
            for item in fs::read_dir(&folder).map_err(io)? {
                let item = item.map_err(io)?;
                let at = item.path();
                let name = item.file_name();
                let name = name.to_str().ok_or_else(|| BundleError::Path(at.clone()))?;
                let path = format!("{prefix}{name}");
                if !bagit::path_allowed(&path) || depth > DEPTH_MAX {
                    return Err(BundleError::Path(at));
                }
                // Of the name itself, not of what a link points to.
                let kind = item.file_type().map_err(io)?;
                if kind.is_dir() {
                    folders.push((at, format!("{path}/"), depth + 1));
                } else if kind.is_file() {
                    if bundle.files.len() >= FILES_MAX {
                        return Err(BundleError::TooMany);
                    }
                    bundle.files.insert(path, read_bounded(&at)?);
                } else {
                    return Err(BundleError::NotPlain(at));
                }
            }
        }
        Ok(bundle)
    }

    /// Writes the files into a new folder.
    ///
    /// # Errors
    /// [`BundleError`]; the folder must not exist, and nothing is ever overwritten.
    pub fn write_dir(&self, root: &Path) -> Result<(), BundleError> {
        if let Some(bad) = self.files.keys().find(|p| !bagit::path_allowed(p)) {
            return Err(BundleError::Path(bad.into()));
        }
        fs::create_dir(root).map_err(|e| BundleError::Io(root.to_owned(), e))?;
        for (path, bytes) in &self.files {
            let at = root.join(path);
            let io = |e| BundleError::Io(at.clone(), e);
            if let Some(folder) = at.parent() {
                fs::create_dir_all(folder).map_err(io)?;
            }
            let mut file = fs::OpenOptions::new().write(true).create_new(true).open(&at).map_err(io)?;
            file.write_all(bytes).and_then(|()| file.sync_all()).map_err(io)?;
        }
        Ok(())
    }
}

/// Reads at most [`FILE_MAX`] bytes, whatever the size that the file system claims.
fn read_bounded(at: &Path) -> Result<Vec<u8>, BundleError> {
    let io = |e| BundleError::Io(at.to_owned(), e);
    let mut bytes = Vec::new();
    fs::File::open(at).map_err(io)?.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(BundleError::TooLarge(at.to_owned()));
    }
    Ok(bytes)
}
