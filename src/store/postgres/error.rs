use sqlx::Error;
use sqlx::postgres::{PgDatabaseError, PgSeverity};

use crate::store::{StoreError, StoreErrorKind};

/// Why a database cannot be opened as a [`PostgresStore`](super::PostgresStore).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostgresOpenError {
    /// The database does not hold every text.
    #[error(
        "the database has the encoding {found}, which does not hold every text: make one with \
         ENCODING 'UTF8'"
    )]
    Encoding {
        /// The encoding it has.
        found: String,
    },
    /// Something else went wrong.
    #[error("the key database cannot be opened: {0}")]
    Failed(String),
    /// The server forgets what it acknowledged.
    #[error(
        "the server runs with fsync = off and forgets acknowledged changes in a crash, revocations \
         too: set fsync = on"
    )]
    Forgetful,
    /// Made by newer code. It was not changed.
    #[error(
        "the tables were made by a newer keygate (schema {schema}, this one knows up to {known}): \
         upgrade this process"
    )]
    Newer {
        /// The schema they have.
        schema: i32,
        /// The newest schema that this code knows.
        known: usize,
    },
    /// The tables are missing or old, and this process was told to leave that to others.
    #[error(
        "the tables in schema {in_schema} are at step {schema} of {known}: run the SQL files of the \
         steps after it, or let this process do it with migrate(true)"
    )]
    NotMigrated {
        /// Where the tables are to be.
        in_schema: String,
        /// The step that was taken last; 0: none.
        schema: i32,
        /// The step that this code needs.
        known: usize,
    },
    /// Not the name of a schema, or none is set and the connection has none to make tables in.
    #[error(
        "{schema:?} is no schema for the tables: name one of up to 63 bytes with schema(..), or put \
         one that exists first in the search_path of the user"
    )]
    Schema {
        /// The name.
        schema: String,
    },
    /// The server is a standby, which lags behind and cannot be written.
    #[error(
        "the server is a standby, where a revocation arrives late: connect to the primary, or give \
         the promise up with waive_revocation_bound_on_replicas()"
    )]
    Standby,
    /// Not a prefix for names of tables.
    #[error(
        "{prefix:?} cannot be the prefix of the tables: use up to 40 small letters, digits and _, \
         without a digit at the beginning"
    )]
    TablePrefix {
        /// The prefix.
        prefix: String,
    },
    /// The server is too old.
    #[error("the server has version {found}: PostgreSQL 12 or newer is needed")]
    TooOld {
        /// The version, as the server writes it.
        found: String,
    },
    /// Not the URL of a database. It is not shown, as it may hold a password.
    #[error(
        "the URL of the database cannot be read: write it as postgres://user:password@host/database"
    )]
    Url,
}

impl From<Error> for PostgresOpenError {
    fn from(error: Error) -> Self {
        match error {
            Error::PoolTimedOut => Self::Failed(
                "no connection could be made in time: see that the server runs and can be reached"
                    .into(),
            ),
            error => Self::Failed(told(&error)),
        }
    }
}

/// What `error` means where nothing was committed.
pub(super) fn not_done(error: &Error) -> StoreError {
    unavailable(told(error))
}

/// What `error` means as the answer to a COMMIT.
///
/// The server says of a transaction that it was not committed; when it ends a session in between,
/// or says nothing, both may be so.
pub(super) fn commit_error(error: &Error) -> StoreError {
    let kind = match server_error(error).map(PgDatabaseError::severity) {
        Some(PgSeverity::Error) => StoreErrorKind::Unavailable,
        _ => StoreErrorKind::OutcomeUnknown,
    };
    StoreError::new(kind, told(error))
}

pub(super) fn unavailable(cause: impl Into<String>) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, cause.into())
}

/// Whether the connection is gone, as after a restart of the server.
pub(super) fn is_lost(error: &Error) -> bool {
    match error {
        Error::Io(_) => true,
        Error::Database(_) => server_error(error)
            .is_some_and(|error| matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic)),
        _ => false,
    }
}

/// The error as a log may show it: never its details, which repeat the row with its MACs.
pub(super) fn told(error: &Error) -> String {
    match error {
        Error::Database(error) => match error.code() {
            Some(code) => format!("{} (SQLSTATE {code})", error.message()),
            None => error.message().into(),
        },
        Error::Configuration(_) => "its connection options cannot be used".into(),
        Error::Io(error) => format!("the connection failed: {error}"),
        Error::PoolClosed => "the pool was closed".into(),
        Error::PoolTimedOut => "no connection was free or could be made in time".into(),
        error => error.to_string(),
    }
}

fn server_error(error: &Error) -> Option<&PgDatabaseError> {
    error
        .as_database_error()
        .and_then(|error| error.try_downcast_ref::<PgDatabaseError>())
}
