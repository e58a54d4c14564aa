//! `escrow demo`, run as a program: every step comes out as it should, and what it says is checked
//! by means of our own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)] // a test that panics has failed

use escrow_cli::demo::SAMPLE;
use escrow_tests::cluster::{copy_dir, files};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

fn lines() -> Vec<(Value, &'static str)> {
    let text = std::str::from_utf8(SAMPLE).unwrap();
    text.lines().map(|l| (serde_json::from_str(l).unwrap(), l)).collect()
}

/// Days of each thread, and how many messages it has.
fn threads() -> BTreeMap<String, (BTreeSet<String>, usize)> {
    let mut out: BTreeMap<String, (BTreeSet<String>, usize)> = BTreeMap::new();
    for (message, _) in lines() {
        let slot = out.entry(message["thread"].as_str().unwrap().to_owned()).or_default();
        slot.0.insert(message["sent_at"].as_str().unwrap()[..10].to_owned());
        slot.1 += 1;
    }
    out
}

/// What must come back: of the thread with most days (ties: most messages) all days but the last,
/// at most two, in the order of the input.
fn expected() -> String {
    let threads = threads();
    let (thread, (days, _)) = threads.iter().max_by_key(|(_, (days, messages))| (days.len(), *messages)).unwrap();
    let wanted: BTreeSet<&String> = days.iter().take((days.len() - 1).min(2)).collect();
    let chosen = lines().into_iter().filter(|(m, _)| {
        m["thread"] == thread.as_str() && wanted.iter().any(|d| m["sent_at"].as_str().unwrap().starts_with(d.as_str()))
    });
    chosen.map(|(_, line)| format!("{line}\n")).collect()
}

fn verify(bundle: &Path, digest: &str) -> (Option<i32>, String) {
    let mut command = Command::new(escrow_tests::program("escrow"));
    let out =
        command.arg("verify").arg(bundle).args(["--charter-digest", digest, "--output", "json"]).output().unwrap();
    (out.status.code(), String::from_utf8_lossy(&out.stdout).into_owned())
}

#[test]
fn the_demo_does_what_it_tells() {
    let _turn = escrow_tests::cluster::turn();
    let dir = tempfile::tempdir().unwrap();
    let (folder, report) = (dir.path().join("demo"), dir.path().join("report.json"));
    let out = Command::new(escrow_tests::program("escrow"))
        .arg("demo")
        .arg("--report")
        .arg(&report)
        .arg("--dir")
        .arg(&folder)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{}\n{told}\n{}", out.status, String::from_utf8_lossy(&out.stderr));
    let report: Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();

    let steps = report["steps"].as_array().unwrap();
    for step in steps {
        assert_eq!(step["ok"], true, "{step}");
        for field in ["name", "expected", "outcome"] {
            assert!(!step[field].as_str().unwrap().is_empty(), "{step}");
        }
        assert!(told.contains(step["outcome"].as_str().unwrap()), "a step that was not told: {step}");
    }
    assert!(!told.contains("NOT OK"), "{told}");
    // Everything that must not work was tried; the refusals are the nodes' own words.
    for (step, said) in [
        ("one approval too few", "dpo"),
        ("the requestor approves", "approver-is-requestor"),
        ("an unenrolled device deposits", "not-enrolled"),
        ("a message outside the scope", ""),
        ("kill -9 on two of five nodes", ""),
        ("kill -9 on a third node", "exit code 7"),
        ("the killed nodes start again", ""),
        ("a node returns a correctly sealed wrong share", "node 4 is named"),
        ("a release after the consent was withdrawn", "consent-withdrawn"),
        ("one flipped byte in the bundle", "entries.jsonl"),
    ] {
        let found = steps.iter().find(|s| s["name"].as_str().unwrap().starts_with(step));
        let outcome = found.unwrap_or_else(|| panic!("{step} was not tried"))["outcome"].as_str().unwrap();
        assert!(outcome.contains(said), "{step}: {outcome}");
    }

    let counts = |name: &str| report["counts"][name].as_u64().unwrap_or_else(|| panic!("no count {name}")) as usize;
    let threads = threads();
    let senders: BTreeSet<String> = lines().iter().map(|(m, _)| m["sender"].to_string()).collect();
    assert_eq!(counts("messages"), lines().len());
    assert_eq!(counts("threads"), threads.len());
    assert_eq!(
        counts("items"),
        threads.values().map(|(days, _)| days.len()).sum::<usize>(),
        "one key a thread and day"
    );
    assert!((1..=senders.len()).contains(&counts("custodians")));
    assert_eq!(counts("consents"), counts("custodians"));
    assert_eq!(counts("items_asked"), 2);

    let path = |name: &str| PathBuf::from(report[name].as_str().unwrap());
    let opened = std::fs::read_to_string(path("opened")).unwrap();
    assert_eq!(opened, expected());
    assert_eq!(opened.lines().count(), counts("messages_opened"));
    for (message, _) in lines() {
        // Nothing of the rest, and of nobody else, is in clear anywhere that the demo wrote.
        let text = message["text"].as_str().unwrap();
        if text.len() < 12 || opened.contains(&serde_json::to_string(text).unwrap()) {
            continue;
        }
        for file in files(&folder) {
            let bytes = std::fs::read(&file).unwrap();
            assert!(!bytes.windows(text.len()).any(|w| w == text.as_bytes()), "{text:?} is in {}", file.display());
        }
    }

    let digest = report["charter_digest"].as_str().unwrap();
    let bundle = path("bundle");
    let (code, said) = verify(&bundle, digest);
    assert_eq!(code, Some(0), "{said}");
    let other = "0".repeat(64);
    assert_ne!(verify(&bundle, &other).0, Some(0), "trust comes from the bundle");
    let altered = dir.path().join("altered");
    copy_dir(&bundle, &altered);
    let file = altered.join("data/logs/2/1/entries.jsonl");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let (code, said) = verify(&altered, digest);
    assert_eq!(code, Some(6), "{said}");
    assert!(said.contains("data/logs/2/1/entries.jsonl"), "the file is not named: {said}");

    // The nodes have ended: their data folders are free.
    let nodes = report["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 5);
    for node in nodes {
        assert!(node["url"].as_str().unwrap().starts_with("https://127.0.0.1:"));
        let data = PathBuf::from(node["data_dir"].as_str().unwrap());
        assert!(data.join("node.db").exists(), "{}", data.display());
        let pid = node["pid"].as_u64().unwrap();
        let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        assert!(!command.contains(folder.to_str().unwrap()), "node process {pid} still runs: {command}");
    }
}
