//! The scanner against the definition: on every input, `Scanned::read` and `Entry::decode` accept the
//! same bytes and find the same entry. Valid entries, each small edit of them, and noise.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use escrow_audit::entry::{Chain, Entry, MAX_DEPTH, MAX_INTEGER, Scanned, StatementRef};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Map, Value, json};

/// What both say; they must agree.
fn judged(bytes: &[u8]) -> Result<Entry, String> {
    let decoded = Entry::decode(bytes);
    let scanned = Scanned::read(bytes).and_then(|s| {
        assert_eq!((s.bytes(), s.kind.is_empty()), (bytes, false));
        s.entry()
    });
    assert_eq!(scanned, decoded, "{}", String::from_utf8_lossy(bytes));
    // Again as a chain reads it, which expects its origin.
    if let Ok(entry) = &decoded {
        let mut chain = Chain::new(&entry.log);
        let fits = entry.seq == 0 && entry.prev == [0; 32];
        assert_eq!(chain.push(bytes).is_ok(), fits);
    }
    decoded.map_err(|e| e.to_string())
}

fn text() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec![
        "\"", "\\", "\n", "\r", "\t", "\u{8}", "\u{c}", "\u{b}", "\u{0}", "\u{1f}", "\u{7f}", "/", "é", "\u{2028}",
        "😀",
    ]);
    prop_oneof![
        "[a-z]{0,8}".prop_map(|s| s),
        prop::collection::vec(odd, 0..4).prop_map(|v| v.concat()),
        any::<String>(),
    ]
}

fn name() -> impl Strategy<Value = String> {
    let any = prop_oneof!["[ -~]{0,6}", "[\\x00-\\x7f]{0,3}"];
    any.prop_filter("such names are refused", |name| !name.starts_with('$'))
}

fn number() -> impl Strategy<Value = Value> {
    let max = i64::try_from(MAX_INTEGER).unwrap();
    prop_oneof![-20..20i64, -max..=max, Just(max), Just(-max)].prop_map(Value::from)
}

fn value() -> impl Strategy<Value = Value> {
    let leaf =
        prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), number(), text().prop_map(Value::from)];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name(), inner, 0..4).prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

fn entry() -> impl Strategy<Value = Entry> {
    let origin = prop_oneof!["[a-z]{1,8}/[1-9]/log", "[!-*,-~é]{1,6}"];
    let kind = prop_oneof!["[a-z][a-z0-9-]{0,5}", "[a-z]{1,4}\\.[a-z][a-z0-9-]{0,4}"];
    let hash = any::<[u8; 32]>();
    let seq = prop_oneof![Just(0), 0..1000u64, Just(MAX_INTEGER)];
    let statement = prop::option::of((hash, hash).prop_map(|(stmt, env)| StatementRef { stmt, env }));
    let body = prop::collection::btree_map(name(), value(), 0..4);
    let prev = prop_oneof![Just([0; 32]), hash];
    (origin, seq.clone(), seq, prev, kind, statement, body).prop_map(|(log, seq, ts, prev, kind, statement, body)| {
        Entry { log, seq, ts, prev, kind, statement, body: body.into_iter().collect::<Map<_, _>>() }
    })
}

/// Bytes that JSON and this format care about.
const BYTES: &[u8] = b"\"\\{}[]:,0123456789-+.eEabfnrtuxlsAZ \n\t\x00\x1f\x7f\x80\xc3\xff/";

/// Pieces that turn one spelling into another.
const PIECES: &[&str] = &[
    "\\u0041",
    "\\/",
    "\\u000a",
    "\\n",
    "\\u001F",
    "\\u001f",
    "\\u0008",
    "\\u000b",
    "\\u007f",
    "\\ud83d\\ude00",
    "null",
    "true",
    "-0",
    "-",
    "1e2",
    "1.0",
    "00",
    "01",
    "9007199254740992",
    "-9007199254740992",
    "18446744073709551616",
    "{}",
    "[]",
    "{\"a\":1,\"a\":1}",
    "{\"b\":1,\"a\":1}",
    "\"a\":1,",
    ",",
    " ",
    "\"",
    "\\",
    "é",
    "\u{2028}",
    "\"$serde_json::private::RawValue\":\"1\"",
    "\"$serde_json::private::Number\":\"1\"",
];

fn edit(bytes: &mut Vec<u8>, how: u8, at: &Index, with: &Index) {
    let place = at.index(bytes.len() + 1);
    let piece = PIECES[with.index(PIECES.len())].bytes();
    match how {
        0 if place < bytes.len() => bytes[place] = BYTES[with.index(BYTES.len())],
        1 => bytes.insert(place, BYTES[with.index(BYTES.len())]),
        2 if place < bytes.len() => drop(bytes.remove(place)),
        3 => drop(bytes.splice(place..place, piece)),
        4 if place < bytes.len() => bytes[place] ^= 1 << with.index(8),
        5 => bytes.truncate(place),
        6 if place < bytes.len() => {
            let last = bytes.len() - 1;
            bytes.swap(place, (place + 1 + with.index(3)).min(last));
        }
        7 => {
            let end = (place + 1 + with.index(12)).min(bytes.len());
            bytes.splice(place.min(end)..end, piece);
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn valid_entries_are_read_alike(entry in entry()) {
        // One that is too deep, or whose origin is none, has no encoding.
        if let Ok(bytes) = entry.encode() {
            prop_assert_eq!(judged(&bytes), Ok(entry));
        }
    }

    #[test]
    fn edited_entries_are_judged_alike(
        entry in entry(),
        edits in prop::collection::vec((0..8u8, any::<Index>(), any::<Index>()), 1..4),
    ) {
        if let Ok(mut bytes) = entry.encode() {
            for (how, at, with) in edits {
                edit(&mut bytes, how, &at, &with);
            }
            let _ = judged(&bytes);
        }
    }

    #[test]
    fn noise_is_judged_alike(bytes in prop::collection::vec(prop::sample::select(BYTES), 0..60)) {
        let _ = judged(&bytes);
        let mut shaped = sample().encode().unwrap();
        let end = shaped.len() - 2;
        shaped.splice(end..end, bytes);
        let _ = judged(&shaped);
    }
}

fn sample() -> Entry {
    let Value::Object(body) = json!({"a": {"y": 0, "z": "é\n\u{1}/\""}, "b": [true, null, -7], "c\td": [[], {}]})
    else {
        unreachable!()
    };
    let statement = Some(StatementRef { stmt: [1; 32], env: [0xef; 32] });
    Entry { log: "log.example/1".into(), seq: 0, ts: 9, prev: [0; 32], kind: "release.x-1".into(), statement, body }
}

#[test]
fn every_byte_of_an_entry_is_judged_alike_whatever_it_becomes() {
    let good = sample().encode().unwrap();
    let mut accepted = 0;
    for at in 0..good.len() {
        for byte in 0..=255u8 {
            let mut bytes = good.clone();
            bytes[at] = byte;
            accepted += usize::from(judged(&bytes).is_ok());
        }
    }
    // Letters and digits may be others, or the comparison would have compared refusals only.
    assert!(accepted > good.len() * 5, "{accepted}");
}

#[test]
fn every_piece_at_every_place_is_judged_alike() {
    let good = sample().encode().unwrap();
    for at in 0..=good.len() {
        for piece in PIECES {
            let mut bytes = good.clone();
            bytes.splice(at..at, piece.bytes());
            let _ = judged(&bytes);
        }
        let _ = judged(&good[..at]);
    }
}

#[test]
fn depth_and_names_at_their_bounds() {
    let nested = |open: &str, close: &str, levels: usize| {
        let body = format!("{{\"a\":{}0{}}}", open.repeat(levels), close.repeat(levels));
        let whole = String::from_utf8(sample().encode().unwrap()).unwrap();
        let head = whole.split("\"body\":").next().unwrap();
        judged(format!("{head}\"body\":{body}}}").as_bytes()).is_ok()
    };
    // The entry and its body are two levels.
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        assert!(nested(open, close, MAX_DEPTH - 2) && !nested(open, close, MAX_DEPTH - 1));
    }
    // Names ascend by what they say: an escape sorts as the character that it stands for.
    let named = |a: &str, b: &str| {
        let whole = String::from_utf8(sample().encode().unwrap()).unwrap();
        let head = whole.split("\"body\":").next().unwrap();
        judged(format!("{head}\"body\":{{\"{a}\":1,\"{b}\":1}}}}").as_bytes()).is_ok()
    };
    assert!(named("\\n", "a") && named("\\n", " ") && !named(" ", "\\n") && named("A", "\\\\") && !named("\\\\", "A"));
    assert!(!named("a", "a") && !named("\\\"", "\\\"") && named("", "a") && !named("é", "ê"));
}
