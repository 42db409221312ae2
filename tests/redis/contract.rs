//! The public suite on this store: alone, as two processes on one server, and with damaged records.

use std::sync::atomic::{AtomicUsize, Ordering};

use keygate::conformance::{self, Outcome, Report};
use keygate::{KeyId, RedisStore};

use crate::support::*;

/// A server, and a namespace of it for each case.
struct Namespaces {
    server: RedisServer,
    used: AtomicUsize,
}

impl Namespaces {
    fn of(server: RedisServer) -> Self {
        Self {
            server,
            used: AtomicUsize::new(0),
        }
    }

    fn next(&self) -> String {
        format!("case-{}", self.used.fetch_add(1, Ordering::Relaxed))
    }

    async fn open(&self, namespace: &str) -> RedisStore {
        let builder = RedisStore::builder(&self.server.url()).namespace(namespace);
        builder.connect().await.unwrap()
    }
}

/// Nothing failed, and nothing was skipped for the want of an ability.
#[track_caller]
fn assert_whole(report: &Report) {
    report.assert_ok();
    for case in report.cases() {
        assert!(!matches!(case.outcome, Outcome::Skipped(_)), "{case}");
    }
}

#[tokio::test]
async fn it_keeps_every_clause() {
    let namespaces = Namespaces::of(server!());
    let open = async || namespaces.open(&namespaces.next()).await;
    assert_whole(&conformance::check(open).await);
}

#[tokio::test]
async fn it_keeps_every_clause_on_valkey() {
    let Some(server) = RedisServer::start_valkey() else {
        return;
    };
    let namespaces = Namespaces::of(server);
    let open = async || namespaces.open(&namespaces.next()).await;
    assert_whole(&conformance::check(open).await);
}

#[tokio::test]
async fn it_keeps_every_clause_between_two_processes_on_one_server() {
    let namespaces = Namespaces::of(server!());
    let open_two = async || {
        let namespace = namespaces.next();
        let first = namespaces.open(&namespace).await;
        (first, namespaces.open(&namespace).await)
    };
    assert_whole(&conformance::check_shared(open_two).await);
}

#[tokio::test]
async fn a_damaged_record_fails_alone() {
    for damage in [
        "HSET KEY owner somebody",
        "HDEL KEY body",
        "DEL KEY",
        "SET KEY text",
    ] {
        let namespaces = Namespaces::of(server!());
        let open = async || namespaces.open(&namespaces.next()).await;
        let spoil = async |_: &RedisStore, id: &KeyId| {
            let case = namespaces.used.load(Ordering::Relaxed) - 1;
            let key = format!("{{case-{case}}}:key:{id}");
            type_in(&namespaces.server, &damage.replace("KEY", &key)).await;
        };
        let report = conformance::check_damaged(open, spoil).await;
        match damage {
            // What is gone is unknown to get, and still told of by list.
            "DEL KEY" => assert_eq!(report.failures().count(), 1, "{report}"),
            _ => assert_whole(&report),
        }
    }
}
