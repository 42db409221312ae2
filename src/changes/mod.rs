//! What was changed since, and how old a record may be that is still used: the one thing that the
//! authenticator and the manager share.

mod listener;
mod status;
mod stop;

pub(crate) use listener::Listener;
pub use status::ChangeFeedStatus;
pub(crate) use status::FeedHealth;
pub(crate) use stop::Stop;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::{Clock, LatestMoment, Now};
use crate::key::KeyId;
use crate::waiters::Waiters;

/// Without a change feed no record is used this long after its read began, and with one not this
/// long after the last heartbeat that came through was begun. So a change in another process is
/// honoured by then.
pub(crate) const FRESH_FOR: Duration = Duration::from_secs(1);

/// A refusal stands only on a record read this recently.
pub(crate) const RECENT: Duration = Duration::from_millis(100);

/// No record is used longer, however well the feed does: what happens behind the feed's back, as
/// when a backup is put back, is honoured by then.
pub(crate) const LONGEST: Duration = Duration::from_secs(60);

const SHARDS: usize = 1024;

/// Those who wait for a change of a key are woken by a change of one key in so many groups.
const GROUPS: usize = 64;

/// A generation per group of keys, and the lease of the change feed. Every cached entry carries the
/// generation it was read under.
///
/// Keys share a generation with a thousandth of the others, so that one change costs the rest of
/// the cache nothing, and memory stays fixed.
#[derive(Debug)]
pub(crate) struct Changes {
    shards: Box<[AtomicU64]>,
    waiters: Box<[Waiters]>,
    /// When the last heartbeat that came through was begun. Everything acknowledged before it has
    /// raised its generation.
    lease: LatestMoment,
    grace: Duration,
    clock: Arc<dyn Clock>,
    /// Raised when nobody needs to know of changes any more.
    stop: Stop,
}

/// What a group of keys had seen of changes when it was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Generation(u64);

/// As of when something was read: both parts are taken before the store is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    pub(crate) generation: Generation,
    pub(crate) read_at: Now,
}

impl Changes {
    /// During an outage of the store, records may be used for `grace` longer.
    pub(crate) fn new(clock: Arc<dyn Clock>, grace: Duration) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| AtomicU64::new(0)).collect(),
            waiters: (0..GROUPS).map(|_| Waiters::default()).collect(),
            lease: LatestMoment::none_since(Now::of(&*clock)),
            grace,
            clock,
            stop: Stop::default(),
        }
    }

    /// Every change is honoured within this time, by decisions of this process.
    pub(crate) fn bound(&self) -> Duration {
        FRESH_FOR.saturating_add(self.grace)
    }

    /// Whether records may be used longer while the store is away.
    pub(crate) fn has_grace(&self) -> bool {
        !self.grace.is_zero()
    }

    pub(crate) fn stop(&self) -> &Stop {
        &self.stop
    }

    /// A read of `id` begins now.
    pub(crate) fn stamp(&self, id: &KeyId) -> Stamp {
        Stamp {
            generation: self.generation(id),
            read_at: Now::of(&*self.clock),
        }
    }

    /// Whether what was read of `id` may be used.
    pub(crate) fn is_fresh(&self, id: &KeyId, stamp: &Stamp, now: Now) -> bool {
        self.is_within(FRESH_FOR, LONGEST, id, stamp, now)
    }

    /// Whether what was read of `id` may be used while the store is away.
    pub(crate) fn is_in_grace(&self, id: &KeyId, stamp: &Stamp, now: Now) -> bool {
        let longest = LONGEST.saturating_add(self.grace);
        self.is_within(self.bound(), longest, id, stamp, now)
    }

    /// Whether it was so less than `limit` ago: as of its read, or of the lease.
    ///
    /// The lease is looked at before the generation. A change is told before the heartbeat behind
    /// it, so whoever sees the heartbeat sees what the change did to the generation.
    fn is_within(
        &self,
        limit: Duration,
        longest: Duration,
        id: &KeyId,
        stamp: &Stamp,
        now: Now,
    ) -> bool {
        let was_so = now.is_within(limit, stamp.read_at)
            || (now.is_within(longest, stamp.read_at) && self.is_leased(limit, now));
        was_so && stamp.generation == self.generation(id)
    }

    /// As of when something is known that was read at `stamp` and [is fresh](Self::is_fresh).
    pub(crate) fn as_of(&self, stamp: &Stamp) -> Now {
        let lease = self.lease.get();
        let later = lease.filter(|begun| begun.is_after(stamp.read_at));
        later.unwrap_or(stamp.read_at)
    }

    fn is_leased(&self, limit: Duration, now: Now) -> bool {
        let lease = self.lease.get();
        lease.is_some_and(|begun| now.is_within(limit, begun))
    }

    /// Whether the change feed has proved within the last second that it tells of changes.
    pub(crate) fn is_feed_live(&self) -> bool {
        self.is_leased(FRESH_FOR, Now::of(&*self.clock))
    }

    /// The generation that a read of `id` begins in.
    pub(crate) fn generation(&self, id: &KeyId) -> Generation {
        Generation(self.shards[shard(id)].load(Ordering::Acquire))
    }

    /// Ends the use of everything that was read of `id` before now.
    pub(crate) fn invalidate(&self, id: &KeyId) {
        let shard = shard(id);
        self.shards[shard].fetch_add(1, Ordering::AcqRel);
        self.waiters[shard % GROUPS].wake_all();
    }

    /// Ends the use of everything that was read before now.
    pub(crate) fn invalidate_all(&self) {
        for shard in &self.shards {
            shard.fetch_add(1, Ordering::AcqRel);
        }
        self.waiters.iter().for_each(Waiters::wake_all);
    }

    /// Returns when a generation other than `seen` begins for `id`.
    pub(crate) async fn changed_since(&self, id: &KeyId, seen: Generation) {
        let waiters = &self.waiters[shard(id) % GROUPS];
        waiters.until(|| self.generation(id) != seen).await;
    }

    /// Invalidates `id` when it is dropped: after the write, whatever it answered, and also when
    /// its caller stopped waiting for the answer.
    pub(crate) fn invalidate_on_drop<'a>(&'a self, id: &'a KeyId) -> impl Drop + 'a {
        InvalidateOnDrop { changes: self, id }
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        self.stop.raise();
    }
}

fn shard(id: &KeyId) -> usize {
    let [.., a, b, c, d, e, f, g, h] = *id.as_bytes();
    let mixed = u64::from_le_bytes([a, b, c, d, e, f, g, h]).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 54) as usize
}

struct InvalidateOnDrop<'a> {
    changes: &'a Changes,
    id: &'a KeyId,
}

impl Drop for InvalidateOnDrop<'_> {
    fn drop(&mut self) {
        self.changes.invalidate(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[tokio::test]
    async fn who_waits_for_a_change_is_woken_by_it() {
        let changes = Changes::new(Arc::new(SystemClock), Duration::ZERO);
        let id = KeyId::generate().unwrap();
        for change in [Changes::invalidate, |changes: &Changes, _: &KeyId| {
            changes.invalidate_all();
        }] {
            let seen = changes.generation(&id);
            let happens = async {
                tokio::task::yield_now().await;
                change(&changes, &id);
            };
            let waits = async { tokio::join!(changes.changed_since(&id, seen), happens) };
            let patience = Duration::from_secs(30);
            tokio::time::timeout(patience, waits).await.unwrap();
            // Who comes late does not wait.
            changes.changed_since(&id, seen).await;
        }
    }

    #[test]
    fn a_change_ends_the_generation_of_its_key_and_spares_nearly_all_others() {
        let changes = Changes::new(Arc::new(SystemClock), Duration::ZERO);
        let ids: Vec<KeyId> = (0..2_000).map(|_| KeyId::generate().unwrap()).collect();
        let before: Vec<Generation> = ids.iter().map(|id| changes.generation(id)).collect();
        changes.invalidate(&ids[0]);
        assert_ne!(changes.generation(&ids[0]), before[0]);
        let touched = ids
            .iter()
            .zip(before)
            .filter(|(id, g)| changes.generation(id) != *g)
            .count();
        assert!(
            touched < 40,
            "{touched} of 2000 share one of 1024 generations"
        );
    }
}
