//! What rollouts and PPO know of a causal language model.
//!
//! [`CausalLm`] is the model, [`Decoder`] the model ready to sample, [`Policy`] the model with a critic on top. [`TokenBatch`] and
//! [`Predictions`] are what it is fed, [`KvCache`] what makes generation cheap. A model of another family implements the two traits, and
//! everything that samples, scores and trains takes it; `tailguard-gpt2` is one.
//!
//! ```
//! use burn::tensor::Device;
//! use tailguard_lm::{LmSizes, Predictions, TokenBatch};
//!
//! // two rows: of the first its last two tokens are to be predicted, of the second its last
//! let rows: [&[u32]; 2] = [&[3, 1, 4], &[1, 5]];
//! let batch = Predictions::new(&rows, &[1, 1], 0, &Device::flex())?;
//! assert_eq!(batch.targets.dims(), [3]);
//! let sizes = LmSizes { vocab_size: 5, context: 16, hidden: 8 };
//! assert_eq!(batch.tokens.check(&sizes).unwrap_err().to_string(), "token id 5 in row 1 is outside the vocabulary of 5 tokens");
//! # Ok::<(), tailguard_lm::LmError>(())
//! ```

mod cache;
mod error;
mod model;
mod policy;
mod sizes;
mod tokens;

pub use cache::KvCache;
pub use error::LmError;
pub use model::{CausalLm, Decoder, TokenDistribution};
pub use policy::{Policy, VALUE_HEAD_FILE, ValueHead};
pub use sizes::LmSizes;
pub use tailguard_kernels::TokenStats;
pub use tokens::{Predictions, TokenBatch, id_tensor};
