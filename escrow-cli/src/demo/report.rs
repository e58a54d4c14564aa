//! The end of the demo: a summary for people, a report for machines, where everything lies, and
//! contexts in which to try the commands oneself.

use super::DemoArgs;
use super::main_job::MainJob;
use super::story::{DemoError, During as _, Teller};
use crate::commands::context::{Add, add};
use crate::failure::Exit;
use crate::output::Shown;
use crate::session::Global;
use escrow_audit::finding::Report;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Serialize)]
struct ReportedNode {
    url: String,
    data_dir: PathBuf,
    pid: Option<u32>,
}

/// True if the report says OK, and its words for the story.
pub(super) fn judged(report: &Report) -> (bool, String) {
    let ok = report.exit_code() == 0;
    let text = match report.findings.iter().find(|_| !ok) {
        Some(f) => f.to_string(),
        None => format!(
            "OK: {} logs, every signature, verdict and policy checked again from the bundle alone",
            report.logs.len()
        ),
    };
    (ok, text)
}

pub(super) fn finish(job: MainJob, args: &DemoArgs, teller: &Teller, took: Duration) -> Result<Shown, DemoError> {
    contexts(&job)?;
    let node = |m: &super::Member| ReportedNode { url: m.seat.url.clone(), data_dir: m.data_dir(), pid: m.pid() };
    let nodes: Vec<ReportedNode> = job.cluster.members().iter().map(node).collect();
    let steps = teller.steps();
    let rows = steps.iter().map(|s| vec![if s.ok { "yes" } else { "NO" }.into(), s.name.clone(), s.expected.clone()]);
    let ok = steps.iter().all(|s| s.ok);
    let text = |p: &Option<PathBuf>| p.as_deref().map(|p| p.display().to_string());
    let shown = Shown::new("escrow.demo.v1")
        .text("\nSummary")
        .table(&["as expected", "step", "expected"], rows.collect())
        .text(whereabouts(&job, args, steps.len(), took))
        .with("charter_digest", job.charters().genesis().to_string())
        .with("bundle", text(&job.bundle))
        .with("production", text(&job.production))
        .with("archive", job.archive_dir().display().to_string())
        .with("opened", text(&job.opened))
        .data("nodes", &nodes)
        .data("counts", &job.counts)
        .with("seconds", took.as_secs())
        .data("steps", &steps)
        .exit(if ok { Exit::Ok } else { Exit::Unexpected });
    if let Some(path) = &args.report {
        let json = serde_json::to_vec_pretty(&shown.json()).during("writing the report")?;
        std::fs::write(path, json).during("writing the report")?;
    }
    if args.keep {
        job.cluster.leave_running();
    }
    Ok(shown)
}

/// A context for each officer and for the custodian of the released thread.
fn contexts(job: &MainJob) -> Result<(), DemoError> {
    let keys = job.dir.join("keys");
    let who = job.contents.depositors().remove(&job.slice.thread).during("finding the custodian")?;
    let custodian = job.custodians.get(&who).during("finding the custodian")?;
    custodian.device.save_new(&keys.join("custodian.key")).during("saving the custodian's key")?;
    for name in ["quinn", "lena", "dora", "erik", "rita", "rolf", "sven", "custodian"] {
        let context = Add {
            name: name.into(),
            charter: job.dir.join("charter.json"),
            genesis: job.charters().genesis(),
            key: Some(keys.join(format!("{name}.key"))),
            token_key: Some(keys.join("token.key")),
            directory: Some(job.dir.join("directory.json")),
            replace: false,
        };
        let added = add(&Global::default(), &config_dir(&job.dir), &context).map_err(|f| f.text());
        let _shown = added.during("setting up a context")?;
    }
    Ok(())
}

fn config_dir(dir: &Path) -> PathBuf {
    dir.join("config")
}

fn whereabouts(job: &MainJob, args: &DemoArgs, steps: usize, took: Duration) -> String {
    let dir = job.dir.display();
    let mut text = format!(
        "{steps} steps in {} s. Everything lies in {dir}:
  charter.json    the signed charter          keys/           private keys of the people in the story
  archive/        the sealed messages         opened.jsonl    what Erik could read
  replies.json    the sealed replies          bundle/         the evidence (BagIt)
  production/     the messages as RSMF        directory.json  ids and tokens, only on this machine
  node1 .. node5  each node's folder

Who did what when, with log positions, to read and print:
  {dir}/bundle/data/report/custody.html

Verify the evidence yourself, with the network unplugged:
  escrow verify {dir}/bundle --charter-digest {}

Check the production as a review platform would:
  escrow export verify {dir}/production
",
        took.as_secs(),
        job.charters().genesis()
    );
    if args.keep {
        text.push_str(&format!(
            "
The nodes keep running. Try, as the officers of the story:
  export ESCROW_CONFIG_DIR={dir}/config
  escrow --context quinn doctor
  escrow --context quinn node status
  escrow --context quinn matter list
  escrow --context quinn request list
  escrow --context custodian my activity
  escrow --context custodian consent receipt
  escrow --context quinn policy lint
  escrow --context quinn audit export --matter {} --out {dir}/bundle-2
To end them:
  kill {}
",
            job.matter,
            job.cluster
                .members()
                .iter()
                .filter_map(super::Member::pid)
                .map(|p| p.to_string())
                .collect::<Vec<_>>()
                .join(" ")
        ));
    } else {
        text.push_str("\nWith --keep the nodes stay, and you can try the commands yourself.\n");
    }
    text
}
