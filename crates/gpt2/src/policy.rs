//! The policy that PPO trains: a GPT-2 and a value head on the same trunk.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use tailguard_kernels::Linear;

use crate::model::Gpt2;

/// One linear layer from a hidden state to the expected return; Hugging Face name `v_head.summary`.
#[derive(Module, Debug)]
pub struct ValueHead {
    pub(crate) summary: Linear, // [d, 1]
}

impl ValueHead {
    /// A value head that says 0 everywhere, so that nothing but rewards enters the first advantages. (TRL's starts from random numbers.)
    #[must_use]
    pub fn init(hidden: usize, device: &Device) -> Self {
        Self { summary: Linear::new(Tensor::zeros([hidden, 1], device), Tensor::zeros([1], device)) }
    }

    /// Value of each state.
    ///
    /// # Shapes
    /// `[n, hidden]` to `[n]`, in units of the reward.
    #[must_use]
    pub fn forward(&self, hidden: Tensor<2>) -> Tensor<1> {
        self.summary.forward(hidden).squeeze_dim::<1>(1)
    }
}

/// Policy and value function with a shared trunk.
#[derive(Module, Debug)]
pub struct Policy {
    /// The language model.
    pub gpt2: Gpt2,
    /// The critic.
    pub value_head: ValueHead,
}

impl Policy {
    /// A policy that starts from a language model, with a fresh value head (Algorithm 1, line 1).
    #[must_use]
    pub fn new(gpt2: Gpt2) -> Self {
        let value_head = ValueHead::init(gpt2.config().n_embd, &gpt2.device());
        Self { gpt2, value_head }
    }
}
