//! The program `keygate` as operators run it: its own process, real stores, pipes and terminals.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod catalogue;
#[path = "../common/mod.rs"]
mod common;
mod import;
mod init;
mod issue;
mod list;
mod pepper;
mod retention;
mod rules;
mod scan;
#[path = "../common/servers/mod.rs"]
mod servers;
mod support;
mod terminal;
