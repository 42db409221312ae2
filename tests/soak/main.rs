//! The soak: three processes of a service on one store, under load, while they and the server of
//! the store are killed, frozen, cut off from each other and started again at random.
//!
//! It fails when
//! - a request is accepted that began more than a second after its key was revoked or disabled, or
//!   its secret had ended, as was acknowledged;
//! - a key that is valid, or a secret of it, is refused;
//! - an acknowledged change is not in the store, or one is there by half;
//! - an instance does not do its work ten seconds after the last fault;
//! - in a run of five minutes or more, memory grows: the peak of the last third is more than 5 %
//!   above that of the first.
//!
//! Answers such as 503, and none at all, are what faults are for. By itself it runs for 20 seconds
//! on each store. A long run goes on from piece to piece, on the data that the piece before left:
//! ```text
//! for piece in 1 2 3 4 5 6; do
//!     KEYGATE_SOAK_SECONDS=600 KEYGATE_SOAK_DIR=soak KEYGATE_SOAK_STORE=postgres \
//!         cargo test --test soak --features axum,postgres,redis,sqlite -- --nocapture || break
//! done
//! ```
//! | variable | default | |
//! |---|---|---|
//! | `KEYGATE_SOAK_SECONDS` | 20 | how long a piece lasts |
//! | `KEYGATE_SOAK_DIR` | a temporary one | where a piece leaves data for the next; each store has a directory in it |
//! | `KEYGATE_SOAK_SEED` | random | what all choices derive from; later pieces go on with that of the first |
//! | `KEYGATE_SOAK_STORE` | all | `postgres`, `redis` or `sqlite` |
//!
//! The clock that judges is the program's own. A machine that stalls makes requests begin earlier
//! than they are sent, which excuses nothing: its stalls are measured and printed.
#![cfg(all(
    feature = "axum",
    feature = "postgres",
    feature = "redis",
    feature = "sqlite"
))]
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "these are tests"
)]

mod acknowledged;
mod faults;
mod http;
mod instance;
mod key;
mod ledger;
mod memory;
mod piece;
mod probes;
mod random;
mod readers;
mod report;
#[path = "../common/servers/mod.rs"]
mod servers;
mod service;
mod settings;
mod stalls;
mod state;
mod store;
mod world;
mod writers;

use store::Kind;

#[test]
fn on_postgres_nobody_is_let_in_or_turned_away_by_mistake_and_nothing_is_lost() {
    piece::run(Kind::Postgres);
}

#[test]
fn on_redis_nobody_is_let_in_or_turned_away_by_mistake_and_nothing_is_lost() {
    piece::run(Kind::Redis);
}

#[test]
fn on_sqlite_nobody_is_let_in_or_turned_away_by_mistake_and_nothing_is_lost() {
    piece::run(Kind::Sqlite);
}
