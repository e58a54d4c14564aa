use super::*;
use crate::identity::{Identity, Officer, encrypt_key_file, load_token_key, load_token_key_with, save_token_key};
use escrow_core::TokenKey;
use std::cell::Cell;

const PHRASE: &str = "correct horse battery";

fn phrase(text: &str) -> Arc<Passphrase> {
    Arc::new(Passphrase::new(&Zeroizing::new(text.to_owned())))
}

fn good(_: &Path) -> io::Result<Arc<Passphrase>> {
    Ok(phrase(PHRASE))
}

fn officer() -> Identity {
    Identity::Officer(Officer::generate("legal-1".parse().unwrap(), None))
}

#[test]
fn an_encrypted_key_file_opens_with_its_passphrase_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("k");
    let identity = officer();
    identity.save_new_encrypted(&path, &phrase(PHRASE)).unwrap();
    let on_disk = std::fs::read_to_string(&path).unwrap();
    assert!(on_disk.starts_with("-----BEGIN AGE ENCRYPTED FILE-----") && is_encrypted(&path).unwrap());
    assert!(!on_disk.contains("private"));
    assert_eq!(Identity::load_with(&path, &good).unwrap().public(), identity.public());
    let wrong = |_: &Path| Ok(phrase("correct horse batterx"));
    assert!(matches!(Identity::load_with(&path, &wrong), Err(KeyFileError::DoesNotOpen(_))));
    assert!(matches!(Identity::load(&path), Err(KeyFileError::NoPassphrase { .. })), "nobody was asked");
    assert!(identity.save_new_encrypted(&path, &phrase(PHRASE)).is_err(), "keys are never overwritten");
    let tokens = TokenKey::generate(2);
    let path = dir.path().join("t");
    save_token_key(&tokens, &path, Some(&phrase(PHRASE))).unwrap();
    assert!(matches!(load_token_key(&path), Err(KeyFileError::NoPassphrase { .. })));
    assert_eq!(load_token_key_with(&path, &good).unwrap().subject("x"), tokens.subject("x"));
}

#[test]
fn nobody_is_asked_for_the_passphrase_of_a_file_in_clear() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("k");
    officer().save_new(&path).unwrap();
    let asked = Cell::new(false);
    let ask = |_: &Path| {
        asked.set(true);
        Ok(phrase(PHRASE))
    };
    Identity::load_with(&path, &ask).unwrap();
    assert!(!asked.get());
}

#[test]
fn a_key_file_changes_in_place_and_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("k");
    officer().save_new(&path).unwrap();
    let clear = std::fs::read(&path).unwrap();
    assert!(matches!(decrypt_key_file(&path, &good), Err(KeyFileError::Clear(_))));
    encrypt_key_file(&path, &phrase(PHRASE)).unwrap();
    assert!(matches!(encrypt_key_file(&path, &phrase(PHRASE)), Err(KeyFileError::Encrypted(_))));
    #[cfg(unix)]
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&path).unwrap()) & 0o777, 0o600);
    let sealed = std::fs::read(&path).unwrap();
    assert!(decrypt_key_file(&path, &|_| Ok(phrase("another one entirely"))).is_err());
    assert_eq!(std::fs::read(&path).unwrap(), sealed, "a failure changes nothing");
    decrypt_key_file(&path, &good).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), clear);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left behind");
}

#[test]
fn what_is_no_key_file_is_not_encrypted_and_a_short_passphrase_encrypts_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("k");
    write_private(&path, b"a letter to my bank").unwrap();
    assert!(matches!(encrypt_key_file(&path, &phrase(PHRASE)), Err(KeyFileError::Malformed { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), b"a letter to my bank");
    let path = dir.path().join("short");
    assert!(matches!(officer().save_new_encrypted(&path, &phrase("fifteen chars..")), Err(KeyFileError::Weak)));
    assert!(!path.exists());
}

#[test]
fn an_encrypted_file_that_others_may_read_or_that_is_none_of_ours_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("k");
    officer().save_new_encrypted(&path, &phrase(PHRASE)).unwrap();
    let sealed = std::fs::read_to_string(&path).unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        write_private(&path, bytes).unwrap();
        path
    };
    let cut = file("cut", &sealed.as_bytes()[..sealed.len() / 2]);
    assert!(Identity::load_with(&cut, &good).is_err());
    let recipient = age::x25519::Identity::generate().to_public();
    let to_a_key = file("other", age::encrypt_and_armor(&recipient, b"x").unwrap().as_bytes());
    assert!(matches!(Identity::load_with(&to_a_key, &good), Err(KeyFileError::OtherAge { .. })));
    // A cost that nobody would pay is refused before it is paid.
    let header = "age-encryption.org/v1\n-> scrypt AAAAAAAAAAAAAAAAAAAAAA 40\n";
    let stanza = format!("{}\n--- {}\n", "A".repeat(43), "A".repeat(43));
    let dear = file("dear", &[header.as_bytes(), stanza.as_bytes(), &[0; 32]].concat());
    assert!(matches!(Identity::load_with(&dear, &good), Err(KeyFileError::OtherAge { .. })));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Identity::load_with(&path, &good), Err(KeyFileError::Exposed(_))));
    }
}

#[test]
fn a_passphrase_is_the_first_line_and_is_never_printed() {
    let read = |text: &str| Passphrase::from_reader(text.as_bytes());
    for text in ["secret words here\n", "secret words here\r\nmore", "secret words here"] {
        assert!(read(text).unwrap().same(&phrase("secret words here")));
    }
    for bad in ["", "\n", "\nsecond line", &"x".repeat(1025)] {
        assert_eq!(read(bad).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
    assert!(!format!("{:?}", phrase("secret words here")).contains("secret"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p");
        write_private(&path, b"secret words here\n").unwrap();
        assert!(Passphrase::read(&path).unwrap().same(&phrase("secret words here")));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o604)).unwrap();
        assert_eq!(Passphrase::read(&path).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }
}
