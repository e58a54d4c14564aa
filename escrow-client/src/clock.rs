//! The one place where the client reads the clock.

use escrow_core::Timestamp;
use std::time::{SystemTime, UNIX_EPOCH};

/// The time now, whole milliseconds UTC.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
