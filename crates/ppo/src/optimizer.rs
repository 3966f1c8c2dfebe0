//! Adam with PyTorch's defaults, and clipping by the norm over all parameters.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{
    AdamState, AdaptiveMomentumState, GradientsParams, LearningRate, ModuleOptimizer, Optimizer,
};
use burn::tensor::{Device, Tensor};
use tailguard_kernels::{AdamStep, adam_step, sum_of_squares};

use crate::error::PpoError;

/// Adam (betas 0.9 and 0.999, epsilon 1e-8, no weight decay), as PPO uses it (Appendix C.2).
#[must_use]
pub fn adam() -> ModuleOptimizer {
    adam_w(0.0)
}

/// AdamW with the same constants and decoupled weight decay on every parameter.
#[must_use]
pub fn adam_w(weight_decay: f32) -> ModuleOptimizer {
    ModuleOptimizer::from(Adam { weight_decay, epsilon: EPSILON })
}

/// Adam with another epsilon.
#[must_use]
pub(crate) fn adam_with(epsilon: f32) -> ModuleOptimizer {
    ModuleOptimizer::from(Adam { weight_decay: 0.0, epsilon })
}

/// PyTorch's.
const EPSILON: f32 = 1e-8;

/// Burn's Adam by the fused kernel, with the state of Burn's.
#[derive(Clone)]
struct Adam {
    weight_decay: f32,
    epsilon: f32,
}

impl Optimizer for Adam {
    type State<const D: usize> = AdamState<D>;

    fn step<const D: usize>(
        &self,
        learning_rate: LearningRate,
        parameter: Tensor<D>,
        grad: Tensor<D>,
        state: Option<AdamState<D>>,
    ) -> (Tensor<D>, Option<AdamState<D>>) {
        let (time, moments) = match state.map(|state| state.momentum) {
            Some(state) => (state.time + 1, [state.moment_1, state.moment_2]),
            None => (1, [0, 1].map(|_| Tensor::zeros(parameter.dims(), &parameter.device()))),
        };
        let step = AdamStep {
            learning_rate,
            beta_1: 0.9,
            beta_2: 0.999,
            epsilon: self.epsilon,
            weight_decay: self.weight_decay,
            time,
        };
        let (parameter, [moment_1, moment_2]) = adam_step(parameter, grad, moments, &step);
        (parameter, Some(AdamState::new(AdaptiveMomentumState::new(time, moment_1, moment_2))))
    }

    fn to_device<const D: usize>(mut state: AdamState<D>, device: &Device) -> AdamState<D> {
        state.momentum = state.momentum.to_device(device);
        state
    }
}

/// L2 norm of all gradients of a module together; NaN or infinite if one of them is, or if the
/// square of one is more than single precision holds, which is also more than Adam's second moment
/// holds.
#[must_use]
pub fn global_norm<M: Module>(module: &M, grads: &GradientsParams) -> f64 {
    let mut squares = Squares { grads, sum: None };
    module.visit(&mut squares);
    squares.sum.map_or(0.0, |sum| f64::from(sum.into_scalar::<f32>())).sqrt()
}

/// Scales all gradients so that their common L2 norm is at most `max_norm`; returns the norm
/// before.
///
/// Burn's own clipping looks at one tensor at a time, which changes the direction of the step.
///
/// # Errors
/// [`PpoError::Gradients`] for a norm that is NaN or infinite, to which nothing can be scaled: the
/// gradients are then as they were. [`PpoError::Setting`] unless `max_norm` is above 0.
pub fn clip_global_norm<M: Module>(
    module: &M,
    grads: &mut GradientsParams,
    max_norm: f64,
) -> Result<f64, PpoError> {
    if !(max_norm.is_finite() && max_norm > 0.0) {
        return Err(PpoError::setting("max_norm", &max_norm, "a positive number"));
    }
    let norm = global_norm(module, grads);
    if !norm.is_finite() {
        return Err(PpoError::Gradients { norm });
    }
    if norm > max_norm {
        module.visit(&mut Scale { grads, factor: max_norm / norm });
    }
    Ok(norm)
}

struct Squares<'a> {
    grads: &'a GradientsParams,
    /// On the device: it is read once, not once per parameter.
    sum: Option<Tensor<1>>,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(grad) = self.grads.get::<D>(param.id) {
            let sum = sum_of_squares(grad);
            self.sum = Some(match self.sum.take() {
                Some(others) => others + sum,
                None => sum,
            });
        }
    }
}

struct Scale<'a> {
    grads: &'a mut GradientsParams,
    factor: f64,
}

impl ModuleVisitor for Scale<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(grad) = self.grads.remove::<D>(param.id) {
            self.grads.register(param.id, grad * self.factor);
        }
    }
}
