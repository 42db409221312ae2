use std::sync::Arc;

use keygate::store::HEARTBEAT;
use keygate::{ChangeFeedStatus, KeyStore, Keygate, MemoryStore, NewKey};
use tempfile::TempDir;

use crate::load::runtime;
use crate::servers::postgres::PostgresServer;
use crate::servers::redis::RedisServer;
use crate::trial::{Place, pepper};

/// A store that is measured, with what keeps its records. Both end with this value.
pub(crate) enum Subject {
    Memory(Arc<MemoryStore>),
    Sqlite(TempDir),
    /// With the URL by which it is reached.
    Postgres(PostgresServer, &'static str, String),
    Redis(RedisServer),
}

impl Subject {
    /// One after the other; those whose server is not installed are left out.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let starts: [fn() -> Option<Self>; 5] = [
            || Some(Self::Memory(Arc::default())),
            || Some(Self::Sqlite(tempfile::tempdir().unwrap())),
            || PostgresServer::start_on_disk().map(Self::postgres_over_tcp),
            || PostgresServer::start_on_disk().map(Self::postgres_by_socket),
            || RedisServer::start_on_disk().map(Self::Redis),
        ];
        starts.into_iter().filter_map(|start| start())
    }

    fn postgres_over_tcp(server: PostgresServer) -> Self {
        let url = server.url();
        Self::Postgres(server, "PostgreSQL, TCP", url)
    }

    fn postgres_by_socket(server: PostgresServer) -> Self {
        let directory: String = runtime().block_on(async {
            sqlx::query_scalar("SHOW unix_socket_directories")
                .fetch_one(&mut server.by_hand().await)
                .await
                .unwrap()
        });
        let url = format!("{}?host={directory}", server.url());
        Self::Postgres(server, "PostgreSQL, socket", url)
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Memory(_) => "memory",
            Self::Sqlite(_) => "SQLite",
            Self::Postgres(_, name, _) => name,
            Self::Redis(_) => "Redis",
        }
    }

    /// Where other processes find it; `None` where they cannot.
    pub(crate) fn place(&self) -> Option<Place> {
        match self {
            Self::Memory(_) => None,
            Self::Sqlite(directory) => {
                let path = directory.path().join("keys.db");
                Some(Place::of(path.to_str().unwrap()))
            }
            Self::Postgres(_, _, url) => Some(Place::of(url)),
            Self::Redis(server) => Some(Place::of(server.url())),
        }
    }

    pub(crate) async fn open(&self) -> Arc<dyn KeyStore> {
        match (self, self.place()) {
            (_, Some(place)) => place.open().await,
            (Self::Memory(store), None) => Arc::clone(store) as Arc<dyn KeyStore>,
            (_, None) => unreachable!("all others have a place"),
        }
    }

    /// Whether it can be killed and started again, and its feed cut.
    pub(crate) fn is_server(&self) -> bool {
        matches!(self, Self::Postgres(..) | Self::Redis(_))
    }

    pub(crate) fn kill(&mut self) {
        match self {
            Self::Memory(_) | Self::Sqlite(_) => {}
            Self::Postgres(server, ..) => server.kill(),
            Self::Redis(server) => server.kill(),
        }
    }

    /// Starts it again after it was killed; returns once it answers.
    pub(crate) fn restart(&mut self) {
        match self {
            Self::Memory(_) | Self::Sqlite(_) => {}
            Self::Postgres(server, ..) => server.restart(),
            Self::Redis(server) => server.restart(),
        }
    }
}

/// A gate whose cache keeps so many keys.
pub(crate) async fn gate(store: impl KeyStore, capacity: usize) -> Keygate {
    let builder = Keygate::builder("acme_live")
        .pepper(pepper())
        .store(store)
        .cache_capacity(capacity);
    builder.build().await.unwrap()
}

/// Returns once the feed of changes, where there is one, has told of all that was done so far.
pub(crate) async fn settle(keys: &Keygate) {
    while matches!(keys.change_feed(), ChangeFeedStatus::Down { .. }) {
        tokio::time::sleep(HEARTBEAT / 10).await;
    }
    tokio::time::sleep(2 * HEARTBEAT).await;
}

/// A key of the budget's shape: an owner of 16 bytes and three scopes.
pub(crate) fn key(number: usize) -> NewKey {
    NewKey::for_owner(format!("org_{number:012}")).scopes([
        "orders:read",
        "orders:write",
        "users:read",
    ])
}
