//! The archive: messages sealed under keys that the escrow then holds.
//!
//! `archive seal` reads messages as JSON Lines, makes one random thread key for each thread and
//! UTC day, and writes one sealed *segment* for each of them. The segment's SHA-256 goes into the
//! escrowed item, so neither who keeps the files nor who receives the key can drop, reorder or
//! rewrite messages unseen. `archive open` gives back exactly the lines that went in.
//!
//! Between sealing and deposit the keys wait in a [`KeyRing`], a file that only this device's own
//! sealing key opens. The [`Directory`] maps ids to tokens on the people's own machines.
//!
//! **What a keeper of the files sees.** Organisation, thread token, day, the number of messages,
//! the length of each line, and who (as tokens) took part. No id, name, time or text.

mod content;
mod directory;
mod message;
mod open;
mod private;
mod ring;
mod seal;
mod segment;

pub use content::{
    ATTACHMENTS_MAX, AttachmentRef, Content, ContentKind, ConversationInfo, ConversationKind, NAME_MAX, REACTION_MAX,
    ReceiptAction,
};
pub use directory::{Directory, DirectoryError, SubjectEntry, ThreadEntry};
pub use message::{ID_MAX, LINE_MAX, Message, MessageError, Messages};
pub use open::{OpenError, OpenOptions, OpenedItem, Report, open_item, open_segments};
pub use private::FileError;
pub use ring::{KeyRing, RingError};
pub use seal::{
    ArchiveIndex, IndexEntry, IndexError, PreparedArchive, SEGMENTS_MAX, SealArchiveError, SealOptions, SealedArchive,
    SealedSegment, prepare, seal,
};
pub use segment::{OpenedRecord, OpenedSegment, SEGMENT_MAX, SegmentError, SegmentHeader, SegmentWriter, open_segment};
