//! Notifications for webhooks, queued with the entry that they are about.

use super::Engine;
use crate::store::{WebhookChange, WebhookNew};
use escrow_core::notification::{Notification, NotificationEvent};
use escrow_core::recovery::SelfRecovery;
use escrow_core::request::Request;
use escrow_core::{Envelope, Kind, MatterId, Nonce, Timestamp};

/// Nobody wants to hear of a request that waits after so long, whatever its own life.
const LIFE_S: i64 = 7 * 86_400;

impl Engine {
    /// Names the receivers; what waits is told to each of them.
    pub fn set_webhooks(&mut self, urls: Vec<String>) {
        self.webhooks = urls;
    }

    /// Queues what a delivery attempt came to.
    pub(crate) fn webhook(&mut self, change: WebhookChange) {
        self.batch.webhooks.push(change);
    }

    /// Queues a notification if this statement waits for people. It was just logged for the first
    /// time: what is known already is never appended again.
    pub(super) fn notify(&mut self, statement: &Envelope) {
        let Some((event, matter, expires)) = waits(statement) else { return };
        if self.webhooks.is_empty() {
            return;
        }
        let org = match self.charter() {
            Ok(c) => c.org.clone(),
            Err(_) => return,
        };
        let notification = Notification {
            kind: Kind::Notification,
            org,
            nonce: Nonce::random(),
            charter: self.charter_digest(),
            seat: self.seat,
            event,
            about: statement.digest(),
            matter,
            at: self.now,
        };
        match Envelope::sign(&notification, &[&self.keys.statement]) {
            Ok(signed) => {
                let expires = expires.min(self.now.plus_seconds(LIFE_S));
                let add = |url: &String| {
                    let (digest, body) = (signed.digest(), signed.bytes().to_vec());
                    WebhookChange::Add(WebhookNew { url: url.clone(), digest, body, expires, due: self.now })
                };
                self.batch.webhooks.extend(self.webhooks.iter().map(add));
            }
            Err(e) => tracing::error!(error = %e, "a notification could not be signed"),
        }
    }
}

/// What waits for whom, until when.
fn waits(statement: &Envelope) -> Option<(NotificationEvent, Option<MatterId>, Timestamp)> {
    match statement.kind() {
        Kind::Request => {
            let r: Request = statement.decode().ok()?;
            Some((NotificationEvent::RequestWaits, Some(r.matter), r.expires))
        }
        Kind::SelfRecovery => {
            let r: SelfRecovery = statement.decode().ok()?;
            Some((NotificationEvent::RecoveryWaits, None, r.expires))
        }
        _ => None,
    }
}
