//! The guards on tonic: who is let in, and what the others are told.

#![cfg(feature = "tonic")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../../examples/grpc/orders.rs"]
mod orders;

mod generated;
mod handlers;
mod methods;
#[cfg(feature = "axum")]
mod one_port;
mod refusals;
mod support;
mod web;
mod wire;
