//! Concurrency without a runtime: futures that are polled by one task.

use std::future::poll_fn;
use std::pin::Pin;
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
}
