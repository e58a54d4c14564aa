//! `escrow doctor` and kept receipts against five real nodes, and what is left of a node that ended POISONED.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)] // a test that panics has failed

use escrow_core::ThreadKey;
use escrow_tests::{Escrow, program};
use serde_json::Value;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

fn quinn(escrow: &Escrow, args: &[&str]) -> Output {
    let config = escrow.dir().join("quinn");
    Command::new(program("escrow")).arg("--config").arg(config).args(args).output().unwrap()
}

fn said(out: &Output) -> String {
    String::from_utf8_lossy(&[out.stdout.clone(), out.stderr.clone()].concat()).into_owned()
}

fn ok(escrow: &Escrow, args: &[&str]) -> String {
    let out = quinn(escrow, args);
    assert!(out.status.success(), "{args:?}: {}", said(&out));
    said(&out)
}

fn context(escrow: &Escrow) {
    let key = escrow.dir().join("quinn.key");
    escrow.cast.get("quinn").unwrap().save_new(&key).unwrap();
    let (charter, genesis) = (escrow.dir().join("charter.json"), escrow.charters().genesis().to_string());
    let paths = [&charter, &key].map(|p| p.to_str().unwrap());
    ok(escrow, &["context", "add", "acme", "--charter", paths[0], "--genesis", &genesis, "--key", paths[1]]);
}

/// Exit code, and the states and words of the checks of a name.
struct Doctor {
    exit: i32,
    checks: Vec<Value>,
}

impl Doctor {
    fn of(escrow: &Escrow) -> Self {
        let out = quinn(escrow, &["doctor", "--output", "json"]);
        let json: Value = serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {}", said(&out)));
        Self { exit: out.status.code().unwrap(), checks: json["checks"].as_array().unwrap().clone() }
    }

    fn states(&self, name: &str) -> Vec<&str> {
        self.named(name).iter().map(|c| c["state"].as_str().unwrap()).collect()
    }

    fn all_say(&self, name: &str, words: &str) -> bool {
        self.named(name).iter().all(|c| c["what"].as_str().unwrap().contains(words))
    }

    fn named(&self, name: &str) -> Vec<&Value> {
        self.checks.iter().filter(|c| c["check"] == name).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_doctor_says_what_is_wrong_and_what_was_not_checked() {
    let mut escrow = Escrow::start().await;
    let subject = escrow.subject("maria").await;
    escrow.deposit(&subject, vec![(escrow.about(&subject, "a", 0), ThreadKey::generate())]).await;
    context(&escrow);

    // All is well, but for what this machine does with core dumps and how full its disk is.
    let doctor = Doctor::of(&escrow);
    assert!(doctor.exit == 0 || doctor.exit == 8, "{:#?}", doctor.checks);
    for name in ["tls", "clock", "version", "state", "in force", "deals"] {
        assert_eq!(doctor.states(name), ["ok"; 5], "{name}: {:#?}", doctor.checks);
    }
    assert_eq!((doctor.states("quorum"), doctor.states("charter")), (vec!["ok"], vec!["ok"]));
    assert!(doctor.all_say("deals", "1 deposits") && doctor.all_say("deals", "Not checked"));
    // A node may not have shown a head in its first seconds; then that is said, and nothing is remembered.
    let mut looks = 1;
    while Doctor::of(&escrow).states("log") != ["ok"; 5] {
        looks += 1;
        assert!(looks < 20, "{:#?}", Doctor::of(&escrow).checks);
    }
    // The heads were remembered, and the logs have grown since.
    let again = Doctor::of(&escrow);
    assert!(again.all_say("log", "follow from the head that was seen last"), "{:#?}", again.checks);
    assert_eq!(again.states("log").len(), 5);

    receipts_that_are_kept_are_evidence(&escrow);
    a_node_that_ended_poisoned_still_says_so(&mut escrow).await;

    // Two of five are left: below the threshold, and what can be checked is.
    escrow.kill(&[1, 2]);
    let doctor = Doctor::of(&escrow);
    assert_eq!(doctor.exit, 7, "{:#?}", doctor.checks);
    assert_eq!(doctor.states("tls").iter().filter(|s| **s == "warn").count(), 3);
    assert_eq!((doctor.states("quorum"), doctor.states("charter")), (vec!["fail"], vec!["ok"]));
}

fn receipts_that_are_kept_are_evidence(escrow: &Escrow) {
    let kept = escrow.dir().join("receipts");
    let (matter, dir) = (["matter", "create", "MAT-7", "--title", "Lunch"], kept.to_str().unwrap());
    ok(escrow, &[&matter[..], &["--receipts", dir]].concat());
    let files: Vec<_> = std::fs::read_dir(&kept).unwrap().map(|f| f.unwrap().path()).collect();
    assert_eq!(files.len(), 5, "{files:?}");
    let bundle = escrow.dir().join("bundle");
    ok(escrow, &["audit", "export", "--out", bundle.to_str().unwrap()]);
    let genesis = escrow.charters().genesis().to_string();
    let verify = |receipt: &str| {
        let args = ["verify", bundle.to_str().unwrap(), "--charter-digest", &genesis, "--receipt", receipt];
        let out = quinn(escrow, &[&args[..], &["--output", "json"]].concat());
        (out.status.code().unwrap(), serde_json::from_slice::<Value>(&out.stdout).unwrap())
    };
    let about_receipts =
        |report: &Value| report["findings"].as_array().unwrap().iter().filter(|f| f["rule"] == "receipt").count();
    for file in &files {
        let (exit, report) = verify(file.to_str().unwrap());
        assert_eq!((exit, about_receipts(&report)), (0, 0), "{report:#}");
    }
    // A receipt that proves nothing is found: the five above were read.
    let mut answer: Value = serde_json::from_slice(&std::fs::read(&files[0]).unwrap()).unwrap();
    let other: Value = serde_json::from_slice(&std::fs::read(&files[1]).unwrap()).unwrap();
    answer["proof"] = other["proof"].clone();
    let broken = kept.join("broken.json");
    std::fs::write(&broken, answer.to_string()).unwrap();
    let (exit, report) = verify(broken.to_str().unwrap());
    assert_eq!((exit, about_receipts(&report)), (8, 1), "{report:#}");
}

async fn a_node_that_ended_poisoned_still_says_so(escrow: &mut Escrow) {
    let config = escrow.dir().join("node3/escrow-node.toml");
    let status = || Command::new(program("escrow-node")).arg("--config").arg(&config).arg("status").output().unwrap();
    assert_eq!(status().status.code(), Some(0));
    // Somebody moves the database under the running node.
    let database = escrow.config(3).database();
    std::fs::copy(&database, database.with_extension("copy")).unwrap();
    std::fs::rename(database.with_extension("copy"), &database).unwrap();
    let patience = Instant::now() + Duration::from_secs(60);
    while escrow.cluster.ended(3).unwrap().is_none() {
        let out = status();
        assert_ne!(out.status.code(), Some(7), "while it ends: {}", said(&out));
        assert!(Instant::now() < patience, "node 3 goes on over files that are not its own");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let out = status();
    assert_eq!(out.status.code(), Some(6), "{}", said(&out));
    assert!(said(&out).contains("POISONED") && said(&out).contains("replaced"), "{}", said(&out));
    // A data folder that is in use is the operator's mistake and no fault of the machine.
    let restore = ["restore", "--from", "nowhere", "--keys", "nowhere"];
    let out = Command::new(program("escrow-node")).arg("--config").arg(&config).args(restore).output().unwrap();
    assert_eq!(out.status.code(), Some(2), "{}", said(&out));
}
