use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, TryLockError};
use std::time::Duration;

use super::Renewal;
use crate::clock::{Now, Timestamp};
use crate::key::KeyId;
use crate::waiters::{Waiters, lock};

/// What finds no place is queued when its key is used again.
const CAPACITY: usize = 4_096;

/// A renewal that cannot be written, such as of a record in a newer format, is tried again so much later.
const SET_ASIDE: Duration = Duration::from_secs(10 * 60);

/// The renewals that are still to be written, each secret's once.
#[derive(Default)]
pub(crate) struct Renewals {
    waiting: Mutex<Waiting>,
    waiters: Waiters,
}

#[derive(Default)]
struct Waiting {
    queue: VecDeque<Renewal>,
    set_aside: VecDeque<(Renewal, Now)>,
    /// Of both, so that a request finds out at once that it has nothing to do.
    names: HashSet<(KeyId, Timestamp)>,
}

impl Renewals {
    /// Queues `renewal`, unless that is queued, or there is no place, or another thread is here: requests
    /// wait for nothing.
    pub(crate) fn queue(&self, renewal: Renewal, now: Now) {
        let mut waiting = match self.waiting.try_lock() {
            Ok(waiting) => waiting,
            Err(TryLockError::Poisoned(waiting)) => waiting.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        waiting.take_back(now);
        if waiting.names.len() >= CAPACITY || !waiting.names.insert(renewal.name()) {
            return;
        }
        waiting.queue.push_back(renewal);
        drop(waiting);
        self.waiters.wake_all();
    }

    /// Returns once there is one to be written.
    pub(super) async fn any(&self) {
        self.waiters.until(|| self.next().is_some()).await;
    }

    /// The next to be written. It stays in its place until something becomes of it.
    pub(super) fn next(&self) -> Option<Renewal> {
        lock(&self.waiting).queue.front().copied()
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.waiting).queue.len()
    }

    /// `renewal` is written, or not needed any more.
    pub(super) fn finish(&self, renewal: &Renewal) {
        let mut waiting = lock(&self.waiting);
        waiting.take(renewal);
        waiting.names.remove(&renewal.name());
    }

    /// `renewal` gives way to all others.
    pub(super) fn put_off(&self, renewal: &Renewal) {
        let mut waiting = lock(&self.waiting);
        let taken = waiting.take(renewal);
        waiting.queue.extend(taken);
    }

    /// `renewal` is not tried again for a while.
    pub(super) fn set_aside(&self, renewal: &Renewal, now: Now) {
        let mut waiting = lock(&self.waiting);
        if let Some(taken) = waiting.take(renewal) {
            waiting.set_aside.push_back((taken, now));
        }
    }
}

impl Waiting {
    /// `renewal`, if nobody has taken it yet. It stands in front, or not far from there.
    fn take(&mut self, renewal: &Renewal) -> Option<Renewal> {
        let is_it = |queued: &Renewal| queued.name() == renewal.name();
        let place = self.queue.iter().position(is_it)?;
        self.queue.remove(place)
    }

    /// Forgets what was set aside long enough ago: when its key is used, it is queued again.
    fn take_back(&mut self, now: Now) {
        while let Some((renewal, since)) = self.set_aside.front()
            && !now.is_within(SET_ASIDE, *since)
        {
            self.names.remove(&renewal.name());
            self.set_aside.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::mac::{Mac, PepperId, PepperedMac};

    fn renewal() -> Renewal {
        let sealed = |pepper| PepperedMac {
            mac: Mac::from_bytes([7; 32]),
            pepper: PepperId(pepper),
        };
        Renewal {
            key_id: KeyId::generate().unwrap(),
            secret: Timestamp::MIN,
            kept: sealed(1),
            renewed: sealed(2),
        }
    }

    fn next(renewals: &Renewals) -> Option<KeyId> {
        renewals.next().map(|renewal| renewal.key_id)
    }

    #[test]
    fn each_secret_waits_once_and_again_when_it_is_done() {
        let (renewals, one, now) = (Renewals::default(), renewal(), Now::of(&SystemClock));
        for _ in 0..3 {
            renewals.queue(one, now);
        }
        assert_eq!((renewals.len(), next(&renewals)), (1, Some(one.key_id)));
        let older = Renewal {
            secret: Timestamp::MAX,
            ..one
        };
        renewals.queue(older, now);
        assert_eq!(renewals.len(), 2);
        renewals.finish(&one);
        renewals.finish(&one);
        assert_eq!(renewals.len(), 1);
        renewals.queue(one, now);
        assert_eq!(renewals.len(), 2);
    }

    #[test]
    fn no_more_wait_than_there_are_places_for_also_of_those_set_aside() {
        let (renewals, now) = (Renewals::default(), Now::of(&SystemClock));
        let stuck = renewal();
        renewals.queue(stuck, now);
        renewals.set_aside(&stuck, now);
        for _ in 0..2 * CAPACITY {
            renewals.queue(renewal(), now);
        }
        assert_eq!(renewals.len(), CAPACITY - 1);
    }

    #[test]
    fn what_gives_way_comes_after_all_others() {
        let (renewals, now) = (Renewals::default(), Now::of(&SystemClock));
        let [one, other] = [renewal(), renewal()];
        renewals.queue(one, now);
        renewals.queue(other, now);
        renewals.put_off(&one);
        assert_eq!((renewals.len(), next(&renewals)), (2, Some(other.key_id)));
    }

    #[test]
    fn a_request_does_not_wait_while_another_is_at_it() {
        let (renewals, now) = (Renewals::default(), Now::of(&SystemClock));
        let held = lock(&renewals.waiting);
        renewals.queue(renewal(), now);
        drop(held);
        assert_eq!(renewals.len(), 0);
    }
}
