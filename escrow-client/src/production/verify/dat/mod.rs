//! One Concordance load file: its form, its families, and the files that it names.

mod dates;
mod rows;

use super::finding::{Findings, quoted};
use super::folder::{Folder, plain};
use super::limits::Limits;
use super::rsmf::Summary;
use super::{Rule, rules};
use rows::{Bad, Rows};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::{BufReader, Read as _};

/// Columns that name a file, with whether its digests are in the row.
const PATHS: [(&str, bool); 2] = [("NATIVEPATH", true), ("TEXTPATH", false)];
/// Columns that hold a number.
const COUNTS: [&str; 3] = ["EVENTCOUNT", "ATTACHCOUNT", "FILESIZE"];

/// A row with the names of its columns.
struct Row<'a> {
    columns: &'a HashMap<String, usize>,
    values: Vec<String>,
    number: u64,
}

impl Row<'_> {
    /// The value of a column; nothing if it is empty or there is no such column.
    fn get(&self, column: &str) -> Option<&str> {
        let value = self.values.get(*self.columns.get(column)?)?.trim();
        (!value.is_empty()).then_some(value)
    }

    fn name(&self) -> String {
        self.get("DOCID").map_or_else(|| self.number.to_string(), str::to_owned)
    }
}

/// What families need of a document.
struct Document {
    id: String,
    begin: Option<String>,
    end: Option<String>,
    parent: Option<String>,
}

/// True if the file begins as a load file does, in UTF-8 or in the older Latin-1.
pub(super) fn begins(folder: &Folder, path: &str) -> bool {
    let mut start = Vec::new();
    let read = folder.file(path).and_then(|f| f.take(5).read_to_end(&mut start));
    let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&start);
    read.is_ok() && (start.starts_with("\u{fe}".as_bytes()) || start.starts_with(b"\xfe"))
}

/// What load files are checked against.
pub(super) struct Around<'a> {
    pub(super) folder: &'a mut Folder,
    pub(super) limits: &'a Limits,
    pub(super) rsmf: &'a BTreeMap<String, Summary>,
    /// Files that load files name, as they are listed in the folder.
    pub(super) named: BTreeSet<String>,
}

/// Checks the load file at `path`.
pub(super) fn check(around: &mut Around<'_>, path: &str, out: &mut Findings) {
    let (folder, limits) = (&*around.folder, around.limits);
    let size = folder.size(path);
    if size > limits.load_file {
        return out.add(&rules::FILE_TOO_LARGE, format!("{size} bytes, {} are the most", limits.load_file));
    }
    let file = match folder.file(path) {
        Ok(file) => file,
        Err(e) => return out.add(&rules::UNREADABLE, e.to_string()),
    };
    let mut rows = Rows::new(BufReader::new(file), limits.line.min(size.saturating_add(1)));
    let columns = match rows.next() {
        None => return out.add(&rules::DAT_HEADER, "the file is empty"),
        Some(Ok(names)) => names,
        Some(Err(bad)) => return add_bad(&bad, rows.number, out),
    };
    if !rows.marked {
        out.add(&rules::DAT_BOM, "the file does not begin with a byte order mark");
    }
    let Some(columns) = header(&columns, out) else { return };
    let (mut documents, mut whole) = (Vec::new(), true);
    while let Some(row) = rows.next() {
        let number = rows.number;
        match row {
            Ok(values) if values.len() != columns.len() => {
                let what = format!("{} values, {} columns", values.len(), columns.len());
                out.at(&rules::DAT_COLUMNS, Some(&number.to_string()), what);
                whole = false;
            }
            Ok(values) => {
                let row = Row { columns: &columns, values, number };
                form(&row, out);
                files(around, path, &row, out);
                documents.extend(document(&row, out));
            }
            Err(bad) => {
                add_bad(&bad, number, out);
                whole = false;
                if matches!(bad, Bad::Io(_) | Bad::TooLong) {
                    return;
                }
            }
        }
    }
    if documents.is_empty() && out.count() == 0 {
        out.add(&rules::DAT_EMPTY, "there are no documents");
    }
    // A relative may be in a row that could not be read.
    if whole {
        families(&documents, out);
    }
}

fn add_bad(bad: &Bad, number: u64, out: &mut Findings) {
    let row = number.to_string();
    let at = |rule: &Rule, what: String, out: &mut Findings| out.at(rule, Some(&row), what);
    match bad {
        Bad::Io(e) => at(&rules::UNREADABLE, e.to_string(), out),
        Bad::TooLong => at(&rules::DAT_QUOTE, "the line is too long for a row".into(), out),
        Bad::Utf8 => at(&rules::DAT_UTF8, "the line is not UTF-8".into(), out),
        Bad::Quote(place) => at(&rules::DAT_QUOTE, format!("value {place} is not between two quotes"), out),
    }
}

/// The columns by name, in capitals.
fn header(names: &[String], out: &mut Findings) -> Option<HashMap<String, usize>> {
    let mut columns = HashMap::new();
    for (place, name) in names.iter().enumerate() {
        let name = name.trim().to_uppercase();
        if name.is_empty() || columns.contains_key(&name) {
            out.add(&rules::DAT_HEADER, format!("column {} is `{}`, empty or there before", place + 1, quoted(&name)));
            return None;
        }
        columns.insert(name, place);
    }
    if !columns.contains_key("DOCID") {
        out.add(&rules::DAT_HEADER, "there is no column DOCID");
        return None;
    }
    Some(columns)
}

/// Numbers and dates.
fn form(row: &Row<'_>, out: &mut Findings) {
    let name = row.name();
    for column in COUNTS {
        if let Some(value) = row.get(column).filter(|v| v.parse::<u64>().is_err()) {
            out.at(&rules::DAT_COUNT, Some(&name), format!("{column} is `{}`", quoted(value)));
        }
    }
    let mut both = Vec::new();
    for column in ["BEGINDATE", "ENDDATE"] {
        let Some(value) = row.get(column) else { continue };
        match dates::parse(value) {
            Some(at) => both.push(at),
            None => out.at(&rules::DAT_DATE, Some(&name), format!("{column} is `{}`", quoted(value))),
        }
    }
    if let [begin, end] = both.as_slice()
        && begin > end
    {
        out.at(&rules::DAT_DATE, Some(&name), "ENDDATE is before BEGINDATE");
    }
}

/// The files that a row names.
fn files(around: &mut Around<'_>, table: &str, row: &Row<'_>, out: &mut Findings) {
    let name = row.name();
    for (column, digests) in PATHS {
        let Some(path) = row.get(column) else { continue };
        if !plain(path) {
            out.at(&rules::DAT_PATH, Some(&name), format!("{column} is `{}`", quoted(path)));
            continue;
        }
        let Some(file) = around.folder.named(table, path) else {
            out.at(&rules::DAT_PATH_MISSING, Some(&name), format!("{column} is `{}`", quoted(path)));
            continue;
        };
        if digests {
            native(around.folder, &file, row, around.rsmf.get(&file), out);
        }
        around.named.insert(file);
    }
}

/// The native file against what the row says of it.
fn native(folder: &mut Folder, file: &str, row: &Row<'_>, summary: Option<&Summary>, out: &mut Findings) {
    let name = row.name();
    let real = match folder.digests(file) {
        Ok(real) => real,
        Err(e) => return out.at(&rules::UNREADABLE, Some(&name), format!("{}: {e}", quoted(file))),
    };
    for (column, digest) in [("MD5HASH", &real.md5), ("SHA256HASH", &real.sha256)] {
        if let Some(said) = row.get(column).filter(|said| !said.eq_ignore_ascii_case(digest)) {
            let what = format!("{column} is `{}`, {} has {digest}", quoted(said), quoted(file));
            out.at(&rules::DAT_HASH, Some(&name), what);
        }
    }
    let number = |column| row.get(column).and_then(|v| v.parse::<u64>().ok());
    if let Some(said) = number("FILESIZE").filter(|said| *said != real.size) {
        out.at(&rules::DAT_SIZE, Some(&name), format!("FILESIZE is {said}, {} has {} bytes", quoted(file), real.size));
    }
    let Some(summary) = summary else { return };
    for (column, real) in [("EVENTCOUNT", summary.events), ("ATTACHCOUNT", summary.attachments)] {
        if let Some(said) = number(column).filter(|said| *said != real) {
            out.at(&rules::DAT_DIFFERS, Some(&name), format!("{column} is {said}, {} has {real}", quoted(file)));
        }
    }
}

fn document(row: &Row<'_>, out: &mut Findings) -> Option<Document> {
    let Some(id) = row.get("DOCID") else {
        out.at(&rules::DAT_DOCID_MISSING, Some(&row.number.to_string()), "the row has no DOCID");
        return None;
    };
    let own = |column| row.get(column).map(str::to_owned);
    Some(Document { id: id.to_owned(), begin: own("BEGATTACH"), end: own("ENDATTACH"), parent: own("PARENTID") })
}

/// Parents and attachments: one range for all of a family, begun by the parent.
fn families(documents: &[Document], out: &mut Findings) {
    let mut known: HashMap<&str, &Document> = HashMap::new();
    let mut twice = HashSet::new();
    for d in documents {
        if known.insert(&d.id, d).is_some() && twice.insert(&d.id) {
            out.at(&rules::DAT_DOCID_TWICE, Some(&d.id), "two rows have this DOCID");
        }
    }
    for d in documents {
        if let Some(what) = fault(d, &known) {
            out.at(&rules::DAT_FAMILY, Some(&d.id), what);
        }
    }
}

/// What is wrong with a document's place in its family.
fn fault(d: &Document, known: &HashMap<&str, &Document>) -> Option<String> {
    let unknown = |id: &Option<String>| id.as_deref().is_some_and(|id| !known.contains_key(id));
    if d.begin.is_some() != d.end.is_some() {
        return Some("BEGATTACH and ENDATTACH do not stand together".into());
    }
    if unknown(&d.begin) || unknown(&d.end) {
        return Some("BEGATTACH or ENDATTACH names no document of this file".into());
    }
    let Some(id) = d.parent.as_deref() else {
        let own = d.begin.as_deref().is_none_or(|begin| begin == d.id);
        return (!own).then(|| "it has no parent and another document begins its family".into());
    };
    match known.get(id) {
        None => Some(format!("parent `{}` is no document of this file", quoted(id))),
        Some(_) if id == d.id => Some("it is its own parent".into()),
        Some(parent) if (&parent.begin, &parent.end) != (&d.begin, &d.end) => {
            Some(format!("parent `{}` has another BEGATTACH or ENDATTACH", quoted(id)))
        }
        Some(_) => None,
    }
}
