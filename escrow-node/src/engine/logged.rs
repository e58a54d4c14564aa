//! The rule "nothing leaves, is destroyed or takes effect unless it is on the log", as types.
//!
//! [`Engine::append`](super::Engine::append) gives a [`Logged`] token; the writer turns it into
//! [`Committed<Logged<_>>`](crate::writer::Committed) when its entry is durable and recomputed. A
//! token cannot be cloned, made from nothing or used twice. Three things take one by value:
//!
//! A reply leaves only for a durable delivery:
//! ```
//! use escrow_node::engine::{Delivered, Logged, SealedReply};
//! use escrow_node::writer::Committed;
//! fn send(reply: Committed<Logged<SealedReply>>) -> Delivered {
//!     reply.send()
//! }
//! ```
//! ```compile_fail,E0599
//! use escrow_node::engine::{Delivered, Logged, SealedReply};
//! use escrow_node::writer::Committed;
//! fn send(reply: Logged<SealedReply>) -> Delivered {
//!     reply.send()
//! }
//! ```
//!
//! Shares are opened only for a durable authorisation:
//! ```
//! use escrow_node::engine::{Authorised, Engine, Logged};
//! use escrow_node::writer::Committed;
//! fn abort(e: &mut Engine, a: Committed<Logged<Authorised>>) {
//!     e.abort(a, "restart")
//! }
//! ```
//! ```compile_fail,E0382
//! use escrow_node::engine::{Authorised, Engine, Logged};
//! use escrow_node::writer::Committed;
//! fn abort(e: &mut Engine, a: Committed<Logged<Authorised>>) {
//!     e.abort(a, "restart");
//!     e.abort(a, "restart")
//! }
//! ```
//! ```
//! use escrow_audit::checkpoint::VerifiedCheckpoint;
//! use escrow_node::engine::{Authorised, Engine, Logged};
//! use escrow_node::writer::Committed;
//! fn deliver(e: &mut Engine, a: Committed<Logged<Authorised>>, note: &VerifiedCheckpoint) {
//!     let _ = e.deliver(a, note, |_| Ok(vec![]));
//! }
//! ```
//! ```compile_fail,E0308
//! use escrow_audit::checkpoint::VerifiedCheckpoint;
//! use escrow_node::engine::{Authorised, Engine, Logged};
//! use escrow_node::writer::Committed;
//! fn deliver(e: &mut Engine, a: Logged<Authorised>, note: &VerifiedCheckpoint) {
//!     let _ = e.deliver(a, note, |_| Ok(vec![]));
//! }
//! ```
//!
//! The key of a deposit that was stored is destroyed only for a durable destruction:
//! ```
//! use escrow_node::engine::{Destruction, Logged};
//! use escrow_node::{unlock::UnlockError, vault::Vault, writer::Committed};
//! fn destroy(vault: &Vault, d: Committed<Logged<Destruction>>) -> Result<(), UnlockError> {
//!     vault.destroy(d)
//! }
//! ```
//! ```compile_fail,E0308
//! use escrow_node::engine::{Destruction, Logged};
//! use escrow_node::{unlock::UnlockError, vault::Vault, writer::Committed};
//! fn destroy(vault: &Vault, d: Destruction) -> Result<(), UnlockError> {
//!     vault.destroy(d)
//! }
//! ```
//!
//! A charter takes effect only when its acceptance is durable:
//! ```
//! use escrow_core::charter::Charter;
//! use escrow_node::{Node, engine::Logged, writer::Committed};
//! fn take_over(node: &Node, c: Committed<Logged<Charter>>) {
//!     node.set_charter(c)
//! }
//! ```
//! ```compile_fail,E0308
//! use escrow_core::charter::Charter;
//! use escrow_node::{Node, engine::Logged, writer::Committed};
//! fn take_over(node: &Node, c: Charter) {
//!     node.set_charter(c)
//! }
//! ```
//!
//! And no token is copied, or made outside:
//! ```
//! use escrow_node::engine::Logged;
//! fn once(token: Logged<()>) -> Logged<()> {
//!     token
//! }
//! ```
//! ```compile_fail,E0599
//! use escrow_node::engine::Logged;
//! fn twice(token: Logged<()>) -> (Logged<()>, Logged<()>) {
//!     (token.clone(), token)
//! }
//! ```
//! ```compile_fail,E0451
//! use escrow_node::engine::Logged;
//! fn forged() -> Logged<()> {
//!     Logged { position: 0, what: () }
//! }
//! ```

use crate::vault::KeyName;
use crate::writer::Committed;

/// What was appended, and where. Only the engine makes one.
#[derive(Debug)]
pub struct Logged<T> {
    position: u64,
    what: T,
}

/// What a logged destruction is of: the key of one deposit.
///
/// No statement asks for one yet (ADR 6); the type says what it will have to bring.
#[derive(Debug)]
pub struct Destruction {
    pub(crate) key: KeyName,
}

impl<T> Logged<T> {
    /// Position of the entry, counted over all logs of the seat.
    pub fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn new(position: u64, what: T) -> Self {
        Self { position, what }
    }

    pub(super) fn what(&self) -> &T {
        &self.what
    }

    /// The same entry, taken for what it is about.
    pub(super) fn of<U>(self, what: U) -> Logged<U> {
        Logged { position: self.position, what }
    }
}

impl<T> Committed<Logged<T>> {
    /// Position and content, when they are put to use.
    pub(crate) fn spend(self) -> (u64, T) {
        let Logged { position, what } = self.into_inner();
        (position, what)
    }
}
