//! A Concordance load file for platforms that do not read RSMF by themselves: each RSMF file is a
//! document with its text, each attachment a document of its family.
//!
//! Field marks are the usual ones: þ (U+00FE) around each value, U+0014 between columns, ® (U+00AE) for a
//! line break inside a value, `;` between several values; UTF-8 with a byte order mark.

use super::bag::Sums;
use super::event::{Attachment, Slice};
use super::package::{Counted, Package, Tally};
use super::source::Source;
use super::{ProductionError, Sink, rsmf, text};
use std::fmt::Write as _;

const QUOTE: char = '\u{fe}';
const COLUMN: char = '\u{14}';
const BREAK: &str = "\u{ae}";

const FIELDS: [&str; 25] = [
    "DOCID",
    "BEGATTACH",
    "ENDATTACH",
    "PARENTID",
    "CUSTODIAN",
    "DUPCUSTODIAN",
    "MATTERID",
    "CONVERSATIONID",
    "CONVERSATIONNAME",
    "PLATFORM",
    "PARTICIPANTS",
    "BEGINDATE",
    "ENDDATE",
    "TIMEZONE",
    "EVENTCOUNT",
    "ATTACHCOUNT",
    "FILENAME",
    "FILEEXT",
    "FILESIZE",
    "MD5HASH",
    "SHA256HASH",
    "NATIVEPATH",
    "TEXTPATH",
    "RELEASEID",
    "CONFIDENTIALITY",
];

pub(super) struct LoadFile {
    package: Package,
    rows: String,
    documents: u64,
}

/// What the documents of one family have in common.
struct Family<'a> {
    slice: &'a Slice<'a>,
    first: String,
    last: String,
}

/// What is each document's own.
struct Document<'a> {
    id: String,
    parent: String,
    name: &'a str,
    extension: &'a str,
    native: String,
    text: String,
    counts: (String, String),
    sums: &'a Sums,
}

impl LoadFile {
    pub(super) fn new(package: Package) -> Self {
        let rows = format!("\u{feff}{}", row(&FIELDS.map(str::to_owned)));
        Self { package, rows, documents: 0 }
    }

    fn next(&mut self) -> String {
        self.documents += 1;
        format!("ESC{:09}", self.documents)
    }

    fn document(&mut self, family: &Family<'_>, d: &Document<'_>) {
        let (slice, p, zone) = (family.slice, &self.package.provenance, &self.package.selection.zone);
        let c = slice.conversation;
        let (begin, end) = slice.span().map_or_else(Default::default, |(b, e)| (zone.text(b), zone.text(e)));
        // A semicolon separates names, so none may hold one.
        let names: Vec<String> = slice.people().into_values().map(|n| n.replace(';', ",")).collect();
        let values = [
            d.id.clone(),
            family.first.clone(),
            family.last.clone(),
            d.parent.clone(),
            slice.custodian().map_or_else(String::new, |id| slice.display(id).to_owned()),
            String::new(),
            p.matter.clone(),
            c.token.to_string(),
            c.display.clone(),
            c.platform.clone(),
            names.join(";"),
            begin,
            end,
            zone.to_string(),
            d.counts.0.clone(),
            d.counts.1.clone(),
            d.name.to_owned(),
            d.extension.to_owned(),
            d.sums.bytes.to_string(),
            d.sums.md5.clone(),
            d.sums.sha256.clone(),
            d.native.clone(),
            d.text.clone(),
            p.release.to_string(),
            "CONFIDENTIAL".to_owned(),
        ];
        self.rows.push_str(&row(&values));
    }
}

impl Sink for LoadFile {
    fn slice(&mut self, source: &Source<'_>, slice: &Slice<'_>) -> Result<(), ProductionError> {
        let attachments: Vec<&Attachment> = slice.events.iter().flat_map(|e| &e.attachments).collect();
        let first = self.next();
        let ids: Vec<String> = attachments.iter().map(|_| self.next()).collect();
        let family = Family { slice, first: first.clone(), last: ids.last().unwrap_or(&first).clone() };
        let (native, words) = (format!("natives/{first}.rsmf"), format!("text/{first}.txt"));
        let (provenance, zone) = (&self.package.provenance, &self.package.selection.zone);
        let sums = rsmf::write(&mut self.package.bag, &native, provenance, zone, source, slice)?;
        let extracted = text::of(slice, &self.package.selection.zone);
        self.package.bag.file(&words, |out| Ok(out.write_all(extracted.as_bytes())?))?;
        let tally = Tally::of(slice);
        let name = format!("{}.rsmf", slice.name());
        self.document(
            &family,
            &Document {
                id: first.clone(),
                parent: String::new(),
                name: &name,
                extension: "rsmf",
                native: native.clone(),
                text: words,
                counts: (tally.events.to_string(), tally.attachments.to_string()),
                sums: &sums,
            },
        );
        for (id, a) in ids.into_iter().zip(attachments) {
            let extension = a.extension();
            let dot = if extension.is_empty() { "" } else { "." };
            let native = format!("natives/{id}{dot}{extension}");
            let sums = self
                .package
                .bag
                .file(&native, |out| source.extract(a.item, &a.file, out).map_err(ProductionError::Changed))?;
            let parent = first.clone();
            let (name, text, counts) = (a.file.name.as_str(), String::new(), (String::new(), String::new()));
            self.document(&family, &Document { id, parent, name, extension, native, text, counts, sums: &sums });
        }
        self.package.count(Counted {
            file: format!("data/{native}"),
            conversation: slice.conversation.id.clone(),
            span: slice.span(),
            tally,
            sums,
        });
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<Package, ProductionError> {
        let rows = std::mem::take(&mut self.rows);
        self.package.bag.file("load.dat", |out| Ok(out.write_all(rows.as_bytes())?))?;
        Ok(self.package)
    }
}

/// One line; marks inside a value are taken out, as the format has no escape for them.
fn row<const N: usize>(values: &[String; N]) -> String {
    let mut out = String::new();
    for (n, value) in values.iter().enumerate() {
        let value = value.replace("\r\n", BREAK).replace(['\r', '\n'], BREAK).replace([QUOTE, COLUMN], " ");
        let column = if n == 0 { String::new() } else { COLUMN.to_string() };
        let _ = write!(out, "{column}{QUOTE}{value}{QUOTE}");
    }
    out.push_str("\r\n");
    out
}
