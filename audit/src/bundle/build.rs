//! Puts a bundle together. Pure, and deterministic: the same parts give the same bytes in
//! whatever order they were added.

use super::{INDEX, Index, LogRef, Names, README, SCHEMA, Variant};
use super::{attachment_path, charter_path, checkpoint_path, entries_path, statement_path, view_path};
use crate::bagit;
use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::entry::{EntryError, Scanned};
use crate::note::{Note, NoteError, VerifierKey};
use crate::report;
use crate::seat::{self, log_number};
use escrow_core::charter::Charter;
use escrow_core::envelope::EnvelopeError;
use escrow_core::request::Request;
use escrow_core::verdict::Verdict;
use escrow_core::view::View;
use escrow_core::{Digest, Envelope, Kind, MatterId, Nonce, SeatIndex, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// Why parts do not make a bundle.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Not an envelope, or of the wrong kind.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// Not a log entry.
    #[error("entry {0}: {1}")]
    Entry(usize, #[source] EntryError),
    /// Not a note.
    #[error("checkpoint: {0}")]
    Note(#[from] NoteError),
    /// Not a checkpoint.
    #[error("checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// The same log twice.
    #[error("the log {0} twice")]
    TwoLogs(String),
    /// No genesis charter, or more than one.
    #[error("exactly one genesis charter is needed")]
    Genesis,
    /// A log that no charter gives to that seat, or a view of one.
    #[error("the log {0}, which no charter names")]
    UnknownLog(String),
    /// A request without its statement.
    #[error("the statement of request {0} is missing")]
    UnknownRequest(Digest),
}

/// What the parts do not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Nonce of the export, as the nodes were asked for their views.
    pub export: Nonce,
    /// The requests that the bundle is about.
    pub requests: Vec<Digest>,
}

struct Log {
    entries: Vec<Vec<u8>>,
    checkpoint: Vec<u8>,
    newest: Timestamp,
}

/// What the logs added so far name.
#[derive(Default)]
struct Named {
    envelopes: BTreeSet<Digest>,
    statements: BTreeSet<Digest>,
    attachments: BTreeSet<Digest>,
}

/// Collects the parts of a bundle. Statements and attachments that no log names are left out, so
/// that what a node hands over too much does not spoil the rest; everything else must have been
/// verified by whoever collected it, because one bad part makes the whole bundle TAMPERED.
#[derive(Default)]
pub struct BundleBuilder {
    charters: BTreeMap<Digest, Envelope>,
    /// By seat and origin.
    logs: BTreeMap<(SeatIndex, String), Log>,
    named: Named,
    statements: BTreeMap<Digest, Envelope>,
    attachments: BTreeMap<Digest, Vec<u8>>,
    views: Vec<(View, Vec<u8>)>,
    variant: Variant,
}

impl BundleBuilder {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How much of what is added goes in; [`Variant::Full`] if nobody says. Without content the
    /// requests of [`Meta`] are left out too.
    #[must_use]
    pub fn variant(mut self, variant: Variant) -> Self {
        self.variant = variant;
        self
    }

    /// Adds a charter envelope; again is no error.
    ///
    /// # Errors
    /// [`BuildError::Envelope`].
    pub fn add_charter(&mut self, envelope: &[u8]) -> Result<(), BuildError> {
        let envelope = Envelope::parse(envelope)?;
        envelope.decode::<Charter>()?;
        self.charters.insert(envelope.envelope_digest(), envelope);
        Ok(())
    }

    /// Adds a log of a seat: its entries from the first on, and the note for exactly that size.
    ///
    /// # Errors
    /// [`BuildError::Entry`], [`BuildError::Note`], [`BuildError::Checkpoint`], [`BuildError::TwoLogs`].
    pub fn add_log(&mut self, seat: SeatIndex, entries: Vec<Vec<u8>>, checkpoint: Vec<u8>) -> Result<(), BuildError> {
        let origin = Checkpoint::parse(Note::parse(&checkpoint)?.text())?.origin().to_owned();
        let mut newest = Timestamp::EPOCH;
        for (at, bytes) in entries.iter().enumerate() {
            // An entry that decodes is JSON without raw newlines.
            let entry = Scanned::read(bytes).map_err(|e| BuildError::Entry(at, e))?;
            newest = newest.max(Timestamp::from_millis(i64::try_from(entry.ts).unwrap_or(i64::MAX)));
            let names = Names::of(entry.kind, entry.body);
            self.named.envelopes.extend(entry.statement().map(|s| Digest(s.env)));
            self.named.statements.extend(names.statements);
            self.named.attachments.extend(names.notes);
        }
        match self.logs.insert((seat, origin.clone()), Log { entries, checkpoint, newest }) {
            None => Ok(()),
            Some(_) => Err(BuildError::TwoLogs(origin)),
        }
    }

    /// Adds a statement that an entry names, by its exact envelope bytes; again is no error.
    /// A charter goes to the charters.
    ///
    /// # Errors
    /// [`BuildError::Envelope`].
    pub fn add_statement(&mut self, envelope: &[u8]) -> Result<(), BuildError> {
        let parsed = Envelope::parse(envelope)?;
        if parsed.kind() == Kind::Charter {
            return self.add_charter(envelope);
        }
        self.statements.insert(parsed.envelope_digest(), parsed);
        Ok(())
    }

    /// Adds a policy context or a cosigned note; again is no error.
    pub fn add_attachment(&mut self, bytes: Vec<u8>) {
        self.attachments.insert(Digest::of(&bytes), bytes);
    }

    /// Adds a peer's view of a log.
    ///
    /// # Errors
    /// [`BuildError::Envelope`].
    pub fn add_view(&mut self, envelope: &[u8]) -> Result<(), BuildError> {
        let view = Envelope::parse(envelope)?.decode::<View>()?;
        self.views.push((view, envelope.to_vec()));
        Ok(())
    }

    /// The files of the bundle.
    ///
    /// # Errors
    /// [`BuildError`] if parts are missing or do not go together. Nothing is verified here.
    pub fn finish(self, meta: &Meta) -> Result<BTreeMap<String, Vec<u8>>, BuildError> {
        let mut charters: Vec<(u64, Digest, Digest, Charter)> = Vec::new();
        for (envelope_digest, envelope) in &self.charters {
            let c: Charter = envelope.decode()?;
            charters.push((c.version, envelope.digest(), *envelope_digest, c));
        }
        charters.sort_by_key(|(version, digest, envelope, _)| (*version, *digest, *envelope));
        let genesis: BTreeSet<Digest> = charters.iter().filter(|c| c.0 == 1).map(|c| c.1).collect();
        let (Some((_, genesis_digest, _, first)), 1) = (charters.first(), genesis.len()) else {
            return Err(BuildError::Genesis);
        };
        let all: Vec<&Charter> = charters.iter().map(|(_, _, _, c)| c).collect();

        let newest_entry = self.logs.values().map(|l| l.newest);
        let created = newest_entry.chain(self.views.iter().map(|(v, _)| v.at)).max().unwrap_or(Timestamp::EPOCH);
        let full = self.variant == Variant::Full;
        let requests: BTreeSet<Digest> = meta.requests.iter().copied().filter(|_| full).collect();
        let mut payload = BTreeMap::new();
        let mut logs = Vec::new();
        for ((seat, origin), log) in &self.logs {
            let number = log_number(all.iter().copied(), *seat, origin);
            let number = number.ok_or_else(|| BuildError::UnknownLog(origin.clone()))?;
            logs.push(LogRef { seat: *seat, number, origin: origin.clone(), size: log.entries.len() as u64 });
            let mut lines = log.entries.join(&b'\n');
            lines.push(b'\n');
            payload.insert(entries_path(*seat, number), lines);
            payload.insert(checkpoint_path(*seat, number), trimmed(&log.checkpoint, &all)?);
        }
        logs.sort_by_key(LogRef::id);
        for (view, bytes) in &self.views {
            let viewed = all.iter().flat_map(|c| &c.seats).find(|s| s.log_origin == view.log);
            let viewed = viewed.ok_or_else(|| BuildError::UnknownLog(view.log.clone()))?.index;
            payload.insert(view_path(view.seat, viewed), bytes.clone());
        }
        for (position, (_, _, digest, _)) in (1..).zip(&charters) {
            payload.extend(self.charters.get(digest).map(|e| (charter_path(position), e.bytes().to_vec())));
        }
        let mut attachments = self.named.attachments.clone();
        for (digest, envelope) in self.statements.iter().filter(|(_, e)| self.variant.holds(e.kind())) {
            let logged = self.named.envelopes.contains(digest);
            if logged || (self.named.statements.contains(&envelope.digest()) && signed_by_seat(envelope, &all)) {
                payload.insert(statement_path(digest), envelope.bytes().to_vec());
                // What a policy saw says who asked for what.
                attachments.extend(envelope.decode::<Verdict>().ok().and_then(|v| v.context).filter(|_| full));
            }
        }
        let attached = self.attachments.iter().filter(|(d, _)| attachments.contains(d));
        payload.extend(attached.map(|(d, b)| (attachment_path(d), b.clone())));

        let matters = self.matters(&requests)?;
        let (org, export) = (first.org.clone(), meta.export);
        let requests = requests.into_iter().collect();
        let (variant, report) = (self.variant, report::VERSION.to_owned());
        let charter = *genesis_digest;
        let index = Index { schema: SCHEMA.into(), org, charter, export, created, logs, variant, report, requests };
        payload.insert(README.into(), index.readme().into_bytes());
        payload.extend(report::files(&payload, &index));
        payload.insert(INDEX.into(), index.encode());
        let info = index.bag_info(&matters, &payload);
        Ok(bagit::pack(payload, info.as_bytes()))
    }

    fn matters(&self, requests: &BTreeSet<Digest>) -> Result<BTreeSet<MatterId>, BuildError> {
        let mut matters = BTreeSet::new();
        for digest in requests {
            let asks = |e: &&Envelope| matches!(e.kind(), Kind::Request | Kind::SelfRecovery);
            let envelope = self.statements.values().filter(asks).find(|e| e.digest() == *digest);
            let envelope = envelope.ok_or(BuildError::UnknownRequest(*digest))?;
            // A self-recovery belongs to no matter.
            if envelope.kind() == Kind::Request {
                matters.insert(envelope.decode::<Request>()?.matter);
            }
        }
        Ok(matters)
    }
}

/// True if a seat of some charter signed this permit or answer. Logs name those by payload only,
/// so a copy with a broken signature must not stand in for the genuine one.
fn signed_by_seat(envelope: &Envelope, charters: &[&Charter]) -> bool {
    let seats = charters.iter().flat_map(|c| &c.seats);
    let keys: BTreeSet<_> = seats.map(|s| s.statement_key.clone()).collect();
    let lookup = |id: &String| keys.iter().filter(|k| k.id() == *id).cloned().collect();
    envelope.signers(lookup).is_ok_and(|s| s.len() == 1)
}

/// Bytes of a note without the lines of keys that no charter lists: those prove
/// nothing here, and a line that nobody can check could be altered unseen.
fn trimmed(note: &[u8], charters: &[&Charter]) -> Result<Vec<u8>, BuildError> {
    let note = Note::parse(note)?;
    let mut keys: Vec<VerifierKey> = Vec::new();
    for c in charters {
        for s in &c.seats {
            keys.extend(seat::log_verifier(s).ok());
            keys.extend(seat::witness_verifier(&c.org, s).ok());
        }
    }
    let known = note.signatures().iter().filter(|line| keys.iter().any(|k| k.made(line))).cloned().collect();
    Ok(Note::new(note.text(), known)?.to_bytes())
}
