//! A small model, settings and made-up episodes.

use burn::module::{ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use tailguard_gpt2::{Gpt2, Gpt2Config};
use tailguard_ppo::PpoConfig;
use tailguard_rollout::{Episode, Prompt};

pub(crate) fn config() -> PpoConfig {
    PpoConfig {
        iterations: 6,
        batch_size: 4,
        minibatch_size: 2,
        epochs: 2,
        learning_rate: 1e-2,
        value_learning_rate: 3e-2,
        gamma: 1.0,
        lambda: 0.95,
        clip: 0.2,
        value_clip: 0.2,
        value_coef: 0.1,
        kl_coef: 0.2,
        kl_target: 6.0,
        kl_horizon: 300.0,
        ratio_threshold: 10.0,
        value_warmup: 1,
        ..PpoConfig::default()
    }
}

pub(crate) fn model() -> Gpt2 {
    Gpt2Config::new(11, 12, 8, 2, 2).init(5, &Device::flex()).unwrap()
}

/// An episode of 4 prompt tokens and a response of `length`; the numbers vary with row and
/// iteration.
fn episode(row: usize, iteration: usize, length: usize) -> Episode {
    let ids = |count: usize, shift: usize| {
        (0..count)
            .map(|t| u32::try_from((7 * t + 3 * row + shift + iteration) % 11).unwrap())
            .collect()
    };
    let wave = |scale: f32| {
        (0..length).map(|t| scale * ((t * t + row + 2 * iteration) as f32).sin()).collect()
    };
    let log_probs: Vec<f32> =
        (0..length).map(|t| -2.4 + 0.1 * ((t + row + iteration) as f32).cos()).collect();
    Episode {
        prompt: Prompt { ids: ids(4, 1), text: String::new() },
        response_ids: ids(length, 2),
        response: String::new(),
        score: (row as f32 - 1.5) * 0.7,
        cut: false,
        ref_log_probs: log_probs.iter().map(|log_prob| log_prob - 0.05).collect(),
        log_probs,
        values: wave(0.3),
        entropies: vec![1.0; length],
    }
}

/// So many episodes of an iteration, the first with a response of `shortest` tokens, the others one
/// longer each.
pub(crate) fn episodes(count: usize, iteration: usize, shortest: usize) -> Vec<Episode> {
    (0..count).map(|row| episode(row, iteration, shortest + row)).collect()
}

/// All parameters by their bits, in the order of the module.
#[derive(Default)]
pub(crate) struct Bits(pub(crate) Vec<Vec<u32>>);

impl ModuleVisitor for Bits {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let values = param.val().inner().into_data().try_to_vec::<f32>().unwrap();
        self.0.push(values.into_iter().map(f32::to_bits).collect());
    }
}
