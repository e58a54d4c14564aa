//! Where the verifier reads from: files by path, each opened as often as it is needed and read with
//! bounded memory.
//!
//! Nothing that is read twice is trusted the second time: whoever reads again checks again.

use std::collections::BTreeMap;
use std::io::{self, Read};

/// Longest file that is not a log's entries, bytes. Entries are read line by line and have no bound.
pub const FILE_MAX: u64 = 64 * 1024 * 1024;
/// Bytes read at once.
const CHUNK: usize = 256 * 1024;

/// The files of a bundle.
pub trait Files {
    /// Every path with the size of its file in bytes, ascending by path, none twice.
    fn list(&self) -> Box<dyn Iterator<Item = (&str, u64)> + '_>;

    /// The size of one file, if it is there.
    fn size(&self, path: &str) -> Option<u64>;

    /// Opens a file that [`Files::list`] names.
    ///
    /// # Errors
    /// Whatever the storage says.
    fn open(&self, path: &str) -> io::Result<Box<dyn Read + '_>>;

    /// True if the file is there.
    fn contains(&self, path: &str) -> bool {
        self.size(path).is_some()
    }

    /// The bytes of a file of at most `max` bytes; nothing if it is not there.
    ///
    /// # Errors
    /// Whatever the storage says, and [`io::ErrorKind::FileTooLarge`].
    fn read(&self, path: &str, max: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(size) = self.size(path) else { return Ok(None) };
        // The size was listed; what is read is bounded whatever it said.
        let mut bytes = Vec::with_capacity(usize::try_from(size.min(max)).unwrap_or(0));
        self.open(path)?.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
        match bytes.len() as u64 <= max {
            true => Ok(Some(bytes)),
            false => Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {max} bytes"))),
        }
    }
}

impl Files for BTreeMap<String, Vec<u8>> {
    fn list(&self) -> Box<dyn Iterator<Item = (&str, u64)> + '_> {
        Box::new(self.iter().map(|(path, bytes)| (path.as_str(), bytes.len() as u64)))
    }

    fn size(&self, path: &str) -> Option<u64> {
        self.get(path).map(|bytes| bytes.len() as u64)
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn Read + '_>> {
        let bytes = self.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(bytes.as_slice()))
    }
}

/// Why there is no next line.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// The storage said no.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Longer than the reader's bound; the rest was not read.
    #[error("a line of more than {0} bytes")]
    TooLong(usize),
    /// The last line has no newline.
    #[error("does not end with a newline")]
    Open,
}

/// Lines of a file, each at most so long, in memory of a fixed size.
pub struct Lines<R> {
    from: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    max: usize,
    any: bool,
}

impl<R: Read> Lines<R> {
    /// Reads lines of at most `max` bytes, newline not counted.
    pub fn new(from: R, max: usize) -> Self {
        Self { from, buffer: vec![0; CHUNK.max(max.saturating_add(1))], start: 0, end: 0, max, any: false }
    }

    /// The next line without its newline; none at the end. A file without any line is one that is cut.
    ///
    /// # Errors
    /// [`LineError`]; nothing more can be read then.
    #[allow(clippy::should_implement_trait)] // lends from its buffer, which no Iterator can
    pub fn next(&mut self) -> Result<Option<&[u8]>, LineError> {
        let mut seen = 0;
        loop {
            let have = self.buffer.get(self.start..self.end).unwrap_or_default();
            if let Some(at) = memchr::memchr(b'\n', have.get(seen..).unwrap_or_default()) {
                let (from, to) = (self.start, self.start + seen + at);
                if to - from > self.max {
                    return Err(LineError::TooLong(self.max));
                }
                self.start = to + 1;
                self.any = true;
                return Ok(self.buffer.get(from..to));
            }
            seen = have.len();
            if seen > self.max {
                return Err(LineError::TooLong(self.max));
            }
            if !self.fill()? {
                return if seen == 0 && self.any { Ok(None) } else { Err(LineError::Open) };
            }
        }
    }

    /// Reads more behind what is there; false at the end of the file.
    fn fill(&mut self) -> io::Result<bool> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        loop {
            match self.from.read(self.buffer.get_mut(self.end..).unwrap_or_default()) {
                Ok(n) => {
                    self.end += n;
                    return Ok(n > 0);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
}

/// Feeds a whole file to `take`, piece by piece.
pub(crate) fn each_chunk(files: &dyn Files, path: &str, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let mut from = files.open(path)?;
    let size = files.size(path).unwrap_or(0);
    let mut buffer = vec![0; CHUNK.min(usize::try_from(size).unwrap_or(CHUNK).max(1))];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => take(buffer.get(..n).unwrap_or_default()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)] // a test that panics has failed
mod tests {
    use super::*;

    /// Hands out a few bytes at a time.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let n = self.1.min(self.0.len()).min(buffer.len());
            buffer[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    fn lines(bytes: &[u8], max: usize, step: usize) -> Result<Vec<Vec<u8>>, LineError> {
        let mut reader = Lines::new(Slow(bytes, step), max);
        let mut out = Vec::new();
        while let Some(line) = reader.next()? {
            out.push(line.to_vec());
        }
        Ok(out)
    }

    #[test]
    fn lines_are_those_between_newlines() {
        let long = [b"x".repeat(CHUNK), b"\nb\n".to_vec()].concat();
        for step in [1, 7, usize::MAX] {
            assert_eq!(lines(b"a\n\nbc\n", 2, step).unwrap(), [&b"a"[..], b"", b"bc"]);
            assert_eq!(lines(b"\n", 2, step).unwrap(), [b""]);
            assert!(matches!(lines(b"", 2, step), Err(LineError::Open)));
            assert!(matches!(lines(b"a\nb", 2, step), Err(LineError::Open)));
            assert!(matches!(lines(b"a\nbcd\n", 2, step), Err(LineError::TooLong(2))));
            assert!(matches!(lines(b"abcd", 2, step), Err(LineError::TooLong(2))));
        }
        assert_eq!(lines(&long, CHUNK, 100_000).unwrap().len(), 2);
        assert!(matches!(lines(&long, CHUNK - 1, 100_000), Err(LineError::TooLong(_))));
    }

    #[test]
    fn a_line_without_end_is_given_up_at_the_bound() {
        let mut reader = Lines::new(io::repeat(b'x'), 1000);
        assert!(matches!(reader.next(), Err(LineError::TooLong(1000))));
        assert!(reader.buffer.len() <= CHUNK);
    }

    #[test]
    fn a_file_is_read_up_to_its_bound_only() {
        let map = BTreeMap::from([("a".to_owned(), vec![1, 2, 3])]);
        assert_eq!(map.read("a", 3).unwrap(), Some(vec![1, 2, 3]));
        assert_eq!(map.read("a", 2).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(map.read("b", 2).unwrap(), None);
        assert_eq!(map.open("b").err().map(|e| e.kind()), Some(io::ErrorKind::NotFound));
    }
}
