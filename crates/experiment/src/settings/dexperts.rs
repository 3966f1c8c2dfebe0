//! `[dexperts]`: expert and anti-expert beside a base model.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Expert and anti-expert beside a base model: `softmax(z + alpha (z+ - z-))`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DexpertsSection {
    /// How much of the difference between expert and anti-expert is added to the logits; 0 is the
    /// base model.
    #[schemars(range(min = 0.0))]
    pub alpha: f64,
    /// Only the base model's likeliest tokens of so much probability together are drawn from; 1:
    /// all of them. The cut comes before the experts are added.
    #[schemars(extend("exclusiveMinimum" = 0.0, "maximum" = 1.0))]
    pub top_p: f64,
}
