use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use criterion::Criterion;
use keygate::{Attempt, Authenticator};

use crate::keys;

/// The time that two threads take to decide `rounds` times each, on these authenticators.
fn race(pair: [&Authenticator; 2], text: &str, rounds: u64) -> Duration {
    let barrier = Barrier::new(3);
    std::thread::scope(|scope| {
        for authenticator in pair {
            let barrier = &barrier;
            scope.spawn(move || {
                barrier.wait();
                for _ in 0..rounds {
                    let attempt = Attempt::new(text);
                    black_box(
                        authenticator
                            .authenticate_cached(attempt, |caller| black_box(caller.owner().len())),
                    );
                }
                barrier.wait();
            });
        }
        barrier.wait();
        let start = Instant::now();
        barrier.wait();
        start.elapsed()
    })
}

pub(crate) fn bench(criterion: &mut Criterion) -> Vec<String> {
    let (store, texts) = keys::store(1);
    let [shared, private] = [(); 2].map(|()| {
        let gate = keys::gate(store.clone(), 1);
        keys::warm(&gate, &texts);
        gate
    });
    let (shared, private) = (shared.authenticator(), private.authenticator());
    let mut group = criterion.benchmark_group("two threads on one key");
    group.bench_function("two private gates", |b| {
        b.iter_custom(|rounds| race([shared, private], &texts[0], rounds));
    });
    group.bench_function("one gate", |b| {
        b.iter_custom(|rounds| race([shared, shared], &texts[0], rounds));
    });
    let [shared, private] = [(); 2].map(|()| {
        let gate = keys::counting_gate(store.clone(), 1);
        keys::warm(&gate, &texts);
        gate
    });
    let (shared, private) = (shared.authenticator(), private.authenticator());
    group.bench_function("two private gates, counted", |b| {
        b.iter_custom(|rounds| race([shared, private], &texts[0], rounds));
    });
    group.bench_function("one gate, counted", |b| {
        b.iter_custom(|rounds| race([shared, shared], &texts[0], rounds));
    });
    group.finish();
    Vec::new()
}
