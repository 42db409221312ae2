use std::fmt;

/// What a store made of each case. Its `Display` has a line for each.
#[derive(Clone, Debug)]
#[must_use = "a report that nobody looks at checks nothing"]
pub struct Report {
    cases: Vec<CaseReport>,
}

/// What a store made of one case.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CaseReport {
    /// The heading of the contract that it belongs to.
    pub clause: &'static str,
    /// What must hold. It names the case.
    pub must_hold: &'static str,
    /// Whether it did.
    pub outcome: Outcome,
}

/// How a case ended.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// It does not hold: what was seen instead.
    Failed(String),
    /// It holds.
    Ok,
    /// It was not checked: why.
    Skipped(String),
}

impl Report {
    pub(super) fn new() -> Self {
        Self { cases: Vec::new() }
    }

    pub(super) fn push(&mut self, case: CaseReport) {
        self.cases.push(case);
    }

    /// Every case, in the order in which they ran.
    pub fn cases(&self) -> &[CaseReport] {
        &self.cases
    }

    /// The cases that failed.
    pub fn failures(&self) -> impl Iterator<Item = &CaseReport> {
        let failed = |case: &&CaseReport| matches!(case.outcome, Outcome::Failed(_));
        self.cases.iter().filter(failed)
    }

    /// Whether no case failed. Skipped cases are no failures.
    pub fn is_ok(&self) -> bool {
        self.failures().next().is_none()
    }

    /// For tests: nothing, if no case failed.
    ///
    /// # Panics
    /// With the whole report, if a case failed.
    #[track_caller]
    #[expect(clippy::panic, reason = "the way of a test to fail")]
    pub fn assert_ok(&self) {
        if !self.is_ok() {
            panic!("the store does not keep the contract\n{self}");
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for case in &self.cases {
            writeln!(f, "{case}")?;
        }
        let skipped = |case: &&CaseReport| matches!(case.outcome, Outcome::Skipped(_));
        let (failed, skipped) = (
            self.failures().count(),
            self.cases.iter().filter(skipped).count(),
        );
        let ok = self.cases.len() - failed - skipped;
        write!(f, "{ok} ok, {failed} failed, {skipped} skipped")
    }
}

impl fmt::Display for CaseReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            clause,
            must_hold,
            outcome,
        } = self;
        match outcome {
            Outcome::Failed(seen) => {
                write!(f, "FAILED   {clause}: {must_hold}")?;
                write!(f, "\n         seen instead: {seen}")
            }
            Outcome::Ok => write!(f, "ok       {clause}: {must_hold}"),
            Outcome::Skipped(why) => write!(f, "skipped  {clause}: {must_hold} ({why})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(outcomes: &[Outcome]) -> Report {
        let mut report = Report::new();
        for outcome in outcomes {
            report.push(CaseReport {
                clause: "Order",
                must_hold: "pages are pages",
                outcome: outcome.clone(),
            });
        }
        report
    }

    #[test]
    fn a_report_has_a_line_for_each_case_and_the_sum() {
        let report = report(&[
            Outcome::Ok,
            Outcome::Failed("list answered 3 records".into()),
            Outcome::Skipped("the store has no pages".into()),
        ]);
        assert_eq!(
            report.to_string(),
            "ok       Order: pages are pages\n\
             FAILED   Order: pages are pages\n         seen instead: list answered 3 records\n\
             skipped  Order: pages are pages (the store has no pages)\n\
             1 ok, 1 failed, 1 skipped"
        );
        assert_eq!(report.failures().count(), 1);
        assert!(!report.is_ok());
    }

    #[test]
    fn a_skipped_case_is_no_failure() {
        let report = report(&[Outcome::Ok, Outcome::Skipped("absent".into())]);
        assert!(report.is_ok());
        report.assert_ok();
    }

    #[test]
    #[should_panic(expected = "seen instead: nothing")]
    fn an_assertion_shows_what_failed() {
        report(&[Outcome::Failed("nothing".into())]).assert_ok();
    }
}
