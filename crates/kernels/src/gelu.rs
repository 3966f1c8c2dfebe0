//! GPT-2's GELU: `x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))`, which is `x sigmoid(2u)` for the
//! argument `u` of the tanh.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;
use rayon::prelude::*;

use crate::exp::exp;
use crate::slices::{contiguous, floats, overwritten, vectorised};

/// `sqrt(2 / pi)`.
const SCALE: f32 = 0.797_884_6;
const CUBIC: f32 = 0.044_715;
/// Values per task: large enough that handing it to a thread costs nothing.
const BLOCK: usize = 1 << 14;

/// The tanh form of the Gaussian error linear unit, as GPT-2 uses it (`gelu_new` in Hugging Face's
/// config).
///
/// # Shapes
/// Any shape in, the same shape out.
#[must_use]
pub fn gelu_new<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    gelu(x, false)
}

/// [`gelu_new`] for a result that is only multiplied with matrices: on a GPU it is rounded as
/// [`Precision`](crate::Precision) says.
#[must_use]
pub fn gelu_new_factor<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    gelu(x, true)
}

fn gelu<const D: usize>(x: Tensor<D>, factor: bool) -> Tensor<D> {
    if crate::fused(&x.device()) {
        Tensor::from_dispatch(<Dispatch as GeluOps>::gelu_new(x.into_dispatch(), factor))
    } else {
        plain(x)
    }
}

/// The definition, by Burn operations.
fn plain<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let cube = x.clone() * x.clone() * x.clone();
    let u = (x.clone() + cube * CUBIC) * SCALE;
    x * 0.5 * (u.tanh() + 1.0)
}

#[backend_extension(Flex, Cube: cfg(any(feature = "wgpu", feature = "cuda")), Autodiff)]
pub(crate) trait GeluOps: Backend {
    /// `factor`: whether the result is only multiplied with matrices.
    fn gelu_new(x: FloatTensor<Self>, factor: bool) -> FloatTensor<Self>;
    fn gelu_new_backward(x: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl GeluOps for Flex {
    fn gelu_new(x: FloatTensor<Self>, _factor: bool) -> FloatTensor<Self> {
        overwritten(x, |x| {
            x.par_chunks_mut(BLOCK).for_each(|x| {
                vectorised(
                    #[inline(always)]
                    || {
                        for x in x {
                            *x *= sigmoid_of_argument(*x);
                        }
                    },
                );
            });
        })
    }

    fn gelu_new_backward(x: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        let x = contiguous(x);
        overwritten(grad, |grad| {
            grad.par_chunks_mut(BLOCK).zip(floats(&x).par_chunks(BLOCK)).for_each(|(grad, x)| {
                vectorised(
                    #[inline(always)]
                    || {
                        for (grad, &x) in grad.iter_mut().zip(x) {
                            let s = sigmoid_of_argument(x);
                            let slope = 2.0 * SCALE * (1.0 + 3.0 * CUBIC * x * x);
                            *grad *= s + x * s * (1.0 - s) * slope;
                        }
                    },
                );
            });
        })
    }
}

/// `sigmoid(2u) = (1 + tanh(u)) / 2` for GELU's argument `u` at `x`.
#[inline(always)]
fn sigmoid_of_argument(x: f32) -> f32 {
    let u = SCALE * (x + CUBIC * x * x * x);
    1.0 / (1.0 + exp(-2.0 * u))
}

#[derive(Debug)]
struct GeluBackward;

impl<B: GeluOps> Backward<B, 1> for GeluBackward {
    type State = B::FloatTensorPrimitive;

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let grad = grads.consume::<B>(&ops.node);
        if let [Some(parent)] = ops.parents {
            grads.register::<B>(parent.id, B::gelu_new_backward(ops.state, grad));
        }
    }
}

impl<B: GeluOps, C: CheckpointStrategy> GeluOps for Autodiff<B, C> {
    fn gelu_new(x: FloatTensor<Self>, factor: bool) -> FloatTensor<Self> {
        let (x, node) = x.into_parts();
        match GeluBackward.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let out = B::gelu_new(x.clone(), factor);
                prep.finish(x, out)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::gelu_new(x, factor)),
        }
    }

    fn gelu_new_backward(_x: FloatTensor<Self>, _grad: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("gradients of gradients are never taken")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution};

    #[test]
    fn the_fused_kernel_and_its_gradient_match_the_plain_composition() {
        let device = Device::flex().autodiff();
        device.seed(1);
        let x =
            Tensor::<2>::random([37, 531], Distribution::Normal(0.0, 3.0), &device).require_grad();
        let weights = Tensor::<2>::random([37, 531], Distribution::Normal(0.0, 1.0), &device);
        let run = |y: Tensor<2>| {
            let grads = (y.clone() * weights.clone()).sum().backward();
            (y.inner(), x.grad(&grads).expect("x requires a gradient"))
        };
        let (fused, plain) = (run(gelu_new(x.clone())), run(plain(x.clone())));
        for (a, b) in [(fused.0, plain.0), (fused.1, plain.1)] {
            let worst = (a - b).abs().max().into_scalar::<f32>();
            assert!(worst < 1e-5, "{worst}");
        }
    }

    #[test]
    fn large_arguments_neither_overflow_nor_turn_into_nan() {
        let x = Tensor::<1>::from_floats([-1e6, -100.0, 100.0, 1e6], &Device::flex());
        let y = gelu_new(x).into_data().try_to_vec::<f32>().unwrap();
        for (y, expected) in y.into_iter().zip([0.0, 0.0, 100.0, 1e6]) {
            assert!((y - expected).abs() < 1e-20, "{y}");
        }
    }
}
