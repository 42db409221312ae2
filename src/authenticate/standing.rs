//! Whether a caller that was let in still stands, for connections that stay open.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_timer::Delay;

use super::entry::Entry;
use super::lookup::Lookup;
use super::{Shared, timeout};
use crate::changes::FRESH_FOR;
use crate::clock::Now;
use crate::gate::{BoxFuture, Standing};
use crate::mac::Proof;
use crate::principal::Principal;
use crate::refusal::{Refusal, Rejection};
use crate::waiters::first;

/// After the store failed it is asked again this often.
const RETRY: Duration = Duration::from_millis(200);

/// However well things are, it is looked at so often: its time may come, clocks may step, and the feed
/// may break.
const LOOK: Duration = Duration::from_secs(1);

impl Standing for Shared {
    fn ended(self: Arc<Self>, caller: Principal) -> BoxFuture<Refusal> {
        Box::pin(async move {
            let id = *caller.key_id();
            let mut stood = Now::of(&*self.clock);
            loop {
                let seen = self.changes.generation(&id);
                let look_again = match self.look(&caller).await {
                    Ok(look) => {
                        stood = look.as_of;
                        look.again_after
                    }
                    Err(Refusal::Failed(error)) => {
                        if !Now::of(&*self.clock).is_within(self.changes.bound(), stood) {
                            return error.into();
                        }
                        RETRY
                    }
                    Err(rejected) => return rejected,
                };
                let changed = pin!(self.changes.changed_since(&id, seen));
                first(changed, Delay::new(look_again)).await;
            }
        })
    }
}

/// A look that found the caller standing.
struct Look {
    as_of: Now,
    again_after: Duration,
}

impl Shared {
    async fn look(self: &Arc<Self>, caller: &Principal) -> Result<Look, Refusal> {
        let (id, now) = (caller.key_id(), Now::of(&*self.clock));
        let cached = |entry: &Entry| {
            let is_fresh = self.changes.is_fresh(id, &entry.stamp, now);
            is_fresh.then(|| Lookup::Known(entry.clone()))
        };
        let lookup = match self.known.read(id, cached).flatten() {
            Some(lookup) => lookup,
            None => self.join_look_up(*id, None).await?,
        };
        let (stamp, now) = (lookup.stamp(), Now::of(&*self.clock));
        if !self.changes.is_fresh(id, &stamp, now) {
            return Err(timeout(*id).into());
        }
        let is_callers = |entry: &&Entry| entry.identity.environment == *caller.environment();
        let entry = lookup.entry().filter(is_callers);
        let entry = entry.ok_or(Rejection::KeyInvalid)?;
        let is_presented = |proof: &&Proof| proof.created_at == caller.secret().created_at;
        let ended = Rejection::KeyExpired;
        let proof = entry.proofs.iter().find(is_presented).ok_or(ended)?;
        entry.opens(proof, caller.client_address(), now)?;
        Ok(Look {
            as_of: self.changes.as_of(&stamp),
            again_after: match self.changes.is_feed_live() {
                true => LOOK,
                false => now.until(FRESH_FOR, stamp.read_at),
            },
        })
    }
}
