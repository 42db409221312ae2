//! One case table through every adapter, in process and over real sockets.

#[path = "../common/mod.rs"]
mod common;

mod answers;
mod cases;
mod limits;
mod over_actix;
mod over_axum;
mod over_tonic;
mod over_tower;
mod wire;
mod world;

use crate::answers::{GrpcAnswer, HttpAnswer};
use crate::cases::CASES;
use crate::world::{Sent, Stage};

/// What carries a request to a guard and its answer back.
trait Http {
    async fn ask(&mut self, sent: &Sent) -> HttpAnswer;
}

trait Grpc {
    async fn ask(&mut self, sent: &Sent) -> GrpcAnswer;
}

/// Each case twice: what is decided from the cache is decided alike.
async fn play_http(stage: &Stage, adapter: &mut impl Http) {
    for case in CASES {
        stage.set(case.store);
        let sent = stage.request(case);
        for _cold_then_cached in 0..2 {
            adapter.ask(&sent).await.check(case);
        }
    }
    stage.check_usage().await;
    stage.check_leaks().await;
    stage.check_exposures().await;
    limits::play_http(stage, adapter).await;
}

async fn play_grpc(stage: &Stage, adapter: &mut impl Grpc) {
    for case in CASES {
        stage.set(case.store);
        let sent = stage.request(case);
        for _cold_then_cached in 0..2 {
            adapter.ask(&sent).await.check(case);
        }
    }
    stage.check_usage().await;
    stage.check_leaks().await;
    stage.check_exposures().await;
    limits::play_grpc(stage, adapter).await;
}
