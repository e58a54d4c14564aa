//! The words of a slice as plain text: what a platform indexes and a person reads first.

use super::event::{Event, EventKind, Slice};
use crate::zone::Zone;
use std::fmt::Write as _;

/// The extracted text of a slice.
pub(super) fn of(slice: &Slice<'_>, zone: &Zone) -> String {
    let mut out = format!("{} ({})\n", one_line(&slice.conversation.display), slice.conversation.platform);
    let names: Vec<&str> = slice.people().into_values().collect();
    let _ = writeln!(out, "{}\n", one_line(&names.join(", ")));
    for e in &slice.events {
        event(&mut out, e, slice, zone);
    }
    out
}

fn event(out: &mut String, e: &Event, slice: &Slice<'_>, zone: &Zone) {
    let who = e.participant.as_deref().map(|id| slice.display(id));
    let said = match e.kind {
        EventKind::Message | EventKind::Disclaimer => format!("{}: {}", who.unwrap_or("?"), e.body),
        EventKind::Join => format!("{} joined. {}", who.unwrap_or("?"), e.body),
        EventKind::Leave => format!("{} left. {}", who.unwrap_or("?"), e.body),
        EventKind::History | EventKind::Unknown => match who {
            Some(who) => format!("{who} {}", e.body),
            None => e.body.clone(),
        },
    };
    let mark = if e.custom.contains_key("context") { "(context) " } else { "" };
    let _ = writeln!(out, "[{}] {mark}{}", zone.spaced(e.at), said.trim_end());
    for edit in &e.edits {
        let at = edit.at.map_or_else(String::new, |at| format!(" {}", zone.spaced(at)));
        let _ = writeln!(out, "    edited by {}{at}; before: {}", slice.display(&edit.participant), edit.previous);
    }
    if e.deleted {
        let by = e.custom.get("deleted_by").map_or("", String::as_str);
        let _ = writeln!(out, "    deleted by {}", slice.display(by));
    }
    for a in &e.attachments {
        let _ = writeln!(out, "    attachment {} ({} bytes, SHA-256 {})", a.file.name, a.file.size, a.file.sha256);
    }
    if let Some(lost) = e.custom.get("attachments_missing") {
        let _ = writeln!(out, "    attachments that could not be read: {lost}");
    }
    for r in &e.reactions {
        let by: Vec<&str> = r.participants.iter().map(|p| slice.display(p)).collect();
        let _ = writeln!(out, "    {} by {}", r.value, by.join(", "));
    }
}

/// The same on one line: control characters have become spaces.
pub(super) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
