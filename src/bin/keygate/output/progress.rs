//! How far long work is, for whoever waits at a terminal.

use std::borrow::Cow;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Output;

const REDRAWN: Duration = Duration::from_millis(100);

/// A line on standard error, where that is a terminal and no JSON is asked for. It is gone before anything
/// else is written: at the end, on failure, and by a signal.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Of work whose end cannot be told yet.
    pub(crate) fn spinner(output: Output, what: impl Into<Cow<'static, str>>) -> Self {
        Self::of(None, output, what, "{spinner} {msg}: {human_pos}")
    }

    /// Of work in `total` steps.
    pub(crate) fn bar(output: Output, total: u64, what: impl Into<Cow<'static, str>>) -> Self {
        let template = "{msg} [{bar:30}] {human_pos} of {human_len}, {eta} left";
        Self::of(Some(total), output, what, template)
    }

    /// So many steps more are done.
    pub(crate) fn step(&self, n: usize) {
        self.0.inc(u64::try_from(n).unwrap_or(u64::MAX));
    }

    /// Takes the steps of another thread, which may outlive the line.
    pub(crate) fn stepper(&self) -> impl Fn() + Send + use<> {
        let bar = self.0.clone();
        move || bar.inc(1)
    }

    /// Writes something else while the line is away.
    pub(crate) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        self.0.suspend(write)
    }

    fn of(
        total: Option<u64>,
        output: Output,
        what: impl Into<Cow<'static, str>>,
        template: &str,
    ) -> Self {
        let target = match output.is_json() {
            true => ProgressDrawTarget::hidden(),
            false => ProgressDrawTarget::stderr(),
        };
        let bar = ProgressBar::with_draw_target(total, target).with_message(what);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        if !bar.is_hidden() {
            // Also where a step takes long.
            bar.enable_steady_tick(REDRAWN);
        }
        Self(bar)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
