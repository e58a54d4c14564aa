//! rsmf.zip: whether every program reads the same files from it, and nothing leaves it.

use crate::production::verify::finding::{Findings, quoted};
use crate::production::verify::folder::plain;
use crate::production::verify::limits::Limits;
use crate::production::verify::rules;
use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};
use zip::{CompressionMethod, ZipArchive};

/// Name of the manifest.
pub(super) const MANIFEST: &str = "rsmf_manifest.json";
/// Signature, length and longest comment of the record that ends an archive (APPNOTE 4.3.16).
const END: (&[u8], u64, u64) = (b"PK\x05\x06", 22, 65_535);
/// Signature and length of the locator before it that a 64-bit archive has (APPNOTE 4.3.15).
const END_64: (&[u8], usize) = (b"PK\x06\x07", 20);

/// What was read of an archive.
#[derive(Debug, Default)]
pub(super) struct Archive {
    /// Every file with its length in bytes as unpacked.
    pub(super) members: BTreeMap<String, u64>,
    /// The manifest, if it is there and not too long.
    pub(super) manifest: Option<Vec<u8>>,
    /// True if some file could not be read, so that what is missing proves nothing.
    pub(super) partial: bool,
}

/// Reads an archive through once; nothing if it cannot be read at all.
pub(super) fn read(mut from: impl Read + Seek, limits: &Limits, out: &mut Findings) -> Option<Archive> {
    match too_many(&mut from, limits) {
        Ok(false) => {}
        Ok(true) => {
            out.add(&rules::ZIP_TOO_MANY, format!("more than {} files, or a 64-bit archive", limits.members));
            return None;
        }
        Err(e) => {
            out.add(&rules::ZIP, e.to_string());
            return None;
        }
    }
    let mut zip = match ZipArchive::new(from) {
        Ok(zip) => zip,
        Err(e) => {
            out.add(&rules::ZIP, e.to_string());
            return None;
        }
    };
    if zip.has_duplicate_names() {
        out.add(&rules::ZIP_TWICE, "two files of rsmf.zip have one name");
    } else if zip.has_overlapping_files().unwrap_or(false) {
        out.add(&rules::ZIP_BOMB, "files of rsmf.zip share their bytes");
        return None;
    } else if let Err(e) = zip.validate_header_consistency() {
        out.add(&rules::ZIP, e.to_string());
        return None;
    }
    let mut archive = Archive::default();
    let mut left = limits.unpacked;
    for index in 0..zip.len() {
        member(&mut zip, index, limits, &mut left, &mut archive, out)?;
    }
    let manifest = archive.members.contains_key(MANIFEST);
    if !manifest && !archive.partial {
        out.add(&rules::MANIFEST_MISSING, format!("there is no {MANIFEST} in rsmf.zip"));
    }
    Some(archive)
}

/// Looks at the end of an archive before a library makes room for every file that it claims to have.
fn too_many(from: &mut (impl Read + Seek), limits: &Limits) -> io::Result<bool> {
    let (signature, length, comment) = END;
    let size = from.seek(SeekFrom::End(0))?;
    let tail = size.min(length + comment + END_64.1 as u64);
    from.seek(SeekFrom::Start(size - tail))?;
    let mut bytes = Vec::new();
    from.take(tail).read_to_end(&mut bytes)?;
    // Any of them may be the one that a reader settles for.
    Ok(bytes.windows(signature.len()).enumerate().filter(|(_, w)| *w == signature).any(|(at, _)| {
        let count = |from: usize| match bytes.get(at + from..at + from + 2) {
            Some([a, b]) => usize::from(u16::from_le_bytes([*a, *b])),
            _ => 0,
        };
        let wide = at.checked_sub(END_64.1).and_then(|at| bytes.get(at..)).is_some_and(|b| b.starts_with(END_64.0));
        wide || count(8).max(count(10)) > limits.members
    }))
}

/// One file of the archive; nothing if the archive is not to be read on.
fn member<R: Read + Seek>(
    zip: &mut ZipArchive<R>,
    index: usize,
    limits: &Limits,
    left: &mut u64,
    archive: &mut Archive,
    out: &mut Findings,
) -> Option<()> {
    let entry = zip.by_index_data(index).ok()?;
    let name = match entry.name() {
        Ok(name) if plain(&name) && !name.contains('\\') && !entry.is_symlink() => name.into_owned(),
        Ok(name) if entry.is_dir() && plain(name.trim_end_matches('/')) => {
            out.add(&rules::ZIP_STRAY, format!("{} is a folder", quoted(&name)));
            return Some(());
        }
        name => {
            let name = name.map_or_else(|e| e.to_string(), |name| quoted(&name));
            out.add(&rules::ZIP_PATH, format!("{name} is no plain file inside rsmf.zip"));
            archive.partial = true;
            return Some(());
        }
    };
    let (encrypted, method, size) = (entry.encrypted(), entry.compression(), entry.size());
    let skipped = if encrypted {
        Some((&rules::ZIP_PASSWORD, "needs a password".to_owned()))
    } else if !matches!(method, CompressionMethod::Stored | CompressionMethod::Deflated) {
        Some((&rules::ZIP_METHOD, format!("is compressed by {method}")))
    } else {
        None
    };
    if let Some((rule, what)) = skipped {
        out.add(rule, format!("{} {what}", quoted(&name)));
        archive.members.insert(name, size);
        archive.partial = true;
        return Some(());
    }
    let manifest = name == MANIFEST;
    let bound = if manifest { limits.manifest.min(*left) } else { *left };
    let mut kept = Vec::new();
    let unpacked = match zip.by_index(index) {
        Ok(file) if manifest => file.take(bound + 1).read_to_end(&mut kept).map(|n| n as u64),
        Ok(file) => io::copy(&mut file.take(bound + 1), &mut io::sink()),
        Err(e) => Err(e.into()),
    };
    match unpacked {
        Ok(n) if n > bound && manifest && bound < *left => {
            out.add(&rules::MANIFEST_TOO_LARGE, format!("longer than {bound} bytes"));
            archive.partial = true;
        }
        Ok(n) if n > bound => {
            out.add(&rules::ZIP_BOMB, format!("unpacks to more than {} bytes", limits.unpacked));
            return None;
        }
        Ok(n) if n != size => {
            out.add(&rules::ZIP, format!("{} has {n} bytes and claims {size}", quoted(&name)));
            archive.partial = true;
        }
        Ok(n) => {
            *left -= n;
            archive.manifest = if manifest { Some(kept) } else { archive.manifest.take() };
        }
        Err(ref e) => {
            out.add(&rules::ZIP, format!("{}: {e}", quoted(&name)));
            archive.partial = true;
        }
    }
    archive.members.insert(name, unpacked.unwrap_or(size));
    Some(())
}
