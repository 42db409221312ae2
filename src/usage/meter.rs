use std::cell::RefCell;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use super::Ledger;
use super::tally::{Bounds, Counted, Event, Tally};
use crate::clock::{Clock, Timestamp};

thread_local! {
    /// What this thread has counted, for each gate that it serves.
    static TALLIES: RefCell<Vec<Counter>> = const { RefCell::new(Vec::new()) };
}

struct Counter {
    meter: u64,
    tally: Arc<Tally>,
    bounds: Arc<Bounds>,
}

/// Counts how keys are used. It neither waits nor writes to what threads share, but for the first count
/// of a key since its thread's table was emptied.
///
/// It does not keep its ledger, which holds what knows it. Without that, nothing is counted.
#[derive(Clone)]
pub(crate) struct Meter {
    id: u64,
    ledger: Weak<Ledger>,
    clock: Arc<dyn Clock>,
}

impl Meter {
    pub(crate) fn new(ledger: &Arc<Ledger>, clock: Arc<dyn Clock>) -> Self {
        static METERS: AtomicU64 = AtomicU64::new(0);
        Self {
            id: METERS.fetch_add(1, Ordering::Relaxed),
            ledger: Arc::downgrade(ledger),
            clock,
        }
    }

    /// For events of which nobody has looked at the clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.wall()
    }

    pub(crate) fn count(&self, event: &Event<'_>) {
        // A thread that is ending counts nothing any more.
        let counted = TALLIES.try_with(|counters| {
            let counters = counters.borrow();
            let counter = counters.iter().find(|counter| counter.meter == self.id);
            counter.map(|counter| counter.count(event)).is_some()
        });
        if counted == Ok(false) {
            self.begin(event);
        }
    }

    /// Counts the first event on this thread.
    #[cold]
    fn begin(&self, event: &Event<'_>) {
        let Some(ledger) = self.ledger.upgrade() else {
            return;
        };
        let (tally, bounds) = ledger.open_tally();
        let counter = Counter {
            meter: self.id,
            tally,
            bounds,
        };
        counter.count(event);
        // Those of gates that are gone hold nothing.
        let _ = TALLIES.try_with(|counters| {
            // It is only in use where a waker that was woken by a count counts in turn.
            if let Ok(mut counters) = counters.try_borrow_mut() {
                counters.retain(|counter| !counter.bounds.is_closed());
                counters.push(counter);
            }
        });
    }
}

impl Counter {
    fn count(&self, event: &Event<'_>) {
        if self.bounds.is_closed() {
            return;
        }
        let counted = self.tally.count(event, &self.bounds);
        if counted == Counted::AndFilling {
            self.bounds.filling.wake_all();
        }
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Meter")
    }
}
