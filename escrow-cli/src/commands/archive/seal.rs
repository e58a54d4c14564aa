//! `archive seal` and `archive import`: one way in, strict or lenient.

use crate::failure::{Exit, Failure};
use crate::output::{Shown, progress};
use crate::session::Session;
use clap::Args;
use escrow_client::archive::{
    AttachmentReport, Counts, Directory, Imported, KeyRing, PreparedArchive, Rejected, SealOptions, SealedArchive,
    import, prepare,
};
use serde_json::json;
use std::collections::HashSet;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Arguments of `archive seal`.
#[derive(Debug, Args)]
pub struct Seal {
    /// What to seal.
    #[command(flatten)]
    pub source: Source,
}

/// Arguments of `archive import`.
#[derive(Debug, Args)]
pub struct Import {
    /// What to seal.
    #[command(flatten)]
    pub source: Source,
    /// Where lines go that cannot be sealed, byte for byte (a new file, mode 0600)
    #[arg(long, value_name = "FILE")]
    pub rejects: PathBuf,
}

/// What to seal, and for whom.
#[derive(Debug, Args)]
pub struct Source {
    /// Messages: one object a line with thread, message_id, sender, sent_at, text
    pub input: PathBuf,
    /// Folder to make
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// Id of somebody outside the organisation; repeat for several
    #[arg(long, value_name = "ID")]
    pub outside: Vec<String>,
    /// File with the ids of all members, one a line; everybody else is outside
    #[arg(long, value_name = "FILE", conflicts_with = "outside")]
    pub members: Option<PathBuf>,
    /// Era of the threads, if the messenger re-created them
    #[arg(long, default_value_t = 0)]
    pub era: u64,
    /// Folder with the files that lines name, whatever they are called there
    #[arg(long, value_name = "DIR")]
    pub attachments: Option<PathBuf>,
}

/// Seals, leniently if there is a file for rejected lines. The keys are saved before the archive
/// takes its place.
///
/// # Errors
/// [`Failure`]; then no folder was made. What was sealed in part is shown with exit code 8.
pub(super) fn seal(session: &Session, a: &Source, rejects: Option<&Path>) -> Result<Shown, Failure> {
    let identity = session.identity()?;
    let device = identity.device()?;
    let tokens = session.token_key()?;
    let inside = membership(a)?;
    let input = File::open(&a.input).map_err(|e| Failure::usage(format!("cannot read {}: {e}", a.input.display())))?;
    let options = SealOptions { dir: &a.dir, org: session.org(), tokens: &tokens, era: a.era, inside: &inside };
    let (prepared, rejected) = match rejects {
        None => (Some(prepare(input, &options)?), Vec::new()),
        Some(path) => lenient(input, &options, path)?,
    };
    let schema = if rejects.is_some() { "escrow.archive.import.v1" } else { "escrow.archive.seal.v1" };
    let mut shown = Shown::new(schema);
    let mut next = None;
    match prepared {
        None => shown = shown.text("No line could be sealed, and no folder was made."),
        Some(mut prepared) => {
            let folder = a.attachments.as_deref();
            let bar = progress("sealing attachments");
            let attached = folder.map(|files| prepared.attach(files, &*bar)).transpose()?;
            let archive = prepared.archive();
            Directory::update(&session.context.directory, session.org(), |d| d.add_archive(archive))?;
            KeyRing::update(&session.context.key_ring, session.org(), &device.sealing, |ring| {
                ring.extend(archive.segments.iter().map(|s| {
                    let copy = zeroize::Zeroizing::new(*s.key.expose());
                    (s.about.clone(), escrow_core::ThreadKey::from_bytes(copy))
                }));
            })?;
            let archive = prepared.publish()?;
            shown = sealed(shown, &archive, &a.dir);
            shown = attachments(shown, &archive, attached.as_ref());
            next = Some("Their keys wait in the key ring. Next: escrow deposit");
        }
    }
    if let Some(path) = rejects {
        shown = left_out(shown, &rejected, path);
    }
    Ok(match next {
        Some(next) => shown.text(next),
        None => shown,
    })
}

/// The file of rejected lines gets its name when it is complete.
fn lenient(
    input: File,
    options: &SealOptions<'_>,
    path: &Path,
) -> Result<(Option<PreparedArchive>, Vec<Rejected>), Failure> {
    let refused = |e: std::io::Error| Failure::usage(format!("cannot create {}: {e}", path.display()));
    if path.exists() {
        return Err(refused(std::io::ErrorKind::AlreadyExists.into()));
    }
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = NamedTempFile::new_in(parent).map_err(refused)?;
    let Imported { prepared, rejected } = import(input, options, &mut BufWriter::new(file.as_file()))?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path).map_err(|e| refused(e.error))?;
    Ok((prepared, rejected))
}

fn sealed(shown: Shown, archive: &SealedArchive, dir: &Path) -> Shown {
    let SealedArchive { messages, threads, segments, counts, .. } = archive;
    let (threads, segments) = (threads.len(), segments.len());
    let mut shown = shown.text(format!(
        "{messages} messages of {threads} threads sealed into {segments} segments in {}.",
        dir.display()
    ));
    let Counts { out_of_order, repeated_ids, exact_repeats, missing } = *counts;
    for (n, what) in [
        (out_of_order, "lines have an earlier time than one before them in their thread"),
        (repeated_ids, "lines repeat the id of another message of their thread"),
        (exact_repeats, "lines repeat another line byte for byte"),
        (missing, "lines are missing by the numbers in `seq`"),
    ] {
        if n > 0 {
            shown = shown.text(format!("{n} {what}."));
        }
    }
    let counts = json!({
        "out_of_order": out_of_order,
        "repeated_ids": repeated_ids,
        "exact_repeats": exact_repeats,
        "missing_seq": missing,
    });
    shown
        .with("messages", *messages)
        .with("threads", threads)
        .with("segments", segments)
        .with("counts", counts)
        .with("dir", dir.display().to_string())
}

fn attachments(shown: Shown, archive: &SealedArchive, attached: Option<&AttachmentReport>) -> Shown {
    let shown = shown.with("attachments_named", archive.attachments);
    let Some(report) = attached else {
        return match archive.attachments {
            0 => shown,
            n => shown
                .text(format!("{n} attachments are not sealed: name their folder with --attachments."))
                .with("attachments", 0)
                .exit(Exit::Partial),
        };
    };
    let (mut rows, mut missing) = (Vec::new(), Vec::new());
    for m in &report.missing {
        let why = m.fault.to_string();
        missing.push(json!({"line": m.line, "sha256": m.sha256, "error": why}));
        rows.push(vec![m.line.to_string(), m.sha256.short(), why]);
    }
    let mut shown = shown
        .text(format!("{} attachments of {} bytes sealed.", report.sealed, report.bytes))
        .with("attachments", report.sealed)
        .with("attachments_missing", missing);
    for e in &report.unreadable {
        shown = shown.text(e.to_string());
    }
    if report.complete() {
        return shown;
    }
    shown.table(&["line", "attachment", "not sealed because"], rows).exit(Exit::Partial)
}

fn left_out(shown: Shown, rejected: &[Rejected], path: &Path) -> Shown {
    let all: Vec<_> = rejected
        .iter()
        .map(|r| json!({"line": r.line, "member": r.member, "rule": r.rule, "remedy": r.remedy}))
        .collect();
    let shown = shown.with("rejects", path.display().to_string()).with("rejected", all);
    if rejected.is_empty() {
        return shown;
    }
    let row =
        |r: &Rejected| vec![r.line.to_string(), r.member.unwrap_or("-").into(), r.rule.clone(), r.remedy.to_owned()];
    shown
        .text(format!("{} lines rejected; they are in {} (mode 0600), as they were.", rejected.len(), path.display()))
        .table(&["line", "member", "rule", "remedy"], rejected.iter().map(row).collect())
        .exit(Exit::Partial)
}

fn membership(a: &Source) -> Result<impl Fn(&str) -> bool, Failure> {
    let members = a.members.as_deref().map(read_ids).transpose()?;
    let outside: HashSet<String> = a.outside.iter().cloned().collect();
    Ok(move |id: &str| members.as_ref().map_or_else(|| !outside.contains(id), |m| m.contains(id)))
}

fn read_ids(file: &Path) -> Result<HashSet<String>, Failure> {
    let text =
        std::fs::read_to_string(file).map_err(|e| Failure::usage(format!("cannot read {}: {e}", file.display())))?;
    Ok(text.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect())
}
