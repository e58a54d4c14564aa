//! The arrows between the crates, and what the pure ones must not pull in.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)] // a test that panics has failed

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn metadata() -> Metadata {
    let mut command = MetadataCommand::new();
    command.current_dir(root()).no_deps().other_options(vec!["--offline".into()]).exec().unwrap()
}

/// Which of our crates each of them needs in order to run.
fn arrows(metadata: &Metadata, kinds: &[DependencyKind]) -> BTreeMap<String, BTreeSet<String>> {
    let ours: BTreeSet<&str> = metadata.packages.iter().map(|p| p.name.as_str()).collect();
    let needs = |p: &cargo_metadata::Package| {
        let deps = p.dependencies.iter().filter(|d| kinds.contains(&d.kind) && ours.contains(d.name.as_str()));
        deps.map(|d| d.name.clone()).collect()
    };
    metadata.packages.iter().map(|p| (p.name.to_string(), needs(p))).collect()
}

#[test]
fn arrows_run_one_way_and_node_and_client_never_meet() {
    let metadata = metadata();
    let allowed = BTreeMap::from([
        ("escrow-core", vec![]),
        ("escrow-policy", vec!["escrow-core"]),
        ("escrow-audit", vec!["escrow-core", "escrow-policy"]),
        ("escrow-node", vec!["escrow-audit", "escrow-core", "escrow-policy"]),
        ("escrow-client", vec!["escrow-audit", "escrow-core", "escrow-policy"]),
        ("escrow-cli", vec!["escrow-audit", "escrow-client", "escrow-core", "escrow-policy"]),
    ]);
    let needed = arrows(&metadata, &[DependencyKind::Normal, DependencyKind::Build]);
    for (name, needs) in &needed {
        if name == "escrow-tests" {
            continue; // it looks at everything, and nothing needs it
        }
        let allowed = allowed.get(name.as_str()).unwrap_or_else(|| panic!("{name} is new: where does it stand?"));
        for other in needs {
            assert!(allowed.contains(&other.as_str()), "{name} must not need {other}");
        }
        assert!(!needs.contains("escrow-tests"));
    }
    assert!(allowed.keys().all(|a| needed.contains_key(*a)), "a crate is gone: {needed:?}");

    // Not in tests either: what only a test holds together is not held apart.
    let everything = arrows(&metadata, &[DependencyKind::Normal, DependencyKind::Build, DependencyKind::Development]);
    for (a, b) in [
        ("escrow-node", "escrow-client"),
        ("escrow-node", "escrow-cli"),
        ("escrow-client", "escrow-node"),
        ("escrow-cli", "escrow-node"),
    ] {
        assert!(!everything[a].contains(b), "{a} meets {b}");
    }
}

/// Everything that these packages pull in to run, with the features that they alone ask for.
fn pulled_in(packages: &[&str]) -> BTreeSet<String> {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(root()).args([
        "tree",
        "--offline",
        "--edges",
        "normal,build",
        "--prefix",
        "none",
        "--format",
        "{lib}",
    ]);
    for p in packages {
        command.args(["--package", p]);
    }
    let out = command.output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout).unwrap();
    text.lines().map(|l| l.trim_end_matches(" (*)").trim()).filter(|l| !l.is_empty()).map(str::to_owned).collect()
}

#[test]
fn core_policy_and_audit_pull_in_no_runtime_no_network_no_database() {
    let pure = pulled_in(&["escrow-core", "escrow-policy", "escrow-audit"]);
    assert!(pure.contains("p256") && pure.contains("cedar_policy"), "the list is not what this test thinks: {pure:?}");
    let banned = [
        "tokio",
        "axum",
        "axum_core",
        "hyper",
        "hyper_util",
        "reqwest",
        "rusqlite",
        "libsqlite3_sys",
        "rustls",
        "aws_lc_rs",
        "mio",
        "socket2",
        "async_std",
        "smol",
        "tracing_subscriber",
    ];
    for name in banned {
        assert!(!pure.contains(name), "{name} is pulled in by core, policy or audit");
    }
    // The same question finds them where they belong.
    let node = pulled_in(&["escrow-node"]);
    for name in ["tokio", "axum", "reqwest", "rusqlite", "rustls"] {
        assert!(node.contains(name), "this test would not notice {name}");
    }
}
