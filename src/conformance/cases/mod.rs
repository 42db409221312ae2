//! The cases, a file for each heading of the contract, and a folder for usage.

mod atomicity;
mod audit;
pub(super) mod by_hand;
mod cancellation;
pub(super) mod damage;
mod expectations;
mod feed;
mod fidelity;
mod finality;
mod lost;
mod missing;
mod order;
mod recorded;
mod settings;
mod usage;
mod versions;
mod visibility;

use super::subject::{Setback, Subject};
use super::together::BoxFuture;
use crate::key::KeyId;

/// One thing that must hold.
pub(super) struct Case {
    pub(super) clause: &'static str,
    pub(super) must_hold: &'static str,
    pub(super) run: for<'a> fn(Subject<'a>) -> BoxFuture<'a, Result<(), Setback>>,
}

/// What is done to a record past the store, and what must hold then.
pub(super) struct Deed {
    /// Writes the records, and says which one it is done to.
    pub(super) fill: for<'a> fn(Subject<'a>) -> BoxFuture<'a, Result<KeyId, Setback>>,
    pub(super) cases: &'static [Case],
    /// The clause, and the name of the case, of the feed that tells of it.
    pub(super) is_told: Option<(&'static str, &'static str)>,
}

pub(super) fn all() -> impl Iterator<Item = &'static Case> {
    let files = [
        atomicity::CASES,
        expectations::CASES,
        versions::CASES,
        finality::CASES,
        visibility::CASES,
        missing::CASES,
        fidelity::CASES,
        order::CASES,
        cancellation::CASES,
        lost::CASES,
        audit::CASES,
        recorded::CASES,
        settings::CASES,
        feed::CASES,
    ];
    files.into_iter().chain(usage::CASES).flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_name_means_one_case() {
        let names: Vec<&str> = all()
            .chain(damage::DEED.cases)
            .chain(by_hand::CHANGE.cases)
            .chain(by_hand::UNREVOKE.cases)
            .map(|case| case.must_hold)
            .collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    }
}
