//! How events fall into files: days of a zone, parts, ranges and context.

use crate::archive::{Sealed, at, custom, event, events, line, rules};
use escrow_client::Zone;
use escrow_client::production::EVENTS_MAX;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn text(id: &str, time: &str) -> Value {
    line(id, if id.len().is_multiple_of(2) { "ann" } else { "ben" }, time, json!({"text": id}))
}

#[test]
fn days_are_those_of_the_zone_also_when_its_clocks_change() {
    let mut sealed = Sealed::of(&[
        text("a", "2026-10-24T21:59:59Z"),
        text("b", "2026-10-24T22:00:00Z"),
        text("c", "2026-10-25T00:30:00Z"),
        text("d", "2026-10-25T01:30:00Z"),
        text("e", "2026-10-25T22:59:59Z"),
        text("f", "2026-10-25T23:00:00Z"),
    ]);
    sealed.selection.zone = "Europe/Berlin".parse::<Zone>().unwrap();
    let (manifests, _) = sealed.rsmf();
    let days: Vec<usize> = manifests.iter().map(|m| m["events"].as_array().unwrap().len()).collect();
    assert_eq!(days, [1, 4, 1]);
    // One wall-clock time twice, told apart by its offset.
    assert_eq!(event(&manifests, "c")["timestamp"], "2026-10-25T02:30:00+02:00");
    assert_eq!(event(&manifests, "d")["timestamp"], "2026-10-25T02:30:00+01:00");
    let ids: Vec<_> = manifests.iter().map(|m| &m["eventcollectionid"]).collect();
    assert!(ids.windows(2).all(|w| w[0] == w[1]));
}

#[test]
fn a_reply_over_a_border_names_its_parent_without_pointing_at_it() {
    let sealed = Sealed::of(&[
        text("a", "2026-03-01T23:59:00Z"),
        line("b", "ben", "2026-03-01T23:59:30Z", json!({"text": "same day", "reply_to": "a"})),
        line("c", "ben", "2026-03-02T00:00:30Z", json!({"text": "next day", "reply_to": "a"})),
    ]);
    let (manifests, produced) = sealed.rsmf();
    assert_eq!(event(&manifests, "b")["parent"], "a");
    let c = event(&manifests, "c");
    assert!(c.get("parent").is_none());
    assert_eq!((custom(c, "reply_to"), custom(c, "reply_to_file")), (Some("a"), Some("00001-2026-03-01-001")));
    assert!(produced.problems.is_empty());
}

#[test]
fn no_file_has_more_events_than_platforms_take() {
    let lines: Vec<Value> = (0..EVENTS_MAX + 2).map(|n| text(&format!("m{n}"), "2026-03-01T12:00:00Z")).collect();
    let (manifests, produced) = Sealed::of(&lines).rsmf();
    let sizes: Vec<usize> = manifests.iter().map(|m| m["events"].as_array().unwrap().len()).collect();
    assert_eq!((sizes, produced.events), (vec![EVENTS_MAX, 2], 10_002));
    // Of one instant, in the order of the archive.
    assert!(events(&manifests).iter().enumerate().all(|(n, e)| e["id"] == format!("m{n}")));
}

#[test]
fn only_what_was_asked_for_is_told_and_context_says_that_it_is() {
    let mut sealed = Sealed::of(&[
        text("a", "2026-03-01T08:00:00Z"),
        text("b", "2026-03-01T09:00:00Z"),
        text("c", "2026-03-01T10:00:00Z"),
        text("d", "2026-03-01T11:00:00Z"),
        line("e", "ann", "2026-03-01T12:30:00Z", json!({"type": "edit", "target": "c", "text": "out of range"})),
        line("f", "ann", "2026-03-01T10:30:00Z", json!({"type": "reaction", "target": "a", "value": "x"})),
    ]);
    (sealed.selection.from, sealed.selection.to) = (at("2026-03-01T10:00:00Z"), at("2026-03-01T11:00:00Z"));
    let (manifests, produced) = sealed.rsmf();
    // The edit came later than what was asked for, so the words are those of the hour.
    assert_eq!(event(&manifests, "c")["body"], "c");
    // A reaction of the hour on a message before it stands for itself.
    assert_eq!(event(&manifests, "f")["type"], "unknown");
    assert_eq!((produced.lines, produced.events), (2, 2));
    assert_eq!(rules(&produced), BTreeMap::from([("out-of-order", 1), ("outside-range", 1), ("target-missing", 1)]));

    sealed.selection.context_messages = 1;
    let (out, produced) = sealed.produce(escrow_client::production::Format::Rsmf, "context");
    let manifests = crate::archive::manifests(&out);
    crate::archive::assert_passes(&out);
    assert_eq!(produced.events, 4);
    for (id, context) in [("b", Some("true")), ("c", None), ("d", Some("true"))] {
        assert_eq!(custom(event(&manifests, id), "context"), context, "{id}");
    }
}

#[test]
fn two_people_stay_a_direct_conversation_and_silent_ones_are_in_it() {
    let members = json!({"members": ["ann", "ben"]});
    let mut sealed =
        Sealed::of(&[line("1", "ann", "2026-03-01T10:00:00Z", json!({"text": "?", "conversation": members}))]);
    sealed.name("ann", "Ann O'Hara");
    sealed.name("ben", "\u{5d1}\u{5df} \u{1f600}");
    let (manifests, _) = sealed.rsmf();
    let conversation = &manifests[0]["conversations"][0];
    assert_eq!((&conversation["type"], &conversation["participants"]), (&json!("direct"), &json!(["ann", "ben"])));
    assert_eq!(conversation["custodian"], "ann");
    assert_eq!(manifests[0]["participants"][1]["display"], "\u{5d1}\u{5df} \u{1f600}");
}

#[test]
fn what_stays_closed_is_told_within_what_was_asked_for() {
    let mut sealed = Sealed::of(&[text("a", "2026-03-01T08:00:00Z"), text("b", "2026-03-02T08:00:00Z")]);
    (sealed.selection.from, sealed.selection.to) = (at("2026-03-01T07:00:00Z"), at("2026-03-02T00:00:00Z"));
    sealed.closed = vec![0];
    let (manifests, produced) = sealed.rsmf();
    // The key of the first day does not open; the second day was not asked for.
    assert_eq!((produced.events, produced.undecryptable), (1, 1));
    assert_eq!(events(&manifests)[0]["timestamp"], "2026-03-01T07:00:00+00:00");
}
