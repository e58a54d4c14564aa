//! The client SDK of the escrow: deposit, request, decide, release, open, verify.
//!
//! ```no_run
//! use escrow_client::{Charters, Client, FlushOptions, Identity, Outbox, archive::KeyRing};
//! use std::{path::Path, sync::Arc};
//! # async fn example(pinned: escrow_core::Digest) -> Result<(), Box<dyn std::error::Error>> {
//! let charters = Charters::load(Path::new("charter.json"), pinned)?; // believed from the pinned digest on
//! let device = Arc::new(Identity::load(Path::new("device.key"))?);
//! let client = Client::new(charters, device.clone())?;
//! let keys = KeyRing::load(Path::new("key-ring"), &client.charters().current().org, &device.device()?.sealing)?;
//! let known = client.consents().await.value.pop().ok_or("give consent first")?;
//! let outbox = Arc::new(Outbox::open(Path::new("outbox.db"))?);
//! let quiet = Arc::new(|_done, _total| {});
//! let consent = (known.digest, known.consent);
//! let done = client.deposit(outbox, consent, keys.into_entries(), FlushOptions::default(), quiet).await?;
//! println!("every node has every key: {}", done.complete());
//! # Ok(()) }
//! ```
//!
//! **Scope.** What a device, an officer's machine or an eDiscovery workstation does: keys and
//! files on its own disk, signed statements to all nodes in parallel, and checking what comes
//! back. [`archive`] seals and opens message archives, [`doctor`] looks for what is wrong.
//!
//! **Not here.** Who may do what (decided by every node for itself, crate `escrow-policy`); the
//! verification of evidence bundles (crate `escrow-audit`, which needs no network).
//!
//! **Promises.** No key is ever taken from an answer: TLS pins, statement keys and log keys come
//! from the charter chain, and that from a genesis digest that the caller pinned. Every receipt is
//! verified with its inclusion proof before it counts. Operations over several nodes keep each
//! node's own outcome ([`Outcomes`]). The [`Outbox`] never holds anything this machine could open;
//! thread keys of a release exist in memory only ([`open_replies`]).
//!
//! **Threat.** Nodes may lie, and up to t-1 of them may do so together; the network may do
//! anything. Whoever reads this machine's memory or the key files of its owner has what the owner has.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))] // a test that panics has failed

pub mod archive;
mod case;
mod charters;
mod client;
mod clock;
mod consent;
mod decision;
mod deposit;
pub mod doctor;
mod enrolment;
pub mod export;
mod files;
#[cfg(test)]
mod fixture;
pub mod history;
mod identity;
mod key_file;
mod matter;
mod open;
mod outbox;
mod outcome;
mod pages;
pub mod production;
mod recovery;
mod release;
mod replies;
mod request;
mod scope;
mod seat;
mod shown;
mod ssh_agent;
mod submit;
mod transport;
mod verdict;
pub mod watch;
mod zone;

pub use case::Case;
pub use charters::{Charters, ChartersError, read_envelopes};
pub use client::{Client, Refreshed};
pub use clock::now;
pub use consent::{ConsentError, ConsentTerms, KnownConsent, Outcomed};
pub use decision::DecisionError;
pub use deposit::{DepositError, FlushOptions, Flushed, ITEMS_PER_DEPOSIT, OnProgress, Standing};
pub use enrolment::Quorum;
pub use identity::{
    Device, Identity, Officer, SignError, Signer, encrypt_key_file, load_token_key, load_token_key_with, save_token_key,
};
pub use key_file::{AskPassphrase, KeyFileError, Passphrase, decrypt_key_file, is_encrypted};
pub use matter::{MatterError, title_commitment};
pub use open::{ItemError, OpenError, Opened, OpenedKey, ReleasedItem, ReplyFault, open_replies, released_items};
pub use outbox::{Outbox, OutboxError, Pending, Progress, SealedDeposit};
pub use outcome::{NodeError, Outcomes};
pub use recovery::{KnownRecovery, RecoveryDraft, RecoveryError};
pub use release::{Arrived, Collected, OnReply, ReleaseError, Wanted};
pub use replies::{Replies, RepliesError, Reply};
pub use request::{Ask, Draft, DraftError, Held, KnownRequest, People};
pub use scope::{Selecting, beyond};
pub use seat::{
    SeatStatement, VerifiedReceipt, log_key, verify_entry, verify_note, verify_notification, verify_receipt,
    verify_seat_statement,
};
pub use ssh_agent::{AgentError, SOCKET_VARIABLE, SshAgent};
pub use submit::{SubmitError, Submitted};
pub use transport::{ANSWER_MAX, CONNECT_TIMEOUT, Node, RATE_LIMIT_PATIENCE, REQUEST_TIMEOUT, fan_out};
pub use verdict::{Assessment, VerifiedVerdict};
pub use zone::{UnknownZone, Zone};
