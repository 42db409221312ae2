use std::error::Error as StdError;

use ::redis::{ErrorKind, RedisError, ServerError};

use crate::store::{StoreError, StoreErrorKind};

/// Why a server cannot be used as a [`RedisStore`](super::RedisStore).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisOpenError {
    /// The server does not let it be checked.
    #[error(
        "Redis at {address} does not answer {command} to this user: allow it in the user's ACL, or \
         say with {waiver}() that you answer for it"
    )]
    CannotCheck {
        /// The server.
        address: String,
        /// What was asked.
        command: &'static str,
        /// The method of the builder that does without it.
        waiver: &'static str,
    },
    /// Something else went wrong.
    #[error("Redis at {address} cannot be used")]
    Failed {
        /// The server.
        address: String,
        /// What went wrong.
        #[source]
        cause: Box<dyn StdError + Send + Sync>,
    },
    /// The address is none.
    #[error(
        "the address of Redis cannot be read: write it like redis://user:password@host:6379/0, or \
         rediss:// with the feature redis-tls"
    )]
    InvalidAddress,
    /// The root certificate is none.
    #[error(
        "the root certificate cannot be read: give it as PEM, as in -----BEGIN CERTIFICATE-----"
    )]
    InvalidCertificate,
    /// The namespace would not work as a part of key names.
    #[error(
        "the namespace {namespace:?} cannot be used: take 1 to 64 letters, digits, dots, dashes and \
         underscores"
    )]
    InvalidNamespace {
        /// The namespace.
        namespace: String,
    },
    /// The server could lose what it has acknowledged.
    #[error(
        "Redis at {address} has {setting} {value:?} and could lose an acknowledged revocation: set \
         it to {needed:?}"
    )]
    NotDurable {
        /// The server.
        address: String,
        /// Its setting.
        setting: &'static str,
        /// What the setting is.
        value: String,
        /// What it must be.
        needed: &'static str,
    },
    /// The server is a replica.
    #[error("Redis at {address} is a replica and may lag behind: name the master")]
    NotMaster {
        /// The server.
        address: String,
    },
    /// A root certificate was given for a connection without TLS.
    #[error("Redis at {address} would be reached without TLS: write its address with rediss://")]
    NotTls {
        /// The server.
        address: String,
    },
    /// The server does not know this user, or not this password.
    #[error("Redis at {address} refuses the user or the password: correct them in the address")]
    Refused {
        /// The server.
        address: String,
    },
    /// The server is too old.
    #[error("Redis at {address} is version {version}: upgrade it to 6.2 or later")]
    TooOld {
        /// The server.
        address: String,
        /// Its version.
        version: String,
    },
    /// The keys of the namespace are on another node of the cluster.
    #[error("Redis at {address} does not keep this namespace in its cluster: name {node} instead")]
    WrongNode {
        /// The server.
        address: String,
        /// The node that keeps them.
        node: String,
    },
}

impl RedisOpenError {
    pub(super) fn failed(address: &str, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Failed {
            address: address.into(),
            cause: cause.into(),
        }
    }

    /// What an error before the first command means. An old server repeats in it what it did not
    /// understand, and that is the password.
    pub(super) fn of_connecting(address: &str, error: &RedisError) -> Self {
        let address = address.to_owned();
        match error.kind() {
            ErrorKind::AuthenticationFailed => Self::Refused { address },
            ErrorKind::RESP3NotSupported => Self::TooOld {
                address,
                version: "5 or older".into(),
            },
            ErrorKind::Io => Self::failed(&address, error.to_string()),
            _ if matches!(error.code(), Some("WRONGPASS" | "NOAUTH")) => Self::Refused { address },
            _ => Self::failed(
                &address,
                error.code().unwrap_or(error.category()).to_owned(),
            ),
        }
    }
}

/// What became of a request that has no reply.
pub(super) fn broken(kind: StoreErrorKind, error: &RedisError) -> StoreError {
    match error.is_io_error() {
        true => StoreError::new(kind, error.to_string()),
        // It may show the reply, and there are MACs in it.
        false => StoreError::new(kind, "the reply of Redis cannot be read"),
    }
}

/// What an error reply means to a read.
pub(super) fn refused_read(error: &ServerError) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, shown(error))
}

/// What an error reply means to a change.
pub(super) fn refused_change(error: &ServerError) -> StoreError {
    let kind = match comes_before_any_change(code(error)) {
        true => StoreErrorKind::Unavailable,
        false => StoreErrorKind::OutcomeUnknown,
    };
    StoreError::new(kind, shown(error))
}

/// The code of an error reply. Redis 6 wraps that of a script's command into one of its own.
pub(super) fn code(error: &ServerError) -> &str {
    let wrapped = error
        .details()
        .unwrap_or_default()
        .rsplit_once("@user_script");
    match wrapped {
        Some((_, inner)) if error.code() == "ERR" => inner
            .trim_start_matches(|c: char| !c.is_ascii_alphabetic())
            .split(' ')
            .next()
            .unwrap_or_default(),
        _ => error.code(),
    }
}

/// A script is not rolled back: after another error than these, a part of it may have happened.
fn comes_before_any_change(code: &str) -> bool {
    matches!(
        code,
        "ASK"
            | "BUSY"
            | "CLUSTERDOWN"
            | "CROSSSLOT"
            | "LOADING"
            | "MASTERDOWN"
            | "MISCONF"
            | "MOVED"
            | "NOAUTH"
            | "NOREPLICAS"
            | "NOSCRIPT"
            | "OOM"
            | "READONLY"
            | "TRYAGAIN"
            | "WRONGTYPE"
    )
}

/// An error reply for the log, without what it repeats of the request.
fn shown(error: &ServerError) -> String {
    let details = error.details().unwrap_or_default();
    let details = details.split(", with args").next().unwrap_or_default();
    format!("Redis answered {} {details}", error.code())
}

pub(super) fn unavailable(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, cause)
}

/// A reply of a shape that no server gives.
pub(super) fn unexpected_reply(kind: StoreErrorKind) -> StoreError {
    StoreError::new(kind, "Redis answered something else than was asked")
}
