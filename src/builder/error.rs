use std::time::Duration;

use crate::address::ClientAddressError;
use crate::credentials::CredentialsError;
use crate::foreign::ForeignFormatError;
use crate::key::{PrefixError, RandomError};
use crate::mac::PepperId;
use crate::manage::FormatCheckError;
use crate::peppers::{PepperCheckError, PeppersError};
use crate::record::RateLimitError;
use crate::store::StoreError;

/// Why a gate cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// This instance would honour a revocation later than those who revoke are told.
    #[error(
        "with this outage_grace a revocation is honoured within {}, and all instances on this store promise {}: lower it, or raise the promise by KeyManager::set_revocation_bound on an instance that runs",
        humantime::format_duration(*own),
        humantime::format_duration(*kept)
    )]
    BeyondRevocationBound {
        /// Within which time this instance would honour it.
        own: Duration,
        /// What is promised for all of them.
        kept: Duration,
    },
    /// The page for callers cannot stand in a URI.
    #[error(
        "{0:?} is not where a page can stand: give a URL without a fragment, or a path like /docs/keys"
    )]
    CallersPageUrl(String),
    /// The proxies cannot be trusted as they were given.
    #[error(transparent)]
    ClientAddress(#[from] ClientAddressError),
    /// Keys are accepted nowhere, or where they cannot be.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The limit of failed attempts cannot be enforced.
    #[error("failed_attempts cannot be limited so: {0}")]
    FailedAttempts(#[source] RateLimitError),
    /// The notifier of keys that end contradicts itself.
    #[error("the expiry notifier contradicts itself: {0}")]
    ExpiryNotifier(&'static str),
    /// Keys that end are to be looked for on a store that cannot tell other instances of it.
    #[error(
        "expiry_notifier, and a policy with max_secret_age, need a store with settings, so that one instance at a time looks for keys that end: leave them out, or add the ability"
    )]
    ExpiryUnshared,
    /// Keys of another system cannot be accepted as they were declared.
    #[error(transparent)]
    ForeignFormat(#[from] ForeignFormatError),
    /// Keys of another system were imported, and would not open as it is declared now.
    #[error(
        "keys of the foreign format {0:?} were imported under another hashing, hash key or environment, and would not open: declare it as it was"
    )]
    ForeignFormatChanged(String),
    /// An outage grace was set on a store that cannot tell other instances of it.
    #[error(
        "outage_grace needs a store with settings, so that every instance knows how long a revocation may take: leave it out, or add the ability"
    )]
    GraceUntold,
    /// Too few lookups were allowed.
    #[error("max_lookups must be at least 2: half of them are kept for keys that were seen before")]
    TooFewLookups,
    /// What happens to requests would be forgotten at once.
    #[error("audit_retention must be longer than zero: months are good")]
    NoAuditRetention,
    /// Keys of another system were imported, and would be told that they are not valid.
    #[error(
        "keys of the foreign format {0:?} were imported, and it is not accepted: declare it by accept_foreign, or build a manager alone and retire it by retire_foreign_format"
    )]
    MissingForeignFormat(String),
    /// Keys may need a pepper that is not there, and would be answered 503.
    #[error(
        "pepper {0} is missing, and keys may have been made with it: add it as verify-only, or build a manager alone and retire it by retire_pepper"
    )]
    MissingPepper(PepperId),
    /// Peppers would be read without a pause.
    #[error("pepper_reload_interval must be longer than zero: a minute is good")]
    NoPepperReloadInterval,
    /// No pepper was given.
    #[error(
        "no pepper was given: call pepper(Pepper::from_file(..)?), and keep that file apart from the database"
    )]
    NoPepper,
    /// Usage would be handed on without a pause.
    #[error("usage_interval must be longer than zero: seconds are good")]
    NoUsageInterval,
    /// No lookup would ever be made.
    #[error("max_store_reads must be at least 1")]
    NoStoreReads,
    /// No store was given.
    #[error("no store was given: call store(..)")]
    NoStore,
    /// There are no peppers where they should come from.
    #[error("the peppers cannot be had")]
    Peppers(#[source] PeppersError),
    /// The lifetimes contradict each other.
    #[error("the policy contradicts itself: {0}")]
    Policy(&'static str),
    /// A prefix cannot begin a key.
    #[error(transparent)]
    Prefix(#[from] PrefixError),
    /// A prefix was declared twice.
    #[error("the prefix {0} is declared twice")]
    PrefixTwice(String),
    /// The operating system gave no random bytes.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The realm cannot be quoted.
    #[error("{0:?} is not a realm: use printable ASCII without double quotes and backslashes")]
    Realm(String),
    /// The active pepper was retired: other instances may not have it any more.
    #[error(
        "pepper {0} is active and was retired, so others may not have it any more: make another one active, with an id of its own"
    )]
    RetiredPepper(PepperId),
    /// The store failed.
    #[error("the key store cannot be used")]
    Store(#[source] StoreError),
    /// No gate was ever built on the store, and this one was not to be the first.
    #[error("nothing was ever kept in this store: name the one that the service uses")]
    StoreNotInUse,
    /// The pepper is not the one under whose id the store's keys were made.
    #[error(
        "pepper {0} is not the one that the keys in this store were made with: find the right one, or give the new one a new id and keep the old one as verify-only"
    )]
    WrongPepper(PepperId),
}

impl From<PepperCheckError> for BuildError {
    fn from(error: PepperCheckError) -> Self {
        match error {
            PepperCheckError::Missing(id) => Self::MissingPepper(id),
            PepperCheckError::Retired(id) => Self::RetiredPepper(id),
            PepperCheckError::Store(error) => Self::Store(error),
            PepperCheckError::Wrong(id) => Self::WrongPepper(id),
        }
    }
}

impl From<FormatCheckError> for BuildError {
    fn from(error: FormatCheckError) -> Self {
        match error {
            FormatCheckError::Changed(name) => Self::ForeignFormatChanged(name),
            FormatCheckError::Missing(name) => Self::MissingForeignFormat(name),
            FormatCheckError::Store(error) => Self::Store(error),
        }
    }
}
