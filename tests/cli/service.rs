//! A service on the keys of a world: today, or at a time that is set by hand. And what its callers do.

use std::time::Duration;

use keygate::testing::ManualClock;
use keygate::{Attempt, Clock as _, Issued, Keygate, NewKey, Refusal, Rule, SystemClock};

use crate::support::World;

pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) struct Service {
    pub(crate) keys: Keygate,
}

impl Service {
    /// It starts now, and counts how keys are used.
    pub(crate) async fn start(world: &World) -> Self {
        let keys = world.gate().await.build().await.unwrap();
        Self { keys }
    }

    /// It began so long ago, by a clock that is set by hand.
    pub(crate) async fn begin(world: &World, ago: Duration) -> (Self, ManualClock) {
        let clock = ManualClock::new();
        let now = SystemClock.wall().as_unix_millis();
        let ago = i64::try_from(ago.as_millis()).unwrap();
        clock.step_wall(now - ago - clock.wall().as_unix_millis());
        let keys = world.gate().await.clock(clock.clone()).build();
        let keys = keys.await.unwrap();
        (Self { keys }, clock)
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

    /// Whether a key opens what asks for this scope.
    pub(crate) async fn opens(&self, text: &str, scope: &str) -> bool {
        self.request(text, scope).await.is_ok()
    }

    /// It ends, and what it has counted and noted is with the store.
    pub(crate) async fn stop(self) {
        self.keys.shutdown().await;
    }
}

/// Whether a service that starts now lets this key in for this scope.
pub(crate) async fn opens(world: &World, text: &str, scope: &str) -> bool {
    let service = Service::start(world).await;
    let opens = service.opens(text, scope).await;
    service.stop().await;
    opens
}

/// A key of this owner, which may read and write orders, and does not end.
pub(crate) fn lasting(owner: &str, name: &str) -> NewKey {
    let new = NewKey::for_owner(owner).name(name);
    new.scopes(["orders:read,write"]).never_expires()
}
