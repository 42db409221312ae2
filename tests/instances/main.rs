//! Whole instances on real servers: herds, floods, servers that are frozen or die, and instances
//! that are frozen themselves.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a helper that fails fails its test"
)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/servers/mod.rs"]
mod servers;

mod child;
mod frozen;
mod herds;
mod limits;
mod outages;
mod place;
