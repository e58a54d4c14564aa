//! Writes evidence bundles that only holders of keys can make, for `tests/interop/agree.py`: valid ones of
//! several shapes, and misdeeds of nodes, officers and administrators. `corpus DIR` makes `DIR/<name>/` and
//! `DIR/corpus.json`, which names the digest to pin for each.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)]

mod chosen;
#[path = "../../tests/common/mod.rs"]
mod common;
mod misdeeds;
mod parties;
mod remake;
mod story;
mod valid;

use common::Cluster;
use escrow_audit::bundle::Variant;
use std::collections::BTreeMap;
use std::path::Path;

/// A history by its name, and how it is told.
type Story = (&'static str, fn() -> Told);

/// What is written of a story.
struct Told {
    files: common::Files,
    /// The same without content, of stories of which it shows something.
    bare: Option<common::Files>,
    pinned: String,
}

impl Told {
    /// All logs after every peer has cosigned them, and all views.
    fn settled(mut c: Cluster, pinned: escrow_core::Digest) -> Self {
        c.settle();
        let bare = c.bundle_as(Variant::NoContent, &[0, 1, 2], |_, _| true);
        Self { files: c.full(), bare: Some(bare), pinned: pinned.to_string() }
    }
}

impl From<Cluster> for Told {
    fn from(c: Cluster) -> Self {
        let pinned = c.genesis;
        Self::settled(c, pinned)
    }
}

/// What the stories begin with of which there is a bundle without content too.
const SHOWN_BARE: [&str; 9] =
    ["valid-re", "entry", "deliver", "authorise", "verdict", "ready", "restart", "fork", "accus"];

fn write(at: &Path, files: &common::Files) -> std::io::Result<()> {
    for (path, bytes) in files {
        let file = at.join(path);
        std::fs::create_dir_all(file.parent().unwrap())?;
        std::fs::write(file, bytes)?;
    }
    Ok(())
}

fn main() -> std::io::Result<()> {
    let mut args = std::env::args_os().skip(1);
    let first = args.next();
    if first.as_deref() == Some("--reports".as_ref()) {
        return args.try_for_each(|folder| remake::reports(Path::new(&folder)));
    }
    let Some(dir) = first else {
        eprintln!("usage: corpus DIR | corpus --reports FOLDER...");
        std::process::exit(2);
    };
    let dir = Path::new(&dir);
    let mut pins = BTreeMap::new();
    for (name, tell) in valid::STORIES.iter().chain(misdeeds::STORIES).chain(parties::STORIES).chain(chosen::STORIES) {
        let told = tell();
        write(&dir.join(name), &told.files)?;
        if let Some(bare) = told.bare.filter(|_| SHOWN_BARE.iter().any(|start| name.starts_with(start))) {
            let name = format!("without-{name}");
            write(&dir.join(&name), &bare)?;
            pins.insert(name, told.pinned.clone());
        }
        assert!(pins.insert((*name).to_owned(), told.pinned).is_none(), "two stories are called {name}");
    }
    std::fs::write(dir.join("corpus.json"), serde_json::to_string_pretty(&pins)?)
}
