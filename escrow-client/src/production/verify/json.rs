//! JSON as it stands in the file: `serde_json::Value` would forget that a member stands twice.

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use std::cell::Cell;
use std::fmt;

/// A JSON value.
#[derive(Debug, PartialEq)]
pub(super) enum Json {
    Null,
    Flag(bool),
    /// A whole number from 0 on.
    Whole(u64),
    /// Any other number.
    Number,
    Text(String),
    List(Vec<Json>),
    /// Members in their order, one that stands twice included.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// The first member of that name.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.iter().find(|(n, _)| n == name).map(|(_, v)| v),
            _ => None,
        }
    }

    /// The text of a member.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(Self::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The values of a member that is a list; none if it is something else.
    pub(super) fn list(&self, name: &str) -> &[Self] {
        match self.get(name) {
            Some(Self::List(list)) => list,
            _ => &[],
        }
    }

    /// The texts in a member that is a list.
    pub(super) fn texts(&self, name: &str) -> impl Iterator<Item = &str> {
        self.list(name).iter().filter_map(|v| if let Self::Text(text) = v { Some(text.as_str()) } else { None })
    }

    /// What it is, in the schema's words.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Flag(_) => "a boolean",
            Self::Whole(_) | Self::Number => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

/// Why a text is not read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Bad {
    /// More values than the bound: two bytes of text are one value of many bytes in memory.
    TooMany,
    /// Not JSON from this line and column on, both from 1.
    Malformed(usize, usize),
}

/// Reads a text of at most so many values.
pub(super) fn read(text: &str, values: usize) -> Result<Json, Bad> {
    let left = Cell::new(values);
    let mut input = serde_json::Deserializer::from_str(text);
    // Without the parser's own words, which may repeat what people wrote.
    let bad = |e: serde_json::Error| match left.get() {
        0 => Bad::TooMany,
        _ => Bad::Malformed(e.line(), e.column()),
    };
    let json = Reader(&left).deserialize(&mut input).map_err(bad)?;
    input.end().map_err(bad)?;
    Ok(json)
}

/// How many values may still be read.
#[derive(Clone, Copy)]
struct Reader<'a>(&'a Cell<usize>);

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Json, D::Error> {
        self.0.set(self.0.get().saturating_sub(1));
        match self.0.get() {
            0 => Err(de::Error::custom("too many values")),
            _ => d.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, v: bool) -> Result<Json, E> {
        Ok(Json::Flag(v))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Json, E> {
        Ok(Json::Whole(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Json, E> {
        Ok(u64::try_from(v).map_or(Json::Number, Json::Whole))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
        Ok(Json::Number)
    }

    fn visit_str<E>(self, v: &str) -> Result<Json, E> {
        Ok(Json::Text(v.to_owned()))
    }

    fn visit_string<E>(self, v: String) -> Result<Json, E> {
        Ok(Json::Text(v))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(v) = seq.next_element_seed(self)? {
            list.push(v);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut members = Vec::new();
        while let Some(name) = map.next_key()? {
            members.push((name, map.next_value_seed(self)?));
        }
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_kept_as_they_stand() {
        let json = read(r#" {"a":[1,-1,1.0,null,true],"b":{"a":"\u0061"},"a":2} "#, 100).unwrap();
        let list = vec![Json::Whole(1), Json::Number, Json::Number, Json::Null, Json::Flag(true)];
        let inner = Json::Object(vec![("a".into(), Json::Text("a".into()))]);
        let members = [("a", Json::List(list)), ("b", inner), ("a", Json::Whole(2))];
        assert_eq!(json, Json::Object(members.map(|(name, v)| (name.to_owned(), v)).into()));
    }

    #[test]
    fn values_are_counted_before_there_is_room_for_them() {
        let text = format!("[{}0]", "0,".repeat(8));
        assert_eq!(read(&text, 10), Err(Bad::TooMany));
        assert!(matches!(read(&text, 11), Ok(Json::List(l)) if l.len() == 9));
    }

    #[test]
    fn what_is_no_json_says_where() {
        for (text, place) in [("{\n\"a\":,}", (2, 5)), ("{} {}", (1, 4)), ("", (1, 0))] {
            assert_eq!(read(text, 100), Err(Bad::Malformed(place.0, place.1)), "{text}");
        }
        assert!(matches!(read(&"[".repeat(1_000), 10_000), Err(Bad::Malformed(1, _))));
    }
}
