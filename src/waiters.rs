//! Tasks that wait for one and the same thing.

use std::collections::HashMap;
use std::future::poll_fn;
use std::mem;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// Everyone to be woken when something has happened. Whoever is woken looks whether it was that.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    seats: Mutex<Seats>,
}

#[derive(Debug, Default)]
struct Seats {
    next: u64,
    wakers: HashMap<u64, Waker>,
}

impl Waiters {
    /// A place of one's own, so that one who is polled again and again is woken once.
    pub(crate) fn take_seat(&self) -> u64 {
        let mut seats = lock(&self.seats);
        seats.next += 1;
        seats.next
    }

    /// Whoever sits there is woken by what happens from now on.
    pub(crate) fn wait(&self, seat: u64, context: &Context<'_>) {
        let replaced = lock(&self.seats)
            .wakers
            .insert(seat, context.waker().clone());
        // Not under the lock: a waker may own one who waits.
        drop(replaced);
    }

    pub(crate) fn leave(&self, seat: u64) {
        let waker = lock(&self.seats).wakers.remove(&seat);
        drop(waker);
    }

    pub(crate) fn wake_all(&self) {
        let wakers = mem::take(&mut lock(&self.seats).wakers);
        wakers.into_values().for_each(Waker::wake);
    }

    /// Returns once `happened` says so, which is asked at once and whenever all are woken.
    pub(crate) async fn until(&self, happened: impl Fn() -> bool) {
        let seat = Seat {
            number: self.take_seat(),
            waiters: self,
        };
        poll_fn(|context| {
            // Before it is asked: what happens in between wakes this one too.
            self.wait(seat.number, context);
            match happened() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }
}

/// Returns with the first of both.
pub(crate) async fn first(
    mut one: impl Future<Output = ()> + Unpin,
    mut other: impl Future<Output = ()> + Unpin,
) {
    poll_fn(|context| {
        let is_done = Pin::new(&mut one).poll(context).is_ready()
            || Pin::new(&mut other).poll(context).is_ready();
        match is_done {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
}

/// Returns when both are done.
pub(crate) async fn both(one: impl Future<Output = ()>, other: impl Future<Output = ()>) {
    let (mut one, mut other) = (pin!(one), pin!(other));
    let mut is_done = [false; 2];
    poll_fn(|context| {
        // What is done is not polled again.
        is_done[0] = is_done[0] || one.as_mut().poll(context).is_ready();
        is_done[1] = is_done[1] || other.as_mut().poll(context).is_ready();
        match is_done {
            [true, true] => Poll::Ready(()),
            _ => Poll::Pending,
        }
    })
    .await;
}

impl Wake for Waiters {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_all();
    }
}

struct Seat<'a> {
    number: u64,
    waiters: &'a Waiters,
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.waiters.leave(self.number);
    }
}

/// What the locks protect is whole between any two statements, so a panic elsewhere spoils nothing.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_kept_of_who_waited_and_left() {
        let waiters = Waiters::default();
        let woken: Arc<Waiters> = Arc::default();
        let waker = Waker::from(Arc::clone(&woken));
        {
            let mut waits = pin!(waiters.until(|| false));
            for _ in 0..3 {
                assert!(
                    waits
                        .as_mut()
                        .poll(&mut Context::from_waker(&waker))
                        .is_pending()
                );
            }
            assert_eq!(lock(&waiters.seats).wakers.len(), 1);
        }
        drop(waker);
        assert_eq!(Arc::strong_count(&woken), 1);
    }
}
