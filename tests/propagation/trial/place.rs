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
            "postgres" | "postgresql" => postgres::end_listeners(&self.0),
            #[cfg(feature = "redis")]
            "redis" => redis::end_trackers(&self.0),
            other => panic!("the feed of {other} has no connections"),
        }
    }

    /// Whether the processes can make such connections anew. Those on which they read go on.
    pub(super) fn admit_feeds(&self, admit: bool) {
        match self.scheme() {
            #[cfg(feature = "postgres")]
            "postgres" | "postgresql" => postgres::admit_connections(&self.0, admit),
            #[cfg(feature = "redis")]
            "redis" => redis::admit_trackers(&self.0, admit),
            other => panic!("the feed of {other} has no connections"),
        }
    }

    fn scheme(&self) -> &str {
        self.0.split_once(':').map_or("", |(scheme, _)| scheme)
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use sqlx::postgres::PgConnectOptions;
    use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};

    pub(super) fn end_listeners(url: &str) -> usize {
        by_hand(url, async |hand, _| {
            // What a listening connection asked last is its heartbeat.
            let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                       WHERE query LIKE 'LISTEN %' OR query LIKE 'SELECT pg_notify(%'";
            sqlx::query(end).fetch_all(hand).await.unwrap().len()
        })
    }

    pub(super) fn admit_connections(url: &str, admit: bool) {
        by_hand(url, async |hand, database| {
            let alter = format!("ALTER DATABASE {database} ALLOW_CONNECTIONS {admit}");
            sqlx::raw_sql(AssertSqlSafe(alter))
                .execute(hand)
                .await
                .unwrap();
        });
    }

    /// Does something on the server of `url`, from another database.
    fn by_hand<T>(url: &str, act: impl AsyncFnOnce(&mut PgConnection, &str) -> T) -> T {
        let options: PgConnectOptions = url.parse().unwrap();
        let database = options.get_database().unwrap().to_owned();
        let acted = async {
            let mut hand = options.database("template1").connect().await.unwrap();
            let done = act(&mut hand, &database).await;
            hand.close().await.unwrap();
            done
        };
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().build().unwrap().block_on(acted)
    }
}

#[cfg(feature = "redis")]
mod redis {
    use ::redis::{Client, Connection, cmd};

    pub(super) fn end_trackers(url: &str) -> usize {
        let mut hand = by_hand(url);
        let list: String = cmd("CLIENT").arg("LIST").query(&mut hand).unwrap();
        // `B`: told of all keys with a prefix.
        let trackers = list
            .lines()
            .filter(|client| field(client, "flags").contains('B'));
        trackers
            .map(|client| {
                let mut kill = cmd("CLIENT");
                kill.arg("KILL").arg("ID").arg(field(client, "id"));
                kill.query::<usize>(&mut hand).unwrap()
            })
            .sum()
    }

    pub(super) fn admit_trackers(url: &str, admit: bool) {
        let sign = if admit { '+' } else { '-' };
        let mut allow = cmd("ACL");
        allow
            .arg("SETUSER")
            .arg("default")
            .arg(format!("{sign}client|tracking"));
        allow.exec(&mut by_hand(url)).unwrap();
    }

    fn by_hand(url: &str) -> Connection {
        Client::open(url).unwrap().get_connection().unwrap()
    }

    /// Of a line such as `id=7 flags=N`.
    fn field<'a>(client: &'a str, name: &str) -> &'a str {
        let mut fields = client.split(' ').filter_map(|field| field.split_once('='));
        fields
            .find(|(field, _)| *field == name)
            .map_or("", |(_, value)| value)
    }
}
