use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_timer::Delay;

use super::{Renewal, Renewals};
use crate::audit::{Actor, AuditAction, AuditEvent, Events, FieldChange};
use crate::authenticate::within;
use crate::changes::{Changes, Stop};
use crate::clock::{Clock, Now};
use crate::commit::commit;
use crate::mac::Peppers;
use crate::record::{KeyRecord, SecretSlot};
use crate::store::{Expect, KeyStore, StoreError, StoreErrorKind, get_checked};
use crate::telemetry;
use crate::waiters::first;

/// How long the store may take for one renewal.
const PATIENCE: Duration = Duration::from_secs(10);

/// So often one gives way to other changes of its key, before it is set aside.
const ATTEMPTS: usize = 8;

/// Writes the renewals of one gate.
pub(crate) struct Renewer {
    pub(crate) renewals: Arc<Renewals>,
    pub(crate) store: Arc<dyn KeyStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) peppers: Arc<Peppers>,
    /// Gone with the last who caches anything.
    pub(crate) changes: Weak<Changes>,
    pub(crate) events: Arc<Events>,
    pub(crate) realm: String,
}

impl Renewer {
    /// Works until it is stopped, one renewal after another: there is time until the old pepper goes.
    /// While the store fails, it waits for `backoff` of the failures in a row.
    pub(crate) async fn run(&self, stop: &Stop, backoff: impl Fn(u32) -> Duration) {
        let mut failures = 0_u32;
        while !stop.is_raised() {
            first(pin!(stop.raised()), pin!(self.renewals.any())).await;
            let Some(renewal) = self.renewals.next().filter(|_| !stop.is_raised()) else {
                continue;
            };
            match self.renew(&renewal).await {
                Ok(()) => failures = 0,
                Err(error) => {
                    if failures == 0 {
                        telemetry::renewals_are_held_up(&self.realm, &error);
                    }
                    failures = failures.saturating_add(1);
                    first(pin!(stop.raised()), Delay::new(backoff(failures))).await;
                }
            }
        }
    }

    /// Writes what is queued. What the store does not take is lost, and comes again when its key is used.
    pub(crate) async fn hand_on_the_rest(&self) {
        for _ in 0..self.renewals.len() {
            let Some(renewal) = self.renewals.next() else {
                return;
            };
            if let Err(error) = self.renew(&renewal).await {
                return telemetry::renewals_are_held_up(&self.realm, &error);
            }
        }
    }

    /// # Errors
    /// The store is away. The renewal stays in the queue.
    async fn renew(&self, renewal: &Renewal) -> Result<(), StoreError> {
        let lost = |_| Err(unavailable("it panicked, or did not answer in time"));
        let written = within(PATIENCE, Box::pin(self.write(renewal))).await;
        let Err(error) = written.unwrap_or_else(lost) else {
            self.renewals.finish(renewal);
            return Ok(());
        };
        match error.kind() {
            StoreErrorKind::Unavailable | StoreErrorKind::OutcomeUnknown => {
                self.renewals.put_off(renewal);
                return Err(error);
            }
            // Where a store answers `Stale` for ever, it is not asked for ever.
            StoreErrorKind::Stale | StoreErrorKind::Corrupt | StoreErrorKind::Taken => {
                telemetry::renewal_is_set_aside(&renewal.key_id, &error);
                self.renewals.set_aside(renewal, Now::of(&*self.clock));
            }
        }
        Ok(())
    }

    async fn write(&self, renewal: &Renewal) -> Result<(), StoreError> {
        let Some(changes) = self.changes.upgrade() else {
            return Ok(());
        };
        for _ in 0..ATTEMPTS {
            // What has waited for long may be of a pepper that nobody has any more.
            if renewal.renewed.pepper != self.peppers.current().peppers().active_id() {
                return Ok(());
            }
            let before = get_checked(&*self.store, &renewal.key_id).await?;
            let Some(after) = before.as_ref().and_then(|before| renewal.apply(before)) else {
                // What is cached does not know yet what has become of the secret.
                changes.invalidate(&renewal.key_id);
                return Ok(());
            };
            let Renewed {
                mut record,
                version,
                field,
            } = after;
            let expect = Expect::Version(record.version);
            record.version = version.ok_or_else(versions_are_used_up)?;
            let event = self.event(renewal, &record, field);
            let (store, events) = (&*self.store, &*self.events);
            match commit(store, &changes, events, expect, &record, &event).await {
                Err(error) if error.kind() == StoreErrorKind::Stale => {}
                outcome => return outcome,
            }
        }
        Err(StoreErrorKind::Stale.into())
    }

    fn event(&self, renewal: &Renewal, record: &KeyRecord, field: &str) -> AuditEvent {
        AuditEvent {
            at: self.clock.wall(),
            action: AuditAction::MacRenewed,
            key_id: Some(record.id),
            owner: Some(record.owner.clone()),
            actor: Actor::Host,
            address: None,
            changes: renewal.change(field).into_iter().collect(),
            requests: None,
        }
    }
}

/// A record in which a MAC is made anew, under its version of before.
struct Renewed {
    record: KeyRecord,
    version: Option<u64>,
    field: &'static str,
}

impl Renewal {
    /// What the audit log says of it: of a key that was made elsewhere, nothing that can be seen.
    fn change(&self, field: &str) -> Option<FieldChange> {
        let (before, after) = (self.kept.pepper, self.renewed.pepper);
        (before != after).then(|| FieldChange {
            field: field.into(),
            before: Some(before.to_string()),
            after: Some(after.to_string()),
        })
    }

    /// `record` with the new MAC; `None`: there is no place for it, as the secret was replaced, or its
    /// MAC renewed by another instance, or the key is revoked.
    fn apply(&self, record: &KeyRecord) -> Option<Renewed> {
        if record.revocation.is_some() {
            return None;
        }
        let version = record.next_version();
        let mut record = record.clone();
        let is_it =
            |slot: &SecretSlot| slot.created_at == self.secret && slot.sealed() == self.kept;
        let previous = record.secrets.previous.as_mut();
        let (slot, field) = match previous.filter(|slot| is_it(slot)) {
            Some(previous) => (previous, "previous_secret_pepper"),
            None if is_it(&record.secrets.current) => (&mut record.secrets.current, "pepper"),
            None => return None,
        };
        (slot.mac, slot.pepper) = (self.renewed.mac, self.renewed.pepper);
        Some(Renewed {
            record,
            version,
            field,
        })
    }
}

fn unavailable(cause: &str) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, cause)
}

fn versions_are_used_up() -> StoreError {
    let cause = "the version of the record was set by hand to the largest there is";
    StoreError::new(StoreErrorKind::Corrupt, cause)
}
