use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use papaya::HashMap;

use super::Level;
use super::pace::{Meter, Pace};
use super::shared::Take;
use crate::key::KeyId;
use crate::waiters::lock;

/// Counts in this process how often keys are used. Only keys that opened are in it, and only those that
/// were used lately, so there are no more than the service has issued.
#[derive(Debug)]
pub(super) struct Counters {
    keys: HashMap<KeyId, Mutex<Meters>, foldhash::fast::RandomState>,
    /// With so many, those that say nothing any more are removed.
    sweep_at: AtomicUsize,
}

/// A meter for each limit of a key, under one lock: a request takes from all that it has to do with, or
/// from none, in one step.
#[derive(Default, Debug)]
struct Meters {
    of_limits: Vec<Held>,
    /// It was given up. What were taken here would be taken from nothing.
    is_gone: bool,
}

#[derive(Debug)]
struct Held {
    name: &'static str,
    meter: Meter,
    /// How far ahead of now the limit let it run that it was last used for.
    room: u128,
}

/// Meters stay for so long after they say nothing any more, in nanoseconds, since requests have each read
/// the clock a little earlier.
const REST: u64 = 60_000_000_000;

const FEWEST: usize = 1_024;

impl Counters {
    pub(super) fn new() -> Self {
        Self {
            keys: HashMap::with_hasher(foldhash::fast::RandomState::default()),
            sweep_at: AtomicUsize::new(FEWEST),
        }
    }

    /// How each of the limits of a key stands after a request, which took from all of them or from none.
    /// `now` is in nanoseconds.
    pub(super) fn take<const N: usize>(
        &self,
        key_id: &KeyId,
        takes: [Take<'_>; N],
        now: u64,
    ) -> [Level; N] {
        let keys = self.keys.pin();
        let levels = loop {
            let meters = keys.get_or_insert_with(*key_id, Mutex::default);
            if let Some(levels) = lock(meters).take(&takes, now) {
                break levels;
            }
            // It was given up a moment ago, and may still be in the table.
            let _ = keys.remove_if(key_id, |_, meters| lock(meters).is_gone);
        };
        drop(keys);
        self.sweep(now);
        levels
    }

    /// Removes what says nothing any more, when there is twice as much as there was of the rest.
    fn sweep(&self, now: u64) {
        let limit = self.sweep_at.load(Ordering::Relaxed);
        if self.keys.len() < limit {
            return;
        }
        let next = limit.saturating_mul(2);
        let mine =
            self.sweep_at
                .compare_exchange(limit, next, Ordering::Relaxed, Ordering::Relaxed);
        if mine.is_ok() {
            let rested = now.saturating_sub(REST);
            let keys = self.keys.pin();
            keys.retain(|_, meters| !lock(meters).give_up(rested));
            self.sweep_at
                .store((keys.len() * 2).max(FEWEST), Ordering::Relaxed);
        }
    }
}

impl Meters {
    /// `None`: it was given up.
    fn take<const N: usize>(&mut self, takes: &[Take<'_>; N], now: u64) -> Option<[Level; N]> {
        if self.is_gone {
            return None;
        }
        let paces = takes.map(|take| Pace::of(take.limit));
        let mut levels = [Level::default(); N];
        for n in 0..N {
            let meter = self.meter(takes[n].name, &paces[n], now);
            levels[n] = meter.look(&paces[n], takes[n].cost, now);
        }
        if !levels.iter().any(Level::is_over) {
            for n in 0..N {
                let meter = self.meter(takes[n].name, &paces[n], now);
                levels[n] = meter.pay(&paces[n], takes[n].cost, now);
            }
        }
        Some(levels)
    }

    fn meter(&mut self, name: &'static str, pace: &Pace, now: u64) -> &mut Meter {
        let room = pace.ahead();
        let known = self.of_limits.iter().position(|held| held.name == name);
        let place = known.unwrap_or_else(|| {
            let meter = Meter::default();
            self.of_limits.push(Held { name, meter, room });
            self.of_limits.len() - 1
        });
        let held = &mut self.of_limits[place];
        if held.room != room {
            held.meter.fit(pace, now);
            held.room = room;
        }
        &mut held.meter
    }

    /// Whether it says no more than a new one would, and is not to be used again.
    fn give_up(&mut self, now: u64) -> bool {
        self.is_gone = self.of_limits.iter().all(|held| held.meter.is_spent(now));
        self.is_gone
    }
}

#[cfg(test)]
#[path = "counters_tests.rs"]
mod tests;
