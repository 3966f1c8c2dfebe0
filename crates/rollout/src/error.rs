//! What can go wrong between a prompt and its scored episode.

use tailguard_lm::LmError;
use tailguard_reward::RewardError;

/// Errors of sampling and scoring. Rows are counted from 0, in the order in which the caller gave
/// them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RolloutError {
    /// A sampling setting outside its range.
    #[error("sampling setting {key} is {found}, expected {expected}")]
    Setting {
        /// The setting's name.
        key: &'static str,
        /// The value found.
        found: String,
        /// What it may be.
        expected: &'static str,
    },
    /// A prompt without tokens: there is nothing to continue.
    #[error("prompt {row} has no tokens, expected at least one")]
    EmptyPrompt {
        /// The prompt.
        row: usize,
    },
    /// A prompt and its response exceed the model's context.
    #[error(
        "row {row}: {prompt} prompt tokens and {response} response tokens do not fit the context \
         of {limit} tokens"
    )]
    TooLong {
        /// The row.
        row: usize,
        /// Tokens of the prompt.
        prompt: usize,
        /// Tokens of the response, or the most that may be sampled.
        response: usize,
        /// The model's context.
        limit: usize,
    },
    /// A response holds the token whose probability is 0 under the distribution that it is to be
    /// scored by.
    #[error(
        "row {row}: response token {position} is {id}, which the distribution suppresses: its \
         log-probability is not finite"
    )]
    Suppressed {
        /// The row.
        row: usize,
        /// Index in the response.
        position: usize,
        /// The suppressed token.
        id: u32,
    },
    /// NaN or infinity where a number is needed: the model has diverged or its weights are damaged.
    #[error(
        "row {row}: {what} at response token {position} are not finite; the model has diverged or \
         its weights are damaged"
    )]
    NotFinite {
        /// Which numbers.
        what: &'static str,
        /// The row.
        row: usize,
        /// Index in the response.
        position: usize,
    },
    /// Logits that do not make a distribution.
    #[error("cannot draw from {count} logits: the largest is not finite or one of them is NaN")]
    Logits {
        /// Number of logits.
        count: usize,
    },
    /// The reward model gave another number of scores than it was given texts.
    #[error("{}", RewardError::ScoreCount { expected: *expected, found: *found })]
    ScoreCount {
        /// Number of texts.
        expected: usize,
        /// Number of scores.
        found: usize,
    },
    /// The reward model gave NaN, infinity, or a score too large to compute with.
    #[error("{}", RewardError::Score { index: *row, score: *score })]
    Score {
        /// The text.
        row: usize,
        /// Its score.
        score: f32,
    },
    /// A model that records every operation for a backward pass that never comes would fill the
    /// memory.
    #[error(
        "the model is on a training device; sample and score with its inference copy (`valid()`)"
    )]
    Trainable,
    /// Models that do not have the same tokens cannot choose one together.
    #[error(
        "the base model has {base} tokens, the expert {expert} and the anti-expert {anti_expert}: \
         expected the same tokens"
    )]
    Vocabularies {
        /// Tokens of the base model.
        base: usize,
        /// Of the expert.
        expert: usize,
        /// Of the anti-expert.
        anti_expert: usize,
    },
    /// The reward model failed.
    #[error("failed to score texts")]
    Reward(#[source] RewardError),
    /// The language model refused its input.
    #[error(transparent)]
    Lm(#[from] LmError),
    /// The tokenizer failed.
    #[error("failed to {action} text {row}")]
    Tokenizer {
        /// What was being done.
        action: &'static str,
        /// The text.
        row: usize,
        /// The tokenizer's own error.
        source: tokenizers::Error,
    },
    /// Results could not be copied from the device.
    #[error("failed to read {what} from the device")]
    Read {
        /// Which numbers.
        what: &'static str,
        /// The device's own error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl From<RewardError> for RolloutError {
    fn from(error: RewardError) -> Self {
        match error {
            RewardError::Score { index, score } => Self::Score { row: index, score },
            RewardError::ScoreCount { expected, found } => Self::ScoreCount { expected, found },
            error => Self::Reward(error),
        }
    }
}
