//! The release as a review platform loads it.

use super::main_job::MainJob;
use super::story::{DemoError, During as _, Teller};
use escrow_client::Replies;
use escrow_client::archive::Directory;
use escrow_client::production::{Evidence, Format, Order, Source, produce};

impl MainJob {
    /// Chapter 7: the same messages as a review platform loads them.
    pub(super) fn produce(&mut self, teller: &mut Teller) -> Result<(), DemoError> {
        teller.chapter("7. The production");
        let bundle = self.bundle.as_deref().during("finding the evidence")?;
        let erik = self.officer("erik")?;
        let key = erik.identity().sealing().during("finding the recipient's key")?;
        let replies = Replies::load(&self.dir.join("replies.json")).during("reading the sealed replies")?;
        let directory = Directory::load(&self.dir.join("directory.json"), &self.org).during("reading the directory")?;
        let (archive, charters) = (self.archive_dir(), self.charters().clone());
        let source = Source::open(&replies, &charters, key, &archive, Some(&self.tokens), &directory)
            .during("opening the release")?;
        let evidence =
            Evidence::read(bundle, &charters.genesis(), &source.about().release).during("verifying the evidence")?;
        let out = self.dir.join("production");
        let order = Order {
            source: &source,
            selection: &source.about().selection,
            evidence: &evidence,
            format: Format::Rsmf,
            out: &out,
        };
        let produced = produce(&order, &|_, _| {}).during("writing the production")?;
        let expected = self.counts.get("messages_opened").copied().unwrap_or_default();
        teller.step(
            "RSMF",
            "every opened message is an event of a file that review platforms load",
            format!(
                "{} messages in {} files, in a bag with counts, digests and the custody report",
                produced.lines, produced.files
            ),
            produced.lines == expected && produced.whole(),
        );
        self.production = Some(out);
        Ok(())
    }
}
