//! Attack cases of the log that need more than one real node.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)] // a test that panics has failed

use escrow_core::ThreadKey;
use escrow_core::wire::Status;
use escrow_tests::cluster::{Escrow, Options, PATIENCE};
use escrow_tests::program;
use escrow_tests::raw::Raw;
use std::collections::BTreeMap;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

const ALL: std::ops::RangeInclusive<u8> = 1..=5;

/// The operator's own program on a node's configuration.
fn escrow_node(escrow: &Escrow, n: u8, args: &[&str]) -> Output {
    let config = escrow.dir().join(format!("node{n}")).join("escrow-node.toml");
    Command::new(program("escrow-node")).arg("--config").arg(config).args(args).output().unwrap()
}

/// Exit code of `escrow-node status`, and what it printed.
fn status(escrow: &Escrow, n: u8) -> (Option<i32>, String) {
    let out = escrow_node(escrow, n, &["status"]);
    (out.status.code(), String::from_utf8(out.stdout).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_30_an_idle_cluster_is_cosigned_again_and_does_not_grow() {
    let escrow = Escrow::start_with(Options { config: "heartbeat_s = 1\n", ..Options::default() }).await;
    let subject = escrow.subject("maria").await;
    escrow.deposit(&subject, vec![(escrow.about(&subject, "t", 0), ThreadKey::generate())]).await;
    // Right after the work, cosignatures of it are still under way; heartbeats that fed each other would
    // let the logs grow for ever.
    let until = Instant::now() + PATIENCE;
    let (mut before, mut beats) = look(&escrow).await;
    loop {
        let (after, now) = loop {
            let (sizes, now) = look(&escrow).await;
            if ALL.into_iter().all(|n| now[&n] >= beats[&n] + 3) {
                break (sizes, now);
            }
            assert!(Instant::now() < until, "no heartbeats: {beats:?}, {now:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        if after == before {
            break;
        }
        assert!(Instant::now() < until, "the logs grow without work: {before:?}, {after:?}");
        (before, beats) = (after, now);
    }
}

/// Sizes of the logs, and how often each was cosigned again by enough peers.
async fn look(escrow: &Escrow) -> (BTreeMap<u8, u64>, BTreeMap<u8, u64>) {
    let (mut sizes, mut beats) = (BTreeMap::new(), BTreeMap::new());
    for n in ALL {
        let text = Raw::new(escrow.listed(n)).get("/metrics").await.text();
        let line = text.lines().find_map(|l| l.strip_prefix("escrow_heartbeats_total{outcome=\"cosigned\"} "));
        beats.insert(n, line.map_or(0, |v| v.parse().unwrap()));
        sizes.insert(n, escrow.node(n).status().await.unwrap().size);
    }
    (sizes, beats)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_27_74_75_files_under_a_node() {
    let mut escrow = Escrow::start().await;
    let subject = escrow.subject("maria").await;
    escrow.deposit(&subject, vec![(escrow.about(&subject, "t", 0), ThreadKey::generate())]).await;
    for n in ALL {
        // The others countersign everything so far.
        let size = escrow.node(n).status().await.unwrap().size;
        assert!(size > 0);
    }

    // 75: a second process on the folder is refused, names the first, and changes nothing.
    let first = escrow.cluster.members()[0].pid().unwrap();
    let second = escrow_node(&escrow, 1, &["run"]);
    let said = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("process {first}")), "{said}");
    let out = escrow_node(&escrow, 1, &["status", "--output", "json"]);
    let s: Status = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((out.status.code(), s.state.as_str(), s.way_out.as_str()), (Some(0), "READY", ""));

    // 74: the database of a running node goes away. It ends by itself, and not as if all were well.
    std::fs::remove_file(escrow.config(2).database()).unwrap();
    let ended = ends(&mut escrow, 2).await;
    assert!(!ended.success(), "{ended}");
    let log = std::fs::read_to_string(escrow.cluster.members()[1].log()).unwrap();
    assert!(log.contains("poisoned") && log.contains("node.db is not there any more"), "{log}");
    let (code, table) = status(&escrow, 2);
    assert_eq!(code, Some(6), "it left word of why it ended: {table}");
    assert!(table.contains("POISONED") && table.contains("node.db is not there any more"), "{table}");

    // 27: what was acknowledged and cosigned is in the WAL alone, and that is deleted.
    let views = escrow.client.ask(escrow.node(3), escrow_core::query::Question::Views(escrow_core::Nonce::random()));
    let _cosigned: escrow_core::wire::ViewsAnswer = views.await.unwrap();
    escrow.kill(&[3]);
    assert_eq!(status(&escrow, 3).0, Some(7), "it does not answer");
    let mut wal = escrow.config(3).database().into_os_string();
    wal.push("-wal");
    assert!(std::fs::metadata(&wal).unwrap().len() > 0);
    std::fs::remove_file(&wal).unwrap();
    escrow.cluster.start(3).unwrap();
    let reason = escrow.state(3, "ROLLBACK").await;
    assert!(reason.contains("this log's own key signed and that is not on this log"), "{reason}");
    let (code, table) = status(&escrow, 3);
    assert_eq!(code, Some(6), "{table}");
    assert!(table.contains("ROLLBACK") && table.contains("escrow-node new-log"), "{table}");
}

async fn ends(escrow: &mut Escrow, n: u8) -> std::process::ExitStatus {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(ended) = escrow.cluster.ended(n).unwrap() {
            return ended;
        }
        assert!(Instant::now() < until, "node {n} goes on");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
