//! What can be checked of an escrow from outside, without changing anything and without any share leaving a node.
//!
//! Each [`Check`] says exactly what was looked at. [`nodes`] asks every node for its status, [`heads`] reads the looks
//! of a [`crate::watch::Watch`], [`receipts`] and [`pending`] need no network, and [`deals`] looks at deposits that a
//! node hands over. None of them shows that a node still *has* its shares: only a release, or the node's own
//! `escrow-node restore --drill`, does that.

mod nodes;
mod sample;

pub use nodes::{charter, heads, nodes};
pub use sample::{deals, pending, receipts};

use escrow_core::SeatIndex;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Ok,
    /// Nothing was there to be checked, or it could not be; the words say why.
    Skipped,
    /// Not as it should be; things still work.
    Warn,
    /// Something does not work or does not verify.
    Fail(Fault),
}

/// What fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// This machine or its files.
    Machine,
    /// Too few nodes are there.
    BelowThreshold,
    /// A key is missing or exposed, or is not the one that is needed.
    Key,
    /// Something was shown that does not verify.
    Verification,
}

/// One thing that was looked at.
#[derive(Clone, Debug)]
#[must_use]
pub struct Check {
    /// Short stable name of the check.
    pub name: &'static str,
    /// What it is about: a file, a node; empty if that is clear.
    pub of: String,
    /// How it came out.
    pub state: State,
    /// What was found.
    pub what: String,
    /// What to do; empty if nothing.
    pub next: String,
}

impl Check {
    fn new(name: &'static str, of: impl ToString, state: State, what: impl Into<String>, next: &str) -> Self {
        Self { name, of: of.to_string(), state, what: what.into(), next: next.to_owned() }
    }

    /// As it should be.
    pub fn ok(name: &'static str, of: impl ToString, what: impl Into<String>) -> Self {
        Self::new(name, of, State::Ok, what, "")
    }

    /// Not checked, and why.
    pub fn skipped(name: &'static str, of: impl ToString, why: impl Into<String>) -> Self {
        Self::new(name, of, State::Skipped, why, "")
    }

    /// Not as it should be.
    pub fn warn(name: &'static str, of: impl ToString, what: impl Into<String>, next: &str) -> Self {
        Self::new(name, of, State::Warn, what, next)
    }

    /// Does not work or does not verify.
    pub fn fail(name: &'static str, fault: Fault, of: impl ToString, what: impl Into<String>, next: &str) -> Self {
        Self::new(name, of, State::Fail(fault), what, next)
    }
}

/// How a node is called in checks.
fn node(seat: SeatIndex) -> String {
    format!("node {seat}")
}

#[cfg(test)]
mod tests;
