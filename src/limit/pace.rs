//! The generic cell rate algorithm, on one number that is moved without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Level;
use crate::record::RateLimit;

/// A limit in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// How long a request of cost 1 is paid for. Rounded up, so that no rate is above the limit's.
    each: u64,
    /// How far ahead of now a key may be paid for: its burst. What rounding up has added to a window is
    /// given back here, so that a whole window brings back all that was taken within it; up to what a
    /// request costs, so that no burst is larger.
    ahead: u64,
    burst: u32,
}

/// How far ahead of now a key is paid for: its theoretical arrival time.
#[derive(Debug, Default)]
pub(super) struct Meter(AtomicU64);

impl Pace {
    /// Of a limit that was checked.
    pub(super) fn of(limit: RateLimit) -> Self {
        let window = u128::from(limit.per_seconds) * 1_000_000_000;
        let requests = u128::from(limit.requests.max(1));
        let each = window.div_ceil(requests).max(1);
        let rounded = (each * requests - window).min(each - 1);
        let ahead = each * u128::from(limit.burst) + rounded;
        Self {
            each: saturate(each),
            ahead: saturate(ahead),
            burst: limit.burst,
        }
    }

    /// How a limit stands whose meter is at `paid`, for a request that costs `cost`.
    pub(super) fn level(&self, paid: u64, cost: u32, now: u64) -> Level {
        let needed = self.each.saturating_mul(cost.min(self.burst).into());
        let debt = paid.saturating_sub(now);
        let free = self.ahead.saturating_sub(debt);
        Level {
            retry_after: Duration::from_nanos(needed.saturating_sub(free)),
            remaining: u32::try_from(free / self.each)
                .unwrap_or(u32::MAX)
                .min(self.burst),
            full_after: Duration::from_nanos(debt),
        }
    }

    fn price(&self, cost: u32) -> u64 {
        self.each.saturating_mul(cost.into())
    }
}

fn saturate(nanos: u128) -> u64 {
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

impl Meter {
    /// Takes `cost` at `now`, in nanoseconds since any fixed moment, if that is allowed. How the limit
    /// stands after it.
    pub(super) fn take(&self, pace: &Pace, cost: u32, now: u64) -> Level {
        let mut paid = self.0.load(Ordering::Relaxed);
        loop {
            let level = pace.level(paid, cost, now);
            if !level.retry_after.is_zero() {
                return level;
            }
            let next = paid.max(now).saturating_add(pace.price(cost));
            let moved =
                self.0
                    .compare_exchange_weak(paid, next, Ordering::Relaxed, Ordering::Relaxed);
            match moved {
                Ok(_) => {
                    return Level {
                        retry_after: Duration::ZERO,
                        ..pace.level(next, 0, now)
                    };
                }
                Err(moved) => paid = moved,
            }
        }
    }

    /// How the limit stands.
    pub(super) fn look(&self, pace: &Pace, cost: u32, now: u64) -> Level {
        pace.level(self.paid(), cost, now)
    }

    /// Gives back what was taken.
    pub(super) fn give_back(&self, pace: &Pace, cost: u32) {
        let price = pace.price(cost);
        // It never goes below what it was before the price was added.
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |paid| {
                Some(paid.saturating_sub(price))
            });
    }

    /// How far ahead a key is paid for.
    pub(super) fn paid(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Whether it says no more than a new one would, at `now`.
    pub(super) fn is_spent(&self, now: u64) -> bool {
        self.paid() <= now
    }
}
