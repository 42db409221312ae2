//! Those who issue, rotate, disable, enable and revoke keys, by any instance or by hand.

use std::sync::Arc;
use std::time::{Duration, Instant};

use keygate::KeyId;
use serde::Deserialize;
use tokio::time::sleep;

use crate::http::{Client, Outcome};
use crate::key::{Change, Key};
use crate::ledger::BOUND;
use crate::probes::{probe, warm};
use crate::random::Random;
use crate::world::World;

/// So many keys are kept alive.
const LIVE: usize = 150;

const PATIENCE: [u64; 3] = [500, 2_000, 6_000];

/// How long it may take to revoke a key for good, whatever happens to whom.
const REVOCATION: Duration = Duration::from_secs(60);

struct Writer {
    world: Arc<World>,
    random: Random,
    client: Client,
}

/// What became of a change.
enum Made {
    Done(String, Instant),
    Nothing(String),
    Unknown(String),
}

/// What a service tells of a change.
#[derive(Deserialize)]
struct Told {
    version: u64,
    key: Option<String>,
    effective_within: Option<u128>,
}

pub(crate) async fn write(world: Arc<World>, random: Random) {
    let mut writer = Writer {
        world,
        random,
        client: Client::default(),
    };
    while writer.world.goes_on() {
        let pause = match writer.world.ledger.keys().live.len() < LIVE {
            true => writer.random.millis(0, 20),
            false => writer.random.millis(0, 250),
        };
        sleep(pause).await;
        writer.step().await;
    }
}

impl Writer {
    async fn step(&mut self) {
        let live = self.world.ledger.keys().live.len();
        match self.random.below(100) {
            _ if live < LIVE => self.issue().await,
            0..40 => self.change(|_| true, Change::Revoke).await,
            40..70 => {
                let overlap = match self.random.chance(30) {
                    true => Duration::ZERO,
                    false => self.random.millis(100, 2_000),
                };
                let settled = |key: &Key| !key.disabled && key.rotating_until < Instant::now();
                self.change(settled, Change::Rotate { overlap }).await;
            }
            70..85 => {
                let settled = |key: &Key| !key.disabled && key.rotating_until < Instant::now();
                self.change(settled, Change::Disable).await;
            }
            _ => self.change(|key| key.disabled, Change::Enable).await,
        }
    }

    async fn issue(&mut self) {
        let ledger = &Arc::clone(&self.world).ledger;
        match self.post("/keys").await {
            Made::Done(body, at) => {
                ledger.issued(&body, at);
            }
            Made::Nothing(_) => {}
            Made::Unknown(_) => ledger.keys().perhaps_issued += 1,
        }
    }

    /// Makes a change of a key that `wanted` accepts. A key whose state is in doubt after it is
    /// revoked.
    async fn change(&mut self, wanted: impl Fn(&Key) -> bool, change: Change) {
        let world = Arc::clone(&self.world);
        let Some(id) = world.ledger.take(&mut self.random, wanted) else {
            return;
        };
        if change == Change::Revoke {
            self.revoke(id).await;
        } else {
            let path = match change {
                Change::Rotate { overlap } => format!("/keys/{id}/rotate/{}", overlap.as_millis()),
                Change::Disable => format!("/keys/{id}/disable"),
                _ => format!("/keys/{id}/enable"),
            };
            if !self.make(id, change, &path).await && world.ledger.keys().all[&id].in_doubt {
                self.revoke(id).await;
            }
        }
        world.ledger.give_back(id);
    }

    /// Revokes a key, and does not stop before that is acknowledged.
    async fn revoke(&mut self, id: KeyId) {
        let world = Arc::clone(&self.world);
        let place = Arc::clone(&world.probes).try_acquire_owned().ok();
        let presented = world.ledger.newest(id);
        if place.is_some() {
            warm(&world, &presented).await;
        }
        let deadline = Instant::now() + REVOCATION;
        let path = format!("/keys/{id}/revoke");
        let by_hand = self.random.chance(25);
        loop {
            let is_done = match by_hand {
                true => self.revoke_by_hand(id).await,
                false => self.make(id, Change::Revoke, &path).await,
            };
            if is_done {
                break;
            }
            if Instant::now() > deadline {
                let what = format!("key {id} could not be revoked in {REVOCATION:?}");
                return world.report.violation(what);
            }
            sleep(self.random.millis(50, 300)).await;
        }
        let now = Instant::now();
        world.report.revoked();
        if let Some(place) = place {
            tokio::spawn(probe(world, presented, now, place));
        }
    }

    /// Whether the change was acknowledged.
    async fn make(&mut self, id: KeyId, change: Change, path: &str) -> bool {
        let world = Arc::clone(&self.world);
        let begun = world.ledger.begin(id, change, "by HTTP");
        match self.post(path).await {
            Made::Done(body, at) => {
                let told: Told = serde_json::from_str(&body).unwrap();
                if told
                    .effective_within
                    .is_some_and(|within| within != BOUND.as_millis())
                {
                    let what = format!("key {id} was revoked with another bound: {body}");
                    world.report.violation(what);
                }
                world.ledger.done(id, change, told.key, told.version, at);
                true
            }
            Made::Nothing(why) => {
                world.ledger.undone(id, begun, &why);
                false
            }
            Made::Unknown(why) => {
                world.ledger.in_doubt(id, &why);
                false
            }
        }
    }

    async fn revoke_by_hand(&self, id: KeyId) -> bool {
        let ledger = &self.world.ledger;
        ledger.begin(id, Change::Revoke, "by hand");
        ledger.keys().key(id).by_hand += 1;
        match self.world.store.revoke_by_hand(&id).await {
            Ok(_) => {
                let now = Instant::now();
                ledger.done(id, Change::Revoke, None, 0, now);
                true
            }
            Err(why) => {
                ledger.in_doubt(id, &why);
                false
            }
        }
    }

    async fn post(&mut self, path: &str) -> Made {
        let patience = Duration::from_millis(*self.random.pick(&PATIENCE).unwrap());
        let instance = self.world.instance(&mut self.random);
        let admin = &self.world.admin;
        let exchange = self.client.post(instance, path, admin, patience).await;
        self.world.report.count("change", &exchange);
        match exchange.outcome {
            Outcome::NotSent => Made::Nothing("not sent".into()),
            Outcome::Lost => Made::Unknown("no answer".into()),
            Outcome::Answered { status: 200, body } => Made::Done(body, exchange.ended),
            Outcome::Answered { status: 503, body } => Made::Nothing(body),
            Outcome::Answered { status: 504, body } => Made::Unknown(body),
            Outcome::Answered { status, body } => {
                let instance = exchange.instance;
                let what = format!("{path} on service {instance} was answered {status}: {body}");
                self.world.report.violation(what.clone());
                Made::Unknown(what)
            }
        }
    }
}
