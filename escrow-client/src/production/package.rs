//! What all packages have: the bag, the counts, the problems, the custody report, and the words that
//! say which release it is.

use super::bag::{Bag, Open, Sums};
use super::event::{Attachment, Conversation, EventKind, Slice};
use super::selection::Selection;
use super::source::Source;
use super::{Format, Order, Problem, Produced, ProductionError};
use escrow_core::{Digest, Timestamp};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

/// The product and its version, as files name them.
pub(super) const GENERATOR: &str = concat!("escrow ", env!("CARGO_PKG_VERSION"));

/// Which release this is, for headers and tables.
#[derive(Clone, Debug)]
pub(super) struct Provenance {
    pub(super) org: String,
    pub(super) matter: String,
    pub(super) release: Digest,
    pub(super) recipient: String,
    pub(super) evidence: Digest,
    pub(super) verdict: &'static str,
    pub(super) positions: String,
    custody: (Vec<u8>, Vec<u8>),
}

/// One line of `counts.csv`.
pub(super) struct Counted {
    pub(super) file: String,
    pub(super) conversation: String,
    pub(super) span: Option<(Timestamp, Timestamp)>,
    pub(super) tally: Tally,
    pub(super) sums: Sums,
}

/// How much is told.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) events: u64,
    pub(super) messages: u64,
    pub(super) attachments: u64,
    pub(super) undecryptable: u64,
}

impl Tally {
    pub(super) fn of(slice: &Slice<'_>) -> Self {
        let of = |kind| slice.events.iter().filter(|e| e.kind == kind).count() as u64;
        Self {
            events: slice.events.len() as u64,
            messages: of(EventKind::Message),
            attachments: slice.events.iter().map(|e| e.attachments.len() as u64).sum(),
            undecryptable: of(EventKind::Unknown),
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.events += other.events;
        self.messages += other.messages;
        self.attachments += other.attachments;
        self.undecryptable += other.undecryptable;
    }
}

/// A file that grows slice by slice, as those of lines and pages do.
pub(super) struct Growing {
    path: String,
    file: Open,
    tally: Tally,
    span: Option<(Timestamp, Timestamp)>,
}

impl Growing {
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), ProductionError> {
        self.file.write(bytes)
    }

    /// Counts a slice that is in it.
    pub(super) fn told(&mut self, slice: &Slice<'_>) {
        self.tally.add(Tally::of(slice));
        let Some((begin, end)) = slice.span() else { return };
        let (first, last) = self.span.unwrap_or((begin, end));
        self.span = Some((first.min(begin), last.max(end)));
    }
}

pub(super) struct Package {
    pub(super) bag: Bag,
    pub(super) provenance: Provenance,
    pub(super) selection: Selection,
    format: Format,
    counts: Vec<Counted>,
    conversations: BTreeSet<String>,
}

impl Package {
    pub(super) fn begin(order: &Order<'_>) -> Result<Self, ProductionError> {
        let (source, evidence) = (order.source, order.evidence);
        let provenance = Provenance {
            org: source.about.org.to_string(),
            matter: source.about.matter.to_string(),
            release: source.about.release,
            recipient: source.about.recipient.as_ref().map_or_else(String::new, ToString::to_string),
            evidence: evidence.digest,
            verdict: evidence.verdict,
            positions: evidence.positions(),
            custody: (evidence.html.clone(), evidence.json.clone()),
        };
        Ok(Self {
            bag: Bag::begin(Path::new(order.out))?,
            provenance,
            selection: order.selection.clone(),
            format: order.format,
            counts: Vec::new(),
            conversations: BTreeSet::new(),
        })
    }

    /// Adds the clear file of an attachment beside the format's files, once; answers where it lies.
    pub(super) fn attachment(&mut self, source: &Source<'_>, of: &Attachment) -> Result<String, ProductionError> {
        let path = format!("attachments/{}", of.file_name());
        if !self.bag.has(&path) {
            self.bag.file(&path, |out| source.extract(of.item, &of.file, out).map_err(ProductionError::Changed))?;
        }
        Ok(path)
    }

    /// Opens a file that takes all of a conversation.
    pub(super) fn open(&self, path: String) -> Result<Growing, ProductionError> {
        let file = self.bag.open(&path)?;
        Ok(Growing { path, file, tally: Tally::default(), span: None })
    }

    /// Ends it and puts it on the list.
    pub(super) fn close(&mut self, growing: Growing, of: &Conversation) -> Result<(), ProductionError> {
        let Growing { path, file, tally, span } = growing;
        let sums = self.bag.close(file)?;
        self.count(Counted { file: format!("data/{path}"), conversation: of.id.clone(), span, tally, sums });
        Ok(())
    }

    /// Puts a file of the format on the list.
    pub(super) fn count(&mut self, counted: Counted) {
        self.conversations.insert(counted.conversation.clone());
        self.counts.push(counted);
    }

    /// Adds what all packages have, and moves the package into its place.
    pub(super) fn finish(mut self, problems: Vec<Problem>) -> Result<Produced, ProductionError> {
        if self.counts.is_empty() {
            return Err(ProductionError::Nothing);
        }
        let mut total = Tally::default();
        self.counts.iter().for_each(|c| total.add(c.tally));
        let (counts, errors) = (self.counts_csv()?, errors_csv(&problems)?);
        let readme = self.readme(total, problems.len());
        let custody = std::mem::take(&mut self.provenance.custody);
        for (path, bytes) in [
            ("counts.csv", counts),
            ("errors.csv", errors),
            ("README.txt", readme.into_bytes()),
            ("custody/custody.html", custody.0),
            ("custody/custody.json", custody.1),
        ] {
            self.bag.file(path, |out| Ok(out.write_all(&bytes)?))?;
        }
        let p = &self.provenance;
        let info = format!(
            "Bag-Software-Agent: {GENERATOR}\nSource-Organization: {}\nContact-Name: {}\nExternal-Identifier: {}\n\
             Bag-Group-Identifier: {}\nExternal-Description: {} production of a release, evidence {}\n",
            p.org,
            p.recipient,
            p.matter,
            p.release,
            self.format.name(),
            p.evidence
        );
        let files = self.counts.len() as u64;
        let conversations = self.conversations.len() as u64;
        self.bag.finish(&info)?;
        let Tally { events, messages, attachments, undecryptable } = total;
        Ok(Produced { conversations, files, lines: 0, events, messages, attachments, undecryptable, problems })
    }

    fn counts_csv(&self) -> Result<Vec<u8>, ProductionError> {
        let mut out = csv::Writer::from_writer(Vec::new());
        let head = [
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
        out.write_record(head)?;
        for c in &self.counts {
            let at = |t: Option<Timestamp>| t.map_or_else(String::new, |t| self.selection.zone.text(t));
            out.write_record([
                c.file.clone(),
                cell(&c.conversation),
                at(c.span.map(|s| s.0)),
                at(c.span.map(|s| s.1)),
                c.tally.events.to_string(),
                c.tally.messages.to_string(),
                c.tally.attachments.to_string(),
                c.tally.undecryptable.to_string(),
                c.sums.bytes.to_string(),
                c.sums.md5.clone(),
                c.sums.sha256.clone(),
            ])?;
        }
        Ok(out.into_inner().map_err(|e| e.into_error())?)
    }

    fn readme(&self, total: Tally, problems: usize) -> String {
        let p = &self.provenance;
        let s = &self.selection;
        let mut text = format!(
            "PRODUCTION ({}) for matter {} of {}\n\n\
             Messages made readable by release {}\nto {}. They are confidential.\n\n\
             Time asked for: {} up to {} (zone {}).\n",
            self.format.name(),
            p.matter,
            p.org,
            p.release,
            p.recipient,
            s.zone.spaced(s.from),
            s.zone.spaced(s.to),
            s.zone
        );
        if s.context_messages > 0 || s.context_hours > 0 {
            let _ = writeln!(
                text,
                "Context around it: {} messages, {} hours; such events say so (custom `context`).",
                s.context_messages, s.context_hours
            );
        }
        let _ = write!(
            text,
            "\n{} events, {} messages and {} attachments in {} files; {problems} remarks in errors.csv.\n\n\
             counts.csv            each file with its counts and digests\n\
             errors.csv            what could not be read, is missing, or looks odd\n\
             custody/custody.html  who did what when, to print\n\
             custody/custody.json  the same for programs\n\n\
             The evidence that this release was lawful is the bundle with digest\n{}\n\
             ({} when this was made; deliveries at node/entry {}).\n\n\
             To check this package: escrow export verify FOLDER\n\
             By hand: sha256sum -c tagmanifest-sha256.txt && sha256sum -c manifest-sha256.txt\n",
            total.events,
            total.messages,
            total.attachments,
            self.counts.len(),
            p.evidence,
            p.verdict,
            p.positions
        );
        text
    }
}

fn errors_csv(problems: &[Problem]) -> Result<Vec<u8>, ProductionError> {
    let mut out = csv::Writer::from_writer(Vec::new());
    out.write_record(["file", "event", "rule", "what"])?;
    for p in problems {
        out.write_record([&cell(&p.file), &cell(&p.event), p.rule, &cell(&p.what)])?;
    }
    Ok(out.into_inner().map_err(|e| e.into_error())?)
}

/// Text of strangers in a table: what a spreadsheet would take for a formula is marked as text.
fn cell(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}
