//! A folder in which the command runs, and a ceremony without any node.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, dead_code, missing_docs)] // each test uses a part

use escrow_core::charter::Seat;
use escrow_core::sealing::{SealingSecret, Suite};
use escrow_core::{Digest, SeatIndex, SigningKey};
use serde_json::Value;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

pub(crate) struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.run_with(args, "")
    }

    /// The same with something on standard input, which is never a terminal.
    pub(crate) fn run_with(&self, args: &[&str], input: &str) -> Output {
        let mut child = Command::new(env!("CARGO_BIN_EXE_escrow"))
            .args(args)
            .current_dir(self.path())
            .env_clear()
            .env("ESCROW_CONFIG_DIR", self.path().join("config"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Whoever reads nothing may have ended by then.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    /// A file that only its owner may read.
    pub(crate) fn private(&self, name: &str, text: &str) -> String {
        let path = self.path().join(name);
        escrow_cli::context::replace(&path, text.as_bytes()).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let out = self.run(args);
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }

    pub(crate) fn fails(&self, code: i32, args: &[&str]) -> String {
        let out = self.run(args);
        let err = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(code), "{args:?}: {err}");
        err
    }

    pub(crate) fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.ok(&[args, &["--output", "json"]].concat())).unwrap()
    }

    /// Two administrators, a reader, five seats that nobody runs.
    pub(crate) fn ceremony(&self) -> String {
        for person in ["admin-1", "admin-2", "reader"] {
            let out = format!("{person}.key");
            let recipient: &[&str] = if person == "reader" { &["--recipient"] } else { &[] };
            self.ok(&[&["keygen", "officer", person, "--out", &out], recipient].concat());
        }
        for n in 1..=5u8 {
            let seat = Seat {
                index: SeatIndex::new(n).unwrap(),
                name: format!("node-{n}").parse().unwrap(),
                operators: vec![format!("op-{n}").parse().unwrap()],
                operator: format!("Operator {n}").parse().unwrap(),
                jurisdiction: "DE".parse().unwrap(),
                url: format!("https://127.0.0.1:{n}"), // nothing listens on ports below 6
                tls_pin: Digest::of(&[n]),
                statement_key: SigningKey::generate_ed25519().public(),
                log_origin: format!("log.example/{n}"),
                log_key: SigningKey::generate_ed25519().public(),
                witness_key: SigningKey::generate_ed25519().public(),
                sealing: SealingSecret::generate(Suite::XWing).public().clone(),
                previous_log_head: None,
            };
            fs::write(self.path().join(format!("seat-{n}.json")), serde_json::to_vec(&seat).unwrap()).unwrap();
        }
        fs::write(
            self.path().join("standard.cedar"),
            "permit(principal, action, resource) when { context.approvals.legal >= 2 };",
        )
        .unwrap();
        fs::write(self.path().join("draft.toml"), DRAFT).unwrap();
        self.ok(&["charter", "draft", "draft.toml", "--out", "charter.draft.json"]);
        let one = self.run(&[
            "charter",
            "sign",
            "charter.draft.json",
            "--key",
            "admin-1.key",
            "--out",
            "charter.json",
            "--output",
            "json",
        ]);
        assert_eq!(one.status.code(), Some(5), "one signature of two is pending");
        let two =
            self.json(&["charter", "sign", "charter.draft.json", "--key", "admin-2.key", "--out", "charter.json"]);
        assert_eq!((&two["signed"], &two["needed"]), (&2.into(), &2.into()));
        two["digest"].as_str().unwrap().to_owned()
    }
}

pub(crate) const DRAFT: &str = r#"
org = "acme.example"
t = 3
admin_quorum = 2
registrar_quorum = 2
approver_roles = ["legal"]
seats = ["seat-1.json", "seat-3.json", "seat-2.json", "seat-4.json", "seat-5.json"]

[[people]]
id = "admin-1"
name = "Ada"
roles = ["admin", "registrar"]
keys = ["admin-1.key.pub.json"]
no_subject = true

[[people]]
id = "admin-2"
name = "Ben"
roles = ["admin", "registrar"]
keys = ["admin-2.key.pub.json"]
no_subject = true

[[people]]
id = "reader"
name = "Rita"
keys = ["reader.key.pub.json"]
no_subject = true

[[people]]
id = "op-1"
name = "Operator One"
no_subject = true
[[people]]
id = "op-2"
name = "Operator Two"
no_subject = true
[[people]]
id = "op-3"
name = "Operator Three"
no_subject = true
[[people]]
id = "op-4"
name = "Operator Four"
no_subject = true
[[people]]
id = "op-5"
name = "Operator Five"
no_subject = true

[[policies]]
id = "standard"
file = "standard.cedar"

[[controllers]]
id = "acme.example"
name = "ACME GmbH"
kind = "controller"
contact = "dpo at acme.example"
address = "Example Street 1"

[limits]
request_life_s = 604800
items_per_request = 1000
requests_per_requestor_month = 1000
items_per_requestor_month = 100000
permit_life_s = 60
notice_delay_days = 90
recovery_delay_s = 86400
clock_skew_s = 120
charter_grace_s = 86400
sealing_key_days = 365
"#;
