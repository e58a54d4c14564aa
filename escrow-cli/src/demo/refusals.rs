//! What must not work, and what must work all the same: each scene tries it for real.

use super::main_job::{MainJob, refusal};
use super::story::{DemoError, During as _, Teller};
use crate::failure::Failure;
use escrow_audit::bundle::Bundle;
use escrow_client::archive::{OpenError, OpenOptions, SegmentError, open_segments};
use escrow_client::{Device, FlushOptions, Identity, Outbox, ReleaseError, Wanted, now};
use escrow_core::deal::About;
use escrow_core::query::Question;
use escrow_core::request::Scope;
use escrow_core::sealing::Suite;
use escrow_core::wire::{ItemInfo, RequestInfo};
use escrow_core::{SeatIndex, ThreadKey};
use std::sync::Arc;
use std::time::Duration;

pub(super) async fn all(job: &mut MainJob, teller: &mut Teller) -> Result<(), DemoError> {
    teller.chapter("8. What must not work");
    unenrolled_device(job, teller).await?;
    outside_the_scope(job, teller).await?;
    teller.chapter("9. Nodes that are down");
    nodes_down(job, teller).await?;
    teller.chapter("10. A node that lies");
    liar(job, teller).await?;
    teller.chapter("11. Somebody withdraws");
    withdrawn(job, teller).await?;
    teller.chapter("12. Somebody touches the evidence");
    flipped_byte(job, teller)
}

/// A device that no registrar enrolled deposits a key.
async fn unenrolled_device(job: &MainJob, teller: &mut Teller) -> Result<(), DemoError> {
    let who = job.custodians.values().next().and_then(|c| c.consent.clone()).during("finding a consent")?;
    let (digest, consent) = who;
    let stray = Arc::new(Identity::Device(Device::generate(consent.subject, Suite::XWing)));
    let client = job.client.acting_as(stray);
    let about = any_item(job).await?.about;
    let outbox = Outbox::open(&job.dir.join("stray-outbox.db")).during("opening an outbox")?;
    let once = FlushOptions { attempts: 1, ..FlushOptions::default() };
    let items = vec![(About { archive: None, ..about }, ThreadKey::generate())];
    let flushed = client.deposit(Arc::new(outbox), (digest, consent), items, once, Arc::new(|_, _| {})).await;
    let flushed = flushed.during("depositing from an unenrolled device")?;
    let refused = flushed.failures.values().filter(|e| e.code() == "not-enrolled").count();
    let text = flushed.failures.values().next().map_or_else(|| "ACCEPTED".to_owned(), ToString::to_string);
    teller.step(
        "an unenrolled device deposits",
        "refused by all five nodes",
        format!("{refused} nodes refuse: {text}"),
        refused == 5,
    );
    Ok(())
}

async fn any_item(job: &MainJob) -> Result<ItemInfo, DemoError> {
    let scope =
        Scope { threads: vec![job.tokens.thread(&job.slice.thread)], from: job.slice.from(), to: job.slice.to() };
    let quinn = job.officer("quinn")?;
    let answers = quinn.ask_all::<Vec<ItemInfo>>(Question::Items(scope)).await;
    let item = answers.good().find_map(|(_, list)| list.first().cloned());
    item.during("looking up an item")
}

/// The recipient tries the released keys on a message that was not asked for.
async fn outside_the_scope(job: &MainJob, teller: &mut Teller) -> Result<(), DemoError> {
    let (_, opened) = job.collect(Wanted::Enough).await.during("collecting the release again")?;
    let Some((thread, day)) = &job.slice.outside else {
        teller.step("a message outside the scope", "cannot be opened", "the archive has nothing else in it", false);
        return Ok(());
    };
    let scope = Scope { threads: vec![job.tokens.thread(thread)], from: day.start(), to: day.end() };
    let answers = job.officer("quinn")?.ask_all::<Vec<ItemInfo>>(Question::Items(scope)).await;
    let other = answers.good().find_map(|(_, list)| list.first().cloned()).during("looking up the other day")?;
    let released = opened.items.contains(&other.item);
    let key = &opened.keys.first().during("taking a released key")?.key;
    let dir = job.archive_dir();
    let options = OpenOptions { dir: &dir, org: &job.org, tokens: Some(&job.tokens) };
    let mut out = Vec::new();
    let report = open_segments(&options, [(&other.about, key)], &mut out).during("trying the other day")?;
    let refused = report.items.into_iter().next().and_then(|i| i.outcome.err());
    let wrong_key = matches!(refused, Some(OpenError::Segment(SegmentError::Key)));
    let text = refused.map_or_else(|| "OPENED".to_owned(), |e| e.to_string());
    teller.step(
        &format!("a message outside the scope (the same keys on {day})"),
        "its key was not released, and the released ones do not open it",
        text,
        wrong_key && out.is_empty() && !released,
    );
    Ok(())
}

/// `kill -9` on two nodes: still works. On a third: exit code 7, and nothing leaks.
async fn nodes_down(job: &mut MainJob, teller: &mut Teller) -> Result<(), DemoError> {
    for seat in [2, 5] {
        job.cluster.kill(seat).during("killing a node")?;
    }
    let outcome = job.collect(Wanted::Enough).await;
    let (text, ok) = match outcome {
        Ok((_, opened)) => {
            let same = job.messages(&opened)? == job.contents.expected(&job.slice);
            ("nodes 1, 3 and 4 released it, and it reads the same".to_owned(), same)
        }
        Err(e) => (e.to_string(), false),
    };
    teller.step("kill -9 on two of five nodes", "the release still works", text, ok);

    job.cluster.kill(4).during("killing a node")?;
    let before = deliveries(job, &[1, 3]).await?;
    let outcome = job.collect(Wanted::Enough).await;
    let after = deliveries(job, &[1, 3]).await?;
    let (text, ok) = match outcome {
        Err(e @ (ReleaseError::BelowThreshold { .. } | ReleaseError::TooFewReplies { .. })) => {
            let first = e.to_string().lines().next().unwrap_or_default().trim_end_matches(':').to_owned();
            // What `escrow release collect` exits with.
            let code = Failure::from(e).exit as u8;
            (
                format!("exit code {code}: {first}; the two left delivered {} replies", after - before),
                code == 7 && before == after,
            )
        }
        Err(e) => (e.to_string(), false),
        Ok(_) => ("RELEASED".to_owned(), false),
    };
    teller.step("kill -9 on a third node", "stops with exit code 7 and nothing leaks", text, ok);

    job.cluster.start_all().during("starting the killed nodes")?;
    let ready = job.cluster.ready(job.charters(), Duration::from_secs(60)).await;
    let ok = ready.is_ok();
    let text = ready.map_or_else(|e| e.to_string(), |()| "all five are READY again, unaided".to_owned());
    teller.step("the killed nodes start again", "READY without help", text, ok);
    Ok(())
}

async fn deliveries(job: &MainJob, seats: &[u8]) -> Result<u64, DemoError> {
    let quinn = job.officer("quinn")?;
    let mut sum = 0;
    for seat in seats {
        let node = SeatIndex::new(*seat).and_then(|s| quinn.node(s)).during("finding a node")?;
        let list: Vec<RequestInfo> = quinn.ask(node, Question::Requests).await.during("counting deliveries")?;
        sum += list.iter().map(|r| r.deliveries).sum::<u64>();
    }
    Ok(sum)
}

/// Node 4's operator replaces its shares by others, correctly sealed and signed.
async fn liar(job: &mut MainJob, teller: &mut Teller) -> Result<(), DemoError> {
    job.cluster.stop(4).during("stopping node 4")?;
    job.cluster.start_as(4, "escrow-liar", &[]).during("starting the liar")?;
    job.cluster.ready(job.charters(), Duration::from_secs(60)).await.during("waiting for the liar")?;
    let outcome = job.collect(Wanted::All).await;
    let (text, ok) = match outcome {
        Ok((collected, opened)) => {
            let mut named: Vec<SeatIndex> = collected.culprits.keys().chain(opened.culprits.keys()).copied().collect();
            named.dedup();
            let same = job.messages(&opened)? == job.contents.expected(&job.slice);
            let names: Vec<String> = named.iter().map(ToString::to_string).collect();
            let fault = opened.culprits.values().next().map(ToString::to_string).unwrap_or_default();
            let text = format!("node {} is named ({fault}); the release reads the same", names.join(", "));
            (text, same && named.iter().all(|s| s.get() == 4) && !named.is_empty())
        }
        Err(e) => (e.to_string(), false),
    };
    teller.step("a node returns a correctly sealed wrong share", "named, and the release still succeeds", text, ok);
    job.cluster.stop(4).during("stopping the liar")?;
    job.cluster.start(4).during("starting node 4")?;
    job.cluster.ready(job.charters(), Duration::from_secs(60)).await.during("waiting for node 4")
}

/// The subject withdraws; the request that was released before is refused from now on.
async fn withdrawn(job: &MainJob, teller: &mut Teller) -> Result<(), DemoError> {
    let depositors = job.contents.depositors();
    let who = depositors.get(&job.slice.thread).during("finding the custodian")?;
    let custodian = job.custodians.get(who).during("finding the custodian")?;
    let (digest, consent) = custodian.consent.clone().during("finding the consent")?;
    let client = job.client.acting_as(custodian.device.clone());
    let withdrawal = client.withdrawal(digest, consent.subject).during("withdrawing")?;
    let submitted = client.submit(&withdrawal).await.during("withdrawing")?;
    teller.say(&format!(
        "The custodian withdrew consent at {} with one command; {} nodes logged it.",
        now(),
        submitted.accepted()
    ));
    let outcome = job.collect(Wanted::Enough).await.map_err(|e| {
        let verdicts = matches!(e, ReleaseError::Refused { .. });
        Box::<dyn std::error::Error + Send + Sync>::from(if verdicts {
            e.to_string()
        } else {
            format!("unexpected: {e}")
        })
    });
    let (text, ok) = refusal(outcome, "consent-withdrawn");
    teller.step("a release after the consent was withdrawn", "refused by every node, by name", text, ok);
    Ok(())
}

/// One byte of the bundle is changed.
fn flipped_byte(job: &MainJob, teller: &mut Teller) -> Result<(), DemoError> {
    let path = job.bundle.as_ref().during("finding the bundle")?;
    let mut bundle = Bundle::read_dir(path).during("reading the bundle")?;
    let name = "data/logs/1/1/entries.jsonl".to_owned();
    let file = bundle.files.get_mut(&name).during("finding a log in the bundle")?;
    let middle = file.len() / 2;
    if let Some(byte) = file.get_mut(middle) {
        *byte ^= 1;
    }
    let report = escrow_audit::verify::verify(&bundle.files, &job.charters().genesis());
    let found = report.findings.iter().find(|f| f.file == name);
    let ok = found.is_some() && report.exit_code() == 6;
    let text = found.map_or_else(|| "NOT FOUND".to_owned(), |f| f.to_string());
    teller.step("one flipped byte in the bundle", "found, and the file named", text, ok);
    Ok(())
}
