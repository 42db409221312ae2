//! Dropping a future while it waits.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

/// Drops the future when it was polled `polls` times and is still not ready.
pub(crate) async fn drop_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test]
    async fn a_future_is_dropped_after_exactly_so_many_polls() {
        for polls in 0..4 {
            let began = Mutex::new(0);
            let work = async {
                for _ in 0..2 {
                    *began.lock().unwrap() += 1;
                    tokio::task::yield_now().await;
                }
            };
            let done = drop_after(polls, work).await.is_some();
            assert_eq!((done, *began.lock().unwrap()), (polls == 3, polls.min(2)));
        }
    }
}
