//! What other seats ask: heads, restrictions, cosignatures.

use super::problem::{Answer, Fault};
use super::tls::ClientPin;
use crate::engine::AddAnswer;
use crate::metrics;
use crate::node::Node;
use crate::state::State;
use axum::body::Bytes;
use axum::extract::{FromRequestParts, Query, State as Shared};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use escrow_audit::witness::{AddCheckpoint, MAX_REQUEST_LEN, Refuse, SIZE_CONTENT_TYPE};
use escrow_core::wire::{RestrictionAsk, RestrictionReply, Witnessed};
use escrow_core::{Blob, SeatIndex};
use serde::Deserialize;
use std::sync::Arc;

/// The seat whose pinned TLS key the caller proved to hold.
pub(crate) struct PeerSeat(SeatIndex);

impl FromRequestParts<Arc<Node>> for PeerSeat {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, node: &Arc<Node>) -> Result<Self, Fault> {
        let pin = Extension::<ClientPin>::from_request_parts(parts, node).await.ok().and_then(|Extension(p)| p.0);
        let charter = node.charter();
        let seat = charter.seats.iter().find(|s| Some(s.tls_pin) == pin && s.index != node.seat);
        seat.map(|s| Self(s.index)).ok_or(Fault::NotAPeer)
    }
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Origin {
    /// Origin of the asking seat's log.
    origin: String,
}

/// The newest note of a log that this node cosigned.
///
/// Answered in any state but POISONED and ROLLBACK, so that nodes which start together can prove
/// each other.
#[utoipa::path(
    get,
    path = "/v1/peer/witnessed",
    params(Origin),
    responses((status = 200, description = "The note, or null.", body = Witnessed)),
    extensions(("x-authenticated-by" = json!("a seat's TLS key")))
)]
pub(crate) async fn witnessed(
    Shared(node): Shared<Arc<Node>>,
    _: PeerSeat,
    Query(q): Query<Origin>,
) -> Answer<Json<Witnessed>> {
    refuse_if_stuck(&node)?;
    let note = node.writer.run(move |e| e.witnessed(&q.origin).map(|h| h.note.clone())).await?.into_inner();
    Ok(Json(Witnessed { note }))
}

/// Restrictions that bear on a request, or all of them.
///
/// With a signed answer from a node that is READY, FROZEN, or DEGRADED for another reason than its peers.
#[utoipa::path(
    post,
    path = "/v1/peer/restrictions",
    request_body(content = RestrictionAsk, description = "At most 4 MiB."),
    responses((status = 200, description = "The statements, each after what it restricts.", body = RestrictionReply)),
    extensions(("x-authenticated-by" = json!("a seat's TLS key")))
)]
pub(crate) async fn restrictions(
    Shared(node): Shared<Arc<Node>>,
    PeerSeat(asker): PeerSeat,
    Json(ask): Json<RestrictionAsk>,
) -> Answer<Json<RestrictionReply>> {
    refuse_if_stuck(&node)?;
    let ready = node.state().vouches();
    let known = node.writer.run(move |e| e.restrictions(asker, &ask, ready)).await?.into_inner()?;
    let statements = known.statements.iter().filter_map(|d| node.statement(d)).map(Blob).collect();
    let answer = known.answer.map(|a| Blob(a.bytes().to_vec()));
    Ok(Json(RestrictionReply { answer, upto: known.upto, complete: known.complete, statements }))
}

/// Cosign another seat's checkpoint (C2SP tlog-witness).
///
/// Content-blind; a DEGRADED or FROZEN node still witnesses.
#[utoipa::path(
    post,
    path = "/v1/peer/add-checkpoint",
    request_body(content = String, content_type = "text/plain", description = "Old size, consistency proof and checkpoint, as C2SP tlog-witness says."),
    responses(
        (status = 200, description = "The cosignature line.", body = String, content_type = "text/plain"),
        (status = 400, description = "Malformed, or an old size above the checkpoint's.", body = String, content_type = "text/plain"),
        (status = 403, description = "Not signed by the log's key, or by one that has signed heads which contradict each other.", body = String, content_type = "text/plain"),
        (status = 404, description = "No log of another seat.", body = String, content_type = "text/plain"),
        (status = 409, description = "Another size is known, which is the body; or another root of the same size.", body = String, content_type = "text/x.tlog.size"),
        (status = 413, description = "Too large."),
        (status = 422, description = "The consistency proof does not hold.", body = String, content_type = "text/plain"),
    ),
    extensions(("x-authenticated-by" = json!("the note's log signature")))
)]
pub(crate) async fn add_checkpoint(Shared(node): Shared<Arc<Node>>, body: Bytes) -> Result<Response, Fault> {
    if !node.state().works() {
        return Err(not_ready(&node));
    }
    if body.len() > MAX_REQUEST_LEN {
        return Ok(StatusCode::PAYLOAD_TOO_LARGE.into_response());
    }
    let Ok(request) = AddCheckpoint::parse(&body) else {
        metrics::cosignature("malformed");
        return Ok((StatusCode::BAD_REQUEST, "malformed add-checkpoint request\n").into_response());
    };
    let origin = request.claimed_origin().to_owned();
    let answer = node.writer.run(move |e| e.add_checkpoint(&request)).await?.into_inner()?;
    Ok(match answer {
        AddAnswer::Cosigned(line) => {
            metrics::cosignature("cosigned");
            (StatusCode::OK, line).into_response()
        }
        AddAnswer::Distrusted => {
            metrics::cosignature("distrusted");
            (StatusCode::FORBIDDEN, "this log's key has signed heads that contradict each other\n").into_response()
        }
        AddAnswer::Refused(refuse) => {
            // To ask from another size is how a peer that was away catches up; the rest is a log that is not what it was.
            metrics::cosignature(if matches!(refuse, Refuse::WrongOldSize { .. }) { "other-size" } else { "refused" });
            if matches!(refuse, Refuse::Conflict { .. } | Refuse::Inconsistent(_)) {
                tracing::error!(%origin, %refuse, "a head that does not go on from the one cosigned before");
            }
            let status = StatusCode::from_u16(refuse.status()).unwrap_or(StatusCode::BAD_REQUEST);
            match refuse.body() {
                Some(size) => (status, [(header::CONTENT_TYPE, SIZE_CONTENT_TYPE)], size).into_response(),
                None => (status, format!("{refuse}\n")).into_response(),
            }
        }
    })
}

fn refuse_if_stuck(node: &Node) -> Result<(), Fault> {
    match node.state() {
        State::Poisoned(_) | State::Rollback(_) => Err(not_ready(node)),
        _ => Ok(()),
    }
}

fn not_ready(node: &Node) -> Fault {
    let state = node.state();
    Fault::NotReady(state.name(), state.reason())
}
