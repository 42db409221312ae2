use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::waiters::Waiters;

/// Says that background work is to end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<StopState>);

#[derive(Debug, Default)]
struct StopState {
    is_raised: AtomicBool,
    waiters: Waiters,
}

impl Stop {
    pub(crate) fn raise(&self) {
        self.0.is_raised.store(true, Ordering::SeqCst);
        self.0.waiters.wake_all();
    }

    pub(crate) fn is_raised(&self) -> bool {
        self.0.is_raised.load(Ordering::SeqCst)
    }

    pub(crate) async fn raised(&self) {
        self.0.waiters.until(|| self.is_raised()).await;
    }
}
