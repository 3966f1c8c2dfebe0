//! The settings of Quark.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::LARGEST_RATE;
use crate::error::PpoError;

/// Settings of one Quark run. The defaults are those of Lu et al. (NeurIPS 2022) with their 3
/// million training examples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct QuarkConfig {
    /// Optimizer steps.
    #[schemars(range(min = 1))]
    pub steps: usize,
    /// Steps between two explorations, in which prompts are sampled under the best token and the
    /// responses go into the pool. The first one samples from the reference.
    #[schemars(range(min = 1))]
    pub explore_every: usize,
    /// Training prompts of an exploration, one response each; 0 takes all.
    pub prompts: usize,
    /// K: parts of equal size into which the pool is cut by reward, each with a token of its own.
    #[schemars(range(min = 2, max = 1000))]
    pub buckets: usize,
    /// Responses of a step; at most those of the first exploration.
    #[schemars(range(min = 1))]
    pub batch_size: usize,
    /// Adam's rate, to which it rises in `warmup` steps, and from which it falls to 0 in a line.
    #[schemars(extend("exclusiveMinimum" = 0.0, "maximum" = LARGEST_RATE))]
    pub learning_rate: f64,
    /// Adam's epsilon.
    #[schemars(extend("exclusiveMinimum" = 0.0, "maximum" = 1.0))]
    pub epsilon: f64,
    /// First steps, in which the rate rises in a line; fewer than `steps`.
    pub warmup: usize,
    /// Weight of the KL of each token's distribution to the reference's.
    #[schemars(range(min = 0.0))]
    pub kl_coef: f64,
    /// Weight of the entropy of each token's distribution, which is rewarded.
    #[schemars(range(min = 0.0))]
    pub entropy_coef: f64,
}

impl Default for QuarkConfig {
    fn default() -> Self {
        Self {
            steps: 23_437,
            explore_every: 500,
            prompts: 0,
            buckets: 5,
            batch_size: 128,
            learning_rate: 1e-5,
            epsilon: 1e-5,
            warmup: 500,
            kl_coef: 0.05,
            entropy_coef: 0.06,
        }
    }
}

impl QuarkConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// [`PpoError::Setting`] names the first that is out of range.
    pub fn validate(&self) -> Result<(), PpoError> {
        tailguard_settings::check(self)?;
        if self.warmup >= self.steps {
            return Err(PpoError::setting("warmup", &self.warmup, "fewer than steps"));
        }
        Ok(())
    }

    /// Explorations, each with the steps that follow it.
    #[must_use]
    pub fn rounds(&self) -> usize {
        self.steps.div_ceil(self.explore_every)
    }

    /// Adam's rate in a step, counted from 0.
    pub(crate) fn rate(&self, step: usize) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "step counts are far below 2^52")]
        let share = |part: usize, of: usize| part as f64 / of as f64;
        self.learning_rate
            * if step < self.warmup {
                share(step + 1, self.warmup)
            } else {
                share(self.steps - step, self.steps - self.warmup)
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_and_falls_in_lines_and_is_never_0() {
        let config =
            QuarkConfig { steps: 10, warmup: 4, learning_rate: 2.0, ..QuarkConfig::default() };
        let rates: Vec<f64> = (0..10).map(|step| config.rate(step)).collect();
        let sixth = 1.0 / 3.0;
        let expected = [0.5, 1.0, 1.5, 2.0, 2.0, 5.0 * sixth, 4.0 * sixth, 1.0, 2.0 * sixth, sixth];
        for (rate, expected) in rates.iter().zip(expected) {
            assert!((rate - expected).abs() < 1e-12, "{rates:?}");
        }
    }

    #[test]
    fn the_last_round_may_be_shorter() {
        let rounds = |steps, explore_every| {
            QuarkConfig { steps, explore_every, ..QuarkConfig::default() }.rounds()
        };
        assert_eq!([rounds(10, 4), rounds(8, 4), rounds(1, 4)], [3, 2, 1]);
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused_by_name() {
        let refused = QuarkConfig { steps: 5, warmup: 5, ..QuarkConfig::default() };
        let message = refused.validate().unwrap_err().to_string();
        assert_eq!(message, "training setting warmup is 5, expected fewer than steps");
        let refused = QuarkConfig { buckets: 1, ..QuarkConfig::default() };
        assert!(refused.validate().unwrap_err().to_string().contains("buckets is 1"));
        assert!(QuarkConfig::default().validate().is_ok());
    }
}
