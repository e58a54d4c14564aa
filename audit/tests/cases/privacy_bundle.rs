//! Cases 65, 68 and 79: what a log says of people, the package itself, and proofs that do not fit.

use super::common::forge::{
    Lines, chained, entries_path, expect, follow, four_ways, lines, note_path, put_lines, repack, with_entry,
};
use super::common::{Cluster, Files};
use super::settled;
use escrow_audit::bagit;
use escrow_audit::bundle::{Bundle, BundleError, FILE_MAX, INDEX, Index};
use escrow_audit::checkpoint::Checkpoint;
use escrow_audit::entry::{MAX_ENTRY_LEN, leaf_hash};
use escrow_audit::finding::{Class, Report};
use escrow_audit::note::NoteSigner;
use escrow_audit::tree::{ProofError, Tree};
use escrow_audit::verify::verify;
use escrow_audit::witness::{AddCheckpoint, Refuse, decide};
use escrow_core::label::{Labelled, labels};
use escrow_core::{Digest, Kind, Nonce, TokenKey};
use std::path::PathBuf;

#[test]
fn case_65_ids_and_titles_cannot_be_guessed() {
    // The same id gives one token under one key, so that consents and items find each other; under
    // another organisation's key, or as a thread, it is unrelated.
    let (ours, theirs) = (TokenKey::generate(1), TokenKey::generate(1));
    let id = "004915123";
    assert_eq!(ours.subject(id), ours.subject(id));
    assert_ne!(ours.subject(id), theirs.subject(id));
    assert_ne!(ours.subject(id), ours.thread(id));
    // All ids of nine digits that end like it, hashed as who has no key would: plainly, or under a key of zeros.
    let target = ours.subject(id).to_string();
    let zeros = TokenKey::from_bytes(1, [0; 32].into());
    for n in 0..10_000u32 {
        let guess = format!("00491{n:04}");
        let plain = format!("v1:{}", Digest::of(guess.as_bytes()));
        assert!(plain != target && zeros.subject(&guess).to_string() != target);
    }
    assert_eq!((0..10_000u32).filter(|n| ours.subject(&format!("00491{n:04}")).to_string() == target).count(), 1);
    // A title is committed to under a fresh salt: twice the same title is twice another digest, and none
    // of the likely titles is found without it.
    let commit =
        |salt: &[u8], title: &str| Labelled::new(labels::COMMITMENT).bytes(salt).bytes(title.as_bytes()).hash();
    let (a, b) = (Nonce::random(), Nonce::random());
    let committed = commit(&a.0, "003512345");
    assert_ne!(committed, commit(&b.0, "003512345"));
    let guessed = (0..10_000u32).map(|n| format!("00351{n:04}"));
    assert!(guessed.clone().all(|t| commit(&[], &t) != committed && commit(&[0; 16], &t) != committed));
    assert_eq!(guessed.filter(|t| commit(&a.0, t) == committed).count(), 1);
    // Nothing else of a person gets into the evidence: ids of subjects and threads are tokens only.
    let c = settled();
    for (path, bytes) in c.full() {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(!text.contains("\"sam\"") && !text.contains("\"t\""), "{path}");
    }
}

fn folder(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("cases-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    path
}

#[test]
fn case_68_files_missing_extra_renamed_or_elsewhere() {
    let c = settled();
    let good = c.full();
    // As it is, and packed again: what a new package leaves out or makes anew is then as it was.
    let both = |change: &dyn Fn(&mut Files), class: Class, bare: &[&str], then: Class, anew: &[&str]| {
        let mut files = good.clone();
        change(&mut files);
        expect(&verify(&files, &c.genesis), class, bare);
        expect(&verify(&repack(files), &c.genesis), then, anew);
    };
    let (t, m) = (Class::Tampered, Class::Malformed);
    // Extra.
    let extra = format!("data/attachments/{}", Digest::of(b"x"));
    both(&|f| drop(f.insert(extra.clone(), b"x".to_vec())), t, &["unlisted"], t, &["unreferenced"]);
    both(&|f| drop(f.insert("data/notes.txt".into(), vec![])), t, &["unlisted"], t, &["unreferenced"]);
    both(&|f| drop(f.insert("fetch.txt".into(), vec![])), t, &["unlisted"], Class::Ok, &[]);
    let stray = c.call();
    let path = format!("data/statements/{}.json", stray.envelope_digest());
    both(&|f| drop(f.insert(path.clone(), stray.bytes().to_vec())), t, &["unlisted"], t, &["unreferenced"]);
    // Missing.
    both(&|f| drop(f.remove(&note_path(1))), t, &["missing"], t, &["missing"]);
    both(&|f| drop(f.remove(&entries_path(1))), t, &["missing"], t, &["missing"]);
    both(&|f| drop(f.remove("data/README.txt")), t, &["missing"], t, &["missing"]);
    both(&|f| drop(f.remove(INDEX)), t, &["missing"], m, &["index"]);
    // Renamed: a statement and a view under another's name.
    let statement = c.statements.iter().find(|e| e.kind() == Kind::Decision).unwrap();
    let path = format!("data/statements/{}.json", statement.envelope_digest());
    let other = format!("data/statements/{}.json", Digest::of(b"x"));
    let renamed = |f: &mut Files| {
        let bytes = f.remove(&path).unwrap();
        f.insert(other.clone(), bytes);
    };
    both(&renamed, t, &["missing", "unlisted"], t, &["name"]);
    let swapped = |f: &mut Files| {
        let (a, b) = (f["data/views/1-2.json"].clone(), f["data/views/1-3.json"].clone());
        f.insert("data/views/1-2.json".into(), b);
        f.insert("data/views/1-3.json".into(), a);
    };
    both(&swapped, t, &["digest"], t, &["view"]);
    // Elsewhere.
    for bad in ["data/../../x", "data//x", "data/./x", "data/x\\y", "data/c:", "data/\u{e9}"] {
        both(&|f| drop(f.insert(bad.into(), vec![])), m, &["path"], m, &["path"]);
    }
    for bad in ["/x", "../x", "C:/x", "data\\x"] {
        both(&|f| drop(f.insert(bad.into(), vec![])), m, &["path"], Class::Ok, &[]);
    }
    // No bag, no index, no manifest.
    both(&|f| drop(f.remove(bagit::DECLARATION)), m, &["not-a-bag"], Class::Ok, &[]);
    expect(&verify(&Files::new(), &c.genesis), m, &["not-a-bag"]);
    both(&|f| drop(f.remove(bagit::TAG_MANIFEST)), m, &["manifest"], Class::Ok, &[]);
    both(&|f| drop(f.insert(INDEX.into(), b"{}".to_vec())), t, &["digest"], m, &["index"]);
    // A line of the manifest twice, as a container could hold a member twice.
    let mut files = good.clone();
    let manifest = String::from_utf8(files[bagit::MANIFEST].clone()).unwrap();
    let first = manifest.lines().next().unwrap();
    files.insert(bagit::MANIFEST.into(), format!("{first}\n{manifest}").into_bytes());
    let tags = [bagit::INFO, bagit::DECLARATION, bagit::MANIFEST].map(|t| (t, Digest::of(&files[t])));
    files.insert(bagit::TAG_MANIFEST.into(), bagit::manifest(tags));
    let report = verify(&files, &c.genesis);
    expect(&report, m, &["manifest"]);
    assert_eq!(report.exit_code(), 2);
    let not_done: Vec<_> = report.layers.iter().filter(|l| !l.done).map(|l| l.name).collect();
    assert!(not_done.contains(&"acts") && not_done.contains(&"policy-replay"), "{not_done:?}");

    // The index made to name another export, and the text that follows from it.
    let mut files = good.clone();
    let mut index = Index::decode(&files[INDEX]).unwrap();
    index.export = Nonce::random();
    files.insert(INDEX.into(), index.encode());
    follow(&mut files);
    expect(&verify(&files, &c.genesis), t, &["export"]);
}

/// Whoever removes what logs name makes the evidence incomplete; no node is blamed for what is not there.
#[test]
fn case_68_statements_and_notes_taken_out() {
    let c = settled();
    let good = c.full();
    let without = |path: &str| {
        let mut files = good.clone();
        files.remove(path).unwrap();
        expect(&verify(&files, &c.genesis), Class::Tampered, &["missing"]);
        expect(&verify(&repack(files), &c.genesis), Class::Incomplete, &["unresolved"]);
    };
    for kind in
        [Kind::Enrolment, Kind::Consent, Kind::Deposit, Kind::Decision, Kind::ReleaseCall, Kind::RestrictionAnswer]
    {
        let e = c.statements.iter().find(|e| e.kind() == kind).unwrap();
        without(&format!("data/statements/{}.json", e.envelope_digest()));
    }
    // A verdict takes its context along: nothing else names that.
    for note in c.attachments.iter().rev().take(2) {
        without(&format!("data/attachments/{}", Digest::of(note)));
    }
}

#[test]
fn case_68_links_sockets_and_files_without_end() {
    let c = settled();
    let at = folder("links");
    let good = Bundle { files: c.full() };
    good.write_dir(&at).unwrap();
    assert!(matches!(good.write_dir(&at), Err(BundleError::Io(..))), "overwritten");
    let outside = Bundle { files: [("../x".to_owned(), vec![])].into() };
    assert!(matches!(outside.write_dir(&folder("out")), Err(BundleError::Path(_))));
    let refused = |path: &PathBuf| {
        let error = Bundle::read_dir(&at).unwrap_err();
        assert_eq!(Report::unreadable(&c.genesis, error.to_string()).exit_code(), 2);
        if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }.unwrap();
        error
    };
    let link = at.join("data/statements/link.json");
    for target in ["/etc/hostname", "../README.txt", "/etc", "nowhere", "/dev/zero"] {
        std::os::unix::fs::symlink(target, &link).unwrap();
        let error = Bundle::read_dir(&at).unwrap_err();
        assert!(matches!(&error, BundleError::NotPlain(p) if *p == link), "{error}");
        std::fs::remove_file(&link).unwrap();
    }
    let socket = at.join("data/s");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert!(matches!(refused(&socket), BundleError::NotPlain(_)));
    // A gibibyte of nothing, which takes no room on this disk and must take none in memory.
    let long = at.join("data/statements/long.json");
    std::fs::File::create(&long).unwrap().set_len(1 << 30).unwrap();
    const { assert!(FILE_MAX < 1 << 30) };
    assert!(matches!(refused(&long), BundleError::TooLarge(_)));
    let mut deep = at.join("data");
    (0..64).for_each(|_| deep.push("d"));
    std::fs::create_dir_all(&deep).unwrap();
    assert!(matches!(refused(&at.join("data/d")), BundleError::Path(_)));
    assert!(Bundle::read_dir(&at).unwrap() == good);
    std::fs::remove_dir_all(&at).unwrap();
}

#[test]
fn case_68_a_line_longer_than_any_entry() {
    let c = settled();
    let good = c.full();
    let mut changed = lines(&good, 0);
    let long = [b"{\"v\":1,\"log\":\"".to_vec(), vec![b'a'; 1 << 20], b"\"}".to_vec()].concat();
    assert!(long.len() > MAX_ENTRY_LEN);
    changed.push(long);
    let ways = four_ways(&c, &good, 0, &changed);
    expect(&verify(&ways.bare, &c.genesis), Class::Tampered, &["digest"]);
    // No log entry can be so long and nobody can export one, so the line is not even read to its end.
    for files in [&ways.anew, &ways.note_too, &ways.signed] {
        expect(&verify(files, &c.genesis), Class::Malformed, &["line"]);
    }
    // No newline at the end, an empty line, none at all.
    let bare: [fn(&mut Vec<u8>); 3] = [|b| b.truncate(b.len() - 1), |b| b.push(b'\n'), |b| b.clear()];
    for bend in bare {
        let mut files = good.clone();
        bend(files.get_mut(&entries_path(0)).unwrap());
        expect(&verify(&files, &c.genesis), Class::Tampered, &["digest"]);
        assert_eq!(verify(&repack(files), &c.genesis).verdict, Class::Tampered);
    }
}

/// A witness is not led astray by a proof that a log computed wrongly once and keeps sending.
#[test]
fn case_79_a_wrong_consistency_proof_is_refused_until_a_right_one_comes() {
    let secret = ed25519_dalek::SigningKey::from_bytes(&[1; 32]);
    let signer = NoteSigner::new("log.example/1", &secret).unwrap();
    let tree: Tree = (0..21u8).map(|i| leaf_hash(&[i])).collect();
    let head = |size: u64| {
        let root = tree.root_at(size).unwrap();
        Checkpoint::new("log.example/1", size, root).unwrap().sign(&signer).unwrap()
    };
    let stored = (13, tree.root_at(13).unwrap());
    let ask = |proof: Vec<[u8; 32]>| {
        let request = AddCheckpoint::new(13, proof, &head(21)).unwrap();
        decide(&request, Some(stored), signer.verifier())
    };
    let right = tree.consistency_proof(13, 21).unwrap();
    // Made for the size before, for another old size, or from a stale cache of the tree.
    for wrong in [tree.consistency_proof(13, 20).unwrap(), tree.consistency_proof(12, 21).unwrap(), vec![]] {
        assert_ne!(wrong, right);
        let refuse = ask(wrong.clone()).unwrap_err();
        assert!(matches!(refuse, Refuse::Inconsistent(ProofError::WrongLength | ProofError::WrongRoot)), "{refuse}");
        // Nobody is accused, and asking again changes nothing.
        assert_eq!((refuse.status(), refuse.body()), (422, None));
        assert_eq!(ask(wrong), Err(refuse));
    }
    assert_eq!(ask(right).unwrap().size(), 21);
    // The bundle needs no such proof: with all entries a head lies on the tree, or does not.
    let c: Cluster = settled();
    let again: Lines = chained(&with_entry(&lines(&c.full(), 0), 3, |_| {}));
    let mut files = c.full();
    put_lines(&mut files, 0, &again);
    follow(&mut files);
    expect(&verify(&files, &c.genesis), Class::Ok, &[]);
}
