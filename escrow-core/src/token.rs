//! Tokens: how subjects and threads appear outside the people's own machines.
//!
//! `HMAC-SHA256(organisation's token key, label || id)`, the key versioned. The key is given to
//! enrolled clients and officers' machines, never to nodes; whoever has it and a node's data can
//! test guesses about who is who (said openly in `docs/threat-model.md`).

use crate::label::{Labelled, labels};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::Sha256;
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

/// A subject or a thread, unreadable without the token key. In JSON `v<key version>:<64 hex>`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token {
    /// Version of the token key that made it.
    pub version: u32,
    /// The HMAC value.
    pub mac: [u8; 32],
}

impl Token {
    /// Sorts before every other token.
    pub const MIN: Self = Self { version: 0, mac: [0; 32] };
}

/// A text that is not a token.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a token: v<version>:<64 lower-case hex digits> expected")]
pub struct NotAToken;

impl FromStr for Token {
    type Err = NotAToken;
    fn from_str(s: &str) -> Result<Self, NotAToken> {
        let (version, mac) = s.strip_prefix('v').and_then(|r| r.split_once(':')).ok_or(NotAToken)?;
        let n: u32 = version.parse().map_err(|_| NotAToken)?;
        let mac: crate::Digest = mac.parse().map_err(|_| NotAToken)?;
        if n == 0 || n.to_string() != version {
            return Err(NotAToken);
        }
        Ok(Self { version: n, mac: mac.0 })
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}:{}", self.version, hex::encode(self.mac))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for Token {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(de::Error::custom)
    }
}

/// The organisation's token key, one version of it. Secret; wiped on drop, never printed.
pub struct TokenKey {
    version: u32,
    key: Zeroizing<[u8; 32]>,
}

impl TokenKey {
    /// A fresh key under the given version (1 or more).
    pub fn generate(version: u32) -> Self {
        Self { version: version.max(1), key: Zeroizing::new(crate::random::bytes()) }
    }

    /// From the 32 bytes of a key file.
    pub fn from_bytes(version: u32, key: Zeroizing<[u8; 32]>) -> Self {
        Self { version: version.max(1), key }
    }

    /// Version of the key.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The raw key, for the key file.
    pub fn expose(&self) -> &[u8; 32] {
        &self.key
    }

    /// The token of a subject, by the id the messenger knows (number, account id).
    pub fn subject(&self, id: &str) -> Token {
        self.token(labels::SUBJECT_TOKEN, id)
    }

    /// The token of a thread, by the messenger's group or conversation id.
    pub fn thread(&self, id: &str) -> Token {
        self.token(labels::THREAD_TOKEN, id)
    }

    fn token(&self, label: &str, id: &str) -> Token {
        let input = Labelled::new(label).bytes(id.as_bytes()).finish();
        // HMAC takes a key of any length, so this cannot fail (RFC 2104 section 2).
        let mac = Hmac::<Sha256>::new_from_slice(self.key.as_slice())
            .map(|m| m.chain_update(&input).finalize().into_bytes().into())
            .unwrap_or([0; 32]);
        Token { version: self.version, mac }
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenKey(v{}, redacted)", self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_versions_do_not_meet() {
        let key = TokenKey::generate(1);
        let next = TokenKey::from_bytes(2, Zeroizing::new(*key.expose()));
        assert_ne!(key.subject("a"), key.thread("a"));
        assert_ne!(key.subject("a"), next.subject("a"));
        assert_eq!(key.subject("a").to_string().parse(), Ok(key.subject("a")));
        assert_eq!(format!("{key:?}"), "TokenKey(v1, redacted)");
        for bad in ["v01:", "v0:0000000000000000000000000000000000000000000000000000000000000000", "x", ""] {
            assert_eq!(bad.parse::<Token>(), Err(NotAToken));
        }
    }
}
