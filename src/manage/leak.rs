use std::net::IpAddr;
use std::time::Duration;

use super::audit::Person;
use super::find::Holder;
use super::lifecycle::end_record;
use super::write::{Demand, Updated};
use super::{Authority, Conflict, FoundSecret, KeyManager, ManageError};
use crate::audit::{AuditAction, AuditEvent, FieldChange, Requests};
use crate::clock::Timestamp;
use crate::key::KeyId;
use crate::record::{KeyInfo, KeyRecord, SecretSlot, check_source, cut_source};
use crate::refusal::Refusal;

/// What is done about a key that has leaked: that stood in a URL, or was
/// [reported](KeyManager::report_leak). In any case its secret must have proved right, and an event tells
/// of it.
///
/// Only the secret that has leaked counts. If it is the older one of a rotation that is under way, that
/// secret is ended and the key goes on with the newer one; if it was replaced for good, nothing is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum OnLeak {
    /// Nothing but to tell of it.
    #[default]
    Tell,
    /// The key is paused, until somebody has looked at it.
    Disable,
    /// The key is ended for good.
    Revoke,
}

/// A key that was reported to have leaked.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct LeakReport {
    /// The key as it is now, whatever its status.
    pub info: KeyInfo,
    /// Which of its secrets has leaked.
    pub secret: FoundSecret,
    /// What was done.
    pub outcome: LeakOutcome,
}

/// What was done about a leak.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum LeakOutcome {
    /// The key was paused.
    Disabled,
    /// The older secret of a rotation was ended, and the key goes on with the newer one.
    OldSecretEnded,
    /// The key was ended.
    Revoked,
    /// The key is as it was: the policy is to tell, or what has leaked opened nothing any more.
    Unchanged,
}

/// The outcome of ending a key by presenting it. It says nothing of the key but what its bearer knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct BearerRevocation {
    /// The key.
    pub key_id: KeyId,
    /// `false`: it had been revoked before.
    pub changed: bool,
    /// As in [`Revoked`](super::Revoked::effective_within).
    pub effective_within: Duration,
}

/// Why a key was not ended by presenting it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BearerRevocationError {
    /// It is no key, or its secret is not the right one, or it cannot be said now: answer as to every
    /// request with it, by [`Answers::refuse`](crate::answer::Answers::refuse).
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It was not ended.
    #[error(transparent)]
    Failed(#[from] ManageError),
}

impl KeyManager {
    /// Reports that `text` was seen where others can read it, at `source`, such as a URL. `None`: it is no
    /// key, or its secret is not that of a key here; then nothing is told of anybody.
    ///
    /// What the [policy](crate::Builder::on_leak) says is done first, whatever the status of the key, and
    /// then the audit log gets an event [`LeakReported`](AuditAction::LeakReported) with the source. So it
    /// may be reported again after an error. What is reported twice is told twice, and done once. Keys in
    /// the source are masked, and only then the source is cut to 480 characters: hand it over whole.
    ///
    /// Like [`find`](Self::find), it asks the store each time: where strangers can call it, bound that.
    /// Whoever holds a key has it ended, so a manager that acts
    /// [on behalf of a caller](Self::on_behalf_of) is bounded by nothing here, and names the caller.
    ///
    /// ```
    /// # use keygate::{KeyManager, LeakOutcome, ManageError};
    /// # async fn run(manager: &KeyManager, text: &str) -> Result<(), ManageError> {
    /// let ada = manager.as_user("ada@example.com");
    /// match ada.report_leak(text, "https://paste.example/x7f3").await? {
    ///     Some(leak) if leak.outcome == LeakOutcome::Revoked => println!("{} is ended", leak.info.hint),
    ///     Some(leak) => println!("{} has leaked", leak.info.hint),
    ///     None => println!("this is no key of ours"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ManageError::Text`] for a source that holds a control character;
    /// [`ManageError::UnknownPepper`]; [`Conflict::Busy`]; [`ManageError::Store`].
    pub async fn report_leak(
        &self,
        text: &str,
        source: &str,
    ) -> Result<Option<LeakReport>, ManageError> {
        self.act_on_report(text, source, true).await
    }

    /// As [`report_leak`](Self::report_leak), and tells of it or not.
    pub(crate) async fn act_on_report(
        &self,
        text: &str,
        source: &str,
        tells: bool,
    ) -> Result<Option<LeakReport>, ManageError> {
        check_source(source)?;
        if let Authority::Host(person) = &self.authority {
            person.check()?;
        }
        let environments = &self.shared.environments;
        let Ok(key) = environments.read(text) else {
            return Ok(None);
        };
        let Some(leaked) = self.holder_of(&key, None).await? else {
            return Ok(None);
        };
        let source = cut_source(&environments.redact(&key.redact(source)));
        let secret = leaked.which;
        let reason = format!("leaked: {source}");
        let (record, outcome) = self.apply_leak_policy(leaked, &reason).await?;
        if tells {
            self.tell_leak(&record, source).await?;
        }
        Ok(Some(LeakReport {
            info: self.info(&record),
            secret,
            outcome,
        }))
    }

    /// Applies the policy to the key that stood in a URL, if `text` proves to be one.
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    pub(crate) async fn end_leaked_in_url(
        &self,
        text: &str,
        address: Option<IpAddr>,
    ) -> Result<(), ManageError> {
        let Ok(key) = self.shared.environments.read(text) else {
            return Ok(());
        };
        if let Some(leaked) = self.holder_of(&key, None).await? {
            let asked_from = self.for_person(|person| person.at(address));
            let done = asked_from.apply_leak_policy(leaked, "leaked: in a URL");
            done.await?;
        }
        Ok(())
    }

    /// Ends a key whose bearer has asked for it, if `secret` was not replaced meanwhile.
    pub(crate) async fn end_by_bearer(
        &self,
        id: &KeyId,
        secret: Timestamp,
        address: Option<IpAddr>,
        reason: &str,
    ) -> Result<BearerRevocation, ManageError> {
        let bearer = Self {
            shared: self.shared.clone(),
            authority: Authority::Host(Person::bearer(*id, address)),
        };
        let updated = bearer.update(id, Demand::Weaken, |record| {
            let now = self.now();
            let opened = |slot: &&SecretSlot| slot.created_at == secret;
            let is_current = opened(&&record.secrets.current);
            let previous = record.secrets.previous.as_ref().filter(opened);
            let is_replaced = !is_current && previous.is_none_or(|slot| slot.has_ended(now));
            match record.revocation.is_none() && is_replaced {
                true => Err(Conflict::RotatedMeanwhile.into()),
                false => Ok(end_record(record, now, reason)),
            }
        });
        let updated = updated.await?;
        Ok(BearerRevocation {
            key_id: *id,
            changed: updated.changed,
            effective_within: self.revocation_bound().await?,
        })
    }

    async fn apply_leak_policy(
        &self,
        leaked: Holder,
        reason: &str,
    ) -> Result<(KeyRecord, LeakOutcome), ManageError> {
        let policy = self.shared.on_leak;
        if policy == OnLeak::Tell {
            return Ok((leaked.record, LeakOutcome::Unchanged));
        }
        let mut done = LeakOutcome::Unchanged;
        // Who holds the secret needs no other authority.
        let host = self.as_host();
        let updated = host.update(&leaked.record.id, Demand::Weaken, |record| {
            let action = weaken(record, leaked.secret, policy, self.now(), reason);
            done = match action {
                Some(AuditAction::Revoked) => LeakOutcome::Revoked,
                Some(AuditAction::Disabled) => LeakOutcome::Disabled,
                Some(_) => LeakOutcome::OldSecretEnded,
                None => LeakOutcome::Unchanged,
            };
            Ok(action)
        });
        let Updated { record, .. } = updated.await?;
        Ok((record, done))
    }

    /// Keeps that a key was reported, and tells of it.
    async fn tell_leak(&self, record: &KeyRecord, source: String) -> Result<(), ManageError> {
        let at = self.now();
        let event = AuditEvent {
            at,
            action: AuditAction::LeakReported,
            key_id: Some(record.id),
            owner: Some(record.owner.clone()),
            actor: self.actor(),
            address: Person::behind(&self.authority).address(),
            changes: vec![FieldChange {
                field: "source".into(),
                before: None,
                after: Some(source),
            }],
            requests: Some(Requests {
                count: 1,
                last_at: at,
                code: None,
            }),
        };
        if let Some(log) = self.shared.store.abilities().audit_log {
            log.record(std::slice::from_ref(&event)).await?;
        }
        self.shared.events.leak_reported(&event);
        Ok(())
    }
}

/// Takes from a record what has leaked of it.
fn weaken(
    record: &mut KeyRecord,
    secret: Timestamp,
    policy: OnLeak,
    now: Timestamp,
    reason: &str,
) -> Option<AuditAction> {
    if record.revocation.is_some() {
        return None;
    }
    if record.secrets.current.created_at != secret {
        let previous = record.secrets.previous.as_mut();
        let live = previous.filter(|slot| slot.created_at == secret && !slot.has_ended(now))?;
        live.not_after = Some(now);
        return Some(AuditAction::RotationFinished);
    }
    match policy {
        OnLeak::Tell => None,
        OnLeak::Disable if record.disabled_at.is_some() => None,
        OnLeak::Disable => {
            record.disabled_at = Some(now);
            Some(AuditAction::Disabled)
        }
        OnLeak::Revoke => end_record(record, now, reason),
    }
}
