//! How keys are used: counted without a write per request.

pub(crate) mod since;
