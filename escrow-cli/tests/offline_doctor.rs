//! `escrow doctor` where no node runs, completions, manual pages, JSON Lines.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // a test that panics has failed

mod bench;

use bench::Bench;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

fn context(b: &Bench) -> String {
    let digest = b.ceremony();
    b.ok(&["context", "add", "acme", "--charter", "charter.json", "--genesis", &digest, "--key", "admin-1.key"]);
    digest
}

/// Exit code and checks, as name, subject and state.
fn doctor(b: &Bench, args: &[&str]) -> (i32, Vec<(String, String, String)>) {
    let out = b.run(&[&["doctor", "--output", "jsonl"], args].concat());
    let text = String::from_utf8(out.stdout).unwrap();
    let of = |line: &str| {
        let check: Value = serde_json::from_str(line).unwrap();
        assert_eq!(check["schema"], "escrow.doctor.row.v1");
        let member = |name: &str| check[name].as_str().unwrap().to_owned();
        // What is wrong has a next step.
        assert_eq!(member("next").is_empty(), ["ok", "skipped"].contains(&member("state").as_str()), "{line}");
        (member("check"), member("of"), member("state"))
    };
    (out.status.code().unwrap(), text.lines().map(of).collect())
}

fn state<'a>(checks: &'a [(String, String, String)], name: &str) -> Vec<&'a str> {
    checks.iter().filter(|(n, _, _)| n == name).map(|(_, _, state)| state.as_str()).collect()
}

#[test]
fn what_needs_no_node_is_checked_without_one() {
    let b = Bench::new();
    assert!(b.fails(2, &["doctor"]).contains("context add"));
    context(&b);
    let (code, checks) = doctor(&b, &["--offline"]);
    // Whether core dumps are off and how full the disk is are this machine's own affairs.
    assert!(code == 0 || code == 8, "{code}: {checks:?}");
    for name in ["key", "key valid", "folder", "charter"] {
        assert_eq!(state(&checks, name), ["ok"], "{name}");
    }
    assert_eq!(state(&checks, "tls"), Vec::<&str>::new());
    fs::set_permissions(b.path().join("admin-1.key"), fs::Permissions::from_mode(0o640)).unwrap();
    let (code, checks) = doctor(&b, &["--offline"]);
    assert_eq!((code, state(&checks, "key")), (4, vec!["fail"]));
    // A charter that was altered under it fails, and the rest is checked all the same.
    let copy = b.path().join("config/contexts/acme/charter.json");
    let text = fs::read_to_string(&copy).unwrap();
    fs::write(&copy, text.replacen('A', "B", 1)).unwrap();
    let (_, checks) = doctor(&b, &["--offline"]);
    assert_eq!((state(&checks, "charter"), state(&checks, "folder")), (vec!["fail"], vec!["ok"]));
}

#[test]
fn nodes_that_cannot_be_reached_do_not_hide_the_rest() {
    let b = Bench::new();
    context(&b);
    let (code, checks) = doctor(&b, &[]);
    assert_eq!(code, 7, "{checks:?}");
    assert_eq!((state(&checks, "quorum"), state(&checks, "charter")), (vec!["fail"], vec!["ok"]));
    assert_eq!(state(&checks, "tls"), ["warn"; 5]);
    let table = String::from_utf8(b.run(&["doctor"]).stdout).unwrap();
    assert!(table.contains("0 of 5 nodes are READY, 3 are needed") && table.contains("next: "), "{table}");
}

#[test]
fn shells_and_manuals_get_every_command() {
    let b = Bench::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = b.ok(&["completions", shell]);
        assert!(script.contains("doctor") && script.contains("passphrase-file"), "{shell}");
    }
    let made = b.json(&["man", "--dir", "man"]);
    let pages = made["pages"].as_array().unwrap();
    assert!(pages.len() > 40 && pages.contains(&"escrow-request-create.1".into()), "{pages:?}");
    for page in pages {
        let text = fs::read_to_string(b.path().join("man").join(page.as_str().unwrap())).unwrap();
        assert!(text.contains(".SH EXAMPLES"), "{page}");
    }
    fs::write(b.path().join("file"), "x").unwrap();
    assert!(b.fails(2, &["man", "--dir", "file"]).contains("--dir"));
}

#[test]
fn json_lines_are_objects_of_one_line_with_a_schema() {
    let b = Bench::new();
    let digest = context(&b);
    b.ok(&["context", "add", "second", "--charter", "charter.json", "--genesis", &digest]);
    let lines = |args: &[&str]| {
        let out = b.run(&[args, &["--output", "jsonl"]].concat());
        let text = String::from_utf8(out.stdout).unwrap();
        let lines: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert!(lines.iter().all(|l| l["schema"].as_str().is_some_and(|s| s.starts_with("escrow."))), "{text}");
        lines
    };
    let contexts = lines(&["context", "list"]);
    assert_eq!(contexts.iter().map(|c| c["name"].as_str().unwrap()).collect::<Vec<_>>(), ["acme", "second"]);
    assert_eq!(lines(&["charter", "show"]).len(), 1);
    assert_eq!(lines(&["node", "status"]).len(), 5);
    assert_eq!(lines(&["request", "show", "3f1c90aa"])[0]["schema"], "escrow.error.v1");
}
