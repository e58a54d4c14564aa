//! The framing of a segment, read as a stream and without a key.

use super::segment::{FIELDS_MAX, FINAL, FINAL_RECORD, NONCE, PREFIX, RECORD_MAX, SegmentError, SegmentHeader, TAG};
use std::io::{self, BufRead, Read};

/// How a segment ends or where it stops being one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// It does not begin as a segment does, in a version known here.
    Header(SegmentError),
    /// It ends within this record or before it.
    Cut(u64),
    /// This record has an impossible kind or length.
    Record(u64),
    /// Something follows the final record.
    Trailing,
    /// All its records are there, by their lengths; this many of them are messages.
    Whole(u64),
}

/// Reads header and lengths, and skips what only the key opens. Holds less than 5 KiB.
pub(super) fn scan(input: &mut impl BufRead) -> io::Result<(Option<SegmentHeader>, Framing)> {
    let mut start = Vec::new();
    read(input, PREFIX, &mut start)?;
    let length = start.last_chunk::<4>().map_or(0, |n| u32::from_be_bytes(*n) as usize).min(FIELDS_MAX + 1);
    read(input, length, &mut start)?;
    let header = match SegmentHeader::parse(&start) {
        Ok((header, _)) => header,
        Err(e) => return Ok((None, Framing::Header(e))),
    };
    let mut commitment = Vec::new();
    read(input, 32, &mut commitment)?;
    let framing = if commitment.len() < 32 { Framing::Cut(0) } else { records(input)? };
    Ok((Some(header), framing))
}

fn records(input: &mut impl BufRead) -> io::Result<Framing> {
    for position in 0.. {
        let mut head = Vec::with_capacity(5);
        read(input, 5, &mut head)?;
        let Ok([kind, length @ ..]) = <[u8; 5]>::try_from(head) else { return Ok(Framing::Cut(position)) };
        let length = u32::from_be_bytes(length) as usize;
        let wrong_final = kind == FINAL && 5 + length as u64 != FINAL_RECORD;
        if kind > FINAL || wrong_final || !(NONCE + TAG..=RECORD_MAX).contains(&length) {
            return Ok(Framing::Record(position));
        }
        if io::copy(&mut input.by_ref().take(length as u64), &mut io::sink())? < length as u64 {
            return Ok(Framing::Cut(position));
        }
        if kind == FINAL {
            return Ok(if input.fill_buf()?.is_empty() { Framing::Whole(position) } else { Framing::Trailing });
        }
    }
    Ok(Framing::Trailing)
}

/// Reads up to `n` more bytes: fewer at the end.
fn read(input: &mut impl Read, n: usize, to: &mut Vec<u8>) -> io::Result<()> {
    input.take(n as u64).read_to_end(to).map(|_| ())
}
