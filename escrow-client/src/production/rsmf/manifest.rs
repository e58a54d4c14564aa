//! `rsmf_manifest.json` of RSMF 2.0.0, as the schema `rsmf_schema_2_0_0.json` has it. Nothing but its own
//! properties: whatever else is known stands in `custom`, whose values are strings.

use crate::archive::ReceiptAction;
use crate::production::event::{Event, EventKind, Slice};
use crate::production::package::Provenance;
use crate::zone::Zone;
use serde::Serialize;

/// The version that headers and manifest name.
pub(super) const VERSION: &str = "2.0.0";

#[derive(Serialize)]
pub(super) struct Manifest<'a> {
    version: &'static str,
    eventcollectionid: String,
    participants: Vec<Participant<'a>>,
    conversations: Vec<Conversation<'a>>,
    events: Vec<EventRow<'a>>,
}

#[derive(Serialize)]
struct Participant<'a> {
    id: &'a str,
    display: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    account_id: &'a str,
}

#[derive(Serialize)]
struct Conversation<'a> {
    id: &'a str,
    platform: &'a str,
    display: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    custodian: Option<&'a str>,
    participants: Vec<&'a str>,
    custom: Vec<Custom<'a>>,
}

#[derive(Serialize)]
struct Custom<'a> {
    name: &'static str,
    value: std::borrow::Cow<'a, str>,
}

#[derive(Serialize)]
struct EventRow<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    conversation: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    participant: Option<&'a str>,
    timestamp: String,
    body: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    direction: Option<&'static str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    deleted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    importance: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reactions: Vec<Reaction<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attachments: Vec<Attachment<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    edits: Vec<Edit<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    read_receipts: Vec<ReadReceipt<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    custom: Vec<Custom<'a>>,
}

#[derive(Serialize)]
struct Reaction<'a> {
    value: &'a str,
    count: usize,
    participants: Vec<&'a str>,
}

#[derive(Serialize)]
struct Attachment<'a> {
    id: String,
    display: &'a str,
    size: u64,
}

#[derive(Serialize)]
struct Edit<'a> {
    participant: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<String>,
    previous: &'a str,
    new: &'a str,
}

#[derive(Serialize)]
struct ReadReceipt<'a> {
    participant: &'a str,
    timestamp: String,
    action: &'static str,
}

impl<'a> Manifest<'a> {
    pub(super) fn of(provenance: &'a Provenance, zone: &'a Zone, slice: &'a Slice<'a>) -> Self {
        let c = slice.conversation;
        let participants = slice.people().into_iter().map(|(id, display)| Participant {
            id,
            display,
            email: address(id),
            account_id: id,
        });
        let conversation = Conversation {
            id: &c.id,
            platform: &c.platform,
            display: &c.display,
            kind: if c.direct { "direct" } else { "channel" },
            custodian: slice.custodian(),
            participants: slice.members.iter().map(String::as_str).collect(),
            custom: vec![
                custom("matter_id", provenance.matter.as_str()),
                custom("release_id", provenance.release.to_string()),
                custom("thread_id", c.token.to_string()),
                custom("time_zone", zone.name().as_str()),
            ],
        };
        Self {
            version: VERSION,
            eventcollectionid: c.token.to_string(),
            participants: participants.collect(),
            conversations: vec![conversation],
            events: slice.events.iter().map(|e| row(e, zone, slice)).collect(),
        }
    }
}

fn custom<'a>(name: &'static str, value: impl Into<std::borrow::Cow<'a, str>>) -> Custom<'a> {
    Custom { name, value: value.into() }
}

fn row<'a>(e: &'a Event, zone: &Zone, slice: &'a Slice<'_>) -> EventRow<'a> {
    let direction = slice.custodian().filter(|_| e.kind == EventKind::Message).zip(e.participant.as_deref());
    EventRow {
        id: &e.id,
        kind: kind(e.kind),
        conversation: &slice.conversation.id,
        parent: e.reply_to.as_deref(),
        participant: e.participant.as_deref(),
        timestamp: zone.text(e.at),
        body: &e.body,
        direction: direction.map(|(custodian, who)| if who == custodian { "outgoing" } else { "incoming" }),
        deleted: e.deleted,
        importance: e.high.then_some("high"),
        reactions: e
            .reactions
            .iter()
            .map(|r| Reaction {
                value: &r.value,
                count: r.participants.len(),
                participants: r.participants.iter().map(String::as_str).collect(),
            })
            .collect(),
        attachments: e
            .attachments
            .iter()
            .map(|a| Attachment { id: a.file_name(), display: &a.file.name, size: a.file.size })
            .collect(),
        edits: e
            .edits
            .iter()
            .map(|edit| Edit {
                participant: &edit.participant,
                timestamp: edit.at.map(|at| zone.text(at)),
                previous: &edit.previous,
                new: &edit.new,
            })
            .collect(),
        read_receipts: e
            .receipts
            .iter()
            .map(|r| ReadReceipt {
                participant: &r.participant,
                timestamp: zone.text(r.at),
                action: match r.action {
                    ReceiptAction::Read => "read",
                    ReceiptAction::Delivered => "delivered",
                },
            })
            .collect(),
        custom: e.custom.iter().map(|(name, value)| custom(name, value.as_str())).collect(),
    }
}

const fn kind(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Message => "message",
        EventKind::Join => "join",
        EventKind::Leave => "leave",
        EventKind::History => "history",
        EventKind::Disclaimer => "disclaimer",
        EventKind::Unknown => "unknown",
    }
}

/// An id that is a mail address beyond doubt.
fn address(id: &str) -> Option<&str> {
    let (local, domain) = id.split_once('@')?;
    let plain = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"._%+-".contains(&b));
    let dots = |s: &str| !s.starts_with('.') && !s.ends_with('.') && !s.contains("..");
    (plain(local) && plain(domain) && domain.contains('.') && dots(local) && dots(domain)).then_some(id)
}
