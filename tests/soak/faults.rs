//! Who is killed, frozen, cut off and started again, and whether all recover.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{join, join_all};
use tokio::time::sleep;

use crate::http::{Client, Exchange, Outcome};
use crate::ledger::Presented;
use crate::random::Random;
use crate::world::{World, aside, sleep_before};

/// The instance that is never killed, so that its memory can be watched.
pub(crate) const WATCHED: usize = 0;

/// Within this time after the last fault every instance takes changes and keys again, and hears of
/// changes.
const RECOVERY: Duration = Duration::from_secs(10);

/// Until `until` everybody is harassed now and then. All are well when this returns.
pub(crate) async fn storm(world: &Arc<World>, seed: u64, number: u64, until: Instant) {
    let services = (0..world.instances.len()).map(|instance| {
        let random = Random::of(seed, "service", number * 1_000 + instance as u64);
        harass_service(world, instance, random, until)
    });
    let services = join_all(services);
    if world.store.port().is_some() {
        let random = Random::of(seed, "server", number);
        join(services, harass_server(world, random, until)).await;
    } else {
        services.await;
    }
}

async fn harass_service(world: &Arc<World>, number: usize, mut random: Random, until: Instant) {
    let instance = &world.instances[number];
    while pause(&mut random, until).await {
        let length = random.millis(100, 5_000);
        match (random.below(100), &instance.way) {
            (0..30, _) if number != WATCHED => {
                world.report.fault("service killed");
                aside(world, move |world| world.instances[number].kill()).await;
                sleep_before(until, length / 3).await;
                aside(world, move |world| world.instances[number].start()).await;
            }
            (60..80, Some(way)) => {
                world.report.fault("service cut off from the store");
                way.block();
                sleep_before(until, length).await;
                way.unblock();
            }
            (80..90, Some(way)) => {
                world.report.fault("connections to the store ended");
                way.cut();
            }
            (90.., Some(way)) => {
                world.report.fault("connections to the store left for dead");
                way.strand();
            }
            _ => {
                world.report.fault("service frozen");
                instance.freeze();
                sleep_before(until, length).await;
                instance.thaw();
            }
        }
    }
}

async fn harass_server(world: &Arc<World>, mut random: Random, until: Instant) {
    while pause(&mut random, until).await {
        let length = random.millis(100, 5_000);
        if random.chance(50) {
            world.report.fault("server killed");
            aside(world, |world| world.store.kill()).await;
            sleep_before(until, length / 3).await;
            aside(world, |world| world.store.restart()).await;
        } else {
            world.report.fault("server frozen");
            aside(world, |world| world.store.freeze()).await;
            sleep_before(until, length).await;
            aside(world, |world| world.store.thaw()).await;
        }
    }
}

/// A while without a fault; whether there is time for one after it.
async fn pause(random: &mut Random, until: Instant) -> bool {
    sleep_before(until, random.millis(100, 3_000)).await;
    Instant::now() < until
}

/// Waits until every instance does its work again, and says who does not in time.
pub(crate) async fn recover(world: &World) {
    let healed = Instant::now();
    for instance in &world.instances {
        if let Some(status) = instance.ended_by_itself() {
            let what = format!("service {} ended by itself: {status}", instance.number);
            world.report.violation(what);
            instance.start();
        }
    }
    let recovering = world
        .instances
        .iter()
        .map(|instance| works(world, instance.number, healed));
    join_all(recovering).await;
}

/// Until an instance issues a key that opens everywhere, and hears of changes.
async fn works(world: &World, number: usize, healed: Instant) {
    let mut client = Client::default();
    let mut seen = String::new();
    while healed.elapsed() < RECOVERY {
        match try_out(world, number, &mut client).await {
            Ok(()) => return world.report.recovered(healed.elapsed()),
            Err(problem) => seen = problem,
        }
        sleep(Duration::from_millis(20)).await;
    }
    let what = format!("service {number} did not recover within {RECOVERY:?}: {seen}");
    world.report.violation(what);
}

async fn try_out(world: &World, number: usize, client: &mut Client) -> Result<(), String> {
    const PATIENCE: Duration = Duration::from_secs(2);
    let instance = &world.instances[number];
    let exchange = client.get(instance, "/feed", "", PATIENCE).await;
    expect_200("the feed", &exchange)?;
    let presented = issue(world, number, client).await?;
    for other in &world.instances {
        let exchange = client
            .get(other, "/whoami", &presented.text, PATIENCE)
            .await;
        if let Some(problem) = world.ledger.judge(&presented, &exchange) {
            world.report.violation(problem);
        }
        expect_200("a new key", &exchange)?;
    }
    Ok(())
}

async fn issue(world: &World, number: usize, client: &mut Client) -> Result<Presented, String> {
    const PATIENCE: Duration = Duration::from_secs(5);
    let instance = &world.instances[number];
    let exchange = client.post(instance, "/keys", &world.admin, PATIENCE).await;
    if let Err(problem) = expect_200("issuing", &exchange) {
        world.ledger.keys().perhaps_issued += 1;
        return Err(problem);
    }
    let Outcome::Answered { body, .. } = &exchange.outcome else {
        return Err("no answer".into());
    };
    let id = world.ledger.issued(body, exchange.ended);
    Ok(world.ledger.newest(id))
}

fn expect_200(what: &str, exchange: &Exchange) -> Result<(), String> {
    match &exchange.outcome {
        Outcome::Answered { status: 200, .. } => Ok(()),
        other => Err(format!("{what}: {other:?}")),
    }
}
