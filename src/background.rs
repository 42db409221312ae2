//! What a gate does beside the requests: it follows the store's change feed, hands on what was counted
//! of usage and noted for the audit log, keeps the peppers and the MACs up to date, and looks for keys
//! that end.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_timer::Delay;

use crate::audit::Keeper;
use crate::authenticate::within;
use crate::changes::{ChangeFeedStatus, Changes, FeedHealth, Listener, Stop};
use crate::clock::Clock;
use crate::expiry::Sweeper;
use crate::peppers::Reloader;
use crate::renewal::Renewer;
use crate::store::{ChangeFeed, KeyStore, StoreError, StoreErrorKind};
use crate::telemetry;
#[cfg(any(feature = "tower", feature = "actix-web"))]
use crate::url_leaks::LeakWork;
use crate::usage::{Ledger, since};
use crate::waiters::{Waiters, both, first};

/// A feed whose heartbeats stay away for this long is given up and connected anew: there may be
/// nobody at the other end of its connection.
const SILENCE: Duration = Duration::from_secs(3);

/// How long to wait before a broken feed is connected again: doubled from the first to the second
/// with each failure, and drawn between half and all of that, so that many instances do not come
/// back in one moment.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// How long a shutdown waits for work that may have been left unpolled, and the last of the work for
/// the store.
const PATIENCE: Duration = Duration::from_secs(5);

/// The work of one gate. It keeps the store alive while it runs, and nothing else of the gate.
#[derive(Clone)]
pub(crate) struct Background {
    shared: Arc<Shared>,
}

/// What there is to do, besides following the feed.
pub(crate) struct Work {
    pub(crate) sweeper: Option<Sweeper>,
    pub(crate) keeper: Option<Keeper>,
    pub(crate) renewer: Renewer,
    pub(crate) reloader: Reloader,
    pub(crate) ledger: Option<Arc<Ledger>>,
    /// Where nothing is counted, whether all are to know it.
    pub(crate) says_usage: bool,
    pub(crate) usage_interval: Duration,
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    pub(crate) leaks: Option<LeakWork>,
}

struct Shared {
    store: Arc<dyn KeyStore>,
    clock: Arc<dyn Clock>,
    health: Arc<FeedHealth>,
    ledger: Option<Arc<Ledger>>,
    says_usage: bool,
    usage_interval: Duration,
    sweeper: Option<Sweeper>,
    keeper: Option<Keeper>,
    renewer: Renewer,
    reloader: Reloader,
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    leaks: Option<LeakWork>,
    /// Raised with the last who needs to know of changes, too.
    stop: Stop,
    is_running: AtomicBool,
    ended: Waiters,
}

impl Background {
    pub(crate) fn new(
        store: Arc<dyn KeyStore>,
        clock: Arc<dyn Clock>,
        changes: &Changes,
        realm: &str,
        work: Work,
    ) -> Self {
        let Work {
            sweeper,
            keeper,
            renewer,
            reloader,
            ledger,
            says_usage,
            usage_interval,
            #[cfg(any(feature = "tower", feature = "actix-web"))]
            leaks,
        } = work;
        let health = FeedHealth::new(clock.wall(), realm);
        Self {
            shared: Arc::new(Shared {
                store,
                clock,
                health: Arc::new(health),
                ledger,
                says_usage,
                usage_interval,
                sweeper,
                keeper,
                renewer,
                reloader,
                #[cfg(any(feature = "tower", feature = "actix-web"))]
                leaks,
                stop: changes.stop().clone(),
                is_running: AtomicBool::new(false),
                ended: Waiters::default(),
            }),
        }
    }

    /// Works on the runtime that this is called on, if there is one.
    #[cfg(feature = "tokio")]
    pub(crate) fn spawn(&self, changes: &Arc<Changes>) {
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(self.run(changes));
        }
    }

    /// `None`: it looks for no keys that end.
    pub(crate) fn sweeper(&self) -> Option<&Sweeper> {
        self.shared.sweeper.as_ref()
    }

    pub(crate) fn reloader(&self) -> &Reloader {
        &self.shared.reloader
    }

    pub(crate) fn status(&self, changes: &Changes) -> ChangeFeedStatus {
        let shared = &self.shared;
        if shared.store.abilities().change_feed.is_none() {
            ChangeFeedStatus::Absent
        } else if changes.is_feed_live() {
            ChangeFeedStatus::Live
        } else if shared.is_running.load(Ordering::SeqCst) {
            shared.health.down()
        } else {
            ChangeFeedStatus::NotFollowed
        }
    }

    /// Works until it is stopped. Where it is running already, this waits, and goes on where the other
    /// is dropped.
    pub(crate) fn run(&self, changes: &Arc<Changes>) -> impl Future<Output = ()> + Send + 'static {
        let shared = Arc::clone(&self.shared);
        let changes = Arc::downgrade(changes);
        async move {
            loop {
                if let Some(_running) = Running::begin(&shared) {
                    let stopped = pin!(shared.stop.raised());
                    let work = pin!(shared.work(changes.clone()));
                    let regular = both(shared.sweep_until_stopped(), shared.keep_until_stopped());
                    let regular = both(regular, shared.end_leaked_until_stopped());
                    let renewing = shared.renewer.run(&shared.stop, backoff);
                    let of_peppers = both(renewing, shared.reloader.run(&shared.stop));
                    both(first(stopped, work), both(regular, of_peppers)).await;
                    return shared.hand_on_the_rest().await;
                }
                let is_free = || !shared.is_running.load(Ordering::SeqCst);
                let free = pin!(shared.ended.until(is_free));
                first(pin!(shared.stop.raised()), free).await;
                if shared.stop.is_raised() {
                    return;
                }
            }
        }
    }

    /// Ends the work, and returns when it has ended, or is not polled any more, and what was counted
    /// is with the store, or the store does not take it.
    pub(crate) async fn shutdown(&self) {
        let shared = &self.shared;
        shared.stop.raise();
        let has_ended = || !shared.is_running.load(Ordering::SeqCst);
        let ended = pin!(shared.ended.until(has_ended));
        // The work hands on the rest too, where it is polled.
        both(
            first(ended, Delay::new(PATIENCE)),
            shared.hand_on_the_rest(),
        )
        .await;
    }
}

impl Shared {
    async fn work(&self, changes: Weak<Changes>) {
        let follow = pin!(self.follow_for_ever(changes));
        first(follow, pin!(self.hand_on_for_ever())).await;
    }

    async fn hand_on_for_ever(&self) {
        match (&self.ledger, self.store.abilities().usage) {
            (Some(ledger), _) => ledger.hand_on_for_ever(&*self.store, backoff).await,
            (None, Some(_)) if self.says_usage => self.say_that_nothing_is_counted().await,
            (None, _) => std::future::pending().await,
        }
    }

    /// Again and again: another instance that begins takes all others for ones that count.
    async fn say_that_nothing_is_counted(&self) {
        loop {
            Delay::new(self.usage_interval).await;
            let said = pin!(since::say(&*self.store, false, self.clock.wall()));
            // What failed is said again.
            let _ = within(PATIENCE, said).await;
        }
    }

    /// Hands on what was counted and noted until the end. What the store does not take is lost, which is
    /// logged.
    async fn hand_on_the_rest(&self) {
        let counted = both(self.hand_on_usage(), self.hand_on_audit());
        let changed = both(self.hand_on_renewals(), self.end_the_rest_of_leaked());
        both(counted, changed).await;
    }

    async fn hand_on_renewals(&self) {
        first(pin!(self.renewer.hand_on_the_rest()), Delay::new(PATIENCE)).await;
    }

    /// Ends the keys that were seen in URLs.
    async fn end_leaked_until_stopped(&self) {
        #[cfg(any(feature = "tower", feature = "actix-web"))]
        if let Some(leaks) = &self.leaks {
            leaks.run(&self.stop).await;
        }
    }

    async fn end_the_rest_of_leaked(&self) {
        #[cfg(any(feature = "tower", feature = "actix-web"))]
        if let Some(leaks) = &self.leaks {
            leaks.finish().await;
        }
    }

    async fn hand_on_audit(&self) {
        if let Some(keeper) = &self.keeper {
            first(pin!(keeper.hand_on_the_rest()), Delay::new(PATIENCE)).await;
        }
    }

    async fn hand_on_usage(&self) {
        if let Some(ledger) = &self.ledger {
            let rest = pin!(async {
                if let Err(error) = ledger.hand_on(&*self.store).await {
                    telemetry::usage_is_held_up(ledger.realm(), &error);
                }
            });
            first(rest, Delay::new(PATIENCE)).await;
        }
    }

    async fn sweep_until_stopped(&self) {
        if let Some(sweeper) = &self.sweeper {
            sweeper.run(&self.stop).await;
        }
    }

    async fn keep_until_stopped(&self) {
        if let Some(keeper) = &self.keeper {
            keeper.run(&self.stop).await;
        }
    }

    async fn follow_for_ever(&self, changes: Weak<Changes>) {
        let Some(feed) = self.store.abilities().change_feed else {
            return std::future::pending().await;
        };
        let mut failures = 0;
        loop {
            let (clock, health) = (Arc::clone(&self.clock), Arc::clone(&self.health));
            let listener = Listener::new(changes.clone(), clock, health);
            let connected = Instant::now();
            let error = follow(feed, &listener, &self.health).await;
            // One that breaks soon after its first heartbeat is no better than one without.
            failures = match connected.elapsed() > SILENCE && self.health.is_live() {
                true => 1,
                false => failures + 1,
            };
            self.health.broke(error);
            Delay::new(backoff(failures)).await;
        }
    }
}

/// Held by the one future that does the work.
struct Running<'a>(&'a Shared);

impl<'a> Running<'a> {
    fn begin(shared: &'a Shared) -> Option<Self> {
        let was_running = shared.is_running.swap(true, Ordering::SeqCst);
        (!was_running).then(|| Self(shared))
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.is_running.store(false, Ordering::SeqCst);
        self.0.health.is_left();
        self.0.ended.wake_all();
    }
}

/// Follows `feed` until it breaks, panics, or is silent for too long.
async fn follow(feed: &dyn ChangeFeed, listener: &Listener, health: &FeedHealth) -> StoreError {
    let mut following = feed.follow(listener);
    let mut silence = Delay::new(SILENCE);
    let mut heard = health.beats();
    poll_fn(move |context| {
        // What panicked is not used again.
        match catch_unwind(AssertUnwindSafe(|| following.as_mut().poll(context))) {
            Err(_) => return Poll::Ready(unavailable("the change feed panicked")),
            Ok(Poll::Ready(error)) => return Poll::Ready(error),
            Ok(Poll::Pending) => {}
        }
        while Pin::new(&mut silence).poll(context).is_ready() {
            let beats = health.beats();
            if beats == heard {
                return Poll::Ready(unavailable("no heartbeat came through"));
            }
            heard = beats;
            silence.reset(SILENCE);
        }
        Poll::Pending
    })
    .await
}

fn unavailable(cause: &str) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, cause)
}

/// How long to wait after so many failures in a row, at least one.
fn backoff(failures: u32) -> Duration {
    let (shortest, longest) = BACKOFF;
    let doubled = shortest.saturating_mul(1 << (failures - 1).min(16));
    let most = doubled.min(longest);
    let mut draw = [0; 1];
    // Without random bytes instances come back at once, which is no reason not to come back.
    let _ = getrandom::fill(&mut draw);
    most / 2 + most.mul_f64(f64::from(draw[0]) / 512.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_before_the_next_attempt_doubles_up_to_two_seconds() {
        for (failures, most) in [
            (1, 100),
            (2, 200),
            (5, 1_600),
            (6, 2_000),
            (u32::MAX, 2_000),
        ] {
            let most = Duration::from_millis(most);
            for _ in 0..100 {
                let wait = backoff(failures);
                assert!((most / 2..=most).contains(&wait), "{failures}: {wait:?}");
            }
        }
    }
}
