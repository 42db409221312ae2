//! The guards on actix-web: who is let in, what they get, and what goes over the wire.

#![cfg(feature = "actix-web")]
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a helper that fails fails its test"
)]

#[path = "../common/mod.rs"]
mod common;
mod errors;
mod extractors;
mod guards;
mod support;
mod wire;
