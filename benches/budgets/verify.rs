use std::hint::black_box;
use std::sync::Arc;

use criterion::Criterion;
use keygate::{Attempt, Authenticator};

use crate::floor::Floor;
use crate::keys::{self, Shuffled};

fn hit(authenticator: &Authenticator, text: &str) -> usize {
    authenticator
        .authenticate_cached(Attempt::new(text), |caller| black_box(caller.owner().len()))
        .unwrap()
        .unwrap()
}

fn junk(authenticator: &Authenticator, text: &str) -> bool {
    let decision = authenticator.authenticate_cached(Attempt::new(text), |_| ());
    decision.unwrap().is_err()
}

/// The text with another last character: all of it is read before its checksum fails.
fn mistype(text: &str) -> String {
    let (kept, last) = text.split_at(text.len() - 1);
    format!("{kept}{}", if last == "0" { '1' } else { '0' })
}

pub(crate) fn bench(criterion: &mut Criterion) -> Vec<String> {
    let mut facts = of_size(criterion, 10_000);
    facts.extend(of_size(criterion, 1_000_000));
    facts
}

fn of_size(criterion: &mut Criterion, count: usize) -> Vec<String> {
    let (store, texts) = keys::store(count);
    let gate = keys::gate(Arc::clone(&store), count);
    let filled = allocation_counter::measure(|| keys::warm(&gate, &texts));
    let authenticator = gate.authenticator();
    let counting_gate = keys::counting_gate(store, count);
    keys::warm(&counting_gate, &texts);
    let counting = counting_gate.authenticator();
    let floor = Floor::new(&texts);
    let (limited, limited_text) = keys::limited_gate();
    let mistyped: Vec<String> = texts.iter().map(|text| mistype(text)).collect();

    let mut group = criterion.benchmark_group(format!("verify {count} keys"));
    let mut shuffled = Shuffled::new(&texts);
    group.bench_function("floor", |b| {
        b.iter(|| {
            floor
                .verify(shuffled.next(), |entry| black_box(entry.owner.len()))
                .unwrap()
        });
    });
    let mut shuffled = Shuffled::new(&texts);
    group.bench_function("hit", |b| b.iter(|| hit(authenticator, shuffled.next())));
    let mut shuffled = Shuffled::new(&texts);
    group.bench_function("hit, counted", |b| {
        b.iter(|| hit(counting, shuffled.next()));
    });
    group.bench_function("hit, limited", |b| {
        b.iter(|| hit(limited.authenticator(), &limited_text));
    });
    let mut shuffled = Shuffled::new(&mistyped);
    group.bench_function("junk", |b| b.iter(|| junk(authenticator, shuffled.next())));
    group.finish();

    let of_a_hit = allocation_counter::measure(|| {
        hit(authenticator, &texts[0]);
    });
    let of_a_counted_hit = allocation_counter::measure(|| {
        hit(counting, &texts[0]);
    });
    vec![
        format!(
            "{count} keys: a hit allocates {} times",
            of_a_hit.count_total
        ),
        format!(
            "{count} keys: a counted hit allocates {} times",
            of_a_counted_hit.count_total
        ),
        format!(
            "{count} keys: {} bytes a cached key",
            filled.bytes_current / count as i64
        ),
    ]
}
