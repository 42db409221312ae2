//! Keys that stood in URLs, until the policy is applied to them. No request waits for that.

use std::collections::VecDeque;
use std::fmt;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_timer::Delay;
use zeroize::Zeroizing;

use crate::authenticate::{Lost, within};
use crate::changes::Stop;
use crate::clock::Clock;
use crate::key::KeyId;
use crate::manage::{Conflict, KeyManager, ManageError, WeakManager};
use crate::store::StoreErrorKind;
use crate::telemetry;
use crate::waiters::{Waiters, first, lock};

/// So many keys wait at most.
const MOST: usize = 1_000;

/// So many of them may be unproved: what strangers send must not keep out what is known to be a key.
const MOST_UNPROVED: usize = MOST / 2;

/// A key that the store does not take for so long is given up, and told.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// How long the store may take for one of them.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long to wait after the store failed: doubled from the first to the second.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Where the guards of one gate leave them.
#[derive(Debug)]
pub(crate) struct Leaks {
    waiting: Arc<Waiting>,
    /// The work holds it weakly, and is to find it for as long as there are guards.
    manager: KeyManager,
}

/// Those that wait.
struct Waiting {
    leaks: Mutex<VecDeque<Arc<Leak>>>,
    arrivals: Waiters,
}

/// A text that stood in a URL. It has no `Debug`, as it may open something.
struct Leak {
    text: Zeroizing<String>,
    address: Option<IpAddr>,
    /// The key that its secret has proved. An id that is not proved accuses nobody.
    proved: Option<KeyId>,
    since: Instant,
}

impl Leaks {
    pub(crate) fn new(manager: &KeyManager) -> Self {
        Self {
            waiting: Arc::new(Waiting {
                leaks: Mutex::default(),
                arrivals: Waiters::default(),
            }),
            manager: manager.clone(),
        }
    }

    /// What has to be done about them.
    pub(crate) fn work(&self, clock: Arc<dyn Clock>) -> LeakWork {
        LeakWork {
            waiting: Arc::clone(&self.waiting),
            manager: self.manager.downgrade(),
            clock,
        }
    }

    /// Notes one, once for as long as it waits.
    pub(crate) fn add(
        &self,
        text: &str,
        address: Option<IpAddr>,
        proved: Option<KeyId>,
        now: Instant,
    ) {
        let leak = Leak {
            text: Zeroizing::new(text.to_owned()),
            address,
            proved,
            since: now,
        };
        let mut waiting = lock(&self.waiting.leaks);
        if waiting.iter().any(|other| other.text == leak.text) {
            return;
        }
        let most = match proved {
            Some(_) => MOST,
            None => MOST_UNPROVED,
        };
        if waiting.len() >= most {
            drop(waiting);
            // What strangers send makes no line of the log each.
            if proved.is_some() {
                leak.give_up("more of them wait than are kept");
            }
            return;
        }
        waiting.push_back(Arc::new(leak));
        drop(waiting);
        self.waiting.arrivals.wake_all();
    }
}

impl Leak {
    /// Tells operators what they have to do themselves.
    fn give_up(&self, why: &str) {
        telemetry::url_leak_was_given_up(self.proved.as_ref(), why);
    }
}

impl Waiting {
    async fn arrival(&self) {
        self.arrivals.until(|| self.next().is_some()).await;
    }

    fn next(&self) -> Option<Arc<Leak>> {
        lock(&self.leaks).front().cloned()
    }

    fn len(&self) -> usize {
        lock(&self.leaks).len()
    }

    fn remove(&self, leak: &Arc<Leak>) {
        lock(&self.leaks).retain(|waiting| !Arc::ptr_eq(waiting, leak));
    }

    /// Lets the others have their turn before it.
    fn put_last(&self, leak: &Arc<Leak>) {
        let mut waiting = lock(&self.leaks);
        if waiting
            .front()
            .is_some_and(|front| Arc::ptr_eq(front, leak))
        {
            waiting.rotate_left(1);
        }
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waiting")
    }
}

/// Applies the policy to those that wait, one after the other, so that what strangers send costs the
/// store one call at a time.
pub(crate) struct LeakWork {
    waiting: Arc<Waiting>,
    manager: WeakManager,
    clock: Arc<dyn Clock>,
}

impl LeakWork {
    /// Works until it is stopped.
    pub(crate) async fn run(&self, stop: &Stop) {
        let work = pin!(async {
            let mut failures = 0;
            loop {
                self.waiting.arrival().await;
                failures = match self.do_next().await {
                    Ok(()) => 0,
                    Err(_) => failures + 1,
                };
                if failures > 0 {
                    let (shortest, longest) = BACKOFF;
                    let doubled = shortest.saturating_mul(1 << (failures - 1).min(16));
                    Delay::new(doubled.min(longest)).await;
                }
            }
        });
        first(pin!(stop.raised()), work).await;
    }

    /// Tries each of them once more. What the store does not take is lost, which is told.
    pub(crate) async fn finish(&self) {
        let tries = pin!(async {
            for _ in 0..self.waiting.len() {
                if self.do_next().await.is_err() {
                    break;
                }
            }
        });
        first(tries, Delay::new(PATIENCE)).await;
        while let Some(leak) = self.waiting.next() {
            self.waiting.remove(&leak);
            leak.give_up("the service ended before the store took it");
        }
    }

    /// Applies the policy to the first that waits, if any does. As an error, that it has to wait on.
    async fn do_next(&self) -> Result<(), Held> {
        let Some(leak) = self.waiting.next() else {
            return Ok(());
        };
        let outcome = self.end(&leak).await;
        if let Err(Trouble::Passing(error)) = &outcome {
            let waited = self.clock.monotonic().saturating_duration_since(leak.since);
            if waited < LONGEST {
                if let Some(error) = error {
                    telemetry::url_leak_is_held_up(error);
                }
                self.waiting.put_last(&leak);
                return Err(Held);
            }
        }
        self.waiting.remove(&leak);
        match outcome {
            Ok(()) => {}
            Err(Trouble::Passing(_)) => leak.give_up("the store failed for an hour"),
            Err(Trouble::Lasting(why)) => leak.give_up(&why),
        }
        Ok(())
    }

    async fn end(&self, leak: &Leak) -> Result<(), Trouble> {
        let Some(manager) = self.manager.upgrade() else {
            return Err(Trouble::Lasting("nobody manages keys any more".into()));
        };
        let work = Box::pin(manager.end_leaked_in_url(&leak.text, leak.address));
        match within(PATIENCE, work).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) if passes(&error) => Err(Trouble::Passing(Some(error))),
            Ok(Err(error)) => Err(Trouble::Lasting(error.to_string())),
            Err(Lost::TooSlow) => Err(Trouble::Passing(None)),
            Err(Lost::Panicked) => Err(Trouble::Lasting("the store panicked".into())),
        }
    }
}

/// It waits on.
struct Held;

enum Trouble {
    /// `None`: the store did not answer in time.
    Passing(Option<ManageError>),
    Lasting(String),
}

fn passes(error: &ManageError) -> bool {
    use StoreErrorKind::{OutcomeUnknown, Unavailable};
    match error {
        ManageError::Conflict(Conflict::Busy) => true,
        ManageError::Store(error) => matches!(error.kind(), Unavailable | OutcomeUnknown),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keygate::Keygate;
    use crate::mac::Pepper;
    use crate::store::MemoryStore;

    async fn leaks() -> Leaks {
        let pepper = Pepper::from_base64(&Pepper::generate_base64().unwrap()).unwrap();
        let keys = Keygate::builder("acme_live")
            .pepper(pepper)
            .store(MemoryStore::new());
        Leaks::new(keys.build().await.unwrap().manager())
    }

    #[tokio::test]
    async fn what_waits_is_bounded_and_what_strangers_send_leaves_room_for_what_is_proved() {
        let leaks = leaks().await;
        let now = Instant::now();
        for number in 0..=MOST_UNPROVED {
            leaks.add(&format!("stranger {number}"), None, None, now);
        }
        assert_eq!(leaks.waiting.len(), MOST_UNPROVED);
        let proved = "4KX9vQ2mB7tZ".parse().ok();
        for number in 0..=MOST {
            leaks.add(&format!("key {number}"), None, proved, now);
        }
        assert_eq!(leaks.waiting.len(), MOST);
    }

    #[tokio::test]
    async fn a_text_waits_once() {
        let leaks = leaks().await;
        let proved = "4KX9vQ2mB7tZ".parse().ok();
        for proved in [None, proved, proved] {
            leaks.add("key", None, proved, Instant::now());
        }
        assert_eq!(leaks.waiting.len(), 1);
    }
}
