//! Messages as they arrive: JSON Lines, plain or gzip, one object a line, kept byte for byte.
//!
//! Only five members are read; every other member, the order, the spacing and the escapes stay as
//! they are, because the line itself is the evidence.

use escrow_core::Timestamp;
use flate2::bufread::MultiGzDecoder;
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use zeroize::Zeroizing;

/// Longest line, bytes, its line feed not counted.
pub const LINE_MAX: usize = 1024 * 1024;
/// Longest `thread`, `message_id` or `sender`, bytes of UTF-8.
pub const ID_MAX: usize = 256;

/// What is wrong with the input, and where. Never quotes the input: errors end up in logs.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// The input ends early, is not valid gzip after all, or its source fails.
    #[error("line {line}: the input cannot be read: {source}; check the file and seal again")]
    Read {
        /// Line being read, from 1.
        line: u64,
        /// What the system or the decompressor says.
        source: io::Error,
    },
    /// A line above [`LINE_MAX`].
    #[error("line {line}: longer than {LINE_MAX} bytes; is the input one JSON object a line?")]
    TooLong {
        /// The line, from 1.
        line: u64,
    },
    /// Nothing but spaces.
    #[error("line {line}: blank; remove it, every line is one message")]
    Blank {
        /// The line, from 1.
        line: u64,
    },
    /// Not UTF-8.
    #[error("line {line}: not UTF-8; export the messages again as UTF-8")]
    NotUtf8 {
        /// The line, from 1.
        line: u64,
    },
    /// Not JSON, not an object, or more than one.
    #[error("line {line}, column {column}: not one JSON object (RFC 8259); correct the line and seal again")]
    NotAnObject {
        /// The line, from 1.
        line: u64,
        /// Byte in the line, from 1, at which it stopped being one.
        column: usize,
    },
    /// A needed member is missing, twice there, or not what it must be.
    #[error("line {line}: `{field}` {problem}; correct the line and seal again")]
    Field {
        /// The line, from 1.
        line: u64,
        /// The member.
        field: &'static str,
        /// What it must be.
        problem: &'static str,
    },
}

/// One message: the exact line, and what was read from it.
pub struct Message<'a> {
    /// Number of the line in the input, from 1.
    pub line: u64,
    /// The line without its line feed; a carriage return before it belongs to the line.
    pub bytes: &'a [u8],
    /// The messenger's id of the thread.
    pub thread: Cow<'a, str>,
    /// The messenger's id of the message; ids repeat in real archives.
    pub message_id: Cow<'a, str>,
    /// The messenger's id of who sent it.
    pub sender: Cow<'a, str>,
    /// When, by the sender's clock; times repeat and run backwards in real archives.
    pub sent_at: Timestamp,
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message(line {}, {} bytes, redacted)", self.line, self.bytes.len())
    }
}

impl<'a> Message<'a> {
    /// Reads one line, given without its line feed.
    ///
    /// # Errors
    /// [`MessageError`] with the line number and the member.
    pub fn parse(bytes: &'a [u8], line: u64) -> Result<Self, MessageError> {
        if bytes.len() > LINE_MAX {
            return Err(MessageError::TooLong { line });
        }
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err(MessageError::Blank { line });
        }
        if std::str::from_utf8(bytes).is_err() {
            return Err(MessageError::NotUtf8 { line });
        }
        // The first pass is the grammar; the second reads strings raw, because `text` may hold
        // half a surrogate pair, which is legal JSON and no legal Rust string.
        serde_json::from_slice::<IgnoredAny>(bytes)
            .map_err(|e| MessageError::NotAnObject { line, column: e.column() })?;
        let at = At { field: Cell::new(None), problem: Cell::new("must be a string") };
        let mut input = serde_json::Deserializer::from_slice(bytes);
        let members = de::Deserializer::deserialize_map(&mut input, &at).map_err(|_| match at.field.get() {
            Some(field) => MessageError::Field { line, field, problem: at.problem.get() },
            None => MessageError::NotAnObject { line, column: 1 },
        })?;
        let id = |field, value: Option<Cow<'a, [u8]>>| {
            let fault = |problem| MessageError::Field { line, field, problem };
            let value = text(value.ok_or(fault("is missing"))?).ok_or(fault("must be valid Unicode"))?;
            if value.is_empty() || value.len() > ID_MAX { Err(fault("must be 1 to 256 bytes")) } else { Ok(value) }
        };
        let thread = id("thread", members.thread)?;
        let message_id = id("message_id", members.message_id)?;
        let sender = id("sender", members.sender)?;
        let sent_at = id("sent_at", members.sent_at)?;
        let sent_at = Timestamp::from_rfc3339(&sent_at).map_err(|_| MessageError::Field {
            line,
            field: "sent_at",
            problem: "must be an RFC 3339 time from 1970 on, such as 2026-11-21T09:30:00Z",
        })?;
        if members.text.is_none() {
            return Err(MessageError::Field { line, field: "text", problem: "is missing" });
        }
        Ok(Self { line, bytes, thread, message_id, sender, sent_at })
    }
}

fn text(bytes: Cow<'_, [u8]>) -> Option<Cow<'_, str>> {
    match bytes {
        Cow::Borrowed(b) => std::str::from_utf8(b).ok().map(Cow::Borrowed),
        Cow::Owned(b) => String::from_utf8(b).ok().map(Cow::Owned),
    }
}

/// Which member the parser was at when it failed, and why: serde's own error quotes the input.
struct At {
    field: Cell<Option<&'static str>>,
    problem: Cell<&'static str>,
}

#[derive(Default)]
struct Members<'de> {
    thread: Option<Cow<'de, [u8]>>,
    message_id: Option<Cow<'de, [u8]>>,
    sender: Option<Cow<'de, [u8]>>,
    sent_at: Option<Cow<'de, [u8]>>,
    text: Option<Cow<'de, [u8]>>,
}

impl<'de> Visitor<'de> for &At {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members = Members::default();
        while let Some(Raw(name)) = map.next_key()? {
            let (field, slot) = match name.as_ref() {
                b"thread" => ("thread", &mut members.thread),
                b"message_id" => ("message_id", &mut members.message_id),
                b"sender" => ("sender", &mut members.sender),
                b"sent_at" => ("sent_at", &mut members.sent_at),
                b"text" => ("text", &mut members.text),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            self.field.set(Some(field));
            if slot.is_some() {
                // Two readers could take two different values for the truth.
                self.problem.set("is there twice");
                return Err(de::Error::custom("twice"));
            }
            *slot = Some(map.next_value::<Raw<'de>>()?.0);
            self.field.set(None);
        }
        Ok(members)
    }
}

/// A JSON string with its escapes resolved, as bytes.
pub(super) struct Raw<'de>(pub(super) Cow<'de, [u8]>);

impl<'de> Deserialize<'de> for Raw<'de> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl<'de> Visitor<'de> for Bytes {
            type Value = Raw<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_bytes<E>(self, v: &'de [u8]) -> Result<Raw<'de>, E> {
                Ok(Raw(Cow::Borrowed(v)))
            }
            fn visit_bytes<E>(self, v: &[u8]) -> Result<Raw<'de>, E> {
                Ok(Raw(Cow::Owned(v.to_vec())))
            }
        }
        d.deserialize_bytes(Bytes)
    }
}

/// Reads messages one after the other, holding one line at a time.
///
/// Gzip is recognised by its first two bytes, several members in a row included; however much it
/// expands to, at most [`LINE_MAX`] bytes of it are held.
pub struct Messages<'a> {
    input: Box<dyn BufRead + 'a>,
    buffer: Zeroizing<Vec<u8>>,
    line: u64,
}

impl<'a> Messages<'a> {
    /// Looks at the first two bytes of the input.
    ///
    /// # Errors
    /// [`MessageError::Read`].
    pub fn new(mut input: impl Read + 'a) -> Result<Self, MessageError> {
        let mut start = Vec::with_capacity(2);
        // `read` may give one byte; `take` and `read_to_end` insist.
        (&mut input).take(2).read_to_end(&mut start).map_err(|source| MessageError::Read { line: 1, source })?;
        let gzip = start == [0x1f, 0x8b];
        let whole = BufReader::new(Cursor::new(start).chain(input));
        let input: Box<dyn BufRead + 'a> =
            if gzip { Box::new(BufReader::new(MultiGzDecoder::new(whole))) } else { Box::new(whole) };
        Ok(Self { input, buffer: Zeroizing::new(Vec::new()), line: 0 })
    }

    /// The next message, or none at the end of the input.
    ///
    /// # Errors
    /// [`MessageError`]; reading on after one is pointless.
    #[allow(clippy::should_implement_trait)] // it lends its buffer, which Iterator cannot say
    pub fn next(&mut self) -> Result<Option<Message<'_>>, MessageError> {
        if self.read_line()? { self.message().map(Some) } else { Ok(None) }
    }

    /// Reads the next line, or as much of it as is looked at; false at the end of the input.
    pub(super) fn read_line(&mut self) -> Result<bool, MessageError> {
        self.line += 1;
        self.read_on()?;
        Ok(!self.buffer.is_empty())
    }

    /// Reads on in a line that is longer than [`LINE_MAX`].
    pub(super) fn read_on(&mut self) -> Result<(), MessageError> {
        self.buffer.clear();
        (&mut self.input)
            .take(LINE_MAX as u64 + 1)
            .read_until(b'\n', &mut self.buffer)
            .map_err(|source| MessageError::Read { line: self.line, source })?;
        Ok(())
    }

    /// What was read last, its line feed included.
    pub(super) fn raw(&self) -> &[u8] {
        &self.buffer
    }

    /// True if nothing of the line is left to read.
    pub(super) fn at_line_end(&self) -> bool {
        self.buffer.len() <= LINE_MAX || self.buffer.ends_with(b"\n")
    }

    /// The message in the line that was read last.
    pub(super) fn message(&self) -> Result<Message<'_>, MessageError> {
        let line = self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer);
        Message::parse(line, self.line)
    }
}

impl fmt::Debug for Messages<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Messages(after line {})", self.line)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write as _;

    const GOOD: &str = r#"{"thread":"t","message_id":"m","sender":"s","sent_at":"2018-05-05T21:01:14Z","text":""}"#;

    fn error(line: &str) -> String {
        Message::parse(line.as_bytes(), 7).unwrap_err().to_string()
    }

    #[test]
    fn members_are_read_whatever_stands_around_them() {
        let odd = " {\"x\":{\"thread\":[1e999,null]},\"text\":\"\\ud83d \\\"\",\"sent_at\":\"2018-05-06T01:00:00.5+02:00\",\
                   \"s\\u0065nder\":\"\\u00e9\\n\",\"message_id\":\"m\",\"x\":1,\"thread\":\"t\"} \r";
        let m = Message::parse(odd.as_bytes(), 1).unwrap();
        assert_eq!((m.thread.as_ref(), m.sender.as_ref(), m.bytes), ("t", "é\n", odd.as_bytes()));
        assert_eq!(m.sent_at.to_string(), "2018-05-05T23:00:00.500Z");
        assert!(!format!("{m:?}").contains("é"));
    }

    #[test]
    fn every_fault_names_line_member_and_remedy() {
        for (from, to, words) in [
            (r#""thread":"t","#, "", "line 7: `thread` is missing; correct"),
            (r#""thread":"t""#, r#""thread":null"#, "line 7: `thread` must be a string;"),
            (r#""thread":"t""#, r#""thread":["t"]"#, "line 7: `thread` must be a string;"),
            (r#""thread":"t""#, r#""thread":"""#, "line 7: `thread` must be 1 to 256 bytes;"),
            (r#""thread":"t""#, r#""thread":"t","thread":"u""#, "line 7: `thread` is there twice;"),
            (r#""thread":"t""#, r#""thread":"t","thr\u0065ad":"t""#, "line 7: `thread` is there twice;"),
            (r#""sender":"s""#, r#""sender":"\ud800""#, "line 7: `sender` must be valid Unicode;"),
            (r#""sender":"s""#, r#""sender":5"#, "line 7: `sender` must be a string;"),
            (r#""message_id":"m""#, r#""message_id":{}"#, "line 7: `message_id` must be a string;"),
            ("2018-05-05T21:01:14Z", "yesterday", "line 7: `sent_at` must be an RFC 3339 time"),
            ("2018-05-05T21:01:14Z", "1969-12-31T23:59:59Z", "line 7: `sent_at` must be an RFC 3339 time"),
            (r#","text":"""#, "", "line 7: `text` is missing;"),
            (r#""text":"""#, r#""text":false"#, "line 7: `text` must be a string;"),
            (r#""text":"""#, "\"text\":\"\t\"", "not one JSON object"),
            ("}", "}{}", "not one JSON object"),
            ("}", "", "not one JSON object"),
        ] {
            let bad = GOOD.replacen(from, to, 1);
            assert_ne!(bad, GOOD);
            assert!(error(&bad).contains(words), "{bad}: {}", error(&bad));
        }
        assert!(error("[]").contains("not one JSON object") && error(" \r").contains("line 7: blank"));
        assert!(matches!(Message::parse(b"{\"a\":\"\xff\"}", 7), Err(MessageError::NotUtf8 { line: 7 })));
        assert!(error(&GOOD.replace("\"s\"", &format!("\"{}\"", "s".repeat(257)))).contains("1 to 256 bytes"));
        assert!(Message::parse(GOOD.replace("\"s\"", &format!("\"{}\"", "s".repeat(256))).as_bytes(), 1).is_ok());
    }

    fn lines(input: &[u8]) -> Result<Vec<Vec<u8>>, MessageError> {
        let mut messages = Messages::new(input)?;
        let mut out = Vec::new();
        while let Some(m) = messages.next()? {
            assert_eq!(m.line, out.len() as u64 + 1);
            out.push(m.bytes.to_vec());
        }
        Ok(out)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut e = GzEncoder::new(Vec::new(), Compression::fast());
        e.write_all(bytes).unwrap();
        e.finish().unwrap()
    }

    #[test]
    fn plain_and_gzip_give_the_same_lines() {
        let input = format!("{GOOD}\r\n{GOOD}\n{GOOD}");
        let expected = vec![format!("{GOOD}\r").into_bytes(), GOOD.into(), GOOD.into()];
        assert_eq!(lines(input.as_bytes()).unwrap(), expected);
        assert_eq!(lines(&gzip(input.as_bytes())).unwrap(), expected);
        let two = [gzip(format!("{GOOD}\r\n").as_bytes()), gzip(format!("{GOOD}\n{GOOD}\n").as_bytes())].concat();
        assert_eq!(lines(&two).unwrap(), expected);
        let cut = gzip(input.as_bytes());
        assert!(matches!(lines(&cut[..cut.len() - 9]), Err(MessageError::Read { .. })));
        assert!(matches!(lines(&[cut.as_slice(), b"junk"].concat()), Err(MessageError::Read { line: 3, .. })));
        assert!(matches!(lines(format!("{GOOD}\n\n{GOOD}").as_bytes()), Err(MessageError::Blank { line: 2 })));
        assert_eq!(lines(b"").unwrap(), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn a_line_is_bounded_and_so_is_a_bomb() {
        let fill = |n: usize| GOOD.replace("\"text\":\"\"", &format!("\"text\":\"{}\"", "x".repeat(n - GOOD.len())));
        let fits = format!("{}\n{GOOD}\n", fill(LINE_MAX));
        assert_eq!(lines(fits.as_bytes()).unwrap().len(), 2);
        let over = format!("{GOOD}\n{}\n", fill(LINE_MAX + 1));
        assert!(matches!(lines(over.as_bytes()), Err(MessageError::TooLong { line: 2 })));
        let bomb = gzip(&vec![b' '; 64 * LINE_MAX]);
        let mut messages = Messages::new(bomb.as_slice()).unwrap();
        assert!(matches!(messages.next(), Err(MessageError::TooLong { line: 1 })));
        assert!(messages.buffer.capacity() <= 4 * LINE_MAX);
    }
}
