//! One custodian of the escrow: a seat that holds one share of every key and decides for itself.
//!
//! **How it is built.** [`engine`] decides and does no I/O: statements, time and randomness go
//! in, log entries and rows come out. [`writer`] is the one thread that owns the engine; it runs
//! what is queued, commits entries and rows in one SQLite transaction, re-reads and recomputes
//! them with the verifier's code, and only then lets answers out. [`http`] moves bytes;
//! [`peers`] talks to the other seats; [`release`] is the one path on which a share leaves.
//!
//! **Promises.** Nothing is acknowledged before it is durable (P4, P8). A share leaves only after
//! its authorisation is in the log and countersigned by t-1 peers. Shares are in clear only in
//! memory, between the permit and the seal (P6).
//!
//! **Not here.** Key recovery for people, message content, anything that could open a share alone.

#[cfg(test)]
mod attack_tests;
pub mod backup;
mod behind;
pub mod config;
pub mod ended;
pub mod engine;
mod extra_witnesses;
pub mod files;
#[cfg(test)]
mod fixture;
pub mod http;
pub mod init;
pub mod keys;
mod logs;
#[cfg(test)]
mod logs_tests;
pub mod metrics;
pub mod new_log;
pub mod node;
pub mod peers;
mod pull;
mod rates;
pub mod release;
pub mod restore;
#[cfg(test)]
mod restore_tests;
mod served;
pub mod space;
pub mod start;
pub mod state;
pub mod store;
mod timing;
pub mod unlock;
pub mod vault;
mod webhooks;
pub mod witness;
pub mod writer;

pub use config::Config;
pub use node::{Node, run};
