//! The way to the server: one connection that all requests share, and that is made anew when it
//! breaks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ::redis::Value;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{timeout, timeout_at};

use super::error::{
    RedisOpenError, broken, code, refused_change, refused_read, unavailable, unexpected_reply,
};
use super::server::{Role, Server};
use super::wire::{Request, Wire};
use crate::store::{StoreError, StoreErrorKind};

/// How long one attempt to connect may take.
pub(super) const CONNECTING: Duration = Duration::from_secs(2);

/// How long nobody tries after the first attempt that failed, and after many.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The state of the shared connection. Cloning it is cheap.
#[derive(Clone)]
pub(super) struct Link {
    shared: Arc<Shared>,
}

struct Shared {
    server: Arc<Server>,
    state: Mutex<State>,
}

enum State {
    /// There is none, and the next request begins an attempt.
    Idle,
    /// One attempt is under way, whether or not anybody still waits for it.
    Connecting(watch::Receiver<Option<Attempt>>),
    Up(Wire),
    /// The last attempt failed, and it is too early for the next one.
    Down(Outage),
}

type Attempt = Result<Wire, Outage>;

#[derive(Clone)]
struct Outage {
    cause: Arc<RedisOpenError>,
    failures: u32,
    until: Instant,
}

impl Link {
    pub(super) async fn open(server: Arc<Server>) -> Result<Self, RedisOpenError> {
        let wire = connect(&server).await?;
        Ok(Self {
            shared: Arc::new(Shared {
                server,
                state: Mutex::new(State::Up(wire)),
            }),
        })
    }

    pub(super) fn server(&self) -> &Arc<Server> {
        &self.shared.server
    }

    /// The reply to a question, from a server that has proved to be the master in the same breath.
    /// A connection that turns out to be broken is made anew once, within the same `patience`.
    pub(super) async fn read(
        &self,
        request: Request,
        patience: Duration,
    ) -> Result<Value, StoreError> {
        let deadline = tokio::time::Instant::now() + patience;
        let late = || unavailable(format!("Redis did not answer within {patience:?}"));
        let proof = self.server().proves_its_role();
        let mut second = false;
        loop {
            let wire = timeout_at(deadline, self.wire()).await;
            let wire = wire.map_err(|_| late())??;
            match timeout_at(deadline, wire.ask(&request, proof)).await {
                Ok(Ok((reply, role))) => return self.judge_read(&wire, reply, role),
                Ok(Err(error)) => {
                    self.retire(&wire);
                    if second {
                        return Err(broken(StoreErrorKind::Unavailable, &error));
                    }
                    second = true;
                }
                Err(_) => {
                    self.retire(&wire);
                    return Err(late());
                }
            }
        }
    }

    /// The reply to a change. Nothing is sent twice.
    pub(super) async fn change(
        &self,
        request: Request,
        patience: Duration,
    ) -> Result<Value, StoreError> {
        let deadline = tokio::time::Instant::now() + patience;
        let wire = timeout_at(deadline, self.wire()).await;
        let wire = wire.map_err(|_| unavailable("Redis cannot be reached"))??;
        match timeout_at(deadline, wire.ask(&request, false)).await {
            Ok(Ok((Value::ServerError(error), _))) => {
                if tells_of_another_master(code(&error)) {
                    self.retire(&wire);
                }
                Err(refused_change(&error))
            }
            Ok(Ok((reply, _))) => Ok(reply),
            Ok(Err(error)) => {
                self.retire(&wire);
                Err(broken(StoreErrorKind::OutcomeUnknown, &error))
            }
            Err(_) => {
                self.retire(&wire);
                let cause = format!("Redis did not answer within {patience:?}");
                Err(StoreError::new(StoreErrorKind::OutcomeUnknown, cause))
            }
        }
    }

    /// Ends a pause: somebody has just reached the server.
    pub(super) fn try_again(&self) {
        let mut state = self.shared.state();
        if matches!(&*state, State::Down(_)) {
            *state = State::Idle;
        }
    }

    fn judge_read(
        &self,
        wire: &Wire,
        reply: Value,
        role: Option<Value>,
    ) -> Result<Value, StoreError> {
        let role = match role {
            Some(reply) => Role::of(&reply),
            None if self.server().proves_its_role() => Role::Untold,
            None => Role::Master,
        };
        match (reply, role) {
            (Value::ServerError(error), _) if code(&error) != "WRONGTYPE" => {
                if tells_of_another_master(code(&error)) {
                    self.retire(wire);
                }
                Err(refused_read(&error))
            }
            (reply, Role::Master) => Ok(reply),
            (_, Role::Replica) => {
                // Its name may lead to another server by now.
                self.retire(wire);
                let address = self.server().address().to_owned();
                Err(unavailable(RedisOpenError::NotMaster { address }))
            }
            (_, Role::Untold) => Err(unexpected_reply(StoreErrorKind::Unavailable)),
        }
    }

    /// A connection that was good when it was last seen.
    async fn wire(&self) -> Result<Wire, StoreError> {
        loop {
            let mut attempt = match self.step()? {
                Step::Ready(wire) => return Ok(wire),
                Step::Wait(attempt) => attempt,
            };
            // An attempt ends without an outcome when its runtime does; then another one begins.
            if let Ok(outcome) = attempt.wait_for(Option::is_some).await
                && let Some(outcome) = outcome.as_ref()
            {
                return outcome.clone().map_err(|outage| outage.error());
            }
        }
    }

    fn step(&self) -> Result<Step, StoreError> {
        let mut state = self.shared.state();
        let failures = match &*state {
            State::Up(wire) if !wire.is_lost() => return Ok(Step::Ready(wire.clone())),
            State::Connecting(attempt) if attempt.has_changed().is_ok() => {
                return Ok(Step::Wait(attempt.clone()));
            }
            State::Down(outage) if Instant::now() < outage.until => return Err(outage.error()),
            State::Down(outage) => outage.failures,
            _ => 0,
        };
        let runtime = Handle::try_current().map_err(unavailable)?;
        let (tell, attempt) = watch::channel(None);
        *state = State::Connecting(attempt.clone());
        let shared = Arc::clone(&self.shared);
        runtime.spawn(async move {
            let outcome = shared.attempt(failures).await;
            *shared.state() = match &outcome {
                Ok(wire) => State::Up(wire.clone()),
                Err(outage) => State::Down(outage.clone()),
            };
            // Whoever waited may have left.
            let _ = tell.send(Some(outcome));
        });
        Ok(Step::Wait(attempt))
    }

    /// Gives a connection to no further request. Those that are under way on it may still end well.
    fn retire(&self, wire: &Wire) {
        let mut state = self.shared.state();
        if matches!(&*state, State::Up(current) if current.is(wire)) {
            *state = State::Idle;
        }
    }
}

enum Step {
    Ready(Wire),
    Wait(watch::Receiver<Option<Attempt>>),
}

impl Shared {
    /// Nothing is done under the lock that could panic.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn attempt(&self, failures: u32) -> Attempt {
        connect(&self.server).await.map_err(|cause| Outage {
            cause: Arc::new(cause),
            failures: failures.saturating_add(1),
            until: Instant::now() + pause_after(failures),
        })
    }
}

impl Outage {
    fn error(&self) -> StoreError {
        unavailable(Arc::clone(&self.cause))
    }
}

async fn connect(server: &Server) -> Result<Wire, RedisOpenError> {
    timeout(CONNECTING, Wire::connect(server))
        .await
        .unwrap_or_else(|_| Err(RedisOpenError::failed(server.address(), NO_ANSWER)))
}

pub(super) const NO_ANSWER: &str = "it does not answer";

/// After a failover the old server still answers, as a replica, or no longer keeps the slot.
fn tells_of_another_master(code: &str) -> bool {
    matches!(code, "MOVED" | "READONLY")
}

/// Doubles with each failure, and differs between the many that lost a server at once.
fn pause_after(failures: u32) -> Duration {
    let longest = SHORTEST_PAUSE
        .saturating_mul(1 << failures.min(10))
        .min(LONGEST_PAUSE);
    let share = getrandom::u32().unwrap_or(u32::MAX);
    let half = longest / 2;
    half + half.mul_f64(f64::from(share) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_second_and_differ() {
        for (failures, longest) in [(0, 50), (1, 100), (4, 800), (5, 1000), (u32::MAX, 1000)] {
            let longest = Duration::from_millis(longest);
            let pauses: Vec<_> = (0..20).map(|_| pause_after(failures)).collect();
            assert!(pauses.iter().all(|p| (longest / 2..=longest).contains(p)));
            assert!(pauses.iter().any(|pause| *pause != pauses[0]));
        }
    }
}
