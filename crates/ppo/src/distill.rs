//! Distillation: a model learns weighted samples of another one, so that it comes to answer as the
//! weighted samples do.
//!
//! Cross-entropy on samples `y` of a prompt with weights `w` has the gradient of
//! `KL(weighted samples || model)`, so the model moves to the distribution that the weights make of
//! the samples. Samples are learnt with their weights, and not drawn by them: that is the mean over
//! all such draws, without their noise, and each sample is read once however heavy it is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tailguard_lm::{CausalLm, TokenDistribution};

use crate::batches::{batch, streams};
use crate::config::LARGEST_RATE;
use crate::descent::{Descent, StepObserver};
use crate::error::PpoError;
use crate::weighted::WeightedText;

/// How the weighted samples of a round are learnt: cross-entropy over the response tokens, AdamW, a
/// rate that falls to 0 in a line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DistillConfig {
    /// Passes over the prompts of a round.
    #[schemars(range(min = 1))]
    pub epochs: usize,
    /// Prompts of an optimiser step, each with all of its samples that have weight; at most
    /// `prompts`.
    #[schemars(range(min = 1))]
    pub batch_size: usize,
    /// The rate of a round's first step. Each prompt counts alike, so it means the same for any
    /// number of samples.
    #[schemars(extend("exclusiveMinimum" = 0.0, "maximum" = LARGEST_RATE))]
    pub learning_rate: f64,
    /// `AdamW`'s decoupled weight decay.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
}

impl Default for DistillConfig {
    fn default() -> Self {
        Self { epochs: 1, batch_size: 8, learning_rate: 1e-4, weight_decay: 0.0 }
    }
}

impl DistillConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// [`PpoError::Setting`] names the first that is out of range.
    pub fn validate(&self) -> Result<(), PpoError> {
        Ok(tailguard_settings::check(self)?)
    }

    /// Optimiser steps of a round of so many prompts.
    #[must_use]
    pub fn steps(&self, prompts: usize) -> usize {
        self.epochs * (prompts / self.batch_size.clamp(1, prompts.max(1)))
    }
}

/// The prompts of a round, from 1, by their places among `len`: `size` of them, at most all.
/// Decided by seed and round, so arms share them; no round has those of another as long as there
/// are others.
#[must_use]
pub fn prompts_of_round(len: usize, size: usize, seed: u64, round: usize) -> Vec<usize> {
    batch(len, size.min(len), round.saturating_sub(1), seed, streams::PROMPTS)
}

/// Fine-tunes a model on weighted samples: those of each prompt, with weights that sum to 1. The
/// result is the inference copy, or none if the observer broke off. The order of the prompts
/// depends on seed and round alone; a last partial batch of a pass is left out, as in PPO.
///
/// # Errors
/// Settings out of range, no prompt or one without samples, [`PpoError::Diverged`], or samples that
/// the model cannot read.
#[tracing::instrument(name = "distill", skip_all, fields(prompts = prompts.len(), round))]
pub fn distilled<M: CausalLm>(
    model: &M,
    prompts: &[Vec<WeightedText<'_>>],
    distribution: TokenDistribution,
    config: &DistillConfig,
    (seed, round): (u64, usize),
    observe: &mut StepObserver<'_>,
) -> Result<Option<M>, PpoError> {
    config.validate()?;
    if prompts.is_empty() || prompts.iter().any(Vec::is_empty) {
        let prompt = prompts.iter().position(Vec::is_empty).unwrap_or(0);
        return Err(PpoError::NoSamples { prompt, prompts: prompts.len() });
    }
    let (steps, size) = (config.steps(prompts.len()), config.batch_size.min(prompts.len()));
    let texts_of = |step| {
        let order =
            batch(prompts.len(), size, round * steps + step, seed, streams::WEIGHTED_SAMPLES);
        order.into_iter().flat_map(|prompt| prompts[prompt].iter().copied()).collect()
    };
    let descent = Descent {
        steps,
        learning_rate: config.learning_rate,
        weight_decay: config.weight_decay,
        distribution,
    };
    descent.run(model, texts_of, observe)
}
