//! Layer 2: every byte is bound by a log, by a signature, or by following from the rest.
//!
//! [`read`] needs no key: names, chains and roots must fit each other. [`bind`] then ties the
//! roots, the charters and whatever no log names to keys of the pinned charter chain.
//!
//! TAMPERED is what no key vouches for. Whatever a node's key did sign is that node's doing, however
//! odd, and must not keep the other logs from being judged; nor must what is merely missing.

use super::charters::Charters;
use super::pool::{Pool, Stored};
use super::reports;
use crate::bundle::{self, INDEX, Index, Names, Place, README, REPORTS, Variant};
use crate::checkpoint::{Checkpoint, VerifiedCheckpoint};
use crate::entry::{Chain, ChainError, Entry, NO_PREV};
use crate::finding::{Class, Finding};
use crate::note::Note;
use crate::tree::{Tree, leaf_hash};
use escrow_core::charter::Charter;
use escrow_core::recovery::SelfRecovery;
use escrow_core::request::Request;
use escrow_core::restriction::RestrictionAnswer;
use escrow_core::verdict::Verdict;
use escrow_core::view::View;
use escrow_core::{Digest, Envelope, Kind, SeatIndex, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

type Files = BTreeMap<String, Vec<u8>>;

/// One log whose entries lead to its own note.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) seat: SeatIndex,
    pub(super) number: u32,
    pub(super) origin: String,
    /// Path of the entries.
    pub(super) path: String,
    /// Up to the first that breaks the chain, if one does.
    pub(super) entries: Vec<Entry>,
    pub(super) tree: Tree,
    /// Where the chain breaks although the root is right, and the bytes from there on.
    broken: Option<(ChainError, Vec<u8>)>,
    note: Vec<u8>,
    /// The note, verified; none until [`bind`].
    pub(super) head: Option<VerifiedCheckpoint>,
}

impl Log {
    /// Path of the note.
    pub(super) fn note_path(&self) -> String {
        bundle::checkpoint_path(self.seat, self.number)
    }

    pub(super) fn finding(
        &self,
        class: Class,
        entry: u64,
        rule: impl Into<String>,
        detail: impl Into<String>,
    ) -> Finding {
        Finding::new(class, &self.path, rule, detail).seat(self.seat).entry(entry)
    }
}

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
#[derive(Debug)]
pub(super) struct Raw<'f> {
    index: Index,
    pool: Pool,
    logs: Vec<Log>,
    views: Vec<(String, SeatIndex, SeatIndex, Envelope)>,
    attachments: BTreeMap<Digest, &'f [u8]>,
}

/// A bundle of which every byte is bound.
#[derive(Debug)]
pub(super) struct Evidence<'f> {
    pub(super) pinned: Digest,
    pub(super) charters: Charters,
    pub(super) pool: Pool,
    pub(super) logs: Vec<Log>,
    pub(super) views: Vec<ViewFile>,
    pub(super) attachments: BTreeMap<Digest, &'f [u8]>,
    pub(super) variant: Variant,
}

fn tampered(file: &str, rule: &str, detail: impl Into<String>) -> Finding {
    Finding::new(Class::Tampered, file, rule, detail)
}

/// Reads everything that needs no key. None if anything does not fit.
pub(super) fn read<'f>(files: &'f Files, digests: &BTreeMap<&str, Digest>, out: &mut Vec<Finding>) -> Option<Raw<'f>> {
    let bytes = files.get(INDEX).map(Vec::as_slice).unwrap_or_default();
    let index = Index::decode(bytes)
        .map_err(|e| out.push(Finding::new(Class::Malformed, INDEX, "index", e.to_string())))
        .ok()?;
    let mut raw = Raw { index, pool: Pool::default(), logs: vec![], views: vec![], attachments: BTreeMap::new() };
    for (path, digest) in digests {
        let bytes = files.get(*path).map(Vec::as_slice).unwrap_or_default();
        if let Err(finding) = raw.place(path, bytes, digest) {
            out.push(finding);
        }
    }
    raw.charters_in_order(out);
    if !out.is_empty() {
        return None;
    }
    for l in &raw.index.logs {
        match read_log(files, l) {
            Ok(log) => raw.logs.push(log),
            Err(finding) => out.push(finding),
        }
    }
    out.is_empty().then_some(raw)
}

impl<'f> Raw<'f> {
    fn place(&mut self, path: &str, bytes: &'f [u8], digest: &Digest) -> Result<(), Finding> {
        let envelope = || Envelope::parse(bytes).map_err(|e| tampered(path, "envelope", e.to_string()));
        let listed = |seat, number| self.index.logs.iter().any(|l| l.id() == (seat, number));
        let named = |d: Digest| {
            if d == *digest { Ok(()) } else { Err(tampered(path, "name", format!("holds the bytes of {digest}"))) }
        };
        match Place::of(path) {
            Some(Place::Readme) if bytes != self.index.readme().as_bytes() => {
                return Err(tampered(path, "readme", "not the text that follows from bundle.json"));
            }
            Some(Place::Readme | Place::Index | Place::Report) => {}
            Some(Place::Entries(seat, n) | Place::Checkpoint(seat, n)) if listed(seat, n) => {}
            Some(place @ (Place::Charter | Place::Statement(_))) => {
                if let Place::Statement(d) = place {
                    named(d)?;
                }
                let stored = Stored { path: path.to_owned(), envelope: envelope()? };
                if !self.index.variant.holds(stored.envelope.kind()) {
                    return Err(tampered(path, "variant", "a bundle without content has no statement of this kind"));
                }
                let charter = stored.envelope.kind() == Kind::Charter;
                if charter != (place == Place::Charter) || !self.pool.insert(*digest, stored) {
                    return Err(tampered(path, "place", "of another kind than its folder, or there twice"));
                }
            }
            Some(Place::Attachment(d)) => {
                named(d)?;
                self.attachments.insert(d, bytes);
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
    /// The number of a charter's file follows from what is in the files, as everything does.
    fn charters_in_order(&self, out: &mut Vec<Finding>) {
        let charters = self.pool.iter().filter(|(_, s)| s.envelope.kind() == Kind::Charter);
        let place = |(digest, s): (&Digest, &'_ Stored)| {
            let version = s.envelope.decode::<Charter>().map_or(u64::MAX, |c| c.version);
            ((version, s.envelope.digest(), *digest), s.path.clone())
        };
        let sorted: BTreeMap<_, _> = charters.map(place).collect();
        for (position, path) in (1..).zip(sorted.values()) {
            if bundle::charter_path(position) != *path {
                out.push(tampered(path, "name", "charters are numbered by version, digest and envelope digest"));
            }
        }
    }
}

/// Reads a log and compares it with its note, not yet knowing whose note it is.
fn read_log(files: &Files, wanted: &bundle::LogRef) -> Result<Log, Finding> {
    let (seat, number) = wanted.id();
    let (path, note_path) = (bundle::entries_path(seat, number), bundle::checkpoint_path(seat, number));
    let fail = |file: &str, rule: &str, detail: String| tampered(file, rule, detail).seat(wanted.seat);
    let get = |path: &str| files.get(path).ok_or_else(|| fail(path, "missing", format!("{INDEX} lists this log")));
    let lines =
        get(&path)?.strip_suffix(b"\n").ok_or_else(|| fail(&path, "entries", "does not end with a newline".into()))?;
    let lines: Vec<&[u8]> = lines.split(|b| *b == b'\n').collect();
    let tree: Tree = lines.iter().map(|l| leaf_hash(l)).collect();
    if tree.size() != wanted.size {
        return Err(fail(&path, "size", format!("{} entries, {INDEX} says {}", tree.size(), wanted.size)));
    }
    let note = get(&note_path)?.clone();
    let bad_note = |e: String| fail(&note_path, "checkpoint", e);
    let parsed = Note::parse(&note).map_err(|e| bad_note(e.to_string()))?;
    let claim = Checkpoint::parse(parsed.text()).map_err(|e| bad_note(e.to_string()))?;
    if claim.origin() != wanted.origin {
        return Err(bad_note(format!("is of {}, {INDEX} says {}", claim.origin(), wanted.origin)));
    }
    if claim.size() != tree.size() || *claim.root() != tree.root() {
        let detail = format!(
            "the {} entries do not lead to the root in {note_path}, which is for {}",
            tree.size(),
            claim.size()
        );
        let finding = fail(&path, "root", detail);
        return Err(match breach(&lines) {
            Some(seq) => finding.entry(seq),
            None => finding,
        });
    }
    let origin = wanted.origin.clone();
    let mut log = Log { seat, number, origin, path, entries: Vec::new(), tree, broken: None, note, head: None };
    let mut chain = Chain::new(&wanted.origin);
    for (at, line) in lines.iter().enumerate() {
        match chain.push(line) {
            Ok(entry) => log.entries.push(entry),
            Err(e) => {
                log.broken = Some((e, lines.iter().skip(at).copied().collect::<Vec<_>>().concat()));
                break;
            }
        }
    }
    Ok(log)
}

/// The first entry that does not name the one before it, to say where a log was altered.
fn breach(lines: &[&[u8]]) -> Option<u64> {
    #[derive(serde::Deserialize)]
    struct Link {
        prev: String,
    }
    let mut before = NO_PREV;
    for (seq, line) in (0u64..).zip(lines) {
        let link: Option<Link> = serde_json::from_slice(line).ok();
        if link.is_none_or(|l| l.prev != hex::encode(before)) {
            return Some(seq);
        }
        before = leaf_hash(line);
    }
    None
}

/// Ties everything to keys of the pinned charter chain.
pub(super) fn bind<'f>(raw: Raw<'f>, files: &Files, pinned: &Digest, out: &mut Vec<Finding>) -> Option<Evidence<'f>> {
    let charters = Charters::verify(&raw.pool, pinned, out)?;
    let Raw { index, pool, mut logs, views, attachments } = raw;
    for log in &mut logs {
        match verified_head(&charters, log) {
            Ok(head) => {
                log.head = Some(head);
                if let Some((e, _)) = &log.broken {
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
    let variant = index.variant;
    let evidence = Evidence { pinned: *pinned, charters, pool, logs, views: bound, attachments, variant };
    references(&evidence, out);
    follows(&evidence, &index, files, out);
    // What reports say of altered evidence is not worth comparing.
    if out.iter().all(|f| f.class < Class::Tampered) {
        let there = files.iter().filter(|(p, _)| p.starts_with(REPORTS)).map(|(p, b)| (p.as_str(), b.as_slice()));
        out.extend(reports::check(files, &index, &there.collect()));
    }
    Some(evidence)
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

/// What is named should be there, and what is there must be named.
fn references(evidence: &Evidence<'_>, out: &mut Vec<Finding>) {
    let mut envelopes: BTreeSet<Digest> = BTreeSet::new();
    let mut payloads: BTreeSet<Digest> = BTreeSet::new();
    let mut attached: BTreeSet<Digest> = BTreeSet::new();
    // Without content only notes and verdicts are there; that the rest is not is one finding of its own.
    let full = evidence.variant == Variant::Full;
    let context = |e: &Envelope| context(e).filter(|_| full);
    for log in &evidence.logs {
        for entry in &log.entries {
            let mut missing = |what: String| out.push(log.finding(Class::Incomplete, entry.seq, "unresolved", what));
            let names = Names::of(entry);
            let mut attachments = names.notes;
            if let Some(s) = &entry.statement {
                let digest = Digest(s.env);
                envelopes.insert(digest);
                match evidence.pool.get(&digest) {
                    Some(stored) => attachments.extend(context(&stored.envelope)),
                    None if !full && !["genesis", "charter", "verdict"].contains(&entry.kind.as_str()) => {}
                    None => {
                        let path = bundle::statement_path(&digest);
                        missing(format!("{path} is not in the bundle: this log is not judged from here on"));
                    }
                }
            }
            for digest in names.statements {
                // Permits and answers: of these a bundle without content has the former.
                if full && evidence.pool.named(&digest).next().is_none() {
                    missing(format!("statement {digest} is not in the bundle"));
                }
                payloads.insert(digest);
            }
            for digest in attachments {
                if attached.insert(digest) && !evidence.attachments.contains_key(&digest) {
                    missing(format!("{} is not in the bundle", bundle::attachment_path(&digest)));
                }
            }
        }
    }
    // Entries behind a broken one still name what they name.
    let rests = evidence.logs.iter().filter_map(|l| l.broken.as_ref());
    let rest: String = rests.map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned()).collect();
    let named_behind = |digest: &Digest| !rest.is_empty() && rest.contains(&digest.to_string());
    for (digest, Stored { path, envelope }) in evidence.pool.iter() {
        if envelopes.contains(digest) || evidence.charters.holds(path) {
            continue;
        }
        if named_behind(digest) || named_behind(&envelope.digest()) {
            attached.extend(context(envelope));
        } else if !payloads.contains(&envelope.digest()) {
            out.push(tampered(path, "unreferenced", "no log names this statement"));
        } else if !signed_by_its_seat(&evidence.charters, envelope) {
            out.push(tampered(path, "signature", "no log names this envelope, and its seat did not sign it"));
        } else {
            // The context of a permit whose own log is not here may come along.
            attached.extend(context(envelope));
        }
    }
    for digest in evidence.attachments.keys().filter(|d| !attached.contains(*d) && !named_behind(d)) {
        out.push(tampered(&bundle::attachment_path(digest), "unreferenced", "no log names this attachment"));
    }
}

/// The context that a verdict names.
fn context(envelope: &Envelope) -> Option<Digest> {
    if envelope.kind() != Kind::Verdict {
        return None;
    }
    envelope.decode::<Verdict>().ok()?.context
}

/// Permits and answers that only their payload digest names: the signature binds the rest.
fn signed_by_its_seat(charters: &Charters, envelope: &Envelope) -> bool {
    let seat = match envelope.kind() {
        Kind::Verdict => envelope.decode::<Verdict>().ok().map(|v| v.seat),
        Kind::RestrictionAnswer => envelope.decode::<RestrictionAnswer>().ok().map(|a| a.seat),
        _ => None,
    };
    seat.is_some_and(|seat| charters.signed_by_seat(envelope, seat))
}

/// Index and bag-info say nothing but what follows from the evidence.
fn follows(evidence: &Evidence<'_>, index: &Index, files: &Files, out: &mut Vec<Finding>) {
    let org = evidence.charters.get(&evidence.pinned).map(|c| &c.org);
    if index.charter != evidence.pinned || Some(&index.org) != org {
        out.push(tampered(INDEX, "index", "names another charter or organisation than the pinned one"));
    }
    if !evidence.views.is_empty() && evidence.views.iter().all(|v| v.view.export != index.export) {
        out.push(tampered(INDEX, "export", "names an export for which no view here was made"));
    }
    let entries = evidence.logs.iter().flat_map(|l| &l.entries).map(|e| i64::try_from(e.ts).unwrap_or(i64::MAX));
    let times = entries.map(Timestamp::from_millis).chain(evidence.views.iter().map(|v| v.view.at));
    let created = times.max().unwrap_or(Timestamp::EPOCH);
    if created != index.created {
        out.push(tampered(INDEX, "created", format!("the newest time in the evidence is {created}")));
    }
    let mut matters = BTreeSet::new();
    for digest in &index.requests {
        // A self-recovery belongs to no matter.
        let asks = |e: &Envelope| match e.kind() {
            Kind::SelfRecovery => e.decode::<SelfRecovery>().ok().map(|_| None),
            _ => e.decode::<Request>().ok().map(|r| Some(r.matter)),
        };
        match evidence.pool.named(digest).find_map(|s| asks(&s.envelope)) {
            Some(matter) => matters.extend(matter),
            None => out.push(tampered(INDEX, "request", format!("request {digest} is not in the bundle"))),
        }
    }
    let payload = files.iter().filter(|(p, _)| p.starts_with(crate::bagit::PAYLOAD));
    let (octets, count) = payload.fold((0, 0), |(octets, count), (_, b)| (octets + b.len(), count + 1));
    let info = index.bag_info_for(&matters, octets, count);
    if files.get(crate::bagit::INFO).map(Vec::as_slice) != Some(info.as_bytes()) {
        out.push(tampered(crate::bagit::INFO, "bag-info", "not the text that follows from the evidence"));
    }
    if !files.contains_key(README) {
        out.push(tampered(README, "missing", "every bundle has one"));
    }
}
