//! What log entries name, for whoever packs it and for whoever checks that it is all there.

use escrow_core::Digest;
use escrow_policy::Event;

/// What one entry names beside the statement it records.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// Permits and answers, by payload digest.
    pub(crate) statements: Vec<Digest>,
    /// The cosigned note of a delivery, or two notes that contradict each other.
    pub(crate) notes: Vec<Digest>,
}

impl Names {
    /// Reads the body of an entry of that type. One that is no event names nothing: the fold says what it thinks of it.
    pub(crate) fn of(kind: &str, body: &[u8]) -> Self {
        if !kind.starts_with("release.") && kind != "misbehaviour" {
            return Self::default();
        }
        match serde_json::from_slice(body) {
            Ok(Event::Authorized { permits, answers, .. }) => {
                Self { statements: [permits, answers].concat(), notes: vec![] }
            }
            Ok(Event::Delivered { note, .. }) => Self { statements: vec![], notes: vec![note] },
            Ok(Event::Misbehaviour { first, second, .. }) => Self { statements: vec![], notes: vec![first, second] },
            _ => Self::default(),
        }
    }
}
