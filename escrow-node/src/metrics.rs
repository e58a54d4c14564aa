//! Prometheus metrics: few, with labels from closed sets, so that no token, digest or path of a
//! caller can become a label.

use crate::state::State;
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
    describe_gauge!("escrow_state", "1 for the state that the node is in, 0 for the others");
    describe_gauge!("escrow_disk_free_bytes", "Free bytes on the disk of data_dir");
    describe_counter!("escrow_clock_anomalies_total", "Jumps of the wall clock that were logged");
    describe_counter!("escrow_misbehaviour_total", "Other logs caught in signing heads that contradict each other");
    describe_counter!("escrow_heartbeats_total", "Rounds in which an idle log was cosigned again, by outcome");
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

/// Where the node stands.
pub fn state(now: &State) {
    gauge!("escrow_ready").set(f64::from(u8::from(*now == State::Ready)));
    for name in State::NAMES {
        gauge!("escrow_state", "state" => name).set(f64::from(u8::from(name == now.name())));
    }
}

/// Entries in this node's log.
#[allow(clippy::cast_precision_loss, reason = "exact up to 2^53 entries")]
pub fn log_entries(n: u64) {
    gauge!("escrow_log_entries").set(n as f64);
}

/// Free bytes on the disk.
#[allow(clippy::cast_precision_loss, reason = "a gauge needs no last digit")]
pub fn disk_free(bytes: u64) {
    gauge!("escrow_disk_free_bytes").set(bytes as f64);
}

/// One logged jump of the clock.
pub fn clock_anomaly() {
    counter!("escrow_clock_anomalies_total").increment(1);
}

/// One log caught.
pub fn misbehaviour() {
    counter!("escrow_misbehaviour_total").increment(1);
}

/// One heartbeat; `outcome` is `cosigned` if enough peers did, else `short`.
pub fn heartbeat(outcome: &'static str) {
    counter!("escrow_heartbeats_total", "outcome" => outcome).increment(1);
}
