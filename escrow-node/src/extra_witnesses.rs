//! Witnesses outside the charter: they are asked in the background, nobody waits for them, and none counts
//! towards the w cosignatures that a release needs. Their lines are added to the checkpoint that this node shows.

use crate::config::ExtraWitness;
use crate::node::{Node, NodeError};
use crate::writer::Committed;
use escrow_audit::checkpoint::VerifiedCheckpoint;
use escrow_audit::note::{MAX_NOTE_LEN, VerifierKey};
use escrow_audit::witness::{AddCheckpoint, parse_size_body};
use escrow_core::pin::{PinnedServer, provider};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Longest time for one request.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Time until a witness that did not cosign is asked again, if no larger checkpoint comes before.
const AGAIN: Duration = Duration::from_secs(60);

/// Starts one loop for each witness.
///
/// # Errors
/// [`NodeError::Net`], if this machine cannot make a TLS client.
pub(crate) fn start(witnesses: &[ExtraWitness], node: &Arc<Node>) -> Result<JoinSet<()>, NodeError> {
    let mut loops = JoinSet::new();
    for witness in witnesses {
        let key = witness.key().map_err(|e| NodeError::Net(format!("witness {}: {e}", witness.url)))?;
        let http = client(witness).map_err(|e| NodeError::Net(format!("witness {}: {e}", witness.url)))?;
        let url = format!("{}/add-checkpoint", witness.url.trim_end_matches('/'));
        loops.spawn(Extra { node: Arc::clone(node), key, url, http, has: 0 }.follow());
    }
    Ok(loops)
}

fn client(witness: &ExtraWitness) -> Result<reqwest::Client, String> {
    let config = rustls::ClientConfig::builder_with_provider(provider());
    let config = config.with_safe_default_protocol_versions().map_err(|e| e.to_string())?.dangerous(); // rustls's word
    let config = match witness.tls_pin {
        Some(pin) => config.with_custom_certificate_verifier(PinnedServer::new(pin)),
        None => {
            let system = rustls_platform_verifier::Verifier::new(provider()).map_err(|e| e.to_string())?;
            config.with_custom_certificate_verifier(Arc::new(system))
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

struct Extra {
    node: Arc<Node>,
    key: VerifierKey,
    url: String,
    http: reqwest::Client,
    /// Size that the witness has, as far as is known.
    has: u64,
}

impl Extra {
    async fn follow(mut self) {
        let mut grown = self.node.served.grown();
        loop {
            grown.borrow_and_update();
            let shown = self.node.cosigned().filter(|_| self.node.state().works());
            // An idle log is cosigned again once a heartbeat, here as by the peers.
            let mut pause = self.node.heartbeat;
            if let Some(note) = shown
                && let Err(why) = self.ask(&note).await
            {
                tracing::warn!(witness = self.key.name(), %why, "an extra witness did not cosign");
                pause = AGAIN.min(pause);
            }
            tokio::select! { changed = grown.changed() => if changed.is_err() { return }, () = tokio::time::sleep(pause) => () }
        }
    }

    /// Asks for a cosignature, and adds it.
    async fn ask(&mut self, note: &VerifiedCheckpoint) -> Result<(), String> {
        let size = note.size();
        // Two rounds: the first may only learn which size the witness has.
        for _ in 0..2 {
            let old = self.has;
            let proof = self.node.writer.run(move |e| e.tree().consistency_proof(old, size)).await;
            let proof = proof.ok().and_then(Committed::into_inner);
            let proof = proof.ok_or_else(|| format!("it has cosigned size {old}, which is above {size}"))?;
            let body = AddCheckpoint::new(old, proof, note).map_err(|e| e.to_string())?.to_bytes();
            let (status, answer) = self.post(body).await?;
            match status {
                200 if self.node.served.add(note, &answer, &self.key) => {
                    self.has = size;
                    return Ok(());
                }
                200 => return Err("it answered with something else than its cosignature".into()),
                409 => match parse_size_body(&answer) {
                    Some(has) => self.has = has,
                    None => return Err(format!("it refuses this log: {}", String::from_utf8_lossy(&answer).trim())),
                },
                other => return Err(format!("it answered with status {other}")),
            }
        }
        Err("the size it says that it has keeps changing".into())
    }

    async fn post(&self, body: Vec<u8>) -> Result<(u16, Vec<u8>), String> {
        let broken = |e: reqwest::Error| e.without_url().to_string();
        let mut response = self.http.post(&self.url).body(body).send().await.map_err(broken)?;
        let mut answer = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            if answer.len() + chunk.len() > MAX_NOTE_LEN {
                return Err("its answer is too large".into());
            }
            answer.extend_from_slice(&chunk);
        }
        Ok((response.status().as_u16(), answer))
    }
}
