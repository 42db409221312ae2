//! The store under test, and the server that keeps it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use keygate::{KeyId, KeyStore, PostgresStore, RedisStore, SqliteStore};
use sqlx::Connection;
use tokio::time::timeout;

use crate::servers::postgres::PostgresServer;
use crate::servers::redis::RedisServer;

/// What is typed by hand is given up after this time.
const PATIENCE: Duration = Duration::from_secs(4);

/// Which store a run is on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Postgres,
    Redis,
    Sqlite,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Redis => "redis",
            Self::Sqlite => "sqlite",
        }
    }
}

/// A store of a run. Its server ends with this value.
pub(crate) struct StoreUnderTest {
    address: String,
    server: Option<Mutex<Server>>,
}

enum Server {
    Postgres(PostgresServer),
    Redis(RedisServer),
}

impl StoreUnderTest {
    /// Starts a server on the data in `directory`; `None`, and said so, where none is installed.
    pub(crate) fn start(kind: Kind, directory: &Path) -> Option<Self> {
        std::fs::create_dir_all(directory).unwrap();
        let server = match kind {
            Kind::Sqlite => {
                return Some(Self {
                    address: directory.join("keys.db").to_str()?.to_owned(),
                    server: None,
                });
            }
            Kind::Postgres => PostgresServer::start_at(&directory.join("server"))
                .map(|server| (server.url(), Server::Postgres(server))),
            Kind::Redis => RedisServer::start_with(&["--dir", directory.to_str()?])
                .map(|server| (server.url(), Server::Redis(server))),
        };
        server.map(|(address, server)| Self {
            address,
            server: Some(Mutex::new(server)),
        })
    }

    /// What [`open`] opens it by.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Where its server listens, if it has one.
    pub(crate) fn port(&self) -> Option<u16> {
        let server = self.server.as_ref()?.lock().unwrap();
        Some(match &*server {
            Server::Postgres(server) => server.port(),
            Server::Redis(server) => server.port(),
        })
    }

    /// Its address by way of another port, if it has a server.
    pub(crate) fn address_by(&self, way: Option<u16>) -> String {
        match (self.port(), way) {
            (Some(port), Some(way)) => self
                .address
                .replace(&format!(":{port}"), &format!(":{way}")),
            _ => self.address.clone(),
        }
    }

    pub(crate) fn kill(&self) {
        self.with_server(|server| match server {
            Server::Postgres(server) => server.kill(),
            Server::Redis(server) => server.kill(),
        });
    }

    pub(crate) fn restart(&self) {
        self.with_server(|server| match server {
            Server::Postgres(server) => server.restart(),
            Server::Redis(server) => server.restart(),
        });
    }

    pub(crate) fn freeze(&self) {
        self.with_server(|server| match server {
            Server::Postgres(server) => server.freeze(),
            Server::Redis(server) => server.freeze(),
        });
    }

    pub(crate) fn thaw(&self) {
        self.with_server(|server| match server {
            Server::Postgres(server) => server.thaw(),
            Server::Redis(server) => server.thaw(),
        });
    }

    fn with_server(&self, fault: impl FnOnce(&mut Server)) {
        if let Some(server) = &self.server {
            fault(&mut server.lock().unwrap());
        }
    }

    /// Ends a key as somebody with a console would. Whether anything was changed; an error where
    /// that is not known.
    pub(crate) async fn revoke_by_hand(&self, id: &KeyId) -> Result<bool, String> {
        let address = self.address.clone();
        let id = id.to_string();
        let typed = async move {
            if address.starts_with("postgres://") {
                type_in_postgres(&address, &id).await
            } else if address.starts_with("redis://") {
                type_in_redis(&address, &id).await
            } else {
                let typing = tokio::task::spawn_blocking(move || type_in_sqlite(&address, &id));
                typing.await.unwrap()
            }
        };
        match timeout(PATIENCE, typed).await {
            Ok(outcome) => outcome,
            Err(_) => Err("no answer".into()),
        }
    }
}

/// A store at what [`StoreUnderTest::address`] says: in a service, and to look at what is kept.
pub(crate) async fn open(address: &str) -> Result<Arc<dyn KeyStore>, String> {
    if address.starts_with("postgres://") {
        let store = PostgresStore::connect(address).await;
        Ok(Arc::new(store.map_err(|error| explain(&error))?))
    } else if address.starts_with("redis://") {
        let store = RedisStore::connect(address).await;
        Ok(Arc::new(store.map_err(|error| explain(&error))?))
    } else {
        let store = SqliteStore::open(PathBuf::from(address)).await;
        Ok(Arc::new(store.map_err(|error| explain(&error))?))
    }
}

/// The error with its causes.
fn explain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let causes: Vec<String> = causes.map(ToString::to_string).collect();
    causes.join(": ")
}

async fn type_in_postgres(address: &str, id: &str) -> Result<bool, String> {
    const REVOKE: &str = "UPDATE keygate_keys
        SET revoked_at = now(), revocation_reason = 'by hand'
        WHERE id = $1 AND revoked_at IS NULL";
    let typed = async {
        let mut connection = sqlx::PgConnection::connect(address).await?;
        let query = sqlx::query(REVOKE).bind(id);
        let changed = query.execute(&mut connection).await?;
        connection.close().await?;
        Ok(changed.rows_affected() == 1)
    };
    typed.await.map_err(|error: sqlx::Error| error.to_string())
}

async fn type_in_redis(address: &str, id: &str) -> Result<bool, String> {
    let typed = async {
        let client = redis::Client::open(address)?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let key = format!("{{keygate}}:key:{id}");
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
        redis::pipe()
            .atomic()
            .hset(&key, "revoked_at", now.as_millis().to_string())
            .hset(&key, "revocation_reason", "by hand")
            .hincr(&key, "version", 1)
            .query_async::<()>(&mut connection)
            .await
    };
    typed
        .await
        .map(|()| true)
        .map_err(|error: redis::RedisError| error.to_string())
}

fn type_in_sqlite(path: &str, id: &str) -> Result<bool, String> {
    let typed = || {
        let connection = rusqlite::Connection::open(path)?;
        connection.busy_timeout(PATIENCE / 2)?;
        connection.execute(
            "UPDATE keygate_keys SET revoked_at = unixepoch() * 1000, revocation_reason = 'by hand'
             WHERE id = ?1 AND revoked_at IS NULL",
            [id],
        )
    };
    typed()
        .map(|changed| changed == 1)
        .map_err(|error: rusqlite::Error| error.to_string())
}
