//! Hooks of a notifier that keep what they are told, and what must hold of it on every store.

#![allow(dead_code, reason = "every test binary uses its own part of it")]
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use keygate::testing::ManualClock;
use keygate::{
    Builder, Ends, ExpiryNotice, ExpiryNotifier, KeyId, KeyStatus, KeyStore, Keygate, NewKey,
    Pepper, Policy,
};
use tokio::sync::Semaphore;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What a hook was called with, in this order.
#[derive(Clone, Default)]
pub(crate) struct Told(Arc<Mutex<Vec<ExpiryNotice>>>);

impl Told {
    pub(crate) fn notifier(&self) -> ExpiryNotifier {
        let told = self.clone();
        ExpiryNotifier::new(move |notice| {
            told.add(notice);
            async { Ok::<_, String>(()) }
        })
    }

    /// Its hook takes a notice, and returns once the latch is open.
    pub(crate) fn held(&self, latch: &Arc<Latch>) -> ExpiryNotifier {
        let (told, latch) = (self.clone(), Arc::clone(latch));
        ExpiryNotifier::new(move |notice: ExpiryNotice| {
            let (told, latch) = (told.clone(), Arc::clone(&latch));
            async move {
                told.add(notice);
                latch.pass().await;
                Ok::<_, String>(())
            }
        })
    }

    pub(crate) fn add(&self, notice: ExpiryNotice) {
        self.0.lock().unwrap().push(notice);
    }

    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// What was told since the last time.
    pub(crate) fn take_whole(&self) -> Vec<ExpiryNotice> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    /// Of which keys, and the thresholds.
    pub(crate) fn take(&self) -> Vec<(KeyId, Duration)> {
        let told = self.take_whole();
        told.iter()
            .map(|notice| (notice.key.key_id, notice.threshold))
            .collect()
    }

    /// How often of each key.
    fn take_counts(&self) -> BTreeMap<KeyId, usize> {
        let mut counts = BTreeMap::new();
        for (id, _) in self.take() {
            *counts.entry(id).or_default() += 1;
        }
        counts
    }
}

/// What a hook waits for.
pub(crate) struct Latch {
    arrived: Semaphore,
    open: Semaphore,
}

impl Latch {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            arrived: Semaphore::new(0),
            open: Semaphore::new(0),
        })
    }

    pub(crate) async fn arrival(&self) {
        self.arrived.acquire().await.unwrap().forget();
    }

    async fn pass(&self) {
        self.arrived.add_permits(1);
        let _open = self.open.acquire().await.unwrap();
    }

    pub(crate) fn open(&self) {
        self.open.add_permits(1);
    }
}

fn builder(store: impl KeyStore, clock: &ManualClock) -> Builder {
    let pepper = Pepper::from_base64("9b2Lw1Q0ZC7x1uYbKcE4s5m8GJtVnD3hRAfzPqXo6kI=").unwrap();
    Keygate::builder("acme_live")
        .pepper(pepper)
        .store(store)
        .clock(clock.clone())
}

async fn issue(keys: &Keygate, count: usize, lifetime: Duration) {
    for _ in 0..count {
        let new = NewKey::for_owner("a").expires_in(lifetime);
        let _issued = keys.manager().issue(new).await.unwrap();
    }
}

/// Both look at all keys at once, and then whoever is left with something to do.
async fn sweep_both(one: &Keygate, other: &Keygate) {
    let (one_sweep, other_sweep) = tokio::join!(one.sweep_expiring(), other.sweep_expiring());
    assert!(one_sweep.unwrap().is_complete || other_sweep.unwrap().is_complete);
    assert_eq!(one.sweep_expiring().await.unwrap().told, 0);
}

/// Each call of `open` is another process on one store.
pub(crate) async fn hold_between_processes<S: KeyStore>(open: impl AsyncFn() -> S) {
    const KEYS: usize = 20;
    let (clock, told) = (ManualClock::new(), Told::default());
    let gate = async |notifier: ExpiryNotifier| {
        let builder = builder(open().await, &clock).expiry_notifier(notifier);
        builder.build().await.unwrap()
    };
    let first = gate(told.notifier()).await;
    let second = gate(told.notifier()).await;
    issue(&first, KEYS, 5 * DAY).await;
    sweep_both(&first, &second).await;
    let counts = told.take_counts();
    assert_eq!((counts.len(), counts.values().max()), (KEYS, Some(&1)));

    drop(first);
    let restarted = gate(told.notifier()).await;
    sweep_both(&second, &restarted).await;
    assert_eq!(told.count(), 0, "it is told already");
    clock.advance(4 * DAY);
    sweep_both(&restarted, &second).await;
    let counts = told.take_counts();
    assert_eq!((counts.len(), counts.values().max()), (KEYS, Some(&1)));

    // One that is frozen while it tells, until its lease has lapsed.
    issue(&second, 3, 6 * DAY).await;
    let (its_told, latch) = (Told::default(), Latch::new());
    let frozen = gate(its_told.held(&latch)).await;
    let sweeping = tokio::spawn(async move { frozen.sweep_expiring().await.unwrap() });
    latch.arrival().await;
    assert!(!second.sweep_expiring().await.unwrap().is_complete);
    clock.advance(Duration::from_secs(180));
    assert_eq!(second.sweep_expiring().await.unwrap().told, 3);
    latch.open();
    assert!(!sweeping.await.unwrap().is_complete);
    assert_eq!((its_told.count(), told.take().len()), (1, 3));
    sweep_both(&second, &restarted).await;

    // A secret from before there was a policy.
    let new = NewKey::for_owner("a").never_expires();
    let id = second.manager().issue(new).await.unwrap().info.key_id;
    clock.advance(100 * DAY);
    let policy = Policy::new().max_secret_age(90 * DAY);
    let strict = builder(open().await, &clock).policy(policy);
    let strict = strict
        .expiry_notifier(told.notifier())
        .build()
        .await
        .unwrap();
    assert_eq!(strict.sweep_expiring().await.unwrap().rotations_demanded, 1);
    let notices = told.take_whole();
    assert_eq!((notices.len(), notices[0].key.key_id), (1, id));
    assert_eq!(notices[0].ends, Ends::Secret);
    clock.advance(30 * DAY);
    let overdue = second.manager().inspect(&id).await.unwrap();
    assert_eq!(overdue.status, KeyStatus::RotationOverdue);
    assert_eq!(overdue.secrets[0].not_after, Some(notices[0].ends_at));
}
