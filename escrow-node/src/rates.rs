//! Rate limits: how much one key, or one address, may ask of this node.
//!
//! A key pays only for what it signed, and only once for each statement: its signature is verified
//! before its bucket is touched, and whoever repeats bytes that were sent before, or sends what was
//! meant for another node or another time, pays from the bucket of their own address. So nobody
//! can use up somebody else's bucket, not even with that person's own old statements. Restrictions
//! have a bucket of their own, so that no other traffic of the same key can hold a withdrawal up.

use crate::config::RateLimits;
use crate::engine::Engine;
use crate::metrics;
use escrow_core::query::Query;
use escrow_core::release::ReleaseCall;
use escrow_core::restriction::is_restriction;
use escrow_core::{Digest, Envelope, Kind, Timestamp};
use governor::clock::Clock as _;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use std::collections::HashSet;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Mutex;
use std::time::Duration;

/// Addresses remembered at a time; above that, all others share one bucket.
const ADDRESSES_MAX: usize = 10_000;
/// Statements remembered as paid for, at least; at most twice as many.
const PAID_MAX: usize = 10_000;

/// What is asked for. Each has a bucket of its own for each key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Statements,
    Restrictions,
    Deposits,
    Queries,
    Releases,
}

impl Class {
    /// The class of a statement that is submitted on its own.
    pub(crate) fn of(envelope: &Envelope) -> Self {
        if is_restriction(envelope) { Self::Restrictions } else { Self::Statements }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Statements => "statements",
            Self::Restrictions => "restrictions",
            Self::Deposits => "deposits",
            Self::Queries => "queries",
            Self::Releases => "releases",
        }
    }
}

type Keyed<K> = DefaultKeyedRateLimiter<K>;

/// The buckets. Keys are bounded by the charter and the enrolments, addresses by [`ADDRESSES_MAX`].
pub(crate) struct Rates {
    statements: Keyed<Digest>,
    restrictions: Keyed<Digest>,
    deposits: Keyed<Digest>,
    queries: Keyed<Digest>,
    releases: Keyed<Digest>,
    strangers: Keyed<IpAddr>,
    readers: Keyed<IpAddr>,
    repeats: Keyed<IpAddr>,
    paid: Mutex<Paid>,
}

/// The bucket is empty; it has room again after this long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wait(pub(crate) Duration);

impl Rates {
    pub(crate) fn new(limits: &RateLimits) -> Self {
        fn of<K: Clone + Hash + Eq>(per_minute: std::num::NonZeroU32) -> Keyed<K> {
            RateLimiter::keyed(Quota::per_minute(per_minute))
        }
        Self {
            statements: of(limits.statements_per_minute),
            restrictions: of(limits.restrictions_per_minute),
            deposits: of(limits.deposits_per_minute),
            queries: of(limits.queries_per_minute),
            releases: of(limits.releases_per_minute),
            strangers: of(limits.strangers_per_minute),
            readers: of(limits.reads_per_minute),
            repeats: of(limits.repeats_per_minute),
            paid: Mutex::default(),
        }
    }

    /// Charges whoever has to pay for a statement that came from an address.
    ///
    /// # Errors
    /// [`Wait`], if the bucket is empty.
    pub(crate) fn charge(&self, e: &Engine, statement: &Envelope, class: Class, from: IpAddr) -> Result<(), Wait> {
        let Some(key) = e.facts().known_signer(statement) else { return self.stranger(from) };
        let digest = statement.digest();
        if e.facts().seen(&digest).is_some() || self.was_paid(&digest) || !meant_for(e, statement) {
            return charge(&self.repeats, place(&self.repeats, from), "repeats", "address");
        }
        let buckets = match class {
            Class::Statements => &self.statements,
            Class::Restrictions => &self.restrictions,
            Class::Deposits => &self.deposits,
            Class::Queries => &self.queries,
            Class::Releases => &self.releases,
        };
        charge(buckets, key.digest(), class.name(), "key")?;
        if let Ok(mut paid) = self.paid.lock() {
            paid.insert(digest);
        }
        Ok(())
    }

    /// Charges an address for something that no known key signed.
    ///
    /// # Errors
    /// [`Wait`], if the bucket is empty.
    pub(crate) fn stranger(&self, from: IpAddr) -> Result<(), Wait> {
        charge(&self.strangers, place(&self.strangers, from), "strangers", "address")
    }

    /// Charges an address for reading of the log.
    ///
    /// # Errors
    /// [`Wait`], if the bucket is empty.
    pub(crate) fn reader(&self, from: IpAddr) -> Result<(), Wait> {
        charge(&self.readers, place(&self.readers, from), "readers", "address")
    }

    fn was_paid(&self, digest: &Digest) -> bool {
        self.paid.lock().is_ok_and(|p| p.contains(digest))
    }

    /// Forgets buckets that are full again.
    pub(crate) fn tidy(&self) {
        for keyed in [&self.statements, &self.restrictions, &self.deposits, &self.queries, &self.releases] {
            keyed.retain_recent();
        }
        for addressed in [&self.strangers, &self.readers, &self.repeats] {
            addressed.retain_recent();
        }
    }
}

fn charge<K: Clone + Hash + Eq>(
    buckets: &Keyed<K>,
    key: K,
    class: &'static str,
    who: &'static str,
) -> Result<(), Wait> {
    buckets.check_key(&key).map_err(|full| {
        metrics::rate_limited(class, who);
        Wait(full.wait_time_from(buckets.clock().now()))
    })
}

/// The bucket of an address: a whole /64 in IPv6, which one customer has, and one for everybody
/// while too many addresses are about.
fn place(buckets: &Keyed<IpAddr>, from: IpAddr) -> IpAddr {
    if buckets.len() >= ADDRESSES_MAX {
        return IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    }
    match from.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

/// False for a question or a call that was signed for another seat or another time: whoever
/// overheard it could send it here.
fn meant_for(e: &Engine, statement: &Envelope) -> bool {
    let skew = e.charter().map_or(0, |c| i64::try_from(c.limits.clock_skew_s).unwrap_or(0));
    let fresh = |at: Timestamp| e.now().seconds_since(at).abs() <= skew;
    match statement.kind() {
        Kind::Query => statement.decode::<Query>().is_ok_and(|q| q.seat == e.seat && fresh(q.at)),
        Kind::ReleaseCall => statement.decode::<ReleaseCall>().is_ok_and(|c| fresh(c.at)),
        _ => true,
    }
}

/// Digests of the newest statements that a key paid for, forgotten half at a time.
#[derive(Default)]
struct Paid {
    new: HashSet<Digest>,
    old: HashSet<Digest>,
}

impl Paid {
    fn contains(&self, digest: &Digest) -> bool {
        self.new.contains(digest) || self.old.contains(digest)
    }

    fn insert(&mut self, digest: Digest) {
        if self.new.len() >= PAID_MAX {
            self.old = std::mem::take(&mut self.new);
        }
        self.new.insert(digest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_network_in_ipv6_and_one_of_many_is_everybody() {
        let buckets: Keyed<IpAddr> = RateLimiter::keyed(Quota::per_minute(9.try_into().unwrap()));
        let at = |text: &str| place(&buckets, text.parse().unwrap());
        assert_eq!(at("2001:db8:1:2:3::4"), at("2001:db8:1:2::"));
        assert_ne!(at("2001:db8:1:2::"), at("2001:db8:1:3::"));
        assert_eq!(at("::ffff:192.0.2.7"), at("192.0.2.7"));
        assert_ne!(at("192.0.2.7"), at("192.0.2.8"));
        for n in 0..ADDRESSES_MAX {
            buckets.check_key(&IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(n).unwrap()))).unwrap();
        }
        assert_eq!(at("192.0.2.7"), at("2001:db8::1"));
    }

    #[test]
    fn what_was_paid_is_remembered_in_bounded_memory() {
        let mut paid = Paid::default();
        let digest = |n: usize| Digest::of(&n.to_be_bytes());
        for n in 0..5 * PAID_MAX {
            paid.insert(digest(n));
        }
        assert!(paid.contains(&digest(5 * PAID_MAX - 1)) && paid.contains(&digest(4 * PAID_MAX)));
        assert!(!paid.contains(&digest(0)));
        assert!(paid.new.len() + paid.old.len() <= 2 * PAID_MAX);
    }
}
