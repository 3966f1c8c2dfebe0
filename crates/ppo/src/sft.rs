//! Supervised fine-tuning on the good class: the baseline SFT, and the reference of the KL penalty.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tailguard_lm::{CausalLm, TokenDistribution};

use crate::batches::{batch, streams};
use crate::config::LARGEST_RATE;
use crate::descent::{Descent, StepObserver};
use crate::error::PpoError;
use crate::weighted::WeightedText;

/// Settings of supervised fine-tuning: next-token cross-entropy, AdamW, a rate that falls to 0 in a
/// line. The defaults are those of the authors' code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SftConfig {
    /// Optimiser steps.
    pub steps: usize,
    /// Texts per step; fewer if there are not as many.
    #[schemars(range(min = 1))]
    pub batch_size: usize,
    /// The rate of the first step.
    #[schemars(extend("exclusiveMinimum" = 0.0, "maximum" = LARGEST_RATE))]
    pub learning_rate: f64,
    /// `AdamW`'s decoupled weight decay.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
}

impl Default for SftConfig {
    fn default() -> Self {
        Self { steps: 100, batch_size: 1024, learning_rate: 1e-5, weight_decay: 0.0 }
    }
}

impl SftConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// [`PpoError::Setting`] names the first that is out of range.
    pub fn validate(&self) -> Result<(), PpoError> {
        Ok(tailguard_settings::check(self)?)
    }
}

/// Trains a model on rows of token ids; the result is the inference copy, or none if the observer
/// broke off. The order of the rows depends on the seed alone. Rows of fewer than two tokens have
/// nothing to predict and are left out.
///
/// # Errors
/// Settings out of range, no usable row, [`PpoError::Diverged`], or a row that the model cannot
/// read.
#[tracing::instrument(name = "sft", skip_all, fields(texts = texts.len(), steps = config.steps))]
pub fn supervised<M: CausalLm>(
    model: &M,
    texts: &[Vec<u32>],
    config: &SftConfig,
    seed: u64,
    observe: &mut StepObserver<'_>,
) -> Result<Option<M>, PpoError> {
    config.validate()?;
    let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).filter(|row| row.len() > 1).collect();
    if texts.is_empty() {
        return Err(PpoError::NoTexts { found: 0 });
    }
    let size = config.batch_size.min(texts.len());
    let texts_of = |step| {
        let rows = batch(texts.len(), size, step, seed, streams::TEXTS).into_iter();
        rows.map(|row| WeightedText::whole(texts[row])).collect()
    };
    let descent = Descent {
        steps: config.steps,
        learning_rate: config.learning_rate,
        weight_decay: config.weight_decay,
        distribution: TokenDistribution::default(),
    };
    descent.run(model, texts_of, observe)
}
