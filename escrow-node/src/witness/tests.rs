//! A witness over a real folder: what it cosigns survives, what it refuses is kept.

use super::*;
use crate::fixture::Fixture;
use escrow_audit::note::NoteSigner;
use escrow_audit::tree::{Tree, leaf_hash};
use escrow_core::charter::Charter;
use std::path::PathBuf;

/// A log of the charter whose key the test holds, and the witness's folder.
struct Bench {
    dir: tempfile::TempDir,
    charter: Charter,
    log: SigningKey,
}

const ORIGIN: &str = "acme/2/log";

impl Bench {
    fn new() -> Self {
        let log = SigningKey::from_bytes(&[7; 32]);
        let mut charter = Fixture::new("").charter;
        let seat = charter.seats.iter_mut().find(|s| s.log_origin == ORIGIN).unwrap();
        seat.log_key = escrow_core::PublicKey::Ed25519(log.verifying_key());
        let dir = tempfile::tempdir().unwrap();
        init(&dir.path().join("w"), "auditor.example").unwrap();
        Self { dir, charter, log }
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join("w")
    }

    fn open(&self) -> Witness {
        Witness::open(&self.folder(), &self.charter).unwrap()
    }

    fn head(&self, tree: &Tree) -> VerifiedCheckpoint {
        let signer = NoteSigner::new(ORIGIN, &self.log).unwrap();
        Checkpoint::new(ORIGIN, tree.size(), tree.root()).unwrap().sign(&signer).unwrap()
    }

    fn body(&self, old: u64, tree: &Tree) -> Vec<u8> {
        let proof = tree.consistency_proof(old, tree.size()).unwrap_or_default();
        AddCheckpoint::new(old, proof, &self.head(tree)).unwrap().to_bytes()
    }

    fn evidence(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.folder().join("evidence")).unwrap();
        let mut names: Vec<String> = files.map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn tree(size: u8, salt: u8) -> Tree {
    (0..size).map(|n| leaf_hash(&[n, salt])).collect()
}

fn status(answer: &Answer) -> u16 {
    match answer {
        Answer::Cosigned(_) => 200,
        Answer::Refused(refuse) => refuse.status(),
        Answer::Forked => 1_409,
        Answer::Broken(_) => 500,
    }
}

#[test]
fn a_cosignature_is_on_disk_before_it_leaves_and_holds_after_a_restart() {
    let bench = Bench::new();
    let (five, eight) = (tree(5, 0), tree(8, 0));
    let witness = bench.open();
    assert_eq!(witness.origins().count(), 3);
    let hash = files::origin_hash(ORIGIN);
    assert_eq!(witness.newest(&hash), None);
    let Answer::Cosigned(line) = witness.add_checkpoint(&bench.body(0, &five), 1_000) else { panic!("refused") };
    let mut head = bench.head(&five);
    assert_eq!(head.add_cosignatures(line.as_bytes(), std::slice::from_ref(witness.key())), Ok(1));
    let shown = witness.newest(&hash).unwrap();
    assert_eq!(shown, head.to_bytes(), "the log's line and ours");
    assert_eq!(std::fs::read(bench.folder().join("heads").join(&hash)).unwrap(), shown);
    drop(witness);

    // The compare-and-swap goes on from what is on disk.
    let witness = bench.open();
    assert_eq!(status(&witness.add_checkpoint(&bench.body(0, &eight), 2_000)), 409);
    assert_eq!(status(&witness.add_checkpoint(&bench.body(5, &eight), 2_000)), 200);
    assert_eq!(status(&witness.add_checkpoint(&bench.body(5, &eight), 2_000)), 409);
    assert_eq!(status(&witness.add_checkpoint(&bench.body(8, &eight), 2_001)), 200, "the same again");
    let behind = witness.add_checkpoint(&bench.body(5, &five), 2_002);
    assert!(matches!(behind, Answer::Refused(Refuse::WrongOldSize { stored: 8 })), "{behind:?}");
    assert!(bench.evidence().is_empty());
}

#[test]
fn strangers_lines_are_not_kept() {
    let bench = Bench::new();
    let witness = bench.open();
    let mut head = bench.head(&tree(5, 0));
    let other = SigningKey::from_bytes(&[9; 32]);
    let key = VerifierKey::new("stranger", KeyKind::Cosigner, &other.verifying_key()).unwrap();
    let line = note::cosign("stranger", &other, 1, head.note().text()).unwrap();
    head.add_cosignatures(format!("{line}\n").as_bytes(), &[key]).unwrap();
    assert_eq!(head.note().signatures().len(), 2);
    let body = AddCheckpoint::new(0, vec![], &head).unwrap().to_bytes();
    assert_eq!(status(&witness.add_checkpoint(&body, 1_000)), 200);
    let shown = String::from_utf8(witness.newest(&files::origin_hash(ORIGIN)).unwrap()).unwrap();
    assert!(shown.contains("— auditor.example ") && !shown.contains("stranger"), "{shown}");
}

#[test]
fn a_fork_is_kept_as_two_notes_and_ends_it_for_that_log() {
    let bench = Bench::new();
    let (eight, fork, nine) = (tree(8, 0), tree(8, 1), tree(9, 0));
    let witness = bench.open();
    assert_eq!(status(&witness.add_checkpoint(&bench.body(0, &eight), 1_000)), 200);
    let shown = witness.newest(&files::origin_hash(ORIGIN)).unwrap();
    assert_eq!(status(&witness.add_checkpoint(&bench.body(8, &fork), 1_001)), 1_409);
    let stem = format!("{}-fork-8", files::origin_hash(ORIGIN));
    assert_eq!(bench.evidence(), [format!("{stem}-first.txt"), format!("{stem}-second.txt")]);
    let read = |name: &str| std::fs::read(bench.folder().join("evidence").join(format!("{stem}-{name}.txt"))).unwrap();
    let key = log_verifier(bench.charter.seats.iter().find(|s| s.log_origin == ORIGIN).unwrap()).unwrap();
    let two = ["first", "second"].map(|n| Checkpoint::verify(&read(n), ORIGIN, &key).unwrap());
    assert!(two[0].contradicts(&two[1]), "the evidence convinces by itself");
    assert_eq!(read("first"), shown);
    // Neither branch goes on, not even after a restart; what strangers send is still told apart.
    drop(witness);
    let witness = bench.open();
    assert_eq!(status(&witness.add_checkpoint(&bench.body(8, &nine), 1_002)), 1_409);
    let forged = String::from_utf8(bench.body(8, &nine)).unwrap();
    let at = forged.rfind("— ").unwrap();
    let stranger = NoteSigner::new(ORIGIN, &SigningKey::from_bytes(&[1; 32])).unwrap().sign("x\n").unwrap();
    let forged = format!("{}{}\n", &forged[..at], stranger.signatures()[0]);
    assert_eq!(status(&witness.add_checkpoint(forged.as_bytes(), 1_003)), 403);
    assert_eq!(bench.evidence().len(), 2);
}

#[test]
fn what_is_not_proven_is_refused_and_kept_within_bounds() {
    let bench = Bench::new();
    let witness = bench.open();
    assert_eq!(status(&witness.add_checkpoint(&bench.body(0, &tree(5, 0)), 1_000)), 200);
    let mut codes = vec![];
    for size in 6..30 {
        codes.push(status(&witness.add_checkpoint(&bench.body(5, &tree(size, 1)), 1_001)));
        codes.push(status(&witness.add_checkpoint(&bench.body(5, &tree(size, 1)), 1_002)));
    }
    assert!(codes.iter().all(|c| *c == 422), "{codes:?}");
    assert_eq!(bench.evidence().len(), 16);
    assert_eq!(status(&witness.add_checkpoint(&bench.body(5, &tree(6, 0)), 1_003)), 200, "the log itself goes on");
    assert_eq!(status(&witness.add_checkpoint(b"old 5\n", 1_003)), 400);
    let elsewhere = String::from_utf8(bench.body(5, &tree(7, 0))).unwrap().replace(ORIGIN, "acme/9/log");
    assert_eq!(status(&witness.add_checkpoint(elsewhere.as_bytes(), 1_003)), 404);
}

#[test]
fn a_disk_that_fails_ends_it_for_good() {
    let bench = Bench::new();
    let witness = bench.open();
    let heads = bench.folder().join("heads");
    assert_eq!(status(&witness.add_checkpoint(&bench.body(0, &tree(5, 0)), 1_000)), 200);
    std::fs::rename(&heads, bench.folder().join("gone")).unwrap();
    assert_eq!(status(&witness.add_checkpoint(&bench.body(5, &tree(6, 0)), 1_001)), 500);
    std::fs::rename(bench.folder().join("gone"), &heads).unwrap();
    // Even what needs no write: nobody knows any more what the disk holds.
    assert_eq!(status(&witness.add_checkpoint(&bench.body(5, &tree(5, 0)), 1_002)), 500);
    drop(witness);
    assert_eq!(status(&bench.open().add_checkpoint(&bench.body(5, &tree(6, 0)), 1_003)), 200);
}

#[test]
fn a_folder_has_one_witness_and_is_not_believed_blindly() {
    let bench = Bench::new();
    assert!(matches!(init(&bench.folder(), "other"), Err(WitnessError::Exists(_))));
    let witness = bench.open();
    assert!(matches!(Witness::open(&bench.folder(), &bench.charter), Err(WitnessError::Running(_))));
    assert_eq!(status(&witness.add_checkpoint(&bench.body(0, &tree(5, 0)), 1_000)), 200);
    drop(witness);
    let path = bench.folder().join("heads").join(files::origin_hash(ORIGIN));
    let good = std::fs::read(&path).unwrap();
    // A head that the log signed and this witness did not: an old copy would look like that too.
    for bad in [bench.head(&tree(3, 0)).to_bytes(), b"x".to_vec(), good[..good.len() - 1].to_vec()] {
        std::fs::write(&path, &bad).unwrap();
        assert!(matches!(Witness::open(&bench.folder(), &bench.charter), Err(WitnessError::Damaged(_))));
        assert_eq!(std::fs::read(&path).unwrap(), bad, "it is left as it is");
    }
    std::fs::write(&path, good).unwrap();
    drop(bench.open());
    let key = bench.folder().join("witness.key");
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&key).unwrap().permissions()) & 0o777, 0o600);
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    assert!(matches!(Witness::open(&bench.folder(), &bench.charter), Err(WitnessError::Mode(_))));
}
