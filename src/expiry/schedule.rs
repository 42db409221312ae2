//! When keys are looked at.

use std::pin::pin;
use std::time::Duration;

use futures_timer::Delay;

use super::sweep::Sweeper;
use crate::authenticate::caught;
use crate::changes::Stop;
use crate::telemetry;
use crate::waiters::first;

/// The first turn comes within this time.
const SOON: Duration = Duration::from_secs(30);

/// After a failure the next turn comes within this time.
const RETRY: Duration = Duration::from_secs(60);

/// The store did. Its lease lapses.
#[derive(Debug, thiserror::Error)]
#[error("it panicked")]
struct Panicked;

impl Sweeper {
    /// Takes a turn again and again, until `stop` is raised or nobody holds the manager any more. A call
    /// of the hook that is under way then comes to its end, and is noted. A panic ends the turn alone, as
    /// other work runs on the same task.
    pub(crate) async fn run(&self, stop: &Stop) {
        let every = self.every();
        let soon = every.min(SOON) / 2;
        let mut wait = soon + drawn(soon);
        loop {
            first(pin!(stop.raised()), Delay::new(wait)).await;
            if stop.is_raised() || self.is_manager_gone() {
                return;
            }
            let what = "keys that end were not looked for";
            wait = match caught(pin!(self.take_turn(stop))).await {
                Some(Ok(again_after)) => again_after.min(every),
                Some(Err(error)) => {
                    telemetry::expiry_trouble(what, None, &error);
                    every.min(RETRY)
                }
                None => {
                    telemetry::expiry_trouble(what, None, &Panicked);
                    every.min(RETRY)
                }
            };
            wait = wait.saturating_add(drawn(wait / 16));
        }
    }
}

/// A part of `most`, so that many instances do not come in one moment.
fn drawn(most: Duration) -> Duration {
    let mut draw = [0; 1];
    // Without random bytes they do, which is no reason not to come.
    let _ = getrandom::fill(&mut draw);
    most.mul_f64(f64::from(draw[0]) / 256.0)
}
