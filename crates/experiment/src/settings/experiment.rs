//! `[experiment]`: what holds for all arms together.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What holds for all arms together, so that they can be compared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExperimentSection {
    /// The KL in nats per response at which every arm of the recipe `ppo` is held; 0: none is.
    /// `ppo.kl_coef` is then where the KL coefficient begins, and a controller of its own takes
    /// the place of `ppo.kl_target` and `ppo.kl_horizon`.
    #[schemars(range(min = 0.0))]
    pub equal_kl: f64,
}

impl ExperimentSection {
    /// The KL at which policies are held, if they are.
    #[must_use]
    pub fn held_kl(&self) -> Option<f64> {
        (self.equal_kl > 0.0).then_some(self.equal_kl)
    }
}
