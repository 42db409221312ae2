use std::time::{Duration, Instant};

use crate::trial::{Distribution, show};

/// What came of keeping a store busy.
pub(crate) struct Load {
    pub(crate) times: Distribution,
    took: Duration,
}

impl Load {
    /// Does `work` again and again for so long, in as many tasks as `concurrency` says. The works
    /// are numbered, and those of one moment are neighbours.
    pub(crate) async fn run<F>(
        concurrency: usize,
        time: Duration,
        work: impl Fn(usize) -> F + Clone + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send,
    {
        let start = Instant::now();
        let tasks: Vec<_> = (0..concurrency)
            .map(|first| {
                let work = work.clone();
                tokio::spawn(async move {
                    let mut times = Vec::new();
                    let mut number = first;
                    while start.elapsed() < time || times.is_empty() {
                        let begun = Instant::now();
                        work(number).await;
                        times.push(begun.elapsed());
                        number += concurrency;
                        // Where nothing is waited for, the other tasks want their turn.
                        tokio::task::yield_now().await;
                    }
                    times
                })
            })
            .collect();
        let mut times = Vec::new();
        for task in tasks {
            times.extend(task.await.unwrap());
        }
        Self {
            took: start.elapsed(),
            times: times.into_iter().collect(),
        }
    }

    pub(crate) fn a_second(&self) -> String {
        let rate = self.times.count() as f64 / self.took.as_secs_f64();
        match rate {
            ..1e4 => format!("{rate:.0}"),
            _ => format!("{:.1} k", rate / 1e3),
        }
    }
}

/// Half of the times, and all but a hundredth of them, as a table shows them.
pub(crate) fn p50_p99(times: &Distribution) -> String {
    format!(
        "{} / {}",
        show(times.percentile(50)),
        show(times.percentile(99))
    )
}

/// The same, and the longest.
pub(crate) fn p50_p99_max(times: &Distribution) -> String {
    format!("{} / {}", p50_p99(times), show(times.max()))
}

/// A runtime as a service has one, on all processors.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap()
}
