//! Key wrap: what it binds, and what makes it refuse.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test that panics has failed

mod common;

use common::{about, at, d, header, nonce, subject, thread, thread_key, w};
use escrow_core::consent::PolicyRef;
use escrow_core::deal::{About, Deal, KeySource, Participant};
use escrow_core::sharing::Secret;
use escrow_core::wrap::{UnwrapError, WRAPPED_BYTES, unwrap, wrap};
use escrow_core::{Blob, Digest, ThreadKey};
use std::collections::BTreeSet;

const KEY: u8 = 0x4b;

/// A wrapped key with everything that opens it.
struct Wrapped {
    secret: Secret,
    deal: Deal,
    about: About,
    bytes: Vec<u8>,
    check: Digest,
}

fn wrapped() -> Wrapped {
    let (secret, deal, about) = (Secret::random(), header(3, 5), about(7));
    let context = deal.item_context(2, &about);
    let (bytes, check) = wrap(&secret, &deal.nonce, &context, &thread_key(KEY));
    Wrapped { secret, deal, about, bytes, check }
}

impl Wrapped {
    fn context(&self) -> Vec<u8> {
        self.deal.item_context(2, &self.about)
    }

    fn open(&self, context: &[u8], check: &Digest, bytes: &[u8]) -> Result<[u8; 32], UnwrapError> {
        unwrap(&self.secret, &self.deal.nonce, context, check, bytes).map(|k| *k.expose())
    }
}

#[test]
fn what_is_wrapped_unwraps() {
    let x = wrapped();
    assert_eq!(x.bytes.len(), WRAPPED_BYTES);
    assert_eq!(x.open(&x.context(), &x.check, &x.bytes), Ok([KEY; 32]));
    assert_eq!(format!("{:?}", thread_key(KEY)), "ThreadKey(redacted)");
}

#[test]
fn wrapping_twice_gives_another_ciphertext_and_the_same_key_check() {
    let x = wrapped();
    let (again, check) = wrap(&x.secret, &x.deal.nonce, &x.context(), &thread_key(KEY));
    assert_eq!(check, x.check, "the check names the KEK, not the wrapping");
    assert_ne!(again[..12], x.bytes[..12], "nonce");
    assert_ne!(again[12..], x.bytes[12..], "ciphertext");
    assert_ne!(ThreadKey::generate().expose(), ThreadKey::generate().expose());
}

/// A change of one field of the deal header or of what is said about the item.
type Change = fn(&mut Deal, &mut About);

/// Every member of Deal and About that the item context holds, with each way to change it alone.
fn changes() -> Vec<(&'static str, &'static str, Change)> {
    vec![
        ("org", "another", |h, _| h.org = w("acme.examplf")),
        ("nonce", "another", |h, _| h.nonce = nonce(0xd2)),
        ("generation", "the next", |h, _| h.generation += 1),
        ("t", "one less", |h, _| h.t -= 1),
        ("n", "one more", |h, _| h.n += 1),
        ("consent", "another", |h, _| h.consent = d(0xc1)),
        ("policies", "another id", |h, _| h.policies[1].id = w("lost-devicf")),
        ("policies", "another digest", |h, _| h.policies[1].digest = d(0x22)),
        ("policies", "one more", |h, _| h.policies.push(PolicyRef { id: w("zeta"), digest: d(0x23) })),
        ("policies", "one less", |h, _| h.policies.truncate(1)),
        ("policies", "none", |h, _| h.policies.clear()),
        ("depositor", "another", |h, _| h.depositor = subject("bob")),
        ("depositor", "another version", |h, _| h.depositor.version = 2),
        ("source", "megolm", |_, a| a.source = KeySource::Megolm),
        ("source", "content key", |_, a| a.source = KeySource::ContentKey),
        ("thread", "another", |_, a| a.thread = thread("random")),
        ("era", "the next", |_, a| a.era += 1),
        ("epoch", "the next", |_, a| a.epoch += 1),
        ("epoch", "exchanged with the era", |_, a| std::mem::swap(&mut a.era, &mut a.epoch)),
        ("authenticator", "one bit", |_, a| a.authenticator.0[31] ^= 1),
        ("authenticator", "one byte shorter", |_, a| a.authenticator.0.truncate(31)),
        ("authenticator", "none", |_, a| a.authenticator = Blob::default()),
        ("from", "a second later", |_, a| a.from = at(1)),
        ("to", "a second later", |_, a| a.to = at(3601)),
        ("to", "exchanged with from", |_, a| std::mem::swap(&mut a.from, &mut a.to)),
        ("archive", "another", |_, a| a.archive = Some(d(0xa8))),
        ("archive", "none", |_, a| a.archive = None),
        ("participants", "another token", |_, a| a.participants[1].token = subject("carol")),
        ("participants", "the other side", |_, a| a.participants[1].inside = !a.participants[1].inside),
        ("participants", "one less", |_, a| a.participants.truncate(1)),
        ("participants", "one more", |_, a| {
            a.participants.push(Participant { token: subject("carol"), inside: false })
        }),
        ("participants", "exchanged", |_, a| a.participants.reverse()),
    ]
}

#[test]
fn every_field_of_the_item_context_is_bound() {
    let x = wrapped();
    let mut contexts = BTreeSet::from([x.context()]);
    for (member, how, change) in changes() {
        let (mut deal, mut about) = (x.deal.clone(), x.about.clone());
        change(&mut deal, &mut about);
        let context = deal.item_context(2, &about);
        assert!(contexts.insert(context.clone()), "{member}, {how}: the context is one that was there before");
        assert_eq!(x.open(&context, &x.check, &x.bytes), Err(UnwrapError::KeyCheck), "{member}, {how}");
        // The deal nonce is also the salt: with the changed header it must fail as well.
        let whole = unwrap(&x.secret, &deal.nonce, &context, &x.check, &x.bytes).map(|k| *k.expose());
        assert_eq!(whole, Err(UnwrapError::KeyCheck), "{member}, {how}, with its own salt");
    }
    for position in [0, 1, 3, u32::MAX] {
        let context = x.deal.item_context(position, &x.about);
        assert!(contexts.insert(context.clone()), "position {position}");
        assert_eq!(x.open(&context, &x.check, &x.bytes), Err(UnwrapError::KeyCheck), "position {position}");
    }
}

#[test]
fn the_table_of_changes_names_every_member_that_is_bound() {
    // A new member of Deal or About must be bound, and get a line in the table above.
    let x = wrapped();
    let members = |v: serde_json::Value| v.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let mut all = members(serde_json::to_value(&x.deal).unwrap());
    all.extend(members(serde_json::to_value(&x.about).unwrap()));
    assert!(all.remove("items"), "the items are bound one by one");
    let changed: BTreeSet<String> = changes().iter().map(|(member, _, _)| (*member).to_owned()).collect();
    assert_eq!(changed, all);
}

#[test]
fn the_salt_alone_is_bound() {
    let x = wrapped();
    let other_salt = unwrap(&x.secret, &nonce(0xd2), &x.context(), &x.check, &x.bytes).map(|k| *k.expose());
    assert_eq!(other_salt, Err(UnwrapError::KeyCheck));
}

#[test]
fn every_flipped_bit_of_the_wrapped_key_is_refused() {
    let x = wrapped();
    for byte in 0..WRAPPED_BYTES {
        for bit in [0x01, 0x80] {
            let mut bad = x.bytes.clone();
            bad[byte] ^= bit;
            assert_eq!(x.open(&x.context(), &x.check, &bad), Err(UnwrapError::Ciphertext), "byte {byte}");
        }
    }
}

#[test]
fn a_wrapped_key_of_another_length_is_refused() {
    let x = wrapped();
    for length in [0, 11, 12, 27, 28, WRAPPED_BYTES - 1] {
        assert_eq!(x.open(&x.context(), &x.check, &x.bytes[..length]), Err(UnwrapError::Ciphertext), "{length} bytes");
    }
    let longer = [&x.bytes[..], &[0]].concat();
    assert_eq!(x.open(&x.context(), &x.check, &longer), Err(UnwrapError::Ciphertext));
}

#[test]
fn a_ciphertext_that_opens_to_another_length_is_refused() {
    use aes_gcm::aead::{Aead as _, Payload};
    use aes_gcm::{Aes256Gcm, KeyInit as _};
    // A hostile depositor knows s, hence the KEK, and can seal anything under it.
    let x = wrapped();
    let kek = kek_of(&x.secret, &x.deal.nonce.0, &x.context());
    for length in [31usize, 33, 0] {
        let sealed = Aes256Gcm::new((&kek).into())
            .encrypt((&[9u8; 12]).into(), Payload { msg: &vec![1; length], aad: &x.context() })
            .unwrap();
        let bytes = [&[9u8; 12][..], &sealed].concat();
        assert_eq!(x.open(&x.context(), &x.check, &bytes), Err(UnwrapError::Ciphertext), "{length} bytes inside");
    }
    let sealed = Aes256Gcm::new((&kek).into())
        .encrypt((&[9u8; 12]).into(), Payload { msg: &[5; 32], aad: &x.context() })
        .unwrap();
    assert_eq!(x.open(&x.context(), &x.check, &[&[9u8; 12][..], &sealed].concat()), Ok([5; 32]), "the KEK was right");
}

/// The KEK as `docs/protocol.md` defines it, computed without `wrap.rs`.
fn kek_of(secret: &Secret, salt: &[u8], context: &[u8]) -> [u8; 32] {
    let label = b"escrow/v1/kek";
    let info =
        [&(label.len() as u64).to_be_bytes()[..], label, &(context.len() as u64).to_be_bytes()[..], context].concat();
    let mut kek = [0u8; 32];
    hkdf::Hkdf::<sha2::Sha256>::new(Some(salt), secret.to_bytes().as_slice()).expand(&info, &mut kek).unwrap();
    kek
}

#[test]
fn a_flipped_key_check_is_refused_before_anything_is_decrypted() {
    let x = wrapped();
    for byte in 0..32 {
        let mut check = x.check;
        check.0[byte] ^= 1;
        assert_eq!(x.open(&x.context(), &check, &x.bytes), Err(UnwrapError::KeyCheck), "byte {byte}");
        // With a broken ciphertext as well, the key check still speaks first.
        assert_eq!(x.open(&x.context(), &check, &[]), Err(UnwrapError::KeyCheck), "byte {byte}");
    }
}

#[test]
fn salamander_no_other_secret_passes_the_key_check() {
    // AES-GCM alone lets one ciphertext open under two keys; the key check admits one secret.
    let x = wrapped();
    let mut near: Vec<[u8; 32]> = (0..64).map(|_| *Secret::random().to_bytes()).collect();
    for byte in 0..32 {
        let mut flipped = *x.secret.to_bytes();
        flipped[byte] ^= 1;
        near.push(flipped);
    }
    near.push([0; 32]);
    let mut tried = 0;
    for bytes in near {
        // A flip in the first bytes can leave the field; such bytes are no secret at all.
        let Ok(other) = Secret::from_bytes(&bytes) else { continue };
        let opened = unwrap(&other, &x.deal.nonce, &x.context(), &x.check, &x.bytes).map(|k| *k.expose());
        assert_eq!(opened, Err(UnwrapError::KeyCheck));
        tried += 1;
    }
    assert!(tried >= 90, "{tried} other secrets tried");
}
