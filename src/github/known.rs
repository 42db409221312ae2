use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::keys::{GithubKeySource, GithubKeys};
use crate::authenticate::{Flights, Waiting, within};
use crate::clock::{Clock, Now};
use crate::waiters::lock;

/// The public keys that are known, and where others are fetched.
pub(super) struct KnownKeys {
    clock: Arc<dyn Clock>,
    published: Arc<Mutex<Published>>,
    source: Option<Arc<dyn GithubKeySource>>,
    fetches: Arc<Flights<(), ()>>,
    /// Holds the last fetch. Where those who waited for it have left, it goes on with who asks next: strangers
    /// who ask and leave keep nobody from the keys.
    held: Mutex<Option<Waiting<(), ()>>>,
}

struct Published {
    keys: Arc<GithubKeys>,
    fetched_at: Option<Now>,
    asked_at: Option<Now>,
}

/// Public keys are not fetched more often: whoever makes up identifiers makes nobody fetch.
const FETCH_EVERY: Duration = Duration::from_secs(60);

/// What GitHub does not publish any more is trusted for so long, unless it does not answer.
const GOOD_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// How long their source may take.
const PATIENCE: Duration = Duration::from_secs(10);

impl KnownKeys {
    pub(super) fn new(
        clock: Arc<dyn Clock>,
        keys: GithubKeys,
        source: Option<Arc<dyn GithubKeySource>>,
    ) -> Self {
        Self {
            clock,
            published: Arc::new(Mutex::new(Published {
                keys: Arc::new(keys),
                fetched_at: None,
                asked_at: None,
            })),
            source,
            fetches: Flights::new(),
            held: Mutex::default(),
        }
    }

    /// Those that are known now.
    pub(super) fn current(&self) -> Arc<GithubKeys> {
        Arc::clone(&lock(&self.published).keys)
    }

    /// Those among which the key of this name is, if GitHub publishes it. `None`: that cannot be said now.
    pub(super) async fn with(&self, identifier: &str) -> Option<Arc<GithubKeys>> {
        if let Some(fetch) = self.fetch_for(identifier) {
            fetch.await;
        }
        let published = lock(&self.published);
        let is_said = self.source.is_none()
            || published.keys.has(identifier)
            || is_lately(FETCH_EVERY, published.fetched_at, Now::of(&*self.clock));
        is_said.then(|| Arc::clone(&published.keys))
    }

    /// The fetch to wait for, if there is one.
    fn fetch_for(&self, identifier: &str) -> Option<Waiting<(), ()>> {
        let source = self.source.as_ref()?;
        let mut published = lock(&self.published);
        let (good_for, again_after) = match published.keys.has(identifier) {
            true => (GOOD_FOR, FETCH_EVERY),
            false => (FETCH_EVERY, PATIENCE),
        };
        let now = Now::of(&*self.clock);
        if is_lately(good_for, published.fetched_at, now) {
            return None;
        }
        if let Some(under_way) = self.fetches.join_any(&()) {
            return Some(under_way);
        }
        if is_lately(again_after, published.asked_at, now) {
            return None;
        }
        published.asked_at = Some(now);
        let (source, clock) = (Arc::clone(source), Arc::clone(&self.clock));
        let start = || fetch(source, clock, Arc::clone(&self.published));
        let fetch = self.fetches.join((), start);
        *lock(&self.held) = self.fetches.join_any(&());
        Some(fetch)
    }
}

fn is_lately(limit: Duration, at: Option<Now>, now: Now) -> bool {
    at.is_some_and(|at| now.is_within(limit, at))
}

async fn fetch(
    source: Arc<dyn GithubKeySource>,
    clock: Arc<dyn Clock>,
    published: Arc<Mutex<Published>>,
) {
    let keys = Box::pin(async { source.fetch().await });
    if let Ok(Ok(keys)) = within(PATIENCE, keys).await {
        let mut published = lock(&published);
        published.keys = Arc::new(keys);
        published.fetched_at = Some(Now::of(&*clock));
    }
}
