use super::*;
use crate::archive::{SealOptions, SealedArchive, prepare};
use escrow_core::TokenKey;
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;
use zeroize::Zeroizing;

/// An archive of two segments, two days of one thread, and two attachments.
struct Bench {
    dir: TempDir,
    archive: SealedArchive,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let files = dir.path().join("files");
        fs::create_dir(&files).unwrap();
        fs::write(files.join("a"), "first").unwrap();
        let attachment = format!(
            r#""v":2,"attachments":[{{"name":"a","media_type":"a/b","size":5,"sha256":"{}"}}]"#,
            Digest::of(b"first")
        );
        let line = |day: u8| {
            format!(
                r#"{{"thread":"t","message_id":"m","sender":"s","sent_at":"2018-05-0{day}T12:00:00Z","text":"",{attachment}}}"#
            )
        };
        let (org, tokens) = ("acme.example".parse().unwrap(), TokenKey::from_bytes(1, Zeroizing::new([7; 32])));
        let target = dir.path().join("sealed");
        let options = SealOptions { dir: &target, org: &org, tokens: &tokens, era: 0, inside: &|_| true };
        let mut prepared = prepare([line(1), line(1), line(2)].join("\n").as_bytes(), &options).unwrap();
        assert_eq!(prepared.attach(&files, &|_, _| {}).unwrap().sealed, 2);
        let archive = prepared.publish().unwrap();
        Self { dir, archive }
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("sealed")
    }

    fn segment(&self, n: usize) -> String {
        self.archive.segments[n].file.to_str().unwrap().to_owned()
    }

    fn attachment(&self, n: usize) -> String {
        ArchiveIndex::load(&self.root()).unwrap().attachments[n].file.clone()
    }

    fn edit(&self, file: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = fs::read(self.root().join(file)).unwrap();
        change(&mut bytes);
        fs::write(self.root().join(file), bytes).unwrap();
    }

    /// Makes the index say what the files say, as a depositor's broken program could have.
    fn index(&self, change: impl FnOnce(&mut ArchiveIndex)) {
        let mut index = ArchiveIndex::load(&self.root()).unwrap();
        change(&mut index);
        index.save(&self.root()).unwrap();
    }

    fn redigest(&self, n: usize) {
        let digest = Digest::of(&fs::read(self.root().join(self.segment(n))).unwrap());
        self.index(|i| i.segments[n].digest = digest);
    }

    fn seen(&self) -> Verification {
        verify(&self.root(), &|_, _| {}).unwrap()
    }

    fn findings(&self) -> Vec<(String, FindingKind, String)> {
        self.seen().findings.into_iter().map(|f| (f.file, f.kind, f.rule)).collect()
    }

    #[track_caller]
    fn finds(&self, file: &str, kind: FindingKind, words: &str) {
        let findings = self.findings();
        assert!(findings.iter().any(|f| f.0 == file && f.1 == kind && f.2.contains(words)), "{findings:?}");
        assert_eq!(findings.iter().all(|f| f.1 == FindingKind::Missing), !self.seen().altered());
    }
}

#[test]
fn a_whole_archive_holds_and_every_byte_is_read() {
    let bench = Bench::new();
    let told = std::cell::RefCell::new(Vec::new());
    let seen = verify(&bench.root(), &|done, total| told.borrow_mut().push((done, total))).unwrap();
    assert!(seen.holds() && !seen.altered());
    assert_eq!((seen.segments, seen.messages, seen.attachments), (2, 3, 2));
    let told = told.into_inner();
    assert!(told.windows(2).all(|w| w[0].0 <= w[1].0) && told.iter().all(|t| t.0 <= t.1));
    let (done, total) = told[told.len() - 1];
    assert!(done == total && seen.bytes < total, "all but the index, which is read before");
}

#[test]
fn altered_cut_and_extended_files_are_found() {
    for n in [0, 1] {
        let bench = Bench::new();
        bench.edit(&bench.segment(n), |b| *b.last_mut().unwrap() ^= 1);
        bench.finds(&bench.segment(n), FindingKind::Altered, "SHA-256");
        assert_eq!(bench.findings().len(), 1, "and nothing else");
    }
    let bench = Bench::new();
    bench.edit(&bench.segment(0), |b| b.truncate(b.len() - 1));
    bench.finds(&bench.segment(0), FindingKind::Altered, "SHA-256");
    bench.finds(&bench.segment(0), FindingKind::Malformed, "ends in or before record");
    let changes: [fn(&mut Vec<u8>); 3] = [|b| b[50] ^= 1, |b| b.push(0), |b| b.truncate(b.len() - 1)];
    for change in changes {
        let bench = Bench::new();
        bench.edit(&bench.attachment(1), change);
        bench.finds(&bench.attachment(1), FindingKind::Altered, "SHA-256 or length");
    }
}

#[test]
fn missing_and_stray_files_are_found() {
    let bench = Bench::new();
    fs::remove_file(bench.root().join(bench.segment(1))).unwrap();
    fs::remove_file(bench.root().join(bench.attachment(0))).unwrap();
    bench.finds(&bench.segment(1), FindingKind::Missing, "not there");
    bench.finds(&bench.attachment(0), FindingKind::Missing, "not there");
    assert!(!bench.seen().holds() && !bench.seen().altered());
    fs::create_dir(bench.root().join("segments/deep")).unwrap();
    for stray in ["notes.txt", ".hidden", "segments/deep/x.seg", "attachments/x.att"] {
        fs::write(bench.root().join(stray), "").unwrap();
        bench.finds(stray, FindingKind::Stray, "does not name it");
    }
}

#[test]
fn a_broken_frame_is_found_where_the_digest_agrees() {
    let framed = |change: &dyn Fn(&mut Vec<u8>), words: &str| {
        let bench = Bench::new();
        bench.edit(&bench.segment(0), change);
        bench.redigest(0);
        bench.finds(&bench.segment(0), FindingKind::Malformed, words);
        assert!(bench.findings().iter().all(|f| f.1 != FindingKind::Altered));
    };
    framed(&|b| b[0] ^= 1, "does not begin with the header");
    framed(&|b| b[7] = 9, "format version 9 is not known");
    framed(&|b| b[8] = 0xff, "does not begin with the header");
    framed(&|b| b.truncate(5), "does not begin with the header");
    framed(&|b| b.truncate(b.len() - 41), "ends in or before record");
    framed(&|b| b.truncate(b.len() - 42), "ends in or before record");
    framed(&|b| b.push(0), "bytes after the final record");
    framed(&|b| b.clear(), "does not begin with the header");
    let first = |b: &[u8]| 12 + u32::from_be_bytes(b[8..12].try_into().unwrap()) as usize + 32;
    framed(&|b| b.truncate(first(b) - 1), "ends in or before record 0");
    framed(&|b| b.truncate(first(b)), "ends in or before record 0");
    framed(
        &|b| {
            let at = first(b);
            b[at] = 2
        },
        "record 0 has an impossible kind or length",
    );
    framed(
        &|b| {
            let at = first(b);
            b[at] = 1
        },
        "record 0 has an impossible kind or length",
    );
    framed(
        &|b| {
            let at = first(b);
            b[at + 1] = 1
        },
        "record 0 has an impossible kind or length",
    );
}

#[test]
fn what_index_and_header_say_must_agree() {
    type Change = fn(&mut ArchiveIndex);
    let changes: [(Change, FindingKind, &str); 9] = [
        (|i| i.segments[0].era += 1, FindingKind::Malformed, "another era"),
        (|i| i.segments[0].epoch += 1, FindingKind::Malformed, "another epoch"),
        (|i| i.segments[0].to = escrow_core::Timestamp::MAX, FindingKind::Malformed, "another window"),
        (|i| i.org = "other.example".parse().unwrap(), FindingKind::Malformed, "another organisation"),
        (|i| i.segments[0].messages += 1, FindingKind::Malformed, "by the index"),
        (|i| i.segments[0].day = "2018-05-09".into(), FindingKind::Malformed, "not that of its thread and day"),
        (|i| i.segments.push(i.segments[0].clone()), FindingKind::Duplicate, "thread and day twice"),
        (|i| i.segments[0].digest = i.segments[1].digest, FindingKind::Altered, "SHA-256"),
        (|i| i.attachments[0].size += 1, FindingKind::Altered, "SHA-256 or length"),
    ];
    for (change, kind, words) in changes {
        let bench = Bench::new();
        bench.index(change);
        let findings = bench.findings();
        assert!(findings.iter().any(|f| f.1 == kind && f.2.contains(words)), "{words}: {findings:?}");
    }
    let bench = Bench::new();
    bench.index(|i| i.segments[0].digest = i.segments[1].digest);
    assert!(bench.findings().iter().any(|f| f.1 == FindingKind::Duplicate && f.2.contains("digest twice")));
    let bench = Bench::new();
    bench.index(|i| i.attachments.push(i.attachments[0].clone()));
    bench.finds(&bench.attachment(0), FindingKind::Duplicate, "twice");
}

/// Who verifies a stranger's folder must not be led out of it.
#[test]
fn names_in_the_index_lead_nowhere_else() {
    let bench = Bench::new();
    let outside = bench.dir.path().join("outside");
    fs::write(&outside, "secret").unwrap();
    for name in ["../outside", outside.to_str().unwrap(), "attachments/../../outside", "archive.json"] {
        bench.index(|i| {
            i.segments[0].file = name.into();
            i.attachments[0].file = name.into();
        });
        let findings = bench.findings();
        let of = findings.iter().filter(|f| f.0 == name).map(|f| f.2.as_str()).collect::<Vec<_>>();
        assert_eq!(
            of,
            [
                "its name in the index is not that of an attachment",
                "its name in the index is not that of its thread and day"
            ]
        );
    }
    #[cfg(unix)]
    {
        let bench = Bench::new();
        let file = bench.root().join(bench.segment(0));
        fs::rename(&file, bench.dir.path().join("moved")).unwrap();
        std::os::unix::fs::symlink(bench.dir.path().join("moved"), &file).unwrap();
        bench.finds(&bench.segment(0), FindingKind::Malformed, "not a regular file");
    }
}

#[test]
fn a_folder_without_a_usable_index_is_refused() {
    let bench = Bench::new();
    let index = bench.root().join("archive.json");
    let text = fs::read_to_string(&index).unwrap();
    fs::write(&index, text.replace("\"schema\": 2", "\"schema\": 3")).unwrap();
    assert!(matches!(verify(&bench.root(), &|_, _| {}), Err(IndexError::Malformed { .. })));
    fs::remove_file(&index).unwrap();
    assert!(matches!(verify(&bench.root(), &|_, _| {}), Err(IndexError::Missing(_))));
}

/// The lengths alone show it, so a keeper sees it even where the index was made to agree.
#[test]
fn a_segment_cut_anywhere_is_not_whole() {
    let bench = Bench::new();
    let bytes = fs::read(bench.root().join(bench.segment(0))).unwrap();
    let framing = |bytes: &[u8]| scan(&mut &*bytes).unwrap().1;
    assert_eq!(framing(&bytes), Framing::Whole(2));
    for cut in 0..bytes.len() {
        let framing = framing(&bytes[..cut]);
        assert!(matches!(framing, Framing::Header(_) | Framing::Cut(0..=2)), "{cut}: {framing:?}");
    }
}
