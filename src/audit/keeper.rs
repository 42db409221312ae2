//! The work on the store's table: what is noted gets into it, and what is past its time out of it.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_timer::Delay;

use super::AuditKind;
use super::journal::{Journal, Kept};
use crate::authenticate::{Lost, within};
use crate::changes::Stop;
use crate::clock::{Clock, Timestamp};
use crate::store::{AuditLog, KeyStore, StoreError, StoreErrorKind};
use crate::telemetry;
use crate::waiters::{both, first};

/// How often what was noted is handed to the store.
const HAND_ON: Duration = Duration::from_secs(5);

/// How often what is past its time is forgotten.
const FORGET: Duration = Duration::from_secs(60 * 60);

/// So many events are forgotten in one step, so that no transaction is long.
const STEP: usize = 1_000;

/// Between two steps, in which others get their turn.
const PAUSE: Duration = Duration::from_millis(10);

/// How long the store may take for a step.
const PATIENCE: Duration = Duration::from_secs(10);

/// Keeps the store's table of one gate.
pub(crate) struct Keeper {
    pub(crate) journal: Arc<Journal>,
    pub(crate) store: Arc<dyn KeyStore>,
    pub(crate) clock: Arc<dyn Clock>,
    /// How long authentications are kept.
    pub(crate) retention: Duration,
}

impl Keeper {
    /// Works until it is stopped. A batch that is under way then is not given up. What is noted is handed
    /// on also while very much is forgotten.
    pub(crate) async fn run(&self, stop: &Stop) {
        let _kept = Kept::begin(&self.journal);
        both(
            self.hand_on_until_stopped(stop),
            self.forget_until_stopped(stop),
        )
        .await;
    }

    async fn hand_on_until_stopped(&self, stop: &Stop) {
        let mut is_held_up = false;
        while !stop.is_raised() {
            first(pin!(stop.raised()), pin!(self.journal.wait(HAND_ON))).await;
            let outcome = self.hand_on().await;
            if let Err(error) = &outcome
                && !is_held_up
            {
                telemetry::audit_is_held_up(self.journal.realm(), error);
            }
            is_held_up = outcome.is_err();
        }
    }

    async fn forget_until_stopped(&self, stop: &Stop) {
        while !stop.is_raised() {
            let forgetting = pin!(async {
                if let Err(error) = self.forget(stop).await {
                    telemetry::audit_is_not_forgotten(self.journal.realm(), &error);
                }
                Delay::new(FORGET).await;
            });
            first(pin!(stop.raised()), forgetting).await;
        }
    }

    /// Hands on the last of what was noted. What the store does not take is lost, which is logged.
    pub(crate) async fn hand_on_the_rest(&self) {
        if let Err(error) = self.hand_on().await {
            telemetry::audit_is_held_up(self.journal.realm(), &error);
        }
    }

    async fn hand_on(&self) -> Result<(), StoreError> {
        self.journal.hand_on(self.log()?).await
    }

    /// Forgets the authentications that are past their time. Changes of keys stay, also where the clock
    /// is wrong.
    pub(crate) async fn forget(&self, stop: &Stop) -> Result<(), StoreError> {
        let log = self.log()?;
        let end = before(self.clock.wall(), self.retention);
        while !stop.is_raised() {
            let step = log.forget_before(AuditKind::Authentication, end, STEP);
            let forgotten = match within(PATIENCE, step).await {
                Ok(forgotten) => forgotten?,
                Err(Lost::TooSlow | Lost::Panicked) => {
                    let cause = "it panicked, or did not forget in time";
                    return Err(StoreError::new(StoreErrorKind::Unavailable, cause));
                }
            };
            if forgotten < STEP {
                break;
            }
            first(pin!(stop.raised()), Delay::new(PAUSE)).await;
        }
        Ok(())
    }

    fn log(&self) -> Result<&dyn AuditLog, StoreError> {
        let absent = || StoreError::new(StoreErrorKind::Unavailable, "it keeps no audit log");
        self.store.abilities().audit_log.ok_or_else(absent)
    }
}

/// The moment so long before `now`.
fn before(now: Timestamp, span: Duration) -> Timestamp {
    let span = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    let millis = now.as_unix_millis().saturating_sub(span);
    Timestamp::from_unix_millis(millis).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::audit::journal::Tag;
    use crate::audit::{Actor, AuditAction, AuditEvent, Requests};
    use crate::clock::SystemClock;
    use crate::key::KeyId;
    use crate::record::KeyRecord;
    use crate::store::{Abilities, AuditPage, AuditQuery, Listed, MemoryStore, Page, Write};

    fn event(action: AuditAction, at: Timestamp) -> AuditEvent {
        let requests = Requests {
            count: 1,
            last_at: at,
            code: None,
        };
        AuditEvent {
            at,
            action,
            key_id: None,
            owner: None,
            actor: Actor::Stranger,
            address: None,
            changes: Vec::new(),
            requests: (action.kind() == AuditKind::Authentication).then_some(requests),
        }
    }

    /// A keeper of a table with more old requests than one step forgets, one that is not old, and a
    /// change from the beginning of time.
    async fn keeper(retention: Duration) -> Keeper {
        let (store, now) = (Arc::new(MemoryStore::new()), SystemClock.wall());
        let old = before(now, 2 * retention);
        let mut events = vec![event(AuditAction::Refused, old); 2 * STEP + 1];
        events.push(event(AuditAction::Accepted, now));
        events.push(event(AuditAction::Issued, Timestamp::MIN));
        let log = store.abilities().audit_log.unwrap();
        log.record(&events).await.unwrap();
        Keeper {
            journal: Arc::new(Journal::new("acme")),
            store,
            clock: Arc::new(SystemClock),
            retention,
        }
    }

    async fn kept(keeper: &Keeper) -> Vec<AuditAction> {
        let query = AuditQuery {
            limit: 10_000,
            ..AuditQuery::new()
        };
        let page = keeper.log().unwrap().events(&query).await.unwrap();
        page.events.iter().map(|event| event.action).collect()
    }

    #[tokio::test]
    async fn requests_that_are_past_their_time_are_forgotten_and_changes_never() {
        let keeper = keeper(Duration::from_secs(60)).await;
        keeper.forget(&Stop::default()).await.unwrap();
        let left = [AuditAction::Accepted, AuditAction::Issued];
        assert_eq!(kept(&keeper).await, left);
    }

    /// A store that keeps events, and does not come to an end with forgetting them.
    struct SlowToForget(MemoryStore);

    #[async_trait]
    impl KeyStore for SlowToForget {
        async fn get(&self, id: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
            self.0.get(id).await
        }

        async fn write(&self, change: Write<'_>) -> Result<(), StoreError> {
            self.0.write(change).await
        }

        async fn list(&self, page: &Page<'_>) -> Result<Listed, StoreError> {
            self.0.list(page).await
        }

        fn abilities(&self) -> Abilities<'_> {
            Abilities::none().with_audit_log(self)
        }
    }

    #[async_trait]
    impl AuditLog for SlowToForget {
        async fn events(&self, query: &AuditQuery) -> Result<AuditPage, StoreError> {
            AuditLog::events(&self.0, query).await
        }

        async fn record(&self, events: &[AuditEvent]) -> Result<(), StoreError> {
            self.0.record(events).await
        }

        async fn forget_before(
            &self,
            _: AuditKind,
            _: Timestamp,
            _: usize,
        ) -> Result<usize, StoreError> {
            std::future::pending().await
        }
    }

    #[tokio::test]
    async fn what_is_noted_reaches_the_store_also_while_very_much_is_forgotten() {
        let keeper = Keeper {
            journal: Arc::new(Journal::new("acme")),
            store: Arc::new(SlowToForget(MemoryStore::new())),
            clock: Arc::new(SystemClock),
            retention: Duration::from_secs(60),
        };
        let stop = Stop::default();
        let reads = pin!(async {
            for number in 1..=3 {
                let tag = Tag {
                    action: AuditAction::Refused,
                    code: Some("key_invalid"),
                    key_id: None,
                    address: None,
                };
                keeper.journal.note(tag, None, SystemClock.wall());
                keeper.journal.catch_up(keeper.log().unwrap()).await;
                assert_eq!(kept(&keeper).await.len(), number);
            }
        });
        first(pin!(keeper.run(&stop)), reads).await;
    }

    #[tokio::test]
    async fn nothing_more_is_forgotten_once_the_work_is_to_end() {
        let keeper = keeper(Duration::from_secs(60)).await;
        let stop = Stop::default();
        stop.raise();
        keeper.forget(&stop).await.unwrap();
        assert_eq!(kept(&keeper).await.len(), 2 * STEP + 3);
    }

    #[test]
    fn no_retention_is_too_long_for_the_calendar() {
        assert_eq!(before(SystemClock.wall(), Duration::MAX), Timestamp::MIN);
        let now = Timestamp::from_unix_millis(5_000).unwrap();
        let second_before = Timestamp::from_unix_millis(4_000).unwrap();
        assert_eq!(before(now, Duration::from_secs(1)), second_before);
    }
}
