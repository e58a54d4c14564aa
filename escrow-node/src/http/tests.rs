//! The interface as a caller meets it, on a real node behind the real router.

use super::*;
use crate::fixture::Fixture;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{Request, header};
use escrow_core::decision::Choice;
use escrow_core::wire::{DepositBody, Problem, ReleaseBody};
use escrow_core::{Blob, Envelope, SigningKey};
use tower::ServiceExt as _;

/// Status, `Retry-After`, body.
struct Reply(u16, Option<u64>, Vec<u8>);

impl Reply {
    /// The problem's code, or `accepted`.
    fn code(&self) -> String {
        if self.0 == 200 {
            return "accepted".into();
        }
        let p: Problem = serde_json::from_slice(&self.2).unwrap();
        assert_eq!((p.status, p.seat.map(escrow_core::SeatIndex::get)), (self.0, Some(1)), "{p:?}");
        assert_eq!(p.code == "rate-limited", self.0 == 429);
        assert_eq!(self.1.is_some(), self.0 == 429, "Retry-After stands on a 429 and nowhere else");
        p.code
    }
}

struct Caller(Router);

impl Caller {
    async fn post(&self, path: &str, from: &str, body: Vec<u8>) -> Reply {
        let mut request = Request::post(path).header(header::CONTENT_TYPE, "application/json").body(Body::from(body));
        let from: SocketAddr = format!("{from}:1").parse().unwrap();
        request.as_mut().unwrap().extensions_mut().insert(ConnectInfo(from));
        let response = self.0.clone().oneshot(request.unwrap()).await.unwrap();
        let wait = response.headers().get(header::RETRY_AFTER).map(|v| v.to_str().unwrap().parse().unwrap());
        let status = response.status().as_u16();
        Reply(status, wait, to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec())
    }

    async fn get(&self, path: &str, from: &str) -> Reply {
        let mut request = Request::get(path).body(Body::empty());
        let from: SocketAddr = format!("{from}:1").parse().unwrap();
        request.as_mut().unwrap().extensions_mut().insert(ConnectInfo(from));
        let response = self.0.clone().oneshot(request.unwrap()).await.unwrap();
        let wait = response.headers().get(header::RETRY_AFTER).map(|v| v.to_str().unwrap().parse().unwrap());
        let status = response.status().as_u16();
        Reply(status, wait, to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec())
    }

    async fn statement(&self, from: &str, e: &Envelope) -> String {
        self.post("/v1/statements", from, e.bytes().to_vec()).await.code()
    }

    async fn query(&self, from: &str, e: &Envelope) -> String {
        self.post("/v1/queries", from, e.bytes().to_vec()).await.code()
    }
}

const LIMITS: &str = "[rate_limits]\nqueries_per_minute = 2\nstatements_per_minute = 2\nrestrictions_per_minute = 2\n\
    deposits_per_minute = 2\nreleases_per_minute = 2\nstrangers_per_minute = 3\nrepeats_per_minute = 3\n";

async fn caller(fixture: &Fixture) -> Caller {
    Caller(router(fixture.open().await.node, 16))
}

/// Somebody's statement under somebody else's key id.
fn under_key_of(e: &Envelope, victim: &SigningKey) -> Envelope {
    let own = e.key_ids().next().unwrap();
    let text = String::from_utf8(e.bytes().to_vec()).unwrap().replace(own, &victim.public().id());
    Envelope::parse(text.as_bytes()).unwrap()
}

#[tokio::test]
async fn a_stranger_uses_up_nobodys_bucket_but_their_own() {
    let fixture = Fixture::new(LIMITS);
    let (caller, stranger) = (caller(&fixture).await, SigningKey::generate_ed25519());
    let req = &fixture.people["req"];
    for n in 0..10 {
        let forged = under_key_of(&fixture.query("req", 1, &stranger), req);
        let code = caller.query("192.0.2.1", &forged).await;
        assert_eq!(code, if n < 3 { "bad-signature" } else { "rate-limited" }, "attempt {n}");
    }
    assert_eq!(caller.post("/v1/queries", "192.0.2.1", b"{}".to_vec()).await.code(), "rate-limited");
    assert_eq!(caller.post("/v1/queries", "192.0.2.2", b"{}".to_vec()).await.code(), "malformed");
    // From the very same address, the person in whose name it was done is answered.
    let own = fixture.query("req", 1, req);
    assert_eq!(caller.query("192.0.2.1", &own).await, "accepted");

    // Nor with what that person did sign: said before, or said to another node.
    let elsewhere = fixture.query("req", 2, req);
    let mut codes = Vec::new();
    for n in 0..10 {
        codes.push(caller.query("192.0.2.3", if n % 2 == 0 { &own } else { &elsewhere }).await);
    }
    assert!(codes[..3].iter().all(|c| c != "accepted" && c != "rate-limited"), "{codes:?}");
    assert!(codes[3..].iter().all(|c| c == "rate-limited"), "{codes:?}");
    assert_eq!(caller.query("192.0.2.1", &fixture.query("req", 1, req)).await, "accepted");
    assert_eq!(caller.query("192.0.2.4", &fixture.query("req", 1, req)).await, "rate-limited", "a key is one anywhere");
    assert_eq!(caller.query("192.0.2.4", &fixture.query("leg", 1, &fixture.people["leg"])).await, "accepted");
}

#[tokio::test]
async fn no_flood_of_a_persons_own_holds_their_denial_up() {
    let fixture = Fixture::new(LIMITS);
    let (caller, from) = (caller(&fixture).await, "192.0.2.1");
    let dpo = &fixture.people["dpo"];
    for n in 0..5 {
        let code = caller.query(from, &fixture.query("dpo", 1, dpo)).await;
        assert_eq!(code, if n < 2 { "accepted" } else { "rate-limited" });
        let code = caller.statement(from, &fixture.decision("dpo", "dpo", Choice::Approve)).await;
        assert_eq!(code, if n < 2 { "accepted" } else { "rate-limited" });
    }
    let denial = fixture.decision("dpo", "dpo", Choice::Deny);
    assert_eq!(caller.statement(from, &denial).await, "accepted");
    // Sent again, as a client does that heard no answer, it costs nothing of that bucket.
    assert_eq!(caller.statement(from, &denial).await, "accepted");
    assert_eq!(caller.statement(from, &fixture.decision("dpo", "dpo", Choice::Recuse)).await, "accepted");
    let over = caller.post("/v1/statements", from, fixture.decision("dpo", "dpo", Choice::Deny).bytes().to_vec()).await;
    assert_eq!((over.code().as_str(), over.0), ("rate-limited", 429));
    assert!(over.1.is_some_and(|s| (1..=31).contains(&s)), "two a minute: room again in half a minute, {:?}", over.1);
}

#[tokio::test]
async fn deposits_and_releases_have_buckets_of_their_own() {
    let fixture = Fixture::new(LIMITS);
    let (caller, from) = (caller(&fixture).await, "192.0.2.1");
    let blob = |e: &Envelope| Blob(e.bytes().to_vec());
    let mut codes = Vec::new();
    for _ in 0..3 {
        let query = fixture.query("req", 1, &fixture.people["req"]);
        let deposit = DepositBody { deposit: blob(&query), blob: Blob::default() };
        let call = ReleaseBody { call: blob(&query), request: blob(&query), decisions: vec![], permits: vec![] };
        let deposit = caller.post("/v1/deposits", from, serde_json::to_vec(&deposit).unwrap()).await;
        let query = fixture.query("req", 1, &fixture.people["req"]);
        let call = ReleaseBody { call: blob(&query), ..call };
        let call = caller.post("/v1/releases", from, serde_json::to_vec(&call).unwrap()).await;
        codes.push((deposit.code(), call.code()));
    }
    assert_eq!(codes[2], ("rate-limited".into(), "rate-limited".into()), "{codes:?}");
    assert!(codes[..2].iter().all(|(d, c)| d != "rate-limited" && c != "rate-limited"), "{codes:?}");
    assert_eq!(caller.query(from, &fixture.query("req", 1, &fixture.people["req"])).await, "accepted");
}

/// The code of a problem document that no seat is named in.
fn anonymous(reply: &Reply) -> (u16, String) {
    let p: Problem = serde_json::from_slice(&reply.2).unwrap();
    assert_eq!(p.status, reply.0);
    (reply.0, p.code)
}

#[tokio::test]
async fn the_log_is_shown_by_a_node_that_may_sign_and_by_its_number_only() {
    let fixture = Fixture::new("");
    let opened = fixture.open().await;
    let caller = Caller(router(Arc::clone(&opened.node), 16));
    let from = "192.0.2.1";
    // Nobody has been asked to cosign yet; the tree is there.
    let none = caller.get("/v1/log/1/checkpoint", from).await;
    assert_eq!(anonymous(&none), (503, "not-ready".into()));
    let size = opened.node.writer.run(|e| e.size()).await.unwrap().into_inner();
    assert_eq!(caller.get(&format!("/v1/log/1/tile/0/000.p/{size}"), from).await.2.len() as u64, size * 32);
    assert_eq!(caller.get("/v1/log/1/proof/0", from).await.0, 200);
    // No peer is up: a round without cosignatures still gives a checkpoint to show.
    opened.node.cosign_round(0, usize::MAX, None).await;
    let shown = caller.get("/v1/log/1/checkpoint", from).await;
    assert_eq!((shown.0, shown.2), (200, opened.node.cosigned().unwrap().to_bytes()));
    for path in [
        "/v1/log/2/checkpoint",
        "/v1/log/0/checkpoint",
        "/v1/log/2/tile/0/000.p/1",
        "/v1/log/2/proof/0",
        "/v1/log/1/tile/0/0",
        "/v1/log/1/tile/64/000",
        "/v1/log/1/tile/0/000",
        "/v1/log/1/tile/1/000.p/1",
        "/v1/log/1/tile/0/000.p/256",
        "/v1/log/1/tile/0/x018/x446/x744/x073/x709/x551/615",
        "/v1/log/1/proof/999",
        "/v1/log/1/proof/18446744073709551615",
    ] {
        assert_eq!(anonymous(&caller.get(path, from).await), (404, "not-found".into()), "{path}");
    }
    for path in ["/v1/log/x/checkpoint", "/v1/log/1/proof/-1", "/v1/log/4294967296/checkpoint"] {
        assert_eq!(anonymous(&caller.get(path, from).await), (400, "malformed".into()), "{path}");
    }
    let entries = caller.get("/v1/log/1/tile/entries/000.p/1", from).await;
    assert_eq!(anonymous(&entries), (403, "not-a-peer".into()));
    opened.node.set_state(crate::state::State::Rollback("restored".into()));
    for path in ["/v1/log/1/checkpoint", "/v1/log/1/tile/0/000.p/1", "/v1/log/1/proof/0"] {
        assert_eq!(anonymous(&caller.get(path, from).await), (503, "not-ready".into()), "{path}");
    }
}

#[tokio::test]
async fn readers_have_a_bucket_of_their_own() {
    let fixture = Fixture::new(&format!("{LIMITS}reads_per_minute = 4\n"));
    let (caller, from) = (caller(&fixture).await, "192.0.2.1");
    let mut codes = vec![];
    for path in ["tile/0/000.p/1", "checkpoint", "proof/0", "tile/0/x", "proof/0", "checkpoint", "tile/0/000.p/1"] {
        codes.push(caller.get(&format!("/v1/log/1/{path}"), from).await.0);
    }
    assert_eq!(codes, [200, 503, 200, 404, 429, 429, 429]);
    assert_eq!(caller.get("/v1/log/1/proof/0", "192.0.2.2").await.0, 200, "another address");
    // Reading takes nothing from those who write.
    assert_eq!(caller.query(from, &fixture.query("req", 1, &fixture.people["req"])).await, "accepted");
    assert_eq!(caller.post("/v1/queries", from, b"{}".to_vec()).await.code(), "malformed");
}

#[tokio::test]
async fn case_72_below_the_mark_restrictions_are_logged_and_new_work_is_refused() {
    // More than any disk has.
    let fixture = Fixture::new("min_free_bytes = 4000000000000000000\n");
    let opened = fixture.open().await;
    let node = Arc::clone(&opened.node);
    let (caller, from) = (Caller(router(opened.node, 16)), "192.0.2.1");
    let approve = fixture.decision("dpo", "dpo", Choice::Approve);
    let blob = |e: &Envelope| Blob(e.bytes().to_vec());
    let deposit = serde_json::to_vec(&DepositBody { deposit: blob(&approve), blob: Blob::default() }).unwrap();
    let body = ReleaseBody { call: blob(&approve), request: blob(&approve), decisions: vec![], permits: vec![] };
    let refused = [
        caller.post("/v1/statements", from, approve.bytes().to_vec()).await,
        caller.post("/v1/statements", from, fixture.request().bytes().to_vec()).await,
        caller.post("/v1/deposits", from, deposit).await,
        caller.post("/v1/queries", from, fixture.query("req", 1, &fixture.people["req"]).bytes().to_vec()).await,
        caller.post("/v1/releases", from, serde_json::to_vec(&body).unwrap()).await,
    ];
    for reply in refused {
        assert_eq!((reply.code().as_str(), reply.0), ("disk-low", 507));
    }
    let size = node.writer.head().unwrap().size();
    assert_eq!(caller.statement(from, &fixture.decision("dpo", "dpo", Choice::Deny)).await, "accepted");
    assert_eq!(node.writer.head().unwrap().size(), size + 1);
    // Who asks how it stands is told why, and what to do.
    let get = |path: &str| Request::get(path).body(Body::empty()).unwrap();
    let ready = caller.0.clone().oneshot(get("/readyz")).await.unwrap();
    assert_eq!(ready.status().as_u16(), 503);
    let text = String::from_utf8(to_bytes(ready.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap();
    assert!(
        text.starts_with("DEGRADED ") && text.contains("disk space") && text.contains("way out: free space"),
        "{text}"
    );
    let status = caller.0.clone().oneshot(get("/v1/status")).await.unwrap();
    let status: escrow_core::wire::Status =
        serde_json::from_slice(&to_bytes(status.into_body(), 1 << 20).await.unwrap()).unwrap();
    assert_eq!((status.state.as_str(), status.way_out.is_empty()), ("DEGRADED", false));
}

#[tokio::test]
async fn a_node_that_knows_an_unaccepted_charter_is_frozen_and_still_logs_and_witnesses() {
    let fixture = Fixture::new("");
    let opened = fixture.open().await;
    let node = Arc::clone(&opened.node);
    let caller = Caller(router(opened.node, 16));
    let next = escrow_core::charter::Charter {
        nonce: escrow_core::Nonce::random(),
        version: 2,
        previous: Some(fixture.genesis.digest()),
        ..fixture.charter.clone()
    };
    let next = Envelope::sign(&next, &[&fixture.people["ann"], &fixture.people["bob"]]).unwrap();
    assert_eq!(caller.statement("192.0.2.1", &next).await, "accepted");
    let mut states = node.standing.subscribe();
    let frozen = states.wait_for(|s| matches!(s, crate::state::State::Frozen(_))).await.unwrap().clone();
    assert!(frozen.reason().contains(&next.digest().to_string()), "{}", frozen.reason());
    assert!(frozen.way_out().contains("charter accept") && frozen.works() && frozen.vouches());
    assert_eq!(caller.statement("192.0.2.1", &fixture.decision("dpo", "dpo", Choice::Deny)).await, "accepted");
}
