//! Changes that are followed closely: on every instance, from before they are made.

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
pub(crate) async fn follow_end(
    world: Arc<World>,
    presented: Presented,
    revoked: Instant,
    _place: OwnedSemaphorePermit,
) {
    let last_accepted = follow(&world, &presented, revoked, Duration::from_millis(2)).await;
    world.report.honoured(last_accepted);
}

/// Follows a secret that was made valid at `since`, past the time that a refusal is believed for.
pub(crate) async fn follow_beginning(
    world: Arc<World>,
    presented: Presented,
    since: Instant,
    _place: OwnedSemaphorePermit,
) {
    follow(&world, &presented, since, Duration::from_millis(60)).await;
}

/// How long after `since` a request began that was accepted, the last on any instance. After one
/// that is accepted, `pause` is made.
async fn follow(world: &World, presented: &Presented, since: Instant, pause: Duration) -> Duration {
    let following = world.instances.iter().map(|instance| async move {
        let mut client = Client::default();
        let mut last_accepted = Duration::ZERO;
        while since.elapsed() < LENGTH {
            match ask(world, instance, &mut client, presented).await {
                Some((begun, 200)) => {
                    last_accepted = begun.saturating_duration_since(since);
                    sleep(pause).await;
                }
                _ => sleep(Duration::from_millis(60)).await,
            }
        }
        last_accepted
    });
    let last_accepted = join_all(following).await.into_iter().max();
    last_accepted.unwrap_or_default()
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
