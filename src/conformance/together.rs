//! Concurrency without a runtime: futures that are polled by one task.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

pub(super) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Drives all of them at once, and answers in their order.
pub(super) async fn join_all<'a, T>(futures: impl IntoIterator<Item = BoxFuture<'a, T>>) -> Vec<T> {
    let mut seats: Vec<Seat<'a, T>> = futures.into_iter().map(Seat::UnderWay).collect();
    poll_fn(|context| {
        let mut pending = false;
        for seat in &mut seats {
            if let Seat::UnderWay(future) = seat {
                match future.as_mut().poll(context) {
                    Poll::Ready(output) => *seat = Seat::Done(output),
                    Poll::Pending => pending = true,
                }
            }
        }
        match pending {
            true => Poll::Pending,
            false => Poll::Ready(()),
        }
    })
    .await;
    let output = |seat| match seat {
        Seat::Done(output) => Some(output),
        Seat::UnderWay(_) => None,
    };
    seats.into_iter().filter_map(output).collect()
}

enum Seat<'a, T> {
    UnderWay(BoxFuture<'a, T>),
    Done(T),
}

/// Drops the future when it was polled `polls` times and is still not ready.
pub(super) async fn drop_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
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
    async fn all_are_under_way_at_once_and_answer_in_their_order() {
        let steps = Mutex::new(Vec::new());
        let worker = |n: usize| -> BoxFuture<'_, usize> {
            let steps = &steps;
            Box::pin(async move {
                for step in 0..2 {
                    steps.lock().unwrap().push((step, n));
                    tokio::task::yield_now().await;
                }
                n
            })
        };
        assert_eq!(join_all([worker(0), worker(1)]).await, [0, 1]);
        assert_eq!(*steps.lock().unwrap(), [(0, 0), (0, 1), (1, 0), (1, 1)]);
    }

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
