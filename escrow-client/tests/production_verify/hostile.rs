//! Files made to hurt, and files made of noise: the validator says what it found and goes on.

use crate::sample::{Files, Production, Rsmf, bag, manifest, message, write};
use crate::zipped::Member;
use crate::{check_rsmf, codes};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use escrow_client::production::verify::{
    FINDINGS_PER_FILE, LeftOut, Limits, RULES, Report, Severity, verify, verify_within,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn check(files: &Files) -> Report {
    let dir = tempfile::tempdir().unwrap();
    write(files, dir.path());
    verify(dir.path(), &|_, _| {})
}

/// What every report promises, whatever was checked.
fn assert_sound(report: &Report) {
    for f in &report.findings {
        let rule = RULES.iter().find(|r| r.code == f.rule).expect("a finding by no rule");
        assert_eq!((f.severity, f.remedy), (rule.severity, rule.remedy));
        assert!(f.what.len() < 1_000 && !f.what.chars().any(char::is_control), "{:?}", f.what);
    }
    let shown = |s| report.findings.iter().filter(|f| f.severity == s).count() as u64;
    let hidden: u64 = report.left_out.values().map(|l| l.faults).sum();
    assert_eq!(report.faults, shown(Severity::Fault) + hidden);
}

#[test]
fn a_bomb_is_not_unpacked() {
    let mut r = Rsmf::new();
    r.members.push(Member::new("zeros.bin", vec![0; 64 * 1024 * 1024]));
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("bomb.rsmf");
    std::fs::write(&at, r.build()).unwrap();
    assert_eq!(codes(&verify(&at, &|_, _| {})), ["zip-stray"]);
    let limits = Limits { unpacked: 16 * 1024 * 1024, ..Limits::default() };
    assert_eq!(codes(&verify_within(&at, &limits, &|_, _| {})), ["zip-bomb"]);
}

#[test]
fn many_warnings_hide_no_fault() {
    let mut r = Rsmf::new();
    for n in 0..500 {
        r.event(message(&format!("w{n}"), "c2", "nobody", "2026-03-01T12:00:00Z"));
    }
    r.event(json!({"type": "shout"}));
    let report = check_rsmf(&r.build());
    assert_eq!((report.faults, report.warnings), (1, 500));
    assert_eq!(report.findings.len() as u64, FINDINGS_PER_FILE + 1);
    assert!(report.findings.iter().any(|f| f.rule == "manifest-enum" && f.event.as_deref() == Some("#509")));
    assert_eq!(report.left_out["t7.rsmf"], LeftOut { faults: 0, warnings: 500 - FINDINGS_PER_FILE });
    assert_sound(&report);
}

#[test]
fn a_long_chain_of_replies_is_followed_once() {
    let mut r = Rsmf::new();
    let events = r.at("/events").as_array_mut().unwrap();
    for n in 0..5_000 {
        let mut event = message(&format!("m{n}"), "c1", "p1", "2026-03-01T12:00:00Z");
        event["parent"] = json!(format!("m{}", (n + 1) % 5_000));
        events.push(event);
    }
    r.without("X-RSMF-EventCount");
    let report = check_rsmf(&r.build());
    assert_eq!((report.faults, report.warnings), (0, 5_000));
    assert!(report.findings.iter().all(|f| f.rule == "parent-cycle"));
}

#[test]
fn foreign_words_are_cut_and_steer_no_terminal() {
    let mut r = Rsmf::new();
    *r.at("/events/8/conversation") = json!(format!("\u{1b}[2J{}", "x".repeat(10_000)));
    let report = check_rsmf(&r.build());
    assert_eq!(codes(&report), ["conversation-undefined"]);
    assert_sound(&report);
}

/// Every place of a JSON value as a pointer.
fn pointers(v: &Value, at: &str, out: &mut Vec<String>) {
    out.push(at.to_owned());
    match v {
        Value::Object(map) => map.iter().for_each(|(k, v)| pointers(v, &format!("{at}/{k}"), out)),
        Value::Array(list) => list.iter().enumerate().for_each(|(i, v)| pointers(v, &format!("{at}/{i}"), out)),
        _ => {}
    }
}

#[test]
fn a_manifest_with_any_value_replaced_is_judged() {
    let mut all = Vec::new();
    pointers(&manifest(), "", &mut all);
    for pointer in &all {
        for value in [json!(null), json!(7), json!("x"), json!([]), json!({}), json!([[1]]), json!(true)] {
            let mut r = Rsmf::new();
            *r.at(pointer) = value;
            assert_sound(&check_rsmf(&r.build()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn noise_is_judged_and_never_crashes(bytes in proptest::collection::vec(any::<u8>(), 0..2_000), name in 0..7_usize) {
        let name = ["a.rsmf", "a.dat", "bagit.txt", "manifest-sha256.txt", "bag-info.txt", "counts.csv", "errors.csv"][name];
        let mut files = Files::from([(name.to_owned(), bytes), ("data/x".to_owned(), vec![])]);
        files.entry("b.dat".into()).or_insert_with(|| "\u{feff}þDOCIDþ\nþ1þ".into());
        assert_sound(&check(&files));
    }

    #[test]
    fn a_bag_with_bytes_altered_is_judged(at in any::<prop::sample::Index>(), file in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut files = bag(Production::new().payload());
        let path = files.keys().nth(file.index(files.len())).unwrap().clone();
        let bytes = files.get_mut(&path).unwrap();
        let at = at.index(bytes.len());
        let same = bytes[at] == byte;
        bytes[at] = byte;
        let report = check(&files);
        assert_sound(&report);
        // Of the tag manifest, a digest's letters may be capitals, and a path may be starred.
        prop_assert!(same || report.faults + report.warnings > 0 || path.starts_with("tagmanifest"), "{path} at {at}");
    }

    #[test]
    fn an_archive_with_bytes_altered_is_judged(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let text = String::from_utf8(Rsmf::new().build()).unwrap();
        let (head, rest) = text.split_once("filename=\"rsmf.zip\"\r\n\r\n").unwrap();
        let (body, tail) = rest.split_once("\r\n--").unwrap();
        let mut zip = STANDARD.decode(body.replace("\r\n", "")).unwrap();
        let at = at.index(zip.len());
        zip[at] = byte;
        let altered = format!("{head}filename=\"rsmf.zip\"\r\n\r\n{}\r\n--{tail}", STANDARD.encode(zip));
        assert_sound(&check_rsmf(altered.as_bytes()));
    }
}
