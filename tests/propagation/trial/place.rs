use std::sync::Arc;

use keygate::KeyStore;

/// Where the keys of a trial are kept, as something that can be handed to another process: the URL
/// of a server, or the path of a file.
#[derive(Clone, Debug)]
pub(crate) struct Place(String);

impl Place {
    pub(crate) fn of(address: impl Into<String>) -> Self {
        Self(address.into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) async fn open(&self) -> Arc<dyn KeyStore> {
        match self.scheme() {
            #[cfg(feature = "postgres")]
            "postgres" | "postgresql" => {
                Arc::new(keygate::PostgresStore::connect(&self.0).await.unwrap())
            }
            #[cfg(feature = "redis")]
            "redis" => Arc::new(keygate::RedisStore::connect(&self.0).await.unwrap()),
            #[cfg(feature = "sqlite")]
            "" => Arc::new(keygate::SqliteStore::open(&self.0).await.unwrap()),
            other => panic!("no store for {other}"),
        }
    }

    /// Ends the connections on which the processes hear of changes, and says how many there were.
    pub(super) fn end_feeds(&self) -> usize {
        match self.scheme() {
            #[cfg(feature = "postgres")]
            "postgres" | "postgresql" => end_listeners(&self.0),
            #[cfg(feature = "redis")]
            "redis" => end_trackers(&self.0),
            other => panic!("the feed of {other} has no connections"),
        }
    }

    fn scheme(&self) -> &str {
        self.0.split_once(':').map_or("", |(scheme, _)| scheme)
    }
}

#[cfg(feature = "redis")]
fn end_trackers(url: &str) -> usize {
    let client = redis::Client::open(url).unwrap();
    let mut connection = client.get_connection().unwrap();
    let list: String = redis::cmd("CLIENT")
        .arg("LIST")
        .query(&mut connection)
        .unwrap();
    let field = |line: &str, name: &str| {
        let mut fields = line.split(' ').filter_map(|field| field.split_once('='));
        let found = fields.find(|(field, _)| *field == name);
        found.map_or_else(String::new, |(_, value)| value.to_owned())
    };
    // `B`: told of all keys with a prefix.
    let trackers = list
        .lines()
        .filter(|line| field(line, "flags").contains('B'));
    trackers
        .map(|line| {
            let mut kill = redis::cmd("CLIENT");
            kill.arg("KILL").arg("ID").arg(field(line, "id"));
            kill.query::<usize>(&mut connection).unwrap()
        })
        .sum()
}

#[cfg(feature = "postgres")]
fn end_listeners(url: &str) -> usize {
    use sqlx::Connection;
    let end = async {
        let mut connection = sqlx::PgConnection::connect(url).await?;
        // What a listening connection asked last is its heartbeat.
        let ended = sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE query LIKE 'LISTEN %' OR query LIKE 'SELECT pg_notify(%'",
        );
        let ended = ended.fetch_all(&mut connection).await?.len();
        connection.close().await?;
        Ok::<usize, sqlx::Error>(ended)
    };
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(end)
        .unwrap()
}
