//! The generic cell rate algorithm: all that is kept of a key's use is the moment up to which it is paid
//! for.

use std::time::Duration;

use super::Level;
use crate::record::RateLimit;

/// Time is counted in parts of a nanosecond, so that what a request costs is exact enough: a window of a
/// billion requests is rounded by less than a nanosecond in all.
pub(super) const PARTS_OF_A_NANOSECOND: u128 = 1 << 32;

/// A limit in parts of a nanosecond. Nothing here overflows, whatever the numbers of the limit are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// How long a request of cost 1 is paid for. Rounded up, so that no rate is above the limit's.
    each: u128,
    /// What rounding up has added to a window. It is forgiven, so that a whole window brings back all
    /// that was taken within it; up to what a request costs, so that no burst is larger.
    forgiven: u128,
    burst: u32,
}

/// The moment up to which a key is paid for: its theoretical arrival time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub(super) struct Meter(u128);

impl Pace {
    /// Of a limit that was checked.
    pub(super) fn of(limit: RateLimit) -> Self {
        let window = u128::from(limit.per_seconds) * 1_000_000_000 * PARTS_OF_A_NANOSECOND;
        let requests = u128::from(limit.requests.max(1));
        let each = window.div_ceil(requests).max(1);
        Self {
            each,
            forgiven: (each * requests - window).min(each - 1),
            burst: limit.burst.max(1),
        }
    }

    /// How a limit stands that is paid for so far ahead, for a request that costs `cost`.
    pub(super) fn level(&self, debt: u128, cost: u32) -> Level {
        let free = self.ahead().saturating_sub(debt);
        Level {
            retry_after: duration(
                debt.saturating_add(self.needed(cost))
                    .saturating_sub(self.ahead()),
            ),
            remaining: u32::try_from(free / self.each)
                .unwrap_or(u32::MAX)
                .min(self.burst),
            full_after: duration(debt.saturating_sub(self.forgiven)),
        }
    }

    /// How a limit stands after a request that it allowed, when it is paid for so far ahead.
    pub(super) fn level_after(&self, debt: u128) -> Level {
        Level {
            retry_after: Duration::ZERO,
            ..self.level(debt, 0)
        }
    }

    /// How far ahead of now a key may be paid for: its burst.
    pub(super) fn ahead(&self) -> u128 {
        self.each * u128::from(self.burst) + self.forgiven
    }

    /// How much of that has to be left for a request. One that costs more than the burst needs all of it.
    pub(super) fn needed(&self, cost: u32) -> u128 {
        self.price(cost.min(self.burst))
    }

    /// For how long a request is paid for.
    pub(super) fn price(&self, cost: u32) -> u128 {
        self.each * u128::from(cost)
    }
}

/// Rounded up: who waits for so long has waited for long enough.
fn duration(parts: u128) -> Duration {
    let nanos = parts.div_ceil(PARTS_OF_A_NANOSECOND);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

impl Meter {
    /// How the limit stands at `now`, in nanoseconds since any fixed moment.
    pub(super) fn look(self, pace: &Pace, cost: u32, now: u64) -> Level {
        pace.level(self.0.saturating_sub(parts(now)), cost)
    }

    /// Takes `cost`, which [`look`](Self::look) has allowed. How the limit stands after it.
    pub(super) fn pay(&mut self, pace: &Pace, cost: u32, now: u64) -> Level {
        self.0 = self.0.max(parts(now)).saturating_add(pace.price(cost));
        pace.level_after(self.0.saturating_sub(parts(now)))
    }

    /// Takes `cost` if that is allowed. How the limit stands after it.
    pub(super) fn take(&mut self, pace: &Pace, cost: u32, now: u64) -> Level {
        let level = self.look(pace, cost, now);
        match level.is_over() {
            true => level,
            false => self.pay(pace, cost, now),
        }
    }

    /// The limit is another than before: nobody waits for longer than if its burst had just been used up.
    pub(super) fn fit(&mut self, pace: &Pace, now: u64) {
        self.0 = self.0.min(parts(now).saturating_add(pace.ahead()));
    }

    /// Whether it says no more than a new one would, at `now`.
    pub(super) fn is_spent(self, now: u64) -> bool {
        self.0 <= parts(now)
    }
}

fn parts(nanos: u64) -> u128 {
    u128::from(nanos) * PARTS_OF_A_NANOSECOND
}

#[cfg(test)]
#[path = "pace_tests.rs"]
mod tests;
