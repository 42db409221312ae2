//! What happens on Ctrl-C and the other signals that end a program.

use std::fs;
use std::io;
use std::process;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::failure::{Exit, Failure};
use crate::output::note;

/// So much time there is to put files and the terminal in order.
const GRACE: Duration = Duration::from_millis(500);

/// Whether the program can end where it is.
///
/// A key that was written, and whose text was not handed over, is lost to everybody. So what writes and
/// then tells is brought to its end first, as the store bounds how long that takes; a second signal ends it
/// all the same.
pub(crate) struct Interrupts(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// How many of those are under way.
    closed: usize,
    /// A signal has come meanwhile.
    pending: bool,
    /// It is to end now: nothing of that kind begins any more.
    ending: bool,
}

impl Interrupts {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    /// Does `work`, or ends where a signal says so.
    pub(crate) async fn guard(
        &self,
        work: impl Future<Output = Result<Exit, Failure>>,
    ) -> Result<Exit, Failure> {
        let signals = Signals::new().map_err(|error| {
            Failure::new(Exit::Failed, "signals cannot be heard").because(error)
        })?;
        let (sender, told) = oneshot::channel();
        tokio::spawn(hear(signals, Arc::clone(&self.0), sender));
        tokio::select! {
            done = work => done,
            Ok(exit) = told => Ok(exit),
        }
    }

    /// Brings `work` to its end before a first signal ends the program.
    pub(crate) async fn closed<T>(&self, work: impl Future<Output = T>) -> T {
        if !self.begin() {
            std::future::pending::<()>().await;
        }
        let done = work.await;
        lock(&self.0).closed -= 1;
        done
    }

    fn begin(&self) -> bool {
        let mut state = lock(&self.0);
        state.closed += 1;
        !state.ending
    }

    /// Whether a signal has come while that was not possible: what goes on step by step ends then.
    pub(crate) fn is_pending(&self) -> bool {
        lock(&self.0).pending
    }
}

/// Hears signals until one of them ends the program. Where nobody obeys, as somebody waits for a reader that
/// reads no more, that is done from here.
async fn hear(mut signals: Signals, state: Arc<Mutex<State>>, sender: oneshot::Sender<Exit>) {
    let exit = loop {
        let exit = signals.next().await;
        let mut state = lock(&state);
        state.ending = state.closed == 0 || state.pending;
        state.pending = true;
        match (state.ending, state.closed) {
            (true, 0) => break exit,
            (true, _) => {
                note(
                    "keygate: given up in the middle: whether it was done, keygate list and keygate show tell",
                );
                break exit;
            }
            (false, _) => {
                note("keygate: ending as soon as what is under way is done; again to end it now")
            }
        }
    };
    let _ = sender.send(exit);
    sleep(GRACE).await;
    process::exit(exit as i32);
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// None below nohup.
    hang_up: Option<Signal>,
}

impl Signals {
    fn new() -> io::Result<Self> {
        let hang_up = SignalKind::hangup();
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: match is_ignored(hang_up) {
                true => None,
                false => Some(signal(hang_up)?),
            },
        })
    }

    async fn next(&mut self) -> Exit {
        let hung_up = async {
            match &mut self.hang_up {
                Some(hang_up) => hang_up.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => Exit::Interrupted,
            _ = self.terminate.recv() => Exit::Terminated,
            _ = hung_up => Exit::HungUp,
        }
    }
}

/// Whether whoever has started the program wants it to go on in spite of it. Linux tells.
fn is_ignored(kind: SignalKind) -> bool {
    let about = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = about.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
    ignored.unwrap_or(0) >> (kind.as_raw_value() - 1) & 1 == 1
}
