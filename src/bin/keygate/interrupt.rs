//! What happens on Ctrl-C and the other signals that end a program.

use std::cell::Cell;
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::{Exit, Failure};
use crate::output::note;

/// Whether the program can end where it is.
///
/// A key that was written, and whose text was not handed over, is lost to everybody. So what writes and
/// then tells is brought to its end first, as the store bounds how long that takes; a second signal ends it
/// all the same.
pub(crate) struct Interrupts {
    /// How many of those are under way.
    closed: Cell<usize>,
    pending: Cell<bool>,
}

impl Interrupts {
    pub(crate) fn new() -> Self {
        Self {
            closed: Cell::new(0),
            pending: Cell::new(false),
        }
    }

    /// Does `work`, or ends where a signal says so.
    pub(crate) async fn guard(
        &self,
        work: impl Future<Output = Result<Exit, Failure>>,
    ) -> Result<Exit, Failure> {
        let mut signals = Signals::new().map_err(|error| {
            Failure::new(Exit::Failed, "signals cannot be heard").because(error)
        })?;
        let mut work = std::pin::pin!(work);
        loop {
            let exit = tokio::select! {
                done = &mut work => return done,
                exit = signals.next() => exit,
            };
            if self.closed.get() == 0 || self.pending.replace(true) {
                return Ok(exit);
            }
            note("keygate: ending as soon as what is under way is done; again to end it now");
        }
    }

    /// Brings `work` to its end before a first signal ends the program.
    pub(crate) async fn closed<T>(&self, work: impl Future<Output = T>) -> T {
        self.closed.set(self.closed.get() + 1);
        let done = work.await;
        self.closed.set(self.closed.get() - 1);
        done
    }

    /// Whether a signal has come while that was not possible: what goes on step by step ends then.
    pub(crate) fn is_pending(&self) -> bool {
        self.pending.get()
    }
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Exit {
        tokio::select! {
            _ = self.interrupt.recv() => Exit::Interrupted,
            _ = self.terminate.recv() => Exit::Terminated,
            _ = self.hang_up.recv() => Exit::HungUp,
        }
    }
}
