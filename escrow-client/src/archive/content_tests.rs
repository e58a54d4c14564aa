use super::*;
use crate::archive::Message;
use proptest::prelude::*;

const DIGEST: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A line of version 2 with these members beside the five of every line.
fn line(members: &str) -> String {
    format!(
        r#"{{"thread":"t","message_id":"m","sender":"s","sent_at":"2018-05-05T21:01:14Z","text":"","v":2,{members}}}"#
    )
}

fn parse(line: &str) -> Result<Content, MessageError> {
    Content::parse(&Message::parse(line.as_bytes(), 7).unwrap())
}

fn kind(members: &str) -> ContentKind {
    parse(&line(members)).unwrap().kind
}

#[track_caller]
fn refused(line: &str, words: &str) {
    let error = parse(line).unwrap_err().to_string();
    assert!(error.starts_with("line 7: ") && error.contains(words), "{line}: {error}");
    assert!(error.ends_with("correct the line and seal again"), "{error}");
    // What an older program sealed is read all the same, as version 1, and the fault is told.
    let message = Message::parse(line.as_bytes(), 7).unwrap();
    let (content, fault) = Content::read(&message);
    assert_eq!(fault.unwrap().to_string(), error);
    assert_eq!(content, Content::of_version_1(content.text.clone()));
}

fn attachment(members: &str) -> String {
    line(&format!(r#""attachments":[{{{members}}}]"#))
}

#[test]
fn a_line_without_v_is_a_message_whatever_else_it_has() {
    let odd =
        r#"{"thread":"t","message_id":"m","sender":"s","sent_at":"2018-05-05T21:01:14Z","text":"\ud83d\ude00 \ud83d x",
        "type":5,"type":"edit","attachments":null,"seq":0}"#
            .replace('\n', "");
    let content = parse(&odd).unwrap();
    assert_eq!(content, Content::of_version_1("\u{1f600} \u{fffd} x".into()));
    assert_eq!((content.kind.name(), content.kind.target(), content.people().count()), ("message", None, 0));
}

#[test]
fn every_type_is_read_with_its_members() {
    let target = || "a".to_owned();
    assert_eq!(kind(r#""x":1"#), ContentKind::Message { reply_to: None, attachments: vec![], high: false });
    assert_eq!(
        kind(r#""type":"message","reply_to":"a","importance":"high""#),
        ContentKind::Message { reply_to: Some(target()), attachments: vec![], high: true }
    );
    assert_eq!(
        kind(r#""importance":"normal""#),
        ContentKind::Message { reply_to: None, attachments: vec![], high: false }
    );
    assert_eq!(kind(r#""type":"edit","target":"a""#), ContentKind::Edit { target: target(), attachments: vec![] });
    assert_eq!(kind(r#""type":"deletion","target":"a""#), ContentKind::Deletion { target: target() });
    assert_eq!(
        kind(r#""type":"reaction","target":"a","value":"\ud83d\ude00""#),
        ContentKind::Reaction { target: target(), value: "\u{1f600}".into(), removed: false }
    );
    assert_eq!(
        kind(r#""type":"reaction","target":"a","value":"x","removed":true"#),
        ContentKind::Reaction { target: target(), value: "x".into(), removed: true }
    );
    for (word, action) in [("read", ReceiptAction::Read), ("delivered", ReceiptAction::Delivered)] {
        let members = format!(r#""type":"receipt","target":"a","action":"{word}""#);
        assert_eq!(kind(&members), ContentKind::Receipt { target: target(), action });
    }
    assert_eq!(kind(r#""type":"join","member":"b""#), ContentKind::Join { member: "b".into() });
    assert_eq!(kind(r#""type":"leave","member":"b""#), ContentKind::Leave { member: "b".into() });
    for (word, expected) in [
        ("rename", ContentKind::Rename),
        ("notice", ContentKind::Notice),
        ("undecryptable", ContentKind::Undecryptable),
    ] {
        let line = line(&format!(r#""type":"{word}""#)).replace(r#""text":"""#, r#""text":"words""#);
        let content = parse(&line).unwrap();
        assert_eq!((content.kind.name(), content.text.as_str()), (word, "words"));
        assert_eq!(content.kind, expected);
    }
}

#[test]
fn what_stands_on_all_lines_is_read_on_all_lines() {
    let all = r#""type":"leave","member":"b","seq":18446744073709551615,"epoch":0,
        "conversation":{"kind":"group","name":"Lunch \u00e9","members":["b","c"],"platform":"RCS","icon":null}"#;
    let content = parse(&line(&all.replace('\n', ""))).unwrap();
    assert_eq!((content.seq, content.epoch), (Some(u64::MAX), Some(0)));
    assert_eq!(content.people().collect::<Vec<_>>(), ["b", "b", "c"]);
    let c = content.conversation.unwrap();
    assert_eq!(
        (c.kind, c.name.as_deref(), c.platform.as_deref()),
        (Some(ConversationKind::Group), Some("Lunch é"), Some("RCS"))
    );
    let c = parse(&line(r#""conversation":{}"#)).unwrap().conversation.unwrap();
    assert_eq!(c, ConversationInfo { kind: None, name: None, members: None, platform: None });
}

#[test]
fn attachments_are_read_and_nothing_of_them_is_printed() {
    let members = format!(r#""name":"a b.pdf","media_type":"text/plain; charset=utf-8","size":0,"sha256":"{DIGEST}""#);
    let content = parse(&attachment(&members)).unwrap();
    let [a] = content.kind.attachments() else { panic!("one") };
    assert_eq!((a.name.as_str(), a.media_type.as_str(), a.size), ("a b.pdf", "text/plain; charset=utf-8", 0));
    assert_eq!(a.sha256, Digest::of(b""));
    assert!(!format!("{content:?} {:?} {a:?}", content.kind).contains("pdf"));
    let many = |n: usize| line(&format!(r#""attachments":[{}]"#, vec![format!("{{{members}}}"); n].join(",")));
    assert_eq!(parse(&many(100)).unwrap().kind.attachments().len(), 100);
    refused(&many(101), "`attachments` must be at most 100");
}

#[test]
fn every_fault_of_version_2_names_line_member_and_remedy() {
    for (v, words) in [
        ("1", "`v` must be 2"),
        ("3", "`v` must be 2"),
        ("2.0", "`v` must"),
        ("\"2\"", "`v` must"),
        ("null", "`v` must"),
        ("2,\"v\":2", "`v` is there twice"),
    ] {
        refused(&line(r#""x":1"#).replace("\"v\":2", &format!("\"v\":{v}")), words);
    }
    for (members, words) in [
        (r#""type":"poll""#, "`type` must be message, edit,"),
        (r#""type":{"message":null}"#, "`type` must be message, edit,"),
        (r#""type":"edit""#, "`target` is missing"),
        (r#""type":"deletion","target":"""#, "`target` must be a string of 1 to 256 bytes"),
        (r#""type":"deletion","target":"\ud800""#, "`target` must be a string of 1 to 256 bytes"),
        (r#""type":"deletion","target":null"#, "`target` must be a string"),
        (r#""type":"deletion","target":"a","t\u0061rget":"a""#, "`target` is there twice"),
        (r#""type":"reaction","target":"a""#, "`value` is missing"),
        (r#""type":"reaction","target":"a","value":"""#, "`value` must be a string of 1 to 64 bytes"),
        (r#""type":"reaction","target":"a","value":"x","removed":1"#, "`removed` must be true or false"),
        (r#""type":"receipt","target":"a""#, "`action` is missing"),
        (r#""type":"receipt","target":"a","action":"seen""#, "`action` must be read or delivered"),
        (r#""type":"join""#, "`member` is missing"),
        (r#""importance":"urgent""#, "`importance` must be normal or high"),
        (r#""seq":0"#, "`seq` counts from 1"),
        (r#""seq":-1"#, "`seq` must be a whole number"),
        (r#""epoch":1.5"#, "`epoch` must be a whole number"),
        (r#""epoch":18446744073709551616"#, "`epoch` must be a whole number"),
        (r#""target":"a""#, "`target` does not belong on a line of this type"),
        (r#""type":"edit","target":"a","reply_to":"b""#, "`reply_to` does not belong"),
        (r#""type":"notice","importance":"high""#, "`importance` does not belong"),
        (r#""type":"deletion","target":"a","attachments":[]"#, "`attachments` does not belong"),
        (r#""conversation":["group"]"#, "`conversation` must be an object"),
        (r#""conversation":{"kind":"party"}"#, "`conversation` needs a kind"),
        (r#""conversation":{"name":null}"#, "`conversation` must be an object"),
        (r#""conversation":{"name":"a","name":"b"}"#, "`conversation` must be an object"),
        (r#""conversation":{"members":["a",""]}"#, "`conversation` needs members of 1 to 256 bytes"),
        (r#""attachments":{}"#, "`attachments` must be an array"),
        (r#""attachments":[["a","a/b",1,"e3"]]"#, "`attachments` must be an array of objects"),
    ] {
        refused(&line(members), words);
    }
    for word in ["deletion", "reaction", "receipt", "join", "leave"] {
        let line = line(&format!(r#""type":"{word}""#)).replace(r#""text":"""#, r#""text":"x""#);
        refused(&line, "`text` must be empty on a line of this type");
    }
    let long = "x".repeat(65);
    refused(
        &line(&format!(r#""type":"reaction","target":"a","value":"{long}""#)),
        "`value` must be a string of 1 to 64",
    );
}

#[test]
fn every_fault_of_an_attachment_is_refused() {
    let good = format!(r#""name":"a","media_type":"a/b","size":1,"sha256":"{DIGEST}""#);
    assert!(parse(&attachment(&good)).is_ok());
    let name = "need names of 1 to 255 bytes";
    let media = "need media types";
    let (long, fits) = ("n".repeat(256), "n".repeat(255));
    for (from, to, words) in [
        (r#""name":"a""#, r#""name":"""#.to_owned(), name),
        (r#""name":"a""#, format!(r#""name":"{long}""#), name),
        (r#""name":"a""#, r#""name":"../a""#.to_owned(), name),
        (r#""name":"a""#, r#""name":"a\\b""#.to_owned(), name),
        (r#""name":"a""#, r#""name":"a\u0000""#.to_owned(), name),
        (r#""name":"a""#, r#""name":"a\u0085""#.to_owned(), name),
        (r#""name":"a","#, String::new(), "must be an array of objects"),
        ("a/b", "ab".to_owned(), media),
        ("a/b", "/b".to_owned(), media),
        ("a/b", "a/b c".to_owned(), media),
        ("a/b", "a/b;\\u0007".to_owned(), media),
        (r#""size":1"#, r#""size":-1"#.to_owned(), "must be an array of objects"),
        (r#""size":1"#, r#""size":"1""#.to_owned(), "must be an array of objects"),
        (r#""size":1"#, r#""size":1,"size":1"#.to_owned(), "must be an array of objects"),
        (DIGEST, DIGEST.to_uppercase(), "must be an array of objects"),
        (DIGEST, "e3".to_owned(), "must be an array of objects"),
    ] {
        let bad = good.replacen(from, &to, 1);
        assert_ne!(bad, good);
        refused(&attachment(&bad), words);
    }
    assert!(parse(&attachment(&good.replace(r#""name":"a""#, &format!(r#""name":"{fits}""#)))).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever `Message` takes, an exporter can read, and keeps the text of.
    #[test]
    fn reading_never_fails(text in any::<String>(), members in "[ -~é]{0,40}", v in prop_oneof!["2", "1", "\\{\\}", "\"2\""]) {
        let text = serde_json::to_string(&text).unwrap();
        let line = format!(
            r#"{{"v":{v},"type":"{}","thread":"t","message_id":"m","sender":"s","sent_at":"2018-05-05T21:01:14Z","text":{text}}}"#,
            members.replace(['"', '\\'], "")
        );
        let message = Message::parse(line.as_bytes(), 1).unwrap();
        let (content, fault) = Content::read(&message);
        prop_assert_eq!(serde_json::to_string(&content.text).unwrap(), text);
        prop_assert_eq!(fault.is_some(), Content::parse(&message).is_err());
    }
}
