//! A service that ran on the store of a world, at a time that is set by hand.

use std::time::Duration;

use keygate::testing::ManualClock;
use keygate::{Attempt, Clock as _, Issued, Keygate, NewKey, Refusal, Rule, SystemClock};

use crate::support::World;

pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) struct Past {
    pub(crate) keys: Keygate,
    clock: ManualClock,
}

impl Past {
    /// It began so long ago, and counts how keys are used.
    pub(crate) async fn begin(world: &World, ago: Duration) -> Self {
        let clock = ManualClock::new();
        let now = SystemClock.wall().as_unix_millis();
        let ago = i64::try_from(ago.as_millis()).unwrap();
        clock.step_wall(now - ago - clock.wall().as_unix_millis());
        let keys = world.gate().await.clock(clock.clone()).build();
        let keys = keys.await.unwrap();
        Self { keys, clock }
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    pub(crate) async fn issue(&self, new: NewKey) -> Issued {
        self.keys.manager().issue(new).await.unwrap()
    }

    /// A request with this key to a route that asks for `scope`.
    pub(crate) async fn request(&self, text: &str, scope: &str) -> Result<(), Refusal> {
        let rule = Rule::all([scope]).unwrap();
        let attempt = Attempt::new(text).requiring(&rule);
        let decision = self.keys.authenticator().authenticate(attempt);
        decision.await.map(drop)
    }

    /// What it has counted and noted is with the store.
    pub(crate) async fn end(self) {
        self.keys.shutdown().await;
    }
}

/// A key of this owner, which may read and write orders, and does not end.
pub(crate) fn lasting(owner: &str, name: &str) -> NewKey {
    let new = NewKey::for_owner(owner).name(name);
    new.scopes(["orders:read,write"]).never_expires()
}
