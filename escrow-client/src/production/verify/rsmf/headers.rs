//! The container's headers and parts: by themselves, and against the manifest.

use super::mime::Container;
use super::schema::instant;
use crate::production::verify::finding::{Findings, quoted};
use crate::production::verify::json::Json;
use crate::production::verify::{Rule, rules};
use std::collections::HashSet;

/// The version header, which makes a message an RSMF file.
const VERSION: &str = "X-RSMF-Version";
/// Prefix of the headers that the format defines.
const PREFIX: &str = "x-rsmf-";
/// Versions of the format.
const VERSIONS: [&str; 2] = ["1.0.0", "2.0.0"];

impl Container {
    /// The first header of that name, decoded.
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// What can be said before rsmf.zip is opened.
pub(super) fn form(container: &Container, out: &mut Findings) {
    match container.header(VERSION) {
        None => out.add(&rules::HEADER_VERSION_MISSING, format!("there is no header {VERSION}")),
        Some(_) => {
            let first = container.headers.first().map(|(name, _)| name.as_str()).unwrap_or_default();
            if !first.eq_ignore_ascii_case(VERSION) {
                out.add(&rules::HEADER_VERSION_FIRST, format!("the first header is {}", quoted(first)));
            }
        }
    }
    let mut seen = HashSet::new();
    for (name, _) in &container.headers {
        let name = name.to_ascii_lowercase();
        if name.starts_with(PREFIX) && !seen.insert(name.clone()) {
            out.add(&rules::HEADER_TWICE, format!("{} stands twice", quoted(&name)));
        }
    }
    if container.senders != 1 {
        out.add(&rules::FROM_ADDRESS, format!("{} addresses in From", container.senders));
    }
    if !container.text {
        out.add(&rules::BODY_MISSING, "there is no text/plain part with text");
    }
    match container.attachments.as_slice() {
        [] => out.add(&rules::ATTACHMENT_MISSING, "nothing is attached"),
        [one] => {
            let name = one.name.as_deref().unwrap_or_default();
            if name != "rsmf.zip" || !one.disposed {
                let how = if one.disposed { "" } else { ", and not as an attachment" };
                out.add(&rules::ATTACHMENT_NAME, format!("attached as `{}`{how}", quoted(name)));
            }
            if !one.base64 {
                out.add(&rules::ATTACHMENT_ENCODING, "the attachment's transfer encoding is not base64");
            }
        }
        several => out.add(&rules::ATTACHMENT_SEVERAL, format!("{} attachments", several.len())),
    }
}

/// The version, which may be compared even where the manifest cannot be read.
pub(super) fn version(container: &Container, manifest: Option<&str>, out: &mut Findings) {
    let Some(header) = container.header(VERSION) else { return };
    match manifest.filter(|m| VERSIONS.contains(m)) {
        Some(manifest) if manifest != header => {
            out.add(&rules::HEADER_VERSION, format!("{VERSION} is `{}`, the manifest's {manifest}", quoted(header)));
        }
        None if !VERSIONS.contains(&header) => {
            out.add(&rules::HEADER_VERSION, format!("{VERSION} is `{}`", quoted(header)));
        }
        _ => {}
    }
}

/// Everything else that headers say of the manifest.
pub(super) fn agree(container: &Container, manifest: &Json, out: &mut Findings) {
    let events = manifest.list("events");
    let attachments: usize = events.iter().map(|e| e.list("attachments").len()).sum();
    count(container, "X-RSMF-EventCount", events.len(), &rules::HEADER_EVENT_COUNT, out);
    count(container, "X-RSMF-AttachmentCount", attachments, &rules::HEADER_ATTACHMENT_COUNT, out);
    let times = || events.iter().filter_map(|e| e.text("timestamp")).filter_map(|t| Some((instant(t)?, t)));
    date(container, "X-RSMF-BeginDate", times().map(|(at, _)| at).min(), times(), out);
    date(container, "X-RSMF-EndDate", times().map(|(at, _)| at).max(), times(), out);
    participants(container, manifest, out);
    if let Some(custodian) = container.header("X-RSMF-Custodian") {
        let names = |p: &Json| ["display", "email", "id"].iter().any(|m| p.text(m) == Some(custodian));
        if !manifest.list("participants").iter().any(names) {
            out.add(&rules::HEADER_CUSTODIAN, format!("X-RSMF-Custodian is `{}`", quoted(custodian)));
        }
    }
    if let Some(collection) = container.header("X-RSMF-EventCollectionID") {
        let manifest = manifest.text("eventcollectionid");
        if manifest != Some(collection) {
            let manifest = quoted(manifest.unwrap_or("missing"));
            let what = format!("X-RSMF-EventCollectionID is `{}`, the manifest's `{manifest}`", quoted(collection));
            out.add(&rules::HEADER_COLLECTION, what);
        }
    }
}

fn count(container: &Container, name: &str, real: usize, rule: &Rule, out: &mut Findings) {
    if let Some(value) = container.header(name)
        && value.parse() != Ok(real)
    {
        out.add(rule, format!("{name} is `{}`, the manifest has {real}", quoted(value)));
    }
}

/// A date has to be the very text of the event's time: platforms compare text, not instants.
fn date<'a, T: Copy + PartialEq>(
    container: &Container,
    name: &str,
    extreme: Option<T>,
    mut times: impl Iterator<Item = (T, &'a str)>,
    out: &mut Findings,
) {
    let Some(value) = container.header(name) else { return };
    if instant(value).is_none() {
        out.add(&rules::HEADER_DATE_OFFSET, format!("{name} is `{}`: no ISO 8601 time with an offset", quoted(value)));
    } else if !times.any(|(at, text)| Some(at) == extreme && text == value) {
        out.add(&rules::HEADER_DATE, format!("{name} is `{}`, no event at that end has this timestamp", quoted(value)));
    }
}

/// Names may have commas themselves, so pieces between commas are compared, in any order.
fn participants(container: &Container, manifest: &Json, out: &mut Findings) {
    let Some(header) = container.header("X-RSMF-Participants") else { return };
    let pieces = |names: &mut dyn Iterator<Item = &str>| {
        let mut pieces: Vec<String> = names.flat_map(|n| n.split(',')).map(|p| p.trim().to_owned()).collect();
        pieces.retain(|p| !p.is_empty());
        pieces.sort_unstable();
        pieces
    };
    let said = pieces(&mut std::iter::once(header));
    let real = pieces(&mut manifest.list("participants").iter().filter_map(|p| p.text("display")));
    if said != real {
        let differs = said.iter().find(|n| !real.contains(n)).or_else(|| real.iter().find(|n| !said.contains(n)));
        let which = differs.map_or("a name as often", |n| n.as_str());
        out.add(&rules::HEADER_PARTICIPANTS, format!("`{}` is not in both header and manifest", quoted(which)));
    }
}
