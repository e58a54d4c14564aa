//! HTTPS to the seats: each connection believes exactly the one key that the charter pins.

use crate::outcome::{NodeError, Outcomes};
use escrow_audit::note::MAX_NOTE_LEN;
use escrow_audit::tile::{FULL, Tile};
use escrow_core::charter::Seat;
use escrow_core::limits::HTTP_BODY_MAX;
use escrow_core::pin::{PinnedServer, provider};
use escrow_core::wire::{DepositBody, Problem, Receipted, ReleaseBody, Released, Status};
use escrow_core::{Blob, Code, Envelope, SeatIndex};
use reqwest::{Method, RequestBuilder, Response, StatusCode, header, redirect};
use rustls::ClientConfig;
use serde::de::DeserializeOwned;
use std::future::Future;
use std::time::Duration;
use tokio::task::JoinSet;

/// Longest wait for a TCP connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest wait for a whole answer; a release waits for other nodes' cosignatures.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest wait, in all, for a node that says how long its bucket for this key stays empty.
pub const RATE_LIMIT_PATIENCE: Duration = Duration::from_secs(20);
/// Largest answer taken: a page of entries with the deposits that they name.
pub const ANSWER_MAX: usize = 64 * HTTP_BODY_MAX;

/// A seat of the charter, and the way to it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Node {
    seat: SeatIndex,
    name: Code,
    url: String,
    http: reqwest::Client,
}

impl Node {
    /// A client for one seat: TLS 1.3, X25519MLKEM768 preferred, the seat's pinned key only.
    ///
    /// # Errors
    /// [`NodeError::Protocol`] if this machine cannot make a TLS client.
    pub fn new(seat: &Seat) -> Result<Self, NodeError> {
        let local = |e: String| NodeError::Protocol(format!("no TLS client on this machine: {e}"));
        let mut tls = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|e| local(e.to_string()))?
            .dangerous() // rustls's word for an own verifier; ours is stricter than the public CAs
            .with_custom_certificate_verifier(PinnedServer::new(seat.tls_pin))
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(true)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .user_agent(concat!("escrow-client/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| local(e.to_string()))?;
        let url = seat.url.trim_end_matches('/').to_owned();
        Ok(Self { seat: seat.index, name: seat.name.clone(), url, http })
    }

    /// The seat's index.
    pub const fn seat(&self) -> SeatIndex {
        self.seat
    }

    /// The seat's short name.
    pub const fn name(&self) -> &Code {
        &self.name
    }

    /// Its base URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// `GET /v1/status`.
    ///
    /// # Errors
    /// [`NodeError`]. Nothing in the answer is signed: it is for people and for waiting.
    pub async fn status(&self) -> Result<Status, NodeError> {
        let status: Status = self.json(self.request(Method::GET, "/v1/status")).await?;
        if status.seat != self.seat {
            return Err(NodeError::Protocol(format!("it calls itself seat {}", status.seat)));
        }
        Ok(status)
    }

    /// `GET /v1/charters`: envelopes that nothing here believes before [`crate::Charters`] has verified them.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn charters(&self) -> Result<Vec<Envelope>, NodeError> {
        let blobs: Vec<Blob> = self.json(self.request(Method::GET, "/v1/charters")).await?;
        blobs.iter().map(|b| envelope(b, "charter")).collect()
    }

    /// `POST /v1/statements`.
    ///
    /// # Errors
    /// [`NodeError`]. The receipt is not verified yet.
    pub async fn statement(&self, statement: &Envelope) -> Result<Receipted, NodeError> {
        self.json(self.envelope_request("/v1/statements", statement)).await
    }

    /// `POST /v1/queries`.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn query<T: DeserializeOwned>(&self, query: &Envelope) -> Result<T, NodeError> {
        self.json(self.envelope_request("/v1/queries", query)).await
    }

    /// `POST /v1/deposits`.
    ///
    /// # Errors
    /// [`NodeError`]. The receipt is not verified yet.
    pub async fn deposit(&self, body: &DepositBody) -> Result<Receipted, NodeError> {
        self.json(self.request(Method::POST, "/v1/deposits").json(body)).await
    }

    /// `POST /v1/releases`.
    ///
    /// # Errors
    /// [`NodeError`]. The reply is not verified yet.
    pub async fn release(&self, body: &ReleaseBody) -> Result<Released, NodeError> {
        self.json(self.request(Method::POST, "/v1/releases").json(body)).await
    }

    /// `GET /v1/log/<log>/checkpoint`: the note as it arrived; nothing of it is verified yet.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn checkpoint(&self, log: u32) -> Result<Vec<u8>, NodeError> {
        self.bytes(&format!("/v1/log/{log}/checkpoint"), MAX_NOTE_LEN).await
    }

    /// `GET /v1/log/<log>/tile/...`: bytes that anybody may have made.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn tile(&self, log: u32, tile: &Tile) -> Result<Vec<u8>, NodeError> {
        self.bytes(&format!("/v1/log/{log}/tile/{}", tile.path()), usize::from(FULL) * 32).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    fn envelope_request(&self, path: &str, envelope: &Envelope) -> RequestBuilder {
        self.request(Method::POST, path)
            .header(header::CONTENT_TYPE, "application/vnd.dsse+json")
            .body(envelope.bytes().to_vec())
    }

    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, NodeError> {
        let bytes = good(send(request).await?, ANSWER_MAX).await?;
        serde_json::from_slice(&bytes).map_err(|e| NodeError::Protocol(format!("unreadable answer: {e}")))
    }

    async fn bytes(&self, path: &str, max: usize) -> Result<Vec<u8>, NodeError> {
        good(send(self.request(Method::GET, path)).await?, max).await
    }
}

/// The body of a success; else the problem that it is.
async fn good(response: Response, max: usize) -> Result<Vec<u8>, NodeError> {
    let status = response.status();
    if status.is_success() {
        return body(response, max).await;
    }
    let bytes = body(response, ANSWER_MAX).await?;
    match serde_json::from_slice::<Problem>(&bytes) {
        Ok(problem) => Err(NodeError::Problem(Box::new(problem))),
        Err(_) => Err(NodeError::Protocol(format!("HTTP status {status} without a problem document"))),
    }
}

/// Sends, and sends again when a node asks for time, within [`RATE_LIMIT_PATIENCE`].
async fn send(mut request: RequestBuilder) -> Result<Response, NodeError> {
    let mut patience = RATE_LIMIT_PATIENCE;
    loop {
        let again = request.try_clone();
        let response = request.send().await.map_err(|e| unreachable(&e))?;
        let wait = retry_after(&response).and_then(|wait| Some((wait, patience.checked_sub(wait)?)));
        let (Some((wait, rest)), Some(next)) = (wait, again) else { return Ok(response) };
        tokio::time::sleep(wait).await;
        (patience, request) = (rest, next);
    }
}

/// How long a 429 asks to wait: at least a second, so that a node which says 0 is not hammered.
fn retry_after(response: &Response) -> Option<Duration> {
    if response.status() != StatusCode::TOO_MANY_REQUESTS {
        return None;
    }
    let seconds = response.headers().get(header::RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok());
    Some(Duration::from_secs(seconds.unwrap_or(1).max(1)))
}

async fn body(mut response: Response, max: usize) -> Result<Vec<u8>, NodeError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| unreachable(&e))? {
        if bytes.len() + chunk.len() > max {
            return Err(NodeError::Protocol(format!("an answer above {max} bytes")));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The innermost cause says most: "connection refused", "invalid peer certificate".
fn unreachable(e: &reqwest::Error) -> NodeError {
    if e.is_timeout() {
        return NodeError::Unreachable("no answer in time".into());
    }
    let mut cause: &dyn std::error::Error = e;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let text = cause.to_string();
    let wrong_key =
        text.contains("ApplicationVerificationFailure") || text.contains("application verification failure");
    if wrong_key { NodeError::WrongKey } else { NodeError::Unreachable(text) }
}

/// Parses an envelope out of an answer.
pub(crate) fn envelope(blob: &Blob, what: &str) -> Result<Envelope, NodeError> {
    Envelope::parse(&blob.0).map_err(|e| NodeError::Protocol(format!("unreadable {what}: {e}")))
}

/// Asks all nodes at the same time and waits for all of them.
pub async fn fan_out<T, F, Fut>(nodes: &[Node], ask: F) -> Outcomes<T>
where
    T: Send + 'static,
    F: Fn(Node) -> Fut,
    Fut: Future<Output = Result<T, NodeError>> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    for node in nodes {
        let (seat, answer) = (node.seat, ask(node.clone()));
        tasks.spawn(async move { (seat, answer.await) });
    }
    let mut outcomes = Outcomes::new();
    while let Some(done) = tasks.join_next().await {
        if let Ok((seat, answer)) = done {
            outcomes.0.insert(seat, answer);
        }
    }
    for node in nodes {
        let lost = || Err(NodeError::Protocol("the task that asked it ended early; a fault of this client".into()));
        outcomes.0.entry(node.seat).or_insert_with(lost);
    }
    outcomes
}

#[cfg(test)]
#[path = "transport_tests.rs"]
mod tests;
