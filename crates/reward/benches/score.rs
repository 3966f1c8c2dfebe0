//! Time of a DistilBERT of the published size with random weights: read from a directory, and a
//! pass over 32 rows of 64 tokens, with the weights as they were made and as they were read.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot begin says so by panicking")]

use std::time::Duration;

use burn::tensor::{Device, Int, Tensor, TensorData};
use criterion::{Criterion, criterion_group, criterion_main};
use tailguard_checkpoint::{ModelDir, WeightType};
use tailguard_reward::{DistilBertConfig, SequenceClassifier};

fn passes(criterion: &mut Criterion) {
    let device = Device::flex();
    let made = DistilBertConfig::default().init(1, &device).unwrap();
    let home = tempfile::tempdir().unwrap();
    made.save(home.path(), WeightType::F32).unwrap();
    let dir = ModelDir::open(home.path()).unwrap();
    let read = SequenceClassifier::load(&dir, &device).unwrap();
    let ids: Vec<i64> = (0..32 * 64).map(|at| at * 31 % 30_000).collect();
    let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [32, 64]), &device);
    let mut group = criterion.benchmark_group("DistilBERT");
    group.sample_size(10).measurement_time(Duration::from_secs(15));
    group.bench_function("pass over 32 x 64, weights as made", |bencher| {
        bencher.iter(|| made.forward(ids.clone(), None))
    });
    group.bench_function("pass over 32 x 64, weights as read", |bencher| {
        bencher.iter(|| read.forward(ids.clone(), None))
    });
    group.bench_function("reading", |bencher| {
        bencher.iter(|| SequenceClassifier::load(&dir, &device).unwrap())
    });
    group.finish();
}

criterion_group!(benches, passes);
criterion_main!(benches);
