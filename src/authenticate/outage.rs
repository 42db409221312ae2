//! While the store is away, keys that were verified before may go on for a while.

use std::sync::Mutex;
use std::time::Duration;

use super::attempt::Attempt;
use super::entry::Entry;
use super::uncached::Paid;
use super::{Decision, Shared, StoreErrorKind};
use crate::clock::Now;
use crate::environment::Presented;
use crate::refusal::Error;
use crate::waiters::lock;

/// So often the store is tried again while it is away.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// Whether the store is away, so that those who have a grace need not wait to be told so again.
#[derive(Default)]
pub(super) struct Outage {
    /// When the store failed last, or somebody last went to see.
    noticed: Mutex<Option<Now>>,
}

impl Outage {
    pub(super) fn begin(&self, now: Now) {
        *lock(&self.noticed) = Some(now);
    }

    pub(super) fn end(&self) {
        *lock(&self.noticed) = None;
    }

    /// Whether it lasts. Now and then it does not for one who asks: that one is to go and see.
    fn lasts(&self, now: Now) -> bool {
        let mut noticed = lock(&self.noticed);
        let Some(last) = *noticed else { return false };
        if !now.is_within(PROBE_EVERY, last) {
            *noticed = Some(now);
            return false;
        }
        true
    }
}

impl Shared {
    /// The decision, if the store is known to be away and the key was verified before.
    pub(super) async fn admit_during_outage(
        &self,
        presented: &Presented<'_>,
        attempt: Attempt<'_>,
    ) -> Option<Decision> {
        if !self.changes.has_grace() || !self.outage.lasts(Now::of(&*self.clock)) {
            return None;
        }
        self.admit_by_grace(presented, attempt, &mut None).await
    }

    /// The decision after `error`, if that is an outage, there is a grace, and the key was verified
    /// before.
    pub(super) async fn admit_despite(
        &self,
        error: &Error,
        presented: &Presented<'_>,
        attempt: Attempt<'_>,
        paid: &mut Paid,
    ) -> Option<Decision> {
        match error {
            Error::Store { source, .. } if source.kind() == StoreErrorKind::Unavailable => {
                self.outage.begin(Now::of(&*self.clock));
            }
            Error::Timeout { .. } => self.outage.begin(Now::of(&*self.clock)),
            // Others may well be answered.
            Error::Overloaded => {}
            _ => return None,
        }
        self.admit_by_grace(presented, attempt, paid).await
    }

    async fn admit_by_grace(
        &self,
        presented: &Presented<'_>,
        attempt: Attempt<'_>,
        paid: &mut Paid,
    ) -> Option<Decision> {
        let id = presented.key.id();
        let now = Now::of(&*self.clock);
        let in_grace = |entry: &Entry| self.changes.is_in_grace(id, &entry.stamp, now);
        let graced = |entry: &Entry| in_grace(entry).then(|| entry.clone());
        let entry = self.known.read(id, graced).flatten()?;
        let caller = match self.decide(presented, Some(&entry), attempt, now) {
            Ok(caller) => caller,
            // Of how it came an old record says nothing.
            Err(refused) if refused.is_for_exposure() => return Some(Err(refused)),
            // Nobody is told by an old record that a key is bad.
            Err(_) => return None,
        };
        let settled = self.settle(Ok(caller), Some(&entry), attempt, paid, |now| {
            self.changes.is_in_grace(id, &entry.stamp, now)
        });
        Some(settled.await.unwrap_or_else(Err))
    }
}
