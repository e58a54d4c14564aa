//! A release as exporters read it: its items by thread, each opened when it is needed.

use super::{ProductionError, Selection};
use crate::archive::{AttachmentRef, Directory, OpenOptions, OpenedSegment, open_attachment, open_item};
use crate::open::{OpenError as ReplyError, Opened, ReleasedItem, released_items};
use crate::{Charters, Replies, open_replies};
use escrow_core::request::Request;
use escrow_core::sealing::SealingSecret;
use escrow_core::{Digest, Envelope, ItemId, MatterId, Org, PersonId, ThreadKey, Token, TokenKey};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::io::Write;
use std::path::Path;

/// Which release an export is of, and where its files lie.
pub struct About<'a> {
    /// The folder of the archive.
    pub archive: &'a Path,
    /// The organisation.
    pub org: &'a Org,
    /// Its token key, if it is at hand: tells which ids the tokens stand for.
    pub tokens: Option<&'a TokenKey>,
    /// Names of people on this machine.
    pub directory: &'a Directory,
    /// The request's digest, which names the release.
    pub release: Digest,
    /// The matter.
    pub matter: MatterId,
    /// Who received it, if that is a person of the charter.
    pub recipient: Option<PersonId>,
    /// What was asked for.
    pub selection: Selection,
}

impl fmt::Debug for About<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "About(release {}, redacted)", self.release.short())
    }
}

/// What an export reads: the items of a release, with the keys that opened.
pub struct Source<'a> {
    pub(super) about: About<'a>,
    items: Vec<(ReleasedItem, Result<ThreadKey, String>)>,
    /// Items of which not even the thread is known, as their deposit is not there.
    pub(super) lost: Vec<(ItemId, String)>,
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
        let mut keys: BTreeMap<ItemId, ThreadKey> = keys.into_iter().map(|k| (k.item, k.key)).collect();
        let why = |item: &ItemId| {
            failed.get(item).map_or_else(|| "its key is not in the release".to_owned(), ToString::to_string)
        };
        let items: Vec<_> = released_items(replies)?
            .into_iter()
            .map(|item| {
                let key = keys.remove(&item.item).ok_or_else(|| why(&item.item));
                (item, key)
            })
            .collect();
        let known: BTreeSet<ItemId> = items.iter().map(|(i, _)| i.item).collect();
        let lost = request.items.iter().filter(|i| !known.contains(i)).map(|i| (*i, why(i))).collect();
        let about = About {
            archive,
            org: &charters.current().org,
            tokens,
            directory,
            release: envelope.digest(),
            selection: Selection::of(&request),
            matter: request.matter,
            recipient: request.recipient.person().cloned(),
        };
        Ok(Self { lost, ..Self::new(about, items) })
    }

    /// From items whose keys somebody opened already, or could not open and says why.
    #[must_use]
    pub fn new(about: About<'a>, mut items: Vec<(ReleasedItem, Result<ThreadKey, String>)>) -> Self {
        items.sort_by(|(a, _), (b, _)| {
            let key = |i: &ReleasedItem| (i.about.thread, i.about.from, i.about.era, i.about.epoch, i.item);
            key(a).cmp(&key(b))
        });
        items.dedup_by_key(|(i, _)| i.item);
        Self { about, items, lost: Vec::new() }
    }

    /// Which release this is.
    #[must_use]
    pub fn about(&self) -> &About<'a> {
        &self.about
    }

    /// The released items.
    pub(super) fn item(&self, at: usize) -> Option<&ReleasedItem> {
        self.items.get(at).map(|(item, _)| item)
    }

    fn opened(&self, at: usize) -> Result<(&ReleasedItem, &ThreadKey), String> {
        let (item, key) = self.items.get(at).ok_or("no such item")?;
        Ok((item, key.as_ref().map_err(Clone::clone)?))
    }

    /// The threads by token, each with its items by window.
    pub(super) fn threads(&self) -> Vec<Thread> {
        let mut threads: Vec<Thread> = Vec::new();
        for (at, (item, _)) in self.items.iter().enumerate() {
            match threads.last_mut().filter(|t| t.token == item.about.thread) {
                Some(thread) => thread.items.push(at),
                None => threads.push(Thread { token: item.about.thread, items: vec![at] }),
            }
        }
        threads
    }

    /// Opens one item, or says in words why it stays closed.
    pub(super) fn segment(&self, at: usize) -> Result<OpenedSegment, String> {
        let (item, key) = self.opened(at)?;
        let options = OpenOptions { dir: self.about.archive, org: self.about.org, tokens: self.about.tokens };
        open_item(&options, &item.about, key).map_err(|e| e.to_string())
    }

    /// Writes out a file that a line of an item names, or says in words why not; what was written
    /// is then worth nothing.
    pub(super) fn extract(&self, at: usize, file: &AttachmentRef, mut out: &mut dyn Write) -> Result<(), String> {
        let (item, key) = self.opened(at)?;
        open_attachment(self.about.archive, key, &item.about, file, &mut out).map_err(|e| e.to_string())
    }

    /// Names by id of everybody whom the directory knows by one.
    pub(super) fn names(&self) -> HashMap<&str, &str> {
        let named = self.about.directory.subjects().iter().filter_map(|s| Some((s.id.as_str(), s.name.as_deref()?)));
        named.collect()
    }

    /// The id that a token stands for, as far as this machine knows.
    pub(super) fn id_of(&self, token: &Token) -> Option<&str> {
        self.about.directory.subject_of(token).map(|s| s.id.as_str())
    }
}
