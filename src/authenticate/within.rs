use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use futures_timer::Delay;

/// Why work has no output.
pub(crate) enum Lost {
    Panicked,
    TooSlow,
}

/// The output of `work`, if it comes within `limit`. No timer is set for work that is done at once.
/// A panic ends the work, and not those who wait for it.
pub(crate) async fn within<F: Future + Unpin>(
    limit: Duration,
    mut work: F,
) -> Result<F::Output, Lost> {
    let mut deadline = None;
    poll_fn(move |context| {
        // What panicked is not used again.
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut work).poll(context)));
        match polled {
            Err(_) => return Poll::Ready(Err(Lost::Panicked)),
            Ok(Poll::Ready(output)) => return Poll::Ready(Ok(output)),
            Ok(Poll::Pending) => {}
        }
        let deadline = deadline.get_or_insert_with(|| Delay::new(limit));
        Pin::new(deadline)
            .poll(context)
            .map(|()| Err(Lost::TooSlow))
    })
    .await
}
