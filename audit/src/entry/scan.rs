//! Reads an entry without building it: the verifier's fast path over millions of lines.
//!
//! [`Scanned::read`] takes exactly the bytes that [`Entry::decode`] takes. That one stays the
//! definition; the scanner knows the one encoding by its shape, and whatever does not have that shape
//! goes to `decode`, which has the last word and the better error.

use super::{Entry, EntryError, MAX_DEPTH, MAX_ENTRY_LEN, MAX_INTEGER, StatementRef, is_type};
use crate::note;
use crate::tree::Hash;
use escrow_policy::Event;
use std::borrow::Cow;

/// Digits of a digest.
pub(super) type Hex = [u8; 64];
/// Digits of [`MAX_INTEGER`].
const MAX_DIGITS: usize = 16;

/// An entry's members, borrowed from its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned<'a> {
    /// Position in the log, from 0.
    pub seq: u64,
    /// The node's time in milliseconds since 1970.
    pub ts: u64,
    /// What happened.
    pub kind: &'a str,
    /// The body, canonical JSON.
    pub body: &'a [u8],
    bytes: &'a [u8],
    log: &'a [u8],
    prev: &'a Hex,
    statement: Option<(&'a Hex, &'a Hex)>,
    /// Of a cosigned event in its usual spelling: origin, size and root.
    cosigned: Option<(&'a str, u64, &'a Hex)>,
}

impl<'a> Scanned<'a> {
    /// Reads an entry.
    ///
    /// # Errors
    /// As [`Entry::decode`].
    pub fn read(bytes: &'a [u8]) -> Result<Self, EntryError> {
        Self::read_in(bytes, "")
    }

    /// [`Scanned::read`] for an entry of which one expects the origin `log`, which must be a key name
    /// that JSON writes without escapes: saves looking at it closely each time.
    pub(super) fn read_in(bytes: &'a [u8], log: &str) -> Result<Self, EntryError> {
        match shape(bytes, log) {
            Some(found) if found.cosigned.is_some() || is_canonical_body(found.body) => Ok(found),
            found => {
                Entry::decode(bytes)?;
                found.ok_or(EntryError::NotCanonical)
            }
        }
    }

    /// The entry's own bytes.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Origin of the log that the entry is in.
    #[must_use]
    pub fn log(&self) -> Cow<'a, str> {
        origin(self.log).unwrap_or_default()
    }

    /// The origin as JSON writes it, without its quotes.
    pub(super) fn log_json(&self) -> &'a [u8] {
        self.log
    }

    /// `prev` as it stands there: 64 lower-case hex digits.
    pub(super) fn prev_hex(&self) -> &'a Hex {
        self.prev
    }

    /// Leaf hash of the entry before.
    #[must_use]
    pub fn prev(&self) -> Hash {
        unhex(self.prev)
    }

    /// The statement that it records, if any.
    #[must_use]
    pub fn statement(&self) -> Option<StatementRef> {
        self.statement.map(|(stmt, env)| StatementRef { stmt: unhex(stmt), env: unhex(env) })
    }

    /// Origin, size and root of a `witness.cosigned` body; none if the body is another event, or none.
    #[must_use]
    pub fn cosigned(&self) -> Option<(Cow<'a, str>, u64, Hash)> {
        if let Some((origin, size, root)) = self.cosigned {
            return Some((origin.into(), size, unhex(root)));
        }
        match serde_json::from_slice(self.body) {
            Ok(Event::Cosigned { origin, size, root }) => Some((origin.into(), size, root.0)),
            _ => None,
        }
    }

    /// The whole entry.
    ///
    /// # Errors
    /// As [`Entry::decode`]; none for what [`Scanned::read`] took.
    pub fn entry(&self) -> Result<Entry, EntryError> {
        let body = serde_json::from_slice(self.body).map_err(|e| EntryError::Json(e.to_string()))?;
        Ok(Entry {
            log: self.log().into_owned(),
            seq: self.seq,
            ts: self.ts,
            prev: self.prev(),
            kind: self.kind.to_owned(),
            statement: self.statement(),
            body,
        })
    }
}

/// The usual spelling of a cosigned event, which is canonical; half of a busy log are such, and serde takes
/// longer over one than all the rest of its verification.
fn cosigned(body: &[u8]) -> Option<(&str, u64, &Hex)> {
    let (origin, escaped, rest) = string(body.strip_prefix(br#"{"event":"cosigned","origin":""#)?)?;
    let (root, rest) = digest(rest.strip_prefix(br#","root":""#)?)?;
    let (size, rest) = natural(rest.strip_prefix(br#","size":"#)?)?;
    (rest == b"}" && !escaped).then_some((str(origin)?, size, root))
}

/// Everything but the inside of the body.
fn shape<'a>(bytes: &'a [u8], expected: &str) -> Option<Scanned<'a>> {
    // No control character may stand anywhere, so strings below need not look for them.
    let (control, wide) = control_or_wide(bytes);
    if bytes.len() > MAX_ENTRY_LEN || control || (wide && std::str::from_utf8(bytes).is_err()) {
        return None;
    }
    let rest = bytes.strip_prefix(br#"{"v":1,"log":""#)?;
    let known = rest.strip_prefix(expected.as_bytes()).filter(|r| !expected.is_empty() && r.starts_with(b"\""));
    let (log, rest) = match known {
        Some(r) => (rest.get(..expected.len())?, r.get(1..)?),
        None => {
            let (log, _, rest) = string(rest)?;
            origin(log).map(|_| (log, rest))?
        }
    };
    let (seq, rest) = natural(rest.strip_prefix(br#","seq":"#)?)?;
    let (ts, rest) = natural(rest.strip_prefix(br#","ts":"#)?)?;
    let (prev, rest) = digest(rest.strip_prefix(br#","prev":""#)?)?;
    let (kind, _, rest) = string(rest.strip_prefix(br#","type":""#)?)?;
    let kind = str(kind).filter(|k| is_type(k))?;
    let (statement, rest) = match rest.strip_prefix(br#","stmt":""#) {
        Some(rest) => {
            let (stmt, rest) = digest(rest)?;
            let (env, rest) = digest(rest.strip_prefix(br#","env":""#)?)?;
            (Some((stmt, env)), rest)
        }
        None => (None, rest),
    };
    let body = rest.strip_prefix(br#","body":"#)?.strip_suffix(b"}")?;
    Some(Scanned { seq, ts, kind, body, bytes, log, prev, statement, cosigned: cosigned(body) })
}

/// Whether a control character and whether a byte beyond ASCII stands there: in lanes, which a compiler
/// makes vector code of. Byte by byte this was the larger part of reading an entry.
fn control_or_wide(bytes: &[u8]) -> (bool, bool) {
    let (blocks, rest) = bytes.as_chunks::<32>();
    let (mut least, mut all) = ([u8::MAX; 32], [0u8; 32]);
    for block in blocks {
        for ((least, all), b) in least.iter_mut().zip(&mut all).zip(block) {
            (*least, *all) = ((*least).min(*b), *all | b);
        }
    }
    let least = least.iter().chain(rest).fold(u8::MAX, |a, b| a.min(*b));
    let all = all.iter().chain(rest).fold(0, |a, b| a | b);
    (least < 0x20, all & 0x80 != 0)
}

fn str(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// The origin between its quotes; it may hold a quote or backslash, escaped.
fn origin(raw: &[u8]) -> Option<Cow<'_, str>> {
    let name = match raw.contains(&b'\\') {
        false => Cow::Borrowed(str(raw)?),
        true => Cow::Owned(unescaped(raw)?),
    };
    note::check_key_name(&name).is_ok().then_some(name)
}

/// A string after its opening quote: what is inside, in its one spelling, whether that has escapes, and
/// what follows.
fn string(from: &[u8]) -> Option<(&[u8], bool, &[u8])> {
    let (mut at, mut escaped) = (0, false);
    loop {
        let rest = from.get(at..)?;
        at += quote_or_backslash(rest)?;
        match from.get(at)? {
            b'"' => return Some((from.get(..at)?, escaped, from.get(at + 1..)?)),
            _ => (at, escaped) = (at + escape(from.get(at + 1..)?)?, true),
        }
    }
}

/// Where the next of the two stands. Most strings are short: the first words by arithmetic, which takes
/// less time than the call does.
fn quote_or_backslash(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::MAX / 255;
    // The high bit of the lowest byte that is zero, and perhaps of some above it.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & (ONES << 7);
    for (at, word) in bytes.as_chunks::<8>().0.iter().take(3).enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = zeros(word ^ (ONES * b'"' as u64)) | zeros(word ^ (ONES * b'\\' as u64));
        if found != 0 {
            return Some(at * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    memchr::memchr2(b'"', b'\\', bytes)
}

/// Length of an escape that RFC 8785 writes, given what follows the backslash.
fn escape(after: &[u8]) -> Option<usize> {
    match after {
        [b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't', ..] => Some(2),
        // The other control characters, and not those five that have a letter of their own.
        [b'u', b'0', b'0', b'0', low, ..] => matches!(low, b'0'..=b'7' | b'b' | b'e' | b'f').then_some(6),
        [b'u', b'0', b'0', b'1', b'0'..=b'9' | b'a'..=b'f', ..] => Some(6),
        _ => None,
    }
}

fn unescaped(raw: &[u8]) -> Option<String> {
    serde_json::from_str(&format!("\"{}\"", str(raw)?)).ok()
}

/// A decimal number without sign or leading zero, within [`MAX_INTEGER`].
fn natural(from: &[u8]) -> Option<(u64, &[u8])> {
    let (mut value, mut digits) = (0u64, 0);
    while let Some(digit @ b'0'..=b'9') = from.get(digits)
        && digits <= MAX_DIGITS
    {
        value = value * 10 + u64::from(digit - b'0');
        digits += 1;
    }
    let one_spelling = digits == 1 || digits > 1 && from.first() != Some(&b'0');
    (one_spelling && value <= MAX_INTEGER).then_some((value, from.get(digits..)?))
}

/// 64 lower-case hex digits and their closing quote.
fn digest(from: &[u8]) -> Option<(&Hex, &[u8])> {
    let (digits, rest) = from.split_first_chunk::<64>()?;
    let other = |b: u8| u8::from(b.wrapping_sub(b'0') > 9) & u8::from(b.wrapping_sub(b'a') > 5);
    let others = digits.iter().fold(0, |seen, b| seen | other(*b));
    (others == 0).then_some((digits, rest.strip_prefix(b"\"")?))
}

/// The bytes of digits that [`digest`] took.
fn unhex(digits: &Hex) -> Hash {
    let nibble = |digit: u8| if digit < b'a' { digit.wrapping_sub(b'0') } else { digit.wrapping_sub(b'a' - 10) };
    let mut hash = [0; 32];
    for (byte, [high, low]) in hash.iter_mut().zip(digits.as_chunks().0) {
        *byte = nibble(*high) << 4 | nibble(*low);
    }
    hash
}

/// True for an object in its one canonical encoding, within what an entry leaves of the depth.
fn is_canonical_body(body: &[u8]) -> bool {
    body.first() == Some(&b'{') && value(body, MAX_DEPTH - 1).is_some_and(<[u8]>::is_empty)
}

/// One value; answers what follows it. `depth` is how many more levels may open.
fn value(from: &[u8], depth: usize) -> Option<&[u8]> {
    match from {
        [b'"', rest @ ..] => string(rest).map(|(.., rest)| rest),
        [b'{', b'}', rest @ ..] | [b'[', b']', rest @ ..] => depth.checked_sub(1).map(|_| rest),
        [b'{', rest @ ..] => object(rest, depth.checked_sub(1)?),
        [b'[', rest @ ..] => array(rest, depth.checked_sub(1)?),
        [b'-', rest @ ..] => natural(rest).filter(|(n, _)| *n > 0).map(|(_, rest)| rest),
        [b'0'..=b'9', ..] => natural(from).map(|(_, rest)| rest),
        [b't', b'r', b'u', b'e', rest @ ..] | [b'n', b'u', b'l', b'l', rest @ ..] => Some(rest),
        [b'f', b'a', b'l', b's', b'e', rest @ ..] => Some(rest),
        _ => None,
    }
}

fn array(from: &[u8], inner: usize) -> Option<&[u8]> {
    let mut rest = from;
    loop {
        match value(rest, inner)? {
            [b',', more @ ..] => rest = more,
            [b']', more @ ..] => return Some(more),
            _ => return None,
        }
    }
}

fn object(from: &[u8], inner: usize) -> Option<&[u8]> {
    let mut rest = from;
    let mut last: Option<(&[u8], bool)> = None;
    loop {
        let (name, escaped, after) = string(rest.strip_prefix(b"\"")?)?;
        if !super::is_name(name) || last.is_some_and(|last| !ascends(last, (name, escaped))) {
            return None;
        }
        last = Some((name, escaped));
        match value(after.strip_prefix(b":")?, inner)? {
            [b',', more @ ..] => rest = more,
            [b'}', more @ ..] => return Some(more),
            _ => return None,
        }
    }
}

/// Member names ascend as what they say, not as how it is escaped.
fn ascends((a, a_escaped): (&[u8], bool), (b, b_escaped): (&[u8], bool)) -> bool {
    match a_escaped || b_escaped {
        false => a < b,
        true => unescaped(a).zip(unescaped(b)).is_some_and(|(a, b)| a < b),
    }
}
