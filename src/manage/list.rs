use super::ceiling::Ceiling;
use super::{KeyManager, ManageError, sees};
use crate::key::KeyId;
use crate::record::{KeyInfo, KeyStatus};
use crate::store::{Page, StoreError, StoreErrorKind, Unreadable};

/// Which keys to list.
///
/// ```
/// # use keygate::{Filter, KeyStatus};
/// let filter = Filter::new().owner("org_42").status(KeyStatus::Active).limit(20);
/// ```
#[derive(Clone, Debug)]
pub struct Filter {
    owner: Option<String>,
    status: Option<KeyStatus>,
    after: Option<KeyId>,
    limit: usize,
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

impl Default for Filter {
    fn default() -> Self {
        Self::new()
    }
}

impl KeyManager {
    /// So many records are read at once, however few of them are wanted.
    const PAGE: usize = 256;

    /// Lists keys without their secrets. On behalf of a caller, only the caller's owner's.
    ///
    /// # Errors
    /// [`ManageError::Invalid`] for a limit out of range, [`ManageError::OwnerNotFound`] for an
    /// owner out of the caller's sight, [`ManageError::Store`].
    pub async fn list(&self, filter: Filter) -> Result<KeyList, ManageError> {
        if !(1..=Filter::MAX_LIMIT).contains(&filter.limit) {
            let problem = format!("a page holds 1 to {} keys", Filter::MAX_LIMIT);
            return Err(ManageError::Invalid(problem));
        }
        let ceiling = self.ceiling().await?;
        if let Some(owner) = &filter.owner {
            check_owner_in_sight(ceiling.as_ref(), owner)?;
        }
        let own = ceiling.as_ref().and_then(|ceiling| ceiling.owner());
        let owner = filter.owner.as_deref().or(own);
        let mut list = KeyList {
            keys: Vec::new(),
            unreadable: Vec::new(),
            next: None,
        };
        let mut after = filter.after;
        loop {
            let limit = Self::PAGE.max(filter.limit);
            let listed = self
                .shared
                .store
                .list(&Page {
                    owner,
                    after,
                    limit,
                })
                .await?;
            let (full, last) = (listed.is_full(limit), listed.last_id());
            list.unreadable.extend(listed.unreadable);
            for record in listed
                .records
                .iter()
                .filter(|record| sees(ceiling.as_ref(), record))
            {
                let info = self.info(record);
                if filter.status.is_some_and(|status| status != info.status) {
                    continue;
                }
                if list.keys.len() == filter.limit {
                    let last = list.keys.last().map(|key: &KeyInfo| key.key_id);
                    // What lies behind this page is told with the next one.
                    let behind = |id: &str| last.as_ref().is_some_and(|last| id > last.as_str());
                    list.unreadable.retain(|key| !behind(&key.id));
                    list.next = last;
                    return Ok(list);
                }
                list.keys.push(info);
            }
            if !full {
                return Ok(list);
            }
            after = Some(listed_past(after, last)?);
        }
    }
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
