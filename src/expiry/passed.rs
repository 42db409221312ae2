//! Whether this clock is behind, by what others wrote.

use super::MARGIN;
use crate::clock::Timestamp;
use crate::store::{KeyStore, StoreError, StoreErrorKind};
use crate::telemetry;
use crate::usage::since;

/// A moment that has passed, by what is in the store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passed {
    pub(crate) at: Timestamp,
    /// What says so, and what to do if that is wrong.
    pub(crate) by: &'static str,
}

impl Passed {
    const SWEPT: &'static str =
        "the setting keygate/expiry_notifier: set the clock right, or delete the setting";
    const COUNTED: &'static str =
        "the setting keygate/usage_counted_since_ms: set the clock right, or correct the setting";
    pub(crate) const MADE: &'static str =
        "when the secret was made: set the clock right, or rotate the key";

    /// What others left in the settings: when the last sweep began, and since when usage is counted.
    pub(super) async fn by_settings(
        store: &dyn KeyStore,
        swept_at: Option<Timestamp>,
    ) -> Result<Vec<Self>, StoreError> {
        let counted_since = match since::counted_since(store).await {
            // It says nothing, and that is no reason to leave all keys unlooked at.
            Err(error) if error.kind() == StoreErrorKind::Corrupt => {
                let what = "whether the clock is behind is not read from the usage";
                telemetry::expiry_trouble(what, None, &error);
                None
            }
            since => since?,
        };
        let of = |at: Option<Timestamp>, by| at.map(|at| Self { at, by });
        let all = [of(swept_at, Self::SWEPT), of(counted_since, Self::COUNTED)];
        Ok(all.into_iter().flatten().collect())
    }

    /// Whether a clock that says `now` can be believed.
    pub(crate) fn check(self, now: Timestamp) -> Result<(), ClockBehind> {
        let Self { at, by } = self;
        match at.saturating_since(now) > MARGIN {
            true => Err(ClockBehind { now, at, by }),
            false => Ok(()),
        }
    }
}

/// By such a clock a secret could be given an end that lies in the past.
#[derive(Debug, thiserror::Error)]
#[error("the clock says {now}, and {at} has passed, by {by}")]
pub(crate) struct ClockBehind {
    now: Timestamp,
    at: Timestamp,
    by: &'static str,
}
