//! GPT-2, in Burn, as a causal language model that rollouts and PPO take.
//!
//! [`Gpt2`] is the model, [`Gpt2Decoder`] the model ready to sample. Weights come from and go to Hugging Face directories; nothing here
//! knows about rewards or PPO.
//!
//! ```
//! use burn::tensor::Device;
//! use tailguard_gpt2::Gpt2Config;
//! use tailguard_lm::{CausalLm, Decoder, TokenBatch};
//!
//! let device = Device::flex();
//! let model = Gpt2Config::new(50, 16, 8, 2, 2).init(1, &device)?;
//! // two prompts, the second shorter: what the cache predicts equals what the whole sequence predicts
//! let prompts: [&[u32]; 2] = [&[3, 1, 4], &[1, 5]];
//! let decoder = model.decoder();
//! let mut cache = decoder.cache(2, 4);
//! decoder.prefill(&TokenBatch::left_padded(&prompts, 0, &device)?, &mut cache)?;
//! let next = decoder.logits(decoder.step(&[9, 2], &mut cache)?);
//!
//! let whole: [&[u32]; 1] = [&[1, 5, 2]];
//! let hidden = model.hidden(&TokenBatch::right_padded(&whole, 0, &device)?)?;
//! let expected = model.logits(hidden.slice([0..1, 2..3]).reshape([1, 8]));
//! let gap = (next.slice([1..2]) - expected).abs().max().into_scalar::<f32>();
//! assert!(gap < 1e-5);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod causal_lm;
mod config;
mod decoder;
mod error;
mod model;
mod weights;

pub use config::Gpt2Config;
pub use decoder::Gpt2Decoder;
pub use error::Gpt2Error;
pub use model::Gpt2;
