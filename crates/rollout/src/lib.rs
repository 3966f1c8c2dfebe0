#![doc = include_str!("../README.md")]
//!
//! ## What is here
//! [`prompts`] cuts texts to prompts, [`generate`] samples responses with a key-value cache
//! ([`generate_each`] several to each prompt; by three models at once with [`Experts`]),
//! [`log_probs_of`] scores tokens that are known, and [`Rollout::collect`] puts these together into
//! [`Episode`]s: line 2 of Algorithm 1 of arXiv 2501.06911. [`stream`] gives one response token by
//! token, for a reader who waits. Rewards are seen through
//! [`RewardModel`](tailguard_reward::RewardModel) alone.

mod buckets;
mod config;
mod draws;
mod engine;
mod episodes;
mod error;
mod experts;
#[cfg(test)]
mod fixtures;
mod prompt;
mod sampler;
mod score;
mod softmax;
mod stream;

pub use burn;
pub use config::{EndOfText, SamplingConfig};
pub use draws::DrawSeed;
pub use engine::{Generation, generate, generate_by, generate_each};
pub use episodes::{Episode, Rollout, RolloutTimes, responses, score_texts, scored_text};
pub use error::RolloutError;
pub use experts::{Experts, Steering};
pub use prompt::{Prompt, encode, prompts};
pub use sampler::probabilities;
pub use score::{Sequence, TokenScores, log_probs_of, token_nlls};
pub use stream::{TextStream, stream};
pub use tailguard_reward::LARGEST_SCORE;
