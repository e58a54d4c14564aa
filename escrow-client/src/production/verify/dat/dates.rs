//! Dates as load files write them.

use time::format_description::well_known::Rfc3339;
use time::{Date, Month, OffsetDateTime, Time};

/// The instant of a date: RFC 3339, or `YYYY-MM-DD`, `YYYYMMDD` or `MM/DD/YYYY`, each perhaps with a time of day
/// (`HH:MM` or `HH:MM:SS`, perhaps with AM or PM), which counts as UTC to compare by.
pub(super) fn parse(text: &str) -> Option<OffsetDateTime> {
    if let Ok(at) = OffsetDateTime::parse(text, &Rfc3339) {
        return Some(at);
    }
    let (date, time) = text.split_once(' ').unwrap_or((text, ""));
    let time = if time.is_empty() { Time::MIDNIGHT } else { time_of_day(time)? };
    Some(day(date)?.with_time(time).assume_utc())
}

fn day(text: &str) -> Option<Date> {
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    let (year, month, day) = match (text.len(), text.split(['-', '/']).collect::<Vec<_>>().as_slice()) {
        (10, [y, m, d]) if text.contains('-') && y.len() == 4 => (*y, *m, *d),
        (8..=10, [m, d, y]) if text.contains('/') && y.len() == 4 => (*y, *m, *d),
        (8, [all]) => (all.get(..4)?, all.get(4..6)?, all.get(6..)?),
        _ => return None,
    };
    if !digits(year) || !digits(month) || !digits(day) {
        return None;
    }
    let month = Month::try_from(month.parse::<u8>().ok()?).ok()?;
    Date::from_calendar_date(year.parse().ok()?, month, day.parse().ok()?).ok()
}

fn time_of_day(text: &str) -> Option<Time> {
    let (clock, half) = text.split_once(' ').map_or((text, None), |(clock, half)| (clock, Some(half)));
    let mut parts = clock.split(':').map(|p| if p.len() <= 2 { p.parse::<u8>().ok() } else { None });
    let (hour, minute) = (parts.next()??, parts.next()??);
    let second = parts.next().unwrap_or(Some(0))?;
    if parts.next().is_some() {
        return None;
    }
    let hour = match half.map(str::to_ascii_uppercase).as_deref() {
        None => hour,
        Some("AM") if (1..=12).contains(&hour) => hour % 12,
        Some("PM") if (1..=12).contains(&hour) => hour % 12 + 12,
        Some(_) => return None,
    };
    Time::from_hms(hour, minute, second).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_that_platforms_read_are_read() {
        for (text, at) in [
            ("2026-03-01T09:30:00.5+01:00", "2026-03-01T08:30:00.5Z"),
            ("2026-03-01", "2026-03-01T00:00:00Z"),
            ("20260301", "2026-03-01T00:00:00Z"),
            ("03/01/2026", "2026-03-01T00:00:00Z"),
            ("3/1/2026 12:05 AM", "2026-03-01T00:05:00Z"),
            ("03/01/2026 12:05:09 pm", "2026-03-01T12:05:09Z"),
            ("2026-03-01 23:59", "2026-03-01T23:59:00Z"),
        ] {
            assert_eq!(parse(text), OffsetDateTime::parse(at, &Rfc3339).ok(), "{text}");
        }
        for bad in [
            "",
            "yesterday",
            "2026-02-30",
            "13/01/2026",
            "2026-03-01T09:30:00",
            "03/01/26",
            "03/01/2026 13:00 PM",
            "2026-03-01 25:00",
            "2026-03-01 1:2:3:4",
            "+026-03-01",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
