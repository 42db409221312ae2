//! Whether a caller that was let in still stands, for connections that stay open.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_timer::Delay;

use super::entry::Entry;
use super::lookup::Lookup;
use super::{Shared, timeout, within};
use crate::clock::Now;
use crate::gate::{BoxFuture, Standing};
use crate::mac::Proof;
use crate::principal::Principal;
use crate::refusal::{Refusal, Rejection};
use crate::waiters::first;

/// How old what is known of a caller may become before it is looked at again. That leaves time for
/// another look, should one fail, before the bound is over.
const LOOK: Duration = Duration::from_millis(600);

/// After a look failed there is another one so much later.
const RETRY: Duration = Duration::from_millis(100);

/// A look is given so much time also where the bound is over, as after the process was frozen.
const LEAST: Duration = Duration::from_millis(200);

impl Standing for Shared {
    fn ended(self: Arc<Self>, caller: Principal) -> BoxFuture<Refusal> {
        Box::pin(async move {
            let (id, bound) = (*caller.key_id(), self.changes.bound());
            let mut stood = Now::of(&*self.clock);
            loop {
                let seen = self.changes.generation(&id);
                let left = match Now::of(&*self.clock).until(bound, stood) {
                    Duration::ZERO => LEAST,
                    left => left,
                };
                let look = within(left, Box::pin(self.look(&caller))).await;
                let now = Now::of(&*self.clock);
                let again_after = match look.unwrap_or_else(|_| Err(timeout(id).into())) {
                    Ok(as_of) => {
                        stood = as_of;
                        now.until(LOOK, as_of)
                    }
                    Err(Refusal::Failed(_)) if now.is_within(bound, stood) => RETRY,
                    Err(refusal) => return refusal,
                };
                let changed = pin!(self.changes.changed_since(&id, seen));
                first(changed, Delay::new(again_after)).await;
            }
        })
    }
}

impl Shared {
    /// As of when the caller stands.
    async fn look(self: &Arc<Self>, caller: &Principal) -> Result<Now, Refusal> {
        let (id, address) = (caller.key_id(), caller.client_address());
        let now = Now::of(&*self.clock);
        let cached = |entry: &Entry| {
            let stamp = &entry.stamp;
            let is_young = self.changes.is_fresh(id, stamp, now)
                && now.is_within(LOOK, self.changes.as_of(stamp));
            is_young.then(|| Lookup::Known(entry.clone()))
        };
        let lookup = match self.known.read(id, cached).flatten() {
            Some(lookup) => lookup,
            None => self.look_up_again(*id).await?,
        };
        let (stamp, now) = (lookup.stamp(), Now::of(&*self.clock));
        // Before its generation is looked at: a later heartbeat may have come with a change.
        let as_of = self.changes.as_of(&stamp);
        if !self.changes.is_fresh(id, &stamp, now) {
            return Err(timeout(*id).into());
        }
        let is_callers = |entry: &&Entry| entry.identity.environment == *caller.environment();
        let entry = lookup.entry().filter(is_callers);
        let entry = entry.ok_or(Rejection::KeyInvalid)?;
        let is_presented = |proof: &&Proof| proof.created_at == caller.secret().created_at;
        let ended = Rejection::KeyExpired;
        let proof = entry.proofs.iter().find(is_presented).ok_or(ended)?;
        entry.opens(proof, address, now)?;
        Ok(as_of)
    }
}
