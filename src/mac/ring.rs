use std::fmt;

use hmac::{Hmac, KeyInit, Mac as _};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

use super::{Claim, Mac, Pepper, PepperError, PepperId, PepperedMac, Proof, Proofs};
use crate::clock::Timestamp;
use crate::foreign::ImportedKey;
use crate::key::{KeyId, SECRET_LEN};

/// One active pepper, which makes new MACs, and any number of others that only verify.
///
/// Bring a new pepper to every node as verify-only before any node makes it active, and give it a
/// higher id than all before: the MACs of keys are made anew, as they are used, from a lower id to a
/// higher one and never back.
///
/// ```
/// use keygate::{Pepper, PepperId, PepperRing};
/// # let (old, new) = (Pepper::from_base64(&Pepper::generate_base64()?)?, Pepper::from_base64(&Pepper::generate_base64()?)?);
/// let ring = PepperRing::new(PepperId(2), new).verify_only(PepperId(1), old)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct PepperRing {
    /// The active pepper stands first.
    peppers: Vec<Keyed>,
}

impl PepperRing {
    /// A ring whose active pepper is `pepper`, known to the store as `id`.
    pub fn new(id: PepperId, pepper: Pepper) -> Self {
        Self {
            peppers: vec![Keyed::new(id, &pepper)],
        }
    }

    /// Adds a pepper that verifies keys and makes no new MAC.
    ///
    /// # Errors
    /// When the ring already has a pepper under `id`.
    pub fn verify_only(mut self, id: PepperId, pepper: Pepper) -> Result<Self, PepperError> {
        if self.peppers.iter().any(|keyed| keyed.id == id) {
            return Err(PepperError::DuplicateId(id));
        }
        self.peppers.push(Keyed::new(id, &pepper));
        Ok(self)
    }

    /// The MAC of a new secret under the active pepper.
    pub(crate) fn mac(&self, id: &KeyId, secret: &[u8; SECRET_LEN]) -> PepperedMac {
        self.active().seal(&[id.as_bytes(), secret])
    }

    /// The MAC of a key that was made elsewhere, under the active pepper, until its text is seen.
    pub(crate) fn mac_of_imported(&self, key: &ImportedKey<'_>) -> PepperedMac {
        self.active().seal(&key.mac_input())
    }

    /// Which of `proofs` the presented key fits.
    ///
    /// The same MACs for each pepper, and every proof compared, whatever fits: the time tells nothing.
    pub(crate) fn find<'a>(
        &self,
        key: &Claim<'_>,
        proofs: &'a Proofs,
        now: Timestamp,
    ) -> Match<'a> {
        match key {
            Claim::Own(key) => {
                let input = [key.id().as_bytes().as_slice(), key.secret()];
                self.find_by(|pepper| (pepper.seal(&input), []), proofs, now)
            }
            Claim::Foreign(text) => {
                let (own, imported) = (text.mac_input(), text.as_imported().mac_input());
                let seals = |pepper: &Keyed| (pepper.seal(&own), [pepper.seal(&imported)]);
                self.find_by(seals, proofs, now)
            }
        }
    }

    /// As [`find`](Self::find). `seals` are what may be kept of the presented key under a pepper: what is to
    /// be, and of a key that was made elsewhere what was kept before its text was seen.
    #[inline]
    fn find_by<'a, const N: usize>(
        &self,
        seals: impl Fn(&Keyed) -> (PepperedMac, [PepperedMac; N]),
        proofs: &'a Proofs,
        now: Timestamp,
    ) -> Match<'a> {
        let active = seals(self.active());
        let others = self.peppers.iter().skip(1).map(&seals);
        let mut current = Choice::from(0);
        let mut previous = Choice::from(0);
        for (own, imported) in std::iter::once(active).chain(others) {
            for sealed in std::iter::once(own).chain(imported) {
                current |= proofs.current.sealed.ct_eq(&sealed);
                if let Some(proof) = &proofs.previous {
                    previous |= proof.sealed.ct_eq(&sealed);
                }
            }
        }
        let (own, imported) = active;
        if current.into() {
            return Match::Current(Fit::new(&proofs.current, own, &imported));
        }
        if let Some(proof) = proofs.previous.as_deref().filter(|_| previous.into()) {
            return Match::Previous(Fit::new(proof, own, &imported));
        }
        let uncheckable =
            |proof: &&Proof| !proof.has_ended(now) && !self.knows(proof.sealed.pepper);
        match proofs.iter().find(uncheckable) {
            Some(proof) => Match::UnknownPepper(proof.sealed.pepper),
            None => Match::None,
        }
    }

    /// What the store keeps of each pepper, so that a wrong one under a known id is noticed.
    pub(crate) fn checks(&self) -> impl Iterator<Item = PepperCheck> {
        self.peppers.iter().map(|pepper| PepperCheck {
            id: pepper.id,
            value: pepper.check,
        })
    }

    /// The pepper that makes new MACs.
    pub fn active_id(&self) -> PepperId {
        self.active().id
    }

    /// All peppers of the ring, the active one first.
    pub fn ids(&self) -> impl Iterator<Item = PepperId> {
        self.peppers.iter().map(|pepper| pepper.id)
    }

    pub(crate) fn knows(&self, id: PepperId) -> bool {
        self.peppers.iter().any(|pepper| pepper.id == id)
    }

    /// Whether both have the same peppers under the same ids in the same order.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let is_same =
            |(a, b): (&Keyed, &Keyed)| a.id == b.id && bool::from(a.check.ct_eq(&b.check));
        self.peppers.len() == other.peppers.len()
            && self.peppers.iter().zip(&other.peppers).all(is_same)
    }

    fn active(&self) -> &Keyed {
        &self.peppers[0]
    }
}

impl fmt::Debug for PepperRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

/// The outcome of holding a presented key against what is kept of it.
#[derive(Debug)]
pub(crate) enum Match<'a> {
    Current(Fit<'a>),
    Previous(Fit<'a>),
    /// Nothing fits, and all that is live could be checked.
    None,
    /// Nothing fits, and this ring cannot check something live: nothing is proved either way.
    UnknownPepper(PepperId),
}

/// The proof that a presented key fits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fit<'a> {
    pub(crate) proof: &'a Proof,
    /// What is to be kept in place of the proof's MAC, where that is of an older pepper, or of a key that
    /// was made elsewhere, from before its text was seen.
    ///
    /// Only from a lower id to a higher one: while an active pepper is being rolled out, two instances
    /// would else renew each other's MACs back and forth.
    pub(crate) renewed: Option<PepperedMac>,
}

impl<'a> Fit<'a> {
    fn new(proof: &'a Proof, own: PepperedMac, imported: &[PepperedMac]) -> Self {
        let is_older = proof.sealed.pepper < own.pepper;
        let is_imported = imported.contains(&proof.sealed);
        Self {
            proof,
            renewed: (is_older || is_imported).then_some(own),
        }
    }
}

pub(crate) struct PepperCheck {
    pub(crate) id: PepperId,
    pub(crate) value: [u8; 32],
}

struct Keyed {
    id: PepperId,
    state: Hmac<Sha256>,
    check: [u8; 32],
}

impl Keyed {
    /// No key id begins with a hyphen, so this is the MAC of no key.
    const CHECK_INPUT: &'static [u8] = b"-keygate pepper check 1";

    fn new(id: PepperId, pepper: &Pepper) -> Self {
        let state = keyed_state(pepper.as_bytes());
        let check = state.clone().chain_update(Self::CHECK_INPUT).finalize();
        Self {
            id,
            check: check.into_bytes().into(),
            state,
        }
    }

    fn seal(&self, input: &[&[u8]]) -> PepperedMac {
        let mut mac = self.state.clone();
        for piece in input {
            mac.update(piece);
        }
        PepperedMac {
            mac: Mac::from_bytes(mac.finalize().into_bytes().into()),
            pepper: self.id,
        }
    }
}

/// HMAC takes a key of any length (RFC 2104, section 2), so the error cannot occur.
#[expect(clippy::expect_used, reason = "HMAC accepts keys of every length")]
fn keyed_state(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC accepts keys of every length")
}

#[cfg(test)]
mod tests;
