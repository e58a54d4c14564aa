//! What a watch alarms on.

use crate::outcome::NodeError;
use escrow_core::Timestamp;
use std::path::PathBuf;

/// What is wrong with a log, or with the way to it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Alarm {
    /// The log's key signed two histories. The two notes prove it to anybody.
    #[error("its log key signed two histories (sizes {first} and {second}); keep {}", evidence.display())]
    Fork {
        /// Size remembered.
        first: u64,
        /// Size shown now.
        second: u64,
        /// Folder with both notes.
        evidence: PathBuf,
    },
    /// It shows an older head than the one it showed before.
    #[error("it shows size {shown} and has shown {remembered} before; both notes are in {}", evidence.display())]
    Rollback {
        /// Size remembered.
        remembered: u64,
        /// Size shown now.
        shown: u64,
        /// Folder with both notes.
        evidence: PathBuf,
    },
    /// What it shows is no checkpoint of its log, or has a false cosignature under it.
    #[error("what it shows as its checkpoint does not verify: {why}; it is in {}", evidence.display())]
    Unverified {
        /// The rule that is broken.
        why: String,
        /// Folder with what it showed.
        evidence: PathBuf,
    },
    /// Its tiles do not lead to the root that it signed.
    #[error("its tiles do not lead to the root that it signed for size {0}")]
    Tiles(u64),
    /// It shows a larger head and not how it follows from the one before; the older one stays remembered.
    #[error("it does not show how size {shown} follows from {remembered}: {source}")]
    Unproven {
        /// Size remembered.
        remembered: u64,
        /// Size shown now.
        shown: u64,
        /// What happened when its tiles were fetched.
        source: NodeError,
    },
    /// Fewer peers cosigned than a release needs.
    #[error("{have} of the {need} peers needed cosigned its checkpoint")]
    FewCosignatures {
        /// Peers of the charter that did.
        have: usize,
        /// How many must.
        need: usize,
    },
    /// No peer has cosigned for more than two heartbeats.
    #[error("{}", silence(.0))]
    Silent(Option<Timestamp>),
    /// It does not answer, or has no checkpoint to show.
    #[error(transparent)]
    Unreachable(NodeError),
}

fn silence(newest: &Option<Timestamp>) -> String {
    match newest {
        Some(at) => format!("no peer has cosigned its checkpoint since {at}, for more than two heartbeats"),
        None => "no peer has cosigned its checkpoint".into(),
    }
}

impl Alarm {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Fork { .. } => "fork",
            Self::Rollback { .. } => "rollback",
            Self::Unverified { .. } => "unverified",
            Self::Tiles(_) => "tiles",
            Self::Unproven { .. } => "unproven",
            Self::FewCosignatures { .. } => "cosignatures",
            Self::Silent(_) => "silent",
            Self::Unreachable(_) => "unreachable",
        }
    }

    /// True if what the node showed is wrong; false if it showed too little.
    pub const fn is_false(&self) -> bool {
        matches!(self, Self::Fork { .. } | Self::Rollback { .. } | Self::Unverified { .. } | Self::Tiles(_))
    }

    /// Folder with what the alarm is about, if anything was kept.
    pub const fn evidence(&self) -> Option<&PathBuf> {
        match self {
            Self::Fork { evidence, .. } | Self::Rollback { evidence, .. } | Self::Unverified { evidence, .. } => {
                Some(evidence)
            }
            _ => None,
        }
    }
}
