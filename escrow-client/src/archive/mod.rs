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
//! Files that lines name are sealed beside the segments, under names that only the key gives.
//! [`verify`] is for whoever keeps all this and has no key.
//!
//! **What a keeper of the files sees.** Organisation, thread token, day, the number of messages,
//! the length of each line, who (as tokens) took part, and the length of each attachment. No id,
//! name, time or text.

mod attach;
mod attachment;
mod content;
mod directory;
mod frame;
mod index;
mod message;
mod open;
mod private;
mod reject;
mod ring;
mod save;
mod seal;
mod segment;
mod tally;
mod verify;
mod work;

pub use attach::{AttachmentFault, AttachmentReport, MissingAttachment};
pub use attachment::{AttachmentError, open_attachment};
pub use content::{
    ATTACHMENTS_MAX, AttachmentRef, Content, ContentKind, ConversationInfo, ConversationKind, NAME_MAX, REACTION_MAX,
    ReceiptAction,
};
pub use directory::{Directory, DirectoryError, SubjectEntry, ThreadEntry};
pub use index::{ArchiveIndex, IndexAttachment, IndexEntry, IndexError};
pub use message::{ID_MAX, LINE_MAX, Message, MessageError, Messages};
pub use open::{OpenError, OpenOptions, OpenedItem, Report, open_item, open_segments};
pub use private::FileError;
pub use reject::Rejected;
pub use ring::{KeyRing, RingError};
pub use save::{LostAttachment, SavedAttachments, save_attachments};
pub use seal::{
    Imported, PreparedArchive, SEGMENTS_MAX, SealArchiveError, SealOptions, SealedArchive, SealedSegment, import,
    prepare, seal,
};
pub use segment::{OpenedRecord, OpenedSegment, SEGMENT_MAX, SegmentError, SegmentHeader, SegmentWriter, open_segment};
pub use tally::Counts;
pub use verify::{Finding, FindingKind, Verification, verify};
