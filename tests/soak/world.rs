//! What all parts of a run share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::time::sleep;

use crate::instance::Instance;
use crate::ledger::Ledger;
use crate::random::Random;
use crate::report::Report;
use crate::store::StoreUnderTest;

pub(crate) struct World {
    pub(crate) store: StoreUnderTest,
    pub(crate) pepper: String,
    pub(crate) instances: Vec<Instance>,
    pub(crate) ledger: Ledger,
    pub(crate) report: Report,
    /// The text of the key that changes are made with. It is always valid.
    pub(crate) admin: String,
    /// A place for each change that is followed closely.
    pub(crate) probes: Arc<Semaphore>,
    pub(crate) has_ended: AtomicBool,
}

impl World {
    pub(crate) fn instance(&self, random: &mut Random) -> &Instance {
        &self.instances[random.below(self.instances.len())]
    }

    /// Whether the load goes on.
    pub(crate) fn goes_on(&self) -> bool {
        !self.has_ended.load(Ordering::SeqCst)
    }

    pub(crate) fn end(&self) {
        self.has_ended.store(true, Ordering::SeqCst);
    }
}

/// Sleeps, but not past `until`.
pub(crate) async fn sleep_before(until: Instant, length: Duration) {
    let left = until.saturating_duration_since(Instant::now());
    sleep(length.min(left)).await;
}

/// Does something that blocks, such as to start a process.
pub(crate) async fn aside<T: Send + 'static>(
    world: &Arc<World>,
    work: impl FnOnce(&World) -> T + Send + 'static,
) -> T {
    let world = Arc::clone(world);
    let working = tokio::task::spawn_blocking(move || work(&world));
    working.await.unwrap()
}
