//! For your own tests: a clock that is set by hand, a store that misbehaves on demand, and
//! principals for handlers that are called without a gate.
//!
//! Switch the feature `testing` on under `[dev-dependencies]` alone.
//!
//! ```
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use keygate::testing::{self, Fault, FaultyStore, ManualClock};
//! use keygate::{Attempt, MemoryStore, NewKey, Refusal, Rejection, StoreErrorKind};
//!
//! let (clock, store) = (ManualClock::new(), Arc::new(FaultyStore::new(MemoryStore::new())));
//! let keys = testing::builder().store(Arc::clone(&store)).clock(clock.clone()).build().await?;
//! let new = NewKey::for_owner("org_42").expires_in(Duration::from_secs(60));
//! let issued = keys.manager().issue(new).await?;
//! let attempt = Attempt::new(issued.key.expose());
//!
//! store.gets.once(Fault::Fail(StoreErrorKind::Unavailable));
//! let refusal = keys.authenticator().authenticate(attempt).await.unwrap_err();
//! assert!(matches!(refusal, Refusal::Failed(_)));
//!
//! clock.advance(Duration::from_secs(60));
//! let refusal = keys.authenticator().authenticate(attempt).await.unwrap_err();
//! assert!(matches!(refusal, Refusal::Rejected(Rejection::KeyExpired)));
//! # Ok(())
//! # }
//! # tokio::runtime::Runtime::new().unwrap().block_on(run()).unwrap();
//! ```

mod clock;
mod door;
mod principal;
#[cfg(feature = "axum")]
mod routes;
mod store;

use crate::builder::Builder;
use crate::keygate::Keygate;
use crate::mac::Pepper;
use crate::store::MemoryStore;

pub use clock::ManualClock;
pub use door::Door;
pub use principal::{PrincipalBuilder, principal};
#[cfg(feature = "axum")]
pub use routes::{RouteCheck, RouteFault, RouteFaults};
pub use store::{Calls, Fault, FaultyStore};

/// Begins a gate with all that it needs: the prefix `acme_test`, a pepper of its own, and keys in
/// memory.
///
/// # Panics
/// When the operating system gives no random bytes.
#[expect(clippy::expect_used, reason = "a test that cannot begin fails")]
pub fn builder() -> Builder {
    let pepper = Pepper::generate_base64().expect("random bytes");
    Keygate::builder("acme_test")
        .pepper(Pepper::from_base64(&pepper).expect("a pepper"))
        .store(MemoryStore::new())
}
