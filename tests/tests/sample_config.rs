//! The sample configuration is read by the node's own code, and names nothing that is explained
//! nowhere.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)] // a test that panics has failed

use escrow_node::Config;
use escrow_node::config::{LogFormat, RateLimits};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn sample() -> (PathBuf, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("deploy/escrow-node.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    (path, text)
}

#[test]
fn the_sample_parses_as_what_it_says() {
    let (path, text) = sample();
    let config = Config::load(&path).unwrap();
    assert_eq!(config.listen.port(), 8443);
    assert_eq!(config.data_dir, Path::new("/var/lib/escrow-node"));
    assert_eq!(config.passphrase_file, Path::new("/etc/escrow-node/passphrase"));
    assert_eq!((config.log_filter.as_str(), config.log_format, config.max_in_flight), ("info", LogFormat::Json, 256));

    assert_eq!((config.heartbeat_s.get(), config.min_free_bytes), (600, 64 << 20));
    assert_eq!(
        format!("{:?}", config.rate_limits),
        format!("{:?}", RateLimits::default()),
        "the sample has the defaults"
    );

    // Every key is in it, so that nobody has to look for one in the source.
    let keys: BTreeSet<&str> =
        text.lines().filter(|l| !l.starts_with('#')).filter_map(|l| l.split_once(" = ")).map(|(k, _)| k).collect();
    let source = format!("{config:?}");
    let all = [
        "data_dir",
        "deposits_per_minute",
        "heartbeat_s",
        "listen",
        "log_filter",
        "log_format",
        "max_in_flight",
        "min_free_bytes",
        "passphrase_file",
        "queries_per_minute",
        "reads_per_minute",
        "releases_per_minute",
        "repeats_per_minute",
        "restrictions_per_minute",
        "statements_per_minute",
        "strangers_per_minute",
    ];
    assert_eq!(keys.into_iter().collect::<Vec<_>>(), all);
    let fields = source.matches(": ").count();
    assert!(fields >= all.len() && all.iter().all(|k| source.contains(&format!("{k}: "))), "{source}");

    // The blocks that are commented out are ones that work.
    assert!(config.webhooks.is_empty() && config.witnesses.is_empty());
    let dir = tempfile::tempdir().unwrap();
    let with = dir.path().join("with.toml");
    let lines = text.lines().map(|line| match line.strip_prefix("# ") {
        Some(block) if block.starts_with("[[") || block.split_once(" = ").is_some_and(|(k, _)| !k.contains(' ')) => {
            block
        }
        _ => line,
    });
    std::fs::write(&with, lines.collect::<Vec<_>>().join("\n")).unwrap();
    let mut all = Config::load(&with).unwrap();
    let webhook = all.webhooks.pop().unwrap();
    assert!(webhook.url.starts_with("https://") && webhook.ca_file.is_some(), "{webhook:?}");
    let witness = all.witnesses.pop().unwrap();
    assert!(witness.url.starts_with("https://") && witness.tls_pin.is_some(), "{witness:?}");
    assert_eq!(witness.key().unwrap().name(), "auditor.example");

    let changed = dir.path().join("escrow-node.toml");
    std::fs::write(&changed, format!("{text}\nlisten_on = \"x\"\n")).unwrap();
    let refused = Config::load(&changed).unwrap_err().to_string();
    assert!(refused.contains("listen_on"), "a misspelt key is not noticed: {refused}");

    // A node that lets its log be cosigned more seldom would be called stale by verifiers.
    std::fs::write(&changed, text.replace("heartbeat_s = 600", "heartbeat_s = 601")).unwrap();
    let refused = Config::load(&changed).unwrap_err().to_string();
    assert!(refused.contains("heartbeat_s is 601") && refused.contains("at most"), "{refused}");
}

#[test]
fn the_sample_names_only_files_that_exist_for_the_node() {
    let (path, text) = sample();
    let config = Config::load(&path).unwrap();
    // What the comments say lies in data_dir is what the node puts there.
    let within = [
        config.database(),
        config.key_file(),
        config.next_key_file(),
        config.newest_head(),
        config.deposit_keys(),
        config.descriptor(),
        config.data_dir.join("node.lock"),
        config.data_dir.join("reserve"),
    ];
    for file in &within {
        let name = file.strip_prefix(&config.data_dir).unwrap().to_str().unwrap();
        assert!(text.contains(&format!("#   {name}")), "{name} is not explained");
    }
    let explained = text.lines().filter_map(|l| l.strip_prefix("#   ")).filter(|l| !l.starts_with(' ')).count();
    assert_eq!(explained, within.len(), "a file is explained that the node does not have");

    // Every other path stands in the documentation or in the program's own help.
    let root = path.parent().and_then(Path::parent).unwrap();
    let mut documents = std::fs::read_to_string(root.join("escrow-node/src/main.rs")).unwrap();
    for entry in std::fs::read_dir(root.join("docs")).unwrap().map(|e| e.unwrap().path()) {
        if entry.extension().is_some_and(|e| e == "md") {
            documents.push_str(&std::fs::read_to_string(entry).unwrap());
        }
    }
    documents.push_str(&std::fs::read_to_string(root.join("README.md")).unwrap());
    let paths = text.split(|c: char| c.is_whitespace() || "\"`,;".contains(c)).filter(|w| w.starts_with('/'));
    for p in paths {
        let known = Path::new(p).ancestors().any(|a| a.parent().is_some() && documents.contains(a.to_str().unwrap()));
        let own = Path::new(p) == config.data_dir || Path::new(p) == config.passphrase_file;
        assert!(known || own, "{p} is named nowhere else");
    }
}
