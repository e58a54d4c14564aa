//! One sealed segment: the messages of one thread and one window of time, under one thread key.
//!
//! ```text
//! magic        7 bytes  "ESCSEG\0"
//! version      1 byte   1
//! length       u32      of the fields that follow, at most 4096
//! fields       each with its length as u64 before it: label "escrow/v1/archive", org, thread token
//!              as text, era, epoch, window start and end in milliseconds since 1970 (numbers: u64)
//! commitment   32 bytes
//! records      kind (1 byte: 0 message, 1 final), length of the rest (u32), nonce (12), ciphertext, tag (16)
//! ```
//!
//! All numbers are big-endian. `L(label, a, b, ...)` is [`Labelled`].
//!
//! * `PRK = HKDF-Extract(salt = none, ikm = thread key)`; the thread key is used for nothing but this PRK.
//! * `commitment = HKDF-Expand(PRK, L("escrow/v1/archive-key", SHA-256(magic .. fields)), 32)`
//! * `header = SHA-256(magic .. commitment)`
//! * `record key = HKDF-Expand(PRK, L("escrow/v1/archive", "record-key", header), 32)`
//! * record `i` (from 0), AES-256-GCM, random nonce, associated data
//!   `L("escrow/v1/archive", "record", header, i, previous, kind)`, where `previous` is the SHA-256 of
//!   the previous record's bytes (kind to tag), and `header` itself for the first.
//! * clear text of a message: line number in the input (u64), length of the message id (u16), message
//!   id, exact line. Of the final record: how many message records there are (u64).
//! * `archive digest = SHA-256` of the whole file.
//!
//! The message id is bound by standing inside the authenticated text and not in the associated
//! data: who does not have the key must not be able to read it or to test guesses at it.
//! Organisation, thread, era, epoch and window are bound through `header`.
//!
//! AES-GCM does not commit to its key, hence the commitment: one segment can never open to two
//! different conversations under two keys (Len, Grubbs, Ristenpart, USENIX Security 2021).

use super::message::{ID_MAX, LINE_MAX, Message, MessageError};
use aes_gcm::aead::{Aead as _, Payload};
use aes_gcm::{Aes256Gcm, KeyInit as _};
use escrow_core::deal::About;
use escrow_core::label::{Labelled, labels};
use escrow_core::{Digest, Org, ThreadKey, Timestamp, Token, random};
use hkdf::Hkdf;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::ops::Range;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// Largest segment, bytes: what opening one may hold in memory.
pub const SEGMENT_MAX: u64 = 256 * 1024 * 1024;

const MAGIC: &[u8; 7] = b"ESCSEG\0";
const VERSION: u8 = 1;
/// Bytes before the fields.
pub(super) const PREFIX: usize = MAGIC.len() + 1 + 4;
pub(super) const FIELDS_MAX: usize = 4096;
pub(super) const NONCE: usize = 12;
pub(super) const TAG: usize = 16;
pub(super) const RECORD_MAX: usize = NONCE + 8 + 2 + ID_MAX + LINE_MAX + TAG;
pub(super) const FINAL_RECORD: u64 = 1 + 4 + (NONCE + 8 + TAG) as u64;
const MESSAGE: u8 = 0;
pub(super) const FINAL: u8 = 1;

/// Why a segment is refused. Nothing of a refused segment may be shown.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
pub enum SegmentError {
    /// Not the file that the item names.
    #[error(
        "the file is not the one the item names: altered, cut, or from another sealing; ask its keeper for the file with this digest"
    )]
    Digest,
    /// Above [`SEGMENT_MAX`].
    #[error("larger than {SEGMENT_MAX} bytes; seal the input in parts, each into its own folder")]
    TooLarge,
    /// Another file format.
    #[error("not a sealed segment; the depositor escrowed the digest of some other file")]
    NotASegment,
    /// A later or unknown version.
    #[error("segment format {0} is not known here; use a version of this program that knows it")]
    Version(u8),
    /// A header that no version 1 writer makes.
    #[error("malformed header; the depositor's program is at fault")]
    Header,
    /// The header is about something else than the item.
    #[error("the segment is about another {0} than the item; the depositor escrowed it wrongly")]
    About(&'static str),
    /// The key is not the one it was sealed under.
    #[error(
        "the key does not fit the segment's key commitment; the key belongs to another segment, or the depositor escrowed it wrongly"
    )]
    Key,
    /// It ends within a record or before the final one.
    #[error("ends in or before record {0}, without its final record; the depositor sealed an incomplete segment")]
    Truncated(u64),
    /// A record of impossible kind or length.
    #[error("record {0} is malformed; the depositor's program is at fault")]
    Malformed(u64),
    /// A record altered, left out, repeated or moved.
    #[error("record {0} does not open: altered, moved, or out of its chain")]
    Record(u64),
    /// The final record tells another count.
    #[error("{found} messages, {stated} stated; the depositor sealed an incomplete segment")]
    Count {
        /// Message records read.
        found: u64,
        /// What the final record says.
        stated: u64,
    },
    /// Bytes after the final record.
    #[error("bytes after the final record; the depositor's program is at fault")]
    Trailing,
    /// A record opens to something that is not what it says; see the rule.
    #[error("record {record}: {rule}; the depositor's program is at fault")]
    Content {
        /// Position of the record, from 0.
        record: u64,
        /// What it breaks.
        rule: &'static str,
    },
}

/// What a segment is about, readable without its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The organisation.
    pub org: Org,
    /// The thread.
    pub thread: Token,
    /// Era of the thread.
    pub era: u64,
    /// Epoch of the key: for archive keys the UTC day, counted from 1970-01-01.
    pub epoch: u64,
    /// First instant covered.
    pub from: Timestamp,
    /// First instant after.
    pub to: Timestamp,
}

impl SegmentHeader {
    /// The header that a segment must have to belong to an item.
    pub fn of(org: &Org, about: &About) -> Self {
        Self {
            org: org.clone(),
            thread: about.thread,
            era: about.era,
            epoch: about.epoch,
            from: about.from,
            to: about.to,
        }
    }

    /// Magic to fields, without the commitment.
    fn encode(&self) -> Vec<u8> {
        let ms = |t: Timestamp| u64::try_from(t.millis()).unwrap_or_default();
        let fields = Labelled::new(labels::ARCHIVE)
            .bytes(self.org.as_str().as_bytes())
            .bytes(self.thread.to_string().as_bytes())
            .u64(self.era)
            .u64(self.epoch)
            .u64(ms(self.from))
            .u64(ms(self.to))
            .finish();
        let mut out = MAGIC.to_vec();
        out.push(VERSION);
        out.extend_from_slice(&(fields.len() as u32).to_be_bytes()); // words are short: far below 4096
        out.extend_from_slice(&fields);
        out
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<(Self, usize), SegmentError> {
        let mut input = Input(bytes);
        if input.take(MAGIC.len()) != Some(MAGIC) {
            return Err(SegmentError::NotASegment);
        }
        let [version] = input.array::<1>().ok_or(SegmentError::NotASegment)?;
        if version != VERSION {
            return Err(SegmentError::Version(version));
        }
        let header = input
            .u32()
            .filter(|n| *n <= FIELDS_MAX)
            .and_then(|n| input.take(n))
            .and_then(|fields| Self::fields(Input(fields)))
            .ok_or(SegmentError::Header)?;
        let end = bytes.len() - input.0.len();
        // One header has one spelling: whatever else parses to it is refused.
        if bytes.get(..end) == Some(header.encode().as_slice()) { Ok((header, end)) } else { Err(SegmentError::Header) }
    }

    fn fields(mut input: Input<'_>) -> Option<Self> {
        input.field().filter(|label| *label == labels::ARCHIVE.as_bytes())?;
        let org = std::str::from_utf8(input.field()?).ok()?.parse().ok()?;
        let thread = std::str::from_utf8(input.field()?).ok()?.parse().ok()?;
        let mut number = || Some(u64::from_be_bytes(input.field()?.try_into().ok()?));
        let (era, epoch) = (number()?, number()?);
        let mut time = || Some(Timestamp::from_millis(i64::try_from(number()?).ok()?));
        let (from, to) = (time()?, time()?);
        (input.0.is_empty() && from < to).then_some(Self { org, thread, era, epoch, from, to })
    }

    pub(super) fn compare(&self, expected: &Self) -> Result<(), SegmentError> {
        let same = |ok: bool, what| if ok { Ok(()) } else { Err(SegmentError::About(what)) };
        same(self.org == expected.org, "organisation")?;
        same(self.thread == expected.thread, "thread")?;
        same(self.era == expected.era, "era")?;
        same(self.epoch == expected.epoch, "epoch")?;
        same((self.from, self.to) == (expected.from, expected.to), "window of time")
    }
}

/// Bytes still to read; every step is checked.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u32(&mut self) -> Option<usize> {
        self.array().map(u32::from_be_bytes).and_then(|n| usize::try_from(n).ok())
    }

    fn field(&mut self) -> Option<&'a [u8]> {
        let n = usize::try_from(u64::from_be_bytes(self.array()?)).ok()?;
        self.take(n)
    }
}

/// The two keys of a segment, and where its chain starts.
struct Chain {
    cipher: Aes256Gcm,
    header: Digest,
    previous: Digest,
    position: u64,
}

impl Chain {
    /// Derives commitment and chain from the header bytes up to the fields.
    fn derive(key: &ThreadKey, fields: &[u8]) -> ([u8; 32], Self) {
        let prk = Hkdf::<Sha256>::new(None, key.expose());
        let mut commitment = [0u8; 32];
        // Expand fails only above 255 * 32 bytes of output (RFC 5869 section 2.3).
        let info = Labelled::new(labels::ARCHIVE_KEY).digest(&Digest::of(fields)).finish();
        let _ = prk.expand(&info, &mut commitment);
        let header = Digest(Sha256::new().chain_update(fields).chain_update(commitment).finalize().into());
        let mut record_key = Zeroizing::new([0u8; 32]);
        let info = Labelled::new(labels::ARCHIVE).bytes(b"record-key").digest(&header).finish();
        let _ = prk.expand(&info, record_key.as_mut_slice());
        let cipher = Aes256Gcm::new((&*record_key).into());
        (commitment, Self { cipher, header, previous: header, position: 0 })
    }

    fn aad(&self, kind: u8) -> Vec<u8> {
        Labelled::new(labels::ARCHIVE)
            .bytes(b"record")
            .digest(&self.header)
            .u64(self.position)
            .digest(&self.previous)
            .u64(u64::from(kind))
            .finish()
    }

    fn step(&mut self, record: &[u8]) {
        self.previous = Digest::of(record);
        self.position += 1;
    }
}

/// Writes one segment, message by message, and never holds more than one of them.
pub struct SegmentWriter {
    chain: Chain,
    hash: Sha256,
    size: u64,
    line: u64,
}

impl SegmentWriter {
    /// Starts a segment: appends its header to `out`.
    ///
    /// One key may seal several segments as long as their headers differ, and even the same header
    /// again: nonces are random and each chain starts from its own header.
    pub fn new(header: &SegmentHeader, key: &ThreadKey, out: &mut Vec<u8>) -> Self {
        let fields = header.encode();
        let (commitment, chain) = Chain::derive(key, &fields);
        let mut writer = Self { chain, hash: Sha256::new(), size: 0, line: 0 };
        for part in [fields.as_slice(), &commitment] {
            writer.emit(part, out);
        }
        writer
    }

    /// Appends one message record to `out`; line numbers ascend.
    ///
    /// # Errors
    /// [`SegmentError::TooLarge`], and [`SegmentError::Content`] for a line number that does not
    /// ascend, an empty or too long message id, or too long a line.
    pub fn append(&mut self, message: &Message<'_>, out: &mut Vec<u8>) -> Result<(), SegmentError> {
        let id = message.message_id.as_bytes();
        let fault = |rule| SegmentError::Content { record: self.chain.position, rule };
        if message.line <= self.line {
            return Err(fault("its line number does not ascend"));
        }
        if id.is_empty() || id.len() > ID_MAX || message.bytes.len() > LINE_MAX {
            return Err(fault("its message id or line is too long"));
        }
        let mut clear = Zeroizing::new(Vec::with_capacity(10 + id.len() + message.bytes.len()));
        clear.extend_from_slice(&message.line.to_be_bytes());
        clear.extend_from_slice(&(id.len() as u16).to_be_bytes()); // at most 256
        clear.extend_from_slice(id);
        clear.extend_from_slice(message.bytes);
        self.record(MESSAGE, &clear, out)?;
        self.line = message.line;
        Ok(())
    }

    /// Line number of the last message appended, 0 before the first.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Appends the final record; gives the archive digest and the number of messages.
    ///
    /// # Errors
    /// [`SegmentError::TooLarge`].
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(Digest, u64), SegmentError> {
        let messages = self.chain.position;
        self.record(FINAL, &messages.to_be_bytes(), out)?;
        Ok((Digest(self.hash.finalize().into()), messages))
    }

    fn record(&mut self, kind: u8, clear: &[u8], out: &mut Vec<u8>) -> Result<(), SegmentError> {
        let nonce: [u8; NONCE] = random::bytes();
        let payload = Payload { msg: clear, aad: &self.chain.aad(kind) };
        // AES-GCM fails only above 2^36 bytes (NIST SP 800-38D section 5.2.1.1).
        let sealed = self.chain.cipher.encrypt((&nonce).into(), payload).map_err(|_| SegmentError::TooLarge)?;
        let length = u32::try_from(NONCE + sealed.len()).map_err(|_| SegmentError::TooLarge)?;
        let mut record = Vec::with_capacity(5 + NONCE + sealed.len());
        record.push(kind);
        record.extend_from_slice(&length.to_be_bytes());
        record.extend_from_slice(&nonce);
        record.extend_from_slice(&sealed);
        // Room for the final record is kept, so that what was taken in can always be finished.
        let room = if kind == FINAL { SEGMENT_MAX } else { SEGMENT_MAX - FINAL_RECORD };
        if self.size.saturating_add(record.len() as u64) > room {
            return Err(SegmentError::TooLarge);
        }
        self.chain.step(&record);
        self.emit(&record, out);
        Ok(())
    }

    fn emit(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
        out.extend_from_slice(bytes);
    }
}

impl fmt::Debug for SegmentWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SegmentWriter(at record {})", self.chain.position)
    }
}

/// A segment of which every byte was verified.
pub struct OpenedSegment {
    /// What it is about.
    pub header: SegmentHeader,
    /// The messenger's id of the thread, as the lines state it; the same in all of them.
    pub thread: String,
    /// Its messages, in order.
    pub records: Vec<OpenedRecord>,
}

impl fmt::Debug for OpenedSegment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenedSegment({} messages, redacted)", self.records.len())
    }
}

/// One message of an opened segment. Wiped on drop, never printed.
pub struct OpenedRecord {
    /// Number of the line in the input that was sealed, from 1.
    pub line: u64,
    clear: Zeroizing<Vec<u8>>,
    id: Range<usize>,
}

impl OpenedRecord {
    /// The exact line, without its line feed.
    pub fn bytes(&self) -> &[u8] {
        self.clear.get(self.id.end..).unwrap_or_default()
    }

    /// The messenger's id of the message.
    pub fn message_id(&self) -> &str {
        self.clear.get(self.id.clone()).and_then(|b| std::str::from_utf8(b).ok()).unwrap_or_default()
    }

    /// The line with its thread, sender and time; [`super::Content::read`] reads the rest of it.
    ///
    /// # Errors
    /// None for a record of an opened segment: its line was parsed when it was opened.
    pub fn message(&self) -> Result<Message<'_>, MessageError> {
        Message::parse(self.bytes(), self.line)
    }
}

impl fmt::Debug for OpenedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenedRecord(line {}, redacted)", self.line)
    }
}

/// Opens a whole segment, or nothing of it.
///
/// In this order: size, the digest that the item names, format and version, header against
/// `expected`, key commitment in constant time, every record in its chain, final count, nothing
/// after it. Then what the lines say is held against header and records.
///
/// # Errors
/// [`SegmentError`], which says whose fault it is.
pub fn open_segment(
    bytes: &[u8],
    digest: &Digest,
    expected: &SegmentHeader,
    key: &ThreadKey,
) -> Result<OpenedSegment, SegmentError> {
    if bytes.len() as u64 > SEGMENT_MAX {
        return Err(SegmentError::TooLarge);
    }
    if Digest::of(bytes) != *digest {
        return Err(SegmentError::Digest);
    }
    open_undigested(bytes, expected, key)
}

/// Everything but the digest, so that tests can show that each check holds without it.
fn open_undigested(bytes: &[u8], expected: &SegmentHeader, key: &ThreadKey) -> Result<OpenedSegment, SegmentError> {
    let (header, end) = SegmentHeader::parse(bytes)?;
    header.compare(expected)?;
    let (fields, rest) = bytes.split_at_checked(end).ok_or(SegmentError::Header)?;
    let (commitment, mut chain) = Chain::derive(key, fields);
    let mut input = Input(rest);
    let stated = input.array::<32>().ok_or(SegmentError::Header)?;
    if !bool::from(commitment.ct_eq(&stated)) {
        return Err(SegmentError::Key);
    }
    let mut opened = OpenedSegment { header, thread: String::new(), records: Vec::new() };
    loop {
        let record = chain.position;
        let (kind, clear) = open_record(&mut input, &mut chain)?;
        if kind == FINAL {
            let stated = clear.as_slice().try_into().map(u64::from_be_bytes);
            let stated = stated.map_err(|_| SegmentError::Content { record, rule: "the final record is 8 bytes" })?;
            return match (stated == record, input.0.is_empty()) {
                (false, _) => Err(SegmentError::Count { found: record, stated }),
                (true, false) => Err(SegmentError::Trailing),
                (true, true) => Ok(opened),
            };
        }
        opened.push(clear).map_err(|rule| SegmentError::Content { record, rule })?;
    }
}

fn open_record(input: &mut Input<'_>, chain: &mut Chain) -> Result<(u8, Zeroizing<Vec<u8>>), SegmentError> {
    let position = chain.position;
    let whole = input.0;
    let cut = SegmentError::Truncated(position);
    let [kind] = input.array::<1>().ok_or(cut)?;
    let length = input.u32().ok_or(cut)?;
    if kind > FINAL || !(NONCE + TAG..=RECORD_MAX).contains(&length) {
        return Err(SegmentError::Malformed(position));
    }
    let (nonce, sealed) = input.take(length).ok_or(cut)?.split_first_chunk::<NONCE>().ok_or(cut)?;
    let payload = Payload { msg: sealed, aad: &chain.aad(kind) };
    let clear = chain.cipher.decrypt(nonce.into(), payload).map_err(|_| SegmentError::Record(position))?;
    chain.step(whole.get(..5 + length).ok_or(cut)?);
    Ok((kind, Zeroizing::new(clear)))
}

impl OpenedSegment {
    /// Adds a record after holding it against what its line says.
    fn push(&mut self, clear: Zeroizing<Vec<u8>>) -> Result<(), &'static str> {
        let short = "shorter than its own lengths";
        let mut input = Input(&clear);
        let line = u64::from_be_bytes(input.array().ok_or(short)?);
        let length = usize::from(u16::from_be_bytes(input.array().ok_or(short)?));
        let id = input.take(length).ok_or(short)?;
        let message = Message::parse(input.0, line).map_err(|e| match e {
            MessageError::Field { .. } => "its line lacks a member that a message must have",
            _ => "its line is not one JSON object",
        })?;
        if self.records.last().is_some_and(|last| line <= last.line) || line == 0 {
            return Err("its line number does not ascend");
        }
        if message.message_id.as_bytes() != id {
            return Err("its line has another message id");
        }
        let header = &self.header;
        // Windows are half open, but the last millisecond there is has no successor.
        if message.sent_at < header.from || (message.sent_at >= header.to && header.to != Timestamp::MAX) {
            return Err("its line was sent outside the segment's window");
        }
        if self.records.is_empty() {
            self.thread = message.thread.into_owned();
        } else if self.thread != message.thread {
            return Err("its line is of another thread");
        }
        self.records.push(OpenedRecord { line, id: 10..10 + length, clear });
        Ok(())
    }
}

#[cfg(test)]
#[path = "segment_tests.rs"]
mod tests;
