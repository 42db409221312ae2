//! Where the keys are: in a SQLite file of this machine, or in a server that many instances share.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use keygate::{Builder, KeyStore, PepperFile, PepperId, PepperRing, SqliteStore};

use super::{Failure, sqlite_file, variable};

/// What `KEYGATE_STORE` names.
pub(crate) enum Database {
    File(PathBuf),
    #[cfg(feature = "postgres")]
    Postgres(String),
    #[cfg(feature = "redis")]
    Redis(String),
}

impl Database {
    /// A URL is never shown, since it may hold a password.
    pub(crate) fn named(name: &str) -> Result<Self, Failure> {
        let Some((scheme, _)) = name.split_once("://") else {
            return Ok(Self::File(name.into()));
        };
        match scheme {
            #[cfg(feature = "postgres")]
            "postgres" | "postgresql" => Ok(Self::Postgres(name.into())),
            #[cfg(not(feature = "postgres"))]
            "postgres" | "postgresql" => Err(not_built_in("PostgreSQL", "postgres")),
            #[cfg(feature = "redis")]
            "redis" | "rediss" => Ok(Self::Redis(name.into())),
            #[cfg(not(feature = "redis"))]
            "redis" => Err(not_built_in("Redis", "redis")),
            #[cfg(not(feature = "redis"))]
            "rediss" => Err(not_built_in("Redis", "redis-tls")),
            scheme => Err(format!(
                "KEYGATE_STORE: this service keeps no keys at {scheme}://: name a SQLite file, or a URL \
                 that begins with postgres:// or redis://"
            )
            .into()),
        }
    }

    /// Returns once no other instance starts on the database, where it can see to that: on a file.
    pub(crate) async fn lock_start(&self) -> Result<Option<File>, Failure> {
        match self {
            Self::File(path) => {
                sqlite_file::check_place(path)?;
                sqlite_file::lock(path).await.map(Some)
            }
            #[cfg(any(feature = "postgres", feature = "redis"))]
            _ => Ok(None),
        }
    }

    /// Gives the gate the peppers of `KEYGATE_PEPPER_FILE` or `KEYGATE_PEPPER`, or for a file the pepper
    /// that lies beside it.
    pub(crate) fn peppers(&self, gate: Builder) -> Result<Builder, Failure> {
        let (path, text) = (
            variable("KEYGATE_PEPPER_FILE")?,
            variable("KEYGATE_PEPPER")?,
        );
        match (path, text, self) {
            (Some(_), Some(_), _) => {
                Err("KEYGATE_PEPPER and KEYGATE_PEPPER_FILE are both set: unset one of them".into())
            }
            (Some(path), None, _) => Ok(gate.pepper_provider(PepperFile::new(path))),
            (None, Some(text), _) => {
                let ring = PepperRing::parse(&text);
                Ok(gate.peppers(ring.map_err(|error| format!("KEYGATE_PEPPER: {error}"))?))
            }
            (None, None, Self::File(path)) => {
                let path = sqlite_file::trial_pepper(path)?;
                Ok(gate.pepper_provider(PepperFile::new(path)))
            }
            #[cfg(any(feature = "postgres", feature = "redis"))]
            (None, None, _) => Err(
                "KEYGATE_PEPPER is not set, and all instances on a database need the \
                 same: set it to 32 random bytes, as from openssl rand -base64 32, or name a file that \
                 holds them by KEYGATE_PEPPER_FILE"
                    .into(),
            ),
        }
    }

    pub(crate) async fn open(&self) -> Result<Arc<dyn KeyStore>, Failure> {
        Ok(match self {
            Self::File(path) => Arc::new(SqliteStore::open(path).await?),
            #[cfg(feature = "postgres")]
            Self::Postgres(url) => Arc::new(keygate::PostgresStore::connect(url).await?),
            #[cfg(feature = "redis")]
            Self::Redis(url) => Arc::new(keygate::RedisStore::connect(url).await?),
        })
    }

    /// Has rate limits counted for all instances together, where there is a Redis. Elsewhere each instance
    /// counts for itself.
    pub(crate) async fn limiting(&self, gate: Builder) -> Result<Builder, Failure> {
        Ok(match self {
            #[cfg(feature = "redis")]
            Self::Redis(url) => {
                let limiter = keygate::RedisLimiter::connect(url).await?;
                gate.shared_limiter(limiter, keygate::OnOutage::CountHere)
            }
            _ => gate,
        })
    }

    /// How long an instance that is about to print the first key is waited for. Whoever has the lock
    /// of a file knows that there is none.
    pub(crate) fn patience(&self) -> Duration {
        match self {
            Self::File(_) => Duration::ZERO,
            #[cfg(any(feature = "postgres", feature = "redis"))]
            _ => Duration::from_secs(10),
        }
    }

    pub(crate) fn wrong_pepper(&self, id: PepperId) -> Failure {
        match self {
            Self::File(path) => format!(
                "pepper {id} (of KEYGATE_PEPPER_FILE, KEYGATE_PEPPER, or else {}) is not the one that the keys in {} were made with: bring it back",
                sqlite_file::beside(path, "pepper").display(),
                path.display()
            ),
            #[cfg(any(feature = "postgres", feature = "redis"))]
            _ => format!(
                "pepper {id} (of KEYGATE_PEPPER_FILE or KEYGATE_PEPPER) is not the one that the keys in this \
                 database were made with: bring it back"
            ),
        }
        .into()
    }
}

#[cfg(not(all(feature = "postgres", feature = "redis")))]
fn not_built_in(name: &str, feature: &str) -> Failure {
    format!(
        "KEYGATE_STORE: this service was built without {name}: build it with --features \
         axum,sqlite,{feature}"
    )
    .into()
}
