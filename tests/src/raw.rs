//! HTTPS to a node as anybody could speak it: any method, any path, any body, any client key.

use escrow_core::charter::Seat;
use escrow_core::pin::{PinnedServer, provider};
use escrow_core::wire::Problem;
use escrow_node::keys::SeatKeys;
use reqwest::{Method, header};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::time::Duration;

/// What came back.
#[derive(Debug, Clone)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// `content-type`, empty if there is none.
    pub content_type: String,
    /// `cache-control`, empty if there is none.
    pub cache_control: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The problem document, if the reply is one in form and content.
    pub fn problem(&self) -> Option<Problem> {
        let p: Problem = serde_json::from_slice(&self.body).ok()?;
        (self.content_type == "application/problem+json" && p.status == self.status).then_some(p)
    }
}

/// A connection to one node.
#[derive(Debug, Clone)]
pub struct Raw {
    http: reqwest::Client,
    base: String,
}

impl Raw {
    /// Without a client key.
    pub fn new(seat: &Seat) -> Self {
        let tls = tls(seat).with_no_client_auth();
        Self::with(seat, tls)
    }

    /// Showing the TLS key of a seat, or of somebody who is none.
    pub fn with_key(seat: &Seat, keys: &SeatKeys) -> Self {
        let certificate = CertificateDer::from_pem_slice(keys.tls_certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(keys.tls_key.as_bytes()).unwrap();
        let tls = tls(seat).with_client_auth_cert(vec![certificate], key).unwrap();
        Self::with(seat, tls)
    }

    fn with(seat: &Seat, tls: rustls::ClientConfig) -> Self {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .timeout(Duration::from_secs(60))
            .build()
            .unwrap();
        Self { http, base: seat.url.clone() }
    }

    /// Sends anything.
    pub async fn send(&self, method: &str, path: &str, content_type: &str, body: Vec<u8>) -> Reply {
        let method: Method = method.parse().unwrap();
        let request = self.http.request(method, format!("{}{path}", self.base));
        let response = request.header(header::CONTENT_TYPE, content_type).body(body).send().await.unwrap();
        let status = response.status().as_u16();
        let shown = |name| response.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        let (content_type, cache_control) = (shown(header::CONTENT_TYPE), shown(header::CACHE_CONTROL));
        Reply { status, content_type, cache_control, body: response.bytes().await.unwrap().to_vec() }
    }

    /// Reads an address.
    pub async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, "application/json", vec![]).await
    }
}

fn tls(seat: &Seat) -> rustls::ConfigBuilder<rustls::ClientConfig, rustls::client::WantsClientCert> {
    rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(PinnedServer::new(seat.tls_pin))
}
