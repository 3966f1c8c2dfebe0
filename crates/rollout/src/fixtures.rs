//! A small random model with clear preferences, and prompts for it.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor, TensorData};
use tailguard_gpt2::{Gpt2, Gpt2Config};
use tailguard_lm::{Policy, ValueHead};

use crate::config::SamplingConfig;
use crate::draws::DrawSeed;
use crate::prompt::Prompt;

/// One more than the golden tokenizer's: more than one block of the draw, and no multiple of its
/// lanes.
pub(crate) const VOCAB: usize = 401;
pub(crate) const SEED: DrawSeed = DrawSeed { seed: 11, stream: 100 };

/// 24 positions; weights large enough that distributions are far from uniform.
pub(crate) fn model(seed: u64) -> Gpt2 {
    let config = Gpt2Config { initializer_range: 0.4, ..Gpt2Config::new(VOCAB, 24, 16, 2, 2) };
    config.init(seed, &Device::flex()).unwrap()
}

/// A policy whose values are not 0, as those of a fresh value head are.
pub(crate) fn policy(seed: u64) -> Policy<Gpt2> {
    Policy { lm: model(seed), value_head: value_head() }
}

pub(crate) fn value_head() -> ValueHead {
    ValueHead::init(16, &Device::flex()).map(&mut Fill)
}

/// Replaces parameters by numbers that are neither equal nor small.
struct Fill;

impl ModuleMapper for Fill {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| {
            let (shape, device) = (tensor.dims(), tensor.device());
            let values: Vec<f32> = (0..shape.iter().product::<usize>())
                .map(|i| ((i * 7 % 5) as f32 - 1.7) / 3.0)
                .collect();
            Tensor::from_data(TensorData::new(values, shape), &device)
        })
    }
}

/// One prompt of each length, with different tokens.
pub(crate) fn prompts(lengths: &[usize]) -> Vec<Prompt> {
    let id = |row: usize, at: usize| u32::try_from((17 + 31 * row + 7 * at) % VOCAB).unwrap();
    let prompt = |(row, &length): (usize, &usize)| {
        let ids = (0..length).map(|at| id(row, at)).collect();
        Prompt { ids, text: format!("prompt {row}") }
    };
    lengths.iter().enumerate().map(prompt).collect()
}

pub(crate) fn sampling(max_new_tokens: usize) -> SamplingConfig {
    SamplingConfig { max_new_tokens, ..SamplingConfig::default() }
}
