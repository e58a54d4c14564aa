//! Pedersen verifiable secret sharing on P-256.
//!
//! `f(x)` with `f(0) = s` and a random `r(x)`, both of degree t-1; commitments
//! `C_j = f_j*G + r_j*H`; seat i holds `(f(i), r(i))` and checks `f(i)*G + r(i)*H = sum i^j*C_j`.
//! Commitments are perfectly hiding (Pedersen, CRYPTO '91, section 4): below t shares, nothing is
//! learnt about `s` by anybody, ever.
//!
//! Polynomials, share types and Lagrange interpolation are vsss-rs's. What that crate leaves to
//! its caller is closed here: the generators are constants and never come from a message; there
//! are exactly t commitments, uncompressed, on the curve, none the identity; scalars are 32
//! canonical bytes; the index comes from the seat, never from a message; combining takes exactly
//! t verified shares. Its Feldman verifiers (`g^secret`) are never computed.
//!
//! Multiplications by secrets are p256's constant-time ones; only public points are summed freely.

use crate::random;
use crate::words::SeatIndex;
use p256::elliptic_curve::ff::{Field as _, PrimeField as _};
use p256::elliptic_curve::group::Group as _;
use p256::elliptic_curve::sec1::{FromSec1Point as _, ToSec1Point as _};
use p256::{AffinePoint, NistP256, ProjectivePoint, Scalar, Sec1Point};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::LazyLock;
use vsss_rs::{DefaultShare, IdentifierPrimeField, Polynomial as _, ReadableShareSet as _};
use zeroize::{Zeroize as _, Zeroizing};

/// Message hashed to the second generator.
pub const H_MESSAGE: &[u8] = b"escrow pedersen h v1";
/// Domain separation tag of that hash (RFC 9380 section 3.1).
pub const H_DST: &[u8] = b"ESCROW-V01-CS01-with-P256_XMD:SHA-256_SSWU_RO_";
/// Bytes of one encoded point: SEC 1 uncompressed.
pub const POINT_BYTES: usize = 65;
/// Bytes of one encoded share: f(i), then r(i), each 32 bytes big-endian.
pub const SHARE_BYTES: usize = 64;

type Field = IdentifierPrimeField<Scalar>;
type Coefficient = DefaultShare<Field, Field>;

/// Nobody knows the discrete logarithm of H to the base G: it is a hash to the curve.
static H: LazyLock<ProjectivePoint> = LazyLock::new(|| {
    use p256::hash2curve::GroupDigest as _;
    // Fails only for a tag over 255 bytes (RFC 9380 section 5.3.1); the identity would be refused below.
    NistP256::hash_from_bytes(&[H_MESSAGE], &[H_DST]).unwrap_or(ProjectivePoint::IDENTITY)
});

/// The second generator.
pub fn h() -> ProjectivePoint {
    *H
}

/// What is wrong with shares or commitments. Each is a rule of section 5.2 of the design.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
pub enum SharingError {
    /// t below 2 or above n, or more than 255 seats.
    #[error("threshold must be at least 2 and at most the number of seats")]
    Threshold,
    /// A seat twice.
    #[error("one seat index twice")]
    DuplicateSeat,
    /// Not exactly t commitments of 65 bytes.
    #[error("exactly one commitment of 65 bytes for each of the t coefficients expected")]
    CommitmentCount,
    /// A commitment in compressed or otherwise unexpected form.
    #[error("commitment is not in uncompressed form")]
    NotUncompressed,
    /// A commitment off the curve or with coordinates out of range.
    #[error("commitment is not a point of P-256")]
    NotOnCurve,
    /// A commitment that is the point at infinity.
    #[error("commitment is the identity")]
    Identity,
    /// Not 64 bytes.
    #[error("a share is 64 bytes")]
    ShareLength,
    /// A scalar of the group order or above.
    #[error("scalar is not canonical")]
    NonCanonicalScalar,
    /// The share does not fit the commitments for this seat.
    #[error("share does not fit the commitments")]
    Mismatch,
    /// Fewer or more than t shares given to combine.
    #[error("exactly t shares are combined")]
    ShareCount,
}

/// A secret scalar s: wiped on drop, never printed, no Clone, no serde.
pub struct Secret(Zeroizing<Scalar>);

impl Secret {
    /// Uniform in the scalar field, zero included.
    pub fn random() -> Self {
        Self(Zeroizing::new(Scalar::random(&mut random::rng())))
    }

    /// 32 bytes big-endian, the key material of the wrap.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_repr().into())
    }

    /// From 32 canonical bytes big-endian.
    ///
    /// # Errors
    /// [`SharingError::NonCanonicalScalar`].
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, SharingError> {
        scalar(bytes).map(Self)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

/// One seat's share `(f(i), r(i))`: wiped on drop, never printed, no Clone, no serde.
pub struct Share {
    seat: SeatIndex,
    value: Zeroizing<Scalar>,
    blinding: Zeroizing<Scalar>,
}

impl Share {
    /// The seat it belongs to.
    pub fn seat(&self) -> SeatIndex {
        self.seat
    }

    /// The 64 bytes that travel sealed.
    pub fn to_bytes(&self) -> Zeroizing<[u8; SHARE_BYTES]> {
        let mut out = Zeroizing::new([0u8; SHARE_BYTES]);
        let (value, blinding) = out.split_at_mut(32);
        value.copy_from_slice(&Zeroizing::new(<[u8; 32]>::from(self.value.to_repr()))[..]);
        blinding.copy_from_slice(&Zeroizing::new(<[u8; 32]>::from(self.blinding.to_repr()))[..]);
        out
    }

    /// From 64 bytes; the index is the seat's, which the caller knows, never the message's.
    ///
    /// # Errors
    /// [`SharingError::ShareLength`], [`SharingError::NonCanonicalScalar`].
    pub fn from_bytes(seat: SeatIndex, bytes: &[u8]) -> Result<Self, SharingError> {
        let (value, blinding) = bytes.split_at_checked(32).ok_or(SharingError::ShareLength)?;
        let value: &[u8; 32] = value.try_into().map_err(|_| SharingError::ShareLength)?;
        let blinding: &[u8; 32] = blinding.try_into().map_err(|_| SharingError::ShareLength)?;
        Ok(Self { seat, value: scalar(value)?, blinding: scalar(blinding)? })
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Share(seat {}, redacted)", self.seat)
    }
}

fn scalar(bytes: &[u8; 32]) -> Result<Zeroizing<Scalar>, SharingError> {
    let parsed: Option<Scalar> = Scalar::from_repr((*bytes).into()).into();
    parsed.map(Zeroizing::new).ok_or(SharingError::NonCanonicalScalar)
}

/// The t public commitments of one shared secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commitments(Vec<ProjectivePoint>);

impl Commitments {
    /// Parses exactly `t` uncompressed points.
    ///
    /// # Errors
    /// The rule of 5.2 that is broken.
    pub fn parse(bytes: &[u8], t: u8) -> Result<Self, SharingError> {
        if t < 2 {
            return Err(SharingError::Threshold);
        }
        if bytes.len() != usize::from(t) * POINT_BYTES {
            return Err(SharingError::CommitmentCount);
        }
        bytes.chunks_exact(POINT_BYTES).map(point).collect::<Result<_, _>>().map(Self)
    }

    /// t points of 65 bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|p| p.to_affine().to_sec1_point(false).as_bytes().to_vec()).collect()
    }

    /// The threshold these commitments stand for.
    pub fn t(&self) -> usize {
        self.0.len()
    }

    /// Checks that a share fits, for the seat it is tagged with.
    ///
    /// # Errors
    /// [`SharingError::Mismatch`].
    pub fn verify(&self, share: &Share) -> Result<(), SharingError> {
        let x = Scalar::from(u64::from(share.seat.get()));
        let right = self.0.iter().rev().fold(ProjectivePoint::IDENTITY, |acc, c| acc * x + c);
        let left = ProjectivePoint::GENERATOR * *share.value + h() * *share.blinding;
        if left == right { Ok(()) } else { Err(SharingError::Mismatch) }
    }

    /// Combines exactly t distinct shares, each verified here once more.
    ///
    /// # Errors
    /// [`SharingError::ShareCount`], [`SharingError::DuplicateSeat`], [`SharingError::Mismatch`].
    pub fn combine(&self, shares: &[&Share]) -> Result<Secret, SharingError> {
        if shares.len() != self.t() {
            return Err(SharingError::ShareCount);
        }
        distinct(shares.iter().map(|s| s.seat))?;
        for share in shares {
            self.verify(share)?;
        }
        let mut set: Vec<Coefficient> = shares
            .iter()
            .map(|s| DefaultShare { identifier: field(s.seat), value: IdentifierPrimeField(*s.value) })
            .collect();
        let secret = set.combine();
        set.iter_mut().for_each(|s| s.value.zeroize());
        secret.map(|v| Secret(Zeroizing::new(v.0))).map_err(|_| SharingError::ShareCount)
    }
}

fn point(bytes: &[u8]) -> Result<ProjectivePoint, SharingError> {
    if bytes.first() != Some(&4) {
        let infinity = bytes.iter().all(|b| *b == 0);
        return Err(if infinity { SharingError::Identity } else { SharingError::NotUncompressed });
    }
    let encoded = Sec1Point::from_bytes(bytes).map_err(|_| SharingError::NotOnCurve)?;
    let affine: Option<AffinePoint> = AffinePoint::from_sec1_point(&encoded).into();
    let p = ProjectivePoint::from(affine.ok_or(SharingError::NotOnCurve)?);
    if bool::from(p.is_identity()) { Err(SharingError::Identity) } else { Ok(p) }
}

/// Deals `secret` to the seats, any t of which can combine it.
///
/// # Errors
/// [`SharingError::Threshold`], [`SharingError::DuplicateSeat`]; [`SharingError::Identity`] with
/// probability 2^-256, in which case dealing again is right.
pub fn deal(secret: &Secret, t: u8, seats: &[SeatIndex]) -> Result<(Commitments, Vec<Share>), SharingError> {
    if t < 2 || usize::from(t) > seats.len() || seats.len() > crate::limits::SEATS_MAX {
        return Err(SharingError::Threshold);
    }
    distinct(seats.iter().copied())?;
    let f = Poly::random(&secret.0, t)?;
    let r = Poly::random(&Zeroizing::new(Scalar::random(&mut random::rng())), t)?;
    let mut commitments = Vec::with_capacity(usize::from(t));
    for (fj, rj) in f.coefficients().zip(r.coefficients()) {
        let c = ProjectivePoint::GENERATOR * *fj + h() * *rj;
        if bool::from(c.is_identity()) {
            return Err(SharingError::Identity);
        }
        commitments.push(c);
    }
    let share = |seat: &SeatIndex| Share { seat: *seat, value: f.at(*seat), blinding: r.at(*seat) };
    Ok((Commitments(commitments), seats.iter().map(share).collect()))
}

/// A vsss-rs polynomial that is wiped when dropped.
struct Poly(Vec<Coefficient>, usize);

impl Poly {
    fn random(constant: &Scalar, t: u8) -> Result<Self, SharingError> {
        let t = usize::from(t);
        let mut p = Self(<Vec<Coefficient> as vsss_rs::Polynomial<Coefficient>>::create(t), t);
        let constant = IdentifierPrimeField(*constant);
        p.0.fill(&constant, random::rng(), t).map_err(|_| SharingError::Threshold)?;
        Ok(p)
    }

    /// Constant term first. vsss-rs keeps it as the value of slot 0, the others as identifiers.
    fn coefficients(&self) -> impl Iterator<Item = &Scalar> {
        self.0.iter().take(1).map(|c| &c.value.0).chain(self.0.iter().skip(1).map(|c| &c.identifier.0))
    }

    fn at(&self, seat: SeatIndex) -> Zeroizing<Scalar> {
        Zeroizing::new(self.0.evaluate(&field(seat), self.1).0)
    }
}

impl Drop for Poly {
    fn drop(&mut self) {
        for c in &mut self.0 {
            c.identifier.zeroize();
            c.value.zeroize();
        }
    }
}

fn field(seat: SeatIndex) -> Field {
    IdentifierPrimeField(Scalar::from(u64::from(seat.get())))
}

fn distinct(seats: impl Iterator<Item = SeatIndex>) -> Result<(), SharingError> {
    let mut seen = BTreeSet::new();
    for seat in seats {
        if !seen.insert(seat) {
            return Err(SharingError::DuplicateSeat);
        }
    }
    Ok(())
}
