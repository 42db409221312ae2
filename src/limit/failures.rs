use std::fmt;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use super::network;
use super::pace::{Meter, Pace};
use crate::clock::Now;
use crate::record::RateLimit;
use crate::waiters::lock;

/// Counts who presents what is no key, by address (IPv6: by networks of 64 bits).
///
/// The table has a fixed size. Each network has a place in one of its sets, which the process draws; where
/// a set is full, the network goes that has failed the least lately.
pub(crate) struct Failures {
    pace: Pace,
    since: Instant,
    hasher: foldhash::fast::RandomState,
    /// Made with the first failure.
    sets: OnceLock<Box<[Mutex<Set>]>>,
}

type Set = [Option<(IpAddr, Meter)>; PLACES];

const SETS: usize = 8_192;
const PLACES: usize = 8;

impl Failures {
    /// `limit` was checked.
    pub(crate) fn new(limit: RateLimit, since: Instant) -> Self {
        Self {
            pace: Pace::of(limit),
            since,
            hasher: foldhash::fast::RandomState::default(),
            sets: OnceLock::new(),
        }
    }

    /// Counts a failure from `address`. How long until another one would be allowed, if this one was not.
    pub(crate) fn count(&self, address: IpAddr, now: Now) -> Option<Duration> {
        let sets = self
            .sets
            .get_or_init(|| (0..SETS).map(|_| Mutex::default()).collect());
        let now = now.nanos_since(self.since);
        let network = network(address);
        let mut set = lock(&sets[self.set_of(network)]);
        let of_network = |place: &Option<(IpAddr, Meter)>| {
            place.as_ref().is_some_and(|(held, _)| *held == network)
        };
        let place = match set.iter().position(of_network) {
            Some(place) => place,
            None => {
                let least = (0..PLACES).min_by_key(|place| set[*place].map(|(_, meter)| meter));
                let least = least.unwrap_or_default();
                set[least] = Some((network, Meter::default()));
                least
            }
        };
        let level = set[place]
            .as_mut()
            .map(|(_, meter)| meter.take(&self.pace, 1, now))?;
        level.is_over().then_some(level.retry_after)
    }

    /// How long until `address` may fail again, if it has failed too often.
    pub(crate) fn wait(&self, address: IpAddr, now: Now) -> Option<Duration> {
        let sets = self.sets.get()?;
        let now = now.nanos_since(self.since);
        let network = network(address);
        let set = lock(&sets[self.set_of(network)]);
        let (_, meter) = set.iter().flatten().find(|(held, _)| *held == network)?;
        let level = meter.look(&self.pace, 1, now);
        level.is_over().then_some(level.retry_after)
    }

    fn set_of(&self, network: IpAddr) -> usize {
        usize::try_from(self.hasher.hash_one(network) % SETS as u64).unwrap_or_default()
    }
}

impl fmt::Debug for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failures")
            .field("pace", &self.pace)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "failures_tests.rs"]
mod tests;
