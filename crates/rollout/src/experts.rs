//! Decoding-time experts: three models side by side choose each token. `DExperts` of Liu et al.,
//! ACL 2021 (arXiv 2105.03023), Eq. 2.

use burn::tensor::{Device, Int, Tensor, TensorData, s};
use rayon::prelude::*;
use tailguard_lm::{Decoder, KvCache, LmError, LmSizes, TokenBatch};

use crate::config::{SamplingConfig, check_cuts};
use crate::error::RolloutError;
use crate::sampler::restrict;
use crate::softmax::{Scratch, weigh};

/// How much the experts count, and which tokens they choose from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Steering {
    /// How much of the difference between expert and anti-expert is added to the base model's
    /// logits; 0 is the base model.
    pub alpha: f32,
    /// Only the base model's most likely tokens that together reach this probability can be chosen;
    /// in (0, 1], 1 is all of them.
    pub top_p: f32,
}

/// A [`Decoder`] of three: the next token is drawn from `softmax(z + alpha (z+ - z-))`, where `z`
/// are the logits of the base model, `z+` of an expert (tuned on texts as they should be) and `z-`
/// of an anti-expert (on texts as they should not be). What is outside the nucleus of `z` has
/// probability 0, and the cut comes before the experts are added, as in the authors' program.
/// Temperature and further cuts come after.
///
/// Its log-probabilities are those of the distribution that it draws from.
///
/// ```
/// # use burn::tensor::Device;
/// # use tailguard_gpt2::Gpt2Config;
/// use tailguard_lm::CausalLm;
/// use tailguard_rollout::{DrawSeed, Experts, Prompt, SamplingConfig, Steering, generate_by};
/// # let model = |seed| Gpt2Config::new(50, 16, 8, 2, 2).init(seed, &Device::flex());
/// let (base, good, bad) = (model(1)?, model(2)?, model(3)?);
/// let config = SamplingConfig { max_new_tokens: 6, ..SamplingConfig::default() };
/// let decoders = [base.decoder(), good.decoder(), bad.decoder()];
/// let experts = Experts::new(decoders, Steering { alpha: 2.0, top_p: 0.9 }, &config)?;
/// let prompt = Prompt { ids: vec![3, 1, 4], text: "abc".into() };
/// let draws = DrawSeed { seed: 7, stream: 0 };
/// let answers = generate_by(&experts, None, &[(0, &prompt)], &config, draws, 8)?;
/// assert_eq!(answers[0].response_ids.len(), 6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Experts<D> {
    /// Base model, expert, anti-expert.
    decoders: [D; 3],
    steering: Steering,
    /// A token of probability 0, which takes no part in the nucleus.
    suppress: Option<u32>,
    /// A token that may be forbidden for a while: it must not be all that is left.
    held_back: Option<u32>,
}

impl<D: Decoder> Experts<D> {
    /// Base model, expert and anti-expert, for draws by `sampling`.
    ///
    /// # Errors
    /// [`RolloutError::Setting`] for a weight that is not finite or a nucleus out of its range,
    /// [`RolloutError::Vocabularies`] for models with other tokens.
    pub fn new(
        decoders: [D; 3],
        steering: Steering,
        sampling: &SamplingConfig,
    ) -> Result<Self, RolloutError> {
        check_cuts(sampling.temperature, steering.top_p)?;
        if !steering.alpha.is_finite() {
            let (found, expected) = (steering.alpha.to_string(), "a finite number");
            return Err(RolloutError::Setting { key: "alpha", found, expected });
        }
        let [base, expert, anti_expert] = decoders.each_ref().map(|of| of.sizes().vocab_size);
        if base != expert || base != anti_expert {
            return Err(RolloutError::Vocabularies { base, expert, anti_expert });
        }
        let suppress = sampling.distribution().suppress;
        Ok(Self { decoders, steering, suppress, held_back: sampling.forbidden(0) })
    }

    /// The logits that are drawn from, of one row; NaN where the base model's make no distribution.
    fn combine(&self, [z, good, bad]: [&[f32]; 3], combined: &mut [f32], scratch: &mut Scratch) {
        let Steering { alpha, top_p } = self.steering;
        let is_suppressed = |token: usize| {
            self.suppress.is_some_and(|id| usize::try_from(id).is_ok_and(|id| id == token))
        };
        if weigh(z, 1.0, [self.suppress, None], scratch).is_none() {
            combined.fill(f32::NAN);
            return;
        }
        restrict(z, 0, top_p, scratch);
        if let Some(likeliest) = self.held_back.and_then(|end| only(end, z, &scratch.weights)) {
            scratch.weights[likeliest] = 1.0;
        }
        for (token, combined) in combined.iter_mut().enumerate() {
            let is_kept = scratch.weights[token] > 0.0 || (top_p >= 1.0 && !is_suppressed(token));
            *combined = match is_kept {
                true => z[token] + alpha * (good[token] - bad[token]),
                false => f32::NEG_INFINITY,
            };
        }
    }

    /// The caches of the three.
    fn parts<'c>(&self, cache: &'c mut KvCache) -> Result<&'c mut [KvCache], LmError> {
        let (parts, expected) = (cache.parts(), self.decoders.len());
        let found = parts.len();
        if found == expected {
            Ok(parts)
        } else {
            Err(LmError::Count { what: "caches side by side", found, expected })
        }
    }

    /// What each of the three makes of its cache, `[batch, hidden]` each, beside each other.
    fn each(
        &self,
        cache: &mut KvCache,
        read: impl Fn(&D, &mut KvCache) -> Result<Tensor<2>, LmError>,
    ) -> Result<Tensor<2>, LmError> {
        let parts = self.parts(cache)?;
        let hidden = self.decoders.iter().zip(parts).map(|(decoder, part)| read(decoder, part));
        Ok(Tensor::cat(hidden.collect::<Result<_, _>>()?, 1))
    }
}

/// The likeliest token but `end`, where nothing but `end` has any weight.
fn only(end: u32, logits: &[f32], weights: &[f32]) -> Option<usize> {
    let end = usize::try_from(end).ok()?;
    let is_alone = weights.iter().enumerate().all(|(token, &w)| (w > 0.0) == (token == end));
    let others = (0..logits.len()).filter(|&token| token != end);
    others.max_by(|&a, &b| logits[a].total_cmp(&logits[b]).then(b.cmp(&a))).filter(|_| is_alone)
}

impl<D: Decoder> Decoder for Experts<D> {
    /// Those of the base model, the shortest context, and the three hidden states together.
    fn sizes(&self) -> LmSizes {
        let sizes = self.decoders.each_ref().map(Decoder::sizes);
        LmSizes {
            vocab_size: sizes[0].vocab_size,
            context: sizes.iter().map(|of| of.context).min().unwrap_or(0),
            hidden: sizes.iter().map(|of| of.hidden).sum(),
        }
    }

    fn device(&self) -> Device {
        self.decoders[0].device()
    }

    fn cache(&self, rows: usize, capacity: usize) -> KvCache {
        let parts = self.decoders.iter().map(|decoder| decoder.cache(rows, capacity)).collect();
        KvCache::side_by_side(parts, rows, capacity)
    }

    fn prefill(&self, tokens: &TokenBatch, cache: &mut KvCache) -> Result<Tensor<2>, LmError> {
        let [rows, seq] = tokens.dims();
        // before the first of them reads anything
        cache.check(rows, 0, seq)?;
        tokens.check(&self.sizes())?;
        let hidden = self.each(cache, |decoder, part| decoder.prefill(tokens, part))?;
        cache.begin(seq, &tokens.starts);
        Ok(hidden)
    }

    fn step_drawn(&self, ids: Tensor<1, Int>, cache: &mut KvCache) -> Result<Tensor<2>, LmError> {
        cache.check(ids.dims()[0], 0, cache.len() + 1)?;
        let longest = cache.next_positions().max().map_or(0, |position| position + 1);
        self.sizes().check_length(longest)?;
        let hidden = self.each(cache, |decoder, part| decoder.step_drawn(ids.clone(), part))?;
        cache.advance();
        Ok(hidden)
    }

    /// Computed on the host, as a nucleus is found by sorting; NaN where logits cannot be read.
    fn logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        let ([rows, _], device) = (hidden.dims(), hidden.device());
        let vocab = self.decoders[0].sizes().vocab_size;
        let mut begin = 0;
        let read = self.decoders.each_ref().map(|decoder| {
            let end = begin + decoder.sizes().hidden;
            let own = hidden.clone().slice(s![.., begin..end]);
            begin = end;
            decoder.logits(own).try_into_vec_as::<f32>()
        });
        let mut combined = vec![f32::NAN; rows * vocab];
        if let [Ok(base), Ok(good), Ok(bad)] = &read {
            let three =
                base.par_chunks(vocab).zip(good.par_chunks(vocab)).zip(bad.par_chunks(vocab));
            combined.par_chunks_mut(vocab).zip(three).for_each_init(
                Scratch::default,
                |scratch, (combined, ((base, good), bad))| {
                    self.combine([base, good, bad], combined, scratch);
                },
            );
        }
        Tensor::from_data(TensorData::new(combined, [rows, vocab]), &device)
    }
}

#[cfg(test)]
mod tests;
