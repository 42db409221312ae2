//! The program `keygate` as operators run it: its own process, real stores, pipes and terminals.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod audit;
#[path = "../common/mod.rs"]
mod common;
mod init;
mod issue;
mod list;
mod past;
mod report;
mod retention;
#[path = "../common/servers/mod.rs"]
mod servers;
mod support;
mod terminal;
mod verify;
