//! What anybody may ask: is it alive, is it ready, metrics, status, the charter chain.

use super::problem::{Answer, Fault};
use crate::metrics as node_metrics;
use crate::node::{Node, clock};
use crate::state::State;
use axum::Json;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use escrow_core::wire::Status;
use escrow_core::{Blob, Digest};
use std::sync::Arc;

/// Is the process alive?
#[utoipa::path(
    get,
    path = "/healthz",
    responses((status = 200, description = "`ok`", body = String, content_type = "text/plain")),
    extensions(("x-authenticated-by" = json!("nobody")))
)]
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// Is the node READY?
#[utoipa::path(
    get,
    path = "/readyz",
    responses(
        (status = 200, description = "READY", body = String, content_type = "text/plain"),
        (status = 503, description = "Another state, why, and the way out.", body = String, content_type = "text/plain"),
    ),
    extensions(("x-authenticated-by" = json!("nobody")))
)]
pub(crate) async fn readyz(Shared(node): Shared<Arc<Node>>) -> (StatusCode, String) {
    let state = node.state();
    let code = if state == State::Ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let text = match state {
        State::Ready => "READY\n".to_owned(),
        other => format!("{} {}; way out: {}\n", other.name(), other.reason(), other.way_out()),
    };
    (code, text)
}

/// Prometheus metrics.
#[utoipa::path(
    get,
    path = "/metrics",
    responses((status = 200, description = "Text exposition format.", body = String, content_type = "text/plain")),
    extensions(("x-authenticated-by" = json!("nobody")))
)]
pub(crate) async fn metrics() -> String {
    node_metrics::install().map(|h| h.render()).unwrap_or_default()
}

/// How the node stands. Unsigned.
#[utoipa::path(
    get,
    path = "/v1/status",
    responses((status = 200, description = "State, charter and size of the log.", body = Status)),
    extensions(("x-authenticated-by" = json!("nobody")))
)]
pub(crate) async fn status(Shared(node): Shared<Arc<Node>>) -> Answer<Json<Status>> {
    let state = node.state();
    let facts = node.writer.run(|e| {
        let version = e.charter().map_or(0, |c| c.version);
        (e.charter_digest(), version, e.origin().to_owned(), e.size())
    });
    let (charter, charter_version, log, size) = facts.await?.into_inner();
    Ok(Json(Status {
        seat: node.seat,
        state: state.name().into(),
        reason: state.reason(),
        way_out: state.way_out(),
        version: env!("CARGO_PKG_VERSION").into(),
        charter,
        charter_version,
        log,
        size,
        at: clock(),
    }))
}

/// The charter chain.
///
/// Accepted versions, genesis first, then newer ones that this operator has not accepted.
#[utoipa::path(
    get,
    path = "/v1/charters",
    responses((status = 200, description = "Envelopes of charters; believe them from a pinned genesis digest on.", body = Vec<Blob>)),
    extensions(("x-authenticated-by" = json!("nobody")))
)]
pub(crate) async fn charters(Shared(node): Shared<Arc<Node>>) -> Answer<Json<Vec<Blob>>> {
    let digests = node.writer.run(|e| {
        let mut out: Vec<Digest> = e.facts().accepted().to_vec();
        out.extend(e.facts().unaccepted().iter().map(|c| c.digest()));
        out
    });
    let digests = digests.await?.into_inner();
    let envelope =
        |d: &Digest| node.statement(d).map(Blob).ok_or_else(|| Fault::Internal(format!("charter {d} is not stored")));
    Ok(Json(digests.iter().map(envelope).collect::<Result<_, _>>()?))
}
