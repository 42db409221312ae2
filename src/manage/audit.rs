//! Who made a change, and reading what was done.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::IpAddr;

use super::ceiling::Ceiling;
use super::{Authority, KeyManager, ManageError, sees};
use crate::audit::{Actor, AuditKind};
use crate::clock::Timestamp;
use crate::key::KeyId;
use crate::record::check_user;
use crate::store::{AuditLog, AuditPage, AuditQuery, StoreErrorKind};

/// The person for whom the host acts, as far as it says so.
#[derive(Clone, Default)]
pub(super) struct Person {
    name: Option<String>,
    address: Option<IpAddr>,
    /// Of a caller whose change the host brings to its end, or of a bearer who ends the own key.
    key_id: Option<KeyId>,
}

impl Person {
    /// Whoever asked for what the host goes on with by itself.
    pub(super) fn behind(authority: &Authority) -> Self {
        match authority {
            Authority::Host(person) => person.clone(),
            Authority::Caller(caller) => Self {
                name: None,
                address: caller.address,
                key_id: Some(caller.key_id),
            },
        }
    }

    /// Whoever presented the key itself.
    pub(super) fn bearer(key_id: KeyId, address: Option<IpAddr>) -> Self {
        Self {
            name: None,
            address,
            key_id: Some(key_id),
        }
    }

    #[cfg(any(feature = "tower", feature = "actix-web"))]
    pub(super) fn at(self, address: Option<IpAddr>) -> Self {
        Self { address, ..self }
    }

    pub(super) fn actor(&self) -> Actor {
        match (self.key_id, &self.name) {
            (Some(key_id), _) => Actor::Key(key_id),
            (None, Some(name)) => Actor::User(name.clone()),
            (None, None) => Actor::Host,
        }
    }

    pub(super) fn address(&self) -> Option<IpAddr> {
        self.address
    }

    pub(super) fn check(&self) -> Result<(), ManageError> {
        let checked = self.name.as_deref().map_or(Ok(()), check_user);
        checked.map_err(|flaw| ManageError::Invalid(flaw.to_string()))
    }
}

impl KeyManager {
    /// So many events are forgotten in one step of the store.
    const FORGOTTEN_AT_ONCE: usize = 1_000;

    /// A manager that acts for the host as this one does, and says in the audit log that this person did
    /// it: a name of 1 to 128 characters by which the host knows people, such as a login. A change with
    /// another name is refused as [`ManageError::Invalid`].
    ///
    /// It bounds nothing: what the person may do, the host decides. A manager that acts
    /// [on behalf of a caller](Self::on_behalf_of) stays as it is, and names the key of that caller.
    ///
    /// ```
    /// # use std::net::IpAddr;
    /// # use keygate::{KeyId, KeyManager, ManageError};
    /// # async fn run(manager: &KeyManager, id: &KeyId, peer: IpAddr) -> Result<(), ManageError> {
    /// let hers = manager.as_user("ada@example.com").from_address(peer);
    /// hers.revoke(id, "found in a log").await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn as_user(&self, name: impl Into<String>) -> Self {
        let name = Some(name.into());
        self.for_person(|person| Person { name, ..person })
    }

    /// A manager that says in the audit log where the host was asked from. On behalf of a caller, that is
    /// where the caller's request came from, whatever is said here.
    #[must_use]
    pub fn from_address(&self, address: IpAddr) -> Self {
        let address = Some(address);
        self.for_person(|person| Person { address, ..person })
    }

    /// What was done to keys, and with them: the changes, the refused requests and those whose URL carried
    /// a key; also the accepted ones where [`audit_accepted`](crate::Builder::audit_accepted) says so. What
    /// this process has seen is handed to the store first.
    ///
    /// Requests that are alike are one [event](crate::audit::Requests): of one key, from one address, with
    /// one outcome, within a few seconds. A process that is killed loses what it has seen of requests since it last handed that on,
    /// about five seconds before.
    ///
    /// On behalf of a caller, it has the events of keys that the caller sees alone: none of requests whose
    /// key was not proved, is damaged, or is not in the store any more. A page may then be short, or empty, and have a
    /// [next](AuditPage::next) one.
    ///
    /// ```
    /// # use keygate::{KeyId, KeyManager, ManageError};
    /// use keygate::store::AuditQuery;
    /// # async fn run(manager: &KeyManager, id: KeyId) -> Result<(), ManageError> {
    /// let mut query = AuditQuery { key_id: Some(id), ..AuditQuery::new() };
    /// loop {
    ///     let page = manager.audit(&query).await?;
    ///     for event in &page.events {
    ///         println!("{} {} by {:?}", event.at, event.action.as_str(), event.actor);
    ///     }
    ///     let Some(next) = page.next else { break };
    ///     query.after = Some(next);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ManageError::NoAuditLog`]; [`ManageError::Invalid`] for an `after` that is no cursor;
    /// [`ManageError::CallerEnded`]; [`ManageError::NotFound`] and
    /// [`ManageError::OwnerNotFound`] for what is out of the caller's sight; [`ManageError::Store`].
    pub async fn audit(&self, query: &AuditQuery) -> Result<AuditPage, ManageError> {
        let log = self.audit_log()?;
        let ceiling = self.ceiling().await?;
        let mut query = query.clone();
        if let Some(ceiling) = &ceiling {
            self.confine(&mut query, ceiling).await?;
        }
        if let Some(journal) = self.shared.events.journal() {
            journal.catch_up(log).await;
        }
        let mut page = log.events(&query).await.map_err(|error| {
            // Of a query, only the cursor can be damaged.
            match query.after.is_some() && error.kind() == StoreErrorKind::Corrupt {
                true => ManageError::Invalid("after is the next of an earlier page".into()),
                false => error.into(),
            }
        })?;
        if let Some(ceiling) = &ceiling {
            self.keep_seen(&mut page, ceiling).await?;
        }
        Ok(page)
    }

    /// Forgets the events of a kind from before a moment; how many those were. Those of requests are
    /// forgotten by themselves after [`audit_retention`](crate::Builder::audit_retention); the changes of
    /// keys stay until this is called.
    ///
    /// # Errors
    /// [`ManageError::Invalid`] on behalf of a caller; [`ManageError::NoAuditLog`];
    /// [`ManageError::Store`]: some may be forgotten, and it may be called again.
    pub async fn forget_audit(
        &self,
        kind: AuditKind,
        before: Timestamp,
    ) -> Result<usize, ManageError> {
        if self.caller().is_some() {
            let problem = "only the host forgets what was done";
            return Err(ManageError::Invalid(problem.into()));
        }
        let log = self.audit_log()?;
        let mut forgotten = 0;
        loop {
            let step = log.forget_before(kind, before, Self::FORGOTTEN_AT_ONCE);
            let step = step.await?;
            forgotten += step;
            if step < Self::FORGOTTEN_AT_ONCE {
                return Ok(forgotten);
            }
        }
    }

    fn audit_log(&self) -> Result<&dyn AuditLog, ManageError> {
        let log = self.shared.store.abilities().audit_log;
        log.ok_or(ManageError::NoAuditLog)
    }

    pub(super) fn for_person(&self, change: impl FnOnce(Person) -> Person) -> Self {
        let authority = match self.authority.clone() {
            Authority::Host(person) => Authority::Host(change(person)),
            caller @ Authority::Caller(_) => caller,
        };
        Self {
            shared: self.shared.clone(),
            authority,
        }
    }

    /// Narrows a query to the caller's owner, unless the caller acts across owners.
    async fn confine(&self, query: &mut AuditQuery, ceiling: &Ceiling) -> Result<(), ManageError> {
        if let Some(id) = query.key_id
            && !self.is_seen(&id, ceiling).await?
        {
            return Err(ManageError::NotFound(id));
        }
        if let Some(own) = ceiling.owner() {
            if let Some(asked) = query.owner.take_if(|asked| asked != own) {
                return Err(ManageError::OwnerNotFound(asked));
            }
            query.owner = Some(own.to_owned());
        }
        Ok(())
    }

    /// Leaves out what is of no key that the caller sees: of other environments, and of nobody's.
    async fn keep_seen(&self, page: &mut AuditPage, ceiling: &Ceiling) -> Result<(), ManageError> {
        let mut seen = BTreeMap::new();
        for id in page.events.iter().filter_map(|event| event.key_id) {
            if let Entry::Vacant(place) = seen.entry(id) {
                place.insert(match self.is_seen(&id, ceiling).await {
                    // Nobody can say whose a damaged record is, and it is not to hide all others.
                    Err(ManageError::Store(error)) if error.kind() == StoreErrorKind::Corrupt => {
                        false
                    }
                    outcome => outcome?,
                });
            }
        }
        let is_seen = |id: KeyId| seen.get(&id).is_some_and(|seen| *seen);
        page.events.retain(|event| {
            let is_owners = ceiling
                .owner()
                .is_none_or(|own| event.owner.as_deref() == Some(own));
            is_owners && event.key_id.is_some_and(is_seen)
        });
        // Nobody can say whose those are.
        page.unreadable.clear();
        Ok(())
    }

    async fn is_seen(&self, id: &KeyId, ceiling: &Ceiling) -> Result<bool, ManageError> {
        let record = self.stored(id).await?;
        Ok(record.is_some_and(|record| sees(Some(ceiling), &record)))
    }
}
