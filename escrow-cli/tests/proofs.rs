//! `escrow verify` where a key contradicted itself: the proof is written beside the bundle, and convinces
//! without it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // a test that panics has failed

#[path = "../../audit/tests/common/mod.rs"]
mod common;

use common::{Cluster, seat_index};
use escrow_audit::bundle::Bundle;
use escrow_audit::checkpoint::Checkpoint;
use escrow_audit::note::NoteSigner;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

fn escrow(args: &[&str], home: &Path) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_escrow"));
    let out = command.args(args).env_clear().env("ESCROW_CONFIG_DIR", home).output().unwrap();
    (out.status.code().unwrap(), String::from_utf8(out.stdout).unwrap())
}

#[test]
fn misbehaviour_leaves_a_proof_that_stands_alone() {
    let mut c = Cluster::honest();
    c.settle();
    let node = &c.nodes[0];
    let signer = NoteSigner::new(node.chain.origin(), &node.log_key).unwrap();
    let head = |root: u8| {
        let size = node.tree.size() + 3;
        Checkpoint::new(node.chain.origin(), size, [root; 32]).unwrap().sign(&signer).unwrap()
    };
    let (a, b) = (head(1), head(2));
    c.nodes[0].held.insert(seat_index(2), a);
    c.nodes[0].held.insert(seat_index(3), b);
    let dir = tempfile::tempdir().unwrap();
    let bundle = dir.path().join("bundle");
    Bundle { files: c.full() }.write_dir(&bundle).unwrap();
    let (bundle, digest) = (bundle.to_str().unwrap(), c.genesis.to_string());

    let args = ["verify", bundle, "--charter-digest", &digest, "--output", "json"];
    let (code, text) = escrow(&args, dir.path());
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &json["verdict"]), (6, &"MISBEHAVIOUR".into()));
    let proofs = json["proofs"].as_array().unwrap();
    assert_eq!(proofs.len(), 1);
    let proof = proofs[0].as_str().unwrap();
    assert!(proof.contains("bundle.misbehaviour/"), "{proof}");
    // Again: the same file, and the bundle is as it was.
    assert_eq!(serde_json::from_str::<Value>(&escrow(&args, dir.path()).1).unwrap()["proofs"], json["proofs"]);

    std::fs::remove_dir_all(bundle).unwrap();
    let (code, text) = escrow(&["verify", proof, "--charter-digest", &digest], dir.path());
    let key = escrow_audit::seat::log_verifier(&c.charter.seats[0]).unwrap().to_string();
    let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(code, 6, "{text}");
    assert!(one_line.contains("MISBEHAVIOUR proven") && one_line.contains(&key), "{text}");
    let (code, text) = escrow(&["verify", proof, "--charter-digest", &"0".repeat(64)], dir.path());
    assert_eq!((code, text.contains("Proves nothing")), (8, true), "{text}");
}
