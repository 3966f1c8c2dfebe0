//! `[best_of_n]`: several responses to a prompt, of which the best is kept.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The best of several responses, by the reward model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BestOfNSection {
    /// Responses to a prompt: so many, or with `guard` at most so many.
    #[schemars(range(min = 1))]
    pub n: usize,
    /// Whether another response is drawn only while the best one scores less than `threshold`.
    pub guard: bool,
    /// The score that is good enough for `guard`.
    pub threshold: f64,
}
