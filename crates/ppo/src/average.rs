//! The mean of the weights that a training had at several times: less noise than any one of them.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

use crate::config::PpoConfig;

impl PpoConfig {
    /// Of how many of the first `iteration` iterations the policies are averaged: the share
    /// `average` of all, rounded, but one at least, and these are the last ones.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of the iterations, which are few"
    )]
    pub fn averaged(&self, iteration: usize) -> usize {
        if self.average <= 0.0 {
            return 0;
        }
        let all = ((self.average * self.iterations as f64).round() as usize).max(1);
        (iteration + all).saturating_sub(self.iterations).min(all)
    }
}

/// The running mean of a module's weights (tail averaging; Izmailov et al., arXiv 1803.05407).
#[derive(Debug)]
pub struct WeightAverage<M: Module> {
    mean: M,
    count: usize,
}

impl<M: Module> WeightAverage<M> {
    /// What a state says that it is the mean of so many; at least 1.
    pub(crate) fn of(mean: M, count: usize) -> Self {
        Self { mean, count }
    }

    /// The mean.
    #[must_use]
    pub fn mean(&self) -> &M {
        &self.mean
    }

    /// Of how many.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// The mean with one more, a module whose parameters have the same ids.
    #[must_use]
    pub(crate) fn with(self, latest: &M) -> Self {
        let mut weights = Weights(GradientsParams::new());
        latest.visit(&mut weights);
        let count = self.count + 1;
        #[expect(clippy::cast_precision_loss, reason = "iterations are few")]
        let mut towards = Towards { weights: weights.0, share: 1.0 / count as f64 };
        Self { mean: self.mean.map(&mut towards), count }
    }
}

/// The weights of the parameters that it visits, by their ids.
struct Weights(GradientsParams);

impl ModuleVisitor for Weights {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.register(param.id, param.val());
    }
}

/// Moves each parameter by a share of its distance to other weights.
struct Towards {
    weights: GradientsParams,
    share: f64,
}

impl ModuleMapper for Towards {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        match self.weights.remove::<D>(param.id) {
            Some(latest) => param.map(|mean| mean.clone() + (latest - mean) * self.share),
            None => param,
        }
    }
}

#[cfg(test)]
mod tests {
    use tailguard_gpt2::Gpt2Config;

    use super::*;
    use burn::tensor::Device;

    #[test]
    fn the_last_iterations_are_averaged() {
        let averaged = |average: f64| {
            let config = PpoConfig { iterations: 6, average, ..PpoConfig::default() };
            (0..=6).map(|iteration| config.averaged(iteration)).collect::<Vec<_>>()
        };
        assert_eq!(averaged(0.0), [0; 7]);
        assert_eq!(averaged(0.01), [0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(averaged(0.5), [0, 0, 0, 0, 1, 2, 3]);
        assert_eq!(averaged(1.0), [0, 1, 2, 3, 4, 5, 6]);
    }

    /// Every parameter, one after another.
    #[derive(Default)]
    struct All(Vec<f32>);

    impl ModuleVisitor for All {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.extend(param.val().into_data().iter::<f32>());
        }
    }

    fn all<M: Module>(module: &M) -> Vec<f32> {
        let mut all = All::default();
        module.visit(&mut all);
        all.0
    }

    /// Every parameter times a factor.
    struct Times(f32);

    impl ModuleMapper for Times {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|tensor| tensor * self.0)
        }
    }

    #[test]
    fn every_weight_is_the_mean_of_what_it_was() {
        let model = Gpt2Config::new(11, 12, 8, 1, 2).init(5, &Device::flex()).unwrap();
        let mut average = WeightAverage::of(model.clone(), 1);
        assert_eq!(all(average.mean()), all(&model));
        for factor in [2.0, 6.0, -1.0] {
            average = average.with(&model.clone().map(&mut Times(factor)));
        }
        assert_eq!(average.count(), 4);
        let weights = all(&model);
        assert!(weights.iter().any(|weight| weight.abs() > 0.01));
        for (mean, weight) in all(average.mean()).into_iter().zip(weights) {
            assert!((mean - 2.0 * weight).abs() < 1e-6 + 1e-5 * weight.abs(), "{mean}, {weight}");
        }
    }
}
