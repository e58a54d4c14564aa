//! How a command fails: a stable exit code, the rule, the reason, the next step, and what each
//! node said.

use escrow_client::{NodeError, Outcomes};
use escrow_policy::Rule;
use serde_json::{Value, json};
use std::process::ExitCode;

/// The exit codes, the same for every command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// A fault of this machine or program.
    Unexpected = 1,
    /// Wrong usage or malformed input.
    Usage = 2,
    /// Denied by policy, approvers or nodes.
    Denied = 3,
    /// A key is missing, or it is not the key this needs.
    Key = 4,
    /// Not yet: approvals or waiting time are lacking.
    Pending = 5,
    /// Verification failed: TAMPERED, MISBEHAVIOUR or VIOLATION.
    Verification = 6,
    /// Fewer nodes within reach than the threshold.
    BelowThreshold = 7,
    /// Done in part, or INCOMPLETE.
    Partial = 8,
    /// Interrupted by the user.
    Interrupted = 130,
}

impl Exit {
    /// What helps where nothing better is known.
    const fn next_step(self) -> &'static str {
        match self {
            Self::Ok => "nothing is left to do",
            Self::Unexpected => "repeat the command; if it fails again, report it with what ESCROW_LOG=debug prints",
            Self::Usage => "mend what is named above; the command's --help begins with examples",
            Self::Denied => "`escrow policy explain` says what each node decides and by which rule",
            Self::Key => "`escrow context list` shows which key file is in use, `escrow doctor` whether it is in order",
            Self::Pending => "wait for what is lacking, then repeat the command",
            Self::Verification => {
                "act on nothing that does not verify; keep the files and tell the operators and the auditors"
            }
            Self::BelowThreshold => "`escrow doctor` says which nodes are away and why; then repeat the command",
            Self::Partial => "see what is named above; `escrow doctor` looks for the cause",
            Self::Interrupted => "repeat the command; what nodes acknowledged stays",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// Short stable code of the rule.
    pub rule: String,
    /// What happened and whose fault it is.
    pub reason: String,
    /// What to do now, if the command knows better than the rule's own words.
    pub next: Option<String>,
    /// What single nodes said: node, rule, words.
    pub nodes: Vec<(u8, String, String)>,
}

impl Failure {
    /// A failure by a rule.
    pub fn new(exit: Exit, rule: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { exit, rule: rule.into(), reason: reason.into(), next: None, nodes: vec![] }
    }

    /// Wrong usage or malformed input.
    pub fn usage(reason: impl Into<String>) -> Self {
        Self::new(Exit::Usage, "usage", reason)
    }

    /// A fault of this machine or program.
    pub fn unexpected(reason: impl Into<String>) -> Self {
        Self::new(Exit::Unexpected, "unexpected", reason)
    }

    /// Names the next step.
    #[must_use]
    pub fn next(mut self, step: impl Into<String>) -> Self {
        self.next = Some(step.into());
        self
    }

    /// Adds what each node said.
    #[must_use]
    pub fn nodes<T>(mut self, outcomes: &Outcomes<T>) -> Self {
        self.nodes.extend(outcomes.errors().map(|(seat, e)| (seat.get(), e.code().to_owned(), words(e))));
        self
    }

    /// The next step: the command's own, else that of the rule, else what helps with the exit code.
    pub fn next_step(&self) -> &str {
        let rule = || Rule::of_code(&self.rule).map(Rule::next_step);
        self.next.as_deref().or_else(rule).unwrap_or_else(|| self.exit.next_step())
    }

    /// For people, on standard error.
    pub fn text(&self) -> String {
        let mut out = format!("error: {} [{}]", self.reason, self.rule);
        for (seat, rule, words) in &self.nodes {
            out.push_str(&format!("\n  node {seat}: {words} [{rule}]"));
        }
        out.push_str(&format!("\nnext: {}", self.next_step()));
        out
    }

    /// For machines, on standard output.
    pub fn json(&self) -> Value {
        let nodes: Vec<Value> =
            self.nodes.iter().map(|(seat, rule, words)| json!({"node": seat, "rule": rule, "detail": words})).collect();
        json!({
            "schema": "escrow.error.v1",
            "exit": self.exit as u8,
            "rule": self.rule,
            "reason": self.reason,
            "next": self.next_step(),
            "nodes": nodes,
        })
    }
}

fn words(e: &NodeError) -> String {
    match e {
        NodeError::Problem(p) => p.detail.clone(),
        other => other.to_string(),
    }
}

/// The exit code and rule that the nodes' own words call for when too few of them agreed.
pub(crate) fn of_nodes<T>(outcomes: &Outcomes<T>, need: usize) -> (Exit, String) {
    if outcomes.present() < need {
        return (Exit::BelowThreshold, "below-threshold".into());
    }
    // The rule that most nodes named; the first of them if several are as frequent.
    let mut best: Option<(usize, String)> = None;
    for (_, e) in outcomes.errors().filter(|(_, e)| !e.is_absent()) {
        let count = outcomes.errors().filter(|(_, other)| other.code() == e.code()).count();
        if best.as_ref().is_none_or(|(most, _)| count > *most) {
            best = Some((count, e.code().to_owned()));
        }
    }
    let rule = best.map_or_else(|| "below-threshold".to_owned(), |(_, rule)| rule);
    (exit_of_rule(&rule), rule)
}

/// Which exit code a node's rule stands for.
pub fn exit_of_rule(rule: &str) -> Exit {
    match rule {
        "pending" => Exit::Pending,
        "not-entitled" | "wrong-signer" | "key-revoked" | "key-not-valid" | "not-enrolled" | "device-taken"
        | "quorum-missing" | "not-signed" => Exit::Key,
        "malformed" | "wrong-org" | "bad-signature" | "too-large" | "not-found" | "not-submittable"
        | "deal-invalid" | "charter-invalid" | "clock-skew" | "charter-stale" | "charter-unknown" => Exit::Usage,
        "unreachable" | "below-threshold" | "not-ready" | "peers-missing" | "rate-limited" => Exit::BelowThreshold,
        "charter-fork" | "protocol" => Exit::Verification,
        "internal" => Exit::Unexpected,
        _ => Exit::Denied,
    }
}
