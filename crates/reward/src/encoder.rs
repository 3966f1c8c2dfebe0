//! The Transformer encoder that DistilBERT, BERT and RoBERTa share: post-layer-norm blocks over
//! learned positions.
//!
//! A classifier looks at the first token only. So the last block computes its output there and
//! nowhere else, which for two blocks saves almost half of the work.

use burn::module::{Module, Param};
use burn::nn::{Embedding, EmbeddingConfig};
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, Device, Int, Tensor, activation, s};
use serde::{Deserialize, Serialize};
use tailguard_kernels::{Linear, gelu_new, layer_norm};

/// The non-linearity between the two halves of a feed-forward part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Activation {
    /// Gaussian error linear unit, exact: `x/2 (1 + erf(x/sqrt(2)))`.
    #[default]
    Gelu,
    /// Its tanh form, as in GPT-2; several times faster on CPUs.
    GeluNew,
    /// `max(x, 0)`.
    Relu,
}

impl Activation {
    fn apply(self, x: Tensor<3>) -> Tensor<3> {
        match self {
            Self::Gelu => activation::gelu(x),
            Self::GeluNew => gelu_new(x),
            Self::Relu => activation::relu(x),
        }
    }
}

/// How the tokens of a row are numbered, for their position embeddings.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Numbering {
    /// 0, 1, 2, ...
    FromZero,
    /// From the number behind this token's id on. The token itself has its id as number and is not
    /// counted, wherever it stands.
    AfterPadding(u32),
}

impl Numbering {
    /// The number of the first token.
    pub(crate) fn first(self) -> usize {
        match self {
            Self::FromZero => 0,
            Self::AfterPadding(pad) => pad as usize + 1,
        }
    }
}

/// Sizes of an encoder.
#[derive(Debug, Clone)]
pub(crate) struct Sizes {
    pub(crate) vocabulary: usize,
    pub(crate) positions: usize,
    pub(crate) numbering: Numbering,
    /// Number of token types, if there are any; all tokens are of the first.
    pub(crate) token_types: Option<usize>,
    pub(crate) layers: usize,
    pub(crate) heads: usize,
    pub(crate) width: usize,
    pub(crate) inner: usize,
    pub(crate) activation: Activation,
    pub(crate) epsilon: f64,
}

impl Sizes {
    /// Tokens of the longest text that there are positions for.
    pub(crate) fn longest_text(&self) -> usize {
        self.positions.saturating_sub(self.numbering.first())
    }
}

/// Token and position embeddings, then blocks.
#[derive(Module, Debug)]
pub(crate) struct Encoder {
    word_embeddings: Embedding,
    position_embeddings: Embedding,
    token_type_embeddings: Option<Embedding>,
    embedding_norm: LayerNorm,
    layers: Vec<Block>,
    #[module(skip)]
    numbering: Numbering,
}

impl Encoder {
    /// An encoder of zeros, to be filled.
    pub(crate) fn zeros(sizes: &Sizes, device: &Device) -> Self {
        let block = |_| Block {
            attention: Attention {
                query: linear([sizes.width, sizes.width], device),
                key: linear([sizes.width, sizes.width], device),
                value: linear([sizes.width, sizes.width], device),
                output: linear([sizes.width, sizes.width], device),
                heads: sizes.heads,
            },
            attention_norm: LayerNorm::zeros(sizes, device),
            feed_forward: FeedForward {
                expand: linear([sizes.width, sizes.inner], device),
                contract: linear([sizes.inner, sizes.width], device),
                activation: sizes.activation,
            },
            output_norm: LayerNorm::zeros(sizes, device),
        };
        Self {
            word_embeddings: embedding(sizes.vocabulary, sizes.width, device),
            position_embeddings: embedding(sizes.positions, sizes.width, device),
            token_type_embeddings: sizes
                .token_types
                .map(|types| embedding(types, sizes.width, device)),
            embedding_norm: LayerNorm::zeros(sizes, device),
            layers: (0..sizes.layers).map(block).collect(),
            numbering: sizes.numbering,
        }
    }

    /// The last hidden state of the first token.
    ///
    /// # Shapes
    /// - `input_ids`: `[batch, seq]`, `seq` at most [`Sizes::longest_text`]
    /// - `padding`: `[batch, seq]`, true where there is no token; never the first column
    /// - result: `[batch, width]`
    pub(crate) fn first(
        &self,
        input_ids: Tensor<2, Int>,
        padding: Option<Tensor<2, Bool>>,
    ) -> Tensor<2> {
        let [batch, seq] = input_ids.dims();
        let mut x = self.embed(input_ids);
        let padding = padding.map(|padding| padding.reshape([batch, 1, 1, seq]));
        for (index, layer) in self.layers.iter().enumerate() {
            let queries = if index + 1 == self.layers.len() {
                x.clone().slice(s![.., 0..1, ..])
            } else {
                x.clone()
            };
            x = layer.forward(queries, x, padding.clone());
        }
        let width = x.dims()[2];
        x.slice(s![.., 0..1, ..]).reshape([batch, width])
    }

    /// The sum of a token's embeddings, normalised: `[batch, seq, width]`.
    fn embed(&self, input_ids: Tensor<2, Int>) -> Tensor<3> {
        let positions = match self.numbering {
            Numbering::FromZero => self
                .position_embeddings
                .weight
                .val()
                .slice(s![0..input_ids.dims()[1], ..])
                .unsqueeze(),
            Numbering::AfterPadding(pad) => {
                let pad = i64::from(pad);
                let counted = input_ids.clone().not_equal_elem(pad).int();
                self.position_embeddings.forward(counted.clone().cumsum(1) * counted + pad)
            }
        };
        let mut x = self.word_embeddings.forward(input_ids) + positions;
        if let Some(types) = &self.token_type_embeddings {
            x = x + types.weight.val().slice(s![0..1, ..]).unsqueeze();
        }
        self.embedding_norm.forward(x)
    }

    /// Makes attention begin as a plain mean: queries and keys of 0, value and output the identity.
    ///
    /// A small model trained from nothing starts as a bag of words then, and learns from there what
    /// to attend to.
    pub(crate) fn start_with_means(mut self) -> Self {
        for layer in &mut self.layers {
            let attention = &mut layer.attention;
            let [width, _] = attention.query.weight.val().dims();
            let device = attention.query.weight.val().device();
            attention.query.weight = Param::from_tensor(Tensor::zeros([width, width], &device));
            attention.value.weight = Param::from_tensor(Tensor::eye(width, &device));
            attention.output.weight = Param::from_tensor(Tensor::eye(width, &device));
        }
        self
    }
}

/// Attention and feed-forward part, each added to its input and then normalised.
#[derive(Module, Debug)]
struct Block {
    attention: Attention,
    attention_norm: LayerNorm,
    feed_forward: FeedForward,
    output_norm: LayerNorm,
}

impl Block {
    /// The block's output at the rows of `queries`, `[batch, queries, width]`, which are all of `x`
    /// or some of it.
    fn forward(
        &self,
        queries: Tensor<3>,
        x: Tensor<3>,
        padding: Option<Tensor<4, Bool>>,
    ) -> Tensor<3> {
        let attended = self.attention.heads(queries.clone(), x, padding);
        let x = self.attention_norm.forward(self.attention.output.forward_add(queries, attended));
        self.output_norm.forward(self.feed_forward.forward_add(x))
    }
}

#[derive(Module, Debug)]
struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    #[module(skip)]
    heads: usize,
}

impl Attention {
    /// What the heads of each query bring together, `[batch, rows, width]`.
    fn heads(
        &self,
        queries: Tensor<3>,
        x: Tensor<3>,
        padding: Option<Tensor<4, Bool>>,
    ) -> Tensor<3> {
        let [batch, rows, width] = queries.dims();
        let q = self.split(self.query.forward(queries)); // [batch, heads, rows, width / heads]
        let k = self.split(self.key.forward(x.clone())); // [batch, heads, seq, width / heads]
        let v = self.split(self.value.forward(x));
        let mixed = if rows == 1 {
            attend_once(q, k, v, padding)
        } else {
            attention(q, k, v, padding, None, AttentionModuleOptions::default())
        };
        mixed.swap_dims(1, 2).reshape([batch, rows, width])
    }

    fn split(&self, x: Tensor<3>) -> Tensor<4> {
        let [batch, seq, width] = x.dims();
        x.reshape([batch, seq, self.heads, width / self.heads]).swap_dims(1, 2)
    }
}

/// Attention of a single row: on CPUs several times faster step by step than by the fused
/// operation.
fn attend_once(
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    padding: Option<Tensor<4, Bool>>,
) -> Tensor<4> {
    #[expect(clippy::cast_precision_loss, reason = "the width of a head is small")]
    let scale = (q.dims()[3] as f64).powf(-0.5);
    let mut scores = q.matmul(k.swap_dims(2, 3)) * scale; // [batch, heads, 1, seq]
    if let Some(padding) = padding {
        // Not -inf: with a mask over every token the softmax would be NaN, and its gradient even
        // without.
        scores = scores.mask_fill(padding, -1e9);
    }
    activation::softmax(scores, 3).matmul(v)
}

#[derive(Module, Debug)]
struct FeedForward {
    expand: Linear,
    contract: Linear,
    #[module(skip)]
    activation: Activation,
}

impl FeedForward {
    /// The input and what the layer makes of it.
    fn forward_add(&self, x: Tensor<3>) -> Tensor<3> {
        let inner = self.activation.apply(self.expand.forward(x.clone()));
        self.contract.forward_add(x, inner)
    }
}

/// Layer norm with the checkpoint's names and the fused kernel.
#[derive(Module, Debug)]
struct LayerNorm {
    weight: Param<Tensor<1>>,
    bias: Param<Tensor<1>>,
    #[module(skip)]
    epsilon: f64,
}

impl LayerNorm {
    fn zeros(sizes: &Sizes, device: &Device) -> Self {
        let zeros = || Param::from_tensor(Tensor::zeros([sizes.width], device));
        Self { weight: zeros(), bias: zeros(), epsilon: sizes.epsilon }
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        layer_norm(x, self.weight.val(), self.bias.val(), self.epsilon)
    }
}

/// A linear layer of zeros, `[in, out]`.
pub(crate) fn linear(shape: [usize; 2], device: &Device) -> Linear {
    Linear::new(Tensor::zeros(shape, device), Tensor::zeros([shape[1]], device))
}

fn embedding(rows: usize, width: usize, device: &Device) -> Embedding {
    let mut embedding = EmbeddingConfig::new(1, 1).init(device);
    embedding.weight = Param::from_tensor(Tensor::zeros([rows, width], device));
    embedding
}
