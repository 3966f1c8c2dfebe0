//! GPT-2 as rollouts and PPO take it.

use std::path::Path;

use burn::module::Param;
use burn::tensor::{Device, Int, Tensor, s};
use tailguard_checkpoint::{CheckpointError, WeightType};
use tailguard_kernels::{TokenStats, token_log_probs};
use tailguard_lm::{CausalLm, LmError, LmSizes, Predictions, Steerable, TokenDistribution};

use crate::config::Gpt2Config;
use crate::decoder::Gpt2Decoder;
use crate::model::Gpt2;

impl CausalLm for Gpt2 {
    type Decoder = Gpt2Decoder;

    fn sizes(&self) -> LmSizes {
        let Gpt2Config { vocab_size, n_embd, .. } = self.config;
        LmSizes { vocab_size, context: self.config.context(), hidden: n_embd }
    }

    fn device(&self) -> Device {
        self.wte.weight.val().device()
    }

    fn predicting(&self, batch: &Predictions) -> Result<Tensor<2>, LmError> {
        self.predicting_behind(self.prefix(batch.tokens.starts.len()), batch)
    }

    fn token_stats(
        &self,
        hidden: Tensor<2>,
        targets: Tensor<1, Int>,
        distribution: &TokenDistribution,
    ) -> TokenStats {
        token_log_probs(
            hidden,
            self.head(),
            targets,
            distribution.temperature,
            distribution.suppress,
        )
    }

    fn decoder(&self) -> Gpt2Decoder {
        Gpt2Decoder::new(self)
    }

    fn save(&self, dir: &Path, weight_type: WeightType) -> Result<(), CheckpointError> {
        self.write(dir, weight_type)
    }
}

impl Gpt2 {
    /// The states that predict, perhaps behind a control token in front of each row, `[batch, 1]`.
    /// For less work than [`Gpt2::hidden`]: of the tokens whose states predict nothing the last
    /// block computes keys and values only.
    fn predicting_behind(
        &self,
        front: Option<Tensor<2, Int>>,
        batch: &Predictions,
    ) -> Result<Tensor<2>, LmError> {
        let (first, starts) = (usize::from(front.is_some()), &batch.tokens.starts);
        let x = self.embed(&batch.tokens, front)?;
        let states = |x: Tensor<3>| match first {
            0 => batch.states(x),
            _ => batch.states(x.slice(s![.., first.., ..])),
        };
        let Some((last, blocks)) = self.h.split_last() else {
            return Ok(self.ln_f.forward(states(x)));
        };
        let x = blocks.iter().fold(x, |x, block| block.forward(x, starts));
        let attended = last.attn.attend(last.qkv(x.clone()), starts);
        Ok(self.ln_f.forward(last.finish(states(x), states(attended))))
    }

    /// Refuses a control token that there is not.
    fn check_control(&self, token: usize) -> Result<(), LmError> {
        let tokens = self.config.control_tokens;
        if token < tokens { Ok(()) } else { Err(LmError::NoControlToken { token, tokens }) }
    }
}

impl Steerable for Gpt2 {
    fn control_tokens(&self) -> usize {
        self.config.control_tokens
    }

    fn with_control_tokens(mut self, rows: Tensor<2>) -> Self {
        self.config.control_tokens = rows.dims()[0];
        self.config.prefix_token_id = None;
        self.control = Some(Param::from_tensor(rows));
        self
    }

    fn under(mut self, token: Option<usize>) -> Result<Self, LmError> {
        self.config.prefix_token_id = match token {
            Some(token) => {
                self.check_control(token)?;
                u32::try_from(self.config.vocab_size + token).ok()
            }
            None => None,
        };
        Ok(self)
    }

    fn predicting_under(
        &self,
        batch: &Predictions,
        tokens: &[usize],
    ) -> Result<Tensor<2>, LmError> {
        let (found, expected) = (tokens.len(), batch.tokens.starts.len());
        if found != expected {
            return Err(LmError::Count { what: "control tokens for the rows", found, expected });
        }
        tokens.iter().try_for_each(|&token| self.check_control(token))?;
        self.predicting_behind(Some(self.front(tokens)), batch)
    }

    fn embedding(&self) -> Tensor<2> {
        self.wte.weight.val()
    }

    fn logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        Self::logits(self, hidden)
    }
}
