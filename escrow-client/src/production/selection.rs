//! Which lines of a thread a production is to tell: a range of time and, around it, what a court
//! orders as context.

use crate::zone::Zone;
use escrow_core::Timestamp;
use escrow_core::request::Request;
use std::ops::RangeInclusive;

/// A line's place in its thread: time first, then the order of the archive.
pub(super) type Place = (Timestamp, u64);

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Selection {
    /// First instant.
    pub from: Timestamp,
    /// First instant after.
    pub to: Timestamp,
    /// So many lines of each thread before and after as well.
    pub context_messages: usize,
    /// So many hours before and after as well.
    pub context_hours: u32,
    /// The zone in which days begin and times are written.
    pub zone: Zone,
}

/// The selection in one thread.
#[derive(Debug)]
pub(super) struct Chosen {
    asked: RangeInclusive<Place>,
    with_context: RangeInclusive<Place>,
}

/// How a line stands to what is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Asked,
    Context,
    Outside,
}

impl Selection {
    /// What a request asked for, with the context that it asked for, in its zone.
    #[must_use]
    pub fn of(request: &Request) -> Self {
        let (from, to) = request.asked();
        let context = request.selection.as_ref().map(|s| s.context);
        Self {
            from,
            to,
            context_messages: context.map_or(0, |c| c.messages as usize),
            context_hours: context.map_or(0, |c| c.hours),
            zone: Zone::of(request),
        }
    }

    /// Fixes the selection in a thread, given the places of all its lines in any order.
    pub(super) fn within(&self, mut places: Vec<Place>) -> Chosen {
        places.sort_unstable();
        let asked = (self.from, 0)..=(Timestamp::from_millis(self.to.millis() - 1), u64::MAX);
        let hours = i64::from(self.context_hours) * 3_600;
        let mut start = (self.from.plus_seconds(-hours), 0);
        let mut end = (Timestamp::from_millis(self.to.plus_seconds(hours).millis() - 1), u64::MAX);
        let first = places.partition_point(|p| p < asked.start());
        let after = places.partition_point(|p| p <= asked.end());
        // Context is context of something: a thread without a line in the range has none.
        if self.context_messages > 0 && first < after {
            start = start.min(*places.get(first.saturating_sub(self.context_messages)).unwrap_or(&start));
            let last = after.saturating_add(self.context_messages).min(places.len()).saturating_sub(1);
            end = end.max(*places.get(last).unwrap_or(&end));
        }
        Chosen { asked, with_context: start..=end }
    }
}

impl Chosen {
    pub(super) fn standing(&self, place: Place) -> Standing {
        if self.asked.contains(&place) {
            Standing::Asked
        } else if self.with_context.contains(&place) {
            Standing::Context
        } else {
            Standing::Outside
        }
    }

    /// First instant of all that is told.
    pub(super) fn start(&self) -> Timestamp {
        self.with_context.start().0
    }

    /// False for a window of which nothing can be wanted.
    pub(super) fn touches(&self, from: Timestamp, to: Timestamp) -> bool {
        from <= self.with_context.end().0 && self.with_context.start().0 < to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: i64) -> Timestamp {
        Timestamp::EPOCH.plus_seconds(s)
    }

    fn selection(messages: usize, hours: u32) -> Selection {
        Selection {
            from: at(10_000),
            to: at(20_000),
            context_messages: messages,
            context_hours: hours,
            zone: Zone::utc(),
        }
    }

    fn chosen(selection: &Selection, places: &[(i64, u64)]) -> Vec<Standing> {
        let places: Vec<Place> = places.iter().map(|(s, line)| (at(*s), *line)).collect();
        let chosen = selection.within(places.clone());
        places.into_iter().map(|p| chosen.standing(p)).collect()
    }

    #[test]
    fn a_range_includes_its_start_and_not_its_end() {
        use Standing::{Asked, Context, Outside};
        let places = [(9_999, 1), (10_000, 2), (19_999, 3), (20_000, 4), (24_000, 5)];
        assert_eq!(chosen(&selection(0, 0), &places), [Outside, Asked, Asked, Outside, Outside]);
        assert_eq!(chosen(&selection(1, 0), &places), [Context, Asked, Asked, Context, Outside]);
        assert_eq!(chosen(&selection(0, 1), &places), [Context, Asked, Asked, Context, Outside]);
        assert_eq!(chosen(&selection(7, 0), &places), [Context, Asked, Asked, Context, Context]);
    }

    #[test]
    fn lines_are_counted_by_time_and_then_by_their_order() {
        use Standing::{Asked, Context, Outside};
        // Two lines of one second before, told in another order than they lie.
        let places = [(9_000, 8), (15_000, 5), (9_000, 7)];
        assert_eq!(chosen(&selection(1, 0), &places), [Context, Asked, Outside]);
        // Nothing in the range: no context either.
        assert_eq!(chosen(&selection(5, 0), &[(9_000, 8), (30_000, 9)]), [Outside, Outside]);
    }
}
