//! The program `keygate` as operators run it: its own process, real stores, pipes and terminals.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod errors;
mod hostile;
mod init;
mod issue;
mod list;
mod pipes;
mod retention;
#[path = "../common/servers/mod.rs"]
mod servers;
mod settings;
mod signals;
mod support;
mod terminal;
