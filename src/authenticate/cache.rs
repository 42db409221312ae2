use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use papaya::HashMap;

use crate::key::KeyId;

/// A bounded map that is read without locks and without writing to shared memory.
///
/// What goes when it is full is found by a clock (second chance): entries stand in the order they
/// came, and one that was read since it last came up is passed over. A read sets its mark only when
/// it is not set, so entries in use are not written to.
pub(super) struct Cache<V> {
    map: HashMap<KeyId, Slot<V>, foldhash::fast::RandomState>,
    /// Every id of the map, once. Ids leave the map only under this lock.
    order: Mutex<VecDeque<KeyId>>,
    capacity: usize,
}

struct Slot<V> {
    was_read: AtomicBool,
    value: V,
}

impl<V: Send + Sync> Cache<V> {
    /// An insertion passes over at most so many entries in use before one has to go all the same.
    const CHANCES: usize = 16;

    pub(super) fn new(capacity: usize) -> Self {
        Self {
            map: HashMap::with_hasher(foldhash::fast::RandomState::default()),
            order: Mutex::default(),
            capacity,
        }
    }

    /// Shows the value of `id` to `look`, if there is one.
    pub(super) fn read<R>(&self, id: &KeyId, look: impl FnOnce(&V) -> R) -> Option<R> {
        let map = self.map.pin();
        let slot = map.get(id)?;
        if !slot.was_read.load(Ordering::Relaxed) {
            slot.was_read.store(true, Ordering::Relaxed);
        }
        Some(look(&slot.value))
    }

    pub(super) fn insert(&self, id: KeyId, value: V) {
        let map = self.map.pin();
        let slot = Slot {
            was_read: AtomicBool::new(false),
            value,
        };
        if map.insert(id, slot).is_some() {
            return;
        }
        let mut order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        order.push_back(id);
        let mut chances = Self::CHANCES;
        while order.len() > self.capacity {
            let Some(oldest) = order.pop_front() else {
                return;
            };
            let in_use = map
                .get(&oldest)
                .is_some_and(|slot| slot.was_read.swap(false, Ordering::Relaxed));
            if in_use && chances > 0 {
                chances -= 1;
                order.push_back(oldest);
            } else {
                map.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(count: usize) -> Vec<KeyId> {
        (0..count).map(|_| KeyId::generate().unwrap()).collect()
    }

    fn has(cache: &Cache<usize>, id: &KeyId) -> bool {
        cache.map.pin().contains_key(id)
    }

    #[test]
    fn it_never_holds_more_than_its_capacity() {
        let cache = Cache::new(10);
        for (n, id) in ids(1_000).into_iter().enumerate() {
            cache.insert(id, n);
            cache.insert(id, n);
            assert!(cache.map.len() <= 10 && cache.map.len() == cache.order.lock().unwrap().len());
        }
    }

    #[test]
    fn a_capacity_of_zero_keeps_nothing() {
        let cache = Cache::new(0);
        let [id] = ids(1)[..] else { unreachable!() };
        cache.insert(id, 1);
        assert_eq!(cache.read(&id, |value| *value), None);
    }

    #[test]
    fn entries_in_use_outlive_a_flood_of_others() {
        let cache = Cache::new(100);
        let (hot, flood) = (ids(10), ids(10_000));
        hot.iter()
            .enumerate()
            .for_each(|(n, id)| cache.insert(*id, n));
        for id in flood {
            cache.insert(id, 0);
            assert!(hot.iter().all(|id| cache.read(id, |_| ()).is_some()));
        }
    }

    #[test]
    fn entries_that_were_in_use_once_give_way_to_those_that_are() {
        let cache = Cache::new(100);
        let (past, hot, new) = (ids(99), ids(1)[0], ids(300));
        for id in past.iter().chain([&hot]) {
            cache.insert(*id, 0);
            cache.read(id, |_| ());
        }
        for id in new {
            cache.insert(id, 0);
            assert!(cache.read(&hot, |_| ()).is_some(), "what is in use stays");
        }
        assert!(past.iter().all(|id| !has(&cache, id)));
    }

    #[test]
    fn the_last_insertion_of_an_id_is_what_is_read() {
        let cache = Cache::new(2);
        let id = ids(1)[0];
        cache.insert(id, 1);
        cache.insert(id, 2);
        assert_eq!(cache.read(&id, |value| *value), Some(2));
        assert!(has(&cache, &id));
    }

    #[test]
    fn many_threads_leave_map_and_order_in_step() {
        let cache = Cache::new(50);
        let ids = ids(200);
        std::thread::scope(|scope| {
            for offset in 0..4 {
                let (cache, ids) = (&cache, &ids);
                scope.spawn(move || {
                    for n in 0..20_000 {
                        let id = &ids[(n * 7 + offset * 13) % ids.len()];
                        cache.insert(*id, n);
                        cache.read(id, |_| ());
                    }
                });
            }
        });
        let mut order: Vec<KeyId> = cache.order.lock().unwrap().iter().copied().collect();
        order.sort_unstable();
        order.dedup();
        assert_eq!(order.len(), cache.map.len());
        assert!(order.len() <= 50 && order.iter().all(|id| has(&cache, id)));
    }
}
