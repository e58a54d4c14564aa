//! Talking to the other seats: pinned TLS both ways, add-checkpoint, restrictions, heads.

use crate::keys::SeatKeys;
use escrow_audit::checkpoint::VerifiedCheckpoint;
use escrow_audit::seat::witness_verifier;
use escrow_audit::tree::Hash;
use escrow_audit::witness::{AddCheckpoint, parse_size_body};
use escrow_core::charter::Seat;
use escrow_core::pin::{PinnedServer, provider};
use escrow_core::wire::{RestrictionAsk, RestrictionReply, Witnessed};
use escrow_core::{Digest, Org, SeatIndex};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

/// Largest body that is read from a peer.
const ANSWER_MAX: usize = 16 * 1024 * 1024;

/// Why a peer did not answer as it should.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// No connection, or it broke.
    #[error("seat {0} cannot be reached: {1}")]
    Unreachable(SeatIndex, String),
    /// It answered with an error.
    #[error("seat {0} answered {1}")]
    Status(SeatIndex, u16),
    /// It answered something else than the protocol says.
    #[error("seat {0} answered outside the protocol: {1}")]
    Protocol(SeatIndex, String),
}

/// One pinned client for each peer, made when first needed and again when the charter changes.
pub struct Peers {
    certificate: Vec<u8>,
    key: PrivateKeyDer<'static>,
    clients: Mutex<HashMap<Digest, reqwest::Client>>,
    /// The size up to which each peer has cosigned our log, as far as we know.
    cosigned: Mutex<HashMap<SeatIndex, u64>>,
}

impl std::fmt::Debug for Peers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Peers")
    }
}

impl Peers {
    /// With the seat's own TLS key as client certificate.
    ///
    /// # Errors
    /// In words, if the seat's TLS key cannot be read.
    pub fn new(keys: &SeatKeys) -> Result<Self, String> {
        let certificate = CertificateDer::from_pem_slice(keys.tls_certificate.as_bytes()).map_err(|e| e.to_string())?;
        let key = PrivateKeyDer::from_pem_slice(keys.tls_key.as_bytes()).map_err(|e| e.to_string())?;
        Ok(Self { certificate: certificate.to_vec(), key, clients: Mutex::default(), cosigned: Mutex::default() })
    }

    fn client(&self, seat: &Seat) -> Result<reqwest::Client, PeerError> {
        let broken = |e: String| PeerError::Unreachable(seat.index, e);
        let mut clients = self.clients.lock().map_err(|e| broken(e.to_string()))?;
        if let Some(c) = clients.get(&seat.tls_pin) {
            return Ok(c.clone());
        }
        let config = rustls::ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|e| broken(e.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(PinnedServer::new(seat.tls_pin))
            .with_client_auth_cert(vec![CertificateDer::from(self.certificate.clone())], self.key.clone_key())
            .map_err(|e| broken(e.to_string()))?;
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(config)
            .connect_timeout(Duration::from_secs(2))
            .timeout(Duration::from_secs(10))
            .no_proxy()
            .build()
            .map_err(|e| broken(e.to_string()))?;
        clients.insert(seat.tls_pin, client.clone());
        Ok(client)
    }

    async fn send(&self, seat: &Seat, request: reqwest::RequestBuilder) -> Result<(u16, Vec<u8>), PeerError> {
        let broken = |e: reqwest::Error| PeerError::Unreachable(seat.index, e.without_url().to_string());
        let mut response = request.send().await.map_err(broken)?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            if body.len() + chunk.len() > ANSWER_MAX {
                return Err(PeerError::Protocol(seat.index, "answer too large".into()));
            }
            body.extend_from_slice(&chunk);
        }
        Ok((status, body))
    }

    async fn json<T: serde::de::DeserializeOwned>(
        &self,
        seat: &Seat,
        request: reqwest::RequestBuilder,
    ) -> Result<T, PeerError> {
        let (status, body) = self.send(seat, request).await?;
        if status != 200 {
            return Err(PeerError::Status(seat.index, status));
        }
        serde_json::from_slice(&body).map_err(|e| PeerError::Protocol(seat.index, e.to_string()))
    }

    /// The newest note of `origin` that the peer cosigned.
    ///
    /// # Errors
    /// [`PeerError`].
    pub async fn witnessed(&self, seat: &Seat, origin: &str) -> Result<Witnessed, PeerError> {
        let request = self.client(seat)?.get(url(seat, "/v1/peer/witnessed")).query(&[("origin", origin)]);
        self.json(seat, request).await
    }

    /// Restrictions that the peer knows.
    ///
    /// # Errors
    /// [`PeerError`].
    pub async fn restrictions(&self, seat: &Seat, ask: &RestrictionAsk) -> Result<RestrictionReply, PeerError> {
        let request = self.client(seat)?.post(url(seat, "/v1/peer/restrictions")).json(ask);
        self.json(seat, request).await
    }

    /// The size up to which the peer has cosigned our log, as far as this process knows.
    pub fn cosigned(&self, seat: SeatIndex) -> u64 {
        self.cosigned.lock().ok().and_then(|c| c.get(&seat).copied()).unwrap_or(0)
    }

    /// Asks a peer to cosign a checkpoint, with the consistency proof from size `old`.
    ///
    /// # Errors
    /// [`PeerError`].
    pub async fn cosign(
        &self,
        seat: &Seat,
        checkpoint: &VerifiedCheckpoint,
        old: u64,
        proof: Vec<Hash>,
    ) -> Result<CosignAnswer, PeerError> {
        let odd = |e: String| PeerError::Protocol(seat.index, e);
        let body = AddCheckpoint::new(old, proof, checkpoint).map_err(|e| odd(e.to_string()))?.to_bytes();
        let request = self.client(seat)?.post(url(seat, "/v1/peer/add-checkpoint")).body(body);
        let (status, answer) = self.send(seat, request).await?;
        match status {
            200 => {
                self.remember(seat.index, checkpoint.size());
                Ok(CosignAnswer::Cosigned(answer))
            }
            409 => parse_size_body(&answer).map(CosignAnswer::Has).ok_or_else(|| odd("conflict without a size".into())),
            other => Err(PeerError::Status(seat.index, other)),
        }
    }

    fn remember(&self, seat: SeatIndex, size: u64) {
        if let Ok(mut map) = self.cosigned.lock() {
            let known = map.entry(seat).or_insert(0);
            *known = (*known).max(size);
        }
    }
}

/// What a witness says to a checkpoint.
#[derive(Debug)]
pub enum CosignAnswer {
    /// Signature lines.
    Cosigned(Vec<u8>),
    /// It has another size than the one the proof starts from.
    Has(u64),
}

fn url(seat: &Seat, path: &str) -> String {
    format!("{}{path}", seat.url.trim_end_matches('/'))
}

/// True if the signature lines are this seat's cosignature on the checkpoint; adds them to it.
pub fn add_cosignature(checkpoint: &mut VerifiedCheckpoint, answer: &[u8], org: &Org, seat: &Seat) -> bool {
    let Ok(key) = witness_verifier(org, seat) else { return false };
    let before = checkpoint.cosigners(std::slice::from_ref(&key)).map_or(0, |c| c.len());
    checkpoint.add_cosignatures(answer, std::slice::from_ref(&key)).is_ok()
        && checkpoint.cosigners(std::slice::from_ref(&key)).is_ok_and(|c| c.len() > before)
}
