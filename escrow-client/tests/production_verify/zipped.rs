//! Archives written by hand (APPNOTE 6.3.10), so that they can be wrong in every way.

use flate2::{Compression, Crc, write::DeflateEncoder};
use std::io::Write as _;

/// One file of an archive.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    /// 0 stored, 8 deflated; anything else is claimed only.
    pub(crate) method: u16,
    pub(crate) flags: u16,
    /// Added to the checksum.
    pub(crate) damage: u32,
    /// Added to the length that is claimed.
    pub(crate) longer: u32,
    /// Upper half of the external attributes: a Unix mode.
    pub(crate) mode: u32,
}

impl Member {
    pub(crate) fn new(name: &str, bytes: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), bytes: bytes.into(), method: 8, flags: 0x800, damage: 0, longer: 0, mode: 0o100600 }
    }
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut out = DeflateEncoder::new(Vec::new(), Compression::default());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

/// The fields that local and central header share.
fn shared(m: &Member, packed: &[u8]) -> Vec<u8> {
    let mut crc = Crc::new();
    crc.update(&m.bytes);
    let mut out = Vec::new();
    for half in [20, m.flags, m.method, 0, 0x21] {
        out.extend(half.to_le_bytes());
    }
    for word in [crc.sum().wrapping_add(m.damage), packed.len() as u32, m.bytes.len() as u32 + m.longer] {
        out.extend(word.to_le_bytes());
    }
    out.extend((m.name.len() as u16).to_le_bytes());
    out.extend([0, 0]);
    out
}

/// The archive; `count` replaces the number of files in its last record.
pub(crate) fn archive(members: &[Member], count: Option<u16>) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for m in members {
        let packed = if m.method == 8 { deflated(&m.bytes) } else { m.bytes.clone() };
        let (shared, offset) = (shared(m, &packed), out.len() as u32);
        out.extend(b"PK\x03\x04");
        out.extend(&shared);
        out.extend(m.name.as_bytes());
        out.extend(packed);
        directory.extend(b"PK\x01\x02\x14\x03");
        directory.extend(&shared);
        directory.extend([0; 6]);
        directory.extend((m.mode << 16).to_le_bytes());
        directory.extend(offset.to_le_bytes());
        directory.extend(m.name.as_bytes());
    }
    let (start, count) = (out.len() as u32, count.unwrap_or(members.len() as u16));
    out.extend(&directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
    out.extend((directory.len() as u32).to_le_bytes());
    out.extend(start.to_le_bytes());
    out.extend([0, 0]);
    out
}
