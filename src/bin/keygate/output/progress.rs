//! How far long work is, for whoever waits at a terminal.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::Output;

/// What is done before that needs no progress.
const LONG: Duration = Duration::from_millis(400);
const REDRAWN: Duration = Duration::from_millis(100);

/// A line on standard error, where that is a terminal and no JSON is asked for. It comes when the work turns
/// out to be long, and is gone before anything else is written: at the end, on failure, and by a signal.
pub(crate) struct Progress {
    bar: ProgressBar,
    showing: Option<JoinHandle<()>>,
}

impl Progress {
    /// Of work whose end cannot be told yet.
    pub(crate) fn spinner(output: Output, what: impl Into<Cow<'static, str>>) -> Self {
        Self::of(None, output, what, "{spinner} {msg}{so_far}")
    }

    /// Of work in `total` steps.
    pub(crate) fn bar(output: Output, total: usize, what: impl Into<Cow<'static, str>>) -> Self {
        let template = "{msg} [{bar:30}] {human_pos} of {human_len}, {eta} left";
        Self::of(u64::try_from(total).ok(), output, what, template)
    }

    /// So many steps more are done.
    pub(crate) fn step(&self, n: usize) {
        self.bar.inc(u64::try_from(n).unwrap_or(u64::MAX));
    }

    /// Takes the steps of another thread, which may outlive the line.
    pub(crate) fn stepper(&self) -> impl Fn() + Send + use<> {
        let bar = self.bar.clone();
        move || bar.inc(1)
    }

    /// Writes something else while the line is away.
    pub(crate) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bar.suspend(write)
    }

    fn of(
        total: Option<u64>,
        output: Output,
        what: impl Into<Cow<'static, str>>,
        template: &str,
    ) -> Self {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
        let bar = bar.with_message(what);
        if let Ok(style) = ProgressStyle::with_template(template) {
            let style = style.with_key("so_far", so_far);
            bar.set_style(style.progress_chars("=> "));
        }
        let runtime = Handle::try_current().ok().filter(|_| !output.is_json());
        let showing = runtime.map(|runtime| runtime.spawn(show(bar.clone())));
        Self { bar, showing }
    }
}

async fn show(bar: ProgressBar) {
    sleep(LONG).await;
    bar.set_draw_target(ProgressDrawTarget::stderr());
    if !bar.is_hidden() {
        // Also where a step takes long.
        bar.enable_steady_tick(REDRAWN);
    }
}

/// Nothing where no step is told.
fn so_far(state: &ProgressState, shown: &mut dyn fmt::Write) {
    if state.pos() > 0 {
        let _ = write!(shown, ": {}", HumanCount(state.pos()));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(showing) = &self.showing {
            showing.abort();
        }
        self.bar.finish_and_clear();
    }
}
