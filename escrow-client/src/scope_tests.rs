use super::*;
use escrow_core::Blob;
use escrow_core::deal::{About, KeySource, Participant};

const DAY: i64 = 86_400;

fn at(day: i64, hour: i64) -> Timestamp {
    Timestamp::from_rfc3339("2026-05-01T00:00:00Z").unwrap().plus_seconds(day * DAY + hour * 3_600)
}

fn token(name: &str) -> Token {
    let mac: [u8; 32] = Digest::of(name.as_bytes()).0;
    Token { version: 1, mac }
}

/// The key of a thread for a day, deposited by ann, with ann and ben in it; its segment's digest is its id.
fn item(thread: &str, day: i64) -> ItemInfo {
    let id = Digest::of(format!("{thread} {day}").as_bytes());
    let inside = |name| Participant { token: token(name), inside: true };
    ItemInfo {
        item: id,
        generation: 1,
        depositor: token("ann"),
        consent: Digest([0; 32]),
        policies: vec![],
        about: About {
            source: KeySource::ContentKey,
            thread: token(thread),
            era: 1,
            epoch: u64::try_from(day + 100).unwrap(),
            authenticator: Blob(vec![]),
            from: at(day, 0),
            to: at(day + 1, 0),
            archive: Some(id),
            participants: vec![inside("ann"), inside("ben")],
        },
    }
}

fn days(thread: &str, days: impl IntoIterator<Item = i64>) -> Vec<ItemInfo> {
    days.into_iter().map(|d| item(thread, d)).collect()
}

fn how(messages: u32, hours: u32) -> Selecting {
    Selecting { context: ContextAsked { hours, messages }, ..Selecting::default() }
}

/// The days that are chosen of a thread.
fn chosen(all: &[ItemInfo], chosen: &Chosen, thread: &str) -> Vec<i64> {
    let of = all.iter().filter(|i| i.about.thread == token(thread) && chosen.items.contains(&i.item));
    of.map(|i| i.about.from.seconds_since(at(0, 0)) / DAY).collect()
}

#[test]
fn without_context_the_keys_of_the_time_are_chosen_and_no_other() {
    let all = days("t", -3..4);
    let c = choose(&all, at(0, 12), at(1, 12), &how(0, 0));
    assert_eq!(chosen(&all, &c, "t"), [0, 1]);
    assert_eq!((c.from, c.to, c.unsure.len()), (at(0, 12), at(1, 12), 0));
    let none = choose(&all, at(9, 0), at(10, 0), &how(5, 5));
    assert!(none.items.is_empty(), "context of nothing is nothing");
}

#[test]
fn hours_widen_the_time_of_threads_that_are_asked_for_and_of_no_other() {
    let all = [days("t", -3..4), days("u", [1])].concat();
    let c = choose(&all, at(0, 0), at(1, 0), &how(0, 24));
    assert_eq!(chosen(&all, &c, "t"), [-1, 0, 1]);
    assert!(chosen(&all, &c, "u").is_empty(), "of u only context would be asked for");
    assert_eq!((c.from, c.to), (at(-1, 0), at(2, 0)));
    let longer = choose(&all, at(0, 0), at(1, 0), &how(0, 25));
    assert_eq!(chosen(&all, &longer, "t"), [-2, -1, 0, 1, 2], "one hour of another day is another key");
}

#[test]
fn neighbours_are_added_until_they_hold_the_messages_asked_for() {
    let all = days("t", [-9, -5, -2, 0, 1, 3, 8]);
    let mut how = how(10, 0);
    for (i, messages) in all.iter().zip([50, 6, 4, 90, 9, 1, 50]) {
        how.messages.insert(i.item, messages);
    }
    let c = choose(&all, at(0, 6), at(0, 7), &how);
    // Before: 4 and 6 are enough. After: 9 and 1. What the key cut open holds besides is not counted.
    assert_eq!(chosen(&all, &c, "t"), [-5, -2, 0, 1, 3]);
    assert_eq!((c.from, c.to), (at(-5, 0), at(4, 0)), "the scope covers its context");
    assert!(c.unsure.is_empty());
    how.context.messages = 11;
    assert_eq!(chosen(&all, &choose(&all, at(0, 6), at(0, 7), &how), "t"), [-9, -5, -2, 0, 1, 3, 8]);
    how.context.messages = 10_000;
    let all_there_is = choose(&all, at(0, 6), at(0, 7), &how);
    assert!(all_there_is.unsure.is_empty(), "a thread that has no more messages has no more context");
}

#[test]
fn without_counts_one_neighbour_on_each_side_is_added_and_nobody_is_told_that_it_is_enough() {
    let all = days("t", [-9, -5, 0, 1, 3]);
    let c = choose(&all, at(0, 0), at(1, 0), &how(10, 0));
    assert_eq!(chosen(&all, &c, "t"), [-5, 0, 1]);
    assert_eq!(c.unsure, BTreeSet::from([token("t")]));
    let mut half = how(10, 0);
    half.messages.insert(all[1].item, 3);
    let c = choose(&all, at(0, 0), at(1, 0), &half);
    assert_eq!(chosen(&all, &c, "t"), [-9, -5, 0, 1], "it goes on behind what is known and ends behind what is not");
}

#[test]
fn messages_that_two_people_deposited_are_counted_once() {
    let mut twice = item("t", -1);
    twice.item = Digest::of(b"the same day by ben");
    (twice.depositor, twice.about.archive) = (token("ben"), Some(twice.item));
    let mut long = item("t", -3);
    (long.item, long.about.to) = (Digest::of(b"two days"), at(-1, 0));
    long.about.archive = Some(long.item);
    let all = [days("t", [-4, -2, -1, 0]), vec![twice, long]].concat();
    let mut how = how(10, 0);
    for i in &all {
        how.messages.insert(i.item, 5);
    }
    // Day -1 by two people is 5 messages; the key of days -3 and -2 may hold those of day -2 again.
    let c = choose(&all, at(0, 0), at(1, 0), &how);
    assert_eq!(c.items.len(), 4, "day 0, day -1 twice, and day -2");
    how.context.messages = 15;
    assert_eq!(choose(&all, at(0, 0), at(1, 0), &how).items.len(), 6);
}

#[test]
fn custodians_and_epochs_narrow() {
    let i = item("t", 0);
    let with = |names: &[&str]| Selecting { custodians: names.iter().map(|n| token(n)).collect(), ..how(0, 0) };
    assert!(how(0, 0).takes(&i) && with(&["ann"]).takes(&i) && with(&["zoe", "ben"]).takes(&i));
    assert!(!with(&["zoe"]).takes(&i));
    let mut alone = i.clone();
    alone.about.participants.clear();
    assert!(with(&["ann"]).takes(&alone) && !with(&["ben"]).takes(&alone), "who deposited takes part");
    let of = |first, last| Selecting { epochs: Some(Epochs { first, last }), ..how(0, 0) };
    assert!(of(100, 100).takes(&i) && !of(101, 200).takes(&i) && !of(0, 99).takes(&i));
}

#[test]
fn what_no_key_is_finer_than_is_told() {
    let all = days("t", 0..3);
    assert_eq!(beyond(&all, at(0, 0), at(3, 0)), [None, None]);
    assert_eq!(beyond(&all, at(0, 22), at(1, 12)), [Some((at(0, 0), at(0, 22))), Some((at(1, 12), at(2, 0)))]);
    assert_eq!(beyond(&all, at(1, 0), at(1, 12)), [None, Some((at(1, 12), at(2, 0)))], "neighbours are asked for");
}
