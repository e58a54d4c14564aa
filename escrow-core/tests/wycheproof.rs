//! Wycheproof: every published attack vector gives its published result through our functions, or
//! is refused by a stricter rule that has a name here. The exact numbers are pinned, so that a
//! shrunken vector set or a rule that grew cannot pass unseen.
//!
//! AES-GCM and HKDF have no function of ours that takes a nonce or an output length, so there the
//! primitive is called exactly as `wrap.rs` configures it. The DER set of ECDSA is left out: no
//! DER signature enters anywhere, the only accepted form is 64 bytes r || s (`key.rs`).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test that panics has failed

mod common;

use aes_gcm::aead::{Aead as _, Payload};
use aes_gcm::{Aes256Gcm, KeyInit as _};
use common::b64;
use escrow_core::PublicKey;
use hkdf::Hkdf;
use sha2::Sha256;
use wycheproof::TestResult;
use wycheproof::{aead, ecdsa, eddsa, hkdf as hkdf_vectors};

/// How many vectors came out in which way.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    /// Published as valid, accepted.
    valid: usize,
    /// Published as invalid, refused.
    invalid: usize,
    /// Published as valid, refused by our named stricter rule.
    stricter: usize,
}

#[test]
fn aes_256_gcm_with_96_bit_nonce_and_128_bit_tag() {
    let set = aead::TestSet::load(aead::TestName::AesGcm).unwrap();
    let mut tally = Tally::default();
    let ours = |g: &&aead::TestGroup| g.key_size == 256 && g.nonce_size == 96 && g.tag_size == 128;
    for (group, test) in set.test_groups.iter().filter(ours).flat_map(|g| g.tests.iter().map(move |t| (g, t))) {
        assert_eq!(group.key_size, test.key.len() * 8);
        let key: &[u8; 32] = test.key[..].try_into().unwrap();
        let nonce: &[u8; 12] = test.nonce[..].try_into().unwrap();
        let cipher = Aes256Gcm::new(key.into());
        let sealed = [&test.ct[..], &test.tag[..]].concat();
        let opened = cipher.decrypt(nonce.into(), Payload { msg: &sealed, aad: &test.aad });
        match test.result {
            TestResult::Valid => {
                assert_eq!(opened.as_deref(), Ok(&test.pt[..]), "case {}", test.tc_id);
                let again = cipher.encrypt(nonce.into(), Payload { msg: &test.pt, aad: &test.aad }).unwrap();
                assert_eq!(again, sealed, "case {}", test.tc_id);
                tally.valid += 1;
            }
            TestResult::Invalid => {
                assert!(opened.is_err(), "case {}: {}", test.tc_id, test.comment);
                tally.invalid += 1;
            }
            TestResult::Acceptable => panic!("case {}: no policy for acceptable vectors", test.tc_id),
        }
    }
    assert_eq!(tally, Tally { valid: 39, invalid: 27, stricter: 0 });
}

#[test]
fn hkdf_sha256() {
    let set = hkdf_vectors::TestSet::load(hkdf_vectors::TestName::HkdfSha256).unwrap();
    let mut tally = Tally::default();
    for test in set.test_groups.iter().flat_map(|g| &g.tests) {
        let mut okm = vec![0u8; test.size];
        let expanded = Hkdf::<Sha256>::new(Some(&test.salt), &test.ikm).expand(&test.info, &mut okm);
        match test.result {
            TestResult::Valid => {
                assert!(expanded.is_ok(), "case {}", test.tc_id);
                assert_eq!(okm, test.okm[..], "case {}", test.tc_id);
                tally.valid += 1;
            }
            TestResult::Invalid => {
                assert!(expanded.is_err(), "case {}: {}", test.tc_id, test.comment);
                tally.invalid += 1;
            }
            TestResult::Acceptable => panic!("case {}: no policy for acceptable vectors", test.tc_id),
        }
    }
    assert_eq!(tally, Tally { valid: 83, invalid: 3, stricter: 0 });
}

/// Half the order of P-256, rounded down: the largest low S.
const HALF_ORDER: [u8; 32] = [
    0x7f, 0xff, 0xff, 0xff, 0x80, 0x00, 0x00, 0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xde, 0x73, 0x7d,
    0x56, 0xd3, 0x8b, 0xcf, 0x42, 0x79, 0xdc, 0xe5, 0x61, 0x7e, 0x31, 0x92, 0xa8,
];

/// Our stricter rule "low S only": s above half the order is refused, though ECDSA allows it.
fn low_s_only(signature: &[u8]) -> bool {
    signature.len() == 64 && signature[32..] <= HALF_ORDER[..]
}

#[test]
fn ecdsa_p256_sha256_p1363_with_the_stricter_rule_low_s_only() {
    let set = ecdsa::TestSet::load(ecdsa::TestName::EcdsaSecp256r1Sha256P1363).unwrap();
    let mut tally = Tally::default();
    let mut twins = 0;
    for group in &set.test_groups {
        let key: PublicKey = format!("es256:{}", b64(&group.key.key)).parse().unwrap();
        for test in &group.tests {
            let accepted = key.verifies(&test.msg, &test.sig);
            match test.result {
                TestResult::Valid if low_s_only(&test.sig) => {
                    assert!(accepted, "case {}: {}", test.tc_id, test.comment);
                    tally.valid += 1;
                }
                TestResult::Valid => {
                    assert!(!accepted, "case {}: high S accepted", test.tc_id);
                    // Nothing but the rule is in the way: the low twin of the same signature passes.
                    let high = p256::ecdsa::Signature::from_slice(&test.sig).unwrap();
                    assert!(key.verifies(&test.msg, &high.normalize_s().to_bytes()), "case {}", test.tc_id);
                    twins += 1;
                    tally.stricter += 1;
                }
                TestResult::Invalid => {
                    assert!(!accepted, "case {}: {}", test.tc_id, test.comment);
                    tally.invalid += 1;
                }
                TestResult::Acceptable => panic!("case {}: no policy for acceptable vectors", test.tc_id),
            }
        }
    }
    assert_eq!(tally, Tally { valid: 103, invalid: 89, stricter: 70 });
    assert_eq!(twins, tally.stricter);
}

#[test]
fn ed25519_verify_strict() {
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    let mut tally = Tally::default();
    for group in &set.test_groups {
        let key: PublicKey = format!("ed25519:{}", b64(&group.key.pk)).parse().unwrap();
        for test in &group.tests {
            let accepted = key.verifies(&test.msg, &test.sig);
            match test.result {
                TestResult::Valid => {
                    assert!(accepted, "case {}: {}", test.tc_id, test.comment);
                    tally.valid += 1;
                }
                TestResult::Invalid => {
                    assert!(!accepted, "case {}: {}", test.tc_id, test.comment);
                    tally.invalid += 1;
                }
                TestResult::Acceptable => panic!("case {}: no policy for acceptable vectors", test.tc_id),
            }
        }
    }
    assert_eq!(tally, Tally { valid: 88, invalid: 63, stricter: 0 });
}
