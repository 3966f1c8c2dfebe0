//! A model that continues prompts, token by token.

use burn::nn::Embedding;
use burn::tensor::{Device, Int, Tensor, TensorData, s};
use tailguard_kernels::{
    Drawn, Linear, Masks, PackedMatrix, draw, drawing_head, embedding, on_gpu,
};
use tailguard_lm::{CausalLm, Decoder, KvCache, LmError, LmSizes, TokenBatch};

use crate::model::{Block, Gpt2};

/// A [`Gpt2`] for sampling. On the CPU it holds a copy of the weights in the order in which a step
/// reads them, so it is made once for many tokens and not trained.
#[derive(Debug)]
pub struct Gpt2Decoder {
    model: Gpt2,
    /// The output head; none where a product needs no layout.
    head: Option<PackedMatrix>,
    /// The output head as the draw on a GPU takes it.
    drawing: Option<Tensor<2>>,
}

impl Gpt2Decoder {
    pub(crate) fn new(model: &Gpt2) -> Self {
        let head = PackedMatrix::transposed(model.head());
        let drawing = on_gpu(&model.device()).then(|| drawing_head(model.head()));
        let mut model = model.clone();
        for Block { attn, mlp, .. } in &mut model.h {
            for layer in [&mut attn.c_attn, &mut attn.c_proj, &mut mlp.c_fc, &mut mlp.c_proj] {
                *layer = Linear::packed(layer.clone());
            }
        }
        Self { model, head, drawing }
    }

    /// Control tokens in front of each row: one or none.
    fn in_front(&self) -> usize {
        usize::from(self.model.config().prefix_token_id.is_some())
    }
}

impl Decoder for Gpt2Decoder {
    fn sizes(&self) -> LmSizes {
        self.model.sizes()
    }

    fn device(&self) -> Device {
        self.model.device()
    }

    fn cache(&self, rows: usize, capacity: usize) -> KvCache {
        let capacity = capacity + self.in_front();
        KvCache::new(self.model.h.len(), self.model.config().n_embd, rows, capacity, &self.device())
    }

    fn prefill(&self, tokens: &TokenBatch, cache: &mut KvCache) -> Result<Tensor<2>, LmError> {
        let [rows, seq] = tokens.dims();
        let seq = seq + self.in_front();
        cache.check(rows, self.model.h.len(), seq)?;
        let mut x = self.model.embed(tokens, self.model.prefix(rows))?;
        cache.begin(seq, &tokens.starts);
        for (layer, block) in self.model.h.iter().enumerate() {
            let qkv = block.qkv(x.clone());
            cache.fill(layer, qkv.clone());
            x = block.finish(x, block.attn.attend(qkv, &tokens.starts));
        }
        Ok(self.model.ln_f.forward(x.slice(s![.., -1.., ..]).squeeze_dim::<2>(1)))
    }

    fn step_drawn(&self, ids: Tensor<1, Int>, cache: &mut KvCache) -> Result<Tensor<2>, LmError> {
        let Self { model, .. } = self;
        let rows = ids.dims()[0];
        cache.check(rows, model.h.len(), cache.len() + 1)?;
        let positions: Vec<usize> = cache.next_positions().collect();
        let tokens = |position: &usize| position + 1 - self.in_front();
        self.sizes().check_length(positions.iter().max().map_or(0, tokens))?;
        let positions: Vec<i64> = positions
            .into_iter()
            .map(|position| i64::try_from(position).unwrap_or(i64::MAX))
            .collect();
        let positions =
            Tensor::<1, Int>::from_data(TensorData::new(positions, [rows]), &ids.device());
        let mut x = if self.draws() {
            let row = |of: &Embedding, ids: Tensor<1, Int>| {
                embedding(of.weight.val(), ids.unsqueeze_dim(1)).squeeze_dim::<2>(1)
            };
            row(&model.wte, ids) + row(&model.wpe, positions)
        } else {
            model.wte.weight.val().select(0, ids) + model.wpe.weight.val().select(0, positions)
        };
        for (layer, block) in model.h.iter().enumerate() {
            let attended = cache.attend(layer, block.qkv(x.clone()), block.attn.n_head);
            x = block.finish(x, attended);
        }
        cache.advance();
        Ok(model.ln_f.forward(x))
    }

    fn logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        match &self.head {
            Some(head) => head.product(hidden),
            None => self.model.logits(hidden),
        }
    }

    fn draws(&self) -> bool {
        self.drawing.is_some()
    }

    fn draw(&self, hidden: Tensor<2>, uniforms: Tensor<1>, masks: Masks) -> Drawn {
        draw(hidden, self.drawing.clone().unwrap_or_else(|| self.model.head()), uniforms, masks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Gpt2Config;
    use tailguard_lm::Predictions;

    const CONTEXT: usize = 6;

    fn model(layers: usize) -> Gpt2 {
        Gpt2Config::new(11, CONTEXT, 8, layers, 2).init(3, &Device::flex()).unwrap()
    }

    fn tokens(rows: &[&[u32]]) -> TokenBatch {
        TokenBatch::left_padded(rows, 0, &Device::flex()).unwrap()
    }

    fn cache(rows: usize, capacity: usize) -> KvCache {
        model(2).decoder().cache(rows, capacity)
    }

    #[test]
    fn sequences_beyond_the_context_and_unknown_tokens_are_refused() {
        let model = model(2);
        for (row, fits) in [
            (vec![1; CONTEXT], true),
            (vec![1; CONTEXT + 1], false),
            (vec![10], true),
            (vec![2, 11], false),
        ] {
            let rows = [[1, 2].as_slice(), &row];
            assert_eq!(model.hidden(&tokens(&rows)).is_ok(), fits, "{row:?}");
            let filled = model.decoder().prefill(&tokens(&rows), &mut cache(2, 9));
            assert_eq!(filled.is_ok(), fits, "{row:?}");
        }
        let predicting = |rows: &[&[u32]]| {
            model.predicting(&Predictions::new(rows, &[1], 0, &Device::flex()).unwrap())
        };
        assert!(matches!(
            predicting(&[&[1; CONTEXT + 1]]),
            Err(LmError::TooLong { found: 7, limit: 6 })
        ));
        assert!(matches!(
            predicting(&[&[1, 99]]),
            Err(LmError::UnknownToken { id: 99, row: 0, vocab_size: 11 })
        ));
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
            assert!(
                matches!(
                    error,
                    LmError::TooLong { found, limit: of } if found == limit + 1 && of == limit
                ),
                "{error}"
            );
            assert_eq!(cache.len(), limit, "nothing was appended");
        }
    }

    #[test]
    fn a_cache_of_other_rows_or_layers_and_unknown_ids_are_refused() {
        let (decoder, prompts) = (model(2).decoder(), tokens(&[&[1, 2], &[3, 4]]));
        assert!(matches!(
            decoder.prefill(&prompts, &mut cache(3, 9)),
            Err(LmError::Count { found: 2, expected: 3, .. })
        ));
        assert!(matches!(
            decoder.prefill(&prompts, &mut cache(2, 1)),
            Err(LmError::TooLong { found: 2, limit: 1 })
        ));
        let other = model(3).decoder().prefill(&prompts, &mut cache(2, 9)).unwrap_err();
        assert!(matches!(other, LmError::Count { found: 2, expected: 3, .. }), "{other}");
        let mut cache = cache(2, 9);
        decoder.prefill(&prompts, &mut cache).unwrap();
        assert!(matches!(
            decoder.step(&[1], &mut cache),
            Err(LmError::Count { found: 1, expected: 2, .. })
        ));
        assert!(matches!(
            decoder.step(&[1, 11], &mut cache),
            Err(LmError::UnknownToken { id: 11, row: 1, .. })
        ));
        assert!(matches!(cache.select(&[1, 2]), Err(LmError::NoRow { row: 2, rows: 2 })));
        cache.select(&[1]).unwrap();
        assert_eq!(decoder.step(&[1], &mut cache).unwrap().dims(), [1, 8]);
    }
}
