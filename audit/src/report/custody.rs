//! The custody report as a value: who did what when with what is released, and where that is on record.
//!
//! It says what the logs record, and under which key each statement verifies. Whether each act was
//! allowed is what the verifier answers; the report is no substitute for it, and says so.

use super::trace::trace;
use super::{VERSION, custody_page};
use crate::bundle::Index;
use crate::files::Files;
use escrow_core::charter::Basis;
use escrow_core::consent::Authority;
use escrow_core::{Code, Digest, ItemId, Kind, MatterId, Nonce, Org, PersonId, Role, SeatIndex, Timestamp, Token};
use serde::Serialize;
use std::collections::BTreeMap;

/// Most log positions that one report shows, divided among its logs; each log says how many it has
/// beyond its part.
pub const ROWS_MAX: usize = 20_000;
/// Most items that one report describes.
pub const ITEMS_MAX: usize = 20_000;
/// Most requests that one report describes, the first by digest.
pub const REQUESTS_MAX: usize = 1_000;

/// The report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Custody {
    /// [`VERSION`].
    pub schema: &'static str,
    /// The organisation.
    pub org: Org,
    /// Digest of the genesis charter that the bundle names.
    pub charter: Digest,
    /// Nonce of the export.
    pub export: Nonce,
    /// The newest time in the evidence, by the nodes' clocks.
    pub created: Timestamp,
    /// The requests and self-recoveries that the bundle is about, by digest.
    pub cases: Vec<Case>,
    /// Those beyond [`REQUESTS_MAX`].
    pub cases_left_out: u64,
    /// Reads that concern them: one line for each person, question and log.
    pub reads: Vec<Reads>,
    /// Exports on record, this one among them.
    pub exports: Vec<ExportOnRecord>,
    /// What nodes put on record about logs and clocks.
    pub incidents: Vec<Incident>,
    /// The charter versions, which hold names, offices and keys.
    pub charters: Vec<CharterVersion>,
    /// The logs.
    pub logs: Vec<LogExtent>,
}

/// Somebody who acts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Actor {
    /// A person of the charter.
    Person {
        /// Id.
        id: PersonId,
        /// Name in the newest version that lists the person; null if none does.
        name: Option<String>,
        /// Offices there.
        roles: Vec<Role>,
    },
    /// A device of a subject.
    Device {
        /// Id of its signature key.
        key: String,
        /// The subject that an enrolment in the logs gives it; null if none does.
        subject: Option<Token>,
    },
    /// A node.
    Node {
        /// Seat.
        seat: SeatIndex,
        /// Name of the seat; null if no charter has it.
        name: Option<Code>,
        /// Who runs it.
        operator: Option<Code>,
    },
}

/// Where something is on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Position {
    /// The node's clock.
    pub at: Timestamp,
    /// Whose log.
    pub seat: SeatIndex,
    /// Number of the seat's log.
    pub log: u32,
    /// Position in it, from 0.
    pub seq: u64,
    /// Leaf hash of the entry (RFC 6962 section 2.1).
    pub leaf: Digest,
}

/// Signatures of a statement.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Signed {
    /// Ids of the keys, as the envelope names them.
    pub keys: Vec<String>,
    /// True if every signature verifies under a key that a charter or an enrolment here gives to who
    /// is named.
    pub verified: bool,
}

/// One act.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// The word for it: a kind of statement, a choice, a matter's action, or an entry type.
    pub act: String,
    /// Who acts.
    pub by: Vec<Actor>,
    /// Its statement; null if the entry itself is all there is.
    pub statement: Option<Digest>,
    /// The statement's signatures; null without one.
    pub signed: Option<Signed>,
    /// The time that the statement itself gives; null if none.
    pub stated: Option<Timestamp>,
    /// What it says, by name.
    pub details: BTreeMap<&'static str, String>,
    /// Where it is on record, earliest first.
    pub positions: Vec<Position>,
}

/// One item of a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    /// Item number in this report, from 1.
    pub no: u64,
    /// Item id.
    pub item: ItemId,
    /// What the logs say of it; null if its deposit is in none of them.
    pub about: Option<ItemAbout>,
}

/// What a deposit says of an item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ItemAbout {
    /// The thread.
    pub thread: Token,
    /// First instant of messages that its key opens.
    pub from: Timestamp,
    /// First instant after them.
    pub to: Timestamp,
    /// The messenger's era.
    pub era: u64,
    /// The messenger's epoch.
    pub epoch: u64,
    /// The custodian who deposited it.
    pub custodian: Token,
    /// The consent record that it rests on.
    pub consent: Digest,
    /// The deposit statement.
    pub deposit: Digest,
    /// SHA-256 of the sealed archive segment that it opens; null if there is none.
    pub archive: Option<Digest>,
}

/// A reply that a node delivered: what leaves custody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Released {
    /// The node.
    pub by: Actor,
    /// 1 for its first reply to the request.
    pub attempt: u64,
    /// Items in it; null, like all that its statement would say, if that is not in the bundle.
    pub items: Option<u64>,
    /// SHA-256 of the reply's bytes.
    pub reply: Digest,
    /// Digest of the sealing key that it is sealed to.
    pub sealed_to: Option<Digest>,
    /// True if that is the key which the request names.
    pub as_asked: Option<bool>,
    /// SHA-256 of the countersigned log head that covers its authorisation.
    pub note: Digest,
    /// The node's signature.
    pub signed: Option<Signed>,
    /// Where it is on record.
    pub position: Position,
}

/// One request or self-recovery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Case {
    /// Its digest.
    pub request: Digest,
    /// `request` or `self-recovery`.
    pub kind: Kind,
    /// Its matter; null for a self-recovery.
    pub matter: Option<MatterId>,
    /// Who asks.
    pub by: Actor,
    /// On what ground; null for a self-recovery.
    pub basis: Option<Basis>,
    /// The authority behind the basis.
    pub authority: Option<Authority>,
    /// For what purpose; null for a self-recovery.
    pub purpose: Option<Code>,
    /// The policy that it is evaluated under.
    pub policy: Code,
    /// Threads asked for; none are named by a self-recovery.
    pub threads: Vec<Token>,
    /// First instant of messages asked for; null for a self-recovery.
    pub from: Option<Timestamp>,
    /// First instant after them.
    pub to: Option<Timestamp>,
    /// Who will be able to read.
    pub recipient: Actor,
    /// `person`, `filter-team` or `device`.
    pub recipient_as: &'static str,
    /// Digest of the recipient's sealing key.
    pub sealed_to: Digest,
    /// When the subjects are told: `immediate`, or order and date of a delay; null for a self-recovery.
    pub notice: Option<String>,
    /// When it was signed.
    pub created: Timestamp,
    /// No verdict after this.
    pub expires: Timestamp,
    /// Items asked for.
    pub items_asked: u64,
    /// The items.
    pub items: Vec<Item>,
    /// Those beyond [`ITEMS_MAX`] of the whole report.
    pub items_left_out: u64,
    /// What left custody.
    pub released: Vec<Released>,
    /// Everything that happened, by time.
    pub events: Vec<Event>,
}

/// Questions of one kind by one person to one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reads {
    /// Who asked.
    pub by: Actor,
    /// What was asked, as `evaluate` or `entries`.
    pub what: &'static str,
    /// How often.
    pub count: u64,
    /// True if every one of them verifies.
    pub verified: bool,
    /// The first.
    pub first: Position,
    /// The last.
    pub last: Position,
}

/// An export, or the word of whoever made it that it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExportOnRecord {
    /// Who asked.
    pub by: Actor,
    /// Nonce of the export.
    pub export: Nonce,
    /// True for the export that this report is part of.
    pub this: bool,
    /// Digest of the finished bundle, once its maker put it on record; null where the nodes were asked
    /// for their views.
    pub bundle: Option<Digest>,
    /// True if every one of these questions verifies.
    pub verified: bool,
    /// Where it is on record, earliest first.
    pub positions: Vec<Position>,
}

/// What a node put on record about logs and clocks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Incident {
    /// Entry type.
    pub what: String,
    /// In words.
    pub detail: String,
    /// Where.
    pub position: Position,
}

/// A charter version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CharterVersion {
    /// Version.
    pub version: u64,
    /// Digest.
    pub digest: Digest,
    /// When it was drafted.
    pub issued: Timestamp,
    /// Ids of the keys that signed it.
    pub keys: Vec<String>,
    /// Where nodes put it in force, earliest first.
    pub accepted: Vec<Position>,
}

/// A log, as far as the bundle has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogExtent {
    /// Whose.
    pub node: Actor,
    /// Seat.
    pub seat: SeatIndex,
    /// Number of the seat's log.
    pub log: u32,
    /// Origin.
    pub origin: String,
    /// Where the node is run.
    pub jurisdiction: Option<Code>,
    /// Entries.
    pub size: u64,
    /// Root in the node's own signed head; null if its note cannot be read.
    pub root: Option<Digest>,
    /// SHA-256 of the file with its entries.
    pub sha256: Digest,
    /// Time of the first entry.
    pub first: Option<Timestamp>,
    /// Time of the last.
    pub last: Option<Timestamp>,
    /// Positions that concern this report and are beyond this log's part of [`ROWS_MAX`].
    pub left_out: u64,
}

impl Custody {
    /// The report about the requests that the index names, from what the payload says.
    #[must_use]
    pub fn of(source: &dyn Files, index: &Index) -> Self {
        trace(source, index)
    }

    pub(super) fn empty(index: &Index) -> Self {
        Self {
            schema: VERSION,
            org: index.org.clone(),
            charter: index.charter,
            export: index.export,
            created: index.created,
            cases: vec![],
            cases_left_out: 0,
            reads: vec![],
            exports: vec![],
            incidents: vec![],
            charters: vec![],
            logs: vec![],
        }
    }

    /// The report as JSON, two-space indented, with a newline at the end.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Strings, numbers, lists and maps with string keys always serialise.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// The report as one HTML page that needs nothing else.
    #[must_use]
    pub fn to_html(&self) -> String {
        custody_page::page(self)
    }
}
