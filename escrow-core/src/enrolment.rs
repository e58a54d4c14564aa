//! Enrolment: these device keys are these subjects'. Revocation: no longer.

use crate::charter::SealingKey;
use crate::digest::{Digest, Nonce};
use crate::key::PublicKey;
use crate::limits;
use crate::statement::{Kind, rule, statement};
use crate::time::Timestamp;
use crate::token::Token;
use crate::words::{Code, Org};
use serde::{Deserialize, Serialize};

/// Binds devices to subjects. Signed by the registrar quorum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrolment {
    /// Always [`Kind::Enrolment`].
    pub kind: Kind,
    /// The organisation.
    pub org: Org,
    /// Fresh random bytes.
    pub nonce: Nonce,
    /// The charter that the registrars saw.
    pub charter: Digest,
    /// One entry a device, at least one.
    pub devices: Vec<Device>,
    /// First instant of validity.
    pub from: Timestamp,
    /// First instant after validity.
    pub until: Timestamp,
}

/// One device of one subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// Whose it is.
    pub subject: Token,
    /// Signs consents, withdrawals and deposits.
    pub key: PublicKey,
    /// Where releases to this device are sealed to.
    pub sealing: SealingKey,
}

statement!(Enrolment, Enrolment, limits::PAYLOAD_LARGE, |e| {
    rule(!e.devices.is_empty(), "no device")?;
    rule(e.devices.len() <= limits::DEVICES_PER_ENROLMENT, "too many devices in one statement")?;
    rule(e.from < e.until, "ends before it begins")?;
    // Devices are found by method and key, so each key must have one method here.
    let ssh = e.devices.iter().any(|d| matches!(d.key, crate::PublicKey::SshSig(_)));
    rule(!ssh, "the method sshsig is for people, not for devices")?;
    let mut keys: Vec<_> = e.devices.iter().map(|d| d.key.raw()).collect();
    keys.sort();
    keys.dedup();
    rule(keys.len() == e.devices.len(), "one device key twice")
});

/// Ends an enrolment, one device of it, or a person's key, at once and for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// Always [`Kind::Revocation`].
    pub kind: Kind,
    /// The organisation.
    pub org: Org,
    /// Fresh random bytes.
    pub nonce: Nonce,
    /// The charter that the signers saw.
    pub charter: Digest,
    /// What ends.
    pub revokes: Revoked,
    /// An opaque reason code.
    pub reason: Code,
    /// When it was signed.
    pub at: Timestamp,
}

/// What a revocation ends.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Revoked {
    /// A whole enrolment statement, by digest.
    Enrolment(Digest),
    /// A device's or a person's signature key, wherever it is listed.
    Key(PublicKey),
}

statement!(Revocation, Revocation, limits::PAYLOAD_SMALL, |_r| { Ok(()) });
