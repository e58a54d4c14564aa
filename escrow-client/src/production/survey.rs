//! The first reading of a thread: what must be known before its first event can be told. It keeps ids,
//! places and changes, and no text of messages.

use super::event::Conversation;
use super::selection::Place;
use super::source::{Source, Thread};
use crate::archive::{AttachmentRef, Content, ContentKind, ConversationInfo, ConversationKind, ReceiptAction};
use escrow_core::Token;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// What somebody did to a message.
pub(super) struct Change {
    pub(super) place: Place,
    pub(super) by: String,
    pub(super) act: Act,
}

pub(super) enum Act {
    Edit { text: String, attachments: Vec<AttachmentRef>, item: usize },
    Delete,
    React { value: String, removed: bool },
    Receive(ReceiptAction),
}

/// Something that did not go as it should, for `errors.csv`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file or conversation that it is about.
    pub file: String,
    /// The event or message, if it is about one.
    pub event: String,
    /// Short stable code.
    pub rule: &'static str,
    /// What happened.
    pub what: String,
}

#[derive(Default)]
pub(super) struct Survey {
    /// The messenger's id of the thread, if anything could be opened.
    pub(super) id: Option<String>,
    /// Lines by message id, ascending.
    pub(super) ids: HashMap<String, Vec<u64>>,
    /// Changes by the id of the message that they are about, in the order of the archive.
    pub(super) changes: HashMap<String, Vec<Change>>,
    /// The places of all lines, in the order of the archive.
    pub(super) places: Vec<Place>,
    /// Why items stay closed, by their position.
    pub(super) closed: BTreeMap<usize, String>,
    /// What is not as it should be, with the line's message id.
    pub(super) remarks: Vec<(String, &'static str, String)>,
    /// The first appearance of everybody, and whether it was their coming.
    people: HashMap<String, (Place, bool)>,
    /// What the thread is by its first and its last word on it.
    info: Option<(u64, ConversationInfo)>,
    moves: bool,
    seen: HashSet<[u8; 32]>,
    numbers: Vec<u64>,
}

impl Survey {
    pub(super) fn of(source: &Source<'_>, thread: &Thread, mut progress: impl FnMut()) -> Self {
        let mut survey = Self::default();
        for at in &thread.items {
            if let Err(why) = survey.read(source, *at) {
                survey.closed.insert(*at, why);
            }
            progress();
        }
        for lines in survey.ids.values_mut() {
            lines.sort_unstable();
        }
        for changes in survey.changes.values_mut() {
            changes.sort_by_key(|c| c.place.1);
        }
        survey.remark_order();
        survey.remark_gaps();
        // Only to find repeats with.
        survey.seen = HashSet::new();
        survey
    }

    fn read(&mut self, source: &Source<'_>, at: usize) -> Result<(), String> {
        let segment = source.segment(at)?;
        self.id.get_or_insert_with(|| segment.thread.clone());
        for record in &segment.records {
            let Ok(message) = record.message() else { continue };
            let (content, fault) = Content::read(&message);
            let id = message.message_id.as_ref();
            let place = (message.sent_at, record.line);
            if let Some(fault) = fault {
                self.remark(id, "read-as-version-1", format!("{fault}"));
            }
            if !self.seen.insert(Sha256::digest(record.bytes()).into()) {
                self.remark(id, "repeated-line", "the same line stands in the archive before; both are told");
            }
            self.places.push(place);
            self.numbers.extend(content.seq);
            self.appear(&message.sender, place, false);
            self.learn(place, &content);
            let by = message.sender.into_owned();
            self.note(id, place, by, at, content.text, content.kind);
        }
        Ok(())
    }

    fn note(&mut self, id: &str, place: Place, by: String, item: usize, text: String, kind: ContentKind) {
        let (target, act) = match kind {
            ContentKind::Edit { target, attachments } => (target, Act::Edit { text, attachments, item }),
            ContentKind::Deletion { target } => (target, Act::Delete),
            ContentKind::Reaction { target, value, removed } => (target, Act::React { value, removed }),
            ContentKind::Receipt { target, action } => (target, Act::Receive(action)),
            _ => return self.ids.entry(id.to_owned()).or_default().push(place.1),
        };
        self.changes.entry(target).or_default().push(Change { place, by, act });
    }

    fn learn(&mut self, place: Place, content: &Content) {
        if let ContentKind::Join { member } | ContentKind::Leave { member } = &content.kind {
            self.moves = true;
            self.appear(member, place, matches!(content.kind, ContentKind::Join { .. }));
        }
        let Some(new) = &content.conversation else { return };
        match &mut self.info {
            None => self.info = Some((place.1, new.clone())),
            Some((line, info)) => {
                // Name, kind and platform by the last word; the members are those of the first.
                let later = place.1 > *line;
                let take = |old: &mut Option<String>, new: &Option<String>| {
                    if new.is_some() && (later || old.is_none()) {
                        old.clone_from(new);
                    }
                };
                take(&mut info.name, &new.name);
                take(&mut info.platform, &new.platform);
                if new.kind.is_some() && (later || info.kind.is_none()) {
                    info.kind = new.kind;
                }
                if new.members.is_some() && (!later || info.members.is_none()) {
                    info.members.clone_from(&new.members);
                }
                *line = (*line).max(place.1);
            }
        }
    }

    fn appear(&mut self, id: &str, place: Place, comes: bool) {
        match self.people.get_mut(id) {
            Some(first) if place < first.0 => *first = (place, comes),
            Some(_) => {}
            None => {
                self.people.insert(id.to_owned(), (place, comes));
            }
        }
    }

    fn remark(&mut self, id: &str, rule: &'static str, what: impl Into<String>) {
        self.remarks.push((id.to_owned(), rule, what.into()));
    }

    fn remark_order(&mut self) {
        self.places.sort_unstable_by_key(|p| p.1);
        let back = self.places.iter().zip(self.places.iter().skip(1)).filter(|(a, b)| b.0 < a.0).count();
        if back > 0 {
            let what = format!("{back} lines bear a time before that of the line before; events are told by time");
            self.remark("", "out-of-order", what);
        }
        let repeated: Vec<String> = self.ids.iter().filter(|(_, l)| l.len() > 1).map(|(id, _)| id.clone()).collect();
        for id in repeated.into_iter().collect::<BTreeSet<_>>() {
            self.remark(
                &id,
                "repeated-id",
                "several messages bear this id; later ones are told with their line number behind it",
            );
        }
    }

    fn remark_gaps(&mut self) {
        self.numbers.sort_unstable();
        let gaps: Vec<(u64, u64)> = self
            .numbers
            .iter()
            .zip(self.numbers.iter().skip(1))
            .filter(|(a, b)| **b > **a + 1)
            .map(|(a, b)| (*a, *b))
            .collect();
        for (before, after) in gaps {
            let what = format!(
                "the messenger's count goes from {before} to {after}: lines between them are not in what was released"
            );
            self.remark("", "missing-lines", what);
        }
    }

    /// The event id of a line: its message id, and its number behind it for every one but the first.
    pub(super) fn event_id(&self, id: &str, line: u64) -> String {
        let first = self.ids.get(id).and_then(|lines| lines.first()).is_none_or(|first| *first == line);
        if first { id.to_owned() } else { self.free(format!("{id}#{line}")) }
    }

    /// The place of a line.
    pub(super) fn place(&self, line: u64) -> Option<Place> {
        let at = self.places.binary_search_by_key(&line, |p| p.1).ok()?;
        self.places.get(at).copied()
    }

    /// An id that no message bears.
    pub(super) fn free(&self, mut id: String) -> String {
        while self.ids.contains_key(&id) {
            id.push('#');
        }
        id
    }

    /// Everybody in the thread, by id.
    fn everybody(&self, source: &Source<'_>, thread: &Thread) -> BTreeSet<String> {
        let mut all: BTreeSet<String> = self.people.keys().cloned().collect();
        all.extend(self.info.iter().flat_map(|(_, i)| i.members.iter().flatten().cloned()));
        for change in self.changes.values().flatten() {
            all.insert(change.by.clone());
        }
        let known: HashSet<Token> = match source.about.tokens {
            Some(tokens) => all.iter().map(|id| tokens.subject(id)).collect(),
            None => HashSet::new(),
        };
        // People in the thread who wrote nothing that was released.
        let items = thread.items.iter().filter_map(|at| source.item(*at));
        let tokens: BTreeSet<Token> = items.flat_map(|i| i.about.participants.iter().map(|p| p.token)).collect();
        for token in tokens.into_iter().filter(|t| !known.contains(t)) {
            match (source.id_of(&token), source.about.tokens) {
                (Some(id), _) => all.insert(id.to_owned()),
                (None, Some(_)) => all.insert(token.to_string()),
                (None, None) => false,
            };
        }
        all
    }

    /// Members before the first event.
    pub(super) fn members(&self, conversation: &Conversation) -> BTreeSet<String> {
        let stated = self.info.as_ref().and_then(|(_, i)| i.members.as_ref());
        let before = |id: &String| {
            let first = self.people.get(id);
            match stated {
                Some(stated) => stated.contains(id) && first.is_none_or(|(_, comes)| !comes),
                None => first.is_none_or(|(_, comes)| !comes),
            }
        };
        conversation.people.keys().filter(|id| before(id)).cloned().collect()
    }

    /// What the thread is, with the number that it has in the production.
    pub(super) fn conversation(&self, source: &Source<'_>, thread: &Thread, number: usize) -> Conversation {
        let names = source.names();
        let name = |id: &String| names.get(id.as_str()).map_or_else(|| id.clone(), |n| (*n).to_owned());
        let people: BTreeMap<String, String> =
            self.everybody(source, thread).into_iter().map(|id| (id.clone(), name(&id))).collect();
        let info = self.info.as_ref().map(|(_, info)| info);
        let kind = info.and_then(|i| i.kind);
        let direct = !self.moves && people.len() <= 2 && kind != Some(ConversationKind::Group);
        let stated = info.and_then(|i| i.name.clone()).filter(|n| !n.is_empty());
        let display = stated.unwrap_or_else(|| match people.len() {
            0..=4 => people.values().cloned().collect::<Vec<_>>().join(", "),
            n => format!("{} and {} others", people.values().take(3).cloned().collect::<Vec<_>>().join(", "), n - 3),
        });
        let depositor = thread.items.first().and_then(|at| source.item(*at)).map(|i| i.depositor);
        let custodian = depositor.and_then(|token| {
            let by_token = |tokens: &escrow_core::TokenKey| people.keys().find(|id| tokens.subject(id) == token);
            source
                .id_of(&token)
                .filter(|id| people.contains_key(*id))
                .map(str::to_owned)
                .or_else(|| source.about.tokens.and_then(by_token).cloned())
        });
        Conversation {
            id: self.id.clone().unwrap_or_else(|| thread.token.to_string()),
            token: thread.token,
            display,
            direct,
            platform: info.and_then(|i| i.platform.clone()).filter(|p| !p.is_empty()).unwrap_or_else(|| "RCS".into()),
            custodian,
            number,
            people,
        }
    }
}
