//! Help texts as transcripts; `TRYCMD=overwrite` rewrites them.

#![allow(clippy::unwrap_used)] // a test that panics has failed

#[test]
fn help() {
    trycmd::TestCases::new().case("tests/cmd/*.trycmd");
}

#[test]
fn every_command_has_a_transcript_of_its_help() {
    let folder = std::fs::read_dir("tests/cmd").unwrap().map(|f| f.unwrap().path());
    let all: String = folder
        .filter(|p| p.extension().is_some_and(|e| e == "trycmd"))
        .map(|p| std::fs::read_to_string(p).unwrap())
        .collect();
    let root = escrow_cli::help::command();
    for (path, _) in escrow_cli::help::leaves(&root) {
        let command = format!("$ escrow {} -", path.join(" "));
        let asked = all.lines().any(|l| l.strip_prefix(&command).is_some_and(|flag| flag == "h" || flag == "-help"));
        assert!(asked, "no transcript of: {command}h");
    }
}
