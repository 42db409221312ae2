//! What is noted of requests until the store's audit log has it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use keygate::audit::{AuditEvent, AuditKind};
use keygate::store::{Abilities, AuditLog, AuditPage, AuditQuery, Listed, Page, Write};
use keygate::{
    Attempt, Clock, KeyId, KeyRecord, KeyStore, Keygate, ManageError, MemoryStore, NewKey,
    StoreError, StoreErrorKind, Timestamp,
};

use crate::audit::of_requests;
use crate::common::*;

/// A store whose audit log takes requests or not.
struct Troubled {
    inner: MemoryStore,
    has_log: bool,
    /// What happens to one call after another, and then to all others.
    plan: std::sync::Mutex<Vec<Trouble>>,
    records: AtomicUsize,
    slow: Gatekeeper,
}

/// Where a call waits until it is let through.
#[derive(Default)]
struct Gatekeeper {
    came: tokio::sync::Notify,
    may_pass: tokio::sync::Notify,
}

impl Gatekeeper {
    async fn pass(&self) {
        self.came.notify_one();
        self.may_pass.notified().await;
    }

    async fn arrival(&self) {
        self.came.notified().await;
    }

    fn open(&self) {
        self.may_pass.notify_one();
    }
}

#[derive(Clone, Copy)]
enum Trouble {
    Unavailable,
    DoneUnknown,
    NotDoneUnknown,
    Panic,
    /// The answer waits behind a door.
    Slow,
}

impl Troubled {
    fn new(plan: &[Trouble]) -> Arc<Self> {
        Arc::new(Self {
            inner: MemoryStore::new(),
            has_log: true,
            plan: std::sync::Mutex::new(plan.iter().rev().copied().collect()),
            records: AtomicUsize::new(0),
            slow: Gatekeeper::default(),
        })
    }

    fn log(&self) -> &dyn AuditLog {
        self.inner.abilities().audit_log.unwrap()
    }

    async fn kept(&self) -> u64 {
        let all = AuditQuery {
            limit: 10_000,
            ..AuditQuery::new()
        };
        let page = self.log().events(&all).await.unwrap();
        assert_eq!(page.next, None);
        let requests = page.events.iter().filter_map(|e| e.requests.as_ref());
        requests.map(|requests| requests.count).sum()
    }
}

#[async_trait]
impl KeyStore for Troubled {
    async fn get(&self, id: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
        self.inner.get(id).await
    }

    async fn write(&self, change: Write<'_>) -> Result<(), StoreError> {
        self.inner.write(change).await
    }

    async fn list(&self, page: &Page<'_>) -> Result<Listed, StoreError> {
        self.inner.list(page).await
    }

    fn abilities(&self) -> Abilities<'_> {
        match self.has_log {
            true => Abilities::none().with_audit_log(self),
            false => Abilities::none(),
        }
    }
}

#[async_trait]
impl AuditLog for Troubled {
    async fn events(&self, query: &AuditQuery) -> Result<AuditPage, StoreError> {
        self.log().events(query).await
    }

    async fn record(&self, events: &[AuditEvent]) -> Result<(), StoreError> {
        self.records.fetch_add(1, Ordering::SeqCst);
        let trouble = self.plan.lock().unwrap().pop();
        match trouble {
            None => self.log().record(events).await,
            Some(Trouble::Unavailable) => Err(StoreErrorKind::Unavailable.into()),
            Some(Trouble::NotDoneUnknown) => Err(StoreErrorKind::OutcomeUnknown.into()),
            Some(Trouble::DoneUnknown) => {
                self.log().record(events).await?;
                Err(StoreErrorKind::OutcomeUnknown.into())
            }
            Some(Trouble::Slow) => {
                self.slow.pass().await;
                self.log().record(events).await
            }
            Some(Trouble::Panic) => panic!("a bug in the store"),
        }
    }

    async fn forget_before(
        &self,
        kind: AuditKind,
        moment: Timestamp,
        limit: usize,
    ) -> Result<usize, StoreError> {
        self.log().forget_before(kind, moment, limit).await
    }
}

async fn gate(store: &Arc<Troubled>, clock: &ManualClock) -> Keygate {
    builder(Arc::clone(store), clock).build().await.unwrap()
}

async fn refuse(keys: &Keygate, times: usize) {
    for _ in 0..times {
        rejection(present(keys, "junk").await);
    }
}

#[tokio::test]
async fn a_shutdown_hands_on_what_was_noted() {
    let (store, clock) = (Troubled::new(&[]), ManualClock::new());
    let keys = gate(&store, &clock).await;
    refuse(&keys, 3).await;
    assert_eq!(store.kept().await, 0, "no request waits for the store");
    keys.shutdown().await;
    assert_eq!(store.kept().await, 3);
}

#[tokio::test]
async fn what_the_store_cannot_take_waits_and_is_one_event_with_what_comes_later() {
    let (store, clock) = (Troubled::new(&[Trouble::Unavailable]), ManualClock::new());
    let keys = gate(&store, &clock).await;
    let began = clock.wall();
    refuse(&keys, 2).await;
    assert_eq!(of_requests(&keys).await, []);
    clock.advance(SECOND);
    refuse(&keys, 1).await;
    let events = of_requests(&keys).await;
    let [event] = &events[..] else {
        panic!("{events:?}")
    };
    let requests = event.requests.as_ref().unwrap();
    assert_eq!((requests.count, event.at), (3, began));
    assert_eq!(requests.last_at, clock.wall());
}

#[tokio::test]
async fn nothing_is_counted_twice_where_nobody_knows_whether_the_store_took_it() {
    for (trouble, kept) in [
        (Trouble::DoneUnknown, 2),
        (Trouble::NotDoneUnknown, 0),
        (Trouble::Panic, 0),
    ] {
        let (store, clock) = (Troubled::new(&[trouble]), ManualClock::new());
        let keys = gate(&store, &clock).await;
        refuse(&keys, 2).await;
        of_requests(&keys).await;
        assert_eq!(store.kept().await, kept);
        refuse(&keys, 1).await;
        of_requests(&keys).await;
        keys.shutdown().await;
        assert_eq!(store.kept().await, kept + 1);
    }
}

#[tokio::test]
async fn a_flood_costs_the_store_no_more_than_what_may_wait_and_hides_nothing_of_keys() {
    let (store, clock) = (Troubled::new(&[]), ManualClock::new());
    let keys = builder(Arc::clone(&store), &clock)
        .failed_attempts(None)
        .build()
        .await
        .unwrap();
    let issued = keys.manager().issue(NewKey::for_owner("a")).await.unwrap();
    let text = issued.key.expose();
    for number in 0..5_000_u32 {
        let from = std::net::Ipv4Addr::from(number).into();
        let attempt = Attempt::new("junk").from_address(Some(from));
        rejection(keys.authenticator().authenticate(attempt).await);
    }
    keys.manager()
        .revoke(&issued.info.key_id, "")
        .await
        .unwrap();
    rejection(present(&keys, text).await);
    keys.shutdown().await;
    let mut query = AuditQuery {
        kind: Some(AuditKind::Authentication),
        limit: 1_000,
        ..AuditQuery::new()
    };
    let (mut strangers, mut proved) = (0, 0);
    loop {
        let page = keys.manager().audit(&query).await.unwrap();
        let of_key = page.events.iter().filter(|e| e.key_id.is_some()).count();
        proved += of_key;
        strangers += page.events.len() - of_key;
        let Some(next) = page.next else { break };
        query.after = Some(next);
    }
    assert_eq!((strangers, proved), (1_000, 1));
    assert!(store.records.load(Ordering::SeqCst) <= 4);
    // What was handed on makes room.
    refuse(&keys, 1).await;
    assert_eq!(store.kept().await + 1, {
        keys.shutdown().await;
        store.kept().await
    });
}

#[tokio::test]
async fn without_an_audit_log_changes_go_on_and_reading_says_what_is_missing() {
    let store = Arc::new(Troubled {
        has_log: false,
        ..Arc::into_inner(Troubled::new(&[])).unwrap()
    });
    let (sender, receiver) = keygate::audit::channel(10);
    let keys = builder(Arc::clone(&store), &ManualClock::new());
    let keys = keys.audit_channel(sender).build().await.unwrap();
    refuse(&keys, 2).await;
    let manager = keys.manager();
    drop(manager.issue(NewKey::for_owner("a")).await.unwrap());
    let now = Timestamp::MAX;
    let forgotten = manager.forget_audit(AuditKind::Lifecycle, now).await;
    let read = manager.audit(&AuditQuery::new()).await;
    for outcome in [read.map(drop), forgotten.map(drop)] {
        assert!(matches!(outcome, Err(ManageError::NoAuditLog)));
    }
    let told: Vec<_> = std::iter::from_fn(|| receiver.try_recv()).collect();
    assert_eq!(told.len(), 3, "the host is told all the same");
    keys.shutdown().await;
}

#[tokio::test]
async fn what_waits_is_not_lost_with_a_reader_that_gives_up_where_the_work_is_running() {
    let (store, clock) = (Troubled::new(&[Trouble::Slow]), ManualClock::new());
    let keys = gate(&store, &clock).await;
    // Where it is spawned by the gate, this one waits.
    tokio::spawn(keys.run());
    tokio::task::yield_now().await;
    refuse(&keys, 2).await;
    let manager = keys.manager();
    let query = AuditQuery::new();
    {
        let mut given_up = std::pin::pin!(manager.audit(&query));
        let arrival = store.slow.arrival();
        tokio::select! {
            _ = given_up.as_mut() => panic!("the store has not answered yet"),
            () = arrival => {}
        }
    }
    store.slow.open();
    let events = of_requests(&keys).await;
    assert_eq!(events.len(), 1);
    assert_eq!(store.kept().await, 2);
}
