//! Help texts as transcripts; `TRYCMD=overwrite` rewrites them.

#[test]
fn help() {
    trycmd::TestCases::new().case("tests/cmd/*.trycmd");
}
