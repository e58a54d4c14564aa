//! A bundle as a folder: read with bounds or file by file, written without overwriting.

use super::Place;
use crate::bagit;
use crate::files::{FILE_MAX, Files};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// Most files in a bundle.
pub const FILES_MAX: usize = 200_000;
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
    /// Reads a folder into memory, entries of any length included; see [`Folder`] for whatever only
    /// verifies. Nothing outside it is ever opened: links are refused, not followed.
    ///
    /// # Errors
    /// [`BundleError`]; report it as MALFORMED ([`crate::finding::Report::unreadable`]).
    pub fn read_dir(root: &Path) -> Result<Self, BundleError> {
        let folder = Folder::open(root)?;
        let mut bundle = Self::default();
        for (path, size) in folder.list() {
            let entries = matches!(Place::of(path), Some(Place::Entries(..)));
            let max = if entries { size } else { FILE_MAX };
            let bytes = folder.read(path, max).map_err(|e| match e.kind() {
                io::ErrorKind::FileTooLarge => BundleError::TooLarge(root.join(path)),
                _ => BundleError::Io(root.join(path), e),
            })?;
            bundle.files.insert(path.to_owned(), bytes.unwrap_or_default());
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

/// A bundle's folder, read file by file as often as needed, none of it kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    root: PathBuf,
    sizes: BTreeMap<String, u64>,
}

impl Folder {
    /// Lists a folder. Links are refused, not followed.
    ///
    /// # Errors
    /// [`BundleError`]; report it as MALFORMED ([`crate::finding::Report::unreadable`]).
    pub fn open(root: &Path) -> Result<Self, BundleError> {
        let mut sizes = BTreeMap::new();
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
                    if sizes.len() >= FILES_MAX {
                        return Err(BundleError::TooMany);
                    }
                    sizes.insert(path, item.metadata().map_err(io)?.len());
                } else {
                    return Err(BundleError::NotPlain(at));
                }
            }
        }
        Ok(Self { root: root.to_owned(), sizes })
    }
}

impl Files for Folder {
    fn list(&self) -> Box<dyn Iterator<Item = (&str, u64)> + '_> {
        Box::new(self.sizes.iter().map(|(path, size)| (path.as_str(), *size)))
    }

    fn size(&self, path: &str) -> Option<u64> {
        self.sizes.get(path).copied()
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn io::Read + '_>> {
        let size = self.size(path).ok_or(io::ErrorKind::NotFound)?;
        let at = self.root.join(path);
        if !fs::symlink_metadata(&at)?.is_file() {
            return Err(io::Error::other("not a plain file any more"));
        }
        // What grows while it is read is not read for ever; the digest says that it changed.
        Ok(Box::new(fs::File::open(at)?.take(size.saturating_add(1))))
    }
}
