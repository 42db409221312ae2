//! Making, changing and ending keys.
//!
//! Every operation is one conditional write of one record, and success is reported only after it
//! is durable. A manager acts for the host, or [on behalf of a caller](KeyManager::on_behalf_of):
//! then nothing it yields or strengthens goes beyond what that caller can do.

mod ceiling;
mod error;
mod find;
mod issue;
mod lifecycle;
mod list;
mod new_key;
mod policy;
mod rotate;
mod write;

pub use ceiling::Excess;
pub use error::{Conflict, ManageError};
pub use find::{Found, FoundSecret};
pub use issue::Issued;
pub use lifecycle::{OwnerRevocation, Revoked, Unrevoked};
pub use list::{Filter, KeyList};
pub use new_key::{Change, NewKey};
pub use policy::Policy;

use std::fmt;
use std::sync::Arc;

use crate::audit::Actor;
use crate::changes::Changes;
use crate::clock::{Clock, Timestamp};
use crate::environment::Environments;
use crate::key::KeyId;
use crate::mac::PepperRing;
use crate::principal::Principal;
use crate::record::{KeyInfo, KeyRecord};
use crate::store::KeyStore;
use ceiling::Ceiling;

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
    peppers: Arc<PepperRing>,
    store: Arc<dyn KeyStore>,
    clock: Arc<dyn Clock>,
    changes: Arc<Changes>,
    policy: Policy,
}

/// In whose name a manager acts.
#[derive(Clone)]
enum Authority {
    Host,
    Caller(Arc<Ceiling>),
}

impl KeyManager {
    pub(crate) fn new(
        environments: Environments,
        peppers: Arc<PepperRing>,
        store: Arc<dyn KeyStore>,
        clock: Arc<dyn Clock>,
        changes: Arc<Changes>,
        policy: Policy,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                environments,
                peppers,
                store,
                clock,
                changes,
                policy,
            }),
            authority: Authority::Host,
        }
    }

    /// A manager that acts for `caller`: only on keys of the caller's owner and environment, and
    /// never beyond the caller's own scopes, expiry, addresses and rate limit.
    ///
    /// Metadata is not bounded: where the host takes decisions by it, the host decides who sets it.
    pub fn on_behalf_of(&self, caller: &Principal) -> Self {
        self.with_ceiling(Ceiling::of(caller))
    }

    /// As [`on_behalf_of`](Self::on_behalf_of), for the keys of every owner: for callers whom the
    /// host takes for administrators.
    pub fn on_behalf_of_for_any_owner(&self, caller: &Principal) -> Self {
        self.with_ceiling(Ceiling::of(caller).for_any_owner())
    }

    /// What may be shown of a key.
    ///
    /// # Errors
    /// [`ManageError::NotFound`], also for keys out of the caller's sight; [`ManageError::Store`].
    pub async fn inspect(&self, id: &KeyId) -> Result<KeyInfo, ManageError> {
        Ok(self.info(&self.read(id).await?))
    }

    fn with_ceiling(&self, ceiling: Ceiling) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            authority: Authority::Caller(Arc::new(ceiling)),
        }
    }

    fn ceiling(&self) -> Option<&Ceiling> {
        match &self.authority {
            Authority::Host => None,
            Authority::Caller(ceiling) => Some(ceiling),
        }
    }

    fn actor(&self) -> Actor {
        self.ceiling()
            .map_or(Actor::Host, |ceiling| Actor::Key(ceiling.key_id))
    }

    /// The record of `id`, if this manager may see it.
    async fn read(&self, id: &KeyId) -> Result<KeyRecord, ManageError> {
        let record = self.shared.store.get(id).await?;
        record
            .filter(|record| self.sees(record))
            .ok_or(ManageError::NotFound(*id))
    }

    fn sees(&self, record: &KeyRecord) -> bool {
        self.ceiling().is_none_or(|ceiling| ceiling.sees(record))
    }

    fn now(&self) -> Timestamp {
        self.shared.clock.wall()
    }

    fn info(&self, record: &KeyRecord) -> KeyInfo {
        KeyInfo::new(record, self.now())
    }
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
