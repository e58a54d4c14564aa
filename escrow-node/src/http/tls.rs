//! TLS 1.3 with the seat's own key; a client certificate is optional and becomes a value that
//! handlers receive ([`ClientPin`]).

use crate::keys::SeatKeys;
use axum::Extension;
use axum_server::accept::Accept;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use escrow_core::Digest;
use escrow_core::pin::{AnyClient, provider, spki_pin};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tower::Layer as _;

/// Pin of the TLS key that the client proved to hold, if it showed a certificate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientPin(pub(crate) Option<Digest>);

#[derive(Clone)]
pub(crate) struct Acceptor(RustlsAcceptor);

impl Acceptor {
    pub(crate) fn new(keys: &SeatKeys) -> Result<Self, String> {
        let certificate = CertificateDer::from_pem_slice(keys.tls_certificate.as_bytes()).map_err(|e| e.to_string())?;
        let key = PrivateKeyDer::from_pem_slice(keys.tls_key.as_bytes()).map_err(|e| e.to_string())?;
        Self::with(certificate, key)
    }

    /// With a certificate and a key in files, PEM.
    pub(crate) fn from_files(certificate: &Path, key: &Path) -> Result<Self, String> {
        let bad = |file: &Path| format!("{} is no PEM file of a witness", file.display());
        let shown = CertificateDer::from_pem_file(certificate).map_err(|_| bad(certificate))?;
        Self::with(shown, PrivateKeyDer::from_pem_file(key).map_err(|_| bad(key))?)
    }

    fn with(certificate: CertificateDer<'static>, key: PrivateKeyDer<'static>) -> Result<Self, String> {
        let mut config = rustls::ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|e| e.to_string())?
            .with_client_cert_verifier(AnyClient::new())
            .with_single_cert(vec![certificate], key)
            .map_err(|e| e.to_string())?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self(RustlsAcceptor::new(RustlsConfig::from_config(Arc::new(config)))))
    }
}

type Served<I, S> = (tokio_rustls::server::TlsStream<I>, <Extension<ClientPin> as tower::Layer<S>>::Service);

impl<I, S> Accept<I, S> for Acceptor
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Send + 'static,
{
    type Stream = tokio_rustls::server::TlsStream<I>;
    type Service = <Extension<ClientPin> as tower::Layer<S>>::Service;
    type Future = Pin<Box<dyn Future<Output = io::Result<Served<I, S>>> + Send>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let inner = self.0.clone();
        Box::pin(async move {
            let (stream, service) = inner.accept(stream, service).await?;
            let shown = stream.get_ref().1.peer_certificates().and_then(|c| c.first());
            let pin = ClientPin(shown.and_then(|c| spki_pin(c)));
            Ok((stream, Extension(pin).layer(service)))
        })
    }
}
