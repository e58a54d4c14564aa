//! How the facts' events stand in log entries: the entry type names the event or, for a plain
//! statement, its kind; the body is the event.

use crate::entry::Entry;
use escrow_core::{Envelope, Kind, Timestamp};
use escrow_policy::{Event, Record};
use serde::Deserialize as _;
use serde_json::{Map, Value};

/// Why an entry is not a record of this protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The body is no event of this version.
    #[error("the body is no event of this version: {0}")]
    Body(String),
    /// The entry type contradicts body or statement.
    #[error("type {found:?} does not go with its body, {expected:?} expected")]
    Type {
        /// Type found.
        found: String,
        /// Type that the body and statement call for.
        expected: String,
    },
    /// An entry of this type names a statement where there is none, or the other way round.
    #[error("an entry of type {0:?} names a statement that it should not, or none although it should")]
    Statement(String),
    /// The time is beyond what the protocol can say.
    #[error("time out of range")]
    Time,
}

/// The entry type of an event; `statement` is the kind of the statement beside it, if any.
pub fn entry_type(event: &Event, statement: Option<Kind>) -> &'static str {
    match event {
        Event::Statement {} => statement.map_or("statement", Kind::name),
        Event::Genesis { .. } => "genesis",
        Event::CharterAccepted { .. } => "charter.accepted",
        Event::Authorized { .. } => "release.authorized",
        Event::Delivered { .. } => "release.delivered",
        Event::Aborted { .. } => "release.aborted",
        Event::Cosigned { .. } => "witness.cosigned",
        Event::Refused { .. } => "refused",
        Event::Ready { .. } => "node.ready",
        Event::Continued { .. } => "log.continued",
        Event::Clock { .. } => "clock.anomaly",
        Event::Misbehaviour { .. } => "misbehaviour",
    }
}

/// The body of an event's entry.
pub fn body(event: &Event) -> Map<String, Value> {
    match serde_json::to_value(event) {
        Ok(Value::Object(map)) => map,
        // Events are structs of strings and numbers, which always serialise to objects.
        _ => Map::new(),
    }
}

/// The event of an entry, as far as the entry alone tells: its type goes with its body and with whether it
/// names a statement.
///
/// # Errors
/// [`RecordError`].
pub fn event(entry: &Entry) -> Result<Event, RecordError> {
    let event = Event::deserialize(&entry.body).map_err(|e| RecordError::Body(e.to_string()))?;
    time(entry)?;
    let kind = Kind::ALL.into_iter().find(|k| k.has_own_entry() && k.name() == entry.kind);
    let expected = match (&event, kind) {
        (Event::Statement {}, None) => "the kind of a statement",
        _ => entry_type(&event, kind),
    };
    fits(entry, expected)?;
    // What reads alike is not what every other reader takes.
    if body(&event) != entry.body {
        return Err(RecordError::Body("another spelling of it".into()));
    }
    let names = matches!(
        event,
        Event::Statement {} | Event::Genesis { .. } | Event::Authorized { .. } | Event::Delivered { .. }
    );
    match entry.statement.is_some() == names {
        true => Ok(event),
        false => Err(RecordError::Statement(entry.kind.clone())),
    }
}

fn time(entry: &Entry) -> Result<Timestamp, RecordError> {
    let ms = i64::try_from(entry.ts).map_err(|_| RecordError::Time)?;
    let at = Timestamp::from_millis(ms);
    if at.millis() == ms { Ok(at) } else { Err(RecordError::Time) }
}

fn fits(entry: &Entry, expected: &str) -> Result<(), RecordError> {
    match entry.kind == expected {
        true => Ok(()),
        false => Err(RecordError::Type { found: entry.kind.clone(), expected: expected.to_owned() }),
    }
}

/// Reads an entry as a record for the fold. `base` is how many entries the seat's earlier logs have;
/// positions in the record are counted from there.
///
/// # Errors
/// [`RecordError`].
pub fn read<'a>(entry: &'a Entry, base: u64, statement: Option<&'a Envelope>) -> Result<Record<'a>, RecordError> {
    of(entry, event(entry)?, base, statement)
}

/// [`read`] of an entry whose [`event`] is known.
///
/// # Errors
/// [`RecordError`].
pub(crate) fn of<'a>(
    entry: &'a Entry,
    mut event: Event,
    base: u64,
    statement: Option<&'a Envelope>,
) -> Result<Record<'a>, RecordError> {
    fits(entry, entry_type(&event, statement.map(Envelope::kind)))?;
    if let Event::Delivered { authorized, .. } | Event::Aborted { authorized, .. } = &mut event {
        *authorized = authorized.saturating_add(base);
    }
    let (seq, at) = (entry.seq.saturating_add(base), time(entry)?);
    Ok(Record { seq, at, entry_type: &entry.kind, statement, event })
}
