//! How systems like ours have failed: what a node can meet of rules R5 and R6. What the gate can
//! meet is in `policy/tests/failures.rs`, what cryptography alone in `escrow-core/tests/failures.rs`;
//! every route against running nodes is in `tests/tests/release.rs`.
//!
//! | failure | seen in | tests |
//! |---|---|---|
//! | another way to a share than the one that asks the policy and writes the log | opentdf#766, "privileged unwrap" | `r5_*` |
//! | an id that binds nothing | MemWal#369 | `r5_a_share_stored_under_another_id_does_not_open` |
//! | one field left out of a binding at rest | cggmp21 2024-0393, zama#2379, seal#555, juicebox 866d9ba | `r6_*` |
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)] // a test that panics has failed

use escrow_core::label::labels;
use escrow_core::sharing::{Secret, Share, deal};
use escrow_core::{Digest, ItemId, SeatIndex};
use escrow_node::http::routes;
use escrow_node::store::{DepositRow, ShareRow};
use escrow_node::unlock::StorageKey;
use escrow_node::vault::{KeyName, Vault};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

// ---- The source: who opens, seals and sends -------------------------------------------------

/// Every source file of the node, without its tests and without comments.
fn sources() -> Vec<(String, String)> {
    fn go(dir: &Path, out: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { go(&path, out) } else { out.push(path) }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![];
    go(&root, &mut files);
    files.sort();
    let of_tests = |name: &str| {
        name.ends_with("tests.rs")
            || ["engine/race.rs", "fixture.rs"].contains(&name)
            || name.starts_with("engine/machine/")
    };
    let engine = std::fs::read_to_string(root.join("engine/mod.rs")).unwrap();
    assert!(engine.contains("#[cfg(test)]\nmod machine;"), "the machine is for tests only");
    let named = files.into_iter().map(|f| (f.strip_prefix(&root).unwrap().to_str().unwrap().to_owned(), f));
    let code = |f: PathBuf| {
        let text = std::fs::read_to_string(f).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned();
        text.lines().map(|l| l.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
    };
    named.filter(|(name, _)| !of_tests(name)).map(|(name, f)| (name, code(f))).collect()
}

/// `file::function` of every place where the words stand, imports left out.
fn places(words: &str) -> Vec<String> {
    let mut out = vec![];
    for (name, text) in sources() {
        let mut function = "";
        for line in text.lines() {
            if let Some((_, rest)) = line.split_once("fn ")
                && !line.trim_start().starts_with("use ")
            {
                function = rest.split(['(', '<']).next().unwrap_or_default();
            }
            if line.contains(words) && !line.trim_start().starts_with("use ") {
                out.push(format!("{name}::{function}"));
            }
        }
    }
    out
}

#[test]
fn r5_one_function_seals_a_reply_and_one_opens_a_share() {
    assert!(sources().len() > 20, "{}", sources().len());
    // A reply is sealed in one place, after the gate and the note; it comes out of a durable commit only.
    assert_eq!(places("seal_reply("), ["engine/decide.rs::try_deliver"]);
    assert_eq!(
        places("SealedReply {"),
        [
            "engine/decide.rs::seq", // its declaration
            "engine/decide.rs::send",
            "engine/decide.rs::try_deliver"
        ]
    );
    assert_eq!(places(".try_deliver("), ["engine/decide.rs::deliver"]);
    // Shares at rest are opened in one place, which only that delivery calls, and only with its permit.
    // Beside it, whoever restores a backup offline checks that each share of it opens, and drops it there.
    assert_eq!(places("vault.open("), ["release.rs::shares", "restore.rs::open_shares"]);
    assert_eq!(places("open_shares(").len(), 2, "its declaration and its one call");
    assert_eq!(places("shares(&shared, permit)"), ["release.rs::deliver"]);
    assert_eq!(places("e.deliver("), ["release.rs::deliver"]);
    assert_eq!(places("deliver(node, authorised, note)"), ["release.rs::round"]);
    // The round has one way in.
    assert_eq!(places("round(node, body)"), ["release.rs::release"]);
    assert_eq!(places("release::release("), ["http/people.rs::answer_release"]);
    // Its name is called by one handler, and nothing else leads there.
    assert_eq!(places("answer_release(&node"), ["http/people.rs::releases"]);
    assert_eq!(places("answer_release(").len(), 2, "its declaration and its one call");
    // A permit is made by the gate alone: `non_exhaustive` keeps every other crate from making one.
    assert!(places(" Permit {").is_empty(), "{:?}", places(" Permit {"));
    let gate = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../policy/src/gate.rs")).unwrap();
    let declared = gate.split("pub struct Permit {").next().and_then(|before| before.lines().last()).unwrap();
    assert!(declared.starts_with("#[non_exhaustive]"), "{declared}");
    assert_eq!(gate.matches("Ok(Permit {").count(), 1);
    // Reading rows of sealed shares: the release, and nobody for an answer.
    assert_eq!(places("s.share("), ["release.rs::shares"]);
}

#[test]
fn r5_a_share_in_clear_is_made_at_deposit_and_release_alone() {
    assert_eq!(places("Share::from_bytes("), ["vault.rs::open"]);
    assert_eq!(places(".verify_blob("), ["http/people.rs::verify_and_seal"]);
    assert_eq!(places("aead_open("), ["unlock.rs::open", "unlock.rs::aead_open", "vault.rs::open"]);
    // No way to seal to anybody but by a reply: HPKE is not called here otherwise.
    assert!(places("sealing::seal(").is_empty());
}

#[test]
fn r5_every_route_of_the_router_is_in_the_list_and_one_of_them_releases() {
    // Routes hang in the router only by their handlers' own declarations, from which the list is made.
    let sources = sources();
    let (_, http) = sources.iter().find(|(name, _)| name == "http/mod.rs").unwrap();
    let hung: Vec<&str> = http.split("routes!(").skip(1).filter_map(|r| r.split(')').next()).collect();
    let declared: usize = sources.iter().map(|(_, text)| text.matches("#[utoipa::path(").count()).sum();
    assert_eq!((hung.len(), declared), (routes().len(), routes().len()), "{hung:?}");
    assert!(hung.len() >= 13 && hung.iter().collect::<BTreeSet<_>>().len() == hung.len(), "{hung:?}");
    assert!(places("routes!(").iter().all(|p| p.starts_with("http/mod.rs::")), "{:?}", places("routes!("));
    for other in [".route(", ".route_service(", ".nest(", ".nest_service(", ".fallback_service(", " Router::new()"] {
        assert!(places(other).is_empty(), "{other}: {:?}", places(other));
    }
    // One of them releases, and needs a signature for it.
    assert_eq!(hung.iter().filter(|h| **h == "people::releases").count(), 1);
    let release: Vec<_> = routes().into_iter().filter(|r| r.path.contains("release")).collect();
    assert_eq!(release.len(), 1);
    assert_eq!((release[0].method, release[0].path.as_str()), ("POST", "/v1/releases"));
    assert_eq!(release[0].authenticated_by, "the release-call's signature");
    assert!(routes().iter().all(|r| !r.authenticated_by.is_empty()));
}

#[test]
fn r5_the_command_line_of_a_node_has_no_way_to_a_share() {
    // There is no admin, export or repair command: `run` serves, the others know no share.
    let (_, main) = sources().into_iter().find(|(name, _)| name == "main.rs").unwrap();
    let commands = main.split("enum Command {").nth(1).and_then(|rest| rest.split("\n}").next()).unwrap();
    let named: Vec<&str> = commands
        .lines()
        .filter(|l| l.starts_with("    ") && l.trim_start().starts_with(char::is_uppercase) && !l.starts_with("     "))
        .map(|l| l.trim().split(['(', ' ', ',']).next().unwrap())
        .collect();
    assert_eq!(named, ["Init", "Charter", "Run", "Status", "Backup", "Restore", "NewLog", "Witness"]);
    for word in ["Vault", "vault", "Share", "seal_reply", "deliver"] {
        assert!(!main.contains(word), "main.rs speaks of {word}");
    }
}

// ---- At rest --------------------------------------------------------------------------------

struct Stored {
    dir: tempfile::TempDir,
    vault: Vault,
    name: KeyName,
    rows: Vec<ShareRow>,
    items: [ItemId; 2],
    clear: Vec<Vec<u8>>,
}

fn seat(n: u8) -> SeatIndex {
    SeatIndex::new(n).unwrap()
}

fn share() -> Share {
    deal(&Secret::random(), 2, &[seat(1), seat(2)]).unwrap().1.remove(0)
}

/// Two shares of one deposit in the vault of seat 1, generation 1.
fn stored() -> Stored {
    let dir = tempfile::tempdir().unwrap();
    let vault = Vault::new(dir.path().into(), StorageKey::random(), seat(1));
    let items = [Digest::of(b"item 0"), Digest::of(b"item 1")];
    let shares: Vec<(ItemId, Share)> = items.into_iter().map(|i| (i, share())).collect();
    let clear = shares.iter().map(|(_, s)| s.to_bytes().to_vec()).collect();
    let (name, rows) = vault.seal(1, &shares).unwrap();
    Stored { dir, vault, name, rows, items, clear }
}

fn row(item: ItemId, of: &ShareRow) -> ShareRow {
    ShareRow { item, sealed: of.sealed.clone() }
}

impl Stored {
    fn opens(&self, name: &KeyName, generation: u32, row: &ShareRow) -> Option<Vec<u8>> {
        self.vault.open(name, generation, row).ok().map(|s| s.to_bytes().to_vec())
    }

    #[track_caller]
    fn control(&self) {
        for (row, clear) in self.rows.iter().zip(&self.clear) {
            assert_eq!(self.opens(&self.name, 1, row).as_ref(), Some(clear));
        }
    }
}

#[test]
fn r5_a_share_stored_under_another_id_does_not_open() {
    let s = stored();
    s.control();
    // Somebody with the database exchanges two rows, or gives one the id that a request names.
    assert_eq!(s.opens(&s.name, 1, &row(s.items[0], &s.rows[1])), None);
    assert_eq!(s.opens(&s.name, 1, &row(s.items[1], &s.rows[0])), None);
    assert_eq!(s.opens(&s.name, 1, &row(Digest::of(b"item 2"), &s.rows[0])), None);
}

#[test]
fn r6_at_rest_the_generation_is_bound() {
    let s = stored();
    s.control();
    for generation in [0, 2, u32::MAX] {
        assert_eq!(s.opens(&s.name, generation, &s.rows[0]), None, "generation {generation}");
    }
}

#[test]
fn r6_at_rest_the_seat_is_bound() {
    let dir = tempfile::tempdir().unwrap();
    // Two vaults over one folder and one storage key, as a copied disk would be.
    let text = StorageKey::random();
    let sealed = text.seal(labels::DEPOSIT_KEY, &[1; 16], &[7; 32]);
    std::fs::write(dir.path().join(format!("{}.key", "01".repeat(16))), &sealed).unwrap();
    let one = Vault::new(dir.path().into(), text, seat(1));
    let item = Digest::of(b"item 0");
    let row = one.reseal(&[1; 16], 1, item, &share()).unwrap();
    assert!(one.open(&[1; 16], 1, &row).is_ok());
    // Seat 2 with a storage key of its own, over the very same deposit key.
    let other = StorageKey::random();
    let folder = tempfile::tempdir().unwrap();
    let sealed = other.seal(labels::DEPOSIT_KEY, &[1; 16], &[7; 32]);
    std::fs::write(folder.path().join(format!("{}.key", "01".repeat(16))), sealed).unwrap();
    let two = Vault::new(folder.path().into(), other, seat(2));
    let own = two.reseal(&[1; 16], 1, item, &share()).unwrap();
    assert!(two.open(&[1; 16], 1, &own).is_ok());
    assert!(two.open(&[1; 16], 1, &row).is_err(), "a row of seat 1 at seat 2");
    assert!(one.open(&[1; 16], 1, &own).is_err(), "a row of seat 2 at seat 1");
}

#[test]
fn r6_at_rest_the_deposit_is_bound() {
    let s = stored();
    s.control();
    let (other, rows) = s.vault.seal(1, &[(s.items[0], share())]).unwrap();
    assert!(s.opens(&other, 1, &rows[0]).is_some());
    // A row of one deposit with the key of another; and one deposit's key file under another's name.
    assert_eq!(s.opens(&other, 1, &s.rows[0]), None);
    let file = |name: &KeyName| s.dir.path().join(format!("{}.key", name.map(|b| format!("{b:02x}")).concat()));
    std::fs::copy(file(&s.name), file(&other)).unwrap();
    assert_eq!(s.opens(&other, 1, &s.rows[0]), None, "the key file is bound to its name");
    assert_eq!(s.opens(&other, 1, &rows[0]), None);
    s.control();
    // Destroyed is destroyed.
    s.vault.discard(DepositRow { deposit: Digest([0; 32]), key: s.name, shares: vec![] }).unwrap();
    assert_eq!(s.opens(&s.name, 1, &s.rows[0]), None);
}

#[test]
fn r6_at_rest_label_name_and_storage_key_are_bound() {
    let (key, other) = (StorageKey::random(), StorageKey::random());
    let sealed = key.seal(labels::DEPOSIT_KEY, b"name", b"clear");
    let opened =
        |k: &StorageKey, label: &str, name: &[u8], sealed: &[u8]| k.open(label, name, sealed).map(|c| c.to_vec());
    assert_eq!(opened(&key, labels::DEPOSIT_KEY, b"name", &sealed), Some(b"clear".to_vec()));
    assert_eq!(opened(&key, labels::SEALED_FILE, b"name", &sealed), None, "label");
    assert_eq!(opened(&key, labels::DEPOSIT_KEY, b"eman", &sealed), None, "name");
    assert_eq!(opened(&other, labels::DEPOSIT_KEY, b"name", &sealed), None, "storage key");
    for at in 0..sealed.len() {
        let mut bad = sealed.clone();
        bad[at] ^= 1;
        assert_eq!(opened(&key, labels::DEPOSIT_KEY, b"name", &bad), None, "byte {at}");
    }
}
