//! Log entries: one byte encoding each, chained by hash, checked as a stream.
//!
//! An entry is a UTF-8 JSON object of at most [`MAX_ENTRY_LEN`] bytes, with no white space
//! and with its members in this order:
//!
//! ```text
//! {"v":1,"log":ORIGIN,"seq":N,"ts":MILLISECONDS,"prev":HEX,"type":WORD,
//!  "stmt":HEX,"env":HEX,"body":{...}}
//! ```
//!
//! `prev` is the leaf hash of the entry before (64 zeros for entry 0), `stmt` the digest of
//! the statement's payload and `env` that of its accepted envelope, both present or both
//! absent. `body` is canonical JSON (RFC 8785) with integers of at most 2^53 - 1 either side
//! of zero as its only numbers and ASCII member names, sorted. So there is exactly one
//! encoding of an entry, and a leaf hash names one meaning.

mod chain;
mod scan;

pub use chain::{Chain, ChainError, ChainRule};
pub use scan::Scanned;

use escrow_core::Digest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::mem;

use crate::{
    note,
    tree::{self, Hash},
};

/// Longest entry, in bytes.
pub const MAX_ENTRY_LEN: usize = 65_535;
/// Deepest nesting of objects and arrays, counting the entry itself.
pub const MAX_DEPTH: usize = 16;
/// Longest entry type, in bytes.
pub const MAX_TYPE_LEN: usize = 40;
/// Largest integer: 2^53 - 1, exact in every JSON reader.
pub const MAX_INTEGER: u64 = (1 << 53) - 1;
/// The `prev` of entry 0.
pub const NO_PREV: Hash = [0; 32];

/// Why bytes are not an entry, or an entry has no encoding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Longer than [`MAX_ENTRY_LEN`].
    #[error("entry is longer than {MAX_ENTRY_LEN} bytes")]
    TooLong,
    /// Not JSON, or with missing, unknown or repeated members, or members of a wrong type.
    #[error("entry is malformed: {0}")]
    Json(String),
    /// Another format version than 1.
    #[error("entry version is not 1")]
    Version,
    /// The origin cannot be a key name.
    #[error("log origin is not allowed")]
    Origin,
    /// Not a lower-case dotted word of at most [`MAX_TYPE_LEN`] bytes.
    #[error("entry type is not a lower-case dotted word")]
    Type,
    /// One of `stmt` and `env` without the other.
    #[error("stmt and env must come together")]
    StatementPair,
    /// A digest that is not 64 hexadecimal digits.
    #[error("{0} is not a SHA-256 digest in hex")]
    Digest(&'static str),
    /// A fraction, an exponent or an integer beyond [`MAX_INTEGER`].
    #[error("number is not an integer within 2^53 - 1")]
    Number,
    /// Nesting beyond [`MAX_DEPTH`].
    #[error("entry is nested deeper than {MAX_DEPTH}")]
    Depth,
    /// A member name that is not ASCII or begins with `$`.
    #[error("member name is not ASCII, or begins with a dollar sign")]
    MemberName,
    /// The right content in other bytes: white space, order, escapes, repeated body members,
    /// upper-case hex, null for absent.
    #[error("entry is not in its one canonical encoding")]
    NotCanonical,
}

/// The signed statement that an entry records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatementRef {
    /// SHA-256 of the payload: the statement's name.
    pub stmt: Hash,
    /// SHA-256 of the envelope as it was accepted, signatures included.
    pub env: Hash,
}

/// One entry of a log.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Origin of the log that the entry is in.
    pub log: String,
    /// Position in the log, from 0.
    pub seq: u64,
    /// The node's time in milliseconds since 1970.
    pub ts: u64,
    /// Leaf hash of the entry before, or [`NO_PREV`].
    pub prev: Hash,
    /// What happened, such as `release.authorized`; decides the body's schema.
    pub kind: String,
    /// The statement it records, if any.
    pub statement: Option<StatementRef>,
    /// The rest; its schema depends on the type and is not checked here.
    pub body: Map<String, Value>,
}

/// The members as JSON has them; everything else about them is checked by encoding again.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    v: u64,
    log: String,
    seq: u64,
    ts: u64,
    prev: String,
    #[serde(rename = "type")]
    kind: String,
    stmt: Option<String>,
    env: Option<String>,
    body: Map<String, Value>,
}

impl Entry {
    /// Reads an entry, accepting only the bytes that [`Entry::encode`] would write.
    ///
    /// # Errors
    /// [`EntryError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, EntryError> {
        if bytes.len() > MAX_ENTRY_LEN {
            return Err(EntryError::TooLong);
        }
        let wire: Wire = serde_json::from_slice(bytes).map_err(|error| EntryError::Json(error.to_string()))?;
        if wire.v != 1 {
            return Err(EntryError::Version);
        }
        let statement = match (wire.stmt, wire.env) {
            (None, None) => None,
            (Some(stmt), Some(env)) => Some(StatementRef { stmt: digest("stmt", &stmt)?, env: digest("env", &env)? }),
            _ => return Err(EntryError::StatementPair),
        };
        let prev = digest("prev", &wire.prev)?;
        let Wire { log, seq, ts, kind, body, .. } = wire;
        let entry = Self { log, seq, ts, prev, kind, statement, body };
        if entry.encode()? == bytes { Ok(entry) } else { Err(EntryError::NotCanonical) }
    }

    /// The entry's one encoding, to be stored and hashed as it is.
    ///
    /// # Errors
    /// [`EntryError`] if a field or the whole is outside its bounds.
    pub fn encode(&self) -> Result<Vec<u8>, EntryError> {
        if note::check_key_name(&self.log).is_err() {
            return Err(EntryError::Origin);
        }
        if !is_type(&self.kind) {
            return Err(EntryError::Type);
        }
        if self.seq > MAX_INTEGER || self.ts > MAX_INTEGER {
            return Err(EntryError::Number);
        }
        // Most entries fit: a buffer that grows is copied several times.
        let mut out = Vec::with_capacity(1_024);
        out.extend_from_slice(br#"{"v":1,"log":"#);
        write_json(&mut out, &self.log)?;
        out.extend_from_slice(br#","seq":"#);
        write_json(&mut out, &self.seq)?;
        out.extend_from_slice(br#","ts":"#);
        write_json(&mut out, &self.ts)?;
        out.extend_from_slice(br#","prev":"#);
        write_json(&mut out, &Digest(self.prev))?;
        out.extend_from_slice(br#","type":"#);
        write_json(&mut out, &self.kind)?;
        if let Some(StatementRef { stmt, env }) = &self.statement {
            out.extend_from_slice(br#","stmt":"#);
            write_json(&mut out, &Digest(*stmt))?;
            out.extend_from_slice(br#","env":"#);
            write_json(&mut out, &Digest(*env))?;
        }
        out.extend_from_slice(br#","body":"#);
        write_object(&mut out, &self.body, MAX_DEPTH - 1)?;
        out.push(b'}');
        if out.len() > MAX_ENTRY_LEN { Err(EntryError::TooLong) } else { Ok(out) }
    }
}

/// Leaf hash of an entry's bytes: SHA-256(0x00 || bytes) (RFC 6962 section 2.1). It is what
/// the next entry's `prev` holds.
#[must_use]
pub fn leaf_hash(bytes: &[u8]) -> Hash {
    tree::leaf_hash(bytes)
}

/// Words of letters, digits and hyphens, each starting with a letter, joined by dots.
fn is_type(kind: &str) -> bool {
    let mut begins = true;
    let fits = kind.bytes().all(|b| {
        let first = mem::replace(&mut begins, b == b'.');
        b.is_ascii_lowercase() || !first && (b.is_ascii_digit() || b == b'-' || b == b'.')
    });
    fits && !begins && kind.len() <= MAX_TYPE_LEN
}

fn digest(member: &'static str, text: &str) -> Result<Hash, EntryError> {
    let mut hash = [0; 32];
    hex::decode_to_slice(text, &mut hash).map_err(|_| EntryError::Digest(member))?;
    Ok(hash)
}

/// A string, digest or number as JSON has it.
fn write_json(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) -> Result<(), EntryError> {
    serde_json::to_writer(out, value).map_err(|e| EntryError::Json(e.to_string()))
}

/// ASCII, and not one of the names that begin with `$`: `serde_json` gives some of those a meaning of its own,
/// depending on features that any crate of a build can switch on.
fn is_name(name: &[u8]) -> bool {
    name.is_ascii() && !name.starts_with(b"$")
}

/// `depth` is how many more levels may open, this one included. Members are sorted here and
/// not left to the map, whose order is a build feature of `serde_json`.
fn write_object(out: &mut Vec<u8>, object: &Map<String, Value>, depth: usize) -> Result<(), EntryError> {
    let inner = depth.checked_sub(1).ok_or(EntryError::Depth)?;
    let mut members: Vec<_> = object.iter().collect();
    members.sort_unstable_by_key(|(name, _)| *name);
    out.push(b'{');
    for (at, (name, value)) in members.into_iter().enumerate() {
        if !is_name(name.as_bytes()) {
            return Err(EntryError::MemberName);
        }
        if at > 0 {
            out.push(b',');
        }
        write_json(out, name)?;
        out.push(b':');
        write_value(out, value, inner)?;
    }
    out.push(b'}');
    Ok(())
}

fn write_value(out: &mut Vec<u8>, value: &Value, depth: usize) -> Result<(), EntryError> {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => write_json(out, value)?,
        Value::Number(number) => {
            let number = number.as_i64().filter(|n| n.unsigned_abs() <= MAX_INTEGER);
            write_json(out, &number.ok_or(EntryError::Number)?)?;
        }
        Value::Object(object) => write_object(out, object, depth)?,
        Value::Array(items) => {
            let inner = depth.checked_sub(1).ok_or(EntryError::Depth)?;
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_value(out, item, inner)?;
            }
            out.push(b']');
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use serde_json::json;

    use super::*;

    const ORIGIN: &str = "log.example/1";

    fn body(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn sample() -> Entry {
        Entry {
            log: ORIGIN.into(),
            seq: 3,
            ts: 1_700_000_000_000,
            prev: [0xab; 32],
            kind: "release.authorized".into(),
            statement: Some(StatementRef { stmt: [1; 32], env: [2; 32] }),
            body: body(json!({"b": [true, null, -7], "a": {"z": "é\n\u{1}/\"", "y": 0}})),
        }
    }

    fn golden() -> String {
        let (prev, stmt, env) = ("ab".repeat(32), "01".repeat(32), "02".repeat(32));
        format!(
            r#"{{"v":1,"log":"log.example/1","seq":3,"ts":1700000000000,"prev":"{prev}","type":"release.authorized","stmt":"{stmt}","env":"{env}","body":{{"a":{{"y":0,"z":"é\n\u0001/\""}},"b":[true,null,-7]}}}}"#
        )
    }

    #[test]
    fn the_encoding_is_fixed() {
        assert_eq!(String::from_utf8(sample().encode().unwrap()), Ok(golden()));
        assert_eq!(Entry::decode(golden().as_bytes()), Ok(sample()));
        let bare = Entry { statement: None, body: Map::new(), ..sample() };
        let text = String::from_utf8(bare.encode().unwrap()).unwrap();
        assert!(text.ends_with(r#""type":"release.authorized","body":{}}"#));
        assert_eq!(Entry::decode(text.as_bytes()), Ok(bare));
        let expected = tree::leaf_hash(golden().as_bytes());
        assert_eq!(leaf_hash(&sample().encode().unwrap()), expected);
    }

    #[test]
    fn any_other_bytes_for_the_same_content_are_refused() {
        let good = golden();
        let swaps = [
            (r#""v":1,"#, r#""v": 1,"#),
            (r#""v":1,"log":"log.example/1","#, r#""log":"log.example/1","v":1,"#),
            (r#""b":["#, r#""b":[0],"b":["#),
            (r"\n", r"\u000a"),
            (r"/\", r"\/\"),
            ("é", r"\u00e9"),
            (r#""a":{"#, r#""\u0061":{"#),
            ("abab", "ABAB"),
            ("null", "null "),
        ];
        for (from, to) in swaps {
            let bent = good.replacen(from, to, 1);
            assert_ne!(bent, good, "{from}");
            let verdict = Entry::decode(bent.as_bytes());
            assert_eq!(verdict, Err(EntryError::NotCanonical), "{to}");
        }
        let sorted = good.replace(r#""b":[true,null,-7]"#, "");
        let unsorted = sorted.replace(r#""body":{"#, r#""body":{"b":1,"#).replace("},}", "}}");
        assert_eq!(Entry::decode(unsorted.as_bytes()), Err(EntryError::NotCanonical));
        let null = golden().replace(&format!(r#""{}""#, "01".repeat(32)), "null");
        assert_eq!(Entry::decode(null.as_bytes()), Err(EntryError::StatementPair));
        let null = null.replace(&format!(r#""{}""#, "02".repeat(32)), "null");
        assert_eq!(Entry::decode(null.as_bytes()), Err(EntryError::NotCanonical));
        for trailing in ["\n", " ", "{}"] {
            assert!(Entry::decode(format!("{good}{trailing}").as_bytes()).is_err());
        }
    }

    #[test]
    fn malformed_entries_are_refused_by_name() {
        let cases = [
            (r#""v":1"#, r#""v":2"#, EntryError::Version),
            ("log.example/1", "log example", EntryError::Origin),
            ("log.example/1", "", EntryError::Origin),
            ("release.authorized", "release.", EntryError::Type),
            ("release.authorized", "Release", EntryError::Type),
            ("release.authorized", "", EntryError::Type),
            ("release.authorized", "re lease", EntryError::Type),
            (r#""seq":3"#, r#""seq":9007199254740992"#, EntryError::Number),
            (r#""ts":1700000000000"#, r#""ts":9007199254740992"#, EntryError::Number),
            (r#""y":0"#, r#""y":9007199254740992"#, EntryError::Number),
            (r#""y":0"#, r#""y":-9007199254740992"#, EntryError::Number),
            (r#""y":0"#, r#""y":18446744073709551616"#, EntryError::Number),
            (r#""y":0"#, r#""y":0.0"#, EntryError::Number),
            (r#""y":0"#, r#""y":1e2"#, EntryError::Number),
            (r#""y":0"#, r#""y":-0"#, EntryError::Number),
            (r#""y":0"#, r#""ÿ":0"#, EntryError::MemberName),
            (r#""y":0"#, r#""$y":0"#, EntryError::MemberName),
            ("abab", "abag", EntryError::Digest("prev")),
            ("0101", "010", EntryError::Digest("stmt")),
            ("0202", "02", EntryError::Digest("env")),
        ];
        for (from, to, error) in cases {
            let verdict = Entry::decode(golden().replacen(from, to, 1).as_bytes());
            assert_eq!(verdict, Err(error), "{to}");
        }
        let json = [
            (r#""seq":3"#, r#""seq":3,"seq":3"#),
            (r#""seq":3"#, r#""seq":3,"extra":3"#),
            (r#""seq":3,"#, ""),
            (r#""seq":3"#, r#""seq":3.0"#),
            (r#""seq":3"#, r#""seq":-3"#),
            (r#""seq":3"#, r#""seq":"3""#),
            (r#""body":{"#, r#""body":[{"#),
        ];
        for (from, to) in json {
            let verdict = Entry::decode(golden().replacen(from, to, 1).as_bytes());
            assert!(matches!(verdict, Err(EntryError::Json(_))), "{to}");
        }
        assert!(matches!(Entry::decode(b"\xff"), Err(EntryError::Json(_))));
    }

    #[test]
    fn types_are_dotted_words_of_letters_digits_and_hyphens() {
        let with = |kind: &str| Entry { kind: kind.into(), ..sample() }.encode();
        for good in ["a", "a1", "a-", "node-2.ready", "x.y.z0-9"] {
            assert!(with(good).is_ok(), "{good}");
        }
        for bad in ["1a", "-a", ".a", "a.", "a..b", "a.1", "a_b", "A", "aB", "a b", "é"] {
            assert_eq!(with(bad), Err(EntryError::Type), "{bad}");
        }
    }

    #[test]
    fn limits_are_exact() {
        let nested = |levels: usize| {
            let deepest = (1..levels).fold(json!(0), |inner, _| json!([inner]));
            Entry { body: body(json!({ "a": deepest })), ..sample() }.encode()
        };
        // The entry, its body and then arrays.
        assert!(nested(MAX_DEPTH - 1).is_ok());
        assert_eq!(nested(MAX_DEPTH), Err(EntryError::Depth));
        let bomb = golden().replace("null", &"[".repeat(20_000));
        assert!(matches!(Entry::decode(bomb.as_bytes()), Err(EntryError::Json(_))));

        let filled = |len: usize| Entry { body: body(json!({"a": "x".repeat(len)})), ..sample() };
        let room = MAX_ENTRY_LEN - filled(0).encode().unwrap().len();
        let longest = filled(room).encode().unwrap();
        assert_eq!(longest.len(), MAX_ENTRY_LEN);
        assert!(Entry::decode(&longest).is_ok());
        assert_eq!(filled(room + 1).encode(), Err(EntryError::TooLong));
        assert_eq!(Entry::decode(&[b' '; MAX_ENTRY_LEN + 1]), Err(EntryError::TooLong));

        let kind = |len: usize| Entry { kind: "t".repeat(len), ..sample() }.encode();
        assert!(kind(MAX_TYPE_LEN).is_ok());
        assert_eq!(kind(MAX_TYPE_LEN + 1), Err(EntryError::Type));
        let number = |n: u64| Entry { seq: n, ts: n, body: body(json!({"n": n})), ..sample() };
        let largest = number(MAX_INTEGER).encode().unwrap();
        assert_eq!(Entry::decode(&largest), Ok(number(MAX_INTEGER)));
    }

    fn extend(chain: &mut Chain, ts: u64) -> Vec<u8> {
        let bytes = chain.draft(ts, "node.start", None, Map::new()).encode().unwrap();
        chain.push(&bytes).unwrap();
        bytes
    }

    #[test]
    fn a_chain_yields_the_root_of_its_bytes() {
        let mut chain = Chain::new(ORIGIN);
        assert_eq!((chain.size(), chain.root(), chain.head()), (0, tree::EMPTY_ROOT, NO_PREV));
        // A clock that runs backwards does not stop the log: time stands still instead.
        let entries: Vec<_> = [5, 9, 7, 9].map(|ts| extend(&mut chain, ts)).to_vec();
        let times: Vec<_> = entries.iter().map(|e| Entry::decode(e).unwrap().ts).collect();
        assert_eq!((times, chain.ts()), (vec![5, 9, 9, 9], 9));
        let tree: tree::Tree = entries.iter().map(|bytes| leaf_hash(bytes)).collect();
        assert_eq!((chain.size(), chain.root()), (4, tree.root()));
        assert_eq!(chain.head(), leaf_hash(&entries[3]));
        let mut again = Chain::new(ORIGIN);
        for bytes in &entries {
            again.push(bytes).unwrap();
        }
        assert_eq!(again.root(), chain.root());
    }

    #[test]
    fn each_broken_rule_is_named_with_its_place() {
        let mut chain = Chain::new(ORIGIN);
        let first = extend(&mut chain, 5);
        let next = chain.draft(6, "node.start", None, Map::new());
        let bend = |change: fn(&mut Entry)| {
            let mut entry = next.clone();
            change(&mut entry);
            entry.encode().unwrap()
        };
        let cases = [
            (bend(|e| e.log = "log.example/2".into()), ChainRule::Log("log.example/2".into())),
            (bend(|e| e.seq = 2), ChainRule::Seq(2)),
            (first, ChainRule::Seq(0)),
            (bend(|e| e.prev[0] ^= 1), ChainRule::Prev),
            (bend(|e| e.prev = NO_PREV), ChainRule::Prev),
            (bend(|e| e.ts = 4), ChainRule::Time),
            (b"{}".to_vec(), ChainRule::Entry(Entry::decode(b"{}").unwrap_err())),
        ];
        for (bytes, rule) in cases {
            assert_eq!(chain.push(&bytes), Err(ChainError { seq: 1, rule }));
            assert_eq!((chain.size(), chain.ts()), (1, 5));
        }
        chain.push(&next.encode().unwrap()).unwrap();
        let mut other = Chain::new(ORIGIN);
        let late = other.push(&next.encode().unwrap()).unwrap_err();
        assert_eq!(late, ChainError { seq: 0, rule: ChainRule::Seq(1) });
        let rootless = Entry { seq: 0, ..next }.encode().unwrap();
        assert_eq!(other.push(&rootless).unwrap_err().rule, ChainRule::Prev);
    }
}
