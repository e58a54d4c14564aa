//! `escrow export verify`: whether a review platform will take a production as it was meant.

use crate::failure::Exit;
use crate::help::examples;
use crate::output::{Shown, progress};
use clap::Args;
use escrow_client::production::verify::{Report, Verdict, verify};
use std::path::PathBuf;

/// Arguments of `export verify`.
#[derive(Debug, Args)]
#[command(
    before_help = examples![
        "escrow export verify ./production",
        "escrow export verify thread-2026-03-01.rsmf --output json",
    ],
        after_help = "Exit code 0 if nothing was found, 6 if a platform would refuse or misunderstand something, 8 if there are warnings only."
)]
pub struct VerifyArgs {
    /// A bag, a folder with .rsmf and .dat files, or one .rsmf file
    pub production: PathBuf,
}

/// Runs `export verify`; whatever is wrong stands in the report.
pub(super) fn run(a: &VerifyArgs) -> Shown {
    let bar = progress("files");
    show(&verify(&a.production, &|done, total| bar(done, total)))
}

fn show(report: &Report) -> Shown {
    let mut shown = Shown::new(report.schema);
    if !report.findings.is_empty() {
        let rows = report.findings.iter().map(|f| {
            let event = f.event.clone().unwrap_or_default();
            vec![f.file.clone(), event, f.rule.to_owned(), f.what.clone(), f.remedy.to_owned()]
        });
        shown = shown.table(&["file", "event", "rule", "what", "remedy"], rows.collect());
    }
    for (file, more) in &report.left_out {
        let file = if file.is_empty() { "the production" } else { file };
        shown = shown.text(format!("{} more faults and {} more warnings of {file}.", more.faults, more.warnings));
    }
    shown = shown.text(format!(
        "{}: {} faults, {} warnings; {} files, of them {} RSMF with {} events and {} load files{}.",
        report.verdict.name(),
        report.faults,
        report.warnings,
        report.files,
        report.rsmf,
        report.events,
        report.load_files,
        if report.bag { ", in a bag" } else { "" },
    ));
    if let Ok(serde_json::Value::Object(members)) = serde_json::to_value(report) {
        for (name, value) in members.into_iter().filter(|(name, _)| name != "schema") {
            shown = shown.with(&name, value);
        }
    }
    shown.exit(match report.verdict {
        Verdict::Passed => Exit::Ok,
        Verdict::PassedWithWarnings => Exit::Partial,
        Verdict::Failed => Exit::Verification,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const NO_ZIP: &str = "X-RSMF-Version: 2.0.0\r\nFrom: a@example.org\r\nContent-Type: text/plain\r\n\r\nwords\r\n";

    fn verified(text: &str) -> Shown {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.rsmf"), text).unwrap();
        run(&VerifyArgs { production: dir.path().to_owned() })
    }

    #[test]
    fn a_fault_is_shown_to_people_and_machines() {
        let shown = verified(NO_ZIP);
        assert_eq!(shown.exit, Exit::Verification);
        let (text, json) = (shown.human(false), shown.json());
        assert!(text.contains("attachment-missing") && text.contains("FAILED: 1 faults, 0 warnings"), "{text}");
        assert_eq!(json["verdict"], "failed");
        assert_eq!(
            (&json["findings"][0]["file"], &json["findings"][0]["severity"]),
            (&"a.rsmf".into(), &"fault".into())
        );
        assert!(json["findings"][0]["remedy"].is_string());
    }

    #[test]
    fn what_is_not_there_is_a_fault_and_no_crash() {
        let shown = run(&VerifyArgs { production: PathBuf::from("no such folder") });
        assert_eq!((shown.exit, &shown.json()["findings"][0]["rule"]), (Exit::Verification, &"unreadable".into()));
    }

    #[test]
    fn what_nobody_found_is_counted() {
        let mut twice = String::from("X-RSMF-Version: 2.0.0\r\n");
        (0..150).for_each(|_| twice.push_str("X-RSMF-Generator: x\r\n"));
        let shown = verified(&(twice + NO_ZIP.split_once("\r\n").unwrap().1));
        assert_eq!(shown.json()["left_out"]["a.rsmf"]["warnings"], 49);
        assert!(shown.human(false).contains("0 more faults and 49 more warnings of a.rsmf."));
    }
}
