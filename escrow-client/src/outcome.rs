//! What each node said: no operation over several nodes throws one node's answer away.

use escrow_core::SeatIndex;
use escrow_core::wire::Problem;
use std::collections::BTreeMap;
use std::fmt;

/// Why one node gave no usable answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// Not reached, or not in time.
    #[error("not reached: {0}; check the network, or ask the node's operator")]
    Unreachable(String),
    /// Another key than the charter pins answered; nothing was sent to it.
    #[error("not reached: a TLS key answers that the charter does not pin; ask the node's operator on another channel")]
    WrongKey,
    /// It refused, and says why.
    #[error("{}: {}", .0.code, .0.detail)]
    Problem(Box<Problem>),
    /// What it sent is not what the protocol asks of it: the node's fault.
    #[error("answered against the protocol: {0}; tell the node's operator")]
    Protocol(String),
    /// The question to it was not signed: the fault of this side.
    #[error("not asked: {0}")]
    Unsigned(String),
}

impl NodeError {
    /// The stable code: of the problem, or `unreachable`, `protocol`, `not-signed`.
    pub fn code(&self) -> &str {
        match self {
            Self::Unreachable(_) | Self::WrongKey => "unreachable",
            Self::Problem(p) => &p.code,
            Self::Protocol(_) => "protocol",
            Self::Unsigned(_) => "not-signed",
        }
    }

    /// True if the same bytes may succeed a little later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::WrongKey => true,
            Self::Problem(p) => matches!(p.status, 408 | 429 | 500..=599),
            Self::Protocol(_) | Self::Unsigned(_) => false,
        }
    }

    /// True if the node could not be asked at all, or was not ready to answer (now, or so soon again).
    pub fn is_absent(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::WrongKey => true,
            Self::Problem(p) => matches!(p.status, 429 | 503),
            Self::Protocol(_) | Self::Unsigned(_) => false,
        }
    }
}

/// One result for each seat that was asked.
#[derive(Clone, Debug)]
pub struct Outcomes<T>(pub BTreeMap<SeatIndex, Result<T, NodeError>>);

impl<T> Outcomes<T> {
    /// Nobody asked yet.
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Answers of the seats that gave one, ascending by seat.
    pub fn good(&self) -> impl Iterator<Item = (SeatIndex, &T)> {
        self.0.iter().filter_map(|(s, r)| r.as_ref().ok().map(|t| (*s, t)))
    }

    /// Errors of the others, ascending by seat.
    pub fn errors(&self) -> impl Iterator<Item = (SeatIndex, &NodeError)> {
        self.0.iter().filter_map(|(s, r)| r.as_ref().err().map(|e| (*s, e)))
    }

    /// How many gave an answer.
    pub fn count(&self) -> usize {
        self.good().count()
    }

    /// How many were reached and ready, whatever they answered.
    pub fn present(&self) -> usize {
        self.0.values().filter(|r| r.as_ref().err().is_none_or(|e| !e.is_absent())).count()
    }

    /// Keeps the seats and turns each answer into something else.
    pub fn and_then<U>(self, mut f: impl FnMut(SeatIndex, T) -> Result<U, NodeError>) -> Outcomes<U> {
        Outcomes(self.0.into_iter().map(|(s, r)| (s, r.and_then(|t| f(s, t)))).collect())
    }
}

impl<T> Default for Outcomes<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// The errors, one a line: `node 3: consent-withdrawn: ...`.
impl<T> fmt::Display for Outcomes<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for (seat, error) in self.errors() {
            if !std::mem::replace(&mut first, false) {
                f.write_str("\n")?;
            }
            write!(f, "node {seat}: {error}")?;
        }
        Ok(())
    }
}
