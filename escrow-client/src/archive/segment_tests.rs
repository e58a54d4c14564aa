use super::*;
use escrow_core::TokenKey;

fn header() -> SegmentHeader {
    let day = Timestamp::from_rfc3339("2018-05-05T21:01:14Z").unwrap().day();
    SegmentHeader {
        org: "acme.example".parse().unwrap(),
        thread: TokenKey::from_bytes(1, Zeroizing::new([7; 32])).thread("t"),
        era: 3,
        epoch: day.0 as u64,
        from: day.start(),
        to: day.end(),
    }
}

fn line(id: &str) -> String {
    format!(r#"{{"thread":"t","message_id":"{id}","sender":"s","sent_at":"2018-05-05T21:01:14Z","text":""}}"#)
}

fn key(n: u8) -> ThreadKey {
    ThreadKey::from_bytes(Zeroizing::new([n; 32]))
}

/// A segment and where its header and each of its records start, the end included.
fn sealed(lines: &[String], with: u8) -> (Vec<u8>, Vec<usize>, Digest) {
    let mut out = Vec::new();
    let mut writer = SegmentWriter::new(&header(), &key(with), &mut out);
    let mut starts = vec![out.len()];
    for (n, line) in lines.iter().enumerate() {
        writer.append(&Message::parse(line.as_bytes(), 2 * n as u64 + 1).unwrap(), &mut out).unwrap();
        starts.push(out.len());
    }
    let (digest, count) = writer.finish(&mut out).unwrap();
    assert_eq!((digest, count), (Digest::of(&out), lines.len() as u64));
    starts.push(out.len());
    (out, starts, digest)
}

fn refused(bytes: &[u8], with: u8) -> SegmentError {
    open_undigested(bytes, &header(), &key(with)).unwrap_err()
}

#[test]
fn what_was_sealed_comes_back() {
    let lines = [line("a"), line("a") + "\r", line("ü")];
    let (bytes, _, digest) = sealed(&lines, 1);
    let opened = open_segment(&bytes, &digest, &header(), &key(1)).unwrap();
    assert_eq!((opened.thread.as_str(), &opened.header), ("t", &header()));
    let got: Vec<_> = opened.records.iter().map(|r| (r.line, r.message_id(), r.bytes())).collect();
    assert_eq!(got, [(1, "a", lines[0].as_bytes()), (3, "a", lines[1].as_bytes()), (5, "ü", lines[2].as_bytes())]);
    assert_eq!(open_segment(&bytes, &digest, &header(), &key(2)).unwrap_err(), SegmentError::Key);
    for secret in ["\"t\"", "message_id", "2018"] {
        assert!(!bytes.windows(secret.len()).any(|w| w == secret.as_bytes()), "{secret} stands in clear");
    }
    assert!(bytes.windows(12).any(|w| w == b"acme.example"));
}

/// A segment that a Python program wrote from this module's text alone (hmac, hashlib, and
/// AES-GCM of `cryptography`); key 01 01 .., token key 07 07 .., nonce of record i: i i ..
#[test]
fn a_segment_of_another_implementation_opens() {
    let bytes = hex::decode(include_str!("segment-v1.hex").split_whitespace().collect::<String>()).unwrap();
    let digest = "7365d9b5afb3dffc71eafaf36d487825bb4238d61bd5267ae63e6c8597535b03".parse().unwrap();
    let opened = open_segment(&bytes, &digest, &header(), &key(1)).unwrap();
    let second =
        r#"{"text":"\ud83d","sent_at":"2018-05-05T00:00:00.000Z","sender":"s","message_id":"\u00fc","thread":"t"}"#;
    let got: Vec<_> = opened.records.iter().map(|r| (r.line, r.message_id(), r.bytes())).collect();
    assert_eq!(got, [(1, "a", line("a").as_bytes()), (3, "ü", format!("{second}\r").as_bytes())]);
    // What is not random comes out the same here.
    let (ours, starts, _) = sealed(&[line("a")], 1);
    assert_eq!(&ours[..starts[0]], &bytes[..starts[0]]);
    assert_eq!(starts[1] - starts[0], 1 + 4 + 12 + 8 + 2 + 1 + line("a").len() + 16);
    assert_eq!((starts[2] - starts[1]) as u64, FINAL_RECORD);
}

#[test]
fn no_byte_can_be_flipped_even_where_the_digest_is_not_asked() {
    let (bytes, starts, digest) = sealed(&[line("a"), line("b")], 1);
    let fields = header().encode().len();
    for at in 0..bytes.len() {
        for flip in [1u8, 0x80, 0xff] {
            let mut bad = bytes.clone();
            bad[at] ^= flip;
            assert_eq!(open_segment(&bad, &digest, &header(), &key(1)).unwrap_err(), SegmentError::Digest);
            let e = refused(&bad, 1);
            let record = starts.iter().rposition(|s| *s <= at);
            // Each byte is caught by the check that stands over it.
            let ok = match (at, record) {
                (0..7, _) => e == SegmentError::NotASegment,
                (7, _) => e == SegmentError::Version(1 ^ flip),
                (_, None) if at < fields => matches!(e, SegmentError::Header | SegmentError::About(_)),
                (_, None) => e == SegmentError::Key,
                (_, Some(n)) => {
                    let n = n as u64;
                    e == SegmentError::Record(n) || e == SegmentError::Malformed(n) || e == SegmentError::Truncated(n)
                }
            };
            assert!(ok, "byte {at} ^ {flip}: {e:?}");
        }
    }
}

#[test]
fn records_cannot_be_dropped_swapped_repeated_or_cut() {
    let (bytes, s, _) = sealed(&[line("a"), line("b"), line("c")], 1);
    let part = |n: usize| &bytes[s[n]..s[n + 1]];
    let head = &bytes[..s[0]];
    let join =
        |order: &[usize]| [&[head], order.iter().map(|n| part(*n)).collect::<Vec<_>>().as_slice()].concat().concat();
    assert!(open_undigested(&join(&[0, 1, 2, 3]), &header(), &key(1)).is_ok());
    for (order, error) in [
        (vec![1, 2, 3], SegmentError::Record(0)),
        (vec![0, 2, 3], SegmentError::Record(1)),
        (vec![0, 1, 3], SegmentError::Record(2)),
        (vec![1, 0, 2, 3], SegmentError::Record(0)),
        (vec![0, 2, 1, 3], SegmentError::Record(1)),
        (vec![0, 0, 1, 2, 3], SegmentError::Record(1)),
        (vec![0, 1, 2, 2, 3], SegmentError::Record(3)),
        (vec![3], SegmentError::Record(0)),
        (vec![0, 1, 2], SegmentError::Truncated(3)),
        (vec![], SegmentError::Truncated(0)),
        (vec![0, 1, 2, 3, 3], SegmentError::Trailing),
        (vec![0, 1, 2, 3, 0], SegmentError::Trailing),
    ] {
        assert_eq!(refused(&join(&order), 1), error, "{order:?}");
    }
    for length in 0..bytes.len() {
        let e = refused(&bytes[..length], 1);
        assert!(
            matches!(e, SegmentError::NotASegment | SegmentError::Header | SegmentError::Truncated(_)),
            "{length}: {e:?}"
        );
    }
    // The same messages sealed again under the same key: records of the two do not mix.
    let (again, t, _) = sealed(&[line("a"), line("b"), line("c")], 1);
    let mixed = [&bytes[..s[2]], &again[t[2]..]].concat();
    assert_eq!(refused(&mixed, 1), SegmentError::Record(2));
}

#[test]
fn keys_and_headers_of_others_are_refused() {
    let (bytes, _, digest) = sealed(&[line("a")], 1);
    let (other, _, other_digest) = sealed(&[line("a")], 2);
    assert_eq!(refused(&bytes, 2), SegmentError::Key);
    assert_eq!(open_segment(&other, &digest, &header(), &key(1)).unwrap_err(), SegmentError::Digest);
    assert_eq!(open_segment(&other, &other_digest, &header(), &key(1)).unwrap_err(), SegmentError::Key);
    type Change = fn(&mut SegmentHeader);
    let changes: [(&str, Change); 6] = [
        ("organisation", |h| h.org = "other.example".parse().unwrap()),
        ("thread", |h| h.thread.mac[0] ^= 1),
        ("era", |h| h.era += 1),
        ("epoch", |h| h.epoch += 1),
        ("window of time", |h| h.from = Timestamp::EPOCH),
        ("window of time", |h| h.to = Timestamp::MAX),
    ];
    for (what, change) in changes {
        let mut expected = header();
        change(&mut expected);
        assert_eq!(open_undigested(&bytes, &expected, &key(1)).unwrap_err(), SegmentError::About(what));
        // Nor does a rewritten header go with the old records.
        let rewritten = [expected.encode().as_slice(), &bytes[header().encode().len()..]].concat();
        assert_eq!(open_undigested(&rewritten, &expected, &key(1)).unwrap_err(), SegmentError::Key, "{what}");
    }
    let mut newer = bytes.clone();
    newer[7] = 2;
    assert_eq!(open_segment(&newer, &Digest::of(&newer), &header(), &key(1)).unwrap_err(), SegmentError::Version(2));
}

/// What only a writer with the key could do: each is caught and laid at the depositor's door.
#[test]
fn a_lying_writer_is_named() {
    let lie = |build: &dyn Fn(&mut SegmentWriter, &mut Vec<u8>)| {
        let mut out = Vec::new();
        let mut writer = SegmentWriter::new(&header(), &key(1), &mut out);
        build(&mut writer, &mut out);
        refused(&out, 1)
    };
    let clear = |n: u64, id: &str, line: &str| {
        [&n.to_be_bytes()[..], &(id.len() as u16).to_be_bytes(), id.as_bytes(), line.as_bytes()].concat()
    };
    let content = |clears: Vec<Vec<u8>>| lie(&|w, out| clears.iter().for_each(|c| w.record(MESSAGE, c, out).unwrap()));
    let broken = |e: SegmentError, words: &str| {
        assert!(matches!(e, SegmentError::Content { rule, .. } if rule.contains(words)), "{e:?}, not {words}");
    };
    broken(content(vec![clear(1, "b", &line("a"))]), "another message id");
    broken(content(vec![clear(0, "a", &line("a"))]), "ascend");
    broken(content(vec![clear(2, "a", &line("a")), clear(2, "a", &line("a"))]), "ascend");
    broken(content(vec![clear(1, "a", &line("a").replace("05-05", "05-06"))]), "window");
    broken(content(vec![clear(1, "a", &line("a")), clear(2, "a", &line("a").replace("\"t\"", "\"u\""))]), "thread");
    broken(content(vec![clear(1, "a", "x")]), "JSON");
    broken(content(vec![clear(1, "a", "{}")]), "lacks a member");
    broken(content(vec![vec![0; 9]]), "shorter");
    broken(content(vec![vec![0xff; 20]]), "shorter");
    broken(lie(&|w, out| w.record(FINAL, &[0; 7], out).unwrap()), "8 bytes");
    assert_eq!(
        lie(&|w, out| w.record(FINAL, &1u64.to_be_bytes(), out).unwrap()),
        SegmentError::Count { found: 0, stated: 1 }
    );
    assert_eq!(lie(&|w, out| w.record(2, &[0; 8], out).unwrap()), SegmentError::Malformed(0));
}

#[test]
fn a_full_segment_can_still_be_finished() {
    let mut out = Vec::new();
    let mut writer = SegmentWriter::new(&header(), &key(1), &mut out);
    let line = line("a");
    let message = Message::parse(line.as_bytes(), 1).unwrap();
    let record = (1 + 4 + NONCE + 8 + 2 + 1 + line.len() + TAG) as u64;
    writer.size = SEGMENT_MAX - FINAL_RECORD - record + 1;
    assert_eq!(writer.append(&message, &mut out), Err(SegmentError::TooLarge));
    writer.size -= 1;
    writer.append(&message, &mut out).unwrap();
    assert_eq!(writer.size, SEGMENT_MAX - FINAL_RECORD);
    let (digest, count) = writer.finish(&mut out).unwrap();
    assert_eq!((digest, count), (Digest::of(&out), 1));
    assert!(open_segment(&out, &digest, &header(), &key(1)).is_ok());
}

#[test]
fn the_last_day_there_is_can_be_sealed() {
    let day = Timestamp::MAX.day();
    let header = SegmentHeader { from: day.start(), to: day.end(), epoch: day.0 as u64, ..header() };
    let line = line("a").replace("2018-05-05T21:01:14Z", "9999-12-31T23:59:59.999Z");
    let mut out = Vec::new();
    let mut writer = SegmentWriter::new(&header, &key(1), &mut out);
    writer.append(&Message::parse(line.as_bytes(), 1).unwrap(), &mut out).unwrap();
    let (digest, _) = writer.finish(&mut out).unwrap();
    assert_eq!(open_segment(&out, &digest, &header, &key(1)).unwrap().records.len(), 1);
}
