//! What a validation says: findings, each by a rule, and the report around them.

use serde::Serialize;
use std::collections::BTreeMap;

/// Schema of the report's JSON.
pub const REPORT_SCHEMA: &str = "escrow.export-verify.v1";
/// Faults, and also warnings, shown of one file; more are counted ([`Report::left_out`]).
pub const FINDINGS_PER_FILE: u64 = 100;
/// Findings shown in one report; more are counted.
pub const FINDINGS_MAX: usize = 10_000;
/// Characters of a foreign word that a finding repeats.
const QUOTED_MAX: usize = 80;
/// Characters of a finding: what a library says may repeat foreign words too.
const WHAT_MAX: usize = 400;

/// How grave a finding is, mildest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// A platform takes the file, and something in it is lost or misleads.
    Warning,
    /// A platform refuses the file, or takes something else from it than was meant.
    Fault,
}

/// A rule of the validator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Short stable code.
    pub code: &'static str,
    /// How grave a breach is.
    pub severity: Severity,
    /// What who made the file should do.
    pub remedy: &'static str,
}

/// One breach of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How grave it is.
    pub severity: Severity,
    /// The file, relative to the production, `/` between names; empty for the production itself.
    pub file: String,
    /// The event's id, or `#` and its place from 0 if it has none; a load file's row as its number from 1.
    pub event: Option<String>,
    /// Code of the rule.
    pub rule: &'static str,
    /// What was found, in words; foreign words in it are cut short.
    pub what: String,
    /// What to do about it.
    pub remedy: &'static str,
}

/// Findings that are not shown, of one file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Faults beyond those shown.
    pub faults: u64,
    /// Warnings beyond those shown.
    pub warnings: u64,
}

/// The answer in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing was found.
    Passed,
    /// Warnings only.
    PassedWithWarnings,
    /// At least one fault.
    Failed,
}

impl Verdict {
    /// The words on screen.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Passed => "PASSED",
            Self::PassedWithWarnings => "PASSED WITH WARNINGS",
            Self::Failed => "FAILED",
        }
    }
}

/// What a validation found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[must_use]
pub struct Report {
    /// [`REPORT_SCHEMA`].
    pub schema: &'static str,
    /// The answer.
    pub verdict: Verdict,
    /// Faults, those not shown included.
    pub faults: u64,
    /// Warnings, those not shown included.
    pub warnings: u64,
    /// Files that were looked at.
    pub files: u64,
    /// RSMF files among them.
    pub rsmf: u64,
    /// Load files among them.
    pub load_files: u64,
    /// True if the folder is a BagIt bag.
    pub bag: bool,
    /// Events in all RSMF files.
    pub events: u64,
    /// What was found, file by file.
    pub findings: Vec<Finding>,
    /// Files of which more was found than is shown.
    pub left_out: BTreeMap<String, LeftOut>,
}

impl Report {
    pub(super) fn new() -> Self {
        Self {
            schema: REPORT_SCHEMA,
            verdict: Verdict::Passed,
            faults: 0,
            warnings: 0,
            files: 0,
            rsmf: 0,
            load_files: 0,
            bag: false,
            events: 0,
            findings: vec![],
            left_out: BTreeMap::new(),
        }
    }

    /// Takes in what was found of one file.
    pub(super) fn take(&mut self, found: Findings) {
        self.faults += found.faults;
        self.warnings += found.warnings;
        self.verdict = match (self.faults, self.warnings) {
            (0, 0) => Verdict::Passed,
            (0, _) => Verdict::PassedWithWarnings,
            _ => Verdict::Failed,
        };
        let mut shown = found.shown;
        shown.truncate(FINDINGS_MAX.saturating_sub(self.findings.len()));
        let count = |severity| shown.iter().filter(|f| f.severity == severity).count() as u64;
        let faults = found.faults - count(Severity::Fault);
        let warnings = found.warnings - count(Severity::Warning);
        if faults + warnings > 0 {
            self.left_out.insert(found.file, LeftOut { faults, warnings });
        }
        self.findings.append(&mut shown);
    }
}

/// What is found of one file: a bounded list, and counts that are not bounded.
#[derive(Debug)]
pub(super) struct Findings {
    file: String,
    shown: Vec<Finding>,
    faults: u64,
    warnings: u64,
}

impl Findings {
    pub(super) fn of(file: impl Into<String>) -> Self {
        Self { file: file.into(), shown: vec![], faults: 0, warnings: 0 }
    }

    /// A finding about the file as a whole.
    pub(super) fn add(&mut self, rule: &Rule, what: impl Into<String>) {
        self.at(rule, None, what);
    }

    /// A finding about one event or row.
    pub(super) fn at(&mut self, rule: &Rule, event: Option<&str>, what: impl Into<String>) {
        let so_far = match rule.severity {
            Severity::Fault => &mut self.faults,
            Severity::Warning => &mut self.warnings,
        };
        *so_far += 1;
        // Each severity for itself: no number of warnings hides the fault after them.
        if *so_far <= FINDINGS_PER_FILE {
            self.shown.push(Finding {
                severity: rule.severity,
                file: self.file.clone(),
                event: event.map(quoted),
                rule: rule.code,
                what: cut(&what.into(), WHAT_MAX),
                remedy: rule.remedy,
            });
        }
    }

    /// Counts that tell whether anything was added since.
    pub(super) fn count(&self) -> u64 {
        self.faults + self.warnings
    }
}

/// A foreign word, cut short and on one line.
pub(super) fn quoted(word: &str) -> String {
    cut(word, QUOTED_MAX)
}

fn cut(text: &str, max: usize) -> String {
    let mut out: String = text.chars().take(max).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(max).is_some() {
        out.push('…');
    }
    out
}
