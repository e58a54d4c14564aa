use super::*;
use crate::archive::{SealOptions, prepare};
use escrow_core::TokenKey;
use zeroize::Zeroizing;

/// The file has the digest when the folder is read, and not when it is sealed.
#[test]
fn a_file_that_changes_meanwhile_is_not_sealed() {
    let dir = tempfile::tempdir().unwrap();
    let (target, file) = (dir.path().join("sealed"), dir.path().join("file"));
    let named = format!(r#"{{"name":"a","media_type":"a/b","size":5,"sha256":"{}"}}"#, Digest::of(b"words"));
    let line = format!(
        r#"{{"v":2,"thread":"t","message_id":"m","sender":"s","sent_at":"2018-05-05T12:00:00Z","text":"","attachments":[{named}]}}"#
    );
    let (org, tokens) = ("acme.example".parse().unwrap(), TokenKey::from_bytes(1, Zeroizing::new([7; 32])));
    let options = SealOptions { dir: &target, org: &org, tokens: &tokens, era: 0, inside: &|_| true };
    let prepared = prepare(line.as_bytes(), &options).unwrap();
    let segment = &prepared.archive().segments[0];
    let wanted = &segment.wanted[0];
    let mut found = Found::default();
    found.by_digest.insert(wanted.sha256, (file.clone(), 5));
    let folder = dir.path().join(FOLDER);
    let name = attachment_file(&segment.key, &segment.about, &wanted.sha256);
    for (now, fits) in [("sword", false), ("words and more", false), ("", false), ("words", true)] {
        fs::write(&file, now).unwrap();
        let outcome = seal_one(dir.path(), &name, segment, wanted, &found).unwrap();
        assert_eq!(outcome.is_ok(), fits, "{now}");
        assert!(fits || matches!(outcome, Err(AttachmentFault::Changed)), "{outcome:?}");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), usize::from(fits), "no part of it stays behind");
    }
}
