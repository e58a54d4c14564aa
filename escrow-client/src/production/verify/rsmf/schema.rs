//! The manifest's form: members, types and words of versions 1.0.0 and 2.0.0, as a table.

use crate::production::verify::finding::{Findings, quoted};
use crate::production::verify::json::Json;
use crate::production::verify::rules;
use std::collections::HashSet;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// What a member has to be.
enum Shape {
    Text,
    Flag,
    Whole,
    Time,
    Email,
    /// One of these words; those of the second list since version 2.0.0.
    Word(&'static [&'static str], &'static [&'static str]),
    Ids,
    List(&'static [Member]),
    /// The value of a custom member, which platforms take as a string only.
    Custom,
}

/// A member of an object.
struct Member {
    name: &'static str,
    shape: Shape,
    required: bool,
    /// True if version 1.0.0 does not know it.
    second: bool,
}

const fn may(name: &'static str, shape: Shape) -> Member {
    Member { name, shape, required: false, second: false }
}

const fn must(name: &'static str, shape: Shape) -> Member {
    Member { name, shape, required: true, second: false }
}

const fn since_2(name: &'static str, shape: Shape) -> Member {
    Member { name, shape, required: false, second: true }
}

const CUSTOM: &[Member] = &[must("name", Shape::Text), must("value", Shape::Custom)];

const ROOT: &[Member] = &[
    must("version", Shape::Word(&["1.0.0"], &["2.0.0"])),
    must("participants", Shape::List(PARTICIPANT)),
    must("conversations", Shape::List(CONVERSATION)),
    must("events", Shape::List(EVENT)),
    since_2("eventcollectionid", Shape::Text),
];

const PARTICIPANT: &[Member] = &[
    must("id", Shape::Text),
    may("display", Shape::Text),
    may("email", Shape::Email),
    may("avatar", Shape::Text),
    may("account_id", Shape::Text),
    may("custom", Shape::List(CUSTOM)),
];

const CONVERSATION: &[Member] = &[
    must("id", Shape::Text),
    must("platform", Shape::Text),
    must("participants", Shape::Ids),
    may("display", Shape::Text),
    may("type", Shape::Word(&["direct", "channel"], &[])),
    may("custodian", Shape::Text),
    since_2("icon", Shape::Text),
    may("custom", Shape::List(CUSTOM)),
];

const EVENT: &[Member] = &[
    must("type", Shape::Word(&["message", "disclaimer", "join", "leave", "unknown"], &["history"])),
    may("id", Shape::Text),
    may("parent", Shape::Text),
    may("body", Shape::Text),
    may("participant", Shape::Text),
    may("conversation", Shape::Text),
    may("timestamp", Shape::Time),
    may("deleted", Shape::Flag),
    may("importance", Shape::Word(&["normal", "high"], &[])),
    since_2("direction", Shape::Word(&["incoming", "outgoing"], &[])),
    may("reactions", Shape::List(REACTION)),
    may("attachments", Shape::List(ATTACHMENT)),
    may("edits", Shape::List(EDIT)),
    since_2("read_receipts", Shape::List(RECEIPT)),
    may("custom", Shape::List(CUSTOM)),
];

const REACTION: &[Member] = &[must("value", Shape::Text), may("count", Shape::Whole), may("participants", Shape::Ids)];

const ATTACHMENT: &[Member] = &[must("id", Shape::Text), may("display", Shape::Text), may("size", Shape::Whole)];

const EDIT: &[Member] = &[
    must("participant", Shape::Text),
    may("timestamp", Shape::Time),
    may("previous", Shape::Text),
    may("new", Shape::Text),
];

const RECEIPT: &[Member] = &[
    must("participant", Shape::Text),
    may("timestamp", Shape::Time),
    may("action", Shape::Word(&["read", "delivered"], &[])),
];

/// The instant of an RFC 3339 time.
pub(in crate::production::verify) fn instant(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok()
}

/// What an event is called in findings: its id, or its place if it has none.
pub(super) fn label(event: &Json, place: usize) -> String {
    event.text("id").map_or_else(|| format!("#{place}"), quoted)
}

/// Checks the form of a manifest; false if it is no object, so that there is nothing else to say.
pub(super) fn check(manifest: &Json, out: &mut Findings) -> bool {
    let version = manifest.text("version");
    let mut check = Check { second: version != Some("1.0.0"), event: None, out };
    check.object(manifest, ROOT, "");
    matches!(manifest, Json::Object(_))
}

struct Check<'a> {
    second: bool,
    event: Option<String>,
    out: &'a mut Findings,
}

impl Check<'_> {
    fn add(&mut self, rule: &crate::production::verify::Rule, what: String) {
        self.out.at(rule, self.event.as_deref(), what);
    }

    fn object(&mut self, json: &Json, members: &[Member], at: &str) {
        let Json::Object(found) = json else {
            let what = if at.is_empty() { "the manifest" } else { at };
            return self.add(&rules::MANIFEST_TYPE, format!("{what} is {}, not an object", json.kind()));
        };
        let mut seen = HashSet::new();
        for (name, value) in found {
            let path = if at.is_empty() { quoted(name) } else { format!("{at}.{}", quoted(name)) };
            if !seen.insert(name.as_str()) {
                self.add(&rules::MANIFEST_KEY_TWICE, format!("{path} stands twice"));
            }
            match members.iter().find(|m| m.name == name && (self.second || !m.second)) {
                Some(member) => self.value(value, member, &path),
                None => self.add(&rules::MANIFEST_UNDEFINED, format!("{path} is not in the schema")),
            }
        }
        for member in members.iter().filter(|m| m.required && !seen.contains(m.name)) {
            let path = if at.is_empty() { member.name.to_owned() } else { format!("{at}.{}", member.name) };
            self.add(&rules::MANIFEST_REQUIRED, format!("{path} is missing"));
        }
    }

    fn value(&mut self, json: &Json, member: &Member, at: &str) {
        match (&member.shape, json) {
            (Shape::Text | Shape::Custom, Json::Text(_))
            | (Shape::Flag, Json::Flag(_))
            | (Shape::Whole, Json::Whole(_)) => {}
            (Shape::Time, Json::Text(text)) => {
                if instant(text).is_none() {
                    self.add(&rules::MANIFEST_TIME, format!("{at} is `{}`", quoted(text)));
                }
            }
            (Shape::Email, Json::Text(text)) => {
                let whole =
                    text.rsplit_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
                if !whole || text.contains(char::is_whitespace) {
                    self.add(&rules::MANIFEST_EMAIL, format!("{at} is `{}`", quoted(text)));
                }
            }
            (Shape::Word(first, second), Json::Text(text)) => {
                let known = first.contains(&text.as_str()) || self.second && second.contains(&text.as_str());
                // The version is the one word that all others depend on.
                let rule = if member.name == "version" { &rules::MANIFEST_VERSION } else { &rules::MANIFEST_ENUM };
                if !known {
                    self.add(rule, format!("{at} is `{}`", quoted(text)));
                }
            }
            (Shape::Ids, Json::List(list)) => {
                for (place, id) in list.iter().enumerate().filter(|(_, id)| !matches!(id, Json::Text(_))) {
                    self.add(&rules::MANIFEST_TYPE, format!("{at}[{place}] is {}, not a string", id.kind()));
                }
            }
            (Shape::List(members), Json::List(list)) => self.list(list, members, at),
            (Shape::Custom, other) => {
                self.add(&rules::MANIFEST_CUSTOM, format!("{at} is {}, not a string", other.kind()));
            }
            (shape, other) => {
                let wanted = match shape {
                    Shape::Flag => "a boolean",
                    Shape::Whole => "a whole number from 0 on",
                    Shape::Ids | Shape::List(_) => "a list",
                    _ => "a string",
                };
                self.add(&rules::MANIFEST_TYPE, format!("{at} is {}, not {wanted}", other.kind()));
            }
        }
    }

    fn list(&mut self, list: &[Json], members: &[Member], at: &str) {
        for (place, item) in list.iter().enumerate() {
            if at == "events" {
                self.event = Some(label(item, place));
            }
            self.object(item, members, &format!("{at}[{place}]"));
        }
        if at == "events" {
            self.event = None;
        }
    }
}
