//! Entries of each type in each log, as CSV.

use super::Source;
use crate::bundle::{Index, entries_path};
use crate::entry::Entry;
use std::collections::BTreeMap;

/// Header and one line a log and type, sorted. Types are plain words and need no quotes.
pub(super) fn csv(source: &dyn Source, index: &Index) -> String {
    let mut counts: BTreeMap<(u8, u32, String), u64> = BTreeMap::new();
    for log in &index.logs {
        source.lines(&entries_path(log.seat, log.number), &mut |line| {
            let kind = Entry::decode(line).map_or_else(|_| "unreadable".to_owned(), |e| e.kind);
            *counts.entry((log.seat.get(), log.number, kind)).or_default() += 1;
        });
    }
    let lines: String =
        counts.iter().map(|((seat, number, kind), n)| format!("{seat},{number},{kind},{n}\n")).collect();
    format!("seat,log,type,entries\n{lines}")
}
