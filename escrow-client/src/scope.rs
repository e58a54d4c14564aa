//! Which keys a request needs: those of its threads or custodians that open the time asked for, and the
//! smallest set besides that is sure to open the context.

use escrow_core::consent::Epochs;
use escrow_core::request::ContextAsked;
use escrow_core::wire::ItemInfo;
use escrow_core::{Digest, ItemId, Timestamp, Token, ZoneName};
use std::collections::{BTreeMap, BTreeSet};

/// How items are chosen, beyond threads and time. Each part narrows but the context.
#[derive(Clone, Debug)]
pub struct Selecting {
    /// Only items in which one of these subjects takes part; empty for anybody's.
    pub custodians: Vec<Token>,
    /// Only keys of these epochs.
    pub epochs: Option<Epochs>,
    /// Messages around those asked for.
    pub context: ContextAsked,
    /// In whose days the time is meant.
    pub zone: ZoneName,
    /// How many messages a sealed segment holds, by its digest, as far as somebody knows: see
    /// [`crate::archive::ArchiveIndex::messages`].
    pub messages: BTreeMap<Digest, u64>,
}

impl Default for Selecting {
    /// Everything in the threads and the time, in UTC days.
    fn default() -> Self {
        Self {
            custodians: vec![],
            epochs: None,
            context: ContextAsked::default(),
            zone: ZoneName::utc(),
            messages: BTreeMap::new(),
        }
    }
}

impl Selecting {
    /// True for what the request need not say: it is what its scope alone means.
    pub(crate) fn says_nothing(&self) -> bool {
        self.custodians.is_empty()
            && self.epochs.is_none()
            && self.context == ContextAsked::default()
            && self.zone == ZoneName::utc()
    }

    /// True for items that custodians and epochs leave in.
    pub(crate) fn takes(&self, i: &ItemInfo) -> bool {
        let epochs = self.epochs.is_none_or(|e| e.first <= i.about.epoch && i.about.epoch <= e.last);
        epochs && (self.custodians.is_empty() || self.custodians.iter().any(|t| takes_part(i, t)))
    }

    /// A time with the hours of context on both sides.
    pub(crate) fn widened(&self, from: Timestamp, to: Timestamp) -> (Timestamp, Timestamp) {
        let s = i64::from(self.context.hours) * 3_600;
        (from.plus_seconds(-s), to.plus_seconds(s))
    }
}

/// True if the subject deposited the item, or its depositor names them as participant.
pub(crate) fn takes_part(i: &ItemInfo, subject: &Token) -> bool {
    i.depositor == *subject || i.about.participants.iter().any(|p| p.token == *subject)
}

/// What was chosen.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// Ids of the items.
    pub(crate) items: BTreeSet<ItemId>,
    /// First instant that the scope has to cover: that of the context.
    pub(crate) from: Timestamp,
    /// First instant after.
    pub(crate) to: Timestamp,
    /// Threads of which nobody here knows whether so many messages of context are in the keys chosen.
    pub(crate) unsure: BTreeSet<Token>,
}

/// Chooses among items that custodians and epochs leave in. In each thread of which some key opens
/// messages of the time asked for: those keys, the keys of the hours around, and neighbours on each
/// side until they hold the messages asked for as context, or until nobody knows how many they hold.
pub(crate) fn choose(candidates: &[ItemInfo], from: Timestamp, to: Timestamp, how: &Selecting) -> Chosen {
    let mut threads: BTreeMap<Token, Vec<&ItemInfo>> = BTreeMap::new();
    for i in candidates {
        threads.entry(i.about.thread).or_default().push(i);
    }
    let (early, late) = how.widened(from, to);
    let mut chosen = Chosen { items: BTreeSet::new(), from: early, to: late, unsure: BTreeSet::new() };
    for (thread, items) in threads {
        let within = |i: &&&ItemInfo, a: Timestamp, b: Timestamp| i.about.from < b && a < i.about.to;
        if !items.iter().any(|i| within(&i, from, to)) {
            continue;
        }
        chosen.items.extend(items.iter().filter(|i| within(i, early, late)).map(|i| i.item));
        let before = items.iter().filter(|i| i.about.to <= from);
        let before = before.map(|i| ((-i.about.to.millis(), -i.about.from.millis()), *i));
        let after = items.iter().filter(|i| to <= i.about.from);
        let after = after.map(|i| ((i.about.from.millis(), i.about.to.millis()), *i));
        for side in [walk(before, how), walk(after, how)] {
            for i in side.items {
                chosen.items.insert(i.item);
                chosen.from = chosen.from.min(i.about.from);
                chosen.to = chosen.to.max(i.about.to);
            }
            if !side.sure {
                chosen.unsure.insert(thread);
            }
        }
    }
    chosen
}

struct Side<'a> {
    items: Vec<&'a ItemInfo>,
    sure: bool,
}

/// Takes neighbours of one side, each with its near and its far end as seen from the time asked for.
fn walk<'a>(neighbours: impl Iterator<Item = ((i64, i64), &'a ItemInfo)>, how: &Selecting) -> Side<'a> {
    let mut by_end: BTreeMap<(i64, i64), Vec<&ItemInfo>> = BTreeMap::new();
    for (ends, i) in neighbours {
        by_end.entry(ends).or_default().push(i);
    }
    let want = u64::from(how.context.messages);
    let mut side = Side { items: vec![], sure: true };
    let (mut have, mut edge) = (0u64, i64::MIN);
    for ((near, far), items) in by_end {
        if have >= want {
            break;
        }
        // Several people may have deposited the same messages: of one window the fullest counts, of
        // windows that overlap the nearer one.
        let most = items.iter().filter_map(|i| how.messages.get(&i.about.archive?)).max();
        side.items.extend(items);
        match most {
            None => {
                side.sure = false;
                break;
            }
            Some(most) if near >= edge => have = have.saturating_add(*most),
            Some(_) => {}
        }
        edge = edge.max(far);
    }
    side
}

/// What keys open beyond the time asked for and the hours of context, because no key is finer: at the
/// most this long before and this long after. Keys of neighbours that are asked for as context are not
/// counted.
pub fn beyond<'a>(
    items: impl IntoIterator<Item = &'a ItemInfo>,
    from: Timestamp,
    to: Timestamp,
) -> [Option<(Timestamp, Timestamp)>; 2] {
    let cut: Vec<_> = items.into_iter().filter(|i| i.about.from < to && from < i.about.to).collect();
    let first = cut.iter().map(|i| i.about.from).min().filter(|t| *t < from);
    let last = cut.iter().map(|i| i.about.to).max().filter(|t| to < *t);
    [first.map(|t| (t, from)), last.map(|t| (to, t))]
}

#[cfg(test)]
#[path = "scope_tests.rs"]
mod tests;
