use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_timer::Delay;

use super::Door;
use crate::audit::{AuditEvent, AuditKind};
use crate::clock::{Day, Timestamp};
use crate::dropping::drop_after;
use crate::key::KeyId;
use crate::record::KeyRecord;
use crate::store::{
    Abilities, AuditLog, AuditPage, AuditQuery, DayTotal, KeyStore, KeyUsage, Listed, OwnerTotal,
    Page, StoreError, StoreErrorKind, Unreadable, UsageBatch, UsageStore, Write,
};

/// A store that does what the one inside does, and misbehaves on demand.
pub struct FaultyStore {
    inner: Arc<dyn KeyStore>,
    /// The calls of [`KeyStore::get`].
    pub gets: Calls,
    /// The calls of [`KeyStore::write`].
    pub writes: Calls,
    /// The calls of [`KeyStore::list`].
    pub lists: Calls,
    /// The calls of [`UsageStore::add`].
    pub usage_adds: Calls,
    /// The calls of the methods of [`UsageStore`] that read.
    pub usage_reads: Calls,
    /// The calls of [`AuditLog::record`].
    pub audit_records: Calls,
    /// The calls of [`AuditLog::forget_before`].
    pub audit_forgets: Calls,
    /// The calls of [`AuditLog::events`].
    pub audit_reads: Calls,
    corrupt: Mutex<BTreeSet<KeyId>>,
    /// Held by every call that is under way.
    token: Arc<()>,
}

/// One method of a [`FaultyStore`]: how often it was called, and what goes wrong with it.
#[derive(Debug, Default)]
pub struct Calls {
    count: AtomicUsize,
    plan: Mutex<Plan>,
}

#[derive(Debug, Default)]
struct Plan {
    next: VecDeque<Fault>,
    always: Fault,
}

/// What happens to a call.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// The store is not asked, and this is the answer.
    Fail(StoreErrorKind),
    /// There is never an answer, and the store is not asked.
    Hang,
    /// A bug in the store.
    Panic,
    /// The store is asked after a while.
    Delay(Duration),
    /// The store is asked, and the question dropped when it was polled so many times. A read is then
    /// asked again; of a write nobody knows.
    Drop(usize),
    /// The store is asked, and its answer waits behind a door.
    Hold(Door),
    /// The question waits behind a door before the store is asked.
    HoldBack(Door),
    /// The store is not asked, and this answer waits behind a door.
    HoldFailure(Door, StoreErrorKind),
    /// The store is asked, and the answer is that nobody knows.
    DoneUnknown,
    /// The store is not asked, and the answer is that nobody knows.
    NotDoneUnknown,
}

impl Calls {
    /// How often it was called so far.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// From now on every call meets `fault`.
    pub fn always(&self, fault: Fault) {
        self.plan().always = fault;
    }

    /// The next call meets `fault`, after those that were planned before.
    pub fn once(&self, fault: Fault) {
        self.plan().next.push_back(fault);
    }

    /// Nothing goes wrong any more.
    pub fn heal(&self) {
        *self.plan() = Plan::default();
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self) -> Fault {
        self.count.fetch_add(1, Ordering::SeqCst);
        let mut plan = self.plan();
        plan.next.pop_front().unwrap_or_else(|| plan.always.clone())
    }
}

impl FaultyStore {
    /// A store on `inner`, with which nothing is wrong yet.
    pub fn new(inner: impl KeyStore) -> Self {
        Self {
            inner: Arc::new(inner),
            gets: Calls::default(),
            writes: Calls::default(),
            lists: Calls::default(),
            usage_adds: Calls::default(),
            usage_reads: Calls::default(),
            audit_records: Calls::default(),
            audit_forgets: Calls::default(),
            audit_reads: Calls::default(),
            corrupt: Mutex::default(),
            token: Arc::new(()),
        }
    }

    /// The store inside, which does not misbehave and counts nothing.
    pub fn inner(&self) -> &dyn KeyStore {
        &*self.inner
    }

    /// How many calls are under way now.
    pub fn under_way(&self) -> usize {
        Arc::strong_count(&self.token) - 1
    }

    /// From now on the record of `id` cannot be read.
    pub fn corrupt(&self, id: KeyId) {
        self.corrupt_ids().insert(id);
    }

    /// The record of `id` can be read again.
    pub fn mend(&self, id: KeyId) {
        self.corrupt_ids().remove(&id);
    }

    fn usage(&self) -> Result<&dyn UsageStore, StoreError> {
        let absent = || StoreError::new(StoreErrorKind::Unavailable, "it keeps no usage");
        self.inner.abilities().usage.ok_or_else(absent)
    }

    fn audit_log(&self) -> Result<&dyn AuditLog, StoreError> {
        let absent = || StoreError::new(StoreErrorKind::Unavailable, "it has no audit log");
        self.inner.abilities().audit_log.ok_or_else(absent)
    }

    fn corrupt_ids(&self) -> MutexGuard<'_, BTreeSet<KeyId>> {
        self.corrupt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer of `ask`, after and before what `fault` has in store.
    async fn meet<T>(
        &self,
        fault: Fault,
        ask: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let _under_way = Arc::clone(&self.token);
        match fault {
            Fault::None => ask.await,
            Fault::Fail(kind) => Err(kind.into()),
            Fault::Hang => std::future::pending().await,
            #[expect(clippy::panic, reason = "it is asked for")]
            Fault::Panic => panic!("as a test asked for"),
            Fault::Delay(time) => {
                Delay::new(time).await;
                ask.await
            }
            Fault::Drop(polls) => {
                let answer = drop_after(polls, ask).await;
                answer.unwrap_or(Err(StoreErrorKind::OutcomeUnknown.into()))
            }
            Fault::Hold(door) => {
                let answer = ask.await;
                door.pass().await;
                answer
            }
            Fault::HoldBack(door) => {
                door.pass().await;
                ask.await
            }
            Fault::HoldFailure(door, kind) => {
                door.pass().await;
                Err(kind.into())
            }
            Fault::DoneUnknown => {
                ask.await?;
                Err(StoreErrorKind::OutcomeUnknown.into())
            }
            Fault::NotDoneUnknown => Err(StoreErrorKind::OutcomeUnknown.into()),
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl KeyStore for FaultyStore {
    async fn get(&self, id: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
        let fault = self.gets.begin();
        if self.corrupt_ids().contains(id) {
            return Err(StoreErrorKind::Corrupt.into());
        }
        let fault = drop_first(fault, self.inner.get(id)).await;
        self.meet(fault, self.inner.get(id)).await
    }

    async fn write(&self, change: Write<'_>) -> Result<(), StoreError> {
        let fault = self.writes.begin();
        self.meet(fault, self.inner.write(change)).await
    }

    async fn list(&self, page: &Page<'_>) -> Result<Listed, StoreError> {
        let fault = drop_first(self.lists.begin(), self.inner.list(page)).await;
        let mut listed = self.meet(fault, self.inner.list(page)).await?;
        let corrupt = self.corrupt_ids();
        let (unreadable, records) = listed
            .records
            .into_iter()
            .partition(|record| corrupt.contains(&record.id));
        listed.records = records;
        let unreadable: Vec<KeyRecord> = unreadable;
        listed
            .unreadable
            .extend(unreadable.into_iter().map(|record| Unreadable {
                id: record.id.to_string(),
                error: StoreErrorKind::Corrupt.into(),
            }));
        Ok(listed)
    }

    fn abilities(&self) -> Abilities<'_> {
        let mut abilities = self.inner.abilities();
        if abilities.audit_log.is_some() {
            abilities = abilities.with_audit_log(self);
        }
        match abilities.usage {
            Some(_) => abilities.with_usage(self),
            None => abilities,
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl AuditLog for FaultyStore {
    async fn events(&self, query: &AuditQuery) -> Result<AuditPage, StoreError> {
        let log = self.audit_log()?;
        let fault = drop_first(self.audit_reads.begin(), log.events(query)).await;
        self.meet(fault, log.events(query)).await
    }

    async fn record(&self, events: &[AuditEvent]) -> Result<(), StoreError> {
        let fault = self.audit_records.begin();
        self.meet(fault, self.audit_log()?.record(events)).await
    }

    async fn forget_before(
        &self,
        kind: AuditKind,
        moment: Timestamp,
        limit: usize,
    ) -> Result<usize, StoreError> {
        let fault = self.audit_forgets.begin();
        let log = self.audit_log()?;
        self.meet(fault, log.forget_before(kind, moment, limit))
            .await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl UsageStore for FaultyStore {
    async fn add(&self, batch: &UsageBatch) -> Result<(), StoreError> {
        let fault = self.usage_adds.begin();
        self.meet(fault, self.usage()?.add(batch)).await
    }

    async fn of_keys(&self, ids: &[KeyId]) -> Result<Vec<Option<KeyUsage>>, StoreError> {
        let fault = self.usage_reads.begin();
        self.meet(fault, self.usage()?.of_keys(ids)).await
    }

    async fn days_of_key(
        &self,
        id: &KeyId,
        days: RangeInclusive<Day>,
    ) -> Result<Vec<DayTotal>, StoreError> {
        let fault = self.usage_reads.begin();
        self.meet(fault, self.usage()?.days_of_key(id, days)).await
    }

    async fn days_of_owner(
        &self,
        owner: &str,
        days: RangeInclusive<Day>,
    ) -> Result<Vec<DayTotal>, StoreError> {
        let fault = self.usage_reads.begin();
        self.meet(fault, self.usage()?.days_of_owner(owner, days))
            .await
    }

    async fn owners_on(
        &self,
        day: Day,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<OwnerTotal>, StoreError> {
        let fault = self.usage_reads.begin();
        self.meet(fault, self.usage()?.owners_on(day, after, limit))
            .await
    }

    async fn forget_before(&self, day: Day) -> Result<(), StoreError> {
        self.usage()?.forget_before(day).await
    }
}

/// Asks once in vain, where that is the fault of a read.
async fn drop_first(fault: Fault, ask: impl Future) -> Fault {
    match fault {
        Fault::Drop(polls) => {
            drop_after(polls, ask).await;
            Fault::None
        }
        other => other,
    }
}

impl fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyStore")
            .field("gets", &self.gets)
            .field("writes", &self.writes)
            .field("lists", &self.lists)
            .field("usage_adds", &self.usage_adds)
            .field("usage_reads", &self.usage_reads)
            .field("audit_records", &self.audit_records)
            .field("audit_forgets", &self.audit_forgets)
            .field("audit_reads", &self.audit_reads)
            .finish_non_exhaustive()
    }
}
