use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Timestamp;
use crate::store::StoreError;
use crate::telemetry;
use crate::waiters::lock;

/// How the change feed of a gate does.
///
/// Without a live feed nothing opens that should not: records are then used for a second, and the
/// store is asked more often.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ChangeFeedStatus {
    /// The store has none.
    Absent,
    /// It is being connected, or connected again.
    Down {
        /// Since when: the last heartbeat.
        since: Timestamp,
        /// Why it broke; `None` before it was first heard of, and while it is only silent.
        error: Option<StoreError>,
    },
    /// Heartbeats come through: changes are told as they happen.
    Live,
    /// Nobody follows it: the future of [`Keygate::run`](crate::Keygate::run) is not running.
    NotFollowed,
}

/// What is known of a feed that is followed.
pub(crate) struct FeedHealth {
    realm: Box<str>,
    state: Mutex<State>,
    beats: AtomicU64,
}

struct State {
    /// The last heartbeat, or when there was to be a first one.
    heard_at: Timestamp,
    is_live: bool,
    error: Option<StoreError>,
}

impl FeedHealth {
    /// Of a feed that nobody has heard of yet. `realm` tells the gates of a process apart.
    pub(crate) fn new(since: Timestamp, realm: &str) -> Self {
        Self {
            realm: realm.into(),
            state: Mutex::new(State {
                heard_at: since,
                is_live: false,
                error: None,
            }),
            beats: AtomicU64::new(0),
        }
    }

    /// A heartbeat has come through.
    pub(crate) fn beat(&self, now: Timestamp) {
        lock(&self.state).heard_at = now;
        self.beats.fetch_add(1, Ordering::SeqCst);
    }

    /// How many heartbeats have come through so far.
    pub(crate) fn beats(&self) -> u64 {
        self.beats.load(Ordering::SeqCst)
    }

    /// Whether a heartbeat has come through since it broke last.
    pub(crate) fn is_live(&self) -> bool {
        lock(&self.state).is_live
    }

    pub(crate) fn came_alive(&self) {
        let mut state = lock(&self.state);
        (state.is_live, state.error) = (true, None);
        telemetry::feed_came_alive(&self.realm);
    }

    /// The feed broke, or could not be connected.
    pub(crate) fn broke(&self, error: StoreError) {
        telemetry::feed_broke(&self.realm, &error);
        let mut state = lock(&self.state);
        (state.is_live, state.error) = (false, Some(error));
    }

    /// Nobody follows the feed any more.
    pub(crate) fn is_left(&self) {
        lock(&self.state).is_live = false;
        telemetry::feed_is_left(&self.realm);
    }

    /// What is to be said of it while it is not live.
    pub(crate) fn down(&self) -> ChangeFeedStatus {
        let state = lock(&self.state);
        ChangeFeedStatus::Down {
            since: state.heard_at,
            error: state.error.clone(),
        }
    }
}
