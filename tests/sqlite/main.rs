//! The SQLite store: what it adds to the contract, and what it promises of its file.
#![cfg(feature = "sqlite")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod answers;
mod audit;
#[path = "../common/leaked.rs"]
mod leaked;
#[path = "../common/watched.rs"]
mod watched;

mod by_hand;
#[cfg(feature = "conformance")]
mod contract;
mod crash;
mod damage;
mod expiry;
mod feed;
#[path = "../common/imported.rs"]
mod imported;
mod imports;
mod locks;
#[path = "../common/notices.rs"]
mod notices;
mod opening;
mod peppers;
mod records;
#[cfg(unix)]
mod replaced;
#[path = "../common/peppers.rs"]
mod rotated;
mod sharing;
mod support;
mod usage;
