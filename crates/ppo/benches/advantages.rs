//! Time of what happens on the host between sampling and update: shaped rewards, advantages,
//! whitening.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot begin says so by panicking")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tailguard_ppo::{gae, shaped_rewards, whiten};

/// The paper's batch.
const EPISODES: usize = 128;
const TOKENS: usize = 48;

fn advantages(criterion: &mut Criterion) {
    let row = |shift: u16| -> Vec<f32> {
        (0..).take(TOKENS).map(|t: u16| -f32::from((t * 37 + shift) % 101) / 25.0).collect()
    };
    let (log_probs, reference, values) = (row(3), row(5), row(7));
    let rewards = shaped_rewards(&log_probs, &reference, 1.0, 0.2).unwrap();
    let estimates = vec![gae(&rewards, &values, 1.0, 0.95).unwrap().advantages; EPISODES];
    let mut group = criterion.benchmark_group("128 episodes of 48 tokens");
    group.throughput(Throughput::Elements((EPISODES * TOKENS) as u64));
    group.bench_function("shaped rewards", |bencher| {
        bencher.iter(|| {
            (0..EPISODES)
                .map(|_| shaped_rewards(black_box(&log_probs), &reference, 1.0, 0.2))
                .collect::<Vec<_>>()
        });
    });
    group.bench_function("gae", |bencher| {
        bencher.iter(|| {
            (0..EPISODES).map(|_| gae(black_box(&rewards), &values, 1.0, 0.95)).collect::<Vec<_>>()
        });
    });
    group.bench_function("whiten", |bencher| {
        bencher.iter_batched_ref(
            || estimates.clone(),
            |rows| whiten(rows),
            criterion::BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, advantages);
criterion_main!(benches);
