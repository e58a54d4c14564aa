//! What `tests/interop/sshsig.py` holds against stock OpenSSH: decisions signed through an agent, signatures
//! by software in place of a security key, and our verifier over signatures that OpenSSH made.
//!
//! ```text
//! interop-sshsig sign KEYFILE OUT      a decision; OUT.pae is what was signed, OUT.sig the armoured signature
//! interop-sshsig soft TYPE OUT         the same by a software sk- key, whose public line goes to OUT.pub
//! interop-sshsig verify PUB PAE SIG    exit status 0 if SIG is PUB's signature over PAE
//! ```

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a check that panics has failed

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use escrow_client::{Identity, now};
use escrow_core::decision::{Choice, Decision};
use escrow_core::envelope::{EnvelopeError, pae};
use escrow_core::sshsig::{self, SshKey};
use escrow_core::{Blob, Digest, Envelope, Kind, Nonce, PublicKey, SigningKey};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["sign", key_file, out] => {
            let identity = Identity::load(Path::new(key_file)).unwrap();
            match identity.sign(&decision()) {
                Ok(envelope) => write(&envelope, &identity.public(), out),
                Err(e) => {
                    eprintln!("{e}");
                    return ExitCode::FAILURE;
                }
            }
        }
        ["soft", kind, out] => {
            let (key, secret) = soft(kind);
            std::fs::write(format!("{out}.pub"), format!("{}\n", key.pub_line())).unwrap();
            let public = PublicKey::SshSig(key.clone());
            let sign = |message: &[u8]| Ok::<_, EnvelopeError>(key.blob(&device(&key, &secret, message)));
            write(&Envelope::sign_with(&decision(), &public, sign).unwrap(), &public, out);
        }
        ["verify", public, message, sig] => {
            let key = SshKey::from_pub_line(&std::fs::read_to_string(public).unwrap()).unwrap();
            let armour = std::fs::read_to_string(sig).unwrap();
            let inside: String = armour.lines().filter(|l| !l.starts_with('-')).collect();
            let Ok(blob) = STANDARD.decode(inside) else { return ExitCode::FAILURE };
            if !key.verifies(&std::fs::read(message).unwrap(), &blob) {
                return ExitCode::FAILURE;
            }
        }
        _ => panic!("see the first lines of this file"),
    }
    ExitCode::SUCCESS
}

fn decision() -> Decision {
    Decision {
        kind: Kind::Decision,
        org: "acme.example".parse().unwrap(),
        nonce: Nonce::random(),
        charter: Digest([1; 32]),
        request: Digest([2; 32]),
        by: "legal-1".parse().unwrap(),
        role: "legal".parse().unwrap(),
        choice: Choice::Approve,
        reason: "within scope".parse().unwrap(),
        at: now(),
    }
}

fn write(envelope: &Envelope, key: &PublicKey, out: &str) {
    assert_eq!(envelope.signers(|_| vec![key.clone()]).unwrap(), std::slice::from_ref(key));
    std::fs::write(format!("{out}.pae"), pae(&envelope.kind().payload_type(), envelope.payload())).unwrap();
    let json: serde_json::Value = serde_json::from_slice(envelope.bytes()).unwrap();
    let Blob(blob) = serde_json::from_value(json["signatures"][0]["sig"].clone()).unwrap();
    let armour = format!("-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n", STANDARD.encode(blob));
    std::fs::write(format!("{out}.sig"), armour).unwrap();
}

fn soft(kind: &str) -> (SshKey, SigningKey) {
    let ecdsa = kind.contains("ecdsa");
    let secret = if ecdsa { SigningKey::generate_es256() } else { SigningKey::generate_ed25519() };
    let mut wire = Vec::new();
    sshsig::put(&mut wire, kind.as_bytes());
    if ecdsa {
        sshsig::put(&mut wire, b"nistp256");
    }
    sshsig::put(&mut wire, &secret.public().raw());
    sshsig::put(&mut wire, b"ssh:");
    (SshKey::from_wire(&wire).unwrap(), secret)
}

/// What a touched security key and its middleware return.
fn device(key: &SshKey, secret: &SigningKey, message: &[u8]) -> Vec<u8> {
    let (flags, counter) = (0x01, 7u32);
    let numbers = secret.sign(&sshsig::sk_signed("ssh:", flags, counter, &sshsig::to_be_signed(message)));
    let numbers = if key.algorithm().contains("ecdsa") {
        let (r, s) = numbers.split_at(32);
        [mpint(r), mpint(s)].concat()
    } else {
        numbers
    };
    let mut out = Vec::new();
    sshsig::put(&mut out, key.algorithm().as_bytes());
    sshsig::put(&mut out, &numbers);
    out.push(flags);
    out.extend(counter.to_be_bytes());
    out
}

fn mpint(bytes: &[u8]) -> Vec<u8> {
    let digits = bytes.iter().copied().skip_while(|b| *b == 0);
    let mut digits: Vec<u8> = digits.collect();
    if digits.first().is_some_and(|b| b & 0x80 != 0) {
        digits.insert(0, 0);
    }
    let mut out = Vec::new();
    sshsig::put(&mut out, &digits);
    out
}
