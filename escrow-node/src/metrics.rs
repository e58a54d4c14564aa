//! Prometheus metrics: few, with labels from closed sets, so that no token, digest or path of a
//! caller can become a label.

use metrics::{counter, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::sync::OnceLock;

static HANDLE: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Installs the recorder once for the process and returns what renders it.
pub fn install() -> Option<PrometheusHandle> {
    let handle = HANDLE.get_or_init(|| PrometheusBuilder::new().install_recorder().ok());
    describe_counter!(
        "escrow_statements_total",
        "Statements submitted, by kind and outcome (accepted, or the rule that refused)"
    );
    describe_counter!("escrow_verdicts_total", "Verdicts given, by outcome");
    describe_counter!("escrow_releases_total", "Release calls, by outcome (delivered, or the rule that refused)");
    describe_counter!("escrow_cosignatures_total", "Cosignatures given to other logs, by outcome");
    describe_counter!("escrow_rate_limited_total", "Requests turned away, by bucket and whose it is (key or address)");
    describe_counter!("escrow_webhooks_total", "Notifications to webhooks, by outcome of each attempt");
    describe_gauge!("escrow_log_entries", "Entries in this node's log");
    describe_gauge!("escrow_ready", "1 while the node is READY");
    handle.clone()
}

/// One statement; `outcome` is `accepted` or a rule's code.
pub fn statement(kind: &'static str, outcome: &'static str) {
    counter!("escrow_statements_total", "kind" => kind, "outcome" => outcome).increment(1);
}

/// One verdict.
pub fn verdict(outcome: &'static str) {
    counter!("escrow_verdicts_total", "outcome" => outcome).increment(1);
}

/// One release call; `outcome` is `delivered` or a code.
pub fn release(outcome: &'static str) {
    counter!("escrow_releases_total", "outcome" => outcome).increment(1);
}

/// One request turned away because a bucket was empty; `who` is `key` or `address`.
pub fn rate_limited(bucket: &'static str, who: &'static str) {
    counter!("escrow_rate_limited_total", "bucket" => bucket, "who" => who).increment(1);
}

/// One attempt at a webhook: `delivered`, `failed`, `gone`, `expired` or `dropped`.
pub fn webhook(outcome: &'static str) {
    counter!("escrow_webhooks_total", "outcome" => outcome).increment(1);
}

/// One add-checkpoint.
pub fn cosignature(outcome: &'static str) {
    counter!("escrow_cosignatures_total", "outcome" => outcome).increment(1);
}

/// Whether the node is READY.
pub fn ready(ready: bool) {
    gauge!("escrow_ready").set(f64::from(u8::from(ready)));
}
