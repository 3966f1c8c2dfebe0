//! Next-token training on whole texts that count alike: the plain case of [`crate::weighted`].

use burn::optim::ModuleOptimizer;
use burn::tensor::Tensor;
use tailguard_lm::{CausalLm, LmError, TokenDistribution};

use crate::error::PpoError;
use crate::weighted::{WeightedBatch, WeightedText, weighted_loss, weighted_step};

/// Mean negative log-likelihood in nats of every token but the first of each row.
///
/// # Shapes
/// Rows of token ids of any length from 2 on; the result is `[1]` and differentiable.
///
/// # Errors
/// [`LmError::Empty`] for a row of fewer than two tokens.
pub fn next_token_loss<M: CausalLm>(model: &M, rows: &[&[u32]]) -> Result<Tensor<1>, LmError> {
    let texts = whole(rows);
    weighted_loss(
        model,
        &WeightedBatch { texts: &texts, distribution: TokenDistribution::default() },
    )
}

/// One optimiser step on the mean loss of `rows`; returns the model and the loss before the step.
/// `step` is its number, from 1, for messages.
///
/// # Errors
/// As [`next_token_loss`]; [`PpoError::Diverged`] for a loss or gradients that are not finite, with
/// which no step is taken; [`PpoError::Setting`] for a rate or a norm that is none.
pub fn next_token_step<M: CausalLm>(
    model: M,
    optimizer: &mut ModuleOptimizer,
    rows: &[&[u32]],
    learning_rate: f64,
    max_norm: Option<f64>,
    step: usize,
) -> Result<(M, f64), PpoError> {
    let texts = whole(rows);
    let batch = WeightedBatch { texts: &texts, distribution: TokenDistribution::default() };
    weighted_step(model, optimizer, &batch, learning_rate, max_norm, step)
}

fn whole<'a>(rows: &[&'a [u32]]) -> Vec<WeightedText<'a>> {
    rows.iter().map(|row| WeightedText::whole(row)).collect()
}

/// Mean negative log-likelihood per token over many rows, without gradients, `batch_size` rows at a
/// time.
///
/// # Errors
/// As [`next_token_loss`]; [`LmError::Empty`] without rows.
pub fn validation_loss<M: CausalLm>(
    model: &M,
    rows: &[Vec<u32>],
    batch_size: usize,
) -> Result<f64, LmError> {
    if rows.is_empty() {
        return Err(LmError::Empty { row: 0, rows: 0 });
    }
    let model = &model.valid();
    let (mut sum, mut count) = (0.0, 0usize);
    for batch in rows.chunks(batch_size.max(1)) {
        let views: Vec<&[u32]> = batch.iter().map(Vec::as_slice).collect();
        let tokens: usize = views.iter().map(|row| row.len().saturating_sub(1)).sum();
        let loss = f64::from(next_token_loss(model, &views)?.into_scalar::<f32>());
        #[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
        let weight = tokens as f64;
        sum += loss * weight;
        count += tokens;
    }
    #[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
    let count = count as f64;
    Ok(sum / count)
}
