//! The method `sshsig`: keys that `ssh-agent` holds, FIDO security keys among them, and signatures that any
//! `ssh-keygen -Y verify` checks.
//!
//! A signature of this method is an un-armoured SSHSIG blob over the message: what stands base64
//! encoded between the armour lines of a `.sig` file. Sources: OpenSSH `PROTOCOL.sshsig` (the
//! blob), RFC 4253 section 6.6, RFC 5656 section 3.1 and RFC 8709 (keys and signatures),
//! `PROTOCOL.u2f` (`sk-` keys).
//!
//! Parsing is strict: a key has one encoding, and of a signature only the numbers of the
//! signature itself are free. Decoders take hostile bytes, bound them first, and never panic.

use crate::key::{self, KeyError};
use crate::limits::{SSH_KEY_MAX, SSHSIG_MAX};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use p256::ecdsa::signature::Verifier as _;
use sha2::{Digest as _, Sha256, Sha512};
use std::fmt;

/// The namespace of every statement, so that no signature made for a file, a commit or a login
/// counts as one, and none of ours counts there.
pub const NAMESPACE: &str = "statement@escrow.v1";

const MAGIC: &[u8; 6] = b"SSHSIG";
const VERSION: u32 = 1;
const HASH: &[u8] = b"sha512";
const CURVE: &[u8] = b"nistp256";
/// Applications of SSH keys begin so; a web site's never does, so none can ask a device to sign for one.
const APPLICATION: &str = "ssh:";
const USER_PRESENT: u8 = 0x01;
/// "Attested data" and "extensions" announce bytes that this format does not carry.
const NOT_CARRIED: u8 = 0xc0;

/// A public key in the SSH wire format, of one of the four types accepted: `ssh-ed25519`,
/// `ecdsa-sha2-nistp256`, `sk-ssh-ed25519@openssh.com`, `sk-ecdsa-sha2-nistp256@openssh.com`.
#[derive(Clone, PartialEq, Eq)]
pub struct SshKey {
    point: Point,
    /// Of a hardware key: what the key was made for, `ssh:...`.
    application: Option<String>,
}

#[derive(Clone, PartialEq, Eq)]
enum Point {
    Ed25519(ed25519_dalek::VerifyingKey),
    P256(p256::ecdsa::VerifyingKey),
}

impl SshKey {
    /// Reads the wire format: type, key, and for `sk-` keys the application.
    ///
    /// # Errors
    /// [`KeyError::BadKey`] for other types, more than [`SSH_KEY_MAX`] bytes, anything after the
    /// key, small-order or non-canonical Ed25519, compressed or off-curve P-256, and
    /// applications that do not begin with `ssh:`.
    pub fn from_wire(wire: &[u8]) -> Result<Self, KeyError> {
        // Encoded again and compared: whatever the reader may tolerate, a key has one encoding.
        Self::read(wire).filter(|k| k.wire() == wire).ok_or(KeyError::BadKey)
    }

    /// Reads a line of a `.pub` file: type, base64 of the wire format, and perhaps a comment.
    ///
    /// # Errors
    /// [`KeyError::BadKey`], also if the type before the base64 is not the type inside.
    pub fn from_pub_line(line: &str) -> Result<Self, KeyError> {
        let mut words = line.split_ascii_whitespace();
        let (Some(algorithm), Some(b64)) = (words.next(), words.next()) else { return Err(KeyError::BadKey) };
        let key = Self::from_wire(&STANDARD.decode(b64).map_err(|_| KeyError::BadKey)?)?;
        if key.algorithm() == algorithm { Ok(key) } else { Err(KeyError::BadKey) }
    }

    fn read(wire: &[u8]) -> Option<Self> {
        if wire.len() > SSH_KEY_MAX {
            return None;
        }
        let mut r = Reader::new(wire);
        let algorithm = r.string()?;
        let point = match algorithm {
            b"ssh-ed25519" | b"sk-ssh-ed25519@openssh.com" => Point::Ed25519(key::ed25519_point(r.string()?).ok()?),
            b"ecdsa-sha2-nistp256" | b"sk-ecdsa-sha2-nistp256@openssh.com" => {
                (r.string()? == CURVE).then_some(())?;
                Point::P256(key::p256_point(r.string()?).ok()?)
            }
            _ => return None,
        };
        let application = if algorithm.starts_with(b"sk-") {
            let text = std::str::from_utf8(r.string()?).ok().filter(|a| a.starts_with(APPLICATION))?;
            Some(text.to_owned())
        } else {
            None
        };
        r.end()?;
        Some(Self { point, application })
    }

    /// The name of the key's type, which is also that of its signatures.
    pub const fn algorithm(&self) -> &'static str {
        match (&self.point, &self.application) {
            (Point::Ed25519(_), None) => "ssh-ed25519",
            (Point::P256(_), None) => "ecdsa-sha2-nistp256",
            (Point::Ed25519(_), Some(_)) => "sk-ssh-ed25519@openssh.com",
            (Point::P256(_), Some(_)) => "sk-ecdsa-sha2-nistp256@openssh.com",
        }
    }

    /// The wire format, its only encoding.
    pub fn wire(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out, self.algorithm().as_bytes());
        if let Point::P256(_) = self.point {
            put(&mut out, CURVE);
        }
        put(&mut out, &self.raw());
        if let Some(a) = &self.application {
            put(&mut out, a.as_bytes());
        }
        out
    }

    /// The bare key, as the methods `ed25519` and `es256` write it: 32 or 65 bytes.
    pub fn raw(&self) -> Vec<u8> {
        match &self.point {
            Point::Ed25519(k) => k.to_bytes().to_vec(),
            Point::P256(k) => k.to_sec1_point(false).as_bytes().to_vec(),
        }
    }

    /// The line of a `.pub` file, without a comment.
    pub fn pub_line(&self) -> String {
        format!("{} {}", self.algorithm(), STANDARD.encode(self.wire()))
    }

    /// The key's fingerprint as `ssh-add -l` prints it.
    pub fn fingerprint(&self) -> String {
        format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(self.wire())))
    }

    /// The SSHSIG blob around a signature as an agent returns it: type, signature bytes, and for
    /// `sk-` keys flags and counter. Checks nothing; see [`SshKey::verifies`].
    pub fn blob(&self, signature: &[u8]) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&VERSION.to_be_bytes());
        for part in [&self.wire(), NAMESPACE.as_bytes(), b"", HASH, signature] {
            put(&mut out, part);
        }
        out
    }

    /// True if `blob` is this key's SSHSIG over `message` in [`NAMESPACE`], under the strict rules:
    /// version 1, this very key inside, nothing reserved, SHA-512, a signature of the key's own
    /// type, nothing after anything. Ed25519 as `verify_strict`; ECDSA with minimal integers and
    /// either S, because devices emit both.
    ///
    /// Of the flags of an `sk-` key, "user present" must be set, and "attested data" and
    /// "extensions" must not be. The other bits ("user verified", "backed up") are covered by the
    /// signature and decide nothing.
    pub fn verifies(&self, message: &[u8], blob: &[u8]) -> bool {
        blob.len() <= SSHSIG_MAX && self.check(message, blob).is_some()
    }

    fn check(&self, message: &[u8], blob: &[u8]) -> Option<()> {
        let mut r = Reader::new(blob);
        (r.take(MAGIC.len())? == MAGIC).then_some(())?;
        (r.u32()? == VERSION).then_some(())?;
        (r.string()? == self.wire()).then_some(())?;
        (r.string()? == NAMESPACE.as_bytes()).then_some(())?;
        r.string()?.is_empty().then_some(())?;
        (r.string()? == HASH).then_some(())?;
        let mut signature = Reader::new(r.string()?);
        r.end()?;
        (signature.string()? == self.algorithm().as_bytes()).then_some(())?;
        let numbers = signature.string()?;
        let mut signed = to_be_signed(message);
        if let Some(application) = &self.application {
            let flags = signature.u8()?;
            (flags & USER_PRESENT != 0 && flags & NOT_CARRIED == 0).then_some(())?;
            let counter = signature.u32()?;
            signed = sk_signed(application, flags, counter, &signed);
        }
        signature.end()?;
        self.check_numbers(&signed, numbers)
    }

    fn check_numbers(&self, signed: &[u8], numbers: &[u8]) -> Option<()> {
        match &self.point {
            Point::Ed25519(k) => {
                let s = ed25519_dalek::Signature::from_slice(numbers).ok()?;
                k.verify_strict(signed, &s).ok()
            }
            Point::P256(k) => {
                let mut r = Reader::new(numbers);
                let s = p256::ecdsa::Signature::from_scalars(r.scalar()?, r.scalar()?).ok()?;
                r.end()?;
                k.verify(signed, &s).ok()
            }
        }
    }
}

impl fmt::Debug for SshKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.algorithm(), self.fingerprint())
    }
}

/// What a key signs for `message`: magic, namespace, reserved, hash name, SHA-512 of the message.
/// This is what an agent is asked to sign.
pub fn to_be_signed(message: &[u8]) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    for part in [NAMESPACE.as_bytes(), b"", HASH, &Sha512::digest(message)] {
        put(&mut out, part);
    }
    out
}

/// What a security key signs when it is asked to sign `data`: SHA-256 of the application, flags,
/// counter (big-endian), SHA-256 of the data (`PROTOCOL.u2f`, "SSH U2F signatures").
pub fn sk_signed(application: &str, flags: u8, counter: u32, data: &[u8]) -> Vec<u8> {
    let mut out = Sha256::digest(application.as_bytes()).to_vec();
    out.push(flags);
    out.extend_from_slice(&counter.to_be_bytes());
    out.extend_from_slice(&Sha256::digest(data));
    out
}

/// Appends an SSH string: length as four bytes, big-endian, then the bytes (RFC 4251 section 5).
///
/// Nothing written here comes near 4 GiB; if it did, the length would be the largest and the
/// result would parse nowhere.
pub fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// Reads the data types of RFC 4251 section 5 from hostile bytes; `None` when there are too few.
#[derive(Clone, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Over all of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Exactly `n` bytes.
    pub fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(n)?;
        self.0 = tail;
        Some(head)
    }

    /// One byte.
    pub fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    /// Four bytes, big-endian.
    pub fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    /// A length and as many bytes.
    pub fn string(&mut self) -> Option<&'a [u8]> {
        let n = self.u32()?;
        self.take(usize::try_from(n).ok()?)
    }

    /// A positive `mpint` of at most 256 bits in its shortest form, as 32 bytes.
    fn scalar(&mut self) -> Option<[u8; 32]> {
        let bytes = self.string()?;
        let digits = match bytes {
            [0, rest @ ..] if rest.first().is_some_and(|b| b & 0x80 != 0) => rest,
            [first, ..] if first & 0x80 == 0 && *first != 0 => bytes,
            _ => return None,
        };
        let mut out = [0; 32];
        out.get_mut(32usize.checked_sub(digits.len())?..)?.copy_from_slice(digits);
        Some(out)
    }

    /// Nothing may be left.
    pub fn end(self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}
