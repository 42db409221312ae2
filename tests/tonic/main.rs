//! The guards on tonic: who is let in, and what the others are told.

#![cfg(feature = "tonic")]

#[path = "../common/mod.rs"]
mod common;
#[cfg(feature = "axum")]
#[allow(dead_code, reason = "its main function is for a process of its own")]
#[path = "../../examples/grpc/main.rs"]
mod grpc_example;
#[path = "../../examples/grpc/orders.rs"]
mod orders;

#[cfg(feature = "axum")]
mod example;
mod generated;
mod handlers;
mod methods;
#[cfg(feature = "axum")]
mod one_port;
mod refusals;
#[cfg(feature = "axum")]
mod route_check;
mod streams;
mod support;
mod tried;
mod web;
mod wire;
