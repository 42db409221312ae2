//! A service on the keys of a world, and what its callers do.

use keygate::{Attempt, Keygate, Rule};

use crate::support::World;

pub(crate) struct Service(Keygate);

impl Service {
    pub(crate) async fn start(world: &World) -> Self {
        Self(world.gate().await.build().await.unwrap())
    }

    /// Whether a key opens what asks for this scope.
    pub(crate) async fn opens(&self, text: &str, scope: &str) -> bool {
        let caller = self.0.authenticator().authenticate(Attempt::new(text));
        let rule = Rule::all([scope]).unwrap();
        caller
            .await
            .is_ok_and(|caller| caller.authorize(&rule).is_ok())
    }

    /// It ends, and what it has counted is with the store.
    pub(crate) async fn stop(self) {
        self.0.shutdown().await;
    }
}

/// Whether a service that starts now lets this key in for this scope.
pub(crate) async fn opens(world: &World, text: &str, scope: &str) -> bool {
    let service = Service::start(world).await;
    let opens = service.opens(text, scope).await;
    service.stop().await;
    opens
}
