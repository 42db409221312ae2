//! A key that is revoked in one process is refused in all others within the second that
//! [`keygate::Revoked`] promises, also when the feed of changes is cut: three processes on one store,
//! for each store.

#![cfg(all(unix, any(feature = "postgres", feature = "redis", feature = "sqlite")))]
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "these are tests"
)]

#[path = "../common/servers/mod.rs"]
mod servers;
mod trial;

use std::process::Command;
use std::time::Duration;

use trial::{Place, Plan, Trial};

/// What `revoke` says on a gate without an outage grace.
const PROMISE: Duration = Duration::from_secs(1);

#[test]
#[ignore = "a process of the other tests"]
fn member() {
    trial::member();
}

#[cfg(feature = "sqlite")]
#[test]
fn a_revocation_reaches_other_processes_within_a_second_on_sqlite() {
    let directory = tempfile::tempdir().unwrap();
    let place = Place::of(directory.path().join("keys.db").to_str().unwrap());
    hold(&place, Plan::on_the_feed(30));
}

#[cfg(feature = "postgres")]
#[test]
fn a_revocation_reaches_other_processes_within_a_second_on_postgres_also_when_the_feed_is_cut() {
    let Some(server) = servers::postgres::PostgresServer::start() else {
        return;
    };
    hold(&Place::of(server.url()), Plan::with_cuts(20, 5));
}

#[cfg(feature = "redis")]
#[test]
fn a_revocation_reaches_other_processes_within_a_second_on_redis_also_when_the_feed_is_cut() {
    let Some(server) = servers::redis::RedisServer::start() else {
        return;
    };
    hold(&Place::of(server.url()), Plan::with_cuts(20, 5));
}

/// Holds every decision to the promise that `revoke` makes.
#[track_caller]
fn hold(place: &Place, plan: Plan) {
    let member = || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["member", "--exact", "--ignored", "--nocapture"]);
        command
    };
    let trial = Trial::run(place, plan, member, |revocation| {
        for refusal in &revocation.refusals {
            let late = refusal.last_accepted.since(revocation.acknowledged);
            assert!(
                late <= PROMISE,
                "with the feed {}, a decision that began {late:?} after the revocation was \
                 acknowledged let the key in",
                revocation.feed
            );
        }
    });
    println!("{trial}");
    assert_eq!(trial.revocations.len(), plan.revocations());
}
