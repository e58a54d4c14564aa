//! Checking a production before it is handed over, or after it arrived: everything that a review
//! platform would refuse, or take and misunderstand.
//!
//! A JSON schema sees the syntax of one member of an RSMF file. This looks at all of it: the bag
//! (RFC 8493), container, headers, rsmf.zip and manifest of every `.rsmf`, every Concordance load
//! file, the tables of counts and errors, and whether they agree with each other.
//!
//! **Bounds.** Files are read as streams; one manifest at a time is in memory ([`Limits`]).
//! Nothing is unpacked to disk, no link is followed, no path is opened because a file names it.
//!
//! **Not here.** Whether a production is what was released: that is in the logs, see
//! [`crate::export`].

mod bag;
mod dat;
mod finding;
mod folder;
mod json;
mod limits;
mod rsmf;
mod rules;
mod tables;

pub use finding::{FINDINGS_MAX, FINDINGS_PER_FILE, Finding, LeftOut, REPORT_SCHEMA, Report, Rule, Severity, Verdict};
pub use limits::Limits;
pub use rules::RULES;

use finding::Findings;
use folder::Folder;
use rsmf::Summary;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::Path;

/// Checks a production: a BagIt bag, a folder with `.rsmf` and `.dat` files at any depth, or one `.rsmf` file.
/// `progress` is told how many files were looked at, and of how many. Whatever is wrong, a file that cannot be
/// read included, is a finding; there are no other errors.
pub fn verify(path: &Path, progress: &dyn Fn(u64, u64)) -> Report {
    verify_within(path, &Limits::default(), progress)
}

/// [`verify`] with other bounds.
pub fn verify_within(path: &Path, limits: &Limits, progress: &dyn Fn(u64, u64)) -> Report {
    let mut report = Report::new();
    if path.is_dir() {
        folder(path, limits, progress, &mut report);
    } else {
        single(path, limits, &mut report);
        progress(1, 1);
    }
    report
}

fn single(path: &Path, limits: &Limits, report: &mut Report) {
    let mut out = Findings::of(path.file_name().unwrap_or_default().to_string_lossy());
    (report.files, report.rsmf) = (1, 1);
    let opened = fs::metadata(path).and_then(|m| if m.is_file() { Ok(m.len()) } else { Err(no_file()) });
    match opened.and_then(|size| Ok((File::open(path)?, size))) {
        Ok((file, size)) => {
            let summary = rsmf::check(file, size, limits, &mut out);
            report.events = summary.map_or(0, |s| s.events);
        }
        Err(e) => out.add(&rules::UNREADABLE, e.to_string()),
    }
    report.take(out);
}

fn no_file() -> std::io::Error {
    std::io::Error::other("neither a folder nor a plain file")
}

fn folder(path: &Path, limits: &Limits, progress: &dyn Fn(u64, u64), report: &mut Report) {
    let mut out = Findings::of("");
    let Some(mut folder) = Folder::open(path, limits, &mut out) else { return report.take(out) };
    let of_kind = |kind: &str| -> Vec<String> {
        folder.files().map(|(p, _)| p).filter(|p| p.to_ascii_lowercase().ends_with(kind)).map(str::to_owned).collect()
    };
    let (rsmf_files, load_files) = (of_kind(".rsmf"), of_kind(".dat"));
    report.files = folder.files().count() as u64;
    report.rsmf = rsmf_files.len() as u64;
    report.load_files = load_files.len() as u64;
    report.bag = bag::is_bag(&folder);
    // A bag of pages or lines is checked as a bag.
    if rsmf_files.is_empty() && load_files.is_empty() && !report.bag && out.count() == 0 {
        out.add(&rules::NOTHING_HERE, "there is no .rsmf or .dat file");
    }
    report.take(out);
    let total = report.rsmf + report.load_files + u64::from(report.bag);
    let mut done = 0;
    let mut step = || {
        done += 1;
        progress(done, total);
    };
    if report.bag {
        bag::check(&mut folder, limits).into_iter().for_each(|found| report.take(found));
        step();
    }
    let mut summaries: BTreeMap<String, Summary> = BTreeMap::new();
    for file in rsmf_files {
        let mut out = Findings::of(&file);
        match folder.file(&file) {
            Ok(opened) => {
                if let Some(summary) = rsmf::check(opened, folder.size(&file), limits, &mut out) {
                    report.events += summary.events;
                    summaries.insert(file, summary);
                }
            }
            Err(e) => out.add(&rules::UNREADABLE, e.to_string()),
        }
        report.take(out);
        step();
    }
    let mut around = dat::Around { folder: &mut folder, limits, rsmf: &summaries, named: BTreeSet::new() };
    let mut found = Vec::new();
    for file in load_files {
        let mut out = Findings::of(&file);
        dat::check(&mut around, &file, &mut out);
        found.push((file, out));
        step();
    }
    for (file, out) in found {
        // Some people send each other files of this name; one that looks like a load file is always taken for one.
        if around.named.contains(&file) && !dat::begins(around.folder, &file) {
            report.load_files -= 1;
        } else {
            report.take(out);
        }
    }
    tables::check(&mut folder, limits, &summaries, report.bag).into_iter().for_each(|found| report.take(found));
}
