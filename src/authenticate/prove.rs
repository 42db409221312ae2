//! Whose key a text is, whatever has become of that key.

use std::net::IpAddr;
use std::sync::Arc;

use super::lookup::Lookup;
use super::refused::Refused;
use super::{Attempt, Authenticator, RECENT, Shared, Stamp};
use crate::clock::{Now, Timestamp};
use crate::environment::Presented;
use crate::key::KeyId;
use crate::principal::Identity;
use crate::refusal::{Refusal, Rejection};

/// A key whose secret proved right. It may have ended, or not open from where it was sent.
pub(crate) struct Proved {
    pub(crate) identity: Arc<Identity>,
    /// When the secret was made, which tells the secrets of a key apart.
    pub(crate) secret: Timestamp,
    pub(crate) is_revoked: bool,
    /// Whether a newer secret has taken its place for good.
    pub(crate) is_replaced: bool,
    pub(crate) address: Option<IpAddr>,
}

impl Authenticator {
    /// The key of which the bearer presents a secret that was not replaced yet. What is no such secret is
    /// refused, counted and told as a request with it.
    pub(crate) async fn prove_bearer(&self, attempt: Attempt<'_>) -> Result<Proved, Refusal> {
        let shared = &self.shared;
        let refused = match shared.prove(attempt).await {
            Ok(proved) if proved.is_replaced && !proved.is_revoked => Refused {
                refusal: Rejection::KeyExpired.into(),
                proved: Some(proved.identity),
            },
            Ok(proved) => {
                if proved.identity.is_canary {
                    let refusal = Rejection::KeyRevoked.into();
                    let events = &shared.gate.events;
                    events.refused(&refusal, Some(&proved.identity), proved.address);
                }
                return Ok(proved);
            }
            Err(refused) => refused,
        };
        Err(shared.refuse(refused, attempt))
    }
}

impl Shared {
    /// It is looked up as for every other request, within the same bounds, and opens nothing: nothing is
    /// taken of the limits of the key, and it does not count as used.
    pub(super) async fn prove(self: &Arc<Self>, attempt: Attempt<'_>) -> Result<Proved, Refused> {
        let presented = self.admit(attempt.text)?;
        let id = presented.key.id();
        if let Some(lookup) = self.known_or_unknown(id) {
            let now = Now::of(&*self.clock);
            match self.prove_by(&presented, &lookup, attempt.address, now) {
                Err(refused) if !self.stands(&refused.refusal, &lookup.stamp(), now) => {}
                outcome => return outcome,
            }
        }
        self.admit_stranger(id, attempt)?;
        let lookup = self.look_up(*id, attempt.address).await?;
        let now = Now::of(&*self.clock);
        self.prove_by(&presented, &lookup, attempt.address, now)
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

    fn prove_by(
        &self,
        presented: &Presented<'_>,
        lookup: &Lookup,
        address: Option<IpAddr>,
        now: Now,
    ) -> Result<Proved, Refused> {
        let entry = self.entry_of(presented, lookup.entry(), now);
        let entry = entry.ok_or(Rejection::KeyInvalid)?;
        let proof = self.fit(presented, entry, now)?.proof;
        let is_older = proof.created_at != entry.proofs.current.created_at;
        Ok(Proved {
            identity: Arc::clone(&entry.identity),
            secret: proof.created_at,
            is_revoked: entry.revoked,
            is_replaced: is_older && proof.has_ended(now.wall),
            address,
        })
    }
}
