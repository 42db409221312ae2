//! Requests by day, of keys and of owners: for statistics and bills.

use std::ops::RangeInclusive;

use super::list::check_owner_in_sight;
use super::{Filter, KeyManager, ManageError};
use crate::clock::Day;
use crate::key::KeyId;
use crate::store::{DayTotal, OwnerTotal};

impl KeyManager {
    /// The accepted requests of a key on each of `days` on which there were any, in their order. A day
    /// begins and ends in UTC.
    ///
    /// ```
    /// # use keygate::{Day, KeyId, KeyManager, ManageError, SystemClock, Clock};
    /// # async fn run(manager: &KeyManager, id: &KeyId) -> Result<(), ManageError> {
    /// let today = Day::of(SystemClock.wall());
    /// for day in manager.request_days(id, today.earlier(30)..=today).await? {
    ///     println!("{}: {}", day.day, day.requests);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`inspect`](Self::inspect), and [`ManageError::NoUsage`].
    pub async fn request_days(
        &self,
        id: &KeyId,
        days: RangeInclusive<Day>,
    ) -> Result<Vec<DayTotal>, ManageError> {
        self.read(id).await?;
        let (usage, _) = self.usage().await?;
        Ok(usage.days_of_key(id, days).await?)
    }

    /// The accepted requests of all keys of an owner, in every environment, on each of `days` on which
    /// there were any, in their order.
    ///
    /// # Errors
    /// [`ManageError::OwnerNotFound`] for an owner out of the caller's sight,
    /// [`ManageError::CallerEnded`], [`ManageError::NoUsage`], [`ManageError::Store`].
    pub async fn owner_days(
        &self,
        owner: &str,
        days: RangeInclusive<Day>,
    ) -> Result<Vec<DayTotal>, ManageError> {
        check_owner_in_sight(self.ceiling().await?.as_ref(), owner)?;
        let (usage, _) = self.usage().await?;
        Ok(usage.days_of_owner(owner, days).await?)
    }

    /// The owners whose keys were used on `day`, with their accepted requests: in ascending byte order,
    /// beginning after `after`, at most `limit`, 1 to 1000; fewer only at the end.
    ///
    /// # Errors
    /// [`ManageError::Invalid`] for a limit out of range, and on behalf of a caller who does not act
    /// for every owner; [`ManageError::CallerEnded`], [`ManageError::NoUsage`], [`ManageError::Store`].
    pub async fn owner_totals(
        &self,
        day: Day,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<OwnerTotal>, ManageError> {
        if !(1..=Filter::MAX_LIMIT).contains(&limit) {
            let problem = format!("a page holds 1 to {} owners", Filter::MAX_LIMIT);
            return Err(ManageError::Invalid(problem));
        }
        if let Some(ceiling) = self.ceiling().await?
            && ceiling.owner().is_some()
        {
            let problem =
                "the totals of all owners are the host's: ask for the days of the caller's owner";
            return Err(ManageError::Invalid(problem.into()));
        }
        let (usage, _) = self.usage().await?;
        Ok(usage.owners_on(day, after, limit).await?)
    }

    /// Forgets the requests by day before `day`, of keys and of owners. What is known of a key over all
    /// days stays, such as its last use and the scopes that it needed.
    ///
    /// # Errors
    /// [`ManageError::Invalid`] on behalf of a caller; [`ManageError::NoUsage`],
    /// [`ManageError::Store`]: after `OutcomeUnknown`, do it again.
    pub async fn forget_usage_before(&self, day: Day) -> Result<(), ManageError> {
        if self.caller().is_some() {
            let problem = "what was counted is the host's to forget, and no caller's";
            return Err(ManageError::Invalid(problem.into()));
        }
        let (usage, _) = self.usage().await?;
        Ok(usage.forget_before(day).await?)
    }
}
