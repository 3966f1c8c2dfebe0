//! GPT-2 with a value head and a key-value cache, in Burn.
//!
//! [`Gpt2`] is the model, [`Policy`] the model with a critic on top, [`TokenBatch`] what it is fed, [`Decoder`] and
//! [`KvCache`] what makes generation cheap. Weights come from and go to Hugging Face directories; nothing here knows about rewards or PPO.
//!
//! ```
//! use burn::tensor::Device;
//! use tailguard_gpt2::{Gpt2Config, KvCache, TokenBatch};
//!
//! let device = Device::flex();
//! let config = Gpt2Config::new(50, 16, 8, 2, 2);
//! let model = config.init(1, &device)?;
//! // two prompts, the second shorter: what the cache predicts equals what the whole sequence predicts
//! let prompts: [&[u32]; 2] = [&[3, 1, 4], &[1, 5]];
//! let mut cache = KvCache::new(&config, 2, 4, &device);
//! let decoder = model.decoder();
//! decoder.prefill(&TokenBatch::left_padded(&prompts, 0, &device)?, &mut cache)?;
//! let next = decoder.logits(decoder.step(&[9, 2], &mut cache)?);
//!
//! let whole: [&[u32]; 1] = [&[1, 5, 2]];
//! let hidden = model.hidden(&TokenBatch::right_padded(&whole, 0, &device)?)?;
//! let expected = model.logits(hidden.slice([0..1, 2..3]).reshape([1, 8]));
//! let gap = (next.slice([1..2]) - expected).abs().max().into_scalar::<f32>();
//! assert!(gap < 1e-5);
//! # Ok::<(), tailguard_gpt2::Gpt2Error>(())
//! ```

mod cache;
mod config;
mod decoder;
mod error;
mod model;
mod policy;
mod tokens;
mod weights;

pub use cache::KvCache;
pub use config::Gpt2Config;
pub use decoder::Decoder;
pub use error::Gpt2Error;
pub use model::{Gpt2, TokenDistribution};
pub use policy::{Policy, ValueHead};
pub use tailguard_kernels::TokenStats;
pub use tokens::{Predictions, TokenBatch, id_tensor};
pub use weights::VALUE_HEAD_FILE;
