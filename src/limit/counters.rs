use std::sync::atomic::{AtomicUsize, Ordering};

use papaya::HashMap;

use super::Level;
use super::pace::{Meter, Pace};
use super::shared::Take;
use crate::key::KeyId;

/// Counts in this process how often keys are used: a meter for each limit of each key that was used
/// lately. Only keys that opened have one, so there are no more than the service has issued.
#[derive(Debug)]
pub(super) struct Counters {
    meters: HashMap<(KeyId, &'static str), Meter, foldhash::fast::RandomState>,
    /// With so many, those that say nothing any more are removed.
    sweep_at: AtomicUsize,
}

/// A meter stays for so long after it says nothing any more, in nanoseconds: whoever has just found it
/// is not slower.
const REST: u64 = 60_000_000_000;

const FEWEST: usize = 1_024;

impl Counters {
    pub(super) fn new() -> Self {
        Self {
            meters: HashMap::with_hasher(foldhash::fast::RandomState::default()),
            sweep_at: AtomicUsize::new(FEWEST),
        }
    }

    /// How each of the limits stands after the request, which took from all of them or from none.
    /// `now` is in nanoseconds.
    pub(super) fn take<const N: usize>(&self, takes: [Take<'_>; N], now: u64) -> [Level; N] {
        let meters = self.meters.pin();
        let paces = takes.map(|take| Pace::of(take.limit));
        let found =
            takes.map(|take| meters.get_or_insert_with((*take.key_id, take.name), Meter::default));
        let mut levels = [Level::default(); N];
        for n in 0..N {
            levels[n] = found[n].take(&paces[n], takes[n].cost, now);
            if levels[n].is_over() {
                for earlier in 0..n {
                    found[earlier].give_back(&paces[earlier], takes[earlier].cost);
                }
                for other in (0..N).filter(|other| *other != n) {
                    levels[other] = found[other].look(&paces[other], takes[other].cost, now);
                }
                break;
            }
        }
        drop(meters);
        self.sweep(now);
        levels
    }

    /// Removes what says nothing any more, when there is twice as much as there was of the rest.
    fn sweep(&self, now: u64) {
        let limit = self.sweep_at.load(Ordering::Relaxed);
        if self.meters.len() < limit {
            return;
        }
        let next = limit.saturating_mul(2);
        let mine =
            self.sweep_at
                .compare_exchange(limit, next, Ordering::Relaxed, Ordering::Relaxed);
        if mine.is_ok() {
            let rested = now.saturating_sub(REST);
            let meters = self.meters.pin();
            meters.retain(|_, meter| !meter.is_spent(rested));
            self.sweep_at
                .store((meters.len() * 2).max(FEWEST), Ordering::Relaxed);
        }
    }
}
