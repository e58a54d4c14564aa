//! Answers about requests that were not submitted, and about self-recoveries.

use super::people::{item_info, subject_of};
use super::problem::Fault;
use crate::node::Node;
use escrow_core::release::Caller;
use escrow_core::request::Request;
use escrow_core::wire::{ItemInfo, OwnAnswer, OwnEnrolment, PreviewAnswer, PreviewRefusal, RecoveryInfo};
use escrow_core::{Blob, Digest, PublicKey};
use escrow_policy::facts::DeviceFact;
use escrow_policy::gate;

/// What the gate would say to a request now. Nothing is decided; the query itself is in the log.
pub(super) async fn preview(node: &Node, request: Request) -> Result<PreviewAnswer, Fault> {
    let evaluated = node.writer.run(move |e| {
        // The request is not signed yet; its requestor's listed key that is valid now stands for it.
        let person = e.facts().charter().and_then(|c| c.charter().person(&request.by));
        let key: Option<PublicKey> =
            person.and_then(|p| p.keys.iter().map(|k| &k.key).find(|k| p.key_valid(k, e.now())).cloned());
        key.map(|key| gate::preview(e.facts(), &request, &key, e.now()))
    });
    let e = evaluated.await?.into_inner();
    let e = e.ok_or_else(|| Fault::Internal("the requestor of a verified query has no valid key".into()))?;
    let code = |r: &escrow_policy::Refusal| {
        let rule = r.rule.code().parse().ok()?;
        Some(PreviewRefusal { rule, detail: r.detail.clone() })
    };
    Ok(PreviewAnswer {
        outcome: e.outcome,
        lacking: e.lacking,
        refusals: e.refusals.iter().filter_map(code).collect(),
        policies: e.policies,
        context: e.context.map(Blob),
    })
}

/// What the asking device's subject has deposited, and the device's own enrolments.
pub(super) async fn own(node: &Node, by: &Caller) -> Result<OwnAnswer, Fault> {
    let by = by.clone();
    let answer = node.writer.run(move |e| {
        let Caller::Device(key) = &by else { return None };
        let subject = subject_of(e, &by)?;
        let facts = e.facts();
        let live = facts.devices(&key.id()).iter().filter(|d| d.key == *key && facts.device_live(d, e.now()));
        let of = |d: &DeviceFact| OwnEnrolment { enrolment: d.enrolment, since: d.logged.at.max(d.from) };
        let enrolments: Vec<OwnEnrolment> = live.map(of).collect();
        let limits = &e.charter().ok()?.limits;
        // What a new device may not recover yet it may not look at either.
        let delay = i64::try_from(limits.recovery_delay_s).unwrap_or(i64::MAX);
        let old = enrolments.iter().any(|d| e.now().seconds_since(d.since) >= delay);
        let mine = || facts.items().filter(|(_, i)| i.depositor == subject);
        let most = if old { usize::try_from(limits.items_per_request).unwrap_or(usize::MAX) } else { 0 };
        let without_others = |mut i: ItemInfo| {
            i.about.participants.clear();
            i
        };
        Some(OwnAnswer {
            enrolments,
            other_devices: facts.other_devices(&subject, key, e.now()),
            count: mine().count() as u64,
            items: mine().take(most).map(item_info).map(without_others).collect(),
        })
    });
    answer.await?.into_inner().ok_or_else(|| Fault::Internal("a verified query of no live device".into()))
}

/// All self-recoveries for an officer; for a device those of its own subject.
pub(super) async fn recoveries(node: &Node, by: &Caller) -> Result<Vec<RecoveryInfo>, Fault> {
    let by = by.clone();
    let list = node.writer.run(move |e| {
        let own = subject_of(e, &by);
        let officer = matches!(by, Caller::Person(_));
        let visible = e.facts().requests().filter_map(|(d, r)| Some((d, r, r.recovery.as_ref()?)));
        visible
            .filter(|(_, _, asked)| officer || Some(asked.statement.subject) == own)
            .map(|(digest, r, asked)| Known {
                recovery: *digest,
                logged: asked.logged.at,
                decisions: r.decisions.iter().map(|d| d.fact.digest).collect(),
                vetoes: r.standing_vetoes().map(|v| v.digest).collect(),
                verdict: r.verdict,
                deliveries: r.delivered.len() as u64,
            })
            .collect::<Vec<_>>()
    });
    let envelope = |d: &Digest| node.statement(d).map(Blob);
    let full = |k: Known| {
        Some(RecoveryInfo {
            recovery: envelope(&k.recovery)?,
            logged: k.logged,
            decisions: k.decisions.iter().filter_map(envelope).collect(),
            vetoes: k.vetoes.iter().filter_map(envelope).collect(),
            verdict: k.verdict.as_ref().and_then(envelope),
            deliveries: k.deliveries,
        })
    };
    Ok(list.await?.into_inner().into_iter().filter_map(full).collect())
}

/// What the facts say; the envelopes are read from the database afterwards.
struct Known {
    recovery: Digest,
    logged: escrow_core::Timestamp,
    decisions: Vec<Digest>,
    vetoes: Vec<Digest>,
    verdict: Option<Digest>,
    deliveries: u64,
}
