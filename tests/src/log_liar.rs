//! A server in a node's place that lies about the node's log: it has the seat's TLS key and its log key, as the
//! seat's operator has, and shows whatever checkpoint and tree it is told to.

use ed25519_dalek::SigningKey;
use escrow_audit::checkpoint::Checkpoint;
use escrow_audit::note::NoteSigner;
use escrow_audit::tile::Tile;
use escrow_audit::tree::Tree;
use escrow_core::charter::Seat;
use escrow_core::pin::provider;
use escrow_node::keys::SeatKeys;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// What is shown.
#[derive(Debug, Clone, Default)]
pub struct Lie {
    /// Bytes of the checkpoint.
    pub note: Vec<u8>,
    /// Where tiles come from; without one there are none.
    pub tree: Option<Tree>,
}

/// The server. It ends when it is dropped.
#[derive(Debug)]
pub struct LogLiar {
    lie: Arc<Mutex<Lie>>,
    task: tokio::task::JoinHandle<()>,
}

impl LogLiar {
    /// Listens where the seat's node did, which must have stopped.
    pub async fn start(seat: &Seat, keys: &SeatKeys) -> Self {
        let certificate = CertificateDer::from_pem_slice(keys.tls_certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(keys.tls_key.as_bytes()).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(seat.url.strip_prefix("https://").unwrap()).await.unwrap();
        let lie = Arc::new(Mutex::new(Lie::default()));
        let told = Arc::clone(&lie);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(acceptor.clone(), stream, Arc::clone(&told)));
            }
        });
        Self { lie, task }
    }

    /// From now on this is shown.
    pub fn show(&self, lie: Lie) {
        *self.lie.lock().unwrap() = lie;
    }
}

impl Drop for LogLiar {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A checkpoint of a tree under a log's name and key, as nobody but its operator can make it.
pub fn signed(origin: &str, key: &SigningKey, tree: &Tree) -> Vec<u8> {
    let signer = NoteSigner::new(origin, key).unwrap();
    Checkpoint::new(origin, tree.size(), tree.root()).unwrap().sign(&signer).unwrap().to_bytes()
}

/// One request of one connection; whoever hangs up early is not answered.
async fn serve(acceptor: TlsAcceptor, stream: TcpStream, lie: Arc<Mutex<Lie>>) -> Option<()> {
    let mut stream = acceptor.accept(stream).await.ok()?;
    let mut request = Vec::new();
    while !request.windows(4).any(|w| w == b"\r\n\r\n") {
        let mut buffer = [0; 1_024];
        let n = stream.read(&mut buffer).await.ok().filter(|n| *n > 0)?;
        request.extend_from_slice(&buffer[..n]);
    }
    let text = String::from_utf8_lossy(&request).into_owned();
    let path = text.split(' ').nth(1)?;
    let lie = lie.lock().unwrap().clone();
    let body = if path.ends_with("/checkpoint") {
        Some(lie.note)
    } else {
        let tile = path.split_once("/tile/").and_then(|(_, tile)| Tile::parse(tile));
        tile.and_then(|t| lie.tree.and_then(|tree| tree.tile(&t)))
    };
    let status = if body.is_some() { "200 OK" } else { "404 Not Found" };
    let body = body.unwrap_or_default();
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    stream.write_all(&[head.into_bytes(), body].concat()).await.ok()?;
    stream.shutdown().await.ok()
}
