//! Rules of RSMF files, broken one at a time.

use crate::How::{Rsmf, Within};
use crate::Row;
use crate::sample::{manifest, message};
use crate::zipped::Member;
use serde_json::{Value, json};

/// The message around rsmf.zip.
pub(crate) fn container() -> Vec<Row> {
    vec![
        ("file-too-large", Within(|l| l.file = 100)),
        ("mime", Rsmf(|r| r.ending = "")),
        ("mime", Rsmf(|r| r.headers.iter_mut().for_each(|(_, v)| *v = v.replace("boundary", "border")))),
        ("mime", Rsmf(|r| r.text = format!("--the=boundary\r\nX: {}\r\n", "x".repeat(2_000_000)))),
        ("header-version-missing", Rsmf(|r| r.without("X-RSMF-Version"))),
        ("header-version", Rsmf(|r| *r.header("X-RSMF-Version") = "1.0.0".into())),
        ("header-version-first", Rsmf(|r| r.headers.swap(0, 1))),
        ("header-twice", Rsmf(|r| r.headers.push(("x-rsmf-generator".into(), "another".into())))),
        ("from-address", Rsmf(|r| r.without("From"))),
        ("from-address", Rsmf(|r| r.header("From").push_str(", b@example.org"))),
        ("from-address", Rsmf(|r| r.headers.push(("From".into(), "b@example.org".into())))),
        ("body-missing", Rsmf(|r| r.text = " \r\n\t\r\n".into())),
        ("attachment-missing", Rsmf(|r| r.attachment = "Content-Type: text/html\r\n".into())),
        (
            "attachment-several",
            Rsmf(|r| {
                r.further =
                    "--the=boundary\r\nContent-Type: image/png\r\nContent-Disposition: attachment\r\n\r\nx\r\n".into();
            }),
        ),
        ("attachment-name", Rsmf(|r| r.attachment = r.attachment.replace("rsmf.zip", "rsmf2.zip"))),
        ("attachment-name", Rsmf(|r| r.attachment = r.attachment.replace("attachment;", "inline;"))),
        ("attachment-encoding", Rsmf(|r| r.attachment = r.attachment.replace("base64", "binary"))),
        ("attachment-base64", Rsmf(|r| r.encoded = |text| text.replacen(|c: char| c.is_ascii_alphanumeric(), "", 1))),
        ("attachment-base64", Rsmf(|r| r.encoded = |text| text.replacen('U', "!", 1))),
    ]
}

/// rsmf.zip.
pub(crate) fn archive() -> Vec<Row> {
    vec![
        ("zip", Rsmf(|r| r.zip = |bytes| bytes[..bytes.len() / 2].to_vec())),
        ("zip", Rsmf(|r| r.zip = |_| b"no archive".to_vec())),
        ("zip", Rsmf(|r| r.members[2].damage = 1)),
        ("zip", Rsmf(|r| r.members[2].longer = 1)),
        // A local name that the directory does not know.
        ("zip", Rsmf(|r| r.zip = |bytes| replaced(bytes, b"team.png", b"tean.png", 1))),
        // Two files with one name, each twice in the archive: locally and in the directory.
        (
            "zip-twice",
            Rsmf(|r| {
                r.members.push(Member::new("pic.bim", "12345"));
                r.zip = |bytes| replaced(bytes, b"pic.bim", b"pic.bin", 2);
            }),
        ),
        ("zip-path", Rsmf(|r| r.members.push(Member::new("../outside", "x")))),
        ("zip-path", Rsmf(|r| r.members.push(Member::new("/outside", "x")))),
        ("zip-path", Rsmf(|r| r.members.push(Member::new("a\\b", "x")))),
        ("zip-path", Rsmf(|r| r.members.push(Member { mode: 0o120777, ..Member::new("link", "/etc/passwd") }))),
        ("zip-password", Rsmf(|r| r.members[2].flags |= 1)),
        ("zip-method", Rsmf(|r| r.members[2].method = 12)),
        ("zip-too-many", Rsmf(|r| r.count = Some(65_535))),
        ("zip-too-many", Within(|l| l.members = 3)),
        ("zip-bomb", Within(|l| l.unpacked = 100)),
        ("zip-stray", Rsmf(|r| r.members.push(Member::new("stray.png", "x")))),
        ("zip-stray", Rsmf(|r| r.members.push(Member { method: 0, ..Member::new("folder/", "") }))),
        // The sample leaves its manifest out if one of another name is there.
        ("manifest-missing", Rsmf(|r| r.members = vec![Member::new("xrsmf_manifest.json", "{}")])),
    ]
}

fn replaced(mut bytes: Vec<u8>, from: &[u8], to: &[u8], times: usize) -> Vec<u8> {
    for _ in 0..times {
        let at = bytes.windows(from.len()).position(|w| w == from).unwrap();
        bytes.splice(at..at + from.len(), to.iter().copied());
    }
    bytes
}

fn set(r: &mut crate::sample::Rsmf, pointer: &str, value: Value) {
    let (parent, member) = pointer.rsplit_once('/').unwrap();
    r.at(parent).as_object_mut().unwrap().insert(member.into(), value);
}

fn drop_member(r: &mut crate::sample::Rsmf, pointer: &str) {
    let (parent, member) = pointer.rsplit_once('/').unwrap();
    r.at(parent).as_object_mut().unwrap().remove(member).unwrap();
}

/// The manifest's form.
pub(crate) fn form() -> Vec<Row> {
    vec![
        ("manifest-too-large", Within(|l| l.manifest = 100)),
        ("manifest-too-large", Within(|l| l.values = 50)),
        ("manifest-utf8", Rsmf(|r| r.raw = Some(b"{\"version\":\"\xff\"}".to_vec()))),
        ("manifest-json", Rsmf(|r| r.raw = Some(b"{\"version\":\"2.0.0\",}".to_vec()))),
        ("manifest-json", Rsmf(|r| r.raw = Some("[".repeat(100_000).into_bytes()))),
        (
            "manifest-key-twice",
            Rsmf(|r| r.raw = Some(manifest().to_string().replacen(r#""id":"e9""#, r#""id":"e9","id":"e9""#, 1).into())),
        ),
        (
            "manifest-key-twice",
            Rsmf(|r| r.raw = Some(manifest().to_string().replacen(r#"{"#, r#"{"version":"2.0.0","#, 1).into())),
        ),
        ("manifest-required", Rsmf(|r| drop_member(r, "/conversations/0/platform"))),
        ("manifest-required", Rsmf(|r| drop_member(r, "/events/8/type"))),
        ("manifest-required", Rsmf(|r| drop_member(r, "/events/3/edits/0/participant"))),
        ("manifest-type", Rsmf(|r| r.raw = Some(b"[]".to_vec()))),
        ("manifest-type", Rsmf(|r| set(r, "/events/0/body", json!(null)))),
        ("manifest-type", Rsmf(|r| set(r, "/events/8/deleted", json!("true")))),
        ("manifest-type", Rsmf(|r| set(r, "/events/0/reactions/1/count", json!(-1)))),
        ("manifest-type", Rsmf(|r| set(r, "/events/1/attachments/0/size", json!(5.5)))),
        ("manifest-type", Rsmf(|r| *r.at("/conversations/1/participants") = json!(["p1", "p2", 3]))),
        ("manifest-type", Rsmf(|r| set(r, "/events/0/reactions", json!({})))),
        ("manifest-enum", Rsmf(|r| set(r, "/events/8/type", json!("Message")))),
        ("manifest-enum", Rsmf(|r| set(r, "/conversations/1/type", json!("group")))),
        ("manifest-enum", Rsmf(|r| set(r, "/events/0/read_receipts/0/action", json!("seen")))),
        ("manifest-time", Rsmf(|r| set(r, "/events/7/timestamp", json!("2026-03-01T12:04:00")))),
        ("manifest-time", Rsmf(|r| set(r, "/events/0/read_receipts/0/timestamp", json!("2026-02-30T09:31:00Z")))),
        ("manifest-email", Rsmf(|r| set(r, "/participants/1/email", json!("+15550101")))),
        ("manifest-custom", Rsmf(|r| set(r, "/events/0/custom/0/value", json!(7)))),
        ("manifest-undefined", Rsmf(|r| set(r, "/extra", json!(1)))),
        ("manifest-undefined", Rsmf(|r| set(r, "/participants/0/name", json!("Alice")))),
        ("manifest-undefined", Rsmf(|r| set(r, "/conversations/0/topic", json!("x")))),
        ("manifest-undefined", Rsmf(|r| set(r, "/events/0/extra", json!({"a": [1]})))),
        ("manifest-undefined", Rsmf(|r| set(r, "/events/0/reactions/0/emoji", json!("x")))),
        ("manifest-undefined", Rsmf(|r| set(r, "/events/1/attachments/0/sha256", json!("x")))),
        ("manifest-undefined", Rsmf(|r| set(r, "/events/3/edits/0/edit_no", json!("1")))),
        ("manifest-undefined", Rsmf(|r| set(r, "/events/0/read_receipts/0/device", json!("x")))),
        ("manifest-undefined", Rsmf(|r| set(r, "/events/0/custom/0/type", json!("x")))),
        ("manifest-version", Rsmf(|r| set(r, "/version", json!("2.1.0")))),
        // A collection id belongs to version 2.0.0.
        (
            "manifest-undefined",
            Rsmf(|r| {
                *r.header("X-RSMF-Version") = "1.0.0".into();
                let event = message("e1", "c1", "p1", "2026-03-01T09:30:00.000Z");
                let conversation = json!({"id": "c1", "platform": "RCS", "participants": ["p1"]});
                let participants = json!([{"id": "p1", "display": "Alice Example"}]);
                r.manifest = json!({
                    "version": "1.0.0", "eventcollectionid": "thread-7", "participants": participants,
                    "conversations": [conversation], "events": [event],
                });
                r.members.clear();
                r.headers.truncate(4);
                r.headers.push(("From".into(), "a@example.org".into()));
                r.headers.push(("Content-Type".into(), "multipart/mixed; boundary=\"the=boundary\"".into()));
            }),
        ),
    ]
}

/// What the manifest says, and what the headers say of it.
pub(crate) fn meaning() -> Vec<Row> {
    let mut rows = events();
    rows.extend(people());
    rows.extend(headers());
    rows
}

fn events() -> Vec<Row> {
    vec![
        (
            "events-empty",
            Rsmf(|r| {
                *r.at("/events") = json!([]);
                r.members.pop();
                *r.header("X-RSMF-EventCount") = "0".into();
                *r.header("X-RSMF-AttachmentCount") = "0".into();
                r.without("X-RSMF-BeginDate");
                r.without("X-RSMF-EndDate");
            }),
        ),
        (
            "events-many",
            Rsmf(|r| (9..10_001).for_each(|n| r.event(message(&format!("m{n}"), "c1", "p1", "2026-03-01T12:00:00Z")))),
        ),
        ("event-twice", Rsmf(|r| set(r, "/events/8/id", json!("e7")))),
        ("parent-unknown", Rsmf(|r| set(r, "/events/8/parent", json!("e0")))),
        ("parent-elsewhere", Rsmf(|r| set(r, "/events/8/parent", json!("e1")))),
        ("parent-cycle", Rsmf(|r| set(r, "/events/8/parent", json!("e9")))),
        (
            "replies-without-conversation",
            Rsmf(|r| {
                drop_member(r, "/events/8/conversation");
                set(r, "/events/3/parent", json!("e9"));
                set(r, "/events/5/parent", json!("e9"));
            }),
        ),
        ("edit-too-early", Rsmf(|r| set(r, "/events/3/edits/0/timestamp", json!("2026-03-01T13:00:00.249+01:00")))),
        ("reaction-count", Rsmf(|r| set(r, "/events/0/reactions/0/count", json!(2)))),
        ("file-missing", Rsmf(|r| drop(r.members.remove(0)))),
        ("file-missing", Rsmf(|r| drop(r.members.remove(1)))),
        ("file-missing", Rsmf(|r| drop(r.members.remove(2)))),
        ("attachment-size", Rsmf(|r| set(r, "/events/1/attachments/0/size", json!(6)))),
    ]
}

fn people() -> Vec<Row> {
    vec![
        (
            "participant-twice",
            Rsmf(|r| {
                r.at("/participants").as_array_mut().unwrap().push(json!({"id": "p3"}));
            }),
        ),
        (
            "conversation-twice",
            Rsmf(|r| {
                let again = r.at("/conversations/0").clone();
                r.at("/conversations").as_array_mut().unwrap().push(again);
            }),
        ),
        ("participant-undefined", Rsmf(|r| set(r, "/events/8/participant", json!("p9")))),
        ("participant-undefined", Rsmf(|r| *r.at("/conversations/1/participants") = json!(["p1", "p2", "p9"]))),
        ("participant-undefined", Rsmf(|r| set(r, "/conversations/1/custodian", json!("p9")))),
        ("participant-undefined", Rsmf(|r| *r.at("/events/0/reactions/0/participants") = json!(["p9"]))),
        ("participant-undefined", Rsmf(|r| set(r, "/events/3/edits/0/participant", json!("p9")))),
        ("participant-undefined", Rsmf(|r| set(r, "/events/0/read_receipts/0/participant", json!("p9")))),
        ("conversation-undefined", Rsmf(|r| set(r, "/events/8/conversation", json!("c9")))),
        // Somebody who never came, and somebody who came later.
        ("not-a-member", Rsmf(|r| r.event(message("e10", "c1", "p3", "2026-03-01T12:00:00Z")))),
        (
            "not-a-member",
            Rsmf(|r| {
                set(r, "/events/2/timestamp", json!("2026-03-01T12:10:00Z"));
                r.at("/events").as_array_mut().unwrap().swap(2, 3);
            }),
        ),
        ("custodian-elsewhere", Rsmf(|r| set(r, "/conversations/0/custodian", json!("p3")))),
        ("join-in-direct", Rsmf(|r| set(r, "/events/7/conversation", json!("c1")))),
    ]
}

fn headers() -> Vec<Row> {
    vec![
        ("header-event-count", Rsmf(|r| *r.header("X-RSMF-EventCount") = "8".into())),
        ("header-event-count", Rsmf(|r| *r.header("X-RSMF-EventCount") = "nine".into())),
        ("header-attachment-count", Rsmf(|r| *r.header("X-RSMF-AttachmentCount") = "0".into())),
        ("header-date-offset", Rsmf(|r| *r.header("X-RSMF-BeginDate") = "2026-03-01T09:30:00.000".into())),
        ("header-date", Rsmf(|r| *r.header("X-RSMF-BeginDate") = "2026-03-01T09:30:00Z".into())),
        // The latest text is not the latest time.
        ("header-date", Rsmf(|r| *r.header("X-RSMF-EndDate") = "2026-03-01T13:00:00.250+01:00".into())),
        ("header-participants", Rsmf(|r| *r.header("X-RSMF-Participants") = "Alice Example, Bob, Jr., Chloe".into())),
        ("header-participants", Rsmf(|r| *r.header("X-RSMF-Participants") = "Alice Example, Bob, Jr.".into())),
        ("header-custodian", Rsmf(|r| *r.header("X-RSMF-Custodian") = "Alice".into())),
        ("header-collection", Rsmf(|r| *r.header("X-RSMF-EventCollectionID") = "thread-8".into())),
        ("header-collection", Rsmf(|r| drop_member(r, "/eventcollectionid"))),
    ]
}
