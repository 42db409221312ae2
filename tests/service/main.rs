//! The service example as a user runs it: its own process, a real file, real sockets.

#![cfg(all(unix, feature = "axum", feature = "sqlite"))]

mod faults;
mod keys;
mod starting;
mod support;
mod told;
