//! Backups of a real data folder, believed only as far as they were checked.

use crate::backup::{Backup, backup};
use crate::config::Config;
use crate::fixture::Fixture;
use crate::node::open;
use crate::restore::{Source, drill, restore};
use crate::state::State;
use crate::store::Store;
use escrow_core::Digest;
use escrow_core::decision::Choice;

async fn node(f: &Fixture) -> u64 {
    let opened = f.open().await;
    let denial = f.decision("dpo", "dpo", Choice::Deny);
    opened.node.writer.run(move |e| e.submit(&denial)).await.unwrap().into_inner().unwrap();
    let size = opened.node.writer.run(|e| e.size()).await.unwrap().into_inner();
    drop(opened.node);
    opened.writer.join().unwrap();
    size
}

#[tokio::test]
async fn a_backup_comes_back_as_it_was_and_one_that_says_otherwise_is_refused() {
    let f = Fixture::new("");
    let size = node(&f).await;
    let (from, keys) = (f.dir.path().join("out"), f.dir.path().join("keys"));
    let made = backup(&f.config(), &from, &keys).unwrap();
    assert_eq!((made.size, made.charter, &made.log), (size, f.genesis.digest(), &f.charter.seats[0].log_origin));
    let source = Source { from: from.clone(), keys, expect_size: None };
    let tried = drill(&f.config(), &source, &|_, _| {}).unwrap();
    assert_eq!((tried.drill, tried.size, tried.entries, tried.root), (true, size, size, made.root));

    let index = from.join("backup.json");
    let changes: [fn(&mut Backup); 5] = [
        |b| b.root = Digest([9; 32]),
        |b| b.size += 1,
        |b| b.charter = Digest([9; 32]),
        |b| b.log.push('x'),
        |b| b.schema.push('x'),
    ];
    for change in changes {
        let mut said = made.clone();
        change(&mut said);
        std::fs::write(&index, serde_json::to_vec(&said).unwrap()).unwrap();
        assert!(drill(&f.config(), &source, &|_, _| {}).is_err(), "{said:?}");
    }
    std::fs::write(&index, serde_json::to_vec(&made).unwrap()).unwrap();
    let expecting = Source { expect_size: Some(size + 1), ..source.clone() };
    let short = drill(&f.config(), &expecting, &|_, _| {}).unwrap_err().to_string();
    assert!(short.contains("were expected"), "{short}");

    // Into a folder of its own, where the node goes on from the same log.
    let text = std::fs::read_to_string(f.dir.path().join("escrow-node.toml")).unwrap();
    let path = f.dir.path().join("elsewhere.toml");
    std::fs::write(&path, text.replace("data_dir = \"data\"", "data_dir = \"elsewhere\"")).unwrap();
    let elsewhere = Config::load(&path).unwrap();
    restore(&elsewhere, &source, &|_, _| {}).unwrap();
    let opened = open(&elsewhere).unwrap();
    assert!(matches!(opened.node.state(), State::Unproven(_)), "{:?}", opened.node.state());
    let read = |c: &Config| Store::open_reader(&c.database()).unwrap().entries(0, 1_000).unwrap();
    assert_eq!(read(&elsewhere), read(&f.config()));
    let again = restore(&elsewhere, &source, &|_, _| {}).unwrap_err().to_string();
    assert!(again.contains("holds a node already"), "{again}");
}
