//! The loop of all fine-tuning on texts: AdamW with a rate that falls to 0 in a line.

use std::ops::ControlFlow;

use tailguard_lm::{CausalLm, TokenDistribution};

use crate::error::PpoError;
use crate::optimizer::adam_w;
use crate::weighted::{WeightedBatch, WeightedText, weighted_step};

/// Step (from 1) and its loss in nats per token; breaking ends training there.
pub type StepObserver<'a> = dyn FnMut(usize, f64) -> ControlFlow<()> + 'a;

/// How a fine-tuning goes down its loss.
pub(crate) struct Descent {
    pub(crate) steps: usize,
    /// Of the first step; it falls to 0 in a line.
    pub(crate) learning_rate: f64,
    /// Of `AdamW`, decoupled.
    pub(crate) weight_decay: f64,
    /// What tokens are learnt under.
    pub(crate) distribution: TokenDistribution,
}

impl Descent {
    /// Fine-tunes a model on the texts that `texts` gives for each step, from 0; the result is the
    /// inference copy, or none if the observer broke off.
    ///
    /// # Errors
    /// [`PpoError::Diverged`], or texts that the model cannot read.
    pub(crate) fn run<'t, M: CausalLm>(
        &self,
        model: &M,
        texts: impl Fn(usize) -> Vec<WeightedText<'t>>,
        observe: &mut StepObserver<'_>,
    ) -> Result<Option<M>, PpoError> {
        let mut model = model.clone().train();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "Burn takes weight decay in single precision"
        )]
        let mut optimizer = adam_w(self.weight_decay as f32);
        for step in 0..self.steps {
            let mut texts = texts(step);
            // rows of like length lie together, so that little of a piece is padding
            texts.sort_by_key(|text| text.ids.len());
            #[expect(clippy::cast_precision_loss, reason = "step counts are small")]
            let rate = self.learning_rate * (1.0 - step as f64 / self.steps as f64);
            let batch = WeightedBatch { texts: &texts, distribution: self.distribution };
            let loss;
            (model, loss) =
                weighted_step(model, &mut optimizer, &batch, rate, Some(MAX_NORM), step + 1)?;
            if observe(step + 1, loss).is_break() {
                return Ok(None);
            }
        }
        Ok(Some(model.valid()))
    }
}

/// Gradients are clipped to this norm, as the reference's trainer does by default.
const MAX_NORM: f64 = 1.0;
