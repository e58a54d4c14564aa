//! `escrow release`: collecting replies that only the recipient can open.

use super::request::find;
use crate::failure::{Exit, Failure};
use crate::help::examples;
use crate::output::{Shown, progress};
use crate::session::{Global, Session};
use clap::{Args, Subcommand};
use escrow_client::{Arrived, Case, Client, ReleaseError, Replies, RepliesError, Wanted};
use serde_json::json;
use std::path::PathBuf;

/// What to do with releases.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Gather fresh permits, call for the release, and keep the sealed replies; again to go on
    #[command(
        before_help = examples![
        "escrow release collect 3f1c90aa --out replies.json",
        "escrow release collect 3f1c90aa --out replies.json --all",
    ]
    )]
    Collect(Collect),
}

/// Arguments of `release collect`.
#[derive(Clone, Debug, Args)]
pub struct Collect {
    /// The request's hash, or the beginning of it
    pub request: String,
    /// Where to keep the replies, sealed to the recipient; if it holds some of this request, they stay
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Ask every node that permits, even when enough have replied
    #[arg(long)]
    pub all: bool,
}

/// Runs `release`.
///
/// # Errors
/// [`Failure`].
pub async fn run(global: &Global, command: &Command) -> Result<Shown, Failure> {
    let session = Session::open(global)?;
    let client = session.client().await?;
    match command {
        Command::Collect(a) => collect(&client, a).await,
    }
}

/// `release collect`.
///
/// # Errors
/// [`Failure`].
pub async fn collect(client: &Client, a: &Collect) -> Result<Shown, Failure> {
    collected(client, &find(client, &a.request).await?, a).await
}

/// Collects for a request or a self-recovery.
///
/// # Errors
/// [`Failure`].
pub async fn collected(client: &Client, asked: impl Into<Case>, a: &Collect) -> Result<Shown, Failure> {
    let request = asked.into();
    let wanted = if a.all { Wanted::All } else { Wanted::Enough };
    let digest = request.digest;
    let kept = Replies::load_if_there(&a.out).map_err(|e| occupied(e, a))?;
    let bar = progress("replies");
    let mut have = kept.as_ref().map_or(0, |k| k.replies.len());
    let mut arrived = |replies: &Replies, n: Arrived| {
        replies.save(&a.out)?;
        have = replies.replies.len();
        bar(n.have as u64, n.want as u64);
        Ok(())
    };
    let result = client.collect_on(request, wanted, kept, &mut arrived).await;
    bar(1, 1);
    let collected = result.map_err(|e| match e {
        ReleaseError::Replies(e) => occupied(e, a),
        e => unfinished(e.into(), a, have),
    })?;
    collected.replies.save(&a.out)?;
    let good = collected.outcomes.count();
    let mut shown = Shown::new("escrow.release.collect.v1").text(format!(
        "{good} replies for request {} are in {}. They are sealed to the recipient; nobody else can read them.",
        digest.short(),
        a.out.display()
    ));
    for (seat, fault) in &collected.culprits {
        shown = shown.text(format!(
            "node {seat} is at fault: {fault}. Its signed reply is kept as proof; the release does not need it."
        ));
    }
    let others: Vec<_> = collected.outcomes.errors().filter(|(s, _)| !collected.culprits.contains_key(s)).collect();
    for (seat, e) in &others {
        shown = shown.text(format!("node {seat}: {e}"));
    }
    let failures = others.iter().map(|(s, e)| json!({"node": s, "rule": e.code(), "detail": e.to_string()}));
    let culprits = collected.culprits.iter().map(|(s, f)| json!({"node": s, "fault": f.to_string()}));
    Ok(shown
        .text(format!(
            "Next, as the recipient: escrow archive open {} --archive DIR --out messages.jsonl",
            a.out.display()
        ))
        .with("request_hash", digest.to_string())
        .with("replies", good)
        .with("file", a.out.display().to_string())
        .with("failures", failures.collect::<Vec<_>>())
        .with("culprits", culprits.collect::<Vec<_>>()))
}

/// The file is somebody else's, or nothing can be written there: nothing in it was changed.
fn occupied(e: RepliesError, a: &Collect) -> Failure {
    let other = !matches!(e, RepliesError::File(_));
    let failure = Failure::from(e);
    if other {
        failure.next(format!("name another file with --out, or move {} away", a.out.display()))
    } else {
        failure
    }
}

/// What is there so far is worth keeping: the next run goes on from it.
fn unfinished(failure: Failure, a: &Collect, have: usize) -> Failure {
    let later = matches!(failure.exit, Exit::Pending | Exit::BelowThreshold);
    if !later || have == 0 {
        return failure;
    }
    let before = format!("{}; ", failure.next_step());
    failure.next(format!("{before}{have} replies are kept in {}: run the same command again", a.out.display()))
}
