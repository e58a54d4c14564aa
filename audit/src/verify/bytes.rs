//! Layer 2: every byte is bound by a log, by a signature, or by following from the rest.
//!
//! [`read`] needs no key: names, chains and roots must fit each other. [`bind`] then ties the
//! roots, the charters and whatever no log names to keys of the pinned charter chain.

use super::charters::Charters;
use super::pool::{Pool, Stored, check_payload};
use crate::bundle::{self, INDEX, Index, Place, README};
use crate::checkpoint::{Checkpoint, VerifiedCheckpoint};
use crate::entry::{Chain, ChainRule, Entry};
use crate::finding::{Class, Finding};
use crate::note::Note;
use crate::record;
use crate::tree::{Tree, leaf_hash};
use escrow_core::request::Request;
use escrow_core::restriction::RestrictionAnswer;
use escrow_core::verdict::Verdict;
use escrow_core::view::View;
use escrow_core::{Digest, Envelope, Kind, SeatIndex, Timestamp};
use escrow_policy::Event;
use std::collections::{BTreeMap, BTreeSet};

type Files = BTreeMap<String, Vec<u8>>;

/// One log whose entries lead to its own note.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) seat: SeatIndex,
    pub(super) origin: String,
    /// Path of the entries.
    pub(super) path: String,
    pub(super) entries: Vec<Entry>,
    pub(super) tree: Tree,
    note: Vec<u8>,
    /// The note, verified; none until [`bind`].
    pub(super) head: Option<VerifiedCheckpoint>,
}

impl Log {
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
        let listed = |seat| self.index.logs.iter().any(|l| l.seat == seat);
        let named = |d: Digest| {
            if d == *digest { Ok(()) } else { Err(tampered(path, "name", format!("holds the bytes of {digest}"))) }
        };
        match Place::of(path) {
            Some(Place::Readme) if bytes != self.index.readme().as_bytes() => {
                return Err(tampered(path, "readme", "not the text that follows from bundle.json"));
            }
            Some(Place::Readme | Place::Index) => {}
            Some(Place::Entries(seat) | Place::Checkpoint(seat)) if listed(seat) => {}
            Some(place @ (Place::Charter | Place::Statement(_))) => {
                if let Place::Statement(d) = place {
                    named(d)?;
                }
                let stored = Stored { path: path.to_owned(), envelope: envelope()? };
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
            Some(Place::Entries(_) | Place::Checkpoint(_)) | None => {
                return Err(tampered(path, "unreferenced", "nothing in the bundle refers to this file"));
            }
        }
        Ok(())
    }
}

/// Reads a log and compares it with its note, not yet knowing whose note it is.
fn read_log(files: &Files, wanted: &bundle::LogRef) -> Result<Log, Finding> {
    let (path, note_path) = (bundle::entries_path(wanted.seat), bundle::checkpoint_path(wanted.seat));
    let fail = |file: &str, rule: &str, detail: String| tampered(file, rule, detail).seat(wanted.seat);
    let get = |path: &str| files.get(path).ok_or_else(|| fail(path, "missing", format!("{INDEX} lists this log")));
    let lines =
        get(&path)?.strip_suffix(b"\n").ok_or_else(|| fail(&path, "entries", "does not end with a newline".into()))?;
    let mut log = Log {
        seat: wanted.seat,
        origin: wanted.origin.clone(),
        path: path.clone(),
        entries: Vec::new(),
        tree: Tree::new(),
        note: get(&note_path)?.clone(),
        head: None,
    };
    let mut chain = Chain::new(&wanted.origin);
    for line in lines.split(|b| *b == b'\n') {
        let entry = chain.push(line).map_err(|e| {
            let wanted = if matches!(e.rule, ChainRule::Log(_)) {
                format!("; {INDEX} says {}", wanted.origin)
            } else {
                String::new()
            };
            fail(&path, "chain", format!("{}{wanted}", e.rule)).entry(e.seq)
        })?;
        log.entries.push(entry);
        log.tree.append(leaf_hash(line));
    }
    if log.tree.size() != wanted.size {
        return Err(fail(&path, "size", format!("{} entries, {INDEX} says {}", log.tree.size(), wanted.size)));
    }
    let bad_note = |e: String| fail(&note_path, "checkpoint", e);
    let note = Note::parse(&log.note).map_err(|e| bad_note(e.to_string()))?;
    let claim = Checkpoint::parse(note.text()).map_err(|e| bad_note(e.to_string()))?;
    if claim.size() != log.tree.size() || *claim.root() != log.tree.root() {
        let detail = format!(
            "the {} entries do not lead to the root in {note_path}, which is for {}",
            log.tree.size(),
            claim.size()
        );
        return Err(fail(&path, "root", detail));
    }
    Ok(log)
}

/// Ties everything to keys of the pinned charter chain.
pub(super) fn bind<'f>(raw: Raw<'f>, files: &Files, pinned: &Digest, out: &mut Vec<Finding>) -> Option<Evidence<'f>> {
    for (_, stored) in raw.pool.iter() {
        if let Err(e) = check_payload(&stored.envelope) {
            out.push(tampered(&stored.path, "payload", e.to_string()));
        }
    }
    let charters = Charters::verify(&raw.pool, pinned, out)?;
    let Raw { index, pool, mut logs, views, attachments } = raw;
    for log in &mut logs {
        match verified_head(&charters, log) {
            Ok(head) => log.head = Some(head),
            Err(why) => out.push(tampered(&bundle::checkpoint_path(log.seat), "checkpoint", why).seat(log.seat)),
        }
    }
    let mut bound = Vec::new();
    for (path, viewer, viewed, envelope) in views {
        match bound_view(&charters, &index, viewer, viewed, &envelope) {
            Ok(view) => bound.push(ViewFile { path, viewed, view }),
            Err(why) => out.push(tampered(&path, "view", why).seat(viewer)),
        }
    }
    let evidence = Evidence { pinned: *pinned, charters, pool, logs, views: bound, attachments };
    references(&evidence, out);
    follows(&evidence, &index, files, out);
    Some(evidence)
}

fn verified_head(charters: &Charters, log: &Log) -> Result<VerifiedCheckpoint, String> {
    let key = charters.log_key(log.seat, &log.origin).ok_or("no charter gives this seat a log of this origin")?;
    let head = Checkpoint::verify(&log.note, &log.origin, &key).map_err(|e| e.to_string())?;
    let witnesses = charters.witness_keys();
    head.cosigners(&witnesses).map_err(|e| e.to_string())?;
    // A line that no key here can check could be altered unseen; builders leave those out.
    let unknown =
        head.note().signatures().iter().find(|line| !key.made(line) && !witnesses.iter().any(|w| w.made(line)));
    unknown.map_or(Ok(()), |line| Err(format!("a signature line of {}, which no charter lists", line.name())))?;
    Ok(head)
}

fn bound_view(
    charters: &Charters,
    index: &Index,
    viewer: SeatIndex,
    viewed: SeatIndex,
    envelope: &Envelope,
) -> Result<View, String> {
    let view: View = envelope.decode().map_err(|e| e.to_string())?;
    let rule = |ok: bool, why: &str| if ok { Ok(()) } else { Err(why.to_owned()) };
    rule(view.seat == viewer && charters.owner(&view.log) == Some(viewed), "not the view that its file name says")?;
    rule(charters.signed_by_seat(envelope, viewer), "not signed by the statement key of its seat")?;
    rule(view.org == index.org && charters.get(&view.charter).is_some(), "of another organisation or charter")?;
    rule(view.export == index.export, "made for another export")?;
    Ok(view)
}

/// Everything that is named is there, and everything that is there is named.
fn references(evidence: &Evidence<'_>, out: &mut Vec<Finding>) {
    let mut envelopes: BTreeSet<Digest> = BTreeSet::new();
    let mut payloads: BTreeSet<Digest> = BTreeSet::new();
    let mut attached: BTreeSet<Digest> = BTreeSet::new();
    for log in &evidence.logs {
        for entry in &log.entries {
            let mut missing = |what: &str, path: String| {
                out.push(log.finding(
                    Class::Tampered,
                    entry.seq,
                    "unresolved",
                    format!("{what} {path} is not in the bundle"),
                ));
            };
            let mut attachment = |d: Digest, missing: &mut dyn FnMut(&str, String)| {
                if attached.insert(d) && !evidence.attachments.contains_key(&d) {
                    missing("attachment", bundle::attachment_path(&d));
                }
            };
            let Some(s) = &entry.statement else { continue };
            let digest = Digest(s.env);
            envelopes.insert(digest);
            let Some(stored) = evidence.pool.get(&digest) else {
                missing("statement", bundle::statement_path(&digest));
                continue;
            };
            if let Ok(v) = stored.envelope.decode::<Verdict>()
                && let Some(context) = v.context
            {
                attachment(context, &mut missing);
            }
            if !entry.kind.starts_with("release.") {
                continue;
            }
            match record::read(entry, Some(&stored.envelope)).map(|r| r.event) {
                Ok(Event::Authorized { permits, answers, .. }) => {
                    for d in permits.iter().chain(&answers) {
                        payloads.insert(*d);
                        if evidence.pool.named(d).next().is_none() {
                            missing("statement", format!("with digest {d}"));
                        }
                    }
                }
                Ok(Event::Delivered { note, .. }) => attachment(note, &mut missing),
                // A body that is no event is the node's doing: layer 3 says so.
                _ => {}
            }
        }
    }
    for (digest, Stored { path, envelope }) in evidence.pool.iter() {
        if envelopes.contains(digest) || evidence.charters.holds(path) {
            continue;
        }
        if !payloads.contains(&envelope.digest()) {
            out.push(tampered(path, "unreferenced", "no log names this statement"));
        } else if !signed_by_its_seat(&evidence.charters, envelope, &mut attached) {
            out.push(tampered(path, "signature", "no log names this envelope, and its seat did not sign it"));
        }
    }
    for digest in evidence.attachments.keys().filter(|d| !attached.contains(*d)) {
        out.push(tampered(&bundle::attachment_path(digest), "unreferenced", "no log names this attachment"));
    }
}

/// Permits and answers that only their payload digest names: the signature binds the rest.
fn signed_by_its_seat(charters: &Charters, envelope: &Envelope, attached: &mut BTreeSet<Digest>) -> bool {
    let seat = match envelope.kind() {
        Kind::Verdict => envelope.decode::<Verdict>().ok().map(|v| {
            // The context of a permit whose own log is not here may come along.
            attached.extend(v.context);
            v.seat
        }),
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
    let entries = evidence.logs.iter().flat_map(|l| &l.entries).map(|e| i64::try_from(e.ts).unwrap_or(i64::MAX));
    let times = entries.map(Timestamp::from_millis).chain(evidence.views.iter().map(|v| v.view.at));
    let created = times.max().unwrap_or(Timestamp::EPOCH);
    if created != index.created {
        out.push(tampered(INDEX, "created", format!("the newest time in the evidence is {created}")));
    }
    let mut matters = BTreeSet::new();
    for digest in &index.requests {
        match evidence.pool.named(digest).find_map(|s| s.envelope.decode::<Request>().ok()) {
            Some(r) => {
                matters.insert(r.matter);
            }
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
