//! One instance at a time: a lease in the settings of the store.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::MARGIN;
use crate::clock::{Clock, Timestamp};
use crate::key::RandomError;
use crate::manage::ManageError;
use crate::store::{Settings, StoreError, StoreErrorKind};

const NAME: &str = "keygate/expiry_notifier";

/// How long a lease is held without being renewed. It is renewed before each call of the hook, so it
/// outlasts the call, and the note after it, also by clocks that are [`MARGIN`] ahead.
pub(super) const TERM: Duration = Duration::from_secs(180);

/// A lease that is held by one sweep of this process.
pub(super) struct Lease<'a> {
    settings: &'a dyn Settings,
    clock: &'a dyn Clock,
    holder: String,
    swept_at: Option<Timestamp>,
    renewed_at: Timestamp,
    /// The setting, as this sweep wrote it last.
    kept: Vec<u8>,
}

/// The setting.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// Drawn anew for each sweep, so that whoever took over is another, also within one process.
    holder: Option<String>,
    until: Timestamp,
    /// The latest at which a sweep began that came to its end.
    swept_at: Option<Timestamp>,
}

/// What came of asking for the lease.
pub(super) enum Asked<'a> {
    Granted(Lease<'a>),
    /// Another sweep holds it for at most so much longer.
    Held(Duration),
    /// It is to be asked for again then.
    NotDue(Duration),
}

impl<'a> Lease<'a> {
    /// Takes the lease, if nobody holds it, and the last sweep began `every` ago or longer.
    pub(super) async fn ask(
        settings: &'a dyn Settings,
        clock: &'a dyn Clock,
        every: Duration,
    ) -> Result<Asked<'a>, ManageError> {
        let found = settings.read(NAME).await?;
        let kept = found.as_deref().map(decode).transpose()?;
        let now = clock.wall();
        if let Some(left) = kept.as_ref().and_then(|kept| kept.held_for(now)) {
            return Ok(Asked::Held(left));
        }
        let swept_at = kept.and_then(|kept| kept.swept_at);
        // Where it lies in the future, somebody's clock is or was wrong.
        if let Some(swept_at) = swept_at.filter(|swept_at| *swept_at <= now)
            && let Some(left) = every.checked_sub(now.saturating_since(swept_at))
            && !left.is_zero()
        {
            return Ok(Asked::NotDue(left));
        }
        let mut lease = Self {
            settings,
            clock,
            holder: draw_holder()?,
            swept_at,
            renewed_at: now,
            kept: Vec::new(),
        };
        Ok(match lease.write(found.as_deref()).await? {
            true => Asked::Granted(lease),
            false => Asked::Held(TERM),
        })
    }

    /// When the last sweep began, whoever's clock said so.
    pub(super) fn swept_at(&self) -> Option<Timestamp> {
        self.swept_at
    }

    /// Renews it when a third of it has passed. `false`: it is held no more.
    pub(super) async fn keep(&mut self) -> Result<bool, StoreError> {
        match self.is_within(TERM / 3) {
            true => Ok(true),
            false => self.renew().await,
        }
    }

    /// Begins it anew. `false`: it is held no more, or nobody knows for how much longer.
    pub(super) async fn renew(&mut self) -> Result<bool, StoreError> {
        let kept = self.kept.clone();
        Ok(self.write(Some(&kept)).await? && self.is_within(MARGIN))
    }

    /// Gives it back. `swept_at`: when the sweep began, if it came to its end. Where that fails, the
    /// lease lapses by itself.
    pub(super) async fn release(self, swept_at: Option<Timestamp>) -> Result<(), StoreError> {
        let freed = encode(&Kept {
            holder: None,
            until: self.clock.wall(),
            // A clock that is behind does not hide that it is.
            swept_at: swept_at.max(self.swept_at),
        })?;
        self.settings
            .compare_and_set(NAME, Some(&self.kept), &freed)
            .await
    }

    async fn write(&mut self, expected: Option<&[u8]>) -> Result<bool, StoreError> {
        // From before it is sent, so that no time that passes meanwhile is added.
        let now = self.clock.wall();
        let kept = encode(&Kept {
            holder: Some(self.holder.clone()),
            until: now.checked_add(TERM).unwrap_or(Timestamp::MAX),
            swept_at: self.swept_at,
        })?;
        match self.settings.compare_and_set(NAME, expected, &kept).await {
            Err(error) if error.kind() == StoreErrorKind::Stale => Ok(false),
            Err(error) => Err(error),
            Ok(()) => {
                (self.renewed_at, self.kept) = (now, kept);
                Ok(true)
            }
        }
    }

    /// Whether it was begun less than `limit` ago, by a clock that was not set back since.
    fn is_within(&self, limit: Duration) -> bool {
        let now = self.clock.wall();
        now >= self.renewed_at && now.saturating_since(self.renewed_at) < limit
    }
}

impl Kept {
    /// How long it is still held. One that ends later than any that is taken now is that of a clock
    /// that was wrong, and does not count.
    fn held_for(&self, now: Timestamp) -> Option<Duration> {
        self.holder.as_ref()?;
        let left = self.until.saturating_since(now);
        (!left.is_zero() && left <= TERM + MARGIN).then_some(left)
    }
}

fn draw_holder() -> Result<String, RandomError> {
    Ok(crate::key::KeyId::generate()?.to_string())
}

fn encode(kept: &Kept) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(kept).map_err(corrupt)
}

fn decode(kept: &[u8]) -> Result<Kept, StoreError> {
    serde_json::from_slice(kept).map_err(corrupt)
}

fn corrupt(error: serde_json::Error) -> StoreError {
    let cause = format!("the setting {NAME} is damaged, delete it: {error}");
    StoreError::new(StoreErrorKind::Corrupt, cause)
}
