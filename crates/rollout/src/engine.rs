//! Prompts in, responses out: prefill, then one token per row and step until all rows have ended.

use std::iter::repeat_n;

use burn::tensor::{Device, Int, Tensor, TensorData, Transaction};
use rayon::prelude::*;
use tailguard_kernels::{Drawn, Masks, side_by_side};
use tailguard_lm::{CausalLm, Decoder, KvCache, LmSizes, TokenBatch, TokenDistribution, ValueHead};

use crate::buckets::sampled_batches;
use crate::config::{SamplingConfig, check_batch_size, check_responses};
use crate::draws::{DrawSeed, Uniforms};
use crate::error::RolloutError;
use crate::prompt::Prompt;
use crate::sampler::{Draw, draw};
use crate::softmax::Scratch;

/// Steps on a GPU between two looks at which rows have ended: a look waits for the device, and what
/// is drawn behind an end is lost.
const STEPS: usize = 8;

/// The largest number below 1 in single precision.
const BELOW_ONE: f32 = 1.0 - f32::EPSILON / 2.0;

/// A sampled response, and what was known when it was sampled: one entry per response token.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Generation {
    /// Sampled tokens. The end token, if one ended the response, is the last of them.
    pub response_ids: Vec<u32>,
    /// Log-probability of each token under [`SamplingConfig::distribution`], in nats.
    pub log_probs: Vec<f32>,
    /// Value of the state in which each token was chosen; empty if there was no value head.
    pub values: Vec<f32>,
    /// Entropy of [`SamplingConfig::distribution`] at each token, in nats.
    pub entropies: Vec<f32>,
}

/// Samples a response to every prompt, in the order of the prompts.
///
/// Prompts are batched by length, at most `batch_size` together. Episode `i` draws its tokens from
/// stream `draws.stream + i` alone, so the number of threads changes nothing, and `batch_size`
/// nothing but the rounding of logits.
///
/// # Errors
/// Settings, prompts and models that cannot be sampled from, each by its own [`RolloutError`];
/// [`RolloutError::NotFinite`] if the model gives logits or values that are no numbers.
pub fn generate<M: CausalLm>(
    model: &M,
    value_head: Option<&ValueHead>,
    prompts: &[Prompt],
    config: &SamplingConfig,
    draws: DrawSeed,
    batch_size: usize,
) -> Result<Vec<Generation>, RolloutError> {
    generate_each(model, value_head, prompts, 1, config, draws, batch_size)
}

/// Samples several responses to every prompt: those of a prompt stand together, in the order of the
/// prompts. Episode `i` answers prompt `i / responses`, and a prompt is read once for all responses
/// to it in a batch; all else is as in [`generate`].
///
/// # Errors
/// As [`generate`], and for no responses; rows are episodes.
#[tracing::instrument(level = "debug", skip_all, fields(prompts = prompts.len(), responses))]
pub fn generate_each<M: CausalLm>(
    model: &M,
    value_head: Option<&ValueHead>,
    prompts: &[Prompt],
    responses: usize,
    config: &SamplingConfig,
    draws: DrawSeed,
    batch_size: usize,
) -> Result<Vec<Generation>, RolloutError> {
    check_responses(responses)?;
    check_device(&model.device())?;
    let of_prompt = prompts.iter().flat_map(|prompt| repeat_n(prompt, responses));
    let episodes: Vec<(usize, &Prompt)> = of_prompt.enumerate().collect();
    generate_by(&model.decoder(), value_head, &episodes, config, draws, batch_size)
}

/// [`generate`] by a decoder, which need not be that of one model, and for some episodes of many:
/// each prompt stands behind the number of its episode, from whose stream it is answered.
/// Neighbours that are one prompt (the same reference) are read once.
///
/// # Errors
/// As [`generate`]; rows are places in `episodes`.
pub fn generate_by<D: Decoder>(
    decoder: &D,
    value_head: Option<&ValueHead>,
    episodes: &[(usize, &Prompt)],
    config: &SamplingConfig,
    draws: DrawSeed,
    batch_size: usize,
) -> Result<Vec<Generation>, RolloutError> {
    check_batch_size(batch_size)?;
    let (sizes, device) = (decoder.sizes(), decoder.device());
    check_device(&device)?;
    config.validate_for(&sizes)?;
    for (row, (_, prompt)) in episodes.iter().enumerate() {
        if prompt.ids.is_empty() {
            return Err(RolloutError::EmptyPrompt { row });
        }
        check_tokens(&sizes, row, &prompt.ids)?;
        check_length(&sizes, row, prompt.ids.len(), config.max_new_tokens)?;
    }
    let mut generations = vec![Generation::default(); episodes.len()];
    let lengths: Vec<usize> = episodes.iter().map(|(_, prompt)| prompt.ids.len()).collect();
    let batches = sampled_batches(&lengths, batch_size, &device);
    let sampled = side_by_side(&device, &batches, |places| {
        let row = |&place: &usize| Row::new(place, draws.uniforms(episodes[place].0));
        let rows = places.iter().map(row).collect();
        // rows of like length keep their order in a batch: those of a prompt are neighbours, and
        // it is read once for all of them
        let mut read: Vec<&Prompt> = Vec::new();
        let mut prompt_places = Vec::with_capacity(places.len());
        for &place in places {
            let prompt = episodes[place].1;
            if !read.last().is_some_and(|last| std::ptr::eq(*last, prompt)) {
                read.push(prompt);
            }
            prompt_places.push(read.len() - 1);
        }
        let ids: Vec<&[u32]> = read.iter().map(|prompt| prompt.ids.as_slice()).collect();
        let batch = TokenBatch::left_padded(&ids, 0, &device)?;
        (Batch { decoder, value_head, config, rows, done: Vec::new() }).run(&batch, &prompt_places)
    });
    for rows in sampled {
        for row in rows? {
            generations[row.place] = row.generation;
        }
    }
    Ok(generations)
}

/// One response in the making.
struct Row {
    /// Of its prompt among those that are answered.
    place: usize,
    uniforms: Uniforms,
    generation: Generation,
    finished: bool,
}

impl Row {
    fn new(place: usize, uniforms: Uniforms) -> Self {
        Self { place, uniforms, generation: Generation::default(), finished: false }
    }
}

/// Rows that are sampled together; row `i` of `rows` is row `i` of the cache.
struct Batch<'a, D> {
    decoder: &'a D,
    value_head: Option<&'a ValueHead>,
    config: &'a SamplingConfig,
    rows: Vec<Row>,
    done: Vec<Row>,
}

impl<D: Decoder> Batch<'_, D> {
    /// Row `i` continues the prompt in place `places[i]` of those that are read.
    fn run(mut self, prompts: &TokenBatch, places: &[usize]) -> Result<Vec<Row>, RolloutError> {
        let [batch, seq] = prompts.dims();
        let mut cache = self.decoder.cache(batch, seq + self.config.max_new_tokens);
        let mut hidden = self.decoder.prefill(prompts, &mut cache)?;
        if places.len() > batch {
            cache.select(places)?;
            let places = row_tensor(places, &hidden.device());
            hidden = hidden.select(0, places);
        }
        if self.decoder.draws() && self.config.is_plain() {
            return self.run_on_device(hidden, cache);
        }
        for position in 0..self.config.max_new_tokens {
            self.draw_all(position, hidden)?;
            let live: Vec<usize> =
                (0..self.rows.len()).filter(|&row| !self.rows[row].finished).collect();
            if live.is_empty() || position + 1 == self.config.max_new_tokens {
                break;
            }
            // Moving the cache costs about as much as a step: worth it once a quarter of the rows
            // is idle.
            if 4 * (self.rows.len() - live.len()) >= self.rows.len() {
                cache.select(&live)?;
                let (done, rows) = self.rows.into_iter().partition(|row| row.finished);
                self.rows = rows;
                self.done.extend::<Vec<Row>>(done);
            }
            // a finished row that is still there repeats its last token, which nobody looks at
            let ids: Vec<u32> = self
                .rows
                .iter()
                .filter_map(|row| row.generation.response_ids.last().copied())
                .collect();
            hidden = self.decoder.step(&ids, &mut cache)?;
        }
        self.done.append(&mut self.rows);
        Ok(self.done)
    }

    /// The steps after the first, with tokens drawn on the device: nothing is read but every
    /// [`STEPS`] steps, when it is seen which rows have ended.
    fn run_on_device(
        mut self,
        mut hidden: Tensor<2>,
        mut cache: KvCache,
    ) -> Result<Vec<Row>, RolloutError> {
        let device = hidden.device();
        let config = self.config;
        let TokenDistribution { temperature, suppress } = config.distribution();
        let mut unread = Vec::with_capacity(STEPS);
        for position in 0..config.max_new_tokens {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "rounding to single precision, below 1"
            )]
            let uniforms: Vec<f32> = self
                .rows
                .iter_mut()
                .map(|row| (row.uniforms.draw() as f32).min(BELOW_ONE))
                .collect();
            let uniforms =
                Tensor::<1>::from_data(TensorData::new(uniforms, [self.rows.len()]), &device);
            let vocab = self.decoder.sizes().vocab_size;
            let masks = Masks {
                vocab,
                scale: temperature.recip(),
                suppress,
                forbidden: config.forbidden(position),
            };
            let values = self.value_head.map(|head| head.forward(hidden.clone()));
            let Drawn { ids, stats } = self.decoder.draw(hidden, uniforms, masks);
            unread.push((ids.clone(), stats, values));
            let last = position + 1 == config.max_new_tokens;
            let mut keep = None;
            if last || (config.may_stop() && unread.len() == STEPS) {
                self.note(position + 1 - unread.len(), std::mem::take(&mut unread))?;
                let live: Vec<usize> =
                    (0..self.rows.len()).filter(|&row| !self.rows[row].finished).collect();
                if last || live.is_empty() {
                    break;
                }
                if 4 * (self.rows.len() - live.len()) >= self.rows.len() {
                    cache.select(&live)?;
                    let (done, rows) = self.rows.into_iter().partition(|row| row.finished);
                    self.rows = rows;
                    self.done.extend::<Vec<Row>>(done);
                    keep = Some(live);
                }
            }
            let ids = match keep {
                Some(live) => ids.select(0, row_tensor(&live, &device)),
                None => ids,
            };
            hidden = self.decoder.step_drawn(ids, &mut cache)?;
        }
        self.done.append(&mut self.rows);
        Ok(self.done)
    }

    /// Reads the tokens drawn in some steps, the first of which is that of response token `first`,
    /// into their rows.
    fn note(
        &mut self,
        first: usize,
        steps: Vec<(Tensor<1, Int>, Tensor<2>, Option<Tensor<1>>)>,
    ) -> Result<(), RolloutError> {
        let mut transaction = Transaction::default();
        for (ids, stats, values) in steps {
            transaction = transaction.register(ids).register(stats);
            if let Some(values) = values {
                transaction = transaction.register(values);
            }
        }
        let read = transaction
            .try_execute()
            .map_err(|source| RolloutError::Read { what: "tokens", source: source.into() })?;
        let each = 2 + usize::from(self.value_head.is_some());
        for (step, read) in read.chunks_exact(each).enumerate() {
            let position = first + step;
            let ids: Vec<u32> = read[0].iter::<u32>().collect();
            let stats: Vec<f32> = read[1].iter::<f32>().collect();
            let values: Option<Vec<f32>> = read.get(2).map(|values| values.iter::<f32>().collect());
            for (at, row) in self.rows.iter_mut().enumerate().filter(|(_, row)| !row.finished) {
                let not_finite = |what| RolloutError::NotFinite { what, row: row.place, position };
                let (log_prob, entropy) = (stats[2 * at], stats[2 * at + 1]);
                if !(log_prob.is_finite() && entropy.is_finite()) {
                    return Err(not_finite("logits"));
                }
                if let Some(values) = &values {
                    if !values[at].is_finite() {
                        return Err(not_finite("values"));
                    }
                    row.generation.values.push(values[at]);
                }
                row.generation.response_ids.push(ids[at]);
                row.generation.log_probs.push(log_prob);
                row.generation.entropies.push(entropy.max(0.0));
                row.finished = self.config.stops_at(ids[at]);
            }
        }
        Ok(())
    }

    /// Draws the next token of every unfinished row from the hidden states `[rows, hidden]`.
    fn draw_all(&mut self, position: usize, hidden: Tensor<2>) -> Result<(), RolloutError> {
        let values =
            self.value_head.map(|head| host(head.forward(hidden.clone()), "values")).transpose()?;
        let logits = host(self.decoder.logits(hidden), "logits")?;
        let config = self.config;
        // rows of logits on threads, each row by one thread: the result does not depend on their
        // number
        let rows = self.rows.par_iter_mut().zip(logits.par_chunks(self.decoder.sizes().vocab_size));
        let draws: Vec<Option<Draw>> = rows
            .map_init(Scratch::default, |scratch, (row, logits)| match row.finished {
                true => None,
                false => draw(logits, config, position, row.uniforms.draw(), scratch),
            })
            .collect();
        for (at, (row, drawn)) in self.rows.iter_mut().zip(draws).enumerate() {
            if row.finished {
                continue;
            }
            let not_finite = |what| RolloutError::NotFinite { what, row: row.place, position };
            let drawn = drawn.ok_or_else(|| not_finite("logits"))?;
            if let Some(values) = &values {
                if !values[at].is_finite() {
                    return Err(not_finite("values"));
                }
                row.generation.values.push(values[at]);
            }
            row.generation.response_ids.push(drawn.token);
            row.generation.log_probs.push(drawn.log_prob);
            row.generation.entropies.push(drawn.entropy);
            row.finished = config.stops_at(drawn.token);
        }
        Ok(())
    }
}

/// Numbers of rows, to select them.
fn row_tensor(rows: &[usize], device: &Device) -> Tensor<1, Int> {
    let ids: Vec<i64> = rows.iter().map(|&row| i64::try_from(row).unwrap_or(i64::MAX)).collect();
    Tensor::from_data(TensorData::new(ids, [rows.len()]), device)
}

/// Refuses the device of a model that would record what it computes.
pub(crate) fn check_device(device: &Device) -> Result<(), RolloutError> {
    if device.is_autodiff() { Err(RolloutError::Trainable) } else { Ok(()) }
}

/// Refuses a row with unknown tokens.
pub(crate) fn check_tokens(model: &LmSizes, row: usize, ids: &[u32]) -> Result<(), RolloutError> {
    Ok(ids.iter().try_for_each(|&id| model.check_id(id, row))?)
}

/// Refuses a row that does not fit the context.
pub(crate) fn check_length(
    model: &LmSizes,
    row: usize,
    prompt: usize,
    response: usize,
) -> Result<(), RolloutError> {
    let limit = model.context;
    if prompt.saturating_add(response) > limit {
        return Err(RolloutError::TooLong { row, prompt, response, limit });
    }
    Ok(())
}

/// The values of a tensor, on the host.
pub(crate) fn host<const D: usize>(
    tensor: Tensor<D>,
    what: &'static str,
) -> Result<Vec<f32>, RolloutError> {
    tensor
        .try_into_vec_as::<f32>()
        .map_err(|source| RolloutError::Read { what, source: source.into() })
}

#[cfg(test)]
mod tests;
