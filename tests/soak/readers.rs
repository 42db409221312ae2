//! Those who present keys, good and bad, to any instance.

use std::sync::Arc;
use std::time::Duration;

use keygate::KeyId;
use tokio::time::sleep;

use crate::http::Client;
use crate::ledger::Presented;
use crate::random::Random;
use crate::world::World;

/// How long an answer is waited for. The longest outlasts a freeze.
const PATIENCE: [u64; 4] = [300, 1_200, 3_000, 7_000];

/// So many ids that nobody has are presented, so that what is remembered of them stays bounded too.
const STRANGERS: usize = 500;

pub(crate) async fn read(world: Arc<World>, mut random: Random) {
    let mut client = Client::default();
    while world.goes_on() {
        sleep(random.millis(0, 60)).await;
        match random.below(100) {
            0..70 => {
                let presented = world.ledger.live_one(&mut random);
                read_one(&world, &mut client, &mut random, presented).await;
            }
            70..85 => {
                let presented = world.ledger.ended_one(&mut random);
                read_one(&world, &mut client, &mut random, presented).await;
            }
            _ => read_junk(&world, &mut client, &mut random).await,
        }
    }
}

async fn read_one(
    world: &World,
    client: &mut Client,
    random: &mut Random,
    presented: Option<Presented>,
) {
    let Some(presented) = presented else { return };
    let path = random.pick(&["/whoami", "/orders"]).unwrap();
    let patience = Duration::from_millis(*random.pick(&PATIENCE).unwrap());
    let instance = world.instance(random);
    let exchange = client.get(instance, path, &presented.text, patience).await;
    world.report.count("key", &exchange);
    if let Some(problem) = world.ledger.judge(&presented, &exchange) {
        world.report.violation(problem);
    }
}

async fn read_junk(world: &World, client: &mut Client, random: &mut Random) {
    let text = match random.below(3) {
        0 => stranger(random.below(STRANGERS)),
        1 => match world.ledger.live_one(random) {
            Some(presented) => with_wrong_secret(&presented.text, random),
            None => return,
        },
        _ => {
            let length = random.below(90) + 1;
            random.text(length)
        }
    };
    let instance = world.instance(random);
    let exchange = client
        .get(instance, "/whoami", &text, Duration::from_secs(2))
        .await;
    world.report.count("junk", &exchange);
    if let Some(status) = exchange
        .status()
        .filter(|status| ![400, 401, 503].contains(status))
    {
        world
            .report
            .violation(format!("{text}, which is no key, was answered {status}"));
    }
}

/// A text with a sound checksum whose id nobody has.
fn stranger(number: usize) -> String {
    let mut random = Random::of(0, "stranger", number as u64);
    let (id, secret) = (random.text(12), random.text(43));
    forge(&id, &secret)
}

fn with_wrong_secret(text: &str, random: &mut Random) -> String {
    let id = &text[text.len() - 62..text.len() - 50];
    let id: KeyId = id.parse().unwrap();
    forge(id.as_str(), &random.text(43))
}

fn forge(id: &str, secret: &str) -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = format!("acme_live_{id}_{secret}");
    let mut rest = crc32fast::hash(text.as_bytes()) as usize;
    let mut sum = [0; 6];
    for digit in sum.iter_mut().rev() {
        *digit = ALPHABET[rest % 62];
        rest /= 62;
    }
    text.extend(sum.map(char::from));
    text
}
