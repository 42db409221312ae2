//! The Redis store, on servers that the tests start.

#![cfg(feature = "redis")]
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "these are tests"
)]

#[cfg(feature = "conformance")]
mod contract;
mod feed;
mod opening;
#[path = "../common/servers/mod.rs"]
mod servers;
mod support;
