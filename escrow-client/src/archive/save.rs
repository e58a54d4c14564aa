//! Writing out the attachments of released items.

use super::attachment::{AttachmentError, open_attachment};
use super::content::{AttachmentRef, Content};
use super::open::{OpenOptions, open_item};
use super::private::{FileError, fault};
use escrow_core::deal::About;
use escrow_core::{Digest, ThreadKey, Timestamp, Token};
use std::collections::HashSet;
use std::path::Path;
use tempfile::NamedTempFile;

/// What became of the attachments of released items.
#[derive(Debug, Default)]
pub struct SavedAttachments {
    /// Files written; one that several lines name is written once.
    pub saved: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Those that no item gave.
    pub lost: Vec<LostAttachment>,
}

/// An attachment that a line names and that does not open.
#[derive(Debug)]
pub struct LostAttachment {
    /// The thread of the item.
    pub thread: Token,
    /// Start of the item's window.
    pub from: Timestamp,
    /// The first line of the item that names it, by its number when it was sealed.
    pub line: u64,
    /// Its SHA-256 by that line.
    pub sha256: Digest,
    /// Why it does not open.
    pub error: AttachmentError,
}

/// Writes each attachment of the released items into `target`, an existing folder, under the hex of
/// its SHA-256: names of senders may be anything. Each gets its name after it was verified.
///
/// Memory holds one segment at a time. Items that do not open are passed over, because
/// [`super::open_segments`] reports them. `progress` hears items done and items in all.
///
/// # Errors
/// [`FileError`] about `target`; complete files may then be in it.
pub fn save_attachments<'k>(
    options: &OpenOptions<'_>,
    released: impl IntoIterator<Item = (&'k About, &'k ThreadKey)>,
    target: &Path,
    progress: &dyn Fn(u64, u64),
) -> Result<SavedAttachments, FileError> {
    let released: Vec<_> = released.into_iter().collect();
    let mut report = SavedAttachments::default();
    let mut saved = HashSet::new();
    for (n, (about, key)) in (1u64..).zip(&released) {
        let mut tried = HashSet::new();
        let records = open_item(options, about, key).map(|s| s.records).unwrap_or_default();
        for record in &records {
            // The line was parsed when its segment was opened.
            let Ok(message) = record.message() else { continue };
            for attachment in Content::read(&message).0.kind.attachments() {
                let sha256 = attachment.sha256;
                if saved.contains(&sha256) || !tried.insert((sha256, attachment.size)) {
                    continue;
                }
                match save(options.dir, (about, key), attachment, target)? {
                    Ok(()) => {
                        saved.insert(sha256);
                        report.saved += 1;
                        report.bytes += attachment.size;
                    }
                    Err(error) => {
                        let (thread, from, line) = (about.thread, about.from, record.line);
                        report.lost.push(LostAttachment { thread, from, line, sha256, error });
                    }
                }
            }
        }
        progress(n, released.len() as u64);
    }
    // Another item may have given it.
    report.lost.retain(|l| !saved.contains(&l.sha256));
    Ok(report)
}

/// The outer error is about the target and ends everything; the inner one is about this attachment.
fn save(
    dir: &Path,
    (about, key): (&About, &ThreadKey),
    attachment: &AttachmentRef,
    target: &Path,
) -> Result<Result<(), AttachmentError>, FileError> {
    let mut file = NamedTempFile::new_in(target).map_err(fault("make a file in", target))?;
    match open_attachment(dir, key, about, attachment, file.as_file_mut()) {
        Err(AttachmentError::Write(e)) => return Err(fault("write", target)(e)),
        Err(e) => return Ok(Err(e)),
        Ok(()) => {}
    }
    let path = target.join(attachment.sha256.to_string());
    file.as_file().sync_all().map_err(fault("write", &path))?;
    file.persist_noclobber(&path).map_err(|e| fault("write", &path)(e.error))?;
    Ok(Ok(()))
}
