//! Notifications: a node tells a configured receiver that something waits for people.

use crate::digest::{Digest, Nonce};
use crate::limits;
use crate::statement::{Kind, rule, statement};
use crate::strict::nullable;
use crate::time::Timestamp;
use crate::words::{MatterId, Org, SeatIndex};
use serde::{Deserialize, Serialize};

/// The body of a webhook. It says that something waits and nothing about whose messages: who wants
/// to know more asks the node with a signed query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notification {
    /// Always [`Kind::Notification`].
    pub kind: Kind,
    /// The organisation.
    pub org: Org,
    /// Fresh random bytes.
    pub nonce: Nonce,
    /// The charter in force at the node.
    pub charter: Digest,
    /// The node.
    pub seat: SeatIndex,
    /// What happened.
    pub event: NotificationEvent,
    /// The statement that waits.
    pub about: Digest,
    /// Its matter; null for a recovery, which has none.
    #[serde(deserialize_with = "nullable")]
    pub matter: Option<MatterId>,
    /// When the node logged it.
    pub at: Timestamp,
}

statement!(Notification, Notification, limits::PAYLOAD_SMALL, |n| {
    rule((n.event == NotificationEvent::RequestWaits) == n.matter.is_some(), "a matter goes with a request")
});

/// What waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NotificationEvent {
    /// A request to release waits for approvers.
    RequestWaits,
    /// A subject's recovery waits for approvers, and for objections of the subject's other devices.
    RecoveryWaits,
}
