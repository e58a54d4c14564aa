//! The strict JSON profile: what every statement, deal and log body must satisfy before it is decoded.
//!
//! UTF-8 (RFC 8259), no duplicate members, no floats or exponents, integers within
//! +-(2^53-1), nesting at most 16, nothing after the value. Unknown members are refused by the
//! types themselves (`deny_unknown_fields`).

use crate::limits::{JSON_DEPTH, JSON_INT_MAX};
use serde::Serialize;
use serde::de::{self, DeserializeOwned, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use std::collections::HashSet;
use std::fmt;

/// Why a text is outside the profile.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum StrictError {
    /// Longer than its kind allows.
    #[error("too long: {size} bytes, at most {max}")]
    TooLong {
        /// Bytes received.
        size: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// Not within the profile or not of the expected shape; the text says what and where.
    #[error("{0}")]
    Profile(String),
}

/// Decodes `bytes` as `T` under the strict profile.
///
/// One value has one spelling but for whitespace, escapes and the order of members: serde also
/// reads an object from a positional array and a bare word from `{"word": null}`, so the value is
/// encoded again and compared.
///
/// # Errors
/// [`StrictError`] names the rule that was broken.
pub fn decode<T: Serialize + DeserializeOwned>(bytes: &[u8], max: usize) -> Result<T, StrictError> {
    let profile = |e: serde_json::Error| StrictError::Profile(e.to_string());
    check(bytes, max)?;
    let value: T = serde_json::from_slice(bytes).map_err(profile)?;
    let given: serde_json::Value = serde_json::from_slice(bytes).map_err(profile)?;
    if serde_json::to_value(&value).map_err(profile)? != given {
        return Err(StrictError::Profile("not the one spelling of this value".to_owned()));
    }
    Ok(value)
}

/// Checks the profile alone.
///
/// # Errors
/// [`StrictError`] names the rule that was broken.
pub fn check(bytes: &[u8], max: usize) -> Result<(), StrictError> {
    if bytes.len() > max {
        return Err(StrictError::TooLong { size: bytes.len(), max });
    }
    let mut d = serde_json::Deserializer::from_slice(bytes);
    Profile { depth: 0 }.deserialize(&mut d).and_then(|()| d.end()).map_err(|e| StrictError::Profile(e.to_string()))
}

#[derive(Clone, Copy)]
struct Profile {
    depth: usize,
}

impl Profile {
    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        let depth = self.depth + 1;
        if depth > JSON_DEPTH { Err(E::custom("nested too deep")) } else { Ok(Self { depth }) }
    }
}

impl<'de> DeserializeSeed<'de> for Profile {
    type Value = ();
    fn deserialize<D: de::Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Profile {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON within the strict profile")
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E: de::Error>(self, n: i64) -> Result<(), E> {
        if n.unsigned_abs() > JSON_INT_MAX as u64 { Err(E::custom("integer out of range")) } else { Ok(()) }
    }
    fn visit_u64<E: de::Error>(self, n: u64) -> Result<(), E> {
        if n > JSON_INT_MAX as u64 { Err(E::custom("integer out of range")) } else { Ok(()) }
    }
    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        Err(E::custom("floating-point number"))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while seq.next_element_seed(inner)?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            map.next_value_seed(inner)?;
            if let Some(twice) = seen.replace(key) {
                return Err(de::Error::custom(format!("member {twice:?} appears twice")));
            }
        }
        Ok(())
    }
}

/// For `Option` members of statements: the member must be there, `null` when empty.
///
/// Used as `#[serde(deserialize_with = "strict::nullable")]`, which also stops serde from
/// taking a missing member for `null`.
pub(crate) fn nullable<'de, D, T>(d: D) -> Result<Option<T>, D::Error>
where
    D: de::Deserializer<'de>,
    T: de::Deserialize<'de>,
{
    de::Deserialize::deserialize(d)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        match check(text.as_bytes(), 1000) {
            Err(e) => e.to_string(),
            Ok(()) => panic!("accepted {text}"),
        }
    }

    #[test]
    fn the_profile_refuses_each_thing_it_names() {
        assert!(refused(r#"{"a":1,"a":2}"#).contains("twice"));
        assert!(refused(r#"{"x":{"a":1,"\u0061":2}}"#).contains("twice"));
        for float in ["1.0", "1e3", "-0.5", "1E0", "-0"] {
            assert!(refused(float).contains("floating"), "{float}");
        }
        assert!(refused("9007199254740992").contains("range"));
        assert!(refused("-9007199254740992").contains("range"));
        assert!(refused("-9223372036854775808").contains("range"));
        assert!(refused("18446744073709551616").contains("floating"));
        assert!(refused(&format!("{}1{}", "[".repeat(17), "]".repeat(17))).contains("deep"));
        assert!(refused("1 2").contains("trailing"));
        assert!(refused("\u{feff}1").contains("expected"));
        assert!(check(b"\"\xff\"", 100).is_err());
        assert!(matches!(check(b"[1,2]", 4), Err(StrictError::TooLong { size: 5, max: 4 })));
    }

    #[test]
    fn the_profile_accepts_its_edges() {
        assert_eq!(check(b"[9007199254740991,-9007199254740991,null,true,\"\\u00e9\"]", 100), Ok(()));
        assert_eq!(check(format!("{}1{}", "[".repeat(16), "]".repeat(16)).as_bytes(), 100), Ok(()));
    }
}
