//! Rules of bags, load files and tables, broken one at a time.

use crate::How::{Content, Disk, Packed, Within};
use crate::Row;
use crate::sample::{Files, Production, manifest_of, md5, retag, row};
use std::fs;

const PICTURE: &str = "data/files/pic.bin";
const FIRST: &str = "manifest-sha256.txt";
const SECOND: &str = "manifest-sha512.txt";
const TAGS: &str = "tagmanifest-sha256.txt";

pub(crate) fn rows() -> Vec<Row> {
    [disk(), bags(), tables(), load_files(), load_file_contents()].into_iter().flatten().collect()
}

fn edit(files: &mut Files, path: &str, change: fn(&str) -> String) {
    let text = String::from_utf8(files[path].clone()).unwrap();
    let changed = change(&text);
    assert_ne!(changed, text, "{path}");
    files.insert(path.into(), changed.into_bytes());
}

/// Changes a file at the top, and the tag manifest with it.
fn edit_tag(files: &mut Files, path: &str, change: fn(&str) -> String) {
    edit(files, path, change);
    retag(files);
}

fn disk() -> Vec<Row> {
    vec![
        ("unreadable", Disk(|dir| fs::remove_dir_all(dir).unwrap())),
        (
            "nothing-here",
            Disk(|dir| {
                fs::remove_dir_all(dir).unwrap();
                fs::create_dir(dir).unwrap();
                fs::write(dir.join("notes.txt"), "x").unwrap();
            }),
        ),
        ("file-link", Disk(|dir| std::os::unix::fs::symlink("/etc/hostname", dir.join("data/link.rsmf")).unwrap())),
        ("file-name", Disk(|dir| fs::write(dir.join("a\\b.rsmf"), "x").unwrap())),
        ("too-many-files", Within(|l| l.files = 3)),
    ]
}

fn bags() -> Vec<Row> {
    vec![
        ("bag-declaration", Packed(|f| edit_tag(f, "bagit.txt", |t| t.replace("1.0", "2.0")))),
        (
            "bag-declaration",
            Packed(|f| {
                f.remove("bagit.txt");
                retag(f);
            }),
        ),
        ("bag-oxum-missing", Packed(|f| edit_tag(f, "bag-info.txt", |t| t.replace("Payload-Oxum", "Payload")))),
        ("bag-oxum", Packed(|f| edit_tag(f, "bag-info.txt", |t| t.replace(".6\n", ".7\n")))),
        (
            "bag-fetch",
            Packed(|f| {
                f.insert("fetch.txt".into(), b"http://example.org/a 1 data/files/pic.bin\n".to_vec());
            }),
        ),
        (
            "bag-manifest-missing",
            Packed(|f| {
                f.remove(FIRST);
                f.remove(SECOND);
                retag(f);
            }),
        ),
        ("bag-manifest", Packed(|f| edit_tag(f, FIRST, |t| t.replacen("  ", "", 1)))),
        ("bag-manifest", Packed(|f| edit_tag(f, FIRST, |t| format!("{t}{t}")))),
        ("bag-manifest", Packed(|f| edit_tag(f, FIRST, |t| t[1..].to_owned()))),
        (
            "bag-algorithm",
            Packed(|f| {
                f.insert("manifest-sha3256.txt".into(), b"00  data/files/pic.bin\n".to_vec());
                retag(f);
            }),
        ),
        (
            "bag-weak",
            Packed(|f| {
                let payload: Vec<String> = f.keys().filter(|p| p.starts_with("data/")).cloned().collect();
                let lines = manifest_of(f, payload.iter().map(String::as_str), md5);
                f.insert("manifest-md5.txt".into(), lines);
                f.remove(FIRST);
                f.remove(SECOND);
                retag(f);
            }),
        ),
        ("bag-path", Packed(|f| edit_tag(f, FIRST, |t| format!("{t}{}  data/../../outside\n", "0".repeat(64))))),
        ("bag-path", Packed(|f| edit_tag(f, FIRST, |t| format!("{t}{}  bag-info.txt\n", "0".repeat(64))))),
        ("bag-file-missing", Packed(|f| edit_tag(f, SECOND, |t| format!("{t}{}  data/lost\n", "0".repeat(128))))),
        (
            "bag-file-unlisted",
            Packed(|f| {
                edit_tag(f, SECOND, |t| t.lines().filter(|l| !l.ends_with("bin")).map(|l| format!("{l}\n")).collect())
            }),
        ),
        (
            "bag-file-altered",
            Packed(|f| {
                edit_tag(f, SECOND, |t| t.replacen(|c: char| c.is_ascii_hexdigit(), "", 1).replacen("  ", "0  ", 1))
            }),
        ),
        ("bag-file-altered", Packed(|f| edit(f, "bag-info.txt", |t| t.replace("me", "you")))),
        (
            "bag-tags-missing",
            Packed(|f| {
                f.remove(TAGS);
            }),
        ),
        (
            "bag-tag-unlisted",
            Packed(|f| {
                edit(f, TAGS, |t| t.lines().filter(|l| !l.ends_with("info.txt")).map(|l| format!("{l}\n")).collect())
            }),
        ),
    ]
}

fn tables() -> Vec<Row> {
    vec![
        ("counts-form", Content(|p| p.counts = p.counts.replacen("sha256", "sha1", 1))),
        ("counts-form", Content(|p| p.counts = p.counts.replace(",{sha256}", ""))),
        ("counts-file", Content(|p| p.counts = p.counts.replace("sha256\r\n", "sha256\r\nno.rsmf,,,,0,0,0,0,0,,\r\n"))),
        ("counts-file", Content(|p| p.counts = p.counts.split_inclusive("\r\n").take(1).collect())),
        (
            "counts-file",
            Content(|p| {
                let again = p.counts.lines().last().unwrap().to_owned();
                p.counts.push_str(&again);
            }),
        ),
        ("counts-differ", Content(|p| p.counts = p.counts.replace(",9,", ",10,"))),
        ("counts-differ", Content(|p| p.counts = p.counts.replace("10:30:00", "10:31:00"))),
        ("counts-differ", Content(|p| p.counts = p.counts.replace("{size}", "1{size}"))),
        ("counts-differ", Content(|p| p.counts = p.counts.replace("{md5}", "0{md5}"))),
        ("counts-differ", Content(|p| p.counts = p.counts.replace(",9,4,1,1,", ",9,4,1,10,"))),
        ("errors-form", Content(|p| p.errors = p.errors.replace("rule", "code"))),
        ("errors-form", Content(|p| p.errors.push_str("a,b,c\r\n"))),
        ("counts-missing", Packed(|f| without(f, "data/counts.csv"))),
        ("errors-missing", Packed(|f| without(f, "data/errors.csv"))),
    ]
}

/// Takes a file out of a bag that is then made again.
fn without(files: &mut Files, path: &str) {
    files.remove(path).unwrap();
    let payload = std::mem::take(files).into_iter().filter(|(p, _)| p.starts_with("data/")).collect();
    *files = crate::sample::bag(payload);
}

fn load_files() -> Vec<Row> {
    vec![
        ("dat-bom", Content(|p| p.dat = p.dat.replace('\u{feff}', ""))),
        (
            "dat-utf8",
            Content(|p| {
                p.more.insert("data/more.dat".into(), b"\xef\xbb\xbf\xfeDOCID\xfe\r\n".to_vec());
            }),
        ),
        ("dat-quote", Content(|p| p.dat = p.dat.replace("þA1þ\u{14}þA1þ\u{14}þA2þ", "þA1þ\u{14}A1\u{14}þA2þ"))),
        ("dat-quote", Content(|p| p.dat = p.dat.replace("þDOCIDþ", "DOCID"))),
        ("dat-header", Content(|p| p.dat = p.dat.replace("TEXTPATH", "docid"))),
        ("dat-header", Content(|p| p.dat = p.dat.replace("þDOCIDþ", "þDOCNOþ"))),
        (
            "dat-header",
            Content(|p| {
                p.more.insert("data/more.dat".into(), vec![]);
            }),
        ),
        ("dat-columns", Content(|p| p.dat.push_str(&row(&["A3", ""])))),
        (
            "dat-empty",
            Content(|p| {
                p.more.insert("data/more.dat".into(), format!("\u{feff}{}", row(&["DOCID"])).into_bytes());
            }),
        ),
        ("dat-docid-missing", Content(|p| p.dat.push_str(&row(&[""; 13])))),
        (
            "dat-docid-twice",
            Content(|p| {
                let again = p.dat.lines().last().unwrap().to_owned();
                p.dat.push_str(&again);
            }),
        ),
    ]
}

/// Gives the attachment's row another BEGATTACH, ENDATTACH and PARENTID.
fn family(dat: &mut String, to: [&str; 3]) {
    let cells = |of: [&str; 3]| format!("þA2þ\u{14}{}", of.map(|v| format!("þ{v}þ")).join("\u{14}"));
    let changed = dat.replace(&cells(["A1", "A2", "A1"]), &cells(to));
    assert_ne!(changed, *dat);
    *dat = changed;
}

fn load_file_contents() -> Vec<Row> {
    vec![
        ("dat-family", Content(|p| family(&mut p.dat, ["A1", "A2", "A9"]))),
        ("dat-family", Content(|p| family(&mut p.dat, ["A1", "A1", "A1"]))),
        ("dat-family", Content(|p| family(&mut p.dat, ["A1", "A2", ""]))),
        ("dat-family", Content(|p| family(&mut p.dat, ["A1", "", "A1"]))),
        ("dat-family", Content(|p| family(&mut p.dat, ["A1", "A3", "A1"]))),
        ("dat-family", Content(|p| family(&mut p.dat, ["A1", "A2", "A2"]))),
        ("dat-path", Content(|p| p.dat = p.dat.replace("threads\\t7.rsmf", "..\\data\\threads\\t7.rsmf"))),
        ("dat-path", Content(|p| p.dat = p.dat.replace("data/threads/t7.txt", "C:\\t7.txt"))),
        ("dat-path-missing", Content(|p| p.dat = p.dat.replace("threads\\t7.rsmf", "threads\\t8.rsmf"))),
        ("dat-path-missing", Content(|p| p.dat = p.dat.replace("data/threads/t7.txt", "data/threads/t8.txt"))),
        ("dat-hash", Content(|p| p.dat = p.dat.replace("{md52}", "{md5}"))),
        ("dat-hash", Content(|p| p.dat = p.dat.replace("{sha256}", "{sha2562}"))),
        ("dat-size", Content(|p| p.dat = p.dat.replace("{size2}", "6"))),
        ("dat-date", Content(|p| p.dat = p.dat.replace("03/01/2026", "13/01/2026"))),
        ("dat-date", Content(|p| p.dat = p.dat.replace("2026-03-01T12:30:00Z", "2026-03-01T08:30:00Z"))),
        ("dat-count", Content(|p| p.dat = p.dat.replace("{size2}", "five"))),
        ("dat-differs", Content(|p| p.dat = p.dat.replace("þ9þ\u{14}þ1þ", "þ9þ\u{14}þ2þ"))),
    ]
}

#[test]
fn an_altered_byte_of_the_payload_is_found_by_bag_and_load_file() {
    let report = crate::run(&Packed(|f| f.get_mut(PICTURE).unwrap()[0] ^= 1));
    assert_eq!(crate::codes(&report), ["bag-file-altered", "dat-hash", "dat-hash"]);
    let places: Vec<_> = report.findings.iter().map(|f| (f.file.as_str(), f.event.as_deref())).collect();
    assert_eq!(places, [(PICTURE, None), ("data/loadfile.dat", Some("A2")), ("data/loadfile.dat", Some("A2"))]);
}

#[test]
fn a_sent_file_called_dat_is_no_load_file_and_a_load_file_always_is() {
    let mut production = Production::new();
    let rows = [row(&["DOCID", "NATIVEPATH"]), row(&["B1", "files/meter.dat"])].concat();
    production.more.insert("data/more.dat".into(), format!("\u{feff}{rows}").into_bytes());
    production.more.insert("data/files/meter.dat".into(), b"1,2,3".to_vec());
    let dir = tempfile::tempdir().unwrap();
    crate::sample::write(&production.payload(), dir.path());
    let report = crate::checked(dir.path());
    assert_eq!((crate::codes(&report).as_slice(), report.load_files), ([].as_slice(), 2));
    fs::write(dir.path().join("data/files/meter.dat"), row(&["DOCID"])).unwrap();
    let report = crate::checked(dir.path());
    assert_eq!((crate::codes(&report), report.load_files), (vec!["dat-bom"], 3));
}
