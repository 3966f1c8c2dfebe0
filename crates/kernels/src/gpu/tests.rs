//! The kernels of this module against the CPU's, values and gradients, on whatever GPU this build
//! has; on none they test nothing.

use burn::tensor::{Device, Distribution, Int, Tensor, TensorData};

use crate::{
    AdamStep, AttentionCache, DeviceError, Linear, Masks, Precision, causal_attention,
    drawing_head, embedding, gelu_new, layer_norm, precision, set_precision, token_log_probs,
};

/// The GPUs of this build that are there, and how near their products are to those of the CPU.
fn devices() -> Vec<(Device, f32)> {
    let named = |name: &str, tolerance| crate::device(name).ok().map(|device| (device, tolerance));
    [named("wgpu", 1e-4), named("cuda", 2e-2)]
        .into_iter()
        .flatten()
        .filter(|(device, _)| crate::on_gpu(device))
        .collect()
}

/// Random numbers that are the same on every device.
fn random<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
    let device = Device::flex();
    device.seed(seed);
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), &device)
}

fn on<const D: usize>(tensor: &Tensor<D>, device: &Device) -> Tensor<D> {
    Tensor::from_data(tensor.clone().into_data(), device)
}

fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

#[track_caller]
fn near(what: &str, found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1.0f32, |largest, value| largest.max(value.abs()));
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!(
            (found - expected).abs() <= tolerance * largest,
            "{what}[{at}]: {found} against {expected}"
        );
    }
}

/// Runs `f` on the CPU and on every GPU; compares what it returns.
fn compare(exact: bool, f: impl Fn(&Device) -> Vec<Vec<f32>>) {
    let expected = f(&Device::flex().autodiff());
    for (device, tolerance) in devices() {
        let tolerance = if exact { 2e-5 } else { tolerance };
        for (at, (found, expected)) in
            f(&device.clone().autodiff()).iter().zip(&expected).enumerate()
        {
            near(&format!("{device:?}: {at}"), found, expected, tolerance);
        }
    }
}

#[test]
fn bf16_is_refused_where_there_is_none() {
    for (device, _) in devices().into_iter().filter(|(device, _)| !super::has_bfloat16(device)) {
        let error = set_precision(Precision::Bf16, &device).unwrap_err();
        assert!(matches!(error, DeviceError::NoBfloat16 { .. }), "{error}");
        assert_eq!(precision(), Precision::F32);
    }
}

#[test]
fn gelu_and_its_gradient() {
    let (x, weights) = (random([37, 531], 1) * 3.0, random([37, 531], 2));
    compare(true, |device| {
        let x = on(&x, device).require_grad();
        let y = gelu_new(x.clone());
        let grads = (y.clone() * on(&weights, device)).sum().backward();
        vec![floats(y.inner()), floats(x.grad(&grads).unwrap())]
    });
}

#[test]
fn layer_norm_and_its_gradients() {
    for (rows, width) in [(131, 45), (3, 768), (70, 300)] {
        let (x, weights) = (random([rows, width], 1) * 2.0 + 1.0, random([rows, width], 2));
        let (gamma, beta) = (random([width], 3), random([width], 4));
        compare(true, |device| {
            let [gamma, beta] = [&gamma, &beta].map(|vector| on(vector, device).require_grad());
            let x = on(&x, device).require_grad();
            let y = layer_norm(x.clone(), gamma.clone(), beta.clone(), 1e-5);
            let grads = (y.clone() * on(&weights, device)).sum().backward();
            let vectors = [&gamma, &beta].map(|vector| floats(vector.grad(&grads).unwrap()));
            [vec![floats(y.inner()), floats(x.grad(&grads).unwrap())], vectors.to_vec()].concat()
        });
    }
}

#[test]
fn linear_layers_and_their_gradients() {
    for (rows, depth, width) in [(5, 8, 12), (67, 33, 129), (200, 64, 1)] {
        let (x, residual, weights) =
            (random([2, rows, depth], 1), random([2, rows, width], 2), random([2, rows, width], 3));
        let (weight, bias) = (random([depth, width], 4), random([width], 5));
        compare(false, |device| {
            let layer =
                Linear::new(on(&weight, device).require_grad(), on(&bias, device).require_grad());
            let (x, residual) =
                (on(&x, device).require_grad(), on(&residual, device).require_grad());
            let y = layer.forward(x.clone()) + layer.forward_add(residual.clone(), x.clone());
            let grads = (y.clone() * on(&weights, device)).sum().backward();
            let parameters = [
                floats(layer.weight.val().grad(&grads).unwrap()),
                floats(layer.bias.val().grad(&grads).unwrap()),
            ];
            let inputs = [&x, &residual].map(|input| floats(input.grad(&grads).unwrap()));
            [vec![floats(y.inner())], parameters.to_vec(), inputs.to_vec()].concat()
        });
    }
}

#[test]
fn attention_and_its_gradient() {
    for (batch, tokens, heads, width) in
        [(1, 1, 1, 4), (2, 3, 2, 5), (3, 17, 2, 16), (2, 112, 3, 64)]
    {
        let hidden = heads * width;
        let (qkv, weights) =
            (random([batch, tokens, 3 * hidden], 1), random([batch, tokens, hidden], 2));
        for ragged in [false, true] {
            let starts: Vec<usize> =
                (0..batch).map(|row| if ragged { row * tokens / 4 } else { 0 }).collect();
            compare(false, |device| {
                let qkv = on(&qkv, device).require_grad();
                let y = causal_attention(qkv.clone(), heads, &starts);
                let grads = (y.clone() * on(&weights, device)).sum().backward();
                vec![floats(y.inner()), floats(qkv.grad(&grads).unwrap())]
            });
        }
    }
}

#[test]
fn log_probabilities_and_their_gradients() {
    for (n, d, vocab, temperature, suppress) in
        [(5, 8, 19, 1.0, None), (33, 16, 211, 0.7, None), (9, 8, 700, 1.0, Some(39))]
    {
        let (hidden, head, weights) = (random([n, d], 1), random([vocab, d], 2), random([n], 3));
        let targets: Vec<i32> =
            (0..n).map(|at| i32::try_from((at * 13 + 1) % 19).unwrap()).collect();
        compare(false, |device| {
            let [hidden, head] = [&hidden, &head].map(|matrix| on(matrix, device).require_grad());
            let targets = Tensor::<1, Int>::from_ints(targets.as_slice(), &device.clone().inner());
            let stats =
                token_log_probs(hidden.clone(), head.clone(), targets, temperature, suppress);
            let grads = (stats.log_probs.clone() * on(&weights, device)).sum().backward();
            let grads = [&hidden, &head].map(|matrix| floats(matrix.grad(&grads).unwrap()));
            [vec![floats(stats.log_probs.inner()), floats(stats.entropies.inner())], grads.to_vec()]
                .concat()
        });
    }
}

#[test]
fn embeddings_and_their_gradient() {
    let (table, weights) = (random([70, 24], 1), random([5, 61, 24], 2));
    let ids: Vec<i32> = (0..305).map(|at| (at * at + 7) % 70).collect();
    compare(true, |device| {
        let table = on(&table, device).require_grad();
        let ids = Tensor::<2, Int>::from_data(
            TensorData::new(ids.clone(), [5, 61]),
            &device.clone().inner(),
        );
        let y = embedding(table.clone(), ids);
        let grads = (y.clone() * on(&weights, device)).sum().backward();
        vec![floats(y.inner()), floats(table.grad(&grads).unwrap())]
    });
}

#[test]
fn steps_of_adam_and_sums_of_squares() {
    let (parameter, grad) = (random([123, 77], 1), random([123, 77], 2));
    compare(true, |device| {
        let device = &device.clone().inner();
        let step = |time| AdamStep {
            learning_rate: 0.1,
            beta_1: 0.9,
            beta_2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.01,
            time,
        };
        let zeros = || Tensor::zeros([123, 77], device);
        let (parameter, moments) = crate::adam_step(
            on(&parameter, device),
            on(&grad, device),
            [zeros(), zeros()],
            &step(1),
        );
        let kept = parameter.clone();
        let (parameter, moments) =
            crate::adam_step(parameter, on(&grad, device) * 0.5, moments, &step(2));
        let squares = crate::sum_of_squares(on(&grad, device));
        let [first, second] = moments;
        [parameter, kept, first, second].map(floats).into_iter().chain([floats(squares)]).collect()
    });
}

#[test]
fn decoding_with_a_cache() {
    for (batch, heads, width, capacity) in [(1, 1, 4, 3), (3, 2, 16, 9), (2, 3, 64, 140)] {
        let hidden = heads * width;
        let (prompts, qkv) =
            (random([batch, capacity - 1, 3 * hidden], 1), random([batch, 3 * hidden], 2));
        compare(true, |device| {
            let device = &device.clone().inner();
            let starts: Vec<usize> = (0..batch).map(|row| row.min(capacity - 1)).collect();
            let mut cache = AttentionCache::new(batch, capacity, hidden, device);
            cache.fill(on(&prompts, device));
            let before = cache.clone();
            let out = cache.attend(on(&qkv, device), capacity - 1, heads, &starts);
            let again = before.clone().attend(on(&qkv, device) * 2.0, capacity - 1, heads, &starts);
            [out, again].map(floats).to_vec()
        });
    }
}

#[test]
fn draws_follow_the_uniform_numbers() {
    let (vocab, rows) = (1000, 24);
    let head = random([vocab, 16], 1);
    let hidden = random([rows, 16], 2);
    let uniforms: Vec<f32> = (0..rows).map(|at| (at as f32 + 0.5) / rows as f32).collect();
    for (suppress, forbidden) in
        [(None, None), (Some(3), None), (None, Some(7)), (Some(3), Some(999))]
    {
        let masks = Masks { vocab, scale: 0.8, suppress, forbidden };
        let run = |device: &Device| {
            let uniforms = Tensor::<1>::from_floats(uniforms.as_slice(), device);
            let drawn =
                crate::draw(on(&hidden, device), drawing_head(on(&head, device)), uniforms, masks);
            (drawn.ids.into_data().iter::<i64>().collect::<Vec<_>>(), floats(drawn.stats))
        };
        let (ids, stats) = run(&Device::flex());
        for (device, tolerance) in devices() {
            let (found, found_stats) = run(&device);
            // a uniform number next to the border of two tokens may fall on either side
            let other = ids.iter().zip(&found).filter(|(a, b)| a != b).count();
            assert!(
                other <= if tolerance > 1e-3 { 4 } else { 1 },
                "{device:?}: {found:?} against {ids:?}"
            );
            let entropies =
                |stats: &[f32]| stats.iter().skip(1).step_by(2).copied().collect::<Vec<_>>();
            near("entropies", &entropies(&found_stats), &entropies(&stats), tolerance);
            if other == 0 {
                near("statistics", &found_stats, &stats, tolerance);
            }
        }
    }
}
