//! `escrow revoke`: an enrolment, a device's key or a person's key ends, at once and for good.

use super::keygen::{PublicDevice, PublicOfficer};
use crate::failure::Failure;
use crate::help::examples;
use crate::output::Shown;
use crate::quorum::{Waiting, countersigned, submit_or_keep, with_receipts};
use crate::session::{Global, Session};
use clap::Args;
use escrow_core::enrolment::{Revocation, Revoked};
use escrow_core::{Code, Digest, PublicKey};
use std::path::{Path, PathBuf};

/// Arguments of `revoke`.
#[derive(Debug, Args)]
#[command(before_help = examples![
    "escrow revoke --device phone.key.pub.json --reason lost",
    "escrow revoke --countersign revocation-3f1c90aa.json",
])]
pub struct Revoke {
    /// Public file of the device or officer whose key ends
    #[arg(long, value_name = "FILE", group = "what")]
    pub device: Option<PathBuf>,
    /// The key itself, such as ed25519:...
    #[arg(long, value_name = "KEY", group = "what")]
    pub key: Option<PublicKey>,
    /// A whole enrolment statement
    #[arg(long, value_name = "DIGEST", group = "what")]
    pub enrolment: Option<Digest>,
    /// A code for the reason; no names
    #[arg(long, default_value = "unspecified")]
    pub reason: Code,
    /// Several registrars or administrators
    #[command(flatten)]
    pub waiting: Waiting,
}

/// Runs `revoke`.
///
/// # Errors
/// [`Failure`].
pub async fn run(global: &Global, a: &Revoke) -> Result<Shown, Failure> {
    let session = Session::open(global)?;
    let client = session.client().await?;
    let envelope = match (&a.waiting.countersign, what(a)?) {
        (Some(file), None) => countersigned(&client, file)?,
        (None, Some(revoked)) => client.revocation(revoked, a.reason.clone())?,
        _ => {
            return Err(Failure::usage(
                "say what to revoke: --device, --key or --enrolment; or --countersign a colleague's",
            ));
        }
    };
    let revocation: Revocation = envelope.decode()?;
    let what = match &revocation.revokes {
        Revoked::Enrolment(d) => format!("enrolment {}", d.short()),
        Revoked::Key(k) => format!("key {}", k.id()),
    };
    let shown = Shown::new("escrow.revoke.v1").text(format!("Revokes {what}."));
    let charter = client.charters().current();
    let registrars = client.quorum(&envelope, "registrar", charter.registrar_quorum)?;
    let admins = client.quorum(&envelope, "admin", charter.admin_quorum)?;
    if registrars.met() || admins.met() {
        let submitted = client.submit(&envelope).await?;
        return Ok(with_receipts(shown, &client, &submitted).text(
            "Nodes that know it take nothing more from what was revoked, and tell their peers before any release.",
        ));
    }
    let nearer = if admins.signed.len() > registrars.signed.len() { admins } else { registrars };
    submit_or_keep(&client, &envelope, &nearer, &a.waiting, shown).await
}

fn what(a: &Revoke) -> Result<Option<Revoked>, Failure> {
    Ok(match (&a.device, &a.key, &a.enrolment) {
        (Some(file), _, _) => Some(Revoked::Key(key_of(file)?)),
        (_, Some(key), _) => Some(Revoked::Key(key.clone())),
        (_, _, Some(digest)) => Some(Revoked::Enrolment(*digest)),
        _ => None,
    })
}

fn key_of(file: &Path) -> Result<PublicKey, Failure> {
    let bytes = std::fs::read(file).map_err(|e| Failure::usage(format!("cannot read {}: {e}", file.display())))?;
    if let Ok(device) = serde_json::from_slice::<PublicDevice>(&bytes) {
        return Ok(device.device.key);
    }
    serde_json::from_slice::<PublicOfficer>(&bytes)
        .map(|o| o.key)
        .map_err(|e| Failure::usage(format!("{} is no public key file: {e}", file.display())))
}
