//! A step of Adam in one pass over parameters, gradients and moments.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;
use rayon::prelude::*;

use crate::slices::{contiguous, floats, overwritten, vectorised};

/// Values per task.
const BLOCK: usize = 1 << 14;

/// The constants of a step: Kingma and Ba, "Adam" (2015); Loshchilov and Hutter, "Decoupled Weight
/// Decay Regularization" (2019).
#[derive(Clone, Copy, Debug)]
pub struct AdamStep {
    /// Learning rate.
    pub learning_rate: f64,
    /// Share that the mean of the gradients keeps of its last value.
    pub beta_1: f32,
    /// Share that the mean of their squares keeps.
    pub beta_2: f32,
    /// Added to the root of the second moment after the correction of its bias.
    pub epsilon: f32,
    /// Share of the parameter that a learning rate of 1 would take off it; 0 is Adam, more is
    /// `AdamW`.
    pub weight_decay: f32,
    /// Number of this step, from 1.
    pub time: usize,
}

impl AdamStep {
    fn factors(&self) -> Factors {
        let time = i32::try_from(self.time).unwrap_or(i32::MAX);
        let root = (1.0 - self.beta_2.powi(time)).sqrt();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "factors of values in single precision"
        )]
        Factors {
            keep: (1.0 - self.learning_rate * f64::from(self.weight_decay)) as f32,
            rate: self.learning_rate as f32,
            beta_1: self.beta_1,
            beta_2: self.beta_2,
            correction: root / (1.0 - self.beta_1.powi(time)),
            epsilon: self.epsilon * root,
        }
    }
}

/// What the loop multiplies by and adds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Factors {
    pub(crate) keep: f32,
    pub(crate) rate: f32,
    pub(crate) beta_1: f32,
    pub(crate) beta_2: f32,
    pub(crate) correction: f32,
    pub(crate) epsilon: f32,
}

/// The parameter after a step, and its two moments.
///
/// # Shapes
/// Parameter, gradient and moments are of one shape; moments begin as 0.
///
/// # Panics
/// If they are not.
#[must_use]
pub fn adam_step<const D: usize>(
    parameter: Tensor<D>,
    grad: Tensor<D>,
    moments: [Tensor<D>; 2],
    step: &AdamStep,
) -> (Tensor<D>, [Tensor<D>; 2]) {
    let shape = parameter.dims();
    assert!(
        grad.dims() == shape && moments.iter().all(|moment| moment.dims() == shape),
        "gradient and moments are not of the parameter's shape {shape:?}"
    );
    let ([first, second], factors) = (moments, step.factors());
    if crate::fused(&parameter.device()) && !parameter.device().is_autodiff() {
        let (parameter, grad) = (parameter.into_dispatch(), grad.into_dispatch());
        let moments = (first.into_dispatch(), second.into_dispatch());
        let (parameter, first, second) =
            <Dispatch as AdamOps>::adam_step(parameter, grad, moments.0, moments.1, factors);
        (
            Tensor::from_dispatch(parameter),
            [Tensor::from_dispatch(first), Tensor::from_dispatch(second)],
        )
    } else {
        plain(parameter, grad, [first, second], factors)
    }
}

/// The definition, by Burn operations.
fn plain<const D: usize>(
    parameter: Tensor<D>,
    grad: Tensor<D>,
    [first, second]: [Tensor<D>; 2],
    factors: Factors,
) -> (Tensor<D>, [Tensor<D>; 2]) {
    let Factors { keep, rate, beta_1, beta_2, correction, epsilon } = factors;
    let first = first * beta_1 + grad.clone() * (1.0 - beta_1);
    let second = second * beta_2 + grad.square() * (1.0 - beta_2);
    let delta = first.clone() * correction / (second.clone().sqrt() + epsilon);
    (parameter * keep - delta * rate, [first, second])
}

#[backend_extension(Flex, Cube: cfg(any(feature = "wgpu", feature = "cuda")))]
pub(crate) trait AdamOps: Backend {
    fn adam_step(
        parameter: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        factors: Factors,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

impl AdamOps for Flex {
    fn adam_step(
        parameter: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        factors: Factors,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let grad = contiguous(grad);
        let (mut first, mut second) = (Some(first), Some(second));
        let parameter = overwritten(parameter, |parameter| {
            first = first.take().map(|first| {
                overwritten(first, |first| {
                    second = second.take().map(|second| {
                        overwritten(second, |second| {
                            let moments =
                                first.par_chunks_mut(BLOCK).zip(second.par_chunks_mut(BLOCK));
                            let values = parameter
                                .par_chunks_mut(BLOCK)
                                .zip(floats(&grad).par_chunks(BLOCK));
                            values.zip(moments).for_each(|((parameter, grad), (first, second))| {
                                vectorised(
                                    #[inline(always)]
                                    || step_block(parameter, grad, first, second, factors),
                                );
                            });
                        })
                    });
                })
            });
        });
        match (first, second) {
            (Some(first), Some(second)) => (parameter, first, second),
            _ => unreachable!("both moments were put back"),
        }
    }
}

#[inline(always)]
fn step_block(
    parameter: &mut [f32],
    grad: &[f32],
    first: &mut [f32],
    second: &mut [f32],
    factors: Factors,
) {
    let Factors { keep, rate, beta_1, beta_2, correction, epsilon } = factors;
    for (((parameter, &grad), first), second) in
        parameter.iter_mut().zip(grad).zip(first).zip(second)
    {
        *first = *first * beta_1 + grad * (1.0 - beta_1);
        *second = *second * beta_2 + grad * grad * (1.0 - beta_2);
        *parameter = *parameter * keep - *first * correction / (second.sqrt() + epsilon) * rate;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution};

    #[test]
    fn a_step_matches_the_plain_composition_and_leaves_shared_tensors_alone() {
        let device = Device::flex();
        device.seed(11);
        let random = || Tensor::<2>::random([37, 531], Distribution::Normal(0.0, 1.0), &device);
        let (parameter, kept) = (random(), random());
        let zeros = || Tensor::<2>::zeros([37, 531], &device);
        let (mut fused, mut expected) =
            ((parameter.clone(), [zeros(), zeros()]), (parameter, [zeros(), zeros()]));
        for time in 1..=3 {
            let step = AdamStep {
                learning_rate: 0.1,
                beta_1: 0.9,
                beta_2: 0.999,
                epsilon: 1e-8,
                weight_decay: 0.01,
                time,
            };
            let grad = random() * kept.clone();
            let before = fused.0.clone();
            let values = before.clone().into_data();
            fused = adam_step(fused.0, grad.clone(), fused.1, &step);
            expected = plain(expected.0, grad, expected.1, step.factors());
            assert_eq!(before.into_data(), values);
            for (a, b) in [
                (&fused.0, &expected.0),
                (&fused.1[0], &expected.1[0]),
                (&fused.1[1], &expected.1[1]),
            ] {
                let worst = (a.clone() - b.clone()).abs().max().into_scalar::<f32>();
                assert!(worst < 1e-6, "{worst} at step {time}");
            }
        }
    }
}
