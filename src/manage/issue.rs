use super::ceiling::Ceiling;
use super::new_key::Lifetime;
use super::{KeyManager, ManageError, NewKey};
use crate::audit::AuditAction;
use crate::clock::Timestamp;
use crate::key::{KeyId, KeyText, Prefix};
use crate::record::{CANARY, KeyInfo, KeyRecord, Revocation, SecretSlot, Secrets};
use crate::scope::ScopeSet;
use crate::store::{Expect, StoreErrorKind};

/// A new secret: its text, which is shown this once, and what may be shown of the key.
#[derive(Debug)]
#[must_use = "the key's text cannot be had again"]
#[non_exhaustive]
pub struct Issued {
    /// The text to hand to the key's owner.
    pub key: KeyText,
    /// The key as it is now.
    pub info: KeyInfo,
}

impl Issued {
    /// After a rotation: when the old secret stops to open.
    pub fn previous_ends_at(&self) -> Option<Timestamp> {
        self.info.secrets.get(1)?.not_after
    }
}

impl KeyManager {
    /// Two ids collide once in 10^21; the second attempt is for a store that lost count.
    const IDS: usize = 2;

    /// Makes a key.
    ///
    /// # Errors
    /// What is wrong with `new`, [`ManageError::BeyondCeiling`], or [`ManageError::Store`].
    pub async fn issue(&self, new: NewKey) -> Result<Issued, ManageError> {
        new.check_owner()?;
        for _ in 1..Self::IDS {
            match self.issue_once(&new).await {
                Err(ManageError::Store(error)) if error.kind() == StoreErrorKind::Taken => {}
                outcome => return outcome,
            }
        }
        self.issue_once(&new).await
    }

    async fn issue_once(&self, new: &NewKey) -> Result<Issued, ManageError> {
        let ceiling = self.ceiling().await?;
        let (key, record) = self.make(new, ceiling.as_ref())?;
        self.commit(Expect::Absent, None, &record, AuditAction::Issued)
            .await?;
        if let Err(error) = self.confirm(None, &record).await {
            // Nobody has its text. It is ended for good measure, and told is what failed before.
            let _ = self.as_host().end(&record.id, "handed to nobody").await;
            return Err(error);
        }
        Ok(Issued {
            key,
            info: self.info(&record),
        })
    }

    /// A key as `new` asks for it, which is nowhere stored yet.
    pub(super) fn make(
        &self,
        new: &NewKey,
        ceiling: Option<&Ceiling>,
    ) -> Result<(KeyText, KeyRecord), ManageError> {
        let prefix = self.prefix_for(new, ceiling)?;
        let now = self.now();
        let id = KeyId::generate()?;
        let (key, current) = SecretSlot::generate(
            self.shared.peppers.current().peppers(),
            &prefix,
            &id,
            now,
            self.shared.policy.secret_end(now),
        )?;
        let record = self.record(new, ceiling, id, prefix, current)?;
        Ok((key, record))
    }

    /// The record of a key as `new` asks for it, that is made when its secret is.
    pub(super) fn record(
        &self,
        new: &NewKey,
        ceiling: Option<&Ceiling>,
        id: KeyId,
        prefix: Prefix,
        current: SecretSlot,
    ) -> Result<KeyRecord, ManageError> {
        let now = current.created_at;
        let revocation = new.is_canary.then(|| Revocation {
            at: now,
            reason: CANARY.into(),
        });
        let mut record = KeyRecord {
            id,
            prefix,
            name: String::new(),
            owner: new.owner.clone(),
            scopes: ScopeSet::default(),
            metadata: Default::default(),
            created_at: now,
            expires_at: None,
            disabled_at: None,
            revocation,
            allowed_ips: Vec::new(),
            rate_limit: None,
            secrets: Secrets {
                current,
                previous: None,
            },
            version: 1,
        };
        let mut traits = new.traits.clone();
        let lifetime = Lifetime::For(self.shared.policy.default_lifetime);
        traits.lifetime.get_or_insert(lifetime);
        traits.apply(
            &mut record,
            &self.shared.policy,
            self.shared.catalogue.as_ref(),
            now,
        )?;
        if let Some(ceiling) = ceiling {
            // What was not asked for follows the caller; what was asked for is held against it.
            if let (None, Some(most), Some(end)) =
                (new.traits.lifetime, ceiling.ends_at, record.expires_at)
            {
                record.expires_at = Some(end.min(most));
            }
            if new.traits.allowed_ips.is_none() {
                record.allowed_ips.clone_from(&ceiling.allowed_ips);
            }
            if new.traits.pace.is_none() {
                record.rate_limit = ceiling.rate_limit;
            }
            let excesses = ceiling.excess_to_hold(&record);
            if !excesses.is_empty() {
                return Err(ManageError::BeyondCeiling(excesses));
            }
        }
        Ok(record)
    }

    fn prefix_for(&self, new: &NewKey, ceiling: Option<&Ceiling>) -> Result<Prefix, ManageError> {
        let environments = &self.shared.environments;
        let callers = ceiling.map(|ceiling| ceiling.environment.as_str());
        let Some(named) = new.environment.as_deref().or(callers) else {
            return Ok(environments.primary().clone());
        };
        environments.accepted(named).cloned().ok_or_else(|| {
            let accepted: Vec<&str> = environments.all_accepted().map(Prefix::as_str).collect();
            ManageError::Invalid(format!(
                "this service has no environment {named:?}: it has {}",
                accepted.join(", ")
            ))
        })
    }
}
