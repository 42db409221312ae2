//! The program `keygate` as operators run it: its own process, real stores, pipes and terminals.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod audit;
mod catalogue;
mod change;
#[path = "../common/mod.rs"]
mod common;
mod documented;
mod errors;
mod errors_of_servers;
mod held;
mod help;
mod hostile;
mod import;
mod init;
mod issue;
mod leak;
mod list;
mod pause;
mod pepper;
mod pipes;
mod report;
mod retention;
mod revoke;
mod rotate;
mod rules;
mod scan;
mod scopes;
#[path = "../common/servers/mod.rs"]
mod servers;
mod service;
mod settings;
mod show;
mod signals;
mod stores;
mod support;
mod terminal;
mod verify;
