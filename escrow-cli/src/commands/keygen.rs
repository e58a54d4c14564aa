//! `escrow keygen`: key files, and beside each the public half to hand over.

use crate::context::replace;
use crate::failure::Failure;
use crate::output::Shown;
use crate::session::{Global, Session};
use clap::{Args, Subcommand, ValueEnum};
use escrow_client::archive::Directory;
use escrow_client::{Device, Identity, Officer, load_token_key, save_token_key};
use escrow_core::charter::SealingKey;
use escrow_core::sealing::Suite;
use escrow_core::sshsig::SshKey;
use escrow_core::{PersonId, PublicKey, TokenKey, enrolment};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What to make keys for.
#[derive(Debug, Subcommand)]
pub enum Keygen {
    /// Keys of a person of the charter
    #[command(after_help = "Examples:
  escrow keygen officer legal-1 --out legal-1.key
  ssh-keygen -t ed25519-sk -f legal-1   (a FIDO security key) or ssh-keygen -t ed25519 -f legal-1
  escrow keygen officer legal-1 --ssh-key legal-1.pub --out legal-1.key")]
    Officer(OfficerArgs),
    /// Keys of a subject's device
    #[command(
        after_help = "Example: escrow keygen device --subject +491701234567 --token-key token.key --out phone.key"
    )]
    Device(DeviceArgs),
    /// The organisation's token key: who has it can tell who is behind a token
    TokenKey(TokenArgs),
}

/// HPKE suites.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum SuiteArg {
    /// X25519 with ML-KEM-768
    #[default]
    Xwing,
    /// P-256 with ML-KEM-768
    Mlkem768P256,
}

impl From<SuiteArg> for Suite {
    fn from(s: SuiteArg) -> Self {
        match s {
            SuiteArg::Xwing => Self::XWing,
            SuiteArg::Mlkem768P256 => Self::MlKem768P256,
        }
    }
}

/// Arguments of `keygen officer`.
#[derive(Debug, Args)]
pub struct OfficerArgs {
    /// Id in the charter, such as legal-1
    pub person: PersonId,
    /// New key file; FILE.pub.json beside it is for the charter's draft
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Sign with this key, which ssh-agent holds: ed25519, ecdsa nistp256, ed25519-sk or ecdsa-sk
    #[arg(long, value_name = "FILE.pub")]
    pub ssh_key: Option<PathBuf>,
    /// Also a sealing key: this person may receive releases
    #[arg(long)]
    pub recipient: bool,
    /// Suite of the sealing key
    #[arg(long, value_enum, default_value_t)]
    pub suite: SuiteArg,
}

/// Arguments of `keygen device`.
#[derive(Debug, Args)]
pub struct DeviceArgs {
    /// The subject's id, as the messenger writes it
    #[arg(long, value_name = "ID")]
    pub subject: String,
    /// What colleagues call them, for the local directory
    #[arg(long)]
    pub name: Option<String>,
    /// New key file; FILE.pub.json beside it is for the registrars
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// The organisation's token key [default: the context's]
    #[arg(long, value_name = "FILE")]
    pub token_key: Option<PathBuf>,
    /// Suite of the sealing key
    #[arg(long, value_enum, default_value_t)]
    pub suite: SuiteArg,
}

/// Arguments of `keygen token-key`.
#[derive(Debug, Args)]
pub struct TokenArgs {
    /// New key file
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Version of the key: 1, then one more at each change
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub version: u32,
}

/// The public half of an officer's keys, for the charter's draft.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicOfficer {
    /// Always [`PublicOfficer::SCHEMA`].
    pub schema: String,
    /// The person.
    pub id: PersonId,
    /// The signature key.
    pub key: PublicKey,
    /// The sealing key of a recipient.
    pub sealing: Option<SealingKey>,
}

impl PublicOfficer {
    /// Schema of the file.
    pub const SCHEMA: &str = "escrow.officer.v1";

    /// Of an officer's key file.
    pub fn of(officer: &Officer) -> Self {
        Self {
            schema: Self::SCHEMA.into(),
            id: officer.person.clone(),
            key: officer.signing.public(),
            sealing: officer.sealing.as_ref().map(|s| s.public().clone()),
        }
    }
}

/// The public half of a device's keys, for the registrars.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicDevice {
    /// Always [`PublicDevice::SCHEMA`].
    pub schema: String,
    /// What is enrolled.
    pub device: enrolment::Device,
}

impl PublicDevice {
    /// Schema of the file.
    pub const SCHEMA: &str = "escrow.device.v1";
}

/// Where the public half of a key file lies.
pub fn public_path(key: &Path) -> PathBuf {
    let mut name = key.as_os_str().to_owned();
    name.push(".pub.json");
    name.into()
}

/// Runs `keygen`.
///
/// # Errors
/// [`Failure`].
pub fn run(global: &Global, command: &Keygen) -> Result<Shown, Failure> {
    match command {
        Keygen::Officer(a) => officer(a),
        Keygen::Device(a) => device(global, a),
        Keygen::TokenKey(a) => token_key(a),
    }
}

fn officer(a: &OfficerArgs) -> Result<Shown, Failure> {
    let suite = a.recipient.then(|| a.suite.into());
    let officer = match &a.ssh_key {
        Some(file) => Officer::with_ssh_key(a.person.clone(), ssh_key(file)?, suite),
        None => Officer::generate(a.person.clone(), suite),
    };
    let public = PublicOfficer::of(&officer);
    Identity::Officer(officer).save_new(&a.out)?;
    let file = write_public(&a.out, &public)?;
    let kept = match &a.ssh_key {
        Some(_) => format!("{} names the SSH key of {}; ssh-agent signs with it.", a.out.display(), a.person),
        None => format!("Keys of {} are in {} (mode 0600).", a.person, a.out.display()),
    };
    Ok(Shown::new("escrow.keygen.v1")
        .text(kept)
        .text(format!("For the charter's draft: {}", file.display()))
        .with("file", a.out.display().to_string())
        .with("public_file", file.display().to_string())
        .with("key", public.key.to_string()))
}

fn ssh_key(file: &Path) -> Result<SshKey, Failure> {
    let text =
        std::fs::read_to_string(file).map_err(|e| Failure::usage(format!("cannot read {}: {e}", file.display())))?;
    SshKey::from_pub_line(&text).map_err(|_| {
        Failure::usage(format!("{} is no SSH public key that can sign statements", file.display()))
            .next("make one: ssh-keygen -t ed25519-sk (a FIDO security key) or ssh-keygen -t ed25519")
    })
}

fn device(global: &Global, a: &DeviceArgs) -> Result<Shown, Failure> {
    let session = if a.token_key.is_none() { Some(Session::open(global)?) } else { Session::open(global).ok() };
    let tokens = match (&a.token_key, &session) {
        (Some(file), _) => load_token_key(file)?,
        (None, Some(s)) => s.token_key()?,
        (None, None) => return Err(Failure::usage("name the token key with --token-key")),
    };
    let subject = tokens.subject(&a.subject);
    let device = Device::generate(subject, a.suite.into());
    let public = PublicDevice { schema: PublicDevice::SCHEMA.into(), device: device.public() };
    Identity::Device(device).save_new(&a.out)?;
    let file = write_public(&a.out, &public)?;
    if let Some(s) = session {
        Directory::update(&s.context.directory, s.org(), |d| d.add_subject(&a.subject, a.name.as_deref(), subject))?;
    }
    Ok(Shown::new("escrow.keygen.v1")
        .text(format!("Keys of the device are in {} (mode 0600).", a.out.display()))
        .text(format!("For the registrars: {}", file.display()))
        .with("file", a.out.display().to_string())
        .with("public_file", file.display().to_string())
        .with("key", public.device.key.to_string()))
}

fn token_key(a: &TokenArgs) -> Result<Shown, Failure> {
    save_token_key(&TokenKey::generate(a.version), &a.out)?;
    Ok(Shown::new("escrow.keygen.v1")
        .text(format!("The token key, version {}, is in {} (mode 0600).", a.version, a.out.display()))
        .text("Give it to enrolled clients and officers' machines, never to nodes.")
        .with("file", a.out.display().to_string()))
}

fn write_public<T: Serialize>(key: &Path, public: &T) -> Result<PathBuf, Failure> {
    let file = public_path(key);
    let text = serde_json::to_string_pretty(public).map_err(|e| Failure::unexpected(e.to_string()))?;
    replace(&file, format!("{text}\n").as_bytes())?;
    Ok(file)
}
