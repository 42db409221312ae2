use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use super::{Claim, Match, PepperRing, Proof, Proofs};
use crate::clock::Timestamp;
use crate::key::{KeyId, RandomError, Secret};

/// The ring in use, which can be replaced while requests run.
///
/// What is cached of a record holds the ring that it is checked with, so that a hit does not come here.
pub(crate) struct Peppers {
    ring: RwLock<Arc<Ring>>,
}

impl Peppers {
    pub(crate) fn new(peppers: PepperRing) -> Result<Self, RandomError> {
        let ring = Ring::new(peppers)?;
        Ok(Self {
            ring: RwLock::new(Arc::new(ring)),
        })
    }

    pub(crate) fn current(&self) -> Arc<Ring> {
        let ring = self.ring.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&ring)
    }
}

impl fmt::Debug for Peppers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.current().peppers.fmt(f)
    }
}

/// Peppers, with what stands in for the proofs of keys that do not exist.
pub(crate) struct Ring {
    peppers: PepperRing,
    decoy: Proofs,
}

impl Ring {
    /// The secret of the decoy is gone when this returns: nobody holds it.
    fn new(peppers: PepperRing) -> Result<Self, RandomError> {
        let current = Proof {
            sealed: peppers.mac(&KeyId::generate()?, Secret::generate()?.as_bytes()),
            created_at: Timestamp::MIN,
            ends_at: Timestamp::MAX,
        };
        let decoy = Proofs {
            current,
            previous: None,
        };
        Ok(Self { peppers, decoy })
    }

    pub(crate) fn peppers(&self) -> &PepperRing {
        &self.peppers
    }

    /// Which of `proofs` the presented key fits.
    pub(crate) fn find<'a>(
        &self,
        key: &Claim<'_>,
        proofs: &'a Proofs,
        now: Timestamp,
    ) -> Match<'a> {
        self.peppers.find(key, proofs, now)
    }

    /// As much work as to find a key that exists.
    pub(crate) fn find_nothing(&self, key: &Claim<'_>, now: Timestamp) {
        self.peppers.find(key, &self.decoy, now);
    }
}
