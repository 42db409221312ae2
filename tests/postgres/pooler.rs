//! Behind pgbouncer, which hands out a connection for one transaction.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use keygate::conformance;
use keygate::{KeyStore, PostgresStore, StoreErrorKind};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::contract::assert_whole;
use crate::feed::{Following, Heard};
use crate::servers::{free_port, program};
use crate::support::*;

struct Pooler {
    process: Child,
    port: u16,
    _directory: TempDir,
}

impl Pooler {
    /// In transaction mode, with few connections to the server, so that they are shared.
    fn start(server: &PostgresServer) -> Option<Self> {
        let program = program("pgbouncer", &[Path::new("/usr/sbin")])?;
        let directory = tempfile::tempdir().unwrap();
        let port = free_port();
        let users = directory.path().join("users");
        fs::write(&users, "\"postgres\" \"\"\n").unwrap();
        let settings = directory.path().join("settings");
        let text = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {}\n\
             pool_mode = transaction\ndefault_pool_size = 3\n\
             ignore_startup_parameters = extra_float_digits, options\n",
            server.port(),
            users.display(),
        );
        fs::write(&settings, text).unwrap();
        for path in [directory.path(), &users, &settings] {
            let mode = if path.is_dir() { 0o755 } else { 0o644 };
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        let mut command = Command::new(program);
        command.arg(&settings);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        // It does not run as the super-user.
        if fs::metadata(directory.path()).unwrap().uid() == 0 {
            command.uid(65_534).gid(65_534);
        }
        let process = command.spawn().unwrap();
        let deadline = Instant::now() + millis(10_000);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "pgbouncer did not start");
            std::thread::sleep(millis(10));
        }
        Some(Self {
            process,
            port,
            _directory: directory,
        })
    }

    fn url(&self, place: &Place) -> String {
        let database = place.url.rsplit('/').next().unwrap();
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn open_through(pooler: &Pooler, place: &Place) -> PostgresStore {
    let builder = PostgresStore::builder(hosts_pool(&pooler.url(place), 10));
    builder
        .schema(&place.schema)
        .through_transaction_pooler()
        .listen_options(place.url.parse().unwrap())
        .open()
        .await
        .unwrap()
}

#[tokio::test]
async fn behind_a_transaction_pooler_it_keeps_every_clause() {
    let Some(place) = Place::new().await else {
        return;
    };
    let Some(pooler) = Pooler::start(shared_server().unwrap()) else {
        return;
    };
    let open = async || open_through(&pooler, &place.another_schema()).await;
    assert_whole(&conformance::check(open).await);
}

#[tokio::test]
async fn behind_a_transaction_pooler_the_feed_listens_at_the_server_itself() {
    let Some(place) = Place::new().await else {
        return;
    };
    let Some(pooler) = Pooler::start(shared_server().unwrap()) else {
        return;
    };
    let store = open_through(&pooler, &place).await;
    let following = Following::live(&store).await;
    let first = record();
    insert(&store, &first).await.unwrap();
    following.until(Heard::Changed(first.id)).await;

    // Through the pooler nothing is heard, and so the feed never lives.
    let url = pooler.url(&place);
    let builder = PostgresStore::builder(hosts_pool(&url, 10));
    let deaf = builder
        .through_transaction_pooler()
        .listen_options(url.parse().unwrap())
        .open()
        .await
        .unwrap();
    let following = Following::begin(&deaf);
    let ears = std::sync::Arc::clone(&following.ears);
    following.broken().await;
    assert!(!ears.has(Heard::Alive));

    // Without options of its own it has none.
    let builder = PostgresStore::builder(hosts_pool(&url, 10));
    let store = builder.through_transaction_pooler().open().await.unwrap();
    assert!(store.abilities().change_feed.is_none());
}

#[tokio::test]
async fn the_pool_of_the_store_goes_through_a_transaction_pooler_too() {
    let Some(place) = Place::new().await else {
        return;
    };
    let Some(pooler) = Pooler::start(shared_server().unwrap()) else {
        return;
    };
    let pool = PostgresStore::pool(&pooler.url(&place)).unwrap();
    let builder = PostgresStore::builder(pool).through_transaction_pooler();
    let store = builder.open().await.unwrap();
    let record = full_record();
    insert(&store, &record).await.unwrap();
    assert_eq!(store.get(&record.id).await.unwrap(), Some(record));
}

#[tokio::test]
async fn many_at_once_share_few_connections_of_the_pooler() {
    let Some(place) = Place::new().await else {
        return;
    };
    let Some(pooler) = Pooler::start(shared_server().unwrap()) else {
        return;
    };
    let store = open_through(&pooler, &place).await;
    let records: Vec<_> = (0..40).map(|_| full_record()).collect();
    let writes = records.iter().map(|record| insert(&store, record));
    for outcome in futures_util::future::join_all(writes).await {
        outcome.unwrap();
    }
    let gets = records.iter().map(|record| store.get(&record.id));
    let found = futures_util::future::join_all(gets).await;
    for (found, record) in found.into_iter().zip(&records) {
        assert_eq!(found.unwrap().as_ref(), Some(record));
    }
    let taken = insert(&store, &records[0]).await;
    assert_eq!(kind(taken), StoreErrorKind::Taken);
}
