//! What is counted of an arm's price: sampled tokens and texts that the reward model scores.

use std::iter::Sum;
use std::ops::Add;

use tailguard_report::{RunDir, read_log};

use crate::error::ExperimentError;

/// Tokens of the responses in a row of the training log.
pub(crate) const SAMPLED_TOKENS: &str = "sampled_tokens";
/// Texts that the reward model has scored, likewise.
pub(crate) const REWARD_CALLS: &str = "reward_calls";

/// What making an arm, or an answer, has cost. A token counts once, however many models chose it
/// and whether its response was kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Tokens that were sampled.
    pub sampled_tokens: u64,
    /// Texts that the reward model has scored.
    pub reward_calls: u64,
}

impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            sampled_tokens: self.sampled_tokens + other.sampled_tokens,
            reward_calls: self.reward_calls + other.reward_calls,
        }
    }
}

impl Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::default(), Self::add)
    }
}

impl Cost {
    /// What the rows of a training log add up to: a log has each iteration once, however often its
    /// training was interrupted. Nothing where there is no log, or a row of it does not say.
    ///
    /// # Errors
    /// A log that cannot be read.
    pub(crate) fn of_log(
        dir: &RunDir,
        arm: &str,
        seed: u64,
    ) -> Result<Option<Self>, ExperimentError> {
        let path = dir.log_path(arm, seed);
        if !path.is_file() {
            return Ok(None);
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "counts, which are whole and far below 2^53"
        )]
        let count = |value: &f64| value.round() as u64;
        let rows = read_log(&path)?;
        Ok(rows
            .iter()
            .map(|row| {
                Some(Self {
                    sampled_tokens: row.values.get(SAMPLED_TOKENS).map(count)?,
                    reward_calls: row.values.get(REWARD_CALLS).map(count)?,
                })
            })
            .sum())
    }
}
