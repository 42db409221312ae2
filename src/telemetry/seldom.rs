use std::sync::Mutex;
use std::time::Duration;

use crate::clock::Now;
use crate::waiters::lock;

const PAUSE: Duration = Duration::from_secs(60);

/// Has something said once a minute at most, which comes with many requests and is not to fill the log.
#[derive(Default)]
pub(crate) struct Seldom {
    said: Mutex<Option<Now>>,
}

impl Seldom {
    /// Whether it is to be said now.
    pub(crate) fn is_due(&self, now: Now) -> bool {
        let mut said = lock(&self.said);
        let is_due = said.is_none_or(|said| !now.is_within(PAUSE, said));
        if is_due {
            *said = Some(now);
        }
        is_due
    }
}
