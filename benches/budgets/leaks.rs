use criterion::{Criterion, Throughput};
use keygate::leak::Scanner;
use memchr::memmem;

const LEN: usize = 64 << 20;

/// As source and logs are: words, names, numbers and hexadecimal, and no key.
fn text() -> Vec<u8> {
    const WORDS: [&str; 16] = [
        "the",
        "request",
        "key_id",
        "acme",
        "let",
        "live",
        "return",
        "a_key",
        "0x",
        "orders:read",
        "Authorization",
        "Bearer",
        "{",
        "}",
        "=>",
        "test_live_",
    ];
    let mut text = String::with_capacity(LEN + 64);
    let mut number = 1_u64;
    while text.len() < LEN {
        number = number.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        match (number >> 60) as usize {
            0 => text.push_str(&format!("{number:016x}\n")),
            word => text.push_str(WORDS[word]),
        }
        text.push(' ');
    }
    text.into_bytes()
}

pub(crate) fn bench(criterion: &mut Criterion) -> Vec<String> {
    let text = text();
    let one = Scanner::new("acme_live").unwrap();
    let two = one.also("acme_test").unwrap();
    let finder = memmem::Finder::new("acme_live_");
    let mut group = criterion.benchmark_group("scan of 64 MB");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.sample_size(10);
    group.bench_function("memchr", |b| b.iter(|| finder.find_iter(&text).count()));
    group.bench_function("one prefix", |b| b.iter(|| one.scan(&text).count()));
    group.bench_function("two prefixes", |b| b.iter(|| two.scan(&text).count()));
    group.bench_function("in pieces", |b| {
        b.iter(|| one.scan_reader(&text[..]).count());
    });
    group.finish();
    Vec::new()
}
