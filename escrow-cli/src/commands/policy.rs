//! `escrow policy`: read, check and try policy texts. Needs no network, and no context where
//! files are named.

use super::decide::Asked;
use crate::explain::{assessment, by_node};
use crate::failure::{Exit, Failure};
use crate::help::examples;
use crate::output::{Shown, clean};
use crate::session::{Global, Session};
use clap::{Args, Subcommand};
use escrow_client::read_envelopes;
use escrow_core::charter::{Charter, Policy};
use escrow_core::limits::{PAYLOAD_LARGE, POLICY_TEXT_MAX};
use escrow_core::{Code, strict};
use escrow_policy::cases::{Answer, CaseResult, Table};
use escrow_policy::context::SCHEMA_VERSION;
use escrow_policy::lint::{Finding, Severity, lint};
use escrow_policy::ready::{self, READY, Ready};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What to do with policies.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the policies of the charter, or those that come with the program
    #[command(before_help = examples![
        "escrow policy show internal-investigation",
        "escrow policy show court-order --ready --text > court-order.cedar",
    ])]
    Show(ShowArgs),
    /// Look for mistakes in a policy text, or in all texts of a charter
    #[command(
        before_help = examples![
            "escrow policy lint court-order.cedar",
            "escrow policy lint court-order.cedar --charter charter.draft.json",
        ],
        after_help = "Exit code 2 if something is an error, 0 if there are only warnings."
    )]
    Lint(LintArgs),
    /// Ask a policy about every case of a table
    #[command(
        before_help = examples![
            "escrow policy test court-order.cases.toml",
            "escrow policy test my-cases.toml --policy my-policy.cedar",
        ],
        after_help = "Exit code 2 if a case does not come out as the table says."
    )]
    Test(TestArgs),
    /// Say what every node decides about a request or self-recovery now, and by which policy
    #[command(before_help = examples![
        "escrow policy explain 3f1c90aa",
        "escrow policy explain 3f1c90aa --output json",
    ])]
    Explain(ExplainArgs),
}

/// Arguments of `policy show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Id of the policy [default: list them]
    pub id: Option<Code>,
    /// Those that come with the program; needs no context
    #[arg(long)]
    pub ready: bool,
    /// Only the text, to be saved as a file
    #[arg(long, requires = "id", conflicts_with = "cases")]
    pub text: bool,
    /// Only the table of cases, to be saved as a file
    #[arg(long, requires_all = ["id", "ready"])]
    pub cases: bool,
}

/// Arguments of `policy lint`.
#[derive(Debug, Args)]
pub struct LintArgs {
    /// A file with a Cedar text [default: all texts of the charter]
    pub file: Option<PathBuf>,
    /// A draft or charter file, to see whether its people can satisfy the text [default, without
    /// FILE: the context's]
    #[arg(long, value_name = "FILE")]
    pub charter: Option<PathBuf>,
}

/// Arguments of `policy test`.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// The table of cases, TOML
    pub table: PathBuf,
    /// A file with the Cedar text [default: the one that comes with the program under the table's
    /// policy id]
    #[arg(long, value_name = "FILE", conflicts_with = "in_charter")]
    pub policy: Option<PathBuf>,
    /// The text of the context's charter under the table's policy id
    #[arg(long)]
    pub in_charter: bool,
}

/// Arguments of `policy explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The hash of the request or self-recovery, or the beginning of it
    pub request: String,
}

/// Runs `policy`.
///
/// # Errors
/// [`Failure`].
pub async fn run(global: &Global, command: &Command) -> Result<Shown, Failure> {
    match command {
        Command::Show(a) => show(global, a),
        Command::Lint(a) => lint_command(global, a),
        Command::Test(a) => test(global, a),
        Command::Explain(a) => explain(global, a).await,
    }
}

/// Per node: satisfied, lacking, deciding policy; then the texts that decided.
async fn explain(global: &Global, a: &ExplainArgs) -> Result<Shown, Failure> {
    let session = Session::open(global)?;
    let client = session.client().await?;
    let asked = Asked::find(&client, &a.request).await?;
    let verdicts = client.verdicts(&asked.digest()).await;
    let (sentence, name) = assessment(&client, &verdicts, asked.collect(), &asked.digest());
    let mut shown = by_node(Shown::new("escrow.policy.explain.v1"), &client, &verdicts, Into::into)
        .text(sentence)
        .with("request_hash", asked.digest().to_string())
        .with("assessment", name);
    let evaluated: BTreeSet<_> =
        verdicts.good().flat_map(|(_, v)| &v.verdict.policies).map(|p| (p.policy, p.current)).collect();
    for (digest, current) in evaluated {
        let versions = client.charters().versions();
        let text = versions.flat_map(|c| &c.policies).find(|p| p.digest() == digest);
        let which = if current { "today's text" } else { "agreed text" };
        shown = match text {
            Some(p) => shown.text(format!("\n{which} {} of {}:\n{}", digest.short(), p.id, clean(p.text.trim_end()))),
            None => shown.text(format!("\n{which} {} is in no charter known here.", digest.short())),
        };
    }
    Ok(shown)
}

fn show(global: &Global, a: &ShowArgs) -> Result<Shown, Failure> {
    let shown = Shown::new("escrow.policy.v1");
    let Some(id) = &a.id else { return list(global, a.ready) };
    if a.ready {
        let ready = find_ready(id)?;
        if a.cases {
            return Ok(shown.text(ready.cases.trim_end()).with("cases", ready.cases));
        }
        let policy = ready.policy_as(id.clone());
        return Ok(describe(shown.with("title", ready.title), &policy, Some(ready.title), a.text));
    }
    let charter = Session::open(global)?.charters.current().clone();
    Ok(describe(shown, of_charter(&charter, id)?, None, a.text))
}

fn describe(shown: Shown, policy: &Policy, title: Option<&str>, only_text: bool) -> Shown {
    let shown = shown
        .with("id", policy.id.to_string())
        .with("digest", policy.digest().to_string())
        .with("context_schema", policy.schema)
        .with("text", policy.text.clone());
    // A charter's text may hold anything, so it may not steer the terminal either.
    let text = clean(policy.text.trim_end());
    if only_text {
        return shown.text(text);
    }
    let title = title.map_or_else(String::new, |t| format!("\n{t}."));
    shown
        .text(format!("{}, context schema {}, digest {}{title}\n", policy.id, policy.schema, policy.digest()))
        .text(text)
}

fn list(global: &Global, only_ready: bool) -> Result<Shown, Failure> {
    let shown = Shown::new("escrow.policies.v1");
    let head = ["policy", "digest", "what for"];
    if only_ready {
        let rows = READY.iter().filter_map(|r| {
            let digest = r.policy().ok()?.digest().short();
            Some(vec![r.id.to_owned(), digest, r.title.to_owned()])
        });
        let ids: Vec<_> = READY.iter().map(|r| r.id).collect();
        return Ok(shown.table(&head, rows.collect()).list_of("ready").data("ready", &ids));
    }
    let charter = Session::open(global)?.charters.current().clone();
    // What for: the first line of comment in the text.
    let first = |p: &Policy| p.text.lines().find_map(|l| l.trim().strip_prefix("//")).unwrap_or("").trim().to_owned();
    let rows = charter.policies.iter().map(|p| vec![p.id.to_string(), p.digest().short(), first(p)]);
    let ids: Vec<_> = charter.policies.iter().map(|p| &p.id).collect();
    Ok(shown.table(&head, rows.collect()).list_of("charter").data("charter", &ids))
}

fn find_ready(id: &Code) -> Result<&'static Ready, Failure> {
    ready::find(id.as_str()).ok_or_else(|| {
        let known = READY.iter().map(|r| r.id).collect::<Vec<_>>().join(", ");
        Failure::usage(format!("no policy {id} comes with the program; these do: {known}"))
    })
}

fn of_charter<'a>(charter: &'a Charter, id: &Code) -> Result<&'a Policy, Failure> {
    charter.policy(id).ok_or_else(|| {
        Failure::usage(format!("the charter has no policy {id}")).next(format!("escrow policy show {id} --ready"))
    })
}

fn lint_command(global: &Global, a: &LintArgs) -> Result<Shown, Failure> {
    let charter = match (&a.charter, &a.file) {
        (Some(file), _) => Some(charter_file(file)?),
        (None, Some(_)) => None,
        (None, None) => Some(Session::open(global)?.charters.current().clone()),
    };
    let policies = match (&a.file, &charter) {
        (Some(file), _) => vec![policy_file(file)?],
        (None, Some(c)) => c.policies.clone(),
        (None, None) => vec![],
    };
    Ok(findings(&lint(&policies, charter.as_ref())))
}

/// What lint found, for people and machines.
fn findings(all: &[Finding]) -> Shown {
    let count = |s| all.iter().filter(|f| f.severity == s).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let mut shown = Shown::new("escrow.policy.lint.v1");
    for f in all {
        let policy = f.policy.as_ref().map_or_else(|| "charter".to_owned(), |p| format!("policy {p}"));
        let (severity, code) = (f.severity.name(), f.problem.code());
        shown = shown.text(clean(&format!("{severity} [{code}] {policy}: {}\n  remedy: {}", f.words, f.remedy)));
    }
    let exit = if errors > 0 { Exit::Usage } else { Exit::Ok };
    shown
        .text(format!("errors: {errors}, warnings: {warnings}"))
        .data("findings", &all)
        .with("errors", errors)
        .with("warnings", warnings)
        .exit(exit)
}

fn test(global: &Global, a: &TestArgs) -> Result<Shown, Failure> {
    let file = |e: &dyn std::fmt::Display| Failure::usage(format!("{}: {e}", a.table.display()));
    let table = Table::parse(&read(&a.table)?).map_err(|e| file(&e))?;
    let id = || {
        let none =
            || Failure::usage(format!("{} names no policy", a.table.display())).next("name a text with --policy");
        table.policy().ok_or_else(none)
    };
    let policy = match &a.policy {
        Some(path) => policy_file(path)?,
        None if a.in_charter => of_charter(Session::open(global)?.charters.current(), id()?)?.clone(),
        None => {
            let ready = find_ready(id()?).map_err(|f| f.next("name a text with --policy, or say --in-charter"))?;
            ready.policy_as(id()?.clone())
        }
    };
    let results = table.run(&policy).map_err(|e| file(&e))?;
    Ok(show_cases(&policy, &results))
}

fn show_cases(policy: &Policy, results: &[CaseResult]) -> Shown {
    let failed = results.iter().filter(|r| !r.passed).count();
    let rows = results.iter().map(|r| {
        let by = r.deciding.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        vec![
            if r.passed { "ok" } else { "NOT OK" }.to_owned(),
            r.name.clone(),
            r.found.name().to_owned(),
            by,
            differs(r),
        ]
    });
    Shown::new("escrow.policy.test.v1")
        .table(&["", "case", "answer", "decided by", "but expected"], rows.collect())
        .text(format!(
            "\ncases: {}, not as expected: {failed}; policy {}, digest {}",
            results.len(),
            policy.id,
            policy.digest()
        ))
        .with("policy", policy.id.to_string())
        .with("digest", policy.digest().to_string())
        .with("failed", failed)
        .data("cases", &results)
        .exit(if failed == 0 { Exit::Ok } else { Exit::Usage })
}

/// What a case expected and did not get.
fn differs(r: &CaseResult) -> String {
    let by = r.decided_by.as_ref().map_or_else(String::new, |d| format!(" by {d}"));
    match (r.passed, r.errors.first()) {
        (true, _) => String::new(),
        (false, Some(e)) if r.expected != Answer::Deny => format!("{}{by}; evaluation failed: {e}", r.expected.name()),
        (false, _) => format!("{}{by}", r.expected.name()),
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|e| Failure::usage(format!("cannot read {}: {e}", path.display())))
}

/// A text under the name of its file.
fn policy_file(path: &Path) -> Result<Policy, Failure> {
    let text = read(path)?;
    if text.len() > POLICY_TEXT_MAX {
        return Err(Failure::usage(format!("{} is longer than a policy can be", path.display())));
    }
    let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
    let id = stem.parse().map_err(|e| Failure::usage(format!("{stem:?} cannot name a policy: {e}")));
    Ok(Policy { id: id?, schema: SCHEMA_VERSION, text })
}

/// A draft, or the last charter of a file. It is looked at and not believed.
fn charter_file(path: &Path) -> Result<Charter, Failure> {
    let bytes = std::fs::read(path).map_err(|e| Failure::usage(format!("cannot read {}: {e}", path.display())))?;
    if let Ok(charter) = strict::decode::<Charter>(&bytes, PAYLOAD_LARGE) {
        return Ok(charter);
    }
    let last = read_envelopes(path)?.pop().ok_or_else(|| Failure::usage("an empty charter file"))?;
    Ok(last.decode()?)
}
