//! Webhooks: a signed notification reaches each configured receiver at least once.
//!
//! The outbox is written in the transaction of the entry that a notification is about, so nothing
//! that was logged is forgotten and nothing is told that was not logged. One loop for each receiver
//! reads it and posts; the engine never waits. Whoever receives may be slow, gone or hostile: an
//! answer is a status and nothing more, redirects are not followed.

use crate::config::Webhook;
use crate::metrics;
use crate::node::{Node, NodeError, clock};
use crate::store::{WebhookChange, WebhookRow};
use escrow_core::Timestamp;
use escrow_core::pin::provider;
use reqwest::header;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Longest time for one attempt.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait between two attempts.
const BACKOFF_MAX_MS: i64 = 300_000;
/// Longest wait before the outbox is looked at again.
const IDLE: Duration = Duration::from_secs(5);

/// Starts one loop for each receiver.
///
/// # Errors
/// [`NodeError::Net`], if a CA file cannot be used.
pub(crate) async fn start(webhooks: &[Webhook], node: &Arc<Node>) -> Result<JoinSet<()>, NodeError> {
    let mut loops = JoinSet::new();
    let urls: Vec<String> = webhooks.iter().map(|w| w.url.clone()).collect();
    let keep = node.writer.run(move |e| e.webhook(WebhookChange::Keep(urls))).await;
    keep.map_err(|e| NodeError::Poisoned(e.to_string()))?;
    for webhook in webhooks {
        let http = client(webhook).map_err(NodeError::Net)?;
        loops.spawn(deliver_all(Arc::clone(node), webhook.url.clone(), http));
    }
    Ok(loops)
}

fn client(webhook: &Webhook) -> Result<reqwest::Client, String> {
    let config = rustls::ClientConfig::builder_with_provider(provider());
    let config = config.with_safe_default_protocol_versions().map_err(|e| e.to_string())?;
    let config = match &webhook.ca_file {
        Some(file) => {
            let bad = |e: &dyn std::fmt::Display| format!("{}: {e}", file.display());
            let mut roots = rustls::RootCertStore::empty();
            for certificate in CertificateDer::pem_file_iter(file).map_err(|e| bad(&e))? {
                roots.add(certificate.map_err(|e| bad(&e))?).map_err(|e| bad(&e))?;
            }
            if roots.is_empty() {
                return Err(bad(&"no certificate in it"));
            }
            config.with_root_certificates(roots)
        }
        None => {
            let system = rustls_platform_verifier::Verifier::new(provider()).map_err(|e| e.to_string())?;
            config.dangerous().with_custom_certificate_verifier(Arc::new(system)) // rustls's word for the system's own
        }
    };
    reqwest::Client::builder()
        .tls_backend_preconfigured(config.with_no_client_auth())
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(TIMEOUT)
        .user_agent(concat!("escrow-node/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|e| e.to_string())
}

/// Delivers to one receiver what is due, for ever.
async fn deliver_all(node: Arc<Node>, url: String, http: reqwest::Client) {
    let mut grown = node.writer.grown();
    loop {
        let _ = grown.borrow_and_update();
        let pause = match node.read(|s| s.next_webhook(&url)) {
            // A node that may not speak for itself stays silent here too.
            Ok(Some(row)) if node.state().works() => match until(&row, clock()) {
                None => {
                    let change = attempt(&http, &row).await;
                    if node.writer.run(move |e| e.webhook(change)).await.is_err() {
                        return;
                    }
                    continue;
                }
                Some(wait) => wait.min(IDLE),
            },
            Ok(_) => IDLE,
            Err(e) => {
                tracing::error!(error = %e, "the outbox of webhooks cannot be read");
                IDLE
            }
        };
        if let Ok(Err(_)) = tokio::time::timeout(pause, grown.changed()).await {
            return; // the writer has stopped, and the node with it
        }
    }
}

/// How long a row still waits; `None` if it is due. A clock that was set back delays nothing.
fn until(row: &WebhookRow, now: Timestamp) -> Option<Duration> {
    let wait = row.what.due.millis() - now.millis();
    (1..=BACKOFF_MAX_MS).contains(&wait).then(|| Duration::from_millis(wait.unsigned_abs()))
}

/// One attempt, and what follows from it.
async fn attempt(http: &reqwest::Client, row: &WebhookRow) -> WebhookChange {
    let what = &row.what;
    if clock() >= what.expires {
        metrics::webhook("expired");
        tracing::warn!(notification = %what.digest, attempts = row.attempts, "a webhook took nothing in time; given up");
        return WebhookChange::Done(row.id);
    }
    let request = http
        .post(&what.url)
        .header(header::CONTENT_TYPE, "application/json")
        .header("idempotency-key", what.digest.to_string())
        .body(what.body.clone());
    // No URL in the log: it may hold a secret of the receiver.
    let why = match request.send().await {
        Ok(response) => {
            // The status is the answer; not a byte of a body is read.
            let status = response.status();
            drop(response);
            if status.is_success() {
                metrics::webhook("delivered");
                return WebhookChange::Done(row.id);
            }
            if status == reqwest::StatusCode::GONE {
                metrics::webhook("gone");
                tracing::warn!(notification = %what.digest, "a webhook answers 410: it wants none of this");
                return WebhookChange::Done(row.id);
            }
            format!("it answers {status}")
        }
        Err(e) => e.without_url().to_string(),
    };
    metrics::webhook("failed");
    tracing::warn!(notification = %what.digest, attempts = row.attempts.saturating_add(1), why, "a webhook took nothing");
    let later = clock().millis().saturating_add(backoff_ms(row.attempts));
    WebhookChange::Later(row.id, Timestamp::from_millis(later))
}

/// From 1 s, doubled each time, to 5 min, of which up to a half is left to chance: receivers that
/// come back are not met by all nodes at once.
fn backoff_ms(attempts: u32) -> i64 {
    let full = 1_000i64.saturating_mul(1 << attempts.min(20)).min(BACKOFF_MAX_MS);
    let chance = i64::from(u16::from_be_bytes(escrow_core::random::bytes()));
    (full - full * chance / (2 * i64::from(u16::MAX))).max(1_000)
}

#[cfg(test)]
mod tests;
