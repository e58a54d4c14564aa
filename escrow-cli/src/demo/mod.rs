//! `escrow demo`: the whole story on one machine, with five real nodes.
//!
//! Each chapter does what people would do, through the client SDK and the nodes' own programs;
//! each checked step prints what really happened. The second half is about what must not work.

mod cast;
mod cluster;
mod main_job;
mod production;
mod refusals;
mod report;
mod source;
mod story;

pub use cast::{Cast, OPERATORS, ORG, POLICY_ID};
pub use cluster::{Cluster, ClusterError, Member, Operator};
pub use source::{Contents, SAMPLE, Slice, Source};
pub use story::{DemoError, Step};

use crate::failure::Failure;
use crate::help::examples;
use crate::output::Shown;
use clap::Args;
use std::path::PathBuf;
use std::time::Instant;
use story::{During as _, Teller};

/// Options of `escrow demo`.
#[derive(Debug, Clone, Args)]
#[command(before_help = examples![
    "escrow demo",
    "escrow demo --keep --dir escrow-tour",
    "escrow demo --archive messages.jsonl.gz --report report.json",
])]
pub struct DemoArgs {
    /// Message JSONL, plain or gzip: thread, message_id, sender, sent_at, text. Without it, a sample.
    #[arg(long)]
    pub archive: Option<PathBuf>,
    /// Write what happened as JSON.
    #[arg(long)]
    pub report: Option<PathBuf>,
    /// Folder for everything the demo makes; must not exist yet. Without it, one in the temporary folder.
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// Leave the cluster running at the end, and print the commands to try next.
    #[arg(long)]
    pub keep: bool,
}

/// Runs the demo; the exit code is 1 if a step did not come out as it should.
///
/// # Errors
/// [`Failure`] if something failed that the story needs.
pub async fn run(args: &DemoArgs, quiet: bool) -> Result<Shown, Failure> {
    story(args, quiet).await.map_err(|e| Failure::unexpected(e.to_string()))
}

async fn story(args: &DemoArgs, quiet: bool) -> Result<Shown, DemoError> {
    let started = Instant::now();
    let dir = folder(args)?;
    let mut teller = Teller::new(quiet);
    teller.chapter("An escrow of five nodes, run by five parties. Any three together can release; two can do nothing.");
    let mut job = main_job::MainJob::new(dir, args, &mut teller).await?;
    job.deposit_everything(&mut teller).await?;
    job.ask_and_approve(&mut teller).await?;
    job.release_and_open(&mut teller).await?;
    job.export_and_verify(&mut teller).await?;
    job.produce(&mut teller)?;
    refusals::all(&mut job, &mut teller).await?;
    report::finish(job, args, &teller, started.elapsed())
}

fn folder(args: &DemoArgs) -> Result<PathBuf, DemoError> {
    match &args.dir {
        None => Ok(tempfile::Builder::new().prefix("escrow-demo-").tempdir().during("making a folder")?.keep()),
        Some(dir) => {
            std::fs::create_dir(dir).during("making the folder named by --dir (it must not exist yet)")?;
            dir.canonicalize().during("making the folder named by --dir")
        }
    }
}
