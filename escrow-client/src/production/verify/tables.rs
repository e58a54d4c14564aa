//! The tables beside the files: counts.csv, against the files that it counts, and errors.csv.

use super::finding::{Findings, quoted};
use super::folder::Folder;
use super::limits::Limits;
use super::rsmf::{Summary, instant};
use super::{Rule, rules};
use csv::StringRecord;
use std::collections::{BTreeMap, BTreeSet};

/// Columns of counts.csv.
const COUNTS: [&str; 11] = [
    "file",
    "conversation",
    "begin",
    "end",
    "events",
    "messages",
    "attachments",
    "undecryptable",
    "bytes",
    "md5",
    "sha256",
];
/// Columns of errors.csv.
const ERRORS: [&str; 4] = ["file", "event", "rule", "what"];

/// Checks both tables; `needed` if a production without them is incomplete.
pub(super) fn check(
    folder: &mut Folder,
    limits: &Limits,
    rsmf: &BTreeMap<String, Summary>,
    needed: bool,
) -> Vec<Findings> {
    let find = |folder: &Folder, name: &str| {
        [String::new(), "data/".into()].iter().map(|at| format!("{at}{name}")).find(|p| folder.contains(p))
    };
    let mut out = Vec::new();
    let mut missing = Findings::of("");
    match find(folder, "counts.csv") {
        Some(path) => out.push(counts(folder, limits, &path, rsmf)),
        None if needed => missing.add(&rules::COUNTS_MISSING, "there is no counts.csv"),
        None => {}
    }
    match find(folder, "errors.csv") {
        Some(path) => out.push(errors(folder, limits, &path)),
        None if needed => missing.add(&rules::ERRORS_MISSING, "there is no errors.csv"),
        None => {}
    }
    out.push(missing);
    out
}

/// The rows of a table whose header is as it has to be.
fn rows(
    (folder, limits): (&Folder, &Limits),
    path: &str,
    columns: &[&str],
    rule: &Rule,
    out: &mut Findings,
) -> Vec<StringRecord> {
    let bytes = match folder.read(path, limits.line) {
        Ok(bytes) => bytes,
        Err(e) => {
            out.add(&rules::UNREADABLE, e.to_string());
            return vec![];
        }
    };
    let mut reader = csv::Reader::from_reader(bytes.as_slice());
    match reader.headers() {
        Ok(found) if found.iter().eq(columns.iter().copied()) => {}
        _ => {
            out.add(rule, format!("the header is not {}", columns.join(",")));
            return vec![];
        }
    }
    let mut rows = Vec::new();
    for (number, row) in reader.records().enumerate() {
        match row {
            Ok(row) => rows.push(row),
            Err(_) => {
                out.at(rule, Some(&(number + 2).to_string()), format!("no row of {} columns in UTF-8", columns.len()));
                break;
            }
        }
    }
    rows
}

fn errors(folder: &Folder, limits: &Limits, path: &str) -> Findings {
    let mut out = Findings::of(path);
    rows((folder, limits), path, &ERRORS, &rules::ERRORS_FORM, &mut out);
    out
}

fn counts(folder: &mut Folder, limits: &Limits, path: &str, rsmf: &BTreeMap<String, Summary>) -> Findings {
    let mut out = Findings::of(path);
    let rows = rows((folder, limits), path, &COUNTS, &rules::COUNTS_FORM, &mut out);
    if out.count() > 0 {
        return out;
    }
    let mut counted = BTreeSet::new();
    for (number, row) in rows.iter().enumerate() {
        let number = (number + 2).to_string();
        let name = row.get(0).unwrap_or_default();
        let Some(file) = folder.named(path, name) else {
            out.at(&rules::COUNTS_FILE, Some(&number), format!("there is no `{}`", quoted(name)));
            continue;
        };
        if !counted.insert(file.clone()) {
            out.at(&rules::COUNTS_FILE, Some(&number), format!("`{}` stands twice", quoted(name)));
        }
        row_of(folder, &file, row, &number, rsmf.get(&file), &mut out);
    }
    for file in rsmf.keys().filter(|f| !counted.contains(*f)) {
        out.add(&rules::COUNTS_FILE, format!("`{}` has no row", quoted(file)));
    }
    out
}

/// One row against its file.
fn row_of(
    folder: &mut Folder,
    file: &str,
    row: &StringRecord,
    number: &str,
    summary: Option<&Summary>,
    out: &mut Findings,
) {
    let value = |column: &str| COUNTS.iter().position(|c| *c == column).and_then(|at| row.get(at)).unwrap_or_default();
    let real = match folder.digests(file) {
        Ok(real) => real,
        Err(e) => return out.at(&rules::UNREADABLE, Some(number), format!("{}: {e}", quoted(file))),
    };
    let mut wanted = vec![("bytes", real.size.to_string()), ("md5", real.md5), ("sha256", real.sha256)];
    if let Some(s) = summary {
        wanted.extend([("events", s.events.to_string()), ("attachments", s.attachments.to_string())]);
    }
    for (column, real) in wanted {
        let said = value(column);
        if !said.eq_ignore_ascii_case(&real) {
            out.at(&rules::COUNTS_DIFFER, Some(number), format!("{column} is `{}`, the file has {real}", quoted(said)));
        }
    }
    // What counts as a message is for who made the table to say; more of them than events is wrong.
    let most = summary.map_or(u64::MAX, |s| s.events);
    for column in ["messages", "undecryptable"] {
        if value(column).parse::<u64>().is_ok_and(|n| n <= most) {
            continue;
        }
        out.at(
            &rules::COUNTS_DIFFER,
            Some(number),
            format!("{column} is `{}` of {most} events", quoted(value(column))),
        );
    }
    // Times may be written in the zone of the matter, so instants are compared.
    if let Some((begin, end)) = summary.and_then(|s| s.span) {
        for (column, real) in [("begin", begin), ("end", end)] {
            let said = value(column);
            if instant(said) != Some(real) {
                out.at(
                    &rules::COUNTS_DIFFER,
                    Some(number),
                    format!("{column} is `{}`, the file's is {real}", quoted(said)),
                );
            }
        }
    }
}
