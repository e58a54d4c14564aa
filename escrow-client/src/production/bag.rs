//! The package of a production: a BagIt bag (RFC 8493), written file by file into a hidden folder and
//! renamed at the end. It holds messages in clear: folders 0700, files 0600.

use super::ProductionError;
use crate::archive::FileError;
use md5::Md5;
use sha2::{Digest as _, Sha256, Sha512};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

fn fault(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    move |source| FileError { verb, path: path.to_owned(), source }
}

/// Digests and length of one written file.
#[derive(Clone, Debug)]
pub(super) struct Sums {
    pub(super) bytes: u64,
    pub(super) md5: String,
    pub(super) sha256: String,
    pub(super) sha512: String,
}

pub(super) struct Bag {
    target: PathBuf,
    temp: TempDir,
    payload: BTreeMap<String, Sums>,
}

impl Bag {
    /// Starts a bag that will lie at `target`, where nothing or an empty folder is now.
    pub(super) fn begin(target: &Path) -> Result<Self, ProductionError> {
        let vacant = match fs::read_dir(target) {
            Ok(mut items) => items.next().is_none(),
            Err(e) => e.kind() == io::ErrorKind::NotFound,
        };
        if !vacant {
            return Err(ProductionError::Occupied(target.to_owned()));
        }
        let parent = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        builder.prefix(".production-");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
        let temp = builder.tempdir_in(parent).map_err(fault("make a folder in", parent))?;
        Ok(Self { target: target.to_owned(), temp, payload: BTreeMap::new() })
    }

    /// A file of nobody's, for what must be put together before it is written; gone when dropped.
    pub(super) fn scratch(&self) -> Result<File, ProductionError> {
        let dir = self.temp.path();
        Ok(tempfile::tempfile_in(dir).map_err(fault("make a file in", dir))?)
    }

    /// Writes one payload file; `path` is relative to `data/`, with `/`.
    pub(super) fn file(
        &mut self,
        path: &str,
        write: impl FnOnce(&mut dyn Write) -> Result<(), ProductionError>,
    ) -> Result<Sums, ProductionError> {
        let path = format!("data/{path}");
        let (mut out, at) = self.create(&path)?;
        write(&mut out)?;
        let sums = out.finish().map_err(fault("write", &at))?;
        self.payload.insert(path, sums.clone());
        Ok(sums)
    }

    /// Opens a payload file that grows over a while; hand it back with [`Bag::close`].
    pub(super) fn open(&self, path: &str) -> Result<Open, ProductionError> {
        let path = format!("data/{path}");
        let (out, at) = self.create(&path)?;
        Ok(Open { path, at, out })
    }

    pub(super) fn close(&mut self, open: Open) -> Result<Sums, ProductionError> {
        let sums = open.out.finish().map_err(fault("write", &open.at))?;
        self.payload.insert(open.path, sums.clone());
        Ok(sums)
    }

    /// Whether a payload file was written.
    pub(super) fn has(&self, path: &str) -> bool {
        self.payload.contains_key(&format!("data/{path}"))
    }

    fn create(&self, path: &str) -> Result<(Summing, PathBuf), ProductionError> {
        let at = self.temp.path().join(path);
        if let Some(dir) = at.parent() {
            fs::create_dir_all(dir).map_err(fault("make", dir))?;
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&at).map_err(fault("create", &at))?;
        Ok((Summing::new(file), at))
    }

    /// Adds `bag-info.txt` (the lines given and the payload's size) and the manifests, and renames
    /// the bag into its place.
    pub(super) fn finish(self, info: &str) -> Result<BTreeMap<String, Sums>, ProductionError> {
        let octets: u64 = self.payload.values().map(|s| s.bytes).sum();
        let info = format!("{info}Payload-Oxum: {octets}.{}\n", self.payload.len());
        let listing = |of: &dyn Fn(&Sums) -> &str, files: &BTreeMap<String, Sums>| {
            files.iter().fold(String::new(), |mut out, (path, sums)| {
                let _ = writeln!(out, "{}  {path}", of(sums));
                out
            })
        };
        let mut tags = BTreeMap::new();
        for (name, text) in [
            ("bagit.txt", escrow_audit::bagit::DECLARATION_TEXT.to_owned()),
            ("bag-info.txt", info),
            ("manifest-md5.txt", listing(&|s| &s.md5, &self.payload)),
            ("manifest-sha256.txt", listing(&|s| &s.sha256, &self.payload)),
            ("manifest-sha512.txt", listing(&|s| &s.sha512, &self.payload)),
        ] {
            tags.insert(name.to_owned(), self.tag(name, &text)?);
        }
        self.tag("tagmanifest-sha256.txt", &listing(&|s| &s.sha256, &tags))?;
        self.tag("tagmanifest-sha512.txt", &listing(&|s| &s.sha512, &tags))?;
        let data = self.temp.path().join("data");
        fs::create_dir_all(&data).map_err(fault("make", &data))?;
        fs::rename(self.temp.path(), &self.target).map_err(fault("make", &self.target))?;
        let _ = self.temp.keep();
        Ok(self.payload)
    }

    fn tag(&self, name: &str, text: &str) -> Result<Sums, ProductionError> {
        let (mut out, at) = self.create(name)?;
        out.write_all(text.as_bytes()).map_err(fault("write", &at))?;
        Ok(out.finish().map_err(fault("write", &at))?)
    }
}

/// A payload file that is being written.
pub(super) struct Open {
    path: String,
    at: PathBuf,
    out: Summing,
}

impl Open {
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), ProductionError> {
        Ok(self.out.write_all(bytes).map_err(fault("write", &self.at))?)
    }
}

/// A file that is hashed on its way to the disk.
struct Summing {
    out: BufWriter<File>,
    bytes: u64,
    md5: Md5,
    sha256: Sha256,
    sha512: Sha512,
}

impl Summing {
    fn new(file: File) -> Self {
        let out = BufWriter::with_capacity(64 * 1024, file);
        Self { out, bytes: 0, md5: Md5::new(), sha256: Sha256::new(), sha512: Sha512::new() }
    }

    fn finish(self) -> io::Result<Sums> {
        self.out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        Ok(Sums {
            bytes: self.bytes,
            md5: hex::encode(self.md5.finalize()),
            sha256: hex::encode(self.sha256.finalize()),
            sha512: hex::encode(self.sha512.finalize()),
        })
    }
}

impl Write for Summing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write_all(bytes)?;
        self.bytes += bytes.len() as u64;
        self.md5.update(bytes);
        self.sha256.update(bytes);
        self.sha512.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
