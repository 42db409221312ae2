use std::time::Duration;

use super::ceiling::Ceiling;
use super::{KeyManager, ManageError, sees};
use crate::clock::Timestamp;
use crate::key::KeyId;
use crate::record::{KeyInfo, KeyStatus};
use crate::store::{Page, StoreError, StoreErrorKind, Unreadable};

/// Which keys to list: those for which everything holds that is said.
///
/// ```
/// # use keygate::{Filter, KeyStatus};
/// # use std::time::Duration;
/// let day = Duration::from_secs(24 * 60 * 60);
/// let filter = Filter::new().owner("org_42").status(KeyStatus::Active).limit(20);
/// let ending_soon = Filter::new().expiring_within(30 * day);
/// let due_for_rotation = Filter::new().secret_older_than(90 * day);
/// ```
#[derive(Clone, Debug)]
pub struct Filter {
    owner: Option<String>,
    status: Option<KeyStatus>,
    expiring_within: Option<Duration>,
    older_than: Option<Duration>,
    secret_older_than: Option<Duration>,
    after: Option<KeyId>,
    pub(super) limit: usize,
}

/// A page of keys, in the order of their ids.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeyList {
    /// The keys.
    pub keys: Vec<KeyInfo>,
    /// Keys whose stored record is damaged; their status is not known.
    pub unreadable: Vec<Unreadable>,
    /// What to pass to [`Filter::after`] for the next page; `None` at the end.
    pub next: Option<KeyId>,
}

impl Filter {
    /// The most keys of one page.
    pub const MAX_LIMIT: usize = 1_000;

    /// The first hundred keys.
    pub const fn new() -> Self {
        Self {
            owner: None,
            status: None,
            expiring_within: None,
            older_than: None,
            secret_older_than: None,
            after: None,
            limit: 100,
        }
    }

    /// Only keys of this owner.
    pub fn owner(mut self, owner: impl Into<String>) -> Self {
        self.owner = Some(owner.into());
        self
    }

    /// Only keys with this status.
    pub const fn status(mut self, status: KeyStatus) -> Self {
        self.status = Some(status);
        self
    }

    /// Only keys that expire within `time` from now, and have not ended yet.
    pub const fn expiring_within(mut self, time: Duration) -> Self {
        self.expiring_within = Some(time);
        self
    }

    /// Only keys that were issued at least `age` ago, whatever their status.
    pub const fn older_than(mut self, age: Duration) -> Self {
        self.older_than = Some(age);
        self
    }

    /// Only keys whose newest secret was made at least `age` ago, and that have not ended.
    pub const fn secret_older_than(mut self, age: Duration) -> Self {
        self.secret_older_than = Some(age);
        self
    }

    /// Only keys after this one: the next page.
    pub const fn after(mut self, id: KeyId) -> Self {
        self.after = Some(id);
        self
    }

    /// At most so many keys, 1 to 1000.
    pub const fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }
}

impl Filter {
    fn selects(&self, key: &KeyInfo, now: Timestamp) -> bool {
        let ends_within = |time| {
            // A time beyond the last moment there is includes every end.
            let until = now.checked_add(time).unwrap_or(Timestamp::MAX);
            !key.has_ended(now) && key.expires_at.is_some_and(|end| end <= until)
        };
        let is_old = |age| key.created_at.is_older_than(age, now);
        let has_old_secret = |age| {
            let newest = key.secrets.first();
            !key.has_ended(now)
                && newest.is_some_and(|secret| secret.created_at.is_older_than(age, now))
        };
        self.status.is_none_or(|status| status == key.status)
            && self.expiring_within.is_none_or(ends_within)
            && self.older_than.is_none_or(is_old)
            && self.secret_older_than.is_none_or(has_old_secret)
    }
}

impl Default for Filter {
    fn default() -> Self {
        Self::new()
    }
}

/// A listing under way.
pub(super) struct Walk<'a> {
    manager: &'a KeyManager,
    filter: &'a Filter,
    ceiling: Option<Ceiling>,
    after: Option<KeyId>,
    is_over: bool,
}

/// What one read of the store gave, of keys that the filter selects.
pub(super) struct Stretch {
    pub(super) keys: Vec<KeyInfo>,
    pub(super) unreadable: Vec<Unreadable>,
}

impl Walk<'_> {
    /// What lies behind the last stretch; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Stretch>, ManageError> {
        if self.is_over {
            return Ok(None);
        }
        let own = self.ceiling.as_ref().and_then(|ceiling| ceiling.owner());
        let page = Page {
            owner: self.filter.owner.as_deref().or(own),
            after: self.after,
            limit: KeyManager::PAGE.max(self.filter.limit),
        };
        let listed = self.manager.shared.store.list(&page).await?;
        match listed.is_full(page.limit) {
            true => self.after = Some(listed_past(self.after, listed.last_id())?),
            false => self.is_over = true,
        }
        let ceiling = self.ceiling.as_ref();
        let seen = listed.records.iter().filter(|record| sees(ceiling, record));
        let now = self.manager.now();
        let keys = seen.map(|record| KeyInfo::new(record, now));
        Ok(Some(Stretch {
            keys: keys.filter(|key| self.filter.selects(key, now)).collect(),
            unreadable: listed.unreadable,
        }))
    }
}

impl KeyManager {
    /// So many records are read at once, however few of them are wanted.
    pub(super) const PAGE: usize = 256;

    /// Lists keys without their secrets. On behalf of a caller, only the caller's owner's.
    ///
    /// # Errors
    /// [`ManageError::Invalid`] for a limit out of range, [`ManageError::OwnerNotFound`] for an
    /// owner out of the caller's sight, [`ManageError::Store`].
    pub async fn list(&self, filter: Filter) -> Result<KeyList, ManageError> {
        let mut list = KeyList {
            keys: Vec::new(),
            unreadable: Vec::new(),
            next: None,
        };
        let mut walk = self.walk(&filter).await?;
        while let Some(stretch) = walk.next().await? {
            list.unreadable.extend(stretch.unreadable);
            for key in stretch.keys {
                if list.keys.len() == filter.limit {
                    list.next = list.keys.last().map(|key| key.key_id);
                    keep_until(list.next, &mut list.unreadable);
                    return Ok(list);
                }
                list.keys.push(key);
            }
        }
        Ok(list)
    }

    /// Begins to read the keys that `filter` selects.
    pub(super) async fn walk<'a>(&'a self, filter: &'a Filter) -> Result<Walk<'a>, ManageError> {
        if !(1..=Filter::MAX_LIMIT).contains(&filter.limit) {
            let problem = format!("a page holds 1 to {} keys", Filter::MAX_LIMIT);
            return Err(ManageError::Invalid(problem));
        }
        let ceiling = self.ceiling().await?;
        if let Some(owner) = &filter.owner {
            check_owner_in_sight(ceiling.as_ref(), owner)?;
        }
        Ok(Walk {
            manager: self,
            filter,
            ceiling,
            after: filter.after,
            is_over: false,
        })
    }
}

/// What lies behind a page is told with the next one.
pub(super) fn keep_until(last: Option<KeyId>, unreadable: &mut Vec<Unreadable>) {
    let behind = |id: &str| last.as_ref().is_some_and(|last| id > last.as_str());
    unreadable.retain(|key| !behind(&key.id));
}

/// Where the page behind a full one begins.
pub(crate) fn listed_past(after: Option<KeyId>, last: Option<KeyId>) -> Result<KeyId, ManageError> {
    last.filter(|last| Some(*last) > after).ok_or_else(|| {
        let cause = "its list does not advance: it repeats itself, or a whole page has damaged ids";
        StoreError::new(StoreErrorKind::Corrupt, cause).into()
    })
}

/// Other owners do not exist for the caller.
pub(super) fn check_owner_in_sight(
    ceiling: Option<&Ceiling>,
    owner: &str,
) -> Result<(), ManageError> {
    match ceiling.and_then(Ceiling::owner) {
        Some(own) if own != owner => Err(ManageError::OwnerNotFound(owner.into())),
        _ => Ok(()),
    }
}
