//! docs/tutorial.md, run as an officer would: the commands come from the page, not from here.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)] // a test that panics has failed

use std::path::Path;
use std::process::Command;

/// All fenced shell blocks of the page, one after the other.
fn commands(page: &str) -> String {
    page.split("```sh\n").skip(1).filter_map(|block| block.split("```").next()).collect()
}

#[test]
fn the_tutorial_leads_to_a_production_that_loads() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    escrow_tests::build_programs();
    let page = std::fs::read_to_string(root.join("docs/tutorial.md")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    // The page says target/debug below the project; here the commands run in a folder of their own.
    std::fs::create_dir(dir.path().join("target")).unwrap();
    std::os::unix::fs::symlink(escrow_tests::programs(), dir.path().join("target/debug")).unwrap();
    let script = format!("set -eu\ntrap 'pkill -f \"$PWD/practice\" || true' EXIT\n{}", commands(&page));
    let out = Command::new("bash").arg("-c").arg(&script).current_dir(dir.path()).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "the tutorial failed:\n{stdout}\n{stderr}");
    for said in [
        "Enough nodes permit",
        "PASSED: 0 faults, 0 warnings",
        "12:15 please, I have a call before that",
        "MAT-2026-0042",
    ] {
        assert!(stdout.contains(said), "the tutorial never said {said:?}:\n{stdout}\n{stderr}");
    }
    // Asked for one day; the next two are context, and say so.
    let page = std::fs::read_to_string(dir.path().join("practice/pages/data/html/00001.html")).unwrap();
    assert!(page.contains("Same place?") && page.matches("<strong>context</strong>").count() == 1, "{page}");
    assert!(dir.path().join("practice/lunch-production/data/custody/custody.html").exists());
    assert!(!dir.path().join("practice/again.replies").exists(), "a closed matter releases nothing");
    evidence_is_judged_before_anything_is_written(&dir.path().join("practice"));
}

/// Without a node: evidence of another release, and evidence that somebody touched.
fn evidence_is_judged_before_anything_is_written(practice: &Path) {
    let export = |evidence: &str| {
        let out = Command::new(escrow_tests::programs().join("escrow"))
            .env("ESCROW_CONFIG_DIR", practice.join("config"))
            .args(["--context", "erik", "export", "rsmf"])
            .arg(practice.join("lunch.replies"))
            .arg("--archive")
            .arg(practice.join("archive"))
            .arg("--evidence")
            .arg(practice.join(evidence))
            .arg("--out")
            .arg(practice.join("judged"))
            .output()
            .unwrap();
        assert!(!practice.join("judged").exists());
        (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    let (exit, said) = export("bundle");
    assert!(exit == Some(2) && said.contains("says nothing of a release"), "{exit:?} {said}");
    let entries = practice.join("lunch-evidence/data/logs/1/1/entries.jsonl");
    let mut bytes = std::fs::read(&entries).unwrap();
    let middle = bytes.len() / 2;
    *bytes.get_mut(middle).unwrap() ^= 1;
    std::fs::write(&entries, bytes).unwrap();
    let (exit, said) = export("lunch-evidence");
    assert!(exit == Some(6) && said.contains("does not verify: TAMPERED"), "{exit:?} {said}");
}
