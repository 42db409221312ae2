//! What a piece saw, and what it prints in the end.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::http::Exchange;
use crate::memory::{Peaks, TOLERANCE};
use crate::stalls::Stall;

/// So many violations are shown whole.
const SHOWN: usize = 10;

/// How close to a violation a stall is shown beside it.
const BESIDE: Duration = Duration::from_secs(3);

#[derive(Default)]
pub(crate) struct Report {
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// By what was asked, and what the answer was.
    requests: BTreeMap<(&'static str, String), u64>,
    faults: BTreeMap<&'static str, u64>,
    revoked: u64,
    /// Of each revocation that was followed: how long after it a request began that was accepted.
    honoured: Vec<Duration>,
    recoveries: Vec<Duration>,
    violations: Vec<(Instant, String)>,
}

impl Report {
    pub(crate) fn count(&self, what: &'static str, exchange: &Exchange) {
        let mut seen = self.seen.lock().unwrap();
        *seen.requests.entry((what, exchange.label())).or_default() += 1;
    }

    pub(crate) fn fault(&self, kind: &'static str) {
        *self.seen.lock().unwrap().faults.entry(kind).or_default() += 1;
    }

    pub(crate) fn revoked(&self) {
        self.seen.lock().unwrap().revoked += 1;
    }

    pub(crate) fn honoured(&self, last_accepted: Duration) {
        self.seen.lock().unwrap().honoured.push(last_accepted);
    }

    pub(crate) fn recovered(&self, after: Duration) {
        self.seen.lock().unwrap().recoveries.push(after);
    }

    /// Something that must not be. It is shown at once, too.
    pub(crate) fn violation(&self, what: String) {
        let mut seen = self.seen.lock().unwrap();
        if seen.violations.len() < SHOWN {
            println!("VIOLATION: {what}");
        }
        seen.violations.push((Instant::now(), what));
    }

    pub(crate) fn violations(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        let violations = seen.violations.iter();
        violations.map(|(_, what)| what.clone()).collect()
    }

    /// Prints everything; how many violations there were.
    pub(crate) fn print(&self, stalls: &[Stall], memory: Option<&Peaks>) -> usize {
        let mut seen = self.seen.lock().unwrap();
        for ((what, answer), count) in &seen.requests {
            println!("  requests: {what}: {answer}: {count}");
        }
        for (kind, count) in &seen.faults {
            println!("  faults: {kind}: {count}");
        }
        println!("  revocations: {}", seen.revoked);
        println!(
            "  last request accepted after a revocation: {}",
            spread(&mut seen.honoured)
        );
        println!(
            "  instances recovered after faults: {}",
            spread(&mut seen.recoveries)
        );
        let slowest = stalls.iter().map(|(_, late)| *late).max();
        println!(
            "  stalls of this machine of 50 ms or more: {}, the longest {:?}",
            stalls.len(),
            slowest.unwrap_or_default()
        );
        match memory {
            Some(peaks) => println!(
                "  memory of service 0: peak of the first third {} KiB, of the last {} KiB: {:.3}, at most {TOLERANCE} in a long run",
                peaks.first_third,
                peaks.last_third,
                peaks.last_third as f64 / peaks.first_third as f64
            ),
            None => println!("  memory: not told by this system"),
        }
        println!("  violations: {}", seen.violations.len());
        for (at, what) in seen.violations.iter().take(SHOWN) {
            println!("    {what}");
            let beside = stalls.iter().filter(|(stalled, _)| {
                at.saturating_duration_since(*stalled)
                    .max(stalled.saturating_duration_since(*at))
                    < BESIDE
            });
            for (stalled, late) in beside {
                let before = at.saturating_duration_since(*stalled);
                println!("      the machine stalled for {late:?}, {before:?} before it was seen");
            }
        }
        seen.violations.len()
    }
}

fn spread(all: &mut [Duration]) -> String {
    all.sort_unstable();
    let Some(longest) = all.last() else {
        return "none".into();
    };
    let at = |percent: usize| all[(all.len() - 1) * percent / 100];
    format!(
        "p50 {:.1?}, p99 {:.1?}, max {longest:.1?} of {}",
        at(50),
        at(99),
        all.len()
    )
}
