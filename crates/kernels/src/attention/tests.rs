//! Claims about attention: that the fused one is the plain one, and what it refuses.

use super::*;
use burn::tensor::{Device, Distribution, TensorData};

#[test]
fn the_fused_kernel_and_its_gradient_match_the_plain_composition() {
    let device = Device::flex().autodiff();
    device.seed(1);
    // a single token, fewer than a panel, no multiple of a block, several blocks; head widths
    // below, at and above a block
    for (batch, tokens, heads, width) in
        [(1, 1, 1, 4), (2, 3, 2, 5), (3, 17, 2, 16), (2, 40, 3, 32), (1, 70, 1, 48)]
    {
        let hidden = heads * width;
        let qkv = Tensor::<3>::random(
            [batch, tokens, 3 * hidden],
            Distribution::Normal(0.0, 1.5),
            &device,
        )
        .require_grad();
        let weights =
            Tensor::<3>::random([batch, tokens, hidden], Distribution::Normal(0.0, 1.0), &device);
        // the second row, if there is one, begins with padding; its plain version gives what it
        // likes there
        let starts: Vec<usize> = (0..batch).map(|row| row * tokens / 2).collect();
        let real: Vec<f32> = starts
            .iter()
            .flat_map(|&start| (0..tokens).map(move |at| f32::from(at >= start)))
            .collect();
        let weights =
            weights * Tensor::from_data(TensorData::new(real, [batch, tokens, 1]), &device);
        let (fused, plain) =
            (causal_attention(qkv.clone(), heads, &starts), plain(qkv.clone(), heads, &starts));
        let run = |y: Tensor<3>| {
            let grads = (y.clone() * weights.clone()).sum().backward();
            (
                (y * weights.clone()).inner(),
                qkv.grad(&grads).expect("the input requires a gradient"),
            )
        };
        let (fused, plain) = (run(fused), run(plain));
        for (what, a, b) in [("values", fused.0, plain.0), ("gradients", fused.1, plain.1)] {
            let worst = (a - b).abs().max().into_scalar::<f32>();
            assert!(worst < 2e-5, "{what} of {tokens} tokens, {heads} heads of {width}: {worst}");
        }
    }
}

#[test]
fn no_tokens_give_none_and_heads_that_do_not_divide_are_refused() {
    let device = Device::flex();
    assert_eq!(causal_attention(Tensor::zeros([2, 0, 12], &device), 2, &[0, 0]).dims(), [2, 0, 4]);
    for heads in [0, 3] {
        let refused = std::panic::catch_unwind(|| {
            causal_attention(Tensor::zeros([1, 2, 12], &Device::flex()), heads, &[0])
        });
        assert!(refused.is_err(), "{heads} heads");
    }
    for starts in [&[0, 0][..], &[3], &[]] {
        let refused = std::panic::catch_unwind(|| {
            causal_attention(Tensor::zeros([1, 2, 12], &Device::flex()), 2, starts)
        });
        assert!(refused.is_err(), "{starts:?}");
    }
}

#[test]
fn a_query_that_is_no_number_gives_none() {
    for (token, bad) in
        [(0, f32::NAN), (4, f32::NAN), (4, f32::INFINITY), (4, f32::NEG_INFINITY), (18, f32::NAN)]
    {
        let device = Device::flex();
        let qkv = Tensor::<3>::ones([1, 19, 24], &device);
        let qkv =
            qkv.slice_assign(s![.., token..=token, 1..2], Tensor::full([1, 1, 1], bad, &device));
        let out = causal_attention(qkv, 2, &[0]).into_data().try_to_vec::<f32>().unwrap();
        for (at, out) in out.chunks_exact(8).enumerate() {
            assert!(
                out[..4].iter().all(|value| value.is_nan() == (at == token)),
                "{bad} at {token}, row {at}: {out:?}"
            );
            assert!(
                out[4..].iter().all(|value| value.is_finite()),
                "{bad} at {token}, row {at}: {out:?}"
            );
        }
    }
}

#[test]
fn a_token_sees_nothing_behind_it_and_large_scores_do_not_overflow() {
    let device = Device::flex();
    device.seed(2);
    let qkv = Tensor::<3>::random([1, 9, 24], Distribution::Normal(0.0, 100.0), &device);
    let changed = qkv.clone().slice_assign(s![.., 6.., ..], Tensor::ones([1, 3, 24], &device));
    let before = |qkv: Tensor<3>| {
        causal_attention(qkv, 2, &[0])
            .slice(s![.., ..6, ..])
            .into_data()
            .try_to_vec::<f32>()
            .unwrap()
    };
    let values = before(qkv);
    assert!(values.iter().all(|value| value.is_finite()));
    assert_eq!(values, before(changed));
}
