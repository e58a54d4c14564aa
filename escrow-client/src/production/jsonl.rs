//! The exact lines that were sealed, in the order of the archive within each segment: one file for
//! each thread.

use super::event::{Conversation, Slice};
use super::package::{Growing, Package};
use super::source::Source;
use super::{ProductionError, Sink};

pub(super) struct Lines {
    package: Package,
    thread: Option<Growing>,
}

impl Lines {
    pub(super) fn new(package: Package) -> Self {
        Self { package, thread: None }
    }

    fn thread(&mut self, of: &Conversation) -> Result<&mut Growing, ProductionError> {
        let open = match self.thread.take() {
            Some(open) => open,
            None => self.package.open(format!("jsonl/{:05}.jsonl", of.number))?,
        };
        Ok(self.thread.insert(open))
    }
}

impl Sink for Lines {
    fn line(&mut self, of: &Conversation, bytes: &[u8]) -> Result<(), ProductionError> {
        let thread = self.thread(of)?;
        thread.write(bytes)?;
        thread.write(b"\n")
    }

    fn slice(&mut self, source: &Source<'_>, slice: &Slice<'_>) -> Result<(), ProductionError> {
        self.thread(slice.conversation)?.told(slice);
        for a in slice.events.iter().flat_map(|e| &e.attachments) {
            self.package.attachment(source, a)?;
        }
        Ok(())
    }

    fn end(&mut self, of: &Conversation) -> Result<(), ProductionError> {
        self.thread.take().map_or(Ok(()), |thread| self.package.close(thread, of))
    }

    fn finish(self: Box<Self>) -> Result<Package, ProductionError> {
        Ok(self.package)
    }
}
