//! Encrypted key files at the command line: where the passphrase comes from, and where it never does.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // a test that panics has failed

mod bench;

use bench::Bench;
use std::fs;

const PHRASE: &str = "correct horse battery";

fn is_age(b: &Bench, file: &str) -> bool {
    fs::read_to_string(b.path().join(file)).unwrap().starts_with("-----BEGIN AGE ENCRYPTED FILE-----")
}

#[test]
fn a_key_is_made_encrypted_used_and_turned_back() {
    let b = Bench::new();
    let file = b.private("passphrase", &format!("{PHRASE}\n"));
    let from = ["--passphrase-file", file.as_str()];
    let made = b.ok(&[&["keygen", "officer", "legal-1", "--out", "legal-1.key", "--encrypt"][..], &from].concat());
    assert!(made.contains("encrypted, mode 0600") && is_age(&b, "legal-1.key"), "{made}");
    // A key in clear is encrypted in its place; what it was is what comes back.
    b.ok(&["keygen", "token-key", "--out", "token.key"]);
    let clear = fs::read(b.path().join("token.key")).unwrap();
    b.ok(&[&["keygen", "encrypt", "token.key"][..], &from].concat());
    assert!(is_age(&b, "token.key"));
    assert!(b.fails(2, &["keygen", "encrypt", "token.key"]).contains("encrypted already"));
    // A token key is needed to make a device's: from a pipe this time.
    let device = ["keygen", "device", "--subject", "ann", "--token-key", "token.key", "--out", "phone.key"];
    let out = b.run_with(&[&device[..], &["--passphrase-fd", "0"]].concat(), &format!("{PHRASE}\n"));
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    b.ok(&[&["keygen", "decrypt", "token.key"][..], &from].concat());
    assert_eq!(fs::read(b.path().join("token.key")).unwrap(), clear);
    assert!(b.fails(2, &["keygen", "decrypt", "token.key"]).contains("is not encrypted"));
}

#[test]
fn without_a_terminal_nobody_is_asked_and_the_flags_are_named() {
    let b = Bench::new();
    let file = b.private("passphrase", &format!("{PHRASE}\n"));
    let digest = b.ceremony();
    b.ok(&["keygen", "encrypt", "admin-1.key", "--passphrase-file", &file]);
    let context = ["context", "add", "acme", "--charter", "charter.json", "--genesis", &digest, "--key", "admin-1.key"];
    for args in [&context[..], &["keygen", "officer", "x", "--out", "x.key", "--encrypt"]] {
        let error = b.fails(2, args);
        assert!(error.contains("--passphrase-file") && error.contains("--passphrase-fd"), "{error}");
    }
    assert!(!b.path().join("x.key").exists());
    let wrong = b.private("wrong", "quite another passphrase\n");
    let error = b.fails(4, &[&context[..], &["--passphrase-file", &wrong]].concat());
    assert!(error.contains("another passphrase"), "{error}");
    let weak = b.private("weak", "short\n");
    let made = ["keygen", "officer", "x", "--out", "x.key", "--encrypt", "--passphrase-file", weak.as_str()];
    assert!(b.fails(2, &made).contains("fewer than 16 characters"));
    let added = b.ok(&[&context[..], &["--passphrase-file", &file]].concat());
    assert!(added.contains("You act as admin-1"), "{added}");
    b.fails(2, &[&context[..], &["--replace", "--passphrase-file", &file, "--passphrase-fd", "0"]].concat());
}

#[test]
fn a_passphrase_that_others_may_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let b = Bench::new();
    let file = b.private("passphrase", &format!("{PHRASE}\n"));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let error = b.fails(2, &["keygen", "officer", "x", "--out", "x.key", "--encrypt", "--passphrase-file", &file]);
    assert!(error.contains("others than its owner can read it"), "{error}");
    assert!(!b.path().join("x.key").exists());
}
