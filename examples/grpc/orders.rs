//! What `orders.proto` makes. The code is committed, so no compiler of protobuf is needed, and a
//! test sees to it that it is not out of date.

#![allow(clippy::all, missing_docs, unreachable_pub)]

include!("orders.v1.rs");

/// The same as data, for reflection.
#[allow(dead_code)]
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("orders.v1.bin");
