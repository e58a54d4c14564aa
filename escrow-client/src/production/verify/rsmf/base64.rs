//! The attachment's bytes, read from the base64 in the file wherever they are asked for, so that
//! rsmf.zip is neither held in memory nor written anywhere.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::io::{self, Read, Seek, SeekFrom};

/// Bytes decoded at once; a multiple of three, so that a block has whole groups of characters.
const BLOCK: u64 = 3 * 64 * 1024;
/// Their characters.
const CHARACTERS: u64 = BLOCK / 3 * 4;
/// Bytes of the file read at once.
const CHUNK: usize = 64 * 1024;

/// A part of a file that holds base64 (RFC 2045), as the bytes that it stands for.
#[derive(Debug)]
pub(super) struct Decoded<R> {
    from: R,
    end: u64,
    /// Where in the file each block begins.
    marks: Vec<u64>,
    len: u64,
    at: u64,
    block: Vec<u8>,
    loaded: Option<usize>,
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl<R: Read + Seek> Decoded<R> {
    /// Looks through the base64 from `start` to `end` once.
    ///
    /// # Errors
    /// What is no base64, and what the file says.
    pub(super) fn new(mut from: R, start: u64, end: u64) -> io::Result<Self> {
        let (mut marks, mut count, mut pads) = (Vec::new(), 0_u64, 0_u64);
        from.seek(SeekFrom::Start(start))?;
        let mut rest = (&mut from).take(end.saturating_sub(start));
        let (mut buffer, mut at) = (vec![0; CHUNK], start);
        loop {
            let n = rest.read(&mut buffer)?;
            if n == 0 {
                break;
            }
            for c in buffer.get(..n).unwrap_or_default() {
                match c {
                    b'\r' | b'\n' | b' ' | b'\t' => {}
                    b'=' if pads < 2 => {
                        pads += 1;
                        count += 1;
                    }
                    b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' if pads == 0 => {
                        if count.is_multiple_of(CHARACTERS) {
                            marks.push(at);
                        }
                        count += 1;
                    }
                    _ => return Err(invalid(format!("byte {at} of the file is no base64"))),
                }
                at += 1;
            }
        }
        if !count.is_multiple_of(4) || count == pads {
            return Err(invalid(format!("{count} characters are no whole base64")));
        }
        let len = count / 4 * 3 - pads;
        Ok(Self { from, end, marks, len, at: 0, block: Vec::new(), loaded: None })
    }

    fn load(&mut self, number: usize) -> io::Result<()> {
        let start = *self.marks.get(number).ok_or(io::ErrorKind::UnexpectedEof)?;
        let end = self.marks.get(number + 1).copied().unwrap_or(self.end);
        self.loaded = None;
        self.from.seek(SeekFrom::Start(start))?;
        let mut text = Vec::new();
        (&mut self.from).take(end.saturating_sub(start)).read_to_end(&mut text)?;
        text.retain(|c| !c.is_ascii_whitespace());
        self.block.clear();
        STANDARD.decode_vec(&text, &mut self.block).map_err(|e| invalid(e.to_string()))?;
        self.loaded = Some(number);
        Ok(())
    }
}

impl<R: Read + Seek> Read for Decoded<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.len || buf.is_empty() {
            return Ok(0);
        }
        let number = usize::try_from(self.at / BLOCK).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        if self.loaded != Some(number) {
            self.load(number)?;
        }
        let offset = usize::try_from(self.at % BLOCK).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let n = self.block.get(offset..).unwrap_or_default().read(buf)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl<R: Read + Seek> Seek for Decoded<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.len.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = to.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn lines(bytes: &[u8], width: usize) -> Vec<u8> {
        STANDARD.encode(bytes).into_bytes().chunks(width).flat_map(|l| [l, b"\r\n"].concat()).collect()
    }

    #[test]
    fn every_byte_is_found_wherever_it_is_asked_for() {
        for len in [1, 2, 3, BLOCK as usize - 1, BLOCK as usize, BLOCK as usize + 1, 2 * BLOCK as usize + 5] {
            let bytes: Vec<u8> = (0..len).map(|i| (i * 7 + i / 251) as u8).collect();
            let mut file = b"--b\r\n\r\n".to_vec();
            let start = file.len() as u64;
            file.extend(lines(&bytes, 76));
            let end = file.len() as u64;
            file.extend(b"--b--");
            let mut decoded = Decoded::new(Cursor::new(file), start, end).unwrap();
            let mut all = Vec::new();
            decoded.read_to_end(&mut all).unwrap();
            assert_eq!(all, bytes);
            for at in [0, len / 2, len - 1] {
                decoded.seek(SeekFrom::End(at as i64 - len as i64)).unwrap();
                let mut byte = [0];
                decoded.read_exact(&mut byte).unwrap();
                assert_eq!(byte[0], bytes[at], "{at} of {len}");
            }
            assert!(decoded.seek(SeekFrom::End(-(len as i64) - 1)).is_err());
        }
    }

    #[test]
    fn what_is_no_base64_is_refused() {
        for bad in ["", "QQ", "QQ=", "QQ===", "Q=Q=", "QQ==QQ==", "QQ-_", "====", "QUJD\0"] {
            assert!(Decoded::new(Cursor::new(bad), 0, bad.len() as u64).is_err(), "{bad:?}");
        }
        let mut bits = Decoded::new(Cursor::new("QR=="), 0, 4).unwrap();
        assert!(bits.read_to_end(&mut vec![]).is_err(), "bits that no encoder writes");
    }
}
