//! The files of a production: listed without following a link, read without trusting a path.

use super::finding::{Findings, quoted};
use super::limits::Limits;
use super::rules;
use md5::Md5;
use sha2::{Digest as _, Sha256, Sha512};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Folders in folders.
const DEPTH_MAX: usize = 16;
/// Bytes read at once.
const CHUNK: usize = 256 * 1024;

/// Digests of one file, lower-case hex, and its length in bytes.
#[derive(Clone, Debug)]
pub(super) struct Digests {
    pub(super) size: u64,
    pub(super) md5: String,
    pub(super) sha256: String,
    pub(super) sha512: String,
}

/// The plain files below a folder.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    sizes: BTreeMap<String, u64>,
    digests: BTreeMap<String, Digests>,
}

impl Folder {
    /// Lists a folder; what is no plain file, or has a name that not every system takes, is a finding. Nothing if
    /// the list is not whole: half a production looks like one with faults.
    pub(super) fn open(root: &Path, limits: &Limits, out: &mut Findings) -> Option<Self> {
        let mut folder = Self { root: root.to_owned(), sizes: BTreeMap::new(), digests: BTreeMap::new() };
        match folder.list(limits, out) {
            Ok(true) => Some(folder),
            Ok(false) => {
                out.add(&rules::TOO_MANY_FILES, format!("more than {} files", limits.files));
                None
            }
            Err(e) => {
                out.add(&rules::UNREADABLE, e.to_string());
                None
            }
        }
    }

    /// False if there are more files than the bound.
    fn list(&mut self, limits: &Limits, out: &mut Findings) -> io::Result<bool> {
        let mut folders = vec![(self.root.clone(), String::new(), 0)];
        while let Some((at, prefix, depth)) = folders.pop() {
            let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", at.display()));
            for item in fs::read_dir(&at).map_err(named)? {
                let item = item?;
                let name = item.file_name();
                let path = format!("{prefix}{}", name.to_string_lossy());
                let kind = item.file_type()?;
                if name.to_str().is_none_or(|n| n.contains('\\')) || depth > DEPTH_MAX {
                    out.add(&rules::FILE_NAME, format!("{} has no name that every system takes", quoted(&path)));
                } else if kind.is_dir() {
                    folders.push((item.path(), format!("{path}/"), depth + 1));
                } else if !kind.is_file() {
                    out.add(&rules::FILE_LINK, format!("{} is a link or a device", quoted(&path)));
                } else if self.sizes.len() >= limits.files {
                    return Ok(false);
                } else {
                    self.sizes.insert(path, item.metadata()?.len());
                }
            }
        }
        Ok(true)
    }

    /// Every path with its length in bytes, ascending.
    pub(super) fn files(&self) -> impl Iterator<Item = (&str, u64)> {
        self.sizes.iter().map(|(path, size)| (path.as_str(), *size))
    }

    pub(super) fn contains(&self, path: &str) -> bool {
        self.sizes.contains_key(path)
    }

    pub(super) fn size(&self, path: &str) -> u64 {
        self.sizes.get(path).copied().unwrap_or(0)
    }

    /// Opens a file that was listed.
    pub(super) fn file(&self, path: &str) -> io::Result<File> {
        let at = self.root.join(path);
        if !self.contains(path) || !fs::symlink_metadata(&at)?.is_file() {
            return Err(io::Error::other("no plain file any more"));
        }
        File::open(at)
    }

    /// The bytes of a file of at most `max` bytes.
    pub(super) fn read(&self, path: &str, max: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.file(path)?.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
        match bytes.len() as u64 <= max {
            true => Ok(bytes),
            false => Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("longer than {max} bytes"))),
        }
    }

    /// Digests of a file, read once however many manifests and tables name it.
    pub(super) fn digests(&mut self, path: &str) -> io::Result<Digests> {
        if let Some(known) = self.digests.get(path) {
            return Ok(known.clone());
        }
        let (mut md5, mut sha256, mut sha512) = (Md5::new(), Sha256::new(), Sha512::new());
        let mut from = self.file(path)?;
        let mut buffer = vec![0; CHUNK];
        let mut size = 0;
        loop {
            let n = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            let chunk = buffer.get(..n).unwrap_or_default();
            size += n as u64;
            md5.update(chunk);
            sha256.update(chunk);
            sha512.update(chunk);
        }
        let (md5, sha256) = (hex::encode(md5.finalize()), hex::encode(sha256.finalize()));
        let digests = Digests { size, md5, sha256, sha512: hex::encode(sha512.finalize()) };
        self.digests.insert(path.to_owned(), digests.clone());
        Ok(digests)
    }

    /// The listed file that a table in `table` means: paths are relative to the table, to the production or to
    /// its payload. Backslashes stand for slashes, as load files are made on Windows.
    pub(super) fn named(&self, table: &str, path: &str) -> Option<String> {
        let path = path.replace('\\', "/");
        let path = path.strip_prefix("./").unwrap_or(&path);
        let beside = table.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
        [beside.as_str(), "", "data/"].iter().map(|base| format!("{base}{path}")).find(|p| self.contains(p))
    }
}

/// True for a relative path of plain names, with either separator.
pub(super) fn plain(path: &str) -> bool {
    let part = |p: &str| !p.is_empty() && p != "." && p != "..";
    let path = path.strip_prefix("./").or_else(|| path.strip_prefix(".\\")).unwrap_or(path);
    !path.contains([':', '\0']) && path.split(['/', '\\']).all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        for good in ["a", "a/b.rsmf", "NATIVE\\0001\\a.rsmf", ".\\a", "./a", "a..b"] {
            assert!(plain(good), "{good}");
        }
        for bad in ["", "/a", "\\a", "\\\\host\\share", "a/../b", "..", "..\\a", "C:\\a", "a//b", "a/", "a\0b"] {
            assert!(!plain(bad), "{bad:?}");
        }
    }
}
