//! Time of distinct-n over a hundred thousand texts of 24 words.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tailguard_metrics::{distinct, distinct_per_text};

const TEXTS: u64 = 100_000;
const WORDS: u64 = 24;

fn diversity(criterion: &mut Criterion) {
    // some words are frequent and most are rare, as in a language: products of two pseudo-random
    // numbers below 100
    let numbers = std::iter::successors(Some(1_u64), |state| Some(state * 48_271 % 2_147_483_647));
    let mut words = numbers.map(|number| format!("w{}", (number % 100) * (number / 100 % 100)));
    let texts: Vec<String> = (0..TEXTS)
        .map(|_| (0..WORDS).filter_map(|_| words.next()).collect::<Vec<_>>().join(" "))
        .collect();
    let mut group = criterion.benchmark_group("100,000 texts of 24 words");
    group
        .throughput(Throughput::Elements(TEXTS))
        .sample_size(10)
        .measurement_time(Duration::from_secs(5));
    for n in 1..=3 {
        group.bench_function(format!("distinct-{n}"), |bencher| {
            bencher.iter(|| distinct(black_box(&texts), n))
        });
    }
    group.bench_function("distinct-2 per text", |bencher| {
        bencher.iter(|| distinct_per_text(black_box(&texts), 2))
    });
    group.finish();
}

criterion_group!(benches, diversity);
criterion_main!(benches);
