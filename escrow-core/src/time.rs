//! Points in time, whole milliseconds, always UTC.

use ::time::OffsetDateTime;
use ::time::macros::format_description;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::str::FromStr;

/// Milliseconds since 1970-01-01T00:00:00Z.
///
/// In JSON exactly `YYYY-MM-DDTHH:MM:SS.mmmZ` (RFC 3339, UTC, three decimals): one instant has
/// one spelling. Years 1970 to 9999.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The instant is before 1970 or after 9999, or the text is not of the one allowed form.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a time of the form 2026-11-21T09:30:00.000Z")]
pub struct NotATime;

const LAST: i64 = 253_402_300_799_999;

impl Timestamp {
    /// The first instant there is.
    pub const EPOCH: Self = Self(0);
    /// The last instant there is, used where a validity has no end.
    pub const MAX: Self = Self(LAST);

    /// From milliseconds since 1970; clamps to the representable years.
    pub fn from_millis(ms: i64) -> Self {
        Self(ms.clamp(0, LAST))
    }

    /// Milliseconds since 1970.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// This many seconds later (or earlier), clamped.
    #[must_use]
    pub fn plus_seconds(self, s: i64) -> Self {
        Self::from_millis(self.0.saturating_add(s.saturating_mul(1000)))
    }

    /// Whole seconds from `earlier` to `self`, negative when `self` is before it.
    pub const fn seconds_since(self, earlier: Self) -> i64 {
        (self.0 - earlier.0) / 1000
    }

    /// The UTC day this instant falls on.
    pub fn day(self) -> UtcDay {
        UtcDay(self.0.div_euclid(86_400_000))
    }

    /// Reads any RFC 3339 time with offset, as message archives carry them; fractions below a
    /// millisecond are cut off.
    ///
    /// # Errors
    /// [`NotATime`].
    pub fn from_rfc3339(text: &str) -> Result<Self, NotATime> {
        let t = OffsetDateTime::parse(text, &::time::format_description::well_known::Rfc3339).map_err(|_| NotATime)?;
        let ms = i64::try_from(t.unix_timestamp_nanos().div_euclid(1_000_000)).map_err(|_| NotATime)?;
        if (0..=LAST).contains(&ms) { Ok(Self(ms)) } else { Err(NotATime) }
    }
}

impl FromStr for Timestamp {
    type Err = NotATime;
    fn from_str(s: &str) -> Result<Self, NotATime> {
        let t = Self::from_rfc3339(s)?;
        if t.to_string() == s { Ok(t) } else { Err(NotATime) }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
        let t = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000).map_err(|_| fmt::Error)?;
        f.write_str(&t.format(&form).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(de::Error::custom)
    }
}

/// A UTC calendar day, counted from 1970-01-01.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct UtcDay(pub i64);

impl UtcDay {
    /// The first millisecond of the day.
    pub fn start(self) -> Timestamp {
        Timestamp::from_millis(self.0.saturating_mul(86_400_000))
    }

    /// The first millisecond of the next day: windows are half open.
    pub fn end(self) -> Timestamp {
        Timestamp::from_millis(self.0.saturating_add(1).saturating_mul(86_400_000))
    }
}

impl fmt::Display for UtcDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.start().to_string().get(..10).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_instant_one_spelling() {
        let t: Timestamp = "2026-11-21T09:30:00.120Z".parse().unwrap();
        assert_eq!(t.to_string(), "2026-11-21T09:30:00.120Z");
        for bad in [
            "2026-11-21T09:30:00Z",
            "2026-11-21T09:30:00.12Z",
            "2026-11-21T09:30:00.120+00:00",
            "2026-11-21t09:30:00.120z",
            "2026-11-21 09:30:00.120Z",
            "2026-11-21T09:30:00.1200Z",
            "1969-12-31T23:59:59.999Z",
            "2026-02-29T00:00:00.000Z",
            "",
        ] {
            assert_eq!(bad.parse::<Timestamp>(), Err(NotATime), "{bad}");
        }
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn days_are_half_open() {
        let t = Timestamp::from_rfc3339("2018-09-17T23:59:59.999Z").unwrap();
        assert_eq!(t.day().to_string(), "2018-09-17");
        assert!(t < t.day().end() && t.day().start() <= t);
        assert_eq!(Timestamp::from_rfc3339("2018-09-18T01:00:00+02:00").unwrap().day(), t.day());
    }
}
