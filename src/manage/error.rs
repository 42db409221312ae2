use crate::clock::Timestamp;
use crate::foreign::StoredHashError;
use crate::key::{KeyId, ParseKeyError, RandomError};
use crate::mac::PepperId;
use crate::manage::activity::Unproved;
use crate::manage::ceiling::Excess;
use crate::record::TextError;
use crate::scope::{GrantError, ScopeError, UndeclaredScope};
use crate::store::{StoreError, StoreErrorKind};

/// Why a key was not issued, changed or ended. Except for a store's
/// [`OutcomeUnknown`](StoreErrorKind::OutcomeUnknown), nothing happened.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ManageError {
    /// The caller on whose behalf it was asked cannot do so much.
    #[error("this goes beyond what the caller may do: {}", list(.0))]
    BeyondCeiling(Vec<Excess>),
    /// The key of the caller on whose behalf it was asked, or the secret that it presented, was
    /// revoked, disabled or has ended since.
    #[error("the key of the caller has ended since it was accepted")]
    CallerEnded,
    /// The key is not in a state in which this can be done.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// A value that cannot be taken, with what it must be.
    #[error("{0}")]
    Invalid(String),
    /// The store does not keep what was done.
    #[error("the store keeps no audit log: give it the ability, or use a store that has it")]
    NoAuditLog,
    /// The store does not keep how keys are used.
    #[error("the store keeps no usage: give it the ability, or use a store that has it")]
    NoUsage,
    /// There is no such key, or it is out of the caller's sight.
    #[error("there is no key {0}")]
    NotFound(KeyId),
    /// There is no such owner, or it is out of the caller's sight.
    #[error("there is no owner {0:?}")]
    OwnerNotFound(String),
    /// Keys need the pepper that was to be retired, or may need it.
    #[error("pepper {pepper} is still needed: {}", needing(*keys, owners, *unreadable))]
    PepperInUse {
        /// The pepper.
        pepper: PepperId,
        /// How many keys need it.
        keys: usize,
        /// Whose they are.
        owners: Vec<String>,
        /// How many records cannot be read, and may need it.
        unreadable: usize,
    },
    /// The operating system gave no random bytes.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// A text is not a scope, or not one that can be granted.
    #[error(transparent)]
    Scope(#[from] ScopeError),
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
    /// A name, an owner, a reason or metadata cannot be taken.
    #[error(transparent)]
    Text(#[from] TextError),
    /// A scope is not one of the service's [catalogue](crate::Catalogue).
    #[error(transparent)]
    UndeclaredScope(#[from] UndeclaredScope),
    /// The record was made with a pepper that this process does not have.
    #[error(
        "the key was made under pepper {0}, which is not in the pepper ring: add it as verify-only"
    )]
    UnknownPepper(PepperId),
}

/// A state of the key, or another change at the same time, that stands against an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Conflict {
    /// Others changed the key again and again.
    #[error("the key is being changed by others: try again")]
    Busy,
    /// The key is not the one that was read any more.
    #[error("the key was changed by others since it was read: read it again")]
    ChangedMeanwhile,
    /// An ended key stays ended.
    #[error("the key has expired: issue another")]
    Expired,
    /// One text acts for one owner.
    #[error("the key was imported before, for another owner")]
    ImportedForAnother,
    /// What was never used cannot be narrowed to what was used.
    #[error(
        "the key was not used in that time, so there is nothing to narrow it to: revoke or disable it instead"
    )]
    NotUsed,
    /// Only during a rotation is there a newer secret to supersede.
    #[error("no rotation is under way: rotate the key instead")]
    NotRotating,
    /// A revoked key stays revoked.
    #[error("the key is revoked: issue another")]
    Revoked,
    /// Another rotation was first, and its text is the one that counts.
    #[error("the key was rotated by another request at the same time")]
    RotatedMeanwhile,
    /// Two secrets are live.
    #[error("two secrets of the key are live until {}: wait, finish the rotation, or supersede the newer secret", .until.map_or_else(|| "the key's end".into(), |end| end.to_string()))]
    Rotating {
        /// When the older of them ends.
        until: Option<Timestamp>,
    },
    /// It was not watched for long enough to say what was not used.
    #[error(transparent)]
    Unproved(#[from] Unproved),
    /// Somebody set the version by hand to the largest there is.
    #[error(
        "the version of the key's record was set by hand to the largest there is and cannot rise: issue another key"
    )]
    VersionsUsedUp,
}

impl Conflict {
    /// Stands against a change of the key at `version`, if another one was read.
    pub(super) fn unless_read(read: Option<u64>, version: u64) -> Result<(), Self> {
        match read {
            Some(read) if read != version => Err(Self::ChangedMeanwhile),
            _ => Ok(()),
        }
    }
}

impl From<StoreError> for ManageError {
    fn from(error: StoreError) -> Self {
        match error.kind() {
            StoreErrorKind::Stale => Conflict::Busy.into(),
            _ => Self::Store(error),
        }
    }
}

impl From<ParseKeyError> for ManageError {
    fn from(error: ParseKeyError) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<StoredHashError> for ManageError {
    fn from(error: StoredHashError) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<GrantError> for ManageError {
    fn from(error: GrantError) -> Self {
        match error {
            GrantError::Scope(error) => Self::Scope(error),
            GrantError::Undeclared(error) => Self::UndeclaredScope(error),
        }
    }
}

fn needing(keys: usize, owners: &[String], unreadable: usize) -> String {
    const NAMED: usize = 10;
    let named: Vec<&str> = owners.iter().take(NAMED).map(String::as_str).collect();
    let mut parts = Vec::new();
    if keys > 0 {
        let more = match owners.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let owners = named.join(", ");
        let (keys, have) = match keys {
            1 => ("1 key".to_owned(), "has"),
            keys => (format!("{keys} keys"), "have"),
        };
        parts.push(format!(
            "{keys} of {owners}{more} {have} to be used, rotated or revoked first"
        ));
    }
    if unreadable > 0 {
        parts.push(format!(
            "{unreadable} records cannot be read and may need it: mend or remove them"
        ));
    }
    parts.join("; ")
}

fn list(excesses: &[Excess]) -> String {
    let parts: Vec<String> = excesses.iter().map(Excess::to_string).collect();
    parts.join("; ")
}
