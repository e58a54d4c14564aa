//! `archive verify`: for whoever keeps the files and has no key.

use crate::failure::{Exit, Failure};
use crate::output::{Shown, progress};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

/// Arguments of `archive verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// The archive's folder, or a copy of it
    pub dir: PathBuf,
}

/// Looks at every file once.
///
/// # Errors
/// An index that is not there or cannot be read; all else is shown.
pub(super) fn verify(a: &Verify) -> Result<Shown, Failure> {
    let seen = escrow_client::archive::verify(&a.dir, &*progress("verifying"))?;
    let rows = seen.findings.iter().map(|f| vec![f.file.clone(), f.kind.name().into(), f.rule.clone()]).collect();
    let findings: Vec<_> =
        seen.findings.iter().map(|f| json!({"file": f.file, "finding": f.kind.name(), "rule": f.rule})).collect();
    let what =
        format!("{} segments with {} messages, and {} attachments", seen.segments, seen.messages, seen.attachments);
    let mut shown = Shown::new("escrow.archive.verify.v1")
        .with("segments", seen.segments)
        .with("messages", seen.messages)
        .with("attachments", seen.attachments)
        .with("bytes", seen.bytes)
        .with("findings", findings);
    if seen.holds() {
        return Ok(shown.text(format!("{what}: whole, as far as can be seen without keys.")));
    }
    shown = shown.text(format!("{what} by the index; not as they were sealed:"));
    shown = shown.table(&["file", "finding", "rule"], rows);
    Ok(shown.exit(if seen.altered() { Exit::Verification } else { Exit::Partial }))
}
