//! Entries of each type in each log, as CSV.

use super::each_line;
use crate::bundle::{Index, entries_path};
use crate::entry::Scanned;
use crate::files::Files;
use std::collections::BTreeMap;

/// Header and one line a log and type, sorted. Types are plain words and need no quotes.
pub(super) fn csv(source: &dyn Files, index: &Index) -> String {
    let mut counts: BTreeMap<(u8, u32, String), u64> = BTreeMap::new();
    for log in &index.logs {
        each_line(source, &entries_path(log.seat, log.number), |line| {
            let kind = Scanned::read(line).map_or_else(|_| "unreadable".to_owned(), |e| e.kind.to_owned());
            *counts.entry((log.seat.get(), log.number, kind)).or_default() += 1;
        });
    }
    let lines: String =
        counts.iter().map(|((seat, number, kind), n)| format!("{seat},{number},{kind},{n}\n")).collect();
    format!("seat,log,type,entries\n{lines}")
}
