//! A model that continues prompts, token by token.

use burn::tensor::{Int, Tensor, TensorData, s};
use tailguard_kernels::{Linear, PackedMatrix};

use crate::cache::KvCache;
use crate::model::{Block, Gpt2};
use crate::tokens::TokenBatch;

/// A [`Gpt2`] for sampling. On the CPU it holds a copy of the weights in the order in which a step reads them, so it is made once for
/// many tokens and not trained.
#[derive(Debug)]
pub struct Decoder {
    model: Gpt2,
    /// The output head; none where a product needs no layout.
    head: Option<PackedMatrix>,
}

impl Gpt2 {
    /// The model, ready to sample.
    #[must_use]
    pub fn decoder(&self) -> Decoder {
        let head = PackedMatrix::transposed(self.head());
        let mut model = self.clone();
        for Block { attn, mlp, .. } in &mut model.h {
            for layer in [&mut attn.c_attn, &mut attn.c_proj, &mut mlp.c_fc, &mut mlp.c_proj] {
                *layer = Linear::packed(layer.clone());
            }
        }
        Decoder { model, head }
    }
}

impl Decoder {
    /// Reads left-padded prompts into an empty cache; the hidden states of their last tokens.
    ///
    /// # Shapes
    /// `[batch, seq]` tokens to `[batch, hidden]`.
    #[must_use]
    pub fn prefill(&self, tokens: &TokenBatch, cache: &mut KvCache) -> Tensor<2> {
        let [_, seq] = tokens.dims();
        cache.len = seq;
        cache.starts.clone_from(&tokens.starts);
        let mut x = self.model.embed(tokens);
        for (block, layer) in self.model.h.iter().zip(&mut cache.layers) {
            let qkv = block.qkv(x.clone());
            layer.fill(qkv.clone());
            x = block.finish(x, block.attn.attend(qkv, &tokens.starts));
        }
        self.model.ln_f.forward(x.slice(s![.., -1.., ..]).squeeze_dim::<2>(1))
    }

    /// Appends one token to each row of the cache; its hidden state.
    ///
    /// # Shapes
    /// `ids`: `[batch]`; the result: `[batch, hidden]`.
    #[must_use]
    pub fn step(&self, ids: Tensor<1, Int>, cache: &mut KvCache) -> Tensor<2> {
        let Self { model, .. } = self;
        let positions: Vec<i64> = cache.next_positions().map(|position| i64::try_from(position).unwrap_or(i64::MAX)).collect();
        let positions = Tensor::<1, Int>::from_data(TensorData::new(positions, [cache.starts.len()]), &ids.device());
        let mut x = model.wte.weight.val().select(0, ids) + model.wpe.weight.val().select(0, positions);
        for (block, layer) in model.h.iter().zip(&mut cache.layers) {
            let attended = layer.attend(block.qkv(x.clone()), cache.len, block.attn.n_head, &cache.starts);
            x = block.finish(x, attended);
        }
        cache.len += 1;
        model.ln_f.forward(x)
    }

    /// Raw next-token logits.
    ///
    /// # Shapes
    /// `[n, hidden]` to `[n, vocab]`.
    #[must_use]
    pub fn logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        match &self.head {
            Some(head) => head.product(hidden),
            None => self.model.logits(hidden),
        }
    }
}
