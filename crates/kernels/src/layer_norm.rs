//! Layer normalisation over the last dimension, one pass forward and one backward.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;
use rayon::prelude::*;

use crate::slices::{contiguous, floats, overwritten, tensor, vectorised};
use crate::sums::{dot, sum};

/// Rows per task. Sums over rows are made per block and then in block order, so that threads do not
/// change the result.
const BLOCK_ROWS: usize = 64;

/// `gamma (x - mean) / sqrt(var + epsilon) + beta` over the last dimension, with the variance
/// divided by its length.
///
/// # Shapes
/// - `x`: `[.., d]`, the result likewise
/// - `gamma`, `beta`: `[d]`
#[must_use]
pub fn layer_norm<const D: usize>(
    x: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> Tensor<D> {
    normalised(x, gamma, beta, epsilon, false)
}

/// [`layer_norm`] for a result that is only multiplied with matrices: on a GPU it is rounded as
/// [`Precision`](crate::Precision) says.
#[must_use]
pub fn layer_norm_factor<const D: usize>(
    x: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> Tensor<D> {
    normalised(x, gamma, beta, epsilon, true)
}

fn normalised<const D: usize>(
    x: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
    factor: bool,
) -> Tensor<D> {
    if crate::fused(&x.device()) {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "epsilon is a small constant of the model"
        )]
        let epsilon = epsilon as f32;
        let (x, gamma, beta) = (x.into_dispatch(), gamma.into_dispatch(), beta.into_dispatch());
        Tensor::from_dispatch(<Dispatch as LayerNormOps>::layer_norm(
            x, gamma, beta, epsilon, factor,
        ))
    } else {
        plain(x, gamma, beta, epsilon)
    }
}

/// The definition, by Burn operations.
fn plain<const D: usize>(
    x: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> Tensor<D> {
    let centred = x.clone() - x.mean_dim(D - 1);
    let variance = (centred.clone() * centred.clone()).mean_dim(D - 1);
    centred / (variance + epsilon).sqrt() * gamma.unsqueeze() + beta.unsqueeze()
}

#[backend_extension(Flex, Cube: cfg(any(feature = "wgpu", feature = "cuda")), Autodiff)]
pub(crate) trait LayerNormOps: Backend {
    /// `factor`: whether the result is only multiplied with matrices.
    fn layer_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f32,
        factor: bool,
    ) -> FloatTensor<Self>;

    /// Gradients with respect to `x`, `gamma` and `beta`.
    fn layer_norm_backward(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        epsilon: f32,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

/// Mean of a row and the reciprocal of its standard deviation.
#[inline(always)]
fn moments(row: &[f32], epsilon: f32) -> (f32, f32) {
    #[expect(clippy::cast_precision_loss, reason = "a row has far fewer than 2^24 values")]
    let count = row.len() as f32;
    let mean = sum(row, |x| x) / count;
    let variance = sum(row, |x| (x - mean) * (x - mean)) / count;
    (mean, 1.0 / (variance + epsilon).sqrt())
}

impl LayerNormOps for Flex {
    fn layer_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f32,
        _factor: bool,
    ) -> FloatTensor<Self> {
        let (gamma, beta) = (contiguous(gamma), contiguous(beta));
        let (gamma, beta) = (floats(&gamma), floats(&beta));
        overwritten(x, |x| {
            x.par_chunks_mut(BLOCK_ROWS * gamma.len()).for_each(|x| {
                vectorised(
                    #[inline(always)]
                    || {
                        for row in x.chunks_exact_mut(gamma.len()) {
                            let (mean, scale) = moments(row, epsilon);
                            for ((x, &gamma), &beta) in row.iter_mut().zip(gamma).zip(beta) {
                                *x = (*x - mean) * scale * gamma + beta;
                            }
                        }
                    },
                );
            });
        })
    }

    fn layer_norm_backward(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        epsilon: f32,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let (x, gamma) = (contiguous(x), contiguous(gamma));
        let (x, gamma) = (floats(&x), floats(&gamma));
        let d = gamma.len();
        let mut blocks: Vec<(Vec<f32>, Vec<f32>)> = Vec::new();
        let grad_x = overwritten(grad, |grad| {
            let rows = grad.par_chunks_mut(BLOCK_ROWS * d).zip(x.par_chunks(BLOCK_ROWS * d));
            let parts = rows.map(|(grad, x)| {
                vectorised(
                    #[inline(always)]
                    || block_backward(grad, x, gamma, epsilon),
                )
            });
            blocks = parts.collect();
        });
        let (mut grad_gamma, mut grad_beta) = (vec![0.0f32; d], vec![0.0f32; d]);
        for (gammas, betas) in blocks {
            for (sum, part) in
                grad_gamma.iter_mut().zip(gammas).chain(grad_beta.iter_mut().zip(betas))
            {
                *sum += part;
            }
        }
        (grad_x, tensor(grad_gamma, [d]), tensor(grad_beta, [d]))
    }
}

/// One block of rows: makes the gradient of `x` of that of the result, returns the block's share of
/// the gradients of `gamma` and `beta`.
#[inline(always)]
fn block_backward(
    grad: &mut [f32],
    x: &[f32],
    gamma: &[f32],
    epsilon: f32,
) -> (Vec<f32>, Vec<f32>) {
    let d = gamma.len();
    let (mut grad_gamma, mut grad_beta) = (vec![0.0f32; d], vec![0.0f32; d]);
    let mut scaled = vec![0.0f32; d]; // gradient with respect to the normalised value
    let mut normal = vec![0.0f32; d];
    #[expect(clippy::cast_precision_loss, reason = "a row has far fewer than 2^24 values")]
    let count = d as f32;
    for (grad, x) in grad.chunks_exact_mut(d).zip(x.chunks_exact(d)) {
        let (mean, scale) = moments(x, epsilon);
        for i in 0..d {
            normal[i] = (x[i] - mean) * scale;
            scaled[i] = grad[i] * gamma[i];
            grad_gamma[i] += grad[i] * normal[i];
            grad_beta[i] += grad[i];
        }
        let mean_scaled = sum(&scaled, |g| g) / count;
        let mean_product = dot(&scaled, &normal) / count;
        for i in 0..d {
            grad[i] = scale * (scaled[i] - mean_scaled - normal[i] * mean_product);
        }
    }
    (grad_gamma, grad_beta)
}

/// What the backward pass needs: `x`, `gamma` and epsilon.
type Saved<B> = (FloatTensor<B>, FloatTensor<B>, f32);

#[derive(Debug)]
struct LayerNormBackward;

impl<B: LayerNormOps> Backward<B, 3> for LayerNormBackward {
    type State = Saved<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let grad = grads.consume::<B>(&ops.node);
        let (x, gamma, epsilon) = ops.state;
        let (grad_x, grad_gamma, grad_beta) =
            <B as LayerNormOps>::layer_norm_backward(x, gamma, epsilon, grad);
        for (parent, grad) in ops.parents.into_iter().zip([grad_x, grad_gamma, grad_beta]) {
            if let Some(parent) = parent {
                grads.register::<B>(parent.id, grad);
            }
        }
    }
}

impl<B: LayerNormOps, C: CheckpointStrategy> LayerNormOps for Autodiff<B, C> {
    fn layer_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f32,
        factor: bool,
    ) -> FloatTensor<Self> {
        let ((x, x_node), (gamma, gamma_node), (beta, beta_node)) =
            (x.into_parts(), gamma.into_parts(), beta.into_parts());
        match LayerNormBackward
            .prepare::<C>([x_node, gamma_node, beta_node])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => {
                let out = <B as LayerNormOps>::layer_norm(
                    x.clone(),
                    gamma.clone(),
                    beta,
                    epsilon,
                    factor,
                );
                prep.finish((x, gamma, epsilon), out)
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(<B as LayerNormOps>::layer_norm(x, gamma, beta, epsilon, factor))
            }
        }
    }

    fn layer_norm_backward(
        _x: FloatTensor<Self>,
        _gamma: FloatTensor<Self>,
        _epsilon: f32,
        _grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("gradients of gradients are never taken")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution};

    #[test]
    fn values_and_gradients_match_the_plain_composition() {
        let device = Device::flex().autodiff();
        device.seed(3);
        let random = |rows: usize, mean: f64| {
            Tensor::<2>::random([rows, 45], Distribution::Normal(mean, 2.0), &device)
        };
        let x = random(131, 1.0).require_grad();
        let gamma = random(1, 1.0).reshape([45]).require_grad();
        let beta = random(1, 0.0).reshape([45]).require_grad();
        let weights = random(131, 0.0);
        let run = |y: Tensor<2>| {
            let grads = (y.clone() * weights.clone()).sum().backward();
            let missing = "every input requires a gradient";
            let vectors = [&gamma, &beta].map(|t| t.grad(&grads).expect(missing).unsqueeze::<2>());
            [vec![y.inner(), x.grad(&grads).expect(missing)], vectors.to_vec()].concat()
        };
        let fused = run(layer_norm(x.clone(), gamma.clone(), beta.clone(), 1e-5));
        let plain = run(plain(x.clone(), gamma.clone(), beta.clone(), 1e-5));
        for (a, b) in fused.into_iter().zip(plain) {
            let worst = (a - b).abs().max().into_scalar::<f32>();
            assert!(worst < 5e-5, "{worst}");
        }
    }
}
