//! The programs under test, built once for each test binary.
//!
//! Cargo builds the programs of the package under test only, and whole-cluster tests run those of
//! other packages. `make test` has built them already; then this only asks cargo whether they are
//! fresh.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let exe = std::env::current_exe().expect("the test's own path");
    let beside = exe.parent().expect("a folder");
    // A program run by hand has the others beside it; a test is <target>/<profile>/deps/<test>.
    if beside.file_name().is_none_or(|name| name != "deps") {
        return beside.to_path_buf();
    }
    let folder = beside.parent().expect("a folder of programs").to_path_buf();
    let profile = match folder.file_name().and_then(|n| n.to_str()) {
        None | Some("debug") => "dev".to_owned(),
        Some(other) => other.to_owned(),
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    // `--examples` (there are none) makes cargo pick the same features as `--all-targets` does, so
    // that nothing is compiled a second time after `make build`.
    let status = Command::new(env!("CARGO"))
        .current_dir(root)
        .args(["build", "--quiet", "--offline", "--workspace", "--bins", "--examples", "--profile", &profile])
        .arg("--target-dir")
        .arg(folder.parent().expect("the target folder"))
        .stdin(Stdio::null())
        .status()
        .expect("cargo runs");
    assert!(status.success(), "the programs under test do not build");
    folder
});

/// Builds `escrow`, `escrow-node` and `escrow-liar`, once.
pub fn build_programs() {
    let _folder = programs();
}

/// The folder that they are in.
pub fn programs() -> &'static Path {
    &FOLDER
}

/// One program.
pub fn program(name: &str) -> PathBuf {
    let path = programs().join(name);
    assert!(path.exists(), "{} was not built", path.display());
    path
}
