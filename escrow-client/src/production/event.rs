//! What a production tells of a thread, before any format: one day's events of one conversation.

use crate::archive::{AttachmentRef, ReceiptAction};
use escrow_core::{Timestamp, Token};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EventKind {
    /// Somebody wrote.
    Message,
    /// Somebody came.
    Join,
    /// Somebody left.
    Leave,
    /// The conversation changed its name.
    History,
    /// Words of the messenger or the organisation.
    Disclaimer,
    /// Something that cannot be shown as one of these; the body says why.
    Unknown,
}

/// One event. Message content: never printed.
#[derive(Clone)]
pub(super) struct Event {
    /// Unique in its thread.
    pub(super) id: String,
    /// What happened.
    pub(super) kind: EventKind,
    /// Who did it; none if nobody knows.
    pub(super) participant: Option<String>,
    /// When, by the clock of whoever did it.
    pub(super) at: Timestamp,
    /// Number of its line in the archive; 0 for what has no line.
    pub(super) line: u64,
    /// The words, the last ones if they were edited.
    pub(super) body: String,
    /// Id of the message that it answers.
    pub(super) reply_to: Option<String>,
    /// Taken back by its sender or another.
    pub(super) deleted: bool,
    /// Marked as important.
    pub(super) high: bool,
    /// Reactions that stayed.
    pub(super) reactions: Vec<Reaction>,
    /// Files that came with it and could be read.
    pub(super) attachments: Vec<Attachment>,
    /// Edits in the order of the archive.
    pub(super) edits: Vec<Edit>,
    /// Receipts in the order of the archive.
    pub(super) receipts: Vec<Receipt>,
    /// More that is known, by name.
    pub(super) custom: BTreeMap<&'static str, String>,
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Event({:?}, line {}, redacted)", self.kind, self.line)
    }
}

/// One value that some people put on a message.
#[derive(Clone)]
pub(super) struct Reaction {
    /// An emoji or the like.
    pub(super) value: String,
    /// Who, each once, in the order of the archive.
    pub(super) participants: Vec<String>,
}

/// A file that came with an event.
#[derive(Clone)]
pub(super) struct Attachment {
    /// What the line says of it.
    pub(super) file: AttachmentRef,
    /// Position of the released item whose key opens it.
    pub(super) item: usize,
}

impl Attachment {
    /// A name that is safe on every file system and the same for the same bytes: 32 digits of the
    /// digest and the extension, if that is plain.
    #[must_use]
    pub(super) fn file_name(&self) -> String {
        let digits: String = self.file.sha256.to_string().chars().take(32).collect();
        match self.extension() {
            "" => digits,
            extension => format!("{digits}.{extension}"),
        }
    }

    /// The extension of its name, if it is 1 to 8 letters or digits.
    #[must_use]
    pub(super) fn extension(&self) -> &str {
        let plain = |e: &&str| (1..=8).contains(&e.len()) && e.bytes().all(|b| b.is_ascii_alphanumeric());
        self.file.name.rsplit_once('.').map(|(_, e)| e).filter(plain).unwrap_or_default()
    }
}

/// One new text of a message.
#[derive(Clone)]
pub(super) struct Edit {
    /// Who changed it.
    pub(super) participant: String,
    /// When; none if the clock says that it was before the message.
    pub(super) at: Option<Timestamp>,
    /// The text before.
    pub(super) previous: String,
    /// The text after.
    pub(super) new: String,
}

/// How far a message came with somebody.
#[derive(Clone)]
pub(super) struct Receipt {
    /// With whom.
    pub(super) participant: String,
    /// When.
    pub(super) at: Timestamp,
    /// How far.
    pub(super) action: ReceiptAction,
}

/// What a conversation is, the same in all its slices.
#[derive(Clone)]
pub(super) struct Conversation {
    /// The messenger's id of the thread; of one that nothing could be opened of, its token.
    pub(super) id: String,
    /// The thread's token, which names it in statements.
    pub(super) token: Token,
    /// What its members call it, or their names.
    pub(super) display: String,
    /// Two people who stay two; else a group.
    pub(super) direct: bool,
    /// The messenger.
    pub(super) platform: String,
    /// Whose data it is: the depositor, if they are known here and take part.
    pub(super) custodian: Option<String>,
    /// Number of the conversation in the production, from 1.
    pub(super) number: usize,
    /// Everybody whom its production names, by id.
    pub(super) people: BTreeMap<String, String>,
}

/// One file's worth: at most so many events of one conversation on one local day.
pub(super) struct Slice<'a> {
    /// The conversation.
    pub(super) conversation: &'a Conversation,
    /// The local day.
    pub(super) day: jiff::civil::Date,
    /// Number of the part of that day, from 1.
    pub(super) part: usize,
    /// Members at the first event.
    pub(super) members: BTreeSet<String>,
    /// The events by time, those of one instant in the order of the archive.
    pub(super) events: Vec<Event>,
}

impl Slice<'_> {
    /// What its files are called, without an extension.
    #[must_use]
    pub(super) fn name(&self) -> String {
        format!("{:05}-{}-{:03}", self.conversation.number, self.day, self.part)
    }

    /// Everybody whom the slice names, by id with their display names; members first known stay even if silent.
    #[must_use]
    pub(super) fn people(&self) -> BTreeMap<&str, &str> {
        let mut ids: BTreeSet<&str> = self.members.iter().map(String::as_str).collect();
        for e in &self.events {
            ids.extend(e.participant.as_deref());
            ids.extend(e.reactions.iter().flat_map(|r| &r.participants).map(String::as_str));
            ids.extend(e.edits.iter().map(|e| e.participant.as_str()));
            ids.extend(e.receipts.iter().map(|r| r.participant.as_str()));
        }
        ids.into_iter().map(|id| (id, self.display(id))).collect()
    }

    /// Whose data it is, if they are a member now.
    #[must_use]
    pub(super) fn custodian(&self) -> Option<&str> {
        self.conversation.custodian.as_deref().filter(|c| self.members.contains(*c))
    }

    /// What somebody is called.
    #[must_use]
    pub(super) fn display<'s>(&'s self, id: &'s str) -> &'s str {
        self.conversation.people.get(id).map_or(id, String::as_str)
    }

    /// First and last instant; none without events.
    #[must_use]
    pub(super) fn span(&self) -> Option<(Timestamp, Timestamp)> {
        let times = || self.events.iter().map(|e| e.at);
        times().min().zip(times().max())
    }
}
