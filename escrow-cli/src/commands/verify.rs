//! `escrow verify`: an evidence bundle, offline, against nothing but a pinned charter digest.

use crate::failure::{Exit, Failure};
use crate::output::Shown;
use clap::Args;
use escrow_audit::bundle::Bundle;
use escrow_audit::finding::{Class, Report};
use escrow_audit::report::verification::{self, Made};
use escrow_audit::verify::{Options, verify_with};
use escrow_core::Digest;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

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
    /// Write the answer as one printable page, to a new file
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// Runs `verify`.
///
/// # Errors
/// [`Failure`] if the page cannot be written; whatever is found stands in the report.
pub fn run(a: &Verify) -> Result<Shown, Failure> {
    let options = Options { policy_replay: !a.no_policy_replay };
    let (bundle, report) = read(&a.bundle, &a.charter_digest, options);
    let mut shown = show(&report);
    if let Some(path) = &a.html {
        let made = Made { bundle: escrow_audit::bundle::digest(&bundle.files), tool: TOOL };
        write_new(path, &verification::html(&report, made))?;
        shown = shown.text(format!("The printable answer is in {}.", path.display()));
    }
    Ok(shown)
}

/// Name and version of this program, as printed answers name it.
pub(super) const TOOL: &str = concat!("escrow ", env!("CARGO_PKG_VERSION"));

/// The files of a bundle, none if they cannot be read as one, and what verifying them says.
pub(super) fn read(at: &Path, pinned: &Digest, options: Options) -> (Bundle, Report) {
    match Bundle::read_dir(at) {
        Ok(bundle) => {
            let report = verify_with(&bundle.files, pinned, options);
            (bundle, report)
        }
        Err(e) => (Bundle::default(), Report::unreadable(pinned, e.to_string())),
    }
}

/// Writes a page or a draft; nothing is ever overwritten.
pub(super) fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    let written = file.and_then(|mut f| f.write_all(text.as_bytes()).and_then(|()| f.sync_all()));
    written.map_err(|e| Failure::usage(format!("cannot write {}: {e}; name a new file", path.display())))
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
        let html = dir.path().join("answer.html");
        let (bundle, charter_digest) = (dir.path().join("none"), Digest([1; 32]));
        let args = Verify { bundle, charter_digest, no_policy_replay: true, html: Some(html.clone()) };
        let shown = run(&args).unwrap();
        assert_eq!(shown.exit, Exit::Usage);
        assert!(shown.human(false).starts_with("MALFORMED"));
        assert!(std::fs::read_to_string(&html).unwrap().contains("MALFORMED"));
        assert_eq!(run(&args).unwrap_err().exit, Exit::Usage, "a page was overwritten");
    }
}
