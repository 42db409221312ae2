//! What every instance says to a key while it is revoked.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::instance::Instance;
use super::service::{Failure, say};

/// Within which a revocation is honoured.
const BOUND: Duration = Duration::from_secs(1);

/// How long they are watched after the bound.
const AND_ON: Duration = Duration::from_millis(500);

/// When an instance last let the key in, by a request that began then, and when it first refused it.
#[derive(Default)]
struct Watched {
    last_accepted: Option<Instant>,
    first_refused: Option<Instant>,
    other: Option<u16>,
}

/// Has a key revoked, and prints when each instance refused it; whether all did so in time.
pub(crate) fn revocation(
    instances: &[Instance],
    key: &str,
    revoke: impl FnOnce() -> Result<(), Failure>,
) -> Result<bool, Failure> {
    for instance in instances {
        instance.call("GET", "/v1/whoami", key, "")?.expect(200)?;
    }
    say("a new key: 200 from all three")?;
    let enough = AtomicBool::new(false);
    let (revoked, acknowledged, watched) = thread::scope(|scope| {
        let watch = |instance| watch(instance, key, &enough);
        let watchers: Vec<_> = instances
            .iter()
            .map(|instance| scope.spawn(move || watch(instance)))
            .collect();
        let revoked = revoke();
        let acknowledged = Instant::now();
        if revoked.is_ok() {
            thread::sleep(BOUND + AND_ON);
        }
        enough.store(true, Ordering::Relaxed);
        let joined = watchers.into_iter().map(|watcher| watcher.join());
        (revoked, acknowledged, joined.collect::<Vec<_>>())
    });
    revoked?;
    say("  acknowledged")?;
    let mut all_in_time = true;
    for (instance, watched) in instances.iter().zip(watched) {
        let watched = watched.map_err(|_| "a watcher panicked")??;
        all_in_time &= watched.in_time(acknowledged);
        let told = watched.told(acknowledged);
        say(&format!("  instance {}: {told}", instance.number))?;
    }
    Ok(all_in_time)
}

/// Asks an instance again and again.
fn watch(instance: &Instance, key: &str, enough: &AtomicBool) -> Result<Watched, ureq::Error> {
    let mut watched = Watched::default();
    while !enough.load(Ordering::Relaxed) {
        let begun = Instant::now();
        match instance.call("GET", "/v1/whoami", key, "")?.status {
            200 => watched.last_accepted = Some(begun),
            401 => _ = watched.first_refused.get_or_insert_with(Instant::now),
            other => watched.other = Some(other),
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(watched)
}

impl Watched {
    fn in_time(&self, acknowledged: Instant) -> bool {
        let deadline = acknowledged + BOUND;
        let let_in_late = self.last_accepted.is_some_and(|begun| begun > deadline);
        self.first_refused.is_some() && !let_in_late
    }

    fn told(&self, acknowledged: Instant) -> String {
        let millis = |at: Instant| at.saturating_duration_since(acknowledged).as_millis();
        let mut told = match self.first_refused {
            Some(at) => format!("first 401 after {} ms", millis(at)),
            None => "never answered 401".into(),
        };
        if let Some(at) = self.last_accepted.filter(|_| !self.in_time(acknowledged)) {
            told += &format!(", and still 200 after {} ms", millis(at));
        }
        if let Some(status) = self.other {
            told += &format!(", and {status} meanwhile");
        }
        told
    }
}
