//! Every rule of the validator, each broken once in a production that is otherwise right.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test that panics has failed

mod hostile;
mod packages;
mod rsmf;
mod sample;
mod zipped;

use escrow_client::production::verify::{Limits, RULES, Report, Rule, Severity, Verdict, verify, verify_within};
use sample::{Files, Production, Rsmf, bag, write};
use std::collections::BTreeSet;
use std::path::Path;
use tempfile::TempDir;

/// How a rule is broken.
pub(crate) enum How {
    /// In an RSMF file, which is checked alone.
    Rsmf(fn(&mut Rsmf)),
    /// In what is then packed into a bag.
    Content(fn(&mut Production)),
    /// In the bag.
    Packed(fn(&mut Files)),
    /// In the folder.
    Disk(fn(&Path)),
    /// Not at all, but by a bound.
    Within(fn(&mut Limits)),
}

/// A rule and how it is broken.
pub(crate) type Row = (&'static str, How);

fn checked(dir: &Path) -> Report {
    verify(dir, &|_, _| {})
}

/// What is found in an RSMF file alone.
pub(crate) fn check_rsmf(bytes: &[u8]) -> Report {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("t7.rsmf");
    std::fs::write(&at, bytes).unwrap();
    checked(&at)
}

fn written(files: &Files) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    write(files, dir.path());
    dir
}

fn codes(report: &Report) -> Vec<&'static str> {
    report.findings.iter().map(|f| f.rule).collect()
}

fn run(how: &How) -> Report {
    let mut production = Production::new();
    match how {
        How::Rsmf(change) => {
            change(&mut production.rsmf);
            check_rsmf(&production.rsmf.build())
        }
        How::Content(change) => {
            change(&mut production);
            checked(written(&bag(production.payload())).path())
        }
        How::Packed(change) => {
            let mut files = bag(production.payload());
            change(&mut files);
            checked(written(&files).path())
        }
        How::Disk(change) => {
            let dir = written(&bag(production.payload()));
            change(dir.path());
            checked(dir.path())
        }
        How::Within(change) => {
            let mut limits = Limits::default();
            change(&mut limits);
            verify_within(written(&bag(production.payload())).path(), &limits, &|_, _| {})
        }
    }
}

fn rows() -> Vec<Row> {
    [rsmf::container(), rsmf::archive(), rsmf::form(), rsmf::meaning(), packages::rows()]
        .into_iter()
        .flatten()
        .collect()
}

#[test]
fn a_production_without_a_fault_passes() {
    let production = Production::new();
    for (files, is_bag) in [(production.payload(), false), (bag(production.payload()), true)] {
        let report = checked(written(&files).path());
        assert_eq!((report.verdict, report.findings.as_slice()), (Verdict::Passed, [].as_slice()));
        assert_eq!((report.rsmf, report.load_files, report.events, report.bag), (1, 1, 9, is_bag));
    }
    let report = check_rsmf(&production.rsmf.build());
    assert_eq!((report.verdict, report.files, report.events), (Verdict::Passed, 1, 9));
}

#[test]
fn each_rule_is_found_where_it_is_broken_and_nothing_else() {
    let mut wrong = Vec::new();
    for (place, (rule, how)) in rows().iter().enumerate() {
        let report = run(how);
        if codes(&report) != [*rule] {
            wrong.push(format!("{place} {rule}: {:#?}", report.findings));
        }
        let severity = RULES.iter().find(|r| r.code == *rule).map(|r| r.severity);
        if report.findings.iter().any(|f| f.rule == *rule && Some(f.severity) != severity) {
            wrong.push(format!("{rule}: another severity"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_rule_has_a_row_and_a_code_of_its_own() {
    let broken: BTreeSet<&str> = rows().iter().map(|(rule, _)| *rule).collect();
    let known: BTreeSet<&str> = RULES.iter().map(|r| r.code).collect();
    assert_eq!(known.len(), RULES.len(), "a code stands twice");
    assert_eq!(broken, known);
    for rule in RULES {
        assert!(rule.code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{}", rule.code);
        assert!(rule.remedy.len() > 8 && !rule.remedy.ends_with('.'), "{}", rule.code);
    }
}

#[test]
fn the_documented_rules_are_the_rules() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/export-rules.md")).unwrap();
    let documented: Vec<&str> = text.lines().filter(|l| l.starts_with("| `")).collect();
    let row = |r: &Rule| {
        let severity = if r.severity == Severity::Fault { "fault" } else { "warning" };
        format!("| `{}` | {severity} | {} |", r.code, r.remedy)
    };
    assert_eq!(documented, RULES.iter().map(row).collect::<Vec<_>>());
}

#[test]
fn progress_ends_at_the_number_of_files() {
    let steps = std::cell::RefCell::new(Vec::new());
    let dir = written(&bag(Production::new().payload()));
    let report = verify(dir.path(), &|done, total| steps.borrow_mut().push((done, total)));
    assert_eq!(report.verdict, Verdict::Passed);
    assert_eq!(steps.into_inner(), [(1, 3), (2, 3), (3, 3)]);
}
