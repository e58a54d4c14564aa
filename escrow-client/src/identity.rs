//! Who acts: an officer of the charter, or an enrolled device. Key files are text lines, mode 0600.
//!
//! ```text
//! escrow officer key v1
//! person legal-1
//! sign ed25519-private:...
//! seal xwing-private:...
//! ```
//!
//! With `sign sshsig-agent:<base64 of the SSH public key>` the private key is not in the file:
//! `ssh-agent` signs. How files are read, written and encrypted: `key_file`.

use crate::key_file::{self, AskPassphrase, KeyFileError, Passphrase, nobody, read_key, write_key};
use crate::ssh_agent::{AgentError, SshAgent};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use escrow_core::enrolment;
use escrow_core::envelope::EnvelopeError;
use escrow_core::release::Caller;
use escrow_core::sealing::{SealError, SealingSecret, Suite};
use escrow_core::sshsig::SshKey;
use escrow_core::{Envelope, PersonId, PublicKey, SigningKey, Statement, Token, TokenKey};
use std::fmt;
use std::path::Path;
use zeroize::Zeroizing;

const OFFICER: &str = "escrow officer key v1";
const DEVICE: &str = "escrow device key v1";
const TOKEN: &str = "escrow token key v1";
const IN_AGENT: &str = "sshsig-agent:";

/// A person of the charter.
#[derive(Debug)]
pub struct Officer {
    /// Id in the charter.
    pub person: PersonId,
    /// Signs what the person does.
    pub signing: Signer,
    /// Opens releases to the person; none if never a recipient.
    pub sealing: Option<SealingSecret>,
}

/// What signs for an officer.
#[derive(Debug)]
pub enum Signer {
    /// A key in this process.
    Key(SigningKey),
    /// A key that `ssh-agent` holds.
    Agent {
        /// The public half.
        key: SshKey,
        /// Who holds the private half.
        agent: SshAgent,
    },
}

/// Why a statement was not signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// It breaks a rule of its own kind, or is signed by this key already.
    #[error(transparent)]
    Statement(#[from] EnvelopeError),
    /// The agent made no signature.
    #[error(transparent)]
    Agent(#[from] AgentError),
}

/// An enrolled device of a subject.
#[derive(Debug)]
pub struct Device {
    /// Whose it is.
    pub subject: Token,
    /// Signs consents, withdrawals and deposits.
    pub signing: SigningKey,
    /// Opens releases to the device, and its own key ring.
    pub sealing: SealingSecret,
}

/// Who acts.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "one for each process")]
pub enum Identity {
    /// A person of the charter.
    Officer(Officer),
    /// An enrolled device.
    Device(Device),
}

impl Identity {
    /// The private key that signs for it, if this process holds it.
    pub const fn signing(&self) -> Option<&SigningKey> {
        match self {
            Self::Officer(Officer { signing: Signer::Key(k), .. }) | Self::Device(Device { signing: k, .. }) => Some(k),
            Self::Officer(_) => None,
        }
    }

    /// The public half of the key that signs for it.
    pub fn public(&self) -> PublicKey {
        match self {
            Self::Officer(o) => o.signing.public(),
            Self::Device(d) => d.signing.public(),
        }
    }

    /// Signs a statement. Blocks while somebody touches a security key.
    ///
    /// # Errors
    /// [`SignError`].
    pub fn sign<T: Statement>(&self, statement: &T) -> Result<Envelope, SignError> {
        match self {
            Self::Officer(o) => o.signing.sign(statement),
            Self::Device(d) => Ok(Envelope::sign(statement, &[&d.signing])?),
        }
    }

    /// Adds its signature to a statement that others began.
    ///
    /// # Errors
    /// [`SignError`], [`EnvelopeError::SignedTwice`] among them.
    pub fn countersign(&self, envelope: &Envelope) -> Result<Envelope, SignError> {
        match self {
            Self::Officer(o) => o.signing.countersign(envelope),
            Self::Device(d) => Ok(envelope.countersign(&d.signing)?),
        }
    }

    /// Sees whether it could sign now, without a signature.
    ///
    /// # Errors
    /// [`AgentError`] if the key should be in an agent and is not.
    pub fn can_sign(&self) -> Result<(), AgentError> {
        match self {
            Self::Officer(Officer { signing: Signer::Agent { key, agent }, .. }) => aside(|| agent.holds(key)),
            Self::Officer(_) | Self::Device(_) => Ok(()),
        }
    }

    /// The key that opens releases for it.
    pub const fn sealing(&self) -> Option<&SealingSecret> {
        match self {
            Self::Officer(o) => o.sealing.as_ref(),
            Self::Device(d) => Some(&d.sealing),
        }
    }

    /// How it names itself in queries and calls.
    pub fn caller(&self) -> Caller {
        match self {
            Self::Officer(o) => Caller::Person(o.person.clone()),
            Self::Device(d) => Caller::Device(d.signing.public()),
        }
    }

    /// The officer, if it is one.
    ///
    /// # Errors
    /// [`KeyFileError::Missing`].
    pub const fn officer(&self) -> Result<&Officer, KeyFileError> {
        match self {
            Self::Officer(o) => Ok(o),
            Self::Device(_) => {
                Err(KeyFileError::Missing("this act needs an officer's key; the key in use is a device's"))
            }
        }
    }

    /// The device, if it is one.
    ///
    /// # Errors
    /// [`KeyFileError::Missing`].
    pub const fn device(&self) -> Result<&Device, KeyFileError> {
        match self {
            Self::Device(d) => Ok(d),
            Self::Officer(_) => {
                Err(KeyFileError::Missing("this act needs a device's key; the key in use is an officer's"))
            }
        }
    }

    /// Reads a key file of either kind that is in clear.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub fn load(path: &Path) -> Result<Self, KeyFileError> {
        Self::load_with(path, &nobody)
    }

    /// Reads a key file of either kind, and asks for the passphrase of one that is encrypted.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub fn load_with(path: &Path, ask: &AskPassphrase<'_>) -> Result<Self, KeyFileError> {
        Self::parse(path, &read_key(path, ask)?)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, KeyFileError> {
        let fields = Fields::parse(text);
        let malformed =
            || KeyFileError::Malformed { path: path.to_owned(), expected: "an officer's or device's key file" };
        let signing = fields.get("sign").and_then(Signer::from_line).ok_or_else(malformed)?;
        let sealing =
            fields.get("seal").map(SealingSecret::from_line).transpose().map_err(|_: SealError| malformed())?;
        match fields.header {
            OFFICER => {
                let person = fields.get("person").and_then(|p| p.parse().ok()).ok_or_else(malformed)?;
                Ok(Self::Officer(Officer { person, signing, sealing }))
            }
            DEVICE => {
                let Signer::Key(signing) = signing else { return Err(malformed()) };
                let subject = fields.get("subject").and_then(|t| t.parse().ok()).ok_or_else(malformed)?;
                let sealing = sealing.ok_or_else(malformed)?;
                Ok(Self::Device(Device { subject, signing, sealing }))
            }
            _ => Err(malformed()),
        }
    }

    /// Writes a new key file, mode 0600.
    ///
    /// # Errors
    /// [`KeyFileError::File`], also if the file exists: keys are never overwritten.
    pub fn save_new(&self, path: &Path) -> Result<(), KeyFileError> {
        write_key(path, &self.text(), None)
    }

    /// Writes a new key file, mode 0600, encrypted under a passphrase.
    ///
    /// # Errors
    /// [`KeyFileError::Weak`]; [`KeyFileError::File`], also if the file exists: keys are never overwritten.
    pub fn save_new_encrypted(&self, path: &Path, passphrase: &Passphrase) -> Result<(), KeyFileError> {
        write_key(path, &self.text(), Some(passphrase))
    }

    fn text(&self) -> Zeroizing<String> {
        let (header, whose, sign) = match self {
            Self::Officer(o) => (OFFICER, format!("person {}", o.person), o.signing.line()),
            Self::Device(d) => (DEVICE, format!("subject {}", d.subject), d.signing.expose()),
        };
        let seal = self.sealing().map(SealingSecret::expose);
        let seal = seal.as_ref().map_or("", |s| s.as_str());
        let capacity = header.len() + whose.len() + sign.len() + seal.len() + 32;
        // The exact size at once: a text that grew would leave copies behind.
        let mut text = Zeroizing::new(String::with_capacity(capacity));
        for part in [header, "\n", &whose, "\nsign ", &sign, "\n"] {
            text.push_str(part);
        }
        if !seal.is_empty() {
            for part in ["seal ", seal, "\n"] {
                text.push_str(part);
            }
        }
        text
    }
}

impl Officer {
    /// Fresh keys; a sealing key only for somebody who may be a recipient.
    pub fn generate(person: PersonId, recipient: Option<Suite>) -> Self {
        let signing = Signer::Key(SigningKey::generate_ed25519());
        Self { person, signing, sealing: recipient.map(SealingSecret::generate) }
    }

    /// Signs with a key of SSH that the session's agent holds; a fresh sealing key only for
    /// somebody who may be a recipient. The agent is asked when there is something to sign.
    pub fn with_ssh_key(person: PersonId, key: SshKey, recipient: Option<Suite>) -> Self {
        let signing = Signer::Agent { key, agent: SshAgent::of_session() };
        Self { person, signing, sealing: recipient.map(SealingSecret::generate) }
    }
}

impl Signer {
    /// The public half.
    pub fn public(&self) -> PublicKey {
        match self {
            Self::Key(k) => k.public(),
            Self::Agent { key, .. } => PublicKey::SshSig(key.clone()),
        }
    }

    fn sign<T: Statement>(&self, statement: &T) -> Result<Envelope, SignError> {
        match self {
            Self::Key(k) => Ok(Envelope::sign(statement, &[k])?),
            Self::Agent { key, agent } => {
                Envelope::sign_with(statement, &self.public(), |pae| Ok(aside(|| agent.sign(key, pae))?))
            }
        }
    }

    fn countersign(&self, envelope: &Envelope) -> Result<Envelope, SignError> {
        match self {
            Self::Key(k) => Ok(envelope.countersign(k)?),
            Self::Agent { key, agent } => {
                envelope.countersign_with(&self.public(), |pae| Ok(aside(|| agent.sign(key, pae))?))
            }
        }
    }

    fn line(&self) -> Zeroizing<String> {
        match self {
            Self::Key(k) => k.expose(),
            Self::Agent { key, .. } => Zeroizing::new(format!("{IN_AGENT}{}", STANDARD.encode(key.wire()))),
        }
    }

    fn from_line(line: &str) -> Option<Self> {
        let Some(b64) = line.strip_prefix(IN_AGENT) else { return SigningKey::from_line(line).ok().map(Self::Key) };
        let key = SshKey::from_wire(&STANDARD.decode(b64).ok()?).ok()?;
        Some(Self::Agent { key, agent: SshAgent::of_session() })
    }
}

/// Waits for a person without holding up what else the runtime does.
fn aside<T>(f: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current() {
        Ok(runtime) if runtime.runtime_flavor() == RuntimeFlavor::MultiThread => tokio::task::block_in_place(f),
        _ => f(),
    }
}

impl Device {
    /// Fresh keys for a subject.
    pub fn generate(subject: Token, suite: Suite) -> Self {
        Self { subject, signing: SigningKey::generate_ed25519(), sealing: SealingSecret::generate(suite) }
    }

    /// What a registrar enrols.
    pub fn public(&self) -> enrolment::Device {
        enrolment::Device { subject: self.subject, key: self.signing.public(), sealing: self.sealing.public().clone() }
    }
}

/// Encrypts a key file of either kind, or the token key's, under a passphrase: in its place and in one step.
///
/// # Errors
/// [`KeyFileError`]; the file is then as it was.
pub fn encrypt_key_file(path: &Path, passphrase: &Passphrase) -> Result<(), KeyFileError> {
    key_file::encrypt(path, passphrase, |text| {
        Identity::parse(path, text).map(drop).or_else(|e| parse_token_key(path, text).map(drop).map_err(|_| e))
    })
}

/// Reads the organisation's token key from a file in clear.
///
/// # Errors
/// [`KeyFileError`].
pub fn load_token_key(path: &Path) -> Result<TokenKey, KeyFileError> {
    load_token_key_with(path, &nobody)
}

/// Reads the organisation's token key, and asks for the passphrase if its file is encrypted.
///
/// # Errors
/// [`KeyFileError`].
pub fn load_token_key_with(path: &Path, ask: &AskPassphrase<'_>) -> Result<TokenKey, KeyFileError> {
    parse_token_key(path, &read_key(path, ask)?)
}

fn parse_token_key(path: &Path, text: &str) -> Result<TokenKey, KeyFileError> {
    let fields = Fields::parse(text);
    let malformed = || KeyFileError::Malformed { path: path.to_owned(), expected: "a token key file" };
    let version: u32 = fields.get("version").and_then(|v| v.parse().ok()).filter(|v| *v >= 1).ok_or_else(malformed)?;
    let mut key = Zeroizing::new([0u8; 32]);
    let line = fields.get("key").filter(|_| fields.header == TOKEN).ok_or_else(malformed)?;
    let written = STANDARD.decode_slice(line, key.as_mut_slice()).map_err(|_| malformed())?;
    if written == 32 { Ok(TokenKey::from_bytes(version, key)) } else { Err(malformed()) }
}

/// Writes the organisation's token key to a new file, mode 0600; encrypted if there is a passphrase.
///
/// # Errors
/// [`KeyFileError::Weak`]; [`KeyFileError::File`], also if the file exists.
pub fn save_token_key(key: &TokenKey, path: &Path, passphrase: Option<&Passphrase>) -> Result<(), KeyFileError> {
    let line = Zeroizing::new(STANDARD.encode(key.expose()));
    let head = format!("{TOKEN}\nversion {}\nkey ", key.version());
    let mut text = Zeroizing::new(String::with_capacity(head.len() + line.len() + 1));
    for part in [head.as_str(), &line, "\n"] {
        text.push_str(part);
    }
    write_key(path, &text, passphrase)
}

struct Fields<'a> {
    header: &'a str,
    lines: Vec<(&'a str, &'a str)>,
}

impl<'a> Fields<'a> {
    fn parse(text: &'a str) -> Self {
        let mut lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
        let header = lines.next().unwrap_or("");
        Self { header, lines: lines.filter_map(|l| l.split_once(' ')).collect() }
    }

    /// A field that stands there exactly once.
    fn get(&self, name: &str) -> Option<&'a str> {
        let mut found = self.lines.iter().filter(|(n, _)| *n == name);
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Some(value.trim()),
            _ => None,
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Officer(o) => write!(f, "{}", o.person),
            Self::Device(d) => write!(f, "device {}", d.signing.public().id()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key_file::write_private;

    #[test]
    fn key_files_come_back_and_others_may_not_read_them() {
        let dir = tempfile::tempdir().unwrap();
        let token_key = TokenKey::generate(3);
        let officer = Officer::generate("legal-1".parse().unwrap(), Some(Suite::XWing));
        let plain = Officer::generate("dpo-1".parse().unwrap(), None);
        let device = Device::generate(token_key.subject("+49 1"), Suite::MlKem768P256);
        for (name, identity) in
            [("o", Identity::Officer(officer)), ("p", Identity::Officer(plain)), ("d", Identity::Device(device))]
        {
            let path = dir.path().join(name);
            identity.save_new(&path).unwrap();
            assert!(identity.save_new(&path).is_err(), "keys are never overwritten");
            let again = Identity::load(&path).unwrap();
            assert_eq!(again.caller(), identity.caller());
            assert_eq!(again.public(), identity.public());
            assert_eq!(again.sealing().map(SealingSecret::public), identity.sealing().map(SealingSecret::public));
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt as _;
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
                assert!(matches!(Identity::load(&path), Err(KeyFileError::Exposed(_))));
            }
        }
        let path = dir.path().join("t");
        save_token_key(&token_key, &path, None).unwrap();
        assert_eq!(load_token_key(&path).unwrap().subject("x"), token_key.subject("x"));
        assert!(matches!(Identity::load(&path), Err(KeyFileError::Malformed { .. })));
    }

    #[test]
    fn a_key_in_an_agent_is_named_and_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k");
        let line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFaBDWsjQ9WKWb7FQcr3L37t8F3PDlMZNk4Z4TPgXu0v ann";
        let key = SshKey::from_pub_line(line).unwrap();
        let officer = Officer::with_ssh_key("legal-1".parse().unwrap(), key.clone(), None);
        Identity::Officer(officer).save_new(&path).unwrap();
        let b64 = line.split(' ').nth(1).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, format!("{OFFICER}\nperson legal-1\nsign sshsig-agent:{b64}\n"));
        let again = Identity::load(&path).unwrap();
        assert_eq!(again.public(), PublicKey::SshSig(key.clone()));
        assert!(again.signing().is_none());
        // A device's key is its own.
        let device = Device::generate(TokenKey::generate(1).subject("x"), Suite::XWing);
        let seal = device.sealing.expose();
        let path = dir.path().join("d");
        let text = format!("{DEVICE}\nsubject {}\nsign sshsig-agent:{b64}\nseal {}\n", device.subject, *seal);
        write_private(&path, text.as_bytes()).unwrap();
        assert!(matches!(Identity::load(&path), Err(KeyFileError::Malformed { .. })));
        let nowhere = SshAgent::at(&dir.path().join("no agent"));
        let officer =
            Officer { signing: Signer::Agent { key, agent: nowhere }, ..Officer::generate("a".parse().unwrap(), None) };
        assert!(matches!(Identity::Officer(officer).can_sign(), Err(AgentError::Unreachable { .. })));
    }

    #[test]
    fn a_field_counts_only_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k");
        let line = SigningKey::generate_ed25519().expose();
        write_private(&path, format!("{OFFICER}\nperson a\nperson b\nsign {}\n", *line).as_bytes()).unwrap();
        assert!(matches!(Identity::load(&path), Err(KeyFileError::Malformed { .. })));
    }
}
