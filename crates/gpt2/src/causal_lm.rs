//! GPT-2 as rollouts and PPO take it.

use std::path::Path;

use burn::tensor::{Device, Int, Tensor};
use tailguard_checkpoint::{CheckpointError, WeightType};
use tailguard_kernels::{TokenStats, token_log_probs};
use tailguard_lm::{CausalLm, LmError, LmSizes, Predictions, TokenDistribution};

use crate::config::Gpt2Config;
use crate::decoder::Gpt2Decoder;
use crate::model::Gpt2;

impl CausalLm for Gpt2 {
    type Decoder = Gpt2Decoder;

    fn sizes(&self) -> LmSizes {
        let Gpt2Config { vocab_size, n_positions, n_embd, .. } = self.config;
        LmSizes { vocab_size, context: n_positions, hidden: n_embd }
    }

    fn device(&self) -> Device {
        self.wte.weight.val().device()
    }

    /// For less work than [`Gpt2::hidden`]: of the tokens whose states predict nothing the last
    /// block computes keys and values only.
    fn predicting(&self, batch: &Predictions) -> Result<Tensor<2>, LmError> {
        let (x, starts) = (self.embed(&batch.tokens)?, &batch.tokens.starts);
        let Some((last, blocks)) = self.h.split_last() else {
            return Ok(self.ln_f.forward(batch.states(x)));
        };
        let x = blocks.iter().fold(x, |x, block| block.forward(x, starts));
        let attended = last.attn.attend(last.qkv(x.clone()), starts);
        Ok(self.ln_f.forward(last.finish(batch.states(x), batch.states(attended))))
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
