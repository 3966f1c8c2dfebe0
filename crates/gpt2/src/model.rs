//! GPT-2: Radford et al., "Language Models are Unsupervised Multitask Learners" (2019).
//!
//! Fields carry the names of Hugging Face's checkpoint (`wte`, `h.0.attn.c_attn`, `ln_f`). Shapes
//! in comments use `b` rows, `t` tokens, `d` hidden width.

use burn::module::{Module, Param};
use burn::nn::Embedding;
use burn::tensor::{Int, Tensor};
use tailguard_kernels::{Linear, causal_attention, embedding, gelu_new_factor, layer_norm_factor};
use tailguard_lm::{CausalLm, LmError, TokenBatch};

use crate::config::Gpt2Config;

/// A decoder-only transformer with learned positions.
#[derive(Module, Debug)]
pub struct Gpt2 {
    pub(crate) wte: Embedding,
    pub(crate) wpe: Embedding,
    pub(crate) h: Vec<Block>,
    pub(crate) ln_f: LayerNorm,
    /// A head of its own, `[vocab, d]`; none if the head is `wte`.
    pub(crate) lm_head: Option<Param<Tensor<2>>>,
    #[module(skip)]
    pub(crate) config: Gpt2Config,
}

#[derive(Module, Debug)]
pub(crate) struct Block {
    pub(crate) ln_1: LayerNorm,
    pub(crate) attn: Attention,
    pub(crate) ln_2: LayerNorm,
    pub(crate) mlp: Mlp,
}

#[derive(Module, Debug)]
pub(crate) struct Attention {
    pub(crate) c_attn: Linear, // [d, 3d]: queries, keys and values side by side
    pub(crate) c_proj: Linear, // [d, d]
    #[module(skip)]
    pub(crate) n_head: usize,
}

#[derive(Module, Debug)]
pub(crate) struct Mlp {
    pub(crate) c_fc: Linear,   // [d, inner]
    pub(crate) c_proj: Linear, // [inner, d]
}

/// Layer norm with the checkpoint's names.
#[derive(Module, Debug)]
pub(crate) struct LayerNorm {
    pub(crate) weight: Param<Tensor<1>>, // [d]
    pub(crate) bias: Param<Tensor<1>>,   // [d]
    #[module(skip)]
    pub(crate) epsilon: f64,
}

impl Gpt2 {
    /// The model's settings.
    #[must_use]
    pub fn config(&self) -> &Gpt2Config {
        &self.config
    }

    /// Hidden states after the last layer norm.
    ///
    /// # Shapes
    /// `[batch, seq]` tokens to `[batch, seq, hidden]`. What stands at padded places is finite and
    /// means nothing.
    ///
    /// # Errors
    /// [`LmError::TooLong`] for a row that is longer than the context, [`LmError::UnknownToken`].
    pub fn hidden(&self, tokens: &TokenBatch) -> Result<Tensor<3>, LmError> {
        let x =
            self.h.iter().fold(self.embed(tokens)?, |x, block| block.forward(x, &tokens.starts));
        Ok(self.ln_f.forward(x))
    }

    /// Raw next-token logits.
    ///
    /// # Shapes
    /// `[n, hidden]` to `[n, vocab]`.
    #[must_use]
    pub fn logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        // a transposed view: the product takes it uncopied
        hidden.matmul(self.head().transpose())
    }

    /// The output head, `[vocab, d]`.
    pub(crate) fn head(&self) -> Tensor<2> {
        self.lm_head.as_ref().map_or_else(|| self.wte.weight.val(), Param::val)
    }

    /// What the first block reads; refuses tokens and positions that have no embedding.
    pub(crate) fn embed(&self, tokens: &TokenBatch) -> Result<Tensor<3>, LmError> {
        tokens.check(&self.sizes())?;
        let rows = |of: &Embedding, ids: &Tensor<2, Int>| embedding(of.weight.val(), ids.clone());
        Ok(rows(&self.wte, &tokens.input_ids) + rows(&self.wpe, &tokens.position_ids))
    }
}

impl LayerNorm {
    pub(crate) fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        layer_norm_factor(x, self.weight.val(), self.bias.val(), self.epsilon)
    }
}

impl Block {
    pub(crate) fn forward(&self, x: Tensor<3>, starts: &[usize]) -> Tensor<3> {
        let attended = self.attn.attend(self.qkv(x.clone()), starts);
        self.finish(x, attended)
    }

    /// Queries, keys and values, `[.., d]` to `[.., 3d]`.
    pub(crate) fn qkv<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        self.attn.c_attn.forward_factor(self.ln_1.forward(x))
    }

    /// What comes after the tokens have seen each other: `[.., d]` twice to `[.., d]`.
    pub(crate) fn finish<const D: usize>(&self, x: Tensor<D>, attended: Tensor<D>) -> Tensor<D> {
        let x = self.attn.c_proj.forward_add(x, attended);
        let inner = gelu_new_factor(self.mlp.c_fc.forward_factor(self.ln_2.forward(x.clone())));
        self.mlp.c_proj.forward_add(x, inner)
    }
}

impl Attention {
    /// Causal attention of whole sequences, `[b, t, 3d]` to `[b, t, d]`.
    pub(crate) fn attend(&self, qkv: Tensor<3>, starts: &[usize]) -> Tensor<3> {
        causal_attention(qkv, self.n_head, starts)
    }
}
