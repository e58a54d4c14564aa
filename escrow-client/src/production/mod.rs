//! Productions: what was released, in the formats that review platforms, lawyers and people read.
//!
//! A [`Source`] is a release opened by its recipient; [`produce`] writes one package of it: an RSMF
//! 2.0.0 file for each conversation and day ([`Format::Rsmf`]), the same with a Concordance load file,
//! the exact lines, or one page a thread. Every package is a BagIt bag with `counts.csv`,
//! `errors.csv` and the custody report of the evidence that it was made with; [`verify`] checks one.
//!
//! **Promises.** Nothing released is dropped unseen: what cannot be opened or understood is told as
//! an event of type `unknown`, or counted, and stands in `errors.csv`. The same release, evidence, names
//! and options give the same bytes, whatever the clock, locale or folder. Memory holds one
//! segment, the days that it touches, and ids and places of one thread.
//!
//! **Threat.** A package holds messages in clear: its files are 0600 and nobody's but the recipient's.
//! Texts of strangers are escaped wherever they could steer a reader's program.

mod bag;
mod dat;
mod event;
mod evidence;
mod html;
mod jsonl;
mod package;
mod rsmf;
mod selection;
mod source;
mod survey;
mod tell;
mod text;
pub mod verify;

pub use evidence::{Evidence, EvidenceError};
pub use selection::Selection;
pub use source::{About, Source};
pub use survey::Problem;
pub use tell::EVENTS_MAX;

use crate::archive::FileError;
use crate::open::OpenError;
use event::{Conversation, Slice};
use package::Package;
use std::path::{Path, PathBuf};
use survey::Survey;
use tell::Teller;

/// Why there is no package. The target is then as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProductionError {
    /// The replies do not open.
    #[error(transparent)]
    Replies(#[from] OpenError),
    /// A self-recovery has no matter to produce for.
    #[error("these replies are of a self-recovery, which belongs to no matter; open them with `escrow archive open`")]
    NoRequest,
    /// Something is there already.
    #[error("{} exists and is not an empty folder; name another", .0.display())]
    Occupied(PathBuf),
    /// A segment that opened a moment ago does not any more.
    #[error("the archive changed while it was read: {0}; let nobody write to it and export again")]
    Changed(String),
    /// The disk.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file could not be put together.
    #[error("cannot write the package: {0}")]
    Write(#[from] std::io::Error),
    /// The archive inside an RSMF file could not be put together.
    #[error("cannot write the package: {0}")]
    Zip(#[from] zip::result::ZipError),
    /// A table could not be put together.
    #[error("cannot write the package: {0}")]
    Csv(#[from] csv::Error),
    /// Nothing lies in the range.
    #[error(
        "nothing of the release lies in the time asked for; nothing was written. Look at the range with `escrow request show`"
    )]
    Nothing,
}

/// The formats there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Relativity Short Message Format 2.0.0.
    Rsmf,
    /// A Concordance load file over the same RSMF files, their texts and attachments.
    Dat,
    /// The exact lines that were sealed, a file for each thread.
    Jsonl,
    /// One page for each thread that needs nothing else.
    Html,
}

impl Format {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rsmf => "rsmf",
            Self::Dat => "dat",
            Self::Jsonl => "jsonl",
            Self::Html => "html",
        }
    }
}

/// What to produce.
#[derive(Debug)]
pub struct Order<'a> {
    /// The release.
    pub source: &'a Source<'a>,
    /// Which part of it.
    pub selection: &'a Selection,
    /// The evidence that it was released lawfully.
    pub evidence: &'a Evidence,
    /// In which format.
    pub format: Format,
    /// Folder to make.
    pub out: &'a Path,
}

/// What was produced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Produced {
    /// Conversations with at least one event.
    pub conversations: u64,
    /// Files of the format.
    pub files: u64,
    /// Lines told, each as an event or on the event that it changed.
    pub lines: u64,
    /// Events told.
    pub events: u64,
    /// Messages among them.
    pub messages: u64,
    /// Attachments told.
    pub attachments: u64,
    /// What could not be decrypted.
    pub undecryptable: u64,
    /// Everything that stands in `errors.csv`.
    pub problems: Vec<Problem>,
}

impl Produced {
    /// True if nothing stayed closed or was lost.
    #[must_use]
    pub fn whole(&self) -> bool {
        self.problems.iter().all(|p| !matches!(p.rule, "undecryptable" | "attachment-missing" | "missing-lines"))
    }
}

/// What takes the events of a production; one for each format.
trait Sink {
    /// One line that is told, as it was sealed.
    fn line(&mut self, _of: &Conversation, _bytes: &[u8]) -> Result<(), ProductionError> {
        Ok(())
    }

    /// One file's worth of events.
    fn slice(&mut self, source: &Source<'_>, slice: &Slice<'_>) -> Result<(), ProductionError>;

    /// The thread has ended.
    fn end(&mut self, _of: &Conversation) -> Result<(), ProductionError> {
        Ok(())
    }

    /// The package, with everything that the format adds at the end.
    fn finish(self: Box<Self>) -> Result<Package, ProductionError>;
}

/// Writes one package. `progress` is told how many of how many segments were read.
///
/// # Errors
/// [`ProductionError`]; then the target is as it was.
pub fn produce(order: &Order<'_>, progress: &dyn Fn(u64, u64)) -> Result<Produced, ProductionError> {
    let threads = order.source.threads();
    let total = 2 * threads.iter().map(|t| t.items.len() as u64).sum::<u64>();
    let done = std::cell::Cell::new(0);
    let step = || {
        done.set(done.get() + 1);
        progress(done.get(), total);
    };
    let package = Package::begin(order)?;
    let mut sink: Box<dyn Sink> = match order.format {
        Format::Rsmf => Box::new(rsmf::Files::new(package)),
        Format::Dat => Box::new(dat::LoadFile::new(package)),
        Format::Jsonl => Box::new(jsonl::Lines::new(package)),
        Format::Html => Box::new(html::Pages::new(package)),
    };
    let lost = order.source.lost.iter().map(|(item, why)| Problem {
        file: String::new(),
        event: item.to_string(),
        rule: "undecryptable",
        what: format!("an item of the request: {why}"),
    });
    let (mut problems, mut lines) = (lost.collect::<Vec<_>>(), 0);
    for (number, thread) in (1..).zip(&threads) {
        let survey = Survey::of(order.source, thread, step);
        let conversation = survey.conversation(order.source, thread, number);
        let chosen = order.selection.within(survey.places.clone());
        let mut teller = Teller::new(order.source, &survey, &conversation, chosen, &order.selection.zone);
        teller.tell(thread, sink.as_mut(), step)?;
        problems.append(&mut teller.problems);
        lines += teller.lines;
        sink.end(&conversation)?;
    }
    Ok(Produced { lines, ..sink.finish()?.finish(problems)? })
}
