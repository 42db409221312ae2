use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Distribution;

const NAP: Duration = Duration::from_millis(5);

/// Measures for how long the machine keeps a thread waiting that wants to go on.
pub(crate) struct Stalls {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<Distribution>>,
}

impl Stalls {
    pub(crate) fn watch() -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || {
            let naps = std::iter::from_fn(|| {
                let start = Instant::now();
                std::thread::sleep(NAP);
                let overslept = start.elapsed().saturating_sub(NAP);
                (!seen.load(Ordering::SeqCst)).then_some(overslept)
            });
            naps.collect()
        });
        Self {
            is_over,
            thread: Some(thread),
        }
    }

    pub(crate) fn end(mut self) -> Distribution {
        self.is_over.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Stalls {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
    }
}
