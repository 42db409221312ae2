use std::sync::Arc;

use keygate::{KeyStore, Keygate, PostgresStore, RedisStore};

use crate::common::{LIVE, pepper};
use crate::servers::postgres::PostgresServer;
use crate::servers::redis::RedisServer;

/// A server that is this test's alone.
pub(crate) enum Place {
    Postgres(PostgresServer),
    Redis(RedisServer),
}

impl Place {
    /// One of each kind that can be started here.
    pub(crate) fn all() -> Vec<Self> {
        let postgres = PostgresServer::start().map(Self::Postgres);
        let redis = RedisServer::start().map(Self::Redis);
        postgres.into_iter().chain(redis).collect()
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Postgres(server) => server.url(),
            Self::Redis(server) => server.url(),
        }
    }

    /// An instance on this server, as a process of its own would have it.
    pub(crate) async fn instance(&self) -> Keygate {
        instance(&self.url(), |builder| builder).await
    }

    pub(crate) async fn instance_with(
        &self,
        change: impl FnOnce(keygate::Builder) -> keygate::Builder,
    ) -> Keygate {
        instance(&self.url(), change).await
    }

    pub(crate) fn freeze(&self) {
        match self {
            Self::Postgres(server) => server.freeze(),
            Self::Redis(server) => server.freeze(),
        }
    }

    pub(crate) fn thaw(&self) {
        match self {
            Self::Postgres(server) => server.thaw(),
            Self::Redis(server) => server.thaw(),
        }
    }

    pub(crate) fn kill(&mut self) {
        match self {
            Self::Postgres(server) => server.kill(),
            Self::Redis(server) => server.kill(),
        }
    }

    pub(crate) fn restart(&mut self) {
        match self {
            Self::Postgres(server) => server.restart(),
            Self::Redis(server) => server.restart(),
        }
    }
}

/// A store of its own on the server at `url`.
pub(crate) async fn open(url: &str) -> Arc<dyn KeyStore> {
    match url.starts_with("redis://") {
        true => Arc::new(RedisStore::connect(url).await.unwrap()),
        false => Arc::new(PostgresStore::connect(url).await.unwrap()),
    }
}

/// An instance on the server at `url`, whose background work runs.
pub(crate) async fn instance(
    url: &str,
    change: impl FnOnce(keygate::Builder) -> keygate::Builder,
) -> Keygate {
    let builder = Keygate::builder(LIVE)
        .pepper(pepper())
        .store(open(url).await);
    change(builder).build().await.unwrap()
}
