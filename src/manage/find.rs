use super::{KeyManager, ManageError, sees};
use crate::mac::Match;
use crate::record::KeyInfo;

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

impl KeyManager {
    /// The key that `text` is a key text of: also an expired, disabled or revoked one.
    ///
    /// Only the right secret finds a key. An id alone, which is public, must not accuse anyone.
    ///
    /// # Errors
    /// [`ManageError::Invalid`] for what is no key text, [`ManageError::UnknownPepper`],
    /// [`ManageError::Store`].
    pub async fn find(&self, text: &str) -> Result<Option<Found>, ManageError> {
        let environments = &self.shared.environments;
        let key = environments.read(text)?;
        let ceiling = self.ceiling().await?;
        let record = self.stored(key.id()).await?;
        let Some(record) = record.filter(|record| {
            sees(ceiling.as_ref(), record) && record.prefix.as_str() == environments.prefix_of(&key)
        }) else {
            return Ok(None);
        };
        let ring = self.shared.peppers.current();
        let secret = match ring.find(&key, &record.proofs(), self.now()) {
            Match::Current(_) => FoundSecret::Current,
            Match::Previous(_) => FoundSecret::Previous,
            Match::None => return Ok(None),
            Match::UnknownPepper(pepper) => return Err(ManageError::UnknownPepper(pepper)),
        };
        Ok(Some(Found {
            info: self.info(&record),
            secret,
        }))
    }
}
