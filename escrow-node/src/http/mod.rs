//! The HTTP interface: JSON over TLS 1.3, body limits before parsing, time limits, load shedding.

mod cases;
pub mod codes;
mod log;
mod openapi;
mod peer;
mod people;
mod problem;
mod public;
mod tls;

pub use openapi::{Route, document, routes};
pub use problem::Answer;
pub(crate) use tls::Acceptor;

use crate::config::Config;
use crate::node::{Node, NodeError};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use escrow_core::limits::HTTP_BODY_MAX;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

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
    // Peers are not shed: a node in distress must still witness the others.
    let all = OpenApiRouter::new().merge(people().merge(log()).layer(shed)).merge(peers()).merge(public());
    let (router, _) = all.split_for_parts();
    router
        .fallback(problem::not_found)
        .layer(DefaultBodyLimit::max(HTTP_BODY_MAX))
        .layer(TimeoutLayer::with_status_code(axum::http::StatusCode::GATEWAY_TIMEOUT, Duration::from_secs(90)))
        .layer(CatchPanicLayer::new())
        .layer(axum::middleware::from_fn(problem::always))
        .with_state(node)
}

fn people() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new()
        .routes(routes!(people::statements))
        .routes(routes!(people::deposits))
        .routes(routes!(people::queries))
        .routes(routes!(people::releases))
}

fn peers() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new()
        .routes(routes!(peer::witnessed))
        .routes(routes!(peer::restrictions))
        .routes(routes!(peer::add_checkpoint))
}

fn log() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new()
        .routes(routes!(log::checkpoint))
        .routes(routes!(log::tile))
        .routes(routes!(log::entries))
        .routes(routes!(log::proof))
}

fn public() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new()
        .routes(routes!(public::healthz))
        .routes(routes!(public::readyz))
        .routes(routes!(public::metrics))
        .routes(routes!(public::status))
        .routes(routes!(public::charters))
        .routes(routes!(openapi::openapi))
}

#[cfg(test)]
mod tests;
