//! The envelopes of a bundle, by both of their names. Only names are kept for all; the envelopes
//! themselves are read when they are needed.

use super::bytes::fetch;
use crate::files::Files;
use crate::finding::Finding;
use escrow_core::limits::ENVELOPE_MAX;
use escrow_core::verdict::Verdict;
use escrow_core::{Digest, Envelope, Kind};
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

/// Most bytes of envelopes kept at a time.
const CACHE_MAX: usize = 8 * 1024 * 1024;

/// What is known about an envelope without having it at hand.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) path: String,
    pub(super) kind: Kind,
    /// Digest of the payload.
    pub(super) payload: Digest,
    /// The context that it names, if it is a verdict.
    pub(super) context: Option<Digest>,
}

#[derive(Default)]
struct Cache {
    envelopes: BTreeMap<Digest, Rc<Envelope>>,
    /// In the order in which they came.
    order: VecDeque<Digest>,
    bytes: usize,
}

impl Cache {
    fn keep(&mut self, digest: Digest, envelope: &Rc<Envelope>) {
        self.bytes += envelope.bytes().len();
        self.envelopes.insert(digest, Rc::clone(envelope));
        self.order.push_back(digest);
        while self.bytes > CACHE_MAX
            && let Some(gone) = self.order.pop_front().and_then(|d| self.envelopes.remove(&d))
        {
            self.bytes -= gone.bytes().len();
        }
    }
}

/// Charters and statements.
pub(super) struct Pool<'f> {
    files: &'f dyn Files,
    by_envelope: BTreeMap<Digest, Stored>,
    by_payload: BTreeMap<Digest, Vec<Digest>>,
    cache: RefCell<Cache>,
    faults: RefCell<Vec<Finding>>,
}

impl<'f> Pool<'f> {
    pub(super) fn new(files: &'f dyn Files) -> Self {
        let (by_envelope, by_payload) = (BTreeMap::new(), BTreeMap::new());
        Self { files, by_envelope, by_payload, cache: RefCell::default(), faults: RefCell::default() }
    }

    /// False if this very envelope is there already.
    pub(super) fn insert(&mut self, digest: Digest, path: &str, envelope: Envelope) -> bool {
        if self.by_envelope.contains_key(&digest) {
            return false;
        }
        let (kind, payload) = (envelope.kind(), envelope.digest());
        let context = match kind {
            Kind::Verdict => envelope.decode::<Verdict>().ok().and_then(|v| v.context),
            _ => None,
        };
        self.by_payload.entry(payload).or_default().push(digest);
        self.by_envelope.insert(digest, Stored { path: path.to_owned(), kind, payload, context });
        self.cache.get_mut().keep(digest, &Rc::new(envelope));
        true
    }

    pub(super) fn len(&self) -> usize {
        self.by_envelope.len()
    }

    pub(super) fn get(&self, envelope: &Digest) -> Option<&Stored> {
        self.by_envelope.get(envelope)
    }

    /// The envelope of that digest; none if it is not there or cannot be read again, which is then one
    /// of the [`Pool::faults`].
    pub(super) fn envelope(&self, digest: &Digest) -> Option<Rc<Envelope>> {
        if let Some(envelope) = self.cache.borrow().envelopes.get(digest) {
            return Some(Rc::clone(envelope));
        }
        let stored = self.by_envelope.get(digest)?;
        let read = fetch(self.files, &stored.path, digest, ENVELOPE_MAX as u64, "envelope");
        let envelope = match read.map(|bytes| Envelope::parse(&bytes)) {
            Ok(Ok(envelope)) => Rc::new(envelope),
            Ok(Err(_)) => return None, // cannot be: the same bytes were parsed before
            Err(finding) => {
                self.faults.borrow_mut().push(finding);
                return None;
            }
        };
        self.cache.borrow_mut().keep(*digest, &envelope);
        Some(envelope)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Digest, &Stored)> {
        self.by_envelope.iter()
    }

    /// Digests of all envelopes around one payload.
    pub(super) fn named(&self, payload: &Digest) -> &[Digest] {
        self.by_payload.get(payload).map(Vec::as_slice).unwrap_or_default()
    }

    /// Files that could be read at first and not again.
    pub(super) fn faults(&self) -> Vec<Finding> {
        self.faults.take()
    }
}
