//! Supervised fine-tuning on the good class: the baseline SFT, and the reference of the KL penalty.

use std::ops::ControlFlow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tailguard_lm::CausalLm;

use crate::batches::{batch, streams};
use crate::config::LARGEST_RATE;
use crate::error::PpoError;
use crate::next_token::next_token_step;
use crate::optimizer::adam_w;

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

/// Step (from 1) and its loss in nats per token; breaking ends training there.
pub type SftObserver<'a> = dyn FnMut(usize, f64) -> ControlFlow<()> + 'a;

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
    observe: &mut SftObserver<'_>,
) -> Result<Option<M>, PpoError> {
    config.validate()?;
    let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).filter(|row| row.len() > 1).collect();
    if texts.is_empty() {
        return Err(PpoError::NoTexts { found: 0 });
    }
    let size = config.batch_size.min(texts.len());
    let mut model = model.clone().train();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "Burn takes weight decay in single precision"
    )]
    let mut optimizer = adam_w(config.weight_decay as f32);
    for step in 0..config.steps {
        let mut rows: Vec<&[u32]> = batch(texts.len(), size, step, seed, streams::TEXTS)
            .into_iter()
            .map(|row| texts[row])
            .collect();
        rows.sort_by_key(|row| row.len());
        #[expect(clippy::cast_precision_loss, reason = "step counts are small")]
        let rate = config.learning_rate * (1.0 - step as f64 / config.steps as f64);
        let loss;
        (model, loss) =
            next_token_step(model, &mut optimizer, &rows, rate, Some(MAX_NORM), step + 1)?;
        if observe(step + 1, loss).is_break() {
            return Ok(None);
        }
    }
    Ok(Some(model.valid()))
}

/// Gradients are clipped to this norm, as the reference's trainer does by default.
const MAX_NORM: f64 = 1.0;
