//! Many instances on one PostgreSQL, and on one Redis: servers that a test starts and kills.

use std::process::Command;
use std::time::{Duration, Instant};

use keygate::KeyStore;
use serde_json::json;
use tempfile::TempDir;

use crate::counted;
use crate::live::Live;
use crate::servers::{postgres::PostgresServer, redis::RedisServer};
use crate::support::*;

/// Within which a revocation is honoured, and an outage noticed.
const SECOND: Duration = Duration::from_secs(1);

/// For what must come.
const PATIENCE: Duration = Duration::from_secs(60);

trait Server {
    fn url(&self) -> String;
    fn kill(&mut self);
    fn restart(&mut self);
    async fn store(&self) -> Box<dyn KeyStore>;
}

impl Server for PostgresServer {
    fn url(&self) -> String {
        self.url()
    }

    fn kill(&mut self) {
        self.kill();
    }

    fn restart(&mut self) {
        self.restart();
    }

    async fn store(&self) -> Box<dyn KeyStore> {
        Box::new(keygate::PostgresStore::connect(&self.url()).await.unwrap())
    }
}

impl Server for RedisServer {
    fn url(&self) -> String {
        self.url()
    }

    fn kill(&mut self) {
        self.kill();
    }

    fn restart(&mut self) {
        self.restart();
    }

    async fn store(&self) -> Box<dyn KeyStore> {
        Box::new(keygate::RedisStore::connect(&self.url()).await.unwrap())
    }
}

/// Each of them on both.
macro_rules! on_each_server {
    ($($case:ident),* $(,)?) => {
        mod postgres {
            $(#[test] fn $case() {
                if let Some(server) = crate::servers::postgres::PostgresServer::start() {
                    super::$case(server);
                }
            })*
        }

        mod redis {
            $(#[test] fn $case() {
                if let Some(server) = crate::servers::redis::RedisServer::start() {
                    super::$case(server);
                }
            })*
        }
    };
}

on_each_server!(
    a_claim_to_the_first_key_that_nobody_lives_up_to_is_taken_over,
    a_database_that_is_away_ends_the_start_with_one_clear_line,
    a_database_that_dies_is_our_failure_until_it_is_back,
    a_wrong_pepper_or_none_ends_the_start_with_one_clear_line,
    instances_that_start_at_once_print_one_key_and_honour_each_others_revocations,
    kills_lose_an_interval_at_most,
    the_counts_of_instances_add_up_and_a_stop_loses_nothing,
);

/// An instance as on a host of its own: nothing but the database is shared.
fn instance(server: &impl Server) -> (TempDir, Command) {
    let host = tempfile::tempdir().unwrap();
    let mut command = command(host.path());
    command
        .env("KEYGATE_STORE", server.url())
        .env("KEYGATE_PEPPER", PEPPER);
    (host, command)
}

fn start(server: &impl Server) -> Service {
    let (_host, mut command) = instance(server);
    Service::spawn(&mut command)
}

fn instances_that_start_at_once_print_one_key_and_honour_each_others_revocations(
    server: impl Server + Sync,
) {
    let services: Vec<Service> = std::thread::scope(|scope| {
        let starters: Vec<_> = (0..4).map(|_| scope.spawn(|| start(&server))).collect();
        let joined = starters.into_iter().map(|starter| starter.join().unwrap());
        joined.collect()
    });
    let keys: Vec<String> = services.iter().flat_map(Service::bootstrap_keys).collect();
    let [admin] = &keys[..] else {
        panic!("{} keys were printed", keys.len())
    };
    for revoker in &services {
        let (id, key) = services[0].issue(admin, json!({"owner": "org_42"}));
        for service in &services {
            assert_eq!(service.get("/v1/whoami", &key).status, 200);
        }
        let path = format!("/v1/keys/{id}");
        assert_eq!(revoker.call("DELETE", &path, admin, None).status, 200);
        let acknowledged = Instant::now();
        for service in &services {
            refused_in_time(service, &key, acknowledged);
        }
    }
    assert_eq!(start(&server).bootstrap_keys(), Vec::<String>::new());
}

#[test]
fn instances_on_redis_count_the_limit_of_a_key_together() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    let first = start(&server);
    let second = start(&server);
    let admin = first.bootstrap_keys().remove(0);
    let limit = json!({"requests": 5, "per_seconds": 3_600});
    let (_, key) = first.issue(&admin, json!({"owner": "org_42", "rate_limit": limit}));
    let statuses = (0..4).flat_map(|_| [&first, &second]);
    let statuses: Vec<u16> = statuses
        .map(|service| service.get("/v1/whoami", &key).status)
        .collect();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429, 429, 429]);
}

/// It may open until a second has passed, and never again once it was refused.
fn refused_in_time(service: &Service, key: &str, acknowledged: Instant) {
    loop {
        let begun = acknowledged.elapsed();
        let answer = service.get("/v1/whoami", key);
        if answer.status != 200 || begun > SECOND {
            answer.expect(401, "key_revoked");
            break;
        }
    }
    let again = service.get("/v1/whoami", key);
    again.expect(401, "key_revoked");
}

fn a_claim_to_the_first_key_that_nobody_lives_up_to_is_taken_over(server: impl Server) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = server.store().await;
        let settings = store.abilities().settings.unwrap();
        let claimed = settings.compare_and_set("service/bootstrap_key_printed", None, b"claim");
        claimed.await.unwrap();
    });
    let service = start(&server);
    let [key] = &service.bootstrap_keys()[..] else {
        panic!("{:?}", service.printed)
    };
    assert_eq!(service.get("/v1/whoami", key).status, 200);
}

/// The one line that a start ends with.
fn error_of(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{stderr}");
    assert!(output.stdout.is_empty(), "it said that it was listening");
    let errors = stderr.lines().filter(|line| line.starts_with("error: "));
    let errors: Vec<&str> = errors.collect();
    assert!(
        errors.len() == 1 && !stderr.contains("panicked"),
        "{stderr}"
    );
    errors[0].to_owned()
}

fn a_wrong_pepper_or_none_ends_the_start_with_one_clear_line(server: impl Server) {
    let (_host, mut command) = instance(&server);
    let error = error_of(command.env_remove("KEYGATE_PEPPER"));
    assert!(error.contains("KEYGATE_PEPPER is not set"), "{error}");
    drop(start(&server));
    let other = "YW5vdGhlciBwZXBwZXIgdGhhbiB0aGUgZmlyc3Qgb25lIQ==";
    let error = error_of(command.env("KEYGATE_PEPPER", other));
    assert!(error.contains("is not the one that the keys"), "{error}");
}

fn a_database_that_is_away_ends_the_start_with_one_clear_line(mut server: impl Server) {
    server.kill();
    let (_host, mut command) = instance(&server);
    let with_password = server.url().replace("://", "://keys:hunter2@");
    let with_password = with_password.replace("hunter2@postgres@", "hunter2@");
    let error = error_of(command.env("KEYGATE_STORE", with_password));
    assert!(error.contains(" cannot be "), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

fn a_database_that_dies_is_our_failure_until_it_is_back(mut server: impl Server) {
    let service = start(&server);
    let [admin] = &service.bootstrap_keys()[..] else {
        panic!("{:?}", service.printed)
    };
    let (_, key) = service.issue(admin, json!({"owner": "org_42", "scopes": ["orders:read"]}));
    let mut live = Live::greeted(&service, &key);
    server.kill();
    // It may have lived until here: to kill all its processes takes a moment.
    let killed = Instant::now();
    loop {
        let begun = killed.elapsed();
        let answer = service.get("/v1/orders", &key);
        match answer.status {
            200 if begun <= SECOND => std::thread::sleep(Duration::from_millis(20)),
            503 if begun <= SECOND => {}
            _ => {
                answer.expect(503, "store_unavailable");
                assert!(answer.headers.contains_key("retry-after"));
                break;
            }
        }
    }
    assert_eq!(live.closed(), (1013, "store_unavailable".into()));
    let path = "/v1/keys/self/rotate";
    let refused = service.call("POST", path, &key, None);
    refused.expect(503, "store_unavailable");

    server.restart();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = service.get("/v1/orders", &key);
        if answer.status == 200 {
            break;
        }
        answer.expect(503, "store_unavailable");
        assert!(Instant::now() < deadline, "it did not come back");
        std::thread::sleep(Duration::from_millis(50));
    }
    Live::greeted(&service, &key);
    assert!(service.stop("TERM").status.success(), "it stops as usual");
}

fn kills_lose_an_interval_at_most(server: impl Server) {
    counted::kills_lose_an_interval_at_most(|| start(&server), 1);
}

fn the_counts_of_instances_add_up_and_a_stop_loses_nothing(server: impl Server) {
    counted::instances_add_up_and_a_stop_loses_nothing(|| start(&server));
}
