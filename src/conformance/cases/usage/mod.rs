//! How keys are used: what is added up, what is added once, and what is asked for by day and owner.

mod batches;
mod counts;
mod days;
mod keys;
mod owners;
mod records;

use super::Case;

const CLAUSE: &str = "Usage";

pub(super) const CASES: [&[Case]; 5] = [
    records::CASES,
    keys::CASES,
    batches::CASES,
    days::CASES,
    owners::CASES,
];
