//! Making, changing and ending keys.
//!
//! Every operation is one conditional write of one record, and success is reported only after it
//! is durable. A manager acts for the host, or [on behalf of a caller](KeyManager::on_behalf_of):
//! then nothing it yields or strengthens goes beyond what that caller can do.

mod activity;
mod audit;
mod ceiling;
mod draft;
mod error;
mod find;
mod formats;
mod import;
mod issue;
mod leak;
mod lifecycle;
mod list;
mod mandatory;
mod narrow;
mod new_key;
mod peppers;
mod policy;
mod report;
mod rotate;
mod totals;
mod write;

pub use activity::{KeyActivity, Safety, Unproved};
pub use ceiling::Excess;
pub use draft::Draft;
pub use error::{Conflict, ManageError};
pub use find::{Found, FoundSecret};
pub(crate) use formats::{FormatCheckError, check_formats};
pub use import::Imported;
pub use issue::Issued;
pub use leak::{BearerRevocation, BearerRevocationError, LeakOutcome, LeakReport, OnLeak};
pub use lifecycle::{OwnerRevocation, RevokeFailure, Revoked};
pub(crate) use list::listed_past;
pub use list::{Filter, KeyList};
pub(crate) use mandatory::WeakManager;
pub use narrow::Privileges;
pub use new_key::{Change, NewKey};
pub use peppers::{PepperKeys, PepperUse};
pub use policy::Policy;
pub use report::ActivityList;
pub use rotate::Rotation;

use std::fmt;
use std::sync::Arc;

use crate::audit::{Actor, Events};
use crate::changes::Changes;
use crate::clock::{Clock, Timestamp};
use crate::environment::Environments;
use crate::key::KeyId;
use crate::mac::Peppers;
use crate::principal::Principal;
use crate::record::{KeyInfo, KeyRecord};
use crate::scope::Catalogue;
use crate::store::{KeyStore, get_checked};
use crate::usage::Ledger;
use audit::Person;
use ceiling::{Caller, Ceiling};

/// Issues, shows, changes, rotates and revokes keys. Cloning it is cheap.
///
/// It acts for the host, on every key of the store, also on those of environments that this process
/// does not serve. [`on_behalf_of`](Self::on_behalf_of) makes one that acts for a caller.
///
/// ```
/// # use keygate::*;
/// # async fn run(manager: &KeyManager) -> Result<(), ManageError> {
/// let issued = manager
///     .issue(NewKey::for_owner("org_42").name("CI").scopes(["orders:read,write"]))
///     .await?;
/// println!("shown once: {}", issued.key.expose());
///
/// let rotated = manager.rotate(&issued.info.key_id).await?;       // both work for 24 hours
/// manager.revoke(&rotated.info.key_id, "no longer used").await?;  // for good
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct KeyManager {
    shared: Arc<Shared>,
    authority: Authority,
}

struct Shared {
    environments: Environments,
    peppers: Arc<Peppers>,
    store: Arc<dyn KeyStore>,
    clock: Arc<dyn Clock>,
    changes: Arc<Changes>,
    policy: Policy,
    catalogue: Option<Catalogue>,
    ledger: Option<Arc<Ledger>>,
    events: Arc<Events>,
    on_leak: OnLeak,
}

/// In whose name a manager acts.
#[derive(Clone)]
enum Authority {
    Host(Person),
    Caller(Caller),
}

impl KeyManager {
    #[expect(clippy::too_many_arguments, reason = "only the builder calls it")]
    pub(crate) fn new(
        environments: Environments,
        peppers: Arc<Peppers>,
        store: Arc<dyn KeyStore>,
        clock: Arc<dyn Clock>,
        changes: Arc<Changes>,
        policy: Policy,
        catalogue: Option<Catalogue>,
        ledger: Option<Arc<Ledger>>,
        events: Arc<Events>,
        on_leak: OnLeak,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                environments,
                peppers,
                store,
                clock,
                changes,
                policy,
                catalogue,
                ledger,
                events,
                on_leak,
            }),
            authority: Authority::Host(Person::default()),
        }
    }

    /// A manager that acts for `caller`: only on keys of the caller's owner and environment, and
    /// never beyond the caller's own scopes, expiry, addresses and rate limit.
    ///
    /// What the caller can do is read from the store anew for each operation, so a caller whose key,
    /// or whose secret of it, has ended meanwhile can do nothing, however long its request took. A new
    /// key gets the caller's addresses, rate limit and end where nothing else is asked for.
    ///
    /// Metadata is not bounded: where the host takes decisions by it, the host decides who sets it.
    pub fn on_behalf_of(&self, caller: &Principal) -> Self {
        self.acting_for(Caller::of(caller))
    }

    /// As [`on_behalf_of`](Self::on_behalf_of), for the keys of every owner: for callers whom the
    /// host takes for administrators.
    pub fn on_behalf_of_across_owners(&self, caller: &Principal) -> Self {
        self.acting_for(Caller::of(caller).across_owners())
    }

    /// What may be shown of a key.
    ///
    /// # Errors
    /// [`ManageError::NotFound`], also for keys out of the caller's sight;
    /// [`ManageError::CallerEnded`]; [`ManageError::Store`].
    pub async fn inspect(&self, id: &KeyId) -> Result<KeyInfo, ManageError> {
        let (record, _) = self.read(id).await?;
        Ok(self.info(&record))
    }

    pub(crate) fn environments(&self) -> &Environments {
        &self.shared.environments
    }

    #[cfg(feature = "github")]
    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.shared.clock)
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.shared.policy
    }

    fn acting_for(&self, caller: Caller) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            authority: Authority::Caller(caller),
        }
    }

    /// Not bounded by a caller, to bring to its end what was begun for one: the audit log names whoever
    /// asked for it.
    fn as_host(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            authority: Authority::Host(Person::behind(&self.authority)),
        }
    }

    fn caller(&self) -> Option<&Caller> {
        match &self.authority {
            Authority::Host(_) => None,
            Authority::Caller(caller) => Some(caller),
        }
    }

    fn actor(&self) -> Actor {
        match &self.authority {
            Authority::Host(person) => person.actor(),
            Authority::Caller(caller) => Actor::Key(caller.key_id),
        }
    }

    /// What the caller can do now. The host is not bounded.
    async fn ceiling(&self) -> Result<Option<Ceiling>, ManageError> {
        let Some(caller) = self.caller() else {
            return Ok(None);
        };
        let own = self.stored(&caller.key_id).await?;
        caller.ceiling(own.as_ref(), self.now()).map(Some)
    }

    /// The record of `id`, if this manager may see it, and what the caller can do. If it is the
    /// caller's own, one and the same record says both.
    async fn read(&self, id: &KeyId) -> Result<(KeyRecord, Option<Ceiling>), ManageError> {
        let record = self.stored(id).await?;
        let ceiling = match self.caller() {
            Some(caller) if caller.key_id == *id => {
                Some(caller.ceiling(record.as_ref(), self.now())?)
            }
            _ => self.ceiling().await?,
        };
        let seen = record.filter(|record| sees(ceiling.as_ref(), record));
        Ok((seen.ok_or(ManageError::NotFound(*id))?, ceiling))
    }

    async fn stored(&self, id: &KeyId) -> Result<Option<KeyRecord>, ManageError> {
        Ok(get_checked(&*self.shared.store, id).await?)
    }

    fn now(&self) -> Timestamp {
        self.shared.clock.wall()
    }

    fn info(&self, record: &KeyRecord) -> KeyInfo {
        KeyInfo::new(record, self.now())
    }
}

fn sees(ceiling: Option<&Ceiling>, record: &KeyRecord) -> bool {
    ceiling.is_none_or(|ceiling| ceiling.sees(record))
}

impl fmt::Debug for KeyManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyManager")
            .field("environments", &self.shared.environments)
            .field("policy", &self.shared.policy)
            .field("actor", &self.actor())
            .finish_non_exhaustive()
    }
}
