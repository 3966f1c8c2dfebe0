//! GPT-2: Radford et al., "Language Models are Unsupervised Multitask Learners" (2019).
//!
//! Fields carry the names of Hugging Face's checkpoint (`wte`, `h.0.attn.c_attn`, `ln_f`). Shapes in comments use `b` rows,
//! `t` tokens, `d` hidden width, `h` heads, `e` head width.

use burn::module::{Module, Param};
use burn::nn::{Embedding, Linear};
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Device, Int, Tensor, activation, module, s};
use tailguard_kernels::{TokenStats, causal_attention, gelu_new, layer_norm, token_log_probs};

use crate::cache::{KvCache, LayerCache};
use crate::config::Gpt2Config;
use crate::tokens::TokenBatch;

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

/// The distribution that tokens are drawn from and scored under; both must be the same, or ratios and KL are wrong.
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

/// Where attention finds its keys and what it may see.
enum Context<'a> {
    /// A whole sequence: causal, and nothing that is padded.
    Whole { padding: Option<&'a Tensor<2, burn::tensor::Bool>> },
    /// One more token after those in the cache.
    Next { cache: &'a mut LayerCache, at: usize, bias: Option<&'a Tensor<4>> },
    /// A whole sequence whose keys and values go into the cache.
    Prefill { cache: &'a mut LayerCache, padding: Option<&'a Tensor<2, burn::tensor::Bool>> },
}

impl Gpt2 {
    /// The model's settings.
    #[must_use]
    pub fn config(&self) -> &Gpt2Config {
        &self.config
    }

    /// Where the weights are.
    #[must_use]
    pub fn device(&self) -> Device {
        self.wte.weight.val().device()
    }

    /// Hidden states after the last layer norm.
    ///
    /// # Shapes
    /// `[batch, seq]` tokens to `[batch, seq, hidden]`. What stands at padded places is finite and means nothing.
    #[must_use]
    pub fn hidden(&self, tokens: &TokenBatch) -> Tensor<3> {
        let padding = tokens.padding.as_ref();
        let x = self.embed(tokens.input_ids.clone(), tokens.position_ids.clone());
        let x = self.h.iter().fold(x, |x, block| block.forward(x, Context::Whole { padding }));
        self.ln_f.forward(x)
    }

    /// Reads left-padded prompts into an empty cache; the hidden states of their last tokens.
    ///
    /// # Shapes
    /// `[batch, seq]` tokens to `[batch, hidden]`.
    #[must_use]
    pub fn prefill(&self, tokens: &TokenBatch, cache: &mut KvCache) -> Tensor<2> {
        let [_, seq] = tokens.dims();
        let mut x = self.embed(tokens.input_ids.clone(), tokens.position_ids.clone());
        for (block, layer) in self.h.iter().zip(&mut cache.layers) {
            x = block.forward(x, Context::Prefill { cache: layer, padding: tokens.padding.as_ref() });
        }
        if let Some(padding) = &tokens.padding {
            cache.mask(padding.clone());
        }
        cache.len = seq;
        cache.next_position = tokens.position_ids.clone().slice(s![.., -1..]).squeeze_dim::<1>(1) + 1;
        self.ln_f.forward(x.slice(s![.., -1.., ..])).squeeze_dim::<2>(1)
    }

    /// Appends one token to each row of the cache; its hidden state.
    ///
    /// # Shapes
    /// `ids`: `[batch]`; the result: `[batch, hidden]`.
    #[must_use]
    pub fn step(&self, ids: Tensor<1, Int>, cache: &mut KvCache) -> Tensor<2> {
        let at = cache.len;
        let positions = cache.next_position.clone();
        cache.next_position = positions.clone() + 1;
        cache.len += 1;
        let bias = cache.bias.clone().map(|bias| bias.slice(s![.., .., .., 0..=at]));
        let mut x = self.embed(ids.unsqueeze_dim(1), positions.unsqueeze_dim(1));
        for (block, layer) in self.h.iter().zip(&mut cache.layers) {
            x = block.forward(x, Context::Next { cache: layer, at, bias: bias.as_ref() });
        }
        self.ln_f.forward(x).squeeze_dim::<2>(1)
    }

    /// Raw next-token logits.
    ///
    /// # Shapes
    /// `[n, hidden]` to `[n, vocab]`.
    #[must_use]
    pub fn logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        // a transposed view: the matrix product takes it uncopied
        hidden.matmul(self.head().transpose())
    }

    /// Log-probability of each target and entropy of the distribution it is taken from, in nats, without keeping
    /// `[n, vocab]`; differentiable in the log-probabilities.
    ///
    /// # Shapes
    /// `hidden`: `[n, hidden]`, the states that predict; `targets`: `[n]`, the tokens predicted; both results `[n]`.
    #[must_use]
    pub fn token_stats(&self, hidden: Tensor<2>, targets: Tensor<1, Int>, distribution: &TokenDistribution) -> TokenStats {
        token_log_probs(hidden, self.head(), targets, distribution.temperature, distribution.suppress)
    }

    /// The output head, `[vocab, d]`.
    fn head(&self) -> Tensor<2> {
        self.lm_head.as_ref().map_or_else(|| self.wte.weight.val(), Param::val)
    }

    fn embed(&self, ids: Tensor<2, Int>, positions: Tensor<2, Int>) -> Tensor<3> {
        self.wte.forward(ids) + self.wpe.forward(positions)
    }
}

impl LayerNorm {
    fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        layer_norm(x, self.weight.val(), self.bias.val(), self.epsilon)
    }
}

impl Block {
    fn forward(&self, x: Tensor<3>, context: Context<'_>) -> Tensor<3> {
        let x = x.clone() + self.attn.forward(self.ln_1.forward(x), context);
        x.clone() + self.mlp.forward(self.ln_2.forward(x))
    }
}

impl Mlp {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.c_proj.forward(gelu_new(self.c_fc.forward(x)))
    }
}

impl Attention {
    fn forward(&self, x: Tensor<3>, context: Context<'_>) -> Tensor<3> {
        let [b, t, d] = x.dims();
        let qkv = self.c_attn.forward(x); // [b, t, 3d]
        if let Context::Whole { padding: None } = context {
            return self.c_proj.forward(causal_attention(qkv, self.n_head));
        }
        let split = |part: Tensor<3>| part.reshape([b, t, self.n_head, d / self.n_head]).swap_dims(1, 2); // [b, h, t, e]
        let part = |i: usize| split(qkv.clone().slice(s![.., .., i * d..(i + 1) * d]));
        let (q, k, v) = (part(0), part(1), part(2));
        let out = match context {
            Context::Whole { padding } => causal(q, k, v, padding),
            Context::Prefill { cache, padding } => {
                let (k, v) = cache.extend(0, k, v);
                causal(q, k, v, padding)
            }
            Context::Next { cache, at, bias } => {
                let (k, v) = cache.extend(at, k, v);
                one_query(q, k, v, bias)
            }
        };
        self.c_proj.forward(out.swap_dims(1, 2).reshape([b, t, d]))
    }
}

/// Causal attention of whole sequences, `[b, h, t, e]`; padded rows give zeros.
fn causal(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, padding: Option<&Tensor<2, burn::tensor::Bool>>) -> Tensor<4> {
    let mask = padding.map(|padding| padding.clone().unsqueeze_dims::<4>(&[1, 1])); // [b, 1, 1, t]
    module::attention(q, k, v, mask, None, AttentionModuleOptions { is_causal: true, ..Default::default() })
}

/// Attention of one query per row: by hand, several times faster on a CPU than the general kernel.
fn one_query(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, bias: Option<&Tensor<4>>) -> Tensor<4> {
    #[expect(clippy::cast_precision_loss, reason = "a head's width is far below 2^52")]
    let scale = (q.dims()[3] as f64).powf(-0.5);
    let scores = q.matmul(k.swap_dims(2, 3)) * scale; // [b, h, 1, t]
    let scores = match bias {
        Some(bias) => scores + bias.clone(),
        None => scores,
    };
    activation::softmax(scores, 3).matmul(v)
}
