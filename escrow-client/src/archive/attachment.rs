//! One sealed attachment: a file that lines of one segment name, under a key derived from the segment's.
//!
//! ```text
//! magic     7 bytes  "ESCATT\0"
//! version   1 byte   1
//! salt      32 bytes random
//! chunks    each of 65 536 bytes of clear text, the last of 0 to 65 536, and its tag (16)
//! ```
//!
//! * `PRK = HKDF-Extract(salt = none, ikm = thread key)`, as for the segment.
//! * `I(what) = L("escrow/v1/attachment", what, thread token as text, era, epoch, from, to, SHA-256 of the clear file)`
//! * `key = HKDF-Expand(PRK, I("key") || salt with its length, 32)`
//! * `name = HKDF-Expand(PRK, I("name"), 32)` in hex; the file is `attachments/<name>.att`.
//! * chunk `i` (from 0), AES-256-GCM, no associated data, nonce: 7 zero bytes, `i` (u32), 1 for the
//!   last chunk and 0 for others (STREAM of Hoang, Reyhanitabar, Rogaway, Vizár, 2015). Only an empty
//!   file has an empty chunk.
//!
//! Each sealing draws a new salt, so no key ever seals two files, whatever the clear file did
//! meanwhile. No key commitment is needed: the line, which the segment commits to, names the SHA-256.

use super::content::AttachmentRef;
use super::private::{FileError, fault};
use aead_stream::{DecryptorBE32, EncryptorBE32};
use aes_gcm::Aes256Gcm;
use escrow_core::deal::About;
use escrow_core::label::{Labelled, labels};
use escrow_core::{Digest, ThreadKey, Timestamp, random};
use hkdf::Hkdf;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Folder of the sealed attachments, in the archive's.
pub(super) const FOLDER: &str = "attachments";
pub(super) const HEADER: usize = MAGIC.len() + 1 + SALT;
pub(super) const SEALED_CHUNK: usize = CHUNK + TAG;
pub(super) const TAG: usize = 16;

const MAGIC: &[u8; 7] = b"ESCATT\0";
const VERSION: u8 = 1;
const SALT: usize = 32;
const CHUNK: usize = 64 * 1024;

/// Why an attachment does not open. What was written of it until then is not to be used.
#[derive(Debug, thiserror::Error)]
pub enum AttachmentError {
    /// It was never sealed, or the folder is not complete.
    #[error("{} is not in the archive's folder: it was not there when the messages were sealed, or its keeper lost it", .0.display())]
    Missing(PathBuf),
    /// Cut or extended, or the line states another size than its file had.
    #[error(
        "the sealed file is {found} bytes long and not {expected}: cut, extended, or not what the line names; ask its keeper for the file again"
    )]
    Length {
        /// Bytes that the size in the line makes.
        expected: u64,
        /// Bytes there.
        found: u64,
    },
    /// Another file format.
    #[error("not a sealed attachment; ask its keeper for the file again")]
    NotAnAttachment,
    /// A later or unknown version.
    #[error("attachment format {0} is not known here; use a version of this program that knows it")]
    Version(u8),
    /// A chunk altered, moved, or under another key.
    #[error("chunk {0} does not open: altered, moved, or sealed under another key; ask its keeper for the file again")]
    Chunk(u64),
    /// It opens, and is not the file that the line names.
    #[error("it opens to another file than the line names; the depositor sealed it wrongly")]
    Digest,
    /// The archive's side.
    #[error("{0}")]
    File(#[from] FileError),
    /// The side written to.
    #[error("cannot write the attachment: {0}; see that there is room")]
    Write(io::Error),
}

/// Opens one attachment of an opened segment, in bounded memory.
///
/// `key` and `about` are those of the item whose segment holds the line. Bytes reach `out` before
/// the whole is verified, so **on an error nothing that was written may be used**: write to a
/// temporary file and give it its name afterwards. On success they have the size and SHA-256 of the line.
///
/// # Errors
/// [`AttachmentError`].
pub fn open_attachment(
    dir: &Path,
    key: &ThreadKey,
    about: &About,
    attachment: &AttachmentRef,
    out: &mut impl Write,
) -> Result<(), AttachmentError> {
    let name = attachment_file(key, about, &attachment.sha256);
    let path = dir.join(&name);
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(AttachmentError::Missing(name)),
        Err(e) => return Err(fault("open", &path)(e).into()),
    };
    let found = file.metadata().map_err(fault("read", &path))?.len();
    let expected = sealed_length(attachment.size);
    if found != expected {
        return Err(AttachmentError::Length { expected, found });
    }
    let mut header = [0; HEADER];
    file.read_exact(&mut header).map_err(fault("read", &path))?;
    let salt = parse_header(&header)?;
    let mut hash = Sha256::new();
    let mut stream = Some(DecryptorBE32::<Aes256Gcm>::new(
        (&*file_key(key, about, &attachment.sha256, salt)).into(),
        &Default::default(),
    ));
    let mut buffer = buffer();
    let chunks = chunks(attachment.size);
    for position in 0..chunks {
        fill(&mut file, &mut buffer, SEALED_CHUNK).map_err(fault("read", &path))?;
        let opened = match (&mut stream, position + 1 == chunks) {
            (Some(stream), false) => stream.decrypt_next_in_place(&[], &mut *buffer).is_ok(),
            (stream, _) => stream.take().is_some_and(|s| s.decrypt_last_in_place(&[], &mut *buffer).is_ok()),
        };
        if !opened {
            return Err(AttachmentError::Chunk(position));
        }
        hash.update(&*buffer);
        out.write_all(&buffer).map_err(AttachmentError::Write)?;
    }
    out.flush().map_err(AttachmentError::Write)?;
    if Digest(hash.finalize().into()) == attachment.sha256 { Ok(()) } else { Err(AttachmentError::Digest) }
}

/// Where the sealed attachment lies: who does not have the key cannot make or compare the name.
pub(super) fn attachment_file(key: &ThreadKey, about: &About, clear: &Digest) -> PathBuf {
    let name = expand(key, &info("name", about, clear).finish());
    Path::new(FOLDER).join(format!("{}.att", hex::encode(*name)))
}

/// What was read from the clear file and written to the sealed one.
pub(super) struct Sealed {
    pub(super) clear: Digest,
    pub(super) clear_size: u64,
    pub(super) sealed: Digest,
    pub(super) sealed_size: u64,
}

/// Seals a file as the attachment with the digest `named`; whether it has it the caller has to see.
pub(super) fn seal_attachment(
    key: &ThreadKey,
    about: &About,
    named: &Digest,
    input: &mut impl Read,
    out: &mut impl Write,
) -> io::Result<Sealed> {
    let salt: [u8; SALT] = random::bytes();
    let mut stream =
        EncryptorBE32::<Aes256Gcm>::new((&*file_key(key, about, named, &salt)).into(), &Default::default());
    let (mut clear, mut sealed) = (Sha256::new(), Sha256::new());
    let (mut clear_size, mut sealed_size) = (0u64, 0u64);
    let mut emit = |bytes: &[u8]| {
        sealed.update(bytes);
        sealed_size += bytes.len() as u64;
        out.write_all(bytes)
    };
    emit(MAGIC)?;
    emit(&[VERSION])?;
    emit(&salt)?;
    let (mut this, mut next) = (buffer(), buffer());
    fill(input, &mut this, CHUNK)?;
    // STREAM fails only after 2^32 chunks, and AES-GCM not at this length.
    let full = |_| io::Error::from(io::ErrorKind::FileTooLarge);
    loop {
        clear.update(&*this);
        clear_size += this.len() as u64;
        fill(input, &mut next, CHUNK)?;
        if next.is_empty() {
            stream.encrypt_last_in_place(&[], &mut *this).map_err(full)?;
            emit(&this)?;
            break;
        }
        stream.encrypt_next_in_place(&[], &mut *this).map_err(full)?;
        emit(&this)?;
        std::mem::swap(&mut this, &mut next);
    }
    out.flush()?;
    Ok(Sealed {
        clear: Digest(clear.finalize().into()),
        clear_size,
        sealed: Digest(sealed.finalize().into()),
        sealed_size,
    })
}

/// Holds the length of a sealed file and its first bytes against the format, without a key.
pub(super) fn is_framed(start: &[u8], length: u64) -> bool {
    let header = start.first_chunk::<HEADER>().is_some_and(|h| parse_header(h).is_ok());
    let body = length.saturating_sub(HEADER as u64);
    let last = body % SEALED_CHUNK as u64;
    // An empty last chunk is the only one.
    let whole = last == 0 && body > 0;
    header && (whole || last > TAG as u64 || body == TAG as u64)
}

fn parse_header(header: &[u8; HEADER]) -> Result<&[u8], AttachmentError> {
    let (magic, rest) = header.split_first_chunk::<{ MAGIC.len() }>().ok_or(AttachmentError::NotAnAttachment)?;
    match (magic == MAGIC, rest.split_first()) {
        (true, Some((&VERSION, salt))) => Ok(salt),
        (true, Some((version, _))) => Err(AttachmentError::Version(*version)),
        _ => Err(AttachmentError::NotAnAttachment),
    }
}

fn info(what: &str, about: &About, clear: &Digest) -> Labelled {
    let ms = |t: Timestamp| u64::try_from(t.millis()).unwrap_or_default();
    Labelled::new(labels::ATTACHMENT)
        .bytes(what.as_bytes())
        .bytes(about.thread.to_string().as_bytes())
        .u64(about.era)
        .u64(about.epoch)
        .u64(ms(about.from))
        .u64(ms(about.to))
        .digest(clear)
}

fn file_key(key: &ThreadKey, about: &About, clear: &Digest, salt: &[u8]) -> Zeroizing<[u8; 32]> {
    expand(key, &info("key", about, clear).bytes(salt).finish())
}

fn expand(key: &ThreadKey, info: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut out = Zeroizing::new([0u8; 32]);
    // Expand fails only above 255 * 32 bytes of output (RFC 5869 section 2.3).
    let _ = Hkdf::<Sha256>::new(None, key.expose()).expand(info, out.as_mut_slice());
    out
}

fn chunks(size: u64) -> u64 {
    size.div_ceil(CHUNK as u64).max(1)
}

fn sealed_length(size: u64) -> u64 {
    (HEADER as u64).saturating_add(size).saturating_add(chunks(size).saturating_mul(TAG as u64))
}

/// Room for a chunk and its tag, so that it never grows: growing would leave copies of clear text behind.
fn buffer() -> Zeroizing<Vec<u8>> {
    Zeroizing::new(Vec::with_capacity(SEALED_CHUNK + TAG))
}

fn fill(input: &mut impl Read, buffer: &mut Vec<u8>, most: usize) -> io::Result<()> {
    buffer.clear();
    input.take(most as u64).read_to_end(buffer).map(|_| ())
}

#[cfg(test)]
#[path = "attachment_tests.rs"]
mod tests;
