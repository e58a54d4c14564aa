//! `escrow charter`: from seat descriptors to a signed chain.

use crate::context::replace;
use crate::draft;
use crate::failure::{Exit, Failure};
use crate::help::examples;
use crate::output::{Shown, note};
use crate::quorum::with_receipts;
use crate::session::{Global, Session, charters_of, warn_demo};
use clap::{Args, Subcommand};
use escrow_client::{Charters, Client, Identity, read_envelopes};
use escrow_core::charter::{Charter, Subject};
use escrow_core::limits::PAYLOAD_LARGE;
use escrow_core::{Digest, Envelope, strict};
use serde_json::{Value, json};
use std::path::PathBuf;

/// What to do with charters.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make an unsigned charter from a draft file and the seats' descriptors
    #[command(before_help = examples![
        "escrow charter draft draft.toml --out charter.draft.json",
        "escrow charter draft draft.toml --successor --out charter-2.draft.json",
    ])]
    Draft(DraftArgs),
    /// Sign a draft, or add a signature to a charter that others signed
    #[command(before_help = examples![
        "escrow charter sign charter.draft.json --key admin-1.key --out charter.json",
        "escrow charter sign charter-2.json --key admin-2.key --submit",
    ])]
    Sign(Sign),
    /// Show the charter of the context, or of a file
    #[command(before_help = examples![
        "escrow charter show",
        "escrow charter show charter.draft.json",
    ])]
    Show(Show),
    /// Verify a chain of charters from its pinned genesis on
    #[command(before_help = examples![
        "escrow charter verify",
        "escrow charter verify charter-1.json charter-2.json --genesis $GENESIS --out chain.json",
    ])]
    Verify(Verify),
}

/// Arguments of `charter draft`.
#[derive(Debug, Args)]
pub struct DraftArgs {
    /// The draft, TOML
    pub draft: PathBuf,
    /// Where to write the unsigned charter
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Token keys in use, for officers who are data subjects too
    #[arg(long, value_name = "FILE")]
    pub token_key: Vec<PathBuf>,
    /// Follow the charter of the context instead of drafting a genesis
    #[arg(long)]
    pub successor: bool,
}

/// Arguments of `charter sign`.
#[derive(Debug, Args)]
pub struct Sign {
    /// An unsigned charter, or one that others signed
    pub file: PathBuf,
    /// Your key file [default: the context's]
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Where to write; an existing charter of the same draft gets the signature added [default: FILE]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Hand it to the nodes; their operators still have to accept it
    #[arg(long)]
    pub submit: bool,
}

/// Arguments of `charter show`.
#[derive(Debug, Args)]
pub struct Show {
    /// A draft or charter file [default: the context's]
    pub file: Option<PathBuf>,
}

/// Arguments of `charter verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// Charter files in order [default: the context's]
    pub files: Vec<PathBuf>,
    /// Pinned digest of the genesis
    #[arg(long, value_name = "DIGEST")]
    pub genesis: Option<Digest>,
    /// Write the verified chain as one file
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Runs `charter`.
///
/// # Errors
/// [`Failure`].
pub async fn run(global: &Global, command: &Command) -> Result<Shown, Failure> {
    match command {
        Command::Draft(a) => draft_command(global, a),
        Command::Sign(a) => sign(global, a).await,
        Command::Show(a) => show(global, a),
        Command::Verify(a) => verify(global, a),
    }
}

fn draft_command(global: &Global, a: &DraftArgs) -> Result<Shown, Failure> {
    let previous = if a.successor { Some(Session::open(global)?.charters) } else { None };
    let tokens = a.token_key.iter().map(|f| global.token_key(f)).collect::<Result<Vec<_>, _>>()?;
    let charter = draft::read(&a.draft, previous.as_ref(), &tokens)?;
    let text = serde_json::to_string_pretty(&charter).map_err(|e| Failure::unexpected(e.to_string()))?;
    replace(&a.out, format!("{text}\n").as_bytes())?;
    let g = charter.current_generation();
    let nodes = g.map_or_else(String::new, |g| format!("{} of {} nodes", g.t, g.n()));
    Ok(Shown::new("escrow.charter.draft.v1")
        .text(format!(
            "Unsigned charter version {} of {}: {nodes}, {} people, {} policies. It is in {}.",
            charter.version,
            charter.org,
            charter.people.len(),
            charter.policies.len(),
            a.out.display()
        ))
        .text(format!(
            "{} administrators must sign it: escrow charter sign {} --key FILE --out charter.json",
            charter.admin_quorum,
            a.out.display()
        ))
        .with("file", a.out.display().to_string())
        .with("version", charter.version))
}

/// Signs a draft, or adds a signature to an envelope of the same charter.
///
/// # Errors
/// [`Failure`].
pub fn sign_charter(bytes: &[u8], existing: Option<Envelope>, signer: &Identity) -> Result<Envelope, Failure> {
    signer.officer()?;
    if let Ok(envelope) = Envelope::parse(bytes) {
        envelope.decode::<Charter>()?;
        return Ok(signer.countersign(&envelope)?);
    }
    let charter: Charter = strict::decode(bytes, PAYLOAD_LARGE)
        .map_err(|e| Failure::new(Exit::Usage, "malformed", format!("neither a draft nor a signed charter: {e}")))?;
    escrow_policy::charter::check(&charter).map_err(|e| Failure::new(Exit::Usage, "charter-invalid", e.to_string()))?;
    if let Some(envelope) = existing {
        if envelope.decode::<Charter>()? == charter {
            return Ok(signer.countersign(&envelope)?);
        }
        return Err(Failure::usage("the file to write holds another charter").next("name another file with --out"));
    }
    Ok(signer.sign(&charter)?)
}

async fn sign(global: &Global, a: &Sign) -> Result<Shown, Failure> {
    let session = if a.key.is_none() || a.submit { Some(Session::open(global)?) } else { None };
    let signer = match (&a.key, &session) {
        (Some(file), _) => std::sync::Arc::new(global.identity(file)?),
        (None, Some(s)) => s.identity()?,
        (None, None) => return Err(Failure::usage("name your key file with --key")),
    };
    let bytes = std::fs::read(&a.file).map_err(|e| Failure::usage(format!("cannot read {}: {e}", a.file.display())))?;
    let out = a.out.as_ref().unwrap_or(&a.file);
    let existing =
        if out == &a.file { None } else { std::fs::read(out).ok().map(|b| Envelope::parse(&b)).transpose()? };
    let envelope = sign_charter(&bytes, existing, &signer)?;
    replace(out, envelope.bytes())?;
    let charter: Charter = envelope.decode()?;
    if charter.demo {
        note("*** DEMO CHARTER: not for real messages. ***");
    }
    let have = admins(&charter, &envelope)?;
    let need = charter.admin_quorum as usize;
    let shown = Shown::new("escrow.charter.sign.v1")
        .text(format!("Charter version {} of {}, digest {}", charter.version, charter.org, envelope.digest()))
        .text(format!("{} of {need} administrators have signed; it is in {}.", have.len(), out.display()))
        .with("digest", envelope.digest().to_string())
        .with("signed", have.len())
        .with("needed", need)
        .with("file", out.display().to_string());
    match (a.submit, session) {
        (true, Some(session)) if have.len() >= need => {
            let client = Client::new(session.charters.clone(), signer)?;
            let submitted = client.submit(&envelope).await?;
            Ok(with_receipts(shown, &client, &submitted).text(
                "Each operator now decides: escrow-node charter accept DIGEST. Until then the nodes permit nothing.",
            ))
        }
        _ if have.len() < need => Ok(shown.exit(Exit::Pending)),
        _ => Ok(shown),
    }
}

fn admins(charter: &Charter, envelope: &Envelope) -> Result<Vec<String>, Failure> {
    let keys = charter.people.iter().flat_map(|p| &p.keys).map(|k| &k.key);
    let signers = envelope.signers(|id| keys.clone().filter(|k| k.id() == *id).cloned().collect())?;
    let mut admins: Vec<String> = signers
        .iter()
        .filter_map(|k| charter.holder(k))
        .filter(|p| p.has_role("admin"))
        .map(|p| p.id.to_string())
        .collect();
    admins.sort();
    admins.dedup();
    Ok(admins)
}

fn show(global: &Global, a: &Show) -> Result<Shown, Failure> {
    let Some(file) = &a.file else {
        let charters = Session::open(global)?.charters;
        return Ok(describe(charters.current(), Some(charters.digest()), true));
    };
    let bytes = std::fs::read(file).map_err(|e| Failure::usage(format!("cannot read {}: {e}", file.display())))?;
    if let Ok(charter) = strict::decode::<Charter>(&bytes, PAYLOAD_LARGE) {
        return Ok(describe(&charter, None, false));
    }
    let last = read_envelopes(file)?.pop().ok_or_else(|| Failure::usage("an empty charter file"))?;
    Ok(describe(&last.decode()?, Some(last.digest()), false))
}

fn verify(global: &Global, a: &Verify) -> Result<Shown, Failure> {
    let charters = match (a.files.as_slice(), a.genesis) {
        ([], genesis) => charters_of(global, None, genesis)?,
        (_, None) => {
            return Err(Failure::usage("a charter file is believed only with its pinned digest: add --genesis DIGEST"));
        }
        (files, Some(genesis)) => {
            let mut envelopes: Vec<Envelope> = Vec::new();
            for e in files.iter().map(|f| read_envelopes(f)).collect::<Result<Vec<_>, _>>()?.into_iter().flatten() {
                if envelopes.iter().all(|known| known.digest() != e.digest()) {
                    envelopes.push(e);
                }
            }
            let charters = Charters::verify(genesis, envelopes)?;
            warn_demo(&charters);
            charters
        }
    };
    if let Some(out) = &a.out {
        charters.save(out)?;
    }
    let rows = charters.envelopes().iter().filter_map(|e| {
        let c = charters.version(&e.digest())?;
        Some(vec![c.version.to_string(), e.digest().to_string(), c.issued.to_string()])
    });
    let rows: Vec<_> = rows.collect();
    Ok(Shown::new("escrow.charter.verify.v1")
        .table(&["version", "digest", "issued"], rows)
        .text("Every version is signed by the administrators that it and the one before it require.")
        .with("genesis", charters.genesis().to_string())
        .with("digest", charters.digest().to_string())
        .with("version", charters.current().version))
}

/// A charter for people and machines.
pub fn describe(c: &Charter, digest: Option<Digest>, verified: bool) -> Shown {
    let g = c.current_generation();
    let head = digest.map_or_else(|| "unsigned draft".to_owned(), |d| format!("digest {d}"));
    let mut shown = Shown::new("escrow.charter.v1").text(format!("{} charter version {}, {head}", c.org, c.version));
    if !verified {
        shown = shown.text("Shown as it stands; nothing of it was verified.");
    }
    let nodes = g.map_or_else(String::new, |g| format!("generation {}: {} of {} nodes release", g.number, g.t, g.n()));
    let seats = c.seats.iter().map(|s| {
        vec![s.index.to_string(), s.name.to_string(), s.operator.to_string(), s.jurisdiction.to_string(), s.url.clone()]
    });
    let people = c.people.iter().map(|p| {
        let roles = p.roles.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let subject = if matches!(p.subject, Subject::NoSubject) { "no" } else { "yes" };
        let recipient = if p.sealing.is_some() { "yes" } else { "no" };
        vec![p.id.to_string(), p.name.clone(), roles, recipient.to_owned(), subject.to_owned()]
    });
    let policies =
        c.policies.iter().map(|p| vec![p.id.to_string(), p.digest().short(), p.text.lines().count().to_string()]);
    let member = |v: Result<Value, _>| v.unwrap_or_else(|_: serde_json::Error| json!(null));
    shown
        .text(nodes)
        .table(&["node", "name", "operator", "where", "url"], seats.collect())
        .table(&["person", "name", "roles", "recipient", "subject"], people.collect())
        .table(&["policy", "digest", "lines"], policies.collect())
        .text(format!("Quorums: {} administrators, {} registrars.", c.admin_quorum, c.registrar_quorum))
        .data("digest", &digest)
        .with("verified", verified)
        .with("charter", member(serde_json::to_value(c)))
}
