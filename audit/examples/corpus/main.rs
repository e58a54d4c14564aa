//! Writes evidence bundles that only holders of keys can make, for `tests/interop/agree.py`: valid ones of
//! several shapes, and misdeeds of nodes, officers and administrators. `corpus DIR` makes `DIR/<name>/` and
//! `DIR/corpus.json`, which names the digest to pin for each.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)]

#[path = "../../tests/common/mod.rs"]
mod common;
mod misdeeds;
mod parties;
mod story;
mod valid;

use common::Cluster;
use std::collections::BTreeMap;
use std::path::Path;

/// A history by its name, and how it is told.
type Story = (&'static str, fn() -> Told);

/// What is written of a story.
struct Told {
    files: common::Files,
    pinned: String,
}

impl Told {
    /// All logs after every peer has cosigned them, and all views.
    fn settled(mut c: Cluster, pinned: escrow_core::Digest) -> Self {
        c.settle();
        Self { files: c.full(), pinned: pinned.to_string() }
    }
}

impl From<Cluster> for Told {
    fn from(c: Cluster) -> Self {
        let pinned = c.genesis;
        Self::settled(c, pinned)
    }
}

fn write(at: &Path, told: &Told) -> std::io::Result<()> {
    for (path, bytes) in &told.files {
        let file = at.join(path);
        std::fs::create_dir_all(file.parent().unwrap())?;
        std::fs::write(file, bytes)?;
    }
    Ok(())
}

fn main() -> std::io::Result<()> {
    let Some(dir) = std::env::args_os().nth(1) else {
        eprintln!("usage: corpus DIR");
        std::process::exit(2);
    };
    let dir = Path::new(&dir);
    let mut pins = BTreeMap::new();
    for (name, tell) in valid::STORIES.iter().chain(misdeeds::STORIES).chain(parties::STORIES) {
        let told = tell();
        write(&dir.join(name), &told)?;
        assert!(pins.insert(*name, told.pinned).is_none(), "two stories are called {name}");
    }
    std::fs::write(dir.join("corpus.json"), serde_json::to_string_pretty(&pins)?)
}
