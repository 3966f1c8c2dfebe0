//! Time of the selection step, of the quantile and of CVaR, from a hundred returns to ten million.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot begin says so by panicking")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tailguard_risk::{RiskLevel, cvar, lowest, quantile};

fn selection(criterion: &mut Criterion) {
    let level = RiskLevel::new(0.4).unwrap();
    for exponent in 2..=7 {
        let count = 10_usize.pow(exponent);
        // a multiplicative congruential generator: neither ordered nor with ties
        let numbers =
            std::iter::successors(Some(1_u64), |state| Some(state * 48_271 % 2_147_483_647));
        let returns: Vec<f64> =
            numbers.map(|number| number as f64 / 2_147_483_647.0 - 0.5).take(count).collect();
        let mut group = criterion.benchmark_group(format!("1e{exponent} returns"));
        group
            .throughput(Throughput::Elements(count as u64))
            .sample_size(10)
            .measurement_time(Duration::from_secs(2));
        group.bench_function("lowest", |bencher| {
            bencher.iter(|| lowest(black_box(&returns), level.count(count)))
        });
        group.bench_function("quantile", |bencher| {
            bencher.iter(|| quantile(black_box(&returns), level))
        });
        group.bench_function("cvar", |bencher| bencher.iter(|| cvar(black_box(&returns), level)));
        group.finish();
    }
}

criterion_group!(benches, selection);
criterion_main!(benches);
