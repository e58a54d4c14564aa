//! What the manifest says: whether people, conversations, events and files fit together.

use super::archive::{Archive, MANIFEST};
use super::schema::{instant, label};
use crate::production::verify::finding::{Findings, quoted};
use crate::production::verify::json::Json;
use crate::production::verify::{Rule, rules};
use std::collections::{HashMap, HashSet};
use time::OffsetDateTime;

/// Events of one file beyond which platforms become slow.
pub(super) const EVENTS_MAX: usize = 10_000;

/// First join of somebody to a conversation: where in the file, and when.
type Joins<'a> = HashMap<(&'a str, &'a str), (usize, Option<OffsetDateTime>)>;

struct World<'a> {
    manifest: &'a Json,
    participants: HashSet<&'a str>,
    conversations: HashMap<&'a str, Conversation<'a>>,
    events: HashMap<&'a str, &'a Json>,
    joins: Joins<'a>,
}

struct Conversation<'a> {
    members: HashSet<&'a str>,
    direct: bool,
}

/// Checks a manifest whose form was checked before; members of a wrong type are passed over.
pub(super) fn check(manifest: &Json, archive: &Archive, out: &mut Findings) {
    let world = World::of(manifest, out);
    world.count(out);
    world.custodians(out);
    for (place, event) in manifest.list("events").iter().enumerate() {
        let label = label(event, place);
        let mut add = |rule: &Rule, what: String| out.at(rule, Some(&label), what);
        world.people(event, &mut add);
        world.membership(event, place, &mut add);
        world.edits(event, &mut add);
    }
    world.threads(out);
    world.files(archive, out);
}

impl<'a> World<'a> {
    fn of(manifest: &'a Json, out: &mut Findings) -> Self {
        let mut participants = HashSet::new();
        for id in manifest.list("participants").iter().filter_map(|p| p.text("id")) {
            if !participants.insert(id) {
                out.add(&rules::PARTICIPANT_TWICE, format!("participant `{}` stands twice", quoted(id)));
            }
        }
        let mut conversations = HashMap::new();
        for c in manifest.list("conversations") {
            let Some(id) = c.text("id") else { continue };
            let conversation =
                Conversation { members: c.texts("participants").collect(), direct: c.text("type") == Some("direct") };
            if conversations.insert(id, conversation).is_some() {
                out.add(&rules::CONVERSATION_TWICE, format!("conversation `{}` stands twice", quoted(id)));
            }
        }
        let (mut events, mut joins) = (HashMap::new(), Joins::new());
        for (place, e) in manifest.list("events").iter().enumerate() {
            if let Some(id) = e.text("id")
                && events.insert(id, e).is_some()
            {
                out.at(&rules::EVENT_TWICE, Some(id), "two events have this id");
            }
            if let (Some("join"), Some(c), Some(p)) = (e.text("type"), e.text("conversation"), e.text("participant")) {
                let at = e.text("timestamp").and_then(instant);
                let (_, first) = joins.entry((c, p)).or_insert((place, at));
                *first = [*first, at].into_iter().flatten().min();
            }
        }
        Self { manifest, participants, conversations, events, joins }
    }

    fn count(&self, out: &mut Findings) {
        match self.manifest.list("events").len() {
            0 => out.add(&rules::EVENTS_EMPTY, "there are no events"),
            n if n > EVENTS_MAX => out.add(&rules::EVENTS_MANY, format!("{n} events")),
            _ => {}
        }
    }

    fn custodians(&self, out: &mut Findings) {
        for c in self.manifest.list("conversations") {
            let id = c.text("id").unwrap_or_default();
            let whose = format!("conversation `{}`", quoted(id));
            for p in c.texts("participants").filter(|p| !self.participants.contains(p)) {
                out.add(&rules::PARTICIPANT_UNDEFINED, format!("{whose} has member `{}`", quoted(p)));
            }
            let Some(custodian) = c.text("custodian") else { continue };
            let member = c.texts("participants").any(|p| p == custodian) || self.joins.contains_key(&(id, custodian));
            if !self.participants.contains(custodian) {
                out.add(&rules::PARTICIPANT_UNDEFINED, format!("{whose} has custodian `{}`", quoted(custodian)));
            } else if !member {
                let what = format!("{whose} has custodian `{}`, who is not in it", quoted(custodian));
                out.add(&rules::CUSTODIAN_ELSEWHERE, what);
            }
        }
    }

    /// Everybody whom an event names.
    fn people(&self, event: &Json, add: &mut impl FnMut(&Rule, String)) {
        let mut known = |role: &str, id: &str| {
            if !self.participants.contains(id) {
                add(&rules::PARTICIPANT_UNDEFINED, format!("{role} `{}`", quoted(id)));
            }
        };
        event.text("participant").iter().for_each(|p| known("participant", p));
        for reaction in event.list("reactions") {
            reaction.texts("participants").for_each(|p| known("reaction of", p));
        }
        event.list("edits").iter().filter_map(|e| e.text("participant")).for_each(|p| known("edit of", p));
        event.list("read_receipts").iter().filter_map(|r| r.text("participant")).for_each(|p| known("receipt of", p));
        for reaction in event.list("reactions") {
            let people = reaction.list("participants").len() as u64;
            // A count alone is how platforms tell of reactions whose authors they do not know.
            if let (Some(Json::Whole(count)), Some(_)) = (reaction.get("count"), reaction.get("participants"))
                && *count != people
            {
                add(&rules::REACTION_COUNT, format!("count {count}, {people} participants"));
            }
        }
    }

    /// Who posts, comes or goes in which conversation.
    fn membership(&self, event: &Json, place: usize, add: &mut impl FnMut(&Rule, String)) {
        let Some(id) = event.text("conversation") else { return };
        let Some(conversation) = self.conversations.get(id) else {
            return add(&rules::CONVERSATION_UNDEFINED, format!("conversation `{}`", quoted(id)));
        };
        let kind = event.text("type").unwrap_or_default();
        if conversation.direct && matches!(kind, "join" | "leave") {
            add(&rules::JOIN_IN_DIRECT, format!("a {kind} event"));
        }
        let Some(p) = event.text("participant").filter(|p| self.participants.contains(p)) else { return };
        if !matches!(kind, "message" | "unknown") || conversation.members.contains(p) {
            return;
        }
        // Clocks of senders run backwards, so either order counts: the file's or the time's.
        let at = event.text("timestamp").and_then(instant);
        let joined = self
            .joins
            .get(&(id, p))
            .is_some_and(|(join, then)| *join < place || matches!((then, at), (Some(then), Some(at)) if *then <= at));
        if !joined {
            add(&rules::NOT_A_MEMBER, format!("`{}` is not in the conversation and did not join before", quoted(p)));
        }
    }

    fn edits(&self, event: &Json, add: &mut impl FnMut(&Rule, String)) {
        let Some(at) = event.text("timestamp").and_then(instant) else { return };
        for edit in event.list("edits").iter().filter_map(|e| e.text("timestamp")) {
            if instant(edit).is_some_and(|then| then < at) {
                add(&rules::EDIT_TOO_EARLY, format!("edited at {}", quoted(edit)));
            }
        }
    }

    /// Replies and what they answer.
    fn threads(&self, out: &mut Findings) {
        let (mut answered, mut known) = (HashSet::new(), HashMap::new());
        for (place, event) in self.manifest.list("events").iter().enumerate() {
            let Some(id) = event.text("parent") else { continue };
            let name = label(event, place);
            let Some(parent) = self.events.get(id) else {
                out.at(&rules::PARENT_UNKNOWN, Some(&name), format!("parent `{}`", quoted(id)));
                continue;
            };
            if self.cycle(event, &mut known) {
                out.at(&rules::PARENT_CYCLE, Some(&name), format!("`{}` answers itself in the end", quoted(id)));
            } else if parent.text("conversation").is_none() {
                if answered.insert(id) {
                    out.at(&rules::REPLIES_WITHOUT_CONVERSATION, Some(id), "it has replies and no conversation");
                }
            } else if parent.text("conversation") != event.text("conversation") {
                out.at(&rules::PARENT_ELSEWHERE, Some(&name), format!("parent `{}`", quoted(id)));
            }
        }
    }

    /// True if the chain of parents comes back to itself; `known` says so of chains that were walked before.
    fn cycle(&self, event: &'a Json, known: &mut HashMap<&'a str, bool>) -> bool {
        let mut chain = HashSet::new();
        let mut at = Some(event);
        let cyclic = loop {
            let Some(id) = at.and_then(|e| e.text("id")) else { break false };
            if let Some(cyclic) = known.get(id) {
                break *cyclic;
            }
            if !chain.insert(id) {
                break true;
            }
            at = at.and_then(|e| e.text("parent")).and_then(|p| self.events.get(p)).copied();
        };
        known.extend(chain.into_iter().map(|id| (id, cyclic)));
        cyclic
    }

    /// Files that are named, against files that are there.
    fn files(&self, archive: &Archive, out: &mut Findings) {
        let mut named = HashSet::from([MANIFEST]);
        let mut name = |id: &'a str, event: Option<&str>, what: &str, out: &mut Findings| {
            named.insert(id);
            if !archive.members.contains_key(id) && !archive.partial {
                out.at(&rules::FILE_MISSING, event, format!("{what} `{}` is not in rsmf.zip", quoted(id)));
            }
        };
        self.manifest
            .list("participants")
            .iter()
            .filter_map(|p| p.text("avatar"))
            .for_each(|id| name(id, None, "avatar", out));
        self.manifest
            .list("conversations")
            .iter()
            .filter_map(|c| c.text("icon"))
            .for_each(|id| name(id, None, "icon", out));
        for (place, event) in self.manifest.list("events").iter().enumerate() {
            for attachment in event.list("attachments") {
                let Some(id) = attachment.text("id") else { continue };
                let label = label(event, place);
                name(id, Some(&label), "attachment", out);
                if let (Some(Json::Whole(size)), Some(real)) = (attachment.get("size"), archive.members.get(id))
                    && size != real
                {
                    let what = format!("attachment `{}` has {real} bytes, not {size}", quoted(id));
                    out.at(&rules::ATTACHMENT_SIZE, Some(&label), what);
                }
            }
        }
        for stray in archive.members.keys().filter(|m| !named.contains(m.as_str())) {
            out.add(&rules::ZIP_STRAY, format!("nothing references `{}`", quoted(stray)));
        }
    }
}
