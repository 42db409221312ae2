//! The program `keygate` as operators run it: its own process, real stores, pipes and terminals.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod documented;
mod help;
mod init;
mod issue;
mod list;
mod retention;
#[path = "../common/servers/mod.rs"]
mod servers;
mod support;
mod terminal;
