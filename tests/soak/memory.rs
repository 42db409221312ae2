//! How much memory a service holds that is frozen at times and never killed.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_millis(200);

/// The caches have to fill first.
const WARM_UP: f64 = 0.2;

/// How much the last third may be above the first.
pub(crate) const TOLERANCE: f64 = 1.05;

pub(crate) struct Memory {
    stop: Sender<()>,
    watching: JoinHandle<Vec<(Duration, u64)>>,
}

/// Peaks in KiB.
pub(crate) struct Peaks {
    pub(crate) first_third: u64,
    pub(crate) last_third: u64,
}

impl Memory {
    pub(crate) fn watch(process: u32) -> Self {
        let (stop, stopped) = channel();
        let watching = std::thread::spawn(move || {
            let began = Instant::now();
            let mut samples = Vec::new();
            while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                samples.extend(resident(process).map(|size| (began.elapsed(), size)));
            }
            samples
        });
        Self { stop, watching }
    }

    /// `None` where the system does not tell.
    pub(crate) fn end(self) -> Option<Peaks> {
        let _ = self.stop.send(());
        let samples = self.watching.join().unwrap();
        let (length, _) = *samples.last()?;
        let warm = length.mul_f64(WARM_UP);
        let third = (length - warm) / 3;
        let peak = |from: Duration, to: Duration| {
            let within = samples.iter().filter(|(at, _)| (from..=to).contains(at));
            within.map(|(_, size)| *size).max()
        };
        Some(Peaks {
            first_third: peak(warm, warm + third)?,
            last_third: peak(length - third, length)?,
        })
    }
}

impl Peaks {
    pub(crate) fn are_flat(&self) -> bool {
        self.last_third as f64 <= self.first_third as f64 * TOLERANCE
    }
}

/// In KiB.
fn resident(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}
