//! Lines that an import leaves out: which rule, which member, and what to do.

use super::message::{LINE_MAX, MessageError};
use super::seal::{SEGMENTS_MAX, SealArchiveError};
use escrow_core::limits::PARTICIPANTS_PER_ITEM;

/// A line that was not sealed. Quotes nothing of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Its number in the input, from 1.
    pub line: u64,
    /// The member that breaks the rule, if it is one member.
    pub member: Option<&'static str>,
    /// The rule.
    pub rule: String,
    /// What to do about it.
    pub remedy: &'static str,
}

impl Rejected {
    /// What an error says about one line; none if it is about more than a line.
    pub(super) fn of(error: &SealArchiveError) -> Option<Self> {
        let correct = "correct the line and import it into a folder of its own";
        let apart = "import the rest in parts, each into its own folder";
        let (line, member, rule, remedy) = match error {
            SealArchiveError::Message(e) => match e {
                MessageError::Read { .. } => return None,
                MessageError::TooLong { line } => {
                    (*line, None, format!("longer than {LINE_MAX} bytes"), "see that it is one JSON object a line")
                }
                MessageError::Blank { line } => (*line, None, "blank".into(), "leave it out: it says nothing"),
                MessageError::NotUtf8 { line } => (*line, None, "not UTF-8".into(), "export it again as UTF-8"),
                MessageError::NotAnObject { line, column } => {
                    (*line, None, format!("not one JSON object (column {column})"), correct)
                }
                MessageError::Field { line, field, problem } => (*line, Some(*field), (*problem).into(), correct),
            },
            SealArchiveError::TooManySegments { line } => {
                (*line, None, format!("makes more than {SEGMENTS_MAX} segments"), apart)
            }
            SealArchiveError::TooManyPeople { line } => (
                *line,
                None,
                format!("makes more than {PARTICIPANTS_PER_ITEM} people in its thread"),
                "no node accepts such a thread: keep it elsewhere, or name fewer members",
            ),
            SealArchiveError::Segment { line, error } => (*line, None, error.to_string(), apart),
            _ => return None,
        };
        Some(Self { line, member, rule, remedy })
    }
}
