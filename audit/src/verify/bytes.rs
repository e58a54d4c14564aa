//! Layer 2: every byte is bound by a log, by a signature, or by following from the rest.
//!
//! [`read`] needs no key: names, chains and roots must fit each other. [`bind`] then ties the
//! roots, the charters and whatever no log names to keys of the pinned charter chain.
//!
//! TAMPERED is what no key vouches for. Whatever a node's key did sign is that node's doing, however
//! odd, and must not keep the other logs from being judged; nor must what is merely missing.

use super::charters::Charters;
use super::continued;
use super::log::{self, Claims, Log};
use super::pool::Pool;
use super::receipts::Held;
use super::references;
use crate::bundle::{self, INDEX, INDEX_MAX, Index, Place};
use crate::checkpoint::{Checkpoint, VerifiedCheckpoint};
use crate::files::Files;
use crate::finding::{Class, Finding};
use crate::note::{MAX_NOTE_LEN, Note, NoteError};
use crate::tree::Hash;
use escrow_core::charter::Charter;
use escrow_core::limits::ENVELOPE_MAX;
use escrow_core::view::View;
use escrow_core::{Digest, Envelope, Kind, SeatIndex};
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::rc::Rc;

/// One view, signed by its viewer.
#[derive(Debug)]
pub(super) struct ViewFile {
    pub(super) path: String,
    pub(super) viewed: SeatIndex,
    pub(super) view: View,
    /// Made for this export, under a charter of this bundle.
    pub(super) counts: bool,
}

/// A bundle whose parts fit each other.
pub(super) struct Raw<'f> {
    files: &'f dyn Files,
    index: Index,
    pool: Pool<'f>,
    logs: Vec<Log>,
    claims: Claims,
    views: Vec<(String, SeatIndex, SeatIndex, Envelope)>,
    attachments: BTreeSet<Digest>,
    reports: BTreeMap<String, Digest>,
}

/// A bundle of which every byte is bound.
pub(super) struct Evidence<'f> {
    pub(super) files: &'f dyn Files,
    pub(super) pinned: Digest,
    pub(super) charters: Charters,
    pub(super) pool: Pool<'f>,
    pub(super) logs: Vec<Log>,
    pub(super) views: Vec<ViewFile>,
    pub(super) attachments: BTreeSet<Digest>,
    /// Of its `created` [`references`] has checked that it is the newest time in the bundle.
    pub(super) index: Index,
    /// Digests of the reports, by path.
    pub(super) reports: BTreeMap<String, Digest>,
    /// Receipts from outside.
    pub(super) receipts: Vec<Held>,
    /// Heads of which some note is here, and the logs that say they cosigned them.
    cosigned: BTreeMap<(String, u64, Hash), BTreeSet<usize>>,
    /// Claims about logs that are not here.
    claims: Claims,
}

pub(super) fn tampered(file: &str, rule: &str, detail: impl Into<String>) -> Finding {
    Finding::new(Class::Tampered, file, rule, detail)
}

/// The bytes of a file, which must still be those of its digest. `rule` is for a file beyond `max`.
pub(super) fn fetch(files: &dyn Files, path: &str, digest: &Digest, max: u64, rule: &str) -> Result<Vec<u8>, Finding> {
    let unreadable = |why: String| Finding::new(Class::Malformed, path, "unreadable", why);
    let bytes = match files.read(path, max) {
        Ok(bytes) => bytes.unwrap_or_default(),
        Err(e) if e.kind() == ErrorKind::FileTooLarge => return Err(tampered(path, rule, e.to_string())),
        Err(e) => return Err(unreadable(e.to_string())),
    };
    match Digest::of(&bytes) == *digest {
        true => Ok(bytes),
        false => Err(unreadable("changed while it was being verified".into())),
    }
}

/// Reads everything that needs no key. None if anything does not fit.
pub(super) fn read<'f>(
    files: &'f dyn Files,
    digests: &BTreeMap<String, Digest>,
    out: &mut Vec<Finding>,
) -> Option<Raw<'f>> {
    let bytes = files.read(INDEX, INDEX_MAX as u64).map_err(|e| e.to_string());
    let index = bytes.and_then(|b| Index::decode(&b.unwrap_or_default()).map_err(|e| e.to_string()));
    let index = index.map_err(|e| out.push(Finding::new(Class::Malformed, INDEX, "index", e))).ok()?;
    let (logs, views, attachments) = (vec![], vec![], BTreeSet::new());
    let claims = Claims::new();
    let reports = BTreeMap::new();
    let mut raw = Raw { files, index, pool: Pool::new(files), logs, claims, views, attachments, reports };
    for (path, digest) in digests {
        if let Err(finding) = raw.place(path, digest) {
            out.push(finding);
        }
    }
    raw.charters_in_order(out);
    if !out.is_empty() {
        return None;
    }
    let charters = raw.charters().filter_map(|(_, _, envelope)| envelope.decode::<Charter>().ok());
    let origins = charters.flat_map(|c| c.seats).map(|s| s.log_origin);
    raw.claims = origins.chain(raw.index.logs.iter().map(|l| l.origin.clone())).map(|o| (o, vec![])).collect();
    for (at, l) in raw.index.logs.iter().enumerate() {
        match log::read(files, l, at, &mut raw.claims) {
            Ok(log) => raw.logs.push(log),
            Err(finding) => out.push(finding),
        }
    }
    out.is_empty().then_some(raw)
}

impl Raw<'_> {
    fn place(&mut self, path: &str, digest: &Digest) -> Result<(), Finding> {
        let envelope = || {
            let bytes = fetch(self.files, path, digest, ENVELOPE_MAX as u64, "envelope")?;
            Envelope::parse(&bytes).map_err(|e| tampered(path, "envelope", e.to_string()))
        };
        let listed = |seat, number| self.index.logs.iter().any(|l| l.id() == (seat, number));
        let named = |d: Digest| {
            if d == *digest { Ok(()) } else { Err(tampered(path, "name", format!("holds the bytes of {digest}"))) }
        };
        match Place::of(path) {
            Some(Place::Readme) if Digest::of(self.index.readme().as_bytes()) != *digest => {
                return Err(tampered(path, "readme", "not the text that follows from bundle.json"));
            }
            Some(Place::Readme | Place::Index) => {}
            Some(Place::Report) => drop(self.reports.insert(path.to_owned(), *digest)),
            Some(Place::Entries(seat, n) | Place::Checkpoint(seat, n)) if listed(seat, n) => {}
            Some(place @ (Place::Charter | Place::Statement(_))) => {
                if let Place::Statement(d) = place {
                    named(d)?;
                }
                let envelope = envelope()?;
                if !self.index.variant.holds(envelope.kind()) {
                    return Err(tampered(path, "variant", "a bundle without content has no statement of this kind"));
                }
                let charter = envelope.kind() == Kind::Charter;
                if charter != (place == Place::Charter) || !self.pool.insert(*digest, path, envelope) {
                    return Err(tampered(path, "place", "of another kind than its folder, or there twice"));
                }
            }
            Some(Place::Attachment(d)) => {
                named(d)?;
                self.attachments.insert(d);
            }
            Some(Place::View(viewer, viewed)) => self.views.push((path.to_owned(), viewer, viewed, envelope()?)),
            Some(Place::Entries(..) | Place::Checkpoint(..)) => {
                return Err(tampered(path, "unreferenced", format!("{INDEX} lists no such log")));
            }
            None => return Err(tampered(path, "unreferenced", "nothing in the bundle refers to this file")),
        }
        Ok(())
    }
}

impl Raw<'_> {
    /// Envelope digest, path and envelope of each charter.
    fn charters(&self) -> impl Iterator<Item = (&Digest, &str, Rc<Envelope>)> {
        let charters = self.pool.iter().filter(|(_, s)| s.kind == Kind::Charter);
        charters.filter_map(|(d, s)| Some((d, s.path.as_str(), self.pool.envelope(d)?)))
    }

    /// The number of a charter's file follows from what is in the files, as everything does.
    fn charters_in_order(&self, out: &mut Vec<Finding>) {
        let place = |(digest, path, envelope): (&Digest, &str, Rc<Envelope>)| {
            let version = envelope.decode::<Charter>().map_or(u64::MAX, |c| c.version);
            ((version, envelope.digest(), *digest), path.to_owned())
        };
        let sorted: BTreeMap<_, _> = self.charters().map(place).collect();
        for (position, path) in (1..).zip(sorted.values()) {
            if bundle::charter_path(position) != *path {
                out.push(tampered(path, "name", "charters are numbered by version, digest and envelope digest"));
            }
        }
    }
}

/// Ties everything to keys of the pinned charter chain.
pub(super) fn bind<'f>(raw: Raw<'f>, pinned: &Digest, out: &mut Vec<Finding>) -> Option<Evidence<'f>> {
    let charters = Charters::verify(&raw.pool, pinned, out)?;
    let Raw { files, index, pool, mut logs, claims, views, attachments, reports } = raw;
    for log in &mut logs {
        match verified_head(&charters, log) {
            Ok(head) => {
                log.head = Some(head);
                if let Some(e) = &log.broken {
                    let detail = format!(
                        "the log's key signed a head over an entry that is none: {}; not judged from here on",
                        e.rule
                    );
                    out.push(log.finding(Class::Violation, e.seq, "chain", detail));
                }
            }
            Err(why) => out.push(tampered(&log.note_path(), "checkpoint", why).seat(log.seat)),
        }
    }
    let mut bound = Vec::new();
    for (path, viewer, viewed, envelope) in views {
        match bound_view(&charters, viewer, viewed, &envelope) {
            Ok(view) => {
                let counts =
                    view.org == index.org && view.export == index.export && charters.get(&view.charter).is_some();
                bound.push(ViewFile { path, viewed, view, counts });
            }
            Err(why) => out.push(tampered(&path, "view", why).seat(viewer)),
        }
    }
    let pinned = *pinned;
    let (cosigned, views) = (BTreeMap::new(), bound);
    let receipts = vec![];
    let evidence = Evidence {
        files,
        pinned,
        charters,
        pool,
        logs,
        views,
        attachments,
        index,
        reports,
        receipts,
        cosigned,
        claims,
    };
    references::check(&evidence, out);
    references::follows(&evidence, out);
    Some(evidence)
}

impl Evidence<'_> {
    /// Tells each log what the rest of the bundle will ask it for.
    pub(super) fn expect(&mut self) {
        let mut heads: BTreeSet<(String, u64, Hash)> = BTreeSet::new();
        let mut add = |note: &[u8]| {
            if let Ok(c) = Note::parse(note).map_err(Into::into).and_then(|n| Checkpoint::parse(n.text())) {
                heads.insert((c.origin().to_owned(), c.size(), *c.root()));
            }
        };
        for view in &self.views {
            view.view.note.iter().for_each(|n| add(n.as_bytes()));
        }
        for log in &self.logs {
            add(&log.note);
            for digest in log.named.more.iter().flat_map(|(_, n)| &n.notes) {
                self.note(digest).into_iter().for_each(|n| add(&n));
            }
        }
        heads.extend(self.receipts.iter().map(|r| (r.head.origin().to_owned(), r.head.size(), *r.head.root())));
        for (origin, claims) in &self.claims {
            for c in claims {
                let head = (origin.clone(), c.size, c.root);
                if heads.contains(&head) {
                    self.cosigned.entry(head).or_default().insert(c.by);
                }
            }
        }
        let later = |log: &Log| {
            let told = continued::after(&self.logs, log);
            told.map(|(l, g)| (g.size, self.charters.previous_head(l.seat, &l.origin))).collect::<Vec<_>>()
        };
        let later: Vec<_> = self.logs.iter().map(later).collect();
        for (log, later) in self.logs.iter_mut().zip(later) {
            let own = heads.iter().filter(|(o, ..)| *o == log.origin).map(|(_, size, _)| *size);
            let expected = &mut log.expected;
            expected.sizes = own.chain(later.iter().map(|(size, _)| *size)).collect();
            let held = self.receipts.iter().filter(|r| r.head.origin() == log.origin);
            expected.leaves = held.map(|r| r.index).collect();
            expected.cut = later.first().map(|(size, _)| *size);
            expected.heads = later.iter().filter_map(|(_, head)| *head).collect();
            expected.claims = self.claims.remove(&log.origin).unwrap_or_default();
            expected.claims.sort_by_key(|c| c.size);
        }
    }

    /// True if the log at that place of the index says that it cosigned this very head, which is one of
    /// those that some note here shows.
    pub(super) fn says_cosigned(&self, by: usize, head: &VerifiedCheckpoint) -> bool {
        let head = (head.origin().to_owned(), head.size(), *head.root());
        self.cosigned.get(&head).is_some_and(|logs| logs.contains(&by))
    }

    /// What logs here say that they cosigned of this one, here or not: size and root.
    pub(super) fn claimed(&self, origin: &str) -> impl Iterator<Item = (u64, Hash)> {
        let there = self.logs.iter().filter(move |l| l.origin == origin).flat_map(|l| &l.expected.claims);
        let gone = self.claims.get(origin).into_iter().flatten();
        there.chain(gone).map(|c| (c.size, c.root))
    }

    /// An attached note.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub(super) fn note(&self, digest: &Digest) -> Result<Vec<u8>, String> {
        if !self.attachments.contains(digest) {
            return Err("not in the bundle".into());
        }
        let path = bundle::attachment_path(digest);
        fetch(self.files, &path, digest, MAX_NOTE_LEN as u64, "note").map_err(|f| match f.class {
            Class::Tampered => NoteError::TooLong.to_string(),
            _ => f.detail,
        })
    }
}

fn verified_head(charters: &Charters, log: &Log) -> Result<VerifiedCheckpoint, String> {
    let key = charters.log_key(log.seat, &log.origin).ok_or("no charter gives this seat a log of this origin")?;
    if charters.log_number(log.seat, &log.origin) != Some(log.number) {
        return Err("the charters number the logs of this seat otherwise".into());
    }
    let head = Checkpoint::verify(&log.note, &log.origin, &key).map_err(|e| e.to_string())?;
    let witnesses: Vec<_> = charters.witnesses().into_iter().map(|(_, key)| key).collect();
    head.cosigners(&witnesses).map_err(|e| e.to_string())?;
    // A line that no key here can check could be altered unseen; builders leave those out.
    let unknown =
        head.note().signatures().iter().find(|line| !key.made(line) && !witnesses.iter().any(|w| w.made(line)));
    unknown.map_or(Ok(()), |line| Err(format!("a signature line of {}, which no charter lists", line.name())))?;
    Ok(head)
}

fn bound_view(charters: &Charters, viewer: SeatIndex, viewed: SeatIndex, envelope: &Envelope) -> Result<View, String> {
    let view: View = envelope.decode().map_err(|e| e.to_string())?;
    if view.seat != viewer || charters.owner(&view.log) != Some(viewed) {
        return Err("not the view that its file name says".into());
    }
    if !charters.signed_by_seat(envelope, viewer) {
        return Err("not signed by the statement key of its seat".into());
    }
    Ok(view)
}
