//! The two addresses of a witness: `POST /add-checkpoint` and `GET /<origin hash>/checkpoint`.

use super::files::KeyFiles;
use super::{Answer, Witness, WitnessError};
use crate::http::Acceptor;
use crate::node::clock;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use escrow_audit::witness::{MAX_REQUEST_LEN, SIZE_CONTENT_TYPE};
use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

/// Requests at a time; more have to wait.
const IN_FLIGHT: usize = 32;

/// How a witness is reached.
#[derive(Debug)]
pub enum Listen {
    /// TLS 1.3 with the witness's own self-signed key.
    Tls(SocketAddr, KeyFiles),
    /// Plain HTTP; to a loopback address only.
    Plain(SocketAddr),
}

/// Serves until `stop` is done. `listening` is told the address once connections are taken.
///
/// # Errors
/// [`WitnessError::Net`].
pub async fn serve(
    witness: Witness,
    listen: Listen,
    listening: impl FnOnce(SocketAddr),
    stop: impl Future<Output = ()>,
) -> Result<(), WitnessError> {
    let address = match &listen {
        Listen::Plain(address) if !address.ip().is_loopback() => {
            return Err(WitnessError::Net(format!("{address} is no loopback address; leave --plain-http out")));
        }
        Listen::Plain(address) | Listen::Tls(address, _) => *address,
    };
    let net = |e: &dyn std::fmt::Display| WitnessError::Net(format!("cannot listen on {address}: {e}"));
    let listener = TcpListener::bind(address).map_err(|e| net(&e))?;
    listener.set_nonblocking(true).map_err(|e| net(&e))?;
    let bound = listener.local_addr().map_err(|e| net(&e))?;
    let app = axum::Router::new()
        .fallback(answer)
        .layer(tower::limit::GlobalConcurrencyLimitLayer::new(IN_FLIGHT))
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_secs(30)))
        .layer(CatchPanicLayer::new())
        .with_state(Arc::new(witness))
        .into_make_service();
    let handle = axum_server::Handle::new();
    let server = axum_server::from_tcp(listener).map_err(|e| net(&e))?.handle(handle.clone());
    let task = match listen {
        Listen::Tls(_, files) => {
            let acceptor = Acceptor::from_files(&files.certificate, &files.tls_key).map_err(WitnessError::Net)?;
            tokio::spawn(server.acceptor(acceptor).serve(app))
        }
        Listen::Plain(_) => tokio::spawn(server.serve(app)),
    };
    listening(bound);
    stop.await;
    handle.graceful_shutdown(Some(Duration::from_secs(5)));
    task.await.map_err(|e| net(&e))?.map_err(|e| net(&e))
}

async fn answer(State(witness): State<Arc<Witness>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    match (request.method(), path.as_str()) {
        (&Method::POST, "/add-checkpoint") => {
            let Ok(body) = to_bytes(request.into_body(), MAX_REQUEST_LEN).await else {
                return (StatusCode::PAYLOAD_TOO_LARGE, "the request is too large\n").into_response();
            };
            let seconds = u64::try_from(clock().millis() / 1_000).unwrap_or(0);
            // The task ends even if the caller goes away, so that what is stored is also known.
            let answer = tokio::task::spawn_blocking(move || witness.add_checkpoint(&body, seconds)).await;
            answer.map_or_else(|e| respond(Answer::Broken(e.to_string())), respond)
        }
        (&Method::GET, path) => match newest(&witness, path) {
            Some(note) => {
                let headers =
                    [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
                (headers, note).into_response()
            }
            None => (StatusCode::NOT_FOUND, "nothing was cosigned of such a log\n").into_response(),
        },
        _ => {
            (StatusCode::METHOD_NOT_ALLOWED, "POST /add-checkpoint, or GET /<origin hash>/checkpoint\n").into_response()
        }
    }
}

fn newest(witness: &Witness, path: &str) -> Option<Vec<u8>> {
    witness.newest(path.strip_prefix('/')?.strip_suffix("/checkpoint")?)
}

fn respond(answer: Answer) -> Response {
    match answer {
        Answer::Cosigned(line) => (StatusCode::OK, line).into_response(),
        Answer::Refused(refuse) => {
            let status = StatusCode::from_u16(refuse.status()).unwrap_or(StatusCode::BAD_REQUEST);
            match refuse.body() {
                Some(size) => (status, [(header::CONTENT_TYPE, SIZE_CONTENT_TYPE)], size).into_response(),
                None => (status, format!("{refuse}\n")).into_response(),
            }
        }
        Answer::Forked => {
            let why = "this log's key signed two roots for one size: nothing of it is cosigned any more\n";
            (StatusCode::CONFLICT, why).into_response()
        }
        Answer::Broken(_) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "the witness has stopped cosigning; tell its operator\n")
                .into_response()
        }
    }
}
