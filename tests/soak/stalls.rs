//! How the machine itself stalls: a thread that sleeps 10 ms, and wakes up late.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const NAP: Duration = Duration::from_millis(10);

/// Less than this is how a scheduler works.
const NOTABLE: Duration = Duration::from_millis(50);

/// When it woke up, and how much too late.
pub(crate) type Stall = (Instant, Duration);

pub(crate) struct Stalls {
    stop: Sender<()>,
    watching: JoinHandle<Vec<Stall>>,
}

impl Stalls {
    pub(crate) fn watch() -> Self {
        let (stop, stopped) = channel();
        let watching = std::thread::spawn(move || {
            let mut stalls = Vec::new();
            let mut before = Instant::now();
            while stopped.recv_timeout(NAP) == Err(RecvTimeoutError::Timeout) {
                let late = before.elapsed().saturating_sub(NAP);
                before = Instant::now();
                if late >= NOTABLE {
                    stalls.push((before, late));
                }
            }
            stalls
        });
        Self { stop, watching }
    }

    pub(crate) fn end(self) -> Vec<Stall> {
        let _ = self.stop.send(());
        self.watching.join().unwrap()
    }
}
