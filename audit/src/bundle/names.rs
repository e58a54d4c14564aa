//! What log entries name, for whoever packs it and for whoever checks that it is all there.

use escrow_core::Digest;
use serde_json::Value;

/// What one entry names beside the statement it records.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// Permits and answers, by payload digest.
    pub(crate) statements: Vec<Digest>,
    /// The cosigned note of a delivery, or two notes that contradict each other.
    pub(crate) notes: Vec<Digest>,
}

impl Names {
    /// Reads the body of an entry of that type, whatever else is wrong with it: what an entry names is there for
    /// its sake, and what to think of the entry is said elsewhere.
    pub(crate) fn of(kind: &str, body: &[u8]) -> Self {
        if !kind.starts_with("release.") && kind != "misbehaviour" {
            return Self::default();
        }
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let digest = |v: &Value| v.as_str()?.parse().ok();
        let list = |name: &str| body.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(digest);
        Self {
            statements: list("permits").chain(list("answers")).collect(),
            notes: ["note", "first", "second"].into_iter().filter_map(|name| digest(body.get(name)?)).collect(),
        }
    }
}
