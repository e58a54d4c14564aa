//! The `escrow` command; everything is in the library, because the demo uses it too.

fn main() -> std::process::ExitCode {
    escrow_cli::run()
}
