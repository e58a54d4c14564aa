//! Members of a version 2 line: each read once, by its type, where the table of `docs/messages.md` puts it.

use super::super::message::{ID_MAX, Message, MessageError, Raw};
use super::{
    ATTACHMENTS_MAX, AttachmentRef, Content, ContentKind, ConversationInfo, ConversationKind, NAME_MAX, REACTION_MAX,
    ReceiptAction,
};
use escrow_core::Digest;
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt;

/// What version 2 reads; `thread`, `message_id`, `sender` and `sent_at` are read with every version.
const NAMES: [&str; 14] = [
    "v",
    "type",
    "target",
    "text",
    "reply_to",
    "value",
    "removed",
    "action",
    "member",
    "attachments",
    "conversation",
    "seq",
    "epoch",
    "importance",
];

/// The members of one line that are not yet read.
pub(super) struct Members<'a> {
    line: u64,
    found: BTreeMap<&'static str, &'a RawValue>,
    twice: Option<&'static str>,
}

impl<'a> Members<'a> {
    pub(super) fn of(message: &Message<'a>) -> Result<Self, MessageError> {
        let line = message.line;
        let mut input = serde_json::Deserializer::from_slice(message.bytes);
        de::Deserializer::deserialize_map(&mut input, Known(line))
            .map_err(|e| MessageError::NotAnObject { line, column: e.column() })
    }

    fn fault(&self, field: &'static str, problem: &'static str) -> MessageError {
        MessageError::Field { line: self.line, field, problem }
    }

    /// Takes one member out; serde's own error is not passed on, because it quotes the input.
    fn take<T: Deserialize<'a>>(
        &mut self,
        field: &'static str,
        problem: &'static str,
    ) -> Result<Option<T>, MessageError> {
        let raw = self.found.remove(field);
        raw.map(|raw| serde_json::from_str(raw.get()).map_err(|_| self.fault(field, problem))).transpose()
    }

    pub(super) fn words(&mut self) -> Result<String, MessageError> {
        let text: Option<Raw<'a>> = self.take("text", "must be a string")?;
        Ok(text.map(|t| lossy(&t.0)).unwrap_or_default())
    }

    pub(super) fn version(&mut self) -> Result<u8, MessageError> {
        let problem = "must be 2, or absent from a line of version 1";
        let twice = self.twice == Some("v");
        match self.take::<u64>("v", problem)? {
            _ if twice => Err(self.fault("v", TWICE)),
            None => Ok(1),
            Some(2) => Ok(2),
            Some(_) => Err(self.fault("v", problem)),
        }
    }

    pub(super) fn content(mut self, text: String) -> Result<Content, MessageError> {
        if let Some(field) = self.twice {
            return Err(self.fault(field, TWICE));
        }
        let word: Option<String> = self.take("type", TYPES)?;
        let word = word.as_deref().unwrap_or("message");
        if !text.is_empty() && matches!(word, "deletion" | "reaction" | "receipt" | "join" | "leave") {
            return Err(self.fault("text", "must be empty on a line of this type"));
        }
        let kind = self.kind(word)?;
        let conversation = self.take("conversation", CONVERSATION)?.map(|c| self.conversation(c)).transpose()?;
        let number = "must be a whole number from 0 to 2^64-1";
        let epoch = self.take("epoch", number)?;
        let seq: Option<u64> = self.take("seq", number)?;
        if seq == Some(0) {
            return Err(self.fault("seq", "counts from 1"));
        }
        match self.found.keys().next() {
            Some(field) => Err(self.fault(field, "does not belong on a line of this type")),
            None => Ok(Content { kind, text, conversation, seq, epoch }),
        }
    }

    fn kind(&mut self, word: &str) -> Result<ContentKind, MessageError> {
        Ok(match word {
            "message" => ContentKind::Message {
                reply_to: self.id("reply_to")?,
                attachments: self.attachments()?,
                high: self.one_of("importance", "must be normal or high", [("normal", false), ("high", true)])?
                    == Some(true),
            },
            "edit" => ContentKind::Edit { target: self.needed_id("target")?, attachments: self.attachments()? },
            "deletion" => ContentKind::Deletion { target: self.needed_id("target")? },
            "reaction" => ContentKind::Reaction {
                target: self.needed_id("target")?,
                value: self.reaction()?,
                removed: self.take("removed", "must be true or false")?.unwrap_or(false),
            },
            "receipt" => ContentKind::Receipt {
                target: self.needed_id("target")?,
                action: self
                    .one_of(
                        "action",
                        "must be read or delivered",
                        [("read", ReceiptAction::Read), ("delivered", ReceiptAction::Delivered)],
                    )?
                    .ok_or_else(|| self.fault("action", "is missing"))?,
            },
            "join" => ContentKind::Join { member: self.needed_id("member")? },
            "leave" => ContentKind::Leave { member: self.needed_id("member")? },
            "rename" => ContentKind::Rename,
            "notice" => ContentKind::Notice,
            "undecryptable" => ContentKind::Undecryptable,
            _ => return Err(self.fault("type", TYPES)),
        })
    }

    fn id(&mut self, field: &'static str) -> Result<Option<String>, MessageError> {
        let id: Option<String> = self.take(field, ID)?;
        match id {
            Some(id) if id.is_empty() || id.len() > ID_MAX => Err(self.fault(field, ID)),
            id => Ok(id),
        }
    }

    fn needed_id(&mut self, field: &'static str) -> Result<String, MessageError> {
        self.id(field)?.ok_or_else(|| self.fault(field, "is missing"))
    }

    fn reaction(&mut self) -> Result<String, MessageError> {
        let problem = "must be a string of 1 to 64 bytes";
        let value: Option<String> = self.take("value", problem)?;
        match value {
            Some(v) if v.is_empty() || v.len() > REACTION_MAX => Err(self.fault("value", problem)),
            Some(v) => Ok(v),
            None => Err(self.fault("value", "is missing")),
        }
    }

    fn one_of<T: Copy, const N: usize>(
        &mut self,
        field: &'static str,
        problem: &'static str,
        words: [(&str, T); N],
    ) -> Result<Option<T>, MessageError> {
        let Some(word) = self.take::<String>(field, problem)? else { return Ok(None) };
        let known = words.iter().find(|(w, _)| *w == word).map(|(_, value)| *value);
        known.map(Some).ok_or_else(|| self.fault(field, problem))
    }

    fn attachments(&mut self) -> Result<Vec<AttachmentRef>, MessageError> {
        let stated: Vec<&RawValue> = self.take("attachments", ATTACHMENTS)?.unwrap_or_default();
        if stated.len() > ATTACHMENTS_MAX {
            return Err(self.fault("attachments", "must be at most 100"));
        }
        stated.into_iter().map(|a| self.attachment(a)).collect()
    }

    /// serde would take an array of the values for an object, too.
    fn object<T: Deserialize<'a>>(
        &self,
        raw: &'a RawValue,
        field: &'static str,
        problem: &'static str,
    ) -> Result<T, MessageError> {
        let object = Some(raw.get()).filter(|text| text.starts_with('{'));
        object.and_then(|text| serde_json::from_str(text).ok()).ok_or_else(|| self.fault(field, problem))
    }

    fn attachment(&self, raw: &'a RawValue) -> Result<AttachmentRef, MessageError> {
        let StatedAttachment { name, media_type, size, sha256 } = self.object(raw, "attachments", ATTACHMENTS)?;
        let fits = (1..=NAME_MAX).contains(&name.len());
        if !fits || name.chars().any(|c| matches!(c, '/' | '\\') || c.is_control()) {
            let problem = "need names of 1 to 255 bytes without /, \\ and control characters";
            return Err(self.fault("attachments", problem));
        }
        if !is_media_type(&media_type) {
            return Err(self.fault("attachments", "need media types such as image/png, at most 255 bytes"));
        }
        Ok(AttachmentRef { name, media_type, size, sha256 })
    }

    fn conversation(&self, raw: &'a RawValue) -> Result<ConversationInfo, MessageError> {
        let c: StatedConversation = self.object(raw, "conversation", CONVERSATION)?;
        let kind = match c.kind.as_deref() {
            None => None,
            Some("direct") => Some(ConversationKind::Direct),
            Some("group") => Some(ConversationKind::Group),
            Some(_) => return Err(self.fault("conversation", "needs a kind of direct or group")),
        };
        if c.members.iter().flatten().any(|id| id.is_empty() || id.len() > ID_MAX) {
            return Err(self.fault("conversation", "needs members of 1 to 256 bytes each"));
        }
        Ok(ConversationInfo { kind, name: c.name, members: c.members, platform: c.platform })
    }
}

const TWICE: &str = "is there twice";
const ID: &str = "must be a string of 1 to 256 bytes";
const TYPES: &str = "must be message, edit, deletion, reaction, receipt, join, leave, rename, notice or undecryptable";
const ATTACHMENTS: &str =
    "must be an array of objects with name, media_type, size and sha256, each of its type and once";
const CONVERSATION: &str = "must be an object with kind, name, members and platform, each of its type and at most once";

/// `type/subtype` as RFC 6838 section 4.2 spells it, and whatever parameters in printable ASCII.
fn is_media_type(text: &str) -> bool {
    let (names, parameters) = text.split_once(';').unwrap_or((text, ""));
    let name = |n: &str| {
        n.starts_with(|c: char| c.is_ascii_alphanumeric())
            && n.len() <= 127
            && n.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
    };
    text.len() <= 255
        && parameters.bytes().all(|b| matches!(b, b' '..=b'~'))
        && names.trim_end().split_once('/').is_some_and(|(kind, sub)| name(kind) && name(sub))
}

/// serde_json writes half a surrogate pair as three bytes that no UTF-8 has; one such half is one U+FFFD.
fn lossy(bytes: &[u8]) -> String {
    let mut out = String::new();
    let mut rest = bytes;
    while let Some(at) = rest.windows(2).position(|w| matches!(w, [0xed, 0xa0..=0xff])) {
        let (head, tail) = rest.split_at(at);
        out.push_str(&String::from_utf8_lossy(head));
        out.push(char::REPLACEMENT_CHARACTER);
        rest = tail.get(3..).unwrap_or_default();
    }
    out.push_str(&String::from_utf8_lossy(rest));
    out
}

#[derive(serde::Deserialize)]
struct StatedAttachment {
    name: String,
    media_type: String,
    size: u64,
    sha256: Digest,
}

#[derive(serde::Deserialize)]
struct StatedConversation {
    #[serde(default, deserialize_with = "there")]
    kind: Option<String>,
    #[serde(default, deserialize_with = "there")]
    name: Option<String>,
    #[serde(default, deserialize_with = "there")]
    members: Option<Vec<String>>,
    #[serde(default, deserialize_with = "there")]
    platform: Option<String>,
}

/// A member that is there has its type: `null` is none.
fn there<'de, D: Deserializer<'de>, T: Deserialize<'de>>(d: D) -> Result<Option<T>, D::Error> {
    T::deserialize(d).map(Some)
}

struct Known(u64);

impl<'de> Visitor<'de> for Known {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members = Members { line: self.0, found: BTreeMap::new(), twice: None };
        while let Some(Raw(name)) = map.next_key()? {
            let Some(name) = NAMES.iter().copied().find(|n| *n.as_bytes() == *name) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if members.found.insert(name, map.next_value()?).is_some() {
                members.twice.get_or_insert(name);
            }
        }
        Ok(members)
    }
}
