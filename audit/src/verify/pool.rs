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

/// Most bytes of envelopes kept at a time: 8 MiB.
const CACHE_MAX: usize = 8 << 20;

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

struct Cache {
    /// Bytes above which the oldest envelopes go.
    max: usize,
    envelopes: BTreeMap<Digest, Rc<Envelope>>,
    /// In the order in which they came.
    order: VecDeque<Digest>,
    bytes: usize,
}

impl Cache {
    fn new(max: usize) -> Self {
        Self { max, envelopes: BTreeMap::new(), order: VecDeque::new(), bytes: 0 }
    }

    fn keep(&mut self, digest: Digest, envelope: &Rc<Envelope>) {
        self.bytes += envelope.bytes().len();
        self.envelopes.insert(digest, Rc::clone(envelope));
        self.order.push_back(digest);
        while self.bytes > self.max
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
        let cache = RefCell::new(Cache::new(CACHE_MAX));
        Self { files, by_envelope, by_payload, cache, faults: RefCell::default() }
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

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test that panics has failed
mod tests {
    use super::*;
    use escrow_core::view::View;
    use escrow_core::{Nonce, SeatIndex, SigningKey, Timestamp};

    /// Envelopes of one length.
    fn envelopes(count: usize) -> Vec<Envelope> {
        let key = SigningKey::generate_ed25519();
        let view = || View {
            kind: Kind::View,
            org: "acme".parse().unwrap(),
            nonce: Nonce::random(),
            charter: Digest([1; 32]),
            seat: SeatIndex::new(1).unwrap(),
            log: "acme/2/log".into(),
            note: None,
            export: Nonce::random(),
            at: Timestamp::EPOCH,
        };
        (0..count).map(|_| Envelope::sign(&view(), &[&key]).unwrap()).collect()
    }

    #[test]
    fn a_cache_is_filled_to_its_bound_and_what_came_first_goes_first() {
        let envelopes: Vec<_> = envelopes(7).into_iter().map(|e| (e.envelope_digest(), Rc::new(e))).collect();
        let one = envelopes[0].1.bytes().len();
        assert!(envelopes.iter().all(|(_, e)| e.bytes().len() == one));
        let kept = |max: usize| {
            let mut cache = Cache::new(max);
            envelopes.iter().for_each(|(digest, envelope)| cache.keep(*digest, envelope));
            assert_eq!(cache.bytes, one * cache.envelopes.len());
            let last = envelopes.iter().skip(envelopes.len() - cache.envelopes.len());
            assert!(last.into_iter().all(|(digest, _)| cache.envelopes.contains_key(digest)));
            cache.envelopes.len()
        };
        assert_eq!((kept(3 * one), kept(3 * one - 1), kept(3 * one + 1)), (3, 2, 3));
        assert_eq!((kept(7 * one), kept(100 * one)), (7, 7));
    }

    #[test]
    fn what_cannot_be_read_a_second_time_is_told_once() {
        let [envelope, other] = envelopes(2).try_into().unwrap();
        let digest = envelope.envelope_digest();
        let kept = BTreeMap::from([("e.json".to_owned(), envelope.bytes().to_vec())]);
        let changed = BTreeMap::from([("e.json".to_owned(), b"{}".to_vec())]);
        for (files, there) in [(&kept, true), (&changed, false), (&BTreeMap::new(), false)] {
            let mut pool = Pool::new(files);
            pool.cache = RefCell::new(Cache::new(0));
            assert!(pool.insert(digest, "e.json", envelope.clone()) && pool.len() == 1);
            assert!(!pool.insert(digest, "again.json", envelope.clone()) && pool.len() == 1);
            assert!(pool.insert(other.envelope_digest(), "o.json", other.clone()) && pool.len() == 2);
            assert_eq!(pool.envelope(&digest).is_some(), there);
            let faults = pool.faults();
            let rules: Vec<_> = faults.iter().map(|f| (f.file.as_str(), f.rule.as_str())).collect();
            assert_eq!(rules, if there { vec![] } else { vec![("e.json", "unreadable")] });
            assert!(pool.faults().is_empty());
        }
    }
}
