//! What is kept for the table of the store.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::BuildHasher;
use std::mem;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use foldhash::fast::RandomState;
use futures_timer::Delay;

use super::{Actor, AuditAction, AuditEvent, Requests};
use crate::authenticate::{Lost, within};
use crate::clock::Timestamp;
use crate::key::KeyId;
use crate::principal::Identity;
use crate::store::{AuditLog, StoreError, StoreErrorKind};
use crate::telemetry;
use crate::waiters::{Waiters, first, lock};

/// So many rows wait for the store at most.
pub(crate) const MOST: usize = 2_000;

/// So many of them may be of requests whose key was not proved: what strangers send must not hide what
/// happens to keys.
pub(crate) const MOST_OF_STRANGERS: usize = MOST / 2;

/// So many rows are handed over at once, so that no transaction is long.
const BATCH: usize = 500;

/// How long the store may take for them.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long whoever reads waits for what this process has seen.
const CATCH_UP: Duration = Duration::from_secs(1);

/// Threads that note different things get in each other's way so seldom.
const SHARDS: usize = 16;

/// Authentications that the store's table does not have yet. Those that are alike are one row. Noting one
/// waits for nothing, and allocates nothing where there is such a row.
pub(crate) struct Journal {
    realm: String,
    hasher: RandomState,
    shards: [Mutex<HashMap<Tag, Row, RandomState>>; SHARDS],
    /// Rows that wait or are under way.
    rows: AtomicUsize,
    /// Batches that are under way.
    under_way: AtomicUsize,
    arrivals: Waiters,
    dropped: AtomicU64,
}

/// What makes authentications alike.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Tag {
    pub(crate) action: AuditAction,
    /// Why it was refused.
    pub(crate) code: Option<&'static str>,
    /// `None`: its secret did not prove right.
    pub(crate) key_id: Option<KeyId>,
    pub(crate) address: Option<IpAddr>,
}

struct Row {
    owner: Option<Box<str>>,
    count: u64,
    first_at: Timestamp,
    last_at: Timestamp,
}

impl Tag {
    /// The event that `count` of these are.
    pub(super) fn event(
        &self,
        owner: Option<&str>,
        count: u64,
        at: Timestamp,
        last_at: Timestamp,
    ) -> AuditEvent {
        AuditEvent {
            at,
            action: self.action,
            key_id: self.key_id,
            owner: owner.map(str::to_owned),
            actor: self.key_id.map_or(Actor::Stranger, Actor::Key),
            address: self.address,
            changes: Vec::new(),
            requests: Some(Requests {
                count,
                last_at,
                code: self.code.map(str::to_owned),
            }),
        }
    }

    const fn most(&self) -> usize {
        match self.key_id {
            Some(_) => MOST,
            None => MOST_OF_STRANGERS,
        }
    }
}

impl Row {
    fn event(&self, tag: &Tag) -> AuditEvent {
        tag.event(
            self.owner.as_deref(),
            self.count,
            self.first_at,
            self.last_at,
        )
    }

    fn add(&mut self, count: u64, first_at: Timestamp, last_at: Timestamp) {
        self.count = self.count.saturating_add(count);
        self.first_at = self.first_at.min(first_at);
        self.last_at = self.last_at.max(last_at);
    }
}

impl Journal {
    pub(crate) fn new(realm: &str) -> Self {
        let hasher = RandomState::default();
        let shard = || Mutex::new(HashMap::with_hasher(hasher.clone()));
        Self {
            realm: realm.to_owned(),
            shards: std::array::from_fn(|_| shard()),
            hasher,
            rows: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            arrivals: Waiters::default(),
            dropped: AtomicU64::new(0),
        }
    }

    pub(crate) fn realm(&self) -> &str {
        &self.realm
    }

    /// Notes one, or drops and counts it where too much waits.
    pub(crate) fn note(&self, tag: Tag, identity: Option<&Identity>, at: Timestamp) {
        let mut shard = lock(self.shard(&tag));
        match shard.entry(tag) {
            Entry::Occupied(mut row) => row.get_mut().add(1, at, at),
            Entry::Vacant(_) if !self.take_row(tag.most()) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
            Entry::Vacant(place) => {
                place.insert(Row {
                    owner: identity.map(|identity| identity.owner.clone()),
                    count: 1,
                    first_at: at,
                    last_at: at,
                });
            }
        }
    }

    /// Hands all rows to the store. Those that it cannot take now wait on; those of which nobody knows
    /// whether it took them are gone, so that nothing is counted twice.
    ///
    /// It may be called again at once. Where it is dropped, the rows that are under way are gone too.
    pub(crate) async fn hand_on(&self, log: &dyn AuditLog) -> Result<(), StoreError> {
        self.tell_dropped();
        let mut rows = self.take_rows().into_iter().peekable();
        let mut outcome = Ok(());
        while rows.peek().is_some() {
            let batch = UnderWay::begin(self, rows.by_ref().take(BATCH).collect());
            if outcome.is_err() {
                // A store that is away is asked once.
                batch.put_back();
            } else if let Err(error) = batch.record(log).await {
                outcome = Err(error);
            }
        }
        outcome
    }

    /// Waits until what this process has seen so far is with the store, for a second at most.
    pub(crate) async fn catch_up(&self, log: &dyn AuditLog) {
        let caught_up = pin!(async {
            // What failed waits on.
            drop(self.hand_on(log).await);
            let has_arrived = || self.under_way.load(Ordering::SeqCst) == 0;
            self.arrivals.until(has_arrived).await;
        });
        first(caught_up, Delay::new(CATCH_UP)).await;
    }

    fn shard(&self, tag: &Tag) -> &Mutex<HashMap<Tag, Row, RandomState>> {
        // Not the bits by which the table places it.
        let hash = self.hasher.hash_one(tag) >> 32;
        &self.shards[hash as usize % SHARDS]
    }

    fn take_row(&self, most: usize) -> bool {
        let more = |rows| (rows < most).then_some(rows + 1);
        let taken = self
            .rows
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.is_ok()
    }

    fn take_rows(&self) -> Vec<(Tag, Row)> {
        let taken = self.shards.iter().map(|shard| mem::take(&mut *lock(shard)));
        taken.flatten().collect()
    }

    /// Back to those that wait. One that is alike may have come meanwhile.
    fn put_back(&self, tag: Tag, row: Row) {
        match lock(self.shard(&tag)).entry(tag) {
            Entry::Vacant(place) => drop(place.insert(row)),
            Entry::Occupied(mut waiting) => {
                let waiting = waiting.get_mut();
                waiting.add(row.count, row.first_at, row.last_at);
                self.rows.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    fn tell_dropped(&self) {
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            telemetry::audit_is_dropped(&self.realm, dropped, "more of them wait than are kept");
        }
    }
}

/// Rows that are handed over. Those that neither arrived nor were put back are lost, which is told.
struct UnderWay<'a> {
    journal: &'a Journal,
    rows: Vec<(Tag, Row)>,
}

impl<'a> UnderWay<'a> {
    fn begin(journal: &'a Journal, rows: Vec<(Tag, Row)>) -> Self {
        journal.under_way.fetch_add(1, Ordering::SeqCst);
        Self { journal, rows }
    }

    async fn record(self, log: &dyn AuditLog) -> Result<(), StoreError> {
        let events: Vec<AuditEvent> = self.rows.iter().map(|(tag, row)| row.event(tag)).collect();
        let outcome = match within(PATIENCE, log.record(&events)).await {
            Ok(outcome) => outcome,
            Err(Lost::TooSlow) => Err(StoreErrorKind::OutcomeUnknown.into()),
            Err(Lost::Panicked) => {
                let cause = "it panicked";
                Err(StoreError::new(StoreErrorKind::OutcomeUnknown, cause))
            }
        };
        match &outcome {
            Ok(()) => self.arrive(),
            Err(error) if error.kind() == StoreErrorKind::Unavailable => self.put_back(),
            // The rows are lost, and nothing else: the store is there.
            Err(_) => {}
        }
        outcome
    }

    fn arrive(mut self) {
        self.leave();
    }

    fn put_back(mut self) {
        for (tag, row) in mem::take(&mut self.rows) {
            self.journal.put_back(tag, row);
        }
    }

    /// How many authentications the rows are, which are none of the journal's any more.
    fn leave(&mut self) -> u64 {
        let rows = mem::take(&mut self.rows);
        self.journal.rows.fetch_sub(rows.len(), Ordering::Relaxed);
        let counts = rows.iter().map(|(_, row)| row.count);
        counts.fold(0, u64::saturating_add)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let lost = self.leave();
        if lost > 0 {
            let why = "the store did not say that it took them";
            telemetry::audit_is_dropped(&self.journal.realm, lost, why);
        }
        self.journal.under_way.fetch_sub(1, Ordering::SeqCst);
        self.journal.arrivals.wake_all();
    }
}
