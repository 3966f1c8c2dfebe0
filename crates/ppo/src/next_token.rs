//! Next-token training: what supervised fine-tuning and pretraining have in common.

use burn::optim::ModuleOptimizer;
use burn::tensor::Tensor;
use tailguard_kernels::pieces;
use tailguard_lm::{CausalLm, LmError, Predictions, TokenDistribution};

use crate::config::{RATE, is_rate};
use crate::error::PpoError;
use crate::gradients::sharded_gradients;
use crate::optimizer::clip_global_norm;

/// Mean negative log-likelihood in nats of every token but the first of each row.
///
/// # Shapes
/// Rows of token ids of any length from 2 on; the result is `[1]` and differentiable.
///
/// # Errors
/// [`LmError::Empty`] for a row of fewer than two tokens.
pub fn next_token_loss<M: CausalLm>(model: &M, rows: &[&[u32]]) -> Result<Tensor<1>, LmError> {
    let batch = Predictions::new(rows, &vec![1; rows.len()], 0, &model.device())?;
    let states = model.predicting(&batch)?;
    Ok(model
        .token_stats(states, batch.targets, &TokenDistribution::default())
        .log_probs
        .mean()
        .neg())
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
    if !is_rate(learning_rate) {
        return Err(PpoError::setting("learning_rate", &learning_rate, RATE));
    }
    let tokens: usize = rows.iter().map(|row| row.len().saturating_sub(1)).sum();
    let longest = rows.iter().map(|row| row.len()).max().unwrap_or(0);
    let device = model.device();
    let shards: Vec<&[&[u32]]> =
        pieces(&device, rows.len(), longest).into_iter().map(|range| &rows[range]).collect();
    let (mut grads, losses) = sharded_gradients(&device, &model, &shards, |model, rows| {
        let part: usize = rows.iter().map(|row| row.len().saturating_sub(1)).sum();
        #[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
        let loss = next_token_loss(model, rows)? * (part as f64 / tokens as f64);
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
