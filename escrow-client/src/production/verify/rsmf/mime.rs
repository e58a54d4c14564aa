//! The container: where the parts of a MIME message lie in the file. Header blocks are parsed by
//! `mail-parser`; bodies, which may be very long, are only walked over, line by line.

use mail_parser::{HeaderName, HeaderValue, Message, MessageParser};
use std::io::{self, BufRead, Read as _};

/// Longest block of headers, bytes.
const HEADERS_MAX: usize = 1024 * 1024;
/// Parts of one message.
const PARTS_MAX: usize = 1_000;
/// Multiparts in multiparts.
const DEPTH_MAX: usize = 8;
/// Bytes of a line that are looked at at once; the rest of a longer line is body.
const LINE_MAX: u64 = 64 * 1024;

/// A part that is no text of the message.
#[derive(Debug)]
pub(super) struct Attachment {
    /// The name that it is to be saved under.
    pub(super) name: Option<String>,
    /// True if it is disposed as an attachment.
    pub(super) disposed: bool,
    /// True if its transfer encoding is base64.
    pub(super) base64: bool,
    /// Where its body begins in the file.
    pub(super) start: u64,
    /// Where it ends, the line break before the boundary included.
    pub(super) end: u64,
}

/// What a message consists of.
#[derive(Debug, Default)]
pub(super) struct Container {
    /// Headers of the message in their order, unfolded and decoded (RFC 2047).
    pub(super) headers: Vec<(String, String)>,
    /// Addresses in its From headers.
    pub(super) senders: usize,
    /// True if a text/plain part has a character that is no space.
    pub(super) text: bool,
    /// All other parts.
    pub(super) attachments: Vec<Attachment>,
}

/// Why a file is no message.
#[derive(Debug, thiserror::Error)]
pub(super) enum MimeError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the message does not begin with headers")]
    NoHeaders,
    #[error("a block of headers has no end within {HEADERS_MAX} bytes")]
    Headers,
    #[error("a multipart names no boundary")]
    NoBoundary,
    #[error("more than {PARTS_MAX} parts, or multiparts {DEPTH_MAX} deep")]
    TooMany,
    #[error("a multipart does not end")]
    Open,
}

enum At {
    Headers(Vec<u8>),
    Text,
    Attachment(Attachment),
    /// Between parts, or in one that says nothing here.
    Nowhere,
}

struct Walk {
    out: Container,
    boundaries: Vec<Vec<u8>>,
    parts: usize,
    at: At,
}

/// Walks over a message.
pub(super) fn read(from: impl BufRead) -> Result<Container, MimeError> {
    let mut from = from;
    let start = At::Headers(Vec::new());
    let mut walk = Walk { out: Container::default(), boundaries: vec![], parts: 0, at: start };
    let (mut line, mut offset, mut fresh) = (Vec::new(), 0_u64, true);
    loop {
        line.clear();
        (&mut from).take(LINE_MAX).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return walk.finish(offset);
        }
        walk.line(&line, fresh, offset)?;
        offset += line.len() as u64;
        fresh = line.ends_with(b"\n");
    }
}

impl Walk {
    /// One line, or a piece of a very long one; `fresh` is true at a line's beginning.
    fn line(&mut self, line: &[u8], fresh: bool, offset: u64) -> Result<(), MimeError> {
        if fresh && let Some((level, last)) = self.delimiter(line) {
            self.close(offset);
            self.boundaries.truncate(if last { level } else { level + 1 });
            self.at = if last { At::Nowhere } else { At::Headers(Vec::new()) };
            return Ok(());
        }
        match &mut self.at {
            At::Headers(block) => {
                block.extend_from_slice(line);
                if block.len() > HEADERS_MAX {
                    return Err(MimeError::Headers);
                }
                if fresh && matches!(line, b"\n" | b"\r\n") {
                    let block = std::mem::take(block);
                    self.at = self.part(&block, offset + line.len() as u64)?;
                }
            }
            At::Text => self.out.text |= line.iter().any(|c| !c.is_ascii_whitespace()),
            At::Attachment(_) | At::Nowhere => {}
        }
        Ok(())
    }

    /// The level of the boundary that a line is, and whether it is the closing one.
    fn delimiter(&self, line: &[u8]) -> Option<(usize, bool)> {
        let rest = line.strip_prefix(b"--")?;
        self.boundaries.iter().enumerate().rev().find_map(|(level, boundary)| {
            let rest = rest.strip_prefix(boundary.as_slice())?.trim_ascii_end();
            matches!(rest, b"" | b"--").then_some((level, rest == b"--"))
        })
    }

    /// What follows a block of headers.
    fn part(&mut self, block: &[u8], body: u64) -> Result<At, MimeError> {
        self.parts += 1;
        if self.parts > PARTS_MAX || self.boundaries.len() > DEPTH_MAX {
            return Err(MimeError::TooMany);
        }
        let parser = MessageParser::new().with_minimal_headers().default_header_text();
        let parsed = parser.parse_headers(block);
        if self.parts == 1 {
            let message = parsed.as_ref().filter(|m| !m.headers().is_empty()).ok_or(MimeError::NoHeaders)?;
            self.headers(message);
        }
        // A part may have no headers at all; it is text then (RFC 2045 section 5.2).
        let find = |name| parsed.as_ref().and_then(|m| m.header(name));
        let kind = find(HeaderName::ContentType).and_then(HeaderValue::as_content_type);
        let is = |main: &str, sub: &str| {
            kind.is_some_and(|k| {
                k.ctype().eq_ignore_ascii_case(main) && k.subtype().is_some_and(|s| s.eq_ignore_ascii_case(sub))
            })
        };
        if kind.is_some_and(|k| k.ctype().eq_ignore_ascii_case("multipart")) {
            let boundary = kind.and_then(|k| k.attribute("boundary")).filter(|b| !b.is_empty());
            self.boundaries.push(boundary.ok_or(MimeError::NoBoundary)?.as_bytes().to_vec());
            return Ok(At::Nowhere);
        }
        let disposition = find(HeaderName::ContentDisposition).and_then(HeaderValue::as_content_type);
        let disposed = disposition.is_some_and(|d| d.ctype().eq_ignore_ascii_case("attachment"));
        let name = disposition.and_then(|d| d.attribute("filename")).or_else(|| kind.and_then(|k| k.attribute("name")));
        if !disposed && name.is_none() {
            if kind.is_none() || is("text", "plain") {
                return Ok(At::Text);
            } else if is("text", "html") {
                return Ok(At::Nowhere);
            }
        }
        let encoding = find(HeaderName::ContentTransferEncoding).and_then(HeaderValue::as_text);
        let base64 = encoding.is_some_and(|e| e.trim().eq_ignore_ascii_case("base64"));
        Ok(At::Attachment(Attachment { name: name.map(str::to_owned), disposed, base64, start: body, end: body }))
    }

    fn headers(&mut self, message: &Message<'_>) {
        for header in message.headers() {
            if header.name == HeaderName::From {
                let addresses =
                    header.value.as_address().map_or(0, |a| a.iter().filter(|a| a.address.is_some()).count());
                self.out.senders += addresses;
            }
            let text = header.value.as_text().unwrap_or_default().trim().to_owned();
            self.out.headers.push((header.name().to_owned(), text));
        }
    }

    /// Ends the part before a boundary.
    fn close(&mut self, offset: u64) {
        if let At::Attachment(mut attachment) = std::mem::replace(&mut self.at, At::Nowhere) {
            attachment.end = offset;
            self.out.attachments.push(attachment);
        }
    }

    fn finish(mut self, offset: u64) -> Result<Container, MimeError> {
        if let At::Headers(block) = &mut self.at {
            // Headers and nothing after them; a message may end so.
            let block = std::mem::take(block);
            self.at = self.part(&block, offset)?;
        }
        if !self.boundaries.is_empty() {
            return Err(MimeError::Open);
        }
        self.close(offset);
        Ok(self.out)
    }
}
