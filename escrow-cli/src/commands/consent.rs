//! `escrow consent`: giving, withdrawing and looking at consents.

use crate::confirm::ask_on_terminal;
use crate::failure::{Exit, Failure};
use crate::help::examples;
use crate::output::{Shown, note};
use crate::quorum::{Waiting, by_prefix, countersigned, reach, submit_or_keep, with_receipts};
use crate::session::{Global, Session, subject_name, thread_name};
use crate::when;
use clap::{Args, Subcommand, ValueEnum};
use escrow_client::{Client, ConsentTerms, Identity, KnownConsent, Quorum, now};
use escrow_core::charter::Basis;
use escrow_core::consent::{Authority, Consent, Coverage, Floor, NoticeText};
use escrow_core::{Code, Digest, Envelope, Timestamp};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What to do with consents.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "one for each process")]
pub enum Command {
    /// Consent to escrow as a subject, or record another basis as an officer
    #[command(before_help = examples![
        "escrow consent give --purpose investigation --notice notice-en.txt --language en",
        "escrow consent give --purpose investigation --notice notice-en.txt --thread t-17 \\\n      --lasts 90d",
    ])]
    Give(Give),
    /// Withdraw a consent: no deposit and no release on it any more
    #[command(before_help = examples![
        "escrow consent withdraw",
        "escrow consent withdraw 3f1c90aa --yes",
    ])]
    Withdraw(Withdraw),
    /// What was agreed to, in words and as signed JSON
    #[command(before_help = examples![
        "escrow consent receipt",
        "escrow consent receipt 3f1c90aa --out receipt.json",
    ])]
    Receipt(Receipt),
    /// List consents: a device's own, for an officer all
    #[command(before_help = examples![
        "escrow consent list",
        "escrow consent list --output jsonl",
    ])]
    List,
    /// Show one consent
    #[command(before_help = examples![
        "escrow consent show",
        "escrow consent show 3f1c90aa --output json",
    ])]
    Show(Which),
}

/// Grounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum BasisArg {
    /// The subject's own consent
    #[default]
    Consent,
    /// An agreement with the works council
    WorksAgreement,
    /// A duty in law
    LegalObligation,
    /// The order of a court or authority
    Order,
    /// A contract with the subject
    Contract,
}

impl From<BasisArg> for Basis {
    fn from(b: BasisArg) -> Self {
        match b {
            BasisArg::Consent => Self::Consent,
            BasisArg::WorksAgreement => Self::WorksAgreement,
            BasisArg::LegalObligation => Self::LegalObligation,
            BasisArg::Order => Self::Order,
            BasisArg::Contract => Self::Contract,
        }
    }
}

/// The ground of a consent or request, with what stands behind it.
#[derive(Clone, Debug, Default, Args)]
pub struct Ground {
    /// On what ground
    #[arg(long, value_enum, default_value_t)]
    pub basis: BasisArg,
    /// Case, agreement or statute behind a basis other than consent
    #[arg(long, value_name = "CODE", requires = "authority_document")]
    pub authority_ref: Option<Code>,
    /// The document; only its SHA-256 leaves this machine
    #[arg(long, value_name = "FILE", requires = "authority_ref")]
    pub authority_document: Option<PathBuf>,
}

impl Ground {
    /// Reference and digest of the document.
    ///
    /// # Errors
    /// Usage, if the document cannot be read.
    pub fn authority(&self) -> Result<Option<Authority>, Failure> {
        match (&self.authority_ref, &self.authority_document) {
            (Some(reference), Some(file)) => {
                Ok(Some(Authority { reference: reference.clone(), document: digest_of(file)? }))
            }
            _ => Ok(None),
        }
    }
}

/// Arguments of `consent give`.
#[derive(Clone, Debug, Args)]
pub struct Give {
    /// What requests may be for; repeat for several
    #[arg(long, required_unless_present = "countersign")]
    pub purpose: Vec<Code>,
    /// The notice text that was shown
    #[arg(long, value_name = "FILE", required_unless_present = "countersign")]
    pub notice: Option<PathBuf>,
    /// Its language
    #[arg(long, default_value = "en")]
    pub language: Code,
    /// Whether notice of releases may be delayed, as a code of the notice text
    #[arg(long, default_value = "immediate-or-by-order")]
    pub notice_terms: Code,
    /// Policies agreed to [default: all of the charter]
    #[arg(long, value_name = "ID")]
    pub policy: Vec<Code>,
    /// Threads covered [default: all of the subject's]
    #[arg(long, value_name = "ID")]
    pub thread: Vec<String>,
    /// First day of messages covered [default: all]
    #[arg(long, value_name = "DAY")]
    pub from: Option<String>,
    /// Last day of messages covered [default: until the consent ends]
    #[arg(long, value_name = "DAY")]
    pub to: Option<String>,
    /// How long the consent lasts
    #[arg(long, value_name = "SPAN", default_value = "365d")]
    pub lasts: String,
    /// Days that shares are kept
    #[arg(long, value_name = "DAYS", default_value_t = 365)]
    pub retention_days: u32,
    /// Smallest node set accepted, such as 3/5 [default: the charter's]
    #[arg(long, value_name = "T/N")]
    pub floor: Option<String>,
    /// Law that applies
    #[arg(long, default_value = "unspecified")]
    pub jurisdiction: Code,
    /// The subject, for a basis other than consent
    #[arg(long, value_name = "ID")]
    pub subject: Option<String>,
    /// The ground
    #[command(flatten)]
    pub ground: Ground,
    /// Several signers, for a basis other than consent
    #[command(flatten)]
    pub waiting: Waiting,
}

/// Which consent.
#[derive(Clone, Debug, Default, Args)]
pub struct Which {
    /// Its hash, or the beginning of it [default: the only live one]
    pub consent: Option<String>,
}

/// Arguments of `consent withdraw`.
#[derive(Clone, Debug, Default, Args)]
pub struct Withdraw {
    /// Which consent
    #[command(flatten)]
    pub which: Which,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// Arguments of `consent receipt`.
#[derive(Clone, Debug, Default, Args)]
pub struct Receipt {
    /// Which consent
    #[command(flatten)]
    pub which: Which,
    /// Also keep the signed statement in a file
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Runs `consent`.
///
/// # Errors
/// [`Failure`].
pub async fn run(global: &Global, command: &Command) -> Result<Shown, Failure> {
    let session = Session::open(global)?;
    let client = session.client().await?;
    match command {
        Command::Give(a) => give(&session, &client, a).await,
        Command::Withdraw(a) => withdraw(&session, &client, a).await,
        Command::List => list(&session, &client).await,
        Command::Show(a) => show(&session, &client, a).await,
        Command::Receipt(a) => receipt(&session, &client, a).await,
    }
}

/// `consent give`.
///
/// # Errors
/// [`Failure`].
pub async fn give(session: &Session, client: &Client, a: &Give) -> Result<Shown, Failure> {
    let envelope = match &a.waiting.countersign {
        Some(file) => countersigned(client, file)?,
        None => client.consent(terms(session, client, a)?)?,
    };
    let consent: Consent = envelope.decode()?;
    let shown = Shown::new("escrow.consent.give.v1").text(format!(
        "Consent {} on basis {}, until {}.",
        envelope.digest().short(),
        consent.basis.name(),
        consent.expires
    ));
    let quorum = signers(client, &envelope, consent.basis)?;
    submit_or_keep(client, &envelope, &quorum, &a.waiting, shown).await
}

/// A consent needs its subject's device; any other basis one person for each role that the charter names.
fn signers(client: &Client, envelope: &Envelope, basis: Basis) -> Result<Quorum, Failure> {
    if basis == Basis::Consent {
        return Ok(Quorum { signed: BTreeSet::new(), need: 0, others: BTreeSet::new() });
    }
    let charter = client.charters().current();
    let demanded = charter.basis_signers.iter().find(|b| b.basis == basis).ok_or_else(|| {
        Failure::new(
            Exit::Key,
            "not-entitled",
            format!("the charter names nobody who may sign on basis {}", basis.name()),
        )
    })?;
    let (mut signed, mut others) = (BTreeSet::new(), BTreeSet::new());
    for role in &demanded.roles {
        let of_role = client.quorum(envelope, role.as_str(), 1)?;
        // One distinct person for each role, as the nodes count.
        match of_role.signed.into_iter().find(|p| !signed.contains(p)) {
            Some(person) => drop(signed.insert(person)),
            None => others.extend(of_role.others),
        }
    }
    Ok(Quorum { signed, need: u32::try_from(demanded.roles.len()).unwrap_or(u32::MAX), others })
}

fn terms(session: &Session, client: &Client, a: &Give) -> Result<ConsentTerms, Failure> {
    let basis = Basis::from(a.ground.basis);
    let subject = match (&a.subject, client.identity()) {
        (None, Identity::Device(d)) => d.subject,
        (Some(id), _) => session.subject(id)?,
        (None, Identity::Officer(_)) => return Err(Failure::usage("say whose threads are meant with --subject ID")),
    };
    let expires = now().plus_seconds(when::span(&a.lasts)?);
    let directory = session.directory()?;
    let threads: BTreeSet<_> =
        a.thread.iter().map(|t| Ok(directory.thread(t)?.token)).collect::<Result<_, Failure>>()?;
    let charter = client.charters().current();
    let generation = client.charters().generation();
    let floor = match &a.floor {
        None => Floor { t: generation.t, n: generation.n() },
        Some(text) => parse_floor(text)?,
    };
    let notice = a.notice.as_deref().ok_or_else(|| Failure::usage("name the notice text with --notice FILE"))?;
    let policies =
        if a.policy.is_empty() { charter.policies.iter().map(|p| p.id.clone()).collect() } else { a.policy.clone() };
    Ok(ConsentTerms {
        subject,
        coverage: if threads.is_empty() {
            Coverage::Workspace
        } else {
            Coverage::Threads(threads.into_iter().collect())
        },
        from: a.from.as_deref().map(when::from).transpose()?.unwrap_or(Timestamp::EPOCH),
        to: a.to.as_deref().map(when::to).transpose()?.unwrap_or(expires),
        epochs: None,
        purposes: a.purpose.clone(),
        basis,
        authority: a.ground.authority()?,
        policies,
        floor,
        retention_days: a.retention_days,
        notice: NoticeText { digest: digest_of(notice)?, language: a.language.clone(), terms: a.notice_terms.clone() },
        expires,
        jurisdiction: a.jurisdiction.clone(),
        pii_types: vec!["message-content".parse()?],
        recipients: vec!["by-request".parse()?],
        withdrawal_method: "escrow consent withdraw".parse()?,
    })
}

fn parse_floor(text: &str) -> Result<Floor, Failure> {
    let parsed = text.split_once('/').and_then(|(t, n)| Some(Floor { t: t.parse().ok()?, n: n.parse().ok()? }));
    parsed.ok_or_else(|| Failure::usage(format!("{text:?} is no node set like 3/5")))
}

fn digest_of(file: &Path) -> Result<Digest, Failure> {
    std::fs::read(file)
        .map(|b| Digest::of(&b))
        .map_err(|e| Failure::usage(format!("cannot read {}: {e}", file.display())))
}

/// The consent meant; without a hash the only live one, a device's own first.
///
/// # Errors
/// Usage, if it is not clear which.
pub fn chosen<'a>(client: &Client, known: &'a [KnownConsent], which: &Which) -> Result<&'a KnownConsent, Failure> {
    only(client, known, which, |k| k.state(now()) == "live")
}

/// The same to read; an ended one too, if it is the only one there is.
fn readable<'a>(client: &Client, known: &'a [KnownConsent], which: &Which) -> Result<&'a KnownConsent, Failure> {
    chosen(client, known, which).or_else(|e| only(client, known, which, |_| true).map_err(|_| e))
}

fn only<'a>(
    client: &Client,
    known: &'a [KnownConsent],
    which: &Which,
    fits: impl Fn(&KnownConsent) -> bool,
) -> Result<&'a KnownConsent, Failure> {
    if let Some(typed) = &which.consent {
        return by_prefix("consent", typed, known.iter().map(|k| (k.digest, k)));
    }
    let own = |k: &&KnownConsent| match client.identity() {
        Identity::Device(d) => k.consent.subject == d.subject,
        Identity::Officer(_) => true,
    };
    let found: Vec<_> = known.iter().filter(own).filter(|k| fits(k)).collect();
    match found.as_slice() {
        [one] => Ok(one),
        [] => {
            Err(Failure::new(Exit::Denied, "consent-unknown", "no live consent is known").next("escrow consent give"))
        }
        _ => Err(Failure::usage(format!("{} live consents; say which by the beginning of its hash", found.len()))
            .next("escrow consent list")),
    }
}

/// All consents that nodes know.
///
/// # Errors
/// [`Failure`], if no node answered.
pub async fn known(client: &Client) -> Result<Vec<KnownConsent>, Failure> {
    let answer = client.consents().await;
    if answer.outcomes.count() == 0 {
        let (exit, rule) = crate::failure::of_nodes(&answer.outcomes, 1);
        return Err(Failure::new(exit, rule, "no node says which consents it knows").nodes(&answer.outcomes));
    }
    Ok(answer.value)
}

/// `consent withdraw`.
///
/// # Errors
/// [`Failure`].
pub async fn withdraw(_: &Session, client: &Client, a: &Withdraw) -> Result<Shown, Failure> {
    let known = known(client).await?;
    let consent = chosen(client, &known, &a.which)?;
    note(&format!("Withdrawing consent {}.\n{WITHDRAWAL}", consent.digest.short()));
    ask_on_terminal(a.yes, "withdraw")?;
    let envelope = client.withdrawal(consent.digest, consent.consent.subject)?;
    let submitted = client.submit(&envelope).await?;
    Ok(with_receipts(Shown::new("escrow.consent.withdraw.v1"), client, &submitted)
        .text(format!("Consent {} is withdrawn. {}", consent.digest.short(), reach(&submitted)))
        .with("consent", consent.digest.to_string())
        .with("stops_releases_against", submitted.stops_releases_against()))
}

/// What a withdrawal does and what it does not do; said before, and in every receipt.
const WITHDRAWAL: &str = "It does: end every release on this consent that has not been delivered, refuse new deposits and requests on\n  \
it, at each node as soon as it hears of it; the nodes tell each other within seconds.\nIt does not: undo what was \
lawfully released before, or take it from who received it. The nodes keep their shares\n  until they are destroyed, but \
cannot release them on this consent. It cannot be taken back: to go on, consent anew.";

/// `consent receipt`: what the subject agreed to, in words, and the statement as it was signed.
async fn receipt(session: &Session, client: &Client, a: &Receipt) -> Result<Shown, Failure> {
    let known = known(client).await?;
    let (k, directory) = (readable(client, &known, &a.which)?, session.directory()?);
    let signed: serde_json::Value =
        serde_json::from_slice(k.envelope.bytes()).map_err(|e| Failure::unexpected(e.to_string()))?;
    let mut shown = Shown::new("escrow.consent.receipt.v1").text(in_words(k, client, &directory));
    if let Some(file) = &a.out {
        crate::context::replace(file, k.envelope.bytes())?;
        shown = shown.text(format!("The statement as it was signed is in {}.", file.display()));
    }
    Ok(shown
        .with("receipt_id", k.consent.record.record_id.to_string())
        .with("schema_version", k.consent.record.schema_version.to_string())
        .with("state", k.state(now()))
        .with("digest", k.digest.to_string())
        .data("consent", &k.consent)
        .with("signed", signed))
}

fn in_words(k: &KnownConsent, client: &Client, directory: &escrow_client::archive::Directory) -> String {
    let (c, r) = (&k.consent, &k.consent.record);
    let list = |codes: &[Code]| codes.iter().map(Code::to_string).collect::<Vec<_>>().join(", ");
    let who = subject_name(directory, &c.subject);
    let ground = match (&c.basis, &c.authority) {
        (Basis::Consent, _) => format!("{who} consented that"),
        (basis, Some(a)) => format!(
            "not by consent of {who} but on basis {} ({}, document {}), signed by {}, it was recorded that",
            basis.name(),
            a.reference,
            a.document.short(),
            r.entity_id
        ),
        (basis, None) => format!(
            "not by consent of {who} but on basis {}, signed by {}, it was recorded that",
            basis.name(),
            r.entity_id
        ),
    };
    let threads = match &c.coverage {
        Coverage::Workspace => "all threads".to_owned(),
        Coverage::Threads(t) => t.iter().map(|t| thread_name(directory, t)).collect::<Vec<_>>().join(", "),
    };
    let epochs = c.epochs.map_or(String::new(), |e| format!(", epochs {} to {}", e.first, e.last));
    let policies = c.policies.iter().map(|p| {
        let today = client.charters().current().policy(&p.id).map(escrow_core::charter::Policy::digest);
        let note = if today == Some(p.digest) { "" } else { "; today's text is another, and both must allow" };
        format!("{} (text {}{note})", p.id, p.digest.short())
    });
    let parties =
        r.controllers.iter().map(|p| format!("{} ({}), {}, contact: {}", p.name, p.kind, p.address, p.contact));
    let (policies, parties) = (policies.collect::<Vec<_>>().join(", "), parties.collect::<Vec<_>>().join("; "));
    let (terms, digest, language) = (&c.notice.terms, c.notice.digest.short(), &c.notice.language);
    [
        format!("Receipt {} for consent {} ({}).", r.record_id, k.digest.short(), k.state(now())),
        format!("On {} {ground} keys to messages may be escrowed.", r.event_time),
        format!("What: {threads}, messages of {} to {}{epochs}; data: {}.", c.from, c.to, list(&r.pii_types)),
        format!("What for: {}. Under policy: {policies}.", list(&c.purposes)),
        format!("Who decides on the processing: {parties}."),
        format!("Who can receive a release: {}.", list(&r.recipients)),
        format!(
            "Where: one share each at independent nodes ({}), at least {} of at least {} of which must agree before anything can be read.",
            list(&r.storage_locations),
            c.floor.t,
            c.floor.n
        ),
        format!("How long: shares are meant for {} days; the consent ends {}. Law: {}.", c.retention_days, c.expires, r.jurisdiction),
        format!("Shown was the notice text {digest} in language {language}; notice of releases: {terms}."),
        format!("To withdraw: {}.\n{WITHDRAWAL}", r.withdrawal_method),
    ]
    .join("\n")
}

async fn list(session: &Session, client: &Client) -> Result<Shown, Failure> {
    let (known, directory, at) = (known(client).await?, session.directory()?, now());
    let rows = known.iter().map(|k| {
        let c = &k.consent;
        let purposes = c.purposes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let subject = subject_name(&directory, &c.subject);
        vec![
            k.digest.short(),
            subject,
            k.state(at).into(),
            c.basis.name().into(),
            purposes,
            c.expires.to_string(),
            k.nodes.to_string(),
        ]
    });
    Ok(Shown::new("escrow.consent.list.v1")
        .table(&["consent", "subject", "state", "basis", "purposes", "until", "nodes"], rows.collect())
        .list_of("consents")
        .with("consents", known.iter().map(|k| value(k, at)).collect::<Vec<_>>()))
}

async fn show(session: &Session, client: &Client, which: &Which) -> Result<Shown, Failure> {
    let known = known(client).await?;
    let (k, directory) = (readable(client, &known, which)?, session.directory()?);
    let c = &k.consent;
    let coverage = match &c.coverage {
        Coverage::Workspace => "all threads".to_owned(),
        Coverage::Threads(t) => t.iter().map(|t| thread_name(&directory, t)).collect::<Vec<_>>().join(", "),
    };
    let join = |codes: Vec<String>| codes.join(", ");
    let rows = [
        ("hash", k.digest.to_string()),
        ("state", k.state(now()).to_owned()),
        ("subject", subject_name(&directory, &c.subject)),
        ("basis", c.basis.name().to_owned()),
        ("covers", format!("{coverage}, messages {} to {}", c.from, c.to)),
        ("purposes", join(c.purposes.iter().map(ToString::to_string).collect())),
        ("policies", join(c.policies.iter().map(|p| format!("{} ({})", p.id, p.digest.short())).collect())),
        ("node set", format!("at least {} of {}", c.floor.t, c.floor.n)),
        ("kept for", format!("{} days", c.retention_days)),
        ("ends", c.expires.to_string()),
        ("notice text", format!("{} ({})", c.notice.digest.short(), c.notice.language)),
        ("first logged", k.logged.to_string()),
    ];
    Ok(Shown::new("escrow.consent.v1")
        .table(&["field", "value"], rows.map(|(n, v)| vec![n.to_owned(), v]).to_vec())
        .with("consent", value(k, now())))
}

fn value(k: &KnownConsent, at: Timestamp) -> serde_json::Value {
    json!({
        "digest": k.digest, "state": k.state(at), "nodes": k.nodes, "logged": k.logged, "withdrawn": k.withdrawn,
        "consent": k.consent,
    })
}
