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
//! use keygate::testing::{Fault, FaultyStore, ManualClock};
//! use keygate::{Attempt, Keygate, MemoryStore, NewKey, Pepper, Refusal, Rejection, StoreErrorKind};
//!
//! let (clock, store) = (ManualClock::new(), Arc::new(FaultyStore::new(MemoryStore::new())));
//! let pepper = Pepper::from_base64(&Pepper::generate_base64()?)?;
//! let keys = Keygate::builder("acme_test").pepper(pepper);
//! let keys = keys.store(Arc::clone(&store)).clock(clock.clone()).build().await?;
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

pub use clock::ManualClock;
pub use door::Door;
pub use principal::{PrincipalBuilder, principal};
#[cfg(feature = "axum")]
pub use routes::{RouteCheck, RouteFault, RouteFaults};
pub use store::{Calls, Fault, FaultyStore};
