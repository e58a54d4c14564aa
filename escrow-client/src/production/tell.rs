//! The second reading of a thread: its events, day by day, with every change on the message that it
//! is about. No more than one segment and the local days that it touches are held.

use super::event::{Attachment, Conversation, Edit, Event, EventKind, Reaction, Receipt, Slice};
use super::selection::{Chosen, Place, Standing};
use super::source::{Source, Thread};
use super::survey::{Act, Change, Problem, Survey};
use super::{ProductionError, Sink};
use crate::archive::{AttachmentRef, Content, ContentKind};
use crate::zone::Zone;
use escrow_core::Timestamp;
use escrow_core::deal::About;
use jiff::civil::Date;
use std::collections::{BTreeMap, BTreeSet};

/// Most events in one file (RSMF: "recommended").
pub const EVENTS_MAX: usize = 10_000;
/// Most bytes of text in one file, so that it can be held in memory.
const TEXT_MAX: usize = 64 * 1024 * 1024;
/// Most bytes of attachments in one file: with base64 below the 2 GB that no platform takes.
const ATTACHED_MAX: u64 = 1_400_000_000;

/// Tells one thread to a sink.
pub(super) struct Teller<'a> {
    source: &'a Source<'a>,
    survey: &'a Survey,
    conversation: &'a Conversation,
    chosen: Chosen,
    zone: &'a Zone,
    members: BTreeSet<String>,
    days: BTreeMap<Date, Vec<Event>>,
    /// File of every message told, for replies that come in another one.
    files: BTreeMap<String, String>,
    pub(super) problems: Vec<Problem>,
    outside: u64,
    /// Lines told, each as an event or on one.
    pub(super) lines: u64,
}

impl<'a> Teller<'a> {
    pub(super) fn new(
        source: &'a Source<'a>,
        survey: &'a Survey,
        conversation: &'a Conversation,
        chosen: Chosen,
        zone: &'a Zone,
    ) -> Self {
        let problems = survey.remarks.iter().map(|(event, rule, what)| Problem {
            file: conversation.id.clone(),
            event: event.clone(),
            rule,
            what: what.clone(),
        });
        Self {
            source,
            survey,
            conversation,
            chosen,
            zone,
            members: survey.members(conversation),
            days: BTreeMap::new(),
            files: BTreeMap::new(),
            problems: problems.collect(),
            outside: 0,
            lines: 0,
        }
    }

    /// Tells the thread to its end.
    pub(super) fn tell(
        &mut self,
        thread: &Thread,
        sink: &mut dyn Sink,
        mut progress: impl FnMut(),
    ) -> Result<(), ProductionError> {
        for (n, at) in thread.items.iter().enumerate() {
            let Some(about) = self.source.item(*at).map(|i| &i.about) else { continue };
            if self.chosen.touches(about.from, about.to) {
                match self.survey.closed.get(at) {
                    Some(why) => self.closed(about, why),
                    None => self.segment(*at, about, sink)?,
                }
            }
            let next = thread.items.get(n + 1).and_then(|at| self.source.item(*at)).map(|i| i.about.from);
            self.flush(next, sink)?;
            progress();
        }
        if self.outside > 0 {
            let what = format!(
                "{} lines came with the same keys, lie outside what was asked for, and are left out",
                self.outside
            );
            self.problem("", "outside-range", what);
        }
        Ok(())
    }

    fn problem(&mut self, event: &str, rule: &'static str, what: impl Into<String>) {
        let (file, event) = (self.conversation.id.clone(), event.to_owned());
        self.problems.push(Problem { file, event, rule, what: what.into() });
    }

    /// An item that stays closed is told as one event at the start of its window, or of what is asked for.
    fn closed(&mut self, about: &About, why: &str) {
        let at = about.from.max(self.chosen.start());
        let id = self.survey.free(format!("undecryptable-{}-{}-{}", self.zone.day(at), about.era, about.epoch));
        let body = format!(
            "Messages from {} to {} cannot be read: {why}",
            self.zone.spaced(about.from),
            self.zone.spaced(about.to)
        );
        self.problem(&id, "undecryptable", body.clone());
        let event = Event { body, ..blank(id, EventKind::Unknown, (at, 0)) };
        self.days.entry(self.zone.day(at)).or_default().push(event);
    }

    fn segment(&mut self, at: usize, about: &About, sink: &mut dyn Sink) -> Result<(), ProductionError> {
        // It opened a moment ago: a file that changed since is the machine's fault.
        let segment = self.source.segment(at).map_err(ProductionError::Changed)?;
        for record in &segment.records {
            let Ok(message) = record.message() else { continue };
            let place = (message.sent_at, record.line);
            let standing = self.chosen.standing(place);
            if standing == Standing::Outside {
                self.outside += 1;
                continue;
            }
            self.lines += 1;
            sink.line(self.conversation, record.bytes())?;
            let (content, _) = Content::read(&message);
            let Some(mut event) = self.event(&message.message_id, place, &message.sender, content, at) else {
                continue;
            };
            event.custom.insert("message_id", message.message_id.clone().into_owned());
            if standing == Standing::Context {
                event.custom.insert("context", "true".into());
            }
            event.custom.insert("archive_line", record.line.to_string());
            if let Some(digest) = about.archive {
                event.custom.insert("ciphertext_sha256", digest.to_string());
            }
            self.days.entry(self.zone.day(place.0)).or_default().push(event);
        }
        Ok(())
    }

    /// What a line is told as; none if it is told on another event.
    fn event(&mut self, message: &str, place: Place, sender: &str, content: Content, item: usize) -> Option<Event> {
        let id = self.survey.event_id(message, place.1);
        let by = |kind, who: &str, body: String| Event {
            participant: Some(who.to_owned()),
            body,
            ..blank(id.clone(), kind, place)
        };
        let (text, epoch) = (content.text, content.epoch);
        let mut event = match content.kind {
            ContentKind::Message { reply_to, attachments, high } => {
                let mut event = Event { reply_to, high, ..by(EventKind::Message, sender, text) };
                self.attach(&mut event, attachments, item);
                self.change(message, &mut event);
                event
            }
            ContentKind::Join { member } => moved(by(EventKind::Join, &member, text), sender, &member),
            ContentKind::Leave { member } => moved(by(EventKind::Leave, &member, text), sender, &member),
            ContentKind::Rename => by(EventKind::History, sender, format!("renamed the conversation to \"{text}\"")),
            ContentKind::Notice => by(EventKind::Disclaimer, sender, text),
            ContentKind::Undecryptable => {
                let why = if text.is_empty() { "the device could not decrypt this message".into() } else { text };
                self.problem(&id, "undecryptable", why.clone());
                by(EventKind::Unknown, sender, why)
            }
            kind => self.change_alone(by(EventKind::Unknown, sender, String::new()), place, &kind, &text)?,
        };
        if let Some(epoch) = epoch {
            event.custom.insert("mls_epoch", epoch.to_string());
        }
        Some(event)
    }

    /// A change whose message is not told stands for itself.
    fn change_alone(&mut self, event: Event, place: Place, kind: &ContentKind, text: &str) -> Option<Event> {
        let target = kind.target().unwrap_or_default();
        let lines = self.survey.ids.get(target);
        let told = lines.and_then(|lines| message_of(lines, place.1)).and_then(|line| self.survey.place(line));
        let told = told.is_some_and(|p| self.chosen.standing(p) != Standing::Outside);
        if told {
            return None;
        }
        let body = match kind {
            ContentKind::Reaction { value, removed: false, .. } => format!("put {value} on"),
            ContentKind::Reaction { value, .. } => format!("took {value} off"),
            ContentKind::Receipt { action: crate::archive::ReceiptAction::Read, .. } => "read".into(),
            ContentKind::Receipt { .. } => "received".into(),
            ContentKind::Deletion { .. } => "took back".into(),
            _ => "changed".into(),
        };
        let said = if text.is_empty() { String::new() } else { format!(": {text}") };
        let why = "a message that is not in this production";
        self.problem(
            &event.id,
            "target-missing",
            format!("a {} of message {target}, which is not in this production", kind.name()),
        );
        let mut event = Event { body: format!("{body} {why} ({target}){said}"), ..event };
        event.custom.insert("target", target.to_owned());
        Some(event)
    }

    fn attach(&mut self, event: &mut Event, attachments: Vec<AttachmentRef>, item: usize) {
        let (mut lost, mut names) = (Vec::new(), Vec::new());
        for file in attachments {
            match self.source.extract(item, &file, &mut std::io::sink()) {
                Ok(()) => {
                    names.push(file.name.clone());
                    event.attachments.push(Attachment { file, item });
                }
                Err(why) => {
                    self.problem(
                        &event.id,
                        "attachment-missing",
                        format!("{} (SHA-256 {}): {why}", file.name, file.sha256),
                    );
                    lost.push(format!("{} (SHA-256 {})", file.name, file.sha256));
                }
            }
        }
        if !lost.is_empty() {
            event.custom.insert("attachments_missing", lost.join("; "));
        }
    }

    /// Puts on a message what was done to it, as far as that lies within what is told.
    fn change(&mut self, message: &str, event: &mut Event) {
        let survey = self.survey;
        let Some(lines) = survey.ids.get(message) else { return };
        let mine = |c: &&Change| {
            message_of(lines, c.place.1) == Some(event.line) && self.chosen.standing(c.place) != Standing::Outside
        };
        let changes: Vec<&Change> = survey.changes.get(message).into_iter().flatten().filter(mine).collect();
        for change in changes {
            self.apply(event, change);
        }
    }

    fn apply(&mut self, event: &mut Event, change: &Change) {
        let (at, by) = (change.place.0, change.by.clone());
        match &change.act {
            Act::Edit { text, attachments, item } => {
                let previous = std::mem::replace(&mut event.body, text.clone());
                // A clock that says "before the message" is told, but not where formats compare it.
                let dated = (at >= event.at).then_some(at);
                if dated.is_none() {
                    event.custom.insert("edit_time_before_message", self.zone.text(at));
                }
                event.edits.push(Edit { participant: by, at: dated, previous, new: text.clone() });
                self.attach(event, attachments.clone(), *item);
            }
            Act::Delete => {
                event.deleted = true;
                event.custom.insert("deleted_by", by);
                event.custom.insert("deleted_at", self.zone.text(at));
            }
            Act::React { value, removed } => react(&mut event.reactions, value, by, *removed),
            Act::Receive(action) => event.receipts.push(Receipt { participant: by, at, action: *action }),
        }
    }

    /// Hands over the days that no later segment can add to.
    fn flush(&mut self, next: Option<Timestamp>, sink: &mut dyn Sink) -> Result<(), ProductionError> {
        while let Some(entry) = self.days.first_entry() {
            if next.is_some_and(|next| self.zone.end(*entry.key()) > next) {
                return Ok(());
            }
            let (day, mut told) = entry.remove_entry();
            told.sort_by(|a, b| (a.at, a.line, &a.id).cmp(&(b.at, b.line, &b.id)));
            let mut part = 0;
            let mut rest = told.into_iter().peekable();
            while rest.peek().is_some() {
                part += 1;
                self.hand_over(day, part, full(&mut rest), sink)?;
            }
        }
        Ok(())
    }

    fn hand_over(
        &mut self,
        day: Date,
        part: usize,
        events: Vec<Event>,
        sink: &mut dyn Sink,
    ) -> Result<(), ProductionError> {
        let members = self.members.clone();
        let mut slice = Slice { conversation: self.conversation, day, part, members, events };
        self.follow(&mut slice);
        let name = slice.name();
        for e in slice.events.iter().filter(|e| e.kind == EventKind::Message) {
            self.files.insert(e.id.clone(), name.clone());
        }
        let here: BTreeSet<String> = slice.events.iter().map(|e| e.id.clone()).collect();
        for e in &mut slice.events {
            // A parent that is not in this file is named, but not as a parent.
            let Some(parent) = e.reply_to.take_if(|parent| !here.contains(parent)) else { continue };
            if let Some(file) = self.files.get(&parent) {
                e.custom.insert("reply_to_file", file.clone());
            } else if !self.survey.ids.contains_key(&parent) {
                let what = format!("answers message {parent}, which is not in what was released");
                self.problems.push(Problem { file: name.clone(), event: e.id.clone(), rule: "parent-missing", what });
            }
            e.custom.insert("reply_to", parent);
        }
        sink.slice(self.source, &slice)
    }

    /// Follows who comes and goes; whoever acts without having come was a member before.
    fn follow(&mut self, slice: &mut Slice<'_>) {
        let mut now = self.members.clone();
        for e in &slice.events {
            let Some(who) = &e.participant else { continue };
            match e.kind {
                EventKind::Join => drop(now.insert(who.clone())),
                EventKind::Leave if !now.remove(who) => drop(slice.members.insert(who.clone())),
                EventKind::Leave => {}
                _ if now.insert(who.clone()) => drop(slice.members.insert(who.clone())),
                _ => {}
            }
        }
        self.members = now;
    }
}

/// As many events as fit into one file, at least one.
fn full(rest: &mut std::iter::Peekable<std::vec::IntoIter<Event>>) -> Vec<Event> {
    let (mut out, mut text, mut attached) = (Vec::new(), 0, 0);
    while let Some(e) = rest.peek() {
        text += e.body.len() + e.edits.iter().map(|e| e.previous.len() + e.new.len()).sum::<usize>();
        attached += e.attachments.iter().map(|a| a.file.size).sum::<u64>();
        if !out.is_empty() && (out.len() >= EVENTS_MAX || text > TEXT_MAX || attached > ATTACHED_MAX) {
            break;
        }
        out.extend(rest.next());
    }
    out
}

fn blank(id: String, kind: EventKind, place: Place) -> Event {
    Event {
        id,
        kind,
        participant: None,
        at: place.0,
        line: place.1,
        body: String::new(),
        reply_to: None,
        deleted: false,
        high: false,
        reactions: vec![],
        attachments: vec![],
        edits: vec![],
        receipts: vec![],
        custom: BTreeMap::new(),
    }
}

fn moved(mut event: Event, by: &str, member: &str) -> Event {
    if by != member {
        event.custom.insert("by", by.to_owned());
    }
    event
}

/// Which of the messages of one id a change on a line is about: the last before it, else the first.
fn message_of(lines: &[u64], change: u64) -> Option<u64> {
    let before = lines.partition_point(|line| *line < change);
    lines.get(before.saturating_sub(1)).copied()
}

fn react(reactions: &mut Vec<Reaction>, value: &str, by: String, removed: bool) {
    let at = reactions.iter().position(|r| r.value == value);
    match (at.and_then(|at| reactions.get_mut(at)), removed) {
        (Some(r), false) if !r.participants.contains(&by) => r.participants.push(by),
        (Some(r), true) => r.participants.retain(|p| *p != by),
        (None, false) => reactions.push(Reaction { value: value.to_owned(), participants: vec![by] }),
        _ => {}
    }
    reactions.retain(|r| !r.participants.is_empty());
}
