//! What a line says beyond who, when and where: version 2 of the message format (`docs/messages.md`).
//!
//! Sealing reads strictly, so that nothing malformed gets into an archive unseen. Whoever opens an
//! archive reads leniently: an older program may have sealed anything, and it is kept.

mod members;

use super::message::{Message, MessageError};
use escrow_core::Digest;
use members::Members;
use std::fmt;

/// Most attachments that one line names.
pub const ATTACHMENTS_MAX: usize = 100;
/// Longest name of an attachment, bytes of UTF-8.
pub const NAME_MAX: usize = 255;
/// Longest value of a reaction, bytes of UTF-8.
pub const REACTION_MAX: usize = 64;

/// What one line says. It is message content: printed nowhere, redacted in `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Content {
    /// What happened.
    pub kind: ContentKind,
    /// The words, by kind; each half of a surrogate pair has become U+FFFD.
    pub text: String,
    /// What the thread is from this line on.
    pub conversation: Option<ConversationInfo>,
    /// Number of the line in its thread by the messenger's count, from 1.
    pub seq: Option<u64>,
    /// Epoch of the messenger's group key.
    pub epoch: Option<u64>,
}

/// The kinds of lines.
#[derive(Clone, PartialEq, Eq)]
pub enum ContentKind {
    /// Somebody wrote.
    Message {
        /// Id of the message that is answered.
        reply_to: Option<String>,
        /// What comes with it, at most [`ATTACHMENTS_MAX`].
        attachments: Vec<AttachmentRef>,
        /// Marked as of high importance.
        high: bool,
    },
    /// A message has a new text.
    Edit {
        /// Id of that message.
        target: String,
        /// What comes with the new text, at most [`ATTACHMENTS_MAX`].
        attachments: Vec<AttachmentRef>,
    },
    /// A message was taken back.
    Deletion {
        /// Id of that message.
        target: String,
    },
    /// Somebody put an emoji or the like on a message.
    Reaction {
        /// Id of that message.
        target: String,
        /// What was put there, 1 to [`REACTION_MAX`] bytes.
        value: String,
        /// True if it was taken off again.
        removed: bool,
    },
    /// A message arrived at the sender of this line.
    Receipt {
        /// Id of that message.
        target: String,
        /// How far it came.
        action: ReceiptAction,
    },
    /// Somebody came into the thread.
    Join {
        /// Who; the sender of the line is who let them in.
        member: String,
    },
    /// Somebody left the thread.
    Leave {
        /// Who; the sender of the line is who did it.
        member: String,
    },
    /// The thread has a new name, which is the text.
    Rename,
    /// Words of the messenger or the organisation.
    Notice,
    /// A message that could not be decrypted; the text says why.
    Undecryptable,
}

/// How far a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiptAction {
    /// It was shown.
    Read,
    /// It arrived at the device.
    Delivered,
}

/// A file that a line names.
#[derive(Clone, PartialEq, Eq)]
pub struct AttachmentRef {
    /// What the sender called it: 1 to [`NAME_MAX`] bytes without `/`, `\` and control characters.
    /// Not unique, perhaps `..`: no path to write to.
    pub name: String,
    /// Its media type (RFC 6838), as the sender stated it.
    pub media_type: String,
    /// Length of the clear file in bytes.
    pub size: u64,
    /// SHA-256 of the clear file.
    pub sha256: Digest,
}

/// What a thread is.
#[derive(Clone, PartialEq, Eq)]
pub struct ConversationInfo {
    /// Between two people or in a group.
    pub kind: Option<ConversationKind>,
    /// What its members call it.
    pub name: Option<String>,
    /// Ids of everybody in it.
    pub members: Option<Vec<String>>,
    /// The messenger.
    pub platform: Option<String>,
}

/// The kinds of threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConversationKind {
    /// Between two people.
    Direct,
    /// A group.
    Group,
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({}, redacted)", self.kind.name())
    }
}

impl fmt::Debug for ContentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentKind({}, redacted)", self.name())
    }
}

impl fmt::Debug for AttachmentRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AttachmentRef({} bytes, redacted)", self.size)
    }
}

impl fmt::Debug for ConversationInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConversationInfo(redacted)")
    }
}

impl ContentKind {
    /// The word that stands for it in `type`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Message { .. } => "message",
            Self::Edit { .. } => "edit",
            Self::Deletion { .. } => "deletion",
            Self::Reaction { .. } => "reaction",
            Self::Receipt { .. } => "receipt",
            Self::Join { .. } => "join",
            Self::Leave { .. } => "leave",
            Self::Rename => "rename",
            Self::Notice => "notice",
            Self::Undecryptable => "undecryptable",
        }
    }

    /// The message that it is about, if it is about one.
    pub fn target(&self) -> Option<&str> {
        match self {
            Self::Edit { target, .. }
            | Self::Deletion { target }
            | Self::Reaction { target, .. }
            | Self::Receipt { target, .. } => Some(target),
            _ => None,
        }
    }

    /// The files that it names.
    pub fn attachments(&self) -> &[AttachmentRef] {
        match self {
            Self::Message { attachments, .. } | Self::Edit { attachments, .. } => attachments,
            _ => &[],
        }
    }
}

impl Content {
    /// Reads a line strictly, as sealing does. A version 1 line is a message and nothing else.
    ///
    /// # Errors
    /// [`MessageError::Field`] with the first member found that breaks version 2, or an unknown `v`.
    pub fn parse(message: &Message<'_>) -> Result<Self, MessageError> {
        let mut members = Members::of(message)?;
        let text = members.words()?;
        match members.version()? {
            1 => Ok(Self::of_version_1(text)),
            _ => members.content(text),
        }
    }

    /// Reads a line that is in an archive already, and never fails: what breaks version 2, or is of
    /// a version not known here, is read as version 1, and the fault is given with it.
    pub fn read(message: &Message<'_>) -> (Self, Option<MessageError>) {
        Self::parse(message).map_or_else(
            |fault| {
                let text = Members::of(message).and_then(|mut m| m.words()).unwrap_or_default();
                (Self::of_version_1(text), Some(fault))
            },
            |content| (content, None),
        )
    }

    /// A message with a text and nothing else.
    pub const fn of_version_1(text: String) -> Self {
        let kind = ContentKind::Message { reply_to: None, attachments: Vec::new(), high: false };
        Self { kind, text, conversation: None, seq: None, epoch: None }
    }

    /// Everybody whom the line names beside its sender; an id can come twice.
    pub fn people(&self) -> impl Iterator<Item = &str> {
        let one = match &self.kind {
            ContentKind::Join { member } | ContentKind::Leave { member } => Some(member),
            _ => None,
        };
        let members = self.conversation.as_ref().and_then(|c| c.members.as_deref()).unwrap_or_default();
        one.into_iter().chain(members).map(String::as_str)
    }
}

#[cfg(test)]
#[path = "content_tests.rs"]
mod tests;
