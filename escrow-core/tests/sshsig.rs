//! The method `sshsig`: signatures that stock OpenSSH made, and blobs put together here by hand from
//! `PROTOCOL.sshsig` and `PROTOCOL.u2f` with software keys in place of agents and devices. Whether stock
//! OpenSSH takes what is made here is checked by `tests/interop/run`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test that panics has failed

mod common;

use common::{b64, decision, ed25519, es256};
use ed25519_dalek::Signer as _;
use escrow_core::envelope::{EnvelopeError, pae};
use escrow_core::limits::{SSH_KEY_MAX, SSHSIG_MAX};
use escrow_core::sshsig::{self, NAMESPACE, SshKey};
use escrow_core::{Blob, Envelope, PublicKey, SigningKey, Statement};
use sha2::{Digest as _, Sha256, Sha512};
use std::collections::BTreeSet;

const MESSAGE: &[u8] = b"escrow";

fn unb64(text: &str) -> Vec<u8> {
    serde_json::from_value::<Blob>(text.into()).unwrap().0
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

fn mpint(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().position(|b| *b != 0).unwrap_or(bytes.len());
    let sign: &[u8] = if bytes.get(start).is_some_and(|b| b & 0x80 != 0) { &[0] } else { &[] };
    string(&[sign, &bytes[start..]].concat())
}

/// One of the four types, with a software key.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Type {
    Ed25519,
    Ecdsa,
    SkEd25519,
    SkEcdsa,
}
use Type::{Ecdsa, Ed25519, SkEcdsa, SkEd25519};

const TYPES: [Type; 4] = [Ed25519, Ecdsa, SkEd25519, SkEcdsa];

impl Type {
    fn name(self) -> &'static str {
        match self {
            Ed25519 => "ssh-ed25519",
            Ecdsa => "ecdsa-sha2-nistp256",
            SkEd25519 => "sk-ssh-ed25519@openssh.com",
            SkEcdsa => "sk-ecdsa-sha2-nistp256@openssh.com",
        }
    }

    fn is_sk(self) -> bool {
        matches!(self, SkEd25519 | SkEcdsa)
    }

    fn is_ecdsa(self) -> bool {
        matches!(self, Ecdsa | SkEcdsa)
    }

    fn secret(self) -> SigningKey {
        if self.is_ecdsa() { es256(2) } else { ed25519(1) }
    }

    /// The bare key of somebody else.
    fn stranger(self) -> Vec<u8> {
        if self.is_ecdsa() { es256(3).public().raw() } else { ed25519(3).public().raw() }
    }

    fn wire_of(self, point: &[u8], application: &[u8]) -> Vec<u8> {
        let mut out = string(self.name().as_bytes());
        if self.is_ecdsa() {
            out.extend(string(b"nistp256"));
        }
        out.extend(string(point));
        if self.is_sk() {
            out.extend(string(application));
        }
        out
    }

    fn wire(self) -> Vec<u8> {
        self.wire_of(&self.secret().public().raw(), b"ssh:")
    }

    fn key(self) -> PublicKey {
        format!("sshsig:{}", b64(&self.wire())).parse().unwrap()
    }
}

/// What goes into a signature; each test changes one thing.
struct Make {
    of: Type,
    magic: &'static [u8],
    version: u32,
    wire: Vec<u8>,
    namespace: &'static str,
    signed_namespace: &'static str,
    reserved: &'static [u8],
    hash: &'static str,
    algorithm: &'static str,
    flags: u8,
    high_s: bool,
    numbers: fn(Vec<u8>) -> Vec<u8>,
    after_signature: &'static [u8],
    after: &'static [u8],
}

impl Make {
    fn of(of: Type) -> Self {
        Self {
            of,
            magic: b"SSHSIG",
            version: 1,
            wire: of.wire(),
            namespace: NAMESPACE,
            signed_namespace: NAMESPACE,
            reserved: b"",
            hash: "sha512",
            algorithm: of.name(),
            flags: 1,
            high_s: false,
            numbers: |n| n,
            after_signature: b"",
            after: b"",
        }
    }

    fn blob(&self, message: &[u8]) -> Vec<u8> {
        let hash =
            if self.hash == "sha256" { Sha256::digest(message).to_vec() } else { Sha512::digest(message).to_vec() };
        let fields = [self.signed_namespace.as_bytes(), self.reserved, self.hash.as_bytes(), &hash];
        let mut signed = [b"SSHSIG".to_vec(), fields.map(string).concat()].concat();
        let counter = 7u32.to_be_bytes();
        if self.of.is_sk() {
            signed = [&Sha256::digest(b"ssh:")[..], &[self.flags], &counter, &Sha256::digest(&signed)].concat();
        }
        let numbers = match self.of.secret() {
            SigningKey::Ed25519(k) => k.sign(&signed).to_bytes().to_vec(),
            SigningKey::Es256(k) => {
                let s: p256::ecdsa::Signature = k.sign(&signed);
                let low = s.normalize_s();
                let s = if self.high_s { -*low.s() } else { *low.s() };
                [mpint(&low.r().to_bytes()), mpint(&s.to_bytes())].concat()
            }
        };
        let mut signature = [string(self.algorithm.as_bytes()), string(&(self.numbers)(numbers))].concat();
        if self.of.is_sk() {
            signature.push(self.flags);
            signature.extend(counter);
        }
        signature.extend(self.after_signature);
        let mut out = [self.magic, &self.version.to_be_bytes()].concat();
        for field in [&self.wire[..], self.namespace.as_bytes(), self.reserved, self.hash.as_bytes(), &signature] {
            out.extend(string(field));
        }
        out.extend(self.after);
        out
    }

    fn verifies(&self) -> bool {
        self.of.key().verifies(MESSAGE, &self.blob(MESSAGE))
    }
}

/// Made with `ssh-keygen -Y sign -n statement@escrow.v1` of OpenSSH 9.2 over `escrow`: the line of the
/// `.pub` file, and what stands between the armour lines of the `.sig` file.
const STOCK: [(&str, &str); 2] = [
    (
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFaBDWsjQ9WKWb7FQcr3L37t8F3PDlMZNk4Z4TPgXu0v comment of two",
        "U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAgVoENayND1YpZvsVByvcvfu3wXc8OUxk2ThnhM+Be7S8AAAATc3RhdGVtZW50\
         QGVzY3Jvdy52MQAAAAAAAAAGc2hhNTEyAAAAUwAAAAtzc2gtZWQyNTUxOQAAAECRV3gG+uPTFWSHvpRv5R1CfFnEZpZ3DqMhduQK6D3r\
         +feBHMGLh6stWBTfmzXxVrkVVIC1cVK/eyd8hvClvVQG",
    ),
    (
        "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBA6FWUHBrlFEJTG6aCegp/ai1D4n/6a2\
         5gh8HYyvGfTHlohzNLuJRsB6xDjAC1pVAV2Hh1bn013nErDFZ1nf+0k=",
        "U1NIU0lHAAAAAQAAAGgAAAATZWNkc2Etc2hhMi1uaXN0cDI1NgAAAAhuaXN0cDI1NgAAAEEEDoVZQcGuUUQlMbpoJ6Cn9qLUPif/prbm\
         CHwdjK8Z9MeWiHM0u4lGwHrEOMALWlUBXYeHVufTXecSsMVnWd/7SQAAABNzdGF0ZW1lbnRAZXNjcm93LnYxAAAAAAAAAAZzaGE1MTIA\
         AABkAAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAABJAAAAIDc15U00oUyVN9YUwIMGjC6CTlCUsnSbNwTnvsPordnDAAAAIQCj47TjN2HE\
         hQIGFhm+wxSlr28bc8NcH7F1f4+NPPkuTw==",
    ),
];

#[test]
fn signatures_of_stock_openssh_verify() {
    for (line, sig) in STOCK {
        let key = SshKey::from_pub_line(line).unwrap();
        assert!(line.starts_with(&key.pub_line()));
        assert!(key.verifies(MESSAGE, &unb64(sig)), "{line}");
        assert!(!key.verifies(b"escroW", &unb64(sig)), "{line}");
    }
}

/// Every bit of signature, key and message, for each type. The odds that another ECDSA signature
/// verifies by chance are 2^-128 at best.
#[test]
fn any_flipped_bit_is_refused() {
    for of in TYPES {
        let (key, blob, wire) = (of.key(), Make::of(of).blob(MESSAGE), of.wire());
        assert!(key.verifies(MESSAGE, &blob), "{of:?}");
        let flipped = |bytes: &[u8], bit: usize| {
            let mut out = bytes.to_vec();
            out[bit / 8] ^= 1 << (bit % 8);
            out
        };
        for bit in 0..blob.len() * 8 {
            assert!(!key.verifies(MESSAGE, &flipped(&blob, bit)), "{of:?}: bit {bit} of the signature");
        }
        for bit in 0..MESSAGE.len() * 8 {
            assert!(!key.verifies(&flipped(MESSAGE, bit), &blob), "{of:?}: bit {bit} of the message");
        }
        let mut parsed = 0;
        for bit in 0..wire.len() * 8 {
            let other = flipped(&wire, bit);
            let Ok(key) = SshKey::from_wire(&other) else { continue };
            parsed += 1;
            assert_eq!(key.wire(), other);
            let inside = Make { wire: other, ..Make::of(of) }.blob(MESSAGE);
            assert!(!key.verifies(MESSAGE, &blob) && !key.verifies(MESSAGE, &inside), "{of:?}: bit {bit} of the key");
        }
        // Half of all 32-byte strings are points of Ed25519; no neighbour of a P-256 point is one.
        assert_eq!(parsed > 0, !of.is_ecdsa(), "{of:?}");
        for cut in 0..blob.len() {
            assert!(!key.verifies(MESSAGE, &blob[..cut]), "{of:?}: cut at {cut}");
        }
        for cut in 0..wire.len() {
            assert!(SshKey::from_wire(&wire[..cut]).is_err(), "{of:?}: cut at {cut}");
        }
    }
}

#[test]
fn each_field_has_one_accepted_value() {
    for of in TYPES {
        let m = || Make::of(of);
        let refused: Vec<(&str, Make)> = vec![
            ("magic", Make { magic: b"SSHSIH", ..m() }),
            ("version 0", Make { version: 0, ..m() }),
            ("version 2", Make { version: 2, ..m() }),
            ("another key inside", Make { wire: of.wire_of(&of.stranger(), b"ssh:"), ..m() }),
            ("key with a tail", Make { wire: [of.wire(), vec![0]].concat(), ..m() }),
            ("namespace file", Make { namespace: "file", signed_namespace: "file", ..m() }),
            ("namespace git", Make { namespace: "git", signed_namespace: "git", ..m() }),
            ("empty namespace", Make { namespace: "", signed_namespace: "", ..m() }),
            (
                "longer namespace",
                Make { namespace: "statement@escrow.v11", signed_namespace: "statement@escrow.v11", ..m() },
            ),
            ("namespace only named", Make { signed_namespace: "file", ..m() }),
            ("namespace only signed", Make { namespace: "file", ..m() }),
            ("something reserved", Make { reserved: b"\0", ..m() }),
            ("sha256", Make { hash: "sha256", ..m() }),
            ("unknown hash", Make { hash: "sha384", ..m() }),
            ("no signature type", Make { algorithm: "", ..m() }),
            ("signature with a tail", Make { after_signature: b"\0", ..m() }),
            ("numbers with a tail", Make { numbers: |n| [n, vec![0]].concat(), ..m() }),
            ("numbers cut", Make { numbers: |n| n[..n.len() - 1].to_vec(), ..m() }),
            ("no numbers", Make { numbers: |_| vec![], ..m() }),
            ("blob with a tail", Make { after: b"\0", ..m() }),
            ("a second blob", Make { after: b"SSHSIG", ..m() }),
        ];
        assert!(m().verifies());
        for (name, make) in refused {
            assert!(!make.verifies(), "{of:?}: {name}");
        }
        for other in TYPES.into_iter().filter(|o| *o != of) {
            assert!(!Make { algorithm: other.name(), ..m() }.verifies(), "{of:?} signed as {other:?}");
            assert!(!of.key().verifies(MESSAGE, &Make::of(other).blob(MESSAGE)), "{of:?} for {other:?}");
        }
        let long = Make::of(of).blob(MESSAGE);
        let long = [long.clone(), vec![0; SSHSIG_MAX + 1 - long.len()]].concat();
        assert!(!of.key().verifies(MESSAGE, &long) && !of.key().verifies(MESSAGE, b""));
    }
}

#[test]
fn a_security_key_was_touched() {
    for of in [SkEd25519, SkEcdsa] {
        // Bit 0 user present; 2 user verified; 3, 4 backup; 6 attested data; 7 extensions.
        for flags in 0..=u8::MAX {
            let accepted = flags & 0x01 != 0 && flags & 0xc0 == 0;
            assert_eq!(Make { flags, ..Make::of(of) }.verifies(), accepted, "{of:?}, flags {flags:#04x}");
        }
    }
}

#[test]
fn either_s_counts_and_integers_are_minimal() {
    for of in [Ecdsa, SkEcdsa] {
        assert!(Make { high_s: true, ..Make::of(of) }.verifies(), "devices emit both");
        let longer = |n: Vec<u8>| {
            let (r, s) = two(&n);
            [string(&[&[0], r].concat()), string(s)].concat()
        };
        let zero = |n: Vec<u8>| [string(two(&n).0), string(b"")].concat();
        let zero_byte = |n: Vec<u8>| [string(two(&n).0), string(&[0])].concat();
        let unsigned = |n: Vec<u8>| {
            let (r, s) = two(&n);
            [string(r), string(s.strip_prefix(&[0]).unwrap_or(s))].concat()
        };
        let order = |n: Vec<u8>| {
            let n256 = hex::decode("00ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551").unwrap();
            [string(&n256), string(two(&n).1)].concat()
        };
        let fixed = |n: Vec<u8>| {
            let (r, s) = two(&n);
            let pad = |x: &[u8]| [vec![0; 40 - x.len()], x.to_vec()].concat();
            [pad(r), pad(s)].concat()
        };
        for (name, numbers) in [
            ("leading zero", longer as fn(Vec<u8>) -> Vec<u8>),
            ("s of no bytes", zero),
            ("s of a zero", zero_byte),
            ("r is the order", order),
            ("not integers", fixed),
        ] {
            assert!(!Make { numbers, ..Make::of(of) }.verifies(), "{of:?}: {name}");
        }
        // A high S needs its sign byte: without, it is a negative integer.
        assert!(!Make { high_s: true, numbers: unsigned, ..Make::of(of) }.verifies(), "{of:?}: negative");
    }
}

fn two(numbers: &[u8]) -> (&[u8], &[u8]) {
    let mut r = sshsig::Reader::new(numbers);
    (r.string().unwrap(), r.string().unwrap())
}

#[test]
fn a_key_has_one_encoding() {
    let ed = ed25519(1).public().raw();
    let ec = es256(2).public().raw();
    let compressed = [&[2 + (ec[64] & 1)], &ec[1..33]].concat();
    let mut off_curve = ec.clone();
    off_curve[64] ^= 1;
    let (mut identity, mut twin) = ([0u8; 32], [0xffu8; 32]);
    (identity[0], twin[0], twin[31]) = (1, 0xee, 0x7f);
    let curve = |name: &[u8]| [string(b"ecdsa-sha2-nistp256"), string(name), string(&ec)].concat();
    let long = "ssh:".to_owned() + &"a".repeat(SSH_KEY_MAX);
    let table: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", vec![]),
        ("small order", Ed25519.wire_of(&identity, b"")),
        ("not canonical", SkEd25519.wire_of(&twin, b"ssh:")),
        ("31 bytes", Ed25519.wire_of(&ed[..31], b"")),
        ("33 bytes", Ed25519.wire_of(&[&ed[..], &[0]].concat(), b"")),
        ("compressed", Ecdsa.wire_of(&compressed, b"")),
        ("off the curve", SkEcdsa.wire_of(&off_curve, b"ssh:")),
        ("infinity", Ecdsa.wire_of(&[0], b"")),
        ("another curve", curve(b"nistp384")),
        ("no curve", curve(b"")),
        ("a tail", [Ed25519.wire(), vec![0]].concat()),
        ("an application without a security key", [Ed25519.wire(), string(b"ssh:")].concat()),
        ("a security key without application", [string(SkEd25519.name().as_bytes()), string(&ed)].concat()),
        ("application of a web site", SkEd25519.wire_of(&ed, b"https://acme.example")),
        ("no application", SkEd25519.wire_of(&ed, b"")),
        ("application that is no text", SkEd25519.wire_of(&ed, b"ssh:\xff")),
        ("long application", SkEcdsa.wire_of(&ec, long.as_bytes())),
        ("rsa", [string(b"ssh-rsa"), string(&[1, 0, 1]), string(&[0x7f; 256])].concat()),
        ("certificate", [string(b"ssh-ed25519-cert-v01@openssh.com"), string(&ed)].concat()),
    ];
    for (name, wire) in table {
        assert!(SshKey::from_wire(&wire).is_err(), "{name}");
        assert!(format!("sshsig:{}", b64(&wire)).parse::<PublicKey>().is_err(), "{name}");
    }
    for of in TYPES {
        let key = of.key();
        assert_eq!(key.to_string(), format!("sshsig:{}", b64(&of.wire())));
        assert_eq!((key.method(), key.encoded()), ("sshsig", of.wire()));
        let line = format!("{} {}", of.name(), b64(&of.wire()));
        assert_eq!(SshKey::from_pub_line(&format!("{line} ann@laptop\n")).map(PublicKey::SshSig), Ok(key));
        let other = TYPES.into_iter().find(|o| *o != of).unwrap();
        assert!(SshKey::from_pub_line(&line.replace(of.name(), other.name())).is_err());
        assert!(SshKey::from_pub_line(of.name()).is_err() && SshKey::from_pub_line("").is_err());
    }
}

/// One private key under several methods: different names, the same raw key, and an order that
/// agrees with equality.
#[test]
fn one_private_key_is_one_raw_key() {
    for (plain, types) in [(ed25519(1).public(), [Ed25519, SkEd25519]), (es256(2).public(), [Ecdsa, SkEcdsa])] {
        let elsewhere = types[1].wire_of(&plain.raw(), b"ssh:other");
        let elsewhere = PublicKey::SshSig(SshKey::from_wire(&elsewhere).unwrap());
        let all = [plain.clone(), types[0].key(), types[1].key(), elsewhere];
        assert!(all.iter().all(|k| k.raw() == plain.raw()));
        assert_eq!(all.iter().map(PublicKey::id).collect::<BTreeSet<_>>().len(), 4);
        assert_eq!(all.iter().cloned().collect::<BTreeSet<_>>().len(), 4);
        assert_eq!(all.iter().cloned().collect::<std::collections::HashSet<_>>().len(), 4);
        for (a, b) in all.iter().flat_map(|a| all.iter().map(move |b| (a, b))) {
            assert_eq!(a == b, a.cmp(b).is_eq());
            assert_eq!(a == b, a.digest() == b.digest());
        }
    }
}

#[test]
fn an_envelope_is_signed_by_another_program() {
    let statement = decision();
    for of in TYPES {
        let key = of.key();
        let make = |pae: &[u8]| Ok::<_, EnvelopeError>(Make::of(of).blob(pae));
        let envelope = Envelope::sign_with(&statement, &key, make).unwrap();
        let lookup = |_: &String| vec![key.clone()];
        assert_eq!(envelope.signers(lookup).unwrap(), std::slice::from_ref(&key));
        let message = pae(&escrow_core::decision::Decision::KIND.payload_type(), envelope.payload());
        assert!(key.verifies(&message, &Make::of(of).blob(&message)));
        assert_eq!(envelope.countersign_with(&key, make), Err(EnvelopeError::SignedTwice(key.id())));
        let wrong = |_: &[u8]| Ok(Make::of(of).blob(b"something else"));
        let bad = Err(EnvelopeError::BadSignature(key.id()));
        assert_eq!(Envelope::sign_with(&statement, &key, wrong), bad, "never used unverified");
        let stranger = Envelope::sign(&statement, &[&ed25519(9)]).unwrap();
        assert_eq!(stranger.countersign_with(&key, wrong), bad);
        let refused = |_: &[u8]| Err(EnvelopeError::SignatureCount);
        assert_eq!(Envelope::sign_with(&statement, &key, refused), Err(EnvelopeError::SignatureCount));

        // The same private key under two methods is one signer.
        let twice = Envelope::sign(&statement, &[&of.secret()]).unwrap().countersign_with(&key, make).unwrap();
        let both = [of.secret().public(), key.clone()];
        let lookup = |id: &String| both.iter().filter(|k| k.id() == *id).cloned().collect();
        assert_eq!(twice.signers(lookup), Err(EnvelopeError::SignedTwice(key.id())));
        let two = stranger.countersign_with(&key, make).unwrap();
        let known = [ed25519(9).public(), key.clone()];
        let lookup = |id: &String| known.iter().filter(|k| k.id() == *id).cloned().collect();
        assert_eq!(two.signers(lookup).unwrap(), known);
    }
}
