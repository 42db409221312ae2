use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_timer::Delay;

/// Where calls of a [`FaultyStore`](super::FaultyStore) wait until they are let through. Clones are
/// one door.
#[derive(Clone, Debug, Default)]
pub struct Door(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    open: bool,
    /// How many calls have come, and were not yet seen by [`Door::arrival`].
    unseen: usize,
    wakers: Vec<Waker>,
}

impl Door {
    /// A test that waits for longer has failed.
    const PATIENCE: Duration = Duration::from_secs(30);

    /// A closed door.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns when one more call stands before the door.
    ///
    /// # Panics
    /// When none comes within 30 seconds.
    pub async fn arrival(&self) {
        let mut patience = Delay::new(Self::PATIENCE);
        poll_fn(|context| {
            let late = Pin::new(&mut patience).poll(context).is_ready();
            assert!(!late, "no call came to the door");
            self.poll(context, |state| {
                let came = state.unseen > 0;
                state.unseen -= usize::from(came);
                came
            })
        })
        .await;
    }

    /// Lets through everyone, from now on.
    pub fn open(&self) {
        let mut state = self.state();
        state.open = true;
        state.wake();
    }

    pub(super) async fn pass(&self) {
        {
            let mut state = self.state();
            state.unseen += 1;
            state.wake();
        }
        poll_fn(|context| self.poll(context, |state| state.open)).await;
    }

    fn poll(&self, context: &Context<'_>, done: impl FnOnce(&mut State) -> bool) -> Poll<()> {
        let mut state = self.state();
        if done(&mut state) {
            return Poll::Ready(());
        }
        state.wakers.push(context.waker().clone());
        Poll::Pending
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wake(&mut self) {
        self.wakers.drain(..).for_each(Waker::wake);
    }
}
