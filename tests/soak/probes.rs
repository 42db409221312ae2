//! Revocations that are followed closely: how long after one a request was still accepted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::sleep;

use crate::http::Client;
use crate::instance::Instance;
use crate::ledger::{BOUND, Presented};
use crate::world::World;

/// Until well after the bound, so that whoever still accepts is seen.
const LENGTH: Duration = BOUND.saturating_add(Duration::from_millis(300));

const PATIENCE: Duration = Duration::from_millis(400);

/// Sees to it that every instance has read the key, if it answers.
pub(crate) async fn warm(world: &World, presented: &Presented) {
    let warming = world.instances.iter().map(|instance| async {
        let mut client = Client::default();
        ask(world, instance, &mut client, presented).await;
    });
    join_all(warming).await;
}

/// Follows the revocation that was acknowledged at `revoked`, until it must be honoured.
pub(crate) async fn probe(
    world: Arc<World>,
    presented: Presented,
    revoked: Instant,
    _place: OwnedSemaphorePermit,
) {
    let following = world
        .instances
        .iter()
        .map(|instance| follow(&world, instance, &presented, revoked));
    let last_accepted = join_all(following).await.into_iter().max();
    world.report.honoured(last_accepted.unwrap_or_default());
}

/// How long after the revocation a request began that was still accepted.
async fn follow(
    world: &World,
    instance: &Instance,
    presented: &Presented,
    revoked: Instant,
) -> Duration {
    let mut client = Client::default();
    let mut last_accepted = Duration::ZERO;
    while revoked.elapsed() < LENGTH {
        match ask(world, instance, &mut client, presented).await {
            Some((begun, 200)) => {
                last_accepted = begun.saturating_duration_since(revoked);
                sleep(Duration::from_millis(2)).await;
            }
            _ => sleep(Duration::from_millis(60)).await,
        }
    }
    last_accepted
}

async fn ask(
    world: &World,
    instance: &Instance,
    client: &mut Client,
    presented: &Presented,
) -> Option<(Instant, u16)> {
    let exchange = client
        .get(instance, "/whoami", &presented.text, PATIENCE)
        .await;
    world.report.count("probe", &exchange);
    if let Some(problem) = world.ledger.judge(presented, &exchange) {
        world.report.violation(problem);
    }
    Some((exchange.begun, exchange.status()?))
}
