//! `escrow certificate`: a draft for counsel about an evidence bundle, after verifying it.

use super::verify::{self, Verified};
use crate::failure::Failure;
use crate::help::examples;
use crate::output::Shown;
use clap::{Args, Subcommand};
use escrow_audit::bundle;
use escrow_audit::report::certificate;
use escrow_audit::report::verification::Made;
use escrow_core::Digest;
use std::path::PathBuf;

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Draft a certification under Fed. R. Evid. 902(13) and 902(14)
    #[command(
        before_help = examples![
            "escrow certificate draft ./bundle --charter-digest $GENESIS",
            "escrow certificate draft ./bundle --charter-digest $GENESIS --out certificate.md",
        ],
        after_help = "It is a draft for counsel. Declarant, qualification, date and signature stay blank."
    )]
    Draft(Draft),
}

/// Arguments of `certificate draft`.
#[derive(Debug, Args)]
pub struct Draft {
    /// The bundle's folder
    pub bundle: PathBuf,
    /// Digest of the genesis charter, from somebody you trust
    #[arg(long, value_name = "DIGEST")]
    pub charter_digest: Digest,
    /// Write the draft to a new file instead of printing it
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Runs `certificate`.
///
/// # Errors
/// [`Failure`] if the draft cannot be written.
pub fn run(command: &Command) -> Result<Shown, Failure> {
    let Command::Draft(a) = command;
    let Verified { folder, index, report } = match verify::verified(&a.bundle, &a.charter_digest) {
        Ok(verified) => verified,
        Err(answer) => return Ok(answer),
    };
    let made = Made { bundle: bundle::digest(&folder), tool: verify::TOOL };
    let text = certificate::filled(&folder, &index, &report, made);
    let shown = Shown::new("escrow.certificate.draft.v1")
        .data("verdict", &report.verdict)
        .data("bundle_digest", &made.bundle)
        .exit(verify::exit_of(report.verdict));
    Ok(match &a.out {
        Some(path) => {
            verify::write_new(path, &text)?;
            shown
                .text(format!("{}: the draft is in {}.", report.verdict, path.display()))
                .with("draft", path.display().to_string())
        }
        None => shown.text(text.clone()).with("draft", text),
    })
}
