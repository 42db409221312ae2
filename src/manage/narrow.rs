//! Taking from a key what it does not need.

use std::time::Duration;

use serde::Serialize;

use super::{Conflict, KeyActivity, KeyManager, ManageError, Unproved};
use crate::record::KeyRecord;
use crate::scope::{Scope, ScopeSet, covers};

/// What a key may do, and what of it was needed within some time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[non_exhaustive]
pub struct Privileges {
    /// What it may do.
    pub granted: ScopeSet,
    /// The scopes that are enough for what it did: those that were needed, as they were asked for. `None`
    /// when the key was not used at all: there is nothing to narrow it to.
    pub narrowed: Option<ScopeSet>,
    /// The granted scopes that narrowing drops. A wildcard is dropped even if it was used: what was
    /// needed of it takes its place.
    pub dropped: ScopeSet,
    /// The granted scopes of which nothing was needed.
    pub unused: ScopeSet,
}

impl Privileges {
    /// Whether narrowing would take something from the key.
    pub fn are_excessive(&self) -> bool {
        !self.dropped.is_empty()
    }
}

impl KeyActivity {
    /// What the key may do beyond what it needed within `window`.
    ///
    /// A scope was needed where a rule of a guard or [`Principal::authorize`](crate::Principal::authorize)
    /// asked for it, where it was given to another key on behalf of this one, or where the key lacked it
    /// for a rule that only [reports](crate::Rule::report_only) that. What the service judges by
    /// [`Principal::scopes`](crate::Principal::scopes) on its own, nobody counts.
    ///
    /// A key that is younger than the window is judged by its life so far, and a scope that was granted
    /// within the window as if it had always been there: unused until it is used.
    ///
    /// # Errors
    /// [`Unproved`] when the key was not watched for the whole window, or since its issue.
    pub fn privileges(&self, window: Duration) -> Result<Privileges, Unproved> {
        let watched_since = self.watched_since();
        let is_watched = |since| since <= self.info.created_at || self.is_past(since, window);
        if !watched_since.is_some_and(is_watched) {
            return Err(Unproved::new(watched_since, window));
        }
        let granted = self.info.scopes.clone();
        let usage = self.usage.as_ref();
        let Some(usage) = usage.filter(|usage| !self.is_past(usage.last_used_at, window)) else {
            return Ok(Privileges {
                narrowed: None,
                dropped: ScopeSet::default(),
                unused: granted.clone(),
                granted,
            });
        };
        let counted = usage.scopes.iter().chain(&usage.lacked);
        let needed: Vec<Scope> = counted
            .filter(|scope| !self.is_past(scope.last_at, window))
            .filter(|scope| granted.covers(&scope.scope))
            .filter_map(|scope| scope.scope.parse().ok())
            .collect();
        let is_used = |grant: &str| needed.iter().any(|scope| covers(grant, scope.as_str()));
        let unused = granted.only(|grant| !is_used(grant));
        let exact: ScopeSet = needed.iter().cloned().collect();
        let narrowed = match exact.iter().count() > ScopeSet::MAX_SCOPES {
            // No key can hold so many: its wildcards stay.
            true => granted.only(|grant| is_used(grant)),
            false => exact,
        };
        let dropped = granted.only(|grant| narrowed.iter().all(|scope| scope != *grant));
        Ok(Privileges {
            narrowed: Some(narrowed),
            dropped,
            unused,
            granted,
        })
    }
}

impl KeyManager {
    /// Takes from `record`, as it was read before, what it did not need within `window`.
    ///
    /// Its scopes were granted before its usage is read, and it is only written if nobody changed it
    /// since: what is granted meanwhile is never taken for unused.
    pub(super) async fn narrow(
        &self,
        record: &mut KeyRecord,
        window: Duration,
    ) -> Result<(), ManageError> {
        for activity in self.activities_of(vec![self.info(record)]).await? {
            let privileges = activity.privileges(window).map_err(Conflict::from)?;
            record.scopes = privileges.narrowed.ok_or(Conflict::NotUsed)?;
        }
        Ok(())
    }
}
