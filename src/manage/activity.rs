use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;

use super::{KeyManager, ManageError};
use crate::clock::Timestamp;
use crate::key::KeyId;
use crate::record::KeyInfo;
use crate::store::{KeyUsage, StoreError, StoreErrorKind, UsageStore};
use crate::usage::since::counted_since;

/// A key, and how it is used.
///
/// Only what was accepted is a use. What callers did in the last seconds in other processes may not be
/// counted yet, nor what they did for as long as those processes cannot reach the store.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[non_exhaustive]
pub struct KeyActivity {
    /// The key.
    pub info: KeyInfo,
    /// All that was ever counted of it; `None`: nothing was.
    pub usage: Option<KeyUsage>,
    /// Since when all instances on the store count. `None`: at least one does not, or the store keeps
    /// no usage, so nothing is known of what was not counted.
    pub counted_since: Option<Timestamp>,
    /// The moment by which it is judged, before the counts were read.
    pub as_of: Timestamp,
}

/// Whether anybody would miss a key, or a secret of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Safety {
    /// It opens nothing already.
    Ended,
    /// It was not used for long enough.
    Idle {
        /// The last use, or where there is none, the beginning of what is known.
        since: Timestamp,
    },
    /// It was used lately.
    InUse {
        /// The last use.
        last_used_at: Timestamp,
        /// Where that came from, if it is known; of a single secret it is not.
        last_used_from: Option<IpAddr>,
    },
    /// No use was seen, but it was not watched for long enough either.
    Unproved(Unproved),
}

impl Safety {
    /// Whether it can go: it has ended, or it is proved to be idle.
    pub const fn is_safe(self) -> bool {
        matches!(self, Self::Ended | Self::Idle { .. })
    }
}

/// It was not watched for long enough to say what was not used: it was made only lately, or not all
/// instances have counted for so long.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, thiserror::Error)]
#[error("{}", self.problem())]
#[non_exhaustive]
pub struct Unproved {
    /// Since when it is watched; `None`: it is not, as long as one instance on the store does not
    /// count.
    pub watched_since: Option<Timestamp>,
    /// When it will have been watched for long enough, if all instances go on to count.
    pub provable_at: Option<Timestamp>,
}

impl Unproved {
    pub(super) fn new(watched_since: Option<Timestamp>, asked: Duration) -> Self {
        Self {
            watched_since,
            provable_at: watched_since.and_then(|since| since.checked_add(asked)),
        }
    }

    fn problem(&self) -> String {
        match (self.watched_since, self.provable_at) {
            (None, _) => {
                "nothing proves what was not used: not every instance on the store counts; \
                          let all of them count (Builder::record_usage), and ask again when they \
                          did for that long"
                    .into()
            }
            (Some(since), Some(at)) => format!(
                "nothing proves what was not used for that long: it is watched since {since}; ask \
                 again after {at}, or for less time"
            ),
            (Some(since), None) => format!(
                "nothing proves what was not used for that long: it is watched since {since}; ask \
                 for less time"
            ),
        }
    }
}

impl KeyActivity {
    /// Since when no use of the key was seen: since its last use, or where there is none, its issue or
    /// the beginning of counting, whichever is later. `None` while not all instances count.
    pub fn idle_since(&self) -> Option<Timestamp> {
        let last = self.usage.as_ref().map(|usage| usage.last_used_at);
        Some(self.watched_since()?.max(last.unwrap_or(Timestamp::MIN)))
    }

    /// Whether the key can be revoked without anybody missing it: it has ended already, or it was not
    /// used for `idle_for`, by any instance, and was issued before that. A new key may just be on its
    /// way to its bearer.
    ///
    /// Choose a time in which everybody who needs the key would have used it: for a monthly job, more
    /// than a month.
    ///
    /// ```
    /// # use keygate::{KeyId, KeyManager, ManageError};
    /// # use std::time::Duration;
    /// # async fn run(manager: &KeyManager, id: &KeyId) -> Result<(), ManageError> {
    /// let activity = manager.activity(id).await?;
    /// if activity.safe_to_revoke(Duration::from_secs(40 * 24 * 60 * 60)).is_safe() {
    ///     manager.revoke(id, "idle for 40 days").await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn safe_to_revoke(&self, idle_for: Duration) -> Safety {
        if self.has_ended() {
            return Safety::Ended;
        }
        let last = self.usage.as_ref();
        let last = last.map(|usage| (usage.last_used_at, usage.last_used_from));
        self.judge(last, self.watched_since(), idle_for)
    }

    /// The same for the older of two live secrets, which [`finish_rotation`](KeyManager::finish_rotation)
    /// ends: whether everybody who used it has gone over to the newer one. `None` when no older secret
    /// is live.
    pub fn safe_to_end_old_secret(&self, idle_for: Duration) -> Option<Safety> {
        let is_live = |end: Option<Timestamp>| end.is_none_or(|end| self.as_of < end);
        let old = self.info.secrets.get(1)?;
        if self.has_ended() || !is_live(old.not_after) {
            return None;
        }
        let mut used = self.usage.iter().flat_map(|usage| &usage.secrets);
        let used = used.find(|secret| secret.created_at == old.created_at);
        let watched_since = self.counted_since.map(|since| since.max(old.created_at));
        let last = used.map(|secret| (secret.last_used_at, None));
        Some(self.judge(last, watched_since, idle_for))
    }

    fn judge(
        &self,
        last: Option<(Timestamp, Option<IpAddr>)>,
        watched_since: Option<Timestamp>,
        idle_for: Duration,
    ) -> Safety {
        if let Some((last_used_at, last_used_from)) = last
            && !self.is_past(last_used_at, idle_for)
        {
            return Safety::InUse {
                last_used_at,
                last_used_from,
            };
        }
        match watched_since.filter(|since| self.is_past(*since, idle_for)) {
            Some(since) => Safety::Idle {
                since: last.map_or(since, |(last, _)| since.max(last)),
            },
            None => Safety::Unproved(Unproved::new(watched_since, idle_for)),
        }
    }

    /// Since when every use of the key was counted.
    pub(super) fn watched_since(&self) -> Option<Timestamp> {
        self.counted_since
            .map(|since| since.max(self.info.created_at))
    }

    /// Whether `span` has passed since `moment`.
    pub(super) fn is_past(&self, moment: Timestamp, span: Duration) -> bool {
        moment.is_older_than(span, self.as_of)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.info.has_ended(self.as_of)
    }
}

impl KeyManager {
    /// A key and how it is used: when last, how often, which of its scopes and secrets.
    ///
    /// On a store without usage nothing was counted, and nothing is proved to be idle.
    ///
    /// # Errors
    /// As [`inspect`](Self::inspect).
    pub async fn activity(&self, id: &KeyId) -> Result<KeyActivity, ManageError> {
        let (record, _) = self.read(id).await?;
        let info = self.info(&record);
        let activities = match self.activities_of(vec![info.clone()]).await {
            Err(ManageError::NoUsage) => Vec::new(),
            activities => activities?,
        };
        Ok(activities.into_iter().next().unwrap_or(KeyActivity {
            info,
            usage: None,
            counted_since: None,
            as_of: self.now(),
        }))
    }

    /// What is known of the use of these keys, which were read before: at most a thousand.
    pub(crate) async fn activities_of(
        &self,
        keys: Vec<KeyInfo>,
    ) -> Result<Vec<KeyActivity>, ManageError> {
        let as_of = self.now();
        let ids: Vec<KeyId> = keys.iter().map(|key| key.key_id).collect();
        let (usage, is_caught_up) = self.usage().await?;
        let usages = usage.of_keys(&ids).await?;
        // After the counts: an instance that did not count before they were read shows here. Where not
        // even this process's own counts are with the store, nothing is known of what was not used.
        let counted_since = match is_caught_up {
            true => counted_since(&*self.shared.store).await?,
            false => None,
        };
        if usages.len() != ids.len() {
            let cause = "it was asked for the usage of some keys, and answered for more or fewer";
            return Err(StoreError::new(StoreErrorKind::Corrupt, cause).into());
        }
        let with_usage = |(info, usage)| KeyActivity {
            info,
            usage,
            counted_since,
            as_of,
        };
        Ok(keys.into_iter().zip(usages).map(with_usage).collect())
    }

    /// The store's usage, as every answer reads it, and whether it has what this process has counted
    /// until now.
    pub(super) async fn usage(&self) -> Result<(&dyn UsageStore, bool), ManageError> {
        let store = &*self.shared.store;
        let usage = store.abilities().usage.ok_or(ManageError::NoUsage)?;
        let is_caught_up = match &self.shared.ledger {
            Some(ledger) => ledger.catch_up(store).await,
            None => true,
        };
        Ok((usage, is_caught_up))
    }
}
