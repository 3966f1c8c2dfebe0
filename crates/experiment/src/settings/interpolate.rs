//! `[interpolate]`: how far from the reference a policy comes to lie.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A trained policy, brought back towards what its KL is measured to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InterpolateSection {
    /// The KL at which it comes to lie, nats per response.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub kl: f64,
}
