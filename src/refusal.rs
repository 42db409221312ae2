//! The answer no: by the caller's fault, by ours, or either.

use std::time::Duration;

use crate::exposure::Exposure;
use crate::key::KeyId;
use crate::limit::LimitState;
use crate::mac::PepperId;
use crate::record::RateLimitError;
use crate::scope::MissingScopes;
use crate::store::StoreError;

/// The request is refused by the caller's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// The caller's address is not on the key's list.
    #[error("the key does not work from this address")]
    IpDenied,
    /// The key is paused.
    #[error("the key is disabled")]
    KeyDisabled,
    /// Two credentials were sent.
    #[error("more than one credential was sent")]
    KeyDuplicated,
    /// The key, or the old secret of a rotation, is past its end.
    #[error("the key has expired")]
    KeyExpired,
    /// The key is good, and came by a way on which others can read it, which
    /// [`OnExposure::Refuse`](crate::OnExposure::Refuse) forbids.
    #[error("the key was sent {0}")]
    KeyExposed(Exposure),
    /// A key was sent in the URL, where logs and histories keep it.
    #[error("a key was sent in the URL")]
    KeyInUrl,
    /// A well-formed field whose key is not one: length, checksum, id or secret.
    #[error("the key is not valid")]
    KeyInvalid,
    /// No credential was sent.
    #[error("no key was sent")]
    KeyMissing,
    /// The key is ended for good.
    #[error("the key has been revoked")]
    KeyRevoked,
    /// The gRPC method is not declared, and so open to nobody.
    #[error("the method is not open to API keys")]
    MethodDenied,
    /// The key is used more often than it may be.
    #[error("the key is over its rate limit")]
    RateLimited {
        /// When to come back.
        retry_after: Duration,
        /// How its limits stand, where
        /// [`tell_rate_limits`](crate::Builder::tell_rate_limits) is set.
        limits: Vec<LimitState>,
    },
    /// The credential's header field is not as its standard has it.
    #[error("the credential's header field is malformed")]
    RequestMalformed,
    /// The key lacks a scope that the route asks for.
    #[error("the key lacks {0}")]
    ScopeInsufficient(MissingScopes),
    /// Too much that is no key came from the caller's address.
    #[error("too many attempts failed from this address")]
    TooManyFailures {
        /// When to come back.
        retry_after: Duration,
    },
    /// The key is of another environment, such as a test key on the live service.
    #[error("the key belongs to another environment")]
    WrongEnvironment,
}

/// The request cannot be decided, by our fault. It is never let through for that.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What counts for all instances how often keys are used cannot be reached, and the policy is to
    /// [refuse](crate::OnOutage::Refuse) then.
    #[error("nobody can say how often key {0} was used")]
    LimiterAway(KeyId),
    /// Too many keys are being looked up at once.
    #[error("too many keys are waiting for the key store")]
    Overloaded,
    /// A handler charges a quota that cannot be used.
    #[error("a handler charges the quota {name:?}, which cannot be used: {problem}")]
    QuotaFlawed {
        /// The name of the quota.
        name: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The store failed.
    #[error("the record of key {key_id} cannot be had")]
    Store {
        /// The key that was looked up.
        key_id: KeyId,
        /// What the store says.
        source: StoreError,
    },
    /// The store did not answer soon enough for its answer to be used.
    #[error("the key store did not answer for key {key_id} within {within:?}")]
    Timeout {
        /// The key that was looked up.
        key_id: KeyId,
        /// How long the answer was waited for.
        within: Duration,
    },
    /// A handler asks for a scope that is not in the catalogue of the gate.
    #[error(
        "a handler asks for the scope {0}, which is not in the catalogue of the gate before it: declare it by the same keygate::scopes!"
    )]
    Undeclared(&'static str),
    /// A handler asks for the principal and no guard stands before it.
    #[error(
        "a handler asks who is calling, and no keygate layer guards its route: add keys.require(..) or keys.authenticate()"
    )]
    Unguarded,
    /// The record carries a rate limit that nobody can enforce, as one typed by hand.
    #[error("{source}, and not what the record of key {key_id} says: change it")]
    Unenforceable {
        /// The key.
        key_id: KeyId,
        /// What a limit may be.
        source: RateLimitError,
    },
    /// The record was made with a pepper that this process does not have.
    #[error(
        "key {key_id} was made under pepper {pepper}, which is not in the pepper ring: add it as verify-only"
    )]
    UnknownPepper {
        /// The key.
        key_id: KeyId,
        /// The pepper that is missing.
        pepper: PepperId,
    },
}

/// Why a request is not let through.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refusal {
    /// By the caller's fault.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// By ours.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl Refusal {
    /// The refusal's name in the error catalogue, as in the problem body: `key_expired`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Rejected(rejection) => rejection.code(),
            Self::Failed(Error::Unguarded | Error::Undeclared(_) | Error::QuotaFlawed { .. }) => {
                "internal"
            }
            Self::Failed(_) => "store_unavailable",
        }
    }
}

impl Rejection {
    /// The rejection's name in the error catalogue.
    pub fn code(&self) -> &'static str {
        match self {
            Self::IpDenied => "ip_denied",
            Self::KeyDisabled => "key_disabled",
            Self::KeyDuplicated => "key_duplicated",
            Self::KeyExpired => "key_expired",
            Self::KeyExposed(_) => "key_exposed",
            Self::KeyInUrl => "key_in_url",
            Self::KeyInvalid => "key_invalid",
            Self::KeyMissing => "key_missing",
            Self::KeyRevoked => "key_revoked",
            Self::MethodDenied => "method_denied",
            Self::RateLimited { .. } | Self::TooManyFailures { .. } => "rate_limited",
            Self::RequestMalformed => "request_malformed",
            Self::ScopeInsufficient(_) => "scope_insufficient",
            Self::WrongEnvironment => "wrong_environment",
        }
    }
}
