use std::time::Duration;

use super::write::Demand;
use super::{Conflict, Issued, KeyManager, ManageError};
use crate::audit::AuditAction;
use crate::clock::Timestamp;
use crate::key::{KeyId, KeyText};
use crate::record::{KeyInfo, KeyRecord, SecretSlot};

/// How to rotate a key. Without a word, as the policy has it.
///
/// ```
/// # use keygate::Rotation;
/// # use std::time::Duration;
/// let day = Duration::from_secs(24 * 60 * 60);
/// let rotation = Rotation::new().overlap(7 * day).narrow_to_used(31 * day);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rotation {
    overlap: Option<Duration>,
    narrow: Option<Duration>,
    version: Option<u64>,
}

impl Rotation {
    /// With the overlap of the policy, and without a change of scopes.
    pub const fn new() -> Self {
        Self {
            overlap: None,
            narrow: None,
            version: None,
        }
    }

    /// How long the old secret works; zero ends it at once.
    pub const fn overlap(self, overlap: Duration) -> Self {
        Self {
            overlap: Some(overlap),
            ..self
        }
    }

    /// The key also loses the scopes that it did not need within `window`, as by
    /// [`Change::narrow_to_used`](crate::Change::narrow_to_used): at once, for both secrets. Where that
    /// is refused, the key is not rotated.
    pub const fn narrow_to_used(self, window: Duration) -> Self {
        Self {
            narrow: Some(window),
            ..self
        }
    }

    /// It is made only to the key as it was read, as by [`Change::of_version`](crate::Change::of_version).
    pub const fn of_version(self, version: u64) -> Self {
        Self {
            version: Some(version),
            ..self
        }
    }
}

impl KeyManager {
    /// Gives the key a new secret; the old one works for the policy's overlap, 24 hours unless set.
    ///
    /// The key keeps its id and its expiry. A key whose secrets have all ended opens again, with the
    /// new one.
    ///
    /// # Errors
    /// [`Conflict::Rotating`] while two secrets live, [`Conflict::RotatedMeanwhile`] when another
    /// rotation was first, [`Conflict::Revoked`], [`Conflict::Expired`], and as
    /// [`inspect`](Self::inspect) and [`issue`](Self::issue).
    pub async fn rotate(&self, id: &KeyId) -> Result<Issued, ManageError> {
        self.rotate_with(id, Rotation::new()).await
    }

    /// As [`rotate`](Self::rotate), with an overlap of its own; zero ends the old secret at once.
    ///
    /// # Errors
    /// As [`rotate_with`](Self::rotate_with).
    pub async fn rotate_with_overlap(
        &self,
        id: &KeyId,
        overlap: Duration,
    ) -> Result<Issued, ManageError> {
        self.rotate_with(id, Rotation::new().overlap(overlap)).await
    }

    /// As [`rotate`](Self::rotate), in the way that is said.
    ///
    /// # Errors
    /// As [`rotate`](Self::rotate), and [`ManageError::Invalid`] beyond the policy's maximum. To narrow
    /// also [`Conflict::Unproved`], [`Conflict::NotUsed`] and [`ManageError::NoUsage`];
    /// [`Conflict::ChangedMeanwhile`] where it is [of a version](Rotation::of_version).
    pub async fn rotate_with(&self, id: &KeyId, how: Rotation) -> Result<Issued, ManageError> {
        let policy = &self.shared.policy;
        let overlap = how.overlap.unwrap_or(policy.default_overlap);
        let max = policy.max_overlap;
        if overlap > max {
            return Err(ManageError::Invalid(format!(
                "the old secret may go on for at most {}",
                humantime::format_duration(max)
            )));
        }
        self.replace_current(id, AuditAction::Rotated, how.narrow, |record, now| {
            Conflict::unless_read(how.version, record.version)?;
            if let Some(previous) = record
                .secrets
                .previous
                .as_ref()
                .filter(|slot| !slot.has_ended(now))
            {
                let until = previous.not_after;
                return Err(Conflict::Rotating { until });
            }
            let mut ending = record.secrets.current.clone();
            let ends = [
                now.checked_add(overlap),
                ending.not_after,
                record.expires_at,
            ];
            ending.not_after = ends.into_iter().flatten().min();
            record.secrets.previous = Some(ending);
            Ok(())
        })
        .await
    }

    /// Replaces the newer secret of a rotation that is under way, because its text was lost. The
    /// older one keeps its end.
    ///
    /// # Errors
    /// [`Conflict::NotRotating`], and as [`rotate`](Self::rotate).
    pub async fn supersede(&self, id: &KeyId) -> Result<Issued, ManageError> {
        self.supersede_read(id, None).await
    }

    /// As [`supersede`](Self::supersede), of the key as it was read: somebody may hold the text of a
    /// secret that came meanwhile.
    ///
    /// # Errors
    /// As [`supersede`](Self::supersede), and [`Conflict::ChangedMeanwhile`].
    pub async fn supersede_of_version(
        &self,
        id: &KeyId,
        version: u64,
    ) -> Result<Issued, ManageError> {
        self.supersede_read(id, Some(version)).await
    }

    async fn supersede_read(&self, id: &KeyId, read: Option<u64>) -> Result<Issued, ManageError> {
        self.replace_current(id, AuditAction::Superseded, None, |record, now| {
            Conflict::unless_read(read, record.version)?;
            match &record.secrets.previous {
                Some(previous) if !previous.has_ended(now) => Ok(()),
                _ => Err(Conflict::NotRotating),
            }
        })
        .await
    }

    /// Ends the older secret of a rotation now. Without one, nothing is changed.
    ///
    /// # Errors
    /// As [`inspect`](Self::inspect), and [`ManageError::BeyondCeiling`].
    pub async fn finish_rotation(&self, id: &KeyId) -> Result<KeyInfo, ManageError> {
        self.finish_read(id, None).await
    }

    /// As [`finish_rotation`](Self::finish_rotation), of the key as it was read: another rotation may
    /// have begun meanwhile, whose older secret is still needed.
    ///
    /// # Errors
    /// As [`finish_rotation`](Self::finish_rotation), and [`Conflict::ChangedMeanwhile`].
    pub async fn finish_rotation_of_version(
        &self,
        id: &KeyId,
        version: u64,
    ) -> Result<KeyInfo, ManageError> {
        self.finish_read(id, Some(version)).await
    }

    async fn finish_read(&self, id: &KeyId, read: Option<u64>) -> Result<KeyInfo, ManageError> {
        let updated = self
            .update(id, Demand::Weaken, |record| {
                Conflict::unless_read(read, record.version)?;
                let now = self.now();
                let live = record
                    .secrets
                    .previous
                    .as_mut()
                    .filter(|slot| !slot.has_ended(now));
                Ok(live.map(|slot| {
                    slot.not_after = Some(now);
                    AuditAction::RotationFinished
                }))
            })
            .await?;
        Ok(self.info(&updated.record))
    }

    /// Puts a fresh secret in the place of the current one, after `prepare`. A rotation that came
    /// in between is never overwritten: its text is in somebody's hands.
    async fn replace_current(
        &self,
        id: &KeyId,
        action: AuditAction,
        narrow: Option<Duration>,
        mut prepare: impl FnMut(&mut KeyRecord, Timestamp) -> Result<(), Conflict> + Send,
    ) -> Result<Issued, ManageError> {
        let mut seen = None;
        let mut fresh: Option<KeyText> = None;
        let updated = self
            .update_and_narrow(id, Demand::Hold, narrow, |record| {
                let now = self.now();
                if record.revocation.is_some() {
                    return Err(Conflict::Revoked.into());
                }
                if record.expires_at.is_some_and(|end| now >= end) {
                    return Err(Conflict::Expired.into());
                }
                // By another MAC a secret becomes no other, nor the current one by being given an end.
                let previous = record.secrets.previous.as_ref();
                let previous = previous.map(|slot| (slot.created_at, slot.not_after));
                let held = (record.secrets.current.created_at, previous);
                if *seen.get_or_insert(held) != held {
                    return Err(Conflict::RotatedMeanwhile.into());
                }
                let created_at = record.secrets.next_created_at(now);
                prepare(record, now)?;
                let (text, slot) = SecretSlot::generate(
                    self.shared.peppers.current().peppers(),
                    &record.prefix,
                    &record.id,
                    created_at,
                    self.shared.policy.secret_end(created_at),
                )?;
                record.secrets.current = slot;
                fresh = Some(text);
                Ok(Some(action))
            })
            .await?;
        Ok(Issued {
            key: fresh.ok_or(Conflict::Busy)?,
            info: self.info(&updated.record),
        })
    }
}
