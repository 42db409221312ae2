//! The service example as a user runs it: its own process, a real file, real sockets.

#![cfg(all(unix, feature = "axum", feature = "sqlite"))]

mod addresses;
mod audit;
mod counted;
mod faults;
#[cfg(all(feature = "postgres", feature = "redis"))]
mod fleet;
#[cfg(all(feature = "postgres", feature = "redis"))]
mod instances;
mod keys;
mod limits;
mod live;
mod reports;
#[cfg(all(feature = "postgres", feature = "redis"))]
#[path = "../common/servers/mod.rs"]
mod servers;
mod starting;
mod support;
mod told;
mod usage;
