//! Days and offsets in the time zone of a matter, out of a table that every build carries: the same
//! on every machine, whatever it has in /usr/share/zoneinfo.

use escrow_core::Timestamp;
use jiff::civil::Date;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use std::fmt;
use std::str::FromStr;

/// A name that is in no IANA table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no time zone; name one of the IANA table, such as Europe/Berlin or UTC")]
pub struct UnknownZone(pub String);

/// A time zone of the IANA table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    name: String,
    zone: TimeZone,
}

impl Zone {
    /// Coordinated universal time.
    #[must_use]
    pub fn utc() -> Self {
        Self { name: "UTC".into(), zone: TimeZone::UTC }
    }

    /// Its IANA name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The local day of an instant.
    #[must_use]
    pub fn day(&self, at: Timestamp) -> Date {
        self.zone.to_datetime(instant(at)).date()
    }

    /// First instant of a local day written `2026-03-01`, and first instant after it; none for other text.
    #[must_use]
    pub fn bounds(&self, day: &str) -> Option<(Timestamp, Timestamp)> {
        let day: Date = day.parse().ok().filter(|d: &Date| d.to_string() == day)?;
        Some((self.end(day.yesterday().ok()?), self.end(day)))
    }

    /// The first instant after a local day, however many hours the day has.
    #[must_use]
    pub fn end(&self, day: Date) -> Timestamp {
        let end = day.tomorrow().ok().and_then(|d| self.zone.to_timestamp(d.into()).ok());
        end.map_or(Timestamp::MAX, |end| Timestamp::from_millis(end.as_millisecond()))
    }

    /// RFC 3339 with the local offset; a fraction only where there is one.
    #[must_use]
    pub fn text(&self, at: Timestamp) -> String {
        instant(at).to_zoned_datetime(self.zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%.f%:z").to_string()
    }

    /// The same for people: date, time and offset with spaces between.
    #[must_use]
    pub fn spaced(&self, at: Timestamp) -> String {
        instant(at).to_zoned_datetime(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S %:z").to_string()
    }
}

impl FromStr for Zone {
    type Err = UnknownZone;

    fn from_str(name: &str) -> Result<Self, UnknownZone> {
        let unknown = || UnknownZone(name.to_owned());
        let zone = TimeZoneDatabase::bundled().get(name).map_err(|_| unknown())?;
        Ok(Self { name: zone.iana_name().ok_or_else(unknown)?.to_owned(), zone })
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

fn instant(at: Timestamp) -> jiff::Timestamp {
    // Years 1970 to 9999 are within what jiff represents.
    jiff::Timestamp::from_millisecond(at.millis()).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::from_rfc3339(text).unwrap()
    }

    #[test]
    fn days_end_when_the_clocks_there_say_so() {
        let berlin: Zone = "Europe/Berlin".parse().unwrap();
        let day = berlin.day(at("2026-03-28T23:30:00Z"));
        assert_eq!(day.to_string(), "2026-03-29");
        // 23 hours in spring, 25 in autumn.
        assert_eq!(berlin.end(day), at("2026-03-29T22:00:00Z"));
        let day = berlin.day(at("2026-10-24T22:00:00Z"));
        assert_eq!((day.to_string().as_str(), berlin.end(day)), ("2026-10-25", at("2026-10-25T23:00:00Z")));
        assert_eq!(berlin.bounds("2026-10-25"), Some((at("2026-10-24T22:00:00Z"), at("2026-10-25T23:00:00Z"))));
        assert!(berlin.bounds("2026-10-25T00:00:00Z").is_none());
        assert_eq!(Zone::utc().end(Zone::utc().day(at("2026-10-25T00:00:00Z"))), at("2026-10-26T00:00:00Z"));
    }

    #[test]
    fn times_bear_the_offset_of_their_moment() {
        let berlin: Zone = "Europe/Berlin".parse().unwrap();
        assert_eq!(berlin.text(at("2026-10-25T00:30:00Z")), "2026-10-25T02:30:00+02:00");
        assert_eq!(berlin.text(at("2026-10-25T01:30:00.250Z")), "2026-10-25T02:30:00.25+01:00");
        assert_eq!(Zone::utc().text(at("2026-10-25T01:30:00Z")), "2026-10-25T01:30:00+00:00");
        let kathmandu: Zone = "asia/kathmandu".parse().unwrap();
        assert_eq!(kathmandu.name(), "Asia/Kathmandu");
        assert_eq!(kathmandu.spaced(at("2026-01-01T00:00:00Z")), "2026-01-01 05:45:00 +05:45");
        assert!("Middle/Earth".parse::<Zone>().is_err());
    }
}
