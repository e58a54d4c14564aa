use super::*;
use escrow_core::deal::KeySource;
use escrow_core::{Blob, TokenKey};
use std::fs;

fn about() -> About {
    let day = Timestamp::from_rfc3339("2018-05-05T21:01:14Z").unwrap().day();
    About {
        source: KeySource::ContentKey,
        thread: TokenKey::from_bytes(1, Zeroizing::new([7; 32])).thread("t"),
        era: 3,
        epoch: day.0 as u64,
        authenticator: Blob::default(),
        from: day.start(),
        to: day.end(),
        archive: None,
        participants: Vec::new(),
    }
}

fn key(n: u8) -> ThreadKey {
    ThreadKey::from_bytes(Zeroizing::new([n; 32]))
}

fn named(clear: &[u8]) -> AttachmentRef {
    let (name, media_type) = ("a.bin".to_owned(), "application/octet-stream".to_owned());
    AttachmentRef { name, media_type, size: clear.len() as u64, sha256: Digest::of(clear) }
}

fn clear(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n / 251 + n) as u8).collect()
}

/// An archive's folder with one sealed attachment, and that file.
struct Bench {
    dir: tempfile::TempDir,
    file: PathBuf,
    named: AttachmentRef,
}

impl Bench {
    fn new(clear: &[u8]) -> Self {
        let (dir, named) = (tempfile::tempdir().unwrap(), named(clear));
        let file = dir.path().join(attachment_file(&key(1), &about(), &named.sha256));
        fs::create_dir(dir.path().join(FOLDER)).unwrap();
        let mut out = Vec::new();
        let made = seal_attachment(&key(1), &about(), &named.sha256, &mut &*clear, &mut out).unwrap();
        assert_eq!((made.clear, made.clear_size), (named.sha256, named.size));
        assert_eq!((made.sealed, made.sealed_size), (Digest::of(&out), out.len() as u64));
        assert_eq!(out.len() as u64, sealed_length(named.size));
        assert!(is_framed(&out[..HEADER], out.len() as u64));
        fs::write(&file, &out).unwrap();
        Self { dir, file, named }
    }

    fn open(&self) -> Result<Vec<u8>, AttachmentError> {
        let mut out = Vec::new();
        open_attachment(self.dir.path(), &key(1), &about(), &self.named, &mut out).map(|()| out)
    }

    /// What opening says of other bytes in the file.
    fn with(&self, bytes: &[u8]) -> AttachmentError {
        fs::write(&self.file, bytes).unwrap();
        self.open().unwrap_err()
    }
}

#[test]
fn files_of_every_length_come_back() {
    for length in [0, 1, 15, 16, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 17] {
        let clear = clear(length);
        let bench = Bench::new(&clear);
        assert!(bench.open().unwrap() == clear, "{length}");
    }
}

/// An attachment that a Python program wrote from this module's text alone (hmac, hashlib, and AES-GCM
/// of `cryptography`); key 01 01 .., token key 07 07 .., salt 09 09 .., clear text `words`.
#[test]
fn an_attachment_of_another_implementation_opens() {
    let bytes = hex::decode(include_str!("attachment-v1.hex").split_whitespace().collect::<String>()).unwrap();
    let bench = Bench::new(b"words");
    let name = "13d0f8402c74f7a1025ad92deab89c4230f32b4c80c625643d7f7b1381027afd.att";
    assert_eq!(bench.file.file_name().unwrap().to_str().unwrap(), name);
    fs::write(&bench.file, bytes).unwrap();
    assert_eq!(bench.open().unwrap(), b"words");
}

/// The nonces as the module's text has them, without the library that counts them.
#[test]
fn each_chunk_has_the_nonce_of_its_position() {
    use aes_gcm::KeyInit as _;
    use aes_gcm::aead::Aead as _;
    let clear = clear(CHUNK + 5);
    let bench = Bench::new(&clear);
    let whole = fs::read(&bench.file).unwrap();
    let (head, body) = whole.split_at(HEADER);
    let cipher = Aes256Gcm::new((&*file_key(&key(1), &about(), &bench.named.sha256, &head[8..])).into());
    let mut opened = Vec::new();
    for (chunk, end) in body.chunks(SEALED_CHUNK).zip([[0, 0, 0, 0, 0], [0, 0, 0, 1, 1]]) {
        let nonce: [u8; 12] = [&[0; 7][..], &end].concat().try_into().unwrap();
        opened.extend(cipher.decrypt((&nonce).into(), chunk).unwrap());
    }
    assert!(opened == clear);
}

#[test]
fn no_byte_can_be_flipped_and_no_chunk_moved_or_dropped() {
    let bench = Bench::new(&clear(2 * CHUNK + 5));
    let whole = fs::read(&bench.file).unwrap();
    for at in (0..HEADER).chain([HEADER, HEADER + SEALED_CHUNK - 1, HEADER + SEALED_CHUNK, whole.len() - 1]) {
        let mut bad = whole.clone();
        bad[at] ^= 1;
        let error = bench.with(&bad);
        let ok = match at {
            0..7 => matches!(error, AttachmentError::NotAnAttachment),
            7 => matches!(error, AttachmentError::Version(0)),
            _ => {
                let chunk = (at.saturating_sub(HEADER) / SEALED_CHUNK) as u64;
                matches!(error, AttachmentError::Chunk(n) if n == chunk)
            }
        };
        assert!(ok, "byte {at}: {error:?}");
    }
    let (head, body) = whole.split_at(HEADER);
    let chunks: Vec<&[u8]> = body.chunks(SEALED_CHUNK).collect();
    let swapped = [head, chunks[1], chunks[0], chunks[2]].concat();
    assert!(matches!(bench.with(&swapped), AttachmentError::Chunk(0)));
    let repeated = [head, chunks[0], chunks[0], chunks[2]].concat();
    assert!(matches!(bench.with(&repeated), AttachmentError::Chunk(1)));
    for cut in [0, 1, HEADER, HEADER + SEALED_CHUNK, whole.len() - 1] {
        assert!(matches!(bench.with(&whole[..cut]), AttachmentError::Length { .. }), "{cut}");
    }
    assert!(matches!(bench.with(&[whole.as_slice(), b"x"].concat()), AttachmentError::Length { .. }));
    fs::remove_file(&bench.file).unwrap();
    assert!(matches!(bench.open(), Err(AttachmentError::Missing(_))));
}

/// Cut at a chunk, the rest is a valid stream but for the mark of the last chunk.
#[test]
fn a_line_that_states_the_cut_length_does_not_make_the_cut_file_whole() {
    let mut bench = Bench::new(&clear(2 * CHUNK));
    let whole = fs::read(&bench.file).unwrap();
    bench.named.size = CHUNK as u64;
    assert!(matches!(bench.with(&whole[..HEADER + SEALED_CHUNK]), AttachmentError::Chunk(0)));
}

#[test]
fn another_key_item_or_file_opens_nothing() {
    let bench = Bench::new(b"words");
    let moved = |key: &ThreadKey, about: &About, named: &AttachmentRef| {
        let file = bench.dir.path().join(attachment_file(key, about, &named.sha256));
        assert_ne!(file, bench.file);
        assert!(matches!(
            open_attachment(bench.dir.path(), key, about, named, &mut Vec::new()),
            Err(AttachmentError::Missing(_))
        ));
        fs::copy(&bench.file, &file).unwrap();
        open_attachment(bench.dir.path(), key, about, named, &mut Vec::new()).unwrap_err()
    };
    assert!(matches!(moved(&key(2), &about(), &bench.named), AttachmentError::Chunk(0)));
    type Change = fn(&mut About);
    let changes: [Change; 5] = [
        |a| a.thread.mac[0] ^= 1,
        |a| a.era += 1,
        |a| a.epoch += 1,
        |a| a.from = Timestamp::EPOCH,
        |a| a.to = Timestamp::MAX,
    ];
    for change in changes {
        let mut other = about();
        change(&mut other);
        assert!(matches!(moved(&key(1), &other, &bench.named), AttachmentError::Chunk(0)));
    }
    let other = AttachmentRef { sha256: Digest::of(b"other"), ..bench.named.clone() };
    assert!(matches!(moved(&key(1), &about(), &other), AttachmentError::Chunk(0)));
}

/// Only a depositor with the key can do this: seal other content under the name of what the line names.
#[test]
fn content_that_is_not_what_the_line_names_is_refused_at_the_end() {
    let bench = Bench::new(b"words");
    let mut out = Vec::new();
    seal_attachment(&key(1), &about(), &bench.named.sha256, &mut &b"sword"[..], &mut out).unwrap();
    assert!(matches!(bench.with(&out), AttachmentError::Digest));
}

#[test]
fn the_same_file_is_never_sealed_to_the_same_bytes() {
    let seal = || {
        let mut out = Vec::new();
        seal_attachment(&key(1), &about(), &Digest::of(b"a"), &mut &b"a"[..], &mut out).unwrap();
        out
    };
    let (a, b) = (seal(), seal());
    assert_ne!(a[8..HEADER], b[8..HEADER]);
    assert_ne!(a[HEADER..], b[HEADER..]);
}

#[test]
fn framing_is_seen_without_a_key() {
    let header = [&MAGIC[..], &[VERSION], &[9; SALT]].concat();
    let framed = |length: usize| is_framed(&header, length as u64);
    for whole in [TAG, TAG + 1, SEALED_CHUNK, SEALED_CHUNK + TAG + 1, 2 * SEALED_CHUNK] {
        assert!(framed(HEADER + whole), "{whole}");
    }
    for broken in [0, TAG - 1, SEALED_CHUNK + 1, SEALED_CHUNK + TAG] {
        assert!(!framed(HEADER + broken), "{broken}");
    }
    assert!(!is_framed(&header[..HEADER - 1], (HEADER + TAG) as u64));
    assert!(!is_framed(&[b"ESCATT\0\x02", &[9; SALT][..]].concat(), (HEADER + TAG) as u64));
}
