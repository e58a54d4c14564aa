//! A seat that only listens: it has the seat's TLS key and place, writes down every request, and answers nothing
//! but which head of a log it holds.

use escrow_core::Digest;
use escrow_core::charter::Seat;
use escrow_core::pin::{AnyClient, provider, spki_pin};
use escrow_node::keys::SeatKeys;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One request as it came: who proved to send it, first line and body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Pin of the TLS key that the caller holds, if it showed one.
    pub from: Option<Digest>,
    /// Method and path.
    pub line: String,
    /// The body.
    pub body: Vec<u8>,
}

/// Listens until it is dropped.
#[derive(Debug)]
pub struct Recorder {
    requests: Arc<Mutex<Vec<Request>>>,
    stop: Arc<AtomicBool>,
    address: SocketAddr,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Recorder {
    /// In the place of a seat, with the newest note that it holds of each log, by origin.
    pub fn start(address: SocketAddr, keys: &SeatKeys, notes: BTreeMap<String, String>) -> Self {
        let certificate = CertificateDer::from_pem_slice(keys.tls_certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(keys.tls_key.as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_client_cert_verifier(AnyClient::new())
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let (config, notes) = (Arc::new(config), Arc::new(notes));
        let listener = TcpListener::bind(address).unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (list, ended) = (Arc::clone(&requests), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let (config, notes, list) = (Arc::clone(&config), Arc::clone(&notes), Arc::clone(&list));
                std::thread::spawn(move || {
                    // A caller that breaks off says no more.
                    let _ = serve(stream?, config, &notes, &list);
                    std::io::Result::Ok(())
                });
            }
        });
        Self { requests, stop, address, thread: Some(thread) }
    }

    /// Everything that a seat has sent so far.
    pub fn requests(&self, of: &Seat) -> Vec<Request> {
        self.requests.lock().unwrap().iter().filter(|r| r.from == Some(of.tls_pin)).cloned().collect()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    notes: &BTreeMap<String, String>,
    list: &Mutex<Vec<Request>>,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let tls = ServerConnection::new(config).map_err(std::io::Error::other)?;
    let mut stream = BufReader::new(StreamOwned::new(tls, stream));
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let mut length = 0;
        loop {
            let mut header = String::new();
            stream.read_line(&mut header)?;
            if header.trim().is_empty() {
                break;
            }
            if let Some(n) = header.to_ascii_lowercase().strip_prefix("content-length:") {
                length = n.trim().parse().map_err(std::io::Error::other)?;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        let line = line.trim().trim_end_matches(" HTTP/1.1").to_owned();
        let asked = line.strip_prefix("GET /v1/peer/witnessed?origin=").map(|o| o.replace("%2F", "/"));
        let shown = stream.get_ref().conn.peer_certificates().and_then(|c| c.first());
        let from = shown.and_then(|c| spki_pin(c));
        list.lock().unwrap().push(Request { from, line, body });
        let (status, answer) = match asked {
            Some(origin) => ("200 OK", serde_json::json!({"note": notes.get(&origin)}).to_string()),
            None => ("503 Service Unavailable", "{}".to_owned()),
        };
        let head =
            format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", answer.len());
        let stream = stream.get_mut();
        stream.write_all(head.as_bytes())?;
        stream.write_all(answer.as_bytes())?;
        stream.flush()?;
    }
}
