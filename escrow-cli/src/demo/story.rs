//! What has happened so far, told as it happens, and the steps that are checked.

use serde::Serialize;
use std::error::Error;
use std::fmt;
use std::io::{IsTerminal as _, Write as _};

/// One checked step.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// What was tried.
    pub name: String,
    /// What should happen.
    pub expected: String,
    /// What happened, in the words of whoever decided.
    pub outcome: String,
    /// True if that is what should happen.
    pub ok: bool,
}

/// Why the demo cannot go on: something failed that the story needs.
#[derive(Debug)]
pub struct DemoError {
    during: &'static str,
    source: Box<dyn Error + Send + Sync>,
}

impl fmt::Display for DemoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "while {}: {}", self.during, self.source)
    }
}

impl Error for DemoError {}

/// Adds what was being done to any error.
pub(super) trait During<T> {
    /// Names the act.
    ///
    /// # Errors
    /// The same error, with the act.
    fn during(self, act: &'static str) -> Result<T, DemoError>;
}

impl<T, E: Into<Box<dyn Error + Send + Sync>>> During<T> for Result<T, E> {
    fn during(self, during: &'static str) -> Result<T, DemoError> {
        self.map_err(|e| DemoError { during, source: e.into() })
    }
}

impl<T> During<T> for Option<T> {
    fn during(self, during: &'static str) -> Result<T, DemoError> {
        self.ok_or_else(|| DemoError { during, source: "something that was just made is missing".into() })
    }
}

/// Tells the story on standard output and keeps the steps.
#[derive(Debug)]
pub(super) struct Teller {
    steps: Vec<Step>,
    quiet: bool,
    colour: bool,
}

impl Teller {
    /// Quiet when a machine reads standard output.
    pub(super) fn new(quiet: bool) -> Self {
        let colour = crate::output::colours(std::io::stdout().is_terminal());
        Self { steps: vec![], quiet, colour }
    }

    /// A new chapter.
    pub(super) fn chapter(&self, title: &str) {
        if self.colour {
            self.line(&format!("\n\x1b[1m{title}\x1b[0m"));
        } else {
            self.line(&format!("\n{title}"));
        }
    }

    /// A sentence.
    pub(super) fn say(&self, text: &str) {
        self.line(&format!("  {text}"));
    }

    fn line(&self, text: &str) {
        if !self.quiet {
            // A closed pipe must not end the demo before it has cleaned up.
            let _ = writeln!(std::io::stdout(), "{text}");
        }
    }

    /// A checked step.
    pub(super) fn step(&mut self, name: &str, expected: &str, outcome: impl Into<String>, ok: bool) {
        let outcome = outcome.into();
        let mark = match (ok, self.colour) {
            (true, true) => "\x1b[32m[ok]\x1b[0m",
            (true, false) => "[ok]",
            (false, true) => "\x1b[31m[NOT OK]\x1b[0m",
            (false, false) => "[NOT OK]",
        };
        self.say(&format!("{mark} {name}: {outcome}"));
        self.steps.push(Step { name: name.into(), expected: expected.into(), outcome, ok });
    }

    /// All steps so far.
    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }
}
