//! `[prompted]`: an instruction in front of each prompt.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An instruction in front of each prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PromptedSection {
    /// The words of the instruction, with the space or the end of line that parts it from the
    /// prompt. Neither the reward model nor the judge reads it.
    pub instruction: String,
}
