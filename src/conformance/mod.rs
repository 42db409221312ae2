//! Checks a [`KeyStore`] against its contract, clause by clause.
//!
//! ```
//! use keygate::{MemoryStore, conformance};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let report = conformance::check(async || MemoryStore::new()).await;
//! println!("{report}"); // a line for each case
//! report.assert_ok(); // in a test: panics with the report
//! # }
//! ```
//!
//! | entry | what it needs | what it checks |
//! |---|---|---|
//! | [`check`] | an empty store for each case | every clause that shows from outside |
//! | [`check_shared`] | two stores on the same data | the same, writing with one and reading with the other |
//! | [`check_damaged`] | a way to damage a stored record | what damage does to a read |
//! | [`check_by_hand`] | a way to change a stored record past the store | that the change is seen, told, and not written over |
//! | [`check_final_by_hand`] | an attempt to take a revocation back past the store | that it stays |
//!
//! Run the first on every store, the second on every store that several processes can open, and the
//! third on every store that can hold a record it cannot read. The last two are for stores whose
//! records somebody can change by hand, as in an SQL console, and that say what becomes of it.
//!
//! # How it runs
//! 1. Everything happens in the caller's task, so a store finds the runtime that it needs. The suite
//!    brings none.
//! 2. Each case gets a store of its own, which must be empty: no record, event, setting or usage.
//! 3. A case that fails does not stop the next, nor does a store that panics. A case that takes more
//!    than a minute has failed.
//! 4. What a store has no [ability](crate::store::Abilities) for is skipped, and the report says so.
//!
//! # What it cannot check
//! - **Durability**, and what a store answers during an outage, and how soon: pull a plug.
//! - **Parallelism**: operations are interleaved in one task wherever they wait, which finds a check
//!   that is separate from its change. What only meets on two processors takes a test with threads.
//! - A store that blocks its thread for ever: no limit of time is noticed then.
//! - That a [`ChangeFeed`](crate::store::ChangeFeed) is prompt, and that it breaks where it has to: cut
//!   its connection, and freeze what it listens to.
//!
//! Its records are what keygate itself can write, up to the limits of every field. Versions go up to
//! `i64::MAX`, the largest that most databases hold.
//!
//! # Under faults
//! Answers that are late, and reads that are dropped and asked again, must not change what the suite
//! says of a store. To see that, run it on yours within a `FaultyStore` of the feature `testing`: with
//! `Fault::Delay` for any call, and with `Fault::Drop` for those that read. Writes whose answer is lost
//! are among the cases.

mod cases;
mod difference;
mod ear;
mod records;
mod report;
mod subject;
mod together;

pub use report::{CaseReport, Outcome, Report};

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use futures_timer::Delay;

use crate::key::KeyId;
use crate::store::KeyStore;
use cases::Deed;
use subject::{Setback, Subject};

/// A case does a few hundred operations at most, and a store answers each within seconds.
const CASE_LIMIT: Duration = Duration::from_secs(60);

/// Checks the stores that `new_store` makes, one for each case, against every clause of the
/// contract. Each must be empty.
pub async fn check<S: KeyStore>(new_store: impl AsyncFn() -> S) -> Report {
    let mut report = Report::new();
    for case in cases::all() {
        let store = new_store().await;
        let verdict = guarded(CASE_LIMIT, (case.run)(Subject::new(&store, &store))).await;
        report.add((case.clause, case.must_hold), verdict);
    }
    report
}

/// As [`check`], with two stores on the same data: what one wrote is read with the other, and both
/// compete for the same keys.
///
/// Without anything else shared between them, this is what two processes would see.
pub async fn check_shared<S: KeyStore>(open_two: impl AsyncFn() -> (S, S)) -> Report {
    let mut report = Report::new();
    for case in cases::all() {
        let (one, other) = open_two().await;
        let verdict = guarded(CASE_LIMIT, (case.run)(Subject::new(&one, &other))).await;
        report.add((case.clause, case.must_hold), verdict);
    }
    report
}

/// Checks what becomes of a record that cannot be read. `damage` makes the stored record of an id
/// unreadable, past the store; the id itself stays legible.
///
/// ```
/// # use keygate::conformance::{Report, check_damaged};
/// # use keygate::{KeyId, KeyStore};
/// # trait Rows { async fn overwrite_body(&self, id: &str, body: &[u8]); }
/// # async fn run<MyStore: KeyStore + Rows>(open: impl AsyncFn() -> MyStore) -> Report {
/// check_damaged(open, async |store: &MyStore, id: &KeyId| {
///     store.overwrite_body(id.as_str(), b"damaged").await;
/// })
/// .await
/// # }
/// ```
pub async fn check_damaged<S: KeyStore>(
    new_store: impl AsyncFn() -> S,
    damage: impl AsyncFn(&S, &KeyId),
) -> Report {
    past_the_store(new_store, &cases::damage::DEED, damage).await
}

/// Checks what becomes of a record that is changed by hand, as in an SQL console. `change` alters the
/// name of the stored record of an id, past the store.
///
/// ```
/// # use keygate::conformance::{Report, check_by_hand};
/// # use keygate::{KeyId, KeyStore};
/// # trait Console { async fn run(&self, sql: String); }
/// # async fn run<MyStore: KeyStore + Console>(open: impl AsyncFn() -> MyStore) -> Report {
/// check_by_hand(open, async |store: &MyStore, id: &KeyId| {
///     store.run(format!("UPDATE keys SET name = 'by hand' WHERE id = '{id}'")).await;
/// })
/// .await
/// # }
/// ```
pub async fn check_by_hand<S: KeyStore>(
    new_store: impl AsyncFn() -> S,
    change: impl AsyncFn(&S, &KeyId),
) -> Report {
    past_the_store(new_store, &cases::by_hand::CHANGE, change).await
}

/// Checks that a revocation cannot be taken back by hand either, for a store that says so.
/// `unrevoke` tries to, past the store, on the stored record of an id; it is to be refused, or to
/// have no effect.
pub async fn check_final_by_hand<S: KeyStore>(
    new_store: impl AsyncFn() -> S,
    unrevoke: impl AsyncFn(&S, &KeyId),
) -> Report {
    past_the_store(new_store, &cases::by_hand::UNREVOKE, unrevoke).await
}

/// Each case on a store in which something was done to a record.
async fn past_the_store<S: KeyStore>(
    new_store: impl AsyncFn() -> S,
    deed: &'static Deed,
    done: impl AsyncFn(&S, &KeyId),
) -> Report {
    let mut report = Report::new();
    for case in deed.cases {
        let store = new_store().await;
        let subject = Subject::new(&store, &store);
        let verdict = match guarded(CASE_LIMIT, (deed.fill)(subject)).await {
            Ok(id) => {
                done(&store, &id).await;
                guarded(CASE_LIMIT, (case.run)(subject)).await
            }
            Err(setback) => Err(setback),
        };
        report.add((case.clause, case.must_hold), verdict);
    }
    if let Some(case) = deed.is_told {
        let store = new_store().await;
        let subject = Subject::new(&store, &store);
        let verdict = match guarded(CASE_LIMIT, (deed.fill)(subject)).await {
            Ok(id) => {
                let done = done(&store, &id);
                guarded(CASE_LIMIT, cases::by_hand::is_told(subject, &id, done)).await
            }
            Err(setback) => Err(setback),
        };
        report.add(case, verdict);
    }
    report
}

impl Report {
    fn add(
        &mut self,
        (clause, must_hold): (&'static str, &'static str),
        verdict: Result<(), Setback>,
    ) {
        self.push(CaseReport {
            clause,
            must_hold,
            outcome: match verdict {
                Ok(()) => Outcome::Ok,
                Err(Setback::Failed(seen)) => Outcome::Failed(seen),
                Err(Setback::Skipped(why)) => Outcome::Skipped(why.into()),
            },
        });
    }
}

/// Ends with a failure instead of a panic, or of no end at all.
async fn guarded<T>(
    limit: Duration,
    case: impl Future<Output = Result<T, Setback>>,
) -> Result<T, Setback> {
    let mut case = pin!(case);
    let mut deadline = pin!(Delay::new(limit));
    std::future::poll_fn(|context| {
        // What the case borrows is not used again after a panic.
        let polled = catch_unwind(AssertUnwindSafe(|| case.as_mut().poll(context)));
        match polled.map_err(|payload| panicked(&*payload)) {
            Ok(Poll::Ready(verdict)) => Poll::Ready(verdict),
            Err(setback) => Poll::Ready(Err(setback)),
            Ok(Poll::Pending) => deadline.as_mut().poll(context).map(|()| {
                let seen = format!("no answer within {} seconds", limit.as_secs());
                Err(Setback::Failed(seen))
            }),
        }
    })
    .await
}

fn panicked(payload: &(dyn Any + Send)) -> Setback {
    let message = match payload.downcast_ref::<&str>() {
        Some(literal) => Some(*literal),
        None => payload.downcast_ref::<String>().map(String::as_str),
    };
    let message = message.unwrap_or("without a message");
    Setback::Failed(format!("the store panicked: {message}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn guard_briefly(case: impl Future<Output = Result<(), Setback>>) -> Result<(), Setback> {
        guarded(Duration::from_millis(20), case).await
    }

    #[tokio::test]
    async fn a_case_that_never_ends_has_failed() {
        let verdict = guard_briefly(std::future::pending()).await;
        assert!(matches!(verdict, Err(Setback::Failed(seen)) if seen.contains("no answer")));
    }

    #[tokio::test]
    async fn a_panic_is_a_failure_that_repeats_its_message() {
        for verdict in [
            guard_briefly(async { panic!("spilt milk") }).await,
            guard_briefly(async { panic!("spilt {}", "milk") }).await,
        ] {
            assert!(matches!(verdict, Err(Setback::Failed(seen)) if seen.contains("spilt milk")));
        }
    }
}
