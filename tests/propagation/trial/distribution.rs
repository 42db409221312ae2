use std::fmt;
use std::time::Duration;

/// Times that were measured, from the shortest to the longest.
#[derive(Clone, Default, Debug)]
pub(crate) struct Distribution(Vec<Duration>);

impl Distribution {
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// The time that so many of a hundred do not exceed. Zero where none was measured.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).copied().unwrap_or_default()
    }

    pub(crate) fn max(&self) -> Duration {
        self.percentile(100)
    }
}

impl FromIterator<Duration> for Distribution {
    fn from_iter<I: IntoIterator<Item = Duration>>(times: I) -> Self {
        let mut times: Vec<Duration> = times.into_iter().collect();
        times.sort_unstable();
        Self(times)
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99, max] = [50, 99, 100].map(|percent| show(self.percentile(percent)));
        write!(f, "p50 {p50}, p99 {p99}, max {max}")
    }
}

/// Three digits or four, and a unit.
pub(crate) fn show(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    let (number, unit) = match micros {
        ..1e3 => (micros, "µs"),
        ..1e7 => (micros / 1e3, "ms"),
        _ => (micros / 1e6, "s"),
    };
    let decimals = match number {
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    };
    format!("{number:.decimals$} {unit}")
}
