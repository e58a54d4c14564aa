//! Reading a log to its end, page by page.

use crate::client::Client;
use crate::outcome::NodeError;
use crate::transport::Node;
use escrow_core::query::{ENTRIES_PER_ANSWER, EntryRange, Question};
use escrow_core::wire::EntriesAnswer;
use std::collections::BTreeSet;

/// Pages read before a log counts as endless: more than any real log has.
const PAGES_MAX: usize = 1_000_000;

impl Client {
    /// How many logs the charters have ever given to a node's seat; they are numbered from 1.
    pub(crate) fn logs_of(&self, node: &Node) -> u32 {
        let seats = self.charters().versions().filter_map(|c| c.seat(node.seat()));
        let origins: BTreeSet<&str> = seats.map(|s| s.log_origin.as_str()).collect();
        u32::try_from(origins.len()).unwrap_or(u32::MAX)
    }

    /// Reads a log from a position to its end; `take` gets the position at which a page begins, and the
    /// page. Each page comes with the node's checkpoint for the size at that moment; the page that
    /// reaches it ends the log, and its checkpoint is the result.
    ///
    /// # Errors
    /// [`NodeError`].
    pub(crate) async fn pages(
        &self,
        node: &Node,
        log: u32,
        from: u64,
        mut take: impl FnMut(u64, EntriesAnswer) + Send,
    ) -> Result<String, NodeError> {
        let (mut next, mut count) = (from, ENTRIES_PER_ANSWER);
        for _ in 0..PAGES_MAX {
            let range = EntryRange { log, from: next, count };
            let page: EntriesAnswer = match self.ask(node, Question::Entries(range)).await {
                // Entries with large deposits: take smaller pages.
                Err(NodeError::Problem(p)) if p.code == "too-large" && count > 1 => {
                    count /= 2;
                    continue;
                }
                other => other?,
            };
            let have = next.saturating_add(page.entries.len() as u64);
            if have > page.size || (have == next && have < page.size) {
                return Err(NodeError::Protocol(format!(
                    "it says that its log has {} entries and handed over {have}",
                    page.size
                )));
            }
            let (begins, size, checkpoint) = (next, page.size, page.checkpoint.clone());
            take(begins, page);
            if have == size {
                return Ok(checkpoint);
            }
            next = have;
        }
        Err(NodeError::Protocol("its log does not end".into()))
    }
}
