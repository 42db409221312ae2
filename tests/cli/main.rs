//! The program `keygate` as operators run it: its own process, real stores, pipes and terminals.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod change;
mod init;
mod issue;
mod leak;
mod life;
mod list;
mod pause;
mod retention;
mod revoke;
mod rotate;
mod scopes;
#[path = "../common/servers/mod.rs"]
mod servers;
mod show;
mod support;
mod terminal;
mod traffic;
