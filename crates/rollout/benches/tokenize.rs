//! Time of cutting ten thousand texts of about a thousand characters to prompts, and of decoding
//! them, with the embedded tokenizer.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot begin says so by panicking")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tailguard_rollout::{Generation, encode, prompts, responses};
use tokenizers::Tokenizer;

const TEXTS: usize = 10_000;

fn tokenize(criterion: &mut Criterion) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../datasets/gpt2-reviews/tokenizer.json");
    let tokenizer = Tokenizer::from_file(path).unwrap();
    let words = [
        "the",
        "movie",
        "was",
        "not",
        "an",
        "unforgettable",
        "performance,",
        "but",
        "I",
        "liked",
        "it.",
    ];
    let word = |text: usize, at: usize| words[(text * 7 + at * at) % words.len()];
    let texts: Vec<String> = (0..TEXTS)
        .map(|text| (0..180).map(|at| word(text, at)).collect::<Vec<_>>().join(" "))
        .collect();
    let mut group = criterion.benchmark_group("10,000 texts");
    group
        .throughput(Throughput::Elements(TEXTS as u64))
        .sample_size(10)
        .measurement_time(Duration::from_secs(5));
    group.bench_function("prompts of 64 tokens", |bencher| {
        bencher.iter(|| prompts(&tokenizer, black_box(&texts), 64))
    });
    group.bench_function("up to 128 tokens", |bencher| {
        bencher.iter(|| encode(&tokenizer, black_box(&texts), 128))
    });
    let ids = encode(&tokenizer, &texts, 48).unwrap();
    let generation = |response_ids| Generation { response_ids, ..Generation::default() };
    let generations: Vec<Generation> = ids.into_iter().map(generation).collect();
    group.bench_function("decoding 48 tokens", |bencher| {
        bencher.iter(|| responses(&tokenizer, black_box(&generations)))
    });
    group.finish();
}

criterion_group!(benches, tokenize);
criterion_main!(benches);
