//! The settings of PPO, and what makes them valid.

use crate::error::PpoError;
use crate::kl::KlController;

/// Settings of one PPO run (Appendix C.2 and Table 5 of arXiv 2501.06911), shared by RLHF and RA-RLHF.
#[derive(Clone, Debug, PartialEq)]
pub struct PpoConfig {
    /// M: iterations of the run.
    pub iterations: usize,
    /// B: episodes sampled per iteration.
    pub batch_size: usize,
    /// Episodes per optimiser step when all are kept; at most `batch_size`. When fewer are kept, the number of steps stays and
    /// each sees fewer episodes.
    pub minibatch_size: usize,
    /// Passes over the kept episodes.
    pub epochs: usize,
    /// Adam's rate, constant.
    pub learning_rate: f64,
    /// Rate of the value head, which starts from nothing; the same as `learning_rate` in the paper.
    pub value_learning_rate: f64,
    /// Discount per token.
    pub gamma: f64,
    /// Decay of generalised advantage estimation.
    pub lambda: f64,
    /// The policy ratio is clipped to `1 - clip ..= 1 + clip`.
    pub clip: f64,
    /// New values are clipped to old values plus or minus this.
    pub value_clip: f64,
    /// Weight of the value loss.
    pub value_coef: f64,
    /// Initial KL coefficient, beta.
    pub kl_coef: f64,
    /// KL per episode that the controller aims at, in nats.
    pub kl_target: f64,
    /// The controller's gain is `batch_size / kl_horizon` (`K_beta` in Table 5); 0 for a coefficient that stays.
    pub kl_horizon: f64,
    /// A minibatch whose mean ratio is above this is skipped.
    pub ratio_threshold: f64,
    /// First iterations that train the value head alone; 0 in the paper.
    pub value_warmup: usize,
}

impl PpoConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// [`PpoError::Setting`] names the first that is out of range.
    pub fn validate(&self) -> Result<(), PpoError> {
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let share = |value: f64| (0.0..=1.0).contains(&value);
        let not_negative = |value: f64| value.is_finite() && value >= 0.0;
        let checks = [
            ("iterations", self.iterations.to_string(), self.iterations >= 1, "at least 1"),
            ("batch_size", self.batch_size.to_string(), self.batch_size >= 1, "at least 1"),
            (
                "minibatch_size",
                self.minibatch_size.to_string(),
                (1..=self.batch_size).contains(&self.minibatch_size),
                "1 to batch_size",
            ),
            ("epochs", self.epochs.to_string(), self.epochs >= 1, "at least 1"),
            ("learning_rate", self.learning_rate.to_string(), is_rate(self.learning_rate), RATE),
            ("value_learning_rate", self.value_learning_rate.to_string(), is_rate(self.value_learning_rate), RATE),
            ("gamma", self.gamma.to_string(), share(self.gamma), "0 to 1"),
            ("lambda", self.lambda.to_string(), share(self.lambda), "0 to 1"),
            ("clip", self.clip.to_string(), positive(self.clip), "a positive number"),
            ("value_clip", self.value_clip.to_string(), positive(self.value_clip), "a positive number"),
            ("value_coef", self.value_coef.to_string(), not_negative(self.value_coef), "0 or more"),
            ("kl_coef", self.kl_coef.to_string(), not_negative(self.kl_coef), "0 or more"),
            ("kl_target", self.kl_target.to_string(), positive(self.kl_target), "a positive number"),
            (
                "kl_horizon",
                self.kl_horizon.to_string(),
                not_negative(self.kl_horizon) && KlController::gain(self.batch_size, self.kl_horizon) < KlController::GAIN_LIMIT,
                "0, or more than a fifth of batch_size",
            ),
            ("ratio_threshold", self.ratio_threshold.to_string(), self.ratio_threshold > 1.0, "above 1"),
        ];
        match checks.into_iter().find(|(_, _, valid, _)| !valid) {
            Some((key, found, _, expected)) => Err(PpoError::Setting { key, found, expected }),
            None => Ok(()),
        }
    }

    /// What a training with these settings comes to if something is not finite.
    pub(crate) fn diverged(&self, iteration: usize, what: String) -> PpoError {
        let Self { learning_rate, value_learning_rate, .. } = self;
        let cause = format!("learning_rate = {learning_rate} or value_learning_rate = {value_learning_rate} is too high");
        PpoError::Diverged { unit: "iteration", number: iteration, what, cause }
    }
}

/// The largest learning rate: a step is about as long, and must stay far from the largest number in single precision.
pub(crate) const LARGEST_RATE: f64 = 1e30;

/// What a learning rate may be.
pub(crate) const RATE: &str = "a positive number of at most 1e30";

/// Whether a number is a learning rate.
pub(crate) fn is_rate(value: f64) -> bool {
    value > 0.0 && value <= LARGEST_RATE
}
