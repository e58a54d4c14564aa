use super::*;
use crate::archive::{ArchiveIndex, SealArchiveError, SealOptions, SealedArchive, prepare, seal};
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::fs;
use zeroize::Zeroizing;

fn org() -> Org {
    "acme.example".parse().unwrap()
}

fn tokens() -> TokenKey {
    TokenKey::from_bytes(1, Zeroizing::new([7; 32]))
}

fn seal_into(dir: &Path, input: &[u8]) -> Result<SealedArchive, SealArchiveError> {
    let inside = |id: &str| id != "guest";
    seal(input, &SealOptions { dir, org: &org(), tokens: &tokens(), era: 0, inside: &inside })
}

fn open_from(dir: &Path, released: &[(&About, &ThreadKey)]) -> (Vec<u8>, Report) {
    let mut out = Vec::new();
    let options = OpenOptions { dir, org: &org(), tokens: Some(&tokens()) };
    let report = open_segments(&options, released.iter().copied(), &mut out).unwrap();
    (out, report)
}

fn keys(archive: &SealedArchive) -> Vec<(&About, &ThreadKey)> {
    archive.segments.iter().map(|s| (&s.about, &s.key)).collect()
}

fn line(thread: &str, id: &str, sender: &str, at: &str, text: &str) -> String {
    let text = serde_json::to_string(text).unwrap();
    format!(r#"{{"thread":"{thread}","message_id":"{id}","sender":"{sender}","sent_at":"{at}","text":{text}}}"#)
}

fn two_threads() -> Vec<String> {
    vec![
        line("t-one", "1", "ann", "2018-05-05T23:59:59Z", "late"),
        line("t-two", "1", "ben", "2018-05-05T12:00:00Z", ""),
        line("t-one", "2", "guest", "2018-05-06T00:00:00Z", "next day") + "\r",
        line("t-one", "1", "ann", "2018-05-05T23:00:00Z", "earlier, same id"),
        line("t-two", "2", "cat", "2018-05-05T12:00:00Z", "line\nbreak \u{1f600}"),
    ]
}

#[test]
fn one_key_a_thread_and_day_and_nothing_in_clear() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("sealed");
    fs::create_dir(&target).unwrap(); // an empty folder may be there already
    let archive = seal_into(&target, two_threads().join("\n").as_bytes()).unwrap();
    assert_eq!((archive.segments.len(), archive.messages), (3, 5));
    assert_eq!(archive.threads.iter().map(|t| t.0.as_str()).collect::<Vec<_>>(), ["t-one", "t-two"]);
    assert_eq!(archive.people.iter().map(|s| s.0.as_str()).collect::<Vec<_>>(), ["ann", "ben", "cat", "guest"]);
    let one = tokens().thread("t-one");
    let days: Vec<_> = archive.segments.iter().filter(|s| s.about.thread == one).collect();
    assert_eq!(days.iter().map(|s| s.messages).collect::<Vec<_>>(), [2, 1]);
    // Participants are those of the whole thread, on each of its days.
    for s in &days {
        assert_eq!(s.about.participants.len(), 2);
        assert!(s.about.participants.windows(2).all(|w| w[0].token < w[1].token));
        let guest = s.about.participants.iter().find(|p| p.token == tokens().subject("guest")).unwrap();
        assert!(!guest.inside);
        assert_eq!(s.about.epoch, s.about.from.day().0 as u64);
        assert_eq!(Digest::of(&fs::read(target.join(&s.file)).unwrap()), s.about.archive.unwrap());
    }
    let index = ArchiveIndex::load(&target).unwrap();
    assert_eq!(index.segments.len(), 3);
    for (entry, s) in index.segments.iter().zip(&archive.segments) {
        assert_eq!((entry.file.as_str(), Some(entry.digest)), (s.file.to_str().unwrap(), s.about.archive));
        assert_eq!(entry.participants, s.about.participants);
    }
    let mut names = String::new();
    for path in [target.clone(), target.join("segments")] {
        for entry in fs::read_dir(path).unwrap() {
            let entry = entry.unwrap();
            names.push_str(entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_file() {
                #[cfg(unix)]
                assert_eq!(
                    std::os::unix::fs::PermissionsExt::mode(&entry.metadata().unwrap().permissions()) & 0o777,
                    0o600
                );
            }
        }
    }
    let everything = names + &fs::read_to_string(target.join("archive.json")).unwrap();
    for clear in ["t-one", "t-two", "ann", "ben", "guest"] {
        assert!(!everything.contains(clear), "{clear}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary folder stays behind");
    assert!(!format!("{archive:?}").contains("ann"));
}

#[test]
fn all_or_some_segments_open_in_the_order_of_the_input() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("sealed");
    let lines = two_threads();
    let archive = seal_into(&target, (lines.join("\n") + "\n").as_bytes()).unwrap();
    let mut all = keys(&archive);
    all.reverse();
    let (out, report) = open_from(&target, &all);
    assert_eq!(String::from_utf8(out).unwrap(), lines.join("\n") + "\n");
    assert!(report.complete());
    assert_eq!((report.segments, report.messages), (3, 5));
    let one = tokens().thread("t-one");
    let part: Vec<_> = keys(&archive).into_iter().filter(|(a, _)| a.thread == one).collect();
    let (out, _) = open_from(&target, &part);
    assert_eq!(String::from_utf8(out).unwrap(), format!("{}\n{}\n{}\n", lines[0], lines[2], lines[3]));
}

#[test]
fn one_bad_item_does_not_stop_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("sealed");
    let lines = two_threads();
    let archive = seal_into(&target, lines.join("\n").as_bytes()).unwrap();
    let [a, b, c] = archive.segments.as_slice() else { unreachable!() };
    let outcome = |released: &[(&About, &ThreadKey)], n: usize| {
        let (out, mut report) = open_from(&target, released);
        assert_eq!(out.iter().filter(|b| **b == b'\n').count() as u64, report.messages);
        report.items.remove(n).outcome
    };
    assert!(matches!(outcome(&[(&a.about, &b.key)], 0), Err(OpenError::Segment(SegmentError::Key))));
    let twice = [(&a.about, &b.key), (&a.about, &a.key), (&a.about, &a.key)];
    assert!(matches!(outcome(&twice, 1), Ok(1..=2)), "a wrong key before does not count as opened");
    assert!(matches!(outcome(&twice, 2), Err(OpenError::Repeated)));
    let none = About { archive: None, ..a.about.clone() };
    assert!(matches!(outcome(&[(&none, &a.key), (&b.about, &b.key)], 0), Err(OpenError::NoArchive)));
    assert!(outcome(&[(&none, &a.key), (&b.about, &b.key)], 1).is_ok());
    let era = About { era: 1, ..a.about.clone() };
    assert!(matches!(outcome(&[(&era, &a.key)], 0), Err(OpenError::Segment(SegmentError::About("era")))));
    let other = About { archive: b.about.archive, ..a.about.clone() };
    assert!(matches!(outcome(&[(&other, &a.key)], 0), Err(OpenError::Segment(SegmentError::Digest))));
    let path = target.join(&c.file);
    let mut bytes = fs::read(&path).unwrap();
    bytes.pop();
    fs::write(&path, &bytes).unwrap();
    assert!(matches!(outcome(&[(&c.about, &c.key)], 0), Err(OpenError::Segment(SegmentError::Digest))));
    fs::remove_file(&path).unwrap();
    assert!(matches!(outcome(&[(&c.about, &c.key)], 0), Err(OpenError::Missing { .. })));
    // A token that stands for another thread: only with the token key can it be seen.
    let (about, key) = (&a.about, &a.key);
    let wrong = TokenKey::from_bytes(1, Zeroizing::new([8; 32]));
    let newer = TokenKey::from_bytes(2, Zeroizing::new([8; 32]));
    for (tokens, fine) in [(Some(&wrong), false), (Some(&newer), true), (None, true)] {
        let options = OpenOptions { dir: &target, org: &org(), tokens };
        let report = open_segments(&options, [(about, key)], io::sink()).unwrap();
        assert_eq!(report.complete(), fine);
        assert!(fine || matches!(report.items[0].outcome, Err(OpenError::OtherThread)));
    }
}

#[test]
fn a_bad_line_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("sealed");
    let bad = two_threads().join("\n") + "\n{\"thread\":5}\n";
    let error = seal_into(&target, bad.as_bytes()).unwrap_err().to_string();
    assert_eq!(error, "nothing was sealed: line 6: `thread` must be a string; correct the line and seal again");
    assert!(matches!(seal_into(&target, b""), Err(SealArchiveError::Empty)));
    let (org, tokens) = (org(), tokens());
    let options = SealOptions { dir: &target, org: &org, tokens: &tokens, era: 0, inside: &|_| true };
    let input = two_threads().join("\n");
    drop(prepare(input.as_bytes(), &options).unwrap());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    // What comes there between preparing and publishing is not overwritten.
    let prepared = prepare(input.as_bytes(), &options).unwrap();
    assert_eq!(prepared.archive().segments.len(), 3);
    fs::create_dir(&target).unwrap();
    fs::write(target.join("mine"), "x").unwrap();
    assert!(matches!(prepared.publish(), Err(SealArchiveError::Occupied(_))));
    assert!(matches!(seal_into(&target, input.as_bytes()), Err(SealArchiveError::Occupied(_))));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    assert!(matches!(seal_into(&dir.path().join("no/such/parent"), input.as_bytes()), Err(SealArchiveError::File(_))));
}

#[test]
fn a_thread_that_no_node_would_accept_is_refused_here() {
    let dir = tempfile::tempdir().unwrap();
    let many = |n: usize| {
        (0..n).map(|i| line("t", "m", &format!("s{i}"), "2018-05-05T00:00:00Z", "")).collect::<Vec<_>>().join("\n")
    };
    assert!(seal_into(&dir.path().join("a"), many(1000).as_bytes()).is_ok());
    let error = seal_into(&dir.path().join("b"), many(1001).as_bytes()).unwrap_err();
    assert!(matches!(error, SealArchiveError::TooManyPeople { line: 1001 }));
}

#[test]
fn long_threads_are_written_out_while_they_grow() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("sealed");
    let text = "x".repeat(20_000);
    let lines: Vec<_> =
        (0..40).map(|i| line(if i % 3 == 0 { "a" } else { "b" }, "m", "s", "2018-05-05T00:00:00Z", &text)).collect();
    let input = lines.join("\n") + "\n";
    let archive = seal_into(&target, input.as_bytes()).unwrap();
    assert_eq!(open_from(&target, &keys(&archive)).0, input.as_bytes());
}

/// Real shapes: any text, any spelling of it, extra members, any order of times.
fn arbitrary_line() -> impl Strategy<Value = String> {
    let text = prop_oneof![Just(String::new()), any::<String>(), "[\\n\\r\\t\"\\\\/\u{1f600}é]{0,8}"];
    (0..3u8, 0..4u8, 0..3u8, 0..4i64 * 86_400_000, text, any::<bool>(), 0..5u8).prop_map(
        |(thread, id, sender, ms, text, ascii, form)| {
            let at = Timestamp::from_millis(1_525_500_000_000 + ms);
            let mut text = serde_json::to_string(&text).unwrap();
            if ascii {
                // The same text in \u escapes, surrogate pairs included.
                text = text
                    .encode_utf16()
                    .map(|u| if u < 0x80 { char::from(u as u8).to_string() } else { format!("\\u{u:04X}") })
                    .collect();
            }
            match form {
                0 => format!(r#"{{"thread":"{thread}","message_id":"{id}","sender":"{sender}","sent_at":"{at}","text":{text}}}"#),
                1 => format!(r#"  {{ "text" : {text}, "sender":"{sender}","message_id":"{id}","sent_at":"{at}","thread":"{thread}" }}"#),
                2 => format!("{{\"x\":{{\"text\":[1.50,null]}},\"thread\":\"{thread}\",\"message_id\":\"{id}\",\"sender\":\"{sender}\",\"sent_at\":\"{at}\",\"text\":{text}}}\r"),
                3 => format!(r#"{{"thread":"{thread}","message_id":"\u00fc{id}","sender":"{sender}","sent_at":"{at}","text":"\udead","text2":{text}}}"#),
                _ => format!(r#"{{"thread":"{thread}","message_id":"{id}","sender":"{sender}","sent_at":"{at}","text":{text},"k":{text},"k":0}}"#),
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_goes_in_comes_out_byte_for_byte(lines in prop::collection::vec(arbitrary_line(), 1..40)) {
        let dir = tempfile::tempdir().unwrap();
        let input = lines.join("\n") + "\n";
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(input.as_bytes()).unwrap();
        let plain = seal_into(&dir.path().join("plain"), input.as_bytes()).unwrap();
        let zipped = seal_into(&dir.path().join("zipped"), &gzip.finish().unwrap()).unwrap();
        for (archive, sub) in [(&plain, "plain"), (&zipped, "zipped")] {
            let (out, report) = open_from(&dir.path().join(sub), &keys(archive));
            prop_assert_eq!(out, input.as_bytes());
            prop_assert!(report.complete());
        }
        // Everything but keys, nonces and so digests is the same.
        for (p, z) in plain.segments.iter().zip(&zipped.segments) {
            prop_assert_eq!(&p.about, &About { archive: p.about.archive, ..z.about.clone() });
            prop_assert_eq!((&p.file, p.messages), (&z.file, z.messages));
            prop_assert_ne!(p.key.expose(), z.key.expose());
        }
        let distinct: BTreeSet<_> = plain.segments.iter().map(|s| *s.key.expose()).collect();
        prop_assert_eq!(distinct.len(), plain.segments.len());
        // Each key alone opens its own segment and no other.
        for (n, s) in plain.segments.iter().enumerate() {
            let (out, _) = open_from(&dir.path().join("plain"), &[(&s.about, &s.key)]);
            prop_assert_eq!(out.iter().filter(|b| **b == b'\n').count() as u64, s.messages);
            let next = &plain.segments[(n + 1) % plain.segments.len()];
            if plain.segments.len() > 1 {
                prop_assert!(open_from(&dir.path().join("plain"), &[(&s.about, &next.key)]).0.is_empty());
            }
        }
    }
}
