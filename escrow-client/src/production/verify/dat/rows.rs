//! Rows of a Concordance load file, one line at a time.

use std::io::{self, BufRead, Read as _};

/// The mark that says UTF-8; platforms look at nothing else.
const BOM: &[u8] = b"\xef\xbb\xbf";
/// What stands around each value.
const QUOTE: char = '\u{fe}';
/// What stands between values.
const SEPARATOR: char = '\u{14}';
/// What stands for a line break in a value.
const NEWLINE: char = '\u{ae}';

/// Why a line is no row.
#[derive(Debug)]
pub(super) enum Bad {
    /// The file cannot be read on.
    Io(io::Error),
    /// Longer than the bound; nothing after it is read.
    TooLong,
    /// Not UTF-8; as Latin-1 it might be something.
    Utf8,
    /// A value that is not between quotes, or has one quote in it: its number from 1.
    Quote(usize),
}

/// Reads rows.
pub(super) struct Rows<R> {
    from: R,
    line: Vec<u8>,
    max: u64,
    /// Number of the last line read, from 1.
    pub(super) number: u64,
    /// True if the file begins with the byte order mark.
    pub(super) marked: bool,
}

impl<R: BufRead> Rows<R> {
    /// Reads rows whose lines have at most `max` bytes.
    pub(super) const fn new(from: R, max: u64) -> Self {
        Self { from, line: Vec::new(), max, number: 0, marked: false }
    }

    /// The values of the next line that is not empty; none at the end.
    pub(super) fn next(&mut self) -> Option<Result<Vec<String>, Bad>> {
        loop {
            self.line.clear();
            match (&mut self.from).take(self.max.saturating_add(1)).read_until(b'\n', &mut self.line) {
                Ok(0) => return None,
                Ok(n) if n as u64 > self.max => return Some(Err(Bad::TooLong)),
                Ok(_) => {}
                Err(e) => return Some(Err(Bad::Io(e))),
            }
            self.number += 1;
            let mut line = self.line.as_slice();
            if self.number == 1 {
                self.marked = line.starts_with(BOM);
                line = line.strip_prefix(BOM).unwrap_or(line);
            }
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if !line.is_empty() {
                return Some(std::str::from_utf8(line).map_err(|_| Bad::Utf8).and_then(values));
            }
        }
    }
}

fn values(line: &str) -> Result<Vec<String>, Bad> {
    let value = |(place, field): (usize, &str)| {
        let inner = field.strip_prefix(QUOTE).and_then(|f| f.strip_suffix(QUOTE)).ok_or(Bad::Quote(place + 1))?;
        // A quote in a value is written twice.
        match inner.split("\u{fe}\u{fe}").any(|piece| piece.contains(QUOTE)) {
            true => Err(Bad::Quote(place + 1)),
            false => Ok(inner.replace("\u{fe}\u{fe}", "\u{fe}").replace(NEWLINE, "\n")),
        }
    };
    line.split(SEPARATOR).enumerate().map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_platforms_read_them() {
        let file = "\u{feff}þDOCIDþ\u{14}þXþ\r\n\r\nþ1þ\u{14}þa®b þþ cþ\nþþ\u{14}þþ";
        let mut rows = Rows::new(file.as_bytes(), 100);
        assert_eq!(rows.next().unwrap().unwrap(), ["DOCID", "X"]);
        assert!(rows.marked);
        assert_eq!(rows.next().unwrap().unwrap(), ["1", "a\nb þ c"]);
        assert_eq!((rows.number, rows.next().unwrap().unwrap()), (3, vec![String::new(); 2]));
        assert!(rows.next().is_none());
    }

    #[test]
    fn what_is_no_row_says_why() {
        let bad = |file: &[u8]| Rows::new(file, 20).next().unwrap().unwrap_err();
        assert!(matches!(bad("þaþ\u{14}b".as_bytes()), Bad::Quote(2)));
        assert!(matches!(bad("þ".as_bytes()), Bad::Quote(1)));
        assert!(matches!(bad("þaþbþ".as_bytes()), Bad::Quote(1)));
        assert!(matches!(bad(b"\xfea\xfe"), Bad::Utf8));
        assert!(matches!(bad(&[b'x'; 30]), Bad::TooLong));
    }
}
