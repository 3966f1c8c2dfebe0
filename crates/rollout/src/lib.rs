//! Prompts in, scored episodes out.
//!
//! [`prompts`] cuts texts to prompts, [`generate`] samples responses with a key-value cache, [`log_probs_of`] scores tokens
//! that are known, and [`Rollout::collect`] puts these together into [`Episode`]s: line 2 of Algorithm 1 of
//! arXiv 2501.06911. Rows are ragged host data, one entry per response token; there are no masks.
//!
//! [`stream`] gives one response token by token, for a reader who waits.
//!
//! Sampling is reproducible: episode `i` draws from its own stream of the seed, so neither the number of threads nor the
//! other rows of a batch change what it draws. Rewards are seen through [`RewardModel`](tailguard_reward::RewardModel) alone.
//!
//! ```
//! use burn::tensor::Device;
//! use tailguard_gpt2::Gpt2Config;
//! use tailguard_rollout::{DrawSeed, Prompt, SamplingConfig, Sequence, generate, log_probs_of};
//!
//! let model = Gpt2Config::new(50, 16, 8, 2, 2).init(1, &Device::flex())?;
//! let prompts = [Prompt { ids: vec![3, 1, 4], text: "abc".into() }, Prompt { ids: vec![1, 5], text: "de".into() }];
//! let config = SamplingConfig { max_new_tokens: 6, ..SamplingConfig::default() };
//! let sampled = generate(&model, None, &prompts, &config, DrawSeed { seed: 7, stream: 0 }, 8)?;
//! assert_eq!(sampled[1].response_ids.len(), 6);
//!
//! // one pass over the whole sequence gives again what was noted token by token
//! let sequence = Sequence { prompt: &prompts[1].ids, response: &sampled[1].response_ids };
//! let scores = log_probs_of(&model, None, &[sequence], &config.distribution(), 8)?;
//! assert!((scores[0].log_probs[5] - sampled[1].log_probs[5]).abs() < 1e-4);
//! # Ok::<(), tailguard_rollout::RolloutError>(())
//! ```

mod buckets;
mod config;
mod draws;
mod engine;
mod episodes;
mod error;
#[cfg(test)]
mod fixtures;
mod prompt;
mod sampler;
mod score;
mod stream;
mod weights;

pub use config::{EndOfText, SamplingConfig};
pub use draws::DrawSeed;
pub use engine::{Generation, generate};
pub use episodes::{Episode, Rollout, RolloutTimes, responses, score_texts, scored_text};
pub use error::RolloutError;
pub use prompt::{Prompt, encode, prompts};
pub use sampler::probabilities;
pub use score::{Sequence, TokenScores, log_probs_of, token_nlls};
pub use stream::{TextStream, stream};
pub use tailguard_reward::LARGEST_SCORE;
