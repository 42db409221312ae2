#![cfg_attr(not(doctest), doc = include_str!("../README.md"))]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[cfg(feature = "actix-web")]
pub mod actix_web;
mod address;
pub mod answer;
pub mod audit;
mod authenticate;
#[cfg(feature = "axum")]
pub mod axum;
mod background;
mod bound;
mod builder;
mod callers_page;
mod changes;
mod clock;
mod commit;
#[cfg(feature = "conformance")]
pub mod conformance;
mod credentials;
#[cfg(any(feature = "conformance", feature = "testing"))]
mod dropping;
/// Long pages: how it is built and why, how it is run, what to do when something has happened, and when
/// keys are the right thing.
pub mod docs {
    #[doc = include_str!("docs/design.md")]
    pub mod design {}
    #[doc = include_str!("docs/keys_or_oauth.md")]
    pub mod keys_or_oauth {}
    #[doc = include_str!("docs/many_instances.md")]
    pub mod many_instances {}
    #[doc = include_str!("docs/operating.md")]
    pub mod operating {}
    #[doc = include_str!("docs/runbook.md")]
    pub mod runbook {}
}
mod environment;
mod expiry;
mod exposure;
mod foreign;
mod gate;
#[cfg(feature = "github")]
pub mod github;
#[cfg(any(feature = "tower", feature = "actix-web"))]
mod guard;
mod key;
mod keygate;
pub mod leak;
mod limit;
mod mac;
mod manage;
mod peppers;
mod principal;
mod record;
mod refusal;
mod renewal;
mod scope;
pub mod store;
mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "tonic")]
pub mod tonic;
#[cfg(feature = "tower")]
pub mod tower;
#[cfg(any(feature = "tower", feature = "actix-web"))]
mod url_leaks;
mod usage;
#[cfg(feature = "utoipa")]
pub mod utoipa;
mod waiters;

pub use address::{ClientAddress, ClientAddressError};
pub use authenticate::{Attempt, Authenticator, Verified};
pub use builder::{BuildError, Builder};
pub use callers_page::CallersPage;
pub use changes::ChangeFeedStatus;
pub use clock::{Clock, Day, SystemClock, Timestamp, TimestampError};
pub use credentials::{Credentials, CredentialsError};
pub use expiry::{Ends, ExpiryNotice, ExpiryNotifier, ExpirySweep};
pub use exposure::{Exposure, OnExposure};
pub use foreign::{
    Alphabet, ForeignFormat, ForeignFormatError, Hashing, StoredHash, StoredHashError,
};
#[cfg(any(feature = "tower", feature = "actix-web"))]
pub use guard::{Authorized, Guard};
pub use ipnet::IpNet;
pub use key::{
    KeyId, KeyText, ParseKeyError, ParseKeyIdError, Prefix, PrefixError, PresentedKey, RandomError,
};
pub use keygate::Keygate;
pub use limit::{Charge, Level, LimitState, OnOutage, Quota, SharedLimiter, Take};
#[cfg(feature = "redis")]
pub use limit::{RedisLimiter, RedisLimiterBuilder};
pub use mac::{Mac, Pepper, PepperError, PepperId, PepperRing};
pub use manage::{
    ActivityList, BearerRevocation, BearerRevocationError, Change, Conflict, Draft, Excess, Filter,
    Found, FoundSecret, Imported, Issued, KeyActivity, KeyList, KeyManager, LeakOutcome,
    LeakReport, ManageError, NewKey, OnLeak, OwnerRevocation, PepperKeys, PepperUse, Policy,
    Privileges, RevokeFailure, Revoked, Rotation, Safety, Unproved,
};
pub use peppers::{PepperFile, PepperProvider, PeppersError};
pub use principal::Principal;
pub use record::{
    KeyInfo, KeyRecord, KeyStatus, RateLimit, RateLimitError, RecordError, Revocation, SecretInfo,
    SecretSlot, Secrets, TextError,
};
pub use refusal::{Error, Refusal, Rejection};
pub use scope::{
    Bundle, Catalogue, DeclaredScope, IntoRule, MissingScopes, Requirement, Rule, Scope,
    ScopeError, ScopeSet, ScopeType, UndeclaredScope,
};
pub use store::{KeyStore, MemoryStore, StoreError, StoreErrorKind};
#[cfg(feature = "postgres")]
pub use store::{PostgresBuilder, PostgresOpenError, PostgresStore};
#[cfg(feature = "redis")]
pub use store::{RedisOpenError, RedisStore, RedisStoreBuilder};
#[cfg(feature = "sqlite")]
pub use store::{SqliteOpenError, SqliteStore};

/// What the README shows, as tests where all its features are on.
#[cfg(all(
    doctest,
    feature = "actix-web",
    feature = "axum",
    feature = "sqlite",
    feature = "tonic"
))]
#[doc = include_str!("../README.md")]
mod readme {}

#[cfg(test)]
mod proofs {
    use static_assertions::{assert_impl_all, assert_not_impl_any, assert_obj_safe};
    use std::fmt::{Debug, Display};

    use super::*;

    assert_impl_all!(CallersPage: Clone, Debug, Send, Sync);
    assert_impl_all!(Keygate: Clone, Debug, Send, Sync);
    assert_impl_all!(Authenticator: Clone, Debug, Send, Sync);
    assert_impl_all!(KeyManager: Clone, Debug, Send, Sync);
    assert_impl_all!(Principal: Clone, Debug, Send, Sync);
    assert_impl_all!(Refusal: Clone, std::error::Error, Send, Sync);
    assert_impl_all!(ManageError: Clone, std::error::Error, Send, Sync);
    assert_obj_safe!(KeyStore, Clock);
    assert_not_impl_any!(KeyText: Clone, Display, serde::Serialize, PartialEq, AsRef<str>);
    assert_not_impl_any!(Pepper: Clone, Display, serde::Serialize, PartialEq, AsRef<[u8]>);
    assert_not_impl_any!(Hashing: Clone, Display, serde::Serialize, PartialEq);
    assert_not_impl_any!(StoredHash: Clone, Display, serde::Serialize, PartialEq);
    assert_not_impl_any!(Mac: Display, serde::Serialize, AsRef<[u8]>);
    assert_not_impl_any!(KeyRecord: serde::Serialize);
    assert_impl_all!(leak::Scanner: Clone, Debug, Send, Sync);
    assert_impl_all!(leak::RedactingWriter<Vec<u8>>: std::io::Write, Debug, Send, Sync);
    assert_not_impl_any!(leak::ScanStream: Clone, Display, serde::Serialize, AsRef<[u8]>);
}
