//! `escrow report`: reports from an evidence bundle, offline, after verifying it.

use super::verify::{self, Verified};
use crate::failure::Failure;
use crate::help::examples;
use crate::output::Shown;
use clap::{Args, Subcommand};
use escrow_audit::bundle::Variant;
use escrow_audit::finding::{Class, Report};
use escrow_audit::report::custody::{Actor, Custody};
use escrow_core::Digest;
use std::path::PathBuf;

/// What to report.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Who did what when with what was released, and where it is on record
    #[command(before_help = examples![
        "escrow report custody ./bundle --charter-digest $GENESIS",
        "escrow report custody ./bundle --charter-digest $GENESIS --html custody.html",
    ])]
    Custody(OfCustody),
}

/// Arguments of `report custody`.
#[derive(Debug, Args)]
pub struct OfCustody {
    /// The bundle's folder
    pub bundle: PathBuf,
    /// Digest of the genesis charter, from somebody you trust
    #[arg(long, value_name = "DIGEST")]
    pub charter_digest: Digest,
    /// Write the report as one printable page, to a new file
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// Runs `report`.
///
/// # Errors
/// [`Failure`].
pub fn run(command: &Command) -> Result<Shown, Failure> {
    match command {
        Command::Custody(a) => custody(a),
    }
}

fn custody(a: &OfCustody) -> Result<Shown, Failure> {
    let Verified { folder, index, report } = match verify::verified(&a.bundle, &a.charter_digest) {
        Ok(verified) => verified,
        Err(answer) => return Ok(answer),
    };
    if index.variant == Variant::NoContent {
        return Err(Failure::usage("this bundle holds no content: who did what is not in it; ask for the full bundle"));
    }
    let custody = Custody::of(&folder, &index);
    let mut shown = summary(&custody, &report);
    if let Some(path) = &a.html {
        verify::write_new(path, &custody.to_html())?;
        shown = shown.text(format!("The printable report is in {}.", path.display()));
    }
    Ok(shown)
}

fn summary(custody: &Custody, report: &Report) -> Shown {
    let mut rows = Vec::new();
    for case in &custody.cases {
        for r in &case.released {
            let p = &r.position;
            let on = format!("{}/{} #{}", p.seat, p.log, p.seq);
            let whom = name(&case.recipient);
            rows.push(vec![case.request.short(), p.at.to_string(), name(&r.by), whom, r.reply.short(), on]);
        }
    }
    let events: usize = custody.cases.iter().map(|c| c.events.len()).sum();
    let mut shown = Shown::new(custody.schema)
        .text(format!("{} (charter {})", report.verdict, report.charter.short()))
        .table(&["request", "released at", "by", "received by", "reply", "on record"], rows)
        .text(format!("{} requests, {events} acts on record about them.", custody.cases.len()));
    if report.verdict != Class::Ok {
        shown = shown.text(format!("{} findings; `escrow verify` lists them.", report.findings.len()));
    }
    if let Ok(serde_json::Value::Object(members)) = serde_json::to_value(custody) {
        for (name, value) in members.into_iter().filter(|(name, _)| name != "schema") {
            shown = shown.with(&name, value);
        }
    }
    shown.data("verdict", &report.verdict).exit(verify::exit_of(report.verdict))
}

fn name(actor: &Actor) -> String {
    match actor {
        Actor::Person { id, name, .. } => name.clone().unwrap_or_else(|| id.to_string()),
        Actor::Device { key, .. } => format!("device {key}"),
        Actor::Node { seat, .. } => format!("node {seat}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Exit;

    #[test]
    fn what_is_no_bundle_makes_no_report() {
        let dir = tempfile::tempdir().unwrap();
        let html = dir.path().join("x.html");
        let args =
            OfCustody { bundle: dir.path().join("none"), charter_digest: Digest([1; 32]), html: Some(html.clone()) };
        assert_eq!(custody(&args).unwrap().exit, Exit::Usage);
        assert!(!html.exists());
    }
}
