//! The PostgreSQL store on servers that the tests start: what it adds to the contract, what it
//! promises of its tables and its feed, and how it bears faults.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

#[path = "../common/servers/mod.rs"]
mod servers;

mod answers;
#[path = "../common/leaked.rs"]
mod leaked;
#[path = "../common/watched.rs"]
mod watched;

mod by_hand;
mod contract;
mod counting;
mod damage;
mod expiry;
mod faults;
mod feed;
#[path = "../common/imported.rs"]
mod imported;
mod imports;
#[path = "../common/notices.rs"]
mod notices;
mod opening;
mod peppers;
mod pooler;
mod records;
#[path = "../common/peppers.rs"]
mod rotated;
mod support;
mod usage;
