//! `escrow verify`: an evidence bundle, offline, against nothing but a pinned charter digest.

use crate::failure::{Exit, Failure};
use crate::output::Shown;
use clap::Args;
use escrow_audit::bundle::Bundle;
use escrow_audit::finding::{Class, Report};
use escrow_audit::verify::{Options, verify_with};
use escrow_core::Digest;
use std::path::PathBuf;

/// Arguments of `verify`.
#[derive(Debug, Args)]
#[command(after_help = "Example: escrow verify ./bundle --charter-digest 3f1c...\n\
The digest is the only thing that is trusted: take it from somebody you trust, not from the bundle.")]
pub struct Verify {
    /// The bundle's folder
    pub bundle: PathBuf,
    /// Digest of the genesis charter
    #[arg(long, value_name = "DIGEST")]
    pub charter_digest: Digest,
    /// Leave the policies unevaluated; the record is still checked in full
    #[arg(long)]
    pub no_policy_replay: bool,
}

/// Runs `verify`.
///
/// # Errors
/// None: whatever is found stands in the report.
pub fn run(a: &Verify) -> Result<Shown, Failure> {
    let report = match Bundle::read_dir(&a.bundle) {
        Ok(bundle) => verify_with(&bundle.files, &a.charter_digest, Options { policy_replay: !a.no_policy_replay }),
        Err(e) => Report::unreadable(&a.charter_digest, e.to_string()),
    };
    Ok(show(&report))
}

/// A report for people and machines.
pub fn show(report: &Report) -> Shown {
    let opt = |v: Option<String>| v.unwrap_or_default();
    let findings = report.findings.iter().map(|f| {
        let seat = opt(f.seat.map(|s| s.to_string()));
        vec![
            f.class.to_string(),
            f.file.clone(),
            seat,
            opt(f.entry.map(|e| e.to_string())),
            f.rule.clone(),
            f.detail.clone(),
        ]
    });
    let layers = report.layers.iter().map(|l| {
        let done = if l.done { "done".to_owned() } else { format!("not done: {}", l.why) };
        vec![l.name.to_owned(), done]
    });
    let logs = report.logs.iter().map(|l| {
        let fork = match l.fork_bound {
            0 => "a fork is not excluded".to_owned(),
            n => format!("no fork by up to {n} colluding node(s)"),
        };
        vec![l.seat.to_string(), l.origin.clone(), l.size.to_string(), l.views.to_string(), fork]
    });
    let releases = report
        .releases
        .iter()
        .map(|r| vec![r.request.short(), r.seat.to_string(), r.seq.to_string(), r.at.to_string(), r.recipient.short()]);
    let c = &report.counts;
    let mut shown = Shown::new(report.schema).text(format!("{} (charter {})", report.verdict, report.charter.short()));
    if !report.findings.is_empty() {
        shown = shown.table(&["class", "file", "node", "entry", "rule", "found"], findings.collect());
    }
    let mut shown = shown.table(&["layer", "state"], layers.collect());
    if !report.logs.is_empty() {
        shown = shown.table(&["node", "log", "entries", "views", "means"], logs.collect());
    }
    if !report.releases.is_empty() {
        shown = shown.table(&["request", "node", "entry", "at", "recipient key"], releases.collect());
    }
    shown = shown.text(format!(
        "{} files, {} entries, {} statements, {} charters, {} requests, {} deliveries, {} restrictions.",
        c.files, c.entries, c.statements, c.charters, c.requests, c.delivered, c.restrictions
    ));
    if let Ok(serde_json::Value::Object(members)) = serde_json::to_value(report) {
        for (name, value) in members {
            if name != "schema" {
                shown = shown.with(&name, value);
            }
        }
    }
    shown.exit(exit_of(report.verdict))
}

/// The exit code of a class of finding.
pub const fn exit_of(class: Class) -> Exit {
    match class {
        Class::Ok => Exit::Ok,
        Class::Malformed => Exit::Usage,
        Class::Tampered | Class::Misbehaviour | Class::Violation => Exit::Verification,
        Class::Incomplete => Exit::Partial,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_and_the_command_agree_on_exit_codes() {
        for class in
            [Class::Ok, Class::Incomplete, Class::Violation, Class::Misbehaviour, Class::Tampered, Class::Malformed]
        {
            assert_eq!(exit_of(class) as u8, class.exit_code());
        }
    }

    #[test]
    fn what_is_no_bundle_is_malformed() {
        let dir = tempfile::tempdir().unwrap();
        let args = Verify { bundle: dir.path().join("none"), charter_digest: Digest([1; 32]), no_policy_replay: true };
        let shown = run(&args).unwrap();
        assert_eq!(shown.exit, Exit::Usage);
        assert!(shown.human(false).starts_with("MALFORMED"));
    }
}
