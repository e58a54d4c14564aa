//! A real receiver on a real socket, which refuses, is away, and comes back.

use super::*;
use crate::config::Config;
use crate::fixture::{Fixture, w};
use crate::node::Opened;
use crate::state::State;
use crate::store::{Batch, Store, WEBHOOK_ROWS, WebhookNew};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse as _;
use axum::routing::any;
use escrow_core::notification::{Notification, NotificationEvent};
use escrow_core::{Digest, Envelope};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Instant;

/// Path, headers, body.
type Came = (String, HeaderMap, Vec<u8>);

/// What came, and what is answered: a redirect answers 302 to another path of the same server.
#[derive(Clone, Default)]
struct Receiver {
    came: Arc<Mutex<Vec<Came>>>,
    answers: Arc<Mutex<VecDeque<u16>>>,
}

impl Receiver {
    fn answering(answers: &[u16]) -> Self {
        Self { answers: Arc::new(Mutex::new(answers.iter().copied().collect())), ..Self::default() }
    }

    fn router(&self) -> Router {
        async fn take(
            Shared(me): Shared<Receiver>,
            uri: axum::http::Uri,
            headers: HeaderMap,
            body: Bytes,
        ) -> axum::response::Response {
            me.came.lock().unwrap().push((uri.path().to_owned(), headers, body.to_vec()));
            let status = me.answers.lock().unwrap().pop_front().unwrap_or(200);
            let status = StatusCode::from_u16(status).unwrap();
            (status, [(header::LOCATION, "/elsewhere")], vec![b'x'; 1 << 20]).into_response()
        }
        Router::new().fallback(any(take)).with_state(self.clone())
    }

    async fn serve(&self) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = self.router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    fn came(&self) -> Vec<Came> {
        self.came.lock().unwrap().clone()
    }

    async fn wait_for(&self, count: usize) {
        let until = Instant::now() + Duration::from_secs(30);
        while self.came().len() < count {
            assert!(Instant::now() < until, "{} of {count} came", self.came().len());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn hooks(urls: &[String]) -> String {
    urls.iter().map(|u| format!("[[webhooks]]\nurl = \"{u}\"\n")).collect()
}

async fn running(fixture: &Fixture) -> (Opened, JoinSet<()>) {
    let opened = fixture.open().await;
    let loops = start(&fixture.config().webhooks, &opened.node).await.unwrap();
    (opened, loops)
}

async fn stop((opened, mut loops): (Opened, JoinSet<()>)) {
    loops.shutdown().await;
    let Opened { node, writer, .. } = opened;
    drop(node);
    tokio::task::spawn_blocking(move || writer.join().unwrap()).await.unwrap();
}

async fn log(opened: &Opened, statement: &Envelope) {
    let e = statement.clone();
    opened.node.writer.run(move |engine| engine.submit(&e).map(drop)).await.unwrap().into_inner().unwrap();
}

fn waiting(opened: &Opened, url: &str) -> Option<WebhookRow> {
    opened.node.read(|s| s.next_webhook(url)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_is_told_once_accepted_however_often_refused_and_across_a_restart() {
    let receiver = Receiver::answering(&[500, 302]);
    let url = format!("http://{}/escrow", receiver.serve().await);
    let fixture = Fixture::new(&hooks(std::slice::from_ref(&url)));
    let request = fixture.request();
    let node = running(&fixture).await;
    log(&node.0, &request).await;
    receiver.wait_for(1).await;
    stop(node).await;
    let node = running(&fixture).await;
    receiver.wait_for(3).await;
    // Delivered: nothing waits any more, and the same statement again is no news.
    log(&node.0, &request).await;
    let until = Instant::now() + Duration::from_secs(10);
    while waiting(&node.0, &url).is_some() {
        assert!(Instant::now() < until);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;

    let came = receiver.came();
    assert_eq!(came.len(), 3, "twice refused, once accepted");
    for (path, headers, body) in &came {
        assert_eq!(path, "/escrow", "a redirect is not followed");
        assert_eq!(headers[header::CONTENT_TYPE], "application/json");
        assert_eq!(body, &came[0].2, "the same bytes each time");
        let envelope = Envelope::parse(body).unwrap();
        assert_eq!(headers["idempotency-key"], envelope.digest().to_string());
        let n: Notification = envelope.decode().unwrap();
        assert_eq!((n.event, n.about), (NotificationEvent::RequestWaits, request.digest()));
        assert_eq!((n.matter, n.seat.get(), n.charter), (Some(w("MAT-1")), 1, fixture.genesis.digest()));
        let key = &fixture.charter.seats[0].statement_key;
        let signers = envelope.signers(|id| if key.id() == *id { vec![key.clone()] } else { vec![] });
        assert_eq!(signers.unwrap(), std::slice::from_ref(key), "the seat's statement key of the charter");
    }
    stop(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_receiver_that_is_gone_holds_no_other_up_and_a_silent_node_sends_nothing() {
    let (gone, good) = (Receiver::answering(&[410]), Receiver::default());
    let closed = "http://127.0.0.1:1/".to_owned();
    let urls = [format!("http://{}/a", gone.serve().await), format!("http://{}/b", good.serve().await), closed];
    let fixture = Fixture::new(&hooks(&urls));
    let node = running(&fixture).await;
    node.0.node.set_state(State::Unproven("a test".into()));
    log(&node.0, &fixture.request()).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(gone.came().is_empty() && good.came().is_empty(), "an unproven node speaks");
    node.0.node.set_state(State::Ready);
    for _ in 0..3 {
        log(&node.0, &fixture.request()).await;
    }
    gone.wait_for(4).await;
    good.wait_for(4).await;
    let about = |r: &Receiver| {
        let digest = |(_, _, b): &Came| Envelope::parse(b).unwrap().digest();
        r.came().iter().map(digest).collect::<std::collections::BTreeSet<Digest>>()
    };
    assert_eq!(about(&good).len(), 4, "each request once");
    assert_eq!(about(&gone), about(&good), "a 410 ends one notification, once");
    let mut failed = waiting(&node.0, &urls[2]).unwrap();
    for _ in 0..600 {
        if failed.attempts > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        failed = waiting(&node.0, &urls[2]).unwrap();
    }
    assert!(failed.attempts >= 1 && failed.what.due > clock(), "{failed:?}");
    stop(node).await;
    // What is for a receiver that is no longer configured goes at the next start.
    std::fs::write(
        fixture.dir.path().join("escrow-node.toml"),
        "listen = \"127.0.0.1:0\"\ndata_dir = \"data\"\npassphrase_file = \"passphrase\"\n",
    )
    .unwrap();
    let node = running(&fixture).await;
    assert!(waiting(&node.0, &urls[2]).is_none());
    stop(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_only_the_authorities_named_are_believed() {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["127.0.0.1".into()]).unwrap().self_signed(&key).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            rustls::pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        )
        .unwrap();
    let receiver = Receiver::default();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let tls = axum_server::tls_rustls::RustlsConfig::from_config(Arc::new(config));
    let server = axum_server::from_tcp_rustls(listener, tls).unwrap().serve(receiver.router().into_make_service());
    tokio::spawn(server);

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.pem");
    std::fs::write(&file, certificate.pem()).unwrap();
    let row = |n| WebhookRow {
        id: n,
        what: WebhookNew {
            url: format!("https://{address}/"),
            digest: Digest([7; 32]),
            body: b"{}".to_vec(),
            expires: clock().plus_seconds(60),
            due: clock(),
        },
        attempts: 0,
    };
    let with = |ca_file| client(&Webhook { url: String::new(), ca_file }).unwrap();
    assert!(matches!(attempt(&with(None), &row(1)).await, WebhookChange::Later(1, _)), "the system's authorities");
    assert!(receiver.came().is_empty());
    assert!(matches!(attempt(&with(Some(file)), &row(2)).await, WebhookChange::Done(2)));
    assert_eq!(receiver.came().len(), 1);
    std::fs::write(dir.path().join("empty.pem"), "").unwrap();
    for file in ["empty.pem", "missing.pem"] {
        assert!(client(&Webhook { url: String::new(), ca_file: Some(dir.path().join(file)) }).is_err(), "{file}");
    }
    let mut late = row(3);
    late.what.expires = clock();
    assert!(matches!(attempt(&with(None), &late).await, WebhookChange::Done(3)), "given up, not tried");
}

#[test]
fn the_outbox_is_bounded_and_each_receiver_has_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(&dir.path().join("node.db")).unwrap();
    let add = |url: &str, n: u32| {
        WebhookChange::Add(WebhookNew {
            url: url.into(),
            digest: Digest::of(&n.to_be_bytes()),
            body: vec![],
            expires: Timestamp::MAX,
            due: Timestamp::from_millis(i64::from(n)),
        })
    };
    let mut webhooks = vec![add("a", 0)];
    webhooks.extend((0..WEBHOOK_ROWS + 7).map(|n| add("b", n)));
    store.commit(&Batch { webhooks, ..Batch::default() }).unwrap();
    let first = |store: &Store, url: &str| store.next_webhook(url).unwrap().map(|r| r.what.due.millis());
    assert_eq!(first(&store, "a"), Some(0), "another receiver's flood drops nothing of this one");
    assert_eq!(first(&store, "b"), Some(7), "the oldest went");
}

#[test]
fn waiting_grows_to_five_minutes_and_is_left_to_chance() {
    for attempts in 0..40 {
        let full = (1_000i64 << attempts.min(20)).min(BACKOFF_MAX_MS);
        let waits: Vec<i64> = (0..50).map(|_| backoff_ms(attempts)).collect();
        assert!(waits.iter().all(|w| (full / 2..=full).contains(w) && *w >= 1_000), "{attempts}: {waits:?}");
        assert!(attempts < 2 || waits.iter().any(|w| *w != waits[0]), "no jitter");
    }
}

#[test]
fn only_https_leaves_the_machine() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("escrow-node.toml");
    let load = |hooks: &str| {
        let own = "listen = \"127.0.0.1:0\"\ndata_dir = \"d\"\npassphrase_file = \"p\"\n";
        std::fs::write(&path, format!("{own}{hooks}")).unwrap();
        Config::load(&path).map_err(|e| e.to_string())
    };
    let of = |urls: &[&str]| load(&hooks(&urls.iter().map(|u| (*u).to_owned()).collect::<Vec<_>>()));
    assert_eq!(
        of(&["https://mail.acme.example/x", "http://127.0.0.1:1/", "http://[::1]:1/"]).unwrap().webhooks.len(),
        3
    );
    for bad in
        ["http://mail.acme.example/", "http://10.0.0.1/", "http://localhost/", "ftp://127.0.0.1/", "file:///x", "x"]
    {
        assert!(of(&[bad]).unwrap_err().contains("webhook 1"), "{bad}");
    }
    assert!(of(&["https://a.example/", "https://a.example/"]).unwrap_err().contains("webhook 2: named twice"));
    let with_ca = load("[[webhooks]]\nurl = \"https://a.example/\"\nca_file = \"ca.pem\"\n").unwrap();
    assert_eq!(with_ca.webhooks[0].ca_file.as_deref(), Some(dir.path().join("ca.pem").as_path()));
}
