//! RFC 9457 problem documents: stable codes, and for a person what happened and what to do.

use super::codes::{self, Own};
use crate::rates::Wait;
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
use std::time::Duration;

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
    /// Disk space is short; only restrictions are taken in.
    DiskLow,
    /// The caller is no seat of the charter.
    NotAPeer,
    /// Nothing is at that address; in words.
    NotFound(&'static str),
    /// Too much at a time; after this long it may be tried again.
    RateLimited(Duration),
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

impl From<Wait> for Fault {
    fn from(Wait(wait): Wait) -> Self {
        Self::RateLimited(wait)
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

/// A problem of the node's own, in these words.
fn own(own: Own, detail: String) -> Problem {
    let row = own.row();
    document(row.status, row.code, detail)
}

impl Fault {
    fn problem(self) -> Problem {
        match self {
            Self::Refused(r, charters) => {
                let mut p = document(codes::status(r.rule), r.rule.code(), r.detail);
                (p.statement_kind, p.statement) =
                    r.decided_by.map_or((None, None::<Digest>), |(k, d)| (Some(k), Some(d)));
                p.charters = charters;
                p
            }
            Self::Release(e) => match &e {
                ReleaseError::Peers { .. } => own(Own::PeersMissing, e.to_string()),
                ReleaseError::Malformed(_) => {
                    document(codes::status(Rule::Malformed), Rule::Malformed.code(), e.to_string())
                }
                _ => own(Own::NotReady, e.to_string()),
            },
            Self::NotReady(state, reason) => own(Own::NotReady, format!("the node is {state}: {reason}")),
            Self::NotFound(what) => own(Own::NotFound, format!("{}: {what}", Own::NotFound.row().words())),
            Self::DiskLow => own(Own::DiskLow, Own::DiskLow.row().words()),
            Self::NotAPeer => own(Own::NotAPeer, Own::NotAPeer.row().words()),
            Self::RateLimited(wait) => {
                let mut p = own(Own::RateLimited, Own::RateLimited.row().words());
                p.detail = format!("{} ({} s)", p.detail, seconds(wait));
                p
            }
            Self::Internal(detail) => {
                tracing::error!(%detail, "internal fault");
                own(Own::Internal, Own::Internal.row().words())
            }
        }
    }
}

/// Whole seconds of `Retry-After`, never too few.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(1)
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        answer(self, None)
    }
}

/// A problem that names the answering seat.
pub(crate) fn with_seat(fault: Fault, seat: SeatIndex) -> Response {
    answer(fault, Some(seat))
}

fn answer(fault: Fault, seat: Option<SeatIndex>) -> Response {
    let wait = match &fault {
        Fault::RateLimited(wait) => Some(seconds(*wait)),
        _ => None,
    };
    let mut p = fault.problem();
    p.seat = seat;
    let mut response = respond(p);
    if let Some(wait) = wait {
        response.headers_mut().insert(header::RETRY_AFTER, wait.into());
    }
    response
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
    let found = match response.status() {
        StatusCode::BAD_REQUEST | StatusCode::UNSUPPORTED_MEDIA_TYPE | StatusCode::UNPROCESSABLE_ENTITY => None,
        StatusCode::METHOD_NOT_ALLOWED => Some(Own::MethodNotAllowed.row()),
        StatusCode::PAYLOAD_TOO_LARGE => Some(Own::TooLarge.row()),
        StatusCode::GATEWAY_TIMEOUT => Some(Own::Timeout.row()),
        StatusCode::INTERNAL_SERVER_ERROR => Some(Own::Internal.row()),
        _ => return response,
    };
    if cosigning || response.headers().get(header::CONTENT_TYPE).is_some_and(|t| t == "application/problem+json") {
        return response;
    }
    let (parts, body) = response.into_parts();
    let (code, words) = found.map_or_else(
        || (Rule::Malformed.code(), "the request does not have the form that docs/protocol.md gives it".to_owned()),
        |row| (row.code, row.words()),
    );
    let said = to_bytes(body, 1_024).await.unwrap_or_default();
    let said = if parts.status == StatusCode::INTERNAL_SERVER_ERROR {
        String::new()
    } else {
        String::from_utf8_lossy(&said).into_owned()
    };
    let detail = if said.is_empty() { words } else { format!("{words}: {said}") };
    respond(document(parts.status, code, detail))
}

pub(crate) async fn not_found() -> Response {
    respond(own(Own::NotFound, Own::NotFound.row().words()))
}

pub(crate) async fn overloaded(_: tower::BoxError) -> Response {
    respond(own(Own::Overloaded, Own::Overloaded.row().words()))
}
