use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_timer::Delay;

/// Why work has no output.
pub(crate) enum Lost {
    Panicked,
    TooSlow,
}

/// The output of `work`; `None`: it panicked, which ends it, and not those who wait for it.
pub(crate) async fn caught<F: Future + Unpin>(mut work: F) -> Option<F::Output> {
    poll_fn(move |context| poll_caught(&mut work, context)).await
}

/// The output of `work`, if it comes within `limit`. No timer is set for work that is done at once.
/// A panic ends the work, and not those who wait for it.
pub(crate) async fn within<F: Future + Unpin>(
    limit: Duration,
    mut work: F,
) -> Result<F::Output, Lost> {
    let mut deadline = None;
    poll_fn(move |context| {
        if let Poll::Ready(output) = poll_caught(&mut work, context) {
            return Poll::Ready(output.ok_or(Lost::Panicked));
        }
        let deadline = deadline.get_or_insert_with(|| Delay::new(limit));
        Pin::new(deadline)
            .poll(context)
            .map(|()| Err(Lost::TooSlow))
    })
    .await
}

fn poll_caught<F: Future + Unpin>(
    work: &mut F,
    context: &mut Context<'_>,
) -> Poll<Option<F::Output>> {
    // What panicked is not used again.
    match catch_unwind(AssertUnwindSafe(|| Pin::new(work).poll(context))) {
        Err(_) => Poll::Ready(None),
        Ok(polled) => polled.map(Some),
    }
}
