use std::sync::{Arc, Mutex, Weak};

use super::Changes;
use super::status::FeedHealth;
use crate::clock::Clock;
use crate::key::KeyId;
use crate::store::{Beat, ChangeListener};
use crate::waiters::lock;

/// Listens to a change feed, from when it was connected until it breaks.
///
/// It keeps nothing alive: when nobody needs to know of changes any more, it tells nobody.
pub(crate) struct Listener {
    changes: Weak<Changes>,
    clock: Arc<dyn Clock>,
    health: Arc<FeedHealth>,
    /// Whether a heartbeat has come through since the feed was connected.
    is_live: Mutex<bool>,
}

impl Listener {
    pub(crate) fn new(
        changes: Weak<Changes>,
        clock: Arc<dyn Clock>,
        health: Arc<FeedHealth>,
    ) -> Self {
        Self {
            changes,
            clock,
            health,
            is_live: Mutex::new(false),
        }
    }
}

impl ChangeListener for Listener {
    fn changed(&self, id: &KeyId) {
        if let Some(changes) = self.changes.upgrade() {
            changes.invalidate(id);
        }
    }

    fn all_changed(&self) {
        if let Some(changes) = self.changes.upgrade() {
            changes.invalidate_all();
        }
    }

    fn beat(&self) -> Beat {
        Beat::begin(&*self.clock)
    }

    /// What was read before the feed was heard of for the first time may have been changed unheard,
    /// so its use ends before the lease begins.
    fn alive(&self, beat: Beat) {
        let mut is_live = lock(&self.is_live);
        if let Some(changes) = self.changes.upgrade() {
            if !*is_live {
                changes.invalidate_all();
            }
            changes.lease.set(beat.begun());
        }
        if !*is_live {
            *is_live = true;
            self.health.came_alive();
        }
        self.health.beat(self.clock.wall());
    }
}
