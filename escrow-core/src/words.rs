//! Small checked words. A value of one of these types is always well formed.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::str::FromStr;

/// A text that is not a legal word of its type.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{what}: 1 to {max} characters of {alphabet} expected")]
pub struct WordError {
    what: &'static str,
    max: usize,
    alphabet: &'static str,
}

macro_rules! word {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal, $alphabet:literal, $ok:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// The word as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = WordError;
            fn from_str(s: &str) -> Result<Self, WordError> {
                let ok: fn(u8) -> bool = $ok;
                if s.is_empty() || s.len() > $max || !s.bytes().all(ok) {
                    return Err(WordError { what: $what, max: $max, alphabet: $alphabet });
                }
                Ok(Self(s.to_owned()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                String::deserialize(d)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

const fn lower(b: u8) -> bool {
    matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_')
}

word!(
    /// The organisation an escrow serves, e.g. `acme.example`. Part of every statement.
    Org, "org", 64, "a-z 0-9 . - _", lower
);
word!(
    /// An officer, administrator or operator of the charter. An id, not a name.
    PersonId, "person id", 64, "a-z 0-9 . - _", lower
);
word!(
    /// An office that a person of the charter can hold, e.g. `legal`.
    Role, "role", 32, "a-z 0-9 -", |b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-')
);
word!(
    /// An opaque code: a purpose, a policy id, an authority reference, a reason. Codes are
    /// logged in clear at every node, so they hold no name, number or address of a person.
    Code, "code", 128, "A-Z a-z 0-9 . - _ : / # and space",
    |b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'/' | b'#' | b' ')
);
word!(
    /// The name of a matter, e.g. `MAT-2026-0017`.
    MatterId, "matter id", 64, "A-Z a-z 0-9 . - _",
    |b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')
);

word!(
    /// The name of a time zone in the IANA database, e.g. `Europe/Berlin`. Whether there is such a
    /// zone is for whoever shows times.
    ZoneName, "time zone", 64, "A-Z a-z 0-9 / _ + -",
    |b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'+' | b'-')
);

impl ZoneName {
    /// Coordinated universal time.
    pub fn utc() -> Self {
        Self("UTC".to_owned())
    }
}

/// The index of a seat, 1 to 255: the x coordinate of its shares. Never reused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct SeatIndex(u8);

impl SeatIndex {
    /// Zero is refused: a share at x = 0 is the secret itself.
    pub const fn new(n: u8) -> Option<Self> {
        if n == 0 { None } else { Some(Self(n)) }
    }

    /// The number.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl fmt::Display for SeatIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for SeatIndex {
    type Err = WordError;
    fn from_str(s: &str) -> Result<Self, WordError> {
        s.parse().ok().and_then(Self::new).ok_or(WordError { what: "seat index", max: 3, alphabet: "1 to 255" })
    }
}

impl Serialize for SeatIndex {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u8(self.0)
    }
}

impl<'de> Deserialize<'de> for SeatIndex {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::new(u8::deserialize(d)?).ok_or_else(|| de::Error::custom("a seat index is 1 to 255"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_refuse_what_they_do_not_name() {
        assert!("acme.example".parse::<Org>().is_ok());
        for bad in ["", "Acme", "a b", "ä", "a\n", &"a".repeat(65)] {
            assert!(bad.parse::<Org>().is_err(), "{bad:?}");
        }
        assert!("legal".parse::<Role>().is_ok() && "Legal".parse::<Role>().is_err());
        assert!("Case 24-cv-123".parse::<Code>().is_ok() && "a@b".parse::<Code>().is_err());
        assert!(
            "America/Argentina/Buenos_Aires".parse::<ZoneName>().is_ok() && "Europe/.".parse::<ZoneName>().is_err()
        );
        assert!(SeatIndex::new(0).is_none());
        assert!(serde_json::from_str::<SeatIndex>("0").is_err());
        assert!(serde_json::from_str::<SeatIndex>("256").is_err());
    }
}
