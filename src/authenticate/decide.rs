//! The decision on a presented key and its record. See [`Shared::decide`].

use std::net::IpAddr;

use super::Shared;
use super::attempt::{Attempt, Verified};
use super::entry::Entry;
use super::refused::Refused;
use crate::changes::{RECENT, Stamp};
use crate::clock::Now;
use crate::environment::Presented;
use crate::limit::Bill;
use crate::mac::{Fit, Match, Proof};
use crate::principal::Secret;
use crate::refusal::{Error, Refusal, Rejection};
use crate::renewal::Renewal;

impl Shared {
    /// Everything that is asked of a record but the limits, in this order.
    pub(super) fn decide<'e>(
        &self,
        presented: &Presented<'_>,
        entry: Option<&'e Entry>,
        attempt: Attempt<'_>,
        now: Now,
    ) -> Result<Verified<'e>, Refused> {
        let Some(entry) = self.entry_of(presented, entry, now) else {
            return Err(Rejection::KeyInvalid.into());
        };
        let identity = &entry.identity;
        let fit = self.fit(presented, entry, now)?;
        let proof = fit.proof;
        let opens = entry.opens(proof, attempt.address, now);
        opens.map_err(|refusal| Refused::of(entry, refusal))?;
        if let Some(renewed) = fit.renewed {
            let renewal = Renewal {
                key_id: identity.key_id,
                secret: proof.created_at,
                kept: proof.sealed,
                renewed,
            };
            self.renewals.queue(renewal, now);
        }
        if let Some(exposure) = self.gate.exposure.refused(attempt.exposures) {
            return Err(Refused::of(entry, Rejection::KeyExposed(exposure)));
        }
        if let Some(rule) = attempt.rule {
            let enforced = rule.enforce(&identity.scopes);
            let lacks = |missing| Refused::of(entry, Rejection::ScopeInsufficient(missing));
            enforced.map_err(lacks)?;
        }
        Ok(Verified {
            identity,
            secret: Secret {
                created_at: proof.created_at,
                ends_at: proof.end(),
            },
            address: attempt.address,
        })
    }

    /// The proof of a secret of `entry` that the presented key fits.
    pub(super) fn fit<'e>(
        &self,
        presented: &Presented<'_>,
        entry: &'e Entry,
        now: Now,
    ) -> Result<Fit<'e>, Refusal> {
        let peppers = entry.ring.peppers();
        match peppers.find(&presented.key, &entry.proofs, now.wall) {
            Match::Current(fit) | Match::Previous(fit) => Ok(fit),
            Match::None => Err(Rejection::KeyInvalid.into()),
            // Nothing of it is proved, and it opens for nobody.
            Match::UnknownPepper(_) if entry.revoked => Err(Rejection::KeyInvalid.into()),
            Match::UnknownPepper(pepper) => {
                self.peppers.miss();
                let key_id = entry.identity.key_id;
                Err(Error::UnknownPepper { key_id, pepper }.into())
            }
        }
    }

    /// Whether a refusal stands that was decided on a record as of `stamp`.
    ///
    /// A refusal stands on a recent record alone. Another process may just have made a new secret,
    /// enabled the key or widened its scopes, and nobody is to be told that a good key is bad. One
    /// that was exposed on its way is refused for how it came, and not for its record.
    pub(super) fn stands(&self, refusal: &Refusal, stamp: &Stamp, now: Now) -> bool {
        match refusal {
            Refusal::Failed(_) | Refusal::Rejected(Rejection::KeyExposed(_)) => true,
            Refusal::Rejected(_) => now.is_within(RECENT, stamp.read_at),
        }
    }
}

/// What a request takes of the limits of its key: nothing, unless the key may be used, and from where it
/// came. A caller that lacks a scope pays too.
pub(super) fn bill<'a>(
    decision: &Result<Verified<'_>, Refused>,
    entry: Option<&'a Entry>,
    attempt: Attempt<'_>,
) -> Option<(&'a Entry, Bill<'a>)> {
    match decision.as_ref().map_err(|refused| &refused.refusal) {
        Ok(_) | Err(Refusal::Rejected(Rejection::ScopeInsufficient(_))) => {}
        Err(_) => return None,
    }
    let entry = entry?;
    let identity = &entry.identity;
    let bill = Bill::of(&identity.key_id, identity.rate_limit(), attempt.charge)?;
    Some((entry, bill))
}

impl Entry {
    /// What is asked of a key after the MAC of one of its secrets, of which `proof` is kept, matched.
    pub(super) fn opens(
        &self,
        proof: &Proof,
        address: Option<IpAddr>,
        now: Now,
    ) -> Result<(), Refusal> {
        if self.disabled {
            return Err(Rejection::KeyDisabled.into());
        }
        if self.revoked {
            return Err(Rejection::KeyRevoked.into());
        }
        if proof.has_ended(now.wall) {
            return Err(Rejection::KeyExpired.into());
        }
        if let Some(restrictions) = &self.identity.restrictions {
            if !restrictions.allow(address) {
                return Err(Rejection::IpDenied.into());
            }
            if let Some(Err(source)) = restrictions.rate_limit.map(|limit| limit.check()) {
                let key_id = self.identity.key_id;
                return Err(Error::Unenforceable { key_id, source }.into());
            }
        }
        Ok(())
    }
}
