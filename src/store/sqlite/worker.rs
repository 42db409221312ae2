//! A thread that owns a connection, so that no executor waits for a lock or a disk.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::thread;
use std::time::{Duration, Instant};

use futures_channel::oneshot;
use rusqlite::Connection;

use super::error::store_error;
use crate::store::{StoreError, StoreErrorKind};

/// Jobs beyond this many are refused rather than kept waiting.
const QUEUE: usize = 1024;

/// A thread that owns a connection and does one job after the other.
///
/// It ends when the worker is dropped, after the jobs that were taken on until then.
#[derive(Debug)]
pub(super) struct Worker {
    jobs: SyncSender<Job>,
    settings: WorkerSettings,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct WorkerSettings {
    pub(super) name: &'static str,
    /// How long a job may wait for its turn and for locks, in all.
    pub(super) patience: Duration,
    /// What it means when a job is lost after it was begun.
    pub(super) if_lost: StoreErrorKind,
}

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

impl Worker {
    pub(super) fn start(settings: WorkerSettings, connection: Connection) -> io::Result<Self> {
        let (jobs, queue) = mpsc::sync_channel(QUEUE);
        thread::Builder::new()
            .name(settings.name.into())
            .spawn(move || work(&queue, connection))?;
        Ok(Self { jobs, settings })
    }

    /// Does `job` on the worker's thread, whether its caller waits for the answer or not.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let WorkerSettings {
            patience, if_lost, ..
        } = self.settings;
        let deadline = Instant::now() + patience;
        let (mut reply, answer) = Reply::new();
        let job = move |connection: &mut Connection| {
            reply.if_lost = if_lost;
            let patience = deadline.saturating_duration_since(Instant::now());
            reply.send(if patience.is_zero() {
                Err(unavailable("it is busy: the request waited too long"))
            } else {
                connection
                    .busy_timeout(patience)
                    .map_err(store_error)
                    .and_then(|()| job(connection))
            });
        };
        self.jobs
            .try_send(Box::new(job))
            .map_err(|error| match error {
                TrySendError::Full(_) => unavailable("it is busy: too many requests wait for it"),
                TrySendError::Disconnected(_) => unavailable("its thread has ended"),
            })?;
        answer.await.unwrap_or(Err(if_lost.into()))
    }
}

fn work(queue: &Receiver<Job>, mut connection: Connection) {
    for job in queue {
        // A job that panics has rolled back and answered when it is dropped; the next ones go on.
        let _ = catch_unwind(AssertUnwindSafe(|| job(&mut connection)));
    }
}

fn unavailable(cause: &str) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, cause)
}

/// Answers exactly once, also when its job is dropped or panics.
struct Reply<T> {
    answer: Option<oneshot::Sender<Result<T, StoreError>>>,
    if_lost: StoreErrorKind,
}

impl<T> Reply<T> {
    fn new() -> (Self, oneshot::Receiver<Result<T, StoreError>>) {
        let (sender, receiver) = oneshot::channel();
        let reply = Self {
            answer: Some(sender),
            if_lost: StoreErrorKind::Unavailable,
        };
        (reply, receiver)
    }

    fn send(mut self, outcome: Result<T, StoreError>) {
        self.answer_with(outcome);
    }

    fn answer_with(&mut self, outcome: Result<T, StoreError>) {
        if let Some(answer) = self.answer.take() {
            // Whoever asked may have left.
            let _ = answer.send(outcome);
        }
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        let lost = StoreError::new(self.if_lost, "its thread ended before it answered");
        self.answer_with(Err(lost));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: WorkerSettings = WorkerSettings {
        name: "test",
        patience: Duration::from_secs(5),
        if_lost: StoreErrorKind::OutcomeUnknown,
    };

    fn start(patience: Duration) -> Worker {
        let settings = WorkerSettings {
            patience,
            ..SETTINGS
        };
        Worker::start(settings, Connection::open_in_memory().unwrap()).unwrap()
    }

    /// A job that goes on until it is let go.
    fn occupy(
        worker: &Worker,
    ) -> (
        mpsc::Sender<()>,
        impl Future<Output = Result<(), StoreError>>,
    ) {
        let (started, wait_for_start) = mpsc::channel();
        let (release, wait) = mpsc::channel();
        let busy = worker.ask(move |_| {
            started.send(()).unwrap();
            wait.recv().unwrap();
            Ok(())
        });
        let mut busy = Box::pin(busy);
        assert!(poll_once(&mut busy).is_none());
        wait_for_start.recv().unwrap();
        (release, busy)
    }

    fn poll_once<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Option<T> {
        use std::task::{Context, Poll, Waker};
        match std::pin::Pin::new(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn a_job_that_panics_leaves_doubt_and_the_next_ones_are_done() {
        let worker = start(SETTINGS.patience);
        let (release, busy) = occupy(&worker);
        let mut lost = Box::pin(worker.ask(|_| -> Result<(), _> { panic!("as a test") }));
        let mut waiting = Box::pin(worker.ask(|_| Ok(())));
        assert!(poll_once(&mut lost).is_none() && poll_once(&mut waiting).is_none());
        release.send(()).unwrap();
        busy.await.unwrap();
        let kind = |outcome: Result<(), StoreError>| outcome.unwrap_err().kind();
        assert_eq!(kind(lost.await), StoreErrorKind::OutcomeUnknown);
        waiting.await.unwrap();
        worker.ask(|_| Ok(())).await.unwrap();
    }

    #[tokio::test]
    async fn a_full_queue_refuses_and_empties_again() {
        let worker = start(SETTINGS.patience);
        let (release, busy) = occupy(&worker);
        let mut queued: Vec<_> = (0..QUEUE)
            .map(|n| Box::pin(worker.ask(move |_| Ok(n))))
            .collect();
        assert!(queued.iter_mut().all(|job| poll_once(job).is_none()));
        let refused = worker.ask(|_| Ok(())).await;
        assert_eq!(refused.unwrap_err().kind(), StoreErrorKind::Unavailable);
        release.send(()).unwrap();
        busy.await.unwrap();
        for (n, job) in queued.into_iter().enumerate() {
            assert_eq!(job.await.unwrap(), n);
        }
    }

    #[tokio::test]
    async fn a_job_whose_turn_comes_too_late_is_not_begun() {
        let worker = start(Duration::from_millis(20));
        let (release, busy) = occupy(&worker);
        let mut late = Box::pin(worker.ask(|_| -> Result<(), _> { panic!("it was begun") }));
        assert!(poll_once(&mut late).is_none());
        thread::sleep(Duration::from_millis(50));
        release.send(()).unwrap();
        busy.await.unwrap();
        assert_eq!(late.await.unwrap_err().kind(), StoreErrorKind::Unavailable);
        worker.ask(|_| Ok(())).await.unwrap();
    }

    #[tokio::test]
    async fn jobs_taken_on_are_done_though_worker_and_callers_are_gone() {
        let worker = start(SETTINGS.patience);
        let (release, busy) = occupy(&worker);
        let (done, wait_for_done) = mpsc::channel();
        let mut queued = Box::pin(worker.ask(move |_| {
            done.send(()).unwrap();
            Ok(())
        }));
        assert!(poll_once(&mut queued).is_none());
        drop((queued, busy));
        drop(worker);
        release.send(()).unwrap();
        wait_for_done.recv().unwrap();
        // The sender went with the job, so the thread let go of it.
        assert!(wait_for_done.recv().is_err());
    }
}
