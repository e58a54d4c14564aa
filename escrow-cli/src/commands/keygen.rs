//! `escrow keygen`: key files, and beside each the public half to hand over.

use crate::context::replace;
use crate::failure::Failure;
use crate::help::examples;
use crate::output::Shown;
use crate::session::{Global, Session};
use clap::{Args, Subcommand, ValueEnum};
use escrow_client::archive::Directory;
use escrow_client::{
    Device, Identity, KeyFileError, Officer, Passphrase, decrypt_key_file, encrypt_key_file, is_encrypted,
    save_token_key,
};
use escrow_core::charter::SealingKey;
use escrow_core::sealing::Suite;
use escrow_core::sshsig::SshKey;
use escrow_core::{PersonId, PublicKey, TokenKey, enrolment};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What to make keys for.
#[derive(Debug, Subcommand)]
pub enum Keygen {
    /// Keys of a person of the charter
    #[command(
        before_help = examples![
            "escrow keygen officer legal-1 --out legal-1.key --encrypt",
            "escrow keygen officer legal-1 --ssh-key legal-1.pub --out legal-1.key",
        ],
        after_help = "An SSH key may be in a FIDO security key: ssh-keygen -t ed25519-sk -f legal-1"
    )]
    Officer(OfficerArgs),
    /// Keys of a subject's device
    #[command(before_help = examples![
        "escrow keygen device --subject +491701234567 --token-key token.key --out phone.key",
        "escrow keygen device --subject +491701234567 --name Ann --out phone.key --encrypt",
    ])]
    Device(DeviceArgs),
    /// The organisation's token key: who has it can tell who is behind a token
    #[command(before_help = examples![
        "escrow keygen token-key --out token.key",
        "escrow keygen token-key --version 2 --out token-2.key --encrypt",
    ])]
    TokenKey(TokenArgs),
    /// Encrypt an existing key file under a passphrase, in its place
    #[command(before_help = examples![
        "escrow keygen encrypt legal-1.key",
        "escrow keygen encrypt legal-1.key --passphrase-file passphrase.txt",
    ])]
    Encrypt {
        /// The key file
        file: PathBuf,
    },
    /// Put an encrypted key file in clear, in its place
    #[command(before_help = examples![
        "escrow keygen decrypt legal-1.key",
        "pass show escrow | escrow keygen decrypt legal-1.key --passphrase-fd 0",
    ])]
    Decrypt {
        /// The key file
        file: PathBuf,
    },
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
    /// Encrypt the key file under a passphrase (an age file)
    #[arg(long)]
    pub encrypt: bool,
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
    /// Encrypt the key file under a passphrase (an age file)
    #[arg(long)]
    pub encrypt: bool,
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
    /// Encrypt the key file under a passphrase (an age file)
    #[arg(long)]
    pub encrypt: bool,
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
        Keygen::Officer(a) => officer(global, a),
        Keygen::Device(a) => device(global, a),
        Keygen::TokenKey(a) => token_key(global, a),
        Keygen::Encrypt { file } => encrypt(global, file),
        Keygen::Decrypt { file } => decrypt(global, file),
    }
}

/// The passphrase of a new key file, if it is to have one. Asked for before any key is made.
fn passphrase(global: &Global, wanted: bool, out: &Path) -> Result<Option<Arc<Passphrase>>, Failure> {
    wanted.then(|| global.passphrases.fresh(out)).transpose()
}

fn save(identity: &Identity, out: &Path, passphrase: Option<&Passphrase>) -> Result<(), Failure> {
    let saved = match passphrase {
        Some(p) => identity.save_new_encrypted(out, p),
        None => identity.save_new(out),
    };
    Ok(saved?)
}

/// How a key file is kept, in a few words.
fn kept(encrypted: bool) -> &'static str {
    if encrypted { "encrypted, mode 0600" } else { "mode 0600" }
}

fn encrypt(global: &Global, file: &Path) -> Result<Shown, Failure> {
    // Before anybody types a passphrase for nothing.
    if is_encrypted(file)? {
        return Err(KeyFileError::Encrypted(file.to_owned()).into());
    }
    encrypt_key_file(file, &*global.passphrases.fresh(file)?)?;
    Ok(Shown::new("escrow.keygen.encrypt.v1")
        .text(format!("{} is encrypted now (an age file). Without the passphrase the key is lost.", file.display()))
        .text("Copies and backups made before still hold it in clear, and so may free blocks of the disk.")
        .with("file", file.display().to_string())
        .with("encrypted", true))
}

fn decrypt(global: &Global, file: &Path) -> Result<Shown, Failure> {
    decrypt_key_file(file, &|path| global.passphrases.of(path))?;
    Ok(Shown::new("escrow.keygen.encrypt.v1")
        .text(format!("{} is in clear now (mode 0600): whoever reads it has the key.", file.display()))
        .with("file", file.display().to_string())
        .with("encrypted", false))
}

fn officer(global: &Global, a: &OfficerArgs) -> Result<Shown, Failure> {
    let passphrase = passphrase(global, a.encrypt, &a.out)?;
    let suite = a.recipient.then(|| a.suite.into());
    let officer = match &a.ssh_key {
        Some(file) => Officer::with_ssh_key(a.person.clone(), ssh_key(file)?, suite),
        None => Officer::generate(a.person.clone(), suite),
    };
    let public = PublicOfficer::of(&officer);
    save(&Identity::Officer(officer), &a.out, passphrase.as_deref())?;
    let file = write_public(&a.out, &public)?;
    let where_from = match &a.ssh_key {
        Some(_) => format!("{} names the SSH key of {}; ssh-agent signs with it.", a.out.display(), a.person),
        None => format!("Keys of {} are in {} ({}).", a.person, a.out.display(), kept(a.encrypt)),
    };
    Ok(Shown::new("escrow.keygen.v1")
        .text(where_from)
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
        (Some(file), _) => global.token_key(file)?,
        (None, Some(s)) => s.token_key()?,
        (None, None) => return Err(Failure::usage("name the token key with --token-key")),
    };
    let passphrase = passphrase(global, a.encrypt, &a.out)?;
    let subject = tokens.subject(&a.subject);
    let device = Device::generate(subject, a.suite.into());
    let public = PublicDevice { schema: PublicDevice::SCHEMA.into(), device: device.public() };
    save(&Identity::Device(device), &a.out, passphrase.as_deref())?;
    let file = write_public(&a.out, &public)?;
    if let Some(s) = session {
        Directory::update(&s.context.directory, s.org(), |d| d.add_subject(&a.subject, a.name.as_deref(), subject))?;
    }
    Ok(Shown::new("escrow.keygen.v1")
        .text(format!("Keys of the device are in {} ({}).", a.out.display(), kept(a.encrypt)))
        .text(format!("For the registrars: {}", file.display()))
        .with("file", a.out.display().to_string())
        .with("public_file", file.display().to_string())
        .with("key", public.device.key.to_string()))
}

fn token_key(global: &Global, a: &TokenArgs) -> Result<Shown, Failure> {
    let passphrase = passphrase(global, a.encrypt, &a.out)?;
    save_token_key(&TokenKey::generate(a.version), &a.out, passphrase.as_deref())?;
    Ok(Shown::new("escrow.keygen.v1")
        .text(format!("The token key, version {}, is in {} ({}).", a.version, a.out.display(), kept(a.encrypt)))
        .text("Give it to enrolled clients and officers' machines, never to nodes.")
        .with("file", a.out.display().to_string()))
}

fn write_public<T: Serialize>(key: &Path, public: &T) -> Result<PathBuf, Failure> {
    let file = public_path(key);
    let text = serde_json::to_string_pretty(public).map_err(|e| Failure::unexpected(e.to_string()))?;
    replace(&file, format!("{text}\n").as_bytes())?;
    Ok(file)
}
