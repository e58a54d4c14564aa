//! What people did to messages, and what could not be read.

use crate::archive::{Sealed, assert_passes, custom, event, events, files, line, rules};
use escrow_client::production::Format;
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[test]
fn edits_deletions_reactions_and_receipts_stand_on_their_message() {
    let sealed = Sealed::of(&[
        line("1", "ann", "2026-03-01T10:00:00Z", json!({"text": "helo", "importance": "high"})),
        line("2", "ben", "2026-03-01T10:01:00Z", json!({"type": "reaction", "target": "1", "value": "\u{1f44d}"})),
        line("3", "ann", "2026-03-01T10:02:00Z", json!({"type": "reaction", "target": "1", "value": "\u{1f44d}"})),
        line("4", "ben", "2026-03-01T10:03:00Z", json!({"type": "reaction", "target": "1", "value": "x"})),
        line(
            "5",
            "ben",
            "2026-03-01T10:04:00Z",
            json!({"type": "reaction", "target": "1", "value": "x", "removed": true}),
        ),
        line("6", "ann", "2026-03-01T10:05:00Z", json!({"type": "edit", "target": "1", "text": "hello"})),
        line("8", "ben", "2026-03-01T10:06:00Z", json!({"type": "receipt", "target": "1", "action": "read"})),
        line("9", "ben", "2026-03-01T10:07:00Z", json!({"text": "oops"})),
        line("7", "ann", "2026-03-02T10:05:00Z", json!({"type": "edit", "target": "1", "text": "hello!"})),
        line("10", "ann", "2026-03-03T10:08:00Z", json!({"type": "deletion", "target": "9"})),
    ]);
    let (manifests, produced) = sealed.rsmf();
    assert_eq!((produced.lines, produced.events, produced.messages), (10, 2, 2));
    assert!(produced.problems.is_empty(), "{:?}", produced.problems);
    let e = event(&manifests, "1");
    assert_eq!((&e["body"], &e["importance"], &e["direction"]), (&json!("hello!"), &json!("high"), &json!("outgoing")));
    let pairs: Vec<_> = e["edits"].as_array().unwrap().iter().map(|e| (&e["previous"], &e["new"])).collect();
    assert_eq!(pairs, [(&json!("helo"), &json!("hello")), (&json!("hello"), &json!("hello!"))]);
    assert_eq!(e["reactions"], json!([{"value": "\u{1f44d}", "count": 2, "participants": ["ben", "ann"]}]));
    assert_eq!(e["read_receipts"][0]["action"], "read");
    let deleted = event(&manifests, "9");
    assert_eq!((&deleted["deleted"], &deleted["body"]), (&json!(true), &json!("oops")));
    assert_eq!(custom(deleted, "deleted_by"), Some("ann"));
}

#[test]
fn an_edit_that_claims_to_be_older_than_its_message_keeps_its_time_elsewhere() {
    let sealed = Sealed::of(&[
        line("1", "ann", "2026-03-01T10:00:00Z", json!({"text": "a"})),
        line("2", "ann", "2026-03-01T09:00:00Z", json!({"type": "edit", "target": "1", "text": "b"})),
        line("3", "ben", "2026-03-01T09:30:00Z", json!({"text": "earlier by my clock"})),
    ]);
    let (manifests, produced) = sealed.rsmf();
    let e = event(&manifests, "1");
    assert!(e["edits"][0].get("timestamp").is_none());
    assert_eq!(custom(e, "edit_time_before_message"), Some("2026-03-01T09:00:00+00:00"));
    // Told by time, though the archive has it otherwise; and that is on record.
    assert_eq!(events(&manifests).iter().map(|e| e["id"].as_str().unwrap()).collect::<Vec<_>>(), ["3", "1"]);
    assert_eq!(rules(&produced), BTreeMap::from([("out-of-order", 1)]));
}

#[test]
fn changes_of_messages_that_are_not_there_stand_for_themselves() {
    let sealed = Sealed::of(&[
        line("1", "ann", "2026-03-01T10:00:00Z", json!({"type": "edit", "target": "gone", "text": "new words"})),
        line("2", "ben", "2026-03-01T10:00:01Z", json!({"type": "deletion", "target": "gone"})),
        line("3", "ben", "2026-03-01T10:00:02Z", json!({"type": "reaction", "target": "gone", "value": "x"})),
        line("4", "ben", "2026-03-01T10:00:03Z", json!({"text": "yes", "reply_to": "gone"})),
    ]);
    let (manifests, produced) = sealed.rsmf();
    for id in ["1", "2", "3"] {
        assert_eq!(event(&manifests, id)["type"], "unknown");
        assert_eq!(custom(event(&manifests, id), "target"), Some("gone"));
    }
    assert!(event(&manifests, "1")["body"].as_str().unwrap().contains("new words"));
    assert_eq!(custom(event(&manifests, "4"), "reply_to"), Some("gone"));
    assert_eq!(rules(&produced), BTreeMap::from([("target-missing", 3), ("parent-missing", 1)]));
    assert!(produced.whole());
}

#[test]
fn what_cannot_be_read_is_told_as_unknown_and_never_dropped() {
    let mut sealed = Sealed::of(&[
        line("1", "ann", "2026-03-01T10:00:00Z", json!({"text": "a"})),
        line(
            "2",
            "ben",
            "2026-03-01T10:00:01Z",
            json!({"type": "undecryptable", "text": "no session for this device"}),
        ),
        line("3", "ann", "2026-03-02T10:00:00Z", json!({"text": "never shown"})),
        line("4", "ann", "2026-03-03T10:00:00Z", json!({"text": "c", "reply_to": "1"})),
    ]);
    sealed.closed = vec![1];
    let (manifests, produced) = sealed.rsmf();
    assert_eq!((produced.events, produced.undecryptable, produced.whole()), (4, 2, false));
    assert_eq!(event(&manifests, "2")["body"], "no session for this device");
    let closed = events(&manifests).into_iter().find(|e| e.get("participant").is_none()).unwrap();
    assert_eq!((&closed["type"], &closed["timestamp"]), (&json!("unknown"), &json!("2026-03-02T00:00:00+00:00")));
    assert!(closed["body"].as_str().unwrap().ends_with("cannot be read: the key is another"));
    assert_eq!(rules(&produced)["undecryptable"], 2);
    // All of a thread closed: still one event, with the people whom the items name.
    sealed.closed = vec![0, 1, 2];
    let (out, produced) = sealed.produce(Format::Rsmf, "nothing-opened");
    assert_passes(&out);
    assert_eq!((produced.events, produced.undecryptable), (3, 3));
    assert_eq!(crate::archive::manifests(&out)[0]["conversations"][0]["participants"], json!(["ann", "ben"]));
}

#[test]
fn repeats_and_gaps_are_told_and_on_record() {
    let again = line("1", "ann", "2026-03-01T10:00:00Z", json!({"text": "a", "seq": 1}));
    let sealed = Sealed::of(&[
        again.clone(),
        again,
        line("1", "ben", "2026-03-01T10:00:05Z", json!({"text": "same id", "seq": 5})),
        line("2", "ben", "2026-03-01T10:00:06Z", json!({"type": "edit", "target": "1", "text": "mended"})),
    ]);
    let (manifests, produced) = sealed.rsmf();
    let ids: Vec<_> = events(&manifests).iter().map(|e| e["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids, ["1", "1#2", "1#3"]);
    assert_eq!(custom(event(&manifests, "1#3"), "message_id"), Some("1"));
    // A change is about the last message of that id before it.
    assert_eq!(event(&manifests, "1#3")["body"], "mended");
    assert_eq!(event(&manifests, "1")["body"], "a");
    assert_eq!(rules(&produced), BTreeMap::from([("repeated-line", 1), ("repeated-id", 1), ("missing-lines", 1)]));
}

#[test]
fn attachments_come_along_of_any_size() {
    let clear = tempfile::tempdir().unwrap();
    let big: Vec<u8> = (0..50_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let mut named = Vec::new();
    for (name, bytes) in [("empty.txt", &[][..]), ("film.MP4", &big), ("\u{202e}gpj.exe", b"x"), ("plain", b"y")] {
        let sha256 = escrow_core::Digest::of(bytes);
        std::fs::write(clear.path().join(sha256.to_string()), bytes).unwrap();
        named.push(
            json!({"name": name, "media_type": "application/octet-stream", "size": bytes.len(), "sha256": sha256}),
        );
    }
    let lost = json!({"name": "lost.pdf", "media_type": "application/pdf", "size": 3, "sha256": "ab".repeat(32)});
    let sealed = Sealed::of_files(
        &[
            line("1", "ann", "2026-03-01T10:00:00Z", json!({"text": "files", "attachments": named})),
            line("2", "ben", "2026-03-01T10:00:00Z", json!({"text": "one of them again", "attachments": [named[1]]})),
            line("3", "ben", "2026-03-01T10:00:00Z", json!({"text": "lost", "attachments": [lost]})),
        ],
        Some(clear.path()),
    );
    let (manifests, produced) = sealed.rsmf();
    assert_eq!((produced.attachments, produced.whole()), (5, false));
    let sizes: Vec<_> = event(&manifests, "1")["attachments"].as_array().unwrap().iter().map(|a| &a["size"]).collect();
    assert_eq!(sizes, [&json!(0), &json!(50_000_000), &json!(1), &json!(1)]);
    let names: Vec<_> =
        event(&manifests, "1")["attachments"].as_array().unwrap().iter().map(|a| &a["display"]).collect();
    assert_eq!(names[1], "film.MP4");
    assert!(custom(event(&manifests, "3"), "attachments_missing").unwrap().contains("lost.pdf"));
    assert_eq!(rules(&produced), BTreeMap::from([("attachment-missing", 1)]));
    for format in [Format::Dat, Format::Html, Format::Jsonl] {
        let (out, produced) = sealed.produce(format, format.name());
        assert_passes(&out);
        assert_eq!(produced.attachments, 5);
        let found = files(&out).into_values().filter(|b| *b == big).count();
        assert_eq!(found, if format == Format::Dat { 2 } else { 1 });
    }
}

#[test]
fn who_comes_and_goes_is_told_in_a_group() {
    let group: Value = json!({"kind": "group", "name": "Tender", "members": ["ann", "ben"], "platform": "RCS"});
    let sealed = Sealed::of(&[
        line("1", "ann", "2026-03-01T10:00:00Z", json!({"text": "hi", "conversation": group})),
        line("2", "ann", "2026-03-01T10:01:00Z", json!({"type": "join", "member": "cat"})),
        line("3", "cat", "2026-03-01T10:02:00Z", json!({"text": "hello"})),
        line("4", "ann", "2026-03-01T10:03:00Z", json!({"type": "rename", "text": "Tender 2"})),
        line("5", "acme", "2026-03-01T10:04:00Z", json!({"type": "notice", "text": "This thread is on hold."})),
        line("6", "cat", "2026-03-01T10:05:00Z", json!({"type": "leave", "member": "cat"})),
        line("7", "ben", "2026-03-02T10:00:00Z", json!({"text": "gone?"})),
        line("8", "cat", "2026-03-02T10:01:00Z", json!({"text": "late, though I left"})),
    ]);
    let (manifests, produced) = sealed.rsmf();
    assert!(produced.problems.is_empty());
    let conversation = |n: usize| &manifests[n]["conversations"][0];
    assert_eq!((&conversation(0)["type"], &conversation(0)["display"]), (&json!("channel"), &json!("Tender")));
    assert_eq!(conversation(0)["participants"], json!(["acme", "ann", "ben"]));
    // Whoever writes is a member, whatever the clock or the server says.
    assert_eq!(conversation(1)["participants"], json!(["acme", "ann", "ben", "cat"]));
    let kinds: Vec<_> = events(&manifests).iter().map(|e| e["type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds, ["message", "join", "message", "history", "disclaimer", "leave", "message", "message"]);
    assert_eq!(custom(event(&manifests, "2"), "by"), Some("ann"));
    let (out, _) = sealed.produce(Format::Html, "pages");
    assert_eq!(manifests.len(), 2);
    assert_eq!(crate::archive::manifests(&out).len(), 0);
    assert_passes(&out);
}
