//! Why a store cannot be opened or used, in the words of the program: what the crate says is said to those
//! who write code.

use keygate::{BuildError, PostgresOpenError, RedisOpenError, SqliteOpenError};

use super::FILE;
use super::peppers::PepperSource;
use crate::failure::{Exit, Failure};

const OLDER: &str = "the store is older than this program. Make a backup of it, end or upgrade the processes that \
     use it, and bring it up to date: keygate init";

pub(super) fn of_sqlite(error: SqliteOpenError) -> Failure {
    match &error {
        SqliteOpenError::NotAFile { path } => Failure::usage(format!(
            "{} does not name a file: name the one that holds the keys",
            path.display()
        )),
        SqliteOpenError::Missing { path } => Failure::new(
            Exit::Store,
            format!(
                "there is no file {}: name the one that holds the keys, or make it: keygate init",
                path.display()
            ),
        ),
        SqliteOpenError::Outdated {
            path, schema: 0, ..
        } => Failure::new(
            Exit::Store,
            format!(
                "{} is empty: name the file that holds the keys, or set it up: keygate init",
                path.display()
            ),
        ),
        SqliteOpenError::Outdated {
            path,
            schema,
            known,
        } => Failure::new(Exit::Store, OLDER).because(format!(
            "{} has schema {schema}, and {known} is needed",
            path.display()
        )),
        _ => Failure::new(Exit::Store, "the store cannot be used").because(error),
    }
}

pub(super) fn of_postgres(error: PostgresOpenError, url: &str) -> Failure {
    let unusable = || match server_of(url) {
        Some(server) => format!("PostgreSQL at {server} cannot be used"),
        None => "PostgreSQL cannot be used".to_owned(),
    };
    let unusable_because = |cause: String| Failure::new(Exit::Store, unusable()).because(cause);
    match error {
        PostgresOpenError::NotMigrated {
            in_schema,
            schema: 0,
            ..
        } => unusable_because(format!(
            "there are no tables of keygate in schema {in_schema}: name another database, or [postgres] schema \
             and table_prefix in {FILE}, or set it up: keygate init"
        )),
        PostgresOpenError::NotMigrated {
            in_schema,
            schema,
            known,
        } => Failure::new(Exit::Store, OLDER).because(format!(
            "the tables in schema {in_schema} are at step {schema} of {known}"
        )),
        PostgresOpenError::Schema { schema } => Failure::usage(format!(
            "{schema:?} is no schema for the tables: name one of up to 63 bytes by [postgres] schema in {FILE}, or \
             put one that exists first in the search_path of the user"
        )),
        PostgresOpenError::Standby => unusable_because(
            "it is a standby, which cannot be written, and where a revocation arrives late: name the primary".into(),
        ),
        PostgresOpenError::TablePrefix { .. } | PostgresOpenError::Url => Failure::usage(error.to_string()),
        error => unusable_because(error.to_string()),
    }
}

pub(super) fn of_redis(error: RedisOpenError) -> Failure {
    match error {
        RedisOpenError::CannotCheck {
            address,
            command,
            waiver,
        } => Failure::new(
            Exit::Store,
            format!(
                "Redis at {address} does not answer {command} to this user: allow it in the user's ACL, or say that \
                 you answer for it, by {waiver} = true under [redis] in {FILE}"
            ),
        ),
        RedisOpenError::InvalidAddress => Failure::usage(
            "the address of Redis cannot be read: write it as redis://user:password@host:6379/0, or with rediss:// \
             for TLS",
        ),
        RedisOpenError::InvalidCertificate | RedisOpenError::InvalidNamespace { .. } => {
            Failure::usage(error.to_string())
        }
        RedisOpenError::Failed { address, cause } => {
            Failure::new(Exit::Store, format!("Redis at {address} cannot be used")).because(cause)
        }
        error => Failure::new(Exit::Store, error.to_string()),
    }
}

/// Where a pepper is wrong, where it came from too.
pub(crate) fn of_gate(error: BuildError, peppers: &PepperSource) -> Failure {
    match error {
        BuildError::MissingPepper(id) => Failure::new(
            Exit::Pepper,
            format!(
                "{peppers} lacks pepper {id}, and keys may have been made with it: name the right one, or add it behind \
                 the active one, as {id}:BASE64. Whether any need it: keygate report pepper. Where none does: keygate \
                 pepper retire {id}. Where it is lost, and this store is to have the others: keygate init, and then these"
            ),
        ),
        BuildError::NoPepper | BuildError::RetiredPepper(_) | BuildError::WrongPepper(_) => {
            Failure::new(Exit::Pepper, format!("{peppers} does not fit this store")).because(error)
        }
        error => error.into(),
    }
}

/// Host and port, where they are that for certain: with a slip in the URL they may be parts of a password.
fn server_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let (authority, behind) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let server = authority
        .rsplit_once('@')
        .map_or(authority, |(_, server)| server);
    (!server.is_empty() && !behind.contains('@')).then_some(server)
}

#[cfg(test)]
mod tests {
    use super::server_of;

    #[test]
    fn a_server_is_named_without_anything_that_may_be_a_password() {
        let named = "db.example:5432";
        for url in [
            "postgres://db.example:5432/keys",
            "postgres://u:p@db.example:5432/keys?sslmode=require",
            "postgres://u:p@ss@db.example:5432",
        ] {
            assert_eq!(server_of(url), Some(named), "{url}");
        }
        for url in [
            "postgres://u:12/34@db.example/keys",
            "postgres:///keys",
            "postgres://u:p#w@h",
        ] {
            assert_eq!(server_of(url), None, "{url}");
        }
    }
}
