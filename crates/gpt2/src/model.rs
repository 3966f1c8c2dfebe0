//! GPT-2: Radford et al., "Language Models are Unsupervised Multitask Learners" (2019).
//!
//! Fields carry the names of Hugging Face's checkpoint (`wte`, `h.0.attn.c_attn`, `ln_f`). Shapes
//! in comments use `b` rows, `t` tokens, `d` hidden width.

use burn::module::{Module, Param};
use burn::nn::Embedding;
use burn::tensor::{Bool, Int, Tensor, TensorData, s};
use tailguard_kernels::{Linear, causal_attention, embedding, gelu_new_factor, layer_norm_factor};
use tailguard_lm::{CausalLm, LmError, LmSizes, TokenBatch};

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
    /// Rows of the embedding for tokens that are read and never drawn, `[control tokens, d]`.
    pub(crate) control: Option<Param<Tensor<2>>>,
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

    /// Hidden states after the last layer norm; that of a control token in front is left out.
    ///
    /// # Shapes
    /// `[batch, seq]` tokens to `[batch, seq, hidden]`. What stands at padded places is finite and
    /// means nothing.
    ///
    /// # Errors
    /// [`LmError::TooLong`] for a row that is longer than the context, [`LmError::UnknownToken`].
    pub fn hidden(&self, tokens: &TokenBatch) -> Result<Tensor<3>, LmError> {
        let front = self.prefix(tokens.dims()[0]);
        let first = usize::from(front.is_some());
        let x = self.embed(tokens, front)?;
        let x = self.h.iter().fold(x, |x, block| block.forward(x, &tokens.starts));
        Ok(self.ln_f.forward(x.slice(s![.., first.., ..])))
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

    /// The control token in front of each of `rows` rows as its place among them, `[rows, 1]`; none
    /// where texts are read as they are.
    pub(crate) fn prefix(&self, rows: usize) -> Option<Tensor<2, Int>> {
        Some(self.front(&vec![self.config.prefix()?; rows]))
    }

    /// Control tokens in front of rows, `[rows, 1]`.
    pub(crate) fn front(&self, tokens: &[usize]) -> Tensor<2, Int> {
        let tokens: Vec<i64> =
            tokens.iter().map(|&token| i64::try_from(token).unwrap_or(i64::MAX)).collect();
        let shape = [tokens.len(), 1];
        Tensor::from_data(TensorData::new(tokens, shape), &self.device().inner())
    }

    /// What the first block reads, `[batch, seq, d]`, or `[batch, 1 + seq, d]` with control tokens
    /// in front, `[batch, 1]`; refuses tokens and positions that have no embedding.
    pub(crate) fn embed(
        &self,
        tokens: &TokenBatch,
        front: Option<Tensor<2, Int>>,
    ) -> Result<Tensor<3>, LmError> {
        let rows = |of: &Embedding, ids: Tensor<2, Int>| embedding(of.weight.val(), ids);
        let context = self.config.n_positions;
        let (Some(front), Some(control)) = (front, &self.control) else {
            tokens.check(&LmSizes { context, ..self.sizes() })?;
            return Ok(rows(&self.wte, tokens.input_ids.clone())
                + rows(&self.wpe, tokens.position_ids.clone()));
        };
        tokens.check(&LmSizes { context: context.saturating_sub(1), ..self.sizes() })?;
        // the token in front has the first position, and all others stand one further on
        let x = rows(&self.wte, tokens.input_ids.clone())
            + rows(&self.wpe, tokens.position_ids.clone().add_scalar(1));
        let first = self.wpe.weight.val().slice(s![0..1, ..]).unsqueeze::<3>();
        let front = embedding(control.val(), front) + first; // [b, 1, d]
        let x = Tensor::cat(vec![front.clone(), x], 1);
        if tokens.starts.iter().all(|&start| start == 0) {
            return Ok(x);
        }
        // a row that is padded on the left begins in its column `start`; that what stands before
        // becomes the same does no harm
        let [batch, seq, width] = x.dims();
        let is_front = tokens.starts.iter().flat_map(|&start| (0..seq).map(move |at| at <= start));
        let is_front = TensorData::new(is_front.collect::<Vec<bool>>(), [batch, seq, 1]);
        let is_front = Tensor::<3, Bool>::from_data(is_front, &x.device().inner());
        Ok(x.mask_where(is_front.expand([batch, seq, width]), front.expand([batch, seq, width])))
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
