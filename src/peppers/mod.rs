//! Where the peppers come from, whether all instances agree on them, and how they are replaced while
//! requests run.

mod check;
mod in_use;
mod provider;
mod reload;

pub(crate) use check::{Demand, PepperCheckError, check_peppers};
pub(crate) use in_use::{is_in_use, retire};
pub use provider::{PepperFile, PepperProvider};
pub use reload::PeppersError;
pub(crate) use reload::{PepperSource, Reloader, Turn};
