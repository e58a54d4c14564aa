//! The log for whoever follows it: checkpoint, tiles and proofs as C2SP formats.
//!
//! A root, and the hashes below it, name nobody: each entry has a hash of the one before and the digests of
//! signed statements with random nonces in it, so a leaf hash cannot be guessed. Entries themselves hold tokens
//! and digests; they go to seats, and to people by signed queries, which are logged.

use super::peer::PeerSeat;
use super::problem::{Answer, Fault};
use crate::engine::Span;
use crate::node::Node;
use axum::extract::{ConnectInfo, Path, State as Shared};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use escrow_audit::tile::{Content, Tile, bundle};
use std::net::SocketAddr;
use std::sync::Arc;

type Address = ConnectInfo<SocketAddr>;

const TEXT: &str = "text/plain; charset=utf-8";
const BYTES: &str = "application/octet-stream";
/// For what depends on its address alone.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
const FOR_SEATS_FOR_EVER: &str = "private, max-age=31536000, immutable";

/// The newest checkpoint that the peers were asked to cosign.
///
/// C2SP tlog-checkpoint with the cosignatures it has so far, also those of witnesses outside the charter. It never goes back. There is
/// none before the first round after a start. Of a closed log it is its last head.
#[utoipa::path(
    get,
    path = "/v1/log/{number}/checkpoint",
    params(("number" = u32, Path, description = "Number of the seat's log: 1 for its first.")),
    responses((status = 200, description = "The signed note.", body = String, content_type = "text/plain; charset=utf-8")),
    extensions(("x-authenticated-by" = json!("nobody")))
)]
pub(crate) async fn checkpoint(
    Shared(node): Shared<Arc<Node>>,
    Path(number): Path<u32>,
    ConnectInfo(from): Address,
) -> Answer<Response> {
    node.rates.reader(from.ip())?;
    let log = span(&node, number).await?;
    let none = || Fault::NotReady(node.state().name(), "its peers were not asked to cosign a checkpoint yet".into());
    let note = log.closed.or_else(|| node.cosigned()).ok_or_else(none)?;
    Ok(sent(TEXT, "no-store", note.to_bytes()))
}

/// Hashes of the tree.
///
/// C2SP tlog-tiles: `<L>/<N>`, and `.p/<W>` for a partial one.
#[utoipa::path(
    get,
    path = "/v1/log/{number}/tile/{*tile}",
    params(
        ("number" = u32, Path, description = "Number of the seat's log."),
        ("tile" = String, Path, description = "Level, index in elements of three digits (`x001/x234/067`), and `.p/` with a width.", example = "0/000.p/1"),
    ),
    responses((status = 200, description = "Up to 256 hashes of 32 bytes; the same for ever.", body = Vec<u8>, content_type = "application/octet-stream")),
    extensions(("x-authenticated-by" = json!("nobody")))
)]
pub(crate) async fn tile(
    Shared(node): Shared<Arc<Node>>,
    Path((number, path)): Path<(u32, String)>,
    ConnectInfo(from): Address,
) -> Answer<Response> {
    node.rates.reader(from.ip())?;
    span(&node, number).await?;
    let tile = Tile::parse(&path).ok_or(Fault::NotFound("no path of a tile"))?;
    let hashes = node.writer.run(move |e| e.tree_of(number)?.tile(&tile)).await?.into_inner();
    Ok(sent(BYTES, FOR_EVER, hashes.ok_or(NOT_YET)?))
}

/// Entries of the log, for other seats.
///
/// C2SP tlog-tiles: `<N>`, and `.p/<W>` for a partial bundle. People read entries by a signed query, which is logged.
#[utoipa::path(
    get,
    path = "/v1/log/{number}/tile/entries/{*tile}",
    params(
        ("number" = u32, Path, description = "Number of the seat's log."),
        ("tile" = String, Path, description = "Index in elements of three digits, and `.p/` with a width.", example = "000.p/1"),
    ),
    responses((status = 200, description = "Up to 256 entries, each after its length in two bytes, big-endian.", body = Vec<u8>, content_type = "application/octet-stream")),
    extensions(("x-authenticated-by" = json!("a seat's TLS key")))
)]
pub(crate) async fn entries(
    Shared(node): Shared<Arc<Node>>,
    _: PeerSeat,
    Path((number, path)): Path<(u32, String)>,
) -> Answer<Response> {
    let log = span(&node, number).await?;
    let tile = Tile::parse(&format!("entries/{path}")).filter(|t| t.content() == Content::Entries);
    let tile = tile.ok_or(Fault::NotFound("no path of an entry bundle"))?;
    let (start, width) = (tile.start().ok_or(NOT_YET)?, u64::from(tile.width()));
    if start.checked_add(width).is_none_or(|end| end > size(&node, &log)) {
        return Err(NOT_YET);
    }
    let entries = node.read(|s| s.entries(log.base.saturating_add(start), width))?;
    let bytes = bundle(entries.iter().map(Vec::as_slice)).filter(|_| entries.len() as u64 == width);
    let bytes = bytes.ok_or_else(|| Fault::Internal(format!("entries {start} and on are not all stored")))?;
    Ok(sent(BYTES, FOR_SEATS_FOR_EVER, bytes))
}

/// That an entry is in the log.
///
/// C2SP tlog-proof of the entry at a position, under the checkpoint shown if it covers it, else under the newest one. It holds hashes
/// only; whoever has a receipt knows the leaf.
#[utoipa::path(
    get,
    path = "/v1/log/{number}/proof/{seq}",
    params(
        ("number" = u32, Path, description = "Number of the seat's log."),
        ("seq" = u64, Path, description = "Position of the entry, from 0."),
    ),
    responses((status = 200, description = "The proof.", body = String, content_type = "text/plain; charset=utf-8")),
    extensions(("x-authenticated-by" = json!("nobody")))
)]
pub(crate) async fn proof(
    Shared(node): Shared<Arc<Node>>,
    Path((number, seq)): Path<(u32, u64)>,
    ConnectInfo(from): Address,
) -> Answer<Response> {
    node.rates.reader(from.ip())?;
    let log = span(&node, number).await?;
    if seq >= size(&node, &log) {
        return Err(NOT_YET);
    }
    let shown = log.closed.or_else(|| node.cosigned().filter(|note| note.size() > seq));
    let head = shown.or_else(|| node.writer.head().map(|h| (*h).clone())).ok_or(NOT_YET)?;
    let position = log.base.saturating_add(seq);
    let proof = node.writer.run(move |e| e.proof(position, &head)).await?.into_inner();
    Ok(sent(TEXT, "no-store", proof.ok_or(NOT_YET)?.into_bytes()))
}

const NOT_YET: Fault = Fault::NotFound("the log has no such entries yet");

/// A node that may not sign shows nothing of its logs either: what it has may not be what it had signed.
async fn span(node: &Node, number: u32) -> Answer<Span> {
    let state = node.state();
    if !state.works() {
        return Err(Fault::NotReady(state.name(), state.reason()));
    }
    let span = node.writer.run(move |e| e.span(number)).await?.into_inner();
    span.ok_or(Fault::NotFound("this seat has no log of that number"))
}

/// Entries up to the newest head that is signed.
fn size(node: &Node, log: &Span) -> u64 {
    match &log.closed {
        Some(last) => last.size(),
        None => node.writer.head().map_or(0, |h| h.size()),
    }
}

fn sent(content_type: &'static str, cache: &'static str, body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, cache)], body).into_response()
}
