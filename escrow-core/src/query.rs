//! Queries: every read by a person is signed, answered by one node, and logged.

use crate::digest::{Digest, Nonce};
use crate::limits;
use crate::release::Caller;
use crate::statement::{Kind, rule, statement, strictly_sorted};
use crate::time::Timestamp;
use crate::token::Token;
use crate::words::{Org, SeatIndex};
use serde::{Deserialize, Serialize};

/// A question to one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// Always [`Kind::Query`].
    pub kind: Kind,
    /// The organisation.
    pub org: Org,
    /// Fresh random bytes; a node answers each nonce once.
    pub nonce: Nonce,
    /// The charter that the asker saw.
    pub charter: Digest,
    /// Who asks.
    pub by: Caller,
    /// The node that is asked.
    pub seat: SeatIndex,
    /// What is asked.
    pub what: Question,
    /// When it was signed; within the charter's clock skew.
    pub at: Timestamp,
}

statement!(Query, Query, limits::PAYLOAD_LARGE, |q| {
    match &q.what {
        Question::Preview(request) => {
            rule(request.kind == Kind::Request, "what is tried out is a request")?;
            request.check()
        }
        Question::Entries(e) => {
            rule(e.log >= 1, "logs are numbered from 1")?;
            rule(e.count >= 1 && e.count <= ENTRIES_PER_ANSWER, "1 to 1000 entries an answer")
        }
        Question::Exported(e) => {
            rule(strictly_sorted(&e.requests), "requests sorted, no duplicates")?;
            rule(e.requests.len() <= EXPORTED_MAX, "at most 10000 requests; none stands for all")
        }
        Question::Items(scope) => {
            rule(scope.from < scope.to, "covers no time")?;
            rule(
                !scope.threads.is_empty() && strictly_sorted(&scope.threads),
                "threads: at least one, sorted, no duplicates",
            )
        }
        Question::ItemsOf(of) => {
            rule(of.from < of.to, "covers no time")?;
            rule(
                !of.custodians.is_empty() && strictly_sorted(&of.custodians),
                "custodians: at least one, sorted, no duplicates",
            )?;
            rule(of.custodians.len() <= limits::CUSTODIANS_MAX, "at most 1000 custodians")
        }
        _ => Ok(()),
    }
});

/// Most log entries in one answer.
pub const ENTRIES_PER_ANSWER: u64 = 1_000;

/// Most requests that one export names.
pub const EXPORTED_MAX: usize = 10_000;

/// The questions there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Question {
    /// Evaluate a request now and answer with the verdict.
    Evaluate(Digest),
    /// What the gate would say to a request that nobody has submitted; by its own requestor.
    Preview(Box<crate::request::Request>),
    /// All matters, with their state.
    Matters,
    /// All requests, with decisions and the node's last verdict.
    Requests,
    /// All self-recoveries; for a device those of its own subject.
    Recoveries,
    /// What the asking device's subject has deposited, and the device's own enrolments.
    Own,
    /// The asker's own devices: which requests and releases touched their threads.
    Activity,
    /// Items of threads within a time range, to draft a request.
    Items(crate::request::Scope),
    /// Items in which these subjects take part, within a time range, to draft a request.
    ItemsOf(CustodianScope),
    /// Live consents of the asking device's subject; all of them for an officer.
    Consents,
    /// A slice of the log with the statements and contexts it names.
    Entries(EntryRange),
    /// The node's newest cosigned checkpoint, and its views of all other logs.
    Views(Nonce),
    /// Puts on record that an export was written; answered with where the question was logged.
    Exported(Exported),
}

impl Question {
    /// A name for logs and metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Evaluate(_) => "evaluate",
            Self::Preview(_) => "preview",
            Self::Matters => "matters",
            Self::Requests => "requests",
            Self::Recoveries => "recoveries",
            Self::Own => "own",
            Self::Activity => "activity",
            Self::Items(_) => "items",
            Self::ItemsOf(_) => "items-of",
            Self::Consents => "consents",
            Self::Entries(_) => "entries",
            Self::Views(_) => "views",
            Self::Exported(_) => "exported",
        }
    }
}

/// A range of positions in one log of the seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntryRange {
    /// Which of the seat's logs: 1 for its first, one more for each new origin that the charters give it.
    pub log: u32,
    /// First position.
    pub from: u64,
    /// How many, at most 1,000.
    pub count: u64,
}

/// Custodians and time of a question for items.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustodianScope {
    /// Subjects, sorted; an item is of one if they deposited it or its depositor names them as participant.
    pub custodians: Vec<Token>,
    /// First instant of the time.
    pub from: Timestamp,
    /// First instant after it.
    pub to: Timestamp,
}

/// An export that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exported {
    /// SHA-256 of the bundle's `tagmanifest-sha256.txt`, which binds all of it.
    pub bundle: Digest,
    /// Nonce of the export.
    pub export: Nonce,
    /// The requests that it is about, sorted; none if it is about all, or has no content.
    pub requests: Vec<Digest>,
}
