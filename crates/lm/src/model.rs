//! What rollouts and PPO know of a causal language model.

use std::path::Path;

use burn::module::{Module, ModuleDisplay};
use burn::tensor::{Device, Int, Tensor};
use tailguard_checkpoint::{CheckpointError, WeightType};
use tailguard_kernels::{Drawn, Masks, TokenStats, draw_logits};

use crate::cache::KvCache;
use crate::error::LmError;
use crate::sizes::LmSizes;
use crate::tokens::{Predictions, TokenBatch, id_tensor};

/// The distribution that tokens are drawn from and scored under; both must be the same, or ratios
/// and KL are wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenDistribution {
    /// Logits are divided by this.
    pub temperature: f32,
    /// A token whose probability is set to 0: the end token, where responses have a fixed length.
    pub suppress: Option<u32>,
}

impl Default for TokenDistribution {
    fn default() -> Self {
        Self { temperature: 1.0, suppress: None }
    }
}

/// A causal language model: what it is fed and what it says of the next token.
///
/// Shapes in comments use `n` for the states that predict a target, row after row.
pub trait CausalLm: Module + ModuleDisplay + Sync {
    /// The model, ready to sample.
    type Decoder: Decoder;

    /// Vocabulary, context, width.
    fn sizes(&self) -> LmSizes;

    /// Where the weights are.
    fn device(&self) -> Device;

    /// Hidden states that predict the targets of a batch, as the output head reads them.
    ///
    /// # Shapes
    /// `[n, hidden]`, in the order of the targets.
    ///
    /// # Errors
    /// [`LmError::TooLong`] for a row that is longer than the context, [`LmError::UnknownToken`].
    fn predicting(&self, batch: &Predictions) -> Result<Tensor<2>, LmError>;

    /// Log-probability of each target and entropy of the distribution it is taken from, in nats,
    /// without keeping `[n, vocab]`; differentiable in the log-probabilities.
    ///
    /// # Shapes
    /// `hidden`: `[n, hidden]`, the states that predict; `targets`: `[n]`, the tokens predicted;
    /// both results `[n]`.
    fn token_stats(
        &self,
        hidden: Tensor<2>,
        targets: Tensor<1, Int>,
        distribution: &TokenDistribution,
    ) -> TokenStats;

    /// The model, ready to sample: made once for many tokens.
    fn decoder(&self) -> Self::Decoder;

    /// Writes the model as a Hugging Face directory.
    ///
    /// # Errors
    /// The file that cannot be written.
    fn save(&self, dir: &Path, weight_type: WeightType) -> Result<(), CheckpointError>;
}

/// A [`CausalLm`] that continues prompts, token by token, with keys and values kept in a
/// [`KvCache`].
pub trait Decoder: Send + Sync {
    /// Vocabulary, context, width.
    fn sizes(&self) -> LmSizes;

    /// Where the weights are.
    fn device(&self) -> Device;

    /// An empty cache for so many rows of at most `capacity` tokens each, padding included.
    fn cache(&self, rows: usize, capacity: usize) -> KvCache;

    /// Reads left-padded prompts into an empty cache; the hidden states of their last tokens.
    ///
    /// # Shapes
    /// `[batch, seq]` tokens to `[batch, hidden]`.
    ///
    /// # Errors
    /// [`LmError::TooLong`] for prompts that do not fit the context or the cache,
    /// [`LmError::UnknownToken`], [`LmError::Count`] for a cache of another number of rows or
    /// layers. The cache is then as it was.
    fn prefill(&self, tokens: &TokenBatch, cache: &mut KvCache) -> Result<Tensor<2>, LmError>;

    /// Appends one token to each row of the cache; its hidden state, `[batch, hidden]`.
    ///
    /// # Errors
    /// As [`prefill`](Self::prefill).
    fn step(&self, ids: &[u32], cache: &mut KvCache) -> Result<Tensor<2>, LmError> {
        let sizes = self.sizes();
        ids.iter().enumerate().try_for_each(|(row, &id)| sizes.check_id(id, row))?;
        self.step_drawn(id_tensor(ids, &self.device()), cache)
    }

    /// [`step`](Self::step) for ids that are on the device already, `[batch]`, as
    /// [`draw`](Self::draw) gives them: they are not checked.
    ///
    /// # Errors
    /// As [`prefill`](Self::prefill), but for unknown tokens.
    fn step_drawn(&self, ids: Tensor<1, Int>, cache: &mut KvCache) -> Result<Tensor<2>, LmError>;

    /// Raw next-token logits.
    ///
    /// # Shapes
    /// `[n, hidden]` to `[n, vocab]`.
    fn logits(&self, hidden: Tensor<2>) -> Tensor<2>;

    /// Whether tokens are drawn where the hidden states are: on a GPU, from which they would have
    /// to be read otherwise.
    fn draws(&self) -> bool {
        false
    }

    /// Draws the next token of each row, `hidden`: `[batch, hidden]`, at one number in
    /// [0, 1) per row, `uniforms`: `[batch]`.
    fn draw(&self, hidden: Tensor<2>, uniforms: Tensor<1>, masks: Masks) -> Drawn {
        draw_logits(self.logits(hidden), uniforms, masks)
    }
}
