//! `archive open`.

use super::{new_file, new_folder};
use crate::failure::{Exit, Failure};
use crate::output::{Shown, progress};
use crate::session::{Session, recipient_key, thread_name};
use clap::Args;
use escrow_client::archive::{OpenOptions, Report, SavedAttachments, open_segments, save_attachments};
use escrow_client::{Opened, Replies, open_replies};
use serde_json::json;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

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
    /// Where to write the attachments, under their SHA-256 (a new folder, mode 0700)
    #[arg(long, value_name = "DIR")]
    pub attachments: Option<PathBuf>,
}

/// `archive open`.
///
/// # Errors
/// [`Failure`]; what is opened in part is shown with exit code 8.
pub(super) fn open(session: &Session, a: &Open) -> Result<Shown, Failure> {
    let identity = session.identity()?;
    let key = recipient_key(&identity)?;
    let opened = open_replies(&session.charters, &Replies::load(&a.replies)?, key)?;
    let tokens = session.context.token_key.is_some().then(|| session.token_key()).transpose()?;
    let options = OpenOptions { dir: &a.archive, org: session.org(), tokens: tokens.as_ref() };
    let to_stdout = a.out.as_os_str() == "-";
    let out: Box<dyn Write> = if to_stdout { Box::new(io::stdout().lock()) } else { Box::new(new_file(&a.out)?) };
    if let Some(folder) = &a.attachments {
        new_folder(folder)?;
    }
    let released = || opened.keys.iter().map(|k| (&k.about, &k.key));
    let report =
        open_segments(&options, released(), out).map_err(|e| Failure::unexpected(format!("cannot write: {e}")))?;
    let mut shown = show(session, &opened, &report)?;
    if let Some(folder) = &a.attachments {
        let saved = save_attachments(&options, released(), folder, &*progress("opening attachments"))?;
        shown = show_attachments(session, shown, &saved, folder)?;
    }
    if to_stdout {
        // Standard output holds the messages and nothing else.
        crate::output::note(&shown.human(false));
        return Ok(Shown::new("escrow.archive.open.v1").exit(shown.exit));
    }
    Ok(shown.text(format!("They are in {} (mode 0600).", a.out.display())).with("out", a.out.display().to_string()))
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

fn show_attachments(
    session: &Session,
    shown: Shown,
    saved: &SavedAttachments,
    folder: &Path,
) -> Result<Shown, Failure> {
    let directory = session.directory()?;
    let mut rows = Vec::new();
    let mut lost = Vec::new();
    for l in &saved.lost {
        let thread = thread_name(&directory, &l.thread);
        lost.push(
            json!({"thread": thread, "from": l.from, "line": l.line, "sha256": l.sha256, "error": l.error.to_string()}),
        );
        rows.push(vec![thread, l.from.day().to_string(), l.line.to_string(), l.sha256.short(), l.error.to_string()]);
    }
    let exit = if rows.is_empty() { shown.exit } else { Exit::Partial };
    let mut shown = shown
        .text(format!("{} attachments are in {}, named by SHA-256.", saved.saved, folder.display()))
        .with("attachments", saved.saved)
        .with("attachments_lost", lost)
        .exit(exit);
    if !rows.is_empty() {
        shown = shown.table(&["thread", "day", "line", "attachment", "remark"], rows);
    }
    Ok(shown)
}
