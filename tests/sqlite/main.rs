//! The SQLite store: what it adds to the contract, and what it promises of its file.
#![cfg(feature = "sqlite")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod by_hand;
#[cfg(feature = "conformance")]
mod contract;
mod crash;
mod damage;
mod locks;
mod opening;
mod records;
mod sharing;
mod support;
