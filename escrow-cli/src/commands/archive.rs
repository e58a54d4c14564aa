//! `escrow archive`: sealing messages on a device, opening released ones as the recipient.

use crate::failure::{Exit, Failure};
use crate::help::examples;
use crate::output::{Format, Shown};
use crate::session::{Global, Session, thread_name};
use clap::{Args, Subcommand};
use escrow_client::archive::{Directory, KeyRing, OpenOptions, Report, SealOptions, open_segments, prepare};
use escrow_client::{Opened, Replies, open_replies};
use serde_json::json;
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What to do with archives.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Seal messages (JSON Lines, plain or gzip), one key a thread and day
    #[command(before_help = examples![
        "escrow archive seal messages.jsonl.gz --dir archive --outside +15550100",
        "escrow archive seal messages.jsonl --dir archive --members members.txt",
    ])]
    Seal(Seal),
    /// Open what was released to you; keys exist in memory only
    #[command(before_help = examples![
        "escrow archive open replies.json --archive archive --out messages.jsonl",
        "escrow archive open replies.json --archive archive | less",
    ])]
    Open(Open),
}

/// Arguments of `archive seal`.
#[derive(Debug, Args)]
pub struct Seal {
    /// Messages: one object a line with thread, message_id, sender, sent_at, text
    pub input: PathBuf,
    /// Folder to make
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// A sender who is no member of the organisation; repeat for several
    #[arg(long, value_name = "ID")]
    pub outside: Vec<String>,
    /// File with the ids of all members, one a line; everybody else is outside
    #[arg(long, value_name = "FILE", conflicts_with = "outside")]
    pub members: Option<PathBuf>,
    /// Era of the threads, if the messenger re-created them
    #[arg(long, default_value_t = 0)]
    pub era: u64,
}

/// Arguments of `archive open`.
#[derive(Debug, Args)]
pub struct Open {
    /// The file of `release collect`
    pub replies: PathBuf,
    /// The archive's folder, or a copy of it
    #[arg(long, value_name = "DIR")]
    pub archive: PathBuf,
    /// Where to write the messages (a new file, mode 0600); - for standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub out: PathBuf,
}

/// Runs `archive`.
///
/// # Errors
/// [`Failure`].
pub fn run(global: &Global, command: &Command) -> Result<Shown, Failure> {
    let session = Session::open(global)?;
    match command {
        Command::Seal(a) => seal(&session, a),
        Command::Open(a) if a.out.as_os_str() == "-" && global.output != Format::Table => {
            Err(Failure::usage("standard output holds the messages; name a file with --out to get JSON there"))
        }
        Command::Open(a) => open(&session, a),
    }
}

/// `archive seal`: the keys are saved before the archive takes its place.
///
/// # Errors
/// [`Failure`]; then no folder was made.
pub fn seal(session: &Session, a: &Seal) -> Result<Shown, Failure> {
    let identity = session.identity()?;
    let device = identity.device()?;
    let tokens = session.token_key()?;
    let inside = membership(a)?;
    let input = File::open(&a.input).map_err(|e| Failure::usage(format!("cannot read {}: {e}", a.input.display())))?;
    let options = SealOptions { dir: &a.dir, org: session.org(), tokens: &tokens, era: a.era, inside: &inside };
    let prepared = prepare(input, &options)?;
    let archive = prepared.archive();
    let (segments, messages, threads) = (archive.segments.len(), archive.messages, archive.threads.len());
    Directory::update(&session.context.directory, session.org(), |d| d.add_archive(archive))?;
    KeyRing::update(&session.context.key_ring, session.org(), &device.sealing, |ring| {
        ring.extend(archive.segments.iter().map(|s| {
            let copy = zeroize::Zeroizing::new(*s.key.expose());
            (s.about.clone(), escrow_core::ThreadKey::from_bytes(copy))
        }));
    })?;
    prepared.publish()?;
    Ok(Shown::new("escrow.archive.seal.v1")
        .text(format!(
            "{messages} messages of {threads} threads sealed into {segments} segments in {}.",
            a.dir.display()
        ))
        .text("Their keys wait in the key ring. Next: escrow deposit")
        .with("messages", messages)
        .with("threads", threads)
        .with("segments", segments)
        .with("dir", a.dir.display().to_string()))
}

fn membership(a: &Seal) -> Result<impl Fn(&str) -> bool, Failure> {
    let members = a.members.as_deref().map(read_ids).transpose()?;
    let outside: HashSet<String> = a.outside.iter().cloned().collect();
    Ok(move |id: &str| members.as_ref().map_or_else(|| !outside.contains(id), |m| m.contains(id)))
}

fn read_ids(file: &Path) -> Result<HashSet<String>, Failure> {
    let text =
        std::fs::read_to_string(file).map_err(|e| Failure::usage(format!("cannot read {}: {e}", file.display())))?;
    Ok(text.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect())
}

/// `archive open`.
///
/// # Errors
/// [`Failure`]; what is opened in part is shown with exit code 8.
pub fn open(session: &Session, a: &Open) -> Result<Shown, Failure> {
    let identity = session.identity()?;
    let key = identity.sealing().ok_or_else(|| {
        Failure::new(
            Exit::Key,
            "key-missing",
            "the key in use has no sealing half, so nothing can have been released to it",
        )
    })?;
    let opened = open_replies(&session.charters, &Replies::load(&a.replies)?, key)?;
    let tokens = session.context.token_key.is_some().then(|| session.token_key()).transpose()?;
    let options = OpenOptions { dir: &a.archive, org: session.org(), tokens: tokens.as_ref() };
    let to_stdout = a.out.as_os_str() == "-";
    let out: Box<dyn Write> = if to_stdout { Box::new(io::stdout().lock()) } else { Box::new(new_file(&a.out)?) };
    let released = opened.keys.iter().map(|k| (&k.about, &k.key));
    let report =
        open_segments(&options, released, out).map_err(|e| Failure::unexpected(format!("cannot write: {e}")))?;
    let shown = show(session, &opened, &report)?;
    if to_stdout {
        // Standard output holds the messages and nothing else.
        crate::output::note(&shown.human(false));
        return Ok(Shown::new("escrow.archive.open.v1").exit(shown.exit));
    }
    Ok(shown.text(format!("They are in {} (mode 0600).", a.out.display())).with("out", a.out.display().to_string()))
}

fn new_file(path: &Path) -> Result<File, Failure> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|e| Failure::usage(format!("cannot create {}: {e}", path.display())))
}

fn show(session: &Session, opened: &Opened, report: &Report) -> Result<Shown, Failure> {
    let directory = session.directory()?;
    let mut rows = Vec::new();
    let mut items = Vec::new();
    let mut in_order: Vec<_> = report.items.iter().map(|i| (thread_name(&directory, &i.thread), i)).collect();
    in_order.sort_by(|(a, i), (b, j)| (a, i.from).cmp(&(b, j.from)));
    for (thread, i) in in_order {
        let (count, remark) = match &i.outcome {
            Ok(n) => (n.to_string(), String::new()),
            Err(e) => ("-".into(), e.to_string()),
        };
        items.push(json!({"thread": thread, "from": i.from, "messages": i.outcome.as_ref().ok(), "error": i.outcome.as_ref().err().map(ToString::to_string)}));
        rows.push(vec![thread, i.from.day().to_string(), count, remark]);
    }
    let mut shown = Shown::new("escrow.archive.open.v1")
        .text(format!("{} messages of {} segments opened, as released to you.", report.messages, report.segments))
        .table(&["thread", "day", "messages", "remark"], rows);
    for (item, e) in &opened.failed {
        shown = shown.text(format!("item {} does not open: {e}", item.short()));
    }
    for (seat, fault) in &opened.culprits {
        shown =
            shown.text(format!("node {seat} is at fault: {fault}. Its signed reply proves it; keep the replies file."));
    }
    for (seat, why) in &opened.unsigned {
        shown = shown.text(format!("the reply of node {seat} was left aside: {why}"));
    }
    let whole = opened.failed.is_empty() && report.complete();
    let culprits = opened.culprits.iter().map(|(s, f)| json!({"node": s, "fault": f.to_string()})).collect::<Vec<_>>();
    let failed = opened.failed.iter().map(|(i, e)| json!({"item": i, "error": e.to_string()})).collect::<Vec<_>>();
    Ok(shown
        .with("messages", report.messages)
        .with("segments", report.segments)
        .with("items", items)
        .with("failed", failed)
        .with("culprits", culprits)
        .exit(if whole { Exit::Ok } else { Exit::Partial }))
}
