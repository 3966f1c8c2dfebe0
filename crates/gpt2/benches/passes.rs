//! Time of passes over 16 rows of 112 tokens, of a prefill and of decoding steps of 64 rows: one
//! block, and a whole model of the size of the embedded one.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot begin says so by panicking")]

use std::time::Duration;

use burn::module::Module;
use burn::tensor::Device;
use criterion::{Criterion, criterion_group, criterion_main};
use tailguard_gpt2::{Gpt2, Gpt2Config};
use tailguard_lm::{CausalLm, Decoder, Predictions, TokenBatch, TokenDistribution};

const VOCAB: u32 = 4096;

fn rows(count: u32, tokens: u32) -> Vec<Vec<u32>> {
    (0..count).map(|row| (0..tokens).map(|at| (row * 997 + at * 31) % VOCAB).collect()).collect()
}

/// Mean log-probability of every token but the first of each row, and its gradients.
fn train(model: &Gpt2, batch: &Predictions) {
    let states = model.predicting(batch).unwrap();
    let log_probs =
        model.token_stats(states, batch.targets.clone(), &TokenDistribution::default()).log_probs;
    let _grads = log_probs.mean().backward();
}

fn passes(criterion: &mut Criterion) {
    let device = Device::flex();
    let whole = rows(16, 112);
    let whole: Vec<&[u32]> = whole.iter().map(Vec::as_slice).collect();
    let batch = Predictions::new(&whole, &[1; 16], 0, &device).unwrap();
    let prompts = rows(64, 64);
    let prompts: Vec<&[u32]> = prompts.iter().map(Vec::as_slice).collect();
    let prompts = TokenBatch::left_padded(&prompts, 0, &device).unwrap();
    let next = [5; 64];
    for (name, layers) in [("one block", 1), ("four blocks", 4)] {
        let config = Gpt2Config::new(VOCAB as usize, 128, 192, layers, 6);
        let model = config.init(1, &device).unwrap();
        let trained = model.clone().train();
        let decoder = model.decoder();
        let sampled = |steps: usize| {
            let mut cache = decoder.cache(64, 112);
            let hidden = decoder.prefill(&prompts, &mut cache).unwrap();
            (0..steps).fold(hidden, |_, _| decoder.step(&next, &mut cache).unwrap())
        };
        let mut group = criterion.benchmark_group(format!("{name} of width 192"));
        group.sample_size(10).measurement_time(Duration::from_secs(3));
        group.bench_function("hidden states of 16 x 112", |bencher| {
            bencher.iter(|| model.hidden(&batch.tokens))
        });
        group.bench_function("loss and gradients of 16 x 112", |bencher| {
            bencher.iter(|| train(&trained, &batch))
        });
        group.bench_function("prefill of 64 x 64", |bencher| bencher.iter(|| sampled(0)));
        group.bench_function("prefill of 64 x 64, and 8 steps", |bencher| {
            bencher.iter(|| sampled(8))
        });
        group.finish();
    }
}

criterion_group!(benches, passes);
criterion_main!(benches);
