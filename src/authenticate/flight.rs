//! One store read for all who wait for it.
//!
//! Whoever waits drives the read, so when one of them leaves the others carry on, and when all
//! leave it is dropped. What a read ends with is theirs alone: the next to ask starts anew.

use std::collections::HashMap;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};

use crate::key::KeyId;

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The reads that are under way, at most one for an id.
pub(super) struct Flights<T> {
    by_id: Mutex<HashMap<KeyId, Weak<Flight<T>>>>,
}

impl<T> Flights<T> {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            by_id: Mutex::default(),
        })
    }

    /// Waits for the read of `id` that is under way, or starts one. `None`: `limit` are under way.
    pub(super) fn join<F>(
        self: &Arc<Self>,
        id: KeyId,
        limit: usize,
        start: impl FnOnce() -> F,
    ) -> Option<Waiting<T>>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut by_id = lock(&self.by_id);
        let under_way = by_id.get(&id).and_then(Weak::upgrade);
        let flight = match under_way {
            Some(flight) => flight,
            None if by_id.len() >= limit => return None,
            None => {
                let flight = Arc::new(Flight {
                    id,
                    flights: Arc::clone(self),
                    state: Mutex::new(State::UnderWay(Box::pin(start()))),
                    waiters: Arc::default(),
                });
                by_id.insert(id, Arc::downgrade(&flight));
                flight
            }
        };
        let seat = lock(&flight.waiters.seats).take_seat();
        Some(Waiting { flight, seat })
    }
}

struct Flight<T> {
    id: KeyId,
    flights: Arc<Flights<T>>,
    state: Mutex<State<T>>,
    waiters: Arc<Waiters>,
}

enum State<T> {
    UnderWay(BoxFuture<T>),
    Landed(T),
}

/// A flight that landed, or that nobody waits for any more, makes room for the next of its id.
impl<T> Flight<T> {
    fn leave(&self) {
        let mut by_id = lock(&self.flights.by_id);
        let is_this = |flight: &Weak<Self>| std::ptr::eq(flight.as_ptr(), self);
        if by_id.get(&self.id).is_some_and(is_this) {
            by_id.remove(&self.id);
        }
    }
}

impl<T> Drop for Flight<T> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// One who waits.
pub(super) struct Waiting<T> {
    flight: Arc<Flight<T>>,
    seat: u64,
}

impl<T: Clone> Future for Waiting<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let flight = &self.flight;
        // Before the read is driven: what wakes it from here on wakes this one too.
        let waker = context.waker().clone();
        let replaced = lock(&flight.waiters.seats).wakers.insert(self.seat, waker);
        // Not under the lock: a waker may own one who waits.
        drop(replaced);
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
        drop(state);
        drop(read);
        flight.leave();
        flight.waiters.wake_by_ref();
        Poll::Ready(output)
    }
}

impl<T> Drop for Waiting<T> {
    fn drop(&mut self) {
        let waker = lock(&self.flight.waiters.seats).wakers.remove(&self.seat);
        drop(waker);
    }
}

/// Everyone to be woken when the read can go on. It does not own the read, which may own it.
#[derive(Default)]
struct Waiters {
    seats: Mutex<Seats>,
}

#[derive(Default)]
struct Seats {
    next: u64,
    wakers: HashMap<u64, Waker>,
}

impl Seats {
    fn take_seat(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

impl Wake for Waiters {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let wakers = mem::take(&mut lock(&self.seats).wakers);
        wakers.into_values().for_each(Waker::wake);
    }
}

/// What the locks protect is whole between any two statements, so a panic elsewhere spoils nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
