//! One RSMF file: container, rsmf.zip, manifest, and whether they agree. What cannot be read ends
//! the look at what lies in it, so that one fault is not reported as many.

mod archive;
mod base64;
mod events;
mod headers;
mod mime;
mod schema;

use super::finding::Findings;
use super::json::{self, Json};
use super::limits::Limits;
use super::rules;
use archive::Archive;
use base64::Decoded;
use mime::Container;
use std::fs::File;
use std::io::{BufReader, Read as _};
use time::OffsetDateTime;

/// What the tables of a production may say about a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Summary {
    pub(super) events: u64,
    pub(super) attachments: u64,
    /// Instants of the first and the last event.
    pub(super) span: Option<(OffsetDateTime, OffsetDateTime)>,
}

pub(super) use schema::instant;

/// Checks a file of which `size` bytes were listed; nothing is said of what is in it if its manifest cannot be read.
pub(super) fn check(mut file: File, size: u64, limits: &Limits, out: &mut Findings) -> Option<Summary> {
    if size > limits.file {
        out.add(&rules::FILE_TOO_LARGE, format!("{size} bytes, {} are the most", limits.file));
        return None;
    }
    // What grows while it is read is not read for ever.
    let container = match mime::read(BufReader::new((&mut file).take(size))) {
        Ok(container) => container,
        Err(mime::MimeError::Io(e)) => {
            out.add(&rules::UNREADABLE, e.to_string());
            return None;
        }
        Err(e) => {
            out.add(&rules::MIME, e.to_string());
            return None;
        }
    };
    headers::form(&container, out);
    let (manifest, archive) = open(&mut file, &container, limits, out).unzip();
    headers::version(&container, manifest.as_ref().and_then(|m| m.text("version")), out);
    let (manifest, archive) = (manifest?, archive?);
    if !schema::check(&manifest, out) {
        return None;
    }
    events::check(&manifest, &archive, out);
    headers::agree(&container, &manifest, out);
    Some(summary(&manifest))
}

/// The manifest and what lies around it.
fn open(file: &mut File, container: &Container, limits: &Limits, out: &mut Findings) -> Option<(Json, Archive)> {
    // Of several attachments any may be meant; of one that is not base64 nothing can be read.
    let [attachment] = container.attachments.as_slice() else { return None };
    if !attachment.base64 {
        return None;
    }
    let decoded = match Decoded::new(file, attachment.start, attachment.end) {
        Ok(decoded) => decoded,
        Err(e) => {
            out.add(&rules::ATTACHMENT_BASE64, e.to_string());
            return None;
        }
    };
    let mut archive = archive::read(decoded, limits, out)?;
    let bytes = archive.manifest.take()?;
    let Ok(text) = str::from_utf8(&bytes) else {
        out.add(&rules::MANIFEST_UTF8, "rsmf_manifest.json is not UTF-8");
        return None;
    };
    match json::read(text, limits.values) {
        Ok(manifest) => return Some((manifest, archive)),
        Err(json::Bad::TooMany) => out.add(&rules::MANIFEST_TOO_LARGE, format!("more than {} values", limits.values)),
        Err(json::Bad::Malformed(line, column)) => {
            out.add(&rules::MANIFEST_JSON, format!("no JSON at line {line}, column {column}"));
        }
    }
    None
}

fn summary(manifest: &Json) -> Summary {
    let events = manifest.list("events");
    let times = || events.iter().filter_map(|e| e.text("timestamp")).filter_map(instant);
    Summary {
        events: events.len() as u64,
        attachments: events.iter().map(|e| e.list("attachments").len() as u64).sum(),
        span: times().min().zip(times().max()),
    }
}
