use std::sync::Barrier;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use super::*;
use crate::record::RateLimit;

const SECOND: u64 = 1_000_000_000;

fn id() -> KeyId {
    KeyId::generate().unwrap()
}

fn take<'a>(key_id: &'a KeyId, name: &'static str, limit: RateLimit) -> Take<'a> {
    Take {
        key_id,
        name,
        limit,
        cost: 1,
    }
}

fn passes<const N: usize>(counters: &Counters, takes: [Take<'_>; N], now: u64) -> bool {
    let levels = counters.take(takes[0].key_id, takes, now);
    !levels.iter().any(Level::is_over)
}

/// How often `passes` in each of `tasks` threads that begin together, in all.
fn in_threads(tasks: usize, passes: impl Fn(usize) -> u64 + Sync) -> u64 {
    let (barrier, sum) = (Barrier::new(tasks), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for task in 0..tasks {
            let (barrier, sum, passes) = (&barrier, &sum, &passes);
            scope.spawn(move || {
                barrier.wait();
                sum.fetch_add(passes(task), Ordering::Relaxed);
            });
        }
    });
    sum.into_inner()
}

#[test]
fn exactly_the_burst_passes_from_64_threads() {
    let (counters, id) = (Counters::new(), id());
    let limit = RateLimit::per_hour(1_000);
    let once = || passes(&counters, [take(&id, "key", limit)], SECOND);
    let passed = in_threads(64, |_| (0..50).map(|_| u64::from(once())).sum());
    assert_eq!(passed, 1_000);
}

/// The meter of a quota is idle again at each of its moments, so that what were given back would undo
/// what others took.
#[test]
fn requests_that_another_limit_refuses_take_nothing_and_give_nothing() {
    let (counters, id) = (Counters::new(), id());
    let quota = RateLimit::per_second(10);
    let refusing = RateLimit::per_day(1);
    assert!(passes(&counters, [take(&id, "key", refusing)], SECOND));
    let moments = 200;
    let passed = in_threads(8, |task| {
        let mut passed = 0;
        for moment in 0..moments {
            let now = (moment + 2) * SECOND;
            for _ in 0..20 {
                match task % 2 {
                    0 => {
                        let both = [take(&id, "q", quota), take(&id, "key", refusing)];
                        assert!(!passes(&counters, both, now));
                    }
                    _ => passed += u64::from(passes(&counters, [take(&id, "q", quota)], now)),
                }
            }
        }
        passed
    });
    // Threads see the moments at different times, and time never goes back for a meter.
    assert!(passed <= 10 * moments, "{passed}");
    let last = (moments + 2) * SECOND;
    for _ in 0..5 {
        let both = [take(&id, "q", quota), take(&id, "key", refusing)];
        let [of_quota, own] = counters.take(&id, both, last);
        assert_eq!((of_quota.remaining, of_quota.is_over()), (10, false));
        assert!(own.is_over());
    }
}

#[test]
fn exactly_the_smaller_of_two_limits_passes_and_the_larger_keeps_the_rest() {
    let (counters, id) = (Counters::new(), id());
    let (small, large) = (RateLimit::per_hour(70), RateLimit::per_hour(200));
    let both = || [take(&id, "key", large), take(&id, "q", small)];
    let passed = in_threads(16, |_| {
        (0..20)
            .map(|_| u64::from(passes(&counters, both(), SECOND)))
            .sum()
    });
    assert_eq!(passed, 70);
    let [own, quota] = counters.take(&id, both(), SECOND);
    assert_eq!((own.remaining, own.is_over()), (130, false));
    assert_eq!((quota.remaining, quota.is_over()), (0, true));
}

#[test]
fn keys_and_limits_are_counted_apart() {
    let (counters, one, other) = (Counters::new(), id(), id());
    let limit = RateLimit::per_hour(1);
    for (id, name) in [(&one, "key"), (&other, "key"), (&one, "q")] {
        assert!(passes(&counters, [take(id, name, limit)], SECOND));
        assert!(!passes(&counters, [take(id, name, limit)], SECOND));
    }
}

#[test]
fn who_used_up_a_limit_does_not_wait_for_its_window_when_it_is_raised() {
    let (counters, id) = (Counters::new(), id());
    let (before, after) = (RateLimit::per_day(100), RateLimit::per_minute(600));
    let mut now = SECOND;
    for _ in 0..100 {
        assert!(passes(&counters, [take(&id, "key", before)], now));
    }
    let [level] = counters.take(&id, [take(&id, "key", before)], now);
    assert_eq!(level.retry_after, Duration::from_secs(864));
    // As if the new burst had just been used up, and not oftener.
    for _ in 0..3 {
        let [level] = counters.take(&id, [take(&id, "key", after)], now);
        assert_eq!(level.retry_after, Duration::from_millis(100));
        assert_eq!(level.full_after, Duration::from_secs(60));
    }
    now += SECOND / 2;
    for _ in 0..5 {
        assert!(passes(&counters, [take(&id, "key", after)], now));
    }
    assert!(!passes(&counters, [take(&id, "key", after)], now));
    now += 60 * SECOND;
    let all = (0..700).filter(|_| passes(&counters, [take(&id, "key", after)], now));
    assert_eq!(all.count(), 600);
}

#[test]
fn what_was_taken_beyond_the_burst_is_paid_back_in_full_while_the_limit_is_the_same() {
    let (counters, id) = (Counters::new(), id());
    let limit = RateLimit::per_minute(10);
    let large = Take {
        cost: 30,
        ..take(&id, "key", limit)
    };
    let [level] = counters.take(&id, [large], SECOND);
    assert!(!level.is_over());
    let [level] = counters.take(&id, [take(&id, "key", limit)], SECOND);
    assert_eq!(level.retry_after, Duration::from_secs(126));
}

#[test]
fn a_sweep_keeps_all_that_still_says_something_and_little_else() {
    let counters = Counters::new();
    let long = id();
    let (daily, brief) = (RateLimit::per_day(1), RateLimit::per_second(1));
    assert!(passes(&counters, [take(&long, "key", daily)], SECOND));
    for n in 0..20_000 {
        passes(&counters, [take(&id(), "key", brief)], (n + 1) * SECOND);
    }
    assert!(counters.keys.len() < 2 * FEWEST, "{}", counters.keys.len());
    assert!(!passes(
        &counters,
        [take(&long, "key", daily)],
        20_000 * SECOND
    ));
}

#[test]
fn what_was_given_up_is_not_taken_from() {
    let counters = Counters::new();
    let id = id();
    let limit = RateLimit::per_second(1);
    passes(&counters, [take(&id, "key", limit)], 0);
    let keys = counters.keys.pin();
    // A sweep that has decided, and not removed it yet.
    assert!(lock(keys.get(&id).unwrap()).give_up(10 * SECOND));
    let now = 10 * SECOND;
    assert!(passes(&counters, [take(&id, "key", limit)], now));
    let [level] = counters.take(&id, [take(&id, "key", limit)], now);
    assert_eq!(level.retry_after, Duration::from_secs(1));
    assert!(!lock(keys.get(&id).unwrap()).is_gone);
}
