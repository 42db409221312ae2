use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// Why a store did not do what it was asked.
///
/// [`kind`](Self::kind) decides what happens next; the cause, for the log, is its `source`.
#[derive(Clone)]
pub struct StoreError {
    kind: StoreErrorKind,
    cause: Option<Arc<dyn StdError + Send + Sync>>,
}

/// What a [`StoreError`] means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// What is stored cannot be read as a record.
    Corrupt,
    /// The change may or may not have happened.
    OutcomeUnknown,
    /// The record is not as it was expected to be. Nothing happened.
    Stale,
    /// The id exists already. Nothing happened.
    Taken,
    /// The store did not answer or could not act. Nothing happened.
    Unavailable,
}

impl StoreError {
    /// An error of this kind, caused by `cause`. The cause is shown in logs: no secret belongs there.
    pub fn new(kind: StoreErrorKind, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self {
            kind,
            cause: Some(cause.into().into()),
        }
    }

    /// What it means.
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }
}

/// An error whose kind says everything.
impl From<StoreErrorKind> for StoreError {
    fn from(kind: StoreErrorKind) -> Self {
        Self { kind, cause: None }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            StoreErrorKind::Corrupt => "the key store holds data that cannot be read as a record",
            StoreErrorKind::OutcomeUnknown => {
                "the key store did not say whether the change happened"
            }
            StoreErrorKind::Stale => "the record was changed by somebody else",
            StoreErrorKind::Taken => "a record with this id exists already",
            StoreErrorKind::Unavailable => "the key store is unavailable",
        })
    }
}

impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreError")
            .field("kind", &self.kind)
            .field("cause", &self.cause)
            .finish()
    }
}

impl StdError for StoreError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}
