//! Pedersen sharing: the published constants, independent implementations, every strict rule by
//! its name, and every trap of vsss-rs shown open there and closed here.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test that panics has failed

mod common;

use ark_ff::{BigInteger as _, PrimeField as _};
use common::seat;
use escrow_core::SeatIndex;
use escrow_core::sharing::{self, Commitments, H_DST, H_MESSAGE, POINT_BYTES, Secret, Share, SharingError};
use p256::elliptic_curve::ff::{Field as _, PrimeField as _};
use p256::elliptic_curve::group::{Group as _, GroupEncoding as _};
use p256::elliptic_curve::sec1::{FromSec1Point as _, ToSec1Point as _};
use p256::hash2curve::{GroupDigest as _, MapToCurve};
use p256::{AffinePoint, FieldBytes, NistP256, ProjectivePoint, Scalar, Sec1Point};
use proptest::prelude::*;
use proptest::sample::subsequence;
use secret_sharing_and_dkg::common::{Share as ArkShare, Shares as ArkShares};
use secret_sharing_and_dkg::shamir_ss;
use sha2::{Digest as _, Sha256};
use vsss_rs::{
    DefaultShare, IdentifierPrimeField, Pedersen as _, PedersenResult as _, PedersenVerifierSet, ReadableShareSet as _,
    ShareElement as _, StdVsss, ValueGroup, pedersen::PedersenOptions, shamir,
};

type VField = IdentifierPrimeField<Scalar>;
type VShare = DefaultShare<VField, VField>;
type VPoint = ValueGroup<ProjectivePoint>;
type Vsss = StdVsss<VShare, VPoint>;

// ---- helpers that use p256 directly, never the code under test ----

fn hex32(text: &str) -> [u8; 32] {
    hex::decode(text).unwrap().try_into().unwrap()
}

fn scalar(bytes: [u8; 32]) -> Scalar {
    Scalar::from_repr(bytes.into()).unwrap()
}

fn bytes(s: &Scalar) -> [u8; 32] {
    s.to_repr().into()
}

fn random_scalar() -> Scalar {
    Scalar::random(&mut escrow_core::random::rng())
}

fn random_poly(t: usize) -> Vec<Scalar> {
    (0..t).map(|_| random_scalar()).collect()
}

fn eval(coefficients: &[Scalar], x: u8) -> Scalar {
    let x = Scalar::from(u64::from(x));
    coefficients.iter().rev().fold(Scalar::ZERO, |acc, c| acc * x + c)
}

fn uncompressed(p: &ProjectivePoint) -> Vec<u8> {
    p.to_affine().to_sec1_point(false).as_bytes().to_vec()
}

/// Commitments `f_j*G + r_j*H` of two chosen polynomials, as they travel.
fn commit(f: &[Scalar], r: &[Scalar]) -> Vec<u8> {
    f.iter().zip(r).flat_map(|(f, r)| uncompressed(&(ProjectivePoint::GENERATOR * f + sharing::h() * r))).collect()
}

fn share(index: u8, value: &Scalar, blinding: &Scalar) -> Share {
    Share::from_bytes(seat(index), &[bytes(value), bytes(blinding)].concat()).unwrap()
}

fn seats(n: u8) -> Vec<SeatIndex> {
    (1..=n).map(seat).collect()
}

fn value_and_blinding(s: &Share) -> (Scalar, Scalar) {
    let b = s.to_bytes();
    (scalar(b[..32].try_into().unwrap()), scalar(b[32..].try_into().unwrap()))
}

fn field(n: u64) -> VField {
    IdentifierPrimeField(Scalar::from(n))
}

// ---- the second generator ----

const H_COMPRESSED: &str = "0221027a5c10dc6dfafffaa5b62f314ea7b19154ccb295139841c990e298e55ea4";

#[test]
fn h_is_the_published_point() {
    assert_eq!(hex::encode(sharing::h().to_affine().to_sec1_point(true).as_bytes()), H_COMPRESSED);
    assert_ne!(sharing::h(), ProjectivePoint::GENERATOR);
    assert_ne!(sharing::h(), ProjectivePoint::IDENTITY);
}

type Fe = <NistP256 as MapToCurve>::FieldElement;

fn fe(bytes: [u8; 32]) -> Fe {
    Fe::from_repr(FieldBytes::from(bytes)).unwrap()
}

/// RFC 9380 section 5.3.1, with SHA-256, for up to 255 blocks.
fn expand_message_xmd(msg: &[u8], dst: &[u8], len: u16) -> Vec<u8> {
    let dst_prime = [dst, &[u8::try_from(dst.len()).unwrap()]].concat();
    let b0 = Sha256::new()
        .chain_update([0u8; 64])
        .chain_update(msg)
        .chain_update(len.to_be_bytes())
        .chain_update([0])
        .chain_update(&dst_prime)
        .finalize();
    let mut out = Vec::new();
    let mut previous = [0u8; 32];
    for i in 1..=u8::try_from(len.div_ceil(32)).unwrap() {
        let mixed: Vec<u8> = b0.iter().zip(previous).map(|(a, b)| a ^ b).collect();
        previous = Sha256::new().chain_update(mixed).chain_update([i]).chain_update(&dst_prime).finalize().into();
        out.extend_from_slice(&previous);
    }
    out.truncate(usize::from(len));
    out
}

/// 48 bytes big-endian modulo p (RFC 9380 section 5.2).
fn reduce48(bytes: &[u8]) -> Fe {
    let half = |b: &[u8]| fe([&[0u8; 8], b].concat().try_into().unwrap());
    let two_192 = (0..192).fold(Fe::ONE, |acc, _| acc.double());
    half(&bytes[..24]) * two_192 + half(&bytes[24..])
}

/// Simplified SWU, written from RFC 9380 section 6.6.2 with A = -3 and Z = -10 (section 8.2).
fn map_to_curve_simple_swu(u: Fe) -> ProjectivePoint {
    let a = -Fe::from(3u64);
    let b = fe(hex32("5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b"));
    let z = -Fe::from(10u64);
    let g = |x: Fe| x.square() * x + a * x + b;
    let zu2 = z * u.square();
    let tv1 = zu2.square() + zu2;
    let x1 = if bool::from(tv1.is_zero()) {
        b * (z * a).invert().unwrap()
    } else {
        -b * a.invert().unwrap() * (Fe::ONE + tv1.invert().unwrap())
    };
    let (x, y) = match Option::<Fe>::from(g(x1).sqrt()) {
        Some(y) => (x1, y),
        None => (zu2 * x1, g(zu2 * x1).sqrt().unwrap()),
    };
    let y = if bool::from(u.is_odd()) == bool::from(y.is_odd()) { y } else { -y };
    let point = Sec1Point::from_affine_coordinates(&x.to_repr(), &y.to_repr(), false);
    ProjectivePoint::from(AffinePoint::from_sec1_point(&point).unwrap())
}

/// hash_to_curve of RFC 9380 section 3 without anything of p256 but field and point arithmetic.
fn hash_to_curve_by_hand(msg: &[u8], dst: &[u8]) -> ProjectivePoint {
    let uniform = expand_message_xmd(msg, dst, 96);
    map_to_curve_simple_swu(reduce48(&uniform[..48])) + map_to_curve_simple_swu(reduce48(&uniform[48..]))
}

#[test]
fn h_follows_from_message_and_tag_by_an_independent_derivation() {
    assert_eq!(H_MESSAGE, b"escrow pedersen h v1");
    assert_eq!(H_DST, b"ESCROW-V01-CS01-with-P256_XMD:SHA-256_SSWU_RO_");
    let by_hand = hash_to_curve_by_hand(b"escrow pedersen h v1", b"ESCROW-V01-CS01-with-P256_XMD:SHA-256_SSWU_RO_");
    assert_eq!(by_hand, sharing::h());
    assert_ne!(hash_to_curve_by_hand(b"escrow pedersen h v2", H_DST), sharing::h());
    assert_ne!(hash_to_curve_by_hand(H_MESSAGE, b"ESCROW-V02-CS01-with-P256_XMD:SHA-256_SSWU_RO_"), sharing::h());
}

#[test]
fn rfc_9380_j_1_1_holds_for_the_library_function_and_for_the_derivation_by_hand() {
    let dst = b"QUUX-V01-CS02-with-P256_XMD:SHA-256_SSWU_RO_";
    let vectors = [
        (
            "",
            "2c15230b26dbc6fc9a37051158c95b79656e17a1a920b11394ca91c44247d3e4",
            "8a7a74985cc5c776cdfe4b1f19884970453912e9d31528c060be9ab5c43e8415",
        ),
        (
            "abc",
            "0bb8b87485551aa43ed54f009230450b492fead5f1cc91658775dac4a3388a0f",
            "5c41b3d0731a27a7b14bc0bf0ccded2d8751f83493404c84a88e71ffd424212e",
        ),
        (
            "abcdef0123456789",
            "65038ac8f2b1def042a5df0b33b1f4eca6bff7cb0f9c6c1526811864e544ed80",
            "cad44d40a656e7aff4002a8de287abc8ae0482b5ae825822bb870d6df9b56ca3",
        ),
    ];
    for (msg, x, y) in vectors {
        let published = format!("04{x}{y}");
        let library = NistP256::hash_from_bytes(&[msg.as_bytes()], &[dst]).unwrap();
        assert_eq!(hex::encode(uncompressed(&library)), published, "library, {msg:?}");
        assert_eq!(
            hex::encode(uncompressed(&hash_to_curve_by_hand(msg.as_bytes(), dst))),
            published,
            "by hand, {msg:?}"
        );
    }
}

// ---- independent implementations ----

#[test]
fn rfc_9591_frost_p256_shares_verify_and_combine_to_the_published_group_secret() {
    // RFC 9591 appendix E.4, FROST(P-256, SHA-256), MIN_PARTICIPANTS 2 of MAX_PARTICIPANTS 3.
    let group_secret_key = "8ba9bba2e0fd8c4767154d35a0b7562244a4aaf6f36c8fb8735fa48b301bd8de";
    let group_public_key = "023a309ad94e9fe8a7ba45dfc58f38bf091959d3c99cfbd02b4dc00585ec45ab70";
    let share_polynomial_coefficient_1 = "80f25e6c0709353e46bfbe882a11bdbb1f8097e46340eb8673b7e14556e6c3a4";
    let participant_share = [
        "0c9c1a0fe806c184add50bbdcac913dda73e482daf95dcb9f35dbb0d8a9f7731",
        "8d8e787bef0ff6c2f494ca45f4dad198c6bee01212d6c84067159c52e1863ad5",
        "0e80d6e8f6192c003b5488ce1eec8f5429587d48cf001541e713b2d53c09d928",
    ];
    // FROST has no blinding: the commitments with r(x) = 0 are its Feldman commitments.
    let f = [scalar(hex32(group_secret_key)), scalar(hex32(share_polynomial_coefficient_1))];
    let encoded = commit(&f, &[Scalar::ZERO, Scalar::ZERO]);
    let c0 = Sec1Point::from_bytes(&encoded[..POINT_BYTES]).unwrap().compress();
    assert_eq!(hex::encode(c0.as_bytes()), group_public_key);

    let commitments = Commitments::parse(&encoded, 2).unwrap();
    let published: Vec<Share> = (1u8..)
        .zip(participant_share)
        .map(|(i, text)| Share::from_bytes(seat(i), &[hex32(text), [0; 32]].concat()).unwrap())
        .collect();
    for s in &published {
        assert_eq!(commitments.verify(s), Ok(()), "seat {}", s.seat());
    }
    for pair in [[0, 1], [0, 2], [1, 2], [2, 0]] {
        let secret = commitments.combine(&[&published[pair[0]], &published[pair[1]]]).unwrap();
        assert_eq!(hex::encode(secret.to_bytes().as_slice()), group_secret_key, "participants {pair:?}");
    }
    let swapped = Share::from_bytes(seat(1), &[hex32(participant_share[1]), [0; 32]].concat()).unwrap();
    assert_eq!(commitments.verify(&swapped), Err(SharingError::Mismatch));
}

/// The scalar field of P-256 in arkworks, whose arithmetic shares nothing with p256's.
mod ark {
    #![allow(non_local_definitions)] // the derive of ark-ff 0.4 makes its impl inside a function

    use ark_ff::{Fp256, MontBackend, MontConfig};

    #[derive(MontConfig)]
    #[modulus = "115792089210356248762697446949407573529996955224135760342422259061068512044369"]
    #[generator = "7"]
    pub(crate) struct Order;

    pub(crate) type Fr = Fp256<MontBackend<Order, 4>>;
}
use ark::Fr;

fn to_ark(s: &Scalar) -> Fr {
    Fr::from_be_bytes_mod_order(&bytes(s))
}

fn from_ark(f: &Fr) -> Scalar {
    scalar(f.into_bigint().to_bytes_be().try_into().unwrap())
}

struct Os;

impl ark_std::rand::RngCore for Os {
    fn next_u32(&mut self) -> u32 {
        u32::from_be_bytes(escrow_core::random::bytes())
    }
    fn next_u64(&mut self) -> u64 {
        u64::from_be_bytes(escrow_core::random::bytes())
    }
    fn fill_bytes(&mut self, dest: &mut [u8]) {
        dest.fill_with(|| escrow_core::random::bytes::<1>()[0]);
    }
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), ark_std::rand::Error> {
        self.fill_bytes(dest);
        Ok(())
    }
}

const SHAPES: [(u8, u8); 4] = [(2, 3), (3, 5), (4, 7), (5, 5)];

#[test]
fn an_independent_shamir_reconstructs_what_we_deal() {
    for (t, n) in SHAPES {
        let secret = Secret::random();
        let (commitments, shares) = sharing::deal(&secret, t, &seats(n)).unwrap();
        let theirs = |pick: fn(&Share) -> Scalar| {
            let last: Vec<ArkShare<Fr>> = shares[usize::from(n - t)..]
                .iter()
                .map(|s| ArkShare { id: s.seat().get().into(), threshold: t.into(), share: to_ark(&pick(s)) })
                .collect();
            from_ark(&ArkShares(last).reconstruct_secret().unwrap())
        };
        let s = theirs(|s| value_and_blinding(s).0);
        let r = theirs(|s| value_and_blinding(s).1);
        assert_eq!(bytes(&s), *secret.to_bytes(), "t {t} n {n}");
        // Their value of r(0) opens our C_0, so blinding and commitments are right as well.
        let c0 = uncompressed(&(ProjectivePoint::GENERATOR * s + sharing::h() * r));
        assert_eq!(commitments.to_bytes()[..POINT_BYTES], c0, "t {t} n {n}");
    }
}

#[test]
fn we_verify_and_combine_what_an_independent_shamir_deals() {
    for (t, n) in SHAPES {
        let (secret, f_shares, f) = shamir_ss::deal_random_secret::<_, Fr>(&mut Os, t.into(), n.into()).unwrap();
        let (_, r_shares, r) = shamir_ss::deal_random_secret::<_, Fr>(&mut Os, t.into(), n.into()).unwrap();
        let coefficients = |p: &[Fr]| p.iter().map(from_ark).collect::<Vec<_>>();
        let commitments = Commitments::parse(&commit(&coefficients(&f.coeffs), &coefficients(&r.coeffs)), t).unwrap();
        let shares: Vec<Share> = f_shares
            .0
            .iter()
            .zip(&r_shares.0)
            .map(|(f, r)| share(u8::try_from(f.id).unwrap(), &from_ark(&f.share), &from_ark(&r.share)))
            .collect();
        for s in &shares {
            assert_eq!(commitments.verify(s), Ok(()), "t {t} n {n} seat {}", s.seat());
        }
        let last: Vec<&Share> = shares.iter().rev().take(t.into()).collect();
        assert_eq!(*commitments.combine(&last).unwrap().to_bytes(), bytes(&from_ark(&secret)), "t {t} n {n}");
    }
}

// ---- strict rules, each by its name ----

/// Order n, n + 1 and the largest 256-bit number: none is a canonical scalar.
fn not_canonical() -> [(&'static str, [u8; 32]); 3] {
    let n = hex32("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
    let mut n1 = n;
    n1[31] += 1;
    [("n", n), ("n + 1", n1), ("2^256 - 1", [0xff; 32])]
}

const FIELD_PRIME: &str = "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff";

/// A point whose x is so small that x + p still fits 32 bytes, and its twin encoded with x + p.
fn point_and_twin_with_x_not_below_p() -> (Vec<u8>, Vec<u8>) {
    let b = fe(hex32("5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b"));
    let (x, y) = (1u64..)
        .find_map(|x| {
            let f = Fe::from(x);
            let y: Option<Fe> = (f.square() * f - f.double() - f + b).sqrt().into();
            y.map(|y| (x, y))
        })
        .unwrap();
    let small = [&[4u8], &Fe::from(x).to_repr()[..], &y.to_repr()[..]].concat();
    // p ends in 32 one bits preceded by zeros up to bit 96: adding a small x carries to bit 96 only.
    let mut twin = hex32(FIELD_PRIME);
    let low = u128::from_be_bytes(twin[16..].try_into().unwrap()) + u128::from(x);
    twin[16..].copy_from_slice(&low.to_be_bytes());
    let large = [&[4u8], &twin[..], &y.to_repr()[..]].concat();
    (small, large)
}

#[test]
fn commitments_that_break_a_rule_are_refused_by_its_name() {
    use SharingError as E;
    let good = commit(&random_poly(3), &random_poly(3));
    assert_eq!(Commitments::parse(&good, 3).unwrap().to_bytes(), good);
    assert_eq!(Commitments::parse(&good, 3).unwrap().t(), 3);

    let with = |position: usize, point: &[u8]| {
        let mut points: Vec<Vec<u8>> = good.chunks(POINT_BYTES).map(<[u8]>::to_vec).collect();
        points[position] = point.to_vec();
        points.concat()
    };
    let first = &good[..POINT_BYTES];
    let compressed = |p: &[u8]| Sec1Point::from_bytes(p).unwrap().compress().as_bytes().to_vec();
    let padded = |mut p: Vec<u8>| {
        p.resize(POINT_BYTES, 0);
        p
    };
    let tagged = |tag: u8| [&[tag], &first[1..]].concat();
    let off_curve = {
        let mut p = first.to_vec();
        p[64] ^= 1;
        p
    };
    let (small_x, large_x) = point_and_twin_with_x_not_below_p();
    let x_is_p = [&[4u8], &hex32(FIELD_PRIME)[..], &first[33..]].concat();
    let y_too_large = [&first[..33], &[0xff; 32]].concat();

    assert!(Commitments::parse(&with(1, &small_x), 3).is_ok(), "the canonical twin is a point");
    let table: Vec<(&str, Vec<u8>, u8, E)> = vec![
        ("t - 1 commitments", good[..2 * POINT_BYTES].to_vec(), 3, E::CommitmentCount),
        ("t + 1 commitments", [&good[..], first].concat(), 3, E::CommitmentCount),
        ("no commitment", Vec::new(), 3, E::CommitmentCount),
        ("3 commitments for t = 2", good.clone(), 2, E::CommitmentCount),
        ("3 commitments for t = 4", good.clone(), 4, E::CommitmentCount),
        ("one byte short", good[..194].to_vec(), 3, E::CommitmentCount),
        ("one byte long", [&good[..], &[0]].concat(), 3, E::CommitmentCount),
        ("t = 1", first.to_vec(), 1, E::Threshold),
        ("t = 0", Vec::new(), 0, E::Threshold),
        ("C_0 the identity", with(0, &[0; POINT_BYTES]), 3, E::Identity),
        ("C_1 the identity", with(1, &[0; POINT_BYTES]), 3, E::Identity),
        ("C_(t-1) the identity, which lowers the degree", with(2, &[0; POINT_BYTES]), 3, E::Identity),
        ("identity as its one SEC 1 byte", [&[0u8], &good[POINT_BYTES..]].concat(), 3, E::CommitmentCount),
        ("off the curve", with(1, &off_curve), 3, E::NotOnCurve),
        ("the point (0, 0)", with(1, &[&[4u8][..], &[0; 64]].concat()), 3, E::NotOnCurve),
        ("x of p and above", with(1, &large_x), 3, E::NotOnCurve),
        ("x = p", with(0, &x_is_p), 3, E::NotOnCurve),
        ("y above p", with(0, &y_too_large), 3, E::NotOnCurve),
        ("compressed points", good.chunks(POINT_BYTES).flat_map(compressed).collect(), 3, E::CommitmentCount),
        ("a compressed point, padded", with(0, &padded(compressed(first))), 3, E::NotUncompressed),
        ("tag 02 before x and y", with(0, &tagged(2)), 3, E::NotUncompressed),
        ("tag 03 before x and y", with(0, &tagged(3)), 3, E::NotUncompressed),
        ("hybrid form, even", with(2, &tagged(6)), 3, E::NotUncompressed),
        ("hybrid form, odd", with(2, &tagged(7)), 3, E::NotUncompressed),
        ("tag 00 before x and y", with(0, &tagged(0)), 3, E::NotUncompressed),
        ("tag 05", with(0, &tagged(5)), 3, E::NotUncompressed),
    ];
    for (name, encoded, t, expected) in table {
        assert_eq!(Commitments::parse(&encoded, t), Err(expected), "{name}");
    }
}

#[test]
fn shares_and_secrets_are_canonical_scalars_of_full_width() {
    let ok = [7u8; 32];
    let parse = |b: &[u8]| Share::from_bytes(seat(1), b).map(|s| s.to_bytes().to_vec());
    let whole = [ok, ok].concat();
    assert_eq!(parse(&whole), Ok(whole));
    for length in [0usize, 1, 31, 32, 33, 63, 65, 96, 128] {
        assert_eq!(parse(&vec![7; length]), Err(SharingError::ShareLength), "{length} bytes");
    }
    for (name, bad) in not_canonical() {
        assert_eq!(parse(&[bad, ok].concat()), Err(SharingError::NonCanonicalScalar), "value {name}");
        assert_eq!(parse(&[ok, bad].concat()), Err(SharingError::NonCanonicalScalar), "blinding {name}");
        assert_eq!(Secret::from_bytes(&bad).map(drop), Err(SharingError::NonCanonicalScalar), "secret {name}");
    }
    let largest = bytes(&-Scalar::ONE);
    assert_eq!(*Secret::from_bytes(&largest).unwrap().to_bytes(), largest, "n - 1 is a scalar");
    assert!(Share::from_bytes(seat(1), &[largest, [0; 32]].concat()).is_ok(), "n - 1 and 0 are scalars");
}

#[test]
fn a_share_that_is_not_of_this_seat_item_and_deal_does_not_fit() {
    let secret = Secret::random();
    let (commitments, shares) = sharing::deal(&secret, 3, &seats(5)).unwrap();
    let (_, other_item) = sharing::deal(&Secret::random(), 3, &seats(5)).unwrap();
    let (_, other_deal) = sharing::deal(&secret, 3, &seats(5)).unwrap();
    let (value, blinding) = value_and_blinding(&shares[1]);
    let (next_value, next_blinding) = value_and_blinding(&shares[2]);
    assert_eq!(commitments.verify(&share(2, &value, &blinding)), Ok(()));
    let table: Vec<(&str, u8, Scalar, Scalar)> = vec![
        ("index too large by one", 3, value, blinding),
        ("index too small by one", 1, value, blinding),
        ("a seat outside the node set", 6, value, blinding),
        ("index 255", 255, value, blinding),
        ("value plus one", 2, value + Scalar::ONE, blinding),
        ("blinding minus one", 2, value, blinding - Scalar::ONE),
        ("value of another seat", 2, next_value, blinding),
        ("blinding of another seat", 2, value, next_blinding),
        ("value and blinding exchanged", 2, blinding, value),
        ("both negated", 2, -value, -blinding),
        ("nothing", 2, Scalar::ZERO, Scalar::ZERO),
        (
            "the same seat's share of another item",
            2,
            value_and_blinding(&other_item[1]).0,
            value_and_blinding(&other_item[1]).1,
        ),
        (
            "the same secret dealt again, as to another generation",
            2,
            value_and_blinding(&other_deal[1]).0,
            value_and_blinding(&other_deal[1]).1,
        ),
    ];
    for (name, index, value, blinding) in table {
        assert_eq!(commitments.verify(&share(index, &value, &blinding)), Err(SharingError::Mismatch), "{name}");
    }
}

#[test]
fn combine_takes_exactly_t_distinct_shares_that_fit() {
    use SharingError as E;
    let secret = Secret::random();
    let (commitments, s) = sharing::deal(&secret, 3, &seats(5)).unwrap();
    let (_, other) = sharing::deal(&secret, 3, &seats(5)).unwrap();
    let combine = |list: &[&Share]| commitments.combine(list).map(|s| *s.to_bytes());
    assert_eq!(combine(&[&s[4], &s[0], &s[2]]), Ok(*secret.to_bytes()), "in any order");
    let table: Vec<(&str, Vec<&Share>, E)> = vec![
        ("none", vec![], E::ShareCount),
        ("one", vec![&s[0]], E::ShareCount),
        ("t - 1", vec![&s[0], &s[1]], E::ShareCount),
        ("t + 1", vec![&s[0], &s[1], &s[2], &s[3]], E::ShareCount),
        ("all n", s.iter().collect(), E::ShareCount),
        ("one seat twice", vec![&s[0], &s[1], &s[0]], E::DuplicateSeat),
        ("one seat thrice", vec![&s[0], &s[0], &s[0]], E::DuplicateSeat),
        ("one share of another deal", vec![&s[0], &s[1], &other[2]], E::Mismatch),
        ("all of another deal", vec![&other[0], &other[1], &other[2]], E::Mismatch),
    ];
    for (name, list, expected) in table {
        assert_eq!(combine(&list), Err(expected), "{name}");
    }
}

#[test]
fn deal_refuses_bad_thresholds_and_seats() {
    let twice = [seat(1), seat(2), seat(1)];
    let table: [(&str, u8, Vec<SeatIndex>, SharingError); 7] = [
        ("t = 0", 0, seats(3), SharingError::Threshold),
        ("t = 1", 1, seats(3), SharingError::Threshold),
        ("t above n", 4, seats(3), SharingError::Threshold),
        ("t = 2 of one seat", 2, seats(1), SharingError::Threshold),
        ("no seat", 2, Vec::new(), SharingError::Threshold),
        ("more seats than there are indices", 2, [&seats(255)[..], &[seat(1)]].concat(), SharingError::Threshold),
        ("one seat twice", 2, twice.to_vec(), SharingError::DuplicateSeat),
    ];
    for (name, t, seats, expected) in table {
        let dealt = sharing::deal(&Secret::random(), t, &seats).map(|(c, s)| (c.t(), s.len()));
        assert_eq!(dealt, Err(expected), "{name}");
    }
}

#[test]
fn the_largest_node_set_and_sparse_indices_work() {
    let secret = Secret::random();
    let (commitments, shares) = sharing::deal(&secret, 2, &seats(255)).unwrap();
    assert_eq!(*commitments.combine(&[&shares[254], &shares[127]]).unwrap().to_bytes(), *secret.to_bytes());
    let sparse = [seat(9), seat(2), seat(200)];
    let (commitments, shares) = sharing::deal(&secret, 3, &sparse).unwrap();
    assert_eq!(shares.iter().map(Share::seat).collect::<Vec<_>>(), sparse);
    assert_eq!(*commitments.combine(&shares.iter().collect::<Vec<_>>()).unwrap().to_bytes(), *secret.to_bytes());
}

#[test]
fn secret_zero_is_dealt_like_any_other() {
    let zero = Secret::from_bytes(&[0; 32]).unwrap();
    let (commitments, shares) = sharing::deal(&zero, 2, &seats(3)).unwrap();
    assert_eq!(*commitments.combine(&[&shares[0], &shares[2]]).unwrap().to_bytes(), [0; 32]);
}

// ---- traps of vsss-rs: open there, closed here ----

fn vsss_set(h: ProjectivePoint, commitments: &[ProjectivePoint]) -> Vec<VPoint> {
    let points: Vec<VPoint> = commitments.iter().map(|c| ValueGroup(*c)).collect();
    <Vec<VPoint> as PedersenVerifierSet<VShare, VPoint>>::with_generators_and_verifiers(
        ValueGroup(ProjectivePoint::GENERATOR),
        ValueGroup(h),
        &points,
    )
}

fn vsss_verify(set: &Vec<VPoint>, id: u8, value: Scalar, blinding: Scalar) -> Result<(), vsss_rs::Error> {
    let tagged = |v: Scalar| VShare { identifier: field(id.into()), value: IdentifierPrimeField(v) };
    PedersenVerifierSet::<VShare, VPoint>::verify_share_and_blinder(set, &tagged(value), &tagged(blinding))
}

fn points(encoded: &[u8]) -> Vec<ProjectivePoint> {
    encoded
        .chunks(POINT_BYTES)
        .map(|c| AffinePoint::from_sec1_point(&Sec1Point::from_bytes(c).unwrap()).unwrap().into())
        .collect()
}

#[test]
fn trap_the_dealer_chooses_the_generators() {
    // The dealer knows x with h = x*G and gives one seat another share that also fits.
    let x = random_scalar();
    let h = ProjectivePoint::GENERATOR * x;
    let (f, r) = (random_poly(3), random_poly(3));
    let c: Vec<ProjectivePoint> = f.iter().zip(&r).map(|(f, r)| ProjectivePoint::GENERATOR * f + h * r).collect();
    let delta = random_scalar();
    let lie = (eval(&f, 1) + delta, eval(&r, 1) - delta * x.invert().unwrap());
    let set = vsss_set(h, &c);
    assert_eq!(vsss_verify(&set, 1, eval(&f, 1), eval(&r, 1)), Ok(()));
    assert_eq!(vsss_verify(&set, 1, lie.0, lie.1), Ok(()), "vsss-rs accepts two shares for one seat");

    let ours = Commitments::parse(&c.iter().flat_map(uncompressed).collect::<Vec<_>>(), 3).unwrap();
    assert_eq!(ours.verify(&share(1, &eval(&f, 1), &eval(&r, 1))), Err(SharingError::Mismatch));
    assert_eq!(ours.verify(&share(1, &lie.0, &lie.1)), Err(SharingError::Mismatch));
}

#[test]
fn trap_without_a_given_generator_every_deal_has_another_h() {
    let h_of_one_split = || {
        let options = PedersenOptions::<VShare, VPoint> {
            secret: &field(5),
            blinder: None,
            secret_generator: None,
            blinder_generator: None,
        };
        let result = Vsss::split_secret_with_blind_verifiers(2, 3, &options, escrow_core::random::rng()).unwrap();
        PedersenVerifierSet::<VShare, VPoint>::blinder_generator(result.pedersen_verifier_set()).0
    };
    assert_ne!(h_of_one_split(), h_of_one_split());
    assert_eq!(hex::encode(sharing::h().to_affine().to_sec1_point(true).as_bytes()), H_COMPRESSED);
}

#[test]
fn trap_split_accepts_index_0_whose_share_is_the_secret() {
    let ids = [field(0), field(1), field(2)];
    let split = shamir::split_secret_with_ids::<VShare>(2, 3, &field(77), escrow_core::random::rng(), ids).unwrap();
    assert_eq!(split[0].value, field(77), "vsss-rs hands out the secret as share 0");

    assert_eq!(SeatIndex::new(0), None);
    assert!("0".parse::<SeatIndex>().is_err());
    assert!(serde_json::from_str::<SeatIndex>("0").is_err());
}

#[test]
fn trap_split_accepts_one_index_twice() {
    let ids = [field(1), field(2), field(1)];
    let split = shamir::split_secret_with_ids::<VShare>(2, 3, &field(77), escrow_core::random::rng(), ids).unwrap();
    assert_eq!(split[0], split[2], "vsss-rs gives two seats one share");

    let twice = [seat(1), seat(2), seat(1)];
    let dealt = sharing::deal(&Secret::random(), 2, &twice).map(drop);
    assert_eq!(dealt, Err(SharingError::DuplicateSeat));
}

#[test]
fn trap_combine_below_t_returns_a_wrong_secret() {
    let secret = Secret::random();
    let (commitments, shares) = sharing::deal(&secret, 3, &seats(5)).unwrap();
    let set: Vec<VShare> = shares[..2]
        .iter()
        .map(|s| VShare {
            identifier: field(s.seat().get().into()),
            value: IdentifierPrimeField(value_and_blinding(s).0),
        })
        .collect();
    let wrong = set.combine().unwrap();
    assert_ne!(bytes(&wrong.0), *secret.to_bytes(), "vsss-rs answers Ok with something else");

    let ours = commitments.combine(&[&shares[0], &shares[1]]).map(drop);
    assert_eq!(ours, Err(SharingError::ShareCount));
}

#[test]
fn trap_verify_takes_t_from_the_dealer() {
    for actual in [2usize, 4] {
        let (f, r) = (random_poly(actual), random_poly(actual));
        let encoded = commit(&f, &r);
        let set = vsss_set(sharing::h(), &points(&encoded));
        assert_eq!(vsss_verify(&set, 1, eval(&f, 1), eval(&r, 1)), Ok(()), "vsss-rs accepts degree {}", actual - 1);
        assert_eq!(Commitments::parse(&encoded, 3), Err(SharingError::CommitmentCount), "t = 3, {actual} commitments");
    }
}

#[test]
fn trap_verify_ignores_the_index_on_the_blinding() {
    let (f, r) = (random_poly(2), random_poly(2));
    let encoded = commit(&f, &r);
    let set = vsss_set(sharing::h(), &points(&encoded));
    let value = VShare { identifier: field(1), value: IdentifierPrimeField(eval(&f, 1)) };
    let blinding = VShare { identifier: field(9), value: IdentifierPrimeField(eval(&r, 1)) };
    let verdict = PedersenVerifierSet::<VShare, VPoint>::verify_share_and_blinder(&set, &value, &blinding);
    assert_eq!(verdict, Ok(()), "vsss-rs accepts a pair tagged 1 and 9");

    // Here both halves have the one index of the seat, and it counts for both.
    let ours = Commitments::parse(&encoded, 2).unwrap();
    assert_eq!(ours.verify(&share(1, &eval(&f, 1), &eval(&r, 1))), Ok(()));
    assert_eq!(ours.verify(&share(1, &eval(&f, 1), &eval(&r, 9))), Err(SharingError::Mismatch));
    assert_eq!(ours.verify(&share(9, &eval(&f, 1), &eval(&r, 1))), Err(SharingError::Mismatch));
}

#[test]
fn trap_verify_panics_on_a_short_set() {
    for length in [0usize, 1] {
        let set = vec![ValueGroup(ProjectivePoint::GENERATOR); length];
        let outcome = std::panic::catch_unwind(|| vsss_verify(&set, 1, Scalar::ONE, Scalar::ONE));
        assert!(outcome.is_err(), "vsss-rs no longer panics on {length} points: say so in the reference");
        let encoded: Vec<u8> = set.iter().flat_map(|p| uncompressed(&p.0)).collect();
        assert_eq!(Commitments::parse(&encoded, 2), Err(SharingError::CommitmentCount));
    }
}

#[test]
fn trap_debug_prints_the_share() {
    let (_, shares) = sharing::deal(&Secret::random(), 2, &seats(3)).unwrap();
    let (value, _) = value_and_blinding(&shares[0]);
    let theirs = VShare { identifier: field(1), value: IdentifierPrimeField(value) };
    let hidden = hex::encode(bytes(&value));
    assert!(format!("{theirs:?}").to_lowercase().contains(&hidden), "vsss-rs no longer prints shares");

    assert_eq!(format!("{:?}", shares[0]), "Share(seat 1, redacted)");
    assert_eq!(format!("{:#?}", shares[0]), "Share(seat 1, redacted)");
    let secret = Secret::from_bytes(&bytes(&value)).unwrap();
    assert_eq!(format!("{secret:?} {secret:#?}"), "Secret(redacted) Secret(redacted)");
}

#[test]
fn trap_serde_pads_short_hex() {
    let parsed = |text: &str| serde_json::from_str::<VField>(text).unwrap().0;
    assert_eq!(parsed("\"\""), Scalar::ZERO, "vsss-rs reads nothing as 0");
    let mut two_248 = [0u8; 32];
    two_248[0] = 1;
    assert_eq!(bytes(&parsed("\"01\"")), two_248, "vsss-rs reads 01 as 2^248");

    for short in [&[][..], &[1]] {
        assert_eq!(Share::from_bytes(seat(1), short).map(drop), Err(SharingError::ShareLength));
        let after_a_whole_value = [&[7u8; 32], short].concat();
        assert_eq!(Share::from_bytes(seat(1), &after_a_whole_value).map(drop), Err(SharingError::ShareLength));
    }
}

#[test]
fn trap_points_decode_as_the_identity() {
    let theirs = VPoint::from_slice(&[0; 33]).unwrap();
    assert!(bool::from(theirs.0.is_identity()), "vsss-rs reads 33 zero bytes as the identity");
    assert_eq!(theirs.0.to_bytes().as_slice(), [0; 33]);

    let good = commit(&random_poly(2), &random_poly(2));
    let forged = [&good[..POINT_BYTES], &[0; POINT_BYTES]].concat();
    assert_eq!(Commitments::parse(&forged, 2), Err(SharingError::Identity));
}

#[test]
fn trap_a_pedersen_split_also_returns_g_to_the_secret() {
    let secret = random_scalar();
    let options = PedersenOptions::<VShare, VPoint> {
        secret: &IdentifierPrimeField(secret),
        blinder: None,
        secret_generator: Some(ValueGroup(ProjectivePoint::GENERATOR)),
        blinder_generator: Some(ValueGroup(sharing::h())),
    };
    let result = Vsss::split_secret_with_blind_verifiers(2, 3, &options, escrow_core::random::rng()).unwrap();
    let exposed = ProjectivePoint::GENERATOR * secret;
    assert_eq!(result.feldman_verifier_set()[1].0, exposed);

    let (commitments, _) = sharing::deal(&Secret::from_bytes(&bytes(&secret)).unwrap(), 2, &seats(3)).unwrap();
    let (again, _) = sharing::deal(&Secret::from_bytes(&bytes(&secret)).unwrap(), 2, &seats(3)).unwrap();
    let published = commitments.to_bytes();
    assert!(published.chunks(POINT_BYTES).all(|c| c != uncompressed(&exposed)));
    assert_ne!(published[..POINT_BYTES], again.to_bytes()[..POINT_BYTES], "C_0 of one secret is never the same");
}

// ---- properties ----

fn shape() -> impl Strategy<Value = (u8, u8)> {
    (2u8..=6).prop_flat_map(|t| (Just(t), t..=9))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_we_deal_verifies_under_vsss_rs((t, n) in shape()) {
        let (commitments, shares) = sharing::deal(&Secret::random(), t, &seats(n)).unwrap();
        let set = vsss_set(sharing::h(), &points(&commitments.to_bytes()));
        for s in &shares {
            let (value, blinding) = value_and_blinding(s);
            prop_assert_eq!(vsss_verify(&set, s.seat().get(), value, blinding), Ok(()));
        }
        let (value, blinding) = value_and_blinding(&shares[0]);
        prop_assert!(vsss_verify(&set, 1, value + Scalar::ONE, blinding).is_err());
    }

    #[test]
    fn what_vsss_rs_splits_verifies_and_combines_here((t, n) in shape(), secret in any::<[u8; 31]>()) {
        let mut wide = [0u8; 32];
        wide[1..].copy_from_slice(&secret);
        let options = PedersenOptions::<VShare, VPoint> {
            secret: &IdentifierPrimeField(scalar(wide)),
            blinder: None,
            secret_generator: Some(ValueGroup(ProjectivePoint::GENERATOR)),
            blinder_generator: Some(ValueGroup(sharing::h())),
        };
        let split =
            Vsss::split_secret_with_blind_verifiers(t.into(), n.into(), &options, escrow_core::random::rng()).unwrap();
        let set = split.pedersen_verifier_set();
        let encoded: Vec<u8> =
            PedersenVerifierSet::<VShare, VPoint>::blind_verifiers(set).iter().flat_map(|p| uncompressed(&p.0)).collect();
        let commitments = Commitments::parse(&encoded, t).unwrap();
        let shares: Vec<Share> = (1u8..)
            .zip(split.secret_shares().iter().zip(split.blinder_shares()))
            .map(|(i, (s, r))| share(i, &s.value.0, &r.value.0))
            .collect();
        for s in &shares {
            prop_assert_eq!(commitments.verify(s), Ok(()));
        }
        let last: Vec<&Share> = shares.iter().rev().take(t.into()).collect();
        prop_assert_eq!(*commitments.combine(&last).unwrap().to_bytes(), wide);
    }

    #[test]
    fn any_t_of_n_combine_and_t_minus_1_do_not(
        (t, n, chosen) in shape().prop_flat_map(|(t, n)| {
            let all: Vec<usize> = (0..usize::from(n)).collect();
            (Just(t), Just(n), subsequence(all, usize::from(t)).prop_shuffle())
        })
    ) {
        let secret = Secret::random();
        let (commitments, shares) = sharing::deal(&secret, t, &seats(n)).unwrap();
        let quorum: Vec<&Share> = chosen.iter().map(|i| &shares[*i]).collect();
        prop_assert_eq!(*commitments.combine(&quorum).unwrap().to_bytes(), *secret.to_bytes());

        let short = &quorum[1..];
        prop_assert_eq!(commitments.combine(short).map(drop), Err(SharingError::ShareCount));
        // Even interpolated by force, one share too few gives something else.
        let forced: Vec<VShare> = short
            .iter()
            .map(|s| VShare { identifier: field(s.seat().get().into()), value: IdentifierPrimeField(value_and_blinding(s).0) })
            .collect();
        if let Ok(wrong) = forced.combine() {
            prop_assert_ne!(bytes(&wrong.0), *secret.to_bytes());
        } else {
            prop_assert_eq!(t, 2, "vsss-rs refuses only a single share");
        }
    }
}
