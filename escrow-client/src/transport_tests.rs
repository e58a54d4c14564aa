use super::*;
use crate::fixture::{World, seat};
use escrow_core::pin::spki_pin;
use escrow_core::{Digest, Timestamp};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{NamedGroup, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion, version};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, mpsc};

/// A TLS server that answers connections with these bytes in turn, the last ones for ever, and
/// tells how they met.
struct Server {
    seat: Seat,
    groups: mpsc::Receiver<Option<NamedGroup>>,
}

fn server(answer: String, versions: &[&'static SupportedProtocolVersion]) -> Server {
    server_of(vec![answer], versions)
}

fn server_of(mut answers: Vec<String>, versions: &[&'static SupportedProtocolVersion]) -> Server {
    let key = rcgen::KeyPair::generate().unwrap();
    let cert = rcgen::CertificateParams::new(vec!["anything.example".into()]).unwrap().self_signed(&key).unwrap();
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())))
        .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut listed = World::new().charter.seats[0].clone();
    listed.url = format!("https://{}", listener.local_addr().unwrap());
    listed.tls_pin = spki_pin(cert.der()).unwrap();
    let (told, groups) = mpsc::channel();
    std::thread::spawn(move || {
        let config = Arc::new(config);
        for socket in listener.incoming().flatten() {
            let mut tls = StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), socket);
            let mut request = [0u8; 4096];
            if tls.read(&mut request).is_ok_and(|n| n > 0) {
                let _ = told.send(tls.conn.negotiated_key_exchange_group().map(|g| g.name()));
                let _ = tls.write_all(answers[0].as_bytes());
                let _ = tls.flush();
                tls.conn.send_close_notify();
                let _ = tls.flush();
                if answers.len() > 1 {
                    answers.remove(0);
                }
            }
        }
    });
    Server { seat: listed, groups }
}

fn http(status: &str, kind: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn status_of(n: u8) -> String {
    let status = Status {
        seat: seat(n),
        state: "READY".into(),
        reason: String::new(),
        way_out: String::new(),
        version: "0".into(),
        charter: Digest([0; 32]),
        charter_version: 1,
        log: "log.example/1".into(),
        size: 0,
        at: Timestamp::EPOCH,
    };
    serde_json::to_string(&status).unwrap()
}

fn ask(seat: &Seat) -> Result<Status, NodeError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let node = Node::new(seat).unwrap();
    runtime.block_on(node.status())
}

#[test]
fn only_the_pinned_key_is_believed_and_the_exchange_is_post_quantum() {
    let server = server(http("200 OK", "application/json", &status_of(1)), &[&version::TLS13]);
    assert_eq!(ask(&server.seat).unwrap().state, "READY");
    assert_eq!(server.groups.recv().unwrap(), Some(NamedGroup::X25519MLKEM768));
    let other = Seat { tls_pin: Digest([9; 32]), ..server.seat.clone() };
    assert!(
        matches!(ask(&other), Err(e @ NodeError::WrongKey) if e.is_absent() && e.to_string().contains("does not pin"))
    );
    assert!(server.groups.try_recv().is_err(), "not one byte of the request was sent to the wrong key");
}

#[test]
fn older_tls_and_nobody_at_home_are_unreachable() {
    let old = server(http("200 OK", "application/json", &status_of(1)), &[&version::TLS12]);
    assert!(matches!(ask(&old.seat), Err(NodeError::Unreachable(_))));
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = Seat { url: format!("https://{closed}"), ..old.seat.clone() };
    assert!(matches!(ask(&nobody), Err(e @ NodeError::Unreachable(_)) if e.is_absent() && e.is_retryable()));
    let plain = Seat { url: format!("http://{closed}"), ..old.seat.clone() };
    assert!(ask(&plain).is_err(), "never without TLS");
}

#[test]
fn answers_are_told_apart() {
    let problem = r#"{"type":"urn:escrow:problem:denied","title":"denied","status":403,"detail":"dora denied it",
        "code":"denied","seat":1,"statement":null,"statement_kind":null,"charters":[]}"#;
    let refusing = server(http("403 Forbidden", "application/problem+json", problem), &[&version::TLS13]);
    match ask(&refusing.seat) {
        Err(e @ NodeError::Problem(_)) => assert!(e.code() == "denied" && !e.is_absent() && !e.is_retryable()),
        wrong => panic!("{wrong:?}"),
    }
    for (status, body) in [("500 Oops", "<html>"), ("200 OK", "{}"), ("302 Found", "")] {
        let broken = server(http(status, "text/html", body), &[&version::TLS13]);
        assert!(matches!(ask(&broken.seat), Err(NodeError::Protocol(_))), "{status}");
    }
    let another = server(http("200 OK", "application/json", &status_of(2)), &[&version::TLS13]);
    assert!(matches!(ask(&another.seat), Err(NodeError::Protocol(why)) if why.contains("seat 2")));
}

#[test]
fn a_node_that_asks_for_time_gets_it_within_reason() {
    let limited = |wait: &str| {
        let body = r#"{"type":"urn:escrow:problem:rate-limited","title":"rate limited","status":429,"detail":"wait",
            "code":"rate-limited","seat":1,"statement":null,"statement_kind":null,"charters":[]}"#;
        http(&format!("429 Too Many Requests\r\nretry-after: {wait}"), "application/problem+json", body)
    };
    let ready = http("200 OK", "application/json", &status_of(1));
    let begin = std::time::Instant::now();
    let patient = server_of(vec![limited("1"), limited("0"), ready.clone()], &[&version::TLS13]);
    assert_eq!(ask(&patient.seat).unwrap().state, "READY");
    assert!(begin.elapsed() >= Duration::from_secs(2), "it did not wait");
    // Longer than anybody waits: told at once, and it may be tried again later.
    let begin = std::time::Instant::now();
    let endless = server_of(vec![limited("3600"), ready], &[&version::TLS13]);
    match ask(&endless.seat) {
        Err(e @ NodeError::Problem(_)) => assert!(e.code() == "rate-limited" && e.is_absent() && e.is_retryable()),
        wrong => panic!("{wrong:?}"),
    }
    assert!(begin.elapsed() < Duration::from_secs(5));
}
