use super::*;
use crate::archive::{
    ArchiveIndex, AttachmentFault, OpenOptions, Rejected, open_item, open_segments, save_attachments, verify,
};
use escrow_core::{Digest, TokenKey};
use proptest::prelude::*;
use std::cell::Cell;
use tempfile::TempDir;
use zeroize::Zeroizing;

/// A folder with clear files in `files`, and the archive in `sealed`.
struct Bench {
    dir: TempDir,
    org: Org,
    tokens: TokenKey,
}

impl Bench {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            let path = dir.path().join("files").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        let org = "acme.example".parse().unwrap();
        Self { dir, org, tokens: TokenKey::from_bytes(1, Zeroizing::new([7; 32])) }
    }

    fn files(&self) -> PathBuf {
        self.dir.path().join("files")
    }

    fn sealed(&self) -> PathBuf {
        self.dir.path().join("sealed")
    }

    fn with<T>(&self, make: impl FnOnce(&SealOptions<'_>) -> T) -> T {
        let inside = |id: &str| !id.starts_with("guest");
        make(&SealOptions { dir: &self.sealed(), org: &self.org, tokens: &self.tokens, era: 0, inside: &inside })
    }

    fn seal(&self, input: &str) -> (SealedArchive, AttachmentReport) {
        let mut prepared = self.with(|o| prepare(input.as_bytes(), o)).unwrap();
        let told = Cell::new((0, 0));
        let report = prepared.attach(&self.files(), &|done, total| told.set((done, total))).unwrap();
        assert_eq!(told.get().0, told.get().1);
        (prepared.publish().unwrap(), report)
    }

    fn import(&self, input: &[u8]) -> (Imported, Vec<u8>) {
        let mut rejects = Vec::new();
        (self.with(|o| import(input, o, &mut rejects)).unwrap(), rejects)
    }

    /// The lines, and every attachment by the name of its file.
    fn open(&self, archive: &SealedArchive) -> (String, Vec<(String, Vec<u8>)>, usize) {
        let (dir, target) = (self.sealed(), tempfile::tempdir().unwrap());
        let options = OpenOptions { dir: &dir, org: &self.org, tokens: Some(&self.tokens) };
        let keys = || archive.segments.iter().map(|s| (&s.about, &s.key));
        let mut lines = Vec::new();
        assert!(open_segments(&options, keys(), &mut lines).unwrap().complete());
        let saved = save_attachments(&options, keys(), target.path(), &|_, _| {}).unwrap();
        let mut files: Vec<_> = fs::read_dir(target.path())
            .unwrap()
            .map(|e| e.unwrap())
            .map(|e| (e.file_name().to_str().unwrap().to_owned(), fs::read(e.path()).unwrap()))
            .collect();
        files.sort();
        assert_eq!((saved.saved, saved.bytes), (files.len() as u64, files.iter().map(|f| f.1.len() as u64).sum()));
        (String::from_utf8(lines).unwrap(), files, saved.lost.len())
    }
}

fn line(id: &str, day: u8, members: &str) -> String {
    format!(
        r#"{{"thread":"t","message_id":"{id}","sender":"ann","sent_at":"2018-05-0{day}T12:00:00Z","text":"","v":2{members}}}"#
    )
}

fn attached(files: &[&[u8]]) -> String {
    let one = |f: &&[u8]| named(f, f.len());
    format!(r#","attachments":[{}]"#, files.iter().map(one).collect::<Vec<_>>().join(","))
}

fn named(file: &[u8], size: usize) -> String {
    format!(r#"{{"name":"a.bin","media_type":"a/b","size":{size},"sha256":"{}"}}"#, Digest::of(file))
}

#[test]
fn people_who_never_wrote_are_participants_of_their_thread() {
    let bench = Bench::new(&[("x", b"")]);
    let input = [
        line("1", 1, r#","conversation":{"members":["ann","ben","guest-1"]}"#),
        line("2", 2, r#","type":"join","member":"guest-2""#),
        line("3", 3, r#","type":"leave","member":"cat""#),
        line("4", 3, "").replace("\"t\"", "\"other\""),
    ];
    let (archive, _) = bench.seal(&input.join("\n"));
    let everybody = ["ann", "ben", "cat", "guest-1", "guest-2"];
    assert_eq!(archive.people.iter().map(|p| p.0.as_str()).collect::<Vec<_>>(), everybody);
    for segment in &archive.segments {
        let mut expected: Vec<_> = if segment.about.thread == bench.tokens.thread("t") {
            everybody.iter().map(|id| (bench.tokens.subject(id), !id.starts_with("guest"))).collect()
        } else {
            vec![(bench.tokens.subject("ann"), true)]
        };
        expected.sort();
        let got: Vec<_> = segment.about.participants.iter().map(|p| (p.token, p.inside)).collect();
        assert_eq!(got, expected);
    }
    let members = (0..1000).map(|n| format!("\"m{n}\"")).collect::<Vec<_>>().join(",");
    let input = line("1", 1, "") + "\n" + &line("2", 1, &format!(r#","conversation":{{"members":[{members}]}}"#));
    let bench = Bench::new(&[]);
    let error = bench.with(|o| prepare(input.as_bytes(), o)).unwrap_err();
    assert!(matches!(error, SealArchiveError::TooManyPeople { line: 2 }), "{error}");
}

#[test]
fn sealing_refuses_what_breaks_version_2_and_names_it() {
    let bench = Bench::new(&[]);
    let input = line("1", 1, "") + "\n" + &line("2", 1, r#","type":"edit""#);
    let error = bench.with(|o| prepare(input.as_bytes(), o)).unwrap_err().to_string();
    assert_eq!(error, "nothing was sealed: line 2: `target` is missing; correct the line and seal again");
    assert_eq!(fs::read_dir(bench.dir.path()).unwrap().count(), 0);
}

#[test]
fn oddities_are_counted_and_stop_nothing() {
    let bench = Bench::new(&[("x", b"")]);
    let other = |line: String| line.replace("\"t\"", "\"u\"");
    let input = [
        line("1", 2, r#","seq":2"#),
        line("2", 1, r#","seq":7"#), // earlier
        line("2", 2, r#","seq":7"#), // same id, same number
        line("1", 2, r#","seq":2"#), // the first again
        line("3", 1, ""),            // earlier
        other(line("1", 1, r#","seq":1"#)),
        other(line("9", 1, r#","seq":18446744073709551615"#)),
    ];
    let (archive, _) = bench.seal(&(input.join("\n") + "\n"));
    let missing = u64::MAX; // 4 and 2^64-3, as far as it counts
    assert_eq!(archive.counts, Counts { out_of_order: 2, repeated_ids: 1, exact_repeats: 1, missing });
    assert_eq!(bench.open(&archive).0, input.join("\n") + "\n");
}

#[test]
fn files_are_sealed_once_a_segment_and_come_back_under_their_digest() {
    let (a, b, empty): (&[u8], &[u8], &[u8]) = (b"first", &[7; 70_000], b"");
    let bench = Bench::new(&[("deep/er/anything", a), ("b", b), ("again", a), ("e", empty), ("nobody's", b"x")]);
    let input = [
        line("1", 1, &attached(&[a, a, b])),
        line("2", 1, &attached(&[a])),
        line("3", 2, &(attached(&[a, empty]) + r#","type":"edit","target":"1""#)),
    ];
    let (archive, report) = bench.seal(&input.join("\n"));
    assert!(report.complete() && report.unreadable.is_empty());
    assert_eq!((archive.attachments, report.sealed, report.bytes), (4, 4, 5 + 70_000 + 5));
    let index = ArchiveIndex::load(&bench.sealed()).unwrap();
    assert_eq!((index.schema, index.attachments.len()), (2, 4));
    for entry in &index.attachments {
        let path = bench.sealed().join(&entry.file);
        let bytes = fs::read(&path).unwrap();
        assert_eq!((Digest::of(&bytes), bytes.len() as u64), (entry.digest, entry.size));
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path).unwrap().permissions()) & 0o777, 0o600);
        for clear in [a, b, empty] {
            assert!(!entry.file.contains(&Digest::of(clear).to_string()));
        }
    }
    assert_eq!(fs::read_dir(bench.sealed().join("attachments")).unwrap().count(), 4, "and no temporary file");
    assert!(verify(&bench.sealed(), &|_, _| {}).unwrap().holds());
    let (lines, files, lost) = bench.open(&archive);
    assert_eq!((lines, lost), (input.join("\n") + "\n", 0));
    let mut expected: Vec<_> = [a, b, empty].iter().map(|f| (Digest::of(f).to_string(), f.to_vec())).collect();
    expected.sort();
    assert!(files == expected);
}

#[test]
fn files_that_are_not_what_a_line_names_are_told_and_stop_nothing() {
    let bench = Bench::new(&[("a.bin", b"other words"), ("there", b"there"), ("b", b"sized")]);
    let lie = format!(r#","attachments":[{},{}]"#, named(b"sized", 4), named(b"there", 5));
    let missing = named(b"gone", 4).replace("a.bin", "unknown");
    let input = [
        line("1", 1, &lie),
        line("2", 1, &format!(r#","attachments":[{missing}]"#)),
        line("3", 1, &attached(&[b"words"])),
        line("4", 1, &attached(&[b"words"])),
    ];
    let (archive, report) = bench.seal(&input.join("\n"));
    assert!(!report.complete());
    assert_eq!((report.sealed, report.missing.len()), (1, 3));
    let [one, two, three] = report.missing.as_slice() else { unreachable!() };
    assert!(one.line == 1 && matches!(one.fault, AttachmentFault::Size { stated: 4, found: 5 }), "{one:?}");
    assert!(two.line == 2 && matches!(two.fault, AttachmentFault::Missing), "{two:?}");
    assert!(three.line == 3 && matches!(three.fault, AttachmentFault::OtherContent(_)), "{three:?}");
    let (lines, files, lost) = bench.open(&archive);
    assert_eq!((lines.lines().count(), files.len(), lost), (4, 1, 3));
    let error = bench.with(|o| {
        let other = SealOptions { dir: &bench.dir.path().join("other"), ..*o };
        prepare(input.join("\n").as_bytes(), &other).unwrap().attach(&bench.dir.path().join("no"), &|_, _| {})
    });
    assert!(matches!(error, Err(SealArchiveError::File(_))));
}

#[test]
fn fifty_megabytes_go_through() {
    let large: Vec<u8> = (0..50_000_000u32).map(|n| (n / 65_521 + n) as u8).collect();
    let bench = Bench::new(&[("large", &large)]);
    let input = line("1", 1, &attached(&[&large]));
    let (archive, report) = bench.seal(&input);
    assert_eq!((report.sealed, report.bytes), (1, 50_000_000));
    let (_, files, lost) = bench.open(&archive);
    assert_eq!(lost, 0);
    assert!(files[0].1 == large);
}

#[test]
fn an_import_seals_what_it_can_and_gives_back_the_rest_byte_for_byte() {
    let bench = Bench::new(&[]);
    let good = [line("1", 1, ""), line("2", 1, "") + "\r"];
    let long = format!("{{\"text\":\"{}\"}}", "x".repeat(5 << 20));
    let bad: [&[u8]; 6] = [
        b"\n",
        b"{\"thread\":\"t\"\n",
        b"{\"thread\":\"\xff\"}\n",
        &[long.as_bytes(), b"\n"].concat(),
        &[line("3", 1, r#","type":"poll""#).as_bytes(), b"\r\n"].concat(),
        b"the last has no line feed",
    ];
    let input = [good[0].as_bytes(), b"\n", &bad[..5].concat(), good[1].as_bytes(), b"\n", bad[5]].concat();
    let (Imported { prepared, rejected }, rejects) = bench.import(&input);
    assert!(rejects == bad.concat());
    let shown: Vec<_> = rejected.iter().map(|r| (r.line, r.member, r.rule.as_str())).collect();
    assert_eq!(
        shown,
        [
            (2, None, "blank"),
            (3, None, "not one JSON object (column 13)"),
            (4, None, "not UTF-8"),
            (5, None, "longer than 1048576 bytes"),
            (
                6,
                Some("type"),
                "must be message, edit, deletion, reaction, receipt, join, leave, rename, notice or undecryptable"
            ),
            (8, None, "not one JSON object (column 2)"),
        ]
    );
    assert!(rejected.iter().all(|r| !r.remedy.is_empty()));
    let archive = prepared.unwrap().publish().unwrap();
    assert_eq!(bench.open(&archive).0, good.join("\n") + "\n");
    // The lines keep the numbers that they had in the input.
    let dir = bench.sealed();
    let options = OpenOptions { dir: &dir, org: &bench.org, tokens: None };
    let opened = open_item(&options, &archive.segments[0].about, &archive.segments[0].key).unwrap();
    assert_eq!(opened.records.iter().map(|r| r.line).collect::<Vec<_>>(), [1, 7]);
    assert_eq!(opened.records[0].message().unwrap().sender, "ann");
}

#[test]
fn a_rejected_line_leaves_no_trace_in_the_archive() {
    let bench = Bench::new(&[]);
    let members = (0..1000).map(|n| format!("\"m{n}\"")).collect::<Vec<_>>().join(",");
    let crowd = line("2", 2, &format!(r#","conversation":{{"members":[{members}]}}"#));
    let stranger = line("3", 1, r#","seq":0"#).replace("\"t\"", "\"u\"").replace("ann", "zoe");
    let input = [line("1", 1, ""), crowd, stranger].join("\n");
    let (Imported { prepared, rejected }, _) = bench.import(input.as_bytes());
    assert_eq!(rejected.iter().map(|r| r.line).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(rejected[0].rule, "makes more than 1000 people in its thread");
    let prepared = prepared.unwrap();
    let archive = prepared.archive();
    assert_eq!((archive.threads.len(), archive.people.len(), archive.segments.len()), (1, 1, 1));
    assert_eq!(archive.segments[0].about.participants.len(), 1);
}

#[test]
fn an_import_of_nothing_that_can_be_sealed_makes_no_archive() {
    let bench = Bench::new(&[]);
    let (Imported { prepared, rejected }, rejects) = bench.import(b"x\ny\n");
    assert!(prepared.is_none());
    assert_eq!((rejected.len(), rejects.as_slice()), (2, &b"x\ny\n"[..]));
    assert!(matches!(bench.with(|o| import(&b""[..], o, &mut Vec::new())), Err(SealArchiveError::Empty)));
    assert_eq!(fs::read_dir(bench.dir.path()).unwrap().count(), 0);
}

#[test]
fn an_import_of_good_lines_rejects_none() {
    let bench = Bench::new(&[]);
    let (Imported { prepared, rejected }, rejects) = bench.import(line("1", 1, "").as_bytes());
    assert_eq!((rejected, rejects.len(), prepared.unwrap().archive().messages), (Vec::<Rejected>::new(), 0, 1));
}

/// Lines of version 2 of every type, with files of the given lengths.
fn arbitrary_line(files: usize) -> impl Strategy<Value = (String, Vec<usize>)> {
    let kind = prop_oneof![
        Just(String::new()),
        Just(r#","type":"edit","target":"1""#.to_owned()),
        "[a-z]{1,8}".prop_map(|v| format!(r#","type":"reaction","target":"x","value":"{v}""#)),
        Just(r#","type":"receipt","target":"1","action":"read""#.to_owned()),
        "[a-z]{1,3}".prop_map(|m| format!(r#","type":"join","member":"{m}""#)),
        "[a-z]{1,3}".prop_map(|m| format!(r#","conversation":{{"kind":"group","members":["{m}"]}},"epoch":4"#)),
    ];
    (kind, 0..5u8, 1..4u8, prop::collection::vec(0..files, 0..3)).prop_map(|(kind, id, day, files)| {
        let takes = kind.is_empty() || kind.contains("edit");
        (line(&id.to_string(), day, &kind), if takes { files } else { Vec::new() })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn lines_of_version_2_and_their_files_come_back_byte_for_byte(
        files in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..5),
        lines in prop::collection::vec(arbitrary_line(1000), 1..20),
    ) {
        let names: Vec<String> = (0..files.len()).map(|n| n.to_string()).collect();
        let pairs: Vec<(&str, &[u8])> = names.iter().map(String::as_str).zip(files.iter().map(Vec::as_slice)).collect();
        let bench = Bench::new(&pairs);
        let mut used = Vec::new();
        let lines: Vec<String> = lines
            .into_iter()
            .map(|(line, picked)| {
                let picked: Vec<&[u8]> = picked.iter().map(|n| files[n % files.len()].as_slice()).collect();
                if picked.is_empty() {
                    return line;
                }
                used.extend(picked.iter().map(|f| (Digest::of(f).to_string(), f.to_vec())));
                let rest = line.strip_suffix('}').unwrap();
                format!("{rest}{}}}", attached(&picked))
            })
            .collect();
        used.sort();
        used.dedup();
        let (archive, report) = bench.seal(&lines.join("\n"));
        prop_assert!(report.complete());
        prop_assert_eq!(verify(&bench.sealed(), &|_, _| {}).unwrap().findings, []);
        let (opened, saved, lost) = bench.open(&archive);
        prop_assert_eq!(opened, lines.join("\n") + "\n");
        prop_assert_eq!((saved, lost), (used, 0));
    }
}
