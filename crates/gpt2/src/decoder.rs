//! A model that continues prompts, token by token.

use burn::nn::Embedding;
use burn::tensor::{Int, Tensor, TensorData, s};
use tailguard_kernels::{Drawn, Linear, Masks, PackedMatrix, draw, drawing_head, embedding, on_gpu};

use crate::cache::KvCache;
use crate::error::Gpt2Error;
use crate::model::{Block, Gpt2};
use crate::tokens::{TokenBatch, check_count, check_id, check_positions, id_tensor};

/// A [`Gpt2`] for sampling. On the CPU it holds a copy of the weights in the order in which a step reads them, so it is made once for
/// many tokens and not trained.
#[derive(Debug)]
pub struct Decoder {
    model: Gpt2,
    /// The output head; none where a product needs no layout.
    head: Option<PackedMatrix>,
    /// The output head as the draw on a GPU takes it.
    drawing: Option<Tensor<2>>,
}

impl Gpt2 {
    /// The model, ready to sample.
    #[must_use]
    pub fn decoder(&self) -> Decoder {
        let head = PackedMatrix::transposed(self.head());
        let drawing = on_gpu(&self.device()).then(|| drawing_head(self.head()));
        let mut model = self.clone();
        for Block { attn, mlp, .. } in &mut model.h {
            for layer in [&mut attn.c_attn, &mut attn.c_proj, &mut mlp.c_fc, &mut mlp.c_proj] {
                *layer = Linear::packed(layer.clone());
            }
        }
        Decoder { model, head, drawing }
    }
}

impl Decoder {
    /// Reads left-padded prompts into an empty cache; the hidden states of their last tokens.
    ///
    /// # Shapes
    /// `[batch, seq]` tokens to `[batch, hidden]`.
    ///
    /// # Errors
    /// [`Gpt2Error::TooLong`] for prompts that do not fit the context or the cache, [`Gpt2Error::UnknownToken`], [`Gpt2Error::Count`] for a
    /// cache of another number of rows or layers. The cache is then as it was.
    pub fn prefill(&self, tokens: &TokenBatch, cache: &mut KvCache) -> Result<Tensor<2>, Gpt2Error> {
        let [rows, seq] = tokens.dims();
        self.check_cache(rows, cache)?;
        cache.check_room(seq)?;
        let mut x = self.model.embed(tokens)?;
        cache.len = seq;
        cache.starts.clone_from(&tokens.starts);
        for (block, layer) in self.model.h.iter().zip(&mut cache.layers) {
            let qkv = block.qkv(x.clone());
            layer.fill(qkv.clone());
            x = block.finish(x, block.attn.attend(qkv, &tokens.starts));
        }
        Ok(self.model.ln_f.forward(x.slice(s![.., -1.., ..]).squeeze_dim::<2>(1)))
    }

    /// Appends one token to each row of the cache; its hidden state, `[batch, hidden]`.
    ///
    /// # Errors
    /// As [`prefill`](Self::prefill).
    pub fn step(&self, ids: &[u32], cache: &mut KvCache) -> Result<Tensor<2>, Gpt2Error> {
        ids.iter().enumerate().try_for_each(|(row, &id)| check_id((id, row), self.model.config()))?;
        self.step_drawn(id_tensor(ids, &self.model.device()), cache)
    }

    /// [`step`](Self::step) for ids that are on the device already, `[batch]`, as [`draw`](Self::draw) gives them: they are not checked.
    ///
    /// # Errors
    /// As [`prefill`](Self::prefill), but for unknown tokens.
    pub fn step_drawn(&self, ids: Tensor<1, Int>, cache: &mut KvCache) -> Result<Tensor<2>, Gpt2Error> {
        let Self { model, .. } = self;
        self.check_cache(ids.dims()[0], cache)?;
        cache.check_room(cache.len + 1)?;
        check_positions(cache.next_positions().max().map_or(0, |position| position + 1), model.config())?;
        let positions: Vec<i64> = cache.next_positions().map(|position| i64::try_from(position).unwrap_or(i64::MAX)).collect();
        let positions = Tensor::<1, Int>::from_data(TensorData::new(positions, [cache.starts.len()]), &ids.device());
        let mut x = if self.draws() {
            let row = |of: &Embedding, ids: Tensor<1, Int>| embedding(of.weight.val(), ids.unsqueeze_dim(1)).squeeze_dim::<2>(1);
            row(&model.wte, ids) + row(&model.wpe, positions)
        } else {
            model.wte.weight.val().select(0, ids) + model.wpe.weight.val().select(0, positions)
        };
        for (block, layer) in model.h.iter().zip(&mut cache.layers) {
            let attended = layer.attend(block.qkv(x.clone()), cache.len, block.attn.n_head, &cache.starts);
            x = block.finish(x, attended);
        }
        cache.len += 1;
        Ok(model.ln_f.forward(x))
    }

    /// Refuses a cache that was made for other rows or another model.
    fn check_cache(&self, rows: usize, cache: &KvCache) -> Result<(), Gpt2Error> {
        check_count("rows of tokens for the rows of the cache", rows, cache.starts.len())?;
        check_count("layers in the cache", cache.layers.len(), self.model.h.len())
    }

    /// Whether tokens are drawn where the hidden states are: on a GPU, from which they would have to be read otherwise.
    #[must_use]
    pub fn draws(&self) -> bool {
        self.drawing.is_some()
    }

    /// Draws the next token of each row, `hidden`: `[batch, hidden]`, at one number in [0, 1) per row, `uniforms`: `[batch]`.
    #[must_use]
    pub fn draw(&self, hidden: Tensor<2>, uniforms: Tensor<1>, masks: Masks) -> Drawn {
        draw(hidden, self.drawing.clone().unwrap_or_else(|| self.model.head()), uniforms, masks)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Gpt2Config;
    use crate::tokens::Predictions;
    use burn::tensor::Device;

    const CONTEXT: usize = 6;

    fn model(layers: usize) -> Gpt2 {
        Gpt2Config::new(11, CONTEXT, 8, layers, 2).init(3, &Device::flex()).unwrap()
    }

    fn tokens(rows: &[&[u32]]) -> TokenBatch {
        TokenBatch::left_padded(rows, 0, &Device::flex()).unwrap()
    }

    fn cache(rows: usize, capacity: usize) -> KvCache {
        KvCache::new(model(2).config(), rows, capacity, &Device::flex())
    }

    #[test]
    fn sequences_beyond_the_context_and_unknown_tokens_are_refused() {
        let model = model(2);
        for (row, fits) in [(vec![1; CONTEXT], true), (vec![1; CONTEXT + 1], false), (vec![10], true), (vec![2, 11], false)] {
            let rows = [[1, 2].as_slice(), &row];
            assert_eq!(model.hidden(&tokens(&rows)).is_ok(), fits, "{row:?}");
            let filled = model.decoder().prefill(&tokens(&rows), &mut cache(2, 9));
            assert_eq!(filled.is_ok(), fits, "{row:?}");
        }
        let predicting = |rows: &[&[u32]]| model.predicting(&Predictions::new(rows, &[1], 0, &Device::flex()).unwrap());
        assert!(matches!(predicting(&[&[1; CONTEXT + 1]]), Err(Gpt2Error::TooLong { found: 7, limit: 6 })));
        assert!(matches!(predicting(&[&[1, 99]]), Err(Gpt2Error::UnknownToken { id: 99, row: 0, vocab_size: 11 })));
    }

    #[test]
    fn a_step_beyond_the_context_or_the_cache_is_refused() {
        let decoder = model(2).decoder();
        // padding takes columns of the cache, and none of the context
        for (capacity, limit) in [(5, 5), (20, CONTEXT)] {
            let mut cache = cache(2, capacity);
            decoder.prefill(&tokens(&[&[1, 2, 3], &[4, 5, 6]]), &mut cache).unwrap();
            for _ in 3..limit {
                decoder.step(&[1, 2], &mut cache).unwrap();
            }
            let error = decoder.step(&[1, 2], &mut cache).unwrap_err();
            assert!(matches!(error, Gpt2Error::TooLong { found, limit: of } if found == limit + 1 && of == limit), "{error}");
            assert_eq!(cache.len(), limit, "nothing was appended");
        }
    }

    #[test]
    fn a_cache_of_other_rows_or_layers_and_unknown_ids_are_refused() {
        let (decoder, prompts) = (model(2).decoder(), tokens(&[&[1, 2], &[3, 4]]));
        assert!(matches!(decoder.prefill(&prompts, &mut cache(3, 9)), Err(Gpt2Error::Count { found: 2, expected: 3, .. })));
        assert!(matches!(decoder.prefill(&prompts, &mut cache(2, 1)), Err(Gpt2Error::TooLong { found: 2, limit: 1 })));
        let other = model(3).decoder().prefill(&prompts, &mut cache(2, 9)).unwrap_err();
        assert!(matches!(other, Gpt2Error::Count { found: 2, expected: 3, .. }), "{other}");
        let mut cache = cache(2, 9);
        decoder.prefill(&prompts, &mut cache).unwrap();
        assert!(matches!(decoder.step(&[1], &mut cache), Err(Gpt2Error::Count { found: 1, expected: 2, .. })));
        assert!(matches!(decoder.step(&[1, 11], &mut cache), Err(Gpt2Error::UnknownToken { id: 11, row: 1, .. })));
        assert!(matches!(cache.select(&[1, 2]), Err(Gpt2Error::NoRow { row: 2, rows: 2 })));
        cache.select(&[1]).unwrap();
        assert_eq!(decoder.step(&[1], &mut cache).unwrap().dims(), [1, 8]);
    }
}
