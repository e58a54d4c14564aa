//! `escrow audit`: looking at a node's log, and exporting evidence.

use super::watch;
use crate::failure::{Exit, Failure};
use crate::help::examples;
use crate::output::Shown;
use crate::quorum::by_prefix;
use crate::session::{Global, Session};
use clap::{Args, Subcommand};
use escrow_audit::bundle::Variant;
use escrow_audit::entry::Entry;
use escrow_audit::report::CUSTODY_HTML;
use escrow_audit::seat::log_number;
use escrow_client::Client;
use escrow_client::export::Scope;
use escrow_core::query::{ENTRIES_PER_ANSWER, EntryRange, Question};
use escrow_core::wire::EntriesAnswer;
use escrow_core::{Digest, MatterId, SeatIndex, Timestamp};
use serde_json::json;
use std::path::PathBuf;

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show entries of one node's log, as that node tells them
    #[command(before_help = examples![
        "escrow audit show --node 2",
        "escrow audit show --node 2 --from 100 --count 50 --output jsonl",
    ])]
    Show(Show),
    /// Export an evidence bundle that anybody can verify offline
    #[command(before_help = examples![
        "escrow audit export --out bundle --matter MAT-2026-0017",
        "escrow audit export --out bundle --no-content",
    ])]
    Export(Export),
    /// Follow the logs of all nodes; alarm on fork, rollback and silence
    Watch(watch::Arguments),
}

/// Arguments of `audit show`.
#[derive(Clone, Debug, Args)]
pub struct Show {
    /// The node
    #[arg(long)]
    pub node: SeatIndex,
    /// Which of the node's logs, from 1; without, the one that the charter gives it now
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub log: Option<u32>,
    /// First position
    #[arg(long, default_value_t = 0)]
    pub from: u64,
    /// How many entries
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=ENTRIES_PER_ANSWER))]
    pub count: u64,
}

/// Arguments of `audit export`.
#[derive(Clone, Debug, Args)]
pub struct Export {
    /// Folder to make
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Name the requests of this matter in the index
    #[arg(long, group = "scope")]
    pub matter: Option<MatterId>,
    /// Name these requests in the index
    #[arg(long, value_name = "HASH", group = "scope")]
    pub request: Vec<String>,
    /// Leave out whatever tells who asked for what; shows only that all is in order in form
    #[arg(long, conflicts_with = "scope")]
    pub no_content: bool,
}

/// Runs `audit`.
///
/// # Errors
/// [`Failure`].
pub async fn run(global: &Global, command: &Command) -> Result<Shown, Failure> {
    // Whoever only watches needs no key.
    let client = async || Session::open(global)?.client().await;
    match command {
        Command::Show(a) => show(&client().await?, a).await,
        Command::Export(a) => export(&client().await?, a).await,
        Command::Watch(a) => watch::run(global, a).await,
    }
}

async fn show(client: &Client, a: &Show) -> Result<Shown, Failure> {
    let node = client.node(a.node).ok_or_else(|| Failure::usage(format!("the charter has no node {}", a.node)))?;
    let charters = client.charters();
    let current = charters.seat(a.node).and_then(|s| log_number(charters.versions(), a.node, &s.log_origin));
    let log = a.log.or(current).unwrap_or(1);
    let answer: EntriesAnswer =
        client.ask(node, Question::Entries(EntryRange { log, from: a.from, count: a.count })).await?;
    let mut rows = Vec::new();
    let mut list = Vec::new();
    for blob in &answer.entries {
        let e = Entry::decode(&blob.0)
            .map_err(|e| Failure::new(Exit::Verification, "protocol", format!("node {}: {e}", a.node)))?;
        let at = Timestamp::from_millis(i64::try_from(e.ts).unwrap_or(i64::MAX)).to_string();
        let statement = e.statement.as_ref().map(|s| Digest(s.stmt));
        let body = serde_json::to_string(&e.body).unwrap_or_default();
        list.push(json!({"seq": e.seq, "at": at, "type": e.kind, "statement": statement, "body": e.body}));
        rows.push(vec![
            e.seq.to_string(),
            at,
            e.kind,
            statement.map(|d| d.short()).unwrap_or_default(),
            shorten(&body, 60),
        ]);
    }
    Ok(Shown::new("escrow.audit.show.v1")
        .table(&["entry", "at", "type", "statement", "body"], rows)
        .text(format!(
            "The log has {} entries. This is what the node says; `audit export` and `verify` prove it.",
            answer.size
        ))
        .with("size", answer.size)
        .list_of("entries")
        .with("entries", list))
}

fn shorten(text: &str, max: usize) -> String {
    if text.chars().count() <= max { text.to_owned() } else { text.chars().take(max).chain("...".chars()).collect() }
}

/// `audit export`.
///
/// # Errors
/// [`Failure`].
pub async fn export(client: &Client, a: &Export) -> Result<Shown, Failure> {
    if a.out.exists() {
        return Err(Failure::usage(format!("{} exists; evidence is never overwritten", a.out.display())));
    }
    let variant = if a.no_content { Variant::NoContent } else { Variant::Full };
    let exported = client.export_as(&scope(client, a).await?, variant).await?;
    exported.bundle.write_dir(&a.out).map_err(|e| Failure::unexpected(e.to_string()))?;
    // What was written is a read of everything in it: it belongs into the logs, with who has it.
    let recorded = client.record_export(&exported.written).await;
    let rows = client.nodes().iter().map(|n| {
        let log = match exported.logs.0.get(&n.seat()) {
            Some(Ok(size)) => format!("{size} entries"),
            Some(Err(e)) => e.to_string(),
            None => "not asked".into(),
        };
        let views = match exported.views.0.get(&n.seat()) {
            Some(Ok(views)) => format!("{views} views"),
            Some(Err(e)) => e.to_string(),
            None => "not asked".into(),
        };
        let on_record = match recorded.0.get(&n.seat()) {
            Some(Ok(seq)) => format!("entry {seq}"),
            Some(Err(e)) => e.to_string(),
            None => "not asked".into(),
        };
        vec![n.seat().to_string(), n.name().to_string(), log, views, on_record]
    });
    let report = a.out.join(CUSTODY_HTML);
    let mut shown = Shown::new("escrow.audit.export.v1")
        .table(&["node", "name", "log", "views of other logs", "export on record"], rows.collect())
        .text(format!("The bundle is in {}, digest {}.", a.out.display(), exported.written.bundle));
    if variant == Variant::Full {
        shown = shown.text(format!("To read and print: {}", report.display()));
    }
    shown = shown.text("To verify it, anywhere and offline:").text(format!(
        "  escrow verify {} --charter-digest {}",
        a.out.display(),
        client.charters().genesis()
    ));
    for what in &exported.left_out {
        shown = shown.text(format!("left out: {what}"));
    }
    let on_record = recorded.count() >= client.t();
    if !on_record {
        let (have, need) = (recorded.count(), client.t());
        shown = shown.text(format!(
            "Only {have} nodes have this export on record, {need} should; export again when more can be reached."
        ));
    }
    let complete = exported.logs.errors().next().is_none() && exported.views.errors().next().is_none() && on_record;
    let records = recorded
        .0
        .iter()
        .map(|(s, r)| json!({"node": s, "entry": r.as_ref().ok(), "error": r.as_ref().err().map(ToString::to_string)}));
    let logs = exported.logs.0.iter().map(
        |(s, r)| json!({"node": s, "entries": r.as_ref().ok(), "error": r.as_ref().err().map(ToString::to_string)}),
    );
    let views =
        exported.views.0.iter().map(
            |(s, r)| json!({"node": s, "views": r.as_ref().ok(), "error": r.as_ref().err().map(ToString::to_string)}),
        );
    Ok(shown
        .with("bundle", a.out.display().to_string())
        .with("charter_digest", client.charters().genesis().to_string())
        .with("bundle_digest", exported.written.bundle.to_string())
        .with("on_record", records.collect::<Vec<_>>())
        .with("files", exported.bundle.files.len())
        .with("logs", logs.collect::<Vec<_>>())
        .with("views", views.collect::<Vec<_>>())
        .with("left_out", exported.left_out.clone())
        .exit(if complete { Exit::Ok } else { Exit::Partial }))
}

async fn scope(client: &Client, a: &Export) -> Result<Scope, Failure> {
    if let Some(matter) = &a.matter {
        return Ok(Scope::Matter(matter.clone()));
    }
    if a.request.is_empty() {
        return Ok(Scope::Everything);
    }
    let known = super::request::known(client).await?;
    let recoveries = super::recover::known(client).await?;
    let all: Vec<Digest> = known.iter().map(|r| r.digest).chain(recoveries.iter().map(|r| r.digest)).collect();
    let one = |typed: &String| by_prefix("request", typed, all.iter().map(|d| (*d, d))).copied();
    Ok(Scope::Requests(a.request.iter().map(one).collect::<Result<_, _>>()?))
}
