//! `escrow doctor`: looks for what is wrong, and says what to do about it.

use crate::context::{Config, Context, config_dir};
use crate::failure::{Exit, Failure};
use crate::help::examples;
use crate::machine;
use crate::output::Shown;
use crate::session::Global;
use clap::Args;
use escrow_client::doctor::{self, Check, Fault, State};
use escrow_client::watch::{Heads, Watch, WatchError};
use escrow_client::{Charters, Client, Identity, Outbox, now};
use serde_json::json;
use std::path::Path;
use std::time::Duration;

/// How often an idle node has its log cosigned, unless its operator changed it.
const HEARTBEAT: Duration = Duration::from_secs(600);
/// Entries in which a node's deposits are sampled: one page.
const SAMPLED_ENTRIES: u64 = 200;

/// Arguments of `doctor`.
#[derive(Clone, Debug, Args)]
#[command(
    before_help = examples!["escrow doctor", "escrow doctor --offline --output json"],
    after_help = "Exit codes: 0 nothing is wrong; 8 there are warnings; else that of the worst failure: 6 something does \
not verify, 4 a key, 7 too few nodes, 1 this machine.\n\
It changes nothing but the heads and charters that it remembers, and asks nobody for a passphrase; the nodes log that \
deposits were sampled."
)]
pub struct Doctor {
    /// Only what needs no node
    #[arg(long)]
    pub offline: bool,
    /// Deposits of the outbox whose receipts are verified again, the newest first
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub sample: usize,
}

/// Runs `doctor`.
///
/// # Errors
/// [`Failure`], if there is no context to look at.
pub async fn run(global: &Global, a: &Doctor) -> Result<Shown, Failure> {
    let dir = config_dir(global.config.as_deref())?;
    let (name, context) = Config::load(&dir)?.context(&dir, global.context.as_deref())?;
    let mut checks = Vec::new();
    let charters = match Charters::load(&context.charter, context.genesis) {
        Ok(charters) => Some(charters),
        Err(e) => {
            checks.push(failed("charter", "", e.into()));
            None
        }
    };
    let key = context.identity.clone().map(|file| {
        let loaded = Identity::load_with(&file, &|path| global.passphrases.without_asking(path));
        (file, loaded)
    });
    checks.extend(machine::checks(&dir, &context, charters.as_ref(), key.as_ref()));
    if let Some(charters) = charters {
        checks.push(doctor::charter(&charters, now()));
        checks.extend(outbox(&charters, &context.outbox, a.sample));
        if !a.offline {
            checks.extend(online(&context, charters, key.and_then(|(_, loaded)| loaded.ok())).await);
        }
    }
    Ok(show(&name, &checks))
}

fn outbox(charters: &Charters, path: &Path, sample: usize) -> Vec<Check> {
    if !path.exists() {
        return vec![Check::skipped("outbox", "", "nothing was ever deposited from here")];
    }
    let look = || {
        let outbox = Outbox::open(path)?;
        let mut checks = doctor::pending(charters, &outbox, sample)?;
        checks.push(doctor::receipts(charters, &outbox, sample)?);
        Ok::<_, Failure>(checks)
    };
    look().unwrap_or_else(|failure| vec![failed("outbox", "", failure)])
}

/// What needs nodes. The heads come first: whatever is asked afterwards makes the logs grow.
async fn online(context: &Context, charters: Charters, identity: Option<Identity>) -> Vec<Check> {
    let (mut checks, charters) = match logs(context, charters.clone()).await {
        Ok(found) => found,
        Err(failure) => (vec![failed("log", "", failure)], charters),
    };
    match doctor::nodes(&charters).await {
        Ok(found) => checks.extend(found),
        Err(e) => checks.push(failed("nodes", "", e.into())),
    }
    checks.extend(match identity {
        Some(identity @ Identity::Officer(_)) => sampled(charters, identity).await,
        Some(Identity::Device(_)) => vec![Check::skipped("deals", "", "nodes hand deposits to officers only")],
        None => vec![Check::skipped("deals", "", "without a key nobody is asked for deposits")],
    });
    checks
}

async fn logs(context: &Context, charters: Charters) -> Result<(Vec<Check>, Charters), Failure> {
    let heads = match Heads::open(&context.heads()) {
        Ok(heads) => heads,
        Err(e @ WatchError::Running(_)) => return Ok((vec![Check::skipped("log", "", e.to_string())], charters)),
        Err(e) => return Err(e.into()),
    };
    let before = charters.digest();
    let mut watch = Watch::new(charters, heads, HEARTBEAT);
    let looks = watch.look(now()).await?;
    if watch.charters().digest() != before {
        watch.charters().save(&context.charter)?;
    }
    Ok((doctor::heads(&looks), watch.charters().clone()))
}

async fn sampled(charters: Charters, identity: Identity) -> Vec<Check> {
    match Client::new(charters, identity) {
        Ok(client) => {
            let mut checks = Vec::new();
            for node in client.nodes() {
                checks.push(doctor::deals(&client, node, SAMPLED_ENTRIES).await);
            }
            checks
        }
        Err(e) => vec![failed("deals", "", e.into())],
    }
}

/// A failure of another command's step, as a check.
fn failed(name: &'static str, of: &str, failure: Failure) -> Check {
    let fault = match failure.exit {
        Exit::Verification => Fault::Verification,
        Exit::Key => Fault::Key,
        Exit::BelowThreshold => Fault::BelowThreshold,
        _ => Fault::Machine,
    };
    Check::fail(name, fault, of, failure.reason.clone(), failure.next_step())
}

const fn word(state: State) -> &'static str {
    match state {
        State::Ok => "ok",
        State::Skipped => "-",
        State::Warn => "warn",
        State::Fail(_) => "FAIL",
    }
}

/// The exit code that checks come to.
fn exit_of(checks: &[Check]) -> Exit {
    let faults = checks.iter().filter_map(|c| match c.state {
        State::Fail(fault) => Some(fault),
        _ => None,
    });
    match faults.max() {
        Some(Fault::Verification) => Exit::Verification,
        Some(Fault::Key) => Exit::Key,
        Some(Fault::BelowThreshold) => Exit::BelowThreshold,
        Some(Fault::Machine) => Exit::Unexpected,
        None if checks.iter().any(|c| c.state == State::Warn) => Exit::Partial,
        None => Exit::Ok,
    }
}

fn show(name: &str, checks: &[Check]) -> Shown {
    let rows = checks.iter().map(|c| {
        let next = if c.next.is_empty() { String::new() } else { format!("next: {}", c.next) };
        vec![c.name.to_owned(), word(c.state).to_owned(), c.of.clone(), lines(&c.what, &next)]
    });
    let list = checks.iter().map(|c| {
        let state = match c.state {
            State::Ok => "ok",
            State::Skipped => "skipped",
            State::Warn => "warn",
            State::Fail(_) => "fail",
        };
        json!({"check": c.name, "of": c.of, "state": state, "what": c.what, "next": c.next})
    });
    let count = |wanted: fn(State) -> bool| checks.iter().filter(|c| wanted(c.state)).count();
    let (failed, warned) = (count(|s| matches!(s, State::Fail(_))), count(|s| s == State::Warn));
    Shown::new("escrow.doctor.v1")
        .table(&["check", "state", "of", "what was found"], rows.collect())
        .text(format!("Context {name}: {} checks, {failed} failed, {warned} warnings.", checks.len()))
        .with("context", name)
        .with("failed", failed)
        .with("warnings", warned)
        .list_of("checks")
        .with("checks", list.collect::<Vec<_>>())
        .exit(exit_of(checks))
}

/// Broken into lines that a table of a terminal holds.
fn lines(what: &str, next: &str) -> String {
    const WIDTH: usize = 72;
    let mut out = String::new();
    for text in [what, next].into_iter().filter(|t| !t.is_empty()) {
        let mut left = 0;
        for word in text.split_whitespace() {
            let length = word.chars().count();
            let separator = match left {
                _ if out.is_empty() => "",
                0 => "\n",
                used if used + 1 + length > WIDTH => "\n",
                _ => " ",
            };
            left = if separator == " " { left + 1 + length } else { length };
            out.push_str(separator);
            out.push_str(word);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_failure_decides_and_what_was_not_checked_does_not() {
        let (ok, skipped, warn) =
            (Check::ok("a", "", "x"), Check::skipped("b", "", "y"), Check::warn("c", "", "z", "mend"));
        let fail = |fault| Check::fail("d", fault, "", "w", "mend");
        assert_eq!(exit_of(&[ok.clone(), skipped.clone()]), Exit::Ok);
        assert_eq!(exit_of(&[ok.clone(), warn.clone()]), Exit::Partial);
        for (fault, exit) in [
            (Fault::Machine, Exit::Unexpected),
            (Fault::BelowThreshold, Exit::BelowThreshold),
            (Fault::Key, Exit::Key),
            (Fault::Verification, Exit::Verification),
        ] {
            assert_eq!(exit_of(&[warn.clone(), fail(fault), fail(Fault::Machine)]), exit);
        }
        let shown = show("acme", &[ok, skipped, warn, fail(Fault::Key)]);
        assert!(shown.human(false).contains("4 checks, 1 failed, 1 warnings"));
        let states: Vec<_> = shown.lines().iter().map(|c| c["state"].as_str().unwrap().to_owned()).collect();
        assert_eq!(states, ["ok", "skipped", "warn", "fail"]);
    }

    #[test]
    fn a_next_step_begins_a_line_of_its_own_and_no_line_is_long() {
        let text = lines(&"word ".repeat(40), "next: mend it");
        assert!(text.ends_with("\nnext: mend it") && text.lines().all(|l| l.len() <= 72), "{text}");
    }
}
