//! Next-token training on texts that count more or less, of which some tokens are given: the one
//! mechanism behind supervised fine-tuning, pretraining and distillation.

use burn::optim::ModuleOptimizer;
use burn::tensor::{Tensor, TensorData};
use tailguard_kernels::pieces;
use tailguard_lm::{CausalLm, LmError, Predictions, TokenDistribution};

use crate::config::{RATE, is_rate};
use crate::error::PpoError;
use crate::gradients::sharded_gradients;
use crate::optimizer::clip_global_norm;

/// A text to learn, and how much it counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WeightedText<'a> {
    /// Token ids.
    pub ids: &'a [u32],
    /// The first token that is learnt, at least 1: those before it, such as a prompt, are given.
    pub first: usize,
    /// How much each of its learnt tokens counts, above 0; only ratios between texts matter.
    pub weight: f64,
}

impl<'a> WeightedText<'a> {
    /// A text of which every token but the first is learnt, with weight 1: as in supervised
    /// fine-tuning.
    #[must_use]
    pub fn whole(ids: &'a [u32]) -> Self {
        Self { ids, first: 1, weight: 1.0 }
    }

    /// Its weight times the number of learnt tokens.
    fn mass(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
        let tokens = self.ids.len().saturating_sub(self.first) as f64;
        self.weight * tokens
    }
}

/// Texts of one optimiser step, and the distribution that their tokens are learnt under.
#[derive(Clone, Copy, Debug)]
pub struct WeightedBatch<'a> {
    /// At least one.
    pub texts: &'a [WeightedText<'a>],
    /// That of sampling, where the texts are samples; the plain one otherwise.
    pub distribution: TokenDistribution,
}

/// The weighted mean of the negative log-likelihood in nats per learnt token,
///
/// ```text
/// sum_i w_i * -log p(learnt tokens of text i | those before)  /  sum_i w_i * (learnt tokens of i)
/// ```
///
/// It is in nats per token whatever the number of texts and the size of the weights are, so a
/// learning rate means the same for one text per prompt and for many. With equal weights it is the
/// plain mean over tokens.
///
/// # Shapes
/// The result is `[1]` and differentiable.
///
/// # Errors
/// [`LmError::Empty`] for a text without a learnt token or one before it; an unusable token.
pub fn weighted_loss<M: CausalLm>(
    model: &M,
    batch: &WeightedBatch<'_>,
) -> Result<Tensor<1>, LmError> {
    let rows: Vec<&[u32]> = batch.texts.iter().map(|text| text.ids).collect();
    let first: Vec<usize> = batch.texts.iter().map(|text| text.first).collect();
    let predictions = Predictions::new(&rows, &first, 0, &model.device())?;
    let states = model.predicting(&predictions)?;
    // [n], one for each learnt token, text after text
    let log_probs = model.token_stats(states, predictions.targets, &batch.distribution).log_probs;
    let alike =
        batch.texts.windows(2).all(|pair| pair[0].weight.total_cmp(&pair[1].weight).is_eq());
    if alike {
        return Ok(log_probs.mean().neg());
    }
    let mass: f64 = batch.texts.iter().map(WeightedText::mass).sum();
    let per_token = batch.texts.iter().flat_map(|text| {
        #[expect(clippy::cast_possible_truncation, reason = "losses are in single precision")]
        let share = (text.weight / mass) as f32;
        std::iter::repeat_n(share, text.ids.len() - text.first)
    });
    let shares: Vec<f32> = per_token.collect();
    let count = shares.len();
    let shares = Tensor::<1>::from_data(TensorData::new(shares, [count]), &model.device().inner());
    Ok((log_probs * shares).sum().neg())
}

/// One optimiser step on [`weighted_loss`]; returns the model and the loss before the step. `step`
/// is its number, from 1, for messages.
///
/// # Errors
/// As [`weighted_loss`]; [`PpoError::Diverged`] for a loss or gradients that are not finite, with
/// which no step is taken; [`PpoError::Setting`] for a rate, a norm or a weight that is none.
pub fn weighted_step<M: CausalLm>(
    model: M,
    optimizer: &mut ModuleOptimizer,
    batch: &WeightedBatch<'_>,
    learning_rate: f64,
    max_norm: Option<f64>,
    step: usize,
) -> Result<(M, f64), PpoError> {
    if !is_rate(learning_rate) {
        return Err(PpoError::setting("learning_rate", &learning_rate, RATE));
    }
    let is_weight = |weight: f64| weight.is_finite() && weight > 0.0;
    if let Some(text) = batch.texts.iter().find(|text| !is_weight(text.weight)) {
        return Err(PpoError::setting("weight", &text.weight, "a finite number above 0"));
    }
    let mass: f64 = batch.texts.iter().map(WeightedText::mass).sum();
    let longest = batch.texts.iter().map(|text| text.ids.len()).max().unwrap_or(0);
    let device = model.device();
    let shards: Vec<WeightedBatch<'_>> = pieces(&device, batch.texts.len(), longest)
        .into_iter()
        .map(|range| WeightedBatch { texts: &batch.texts[range], ..*batch })
        .collect();
    let (mut grads, losses) = sharded_gradients(&device, &model, &shards, |model, shard| {
        let part: f64 = shard.texts.iter().map(WeightedText::mass).sum();
        let loss = weighted_loss(model, shard)? * (part / mass);
        Ok::<_, LmError>((loss.clone(), loss.inner()))
    })?;
    let diverged = |what: String| {
        let cause = format!("learning_rate = {learning_rate} is too high");
        PpoError::Diverged { unit: "step", number: step, what, cause }
    };
    let loss: f64 = losses.into_iter().map(|loss| f64::from(loss.into_scalar::<f32>())).sum();
    if !loss.is_finite() {
        return Err(diverged(format!("the loss is {loss}")));
    }
    // before any step, or NaN would reach the weights
    clip_global_norm(&model, &mut grads, max_norm.unwrap_or(f64::MAX)).map_err(
        |error| match error {
            PpoError::Gradients { .. } => diverged(error.to_string()),
            other => other,
        },
    )?;
    Ok((optimizer.step(learning_rate, model, grads), loss))
}
