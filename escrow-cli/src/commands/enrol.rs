//! `escrow enrol`: registrars bind devices to subjects.

use super::keygen::PublicDevice;
use crate::failure::Failure;
use crate::help::examples;
use crate::output::Shown;
use crate::quorum::{Waiting, countersigned, submit_or_keep};
use crate::session::{Global, Session};
use crate::when;
use clap::Args;
use escrow_client::archive::Directory;
use escrow_client::now;
use escrow_core::enrolment;
use escrow_core::enrolment::Enrolment;
use std::path::{Path, PathBuf};

/// Arguments of `enrol`.
#[derive(Debug, Args)]
#[command(before_help = examples![
    "escrow enrol phone.key.pub.json --subject +491701234567 --name Ann",
    "escrow enrol --countersign enrolment-3f1c90aa.json",
])]
pub struct Enrol {
    /// Public files of the devices, from `keygen device`
    #[arg(required_unless_present = "countersign")]
    pub devices: Vec<PathBuf>,
    /// The subject of each device, in the same order; not needed for subjects in the directory
    #[arg(long, value_name = "ID")]
    pub subject: Vec<String>,
    /// What colleagues call them, in the same order
    #[arg(long)]
    pub name: Vec<String>,
    /// How long the enrolment lasts
    #[arg(long, value_name = "SPAN", default_value = "365d")]
    pub lasts: String,
    /// Several registrars
    #[command(flatten)]
    pub waiting: Waiting,
}

/// Runs `enrol`.
///
/// # Errors
/// [`Failure`].
pub async fn run(global: &Global, a: &Enrol) -> Result<Shown, Failure> {
    let session = Session::open(global)?;
    let client = session.client().await?;
    let envelope = match &a.waiting.countersign {
        Some(file) => countersigned(&client, file)?,
        None => {
            let devices = known_devices(&session, a)?;
            let from = now().plus_seconds(-60); // the nodes' clocks may be behind this one
            client.enrolment(devices, from, from.plus_seconds(when::span(&a.lasts)?))?
        }
    };
    let enrolled: Enrolment = envelope.decode()?;
    let need = client.charters().current().registrar_quorum;
    let quorum = client.quorum(&envelope, "registrar", need)?;
    let shown = Shown::new("escrow.enrol.v1").table(&["device", "subject", "until"], rows(&session, &enrolled)?);
    submit_or_keep(&client, &envelope, &quorum, &a.waiting, shown).await
}

fn rows(session: &Session, enrolled: &Enrolment) -> Result<Vec<Vec<String>>, Failure> {
    let directory = session.directory()?;
    let row = |d: &enrolment::Device| {
        vec![d.key.id(), crate::session::subject_name(&directory, &d.subject), enrolled.until.to_string()]
    };
    Ok(enrolled.devices.iter().map(row).collect())
}

/// Reads the devices and makes sure that each token is the subject's that it is said to be: a
/// registrar vouches for exactly this.
fn known_devices(session: &Session, a: &Enrol) -> Result<Vec<enrolment::Device>, Failure> {
    if !a.subject.is_empty() && a.subject.len() != a.devices.len() {
        return Err(Failure::usage("name one --subject for each device, in the same order"));
    }
    if a.name.len() > a.subject.len() {
        return Err(Failure::usage("a --name goes with a --subject"));
    }
    let devices = a.devices.iter().map(|f| read_device(f)).collect::<Result<Vec<_>, _>>()?;
    if a.subject.is_empty() {
        let directory = session.directory()?;
        for (file, d) in a.devices.iter().zip(&devices) {
            if directory.subject_of(&d.subject).is_none() {
                let what = format!("{} is of a subject that is not known here", file.display());
                return Err(
                    Failure::usage(what).next("say whose device it is with --subject ID; the token is then compared")
                );
            }
        }
        return Ok(devices);
    }
    let tokens = session.token_key()?;
    for ((file, d), id) in a.devices.iter().zip(&devices).zip(&a.subject) {
        if d.subject.version == tokens.version() && d.subject != tokens.subject(id) {
            return Err(Failure::usage(format!("{} is another subject's device than {id:?}", file.display())));
        }
    }
    let mut names = a.name.iter();
    Directory::update(&session.context.directory, session.org(), |directory| {
        for (d, id) in devices.iter().zip(&a.subject) {
            directory.add_subject(id, names.next().map(String::as_str), d.subject)?;
        }
        Ok(())
    })?;
    Ok(devices)
}

fn read_device(file: &Path) -> Result<enrolment::Device, Failure> {
    let bytes = std::fs::read(file).map_err(|e| Failure::usage(format!("cannot read {}: {e}", file.display())))?;
    let public: PublicDevice = serde_json::from_slice(&bytes)
        .map_err(|e| Failure::usage(format!("{} is no device's public file: {e}", file.display())))?;
    if public.schema == PublicDevice::SCHEMA {
        Ok(public.device)
    } else {
        Err(Failure::usage(format!("{} has schema {:?}", file.display(), public.schema)))
    }
}
