//! What a verification says: findings, each with its class, and the report around them.

use escrow_core::{Digest, SeatIndex, Timestamp};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;

/// Schema of the report's JSON.
pub const REPORT_SCHEMA: &str = "escrow.report.v1";

/// What kind of thing a finding is, mildest first: the order decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Nothing wrong; as a finding, a remark.
    Ok,
    /// Something that the evidence needs is not there.
    Incomplete,
    /// The log is intact and records an act against the rules.
    Violation,
    /// A key signed two things that contradict each other.
    Misbehaviour,
    /// The package was altered by somebody without the keys.
    Tampered,
    /// Not an evidence bundle at all.
    Malformed,
}

impl Class {
    /// The word on screen and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Incomplete => "INCOMPLETE",
            Self::Violation => "VIOLATION",
            Self::Misbehaviour => "MISBEHAVIOUR",
            Self::Tampered => "TAMPERED",
            Self::Malformed => "MALFORMED",
        }
    }

    /// The exit code of every command that verifies.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Malformed => 2,
            Self::Tampered | Self::Misbehaviour | Self::Violation => 6,
            Self::Incomplete => 8,
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Class {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.name())
    }
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind of thing it is.
    pub class: Class,
    /// The file concerned, relative to the bundle; empty for the bundle as a whole.
    pub file: String,
    /// Log position, if it is about one entry.
    pub entry: Option<u64>,
    /// The seat concerned, if any.
    pub seat: Option<SeatIndex>,
    /// Short stable code of the rule.
    pub rule: String,
    /// What was found, in words.
    pub detail: String,
}

impl Finding {
    /// A finding about a file.
    pub fn new(class: Class, file: impl Into<String>, rule: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { class, file: file.into(), entry: None, seat: None, rule: rule.into(), detail: detail.into() }
    }

    /// Names the seat.
    #[must_use]
    pub fn seat(mut self, seat: SeatIndex) -> Self {
        self.seat = Some(seat);
        self
    }

    /// Names the log position.
    #[must_use]
    pub fn entry(mut self, seq: u64) -> Self {
        self.entry = Some(seq);
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.class, self.file)?;
        if let Some(seq) = self.entry {
            write!(f, " entry {seq}")?;
        }
        write!(f, ": {} ({})", self.detail, self.rule)
    }
}

/// One part of the verification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Layer {
    /// `package`, `bytes`, `acts`, `views`, `record`, `policy-replay` or `reports`.
    pub name: &'static str,
    /// Whether it was done.
    pub done: bool,
    /// Why not, in words; empty if done.
    pub why: String,
}

/// One log of the bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogSummary {
    /// The seat whose log it is.
    pub seat: SeatIndex,
    /// Its origin.
    pub origin: String,
    /// Entries in it.
    pub size: u64,
    /// Peers whose view of it is here and reaches the last release.
    pub views: u64,
    /// No fork by up to this many colluding nodes; 0 excludes none.
    pub fork_bound: u64,
}

/// How much was verified.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Files of the bundle.
    pub files: u64,
    /// Log entries, all logs together.
    pub entries: u64,
    /// Statement files, charters included.
    pub statements: u64,
    /// Charter versions whose signatures hold.
    pub charters: u64,
    /// Distinct requests in the logs.
    pub requests: u64,
    /// Distinct self-recoveries in the logs.
    pub recoveries: u64,
    /// Verdict entries by outcome.
    pub verdicts: BTreeMap<&'static str, u64>,
    /// `release.authorized` entries.
    pub authorized: u64,
    /// `release.delivered` entries.
    pub delivered: u64,
    /// `release.aborted` entries.
    pub aborted: u64,
    /// Distinct statements that take permission away.
    pub restrictions: u64,
    /// Views.
    pub views: u64,
}

/// One reply that a node delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReleaseSummary {
    /// The request.
    pub request: Digest,
    /// The node.
    pub seat: SeatIndex,
    /// 1 for its first reply.
    pub attempt: u64,
    /// Log position.
    pub seq: u64,
    /// When, by the node's clock.
    pub at: Timestamp,
    /// Digest of the sealing key that the reply was sealed to.
    pub recipient: Digest,
}

/// The answer of a verification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// [`REPORT_SCHEMA`].
    pub schema: &'static str,
    /// The worst class of all findings.
    pub verdict: Class,
    /// The pinned charter digest: the only thing that was trusted.
    pub charter: Digest,
    /// Everything found, in the order of the layers.
    pub findings: Vec<Finding>,
    /// What was verified and what was not.
    pub layers: Vec<Layer>,
    /// The logs.
    pub logs: Vec<LogSummary>,
    /// How much there was.
    pub counts: Counts,
    /// Replies delivered, in log order, seat by seat.
    pub releases: Vec<ReleaseSummary>,
    /// The policy engine of the replay; null if there was none.
    pub engine: Option<&'static str>,
}

impl Report {
    /// An empty report for a pinned digest.
    pub(crate) fn new(charter: &Digest) -> Self {
        Self {
            schema: REPORT_SCHEMA,
            verdict: Class::Ok,
            charter: *charter,
            findings: Vec::new(),
            layers: Vec::new(),
            logs: Vec::new(),
            counts: Counts::default(),
            releases: Vec::new(),
            engine: None,
        }
    }

    /// The report about something that could not even be read as a bundle.
    pub fn unreadable(charter: &Digest, why: impl Into<String>) -> Self {
        let mut report = Self::new(charter);
        report.add([Finding::new(Class::Malformed, "", "unreadable", why)]);
        report
    }

    pub(crate) fn add(&mut self, findings: impl IntoIterator<Item = Finding>) {
        self.findings.extend(findings);
        self.verdict = self.findings.iter().map(|f| f.class).max().unwrap_or(Class::Ok);
    }

    /// True if altered or unreadable material was found, whose meaning is then not judged.
    pub(crate) fn altered(&self) -> bool {
        self.verdict >= Class::Tampered
    }

    /// Whether the policies were evaluated again.
    pub fn policy_replayed(&self) -> bool {
        self.layers.iter().any(|l| l.name == "policy-replay" && l.done)
    }

    /// The exit code: see [`Class::exit_code`].
    pub const fn exit_code(&self) -> u8 {
        self.verdict.exit_code()
    }

    /// The report as JSON.
    pub fn to_json(&self) -> String {
        // Strings, numbers, lists and maps with string keys always serialise.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)] // a test that panics has failed
mod tests {
    use super::*;

    #[test]
    fn the_worst_class_decides() {
        let order =
            [Class::Malformed, Class::Tampered, Class::Misbehaviour, Class::Violation, Class::Incomplete, Class::Ok];
        assert!(order.is_sorted_by(|a, b| a > b));
        assert_eq!(order.map(Class::exit_code), [2, 6, 6, 6, 8, 0]);
        let mut report = Report::new(&Digest([0; 32]));
        assert_eq!(report.exit_code(), 0);
        for class in [Class::Violation, Class::Incomplete] {
            report.add([Finding::new(class, "f", "r", "d")]);
        }
        assert_eq!((report.verdict, report.exit_code(), report.altered()), (Class::Violation, 6, false));
        assert_eq!(Report::unreadable(&Digest([0; 32]), "x").exit_code(), 2);
    }
}
