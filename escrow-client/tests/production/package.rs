//! What all packages have, and that their bytes follow from the release alone.

use crate::archive::{Sealed, assert_passes, at, files, line};
use escrow_client::production::{Format, ProductionError};
use serde_json::json;
use std::os::unix::fs::PermissionsExt as _;

fn everything() -> Sealed {
    let mut sealed = Sealed::of(&[
        line(
            "1",
            "ann",
            "2026-03-01T10:00:00Z",
            json!({"text": "<script>alert(1)</script> \u{202e}\u{5e9}\u{5dc}\u{5d5}\u{5dd}"}),
        ),
        line("2", "ben", "2026-03-01T10:00:00.250Z", json!({"text": ""})),
        line(
            "=HYPERLINK(1)",
            "ben",
            "2026-03-01T10:00:01Z",
            json!({"text": "\u{fe}\u{14}\u{ae};\n\"x\"", "reply_to": "none"}),
        ),
        line(
            "3",
            "ann",
            "2026-03-02T10:00:00Z",
            json!({"text": "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467} line\r\nbreak"}),
        ),
    ]);
    sealed.name("ann", "Ann \u{fe}; O'Hara, PhD");
    sealed
}

#[test]
fn every_format_is_a_bag_in_which_nothing_is_found() {
    let sealed = everything();
    for format in [Format::Rsmf, Format::Dat, Format::Jsonl, Format::Html] {
        let (out, produced) = sealed.produce(format, format.name());
        assert_passes(&out);
        assert_eq!((produced.lines, produced.events, produced.conversations), (4, 4, 1));
        let files = files(&out);
        for path in
            ["bagit.txt", "manifest-sha512.txt", "data/counts.csv", "data/errors.csv", "data/custody/custody.html"]
        {
            assert!(files.contains_key(path), "{path}");
        }
        let errors = String::from_utf8(files["data/errors.csv"].clone()).unwrap();
        // No cell that a spreadsheet would run.
        assert!(errors.contains(",'=HYPERLINK(1),parent-missing,"), "{errors}");
        for path in files.keys() {
            assert_eq!(std::fs::metadata(out.join(path)).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(std::fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o700);
    }
}

#[test]
fn lines_are_those_that_were_sealed() {
    let sealed = everything();
    let (out, _) = sealed.produce(Format::Jsonl, "lines");
    let lines = String::from_utf8(files(&out)["data/jsonl/00001.jsonl"].clone()).unwrap();
    assert_eq!(lines.lines().count(), 4);
    for id in ["1", "2", "=HYPERLINK(1)", "3"] {
        assert!(lines.lines().any(|l| l.contains(&format!("\"message_id\":\"{id}\""))));
    }
}

#[test]
fn a_page_runs_no_word_of_a_message() {
    let sealed = everything();
    let (out, _) = sealed.produce(Format::Html, "pages");
    let page = String::from_utf8(files(&out)["data/html/00001.html"].clone()).unwrap();
    assert_eq!(page.matches("<script>").count(), 1);
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(!page.contains("http://") && !page.contains("https://"));
}

#[test]
fn the_same_release_gives_the_same_bytes() {
    let sealed = everything();
    for format in [Format::Rsmf, Format::Dat, Format::Jsonl, Format::Html] {
        let (first, _) = sealed.produce(format, &format!("{}-1", format.name()));
        // Another second, another folder.
        std::thread::sleep(std::time::Duration::from_millis(1100));
        let (second, _) = sealed.produce(format, &format!("{}-2", format.name()));
        assert!(files(&first) == files(&second), "{}", format.name());
    }
}

#[test]
fn what_cannot_be_written_leaves_nothing() {
    let mut sealed = everything();
    let out = sealed.dir.path().join("mine");
    std::fs::create_dir(&out).unwrap();
    std::fs::write(out.join("x"), "x").unwrap();
    let fails = |sealed: &Sealed, name: &str| {
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| sealed.produce(Format::Rsmf, name)));
        assert!(caught.is_err());
    };
    fails(&sealed, "mine");
    (sealed.selection.from, sealed.selection.to) = (at("2020-01-01T00:00:00Z"), at("2020-01-02T00:00:00Z"));
    fails(&sealed, "empty");
    assert!(!sealed.dir.path().join("empty").exists());
    let hidden = std::fs::read_dir(sealed.dir.path())
        .unwrap()
        .filter(|e| e.as_ref().unwrap().file_name().to_str().unwrap().starts_with(".production-"));
    assert_eq!(hidden.count(), 0);
    assert!(ProductionError::Nothing.to_string().contains("nothing was written"));
}

/// One archive with everything in it. With `ESCROW_PRODUCTIONS=DIR` its productions are left there for tools
/// that we did not write.
#[test]
fn productions_for_other_tools() {
    let clear = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let sha256 = escrow_core::Digest::of(bytes);
        std::fs::write(clear.path().join(sha256.to_string()), bytes).unwrap();
        json!({"name": name, "media_type": "text/plain", "size": bytes.len(), "sha256": sha256})
    };
    let attached = json!([file("empty.txt", b""), file("\u{202e}txt.exe", b"x"), file("caf\u{e9}.TXT", b"y")]);
    let group = json!({"kind": "group", "name": "Tender \u{1f6a2}", "members": ["ann", "ben"]});
    let rtl = "\u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467} <b>&amp;</b>\r\nsecond line \u{fe}\u{14}\u{ae}";
    let mut sealed = Sealed::of_files(
        &[
            line(
                "1",
                "ann",
                "2026-03-28T23:30:00Z",
                json!({"text": rtl, "conversation": group, "attachments": attached}),
            ),
            line("2", "ann", "2026-03-28T23:31:00Z", json!({"type": "join", "member": "cat"})),
            line("3", "cat", "2026-03-29T01:30:00.125Z", json!({"text": "", "reply_to": "1", "importance": "high"})),
            line("4", "ben", "2026-03-29T01:31:00Z", json!({"type": "reaction", "target": "3", "value": "\u{1f44d}"})),
            line("5", "cat", "2026-03-29T01:32:00Z", json!({"type": "edit", "target": "3", "text": "now with words"})),
            line("6", "ben", "2026-03-29T01:33:00Z", json!({"type": "receipt", "target": "3", "action": "read"})),
            line("7", "ann", "2026-03-29T01:34:00Z", json!({"type": "rename", "text": "Tender 2"})),
            line("8", "ann", "2026-03-29T01:20:00Z", json!({"text": "my clock is late", "reply_to": "3"})),
            line("9", "ann", "2026-03-29T01:40:00Z", json!({"type": "deletion", "target": "8"})),
            line("10", "ben", "2026-03-29T01:41:00Z", json!({"type": "undecryptable", "text": "no session"})),
            line("11", "cat", "2026-03-29T23:00:00Z", json!({"type": "leave", "member": "cat"})),
            line("12", "ben", "2026-03-30T09:00:00Z", json!({"text": "over the border", "reply_to": "1"})),
            line("13", "ben", "2026-03-31T09:00:00Z", json!({"text": "nobody can read this day"})),
        ],
        Some(clear.path()),
    );
    sealed.name("ann", "Ann, PhD");
    sealed.name("ben", "\u{5d1}\u{5df}");
    sealed.selection.zone = "Europe/Berlin".parse().unwrap();
    sealed.closed = vec![3];
    for format in [Format::Rsmf, Format::Dat, Format::Jsonl, Format::Html] {
        let (out, produced) = sealed.produce(format, format.name());
        assert_passes(&out);
        assert_eq!((produced.events, produced.undecryptable, produced.attachments), (9, 2, 3));
        if format == Format::Html {
            let page = String::from_utf8(files(&out)["data/html/00001.html"].clone()).unwrap();
            // A name cannot turn the words around it; what people wrote keeps its direction.
            assert!(page.contains("<bdi>\u{fffd}txt.exe</bdi>") && page.contains("\u{5e9}\u{5dc}\u{5d5}\u{5dd}"));
        }
        if let Some(keep) = std::env::var_os("ESCROW_PRODUCTIONS") {
            std::fs::rename(&out, std::path::Path::new(&keep).join(format.name())).unwrap();
        }
    }
}
