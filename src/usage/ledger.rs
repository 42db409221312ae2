use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_timer::Delay;

use super::since::Vouching;
use super::tally::{Bounds, Needed, Row, Tag, Tally};
use crate::authenticate::{Lost, within};
use crate::clock::{Clock, Day};
use crate::key::{KeyId, RandomError};
use crate::scope::ScopeSet;
use crate::store::{
    KeyStore, KeyUsage, ScopeUsage, SecretUsage, StoreError, StoreErrorKind, UsageBatch,
    UsageEntry, UsageStore,
};
use crate::telemetry;
use crate::waiters::{Waiters, first, lock};

/// So many keys, scopes and secrets make a batch, so that no transaction is long.
const PARTS: usize = 1_500;

/// After so many intervals in which the store took nothing, nobody can say what was not used.
const HELD_UP: u32 = 12;

/// How long the store may take for one.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long whoever reads waits for what this process has counted.
const CATCH_UP: Duration = Duration::from_secs(1);

/// How much is kept in memory, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) interval: Duration,
    /// Rows of all threads: one for each key, secret, rule and day.
    pub(crate) rows: usize,
}

/// What one gate has counted and the store has not.
pub(crate) struct Ledger {
    bounds: Arc<Bounds>,
    interval: Duration,
    clock: Arc<dyn Clock>,
    tallies: Mutex<Vec<Arc<Tally>>>,
    outbox: Mutex<Outbox>,
    realm: String,
    is_running: AtomicBool,
    /// Whether requests were served and not counted.
    is_spoiled: AtomicBool,
    /// How often somebody asked for all counts to be handed on, up to which of these it was tried, and
    /// up to which it was done.
    asked: AtomicU64,
    tried: AtomicU64,
    handed_on: AtomicU64,
    tries: Waiters,
}

/// Batches in the order of their numbers. The first is added until the store has acknowledged it:
/// nothing else is taken from the threads before, so that what waits does not grow.
struct Outbox {
    instance: u128,
    sequence: u64,
    batches: VecDeque<Arc<UsageBatch>>,
}

impl Ledger {
    pub(crate) fn new(
        limits: Limits,
        clock: Arc<dyn Clock>,
        realm: &str,
    ) -> Result<Self, RandomError> {
        let mut instance = [0; 16];
        getrandom::fill(&mut instance).map_err(RandomError::new)?;
        Ok(Self {
            bounds: Arc::new(Bounds::new(limits.rows)),
            interval: limits.interval,
            clock,
            tallies: Mutex::default(),
            outbox: Mutex::new(Outbox {
                instance: u128::from_ne_bytes(instance),
                sequence: 0,
                batches: VecDeque::new(),
            }),
            realm: realm.to_owned(),
            is_running: AtomicBool::new(false),
            is_spoiled: AtomicBool::new(false),
            asked: AtomicU64::new(0),
            tried: AtomicU64::new(0),
            handed_on: AtomicU64::new(0),
            tries: Waiters::default(),
        })
    }

    pub(crate) fn realm(&self) -> &str {
        &self.realm
    }

    /// A tally for one more thread: one that a thread has left, with what it counted, or a new one.
    pub(super) fn open_tally(&self) -> (Arc<Tally>, Arc<Bounds>) {
        let mut tallies = lock(&self.tallies);
        let left = tallies.iter().find(|tally| Arc::strong_count(tally) == 1);
        let tally = left.cloned().unwrap_or_else(|| {
            let tally = Arc::new(Tally::default());
            tallies.push(Arc::clone(&tally));
            tally
        });
        (tally, Arc::clone(&self.bounds))
    }

    /// Hands counts on as they come, until it is dropped. What failed is tried again after `backoff`.
    pub(crate) async fn hand_on_for_ever(
        &self,
        store: &dyn KeyStore,
        backoff: impl Fn(u32) -> Duration,
    ) {
        let _running = Running::begin(self);
        let mut failures = 0;
        let mut worked = Instant::now();
        let mut vouching = Vouching::new(store, &*self.clock);
        loop {
            let wait = match failures {
                0 => self.interval,
                failures => backoff(failures),
            };
            self.wait(wait, failures == 0).await;
            let handed_on = self.hand_on(store).await;
            let is_spoiled = self.is_spoiled.swap(false, Ordering::SeqCst);
            match handed_on {
                Ok(()) => {
                    (failures, worked) = (0, Instant::now());
                    vouching.go_on(is_spoiled).await;
                }
                Err(error) => {
                    if failures == 0 {
                        telemetry::usage_is_held_up(&self.realm, &error);
                    }
                    failures = failures.saturating_add(1);
                    self.is_spoiled.fetch_or(is_spoiled, Ordering::SeqCst);
                    if worked.elapsed() > self.interval.saturating_mul(HELD_UP) {
                        vouching.withdraw().await;
                    }
                }
            }
        }
    }

    /// Returns after `time`, or when somebody asks; `is_early` also when much has come.
    async fn wait(&self, time: Duration, is_early: bool) {
        let is_asked = || self.asked.load(Ordering::SeqCst) > self.tried.load(Ordering::SeqCst);
        let is_filling = || is_asked() || is_early && self.bounds.is_filling();
        first(
            pin!(self.bounds.filling.until(is_filling)),
            Delay::new(time),
        )
        .await;
    }

    /// Hands on all that was counted until now.
    ///
    /// It may be dropped at any point, and called again, also at once.
    pub(crate) async fn hand_on(&self, store: &dyn KeyStore) -> Result<(), StoreError> {
        let asked = self.asked.load(Ordering::SeqCst);
        let uncounted = self.bounds.take_uncounted();
        if uncounted > 0 {
            telemetry::usage_was_not_counted(&self.realm, uncounted);
            self.is_spoiled.store(true, Ordering::SeqCst);
        }
        let handed_on = self.hand_on_batches(store).await;
        if handed_on.is_ok() {
            self.handed_on.fetch_max(asked, Ordering::SeqCst);
        }
        self.tried.fetch_max(asked, Ordering::SeqCst);
        self.tries.wake_all();
        handed_on
    }

    async fn hand_on_batches(&self, store: &dyn KeyStore) -> Result<(), StoreError> {
        let absent = || StoreError::new(StoreErrorKind::Unavailable, "it keeps no usage");
        let usage = store.abilities().usage.ok_or_else(absent)?;
        // First what is left of the last time: only then the threads are asked.
        self.send(usage).await?;
        self.collect();
        self.send(usage).await
    }

    async fn send(&self, usage: &dyn UsageStore) -> Result<(), StoreError> {
        loop {
            let next = lock(&self.outbox).batches.front().cloned();
            let Some(batch) = next else { return Ok(()) };
            match within(PATIENCE, usage.add(&batch)).await {
                Ok(added) => added?,
                Err(Lost::TooSlow) => return Err(StoreErrorKind::OutcomeUnknown.into()),
                Err(Lost::Panicked) => {
                    let cause = "it panicked";
                    return Err(StoreError::new(StoreErrorKind::OutcomeUnknown, cause));
                }
            }
            let batches = &mut lock(&self.outbox).batches;
            // Another may have sent it too.
            if batches
                .front()
                .is_some_and(|front| Arc::ptr_eq(front, &batch))
            {
                batches.pop_front();
            }
        }
    }

    /// Empties all tallies into batches.
    fn collect(&self) {
        let tallies = lock(&self.tallies).clone();
        let mut entries = BTreeMap::new();
        for tally in &tallies {
            tally.empty(&self.bounds, |tag, row| enter(&mut entries, tag, row));
        }
        drop(tallies);
        // Those of threads that have ended are in nobody else's hands.
        lock(&self.tallies).retain(|tally| Arc::strong_count(tally) > 1 || !tally.is_empty());
        lock(&self.outbox).put(entries.into_values());
    }

    /// Waits until what this process has counted so far was handed on, for a second at most. Whether it
    /// was, and is all that was to be counted.
    pub(crate) async fn catch_up(&self, store: &dyn KeyStore) -> bool {
        let mine = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        if self.is_running.load(Ordering::SeqCst) {
            self.bounds.filling.wake_all();
            let is_tried = || self.tried.load(Ordering::SeqCst) >= mine;
            let is_over = || is_tried() || !self.is_running.load(Ordering::SeqCst);
            first(pin!(self.tries.until(is_over)), Delay::new(CATCH_UP)).await;
        } else {
            let handed_on = pin!(async { drop(self.hand_on(store).await) });
            first(handed_on, Delay::new(CATCH_UP)).await;
        }
        self.handed_on.load(Ordering::SeqCst) >= mine && !self.is_spoiled.load(Ordering::SeqCst)
    }
}

impl Outbox {
    fn put(&mut self, entries: impl Iterator<Item = UsageEntry>) {
        let mut entries = entries.peekable();
        while entries.peek().is_some() {
            let (mut taken, mut parts) = (Vec::new(), 0);
            while parts < PARTS
                && let Some(entry) = entries.next()
            {
                let usage = &entry.usage;
                parts += 1 + usage.scopes.len() + usage.lacked.len() + usage.secrets.len();
                taken.push(entry);
            }
            self.sequence += 1;
            self.batches.push_back(Arc::new(UsageBatch {
                instance: self.instance,
                sequence: self.sequence,
                entries: taken,
            }));
        }
    }
}

/// What was counted holds what knows the gate, which would hold this.
impl Drop for Ledger {
    fn drop(&mut self) {
        self.bounds.close();
        for tally in mem::take(&mut *lock(&self.tallies)) {
            tally.empty(&self.bounds, |_, _| ());
        }
    }
}

/// Held while counts are handed on as they come.
struct Running<'a>(&'a Ledger);

impl<'a> Running<'a> {
    fn begin(ledger: &'a Ledger) -> Self {
        ledger.is_running.store(true, Ordering::SeqCst);
        Self(ledger)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.is_running.store(false, Ordering::SeqCst);
        self.0.tries.wake_all();
    }
}

fn enter(entries: &mut BTreeMap<(KeyId, Day), UsageEntry>, tag: &Tag, row: &Row) {
    match entries.entry((tag.key_id, tag.day)) {
        Entry::Occupied(mut entry) => entry.get_mut().usage.add(&usage(tag, row)),
        Entry::Vacant(place) => {
            place.insert(UsageEntry {
                key_id: tag.key_id,
                owner: row.identity.owner.as_ref().to_owned(),
                day: tag.day,
                usage: usage(tag, row),
            });
        }
    }
}

fn usage(tag: &Tag, row: &Row) -> KeyUsage {
    let granted = &row.identity.scopes;
    let named = |scopes| named(scopes, row);
    KeyUsage {
        requests: row.requests,
        last_used_at: row.last_at,
        last_used_from: row.last_from,
        scopes: named(row.needed.used(granted)),
        lacked: named(row.needed.lacked(granted)),
        secrets: vec![SecretUsage {
            created_at: tag.secret,
            requests: row.requests,
            last_used_at: row.last_at,
        }],
    }
}

fn named(mut scopes: Vec<String>, row: &Row) -> Vec<ScopeUsage> {
    scopes.sort_unstable();
    scopes.dedup();
    let usage = |scope| ScopeUsage {
        scope,
        requests: row.times,
        last_at: row.last_at,
    };
    scopes.into_iter().map(usage).collect()
}

impl Needed {
    /// What a key with these scopes used of it.
    fn used(&self, granted: &ScopeSet) -> Vec<String> {
        match self {
            Self::Nothing => Vec::new(),
            Self::Rule(rule) => rule.used_of(granted).map(ToString::to_string).collect(),
            #[cfg(any(feature = "tower", feature = "actix-web"))]
            Self::All(scopes) => scopes.iter().map(|scope| scope.name().to_owned()).collect(),
            Self::Given(scopes) => scopes.iter().map(str::to_owned).collect(),
        }
    }

    /// What it lacked, and was let through all the same. Whom an enforced rule let through had all.
    fn lacked(&self, granted: &ScopeSet) -> Vec<String> {
        match self {
            Self::Rule(rule) if rule.is_report_only() => {
                let missing = rule.check(granted).err();
                let missing = missing.iter().flat_map(|missing| missing.missing());
                missing.map(ToString::to_string).collect()
            }
            _ => Vec::new(),
        }
    }
}
