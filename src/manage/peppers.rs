//! Which peppers keys still need, and the end of one.

use std::collections::BTreeMap;

use super::{KeyManager, ManageError, listed_past};
use crate::mac::PepperId;
use crate::peppers::retire;
use crate::store::Page;

/// Which peppers are needed, as [`KeyManager::pepper_use`] has found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct PepperUse {
    /// The keys under each pepper that still open, or do so once they are enabled. A key whose two secrets
    /// are under two peppers is counted with both.
    pub peppers: BTreeMap<PepperId, PepperKeys>,
    /// How many records cannot be read, and may need any pepper: [`KeyManager::list`] names them.
    pub unreadable: usize,
}

/// The keys that need one pepper.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct PepperKeys {
    /// How many.
    pub keys: usize,
    /// How many of each owner.
    pub owners: BTreeMap<String, usize>,
}

impl KeyManager {
    /// Counts the keys that need each pepper. It reads all records, a page at a time.
    ///
    /// # Errors
    /// [`ManageError::Invalid`] on behalf of a caller; [`ManageError::Store`].
    pub async fn pepper_use(&self) -> Result<PepperUse, ManageError> {
        self.check_is_host()?;
        let mut found = PepperUse::default();
        let mut after = None;
        loop {
            let page = Page {
                owner: None,
                after,
                limit: Self::PAGE,
            };
            let listed = self.shared.store.list(&page).await?;
            found.unreadable += listed.unreadable.len();
            let now = self.now();
            for record in &listed.records {
                for pepper in record.needed_peppers(now) {
                    let needing = found.peppers.entry(pepper).or_default();
                    needing.keys += 1;
                    *needing.owners.entry(record.owner.clone()).or_default() += 1;
                }
            }
            if !listed.is_full(Self::PAGE) {
                return Ok(found);
            }
            after = Some(listed_past(after, listed.last_id())?);
        }
    }

    /// Notes for all instances that no key needs the pepper `id` any more, so that it can be taken out of
    /// their configuration: until then, an instance without it does not start. It reads all records.
    ///
    /// Retire it when no instance has it as the active one, and [`pepper_use`](Self::pepper_use) counts no
    /// key under it: they get their new MAC as they are used, or are to be rotated or revoked. What has
    /// ended under it is answered `key_invalid` from then on. Its id is not to be given to another pepper.
    ///
    /// `false`: it was never active on this store, and nothing was noted. Perhaps another id was meant.
    ///
    /// Where the store keeps no settings this only looks for keys, and nothing holds instances
    /// up that lack a pepper.
    ///
    /// # Errors
    /// [`ManageError::PepperInUse`] while keys need it, or may: records that cannot be read are to be mended
    /// or removed first. [`ManageError::Invalid`] for the pepper that is active here, and on behalf of a
    /// caller; [`ManageError::Store`].
    pub async fn retire_pepper(&self, id: PepperId) -> Result<bool, ManageError> {
        self.check_is_host()?;
        if self.shared.peppers.current().peppers().active_id() == id {
            let problem = format!("pepper {id} is active: make another one active first");
            return Err(ManageError::Invalid(problem));
        }
        let mut found = self.pepper_use().await?;
        let needing = found.peppers.remove(&id).unwrap_or_default();
        if needing.keys > 0 || found.unreadable > 0 {
            return Err(ManageError::PepperInUse {
                pepper: id,
                keys: needing.keys,
                owners: needing.owners.into_keys().collect(),
                unreadable: found.unreadable,
            });
        }
        match self.shared.store.abilities().settings {
            Some(settings) => Ok(retire(settings, id).await?),
            None => Ok(true),
        }
    }

    fn check_is_host(&self) -> Result<(), ManageError> {
        match self.caller() {
            None => Ok(()),
            Some(_) => Err(ManageError::Invalid(
                "the peppers are the host's business, and no caller's".into(),
            )),
        }
    }
}
