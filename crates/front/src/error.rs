//! What keeps a front from being computed.

use tailguard_metrics::MetricsError;
use tailguard_risk::RiskError;

/// Errors of fronts.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FrontError {
    /// The numbers are not those of so many responses to each of some prompts.
    #[error("there are {found} {what}, expected {expected}")]
    Count {
        /// What they are: scores, judge's scores, weights.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there should be.
        expected: String,
    },
    /// A score is NaN or infinite.
    #[error(
        "the {what} of response {response} to prompt {prompt}, both counted from 0, is \
             {value}, expected a finite number"
    )]
    NotFinite {
        /// `"score"` or `"judge's score"`.
        what: &'static str,
        /// The prompt.
        prompt: usize,
        /// The response.
        response: usize,
        /// Its value.
        value: f64,
    },
    /// A prompt of the tail is none of the sample.
    #[error("prompt {prompt} is in the tail, but there are {prompts} prompts, counted from 0")]
    NoPrompt {
        /// The prompt.
        prompt: usize,
        /// How many there are.
        prompts: usize,
    },
    /// A coefficient of the KL is not a number above 0.
    #[error("beta is {0}, expected a finite number above 0")]
    Beta(f64),
    /// Best of more responses than there are, or of none.
    #[error("best of {n} was asked for, expected 1 to {responses}, the responses to each prompt")]
    BestOf {
        /// What was asked for.
        n: usize,
        /// How many there are.
        responses: usize,
    },
    /// A risk measure.
    #[error(transparent)]
    Risk(#[from] RiskError),
    /// A figure.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
}
