use std::time::Duration;

use super::ceiling::Ceiling;
use super::list::{check_owner_in_sight, listed_past};
use super::write::{Demand, Updated};
use super::{Change, Conflict, KeyManager, ManageError, sees};
use crate::audit::AuditAction;
use crate::bound::{keep_bound, kept_bound};
use crate::clock::Timestamp;
use crate::key::KeyId;
use crate::record::{KeyInfo, KeyRecord, Revocation, check_reason};
use crate::store::{Page, StoreError, StoreErrorKind};

/// The outcome of revoking a key.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Revoked {
    /// The key as it is now.
    pub info: KeyInfo,
    /// `false`: it was revoked before, and nothing was changed.
    pub changed: bool,
    /// From now on every process on the store refuses the key after this time at the latest: the
    /// bound that is kept beside the keys, a second unless an
    /// [outage grace](crate::Builder::outage_grace) was set.
    pub effective_within: Duration,
}

/// The outcome of revoking all keys of an owner.
#[derive(Clone, Debug)]
#[must_use = "keys that could not be revoked still open"]
#[non_exhaustive]
pub struct OwnerRevocation {
    /// How many keys were revoked now.
    pub revoked: usize,
    /// Keys that could not be revoked, and why. When it is empty, no key of the owner opens; on
    /// behalf of a caller, none of the caller's environment.
    pub failed: Vec<RevokeFailure>,
    /// From now on every process on the store refuses them after this time at the latest.
    pub effective_within: Duration,
}

/// A key that could not be revoked.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RevokeFailure {
    /// Its id, as the store has it.
    pub id: String,
    /// Why.
    pub error: ManageError,
}

impl KeyManager {
    /// Changes name, scopes, metadata, expiry, addresses or the rate limit.
    ///
    /// # Errors
    /// What is wrong with `change`, [`Conflict::ChangedMeanwhile`] where it is
    /// [of a version](Change::of_version), [`Conflict::Revoked`], [`Conflict::Expired`] (an ended key is
    /// not brought back), [`ManageError::BeyondCeiling`], and as [`inspect`](Self::inspect). To
    /// [narrow](Change::narrow_to_used) also [`Conflict::Unproved`], [`Conflict::NotUsed`] and
    /// [`ManageError::NoUsage`].
    pub async fn change(&self, id: &KeyId, change: Change) -> Result<KeyInfo, ManageError> {
        change.check()?;
        let updated = self
            .update_and_narrow(id, Demand::Hold, change.narrow, |record| {
                let now = self.now();
                Conflict::unless_read(change.version, record.version)?;
                if record.revocation.is_some() {
                    return Err(Conflict::Revoked.into());
                }
                if record.expires_at.is_some_and(|end| now >= end) {
                    return Err(Conflict::Expired.into());
                }
                change.traits.apply(
                    record,
                    &self.shared.policy,
                    self.shared.catalogue.as_ref(),
                    now,
                )?;
                Ok(Some(AuditAction::Changed))
            })
            .await?;
        Ok(self.info(&updated.record))
    }

    /// Pauses a key. Pausing it again changes nothing.
    ///
    /// # Errors
    /// [`Conflict::Revoked`], [`ManageError::BeyondCeiling`], and as [`inspect`](Self::inspect).
    pub async fn disable(&self, id: &KeyId) -> Result<KeyInfo, ManageError> {
        let updated = self
            .update(id, Demand::Weaken, |record| {
                if record.revocation.is_some() {
                    return Err(Conflict::Revoked.into());
                }
                if record.disabled_at.is_some() {
                    return Ok(None);
                }
                record.disabled_at = Some(self.now());
                Ok(Some(AuditAction::Disabled))
            })
            .await?;
        Ok(self.info(&updated.record))
    }

    /// Ends the pause of a key. Without one, nothing is changed.
    ///
    /// # Errors
    /// As [`disable`](Self::disable).
    pub async fn enable(&self, id: &KeyId) -> Result<KeyInfo, ManageError> {
        let updated = self
            .update(id, Demand::Hold, |record| {
                if record.revocation.is_some() {
                    return Err(Conflict::Revoked.into());
                }
                Ok(record.disabled_at.take().map(|_| AuditAction::Enabled))
            })
            .await?;
        Ok(self.info(&updated.record))
    }

    /// Ends a key for good. Nothing brings it back. Revoking it again changes nothing.
    ///
    /// # Errors
    /// [`ManageError::BeyondCeiling`], [`Conflict::Busy`] when others changed the key a thousand
    /// times meanwhile, and as [`inspect`](Self::inspect). After `OutcomeUnknown`, revoke it again:
    /// the key may be revoked, and not known within which time that is honoured.
    pub async fn revoke(
        &self,
        id: &KeyId,
        reason: impl Into<String> + Send,
    ) -> Result<Revoked, ManageError> {
        let reason = reason.into();
        check_reason(&reason)?;
        let updated = self.end(id, &reason).await?;
        Ok(Revoked {
            info: self.info(&updated.record),
            changed: updated.changed,
            effective_within: self.revocation_bound().await?,
        })
    }

    /// Sets within which time all instances promise to honour a revocation, which
    /// [`revoke`](Self::revoke) returns: a second and the longest
    /// [outage grace](crate::Builder::outage_grace) of any instance.
    ///
    /// Raise it before an instance with a longer grace starts. Lower it when none is left.
    ///
    /// # Errors
    /// [`ManageError::Invalid`] below what this instance itself needs, and on behalf of a caller;
    /// [`Conflict::Busy`] when another process set it at the same time; [`ManageError::Store`], also for
    /// a store without settings.
    pub async fn set_revocation_bound(&self, bound: Duration) -> Result<(), ManageError> {
        if self.caller().is_some() {
            let problem = "the bound of revocations is the host's to set, and no caller's";
            return Err(ManageError::Invalid(problem.into()));
        }
        let own = self.shared.changes.bound();
        if bound < own {
            let own = humantime::format_duration(own);
            let problem = format!("this instance needs {own}: lower its outage_grace first");
            return Err(ManageError::Invalid(problem));
        }
        Ok(keep_bound(&*self.shared.store, bound).await?)
    }

    /// The bound of all instances, read after what it is to bound: whoever raised it since serves
    /// only with what is read from now on.
    pub(super) async fn revocation_bound(&self) -> Result<Duration, ManageError> {
        let shared = &self.shared;
        let bound = kept_bound(&*shared.store, shared.changes.bound()).await;
        bound.map_err(|cause| {
            ManageError::Store(StoreError::new(StoreErrorKind::OutcomeUnknown, cause))
        })
    }

    pub(super) async fn end(&self, id: &KeyId, reason: &str) -> Result<Updated, ManageError> {
        self.update(id, Demand::Weaken, |record| {
            Ok(end_record(record, self.now(), reason))
        })
        .await
    }

    /// Ends all keys of `owner` for good, also those that are issued while it runs. A key that
    /// cannot be revoked does not save the others.
    ///
    /// # Errors
    /// [`ManageError::OwnerNotFound`] out of the caller's sight; [`ManageError::Store`] when the
    /// keys cannot be listed to the end, or it is not known within which time that is honoured: then
    /// some may be revoked, and it is to be done again.
    pub async fn revoke_owner(
        &self,
        owner: &str,
        reason: impl Into<String> + Send,
    ) -> Result<OwnerRevocation, ManageError> {
        let reason = reason.into();
        check_reason(&reason)?;
        let ceiling = self.ceiling().await?;
        check_owner_in_sight(ceiling.as_ref(), owner)?;
        let mut outcome = OwnerRevocation {
            revoked: 0,
            failed: Vec::new(),
            effective_within: self.shared.changes.bound(),
        };
        let own = self
            .revoke_passes(owner, &reason, ceiling.as_ref(), &mut outcome)
            .await?;
        // The caller's own key is the last, or the caller could not end the others. What it issued
        // until then only the host can end.
        if let Some(own) = own {
            self.revoke_listed(&own, &reason, &mut outcome).await;
            self.as_host()
                .revoke_passes(owner, &reason, ceiling.as_ref(), &mut outcome)
                .await?;
        }
        outcome.effective_within = self.revocation_bound().await?;
        Ok(outcome)
    }

    /// Passes over the owner's keys until one finds nothing to revoke: a key issued behind the place
    /// where a pass stands is found by the next.
    async fn revoke_passes(
        &self,
        owner: &str,
        reason: &str,
        ceiling: Option<&Ceiling>,
        outcome: &mut OwnerRevocation,
    ) -> Result<Option<KeyId>, ManageError> {
        loop {
            let before = outcome.revoked;
            let own = self.revoke_pass(owner, reason, ceiling, outcome).await?;
            if outcome.revoked == before {
                return Ok(own);
            }
        }
    }

    async fn revoke_listed(&self, id: &KeyId, reason: &str, outcome: &mut OwnerRevocation) {
        match self.end(id, reason).await {
            Ok(ended) => outcome.revoked += usize::from(ended.changed),
            Err(error) => outcome.failed.push(RevokeFailure {
                id: id.to_string(),
                error,
            }),
        }
    }

    /// Revokes what is listed of the owner, but for the caller's own key, which it returns.
    async fn revoke_pass(
        &self,
        owner: &str,
        reason: &str,
        ceiling: Option<&Ceiling>,
        outcome: &mut OwnerRevocation,
    ) -> Result<Option<KeyId>, ManageError> {
        const PAGE: usize = 256;
        let (mut after, mut own) = (None, None);
        outcome.failed.clear();
        loop {
            let page = Page {
                owner: Some(owner),
                after,
                limit: PAGE,
            };
            let listed = self.shared.store.list(&page).await?;
            let (full, last) = (listed.is_full(PAGE), listed.last_id());
            for unreadable in listed.unreadable {
                outcome.failed.push(RevokeFailure {
                    id: unreadable.id,
                    error: unreadable.error.into(),
                });
            }
            let open = listed
                .records
                .iter()
                .filter(|record| record.revocation.is_none());
            for record in open.filter(|record| sees(ceiling, record)) {
                let excesses = ceiling.map(|ceiling| ceiling.excess_to_weaken(record));
                let excesses = excesses.unwrap_or_default();
                if self
                    .caller()
                    .is_some_and(|caller| caller.key_id == record.id)
                {
                    own = Some(record.id);
                } else if excesses.is_empty() {
                    self.revoke_listed(&record.id, reason, outcome).await;
                } else {
                    outcome.failed.push(RevokeFailure {
                        id: record.id.to_string(),
                        error: ManageError::BeyondCeiling(excesses),
                    });
                }
            }
            if !full {
                return Ok(own);
            }
            after = Some(listed_past(after, last)?);
        }
    }
}

/// Ends a key, unless it has been.
pub(super) fn end_record(
    record: &mut KeyRecord,
    at: Timestamp,
    reason: &str,
) -> Option<AuditAction> {
    if record.revocation.is_some() {
        return None;
    }
    record.revocation = Some(Revocation {
        at,
        reason: reason.to_owned(),
    });
    // So that its bearer is told that it is gone, and not to ask for it to be enabled.
    record.disabled_at = None;
    Some(AuditAction::Revoked)
}
