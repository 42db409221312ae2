//! How keys are used, counted without a write per request.
//!
//! Each thread counts in a table of its own ([`tally`]). A [`Ledger`] empties the tables now and then
//! and hands what they held to the store, in numbered batches.

mod ledger;
mod meter;
pub(crate) mod since;
mod tally;

pub(crate) use ledger::{Ledger, Limits};
pub(crate) use meter::Meter;
pub(crate) use tally::{Event, Needs};
