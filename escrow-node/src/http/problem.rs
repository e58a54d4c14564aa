//! RFC 9457 problem documents: stable codes, and for a person what happened and what to do.

use crate::release::ReleaseError;
use crate::store::StoreError;
use crate::writer::Stopped;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use escrow_core::wire::Problem;
use escrow_core::{Blob, Digest, SeatIndex};
use escrow_policy::{Refusal, Rule};

/// A handler's answer.
pub type Answer<T> = Result<T, Fault>;

/// Everything that can go wrong in a handler.
#[derive(Debug)]
pub enum Fault {
    /// A rule refused.
    Refused(Refusal, Vec<Blob>),
    /// A release did not happen.
    Release(ReleaseError),
    /// The node cannot work now.
    NotReady(&'static str, String),
    /// The caller is no seat of the charter.
    NotAPeer,
    /// Our fault; the detail is in the node's log only.
    Internal(String),
}

impl From<Refusal> for Fault {
    fn from(r: Refusal) -> Self {
        Self::Refused(r, vec![])
    }
}

impl From<ReleaseError> for Fault {
    fn from(e: ReleaseError) -> Self {
        match e {
            ReleaseError::Refused(r) => Self::Refused(r, vec![]),
            other => Self::Release(other),
        }
    }
}

impl From<Stopped> for Fault {
    fn from(e: Stopped) -> Self {
        Self::NotReady("POISONED", e.to_string())
    }
}

impl From<StoreError> for Fault {
    fn from(e: StoreError) -> Self {
        Self::Internal(e.to_string())
    }
}

/// HTTP status of a rule: what kind of mistake it is.
const fn status(rule: Rule) -> StatusCode {
    match rule {
        Rule::Malformed | Rule::DealInvalid | Rule::NotSubmittable => StatusCode::BAD_REQUEST,
        Rule::BadSignature | Rule::KeyRevoked | Rule::KeyNotValid | Rule::NotEnrolled => StatusCode::UNAUTHORIZED,
        Rule::CharterStale | Rule::CharterUnknown | Rule::DealReplayed | Rule::MatterChain | Rule::Generation => {
            StatusCode::CONFLICT
        }
        Rule::RequestUnknown | Rule::ConsentUnknown | Rule::MatterUnknown | Rule::ItemUnknown => StatusCode::NOT_FOUND,
        _ => StatusCode::FORBIDDEN,
    }
}

fn document(status: StatusCode, code: &str, detail: String) -> Problem {
    Problem {
        kind: format!("urn:escrow:problem:{code}"),
        title: code.replace('-', " "),
        status: status.as_u16(),
        detail,
        code: code.to_owned(),
        seat: None,
        statement: None,
        statement_kind: None,
        charters: vec![],
    }
}

impl Fault {
    fn problem(self) -> Problem {
        match self {
            Self::Refused(r, charters) => {
                let mut p = document(status(r.rule), r.rule.code(), r.detail);
                (p.statement_kind, p.statement) =
                    r.decided_by.map_or((None, None::<Digest>), |(k, d)| (Some(k), Some(d)));
                p.charters = charters;
                p
            }
            Self::Release(e) => {
                let code = match &e {
                    ReleaseError::Peers { .. } => "peers-missing",
                    ReleaseError::Malformed(_) => return document(StatusCode::BAD_REQUEST, "malformed", e.to_string()),
                    _ => "not-ready",
                };
                document(StatusCode::SERVICE_UNAVAILABLE, code, e.to_string())
            }
            Self::NotReady(state, reason) => {
                document(StatusCode::SERVICE_UNAVAILABLE, "not-ready", format!("the node is {state}: {reason}"))
            }
            Self::NotAPeer => {
                document(StatusCode::FORBIDDEN, "not-a-peer", "only another seat of the charter may ask this".into())
            }
            Self::Internal(detail) => {
                tracing::error!(%detail, "internal fault");
                let words = "a fault of the node itself; its operator finds it in the node's log";
                document(StatusCode::INTERNAL_SERVER_ERROR, "internal", words.into())
            }
        }
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        respond(self.problem())
    }
}

/// A problem that names the answering seat.
pub(crate) fn with_seat(fault: Fault, seat: SeatIndex) -> Response {
    let mut p = fault.problem();
    p.seat = Some(seat);
    respond(p)
}

fn respond(p: Problem) -> Response {
    let status = StatusCode::from_u16(p.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = serde_json::to_vec(&p).unwrap_or_default();
    (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response()
}

/// Errors that no handler made (a wrong method, a body above the limit, one that is not JSON, no
/// answer in time) become problem documents too. Witnesses answer as C2SP says.
pub(crate) async fn always(request: Request, next: Next) -> Response {
    let cosigning = request.uri().path() == "/v1/peer/add-checkpoint";
    let response = next.run(request).await;
    let (code, words) = match response.status() {
        StatusCode::BAD_REQUEST | StatusCode::UNSUPPORTED_MEDIA_TYPE | StatusCode::UNPROCESSABLE_ENTITY => {
            ("malformed", "the request does not have the form that docs/protocol.md gives it")
        }
        StatusCode::METHOD_NOT_ALLOWED => ("method-not-allowed", "this address takes another method"),
        StatusCode::PAYLOAD_TOO_LARGE => ("too-large", "the body is above the limit; send less at a time"),
        StatusCode::GATEWAY_TIMEOUT => ("timeout", "no answer in time; what was logged stays, try again"),
        StatusCode::INTERNAL_SERVER_ERROR => {
            ("internal", "a fault of the node itself; its operator finds it in the node's log")
        }
        _ => return response,
    };
    if cosigning || response.headers().get(header::CONTENT_TYPE).is_some_and(|t| t == "application/problem+json") {
        return response;
    }
    let (parts, body) = response.into_parts();
    let said = to_bytes(body, 1_024).await.unwrap_or_default();
    let said = if parts.status == StatusCode::INTERNAL_SERVER_ERROR {
        String::new()
    } else {
        String::from_utf8_lossy(&said).into_owned()
    };
    let detail = if said.is_empty() { words.to_owned() } else { format!("{words}: {said}") };
    respond(document(parts.status, code, detail))
}

pub(crate) async fn not_found() -> Response {
    respond(document(StatusCode::NOT_FOUND, "not-found", "no such address; see docs/protocol.md, HTTP".into()))
}

pub(crate) async fn overloaded(_: tower::BoxError) -> Response {
    respond(document(
        StatusCode::SERVICE_UNAVAILABLE,
        "overloaded",
        "too many requests in flight; try again in a moment".into(),
    ))
}
