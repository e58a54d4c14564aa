//! Days and offsets in the time zone of a matter, out of a table that every build carries: the same
//! on every machine, whatever it has in /usr/share/zoneinfo.

use escrow_core::request::Request;
use escrow_core::{Timestamp, ZoneName};
use jiff::civil::Date;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use std::fmt;
use std::str::FromStr;

/// A name that is in no IANA table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no time zone of the IANA database")]
pub struct UnknownZone(pub String);

/// A time zone of the IANA database, e.g. `Europe/Berlin`; read in whatever case it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    name: ZoneName,
    rules: TimeZone,
}

impl Zone {
    /// Coordinated universal time.
    #[must_use]
    pub fn utc() -> Self {
        Self { name: ZoneName::utc(), rules: TimeZone::UTC }
    }

    /// That in which a request was meant. UTC if this program knows no such zone: the instants are the same.
    #[must_use]
    pub fn of(request: &Request) -> Self {
        let named = request.selection.as_ref().and_then(|s| s.zone.as_str().parse().ok());
        named.unwrap_or_else(Self::utc)
    }

    /// Its name in the database.
    #[must_use]
    pub const fn name(&self) -> &ZoneName {
        &self.name
    }

    /// Its rules.
    #[must_use]
    pub const fn rules(&self) -> &TimeZone {
        &self.rules
    }

    /// The local day of an instant.
    #[must_use]
    pub fn day(&self, at: Timestamp) -> Date {
        instant(at).map_or(Date::MAX, |t| self.rules.to_datetime(t).date())
    }

    /// The first instant of a local day: where midnight is skipped the first hour that there is, of two
    /// midnights the first. None before 1970.
    #[must_use]
    pub fn start(&self, day: Date) -> Option<Timestamp> {
        let start = day.to_zoned_datetime(self.rules.clone()).ok()?.timestamp().as_millisecond();
        (start >= 0).then(|| Timestamp::from_millis(start))
    }

    /// The first instant after a local day, however many hours the day has.
    #[must_use]
    pub fn end(&self, day: Date) -> Timestamp {
        day.tomorrow().ok().and_then(|d| self.start(d)).unwrap_or(Timestamp::MAX)
    }

    /// RFC 3339 with the local offset; a fraction only where there is one.
    #[must_use]
    pub fn text(&self, at: Timestamp) -> String {
        let known = instant(at);
        known.map_or_else(|| at.to_string(), |t| t.display_with_offset(self.rules.to_offset(t)).to_string())
    }

    /// The same for people: date, time and offset with spaces between.
    #[must_use]
    pub fn spaced(&self, at: Timestamp) -> String {
        let known = instant(at).map(|t| t.to_zoned_datetime(self.rules.clone()));
        known.map_or_else(|| at.to_string(), |t| t.strftime("%Y-%m-%d %H:%M:%S %:z").to_string())
    }
}

impl FromStr for Zone {
    type Err = UnknownZone;

    fn from_str(name: &str) -> Result<Self, UnknownZone> {
        let unknown = || UnknownZone(name.to_owned());
        let rules = TimeZoneDatabase::bundled().get(name).map_err(|_| unknown())?;
        let name = rules.iana_name().unwrap_or(name).parse().map_err(|_| unknown())?;
        Ok(Self { name, rules })
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name.as_str())
    }
}

/// None in the last day of the year 9999, which has no local time everywhere.
fn instant(at: Timestamp) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_millisecond(at.millis()).ok()
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
        assert_eq!(berlin.start(day), Some(at("2026-10-24T22:00:00Z")));
        assert_eq!(Zone::utc().end(Zone::utc().day(at("2026-10-25T00:00:00Z"))), at("2026-10-26T00:00:00Z"));
    }

    #[test]
    fn times_bear_the_offset_of_their_moment() {
        let berlin: Zone = "Europe/Berlin".parse().unwrap();
        assert_eq!(berlin.text(at("2026-10-25T00:30:00Z")), "2026-10-25T02:30:00+02:00");
        assert_eq!(berlin.text(at("2026-10-25T01:30:00.250Z")), "2026-10-25T02:30:00.25+01:00");
        assert_eq!(Zone::utc().text(at("2026-10-25T01:30:00Z")), "2026-10-25T01:30:00+00:00");
        let kathmandu: Zone = "asia/kathmandu".parse().unwrap();
        assert_eq!(kathmandu.to_string(), "Asia/Kathmandu");
        assert_eq!(kathmandu.text(Timestamp::MAX), Timestamp::MAX.to_string());
        assert_eq!(kathmandu.spaced(at("2026-01-01T00:00:00Z")), "2026-01-01 05:45:00 +05:45");
        assert!("Middle/Earth".parse::<Zone>().is_err());
    }
}
