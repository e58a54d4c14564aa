//! `escrow-node init`: makes a seat's keys and its public descriptor.

use crate::config::Config;
use crate::keys::SeatKeys;
use crate::unlock::{PassphraseFile, UnlockError, write_new};
use escrow_core::charter::Seat;
use escrow_core::pin::spki_pin;
use escrow_core::{Code, Org, PersonId, SeatIndex};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use std::os::unix::fs::DirBuilderExt as _;

/// What the operator says about the seat.
#[derive(Debug, Clone)]
pub struct SeatPlan {
    /// The organisation served.
    pub org: Org,
    /// Index agreed with the administrators.
    pub index: SeatIndex,
    /// Short name.
    pub name: Code,
    /// The party that runs it.
    pub operator: Code,
    /// People who operate it, by charter id.
    pub operators: Vec<PersonId>,
    /// Where it runs.
    pub jurisdiction: Code,
    /// Base URL under which the others reach it.
    pub url: String,
}

/// Why a seat cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The folder cannot be made.
    #[error("cannot create {0}: {1}")]
    Folder(std::path::PathBuf, std::io::Error),
    /// Keys cannot be sealed or written.
    #[error(transparent)]
    Keys(#[from] UnlockError),
    /// TLS keys cannot be made.
    #[error("cannot make a TLS certificate: {0}")]
    Tls(String),
    /// Keys exist already.
    #[error("{0} exists: this seat has keys already; init never overwrites them")]
    Exists(std::path::PathBuf),
}

/// Makes keys, seals them, and writes the public descriptor `seat.json`.
///
/// # Errors
/// [`InitError`]; nothing existing is overwritten.
pub fn init(config: &Config, plan: &SeatPlan) -> Result<Seat, InitError> {
    if config.key_file().exists() {
        return Err(InitError::Exists(config.key_file()));
    }
    for dir in [config.data_dir.clone(), config.deposit_keys()] {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir);
        made.map_err(|e| InitError::Folder(dir, e))?;
    }
    let keys = SeatKeys::generate().map_err(InitError::Tls)?;
    let certificate = CertificateDer::from_pem_slice(keys.tls_certificate.as_bytes());
    let pin =
        certificate.ok().and_then(|c| spki_pin(&c)).ok_or_else(|| InitError::Tls("unreadable certificate".into()))?;
    let seat = Seat {
        index: plan.index,
        name: plan.name.clone(),
        operators: plan.operators.clone(),
        operator: plan.operator.clone(),
        jurisdiction: plan.jurisdiction.clone(),
        url: plan.url.clone(),
        tls_pin: pin,
        statement_key: keys.statement.public(),
        log_origin: format!("{}/seat-{}/log/1", plan.org, plan.index),
        log_key: keys.log_public(),
        witness_key: keys.witness_public(),
        sealing: keys.sealing.public().clone(),
        previous_log_head: None,
    };
    keys.save(&config.key_file(), &PassphraseFile(config.passphrase_file.clone()))?;
    let json = serde_json::to_vec_pretty(&seat).map_err(|e| InitError::Tls(e.to_string()))?;
    write_new(&config.descriptor(), &json)?;
    Ok(seat)
}
