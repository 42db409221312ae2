//! tonic 0.14: the [middleware](crate::tower) with rules for methods, and gRPC answers.

mod dialect;
mod methods;

pub(crate) use dialect::Dialect;
pub use methods::MethodRules;
