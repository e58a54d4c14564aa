//! The `escrow` command for officers, eDiscovery staff, devices and operators.
//!
//! Thin over `escrow-client`: this crate reads arguments and contexts, asks people to confirm,
//! prints, and turns every failure into one of the stable exit codes ([`failure::Exit`]).
//! `escrow demo` uses the same functions as the commands themselves.
//!
//! Secrets are never taken from arguments or environment variables; keys are files that only
//! their owner may read.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))] // a test that panics has failed

pub mod args;
pub mod commands;
pub mod confirm;
pub mod context;
pub mod demo;
pub mod draft;
pub mod explain;
pub mod failure;
mod failures;
pub mod hashwords;
pub mod help;
pub mod machine;
pub mod output;
pub mod passphrase;
pub mod quorum;
pub mod scope;
pub mod session;
pub mod titles;
pub mod when;

use args::Cli;
use clap::FromArgMatches as _;
use failure::{Exit, Failure};
use output::{Format, Shown, note};
use std::path::Path;
use std::process::ExitCode;

/// Runs the command line; the only place where output and exit code are decided.
pub fn run() -> ExitCode {
    let cli = match help::command().try_get_matches().and_then(|m| Cli::from_arg_matches(&m)) {
        Ok(cli) => cli,
        Err(e) => {
            let exit = if e.use_stderr() { Exit::Usage } else { Exit::Ok };
            let _ = e.print();
            return exit.into();
        }
    };
    init_tracing();
    let (format, receipts) = (cli.global.output, cli.global.receipts.clone());
    let result = runtime().and_then(|rt| {
        rt.block_on(async {
            tokio::select! {
                shown = commands::run(&cli) => shown,
                _ = tokio::signal::ctrl_c() => Err(Failure::new(Exit::Interrupted, "interrupted", "interrupted; what was acknowledged stays")),
            }
        })
    });
    finish(result, format, receipts.as_deref())
}

fn finish(result: Result<Shown, Failure>, format: Format, receipts: Option<&Path>) -> ExitCode {
    let result = result.map(|shown| match receipts {
        Some(dir) => shown.write_receipts(dir),
        None => shown,
    });
    match result {
        Ok(shown) => match shown.print(format) {
            Ok(()) => shown.exit.into(),
            Err(e) => {
                note(&format!("error: cannot print: {e}"));
                Exit::Unexpected.into()
            }
        },
        Err(failure) => {
            let text = match format {
                Format::Table => None,
                Format::Json => serde_json::to_string_pretty(&failure.json()).ok(),
                Format::Jsonl => Some(failure.json().to_string()),
            };
            if let Some(text) = text {
                use std::io::Write as _;
                let _ = writeln!(std::io::stdout().lock(), "{text}");
            }
            note(&failure.text());
            failure.exit.into()
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::unexpected(format!("cannot start: {e}")))
}

/// Logs to standard error when `ESCROW_LOG` asks for it; no log line holds a token or a key.
fn init_tracing() {
    if let Ok(filter) = tracing_subscriber::EnvFilter::try_from_env("ESCROW_LOG") {
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
    }
}
