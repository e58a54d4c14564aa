//! What the command does without any node: keys, charter, contexts, archives, refusals.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // a test that panics has failed

mod bench;

use bench::{Bench, DRAFT};
use escrow_core::Digest;
use serde_json::Value;
use std::fs;

#[test]
fn a_ceremony_without_nodes() {
    let b = Bench::new();
    let digest = b.ceremony();
    let verified = b.json(&["charter", "verify", "charter.json", "--genesis", &digest]);
    assert_eq!((&verified["version"], verified["genesis"].as_str()), (&1.into(), Some(digest.as_str())));
    let other = "0".repeat(64);
    assert!(b.fails(6, &["charter", "verify", "charter.json", "--genesis", &other]).contains("pinned"));
    assert!(b.fails(2, &["charter", "verify", "charter.json"]).contains("--genesis"));
    assert!(b.fails(2, &["charter", "sign", "charter.json", "--key", "admin-1.key"]).contains("signed twice"));
    assert!(b.ok(&["charter", "show", "charter.json"]).contains("3 of 5 nodes release"));

    // What the charter check refuses, the draft refuses already.
    let low = DRAFT.replace("t = 3", "t = 2");
    fs::write(b.path().join("low.toml"), low).unwrap();
    assert!(b.fails(2, &["charter", "draft", "low.toml", "--out", "low.json"]).contains("two disjoint quorums"));
    let wrong = DRAFT.replace("keys = [\"reader.key.pub.json\"]", "keys = [\"admin-1.key.pub.json\"]");
    fs::write(b.path().join("wrong.toml"), wrong).unwrap();
    assert!(b.fails(2, &["charter", "draft", "wrong.toml", "--out", "w.json"]).contains("not of reader"));
}

#[test]
fn contexts_pin_and_choose() {
    let b = Bench::new();
    assert!(b.fails(2, &["charter", "show"]).contains("context add"));
    let digest = b.ceremony();
    let other = "0".repeat(64);
    assert!(
        b.fails(6, &["context", "add", "acme", "--charter", "charter.json", "--genesis", &other]).contains("pinned")
    );
    b.ok(&["context", "add", "acme", "--charter", "charter.json", "--genesis", &digest, "--key", "admin-1.key"]);
    b.ok(&["context", "add", "reader", "--charter", "charter.json", "--genesis", &digest, "--key", "reader.key"]);
    b.fails(2, &["context", "add", "acme", "--charter", "charter.json", "--genesis", &digest]);
    assert_eq!(b.json(&["context", "list"])["current"], "acme");
    b.ok(&["context", "use", "reader"]);
    assert_eq!(b.json(&["context", "list"])["current"], "reader");
    b.fails(2, &["context", "use", "nobody"]);
    // The charter copy of the context is believed no more than the file it came from.
    let copy = b.path().join("config/contexts/reader/charter.json");
    let text = fs::read_to_string(&copy).unwrap();
    fs::write(&copy, text.replacen('A', "B", 1)).unwrap();
    let out = b.run(&["charter", "show"]);
    assert_ne!(out.status.code(), Some(0));
}

#[test]
fn nodes_that_nobody_runs_are_below_the_threshold() {
    let b = Bench::new();
    let digest = b.ceremony();
    b.ok(&["context", "add", "acme", "--charter", "charter.json", "--genesis", &digest, "--key", "admin-1.key"]);
    let out = b.run(&["node", "status", "--output", "json"]);
    assert_eq!(out.status.code(), Some(7));
    let status: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((&status["ready"], status["nodes"].as_array().unwrap().len()), (&0.into(), 5));
    let err = b.fails(7, &["request", "list"]);
    assert!(err.contains("node 5:") && err.contains("[unreachable]"), "{err}");
    // A statement of several signers waits in a file, and only the last signature needs the nodes.
    assert!(
        b.run(&["revoke", "--device", "reader.key.pub.json", "--reason", "lost", "--out", "r.json"]).status.code()
            == Some(5)
    );
    let context = ["--charter", "charter.json", "--genesis", &digest, "--key", "admin-2.key"];
    b.ok(&[&["context", "add", "second"], &context[..]].concat());
    assert!(b.fails(2, &["revoke", "--countersign", "r.json"]).contains("signed twice"));
    b.fails(7, &["--context", "second", "revoke", "--countersign", "r.json"]);
}

#[test]
fn a_device_seals_and_its_ring_opens_for_nobody_else() {
    let b = Bench::new();
    let digest = b.ceremony();
    b.ok(&["keygen", "token-key", "--out", "token.key"]);
    b.ok(&["keygen", "device", "--subject", "ann", "--token-key", "token.key", "--out", "phone.key"]);
    let context = ["--charter", "charter.json", "--genesis", &digest, "--token-key", "token.key"];
    b.ok(&[&["context", "add", "ann", "--key", "phone.key"], &context[..]].concat());
    let line = |n: u8, day: u8| {
        format!(
            "{{\"thread\":\"t-1\",\"message_id\":\"{n}\",\"sender\":\"ann\",\"sent_at\":\"2026-03-0{day}T10:00:00Z\",\"text\":\"secret words\"}}\n"
        )
    };
    fs::write(b.path().join("m.jsonl"), line(1, 1) + &line(2, 2)).unwrap();
    let sealed = b.json(&["archive", "seal", "m.jsonl", "--dir", "archive"]);
    assert_eq!((&sealed["messages"], &sealed["segments"]), (&2.into(), &2.into()));
    assert!(b.fails(2, &["archive", "seal", "m.jsonl", "--dir", "archive"]).contains("archive"));
    // An officer's key seals nothing: the ring belongs to a device.
    b.ok(&[&["context", "add", "officer", "--key", "admin-1.key"], &context[..]].concat());
    assert!(b.fails(4, &["--context", "officer", "archive", "seal", "m.jsonl", "--dir", "other"]).contains("device"));
    assert!(!b.path().join("other").exists());
    let ring = fs::read(b.path().join("config/contexts/ann/key-ring")).unwrap();
    assert!(!String::from_utf8_lossy(&ring).contains("thread"));
}

/// A device with its context, for sealing.
fn device(b: &Bench) {
    let digest = b.ceremony();
    b.ok(&["keygen", "token-key", "--out", "token.key"]);
    b.ok(&["keygen", "device", "--subject", "ann", "--token-key", "token.key", "--out", "phone.key"]);
    let context = ["--charter", "charter.json", "--genesis", &digest, "--token-key", "token.key"];
    b.ok(&[&["context", "add", "ann", "--key", "phone.key"], &context[..]].concat());
}

fn naming(id: u8, file: &[u8]) -> String {
    let sha256 = Digest::of(file);
    format!(
        "{{\"v\":2,\"thread\":\"t-1\",\"message_id\":\"{id}\",\"sender\":\"ann\",\"sent_at\":\"2026-03-01T10:00:00Z\",\"text\":\"\",\
         \"attachments\":[{{\"name\":\"plan.pdf\",\"media_type\":\"application/pdf\",\"size\":{},\"sha256\":\"{sha256}\"}}]}}\n",
        file.len()
    )
}

#[test]
fn attachments_are_sealed_and_a_keeper_sees_whether_all_is_there() {
    let b = Bench::new();
    device(&b);
    fs::create_dir(b.path().join("files")).unwrap();
    fs::write(b.path().join("files/any name"), "plan").unwrap();
    fs::write(b.path().join("m.jsonl"), naming(1, b"plan") + &naming(2, b"lost")).unwrap();
    let seal = ["archive", "seal", "m.jsonl", "--dir", "archive", "--attachments", "files", "--output", "json"];
    let out = b.run(&seal);
    assert_eq!(out.status.code(), Some(8));
    let sealed: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(
        (&sealed["attachments"], &sealed["attachments_named"], &sealed["messages"]),
        (&1.into(), &2.into(), &2.into())
    );
    assert_eq!((&sealed["attachments_missing"][0]["line"], &sealed["counts"]["repeated_ids"]), (&2.into(), &0.into()));
    // Without the files nothing is sealed of them, and that is said.
    let out = b.run(&["archive", "seal", "m.jsonl", "--dir", "without"]);
    assert_eq!(out.status.code(), Some(8));
    assert!(String::from_utf8(out.stdout).unwrap().contains("2 attachments are not sealed"));
    // A keeper needs no context.
    assert!(b.ok(&["archive", "verify", "archive"]).contains("1 segments with 2 messages, and 1 attachments: whole"));
    let index: Value = serde_json::from_slice(&fs::read(b.path().join("archive/archive.json")).unwrap()).unwrap();
    let file = b.path().join("archive").join(index["attachments"][0]["file"].as_str().unwrap());
    let bytes = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    let out = b.run(&["archive", "verify", "archive", "--output", "json"]);
    assert_eq!(out.status.code(), Some(8));
    let seen: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(seen["findings"][0]["finding"], "missing");
    fs::write(&file, [bytes.as_slice(), b"x"].concat()).unwrap();
    assert_eq!(b.run(&["archive", "verify", "archive"]).status.code(), Some(6));
    assert_eq!(b.run(&["archive", "verify", "files"]).status.code(), Some(8), "no index there");
}

#[test]
fn an_import_lists_what_it_leaves_out() {
    let b = Bench::new();
    device(&b);
    let good = naming(1, b"plan").replace("\"attachments\":", "\"x\":");
    let bad = good.replace("\"v\":2", "\"v\":2,\"type\":\"poll\"") + "\n";
    fs::write(b.path().join("m.jsonl"), format!("{good}{bad}{good}")).unwrap();
    assert!(b.fails(2, &["archive", "seal", "m.jsonl", "--dir", "archive"]).contains("line 2: `type` must be"));
    let import = ["archive", "import", "m.jsonl", "--dir", "archive", "--rejects", "rejects.jsonl", "--output", "json"];
    let out = b.run(&import);
    assert_eq!(out.status.code(), Some(8));
    let made: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((&made["messages"], &made["counts"]["exact_repeats"]), (&2.into(), &1.into()));
    let rejected: Vec<_> = made["rejected"].as_array().unwrap().iter().map(|r| (&r["line"], &r["member"])).collect();
    assert_eq!(rejected, [(&2.into(), &"type".into()), (&3.into(), &Value::Null)]);
    let file = b.path().join("rejects.jsonl");
    assert_eq!(fs::read_to_string(&file).unwrap(), bad);
    #[cfg(unix)]
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&file).unwrap().permissions()) & 0o777, 0o600);
    // A file that is there is never written over, and nothing is sealed then.
    let again = ["archive", "import", "m.jsonl", "--dir", "other", "--rejects", "rejects.jsonl"];
    assert!(b.fails(2, &again).contains("rejects.jsonl"));
    assert!(!b.path().join("other").exists());
}

#[test]
#[cfg(unix)]
fn exposed_keys_are_refused_and_secrets_stay_in_files() {
    use std::os::unix::fs::PermissionsExt as _;
    let b = Bench::new();
    let digest = b.ceremony();
    let out = b.ok(&["keygen", "officer", "x", "--out", "x.key", "--output", "json"]);
    let private = fs::read_to_string(b.path().join("x.key")).unwrap();
    let secret = private.lines().find_map(|l| l.strip_prefix("sign ")).unwrap().split_once(':').unwrap().1;
    assert!(!out.contains(secret));
    assert_eq!(fs::metadata(b.path().join("x.key")).unwrap().permissions().mode() & 0o777, 0o600);
    b.fails(4, &["keygen", "officer", "x", "--out", "x.key"]);
    fs::set_permissions(b.path().join("admin-1.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let err =
        b.fails(4, &["context", "add", "a", "--charter", "charter.json", "--genesis", &digest, "--key", "admin-1.key"]);
    assert!(err.contains("chmod 600"), "{err}");
}

#[test]
fn errors_are_json_for_machines() {
    let b = Bench::new();
    let out = b.run(&["charter", "show", "--output", "json"]);
    assert_eq!(out.status.code(), Some(2));
    let e: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((&e["schema"], &e["exit"]), (&"escrow.error.v1".into(), &2.into()));
    assert!(e["next"].as_str().unwrap().contains("context add"));
    b.fails(2, &["approve", "3f1c", "--yes"]);
    b.fails(2, &["no-such-command"]);
}

#[test]
fn policies_of_a_charter_are_shown_checked_and_tried() {
    let b = Bench::new();
    let digest = b.ceremony();
    // The people of a draft: nobody holds the role that the text asks for twice.
    let found = b.run(&["policy", "lint", "--charter", "charter.draft.json", "--output", "json"]);
    assert_eq!(found.status.code(), Some(2));
    let found: Value = serde_json::from_slice(&found.stdout).unwrap();
    let codes: Vec<_> = found["findings"].as_array().unwrap().iter().map(|f| f["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["unreachable-quorum", "missing-delay", "missing-delay"], "{found}");
    // The text alone says nothing about people.
    assert!(b.ok(&["policy", "lint", "standard.cedar"]).contains("errors: 0, warnings: 2"));
    b.fails(2, &["policy", "lint", "standard.cedar", "--charter", "admin-1.key"]);

    b.ok(&["context", "add", "acme", "--charter", "charter.json", "--genesis", &digest, "--key", "admin-1.key"]);
    assert_eq!(b.json(&["policy", "show"])["charter"], serde_json::json!(["standard"]));
    assert!(b.ok(&["policy", "show", "standard"]).contains("context.approvals.legal >= 2"));
    assert!(b.fails(2, &["policy", "show", "court-order"]).contains("--ready"));
    assert_eq!(b.run(&["policy", "lint"]).status.code(), Some(2));
    let table = b.ok(&["policy", "show", "self-recovery", "--ready", "--cases"]);
    fs::write(b.path().join("cases.toml"), table.replace("helpdesk", "legal")).unwrap();
    b.ok(&["policy", "test", "cases.toml"]);
    assert!(b.fails(2, &["policy", "test", "cases.toml", "--in-charter"]).contains("no policy self-recovery"));
    fs::write(b.path().join("own.toml"), table.replace("helpdesk", "legal").replace("self-recovery", "standard"))
        .unwrap();
    assert_eq!(b.run(&["policy", "test", "own.toml", "--in-charter"]).status.code(), Some(2));

    // A draft names a ready text; one that counters hurt cannot be drafted.
    let roles = DRAFT.replace("[\"legal\"]", "[\"legal\", \"dpo\"]");
    let ready = roles.replace("file = \"standard.cedar\"", "ready = \"internal-investigation\"");
    fs::write(b.path().join("ready.toml"), &ready).unwrap();
    b.ok(&["charter", "draft", "ready.toml", "--out", "ready.json"]);
    let text = b.ok(&["policy", "show", "internal-investigation", "--ready", "--text"]);
    let draft: Value = serde_json::from_slice(&fs::read(b.path().join("ready.json")).unwrap()).unwrap();
    assert_eq!(draft["policies"][0]["text"].as_str().unwrap(), text);
    fs::write(b.path().join("none.toml"), ready.replace("\"internal-investigation\"", "\"no-such\"")).unwrap();
    assert!(b.fails(2, &["charter", "draft", "none.toml", "--out", "n.json"]).contains("no ready policy"));
    fs::write(b.path().join("standard.cedar"), "permit(principal, action, resource) when { context.approvers == 2 };")
        .unwrap();
    assert!(b.fails(2, &["charter", "draft", "draft.toml", "--out", "h.json"]).contains("[counter-hurts]"));
}
