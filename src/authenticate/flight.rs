//! One store read for all who wait for it.
//!
//! Whoever waits drives the read, so when one of them leaves the others carry on, and when all
//! leave it is dropped. What a read ends with is theirs alone: the next to ask starts anew.

use std::collections::HashMap;
use std::hash::Hash;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};

use crate::waiters::{Waiters, lock};

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The reads that are under way, at most one for a `K`.
pub(crate) struct Flights<K: Copy + Eq + Hash, T> {
    by_key: Mutex<HashMap<K, Weak<Flight<K, T>>>>,
}

impl<K: Copy + Eq + Hash, T> Flights<K, T> {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            by_key: Mutex::default(),
        })
    }

    /// Waits for the read of `key` that is under way, or starts one.
    pub(crate) fn join<F>(self: &Arc<Self>, key: K, start: impl FnOnce() -> F) -> Waiting<K, T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut by_key = lock(&self.by_key);
        let under_way = by_key.get(&key).and_then(Weak::upgrade);
        let flight = under_way.unwrap_or_else(|| {
            let flight = Arc::new(Flight {
                key,
                flights: Arc::clone(self),
                state: Mutex::new(State::UnderWay(Box::pin(start()))),
                waiters: Arc::default(),
            });
            by_key.insert(key, Arc::downgrade(&flight));
            flight
        });
        Waiting::on(flight)
    }

    /// Waits for the read of `key` that is under way, if one is.
    pub(crate) fn join_any(&self, key: &K) -> Option<Waiting<K, T>> {
        let under_way = lock(&self.by_key).get(key).and_then(Weak::upgrade);
        under_way.map(Waiting::on)
    }
}

struct Flight<K: Copy + Eq + Hash, T> {
    key: K,
    flights: Arc<Flights<K, T>>,
    state: Mutex<State<T>>,
    /// It does not own the read, which may own it.
    waiters: Arc<Waiters>,
}

enum State<T> {
    UnderWay(BoxFuture<T>),
    Landed(T),
}

/// A flight that landed, or that nobody waits for any more, makes room for the next of its id.
impl<K: Copy + Eq + Hash, T> Flight<K, T> {
    fn leave(&self) {
        let mut by_key = lock(&self.flights.by_key);
        let is_this = |flight: &Weak<Self>| std::ptr::eq(flight.as_ptr(), self);
        if by_key.get(&self.key).is_some_and(is_this) {
            by_key.remove(&self.key);
        }
    }
}

impl<K: Copy + Eq + Hash, T> Drop for Flight<K, T> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// One who waits.
pub(crate) struct Waiting<K: Copy + Eq + Hash, T> {
    flight: Arc<Flight<K, T>>,
    seat: u64,
}

impl<K: Copy + Eq + Hash, T> Waiting<K, T> {
    fn on(flight: Arc<Flight<K, T>>) -> Self {
        let seat = flight.waiters.take_seat();
        Self { flight, seat }
    }
}

impl<K: Copy + Eq + Hash, T: Clone> Future for Waiting<K, T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let flight = &self.flight;
        // Before the read is driven: what wakes it from here on wakes this one too.
        flight.waiters.wait(self.seat, context);
        let mut state = lock(&flight.state);
        let read = match &mut *state {
            State::Landed(output) => return Poll::Ready(output.clone()),
            State::UnderWay(read) => read,
        };
        let waker = Waker::from(Arc::clone(&flight.waiters));
        let Poll::Ready(output) = read.as_mut().poll(&mut Context::from_waker(&waker)) else {
            return Poll::Pending;
        };
        let read = mem::replace(&mut *state, State::Landed(output.clone()));
        // Before anybody can see it landed: whoever comes from now on wants an answer of its own.
        flight.leave();
        drop(state);
        drop(read);
        flight.waiters.wake_all();
        Poll::Ready(output)
    }
}

impl<K: Copy + Eq + Hash, T> Drop for Waiting<K, T> {
    fn drop(&mut self) {
        self.flight.waiters.leave(self.seat);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;
    use crate::key::KeyId;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn poll(waiting: &mut Waiting<KeyId, u32>, woken: &Arc<Woken>) -> Poll<u32> {
        let waker = Waker::from(Arc::clone(woken));
        Pin::new(waiting).poll(&mut Context::from_waker(&waker))
    }

    /// One who is polled for a reason of its own may find the read done and end it before it wakes
    /// anybody: then the others hear of it from the one who landed it.
    #[test]
    fn whoever_lands_a_read_wakes_all_who_wait_for_it() {
        let flights = Flights::new();
        let done = Arc::new(AtomicBool::new(false));
        let id = KeyId::generate().unwrap();
        let start = || {
            let done = Arc::clone(&done);
            poll_fn(move |_| match done.load(Ordering::SeqCst) {
                true => Poll::Ready(7),
                false => Poll::Pending,
            })
        };
        let mut waiting: Vec<_> = (0..3).map(|_| flights.join(id, start)).collect();
        let woken: Vec<_> = (0..3).map(|_| Arc::<Woken>::default()).collect();
        for (waiting, woken) in waiting.iter_mut().zip(&woken) {
            assert_eq!(poll(waiting, woken), Poll::Pending);
        }
        done.store(true, Ordering::SeqCst);
        assert_eq!(poll(&mut waiting[0], &woken[0]), Poll::Ready(7));
        for (waiting, woken) in waiting.iter_mut().zip(&woken).skip(1) {
            assert_eq!(woken.0.load(Ordering::SeqCst), 1, "woken by the landing");
            assert_eq!(poll(waiting, woken), Poll::Ready(7));
        }
    }

    #[test]
    fn who_left_is_not_woken() {
        let flights = Flights::new();
        let done = AtomicBool::new(false);
        let done = Arc::new(done);
        let read = {
            let done = Arc::clone(&done);
            poll_fn(move |_| match done.load(Ordering::SeqCst) {
                true => Poll::Ready(7),
                false => Poll::Pending,
            })
        };
        let id = KeyId::generate().unwrap();
        let mut stays = flights.join(id, || read);
        let mut leaves = flights.join(id, std::future::pending);
        let (of_stays, of_leaves) = (Arc::default(), Arc::<Woken>::default());
        assert_eq!(poll(&mut leaves, &of_leaves), Poll::Pending);
        drop(leaves);
        assert_eq!(Arc::strong_count(&of_leaves), 1, "nothing is kept of it");
        done.store(true, Ordering::SeqCst);
        assert_eq!(poll(&mut stays, &of_stays), Poll::Ready(7));
        assert_eq!(of_leaves.0.load(Ordering::SeqCst), 0);
    }

    /// The place of a read that landed may be another's by the time the last who waited is gone.
    #[test]
    fn a_read_that_landed_takes_no_place_from_the_next_of_its_id() {
        let flights = Flights::new();
        let id = KeyId::generate().unwrap();
        let mut first = flights.join(id, || std::future::ready(1));
        assert_eq!(poll(&mut first, &Arc::default()), Poll::Ready(1));
        let _next = flights.join(id, std::future::pending);
        drop(first);
        let mut joins = flights.join(id, || std::future::ready(2));
        assert_eq!(poll(&mut joins, &Arc::default()), Poll::Pending);
    }
}
