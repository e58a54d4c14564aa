//! The HTTP interface: JSON over TLS 1.3, body limits before parsing, time limits, load shedding.

pub mod codes;
mod peer;
mod people;
mod problem;
mod public;
mod tls;

pub use problem::Answer;

use crate::config::Config;
use crate::node::{Node, NodeError};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use escrow_core::limits::HTTP_BODY_MAX;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

/// Every route there is, with what authenticates it. A test checks that no other path leads to a share.
pub const ROUTES: &[(&str, &str, &str)] = &[
    ("GET", "/healthz", "nobody"),
    ("GET", "/readyz", "nobody"),
    ("GET", "/metrics", "nobody"),
    ("GET", "/v1/status", "nobody"),
    ("GET", "/v1/charters", "nobody"),
    ("POST", "/v1/statements", "the statement's signatures"),
    ("POST", "/v1/deposits", "the deposit's signature"),
    ("POST", "/v1/queries", "the query's signature"),
    ("POST", "/v1/releases", "the release-call's signature"),
    ("GET", "/v1/peer/witnessed", "a seat's TLS key"),
    ("POST", "/v1/peer/restrictions", "a seat's TLS key"),
    ("POST", "/v1/peer/add-checkpoint", "the note's log signature"),
];

/// A listening server.
pub(crate) struct Server {
    handle: axum_server::Handle<SocketAddr>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    /// Stops taking connections, lets requests in flight end for a few seconds.
    pub(crate) async fn stop(self) {
        self.handle.graceful_shutdown(Some(Duration::from_secs(5)));
        let _ = self.task.await;
    }
}

/// Binds and serves.
///
/// # Errors
/// [`NodeError::Net`].
pub(crate) fn serve(config: &Config, node: Arc<Node>) -> Result<Server, NodeError> {
    let net = |e: &dyn std::fmt::Display| NodeError::Net(format!("cannot listen on {}: {e}", config.listen));
    let listener = TcpListener::bind(config.listen).map_err(|e| net(&e))?;
    listener.set_nonblocking(true).map_err(|e| net(&e))?;
    let acceptor = tls::Acceptor::new(&node.keys).map_err(|e| net(&e))?;
    let handle = axum_server::Handle::new();
    let server = axum_server::from_tcp(listener).map_err(|e| net(&e))?.handle(handle.clone()).acceptor(acceptor);
    let app = router(node, config.max_in_flight).into_make_service_with_connect_info::<SocketAddr>();
    let task = tokio::spawn(async move {
        if let Err(e) = server.serve(app).await {
            tracing::error!(error = %e, "the server ended");
        }
    });
    Ok(Server { handle, task })
}

fn router(node: Arc<Node>, max_in_flight: usize) -> Router {
    let shed = tower::ServiceBuilder::new()
        .layer(axum::error_handling::HandleErrorLayer::new(problem::overloaded))
        .load_shed()
        .concurrency_limit(max_in_flight);
    let work = Router::new()
        .route("/v1/statements", post(people::statements))
        .route("/v1/deposits", post(people::deposits))
        .route("/v1/queries", post(people::queries))
        .route("/v1/releases", post(people::releases))
        .layer(shed);
    // Peers are not shed: a node in distress must still witness the others.
    let peers = Router::new()
        .route("/v1/peer/witnessed", get(peer::witnessed))
        .route("/v1/peer/restrictions", post(peer::restrictions))
        .route("/v1/peer/add-checkpoint", post(peer::add_checkpoint));
    let public = Router::new()
        .route("/healthz", get(public::healthz))
        .route("/readyz", get(public::readyz))
        .route("/metrics", get(public::metrics))
        .route("/v1/status", get(public::status))
        .route("/v1/charters", get(public::charters));
    Router::new()
        .merge(work)
        .merge(peers)
        .merge(public)
        .fallback(problem::not_found)
        .layer(DefaultBodyLimit::max(HTTP_BODY_MAX))
        .layer(TimeoutLayer::with_status_code(axum::http::StatusCode::GATEWAY_TIMEOUT, Duration::from_secs(90)))
        .layer(CatchPanicLayer::new())
        .layer(axum::middleware::from_fn(problem::always))
        .with_state(node)
}

#[cfg(test)]
mod tests;
