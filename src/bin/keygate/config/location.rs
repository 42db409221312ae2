//! Where the keys are.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keygate::{KeyStore, PostgresStore, RedisStore, SqliteStore};

use super::file::{File, seen_from};
use super::trouble;
use crate::failure::Failure;

/// A store, by its name. A URL is never shown: it may hold a password.
#[derive(PartialEq)]
pub(crate) enum Location {
    Sqlite(PathBuf),
    Postgres(String),
    Redis(String),
}

impl Location {
    pub(crate) fn named(name: &str) -> Result<Self, Failure> {
        match name.split_once("://").map(|(scheme, _)| scheme) {
            None if is_path(name) => Ok(Self::Sqlite(name.into())),
            Some("postgres" | "postgresql") => Ok(Self::Postgres(name.into())),
            Some("redis" | "rediss") => Ok(Self::Redis(name.into())),
            _ => Err(Failure::usage(
                "what is given as the store is none: it is a SQLite file (./ before a name with : = or @ in it), or \
                 a URL that begins with postgres:// or redis:// (rediss:// with TLS)",
            )),
        }
    }

    /// Whether its address is more than a file may hold.
    pub(crate) fn holds_password(&self) -> bool {
        match self {
            Self::Sqlite(_) => false,
            Self::Postgres(url) | Self::Redis(url) => {
                let authority = url.split_once("://").map_or("", |(_, rest)| rest);
                let userinfo = authority
                    .rsplit_once('@')
                    .map_or("", |(userinfo, _)| userinfo);
                userinfo.contains(':') || url.contains("password=")
            }
        }
    }

    /// As it is written in the file of settings, unless it holds a password.
    pub(crate) fn written_in(&self, file: &Path) -> Option<String> {
        match self {
            _ if self.holds_password() => None,
            Self::Sqlite(path) => seen_from(file, path).to_str().map(Into::into),
            Self::Postgres(url) | Self::Redis(url) => Some(url.clone()),
        }
    }

    /// Opens it, and makes or brings up to date what is missing if `migrate` says so. Else what is not there
    /// is not made, and what is old stays so.
    pub(super) async fn open(
        &self,
        settings: &File,
        migrate: bool,
    ) -> Result<Arc<dyn KeyStore>, Failure> {
        match self {
            Self::Sqlite(path) => {
                let opened = match migrate {
                    true => SqliteStore::open(path).await,
                    false => SqliteStore::open_existing(path).await,
                };
                Ok(Arc::new(opened.map_err(trouble::of_sqlite)?))
            }
            Self::Postgres(url) => postgres(url, settings, migrate).await,
            Self::Redis(url) => redis(url, settings).await,
        }
    }
}

async fn postgres(url: &str, settings: &File, migrate: bool) -> Result<Arc<dyn KeyStore>, Failure> {
    let settings = &settings.postgres;
    let told = |error| trouble::of_postgres(error, url);
    let pool = PostgresStore::pool(url).map_err(told)?;
    let mut builder = PostgresStore::builder(pool).migrate(migrate);
    if let Some(schema) = &settings.schema {
        builder = builder.schema(schema);
    }
    if let Some(prefix) = &settings.table_prefix {
        builder = builder.table_prefix(prefix);
    }
    if settings.through_transaction_pooler {
        builder = builder.through_transaction_pooler();
    }
    Ok(Arc::new(builder.open().await.map_err(told)?))
}

async fn redis(url: &str, settings: &File) -> Result<Arc<dyn KeyStore>, Failure> {
    let settings = &settings.redis;
    let mut builder = RedisStore::builder(url);
    if let Some(namespace) = &settings.namespace {
        builder = builder.namespace(namespace);
    }
    if let Some(path) = &settings.root_certificate {
        let pem = fs::read(path).map_err(|error| Failure::unreadable(path, error))?;
        builder = builder.root_certificate(pem);
    }
    if settings.assume_durable {
        builder = builder.assume_durable();
    }
    if settings.assume_master {
        builder = builder.assume_master();
    }
    Ok(Arc::new(
        builder.connect().await.map_err(trouble::of_redis)?,
    ))
}

/// Whether it can only be meant as a file. An error about a file that is not there shows its name, and a URL
/// with a slip in it may hold a password.
pub(super) fn is_path(name: &str) -> bool {
    let begins_as_one = ["/", "./", "../"]
        .iter()
        .any(|begin| name.starts_with(begin));
    let is_plain = !name.is_empty() && !name.contains([':', '=', '@']);
    !name.contains("//") && (begins_as_one || is_plain)
}

#[cfg(test)]
mod tests {
    use super::is_path;

    #[test]
    fn a_url_with_a_slip_in_it_is_no_path() {
        for path in [
            "keys.db",
            "/var/lib/keys.db",
            "./a:b@c.db",
            "../keys.db",
            "a/keys.db",
        ] {
            assert!(is_path(path), "{path}");
        }
        for slip in [
            "",
            "postgres:/u:p@h/d",
            "u:p@h/d",
            "//u:p@h/d",
            "host=h password=p",
            "file:keys.db",
        ] {
            assert!(!is_path(slip), "{slip}");
        }
    }
}
