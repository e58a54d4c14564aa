//! Looks for secrets in bytes: as they are, in hexadecimal, in base64 at any alignment, as a
//! printed list of numbers, and once more inside whatever base64 or hexadecimal the bytes hold.
//!
//! A secret is cut into pieces of 16 bytes, so that a part of it is found as well, and random
//! bytes never are.

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use rusqlite::types::ValueRef;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

/// Bytes of one piece.
const PIECE: usize = 16;
/// Bytes of a needle that the index is over; every needle is longer.
const KEY: usize = 8;
/// Encodings inside encodings that are followed.
const DEPTH: usize = 4;
/// Shortest text that is tried as an encoding.
const RUN: usize = 24;
const BITS: usize = 20;

/// A secret that was found, and how.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// Its name.
    pub secret: String,
    /// How it was written.
    pub form: &'static str,
}

/// The secrets.
#[derive(Debug)]
pub struct Canaries {
    names: Vec<String>,
    needles: Vec<(usize, &'static str, Vec<u8>)>,
    index: HashMap<[u8; KEY], Vec<usize>>,
    /// Which hashes of the first four bytes occur at all: most positions end here.
    sieve: Vec<bool>,
}

impl Default for Canaries {
    fn default() -> Self {
        Self { names: vec![], needles: vec![], index: HashMap::new(), sieve: vec![false; 1 << BITS] }
    }
}

impl Canaries {
    /// How many secrets.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Their names.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// A secret, at least 16 bytes.
    pub fn add(&mut self, name: impl Into<String>, secret: &[u8]) {
        assert!(secret.len() >= PIECE, "too short to be recognised");
        let (at, name) = (self.names.len(), name.into());
        assert!(!self.names.contains(&name), "two secrets are called {name}");
        self.names.push(name);
        let last = &secret[secret.len() - PIECE..];
        for piece in secret.chunks_exact(PIECE).chain([last]) {
            for (form, bytes) in forms(piece) {
                self.needle(at, form, bytes);
            }
        }
    }

    fn needle(&mut self, name: usize, form: &'static str, bytes: Vec<u8>) {
        let key: [u8; KEY] = bytes[..KEY].try_into().unwrap();
        self.sieve[sieve(&key)] = true;
        self.index.entry(key).or_default().push(self.needles.len());
        self.needles.push((name, form, bytes));
    }

    /// The secrets that occur in the bytes, or in what they encode.
    pub fn find(&self, hay: &[u8]) -> BTreeSet<Found> {
        let mut found = BTreeSet::new();
        self.look(hay, DEPTH, &mut found);
        found
    }

    fn look(&self, hay: &[u8], depth: usize, found: &mut BTreeSet<Found>) {
        for at in 0..hay.len().saturating_sub(KEY - 1) {
            let window = &hay[at..at + KEY];
            if !self.sieve[sieve(window)] {
                continue;
            }
            for n in self.index.get(window).into_iter().flatten() {
                let (name, form, bytes) = &self.needles[*n];
                if hay[at..].starts_with(bytes) {
                    found.insert(Found { secret: self.names[*name].clone(), form });
                }
            }
        }
        if depth > 0 {
            for run in runs(hay) {
                for inner in decoded(run) {
                    self.look(&inner, depth - 1, found);
                }
            }
        }
    }

    /// The secrets in a file as it lies on disk.
    pub fn find_in_file(&self, path: &Path) -> BTreeSet<Found> {
        self.find(&std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
    }

    /// The secrets in the rows of a database, where no page boundary cuts a value.
    pub fn find_in_database(&self, path: &Path) -> BTreeSet<Found> {
        let db = rusqlite::Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let mut tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").unwrap();
        let tables: Vec<String> = tables.query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect();
        assert!(!tables.is_empty(), "{} has no tables", path.display());
        let mut found = BTreeSet::new();
        for table in tables {
            let mut query = db.prepare(&format!("SELECT * FROM \"{table}\"")).unwrap();
            let columns = query.column_count();
            let mut rows = query.query([]).unwrap();
            while let Some(row) = rows.next().unwrap() {
                for column in 0..columns {
                    if let ValueRef::Blob(b) | ValueRef::Text(b) = row.get_ref(column).unwrap() {
                        self.look(b, DEPTH, &mut found);
                    }
                }
            }
        }
        found
    }
}

fn sieve(window: &[u8]) -> usize {
    let word = u32::from_le_bytes([window[0], window[1], window[2], window[3]]);
    (word.wrapping_mul(0x9e37_79b1) >> (32 - BITS)) as usize
}

fn engine(alphabet: &base64::alphabet::Alphabet) -> GeneralPurpose {
    let lenient = GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(alphabet, lenient)
}

/// Every way in which a piece could be written.
fn forms(piece: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let hex = hex::encode(piece);
    let numbers = |between: &str| piece.iter().map(ToString::to_string).collect::<Vec<_>>().join(between).into_bytes();
    let mut out = vec![
        ("raw", piece.to_vec()),
        ("raw, little-endian", piece.iter().rev().copied().collect()),
        ("hex", hex.to_uppercase().into_bytes()),
        ("hex", hex.into_bytes()),
        ("numbers", numbers(", ")),
        ("numbers", numbers(",")),
    ];
    for alphabet in [&STANDARD, &URL_SAFE] {
        let engine = engine(alphabet);
        for before in 0..3 {
            // Characters that other bytes have no part in.
            let shifted: Vec<u8> = vec![0; before].into_iter().chain(piece.iter().copied()).collect();
            let text = engine.encode(&shifted).into_bytes();
            let (from, to) = ((before * 8).div_ceil(6), shifted.len() * 8 / 6);
            out.push(("base64", text[from..to].to_vec()));
        }
    }
    out
}

/// Longest stretches of characters that base64 or hexadecimal could be written in.
fn runs(hay: &[u8]) -> impl Iterator<Item = &[u8]> {
    let code = |b: &u8| b.is_ascii_alphanumeric() || b"+/-_=".contains(b);
    hay.split(move |b| !code(b)).filter(|run| run.len() >= RUN)
}

fn decoded(run: &[u8]) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    if let Ok(bytes) = hex::decode(run) {
        out.push(bytes);
    }
    for alphabet in [&STANDARD, &URL_SAFE] {
        let engine = engine(alphabet);
        // Whatever stands before it without a break can shift it.
        for from in 0..4 {
            let rest = &run[from..];
            let body = rest.split(|b| *b == b'=').next().unwrap_or(rest);
            let whole = body.len() - usize::from(body.len() % 4 == 1);
            if let Ok(bytes) = engine.decode(&body[..whole]) {
                out.push(bytes);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose;

    fn secret() -> Vec<u8> {
        (0..32u8).map(|i| i.wrapping_mul(41) ^ 0xC5).collect()
    }

    fn found(hay: &[u8]) -> bool {
        let mut canaries = Canaries::default();
        canaries.add("other", &[0x11; 32]);
        canaries.add("key", &secret());
        canaries.find(hay).iter().any(|f| f.secret == "key")
    }

    #[test]
    fn every_way_of_writing_a_secret_is_found_wherever_it_stands() {
        let key = secret();
        for before in 0..7 {
            let around = |middle: &[u8]| [vec![b'x'; before], middle.to_vec(), b" yz".to_vec()].concat();
            let inside: Vec<u8> = around(&key);
            let json = format!("{{\"a\":\"{}\"}}", general_purpose::STANDARD.encode(&inside));
            let hays = [
                inside.clone(),
                around(hex::encode(&key).as_bytes()),
                around(hex::encode_upper(&key).as_bytes()),
                around(format!("{key:?}").as_bytes()),
                general_purpose::STANDARD.encode(&inside).into_bytes(),
                general_purpose::URL_SAFE_NO_PAD.encode(&inside).into_bytes(),
                json.clone().into_bytes(),
                general_purpose::STANDARD.encode(&json).into_bytes(),
                general_purpose::STANDARD.encode(hex::encode(&inside)).into_bytes(),
                around(&key[..16]),
                around(&key[16..]),
            ];
            for (n, hay) in hays.iter().enumerate() {
                assert!(found(hay), "form {n} after {before} bytes");
            }
        }
        assert!(!found(&key[..15]));
        assert!(!found(general_purpose::STANDARD.encode([0x22; 4096]).as_bytes()));
    }
}
