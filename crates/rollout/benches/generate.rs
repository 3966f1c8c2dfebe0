//! Time of one batch of responses, of scoring it again, and of the draws alone, at the size of the
//! embedded models.

use std::hint::black_box;
use std::time::Duration;

use burn::tensor::Device;
use criterion::{Criterion, criterion_group, criterion_main};
use tailguard_gpt2::Gpt2Config;
use tailguard_rollout::{
    DrawSeed, Prompt, SamplingConfig, Sequence, generate, log_probs_of, probabilities,
};

const ROWS: usize = 64;

fn rollout(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("rollout");
    group.sample_size(10).measurement_time(Duration::from_secs(20));
    let config = Gpt2Config::new(8192, 128, 256, 4, 4);
    let Ok(model) = config.init(1, &Device::flex()) else {
        unreachable!("the settings are a model")
    };
    let id = |row: u32, at: u32| (row * 997 + at * 31) % 8192;
    let prompt =
        |row: u32| Prompt { ids: (0..64).map(|at| id(row, at)).collect(), text: String::new() };
    let prompts: Vec<Prompt> = (0..).take(ROWS).map(prompt).collect();
    let sampling = SamplingConfig::default();
    let sample =
        || generate(&model, None, &prompts, &sampling, DrawSeed { seed: 1, stream: 0 }, ROWS);
    group.bench_function("generate 64 x (64 + 48)", |bencher| bencher.iter(sample));

    let responses = sample().unwrap_or_default();
    let sequences: Vec<Sequence<'_>> = prompts
        .iter()
        .zip(&responses)
        .map(|(prompt, response)| Sequence {
            prompt: &prompt.ids,
            response: &response.response_ids,
        })
        .collect();
    group.bench_function("score 64 x (64 + 48)", |bencher| {
        bencher.iter(|| log_probs_of(&model, None, &sequences, &sampling.distribution(), ROWS));
    });
    let logits: Vec<f32> = (0..8192u16).map(|at| f32::from(at % 97) / 10.0).collect();
    for (name, top_k, top_p) in [("plain", 0, 1.0), ("top-k 50", 50, 1.0), ("top-p 0.9", 0, 0.9)] {
        group.bench_function(format!("probabilities of 8192 tokens, {name}"), |bencher| {
            bencher.iter(|| probabilities(black_box(&logits), 1.0, top_k, top_p));
        });
    }
    group.finish();
}

criterion_group!(benches, rollout);
criterion_main!(benches);
