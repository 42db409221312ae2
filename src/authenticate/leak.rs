//! Keys that stand in a URL: whose they are, if they are anybody's.

use std::net::IpAddr;
use std::sync::Arc;

use super::lookup::Lookup;
use super::{Attempt, Authenticator, RECENT, Shared, Stamp};
use crate::clock::Now;
use crate::environment::Presented;
use crate::key::KeyId;
use crate::mac::Match;
use crate::principal::Identity;
use crate::refusal::Rejection;

impl Authenticator {
    /// Tells operators of a key that stands in a URL. Its id, if its secret proves right, whatever has
    /// become of the key: only then it is known that this key has leaked.
    ///
    /// It is looked up as every other, within the same bounds, and opens nothing: nothing is taken of
    /// its limits, and it does not count as used.
    pub(crate) async fn tell_leak(&self, text: &str, address: Option<IpAddr>) -> Option<KeyId> {
        let shared = &self.shared;
        // Text that is no part of it may stand around it.
        let found = shared.scanner.scan(text).next();
        let own = found.and_then(|found| text.get(found.range()));
        let foreign = || shared.environments.foreign().find_in(text);
        let text = own.or_else(foreign).unwrap_or(text);
        let mut leak = Leak {
            shared,
            address,
            proved: None,
        };
        leak.proved = shared.prove(Attempt::new(text).from_address(address)).await;
        leak.proved.as_ref().map(|identity| identity.key_id)
    }
}

/// Told when it is dropped: also where the caller went away before it was known whose key it is.
struct Leak<'a> {
    shared: &'a Shared,
    address: Option<IpAddr>,
    proved: Option<Arc<Identity>>,
}

impl Drop for Leak<'_> {
    fn drop(&mut self) {
        let events = &self.shared.gate.events;
        events.leaked(self.proved.as_deref(), self.address);
    }
}

impl Shared {
    async fn prove(self: &Arc<Self>, attempt: Attempt<'_>) -> Option<Arc<Identity>> {
        let presented = match self.admit(attempt.text) {
            Ok(presented) => presented,
            Err(rejection) => {
                self.count_failure(&rejection, attempt);
                return None;
            }
        };
        let id = presented.key.id();
        let lookup = match self.known_or_unknown(id) {
            Some(lookup) => lookup,
            None => {
                self.admit_stranger(id, attempt).ok()?;
                self.look_up(*id, attempt.address).await.ok()?
            }
        };
        let proved = self.identity_behind(&presented, &lookup);
        if proved.is_none() {
            self.count_failure(&Rejection::KeyInvalid, attempt);
        }
        proved
    }

    /// What is known of `id` without the store.
    fn known_or_unknown(&self, id: &KeyId) -> Option<Lookup> {
        let now = Now::of(&*self.clock);
        let is_recent = |stamp: &Stamp| {
            self.changes.is_fresh(id, stamp, now) && now.is_within(RECENT, stamp.read_at)
        };
        let unknown = |stamp: &Stamp| is_recent(stamp).then_some(Lookup::Unknown(*stamp));
        let cached = self.cached(id);
        cached.or_else(|| self.unknown.read(id, unknown).flatten())
    }

    fn identity_behind(&self, presented: &Presented<'_>, lookup: &Lookup) -> Option<Arc<Identity>> {
        let now = Now::of(&*self.clock);
        let entry = self.entry_of(presented, lookup.entry(), now)?;
        match entry.ring.find(&presented.key, &entry.proofs, now.wall) {
            Match::Current(_) | Match::Previous(_) => Some(Arc::clone(&entry.identity)),
            Match::None | Match::UnknownPepper(_) => None,
        }
    }
}
