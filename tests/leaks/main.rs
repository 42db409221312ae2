//! Keys where they do not belong: found in text and streams, masked in logs, found by other scanners.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a helper that fails fails its test"
)]

#[path = "../common/mod.rs"]
mod common;

mod corpus;
mod gitleaks;
mod logs;
mod pasted;
mod redaction;
mod rules;
mod scanning;
mod streams;
