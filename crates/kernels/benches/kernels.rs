//! Time of each kernel, forward alone and with its gradient, at the size of a minibatch: 16 rows of
//! 112 tokens, width 256.

use std::time::Duration;

use burn::tensor::{Device, Distribution, Int, Tensor};
use criterion::{Criterion, criterion_group, criterion_main};
use tailguard_kernels::{
    AdamStep, AttentionCache, Linear, adam_step, causal_attention, gelu_new, layer_norm,
    token_log_probs,
};

const TOKENS: usize = 16 * 112;
const WIDTH: usize = 256;
const VOCAB: usize = 8192;

fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), device)
}

fn kernels(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("kernels");
    group.sample_size(20).measurement_time(Duration::from_secs(3));
    let plain = Device::flex();
    let trained = Device::flex().autodiff();

    for (name, device) in [("forward", &plain), ("forward and backward", &trained)] {
        let leaf =
            |tensor: Tensor<2>| if device.is_autodiff() { tensor.require_grad() } else { tensor };
        let finish = |result: Tensor<1>| {
            if device.is_autodiff() {
                let _grads = result.backward();
            }
        };
        let inner = random([TOKENS, 4 * WIDTH], device);
        group.bench_function(format!("gelu of 1.8 M values, {name}"), |bencher| {
            bencher.iter(|| finish(gelu_new(leaf(inner.clone())).sum()));
        });
        let states = random([TOKENS, WIDTH], device);
        let (gamma, beta) = (random([WIDTH], device), random([WIDTH], device));
        group.bench_function(format!("layer norm of 1792 x 256, {name}"), |bencher| {
            bencher.iter(|| {
                finish(layer_norm(leaf(states.clone()), gamma.clone(), beta.clone(), 1e-5).sum())
            });
        });
        let layer = Linear::new(random([WIDTH, 4 * WIDTH], device), random([4 * WIDTH], device));
        group.bench_function(format!("linear layer of 1792 x 256 to 1024, {name}"), |bencher| {
            bencher.iter(|| finish(layer.forward(leaf(states.clone())).sum()));
        });
        let qkv = random([16, 112, 3 * WIDTH], device);
        group.bench_function(
            format!("causal attention of 16 x 112 tokens, 4 heads of 64, {name}"),
            |bencher| {
                let leaf = |tensor: Tensor<3>| {
                    if device.is_autodiff() { tensor.require_grad() } else { tensor }
                };
                bencher.iter(|| finish(causal_attention(leaf(qkv.clone()), 4, &[0; 16]).sum()));
            },
        );
        let head = random([VOCAB, WIDTH], device) * 0.02;
        let targets = Tensor::<1, Int>::arange(0..1792, &plain);
        group.bench_function(
            format!("log-probabilities of 1792 out of 8192 tokens, {name}"),
            |bencher| {
                bencher.iter(|| {
                    let stats = token_log_probs(
                        leaf(states.clone()),
                        leaf(head.clone()),
                        targets.clone(),
                        1.0,
                        None,
                    );
                    finish(stats.log_probs.sum());
                });
            },
        );
    }
    let (qkv, mut cache) =
        (random([32, 3 * WIDTH], &plain), AttentionCache::new(32, 112, WIDTH, &plain));
    group.bench_function("attention of one more token in 32 rows of 112", |bencher| {
        bencher.iter(|| cache.attend(qkv.clone(), 111, 4, &[0; 32]));
    });
    let grad = random([VOCAB, WIDTH], &plain);
    let mut state = Some((
        random([VOCAB, WIDTH], &plain),
        [0, 1].map(|_| Tensor::zeros([VOCAB, WIDTH], &plain)),
    ));
    let step = AdamStep {
        learning_rate: 1e-5,
        beta_1: 0.9,
        beta_2: 0.999,
        epsilon: 1e-8,
        weight_decay: 0.0,
        time: 1,
    };
    group.bench_function("Adam on 2.1 M parameters", |bencher| {
        bencher.iter(|| {
            state = state
                .take()
                .map(|(weights, moments)| adam_step(weights, grad.clone(), moments, &step))
        });
    });
    group.finish();
}

criterion_group!(benches, kernels);
criterion_main!(benches);
