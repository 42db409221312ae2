//! One piece of a run: load from the beginning to the end, and in it storms and calm in turns.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use keygate::NewKey;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use crate::acknowledged::{ADMIN, check_after_load, check_during_load};
use crate::faults::{WATCHED, recover, storm};
use crate::instance::Instance;
use crate::ledger::Ledger;
use crate::memory::Memory;
use crate::random::Random;
use crate::readers::read;
use crate::report::Report;
use crate::service::gate_on;
use crate::settings::Settings;
use crate::stalls::Stalls;
use crate::state::State;
use crate::store::{Kind, StoreUnderTest, open};
use crate::world::{World, sleep_before};
use crate::writers::write;

/// How many keys each instance keeps in memory: most that are in play, or so few that records are
/// read again and again.
const CAPACITIES: [usize; 3] = [400, 40, 400];

const READERS: u64 = 8;
const WRITERS: u64 = 3;

/// So many revocations are followed closely at once.
const PROBES: u32 = 3;

/// How long a storm lasts, and the calm after it, at most.
const STORM: Duration = Duration::from_secs(8);
const CALM: Duration = Duration::from_secs(3);

/// Runs take turns, so that they do not harass each other.
static TURN: Mutex<()> = Mutex::new(());

/// Runs a piece on this kind of store, if one is asked for, and fails if anything was violated.
pub(crate) fn run(kind: Kind) {
    let mut settings = Settings::from_environment();
    if !settings.wants(kind.name()) {
        return println!("not asked for");
    }
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let temporary = tempfile::tempdir().unwrap();
    let directory = match &settings.directory {
        Some(directory) => directory.join(kind.name()),
        None => temporary.path().to_owned(),
    };
    let Some(store) = StoreUnderTest::start(kind, &directory) else {
        return;
    };
    let mut state = State::load(&directory, settings.seed);
    settings.seed = state.seed;
    println!(
        "soak on {}: seed {}, piece {}, {:?}",
        kind.name(),
        settings.seed,
        state.pieces + 1,
        settings.length
    );
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let violations = runtime.block_on(piece(&settings, &mut state, &directory, store));
    println!(
        "  repeat it by: {}",
        settings.command(kind.name(), state.pieces)
    );
    assert_eq!(violations, 0, "see above for what was violated");
}

async fn piece(
    settings: &Settings,
    state: &mut State,
    directory: &Path,
    store: StoreUnderTest,
) -> usize {
    let admin = match &state.admin {
        Some(admin) => admin.clone(),
        None => issue_admin(&store, &state.pepper).await,
    };
    let keys = state.keys();
    state.admin = Some(admin.clone());
    state.is_open = true;
    state.save(directory);

    let instances = CAPACITIES.iter().enumerate().map(|(number, capacity)| {
        let instance = Instance::new(number, &store, &state.pepper, *capacity);
        instance.start();
        instance
    });
    let world = Arc::new(World {
        instances: instances.collect(),
        pepper: state.pepper.clone(),
        ledger: Ledger::new(keys),
        report: Report::default(),
        admin,
        probes: Arc::new(Semaphore::new(PROBES as usize)),
        has_ended: AtomicBool::new(false),
        store,
    });
    let stalls = Stalls::watch();
    let memory = Memory::watch(world.instances[WATCHED].process_id().unwrap());
    let seed = settings.seed_of_piece(state.pieces);
    weather(settings.length, &world, seed).await;
    let memory = memory.end();
    if let Some(peaks) = memory.as_ref().filter(|_| settings.is_long())
        && !peaks.are_flat()
    {
        world.report.violation("memory is not flat".into());
    }
    check_after_load(&world).await;

    state.keep(&world.ledger.keys());
    state.pieces += 1;
    state.seconds += settings.length.as_secs();
    state.is_open = false;
    state.save(directory);
    println!(
        "soak: seed {}, {:?} of {} s in {} pieces",
        settings.seed, settings.length, state.seconds, state.pieces
    );
    world.report.print(&stalls.end(), memory.as_ref())
}

/// Storms and calm in turns, all of it under load.
async fn weather(length: Duration, world: &Arc<World>, seed: u64) {
    let end = Instant::now() + length;
    let mut load = JoinSet::new();
    for number in 0..READERS {
        load.spawn(read(Arc::clone(world), Random::of(seed, "reader", number)));
    }
    for number in 0..WRITERS {
        load.spawn(write(Arc::clone(world), Random::of(seed, "writer", number)));
    }
    for number in 0.. {
        sleep_before(end, CALM).await;
        let until = end.min(Instant::now() + STORM);
        if Instant::now() >= end {
            break;
        }
        storm(world, seed, number, until).await;
        recover(world).await;
        check_during_load(world).await;
    }
    world.end();
    while let Some(ended) = load.join_next().await {
        ended.unwrap();
    }
    let probes = world.probes.acquire_many(PROBES).await;
    drop(probes.unwrap());
    // What is known of secrets then stays so until the next piece.
    let overlaps_end = world.ledger.overlaps_end();
    sleep_until(overlaps_end.into()).await;
}

/// The key that all changes are made with.
async fn issue_admin(store: &StoreUnderTest, pepper: &str) -> String {
    let store = open(store.address()).await.unwrap();
    let gate = gate_on(store, pepper, |builder| builder).await.unwrap();
    let new = NewKey::for_owner(ADMIN)
        .scopes(["keys:write"])
        .never_expires();
    let issued = gate.manager().issue(new).await.unwrap();
    issued.key.expose().to_owned()
}
