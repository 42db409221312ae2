//! Decisions that have to wait: for the store, or for what counts limits for all instances.

use std::net::IpAddr;
use std::sync::Arc;

use super::attempt::{Attempt, Verified};
use super::decide::bill;
use super::entry::Entry;
use super::lookup::Lookup;
use super::refused::Refused;
use super::{Decision, Shared, timeout};
use crate::clock::Now;
use crate::environment::Presented;
use crate::key::KeyId;
use crate::limit::LimitState;
use crate::refusal::{Refusal, Rejection};

/// A lookup that is too old for what it would decide is made once more, and no oftener.
const LOOKUPS: usize = 2;

/// How limits stand after a request has paid, and its record has to be read again all the same: it does not
/// pay twice.
pub(super) type Paid = Option<Vec<LimitState>>;

impl Shared {
    pub(super) async fn decide_uncached(self: &Arc<Self>, attempt: Attempt<'_>) -> Decision {
        let presented = self.admit(attempt.text)?;
        if let Some(decision) = self.admit_during_outage(&presented, attempt).await {
            return decision;
        }
        let id = *presented.key.id();
        let mut paid = None;
        // Where the limits of keys are counted elsewhere, the record may be here all the same.
        if self.gate.limiter.is_shared()
            && let Some(lookup) = self.cached(&id)
            && let Ok(decision) = self.judge(&presented, &lookup, attempt, &mut paid).await
        {
            return decision;
        }
        let mut last = Refused::from(timeout(id));
        for _ in 0..LOOKUPS {
            self.admit_stranger(&id, attempt)?;
            let lookup = self.look_up(id, attempt.address);
            let lookup = match self.gate.events.outcomes().of_lookup(lookup).await {
                Ok(lookup) => lookup,
                Err(Refusal::Rejected(rejection)) => return Err(rejection.into()),
                Err(Refusal::Failed(error)) => {
                    let admitted = self.admit_despite(&error, &presented, attempt, &mut paid);
                    return admitted.await.unwrap_or(Err(error.into()));
                }
            };
            match self.judge(&presented, &lookup, attempt, &mut paid).await {
                Ok(decision) => {
                    self.outage.end();
                    return decision;
                }
                Err(refused) => last = refused,
            }
        }
        Err(last)
    }

    /// The decision by what the store has said; or, as an error, a refusal that it is too old for.
    async fn judge(
        &self,
        presented: &Presented<'_>,
        lookup: &Lookup,
        attempt: Attempt<'_>,
        paid: &mut Paid,
    ) -> Result<Decision, Refused> {
        let (id, entry) = (presented.key.id(), lookup.entry());
        let (stamp, now) = (lookup.stamp(), Now::of(&*self.clock));
        let is_fresh = |now| self.changes.is_fresh(id, &stamp, now);
        if !is_fresh(now) {
            return Err(timeout(*id).into());
        }
        let stands = |refused: &Refused| self.stands(&refused.refusal, &stamp, now);
        let decision = match self.decide(presented, entry, attempt, now) {
            Err(refused) if !stands(&refused) => return Err(refused),
            decision => {
                self.settle(decision, entry, attempt, paid, is_fresh)
                    .await?
            }
        };
        match decision {
            Err(refused) if !stands(&refused) => Err(refused),
            decision => Ok(decision),
        }
    }

    /// Takes what a request costs, wherever limits are counted, unless it has paid, and lets in who passed.
    /// As an error, that the record may not be used any more by then.
    pub(super) async fn settle(
        &self,
        decision: Result<Verified<'_>, Refused>,
        entry: Option<&Entry>,
        attempt: Attempt<'_>,
        paid: &mut Paid,
        is_usable: impl Fn(Now) -> bool,
    ) -> Result<Decision, Refused> {
        let limits = match bill(&decision, entry, attempt) {
            Some((entry, bill)) => match paid.take() {
                Some(limits) => Some(limits),
                None => match self.gate.limiter.take(bill).await {
                    Ok(limits) => Some(limits),
                    Err(refusal) => return Ok(Err(Refused::of(entry, refusal))),
                },
            },
            None => None,
        };
        let caller = match decision {
            Ok(caller) => caller,
            Err(refused) => return Ok(Err(refused)),
        };
        let now = Now::of(&*self.clock);
        if !is_usable(now) {
            *paid = limits;
            return Err(timeout(*caller.key_id()).into());
        }
        self.accept(&caller, attempt, now);
        Ok(Ok((caller.to_principal(), limits.unwrap_or_default())))
    }

    /// What the cache has of `id`, if that may still be used.
    pub(super) fn cached(&self, id: &KeyId) -> Option<Lookup> {
        let now = Now::of(&*self.clock);
        let fresh = |entry: &Entry| self.changes.is_fresh(id, &entry.stamp, now);
        let known = |entry: &Entry| fresh(entry).then(|| Lookup::Known(entry.clone()));
        self.known.read(id, known).flatten()
    }

    /// Refuses a key that was not seen before, where too much that is no key came from.
    pub(super) fn admit_stranger(&self, id: &KeyId, attempt: Attempt<'_>) -> Result<(), Rejection> {
        match attempt.address {
            Some(address) if self.known.read(id, |_| ()).is_none() => self.admit_failing(address),
            _ => Ok(()),
        }
    }

    /// Refuses what comes from where too much came from that is no key.
    pub(super) fn admit_failing(&self, address: IpAddr) -> Result<(), Rejection> {
        let failures = self.failures.as_ref();
        match failures.and_then(|failures| failures.wait(address, Now::of(&*self.clock))) {
            Some(retry_after) => Err(Rejection::TooManyFailures { retry_after }),
            None => Ok(()),
        }
    }
}
