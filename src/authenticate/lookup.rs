//! Asking the store, for all who wait at once.

use std::net::IpAddr;
use std::sync::Arc;

use super::entry::Entry;
use super::turnstile::Lane;
use super::{Lost, Shared, timeout, within};
use crate::changes::{FRESH_FOR, RECENT, Stamp};
use crate::clock::Now;
use crate::key::KeyId;
use crate::refusal::{Error, Refusal};
use crate::store::{StoreError, StoreErrorKind, get_checked};

/// What the store says of an id, and as of when.
#[derive(Clone)]
pub(super) enum Lookup {
    Known(Entry),
    Unknown(Stamp),
}

impl Lookup {
    pub(super) fn stamp(&self) -> Stamp {
        match self {
            Self::Known(entry) => entry.stamp,
            Self::Unknown(stamp) => *stamp,
        }
    }

    pub(super) fn entry(&self) -> Option<&Entry> {
        match self {
            Self::Known(entry) => Some(entry),
            Self::Unknown(_) => None,
        }
    }
}

impl Shared {
    /// What the store says of `id`, for a request from `address`: by the read that is under way, or
    /// by one that this request waits for in its own lane. Nobody inherits another's place in line.
    pub(super) async fn look_up(
        self: &Arc<Self>,
        id: KeyId,
        address: Option<IpAddr>,
    ) -> Result<Lookup, Refusal> {
        let lane = match self.known.read(&id, |_| ()) {
            Some(()) => Lane::Known,
            None => Lane::of_stranger(address),
        };
        self.look_up_in(lane, id).await
    }

    /// As [`look_up`](Self::look_up), for a caller that was let in before.
    pub(super) async fn look_up_again(self: &Arc<Self>, id: KeyId) -> Result<Lookup, Refusal> {
        self.look_up_in(Lane::Known, id).await
    }

    async fn look_up_in(self: &Arc<Self>, lane: Lane, id: KeyId) -> Result<Lookup, Refusal> {
        if let Some(read) = self.reads.join_any(&id) {
            return Ok(read.await?);
        }
        let start = || Arc::clone(self).wait_and_read(id, lane);
        self.lookups.join((id, lane), start).await
    }

    async fn wait_and_read(self: Arc<Self>, id: KeyId, lane: Lane) -> Result<Lookup, Refusal> {
        if let Some(landed) = self.landed(&id) {
            return Ok(landed);
        }
        let turn = Box::pin(self.turnstile.enter(lane));
        let Ok(Ok(_pass)) = within(FRESH_FOR, turn).await else {
            return Err(Error::Overloaded.into());
        };
        // Those who came together have all seen that their address may still fail.
        if let Lane::Stranger(Some(network)) = lane {
            self.admit_failing(network)?;
        }
        let start = || Arc::clone(&self).read(id);
        Ok(self.reads.join(id, start).await?)
    }

    /// What another lookup brought since the cache was read.
    fn landed(&self, id: &KeyId) -> Option<Lookup> {
        let now = Now::of(&*self.clock);
        let is_new = |stamp: &Stamp| {
            self.changes.is_fresh(id, stamp, now) && now.is_within(RECENT, stamp.read_at)
        };
        let known = |entry: &Entry| is_new(&entry.stamp).then(|| Lookup::Known(entry.clone()));
        let unknown = |stamp: &Stamp| is_new(stamp).then_some(Lookup::Unknown(*stamp));
        let landed = self.known.read(id, known).flatten();
        landed.or_else(|| self.unknown.read(id, unknown).flatten())
    }

    /// Asks the store and caches its answer.
    async fn read(self: Arc<Self>, id: KeyId) -> Result<Lookup, Error> {
        if let Some(landed) = self.landed(&id) {
            return Ok(landed);
        }
        // What is stamped is the moment before the question.
        let stamp = self.changes.stamp(&id);
        let read = Box::pin(get_checked(&*self.store, &id));
        let record = match within(FRESH_FOR, read).await {
            Ok(Ok(record)) => record,
            Ok(Err(source)) => return Err(Error::Store { key_id: id, source }),
            Err(Lost::TooSlow) => return Err(timeout(id)),
            Err(Lost::Panicked) => {
                let source = StoreError::new(StoreErrorKind::Unavailable, "it panicked");
                return Err(Error::Store { key_id: id, source });
            }
        };
        let entry = record.and_then(|record| {
            let environment = self.environments.index_of(&record.prefix)?;
            let prefix = self.environments.prefix(environment).clone();
            let gate = Arc::clone(&self.gate);
            // After the stamp: once a ring is replaced, what was stamped before is not used again.
            let ring = self.peppers.current();
            Some(Entry::new(stamp, gate, ring, environment, prefix, record))
        });
        Ok(match entry {
            Some(entry) => {
                self.known.insert(id, entry.clone());
                Lookup::Known(entry)
            }
            None => {
                self.unknown.insert(id, stamp);
                Lookup::Unknown(stamp)
            }
        })
    }
}
