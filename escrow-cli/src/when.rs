//! Times as people write them: `2026-03-01`, RFC 3339, and spans like `72h` or `30d`. Days are those of
//! a time zone, by the rules of the IANA database inside this program: the machine's own decide nothing.

use crate::failure::Failure;
use escrow_client::Zone;
use escrow_core::{Timestamp, UtcDay};
use jiff::civil::{Date, DateTime};

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

/// The first instant covered: a day counts from its beginning in a zone.
///
/// # Errors
/// Usage.
pub fn from_in(text: &str, zone: &Zone) -> Result<Timestamp, Failure> {
    match date(text) {
        Some(date) => zone.start(date).ok_or_else(|| no_time(text)),
        None => instant_in(text, zone),
    }
}

/// The first instant after what is covered: a day counts to its end in a zone, be it 23 or 25 hours
/// long; an instant is excluded.
///
/// # Errors
/// Usage.
pub fn to_in(text: &str, zone: &Zone) -> Result<Timestamp, Failure> {
    match date(text) {
        Some(date) => date.tomorrow().ok().and_then(|d| zone.start(d)).ok_or_else(|| no_time(text)),
        None => instant_in(text, zone),
    }
}

/// RFC 3339, or the clock of a zone without an offset.
fn instant_in(text: &str, zone: &Zone) -> Result<Timestamp, Failure> {
    let local = matches!(text.len(), 16 | 19).then(|| text.parse::<DateTime>().ok()).flatten();
    let Some(local) = local else { return instant(text) };
    let unclear = |_| {
        Failure::usage(format!("{text} is twice or never on the clock of {zone}"))
            .next(format!("say which instant is meant by its offset, like {text}+01:00"))
    };
    let found = zone.rules().to_ambiguous_timestamp(local).unambiguous().map_err(unclear)?.as_millisecond();
    if found < 0 { Err(no_time(text)) } else { Ok(Timestamp::from_millis(found)) }
}

fn date(text: &str) -> Option<Date> {
    (text.len() == 10).then(|| text.parse().ok()).flatten()
}

fn no_time(text: &str) -> Failure {
    Failure::usage(format!("{text:?} is no day (2026-03-01) and no instant (2026-03-01T09:30:00Z)"))
}

fn instant(text: &str) -> Result<Timestamp, Failure> {
    Timestamp::from_rfc3339(text).map_err(|_| no_time(text))
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

    /// What a day covers in a zone: first instant, first instant after, and hours.
    fn day_in(zone: &str, text: &str) -> (String, String, f64) {
        let zone: Zone = zone.parse().unwrap();
        let (from, to) = (from_in(text, &zone).unwrap(), to_in(text, &zone).unwrap());
        let hours = (to.millis() - from.millis()) as f64 / 3_600_000.0;
        (zone.text(from), zone.text(to), hours)
    }

    #[test]
    fn a_day_is_as_long_as_its_zone_makes_it() {
        for (zone, day, from, to, hours) in [
            ("Europe/Berlin", "2026-03-01", "2026-03-01T00:00:00+01:00", "2026-03-02T00:00:00+01:00", 24.0),
            ("Europe/Berlin", "2026-03-29", "2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00", 23.0),
            ("Europe/Berlin", "2026-10-25", "2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00", 25.0),
            ("america/new_york", "2026-11-01", "2026-11-01T00:00:00-04:00", "2026-11-02T00:00:00-05:00", 25.0),
            ("Asia/Kolkata", "2026-05-02", "2026-05-02T00:00:00+05:30", "2026-05-03T00:00:00+05:30", 24.0),
            ("Asia/Kathmandu", "2026-05-02", "2026-05-02T00:00:00+05:45", "2026-05-03T00:00:00+05:45", 24.0),
            ("Australia/Lord_Howe", "2026-04-05", "2026-04-05T00:00:00+11:00", "2026-04-06T00:00:00+10:30", 24.5),
            // No midnight: the clock goes from 24:00 to 01:00. Two midnights: it goes back at 01:00.
            ("America/Sao_Paulo", "2018-11-04", "2018-11-04T01:00:00-02:00", "2018-11-05T00:00:00-02:00", 23.0),
            ("America/Havana", "2024-11-03", "2024-11-03T00:00:00-04:00", "2024-11-04T00:00:00-05:00", 25.0),
            ("UTC", "2026-03-29", "2026-03-29T00:00:00+00:00", "2026-03-30T00:00:00+00:00", 24.0),
        ] {
            assert_eq!(day_in(zone, day), (from.to_owned(), to.to_owned(), hours), "{zone} {day}");
        }
        let (from, to, hours) = day_in("Pacific/Apia", "2011-12-30");
        assert!(from == to && hours == 0.0, "a day that Samoa left out: {from} {to}");
    }

    #[test]
    fn clocks_are_read_in_their_zone_and_never_guessed() {
        let berlin = "Europe/Berlin".parse::<Zone>().unwrap();
        let read = |text: &str| from_in(text, &berlin).map(|t| t.to_string());
        assert_eq!(read("2026-05-02T09:30").unwrap(), "2026-05-02T07:30:00.000Z");
        assert_eq!(read("2026-05-02T09:30:00Z").unwrap(), "2026-05-02T09:30:00.000Z", "an offset wins");
        for (text, why) in [("2026-10-25T02:30", "twice or never"), ("2026-03-29T02:30:00", "twice or never")] {
            let e = to_in(text, &berlin).unwrap_err();
            assert!(e.reason.contains(why) && e.next.unwrap().contains("offset"), "{text}: {}", e.reason);
        }
        for bad in ["", "2026-13-01", "2026-02-30", "1969-12-30", "1960-01-01T00:00", "9999-12-31", "yesterday"] {
            assert!(from_in(bad, &berlin).is_err() && to_in(bad, &berlin).is_err(), "{bad}");
        }
        assert_eq!(berlin.name().as_str(), "Europe/Berlin");
        assert_eq!("europe/BERLIN".parse::<Zone>().unwrap().name(), berlin.name(), "one zone, one name");
        for bad in ["Berlin", "", "+01:00", "Europe/../etc/passwd", "CET-1CEST"] {
            assert!(bad.parse::<Zone>().is_err(), "{bad}");
        }
        assert_eq!(berlin.day(Timestamp::from_rfc3339("2026-05-01T22:00:00Z").unwrap()).to_string(), "2026-05-02");
        assert_eq!(berlin.text(Timestamp::MAX), Timestamp::MAX.to_string());
    }

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
