//! A release as exporters read it: its items by thread, each opened when it is needed.

use super::ProductionError;
use crate::archive::{AttachmentRef, Directory, OpenError, OpenOptions, OpenedSegment, open_attachment, open_item};
use crate::open::{OpenError as ReplyError, Opened, ReleasedItem, released_items};
use crate::{Charters, Replies, open_replies};
use escrow_core::request::Request;
use escrow_core::sealing::SealingSecret;
use escrow_core::{Digest, Envelope, ItemId, Org, ThreadKey, Token, TokenKey};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io::Write;
use std::path::Path;

/// What an export reads.
pub struct Source<'a> {
    /// The folder of the archive.
    pub archive: &'a Path,
    /// The organisation.
    pub org: &'a Org,
    /// Its token key, if it is at hand: tells which ids the tokens stand for.
    pub tokens: Option<&'a TokenKey>,
    /// Names of people on this machine.
    pub directory: &'a Directory,
    /// The request as it was signed.
    pub request: Request,
    /// Its digest, which names the release.
    pub release: Digest,
    keys: BTreeMap<ItemId, ThreadKey>,
    failed: BTreeMap<ItemId, String>,
    items: Vec<ReleasedItem>,
}

impl fmt::Debug for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({} items, redacted)", self.items.len())
    }
}

/// The items of one thread by time.
pub(super) struct Thread {
    pub(super) token: Token,
    /// Positions in the source, ascending by window.
    pub(super) items: Vec<usize>,
}

impl<'a> Source<'a> {
    /// Opens the replies of a release with the recipient's key.
    ///
    /// # Errors
    /// [`ProductionError`] if not one item opens, or the replies are of another release or recipient.
    pub fn open(
        replies: &Replies,
        charters: &'a Charters,
        key: &SealingSecret,
        archive: &'a Path,
        tokens: Option<&'a TokenKey>,
        directory: &'a Directory,
    ) -> Result<Self, ProductionError> {
        let malformed = |e: String| ProductionError::Replies(ReplyError::Malformed(e));
        let envelope = Envelope::parse(&replies.request.0).map_err(|e| malformed(e.to_string()))?;
        let request: Request = envelope.decode().map_err(|_| ProductionError::NoRequest)?;
        let Opened { keys, failed, .. } = open_replies(charters, replies, key)?;
        let mut items = released_items(replies)?;
        items.sort_by_key(|i| (i.about.thread, i.about.from, i.about.era, i.about.epoch, i.item));
        Ok(Self {
            archive,
            org: &charters.current().org,
            tokens,
            directory,
            request,
            release: envelope.digest(),
            keys: keys.into_iter().map(|k| (k.item, k.key)).collect(),
            failed: failed.into_iter().map(|(item, e)| (item, e.to_string())).collect(),
            items,
        })
    }

    /// The released items.
    pub(super) fn item(&self, at: usize) -> Option<&ReleasedItem> {
        self.items.get(at)
    }

    /// The threads by token, each with its items by window.
    pub(super) fn threads(&self) -> Vec<Thread> {
        let mut threads: Vec<Thread> = Vec::new();
        for (at, item) in self.items.iter().enumerate() {
            match threads.last_mut().filter(|t| t.token == item.about.thread) {
                Some(thread) => thread.items.push(at),
                None => threads.push(Thread { token: item.about.thread, items: vec![at] }),
            }
        }
        threads
    }

    /// Opens one item, or says in words why it stays closed.
    pub(super) fn segment(&self, at: usize) -> Result<OpenedSegment, String> {
        let item = self.item(at).ok_or("no such item")?;
        let closed = |e: OpenError| e.to_string();
        open_item(&self.options(), &item.about, self.key(&item.item)?).map_err(closed)
    }

    /// Writes out a file that a line of an item names, or says in words why not; what was written
    /// is then worth nothing.
    pub(super) fn extract(&self, at: usize, file: &AttachmentRef, mut out: &mut dyn Write) -> Result<(), String> {
        let item = self.item(at).ok_or("no such item")?;
        let key = self.key(&item.item)?;
        open_attachment(self.archive, key, &item.about, file, &mut out).map_err(|e| e.to_string())
    }

    fn key(&self, item: &ItemId) -> Result<&ThreadKey, String> {
        let why = || self.failed.get(item).map_or("its key is not in the release", String::as_str);
        self.keys.get(item).ok_or_else(|| why().to_owned())
    }

    fn options(&self) -> OpenOptions<'_> {
        OpenOptions { dir: self.archive, org: self.org, tokens: self.tokens }
    }

    /// Names by id of everybody whom the directory knows by one.
    pub(super) fn names(&self) -> HashMap<&str, &str> {
        let named = self.directory.subjects().iter().filter_map(|s| Some((s.id.as_str(), s.name.as_deref()?)));
        named.collect()
    }

    /// The id that a token stands for, as far as this machine knows.
    pub(super) fn id_of(&self, token: &Token) -> Option<&str> {
        self.directory.subject_of(token).map(|s| s.id.as_str())
    }
}
