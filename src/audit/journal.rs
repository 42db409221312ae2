//! What is kept for the table of the store.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::BuildHasher;
use std::mem;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use foldhash::fast::RandomState;
use futures_timer::Delay;

use super::{Actor, AuditAction, AuditEvent, Requests};
use crate::authenticate::{Lost, within};
use crate::clock::Timestamp;
use crate::key::KeyId;
use crate::limit::network;
use crate::principal::Identity;
use crate::store::{AuditLog, StoreError, StoreErrorKind};
use crate::telemetry;
use crate::waiters::{Waiters, first, lock};

/// So many rows wait for the store at most.
pub(crate) const MOST: usize = 2_000;

/// So many of them may be of requests whose key was not proved: what strangers send must not hide what
/// happens to keys.
pub(crate) const MOST_OF_STRANGERS: usize = MOST / 2;

/// So many of them may be of requests that were accepted, or exposed their keys, which must not hide those
/// that were refused.
const MOST_OF_ACCEPTED: usize = MOST / 4 * 3;

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
    /// How many are handing rows on.
    under_way: AtomicUsize,
    arrivals: Waiters,
    dropped: AtomicU64,
    /// Whether somebody hands rows on as they come.
    is_kept: AtomicBool,
    /// How often somebody asked for all rows to be handed on, and up to which of these it was tried.
    asked: AtomicU64,
    tried: AtomicU64,
    calls: Waiters,
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
    /// Of the first of them.
    address: Option<IpAddr>,
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

    /// What others are to have in common with it. Of addresses the network is enough: whoever has one of
    /// IPv6 has as many addresses as they like, and each would be a row, also of a key that was revoked or
    /// planted.
    fn alike(self) -> Self {
        Self {
            address: self.address.map(network),
            ..self
        }
    }

    const fn most(&self) -> usize {
        match (self.key_id, self.action) {
            (None, _) => MOST_OF_STRANGERS,
            (
                Some(_),
                AuditAction::Accepted | AuditAction::SentByBrowser | AuditAction::SentInPlaintext,
            ) => MOST_OF_ACCEPTED,
            (Some(_), _) => MOST,
        }
    }
}

impl Row {
    fn event(&self, tag: &Tag) -> AuditEvent {
        let tag = Tag {
            address: self.address,
            ..*tag
        };
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
            is_kept: AtomicBool::new(false),
            asked: AtomicU64::new(0),
            tried: AtomicU64::new(0),
            calls: Waiters::default(),
        }
    }

    pub(crate) fn realm(&self) -> &str {
        &self.realm
    }

    /// Notes one, or drops and counts it where too much waits.
    pub(crate) fn note(&self, tag: Tag, identity: Option<&Identity>, at: Timestamp) {
        let address = tag.address;
        let tag = tag.alike();
        let mut shard = lock(self.shard(&tag));
        match shard.entry(tag) {
            Entry::Occupied(mut row) => row.get_mut().add(1, at, at),
            Entry::Vacant(_) if !self.take_row(tag.most()) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
            Entry::Vacant(place) => {
                place.insert(Row {
                    owner: identity.map(|identity| identity.owner.clone()),
                    address,
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
    /// It may be called again at once. Where it is dropped, the rows that the store was asked to take are gone.
    pub(crate) async fn hand_on(&self, log: &dyn AuditLog) -> Result<(), StoreError> {
        let asked = self.asked.load(Ordering::SeqCst);
        self.tell_dropped();
        let outcome = self.hand_on_batches(log).await;
        self.tried.fetch_max(asked, Ordering::SeqCst);
        self.arrivals.wake_all();
        outcome
    }

    async fn hand_on_batches(&self, log: &dyn AuditLog) -> Result<(), StoreError> {
        let mut taken = Taken::all_of(self);
        while !taken.rows.is_empty() {
            let rest = taken.rows.len().saturating_sub(BATCH);
            let rows = taken.rows.split_off(rest);
            let batch = Batch {
                journal: self,
                rows,
            };
            batch.record(log).await?;
        }
        Ok(())
    }

    /// Waits until what this process has seen so far is with the store, for a second at most.
    ///
    /// Where somebody hands rows on, that is done there: it is not given up after that second.
    pub(crate) async fn catch_up(&self, log: &dyn AuditLog) {
        let mine = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let caught_up = pin!(async {
            if self.is_kept.load(Ordering::SeqCst) {
                self.calls.wake_all();
                let is_tried = || self.tried.load(Ordering::SeqCst) >= mine;
                let is_over = || is_tried() || !self.is_kept.load(Ordering::SeqCst);
                self.arrivals.until(is_over).await;
            } else {
                // What failed waits on.
                drop(self.hand_on(log).await);
            }
            let has_arrived = || self.under_way.load(Ordering::SeqCst) == 0;
            self.arrivals.until(has_arrived).await;
        });
        first(caught_up, Delay::new(CATCH_UP)).await;
    }

    /// Returns after `time`, or when somebody asks for all rows to be handed on.
    pub(super) async fn wait(&self, time: Duration) {
        let is_asked = || self.asked.load(Ordering::SeqCst) > self.tried.load(Ordering::SeqCst);
        first(pin!(self.calls.until(is_asked)), Delay::new(time)).await;
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

/// Held by who hands rows on as they come.
pub(super) struct Kept<'a>(&'a Journal);

impl<'a> Kept<'a> {
    pub(super) fn begin(journal: &'a Journal) -> Self {
        journal.is_kept.store(true, Ordering::SeqCst);
        Self(journal)
    }
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        self.0.is_kept.store(false, Ordering::SeqCst);
        self.0.arrivals.wake_all();
    }
}

/// Rows that are to be handed over. Those that were not go back.
struct Taken<'a> {
    journal: &'a Journal,
    rows: Vec<(Tag, Row)>,
}

impl<'a> Taken<'a> {
    fn all_of(journal: &'a Journal) -> Self {
        journal.under_way.fetch_add(1, Ordering::SeqCst);
        let rows = journal.take_rows();
        Self { journal, rows }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        for (tag, row) in mem::take(&mut self.rows) {
            self.journal.put_back(tag, row);
        }
        self.journal.under_way.fetch_sub(1, Ordering::SeqCst);
        self.journal.arrivals.wake_all();
    }
}

/// Rows that the store is asked to take. Those that neither arrived nor were put back are lost, which is
/// told.
struct Batch<'a> {
    journal: &'a Journal,
    rows: Vec<(Tag, Row)>,
}

impl Batch<'_> {
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

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        let lost = self.leave();
        if lost > 0 {
            let why = "the store did not say that it took them";
            telemetry::audit_is_dropped(&self.journal.realm, lost, why);
        }
    }
}

#[cfg(test)]
mod tests;
