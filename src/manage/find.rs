use super::ceiling::Ceiling;
use super::{KeyManager, ManageError, sees};
use crate::clock::Timestamp;
use crate::mac::Claim;
use crate::mac::Match;
use crate::record::{KeyInfo, KeyRecord};

/// The key that a presented text belongs to.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Found {
    /// The key, whatever its status.
    pub info: KeyInfo,
    /// Which of its secrets the text holds.
    pub secret: FoundSecret,
}

/// Which secret of a key a text holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum FoundSecret {
    /// The newest.
    Current,
    /// The one before it.
    Previous,
}

/// A key whose secret was presented.
pub(super) struct Holder {
    pub(super) record: KeyRecord,
    pub(super) which: FoundSecret,
    /// When that secret was made, which tells the secrets of a key apart.
    pub(super) secret: Timestamp,
}

impl KeyManager {
    /// The key that `text` is a key text of: also an expired, disabled or revoked one, but for a revoked one
    /// whose pepper is gone.
    ///
    /// Only the right secret finds a key. An id alone, which is public, must not accuse anyone.
    ///
    /// # Errors
    /// [`ManageError::Invalid`] for what is no key text, [`ManageError::UnknownPepper`],
    /// [`ManageError::Store`].
    pub async fn find(&self, text: &str) -> Result<Option<Found>, ManageError> {
        let key = self.shared.environments.read(text)?;
        let ceiling = self.ceiling().await?;
        let holder = self.holder_of(&key, ceiling.as_ref()).await?;
        Ok(holder.map(|holder| Found {
            info: self.info(&holder.record),
            secret: holder.which,
        }))
    }

    /// The key whose secret is presented, if that one can be seen.
    pub(super) async fn holder_of(
        &self,
        key: &Claim<'_>,
        ceiling: Option<&Ceiling>,
    ) -> Result<Option<Holder>, ManageError> {
        let record = self.stored(key.id()).await?;
        let environments = &self.shared.environments;
        let is_its = |record: &KeyRecord| {
            sees(ceiling, record) && record.prefix.as_str() == environments.prefix_of(key)
        };
        let Some(record) = record.filter(is_its) else {
            return Ok(None);
        };
        let ring = self.shared.peppers.current();
        let (which, secret) = match ring.peppers().find(key, &record.proofs(), self.now()) {
            Match::Current(fit) => (FoundSecret::Current, fit.proof.created_at),
            Match::Previous(fit) => (FoundSecret::Previous, fit.proof.created_at),
            Match::None => return Ok(None),
            // Its pepper may be gone for good, and it opens for nobody.
            Match::UnknownPepper(_) if record.revocation.is_some() => return Ok(None),
            Match::UnknownPepper(pepper) => return Err(ManageError::UnknownPepper(pepper)),
        };
        Ok(Some(Holder {
            record,
            which,
            secret,
        }))
    }
}
