//! Policies to begin with, each with its table of cases. An organisation takes one as it is, or
//! changes the text and the table together.

use crate::context::SCHEMA_VERSION;
use escrow_core::charter::Policy;
use escrow_core::{Code, WordError};

/// A policy that comes with the program.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    /// Id by which a charter draft and the commands name it.
    pub id: &'static str,
    /// What it is for, in a line.
    pub title: &'static str,
    /// The Cedar text.
    pub text: &'static str,
    /// Its table of cases.
    pub cases: &'static str,
}

macro_rules! ready {
    ($id:literal, $title:literal) => {
        Ready {
            id: $id,
            title: $title,
            text: include_str!(concat!("../policies/", $id, ".cedar")),
            cases: include_str!(concat!("../policies/", $id, ".cases.toml")),
        }
    };
}

/// All of them.
pub const READY: &[Ready] = &[
    ready!(
        "internal-investigation",
        "Legal and the data protection officer, after 24 hours, the persons concerned told"
    ),
    ready!("court-order", "Legal and outside counsel, the order named, notice at most 90 days later"),
    ready!("support-case", "One short look with the person's own consent"),
    ready!("self-recovery", "A person's own messages on a new device, after 24 hours"),
];

/// The one of this id.
pub fn find(id: &str) -> Option<&'static Ready> {
    READY.iter().find(|r| r.id == id)
}

impl Ready {
    /// As a policy of a charter, under its own id.
    ///
    /// # Errors
    /// [`WordError`] never, for the ids above.
    pub fn policy(&self) -> Result<Policy, WordError> {
        Ok(self.policy_as(self.id.parse()?))
    }

    /// As a policy of a charter, under another id.
    pub fn policy_as(&self, id: Code) -> Policy {
        Policy { id, schema: SCHEMA_VERSION, text: self.text.to_owned() }
    }
}
