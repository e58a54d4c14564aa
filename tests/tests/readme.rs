//! The README's tour, run as a newcomer would: the commands come from the page, not from here.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)] // a test that panics has failed

use std::path::Path;
use std::process::Command;

fn tour(readme: &str) -> &str {
    let after = readme.split("<!-- tour -->").nth(1).expect("the README marks its tour");
    after.split("```sh\n").nth(1).and_then(|s| s.split("```").next()).expect("a fenced block follows the mark")
}

#[test]
fn the_tour_of_the_readme_works_as_printed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    escrow_tests::build_programs();
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    // The page says target/debug below the project; here the commands run in a folder of their own.
    let programs = escrow_tests::programs();
    std::fs::create_dir(dir.path().join("target")).unwrap();
    std::os::unix::fs::symlink(programs, dir.path().join("target/debug")).unwrap();
    let script = format!("set -eu\ntrap 'pkill -f \"$PWD/escrow-tour\" || true' EXIT\n{}", tour(&readme));
    let out = Command::new("bash").arg("-c").arg(&script).current_dir(dir.path()).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "the tour failed:\n{stdout}\n{stderr}");
    for said in
        ["Enough nodes permit", "12:15 please, I have a call before that", "5 of 5 nodes are READY", "MAT-2026-0018"]
    {
        assert!(stdout.contains(said), "the tour never said {said:?}:\n{stdout}\n{stderr}");
    }
    assert!(!stdout.contains("NOT OK"), "{stdout}");
}
