//! Adam with PyTorch's defaults, and clipping by the norm over all parameters.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{AdamConfig, AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::Tensor;

/// Adam (betas 0.9 and 0.999, epsilon 1e-8, no weight decay), as PPO uses it (Appendix C.2).
#[must_use]
pub fn adam() -> ModuleOptimizer {
    AdamConfig::new().with_epsilon(1e-8).init()
}

/// AdamW with the same constants and decoupled weight decay on every parameter.
#[must_use]
pub fn adam_w(weight_decay: f32) -> ModuleOptimizer {
    AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(weight_decay).init()
}

/// Scales all gradients so that their common L2 norm is at most `max_norm`; returns the norm before.
///
/// Burn's own clipping looks at one tensor at a time, which changes the direction of the step.
pub fn clip_global_norm<M: Module>(module: &M, grads: &mut GradientsParams, max_norm: f64) -> f64 {
    let mut squares = Squares { grads, sum: 0.0 };
    module.visit(&mut squares);
    let norm = squares.sum.sqrt();
    if norm > max_norm {
        module.visit(&mut Scale { grads, factor: max_norm / norm });
    }
    norm
}

struct Squares<'a> {
    grads: &'a GradientsParams,
    sum: f64,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(grad) = self.grads.get::<D>(param.id) {
            // row by row: Burn sums a large tensor whole in parts that depend on the threads
            let rows = (grad.clone() * grad).sum_dim(D - 1).into_data();
            self.sum += rows.iter::<f64>().sum::<f64>();
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
