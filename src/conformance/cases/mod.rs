//! The cases, a file for each heading of the contract.

mod atomicity;
mod audit;
mod cancellation;
pub(super) mod damage;
mod expectations;
mod fidelity;
mod finality;
mod missing;
mod order;
mod settings;
mod versions;
mod visibility;

use super::subject::{Setback, Subject};
use super::together::BoxFuture;

/// One thing that must hold.
pub(super) struct Case {
    pub(super) clause: &'static str,
    pub(super) must_hold: &'static str,
    pub(super) run: for<'a> fn(Subject<'a>) -> BoxFuture<'a, Result<(), Setback>>,
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
        audit::CASES,
        settings::CASES,
    ];
    files.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_name_means_one_case() {
        let names: Vec<&str> = all()
            .chain(damage::CASES)
            .map(|case| case.must_hold)
            .collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    }
}
