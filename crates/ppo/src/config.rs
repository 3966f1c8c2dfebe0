//! The settings of PPO, and what makes them valid.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tailguard_risk::BatchShape;

use crate::advantages::Advantages;
use crate::error::PpoError;
use crate::kl::KlController;

/// Settings of one PPO run (Appendix C.2 and Table 5 of arXiv 2501.06911), shared by RLHF and
/// RA-RLHF. The defaults are the paper's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PpoConfig {
    /// M of Algorithm 1: iterations of the run.
    #[schemars(range(min = 1))]
    pub iterations: usize,
    /// B of Algorithm 1: episodes sampled per iteration.
    #[schemars(range(min = 1))]
    pub batch_size: usize,
    /// K: episodes sampled for each prompt, so an iteration has `batch_size / responses` prompts;
    /// 1 in the paper.
    #[schemars(range(min = 1))]
    pub responses: usize,
    /// Episodes per optimiser step when all are kept; at most `batch_size`. When fewer are kept,
    /// the number of steps stays and each sees fewer episodes.
    #[schemars(range(min = 1))]
    pub minibatch_size: usize,
    /// Passes over the kept episodes.
    #[schemars(range(min = 1))]
    pub epochs: usize,
    /// Adam's rate; constant in the paper.
    #[schemars(extend("exclusiveMinimum" = 0.0, "maximum" = LARGEST_RATE))]
    pub learning_rate: f64,
    /// First iterations, in which the rate rises in a line up to `learning_rate`; 0: none. The rate
    /// of the value head stays as it is.
    pub rate_warmup: usize,
    /// Share of `learning_rate` that is left in the last iteration. After the warm-up the rate
    /// falls to it in a line; 1: it is constant.
    #[schemars(extend("exclusiveMinimum" = 0.0, "maximum" = 1.0))]
    pub rate_end: f64,
    /// Share of the iterations, the last ones, whose policies are averaged, weight by weight, into
    /// the finished model; 0: it is the policy of the last iteration.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub average: f64,
    /// Where advantages come from: `gae`, the value head; `rloo`, the other responses to the same
    /// prompt, without a value head.
    pub advantages: Advantages,
    /// Rate of the value head, which starts from nothing; the same as `learning_rate` in the paper.
    #[schemars(extend("exclusiveMinimum" = 0.0, "maximum" = LARGEST_RATE))]
    pub value_learning_rate: f64,
    /// Discount per token.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub gamma: f64,
    /// Decay of generalised advantage estimation.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub lambda: f64,
    /// The policy ratio is clipped to `1 - clip ..= 1 + clip` (Eq. 11).
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub clip: f64,
    /// New values are clipped to old values plus or minus this (Eq. 13).
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub value_clip: f64,
    /// Weight of the value loss.
    #[schemars(range(min = 0.0))]
    pub value_coef: f64,
    /// Initial KL coefficient, beta of Eq. 5.
    #[schemars(range(min = 0.0))]
    pub kl_coef: f64,
    /// KL per episode that the controller aims at, in nats (Eq. 4).
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub kl_target: f64,
    /// The controller's gain is `batch_size / kl_horizon` (`K_beta` of Eq. 4); 0 for a coefficient
    /// that stays.
    #[schemars(range(min = 0.0))]
    pub kl_horizon: f64,
    /// A minibatch whose mean ratio is above this is skipped.
    #[schemars(extend("exclusiveMinimum" = 1.0))]
    pub ratio_threshold: f64,
    /// First iterations that train the value head alone; 0 in the paper.
    pub value_warmup: usize,
}

impl Default for PpoConfig {
    fn default() -> Self {
        Self {
            iterations: 194,
            batch_size: 128,
            responses: 1,
            minibatch_size: 128,
            epochs: 4,
            learning_rate: 1.41e-5,
            rate_warmup: 0,
            rate_end: 1.0,
            average: 0.0,
            advantages: Advantages::Gae,
            value_learning_rate: 1.41e-5,
            gamma: 1.0,
            lambda: 0.95,
            clip: 0.2,
            value_clip: 0.2,
            value_coef: 0.1,
            kl_coef: 0.2,
            kl_target: 6.0,
            kl_horizon: 10_000.0,
            ratio_threshold: 10.0,
            value_warmup: 0,
        }
    }
}

impl PpoConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// [`PpoError::Setting`] names the first that is out of range.
    pub fn validate(&self) -> Result<(), PpoError> {
        tailguard_settings::check(self)?;
        let refuse = |key: &str, found: &dyn ToString, expected: &str| {
            Err(PpoError::setting(key, found, expected))
        };
        if self.minibatch_size > self.batch_size {
            return refuse("minibatch_size", &self.minibatch_size, "1 to batch_size");
        }
        if !self.batch_size.is_multiple_of(self.responses) {
            let expected = format!("a divisor of batch_size, which is {}", self.batch_size);
            return refuse("responses", &self.responses, &expected);
        }
        if self.rate_warmup >= self.iterations {
            return refuse("rate_warmup", &self.rate_warmup, "less than iterations");
        }
        if let Some((key, found, expected)) = self.against_rloo() {
            return refuse(key, &found, expected);
        }
        if KlController::gain(self.batch_size, self.kl_horizon) >= KlController::GAIN_LIMIT {
            return refuse("kl_horizon", &self.kl_horizon, "0, or more than a fifth of batch_size");
        }
        Ok(())
    }

    /// The first setting that `advantages = "rloo"` cannot work with: its key, the value found, and
    /// what is expected next to it.
    #[must_use]
    pub fn against_rloo(&self) -> Option<(&'static str, String, &'static str)> {
        let wrong = |key, found: &dyn ToString, expected| Some((key, found.to_string(), expected));
        if self.has_value_head() {
            None
        } else if self.responses < 2 {
            wrong("responses", &self.responses, "2 or more next to advantages = \"rloo\"")
        } else if self.value_warmup > 0 {
            let expected = "0 next to advantages = \"rloo\", which has no value head";
            wrong("value_warmup", &self.value_warmup, expected)
        } else if self.gamma < 1.0 {
            let expected = "1 next to advantages = \"rloo\", which does not discount";
            wrong("gamma", &self.gamma, expected)
        } else {
            None
        }
    }

    /// Whether a value head is trained and says what to expect.
    #[must_use]
    pub fn has_value_head(&self) -> bool {
        self.advantages == Advantages::Gae
    }

    /// The shape of an iteration's batch, as an objective checks it.
    #[must_use]
    pub fn batch_shape(&self) -> BatchShape {
        BatchShape { episodes: self.batch_size, responses: self.responses }
    }

    /// Prompts of an iteration, of valid settings.
    #[must_use]
    pub fn prompts(&self) -> usize {
        self.batch_size / self.responses.max(1)
    }

    /// What a training with these settings comes to if something is not finite.
    pub(crate) fn diverged(&self, iteration: usize, what: String) -> PpoError {
        let Self { learning_rate, value_learning_rate, .. } = self;
        let cause = format!(
            "learning_rate = {learning_rate} or value_learning_rate = {value_learning_rate} is \
             too high"
        );
        PpoError::Diverged { unit: "iteration", number: iteration, what, cause }
    }
}

/// The largest learning rate: a step is about as long, and must stay far from the largest number in
/// single precision.
pub(crate) const LARGEST_RATE: f64 = 1e30;

/// What a learning rate may be.
pub(crate) const RATE: &str = "a positive number of at most 1e30";

/// Whether a number is a learning rate.
pub(crate) fn is_rate(value: f64) -> bool {
    value > 0.0 && value <= LARGEST_RATE
}
