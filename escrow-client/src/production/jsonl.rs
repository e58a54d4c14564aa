//! The exact lines that were sealed, in the order of the archive within each segment: one file for
//! each thread.

use super::bag::Open;
use super::event::{Conversation, Slice};
use super::package::{Counted, Package, Tally};
use super::source::Source;
use super::{ProductionError, Sink};
use escrow_core::Timestamp;

pub(super) struct Lines {
    package: Package,
    thread: Option<Thread>,
}

struct Thread {
    path: String,
    file: Open,
    tally: Tally,
    span: Option<(Timestamp, Timestamp)>,
}

impl Lines {
    pub(super) fn new(package: Package) -> Self {
        Self { package, thread: None }
    }

    fn thread(&mut self, of: &Conversation) -> Result<&mut Thread, ProductionError> {
        if self.thread.is_none() {
            let path = format!("jsonl/{:05}.jsonl", of.number);
            let file = self.package.bag.open(&path)?;
            self.thread = Some(Thread { path, file, tally: Tally::default(), span: None });
        }
        self.thread.as_mut().ok_or(ProductionError::Nothing)
    }
}

impl Sink for Lines {
    fn line(&mut self, of: &Conversation, bytes: &[u8]) -> Result<(), ProductionError> {
        let thread = self.thread(of)?;
        thread.file.write(bytes)?;
        thread.file.write(b"\n")
    }

    fn slice(&mut self, source: &Source<'_>, slice: &Slice<'_>) -> Result<(), ProductionError> {
        let thread = self.thread(slice.conversation)?;
        thread.tally.add(Tally::of(slice));
        let (begin, end) = slice.span().unwrap_or((Timestamp::MAX, Timestamp::EPOCH));
        let span = thread.span.get_or_insert((begin, end));
        *span = (span.0.min(begin), span.1.max(end));
        for a in slice.events.iter().flat_map(|e| &e.attachments) {
            self.package.attachment(source, a)?;
        }
        Ok(())
    }

    fn end(&mut self, of: &Conversation) -> Result<(), ProductionError> {
        let Some(Thread { path, file, tally, span }) = self.thread.take() else { return Ok(()) };
        let sums = self.package.bag.close(file)?;
        self.package.count(Counted { file: format!("data/{path}"), conversation: of.id.clone(), span, tally, sums });
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Package, ProductionError> {
        Ok(self.package)
    }
}
