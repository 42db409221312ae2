use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::{Claim, PepperRing, Proof, Proofs};
use crate::clock::Timestamp;
use crate::key::{KeyId, RandomError, Secret};
use crate::waiters::Waiters;

/// The ring in use, which can be replaced while requests run.
///
/// What is cached of a record holds the ring that it is checked with, so that a hit does not come here.
pub(crate) struct Peppers {
    ring: RwLock<Arc<Ring>>,
    /// Whether a record was met since that the ring cannot check.
    has_missed: AtomicBool,
    waiters: Waiters,
}

impl Peppers {
    pub(crate) fn new(peppers: PepperRing) -> Result<Self, RandomError> {
        let ring = Ring::new(peppers)?;
        Ok(Self {
            ring: RwLock::new(Arc::new(ring)),
            has_missed: AtomicBool::new(false),
            waiters: Waiters::default(),
        })
    }

    pub(crate) fn current(&self) -> Arc<Ring> {
        let ring = self.ring.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&ring)
    }

    /// From now on records are checked with `peppers`. What was cached before must be used no more.
    pub(crate) fn replace(&self, peppers: PepperRing) -> Result<(), RandomError> {
        let ring = Arc::new(Ring::new(peppers)?);
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = ring;
        Ok(())
    }

    /// A record was met whose pepper is not in the ring.
    pub(crate) fn miss(&self) {
        if !self.has_missed.swap(true, Ordering::SeqCst) {
            self.waiters.wake_all();
        }
    }

    /// Returns once a pepper was missed since this returned last.
    pub(crate) async fn missed(&self) {
        let has_missed = || self.has_missed.swap(false, Ordering::SeqCst);
        self.waiters.until(has_missed).await;
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

    /// As much work as to find a key that exists.
    pub(crate) fn find_nothing(&self, key: &Claim<'_>, now: Timestamp) {
        self.peppers.find(key, &self.decoy, now);
    }
}
