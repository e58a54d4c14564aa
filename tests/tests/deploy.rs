//! What deploy/ and docs/operations.md say about metrics is what the node has; what else they say is
//! tried by `make test-interop`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)] // a test that panics has failed

use std::collections::BTreeSet;
use std::path::Path;

fn read(file: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(file)).unwrap()
}

/// Every word that is named like a metric of ours.
fn metrics(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|w| w.starts_with("escrow_") && w.len() > "escrow_".len()).collect()
}

/// What the node describes, and so exports.
fn described() -> BTreeSet<String> {
    let source = read("escrow-node/src/metrics.rs");
    let names = source.split("describe_").filter_map(|call| call.split('"').nth(1));
    names.filter(|n| n.starts_with("escrow_")).map(str::to_owned).collect()
}

#[test]
fn every_metric_is_explained_to_operators_and_no_other() {
    let described = described();
    assert!(described.len() >= 8 && described.contains("escrow_ready"), "{described:?}");
    let page = read("docs/operations.md");
    let table: BTreeSet<String> = page
        .lines()
        .filter_map(|l| l.strip_prefix("| `escrow_")?.split('`').next())
        .map(|name| format!("escrow_{name}"))
        .collect();
    assert_eq!(table, described, "the table of docs/operations.md and the node differ");
    for name in metrics(&page) {
        assert!(described.contains(name), "docs/operations.md names {name}, which no node has");
    }
}

#[test]
fn alerts_ask_for_metrics_and_outcomes_that_exist() {
    let (described, alerts) = (described(), read("deploy/alerts.yml"));
    let asked = metrics(&alerts);
    assert!(asked.len() >= 5, "{asked:?}");
    for name in &asked {
        assert!(described.contains(*name), "an alert asks for {name}, which no node has");
    }
    // An outcome that is misspelt would never fire.
    let mut source = String::new();
    for file in ["http/peer.rs", "release.rs", "webhooks.rs", "store.rs"] {
        source.push_str(&read(&format!("escrow-node/src/{file}")));
    }
    let outcomes = alerts.split("outcome=").skip(1).filter_map(|o| o.split('"').nth(1)).flat_map(|o| o.split('|'));
    let outcomes: BTreeSet<&str> = outcomes.collect();
    assert!(outcomes.contains("refused") && outcomes.contains("dropped"), "{outcomes:?}");
    for outcome in outcomes {
        assert!(
            source.contains(&format!("\"{outcome}\"")),
            "an alert asks for outcome {outcome}, which no node counts"
        );
    }
}
