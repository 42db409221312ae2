//! The Redis store, on servers that the tests start.

#![cfg(feature = "redis")]
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "these are tests"
)]

mod answers;
#[path = "../common/leaked.rs"]
mod leaked;
#[path = "../common/watched.rs"]
mod watched;

mod by_hand;
#[cfg(feature = "conformance")]
mod contract;
mod damage;
mod expiry;
mod faults;
mod feed;
#[path = "../common/imported.rs"]
mod imported;
mod imports;
mod limiter;
#[path = "../common/notices.rs"]
mod notices;
mod opening;
mod peppers;
mod propagation;
mod proxy;
mod records;
#[path = "../common/peppers.rs"]
mod rotated;
#[path = "../common/servers/mod.rs"]
mod servers;
mod support;
#[cfg(feature = "redis-tls")]
mod tls;
mod usage;
