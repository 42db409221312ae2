//! tonic 0.14: the [middleware](crate::tower) with rules for methods, and gRPC answers.

mod request;
mod status;

pub use crate::guard::MethodRules;
pub use request::RequestExt;
