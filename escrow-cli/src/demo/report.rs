//! The end of the demo: a summary for people, a report for machines, where everything lies.

use super::DemoArgs;
use super::main_job::MainJob;
use super::story::{Step, Teller};
use escrow_audit::finding::Report;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tabled::builder::Builder;
use tabled::settings::{Style, Width};

#[derive(Serialize)]
struct Json<'a> {
    schema: &'static str,
    charter_digest: escrow_core::Digest,
    bundle: Option<&'a Path>,
    archive: PathBuf,
    opened: Option<&'a Path>,
    nodes: Vec<JsonNode>,
    counts: &'a BTreeMap<&'static str, u64>,
    seconds: u64,
    steps: &'a [Step],
}

#[derive(Serialize)]
struct JsonNode {
    url: String,
    data_dir: PathBuf,
    pid: Option<u32>,
}

/// True if the report says OK, and its words for the story.
pub(super) fn judged(report: &Report) -> (bool, String) {
    let ok = report.exit_code() == 0;
    let text = match report.findings.iter().find(|_| !ok) {
        Some(f) => f.to_string(),
        None => format!("OK: {} logs, every signature, verdict and policy checked again from the bundle alone", report.logs.len()),
    };
    (ok, text)
}

pub(super) fn finish(job: MainJob, args: &DemoArgs, teller: Teller, quiet: bool, took: Duration) -> std::io::Result<bool> {
    let steps = teller.steps();
    let ok = steps.iter().all(|s| s.ok);
    let json = Json {
        schema: "escrow.demo.v1",
        charter_digest: job.charters().genesis(),
        bundle: job.bundle.as_deref(),
        archive: job.archive_dir(),
        opened: job.opened.as_deref(),
        nodes: job
            .cluster
            .members()
            .iter()
            .map(|m| JsonNode { url: m.seat.url.clone(), data_dir: m.data_dir(), pid: m.pid().filter(|_| args.keep) })
            .collect(),
        counts: &job.counts,
        seconds: took.as_secs(),
        steps,
    };
    let bytes = serde_json::to_vec_pretty(&json)?;
    if let Some(path) = &args.report {
        std::fs::write(path, &bytes)?;
    }
    if quiet {
        std::io::stdout().write_all(&bytes)?;
    } else {
        teller.chapter("Summary");
        let mut table = Builder::default();
        table.push_record(["step", "expected", "as expected"]);
        for s in steps {
            table.push_record([s.name.as_str(), s.expected.as_str(), if s.ok { "yes" } else { "NO" }]);
        }
        let mut table = table.build();
        table.with(Style::sharp()).with(Width::wrap(110).keep_words(true));
        writeln!(std::io::stdout(), "{table}")?;
        whereabouts(&job, &teller, args, took);
    }
    if args.keep {
        job.cluster.leave_running();
    }
    Ok(ok)
}

fn whereabouts(job: &MainJob, teller: &Teller, args: &DemoArgs, took: Duration) {
    teller.say(&format!("{} steps in {} s. Everything lies in {}:", teller.steps().len(), took.as_secs(), job.dir.display()));
    teller.say("  charter.json    the signed charter          keys/           the officers' private keys");
    teller.say("  archive/        the sealed messages         opened.jsonl    what Erik could read");
    teller.say("  replies.json    the sealed replies          bundle/         the evidence (BagIt)");
    teller.say("  node1 .. node5  each node's folder          directory.json  names and tokens, only on this machine");
    teller.say(&format!("Verify the evidence yourself, offline: escrow verify {} --charter-digest {}", job.dir.join("bundle").display(), job.charters().genesis()));
    if args.keep {
        teller.say("The nodes are still running. To end them: kill the processes named in the report, or `pkill escrow-node`.");
    }
}
