//! The draft of a charter: a TOML file that names people, seats' descriptor files and policies.

use crate::commands::keygen::PublicOfficer;
use crate::failure::{Exit, Failure};
use crate::when;
use escrow_client::{Charters, now};
use escrow_core::charter::{BasisSigners, Charter, Generation, Limits, Person, PersonKey, Policy, Seat, Subject};
use escrow_core::consent::Party;
use escrow_core::{Code, Digest, Kind, Nonce, Org, PersonId, Role, SeatIndex, Timestamp, TokenKey};
use escrow_policy::context::SCHEMA_VERSION;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

/// The file; paths in it are relative to its own folder.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DraftFile {
    /// The organisation.
    pub org: Org,
    /// Relaxes quorums of one and one operator for all; every command then says so.
    #[serde(default)]
    pub demo: bool,
    /// Nodes needed to release.
    pub t: u8,
    /// Administrators who must sign a charter.
    pub admin_quorum: u32,
    /// Registrars who must sign an enrolment.
    pub registrar_quorum: u32,
    /// Roles whose holders decide on requests.
    pub approver_roles: Vec<Role>,
    /// Versions of the token key in use.
    #[serde(default = "first_version")]
    pub token_versions: Vec<u32>,
    /// Descriptor files from `escrow-node init`.
    pub seats: Vec<PathBuf>,
    /// Everybody with an office.
    pub people: Vec<DraftPerson>,
    /// The rules for release.
    pub policies: Vec<DraftPolicy>,
    /// Who signs consent records on a basis other than consent.
    #[serde(default)]
    pub basis_signers: Vec<BasisSigners>,
    /// Digests of conflicting versions declared void.
    #[serde(default)]
    pub voided: Vec<Digest>,
    /// Who decides on the processing; consent records name them.
    pub controllers: Vec<Party>,
    /// Bounds.
    pub limits: Limits,
}

fn first_version() -> Vec<u32> {
    vec![1]
}

/// A person of the draft.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DraftPerson {
    /// Id.
    pub id: PersonId,
    /// Name of the officer.
    pub name: String,
    /// Offices.
    #[serde(default)]
    pub roles: Vec<Role>,
    /// Public key files from `keygen officer`.
    #[serde(default)]
    pub keys: Vec<PathBuf>,
    /// First day or instant of the keys' validity; an hour before the draft if not said.
    pub from: Option<String>,
    /// Last day, or first instant after validity; no end if not said.
    pub until: Option<String>,
    /// Who they are as a data subject: the messenger's id.
    pub subject: Option<String>,
    /// True if they are no data subject here.
    #[serde(default)]
    pub no_subject: bool,
}

/// A policy of the draft.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DraftPolicy {
    /// Id.
    pub id: Code,
    /// File with the Cedar text.
    pub file: Option<PathBuf>,
    /// The Cedar text itself.
    pub text: Option<String>,
    /// Id of a policy that comes with the program.
    pub ready: Option<String>,
}

/// Reads a draft file and everything it names.
///
/// # Errors
/// Usage, for whatever is malformed or would be refused as a charter.
pub fn read(path: &Path, previous: Option<&Charters>, tokens: &[TokenKey]) -> Result<Charter, Failure> {
    let text = std::fs::read_to_string(path).map_err(|e| unreadable(path, &e))?;
    let draft: DraftFile = toml::from_str(&text).map_err(|e| Failure::usage(format!("{}: {e}", path.display())))?;
    let root = path.parent().unwrap_or(Path::new("."));
    let charter = draft.charter(root, previous, tokens)?;
    escrow_policy::charter::check(&charter).map_err(|e| {
        Failure::new(Exit::Usage, "charter-invalid", e.to_string())
            .next("mend the draft; nobody could sign this charter")
    })?;
    Ok(charter)
}

impl DraftFile {
    fn charter(self, root: &Path, previous: Option<&Charters>, tokens: &[TokenKey]) -> Result<Charter, Failure> {
        let issued = now();
        let mut seats: Vec<Seat> =
            self.seats.iter().map(|p| json(&root.join(p), "seat descriptor")).collect::<Result<_, _>>()?;
        seats.sort_by_key(|s| s.index);
        let members: Vec<SeatIndex> = seats.iter().map(|s| s.index).collect();
        let old = previous.map(Charters::current);
        let mut generations = old.map(|c| c.generations.clone()).unwrap_or_default();
        // Changing t or the members makes a new node set; anything else keeps it.
        if generations.last().is_none_or(|g| g.t != self.t || g.members != members) {
            let number = generations.last().map_or(1, |g| g.number + 1);
            generations.push(Generation { number, t: self.t, members });
        }
        let versions = self.token_versions;
        let people =
            self.people.into_iter().map(|p| p.person(root, issued, &versions, tokens)).collect::<Result<_, _>>()?;
        let policies = self.policies.into_iter().map(|p| p.policy(root)).collect::<Result<_, _>>()?;
        Ok(Charter {
            kind: Kind::Charter,
            org: self.org,
            nonce: Nonce::random(),
            demo: self.demo,
            version: old.map_or(1, |c| c.version + 1),
            previous: previous.map(Charters::digest),
            voided: self.voided,
            issued,
            seats,
            generations,
            people,
            policies,
            admin_quorum: self.admin_quorum,
            registrar_quorum: self.registrar_quorum,
            approver_roles: self.approver_roles,
            basis_signers: self.basis_signers,
            token_versions: versions,
            controllers: self.controllers,
            limits: self.limits,
        })
    }
}

impl DraftPerson {
    fn person(self, root: &Path, issued: Timestamp, versions: &[u32], tokens: &[TokenKey]) -> Result<Person, Failure> {
        let from = self.from.as_deref().map(when::from).transpose()?.unwrap_or_else(|| issued.plus_seconds(-3_600));
        let until = self.until.as_deref().map(when::to).transpose()?.unwrap_or(escrow_policy::charter::FOREVER);
        let mut keys = Vec::new();
        let mut sealing = None;
        for file in &self.keys {
            let public: PublicOfficer = json(&root.join(file), "public key file")?;
            if public.schema != PublicOfficer::SCHEMA || public.id != self.id {
                return Err(Failure::usage(format!(
                    "{} holds the keys of {}, not of {}",
                    file.display(),
                    public.id,
                    self.id
                )));
            }
            keys.push(PersonKey { key: public.key, from, until });
            sealing = public.sealing.or(sealing);
        }
        let subject = match (&self.subject, self.no_subject) {
            (None, true) => Subject::NoSubject,
            (Some(id), false) => {
                let own = versions.iter().map(|v| tokens.iter().find(|k| k.version() == *v).map(|k| k.subject(id)));
                let own = own.collect::<Option<Vec<_>>>().ok_or_else(|| {
                    Failure::usage(format!("{}: a subject id needs every token key in use", self.id))
                        .next("name each with --token-key")
                })?;
                Subject::Tokens(own)
            }
            _ => return Err(Failure::usage(format!("{}: say either subject = \"...\" or no_subject = true", self.id))),
        };
        Ok(Person { id: self.id, name: self.name, roles: self.roles, keys, sealing, subject })
    }
}

impl DraftPolicy {
    fn policy(self, root: &Path) -> Result<Policy, Failure> {
        let text = match (self.text, self.file, self.ready) {
            (Some(text), None, None) => text,
            (None, None, Some(ready)) => {
                let found = escrow_policy::ready::find(&ready);
                let unknown = || Failure::usage(format!("policy {}: no ready policy {ready:?}", self.id));
                found.ok_or_else(|| unknown().next("escrow policy show --ready"))?.text.to_owned()
            }
            (None, Some(file), None) => {
                let path = root.join(file);
                std::fs::read_to_string(&path).map_err(|e| unreadable(&path, &e))?
            }
            _ => return Err(Failure::usage(format!("policy {}: say one of text, file and ready", self.id))),
        };
        Ok(Policy { id: self.id, schema: SCHEMA_VERSION, text })
    }
}

fn unreadable(path: &Path, e: &std::io::Error) -> Failure {
    Failure::usage(format!("cannot read {}: {e}", path.display()))
}

fn json<T: DeserializeOwned>(path: &Path, what: &str) -> Result<T, Failure> {
    let bytes = std::fs::read(path).map_err(|e| unreadable(path, &e))?;
    serde_json::from_slice(&bytes).map_err(|e| Failure::usage(format!("{} is no {what}: {e}", path.display())))
}
