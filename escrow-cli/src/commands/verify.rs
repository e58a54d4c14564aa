//! `escrow verify`: an evidence bundle, or a file that proves misbehaviour, offline, against nothing but
//! a pinned charter digest.

use crate::failure::{Exit, Failure};
use crate::help::examples;
use crate::output::Shown;
use clap::Args;
use escrow_audit::bundle::{self, Folder, INDEX, INDEX_MAX, Index};
use escrow_audit::files::Files;
use escrow_audit::finding::{Class, Report};
use escrow_audit::misbehaviour::{self, NotProven, PROOF_MAX};
use escrow_audit::report::verification::{self, Made};
use escrow_audit::verify::{Examined, Options, ReceiptFile, examine, verify_with};
use escrow_core::Digest;
use escrow_core::limits::HTTP_BODY_MAX;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// Arguments of `verify`.
#[derive(Debug, Args)]
#[command(
    before_help = examples![
        "escrow verify ./bundle --charter-digest $GENESIS",
        "escrow verify ./bundle --charter-digest $GENESIS \\\n      --receipt receipts/matter-3f1c90aa-node1.json",
    ],
    after_help = "The digest is the only thing that is trusted: take it from somebody you trust, not from the bundle."
)]
pub struct Verify {
    /// The bundle's folder, or a file that proves misbehaviour
    pub bundle: PathBuf,
    /// Digest of the genesis charter
    #[arg(long, value_name = "DIGEST")]
    pub charter_digest: Digest,
    /// Leave the policies unevaluated; the record is still checked in full
    #[arg(long)]
    pub no_policy_replay: bool,
    /// Leave the reports in data/report/ unchecked; they prove nothing then
    #[arg(long)]
    pub no_reports: bool,
    /// A node's answer that you kept: its entry must still be in the log
    #[arg(long, value_name = "FILE")]
    pub receipt: Vec<PathBuf>,
    /// Folder for proofs of MISBEHAVIOUR [default: BUNDLE.misbehaviour]
    #[arg(long, value_name = "DIR")]
    pub proofs: Option<PathBuf>,
    /// Write the answer as one printable page, to a new file
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// Runs `verify`.
///
/// # Errors
/// A receipt or file that cannot be read, a page that cannot be written; whatever is found stands in the
/// report.
pub fn run(a: &Verify) -> Result<Shown, Failure> {
    if a.bundle.is_file() {
        return proof(&a.bundle, &a.charter_digest);
    }
    let folder = match Folder::open(&a.bundle) {
        Ok(folder) => folder,
        Err(e) => {
            let report = Report::unreadable(&a.charter_digest, e.to_string());
            return page(a, None, &report, show(&report));
        }
    };
    let mut receipts = Vec::new();
    for path in &a.receipt {
        receipts.push((path.display().to_string(), read(path, HTTP_BODY_MAX)?));
    }
    let files: Vec<_> = receipts.iter().map(|(name, bytes)| ReceiptFile { name, bytes }).collect();
    let options = Options { policy_replay: !a.no_policy_replay, reports: !a.no_reports };
    let Examined { report, proofs } = examine(&folder, &a.charter_digest, options, &files);
    let mut shown = show(&report);
    if !proofs.is_empty() {
        let dir = a.proofs.clone().unwrap_or_else(|| beside(&a.bundle));
        let mut written = Vec::new();
        for bytes in &proofs {
            match write(&dir, bytes) {
                Ok(path) => {
                    let path = path.display().to_string();
                    shown = shown.text(format!("{path} proves it without the bundle."));
                    written.push(path);
                }
                // What was found must be said even where nothing can be written.
                Err(e) => shown = shown.text(format!("No proof written to {}: {e}. Use --proofs.", dir.display())),
            }
        }
        shown = shown.with("proofs", written);
    }
    page(a, bundle::digest(&folder), &report, shown)
}

/// Name and version of this program, as printed answers name it.
pub(super) const TOOL: &str = concat!("escrow ", env!("CARGO_PKG_VERSION"));

/// Writes the printable page, if one is wanted.
fn page(a: &Verify, bundle: Option<Digest>, report: &Report, shown: Shown) -> Result<Shown, Failure> {
    let Some(path) = &a.html else { return Ok(shown) };
    write_new(path, &verification::html(report, Made { bundle, tool: TOOL }))?;
    Ok(shown.text(format!("The printable answer is in {}.", path.display())))
}

/// A bundle that was verified, with its index if it makes reports.
pub(super) struct Verified {
    pub(super) folder: Folder,
    pub(super) index: Index,
    pub(super) report: Report,
}

/// Verifies a bundle to make something from it. What was altered makes nothing: of that only the answer
/// is shown.
pub(super) fn verified(at: &Path, pinned: &Digest) -> Result<Verified, Shown> {
    let unreadable = |e: String| show(&Report::unreadable(pinned, e));
    let folder = Folder::open(at).map_err(|e| unreadable(e.to_string()))?;
    let report = verify_with(&folder, pinned, Options::default());
    let index = Files::read(&folder, INDEX, INDEX_MAX as u64).ok().flatten().and_then(|b| Index::decode(&b).ok());
    match index.filter(|_| report.verdict < Class::Tampered) {
        Some(index) => Ok(Verified { folder, index, report }),
        None => Err(show(&report)),
    }
}

/// Writes a page or a draft; nothing is ever overwritten.
pub(super) fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    let file = fs::OpenOptions::new().write(true).create_new(true).open(path);
    let written = file.and_then(|mut f| f.write_all(text.as_bytes()).and_then(|()| f.sync_all()));
    written.map_err(|e| Failure::usage(format!("cannot write {}: {e}; name a new file", path.display())))
}

/// Beside the bundle: nothing is ever added to evidence.
fn beside(bundle: &Path) -> PathBuf {
    let name = bundle.canonicalize().unwrap_or_else(|_| bundle.to_owned());
    let mut name = name.into_os_string();
    name.push(".misbehaviour");
    name.into()
}

/// A file is named for what is in it, so one that is there already is this very one or none of ours.
fn write(dir: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
    fs::create_dir_all(dir)?;
    let path = dir.join(format!("{}.json", Digest::of(bytes).short()));
    match fs::OpenOptions::new().write(true).create_new(true).open(&path) {
        Ok(mut file) => file.write_all(bytes).and_then(|()| file.sync_all())?,
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && fs::read(&path)? == bytes => {}
        Err(e) => return Err(e),
    }
    Ok(path)
}

fn read(path: &Path, max: usize) -> Result<Vec<u8>, Failure> {
    let failure = |e: io::Error| Failure::usage(format!("{}: {e}", path.display()));
    let mut bytes = Vec::new();
    fs::File::open(path).map_err(failure)?.take(max as u64 + 1).read_to_end(&mut bytes).map_err(failure)?;
    match bytes.len() <= max {
        true => Ok(bytes),
        false => Err(Failure::usage(format!("{}: larger than {max} bytes", path.display()))),
    }
}

/// A file that should prove misbehaviour by itself.
fn proof(path: &Path, pinned: &Digest) -> Result<Shown, Failure> {
    let shown = Shown::new("escrow.misbehaviour-check.v1").with("charter", pinned.to_string());
    let bytes = read(path, PROOF_MAX)?;
    Ok(match misbehaviour::check(&bytes, pinned) {
        Ok(guilt) => {
            let seat = guilt.seat.map(|s| format!("seat {s}")).unwrap_or_else(|| "the administrators".into());
            let witnesses: Vec<String> = guilt.witnesses.iter().map(|(s, key)| format!("seat {s}: {key}")).collect();
            let mut shown = shown
                .text(format!("{} proven (charter {})", Class::Misbehaviour, pinned.short()))
                .text(format!("By {seat}, key {}: {}.", guilt.keys.join(", "), guilt.detail))
                .with("proven", true)
                .data("guilt", &guilt);
            if !witnesses.is_empty() {
                shown = shown.text(format!("Witnesses that cosigned both: {}.", witnesses.join("; ")));
            }
            shown.exit(Exit::Verification)
        }
        Err(why) => {
            let shown = shown.text(format!("Proves nothing: {why}."));
            let shown = shown.with("proven", false).with("why", why.to_string());
            match why {
                NotProven::Format(_) => shown
                    .text("A bundle is a folder: if this is an archive of one, unpack it and give the folder.")
                    .exit(Exit::Usage),
                _ => shown.exit(Exit::Partial),
            }
        }
    })
}

/// A report for people and machines.
pub fn show(report: &Report) -> Shown {
    let opt = |v: Option<String>| v.unwrap_or_default();
    let findings = report.findings.iter().map(|f| {
        let seat = opt(f.seat.map(|s| s.to_string()));
        vec![
            f.class.to_string(),
            f.file.clone(),
            seat,
            opt(f.entry.map(|e| e.to_string())),
            f.rule.clone(),
            f.detail.clone(),
        ]
    });
    let layers = report.layers.iter().map(|l| {
        let done = if l.done { "done".to_owned() } else { format!("not done: {}", l.why) };
        vec![l.name.to_owned(), done]
    });
    let logs = report.logs.iter().map(|l| {
        let fork = match l.fork_bound {
            0 => "a fork is not excluded".to_owned(),
            n => format!("no fork by up to {n} colluding node(s)"),
        };
        vec![l.seat.to_string(), l.origin.clone(), l.size.to_string(), l.views.to_string(), fork]
    });
    let releases = report
        .releases
        .iter()
        .map(|r| vec![r.request.short(), r.seat.to_string(), r.seq.to_string(), r.at.to_string(), r.recipient.short()]);
    let c = &report.counts;
    let mut shown = Shown::new(report.schema).text(format!("{} (charter {})", report.verdict, report.charter.short()));
    if !report.findings.is_empty() {
        shown = shown.table(&["class", "file", "node", "entry", "rule", "found"], findings.collect());
    }
    if !report.layers.is_empty() {
        shown = shown.table(&["layer", "state"], layers.collect());
    }
    if !report.logs.is_empty() {
        shown = shown.table(&["node", "log", "entries", "views", "means"], logs.collect());
    }
    if !report.releases.is_empty() {
        shown = shown.table(&["request", "node", "entry", "at", "recipient key"], releases.collect());
    }
    shown = shown.text(format!(
        "{} files, {} entries, {} statements, {} charters, {} requests, {} deliveries, {} restrictions.",
        c.files, c.entries, c.statements, c.charters, c.requests, c.delivered, c.restrictions
    ));
    if let Ok(serde_json::Value::Object(members)) = serde_json::to_value(report) {
        for (name, value) in members {
            if name != "schema" {
                shown = shown.with(&name, value);
            }
        }
    }
    shown.exit(exit_of(report.verdict))
}

/// The exit code of a class of finding.
pub const fn exit_of(class: Class) -> Exit {
    match class {
        Class::Ok => Exit::Ok,
        Class::Malformed => Exit::Usage,
        Class::Tampered | Class::Misbehaviour | Class::Violation => Exit::Verification,
        Class::Incomplete => Exit::Partial,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_and_the_command_agree_on_exit_codes() {
        for class in
            [Class::Ok, Class::Incomplete, Class::Violation, Class::Misbehaviour, Class::Tampered, Class::Malformed]
        {
            assert_eq!(exit_of(class) as u8, class.exit_code());
        }
    }

    fn args(bundle: PathBuf) -> Verify {
        let (charter_digest, receipt, proofs, html) = (Digest([1; 32]), vec![], None, None);
        Verify { bundle, charter_digest, no_policy_replay: true, no_reports: false, receipt, proofs, html }
    }

    #[test]
    fn what_is_no_bundle_is_malformed() {
        let dir = tempfile::tempdir().unwrap();
        let html = dir.path().join("answer.html");
        let args = Verify { html: Some(html.clone()), ..args(dir.path().join("none")) };
        let shown = run(&args).unwrap();
        assert_eq!(shown.exit, Exit::Usage);
        let human = shown.human(false);
        assert!(human.starts_with("MALFORMED") && !human.contains("layer"), "{human}");
        assert!(fs::read_to_string(&html).unwrap().contains("MALFORMED"));
        assert_eq!(run(&args).unwrap_err().exit, Exit::Usage, "a page was overwritten");
    }

    #[test]
    fn a_file_that_proves_nothing_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.json");
        let evidence = serde_json::json!({"kind": "charters", "first": "", "second": ""});
        let empty = serde_json::json!({"schema": misbehaviour::SCHEMA, "charters": [], "evidence": evidence});
        for (text, exit) in [("{}".to_owned(), Exit::Usage), (empty.to_string(), Exit::Partial)] {
            fs::write(&path, text).unwrap();
            let shown = run(&args(path.clone())).unwrap();
            assert_eq!((shown.exit, &shown.json()["proven"]), (exit, &false.into()));
            let human = shown.human(false);
            assert!(human.starts_with("Proves nothing"));
            assert_eq!(human.contains("unpack it"), exit == Exit::Usage, "{human}");
        }
        assert!(run(&Verify { receipt: vec![dir.path().join("none")], ..args(dir.path().to_owned()) }).is_err());
    }

    #[test]
    fn a_proof_is_written_once_and_over_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let into = beside(&dir.path().join("."));
        assert_eq!(into.parent(), dir.path().canonicalize().unwrap().parent());
        let into = dir.path().join("proofs");
        let path = write(&into, b"one").unwrap();
        assert_eq!(write(&into, b"one").unwrap(), path);
        fs::write(&path, b"somebody else's").unwrap();
        assert_eq!(write(&into, b"one").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"somebody else's");
    }
}
