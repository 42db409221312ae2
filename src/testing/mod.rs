//! For your own tests.

#[cfg(feature = "axum")]
mod routes;

#[cfg(feature = "axum")]
pub use routes::{RouteCheck, RouteFault, RouteFaults};
