//! The engine decides and does no I/O. Statements and time come in; log entries, rows and signed
//! answers come out, held back by the writer until they are durable.

mod decide;
mod logged;
#[cfg(test)]
mod machine;
mod notify;
mod past;
mod submit;
#[cfg(test)]
mod tests;
mod witness;

pub use decide::{Authorised, Delivered, SealedReply};
pub use logged::{Destruction, Logged};
pub use past::Span;
pub use submit::Submitted;
pub use witness::{AddAnswer, RestrictionAnswers};

use crate::keys::SeatKeys;
use crate::store::{Batch, EntryRow, PeerHead};
use escrow_audit::checkpoint::{Checkpoint, CheckpointError, VerifiedCheckpoint};
use escrow_audit::entry::{Chain, Entry, StatementRef};
use escrow_audit::note::{NoteError, NoteSigner};
use escrow_audit::record;
use escrow_audit::tree::Tree;
use escrow_core::charter::Charter;
use escrow_core::envelope::EnvelopeError;
use escrow_core::{Digest, Envelope, SeatIndex, Timestamp};
use escrow_policy::{Event, Facts, Refusal, Rule};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

/// The state of one seat, folded from its log.
pub struct Engine {
    pub(crate) seat: SeatIndex,
    pub(crate) keys: Arc<SeatKeys>,
    origin: String,
    /// The seat's logs before this one, oldest first, and how many entries they have.
    past: Vec<past::Past>,
    base: u64,
    /// Which of the seat's logs this is.
    number: u32,
    /// Time of the newest entry of the logs before, in milliseconds.
    floor: u64,
    facts: Facts,
    chain: Chain,
    tree: Tree,
    /// Envelope that was logged first for a payload.
    envelopes: HashMap<Digest, Stored>,
    peers: BTreeMap<String, PeerHead>,
    pub(crate) batch: Batch,
    /// Receivers that are told when something waits.
    webhooks: Vec<String>,
    now: Timestamp,
    /// Size up to which something other than cosignatures has been appended.
    significant: u64,
    /// Logs whose keys signed heads that contradict each other: never cosigned again.
    liars: BTreeSet<String>,
    /// The newest signed notes of each other log, also of heads that were not cosigned.
    shown: BTreeMap<String, VecDeque<PeerHead>>,
}

/// The envelope in which a statement was logged first.
struct Stored {
    envelope: Digest,
    bytes: usize,
}

/// Why a stored log cannot be taken up again.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The chain is broken.
    #[error("the log is damaged: {0}")]
    Chain(String),
    /// An entry that no rule allows.
    #[error("log entry {seq} breaks a rule: {rule}")]
    Entry {
        /// Position.
        seq: u64,
        /// The rule.
        rule: String,
    },
    /// A statement that an entry names is missing.
    #[error("log entry {0} names a statement that the database does not hold")]
    Statement(u64),
    /// The statement's bytes are not those that the entry names.
    #[error("the database holds another statement than the one that log entry {0} names")]
    Altered(u64),
    /// The root that was recorded at a commit is not the root of the entries.
    #[error("the log of size {size} has another root than the one recorded at its commit; nothing was signed now")]
    Root {
        /// Entries.
        size: u64,
    },
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Engine(seat {}, {} entries)", self.seat, self.tree.size())
    }
}

impl Engine {
    /// An engine over an empty log.
    pub fn new(seat: SeatIndex, origin: String, keys: Arc<SeatKeys>) -> Self {
        Self {
            seat,
            keys,
            chain: Chain::new(&origin),
            origin,
            past: vec![],
            base: 0,
            number: 1,
            floor: 0,
            facts: Facts::new(),
            tree: Tree::new(),
            envelopes: HashMap::new(),
            peers: BTreeMap::new(),
            batch: Batch::default(),
            webhooks: vec![],
            now: Timestamp::EPOCH,
            significant: 0,
            liars: BTreeSet::new(),
            shown: BTreeMap::new(),
        }
    }

    /// Takes up one stored entry, checked as the verifier would.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn load(&mut self, bytes: &[u8], envelope: impl Fn(&Digest) -> Option<Vec<u8>>) -> Result<(), LoadError> {
        let seq = self.tree.size();
        let entry = self.chain.push(bytes).map_err(|e| LoadError::Chain(e.to_string()))?;
        let entry = entry.entry().map_err(|e| LoadError::Chain(e.to_string()))?;
        let statement = match &entry.statement {
            None => None,
            Some(r) => {
                let bytes = envelope(&Digest(r.env)).ok_or(LoadError::Statement(seq))?;
                let e = Envelope::parse(&bytes).map_err(|e| LoadError::Entry { seq, rule: e.to_string() })?;
                if (e.digest(), e.envelope_digest()) != (Digest(r.stmt), Digest(r.env)) {
                    return Err(LoadError::Altered(seq));
                }
                Some(e)
            }
        };
        self.fold(&entry, statement.as_ref()).map_err(|e| LoadError::Entry { seq, rule: e.to_string() })?;
        self.tree.append(self.chain.head());
        Ok(())
    }

    /// Takes up the stored heads of other logs.
    pub fn load_peers(&mut self, peers: impl IntoIterator<Item = (String, PeerHead)>) {
        self.peers.extend(peers);
    }

    fn fold(&mut self, entry: &Entry, statement: Option<&Envelope>) -> Result<(), Refusal> {
        let malformed = |e: record::RecordError| Refusal::new(Rule::Malformed, e.to_string());
        let record = record::read(entry, self.base, statement).map_err(malformed)?;
        self.facts.fold(&record)?;
        if let Some(e) = statement {
            self.envelopes
                .entry(e.digest())
                .or_insert_with(|| Stored { envelope: e.envelope_digest(), bytes: e.bytes().len() });
        }
        if let Event::Misbehaviour { origin, .. } = &record.event {
            self.liars.insert(origin.clone());
        }
        if !matches!(record.event, Event::Cosigned { .. }) {
            self.significant = entry.seq.saturating_add(1);
        }
        Ok(())
    }

    /// Starts a batch: time never runs backwards in a log.
    pub(crate) fn begin(&mut self, now: Timestamp) {
        let last = i64::try_from(self.chain.ts().max(self.floor)).unwrap_or(i64::MAX);
        self.now = now.max(Timestamp::from_millis(last));
    }

    /// Hands over what the batch must write.
    pub(crate) fn take_batch(&mut self) -> Batch {
        let mut batch = std::mem::take(&mut self.batch);
        if !batch.entries.is_empty() {
            batch.root = Some((self.base.saturating_add(self.tree.size()), self.tree.root()));
        }
        batch
    }

    /// The time at which everything in this batch is decided and logged.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The facts.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Entries of the current log so far.
    pub fn size(&self) -> u64 {
        self.tree.size()
    }

    /// The tree over the entries.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Origin of the log.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Size that peers should cosign; entries after it are only cosignatures.
    pub fn significant(&self) -> u64 {
        self.significant
    }

    /// The charter in force.
    ///
    /// # Errors
    /// [`Rule::CharterUnknown`] before the genesis entry.
    pub fn charter(&self) -> Result<&Charter, Refusal> {
        let c = self.facts.charter().map(escrow_policy::charter::VerifiedCharter::charter);
        c.ok_or_else(|| Refusal::new(Rule::CharterUnknown, "this node has no charter yet"))
    }

    /// The charter in force as the log says, with the position of its statement.
    ///
    /// # Errors
    /// [`Rule::CharterUnknown`] before the genesis entry.
    pub fn charter_in_force(&self) -> Result<Logged<Charter>, Refusal> {
        let charter = self.charter()?.clone();
        let seq = self.facts.seen(&self.charter_digest()).map_or(0, |l| l.seq);
        Ok(Logged::new(seq, charter))
    }

    pub(crate) fn charter_digest(&self) -> Digest {
        self.facts.charter().map_or(Digest([0; 32]), escrow_policy::charter::VerifiedCharter::digest)
    }

    /// Appends one entry: checks, folds, and queues the rows. Its token is worth something only when the
    /// writer has made it durable.
    ///
    /// # Errors
    /// [`Refusal`]; nothing was appended.
    pub fn append(&mut self, event: &Event, statement: Option<&Envelope>) -> Result<Logged<()>, Refusal> {
        let kind = record::entry_type(event, statement.map(Envelope::kind));
        let reference = statement.map(|e| StatementRef { stmt: e.digest().0, env: e.envelope_digest().0 });
        let now = u64::try_from(self.now.millis()).unwrap_or(0);
        let entry = self.chain.draft(now, kind, reference, record::body(event));
        let malformed = |e: String| Refusal::new(Rule::Malformed, e);
        let bytes = entry.encode().map_err(|e| malformed(e.to_string()))?;
        self.fold(&entry, statement)?;
        // The same check that a stored entry passes; cannot fail for what draft just made.
        self.chain.push(&bytes).map_err(|e| malformed(e.to_string()))?;
        let leaf = self.chain.head();
        self.tree.append(leaf);
        let position = self.base.saturating_add(entry.seq);
        self.batch.entries.push(EntryRow { position, bytes, leaf });
        if let Some(e) = statement {
            self.keep(e);
            self.notify(e);
        }
        Ok(Logged::new(position, ()))
    }

    /// Queues a statement that entries name only by digest.
    pub(crate) fn keep(&mut self, e: &Envelope) {
        self.batch.statements.push((e.envelope_digest(), e.digest(), e.bytes().to_vec()));
    }

    /// Queues bytes that an entry names by their digest.
    pub(crate) fn attach(&mut self, bytes: Vec<u8>) {
        self.batch.attachments.push(bytes);
    }

    pub(crate) fn log_signer(&self) -> Result<NoteSigner<'_>, NoteError> {
        NoteSigner::new(&self.origin, &self.keys.log)
    }

    /// Signs the head of the log. Only the writer calls it, after commit and recomputation.
    pub(crate) fn checkpoint(&self) -> Result<VerifiedCheckpoint, CheckpointError> {
        let signer = self.log_signer().map_err(CheckpointError::Note)?;
        Checkpoint::new(&self.origin, self.tree.size(), self.tree.root())?.sign(&signer)
    }

    /// Envelope that was logged first for a payload.
    pub fn first_envelope(&self, payload: &Digest) -> Option<Digest> {
        self.envelopes.get(payload).map(|s| s.envelope)
    }
}

pub(crate) fn unsigned(e: EnvelopeError) -> Refusal {
    Refusal::new(Rule::Malformed, format!("this node could not sign its own statement: {e}"))
}
