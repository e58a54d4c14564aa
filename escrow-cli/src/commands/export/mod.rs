//! `escrow export`: productions of what was released, as review platforms and people read them.

pub mod verify;

use crate::failure::{Exit, Failure};
use crate::help::examples;
use crate::output::{Shown, progress};
use crate::session::{Global, Session, recipient_key};
use crate::when;
use clap::{Args, Subcommand};
use escrow_client::production::{Evidence, Format, Order, Produced, Selection, Source, produce};
use escrow_client::{Replies, Zone};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What to make of a release.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// RSMF 2.0.0 for review platforms: a file for each conversation and day
    #[command(
        before_help = examples![
        "escrow export rsmf replies.json --archive archive --evidence bundle --out production",
        "escrow export rsmf replies.json --archive archive --evidence bundle \\\n      --out production --time-zone Europe/Berlin --context-messages 10",
    ]
    )]
    Rsmf(Export),
    /// A Concordance load file with natives, texts and attachments
    #[command(
        before_help = examples![
        "escrow export dat replies.json --archive archive --evidence bundle --out production-dat",
        "escrow export dat replies.json --archive archive --evidence bundle \\\n      --out production-dat --from 2026-03-02 --to 2026-03-02",
    ]
    )]
    Dat(Export),
    /// The exact lines that were sealed, a file for each thread
    #[command(
        before_help = examples![
        "escrow export jsonl replies.json --archive archive --evidence bundle --out lines",
        "escrow export jsonl replies.json --archive archive --evidence bundle --out lines \\\n      --from 2026-03-02 --to 2026-03-02",
    ]
    )]
    Jsonl(Export),
    /// One printable, searchable page for each thread
    #[command(
        before_help = examples![
        "escrow export html replies.json --archive archive --evidence bundle --out pages",
        "escrow export html replies.json --archive archive --evidence bundle --out pages \\\n      --time-zone America/New_York",
    ]
    )]
    Html(Export),
    /// Check a production as a review platform would, and more; needs no network
    Verify(verify::VerifyArgs),
}

/// Arguments of all exports.
#[derive(Clone, Debug, Args)]
pub struct Export {
    /// The file of `release collect`
    pub replies: PathBuf,
    /// The archive's folder, or a copy of it
    #[arg(long, value_name = "DIR")]
    pub archive: PathBuf,
    /// The evidence bundle of `audit export`, made after the release
    #[arg(long, value_name = "DIR")]
    pub evidence: PathBuf,
    /// Folder to make
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// First day in the zone, or instant [default: what the request asked for]
    #[arg(long, value_name = "DAY")]
    pub from: Option<String>,
    /// Last day in the zone, or the first instant after [default: what the request asked for]
    #[arg(long, value_name = "DAY")]
    pub to: Option<String>,
    /// Zone in which days begin and times are written [default: the request's]
    #[arg(long, value_name = "ZONE")]
    pub time_zone: Option<Zone>,
    /// So many messages of each thread before and after as well, as far as they were released [default: the request's]
    #[arg(long, value_name = "N")]
    pub context_messages: Option<usize>,
    /// So many hours before and after as well, as far as they were released [default: the request's]
    #[arg(long, value_name = "H")]
    pub context_hours: Option<u32>,
}

/// Runs `export`.
///
/// # Errors
/// [`Failure`].
pub fn run(global: &Global, command: &Command) -> Result<Shown, Failure> {
    let (format, a) = match command {
        Command::Rsmf(a) => (Format::Rsmf, a),
        Command::Dat(a) => (Format::Dat, a),
        Command::Jsonl(a) => (Format::Jsonl, a),
        Command::Html(a) => (Format::Html, a),
        Command::Verify(a) => return Ok(verify::run(a)),
    };
    export(&Session::open(global)?, format, a)
}

/// `export rsmf|dat|jsonl|html`.
///
/// # Errors
/// [`Failure`]; then there is no folder.
pub fn export(session: &Session, format: Format, a: &Export) -> Result<Shown, Failure> {
    if !a.archive.is_dir() {
        return Err(Failure::usage(format!("there is no folder {}", a.archive.display()))
            .next("name the folder that `archive seal` made, or a copy of it, with --archive"));
    }
    let identity = session.identity()?;
    let key = recipient_key(&identity)?;
    let tokens = session.context.token_key.is_some().then(|| session.token_key()).transpose()?;
    let directory = session.directory()?;
    let replies = Replies::load(&a.replies)?;
    let source = Source::open(&replies, &session.charters, key, &a.archive, tokens.as_ref(), &directory)?;
    let evidence = Evidence::read(&a.evidence, &session.charters.genesis(), &source.about().release)?;
    let asked = &source.about().selection;
    let zone = a.time_zone.clone().unwrap_or_else(|| asked.zone.clone());
    let selection = Selection {
        from: a.from.as_deref().map_or(Ok(asked.from), |t| when::from_in(t, &zone))?,
        to: a.to.as_deref().map_or(Ok(asked.to), |t| when::to_in(t, &zone))?,
        context_messages: a.context_messages.unwrap_or(asked.context_messages),
        context_hours: a.context_hours.unwrap_or(asked.context_hours),
        zone,
    };
    if selection.from >= selection.to {
        return Err(Failure::usage("--from is not before --to; nothing can lie between them"));
    }
    let bar = progress("reading segments");
    let order = Order { source: &source, selection: &selection, evidence: &evidence, format, out: &a.out };
    let produced = produce(&order, &*bar)?;
    Ok(show(a, format, &evidence, &produced))
}

fn show(a: &Export, format: Format, evidence: &Evidence, p: &Produced) -> Shown {
    let mut by_rule: BTreeMap<&str, u64> = BTreeMap::new();
    for problem in &p.problems {
        *by_rule.entry(problem.rule).or_default() += 1;
    }
    let rows = by_rule.iter().map(|(rule, n)| vec![(*rule).to_owned(), n.to_string()]).collect::<Vec<_>>();
    let mut shown = Shown::new("escrow.export.v1").text(format!(
        "{} event(s) ({} message(s), {} attachment(s)) of {} conversation(s) in {} {} file(s): {}",
        p.events,
        p.messages,
        p.attachments,
        p.conversations,
        p.files,
        format.name(),
        a.out.display()
    ));
    if !rows.is_empty() {
        shown = shown.table(&["remark", "times"], rows).text("Each of them stands in data/errors.csv.");
    }
    shown
        .text(format!(
            "Evidence {}: {}. The folder holds messages in clear; only you can read its files.",
            evidence.digest.short(),
            evidence.verdict
        ))
        .text(format!("Next: escrow export verify {}", a.out.display()))
        .with("out", a.out.display().to_string())
        .with("format", format.name())
        .with("conversations", p.conversations)
        .with("files", p.files)
        .with("events", p.events)
        .with("messages", p.messages)
        .with("attachments", p.attachments)
        .with("undecryptable", p.undecryptable)
        .with("evidence", json!({"digest": evidence.digest, "verdict": evidence.verdict}))
        .with("remarks", json!(by_rule))
        .exit(if p.whole() { Exit::Ok } else { Exit::Partial })
}
