//! All that was sampled so far.

use serde::{Deserialize, Serialize};
use tailguard_rollout::Episode;

/// A response and what it is worth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// Place of its prompt among the training prompts.
    pub prompt: usize,
    /// Token ids.
    pub response: Vec<u32>,
    /// The reward model's score of prompt and response together.
    pub reward: f32,
}

/// The pool: it grows with each exploration, and nothing leaves it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pool {
    /// In the order in which they were sampled.
    pub samples: Vec<Sample>,
}

impl Pool {
    /// Takes in one response to each of these prompts, by their places.
    pub(crate) fn add(&mut self, prompts: &[usize], episodes: Vec<Episode>) {
        self.samples.extend(prompts.iter().zip(episodes).map(|(&prompt, episode)| Sample {
            prompt,
            response: episode.response_ids,
            reward: episode.score,
        }));
    }

    /// The rewards of all samples, in their order.
    #[must_use]
    pub fn rewards(&self) -> Vec<f32> {
        self.samples.iter().map(|sample| sample.reward).collect()
    }
}
