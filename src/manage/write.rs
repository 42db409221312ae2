//! How a change reaches the store.

use std::time::Duration;

use futures_timer::Delay;

use super::ceiling::{Caller, Ceiling};
use super::{Authority, Conflict, KeyManager, ManageError};
use crate::audit::{AuditAction, AuditEvent, FieldChange};
use crate::commit::commit;
use crate::key::KeyId;
use crate::record::{KeyRecord, SecretSlot};
use crate::store::{Expect, StoreError, StoreErrorKind};

/// What a change demands of the caller on whose behalf it is made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Demand {
    /// The key will open no more than before.
    Weaken,
    /// The key will open more than before, or somebody gets a secret of it.
    Hold,
}

impl KeyManager {
    /// Reads the record, lets `change` alter it, and writes it if nobody else did in between;
    /// otherwise begins again. Where `change` answers `None` or alters nothing, nothing is to be done.
    pub(super) async fn update(
        &self,
        id: &KeyId,
        demand: Demand,
        change: impl FnMut(&mut KeyRecord) -> Result<Option<AuditAction>, ManageError> + Send,
    ) -> Result<Updated, ManageError> {
        self.update_and_narrow(id, demand, None, change).await
    }

    /// As [`update`](Self::update), and takes from the record what it did not need within `window`.
    pub(super) async fn update_and_narrow(
        &self,
        id: &KeyId,
        demand: Demand,
        window: Option<Duration>,
        mut change: impl FnMut(&mut KeyRecord) -> Result<Option<AuditAction>, ManageError> + Send,
    ) -> Result<Updated, ManageError> {
        for attempt in 1..=demand.attempts() {
            let (before, ceiling) = self.read(id).await?;
            let mut after = before.clone();
            let action = change(&mut after)?;
            if let Some(window) = window {
                self.narrow(&mut after, window).await?;
            }
            if let Some(ceiling) = ceiling {
                demand.check(&ceiling, &before, &after)?;
            }
            let Some(action) = action.filter(|_| after != before) else {
                return Ok(Updated {
                    record: before,
                    changed: false,
                });
            };
            after.version = before.next_version().ok_or(Conflict::VersionsUsedUp)?;
            let expect = Expect::Version(before.version);
            match self.commit(expect, Some(&before), &after, action).await {
                Err(ManageError::Conflict(Conflict::Busy)) => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    if demand == Demand::Hold
                        && let Err(error) = self.confirm(Some(&before), &after).await
                    {
                        self.undo(before, &after).await;
                        return Err(error);
                    }
                    return Ok(Updated {
                        record: after,
                        changed: true,
                    });
                }
            }
            Delay::new(Duration::from_millis(attempt.min(10))).await;
        }
        Err(Conflict::Busy.into())
    }

    /// Judges what was written once more, by what the caller can do after it: a caller that was ended
    /// or narrowed meanwhile gets nothing. Its own key was judged by the record that was changed.
    pub(super) async fn confirm(
        &self,
        before: Option<&KeyRecord>,
        written: &KeyRecord,
    ) -> Result<(), ManageError> {
        let others = |caller: &&Caller| caller.key_id != written.id;
        let Some(caller) = self.caller().filter(others) else {
            return Ok(());
        };
        let ceiling = self.ceiling().await.map_err(|error| match error {
            ManageError::Store(cause) => {
                let in_doubt = StoreError::new(StoreErrorKind::OutcomeUnknown, cause);
                ManageError::Store(in_doubt)
            }
            error => error,
        })?;
        let excesses = ceiling.map(|ceiling| ceiling.excess_to_hold(written));
        match excesses.filter(|excesses| !excesses.is_empty()) {
            None => {
                let before = before.map(|before| &before.scopes);
                caller.count_held(before.into_iter().chain([&written.scopes]));
                Ok(())
            }
            Some(excesses) => Err(ManageError::BeyondCeiling(excesses)),
        }
    }

    /// Puts a record back, unless somebody else has changed it since. Nothing is told of a failure:
    /// whoever asked is told of what failed before.
    async fn undo(&self, before: KeyRecord, after: &KeyRecord) {
        let Some(version) = after.next_version() else {
            return;
        };
        let restored = KeyRecord { version, ..before };
        let expect = Expect::Version(after.version);
        let _ = self
            .commit(expect, Some(after), &restored, AuditAction::Undone)
            .await;
    }

    /// Writes one change of a key.
    pub(super) async fn commit(
        &self,
        expect: Expect,
        before: Option<&KeyRecord>,
        record: &KeyRecord,
        action: AuditAction,
    ) -> Result<(), ManageError> {
        let event = self.event(before, record, action)?;
        let shared = &*self.shared;
        commit(
            &*shared.store,
            &shared.changes,
            &shared.events,
            expect,
            record,
            &event,
        )
        .await?;
        Ok(())
    }

    /// What the audit log is to say of a change that is made now.
    ///
    /// # Errors
    /// It cannot say who makes it.
    pub(super) fn event(
        &self,
        before: Option<&KeyRecord>,
        record: &KeyRecord,
        action: AuditAction,
    ) -> Result<AuditEvent, ManageError> {
        let address = match &self.authority {
            Authority::Host(person) => {
                person.check()?;
                person.address()
            }
            Authority::Caller(caller) => caller.address,
        };
        Ok(AuditEvent {
            at: self.now(),
            action,
            key_id: Some(record.id),
            owner: Some(record.owner.clone()),
            actor: self.actor(),
            address,
            changes: differences(before, record),
            requests: None,
        })
    }
}

impl Demand {
    /// How often a change gives way to others before it gives up; each time another one succeeded.
    /// Nobody is to hold up the end of a key by changing it again and again.
    fn attempts(self) -> u64 {
        match self {
            Self::Weaken => 1024,
            Self::Hold => 64,
        }
    }

    fn check(
        self,
        ceiling: &Ceiling,
        before: &KeyRecord,
        after: &KeyRecord,
    ) -> Result<(), ManageError> {
        let mut excesses = match self {
            Self::Weaken => ceiling.excess_to_weaken(before),
            Self::Hold => ceiling.excess_to_hold(before),
        };
        if self == Self::Hold && excesses.is_empty() {
            excesses = ceiling.excess_to_hold(after);
        }
        match excesses.is_empty() {
            true => Ok(()),
            false => Err(ManageError::BeyondCeiling(excesses)),
        }
    }
}

/// A record after an update.
pub(crate) struct Updated {
    pub(crate) record: KeyRecord,
    /// Whether anything had to be written.
    pub(crate) changed: bool,
}

/// What an audit event says of a change: every field that differs, and of secrets only their times.
fn differences(before: Option<&KeyRecord>, after: &KeyRecord) -> Vec<FieldChange> {
    let before = before.map(shown).unwrap_or_default();
    shown(after)
        .into_iter()
        .enumerate()
        .map(|(n, (field, after))| FieldChange {
            field: field.into(),
            before: before.get(n).and_then(|(_, value)| value.clone()),
            after,
        })
        .filter(|change| change.before != change.after)
        .collect()
}

fn shown(record: &KeyRecord) -> Vec<(&'static str, Option<String>)> {
    let text = |text: String| Some(text).filter(|text| !text.is_empty());
    let networks: Vec<String> = record.allowed_ips.iter().map(ToString::to_string).collect();
    let metadata = match record.metadata.is_empty() {
        true => None,
        false => serde_json::to_string(&record.metadata).ok(),
    };
    let ends = |slot: Option<&SecretSlot>| slot.and_then(|slot| slot.not_after);
    vec![
        ("name", text(record.name.clone())),
        ("scopes", text(record.scopes.to_string())),
        ("metadata", metadata),
        ("expires_at", record.expires_at.map(|t| t.to_string())),
        ("disabled_at", record.disabled_at.map(|t| t.to_string())),
        (
            "revoked_at",
            record.revocation.as_ref().map(|r| r.at.to_string()),
        ),
        (
            "revocation_reason",
            record
                .revocation
                .as_ref()
                .and_then(|r| text(r.reason.clone())),
        ),
        ("allowed_ips", text(networks.join(" "))),
        (
            "rate_limit",
            record.rate_limit.map(|limit| {
                format!(
                    "{} per {} s, burst {}",
                    limit.requests, limit.per_seconds, limit.burst
                )
            }),
        ),
        (
            "secret_created_at",
            Some(record.secrets.current.created_at.to_string()),
        ),
        (
            "secret_ends_at",
            ends(Some(&record.secrets.current)).map(|t| t.to_string()),
        ),
        (
            "previous_secret_ends_at",
            ends(record.secrets.previous.as_ref()).map(|t| t.to_string()),
        ),
    ]
}
