//! Lists of keys by how they are used.

use std::time::Duration;

use super::list::keep_until;
use super::{Filter, KeyActivity, KeyManager, ManageError, Safety};
use crate::key::KeyId;
use crate::store::{ScopeUsage, Unreadable};

/// A page of keys and how they are used, in the order of their ids.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ActivityList {
    /// The keys that the report is about.
    pub keys: Vec<KeyActivity>,
    /// Keys of which it cannot be said whether it is about them, as they were not watched for long
    /// enough: [`Unproved`](super::Unproved) of their [activity](KeyManager::activity) says since when.
    pub unproved: Vec<KeyId>,
    /// Keys whose stored record is damaged.
    pub unreadable: Vec<Unreadable>,
    /// What to pass to [`Filter::after`] for the next page; `None` at the end.
    pub next: Option<KeyId>,
}

/// What a report says of a key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Finding {
    Listed,
    NotListed,
    Unproved,
}

impl KeyActivity {
    /// The scopes that the key lacked within `window` where a rule only
    /// [reports](crate::Rule::report_only) that, and still lacks. Once the rule is enforced, what needs
    /// them is refused; where any of several scopes would do, all of them are named.
    pub fn still_lacks(&self, window: Duration) -> impl Iterator<Item = &ScopeUsage> {
        let lacked = self.usage.iter().flat_map(|usage| &usage.lacked);
        lacked.filter(move |lacked| {
            !self.is_past(lacked.last_at, window) && !self.info.scopes.covers(&lacked.scope)
        })
    }
}

impl KeyManager {
    /// So many keys' usage is read at once.
    const CHUNK: usize = 256;

    /// The keys that nobody has used for `idle_for`, and that can be
    /// [revoked safely](KeyActivity::safe_to_revoke). Ended keys are left out.
    ///
    /// ```
    /// # use keygate::{Filter, KeyManager, ManageError};
    /// # use std::time::Duration;
    /// # async fn run(manager: &KeyManager) -> Result<(), ManageError> {
    /// let idle_for = Duration::from_secs(90 * 24 * 60 * 60);
    /// let mut filter = Filter::new();
    /// loop {
    ///     let page = manager.idle(filter.clone(), idle_for).await?;
    ///     for key in &page.keys {
    ///         println!("{} of {} is idle", key.info.hint, key.info.owner);
    ///     }
    ///     let Some(next) = page.next else { break };
    ///     filter = filter.after(next);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`list`](Self::list), and [`ManageError::NoUsage`].
    pub async fn idle(
        &self,
        filter: Filter,
        idle_for: Duration,
    ) -> Result<ActivityList, ManageError> {
        self.report(filter, |key| match key.safe_to_revoke(idle_for) {
            Safety::Idle { .. } => Finding::Listed,
            Safety::Unproved(_) => Finding::Unproved,
            Safety::Ended | Safety::InUse { .. } => Finding::NotListed,
        })
        .await
    }

    /// The keys that may do more than they [needed](KeyActivity::privileges) within `window`.
    ///
    /// Ended keys are left out, and those that were not used at all in that time, which are
    /// [idle](Self::idle). Young keys have not shown yet what they need: leave them out by
    /// [`Filter::older_than`].
    ///
    /// # Errors
    /// As [`idle`](Self::idle).
    pub async fn over_privileged(
        &self,
        filter: Filter,
        window: Duration,
    ) -> Result<ActivityList, ManageError> {
        self.report(filter, |key| match key.privileges(window) {
            Ok(privileges) if privileges.are_excessive() => Finding::Listed,
            Ok(_) => Finding::NotListed,
            Err(_) => Finding::Unproved,
        })
        .await
    }

    /// The keys that would have been refused within `window`, had the rules that only
    /// [report](crate::Rule::report_only) been enforced, and that would be now: they
    /// [still lack](KeyActivity::still_lacks) scopes. When none is left, such a rule can be enforced.
    ///
    /// Ended keys are left out. A key that did not come by in that time is not known to have what it
    /// will need.
    ///
    /// # Errors
    /// As [`idle`](Self::idle).
    pub async fn shadow_refusals(
        &self,
        filter: Filter,
        window: Duration,
    ) -> Result<ActivityList, ManageError> {
        self.report(filter, |key| match key.still_lacks(window).next() {
            Some(_) => Finding::Listed,
            None => Finding::NotListed,
        })
        .await
    }

    async fn report(
        &self,
        filter: Filter,
        judge: impl Fn(&KeyActivity) -> Finding + Send,
    ) -> Result<ActivityList, ManageError> {
        let mut list = ActivityList {
            keys: Vec::new(),
            unproved: Vec::new(),
            unreadable: Vec::new(),
            next: None,
        };
        let mut walk = self.walk(&filter).await?;
        // Also where there is no key to ask for.
        self.usage().await?;
        while let Some(stretch) = walk.next().await? {
            list.unreadable.extend(stretch.unreadable);
            let mut keys = stretch.keys.into_iter().peekable();
            while keys.peek().is_some() {
                let chunk = keys.by_ref().take(Self::CHUNK).collect();
                for key in self.activities_of(chunk).await? {
                    match judge(&key) {
                        _ if key.has_ended() => {}
                        Finding::NotListed => {}
                        _ if list.len() == filter.limit => {
                            list.end_here();
                            return Ok(list);
                        }
                        Finding::Unproved => list.unproved.push(key.info.key_id),
                        Finding::Listed => list.keys.push(key),
                    }
                }
            }
        }
        Ok(list)
    }
}

impl ActivityList {
    /// What counts towards the limit.
    fn len(&self) -> usize {
        self.keys.len() + self.unproved.len()
    }

    /// There is more behind the last key.
    fn end_here(&mut self) {
        let listed = self.keys.last().map(|key| key.info.key_id);
        self.next = listed.max(self.unproved.last().copied());
        keep_until(self.next, &mut self.unreadable);
    }
}
