//! Times as people write them: `2026-03-01`, RFC 3339, and spans like `72h` or `30d`.

use crate::failure::Failure;
use escrow_core::{Timestamp, UtcDay};

fn day(text: &str) -> Option<UtcDay> {
    (text.len() == 10).then(|| Timestamp::from_rfc3339(&format!("{text}T00:00:00Z")).ok()).flatten().map(Timestamp::day)
}

/// The first instant covered: a day counts from its beginning (UTC).
///
/// # Errors
/// Usage.
pub fn from(text: &str) -> Result<Timestamp, Failure> {
    match day(text) {
        Some(day) => Ok(day.start()),
        None => instant(text),
    }
}

/// The first instant after what is covered: a day counts to its end (UTC), an instant is excluded.
///
/// # Errors
/// Usage.
pub fn to(text: &str) -> Result<Timestamp, Failure> {
    match day(text) {
        Some(day) => Ok(day.end()),
        None => instant(text),
    }
}

fn instant(text: &str) -> Result<Timestamp, Failure> {
    Timestamp::from_rfc3339(text)
        .map_err(|_| Failure::usage(format!("{text:?} is no day (2026-03-01) and no instant (2026-03-01T09:30:00Z)")))
}

/// Seconds of a span: `90s`, `15m`, `72h`, `30d`.
///
/// # Errors
/// Usage.
pub fn span(text: &str) -> Result<i64, Failure> {
    let bad = || Failure::usage(format!("{text:?} is no span of time like 72h or 30d"));
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(bad)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(bad()),
    };
    let number: i64 = number.parse().map_err(|_| bad())?;
    if number < 1 { Err(bad()) } else { number.checked_mul(unit).ok_or_else(bad) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_include_their_end() {
        assert_eq!(from("2018-05-05").unwrap().to_string(), "2018-05-05T00:00:00.000Z");
        assert_eq!(to("2018-05-05").unwrap().to_string(), "2018-05-06T00:00:00.000Z");
        assert_eq!(to("2018-05-05T10:00:00+02:00").unwrap().to_string(), "2018-05-05T08:00:00.000Z");
        assert_eq!(span("72h").unwrap(), 259_200);
        for bad in ["", "h", "-1h", "0d", "72", "1.5h", "9223372036854775807d"] {
            assert!(span(bad).is_err(), "{bad}");
        }
        for bad in ["", "yesterday", "2018-13-01", "2018-5-5"] {
            assert!(from(bad).is_err() && to(bad).is_err(), "{bad}");
        }
    }
}
