//! The policy that PPO trains: a causal language model and a value head on the same trunk.

use std::path::Path;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use tailguard_checkpoint::{CheckpointError, WeightType, Weights, WeightsWriter};
use tailguard_kernels::Linear;

use crate::model::CausalLm;

/// File of the value head, beside `model.safetensors`.
pub const VALUE_HEAD_FILE: &str = "value_head.safetensors";

/// One linear layer from a hidden state to the expected return; Hugging Face name `v_head.summary`.
#[derive(Module, Debug)]
pub struct ValueHead {
    summary: Linear, // [d, 1]
}

impl ValueHead {
    /// A value head that says 0 everywhere, so that nothing but rewards enters the first
    /// advantages. (TRL's starts from random numbers.)
    #[must_use]
    pub fn init(hidden: usize, device: &Device) -> Self {
        Self {
            summary: Linear::new(Tensor::zeros([hidden, 1], device), Tensor::zeros([1], device)),
        }
    }

    /// Value of each state.
    ///
    /// # Shapes
    /// `[n, hidden]` to `[n]`, in units of the reward.
    #[must_use]
    pub fn forward(&self, hidden: Tensor<2>) -> Tensor<1> {
        self.summary.forward(hidden).squeeze_dim::<1>(1)
    }

    /// Reads `v_head.summary.weight` `[1, hidden]` and `v_head.summary.bias` `[1]`.
    ///
    /// # Errors
    /// A missing or misshapen tensor, by name.
    pub fn load(path: &Path, hidden: usize, device: &Device) -> Result<Self, CheckpointError> {
        let mut weights = Weights::open(path)?;
        let weight = weights.transposed("v_head.summary.weight", [hidden, 1], device)?;
        let summary = Linear::new(weight, weights.tensor("v_head.summary.bias", [1], device)?);
        weights.finish(|_| false)?;
        Ok(Self { summary })
    }

    /// Writes what [`ValueHead::load`] reads.
    ///
    /// # Errors
    /// The file that cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), CheckpointError> {
        let mut weights = WeightsWriter::new(WeightType::F32);
        weights.insert("v_head.summary.weight", self.summary.weight.val().transpose());
        weights.insert("v_head.summary.bias", self.summary.bias.val());
        weights.write(path)
    }
}

/// Policy and value function with a shared trunk.
#[derive(Module, Debug)]
pub struct Policy<M: Module> {
    /// The language model.
    pub lm: M,
    /// The critic.
    pub value_head: ValueHead,
}

impl<M: CausalLm> Policy<M> {
    /// A policy that starts from a language model, with a fresh value head (Algorithm 1, line 1).
    #[must_use]
    pub fn new(lm: M) -> Self {
        let value_head = ValueHead::init(lm.sizes().hidden, &lm.device());
        Self { lm, value_head }
    }

    /// Writes the language model as a Hugging Face directory and the value head beside it.
    ///
    /// # Errors
    /// The file that cannot be written.
    pub fn save(&self, dir: &Path, weight_type: WeightType) -> Result<(), CheckpointError> {
        self.lm.save(dir, weight_type)?;
        self.value_head.save(&dir.join(VALUE_HEAD_FILE))
    }
}
